"""Each pass by itself: the program computes what it did, and is as much shorter as the pass promises."""

import operator
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import tinygrad_bp as bp
from tests.compiler.steps import training
from tinygrad_bp.compiler import passes
from tinygrad_bp.compiler.codegen import Linker
from tinygrad_bp.compiler.program import Var, mapped
from tinygrad_bp.compiler.trace import Signature, Trace
from tinygrad_bp.nn import functional as F
from tinygrad_bp.primitive import Primitive

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 4)), RNG.uniform(size=(6, 3))


def traced(f, *args):
    return Trace(f, Signature(args, {})).program


def values(program, inputs, state=()):
    """The outputs of the program, by running its calls one by one."""
    known = dict(zip((*program.inputs, *program.state), (*inputs, *state)))
    for call in program.calls:
        function = call.function.__wrapped__ if isinstance(call.function, Primitive) else call.function
        with np.errstate(all="ignore"):
            y = function(*mapped(call.args, known.get), **mapped(call.kwargs, known.get))
        known.update(zip(call.outs, y if call.several else [y]))
    return [known[v] if type(v) is Var else v for v in program.outputs()]


def a_step(activation="sigmoid", cost=F.quadratic_cost):
    net = bp.nn.MLP([4, 5, 3], activation, rng=0, dtype=np.float64)
    return training(net, bp.optim.SGD(net.parameters(), lr=0.3), cost)


STEPS = {
    "sigmoid": a_step(),
    "tanh, classes": a_step("tanh", lambda z, y: F.cross_entropy(z, y / np.sum(y, axis=1, keepdims=True))),
    "relu, mse": a_step("relu", F.mse_loss),
    "softplus": a_step("softplus", F.binary_cross_entropy_with_logits),
    "second order": lambda x, y: bp.grad(lambda x: np.sum(bp.grad(lambda x: np.sum(np.tanh(x) ** 3))(x) ** 2))(x) + np.sum(y),
}  # fmt: skip


@pytest.mark.parametrize("one", passes.PASSES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_a_pass_changes_no_value(step, one):
    trace = Trace(step, Signature((X, Y), {}))
    inputs, state = (X + 0.5, Y * 0.9), [np.asarray(slot.get()) for slot in trace.slots]
    before, after = trace.program, one(trace.program)
    for a, b in zip(values(before, inputs, state), values(after, inputs, state), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-14)


def test_dead_code():
    def f(x):
        np.exp(x)
        return x + 1

    program = traced(f, X)
    assert [c.function for c in passes.dead_code(program).calls] == [np.add]
    assert len(program.calls) == 2, "a pass makes a new program"


def test_common_subexpressions():
    program = passes.dead_code(passes.common(traced(lambda x: np.exp(x) + np.exp(x) * np.exp(x + 0.0), X)))
    assert [c.function for c in program.calls] == [np.exp, np.add, np.exp, np.multiply, np.add]


def test_random_calls_are_never_joined():
    rng = np.random.default_rng(0)
    program = traced(lambda x: F.dropout(x, 0.5, rng=rng) + F.dropout(x, 0.5, rng=rng), X)
    assert len(passes.common(program).calls) == len(passes.inlined(program).calls) == len(program.calls)


def test_constants_are_folded_and_live_arrays_are_not():
    table = np.ones(3)
    program = passes.folded(traced(lambda x: x * (np.float64(2.0) ** 3) + np.sum(table), X))
    assert [c.function for c in program.calls] == [np.multiply, np.sum, np.add] or len(program.calls) == 3


def test_primitives_are_spelled_out():
    program = passes.inlined(traced(bp.ops.nonlinear.sigmoid, X))
    assert not any(isinstance(c.function, Primitive) for c in program.calls)
    assert [c.function for c in program.calls] == [np.negative, np.exp, np.add, np.reciprocal]


def test_factors_are_joined():
    program = passes.scaled(traced(lambda x: (x * 2.0) * 3.0 + (x + x), X))
    factors = [a for c in program.calls for a in c.args if type(a) is float]
    assert sorted(factors) == [2.0, 6.0]


def test_a_sign_is_joined_with_a_factor_behind_a_product():
    twice = passes.common(traced(lambda x, y: (-x * y) * 2.0 + -x * y, X, X + 1))
    assert passes.scaled(twice).calls[1].args[0] is twice.calls[0].out, (
        "the product is read without a factor, too"
    )
    once = traced(lambda x, y: y + (-(x + 1) * y) * 2.0, X, X + 1)
    after = passes.scaled(once)
    assert [c.function for c in after.calls].count(np.negative) == 0
    assert [a for c in after.calls for a in c.args if type(a) is float] == [-2.0]
    np.testing.assert_array_equal(values(after, (X, X + 1)), values(once, (X, X + 1)))


@pytest.mark.parametrize("f", [F.log_softmax, F.softmax, lambda z: np.exp(F.log_softmax(z, 0))])
def test_a_softmax_does_not_ask_for_infinite_logits_and_minds_them(f):
    z = np.array([[1.0, 2.0, 0.0], [3.0, -np.inf, 1.0]])
    assert np.isfinite not in [c.function for c in passes.inlined(passes.finite(traced(f, z))).calls]
    compiled = bp.compile(lambda z: f(z))
    for row in (0.5, np.inf, -np.inf, np.nan, 2.0):
        given = np.where([[False, True, False], [True, True, True]], row, z)
        for _ in range(3):
            with np.errstate(all="ignore"):
                np.testing.assert_allclose(compiled(given), f(given), rtol=1e-14)
    assert compiled.stats["eager"] == 6
    empty = traced(f, np.ones((3, 0)))
    assert passes.finite(empty) is empty


def test_sums_over_rows_are_products_with_ones():
    program = passes.products(traced(lambda x: np.sum(x, axis=0), X))
    assert [c.function for c in program.calls] == [np.dot]


def test_a_rate_is_multiplied_in_once():
    trace = Trace(STEPS["sigmoid"], Signature((X, Y), {}))
    writes = [(p, v) for p, v in trace.program.writes if isinstance(p, int) and trace.slots[p].kind == "data"]
    program = passes.dead_code(replace(trace.program, writes=writes))
    (rate,) = [v for v, slot in zip(trace.program.state, trace.slots) if slot.path.endswith("_rate")]
    assert sum(rate in c.inputs() for c in program.calls) == 4, "once for each parameter"
    assert sum(rate in c.inputs() for c in passes.rates(program).calls) == 1


def test_a_factor_that_is_computed_after_a_value_is_not_put_into_it():
    program = traced(lambda x: (x[1:] * np.exp(x[0])) * 1.5, X[0])
    made = set(program.inputs)
    for call in passes.rates(program).calls:
        assert made.issuperset(call.inputs())
        made.update(call.outs)
    (y,) = values(passes.rates(program), [X[1]])
    np.testing.assert_array_equal(y, X[1][1:] * np.exp(X[1][0]) * 1.5)


def test_of_two_factors_one_takes_the_rate():
    eta = np.array(3.0)
    program = traced(lambda x, y, eta: eta * (np.exp(x) * np.sin(y)), X, X, eta)
    after = passes.rates(program)
    np.testing.assert_allclose(values(after, (X, X, eta)), values(program, (X, X, eta)), rtol=1e-14)


def test_programs_without_passes_give_the_same():
    step, plain = (bp.compile(a_step(), passes=p) for p in (passes.PASSES, ()))
    for _ in range(8):
        assert step(X, Y).item() == pytest.approx(plain(X, Y).item(), rel=1e-12)
    assert plain.stats["replays"] > 3


def test_views_are_taken_once_and_buffers_are_used_again():
    program = passes.optimized(traced(lambda x: np.tanh(np.tanh(np.tanh(np.tanh(x) * 2.0))), X))
    linked = Linker(program, {}, [], []).link()
    assert linked.peak == X.nbytes, "elementwise calls write into their operand's buffer"
    view = passes.optimized(traced(lambda x: (np.exp(x).T @ np.exp(x)).reshape(-1)[::2] * 1.5, X))
    text = Linker(view, {}, [], []).link().text
    assert "transpose" not in text
    assert "reshape" not in text


def test_buffers_take_no_more_than_an_eager_step():
    net = bp.nn.MLP([50, 60, 40, 10], "tanh", rng=0)
    optimizer = bp.optim.SGD(net.parameters(), lr=0.1)
    step = training(net, optimizer)
    x, y = RNG.normal(size=(300, 50)).astype(np.float32), RNG.normal(size=(300, 10)).astype(np.float32)
    step(x, y)
    optimizer.zero_grad()
    tracemalloc.start()
    step(x, y)
    eager = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    compiled = bp.compile(step)
    for _ in range(5):
        compiled(x, y)
    assert 0 < compiled.stats["buffer bytes"] <= eager


def test_getitem_of_an_array_of_indices_is_no_view():
    linked = Linker(traced(lambda x: operator.getitem(x + 1.0, [0, 2]), X), {}, [], []).link()
    results, _ = linked.run(X)
    np.testing.assert_array_equal(results[0], (X + 1)[[0, 2]])


def test_transposes_of_transposes_and_idle_reshapes_vanish():
    program = passes.straight(traced(lambda x: (np.exp(x).T.T + 1.0).reshape(6, 4), X))
    assert [c.function for c in program.calls] == [np.exp, np.add]
    program = passes.straight(traced(lambda x, b: x * np.broadcast_to(b, (6, 4)), X, X[0]))
    assert [c.function for c in program.calls] == [np.multiply], "NumPy broadcasts by itself"
    both = traced(lambda b: np.broadcast_to(b, (6, 4)) * np.broadcast_to(b, (6, 4)), X[0])
    assert values(passes.straight(both), (X[0],))[0].shape == (6, 4)


def test_a_product_that_is_only_read_transposed_is_made_so():
    program = traced(lambda a, b: np.exp((a.T @ b).T), X, Y)
    after = passes.straight(passes.transposes(program))
    assert [c.function for c in after.calls] == [np.transpose, np.matmul, np.exp]
    np.testing.assert_allclose(values(after, (X, Y))[0], np.exp(Y.T @ X), rtol=1e-14)
    read_both_ways = traced(lambda a, b: (a.T @ b, (a.T @ b).T), X, Y)
    kept = passes.transposes(passes.common(read_both_ways))
    np.testing.assert_allclose(values(kept, (X, Y))[0], X.T @ Y, rtol=1e-14)


def test_a_row_on_each_row_of_a_small_matrix_is_a_product_with_ones_and_takes_a_sign():
    program = passes.biases(traced(lambda z, b: np.exp(-(z + b)), X, X[0]))
    assert [c.function for c in program.calls] == [np.reshape, np.dot, np.add, np.negative, np.exp]
    signed = passes.signs(program)
    assert [c.function for c in signed.calls] == [np.reshape, np.dot, np.subtract, np.exp]
    np.testing.assert_array_equal(values(signed, (X, X[0]))[0], np.exp(-(X + X[0])))
    large = traced(lambda z, b: z + b, np.ones((200, 30)), np.ones(30))
    assert [c.function for c in passes.biases(large).calls] == [np.add]


def test_a_sign_stays_where_the_sum_is_read_besides():
    program = passes.signs(passes.biases(traced(lambda z, b: -(z + b) * (z + b), X, X[0])))
    np.testing.assert_array_equal(values(program, (X, X[0]))[0], -((X + X[0]) ** 2))

    def twice(z, b):
        total = z + b
        return -total * total

    program = passes.signs(passes.biases(traced(twice, X, X[0])))
    np.testing.assert_array_equal(values(program, (X, X[0]))[0], -((X + X[0]) ** 2))


def test_relu_is_a_product_with_the_mask_that_backward_needs():
    program = passes.masks(
        passes.relus(passes.inlined(traced(bp.grad(lambda x: np.sum(F.relu(x * 2.0))), X)))
    )
    functions = [c.function for c in passes.dead_code(program).calls]
    assert np.maximum not in functions
    forward = passes.relus(passes.inlined(traced(lambda x: F.relu(x * 2.0), X)))
    assert np.maximum in [c.function for c in forward.calls], "nobody needs a mask"


def test_small_parameters_lie_together_and_one_call_updates_them_all():
    nets = [bp.nn.MLP([4, 5, 3], rng=0, dtype=np.float32) for _ in range(2)]
    steps = [training(net, bp.optim.SGD(net.parameters(), lr=0.3), F.quadratic_cost) for net in nets]
    x, y = X.astype(np.float32), Y.astype(np.float32)
    step = bp.compile(steps[1])
    for n in range(8):
        if n == 5:  # somebody holds one of them: it stays where it is, and follows
            held = nets[1].layers[0].weight.data = nets[1].layers[0].weight.data.copy()
        steps[0](x, y), step(x, y)
        if n == 4:
            lines = step._last().linked.text.partition("if flags")[2]
            assert lines.count("subtract") == 1
            assert all(p.data.ctypes.data % 64 == 0 for p in nets[1].parameters())
        for p, q in zip(*(net.parameters() for net in nets)):
            np.testing.assert_allclose(q.data, p.data, rtol=1e-4, atol=1e-6)
    assert held is nets[1].layers[0].weight.data
    before = [p.data.copy() for p in nets[1].parameters()]
    kept = nets[1].layers[1].bias.data
    step(x, y)
    assert kept is nets[1].layers[1].bias.data
    assert all(np.any(p.data != b) for p, b in zip(nets[1].parameters(), before))


def test_a_primitive_whose_body_wants_other_indices_stays_whole():
    step = bp.compile(bp.grad(lambda x: np.sum(np.sort(x, axis=0) ** 2)))
    for _ in range(4):
        np.testing.assert_allclose(step(X[:1]), 2 * X[:1])
