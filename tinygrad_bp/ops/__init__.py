"""The rule book: every derivative in this package, as tables that read like those of a calculus book.

Each file declares one family; importing it fills the registry of `primitive.py`.
"""

# ruff: noqa: F401 (loaded for the rules that they declare)
# isort: off
from . import (
    creation,
    elementwise,
    fft,
    indexing,
    linalg,
    nonlinear,
    polynomials,
    products,
    random,
    reduction,
)
from . import shaping, sorting, statistics, classes  # classes: what the others have left
