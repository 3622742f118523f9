"""Derivatives of scipy.special's ufuncs: loaded when SciPy is and one of them is first met.

The rules are those of the handbooks (Abramowitz and Stegun; the NIST DLMF). What holds:
- The order of Bessel functions and the parameters of `betainc` have no rule: NotDifferentiable.
- `gammainc` and `gammaincc` have one in a, too: by quadrature, to a relative 1e-12 for 0 ≤ a ≤ 1e4 (at 0
  from the right); second derivatives in a to 1e-12 of their largest value. At x = 0 these are NaN.
- SciPy's `polygamma`, `softmax`, `logsumexp` are Python functions that turn their arguments into plain
  arrays, which a Tensor refuses: `polygamma` stands here, the others in `bp.nn.functional`.
- Infinite slopes are infinite (`entr` and `xlogy` at 0), and that of `kl_div` and `rel_entr` at (0, 0) is
  NaN in the first argument; `i0e`, `i1e` and `ive` take the mean slope at 0.
Read `indexing.py` next.
"""

import math
from typing import Any

import numpy as np
from scipy import special
from scipy.special import gammaln, psi, xlogy

from ..errors import NotDifferentiable, message
from ..primitive import defvjp, nondifferentiable, primitive
from .elementwise import LN2, LN10, _as, _part, reciprocal_or_zero

ROOT_PI, ROOT_2, ROOT_2PI = math.sqrt(math.pi), math.sqrt(2), math.sqrt(2 * math.pi)


@primitive
def polygamma(n, x):
    """ψ⁽ⁿ⁾(x) for an integer n ≥ 0 and real x: the n-th derivative of ψ, which is that of log Γ."""
    if x.dtype.kind == "c":
        raise _no_rule("of ψ at complex numbers, which SciPy does not compute")
    return np.asarray(special.polygamma(n, x), x.dtype)[()]


def _nodes():
    """Double-exponential quadrature (Takahasi and Mori, 1974) of what decays like e^−s, s from 0 to ∞."""
    t = np.arange(-3.6, 4.5, 0.125)
    s = np.exp(t - np.exp(-t))
    return list(zip(s, s * (1 + np.exp(-t))))


@primitive
def log_moment(a, x, k):
    """E[(log t − ψ(a))ᵏ; t < x] for t of the gamma distribution a ≥ 1; −E[…; t > x] where x > a + 1.

    Averages over log t = log x + s are quotients, so that no large exponents have to cancel.
    """
    dtype = np.result_type(a, x)
    a, x = np.asarray(a, np.float64), np.asarray(x, np.float64)
    total = moment = 0.0
    with np.errstate(all="ignore"):
        above = x > a + 1
        step = 1 / np.maximum(np.abs(a - x), np.sqrt(np.maximum(a, x)))
        start = np.log(x) - psi(a)
        for node, weight in _nodes():
            s = np.where(
                above, np.log1p(node * step), -node * step
            )  # t = x + x·node·step, or xe^(−node·step)
            density = weight * np.exp(a * s - x * np.expm1(s) - above * s)
            total, moment = total + density, moment + density * (start + s) ** k
        tail = np.where(above, -special.gammaincc(a, x), special.gammainc(a, x))
        return np.where(tail == 0, 0.0, tail * (moment / total)).astype(dtype)[()]


def _log_moment_in_a(g, _y, a, x, k):
    """∂p/∂a = p (log t − ψ), and ∂ψ/∂a = ψ′."""
    share = log_moment(a, x, k + 1)
    return g * (share - k * polygamma(1, a) * log_moment(a, x, k - 1)) if k else g * share


def _gamma_density(a, x):
    return np.exp(xlogy(a - 1, x) - x - gammaln(a))


def _gammainc_in_a(a, x):
    """∂P/∂a; below a = 1 by P(a, x) = P(a + 1, x) + xᵃe⁻ˣ/Γ(a + 1)."""
    low = a < 1
    b = a + low
    step = low * np.exp(xlogy(a, x) - x - gammaln(b))
    return log_moment(b, x, k=1) + xlogy(step, x) - step * psi(b)


def _betainc_in_x(g, _y, a, b, x):
    a, b = _as(g, a), _as(g, b)
    return g * np.exp(xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - special.betaln(a, b))


def _erfcx_slope(x, y):
    """2xy − 2/√π; where that would cancel, its series −u (1 − 3u/2 (1 − 5u/2 (1 − …)))/√π in u = 1/x²."""
    far = np.where(x > 20, x, 20.0)
    u: Any = 1 / (far * far)
    series: Any = 1.0
    for n in range(8, 0, -1):
        series = 1 - (n + 0.5) * u * series
    return np.where(x > 20, u * series / -ROOT_PI, 2 * x * y - 2 / ROOT_PI)


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


def _bessel(f, before, after, factor=0.0):
    """f′ = before·f_{v−1} + after·f_{v+1} + factor·f, which all Bessel functions obey."""

    def rule(g, y, v, z):
        return g * (before * f(v - 1, z) + after * f(v + 1, z) + factor * y)

    defvjp(f, _order, rule)


def _damped_bessel(f, after, factor):
    """The same for f scaled by e^{−|Re z|} or e^{−|Im z|}, of real z."""

    def rule(g, y, v, z):
        if g.dtype.kind == "c":
            raise _no_rule("of this function at complex numbers, where it is not analytic")
        return g * (0.5 * f(v - 1, z) + after * f(v + 1, z) - factor * np.sign(z) * y)

    defvjp(f, _order, rule)


# fmt: off
# the gamma function and its relatives
defvjp(polygamma,           None,
                            lambda g, _y, n, x: g * polygamma(n + 1, x), broadcasts="elementwise")
defvjp(special.rgamma,      lambda g, y, x: -g * (y * psi(x)))
defvjp(special.poch,        lambda g, y, a, m: g * (y * (psi(a + m) - psi(a))),
                            lambda g, y, a, m: g * (y * psi(a + m)))
defvjp(special.gamma,       lambda g, y, x: g * (y * psi(x)))
defvjp(gammaln,             lambda g, _y, x: g * psi(x))
defvjp(special.loggamma,    lambda g, _y, x: g * psi(x))
defvjp(psi,                 lambda g, _y, x: g * polygamma(1, x))
defvjp(special.beta,        lambda g, y, a, b: g * (y * (psi(a) - psi(a + b))),
                            lambda g, y, a, b: g * (y * (psi(b) - psi(a + b))))
defvjp(special.betaln,      lambda g, _y, a, b: g * (psi(a) - psi(a + b)),
                            lambda g, _y, a, b: g * (psi(b) - psi(a + b)))
defvjp(special.betainc,     _parameter, _parameter, _betainc_in_x)
defvjp(log_moment,          _log_moment_in_a,
                            lambda g, _y, a, x, k: g * _gamma_density(a, x) * (np.log(x) - psi(a)) ** k,
                            broadcasts="elementwise")
defvjp(special.gammainc,    lambda g, _y, a, x: g * _gammainc_in_a(a, x),
                            lambda g, _y, a, x: g * _gamma_density(_as(g, a), x))
defvjp(special.gammaincc,   lambda g, _y, a, x: -g * _gammainc_in_a(a, x),
                            lambda g, _y, a, x: -g * _gamma_density(_as(g, a), x))
defvjp(special.gammaincinv, lambda g, y, a, _p: -g * _gammainc_in_a(a, y) / _gamma_density(a, y),
                            lambda g, y, a, _p: g / _gamma_density(_as(g, a), y))
defvjp(special.gammainccinv, lambda g, y, a, _p: -g * _gammainc_in_a(a, y) / _gamma_density(a, y),
                            lambda g, y, a, _p: -g / _gamma_density(_as(g, a), y))

# the error function and its relatives
defvjp(special.erf,         lambda g, _y, x: g * (2 / ROOT_PI) * np.exp(-x * x))
defvjp(special.erfc,        lambda g, _y, x: g * (-2 / ROOT_PI) * np.exp(-x * x))
defvjp(special.erfi,        lambda g, _y, x: g * (2 / ROOT_PI) * np.exp(x * x))
defvjp(special.erfcx,       lambda g, y, x: g * _erfcx_slope(x, y))
defvjp(special.erfinv,      lambda g, y, _x: g * (ROOT_PI / 2) * np.exp(y * y))
defvjp(special.erfcinv,     lambda g, y, _x: g * (-ROOT_PI / 2) * np.exp(y * y))
defvjp(special.ndtr,        lambda g, _y, x: g * np.exp(-0.5 * x * x) / ROOT_2PI)
defvjp(special.log_ndtr,    lambda g, _y, x: g * (2 / ROOT_2PI) / special.erfcx(-x / ROOT_2))
defvjp(special.ndtri,       lambda g, y, _x: g * ROOT_2PI * np.exp(0.5 * y * y))
defvjp(special.dawsn,       lambda g, y, x: g * (1 - 2 * x * y))
defvjp(special.wofz,        lambda g, y, x: g * (2j / ROOT_PI - 2 * x * y))
defvjp(special.fresnel,     lambda g, _y, x: _part(g, 0) * np.sin(math.pi / 2 * x * x) + _part(g, 1) * np.cos(math.pi / 2 * x * x))
defvjp(special.sici,        lambda g, _y, x: _part(g, 0) * np.sinc(x / math.pi) + _part(g, 1) * np.cos(x) / x)
defvjp(special.exp1,        lambda g, _y, x: -g * np.exp(-x) / x)
defvjp(special.expi,        lambda g, _y, x: g * np.exp(x) / x)

# exponentials, logarithms, entropies
defvjp(special.expit,       lambda g, y, _x: g * (y * (1 - y)))
defvjp(special.logit,       lambda g, _y, x: g / (x * (1 - x)))
defvjp(special.log_expit,   lambda g, _y, x: g * special.expit(-x))
defvjp(special.exp2,        lambda g, y, _x: g * (y * LN2))
defvjp(special.exp10,       lambda g, y, _x: g * (y * LN10))
defvjp(special.expm1,       lambda g, y, _x: g * (y + 1))
defvjp(special.log1p,       lambda g, _y, x: g / (x + 1))
defvjp(special.cosm1,       lambda g, _y, x: -g * np.sin(x))
defvjp(special.cbrt,        lambda g, y, _x: g * reciprocal_or_zero(3 * y * y))
defvjp(xlogy,               lambda g, _y, _a, b: g * np.log(_as(g, b)),
                            lambda g, _y, a, b: g * _ratio(a, b))
defvjp(special.xlog1py,     lambda g, _y, _a, b: g * np.log1p(_as(g, b)),
                            lambda g, _y, a, b: g * _ratio(a, b + 1))
defvjp(special.entr,        lambda g, _y, x: -g * (np.log(x) + 1))
defvjp(special.rel_entr,    lambda g, _y, a, b: g * (_log_ratio(a, b) + 1),
                            lambda g, _y, a, b: -g * _ratio(a, b))
defvjp(special.kl_div,      lambda g, _y, a, b: g * _log_ratio(a, b),
                            lambda g, _y, a, b: g * (1 - _ratio(a, b)))

# hypergeometric functions, in z
defvjp(special.hyp0f1,      _order,
                            lambda g, _y, b, z: g * (special.hyp0f1(b + 1, z) / b))
defvjp(special.hyp1f1,      _order, _order,
                            lambda g, _y, a, b, z: g * (a / b * special.hyp1f1(a + 1, b + 1, z)))
defvjp(special.hyp2f1,      _order, _order, _order,
                            lambda g, _y, a, b, c, z: g * (a * b / c * special.hyp2f1(a + 1, b + 1, c + 1, z)))

# Bessel functions
defvjp(special.j0,          lambda g, _y, x: -g * special.j1(x))
defvjp(special.j1,          lambda g, _y, x: g * 0.5 * (special.j0(x) - special.jv(2, x)))
defvjp(special.y0,          lambda g, _y, x: -g * special.y1(x))
defvjp(special.y1,          lambda g, _y, x: g * 0.5 * (special.y0(x) - special.yn(2.0, x)))
defvjp(special.i0,          lambda g, _y, x: g * special.i1(x))
defvjp(special.i1,          lambda g, _y, x: g * 0.5 * (special.i0(x) + special.iv(2, x)))
defvjp(special.k0,          lambda g, _y, x: -g * special.k1(x))
defvjp(special.k1,          lambda g, _y, x: g * -0.5 * (special.k0(x) + special.kn(2.0, x)))
defvjp(special.i0e,         lambda g, y, x: g * (special.i1e(x) - np.sign(x) * y))
defvjp(special.i1e,         lambda g, y, x: g * (0.5 * (special.i0e(x) + special.ive(2, x)) - np.sign(x) * y))
defvjp(special.k0e,         lambda g, y, x: g * (y - special.k1e(x)))
defvjp(special.k1e,         lambda g, y, x: g * (y - 0.5 * (special.k0e(x) + special.kve(2, x))))
# fmt: on
nondifferentiable(special.gammasgn)
for _f in (special.jv, special.yv, special.yn, special.hankel1, special.hankel2):
    _bessel(_f, 0.5, -0.5)
for _f in (special.kv, special.kn):
    _bessel(_f, -0.5, -0.5)
_bessel(special.iv, 0.5, 0.5)
_bessel(special.kve, -0.5, -0.5, factor=1.0)
_damped_bessel(special.ive, 0.5, factor=1.0)
_damped_bessel(special.jve, -0.5, factor=0.0)
_damped_bessel(special.yve, -0.5, factor=0.0)
