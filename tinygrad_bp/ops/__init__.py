"""The rule book: every derivative in this package, as tables that read like those of a calculus book.

Each file declares one family; importing it fills the registry of `primitive.py`.
"""

from . import elementwise, fft, indexing, linalg, nonlinear, products, random, reduction, shaping, sorting, statistics  # noqa: F401, I001
