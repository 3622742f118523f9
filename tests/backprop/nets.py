"""Nets, batches and mistakes for the tests of `backprop/`."""

# l is the book's name of a layer.
# ruff: noqa: E741

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import nn
from tinygrad_bp.primitive import REGISTRY

F = nn.functional
ACTIVATIONS = ["sigmoid", "tanh", "relu", "leaky_relu", "linear", "softplus"]


@dataclass
class Case:
    """A net with its batch and cost."""

    net: nn.Module
    x: np.ndarray
    y: np.ndarray
    cost: object

    def __iter__(self):
        return iter((self.net, self.x, self.y, self.cost))


def case(sizes, activations, m, cost=F.quadratic_cost, dtype=np.float64, seed=0, scale=1.0):
    """An MLP with weights N(0, scale²/n_in), and a batch; labels 0 and 1 for cross-entropy."""
    rng = np.random.default_rng(seed)

    def init(rng, shape, dtype):
        return (scale * shape[-1] ** -0.5 if len(shape) == 2 else 0.5) * rng.standard_normal(shape)

    net = nn.MLP(sizes, activations, rng=rng, dtype=dtype, init=init)
    x = rng.standard_normal((m, sizes[0])).astype(dtype)
    shape = (m, sizes[-1])
    y = rng.random(shape) if cost is not F.binary_cross_entropy else rng.integers(0, 2, shape)
    return Case(net, x, y.astype(dtype), cost)


@st.composite
def cases(draw, dtype):
    """Depth 1–6, widths 1–20, batch 1–9, an activation of its own for each layer, both costs.

    The scale of the weights goes from linear neurons to saturated ones; much above it the products of
    six layers underflow in float32, where numbers lose their digits.
    """
    depth = draw(st.integers(1, 6), label="depth")
    sizes = draw(st.lists(st.integers(1, 20), min_size=depth + 1, max_size=depth + 1), label="sizes")
    activations = draw(
        st.lists(st.sampled_from(ACTIVATIONS), min_size=depth, max_size=depth), label="activations"
    )
    cost = draw(st.sampled_from([F.quadratic_cost, F.binary_cross_entropy]), label="cost")
    if cost is F.binary_cross_entropy:
        activations[-1] = "sigmoid"
    m, seed = draw(st.integers(1, 9), label="batch"), draw(st.integers(0, 2**32), label="seed")
    scale = draw(st.sampled_from([0.5, 1.0, 2.0]), label="scale")
    return case(sizes, activations, m, cost, dtype, seed, scale)


@contextmanager
def rules(fn, *wrong):
    """Other VJP rules for `fn`, and the right ones back afterwards."""
    right = REGISTRY[fn]
    try:
        bp.defvjp(fn, *wrong, broadcasts=right.broadcasts, view=right.view)
        yield
    finally:
        REGISTRY[fn] = right


def loop_gradients(w, b, sigma_primes, z, a, nabla_a):
    """nabla_b and nabla_w, neuron by neuron and example by example: the book's component form, in loops."""
    L, m = max(w), nabla_a.shape[1]
    nabla_b = {l: np.zeros((len(w[l]), 1)) for l in b}
    nabla_w = {l: np.zeros_like(w[l]) for l in w}
    for x in range(m):
        delta = {}
        for l in range(L, 1, -1):
            delta[l] = np.zeros(len(w[l]))
            for j in range(len(w[l])):
                if l == L:
                    error = nabla_a[j, x]
                else:
                    error = sum(w[l + 1][k, j] * delta[l + 1][k] for k in range(len(w[l + 1])))
                delta[l][j] = error * sigma_primes[l](z[l][j, x])
                if l in b:
                    nabla_b[l][j, 0] += delta[l][j] / m
                for k in range(w[l].shape[1]):
                    nabla_w[l][j, k] += a[l - 1][k, x] * delta[l][j] / m
    return nabla_b, nabla_w
