"""Optimizers: they turn gradients into updates. Read `sgd.py`."""

from .sgd import SGD

__all__ = ["SGD"]
