"""Derivatives of convolutions, and of polynomials given by their coefficients.

A convolution's cotangent is correlated with the other factor. Polynomials are written in calls that
have rules, roots as eigenvalues, fits as least squares. Read `shaping.py` next.
"""

import numpy as np

from ..primitive import array_of, composite, defvjp
from .statistics import widened


def _row(x):
    """x with at least one axis."""
    x = array_of(x)
    return x if x.ndim else np.reshape(x, (1,))


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
    x, p = array_of(x), array_of(p)
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
    p = array_of(p)
    for _ in range(m):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1)
    return p


def _polyint(p, m=1, k=None):
    p, k = array_of(p), _row(0.0 if k is None else k)
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
    top, below = np.reshape(-p[1:] / p[0], (1, -1)), np.eye(len(p) - 2, len(p) - 1, dtype=p.dtype)
    found = np.linalg.eigvals(np.concatenate([top, below]))
    return np.concatenate([found, np.zeros(at_zero, found.dtype)])


def _vander(x, N=None, increasing=False):
    """Powers of x, in columns."""
    x = widened(x, int)
    n = len(x) if N is None else N
    factors = np.broadcast_to(x[:, None], (len(x), max(n - 1, 0)))
    powers = np.cumprod(np.concatenate([np.ones((len(x), min(n, 1)), x.dtype), factors], axis=1), axis=1)
    return powers if increasing else powers[:, ::-1]


def _polyfit(x, y, deg, rcond=None, full=False, w=None, cov=False):
    """The least-squares solution of V c = y, V scaled to columns of length 1.

    Its covariance is (VᵀV)⁻¹ times that of y: |y − V c|²/(n − m), or 1.
    """
    x, y = array_of(x) + 0.0, array_of(y) + 0.0
    matrix = _vander(x, int(deg) + 1)
    if w is not None:
        w = array_of(w) + 0.0
        matrix, y = matrix * w[:, None], y * (w if y.ndim == 1 else w[:, None])
    scale = np.sqrt(np.sum(matrix * matrix, axis=0))
    rcond, matrix = len(x) * np.finfo(x.dtype).eps if rcond is None else rcond, matrix / scale
    c, residuals, rank, s = np.linalg.lstsq(matrix, y, rcond)
    c = (c.T / scale).T
    if full or not cov:
        return (c, residuals, rank, s, rcond) if full else c
    covariance = np.linalg.inv(matrix.T @ matrix) / np.outer(scale, scale)
    factor = 1.0 if cov == "unscaled" else residuals / (len(x) - matrix.shape[1])
    return c, (covariance if y.ndim == 1 else covariance[:, :, None]) * factor


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
