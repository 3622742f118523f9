"""Keywords that record: `initial=`, `mean=`, `q=`, what pads or replaces; and those that cannot.

A row is (f, arrays): every array is a variable, those that are given by keyword, too.
"""

import functools
import inspect

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.primitive import REGISTRY, Op

from .test_every_op import same_bits

rng = np.random.default_rng(5)
X, CUBE, S = rng.normal(size=(2, 3)), rng.uniform(0.3, 2, (2, 3, 2)), np.array(0.6)
GAPS = np.where([[True, False, False], [False, False, True]], np.nan, X)
MASK = np.array([[True, False, True], [False, True, True]])
Z = X + 1j * X[::-1]
MEAN = np.array([[0.3], [-0.2]])

REDUCTIONS = {
    f.__name__: f
    for f in (np.sum, np.prod, np.max, np.amax, np.min, np.amin, np.nansum, np.nanprod, np.nanmax, np.nanmin)
}
REDUCTIONS |= {
    f"{f.__name__}.reduce": f.reduce
    for f in (np.add, np.multiply, np.maximum, np.minimum, np.logaddexp, np.hypot)
}
SHAPES = {
    "": {}, "axis": {"axis": -1}, "axes": {"axis": (0, -1), "keepdims": True}, "all": {"axis": None}, "no axis": {"axis": ()},
    "where": {"axis": 1, "where": MASK[..., None]},
}  # fmt: skip
SPREADS = {f.__name__: f for f in (np.var, np.std, np.nanvar, np.nanstd)}
QUANTILES = {f.__name__: f for f in (np.quantile, np.nanquantile, np.percentile, np.nanpercentile)}


def initial(f, how, x=CUBE, first=S):
    return (lambda x, first: f(x, initial=first, **how)), [x, first]


def mean(f, x=X, **how):
    return (lambda x, mean: f(x, mean=mean, axis=1, **how)), [x, MEAN]


def q_of(name, x=X, **how):
    whole = 100 if "percent" in name else 1
    return (lambda x, q: QUANTILES[name](x, q, **how)), [x, np.array([0.15, 0.42, 0.95]) * whole]


CALLS = {
    **{f"{name}, initial, {of}": initial(f, how) for name, f in REDUCTIONS.items() for of, how in SHAPES.items()},
    **{f"{name}, initial, NaN": initial(REDUCTIONS[name], {"axis": 1}, GAPS) for name in REDUCTIONS if name[:3] == "nan"},
    **{f"{name}, initial, complex": initial(REDUCTIONS[name], {"axis": 1}, Z, S + 1j) for name in ("sum", "prod", "nansum", "nanprod")},
    "initial wins": initial(np.max, {"axis": 0}, X, np.array(0.4)),
    "initial of nothing": initial(np.sum, {"axis": 0}, np.zeros((0, 2))),
    **{f"{name}, mean": mean(f) for name, f in SPREADS.items()},
    **{f"{name}, mean, ddof": mean(f, ddof=1, keepdims=True) for name, f in SPREADS.items()},
    **{f"{name}, mean, where": mean(f, where=MASK) for name, f in SPREADS.items()},
    **{f"{name}, mean, NaN": mean(f, GAPS) for name, f in SPREADS.items() if name[:3] == "nan"},
    "var, mean, complex": ((lambda x, mean: np.var(x, mean=mean, axis=1)), [Z, MEAN + 1j]),
    **{name: q_of(name) for name in QUANTILES},
    **{f"{name}, axes": q_of(name, axis=(0, 1), keepdims=True) for name in QUANTILES},
    **{f"{name}, one q": ((lambda x, q, f=f: f(x, q, 1)), [X, np.array(0.4)]) for name, f in QUANTILES.items()},
    **{f"{name}, NaN": q_of(name, GAPS, axis=1) for name in QUANTILES if name[:3] == "nan"},
    **{f"quantile, {method}": q_of("quantile", axis=-1, method=method) for method in (
        "hazen", "weibull", "linear", "median_unbiased", "normal_unbiased", "interpolated_inverted_cdf", "lower", "midpoint", "nearest",
        "inverted_cdf")},
    "quantile of an array": ((lambda q: np.quantile([3, 1, 2], q)), [S]),
    "nan_to_num": ((lambda x, a, b, c: np.nan_to_num(x, nan=a, posinf=b, neginf=c) ** 2), [GAPS, S, S + 1, S + 2]),
    "nan_to_num, ±∞": ((lambda a, b, c: np.nan_to_num(INFINITE * np.exp(0 * a), nan=a, posinf=b, neginf=c) ** 2), [S, S + 1, S + 2]),
    "nan_to_num, complex": ((lambda a, b: np.nan_to_num((INFINITE + 1j * INFINITE[::-1]) * np.exp(0 * a), nan=a, posinf=b) ** 2), [S, S + 1]),
    "unwrap": ((lambda x, period: np.unwrap(7 * x, axis=1, period=period) ** 2), [X, np.array(2.3)]),
    "pad, constants": ((lambda x, c: np.pad(x, ((1, 0), (2, 1)), constant_values=c) ** 2), [X, rng.normal(size=(2, 2))]),
    "pad, one constant": ((lambda x, c: np.pad(x, 1, constant_values=c) ** 2), [X, S]),
    "pad, a tuple": ((lambda x, c: np.pad(x, 2, constant_values=(c, 2.0)) ** 2), [X, S]),
    "pad, nested tuples": ((lambda x, c: np.pad(x, 2, constant_values=((c, 2.0), (1, 2 * c))) ** 2), [X, S]),
    "pad, ramp": ((lambda x, c: np.pad(x, ((1, 3), (0, 2)), "linear_ramp", end_values=c) ** 2), [X, rng.normal(size=(2, 2))]),
    "pad, ramp, a tuple": ((lambda x, c: np.pad(x, 3, "linear_ramp", end_values=(0.5, c)) ** 2), [X, S]),
}  # fmt: skip
INFINITE = np.array([np.nan, np.inf, -np.inf, 2.0])


OF_REAL_PAIRS = {
    name: call for name, call in CALLS.items() if not name.endswith(", complex") and len(call[1]) > 1
}  # fmt: skip


def each(test, calls=CALLS):
    return pytest.mark.parametrize(("f", "arrays"), calls.values(), ids=calls)(test)


@each
def test_derivatives(f, arrays):
    """Both modes, orders 1 and 2, in all variables, and in each one alone."""
    with np.errstate(invalid="ignore"):  # in ∞ · 1 of complex numbers
        assert bp.gradcheck(f, *arrays, order=2)
        y, pullback = bp.vjp(f, *arrays)
        together = pullback(np.ones_like(y))
        constants = [bp.Tensor(a) for a in arrays]  # NumPy asks the array only, which may be a constant
        for i, x in enumerate(arrays):
            alone = lambda x, i=i: f(*constants[:i], x, *constants[i + 1 :])
            first = bp.vjp(alone, x)[1](np.ones_like(y))[0]
            np.testing.assert_allclose(first, together[i], rtol=1e-12, atol=1e-14)
            assert bp.gradcheck(alone, x, order=2)


@functools.partial(each, calls=OF_REAL_PAIRS)
def test_mixed_derivatives_are_symmetric(f, arrays):
    """∂/∂b of ∂f/∂a, and ∂/∂a of ∂f/∂b: each argument in the inner transform, a bare array there, and in the outer."""
    a, b = arrays[0], arrays[-1]
    f = lambda a, b, of=f: of(a, *map(bp.Tensor, arrays[1:-1]), b)
    u, v, w = (np.cos(1.0 + np.arange(x.size)).reshape(x.shape) for x in (a, b, f(a, b)))
    total = lambda a, b: np.sum(w * f(bp.Tensor(a) if isinstance(a, np.ndarray) else a, b) ** 2)
    of_a = bp.grad(lambda b: np.sum(u * bp.grad(total, 0)(a, b)))(b)
    of_b = bp.grad(lambda a: np.sum(v * bp.grad(total, 1)(a, b)))(a)
    np.testing.assert_allclose(np.sum(of_a * v), np.sum(of_b * u), rtol=1e-10, atol=1e-12)


@each
def test_value_and_dtype(f, arrays):
    """The value is NumPy's, and float32 stays float32, at order 2, too."""
    for single in (False, True):
        xs = [
            x.astype(np.result_type(x.dtype, 0) if not single else "F" if x.dtype.kind == "c" else "f")
            for x in arrays
        ]
        with np.errstate(all="ignore"):
            y, pullback = bp.vjp(f, *xs)
            assert same_bits(y, f(*xs))
            gradients = pullback(np.ones_like(y))
            again = bp.vjp(lambda *xs, y=y: bp.vjp(f, *xs)[1](np.ones_like(y)), *xs)[0]
        assert [g.dtype for g in gradients] == [x.dtype for x in xs] == [g.dtype for g in again]


def test_every_keyword_that_has_a_composite_is_tried():
    told = "\n".join(
        [
            *map(inspect.getsource, (f for f, _ in CALLS.values())),
            inspect.getsource(inspect.getmodule(initial)),
        ]
    )
    for f, op in REGISTRY.items():
        for keyword in op.composites if type(op) is Op else ():
            assert f"{keyword}=" in told, (f, keyword)
    assert {
        f for f, op in REGISTRY.items() if type(op) is Op and "initial" in op.keywords and not op.composites
    } == set()


def test_initial_among_transforms():
    """A Tensor of an outer transform, a batch, and a write into what was the initial value."""
    f = lambda x, s: np.sum(np.max(x * x, axis=0, initial=s * s) * s)
    outer = lambda s: bp.grad(f)(X, s)[0, 0] + np.sum(bp.grad(f)(X, s) ** 2) + f(bp.Tensor(X), s)
    np.testing.assert_allclose(bp.grad(outer)(0.6), (outer(0.6 + 1e-6) - outer(0.6 - 1e-6)) / 2e-6, rtol=1e-6)
    rows = lambda x: np.max(x, axis=1, initial=x[0, 0] ** 2)
    singly = np.stack([bp.grad(lambda x, i=i: rows(x)[i])(X) for i in range(2)])
    np.testing.assert_allclose(bp.jacobian(rows)(X), singly)
    s = bp.Tensor(2.0, requires_grad=True)
    first = s * np.ones(())
    y = np.sum(bp.Tensor(X), initial=first)
    first[...] = 0.0
    y.backward()
    assert s.grad == 1.0


def test_out_with_initial():
    s, buffer = bp.Tensor(0.6, requires_grad=True), bp.zeros(2)
    np.sum(bp.Tensor(X), axis=1, initial=s, out=buffer)
    np.sum(buffer * np.array([1.0, 2.0])).backward()
    assert s.grad == 3.0


@pytest.mark.parametrize(
    "f", [np.sum, np.max, np.mean, np.var, np.add.reduce, np.nansum], ids=lambda f: f.__name__
)
def test_a_mask_that_records_is_an_error(f):
    how = {} if f in (np.mean, np.var) else {"initial": 0.0}
    t = bp.Tensor(X, requires_grad=True)
    with pytest.raises(bp.NotDifferentiable, match="records in where=, where no derivative is declared"):
        f(t, where=t, **how)


def test_an_initial_value_of_a_plain_array_is_an_error():
    """NumPy asks the array alone, so nobody is told of the Tensor; nothing is lost in silence."""
    with pytest.raises(ValueError, match="setting an array element") as caught:
        np.sum(X, initial=bp.Tensor(1.0, requires_grad=True))
    assert "would lose its gradient" in str(caught.value.__cause__)
