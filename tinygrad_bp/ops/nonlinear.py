"""Activations and the softmax family, stable for every input: no overflow, no warning, no NaN.

σ(z) = 1/(1 + e^−z) and its relatives; they are primitives, so that each is one node of the graph.
"""

import numpy as np

from ..primitive import defvjp, primitive


@primitive
def sigmoid(x):
    """σ(x) = 1/(1 + e^−x): 0 at −∞, 1 at ∞, relative accuracy kept in both tails."""
    with np.errstate(over="ignore"):  # e^−x = inf gives the right limit, 0
        return np.reciprocal(np.exp(-x) + 1)


@primitive
def relu(x):
    """max(x, 0); the derivative at 0 is 0."""
    return np.maximum(x, 0)


@primitive
def leaky_relu(x, negative_slope=0.01):
    """x where x > 0, else negative_slope · x; the derivative at 0 is the slope."""
    return np.where(x > 0, x, x * negative_slope)[()]


@primitive
def softplus(x, beta=1.0):
    """log(1 + e^{βx})/β, without overflow."""
    return np.logaddexp(x * beta, 0) / beta


def _shifted(x, axis):
    """(x − its maximum, the maximum), where an infinite maximum counts as 0."""
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    return x - top, top


@primitive
def logsumexp(x, axis=None, keepdims=False):
    """log Σ e^x over `axis`."""
    shifted, top = _shifted(x, axis)
    with np.errstate(divide="ignore"):  # log 0 = −inf is the value of a sum of nothing
        y = np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True)) + top
    return y if keepdims else np.squeeze(y, axis=axis)[()]


@primitive
def softmax(x, axis=-1):
    """e^x / Σ e^x over `axis`."""
    e = np.exp(_shifted(x, axis)[0])
    return e / np.sum(e, axis=axis, keepdims=True)


@primitive
def log_softmax(x, axis=-1):
    """x − log Σ e^x over `axis`."""
    shifted, _ = _shifted(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def _logsumexp_rule(g, _y, x, axis=None, keepdims=False):
    if not keepdims and axis is not None:
        g = np.expand_dims(g, axis)
    return g * softmax(x, axis=axis)


# fmt: off
defvjp(sigmoid,     lambda g, y, _x: g * (y * (1 - y)),                          broadcasts="elementwise")
defvjp(relu,        lambda g, y, _x: g * (y > 0),                                broadcasts="elementwise")
defvjp(leaky_relu,  lambda g, _y, x, negative_slope=0.01:
                        np.where(x > 0, g, g * negative_slope),                  broadcasts="elementwise")
defvjp(softplus,    lambda g, _y, x, beta=1.0: g * sigmoid(x * beta),            broadcasts="elementwise")
defvjp(softmax,     lambda g, y, _x, axis=-1: y * (g - np.sum(g * y, axis=axis, keepdims=True)))
defvjp(log_softmax, lambda g, y, _x, axis=-1: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True))
defvjp(logsumexp,   _logsumexp_rule)
# fmt: on
