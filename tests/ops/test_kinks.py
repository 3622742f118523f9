"""Where a function has no derivative, or several: the conventions, each of them a number.

At a kink the gradient is 0 or the mean of the subgradients; at a pole it is what the formula says.
"""

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.ops.nonlinear import leaky_relu, relu, softplus

NAN, INF = np.nan, np.inf


def derivative(f, x, times=1):
    """The derivative of an elementwise f at x, without a warning from f at the kink itself."""
    for _ in range(times):
        f = bp.elementwise_grad(f)
    with np.errstate(all="ignore"):
        return f(x)


KINKS = {  # name: f, the point, f′ there, f″ there
    "abs": (np.absolute, 0.0, 0.0, 0.0),
    "abs at −0": (np.absolute, -0.0, 0.0, 0.0),
    "fabs": (np.fabs, 0.0, 0.0, 0.0),
    "sign": (np.sign, 0.0, 0.0, 0.0),
    "sqrt": (np.sqrt, 0.0, 0.0, 0.0),
    "cbrt": (np.cbrt, 0.0, 0.0, 0.0),
    "norm": (lambda x: np.sqrt(x * x), 0.0, 0.0, 0.0),
    "hypot": (lambda x: np.hypot(x, 0.0), 0.0, 0.0, 0.0),
    "arctan2 of y": (lambda y: np.arctan2(y, 0.0), 0.0, 0.0, 0.0),
    "arctan2 of x": (lambda x: np.arctan2(0.0, x), 0.0, 0.0, 0.0),
    "maximum": (lambda x: np.maximum(x, 1.0), 1.0, 0.5, 0.0),
    "minimum": (lambda x: np.minimum(1.0, x), 1.0, 0.5, 0.0),
    "fmax": (lambda x: np.fmax(x, 1.0), 1.0, 0.5, 0.0),
    "fmin": (lambda x: np.fmin(1.0, x), 1.0, 0.5, 0.0),
    "maximum with itself": (lambda x: np.maximum(x, x), 1.0, 1.0, 0.0),
    "clip below": (lambda x: np.clip(x, -1.0, 1.0), -1.0, 0.5, 0.0),
    "clip above": (lambda x: np.clip(x, -1.0, 1.0), 1.0, 0.5, 0.0),
    "clip inside": (lambda x: np.clip(x, -1.0, 1.0), 0.0, 1.0, 0.0),
    "clip outside": (lambda x: np.clip(x, -1.0, 1.0), 2.0, 0.0, 0.0),
    "relu": (relu, 0.0, 0.0, 0.0),
    "leaky relu": (lambda x: leaky_relu(x, 0.25), 0.0, 0.25, 0.0),
    "softplus, which has none": (softplus, 0.0, 0.5, 0.25),
    "logaddexp of equals": (lambda x: np.logaddexp(x, 3.0), 3.0, 0.5, 0.25),
    "x**0": (lambda x: x**0, 0.0, 0.0, 0.0),
    "x**0.0": (lambda x: x**0.0, 0.0, 0.0, 0.0),
    "x**1": (lambda x: x**1, 0.0, 1.0, 0.0),
    "x**2": (lambda x: x**2, 0.0, 0.0, 2.0),
    "x**2.0 below 0": (lambda x: x**2.0, -3.0, -6.0, 2.0),
    "x**3 below 0": (lambda x: x**3, -2.0, 12.0, -12.0),
    "x**array(0)": (lambda x: x ** np.array(0.0), 0.0, 0.0, 0.0),
    "0**y": (lambda y: 0.0**y, 2.0, 0.0, 0.0),
    "0**y at 0": (lambda y: 0.0**y, 0.0, 0.0, 0.0),
    "1**y": (lambda y: 1.0**y, 3.0, 0.0, 0.0),
    "floor": (lambda x: np.floor(x) * 1.0 + 0 * x, 1.0, 0.0, 0.0),
    "remainder": (lambda x: x % 2.0, 4.0, 1.0, 0.0),
    "where": (lambda x: np.where(x > 0, 3 * x, x), 0.0, 1.0, 0.0),
}


@pytest.mark.parametrize("name", KINKS)
def test_kink(name):
    f, x, first, second = KINKS[name]
    assert derivative(f, x) == first
    np.testing.assert_array_equal(derivative(f, np.array([x, x])), [first, first])
    assert derivative(f, x, times=2) == second


POLES = {  # what has an infinite derivative says so
    "log": (np.log, 0.0, INF),
    "1/x": (lambda x: 1 / x, 0.0, -INF),
    "x**0.5": (lambda x: x**0.5, 0.0, INF),
    "arcsin": (np.arcsin, 1.0, INF),
    "arccos": (np.arccos, -1.0, -INF),
    "arctanh": (np.arctanh, 1.0, INF),
    "arccosh": (np.arccosh, 1.0, INF),
    "log of nothing": (np.log1p, -1.0, INF),
}


@pytest.mark.parametrize("name", POLES)
def test_pole(name):
    f, x, first = POLES[name]
    assert derivative(f, x) == first


@pytest.mark.parametrize("f", [np.max, np.amax, np.min, np.amin], ids=lambda f: f.__name__)
def test_ties_of_an_extremum_share(f):
    x = np.array([[1.0, 3.0, 1.0], [3.0, 3.0, 1.0]])
    best = x == f(x)
    np.testing.assert_array_equal(bp.grad(f)(x), best / np.sum(best))
    gradient = bp.grad(lambda x: np.sum(f(x, axis=1)))(x)
    best = x == f(x, axis=1, keepdims=True)
    np.testing.assert_array_equal(gradient, best / np.sum(best, axis=1, keepdims=True))
    np.testing.assert_array_equal(bp.hessian(f)(x), np.zeros((2, 3, 2, 3)))


def test_both_arguments_of_a_tie_share():
    for f in (np.maximum, np.minimum, np.fmax, np.fmin):
        assert bp.grad(f, (0, 1))(2.0, 2.0) == (0.5, 0.5)


def test_a_bound_shares_with_what_equals_it():
    assert bp.grad(np.clip, (0, 1, 2))(1.0, 1.0, 3.0) == (0.5, 0.5, 0.0)
    assert bp.grad(np.clip, (0, 1, 2))(0.0, 1.0, 3.0) == (0.0, 1.0, 0.0)
    assert bp.grad(np.clip, (0, 1, 2))(4.0, 1.0, 3.0) == (0.0, 0.0, 1.0)


def test_complex_zero():
    """|z| has a cone at 0 and z/|z| a jump: both derivatives are 0 there."""
    assert bp.grad(np.absolute)(0j) == 0
    assert bp.grad(lambda z: np.real(np.sign(z)))(0j) == 0
    assert bp.grad(lambda z: np.real(np.sqrt(z)))(0j) == 0


def test_norm_of_the_zero_vector():
    zero = np.zeros(3)
    np.testing.assert_array_equal(bp.grad(lambda x: np.sqrt(np.sum(x * x)))(zero), zero)
    np.testing.assert_array_equal(bp.grad(lambda x: np.sqrt(x @ x))(zero), zero)


def test_standard_deviation_of_equal_elements():
    x = np.full((2, 3), 1.5)
    np.testing.assert_array_equal(bp.grad(np.std)(x), np.zeros((2, 3)))
    np.testing.assert_array_equal(bp.grad(lambda x: np.sum(np.std(x, axis=0)))(x), np.zeros((2, 3)))


def test_fmax_gives_all_to_the_number_beside_nan():
    assert bp.grad(np.fmax, (0, 1))(NAN, 2.0) == (0.0, 1.0)
    assert bp.grad(np.fmin, (0, 1))(2.0, NAN) == (1.0, 0.0)
    np.testing.assert_array_equal(derivative(lambda x: np.fmax(x, NAN), np.array([1.0, 2.0])), [1.0, 1.0])


def test_maximum_of_nan_belongs_to_nobody():
    assert bp.grad(np.maximum, (0, 1))(NAN, 2.0) == (0.0, 0.0)


def test_the_exponent_of_a_negative_base_has_no_derivative():
    base, exponent = bp.vjp(np.power, -2.0, 3.0)[1](1.0)
    assert base == 12.0
    assert np.isnan(exponent)


def test_a_tie_is_shared_at_any_order_of_arguments_and_shapes():
    x = np.array([1.0, 2.0, 3.0])
    y = np.array([[2.0], [1.0]])
    left, right = bp.vjp(np.maximum, x, y)[1](np.ones((2, 3)))
    np.testing.assert_array_equal(left, [0.5, 1.5, 2.0])
    np.testing.assert_array_equal(right, [[1.5], [0.5]])


def test_remainders_count_as_numpy_does():
    """1 % 0.1 is 1 − 9 · 0.1, since 0.1 is a little more than a tenth; 1/0.1 would say 10."""
    for f in (np.remainder, np.fmod):
        assert bp.grad(f, (0, 1))(1.0, 0.1) == (1.0, -9.0)
    assert bp.grad(np.fmod, 1)(-1.0, 0.1) == 9.0
    assert bp.grad(np.remainder, 1)(-1.0, 0.1) == 10.0
