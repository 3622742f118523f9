"""`Batch`: many arrays of one shape that pass for one array, so that one sweep does the work of many.

The one idea: rules are plain NumPy, so they can be read on anything that answers NumPy's protocols. A
Batch holds its arrays along a leading axis that nobody sees. Elementwise functions and products take
that axis as it is, those in the table with their own axes moved by one; whatever else is called array by
array. A Batch has no truth value: Python cannot decide for many at once. Read `../derivatives.py` next,
where Jacobians and gradients per example are made of it.
"""

import operator
from typing import Any

import numpy as np

from ..errors import message
from ..primitive import REGISTRY, DuckArray, Op
from .indexing import scatter


class Unbatchable(TypeError):
    """Something is done with a Batch that cannot be done with many arrays at once."""


class Batch(DuckArray, np.lib.mixins.NDArrayOperatorsMixin):
    """arrays[0], arrays[1], …, which pass for one; those of another `axis` are another batch."""

    __slots__ = ("arrays", "axis")
    shape = property(lambda self: self.arrays.shape[1:])
    dtype = property(lambda self: self.arrays.dtype)
    ndim = property(lambda self: self.arrays.ndim - 1)
    size = property(lambda self: int(np.prod(self.shape)))
    T = property(np.transpose)
    sum = np.sum

    def __init__(self, arrays, axis):
        self.arrays, self.axis = arrays, axis

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return call(ufunc if method == "__call__" else getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, fn, types, args, kwargs):
        return call(fn, args, kwargs)

    def __getitem__(self, index):
        return call(operator.getitem, (self, index), {})

    def __len__(self):
        return self.shape[0]

    def astype(self, dtype):
        return Batch(self.arrays.astype(dtype), self.axis)

    def __array__(self, dtype=None, copy=None):
        raise Unbatchable(message("many arrays at once are not one", do="stay with NumPy's functions"))

    def __bool__(self):
        raise Unbatchable(message("many values at once have no truth value", do="use np.where"))


def call(fn, args, kwargs):
    """fn of Batches: at once if it is known how, else array by array; NotImplemented if a Tensor is to do it."""
    ducks = list(_ducks((args, kwargs)))
    if not all(type(duck) is Batch for duck in ducks):
        return NotImplemented
    first = ducks[0]
    if any(duck.axis is not first.axis for duck in ducks):
        raise Unbatchable(message("a batch was mixed with another one"))
    if fn in STATIC:
        return fn(*_pick(args, 0), **_pick(kwargs, 0))
    way, y = _way(fn, args, kwargs), NotImplemented
    if way and (way in BROADCASTING or (len(ducks) == 1 and first is args[0])):
        y = way(fn, *args, **kwargs)
    if y is NotImplemented:
        y = _stacked([fn(*_pick(args, k), **_pick(kwargs, k)) for k in range(len(first.arrays))])
    return _with_axis(y, first.axis)


STATIC = frozenset({np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj, np.isrealobj})
"""What depends on shapes and dtypes alone."""


def _ducks(x):
    """The Batches and Tensors in nested containers."""
    if isinstance(x, (list, tuple, dict)):
        for part in x.values() if isinstance(x, dict) else x:
            yield from _ducks(part)
    elif isinstance(x, DuckArray):
        yield x


def _pick(x, k):
    """x with the k-th array in the place of each Batch."""
    if isinstance(x, (list, tuple)):
        return type(x)(_pick(part, k) for part in x)
    if isinstance(x, dict):
        return {name: _pick(part, k) for name, part in x.items()}
    return x.arrays[k] if type(x) is Batch else x


def _stacked(results):
    """What the calls gave, array by array, along a new axis."""
    first = results[0]
    if isinstance(first, (list, tuple)):
        return [_stacked(parts) for parts in zip(*results)]
    if len({(np.shape(y), np.result_type(y)) for y in results}) > 1:
        raise Unbatchable(message("results differ in shape or dtype from array to array"))
    return np.stack(results)


def _with_axis(y, axis):
    return tuple(_with_axis(part, axis) for part in y) if isinstance(y, (list, tuple)) else Batch(y, axis)


# ---- how functions treat the leading axis --------------------------------------------------------------


def _way(fn, args, kwargs):
    """A function (fn, *args, **kwargs) -> result with the leading axis, if there is one for this call."""
    if fn in WAYS:
        return WAYS[fn]
    op = REGISTRY.get(fn)
    if isinstance(fn, np.ufunc):
        return _elementwise if fn.signature is None and not kwargs else None
    if type(op) is not Op or not op.elementwise:
        return None
    if "shape" in op.keywords:
        return _broadcast
    return _elementwise if len(args) == op.count else None


def _aligned(operands, ndim=0):
    """The operands' arrays, with axes of length 1 after the leading one, so that the others broadcast."""
    n = max(ndim, *(np.ndim(a) for a in operands), 0)
    return [
        a.arrays.reshape(len(a.arrays), *(1,) * (n - a.ndim), *a.shape) if type(a) is Batch else a
        for a in operands
    ]


def _elementwise(fn, *operands, **kwargs):
    return fn(*_aligned(operands), **kwargs)


def _broadcast(fn, x, shape):
    return fn(*_aligned([x], len(shape)), shape=(len(x.arrays), *shape))


def _product(fn, a, b):
    """Of matrices as it is; a vector becomes one, and its axis is taken out again."""
    if not (np.ndim(a) and np.ndim(b)) or (fn is np.dot and np.ndim(b) > 2):
        return NotImplemented
    rows = a[None] if np.ndim(a) == 1 else a
    columns = b[:, None] if np.ndim(b) == 1 else b
    y = np.matmul(*_aligned([rows, columns]))
    y = y[..., 0] if np.ndim(b) == 1 else y
    return y[..., 0] if np.ndim(a) == np.ndim(b) == 1 else y[..., 0, :] if np.ndim(a) == 1 else y


def _reduction(fn, a, axis=None, **kwargs):
    axes = range(a.ndim) if axis is None or not a.ndim else axis if isinstance(axis, tuple) else (axis,)
    return fn(a.arrays, axis=tuple(i % a.ndim + 1 for i in axes), **kwargs)


def _reshape(fn, a, shape=-1, order="C"):
    shape = shape if isinstance(shape, (tuple, list)) else (shape,)
    return np.reshape(a.arrays, (len(a.arrays), *shape)) if order == "C" else NotImplemented


def _transpose(fn, a, axes=None):
    axes = range(a.ndim)[::-1] if axes is None else axes
    return np.transpose(a.arrays, (0, *(i % a.ndim + 1 for i in axes)))


def _getitem(fn, a, index):
    return NotImplemented if (behind := _behind(index)) is None else a.arrays[behind]


def _scatter(fn, x, index, shape):
    return (
        NotImplemented
        if (behind := _behind(index)) is None
        else scatter(x.arrays, behind, (len(x.arrays), *shape))
    )


def _behind(index):
    """`index` behind a full slice; None where NumPy would put the axes of several arrays in front of it."""
    index = index if isinstance(index, tuple) else (index,)
    kinds = "".join("-" if part is None or part is ... or isinstance(part, slice) else
                    "i" if isinstance(part, (int, np.integer)) else "a" for part in index)  # fmt: skip
    return None if "a" in kinds and "-" in kinds.strip("-") else (slice(None), *index)


BROADCASTING = frozenset({_elementwise, _product})
"""Ways that take Batches in the place of any operand; the others want one in the first place only."""

WAYS: dict[Any, Any] = {
    **dict.fromkeys([np.matmul, np.dot], _product),
    **dict.fromkeys([np.sum, np.mean, np.prod, np.max, np.amax, np.min, np.amin, np.any, np.all], _reduction),
    np.reshape: _reshape,
    np.ravel: lambda fn, a, order="C": _reshape(fn, a, -1, order),
    np.transpose: _transpose,
    np.swapaxes: lambda fn, a, i, j: np.swapaxes(a.arrays, i % a.ndim + 1, j % a.ndim + 1),
    operator.getitem: _getitem,
    scatter: _scatter,
    **dict.fromkeys([np.copy, np.real, np.imag, np.zeros_like, np.ones_like], lambda fn, a: fn(a.arrays)),
}
