"""Where a compiled step keeps its arrays, and where it looks for a NaN: results are the user's own, and nothing is missed."""

import itertools
import tracemalloc

import numpy as np
import pytest

import tinygrad_bp as bp
from tests.compiler.steps import training
from tinygrad_bp.compiler import passes
from tinygrad_bp.compiler.codegen import Linker
from tinygrad_bp.compiler.nans import telling
from tinygrad_bp.compiler.places import is_scatter, lender, turned
from tinygrad_bp.compiler.trace import Signature, Trace
from tinygrad_bp.nn import functional as F

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 4)), RNG.uniform(size=(6, 3))


def traced(f, *args):
    return Trace(f, Signature(args, {})).program


def a_step(sizes, cost, momentum=0.0, activation="relu", rng=0):
    net = bp.nn.MLP(sizes, activation, "linear", rng=rng)
    optimizer = bp.optim.SGD(net.parameters(), lr=0.1, momentum=momentum)
    return net, training(net, optimizer, cost)


def assert_same_steps(sizes, cost, batches, **settings):
    """Compiled and eager steps on the batches come to the same costs and parameters; gives the compiled step."""
    (net, eager), (twin, step) = a_step(sizes, cost, **settings), a_step(sizes, cost, **settings)
    compiled = bp.compile(step)
    for x, y in batches:
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(compiled(x, y).data, eager(x, y).data, rtol=1e-4)
    for p, q in zip(net.parameters(), twin.parameters()):
        np.testing.assert_allclose(q.data, p.data, rtol=1e-4, atol=1e-6)
    return compiled


# ---- results -----------------------------------------------------------------------------------------------


def test_a_lent_array_is_lent_again_when_nobody_holds_it_or_a_view_of_it():
    lend = lender((3, 4), np.dtype(float))
    first = lend()
    assert lend() is not first, "it is held"
    second = lend()
    address = second.ctypes.data
    del second
    third = lend()
    assert third.ctypes.data == address
    view = third[1:]
    del third
    assert not np.may_share_memory(lend(), view)


def test_results_are_the_users_own():
    f = bp.compile(lambda w, x: (np.tanh(x @ w), x.T @ np.exp(x)))
    W = RNG.normal(size=(4, 5))
    held, expected = [], []
    for n in range(8):
        x = X + n
        held.append(f(W, x))
        expected.append((np.tanh(x @ W), x.T @ np.exp(x)))
        row = f(W, x)[0][2:]  # only a view of a result is kept
        f(W, x * 2)
        np.testing.assert_array_equal(row, expected[-1][0][2:])
    assert f.stats["replays"] > 20
    for ours, right in zip(held, expected):
        for a, b in zip(ours, right):
            np.testing.assert_allclose(a, b, rtol=1e-13)
            a[...] = 0  # what the user does to one harms no other
    np.testing.assert_allclose(f(W, X)[0], np.tanh(X @ W), rtol=1e-13)


def test_a_result_that_is_kept_as_state_too_is_a_copy():
    class Last(bp.nn.Module):
        def __init__(self):
            self.last = np.zeros((6, 5))

        def forward(self, w, x):
            self.last = x @ w
            return self.last

    last, W = Last(), RNG.normal(size=(4, 5))
    step = bp.compile(lambda w, x: last(w, x))
    for _ in range(5):
        step(W, X)[...] = 0
        np.testing.assert_allclose(last.last, X @ W, rtol=1e-13)


# ---- NaN ---------------------------------------------------------------------------------------------------


def test_a_weights_gradient_is_not_looked_at_if_the_bias_tells():
    def f(w, b, x):
        return bp.grad(lambda p: np.sum(np.where(x > 0, np.tanh(x @ p["w"] + p["b"])[:, :4], 0.0)))(
            {"w": w, "b": b}
        )

    program = passes.optimized(traced(f, np.ones((4, 4)), np.ones(4), X))
    (dw, db) = program.results
    assert telling(program, [dw, db]) == [db]
    assert telling(program, [dw]) == [dw], "nothing else tells of it"


def test_a_sum_of_products_is_not_looked_at_if_all_its_parts_are_told_of():
    def f(a, b, x):
        d, e = np.exp(a), np.exp(b)
        return d.T @ x + e.T @ x, np.sum(d, axis=0), np.sum(e, axis=0)

    program = traced(f, X, X, Y)
    both, first, second = program.results
    assert telling(program, [both, first, second]) == [first, second]
    assert telling(program, [both, first]) == [both, first], "nothing else tells of e"
    program = traced(lambda a, x: (np.exp(a) + a.T.T @ x, np.sum(a, axis=0)), X, X[:4])
    assert program.results[0] in telling(program, program.results), "one part is a rule's own"


@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize("at", range(5))
def test_second_derivatives_that_meet_a_nan_are_eager_ones(broken, at):
    labels = RNG.integers(0, 3, 6)

    def product(x, p, v):
        def cost(w, u):
            return F.cross_entropy(np.tanh(np.tanh(x @ w.T) @ w) @ u, labels)

        return bp.hvp(cost, p, v)

    compiled, arrays = bp.compile(product), [X, Y[:4].T, Y[:4], Y[1:5].T, Y[1:5]]
    for n in range(6):
        x, *rest = [a.copy() for a in arrays]
        if n == 4:
            (x, *rest)[at][1, 1] = broken
        with np.errstate(all="ignore"):
            found, expected = (f(x, tuple(rest[:2]), tuple(rest[2:])) for f in (compiled, product))
        for a, b in zip(found, expected):
            np.testing.assert_allclose(a, b, rtol=1e-9)
    assert compiled.stats == compiled.stats | {"traces": 2, "replays": 3, "eager": 1}


def test_what_an_elementwise_rule_gives_is_always_looked_at():
    program = passes.optimized(traced(lambda g, x: (g * x, np.sum(g, axis=0)), X, X))
    assert program.results[0] in telling(program, program.results), "x may have a NaN, and Σ g has none"


@pytest.mark.parametrize("function", [np.fmax, np.add])
def test_functions_that_drop_a_nan_do_not_tell(function):
    def f(a, x):
        e = np.exp(a)
        return e.T @ x, np.sum(function(e, 0.0), axis=0)

    program = traced(f, X, Y)
    assert len(telling(program, program.results)) == (2 if function is np.fmax else 1)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", ["x", "weight"])
def test_steps_that_meet_a_nan_are_eager_ones(broken, momentum, at):
    labels = RNG.integers(0, 3, 6)
    (net, eager), (twin, step) = (a_step([4, 5, 3], F.cross_entropy, momentum) for _ in range(2))
    compiled = bp.compile(step)
    x = X.astype(np.float32)
    for n in range(10):
        if n == 7:
            if at == "x":
                x = x.copy()
                x[2, 1] = broken
            else:
                for one in (net, twin):
                    one.layers[1].weight.data[1, 2] = broken
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(compiled(x, labels).data, eager(x, labels).data, rtol=1e-4)
        for p, q in zip(net.parameters(), twin.parameters()):
            np.testing.assert_allclose(q.data, p.data, rtol=1e-4, atol=1e-6)
    assert compiled.stats["replays"] >= 4


# ---- rows, indices, constants ------------------------------------------------------------------------------


def test_indices_that_cannot_meet_are_written_and_others_added():
    def scatters(f, *args):
        program = passes.optimized(traced(bp.grad(f), *args))
        return [is_scatter(c) for c in program.calls if getattr(c.function, "__name__", "") == "scatter"]

    labels = RNG.integers(0, 4, 6)
    rows = (lambda: np.arange(6), lambda: np.arange(6) % 3, lambda: np.arange(6) - 1)  # −1 may be another row
    for index, once in zip(rows, (True, False, False)):
        f = lambda x, y, index=index: np.sum(np.exp(x)[index(), y] * 2.0)
        assert scatters(f, X, labels) == [once]
        compiled = bp.compile(bp.grad(f))
        for _ in range(4):
            found = compiled(X, labels)
        np.testing.assert_allclose(found, bp.grad(f)(X, labels), rtol=1e-13)
    assert scatters(lambda x, y: np.sum(np.exp(x)[y]), X, labels) == [False]


def test_matrices_of_short_rows_whose_largest_are_asked_for_are_kept_turned():
    def f(x, w):
        z = x @ w + 1.0
        return np.exp(z - np.max(z, axis=1, keepdims=True))

    long, square = np.ones((50, 4)), np.ones((4, 4))
    assert len(turned(passes.optimized(traced(f, long, square)), {})) > 1
    assert not turned(passes.optimized(traced(f, square, square)), {})
    x, w = RNG.normal(size=(50, 4)), RNG.normal(size=(4, 5))
    compiled = bp.compile(f)
    for _ in range(4):
        found = compiled(x, w)
    np.testing.assert_allclose(found, f(x, w), rtol=1e-13)


def layer(x, w, b):
    """A sum over a layer of relus, and how it changes with w."""
    return bp.value_and_grad(lambda w: np.sum(np.maximum(x @ w.T + b, 0) ** 2))(w)


def f32(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def test_a_product_of_few_rows_and_many_columns_is_kept_turned_with_all_around_it():
    x, w, b = f32(16, 128), f32(64, 128), f32(64)
    program = passes.optimized(traced(layer, x, w, b))
    around = {v for call in program.calls for v in call.outs if v.shape == (16, 64)}
    assert len(around) > 4
    assert turned(program, {}) == around
    compiled = bp.compile(layer)
    for _ in range(4):
        found = compiled(x, w, b)
    for a, e in zip(found, layer(x, w, b)):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-3)
    given = program.inputs[1]
    assert turned(program, {given: w})
    assert not turned(program, {given: np.asfortranarray(w)})


@pytest.mark.parametrize("step", [
    lambda x, w, y: np.sum(np.exp(x.astype(np.float64) @ w.astype(np.float64).T)),
    lambda x, w, y: np.sum(np.exp(np.tile(x, (3, 1)) @ w.T)),
    lambda x, w, y: np.sum(np.exp(x[:, :100] @ w[:, :100].T)),
    lambda x, w, y: np.exp(x @ w.T),
    lambda x, w, y: np.sum(np.exp(x @ w.T - y)),
    lambda x, w, y: np.sum(np.sort(np.exp(x @ w.T), axis=0) * np.tanh(x @ w.T)),
], ids=["float64", "more rows", "a small one", "put out", "beside what is given", "made one way only"])  # fmt: skip
def test_a_product_stays_as_it_is_where_turning_it_would_not_pay(step):
    assert not turned(passes.optimized(traced(step, f32(16, 128), f32(64, 128), f32(16, 64))), {})


def test_spreading_that_numpy_does_by_itself_is_left_to_it():
    program = passes.straight(traced(lambda x, b: x * np.reshape(b, (1, 4)), X, X[0]))
    assert [c.function for c in program.calls] == [np.multiply]
    only = passes.straight(traced(lambda b, c: np.reshape(b, (1, 4)) * np.reshape(c, (4, 1)), X[0], X[0]))
    assert len(only.calls) == 3, "here the shapes are needed"
    program = passes.optimized(traced(lambda x: (x * 2.0) * np.full((20, 4), 3.0), np.ones((20, 4))))
    assert [(c.function, c.args[1].shape) for c in program.calls] == [(np.multiply, ())], "one number, 6"


def test_a_constant_that_somebody_holds_is_not_copied():
    class Hidden:
        __slots__ = ("table",)

    hidden = Hidden()
    hidden.table = np.ones(100)
    step = bp.compile(lambda x: x * hidden.table)
    for n in range(6):
        hidden.table[...] = n
        np.testing.assert_array_equal(step(np.ones(100)), np.full(100, float(n)))
    assert step.stats["replays"] > 2


def test_sums_of_squares_are_products():
    for f in (lambda x: np.sum(x**2), lambda x: np.mean(x**2)):
        program = passes.products(traced(f, X))
        assert program.calls[0].function is np.vdot
        compiled = bp.compile(f)
        for _ in range(4):
            found = compiled(X)
        np.testing.assert_allclose(found, f(X), rtol=1e-14)
    kept = passes.products(traced(lambda x: np.sum(np.square(x), axis=1), X))
    assert [c.function for c in kept.calls] == [np.square, np.dot]


def test_a_sum_of_products_that_is_only_read_transposed_is_made_so():
    program = traced(lambda a, b: (a.T @ b + (b.T @ a).T).T, X, Y)
    after = passes.straight(passes.transposes(passes.straight(program)))
    assert after.calls[-1].function is np.add
    expected = (X.T @ Y + (Y.T @ X).T).T
    linked = Linker(after, {}, [], []).link()
    np.testing.assert_allclose(linked.run(X, Y)[0][0], expected, rtol=1e-14)


# ---- products ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "word"), [(4, "dot"), (16384 // 8, "matmul")])
def test_a_product_is_called_as_its_size_makes_quicker(n, word):
    """`dot` is lighter to call, but fills its result with zeros first."""
    a, b = RNG.normal(size=(8, 3)), RNG.normal(size=(3, n))
    linked = Linker(traced(lambda a, b: np.sum((a @ b) ** 2), a, b), {}, [], []).link()
    assert ("matmul" in linked.text) == (word == "matmul"), linked.text
    np.testing.assert_allclose(linked.run(a, b)[0][0], np.sum((a @ b) ** 2), rtol=1e-13)


# ---- large parameters --------------------------------------------------------------------------------------


def test_changes_of_large_parameters_need_no_buffer():
    sizes = [300, 500, 500, 4]
    batches = [(RNG.normal(size=(8, 300)).astype(np.float32), RNG.integers(0, 4, 8)) for _ in range(6)]
    compiled = assert_same_steps(sizes, F.cross_entropy, batches)
    weights = 4 * sum(a * b for a, b in itertools.pairwise(sizes))
    assert compiled.stats["replays"] >= 4
    assert compiled.stats["buffer bytes"] < 0.15 * weights


def test_large_parameters_with_momentum_and_shared_weights():
    batches = [(RNG.normal(size=(8, 600)).astype(np.float32), RNG.integers(0, 4, 8)) for _ in range(6)]
    assert_same_steps([600, 600, 4], F.cross_entropy, batches, momentum=0.9)
    tied = [bp.Tensor(RNG.normal(size=(600, 600)) / 30, requires_grad=True) for _ in range(2)]
    tied[1].data = tied[0].data.copy()

    def step(w, x):
        w.zero_grad()
        cost = np.mean((x @ w @ w.T) ** 2)
        cost.backward()
        w.data = w.data - (x.T @ x) * 1e-4  # a product of nothing that is written
        w.data = w.data - w.grad
        return cost

    x = RNG.normal(size=(5, 600))
    compiled = bp.compile(lambda x: step(tied[0], x))
    for _ in range(5):
        np.testing.assert_allclose(compiled(x).data, step(tied[1], x).data, rtol=1e-9)
    np.testing.assert_allclose(tied[0].data, tied[1].data, rtol=1e-9)


def test_a_step_that_changes_large_parameters_takes_no_more_than_an_eager_one():
    batches = [(RNG.normal(size=(64, 600)).astype(np.float32), RNG.integers(0, 10, 64)) for _ in range(4)]
    net, step = a_step([600, 600, 600, 10], F.cross_entropy)
    step(*batches[0])
    tracemalloc.start()
    for p in net.parameters():
        p.zero_grad()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    step(*batches[0])
    eager = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    compiled = bp.compile(step)
    for batch in batches:
        compiled(*batch)
    assert 0 < compiled.stats["buffer bytes"] <= eager
