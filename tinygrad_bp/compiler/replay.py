"""A program that is run again and again on the state of the step as it stands now.

The one idea: arrays that stay where they are (parameters, velocities) are bound to the program once,
others are read at every replay. A replay that meets an invalid value has written nothing yet and
gives up. Read `jit.py` next.
"""

import contextvars
import functools
import weakref
from typing import Any

import numpy as np

from ..views import leased, root_of
from ..writes import unshare
from .arena import settle
from .blas import subtract_product
from .codegen import Linker
from .guards import Questions
from .passes import optimized
from .shorter import generators
from .state import change
from .trace import Trace


class Replay:
    """A program that two traces agreed on, bound to its state."""

    def __init__(self, trace: Trace, passes):
        self.trace, self.count, trace.found = trace, 0, None  # what it found was for the next trace
        self.flags: list = []
        self.program = optimized(trace.program, passes)
        self.generators = [rng for call in self.program.calls for rng in generators(call)]
        self.written = {place for place, _ in self.program.writes if isinstance(place, int)}
        self.link()

    def link(self) -> None:
        """Bind the program to the arrays that stand in the slots now."""
        used = {v for call in self.program.calls for v in call.inputs()} | set(self.program.outputs())
        slots = list(zip(self.program.state, self.trace.slots, range(len(self.trace.slots))))
        for slot in self.trace.idle:
            slot.put(None)  # a gradient that the step itself does not read is not computed
        parameters = [t.owner for _, t, n in slots if n in self.written and t.kind == "data"]
        self.roots = [root_of(t) for t in parameters]
        for root in self.roots:
            unshare(root)
        if parameters:
            settle(parameters)
        fixed, self.tensors, self.owned, live = {}, [], [], []
        for v, slot, n in slots:
            if v not in used and n not in self.written:
                continue
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
        self.quick: Any = None
        program = self.program.of(self.program.calls)  # its tables go when it is linked
        self.linked = Linker(program, fixed, [v for v, _ in live], self.flags).link()
        self.live, self.enter = live, self._entrance()
        self.__dict__.pop("bound", None)
        places = {slot.place: slot for slot in self.trace.written}
        self.others = [self.trace.slots[p] if isinstance(p, int) else places[p] for p in self.linked.scalars]

    def _entrance(self):
        """enter(run, *arrays) is run(*arrays) where NumPy warns of nothing and notes what is invalid."""
        flags = self.flags  # alone: what errstate calls is out of the cyclic collector's sight
        quiet = np.errstate(all="ignore", invalid="call", call=lambda kind, _: flags.append(kind))
        functions = {call.function for call in self.program.calls}
        if not all(map(_is_numpy, functions)):  # it may look at its context
            return quiet(lambda run, *arrays: run(*arrays))
        context = contextvars.Context()
        context.run(quiet.__enter__)  # once for all replays, which is cheaper
        return context.run

    @functools.cached_property
    def same(self):
        """Asks what `holds` asks, and quickly: compiled when it is asked for the second time."""
        return Questions().plain(self.trace.plain, self.trace.sizes).function()

    @functools.cached_property
    def bound(self):
        """Asks what `_still_bound` asks."""
        return Questions().bound(self.tensors, self.roots, self.owned).function()

    def holds(self) -> bool:
        """Do all flags and numbers in reach stand where they stood, and nothing else?"""
        self.count += 1
        try:
            if self.count > 1 and self.same():
                return True
        except (LookupError, ValueError):
            return False
        return not change(self.trace.plain, self.trace.sizes)

    def _still_bound(self):
        """`bound`, where a root has views: none of their arrays may be needed by a graph that was kept."""
        there = all(t._data is d() for t, d in self.tensors) and not any(map(leased, self.roots))
        return there and all(slot.get() is array for slot, array in self.owned)

    def __call__(self, arrays):
        """The values of the step's results, or None if only an eager call can be right."""
        if not ((self.count > 1 and self.bound()) or self._still_bound()):
            self.link()
        live = [slot.get() for _, slot in self.live]
        if [(a.shape, a.dtype) for a in live] != [(v.shape, v.dtype) for v, _ in self.live]:
            return None
        before = [(rng, rng.bit_generator.state) for rng in self.generators]
        self.flags.clear()
        found = self.enter(self.linked.run, *arrays, *live)
        self.flags.clear()
        if found is not None:
            for slot, value in zip(self.others, found[1]):
                slot.put(value)
            return found[0]
        for rng, state in before:
            rng.bit_generator.state = state
        return None


def _is_numpy(function):
    home = (getattr(function, "__module__", None) or "numpy").partition(".")[0]
    return home in ("numpy", "_operator") or function is subtract_product
