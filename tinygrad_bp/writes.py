"""Writes into Tensors: `t[i] = v` and `t += v`, with right gradients.

The one idea: a write is a function. The root's new value is `put(old root, value, index)`, one node
like any other, whose rule hands the cotangent outside the index to the old root and that inside it
to the value. The memory is really written to, as NumPy would, unless a rule still needs what stands
there: then the family moves to a copy first. Views of the root become stale and follow when used.
Read `writers.py` next.
"""

import math
import operator

import numpy as np

from . import common_memory
from .errors import message, outline
from .graph import upstairs
from .methods import constant, constants, records
from .ops.indexing import put
from .primitive import REGISTRY, DuckArray, array_of
from .tensor import Tensor, record, refresh
from .views import STALE, leased, move_views, root_of, views_of


def _put_in_place(a, value, index):
    if isinstance(value, DuckArray):
        return put(a, value, index=index)
    a[index] = value
    return a


def _put_in_copy(a, value, index):
    if isinstance(a, Tensor) or isinstance(value, Tensor):
        return record(REGISTRY[put], (a, value), {"index": index}, _put_in_copy)
    if isinstance(a, DuckArray) or isinstance(value, DuckArray):
        return put(a, value, index=index)
    return _put_in_place(_copy_of(a), value, index)


def _alike(a):
    """An array of a's shape, dtype and layout, gaps and all: what is a view of a, is one of it in a's place."""
    if a.flags.forc:
        return np.empty_like(a)
    strides = _closer(a.shape, a.strides, a.itemsize)
    reach = [(n - 1) * stride for n, stride in zip(a.shape, strides)]
    before = -sum(r for r in reach if r < 0)
    memory = np.empty(before + sum(r for r in reach if r > 0) + a.itemsize, np.uint8)
    return np.ndarray(a.shape, a.dtype, memory, before, strides)


def _closer(shape, strides, itemsize):
    """Strides with small gaps for these: a column does not need the memory of its matrix.

    Axes of a view become one where a stride is another's length: at a gap as wide as what lies inside it, none do.
    """
    found, room = list(strides), 2 * itemsize
    axes = sorted((i for i, n in enumerate(shape) if n > 1), key=lambda i: abs(strides[i]))
    for k, axis in enumerate(axes):
        stride, unit = abs(found[axis]), math.gcd(*(found[i] for i in axes[k:]))
        if 2 * stride < room - 2 * itemsize or not stride:
            return strides  # some element may be there twice
        closer = -(-room * unit // (stride * itemsize)) * itemsize
        if closer < unit:
            for i in axes[k:]:
                found[i] = found[i] // unit * closer
        room += 2 * shape[axis] * abs(found[axis])
    return found


def _copy_of(a):
    new = _alike(a)
    new[...] = a
    return new


@upstairs
def assign(target, index, value):
    """target[index] = value."""
    index, value = constants(index), array_of(value) if isinstance(value, (list, tuple)) else value
    if _stands_in(target, value):
        _replace(target, index, constant(value))
        return
    root, recorded = _check(target, value)
    if not recorded:
        unshare(root)
        target._data[index] = constant(value)
        return
    common_memory.check(root, recorded)
    step = target._alias.steps[0] if root is not target and len(target._alias.steps) == 1 else None
    if index is ... and step is not None and step.op is REGISTRY[operator.getitem]:
        index = step.kwargs["index"]  # as in t[i] += v
    elif root is not target:
        places = _places(target, root)[index]
        if root.dtype.kind == "c" != target.dtype.kind:
            value = _whole(target, root, places, value)
        if not np.size(places):
            return
        index = np.unravel_index(places, root.shape) if root.shape else ...
        if not root.shape:
            value = np.ravel(_in_shape(value, np.shape(places)))[-1]  # of several for its one place the last
    if isinstance(value, Tensor):
        index, value = _one_value_each(root, index, value)
    forward = _put_in_copy if leased(root) else _put_in_place
    _become(
        root, record(REGISTRY[put], (Tensor._of(root._data, root._node), value), {"index": index}, forward)
    )


def _stands_in(target, value):
    """Is target over a tracer, whose values are only replaced, and will writing the value not record?"""
    over_tracer = isinstance(target._data, DuckArray) and type(target._data) is not Tensor
    return over_tracer and not records(target) and not (isinstance(value, Tensor) and records(value))


def _replace(target, index, value):
    """target[index] = value in a Tensor over a tracer that does not record: its value is another, and so are its views'."""
    root = root_of(target)
    if records(root) or (root is not target and root.dtype != target.dtype):
        raise TypeError(message("a write through such a view, under bp.compile", do="write to the root"))
    if root is not target:
        index = np.unravel_index(_places(target, root)[index], root.shape)
    rebase(root, put(root._data, value, index=index) if index is not None else value)


def rebase(root, array):
    """The value of a Tensor over a stand-in for an array, which cannot be written to, and of its views."""
    root._move(array)
    move_views(root, constant)


@upstairs
def update(target, operate, operate_in_place, other):
    """target op= other. NumPy's scalars have no memory to write to: they are rebound, as in NumPy."""
    kind = type(constant(target))  # not the array itself: a reference to it would count as a rule's
    if _stands_in(target, other):
        _replace(
            target, ... if root_of(target) is not target else None, operate(constant(target), constant(other))
        )
        return target
    if not issubclass(kind, (np.ndarray, DuckArray)) or (issubclass(kind, DuckArray) and not target.shape):
        return operate(target, other)
    root, recorded = _check(target, other)
    if recorded:
        return store(target, operate(target, other), fresh=True)
    unshare(root)
    operate_in_place(target._data, constant(other))
    return target


def store(target, result, fresh=False):
    """Put an array or Tensor in target's place, as `out=` does: in its shape, cast to its dtype if safe.

    `fresh` says that nobody else has the result, so that its memory may be taken over.
    """
    result = array_of(result) if isinstance(result, (list, tuple)) else result
    root, recorded = (target, False) if _stands_in(target, result) else _check(target, result)
    result = stretched(result, target.shape)
    dtype = np.result_type(constant(result))
    if not np.can_cast(dtype, target.dtype, "same_kind"):
        raise TypeError(
            message(
                "a write cannot change a Tensor's dtype",
                expected=f"a value that casts to {target.dtype}",
                got=dtype,
                do="convert the value with astype",
            )
        )
    if target is not root or not recorded or not root.shape or not isinstance(result, Tensor):
        assign(target, ..., result)
        return target
    refresh(result)
    common_memory.check(root, recorded)
    if result.dtype != target.dtype:
        result = result.astype(target.dtype)
    elif not fresh:
        result = np.copy(result)
    data, laid_out = result._data, _strides(root) == _strides(result)
    if not laid_out and type(root._data) is Tensor:  # its views must stay views: the next ones, too
        assign(target, ..., result)
        return target
    arrays = type(root._data) is np.ndarray and type(data) is np.ndarray
    if arrays and (views_of(root) or root._handle is not None or not laid_out):
        place = _alike(root._data) if leased(root) else root._data
        place[...] = data
        data = place
    _become(root, Tensor._of(data, result._node))
    return target


def _strides(t):
    array = common_memory.array_of(t)
    return array.strides if type(array) is np.ndarray else None


def _check(target, value):
    """(root, will the write be recorded?), after refusing what could not be right."""
    refresh(target)
    root = root_of(target)
    if isinstance(value, Tensor):
        refresh(value)
    array = constant(target)
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        raise ValueError(
            message(f"a write into a read-only view: {outline(target)}", do="write into a copy, t = t.copy()")
        )
    node = root._node
    leaf = next((t for t in (root, *views_of(root)) if _refuses(t)), None)
    if leaf is not None:
        raise TypeError(
            message(
                f"a write into a leaf that requires gradients{f' ({leaf.name})' if leaf.name else ''}",
                do="update parameters under bp.no_grad(); otherwise write into a copy, t = t.copy()",
            )
        )
    value_records = isinstance(value, Tensor) and records(value)
    if value_records and target._node is None and node is not None:
        raise TypeError(
            message(
                "a value that records was written through a view from bp.no_grad() or t.detach()",
                do="take the view anew, outside of no_grad",
            )
        )
    recorded = value_records or (node is not None and records(root))
    if recorded and array.dtype.kind not in "fc":
        raise TypeError(
            message("a value that records was written into integers, where its gradient would be lost",
                    expected="a floating or complex array", got=outline(target), do="make it float, as in bp.zeros(n)")
        )  # fmt: skip
    if not recorded and not isinstance(target._data, np.ndarray):
        raise TypeError(
            message(
                "a write, under bp.no_grad(), into a value of a transform in progress", do="copy it first"
            )
        )
    return root, recorded


def _refuses(t):
    """Is it a leaf that is being differentiated?"""
    node = t._node
    return node is not None and node is not STALE and node.op is None and (node.level > 0 or records(t))


def unshare(t):
    """Make sure that writing to the memory of t's family changes no value that a rule still needs."""
    root = root_of(t)
    common_memory.check(root, False)
    if leased(root):
        root._move(_copy_of(root._data).view())
        move_views(root, constant)


def _become(root, new):
    """The root is `new` from now on; its views follow."""
    moved, had_node = new._data is not root._data, root._node is not None
    if had_node and new._node is not None and root._node.grad is None:
        new._node.grad = None  # retain_grad is about the Tensor, not about one of its values
    root._node = new._node
    if moved:
        root._move(new._data)
    for view in views_of(root):
        if not view._alias.detached and (view._node is not None or not had_node):
            view._alias.retained |= view._node is not None and view._node.grad is None
            view._node = None if root._node is None else STALE
    if moved:
        move_views(root, constant)


def _places(target, root):
    """Where each element of the view stands in the root, counted in C order."""
    places = np.arange(root.size).reshape(root.shape)
    if root.dtype.kind == "c":  # a number's real and imaginary parts stand in one place
        return np.real(target._alias.of(places * (1 + 1j))).astype(int)
    return np.asarray(target._alias.of(places))


def _whole(target, root, places, value):
    """The complex numbers in `places` once `value` has become their real, or imaginary, part."""
    if np.iscomplexobj(value):
        value = value.astype(target.dtype)  # with NumPy's warning
    old = np.reshape(Tensor._of(root._data, root._node), (-1,))[places]
    if any(step.op.forward is np.imag for step in target._alias.steps):
        return np.real(old) + 1j * value
    return value + 1j * np.imag(old)


def _in_shape(value, shape):
    """`value` as NumPy stretches it to a place of this shape: leading axes of length 1 fall away."""
    if np.ndim(value) > len(shape):
        value = np.reshape(value, np.shape(value)[np.ndim(value) - len(shape) :])
    return stretched(value, shape)


def stretched(value, shape):
    """`value` broadcast to `shape`, or an error in words of writing."""
    if np.shape(value) == shape:
        return value
    try:
        return np.broadcast_to(value, shape)
    except ValueError:
        fits = f"a value that broadcasts to shape {shape}"
        what = "a value does not fit the place that it is written to"
        raise ValueError(message(what, expected=fits, got=outline(value))) from None


def _one_value_each(root, index, value):
    """(index, value) with value in the indexed shape, and of several values for one place only the last."""
    value = _in_shape(value, np.broadcast_to(np.empty(()), root.shape)[index].shape)
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, (list, np.ndarray)) and np.asarray(part).dtype != bool for part in parts):
        places = np.arange(root.size).reshape(root.shape)[index].ravel()
        unique, last = np.unique(places[::-1], return_index=True)
        if unique.size < places.size:
            index = np.unravel_index(unique, root.shape)
            value = np.reshape(value, (-1,))[places.size - 1 - last]
    return index, value
