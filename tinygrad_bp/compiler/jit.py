"""`bp.compile(step)`: a training step, traced as it runs, then replayed on preallocated buffers.

The one idea: the first calls are real, and each is traced. Once two in a row came to the same program
with the same constants, that program is what the step does, and later calls replay it. What the
program cannot know is asked at every replay: do the flags, numbers and arrays in reach of the step
still stand where they stood? If not, the step is traced anew. Read `trace.py` first; `passes.py` says
what is done to a program, `codegen.py` how it is run.
"""

import functools
import importlib
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import message
from ..graph import AMBIENT, UPSTAIRS
from ..views import leased, root_of
from ..writes import unshare
from .codegen import Linker
from .passes import PASSES, generators, optimized
from .source import Named, source
from .state import guard
from .trace import Signature, Trace, store, tracing
from .tracer import Untraceable

TRACES = 4
"""Calls that are traced at most until two agree."""
PROGRAMS = 16
"""Programs (for shapes, dtypes, flags) that are kept."""


class Replay:
    """A program that two traces agreed on, bound to its state."""

    def __init__(self, trace: Trace, passes):
        self.trace = trace
        self.holds = guard(trace.plain, trace.sizes)
        self.invalid = False
        self.idle = [slot for slot in _idle_gradients(trace)]
        self.program = optimized(_without(trace, self.idle), passes)
        self.generators = [rng for call in self.program.calls for rng in generators(call)]
        self.written = {place for place, _ in self.program.writes if isinstance(place, int)}
        self.link()

    def link(self) -> None:
        """Bind the program to the arrays that stand in the slots now."""
        used = {v for call in self.program.calls for v in call.inputs()} | set(self.program.outputs())
        slots = list(zip(self.program.state, self.trace.slots, range(len(self.trace.slots))))
        for slot in self.idle:
            slot.put(None)  # a gradient that the step itself does not read is not computed
        fixed, self.tensors, self.owned, live = {}, [], [], []
        for v, slot, n in slots:
            if slot in self.idle or (v not in used and n not in self.written):
                continue
            if n in self.written and slot.kind == "data":
                unshare(slot.owner)
            array = slot.get()
            if slot.kind == "data" and type(array) is np.ndarray:
                self.tensors.append((slot.owner, weakref.ref(array)))
                fixed[v] = array.view()
            elif n in self.written and type(array) is np.ndarray:
                slot.put(array.copy())  # ours to write to
                fixed[v] = slot.get()
                self.owned.append((slot, fixed[v]))
            else:
                live.append((v, slot))
            del array
        self.live = [slot for _, slot in live]
        self.kinds = [(v.shape, v.dtype) for v, _ in live]
        self.roots = [root_of(t.owner) for _, t, n in slots if n in self.written and t.kind == "data"]
        self.linked = Linker(self.program, fixed, [v for v, _ in live], lambda: self.invalid).link()
        self.run = np.errstate(all="ignore", invalid="call", call=self.note)(self.linked.run)
        self.bound = _quickly_bound(self.tensors, self.roots)
        places = {slot.place: slot for slot in self.trace.written}
        self.others = [self.trace.slots[p] if isinstance(p, int) else places[p] for p in self.linked.scalars]

    def note(self, kind, flag):
        """NumPy calls this when an invalid value, such as 0 · ∞, is computed."""
        self.invalid = True

    def __call__(self, arrays):
        """The values of the step's results, or None if only an eager call can be right."""
        if not (self.bound() and all([slot.get() is array for slot, array in self.owned])):
            self.link()
        if self.live:
            live = [slot.get() for slot in self.live]
            if [(a.shape, a.dtype) for a in live] != self.kinds:
                return None
            arrays = [*arrays, *live]
        self.invalid = False
        before = [(rng, rng.bit_generator.state) for rng in self.generators]
        found = self.run(*arrays)
        if found is not None:
            for slot, value in zip(self.others, found[1]):
                slot.put(value)
            return found[0]
        for rng, state in before:
            rng.bit_generator.state = state
        return None


def _quickly_bound(tensors, roots):
    """Do the Tensors have the arrays that the program was bound to, none of them needed by a graph that was kept?"""
    names: dict[str, Any] = {"holders": sys.getrefcount}
    tests = []
    for n, (tensor, data) in enumerate(tensors):
        names |= {f"t{n}": tensor, f"d{n}": data}
        tests.append(f"t{n}._data is d{n}()")
    for n, root in enumerate(roots):
        names[f"r{n}"] = root
        tests.append(f"holders(r{n}._data) <= alone and not r{n}._alias")
    names["alone"], names["probe"] = 0, Probe()
    exec("def references():\n    return holders(probe._data)\n", names)
    names["alone"] = names["references"]()
    parameters = ", ".join(f"{name}={name}" for name in names)
    exec(f"def bound({parameters}):\n    return {' and '.join(tests) or True}\n", names)
    quick = names["bound"]
    return lambda: quick() or (all(t._data is d() for t, d in tensors) and not any(map(leased, roots)))


class Probe:
    """An object with an array of which nobody else knows, as a Tensor is."""

    def __init__(self):
        self._data = np.empty(1)


def _idle_gradients(trace):
    """The slots of gradients that the step sets and does not read."""
    read = {v for call in trace.program.calls for v in call.inputs()} | set(trace.program.results)
    for n, slot in enumerate(trace.slots):
        if slot.kind == "grad" and trace.program.state[n] not in read:
            yield slot
    for slot in trace.written:
        if slot.kind == "grad" and slot.place not in {s.place for s in trace.slots}:
            yield slot


def _without(trace, idle):
    places = {slot.place for slot in idle}
    numbers = {n for n, slot in enumerate(trace.slots) if slot.place in places}
    writes = [(place, v) for place, v in trace.program.writes if place not in places and place not in numbers]
    return replace(trace.program, writes=writes)


class Compiled:
    """A step that is traced when it is called, and replayed once its program is known; see `compile`.

    `stats` counts traced, replayed and eager calls, and the bytes of the latest program's buffers.
    """

    __name__: str

    def __init__(self, step: Callable, fallback: bool, check: bool, state: Any, passes):
        functools.update_wrapper(self, step, updated=())
        self.step, self.fallback, self.check, self.state, self.passes = step, fallback, check, state, passes
        self._lock = threading.RLock()
        self.stats = {"traces": 0, "replays": 0, "eager": 0}
        self._replays: dict[Any, Replay] = {}
        self._latest: dict[Any, tuple[int, Trace]] = {}
        self._eager: set = set()

    def __call__(self, *args, **kwargs):
        ambient = AMBIENT.get()
        if ambient.run is not None or ambient.level or tracing():
            return self.step(
                *args, **kwargs
            )  # a part of what is observed, differentiated or traced around it
        with self._lock:
            arrays: Sequence = args
            key: Any = None
            if not kwargs:
                key = tuple([(a.shape, a.dtype) if type(a) is np.ndarray else None for a in args])
            if key is None or None in key:
                call = Signature(args, kwargs)
                if call.recorded:
                    return self.step(*args, **kwargs)
                arrays, key = call.arrays, call.key
            if ambient.blocked >= 0:
                key = (key, "no_grad")
            replay = self._replays.get(key)
            if replay is None:
                return self._traced(key, args, kwargs)
            if not replay.holds():
                del self._replays[key]
                return self._traced(key, args, kwargs)
            found = self._checked(replay, arrays, args, kwargs) if self.check else replay(arrays)
            if found is None:
                self.stats["eager"] += 1
                return self.step(*args, **kwargs)
            self.stats["replays"] += 1
            return replay.trace.returned(found)

    def _traced(self, key, args, kwargs):
        """The value of the step, which is traced; if two traces agree, their program is replayed from now on."""
        if key in self._eager:
            self.stats["eager"] += 1
            return self.step(*args, **kwargs)
        self.stats["traces"] += 1
        try:
            trace = Trace(self.step, Signature(args, kwargs), self.state)
        except Untraceable as error:
            self._give_up(key, error)
            self.stats["eager"] += 1
            return self.step(*args, **kwargs)
        count, before = self._latest.pop(key, (0, None))
        differs = before.differs(trace) if before else "a first call"
        if before and differs is None:
            self._replays[key] = Replay(trace, self.passes)
            self.stats["buffer bytes"] = self._replays[key].linked.peak
        elif count + 1 >= TRACES:
            self._give_up(key, Untraceable(_disagreement(self.__name__, differs)))
        else:
            self._latest[key] = (count + 1, trace)
        for kept in (self._replays, self._latest):
            while len(kept) > PROGRAMS:
                del kept[next(iter(kept))]
        value, trace.value = trace.value, None
        return value

    def _give_up(self, key, error):
        """Raise the error, or warn and run eagerly from now on."""
        if not self.fallback:
            raise error
        self._eager.add(key)
        warnings.warn(f"{error}; it runs eagerly", stacklevel=4)

    def _checked(self, replay, arrays, args, kwargs):
        """The values of a replay, after an eager call from the same state has come to the same."""
        slots = [slot for n, slot in enumerate(replay.trace.slots) if n in replay.written]
        before = [np.array(slot.get()) for slot in slots]
        found = replay(arrays)
        if found is None:
            return None
        after = [np.array(slot.get()) for slot in slots]
        for slot, value in zip(slots, before):
            store(slot, value)
        expected = Trace(self.step, Signature(args, kwargs), self.state)
        values = [
            *zip(found, (v for v in expected.traced_values), (f"result {i}" for i in range(len(found)))),
            *zip(after, (slot.get() for slot in slots), (slot.path for slot in slots)),
        ]
        for ours, eager, name in values:
            tolerance = 1e3 * np.finfo(eager.dtype).eps if eager.dtype.kind in "fc" else 0
            if not np.allclose(
                ours, eager, rtol=tolerance, atol=tolerance * np.max(np.abs(eager), initial=0), equal_nan=True
            ):
                raise RuntimeError(
                    message(
                        f"a replay of {self.__name__} came to another value of {name} than an eager call",
                        got=f"a deviation of {np.max(np.abs(ours - eager)):.1e}",
                        do="use fallback=True, and please report the step",
                    )
                )
        return found

    @property
    def program(self):
        """The program of the latest replay, after the passes."""
        return self._last().program

    @property
    def programs(self):
        """The latest program before the passes and after them; what has a name, such as W2 or z2, bears it."""
        replay = self._last()
        before = _without(replay.trace, replay.idle)
        Named(replay.trace, before)
        return before, replay.program

    def source(self) -> str:
        """The latest program as a module of plain NumPy: the step, with names of the user's and the book's."""
        replay = self._last()
        return source(self.__name__, Named(replay.trace, _without(replay.trace, replay.idle)))

    def save(self, file: str | os.PathLike) -> None:
        """Write `.source()` into a file, which runs with NumPy alone."""
        text = self.source()
        with open(file, "w", encoding="utf-8") as page:
            page.write(text)

    def graph(self) -> Any:
        """The latest program before and after the passes, as a `bp.viz.Picture`."""
        importlib.import_module("tinygrad_bp.viz")  # a floor above; it puts its function there
        return UPSTAIRS["program"](self)

    def _last(self):
        if not self._replays:
            raise RuntimeError(
                message(
                    f"{self.__name__} has no program yet", do="call it until two calls agree, at least twice"
                )
            )
        return next(reversed(self._replays.values()))


def _disagreement(name, differs):
    return message(
        f"bp.compile saw no two calls of {name} in a row that do the same, among {TRACES}",
        expected="the same program, with the same constants",
        got=differs,
        do="pass what changes as an argument (an array), or use fallback=True",
    )


def compile(
    step: Callable, *, fallback: bool = False, check: bool = False, state: Any = (), passes: Any = PASSES
) -> Compiled:
    """The step, traced while it runs for the first times, and then replayed on preallocated buffers.

    `step`: any function over Tensors, arrays, Modules and optimizers; what it computes may depend on
    shapes and dtypes, not on values. `fallback`: where it does, run eagerly, with one warning.
    `check`: hold each replay against an eager call. `state`: Modules, optimizers, … that the step reaches
    in a way that its closure and globals do not show. Results are copies. Raises `Untraceable`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> square = bp.compile(bp.grad(lambda x: np.sum(x**3)))
    >>> [square(np.array([1.0, 2.0])).tolist() for _ in range(3)], square.stats["replays"]
    ([[3.0, 12.0], [3.0, 12.0], [3.0, 12.0]], 1)
    """
    return Compiled(step, fallback, check, state, passes)
