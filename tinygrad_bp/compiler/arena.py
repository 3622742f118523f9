"""All small parameters of a step in one piece of memory, so that one call updates them all.

The one idea: where a parameter's numbers stand is nobody's business as long as nobody else holds its
array. So parameters are moved, each to the beginning of a cache line, one behind the other; the
changes are computed into a second such piece, and `w -= η ∂C/∂w` for all is one subtraction. What
lies between them is 0 in both. Read `replay.py` next.
"""

import sys
import weakref
from typing import Any

import numpy as np

from ..tensor import Tensor
from .blas import subtract_product
from .places import LINE, Places, aligned, bases, is_elementwise, is_product
from .program import Call, Program, Var

LARGEST = 1 << 20
"""Bytes of parameters up to which they are put together: beyond that the calls are not what costs."""
_ARENAS: weakref.WeakValueDictionary[int, np.ndarray] = weakref.WeakValueDictionary()


def settle(tensors: list[Tensor]) -> None:
    """Move parameters whose arrays nobody else holds: together if they are small, else to a cache line's start."""
    if len({id(t._data.base) for t in tensors}) == 1 and id(tensors[0]._data.base) in _ARENAS:
        return
    movable = [t for t in tensors if _is_alone(t)]
    together = len(movable) == len(tensors) > 1 and len({t.dtype for t in tensors}) == 1
    if together and sum(map(_room, movable)) <= LARGEST:
        raw: Any = aligned(sum(map(_room, movable)))
        raw[...] = 0
        _ARENAS[id(raw.base)] = raw.base
        for t in sorted(movable, key=lambda t: -t.size):  # so that the small ones are neighbours
            _move(t, raw)
            raw = raw[_room(t) :]
        return
    for t in movable:
        if t._data.ctypes.data % LINE:
            _move(t, aligned(t.nbytes))


def _room(t):
    return -(-t.nbytes // LINE) * LINE


def _move(t, raw):
    array = raw[: t.nbytes].view(t.dtype).reshape(t.shape)
    array[...] = t._data
    t._move(array)


def _is_alone(t):
    """Has nobody but the Tensor its array?"""
    plain = t._handle is not None and not t._alias and t._data.flags.c_contiguous and t.size > 0
    return plain and sys.getrefcount(t._handle) <= _ALONE and t._handle.base is None


_probe = Tensor(np.empty(1))
_ALONE = sys.getrefcount(_probe._handle)


def commits_of(program: Program) -> dict[Var, int]:
    """New state -> its place, for values that may be computed right into it, after all else has run."""
    commits: dict[Var, int] = {}
    for place, v in program.writes:
        old = program.state[place] if isinstance(place, int) else None
        call = program.made.get(v)
        if old is None or call is None or not v.is_array:
            continue
        in_place = type(call.function) is np.ufunc or call.function is subtract_product
        alone = len(program.readers[v]) == 1  # it is written, and that is all
        if in_place and alone and call.args and (v.shape, v.dtype) == (old.shape, old.dtype):
            commits[v] = place
    return commits


def needs_old(program: Program, commits: dict[Var, int]) -> set[Call]:
    """Of the calls that give new state those that read the old one of another place, or a part of their own."""
    base = bases(program)
    written = {program.state[place] for place, _ in program.writes if isinstance(place, int)}
    calls = {program.made[v]: program.state[place] for v, place in commits.items()}
    return {
        call
        for call, old in calls.items()
        if any(base.get(v, v) in written and v is not old for v in call.inputs())
    }


def put_off(program: Program, commits: dict[Var, int], apart: set[Call]) -> Program:
    """The program with the calls that give new state made last, those of `apart` before the others."""
    new = {program.made[v]: None for v in commits}
    first = [call for call in program.calls if call not in new]
    return program.of(
        [*first, *(call for call in new if call in apart), *(call for call in new if call not in apart)]
    )


def memory_of(w: np.ndarray) -> np.ndarray:
    """All of the arena that w is in, or w."""
    return w.base if w.base is not None and id(w.base) in _ARENAS else w


def joint_update(
    places: Places, calls: dict[Call, np.ndarray], uses
) -> tuple[set[Call], np.ndarray, np.ndarray]:
    """The calls w − d of neighbours in an arena, all w, and all d, for which places are kept; no calls if there are gaps.

    `calls`: those that give new state -> the array of the old. `uses`: Var -> who reads it.
    """
    program = places.program
    made = program.made
    found: dict[Call, np.ndarray] = {}
    for call, w in calls.items():
        d = call.args[-1]
        source = made.get(d) if type(d) is Var else None
        if call.function is np.subtract and places.fixed.get(call.args[0]) is w and id(w.base) in _ARENAS:
            own = source is not None and (is_elementwise(source) or is_product(source)) and len(uses[d]) == 1
            if own and (d.shape, d.dtype) == (w.shape, w.dtype) and d not in places.turned:
                found[call] = w
    nothing: tuple = (set(), np.empty(0), np.empty(0))
    if len({id(w.base) for w in found.values()}) != 1:
        return nothing
    places_in = {call: w.ctypes.data for call, w in found.items()}
    raw: Any = next(iter(found.values())).base
    first, length = min(places_in.values()), sum(map(_room, found.values()))
    if max(at + _room(found[call]) for call, at in places_in.items()) != first + length:
        return nothing
    start = first - raw.ctypes.data
    old, new = raw[start : start + length], aligned(length)
    new[...] = 0
    places.bytes += new.nbytes
    for call, w in found.items():
        offset = places_in[call] - first
        places.kept[call.args[1]] = new[offset : offset + w.nbytes].view(w.dtype).reshape(w.shape)
    return set(found), old.view(w.dtype), new.view(w.dtype)
