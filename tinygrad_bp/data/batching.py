"""Mini-batches, held-out parts, one-hot labels.

The one idea: a set of examples is a pair (x, y) of arrays with one row per example; all shuffling
comes from an explicit `rng`. Read `digits.py` next.
"""

from __future__ import annotations  # numpy.random is loaded when it is used

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import message


def batches(
    x: np.ndarray,
    y: np.ndarray,
    batch_size: int,
    rng: np.random.Generator | int | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows of x, the same rows of y), `batch_size` at a time, each row once, in shuffled order.

    A Generator as `rng` goes on from call to call, so each epoch has an order of its own; a seed
    gives the same order every time. The last batch may be smaller, or is left out (`drop_last`).

    >>> import numpy as np, tinygrad_bp as bp
    >>> [b.tolist() for b, _ in bp.data.batches(np.arange(5), np.arange(5), 2, shuffle=False)]
    [[0, 1], [2, 3], [4]]
    """
    x, y = _rows(x, y)
    n = len(x)
    if not isinstance(batch_size, (int, np.integer)) or isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(message("a batch has a positive number of rows", got=f"batch_size={batch_size!r}"))
    stop = n - n % batch_size if drop_last else n
    if not shuffle:
        return ((x[i : i + batch_size], y[i : i + batch_size]) for i in range(0, stop, batch_size))
    order = np.random.default_rng(rng).permutation(n)[:stop]
    rows = (order[i : i + batch_size] for i in range(0, stop, batch_size))
    return ((x[chosen], y[chosen]) for chosen in rows)


def split(
    x: np.ndarray, y: np.ndarray, test_fraction: float = 0.2, rng: np.random.Generator | int | None = 0
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """((x, y) to train on, (x, y) held out), shuffled; the latter has round(test_fraction · n) rows."""
    x, y = _rows(x, y)
    if not 0 <= test_fraction <= 1:
        raise ValueError(message("test_fraction is a share", expected="0 … 1", got=test_fraction))
    order = np.random.default_rng(rng).permutation(len(x))
    held_out = round(test_fraction * len(x))
    test, train = order[:held_out], order[held_out:]
    return (x[train], y[train]), (x[test], y[test])


def one_hot(labels: Any, n: int, dtype: Any = np.float32) -> np.ndarray:
    """Rows of 0 with a 1 at each label: shape (*labels' shape, n). Raises for labels not in 0 … n − 1.

    >>> import numpy as np, tinygrad_bp as bp
    >>> bp.data.one_hot(np.array([2, 0]), 3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(
            message("one_hot needs integer labels", got=f"dtype {labels.dtype}", do="use labels.astype(int)")
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < n:
        raise ValueError(
            message(
                "one_hot got a label out of range",
                expected=f"0 … {n - 1}",
                got=f"{labels.min()} … {labels.max()}",
            )
        )
    rows = np.zeros((*labels.shape, n), dtype)
    np.put_along_axis(rows, labels[..., None].astype(np.intp), 1, axis=-1)
    return rows


def _rows(x, y):
    """Both as arrays of as many rows."""
    x, y = np.asarray(x), np.asarray(y)
    if not x.ndim or not y.ndim or len(x) != len(y):
        raise ValueError(
            message("x and y need one row per example each", got=f"shapes {x.shape} and {y.shape}")
        )
    return x, y
