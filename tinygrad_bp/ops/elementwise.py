"""Derivatives of NumPy's elementwise functions: the table of a calculus book.

In each rule g is the cotangent of y = f(x), or of f(a, b). Kinks get 0 or the mean subgradient:
abs' and sqrt' are 0 at 0, hypot' and arctan2' at (0, 0) too, ties of maximum share. Broadcasting is
undone by the backward pass. Read `reduction.py` next.
"""

import math

import numpy as np

from ..errors import NotDifferentiable, message
from ..primitive import composite, defvjp, nondifferentiable, primitive, refused

LN2, LN10 = math.log(2), math.log(10)


@primitive
def reciprocal_or_zero(x):
    """1/x, and 0 where x is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.reciprocal(x)
    return y if np.all(x) else np.where(x == 0, 0.0, y)[()]


@nondifferentiable
def real_sign(x):
    """−1, 0 or 1: constant but for the jump at 0."""
    return np.sign(x)


def _as(y, a):
    """A Python number or integers in y's dtype, which NumPy's functions of them would not choose."""
    if isinstance(a, (int, float, complex)):
        return y.dtype.type(a)
    return a.astype(y.dtype) if a.dtype.kind in "iub" else a


def _sign(x):
    """∂|x|/∂x: the sign of a real number, 0 at 0; conj(x)/|x| of a complex one."""
    return np.conjugate(x) * reciprocal_or_zero(np.absolute(x)) if x.dtype.kind == "c" else np.sign(x)


def _root(x):
    """√(1 + x²), for real x of any size: |x| where 1 is too small to count (hypot takes six times as long)."""
    root = np.sqrt(x * x + 1)
    if x.dtype.kind == "c":
        return root
    return np.where(np.abs(x) < 2 * np.finfo(x.dtype).eps ** -0.5, root, np.abs(x))[()]


def _leg(x):
    """√(1 − x²), on the right side of its cut."""
    return np.sqrt(-(x - 1) * (1 + x) if x.dtype.kind == "c" else (1 - x) * (1 + x))


def _nonzero(y):
    """y, and ∞ where y is 0, so that 0/y is 0 there."""
    return np.where(y == 0, np.inf, y)[()]


def _over_squares(x, a, b):
    """x/(a² + b²) for a and b of any size, 0 at (0, 0)."""
    r = _nonzero(np.hypot(a, b))
    return x / r / r


def _part(g, i):
    """The cotangent of the i-th of two outputs, zeros if only the other has one."""
    return np.zeros_like(g[1 - i]) if g[i] is None else g[i]


@primitive
def sinc_derivative(x, n):
    """The n-th derivative of sin(πx)/(πx): by a recurrence, near 0 by its series; in double precision."""
    wide = np.result_type(x, np.float64)
    with np.errstate(all="ignore"):  # r: the sine of u rounded would not be that of u
        u, r = (np.asarray(part, wide) * math.pi for part in (x, x - 2 * np.round(np.real(x) / 2)))
        sine, cosine = np.sin(r), np.cos(r)
        y = sine / u
        for k in range(1, n + 1):
            sine, cosine = cosine, -sine  # the k-th derivative of the sine, and the next
            y = (sine - k * y) / u
    y, near = np.asarray(y), np.absolute(u) < n + 1
    z = u[near]
    series = z * 0
    for k in (
        range(9 + 3 * n, (n - 1) // 2, -1) if z.size else ()
    ):  # Σ (−1)^k z^(2k−n) / (2k−n)! / (2k+1), last terms first
        series = series * (z * z) + (-1) ** k / (math.factorial(2 * k - n) * (2 * k + 1))
    y[near] = series * z if n % 2 else series
    return (y * math.pi**n).astype(x.dtype)[()]


@primitive
def bessel_i(x, n):
    """The modified Bessel function I_n(x) = 1/π ∫₀^π e^{x cos t} cos nt dt, by the midpoint rule."""
    dtype, x, total = x.dtype, np.asarray(x, np.result_type(x, np.float64)), 0.0
    top = np.fmax.reduce(np.absolute(x), None, initial=1)
    nodes = 16 + n + math.ceil(5 * math.sqrt(min(top, np.log(np.finfo(x.dtype).max) + 9)))
    with np.errstate(all="ignore"):
        for t in (math.pi / 2 * (k + 0.5) / nodes for k in range(nodes)):
            total = total + (np.sinh if n % 2 else np.cosh)(x * math.cos(t)) * (math.cos(n * t) / nodes)
        y = np.where(np.isnan(total) & np.isfinite(x), x ** (n % 2) * np.inf, total)  # ∞ − ∞
    return y.astype(dtype)[()]


# fmt: off
defvjp(reciprocal_or_zero, lambda g, y, _x: -g * y * y, broadcasts="elementwise")

# arithmetic
defvjp(np.add,         lambda g, _y, _a, _b: g,
                       lambda g, _y, _a, _b: g)
defvjp(np.subtract,    lambda g, _y, _a, _b: g,
                       lambda g, _y, _a, _b: -g)
defvjp(np.multiply,    lambda g, _y, _a, b: g * b,
                       lambda g, _y, a, _b: g * a)
defvjp(np.true_divide, lambda g, _y, _a, b: g / b,
                       lambda g, y, _a, b: -g * y / b)
defvjp(np.power,       lambda g, _y, a, b: g * (b * a ** (b - (b != 0))),
                       lambda g, y, a, _b: g * (y * np.log(_as(y, a) + (a == 0))))
defvjp(np.remainder,   lambda g, _y, _a, _b: g,
                       lambda g, _y, a, b: -g * np.floor_divide(a, b))
defvjp(np.fmod,        lambda g, _y, _a, _b: g,
                       lambda g, y, a, b: -g * np.rint((a - y) / b))
defvjp(np.divmod,      lambda g, _y, _a, _b: _part(g, 1),
                       lambda g, y, _a, _b: -_part(g, 1) * y[0])
defvjp(np.float_power, lambda g, _y, a, b: g * (b * np.float_power(a, b - (b != 0) * g.dtype.type(1))),
                       lambda g, y, a, _b: g * (y * np.log(_as(y, a) + (a == 0))))
defvjp(np.negative,    lambda g, _y, _x: -g)
defvjp(np.positive,    lambda g, _y, _x: g)
defvjp(np.reciprocal,  lambda g, y, _x: -g * y * y)
defvjp(np.square,      lambda g, _y, x: g * 2 * x)
defvjp(np.sqrt,        lambda g, y, _x: g * (0.5 * reciprocal_or_zero(y)))
defvjp(np.cbrt,        lambda g, y, _x: g * reciprocal_or_zero(3 * y * y))

# exponentials and logarithms
defvjp(np.exp,         lambda g, y, _x: g * y)
defvjp(np.exp2,        lambda g, y, _x: g * (y * LN2))
defvjp(np.expm1,       lambda g, y, _x: g * (y + 1))
defvjp(np.log,         lambda g, _y, x: g / x)
defvjp(np.log2,        lambda g, _y, x: g / (x * LN2))
defvjp(np.log10,       lambda g, _y, x: g / (x * LN10))
defvjp(np.log1p,       lambda g, _y, x: g / (x + 1))

defvjp(np.ldexp,       lambda g, _y, _a, n: np.ldexp(g, n),
                       None)
defvjp(np.frexp,       lambda g, y, _x: np.ldexp(g[0], -y[1]))
defvjp(np.modf,        lambda g, _y, _x: _part(g, 0))

# trigonometric
defvjp(np.sin,         lambda g, _y, x: g * np.cos(x))
defvjp(np.cos,         lambda g, _y, x: -g * np.sin(x))
defvjp(np.tan,         lambda g, _y, x: g / np.square(np.cos(x)))
defvjp(np.arcsin,      lambda g, _y, x: g / _leg(x))
defvjp(np.arccos,      lambda g, _y, x: -g / _leg(x))
defvjp(np.arctan,      lambda g, _y, x: g / (1 + x * x))
defvjp(np.arctan2,     lambda g, _y, a, b: g * _over_squares(b, a, b),
                       lambda g, _y, a, b: -g * _over_squares(a, a, b))
defvjp(np.hypot,       lambda g, y, a, _b: g * (a / _nonzero(y)),
                       lambda g, y, _a, b: g * (b / _nonzero(y)))
defvjp(np.deg2rad,     lambda g, _y, _x: g * (math.pi / 180))
defvjp(np.radians,     lambda g, _y, _x: g * (math.pi / 180))
defvjp(np.rad2deg,     lambda g, _y, _x: g * (180 / math.pi))
defvjp(np.degrees,     lambda g, _y, _x: g * (180 / math.pi))
defvjp(np.unwrap,      lambda g, _y, _p, discont=None, axis=-1, period=None: g)
defvjp(np.sinc,            lambda g, _y, x: g * sinc_derivative(x, 1),         broadcasts="elementwise")
defvjp(sinc_derivative,    lambda g, _y, x, n: g * sinc_derivative(x, n + 1),  broadcasts="elementwise")

# hyperbolic
defvjp(np.sinh,        lambda g, _y, x: g * np.cosh(x))
defvjp(np.cosh,        lambda g, _y, x: g * np.sinh(x))
defvjp(np.tanh,        lambda g, y, _x: g * (1 - y * y))
defvjp(np.arcsinh,     lambda g, _y, x: g / _root(x))
defvjp(np.arccosh,     lambda g, _y, x: g / (np.sqrt(x - 1) * np.sqrt(x + 1)))
defvjp(np.arctanh,     lambda g, _y, x: g / ((1 - x) * (1 + x)))
defvjp(np.i0,          lambda g, _y, x: g * bessel_i(x, 1),                    broadcasts="elementwise")
defvjp(bessel_i,       lambda g, _y, x, n: g * (0.5 * (bessel_i(x, abs(n - 1)) + bessel_i(x, n + 1))),
                                                                               broadcasts="elementwise")

# pieces
defvjp(np.absolute,    lambda g, _y, x: g * _sign(x))
defvjp(np.fabs,        lambda g, _y, x: g * np.sign(x))
defvjp(np.copysign,    lambda g, _y, a, b: g * (np.sign(a) * np.copysign(1, b)),
                       None)
defvjp(np.maximum,     lambda g, _y, a, b: g * (a > b) + g * 0.5 * (a == b),
                       lambda g, _y, a, b: g * (b > a) + g * 0.5 * (a == b))
defvjp(np.minimum,     lambda g, _y, a, b: g * (a < b) + g * 0.5 * (a == b),
                       lambda g, _y, a, b: g * (b < a) + g * 0.5 * (a == b))
defvjp(np.fmax,        lambda g, _y, a, b: np.where((a > b) | np.isnan(b), g, 0.0) + g * 0.5 * (a == b),
                       lambda g, _y, a, b: np.where((b > a) | np.isnan(a), g, 0.0) + g * 0.5 * (a == b),
                       selects=True)
defvjp(np.fmin,        lambda g, _y, a, b: np.where((a < b) | np.isnan(b), g, 0.0) + g * 0.5 * (a == b),
                       lambda g, _y, a, b: np.where((b < a) | np.isnan(a), g, 0.0) + g * 0.5 * (a == b),
                       selects=True)
defvjp(np.where,       None,
                       lambda g, _y, condition, _a, _b: np.where(condition, g, 0.0),
                       lambda g, _y, condition, _a, _b: np.where(condition, 0.0, g),
                       broadcasts="elementwise", selects=True)
# fmt: on

# complex numbers: the gradient of a real f is ∂f/∂x − i ∂f/∂y
# fmt: off
defvjp(np.conjugate,   lambda g, _y, _x: np.conjugate(g))
defvjp(np.real,        lambda g, _y, _val: g, view=True)
defvjp(np.imag,        lambda g, _y, _val: g * (-1j if _val.dtype.kind == "c" else 0), view=True)
defvjp(np.angle,       lambda g, _y, z, deg=False: g * _turn(z, deg),                   broadcasts="elementwise")
defvjp(np.nan_to_num,  lambda g, _y, x, nan=0.0, posinf=None, neginf=None: _finite(g, x), broadcasts="elementwise",
                       selects=True)
# fmt: on


def _turn(z, deg):
    """∂arg z: −i/z, since arg is the imaginary part of the logarithm; 0 for real z, and at 0."""
    return -1j * (180 / math.pi if deg else 1) * reciprocal_or_zero(z) if z.dtype.kind == "c" else 0


def _finite(g, x):
    """g where x, or each of its parts, is finite; 0 elsewhere."""
    if x.dtype.kind == "c":
        return _finite(np.real(g), np.real(x)) + 1j * _finite(np.imag(g), np.imag(x))
    return np.where(np.isfinite(x), g, 0.0)


def _replaced(x, **values):
    """np.nan_to_num with values that may record."""
    y = np.nan_to_num(x, nan=0, posinf=0, neginf=0)
    for i, part in enumerate([np.real(x), np.imag(x)] if x.dtype.kind == "c" else [x]):
        for name, value in values.items():
            y = (
                y
                + np.where(getattr(np, f"is{name}")(part), 0.0 if value is None else value, 0.0) * (1, 1j)[i]
            )
    return y


@nondifferentiable
def periods(p, discont, axis, period):
    """How many periods np.unwrap adds to each element."""
    return np.rint((np.unwrap(p, discont, axis, period=period) - p) / period)


def _unwrap(p, discont=None, axis=-1, period=2 * math.pi):
    return p + periods(p, discont, axis, period) * period


composite(np.nan_to_num, _replaced, keywords=("nan", "posinf", "neginf"))
composite(np.unwrap, _unwrap, keywords=("period",))


def _real_if_close(a, tol=100):
    """The real part if the imaginary one is smaller than `tol`, which counts in ε if above 1."""
    if a.dtype.kind != "c":
        return a
    small = np.all(np.absolute(np.imag(a)) < (tol * np.finfo(a.dtype).eps if tol > 1 else tol))
    return np.real(a) if small else a


def _beyond(x, outside=lambda x: np.less(x, 0)):
    """x, as complex numbers if one of the real ones is `outside` of a function's domain."""
    if np.iscomplexobj(x) or not np.any(outside(x)):
        return x
    return np.positive(x, dtype=np.complex64 if np.result_type(x) == np.float32 else np.complex128)


def _of_complex(f, *outside):
    """A function of np.emath: f, of complex numbers where real ones have no value."""
    return lambda x: f(_beyond(x, *outside))


for _name in ("sqrt", "log", "log2", "log10"):
    composite(vars(np.emath)[_name], _of_complex(vars(np)[_name]))
for _name in ("arcsin", "arccos", "arctanh"):
    composite(vars(np.emath)[_name], _of_complex(vars(np)[_name], lambda x: np.absolute(x) > 1))
composite(np.emath.logn, lambda n, x: np.emath.log(x) / np.emath.log(n))
composite(np.emath.power, lambda x, p: np.power(_beyond(x), p))
composite(np.real_if_close, _real_if_close)
composite(np.sign, lambda x: x * reciprocal_or_zero(np.absolute(x)) if x.dtype.kind == "c" else real_sign(x))


@primitive
def between(a, low, high):
    """min(max(a, low), high): a bound shares the gradient of an argument that equals it."""
    return np.clip(a, low, high)


def _below(a, b):
    """2 where a < b, 1 where they are equal, else 0."""
    return np.add(a < b, a <= b, dtype=np.int8)


# fmt: off
defvjp(between, lambda g, _y, a, low, high: g * (_below(low, a) * _below(a, high)) * 0.25,
                lambda g, _y, a, low, high: g * (_below(a, low) * _below(low, high)) * 0.25,
                lambda g, _y, a, low, high: g * np.maximum(_below(high, a), _below(high, low)) * 0.5,
                broadcasts="elementwise")
# fmt: on


def _clip(a, a_min=None, a_max=None, out=None, *, min=None, max=None, **others):
    """`between`, in all of NumPy's spellings."""
    for name in others:
        raise NotDifferentiable(
            message(f"clip of a Tensor with {name}=", do="use np.where or astype on the result")
        )
    if out is not None:
        raise TypeError(message("clip was given a fourth argument", do="give the array to write to as out="))
    low, high = (min if a_min is None else a_min), (max if a_max is None else a_max)
    return between(a, -math.inf if low is None else low, math.inf if high is None else high)


composite(np.clip, _clip, calls_back=True)  # which calls NumPy's own

for _constant in (
    np.floor, np.ceil, np.trunc, np.rint, np.round, np.around, np.fix, np.floor_divide,
    np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal,
    np.logical_and, np.logical_or, np.logical_xor, np.logical_not,
    np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert, np.left_shift, np.right_shift,
    np.isnan, np.isinf, np.isfinite, np.signbit, np.isclose, np.allclose, np.array_equal,
    np.isreal, np.iscomplex, np.isrealobj, np.iscomplexobj, np.isposinf, np.isneginf, np.array_equiv,
    np.spacing, np.gcd, np.lcm, np.bitwise_count, np.isnat,
):  # fmt: skip
    nondifferentiable(_constant)
refused(np.heaviside, "use np.where(x > 0, 1.0, 0.0), which is locally constant, or a smooth step (sigmoid)")
refused(np.nextafter, "use its first argument, or pass t.data if no gradient is wanted")
