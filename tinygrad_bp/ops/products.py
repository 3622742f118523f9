"""Derivatives of products: matmul, dot and their relatives, tensordot, einsum, kron, cross, trace.

For y = a @ b: ∂C/∂a = g bᵀ and ∂C/∂b = aᵀ g; with g = δ the latter is BP4. A product is linear in each
factor, so each cotangent is again a product, of g and the other factors. Read `linalg.py` next.
"""

import functools
import math
from string import ascii_letters

import numpy as np

from ..primitive import composite, defvjp, nondifferentiable
from .reduction import spread
from .shaping import diagonal_of


def transposed(x):
    """x with its last two axes swapped."""
    return x.T if x.ndim == 2 else np.swapaxes(x, -1, -2)


def _dot(a, b):
    """a @ b of two matrices: `dot` is quicker to call, by far, but fills its result with zeros first."""
    if type(a) is type(b) is np.ndarray:
        return a.dot(b) if len(a) * b.shape[1] < 16384 else np.matmul(a, b)
    return np.dot(a, b)


def _matmul_a(g, _y, _a, b, axes=None, dtype=None, casting=None):
    if axes is not None:
        return _matmul_elsewhere(_matmul_a, 0, g, (_a, b), axes)
    if g.ndim == b.ndim == 2:
        return _dot(g, b.T)
    if b.ndim == 1:
        return g[..., None] * b
    return (b @ g[..., None])[..., 0] if _a.ndim == 1 else g @ transposed(b)


def _matmul_b(g, _y, a, _b, axes=None, dtype=None, casting=None):
    if axes is not None:
        return _matmul_elsewhere(_matmul_b, 1, g, (a, _b), axes)
    if g.ndim == a.ndim == 2:
        return _dot(g.T, a).T  # laid out so that the gradient of w in x @ w.T comes out contiguous
    if a.ndim == 1 and _b.ndim == 1:
        return g * a
    if a.ndim == 1:
        return a[:, None] * g[..., None, :]
    if _b.ndim == 1:
        return (transposed(a) @ g[..., None])[..., 0]
    if _b.ndim == 2 and a.ndim > 2:  # one product instead of one per matrix of a
        rows = math.prod(a.shape[:-1])
        return _matmul_b(np.reshape(g, (rows, g.shape[-1])), None, np.reshape(a, (rows, a.shape[-1])), _b)
    return transposed(transposed(g) @ a)


def to_end(x, axes):
    """x with `axes` (one, or a tuple) moved to the end."""
    axes = axes if isinstance(axes, tuple) else (axes,)
    end = tuple(range(-len(axes), 0))
    return x if axes == end else np.moveaxis(x, axes, end)


def from_end(x, axes):
    """x with its last axes moved to where they were: the inverse of `to_end`."""
    axes = axes if isinstance(axes, tuple) else (axes,)
    end = tuple(range(-len(axes), 0))
    return x if axes == end else np.moveaxis(x, end, axes)


def _matmul_elsewhere(rule, i, g, operands, axes):
    """The i-th rule for matrices in other axes than the last: moved there and back, summed where repeated."""
    here = to_end(np.broadcast_to(np.empty((), g.dtype), operands[i].shape), axes[i])
    moved = [here if i == j else to_end(operands[j], axes[j]) for j in (0, 1)]
    share = rule(to_end(g, axes[2]), None, *moved)
    return from_end(_summed(share, here.shape), axes[i])


def _summed(share, shape):
    """The sum over axes along which an array of `shape` was repeated."""
    lead = share.ndim - len(shape)
    repeated = tuple(k for k, n in enumerate(share.shape) if k < lead or n != shape[k - lead])
    return np.reshape(np.sum(share, axis=repeated), shape) if repeated else share


def _vecdot(a, b, axes=None, axis=-1, keepdims=False, dtype=None):
    """Σ conj(a) b over one axis."""
    at = axes or (axis, axis, axis)
    y = np.sum(np.conjugate(to_end(a, at[0])) * to_end(b, at[1]), axis=-1, keepdims=keepdims)
    return from_end(y, at[2]) if keepdims else y


def _matvec(a, x, axes=((-2, -1), -1, -1), dtype=None):
    """Σ_n a[m, n] x[n]."""
    return from_end((to_end(a, axes[0]) @ to_end(x, axes[1])[..., None])[..., 0], axes[2])


def _vecmat(x, a, axes=(-1, (-2, -1), -1), dtype=None):
    """Σ_n conj(x[n]) a[n, m]."""
    return from_end((np.conjugate(to_end(x, axes[0]))[..., None, :] @ to_end(a, axes[1]))[..., 0, :], axes[2])


def _dot_a(g, _y, _a, b):
    """Where b is a matrix or a vector, np.dot is np.matmul."""
    return _matmul_a(g, _y, _a, b) if _a.ndim and 0 < np.ndim(b) < 3 else _dot_any_a(g, _y, _a, b)


def _dot_b(g, _y, a, _b):
    matrix = np.ndim(a) and (_b.ndim == 2 or (_b.ndim == 1 and np.ndim(a) < 3))
    return _matmul_b(g, _y, a, _b) if matrix else _dot_any_b(g, _y, a, _b)


def _dot_any_a(g, _y, _a, b, n=2):
    """np.dot sums over a's last axis and b's n-th last, as np.tensordot can."""
    return _tensordot_a(g, _y, _a, b, (-1, -min(np.ndim(b), n)) if _a.ndim and np.ndim(b) else 0)


def _dot_any_b(g, _y, a, _b, n=2):
    return _tensordot_b(g, _y, a, _b, (-1, -min(_b.ndim, n)) if np.ndim(a) and _b.ndim else 0)


def _contracted(axes, a_ndim, b_ndim):
    """(axes of a, axes of b) that np.tensordot sums over, none negative."""
    if isinstance(axes, (int, np.integer)):
        return list(range(a_ndim - axes, a_ndim)), list(range(axes))
    pair = [list(some) if isinstance(some, (list, tuple, np.ndarray)) else [some] for some in axes]
    return [int(i) % a_ndim for i in pair[0]], [int(i) % b_ndim for i in pair[1]]


def _in_order(x, order):
    """x, whose axes come in `order`, with its axes in their own order."""
    return np.transpose(x, tuple(sorted(range(len(order)), key=order.__getitem__)))


def _tensordot_a(g, _y, _a, b, axes=2):
    """g · b over b's free axes."""
    of_a, of_b = _contracted(axes, _a.ndim, np.ndim(b))
    free = [i for i in range(np.ndim(b)) if i not in of_b]
    share = np.tensordot(g, b, (list(range(g.ndim - len(free), g.ndim)), free))
    matched = [of_a[of_b.index(i)] for i in sorted(of_b)]
    return _in_order(share, [i for i in range(_a.ndim) if i not in of_a] + matched)


def _tensordot_b(g, _y, a, _b, axes=2):
    """a · g over a's free axes."""
    of_a, of_b = _contracted(axes, np.ndim(a), _b.ndim)
    free = [i for i in range(np.ndim(a)) if i not in of_a]
    share = np.tensordot(a, g, (free, list(range(len(free)))))
    matched = [of_b[of_a.index(i)] for i in sorted(of_a)]
    return _in_order(share, matched + [i for i in range(_b.ndim) if i not in of_b])


def _outer_a(g, _y, _a, b):
    return np.reshape(g @ np.ravel(b), _a.shape)


def _outer_b(g, _y, a, _b):
    return np.reshape(np.ravel(a) @ g, _b.shape)


_NUMBERS = (bool, int, float, complex)


def _vdot_factor(a, b):
    """b in a's shape: vdot looks at neither's."""
    return np.reshape(b, a.shape) if type(b) in _NUMBERS or a.shape != b.shape else b


def conj(x):
    return np.conjugate(x) if x.dtype.kind == "c" else x


def _trace(g, _y, _a, offset=0, axis1=0, axis2=1, dtype=None):
    """g on the diagonal that was summed."""
    diagonal = np.eye(_a.shape[axis1], _a.shape[axis2], k=offset, dtype=_a.dtype)
    return np.moveaxis(g[..., None, None] * diagonal, (-2, -1), (axis1, axis2))


def _kron_rows(g, a, b):
    """g of kron(a, b) as a matrix: one row per element of a, one column per element of b."""
    n = max(len(a), len(b))
    a, b = (1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b
    g = np.reshape(g, tuple(length for pair in zip(a, b) for length in pair))
    g = np.transpose(g, (*range(0, 2 * n, 2), *range(1, 2 * n, 2)))
    return np.reshape(g, (math.prod(a), math.prod(b)))


def _in_space(x, axis):
    """x with its vectors at the end, those of a plane with a third component of 0."""
    x = to_end(x, axis)
    return x if x.shape[-1] == 3 else np.concatenate([x, np.zeros((*x.shape[:-1], 1), x.dtype)], axis=-1)


def _cross_part(g, x, other, at, at_other, at_g, sign):
    """±(other × g), in a plane with g along the third axis."""
    here = to_end(np.broadcast_to(np.empty((), g.dtype), x.shape), at)
    other, flat = _in_space(other, at_other), here.shape[-1] == other.shape[at_other] == 2
    g = np.stack([np.zeros(g.shape, g.dtype)] * 2 + [g], axis=-1) if flat else to_end(g, at_g)
    share = np.cross(other, g) if sign > 0 else np.cross(g, other)
    return from_end(_summed(share[..., : here.shape[-1]], here.shape), at)


def _cross_a(g, _y, _a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    axes = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    return _cross_part(g, _a, b, *axes, 1)


def _cross_b(g, _y, a, _b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    axes = (axisb, axisa, axisc) if axis is None else (axis, axis, axis)
    return _cross_part(g, _b, a, *axes, -1)


# ---- einsum --------------------------------------------------------------------------------------------


def _spelled_out(operands):
    """(arrays, the letters of each one's axes, the letters of the result): no ellipsis, nothing implicit."""
    if isinstance(operands[0], str):
        arrays, explicit = operands[1:], "->" in operands[0]
        inputs, _, result = operands[0].replace(" ", "").replace("...", ".").partition("->")
        terms = inputs.split(",")
    else:
        explicit = len(operands) % 2 == 1
        arrays = operands[: len(operands) - explicit : 2]
        terms = [_letters(labels) for labels in operands[1::2]]
        result = _letters(operands[-1]) if explicit else ""
    seen = "".join(terms)
    if not explicit:
        result = "." + "".join(a for a in sorted(set(seen)) if seen.count(a) == 1 and a != ".")
    hidden = [np.ndim(x) - len(term) + 1 if "." in term else 0 for x, term in zip(arrays, terms)]
    free = "".join([a for a in ascii_letters if a not in seen][: max(hidden)])
    terms = [term.replace(".", free[len(free) - n :]) for term, n in zip(terms, hidden)]
    return arrays, terms, result.replace(".", free)


def _letters(labels):
    """A list of axes' numbers, as np.einsum also takes it, in letters."""
    return "".join("." if label is ... else ascii_letters.swapcase()[label] for label in labels)


def _einsum(g, _y, *operands, optimize=False, dtype=None, order="K", casting="safe"):
    """For each array: g and the other arrays, multiplied, and summed over what the array does not have."""
    arrays, terms, result = _spelled_out(operands)
    shapes, shares = [np.shape(x) for x in arrays], []
    lengths: dict[str, int] = {}
    for term, shape in zip(terms, shapes):
        lengths.update((a, n) for a, n in zip(term, shape) if lengths.get(a, 1) == 1)
    for i, (term, shape) in enumerate(zip(terms, shapes)):
        others, factors = [result, *terms[:i], *terms[i + 1 :]], [g, *arrays[:i], *arrays[i + 1 :]]
        own = {a: n for a, n in zip(term, shape) if n == lengths[a] and any(a in other for other in others)}
        share = np.einsum(f"{','.join(others)}->{''.join(own)}", *factors, optimize=bool(optimize))
        found = dict(zip(own, share.shape))
        first = [a not in term[:place] for place, a in enumerate(term)]
        share = np.reshape(share, tuple(found.get(a, 1) if new else 1 for a, new in zip(term, first)))
        share = spread(share, shape)
        shares.append(share if all(first) else np.where(_on_diagonals(term, shape), share, 0.0))
    if isinstance(operands[0], str):
        return [None, *shares]
    return [part for share in shares for part in (share, None)] + [None] * (len(operands) % 2)


def _on_diagonals(term, shape):
    """Where the places along axes of the same letter are the same."""
    places = np.indices(shape, sparse=True)
    return functools.reduce(np.logical_and, (places[term.index(a)] == x for a, x in zip(term, places)))


# fmt: off
defvjp(np.matmul,    _matmul_a, _matmul_b, broadcasts="leading axes")
defvjp(np.dot,       _dot_a, _dot_b)
defvjp(np.inner,     lambda g, _y, _a, b: _dot_any_a(g, None, _a, b, 1),
                     lambda g, _y, a, _b: _dot_any_b(g, None, a, _b, 1))
defvjp(np.tensordot, _tensordot_a, _tensordot_b)
defvjp(np.einsum,    joint=_einsum, view=True)
defvjp(np.outer,     _outer_a, _outer_b)
defvjp(np.vdot,      lambda g, _y, _a, b: conj(g * _vdot_factor(_a, b)),
                     lambda g, _y, a, _b: g * conj(_vdot_factor(_b, a)))
defvjp(np.kron,      lambda g, _y, _a, b: np.reshape(_kron_rows(g, _a.shape, np.shape(b)) @ np.ravel(b), _a.shape),
                     lambda g, _y, a, _b: np.reshape(np.ravel(a) @ _kron_rows(g, np.shape(a), _b.shape), _b.shape))
defvjp(np.cross,     _cross_a, _cross_b)
defvjp(np.trace,     _trace, selects=True)

# numpy.linalg's own names for products and views
defvjp(np.linalg.matmul, _matmul_a, _matmul_b, broadcasts="leading axes")
defvjp(np.linalg.outer,     _outer_a, _outer_b)
defvjp(np.linalg.tensordot, _tensordot_a, _tensordot_b)
defvjp(np.linalg.cross, _cross_a, _cross_b)
defvjp(np.linalg.trace,     lambda g, _y, _x, offset=0, dtype=None: _trace(g, None, _x, offset, -2, -1), selects=True)
defvjp(np.linalg.diagonal,  lambda g, _y, _x, offset=0: diagonal_of(g, _x.shape, offset, -2, -1), view=True)
for _transpose in (np.linalg.matrix_transpose, np.matrix_transpose):
    defvjp(_transpose, lambda g, _y, _x: np.swapaxes(g, -1, -2), view=True)
# fmt: on

composite(np.vecdot, _vecdot)
for _name, _f in {"matvec": _matvec, "vecmat": _vecmat}.items():
    if _name in vars(np):  # since NumPy 2.2
        composite(vars(np)[_name], _f)
composite(np.linalg.vecdot, _vecdot)
nondifferentiable(np.einsum_path)
