"""w − a b in one call of BLAS, for which NumPy has no function.

The one idea: BLAS computes c ← α a b + β c, and NumPy only ever asks for β = 0, so a product is written
somewhere, read again and subtracted. The library that NumPy has loaded can be asked for β = 1 as well:
then w itself takes the product, and there is no second matrix. Read `places.py` next.
"""

import functools
import sys
from collections.abc import Callable
from ctypes import CDLL, byref, c_char, c_double, c_float, c_int, c_int64, c_void_p
from typing import Any

import numpy as np

_BY_ROWS, _AS_IT_LIES, _TRANSPOSED = c_int(101), c_int(111), c_int(112)
"""CBLAS's own numbers: matrices lie in memory row by row; a factor is read as it lies, or transposed."""
_LIBRARY = "numpy._core._multiarray_umath"
_NAMES = {"scipy_cblas_{}gemm64_": c_int64, "cblas_{}gemm64_": c_int64, "cblas_{}gemm": c_int}
"""What the function is called in the libraries that NumPy is built with -> the integers it takes."""


def subtract_product(w, left, right):
    """w − left right, of matrices."""
    return np.subtract(w, np.matmul(left, right))


@functools.cache
def gemm(kind: str) -> tuple[Any, Any, Any] | None:
    """c ← α a b + β c of floats of this kind ("f", "d"), with its integers and its floats; None if it is not found."""
    letter, real = {"f": ("s", c_float), "d": ("d", c_double)}[kind]
    try:
        library = CDLL(sys.modules[_LIBRARY].__file__)
    except (KeyError, OSError, TypeError):
        return None
    for name, integer in _NAMES.items():
        function = getattr(library, name.format(letter), None)
        if function is not None:
            function.restype = None
            return function, integer, real
    return None


def subtraction(w: Any, left: Any, right: Any) -> Callable[[Any, Any], None]:
    """f(a, b): w ← w − a b. left, right: where a and b always are, or what has their shapes."""
    function, integer, real = gemm(w.dtype.char)  # type: ignore[misc] # the pass has found it
    (rows, columns), inner = map(integer, w.shape), integer(left.shape[1])
    place, minus_one, one, row = _memory(w), real(-1), real(1), integer(right.shape[1])
    known_a, known_b = (_seen(x, integer) if _is_whole(x) else None for x in (left, right))

    def subtract(a, b):
        at_a, how_a, row_a = known_a or _seen(a, integer)
        if known_b is None and b.flags.carray:  # the usual batch, 2 µs quicker without further calls
            at_b, how_b, row_b = byref(_begin(b)), _AS_IT_LIES, row
        else:
            at_b, how_b, row_b = known_b or _seen(b, integer)
        function(
            _BY_ROWS, how_a, how_b, rows, columns, inner, minus_one, at_a, row_a, at_b, row_b, one, place, columns
        )  # fmt: skip

    return subtract


def _is_whole(x):
    """Is it an array that BLAS can read where it lies? Of others a copy is made, each time."""
    return isinstance(x, np.ndarray) and (x.flags.carray or x.T.flags.carray)


def _seen(a, integer):
    """Where a matrix is, how it lies there, and how long its rows in memory are."""
    if a.flags.carray:
        return _memory(a), _AS_IT_LIES, integer(a.shape[1])
    if a.T.flags.carray:  # flags.farray is true of others, too
        return _memory(a.T), _TRANSPOSED, integer(a.shape[0])
    return np.require(a, requirements=["C", "A"]).ctypes.data_as(c_void_p), _AS_IT_LIES, integer(a.shape[1])


def _memory(a):
    """Where a writable array without gaps begins; this holds the array."""
    return byref(_begin(a))


_begin = c_char.from_buffer
