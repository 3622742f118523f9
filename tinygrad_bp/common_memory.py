"""Memory that the user holds too, and over which several Tensors may have been made: `bp.Tensor(nd)` twice.

The one idea: every Tensor over an array of the user's (given to us, or given away by `.data`) is
noted under the object that owns the memory. A second Tensor in the same place becomes a view of the
first, so that writes are followed as usual. Tensors that overlap in any other way cannot follow each
other: a write that the other would have to know of is an error. Read `methods.py` next.
"""

import functools
import itertools
import threading
import weakref
from bisect import bisect_left, insort

import numpy as np

from .errors import message
from .graph import AMBIENT, held_at_fork
from .views import adopt, leased, registry, root_of

_OWNERS: dict[int, "_Families"] = {}
"""id of what owns memory -> the families of Tensors over it."""
_SHARED: set[int] = set()
"""ids of those owners over whose memory more than one family was noted: mostly none, so a write asks here first."""
# an RLock, since the collector may come by at any time, and finalizers may make Tensors
_lock = held_at_fork(threading.RLock())
_serial = itertools.count().__next__


class _Families:
    """Sorted entries (first byte, end, serial, weakly a family's root, weakly its array, its list of views).

    An entry stands for the root's array as it was noted. If the root is dead, or has another array
    now, then whoever still holds this one is a rule that needs its values.
    """

    __slots__ = ("entries", "limit", "longest", "watch")

    def __init__(self):
        self.entries: list[tuple] = []
        self.limit, self.longest = 32, 0

    def near(self, low, high):
        """The entries that may reach into the bytes from `low` to `high`."""
        start, end = bisect_left(self.entries, (low - self.longest,)), bisect_left(self.entries, (high,))
        return [entry for entry in self.entries[start:end] if entry[1] > low]


def note(t):
    """The user holds an array on the memory of t: remember t's family, or let it join one in its place."""
    root = root_of(t)
    own = array_of(root)
    with _lock:
        families = _families_over(own)
        low, high = _bounds(own)
        entries = families.entries
        i = bisect_left(entries, (low, high))
        while i < len(entries) and entries[i][:2] == (low, high):
            first, array = entries[i][3](), entries[i][4]
            if not _living(entries[i]):
                del entries[i]
                continue
            i += 1
            if not _stays(first, array):
                continue
            if first is root:
                return
            if t is root and t._alias is None and _layout(array_of(first)) == _layout(own):
                adopt(t, first, (), detached=first._node is not None)
                return
        if len(entries) >= families.limit:
            entries[:] = filter(_living, entries)
            families.limit = max(32, 2 * len(entries))  # so that looking through them costs little on average
        families.longest = max(families.longest, high - low)
        insort(entries, (low, high, _serial(), weakref.ref(root), weakref.ref(own), registry(root)))
        if len(entries) > 1:
            _SHARED.add(id(_owner(own)))


def array_of(root):
    """The array under a root, whose data is a Tensor under a transform of a transform."""
    while type(root._data) is type(root):
        root = root._data
    return root._data


def check(root, recorded):
    """Raise if a write to `root` would have to be known to a family that merely overlaps it."""
    if not _SHARED or type(root._data) is not np.ndarray:
        return
    families = _OWNERS.get(id(_owner(root._data)))
    if families is None or len(families.entries) < 2:
        return
    with _lock:  # also since what another thread holds for a moment, looking, would pass for a lease
        found = [
            other
            for *_, other, array, views in families.near(*_bounds(root._data))
            if _conflict(root, recorded, other(), array, views)
        ]
    if found:
        family = found[0]()
        raise ValueError(
            message(
                "a write to memory that another Tensor has as well, made over an overlapping array",
                expected="one Tensor and its views, or memory that no backward pass needs",
                got=f"a write to shape {root.shape}"
                + ("" if family is None else f", another Tensor of shape {family.shape}"),
                do="make one of them with bp.tensor, which copies, or as a view of the other: b = a[1:]",
            )
        )


def _conflict(root, recorded, family, array, views):
    stays = _stays(family, array)
    if array() is root._data or (stays and family is root):
        return False
    if stays:
        known = recorded or leased(root) or leased(family) or _computed(family)
        return known and _overlap(array_of(family), root._data)
    needed = [array(), *(held() for _, held in views)]
    return any(a is not None and _overlap(a, root._data) for a in needed)


def _computed(root):
    """Does it record, and not as a leaf? Then what is overwritten in it has no gradient any more."""
    node = root._node
    return node is not None and node.op is not None and node.level > AMBIENT.get().blocked


def _stays(root, array):
    """Is the root's array the one that was noted, or a view that took its place (see `views.adopt`)?"""
    if root is None:
        return False
    own = array_of(root)
    return own is array() or (own.base is array() is not None)


def _families_over(array):
    key = id(_owner(array))
    families = _OWNERS.get(key)
    if families is None:
        families = _OWNERS[key] = _Families()
        _watch(key, families, array)
    return families


def _watch(key, families, array):
    """Forget the families once the last array before the owner is gone (a bytearray cannot be watched)."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    families.watch = weakref.ref(array, functools.partial(_forget, key))


def _forget(key, _):
    with _lock:
        families = _OWNERS.pop(key, None)
        _SHARED.discard(key)
        for *_, array, views in families.entries if families else ():
            for held in (array, *(held for _, held in views)):
                alive = held()
                if families is not None and alive is not None:  # over a buffer, as several arrays may be
                    _OWNERS[key] = families
                    _SHARED.add(key)
                    return _watch(key, families, alive)


def _owner(array):
    """What owns the memory: an ndarray, or the buffer or the file that it was made over."""
    while True:
        base = array.obj if type(array) is memoryview else getattr(array, "base", None)
        if base is None or base is array:
            return array
        array = base


def _bounds(array):
    """The addresses of its first byte and of the end."""
    low = high = array.__array_interface__["data"][0]
    if array.flags.c_contiguous:
        return low, low + array.nbytes
    if not array.size:
        return low, low
    for n, stride in zip(array.shape, array.strides):
        if stride > 0:
            high += (n - 1) * stride
        else:
            low += (n - 1) * stride
    return low, high + array.itemsize


def _layout(array):
    return array.shape, array.strides, array.dtype


def _living(entry):
    *_, array, views = entry
    return array() is not None or any(held() is not None for _, held in views)


def _overlap(a, b):
    return np.may_share_memory(a, b) and np.shares_memory(a, b)
