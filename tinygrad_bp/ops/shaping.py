"""Derivatives of functions that move elements: each is undone by moving the cotangent back.

A reshape is undone by a reshape, a permutation by its inverse, a concatenation by slices. Read
`products.py` next.
"""

import numpy as np

from ..errors import message
from ..primitive import composite, defvjp, primitive


def _back(g, _y, _a, shape=None, newshape=None, axis=None, order="C", copy=None):
    """The cotangent in the argument's shape, elements in the same order."""
    if order not in ("C", "F"):
        raise ValueError(
            message(
                "the order of a reshape's elements must be known to undo it",
                expected="order='C' or 'F'", got=f"order={order!r}",
            )
        )  # fmt: skip
    return np.reshape(g, _a.shape, order=order)


def _inverse(axes):
    """The permutation that undoes `axes`."""
    return None if axes is None else tuple(int(i) for i in np.argsort([axis % len(axes) for axis in axes]))


def _split_back(g, _y, _arrays, axis=0, dtype=None, casting="same_kind"):
    """One slice of g per array of a concatenation."""
    pieces, start = [], 0
    for array in _arrays:
        length = array.size if axis is None else array.shape[axis]
        lead = 0 if axis is None else axis % len(array.shape)
        piece = g[(slice(None),) * lead + (slice(start, start + length),)]
        pieces.append(np.reshape(piece, array.shape))
        start += length
    return pieces


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


def _split(ary, indices_or_sections, axis=0):
    """The slices that np.split names, each a view."""
    axis = np.lib.array_utils.normalize_axis_index(axis, ary.ndim)
    places = np.array_split(np.arange(ary.shape[axis]), indices_or_sections)
    lead = (slice(None),) * axis
    return [ary[(*lead, slice(place[0], place[-1] + 1) if place.size else slice(0, 0))] for place in places]


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
                             diagonal_of(g, _a.shape, offset=offset, axis1=axis1, axis2=axis2), view=True)
defvjp(diagonal_of,      lambda g, _y, _d, shape, offset=0, axis1=0, axis2=1:
                             np.diagonal(g, offset, axis1, axis2))
defvjp(np.copy,          lambda g, _y, _a, order="K": g)
defvjp(np.ndarray.astype, lambda g, _y, _x, dtype=None: g)
defvjp(np.concatenate,   _split_back, sequence=0)
defvjp(np.stack,         _unstack, sequence=0)
# fmt: on

composite(np.split, _split)
composite(np.array_split, _split)
