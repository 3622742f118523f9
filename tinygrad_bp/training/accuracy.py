"""`accuracy`: the share of examples whose largest output is the right one; `confusion_matrix`: which are not.

The one idea: a net is judged as it will be used, in `eval` mode and without recording (`predict`). Read `fit.py` next.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import message
from ..nn import Module
from ..tensor import constant
from ..transforms import no_grad

ROWS = 4096
"""Examples that go through the net at once."""


def accuracy(net: Callable, x: Any, y: Any) -> float:
    """The share, 0 … 1, of rows of x for which argmax net(x) is the class in y.

    y: integer labels (m,), or one-hot rows (m, K). The net runs in `eval` mode and records nothing.
    Raises for y that is neither, and for a net that has no output for each of two classes or more.
    """
    labels = _labels(x, y)
    return count_right(predict(net, x), labels) / len(labels)


def predict(net: Callable, x: Any) -> np.ndarray:
    """net(x) as an array: in `eval` mode, nothing recorded, a few thousand rows of x at a time.

    >>> import numpy as np, tinygrad_bp as bp
    >>> bp.training.predict(bp.nn.MLP([3, 5, 2], rng=0), np.ones((4, 3), np.float32)).shape
    (4, 2)
    """
    with mode(net, training=False), no_grad():
        rows = [constant(net(x[i : i + ROWS])) for i in range(0, max(len(x), 1), ROWS)]
    return np.concatenate(rows)


def confusion_matrix(net: Callable, x: Any, y: Any) -> np.ndarray:
    """(K, K): how many examples of class i (row) the net takes for class j (column), K outputs; y as for `accuracy`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> confusion_matrix(lambda x: x, np.eye(3), np.array([0, 1, 1])).tolist()
    [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    """
    labels = _labels(x, y)
    outputs = predict(net, x)
    count_right(outputs, labels)  # which says what is wrong with them
    K = outputs.shape[1]
    if labels.min() < 0 or labels.max() >= K:
        raise ValueError(
            message(
                "a label has no output of the net", expected=f"labels 0 … {K - 1}",
                got=f"{labels.min()} … {labels.max()}",
            )
        )  # fmt: skip
    return np.bincount(K * labels + outputs.argmax(1), minlength=K * K).reshape(K, K)


def _labels(x, y):
    labels = classes(y)
    if labels is None:
        raise TypeError(
            message(
                "accuracy needs classes",
                expected="integer labels of shape (m,) or one-hot rows (m, K)",
                got=f"shape {np.shape(y)}, dtype {np.asarray(constant(y)).dtype}",
            )
        )
    if len(x) != len(labels) or not len(labels):
        raise ValueError(message("accuracy needs one label per example", got=f"{len(x)} and {len(labels)}"))
    return labels


def count_right(outputs: np.ndarray, labels: np.ndarray) -> int:
    """How many rows of `outputs` (m, K) are largest at their label."""
    if outputs.ndim != 2 or outputs.shape[1] < 2 or len(outputs) != len(labels):
        raise ValueError(
            message(
                "accuracy compares the net's outputs, one per class",
                expected=f"shape ({len(labels)}, K), K ≥ 2",
                got=outputs.shape,
            )
        )
    return int(np.count_nonzero(outputs.argmax(1) == labels))


def classes(y: Any) -> np.ndarray | None:
    """The labels that y holds as integers (m,) or as one-hot rows (m, K), K ≥ 2; None for other targets."""
    y = np.asarray(constant(y))
    if y.ndim == 1 and y.dtype.kind in "iu":
        return y
    if y.ndim == 2 and y.shape[1] > 1 and np.all((y == 0) | (y == 1)) and np.all(y.sum(1) == 1):
        return y.argmax(1)
    return None


@contextmanager
def mode(net: Callable, training: bool) -> Iterator[None]:
    """A context in which all of `net` is in train or eval mode; each part's own mode comes back after."""
    parts = [module for _, module in net.named_modules()] if isinstance(net, Module) else []
    before = [part.training for part in parts]
    for part in parts:
        part.training = training
    try:
        yield
    finally:
        for part, own in zip(parts, before):
            part.training = own
