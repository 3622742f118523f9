"""The sweep: the chain rule on any graph, gradients that belong to nobody else, and honest errors."""

import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import backward
from tinygrad_bp.check import numerical_derivative
from tinygrad_bp.errors import FreedGraph
from tinygrad_bp.ops.indexing import put
from tinygrad_bp.primitive import REGISTRY

X = np.array([0.5, -1.5, 2.0])


def leaf(x, **kwargs):
    return bp.Tensor(np.array(x, float), requires_grad=True, **kwargs)


def declared(fn, *rules, **grammar):
    return bp.primitive(fn).defvjp(*rules, **grammar)


# ---- random programs ---------------------------------------------------------------------------------------

UNARY = [
    np.sin, np.tanh, np.negative, lambda x: x * 0.5 + 1, lambda x: 1.5 - x, np.transpose, lambda x: x.T,
    lambda x: np.exp(-x * x), lambda x: np.log1p(x * x), lambda x: np.sum(x, axis=0),
    lambda x: np.mean(x, axis=-1, keepdims=True), lambda x: np.sum(x), lambda x: x[0], lambda x: x[..., ::-1],
    lambda x: np.reshape(x, -1)[:2], lambda x: x[..., None], lambda x: np.concatenate([x, x * x], axis=0),
    lambda x: np.stack([x, np.cos(x)], axis=-1)[..., 0], lambda x: x[np.array([0, 0, -1])],
    lambda x: np.where(np.arange(np.size(x)).reshape(np.shape(x)) % 2, x, x * x), np.arctan, lambda x: np.hypot(x, 2.0), lambda x: x**3 / 3,
    lambda x: np.reshape(x, (-1, 1)) * np.ones(2),
]  # fmt: skip
BINARY = [
    np.add, np.subtract, np.multiply, lambda x, y: x / (1 + y * y), lambda x, y: np.arctan2(x, 1 + y * y),
    lambda x, y: np.hypot(x, 1 + y * y), np.logaddexp,
    lambda x, y: (x * x + 0.5) ** y, lambda x, y: np.sin(x) * y, lambda x, y: np.outer(x, y),
    lambda x, y: np.reshape(x, (-1, 1)) @ np.reshape(y, (1, -1)),
]  # fmt: skip


@st.composite
def programs(draw):
    """(steps, input shapes): each step applies a function to values made so far."""
    shapes = draw(st.lists(st.sampled_from([(), (2,), (3,), (2, 3), (1, 3), (2, 1)]), min_size=1, max_size=3))
    steps = []
    for n in range(len(shapes), len(shapes) + draw(st.integers(1, 7))):
        values = st.integers(max(0, n - 4), n - 1)
        if draw(st.booleans()):
            steps.append((draw(st.integers(0, len(UNARY) - 1)), draw(values), None))
        else:
            steps.append((draw(st.integers(0, len(BINARY) - 1)), draw(values), draw(values)))
    return steps, shapes


def run(steps, inputs):
    """The mean of the last value plus traces of all others, so that each one matters."""
    values = list(inputs)
    for f, i, j in steps:
        if j is None:
            x = values[i]
            needs_axis = f in (9, 10, 12, 13, 16, 18)
            values.append(UNARY[f](np.reshape(x, (-1,)) if needs_axis and np.ndim(x) == 0 else x))
        else:
            x, y = values[i], values[j]
            try:
                np.broadcast_shapes(np.shape(x), np.shape(y))
            except ValueError:
                x, y = np.sum(x, axis=-1), np.mean(y)
            values.append(BINARY[f](x, y))
        if np.size(values[-1]) > 60:
            values[-1] = np.reshape(values[-1], -1)[:12]
        values[-1] = np.tanh(values[-1] * 0.5)
    return np.mean(values[-1]) + sum(0.1 * np.sum(v * v) for v in values)


def drawn(rng, shapes):
    return [np.asarray(rng.uniform(0.3, 1.2, s) * rng.choice([-1.0, 1.0], s)) for s in shapes]


@given(programs(), st.integers(0, 2**32 - 1))
def test_random_graphs_by_differences(program, seed):
    steps, shapes = program
    rng = np.random.default_rng(seed)
    points = drawn(rng, shapes)
    leaves = [leaf(point) for point in points]
    value = run(steps, leaves)
    assert value.item() == run(steps, points), "recording changes no value"
    value.backward()
    for k, (point, x) in enumerate(zip(points, leaves)):
        numerical = numerical_derivative(
            lambda moved, k=k: float(run(steps, [*points[:k], moved, *points[k + 1 :]])), point
        )
        note(f"argument {k}: {x.grad} {numerical}")
        np.testing.assert_allclose(x.grad, numerical, rtol=1e-6, atol=1e-7)
    gradients = bp.grad(lambda *xs: run(steps, xs), tuple(range(len(points))))(*points)
    for x, gradient in zip(leaves, gradients):
        np.testing.assert_array_equal(x.grad, gradient, err_msg="both styles, one sweep")


@given(programs(), st.integers(0, 2**32 - 1))
def test_random_graphs_at_second_order(program, seed):
    steps, shapes = program
    rng = np.random.default_rng(seed)
    points = drawn(rng, shapes)
    assert bp.gradcheck(lambda *xs: run(steps, xs), *points, order=2, rtol=1e-5, atol=1e-6)
    first = bp.grad(lambda *xs: run(steps, xs), tuple(range(len(points))))
    leaves = [leaf(point) for point in points]
    penalty = sum(np.sum(g * g) for g in first(*leaves))
    if isinstance(penalty, bp.Tensor):
        penalty.backward()
        expected = bp.hvp(lambda *xs: run(steps, xs), tuple(points), first(*points))
        for x, product in zip(leaves, expected):
            np.testing.assert_allclose(x.grad, 2 * product, rtol=1e-9, atol=1e-12)


# ---- accumulation ------------------------------------------------------------------------------------------


def test_a_retained_graph_accumulates_honestly():
    x = leaf(2.0)
    y = x**3
    y.backward(retain_graph=True)
    assert x.grad == 12.0
    y.backward(retain_graph=True)
    assert x.grad == 24.0
    y.backward()
    assert x.grad == 36.0


def test_gradients_of_several_passes_are_summed():
    x = leaf(X)
    np.sum(x * x).backward()
    kept = x.grad
    np.sum(3 * x).backward()
    np.testing.assert_array_equal(x.grad, 2 * X + 3)
    np.testing.assert_array_equal(kept, 2 * X, err_msg="an older .grad is left alone")


def test_a_leaf_may_be_its_own_result():
    x = leaf(X)
    x.backward(np.ones(3))
    x.backward(X)
    np.testing.assert_array_equal(x.grad, 1 + X)


def test_a_value_used_twice_by_one_op():
    x = leaf(3.0)
    (x * x + x / x + x**x).backward()
    assert x.grad == pytest.approx(6.0 + 0.0 + 27 * (np.log(3) + 1))


def test_only_what_the_result_depends_on_is_visited():
    x, unrelated = leaf(X), leaf(X)
    unrelated * 2
    np.sum(x).backward()
    assert unrelated.grad is None


def test_the_cotangent_of_a_vector_result():
    x = leaf(X)
    (x * x).backward(np.array([1, 0, 10]))
    np.testing.assert_array_equal(x.grad, 2 * X * [1, 0, 10])
    x.grad = None
    (x * x).backward(bp.Tensor([1.0, 0.0, 10.0]))
    np.testing.assert_array_equal(x.grad, 2 * X * [1, 0, 10])
    x.grad = None
    np.sum(x, keepdims=True).backward()
    np.testing.assert_array_equal(x.grad, np.ones(3))


def test_the_gradient_has_the_leafs_shape_and_dtype():
    for shape in ((), (1,), (2, 3), (0, 2)):
        for dtype in (np.float16, np.float32, np.float64, np.longdouble, np.complex64):
            x = bp.Tensor(np.ones(shape, dtype), requires_grad=True)
            np.real(np.sum(x * np.ones((4, 2, 3) if shape != (0, 2) else (3, 0, 2)) * (2 + 0j))).backward()
            assert type(x.grad) is np.ndarray
            assert (x.grad.shape, x.grad.dtype) == (shape, dtype)


def test_gradients_are_projected_to_what_the_parent_is():
    x = bp.Tensor(np.ones(2, np.float32), requires_grad=True)
    z = np.array([1 + 2j, 3 - 1j])
    np.real(np.sum(x * z)).backward()
    np.testing.assert_array_equal(x.grad, np.array([1.0, 3.0], np.float32), strict=True)
    for order in (">f8", "<f8"):
        x = bp.Tensor(np.ones(2, order), requires_grad=True)
        np.sum(x * x).backward()
        np.testing.assert_array_equal(x.grad, [2.0, 2.0])


# ---- freed graphs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "op", [lambda x: x**3, lambda x: x + 1.0, lambda x: -x, lambda x: x + x, lambda x: x[0]]
)
def test_a_second_backward_is_a_clear_error(op):
    x = leaf(X)
    y = np.sum(op(x))
    y.backward()
    first = x.grad.copy()
    with pytest.raises(FreedGraph, match=r"sum, which an earlier backward pass has freed.*retain_graph=True"):
        y.backward()
    np.testing.assert_array_equal(x.grad, first)


def test_a_graph_that_hangs_on_a_freed_one_is_an_error():
    x = leaf(2.0)
    shared = x + x
    first, second = shared + 1.0, shared + 2.0
    first.backward()
    with pytest.raises(FreedGraph, match="reached add"):
        second.backward()
    with pytest.raises(FreedGraph):
        (first + 1.0).backward()
    assert x.grad == 2.0


def test_a_pullback_does_not_free():
    _, pullback = bp.vjp(lambda x: x**3, 2.0)
    assert [pullback(1.0)[0] for _ in range(3)] == [12.0, 12.0, 12.0]


# ---- errors ----------------------------------------------------------------------------------------------------


def test_backward_from_what_is_no_single_number():
    with pytest.raises(ValueError, match=r"Tensor of shape \(3,\).*one element.*grad="):
        (leaf(X) * 2).backward()
    for cotangent in (1.0, np.ones(2), np.ones((3, 1))):
        with pytest.raises(ValueError, match="a cotangent of the wrong shape"):
            (leaf(X) * 2).backward(cotangent)


def test_backward_from_a_constant():
    x = leaf(X)
    with bp.no_grad():
        quiet = np.sum(x * 2)
    for constant in (bp.Tensor(1.0), bp.Tensor(1), x.detach(), quiet):
        with pytest.raises(
            RuntimeError, match=r"nothing recorded.*requires_grad=True, outside bp\.no_grad\(\)"
        ):
            constant.backward()


def test_backward_works_under_no_grad_on_what_was_recorded_before():
    x = leaf(X)
    y = np.sum(x * x)
    with bp.no_grad():
        y.backward()
    np.testing.assert_array_equal(x.grad, 2 * X)


@pytest.mark.parametrize("inner", [lambda x: x * 2, lambda x: leaf(1.0) * 3])
def test_backward_on_a_value_of_a_transform_in_progress(inner):
    with pytest.raises(RuntimeError, match="a value of a transform"):
        bp.grad(lambda x: inner(x).backward())(1.0)


def test_backward_of_an_outer_graph_within_a_transform():
    w = leaf(3.0)

    def f(x):
        (w * w).backward()
        return x * w.data

    assert bp.grad(f)(2.0) == 3.0
    assert w.grad == 6.0


# ---- gradients belong to nobody else ---------------------------------------------------------------------------

CACHE = np.ones((2, 3))


def locked(array):
    array.flags.writeable = False
    return array


ALIASING = {
    "add": lambda x: x + 0.0,
    "identity": lambda x: x,
    "positive": lambda x: +x,
    "transpose": lambda x: np.transpose(x),
    "T": lambda x: x.T,
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "reshape": lambda x: np.reshape(x, (3, 2)),
    "ravel": lambda x: np.ravel(x),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "squeeze": lambda x: np.squeeze(x[None]),
    "getitem": lambda x: x[:, ::-1],
    "newaxis": lambda x: x[None],
    "copy": lambda x: np.copy(x),
    "astype": lambda x: x.astype(np.float64),
    "broadcast_to": lambda x: np.broadcast_to(x, (4, 2, 3)),
    "concatenate": lambda x: np.concatenate([x, x]),
    "stack": lambda x: np.stack([x, x]),
    "sum": lambda x: np.sum(x),
    "sum over an axis": lambda x: np.sum(x, axis=0),
    "mean": lambda x: np.mean(x, axis=1, keepdims=True),
    "where": lambda x: np.where(np.ones((2, 3), bool), x, 0.0),
    "a rule that returns g": lambda x: declared(np.copy, lambda g, _y, _x: g)(x),
    "a rule that returns a view of g": lambda x: declared(np.copy, lambda g, _y, _x: g[:])(x),
    "a rule that returns x": lambda x: declared(np.copy, lambda g, _y, x: x)(x),
    "a rule that returns y": lambda x: declared(np.copy, lambda g, y, _x: y)(x),
    "a rule that returns its cache": lambda x: declared(np.copy, lambda g, _y, _x: CACHE)(x),
    "a rule that returns a view of its cache": lambda x: declared(np.copy, lambda g, _y, _x: CACHE[:])(x),
    "a rule that returns a read-only view": lambda x: declared(
        np.copy, lambda g, _y, _x: np.broadcast_to(1.0, (2, 3))
    )(x),
    "a rule that returns a read-only array": lambda x: declared(
        np.copy, lambda g, _y, _x: locked(np.ones((2, 3)))
    )(x),
    "a rule that returns one row twice": lambda x: declared(
        np.copy, lambda g, _y, _x: np.ndarray((2, 3), buffer=np.ones(3), strides=(0, 8))
    )(x),
    "a rule that returns overlapping rows": lambda x: declared(
        np.copy, lambda g, _y, _x: np.ndarray((2, 3), buffer=np.ones(4), strides=(8, 8))
    )(x),
    "a rule that returns overlapping memory": lambda x: declared(
        np.copy, lambda g, _y, _x: np.lib.stride_tricks.as_strided(np.ones(5), (2, 3), (8, 8))
    )(x),
    "a rule that returns a buffer": lambda x: declared(
        np.copy, lambda g, _y, _x: np.frombuffer(BUFFER).reshape(2, 3)
    )(x),
}
BUFFER = bytearray(48)


def assert_own(gradient, others):
    """A writable ndarray whose memory nobody else sees, and which does not see itself twice."""
    assert type(gradient) is np.ndarray
    assert gradient.flags.writeable
    for other in others:
        assert gradient is not other
        assert not np.shares_memory(gradient, other)
    gradient[...] = np.arange(gradient.size).reshape(gradient.shape)
    np.testing.assert_array_equal(gradient, np.arange(gradient.size).reshape(gradient.shape))


@pytest.mark.parametrize("op", ALIASING.values(), ids=ALIASING.keys())
def test_a_gradient_is_no_alias_of_anything(op):
    data = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3)
    x, w = (bp.Tensor(d, requires_grad=True) for d in data)
    y = op(x)
    total = (y + op(w)).retain_grad()
    cotangent = np.ones(total.shape)
    total.backward(cotangent, retain_graph=True)
    others = [*data, cotangent, CACHE, np.frombuffer(BUFFER), y.data, total.data, total.grad]
    assert_own(x.grad, [*others, w.grad])
    assert_own(w.grad, [*others, x.grad])
    _, pullback = bp.vjp(op, data[0])
    first, second = pullback(cotangent)[0], pullback(cotangent)[0]
    assert_own(first, [second, data[0], cotangent, CACHE, np.frombuffer(BUFFER)])
    np.testing.assert_array_equal(cotangent, np.ones(total.shape))
    np.testing.assert_array_equal(CACHE, np.ones((2, 3)))
    assert bytes(BUFFER) == bytes(48)


def test_y_is_a_plus_b():
    a, b = leaf(X), leaf(X)
    y = (a + b).retain_grad()
    g = np.ones(3)
    y.backward(g)
    grads = [a.grad, b.grad, y.grad, g]
    for i in range(4):
        for other in grads[i + 1 :]:
            assert grads[i] is not other
            assert not np.shares_memory(grads[i], other)


def test_a_gradient_handed_over_as_a_temporary():
    x = leaf(X)
    (x + 0.0).backward(np.ones(3))
    x.grad *= 3
    np.testing.assert_array_equal(x.grad, [3.0, 3.0, 3.0])


# ---- interruptions and threads -----------------------------------------------------------------------------------


def test_an_interrupted_sweep_leaves_nothing_behind():
    interrupt = [True]

    def rule(g, _y, _x):
        if interrupt[0]:
            raise KeyboardInterrupt
        return g * 2

    f = declared(lambda x: x * 2, rule)
    w, v = leaf(X), leaf(X)
    v.grad = np.ones(3)
    errors = np.geterr()

    def loss():
        return np.sum(f(w * w) + w * v)

    y = loss()
    with pytest.raises(KeyboardInterrupt):
        y.backward()
    assert w.grad is None
    np.testing.assert_array_equal(v.grad, np.ones(3))
    assert np.geterr() == errors
    interrupt[0] = False
    loss().backward()
    np.testing.assert_array_equal(w.grad, 4 * X + X)
    np.testing.assert_array_equal(v.grad, 1 + X)
    with pytest.raises(FreedGraph):
        y.backward()


def test_an_interrupted_retaining_sweep_can_be_repeated():
    interrupt = [True]

    def rule(g, _y, _x):
        if interrupt[0]:
            raise KeyboardInterrupt
        return g * 2

    f = declared(lambda x: x * 2, rule)
    w = leaf(X)
    y = np.sum(f(w * w))
    with pytest.raises(KeyboardInterrupt):
        y.backward(retain_graph=True)
    interrupt[0] = False
    y.backward()
    np.testing.assert_array_equal(w.grad, 4 * X)


def in_threads(work, count=8):
    """Run work(0), …, work(count − 1) at the same time, switching often; fails if a thread raised."""
    start, raised = threading.Barrier(count), []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def run_one(i):
        start.wait()
        try:
            work(i)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run_one, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert raised == []


def test_eight_threads_on_one_leaf_are_exact():
    w = leaf(np.arange(4.0))

    def work(i):
        for k in range(100):
            np.sum(w * w * float(i) + w + k).backward()

    in_threads(work)
    np.testing.assert_array_equal(w.grad, 100 * (2 * np.arange(4.0) * 28 + 8))


def test_threads_take_turns_in_adding_to_a_leaf(monkeypatch):
    own = backward.own

    def dawdling(box):
        time.sleep(1e-4)  # between reading the old sum and writing the new one
        return own(box)

    monkeypatch.setattr(backward, "own", dawdling)
    w = leaf(X)

    def work(i):
        for _ in range(5):
            np.sum(w * float(i)).backward()

    in_threads(work)
    np.testing.assert_array_equal(w.grad, np.full(3, 5 * 28.0))


def test_eight_threads_on_one_retained_graph_are_exact():
    w = leaf(3.0)
    y = w * w + np.tanh(w * 0.0)

    def work(i):
        for _ in range(100):
            y.backward(retain_graph=True)

    in_threads(work)
    assert w.grad == 800 * 6.0


def test_transforms_in_eight_threads():
    found = {}

    def work(i):
        for _ in range(20):
            found[i] = bp.hvp(lambda x: np.sum(x**3) * i, X, np.ones(3))

    in_threads(work)
    for i in range(8):
        np.testing.assert_allclose(found[i], 6 * X * i)


# ---- functions that take little of much --------------------------------------------------------------------------


INDICES = [
    0, -1, slice(1, None), (slice(None), 1), (..., None), np.array([0, 2, 0]), (np.array([1, 1]), np.array([0, 0])),
    np.array([True, False, True]), np.float64(0.5) > np.arange(6).reshape(3, 2), (2, 1), (), ([0, 0], slice(None)),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_what_is_taken_many_times_is_added_in_place(dtype):
    """As when every share is made as an array of the operand's shape, by an observed sweep."""
    x = np.arange(1, 7).reshape(3, 2).astype(dtype) / 4

    def taken(t):
        parts = [t * 1, *(t[i] for i in INDICES), t[...], t + 0]
        return sum(np.sum(np.real(part * part * (n + 1))) for n, part in enumerate(parts))

    found, expected = (bp.Tensor(x, requires_grad=True) for _ in range(2))
    taken(found).backward()
    with bp.observe():
        taken(expected).backward()
    assert found.grad.dtype == dtype
    np.testing.assert_allclose(found.grad, expected.grad, rtol=1e-6)


def test_taking_rows_makes_one_array_of_the_operands_shape(monkeypatch):
    made, zeros = [], np.zeros
    x = leaf(np.ones((50, 3)))
    total = sum(np.sum(row * row) for row in x)
    monkeypatch.setattr(np, "zeros", lambda shape, dtype=float: made.append(shape) or zeros(shape, dtype))
    total.backward()
    assert made == [(50, 3)]
    np.testing.assert_array_equal(x.grad, 2 * x.data)


def test_adding_in_place_changes_no_array_that_others_have():
    x, u = leaf(X), leaf(X + 1)
    first = x * 1.0
    taken = first[0] * 5.0 + np.sum(first[1:] * 7.0)
    second = first + u  # newer: hands one cotangent to both before the shares of what was taken arrive
    cotangent = np.array([1.0, 2.0, 3.0])
    _, pullback = bp.vjp(lambda x: (x + 0.0, x[0], x[1:]), X)
    np.testing.assert_array_equal(pullback((cotangent, 10.0, np.array([20.0, 30.0])))[0], [11.0, 22.0, 33.0])
    np.testing.assert_array_equal(cotangent, [1.0, 2.0, 3.0])
    first.retain_grad(), second.retain_grad()
    (np.sum(second * cotangent) + taken).backward()
    np.testing.assert_array_equal(u.grad, cotangent)
    np.testing.assert_array_equal(second.grad, cotangent)
    np.testing.assert_array_equal(x.grad, [6.0, 9.0, 10.0])


def test_adding_in_place_is_left_to_the_rules_where_another_argument_records():
    def first(a, b):
        return a[0] * b

    take = declared(
        first, lambda g, _y, _a, b: np.array([g * b, 0.0, 0.0]), lambda g, _y, a, _b: g * a[0],
        adds=lambda total, g, _a, b: total.__setitem__(0, total[0] + g * b),
    )  # fmt: skip
    x, b = leaf(X), leaf(3.0)
    (take(x, b) + take(x, 2.0) + np.sum(x)).backward()
    np.testing.assert_array_equal(x.grad, [6.0, 1.0, 1.0])
    assert b.grad == X[0]


# ---- functions that replace little of much ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_what_is_written_many_times_is_erased_in_place(dtype, monkeypatch):
    """As when every share is made as an array of the buffer's shape, by an observed sweep, which keeps them all."""
    x = np.arange(1, 7).reshape(3, 2).astype(dtype) / 4

    def written(t):
        t, before = t * 1, []
        for n, index in enumerate(INDICES):
            t[index] = 0.2 * t[index] * t[-1, 1] - t[2, 0] / (n + 1)  # of what stands there now
            before.append(t * t)
            t[n % 3, 0] = 0.3  # a constant
        return sum(np.sum(np.real(old)) for old in before)

    found, expected = (bp.Tensor(x, requires_grad=True) for _ in range(2))
    written(found).backward()
    monkeypatch.setattr(REGISTRY[put], "erases", None)
    with bp.observe():
        written(expected).backward()
    assert found.grad.dtype == dtype
    np.testing.assert_allclose(found.grad, expected.grad, rtol=1e-5)


def test_writing_rows_makes_one_cotangent_of_the_buffers_shape(monkeypatch):
    op, places = REGISTRY[put], []
    erases = op.erases
    monkeypatch.setattr(
        op, "erases", lambda g, *args, **kw: places.append(g.ctypes.data) or erases(g, *args, **kw)
    )
    x, n = leaf(np.ones(3)), 50
    buffer = bp.zeros((n, 3))
    for i in range(1, n):
        buffer[i] = buffer[i - 1] * 0.5 + x
        buffer[i, 0] = 2.0
    np.sum(buffer * (np.arange(n) == n - 1)[:, None]).backward()
    assert len(places) == 2 * (n - 1) - 1  # the first write is into a constant
    assert len(set(places)) == 1
    np.testing.assert_allclose(x.grad, [0.0, 2.0, 2.0], rtol=1e-12)


def test_erasing_in_place_changes_no_array_that_others_have():
    x, u, cotangent = leaf(X), leaf(X + 1), np.array([1.0, 2.0, 3.0])

    def written(x):
        t = x * 1.0
        t[0] = t[1] * 5.0
        return t

    _, pullback = bp.vjp(lambda x: (written(x), x[2]), X)
    for _ in range(2):
        np.testing.assert_array_equal(pullback((cotangent, 10.0))[0], [0.0, 7.0, 13.0])
    np.testing.assert_array_equal(cotangent, [1.0, 2.0, 3.0])
    t = written(x)
    both = t + u  # hands one cotangent to both
    both.retain_grad()
    t.retain_grad()
    t[1] = 4.0
    t[2] = x[0] * x[0]
    z = np.sum((both + t) * cotangent)
    for times in (1, 2):
        z.backward(retain_graph=True)
        np.testing.assert_array_equal(both.grad, times * cotangent)
        np.testing.assert_array_equal(u.grad, times * cotangent)
        np.testing.assert_array_equal(t.grad, times * cotangent)
        np.testing.assert_array_equal(x.grad, [times * 6.0 * X[0], times * (10.0 + 2.0), times * 3.0])


def writing(rule, **grammar):
    """∂/∂v of 3 t, once v has been written to t[0] by a function with this rule for v."""

    def written(a, v):
        return np.concatenate([np.ravel(v)[:1], a[1:]])

    write = declared(
        written, lambda g, _y, _a, _v: np.concatenate([[0.0], g[1:]]), rule,
        erases=lambda g, _a, _v: g.__setitem__(0, 0.0), **grammar,
    )  # fmt: skip
    x, v = leaf(X), leaf(2.0)
    np.sum(write(x * 1.0, v)[...] * 3.0).backward()
    np.testing.assert_array_equal(x.grad, [0.0, 3.0, 3.0])
    return v.grad


def test_what_a_rule_beside_an_erasing_may_return():
    assert writing(lambda g, _y, _a, _v: float(g[0])) == 3.0
    with pytest.raises(bp.GradientShape, match="did not return numbers"):
        writing(lambda g, _y, _a, _v: None)


def test_erasing_is_left_to_the_rules_of_elementwise_functions():
    first = np.arange(3) == 0
    assert writing(lambda g, _y, _a, _v: np.where(first, g, 0.0), broadcasts="elementwise") == 3.0


# ---- what was not used has no gradient ---------------------------------------------------------------------------


def test_only_a_nan_is_masked_behind_a_zero_cotangent():
    with np.errstate(divide="ignore"):
        _, pullback = bp.vjp(np.log, np.array([0.0, 1.0, 2.0]))
    back = bp.jacobian(lambda g: pullback(g)[0])
    np.testing.assert_array_equal(back(np.zeros(3)), np.diag([0.0, 1.0, 0.5]))
    np.testing.assert_array_equal(back(np.ones(3)), np.diag([np.inf, 1.0, 0.5]))


def test_the_trace_does_not_use_what_is_off_the_diagonal():
    with np.errstate(invalid="ignore"):
        x = leaf([[4.0, -1.0], [-1.0, 1.0]])
        np.trace(np.sqrt(x)).backward()
    np.testing.assert_array_equal(x.grad, np.diag([0.25, 0.5]))


def test_warnings_of_the_user_are_left_alone():
    x = leaf([0.0])
    y = np.sum(x**0.5)
    with np.errstate(all="raise"):
        y.backward()
        with pytest.raises(FloatingPointError):
            np.log(np.zeros(1))


def test_none_from_a_rule_for_all_arguments_says_no_cotangent():
    @bp.primitive
    def double(a, _b):
        return 2 * a

    double.defvjp(joint=lambda g, _y, _a, _b: (2 * g, None))
    a, b = bp.Tensor(3.0, requires_grad=True), bp.Tensor(4.0, requires_grad=True)
    (double(a, b) + b).backward()
    assert (a.grad, b.grad) == (2.0, 1.0)
