"""What the domain table cannot say of reductions and statistics: NaN, ties, sizes, arguments in odd places."""

import math

import numpy as np
import pytest

import tinygrad_bp as bp

NAN = np.nan
X = np.array([[0.5, -1.5, 2.0, 0.1], [1.0, 0.25, -3.0, 0.7], [2.5, 1.1, 0.3, -0.4]])
HOLES = np.where(np.eye(3, 4, dtype=bool), NAN, X)


def leaf(x):
    return bp.Tensor(x, requires_grad=True)


# ---- NaN -------------------------------------------------------------------------------------------------

NAN_VARIANTS = {
    np.nansum: np.sum, np.nanprod: np.prod, np.nanmean: np.mean, np.nanvar: np.var, np.nanstd: np.std, np.nanmax: np.max,
    np.nanmin: np.min, np.nanmedian: np.median,
}  # fmt: skip


@pytest.mark.parametrize("f", NAN_VARIANTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
def test_nan_variants_are_the_functions_of_what_is_no_nan(f, axis):
    np.testing.assert_array_equal(f(leaf(HOLES), axis=axis).data, f(HOLES, axis=axis))
    g = bp.grad(lambda x: np.sum(f(x, axis=axis) ** 2))(HOLES)
    np.testing.assert_array_equal(g[np.isnan(HOLES)], 0)

    def of_numbers(x):  # the same function over each slice without its NaN
        slices = {None: [x], (0, 1): [x], 0: list(x.T), 1: list(x)}[axis]
        return sum(NAN_VARIANTS[f](s[~np.isnan(s)]) ** 2 for s in slices)

    np.testing.assert_allclose(g, np.where(np.isnan(HOLES), 0, bp.grad(of_numbers)(HOLES)), rtol=1e-12)


@pytest.mark.parametrize("f", [np.nancumsum, np.nancumprod])
def test_running_nan_variants(f):
    np.testing.assert_array_equal(f(leaf(HOLES), axis=1).data, f(HOLES, axis=1))
    g = bp.grad(lambda x: np.sum(f(x, axis=1)))(HOLES)
    plain = {np.nancumsum: np.cumsum, np.nancumprod: np.cumprod}[f]
    wanted = bp.grad(lambda x: np.sum(plain(x, axis=1)))(np.where(np.isnan(HOLES), f is np.nancumprod, X))
    np.testing.assert_allclose(g, np.where(np.isnan(HOLES), 0, wanted), rtol=1e-12)


@pytest.mark.parametrize("method", ["linear", "hazen", "nearest", "inverted_cdf"])
def test_nanquantile(method):
    q = [0.2, 0.9]
    g = bp.grad(lambda x: np.sum(np.nanquantile(x, q, axis=1, method=method)))(HOLES)
    for row, found in zip(HOLES, g):
        there = ~np.isnan(row)
        wanted = bp.grad(lambda x: np.sum(np.quantile(x, q, method=method)))(row[there])
        np.testing.assert_allclose(found[there], wanted, rtol=1e-12)
        assert not found[~there].any()


# ---- ties, zeros -----------------------------------------------------------------------------------------


def test_an_initial_value_that_ties_has_a_share():
    np.testing.assert_array_equal(
        bp.grad(lambda x: np.max(x, initial=1.0))(np.array([1.0, 1.0, 0.0])), [1 / 3, 1 / 3, 0]
    )
    np.testing.assert_array_equal(bp.grad(lambda x: np.max(x, initial=5.0))(np.ones(2)), [0, 0])


def test_equal_elements_of_a_quantile_are_in_stable_order():
    np.testing.assert_array_equal(bp.grad(np.median)(np.array([2.0, 1.0, 1.0, 1.0])), [0, 0, 0.5, 0.5])


def test_the_last_of_equal_elements_sets_a_running_extremum():
    g = bp.grad(lambda x: np.sum(np.maximum.accumulate(x)))(np.array([1.0, 1.0, 0.0, 2.0]))
    np.testing.assert_array_equal(g, [1, 2, 0, 1])


@pytest.mark.parametrize("zeros", [[], [1], [1, 3], [0, 2, 4]])
def test_products_with_zeros(zeros):
    """∂²Π/∂x_i∂x_j is the product of all others, whatever is zero."""
    x = np.array([1.5, -2.0, 0.5, 3.0, -0.7])
    x[zeros] = 0
    n = range(len(x))
    first = [math.prod(np.delete(x, i)) for i in n]
    np.testing.assert_allclose(bp.grad(np.prod)(x), first, rtol=1e-14)
    second = [[math.prod(np.delete(x, [i, j])) if i != j else 0.0 for j in n] for i in n]
    np.testing.assert_allclose(bp.hessian(np.prod)(x), second, rtol=1e-13, atol=1e-15)


def test_products_that_underflow():
    for x in ([1e-200, 1e-150], [1e200, 1e150]):
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(bp.grad(np.prod)(np.array(x)), x[::-1])


# ---- long axes, other references -------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 64, 101])
def test_running_products_of_any_length(n):
    rng = np.random.default_rng(n)
    x, g = rng.uniform(-1.5, 1.5, n), rng.normal(size=n)
    x[n // 2] = 0
    wanted = [sum(g[j] * math.prod(np.delete(x[: j + 1], i)) for j in range(i, n)) for i in range(n)]
    np.testing.assert_allclose(bp.vjp(np.cumprod, x)[1](g)[0], wanted, rtol=1e-10, atol=1e-13)


def test_log_sums_of_any_size():
    x = np.array([-1000.0, 0.0, 1000.0, -5.0])
    np.testing.assert_array_equal(bp.grad(lambda x: np.sum(np.logaddexp.accumulate(x)))(x), [1, 1, 2, 0])


def test_sinc_near_zero_and_far():
    """All derivatives at 0 are those of the series 1 − (πx)²/6 + (πx)⁴/120 − …"""
    f = np.sinc
    for k, wanted in enumerate([1, 0, -(math.pi**2) / 3, 0, math.pi**4 / 5]):
        for x in (0.0, 1e-9):
            assert f(x) == pytest.approx(wanted, abs=1e-6)
        if k < 4:
            f = bp.grad(f)
    assert bp.grad(np.sinc)(1e8 + 0.5) == pytest.approx(math.cos(math.pi * 0.5) / 1e8, abs=1e-15)


def test_i0_against_its_series():
    """I₁(x) = Σ (x/2)^(2k+1) / k! (k+1)!"""
    for x in (1e-8, 0.3, -2.0, 9.0, 40.0):
        wanted = math.fsum(
            (x / 2) ** (2 * k + 1) / math.factorial(k) / math.factorial(k + 1) for k in range(100)
        )
        assert bp.grad(np.i0)(x) == pytest.approx(wanted, rel=1e-14)


# ---- arguments -------------------------------------------------------------------------------------------


def test_weights_of_a_covariance():
    w = np.array([0.5, 2.0, 1.0, 0.7])
    for ddof in (0, 1):
        assert bp.gradcheck(lambda x, w, ddof=ddof: np.cov(x, aweights=w, ddof=ddof), X, w, order=2)
        assert bp.gradcheck(lambda w, ddof=ddof: np.cov(X, fweights=[1, 2, 3, 1], aweights=w, ddof=ddof), w)


def test_values_of_interp_outside_of_its_points():
    assert bp.gradcheck(
        lambda fp, low, high: np.interp([-1.0, 0.5, 3.0], [0.0, 1.0, 2.0], fp, low, high), X[0, :3], 1.5, -0.5
    )
    assert bp.gradcheck(lambda x, period: np.interp(x, [0.1, 0.4], [1.0, 2.0], period=period), X[2], 0.9)


def test_the_slope_at_a_knot_is_that_to_its_right():
    knots, values = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 3.0])
    at = bp.elementwise_grad(lambda x: np.interp(x, knots, values))
    np.testing.assert_array_equal(at(np.array([0.0, 1.0, 2.0, 2.5, -0.5])), [1, 2, 2, 0, 0])


def test_what_is_no_operand_must_not_record():
    q, x = leaf(0.5), leaf(X)
    for call in (
        lambda: np.var(x, ddof=q), lambda: np.unwrap(x, discont=q), lambda: np.sum(x, axis=q), lambda: np.quantile(x, 0.5, weights=leaf(X), method="inverted_cdf"),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            call()


def test_what_would_write_into_its_argument_is_refused():
    x = leaf(X)
    for call in (lambda: np.nan_to_num(x, copy=False), lambda: np.median(x, overwrite_input=True)):
        with pytest.raises(bp.NotDifferentiable, match="leave it out"):
            call()
    np.testing.assert_array_equal(np.nan_to_num(x, copy=True).data, X)


@pytest.mark.parametrize(
    "f", [np.histogram, np.histogram_bin_edges, np.heaviside, np.nextafter], ids=lambda f: f.__name__
)
def test_refusals_name_a_way_out(f):
    with pytest.raises(bp.NotDifferentiable, match="cannot be differentiated; use"):
        f(leaf(X), 3.0) if isinstance(f, np.ufunc) else f(leaf(X))


def test_a_fit_gives_back_a_polynomial():
    """∂c/∂y of a fit to data without noise is the inverse of evaluation."""
    x, c = np.array([-1.0, 0.5, 1.0, 2.0]), np.array([0.5, -1.0, 2.0])
    matrix = bp.jacobian(lambda c: np.polyfit(x, np.polyval(c, x), 2))(c)
    np.testing.assert_allclose(matrix, np.eye(3), atol=1e-12)


def test_a_full_fit_and_its_covariance_are_numpys():
    """Singular values and residuals differentiate; the rank and the cut-off are plain numbers."""
    x, y = np.ravel(X), leaf(np.cos(np.ravel(X)))
    fit = np.polyfit(x, y, 1, full=True)
    for found, expected in zip(fit, np.polyfit(x, y.data, 1, full=True)):
        np.testing.assert_array_equal(found.data if type(found) is bp.Tensor else found, expected)
    assert [type(part) is bp.Tensor for part in fit] == [True, True, False, True, False]
    np.polyfit(x, y, 1, cov=True)[1][0, 0].backward()
    x = x - np.mean(x)
    residuals = y.data - np.mean(y.data) - x * (x @ y.data) / (x @ x)
    np.testing.assert_allclose(y.grad, 2 * residuals / (x.size - 2) / (x @ x), rtol=1e-12)  # of s²/Σ(x − x̄)²


def test_roots_and_coefficients_are_inverse():
    zeros = np.array([-1.0, 0.5, 3.0])
    matrix = bp.jacobian(lambda z: np.sort(np.roots(np.poly(z))))(zeros)
    np.testing.assert_allclose(matrix, np.eye(3), atol=1e-10)
