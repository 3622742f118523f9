"""How parameters start: functions (rng, shape, dtype) -> array.

The one idea: a weight of shape (n_out, n_in) is drawn, with variance that keeps signals alive; a
bias, of shape (n_out,), is zero, except in the book's `standard_normal`, which draws both. Numbers
are drawn in float64, so one seed means one net in every dtype. Read `mlp.py` next.
"""

from __future__ import annotations  # numpy.random is loaded when it is used

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import message

Initializer = Callable[["np.random.Generator", tuple[int, ...], Any], np.ndarray]


def zeros(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """0 everywhere."""
    return np.zeros(shape, dtype)


def standard_normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """N(0, 1), for weights and biases alike: the book's start (Nielsen ch. 1)."""
    return rng.standard_normal(shape).astype(dtype)


def uniform(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float32, bound: float = 1.0
) -> np.ndarray:
    """U(−bound, bound)."""
    return rng.uniform(-bound, bound, shape).astype(dtype)


def xavier_uniform(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """U(±√(6/(n_in + n_out))) for a weight, 0 for a bias (Glorot & Bengio 2010, eq. 16): for tanh, sigmoid."""
    return zeros(rng, shape, dtype) if len(shape) < 2 else uniform(rng, shape, dtype, _bound(6, sum(shape)))


def xavier_normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """N(0, 2/(n_in + n_out)) for a weight, 0 for a bias (Glorot & Bengio 2010)."""
    return _normal(rng, shape, dtype, _bound(2, sum(shape)))


def kaiming_uniform(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """U(±√(6/n_in)) for a weight, 0 for a bias (He et al. 2015, eq. 10): for ReLU."""
    return zeros(rng, shape, dtype) if len(shape) < 2 else uniform(rng, shape, dtype, _bound(6, shape[-1]))


def kaiming_normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """N(0, 2/n_in) for a weight, 0 for a bias (He et al. 2015): for ReLU."""
    return _normal(rng, shape, dtype, _bound(2, shape[-1]))


def _normal(rng, shape, dtype, deviation):
    return (
        zeros(rng, shape, dtype) if len(shape) < 2 else (rng.standard_normal(shape) * deviation).astype(dtype)
    )


def _bound(numerator, fan):
    return math.sqrt(numerator / fan)


BY_NAME: dict[str, Initializer] = {
    f.__name__: f
    for f in (zeros, standard_normal, xavier_uniform, xavier_normal, kaiming_uniform, kaiming_normal)
}


def initializer(init: str | Initializer) -> Initializer:
    """The function (rng, shape, dtype) -> array that `init` names, or is."""
    if callable(init):
        return init
    if init not in BY_NAME:
        raise ValueError(
            message(
                "there is no such initializer",
                expected=f"a function (rng, shape, dtype) or one of {', '.join(BY_NAME)}",
                got=repr(init),
            )
        )
    return BY_NAME[init]
