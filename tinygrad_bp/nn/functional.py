"""Activations and costs as functions, under PyTorch's names and with its defaults.

The one idea: these are compositions of the ops' stable primitives; no derivative is written here.
Costs take the net's output and the target; no gradient flows to targets, which are data and are
cast to the output's dtype. They give no NumPy warning: what overflows is ∞, and ∞ − ∞ and 0·∞ are
NaN, as with infinite outputs (`bp.detect_anomaly` finds the place). `reduction` is "mean", "sum" or
"none". Read `losses.py` next.
"""

from __future__ import annotations  # numpy.random is loaded when it is used

from typing import Any

import numpy as np

from ..errors import message
from ..ops import nonlinear
from ..ops.random import keep_mask
from ..primitive import DuckArray
from ..tensor import Tensor, constant

# ---- activations ---------------------------------------------------------------------------------------


def sigmoid(input: Any) -> Any:
    """σ(x) = 1/(1 + e^−x)."""
    return nonlinear.sigmoid(input)


def tanh(input: Any) -> Any:
    """tanh x."""
    return np.tanh(input)


def relu(input: Any) -> Any:
    """max(x, 0); the derivative at 0 is 0."""
    return nonlinear.relu(input)


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Any:
    """x where x > 0, else negative_slope · x; the derivative at 0 is the slope."""
    return nonlinear.leaky_relu(input, negative_slope=negative_slope)


def softplus(input: Any, beta: float = 1.0) -> Any:
    """log(1 + e^{βx})/β, exact for every x (PyTorch's is x itself above a threshold)."""
    return nonlinear.softplus(input, beta=beta)


def softmax(input: Any, dim: int = -1) -> Any:
    """e^x / Σ e^x over the axis `dim`."""
    return nonlinear.softmax(input, axis=dim)


def log_softmax(input: Any, dim: int = -1) -> Any:
    """x − log Σ e^x over the axis `dim`."""
    return nonlinear.log_softmax(input, axis=dim)


def logsumexp(input: Any, dim: int | tuple[int, ...], keepdim: bool = False) -> Any:
    """log Σ e^x over the axis or axes `dim`."""
    return nonlinear.logsumexp(input, axis=dim, keepdims=keepdim)


def identity(input: Any) -> Any:
    """x itself: a linear neuron."""
    return input


def dropout(input: Any, p: float = 0.5, training: bool = True, *, rng: np.random.Generator) -> Any:
    """input with each element 0 with probability p and else divided by 1 − p; input itself unless `training`."""
    if not 0 <= p <= 1:
        raise ValueError(message("dropout with a wrong p", expected="a probability, 0 to 1", got=p))
    return input * keep_mask(input, rng, p) if training and p else input


_quiet = np.errstate(over="ignore", under="ignore", invalid="ignore")

# ---- costs ---------------------------------------------------------------------------------------------


@_quiet
def quadratic_cost(a: Any, y: Any) -> Any:
    """C = 1/(2m) Σ_x ‖y − a‖² over the m rows of a; a one-dimensional a is one example.

    Nielsen ch. 2, eq. 26, with ∇_a C_x = a − y. `mse_loss` is 2/n_L times it.
    Raises ValueError if the shapes differ.

    >>> import numpy as np, tinygrad_bp as bp
    >>> float(bp.nn.functional.quadratic_cost(np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]])))
    2.5
    """
    a, y = _alike("quadratic_cost", a, y)
    shape, d = a.shape, a - y
    return np.vdot(d, d) * (0.5 / (shape[0] if len(shape) > 1 else 1))


@_quiet
def mse_loss(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """(input − target)², elementwise and reduced."""
    input, target = _alike("mse_loss", input, target)
    return _reduced(np.square(input - target), reduction)


@_quiet
def cross_entropy(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """−log softmax(input)[target], for logits of shape (m, K) or (K,) and labels 0 … K−1 of shape (m,) or ().

    Or −Σ_k target_k log softmax(input)_k, for class probabilities of the logits' shape. Reduced over
    the examples. Raises for labels that are not integers or out of range, and for wrong shapes.

    >>> import numpy as np, tinygrad_bp as bp
    >>> round(float(bp.nn.functional.cross_entropy(np.zeros((1, 4)), np.array([2]))), 6)
    1.386294
    """
    input, target = _array(input), _constant_array(target)
    if len(input.shape) not in (1, 2) or 0 in input.shape:
        expected = "(m, K) or (K,), with at least one example and class"
        raise ValueError(
            message("cross_entropy got logits of wrong shape", expected=expected, got=input.shape)
        )
    if target.shape == input.shape:
        input, target = _alike("cross_entropy", input, target)
        logs = log_softmax(input)
        shares, plain = logs * target, constant(logs)
        if isinstance(plain, DuckArray) or np.min(plain) == -np.inf:
            shares = np.where(target == 0, 0.0, shares)  # 0 · log 0 = 0
        return _reduced(-np.sum(shares, axis=-1), reduction)
    _check_labels(target, input.shape)
    rows = (np.arange(input.shape[0]), target) if len(input.shape) == 2 else target
    return _reduced(-log_softmax(input)[rows], reduction)


@_quiet
def binary_cross_entropy(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """−(t log p + (1 − t) log(1 − p)) for probabilities p = input; logs are cut off at −100.

    The cut keeps the cost finite at p = 0 and 1; where it acts, the derivative is 0. For
    p = σ(z) use `binary_cross_entropy_with_logits` on z, which is exact in both tails.
    Raises ValueError for p outside [0, 1] and for shapes that differ.
    """
    p, t = _alike("binary_cross_entropy", input, target)
    _check_probabilities(constant(p))
    with np.errstate(divide="ignore"):  # log 0 = −∞ is cut off
        log_p, log_q = np.maximum(np.log(p), -100.0), np.maximum(np.log1p(-p), -100.0)
    return _reduced(-(log_p * t + log_q * (1 - t)), reduction)


@_quiet
def binary_cross_entropy_with_logits(input: Any, target: Any, *, reduction: str = "mean") -> Any:
    """−(t log σ(z) + (1 − t) log(1 − σ(z))) for logits z = input, as t softplus(−z) + (1 − t) softplus(z)."""
    z, t = _alike("binary_cross_entropy_with_logits", input, target)
    return _reduced(softplus(-z) * t + softplus(z) * (1 - t), reduction)


# ---- what they share -----------------------------------------------------------------------------------


def _array(x):
    return x if isinstance(x, (np.ndarray, np.generic, DuckArray)) else np.asarray(x)


def _constant_array(x):
    return _array(constant(x))


def _alike(name, input, target):
    """Both as arrays of one shape, the target constant and in the input's dtype."""
    if (
        type(target) is np.ndarray and type(input) is Tensor and input.dtype is target.dtype
        and input.shape == target.shape and target.size and target.dtype.kind in "fc"
    ):  # fmt: skip
        return input, target  # as it should be, and soon done with
    input, target = _array(input), _constant_array(target)
    if input.dtype.kind not in "fc":
        input = input.astype(np.float64)
    if input.shape != target.shape or 0 in input.shape:
        raise ValueError(
            message(
                f"{name} needs an input and a target of one shape, with at least one element",
                expected=f"target of shape {input.shape}",
                got=target.shape,
                do="reshape one of them, as in target[:, None]; labels become rows by bp.data.one_hot(labels, n)",
            )
        )
    if target.dtype is not input.dtype:
        if not np.can_cast(target.dtype, input.dtype, "same_kind"):
            raise TypeError(
                message(
                    f"{name} got a target of the wrong dtype",
                    expected=f"one that casts to the input's {input.dtype}",
                    got=target.dtype,
                )
            )
        target = target.astype(input.dtype)
    return input, target


def _check_probabilities(p):
    """In [0, 1]; an array that is only traced is not looked into."""
    if isinstance(p, DuckArray):
        return
    low, high = float(np.min(p)), float(np.max(p))
    if low < 0 or high > 1:
        raise ValueError(
            message(
                "binary_cross_entropy got numbers that are not probabilities",
                expected="input in [0, 1]",
                got=f"a range of [{low:.4g}, {high:.4g}]",
                do="use binary_cross_entropy_with_logits for the values before the sigmoid",
            )
        )


def _check_labels(labels, shape):
    """Integers in 0 … K−1, one per example."""
    if labels.shape != shape[:-1]:
        raise ValueError(
            message(
                f"cross_entropy got targets of wrong shape for logits of shape {shape}",
                expected=f"labels of shape {shape[:-1]} or class probabilities of shape {shape}",
                got=labels.shape,
                do="give one label per example, as in labels[:, 0] for a column",
            )
        )
    if labels.dtype.kind not in "iu":
        raise TypeError(
            message(
                "cross_entropy got labels that are not integers",
                expected="an integer dtype",
                got=labels.dtype,
                do="use labels.astype(int)",
            )
        )
    if (
        not isinstance(labels, DuckArray)
        and labels.size
        and not 0 <= labels.min() <= labels.max() < shape[-1]
    ):
        bad = np.ravel(labels)[(np.ravel(labels) < 0) | (np.ravel(labels) >= shape[-1])][0]
        raise ValueError(
            message(
                "cross_entropy got a label out of range",
                expected=f"0 … {shape[-1] - 1}, for {shape[-1]} classes",
                got=bad,
                do="count labels from 0, or give the net more outputs",
            )
        )


def _reduced(loss, reduction):
    if reduction == "mean":
        return np.mean(loss)
    if reduction == "sum":
        return np.sum(loss)
    if reduction == "none":
        return loss
    raise ValueError(
        message("there is no such reduction", expected="'mean', 'sum' or 'none'", got=repr(reduction))
    )
