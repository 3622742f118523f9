"""Derivatives of statistics and of calculus on samples: quantiles, covariances, differences, integrals.

Most are written in calls that have rules, under NumPy's own values. A quantile is a weighted mean of
two elements, so its cotangent goes to these two (of equal ones, as a stable sort orders them). `interp`
has the slope of the segment to the right at a knot. Read `polynomials.py` next.
"""

import numpy as np

from ..primitive import array_of, cast, composite, defvjp, nondifferentiable, primitive, refused
from .indexing import scatter
from .reduction import _axes, of_one


def widened(x, dtype=np.float64):
    """x in the dtype in which NumPy computes it together with `dtype`."""
    x = array_of(x)
    return cast(x, np.result_type(x.dtype, dtype))


# ---- quantiles -------------------------------------------------------------------------------------------


RISE = {
    "linear": -1, "hazen": 0, "interpolated_inverted_cdf": 0, "weibull": 1, "median_unbiased": 1 / 3, "normal_unbiased": 1 / 4,
}  # fmt: skip
"""Methods whose rank among n numbers rises by n + this as q goes from 0 to 1; that of the others jumps."""


@nondifferentiable
def order_statistics(a, q, axis, method="linear", weights=None, leave_nan=False):
    """(places in the flat array, their shares), each of shape (2, *q.shape, elements): y = Σ share · a[place].

    NumPy says what is mixed: the quantile of 0, 1, 2, … is the mean rank of the two. The third result
    says how the second share depends on q: (of q = 0, how fast it rises).
    """
    axes, quantile = sorted(_axes(a, axis)), np.nanquantile if leave_nan else np.quantile
    q = np.asarray(q, a.dtype if isinstance(q, (int, float)) and a.dtype.kind == "f" else None)
    x, places = (
        np.moveaxis(z, axes, range(-len(axes), 0)).reshape(-1, a[..., None].size // max(_rest(a, axes), 1))
        for z in (a, np.arange(a.size).reshape(a.shape))
    )
    places = np.take_along_axis(places, np.argsort(x, axis=-1, kind="stable"), axis=-1)
    n = x.shape[-1] - np.sum(np.isnan(x), axis=-1) * leave_nan
    if weights is None:
        rank = np.zeros((*q.shape, len(x)))
        for count in set(n[n > 0].tolist()):
            rank[..., n == count] = np.quantile(np.arange(float(count)), q, method=method)[..., None]
    else:
        y = quantile(a, q, axis=axis, weights=weights, method=method)
        rank = np.sum(x < y.reshape((*q.shape, len(x), 1)), axis=-1)
    low = np.minimum(np.floor(rank).astype(int), np.maximum(n - 1, 0))
    high = np.minimum(low + 1, np.maximum(n - 1, 0))
    rows, share = np.arange(len(x)), rank - low
    rise = np.where((rank > 0) | (method == "linear"), n + RISE[method], 0.0) if method in RISE else 0 * rank
    shares, law = np.stack([1 - share, share]) * (n > 0), np.stack([share - rise * q[..., None], rise])
    return np.stack([places[rows, low], places[rows, high]]), shares, law


def _rest(a, axes):
    """How many quantiles are taken of a over these axes."""
    return int(np.prod([n for i, n in enumerate(a.shape) if i not in axes], dtype=int))


def _quantile(g, a, q, axis, *how, leave_nan=False):
    """To each of the two elements its share of the cotangent."""
    if not a.size:
        return np.zeros_like(a)
    places, shares, _ = order_statistics(a, q, axis, *how, leave_nan=leave_nan)
    shares = shares.reshape(2, -1).astype(np.finfo(a.dtype).dtype)
    found = scatter(np.ravel(np.ravel(g) * shares), places.ravel(), (a.size,))
    return np.reshape(found, a.shape)


def _hundredth(q, a):
    return np.true_divide(q, a.dtype.type(100))


def _of_q(fraction=lambda q, a: q, leave_nan=False):
    """A quantile whose q records: it moves from one element to the next as its rank does."""

    def f(a, q, axis=None, method="linear", keepdims=False, weights=None):
        a = widened(a, np.float16)
        q, axes = fraction(array_of(q), a), sorted(_axes(a, axis))
        places, _, law = order_statistics(a, q, axis, method, weights, leave_nan)
        (offset, rise), (low, high) = law.astype(np.finfo(a.dtype).dtype), np.ravel(a)[places]
        y = low + (high - low) * (offset + rise * q[..., None])
        rest = of_one(a, axes) if keepdims else tuple(n for i, n in enumerate(a.shape) if i not in axes)
        return np.reshape(y, (*np.shape(q), *rest))

    return f


# fmt: off
defvjp(np.median,        lambda g, _y, a, axis=None, keepdims=False: _quantile(g, a, 0.5, axis))
defvjp(np.nanmedian,     lambda g, _y, a, axis=None, keepdims=False: _quantile(g, a, 0.5, axis, leave_nan=True), selects=True)
defvjp(np.quantile,      lambda g, _y, a, q=None, axis=None, method="linear", keepdims=False, weights=None:
                             _quantile(g, a, q, axis, method, weights))
defvjp(np.nanquantile,   lambda g, _y, a, q=None, axis=None, method="linear", keepdims=False, weights=None:
                             _quantile(g, a, q, axis, method, weights, leave_nan=True), selects=True)
defvjp(np.percentile,    lambda g, _y, a, q=None, axis=None, method="linear", keepdims=False, weights=None:
                             _quantile(g, a, _hundredth(q, a), axis, method, weights))
defvjp(np.nanpercentile, lambda g, _y, a, q=None, axis=None, method="linear", keepdims=False, weights=None:
                             _quantile(g, a, _hundredth(q, a), axis, method, weights, leave_nan=True), selects=True)
# fmt: on
composite(np.quantile, _of_q(), keywords=("q",))
composite(np.nanquantile, _of_q(leave_nan=True), keywords=("q",))
composite(np.percentile, _of_q(_hundredth), keywords=("q",))
composite(np.nanpercentile, _of_q(_hundredth, leave_nan=True), keywords=("q",))


# ---- means and moments -----------------------------------------------------------------------------------


def _average(a, axis=None, weights=None, returned=False, *, keepdims=False):
    """Σ wa / Σ w."""
    a = array_of(a)
    if weights is None:
        mean = np.mean(a, axis=axis, keepdims=keepdims)
        return (mean, np.full(mean.shape, a.size / max(mean.size, 1), mean.dtype)[()]) if returned else mean
    weights = array_of(weights)
    if weights.shape != a.shape:
        axes = [i % a.ndim for i in (axis if isinstance(axis, tuple) else (axis,))]
        order = sorted(range(len(axes)), key=axes.__getitem__)
        shape = tuple(n if i in axes else 1 for i, n in enumerate(a.shape))
        weights = np.reshape(np.transpose(weights, order), shape)
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    mean = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (mean, np.broadcast_to(total, mean.shape)) if returned else mean


def _cov(m, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None, *, dtype=None):
    """(x − x̄) w (x − x̄)ᴴ / (Σw − …), a variable in each row of x."""
    m = array_of(m)
    x = m if m.ndim == 2 else np.reshape(m, (1, -1))
    x = x.T if not rowvar and m.ndim != 1 else x
    dtype = np.float64 if dtype is None else dtype
    if y is not None:
        y = array_of(y)
        y = y if y.ndim == 2 else np.reshape(y, (1, -1))
        x = np.concatenate([widened(x, dtype), widened(y.T if not rowvar and y.shape[0] != 1 else y, dtype)])
    x = widened(x, dtype)
    ddof = (0 if bias else 1) if ddof is None else ddof
    if fweights is None and aweights is None:
        mean, freedom, w = np.mean(x, axis=1), x.shape[1] - ddof, None
    else:
        given = [array_of(some) for some in (fweights, aweights) if some is not None]
        w = given[0] * 1.0 if len(given) == 1 else given[0] * given[1]
        total = np.sum(w)
        mean, freedom = np.sum(x * w, axis=1) / total, total
        if ddof:
            freedom = total - (ddof if aweights is None else ddof * np.sum(w * given[-1]) / total)
    x = x - mean[:, None]
    c = np.dot(x, np.conjugate((x if w is None else x * w).T))
    return np.squeeze(c * np.true_divide(1, freedom if freedom > 0 else 0.0))


def _corrcoef(x, y=None, rowvar=True, bias=None, ddof=None, *, dtype=None):
    c = _cov(x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return c / c
    deviation = np.sqrt(np.real(np.diagonal(c)))
    return c / deviation[:, None] / deviation[None, :]


composite(np.average, _average)
composite(np.cov, _cov)
composite(np.corrcoef, _corrcoef)
defvjp(np.bincount, None, lambda g, _y, x, _weights, minlength=0: g[x])
nondifferentiable(np.digitize)
for _counting in (np.histogram, np.histogram2d, np.histogramdd, np.histogram_bin_edges):
    refused(_counting, "use np.bincount(np.digitize(x, edges), weights), which is differentiable in the weights, "
                       "or pass t.data")  # fmt: skip


# ---- differences and integrals ---------------------------------------------------------------------------


@primitive
def difference(x, axis=-1):
    """x_{i+1} − x_i."""
    lead = (slice(None),) * (axis % x.ndim)
    return x[(*lead, slice(1, None))] - x[(*lead, slice(None, -1))]


def _difference(g, _y, _x, axis=-1):
    """−difference again, of g among zeros."""
    border = np.zeros(_with(g.shape, axis, min(_x.shape[axis], 1)), g.dtype)
    lead = (slice(None),) * (axis % g.ndim)
    g = np.concatenate([border, g, border], axis=axis)
    return g[(*lead, slice(None, -1))] - g[(*lead, slice(1, None))]


def _with(shape, axis, length=1):
    """`shape`, this axis of which has another length."""
    return tuple(length if i == axis % len(shape) else n for i, n in enumerate(shape))


def _diff(a, n=1, axis=-1, prepend=np._NoValue, append=np._NoValue):
    a = array_of(a)
    if n < 0 or not -a.ndim <= axis < a.ndim:
        return np.diff(np.empty(a.shape), n, axis)  # which raises NumPy's error
    parts = [array_of(x) for x in (prepend, a, append) if x is not np._NoValue]
    if len(parts) > 1:
        parts = [x if x.ndim else np.broadcast_to(x, _with(a.shape, axis)) for x in parts]
        a = np.concatenate(parts, axis=axis)
    for _ in range(n):
        a = difference(a, axis=axis)
    return a if n else a[...]


def _ediff1d(ary, to_end=None, to_begin=None):
    parts = (to_begin, difference(np.ravel(array_of(ary))), to_end)
    return np.concatenate([np.ravel(array_of(x)) for x in parts if x is not None])


def _trapezoid(y, x=None, dx=1.0, axis=-1):
    """Σ step · (y_{i+1} + y_i)/2."""
    y = array_of(y)
    step, lead = dx, (slice(None),) * (axis % y.ndim)
    if x is not None:
        x = array_of(x)
        step = difference(x, axis=axis if x.ndim > 1 else -1)
        step = step if x.ndim > 1 else np.reshape(step, _with((1,) * y.ndim, axis, -1))
    return np.sum(step * (y[(*lead, slice(1, None))] + y[(*lead, slice(None, -1))]) / 2.0, axis=axis)


@primitive
def unit_slopes(f, edge_order):
    """np.gradient along the first axis, for steps of 1."""
    return np.gradient(f, axis=0, edge_order=edge_order)


@primitive
def unit_slopes_back(g, edge_order):
    """The transpose of `unit_slopes`."""
    f, half = np.zeros_like(g), g[1:-1] * 0.5
    f[2:] += half
    f[:-2] -= half
    for i, c in enumerate((-1.0, 1.0) if edge_order == 1 else (-1.5, 2.0, -0.5)):
        f[i] += c * g[0]
        f[-1 - i] -= c * g[-1]
    return f


defvjp(unit_slopes, lambda g, _y, _f, edge_order: unit_slopes_back(g, edge_order))
defvjp(unit_slopes_back, lambda g, _y, _g, edge_order: unit_slopes(g, edge_order))


def _slopes(f, h, edge_order):
    """Along the first axis: mean slopes to both sides; at the edges those of the line, or parabola, there."""
    if np.ndim(h) == 0:
        slopes = unit_slopes(f, edge_order)
        return slopes if type(h) is float and h == 1 else slopes / h
    h = difference(h)
    dtype = f.dtype if h.dtype.kind == "c" else np.finfo(f.dtype).dtype
    h = np.reshape(cast(h, dtype), (-1,) + (1,) * (f.ndim - 1))
    s = difference(f, axis=0) / h
    inner = (h[1:] * s[:-1] + h[:-1] * s[1:]) / (h[1:] + h[:-1])
    first, last = s[:1], s[-1:]
    if edge_order > 1:
        first = first + (first - s[1:2]) * h[:1] / (h[:1] + h[1:2])
        last = last + (last - s[-2:-1]) * h[-1:] / (h[-1:] + h[-2:-1])
    return np.concatenate([first, inner, last])


def _gradient(f, *varargs, axis=None, edge_order=1):
    f = widened(f, np.float16)
    axes = range(f.ndim) if axis is None else [i % f.ndim for i in np.ravel(axis).tolist()]
    steps = [x if isinstance(x, (int, float)) else array_of(x) for x in varargs or (1.0,)]
    steps = steps * len(axes) if len(steps) == 1 and np.ndim(steps[0]) == 0 else steps
    slopes = [np.moveaxis(_slopes(np.moveaxis(f, i, 0), h, edge_order), 0, i) for i, h in zip(axes, steps)]
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


def _interp(x, xp, fp, left=None, right=None, period=None):
    """The line through the two points around x; differentiable in everything."""
    x, xp, fp = widened(x), widened(xp), widened(fp)
    if period is not None:
        period, left, right = abs(period), None, None
        x, xp = x % period, xp % period
        order = np.argsort(xp)
        xp, fp = xp[order], fp[order]
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    y = fp[np.zeros(x.shape, int)]
    if len(xp) > 1:
        i = np.clip(np.searchsorted(xp, x, side="right") - 1, 0, len(xp) - 2)
        y = (fp[i + 1] - fp[i]) / (xp[i + 1] - xp[i]) * (x - xp[i]) + fp[i]
    y = np.where(x < xp[0], fp[0] if left is None else left, y)
    return np.where(x > xp[-1], fp[-1] if right is None else right, y)


defvjp(difference, _difference)
composite(np.diff, _diff, calls_back=True)  # the same differences
composite(np.ediff1d, _ediff1d)
composite(np.trapezoid, _trapezoid)
composite(np.gradient, _gradient)
composite(np.interp, _interp)
