"""Arguments near the ends of the floating numbers, where a rule's own intermediate values must not fail."""

import numpy as np
import pytest

import tinygrad_bp as bp

CASES = {  # f, its arguments, its derivatives
    "divide, large": (np.true_divide, (1e200, 1e200), (1e-200, -1e-200)),
    "divide, small": (np.true_divide, (1e-200, 1e-200), (1e200, -1e200)),
    "arctan2, large": (np.arctan2, (1e200, 1e200), (5e-201, -5e-201)),
    "arctan2, small": (np.arctan2, (1e-200, 1e-200), (5e199, -5e199)),
    "arctan2, subnormal": (np.arctan2, (5e-324, 0.0), (0.0, -np.inf)),
    "hypot, subnormal": (np.hypot, (5e-324, 0.0), (1.0, 0.0)),
    "hypot, large": (np.hypot, (3e200, 4e200), (0.6, 0.8)),
    "hypot, small": (np.hypot, (3e-200, 4e-200), (0.6, 0.8)),
    "arcsinh, large": (np.arcsinh, (1e200,), (1e-200,)),
    "arctan, large": (np.arctan, (1e200,), (0.0,)),
    "tanh, large": (np.tanh, (1e3,), (0.0,)),
    "cbrt, small": (np.cbrt, (1e-300,), (1e200 / 3,)),
    "expm1, far left": (np.expm1, (-1e3,), (0.0,)),
    "log1p, small": (np.log1p, (1e-300,), (1.0,)),
    "logaddexp, far apart": (np.logaddexp, (1e3, -1e3), (1.0, 0.0)),
    "logaddexp, infinite": (np.logaddexp, (np.inf, 0.0), (1.0, 0.0)),
    "logaddexp, nothing": (np.logaddexp, (-np.inf, 0.0), (0.0, 1.0)),
    "square root, subnormal": (np.sqrt, (1e-320,), (0.5 / np.sqrt(1e-320),)),
    "absolute, complex": (np.absolute, (3e200 + 4e200j,), (0.6 - 0.8j,)),
}


@pytest.mark.parametrize("name", CASES)
def test_derivatives_far_out(name):
    f, arguments, expected = CASES[name]
    np.testing.assert_allclose(bp.grad(f, tuple(range(len(arguments))))(*arguments), expected, rtol=1e-14)


def test_the_mean_of_more_elements_than_float16_counts(exact_dtypes):
    """100,000 is infinite in float16, 1/100,000 is not 0."""
    x = np.zeros(100_000, np.float16)
    for f in (np.mean, lambda x: np.sum(np.mean(x.reshape(1, -1), axis=1))):
        np.testing.assert_allclose(bp.grad(f)(x), 1e-5, rtol=5e-3)


def test_variance_far_from_zero():
    """The deviations are exact where the squares would not be."""
    x = 1e8 + np.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(bp.grad(np.var)(x), 2 * (x - np.mean(x)) / 3, rtol=1e-14)


def test_statistics_of_one_element():
    """Where NumPy's own value is NaN, so is the gradient."""
    x = np.array([2.0])
    assert bp.grad(np.var)(x) == 0.0
    assert bp.grad(np.std)(x) == 0.0
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="Degrees of freedom"):
        assert np.isnan(bp.grad(lambda x: np.var(x, ddof=1))(x))


def test_float_power_takes_one_from_the_exponent_in_the_dtype_of_its_value():
    """That is float64: in float16 65504 − 1 would be 65504, an even number, and the sign wrong."""
    assert bp.grad(np.float_power)(np.float16(-1), np.float16(65504)) == -65504
    assert bp.grad(np.float_power)(np.float32(-1), np.float32(2**25)) == -(2**25)
