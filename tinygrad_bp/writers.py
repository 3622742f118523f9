"""NumPy's own ways to write: `out=`, `np.copyto`, `np.put`, `np.add.at`, `t.sort()` and the rest, for Tensors.

The one idea: each of them says which places get which values, and leaves the writing to `assign` or
`store`. A plain array as the target takes constants only. Read `backward.py` next.
"""

import numpy as np

from .dispatch import call_elementwise, dispatch
from .errors import message, outline
from .graph import upstairs
from .methods import constants, records
from .ops.indexing import put_sum
from .primitive import REGISTRY, Nondifferentiable, Writer
from .tensor import Tensor, tensors_in
from .writes import assign, store, stretched


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
        return _call_into_several(fn, args, out, kwargs)
    recorded = [] if type(REGISTRY.get(fn)) is Nondifferentiable else [*args, *kwargs.values()]
    if not _target(target, f"{fn.__name__} with out=", *recorded):
        return fn(*constants(args), out=target, **constants(kwargs))
    if isinstance(fn, np.ufunc):
        return store(target, call_elementwise(fn, args, kwargs, target))
    return store(target, dispatch(fn, args, kwargs))


def _call_into_several(fn, args, out, kwargs):
    """Each result in its own target, or as it is where that is None."""
    if kwargs.get("where", True) is not True:
        raise TypeError(
            message(f"{fn.__name__} with where= and out= of several arrays", do="use np.where on the results")
        )
    found = fn(*args, **kwargs)
    pairs = [(target, part) for target, part in zip(out, found) if target is not None]
    for target, part in pairs:
        _target(target, f"{fn.__name__} with out=", part)
        stretched(part, np.shape(target))
    for target, part in pairs:
        _copyto(target, part)
    return tuple(part if target is None else target for target, part in zip(out, found))


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
    if where.any() and not np.size(vals):
        raise ValueError(message("np.place got no values to write", do="give at least one"))
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
    places = np.arange(arr.size)
    places, axis = (places, 0) if axis is None else (places.reshape(arr.shape), axis)
    places = np.take_along_axis(places, constants(indices), axis)
    assign(arr, np.unravel_index(places, arr.shape), values)


def _fill_diagonal(a, val, wrap=False):
    if not _target(a, "np.fill_diagonal", val):
        np.fill_diagonal(a, constants(val), wrap=wrap)
        return
    if not np.size(val):
        return  # as in NumPy
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
    values = [np.broadcast_to(x, places.shape) for x in b]
    if ufunc in (np.add, np.subtract):
        store(a, put_sum(a, values[0] if ufunc is np.add else -1.0 * values[0], index=indices))
        return
    values = [np.ravel(np.copy(x)) for x in values]  # as they are now: they may share a's memory
    places, left = places.ravel(), np.arange(places.size)
    while left.size:  # in each round those that name a place for the first time
        _, first = np.unique(places[left], return_index=True)
        index = np.unravel_index(places[left[first]], a.shape) if a.shape else ...
        assign(a, index, ufunc(a[index], *[x[left[first]] for x in values]))
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
