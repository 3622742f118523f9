"""Memory that the user holds too, and over which several Tensors may have been made: `bp.Tensor(nd)` twice.

The one idea: every Tensor over an array of the user's (given to us, or given away by `.data`) is
noted under the array that owns the memory. A second Tensor in the same place becomes a view of the
first, so that writes are followed as usual. Tensors that overlap in any other way cannot follow each
other: a write that the other would have to know of is an error. Read `methods.py` next.
"""

import functools
import weakref

import numpy as np

from .errors import message
from .views import adopt, leased, registry, root_of

_OWNERS: dict[int, tuple] = {}
"""id of an array that owns memory -> (weakly that array, {place: [(weakly the root of a family there,
weakly its array, its list of views)]})."""
_CROWDED: set[int] = set()
"""The ids of those that have had more than one family."""


def note(t):
    """The user holds an array on the memory of t: remember t's family, or let it join one in its place."""
    owner, root = _owner(t._data), root_of(t)
    known = _OWNERS.get(id(owner))
    if known is None or known[0]() is not owner:
        known = _OWNERS[id(owner)] = weakref.ref(owner, functools.partial(_forget, id(owner))), {}
    families = known[1]
    if t is root and t._alias is None:
        place = _place(t._data)
        for first in [first() for first, _, _ in families.get(place, ())]:
            if first is not None and first is not t and _place(first._data) == place:
                return adopt(t, first, (), detached=first._node is not None)
    if len(families) > 32:
        for place in [place for place, found in families.items() if not any(map(_living, found))]:
            del families[place]
    here = families.setdefault(_place(root._data), [])
    if all(known() is not root for known, _, _ in here):
        here.append((weakref.ref(root), weakref.ref(root._data), registry(root)))
    if len(families) > 1 or len(here) > 1:
        _CROWDED.add(id(owner))


def _forget(key, _):
    _OWNERS.pop(key, None)
    _CROWDED.discard(key)


def check(root, recorded):
    """Raise if a write to `root` would have to be known to a family that merely overlaps it."""
    if (
        not _CROWDED
        or type(root._data) is not np.ndarray
        or (owner := id(_owner(root._data))) not in _CROWDED
    ):
        return
    for other, array, views in [entry for found in _OWNERS[owner][1].values() for entry in found]:
        family = other()
        if family is root or (family is not None and not _overlap(family._data, root._data)):
            continue
        if family is None:
            needed = [a for a in (array(), *(held() for _, held in views)) if a is not None]
            conflict = any(_overlap(a, root._data) for a in needed)
        else:
            conflict = recorded or leased(root) or leased(family)
        if conflict:
            raise ValueError(
                message(
                    "a write to memory that another Tensor has as well, made over an overlapping array",
                    expected="one Tensor and its views, or memory that no backward pass needs",
                    got=f"a write to shape {root.shape}"
                    + ("" if family is None else f", another Tensor of shape {family.shape}"),
                    do="make one of them with bp.tensor, which copies, or as a view of the other: b = a[1:]",
                )
            )


def _owner(array):
    while type(array.base) is np.ndarray:
        array = array.base
    return array


def _place(array):
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


def _living(entry):
    root, array, views = entry
    return root() is not None or array() is not None or any(held() is not None for _, held in views)


def _overlap(a, b):
    return np.may_share_memory(a, b) and np.shares_memory(a, b)
