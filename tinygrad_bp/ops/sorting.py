"""Derivatives of sorting and choosing: the cotangent goes back to the element that was chosen.

Where elements are equal, that is the one which a stable sort, or `np.unique`, names. What was not
chosen gets 0, whatever its value. Read `indexing.py` next, on whose `scatter` and `put` this stands.
"""

import numpy as np

from ..errors import NotDifferentiable, message
from ..primitive import composite, defvjp, nondifferentiable, primitive, refused
from .indexing import flat, put, scatter


@primitive
def unsort(g, order, axis=-1):
    """Each element of g at the place along `axis` that `order`, a permutation, names for it."""
    placed = np.empty_like(g)
    np.put_along_axis(placed, order, g, axis)
    return placed


@nondifferentiable
def unique_places(a, axis=None, equal_nan=True):
    """Where np.unique finds each of its values first, their inverse and their counts."""
    return np.unique(a, True, True, True, axis, equal_nan=equal_nan)[1:]


def _sort(g, _y, a, axis=-1, kind=None, order=None, *, stable=None):
    places = np.argsort(a, axis=axis, kind="stable")
    return unsort(g, places, axis) if axis is not None else np.reshape(unsort(g, places), a.shape)


def _partition(g, y, a, kth=None, axis=-1, kind="introselect", order=None):
    """NumPy leaves open how a partition orders its two parts; sorting both y and a tells."""
    if axis is None:
        return np.reshape(_partition(g, y, np.ravel(a)), a.shape)
    return unsort(np.take_along_axis(g, np.argsort(y, axis=axis), axis), np.argsort(a, axis=axis), axis)


def _within(indices, n, mode):
    """The indices that mode= makes of those out of bounds."""
    if mode == "raise":
        return indices
    return np.remainder(indices, n) if mode == "wrap" else np.clip(indices, 0, n - 1)


def _take(g, _y, _a, indices, axis=None, mode="raise"):
    shape = (_a.size,) if axis is None else _a.shape
    axis = (axis or 0) % len(shape)
    places = _within(indices, shape[axis], mode)
    return np.reshape(scatter(g, (slice(None),) * axis + (places,), shape), _a.shape)


def _take_along_axis(g, _y, _arr, indices, axis=-1):
    """The other axes' indices count from 0: one array each, which broadcasts."""
    if axis is None:
        return np.reshape(scatter(g, (indices,), (_arr.size,)), _arr.shape)
    n, axis = _arr.ndim, axis % _arr.ndim
    counts = (np.reshape(np.arange(m), (-1, *(1,) * (n - 1 - i))) for i, m in enumerate(_arr.shape))
    return scatter(g, tuple(indices if i == axis else count for i, count in enumerate(counts)), _arr.shape)


def _without_out(name, out):
    """np.choose and np.compress take an array to write to by place, too."""
    if out is not None:
        raise TypeError(message(f"{name} was given an array to write to", do="give it by name, as out="))


def _compress(condition, a, axis=None, out=None):
    _without_out("compress", out)
    a, axis = flat(a, axis)
    return np.take(a, np.flatnonzero(condition), axis)


def _choose(a, choices, out=None, mode="raise"):
    _without_out("choose", out)
    a, y = _within(a, len(choices), mode), choices[0]
    y = np.where(np.equal(a, 0), y, y)  # in a's shape, too
    for i in range(1, len(choices)):
        y = np.where(np.equal(a, i), choices[i], y)
    return y


def _select(condlist, choicelist, default=0):
    y = default
    for condition, choice in zip(condlist[::-1], choicelist[::-1]):
        y = np.where(condition, choice, y)
    return y


def _piecewise(x, condlist, funclist, *args, **kw):
    """f(x) by the last f of `funclist` whose condition holds; one f more is for where none does, else 0."""
    if np.ndim(condlist) == 0 or (np.ndim(condlist[0]) == 0 and np.ndim(x)):
        condlist = [condlist]
    conditions = np.asarray(condlist, bool)
    if len(conditions) == len(funclist) - 1:
        conditions = np.concatenate([conditions, ~np.any(conditions, axis=0, keepdims=True)])
    elif len(conditions) != len(funclist):
        raise ValueError(
            message("piecewise needs one function per condition", expected=f"{len(conditions)}, or one more",
                    got=len(funclist))
        )  # fmt: skip
    y = np.zeros_like(x)
    for condition, f in zip(conditions, funclist):
        if np.any(condition):
            chosen = x[condition]
            value = f(chosen, *args, **kw) if callable(f) else f
            y = put(y, np.broadcast_to(value, chosen.shape), index=condition)
    return y


def _sort_complex(a):
    return np.sort(a) if a.dtype.kind == "c" else np.sort(a).astype(complex)


def _unique(ar, index=False, inverse=False, counts=False, axis=None, *, equal_nan=True, sorted=True, **named):
    if not sorted:
        raise NotDifferentiable(message("np.unique of a Tensor with sorted=False", do="leave it out"))
    a, along = flat(ar, axis)
    parts = unique_places(ar, axis=axis, equal_nan=equal_nan)
    values = np.take(a, parts[0], along)
    asked = index, inverse, counts
    names = "return_index", "return_inverse", "return_counts"
    wanted = [part for part, yes, name in zip(parts, asked, names) if named.get(name, yes)]
    return (values, *wanted) if wanted else values


# fmt: off
defvjp(unsort,             lambda g, _y, _g, order, axis=-1: np.take_along_axis(g, order, axis), None)
defvjp(np.sort,            _sort)
defvjp(np.partition,       _partition)
defvjp(np.take,            _take, None, selects=True)
defvjp(np.take_along_axis, _take_along_axis, None, selects=True)

composite(np.compress,     _compress)
composite(np.extract,      lambda condition, arr: np.ravel(arr)[np.flatnonzero(condition)])
composite(np.choose,       _choose)
composite(np.select,       _select)
composite(np.piecewise,    _piecewise, calls_back=True)
composite(np.sort_complex, _sort_complex)
composite(np.unique,       _unique)
composite(np.unique_all,   lambda x: _unique(x, True, True, True, equal_nan=False))
composite(np.unique_counts,  lambda x: _unique(x, counts=True, equal_nan=False))
composite(np.unique_inverse, lambda x: _unique(x, inverse=True, equal_nan=False))
# fmt: on

refused(np.unique_values, "use np.unique, whose order is known")
for _set_function in (np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d):
    refused(_set_function, "choose with np.isin, and join with np.concatenate and np.unique")

for _constant in (np.argpartition, np.lexsort, np.isin):
    nondifferentiable(_constant)
