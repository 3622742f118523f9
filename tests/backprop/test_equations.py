"""BP1–BP4, σ′ and ∇_a C by hand, held against component loops and differences; no engine is involved."""

# l is the book's name of a layer.
# ruff: noqa: E741

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_bp.backprop.equations import (
    BP1,
    BP2,
    BP3,
    BP4,
    COST_DERIVATIVE,
    FORMULAS,
    SIGMA_PRIME,
    Equations,
)
from tinygrad_bp.check import numerical_derivative

from .nets import loop_gradients

SIGMA = {
    "linear": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "tanh": math.tanh,
    "relu": lambda z: max(z, 0.0),
    "leaky_relu": lambda z: z if z > 0 else 0.01 * z,
    "softplus": lambda z: math.log1p(math.exp(-abs(z))) + max(z, 0.0),
}
COST = {  # of one example, by the definitions
    "quadratic_cost": lambda a, y: 0.5 * sum((a - y) ** 2),
    "mse_loss": lambda a, y: sum((a - y) ** 2) / len(a),
    "binary_cross_entropy": lambda a, y: -sum(y * np.log(a) + (1 - y) * np.log(1 - a)) / len(a),
}


def test_one_example_by_pencil():
    """z^2 = (1, −1), z^3 = 2; σ′ given; C_x = ½(y − a^3)²."""
    w = {3: np.array([[3.0, -2.0]])}
    sp = {2: np.array([[0.5], [0.25]]), 3: np.array([[0.1]])}
    a = {1: np.array([[7.0]]), 2: np.array([[1.0], [4.0]])}
    delta = {3: BP1(np.array([[-20.0]]), sp, 3)}
    delta[2] = BP2(w, delta, sp, 2)
    assert delta[3].tolist() == [[-2.0]]
    assert delta[2].tolist() == [[-3.0], [1.0]]
    assert BP3(delta, 2).tolist() == [[-3.0], [1.0]]
    assert BP4(a, delta, 3).tolist() == [[-2.0, -8.0]]
    assert BP4(a, delta, 2).tolist() == [[-21.0], [7.0]]


@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.integers(1, 4), st.integers(0, 2**32))
def test_matrix_form_is_the_component_form(sizes, m, seed):
    rng = np.random.default_rng(seed)
    L = len(sizes)
    w = {l: rng.standard_normal((sizes[l - 1], sizes[l - 2])) for l in range(2, L + 1)}
    z = {l: rng.standard_normal((sizes[l - 1], m)) for l in w}
    a = {1: rng.standard_normal((sizes[0], m)), **{l: np.cos(z[l]) for l in w}}
    nabla_a = rng.standard_normal((sizes[-1], m))
    slope = dict.fromkeys(w, lambda z: -math.sin(z))
    sp = {l: -np.sin(z[l]) for l in w}
    delta = {L: BP1(nabla_a, sp, L)}
    for l in range(L - 1, 1, -1):
        delta[l] = BP2(w, delta, sp, l)
    nabla_b, nabla_w = loop_gradients(w, w, slope, z, a, nabla_a)
    for l in w:
        np.testing.assert_allclose(BP3(delta, l), nabla_b[l], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(BP4(a, delta, l), nabla_w[l], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", sorted(SIGMA_PRIME))
@given(z=st.floats(-15, 15).filter(lambda z: abs(z) > 1e-2))
def test_sigma_prime_is_the_derivative_of_sigma(name, z):
    numerical = numerical_derivative(lambda p: SIGMA[name](float(p[0])), np.array([z]))
    by_hand = SIGMA_PRIME[name](np.array([z]), np.array([SIGMA[name](z)]))
    np.testing.assert_allclose(by_hand, numerical, rtol=1e-7, atol=1e-10)


def test_every_sigma_prime_is_tested():
    assert set(SIGMA) == set(SIGMA_PRIME)
    assert set(COST) == set(COST_DERIVATIVE)
    assert set(FORMULAS) == set(vars(Equations()))


@pytest.mark.parametrize(("name", "slope"), [("relu", 0.0), ("leaky_relu", 0.01)])
def test_conventions_at_the_kink(name, slope):
    assert SIGMA_PRIME[name](np.zeros(1), np.zeros(1)) == slope


def test_keywords_of_activations():
    z = np.array([-2.0, 2.0])
    assert SIGMA_PRIME["leaky_relu"](z, None, negative_slope=0.3).tolist() == [0.3, 1.0]
    beta = 3.0
    numerical = numerical_derivative(lambda p: float(np.sum(np.log1p(np.exp(beta * p)) / beta)), z)
    np.testing.assert_allclose(SIGMA_PRIME["softplus"](z, None, beta=beta), numerical, rtol=1e-8)


@pytest.mark.parametrize("name", sorted(SIGMA_PRIME))
def test_far_out_and_in_float32(name):
    """No warning, no NaN, nothing widened, for inputs where e^−z overflows."""
    z = np.array([-1000.0, -90.0, 0.0, 90.0, 1000.0], np.float32)
    a = np.array([0.0, 0.0, 0.5, 1.0, 1.0], np.float32)
    slope = SIGMA_PRIME[name](z, a)
    assert slope.dtype == np.float32
    assert np.all(np.isfinite(slope))


@pytest.mark.parametrize("name", sorted(COST_DERIVATIVE))
@given(seed=st.integers(0, 2**32), n=st.integers(1, 5), m=st.integers(1, 4))
def test_cost_derivatives_are_those_of_one_example(name, seed, n, m):
    rng = np.random.default_rng(seed)
    a, y = rng.uniform(0.05, 0.95, (n, m)), rng.random((n, m))
    by_hand = COST_DERIVATIVE[name](a, y)
    for x in range(m):
        numerical = numerical_derivative(lambda p, x=x: float(COST[name](p, y[:, x])), a[:, x].copy())
        np.testing.assert_allclose(by_hand[:, x], numerical, rtol=1e-6, atol=1e-8)


def test_cross_entropy_at_certainty():
    """log p is cut off at −100, and the derivative is 0 there: p = 0 with y = 1, p = 1 with y = 0."""
    a, y = np.array([[0.0, 0.0, 1.0, 1.0]]), np.array([[0.0, 1.0, 0.0, 1.0]])
    assert COST_DERIVATIVE["binary_cross_entropy"](a, y).tolist() == [[1.0, 0.0, 0.0, -1.0]]
