"""A compiled step does what the eager step does: the same numbers, for drawn nets, optimizers and shapes."""

import copy

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tests.compiler.steps import training
from tinygrad_bp.nn import functional as F

COSTS = {
    "quadratic": F.quadratic_cost,
    "mse": F.mse_loss,
    "binary": F.binary_cross_entropy_with_logits,
    "classes": lambda z, y: F.cross_entropy(z, np.abs(y) / np.sum(np.abs(y), axis=-1, keepdims=True)),
}
ACTIVATIONS = ["sigmoid", "tanh", "relu", "leaky_relu", "softplus", "linear"]


@st.composite
def trainings(draw):
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=4))
    activations = [draw(st.sampled_from(ACTIVATIONS)) for _ in sizes[1:]]
    settings = draw(
        st.sampled_from(
            [
                {"lr": 0.1},
                {"lr": 0.1, "momentum": 0.9},
                {"lr": 0.05, "momentum": 0.9, "nesterov": True},
                {"lr": 0.1, "weight_decay": 0.01},
                {"lr": 0.1, "momentum": 0.5, "dampening": 0.5, "weight_decay": 0.1},
            ]
        )
    )
    seed = draw(st.integers(0, 2**16))
    return (
        dtype,
        sizes,
        activations,
        settings,
        draw(st.sampled_from(sorted(COSTS))),
        seed,
        draw(st.integers(1, 5)),
    )


@given(trainings())
def test_twenty_steps_of_any_net(drawn):
    dtype, sizes, activations, settings, cost, seed, batch = drawn
    rng = np.random.default_rng(seed)
    net = bp.nn.MLP(sizes, activations, rng=rng, dtype=dtype)
    twin = copy.deepcopy(net)
    eager = training(net, bp.optim.SGD(net.parameters(), **settings), COSTS[cost])
    compiled = bp.compile(training(twin, bp.optim.SGD(twin.parameters(), **settings), COSTS[cost]))
    tolerance = {"rtol": 1e-10, "atol": 1e-12} if dtype is np.float64 else {"rtol": 2e-3, "atol": 1e-4}
    for _ in range(20):
        x = rng.normal(size=(batch, sizes[0])).astype(dtype)
        y = rng.uniform(0.1, 0.9, size=(batch, sizes[-1])).astype(dtype)
        expected, found = eager(x, y), compiled(x, y)
        assume(expected.item() < 1e6)  # a net that diverges compares no numbers
        assert found.dtype == expected.dtype == dtype
        np.testing.assert_allclose(found.data, expected.data, **tolerance)
    assert compiled.stats["replays"] >= 16
    for p, q in zip(net.parameters(), twin.parameters()):
        np.testing.assert_allclose(q.data, p.data, **tolerance)
