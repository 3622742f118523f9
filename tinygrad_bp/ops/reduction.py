"""Derivatives of reductions: sums, means, variances, extrema over axes.

The cotangent of a reduction has fewer axes than the argument; `kept` puts them back with length 1,
and `spread` repeats it along them. Ties of max and min share the gradient equally. Read `shaping.py`
next.
"""

import math

import numpy as np

from ..primitive import defvjp, nondifferentiable, primitive
from .elementwise import reciprocal_or_zero

SMALL = 8192
"""Elements up to which a filled copy is quicker than a broadcast view."""


@primitive
def spread(g, shape):
    """g broadcast to `shape`."""
    if math.prod(shape) > SMALL:
        return np.broadcast_to(g, shape)
    filled = np.empty(shape, g.dtype)
    filled[...] = g
    return filled


def _axes(x, axis):
    """The reduced axes, none of them negative."""
    if axis is None or not x.ndim:
        return range(x.ndim)
    return {i % x.ndim for i in (axis if isinstance(axis, tuple) else (axis,))}


def kept(g, x, axis, keepdims):
    """g with the axes put back, of length 1, along which x was reduced."""
    if axis is None or keepdims or not x.ndim:
        return g
    axes = _axes(x, axis)
    return np.reshape(g, tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


def _share(x, axis, ddof=0):
    """1/(n − ddof), n being the number of elements in each mean; infinite where there is nothing."""
    n = x.size if axis is None else math.prod(x.shape[i] for i in _axes(x, axis))
    return 1 / (n - ddof) if n > ddof else math.inf


def _deviation(a, axis):
    """Conjugate of a − mean(a): half the derivative of |a − mean|², as the mean's own share cancels."""
    deviation = a - np.mean(a, axis=axis, keepdims=True)
    return np.conjugate(deviation) if deviation.dtype.kind == "c" else deviation


def _var(g, _y, a, axis=None, dtype=None, ddof=0, keepdims=False, *, correction=None):
    """∂ Σ|a − mean|²/(n − ddof)."""
    share = _share(a, axis, ddof if correction is None else correction)
    return kept(g, a, axis, keepdims) * (2 * share) * _deviation(a, axis)


def _std(g, y, a, axis=None, dtype=None, ddof=0, keepdims=False, *, correction=None):
    """∂√var, and 0 where the elements are all equal."""
    share = _share(a, axis, ddof if correction is None else correction)
    return kept(g * reciprocal_or_zero(y), a, axis, keepdims) * share * _deviation(a, axis)


def _extremum(g, y, a, axis=None, keepdims=False):
    """Equal shares for all elements that equal the extremum."""
    ties = a == kept(y, a, axis, keepdims)
    count = np.sum(ties, axis=axis, keepdims=True, dtype=g.dtype)
    return kept(g, a, axis, keepdims) * (ties / count)


# fmt: off
defvjp(spread,  lambda g, _y, _x, shape: g, broadcasts="elementwise")
defvjp(np.sum,  lambda g, _y, _a, axis=None, dtype=None, keepdims=False:
                    spread(kept(g, _a, axis, keepdims), _a.shape))
defvjp(np.mean, lambda g, _y, _a, axis=None, dtype=None, keepdims=False:
                    spread(kept(g, _a, axis, keepdims) * _share(_a, axis), _a.shape))
defvjp(np.var,  _var)
defvjp(np.std,  _std)
defvjp(np.max,  _extremum)
defvjp(np.amax, _extremum)
defvjp(np.min,  _extremum)
defvjp(np.amin, _extremum)
# fmt: on

for _constant in (
    np.any, np.all, np.argmax, np.argmin, np.argsort, np.nonzero, np.count_nonzero, np.searchsorted,
    np.flatnonzero, np.argwhere, np.shape, np.ndim, np.size, np.result_type,
    np.zeros_like, np.ones_like, np.empty_like, np.array2string, np.array_repr, np.array_str,
    np.shares_memory, np.may_share_memory,
):  # fmt: skip
    nondifferentiable(_constant)
