"""Depth and memory: a million ops, a wide fan-out, and how much is held, when, by whom."""

import gc
import itertools
import tracemalloc

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.graph import Extra, Node, Parts
from tinygrad_bp.observe import Seen

A_MILLION = 10**6
BIG = 20_000  # elements: what a node itself takes (230 bytes) is nothing beside it


def leaf(x, **kwargs):
    return bp.Tensor(np.array(x, float), requires_grad=True, **kwargs)


def graph_objects():
    return sum(type(o) in (Node, bp.Tensor, Extra, Parts, Seen) for o in gc.get_objects())


@pytest.fixture
def no_collector():
    """Reference counts alone must free everything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Traced:
    """tracemalloc for a block: .now and .peak in arrays of BIG float64, beyond what was there before."""

    def __enter__(self):
        gc.collect()
        tracemalloc.start()
        self.before = tracemalloc.get_traced_memory()[0]
        return self

    def __exit__(self, *_):
        tracemalloc.stop()

    @property
    def now(self):
        return (tracemalloc.get_traced_memory()[0] - self.before) / (8 * BIG)

    @property
    def peak(self):
        return (tracemalloc.get_traced_memory()[1] - self.before) / (8 * BIG)


# ---- depth and width -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deep():
    """(x, y) with y = x · 1.0 · 1.0 …, a million times: every rule needs its constant."""
    x = leaf(3.0)
    y = x
    for _ in itertools.repeat(None, A_MILLION):
        y = y * 1.0
    return x, y


def test_a_million_deep_is_printed_in_one_line(deep):
    assert len(repr(deep[1])) < 100
    assert repr(deep[1]).startswith("Tensor(3.")


def test_a_million_deep_is_not_drawn(deep):
    with pytest.raises(ValueError, match=r"max_nodes.*;"):
        bp.viz.graph(deep[1])


def test_a_million_deep_is_differentiated(deep):
    x, y = deep
    y.backward()
    assert x.grad == 1.0


def test_a_million_deep_and_dropped_without_a_backward_pass(no_collector):
    before = graph_objects()
    y = leaf(1.0)
    for _ in itertools.repeat(None, A_MILLION):
        y = -y
    del y  # must not recurse
    assert graph_objects() == before


def test_a_transform_of_a_long_chain():
    def f(x):
        for _ in itertools.repeat(None, 20_000):
            x = x + 1e-4 * x
        return x

    assert bp.grad(f)(1.0) == pytest.approx((1 + 1e-4) ** 20_000)
    assert bp.jvp(f, (1.0,), (2.0,))[1] == pytest.approx(2 * (1 + 1e-4) ** 20_000)


@pytest.mark.parametrize("join", [sum, lambda parts: np.sum(np.stack(parts))], ids=["sum", "stack"])
def test_a_fan_out_of_a_hundred_thousand(join, no_collector):
    n, before = 10**5, graph_objects()
    x = leaf(2.0)
    y = join([x * float(i % 7) for i in range(n)])
    y.backward()
    assert x.grad == sum(i % 7 for i in range(n))
    del x, y
    assert graph_objects() == before


def test_a_wide_fan_in_of_leaves():
    xs = [leaf(float(i)) for i in range(10**5)]
    np.sum(np.stack(xs) * 2.0).backward()
    assert {float(x.grad) for x in xs} == {2.0}


# ---- nothing is left -------------------------------------------------------------------------------


def _digits():
    rng = np.random.default_rng(0)
    return rng.random((8, 5)).astype(np.float32), rng.integers(0, 3, 8)


def training():
    net = bp.nn.MLP([5, 4, 3], rng=np.random.default_rng(0))
    optimizer = bp.optim.SGD(net.parameters(), lr=0.1)
    x, labels = _digits()

    def step():
        optimizer.zero_grad()
        bp.nn.functional.cross_entropy(net(x), labels).backward()
        optimizer.step()

    return step


def writes_and_views():
    w = leaf(np.ones((4, 3)))

    def step():
        h = w * 2.0
        row, column = h[1], h.T[2][1:]
        row += 1.0
        buffer = bp.zeros((4, 3))
        for i in range(4):
            buffer[i] = h[i] * column
        buffer *= 0.5
        flat = buffer.reshape(-1)
        flat[::2] = 0.0
        np.sum(buffer * row).backward()
        with bp.no_grad():
            w[...] -= 0.01 * w.grad
        w.zero_grad()

    return step


def transforms():
    w, x = leaf([0.5, 1.0]), np.array([1.0, -1.0])

    def step():
        f = lambda v: np.sum(np.tanh(w * v) ** 2)
        bp.hvp(lambda v: np.sum(np.sin(v) * v), x, x)
        bp.jvp(bp.grad(lambda v: np.sum(v**3)), (x,), (x,))
        bp.jacobian(np.sin)(x)
        np.sum(bp.grad(f)(x) ** 2).backward()  # a gradient penalty
        w.zero_grad()

    return step


def observed():
    w = leaf([0.5, 1.0])

    def step():
        with bp.observe() as run:
            np.sum(np.tanh(w * 2.0)).backward()
        w.zero_grad()
        return run.nodes[0].cotangent

    return step


def retained():
    w = leaf([0.5, 1.0])

    def step():
        h = w * 2.0
        h.retain_grad()
        np.sum(h * h).backward(retain_graph=True)
        w.zero_grad()

    return step


@pytest.mark.parametrize("make", [training, writes_and_views, transforms, observed, retained])
def test_nothing_is_left_after_50_steps(make, no_collector):
    step = make()
    step()
    before = graph_objects()
    for _ in range(50):
        step()
    assert graph_objects() == before


# ---- how much, and when ----------------------------------------------------------------------------


def test_a_chain_of_additions_keeps_no_values():
    x = leaf(np.zeros(BIG))
    with Traced() as memory:
        y = x
        for _ in range(300):
            y = y + 1.0
        assert memory.now < 1 + 1, "the result alone"
        assert memory.peak < 2 + 1, "and the one before it"
        np.sum(y).backward()
        assert memory.peak < 3 + 1


@pytest.mark.parametrize(
    ("op", "kept"),
    [
        (np.tanh, 1),  # y
        (np.sin, 1),  # x
        (lambda x: x * 0.5, 0),
        (lambda x: x - x * 0.1, 0),
        (lambda x: x * x, 1),
        (lambda x: np.maximum(x, 0.1), 1),
    ],
    ids=["tanh", "sin", "scale", "scale and subtract", "square", "maximum"],
)
def test_the_peak_of_a_chain_is_what_its_rules_need(op, kept):
    n, x = 600, leaf(np.linspace(0.1, 1, BIG))
    working = 8  # results, cotangents and a rule's temporaries: a constant number of arrays
    with Traced() as memory:
        y = x
        for _ in range(n):
            y = op(y)
        np.sum(y).backward()
        del y
        assert memory.peak <= 1.1 * kept * n + working
        if kept:
            assert memory.peak > 0.9 * n, "this test sees what is kept"


def test_memory_falls_during_the_backward_pass():
    samples = []
    memory = Traced()

    @bp.primitive
    def probe(x):
        return np.tanh(x)

    def rule(g, y, _x):
        samples.append(memory.now)
        return g * (1 - y * y)

    probe.defvjp(rule)
    n, x = 200, leaf(np.linspace(-1, 1, BIG))
    with memory:
        y = x
        for _ in range(n):
            y = probe(y)
        loss = np.sum(y)
        del y
        loss.backward()
    expected = samples[0] - np.arange(n)  # one value less at each step
    np.testing.assert_allclose(samples, expected, atol=4)


def test_a_backward_pass_under_retain_graph_holds_the_graph_and_no_cotangents():
    n, x = 100, leaf(np.linspace(-1, 1, BIG))
    with Traced() as memory:
        y = x
        for _ in range(n):
            y = np.tanh(y)
        loss = np.sum(y)
        loss.backward(retain_graph=True)
        assert memory.now == pytest.approx(n + 1, abs=2), "the values and one gradient"
        loss.backward()
        assert memory.now < 3


def test_filling_a_buffer_keeps_it_once():
    n, x = 40, leaf(2.0)
    with Traced() as memory:
        buffer = bp.zeros((n, BIG // n))
        for i in range(n):
            buffer[i] = x * np.ones(BIG // n)
        assert memory.now < 2 + 1, "the buffer and the constants"
        assert memory.peak < 3 + 1
    np.sum(buffer).backward()
    assert x.grad == BIG


def test_a_write_to_a_leased_buffer_copies_it_once():
    x = leaf(np.linspace(0, 1, BIG))
    with Traced() as memory:
        h = x * 1.0
        y = np.sum(h * h)  # h is needed
        for i in range(50):
            h[i] = 0.0
        assert memory.now < 3
    (y + np.sum(h)).backward()
    np.testing.assert_allclose(x.grad, 2 * x.data + (np.arange(BIG) >= 50))


@pytest.mark.parametrize("records", [True, False])
def test_a_view_makes_no_copy_of_what_is_written_to(records):
    h = (leaf(np.ones(8)) if records else bp.Tensor(np.ones(8))) * 1.0
    for i in range(4):
        view, place = h[1:], h._data.__array_interface__["data"][0]
        h[i] = 0.0
        assert h._data.__array_interface__["data"][0] == place
        assert view.data[-1] == 1
