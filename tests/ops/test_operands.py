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


LISTS_OF_TENSORS = {
    "operator": lambda x, p: x * p,
    "reflected": lambda x, p: p - x,
    "matmul": lambda x, p: x @ [p, [1, p[0]]],
    "clip": lambda x, p: np.clip(x, p, 9.0),
    "where": lambda x, p: np.where([True, False], p, x),
    "quantile": lambda x, p: np.quantile(x * 3.0, [0.1 * q for q in p]),
    "percentile": lambda x, p: np.percentile(x, q=p, axis=0),
    "average": lambda x, p: np.average(x, weights=p),
    "interp": lambda x, p: np.interp(x, [0.0, 3.0], p),
    "convolve": lambda x, p: np.convolve(x, p),
    "polyval": lambda x, p: np.polyval(p, x),
    "compared": lambda x, p: np.maximum(x, [p[1], p[0]]),
    "append": lambda x, p: np.append(x, [p, [p[0], 1]]),
    "insert": lambda x, p: np.insert(x, 1, p),
    "gradient": lambda x, p: np.gradient(x, p),
    "written": lambda x, p: written(x, p),
}


def written(x, p):
    t = x * np.ones((2, 1))
    t[...] = [p, [p[0], 3.0]]
    return t * x


@pytest.mark.parametrize("name", LISTS_OF_TENSORS)
def test_a_list_of_tensors_beside_a_tensor_is_stacked(name):
    x, p = np.array([1.3, 2.7]), np.array([1.6, 2.9])
    of_list = lambda x, p: LISTS_OF_TENSORS[name](x, [p[0], p[1]])
    assert bp.gradcheck(of_list, x, p, order=2)
    np.testing.assert_array_equal(bp.vjp(of_list, x, p)[0], of_list(x, p))
    alone = bp.grad(lambda p: np.sum(of_list(bp.Tensor(x), p) ** 2))(p)  # beside a constant
    np.testing.assert_allclose(alone, bp.grad(lambda p: np.sum(of_list(x * (0 * p[0] + 1), p) ** 2))(p))


def test_where_numpy_asks_no_tensor_a_list_is_an_error_that_says_what_to_do():
    t = bp.Tensor(1.0, requires_grad=True)
    with pytest.raises(bp.NotDifferentiable, match=r"records in a list, .*; pass np\.stack of a list"):
        np.linalg.solve([[t, 0.5], [0.5, t]], t * np.ones(2))  # has one rule for all arguments, for no list
    for call in (
        lambda: np.sum([t, t]),
        lambda: np.sin([t, 1.0]),
        lambda: np.clip(np.ones(2), [t, t], 2.0),
        lambda: np.array([[t]]),
    ):
        with pytest.raises(TypeError, match=r"np\.stack\(\[t, u\]\) for np\.array\(\[t, u\]\)"):
            call()


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


def test_indices_may_be_tensors():
    x = np.array([1.0, 2.0, 4.0])
    where, mask = bp.Tensor(np.array([2, 0, 2])), bp.Tensor(x) > 1.5
    np.testing.assert_array_equal(bp.grad(lambda x: np.sum(x[where] ** 2))(x), [2.0, 0.0, 16.0])
    np.testing.assert_array_equal(bp.grad(lambda x: np.sum(x[mask] ** 2))(x), [0.0, 4.0, 8.0])
    np.testing.assert_array_equal(bp.grad(lambda x: np.sum(x[x > 1.5] ** 2))(x), [0.0, 4.0, 8.0])


def test_where_of_a_condition_alone_gives_indices():
    t = bp.Tensor([0.0, 3.0, 0.0, -1.0], requires_grad=True)
    (places,) = np.where(t)
    assert type(places) is np.ndarray
    np.testing.assert_array_equal(places, [1, 3])


def test_where_has_no_derivative_by_its_condition():
    condition = np.array([0.0, 2.0])
    gradients = bp.grad(lambda c, a: np.sum(np.where(c, a, 1.0)), (0, 1))(condition, np.array([5.0, 6.0]))
    np.testing.assert_array_equal(gradients, [[0.0, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize("wide", [np.float64, np.complex128], ids=lambda t: t.__name__)
def test_astype_returns_the_gradient_in_the_arguments_dtype(wide, exact_dtypes):
    x = np.array([1.0, 2.0], np.float32)
    y, pullback = bp.vjp(lambda t: t.astype(wide) * 3.0, x)
    assert y.dtype == wide
    (gradient,) = pullback(np.ones(2))
    assert gradient.dtype == np.float32
    np.testing.assert_array_equal(gradient, [3.0, 3.0])
    assert type(bp.Tensor(x, requires_grad=True).astype(int)) is np.ndarray


def test_an_order_that_depends_on_memory_is_refused_in_the_backward_pass():
    t = bp.Tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(ValueError, match="expected order='C' or 'F', got order='A'"):
        np.sum(np.reshape(t, 6, order="A")).backward()


def test_clip_writes_only_where_it_is_told_to():
    t, buffer, target = bp.Tensor([1.0, 5.0], requires_grad=True), np.zeros(2), bp.tensor(np.zeros(2))
    with pytest.raises(TypeError, match="give the array to write to as out="):
        np.clip(t, 0.0, 2.0, buffer)
    with pytest.raises(bp.NotDifferentiable, match="clip of a Tensor with where=; use"):
        np.clip(t, 0.0, 2.0, where=np.array([True, False]))
    with pytest.raises(TypeError, match="clip with out= would write"):
        np.clip(t, 0.0, 2.0, out=buffer)
    np.testing.assert_array_equal(buffer, [0.0, 0.0])
    np.clip(t, 0.0, 2.0, out=target)
    np.sum(target * 3.0).backward()
    np.testing.assert_array_equal(t.grad, [3.0, 0.0])


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("number", [3, 3.0, True, 2 - 1j])
def test_vdot_takes_python_numbers(shape, number):
    x = bp.Tensor(np.full(shape, 2.0 + 1j), requires_grad=True)
    z = bp.Tensor(np.full(shape, 2.0 + 1j), requires_grad=True)
    np.real(np.vdot(x, number)).backward()
    np.real(np.vdot(number, z)).backward()
    np.testing.assert_array_equal(x.grad, np.full(shape, np.conj(number)))
    np.testing.assert_array_equal(z.grad, np.full(shape, np.conj(number)))


X = np.array([0.3, -0.7, 1.1])
MASKED = np.ma.masked_array(X, [False, True, False])


def objects(*parts):
    """An array of objects, which may be Tensors."""
    a = np.empty(len(parts), object)
    for i, part in enumerate(parts):
        a[i] = part
    return a


@pytest.mark.parametrize(
    "call",
    [
        lambda t: MASKED * t, lambda t: t * MASKED, lambda t: MASKED - t, lambda t: np.add(t, MASKED), lambda t: np.ma.exp(t),
        lambda t: np.ma.multiply(t, t), lambda t: np.ma.median(t), lambda t: np.concatenate([t, MASKED]), lambda t: bp.Tensor(MASKED),
        lambda t: t * np.asmatrix(X).T, lambda t: t + objects(1.0, 2.0, 3.0), lambda t: objects(1.0, 2.0, 3.0) - t,
        lambda t: objects(t[0], t[1]) * t[0],
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_masks_matrices_and_objects_are_errors(call):
    """Through each of them a gradient, a mask or a matrix product would be lost without a word."""
    with pytest.raises(
        TypeError, match=r"another kind of array; expected ndarrays|np\.ma was given a Tensor"
    ):
        call(bp.Tensor(X, requires_grad=True))


def test_tensors_of_an_array_of_objects_are_stacked():
    assert bp.grad(lambda x: np.sum(np.stack(objects(x[0], x[1])) ** 2))(X).tolist() == [0.6, -1.4, 0.0]


@pytest.mark.parametrize(
    "x", [np.zeros(2, [("a", float)]), np.array(["1.5"]), np.array(["2026-01-01"], "M8[D]")]
)
def test_what_is_no_number_cannot_be_differentiated(x):
    with pytest.raises(TypeError, match="what is no number cannot be differentiated; got dtype"):
        bp.grad(np.sum)(x)


def test_astype_takes_the_keywords_of_numpys():
    t = bp.Tensor(np.ones((2, 3)), requires_grad=True)
    assert t.astype(float, copy=False) is t
    assert t.astype("f4", copy=False).dtype == np.float32
    assert t.astype(float, order="F").data.flags.f_contiguous
    with pytest.raises(TypeError, match="according to the rule 'safe'"):
        t.astype("f4", casting="safe")
    assert bp.gradcheck(lambda x: x.astype(complex, order="F", casting="safe", subok=False), np.ones((2, 3)))
