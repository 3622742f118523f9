"""Where a function has no derivative, or several: the conventions, each of them a number.

At a kink the gradient is 0 or the mean of the subgradients; at a pole it is what the formula says.
"""

import re
from pathlib import Path

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
    "fmod": (lambda x: np.fmod(x, 2.0), -4.0, 1.0, 0.0),
    "divmod": (lambda x: np.divmod(x, 2.0)[1], 4.0, 1.0, 0.0),
    "angle": (np.angle, 0.0, 0.0, 0.0),
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


RISING = np.arange(1.0, 4.0)
ZERO, ZEROS = np.zeros(3), np.zeros((2, 2))
ONE_RANK = np.array([[1.0, 2.0], [2.0, 4.0]])
ONE = np.eye(2)
OF_ARRAYS = {  # name: f, the point, the gradient there of the sum of f
    "initial among equals": (lambda x: np.max(x[1:], initial=x[0]), [3.0, 1.0, 3.0, 3.0], [1 / 3, 0.0, 1 / 3, 1 / 3]),
    "initial below": (lambda x: np.max(x[1:], initial=x[0]), [0.0, 1.0, 3.0, 3.0], [0.0, 0.0, 0.5, 0.5]),
    "initial among equals and −∞": (lambda x: np.nanmax(x[1:], initial=x[0]), [-INF, -INF, NAN], [0.5, 0.5, 0.0]),
    "initial of a masked min": (lambda x: np.min(x[1:], initial=x[0], where=[True, False]), [1.0, 1.0, 1.0], [0.5, 0.5, 0.0]),
    "q at an element": (lambda q: np.quantile([1.0, 2.0, 5.0], q), [0.5], [6.0]),
    "q at the ends": (lambda q: np.quantile([1.0, 2.0, 5.0], q), [0.0, 1.0], [2.0, 0.0]),
    "q beyond the first rank": (lambda q: np.quantile([1.0, 2.0, 5.0], q, method="weibull"), [0.1, 0.5, 0.9], [0.0, 12.0, 0.0]),
    "q of a method that jumps": (lambda q: np.quantile([1.0, 2.0, 5.0], q, method="lower"), [0.3, 0.5], [0.0, 0.0]),
    "sort": (lambda x: np.sort(x) * RISING, [2.0, 1.0, 1.0], [3.0, 1.0, 2.0]),
    "partition": (lambda x: np.partition(x, 1) * RISING, [2.0, 1.0, 1.0], [3.0, 1.0, 2.0]),
    "unique": (np.unique, [2.0, 1.0, 1.0], [1.0, 1.0, 0.0]),
    "ptp": (np.ptp, [1.0, 1.0, 2.0, 2.0], [-0.5, -0.5, 0.5, 0.5]),
    "nanmax": (np.nanmax, [1.0, NAN, 1.0], [0.5, 0.0, 0.5]),
    "nanmin": (np.nanmin, [1.0, NAN, 1.0], [0.5, 0.0, 0.5]),
    "percentile among equals": (lambda x: np.percentile(x, 50), [2.0, 1.0, 2.0], [1.0, 0.0, 0.0]),
    "running minimum": (lambda x: np.minimum.accumulate(x) * RISING, [1.0, 1.0, 2.0], [1.0, 5.0, 0.0]),
    "running maximum": (np.maximum.accumulate, [1.0, 1.0, 2.0], [1.0, 1.0, 1.0]),
    "median of even": (np.median, [1.0, 4.0, 2.0, 3.0], [0.0, 0.0, 0.5, 0.5]),
    "median among equals": (np.median, [2.0, 1.0, 2.0], [1.0, 0.0, 0.0]),
    "quantile at an element": (lambda x: np.quantile(x, 0.5), [1.0, 2.0, 3.0], [0.0, 1.0, 0.0]),
    "prod with one 0": (np.prod, [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
    "prod with two": (np.prod, [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
    "cumprod": (np.cumprod, [2.0, 0.0, 3.0], [1.0, 8.0, 0.0]),
    "interp at its nodes": (lambda x: np.interp(x, [0.0, 1.0, 2.0], [0.0, 1.0, 4.0]), [0.0, 1.0, 2.0], [1.0, 3.0, 3.0]),
    "interp outside": (lambda x: np.interp(x, [0.0, 1.0], [0.0, 1.0]), [-1.0, 2.0], [0.0, 0.0]),
    "unwrap": (np.unwrap, [0.0, np.pi], [1.0, 1.0]),
    "copysign": (lambda x: np.copysign(x, 1.0), [0.0], [0.0]),
    "nan_to_num": (np.nan_to_num, [NAN, INF, -INF, 1.0], [0.0, 0.0, 0.0, 1.0]),
    "modf": (lambda x: np.modf(x)[0], [2.0], [1.0]),
    "where, dead branch": (lambda x: np.where(x > 0, np.log(x), 0.0), [0.0, 2.0, NAN], [0.0, 0.5, 0.0]),
    "an index, dead elements": (lambda x: np.log(x)[1:], [0.0, 2.0], [0.0, 0.5]),
    "where=, left out": (lambda x: np.log(x, where=x > 0), [0.0, 2.0], [0.0, 0.5]),
    "norm": (np.linalg.norm, ZERO, ZERO),
    "norm 1": (lambda x: np.linalg.norm(x, 1), [1.0, -1.0, 0.0], [1.0, -1.0, 0.0]),
    "norm 3": (lambda x: np.linalg.norm(x, 3), ZERO, ZERO),
    "norm 1/2": (lambda x: np.linalg.norm(x, 0.5), ZERO, ZERO),
    "norm inf": (lambda x: np.linalg.norm(x, np.inf), [1.0, -1.0, 0.0], [0.5, -0.5, 0.0]),
    "norm fro": (lambda x: np.linalg.norm(x, "fro"), ZEROS, ZEROS),
    "norm nuc": (lambda x: np.linalg.norm(x, "nuc"), ZEROS, ZEROS),
    "norm 2": (lambda x: np.linalg.norm(x, 2), ZEROS, ZEROS),
    **{f"norm {p} of a vector of 0": (lambda x, p=p: np.linalg.norm(x, p), ZERO, ZERO) for p in (1, 2, 4, INF, -INF, -1, -2, 0)},
    **{f"norm {p} of a matrix of 0": (lambda x, p=p: np.linalg.norm(x, p), ZEROS, ZEROS) for p in (1, -1, -2, INF, -INF)},
    "norm nuc, equal ones": (lambda x: np.linalg.norm(x, "nuc"), ONE, ONE),
    "pinv hermitian reads below": (lambda a: np.linalg.pinv(a, hermitian=True), [[1.0, 9.0], [0.0, 2.0]], [[-1.0, 0.0], [-1.0, -0.25]]),
    "lstsq keeps the rank": (lambda x: np.linalg.lstsq(x, np.ones(2))[0], [[1.0, 0.0], [0.0, 0.0]], [[-1.0, 1.0], [1.0, 0.0]]),
    "det": (np.linalg.det, ONE_RANK, [[4.0, -2.0], [-2.0, 1.0]]),
    "det of rank n − 2": (np.linalg.det, np.zeros((3, 3)), np.zeros((3, 3))),
    "pinv keeps the rank": (lambda x: np.linalg.pinv(x) * [[25.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]], [[-25.0, 0.0], [0.0, 0.0]]),
    "pinv of 0": (np.linalg.pinv, ZEROS, ZEROS),
    "cholesky reads below": (np.linalg.cholesky, [[4.0, 9.0], [2.0, 5.0]], [[3 / 16, 0.0], [0.25, 0.25]]),
    "eigvalsh reads below": (np.linalg.eigvalsh, [[1.0, 9.0], [0.0, 2.0]], ONE),
    "eigvalsh, equal ones": (np.linalg.eigvalsh, ONE, ONE),
    "svdvals, equal ones": (np.linalg.svdvals, ONE, ONE),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_kink_of_an_array(name):
    f, x, expected = OF_ARRAYS[name]
    with np.errstate(all="ignore"):
        found = bp.grad(lambda x: np.sum(f(x)))(np.asarray(x))
    np.testing.assert_allclose(found, expected, atol=1e-13)


def test_equal_eigenvalues_share():
    for f in (np.linalg.eigvals, lambda a: np.linalg.eig(a)[0]):
        both = [bp.vjp(f, ONE)[1](g)[0] for g in ONE]
        np.testing.assert_array_equal(both[0] + both[1], ONE)
    np.testing.assert_array_equal(bp.vjp(np.linalg.eigvals, ONE)[1](ONE[0])[0], ONE / 2)


NONE = {  # what has no derivative there, and says so
    "eigh": (lambda a: np.linalg.eigh(a)[1], ONE),
    "eig": (lambda a: np.linalg.eig(a)[1], ONE),
    "svd": (lambda a: np.linalg.svd(a)[0], ONE),
    "inv": (np.linalg.inv, ZEROS),
    "solve": (lambda a: np.linalg.solve(a, np.ones(2)), ZEROS),
    "slogdet": (lambda a: np.linalg.slogdet(a)[1], ZEROS),
    "cholesky": (np.linalg.cholesky, -ONE),
}


@pytest.mark.parametrize("name", NONE)
def test_what_has_no_derivative_raises(name):
    f, x = NONE[name]
    with pytest.raises(np.linalg.LinAlgError):
        bp.grad(lambda x: np.sum(f(x)))(x)


def test_logaddexp_of_nothing():
    assert np.all(np.isnan(bp.vjp(np.logaddexp, -INF, -INF)[1](1.0)))


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
    assert bp.grad(np.angle)(0j) == 0


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
    for f in (np.maximum, np.minimum):
        assert bp.grad(f, (0, 1))(NAN, 2.0) == (0.0, 0.0)


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


READ_BELOW = {
    "cholesky": np.linalg.cholesky, "eigh": lambda a: np.linalg.eigh(a)[0], "eigvalsh": np.linalg.eigvalsh,
    "pinv": lambda a: np.linalg.pinv(a, hermitian=True), "svd": lambda a: np.linalg.svd(a, hermitian=True)[1],
    "vectors": lambda a: np.linalg.eigh(a)[1] ** 2, "upper": lambda a: np.linalg.eigvalsh(a.T, "U"),
}  # fmt: skip


@pytest.mark.parametrize("name", READ_BELOW)
def test_the_other_triangle_has_no_share(name):
    weights = np.arange(1.0, 4.0)
    a = np.array([[4.0, 9.0, 9.0], [1.0, 6.0, 9.0], [0.5, -1.0, 9.0]])
    below = bp.grad(lambda a: np.sum(READ_BELOW[name](a) * weights))(a)
    assert np.all(below[np.triu_indices(3, 1)] == 0)
    assert np.all(below[np.tril_indices(3)] != 0)
    assert bp.gradcheck(READ_BELOW[name], a, order=2)


def test_functions_of_scipy_at_the_poles_of_gamma():
    special = pytest.importorskip("scipy.special")
    gradient = lambda f, *at: bp.grad(f, tuple(range(len(at))))(*at)
    for f in (special.beta, special.betaln):
        assert np.isnan(gradient(f, -1.0, 2.5)[0])
        assert np.isnan(gradient(f, 2.5, -2.0)[1])
    assert np.isnan(gradient(special.gammaln, -1.0))
    assert gradient(special.gammaln, 0.0) == (-INF,)
    assert gradient(special.gammaln, -0.0) == (INF,)
    assert [gradient(special.rgamma, -n)[0] for n in (0.0, 1.0, 2.0, 3.0)] == [1.0, -1.0, 2.0, -6.0]
    np.testing.assert_allclose(gradient(special.poch, -2.0, 3.5)[0], 2 * special.gamma(1.5))
    slope = -special.gamma(0.5) * special.gamma(-1.5)
    np.testing.assert_allclose(gradient(special.beta, 0.5, -1.5), (slope, slope))
    for f in (special.gammainc, special.gammaincc):
        assert gradient(f, INF, 1.0) == (0.0, 0.0)
        assert gradient(f, 1.0, INF) == (0.0, 0.0)


PAGE = (Path(__file__).parents[2] / "docs" / "conventions.md").read_text()
TRIED = {  # a row of the page: what tries it, cases of the tables above or functions
    "abs, fabs, sign, hypot, arctan2, copysign, angle": "abs; fabs; sign; hypot; arctan2 of x; copysign; angle; test_complex_zero",
    "sqrt, cbrt, and a std of equal elements": "sqrt; cbrt; test_standard_deviation_of_equal_elements",
    "x ** 0": "x**0; x**0.0; x**array(0)",
    "0 ** y, in y": "0**y; 0**y at 0",
    "a ** y with a < 0, in y": "test_the_exponent_of_a_negative_base_has_no_derivative",
    "log, 1/x, x ** 0.5, arcsin, …": "log; 1/x; x**0.5; arcsin",
    "maximum, minimum, fmax, fmin": "maximum; minimum; fmax; fmin; test_both_arguments_of_a_tie_share",
    "fmax, fmin": "test_fmax_gives_all_to_the_number_beside_nan",
    "maximum, minimum": "test_maximum_of_nan_belongs_to_nobody",
    "max, min, nanmax, ptp, norm(x, inf)": "test_ties_of_an_extremum_share; nanmax; nanmin; ptp; norm inf",
    "sort, partition; unique": "sort; partition; unique",
    "running maximum (maximum.accumulate)": "running maximum; running minimum",
    "median, quantile, percentile": "median of even; median among equals; percentile among equals; quantile at an element",
    "quantile, percentile, in q": "q at an element; q at the ends; q beyond the first rank; q of a method that jumps",
    "clip": "clip below; clip above; test_a_bound_shares_with_what_equals_it",
    "max, min with initial": "initial among equals; initial below; initial of a masked min",
    "relu; leaky_relu": "relu; leaky relu",
    "prod, cumprod": "prod with one 0; prod with two; cumprod",
    "remainder, fmod, divmod, modf, unwrap": "remainder; fmod; divmod; modf; unwrap",
    "interp, in x": "interp at its nodes; interp outside",
    "nan_to_num": "nan_to_num",
    "where, indexing, where=": "where, dead branch; an index, dead elements; where=, left out",
    "logaddexp": "test_logaddexp_of_nothing",
    "functions of scipy.special": "test_special_ends.test_in_silence_and_nan_where_the_value_is",
    "gamma, gammaln, loggamma, expi": "test_special_ends.test_a_negative_zero_is_the_left_side_of_a_pole",
    "gammaln, beta, betaln": "test_functions_of_scipy_at_the_poles_of_gamma",
    "rgamma; beta and poch where they are 0": "test_functions_of_scipy_at_the_poles_of_gamma",
    "gammainc, gammaincc": "test_functions_of_scipy_at_the_poles_of_gamma",
    "floor, ceil, round, sign, comparisons, …": "floor; sign; test_every_op.test_locally_constant",
    "norm, all orders": "norm; norm 1 of a vector of 0; norm 0 of a vector of 0; norm -2 of a matrix of 0; norm nuc; norm fro; norm 2",
    "norm(x, 1)": "norm 1",
    "cholesky, eigh, eigvalsh, hermitian=True": "test_the_other_triangle_has_no_share; cholesky reads below",
    "eigvalsh, eigvals, svdvals, norm(x, \"nuc\"), …": "eigvalsh, equal ones; svdvals, equal ones; norm nuc, equal ones; test_equal_eigenvalues_share",
    "vectors of eigh, eig, svd": "eigh; eig; svd",
    "det": "det; det of rank n − 2",
    "inv, solve, slogdet": "inv; solve; slogdet",
    "pinv, lstsq": "pinv keeps the rank; pinv of 0; lstsq keeps the rank",
}  # fmt: skip


def test_each_row_of_the_page_is_tried():
    from . import test_every_op, test_special_ends

    table = PAGE.partition("## Kinks")[2].partition("```")[0]
    rows = [row.replace("`", "") for row in re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE)]
    assert rows[2:] == list(TRIED)
    functions = {
        f"{m.__name__.rpartition('.')[2]}.{f}" for m in (test_every_op, test_special_ends) for f in vars(m)
    }
    known = {*KINKS, *POLES, *OF_ARRAYS, *NONE, *globals(), *functions}
    assert {case for cases in TRIED.values() for case in cases.split("; ")} <= known
