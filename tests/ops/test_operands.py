"""The other operand: Python numbers stay weak, lists and integers are what NumPy takes them for."""

import numpy as np
import pytest

import tinygrad_bp as bp

BINARY = [np.add, np.subtract, np.multiply, np.true_divide, np.power, np.maximum, np.minimum, np.hypot]
BINARY += [np.fmax, np.fmin, np.logaddexp, np.arctan2, np.remainder, np.fmod]
SINGLE = [np.float16, np.float32, np.complex64]


def pull_back(f, x):
    """(y, pullback of ones) with the rules' own dtypes checked by `exact_dtypes`."""
    y, pullback = bp.vjp(f, x)
    return y, pullback(np.ones(np.shape(y), y.dtype))[0]


@pytest.mark.parametrize(
    ("f", "dtype"), [(f, t) for f in BINARY for t in SINGLE if any(np.dtype(t).char in s for s in f.types)]
)
@pytest.mark.parametrize("number", [2, 2.5, True])
def test_python_numbers_are_weak(f, number, dtype, exact_dtypes):
    x = np.array([1.5, 3.5], dtype)
    for g in (lambda t: f(t, number), lambda t: f(number, t)):
        y, share = pull_back(g, x)
        assert y.dtype == dtype
        assert share.dtype == dtype
        assert bp.gradcheck(g, x.astype(np.result_type(dtype, np.float64)), order=2)


@pytest.mark.parametrize("f", [*BINARY, np.dot, np.matmul], ids=lambda f: f.__name__)
def test_a_list_is_the_array_that_numpy_makes_of_it(f):
    x, numbers = np.array([1.3, 2.7]), [2, 3]
    for of_list, of_array in (
        (lambda t: f(t, numbers), lambda t: f(t, np.array(numbers))),
        (lambda t: f(numbers, t), lambda t: f(np.array(numbers), t)),
    ):
        y, share = pull_back(of_list, x)
        expected, expected_share = pull_back(of_array, x)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(share, expected_share)


def test_lists_beside_operators():
    x = np.array([1.3, 2.7])
    np.testing.assert_allclose(pull_back(lambda t: t ** [2, 3], x)[1], [2 * 1.3, 3 * 2.7**2])
    np.testing.assert_allclose(pull_back(lambda t: [2, 3] ** t, x)[1], [2**1.3, 3**2.7] * np.log([2, 3]))
    np.testing.assert_allclose(pull_back(lambda t: t ** (2, 3), x)[1], [2 * 1.3, 3 * 2.7**2])
    np.testing.assert_allclose(pull_back(lambda t: t @ [[1, 2], [3, 4]], x)[1], [3, 7])


@pytest.mark.parametrize("integer", [np.int8, np.uint8, np.int16, np.int64], ids=lambda t: t.__name__)
@pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)
def test_an_integer_operand_costs_no_precision(f, integer):
    """np.log of an int8 array is a float16: a rule must not let that happen to its own values."""
    x, n = np.array([1.3, 2.7]), np.array([1, 3]).astype(integer)
    for of_integers, of_floats in (
        (lambda t: f(t, n), lambda t: f(t, n.astype(float))),
        (lambda t: f(n, t), lambda t: f(n.astype(float), t)),
    ):
        np.testing.assert_allclose(pull_back(of_integers, x)[1], pull_back(of_floats, x)[1], rtol=1e-14)


def test_a_composite_may_return_its_argument():
    same = bp.primitive(lambda x: np.array(x))
    bp.composite(same, lambda x: x)
    data = np.array([1.0, 2.0])
    t = bp.Tensor(data, requires_grad=True)
    y = same(t)
    assert t.data is data
    assert y.data is not data
    np.sum(y * t).backward()
    np.testing.assert_array_equal(t.grad, [2.0, 4.0])
