"""Transforms: derivatives of plain NumPy functions, of any order, in any nesting, over any containers."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp

X = np.array([0.5, -1.5, 2.0])
Point = namedtuple("Point", "x y")


def leaf(x, **kwargs):
    return bp.Tensor(np.array(x, float), requires_grad=True, **kwargs)


def cubic(x):
    return np.sum(np.sin(x) * x**3)


# ---- values and kinds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "kind"),
    [(2.0, np.float64), (2, np.float64), (True, np.float64), (np.float32(2), np.float32), (np.int64(2), np.float64),
     (2 + 0j, np.complex128), (np.float64(2), np.float64)],
)  # fmt: skip
def test_scalars_in_scalars_out(x, kind):
    def f(x):
        return np.real(x * x * x)

    assert type(bp.grad(f)(x)) is kind
    assert bp.grad(f)(x) == 3 * x**2 if x is not True else 3.0
    if kind is not np.complex128:
        for derivative in (
            bp.jacobian(f)(x),
            bp.hessian(f)(x),
            bp.hvp(f, x, kind(1)),
            bp.elementwise_grad(f)(x),
        ):
            assert type(derivative) is kind
        y, tangent = bp.jvp(f, (x,), (kind(1),))
        assert (type(y), type(tangent)) == (kind, kind)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, bool])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
def test_arrays_in_arrays_out(shape, dtype):
    x = np.ones(shape, dtype)
    floating = np.result_type(x, 0.0) if x.dtype.kind == "f" else np.float64
    for derivative in (
        bp.grad(cubic)(x), bp.elementwise_grad(np.sin)(x), bp.hvp(cubic, x, np.ones(shape)),
        bp.value_and_grad(cubic)(x)[1], bp.vjp(np.sin, x)[1](np.ones(shape))[0],
        bp.jvp(np.sin, (x,), (np.ones(shape),))[1],
    ):  # fmt: skip
        assert type(derivative) is np.ndarray or shape == ()
        assert (derivative.shape, derivative.dtype) == (shape, floating)
    for square in (bp.jacobian(np.sin)(x), bp.hessian(cubic)(x)):
        assert (square.shape, square.dtype) == (shape + shape, floating)


def test_only_the_differentiated_arguments_are_made_float():
    seen = []

    def f(x, n, mask):
        seen.append((type(n), mask.dtype, x.dtype))
        return np.sum(np.where(mask, x**n, 0.0))

    gradient = bp.grad(f)(np.array([1, 2, 3]), 3, np.array([True, False, True]))
    np.testing.assert_array_equal(gradient, [3.0, 0.0, 27.0])
    assert seen == [(int, bool, np.float64)]


def test_python_floats_that_are_not_differentiated_stay_weak():
    x = np.ones(3, np.float32)
    assert bp.grad(lambda x, s: np.sum(x * s))(x, 2.0).dtype == np.float32
    assert bp.value_and_grad(lambda x, s: np.sum(x * s))(x, 2.0)[0].dtype == np.float32


def test_values_come_back_plain():
    value, gradient = bp.value_and_grad(lambda x: np.sum(x * x))(X)
    assert type(value) is np.float64
    assert value == np.sum(X * X)
    np.testing.assert_array_equal(gradient, 2 * X)
    y, _ = bp.vjp(lambda x: (x * 2, bp.Tensor(X), 3, np.argmax(x)), X)
    assert [type(part) for part in y] == [np.ndarray, np.ndarray, int, np.int64]


def test_a_function_that_does_not_depend_on_its_argument():
    for constant in (lambda x: 3.0, lambda x: 3, lambda x: np.floor(x), lambda x: bp.Tensor(3.0)):
        assert bp.grad(constant)(1.5) == 0.0
        assert bp.vjp(constant, 1.5)[1](1.0) == (0.0,)
        assert bp.jvp(constant, (1.5,), (1.0,))[1] == 0.0
    np.testing.assert_array_equal(bp.jacobian(lambda x: np.arange(2))(X), np.zeros((2, 3)))
    np.testing.assert_array_equal(bp.hessian(lambda x: np.sum(x))(X), np.zeros((3, 3)))
    assert bp.grad(lambda x, y: x * 2, (0, 1))(1.0, 5.0) == (2.0, 0.0)


def test_keywords_are_passed_on():
    assert bp.grad(lambda x, *, k: x**k)(2.0, k=3) == 12.0
    assert bp.jacobian(lambda x, *, k: x**k)(2.0, k=3) == 12.0


def test_functions_keep_tensors_that_they_close_over():
    w = leaf(3.0)
    gradient = bp.grad(lambda x: np.sin(w * x))(1.5)
    assert isinstance(gradient, bp.Tensor), "it depends on w"
    (gradient * gradient).backward()
    c, s = np.cos(4.5), np.sin(4.5)
    assert w.grad == pytest.approx(2 * (3 * c) * (c - 3 * 1.5 * s))


# ---- argnums -----------------------------------------------------------------------------------------------


def f3(x, y, z):
    return x * y**2 * z**3


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [(0, 108.0), (1, 108.0), (2, 108.0), (-1, 108.0), (-3, 108.0), ((0,), (108.0,)), ((2, 0), (108.0, 108.0)),
     ((-1, 1), (108.0, 108.0)), ((), ()), (np.int64(1), 108.0)],
)  # fmt: skip
def test_argnums(argnums, expected):
    assert bp.grad(f3, argnums)(1.0, 2.0, 3.0) == expected
    assert bp.jacobian(f3, argnums)(1.0, 2.0, 3.0) == expected
    assert bp.value_and_grad(f3, argnums)(1.0, 2.0, 3.0) == (108.0, expected)


def test_argnums_name_which_argument():
    x, y, z = 2.0, 3.0, 5.0
    expected = (y**2 * z**3, 2 * x * y * z**3, 3 * x * y**2 * z**2)
    for n in range(3):
        assert bp.grad(f3, n)(x, y, z) == bp.grad(f3, n - 3)(x, y, z) == expected[n]
    assert bp.grad(f3, (2, 0))(x, y, z) == (expected[2], expected[0])


@pytest.mark.parametrize("argnums", [3, -4, 1.0, "x", [0], True, None, (0, 3), (0, "x")])
def test_argnums_that_name_no_argument(argnums):
    with pytest.raises(ValueError, match="does not name a positional argument of f3"):
        bp.grad(f3, argnums)(1.0, 2.0, 3.0)


@pytest.mark.parametrize("argnums", [(0, 0), (0, -3), (1, 2, -2)])
def test_argnums_that_name_an_argument_twice(argnums):
    for transform in (bp.grad, bp.jacobian, bp.value_and_grad):
        with pytest.raises(ValueError, match="names an argument of f3 twice"):
            transform(f3, argnums)(1.0, 2.0, 3.0)


# ---- containers ----------------------------------------------------------------------------------------------


def model(p, x):
    """A function of parameters in a nested container of mixed dtypes."""
    z = x @ p["layers"][0]["w"] + p["layers"][0]["b"]
    return np.sum(np.tanh(z) * p["scale"]) + np.abs(p["phase"]) ** 2 + p["pair"].x * p["pair"].y


PARAMETERS = {
    "layers": [{"w": np.arange(6.0).reshape(3, 2) / 6, "b": np.zeros(2, np.float32), "none": None}],
    "scale": 2,
    "phase": 1 + 2j,
    "pair": Point(2.0, (3.0)),
}


def test_gradients_in_the_arguments_structure():
    gradient = bp.grad(model)(PARAMETERS, X)
    assert list(gradient) == list(PARAMETERS)
    assert type(gradient["pair"]) is Point
    assert gradient["pair"] == (3.0, 2.0)
    assert gradient["layers"][0]["none"] is None
    assert gradient["layers"][0]["b"].dtype == np.float32
    assert gradient["phase"] == 2 * (1 - 2j)
    z = np.tanh(X @ PARAMETERS["layers"][0]["w"])
    np.testing.assert_allclose(gradient["layers"][0]["w"], np.outer(X, 2 * (1 - z * z)), rtol=1e-6)
    np.testing.assert_allclose(gradient["layers"][0]["b"], 2 * (1 - z * z), rtol=1e-6)
    assert gradient["scale"] == pytest.approx(np.sum(z))


def test_vjp_of_containers():
    def f(p):
        return {"sum": p["a"] + p["b"], "parts": (p["a"] * 2, None, [p["b"] * 3])}

    y, pullback = bp.vjp(f, {"a": X, "b": 2.0})
    assert list(y) == ["sum", "parts"]
    (gradient,) = pullback({"sum": np.ones(3), "parts": (np.ones(3), None, [10.0])})
    np.testing.assert_array_equal(gradient["a"], [3.0, 3.0, 3.0])
    assert gradient["b"] == 3 + 30


def test_containers_are_matched_by_name_not_by_order():
    def f(p):
        return {"x": p["a"] * 2, "y": p["b"] * 3}

    _, pullback = bp.vjp(f, {"a": 1.0, "b": 1.0})
    assert pullback({"y": 1.0, "x": 10.0}) == pullback({"x": 10.0, "y": 1.0}) == ({"a": 20.0, "b": 3.0},)
    _, tangent = bp.jvp(f, ({"a": 1.0, "b": 1.0},), ({"b": 1.0, "a": 10.0},))
    assert tangent == {"x": 20.0, "y": 3.0}

    def g(p):
        return np.sum(p["w"] ** 2 * p["b"])

    p = {"w": X, "b": 2.0}
    one = bp.hvp(g, p, {"w": X * 0 + 1, "b": 3.0})
    other = bp.hvp(g, p, {"b": 3.0, "w": X * 0 + 1})
    np.testing.assert_array_equal(one["w"], other["w"])
    np.testing.assert_array_equal(one["w"], 2 * 2.0 + 2 * X * 3.0)
    assert one["b"] == other["b"] == np.sum(2 * X)


@pytest.mark.parametrize(
    "wrong", [{"a": 1.0}, {"a": 1.0, "c": 1.0}, (1.0, 1.0), 1.0, {"a": 1.0, "b": (1.0,)}, None]
)
def test_cotangents_and_tangents_of_another_structure(wrong):
    _, pullback = bp.vjp(lambda p: p, {"a": 1.0, "b": 1.0})
    with pytest.raises(ValueError, match="differ"):
        pullback(wrong)
    with pytest.raises(ValueError, match="differ"):
        bp.jvp(lambda p: p, ({"a": 1.0, "b": 1.0},), (wrong,))


def test_cotangents_and_tangents_of_another_shape():
    with pytest.raises(ValueError, match=r"expected \(3,\), got \(\)"):
        bp.vjp(np.sin, X)[1](1.0)
    with pytest.raises(ValueError, match="one tangent per primal"):
        bp.jvp(np.sin, (X,), (np.ones(2),))


def test_jacobian_and_hessian_of_containers():
    def f(p):
        return p["a"] * X, {"k": np.sum(p["b"]) * p["a"]}

    jacobian = bp.jacobian(f)({"a": 2.0, "b": X})
    np.testing.assert_array_equal(jacobian[0]["a"], X)
    np.testing.assert_array_equal(jacobian[0]["b"], np.zeros((3, 3)))
    np.testing.assert_array_equal(jacobian[1]["k"]["b"], np.full(3, 2.0))
    assert jacobian[1]["k"]["a"] == 1.0

    hessian = bp.hessian(lambda p: np.sum(p["a"] * p["b"] ** 2))(OrderedDict(a=3.0, b=X))
    assert type(hessian) is OrderedDict
    np.testing.assert_array_equal(hessian["b"]["b"], 2 * 3.0 * np.eye(3))
    np.testing.assert_array_equal(hessian["a"]["b"], 2 * X)
    np.testing.assert_array_equal(hessian["b"]["a"], 2 * X)
    assert hessian["a"]["a"] == 0.0
    pair = bp.hessian(lambda x, y: x * y**2, (0, 1))(2.0, 3.0)
    assert pair == ((0.0, 6.0), (6.0, 4.0))


def test_arguments_that_are_no_numbers():
    for argument in ("text", {1.0, 2.0}, object(), [1.0, "text"]):
        with pytest.raises(TypeError, match="not a number"):
            bp.grad(lambda x: 1.0)(argument)


@pytest.mark.parametrize("value", [None, {}, (), "text", (1.0, "text"), {1.0}])
def test_values_that_are_no_numbers(value):
    for call in (lambda f: bp.vjp(f, 1.0), lambda f: bp.grad(f)(1.0), lambda f: bp.jacobian(f)(1.0)):
        with pytest.raises(TypeError, match="did not return numbers"):
            call(lambda x: value)


@pytest.mark.parametrize("f", [np.sin, lambda x: (np.sum(x),), lambda x: {"a": np.sum(x)}, lambda x: x[:2]])
def test_grad_needs_one_number(f):
    with pytest.raises(TypeError, match="one real number as its value"):
        bp.grad(f)(X)


# ---- higher order and nesting ----------------------------------------------------------------------------------


def test_derivatives_of_the_fourth_power():
    def f(x):
        return x**4

    derivatives = [f]
    for expected in (4 * 2.0**3, 12 * 2.0**2, 24 * 2.0, 24.0, 0.0):
        derivatives.append(bp.grad(derivatives[-1]))
        assert derivatives[-1](2.0) == expected


def test_third_derivatives_of_every_kind():
    def f(x):
        return np.sum(np.exp(x) * np.sin(x))

    third = 2 * np.exp(X) * (np.cos(X) - np.sin(X))
    np.testing.assert_allclose(bp.elementwise_grad(bp.elementwise_grad(bp.grad(f)))(X), third, rtol=1e-13)
    np.testing.assert_allclose(bp.jacobian(bp.hessian(f))(X)[1, 1, 1], third[1], rtol=1e-13)
    np.testing.assert_allclose(np.diag(bp.jacobian(lambda x: bp.hvp(f, x, np.ones(3)))(X)), third, rtol=1e-13)
    _, along = bp.jvp(lambda x: bp.jvp(bp.grad(f), (x,), (np.ones(3),))[1], (X,), (np.ones(3),))
    np.testing.assert_allclose(along, third, rtol=1e-13)


def test_perturbation_confusion():
    assert bp.grad(lambda x: x * bp.grad(lambda y: x + y)(1.0))(1.0) == 1.0
    assert bp.grad(lambda x: x * bp.grad(lambda y: x * y)(2.0))(3.0) == 6.0
    assert bp.grad(lambda x: x * bp.jvp(lambda y: x * y, (2.0,), (1.0,))[1])(3.0) == 6.0
    assert bp.grad(lambda x: bp.grad(lambda y: bp.grad(lambda z: x * y * z * z)(y))(x))(3.0) == 24.0
    assert bp.jvp(lambda x: bp.jvp(lambda y: x * x * y, (x,), (1.0,))[1], (3.0,), (1.0,)) == (9.0, 6.0)


@given(st.integers(0, 2**32 - 1))
def test_hvp_is_jvp_of_grad_is_hessian_times_vector(seed):
    rng = np.random.default_rng(seed)
    a, x, v = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=3)

    def f(x):
        return np.sum(np.tanh(a @ x) ** 2 * np.exp(x[0])) + np.sum(x[1:] * x[:-1]) ** 3

    product = bp.hvp(f, x, v)
    np.testing.assert_allclose(product, bp.jvp(bp.grad(f), (x,), (v,))[1], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(product, bp.hessian(f)(x) @ v, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(bp.hessian(f)(x), bp.hessian(f)(x).T, rtol=1e-10, atol=1e-10)


@given(st.integers(0, 2**32 - 1))
def test_jvp_is_the_transpose_of_vjp(seed):
    rng = np.random.default_rng(seed)
    a, x, v, u = rng.normal(size=(2, 3)), rng.normal(size=3), rng.normal(size=3), rng.normal(size=2)

    def f(x):
        return np.sin(a @ x) * np.sum(x**2)

    y, tangent = bp.jvp(f, (x,), (v,))
    np.testing.assert_array_equal(y, f(x))
    np.testing.assert_allclose(tangent, bp.jacobian(f)(x) @ v, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(u @ tangent, bp.vjp(f, x)[1](u)[0] @ v, rtol=1e-12, atol=1e-12)


def test_hvp_of_several_arguments():
    def f(x, y):
        return np.sum(x**2) * y**3

    by_x, by_y = bp.hvp(f, (X, 2.0), (X * 0 + 1, 3.0))
    np.testing.assert_allclose(by_x, 2 * 8 + 2 * X * 12 * 3)
    assert by_y == pytest.approx(np.sum(2 * X) * 12 + np.sum(X**2) * 12 * 3)


def test_a_transform_within_a_rule_of_another():
    def inner(x):
        return np.sum(bp.jacobian(lambda y: y**2 * x)(x))

    np.testing.assert_array_equal(bp.grad(inner)(X), 4 * X)

    def pulled(x):
        return np.sum(bp.vjp(lambda y: y * x, x)[1](x)[0])

    np.testing.assert_array_equal(bp.grad(pulled)(X), 2 * X)


# ---- pullbacks -------------------------------------------------------------------------------------------------


def test_a_pullback_is_linear_and_may_be_called_often():
    _, pullback = bp.vjp(lambda x: np.sin(x) * x, X)
    u, v = np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.5, 0.0])
    first = pullback(u)[0]
    np.testing.assert_allclose(pullback(2 * u + v)[0], 2 * first + pullback(v)[0], rtol=1e-14)
    np.testing.assert_array_equal(pullback(u)[0], first)


def test_a_pullback_under_younger_transforms():
    _, pullback = bp.vjp(lambda x: x**3, 2.0)
    assert bp.grad(lambda g: pullback(g)[0] ** 2)(5.0) == 2 * 12.0**2 * 5
    assert bp.hessian(lambda g: pullback(g)[0] ** 2)(5.0) == 2 * 12.0**2
    w = leaf(5.0)
    pullback(w)[0].backward()
    assert w.grad == 12.0


def test_a_pullback_under_no_grad():
    with bp.no_grad():
        _, pullback = bp.vjp(lambda x: x**3, 2.0)
        assert pullback(1.0) == (12.0,)
        assert type(pullback(1.0)[0]) is np.float64
        assert bp.grad(bp.grad(lambda x: x**3))(2.0) == 12.0


def test_one_object_as_two_arguments():
    x = X.copy()
    by_a, by_b = bp.grad(lambda a, b: np.sum(a * b * b), (0, 1))(x, x)
    np.testing.assert_array_equal(by_a, X * X)
    np.testing.assert_array_equal(by_b, 2 * X * X)
    assert bp.grad(lambda p: p[0] * p[1])([x[0], x[0]]) == [x[0], x[0]]


def test_arguments_and_cotangents_are_not_written_to():
    x, u = X.copy(), np.ones(3)
    x.flags.writeable = u.flags.writeable = False
    _, pullback = bp.vjp(lambda x: x + x * 1.0, x)
    (gradient,) = pullback(u)
    gradient += 1
    assert bp.vjp(lambda x: x, x)[1](u)[0].flags.writeable


# ---- Tensors in and out ------------------------------------------------------------------------------------------


def test_tensors_as_arguments():
    np.testing.assert_array_equal(bp.grad(np.sum)(bp.Tensor([1, 2])), [1.0, 1.0])
    assert type(bp.grad(np.sum)(bp.Tensor(X))) is np.ndarray
    w = leaf(X)
    gradient = bp.grad(lambda x: np.sum(x**3))(w)
    np.sum(gradient * gradient).backward()
    np.testing.assert_allclose(w.grad, 36 * X**3, rtol=1e-14)


def test_a_gradient_penalty():
    w, v, x = leaf(np.arange(6.0).reshape(3, 2) / 6), leaf([1.0, -1.0]), X

    def score(x, w, v):
        return np.sum(np.tanh(x @ w) * v)

    def penalised(w, v):
        return score(x, w, v) + np.sum(bp.grad(score)(x, w, v) ** 2)

    loss = penalised(w, v)
    loss.backward()
    expected = bp.grad(penalised, (0, 1))(w.data, v.data)
    np.testing.assert_allclose(w.grad, expected[0], rtol=1e-13)
    np.testing.assert_allclose(v.grad, expected[1], rtol=1e-13)
    assert bp.gradcheck(penalised, w.data, v.data, order=2)


def test_a_leaf_made_inside_a_transform_shares_its_level():
    made = []

    def f(x):
        w = leaf(3.0)
        made.append(w)
        return w * w * x * x

    assert bp.grad(f)(2.0) == 9 * 4.0
    assert type(bp.grad(f)(2.0)) is np.float64, "x and w are of one level, which is peeled off"
    assert made[0].grad is None

    def nested(x):
        w = leaf(3.0)
        return bp.grad(lambda v: v * w * x)(x) * w

    assert bp.grad(nested)(2.0) == 9.0

    def of_the_leaf(x):
        w = leaf(3.0)
        return bp.grad(lambda w: w * w * x)(w)

    assert bp.grad(of_the_leaf)(2.0) == 6.0
    assert bp.grad(bp.grad(lambda x: leaf(3.0) * x**2))(2.0) == 6.0


def test_no_grad_stops_what_is_in_progress_and_nothing_that_starts_inside():
    def f(x):
        with bp.no_grad():
            constant = x * x
            inner = bp.grad(lambda y: y**3 * x)(x)
        assert not isinstance(inner, bp.Tensor)
        return constant * x + inner * x

    assert bp.grad(f)(2.0) == 4.0 + 3 * 2.0**3


def test_no_grad_as_a_decorator_draws_its_level_at_each_call():
    @bp.no_grad()
    def doubled(x):
        return x * 2

    assert bp.grad(lambda x: doubled(x) + x)(3.0) == 1.0
    assert not doubled(leaf(1.0)).requires_grad
    with bp.no_grad():
        w = leaf(1.0)
        doubled(w)
        assert not (w * 2).requires_grad
    assert (w * 2).requires_grad


def test_a_result_of_a_finished_transform_is_an_error():
    box = []

    def inner(y):
        box.append(y)
        return y * y

    def outer(x):
        bp.grad(inner)(x)
        return x * box[-1]

    with pytest.raises(RuntimeError, match="leaked out of a finished transform"):
        bp.grad(outer)(2.0)
    with pytest.raises(RuntimeError, match="value of a transform"):
        (leaf(1.0) * box[-1]).backward()


# ---- complex numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "gradient"),
    [  # ∂f/∂x − i ∂f/∂y
        (lambda z: np.abs(z) ** 2, lambda z: 2 * np.conj(z)),
        (lambda z: np.real(z * np.conj(z)), lambda z: 2 * np.conj(z)),
        (lambda z: np.real(z), lambda z: 1),
        (lambda z: np.imag(z), lambda z: -1j),
        (lambda z: np.real(z**3), lambda z: 3 * z**2),
        (lambda z: np.real(np.exp(z)), lambda z: np.exp(z)),
        (lambda z: np.imag(np.sin(z)), lambda z: -1j * np.cos(z)),
        (lambda z: np.abs(z), lambda z: np.conj(z) / np.abs(z)),
    ],
)
def test_the_gradient_of_a_real_function_of_a_complex_number(f, gradient):
    for z in (1 + 2j, -0.3 + 0.1j):
        assert bp.grad(f)(z) == pytest.approx(gradient(z))
        t = bp.Tensor(np.array([z]), requires_grad=True)
        np.sum(f(t)).backward()
        assert t.grad[0] == pytest.approx(gradient(z))
    assert bp.gradcheck(f, np.array([1 + 2j, 0.5 - 1j]), order=2)


def test_holomorphic_functions():
    z = 1 + 2j
    assert bp.vjp(lambda z: z**3, z)[1](1.0)[0] == pytest.approx(3 * z**2)
    assert bp.jvp(lambda z: z**3, (z,), (1j,))[1] == pytest.approx(3j * z**2)


def test_real_arguments_have_real_gradients():
    assert bp.grad(lambda x: np.real((x * 1j) ** 2))(2.0) == -4.0
    assert type(bp.grad(lambda x: np.abs(x * (3 + 4j)))(2.0)) is np.float64


def test_complex_values_have_no_gradient():
    for transform in (bp.grad, bp.elementwise_grad, bp.jacobian):
        with pytest.raises(TypeError, match=r"use bp\.vjp"):
            transform(lambda x: x * 1j)(1.0)


def test_array_subclasses_are_arrays_and_masked_ones_refused():
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.asmatrix([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(bp.grad(lambda x: np.sum(x * x))(matrix), [[2.0, 4.0], [6.0, 8.0]])
    with pytest.raises(TypeError, match="masked"):
        bp.grad(lambda x: np.sum(x * x))(np.ma.masked_array([1.0, 2.0], [0, 1]))


def test_a_tensor_of_an_older_finished_transform_is_a_leak():
    box = []
    bp.grad(lambda x: (box.append(x), x * x)[1])(3.0)
    with pytest.raises(RuntimeError, match="leaked"):
        bp.grad(lambda z: z * box[0])(2.0)


def test_python_complex_numbers_on_the_left():
    assert bp.gradcheck(lambda x: np.real(np.exp(1j * x[0])) + np.abs(1j + x[1]), np.array([0.3, 2.0]))


# ---- values beside the one that is differentiated -------------------------------------------------------


def with_aux(x, y):
    z = x * y
    return np.sum(z**2), {"z": z, "name": "product", "none": None, "count": 2}


def test_aux_is_handed_on_plain():
    (value, aux), gradient = bp.value_and_grad(with_aux, has_aux=True)(np.array([1.0, 2.0]), 3.0)
    assert (value, aux["name"], aux["none"], aux["count"]) == (45.0, "product", None, 2)
    assert type(aux["z"]) is np.ndarray
    np.testing.assert_array_equal(gradient, [18.0, 36.0])
    gradients, again = bp.grad(with_aux, (0, 1), has_aux=True)(np.array([1.0, 2.0]), 3.0)
    assert gradients[1] == 30.0
    np.testing.assert_array_equal(again["z"], aux["z"])
    y, pullback, aux = bp.vjp(with_aux, 1.0, 2.0, has_aux=True)
    assert (y, aux["z"], pullback(1.0)) == (4.0, 2.0, (8.0, 4.0))


def test_aux_under_an_outer_transform_is_differentiated_there():
    f = lambda x: bp.grad(with_aux, has_aux=True)(x, 3.0)[1]["z"]
    assert bp.grad(f)(2.0) == 3.0


@pytest.mark.parametrize("f", [np.sin, lambda x: (x, x, x), lambda x: [x, x]])
def test_a_function_with_aux_returns_a_pair(f):
    with pytest.raises(TypeError, match=r"has aux; expected a pair \(value, aux\)"):
        bp.grad(f, has_aux=True)(1.0)


def test_scipys_optimizers_take_value_and_grad_as_it_is():
    optimize = pytest.importorskip("scipy.optimize")
    rosenbrock = lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    found = optimize.minimize(bp.value_and_grad(rosenbrock), np.zeros(4), jac=True)
    assert found.success
    np.testing.assert_allclose(found.x, np.ones(4), rtol=1e-4)
    newton = optimize.minimize(
        rosenbrock,
        np.zeros(4),
        jac=bp.grad(rosenbrock),
        hessp=lambda x, v: bp.hvp(rosenbrock, x, v),
        method="trust-ncg",
    )
    np.testing.assert_allclose(newton.x, np.ones(4), rtol=1e-5)


# ---- primitives of the user's at second order ----------------------------------------------------------


def test_a_rule_in_plain_numpy_is_right_at_every_order():
    cube = bp.primitive(lambda x: x * x * x).defvjp(lambda g, _y, x: g * 3 * x**2)
    assert [bp.grad(cube)(2.0), bp.grad(bp.grad(cube))(2.0)] == [12.0, 12.0]


def test_a_rule_made_of_a_primitive_without_a_rule_says_so_at_second_order():
    slope = bp.primitive(lambda x: np.cos(x))
    slope.__name__ = "slope"
    sine = bp.primitive(lambda x: np.sin(x)).defvjp(lambda g, _y, x: g * slope(x))
    assert bp.grad(sine)(0.0) == 1.0
    with pytest.raises(bp.NotDifferentiable, match="slope has no derivative rule yet"):
        bp.grad(bp.grad(sine))(0.0)
