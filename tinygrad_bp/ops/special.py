"""Derivatives of scipy.special's ufuncs: loaded when SciPy is and one of them is first met.

The rules are those of the handbooks (Abramowitz and Stegun; the NIST DLMF). What holds:
- The order of Bessel functions and the parameters of `betainc` have no rule: NotDifferentiable.
- Where SciPy's value is NaN, so is the gradient. What would cancel is computed in double precision and in
  a stable form, so that gradients are right to 8 ε of their dtype at every float, but for these:
  `erfcx`, `dawsn`, `wofz` lose two digits between 2 and 7, scaled Bessel functions below 50, and products
  with a value of SciPy's (`beta`, `poch`, Bessel functions far out, whose phase it loses) are as good as that;
  the densities of `gammainc` beyond a = 160 or x = 700 and of `betainc` beyond a + b = 160 lose what their logarithm has of digits.
- NaN, too: `poch` where a + m is a pole of Γ, `iv` of a z at which SciPy's neighbouring order is NaN (below
  1e-305), `ive` and `jve` of order ½ at 0, and the gradient of a complex value that has overflowed.
- `gammainc` and `gammaincc` have a rule in a, too: by quadrature, to a relative 1e-12 for 0 ≤ a ≤ 1e8 (at 0
  from the right), beyond it as good as SciPy's value (1e-10 at 1e12); second derivatives in a to 1e-12 of their largest value. At x = 0 these are NaN.
- SciPy's `polygamma`, `softmax`, `logsumexp` are Python functions that turn their arguments into plain
  arrays, which a Tensor refuses: `polygamma` stands in `gamma.py`, the others in `bp.nn.functional`.
- Infinite slopes are infinite (`entr` and `xlogy` at 0), and that of `kl_div` and `rel_entr` at (0, 0) is
  NaN in the first argument; `i0e`, `i1e` and `ive` take the mean slope at 0.
Read `doubles.py` next.
"""

import math

import numpy as np
from scipy import special
from scipy.special import xlogy

from ..primitive import defvjp, primitive
from .doubles import _at, _double, _order, in_double
from .elementwise import LN2, LN10, _part, reciprocal_or_zero
from .gamma import ROOT_2PI, _log_ratio, _ratio
from .gamma import polygamma as polygamma

ROOT_PI, ROOT_2 = math.sqrt(math.pi), math.sqrt(2)
ODD_PRODUCTS = [float(math.prod(range(1, n, 2))) for n in range(63, 1, -2)]  # 1·3·5·…


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


def _is_far(v, z):
    return np.abs(z) > np.maximum(50.0, v * v)


@primitive
def hankel_quotient(v, z, sign, k=1):
    """Σ (n + ½)ᵏ cₙ/zᵏ / Σ cₙ over the terms cₙ of Hankel's expansion (DLMF 10.40) far out, 0 elsewhere."""
    with np.errstate(all="ignore"):
        far = _is_far(v, z)
        quotient = np.zeros(np.shape(far), np.result_type(z, np.float32))
        if far.any():
            quotient[far] = _hankel_quotient(sign, k, *_at(far, v, z))
        return quotient[()]


def _hankel_quotient(sign, k, v, z):
    u, term, total, weighted = sign / (8 * (z if sign > 0 else np.abs(z))), 1.0, 1.0, 0.5**k
    for n in range(1, 16):
        term = term * u * ((4 * v * v - (2 * n - 1) ** 2) / n)
        total, weighted = total + term, weighted + (n + 0.5) ** k * term
    return weighted / total / z**k


def _hankel_in_z(g, y, v, z, sign, k=1):
    first, after = (hankel_quotient(v, z, sign, i) for i in (1, k + 1))
    return g * (first * y - after - _ratio(k * y, z))


def _damped(v, y, z, slope, sign):
    """`slope` of y = e^∓z I_v(z) or e^z K_v(z) (sign −1 or 1), far out by Hankel's expansion.

    That is y = (2πz)^−½ Σ cₙ, cₙ ∝ z⁻ⁿ: its derivative is small where those of its factors cancel.
    """
    return np.where(_is_far(v, z), -y * hankel_quotient(v, z, sign), slope)


def _singular(f, v, y, z, rest=0.0, second_kind=False):
    """∂y/∂z = ±f_{v∓1} − |v|y/z + rest for y = f_v(z), which is infinite at 0, by the less infinite neighbour.

    For K, and for Y and Hankel's functions, which are of the second kind (DLMF 10.6.2, 10.29.2).
    """
    inner = f(np.where(v > 0, v - 1, v + 1), z) * (np.where(v > 0, 1, -1) if second_kind else -1)
    outer = np.where(v == 0, 0.0, np.abs(v) * (y / (z + 0.0)))
    return np.where(np.isinf(outer), -outer, np.where(np.isinf(inner), inner, inner - outer + rest))


# fmt: off
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
defvjp(hankel_quotient,     lambda g, _y, _v, _z, sign, k=1: _order(g, 0, 0, 0), _hankel_in_z, broadcasts="elementwise")
# fmt: on
