"""`bp.detect_anomaly` names the first NaN or infinity: where it arose or what it came in with."""

import asyncio
import gc
import re
import weakref

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.graph import AMBIENT

INF, NAN = np.inf, np.nan
QUIET = {"divide": "ignore", "over": "ignore", "invalid": "ignore"}


def leaf(values, name=None, dtype=None):
    return bp.Tensor(np.array(values, dtype), requires_grad=True, name=name)


def told(f, *arguments, **settings):
    """What detect_anomaly says of f(*arguments), which must raise."""
    with bp.detect_anomaly(**settings), np.errstate(**QUIET), pytest.raises(FloatingPointError) as caught:
        f(*arguments)
    return str(caught.value)


# ---- forward ---------------------------------------------------------------------------------------------


def test_the_logarithm_of_zero():
    text = told(np.log, leaf([[1.0, 0.0], [2.0, 0.0]], "x"))
    assert text.startswith("log gave -inf at [0, 1], [1, 1] (2 of 4 elements)")
    assert "x was 0.0 there" in text
    assert "clip" in text


def test_zero_by_zero():
    text = told(lambda: leaf([0.0, 1.0], "a") / leaf([0.0, 2.0], "b"))
    assert text.startswith("divide gave nan at [0] (1 of 2 elements)")
    assert "a was 0.0 there, b was 0.0 there" in text


def test_overflow_in_exp():
    text = told(np.exp, leaf(1000.0, "z"))
    assert text.startswith("exp gave inf, at")
    assert "z was 1000.0 there" in text


def test_the_users_line_is_named():
    x = leaf([0.0])

    def loss():
        return np.sum(np.log(x))  # the line in question

    text = told(loss)
    line = loss.__code__.co_firstlineno + 1
    assert f"{__file__}:{line}: return np.sum(np.log(x))" in text
    assert "x was 0.0 there" in text, "a Tensor without a name goes by its variable's"


def test_only_a_few_places_are_listed():
    text = told(np.log, leaf(np.zeros(50)))
    assert "-inf at [0], [1], [2], … (50 of 50 elements)" in text


def test_kinds_are_told_apart():
    assert "nan and -inf at [0], [1] (2 of 3 elements)" in told(np.log, leaf([-1.0, 0.0, 1.0]))


def test_an_overflow_in_a_product_tells_ranges():
    x, w = leaf(np.full((2, 3), 1e200), "x"), leaf(np.full((3, 4), -1e200), "w")
    text = told(lambda: x @ w)
    assert text.startswith("matmul gave -inf at [0, 0], [0, 1], [0, 2], … (8 of 8 elements)")
    assert "x of shape (2, 3) lay in [1e+200, 1e+200]" in text
    assert "w of shape (3, 4) lay in [-1e+200, -1e+200]" in text


def test_nan_in_the_data_came_in():
    x, w = bp.Tensor(np.array([1.0, NAN, 2.0]), name="data"), leaf(np.ones(3), "w")
    text = told(lambda: x * w)
    assert text.startswith(
        "nan at [1] (1 of 3 elements) came in with the constant 'data', operand 0 of multiply"
    )


def test_nan_in_a_plain_array_came_in():
    batch, w = np.array([[1.0, INF]]), leaf(np.ones((2, 1)), "w")
    assert told(lambda: batch @ w).startswith(
        "inf at [0, 1] (1 of 2 elements) came in with the constant 'batch', operand 0 of matmul"
    )


def test_nan_in_a_parameter_came_in():
    w = leaf([[NAN], [1.0]], "w")
    text = told(lambda: np.ones((1, 2)) @ w)
    assert text.startswith("nan at [0, 0] (1 of 2 elements) came in with the leaf 'w', operand 1 of matmul")


def test_nan_computed_before_the_block_came_in():
    with np.errstate(**QUIET):
        made = leaf([0.0, 1.0]) * INF
    assert "came in with the leaf 'made', operand 0 of add" in told(lambda made: made + 1.0, made)
    text = told(lambda box: np.exp(box[0]), [made])
    assert "came in with the leaf 'result of multiply', operand 0 of exp" in text


def test_what_is_not_used_does_no_harm():
    """An infinity in a mask, and one whose reciprocal is 0, make nothing that is not finite."""
    x = leaf([1.0, 2.0])
    with bp.detect_anomaly():
        np.sum(np.minimum(x, INF) + np.clip(x, -INF, INF) + x / INF).backward()
    np.testing.assert_array_equal(x.grad, [2.0, 2.0])


def test_an_infinity_that_was_chosen_came_in():
    text = told(lambda: np.where([True, False], leaf([1.0, 2.0]), -INF))
    assert text.startswith("-inf came in with a constant, operand 2 of where")


def test_several_outputs():
    halves = bp.primitive(lambda x: (x / 2, 1 / x))
    halves.defvjp(lambda g, _y, x: g[0] / 2 if g[1] is None else -g[1] / x**2)
    assert "gave inf at [1] (1 of 2 elements)" in told(halves, leaf([1.0, 0.0]))
    x = leaf([1.0, 2.0])
    with bp.detect_anomaly():
        np.sum(halves(x)[0]).backward()
    np.testing.assert_array_equal(x.grad, [0.5, 0.5])


def test_infinities_may_pass():
    x = leaf([0.0, 1.0])
    with bp.detect_anomaly(nan_only=True), np.errstate(**QUIET):
        y = np.log(x)
    np.testing.assert_array_equal(y.data, [-INF, 0.0])
    assert told(lambda: np.log(x) * 0.0, nan_only=True).startswith("multiply gave nan at [0]")


# ---- backward --------------------------------------------------------------------------------------------


def test_the_square_root_at_tiny_values():
    """√x is fine at the smallest float32, its slope times 1e20 is not."""
    x = leaf([1.0, 1e-44], "x", np.float32)
    text = told(lambda: np.sum(np.sqrt(x) * np.float32(1e20)).backward())
    assert text.startswith("the derivative of sqrt gave inf at [1] (1 of 2 elements) for operand 0, 'x'")
    assert re.search(r"x was \S+e-4\d there", text)
    assert "np.sqrt(x) * np.float32(1e20)" in text


def test_backward_says_so_in_a_note():
    x = leaf([1e-320])
    with bp.detect_anomaly(), pytest.raises(FloatingPointError) as caught:
        np.sum(np.sqrt(x) * 1e200).backward()
    assert any(note.startswith("raised in the backward pass through sqrt") for note in caught.value.__notes__)


def test_backward_after_the_block_is_checked_too():
    x = leaf([1e-320])
    with bp.detect_anomaly():
        y = np.sum(np.sqrt(x) * 1e200)
    with pytest.raises(FloatingPointError, match="the derivative of sqrt gave inf"):
        y.backward()


def test_a_bad_cotangent_came_in():
    x = leaf([1.0, 2.0])
    text = told(lambda: (x * 2.0).backward([NAN, 1.0]))
    assert text.startswith("nan at [0] (1 of 2 elements) came in with the cotangent that backward began with")


def test_a_sum_that_overflows_at_a_leaf():
    w = leaf([0.25, 1.0], "w", np.float16)
    big = np.array([60000.0, 1.0], np.float16)
    text = told(lambda: np.sum(w * big + w * big).backward())
    assert text.startswith(
        "the sum of the cotangents of operand 0, 'w', of multiply overflowed to inf at [0]"
    )


def test_a_sum_that_overflows_between():
    def loss(slope):
        y = leaf([1.0]) * 1e-300
        return y * slope - y * -slope

    text = told(lambda: loss(1.5e308).backward())
    assert text.startswith("the sum of the cotangents of multiply's result overflowed to inf at [0]")
    with bp.detect_anomaly():
        loss(0.5e308).backward()


def test_sums_begin_anew_with_each_backward_pass():
    w = leaf([1.0], "w", np.float16)
    big = np.array([40000.0], np.float16)
    with bp.detect_anomaly():
        for _ in range(3):
            w.zero_grad()
            np.sum(w * big).backward()
    np.testing.assert_array_equal(w.grad, big)


def test_a_rule_that_is_settled_to_zero_is_no_anomaly():
    """0 · ∞ behind `where` is 0 by convention, at order 1 and 2."""
    f = lambda x: np.sum(np.where(x > 0, np.sqrt(np.abs(x)) + 1 / np.where(x > 0, x, 1.0), 0.0))
    x = np.array([0.0, 4.0])
    with bp.detect_anomaly():
        first, second = bp.grad(f)(x), bp.hessian(f)(x)
    np.testing.assert_array_equal(first, [0.0, 0.25 - 1 / 16])
    np.testing.assert_allclose(second, np.diag([0.0, -0.25 / 8 + 2 / 64]), atol=1e-15)


def test_zero_cotangents_meet_infinite_derivatives_at_order_two():
    """What a rule computes on its way (here 0/0 in that of log) is not looked at, only what it hands on."""
    f = lambda x: np.sum(np.where(x > 0, np.log(x), 0.0))
    x = np.array([0.0, 4.0])
    with np.errstate(**QUIET):
        expected = bp.hessian(f)(x)
        with bp.detect_anomaly(nan_only=True):
            found = bp.hessian(f)(x)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found, np.diag([0.0, -1 / 16]))


def test_a_wrong_rule_is_found():
    @bp.primitive
    def double(x):
        return 2 * x

    double.defvjp(lambda g, _y, x: g * NAN)
    text = told(lambda: double(leaf([1.0], "x")).backward())
    assert text.startswith("the derivative of double gave nan at [0] (1 of 1 elements) for operand 0, 'x'")


# ---- nets and transforms -----------------------------------------------------------------------------------


def test_through_nn_with_the_layers_path():
    net = bp.nn.Sequential(bp.nn.Linear(2, 3, rng=0), bp.nn.ReLU(), bp.nn.Linear(3, 1, rng=1))
    name = [name for name, _ in net.named_parameters()][2]
    dict(net.named_parameters())[name].data[0, 1] = NAN
    text = told(net, np.ones((4, 2), np.float32))
    assert text.startswith("nan at [0, 1] (1 of 3 elements) came in with the leaf 'weight', operand 0 of")
    assert f"in module {name.removesuffix('.weight')!r}" in text


def test_backward_through_nn_names_the_layer():
    class Root(bp.nn.Module):
        def forward(self, x):
            return np.sqrt(x)

    net = bp.nn.Sequential(bp.nn.Linear(1, 1, rng=0, dtype=np.float64), Root())
    for p in net.parameters():
        p.data[...] = 1e-320
    text = told(lambda: np.sum(net(np.ones((1, 1))) * 1e200).backward())
    assert text.startswith("the derivative of sqrt gave inf at [0, 0]")
    path = next(path for path, module in net.named_modules() if type(module) is Root)
    assert f"in module {path!r}" in text


def train(net, steps):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)).astype(np.float32), rng.normal(size=(8, 2)).astype(np.float32)
    sgd = bp.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for _ in range(steps):
        sgd.zero_grad()
        bp.nn.functional.mse_loss(net(x), y).backward()
        sgd.step()
    return [p.data for p in net.parameters()]


def test_nothing_found_changes_nothing():
    plain = train(bp.nn.MLP([3, 4, 2], rng=3), 5)
    with bp.detect_anomaly():
        checked = train(bp.nn.MLP([3, 4, 2], rng=3), 5)
    for a, b in zip(plain, checked):
        np.testing.assert_array_equal(a, b)


def test_a_learning_rate_that_is_too_large_is_found():
    net = bp.nn.Linear(3, 2, rng=3)

    def diverge():
        sgd = bp.optim.SGD(net.parameters(), lr=1e6)
        for _ in range(200):
            sgd.zero_grad()
            np.sum(np.square(net(np.ones((2, 3), np.float32)))).backward()
            sgd.step()

    assert re.match(
        r"square gave inf at .* lay in|square gave inf at .* was -?[0-9.e+]+ there", told(diverge)
    )


def test_transforms_are_checked():
    text = told(bp.grad(lambda x: np.sum(np.sqrt(x) * 1e200)), np.array([1.0, 1e-320]))
    assert text.startswith("the derivative of sqrt gave inf at [1]")
    assert told(bp.hessian(lambda x: np.sum(np.log(x))), np.array([0.0])).startswith("log gave -inf at [0]")


def test_hessian_overflow_is_found():
    """x^-1.5 at 1e-300: value and slope fit in a float64, the curvature does not."""
    f = lambda x: np.sum(x**0.5)
    x = np.array([1e-250])
    with bp.detect_anomaly():
        assert np.isfinite(bp.grad(f)(x)).all()
    assert "inf" in told(bp.hessian(f), x)


def test_it_leaves_nothing_behind():
    before = AMBIENT.get()
    told(np.log, leaf([0.0]))
    assert AMBIENT.get() is before
    with np.errstate(**QUIET):
        assert np.log(leaf([0.0])).data[0] == -INF


def test_nothing_is_kept_alive():
    """The block holds no graph: a training loop inside it uses no more memory from step to step."""
    x = leaf(np.ones(3))

    def step():
        y = x * 2.0
        np.sum(y).backward()
        return weakref.ref(y.data)

    gc.disable()
    try:
        with bp.detect_anomaly():
            assert step()() is None
    finally:
        gc.enable()


def test_it_is_per_context():
    async def checked():
        with bp.detect_anomaly():
            await asyncio.sleep(0)
            with np.errstate(**QUIET), pytest.raises(FloatingPointError):
                np.log(leaf([0.0]))
            await asyncio.sleep(0)

    async def free():
        await asyncio.sleep(0)
        with np.errstate(**QUIET):
            return np.log(leaf([0.0])).data[0]

    async def both():
        return await asyncio.gather(checked(), free())

    assert asyncio.run(both()) == [None, -INF]


def test_a_drawing_of_a_checked_graph_can_be_made():
    with bp.detect_anomaly():
        y = np.sum(leaf([1.0, 2.0], "x") * 3.0)
    assert "multiply" in bp.viz.graph(y).source or "×" in bp.viz.graph(y).source


def test_operands_are_told_in_their_own_digits():
    x = bp.Tensor(np.array([3e38], np.float32), requires_grad=True, name="x")
    with (
        bp.detect_anomaly(),
        np.errstate(over="ignore"),
        pytest.raises(FloatingPointError, match=r"x was 3e\+38 there"),
    ):
        x * np.float32(10)
