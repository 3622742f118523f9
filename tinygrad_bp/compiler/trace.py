"""One call of a step, run on Tracers: what it computes, what it returns, where its state stands.

The one idea: a trace is a real call. Tracers are put into the places of arguments and state, the step
runs, and afterwards all places have what an eager call would have left there; besides, there is a
`Program`. Read `jit.py` next.
"""

from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from .. import tree
from ..errors import message
from ..tensor import Tensor, constant
from ..writes import unshare
from .names import name_arguments, sighted
from .program import Program, Var, difference, shrunk
from .state import PLAIN, Slot, change, reachable
from .tracer import Tracer, Untraceable

_TRACING: ContextVar[bool] = ContextVar("tinygrad_bp.tracing", default=False)
tracing = _TRACING.get


@contextmanager
def _under_way():
    token = _TRACING.set(True)
    try:
        yield
    finally:
        _TRACING.reset(token)


class Trace:
    """The program of one call of `step`, which has then happened; `value` is what it returned.

    `slots[n]` is the place of the program's n-th state variable, `plain` the places of all that is no
    array. `unstable` says why the call cannot have done the same as the next one, or is None.
    `before`: an earlier one, which knows the state.
    `named`: note what things are called, for readers.
    """

    def __init__(self, step, call: "Signature", state: Any = (), named: bool = True, before: Any = None):
        self.program = Program()
        self.slots: list[Slot] = []
        roots = [(step, "step"), (state, "state"), *call.roots]
        found = reachable(roots, before and before.found)
        self.plain, self.sizes = found.plain, found.sizes
        tracers = [Tracer(self.program, a, self.program.new(a)) for a in call.arrays]
        self.program.inputs = [t.variable for t in tracers]
        placed = self._place(found.arrays)
        try:
            args, kwargs = call.rebuilt(tracers)
            if named:
                name_arguments(step, args, kwargs)
            with sighted(named) as sightings, _under_way():
                y = step(*args, **kwargs)
            self.cotangents = sightings.cotangents  # for names only
            _keep_tensors(found.tensors)
            self.found: Any = reachable(roots, found)
            self.unstable = None if self.found is found else change(found.plain, found.sizes)
            written = self._read(placed, self.found)
            self._take_results(y)
            _check_memory(placed, {slot.place for slot, _ in written}, self.program)
        finally:
            for slot, (value, family, _) in placed.items():
                slot.put(value)
                if slot.kind == "data":
                    slot.owner._handle, slot.owner._alias = family
            placed.clear()
        for slot, now in written:
            store(slot, now.value if type(now) is Tracer else now)
        self.written = [slot for slot, _ in written]
        self._reduce()

    def _reduce(self):
        """Leave out what the program has nothing to do with, and gradients that are set and not read.

        `idle`: the slots of such gradients; `gradients`: the Var of a Tensor's data -> that of its gradient.
        """
        program, state = self.program, dict(zip((slot.place for slot in self.slots), self.program.state))
        data = {id(slot.owner): v for slot, v in zip(self.slots, program.state) if slot.kind == "data"}
        read = {v for call in program.calls for v in call.inputs()} | set(program.results)
        grads = [slot for slot in (*self.slots, *self.written) if slot.kind == "grad"]
        idle = {slot.place: slot for slot in grads if state.get(slot.place) not in read}
        writes = [(slot, v) for slot, (_, v) in zip(self.written, program.writes)]
        self.idle, written = list(idle.values()), {slot.place for slot in self.written} - set(idle)
        self.gradients = {data[id(s.owner)]: v for s, v in writes if s.kind == "grad" and id(s.owner) in data}
        read.update(v for slot, v in writes if slot.place in written and type(v) is Var)
        used = [slot for slot in self.slots if state[slot.place] in read or slot.place in written]
        number = {slot.place: n for n, slot in enumerate(used)}
        self.slots, program.state = used, [state[place] for place in number]
        program.writes = [(number.get(s.place, s.place), v) for s, v in writes if s.place in written]
        for call in program.calls:
            if np.ndarray in map(type, call.args):
                call.args = shrunk(call.args)
        owners = {id(slot.owner) for slot in used}
        self.plain = [(slot, x) for slot, x in self.plain if type(x) is not Tensor or id(x) in owners]

    def _place(self, slots):
        """A Tracer in each slot; slot -> (its value, a Tensor's handle and family, which it leaves, the Tracer)."""
        placed: dict[Slot, tuple[Any, Any, Any]] = {}
        known: dict[int, Tracer] = {}
        for slot in slots:
            value = slot.get()
            if value is None:
                placed[slot] = (None, None, None)
                continue
            if id(value) not in known:
                own = value.view() if type(value) is np.ndarray else value  # not to look like a rule's hold
                known[id(value)] = Tracer(self.program, own, self.program.new(value))
                self.program.state.append(known[id(value)].variable)
                self.slots.append(slot)
            family = (slot.owner._handle, slot.owner._alias) if slot.kind == "data" else None
            placed[slot] = (value, family, known[id(value)])
            slot.put(known[id(value)])
            if family:
                slot.owner._alias = None
        return placed

    def _read(self, placed, after):
        """(slot, what stands there) for all that is not as before."""
        old = {slot.place: tracer for slot, (_, _, tracer) in placed.items()}
        number = {slot.place: n for n, slot in enumerate(self.slots)}
        written: list[tuple[Slot, Any]] = []
        for slot in after.arrays:
            now = slot.get()
            if now is not old.get(slot.place):
                written.append((slot, now))
                new = now.variable if type(now) is Tracer else now
                self.program.writes.append((number.get(slot.place, slot.place), new))
        return written

    def _take_results(self, y):
        leaves, self._rebuild = tree.flatten(y)
        traced = [constant(leaf) for leaf in leaves if type(constant(leaf)) is Tracer]
        self.program.results = [tracer.variable for tracer in traced]
        self.traced_values = [tracer.value for tracer in traced]
        kinds = [(type(constant(leaf)) is Tracer, type(leaf) is Tensor) for leaf in leaves]
        self.alone = kinds == [(True, True)] and y is leaves[0]
        self._leaves = [(*kind, None if kind[0] else leaf) for kind, leaf in zip(kinds, leaves)]
        self.value = self.returned(self.traced_values)

    def returned(self, values, fresh=frozenset()):
        """The step's result, around these values of its traced parts, copied but for those numbered in `fresh`."""
        copies = (v.copy() if type(v) is np.ndarray and n not in fresh else v for n, v in enumerate(values))
        if self.alone:
            return Tensor._of(next(copies), None)
        parts = [(next(copies) if traced else x, traced and tensor) for traced, tensor, x in self._leaves]
        return self._rebuild([Tensor._of(value, None) if tensor else value for value, tensor in parts])

    def differs(self, other: "Trace") -> str | None:
        """Why the two do not agree, or None."""
        plain, others = ({slot.place: x for slot, x in trace.plain} for trace in (self, other))
        pairs = zip(plain.values(), others.values())
        same = (v is w or (isinstance(v, PLAIN) and v == w) for v, w in pairs)
        if list(plain) != list(others) or not all(same):
            return self.unstable or other.unstable or "other values in reach of the step"
        places, now = ([slot.place for slot in trace.slots] for trace in (self, other))
        moved = None if places == now else "other arrays in reach of the step"
        return self.unstable or other.unstable or moved or difference(self.program, other.program)


def _check_memory(placed, written, program):
    """Raise for a write to memory that the step reads in another place, too: they are told apart here."""
    read = {v for call in program.calls for v in call.inputs()} | set(program.outputs())
    alive = [
        slot for slot, (_, _, tracer) in placed.items() if tracer is not None and tracer.variable in read
    ]
    for slot in placed:
        for other in alive if slot.kind == "data" and slot.place in written else ():
            a, b = placed[slot][0], placed[other][0]
            if a is not b and np.may_share_memory(a, b):
                what = f"the step writes to memory that it holds in two places: {other.path}, {slot.path}"
                raise Untraceable(message(what, do="keep one of them, and take the view inside the step"))


def _keep_tensors(places):
    """Where a constant Tensor was replaced by a computed one (`self.mean = …`), let the old one have its value."""
    for slot, tensor in places:
        now = slot.get()
        if type(now) is Tensor and now is not tensor and tensor._node is None:
            value = constant(now)
            alike = type(value) is Tracer and (value.shape, value.dtype) == (tensor.shape, tensor.dtype)
            if alike and sum(other is tensor for _, other in places) == 1:
                tensor._move(value)
                slot.put(tensor)


def store(slot: Slot, value: Any) -> None:
    """Let an array stand in the slot: a Tensor's in its own memory."""
    if slot.kind == "data" and np.shape(value) == slot.owner.shape:
        unshare(slot.owner)
        if type(slot.owner._data) is np.ndarray:
            slot.owner._data[...] = value
            return
    own: Any = None if value is None else np.array(value)
    slot.put(own[()] if isinstance(value, np.generic) else own)


class Signature:
    """A call's arguments: arrays, and all that must be the same for the same program to do, as a key.

    What is neither array nor number nor container (a Module, an optimizer) is a root of the state.
    `recorded`: is one of them a Tensor that a graph or a transform has computed?
    """

    def __init__(self, args, kwargs):
        self.recorded = False
        self.arrays: list[Any] = []
        self.roots: list[tuple[Any, str]] = []
        key: list = []
        self._structure = self._take((args, kwargs), key)
        self.key = tuple(key)

    def _take(self, x, key):
        if type(x) is np.ndarray or isinstance(x, np.generic):
            key.append((x.shape, x.dtype, type(x) is np.ndarray))
            self.arrays.append(x)
            return lambda new: next(new)
        if type(x) is Tensor and x._node is None:
            key.append(Tensor)  # what is returned may be one
            part = self._take(constant(x), key)
            return lambda new: Tensor._of(part(new), None)
        if type(x) in (tuple, list, dict):
            key.append((type(x), tuple(x) if type(x) is dict else len(x)))
            parts = [self._take(part, key) for part in (x.values() if type(x) is dict else x)]
            if type(x) is dict:
                return lambda new: {k: part(new) for k, part in zip(x, parts)}
            return lambda new: type(x)(part(new) for part in parts)
        if isinstance(x, (bool, int, float, complex, str, bytes, type(None))):
            key.append((type(x), x))
        else:
            if type(x) is Tensor:
                self.recorded |= x._node.op is not None or x._node.level != 0
            key.append(id(x))
            self.roots.append((x, type(x).__name__))
        return lambda new: x

    def rebuilt(self, arrays):
        """(args, kwargs) with these in the arrays' places."""
        return self._structure(iter(arrays))
