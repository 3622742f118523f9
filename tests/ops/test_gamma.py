"""The gamma function's family, against mpmath: each form where it is used, where one takes over from another, and the next order.

What the domain table cannot say: edges, limits, and that an array in which every form is needed comes out
as its elements do one by one.
"""

import numpy as np
import pytest

import tinygrad_bp as bp

special = pytest.importorskip("scipy.special")
pytest.importorskip("tinygrad_bp.ops.special")  # now: what a test declares is undone after it
gamma = pytest.importorskip("tinygrad_bp.ops.gamma")
mp = pytest.importorskip("mpmath")
INF = np.inf
EPS = float(np.finfo(float).eps)


def gamma_density(a, x):
    return mp.exp((a - 1) * mp.log(x) - x) * mp.rgamma(a)


def beta_density(a, b, x):
    return x ** (a - 1) * (1 - x) ** (b - 1) / mp.beta(a, b)


def psi_step(a, b):
    return mp.psi(0, a + b) - mp.psi(0, a)


def uniform(*ranges):
    return lambda rng, n: [rng.uniform(low, high, n) for low, high in ranges]


def powers(*ranges):
    return lambda rng, n: [10.0 ** rng.uniform(low, high, n) for low, high in ranges]


@pytest.mark.parametrize(
    ("f", "exact", "arguments"),
    [
        (gamma.gamma_density, gamma_density, uniform((0.01, 160.0), (0.01, 690.0))),
        (gamma.gamma_density, gamma_density, powers((-300, 0.3), (-300, 2))),
        (gamma.beta_density, beta_density, uniform((0.01, 3.0), (0.01, 3.0), (0.0, 1.0))),
        (gamma.beta_density, beta_density, uniform((3.0, 79.0), (3.0, 79.0), (0.3, 0.7))),
        (gamma.beta_density, beta_density, powers((-3, 0.1), (-3, 2), (-300, -1))),
        (gamma.psi_step, psi_step, powers((-2, 2), (-2, 2))),
        (gamma.psi_step, psi_step, uniform((1.4, 1.5), (0.001, 0.05))),  # ψ is 0 between
        (gamma.psi_step, psi_step, powers((1.01, 8), (-10, 8))),
        (gamma.psi_step, psi_step, powers((-3, 3), (-20, -3))),
        (gamma.psi_step, psi_step, lambda rng, n: [a := 10.0 ** rng.uniform(0, 4, n), -a * rng.uniform(0, 0.99, n)]),
        (gamma._sine, lambda x: mp.sinpi(x) / mp.pi, lambda rng, n: [rng.integers(-9, 9, n) + 10.0 ** rng.uniform(-15, -1, n)]),
    ],
)  # fmt: skip
def test_right_to_8_eps(f, exact, arguments):
    arrays = arguments(np.random.default_rng(0), 120)
    with mp.workdps(80):
        for found, *at in zip(f(*arrays), *arrays):
            wanted = exact(*map(mp.mpf, at))
            error = abs(mp.mpf(float(found)) - wanted)
            assert error <= 8 * EPS * abs(wanted) + 4 * np.finfo(float).tiny, at


EVERY_FORM = {
    "gamma_density": (gamma.gamma_density, [0.5, 2.0, 20.0, 300.0, 1e6, INF], [0.0, 1e-310, 1e-200, 0.7, 15.0, 300.0, 900.0, INF]),
    "beta_density": (gamma.beta_density, [0.0, 0.5, 2.0, 90.0, 1e4], [0.5, 1.0, 100.0], [0.0, 1e-310, 1e-100, 0.3, 1 - 1e-15, 1.0]),
    "psi_step": (gamma.psi_step, [-2.0, -1.5, 0.0, 0.7, 3.0, 30.0, 1e9, INF], [-9.0, -0.3, 0.0, 1e-300, 0.2, 25.0, INF]),
    "rgamma_slope": (lambda x: gamma.rgamma_slope(special.rgamma(x), x), [-3.0, -0.4, 0.3, 0.5, 2.0, 300.0]),
    "beta_slope": (lambda a, b: gamma.beta_slope(special.beta(a, b), a, b), [-2.0, -1.5, 0.5, 2.0], [-1.0, -0.5, 0.0, 1e-300, 0.3, 1e5]),
}  # fmt: skip


@pytest.mark.parametrize("name", EVERY_FORM)
def test_every_form_comes_to_the_elements_that_need_it(name):
    """A whole array, one of one row, scalars among arrays, and none at all: as element by element."""
    f, *values = EVERY_FORM[name]
    axes = np.meshgrid(*values, indexing="ij", sparse=True)
    whole = f(*axes)
    flat = [a.ravel() for a in np.broadcast_arrays(*axes)]
    one_by_one = [f(*(np.float64(v) for v in at)) for at in zip(*flat)]
    assert all(isinstance(y, np.float64) for y in one_by_one)
    same = {"rtol": 4 * EPS, "equal_nan": True}  # loops over vectors round otherwise
    np.testing.assert_allclose(whole.ravel(), one_by_one, **same)
    np.testing.assert_allclose(f(*flat), one_by_one, **same)
    for i, v in enumerate(values[0]):
        np.testing.assert_allclose(np.squeeze(f(np.float64(v), *axes[1:])), whole[i], **same)
    assert f(*(np.zeros((0, 3)) for _ in axes)).shape == (0, 3)


def second(f, i, j, *args):
    """∂²f/∂xᵢ∂xⱼ: the derivative in xⱼ of that in xᵢ."""
    first = bp.grad(f, i)
    return bp.grad(lambda *xs: first(*xs), j)(*args)


@pytest.mark.parametrize(
    ("a", "b", "x", "slope", "curvature"),
    [
        (1.0, 1.0, 0.0, 1.0, 0.0), (1.0, 1.0, 1 - EPS, 1.0, 0.0), (2.0, 1.0, 0.0, 0.0, 2.0), (2.0, 1.0, 1.0, 2.0, 2.0),
        (1.0, 2.0, 0.0, 2.0, -2.0), (1.0, 2.0, 1.0, 0.0, -2.0), (1.0, 2.0, 1e-300, 2.0, -2.0), (1.0, 2.0, 5e-324, 2.0, -2.0),
        (2.0, 3.0, 0.0, 0.0, 12.0), (2.0, 3.0, 1e-300, 1.2e-299, 12.0), (2.0, 3.0, 5e-324, 6e-323, 12.0), (3.0, 2.0, 1.0, 0.0, -12.0),
        (0.5, 0.5, 0.0, INF, -INF), (0.5, 0.5, 1.0, INF, INF), (1.5, 1.5, 0.0, 0.0, INF), (1.5, 1.5, 1.0, 0.0, -INF),
        (1e3, 1e3, 0.0, 0.0, 0.0), (1e3, 1e3, 1.0, 0.0, 0.0), (2.0, 200.0, 1e-300, 40200e-300, 40200.0),
    ],
)  # fmt: skip
def test_the_incomplete_beta_function_at_its_ends(a, b, x, slope, curvature):
    np.testing.assert_allclose(bp.grad(special.betainc, 2)(a, b, x), slope, rtol=1e-12, atol=1e-322)
    np.testing.assert_allclose(second(special.betainc, 2, 2, a, b, x), curvature, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("a", "x", "slope", "curvature"),
    [
        (0.5, 0.0, INF, -INF), (1.0, 0.0, 1.0, -1.0), (1.5, 0.0, 0.0, INF), (2.0, 0.0, 0.0, 1.0), (3.0, 0.0, 0.0, 0.0),
        (1.0, 5e-324, 1.0, -1.0), (2.0, 5e-324, 5e-324, 1.0), (2.0, 1e-300, 1e-300, 1.0), (2.0, 1.0, np.exp(-1), 0.0),
        (20.0, 1e-300, 0.0, 0.0), (2.0, 1e3, 0.0, 0.0), (2.0, INF, 0.0, 0.0), (INF, 2.0, 0.0, 0.0),
    ],
)  # fmt: skip
def test_the_incomplete_gamma_function_at_its_ends(a, x, slope, curvature):
    for f, sign in ((special.gammainc, 1), (special.gammaincc, -1)):
        np.testing.assert_allclose(bp.grad(f, 1)(a, x), sign * slope, rtol=4 * EPS)
        np.testing.assert_allclose(second(f, 1, 1, a, x), sign * curvature, rtol=4 * EPS)


@pytest.mark.parametrize(
    ("a", "b", "x"), [(0.5, 1e-300, 1e-300), (1.0, 1e-200, 1e-230), (1e-300, 0.5, 1.0 - EPS)]
)
def test_the_incomplete_beta_function_where_factors_underflow(a, b, x):
    with mp.workdps(60):
        wanted = float(beta_density(*map(mp.mpf, (a, b, x))))
    np.testing.assert_allclose(bp.grad(special.betainc, 2)(a, b, x), wanted, rtol=1e-12)


@pytest.mark.parametrize("low", [1e-3, 1.0, 10.0, 160.0, 1e4, 1e7])
def test_the_incomplete_gamma_function_once_in_each(low):
    """x⁻¹xᵃe⁻ˣ (log x − ψ(a))/Γ(a): around x = a, where log x − ψ(a) is small, and beyond."""
    rng = np.random.default_rng(0)
    a = low * rng.uniform(1, 9, 40)
    x = a + np.sqrt(a) * rng.uniform(0.1, 2, 40) + (a < 1) * rng.uniform(1, 500, 40)
    with mp.workdps(60):
        pairs = [(mp.mpf(float(p)), mp.mpf(float(q))) for p, q in zip(a, x)]
        wanted = [float(gamma_density(p, q) * (mp.log(q) - mp.psi(0, p))) for p, q in pairs]
    in_x, in_a = (bp.elementwise_grad(special.gammainc, i) for i in (1, 0))
    np.testing.assert_allclose(bp.elementwise_grad(in_x, 0)(a, x), wanted, rtol=4e-15)
    np.testing.assert_allclose(bp.elementwise_grad(in_a, 1)(a, x), wanted, rtol=4e-15 if low >= 1 else 1e-11)


@pytest.mark.parametrize("a", [0.0, 5e-324, 1e-310, 1e-300])
def test_the_incomplete_gamma_function_once_in_each_where_a_tends_to_0(a):
    found = [second(special.gammainc, i, 1 - i, a, 2.0) for i in (0, 1)]
    np.testing.assert_allclose(found, np.exp(-2) / 2, rtol=1e-14)


@pytest.mark.parametrize(
    ("a", "b", "cancels"),
    [
        (0.7, 2.5, 0), (30.0, 20.0, 0), (1e4, 0.5, 0), (0.5, -0.5, 0), (0.5, -1.5, 0), (-0.3, -0.7, 0), (-1.5, 2.5, 0),
        (2.0, 1e-12, 0), (1e-12, 2.0, 0), (2.0, 1e-20, 0), (1e-20, 0.5, 0), (1e-5, -1e-5, EPS), (1e-8, 1e-8, EPS),
    ],
)  # fmt: skip
def test_the_beta_function_twice(a, b, cancels):
    """By mpmath's differences of Γ(a)Γ(b)/Γ(a + b); where both tend to 0 the largest derivative has all digits."""
    with mp.workdps(150):
        f = lambda a, b: mp.gamma(a) * mp.gamma(b) * mp.rgamma(a + b)
        at = mp.mpf(a), mp.mpf(b)
        aa, ab, bb = (float(mp.diff(f, at, n, h=mp.mpf(10) ** -60)) for n in ((2, 0), (1, 1), (0, 2)))
    found = [[second(special.beta, i, j, a, b) for j in (0, 1)] for i in (0, 1)]
    np.testing.assert_allclose(found, [[aa, ab], [ab, bb]], rtol=1e-9, atol=cancels * max(abs(aa), abs(bb)))


@pytest.mark.parametrize("x", [-200.5, -7.0, -3.0, -1.5, -1e-9, 0.0, 0.3, 0.5, 1.0, 30.5, 160.0])
def test_the_reciprocal_of_the_gamma_function_twice(x):
    with mp.workdps(60):
        exact = [float(mp.diff(mp.rgamma, mp.mpf(x), n)) for n in (1, 2)]
    np.testing.assert_allclose(bp.grad(special.rgamma)(x), exact[0], rtol=1e-14)
    np.testing.assert_allclose(bp.grad(bp.grad(special.rgamma))(x), exact[1], rtol=1e-12)


def scaled_bessel(f, sign, v, z, n):
    """The n-th derivative of y = e^∓z f_v(z), by y′ = ±(½ (y_{v−1} + y_{v+1}) − y)."""
    if n == 0:
        return f(v, z) * mp.exp(-sign * z)
    below, here, above = (scaled_bessel(f, sign, v + i, z, n - 1) for i in (-1, 0, 1))
    return sign * ((below + above) / 2 - here)


@pytest.mark.parametrize(
    ("f", "exact", "sign"), [(special.ive, mp.besseli, 1), (special.kve, mp.besselk, -1)]
)
@pytest.mark.parametrize(("v", "z"), [(0.0, 51.0), (1.0, 60.0), (2.5, 1e3), (9.0, 85.0)])
def test_scaled_bessel_functions_far_out_twice(f, exact, sign, v, z):
    g = lambda t: f(v, t)
    for n, rtol in enumerate((1e-14, 1e-13, 1e-12), 1):
        g = bp.grad(g)
        with mp.workdps(40):
            wanted = float(scaled_bessel(exact, sign, mp.mpf(v), mp.mpf(z), n))
        np.testing.assert_allclose(g(z), wanted, rtol=rtol)


def test_the_order_stays_without_a_rule_in_the_next_derivative():
    with pytest.raises(bp.NotDifferentiable, match="no derivative is known in the order"):
        second(special.ive, 1, 0, 1.0, 60.0)


def test_compiled_as_traced():
    x = np.linspace(0.2, 3.0, 9)
    f = lambda x: np.sum(
        special.gammainc(2.0, x)
        + special.betainc(2.0, 3.0, x / 4)
        + special.rgamma(x)
        + special.ive(1, 30 * x)
    )
    g = bp.compile(bp.grad(lambda x: f(x) + np.sum(special.beta(x, x[::-1]))))
    plain = bp.grad(lambda x: f(x) + np.sum(special.beta(x, x[::-1])))
    for y in (x, x, x + 0.1, 20 * x / 4):
        np.testing.assert_allclose(g(y), plain(y), rtol=1e-14)
    ones = np.ones_like(x)
    np.testing.assert_allclose(bp.hvp(f, x, ones), bp.jvp(bp.grad(f), (x,), (ones,))[1], rtol=1e-12)


@pytest.mark.parametrize("x", [np.float64(1.5), np.array(1.5), np.array(1.5, np.float32)])
def test_compiled_for_one_number(x):
    f = bp.value_and_grad(lambda x: special.beta(x, 2.5) + special.rgamma(x) + special.gammainc(2.5, x))
    g = bp.compile(f)
    for _ in range(4):
        np.testing.assert_allclose(g(x), f(x), rtol=4 * EPS)
