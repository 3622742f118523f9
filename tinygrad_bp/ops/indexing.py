"""Derivatives of indexing: what was taken from a place is added back to it.

Slices, integers, `None`, `...`, integer arrays and boolean masks: one rule. Read `../backward.py`
next, where the rules are used.
"""

import operator

import numpy as np

from ..primitive import REGISTRY, Op, defvjp, primitive


def names_once(index):
    """Does `index` name no element twice? Slices, integers and boolean masks cannot."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None
        or part is ...
        or isinstance(part, (int, np.integer, np.bool_, slice))
        or (isinstance(part, np.ndarray) and part.dtype == bool)
        for part in parts
    )


def flat(a, axis):
    """(a, axis), where an axis of None means all of a in one."""
    return (np.ravel(a), 0) if axis is None else (a, axis % np.ndim(a))


@primitive
def scatter(x, index, shape):
    """Zeros of `shape` with x added at `index`, as often as an element is named: getitem's transpose."""
    total = np.zeros(shape, x.dtype)
    if names_once(index):
        total[index] = x
    else:
        np.add.at(total, index, x)
    return total


def _add_at(total, x, index):
    if names_once(index):
        total[index] += x
    else:
        np.add.at(total, index, x)


@primitive
def put(a, value, index):
    """A copy of a with `value` at `index`: NumPy's `a[index] = value` as a function."""
    new = np.array(a, order="K")
    new[index] = value
    return new


@primitive
def erase(a, index):
    """A copy of a with 0 at `index`."""
    new = np.array(a, order="K")
    new[index] = 0
    return new


@primitive
def put_sum(a, value, index):
    """A copy of a with `value` added at `index`, as often as an element is named: `np.add.at` as a function."""
    new = np.array(a, order="K")
    np.add.at(new, index, value)
    return new


def getitem(a, index):
    """a[index], as `operator.getitem`, which takes no keywords."""
    return a[index]


REGISTRY.update(
    {
        operator.getitem: Op(
            getitem,
            [lambda g, _y, _x, index: scatter(g, index, _x.shape)],
            view=True,
            selects=True,
            adds=lambda total, g, _x, index: _add_at(total, g, index),
        )
    }
)
defvjp(scatter, lambda g, _y, _x, index, shape: g[index])
defvjp(
    put,
    lambda g, _y, _a, _value, index: erase(g, index),
    lambda g, _y, _a, _value, index: g[index],
    selects=True,
    erases=lambda g, _a, _value, index: operator.setitem(g, index, 0),
)
defvjp(put_sum, lambda g, _y, _a, _value, index: g, lambda g, _y, _a, _value, index: g[index])
defvjp(erase, lambda g, _y, _a, index: erase(g, index), selects=True)
