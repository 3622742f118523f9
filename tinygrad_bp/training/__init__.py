"""Training: `fit`, and what the net can do then: `accuracy`, `predict`, `confusion_matrix`.

Read `fit.py`, then `backprop/` for the proof of what it does.
"""

from .accuracy import accuracy, confusion_matrix, predict
from .fit import fit
from .history import History

__all__ = ["History", "accuracy", "confusion_matrix", "fit", "predict"]
