"""`load_digits`: 1,797 real handwritten digits that are part of this package.

Their source and licence are in `README.md` beside this file, their conversion in
`convert_digits.py`. Read `mnist.py` next.
"""

from __future__ import annotations  # numpy.random is loaded when it is used

from pathlib import Path
from typing import Any

import numpy as np

from .batching import split

FILE = Path(__file__).with_name("digits.npz")


def load_digits(
    dtype: Any = np.float32, *, test_fraction: float = 0.2, rng: np.random.Generator | int | None = 0
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """((x, labels) to train on, (x, labels) held out): handwritten digits of 8×8 pixels.

    x has shape (n, 64), row by row from the top, values in [0, 1]; labels are integers 0 … 9.
    A fifth is held out, chosen by `rng`; `test_fraction=0` puts all 1,797 into the first pair.
    Source: Alpaydin & Kaynak 1998, UCI Machine Learning Repository, CC BY 4.0.

    >>> import numpy as np, tinygrad_bp as bp
    >>> (x, labels), (x_test, labels_test) = bp.data.load_digits()
    >>> x.shape, x_test.shape, x.dtype, float(x.max())
    ((1438, 64), (359, 64), dtype('float32'), 1.0)
    """
    with np.load(FILE, allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    x = np.reshape(images, (len(images), -1)).astype(dtype) / np.dtype(dtype).type(16)
    return split(x, labels.astype(np.int64), test_fraction, rng)
