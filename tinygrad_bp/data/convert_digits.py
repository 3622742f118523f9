"""Makes `digits.npz` from scikit-learn's copy of the UCI digits: `python -m tinygrad_bp.data.convert_digits`.

The grey levels 0 … 16 and the labels are kept as they are, as uint8; nothing is left out.
"""

import importlib

import numpy as np

from .digits import FILE


def convert(target: str = str(FILE)) -> None:
    """Write images (1797, 8, 8) and labels (1797,), both uint8, to `target`. Needs scikit-learn."""
    digits = importlib.import_module("sklearn.datasets").load_digits()
    images, labels = digits.images.astype(np.uint8), digits.target.astype(np.uint8)
    if not np.array_equal(images, digits.images) or not np.array_equal(labels, digits.target):
        raise ValueError("the source has values that do not fit into uint8")
    np.savez_compressed(target, images=images, labels=labels)


if __name__ == "__main__":
    convert()
