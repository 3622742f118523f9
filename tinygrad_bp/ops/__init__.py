"""The rule book: every derivative in this package, as tables that read like those of a calculus book.

Each file declares one family; importing it fills the registry of `primitive.py`.
"""

# isort: off
from . import (  # noqa: F401
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
from . import shaping, sorting, statistics, classes  # noqa: F401 (classes: what the others have left)
