"""Training: `fit` and `accuracy`. Read `fit.py`, then `backprop/` for the proof of what it does."""

from .accuracy import accuracy
from .fit import fit
from .history import History

__all__ = ["History", "accuracy", "fit"]
