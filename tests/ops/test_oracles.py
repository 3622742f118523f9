"""Derivatives against two oracles that need no small difference: the complex step, and mpmath's many digits.

f(x + ih) = f(x) + ih f'(x) + O(h²) for a holomorphic f: with h = 1e-30 nothing cancels, and NumPy's own
complex loops, which no rule of ours has seen, give the derivative to the last digits. mpmath takes
differences with hundreds of digits, at floats near the edges of a function and of the numbers.
"""

import warnings

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp import tree
from tinygrad_bp.primitive import REGISTRY, Composite, Op

from .domains import OPS
from .test_every_op import cotangent, drawn, every, is_ours, name, of_variables, takes_complex

NOT_HOLOMORPHIC = """
    absolute conjugate real real_if_close sign var std nanvar nanstd vdot vecdot vecmat irfft irfftn irfft2 hfft norm
    vector_norm matrix_norm cond cov corrcoef correlate pinv lstsq qr svd svdvals cholesky eigh eigvalsh eig slogdet"""
"""They conjugate, or are normalized, in complex numbers (irfft and hfft leave out an imaginary part)."""
WITHOUT_DIGITS = "roots expi sici jv yv"
"""Their complex algorithms lose an imaginary part of 1e-30 beside a real one, or have another branch (expi)."""
H = 1e-30


def deviation(f):
    """How far VJPs are from complex steps, relatively, at most over all cases of f; None without a case."""
    rng, worst = np.random.default_rng(5), None
    for call, operands, keywords in drawn(f, np.float64):
        fun, variables = of_variables(call, operands, keywords)
        y, pullback = bp.vjp(fun, *variables)
        if not variables or any(np.asarray(part).dtype.kind != "f" for part in tree.leaves(y)):
            continue
        g, directions = cotangent(y, rng), [rng.normal(size=x.shape) for x in variables]
        found = sum(np.sum(dx * v) for dx, v in zip(pullback(g), directions))
        with warnings.catch_warnings(action="ignore"):
            moved = fun(*[x + 1j * H * v for x, v in zip(variables, directions)])
        parts = zip(tree.leaves(g), tree.leaves(moved), strict=True)
        exact = sum(np.sum(share * np.imag(part)) / H for share, part in parts)
        worst = max(worst or 0.0, abs(found - exact) / max(1.0, abs(exact)))
    return worst


def is_holomorphic(f):
    return takes_complex(f) and name(f) not in f"{NOT_HOLOMORPHIC} {WITHOUT_DIGITS}".split()


@every(Op, Composite, that=is_holomorphic)
def test_complex_step(f):
    found = deviation(f)
    assert found is None or found < 1e-11


def test_what_is_no_complex_step_is_none():
    """Nothing is excepted that need not be."""
    excepted = NOT_HOLOMORPHIC.split()
    functions = [
        f for f, entry in REGISTRY.items() if isinstance(entry, (Op, Composite)) and is_ours(f) and f in OPS
    ]
    for f in functions:
        if takes_complex(f) and name(f) in excepted:
            excepted.remove(name(f))
            assert not (found := deviation(f)) or found > 1e-3, name(f)
    assert set(excepted) <= {"vecmat"}  # which NumPy 2.2 brought


def mp_functions(mp):
    """{name: the function in mpmath, points near its edges}."""
    tiny, ulp = [5e-324, 1e-300, 1e-20], 2.0**-53
    inside = [1 - ulp, -1 + ulp, 0.999999, *tiny]
    return {
        "exp": (mp.exp, [-745.0, -700.0, *tiny, 1.0, 709.0]),
        "exp2": (lambda x: mp.mpf(2) ** x, [-1070.0, -1000.0, *tiny, 1023.0]),
        "log": (mp.log, [1e-300, 1 - ulp, 1 + 2 * ulp, 1e300]),
        "log2": (lambda x: mp.log(x, 2), [1e-300, 1 - ulp, 1e300]),
        "log10": (mp.log10, [1e-300, 1 - ulp, 1e300]),
        "log1p": (lambda x: mp.log(1 + x), [-1 + ulp, -1e-20, *tiny, 1e300]),
        "sqrt": (mp.sqrt, [5e-324, 1e-300, 1e300]),
        "cbrt": (mp.cbrt, [5e-324, 1e-300, 1e300]),
        "reciprocal": (lambda x: 1 / x, [1e-150, -1e-150, 1e150]),
        "square": (lambda x: x * x, [*tiny, 1e150]),
        "sin": (mp.sin, [*tiny, 1e5, np.pi / 2, np.pi]),
        "cos": (mp.cos, [*tiny, 1e5, np.pi / 2, np.pi]),
        "tan": (mp.tan, [*tiny, np.pi / 2, 1.57, -1.5707]),
        "arcsin": (mp.asin, inside),
        "arccos": (mp.acos, inside),
        "arctan": (mp.atan, [*tiny, 1e10, 1e150, -1e200]),
        "sinh": (mp.sinh, [*tiny, 700.0, -700.0]),
        "cosh": (mp.cosh, [*tiny, 700.0, -700.0]),
        "tanh": (mp.tanh, [*tiny, 1.0, 5.0, 18.0, 20.0, -300.0]),
        "arcsinh": (mp.asinh, [*tiny, 1e10, 1e200]),
        "arccosh": (mp.acosh, [1 + 2 * ulp, 1.000001, 1e200]),
        "arctanh": (mp.atanh, inside),
        "sinc": (lambda x: mp.sin(mp.pi * x) / (mp.pi * x), [*tiny, 1e-8, 1e-3, 0.1, 1.0, 1.5, 2.0, 10.0, 1e5]),
        "expm1": (mp.expm1, [-745.0, -40.0, *tiny, 1e-8, 700.0]),
        "i0": (lambda x: mp.besseli(0, x), [1e-150, 1e-8, 1.0, 8.0, 700.0]),
    }  # fmt: skip


EPS = {"i0": 150}
"""Precision in eps, where it is more than 8 at order 1 and 64 at order 2: NumPy's own value has this many."""
ABSOLUTE = {"tanh", "expm1", "arcsin", "arccos", "arctanh"}
"""Exact to an eps of 1, where the derivative is less: 1 − y² and 1 + y; order 2 of (1 − x)(1 + x) around 0."""


@pytest.mark.parametrize("f", mp_functions(pytest.importorskip("mpmath")))
def test_numpys_functions_at_their_edges(f):
    """At orders 1 and 2, at the very float; what exceeds the floats is ±∞."""
    mp = pytest.importorskip("mpmath")
    function, points = mp_functions(mp)[f]
    first = bp.grad(getattr(np, f))
    for x in points:
        with mp.workdps(900), np.errstate(all="ignore"):
            at, h = mp.mpf(x), abs(mp.mpf(x)) * mp.mpf(10) ** -60
            left, middle, right = function(at - h), function(at), function(at + h)
            exact = (right - left) / (2 * h), (right - 2 * middle + left) / h**2
            for found, wanted, eps in zip((first(x), bp.grad(first)(x)), exact, (8, 64)):
                scale = max(abs(wanted), mp.mpf(1 if f in ABSOLUTE else 2.0**-1022))
                if abs(wanted) > np.finfo(float).max:
                    assert found == float(mp.sign(wanted)) * np.inf, x
                else:
                    assert abs(mp.mpf(float(found)) - wanted) <= EPS.get(f, eps) * scale * 2.0**-52, x
