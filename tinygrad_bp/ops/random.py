"""Random masks, drawn from an explicit generator in the shape of an array: one op of a graph or program each."""

from ..primitive import nondifferentiable


@nondifferentiable
def keep_mask(x, rng, p):
    """0 with probability p, else 1/(1 − p), for each element of x; in the dtype of x."""
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    return (rng.random(x.shape) >= p) * scale
