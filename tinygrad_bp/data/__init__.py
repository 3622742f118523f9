"""Data: mini-batches, real handwritten digits, MNIST files. Read `batching.py` first."""

from .batching import batches, one_hot, split
from .digits import load_digits
from .mnist import load_mnist

__all__ = ["batches", "load_digits", "load_mnist", "one_hot", "split"]
