"""Backpropagation derived on paper, for anyone's graph: what each value is called, and how each step is written.

The one idea: every op is written once, as a line of NumPy (`formulas.py`), and that line is read as text, LaTeX,
MathML and component sums. `symbols.py` gives the names of the book; `explain.py` puts the whole derivation together.
"""

from .explain import Derivation, explain
from .symbols import Symbols, symbols

__all__ = ["Derivation", "Symbols", "explain", "symbols"]
