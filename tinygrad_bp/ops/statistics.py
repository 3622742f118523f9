"""Derivatives of statistics and of calculus on samples: quantiles, covariances, differences, convolutions, polynomials.

Most are written in calls that have rules, under NumPy's own values. A quantile is a weighted mean of
two elements, so its cotangent goes to these two (to the first of equal ones, as a stable sort orders
them). `interp` has the slope of the segment to the right at a knot. Read `shaping.py` next.
"""

import numpy as np

from ..errors import NotDifferentiable, message
from ..primitive import DuckArray, composite, defvjp, nondifferentiable, primitive, refused
from .indexing import scatter
from .reduction import _axes


def _array(x):
    """x, which may be a list or a number, as an array."""
    return x if isinstance(x, (np.ndarray, DuckArray)) else np.asarray(x)


def _row(x):
    """x with at least one axis."""
    x = _array(x)
    return x if x.ndim else np.reshape(x, (1,))


def _wide(x, dtype=np.float64):
    """x in the dtype in which NumPy computes it together with `dtype`."""
    x = _array(x)
    wide = np.result_type(x.dtype, dtype)
    return x if x.dtype == wide else x.astype(wide)


# ---- quantiles -------------------------------------------------------------------------------------------


@nondifferentiable
def order_statistics(a, q, axis, method="linear", weights=None, leave_nan=False):
    """(places in the flat array, their shares), each of shape (2, *q.shape, elements): y = Σ share · a[place].

    NumPy says what is mixed: the quantile of 0, 1, 2, … is the mean rank of the two.
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
    return np.stack([places[rows, low], places[rows, high]]), np.stack([1 - share, share]) * (n > 0)


def _rest(a, axes):
    """How many quantiles are taken of a over these axes."""
    return int(np.prod([n for i, n in enumerate(a.shape) if i not in axes], dtype=int))


def _quantile(g, a, q, axis, *how, leave_nan=False):
    """To each of the two elements its share of the cotangent."""
    if not a.size:
        return np.zeros_like(a)
    places, shares = order_statistics(a, q, axis, *how, leave_nan=leave_nan)
    shares = shares.reshape(2, -1).astype(np.finfo(a.dtype).dtype)
    found = scatter(np.ravel(np.ravel(g) * shares), places.ravel(), (a.size,))
    return np.reshape(found, a.shape)


def _hundredth(q, a):
    return np.true_divide(q, a.dtype.type(100))


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


# ---- means and moments -----------------------------------------------------------------------------------


def _average(a, axis=None, weights=None, returned=False, *, keepdims=False):
    """Σ wa / Σ w."""
    a = _array(a)
    if weights is None:
        mean = np.mean(a, axis=axis, keepdims=keepdims)
        return (mean, np.full(mean.shape, a.size / max(mean.size, 1), mean.dtype)[()]) if returned else mean
    weights = _array(weights)
    if weights.shape != a.shape:
        axes = [i % a.ndim for i in (axis if isinstance(axis, tuple) else (axis,))]
        order = sorted(range(len(axes)), key=axes.__getitem__)
        weights = np.reshape(
            np.transpose(weights, order), tuple(n if i in axes else 1 for i, n in enumerate(a.shape))
        )
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    mean = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (mean, np.broadcast_to(total, mean.shape)) if returned else mean


def _cov(m, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None, *, dtype=None):
    """(x − x̄) w (x − x̄)ᴴ / (Σw − …), a variable in each row of x."""
    m = _array(m)
    x = m if m.ndim == 2 else np.reshape(m, (1, -1))
    x = x.T if not rowvar and m.ndim != 1 else x
    dtype = np.float64 if dtype is None else dtype
    if y is not None:
        y = _array(y)
        y = y if y.ndim == 2 else np.reshape(y, (1, -1))
        x = np.concatenate([_wide(x, dtype), _wide(y.T if not rowvar and y.shape[0] != 1 else y, dtype)])
    x = _wide(x, dtype)
    ddof = (0 if bias else 1) if ddof is None else ddof
    if fweights is None and aweights is None:
        mean, freedom, w = np.mean(x, axis=1), x.shape[1] - ddof, None
    else:
        given = [_array(some) for some in (fweights, aweights) if some is not None]
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
    return -difference(np.concatenate([border, g, border], axis=axis), axis=axis)


def _with(shape, axis, length=1):
    """`shape`, this axis of which has another length."""
    return tuple(length if i == axis % len(shape) else n for i, n in enumerate(shape))


def _diff(a, n=1, axis=-1, prepend=np._NoValue, append=np._NoValue):
    a = _array(a)
    parts = [_array(x) for x in (prepend, a, append) if x is not np._NoValue]
    if len(parts) > 1:
        parts = [x if x.ndim else np.broadcast_to(x, _with(a.shape, axis)) for x in parts]
        a = np.concatenate(parts, axis=axis)
    for _ in range(n):
        a = difference(a, axis=axis)
    return a if n else a[...]


def _ediff1d(ary, to_end=None, to_begin=None):
    parts = (to_begin, difference(np.ravel(_array(ary))), to_end)
    return np.concatenate([np.ravel(_array(x)) for x in parts if x is not None])


def _trapezoid(y, x=None, dx=1.0, axis=-1):
    """Σ step · (y_{i+1} + y_i)/2."""
    y = _array(y)
    step, lead = dx, (slice(None),) * (axis % y.ndim)
    if x is not None:
        x = _array(x)
        step = difference(x, axis=axis if x.ndim > 1 else -1)
        step = step if x.ndim > 1 else np.reshape(step, _with((1,) * y.ndim, axis, -1))
    return np.sum(step * (y[(*lead, slice(1, None))] + y[(*lead, slice(None, -1))]) / 2.0, axis=axis)


def _slopes(f, h, edge_order):
    """Along the first axis: mean slopes to both sides; at the edges those of the line, or parabola, there."""
    if len(f) <= edge_order:
        raise ValueError(
            message("an axis is too short for a gradient", expected=f"{edge_order + 1} elements", got=len(f))
        )
    h = difference(h) if np.ndim(h) else np.broadcast_to(h, (len(f) - 1,))
    dtype = f.dtype if h.dtype.kind == "c" else np.finfo(f.dtype).dtype
    h = np.reshape(h if h.dtype == dtype else h.astype(dtype), (-1,) + (1,) * (f.ndim - 1))
    s = difference(f, axis=0) / h
    inner = (h[1:] * s[:-1] + h[:-1] * s[1:]) / (h[1:] + h[:-1])
    first, last = s[:1], s[-1:]
    if edge_order > 1:
        first = first + (first - s[1:2]) * h[:1] / (h[:1] + h[1:2])
        last = last + (last - s[-2:-1]) * h[-1:] / (h[-1:] + h[-2:-1])
    return np.concatenate([first, inner, last])


def _gradient(f, *varargs, axis=None, edge_order=1):
    f = _wide(f, np.float16)
    axes = (
        range(f.ndim)
        if axis is None
        else [i % f.ndim for i in (axis if isinstance(axis, tuple) else (axis,))]
    )
    steps = [x if np.ndim(x) == 0 else _array(x) for x in varargs or (1.0,)]
    steps = steps * len(axes) if len(steps) == 1 and np.ndim(steps[0]) == 0 else steps
    slopes = [np.moveaxis(_slopes(np.moveaxis(f, i, 0), h, edge_order), 0, i) for i, h in zip(axes, steps)]
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


def _interp(x, xp, fp, left=None, right=None, period=None):
    """The line through the two points around x; differentiable in everything."""
    x, xp, fp = _wide(x), _wide(xp), _wide(fp)
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
composite(np.diff, _diff)
composite(np.ediff1d, _ediff1d)
composite(np.trapezoid, _trapezoid)
composite(np.gradient, _gradient)
composite(np.interp, _interp)


# ---- convolutions ----------------------------------------------------------------------------------------


def _full(g, n, m, mode, swapped=False):
    """The cotangent of a convolution of n with m elements, among zeros as that of mode="full"."""
    if mode in ("full", 2):
        return g
    short = min(n, m)
    before = short - 1 if mode in ("valid", 0) else short // 2 if swapped else short - 1 - short // 2
    behind = n + m - 1 - before - g.size
    return np.concatenate([np.zeros(before, g.dtype), g, np.zeros(behind, g.dtype)])


def _convolve_a(g, _y, _a, v, mode="full"):
    full = _full(g, _a.size, np.size(v), mode)
    return np.reshape(np.correlate(full, np.conjugate(np.ravel(v)), "valid"), _a.shape)


def _convolve_v(g, _y, a, _v, mode="full"):
    return _convolve_a(g, _y, _v, a, mode)


def _correlate_a(g, _y, _a, v, mode="valid"):
    full = _full(g, _a.size, np.size(v), mode, _a.size < np.size(v))
    return np.convolve(full, np.conjugate(v), "valid")


def _correlate_v(g, _y, a, _v, mode="valid"):
    full = _full(g, np.size(a), _v.size, mode, np.size(a) < _v.size)
    return np.conjugate(np.correlate(full, np.conjugate(a), "valid")[::-1])


defvjp(np.convolve, _convolve_a, _convolve_v)
defvjp(np.correlate, _correlate_a, _correlate_v)


# ---- polynomials -----------------------------------------------------------------------------------------


def _polyval(p, x):
    """Horner's scheme."""
    x, p = _array(x), _array(p)
    y = np.zeros_like(x)
    for i in range(len(p)):
        y = y * x + p[i]
    return y


def _aligned(a1, a2):
    """Both with as many coefficients as the longer one has."""
    a1, a2 = _row(a1), _row(a2)
    n = max(len(a1), len(a2))
    return [a if len(a) == n else np.concatenate([np.zeros(n - len(a), a.dtype), a]) for a in (a1, a2)]


def _stripped(a):
    """a without leading zeros."""
    a, places = _row(a), np.flatnonzero(a)
    return a[int(places[0]) :] if places.size else a[-1:]


def _polyder(p, m=1):
    p = _array(p)
    for _ in range(m):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1)
    return p


def _polyint(p, m=1, k=None):
    p, k = _array(p), _row(0.0 if k is None else k)
    for i in range(m):
        p = np.concatenate([p / np.arange(len(p), 0, -1), k[:1] if len(k) == 1 else k[i : i + 1]])
    return p


def _polydiv(u, v):
    u, v = _row(u) + 0.0, _row(v) + 0.0
    quotient, n = [], len(u) - len(v) + 1
    for k in range(n):
        quotient.append(u[k] * (1.0 / v[0]))
        u = np.concatenate([u[:k], u[k : k + len(v)] - quotient[-1] * v, u[k + len(v) :]])
    while np.allclose(u[0], 0, rtol=1e-14) and len(u) > 1:
        u = u[1:]
    return np.stack(quotient) if quotient else np.zeros(1, u.dtype), u


def _poly(seq_of_zeros):
    """Π (x − z)."""
    zeros = _row(seq_of_zeros)
    zeros = np.linalg.eigvals(zeros) if zeros.ndim == 2 else zeros
    a = np.ones(1, zeros.dtype)
    for i in range(len(zeros)):
        a = np.convolve(a, np.stack([np.ones_like(zeros[i]), -zeros[i]]))
    paired = a.dtype.kind == "c" and np.all(np.sort(zeros) == np.sort(np.conjugate(zeros)))
    return np.real(a) if paired else a


def _roots(p):
    """Eigenvalues of the companion matrix."""
    p = _row(p)
    places = np.flatnonzero(p)
    if not places.size:
        return np.array([])
    at_zero, p = len(p) - 1 - int(places[-1]), p[int(places[0]) : int(places[-1]) + 1]
    if len(p) < 2:
        return np.zeros(at_zero, p.dtype)
    companion = np.concatenate(
        [np.reshape(-p[1:] / p[0], (1, -1)), np.eye(len(p) - 2, len(p) - 1, dtype=p.dtype)]
    )
    found = np.linalg.eigvals(companion)
    return np.concatenate([found, np.zeros(at_zero, found.dtype)])


def _vander(x, N=None, increasing=False):
    """Powers of x, in columns."""
    x = _wide(x, int)
    n = len(x) if N is None else N
    factors = np.broadcast_to(x[:, None], (len(x), max(n - 1, 0)))
    powers = np.cumprod(np.concatenate([np.ones((len(x), min(n, 1)), x.dtype), factors], axis=1), axis=1)
    return powers if increasing else powers[:, ::-1]


def _polyfit(x, y, deg, rcond=None, full=False, w=None, cov=False):
    """The least-squares solution of V c = y, V scaled to columns of length 1."""
    if full or cov:
        raise NotDifferentiable(
            message("polyfit with full=True or cov=True cannot be differentiated", do="leave them out")
        )
    x, y = _array(x) + 0.0, _array(y) + 0.0
    matrix = _vander(x, int(deg) + 1)
    if w is not None:
        w = _array(w) + 0.0
        matrix, y = matrix * w[:, None], y * (w if y.ndim == 1 else w[:, None])
    scale = np.sqrt(np.sum(matrix * matrix, axis=0))
    c = np.linalg.lstsq(matrix / scale, y, len(x) * np.finfo(x.dtype).eps if rcond is None else rcond)[0]
    return (c.T / scale).T


composite(np.polyval, _polyval)
composite(np.polyadd, lambda a1, a2: np.add(*_aligned(a1, a2)))
composite(np.polysub, lambda a1, a2: np.subtract(*_aligned(a1, a2)))
composite(np.polymul, lambda a1, a2: np.convolve(_stripped(a1), _stripped(a2)))
composite(np.polyder, _polyder)
composite(np.polyint, _polyint)
composite(np.polydiv, _polydiv)
composite(np.poly, _poly)
composite(np.roots, _roots)
composite(np.vander, _vander)
composite(np.polyfit, _polyfit)
