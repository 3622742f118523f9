"""Derivatives of products: matmul, dot, outer, trace.

For y = a @ b: ∂C/∂a = g bᵀ and ∂C/∂b = aᵀ g; with g = δ the latter is BP4.
"""

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
    return g @ _t(b)


def _matmul_b(g, _y, a, _b):
    if a.ndim == 1 and _b.ndim == 1:
        return g * a
    if a.ndim == 1:
        return a[:, None] * g[..., None, :]
    if _b.ndim == 1:
        return (_t(a) @ g[..., None])[..., 0]
    return _t(_t(g) @ a)  # laid out so that the gradient of w in x @ w.T comes out contiguous


def _columns(b):
    """b as a matrix (k, …), k being the axis that dot sums over."""
    return np.reshape(b if b.ndim < 3 else np.moveaxis(b, -2, 0), (b.shape[-2 if b.ndim > 1 else 0], -1))


def _dot_a(g, _y, _a, b):
    if not _a.ndim or not b.ndim:
        return np.sum(g * b) if _a.shape == () else g * b
    b = _columns(b)
    return np.reshape(np.reshape(g, (-1, b.shape[1])) @ b.T, _a.shape)


def _dot_b(g, _y, a, _b):
    if not a.ndim or not _b.ndim:
        return np.sum(g * a) if _b.shape == () else g * a
    rows = np.reshape(a, (-1, a.shape[-1]))
    back = rows.T @ np.reshape(g, (rows.shape[0], -1))
    if _b.ndim < 3:
        return np.reshape(back, _b.shape)
    return np.moveaxis(np.reshape(back, (_b.shape[-2], *_b.shape[:-2], _b.shape[-1])), 0, -2)


def _trace(g, _y, _a, offset=0, axis1=0, axis2=1, dtype=None):
    diagonal = np.eye(_a.shape[axis1], _a.shape[axis2], k=offset, dtype=_a.dtype)
    return np.moveaxis(g[..., None, None] * diagonal, (-2, -1), (axis1, axis2))


defvjp(np.matmul, _matmul_a, _matmul_b, broadcasts="leading axes")
defvjp(np.dot, _dot_a, _dot_b)
defvjp(
    np.outer,
    lambda g, _y, _a, b: np.reshape(g @ np.ravel(b), _a.shape),
    lambda g, _y, a, _b: np.reshape(np.ravel(a) @ g, _b.shape),
)
defvjp(np.trace, _trace)
