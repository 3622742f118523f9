"""Derivatives of indexing: what was taken from a place is added back to it."""

import operator

import numpy as np

from ..primitive import defvjp, primitive


def _is_basic(index):
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is ... or isinstance(part, (int, np.integer, slice)) for part in parts)


@primitive
def scatter(x, index, shape):
    """Zeros of `shape` with x added at `index`, as often as an element is named: getitem's transpose."""
    total = np.zeros(shape, x.dtype)
    if _is_basic(index):
        total[index] = x
    else:
        np.add.at(total, index, x)
    return total


defvjp(operator.getitem, lambda g, _y, _x, index: scatter(g, index, _x.shape), None, view=True, selects=True)
defvjp(scatter, lambda g, _y, _x, index, shape: g[index])
