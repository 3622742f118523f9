"""Derivatives of reductions: sums, means, variances, extrema over axes.

The cotangent of a reduction has fewer axes than the argument; `_kept` puts them back with length 1,
and `spread` repeats it along them. Ties of max and min share the gradient equally.
"""

import numpy as np

from ..primitive import defvjp, nondifferentiable, primitive
from .elementwise import reciprocal_or_zero

SMALL = 8192
"""Elements up to which a filled copy is quicker than a broadcast view."""


@primitive
def spread(g, shape):
    """g broadcast to `shape`."""
    size = 1
    for length in shape:
        size *= length
    if size > SMALL:
        return np.broadcast_to(g, shape)
    filled = np.empty(shape, g.dtype)
    filled[...] = g
    return filled


def _kept(g, x, axis, keepdims):
    """g with the reduced axes put back, of length 1."""
    if axis is None or keepdims:
        return g
    axes = axis if isinstance(axis, tuple) else (axis,)
    reduced = {i % x.ndim for i in axes}
    return np.reshape(g, tuple(1 if i in reduced else n for i, n in enumerate(x.shape)))


def _deviation(a, axis):
    """Conjugate of a − mean(a): half the derivative of |a − mean|², as the mean's own share cancels."""
    deviation = a - np.mean(a, axis=axis, keepdims=True)
    return np.conjugate(deviation) if deviation.dtype.kind == "c" else deviation


def _extremum(g, y, a, axis=None, keepdims=False):
    """Σ over ties: each gets an equal share."""
    ties = a == _kept(y, a, axis, keepdims)
    count = np.sum(ties, axis=axis, keepdims=True, dtype=g.dtype)
    return _kept(g, a, axis, keepdims) * (ties / count)


# fmt: off
defvjp(spread,  lambda g, _y, _x, shape: g, broadcasts="elementwise")
defvjp(np.sum,  lambda g, _y, _a, axis=None, dtype=None, keepdims=False:
                    spread(_kept(g, _a, axis, keepdims), _a.shape))
defvjp(np.mean, lambda g, _y, _a, axis=None, dtype=None, keepdims=False:
                    spread(_kept(g, _a, axis, keepdims) / (_a.size / g.size), _a.shape))
defvjp(np.var,  lambda g, _y, a, axis=None, dtype=None, ddof=0, keepdims=False:
                    _kept(g, a, axis, keepdims) * 2 * _deviation(a, axis) / (a.size // g.size - ddof))
defvjp(np.std,  lambda g, y, a, axis=None, dtype=None, ddof=0, keepdims=False:
                    _kept(g * reciprocal_or_zero(y), a, axis, keepdims)
                    * _deviation(a, axis) / (a.size // g.size - ddof))
defvjp(np.max,  _extremum)
defvjp(np.min,  _extremum)
# fmt: on

for _constant in (
    np.any, np.all, np.argmax, np.argmin, np.argsort, np.nonzero, np.count_nonzero, np.searchsorted,
    np.flatnonzero, np.argwhere, np.shape, np.ndim, np.size, np.result_type,
    np.zeros_like, np.ones_like, np.empty_like, np.array2string, np.array_repr, np.array_str,
    np.shares_memory, np.may_share_memory,
):  # fmt: skip
    nondifferentiable(_constant)
