"""A compiled step does what the eager step does: the same numbers, for drawn nets, optimizers and shapes."""

import copy

import numpy as np
import pytest
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


@pytest.mark.parametrize("first", [[-1.0, 4.0], [1.0, 4.0]], ids=["a NaN at first", "none at first"])
def test_a_nan_that_meets_a_zero_cotangent_is_nothing_in_a_traced_call_either(first):
    def made(compiled):
        w = bp.Tensor([1.0, 2.0], requires_grad=True)

        def step(x):
            w.zero_grad()
            cost = np.sum(np.where(x * w > 0, np.sqrt(x * w), 0.0))
            cost.backward()
            w.data = w.data - 0.1 * w.grad
            return cost

        return w, bp.compile(step) if compiled else step

    (w, eagerly), (v, step) = made(False), made(True)
    with np.errstate(invalid="ignore"):
        for x in map(np.array, [first, first, [-1.0, 4.0], [1.0, 4.0], [-1.0, 4.0]]):
            assert step(x).item() == eagerly(x).item()
            np.testing.assert_array_equal(v.data, w.data)
    assert step.stats["replays"] > 0
    assert np.all(np.isfinite(w.data))
