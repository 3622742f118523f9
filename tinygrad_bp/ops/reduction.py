"""Derivatives of reductions: sums, means, variances, products, extrema over axes, whole and running.

The cotangent of a reduction has fewer axes than the argument; `kept` puts them back with length 1,
and `spread` repeats it along them. A nan-variant is its function over a mask. Ties of max and min share
the gradient equally; of a running extremum the last of equal elements has it. Read `statistics.py` next.
"""

import itertools
import math

import numpy as np

from ..primitive import composite, defvjp, nondifferentiable, primitive
from .elementwise import reciprocal_or_zero
from .indexing import scatter

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


def of_one(x, axes):
    """The shape of x with length 1 along these axes."""
    return tuple(1 if i in axes else n for i, n in enumerate(x.shape))


def kept(g, x, axis, keepdims):
    """g with the axes put back, of length 1, along which x was reduced."""
    return g if axis is None or keepdims or not x.ndim else np.reshape(g, of_one(x, _axes(x, axis)))


def masked(where, g, other=0.0):
    """g, and `other` outside the mask; a mask of True lets everything pass."""
    return g if where is True else np.where(where, g, other)


def _share(x, axis, ddof=0, where=True):
    """1/(n − ddof), n being the number of elements in each mean; infinite where there is nothing."""
    if where is not True:
        n = np.sum(np.broadcast_to(where, x.shape), axis=axis, keepdims=True)
        return (1 / np.maximum(n - ddof, 0.0)).astype(np.finfo(x.dtype).dtype)
    n = x.size if axis is None else math.prod(x.shape[i] for i in _axes(x, axis))
    return 1 / (n - ddof) if n > ddof else math.inf


def _deviation(a, axis, where, mean):
    """Conjugate of a − mean(a): half the derivative of |a − mean|², as the mean's own share cancels."""
    if mean is None:
        mean = np.sum(a, axis=axis, keepdims=True, where=where) * _share(a, axis, 0, where)
    deviation = masked(where, a - mean)
    return np.conjugate(deviation) if deviation.dtype.kind == "c" else deviation


def _sum(g, _y, _a, axis=None, dtype=None, keepdims=False, initial=0, where=True):
    return spread(masked(where, kept(g, _a, axis, keepdims)), _a.shape)


def _mean(g, _y, _a, axis=None, dtype=None, keepdims=False, *, where=True):
    return spread(masked(where, kept(g, _a, axis, keepdims) * _share(_a, axis, 0, where)), _a.shape)


def _var(g, _y, a, axis=None, dtype=None, ddof=0, keepdims=False, *, where=True, mean=None, correction=None):
    """∂ Σ|a − mean|²/(n − ddof)."""
    share = _share(a, axis, ddof if correction is None else correction, where)
    return kept(g, a, axis, keepdims) * (2 * share) * _deviation(a, axis, where, mean)


def _std(g, y, a, axis=None, dtype=None, ddof=0, keepdims=False, *, where=True, mean=None, correction=None):
    """∂√var, and 0 where the elements are all equal."""
    share = _share(a, axis, ddof if correction is None else correction, where)
    return kept(g * reciprocal_or_zero(y), a, axis, keepdims) * share * _deviation(a, axis, where, mean)


def _var_about(a, axis=None, dtype=None, ddof=0, keepdims=False, where=True, mean=None, correction=None):
    """np.var about a `mean` that records, too."""
    deviation = masked(where, a - mean)
    share = _share(deviation, axis, ddof if correction is None else correction, where)
    y = np.sum(np.real(deviation * np.conjugate(deviation)), axis=axis, keepdims=True) * share
    return y if keepdims else np.squeeze(y, axis=tuple(_axes(a, axis)))


def _nanvar_about(a, where=True, **how):
    return _var_about(a, where=_numbers(a, where), **how)


def _extremum(g, y, a, axis=None, keepdims=False, initial=None, where=True):
    """Equal shares for all elements, `initial` among them, that equal the extremum."""
    y = kept(y, a, axis, keepdims)
    ties = a == y if where is True else (a == y) & where
    count = np.sum(ties, axis=axis, keepdims=True, dtype=g.dtype)
    count = count if initial is None else count + (y == initial)
    return kept(g, a, axis, keepdims) * (ties / count)


# ---- products --------------------------------------------------------------------------------------------


def _shifted(x, first):
    """x one place on along the last axis, beginning with `first`."""
    return np.concatenate([first * np.ones_like(x[..., :1]), x[..., :-1]], axis=-1)


def _others(x):
    """The product of those before and those behind."""
    before = np.cumprod(_shifted(x, 1), axis=-1)
    behind = np.cumprod(_shifted(x[..., ::-1], 1), axis=-1)
    return before * behind[..., ::-1]


@primitive
def others(x):
    """For each element of the last axis the product of all others: by division, if no product is 0 or ∞."""
    with np.errstate(all="ignore"):
        y = np.prod(x, axis=-1, keepdims=True)
        size = np.absolute(y)
        divisible = np.all((size >= np.finfo(x.dtype).tiny) & (size < np.inf))
        return y / x if divisible else _others(x)


composite(others, _others)


def _prod(g, _y, a, axis=None, dtype=None, keepdims=False, initial=1, where=True):
    """The product of all other elements, zeros or not."""
    axes = sorted(_axes(a, axis))
    last = list(range(-len(axes), 0))
    x = np.moveaxis(masked(where, a, 1), axes, last)
    flat = np.reshape(x, (*x.shape[: x.ndim - len(axes)], math.prod(x.shape[x.ndim - len(axes) :])))
    rest = np.moveaxis(np.reshape(others(flat), x.shape), last, axes)
    return masked(where, kept(g, a, axis, keepdims) * initial * rest)


def _next(x):
    """x one place back along the last axis, 0 at its end."""
    return np.concatenate([x[..., 1:], np.zeros_like(x[..., :1])], axis=-1)


def _from_the_end(a, b):
    """s_i = b_i + a_i s_{i+1} along the last axis, with 0 behind it: in pairs, hence O(n) work."""
    n = b.shape[-1]
    if n < 2:
        return b
    if n % 2:
        a, b = (np.concatenate([x, np.zeros_like(x[..., :1])], axis=-1) for x in (a, b))
    a_even, a_odd, b_even, b_odd = a[..., ::2], a[..., 1::2], b[..., ::2], b[..., 1::2]
    s_even = _from_the_end(a_even * a_odd, b_even + a_even * b_odd)
    pairs = np.stack([s_even, b_odd + a_odd * _next(s_even)], axis=-1)
    return np.reshape(pairs, b.shape)[..., :n]


# ---- running sums, products, extrema ---------------------------------------------------------------------


def _reversed(x, axis):
    return x[(slice(None),) * (axis % x.ndim) + (slice(None, None, -1),)]


def _cumsum(g, _y, _a, axis=None, dtype=None):
    """Every element has a share in all sums from its own on."""
    along = 0 if axis is None or not _a.ndim else axis
    return np.reshape(_reversed(np.cumsum(_reversed(g, along), axis=along), along), _a.shape)


def _running(rule, g, y, a, axis):
    """`rule`, which is one for the last axis, for any other, and for the flattened array."""
    if axis is None or not a.ndim:
        return np.reshape(rule(*(np.reshape(x, (-1,)) for x in (g, y, a))), a.shape)
    return np.moveaxis(rule(*(np.moveaxis(x, axis, -1) for x in (g, y, a))), -1, axis)


def _running_product(g, y, a):
    """(Π of those before) · Σ_j g_j (Π of those between): no division, so that zeros do no harm."""
    return _shifted(y, 1) * _from_the_end(_next(a), g)


def _running_logsumexp(g, y, a):
    """Σ_j g_j e^(a_i − y_j), no term of which can overflow."""
    ratios = np.exp(y[..., :-1] - y[..., 1:])
    return np.exp(a - y) * _from_the_end(np.concatenate([ratios, np.zeros_like(y[..., :1])], axis=-1), g)


def _running_extremum(g, y, a):
    """Each extremum's cotangent goes to the element that set it, the last of equal ones."""
    places = np.maximum.accumulate(np.where(a == y, np.arange(a.shape[-1]), 0), axis=-1)
    rows = np.arange(math.prod(a.shape[:-1])).reshape((*a.shape[:-1], 1)) * a.shape[-1]
    return np.reshape(scatter(np.ravel(g), np.ravel(rows + places), (a.size,)), a.shape)


def _cumulative(accumulate, first):
    """np.cumulative_sum and np.cumulative_prod."""

    def f(x, *, axis=None, dtype=None, out=None, include_initial=False):
        y = accumulate(x, axis=axis, dtype=dtype)
        if not include_initial:
            return y
        axis = 0 if axis is None else axis % y.ndim
        start = np.full((*y.shape[:axis], 1, *y.shape[axis + 1 :]), first, y.dtype)
        return np.concatenate([start, y], axis=axis)

    return f


def _in_front(x, axes):
    """x with these axes in front, as one."""
    x = np.moveaxis(x, axes, range(len(axes)))
    return np.reshape(x, (math.prod(x.shape[: len(axes)]), *x.shape[len(axes) :]))


def with_initial(reduction, neutral, numbers=None, usual=None):
    """`reduction`, whose `initial` is one more element; `numbers`: what of a is looked at, of (a, where);
    `usual`: the axis if none is named."""

    def f(a, axis=usual, dtype=None, keepdims=False, initial=None, where=True):
        where, a = (numbers(a, where) if numbers else where), (a if dtype is None else a.astype(dtype))
        axes = sorted(_axes(a, axis))
        rows = _in_front(a, axes)
        first = np.broadcast_to(initial, (1, *rows.shape[1:]))
        rows = np.concatenate([first, rows], dtype=np.result_type(a.dtype, np.float16), casting="unsafe")
        if where is True:
            y = reduction(rows, axis=0)
        else:
            where = _in_front(np.broadcast_to(where, a.shape), axes)
            where = np.concatenate([np.ones(first.shape, bool), where])
            y = reduction(rows, axis=0, where=where, initial=neutral)
        return np.reshape(y, of_one(a, axes)) if keepdims else y

    return f


def reduce(ufunc):
    """ufunc.reduce, of any ufunc: one element after the other, what the mask leaves out passed over."""

    def f(a, axis=0, dtype=None, keepdims=False, initial=None, where=True):
        axes = sorted(_axes(a, axis))
        parts = list(_in_front(a if dtype is None else a.astype(dtype), axes))
        masks = list(_in_front(np.broadcast_to(where, a.shape), axes))
        if initial is None and (where is not True or not parts):
            initial = ufunc.identity
        y = parts.pop(0) if initial is None else initial
        for part, mask in zip(parts, masks[-len(parts) :]):
            y = ufunc(y, part) if where is True else masked(mask, ufunc(y, part), y)
        return np.reshape(y, of_one(a, axes)) if keepdims else y

    return f


def accumulate(ufunc):
    """ufunc.accumulate, of any ufunc."""

    def f(a, axis=0, dtype=None):
        a = a if dtype is None else a.astype(dtype)
        return np.stack(list(itertools.accumulate(np.moveaxis(a, axis, 0), ufunc)), axis) if a.size else a

    return f


def reduceat(ufunc):
    """ufunc.reduceat: a reduction of each slice, or, where the indices do not rise, one element."""

    def f(a, indices, axis=0, dtype=None):
        lead = (slice(None),) * (axis % a.ndim)
        indices = [int(i) for i in indices]
        slices = [slice(i, max(i + 1, j)) for i, j in zip(indices, [*indices[1:], a.shape[axis]])]
        return np.stack([ufunc.reduce(a[(*lead, some)], axis=axis, dtype=dtype) for some in slices], axis)

    return f


def _numbers(a, where=True):
    """What is not NaN, of what is looked at."""
    return ~np.isnan(a) if where is True else ~np.isnan(a) & where


# fmt: off
defvjp(spread,      lambda g, _y, _x, shape: g, broadcasts="elementwise")
defvjp(np.sum,      _sum)
defvjp(np.mean,     _mean)
defvjp(np.var,      _var)
defvjp(np.std,      _std)
defvjp(np.max,      _extremum)
defvjp(np.amax,     _extremum)
defvjp(np.min,      _extremum)
defvjp(np.amin,     _extremum)
defvjp(np.prod,     _prod)
defvjp(np.cumsum,   _cumsum)
defvjp(np.cumprod,  lambda g, y, a, axis=None, dtype=None: _running(_running_product, g, y, a, axis))
defvjp(np.maximum.accumulate,   lambda g, y, a, axis=0, dtype=None: _running(_running_extremum, g, y, a, axis))
defvjp(np.minimum.accumulate,   lambda g, y, a, axis=0, dtype=None: _running(_running_extremum, g, y, a, axis))
defvjp(np.logaddexp.accumulate, lambda g, y, a, axis=0, dtype=None: _running(_running_logsumexp, g, y, a, axis))
defvjp(np.logaddexp.reduce,     lambda g, y, a, axis=0, dtype=None, keepdims=False, initial=None, where=True:
           masked(where, kept(g, a, axis, keepdims) * np.exp(a - kept(y, a, axis, keepdims))))

# what leaves out NaN
defvjp(np.nansum,   lambda g, y, a, axis=None, dtype=None, keepdims=False, initial=0, where=True:
                        _sum(g, y, a, axis, dtype, keepdims, where=_numbers(a, where)), selects=True)
defvjp(np.nanmean,  lambda g, y, a, axis=None, dtype=None, keepdims=False, where=True:
                        _mean(g, y, a, axis, dtype, keepdims, where=_numbers(a, where)), selects=True)
defvjp(np.nanprod,  lambda g, y, a, axis=None, dtype=None, keepdims=False, initial=1, where=True:
                        _prod(g, y, a, axis, dtype, keepdims, initial, _numbers(a, where)), selects=True)
defvjp(np.nanvar,   lambda g, y, a, axis=None, dtype=None, ddof=0, keepdims=False, where=True, mean=None, correction=None:
                        _var(g, y, a, axis, dtype, ddof, keepdims, where=_numbers(a, where), mean=mean,
                             correction=correction), selects=True)
defvjp(np.nanstd,   lambda g, y, a, axis=None, dtype=None, ddof=0, keepdims=False, where=True, mean=None, correction=None:
                        _std(g, y, a, axis, dtype, ddof, keepdims, where=_numbers(a, where), mean=mean,
                             correction=correction), selects=True)
defvjp(np.nanmax,   _extremum, selects=True)
defvjp(np.nanmin,   _extremum, selects=True)
# fmt: on

# what may record besides the array
for _name, _neutral in {
    "sum": 0, "prod": 1, "max": -math.inf, "amax": -math.inf, "nanmax": -math.inf, "min": math.inf, "amin": math.inf, "nanmin": math.inf,
}.items():  # fmt: skip
    composite(vars(np)[_name], with_initial(vars(np)[_name], _neutral), keywords=("initial",))
composite(np.logaddexp.reduce, with_initial(np.logaddexp.reduce, -math.inf, usual=0), keywords=("initial",))
composite(np.nansum, with_initial(np.sum, 0, _numbers), keywords=("initial",))
composite(np.nanprod, with_initial(np.prod, 1, _numbers), keywords=("initial",))
composite(np.var, _var_about, keywords=("mean",))
composite(np.nanvar, _nanvar_about, keywords=("mean",))
composite(np.std, lambda a, **how: np.sqrt(_var_about(a, **how)), keywords=("mean",))
composite(np.nanstd, lambda a, **how: np.sqrt(_nanvar_about(a, **how)), keywords=("mean",))

composite(np.nancumsum, lambda a, axis=None, dtype=None, out=None:
          np.cumsum(np.where(np.isnan(a), 0.0, a), axis=axis, dtype=dtype))  # fmt: skip
composite(np.nancumprod, lambda a, axis=None, dtype=None, out=None:
          np.cumprod(np.where(np.isnan(a), 1.0, a), axis=axis, dtype=dtype))  # fmt: skip
composite(np.ptp, lambda a, axis=None, out=None, keepdims=False:
          np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims))  # fmt: skip
for _name, _f, _first in (("cumulative_sum", np.cumsum, 0), ("cumulative_prod", np.cumprod, 1)):
    if _name in vars(np):  # since NumPy 2.1
        composite(vars(np)[_name], _cumulative(_f, _first))

for _constant in (
    np.any, np.all, np.argmax, np.argmin, np.nanargmax, np.nanargmin, np.argsort, np.nonzero, np.count_nonzero, np.searchsorted,
    np.flatnonzero, np.argwhere, np.shape, np.ndim, np.size, np.result_type,
    np.zeros_like, np.ones_like, np.empty_like, np.array2string, np.array_repr, np.array_str,
    np.shares_memory, np.may_share_memory,
):  # fmt: skip
    nondifferentiable(_constant)
