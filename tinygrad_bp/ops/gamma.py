"""The gamma function's family: what the derivatives of Γ, of B and of the incomplete ones are made of.

The one idea: a derivative is taken in the form in which nothing cancels there, and no form where another one
stands. So most of this are primitives, which see plain numbers: the form that nearly always holds is computed
for all of them, and another only for those that need it (`_at`). Their own rules are the next order. Those of
`rgamma_slope` and `beta_slope` differentiate y along with the rest, as the value that it is. Read `indexing.py` next.
"""

import math

import numpy as np
from scipy import special
from scipy.special import gammaln, psi, xlogy

from ..primitive import defvjp, nondifferentiable, primitive
from .doubles import _at, _double, _no_rule, _parameter, in_double

ROOT_2PI = math.sqrt(2 * math.pi)
IN_PSI = [1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12]  # B₂ₖ/2k, Bernoulli's numbers
IN_LOG_GAMMA = [c / (2 * k + 1) for k, c in enumerate(IN_PSI)]


@primitive
def polygamma(n, x):
    """ψ⁽ⁿ⁾(x) for an integer n ≥ 0 and real x: the n-th derivative of ψ, which is that of log Γ."""
    if x.dtype.kind == "c":
        raise _no_rule("of ψ at complex numbers, which SciPy does not compute")
    return np.asarray(special.polygamma(n, x), x.dtype)[()]


def _ratio(x, y):
    """x/y, and 0 at (0, 0)."""
    return x / np.where((x == 0) & (y == 0), 1.0, y)


def _log_ratio(a, b):
    """log(a/b), also where a/b over- or underflows and log a − log b does not, or is nearly 1."""
    ratio = a / b
    fits, gap = (ratio > 0) & np.isfinite(ratio), np.where(np.abs(ratio - 1) < 0.5, a - b, 0.0)
    log = np.where(fits, np.log(np.where(fits, ratio, 1.0)), np.log(a) - np.log(b))
    return np.where(gap != 0, np.log1p(gap / b), log)


def _is_pole(x):
    """Is x a pole of Γ but 0, where Γ has a sign?"""
    return (x < 0) & (x == np.floor(x))


def _sine(x):
    """sin πx/π, precise also for large and tiny x and near integers."""
    n = np.round(x)
    return (1 - 2 * np.abs(n - 2 * np.round(n / 2))) * np.sin(np.pi * (x - n)) / np.pi


def _cosine(x):
    """cos πx."""
    return np.cos(np.pi * (x - 2 * np.round(x / 2)))


@primitive
def rgamma_slope(y, x):
    """−ψ/Γ for y = 1/Γ(x); left of ½ by the reflection y = Γ(1 − x) sin πx/π (DLMF 5.5.3), which has no poles."""
    with np.errstate(all="ignore"):
        slope = np.asarray(-y * psi(np.maximum(x, 0.5)))
        rest = np.logical_not((x >= 0.5) & (y != 0))
        if rest.any():
            slope[rest] = _reflected(*_at(rest, x))
        return slope[()]


def _reflected(x):
    left = np.where(x < 0.5, x, 0.0)
    slope = special.gamma(1 - left) * (_cosine(left) - psi(1 - left) * _sine(left))
    return np.where(x < 0.5, slope, np.where(np.isnan(x), x, 0.0))


def _rgamma_curvature(g, _slope, y, x):
    """(ψ² − ψ′)/Γ, and the same by reflection."""
    left = np.where(x < 0.5, x, 0.0)
    digamma = psi(1 - left)
    wave = (digamma * digamma + polygamma(1, 1 - left) - np.pi**2) * _sine(left) - 2 * digamma * _cosine(left)
    right = np.where(y == 0, 0.0, y * (psi(x) ** 2 - polygamma(1, x)))
    return g * np.where(x < 0.5, special.gamma(1 - left) * wave, right)


@primitive
def psi_step(a, b):
    """ψ(a + b) − ψ(a) for real numbers, as precise for a tiny b as for others, where digits would cancel."""
    with np.errstate(all="ignore"):
        w, start = a + b, psi(a)
        step = np.asarray(psi(w) - start)
        clear = (a > 0) & (4 * b >= a) & (1.5 * np.abs(step) >= np.abs(start))
        if not clear.all():
            right, far = (a > 0) & (w > 0), (a > 10) & (w > 10)
            parts = (far, _far_psi_step), (right & ~far, _near_psi_step), (~right, _left_psi_step)
            for places, f in ((~clear & part, f) for part, f in parts):
                if places.any():
                    step[places] = f(*_at(places, a, b, step))
        return step[()]


def _far_psi_step(a, b, _step=None):
    """By the asymptotic series (DLMF 5.11.2), of whose terms the differences are taken."""
    w = a + b
    u, v, value, slope = 1 / a / a, 1 / w / w, 0.0, 0.0
    for c in IN_PSI[::-1]:
        value, slope = value * u + c, slope * v + value
    return np.log1p(b / a) + b / w / a * (0.5 + (1 / a + 1 / w) * (value + slope * v))


def _near_psi_step(a, b, _step=None):
    """By the recurrence (DLMF 5.5.2)."""
    step = _far_psi_step(a + 10, b)
    for k in range(10):
        step = step + b / (a + b + k) / (a + k)
    return np.where(np.isinf(b) & np.isfinite(a), b, step)


def _left_psi_step(a, b, step):
    """By reflection (DLMF 5.5.4), where a and a + b are of one sign."""
    w = a + b
    reflected = _sine(b) / _sine(a) / _sine(w) + _near_psi_step(1 - a, -b)
    step = np.where((a < 0) == (w < 0), np.where(a < 0, reflected, _near_psi_step(a, b)), step)
    return np.where(_is_pole(a) | _is_pole(w), np.nan, step)


@primitive
def beta_slope(y, a, b):
    """∂B/∂a = −y (ψ(a + b) − ψ(a)) for y = B(a, b), and its limits where b → 0 and where 1/Γ(a + b) is 0."""
    with np.errstate(all="ignore"):
        slope = np.asarray(-y * psi_step(a, b))
        rest = ~((y != 0) & (b > 1e-290))
        if rest.any():
            slope[rest] = _beta_limit(*_at(rest, y, a, b, slope))
        return slope[()]


def _vanishes(y, a, b):
    """Is 1/Γ(a + b) 0, and Γ(a)Γ(b) finite?"""
    return (y == 0) & ((a + b == 0) | _is_pole(a + b))


def _beta_limit(y, a, b, slope):
    slope = np.where(np.abs(b) < 1e-290, -polygamma(1, a), np.where(y == 0, 0.0, slope))
    slope = np.where(_vanishes(y, a, b), -special.beta(a, 1 - a - b) / _sine(a), slope)
    return np.where(_is_pole(a) | _is_pole(b), np.nan, slope)


def _beta_in_aa(g, slope, y, a, b):
    """y ((ψ(a) − ψ(a + b))² + ψ′(a) − ψ′(a + b)), which is −ψ″(a) where b → 0."""
    inside = y * (polygamma(1, a) - polygamma(1, a + b)) - slope * psi_step(a, b)
    inside = np.where(np.abs(b) < 1e-8 * np.minimum(np.abs(a), 1), -polygamma(2, a), inside)
    return g * _beta_curvature(slope, y, a, b, inside, 2 * (psi(a) - psi(1 - a - b)))


def _beta_in_ab(g, slope, y, a, b):
    """y ((ψ(a) − ψ(a + b)) (ψ(b) − ψ(a + b)) − ψ′(a + b)), and where a or b → 0 that of B − 1/a − 1/b."""
    inside = -slope * psi_step(b, a) - y * polygamma(1, a + b)
    tiny = np.minimum(np.abs(a), np.abs(b)) < 1e-8 * np.minimum(np.maximum(np.abs(a), np.abs(b)), 1)
    c = np.where(np.abs(a) < np.abs(b), b, a)
    inside = np.where(tiny, (psi(c) + np.euler_gamma) * polygamma(1, c) - polygamma(2, c) / 2, inside)
    return g * _beta_curvature(slope, y, a, b, inside, psi(a) + psi(b) - 2 * psi(1 - a - b))


def _beta_curvature(slope, y, a, b, inside, quotient):
    """`inside`, 0 and NaN where the slope is; as a multiple of the slope where 1/Γ(a + b) is 0."""
    return np.where(
        _vanishes(y, a, b), slope * quotient, np.where((slope == 0) | np.isnan(slope), slope, inside)
    )


def _poch_slope(y, a, m):
    """∂(a)ₘ/∂a = (a)ₘ (ψ(a + m) − ψ(a)), and its limits where 1/Γ(a) is 0."""
    zero = (y == 0) & ((np.abs(a) < 1e-290) | _is_pole(a))
    limit = special.gamma(a + m) * rgamma_slope(0.0, a)
    limit = np.where(np.isnan(limit), special.poch(1 - a - m, m) / _sine(m), limit)
    return np.where(zero, limit, y * psi_step(a, m))


def _excess(u):
    """u − log(1 + u) ≥ 0, precise for a small u: with r = u/(2 + u), log(1 + u) = 2 artanh r."""
    r = u / (2 + u)
    series = r * (u - 2 * r * r * np.polyval([1 / n for n in range(23, 2, -2)], r * r))
    return np.where(np.abs(u) < 0.3, series, u - np.log1p(u))


def _series(a, coefficients, exact):
    """(c₀ + c₁/a² + c₂/a⁴ + …)/a, and exact(a) for a < 10."""
    u = 1 / np.where(a < 10, 10.0, a)
    return np.where(a < 10, exact(np.where(a < 10, a, 1.0)), u * np.polyval(coefficients[::-1], u * u))


def _stirling(a):
    """log Γ(a) − Stirling's (a − ½) log a + a − ½ log 2π, for a > 0 (DLMF 5.11.1)."""
    return _series(a, IN_LOG_GAMMA, lambda a: gammaln(a) + a - xlogy(a - 0.5, a) - math.log(ROOT_2PI))


def _log_minus_psi(a):
    """log a − ψ(a) for a > 0 (DLMF 5.11.2)."""
    return _series(a, IN_PSI, lambda a: np.log(a) - psi(a) - 0.5 / a) / np.where(a < 10, 1.0, a) + 0.5 / a


def _deviation(a, m):
    """a log(a/m) + m − a ≥ 0 (Loader, 2000), precise where m is nearly a."""
    return np.where(np.abs(m - a) < 0.3 * a, a * _excess((m - a) / a), m - a - a * _log_ratio(m, a))


@primitive
def gamma_density(a, x):
    """xᵃ⁻¹e⁻ˣ/Γ(a), 0 at infinite a or x; the root of xᵃ, since that may underflow where xᵃ⁻¹ does not."""
    dtype, a, x = np.result_type(a, x), np.asarray(a, np.float64), np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        root = x ** (a / 2)
        density = np.asarray((root * special.rgamma(a) / x) * (root * np.exp(-x)))
        rest = ~((root > 1e-307) & (x < 700) & (a < 160))
        if rest.any():
            density[rest] = _far_gamma_density(*_at(rest, a, x))
        return density.astype(dtype, copy=False)[()]


def _far_gamma_density(a, x):
    """By its logarithm; for a ≥ 10 by the deviation, in which no large exponents cancel."""
    high = np.exp(-_deviation(a, x) - _stirling(a)) * np.sqrt(a / (2 * np.pi)) / np.where(x == 0, 1.0, x)
    density = np.where(a < 10, np.exp(xlogy(a - 1, x) + np.log(a) - x - gammaln(a + 1)), high)
    return np.where(np.isinf(a) | np.isinf(x), 0.0, density)


def _slope_at_end(scale, y, a, rest):
    """The derivative at t = 0 of y = scale tᵃ⁻¹ (1 − rest t + …)."""
    return np.where((a == 1) | (a > 2), 0.0, scale * (a - 1) * np.power(0.0, a - 2)) - np.where(
        a < 1, 0.0, rest * y
    )


def _gamma_density_in_a(g, y, a, x):
    log = (_log_minus_psi(_double(a)) + _log_ratio(_double(x), _double(a))).astype(g.dtype)
    return g * np.where(np.abs(a) < 1e-290, _ratio(np.exp(-x), x), np.where(y == 0, 0.0, y * log))


def _gamma_density_in_x(g, y, a, x):
    inside = np.where(y == 0, 0.0, (a - 1 - x) * y / x)
    return g * np.where(x == 0, _slope_at_end(special.rgamma(a), y, a, 1.0), inside)


@primitive
def beta_density(a, b, x):
    """xᵃ⁻¹(1 − x)ᵇ⁻¹/B(a, b), with what rounding takes from 1 − x and from a + b."""
    dtype, (a, b, x) = np.result_type(a, b, x), (np.asarray(v, np.float64) for v in (a, b, x))
    with np.errstate(all="ignore"):
        n, r = a + b, 1 - x
        scale = special.rgamma(a) * special.gamma(n) * special.rgamma(b)
        scale = scale * (1 + (np.log(n) - 0.5 / n) * ((a - (n - (n - a))) + (b - (n - a))))
        root = x ** (a / 2) * r ** (b / 2)
        density = np.asarray(root / (x * r) * scale * (1 + (b - 1) * ((1 - r - x) / r)) * root)
        rest = ~((root > 0) & ((density < np.inf) & (n < 160)))
        if rest.any():
            density[rest] = _far_beta_density(*_at(rest, a, b, x))
        return density.astype(dtype, copy=False)[()]


def _far_beta_density(a, b, x):
    """Inside by the deviations of (a + b)x from a, and of the rest from b."""
    n = a + b
    inside = (x > 0) & (x < 1) & (a > 0) & (b > 0) & (n < np.inf)
    edge = np.exp(xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - special.betaln(a, b))
    exponent = _stirling(n) - _stirling(a) - _stirling(b) - _deviation(a, n * x) - _deviation(b, n * (1 - x))
    root = np.exp(exponent / 2)
    return np.where(inside, (root * np.sqrt(a / (2 * np.pi * n) * b) / (x * (1 - x))) * root, edge)


def _beta_density_in_x(g, density, a, b, x):
    y, a, b, x = (_double(v) for v in (density, a, b, x))
    end, scale = (x == 0) | (x == 1), 1 / special.beta(a, b)
    at_end = np.where(x == 0, _slope_at_end(scale, y, a, b - 1), -_slope_at_end(scale, y, b, a - 1))
    inside = np.where(y == 0, 0.0, (a - 1) * y / x - (b - 1) * y / (1 - x))
    return g * np.where(end, at_end, inside).astype(g.dtype)


def _nodes():
    """Double-exponential quadrature (Takahasi and Mori, 1974) of what decays like e^−s, s from 0 to ∞."""
    t = np.arange(-3.6, 4.5, 0.125)
    s = np.exp(t - np.exp(-t))
    return list(zip(s, s * (1 + np.exp(-t))))


@primitive
def log_moment(a, x, k):
    """E[(log t − ψ(a))ᵏ; t < x] for t of the gamma distribution a ≥ 1; −E[…; t > x] where x > a + 1.

    Averages over log t = log x + s are quotients, and x − a and s are taken out of their exponents, so
    that no large numbers have to cancel.
    """
    dtype, a, x = np.result_type(a, x), np.asarray(a, np.float64), np.asarray(x, np.float64)
    total = moment = 0.0
    with np.errstate(all="ignore"):
        above = x > a + 1
        step = 1 / np.maximum(np.abs(a - x), np.sqrt(np.maximum(a, x)))
        start = _log_minus_psi(a) + _log_ratio(x, a)
        for node, weight in _nodes():
            # t = x + x·node·step, or xe^(−node·step)
            s = np.where(above, np.log1p(node * step), -node * step)
            density = weight * np.exp((a - x - above) * s - x * _excess(np.expm1(s)))
            total, moment = total + density, moment + density * (start + s) ** k
        tail = np.where(above, -special.gammaincc(a, x), special.gammainc(a, x))
        return np.where(tail == 0, 0.0, tail * (moment / total)).astype(dtype)[()]


def _log_moment_in_a(g, _y, a, x, k):
    """∂p/∂a = p (log t − ψ), and ∂ψ/∂a = ψ′."""
    share = log_moment(a, x, k + 1)
    return g * (share - k * polygamma(1, a) * log_moment(a, x, k - 1)) if k else g * share


def _log_moment_in_x(g, _y, a, x, k):
    b, t = _double(a), _double(x)
    return g * (gamma_density(b, t) * (_log_minus_psi(b) + _log_ratio(t, b)) ** k).astype(g.dtype)


def _gammainc_in_a(_y, a, x):
    """∂P/∂a, 0 at infinite a or x; below a = 1 by P(a, x) = P(a + 1, x) + xᵃe⁻ˣ/Γ(a + 1)."""
    low = np.where(a < 1, a, 0.0)
    step = (a < 1) * (x**low * np.exp(-x) * special.rgamma(low + 1))
    slope = log_moment(a + (a < 1), x, k=1) + xlogy(step, x) - step * psi(low + 1)
    return np.where(np.isinf(a) | np.isinf(x), 0.0, slope)


# fmt: off
defvjp(polygamma,     None, lambda g, _y, n, x: g * polygamma(n + 1, x), broadcasts="elementwise")
defvjp(psi_step,      lambda g, _y, a, b: g * (polygamma(1, a + b) - polygamma(1, a)),
                      lambda g, _y, a, b: g * polygamma(1, a + b), broadcasts="elementwise")
defvjp(rgamma_slope,  None, _rgamma_curvature, broadcasts="elementwise")
defvjp(beta_slope,    None, _beta_in_aa, _beta_in_ab, broadcasts="elementwise")
defvjp(gamma_density, _gamma_density_in_a, _gamma_density_in_x, broadcasts="elementwise")
defvjp(beta_density,  _parameter, _parameter, _beta_density_in_x, broadcasts="elementwise")
defvjp(log_moment,    _log_moment_in_a, _log_moment_in_x, broadcasts="elementwise")

in_double(special.rgamma,   lambda y, x: rgamma_slope(y, x) if x.dtype.kind != "c" else -y * psi(x))
in_double(special.poch,     _poch_slope, lambda y, a, m: np.where(y == 0, 0.0, y * psi(a + m)))
defvjp(special.gamma,       lambda g, y, x: g * (y * psi(x)))
defvjp(gammaln,             lambda g, _y, x: g * psi(x))
in_double(special.loggamma, lambda _y, x: psi(x))
in_double(psi,              lambda _y, x: polygamma(1, x))
in_double(special.beta,     lambda y, a, b: beta_slope(y, a, b), lambda y, a, b: beta_slope(y, b, a))
in_double(special.betaln,   lambda _y, a, b: np.where(_is_pole(b), np.nan, -psi_step(a, b)),
                            lambda _y, a, b: np.where(_is_pole(a), np.nan, -psi_step(b, a)))
in_double(special.betainc,  _parameter, _parameter, lambda _y, a, b, x: beta_density(a, b, x))
in_double(special.gammainc,  _gammainc_in_a, lambda _y, a, x: gamma_density(a, x))
in_double(special.gammaincc, lambda y, a, x: -_gammainc_in_a(y, a, x), lambda _y, a, x: -gamma_density(a, x))
in_double(special.gammaincinv, lambda y, a, _p: -_ratio(_gammainc_in_a(y, a, y), gamma_density(a, y)),
                            lambda y, a, _p: 1 / gamma_density(a, y))
in_double(special.gammainccinv, lambda y, a, _p: -_ratio(_gammainc_in_a(y, a, y), gamma_density(a, y)),
                            lambda y, a, _p: -1 / gamma_density(a, y))
nondifferentiable(special.gammasgn)
# fmt: on
