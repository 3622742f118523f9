"""Activations and the softmax family far out: right values and derivatives, no warning, no NaN.

pytest makes every warning an error, so that silence is tested throughout. Values are held against
the definitions, computed in the longest floating type there is, or against exact limits.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import tinygrad_bp as bp
from tinygrad_bp.ops.nonlinear import leaky_relu, log_softmax, logsumexp, relu, sigmoid, softmax, softplus

INF, NAN = np.inf, np.nan
DTYPES = [np.float16, np.float32, np.float64]
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=lambda t: t.__name__)
ELEMENTWISE = [sigmoid, relu, leaky_relu, softplus]
FAMILY = [logsumexp, softmax, log_softmax]


def extremes(dtype):
    """±1000, ±the largest, smallest and subnormal numbers, ±∞, ±0, NaN."""
    kind = np.finfo(dtype)
    ends = [1000.0, kind.max, kind.tiny, kind.smallest_subnormal, INF, 0.0]
    return np.array([*ends, *(-x for x in ends), NAN], dtype)


def long(x):
    return np.asarray(x, np.longdouble)


DEFINITION = {  # as written in the docstrings, for arguments of moderate size
    sigmoid: lambda x: 1 / (1 + np.exp(-x)),
    relu: lambda x: np.where(x > 0, x, 0 * x),
    leaky_relu: lambda x: np.where(x > 0, x, 0.01 * x),
    softplus: lambda x: np.log1p(np.exp(x)),
    softmax: lambda x: np.exp(x) / np.sum(np.exp(x), axis=-1, keepdims=True),
    log_softmax: lambda x: np.log(np.exp(x) / np.sum(np.exp(x), axis=-1, keepdims=True)),
    logsumexp: lambda x: np.log(np.sum(np.exp(x))),
}
DERIVATIVE = {
    sigmoid: lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2,
    relu: lambda x: 1.0 * (x > 0),
    leaky_relu: lambda x: np.where(x > 0, 1.0, 0.01),
    softplus: lambda x: 1 / (1 + np.exp(-x)),
}


@EVERY_DTYPE
@pytest.mark.parametrize("f", DEFINITION, ids=lambda f: f.__name__)
def test_values_are_the_definitions(f, dtype):
    x = np.linspace(-9.0, 9.0, 60).reshape(6, 10).astype(dtype)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(long(f(x)), DEFINITION[f](long(x)), rtol=20 * eps, atol=20 * eps)


@pytest.mark.parametrize("f", [sigmoid, softplus], ids=lambda f: f.__name__)
def test_the_lower_tail_keeps_its_relative_accuracy(f):
    x = np.linspace(-700.0, -1.0, 500)
    np.testing.assert_allclose(long(f(x)), DEFINITION[f](long(x)), rtol=1e-15)


@EVERY_DTYPE
@pytest.mark.parametrize("f", ELEMENTWISE, ids=lambda f: f.__name__)
def test_derivatives_are_the_definitions(f, dtype, exact_dtypes):
    x = np.linspace(-9.0, 9.0, 60).astype(dtype)
    gradient = bp.elementwise_grad(f)(x)
    assert gradient.dtype == dtype
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(long(gradient), DERIVATIVE[f](long(x)), rtol=20 * eps, atol=4 * eps)


LIMITS = {  # f, then f and f′ at +far and at −far
    "sigmoid": (sigmoid, lambda x: (1 + 0 * x, 0 * x), lambda x: (0 * x, 0 * x)),
    "relu": (relu, lambda x: (x, 1 + 0 * x), lambda x: (0 * x, 0 * x)),
    "leaky_relu": (leaky_relu, lambda x: (x, 1 + 0 * x), lambda x: (x * 0.01, 0 * x + 0.01)),
    "softplus": (softplus, lambda x: (x, 1 + 0 * x), lambda x: (0 * x, 0 * x)),
}


@EVERY_DTYPE
@pytest.mark.parametrize("name", LIMITS)
def test_limits(name, dtype):
    """At ±1000 and ± the largest number: exactly the limits, at order 0, 1 and 2."""
    f, high, low = LIMITS[name]
    far = np.array([1000.0, np.finfo(dtype).max], dtype)
    for x, (value, slope) in ((far, high(far)), (-far, low(-far))):
        np.testing.assert_array_equal(f(x), value)
        np.testing.assert_array_equal(bp.elementwise_grad(f)(x), slope)
        np.testing.assert_array_equal(bp.elementwise_grad(bp.elementwise_grad(f))(x), np.zeros(2, dtype))
        assert f(x).dtype == dtype


@EVERY_DTYPE
@pytest.mark.parametrize("f", ELEMENTWISE, ids=lambda f: f.__name__)
def test_extremes(f, dtype):
    """NaN comes only of NaN; the derivative is a number everywhere else."""
    x = extremes(dtype)
    y = f(x)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
    assert y.dtype == dtype
    finite = np.isfinite(x)
    gradient = bp.elementwise_grad(f)(x)
    assert np.all(np.isfinite(gradient[finite]))
    assert np.all((gradient[finite] >= 0) & (gradient[finite] <= 1))


def test_infinities():
    x = np.array([-INF, INF])
    np.testing.assert_array_equal(sigmoid(x), [0.0, 1.0])
    np.testing.assert_array_equal(softplus(x), [0.0, INF])
    np.testing.assert_array_equal(relu(x), [0.0, INF])
    np.testing.assert_array_equal(leaky_relu(x), [-INF, INF])
    np.testing.assert_array_equal(bp.elementwise_grad(sigmoid)(x), [0.0, 0.0])
    np.testing.assert_array_equal(bp.elementwise_grad(softplus)(x), [0.0, 1.0])
    np.testing.assert_array_equal(bp.elementwise_grad(lambda x: np.logaddexp(x, 0.0))(x), [0.0, 1.0])


def test_numbers_and_integers():
    """A Python number is float64; integers of any kind are what they count."""
    assert sigmoid(-1000.0) == 0.0
    assert sigmoid(1000) == 1.0
    for integer in (np.uint8, np.int8, np.int64, np.bool_):
        ones = np.ones(2, integer)
        for f in (sigmoid, softplus, leaky_relu):
            np.testing.assert_allclose(f(ones), f(1.0), rtol=1e-15)


def test_softplus_with_another_beta():
    x = np.array([-3.0, 0.5, 2.0, np.finfo(float).max, -np.finfo(float).max])
    np.testing.assert_allclose(softplus(x[:3], 3.0), np.log1p(np.exp(3 * x[:3])) / 3, rtol=1e-14)
    np.testing.assert_array_equal(softplus(x[3:], 3.0), [x[3], 0.0])


# ---- the softmax family --------------------------------------------------------------------------

ROWS = {  # x, softmax, log_softmax, logsumexp
    "far apart": ([1000.0, 0.0], [1.0, 0.0], [0.0, -1000.0], 1000.0),
    "far below": ([-1000.0, -2000.0], [1.0, 0.0], [0.0, -1000.0], -1000.0),
    "equal and large": ([1000.0, 1000.0], [0.5, 0.5], [-np.log(2)] * 2, 1000.0 + np.log(2)),
    "equal and small": ([-1000.0, -1000.0], [0.5, 0.5], [-np.log(2)] * 2, -1000.0 + np.log(2)),
    "a masked place": ([-INF, 0.0, 0.0], [0.0, 0.5, 0.5], [-INF, -np.log(2), -np.log(2)], np.log(2)),
    "one element": ([3.0], [1.0], [0.0], 3.0),
}


@pytest.mark.parametrize("name", ROWS)
def test_softmax_family(name):
    x, probabilities, logs, total = ROWS[name]
    x = np.array(x)
    np.testing.assert_allclose(softmax(x), probabilities, rtol=1e-15)
    np.testing.assert_allclose(log_softmax(x), logs, rtol=1e-15)
    np.testing.assert_allclose(logsumexp(x), total, rtol=1e-15)
    g = np.arange(1.0, len(x) + 1)
    p = np.array(probabilities)
    np.testing.assert_allclose(bp.grad(logsumexp)(x), p, rtol=1e-15)
    np.testing.assert_allclose(bp.vjp(softmax, x)[1](g)[0], p * (g - g @ p), rtol=1e-14, atol=1e-16)
    np.testing.assert_allclose(bp.vjp(log_softmax, x)[1](g)[0], g - p * np.sum(g), rtol=1e-14, atol=1e-15)
    expected = np.diag(p) - np.outer(p, p)
    np.testing.assert_allclose(bp.hessian(logsumexp)(x), expected, rtol=1e-14, atol=1e-16)


@EVERY_DTYPE
def test_softmax_family_at_the_ends_of_the_dtype(dtype, exact_dtypes):
    top = np.finfo(dtype).max
    x = np.array([[top, -top], [-top, top]], dtype)
    np.testing.assert_array_equal(softmax(x), [[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(log_softmax(x), [[0.0, -INF], [-INF, 0.0]])
    np.testing.assert_array_equal(logsumexp(x, axis=1), [top, top])
    for f in FAMILY:
        assert f(x).dtype == dtype
        gradient = bp.elementwise_grad(f)(x)
        assert gradient.dtype == dtype
        assert np.all(np.isfinite(gradient))


def test_infinite_elements():
    assert logsumexp(np.array([INF, 800.0, -INF])) == INF
    assert logsumexp(np.array([-INF, -INF])) == -INF
    assert np.isnan(logsumexp(np.array([NAN, 800.0])))
    assert logsumexp(np.array([])[None], axis=1) == [-INF]


def test_a_softmax_without_a_largest_element_is_undefined():
    with np.errstate(invalid="ignore"):
        assert np.all(np.isnan(softmax(np.array([-INF, -INF]))))
    with pytest.warns(RuntimeWarning, match="invalid value"):
        softmax(np.array([-INF, -INF]))


@pytest.mark.parametrize("f", FAMILY, ids=lambda f: f.__name__)
def test_empty_rows(f):
    assert f(np.empty((0, 3)), axis=1).shape == ((0,) if f is logsumexp else (0, 3))
    assert f(np.empty((3, 0)), axis=1).shape == ((3,) if f is logsumexp else (3, 0))
    assert bp.elementwise_grad(f)(np.empty((0, 3))).shape == (0, 3)


def numbers(dtype):
    """Arrays of finite numbers of all sizes."""
    shapes = arrays.array_shapes(min_dims=1, max_dims=3, max_side=4)
    elements = arrays.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False)
    return arrays.arrays(dtype, shapes, elements=elements)


@EVERY_DTYPE
@given(data=st.data())
def test_no_array_of_numbers_gives_anything_else(dtype, data):
    """Whatever the numbers: probabilities, no NaN, no warning, in values and gradients, in one dtype."""
    x = data.draw(numbers(dtype))
    eps = 32 * float(np.finfo(dtype).eps)
    p = softmax(x)
    np.testing.assert_allclose(np.sum(p, axis=-1, dtype=np.float64), 1.0, atol=eps)
    assert np.all(log_softmax(x) <= eps)
    np.testing.assert_allclose(np.exp(log_softmax(x)), p, rtol=1e3 * eps, atol=eps)
    np.testing.assert_allclose(sigmoid(x) + sigmoid(-x), 1.0, atol=eps)
    assert np.all(softplus(x) >= relu(x))
    assert np.max(x) <= logsumexp(x)
    for f in [*ELEMENTWISE, *FAMILY]:
        y, pullback = bp.vjp(f, x)
        (gradient,) = pullback(np.ones_like(y))
        assert y.dtype == gradient.dtype == dtype
        assert not np.any(np.isnan(y))
        assert np.all(np.isfinite(gradient))


@given(st.floats(-40.0, 40.0), st.floats(-1e3, 1e3))
def test_shifts(x, shift):
    """softmax(x + c) = softmax(x), logsumexp(x + c) = logsumexp(x) + c: their derivatives along 1."""
    row = np.array([x, 1.0, -2.0])
    np.testing.assert_allclose(softmax(row + shift), softmax(row), rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(logsumexp(row + shift), logsumexp(row) + shift, rtol=1e-12, atol=1e-12)
    ones = (np.ones(3),)
    np.testing.assert_allclose(bp.jvp(softmax, (row,), ones)[1], 0.0, atol=1e-15)
    np.testing.assert_allclose(bp.jvp(logsumexp, (row,), ones)[1], 1.0, rtol=1e-14)
