"""Derivatives of numpy.linalg: norms, inverses, determinants, factorizations, spectra; all batched.

The one idea: a factorization's derivative is the product rule, solved for the factors in the basis
that they themselves give. Written with Hermitian transposes, hence the conjugates at the ends: our
cotangents are ∂f/∂x − i ∂f/∂y. What holds:
- What NumPy reads: `cholesky`, `eigh`, `eigvalsh` and `hermitian=True` look at one triangle only, so
  the gradient is zero in the other.
- Vectors of repeated (or, beside a null space, zero) singular values or eigenvalues have no derivative:
  LinAlgError. Values alone have one where the function is symmetric in the equal ones; otherwise, and
  for the value 0, the rule gives a subgradient.
- `eig`'s vectors are differentiated as LAPACK scales them: of length 1, the largest element real. The
  phases of complex vectors of `eigh` and `svd`, and any basis of a null space (full_matrices), are
  LAPACK's free choice: gradients are right for functions that do not depend on it.
- `det` has a gradient at singular matrices, and a second one elsewhere; `inv`, `solve`, `slogdet` raise
  LinAlgError there. `pinv` and `lstsq` assume that nearby matrices have the same rank.
Read `indexing.py` next.
"""

import math

import numpy as np

from ..errors import NotDifferentiable, message
from ..primitive import composite, defvjp, nondifferentiable, primitive
from .elementwise import _nonzero, _sign, real_sign, reciprocal_or_zero
from .products import conj, from_end, to_end, transposed
from .reduction import kept


def _h(x):
    """The Hermitian transpose."""
    return conj(transposed(x))


def _columns(x, factors):
    """x diag(factors)."""
    return x * factors[..., None, :]


def _diagonal_matrix(d):
    return d[..., None] * np.eye(d.shape[-1], dtype=bool)


def _lower_half(x):
    """The part of x below the diagonal, and half the diagonal."""
    n = x.shape[-1]
    return x * (np.tri(n, dtype=np.int8) + np.tri(n, k=-1, dtype=np.int8)) * 0.5


def _triangle(x, upper=False):
    """The cotangent of the one triangle that NumPy reads, x being that of the Hermitian matrix."""
    below = _lower_half(x + _h(x))
    return _h(below) if upper else below


@primitive
def gaps(w):
    """1/(w_j − w_i), and 0 where i = j. Raises LinAlgError if two values are equal up to rounding."""
    same, apart = np.eye(w.shape[-1], dtype=bool), w[..., None, :] - w[..., :, None]
    rounding = 16 * np.finfo(w.dtype).eps * np.max(np.abs(w), axis=-1, initial=0)[..., None, None]
    if np.any((np.abs(apart) <= rounding) & ~same):
        what = "vectors of repeated eigenvalues or singular values, or of 0 beside a null space, have no derivative"
        do = "use the values alone, or a function of the matrix itself"
        raise np.linalg.LinAlgError(message(what, do=do))
    return np.where(same, 0, 1 / np.where(same, 1, apart))


def _gaps(g, y, _w):
    share = -g * y * y
    return np.sum(share, axis=-2) - np.sum(share, axis=-1)


# ---- inverses and determinants -------------------------------------------------------------------------


def _inv(g, y, _a):
    """−y⁻ᵀ… : from d(a⁻¹) = −a⁻¹ da a⁻¹."""
    back = transposed(y)
    return -(back @ g @ back)


def _pinv(g, y, a, rcond=None, hermitian=False, rtol=None):
    """Golub and Pereyra (1973), for matrices of constant rank."""
    if hermitian:
        below = _lower_half(a)
        a = below + _h(below)
    back, adjoint = transposed(y), _h(y)
    missed, unused = np.eye(a.shape[-2], dtype=bool) - a @ y, np.eye(a.shape[-1], dtype=bool) - y @ a
    share = conj(missed @ transposed(g) @ y @ adjoint + adjoint @ y @ transposed(g) @ unused)
    share = share - back @ g @ back
    return conj(_triangle(conj(share))) if hermitian else share


@primitive
def cofactors(a):
    """det(a) a⁻ᵀ, whose elements are polynomials: of singular matrices, too."""
    try:
        inverse = np.linalg.inv(a)
        size = [np.max(np.sum(np.abs(x), axis=-2), axis=-1, initial=0) for x in (a, inverse)]
        if np.all(size[0] * size[1] < np.finfo(a.dtype).eps ** -0.5):
            return np.linalg.det(a)[..., None, None] * transposed(inverse)
    except np.linalg.LinAlgError:
        pass
    u, s, vh = np.linalg.svd(a)
    others = np.prod(np.where(np.eye(s.shape[-1], dtype=bool), 1, s[..., None, :]), axis=-1)
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return sign[..., None, None] * np.conjugate(_columns(u, others) @ vh)


def _cofactors(g, y, a):
    """d(det a · a⁻ᵀ) by the product rule."""
    back = transposed(np.linalg.inv(a))
    return np.sum(g * y, axis=(-2, -1), keepdims=True) * back - back @ transposed(g) @ y


def _slogdet(g, y, a):
    """d log det a = tr a⁻¹ da: log|det| is its real part, the angle of sign its imaginary part."""
    of_sign, of_log = g
    share = np.zeros_like(y[1]) if of_log is None else of_log
    if of_sign is not None and a.dtype.kind == "c":
        share = share + 1j * np.imag(of_sign * y[0])
    return share[..., None, None] * transposed(np.linalg.inv(a))


def _solve(g, y, a, _b):
    """From da y + a dy = db."""
    a = np.asarray(a) if isinstance(a, list) else a
    if np.ndim(_b) == 1:
        of_b = np.linalg.solve(transposed(a), g[..., None])[..., 0]
        return -of_b[..., None] * y[..., None, :], of_b
    of_b = np.linalg.solve(transposed(a), g)
    return -of_b @ transposed(y), of_b


def _lstsq(g, y, a, b, rcond=None):
    """x = a⁺ b; of the residuals |b − a x|², which x makes minimal; of a's singular values."""
    of_x, of_residuals, _, of_s = g
    a, b = (np.asarray(x) if isinstance(x, list) else x for x in (a, b))
    x, columns = (y[0], b) if b.ndim == 2 else (y[0][:, None], b[:, None])
    of_a, of_b = np.zeros(a.shape, a.dtype), np.zeros(columns.shape, y[0].dtype)
    if of_x is not None:
        eps = np.finfo(y[0].dtype).eps
        cut = eps * max(a.shape) if rcond is None else eps if rcond == -1 else rcond
        inverse, of_x = np.linalg.pinv(a, rcond=cut), np.reshape(of_x, x.shape)
        of_a = of_a + _pinv(of_x @ columns.T, inverse, a)
        of_b = of_b + inverse.T @ of_x
    if of_residuals is not None and of_residuals.size:
        share = 2 * of_residuals * conj(columns - a @ x)
        of_a, of_b = of_a - share @ x.T, of_b + share
    if of_s is not None:
        of_a = of_a + _svd(of_s, None, a, compute_uv=False)
    return of_a, np.reshape(of_b, b.shape)


def _matrix_power(a, n):
    """By repeated squaring."""
    if n == 0:
        return np.where(False, a, np.eye(a.shape[-1], dtype=a.dtype))
    a, n = (np.linalg.inv(a), -n) if n < 0 else (a, n)
    half = _matrix_power(a @ a, n // 2) if n > 1 else None
    return half if n % 2 == 0 else a if half is None else half @ a


def _tensorinv(a, ind=2):
    left, right = a.shape[:ind], a.shape[ind:]
    return np.reshape(np.linalg.inv(np.reshape(a, (math.prod(right), math.prod(left)))), right + left)


def _tensorsolve(a, b, axes=None):
    last = [] if axes is None else [axis % a.ndim for axis in axes]
    a = np.transpose(a, (*(i for i in range(a.ndim) if i not in last), *last))
    shape = a.shape[b.ndim :]
    return np.reshape(np.linalg.solve(np.reshape(a, (b.size, math.prod(shape))), np.ravel(b)), shape)


def _multi_dot(g, _y, arrays):
    """Each matrix's share: the others, transposed, around g."""
    left = arrays[0][None, :] if arrays[0].ndim == 1 else arrays[0]
    right = arrays[-1][:, None] if arrays[-1].ndim == 1 else arrays[-1]
    matrices, g = [left, *arrays[1:-1], right], np.reshape(g, (left.shape[0], right.shape[1]))
    turned = [x.T for x in matrices]
    around = [[*turned[:i][::-1], g, *turned[:i:-1]] for i in range(len(matrices))]
    return [np.reshape(np.linalg.multi_dot(chain), x.shape) for chain, x in zip(around, arrays)]


# ---- factorizations ------------------------------------------------------------------------------------


def _cholesky(g, y, _a, upper=False):
    """With y = L: the part of L⁻¹ dA L⁻ᴴ below the diagonal, and half the diagonal, is L⁻¹ dL."""
    factor, g = (_h(y), transposed(g)) if upper else (y, conj(g))
    back = _h(factor)
    share = np.linalg.solve(back, _lower_half(back @ g))
    share = _triangle(_h(np.linalg.solve(back, _h(share))))
    return transposed(share) if upper else conj(share)


def _qr(g, y, a, mode="reduced"):
    """With X = Qᴴ dA R⁻¹ = Qᴴ dQ + dR R⁻¹: skew-Hermitian plus upper triangular, of real diagonal."""
    m, n = a.shape[-2:]
    if mode not in ("reduced", "complete", "r") or (mode == "complete" and m > n):
        what = f"np.linalg.qr of a matrix of shape {(m, n)} with mode={mode!r}, which it does not determine,"
        raise NotDifferentiable(message(f"{what} has no derivative", do="use mode='reduced' or 'r'"))
    q, r = np.linalg.qr(a) if mode == "r" else y
    of_q, of_r = (None, g) if mode == "r" else g
    of_q = np.zeros(q.shape, q.dtype) if of_q is None else conj(of_q)
    of_r = np.zeros(r.shape, r.dtype) if of_r is None else conj(of_r)
    square, rest, of_rest = r[..., :m], r[..., m:], of_r[..., m:]
    of_q = of_q + q @ rest @ _h(of_rest) if n > m else of_q
    skew = _h(q) @ of_q - of_r[..., :m] @ _h(square)
    share = _h(np.linalg.solve(square, _h(of_q + q @ (_lower_half(skew - _h(skew)) - skew))))
    return conj(np.concatenate([share, q @ of_rest], axis=-1) if n > m else share)


def _svd(g, y, a, full_matrices=True, compute_uv=True, hermitian=False):
    """With P = Uᴴ dA V = Ω S + dS − S Ψ, where Ω = Uᴴ dU and Ψ = Vᴴ dV are skew-Hermitian."""
    if not compute_uv:
        g, y = (None, g, None), np.linalg.svd(a, full_matrices=False, hermitian=hermitian)
    u, s, v = y[0], y[1], _h(y[2])
    of_u, of_s, of_v = g[0], g[1], None if g[2] is None else transposed(g[2])
    of_u = None if of_u is None else conj(of_u)
    if hermitian:
        return conj(_triangle(_hermitian_svd(u, s, v, of_u, of_s, of_v)))
    k = s.shape[-1]
    values = 0 if of_s is None else _columns(u[..., :k], of_s) @ _h(v[..., :k])
    if of_u is None and of_v is None:
        return conj(values)
    of_u = np.zeros(u.shape, u.dtype) if of_u is None else of_u
    of_v = np.zeros(v.shape, v.dtype) if of_v is None else of_v
    return conj(values + _vectors(u, s, v, of_u, of_v))


def _vectors(u, s, v, of_u, of_v):
    """The share of the singular vectors; beyond the first k they span the null space."""
    k, tall, wide = s.shape[-1], u.shape[-2], v.shape[-2]
    zero = np.zeros((*s.shape[:-1], 1), s.dtype)
    apart = gaps(np.concatenate([s, zero], axis=-1) if tall != wide else s)
    u1, v1, of_u1, of_v1 = u[..., :k], v[..., :k], of_u[..., :k], of_v[..., :k]
    left, right = _h(u1) @ of_u1, _h(v1) @ of_v1
    x = apart[..., :k, :k] * (left + right)
    y = reciprocal_or_zero(s[..., None, :] + s[..., :, None]) * (left - right)
    share = u1 @ (0.5 * (x + _h(x) + y - _h(y))) @ _h(v1)
    if tall > k:
        beside = of_u1 - u1 @ left - u[..., k:] @ (_h(of_u[..., k:]) @ u1)
        share = share + _columns(beside, apart[..., k, :k]) @ _h(v1)
    if wide > k:
        beside = of_v1 - v1 @ right - v[..., k:] @ (_h(of_v[..., k:]) @ v1)
        share = share + u1 @ _h(_columns(beside, apart[..., k, :k]))
    return share


def _hermitian_svd(u, s, v, of_u, of_s, of_v):
    """Its vectors are the eigenvectors, up to the eigenvalues' signs."""
    sign = real_sign(np.real(np.sum(conj(u) * v, axis=-2)))
    of_v = None if of_v is None else _columns(of_v, sign)
    of_u = of_v if of_u is None else of_u if of_v is None else of_u + of_v
    return _spectral(s * sign, u, None if of_s is None else of_s * sign, of_u)


# ---- spectra -------------------------------------------------------------------------------------------


def _spectral(w, v, of_w, of_v):
    """V (W̄ + F ∘ VᴴV̄) Vᴴ, with F = 1/(w_j − w_i)."""
    if of_v is None:
        return _columns(v, of_w) @ _h(v)
    inside = gaps(w) * (_h(v) @ of_v)
    inside = inside if of_w is None else inside + _diagonal_matrix(of_w)
    return v @ inside @ _h(v)


def _eigh(g, y, _a, UPLO="L"):
    (w, v), (of_w, of_v) = y, g
    share = _spectral(w, v, of_w, None if of_v is None else conj(of_v))
    return conj(_triangle(share, UPLO.upper() == "U"))


def _eigvalsh(g, _y, a, UPLO="L"):
    return _eigh((g, None), np.linalg.eigh(a, UPLO), a, UPLO)


def _eig(g, y, _a):
    """V⁻ᴴ (W̄ + F̄ ∘ VᴴV̄) Vᴴ, where V̄ has lost what would change lengths and phases."""
    w, v = y
    inside = 0 if g[0] is None else _diagonal_matrix(conj(g[0]))
    if g[1] is not None:
        of_v = conj(g[1])
        along = np.sum(g[1] * v, axis=-2)
        fixed = of_v - _columns(v, np.real(along))
        if v.dtype.kind == "c" and v.size:
            largest = np.argmax(np.abs(v) * (np.imag(v) == 0), axis=-2)
            anchor = np.arange(v.shape[-1])[:, None] == largest[..., None, :]
            fixed = fixed + _columns(anchor, 1j * np.imag(along) / np.real(np.sum(v * anchor, axis=-2)))
        inside = inside + conj(gaps(w)) * (_h(v) @ fixed)
    return conj(np.linalg.solve(_h(v), inside @ _h(v)))


def _eigvals(g, y, a):
    """By eig, whose values might come in another order; equal ones share their cotangents."""
    w, v = np.linalg.eig(a)
    if not a.size:
        return np.zeros(a.shape, a.dtype)
    apart = np.abs(w[..., :, None] - y[..., None, :])
    matched = (apart == np.min(apart, axis=-1, keepdims=True)).astype(g.dtype)
    matched = matched / np.sum(matched, axis=-1, keepdims=True)
    return _eig((np.sum(matched * g[..., None, :], axis=-1), None), (w, v), a)


# ---- norms ---------------------------------------------------------------------------------------------


def _shared(x, top, axis):
    """1 where x is `top`, shared if that is the case more than once."""
    ties = x == top
    return ties / np.sum(ties, axis=axis, keepdims=True, dtype=x.dtype)


def _norm(g, y, x, ord=None, axis=None, keepdims=False):
    """Of vectors, of matrices, or of all elements: as np.linalg.norm decides."""
    g, y = kept(g, x, axis, keepdims), kept(y, x, axis, keepdims)
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (int(axis),)
    if ord is not None and len(axes) == 2:
        return _of_matrices(g, y, x, ord, *axes)
    return _of_vectors(g, y, x, 2 if ord is None else ord, axes)


def _of_vectors(g, y, x, ord, axes):
    """(Σ |x|^p)^{1/p}; 0 where all x are 0."""
    if ord == 2:
        return g * (conj(x) / _nonzero(y))
    if ord == 0:
        return np.zeros(x.shape, g.dtype)
    if abs(ord) == math.inf:
        return g * _sign(x) * _shared(np.abs(x), y, axes)
    if ord == 1:
        return g * _sign(x)
    share = np.abs(x) / _nonzero(y)
    return g * _sign(x) * (share + (share == 0)) ** (ord - 1)


def _of_matrices(g, y, x, ord, rows, columns):
    if ord in ("fro", "f"):
        return _of_vectors(g, y, x, 2, (rows, columns))
    if ord in (2, -2, "nuc"):
        u, s, vh = np.linalg.svd(to_end(x, (rows, columns)), full_matrices=False)
        share = s > 0  # the norm of 0 has the subgradient 0
        if ord != "nuc":
            share = share * _shared(s, s[..., :1] if ord == 2 else s[..., -1:], -1)
        return g * from_end(conj(_columns(u, share) @ vh), (rows, columns))
    down, across = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = np.sum(np.abs(x), axis=down, keepdims=True)
    top = (np.max if ord > 0 else np.min)(sums, axis=across, keepdims=True)
    return g * _sign(x) * _shared(sums, top, across)


def _vector_norm(g, y, x, axis=None, keepdims=False, ord=2):
    axes = tuple(range(x.ndim)) if axis is None else axis
    return _of_vectors(kept(g, x, axis, keepdims), kept(y, x, axis, keepdims), x, ord, axes)


def _cond(x, p=None):
    if p in (None, 2, -2):
        s = np.linalg.svd(x, compute_uv=False)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return np.linalg.norm(x, p, axis=(-2, -1)) * np.linalg.norm(np.linalg.inv(x), p, axis=(-2, -1))


# fmt: off
defvjp(gaps,                _gaps)
defvjp(cofactors,           _cofactors)
defvjp(np.linalg.inv,       _inv)
defvjp(np.linalg.pinv,      _pinv)
defvjp(np.linalg.det,       lambda g, _y, a: g[..., None, None] * cofactors(a))
defvjp(np.linalg.slogdet,   _slogdet)
defvjp(np.linalg.solve,     joint=_solve, broadcasts="leading axes")
defvjp(np.linalg.lstsq,     joint=_lstsq)
defvjp(np.linalg.multi_dot, _multi_dot, sequence=0)
defvjp(np.linalg.cholesky,  _cholesky)
defvjp(np.linalg.qr,        _qr)
defvjp(np.linalg.svd,       _svd)
defvjp(np.linalg.svdvals,   lambda g, _y, x: _svd(g, None, x, compute_uv=False))
defvjp(np.linalg.eigh,      _eigh)
defvjp(np.linalg.eigvalsh,  _eigvalsh)
defvjp(np.linalg.eig,       _eig)
defvjp(np.linalg.eigvals,   _eigvals)
defvjp(np.linalg.norm,        _norm)
defvjp(np.linalg.vector_norm, _vector_norm)
defvjp(np.linalg.matrix_norm, lambda g, y, x, keepdims=False, ord="fro": _norm(g, y, x, ord, (-2, -1), keepdims))
# fmt: on

composite(np.linalg.matrix_power, _matrix_power)
composite(np.linalg.tensorinv, _tensorinv)
composite(np.linalg.tensorsolve, _tensorsolve)
composite(np.linalg.cond, _cond)
nondifferentiable(np.linalg.matrix_rank)
