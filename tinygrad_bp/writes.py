"""Writes into Tensors: `t[i] = v`, `t += v`, `out=`, `np.copyto` and the rest, with right gradients.

The one idea: a write is a function. The root's new value is `put(old root, value, index)`, one node
like any other, whose rule hands the cotangent outside the index to the old root and that inside it
to the value. The memory is really written to, as NumPy would, unless a rule still needs what stands
there: then the family moves to a copy first. Views of the root become stale and follow when used.
Read `backward.py` next.
"""

import numpy as np

from . import common_memory
from .dispatch import call_elementwise, dispatch
from .errors import message, outline
from .graph import upstairs
from .methods import constant, constants, records
from .ops.indexing import put, put_sum
from .primitive import REGISTRY, DuckArray, Nondifferentiable, Writer
from .tensor import Tensor, record, refresh, tensors_in
from .views import STALE, leased, move_views, root_of, views_of


def _put_in_place(a, value, index):
    if isinstance(value, DuckArray):
        return put(a, value, index=index)
    a[index] = value
    return a


@upstairs
def assign(target, index, value):
    """target[index] = value."""
    index, value = constants(index), _one_array(value)
    if _stands_in(target) and not (isinstance(value, Tensor) and records(value)):
        if root_of(target) is not target or views_of(target):
            raise TypeError(
                message("a write through a view, or past one, under bp.compile", do="write to the root")
            )
        target._move(put(target._data, constant(value), index=index))
        return
    root, recorded = _check(target, value)
    if not recorded:
        unshare(root)
        target._data[index] = constant(value)
        return
    common_memory.check(root, recorded)
    if root is not target:
        places = _places(target, root)[index]
        if root.dtype.kind == "c" != target.dtype.kind:
            value = _whole(target, root, places, value)
        if not np.size(places):
            return
        index = np.unravel_index(places, root.shape) if root.shape else ...
    if isinstance(value, Tensor):
        index, value = _one_value_each(root, index, value)
    forward = put if leased(root) else _put_in_place
    _become(
        root, record(REGISTRY[put], (Tensor._of(root._data, root._node), value), {"index": index}, forward)
    )


def _stands_in(target):
    """Is it a constant over a tracer, whose values are only replaced?"""
    return target._node is None and isinstance(target._data, DuckArray) and type(target._data) is not Tensor


@upstairs
def update(target, operate, operate_in_place, other):
    """target op= other. NumPy's scalars have no memory to write to: they are rebound, as in NumPy."""
    kind = type(constant(target))  # not the array itself: a reference to it would count as a rule's
    if issubclass(kind, DuckArray) and not records(target):
        target._move(operate(constant(target), constant(other)))
        return target
    if not issubclass(kind, np.ndarray):
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
    root, recorded = _check(target, result)
    if np.shape(result) != target.shape:
        result = np.broadcast_to(result, target.shape)
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
    data = result._data
    arrays = type(root._data) is np.ndarray and type(data) is np.ndarray
    if arrays and (views_of(root) or root._handle is not None or root._data.strides != data.strides):
        place = np.empty_like(root._data) if leased(root) else root._data
        place[...] = data
        data = place
    _become(root, Tensor._of(data, result._node))
    return target


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


def _one_array(value):
    """A list of Tensors cannot be written as one value; everything else can."""
    if isinstance(value, (list, tuple)):
        if any(isinstance(part, Tensor) and records(part) for part in value):
            return np.stack([part if isinstance(part, Tensor) else np.asarray(part) for part in value])
        return np.asarray(constants(value))
    return value


def unshare(t):
    """Make sure that writing to the memory of t's family changes no value that a rule still needs."""
    root = root_of(t)
    common_memory.check(root, False)
    if leased(root):
        root._move(root._data.copy(order="K").view())
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
    old = np.reshape(Tensor._of(root._data, root._node), (-1,))[places]
    if any(step.op.forward is np.imag for step in target._alias.steps):
        return np.real(old) + 1j * value
    return value + 1j * np.imag(old)


def _one_value_each(root, index, value):
    """(index, value) with value in the indexed shape, and of several values for one place only the last."""
    indexed = np.broadcast_to(np.empty(()), root.shape)[index].shape
    if value.ndim > len(indexed):
        value = np.reshape(value, value.shape[value.ndim - len(indexed) :])
    if value.shape != indexed:
        value = np.broadcast_to(value, indexed)
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, (list, np.ndarray)) and np.asarray(part).dtype != bool for part in parts):
        places = np.arange(root.size).reshape(root.shape)[index].ravel()
        unique, last = np.unique(places[::-1], return_index=True)
        if unique.size < places.size:
            index = np.unravel_index(unique, root.shape)
            value = np.reshape(value, (-1,))[places.size - 1 - last]
    return index, value


def _target(array, name, *values):
    """Is the target a Tensor? A plain array can take no value that records."""
    if isinstance(array, Tensor):
        return True
    if any(map(records, tensors_in(values))):
        raise plain_target(name)
    return False


def plain_target(name):
    """The error for a value that records on its way into a plain ndarray."""
    return TypeError(
        message(
            f"{name} would write a value that records into a plain ndarray, where its gradient would be lost",
            do="make the target a Tensor, as in buffer = bp.zeros(shape), or pass t.data if no gradient is wanted",
        )
    )


@upstairs
def call_into(fn, args, out, **kwargs):
    """fn(*args, out=out, **kwargs), where a Tensor is among the operands or is `out`."""
    target = out[0] if isinstance(out, tuple) else out
    if isinstance(out, tuple) and len(out) > 1:
        raise TypeError(
            message(f"out= with several arrays ({fn.__name__}) is not supported", do="use the results")
        )
    recorded = [] if type(REGISTRY.get(fn)) is Nondifferentiable else [*args, *kwargs.values()]
    if not _target(target, f"{fn.__name__} with out=", *recorded):
        return fn(*constants(args), out=target, **constants(kwargs))
    if isinstance(fn, np.ufunc):
        return store(target, call_elementwise(fn, args, kwargs, target))
    return store(target, dispatch(fn, args, kwargs))


def _copyto(dst, src, casting="same_kind", where=True):
    if not _target(dst, "np.copyto", src, where):
        np.copyto(dst, constants(src), casting=casting, where=constants(where))
    elif where is True:
        store(dst, src)
    elif np.result_type(mask := constants(where)).kind != "b":
        raise TypeError(message("a mask is of truth values", got=outline(mask), do="use where=mask > 0"))
    else:
        store(dst, np.where(mask, src, dst))


def _cycled(values, count):
    """`values`, flat and repeated to `count` of them."""
    values = np.ravel(values)
    return values[np.arange(count) % max(values.size, 1)]


def _put_flat(a, ind, v, mode="raise"):
    if not _target(a, "np.put", v):
        np.put(a, constants(ind), constants(v), mode=mode)
        return
    if np.size(v) == 0:
        return  # as in NumPy
    places = np.ravel_multi_index((np.ravel(constants(ind)),), (a.size,), mode=mode) if mode != "raise" else (
        np.arange(a.size)[np.ravel(constants(ind))]
    )  # fmt: skip
    assign(a, np.unravel_index(places, a.shape), _cycled(v, places.size))


def _place(arr, mask, vals):
    if not _target(arr, "np.place", vals):
        np.place(arr, constants(mask), constants(vals))
        return
    where = np.reshape(np.asarray(constants(mask), bool), arr.shape)
    assign(arr, where, _cycled(vals, int(where.sum())))


def _putmask(a, mask, values):
    if not _target(a, "np.putmask", values):
        np.putmask(a, constants(mask), constants(values))
    elif np.size(values):
        where = np.reshape(np.asarray(constants(mask), bool), a.shape)
        assign(a, where, _cycled(values, a.size)[where.ravel()])


def _put_along_axis(arr, indices, values, axis=-1):
    if not _target(arr, "np.put_along_axis", values):
        np.put_along_axis(arr, constants(indices), constants(values), axis)
        return
    if axis is None:
        raise TypeError(message("np.put_along_axis without an axis writes into a copy", do="use np.put"))
    places = np.take_along_axis(np.arange(arr.size).reshape(arr.shape), constants(indices), axis)
    assign(arr, np.unravel_index(places, arr.shape), values)


def _fill_diagonal(a, val, wrap=False):
    if not _target(a, "np.fill_diagonal", val):
        np.fill_diagonal(a, constants(val), wrap=wrap)
        return
    places = np.zeros(a.shape, bool)
    np.fill_diagonal(places, True, wrap=wrap)
    assign(a, places, _cycled(val, int(places.sum())))


@upstairs
def update_at(ufunc, a, indices, *b):
    """`ufunc.at`: a[indices] = ufunc(a[indices], b), once for each time a place is named."""
    if not _target(a, f"np.{ufunc.__name__}.at", *b):
        ufunc.at(a, constants(indices), *constants(b))
        return
    indices = constants(indices)
    places = np.arange(a.size).reshape(a.shape)[indices]
    values = [x if isinstance(x, Tensor) else np.asarray(x, a.dtype) for x in b]
    values = [np.broadcast_to(x, places.shape) for x in values]
    if ufunc in (np.add, np.subtract):
        store(a, put_sum(a, values[0] if ufunc is np.add else -values[0], index=indices))
        return
    places, left = places.ravel(), np.arange(places.size)
    while left.size:  # in each round those that name a place for the first time
        _, first = np.unique(places[left], return_index=True)
        index = np.unravel_index(places[left[first]], a.shape) if a.shape else ...
        assign(a, index, ufunc(a[index], *[np.ravel(x)[left[first]] for x in values]))
        left = np.delete(left, first)


@upstairs
def rearrange(t, function, *args, axis, **kwargs):
    """function(t, …), which is np.sort or np.partition, in t's place."""
    if axis is None:
        raise TypeError(message(f"t.{function.__name__} needs an axis", do=f"use np.{function.__name__}"))
    store(t, function(t, *args, axis=axis, **kwargs), fresh=True)


for _fn, _f in (
    (np.copyto, _copyto),
    (np.put, _put_flat),
    (np.place, _place),
    (np.putmask, _putmask),
    (np.put_along_axis, _put_along_axis),
    (np.fill_diagonal, _fill_diagonal),
):
    REGISTRY[_fn] = Writer(_fn, _f)
