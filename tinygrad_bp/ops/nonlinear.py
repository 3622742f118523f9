"""Activations and the softmax family, stable for every input: no overflow, no cancellation, no warning.

σ(z) = 1/(1 + e^−z) and its relatives. Ours are primitives, so that each is one node of the graph.
Only a softmax without a largest element (∞ twice, or −∞ throughout) is NaN. Read `products.py` next.
"""

import numpy as np

from ..primitive import DuckArray, defvjp, primitive
from .elementwise import LN2
from .reduction import kept


def _minus(x):
    """−x, as a float64 for integers: unsigned ones have no negative, and e^x of an int8 is a float16."""
    if type(x) is not np.ndarray and not isinstance(x, DuckArray):
        x = np.asarray(x)
    return -x if x.dtype.kind == "f" else x * -1.0


_ONE = {np.dtype(kind): np.ones((), kind) for kind in "fd"}


@primitive
@np.errstate(over="ignore", under="ignore")  # e^−x = inf gives the right limit, 0
def sigmoid(x):
    """σ(x) = 1/(1 + e^−x): 0 at −∞, 1 at ∞, relative accuracy kept in the lower tail."""
    one = _ONE.get(x.dtype) if type(x) is np.ndarray and x.ndim else None
    if one is not None:  # the same in one buffer: half the time
        y = np.negative(x)
        np.exp(y, y)
        np.add(y, one, y)
        return np.reciprocal(y, y)
    return np.reciprocal(np.exp(_minus(x)) + 1)


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
    with np.errstate(over="ignore", under="ignore"):  # of βx: the logarithm is 0 there
        return np.maximum(x, 0) + np.log1p(np.exp(_minus(np.abs(x * beta)))) / beta


def _exponentials(x, axis):
    """(e^shifted, shifted, top): x − its maximum, the maximum, of which an infinite one counts as 0."""
    top = np.max(x, axis=axis, keepdims=True) if x.size else np.sum(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(over="ignore", under="ignore"):
        shifted = x - top
        return np.exp(shifted), shifted, top


@primitive
def logsumexp(x, axis=None, keepdims=False):
    """log Σ e^x over `axis`, −∞ for a sum of nothing."""
    e, _, top = _exponentials(x, axis)
    with np.errstate(divide="ignore"):
        y = np.log(np.sum(e, axis=axis, keepdims=True)) + top
    return y if keepdims else np.squeeze(y, axis=axis)[()]


@primitive
def softmax(x, axis=-1):
    """e^x / Σ e^x over `axis`."""
    e, _, _ = _exponentials(x, axis)
    return e / np.sum(e, axis=axis, keepdims=True)


@primitive
def log_softmax(x, axis=-1):
    """x − log Σ e^x over `axis`."""
    e, shifted, _ = _exponentials(x, axis)
    with np.errstate(divide="ignore"):  # the logarithm of a sum of nothing
        return shifted - np.log(np.sum(e, axis=axis, keepdims=True))


# fmt: off
defvjp(sigmoid,      lambda g, y, _x: g * (y * (1 - y)),                          broadcasts="elementwise")
defvjp(relu,         lambda g, y, _x: g * (y > 0),                                broadcasts="elementwise")
defvjp(leaky_relu,   lambda g, _y, x, negative_slope=0.01:
                         np.where(x > 0, g, g * negative_slope),                  broadcasts="elementwise")
defvjp(softplus,     lambda g, _y, x, beta=1.0: g * sigmoid(x * beta),            broadcasts="elementwise")
defvjp(np.logaddexp, lambda g, _y, a, b: g * sigmoid(a - b),
                     lambda g, _y, a, b: g * sigmoid(b - a))
defvjp(np.logaddexp2, lambda g, _y, a, b: g * sigmoid((a - b) * LN2),
                      lambda g, _y, a, b: g * sigmoid((b - a) * LN2))
defvjp(softmax,      lambda g, y, _x, axis=-1: y * (g - np.sum(g * y, axis=axis, keepdims=True)))
defvjp(log_softmax,  lambda g, y, _x, axis=-1: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True))
defvjp(logsumexp,    lambda g, _y, x, axis=None, keepdims=False:
                         kept(g, x, axis, keepdims) * softmax(x, axis=axis))
# fmt: on
