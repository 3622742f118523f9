"""`bp.compile(step)`: a training step, traced as it runs, then replayed on preallocated buffers.

The one idea: the first calls are real, and each is traced. Once two in a row came to the same program
with the same constants, that program is what the step does, and later calls replay it. What the
program cannot know is asked at every replay: do the flags, numbers and arrays in reach of the step
still stand where they stood? If not, the step is traced anew. Read `trace.py` first; `passes.py` says
what is done to a program, `replay.py` how it is run.
"""

import functools
import importlib
import os
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import message
from ..graph import AMBIENT, UPSTAIRS, held_at_fork
from .guards import MISSED, quick
from .passes import PASSES
from .replay import Replay
from .source import Named, source
from .trace import Signature, Trace, store, tracing
from .tracer import Untraceable

TRACES = 4
"""Calls that are traced at most until two agree."""
PROGRAMS = 16
"""Programs (for shapes, dtypes, flags) that are kept."""


class Compiled:
    """A step that is traced when it is called, and replayed once its program is known; see `compile`.

    `stats` counts traced, replayed and eager calls, and the bytes of the latest program's buffers.
    """

    __name__: str

    def __init__(self, step: Callable, fallback: bool, check: bool, state: Any, passes):
        functools.update_wrapper(self, step, updated=())
        self.step, self.fallback, self.check, self.state, self.passes = step, fallback, check, state, passes
        self._lock = held_at_fork(threading.RLock())
        self.stats = {"traces": 0, "replays": 0, "eager": 0}
        self._replays: dict[Any, Replay] = {}
        self._latest: dict[Any, tuple[int, Trace]] = {}
        self._eager: set = set()
        self._quick: Callable[[tuple], Any] = _never

    def __call__(self, *args, **kwargs):
        if not kwargs:
            found = self._quick(args)
            if found is not MISSED:
                return found
        return self._carefully(args, kwargs)

    def _carefully(self, args, kwargs):
        """What a call comes to that a quick replay is not known to be right for."""
        ambient = AMBIENT.get()
        if ambient.run is not None or ambient.level or tracing():
            return self.step(*args, **kwargs)  # a part of what is observed, differentiated, traced around it
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
                self._quick = _never
                return self._traced(key, args, kwargs)
            found = self._checked(replay, arrays, args, kwargs) if self.check else replay(arrays)
            if found is None:
                self.stats["eager"] += 1
                return self.step(*args, **kwargs)
            self.stats["replays"] += 1
            self._quick = self._quickly(replay, args, kwargs)
            return replay.trace.returned(found, replay.linked.fresh)

    def _quickly(self, replay, args, kwargs):
        """The quick way to replay this program again."""
        if kwargs or self.check:
            return _never
        if replay.quick is None:
            replay.quick = quick(replay, args, self._lock, self.stats)
        return replay.quick or _never

    def _traced(self, key, args, kwargs):
        """The value of the step, which is traced; if two traces agree, their program is replayed from now on."""
        if key in self._eager:
            self.stats["eager"] += 1
            return self.step(*args, **kwargs)
        self.stats["traces"] += 1
        count, before = self._latest.get(key, (0, None))
        try:
            trace = Trace(self.step, Signature(args, kwargs), self.state, before is not None, before)
        except Untraceable as error:
            self._give_up(key, error)
            self.stats["eager"] += 1
            return self.step(*args, **kwargs)
        self._latest.pop(key, None)
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
        expected = Trace(self.step, Signature(args, kwargs), self.state, named=False)
        values = [
            *zip(found, (v for v in expected.traced_values), (f"result {i}" for i in range(len(found)))),
            *zip(after, (slot.get() for slot in slots), (slot.path for slot in slots)),
        ]
        for ours, eager, name in values:
            tolerance = 1e3 * np.finfo(eager.dtype).eps if eager.dtype.kind in "fc" else 0
            absolute = tolerance * np.max(np.abs(eager), initial=0)
            if not np.allclose(ours, eager, rtol=tolerance, atol=absolute, equal_nan=True):
                what = f"a replay of {self.__name__} came to another value of {name} than an eager call"
                got, do = f"a deviation of {np.max(np.abs(ours - eager)):.1e}", "please report the step"
                raise RuntimeError(message(what, got=got, do=f"use fallback=True, and {do}"))
        return found

    @property
    def program(self):
        """The program of the latest replay, after the passes."""
        return self._last().program

    @property
    def programs(self):
        """The latest program before the passes and after them; what has a name, such as W2 or z2, bears it."""
        replay = self._last()
        Named(replay.trace)
        return replay.trace.program, replay.program

    def source(self) -> str:
        """The latest program as a module of plain NumPy: the step, with names of the user's and the book's."""
        replay = self._last()
        return source(self.__name__, Named(replay.trace))

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
            do = "call it until two calls agree, at least twice"
            raise RuntimeError(message(f"{self.__name__} has no program yet", do=do))
        return next(reversed(self._replays.values()))


def _never(args):
    """There is no quick way."""
    return MISSED


def _disagreement(name, differs):
    what = f"bp.compile saw no two calls of {name} in a row that do the same, among {TRACES}"
    do = "pass what changes as an argument (an array), or use fallback=True"
    return message(what, expected="the same program, with the same constants", got=differs, do=do)


def compile(
    step: Callable, *, fallback: bool = False, check: bool = False, state: Any = (), passes: Any = PASSES
) -> Compiled:
    """The step, traced while it runs for the first times, and then replayed on preallocated buffers.

    `step`: any function over Tensors, arrays, Modules and optimizers; what it computes may depend on
    shapes and dtypes, not on values. `fallback`: where it does, run eagerly, with one warning.
    `check`: hold each replay against an eager call. `state`: Modules, optimizers, … that the step reaches
    in a way that its closure and globals do not show. No later call changes a result. Raises `Untraceable`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> square = bp.compile(bp.grad(lambda x: np.sum(x**3)))
    >>> [square(np.array([1.0, 2.0])).tolist() for _ in range(3)], square.stats["replays"]
    ([[3.0, 12.0], [3.0, 12.0], [3.0, 12.0]], 1)
    """
    return Compiled(step, fallback, check, state, passes)
