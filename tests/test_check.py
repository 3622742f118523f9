"""gradcheck passes right rules, fails wrong ones, and says where and by how much."""

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.check import numerical_derivative

A = np.array([[0.5, -1.0], [1.5, 0.3]])
B = np.array([[1.0, 2.0], [-0.5, 0.7]])
V = np.array([0.4, -1.2, 2.0])


def declared(f, *rules, **grammar):
    """f as a primitive with these rules."""
    return bp.primitive(f).defvjp(*rules, **grammar)


@bp.nondifferentiable
def frozen(x):
    """x as if it were a constant."""
    return np.array(x)


# ---- right rules pass ----------------------------------------------------------------------------


def test_right_rules_pass():
    times = declared(lambda a, b: a @ b, lambda g, _y, _a, b: g @ b.T, lambda g, _y, a, _b: a.T @ g)
    assert bp.gradcheck(times, A, B, order=3)
    assert bp.gradcheck(lambda x: np.sin(x) * np.exp(x), V, order=3)


def test_numbers_and_integers():
    """A number is an array without axes; what is not floating is left alone."""
    report = bp.gradcheck(lambda x, n, i: x**n + V[i], 1.5, 3, np.array([0, 1]), order=2)
    assert report.ok
    with pytest.raises(TypeError, match="at least one floating argument"):
        bp.gradcheck(np.add, 1, 2)


def test_containers_in_and_out():
    def f(net, x):
        hidden = [np.tanh(x @ w + b) for w, b in net["layers"]]
        return {"out": hidden[0] * net["scale"], "sums": (np.sum(hidden[1]), None)}

    net = {"layers": [(A, B[0]), (B, A[0])], "scale": 2.0}
    assert bp.gradcheck(f, net, np.array([0.3, -0.7]), order=2)


def test_complex_numbers():
    z = np.array([0.5 + 1j, -1.0 + 0.3j])
    assert bp.gradcheck(lambda z: np.exp(z) * np.conjugate(z) / np.absolute(z), z, order=2)
    assert bp.gradcheck(lambda z, x: np.real(z * x), z, V[:2], order=2)
    forgot_to_conjugate = declared(np.absolute, lambda g, y, x: g * x / y, broadcasts="elementwise")
    assert not bp.gradcheck(forgot_to_conjugate, z, raise_exception=False)


def test_everything_runs_in_double_precision():
    assert bp.gradcheck(np.sin, V.astype(np.float32), order=2)
    seen = []
    bp.gradcheck(lambda x: seen.append(x.dtype) or x * x, V.astype(np.float16))
    assert set(seen) == {np.dtype(np.float64)}


def test_arguments_are_not_written_to():
    x = V.copy()
    x.flags.writeable = False
    bp.gradcheck(lambda x: x**3, x, order=2)
    np.testing.assert_array_equal(x, V)


def test_parameters_that_the_function_closes_over_are_constants():
    w = bp.Tensor(V, requires_grad=True)
    assert bp.gradcheck(lambda x: np.sum(w * np.sin(x)), V, order=2)
    assert w.grad is None


def test_empty_arrays_agree():
    assert bp.gradcheck(np.sin, np.empty((0, 2)), order=2)


# ---- wrong rules fail ----------------------------------------------------------------------------

WRONG = {
    "factor": (declared(np.sin, lambda g, _y, x: g * 2 * np.cos(x)), (V,)),
    "sign": (declared(np.sin, lambda g, _y, x: -g * np.cos(x)), (V,)),
    "missing term": (declared(lambda x: x * np.sin(x), lambda g, _y, x: g * np.sin(x)), (V,)),
    "transpose dropped": (
        declared(lambda a, b: a @ b, lambda g, _y, _a, b: g @ b, lambda g, _y, a, _b: a.T @ g), (A, B),
    ),
    "arguments exchanged": (
        declared(np.multiply, lambda g, _y, a, _b: g * a, lambda g, _y, _a, b: g * b), (A, B),
    ),
    "second argument": (declared(np.subtract, lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: g), (A, B)),
    "wrong axis": (
        declared(lambda x: np.sum(x, axis=0), lambda g, _y, _x: np.broadcast_to(g[:, None], _x.shape)), (A,),
    ),
    "mean as sum": (declared(np.mean, lambda g, _y, _x: g * np.ones(_x.shape)), (A,)),
    "wrong order of elements": (
        declared(np.ravel, lambda g, _y, _x: np.reshape(g, _x.shape, order="F")), (A,),
    ),
    "overwritten, not added": (
        declared(lambda x: x[[0, 0, 1]], lambda g, _y, _x: np.concatenate([g[1:], np.zeros(1)])), (V,),
    ),
    "last digits": (declared(np.exp, lambda g, y, _x: g * y * (1 + 1e-4)), (V,)),
    "detached": (declared(np.sin, lambda g, _y, x: frozen(g) * 0 * x), (V,)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_at_order_1(name):
    f, arguments = WRONG[name]
    with pytest.raises(bp.GradcheckError, match="of order 1 disagrees with differences") as caught:
        bp.gradcheck(f, *arguments)
    assert isinstance(caught.value, AssertionError)
    assert caught.value.report.order == 1
    assert not bp.gradcheck(f, *arguments, raise_exception=False)


WRONG_LATER = {
    "a frozen copy of the argument": declared(lambda x: x**3, lambda g, _y, x: g * 3 * frozen(x) ** 2),
    "a frozen copy of the value": declared(np.exp, lambda g, y, _x: g * frozen(y)),
    "one factor frozen": declared(lambda x: x**3, lambda g, _y, x: g * 3 * frozen(x) * x),
    "a function declared constant": declared(
        lambda x: x * np.absolute(x), lambda g, _y, x: g * (x * np.sign(x) + frozen(np.absolute(x)))
    ),
}


@pytest.mark.parametrize("name", WRONG_LATER)
def test_right_at_order_1_and_wrong_at_order_2(name):
    f = WRONG_LATER[name]
    assert bp.gradcheck(f, V, order=1)
    report = bp.gradcheck(f, V, order=2, raise_exception=False)
    assert not report.ok
    assert report.order == 2


def test_right_at_order_2_and_wrong_at_order_3():
    derivative = declared(np.cos, lambda g, _y, x: -g * frozen(np.sin(x)))
    f = declared(np.sin, lambda g, _y, x: g * derivative(x))
    assert bp.gradcheck(f, V, order=2)
    assert bp.gradcheck(f, V, order=3, raise_exception=False).order == 3


def test_a_rule_that_loses_the_cotangents_own_derivative():
    """Right as a VJP, but a JVP is the pullback of the pullback, which needs g to be recorded."""
    f = declared(np.sin, lambda g, _y, x: frozen(g) * np.cos(x))
    report = bp.gradcheck(f, V, raise_exception=False)
    assert (report.ok, report.what, report.order) == (False, "JVP", 1)


def test_wrong_in_complex_numbers_only():
    half_right = declared(lambda z: np.conjugate(z) * z, lambda g, _y, z: g * 2 * z)
    assert bp.gradcheck(half_right, V, order=2)
    assert not bp.gradcheck(half_right, V + 1j, raise_exception=False)


# ---- what the report says ------------------------------------------------------------------------


def test_the_report_names_the_worst_element_and_both_numbers():
    f = declared(np.square, lambda g, _y, x: g * x * np.array([[2.0, 2.001], [6.0, 2.0]]))
    report = bp.gradcheck(lambda d: np.sum(f(d["w"])), {"b": V, "w": A}, raise_exception=False)
    assert report.where == "argument 0.w[1, 0]"
    assert report.ratio == pytest.approx(3.0)
    assert report.analytic == pytest.approx(3 * report.numerical)
    assert abs(report.numerical) == pytest.approx(2 * 1.5, rel=0.6)
    text = str(report)
    for part in ("VJP of order 1", "argument 0.w[1, 0]", f"{report.analytic:.10g}", "ratio 3"):
        assert part in text


def test_the_report_of_a_passed_check():
    report = bp.gradcheck(np.sin, V, order=2)
    assert report.ok
    assert bool(report)
    assert report.order == 2
    assert report.ratio == pytest.approx(1.0)
    assert "agrees with differences" in str(report)


def test_a_ratio_tells_the_forgotten_factor():
    for factor in (2.0, -1.0, 0.25):
        f = declared(np.exp, lambda g, y, _x, factor=factor: g * y * factor)
        assert bp.gradcheck(f, 0.5, raise_exception=False).ratio == pytest.approx(factor)


def test_nan_where_there_should_be_a_number_fails():
    f = declared(np.sin, lambda g, _y, x: g * np.where(x > 1, np.nan, np.cos(x)))
    report = bp.gradcheck(f, V, raise_exception=False)
    assert not report.ok
    assert report.where == "argument 0[2]"


def test_tolerances_are_the_callers():
    f = declared(np.exp, lambda g, y, _x: g * y * (1 + 1e-4))
    assert bp.gradcheck(f, V, rtol=1e-3)
    assert not bp.gradcheck(f, V, rtol=1e-5, atol=0.0, raise_exception=False)


def test_the_random_cotangent_is_the_callers():
    """Another generator, other directions, the same verdict."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        assert bp.gradcheck(np.sin, V, rng=rng)
        assert not bp.gradcheck(WRONG["sign"][0], V, rng=rng, raise_exception=False)


# ---- the differences themselves ------------------------------------------------------------------


def test_numerical_derivative_of_a_polynomial():
    derivative = numerical_derivative(lambda x: float(np.sum(x**3 - 2 * x)), V)
    np.testing.assert_allclose(derivative, 3 * V**2 - 2, rtol=1e-10)


def test_numerical_derivative_in_complex_numbers():
    """∂|z|²/∂x − i ∂|z|²/∂y = 2 z̄."""
    z = np.array([0.5 + 1j, -1.0 + 0.3j])
    derivative = numerical_derivative(lambda z: float(np.sum(np.absolute(z) ** 2)), z)
    np.testing.assert_allclose(derivative, 2 * np.conjugate(z), rtol=1e-10)


def test_numerical_derivative_leaves_its_argument_alone():
    x = V.copy()

    def writes(x):
        total = float(np.sum(x**2))
        x[...] = 0.0
        return total

    np.testing.assert_allclose(numerical_derivative(writes, x), 2 * V, rtol=1e-10)
    np.testing.assert_array_equal(x, V)
