"""What was not used has no gradient: where() and indexing beside infinite and undefined derivatives.

A user's forward pass may warn, as NumPy does (log 0, √−1); the backward pass adds no warning.
"""

import numpy as np
import pytest

import tinygrad_bp as bp

INF, NAN = np.inf, np.nan


def chosen(condition, f):
    return lambda x: np.where(condition(x), f(x), 0.0)


def power(exponent):
    """x ** exponent, its derivative and its second derivative."""
    n = exponent
    return (lambda x: x**n), (lambda x: n * x ** (n - 1)), (lambda x: n * (n - 1) * x ** (n - 2))


POSITIVE = ([0.0, -1.0, -0.0, 4.0], lambda x: x > 0)
INSIDE = ([1.0, -1.0, 2.0, -2.0, 0.5], lambda x: abs(x) < 1)
NONZERO = ([0.0, -0.0, 2.0], lambda x: x != 0)
NUMBERS = ([NAN, 3.0, -2.0], lambda x: ~np.isnan(x))
FINITE = ([INF, -INF, NAN, 3.0], np.isfinite)
CASES = {  # name: (points, condition), f, f′, f″
    "sqrt": (POSITIVE, np.sqrt, lambda x: 0.5 / np.sqrt(x), lambda x: -0.25 * x**-1.5),
    "cbrt": (NONZERO, np.cbrt, lambda x: np.cbrt(x) / (3 * x), lambda x: -2 * np.cbrt(x) / (9 * x * x)),
    "log": (POSITIVE, np.log, lambda x: 1 / x, lambda x: -1 / x**2),
    "log2": (POSITIVE, np.log2, lambda x: 1 / x / np.log(2), lambda x: -1 / x**2 / np.log(2)),
    "log10": (POSITIVE, np.log10, lambda x: 1 / x / np.log(10), lambda x: -1 / x**2 / np.log(10)),
    "log1p": (
        ([-1.0, -2.0, 3.0], lambda x: x > -1), np.log1p, lambda x: 1 / (1 + x), lambda x: -1 / (1 + x) ** 2,
    ),
    "1/x": (NONZERO, lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3),
    "reciprocal": (NONZERO, np.reciprocal, lambda x: -1 / x**2, lambda x: 2 / x**3),
    "x**0.5": (POSITIVE, *power(0.5)),
    "x**-1.0": (NONZERO, *power(-1.0)),
    "x**-2": (NONZERO, *power(-2.0)),
    "2/x**2": (NONZERO, lambda x: 2 / x**2, lambda x: -4 / x**3, lambda x: 12 / x**4),
    "arcsin": (INSIDE, np.arcsin, lambda x: (1 - x * x) ** -0.5, lambda x: x * (1 - x * x) ** -1.5),
    "arccos": (INSIDE, np.arccos, lambda x: -((1 - x * x) ** -0.5), lambda x: -x * (1 - x * x) ** -1.5),
    "arctanh": (INSIDE, np.arctanh, lambda x: 1 / (1 - x * x), lambda x: 2 * x / (1 - x * x) ** 2),
    "arccosh": (
        ([1.0, 0.0, -1.0, 2.0], lambda x: x > 1), np.arccosh,
        lambda x: (x * x - 1) ** -0.5, lambda x: -x * (x * x - 1) ** -1.5,
    ),
    "x log x": (POSITIVE, lambda x: x * np.log(x), lambda x: np.log(x) + 1, lambda x: 1 / x),
    "sin x / x": (
        NONZERO, lambda x: np.sin(x) / x, lambda x: (x * np.cos(x) - np.sin(x)) / x**2,
        lambda x: (2 * np.sin(x) - 2 * x * np.cos(x) - x * x * np.sin(x)) / x**3,
    ),
    "nan x*x": (NUMBERS, lambda x: x * x, lambda x: 2 * x, lambda x: 2 + 0 * x),
    "nan sin": (NUMBERS, np.sin, np.cos, lambda x: -np.sin(x)),
    "nan exp(sin)": (
        NUMBERS, lambda x: np.exp(np.sin(x)), lambda x: np.cos(x) * np.exp(np.sin(x)),
        lambda x: (np.cos(x) ** 2 - np.sin(x)) * np.exp(np.sin(x)),
    ),
    "inf x*x": (FINITE, lambda x: x * x, lambda x: 2 * x, lambda x: 2 + 0 * x),
    "inf - inf": (FINITE, lambda x: x * (x - x + 1), lambda x: 1 + 0 * x, lambda x: 0 * x),
    "inf tanh": (
        FINITE, np.tanh, lambda x: 1 - np.tanh(x) ** 2, lambda x: -2 * np.tanh(x) * (1 - np.tanh(x) ** 2),
    ),
}  # fmt: skip


def case(name, dtype=np.float64):
    """(x, where(condition, f, 0), f′ and f″ where the condition holds, else 0)."""
    (points, condition), f, *derivatives = CASES[name]
    x = np.array(points, dtype)
    with np.errstate(all="ignore"):
        expected = [np.where(condition(x), d(x.astype(np.float64)), 0.0) for d in derivatives]
    return x, chosen(condition, f), *expected


def quiet_vjp(f, x):
    with np.errstate(all="ignore"):
        return bp.vjp(f, x)


EVERY = pytest.mark.parametrize("name", CASES)


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda t: t.__name__)
def test_grad(name, dtype, exact_dtypes):
    x, f, first, _ = case(name, dtype)
    y, pullback = quiet_vjp(f, x)
    (gradient,) = pullback(np.ones_like(y))
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient, first, rtol=1e-13 if dtype is np.float64 else 1e-5)


@EVERY
def test_backward_through_a_sum(name):
    x, f, first, _ = case(name)
    t = bp.Tensor(x, requires_grad=True)
    with np.errstate(all="ignore"):
        total = np.sum(f(t))
    total.backward()
    np.testing.assert_allclose(t.grad, first, rtol=1e-13)


@EVERY
def test_one_number_at_a_time(name):
    """The same on NumPy scalars, where there are no arrays to mask."""
    x, f, first, _ = case(name)
    for point, derivative in zip(x, first):
        _, pullback = quiet_vjp(f, point)
        np.testing.assert_allclose(pullback(1.0)[0], derivative, rtol=1e-13)


@EVERY
def test_jacobian(name):
    x, f, first, _ = case(name)
    with np.errstate(all="ignore"):
        jacobian = bp.jacobian(f)(x)
    np.testing.assert_allclose(jacobian, np.diag(first), rtol=1e-13)


@EVERY
def test_jvp(name):
    """A tangent of 1 at the elements in use, whatever the others do."""
    x, f, first, _ = case(name)
    with np.errstate(all="ignore"):
        _, tangent = bp.jvp(f, (x,), (np.ones_like(x),))
    np.testing.assert_allclose(tangent, first, rtol=1e-13)


@EVERY
def test_second_derivative(name):
    x, f, first, second = case(name)
    y, pullback = quiet_vjp(bp.elementwise_grad(f), x)
    np.testing.assert_allclose(y, first, rtol=1e-12)
    np.testing.assert_allclose(pullback(np.ones_like(y))[0], second, rtol=1e-12)


@EVERY
def test_hessian_vector_product(name):
    x, f, _, second = case(name)
    v = np.arange(1.0, len(x) + 1)
    with np.errstate(all="ignore"):
        product = bp.hvp(lambda x: np.sum(f(x)), x, v)
    np.testing.assert_allclose(product, second * v, rtol=1e-12)


def test_jvp_beside_a_tangent_of_infinity():
    """One infinite derivative says nothing about the other elements."""
    with np.errstate(divide="ignore"):
        _, tangent = bp.jvp(np.log, (np.array([0.0, 1.0, 2.0]),), (np.ones(3),))
        _, none = bp.jvp(np.log, (np.array([0.0, 1.0]),), (np.array([0.0, 1.0]),))
    np.testing.assert_array_equal(tangent, [INF, 1.0, 0.5])
    np.testing.assert_array_equal(none, [0.0, 1.0])


def test_jvp_of_results_that_cancel():
    """Two uses of log x with opposite signs: a cotangent of ones would be 0 by chance, not by structure."""
    x = np.array([0.0, 2.0])

    def both_signs(x):
        y = np.log(x)
        return np.stack([y, -y])

    with np.errstate(all="ignore"):
        _, tangent = bp.jvp(both_signs, (x,), (np.ones(2),))
    np.testing.assert_array_equal(tangent, [[INF, 0.5], [-INF, -0.5]])


LEFT_OUT = {  # f, x, ∂Σf/∂x
    "mask": (lambda x: x[~np.isnan(x)] ** 2, [1.0, NAN, 3.0], [2.0, 0.0, 6.0]),
    "mask after square": (lambda x: (x * x)[[0, 2]], [1.0, NAN, 3.0], [2.0, 0.0, 6.0]),
    "slice after sin": (lambda x: np.sin(x)[1:], [NAN, 0.0, np.pi], [0.0, 1.0, -1.0]),
    "infinite log": (lambda x: np.log(x)[x > 0], [0.0, 2.0, -1.0], [0.0, 0.5, 0.0]),
    "one element": (lambda x: np.sqrt(x)[2], [0.0, -1.0, 4.0], [0.0, 0.0, 0.25]),
    "sum after mask": (lambda x: np.sum((x * x)[x < 5]), [NAN, 1.0, INF], [0.0, 2.0, 0.0]),
    "mean after where": (lambda x: np.mean(np.where(np.isnan(x), 0.0, x * x)), [NAN, 2.0], [0.0, 2.0]),
    "rows": (
        lambda x: (np.sum(x, axis=1) ** 2)[1:], [[NAN, 1.0], [1.0, 2.0]], [[0.0, 0.0], [6.0, 6.0]],
    ),
    "where over a sum of rows": (
        lambda x: np.where(np.isnan(np.sum(x, axis=1)), 0.0, np.sum(x * x, axis=1)),
        [[NAN, 1.0], [1.0, 2.0]], [[0.0, 0.0], [2.0, 4.0]],
    ),
    "nested where": (
        lambda x: np.where(x > 1, np.log(np.where(x > 0, x, 1.0)), np.where(x < 0, np.sqrt(-x), 0.0)),
        [2.0, 0.0, 1.0, -4.0], [0.5, 0.0, 0.0, -0.25],
    ),
    "the larger of two": (lambda x: np.fmax(x * x, 2.0), [NAN, 1.0, 3.0], [0.0, 0.0, 6.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_OUT)
def test_elements_left_out(name):
    f, x, expected = LEFT_OUT[name]
    y, pullback = quiet_vjp(f, np.array(x))
    np.testing.assert_allclose(pullback(np.ones(np.shape(y)))[0], expected, rtol=1e-13)
    t = bp.Tensor(x, requires_grad=True)
    with np.errstate(all="ignore"):
        total = np.sum(f(t))
    total.backward()
    np.testing.assert_allclose(t.grad, expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda t: t.__name__)
def test_the_books_sigmoid_far_to_the_left(dtype):
    """1/(1 + e^−z), as the book writes it, overflows at −1000; its derivatives there are 0."""

    def sigmoid(z):
        return 1.0 / (1.0 + np.exp(-z))

    z = np.array([-1000.0, 0.0, 1000.0], dtype)
    y, pullback = quiet_vjp(sigmoid, z)
    np.testing.assert_array_equal(pullback(np.ones_like(y))[0], [0.0, 0.25, 0.0])
    y, pullback = quiet_vjp(bp.elementwise_grad(sigmoid), z)
    np.testing.assert_array_equal(pullback(np.ones_like(y))[0], [0.0, 0.0, 0.0])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(bp.jvp(sigmoid, (z,), (np.ones_like(z),))[1], [0.0, 0.25, 0.0])


def test_an_undefined_derivative_that_is_used_stays_undefined():
    """Only what was not used is 0: nothing else is made up."""
    with np.errstate(all="ignore"):
        assert np.isnan(bp.grad(np.log)(NAN))
        assert np.isnan(bp.grad(lambda x: x**0.5)(-1.0))
        assert bp.grad(np.log)(0.0) == INF
        assert np.isnan(bp.grad(lambda x: x * x)(NAN))
