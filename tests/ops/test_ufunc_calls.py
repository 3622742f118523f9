"""What a ufunc can be asked for beside its plain call: where, dtype, outer, at, reduce, accumulate."""

import numpy as np
import pytest

import tinygrad_bp as bp

X = np.array([[0.5, -1.5, 2.0], [1.0, 0.25, -3.0]])
MASK = X > 0


def leaf(x):
    return bp.Tensor(x, requires_grad=True)


# ---- where= ----------------------------------------------------------------------------------------------


def test_where_computes_only_what_is_asked_for():
    def f(x):
        return np.log(x, where=MASK)  # no warning of negative numbers

    y = f(leaf(X))
    np.testing.assert_array_equal(y.data[MASK], np.log(X[MASK]))
    np.testing.assert_array_equal(y.data[~MASK], 0)
    np.testing.assert_array_equal(bp.grad(lambda x: np.sum(f(x)))(X), np.where(MASK, 1 / X, 0))
    assert bp.gradcheck(f, X, order=2)


def test_where_with_out_keeps_what_stood_there():
    def f(x, y):
        out = y * 1.0
        np.true_divide(x, x * x, out=out, where=MASK)
        return out

    assert bp.gradcheck(f, X, 2 * X, order=2)
    x = np.array([0.0, 2.0])
    zeros = bp.zeros(2)
    y = np.true_divide(1.0, leaf(x), out=zeros, where=x != 0)
    np.testing.assert_array_equal(y.data, [0.0, 0.5])
    gradient = bp.grad(lambda x: np.sum(np.true_divide(1.0, x, out=bp.zeros(2), where=x != 0)))(x)
    np.testing.assert_array_equal(gradient, [0.0, -0.25])


@pytest.mark.parametrize("f", [np.rint, np.sign, np.spacing], ids=lambda f: f.__name__)
def test_where_with_out_keeps_what_stood_there_beside_locally_constant_values(f):
    x = leaf(X)
    out = x * 2.0
    f(x, out=out, where=MASK)
    np.testing.assert_array_equal(out.data, np.where(MASK, f(X), 2 * X))
    np.sum(out).backward()
    np.testing.assert_array_equal(x.grad, np.where(MASK, 0.0, 2.0))


def test_a_fold_of_locally_constant_values_hands_on_its_first_element():
    x, f = np.array([2.5, 2.2, 2.9]), np.floor_divide
    np.testing.assert_array_equal(bp.jacobian(f.accumulate)(x), np.diag([1.0, 0.0, 0.0]))
    np.testing.assert_array_equal(
        bp.jacobian(lambda x: f.reduceat(x, [0, 1, 0]))(x), np.eye(3)[[0, 1, 1]] * [[1], [1], [0]]
    )
    assert bp.grad(f.reduce)(x[:1]) == 1.0


def test_where_broadcasts():
    assert bp.gradcheck(lambda x: np.sin(x, where=MASK), X[0])
    assert bp.gradcheck(lambda x, y: np.multiply(x, y, where=[[True], [False]]), X, X[0], order=2)


def test_where_of_a_composite():
    z = X + 1j
    assert bp.gradcheck(lambda z: np.sign(z, where=MASK), z)
    np.testing.assert_array_equal(np.sign(leaf(z), where=MASK).data, np.where(MASK, np.sign(z), 0))


def test_where_of_a_reduction_with_out_is_the_reductions():
    x, out = leaf(X), bp.zeros(3)
    np.sum(x, axis=0, where=MASK, out=out)
    np.testing.assert_array_equal(out.data, np.sum(X, axis=0, where=MASK))
    np.sum(out).backward()
    np.testing.assert_array_equal(x.grad, MASK)


def test_a_mask_behind_a_pole():
    """What a masked sum leaves out has no gradient, whatever stood there."""
    x = np.array([0.0, 4.0])
    f = lambda x: np.sum(np.log(x), where=x > 0)
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(bp.grad(f)(x), [0.0, 0.25])


def test_what_is_locally_constant_takes_keywords_too():
    y = np.greater(leaf(X), 0, where=MASK, out=np.zeros(X.shape, bool))
    np.testing.assert_array_equal(y, MASK)


# ---- dtype= ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_dtype(dtype):
    x = leaf(np.array([2.0, 3.0]))
    y = np.multiply(x, x, dtype=dtype)
    assert y.dtype == dtype
    np.sum(y.real).backward()
    np.testing.assert_array_equal(x.grad, [4.0, 6.0])


def test_dtype_beyond_the_real_domain():
    """arcsin 2 is complex; so is its derivative."""
    f = lambda x: np.imag(np.arcsin(x, dtype=complex))
    assert bp.gradcheck(f, np.array([2.0, 3.0]), order=2)


def test_a_dtype_that_numpy_would_not_cast_to():
    with pytest.raises(TypeError, match="Cannot cast ufunc"):
        np.add(leaf(X), 1.0, dtype=int)
    assert np.add(leaf(X), 1.0, dtype=np.float32, casting="unsafe").dtype == np.float32


# ---- methods ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ufunc", [np.add, np.subtract, np.multiply, np.hypot, np.arctan2, np.maximum])
def test_outer(ufunc):
    a, b = X, X[1, :2] + 0.1
    np.testing.assert_array_equal(ufunc.outer(leaf(a), b).data, ufunc.outer(a, b))
    assert bp.gradcheck(ufunc.outer, a, b, order=2)
    assert bp.gradcheck(lambda a: ufunc.outer(a, 0.3), a)


@pytest.mark.parametrize(
    ("ufunc", "function"),
    [(np.add, np.sum), (np.multiply, np.prod), (np.maximum, np.max), (np.minimum, np.min)],
)
def test_reduce_is_the_reduction_over_the_first_axis(ufunc, function):
    keywords = {"where": MASK, "initial": 0.7}
    np.testing.assert_array_equal(ufunc.reduce(leaf(X)).data, ufunc.reduce(X))
    np.testing.assert_array_equal(ufunc.reduce(leaf(X), **keywords).data, ufunc.reduce(X, **keywords))
    assert bp.gradcheck(ufunc.reduce, X)
    assert bp.gradcheck(lambda x: ufunc.reduce(x, axis=(0, 1), **keywords), X)


@pytest.mark.parametrize("ufunc", [np.add, np.multiply])
def test_accumulate_is_the_running_function_over_the_first_axis(ufunc):
    np.testing.assert_array_equal(ufunc.accumulate(leaf(X)).data, ufunc.accumulate(X))
    assert bp.gradcheck(ufunc.accumulate, X, order=2)
    assert bp.gradcheck(lambda x: ufunc.accumulate(x, axis=-1), X, order=2)


@pytest.mark.parametrize(
    "ufunc", [np.add, np.subtract, np.multiply, np.true_divide, np.maximum, np.logaddexp]
)
def test_at_takes_a_place_as_often_as_it_is_named(ufunc):
    indices, b = np.array([0, 2, 0, 0]), np.array([1.5, -2.0, 0.5, 3.0])

    def f(x, b):
        y = x * 1.0
        ufunc.at(y, indices, b)
        return y

    x = X[0]
    expected = x.copy()
    ufunc.at(expected, indices, b)
    np.testing.assert_allclose(f(leaf(x), b).data, expected, rtol=1e-15)
    assert bp.gradcheck(f, x, b, order=2)


def test_at_of_one_operand_and_of_several_axes():
    def f(x, b):
        y = x * 1.0
        np.negative.at(y, [1, 1, 1])
        np.multiply.at(y, (slice(None), [0, 0]), b)
        return y

    expected = X.copy()
    np.negative.at(expected, [1, 1, 1])
    np.multiply.at(expected, (slice(None), [0, 0]), [2.0, 3.0])
    np.testing.assert_array_equal(f(leaf(X), np.array([2.0, 3.0])).data, expected)
    assert bp.gradcheck(f, X, np.array([2.0, 3.0]))


def test_methods_of_what_is_refused_are_refused():
    for call in (np.arctan2.reduce, np.heaviside.accumulate, lambda x: np.ldexp.reduceat(x, [0, 1])):
        with pytest.raises(bp.NotDifferentiable, match=r"np\.\w+\.\w+ of a Tensor cannot .*functools"):
            call(leaf(X))


@pytest.mark.parametrize(
    "keywords", [{"order": "F"}, {"subok": False}, {"signature": "dd->d"}, {"sig": "dd->d"}], ids=str
)
def test_other_keywords_of_ufuncs(keywords):
    y = np.multiply(leaf(X), X, **keywords)
    np.testing.assert_array_equal(y.data, X * X)
    assert y.data.flags.f_contiguous == ("order" in keywords)
    assert bp.gradcheck(lambda x: np.multiply(x, x, **keywords), X, order=2)


def test_a_signature_of_complex_numbers():
    assert bp.gradcheck(lambda x: np.abs(np.sqrt(x, signature="D->D") - 1), np.array([-2.0, 3.0]))


@pytest.mark.parametrize("signature", ["d->d", ("d", "d")])
def test_a_signature_is_a_text_or_a_tuple(signature):
    x = bp.Tensor(np.ones(3), requires_grad=True)
    np.sum(np.exp(x, signature=signature)).backward()
    np.testing.assert_array_equal(x.grad, np.exp(np.ones(3)))
