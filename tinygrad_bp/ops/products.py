"""Derivatives of products: matmul, dot, vdot, outer, trace.

For y = a @ b: ∂C/∂a = g bᵀ and ∂C/∂b = aᵀ g; with g = δ the latter is BP4. Read `indexing.py` next.
"""

import math

import numpy as np

from ..primitive import defvjp


def _t(x):
    """x with its last two axes swapped."""
    return x.T if x.ndim == 2 else np.swapaxes(x, -1, -2)


def _matmul_a(g, _y, _a, b):
    if b.ndim == 1:
        return g[..., None] * b
    if _a.ndim == 1:
        return (b @ g[..., None])[..., 0]
    return np.dot(g, b.T) if g.ndim == b.ndim == 2 else g @ _t(b)  # of matrices the same, and quicker to call


def _matmul_b(g, _y, a, _b):
    if a.ndim == 1 and _b.ndim == 1:
        return g * a
    if a.ndim == 1:
        return a[:, None] * g[..., None, :]
    if _b.ndim == 1:
        return (_t(a) @ g[..., None])[..., 0]
    if _b.ndim == 2 and a.ndim > 2:  # one product instead of one per matrix of a
        rows = math.prod(a.shape[:-1])
        a, g = np.reshape(a, (rows, a.shape[-1])), np.reshape(g, (rows, g.shape[-1]))
    if g.ndim == a.ndim == 2:
        return np.dot(g.T, a).T  # laid out so that the gradient of w in x @ w.T comes out contiguous
    return _t(_t(g) @ a)


def _dot_a(g, _y, _a, b):
    """y[i…, k…, m] = Σ_n a[i…, n] b[k…, n, m]: g times b as a matrix (n, k…m), transposed."""
    if not _a.ndim or not np.ndim(b):
        return g * b if _a.ndim else np.sum(g * b)
    if b.ndim == 1:
        return g[..., None] * b
    n, columns = b.shape[-2], math.prod(b.shape[:-2]) * b.shape[-1]
    b = np.reshape(np.moveaxis(b, -2, 0), (n, columns))
    return np.reshape(np.reshape(g, (math.prod(_a.shape[:-1]), columns)) @ b.T, _a.shape)


def _dot_b(g, _y, a, _b):
    """a as a matrix (i…, n), transposed, times g."""
    if not np.ndim(a) or not _b.ndim:
        return g * a if _b.ndim else np.sum(g * a)
    n, rows, columns = a.shape[-1], math.prod(a.shape[:-1]), math.prod(g.shape[a.ndim - 1 :])
    back = np.reshape(a, (rows, n)).T @ np.reshape(g, (rows, columns))
    if _b.ndim < 3:
        return np.reshape(back, _b.shape)
    return np.moveaxis(np.reshape(back, (n, *_b.shape[:-2], _b.shape[-1])), 0, -2)


def _vdot_factor(a, b):
    """b in a's shape: vdot looks at neither's."""
    return b if a.shape == b.shape else np.reshape(b, a.shape)


def _conj(x):
    return np.conjugate(x) if x.dtype.kind == "c" else x


def _trace(g, _y, _a, offset=0, axis1=0, axis2=1, dtype=None):
    """g on the diagonal that was summed."""
    diagonal = np.eye(_a.shape[axis1], _a.shape[axis2], k=offset, dtype=_a.dtype)
    return np.moveaxis(g[..., None, None] * diagonal, (-2, -1), (axis1, axis2))


defvjp(np.matmul, _matmul_a, _matmul_b, broadcasts="leading axes")
defvjp(np.dot, _dot_a, _dot_b)
defvjp(
    np.outer,
    lambda g, _y, _a, b: np.reshape(g @ np.ravel(b), _a.shape),
    lambda g, _y, a, _b: np.reshape(np.ravel(a) @ g, _b.shape),
)
defvjp(
    np.vdot,
    lambda g, _y, _a, b: _conj(g * _vdot_factor(_a, b)),
    lambda g, _y, a, _b: g * _conj(_vdot_factor(_b, a)),
)
defvjp(np.trace, _trace, selects=True)
