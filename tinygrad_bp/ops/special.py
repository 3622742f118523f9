"""Derivatives of scipy.special's ufuncs: loaded when SciPy is and one of them is first met.

The rules are those of the handbooks (Abramowitz and Stegun; the NIST DLMF). What holds:
- The order of Bessel functions and the parameters of `betainc` have no rule: NotDifferentiable.
- Where SciPy's value is NaN, so is the gradient. What would cancel is computed in double precision and in
  a stable form, so that gradients are right to 8 ε of their dtype at every float, but for these:
  `erfcx`, `dawsn`, `wofz` lose two digits between 2 and 7, scaled Bessel functions below 50, and products
  with a value of SciPy's (`beta`, `poch`, Bessel functions far out, whose phase it loses) are as good as that.
- NaN, too: `poch` where a + m is a pole of Γ, `iv` of a z at which SciPy's neighbouring order is NaN (below
  1e-305), `ive` and `jve` of order ½ at 0, and the gradient of a complex value that has overflowed.
- `gammainc` and `gammaincc` have a rule in a, too: by quadrature, to a relative 1e-12 for 0 ≤ a ≤ 1e8 (at 0
  from the right), beyond it as good as SciPy's value (1e-10 at 1e12); second derivatives in a to 1e-12 of their largest value. At x = 0 these are NaN.
- SciPy's `polygamma`, `softmax`, `logsumexp` are Python functions that turn their arguments into plain
  arrays, which a Tensor refuses: `polygamma` stands here, the others in `bp.nn.functional`.
- Infinite slopes are infinite (`entr` and `xlogy` at 0), and that of `kl_div` and `rel_entr` at (0, 0) is
  NaN in the first argument; `i0e`, `i1e` and `ive` take the mean slope at 0.
Read `indexing.py` next.
"""

import math

import numpy as np
from scipy import special
from scipy.special import gammaln, psi, xlogy

from ..errors import NotDifferentiable, message
from ..primitive import defvjp, nondifferentiable, primitive
from .elementwise import LN2, LN10, _part, reciprocal_or_zero

ROOT_PI, ROOT_2, ROOT_2PI = math.sqrt(math.pi), math.sqrt(2), math.sqrt(2 * math.pi)
IN_PSI = [1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12]  # B₂ₖ/2k, Bernoulli's numbers
IN_LOG_GAMMA = [c / (2 * k + 1) for k, c in enumerate(IN_PSI)]
ODD_PRODUCTS = [float(math.prod(range(1, n, 2))) for n in range(63, 1, -2)]  # 1·3·5·…
NOT_ANALYTIC = (special.ive, special.jve, special.yve)


@primitive
def polygamma(n, x):
    """ψ⁽ⁿ⁾(x) for an integer n ≥ 0 and real x: the n-th derivative of ψ, which is that of log Γ."""
    if x.dtype.kind == "c":
        raise _no_rule("of ψ at complex numbers, which SciPy does not compute")
    return np.asarray(special.polygamma(n, x), x.dtype)[()]


def in_double(f, *slopes):
    """Declare ∂f/∂xᵢ = slopesᵢ(y, x, …), computed in double precision; NaN where f is.

    Of halves and singles the value y is computed anew: rounded, it would spoil what cancels.
    """
    defvjp(f, *(slope if slope in (_order, _parameter) else _rule(f, slope) for slope in slopes))


def _rule(f, slope):
    def rule(g, y, *args):
        if f in NOT_ANALYTIC and y.dtype.kind == "c":
            raise _no_rule("of this function at complex numbers, where it is not analytic")
        xs = [_double(a) for a in args]
        return g * np.where(np.isnan(y), y, slope(y if y.dtype.char in "dD" else f(*xs), *xs).astype(y.dtype))

    few = (lambda g, y, a: rule(g, y, a), lambda g, y, a, b: rule(g, y, a, b))
    more = (lambda g, y, a, b, c: rule(g, y, a, b, c), lambda g, y, a, b, c, d: rule(g, y, a, b, c, d))
    return (few + more)[slope.__code__.co_argcount - 2]


def _double(x):
    """x in double precision."""
    return x if isinstance(x, (int, float, complex)) else x.astype(np.promote_types(x.dtype, "d"), copy=False)


def _is_pole(x):
    """Is x a pole of Γ but 0, where Γ has a sign?"""
    return (x < 0) & (x == np.floor(x))


def _sine(x):
    """sin πx/π, precise also for large and tiny x."""
    r = x - 2 * np.round(x / 2)
    return r * np.sinc(r)


def _rgamma_slope(y, x):
    """−ψ/Γ; left of ½ by the reflection 1/Γ(x) = Γ(1 − x) sin πx/π (DLMF 5.5.3), which has no poles."""
    if x.dtype.kind == "c":
        return -y * psi(x)
    left = np.where(x < 0.5, x, 0.0)
    cosine = np.cos(np.pi * (left - 2 * np.round(left / 2)))
    reflected = special.gamma(1 - left) * (cosine - psi(1 - left) * _sine(left))
    return np.where(x < 0.5, reflected, np.where(y == 0, 0.0, -y * psi(x)))


@primitive
def psi_step(a, b):
    """ψ(a + b) − ψ(a) for real numbers, as precise for a tiny b as for others, where digits would cancel."""
    a, b = np.broadcast_arrays(a, b)
    with np.errstate(all="ignore"):
        start, end = psi(a), psi(w := a + b)
        step = np.array(end - start)
        clear = (a > 0) & (w > 0) & (np.abs(step) >= 0.5 * np.maximum(np.abs(start), np.abs(end)))
        if np.any(cancels := ~clear & ((a < 0) == (w < 0))):
            step[cancels] = _small_psi_step(a[cancels], b[cancels])
        return np.where(_is_pole(a) | _is_pole(w), np.nan, step)[()]


def _small_psi_step(a, b):
    """By the recurrence (DLMF 5.5.2), the asymptotic series (5.11.2) and, left of 0, by reflection (5.5.4)."""
    x, step = np.where(a < 0, 1 - a, a), np.where(a < 0, -b, b)
    far, log = x + 10, np.log1p(step / (x + 10))
    total = np.where(a < 0, _sine(b) / _sine(a) / _sine(a + b), 0.0) + log - np.expm1(-log) / (2 * far)
    for k in range(10):
        total = total + np.where(np.isinf(x + step), np.sign(step), step / (x + step + k)) / (x + k)
    for j, c in enumerate(IN_PSI, 1):
        total = total - c * far ** (-2.0 * j) * np.expm1(-2 * j * log)
    return total


def _beta_slope(y, a, b):
    """∂B/∂a = −B (ψ(a + b) − ψ(a)), and its limits where b → 0 and where 1/Γ(a + b) is 0."""
    zero, tiny = (y == 0) & ((a + b == 0) | _is_pole(a + b)), np.abs(b) < 1e-290
    limit = -special.beta(np.where(zero, a, 1.0), np.where(zero, 1 - a - b, 1.0)) / _sine(a)
    at_zero = np.where(tiny, a, np.inf)  # ψ′(∞) is 0, and found at once
    slope = np.where(tiny, -polygamma(1, at_zero), np.where(y == 0, 0.0, -y * psi_step(a, b)))
    return np.where(_is_pole(a) | _is_pole(b), np.nan, np.where(zero, limit, slope))


def _poch_slope(y, a, m):
    """∂(a)ₘ/∂a = (a)ₘ (ψ(a + m) − ψ(a)), and its limits where 1/Γ(a) is 0."""
    zero = (y == 0) & ((np.abs(a) < 1e-290) | _is_pole(a))
    limit = special.gamma(a + m) * _rgamma_slope(0.0, a)
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


def _gamma_density(a, x):
    """xᵃ⁻¹e⁻ˣ/Γ(a), 0 at infinite a or x; for a ≥ 10 by the deviation, in which no large exponents cancel."""
    high = np.exp(-_deviation(a, x) - _stirling(a)) * np.sqrt(a / (2 * np.pi)) / np.where(x == 0, 1.0, x)
    density = np.where(a < 10, np.exp(xlogy(a - 1, x) + np.log(a) - x - gammaln(a + 1)), high)
    return np.where(np.isinf(a) | np.isinf(x), 0.0, density)


def _beta_density(_y, a, b, x):
    """xᵃ⁻¹(1 − x)ᵇ⁻¹/B(a, b); inside by the deviations of (a + b)x from a, and of the rest from b."""
    n = a + b
    inside = (x > 0) & (x < 1) & (a > 0) & (b > 0) & (n < np.inf)
    edge = np.exp(xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - special.betaln(a, b))
    exponent = _stirling(n) - _stirling(a) - _stirling(b) - _deviation(a, n * x) - _deviation(b, n * (1 - x))
    return np.where(inside, np.exp(exponent) * (np.sqrt(a / (2 * np.pi * n) * b) / (x * (1 - x))), edge)


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
    return g * (_gamma_density(b, t) * (_log_minus_psi(b) + _log_ratio(t, b)) ** k).astype(g.dtype)


def _gammainc_in_a(_y, a, x):
    """∂P/∂a, 0 at infinite a or x; below a = 1 by P(a, x) = P(a + 1, x) + xᵃe⁻ˣ/Γ(a + 1)."""
    low = np.where(a < 1, a, 0.0)
    step = (a < 1) * np.exp(xlogy(low, x) - x - gammaln(low + 1))
    slope = log_moment(a + (a < 1), x, k=1) + xlogy(step, x) - step * psi(low + 1)
    return np.where(np.isinf(a) | np.isinf(x), 0.0, slope)


def _far(x, sign):
    """u + 1·3u² + 1·3·5u³ + … for u = ±½x⁻²: derivatives of e^x² erfc x and its like where |x| > 7.

    The series (DLMF 7.12.1) is precise there; 2xy − 2/√π itself loses as many bits as 2x² has.
    """
    u = sign * 0.5 / np.where(np.abs(x) > 7, x, np.inf) / np.where(np.abs(x) > 7, x, np.inf)
    return u * np.polyval(ODD_PRODUCTS, u)


def _wofz_slope(y, z):
    """2i/√π − 2zy; its series where that would cancel, which is not in the lower quarter of the plane."""
    far = (np.abs(z) > 7) & (np.imag(z) >= -np.abs(np.real(z)))
    below = np.where(np.imag(z) < 0, z, 0)
    series = -2j / ROOT_PI * _far(z, 1) - 4 * below * np.exp(-below * below)
    return np.where(far, series, 2j / ROOT_PI - 2 * z * y)


def _exp_square(y, tail):
    """e^y² where erfc |y| is `tail`, without the squared error of y: erfcx y = e^y² erfc y."""
    return np.where(np.isinf(y), np.inf, special.erfcx(np.abs(y)) / tail)


def _over_x(f, x):
    """f(x)/x for a bounded f, 0 at ±∞."""
    return np.where(np.isinf(x), 0.0, f(x) / x)


def _of_two(g, y, *slopes):
    """Σ gᵢ slopesᵢ over the two results, of which one may not have been used; NaN where that result is."""
    parts = [(_part(g, i), np.where(np.isnan(y[i]), y[i], slopes[i].astype(y[i].dtype))) for i in (0, 1)]
    return sum(np.where((g == 0) & ~np.isfinite(slope), 0.0, g * slope) for g, slope in parts)


def _fresnel_slope(g, y, x):
    """sin and cos of πx²/2: floats above 2⁵³ are even."""
    square = np.square(np.where(np.abs(x) > 2.0**53, 0.0 * x, x))
    phase = np.pi / 2 * (square - 4 * np.round(np.real(square) / 4))
    return _of_two(g, y, np.sin(phase), np.cos(phase))


def _over(y, x):
    """y/x for y = J₁(x) or I₁(x), which is ½ at 0."""
    return np.where(np.abs(x) < 1e-100, 0.5, y / x)


def _damped(v, y, z, slope, sign):
    """`slope` of y = e^∓z I_v(z) or e^z K_v(z) (sign −1 or 1), far out by Hankel's expansion (DLMF 10.40).

    That is y = (2πz)^−½ (1 + c₁/z + c₂/z² + …): its derivative is small where those of its factors cancel.
    """
    far = np.abs(z) > np.maximum(50.0, v * v)
    u = sign / np.where(far, 8 * (z if sign > 0 else np.abs(z)), np.inf)
    term, total, weighted = 1.0, 1.0, 0.5
    for k in range(1, 16):
        term = term * u * ((4 * v * v - (2 * k - 1) ** 2) / k)
        total, weighted = total + term, weighted + (k + 0.5) * term
    return np.where(far, -y * weighted / total / np.where(far, z, 1.0), slope)


def _singular(f, v, y, z, rest=0.0, second_kind=False):
    """∂y/∂z = ±f_{v∓1} − |v|y/z + rest for y = f_v(z), which is infinite at 0, by the less infinite neighbour.

    For K, and for Y and Hankel's functions, which are of the second kind (DLMF 10.6.2, 10.29.2).
    """
    inner = f(np.where(v > 0, v - 1, v + 1), z) * (np.where(v > 0, 1, -1) if second_kind else -1)
    outer = np.where(v == 0, 0.0, np.abs(v) * (y / (z + 0.0)))
    return np.where(np.isinf(outer), -outer, np.where(np.isinf(inner), inner, inner - outer + rest))


def _ratio(x, y):
    """x/y, and 0 at (0, 0)."""
    return x / np.where((x == 0) & (y == 0), 1.0, y)


def _log_ratio(a, b):
    """log(a/b), also where a/b over- or underflows and log a − log b does not."""
    ratio = a / b
    fits = (ratio > 0) & np.isfinite(ratio)
    return np.where(fits, np.log(np.where(fits, ratio, 1.0)), np.log(a) - np.log(b))


def _no_rule(what):
    return NotDifferentiable(
        message(f"no derivative is known {what}", do="pass a constant there, or its .data")
    )


def _order(g, _y, _a, _b, _c=None, _z=None):
    raise _no_rule("in the order of this function")


def _parameter(g, _y, _a, _b, _x):
    raise _no_rule("in the parameters a and b of betainc")


# fmt: off
# the gamma function and its relatives
defvjp(polygamma,           None, lambda g, _y, n, x: g * polygamma(n + 1, x), broadcasts="elementwise")
defvjp(psi_step,            lambda g, _y, a, b: g * (polygamma(1, a + b) - polygamma(1, a)),
                            lambda g, _y, a, b: g * polygamma(1, a + b), broadcasts="elementwise")
in_double(special.rgamma,   _rgamma_slope)
in_double(special.poch,     _poch_slope, lambda y, a, m: np.where(y == 0, 0.0, y * psi(a + m)))
defvjp(special.gamma,       lambda g, y, x: g * (y * psi(x)))
defvjp(gammaln,             lambda g, _y, x: g * psi(x))
in_double(special.loggamma, lambda _y, x: psi(x))
in_double(psi,              lambda _y, x: polygamma(1, x))
in_double(special.beta,     _beta_slope, lambda y, a, b: _beta_slope(y, b, a))
in_double(special.betaln,   lambda _y, a, b: np.where(_is_pole(b), np.nan, -psi_step(a, b)),
                            lambda _y, a, b: np.where(_is_pole(a), np.nan, -psi_step(b, a)))
in_double(special.betainc,  _parameter, _parameter, _beta_density)
defvjp(log_moment,          _log_moment_in_a, _log_moment_in_x, broadcasts="elementwise")
in_double(special.gammainc,  _gammainc_in_a, lambda _y, a, x: _gamma_density(a, x))
in_double(special.gammaincc, lambda y, a, x: -_gammainc_in_a(y, a, x), lambda _y, a, x: -_gamma_density(a, x))
in_double(special.gammaincinv, lambda y, a, _p: -_ratio(_gammainc_in_a(y, a, y), _gamma_density(a, y)),
                            lambda y, a, _p: 1 / _gamma_density(a, y))
in_double(special.gammainccinv, lambda y, a, _p: -_ratio(_gammainc_in_a(y, a, y), _gamma_density(a, y)),
                            lambda y, a, _p: -1 / _gamma_density(a, y))

# the error function and its relatives
defvjp(special.erf,         lambda g, _y, x: g * (2 / ROOT_PI) * np.exp(-x * x))
defvjp(special.erfc,        lambda g, _y, x: g * (-2 / ROOT_PI) * np.exp(-x * x))
defvjp(special.erfi,        lambda g, _y, x: g * (2 / ROOT_PI) * np.exp(x * x))
in_double(special.erfcx,    lambda y, x: np.where(x > 7, 2 / ROOT_PI * _far(x, -1), 2 * x * y - 2 / ROOT_PI))
in_double(special.erfinv,   lambda y, p: (ROOT_PI / 2) * _exp_square(y, 1 - np.abs(p)))
in_double(special.erfcinv,  lambda y, p: (-ROOT_PI / 2) * _exp_square(y, np.minimum(p, 2 - p)))
defvjp(special.ndtr,        lambda g, _y, x: g * np.exp(-0.5 * x * x) / ROOT_2PI)
in_double(special.log_ndtr, lambda _y, x: np.where(x < -1e9, -x, (2 / ROOT_2PI) / special.erfcx(-x / ROOT_2)))
in_double(special.ndtri,    lambda y, p: ROOT_2PI / 2 * _exp_square(y / ROOT_2, np.minimum(p, 1 - p)))
in_double(special.dawsn,    lambda y, x: np.where((np.abs(x) > 7) & (np.abs(np.imag(x)) <= np.abs(np.real(x))), -_far(x, 1), 1 - 2 * x * y))
in_double(special.wofz,     _wofz_slope)
defvjp(special.fresnel,     lambda g, y, x: _fresnel_slope(g, y, _double(x)))
defvjp(special.sici,        lambda g, y, x: _of_two(g, y, np.where(x == 0, 1.0, _over_x(np.sin, _double(x))), _over_x(np.cos, _double(x))))
in_double(special.exp1,     lambda _y, x: -np.exp(-x) / x)
in_double(special.expi,     lambda _y, x: np.exp(x / 2) / np.where(np.isinf(x), 1.0, x) * np.exp(x / 2))

# exponentials, logarithms, entropies
defvjp(special.expit,       lambda g, y, x: g * (y * special.expit(-x)))
in_double(special.logit,    lambda _y, x: 1 / (x * (1 - x)))
defvjp(special.log_expit,   lambda g, _y, x: g * special.expit(-x))
defvjp(special.exp2,        lambda g, y, _x: g * (y * LN2))
defvjp(special.exp10,       lambda g, y, _x: g * (y * LN10))
defvjp(special.expm1,       lambda g, y, _x: g * (y + 1))
in_double(special.log1p,    lambda _y, x: 1 / (x + 1))
defvjp(special.cosm1,       lambda g, _y, x: -g * np.sin(x))
defvjp(special.cbrt,        lambda g, y, _x: g * reciprocal_or_zero(3 * y * y))
in_double(xlogy,            lambda _y, _a, b: np.log(b),   lambda _y, a, b: _ratio(a, b))
in_double(special.xlog1py,  lambda _y, _a, b: np.log1p(b), lambda _y, a, b: _ratio(a, b + 1))
in_double(special.entr,     lambda _y, x: -np.log(x) - 1)
in_double(special.rel_entr, lambda _y, a, b: _log_ratio(a, b) + 1, lambda _y, a, b: -_ratio(a, b))
in_double(special.kl_div,   lambda _y, a, b: _log_ratio(a, b),     lambda _y, a, b: 1 - _ratio(a, b))

# hypergeometric functions, in z
in_double(special.hyp0f1,   _order, lambda _y, b, z: special.hyp0f1(b + 1, z) / b)
in_double(special.hyp1f1,   _order, _order, lambda _y, a, b, z: a / b * special.hyp1f1(a + 1, b + 1, z))
in_double(special.hyp2f1,   _order, _order, _order, lambda _y, a, b, c, z: a * b / c * special.hyp2f1(a + 1, b + 1, c + 1, z))

# Bessel functions
defvjp(special.j0,          lambda g, _y, x: -g * special.j1(x))
in_double(special.j1,       lambda y, x: special.j0(x) - _over(y, x))
defvjp(special.y0,          lambda g, _y, x: -g * special.y1(x))
in_double(special.y1,       lambda y, x: _singular(special.yn, 1, y, x, second_kind=True))
defvjp(special.i0,          lambda g, _y, x: g * special.i1(x))
in_double(special.i1,       lambda y, x: np.where(np.isinf(y), np.inf, special.i0(x) - _over(y, x)))
in_double(special.k0,       lambda y, x: np.where(np.isinf(y), -np.inf, -special.k1(x)))
in_double(special.k1,       lambda y, x: _singular(special.kn, 1, y, x))
in_double(special.i0e,      lambda y, x: _damped(0, y, x, special.i1e(x) - np.sign(x) * y, -1))
in_double(special.i1e,      lambda y, x: _damped(1, y, x, special.i0e(x) - _over(y, x) - np.sign(x) * y, -1))
in_double(special.k0e,      lambda y, x: _damped(0, y, x, np.where(np.isinf(y), -np.inf, y - special.k1e(x)), 1))
in_double(special.k1e,      lambda y, x: _damped(1, y, x, _singular(special.kve, 1, y, x, y), 1))
in_double(special.jv,       _order, lambda _y, v, z: 0.5 * special.jv(v - 1, z) - 0.5 * special.jv(v + 1, z))
in_double(special.jve,      _order, lambda _y, v, z: 0.5 * special.jve(v - 1, z) - 0.5 * special.jve(v + 1, z))
in_double(special.yv,       _order, lambda y, v, z: _singular(special.yv, v, y, z, second_kind=True))
in_double(special.yn,       _order, lambda y, v, z: _singular(special.yn, v, y, z, second_kind=True))
in_double(special.yve,      _order, lambda y, v, z: _singular(special.yve, v, y, z, second_kind=True))
in_double(special.hankel1,  _order, lambda y, v, z: _singular(special.hankel1, v, y, z, second_kind=True))
in_double(special.hankel2,  _order, lambda y, v, z: _singular(special.hankel2, v, y, z, second_kind=True))
in_double(special.iv,       _order, lambda _y, v, z: 0.5 * special.iv(v - 1, z) + 0.5 * special.iv(v + 1, z))
in_double(special.ive,      _order, lambda y, v, z: _damped(v, y, z, 0.5 * special.ive(v - 1, z) + 0.5 * special.ive(v + 1, z) - np.sign(z) * y, -1))
in_double(special.kv,       _order, lambda y, v, z: _singular(special.kv, v, y, z))
in_double(special.kn,       _order, lambda y, v, z: _singular(special.kn, v, y, z))
in_double(special.kve,      _order, lambda y, v, z: _damped(v, y, z, _singular(special.kve, v, y, z, y), 1))
nondifferentiable(special.gammasgn)
# fmt: on
