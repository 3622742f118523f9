"""`Program`: a training step as a flat list of NumPy calls on numbered variables.

The one idea: static single assignment. Each `Call` makes new variables and changes none; what a step
does to its surroundings is said at the end, in `writes`: which place of the state takes which
variable. So passes may drop, join and reorder calls by looking at names alone. Read `tracer.py` next.
"""

from dataclasses import dataclass, field
from functools import cached_property
from sys import getrefcount
from typing import Any

import numpy as np

from ..methods import like


class Var:
    """A variable: its shape and dtype, whether it is an array or one of NumPy's scalars, its readable name."""

    __slots__ = ("dtype", "is_array", "name", "number", "shape")

    def __init__(self, number: int, shape: tuple[int, ...], dtype: np.dtype, is_array: bool = True):
        self.number, self.shape, self.dtype, self.is_array = number, shape, dtype, is_array
        self.name: str | None = None

    def __repr__(self):
        return self.name or f"v{self.number}"


NO_VIEWS: dict[Var, Any] = {}


class Call:
    """outs = function(*args, **kwargs); `args` hold Vars, constants, and tuples and lists of these.

    `out` is the one result, or the first of several. `views`: result -> the argument whose memory it was
    seen to share.
    """

    __slots__ = ("_inputs", "args", "function", "kwargs", "out", "outs", "several", "views")

    def __init__(self, function, args, kwargs, outs, several=False, views=NO_VIEWS, inputs=None):
        self.function, self.args, self.kwargs = function, args, kwargs
        self.out: Any = outs[0] if outs else None
        self.outs, self.several, self.views, self._inputs = outs, several, views, inputs

    def inputs(self) -> list[Var]:
        """The Vars among the arguments, in order."""
        if self._inputs is None:
            found: list[Var] = []
            for a in self.args if not self.kwargs else (*self.args, *self.kwargs.values()):
                if type(a) is Var:
                    found.append(a)
                elif type(a) in (tuple, list, dict, slice):
                    found += [v for v in flat(a) if type(v) is Var]
            self._inputs = found
        return self._inputs

    def replaced(self, new: dict[Var, Any]) -> "Call":
        """The same call with other arguments."""
        if new.keys().isdisjoint(self.inputs()):
            return self
        args = tuple([mapped(a, new.get) for a in self.args])
        kwargs = mapped(self.kwargs, new.get) if self.kwargs else self.kwargs
        views = {v: new.get(seen, seen) for v, seen in self.views.items()} if self.views else NO_VIEWS
        return Call(self.function, args, kwargs, self.outs, self.several, views)

    def __repr__(self):
        name = getattr(self.function, "__name__", repr(self.function))
        arguments = [*map(_shown, self.args), *(f"{k}={_shown(v)}" for k, v in self.kwargs.items())]
        return f"{', '.join(map(repr, self.outs))} = {name}({', '.join(arguments)})"


@dataclass(eq=False)
class Program:
    """`inputs` (given anew at each call), `state` (read where it stands), the calls, results and writes."""

    inputs: list[Var] = field(default_factory=list)
    state: list[Var] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    results: list[Var] = field(default_factory=list)
    writes: list[tuple[int, Any]] = field(default_factory=list)
    looks_for_nan: bool = False  # a NaN of the forward pass may have met a zero cotangent
    count: int = 0  # of Vars

    def new(self, value: Any) -> Var:
        """A Var like `value`."""
        self.count += 1
        return Var(self.count, value.shape, value.dtype, isinstance(value, np.ndarray))

    def of(self, calls: list[Call]) -> "Program":
        """The program with other calls."""
        return Program(self.inputs, self.state, calls, self.results, self.writes, self.looks_for_nan)

    def outputs(self) -> list[Var]:
        """What must be computed: results, and what is written to the state."""
        return [v for v in (*self.results, *(v for _, v in self.writes)) if type(v) is Var]

    @cached_property
    def made(self) -> dict[Var, Call]:
        """Result -> the call that has it alone."""
        return {call.out: call for call in self.calls if not call.several}

    @cached_property
    def readers(self) -> dict[Var, list[Call | None]]:
        """Var -> the calls that read it, each as often as it does, and a None for each time it is put out."""
        found: dict[Var, list[Call | None]] = {}
        for call in self.calls:
            for v in call.inputs():
                found.setdefault(v, []).append(call)
        for v in self.outputs():
            found.setdefault(v, []).append(None)
        return found

    def __str__(self):
        lines = [f"inputs {self.inputs}, state {self.state}", *map(repr, self.calls)]
        return "\n".join([*lines, f"results {self.results}, writes {self.writes}"])


def flat(x):
    """The leaves of nested tuples, lists, dicts and slices."""
    if isinstance(x, (tuple, list)):
        for part in x:
            yield from flat(part)
    elif isinstance(x, dict):
        yield from flat(tuple(x.values()))
    elif isinstance(x, slice):
        yield from (x.start, x.stop, x.step)
    else:
        yield x


def mapped(x, new):
    """x with new(v) in the place of each Var v for which it is not None."""
    if type(x) is Var:
        found = new(x)
        return x if found is None else found
    if type(x) in (tuple, list):
        return like(x, (mapped(part, new) for part in x))
    if type(x) is dict:
        return {k: mapped(v, new) for k, v in x.items()}
    if type(x) is slice:
        return slice(*(mapped(part, new) for part in (x.start, x.stop, x.step)))
    return x


def shrunk(args: tuple) -> tuple:
    """Constants which nobody else holds in one number's memory, if all of such an array are the same number."""
    holders, found = _holders(args), list(args)
    for n, a in enumerate(args):
        if type(a) is np.ndarray and a.size > 64 and holders[n] == _FRESH:
            one = a[(slice(1),) * a.ndim].copy()
            found[n] = np.broadcast_to(one, a.shape) if a.tobytes() == one.tobytes() * a.size else a
    return tuple(found)


def _holders(args):
    return [getrefcount(a) for a in args]


_FRESH = _holders((np.empty(1),))[0]


def difference(a: Program, b: Program) -> str | None:
    """Where two traces of one step differ: a call, or a constant that was not the same; None if they agree."""
    same: dict[Any, Any] = {x: y for x, y in zip((*a.inputs, *a.state), (*b.inputs, *b.state))}
    for x, y in zip(a.calls, b.calls):
        alike = x.function is y.function and _alike(x.args, y.args, same)
        if not alike or ((x.kwargs or y.kwargs) and not _alike(x.kwargs, y.kwargs, same)):
            return f"{x!r}, then {y!r}"
        same.update(zip(x.outs, y.outs))
    if len(a.calls) != len(b.calls):
        return f"{len(a.calls)} calls, then {len(b.calls)}"
    kept = _alike((a.results, a.writes), (b.results, b.writes), same)
    return None if kept else "what the step returns or keeps"


def _alike(x, y, same):
    if type(x) is not type(y):
        return False
    if isinstance(x, (tuple, list)):
        same_parts = (same.get(p) is q if type(p) is Var else _alike(p, q, same) for p, q in zip(x, y))
        return len(x) == len(y) and all(same_parts)
    if isinstance(x, dict):
        return list(x) == list(y) and _alike(tuple(x.values()), tuple(y.values()), same)
    if isinstance(x, slice):
        return _alike((x.start, x.stop, x.step), (y.start, y.stop, y.step), same)
    return same_constant(x, y)


def same_constant(x, y) -> bool:
    """The same object, or equal to the last bit."""
    if x is y:
        return True
    if isinstance(x, (np.ndarray, np.generic)):
        return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
    return type(x) is type(y) and (x == y or (x != x and y != y))


def _shown(x):
    if isinstance(x, np.ndarray):
        return f"array{x.shape}" if x.ndim else repr(x[()])
    return repr(x)
