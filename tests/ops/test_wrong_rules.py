"""The checker of the registry finds wrong rules, and finds no fault with right ones.

Fifty rules with one mistake each, of the kinds that people make, against the rows of `domains.py` and
the default settings of `gradcheck`; and right rules at points that nobody has chosen.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp.primitive import REGISTRY, Composite, Op

from .domains import OPS
from .test_every_op import drawn, frozen, is_ours, of_variables

same = bp.nondifferentiable(lambda x: np.array(x)[()])
"""x at first order; at second order a constant, as if the rule had used `t.data`."""

swap = np.swapaxes
T = lambda a: swap(a, -1, -2)

# fmt: off
ADD, SUB = (lambda g, _y, _a, _b: g), (lambda g, _y, _a, _b: -g)
LEFT, RIGHT = (lambda g, _y, _a, b: g * b), (lambda g, _y, a, _b: g * a)
OVER, UNDER = (lambda g, _y, _a, b: g / b), (lambda g, y, _a, b: -g * y / b)
BASE = lambda g, _y, a, b: g * b * a ** (b - 1)
EXPONENT = lambda g, y, a, _b: g * y * np.log(a)

WRONG = [  # (what is wrong, the function, its rules)
    ("factor", np.exp,        [lambda g, y, _x: 1.01 * g * y]),
    ("factor", np.square,     [lambda g, _y, x: g * x]),
    ("factor", np.sqrt,       [lambda g, y, _x: g / y]),
    ("factor", np.log2,       [lambda g, _y, x: g / x]),
    ("factor", np.exp2,       [lambda g, y, _x: g * y]),
    ("factor", np.degrees,    [lambda g, _y, _x: g * 57.3]),
    ("factor", np.true_divide, [OVER, lambda g, y, _a, b: -2 * g * y / b]),
    ("factor", np.power,      [lambda g, _y, a, b: g * (b - 1) * a ** (b - 1), EXPONENT]),
    ("factor", np.add,        [ADD, lambda g, _y, _a, _b: 2 * g]),
    ("factor", np.hypot,      [lambda g, y, a, _b: 2 * g * a / y, lambda g, y, _a, b: g * b / y]),
    ("factor", np.maximum,    [lambda g, _y, a, b: g * (a > b), lambda g, _y, a, b: 0.5 * g * (b > a)]),
    ("factor", np.cumsum,     [lambda g, _y, _a, axis=None: 2 * np.reshape(np.cumsum(g.ravel()[::-1])[::-1], _a.shape)]),
    ("sign",   np.cos,        [lambda g, _y, x: g * np.sin(x)]),
    ("sign",   np.subtract,   [ADD, ADD]),
    ("sign",   np.negative,   [lambda g, _y, _x: g]),
    ("sign",   np.reciprocal, [lambda g, y, _x: g * y * y]),
    ("sign",   np.arccos,     [lambda g, _y, x: g / np.sqrt(1 - x * x)]),
    ("sign",   np.true_divide, [OVER, lambda g, y, _a, b: g * y / b]),
    ("sign",   np.arctan2,    [lambda g, _y, a, b: g * b / (a * a + b * b), lambda g, _y, a, b: g * a / (a * a + b * b)]),
    ("sign",   np.linalg.inv, [lambda g, y, _a: T(y) @ g @ T(y)]),
    ("sign",   np.cosh,       [lambda g, _y, x: -g * np.sinh(x)]),
    ("sign",   np.absolute,   [lambda g, _y, _x: g]),
    ("transposed", np.linalg.inv, [lambda g, y, _a: -y @ g @ y]),
    ("transposed", np.linalg.inv, [lambda g, y, _a: -T(y) @ T(g) @ T(y)]),
    ("transposed", np.outer,  [lambda g, _y, _a, b: np.reshape(g @ np.ravel(b)[::-1], _a.shape),
                               lambda g, _y, a, _b: np.reshape(np.ravel(a) @ g, _b.shape)]),
    ("transposed", np.linalg.det, [lambda g, y, a: (g * y)[..., None, None] * np.linalg.inv(a)]),
    ("transposed", np.tril,   [lambda g, _y, _m, k=0: np.triu(g, k)]),
    ("transposed", np.swapaxes, [lambda g, _y, _a, axis1=0, axis2=1: np.reshape(g, _a.shape)]),
    ("transposed", np.transpose, [lambda g, _y, _a, axes=None: np.reshape(g, _a.shape)]),
    ("missing term", np.multiply, [LEFT, lambda g, _y, a, _b: 0 * g * a]),
    ("missing term", np.tanh, [lambda g, y, _x: g * (1 - y)]),
    ("missing term", np.expm1, [lambda g, y, _x: g * y]),
    ("missing term", np.power, [BASE, lambda g, y, _a, _b: g * y]),
    ("missing term", np.arcsinh, [lambda g, _y, x: g / np.sqrt(x * x)]),
    ("missing term", np.arctan, [lambda g, _y, x: g / (x * x + 1.001)]),
    ("missing term", np.subtract, [ADD, lambda g, _y, _a, _b: 0 * g]),
    ("missing term", np.kron, [lambda g, _y, _a, b: np.zeros(_a.shape) + 0 * np.sum(g) * np.sum(b),
                               lambda g, _y, a, _b: np.zeros(_b.shape) + 0 * np.sum(g) * np.sum(a)]),
    ("wrong axis", np.flip,   [lambda g, _y, _m, axis=None: np.flip(g, -1 if g.ndim else None)]),
    ("wrong axis", np.roll,   [lambda g, _y, _a, shift=None, axis=None: g]),
    ("wrong axis", np.fliplr, [lambda g, _y, _m: np.flipud(g)]),
    ("wrong axis", np.moveaxis, [lambda g, _y, _a, source=0, destination=0: np.reshape(g, _a.shape)]),
    ("wrong axis", np.cumsum, [lambda g, _y, _a, axis=None: np.reshape(np.cumsum(g.ravel()), _a.shape)]),
    ("second order", np.exp,    [lambda g, y, _x: g * same(y)]),
    ("second order", np.sin,    [lambda g, _y, x: g * same(np.cos(x))]),
    ("second order", np.square, [lambda g, _y, x: g * 2 * same(x)]),
    ("second order", np.multiply, [LEFT, lambda g, _y, a, _b: g * same(a)]),
    ("second order", np.tanh,   [lambda g, y, _x: g * (1 - y * same(y))]),
    ("second order", np.log,    [lambda g, _y, x: g / same(x)]),
    ("second order", np.true_divide, [lambda g, _y, _a, b: g / b, lambda g, y, _a, b: -g * y / same(b)]),
    ("second order", np.linalg.inv, [lambda g, y, _a: -T(y) @ g @ same(T(y))]),
]
# fmt: on


def report_of(f, dtype=np.float64):
    """The first report that finds a fault with f's rules, or the last one."""
    for call, operands, keywords in drawn(f, dtype):
        fun, variables = of_variables(call, operands, keywords)
        report = bp.gradcheck(fun, *variables, order=2, raise_exception=False)
        if not report:
            break
    return report


def test_there_are_fifty():
    assert len(WRONG) == 50


@pytest.mark.parametrize(("what", "f", "rules"), WRONG, ids=[f"{f.__name__}: {what}" for what, f, _ in WRONG])
def test_a_wrong_rule_is_found(what, f, rules):
    right = REGISTRY[f]
    assert report_of(f)
    bp.defvjp(f, *rules, broadcasts=right.broadcasts, view=right.view)
    report = report_of(f)
    assert not report
    if what == "second order":
        assert report.order == 2
    if what == "factor" and f is np.exp:
        assert report.ratio == pytest.approx(1.01)


FUNCTIONS = [
    f for f, entry in REGISTRY.items() if isinstance(entry, (Op, Composite)) and is_ours(f) and f in OPS
]


@given(st.integers(0, 2**32))
def test_a_right_rule_is_never_blamed(seed):
    """HYPOTHESIS_PROFILE=thorough: a thousand seeds, of four functions each."""
    rng = np.random.default_rng(seed)
    for i in rng.integers(len(FUNCTIONS), size=4):
        f = FUNCTIONS[i]
        case = OPS[f].cases[rng.integers(len(OPS[f].cases))]
        operands = [frozen(operand) for operand in case.draw(rng, np.float64)]
        fun, variables = of_variables(OPS[f].call or f, operands, case.keywords)
        report = bp.gradcheck(fun, *variables, order=2, rng=rng, raise_exception=False)
        assert report, f"{f.__name__} {operands} {case.keywords}: {report}"
