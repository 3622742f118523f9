"""The methods of an ndarray, each one line over the NumPy function of the same name.

The one idea: NumPy is the switchboard. `t.sum(axis=0)` calls `np.sum(t, axis=0)`, and NumPy offers
that call to the Tensor, which finds the rule; nothing here knows of derivatives. Read `tensor.py`
next.
"""

from typing import Any

import numpy as np

from .primitive import DuckArray


def _method(function):
    """The method that calls `function` with the Tensor as its first argument."""

    def method(self, *args, **kwargs):
        return function(self, *args, **kwargs)

    method.__name__ = function.__name__
    method.__doc__ = f"`np.{function.__name__}` of this Tensor."
    return method


def _axes(args):
    """`t.reshape(2, 3)` and `t.reshape((2, 3))` say the same."""
    return args[0] if len(args) == 1 else args


class ArrayMethods(DuckArray):
    """What a Tensor does by asking NumPy."""

    __slots__ = ()

    # reductions
    sum = _method(np.sum)
    mean = _method(np.mean)
    var = _method(np.var)
    std = _method(np.std)
    max = _method(np.max)
    min = _method(np.min)
    prod = _method(np.prod)
    cumsum = _method(np.cumsum)
    cumprod = _method(np.cumprod)
    trace = _method(np.trace)

    # shapes
    ravel = _method(np.ravel)
    squeeze = _method(np.squeeze)
    swapaxes = _method(np.swapaxes)
    repeat = _method(np.repeat)
    diagonal = _method(np.diagonal)
    copy = _method(np.copy)

    def reshape(self: Any, *shape, order="C"):
        """`np.reshape`; lengths may be given one by one."""
        return np.reshape(self, _axes(shape), order=order)

    def flatten(self: Any):
        """A copy with one axis."""
        return np.ravel(np.copy(self))

    def transpose(self: Any, *axes):
        """`np.transpose`; axes may be given one by one, and are reversed by default."""
        return np.transpose(self, _axes(axes) if axes else None)

    @property
    def mT(self):
        """The Tensor with its last two axes swapped."""
        return self.swapaxes(-1, -2)

    # choosing
    take = _method(np.take)
    compress = _method(lambda a, condition, axis=None: np.compress(condition, a, axis))
    choose = _method(np.choose)
    sort = _method(np.sort)
    argsort = _method(np.argsort)
    argmax = _method(np.argmax)
    argmin = _method(np.argmin)
    nonzero = _method(np.nonzero)
    searchsorted = _method(np.searchsorted)

    # products and elements
    dot = _method(np.dot)
    clip = _method(np.clip)
    round = _method(np.round)
    conj = _method(np.conjugate)
    conjugate = _method(np.conjugate)
    any = _method(np.any)
    all = _method(np.all)

    @property
    def real(self):
        """The real part."""
        return np.real(self)

    @property
    def imag(self):
        """The imaginary part."""
        return np.imag(self)
