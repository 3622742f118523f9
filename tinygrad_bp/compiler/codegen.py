"""From a `Program` to a Python function on preallocated buffers.

The one idea: since every array has its place (`places.py`), what remains of a step is one line of
NumPy per call, into a buffer, without Python objects being made: views of buffers and of parameters
are taken once, and what the lines name are the globals of the function's own module. Read `jit.py` next.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..primitive import Primitive
from .arena import commits_of, joint_update, memory_of, needs_old, put_off
from .blas import subtract_product, subtraction
from .nans import telling
from .places import Places, is_elementwise, is_product, is_scatter, is_view, lender
from .program import Program, Var, flat

OPERATORS = {np.add: "+", np.subtract: "-", np.multiply: "*", np.true_divide: "/"}
REDUCTIONS = {np.sum: np.add, np.prod: np.multiply, np.max: np.maximum, np.min: np.minimum}


@dataclass
class Linked:
    """A program made into a function: `run(*inputs)`, its text, and the bytes of its buffers.

    `run` gives [results], [new values of the state numbered in `scalars`]; or None where an invalid
    value was computed, before anything is written. `fresh`: the numbers of results that are in no buffer.
    """

    run: Callable
    text: str
    peak: int
    scalars: list[int]
    fresh: set[int]


class Linker:
    """Gives every call its line. `flags`: a list that has something in it once an invalid value was computed."""

    def __init__(self, program: Program, state: dict[Var, np.ndarray], live: list[Var], flags: list):
        self.live, self.commits, self.uses = live, commits_of(program), program.readers
        self.watched = self._watched(program) if program.looks_for_nan else []
        self.apart = needs_old(program, self.commits)
        for v, place in self.commits.items():
            if program.made[v].function is subtract_product and not state[program.state[place]].flags.carray:
                self.apart.add(program.made[v])  # it lies as BLAS does not write
        self.program = program = put_off(program, self.commits, self.apart)
        self.names: dict[str, Any] = {"flags": flags}
        self.known: dict[int, str] = {}  # id of a value -> its name
        self.places = Places(program, state)
        self.fixed, self.base = self.places.fixed, self.places.base
        self.word: dict[Var, str] = {}
        self.lines: list[str] = []
        self.scalars: list[tuple[Any, str]] = []  # (place, words) of state that is no array of ours

    def link(self) -> Linked:
        """The function of the program's inputs that computes its results and writes its state."""
        given = [*self.program.inputs, *self.live]
        inputs = [f"i{n}" for n in range(len(given))]
        self.word.update(zip(given, inputs))
        self.fresh = self._fresh()
        changes = [call for call in self.program.calls if call.out in self.commits]
        states = {call: self.fixed[self.program.state[self.commits[call.out]]] for call in changes}
        self.joint, *self.pieces = joint_update(self.places, states, self.uses)
        for n, call in enumerate(self.program.calls):
            if call.out not in self.commits:
                self._call(n, call)
        self._commit_all(self.commits)
        results = ", ".join(self.results)
        scalars = ", ".join(words for _, words in self.scalars)
        body = "\n    ".join([*self.lines, f"return [{results}], [{scalars}]"])
        text = f"def run({', '.join(inputs)}):\n    {body}\n"
        exec(text, self.names)
        fresh = {n for n, v in enumerate(self.program.results) if v in self.fresh}
        return Linked(self.names["run"], text, self.places.bytes, [place for place, _ in self.scalars], fresh)

    def _fresh(self):
        """Results that are computed into new arrays, which need not be copied before they are given away."""
        made, seen = self.program.made, {*self.places.turned, *self.base.values()}
        made = {v: made[v] for v in self.program.results if v in made and v.is_array and 0 not in v.shape}
        kept = {v for _, v in self.program.writes if type(v) is Var} | seen
        own = [v for v, call in made.items() if is_elementwise(call) or is_product(call)]
        return {v for v in own if v not in kept and self.program.results.count(v) == 1}

    # ---- state -----------------------------------------------------------------------------------------

    def _commit_all(self, commits):
        """The lines that write to the state: after all that reads it, and after all that may give up."""
        self.lines.append("if flags: return None")
        if self.program.looks_for_nan:
            self._look_for_nan()
        self._look_for_overlap()
        written = {self.program.state[place] for place, _ in self.program.writes if isinstance(place, int)}
        in_place, later = [], []
        for n, call in enumerate(self.program.calls):
            if call.out not in commits or call in self.joint:
                continue
            old = self.program.state[commits[call.out]]
            if call in self.apart:
                self._call(n, call)
                later.append(f"{self._name('b', self.fixed[old])}[...] = {self._expression(call.out)}")
            else:
                in_place.append((n, call, self._name("b", self.fixed[old])))
        if self.joint:
            all_old, all_new = (self._name("b", piece) for piece in self.pieces)
            later.append(f"{self._function(np.subtract)}({all_old}, {all_new}, {all_old})")
        self.results = [self._kept(v, written) for v in self.program.results]
        for place, v in self.program.writes:
            state = self.program.state[place] if isinstance(place, int) else None
            if state not in self.fixed:
                self.scalars.append((place, self._kept(v, written)))
            elif v not in commits:
                later.append(f"{self._name('b', self.fixed[state])}[...] = {self._kept(v, written)}")
        for n, call, place in in_place:
            self.lines.append(self._into(call, place))
            self.places.release(n, call)
        self.lines += later

    def _kept(self, v, written):
        """The words for a value; for an old one of state that is written to, those of a copy made before."""
        words = self._expression(v)
        if type(v) is not Var or self.base.get(v, v) not in written or not v.is_array:
            return words
        kept = f"v{len(self.word)}"
        self.word[Var(0, (), v.dtype)] = kept
        self.lines.append(f"{kept} = {words}.copy()")
        return kept

    def _watched(self, program):
        """What tells of a NaN in what is about to be returned or written."""
        last = [call for call in program.calls if call.out in self.commits]
        found = {v: None for call in last for v in call.inputs()} | dict.fromkeys(program.outputs())
        known = {*self.commits, *program.state, *program.inputs}
        return telling(program, [v for v in found if v.dtype.kind in "fc" and v not in known])

    def _look_for_nan(self):
        """Lines that give up if there is one."""
        for v in self.watched:
            total = self._expression(v)
            if v.is_array:
                flat = self._flat(self.fixed.get(v))
                summed = f"{self._function(np.add.reduce)}({total}, None)"
                total = summed if flat is None else self._dot(flat, flat)
            self.lines += [f"total = {total}", "if total != total: return None"]

    def _look_for_overlap(self):
        """Lines that give up if what is given lies in state that might change before it is read."""
        changes = [call for call in self.program.calls if call.out in self.commits]
        given = dict.fromkeys(
            v for call in changes for v in call.inputs() if v.is_array and v not in self.fixed
        )
        changed = [memory_of(self.fixed[self.program.state[place]]) for place in self.commits.values()]
        for v, there in itertools.product(given, {id(there): there for there in changed}.values()):
            overlap = f"{self._function(np.may_share_memory)}({self._word(v)}, {self._name('b', there)})"
            if there.dtype != v.dtype:  # it is an arena, which what is given cannot own
                overlap = f"{self._word(v)}.base is not None and {overlap}"
            self.lines.append(f"if {overlap}: return None")

    # ---- one call --------------------------------------------------------------------------------------

    def _call(self, n, call):
        plain = call.out.is_array and not call.several and 0 not in call.out.shape
        if is_view(call) and self.places.take_view(call):
            return
        if plain and is_elementwise(call):
            self.lines.append(self._into(call, self._destination(n, call, reuse=True)))
        elif plain and is_product(call):
            self._product(n, call)
        else:
            self._otherwise(n, call, plain)
        self.places.release(n, call)

    def _otherwise(self, n, call, plain):
        out = call.out
        arguments = [self._expression(a) for a in call.args]
        number = self._number(call, arguments)
        if number is not None:
            self.word[out] = f"v{len(self.word)}"
            self.lines.append(f"{self.word[out]} = {number}")
        elif not plain:
            self._plainly(call, arguments)
        elif call.function in REDUCTIONS and set(call.kwargs) <= {"axis", "keepdims"} and len(arguments) == 1:
            self.places.buffer(n, call)
            reduce = self._function(REDUCTIONS[call.function].reduce)
            axis, keep = call.kwargs.get("axis"), call.kwargs.get("keepdims", False)
            self.lines.append(f"{reduce}({arguments[0]}, {axis!r}, None, {self._word(out)}, {bool(keep)})")
        elif is_scatter(call):
            out = self.places.buffer(n, call)
            self.lines.append(f"{self._name('fill', out.fill)}(0)")
            self.lines.append(f"{self._word(call.out)}[{arguments[1]}] = {arguments[0]}")
        elif call.function in (np.copy, np.ndarray.astype):
            self.places.buffer(n, call)
            self.lines.append(f"{self._function(np.copyto)}({self._word(out)}, {arguments[0]}, 'unsafe')")
        else:
            self._plainly(call, arguments)

    def _product(self, n, call):
        """left.dot(right, out); the other way round, all three transposed, if that is how they lie in memory."""
        words, (left, right) = self._destination(n, call), call.args
        out: Any = self.fixed.get(call.out)
        turned = out is not None and not out.flags.c_contiguous
        if turned or (len(left.shape) == 1 and self._lies_turned(right)):
            words = self._name("b", out.T) if turned else words
            left, right = self._transposed(right), self._transposed(left)
        else:
            left, right = (self.fixed.get(a, a) if type(a) is Var else a for a in (left, right))
        if len(call.out.shape) == 2 and math.prod(call.out.shape) >= 16384:
            call_of = f"{self._function(np.matmul)}({self._array(left)}, "
        else:  # lighter to call, but fills its result with zeros first
            known = type(left) is np.ndarray
            call_of = f"{self._name('dot', left.dot) if known else self._array(left) + '.dot'}("
        self.lines.append(f"{call_of}{self._array(right)}, {words})")

    def _subtraction(self, call):
        """The line that takes a product from a parameter where it stands."""
        w, *factors = [self.fixed.get(a, a) if type(a) is Var else a for a in call.args]
        subtract = self._name("subtract", subtraction(w, *factors))
        return f"{subtract}({', '.join(map(self._array, factors))})"

    def _destination(self, n, call, reuse=False):
        """The words for the array that the n-th call writes into."""
        if call.out not in self.fresh:
            self.places.buffer(n, call, reuse)
        else:
            self.word[call.out] = f"v{len(self.word)}"
            lend = self._name("lend", lender(call.out.shape, call.out.dtype))
            self.lines.append(f"{self.word[call.out]} = {lend}()")
        return self._word(call.out)

    def _lies_turned(self, a):
        known = self.fixed.get(a) if type(a) is Var else a
        return known is not None and known.flags.f_contiguous and not known.flags.c_contiguous

    def _transposed(self, a):
        """The array's transpose, or the words for it."""
        known = self.fixed.get(a) if type(a) is Var else a
        return f"{self._word(a)}.T" if known is None else known.T

    def _array(self, a):
        return a if type(a) is str else self._name("b", a) if type(a) is np.ndarray else self._word(a)

    def _number(self, call, arguments):
        """The words of a call that gives a number or a view, in the quickest way to make it; None for others."""
        if call.function is np.transpose and len(arguments) == 1 and not call.kwargs:
            return f"{arguments[0]}.T"
        if call.function is np.reshape and len(arguments) == 2 and not call.kwargs:
            return f"{arguments[0]}.reshape({arguments[1]})"
        if call.function is np.vdot and self._flat_views(call):
            return self._dot(*self._flat_views(call))
        if call.function is np.mean and self._whole(call):
            count = self._name("k", call.out.dtype.type(math.prod(call.args[0].shape)))
            return f"{self._function(np.add.reduce)}({arguments[0]}, None) / {count}"
        if call.function in REDUCTIONS and self._whole(call):
            return f"{self._function(REDUCTIONS[call.function].reduce)}({arguments[0]}, None)"
        plain = call.function in OPERATORS and is_elementwise(call)
        if plain and all(map(_is_scalar, (*call.args, call.out))):
            return f"{arguments[0]} {OPERATORS[call.function]} {arguments[1]}"
        return None

    def _plainly(self, call, arguments):
        words = []
        for v in call.outs:
            self.word[v] = f"v{len(self.word)}"
            words.append(self.word[v])
        arguments = [*arguments, *(f"{k}={self._expression(v)}" for k, v in call.kwargs.items())]
        function = call.function.__wrapped__ if isinstance(call.function, Primitive) else call.function
        self.lines.append(f"{', '.join(words)} = {self._function(function)}({', '.join(arguments)})")

    def _whole(self, call):
        """Is it a reduction of a whole array of floats to a scalar of their dtype?"""
        v = call.args[0]
        plain = len(call.args) == 1 and all(x is None for x in call.kwargs.values())
        return plain and type(v) is Var and v.is_array and not call.out.is_array and v.dtype == call.out.dtype and (
            v.dtype.char in "fd" and 0 not in v.shape
        )  # fmt: skip

    def _flat_views(self, call):
        """Both real operands of a vdot as flat views of their buffers, or None."""
        arrays: list[Any] = [self.fixed.get(a) for a in call.args if type(a) is Var]
        if len(arrays) != 2 or any(self._flat(a) is None for a in arrays):
            return None
        alike = arrays[0].flags.c_contiguous == arrays[1].flags.c_contiguous
        return [self._flat(a) for a in arrays] if alike else None

    def _flat(self, array):
        """A flat view of a real array without gaps, in the order of its memory, or None."""
        if array is None or array.dtype.char not in "fd" or not array.flags.forc:
            return None
        return (array if array.flags.c_contiguous else array.T).reshape(-1)

    def _dot(self, left, right):
        return f"{self._name('dot', left.dot)}({self._name('b', right)})"

    # ---- words -----------------------------------------------------------------------------------------

    def _word(self, v):
        if v in self.fixed:
            return self._name("b", self.fixed[v])
        return self.word[v]

    def _expression(self, x):
        if type(x) is Var:
            return self._word(x)
        if not any(type(part) is Var for part in flat(x)):
            return repr(x) if type(x) in (int, bool, str, type(None)) else self._name("k", x)
        if isinstance(x, (tuple, list)):
            inner = ", ".join(map(self._expression, x))
            return f"[{inner}]" if isinstance(x, list) else f"({inner},)"
        if isinstance(x, slice):
            return f"slice({', '.join(map(self._expression, (x.start, x.stop, x.step)))})"
        return "{" + ", ".join(f"{k!r}: {self._expression(v)}" for k, v in x.items()) + "}"

    def _into(self, call, place):
        """The line of what can write into an array; positional is quicker, but not for all."""
        if call.function is subtract_product:
            return self._subtraction(call)
        out = f"out={place}" if call.function in (np.maximum, np.minimum) else place
        return f"{self._function(call.function)}({', '.join([*map(self._expression, call.args), out])})"

    def _function(self, function):
        name = getattr(function, "__name__", "f")
        return self._name(name if name.isidentifier() else "f", function)

    def _name(self, kind, x):
        """The name of an object that the lines use, one per object; no number or input is called so."""
        if id(x) not in self.known:
            name = f"{kind}_{len(self.names)}"
            self.known[id(x)], self.names[name] = name, x
        return self.known[id(x)]


def _is_scalar(x):
    """Is it one of NumPy's scalars, or a number?"""
    if type(x) is Var:
        return not x.is_array and x.dtype.kind == "f"
    return type(x) in (int, float) or isinstance(x, np.floating)
