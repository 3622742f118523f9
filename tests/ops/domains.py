"""The domain table: one row per registered function, saying on what it is tried.

Whoever declares an op adds a row; `test_every_op.py` does the rest, and fails without one. A row is
a list of cases; a case is operands and keywords; an operand is an `Array` (drawn anew by each test,
its elements well apart, so that kinks and ties lie between them), a list of these, or a constant.
"""

import importlib.util
import io
import operator
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_bp.ops import elementwise as ours
from tinygrad_bp.ops.fft import resized
from tinygrad_bp.ops.indexing import erase, put, put_sum, scatter
from tinygrad_bp.ops.linalg import cofactors, gaps
from tinygrad_bp.ops.nonlinear import leaky_relu, log_softmax, logsumexp, relu, sigmoid, softmax, softplus
from tinygrad_bp.ops.random import keep_mask
from tinygrad_bp.ops.reduction import others, spread
from tinygrad_bp.ops.shaping import diagonal_of, overlapped
from tinygrad_bp.ops.sorting import unique_places, unsort
from tinygrad_bp.ops.statistics import difference, order_statistics, unit_slopes, unit_slopes_back
from tinygrad_bp.primitive import REGISTRY


@dataclass(frozen=True)
class Array:
    """A random array of this shape, with elements (real and imaginary parts, if complex) in (low, high)."""

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    off: float | None = None  # if given, elements are multiples of 0.01, plus this
    gaps: bool = False  # is every other element 0?

    def draw(self, rng, dtype):
        dtype = np.dtype(dtype)
        x = self._real(rng) + 1j * self._real(rng) if dtype.kind == "c" else self._real(rng)
        return np.asarray(x, dtype)

    def _real(self, rng):
        """One element in each of as many equal cells, off the cells' borders."""
        n = max(1, int(np.prod(self.shape)))
        cells = rng.permutation(n) + rng.uniform(0.3, 0.7, n)
        x = self.low + (self.high - self.low) * cells / n
        x[: n if self.gaps else 0 : 2] = 0
        x = x if self.off is None else np.round(x, 2) + self.off
        return np.resize(x, self.shape) if 0 not in self.shape else np.empty(self.shape)


@dataclass(frozen=True)
class Matrices(Array):
    """Random matrices far from singular: eigenvalues and singular values are about 3, 5, 7, …"""

    def draw(self, rng, dtype):
        rows, columns = self.shape[-2:]
        x = Array(self.shape, -0.5, 0.5).draw(rng, dtype)
        return (x + np.eye(rows, columns) * (3 + 2 * np.arange(columns))).astype(dtype)


@dataclass(frozen=True)
class Case:
    """One call: f(*operands, **keywords)."""

    operands: tuple
    keywords: dict

    def draw(self, rng, dtype):
        return [draw(operand, rng, dtype) for operand in self.operands]


def draw(operand, rng, dtype):
    if isinstance(operand, (list, tuple)):
        return type(operand)(draw(part, rng, dtype) for part in operand)
    return operand.draw(rng, dtype) if isinstance(operand, Array) else operand


@dataclass(frozen=True)
class Row:
    """How one function is tried; `complex`: does it take complex arrays? None: as its ufunc says.

    `half`: does it take float16?
    """

    cases: list[Case]
    complex: bool | None = None
    half: bool = True
    call: Callable | None = None


def A(*shape):
    return Array(shape)


def M(*shape):
    return Matrices(shape)


def case(*operands, **keywords):
    return Case(operands, keywords)


def row(*cases, **settings):
    return Row(list(cases), **settings)


def joined(f):
    """f's several arrays as one, each with a weight of its own."""
    return lambda *a, **k: np.concatenate([np.ravel(part) * (i + 2) for i, part in enumerate(f(*a, **k))])


def first_of(f):
    """The first of f's several arrays: the others are no numbers."""

    def call(*args, **keywords):
        y = f(*args, **keywords)
        return y[0] if isinstance(y, tuple) else y

    return call


def fit(*args, **keywords):
    """np.polyfit's arrays: without the rank, and where singular values are cut off."""
    found = np.polyfit(*args, **keywords)
    return [*found[:2], *found[3:4]] if isinstance(found, tuple) else found


def weighed(u, s, vh):
    """What does not depend on phases and bases that LAPACK chooses for the factors of a matrix."""
    k = s.shape[-1]
    weights, left, right = np.arange(1, k + 1, dtype=np.int8), u[..., k:], vh[..., k:, :]
    return (
        s, np.real(u * np.conjugate(u))[..., :k], (u[..., :k] * weights) @ vh[..., :k, :],
        left @ np.conjugate(np.swapaxes(left, -1, -2)), np.conjugate(np.swapaxes(right, -1, -2)) @ right,
    )  # fmt: skip


def svd(a, **keywords):
    found = np.linalg.svd(a, **keywords)
    return weighed(*found) if isinstance(found, tuple) else found


def eigh(a, UPLO="L"):
    w, v = np.linalg.eigh(a, UPLO)
    return weighed(v, w, np.conjugate(np.swapaxes(v, -1, -2)))


SHAPES = [[(2, 3)], [()], [(1,)], [(0,)], [(3, 0)]]
PAIRS = [
    [(2, 3), (2, 3)], [(2, 3), (3,)], [(3,), (2, 3)], [(2, 1), (1, 3)], [(3,), ()], [(), (2, 2)], [(), ()],
    [(1,), (2, 1, 2)], [(0, 3), (3,)], [(1,), (0,)],
]  # fmt: skip


def quiet(f):
    """f without the warning that it will leave NumPy."""

    def call(*args):
        with warnings.catch_warnings(action="ignore"):
            return f(*args)

    return call


def since(version, *cases):
    """These cases, where NumPy is new enough for their keywords."""
    return cases if np.lib.NumpyVersion(np.__version__) >= version else ()


def present(**rows):
    """Rows of functions that not every NumPy has, by name."""
    return {vars(np)[name]: found for name, found in rows.items() if name in vars(np)}


def elementwise(*domains, keywords=({},), **settings):
    """A row for f(x) or f(a, b), with one (low, high) per operand, over all kinds of shapes."""
    shapes = SHAPES if len(domains) == 1 else PAIRS
    cases = [
        Case(tuple(Array(shape, *domain) for shape, domain in zip(group, domains)), dict(named))
        for group in shapes
        for named in keywords
    ]
    return Row(cases, **settings)


def over_axes(*more, keepdims=True, **settings):
    """A row for f(x, axis=…, keepdims=…)."""
    x, deep = A(2, 3), A(2, 2, 2)
    cases = [
        case(deep), case(x, axis=1), case(x, axis=-2), case(deep, axis=(0, 2)), case(deep, axis=(-1, 0)),
        case(deep, 1), case(x, axis=()), case(x, axis=(0, 1)), case(A()), case(A(1), axis=0),
        case(A(0, 3), axis=1), case(A(4, 1), axis=1),
    ]  # fmt: skip
    kept = [case(x, keepdims=True), case(deep, axis=(0, -1), keepdims=True), case(A(), keepdims=True)]
    return Row(cases + (kept if keepdims else []) + list(more), **settings)


def where_and(**initial):
    """Cases of f(x, where=…), with an `initial` where the function has one."""
    mask = np.array([[True, False, True], [False, True, False]])
    return [
        case(A(2, 3), where=mask, **initial), case(A(2, 3), axis=0, where=[[True], [True]], **initial),
        case(A(2, 2, 3), axis=(0, -1), where=mask, keepdims=True, **initial), case(A(2, 3), 1, where=True, **initial),
    ]  # fmt: skip


ANY = (-2.0, 2.0)
PLUS = (0.3, 2.5)
CLEAR = (-2.0, 2.0, 0.005)  # of numbers with two digits
OFF_ZERO = (-1.0, 5.0)  # the one element, or any of six, is
REAL = {"complex": False}
NO_HALF = {"half": False}
MASK = np.array([[True, False, True], [False, True, True]])
ORDER = np.array([[1, 0, 2], [2, 1, 0]])
ROWS, COLUMNS = np.array([1, 0, 1]), np.array([2, 2, 0])

VECDOT = [
    case(A(3), A(3)), case(A(2, 3), A(3)), case(A(1, 3), A(2, 3)), case(A(2, 1, 3), A(2, 3)), case(A(3, 2), A(3, 1), axis=0),
    case(A(2, 0), A(0)), case(A(0, 2), A(2)),
]  # fmt: skip

FFT = [
    case(A(4)), case(A(5)), case(A(2, 3)), case(A(3, 2), axis=0), case(A(2, 5), 4), case(A(3), n=6), case(A(5, 2), 3, 0),
    case(A(2, 2, 3), 5, -2, "ortho"), case(A(5), 6, norm="forward"), case(A(4), norm="backward"), case(A(3), norm="ortho"),
    case(A(7, 1), 6, axis=-2, norm="forward"), case(A(0, 3), axis=1), case(A(0, 2), 3),
]  # fmt: skip
FFTN = [
    case(A(2, 3)), case(A(3)), case(A(3, 2, 2), axes=(0, 2)), case(A(2, 3), (3, 2), (0, 1)), case(A(2, 3), s=(4, 2), axes=(1, 0)),
    case(A(3, 2, 4), (2, 5), axes=(-1, 0), norm="ortho"), case(A(2, 3), norm="forward"), case(A(4, 3), (-1, 5), (1, 0)),
    case(A(3, 2), (-1, 4), (0, 1)), case(A(3, 4), (2, -1), (1, 0), "forward"), case(A(2, 2, 3), axes=(1,)),
]  # fmt: skip
FFT2 = [
    case(A(2, 3)), case(A(2, 3, 2)), case(A(2, 3), (3, 2)), case(A(3, 2, 2), (2, 5), (0, 2), "ortho"), case(A(4, 2), axes=(1, 0)),
    case(A(3, 2), norm="forward"),
]  # fmt: skip


X3, X4 = Array((3,), *CLEAR), Array((4,), *CLEAR)


def KNOTS(n):
    """Numbers with two digits: no element of what is CLEAR is one of them."""
    return Array((n,), -2.0, 2.0, 0.0)


K4 = KNOTS(4)


def PLUSES(*shape):
    return Array(shape, *PLUS)


def in_one(f):
    """f's arrays, of which there may be one or several, as one."""

    def call(*args, **keywords):
        y = f(*args, **keywords)
        return joined(lambda: y)() if isinstance(y, tuple) else y

    return call


METHODS = [
    "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull", "linear",
    "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest",
]  # fmt: skip


def quantiles(whole):
    """A row for f(x, q) with q up to `whole`."""
    some = [0.1 * whole, 0.55 * whole, 1.0 * whole]
    return row(
        *(case(A(7), 0.37 * whole, method=method) for method in METHODS), case(A(5), some), case(A(2, 3), some, axis=1), case(A(), 0.3 * whole),
        case(A(3, 4), [[0.2 * whole], [0.0]], 0, keepdims=True), case(A(2, 3, 2), 0.4 * whole, axis=(0, -1)), case(A(2, 3), some, (0, 1), keepdims=True),
        case(A(4), 0.7 * whole, weights=[1.0, 2.0, 1.0, 0.5], method="inverted_cdf"),
        case(A(2, 3), some, axis=1, weights=np.array([[1, 2, 3], [2, 1, 1]]), method="inverted_cdf"), case(A(1), 0.5 * whole), **REAL,
    )  # fmt: skip


CUMULATIVE = row(
    case(A(4)), case(A(2, 3), axis=0), case(A(2, 3), axis=-1, include_initial=True), case(A(3), include_initial=True), case(A(0)),
    case(A(0), include_initial=True), case(A(2, 3, 2), axis=1, include_initial=True),
)  # fmt: skip


def special_rows():
    """The rows of scipy.special's functions, where SciPy is installed."""
    if importlib.util.find_spec("scipy") is None:
        return {}
    from scipy import special as s

    from tinygrad_bp.ops import gamma
    from tinygrad_bp.ops.special import hankel_quotient

    def orders(*given, **settings):
        """A row for f(order, z) with constant orders."""
        several = case([[-1.0], [0], [2]], Array((2,), *few))
        return row(*(case(v, Array(shape, *few)) for v in given for (shape,) in SHAPES), several, **settings)

    few, unit, wide = (0.3, 2.5), (0.05, 0.95), (0.3, 6.0)
    return {
        **dict.fromkeys([s.gamma, s.gammaln, s.loggamma, s.psi], elementwise(wide, **REAL)),
        s.rgamma: elementwise(wide, **REAL),
        s.poch: elementwise(few, few),
        **dict.fromkeys([s.dawsn, s.wofz], elementwise(ANY)),
        **{f: elementwise(few, call=joined(f)) for f in (s.fresnel, s.sici)},
        s.hyp0f1: row(case(1.5, Array((2, 3), *few)), case([0.5, 2], Array((2,), *few)), case(1.5, Array((), *few))),
        s.hyp1f1: row(case(1.5, 2.5, Array((2, 3), *few)), case([0.5, 2], 3.0, Array((2,), *few)), case(1.5, 0.5, Array((), *few))),
        s.hyp2f1: row(case(1.5, 2.5, 3.0, Array((2, 3), *unit)), case([0.5, 2], 3.0, 1.5, Array((2,), 0.1, 0.6)), case(1.5, 0.5, 2, Array((), *unit))),
        gamma.polygamma: row(*(case(n, Array(shape, *few)) for n in (0, 1, 3) for shape in [(2, 3), (), (0,)]), **REAL, **NO_HALF),
        **dict.fromkeys([s.beta, s.betaln], elementwise(few, wide)),
        **dict.fromkeys([gamma.psi_step, gamma.gamma_density], elementwise(few, wide, **REAL, **NO_HALF)),
        gamma.rgamma_slope: elementwise(wide, call=lambda x: gamma.rgamma_slope(s.rgamma(x), x), **REAL, **NO_HALF),
        gamma.beta_slope: elementwise(few, wide, call=lambda a, b: gamma.beta_slope(s.beta(a, b), a, b), **REAL, **NO_HALF),
        gamma.beta_density: row(case(1.5, 2, Array((2, 3), *unit)), case(2.5, 0.7, Array((), *unit)), case(0.5, 4, Array((0,), *unit)), **REAL, **NO_HALF),
        s.betainc: row(case(1.5, 2, Array((2, 3), *unit)), case([0.5, 1, 4], [[2.0], [1.0]], Array((3,), *unit)), case(2.5, 0.7, Array((), *unit))),
        **dict.fromkeys([s.gammainc, s.gammaincc], Row([*elementwise(wide, wide).cases, case(2, Array((3,), *few)), case(Array((3,), *unit), Array((3,), *few))])),
        **dict.fromkeys([s.gammaincinv, s.gammainccinv], elementwise((0.8, 4.0), (0.1, 0.9))),
        gamma.log_moment: elementwise((1.1, 6.0), wide, keywords=[{"k": k} for k in (0, 1, 2)], **REAL, **NO_HALF),
        **dict.fromkeys([s.erf, s.erfc, s.erfi, s.erfcx, s.ndtr, s.log_ndtr], elementwise((-1.5, 1.5))),
        **dict.fromkeys([s.erfinv, s.logit], elementwise(unit)),
        **dict.fromkeys([s.erfcinv, s.ndtri], elementwise((0.1, 0.9))),
        **dict.fromkeys([s.exp1, s.expi], elementwise(few)),
        **dict.fromkeys([s.expit, s.log_expit, s.exp2, s.exp10, s.cosm1, s.expm1], elementwise(ANY)),
        **dict.fromkeys([s.log1p, s.cbrt, s.entr], elementwise(few)),
        **dict.fromkeys([s.xlogy, s.xlog1py], Row([*elementwise(ANY, few).cases, case(2.0, Array((3,), *few)), case(A(3), 2)])),
        **dict.fromkeys([s.rel_entr, s.kl_div], elementwise(few, few)),
        **dict.fromkeys([s.j0, s.j1, s.i0, s.i1, s.i0e, s.i1e], elementwise(ANY)),
        **dict.fromkeys([s.y0, s.y1, s.k0, s.k1, s.k0e, s.k1e], elementwise(few)),
        **dict.fromkeys([s.jv, s.yv, s.iv, s.kv, s.kve], orders(0.5, 2)),
        **dict.fromkeys([s.hankel1, s.hankel2], orders(0.5, 2)),
        **dict.fromkeys([s.ive, s.jve, s.yve], orders(0.5, 2, **REAL)),
        **dict.fromkeys([s.yn, s.kn], orders(2, 0)),
        hankel_quotient: row(*(case(v, Array(shape, 51.0, 60.0), sign=1, k=k) for v, k in [(1.5, 1), (2, 2)] for shape in [(2, 3), (), (0,)]), **NO_HALF),
    }  # fmt: skip


def folds_step_by_step():
    """Rows of the methods of ufuncs that have no rule of their own, such as np.hypot.reduce."""
    domains: dict[Any, tuple] = dict.fromkeys([np.subtract, np.hypot, np.logaddexp2, np.copysign], PLUS)
    domains |= dict.fromkeys(
        [np.fmax, np.fmin, np.logaddexp, np.add, np.multiply, np.maximum, np.minimum], ANY
    )
    domains |= dict.fromkeys([np.float_power, np.true_divide], (0.8, 1.4))
    domains |= dict.fromkeys([np.remainder, np.fmod, np.floor_divide], (2.0, 2.9))
    by_mask = [np.hypot, np.logaddexp2, np.fmax, np.fmin]
    rows = {}
    for f, domain in domains.items():
        line, plane, solid = (Array(shape, *domain) for shape in [(3,), (2, 3), (2, 2, 2)])
        whole = [case(solid, axis=(0, -1), keepdims=True), case(plane, axis=None)]
        whole += [case(plane, axis=1, where=MASK, initial=0.5)]
        rows |= {
            f.reduce: row(
                case(line),
                case(plane, 1),
                case(plane, axis=-1, keepdims=True),
                case(line, initial=1.2),
                case(line, dtype=float),
                *(whole if f in by_mask else []),
                **REAL,
                **NO_HALF,
            ),
            f.accumulate: row(case(line), case(plane, axis=1), case(solid), case(A(2, 0)), **REAL, **NO_HALF),
            f.reduceat: row(
                case(Array((5,), *domain), [0, 3, 1, 2]), case(plane, [0, 2], 1), **REAL, **NO_HALF
            ),
        }
    return {f: found for f, found in rows.items() if f in REGISTRY}


def on_and_off_the_line(*domains):
    """A row for a function of np.emath: of reals that have a value, of some that have none, of none that has."""
    first, *more = elementwise(domains[0]).cases, *([case(Array((6,), *d))] for d in domains[1:])
    return row(*sum(more, first))


OPS: dict[Any, Row] = {
    **dict.fromkeys([np.emath.sqrt, np.emath.log, np.emath.log2, np.emath.log10], on_and_off_the_line(PLUS, OFF_ZERO, (-3.0, -0.5))),
    **dict.fromkeys([np.emath.arcsin, np.emath.arccos, np.emath.arctanh], on_and_off_the_line((-0.9, 0.9), (-0.9, 2.7), (1.2, 3.0))),
    np.emath.logn: row(case(PLUSES(2, 3), PLUSES(3)), case(Array((6,), 1.5, 3.0), Array((6,), *OFF_ZERO)), case(-2.5, PLUSES(2)), case(PLUSES(), 3)),
    np.emath.power: row(case(PLUSES(2, 3), A(3)), case(Array((6,), *OFF_ZERO), A(6)), case(A(3), np.array([2, -1, 3])), case(-2, A(2)), case(A(), 2)),
    **folds_step_by_step(),
    # arithmetic
    np.add: elementwise(ANY, ANY),
    np.subtract: elementwise(ANY, ANY),
    np.multiply: elementwise(ANY, ANY),
    np.true_divide: elementwise(ANY, PLUS),
    np.power: elementwise(PLUS, ANY),
    np.remainder: elementwise((3.1, 3.6), (1.25, 1.45)),  # 2 and a part
    np.fmod: elementwise((-3.6, -3.1), (1.25, 1.45)),
    np.divmod: elementwise((3.1, 3.6), (1.25, 1.45), call=joined(np.divmod)),
    np.float_power: elementwise(PLUS, ANY),
    np.copysign: elementwise(OFF_ZERO, OFF_ZERO),
    np.ldexp: row(
        case(A(2, 3), np.array([3, -2, 0])), case(A(), 2), case(A(0), 1), case(A(3), np.array([[1], [-1]])), case(A(2), [1, 2]),
    ),
    np.frexp: elementwise((1.05, 1.95), call=lambda x: np.frexp(x)[0]),
    np.modf: elementwise((0.1, 0.9), call=joined(np.modf)),
    np.negative: elementwise(ANY),
    np.positive: elementwise(ANY),
    np.reciprocal: elementwise(PLUS),
    np.square: elementwise(ANY),
    np.sqrt: elementwise(PLUS),
    np.cbrt: elementwise(PLUS),
    ours.reciprocal_or_zero: elementwise(PLUS),
    # exponentials and logarithms
    np.exp: elementwise(ANY),
    np.exp2: elementwise(ANY),
    np.expm1: elementwise(ANY),
    np.log: elementwise(PLUS),
    np.log2: elementwise(PLUS),
    np.log10: elementwise(PLUS),
    np.log1p: elementwise((-0.7, 2.0)),
    np.logaddexp: elementwise(ANY, ANY),
    np.logaddexp2: elementwise(ANY, ANY),
    # trigonometric
    np.sin: elementwise(ANY),
    np.cos: elementwise(ANY),
    np.tan: elementwise((-1.2, 1.2)),
    np.arcsin: elementwise((-0.9, 0.9)),
    np.arccos: elementwise((-0.9, 0.9)),
    np.arctan: elementwise((-0.9, 0.9)),
    np.arctan2: elementwise(ANY, PLUS),
    np.hypot: elementwise(ANY, PLUS),
    np.deg2rad: elementwise(ANY),
    np.radians: elementwise(ANY),
    np.rad2deg: elementwise(ANY),
    np.degrees: elementwise(ANY),
    np.sinc: row(
        case(A(2, 3)), case(A()), case(A(0)), case(Array((2, 3), 3.1, 4.9)), case(Array((2,), -1e-4, 1e-4)),
        case(Array((3,), -9.0, -5.0)),
    ),
    ours.sinc_derivative: row(*(case(Array((2, 3), -high, high), n=n) for n in (1, 2, 3, 4) for high in (0.5, 3.0)), half=False),
    np.unwrap: row(
        case(Array((2, 3), -9.0, 9.0)), case(Array((4, 2), -9.0, 9.0), axis=0), case(A(4), period=1.1), case(A(0)), case(A(3), 4.0),
        **REAL,
    ),
    # hyperbolic
    np.sinh: elementwise(ANY),
    np.cosh: elementwise(ANY),
    np.tanh: elementwise((-1.4, 1.4)),
    np.arcsinh: elementwise((-0.9, 0.9)),
    np.arccosh: elementwise((1.2, 3.0)),
    np.arctanh: elementwise((-0.9, 0.9)),
    np.i0: row(case(A(2, 3)), case(A()), case(A(0)), case(Array((3,), 6.0, 11.0)), **REAL),
    ours.bessel_i: row(*(case(A(2, 3), n=n) for n in range(4)), case(Array((2,), 7.0, 9.0), 1), **REAL),
    # pieces
    np.absolute: elementwise(OFF_ZERO),
    np.fabs: elementwise(OFF_ZERO),
    np.sign: elementwise(ANY),
    np.maximum: elementwise((-2.0, 2.0, 0.0), (-1.7, 1.9, 0.005)),
    np.minimum: elementwise((-2.0, 2.0, 0.0), (-1.7, 1.9, 0.005)),
    np.fmax: elementwise((-2.0, 2.0, 0.0), (-1.7, 1.9, 0.005)),
    np.fmin: elementwise((-2.0, 2.0, 0.0), (-1.7, 1.9, 0.005)),
    np.where: row(
        case(MASK, A(2, 3), A(2, 3)), case(MASK, A(3), A(2, 1)), case(MASK, A(), A(2, 3)), case(True, A(), A()),
        case(np.array([True, False]), A(3, 1), A()), case(np.ones((0, 3), bool), A(3), A(1)),
        case(MASK, A(2, 3), 0.0), case(MASK, 1, A(2, 3)),
    ),
    np.clip: row(
        case(Array((2, 3), *CLEAR), -1.1, 0.7), case(Array((2, 3), *CLEAR), a_min=0.1, a_max=None), case(Array((2, 3), *CLEAR), None, 0.2),
        case(Array((), *CLEAR), -1, 1), case(A(0, 3), -1, 1), case(Array((2, 3), *CLEAR), Array((3,), -1.9, -0.6, 0.0), Array((2, 1), 0.5, 1.2, 0.0)),
        *since("2.1.0", case(Array((2, 3), *CLEAR), min=-0.6, max=0.7), case(Array((2, 3), *CLEAR), max=0.3), case(Array((2, 3), *CLEAR))),
    ),
    ours.between: row(
        case(Array((2, 3), *CLEAR), -1.1, 0.7), case(Array((), *CLEAR), -np.inf, 1.0), case(Array((2, 3), *CLEAR), Array((3,), -1.9, -0.6, 0.0), Array((2, 1), 0.5, 1.2, 0.0)), case(A(0), 0, 1),
        case(Array((3,), *CLEAR), Array((3,), 0.5, 1.5, 0.0), Array((3,), -1.5, -0.5, 0.0)),
    ),
    # complex numbers
    np.conjugate: elementwise(ANY),
    np.real: elementwise(ANY),
    np.imag: elementwise(ANY),
    np.angle: row(case(A(2, 3)), case(A(2, 3), deg=True), case(A()), case(A(0)), case(A(2), True)),
    np.nan_to_num: row(
        case(A(2, 3)), case(A()), case(A(0)), case(A(3), nan=2.0), case(A(2), True, 1.0, 2.0, neginf=-1.0),
    ),
    np.real_if_close: row(case(A(2, 3)), case(A()), case(A(0)), case(A(2), tol=1e20)),
    # activations
    sigmoid: elementwise(ANY, **REAL),
    relu: elementwise(OFF_ZERO, **REAL),
    leaky_relu: elementwise(OFF_ZERO, keywords=({}, {"negative_slope": 0.3}), **REAL),
    softplus: elementwise(ANY, keywords=({}, {"beta": 2.5}), **REAL),
    softmax: over_axes(case(A(2, 0)), case(A(0)), case(A(2, 3), axis=None), keepdims=False, **REAL),
    log_softmax: over_axes(case(A(2, 0)), case(A(0)), case(A(2, 3), axis=None), keepdims=False, **REAL),
    logsumexp: over_axes(case(A(), axis=-1), case(A(0, 3), axis=1, keepdims=True), **REAL),
    # reductions
    spread: row(
        case(A(3), shape=(2, 3)), case(A(), shape=(2, 2)), case(A(2, 1), (2, 3)), case(A(1), shape=(0,)),
        case(A(2, 1), shape=(2, 4100)),
    ),
    **dict.fromkeys([np.sum, np.nansum], over_axes(
        case(A(2, 3), 0, None, None, True), case(A(0)), case(A(), axis=-1), *where_and(initial=0.5), case(A(2, 3), 0, initial=2),
    )),
    **dict.fromkeys([np.prod, np.nanprod], over_axes(
        case(A(2, 3), 0, None, None, True), case(A(0)), case(A(), axis=-1), *where_and(initial=0.5), case(A(2, 3), 0, initial=2),
        case(Array((3,), gaps=True)), case(Array((2, 4), gaps=True), axis=1), case(Array((3, 3), gaps=True), axis=0),
    )),
    **dict.fromkeys([np.mean, np.nanmean], over_axes(
        case(A(2, 3), 0, None, None, True), case(A(3, 2), axis=np.int64(0)), *where_and(),
    )),
    **dict.fromkeys([np.var, np.nanvar], over_axes(
        case(A(2, 3), ddof=1), case(A(2, 3), axis=0, correction=1), case(A(3), ddof=0.5), *where_and(),
        case(A(2, 3), mean=0.3), case(A(2, 3), 1, mean=np.array([[0.25], [-0.125]], np.float16), ddof=1), case(A(3, 3), where=np.eye(3) < 1, ddof=1),
    )),
    **dict.fromkeys([np.std, np.nanstd], over_axes(
        case(A(2, 3), ddof=1), case(A(2, 3), axis=0, correction=1, keepdims=True), case(A(2, 3), 0, None, None, 1),
        *where_and(), case(A(2, 3), mean=0.3),
    )),
    **dict.fromkeys([np.max, np.amax, np.nanmax], over_axes(case(A(), axis=0), *where_and(initial=-9.0), case(A(2, 3), 1, initial=0.1))),
    **dict.fromkeys([np.min, np.amin, np.nanmin], over_axes(case(A(), axis=0), *where_and(initial=9.0), case(A(2, 3), 1, initial=0.1))),
    np.ptp: over_axes(),
    others: row(case(A(2, 3)), case(A(1)), case(A(2, 0)), case(Array((2, 3), gaps=True)), case(Array((4,), gaps=True))),
    # statistics
    **dict.fromkeys([np.median, np.nanmedian], row(
        case(A(5)), case(A(2, 3, 2)), case(A(3, 4), axis=1), case(A(4, 3), 0, keepdims=True), case(A(2, 3), 1, None, False, True),
        case(A(2, 3, 2), axis=(0, -1)), case(A()), case(A(1)), case(A(2, 2), axis=(0, 1), keepdims=True),
    )),
    **dict.fromkeys([np.quantile, np.nanquantile], quantiles(1)),
    **dict.fromkeys([np.percentile, np.nanpercentile], quantiles(100)),
    np.average: row(
        case(A(2, 3)), case(A(2, 3), axis=1, keepdims=True), case(A(2, 3), returned=True, axis=0), case(A(3), None, PLUSES(3)),
        case(A(2, 3), None, PLUSES(2, 3)), case(A(2, 3), 1, PLUSES(3)), case(A(2, 3, 2), (1, 0), PLUSES(3, 2)),
        case(A(2, 3), 0, PLUSES(2), returned=True), case(A(3), weights=[1, 2, 3]), case([1.0, 2.0], None, PLUSES(2)),
        case(A(2, 3, 2), -2, PLUSES(2, 3, 2), keepdims=True), case(np.array([1, 2]), None, PLUSES(2)), call=in_one(np.average),
    ),
    np.cov: row(
        case(A(2, 4)), case(A(5)), case(A(4, 2), rowvar=False), case(A(2, 4), A(4)), case(A(2, 4), A(1, 4), bias=True), case(A(4), A(4)),
        case(A(2, 4), ddof=0), case(A(2, 4), aweights=[0.5, 2.0, 1.0, 0.7]), case(A(2, 4), fweights=np.array([1, 2, 1, 3])),
        case(A(2, 4), ddof=2, fweights=[1, 2, 1, 3], aweights=[0.5, 2.0, 1.0, 0.7]), case(A(4, 2), A(4, 1), False),
        case(A(2, 3), dtype=np.complex128),
    ),
    np.corrcoef: row(case(A(2, 4)), case(A(3, 4)), case(A(4, 2), rowvar=False), case(A(2, 4), A(4)), case(A(5))),
    np.bincount: row(
        case(np.array([0, 2, 0]), A(3)), case(np.array([0, 2, 0]), A(3), minlength=5), case([1, 1], A(2)), **REAL,
    ),
    # differences and integrals
    difference: row(case(A(4)), case(A(2, 3)), case(A(3, 2), axis=0), case(A(2, 3, 2), axis=-2), case(A(1)), case(A(2, 1))),
    np.diff: row(
        case(A(4)), case(A(2, 3), axis=0), case(A(5), 2), case(A(2, 4), n=3, axis=-1), case(A(3), 0), case(A(2), n=4), case(A(0)),
        case(A(3), prepend=0), case(A(3), 1, -1, A(2), A()), case(A(2, 3), 1, 0, A(1, 3), A(2, 3)), case(A(2, 3), 2, -1, A(), A(2, 1)),
        case(np.arange(3), 1, 0, A(1)),
    ),
    np.ediff1d: row(case(A(4)), case(A(2, 3)), case(A(3), A(2)), case(A(3), A(), A(1, 2)), case(A(1)), case(A(2), None, A(2))),
    np.trapezoid: row(
        case(A(4)), case(A(2, 3)), case(A(3, 2), axis=0, dx=0.5), case(A(4), A(4)), case(A(2, 3), A(3)), case(A(3, 2), A(3), axis=0),
        case(A(2, 3), A(2, 3)), case(A(1)), case(np.arange(3), A(3)), case(A(3), [0, 1, 3]), case(A(3), None, A()),
    ),
    **dict.fromkeys([unit_slopes, unit_slopes_back], row(
        case(A(2), edge_order=1), case(A(5), edge_order=1), case(A(3), edge_order=2), case(A(4, 2), edge_order=2),
    )),
    np.gradient: row(
        case(A(4)), case(A(2, 3)), case(A(4), 0.5), case(A(4), PLUSES()), case(A(3, 4), axis=1), case(A(3, 4), axis=(0, -1), edge_order=2),
        case(A(4), [0, 1, 3, 4]), case(A(4), A(4), edge_order=2), case(A(4, 2), 2.0, A(2)), case(A(3, 2), A(3), axis=0),
        case(A(3, 3), 1.5, edge_order=2), case(A(5), edge_order=2), case(A(2)), call=in_one(np.gradient), half=False,
    ),
    np.interp: row(
        case(X4, K4, A(4)), case(Array((2, 2), *CLEAR), KNOTS(3), A(3)), case(Array((), *CLEAR), K4, A(4)), case(0.305, K4, A(4)),
        case(X4, Array((3,), -0.9, 0.8, 0.0), A(3), left=-1.0, right=0.7), case(X3, K4, [1.0, 2.0, 4.0, 0.0]), case(A(0), A(2), A(2)),
        case(X3, K4, A(4), period=4.5), case(X4, Array((3,), 5.0, 5.9, 0.0), A(3), None, None, 1.1), case(X3, [0, 1], A(2)),
        case(X3, KNOTS(1), A(1)), case(X3, KNOTS(2), A(2), 1),
        call=lambda x, xp, fp, *some, **k: np.interp(x, np.sort(xp), fp, *some, **k), **REAL,
    ),
    # convolutions and polynomials
    **dict.fromkeys([np.convolve, np.correlate], row(
        *(case(A(n), A(m), mode) for n, m in ((4, 3), (3, 4), (5, 2), (2, 4), (2, 5), (1, 3), (3, 3)) for mode in ("full", "same", "valid")),
        case(A(4), A(2)), case(A(3), [1.0, 2.0]), case([1.0, 2.0], A(3), mode="full"), half=False,
    )),
    np.polyval: row(case(A(3), A()), case(A(3), A(2, 2)), case(A(3), 0.5), case([1.0, 2.0], A(3)), case(A(1), A(2)), case(A(2), [1, 2])),
    **dict.fromkeys([np.polyadd, np.polysub], row(case(A(3), A(3)), case(A(2), A(4)), case(A(4), A(1)), case(A(3), [1.0]), case(A(), A(2)))),
    np.polymul: row(case(A(3), A(3)), case(A(2), A(4)), case(A(3), 2.0), case(A(3), [0.0, 1.0]), half=False),
    np.polyder: row(case(A(4)), case(A(4), 2), case(A(3), m=0), case(A(2), 2)),
    np.polyint: row(case(A(3)), case(A(3), 2), case(A(2), m=2, k=[1.0, 2.0]), case(A(2), 2, 3.0), case(A(2), 0)),
    np.polydiv: row(
        case(A(4), A(1)), case(A(3), A(2)), case(A(2), A(2)), case(A(2), A(3)), case(np.arange(4), A(2)),
        call=lambda u, v: joined(np.polydiv)(u, np.concatenate([np.ones(1, v.dtype), v])),
    ),
    np.poly: row(case(A(3)), case(A(1)), case(A(2, 2)), half=False),
    np.roots: row(
        case(A(2), [1, -2]), case(A(3), [1, -3, 2]), case(A(3), [2, 0, 1]), case(A(4), [1, -7, 14, -8]),
        call=lambda p, q: np.roots(np.concatenate([np.zeros(1, p.dtype), p / 32 + np.array(q, p.dtype), np.zeros(2, p.dtype)])), half=False,
    ),
    np.vander: row(case(A(3)), case(A(3), 2), case(A(2), N=4, increasing=True), case(A(2), 1)),
    np.polyfit: row(
        case([0, 1, 3, 4], A(4), 1), case(A(4), A(4), 2), case(A(5), A(5, 2), 2), case(A(4), A(4), 1, None, False, PLUSES(4)), case(A(4), A(4), 0),
        case(A(5), A(5), 1, full=True), case(A(5), A(5, 2), 1, None, True, PLUSES(5)), case(A(5), A(5), 1, cov=True), case(A(5), A(5, 2), 2, cov=True),
        case(A(5), A(5), 1, None, False, PLUSES(5), "unscaled"), case(A(5), A(5, 2), 1, cov="unscaled"), call=fit, half=False, **REAL,
    ),
    **dict.fromkeys([np.cumsum, np.cumprod, np.nancumsum, np.nancumprod], row(
        case(A(2, 3)), case(A(2, 3), 0), case(A(2, 3, 2), axis=-2), case(A(5), -1), case(A()), case(A(), 0), case(A(0)), case(A(0, 2), 0),
        case(A(2, 0), axis=1), case(A(2, 3), dtype=complex), case(A(1, 4), 0), case(A(7), axis=0), case(Array((5,), gaps=True)),
        case(Array((2, 3), gaps=True), axis=1),
    )),
    **present(cumulative_sum=CUMULATIVE, cumulative_prod=CUMULATIVE),
    **dict.fromkeys([np.maximum.accumulate, np.minimum.accumulate, np.logaddexp.accumulate], row(
        case(A(5)), case(A(2, 3), axis=1), case(A(3, 2, 2)), case(A(2, 3), axis=-2), case(A(0)), case(A(2, 0), axis=1), **REAL,
    )),
    np.logaddexp.reduce: row(
        case(A(3)), case(A(2, 3)), case(A(2, 3), axis=1, keepdims=True), case(A(2, 2, 2), axis=(0, -1)), case(A(3), initial=0.5),
        case(A(2, 3), axis=None), case(A(2, 3), where=MASK, axis=1), **REAL,
    ),
    # shapes
    np.reshape: row(
        case(A(2, 3), (3, 2)), case(A(2, 3), -1), case(A(2, 3, 2), (3, -1), order="F"), case(A(2), (2, 1), "F"),
        case(A(), (1, 1)), case(A(1), ()), case(A(0, 3), (3, 0)),
        *since("2.1.0", case(A(4), shape=(2, 2))),
    ),
    np.ravel: row(case(A(2, 3)), case(A(2, 3), order="F"), case(A()), case(A(0, 3)), case(A(2, 3), "F")),
    np.squeeze: row(
        case(A(1, 3, 1)), case(A(1, 3, 1), axis=-1), case(A(1, 3, 1), axis=(0, 2)), case(A()), case(A(1)),
        case(A(1, 0)),
    ),
    np.expand_dims: row(
        case(A(2, 3), 0), case(A(2, 3), axis=-1), case(A(2, 3), axis=(0, -2)), case(A(), 0), case(A(0), 1),
    ),
    np.transpose: row(
        case(A(2, 3)), case(A(2, 3, 2), (2, 0, 1)), case(A(2, 3, 2), axes=(-1, 0, 1)), case(A(3), (0,)), case(A()),
        case(A(0, 3)), case(A(2, 1, 3, 2), [1, 3, 0, 2]), case(A(), ()),
    ),
    np.swapaxes: row(case(A(2, 3, 2), 0, 1), case(A(2, 3, 2), -1, 0), case(A(0, 3), axis1=1, axis2=0)),
    np.moveaxis: row(
        case(A(1, 2, 3), 0, -1), case(A(1, 2, 3), (0, 1), (-1, 0)), case(A(1, 2, 3), source=2, destination=0),
        case(A(0, 3), 0, 1),
    ),
    np.diagonal: row(
        case(A(3, 3)), case(A(2, 3), offset=1), case(A(3, 2), -1), case(A(2, 3, 2), 0, 0, 2),
        case(A(2, 3, 2), axis1=1, axis2=-1), case(A(0, 3)),
    ),
    np.lib.stride_tricks.sliding_window_view: row(
        case(A(4), 2), case(A(5), (3,)), case(A(2, 3), (2, 2)), case(A(2, 4), 2, axis=1), case(A(2, 3, 2), (2, 2), axis=(-2, 0)),
        case(A(4, 2), (2, 2), (0, 0)), case(A(3), window_shape=(3,)), case(A(3), 1), case(A(2, 0), 2, axis=0),
    ),
    overlapped: row(
        case(A(3, 2), (4,), 2, None), case(A(2, 3, 2), (2, 4), 2, 1), case(A(2, 1, 2, 2), (4, 1), (2, 2), (0, 0)),
        case(A(1, 2, 2, 2), (2, 3), window_shape=(2, 2), axis=None),
    ),
    diagonal_of: row(
        case(A(2), (2, 3)), case(A(2), (3, 3), offset=-1), case(A(3, 2), shape=(2, 3, 2), offset=0, axis1=0, axis2=2),
    ),
    np.split: row(
        case(A(4), 2), case(A(2, 3), [1], axis=1), case(A(2, 3), 1, -1), case(A(4), [1, 1, 3]), case(A(4), (1, 6)),
        call=joined(np.split),
    ),
    np.array_split: row(case(A(4), 3), case(A(2, 3), 2, axis=1), case(A(2), 3), call=joined(np.array_split)),
    np.broadcast_to: row(
        case(A(3), (2, 3)), case(A(2, 1), (2, 2)), case(A(), (2, 2)), case(A(), ()), case(A(1), shape=(0,)),
        case(A(2, 1, 2), (3, 2, 2, 2)),
    ),
    np.copy: row(case(A(2, 3)), case(A()), case(A(0)), case(A(2, 3), order="F")),
    np.ndarray.astype: row(
        case(A(2, 3), np.complex128), case(A(), np.complex128), case(A(0), np.complex128),
        call=lambda x, dtype: x.astype(dtype),
    ),
    np.concatenate: row(
        case([A(2, 3), A(1, 3)]), case([A(2, 3), A(2, 1), A(2, 2)], axis=1), case([A(2, 3), A(2)], axis=None),
        case([A(2, 3), A(2, 1)], -1), case([A(0), A(2)]), case([A(2)]), case([A(2, 0), A(2, 3)], axis=1),
        case([A(2, 3), np.ones((1, 3), np.int8)]), case((A(2), A(3))),
        case([A(2), [1, 2]]),
    ),
    np.stack: row(
        case([A(2, 3), A(2, 3)]), case([A(2, 3), A(2, 3)], axis=1), case([A(2, 3)] * 3, axis=-1), case([A()] * 3),
        case([A(0)] * 2, -2), case([A(3), np.ones(3, np.int8)], axis=1), case((A(2), A(2))),
    ),
    np.astype: row(case(A(2, 3), np.complex128), case(A(0), np.complex128, copy=False), *since("2.4.0", case(A(), np.complex128))),
    np.rollaxis: row(
        case(A(1, 2, 3), 2), case(A(1, 2, 3), 0, 2), case(A(1, 2, 3), -1, start=1), case(A(1, 2, 3), 0, -1), case(A(1, 2, 3), 1, 3),
        case(A(2, 3), axis=1, start=1), case(A(2, 0), 1),
    ),
    np.flip: row(
        case(A(2, 3)), case(A(2, 3), 0), case(A(2, 3), axis=-1), case(A(2, 3, 2), (0, 2)), case(A()), case(A(0, 2)),
        case(A(2, 3), axis=()),
    ),
    np.fliplr: row(case(A(2, 3)), case(A(2, 3, 2)), case(A(0, 2))),
    np.flipud: row(case(A(3)), case(A(2, 3)), case(A(0))),
    np.rot90: row(
        case(A(2, 3)), case(A(2, 3), 2), case(A(2, 3), k=3), case(A(2, 3), -1), case(A(2, 3), 4), case(A(2, 3, 2), 1, (2, 0)),
        case(A(2, 3, 2), axes=(1, -1)), case(A(0, 2)),
    ),
    np.roll: row(
        case(A(4), 1), case(A(4), -6), case(A(2, 3), 2), case(A(2, 3), 1, 0), case(A(2, 3), shift=-2, axis=-1),
        case(A(2, 3), (1, 2), (0, 1)), case(A(2, 3), 1, axis=(0, 1)), case(A(2, 3), (1, 1), axis=1), case(A(0, 2), 1),
        *since("2.4.0", case(A(5), np.uint8(2))), case(A(2, 3), [1, 2], axis=[1, 0]), case(A(), 3),
    ),
    np.repeat: row(
        case(A(3), 2), case(A(2, 3), 2), case(A(2, 3), 2, 0), case(A(2, 3), repeats=3, axis=-1), case(A(3), [0, 1, 2]), case(A(3), [2]),
        case(A(2, 3), [2, 1], axis=0), case(A(2, 3), np.array([0, 2, 1]), 1), case(A(2, 3), 0), case(A(), 3), case(A(0, 2), 2),
        case(A(2, 2), [1, 0, 2, 1]), case(A(2, 3), [0, 0], 0),
    ),
    np.tile: row(
        case(A(3), 2), case(A(2, 3), 2), case(A(2, 3), (2, 1)), case(A(2, 3), (2, 1, 2)), case(A(3), reps=(2, 2)), case(A(2, 1, 2), 3),
        case(A(), 3), case(A(), ()), case(A(2), 0), case(A(0, 2), 2), case(A(2, 3), [1]), case(A(2), (1,)), case(A(2, 3), ()),
    ),
    np.diag: row(
        case(A(3)), case(A(2), 1), case(A(2), k=-1), case(A(3, 3)), case(A(2, 3), 1), case(A(3, 2), -1), case(A(0)), case(A(0, 2)),
    ),
    np.diagflat: row(case(A(3)), case(A(2, 2)), case(A(2), 1), case(A(2), k=-2), case(A()), case(A(0))),
    **dict.fromkeys([np.tril, np.triu], row(
        case(A(3, 3)), case(A(2, 3)), case(A(3, 2), 1), case(A(2, 3), k=-1), case(A(2, 2, 3)), case(A(3)), case(A(3), 1), case(A(0, 2)),
    )),
    np.vstack: row(
        case([A(3), A(3)]), case([A(2, 3), A(3)]), case([A(), A(1)]), case([A(2, 3), A(1, 3)]), case((A(1, 2, 2), A(2, 2, 2))),
        case([A(0, 2), A(2)]), case([A(2), [1, 2]]),
    ),
    np.hstack: row(
        case([A(3), A(2)]), case([A(2, 3), A(2, 1)]), case([A(), A(2)]), case((A(2, 1, 2), A(2, 2, 2))), case([A(), A()]), case([A(0), A(2)]),
        case([A(2), [1, 2]]), case([A(2, 0), A(2, 3)]),
    ),
    np.dstack: row(
        case([A(3), A(3)]), case([A(2, 3), A(2, 3)]), case([A(2, 3), A(2, 3, 2)]), case([A(), A()]), case((A(1, 2, 2), A(1, 2, 1))),
        case([A(0), A(0)]), case([A(2), [1, 2]]),
    ),
    np.column_stack: row(
        case([A(3), A(3)]), case([A(3, 2), A(3)]), case((A(2, 1), A(2, 2))), case([A(), A()]), case([A(0), A(0)]), case([A(2), [1, 2]]),
    ),
    np.append: row(
        case(A(3), A(2)), case(A(2, 3), A(1, 3), 0), case(A(2, 3), A(2, 1), axis=-1), case(A(2, 3), A()), case(A(2), 3.0), case([1, 2], A(2)),
        case(A(0), A(2)), case(A(), A()),
    ),
    np.block: row(
        case([A(2), A(3)]), case([[A(2, 2), A(2, 1)], [A(1, 2), A(1, 1)]]), case([[A(2, 2)], [A(2)]]), case(A(2, 3)),
        case([A(), 1.0, A(2)]), case([A(1, 2, 1), A(1, 2, 2)]), case([[[A()], [A()]], [[A(1)], [A()]]]), case([[A(2), A(0)]]),
    ),
    np.insert: row(
        case(A(3), 1, A()), case(A(3), 1, A(2)), case(A(2, 3), 1, A(3), axis=0), case(A(2, 3), 1, A(), 1), case(A(2, 3), -1, A(2), axis=1),
        case(A(2, 3), [1], A(2, 2), axis=1), case(A(2, 3), [0, 2], A(2, 2), 1),
        case(A(2, 3), [2, 0], A(), 1), case(A(4), slice(0, 3, 2), A(2)), *since("2.4.0", case(A(3), np.array([True, False, True]), A(2))),
        case(A(2, 3), 5, A()), case(A(3), [1, 1, 3], A(3)), case(A(3), [1, 2], 9.0), case(A(0), 0, A()), case(A(3), 1, [7.0, 8.0]),
        case(A(3, 2), 1, A(2, 2), axis=0),
    ),
    np.delete: row(
        case(A(4), 1), case(A(4), [0, 2]), case(A(2, 3), 1, axis=1), case(A(2, 3), slice(0, 1), 0), case(A(2, 3), 4), case(A(4), -1),
        case(A(4), np.array([True, False, False, True])), case(A(2, 3), [0, 0, -1], axis=-1), case(A(3), []), case(A(2, 3), obj=[1], axis=-2),
    ),
    np.trim_zeros: row(case(A(4)), case(A(1), "f"), case(A(3), trim="B")),
    np.resize: row(case(A(3), 5), case(A(2, 3), (2, 2)), case(A(2, 3), (3, 3)), case(A(), (2, 2)), case(A(3), new_shape=(0, 2)), case(A(2), ())),
    np.vsplit: row(case(A(4, 2), 2), case(A(3, 2), [1]), call=joined(np.vsplit)),
    np.hsplit: row(case(A(4), 2), case(A(2, 3), [1, 2]), case(A(2, 4, 1), 2), call=joined(np.hsplit)),
    np.dsplit: row(case(A(1, 2, 4), 2), case(A(2, 1, 3), [1]), call=joined(np.dsplit)),
    **present(unstack=row(case(A(2, 3)), case(A(2, 3), axis=-1), case(A(3)), call=joined(lambda *a, **k: np.unstack(*a, **k)))),
    **dict.fromkeys([np.atleast_1d, np.atleast_2d, np.atleast_3d], row(
        case(A()), case(A(3)), case(A(2, 3)), case(A(2, 1, 2)), case(A(1, 2, 1, 2)), case(A(0)), case(A(), A(2), A(2, 2)),
    )),
    np.broadcast_arrays: row(
        case(A(3), A(2, 1)), case(A(), A(2, 2)), case(A(2, 3), A(2, 3)), case(A(3)), case(A(0), A(1)), call=joined(np.broadcast_arrays),
    ),
    np.meshgrid: row(
        case(A(2), A(3)), case(A(2), A(3), indexing="ij"), case(A(2), A(3), A(2)), case(A(2), A(3), sparse=True), case(A(2)),
        case(A(2), A(1), A(3), indexing="ij", sparse=True), case(A(2), A(3), copy=False), case(A(), A(2)), case(A(0), A(2)),
        call=joined(np.meshgrid),
    ),
    np.pad: row(
        case(A(3), 1), case(A(2, 3), ((1, 0), (0, 2))), case(A(2, 3), (1, 2), "constant", constant_values=((1.0, 2.0), (3.0, -1.0))),
        case(A(2, 3), 1, mode="constant", constant_values=2), case(A(0, 2), 1), case(A(2, 3), 0), case(A(2), ((1, 2),)),
        case(A(2, 3), ((1, 2), (0, 1)), "edge"), case(A(2, 3), (3, 5), "wrap"), case(A(2, 3), ((1, 4), (5, 1)), "reflect"),
        case(A(2, 3), ((1, 4), (5, 1)), "symmetric"), case(A(2, 3), ((1, 4), (7, 1)), "reflect", reflect_type="odd"),
        case(A(2, 3), ((1, 5), (7, 1)), "symmetric", reflect_type="odd"), case(A(1, 2), 2, "reflect", reflect_type="odd"),
        case(A(1), (2, 1), "symmetric", reflect_type="odd"), case(A(1, 2), 1, "symmetric", reflect_type="even"),
        case(A(2, 3), ((2, 3), (1, 2)), "linear_ramp"), case(A(2, 3), 2, "linear_ramp", end_values=((0.5, 1.0), (-2.0, 3.0))),
        case(A(2, 3), ((2, 0), (1, 2)), "mean"), case(A(2, 4), 1, "mean", stat_length=((1, 2), (3, 9))),
        *(case(A(2, 3), ((1, 1), (0, 2)), mode, stat_length=n) for mode in ("maximum", "minimum") for n in (None, 2)),
        *since("2.3.0", case(A(2, 3), {-1: (1, 2)}), case(A(2, 3), {0: 1}, "edge")),
    ),
    np.apply_along_axis: row(
        case(np.sort, 0, A(3, 2)), case(np.sum, -1, A(2, 3)), case(lambda row: row[:2] * row[1:], 1, A(2, 3, 2)), case(np.sum, 0, A(3)), case(np.outer, 1, A(2, 2), 2.0),
    ),
    np.apply_over_axes: row(case(np.sum, A(2, 3, 2), (0, 2)), case(np.mean, A(2, 3), 1), case(lambda a, axis: np.max(a, axis=axis, keepdims=True), A(2, 3), [0, -1])),
    # indexing
    operator.getitem: row(
        case(A(4), 1), case(A(4), -1), case(A(4), slice(1, 3)), case(A(4), slice(None, None, -2)), case(A(4), ...),
        case(A(4), None), case(A(2, 3), (1, 2)), case(A(2, 3), (..., 1)), case(A(2, 3), (slice(None), None, 1)),
        case(A(4), [0, 2, 0]), case(A(4), np.array([[0, 1], [-1, 0]])), case(A(2, 3), ROWS),
        case(A(2, 3), (ROWS, COLUMNS)), case(A(2, 3), (slice(None), COLUMNS)), case(A(2, 3), (ROWS, None, slice(2))),
        case(A(2, 3, 2), (ROWS, slice(None), 1)), case(A(2, 3), (ROWS[:, None], COLUMNS)), case(A(2, 3), (0, COLUMNS)),
        case(A(2, 3), MASK), case(A(2, 3), (MASK[:, 0], slice(1))), case(A(2, 3), (slice(None), MASK[0])),
        case(A(2, 3), (MASK[:, 0], 1)), case(A(2, 3), (np.array([0]), MASK[1])), case(A(2, 3), np.zeros((2, 3), bool)),
        case(A(), ()), case(A(), ...), case(A(), None), case(A(2), True), case(A(0, 3), slice(1)), case(A(3), []),
        case(A(3), np.int64(1)), case(A(3), np.array([], int)), case(A(), np.True_), case(A(2), [True, False]),
    ),
    scatter: row(
        case(A(2), slice(1, 3), (4,)), case(A(3), np.array([0, 2, 0]), (4,)), case(A(), 1, (3,)),
        case(A(4), MASK, (2, 3)), case(A(3), index=(ROWS, COLUMNS), shape=(2, 3)), case(A(0), slice(0), (3,)),
    ),
    put: row(
        case(A(4), A(2), slice(1, 3)), case(A(2, 3), A(3), 1), case(A(4), A(3), np.array([0, 2, 1])),
        case(A(2, 3), A(4), MASK), case(A(3), A(), 1), case(A(2, 3), A(2, 3), ...), case(A(3), A(0), slice(0)),
    ),
    put_sum: row(
        case(A(4), A(2), slice(1, 3)), case(A(4), A(3), np.array([0, 2, 0])), case(A(2, 3), A(3), 1),
        case(A(3), A(0), slice(0)), case(A(2, 3), A(3), index=(ROWS, COLUMNS)),
    ),
    erase: row(case(A(4), slice(1, 3)), case(A(2, 3), MASK), case(A(4), np.array([0, 2, 0])), case(A(3), index=1)),
    # sorting and choosing
    unsort: row(
        case(A(3), np.array([2, 0, 1])), case(A(2, 3), np.array([[1, 0, 2], [2, 1, 0]])), case(A(2, 1), np.array([[1], [0]]), axis=0),
        case(A(0), np.array([], int)),
    ),
    np.sort: row(
        case(A(5)), case(A(2, 3)), case(A(2, 3), 0), case(A(2, 3, 2), axis=-2), case(A(2, 3), axis=None), case(A(4), kind="stable"),
        case(A(2, 4), axis=1, stable=True), case(A(0)), case(A(2, 0)), case(A(0, 2), -1), case(A(), axis=None), case(A(1)),
    ),
    np.partition: row(
        case(A(3), 1), case(A(2, 3), 1), case(A(2, 2), kth=0, axis=0), case(A(2, 2), (1, 2), axis=None), case(A(4), (2, -3)),
        case(A(2, 3, 2), [1], 1), case(A(1), 0),
    ),
    np.take: row(
        case(A(4), 1), case(A(4), [0, 2, 0]), case(A(2, 3), ROWS), case(A(2, 3), COLUMNS, 1), case(A(2, 3), COLUMNS, axis=-1),
        case(A(2, 3, 2), np.array([[0, -1], [2, 0]]), axis=1), case(A(2, 3), [-1, 4]), case(A(2, 3), 0, axis=0),
        case(A(4), [5, -7, 3], mode="wrap"), case(A(4), [5, -7, 3], mode="clip"), case(A(2, 3), [3, -1], 1, None, "wrap"),
        case(A(3), np.array([], int)), case(A(0, 2), [1], axis=1), case(A(), 0), case(A(), [0, 0]), case(A(4), indices=[1, 2]),
    ),
    np.take_along_axis: row(
        case(A(2, 3), np.array([[0, 0], [2, 1]]), 1), case(A(2, 3), np.array([[0, 1, 0]]), axis=0), case(A(2, 3), np.array([[-1]]), axis=-1),
        case(A(4), np.array([1, 1, -2]), 0), case(A(2, 3), np.array([5, 0, 5]), axis=None), case(A(2, 1), ORDER % 2, axis=0),
        case(A(2, 1, 2), np.zeros((1, 3, 1), int), 1), case(A(0), np.array([], int), 0),
    ),
    np.compress: row(
        case([True, False, True], A(3)), case(MASK[0], A(2, 3), axis=1), case([False, True], A(2, 3), 0), case([0, 1], A(2, 3)),
        case([False], A(3)), case([True], A(2, 3), axis=-1), case([True], A()), case([], A(0)),
    ),
    np.extract: row(case(MASK, A(2, 3)), case([True, False], A(2)), case(MASK[0], A(2, 3)), case([False], A(1)), case(True, A())),
    np.choose: row(
        case(np.array([1, 0, 1]), [A(3), A(3)]), case(ORDER, [A(3), A(2, 1), A()]), case(0, [A(2), A(2)]), case(ROWS, A(2, 3)),
        case(np.array([3, -1]), [A(2), A(2)], mode="wrap"), case(np.array([3, -1]), (A(2), A(2)), None, "clip"), case([0, 0], [A(1)]),
        case(np.array([[0], [1]]), A(2, 3)), case(np.array([], int), [A(0), A(1)]),
    ),
    np.select: row(
        case([MASK, ~MASK], [A(2, 3), A(2, 3)]), case([MASK, MASK[0]], [A(2, 3), A(3)], -1), case([MASK], [A()], 2.5),
        case([np.False_, np.True_], [A(), A()]), case([MASK, MASK], [A(2, 1), A(3)]), case([MASK[:0]], [A(3)]),
    ),
    np.piecewise: row(
        case(A(2, 3), [MASK], [np.sin, np.cos]), case(A(2, 3), [MASK, ~MASK & MASK[::-1]], [np.square, 2.0]), case(A(2), True, [np.sin]),
        case(A(), [True], [np.exp]), case(A(2, 3), [MASK], [lambda x, p, k=1: x**p * k, 0], 3, k=2.0),
        case(A(4), [[True, True, False, True]], [np.sin, np.exp]),
    ),
    np.sort_complex: row(case(A(3)), case(A(2, 3)), case(A(0))),
    np.unique: row(
        case(A(4)), case(A(2, 3)), case(A(3), True), case(A(2, 3), False, True, True), case(A(3, 2), axis=0), case(A(2, 3), axis=-1),
        case(A(4), equal_nan=False), case(A(0)), case(A(2, 2), return_index=True, axis=1), call=first_of(np.unique),
    ),
    **{f: row(case(A(4)), case(A(2, 3)), call=first_of(f)) for f in (np.unique_all, np.unique_counts, np.unique_inverse)},
    # products
    np.matmul: row(
        case(A(2, 3), A(3, 2)), case(A(3), A(3)), case(A(2, 3), A(3)), case(A(3), A(3, 2)), case(A(2, 1, 2), A(2, 3)),
        case(A(1, 3), A(2, 3, 2)), case(A(2, 2, 1), A(2, 1, 3)), case(A(1, 2, 2), A(2, 2, 1)), case(A(2), A(2, 2, 3)),
        case(A(2, 2, 3), A(3)), case(A(2, 1, 1, 2), A(3, 2, 1)), case(A(3, 1, 2), A(1, 2, 2)), case(A(0, 3), A(3, 2)),
        case(A(2, 0), A(0, 3)), case(A(0), A(0)), case(A(2, 3), A(3, 0)), case(A(0, 2, 3), A(3, 2)),
        case(A(2, 2, 0), A(0, 3)), case(A(1, 1), A(1, 1)), case(A(3, 2), A(3, 2), axes=[(1, 0), (0, 1), (0, 1)]),
        case(A(2, 1, 3), A(2, 2, 3), axes=[(0, 2), (2, 0), (1, 0)]), case(A(3, 2), A(3), axes=[(1, 0), 0, 0]),
        case(A(1, 3, 2), A(3, 2), axes=[(1, 2), (1, 0), (0, 2)]),
    ),
    np.dot: row(
        case(A(3), A(3)), case(A(2, 3), A(3, 2)), case(A(2, 3), A(3)), case(A(3), A(3, 2)), case(A(), A(2, 3)),
        case(A(2, 3), A()), case(A(), A()), case(A(2), 3.0), case(3.0, A(2)), case(A(1, 3), A(2, 3, 2)),
        case(A(2, 2, 1), A(1, 3)), case(A(2, 1, 2), A(1, 2, 2, 2)), case(A(2), A(2, 2, 3)), case(A(2, 1, 3), A(3)),
        case(A(0), A(0)), case(A(2, 0), A(0, 3)), case(A(0, 3), A(3, 2)), case(A(2, 3), A(3, 0)), case(A(0, 2), A(2)),
        case(A(2, 2, 0), A(0, 3)), case(A(2, 3), A(0, 3, 2)), case(A(2, 2, 0), A(2, 0, 2)),
    ),
    np.vdot: row(
        case(A(3), A(3)), case(A(2, 3), A(2, 3)), case(A(2, 3), A(6)), case(A(3, 2), A(2, 3)), case(A(), A()),
        case(A(1), A()), case(A(0), A(0, 2)), case(A(2), [1.0, 2.0]), complex=True,
    ),
    np.outer: row(
        case(A(2), A(3)), case(A(2, 2), A(3, 1)), case(A(), A(2)), case(A(), A()), case(A(0), A(2)), case(A(2), A(0)),
        case(A(2), 2.0), case([1, 2], A(2)),
    ),
    np.trace: row(
        case(A(3, 3)), case(A(2, 3)), case(A(3, 2), offset=-1), case(A(2, 3), 1), case(A(2, 1, 3)),
        case(A(2, 1, 3), axis1=2, axis2=0), case(A(1, 2, 3), 1, -1, 1), case(A(2, 3, 2), axis1=1, axis2=2),
        case(A(0, 3)), case(A(2, 3), offset=7), case(A(2, 0, 2), axis1=0, axis2=2), case(A(2, 2, 1, 2), 0, 3, 1),
    ),
    np.inner: row(
        case(A(3), A(3)), case(A(2, 3), A(4, 3)), case(A(2, 3), A(3)), case(A(3), A(2, 3)), case(A(), A(2)),
        case(A(2), A()), case(A(), A()), case(A(2, 1, 3), A(2, 3)), case(A(2), 3.0), case(2.0, A(2)),
        case(A(2, 0), A(3, 0)), case(A(0, 2), A(2)), case(A(0), A(0)), case(A(2), [1.0, 2.0]),
    ),
    np.tensordot: row(
        case(A(2, 3), A(2, 3)), case(A(2, 3), A(3, 2), 1), case(A(2), A(3), axes=0), case(A(2, 3, 2), A(2, 3, 2), (1, 1)),
        case(A(2, 1, 3), A(3, 2, 2), axes=([0, 2], [1, 0])), case(A(2, 3, 2), A(2, 2, 3), ([-1, 1, 0], [0, -1, 1])),
        case(A(3, 2), A(2, 1, 3), [[0, 1], [2, 0]]), case(A(), A(2), 0), case(A(0, 2), A(2, 3), 1), case(A(2, 0), A(0, 3), 1),
    ),
    np.einsum: row(
        case("ij,jk->ik", A(2, 3), A(3, 2)), case("ij,jk", A(2, 3), A(3, 2)), case("ba", A(2, 3)), case("i,i", A(3), A(3)),
        case("ij->", A(2, 3)), case("ij->j", A(2, 3)), case("ii", A(3, 3)), case("ii->i", A(3, 3)), case("iji->j", A(2, 3, 2)),
        case("iiji", A(2, 2, 3, 2)), case("jii,ij->j", A(2, 3, 3), A(3, 2)), case("ii,jj->ij", A(2, 2), A(2, 2)),
        case("i,j,k->kij", A(2), A(1), A(3)), case("i,ij,jk->k", A(2), A(2, 3), A(3, 2), optimize=True),
        case("i,ij,jk->k", A(2), A(2, 3), A(3, 2), optimize=["einsum_path", (0, 1), (0, 1)]),
        case("ij, jk -> ki", A(2, 3), A(3, 2), optimize="greedy"), case("...ij,...jk->...ik", A(2, 1, 2), A(2, 3)),
        case("...ij,...jk", A(1, 2, 2), A(3, 2, 1)), case("i...,i...", A(2, 3), A(2, 1)), case("...", A(2, 2)),
        case("i...->...", A(2, 3)), case("...ii->i...", A(2, 3, 3)), case("...,...", A(3), A(2, 1)), case("j...k->k...j", A(2, 1, 3)),
        case("i,i->i", A(1), A(3)), case("ij,ij->j", A(2, 1), A(1, 3)), case("ij,ik->k", A(2, 3), A(2, 2)), case(",ij", A(), A(2, 2)),
        case("->", A()), case("ij,j", np.ones((2, 3), np.int8), A(3)), case("ij,jk->ik", A(0, 2), A(2, 3)), case("ij,jk", A(2, 0), A(0, 3)),
        case(A(2, 3), [0, 1], A(3, 2), [1, 2], [0, 2]), case(A(2, 3), [0, 1], A(3, 2), [1, 2]), case(A(3, 3), [0, 0]),
        case(A(2, 3, 3), [..., 5, 5], [5, ...]), case(A(2, 1), [..., 30], A(2, 2), [..., 2]), case(A(2, 3), [27, 1]),
        case("i,i", A(3), [1.0, 2.0, 3.0]),
    ),
    np.kron: row(
        case(A(2), A(3)), case(A(2, 2), A(1, 3)), case(A(2), A(2, 2)), case(A(2, 1, 2), A(2)), case(A(), A(2)), case(A(2), A()),
        case(A(), A()), case(A(0), A(2)), case(A(2), 2.0), case(3.0, A(2)),
    ),
    np.cross: row(
        case(A(3), A(3)), case(A(2, 3), A(2, 3)), case(A(2, 3), A(3)), case(A(1, 3), A(2, 1, 3)), case(A(3, 2), A(3, 2), axis=0),
        case(A(3, 2), A(2, 3), 0, 1, 0), case(A(3, 2), A(2, 3), axisa=0, axisc=-2), case(A(0, 3), A(3)),
    ),
    np.vecdot: row(*VECDOT, case(A(3, 2), A(2, 3), axes=[0, 1]), case(A(3, 2), A(2, 3), axes=[0, 1, 0], keepdims=True),
                   case(A(3), A(1, 3), keepdims=True), case(A(2, 3), A(2, 3), axis=0, keepdims=True)),
    **present(matvec=row(
        case(A(2, 3), A(3)), case(A(2, 2, 3), A(3)), case(A(2, 3), A(2, 3)), case(A(2, 1, 2, 2), A(3, 2)), case(A(0, 3), A(3)),
        case(A(3, 2), A(3, 2), axes=[(1, 0), 0, 0]), case(A(2, 0), A(0)),
    )),
    **present(vecmat=row(
        case(A(3), A(3, 2)), case(A(3), A(2, 3, 2)), case(A(2, 3), A(3, 2)), case(A(3, 2), A(2, 1, 2, 2)), case(A(3), A(3, 0)),
        case(A(3, 2), A(2, 3), axes=[0, (1, 0), 0]), case(A(0), A(0, 2)),
    )),
    np.linalg.matmul: row(case(A(2, 3), A(3, 2)), case(A(2, 1, 2, 2), A(3, 2, 1))),
    np.linalg.outer: row(case(A(2), A(3)), case(A(0), A(2))),
    np.linalg.tensordot: row(case(A(2, 3), A(2, 3)), case(A(2, 3), A(3, 2), axes=1), case(A(2, 3), A(3, 2), axes=((1,), (0,)))),
    np.linalg.vecdot: row(*VECDOT),
    np.linalg.cross: row(case(A(3), A(3)), case(A(3, 2), A(3, 1), axis=0), case(A(2, 1, 3), A(2, 3))),
    np.linalg.trace: row(case(A(3, 3)), case(A(2, 3, 2), offset=1), case(A(2, 3, 2), offset=-1), case(A(2, 0, 3))),
    np.linalg.diagonal: row(case(A(3, 3)), case(A(2, 3, 2), offset=1), case(A(3, 2), offset=-1), case(A(0, 2))),
    **dict.fromkeys([np.linalg.matrix_transpose, np.matrix_transpose], row(case(A(2, 3)), case(A(2, 0, 3)))),
    np.linalg.multi_dot: row(
        case([A(2, 3), A(3, 1), A(1, 2)]), case([A(2, 3), A(3, 2)]), case([A(3), A(3, 2), A(2)]), case([A(2), A(2)]),
        case([A(2), A(2, 3)]), case([A(1, 3), A(3, 2), A(2, 3), A(3)]), case((A(2, 0), A(0, 3), A(3, 2))),
    ),
    np.linalg.matrix_power: row(
        case(M(2, 2), 3), case(M(2, 2), 0), case(M(2, 2), 1), case(M(2, 2, 2), 2), case(M(3, 3), -1), case(M(2, 2), -2),
        case(M(2, 2), n=5), case(A(0, 0), 2), **NO_HALF,
    ),
    # linalg
    np.linalg.inv: row(case(M(3, 3)), case(M(2, 1, 2, 2)), case(M(1, 1)), case(A(0, 0)), case(A(0, 2, 2)), **NO_HALF),
    np.linalg.pinv: row(
        case(M(3, 2)), case(M(2, 3)), case(M(2, 2)), case(M(2, 3, 2)), case(M(2, 3, 3), hermitian=True), case(M(3, 2), 1e-10),
        case(M(3, 2), rtol=1e-5), case(A(0, 2)), **NO_HALF,
    ),
    np.linalg.det: row(case(M(3, 3)), case(M(2, 2, 2)), case(M(1, 1)), case(A(0, 0)), case(A(0, 2, 2)), **NO_HALF),
    cofactors: row(case(M(3, 3)), case(M(2, 2, 2)), case(M(1, 1)), case(A(0, 0)), **NO_HALF),
    np.linalg.slogdet: row(case(M(3, 3)), case(M(2, 2, 2)), case(M(1, 1)), case(A(0, 0)), case(A(0, 2, 2)), **NO_HALF),
    np.linalg.solve: row(
        case(M(3, 3), A(3)), case(M(3, 3), A(3, 2)), case(M(2, 2, 2), A(2)), case(M(2, 2, 2), A(2, 1)), case(M(2, 2), A(3, 2, 1)),
        case(M(2, 1, 2, 2), A(1, 3, 2, 2)), case(M(1, 1), A(1)), case(A(0, 0), A(0)), case(M(2, 2), A(2, 0)), case(A(0, 2, 2), A(2)),
        case(M(2, 2), [1.0, 2.0]), case([[2.0, 1.0], [0.0, 4.0]], A(2)), **NO_HALF,
    ),
    np.linalg.lstsq: row(
        case(M(3, 2), A(3)), case(M(4, 2), A(4, 2)), case(M(2, 3), A(2)), case(M(2, 2), A(2, 2), rcond=-1), case(M(3, 2), A(3), 1e-8),
        call=lambda a, b, rcond=None: [np.linalg.lstsq(a, b, rcond)[i] for i in (0, 1, 3)], **NO_HALF,
    ),
    np.linalg.tensorinv: row(
        case(M(6, 6), (2, 3, 6)), case(M(6, 6), (6, 2, 3), ind=1), case(M(2, 2), (2, 2), 1),
        call=lambda a, shape, *ind, **k: np.linalg.tensorinv(np.reshape(a, shape), *ind, **k), **NO_HALF,
    ),
    np.linalg.tensorsolve: row(
        case(M(6, 6), (2, 3, 6), A(2, 3)), case(M(4, 4), (2, 2, 4), A(2, 2), axes=None), case(M(4, 4), (2, 4, 2), A(4), axes=(0, 2)),
        case(M(2, 2), (2, 2), A(2)), **NO_HALF,
        call=lambda a, shape, b, axes=None: np.linalg.tensorsolve(
            np.reshape(a, shape) if axes is None else np.moveaxis(np.reshape(a, (4, 2, 2)), 0, 1), b, axes
        ),
    ),
    np.linalg.cholesky: row(
        case(M(3, 3)), case(M(2, 2, 2)), case(M(3, 3), upper=True), case(M(1, 1)), case(A(0, 0)), case(A(0, 2, 2), upper=True), **NO_HALF,
    ),
    np.linalg.qr: row(
        case(M(3, 2)), case(M(3, 3)), case(M(2, 3)), case(M(2, 3, 2)), case(M(3, 2), "r"), case(M(2, 3), mode="r"),
        case(M(2, 3), mode="complete"), case(M(2, 2), "complete"), case(M(2, 2, 4)), case(M(1, 1)), case(A(0, 2)), case(A(0, 2, 2)),
        **NO_HALF,
    ),
    np.linalg.svd: row(
        case(M(3, 3)), case(M(3, 2), full_matrices=False), case(M(2, 3), full_matrices=False), case(M(4, 2)), case(M(2, 4)),
        case(M(2, 2, 3), full_matrices=False), case(M(3, 2), compute_uv=False), case(M(3, 3), hermitian=True),
        case(M(2, 2, 2), hermitian=True, compute_uv=False), case(M(1, 1)), case(A(0, 2)), case(A(0, 2, 2)), call=svd, **NO_HALF,
    ),
    np.linalg.svdvals: row(case(M(3, 3)), case(M(2, 3, 2)), case(A(0, 2)), **NO_HALF),
    gaps: row(case(A(3)), case(A(2, 2)), case(A(1)), case(A(0)), case(A(0, 2)), **NO_HALF),
    np.linalg.eigh: row(
        case(M(3, 3)), case(M(2, 2, 2)), case(M(3, 3), "U"), case(M(2, 2), UPLO="u"), case(M(1, 1)), case(A(0, 0)), case(A(0, 2, 2)),
        call=eigh, **NO_HALF,
    ),
    np.linalg.eigvalsh: row(case(M(3, 3)), case(M(2, 2, 2)), case(M(3, 3), "U"), case(M(2, 2), UPLO="l"), case(A(0, 0)), **NO_HALF),
    np.linalg.eig: row(case(M(3, 3)), case(M(2, 2, 2)), case(M(1, 1)), case(A(0, 0)), case(A(0, 2, 2)), **NO_HALF),
    np.linalg.eigvals: row(case(M(3, 3)), case(M(2, 2, 2)), case(M(1, 1)), case(A(0, 0)), **NO_HALF),
    np.linalg.norm: row(
        case(A(3)), case(A(2, 3)), case(A(2, 1, 2)), case(PLUSES()), case(A(0)), case(A(2, 3), keepdims=True), case(A(2, 3), axis=1),
        *(case(A(2, 3), p, axis) for p in (1, 2, 3, 2.5, 0.5, -1, -2, 0) for axis in (0, -1)),
        *(case(M(2, 2), p, axis) for p in (np.inf, -np.inf) for axis in (0, -1)),
        case(A(4), 3), case(Array((2,), *PLUS), np.inf), case(A(2, 3), 3, 1, True), case(A(2, 3), "fro"), case(A(2, 2, 2), axis=(0, 2)),
        *(case(M(3, 3), p) for p in ("nuc", 1, -1, 2, -2, np.inf, -np.inf)), case(M(2, 3, 2), "nuc", (2, 1), keepdims=True),
        case(M(2, 3, 2), 1, axis=(-1, 1), keepdims=True), case(M(2, 3, 2), np.inf, (1, 2)), case(M(2, 2, 2), 2, (-2, -1)),
        case(A(0, 2), axis=1), case(A(2, 0), axis=1), case(A(0, 3), "fro"), **NO_HALF,
    ),
    np.linalg.vector_norm: row(
        case(A(2, 3)), case(A(2, 3), axis=1), case(A(2, 2, 2), axis=(0, -1)), case(A(2, 2, 2), axis=(0, 2), keepdims=True, ord=3),
        *(case(A(2, 3), ord=p) for p in (1, 2, 3, 0, 0.5)), *(case(M(2, 2), ord=p, axis=0) for p in (np.inf, -np.inf)), case(A(2, 3), keepdims=True), case(PLUSES()), case(A(0)), **NO_HALF,
    ),
    np.linalg.matrix_norm: row(
        case(M(3, 3)), case(M(2, 3, 2), keepdims=True), *(case(M(2, 3, 2), ord=p) for p in ("nuc", 1, -1, 2, -2, np.inf, -np.inf)),
        **NO_HALF,
    ),
    np.linalg.cond: row(*(case(M(3, 3), p) for p in (None, 2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc")), case(M(2, 3, 2)), **NO_HALF),
    # creation
    np.linspace: row(
        case(A(), A()), case(A(2), A(2)), case(A(2, 1), A(3), 4), case(A(3), A(), 3, False, axis=-1), case(A(), 2.0, num=1),
        case(1.0, A(), 5, endpoint=False), case(A(), A(), 0), case(A(2), A(), num=3, dtype=np.complex128), case(A(2), 1.0, 4, retstep=True),
        case([0.5, 1.0], A(2), 3), case(A(0), A(0)),
        call=lambda *a, retstep=False, **k: in_one(np.linspace)(*a, retstep=True, **k) if retstep else np.linspace(*a, **k),
    ),
    np.logspace: row(
        case(A(), A(), 4), case(A(2), A(2), 3), case(A(2), A(), 3, False), case(A(), A(), 3, True, PLUSES()), case(A(2), 1.0, 2, base=2.0, axis=-1),
        case(0.5, A(), num=3), case(A(), A(), 0), **NO_HALF,
    ),
    np.geomspace: row(
        case(PLUSES(), PLUSES(), 4), case(PLUSES(2), PLUSES(2), 3), case(PLUSES(2), 1.5, 3, False), case(PLUSES(2), PLUSES(2), 2, axis=-1),
        case(0.5, PLUSES(), num=3), case(Array((2,), -2.0, -1.0), -3.0, 3), case(PLUSES(), PLUSES(), 1), **NO_HALF,
    ),
    np.full_like: row(
        case(A(3)), case(A(), shape=(2, 3)), case(A(3), shape=(2, 3)), case(A(2), dtype=np.complex128), case(A(0)),
        call=lambda x, **k: np.full_like(x, x, **k),
    ),
    # fft
    resized: row(case(A(3), (5,)), case(A(4, 3), (2, 5)), case(A(2), shape=(2,)), case(A(0, 2), (1, 1)), case(A(), ())),
    **dict.fromkeys([np.fft.fft, np.fft.ifft], row(*FFT)),
    np.fft.rfft: row(*FFT, **REAL),
    np.fft.irfft: row(*FFT, case(A(3), 5), case(A(1), 1), **NO_HALF),
    np.fft.hfft: row(*FFT, case(A(3), 5), **NO_HALF),
    np.fft.ihfft: row(*FFT, **REAL),
    **dict.fromkeys([np.fft.fftn, np.fft.ifftn], row(*FFTN, case(A(), axes=()), case(A(2, 1), axes=()), case(A(0, 2), axes=(1,)))),
    np.fft.rfftn: row(*FFTN, **REAL),
    np.fft.irfftn: row(*FFTN, case(A(2, 3), (2, 5), (0, 1)), **NO_HALF),
    **dict.fromkeys([np.fft.fft2, np.fft.ifft2], row(*FFT2, case(A(2, 1), axes=()))),
    np.fft.rfft2: row(*FFT2, **REAL),
    np.fft.irfft2: row(*FFT2, **NO_HALF),
    **dict.fromkeys([np.fft.fftshift, np.fft.ifftshift], row(
        case(A(3)), case(A(2, 3)), case(A(2, 3), 1), case(A(2, 3, 2), axes=(0, -2)), case(A(0)), case(A(2, 3), axes=()),
    )),
    **special_rows(),
}  # fmt: skip

BITS, LOGIC = np.array([[4, 1, 3], [5, 7, 2]]), np.array([[True, False, True], [False, True, True]])
REALS = (np.logical_and, np.logical_or, np.logical_xor)


def folds():
    """Rows of the methods of locally constant ufuncs, such as np.logical_and.reduce."""
    compared = [np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal]
    bits = [np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.left_shift, np.right_shift, np.gcd, np.lcm]
    rows = {}
    for f in (*compared, *bits, *REALS):
        x = Array((2, 3), *PLUS) if f in REALS else BITS if f in bits else LOGIC
        cases = row(case(x), case(x, 1), **REAL, **NO_HALF)
        rows |= {
            f.reduce: cases,
            f.accumulate: cases,
            f.reduceat: row(case(x, [0, 1]), case(x, [0, 2], 1), **REAL, **NO_HALF),
        }
    return rows


X = A(2, 3)


def special_constants():
    if importlib.util.find_spec("scipy") is None:
        return {}
    from scipy import special as s

    return {s.gammasgn: elementwise((-1.8, 2.0), **REAL)}


CONSTANT: dict[Any, Row] = {
    **special_constants(),
    **dict.fromkeys([np.floor, np.ceil, np.trunc, np.rint, np.fix, ours.real_sign], elementwise(ANY, **REAL)),
    **dict.fromkeys(
        [np.round, np.around], row(case(X), case(X, 1), case(X, decimals=2), case(A()), case(A(0)))
    ),
    np.floor_divide: elementwise(ANY, PLUS),
    **dict.fromkeys(
        [np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal], elementwise(ANY, ANY)
    ),
    **dict.fromkeys([np.logical_and, np.logical_or, np.logical_xor], elementwise(ANY, ANY)),
    np.logical_not: elementwise(ANY),
    **dict.fromkeys([np.isnan, np.isinf, np.isfinite], elementwise(ANY)),
    np.signbit: elementwise(ANY),
    keep_mask: row(
        case(X, np.random.default_rng(0), 0.0), case(X, np.random.default_rng(0), 1.0), complex=False
    ),
    **dict.fromkeys(
        [np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.left_shift, np.right_shift],
        row(case(np.array([1, 2]), np.array([3, 1])), **REAL),
    ),
    np.invert: row(case(np.array([1, 2])), **REAL),
    **dict.fromkeys([np.isposinf, np.isneginf, np.spacing], elementwise(ANY, **REAL)),
    np.array_equiv: row(case(X, X), case(X, A(2))),
    **dict.fromkeys([np.gcd, np.lcm], row(case(np.array([4, 6]), np.array([6, 9])), **REAL)),
    np.bitwise_count: row(case(np.array([4, 7])), **REAL),
    np.isnat: row(case(np.array(["NaT", "2000-01-01"], "M8[D]")), **REAL),
    np.isclose: row(case(X, X), case(X, 0.5, atol=1.0)),
    np.allclose: row(case(X, X), case(X, 0.5)),
    np.array_equal: row(case(X, X), case(X, A(2))),
    **dict.fromkeys([np.isreal, np.iscomplex, np.isrealobj, np.iscomplexobj], row(case(X), case(A()))),
    **dict.fromkeys([np.any, np.all], row(case(X), case(X, axis=1), case(X, 0, keepdims=True))),
    **dict.fromkeys(
        [np.argmax, np.argmin, np.nanargmax, np.nanargmin], row(case(X), case(X, 1), case(X, axis=0))
    ),
    np.argsort: row(case(X), case(X, axis=0), case(X, axis=None)),
    np.argpartition: row(case(X, 1), case(X, 1, axis=0)),
    np.lexsort: row(case((A(3), A(3))), case(X, axis=0)),
    **dict.fromkeys([np.diag_indices_from, np.tril_indices_from, np.triu_indices_from], row(case(A(3, 3)))),
    np.unravel_index: row(case(np.array([1, 5]), (2, 3)), **REAL),
    np.ravel_multi_index: row(case((ROWS, COLUMNS), (2, 3)), **REAL),
    np.isin: row(case(X, A(2)), case(X, [0.5], invert=True)),
    unique_places: row(case(A(3)), case(X, axis=1)),
    **dict.fromkeys([np.nonzero, np.flatnonzero, np.argwhere], row(case(X), case(A(0)))),
    np.linalg.matrix_rank: row(case(X), case(M(2, 3, 3)), case(M(2, 2), tol=0.1)),
    np.einsum_path: row(case("ij,jk", X, A(3, 2)), call=lambda *a: np.einsum_path(*a)[1]),
    np.count_nonzero: row(case(X), case(X, axis=0)),
    np.digitize: row(case(A(3), [-1.0, 0.0, 1.0]), case(X, np.array([1.0, 0.0]), right=True), **REAL),
    ours.periods: row(
        case(Array((5,), -8.0, 8.0), None, -1, 3.0), case(Array((2, 3), -8.0, 8.0), 1.0, 0, 2.5), **REAL
    ),
    order_statistics: row(case(A(4), 0.5, 0), case(A(2, 3), [0.1, 0.2], None), **REAL),
    np.searchsorted: row(case(np.array([-1.0, 0.0, 1.0]), A(3)), case(A(1), 0.3), **REAL),
    **dict.fromkeys([np.shape, np.ndim, np.size, np.result_type], row(case(X), case(A()))),
    **dict.fromkeys([np.zeros_like, np.ones_like], row(case(X), case(A()), case(X, dtype=int))),
    np.empty_like: row(case(A(0, 3))),
    np.array2string: row(case(X), case(A(), precision=2)),
    **dict.fromkeys([np.array_repr, np.array_str], row(case(X))),
    **dict.fromkeys([np.shares_memory, np.may_share_memory], row(case(X, X))),
    **folds(),
    np.can_cast: row(case(X, np.float32), case(A(), "c16")),
    np.common_type: row(case(X, A())),
    np.min_scalar_type: row(case(X), case(A())),
    **dict.fromkeys([np.packbits, np.unpackbits], row(case(np.array([1, 0, 1], np.uint8)))),
    np.busday_count: row(case("2020-01", "2020-02", [1, 1, 1, 1, 0, 0, 0])),
    np.busday_offset: row(case(np.array(["2020-01-03"], "M8[D]"), 1)),
    **dict.fromkeys([np.is_busday, np.datetime_as_string], row(case(np.array(["2020-01-03"], "M8[D]")))),
    **dict.fromkeys([np.save, np.savetxt, np.savez, np.savez_compressed], row(case(io.BytesIO(), X))),
    **{f: row(case(X, A(2)), call=quiet(f)) for name, f in vars(np).items() if name == "in1d"},
}
