"""The grammar of declarations: each word of it, what it promises, and what a wrong declaration says."""

import functools
import math
import weakref
from collections import namedtuple

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.errors import GradientShape, NotDifferentiable
from tinygrad_bp.primitive import REGISTRY

X = np.array([0.3, -0.7, 1.1])


def leaf(x, **kwargs):
    return bp.Tensor(np.array(x, float), requires_grad=True, **kwargs)


def declared(fn, *rules, **grammar):
    return bp.primitive(fn).defvjp(*rules, **grammar)


def scaled(x, factor=2.0, *, offset=0.0):
    return x * factor + offset


@pytest.fixture
def scale():
    return declared(scaled, lambda g, _y, _x, factor=2.0, offset=0.0: g * factor)


Pair = namedtuple("Pair", "sine cosine")


def sine_and_cosine(kind):
    """A function of two outputs, which uses each output's cotangent if there is one."""

    def rule(g, y, _x):
        s, c = y
        back = 0.0 * s
        if g[0] is not None:
            back = back + g[0] * c
        if g[1] is not None:
            back = back - g[1] * s
        return back

    return declared(lambda x: kind((np.sin(x), np.cos(x))), rule)


# ---- one rule per argument ---------------------------------------------------------------------------


def test_each_argument_has_its_rule():
    power = declared(
        lambda a, b: a**b, lambda g, _y, a, b: g * b * a ** (b - 1), lambda g, y, a, _b: g * y * np.log(a)
    )
    assert bp.grad(power, (0, 1))(2.0, 3.0) == pytest.approx((12.0, 8 * math.log(2)))
    assert bp.gradcheck(power, 2.0, 3.0, order=2)


def test_a_rule_of_none_says_that_the_argument_does_not_matter():
    pick = declared(lambda x, where: x * where, lambda g, _y, _x, where: g * where, None)
    assert bp.grad(pick, (0, 1))(2.0, 3.0) == (3.0, 0.0)


def test_functions_of_plain_arrays_stay_what_they_were(scale):
    y = scale(X, 3.0, offset=1.0)
    assert type(y) is np.ndarray
    np.testing.assert_array_equal(y, X * 3.0 + 1.0)
    assert scale.__name__ == "scaled"
    assert repr(scale) == "<primitive scaled>"


def test_the_forward_sees_plain_arrays_only():
    seen = []
    spy = declared(lambda x: (seen.append(type(x)), x * 1.0)[1], lambda g, _y, _x: g)
    bp.grad(bp.grad(lambda x: np.sum(spy(x) ** 2)))(2.0)
    spy(leaf(X))
    spy(bp.Tensor(X))
    assert set(seen) == {np.float64, np.ndarray}


@pytest.mark.parametrize("call", [
    lambda f, x: f(x, 3.0), lambda f, x: f(x, factor=3.0), lambda f, x: f(x=x, factor=3.0),
    lambda f, x: f(factor=3.0, x=x), lambda f, x: f(x, 3.0, offset=5.0), lambda f, x: f(x, bp.Tensor(3.0)),
])  # fmt: skip
def test_every_spelling_of_a_call(scale, call):
    x = leaf(X)
    y = call(scale, x)
    np.testing.assert_array_equal(y.data, call(scale.__wrapped__, X))
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, np.full(3, 3.0))


def test_keywords_that_say_nothing_are_dropped_and_others_refused():
    x = leaf(X)
    np.sum(x, out=None).backward()
    np.testing.assert_array_equal(x.grad, np.ones(3))
    with pytest.raises(
        NotDifferentiable, match=r"median was called .* overwrite_input=.*expected keywords among"
    ):
        np.median(x, overwrite_input=True)


def test_constants_may_be_given_any_keyword():
    constant = bp.Tensor(X)
    assert np.sum(constant, where=[True, False, True]).item() == pytest.approx(X[0] + X[2])
    assert np.add(constant, 1.0, dtype=np.float32).dtype == np.float32
    with bp.no_grad():
        assert np.sum(leaf(X), where=[True, False, False]).item() == X[0]


def test_constants_may_be_given_arguments_that_no_rule_knows():
    power = declared(lambda x, n: x**n, lambda g, _y, x: g * 2 * x)  # the rule of n = 2, which it cannot know
    constant, total = bp.Tensor(X), np.empty(())
    np.testing.assert_array_equal(power(constant, 3).data, X**3)
    np.sum(constant, None, None, total)
    assert total == X.sum()
    with bp.no_grad():
        np.testing.assert_array_equal(power(leaf(X), 3).data, X**3)
    with pytest.raises(NotDifferentiable, match="n=3") as caught:
        power(leaf(X), 3)
    assert caught.value.__context__ is None, "told once"


# ---- what a rule asks for, and what it gets ------------------------------------------------------------


def test_a_value_that_no_rule_asks_for_is_not_kept():
    free = declared(lambda a, b: a * b, lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a)
    for wanted in (0, 1):
        a, b = np.array([2.0]), np.array([3.0])
        alive = [weakref.ref(a), weakref.ref(b)]
        args = [a, b]
        args[wanted] = bp.Tensor(args[wanted], requires_grad=True)
        node = free(*args)._node
        del a, b, args
        assert alive[wanted]() is None, "d(ab)/da does not need a"
        assert alive[1 - wanted]() is not None, "but it needs b"
        del node
        assert alive[1 - wanted]() is None


def test_numpys_product_with_a_constant_keeps_the_constant_only():
    x, constant = np.array([2.0]), np.array([3.0])
    alive = weakref.ref(x), weakref.ref(constant)
    node = (bp.Tensor(x, requires_grad=True) * constant)._node
    del x, constant
    assert alive[0]() is None
    assert alive[1]() is not None
    assert node.y is None


def test_an_unneeded_argument_comes_as_its_outline():
    seen = []

    def rule(g, _y, _a, _b):
        seen.extend([_a, _b])
        return np.reshape(g, _a.shape)

    f = declared(lambda a, b: np.ravel(a), rule, None)
    bp.grad(lambda a: np.sum(f(a, np.ones((2, 4), np.float32))))(np.ones((3, 5)))
    for outline, shape, dtype in zip(seen, [(3, 5), (2, 4)], [np.float64, np.float32]):
        assert (outline.shape, outline.dtype, outline.ndim) == (shape, dtype, 2)
        assert outline.size == math.prod(shape)
        with pytest.raises(TypeError):
            outline + 1
        with pytest.raises(AttributeError):
            outline.data  # noqa: B018


def test_constants_reach_rules_as_plain_arrays():
    kinds = []

    def rule(g, _y, _a, b, c):
        kinds.extend([type(g), type(b), type(c)])
        return g * b * c

    f = declared(lambda a, b, c: a * b * c, rule, None, None)
    x = leaf(X)
    f(x, bp.Tensor(X), leaf(X).detach()).backward(bp.Tensor(X))
    assert kinds == [np.ndarray] * 3
    assert type(x.grad) is np.ndarray
    np.testing.assert_array_equal(x.grad, X * X * X)


def test_the_output_is_kept_only_if_a_rule_asks_for_it():
    x = leaf(X)
    assert np.exp(x)._node.y is not None
    assert np.sin(x)._node.y is None


# ---- one rule for all arguments ------------------------------------------------------------------------


def test_a_joint_rule_shares_work():
    calls = []

    def rule(g, y, a, b):
        calls.append(1)
        return g * y / a, g * y / b

    product = declared(lambda a, b: a * b, joint=rule)
    assert bp.grad(product, (0, 1))(2.0, 5.0) == (5.0, 2.0)
    assert calls == [1]
    assert bp.gradcheck(product, 2.0, 5.0, order=2)
    assert bp.grad(product)(2.0, 5.0) == 5.0


def test_a_joint_rule_may_take_any_number_of_arguments():
    product = declared(
        lambda *xs: functools.reduce(np.multiply, xs), joint=lambda g, y, *xs: tuple(g * y / x for x in xs)
    )
    assert bp.grad(product, (0, 1, 2))(2.0, 3.0, 5.0) == (15.0, 10.0, 6.0)
    assert bp.gradcheck(product, 2.0, 3.0, 5.0, 7.0, order=2)


def test_underscores_in_a_joint_rule_are_heeded():
    first = declared(lambda *xs: xs[0] * xs[1], joint=lambda g, _y, _first, *xs: (g * xs[0], g * 2.0))
    assert bp.grad(first, (0, 1))(2.0, 5.0) == (5.0, 2.0)
    none = declared(lambda *xs: sum(xs), joint=lambda g, _y, *_xs: (g,) * len(_xs))
    assert none(leaf(1.0), leaf(2.0))._node.saved[0] is not None
    assert bp.grad(none, (0, 1))(2.0, 5.0) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("returned", "got"),
    [(lambda g: (g,), "got 1"), (lambda g: (g, g, g), "got 3"), (lambda g: g, "got float64")],
)
def test_a_joint_rule_returns_one_cotangent_per_argument(returned, got):
    product = declared(lambda a, b: a * b, joint=lambda g, _y, _a, _b: returned(g))
    with pytest.raises(GradientShape, match=f"expected a tuple or list of 2 cotangents, {got}"):
        bp.grad(product, (0, 1))(2.0, 5.0)


# ---- lists of arrays -----------------------------------------------------------------------------------


@pytest.fixture
def weighted():
    return declared(
        lambda xs, weight=1.0: weight * xs[0] * xs[1],
        lambda g, _y, xs, weight=1.0: [g * weight * xs[1], g * weight * xs[0]],
        sequence=0,
    )


def test_a_sequence_of_arrays(weighted):
    assert bp.grad(lambda a, b: weighted([a, b], 3.0), (0, 1))(2.0, 5.0) == (15.0, 6.0)
    assert bp.grad(lambda a, b: weighted((a, b), weight=3.0), (0, 1))(2.0, 5.0) == (15.0, 6.0)
    assert bp.grad(lambda a: weighted(xs=[a, 5.0]))(2.0) == 5.0
    assert bp.grad(lambda a: weighted([a, a]))(2.0) == 4.0
    assert bp.gradcheck(lambda a, b: weighted([a, b], 3.0) ** 2, 2.0, 5.0, order=2)
    assert weighted([2.0, 5.0]) == 10.0


def test_a_sequence_rule_returns_one_cotangent_per_array():
    for returned in ([1.0], [1.0, 1.0, 1.0]):
        f = declared(lambda xs: xs[0] * xs[1], lambda g, _y, _xs, r=returned: r, sequence=0)
        with pytest.raises(GradientShape, match="list of 2 cotangents"):
            bp.grad(lambda a, b, f=f: f([a, b]), (0, 1))(2.0, 5.0)


def test_one_stack_is_one_node():
    ts = [leaf(float(i)) for i in range(50)]
    assert np.stack(ts)._node.parents == tuple(t._node for t in ts)


# ---- several outputs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [tuple, list, lambda parts: Pair(*parts)])
def test_several_outputs(kind):
    both = sine_and_cosine(kind)
    x = leaf(X)
    parts = both(x)
    assert type(parts) is type(both(X))
    assert bp.gradcheck(lambda x: both(x)[0] * both(x)[1] ** 2, X, order=2)
    np.sum(parts[0] * parts[1]).backward()
    np.testing.assert_allclose(x.grad, np.cos(2 * X), rtol=1e-14)


@pytest.mark.parametrize(("used", "derivative"), [(0, np.cos), (1, lambda x: -np.sin(x))])
def test_an_unused_output_has_the_cotangent_none(used, derivative):
    both = sine_and_cosine(tuple)
    np.testing.assert_allclose(bp.elementwise_grad(lambda x: both(x)[used])(X), derivative(X), rtol=1e-14)
    second = bp.elementwise_grad(bp.elementwise_grad(lambda x: both(x)[used]))(X)
    np.testing.assert_allclose(second, -both(X)[used], rtol=1e-14)


def test_an_output_used_twice_sums_its_cotangents():
    both = sine_and_cosine(tuple)

    def f(x):
        s, c = both(x)
        return np.sum(s * s + 3 * s + c)

    np.testing.assert_allclose(bp.grad(f)(X), 2 * np.sin(X) * np.cos(X) + 3 * np.cos(X) - np.sin(X))


def test_outputs_that_are_no_floats_are_plain():
    ordered = declared(
        lambda x: (np.sort(x), np.argsort(x), "ascending", None, len(x)),
        lambda g, y, _x: g[0][np.argsort(y[1])],
    )
    x = leaf([3.0, 1.0, 2.0])
    values, order, *rest = ordered(x)
    assert type(order) is np.ndarray
    assert rest == ["ascending", None, 3]
    np.sum(values * np.array([1.0, 10.0, 100.0])).backward()
    np.testing.assert_array_equal(x.grad, [100.0, 1.0, 10.0])


def test_a_python_number_is_a_result():
    sine = declared(math.sin, lambda g, _y, x: g * np.cos(x))
    assert bp.grad(sine)(0.5) == math.cos(0.5)
    assert bp.grad(bp.grad(sine))(0.5) == pytest.approx(-math.sin(0.5))
    assert sine(bp.Tensor(0.5)).item() == math.sin(0.5)
    halves = declared(lambda x: (0.5 * float(x), 2.0), lambda g, _y, _x: 0.5 * g[0])
    assert bp.grad(lambda x: halves(x)[0])(3.0) == 0.5


@pytest.mark.parametrize("result", [lambda x: {"a": x}, lambda x: (x, [x, x]), lambda x: (x, {"a": x})])
def test_results_that_would_lose_their_gradient_are_an_error(result):
    f = declared(result, lambda g, _y, _x: g)
    with pytest.raises(NotDifferentiable, match="return an array, or a tuple of arrays"):
        f(leaf(X))


def test_ufuncs_of_several_outputs():
    bp.defvjp(np.modf, lambda g, _y, _x: g[0])
    x = leaf(X)
    fraction, whole = np.modf(x)
    np.testing.assert_array_equal([fraction.data, whole.data], np.modf(X))
    np.sum(fraction * np.arange(3.0)).backward()
    np.testing.assert_array_equal(x.grad, np.arange(3.0))


@pytest.mark.oracle
def test_ufuncs_of_three_inputs():
    special = pytest.importorskip("scipy.special")
    bp.defvjp(
        special.betainc, None, None, lambda g, _y, a, b, x: g * x ** (a - 1) * (1 - x) ** (b - 1) / special.beta(a, b)
    )  # fmt: skip
    assert bp.gradcheck(lambda x: special.betainc(2.0, 3.0, x), np.array([0.2, 0.7]))
    constant = special.betainc(bp.Tensor(2.0), 3.0, 0.2)
    assert constant.item() == special.betainc(2.0, 3.0, 0.2)


# ---- broadcasting --------------------------------------------------------------------------------------


def test_the_sweep_sums_over_axes_that_were_broadcast():
    product = declared(
        lambda a, b: a * b, lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a, broadcasts="elementwise"
    )
    for shapes in [((3,), (2, 3)), ((2, 1), (1, 3)), ((), (2, 3)), ((1, 1, 1), (2,)), ((0, 3), (1, 3))]:
        a, b = (np.random.default_rng(0).normal(size=shape) for shape in shapes)
        u = np.random.default_rng(1).normal(size=np.broadcast_shapes(*shapes))
        ours = bp.vjp(product, a, b)[1](u)
        for ours_, theirs, shape in zip(ours, (u * b, u * a), shapes):
            assert np.shape(ours_) == shape
            lead = tuple(range(theirs.ndim - len(shape)))
            kept = theirs.sum(axis=lead)
            axes = tuple(i for i, n in enumerate(shape) if n == 1)
            np.testing.assert_allclose(ours_, kept.sum(axis=axes, keepdims=True), rtol=1e-13)


def test_leading_axes_are_summed_over_and_no_others():
    solve = declared(
        lambda a, b: a @ b,
        lambda g, _y, _a, b: g @ np.swapaxes(b, -1, -2),
        lambda g, _y, a, _b: np.swapaxes(a, -1, -2) @ g,
        broadcasts="leading axes",
    )
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 2, 3)), rng.normal(size=(3, 5))
    assert bp.gradcheck(solve, a, b, order=2)
    wrong = declared(
        lambda a, b: a @ b, lambda g, _y, _a, b: g[..., :1] + 0 * b[0, 0], None, broadcasts="leading axes"
    )
    with pytest.raises(GradientShape, match=r"expected shape \(4, 2, 3\), got shape \(4, 2, 1\)"):
        bp.grad(lambda a: np.sum(wrong(a, b)))(a)


@pytest.mark.parametrize("broadcasts", [None, "elementwise", "leading axes"])
@pytest.mark.parametrize("shape", [(5, 3), (1,), (), (2, 2), (4,), (1, 3)])
def test_a_cotangent_of_another_shape_is_an_error(broadcasts, shape):
    f = declared(lambda x, w: w * 2.0, None, lambda g, _y, _x, _w: np.ones(shape), broadcasts=broadcasts)
    w = leaf(X, name="weights")
    with pytest.raises(GradientShape) as error:
        np.sum(f(1.0, w)).backward()
    said = str(error.value)
    assert "<lambda>" in said
    assert "argument 1 (weights)" in said
    assert "expected shape (3,)" in said
    assert f"got shape {shape}" in said
    assert w.grad is None


# ---- rules that go wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize("returned", [None, "g", object()])
def test_a_rule_that_returns_no_numbers(returned):
    f = declared(lambda x: x * 2.0, lambda g, _y, _x: returned)
    with pytest.raises(GradientShape, match="the VJP rule of <lambda> for argument 0 did not return numbers"):
        bp.grad(f)(1.0)


@pytest.mark.parametrize(
    "returned", [2, 2.0, np.int64(2), np.float32(2), True + 1, np.array(2), bp.Tensor(2.0)]
)
def test_a_rule_may_return_any_number_of_the_right_shape(returned):
    f = declared(lambda x: x * 2.0, lambda g, _y, _x: returned)
    assert bp.grad(f)(1.0) == 2.0
    assert bp.grad(f)(1.0).dtype == np.float64


def test_a_rule_that_raises_says_where():
    f = declared(scaled, lambda g, _y, _x: 1 / 0)
    with pytest.raises(ZeroDivisionError) as error:
        bp.grad(f)(1.0)
    assert error.value.__notes__ == ["raised in the backward pass through scaled"]


def test_a_rule_that_leaves_numpy_is_an_error_at_second_order():
    cube = declared(lambda x: x**3, lambda g, _y, x: g * 3 * np.asarray(x) ** 2)
    assert bp.grad(cube)(2.0) == 12.0
    with pytest.raises(TypeError, match="bare array of a Tensor that records"):
        bp.grad(bp.grad(cube))(2.0)


def test_a_rule_may_call_a_transform():
    cube = declared(lambda x: x**3, lambda g, _y, x: g * bp.grad(lambda v: v**3)(x))
    assert [bp.grad(cube)(2.0), bp.grad(bp.grad(cube))(2.0), bp.grad(bp.grad(bp.grad(cube)))(2.0)] == [
        12,
        12,
        6,
    ]


# ---- Tensors in places that nobody declared --------------------------------------------------------------


def test_a_tensor_in_an_undeclared_list_is_an_error():
    def forward(x, ws=()):
        return x * ws[0]

    f = declared(forward, lambda g, _y, _x, ws=(): g * ws[0])
    w = leaf(3.0)
    for call in (lambda: f(leaf(X), ws=[w]), lambda: f(leaf(X), [w]), lambda: f(X, ws=(w,))):
        with pytest.raises(NotDifferentiable, match="given a Tensor that records in ws="):
            call()
    with pytest.raises(NotDifferentiable, match="in ws="):
        f(leaf(X), ws=w)
    x = leaf(X)
    np.sum(f(x, ws=[bp.Tensor(3.0)])).backward()
    np.testing.assert_array_equal(x.grad, np.full(3, 3.0))


def test_a_list_as_an_operand_without_sequence():
    joint = declared(lambda x, ws: x * ws[0], joint=lambda g, _y, x, ws: (g * ws[0], None))
    with pytest.raises(NotDifferentiable, match="in a list, where no derivative is declared"):
        joint(leaf(X), [leaf(3.0)])
    summed = declared(lambda xs: np.sum(xs), lambda g, _y, xs: g * xs)
    a, b = leaf(1.0), leaf(2.0)
    summed([a, b]).backward()  # the rule is of the array that NumPy would make of the list
    assert (a.grad, b.grad) == (1.0, 2.0)


def test_a_forward_that_closes_over_a_recorded_tensor_is_an_error():
    w = leaf(3.0)
    for args in ((leaf(X),), (leaf(X), 2.0)):
        f = declared(lambda *xs: xs[0] * w, joint=lambda g, _y, *xs: (g,) * len(xs))
        with pytest.raises(NotDifferentiable, match="used a Tensor that records without being given it"):
            f(*args)
    g = declared(lambda x: x * w, lambda g, _y, _x: g)
    with pytest.raises(NotDifferentiable, match="pass it as an argument"):
        g(leaf(X))


def once(forward, *rules, **grammar):
    """(the primitive, a list that grows by an entry whenever its forward runs)"""
    runs = []

    def counted(*args):
        runs.append(1)
        return forward(*args)

    return declared(functools.wraps(forward)(counted), *rules, **grammar), runs


def test_two_plain_operands_and_a_forward_that_closes_over_a_recorded_tensor():
    w = leaf(3.0)
    f = declared(lambda x, y: x * w, lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: g)
    with pytest.raises(NotDifferentiable, match="used a Tensor that records without being given it"):
        f(leaf(X), leaf(X))


def test_locally_constant_results_of_one_and_of_two_operands_are_plain():
    one, _ = once(lambda x: x > 1, lambda g, _y, _x: g)
    two, _ = once(lambda x, y: x > y, lambda g, _y, _a, _b: g, None)
    for y in (one(leaf(X)), two(leaf(X), 1.0)):
        assert type(y) is np.ndarray
        assert y.dtype == bool


def test_a_forward_runs_once_whatever_it_returns():
    several, runs = once(lambda x: (x * 2, x + 1), lambda g, _y, _x: 2 * g[0])
    number, more = once(lambda x, y: float(np.sum(x * y)), lambda g, _y, _a, b: g * b, None)
    pair, most = once(lambda x, y: (x * y, x), lambda g, _y, _a, b: g[0] * b, None)
    x = leaf(X)
    for y in (
        np.sum(several(x)[0]),
        number(x, np.full_like(X, 3.0)),
        np.sum(pair(x, np.full_like(X, 4.0))[0]),
    ):
        y.backward()
    np.testing.assert_array_equal(x.grad, np.full_like(X, 2.0 + 3.0 + 4.0))
    assert len(runs) == len(more) == len(most) == 1


def test_an_elementwise_rule_of_two_operands_gets_outlines():
    f = declared(lambda x, y: x + y, lambda g, _y, _a, _b: g * _b.size, None, broadcasts="elementwise")
    x = leaf(X)
    np.sum(f(x, np.ones(X.shape))).backward()
    np.testing.assert_array_equal(x.grad, np.full_like(X, X.size))


# ---- the other entries of the registry -------------------------------------------------------------------


def test_a_composite_has_the_value_of_one_function_and_the_derivative_of_the_other():
    double = bp.primitive(lambda x: x * 2.0000001)
    bp.composite(double, lambda x: x + x)
    x = leaf(X)
    y = double(x)
    np.testing.assert_array_equal(y.data, X * 2.0000001)
    np.sum(y * y).backward()
    np.testing.assert_allclose(x.grad, 2 * X * 2.0000001 * 2, rtol=1e-12)
    assert bp.grad(bp.grad(lambda x: double(x) ** 2))(1.0) == pytest.approx(8.0)
    assert type(double(X)) is np.ndarray
    np.testing.assert_array_equal(double(bp.Tensor(X)).data, X * 2.0000001)


def test_a_composite_may_have_several_outputs():
    both = bp.primitive(lambda x, k=1: (np.sin(k * x), np.argsort(x), [k, 2.0]))
    bp.composite(both, lambda x, k=1: (np.sin(k * x), 0, [0, 0]))
    x = leaf(X)
    y, order, rest = both(x, k=2)
    np.sum(y).backward()
    np.testing.assert_allclose(x.grad, 2 * np.cos(2 * X))
    np.testing.assert_array_equal(order, np.argsort(X))
    assert rest == [2, 2.0]
    assert bp.gradcheck(lambda x: both(x)[0] ** 2, X, order=2)


def test_a_composite_that_returns_its_argument_leaves_it_alone():
    same = bp.primitive(lambda x: x.copy())
    bp.composite(same, lambda x: x)
    data = X.copy()
    x = bp.Tensor(data, requires_grad=True)
    y = same(x)
    assert y is not x
    assert x.data is data
    np.sum(y * 3).backward()
    np.testing.assert_array_equal(x.grad, np.full(3, 3.0))


def test_a_nondifferentiable_function_returns_plain_arrays():
    level = bp.nondifferentiable(lambda x, k=1: np.floor(k * x))
    y = level(leaf(X), k=leaf(10.0))
    assert type(y) is np.ndarray
    np.testing.assert_array_equal(y, np.floor(10 * X))
    assert bp.grad(lambda x: x * level(x))(3.5) == 3.0
    assert bp.grad(bp.grad(lambda x: x**2 * level(x)))(3.5) == 6.0


def test_a_refused_function_says_what_to_use_instead():
    bad = bp.primitive(lambda x: x * 2)
    bp.refused(bad, "use good(x)")
    with pytest.raises(NotDifferentiable, match=r"cannot be differentiated; use good\(x\)"):
        bad(leaf(X))
    np.testing.assert_array_equal(bad(bp.Tensor(X)), X * 2)
    with bp.no_grad():
        np.testing.assert_array_equal(bad(leaf(X)), X * 2)


def test_an_unknown_function_is_named_with_the_ways_out(monkeypatch):
    monkeypatch.delitem(REGISTRY, np.i0)  # as if nobody had declared it
    with pytest.raises(NotDifferentiable) as error:
        np.i0(leaf(X))
    said = str(error.value)
    for part in ("i0 has no derivative rule yet", "bp.defvjp(np.i0", "bp.nondifferentiable(np.i0)", "t.data"):
        assert part in said
    monkeypatch.delitem(REGISTRY, np.hypot.accumulate)
    with pytest.raises(NotDifferentiable, match=r"hypot\.accumulate has no derivative rule"):
        np.hypot.accumulate(leaf(X))
    np.testing.assert_array_equal(np.i0(bp.Tensor(X)), np.i0(X))


def test_a_primitive_without_a_rule_is_an_unknown_function():
    f = bp.primitive(scaled)
    with pytest.raises(NotDifferentiable, match="scaled has no derivative rule yet"):
        f(leaf(X))
    np.testing.assert_array_equal(f(bp.Tensor(X)), scaled(X))


# ---- wrong declarations --------------------------------------------------------------------------------


class Rules:
    def method(self, g, _y, _x):
        return g


@pytest.mark.parametrize(
    ("rules", "grammar", "kind", "said"),
    [
        ((), {}, TypeError, "needs rules"),
        ((None,), {}, TypeError, "needs rules"),
        ((lambda g, y, x: g,), {"joint": lambda g, y, x: (g,)}, TypeError, "needs rules"),
        ((lambda g, y, x: g,), {"broadcasts": "all"}, ValueError, "broadcasts must be"),
        ((lambda g, y, x: g,), {"sequence": 1}, ValueError, "sequence must be"),
        (
            (),
            {"joint": lambda g, y, x: (g,), "erases": lambda g, x: None},
            TypeError,
            "erases= needs a rule for each",
        ),
        (
            (lambda g, y, x: g,),
            {"adds": lambda t, g, x: None, "erases": lambda g, x: None},
            TypeError,
            "and no adds=",
        ),
        ((len,), {}, TypeError, "must be a Python function"),
        ((np.sin,), {}, TypeError, "must be a Python function"),
        ((functools.partial(lambda g, y, x: g),), {}, TypeError, "wrap it in a lambda"),
        ((Rules().method,), {}, TypeError, "wrap it in a lambda"),
        ((lambda g: g,), {}, TypeError, "too few parameters; expected g, y and 1 operands, got g"),
        (
            (lambda g, y, a, b: g, lambda g, y, b: g),
            {},
            TypeError,
            "expected g, y and 2 operands, got g, y, b",
        ),
        ((lambda g, y, *xs: g,), {}, TypeError, "joint="),
        ((), {"joint": lambda g: (g,)}, TypeError, "too few parameters"),
    ],
)
def test_wrong_declarations_are_errors_where_they_are_made(rules, grammar, kind, said):
    with pytest.raises(kind) as error:
        bp.defvjp(bp.primitive(scaled), *rules, **grammar)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "declare",
    [
        lambda f: bp.defvjp(f, lambda g, _y, x: g * 100),
        lambda f: bp.composite(f, lambda x: x),
        lambda f: bp.refused(f, "use another"),
    ],
)
def test_declaring_something_of_a_plain_function_is_an_error(declare):
    with pytest.raises(TypeError, match=r"nobody sees.*scaled = bp\.primitive\(scaled\)"):
        declare(scaled)


def test_a_declaration_can_be_replaced():
    f = declared(scaled, lambda g, _y, _x: g)
    f.defvjp(lambda g, _y, _x: g * 2)
    assert bp.grad(f)(1.0) == 2.0


def test_a_composite_that_ends_in_a_view_gives_numpys_value():
    """A view of an argument is one; a view of something that only the derivative computes is not."""

    @bp.primitive
    def third(x):
        return x / 3.0

    bp.composite(third, lambda x: np.reshape(x * (1 / 3), x.shape))
    x = bp.Tensor([5.0, 7.0], requires_grad=True)
    np.testing.assert_array_equal(third(x).data, x.data / 3.0)
    np.testing.assert_allclose(bp.grad(lambda x: np.sum(third(x)))(x.data), 1 / 3)
