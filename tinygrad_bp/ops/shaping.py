"""Derivatives of functions that move elements: each is undone by moving the cotangent back.

A reshape is undone by a reshape, a permutation by its inverse, a concatenation by slices, a
repetition by a sum. Where NumPy only looks at the memory anew (`view=True`), so does a Tensor. Read
`products.py` next.
"""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..errors import NotDifferentiable, message
from ..primitive import array_of, cast, composite, defvjp, nondifferentiable, primitive, refused
from .indexing import flat, scatter


def _back(g, _y, _a, shape=None, newshape=None, axis=None, order="C", copy=None):
    """The cotangent in the argument's shape, elements in the same order."""
    if order not in ("C", "F"):
        what = "the order of a reshape's elements must be known to undo it"
        raise ValueError(message(what, expected="order='C' or 'F'", got=f"order={order!r}"))
    return np.reshape(g, _a.shape, order=order)


def _inverse(axes):
    """The permutation that undoes `axes`."""
    return None if axes is None else tuple(int(i) for i in np.argsort([axis % len(axes) for axis in axes]))


def _cut(g, arrays, lengths, axis):
    """One slice of g along `axis` per array, of the given length, in the array's shape."""
    pieces, start = [], 0
    for array, length in zip(arrays, lengths):
        piece = g[(slice(None),) * axis + (slice(start, start + length),)]
        pieces.append(np.reshape(piece, array.shape))
        start += length
    return pieces


def _split_back(g, _y, _arrays, axis=0, dtype=None, casting="same_kind"):
    """One slice of g per array of a concatenation."""
    if axis is None:
        return _cut(g, _arrays, [array.size for array in _arrays], 0)
    return _cut(g, _arrays, [array.shape[axis] for array in _arrays], axis % g.ndim)


def _cut_along(axis):
    """The rule of vstack and its like: an array without that axis has length 1 along it."""

    def rule(g, _y, _arrays, dtype=None, casting="same_kind"):
        return _cut(g, _arrays, [a.shape[axis] if a.ndim > max(axis, 1) else 1 for a in _arrays], axis)

    return rule


def _unhstack(g, _y, _arrays, dtype=None, casting="same_kind"):
    """hstack joins vectors along their one axis, all else along the second."""
    axis = min(_arrays[0].ndim, 2) - 1 if _arrays[0].ndim else 0
    return _cut(g, _arrays, [a.shape[axis] if a.ndim else 1 for a in _arrays], axis)


def _unstack(g, _y, _arrays, axis=0, dtype=None, casting="same_kind"):
    """One entry of g along the new axis per array of a stack."""
    lead = axis % g.ndim
    return [g[(slice(None),) * lead + (i,)] for i in range(len(_arrays))]


@primitive
def diagonal_of(d, shape, offset=0, axis1=0, axis2=1):
    """Zeros of `shape` with d on a diagonal: np.diagonal's transpose."""
    matrix = np.zeros(shape, d.dtype)
    place = np.diagonal(matrix, offset, axis1, axis2)
    place.flags.writeable = True  # NumPy hands it out read-only, but the memory is ours
    place[...] = d
    return matrix


@primitive
def overlapped(g, shape, window_shape, axis):
    """Zeros of `shape` with all windows added: sliding_window_view's transpose."""
    total = np.zeros(shape, g.dtype)
    windows = sliding_window_view(total, window_shape, axis, writeable=True)
    for place in np.ndindex(windows.shape[total.ndim :]):  # one of each window: these do not overlap
        windows[(..., *place)] += g[(..., *place)]
    return total


def _split(ary, indices_or_sections, axis=0):
    """The slices that np.split names, each a view."""
    lead, n, cuts = (slice(None),) * (axis % ary.ndim), ary.shape[axis], indices_or_sections
    if np.ndim(cuts) == 0:
        parts = max(int(cuts), 1)  # if it is less, NumPy says so
        each, longer = divmod(n, parts)
        cuts = [i * each + min(i, longer) for i in range(1, parts)]
    return [ary[(*lead, slice(start, stop))] for start, stop in zip((0, *cuts), (*cuts, n))]


def _split_along(axis):
    """The function of vsplit and its like, whose axis is known: vectors have only one."""
    return lambda ary, indices_or_sections: _split(ary, indices_or_sections, min(axis, ary.ndim - 1))


def _unroll(g, _y, _a, shift=0, axis=None):
    return np.roll(g, 0 - np.asarray(shift, int), axis)


def _rollaxis_back(g, _y, _a, axis=0, start=0):
    axis, start = axis % _a.ndim, start + _a.ndim * (start < 0)
    moved = start - (axis < start)
    return np.rollaxis(g, moved, axis + (moved < axis))


def _repeat(g, _y, _a, repeats=1, axis=None):
    """The sum over the copies of each element."""
    shape, axis = ((_a.size,), 0) if axis is None else (_a.shape, axis % _a.ndim)
    if np.size(repeats) == 1:
        times = int(np.reshape(repeats, ()))
        total = np.sum(np.reshape(g, (*shape[: axis + 1], times, *shape[axis + 1 :])), axis=axis + 1)
    else:
        places = np.repeat(np.arange(shape[axis]), repeats)
        total = scatter(g, (slice(None),) * axis + (places,), shape)
    return np.reshape(total, _a.shape)


def _tile(g, _y, _a, reps=1):
    """The sum over the tiles, whose axes come between those of the tile."""
    reps = (reps,) if np.ndim(reps) == 0 else tuple(reps)
    lengths = (*(1,) * (g.ndim - _a.ndim), *_a.shape)
    reps = (*(1,) * (g.ndim - len(reps)), *reps)
    g = np.reshape(g, tuple(n for pair in zip(reps, lengths) for n in pair))
    return np.reshape(np.sum(g, axis=tuple(range(0, g.ndim, 2))), _a.shape)


# ---- in supported calls ------------------------------------------------------------------------------


def _each(shape_of):
    """The function of atleast_1d and its like: each array in the shape that `shape_of` makes of its own."""

    def f(*arrays):
        found = tuple(np.reshape(a, shape_of(array_of(a).shape)) for a in arrays)
        return found if len(found) > 1 else found[0]

    return f


def _astype(x, dtype, /, *, copy=True, device=None):
    return x.astype(dtype) if copy or x.dtype != dtype else np.reshape(x, x.shape)


def _broadcast_arrays(*args, subok=False):
    shape = np.broadcast_shapes(*map(np.shape, args))
    return tuple(np.broadcast_to(a, shape) if np.shape(a) != shape else np.reshape(a, shape) for a in args)


def _meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    places = [1, 0, *range(2, len(xi))] if indexing == "xy" and len(xi) > 1 else range(len(xi))
    grids = [np.reshape(x, (*(1,) * i, -1, *(1,) * (len(xi) - 1 - i))) for x, i in zip(xi, places)]
    grids = grids if sparse else _broadcast_arrays(*grids)
    return tuple(np.copy(grid) if copy else grid for grid in grids)


def _block(arrays):
    """Lists within lists, joined along one axis per level, the innermost along the last."""
    levels = _depth(arrays)
    return _joined(arrays, levels, max(levels, _axes(arrays)))


def _depth(part):
    return 1 + max(map(_depth, part), default=0) if isinstance(part, list) else 0


def _axes(part):
    return max(map(_axes, part), default=0) if isinstance(part, list) else np.ndim(part)


def _joined(part, levels, ndim):
    if isinstance(part, list):
        return np.concatenate([_joined(p, levels - 1, ndim) for p in part], axis=-levels)
    return np.reshape(part, (*(1,) * (ndim - np.ndim(part)), *np.shape(part)))


def _insert(arr, obj, values, axis=None):
    """The same insertion among places tells which element of arr, or of values, stands where."""
    (arr, axis), values = flat(array_of(arr), axis), array_of(values)
    n = arr.size
    ours, theirs = np.arange(n), n + np.arange(np.size(values))
    places = np.insert(np.reshape(ours, arr.shape), obj, np.reshape(theirs, np.shape(values)), axis)
    return np.concatenate([np.ravel(arr), np.ravel(values)], dtype=arr.dtype, casting="unsafe")[places]


def _delete(arr, obj, axis=None):
    arr, axis = flat(arr, axis)
    left = np.isin(np.arange(arr.shape[axis]), np.delete(np.arange(arr.shape[axis]), obj))
    return arr[(slice(None),) * axis + (left,)]


def _trim_zeros(filt, trim="fb", axis=None):
    """The smallest box that holds all that is not 0, or one that begins or ends with the array."""
    axes = range(filt.ndim) if axis is None else [i % filt.ndim for i in np.ravel(axis)]
    ends, box = trim.lower(), []
    for i, n in enumerate(filt.shape):
        places = np.nonzero(filt)[i]
        first, last = (places.min(), places.max() + 1) if places.size else (n, 0) if ends == "f" else (0, 0)
        box.append(slice(first * ("f" in ends), last if "b" in ends else n) if i in axes else slice(None))
    return filt[tuple(box)]


# ---- padding -----------------------------------------------------------------------------------------

_STATISTICS: dict[str, Callable] = {
    "mean": np.mean,
    "maximum": np.max,
    "minimum": np.min,
    "median": np.median,
}


def _stacked(x):
    """An array of what may be a Tensor in nested lists."""
    return np.stack([_stacked(part) for part in x]) if isinstance(x, (list, tuple)) else x


def _pad(array, pad_width, mode="constant", **how):
    """Axis after axis, as NumPy does it; `how` has one pair of settings per axis."""
    if mode not in (*_STATISTICS, "constant", "edge", "linear_ramp", "reflect", "symmetric", "wrap"):
        raise NotDifferentiable(
            message(f"np.pad of a Tensor with mode={mode!r}", do="use another mode, or np.concatenate")
        )
    if isinstance(pad_width, dict):
        named = {axis % array.ndim: width for axis, width in pad_width.items()}
        pad_width = [np.broadcast_to(named.get(axis, 0), 2) for axis in range(array.ndim)]
    widths = np.broadcast_to(pad_width, (array.ndim, 2)).tolist()
    if mode == "constant":
        inside = tuple(slice(before, before + n) for (before, _), n in zip(widths, array.shape))
        y = scatter(array, inside, tuple(n + sum(width) for n, width in zip(array.shape, widths)))
        if not how:
            return y
        which = np.arange(1, 2 * array.ndim + 1).reshape(-1, 2)  # of the constants; 0 is inside
        which = np.pad(np.zeros(array.shape, int), widths, constant_values=which)
        values = np.ravel(np.broadcast_to(_stacked(how["constant_values"]), (array.ndim, 2)))
        return y + np.concatenate([[0], values], dtype=array.dtype, casting="unsafe")[which]
    odd = how.pop("reflect_type", "even") == "odd"
    how = {name: np.broadcast_to(_stacked(pairs), (array.ndim, 2)) for name, pairs in how.items()}
    for axis, width in enumerate(widths):
        if any(width):
            settings = {name: pairs[axis] for name, pairs in how.items()}
            array = _extended(array, axis, width, mode, odd, settings)
    return array


def _extended(x, axis, width, mode, odd, how):
    """Every element beyond x is one of x, but for a weight and a share in x's ends or their statistics."""
    n, lead = x.shape[axis], (slice(None),) * axis
    if mode in _STATISTICS:
        before, after = (n if m is None else min(m, n) for m in how.get("stat_length", (None, None)))
        ends = [x[(*lead, slice(before))], x[(*lead, slice(n - after, None))]]
        first, last = (_STATISTICS[mode](end, axis=axis, keepdims=True) for end in ends)
        places = np.pad(np.arange(1, n + 1), width, constant_values=(0, n + 1))
        return np.take(np.concatenate([first, x, last], axis), places, axis)

    def padded(weights, mode=mode, **how):
        line = np.pad(np.asarray(weights, x.dtype), width, mode, **how)
        return np.reshape(line, (-1, *(1,) * (x.ndim - 1 - axis)))

    if mode == "linear_ramp":
        ones, there = np.ones(n), np.pad(np.arange(n), width, "edge")
        y, ends = np.take(x, there, axis) * padded(ones), how.get("end_values", np.zeros(2)).astype(x.dtype)
        return y + sum(end * padded(0 * ones, end_values=at) for end, at in zip(ends, ((1, 0), (0, 1))))
    y = np.take(x, np.pad(np.arange(n), width, mode), axis)
    if not odd or n == 1 or mode not in ("reflect", "symmetric"):
        return y
    first, last = (padded(np.arange(n) == end, reflect_type="odd") for end in (0, n - 1))
    return y * (1 - first - last) + first * x[(*lead, slice(1))] + last * x[(*lead, slice(-1, None))]


# ---- functions of the user's -------------------------------------------------------------------------


def _apply_along_axis(func1d, axis, arr, *args, **kwargs):
    """func1d of each row along `axis`, its results in the row's place."""
    rows = np.moveaxis(arr, axis, -1)
    lead, axis = rows.shape[:-1], axis % arr.ndim
    if 0 in lead:
        raise ValueError(
            message("apply_along_axis has no row to apply a function to", got=f"shape {arr.shape}")
        )
    found = [func1d(rows[i], *args, **kwargs) for i in np.ndindex(lead)]
    shape = np.shape(found[0])
    y = np.reshape(np.stack(found), lead + shape)
    return np.moveaxis(y, range(len(lead), len(lead) + len(shape)), range(axis, axis + len(shape)))


def _apply_over_axes(func, a, axes):
    """func(func(a, axis), axis), …: a result that has lost the axis gets it back, of length 1."""
    for axis in np.ravel(axes):
        axis = int(axis) % np.ndim(a)
        y = func(a, axis)
        a = y if np.ndim(y) == np.ndim(a) else np.expand_dims(y, axis)
    return a


# fmt: off
defvjp(np.reshape,       _back, view=True)
defvjp(np.ravel,         _back, view=True)
defvjp(np.squeeze,       _back, view=True)
defvjp(np.expand_dims,   _back, view=True)
defvjp(np.transpose,     lambda g, _y, _a, axes=None: np.transpose(g, _inverse(axes)) if axes else g.T, view=True)
defvjp(np.swapaxes,      lambda g, _y, _a, axis1=0, axis2=1: np.swapaxes(g, axis1, axis2), view=True)
defvjp(np.moveaxis,      lambda g, _y, _a, source=0, destination=0:
                             np.moveaxis(g, destination, source), view=True)
defvjp(np.broadcast_to,  lambda g, _y, _array, shape=None: g, broadcasts="elementwise", view=True)
defvjp(np.diagonal,      lambda g, _y, _a, offset=0, axis1=0, axis2=1:
                             diagonal_of(g, _a.shape, offset=offset, axis1=axis1, axis2=axis2), view=True, selects=True)
defvjp(sliding_window_view, lambda g, _y, _x, window_shape=None, axis=None:
                             overlapped(g, _x.shape, window_shape, axis), view=True)
defvjp(overlapped,       lambda g, _y, _g, shape, window_shape, axis: sliding_window_view(g, window_shape, axis))
defvjp(diagonal_of,      lambda g, _y, _d, shape, offset=0, axis1=0, axis2=1:
                             np.diagonal(g, offset, axis1, axis2))
defvjp(np.copy,          lambda g, _y, _a, order="K": g)
defvjp(np.ndarray.astype, lambda g, _y, _x, dtype=None: cast(g, _x.dtype))
defvjp(np.rollaxis,      _rollaxis_back, view=True)
defvjp(np.flip,          lambda g, _y, _m, axis=None: np.flip(g, axis), view=True)
defvjp(np.fliplr,        lambda g, _y, _m: np.fliplr(g), view=True)
defvjp(np.flipud,        lambda g, _y, _m: np.flipud(g), view=True)
defvjp(np.rot90,         lambda g, _y, _m, k=1, axes=(0, 1): np.rot90(g, -k, axes), view=True)
defvjp(np.roll,          _unroll)
defvjp(np.repeat,        _repeat)
defvjp(np.tile,          _tile)
defvjp(np.diag,          lambda g, _y, _v, k=0: np.diagonal(g, k) if _v.ndim == 1 else diagonal_of(g, _v.shape, k),
                         view=True, selects=True)
defvjp(np.diagflat,      lambda g, _y, _v, k=0: np.reshape(np.diagonal(g, k), _v.shape))
defvjp(np.tril,          lambda g, _y, _m, k=0: np.tril(g, k), broadcasts="elementwise", selects=True)
defvjp(np.triu,          lambda g, _y, _m, k=0: np.triu(g, k), broadcasts="elementwise", selects=True)

# several arrays in one
defvjp(np.concatenate,   _split_back, sequence=0)
defvjp(np.stack,         _unstack, sequence=0)
defvjp(np.vstack,        _cut_along(0), sequence=0)
defvjp(np.hstack,        _unhstack, sequence=0)
defvjp(np.dstack,        _cut_along(2), sequence=0)
defvjp(np.column_stack,  lambda g, _y, _arrays: _cut_along(1)(g, _y, _arrays), sequence=0)

composite(np.append,     lambda arr, values, axis=None: np.concatenate([array_of(arr), array_of(values)], axis))
composite(np.block,      _block)
composite(np.insert,     _insert)

# one array in several, and one array's parts
composite(np.split,       _split)
composite(np.array_split, _split)
composite(np.vsplit,      _split_along(0))
composite(np.hsplit,      _split_along(1))
composite(np.dsplit,      _split_along(2))
composite(np.delete,      _delete)
composite(np.trim_zeros,  _trim_zeros)
composite(np.resize,      lambda a, new_shape: np.ravel(a)[np.resize(np.arange(np.size(a)), new_shape)])

# shapes that others ask for
composite(np.atleast_1d,  _each(lambda shape: shape or (1,)), calls_back=True)
composite(np.atleast_2d,  _each(lambda shape: (*(1,) * (2 - len(shape)), *shape)), calls_back=True)
composite(np.atleast_3d,  _each(lambda shape: ((1, 1, 1), (1, *shape, 1), (*shape, 1), shape)[min(len(shape), 3)]), calls_back=True)
composite(np.pad,         _pad)
composite(np.astype,             _astype)
composite(np.broadcast_arrays,   _broadcast_arrays)
composite(np.meshgrid,           _meshgrid)
composite(np.apply_along_axis,   _apply_along_axis, calls_back=True)
composite(np.apply_over_axes,    _apply_over_axes, calls_back=True)
# fmt: on

if "unstack" in vars(np):  # since NumPy 2.1
    composite(np.unstack, lambda x, /, *, axis=0: tuple(np.moveaxis(x, axis, 0)))

refused(np.ix_, "use np.meshgrid(…, indexing='ij', sparse=True)")
for _constant in (
    np.diag_indices_from, np.tril_indices_from, np.triu_indices_from, np.unravel_index, np.ravel_multi_index,
):  # fmt: skip
    nondifferentiable(_constant)
