"""scipy.special at the ends of the floats: ±1e308, subnormals, ±∞, 0 and NaN, in every dtype.

The oracle is mpmath: derivatives written down in as many digits as it takes, and limits at 0 and ±∞ by hand.
Where SciPy's own value is NaN the gradient must be, too; in halves and singles it is that of doubles.
"""

import functools
import itertools

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.primitive import REGISTRY, Op

from ..test_numerical_safety import EVERY_DTYPE, ends

special = pytest.importorskip("scipy.special")
pytest.importorskip("tinygrad_bp.ops.special")  # now: what a test declares is undone after it
rules = pytest.importorskip("tinygrad_bp.ops.doubles")
mp = pytest.importorskip("mpmath")
INF, NAN, PI = mp.inf, mp.nan, mp.pi

UFUNCS = [
    f
    for f, op in REGISTRY.items()
    if type(op) is Op and isinstance(f, np.ufunc) and getattr(special, f.__name__, None) is f
]
EVERY_UFUNC = pytest.mark.parametrize("f", UFUNCS, ids=lambda f: f.__name__)
ORDERS = {"hyp0f1": [(1.5,)], "hyp1f1": [(1.5, 2.5)], "hyp2f1": [(1.5, 2.5, 3.0)]}
ORDERS["betainc"] = [(1.0, 1.0), (0.5, 3.0), (1000.0, 1000.0), (0.0, 2.0)]
RAISE = {rules._order, rules._parameter}


def is_result(y):
    return y if isinstance(y, tuple) else (y,)


def calls(f, dtype):
    """(constants, variables) for each call of f at the ends of the dtype."""
    constants = sum(rule in RAISE for rule in REGISTRY[f].rules)
    if constants:
        given = ORDERS.get(f.__name__, [(v,) for v in (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0)])
        orders = [tuple(map(int if f in (special.yn, special.kn) else dtype, order)) for order in given]
        x = ends(dtype)
        x = x[~(x > 60000)] if f is special.hyp1f1 else x  # SciPy's own sum takes minutes there
        return [(order, [x]) for order in orders]
    x = ends(dtype)
    return [((), [x] if f.nin == 1 else [a.ravel() for a in np.meshgrid(x, x, indexing="ij")])]


def differentiated(f, constants, arrays, part=None):
    """(value, gradients): backward runs where NumPy raises at anything it could warn of."""
    tensors = [bp.Tensor(a, requires_grad=True) for a in arrays]
    with np.errstate(all="ignore"):
        y = f(*constants, *tensors)
    y = y if part is None else y[part]
    with np.errstate(all="raise"):
        y.backward(np.ones(y.shape, y.dtype))
    return y.data, [t.grad for t in tensors]


def parts(f):
    return [None] if f.nout == 1 else range(f.nout)


@EVERY_DTYPE
@EVERY_UFUNC
def test_in_silence_and_nan_where_the_value_is(f, dtype, recwarn):
    """No warning, no lost dtype; of halves and singles the gradient is that of the same doubles, rounded."""
    for (constants, arrays), part in itertools.product(calls(f, dtype), parts(f)):
        y, gradients = differentiated(f, constants, arrays, part)
        assert not recwarn.list
        assert all(g.dtype == dtype for g in gradients)
        assert all(np.all(np.isnan(g[np.isnan(y)])) for g in gradients)
        if dtype is np.float64:
            continue
        wide = [np.float64(v) if isinstance(v, np.floating) else v for v in constants]
        exact_y, exact = differentiated(f, wide, [a.astype(np.float64) for a in arrays], part)
        known = ~np.isnan(y) & ~np.isnan(exact_y)
        if y.dtype.kind == "c":  # a slope that overflows to ∞ + i at the pole has no products
            known &= np.abs(arrays[0]) > 1e-4
        with np.errstate(over="ignore", under="ignore"):
            for found, wanted in zip(gradients, exact):
                np.testing.assert_allclose(
                    found[known].astype(np.float64), wanted.astype(dtype)[known].astype(np.float64),
                    rtol=4 * float(np.finfo(dtype).eps), atol=float(np.finfo(dtype).tiny) + LOSS.get(f.__name__, 0) * float(np.finfo(dtype).eps),
                )  # fmt: skip


LOSS = {"expm1": 1.0}
"""Absolute errors, in eps: y + 1 is rounded where y is nearly −1."""


# ---- one argument: f′ as mpmath has it -------------------------------------------------------------------


def exp(x):
    """eˣ, of which numbers beyond all floats are 0 or ∞."""
    return mp.mpf(0) if x < -(10**4) else INF if x > 10**4 else mp.exp(x)


def psi(x, n=0):
    return mp.psi(n, x) if x > 0 or x != mp.floor(x) else (NAN if n % 2 == 0 else INF)


def rgamma(x):
    """(1/Γ)′, (−1)ⁿ n! at −n."""
    if x <= 0 and x == mp.floor(x):
        return INF if x < -(10**4) else (-1) ** int(-x) * mp.factorial(-x)
    return mp.mpf(0) if x > 10**4 else -mp.psi(0, x) * mp.rgamma(x)


def gamma(x):
    return INF if x > 10**4 else mp.mpf(0) if x < -(10**4) else mp.psi(0, x) * mp.gamma(x)


def erfcx(x):
    if x < -100:
        return -INF
    far = -(1 - 3 / (2 * x * x)) / (mp.sqrt(PI) * x * x)
    return far if x > 10**6 else 2 * x * mp.exp(x * x) * mp.erfc(x) - 2 / mp.sqrt(PI)


def dawsn(x):
    far = -(1 + 3 / (2 * x * x)) / (2 * x * x)
    return far if abs(x) > 10**6 else 1 - x * mp.sqrt(PI) * mp.exp(-x * x) * mp.erfi(x)


def log_ndtr(x):
    far = -x - 1 / x
    return (
        far
        if x < -(10**6)
        else mp.mpf(0)
        if x > 150
        else mp.exp(-x * x / 2) * mp.sqrt(2 / PI) / mp.erfc(-x / mp.sqrt(2))
    )


def at_quantile(p, start, f):
    """e^y² where erfc y = p."""
    if p == 1:
        return mp.mpf(1)
    y = mp.findroot(lambda y: mp.log(mp.erfc(y)) - mp.log(p), float(start), tol=1e-60, verify=False)
    return mp.exp(y * y)


def of_tail(p):
    return at_quantile(p, special.erfcinv(max(float(p), 1e-300)), None)


def bessel(n, f, x):
    """f_n of a scaled Bessel function, by Hankel's expansion far out."""
    if abs(x) < 1000:
        return f(n, x) * (mp.exp(x) if f is mp.besselk else mp.exp(-x))
    sign, term, total = (1 if f is mp.besselk else -1), mp.mpf(1), mp.mpf(1)
    for k in range(1, 40):
        term *= sign * (4 * n * n - (2 * k - 1) ** 2) / (8 * k * x)
        total += term
    return total * (mp.sqrt(PI / (2 * x)) if f is mp.besselk else 1 / mp.sqrt(2 * PI * x))


def scaled(n, f, x, sign=1):
    """The derivative of e^−x I_n(x) for x > 0, and of e^x K_n(x)."""
    with mp.workdps(60 if abs(x) < 10**20 else 700):
        if f is mp.besseli:
            z = abs(x)
            slope = (bessel(abs(n - 1), f, z) + bessel(n + 1, f, z)) / 2 - bessel(n, f, z)
            return slope * (1 if n % 2 else mp.sign(x))
        return -(bessel(abs(n - 1), f, x) + bessel(n + 1, f, x)) / 2 + bessel(n, f, x)


def cylinder(f, x):
    return INF if f is mp.besseli and abs(x) > 10**4 else mp.mpf(0) if f is mp.besselk and x > 10**4 else None


def plain(n, f, second, x):
    """½ (f_{n−1} ± f_{n+1}), the derivative of f_n."""
    end = cylinder(f, x)
    if end is not None:
        return end * (mp.sign(x) if f is mp.besseli and n == 0 else 1)
    return (f(n - 1, x) * (-1 if f is mp.besselk else 1) + second * f(n + 1, x)) / 2


ROOT_2_PI = mp.sqrt(2 * PI)
ONE = {  # name: (f′ at a finite x other than 0, f′ at 0, at ∞, at −∞), None: where the value is NaN
    "rgamma": (rgamma, 1, 0, NAN),
    "gamma": (gamma, -INF, INF, None),
    "gammaln": (psi, -INF, INF, NAN),
    "loggamma": (psi, -INF, INF, None),
    "psi": (lambda x: psi(x, 1), INF, 0, None),
    "erf": (lambda x: 2 / mp.sqrt(PI) * exp(-x * x), 2 / mp.sqrt(PI), 0, 0),
    "erfc": (lambda x: -2 / mp.sqrt(PI) * exp(-x * x), -2 / mp.sqrt(PI), 0, 0),
    "erfi": (lambda x: 2 / mp.sqrt(PI) * exp(x * x), 2 / mp.sqrt(PI), INF, INF),
    "erfcx": (erfcx, -2 / mp.sqrt(PI), 0, -INF),
    "dawsn": (dawsn, 1, 0, 0),
    "erfinv": (lambda p: INF if abs(p) == 1 else mp.sqrt(PI) / 2 * of_tail(1 - abs(p)), mp.sqrt(PI) / 2, None, None),
    "erfcinv": (lambda p: -mp.sqrt(PI) / 2 * of_tail(p), -INF, None, None),
    "ndtri": (lambda p: INF if p == 1 else ROOT_2_PI * of_tail(2 * p), INF, None, None),
    "ndtr": (lambda x: exp(-x * x / 2) / ROOT_2_PI, 1 / ROOT_2_PI, 0, 0),
    "log_ndtr": (log_ndtr, 2 / ROOT_2_PI, 0, INF),
    "exp1": (lambda x: -exp(-x) / x, -INF, 0, None),
    "expi": (lambda x: exp(x) / x, INF, INF, 0),
    "expit": (lambda x: exp(-abs(x)) / (1 + exp(-abs(x))) ** 2, mp.mpf(1) / 4, 0, 0),
    "logit": (lambda x: INF if x == 1 else 1 / (x * (1 - x)), INF, None, None),
    "log_expit": (lambda x: 1 / (1 + exp(x)), mp.mpf(1) / 2, 0, 1),
    "exp2": (lambda x: exp(x * mp.log(2)) * mp.log(2), mp.log(2), INF, 0),
    "exp10": (lambda x: exp(x * mp.log(10)) * mp.log(10), mp.log(10), INF, 0),
    "expm1": (exp, 1, INF, 0),
    "log1p": (lambda x: INF if x == -1 else 1 / (1 + x), 1, 0, None),
    "cosm1": (lambda x: -mp.sin(x), 0, None, None),
    "cbrt": (lambda x: 1 / (3 * mp.cbrt(x * x)), 0, 0, 0),
    "entr": (lambda x: -mp.log(x) - 1 if x > 0 else NAN, INF, -INF, NAN),
    "fresnel": (lambda x: (mp.sin(PI * x * x / 2), mp.cos(PI * x * x / 2)), (0, 1), (NAN, NAN), (NAN, NAN)),
    "sici": (lambda x: (mp.sin(x) / x, mp.cos(x) / x), (1, INF), (0, 0), (0, None)),
    "j0": (lambda x: -mp.besselj(1, x), 0, None, None),
    "j1": (lambda x: plain(1, mp.besselj, -1, x), 0.5, None, None),
    "y0": (lambda x: -mp.bessely(1, x), INF, None, None),
    "y1": (lambda x: plain(1, mp.bessely, -1, x), INF, None, None),
    "i0": (lambda x: plain(0, mp.besseli, 1, x), 0, None, None),
    "i1": (lambda x: plain(1, mp.besseli, 1, x), 0.5, None, None),
    "k0": (lambda x: plain(0, mp.besselk, -1, x), -INF, 0, None),
    "k1": (lambda x: plain(1, mp.besselk, -1, x), -INF, 0, None),
    "i0e": (lambda x: scaled(0, mp.besseli, x), 0, 0, 0),
    "i1e": (lambda x: scaled(1, mp.besseli, x), 0.5, 0, 0),
    "k0e": (lambda x: scaled(0, mp.besselk, x), -INF, 0, None),
    "k1e": (lambda x: scaled(1, mp.besselk, x), -INF, 0, None),
}  # fmt: skip
EPS = {"erfcx": 30, "dawsn": 30, "rgamma": 60, **dict.fromkeys(["i0e", "i1e", "k0e", "k1e"], 40)}
"""Precision in eps of doubles, where the documentation promises less than 8."""
WAVES = {"j0", "j1", "y0", "y1"}  # SciPy's values lose their phase: 1e-12 up to 1000, and nothing at 1e19
DIGITS = {np.float16: 60, np.float32: 160, np.float64: 700}


def rounded(exact, dtype):
    """An mpmath number in a dtype; ∞ and 0 where it is larger or smaller than all floats."""
    exact = mp.mpf(exact)
    if not mp.isfinite(exact) or exact == 0 or abs(mp.mag(exact)) > 16000:
        return dtype(
            float(exact) if not mp.isfinite(exact) else mp.sign(exact) * (INF if mp.mag(exact) > 0 else 0)
        )
    with np.errstate(over="ignore", under="ignore"):
        return dtype(np.longdouble(mp.nstr(exact, 30)))


def close(found, exact, dtype, multiple=8, absolute=0.0):
    wanted = rounded(exact, dtype)
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_allclose(
            np.longdouble(found), np.longdouble(wanted), atol=2 * float(np.finfo(dtype).tiny) + absolute,
            rtol=multiple * float(np.finfo(dtype).eps),
        )  # fmt: skip


@functools.cache
def exact_slopes(name, x, digits):
    """The slopes of the results of a function of one argument at a finite x."""
    at_x, at_0, *_ = ONE[name]
    with mp.workdps(digits):
        slopes = at_0 if x == 0 else at_x(mp.mpf(x))
    return slopes if isinstance(slopes, tuple) else (slopes,)


@EVERY_DTYPE
@pytest.mark.parametrize("name", ONE)
def test_functions_of_one_argument(name, dtype):
    f, x = getattr(special, name), ends(dtype)
    x = x[~np.isnan(x) & ~((x == 0) & np.signbit(x))]
    loses_phase = name in WAVES and dtype is not np.float16
    x = x[(np.abs(x) < 1e6) | np.isinf(x)] if loses_phase else x
    slow = name in {"k0", "k1", "k0e", "k1e", "i0e", "i1e", "gamma", "erfcinv", "ndtri", "erfinv", *WAVES}
    for part in parts(f):
        y, (gradient,) = differentiated(f, (), [x], part)
        for value, found, at in zip(y, gradient, x.tolist()):
            if np.isnan(value) or (np.isinf(value) and name in {"erfcinv", "k0", "k0e"} and at != 0):
                continue  # the other test knows NaN; these call ∞ what is not
            if np.isinf(at):
                exact = ONE[name][2 if at > 0 else 3]
                exact = exact[part] if isinstance(exact, tuple) else exact
            else:
                exact = exact_slopes(name, at, 80 if slow else DIGITS[dtype])[part or 0]
            multiple = EPS.get(name, 8) if dtype is np.float64 else 8
            absolute = 2e-12 * abs(value) if name in WAVES else 1e-15 if name == "fresnel" else 0.0
            close(found, exact, dtype, multiple, absolute + LOSS.get(name, 0) * float(np.finfo(dtype).eps))


def test_a_negative_zero_is_the_left_side_of_a_pole():
    for f in (special.gamma, special.gammaln, special.loggamma, special.expi):
        with np.errstate(all="ignore"):
            left, right = (bp.elementwise_grad(f)(np.array([x]))[0] for x in (-0.0, 0.0))
        assert np.isinf(left)
        assert np.isinf(right)
        assert (left == right) == (f is special.gamma)


# ---- two arguments ---------------------------------------------------------------------------------------


def is_pole(x):
    return x <= 0 and x == mp.floor(x)


def remembered(f):
    """f of one number, whose value to so many digits is asked for again and again."""
    values = functools.cache(lambda x, digits: f(x))
    return lambda x: values(x, mp.mp.dps)


digamma = remembered(lambda x: mp.psi(0, x))
loggamma = remembered(mp.loggamma)


def beta_slope(a, b):
    """∂B/∂a; None at ∞ and 0, where the value is no number."""
    if mp.isinf(a) or mp.isinf(b) or a == 0 or b == 0:
        return None
    if is_pole(a) or is_pole(b):
        return NAN
    if max(abs(a), abs(b)) > 10**6:
        if min(a, b) < 0:
            return None
        log = loggamma(a) + loggamma(b) - loggamma(a + b)
        return exp(log) * (digamma(a) - digamma(a + b))
    if is_pole(a + b):
        return mp.gamma(a) * mp.gamma(b) * rgamma(a + b)
    return mp.beta(a, b) * (digamma(a) - digamma(a + b))


def betaln_slope(a, b):
    if mp.isinf(a) or mp.isinf(b) or a == 0 or b == 0:
        return None
    if is_pole(a) or is_pole(b):
        return NAN
    return None if is_pole(a + b) else digamma(a) - digamma(a + b)


def poch_slope(a, m):
    if max(abs(a), abs(m)) > 10**4 or is_pole(a + m):
        return m * mp.power(a, m - 1) if 10**6 < a < INF and abs(m) < 10 else None
    if is_pole(a):
        return mp.gamma(a + m) * rgamma(a)
    return mp.gamma(a + m) * mp.rgamma(a) * (digamma(a + m) - digamma(a))


def gamma_density(a, x):
    if a < 0 or x < 0 or mp.isinf(a) or mp.isinf(x) or a == 0:
        return None
    if x == 0:
        return mp.mpf(0) if a > 1 else mp.mpf(1) if a == 1 else INF
    with mp.workdps(700 if a > 10**20 else 60):
        return exp((a - 1) * mp.log(x) - x - mp.loggamma(a))


def gammainc_slope(a, x):
    """∂P/∂a = e^−x Σ xᵃ⁺ⁿ (log x − ψ(a + n + 1))/Γ(a + n + 1); at a = x > 10⁴ to O(1/a)."""
    if a < 0 or x < 0 or a == 0:
        return None
    if x == 0 or mp.isinf(a) or mp.isinf(x) or (a != x and max(a, x) > 10**4):
        return mp.mpf(0)
    if a == x and a > 10**4:
        return -1 / mp.sqrt(2 * PI * a)
    with mp.workdps(60 + int(x / 2)):
        log, term, digamma = mp.log(x), mp.rgamma(a + 1), mp.psi(0, a + 1)
        total, n = mp.mpf(0), 0
        while n <= x or abs(term) > mp.mpf(10) ** -mp.mp.dps * abs(total):
            total += term * (log - digamma)
            n += 1
            digamma, term = digamma + 1 / (a + n), term * x / (a + n)
        return mp.exp(a * log - x) * total


def inside(f):
    """f where both arguments are positive and finite, None elsewhere."""
    return lambda a, b: f(a, b) if 0 < a < INF and 0 < b < INF else None


TWO = {  # name: ∂f/∂a, ∂f/∂b; None where there is nothing to compare
    "beta": (beta_slope, lambda a, b: beta_slope(b, a)),
    "betaln": (betaln_slope, lambda a, b: betaln_slope(b, a)),
    "poch": (poch_slope, lambda a, m: None),
    "gammainc": (gammainc_slope, gamma_density),
    "xlogy": (inside(lambda a, b: mp.log(b)), inside(lambda a, b: a / b)),
    "xlog1py": (inside(lambda a, b: mp.log1p(b)), inside(lambda a, b: a / (1 + b))),
    "rel_entr": (inside(lambda a, b: mp.log(a / b) + 1), inside(lambda a, b: -a / b)),
    "kl_div": (inside(lambda a, b: mp.log(a / b)), inside(lambda a, b: 1 - a / b)),
}
RELATIVE = {"gammainc": 1e-12, "beta": 3e-12, "poch": 3e-12}
"""Of doubles: the quadrature's promise; and a product with SciPy's value is no better than that."""


@EVERY_DTYPE
@pytest.mark.parametrize("name", TWO)
def test_functions_of_two_arguments(name, dtype):
    f, x = getattr(special, name), ends(dtype)
    kind = np.finfo(dtype)
    x = x[~np.isnan(x) & ~((x == 0) & np.signbit(x)) & ~((x < 0) & (np.abs(x) > 2) & np.isfinite(x))]
    arrays = [a.ravel() for a in np.meshgrid(x, x, indexing="ij")]
    y, gradients = differentiated(f, (), arrays)
    with mp.workdps(DIGITS[dtype] if name in ("beta", "betaln", "poch") else 60):
        for i, slope in enumerate(TWO[name]):
            for value, found, a, b in zip(y, gradients[i], *(v.tolist() for v in arrays)):
                exact = None if np.isnan(value) else slope(mp.mpf(a), mp.mpf(b))
                if exact is None or (name == "poch" and 0 < abs(a) < float(kind.eps) and b < 0):
                    continue  # (a)ₘ near a pole of Γ(a + m)
                relative = RELATIVE.get(name, 0) if dtype is np.float64 else 0
                close(found, exact, dtype, 8 + relative / float(kind.eps))


@pytest.mark.parametrize(("a", "b", "x"), [(1e4, 1e4, 0.5), (1e6, 0.5, 0.999999), (1e12, 2e12, 1 / 3), (0.5, 0.5, 1e-300)])  # fmt: skip
def test_betainc_of_large_parameters(a, b, x):
    """The logarithms cancel in hundreds of digits only; x counts as the float that it is."""
    with mp.workdps(60):
        log = (
            (mp.mpf(a) - 1) * mp.log(x) + (mp.mpf(b) - 1) * mp.log1p(-mp.mpf(x)) + mp.loggamma(mp.mpf(a) + b)
        )
        exact = mp.exp(log - mp.loggamma(a) - mp.loggamma(b))
    np.testing.assert_allclose(
        bp.grad(special.betainc, 2)(a, b, x), float(exact), rtol=1e-10 if a < 1e10 else 1e-3
    )


@pytest.mark.parametrize("a", [0.5, 3.0, 1e3, 1e8, 1e16, 1e300])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_quantiles_undo_the_distribution(a, p):
    """P(a, x(a, p)) = p: it varies with p as p does, and not with a."""
    for f, inverse in [(special.gammainc, special.gammaincinv), (special.gammaincc, special.gammainccinv)]:
        in_a, in_p = bp.grad(lambda a, p, f=f, x=inverse: f(a, x(a, p)), (0, 1))(a, p)
        np.testing.assert_allclose(in_p, 1.0, rtol=1e-10)
        np.testing.assert_allclose(in_a, 0.0, atol=1e-11 / np.sqrt(a))
        np.testing.assert_allclose(bp.grad(inverse)(a, p), 1.0, atol=1.1 / np.sqrt(min(a, 1e3)))


BESSEL = {
    "jv": mp.besselj, "yv": mp.bessely, "iv": mp.besseli, "kv": mp.besselk, "jve": mp.besselj, "yve": mp.bessely,
    "yn": mp.bessely, "kn": mp.besselk, "ive": lambda v, z: mp.besseli(v, z) * mp.exp(-z),
    "kve": lambda v, z: mp.besselk(v, z) * mp.exp(z), "hankel1": mp.besselj, "hankel2": mp.besselj,
}  # fmt: skip


@EVERY_DTYPE
@pytest.mark.parametrize("name", BESSEL)
def test_bessel_functions_of_any_order(name, dtype):
    """Against differences in 40 digits; the gradient of a Hankel function is that of its real part."""
    f, of_integers = getattr(special, name), name in ("yn", "kn")
    for v in (-1, 0, 2) if of_integers else (-1.0, -0.5, 0.0, 0.5, 2.0):
        z = np.array([0.01, 0.5, 3.0, 60.0, 500.0], dtype)
        y, (gradient,) = differentiated(f, (v if of_integers else dtype(v),), [z])
        with mp.workdps(40):
            for value, found, at in zip(y, gradient, z.tolist()):
                absolute = 2e-12 * abs(value) if "k" not in name[:1] and name not in ("iv", "ive") else 0.0
                exact = mp.diff(lambda t, v=v: BESSEL[name](v, t), at)
                close(
                    found,
                    exact,
                    dtype,
                    120 if dtype is np.float64 else 8,
                    absolute if np.isfinite(value) else 0.0,
                )
