"""What a gradient costs: passes and multiply–adds counted on the engine, and how far differences reach."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp.backprop import effort
from tinygrad_bp.primitive import REGISTRY

from .nets import case, cases, rules

SMOOTH = ["sigmoid", "tanh", "softplus"]


@st.composite
def small(draw, widths=3, depth=2):
    """A net of few parameters and smooth activations, with a batch."""
    sizes = draw(st.lists(st.integers(1, widths), min_size=2, max_size=depth + 1), label="sizes")
    activations = [draw(st.sampled_from(SMOOTH)) for _ in sizes[1:]]
    return case(sizes, activations, draw(st.integers(1, 3), label="batch"), seed=draw(st.integers(0, 2**32)))


def macs(sizes):
    """F, the multiply–adds of one example's forward pass."""
    return sum(n * m for n, m in pairwise(sizes))


class Column(dict):
    """A table's columns by name; of two of one name, the first."""

    def __init__(self, table):
        for i in reversed(range(len(table.header))):
            self[table.header[i]] = [row[i] for row in table.rows]


# ---- T21, T35: passes and multiply–adds ------------------------------------------------------------------


@given(data=st.data())
def test_T21_T35_four_ways_to_one_gradient(data):
    net, x, y, cost = data.draw(small())
    table = effort.ways(net, x, y, cost)
    C = effort.Counted(net, x, y, cost)
    gradient, P, m, f = C.backprop(), C.size, len(x), macs(net.sizes)
    inner = f - net.sizes[0] * net.sizes[1]
    assert [row[1] for row in table.rows] == [1, P + 1, 2 * P, P]
    assert [row[2] for row in table.rows] == [
        m * (2 * f + inner), (P + 1) * m * f, 2 * P * m * f, P * m * (3 * f + 2 * inner)
    ]  # fmt: skip
    size = np.max(np.abs(gradient))
    assert table.rows[0][3] == 0
    assert table.rows[1][3] * size <= 1e-5 * (1 + size)
    assert table.rows[2][3] * size <= 1e-8 * (1 + size)
    assert np.max(np.abs(C.forward_mode() - gradient)) <= 1e-12 * max(size, 1e-2)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_T21_the_engine_does_3F_minus_n1_n2_and_no_more(dtype, data):
    """Counted twice: in the sweep over Tensors that `Counted` observes, and in the rules of a plain `.backward()`."""
    net, x, y, cost = data.draw(cases(dtype))
    C = effort.Counted(net, x, y, cost)
    expected = len(x) * (3 * macs(net.sizes) - net.sizes[0] * net.sizes[1])
    C.backprop()
    assert (C.passes, C.multiply_adds) == (1, expected)
    ran = []

    def counting(rule):
        def counted(g, y, a, b):
            ran.append(a.shape[0] * a.shape[1] * b.shape[1])
            return rule(g, y, a, b)

        return counted

    with rules(np.matmul, *map(counting, REGISTRY[np.matmul].rules)), bp.observe() as run:
        loss = cost(net(x), y)
        loss.backward()
    assert effort.multiply_adds(run) + sum(ran) == expected
    assert len(ran) == 2 * len(net.layers) - 1  # no ∂C/∂x


def test_T21_an_engine_that_also_computed_the_inputs_gradient_would_be_seen():
    net, x, y, cost = case([784, 30, 10], ["sigmoid", "sigmoid"], 2)
    C = effort.Counted(net, x, y, cost)
    C.backprop()
    assert C.multiply_adds == 2 * (3 * 23820 - 784 * 30)
    assert round(C.multiply_adds / 2 / 23820, 2) == 2.01
    C.multiply_adds, C.x = 0, bp.Tensor(x, requires_grad=True)
    C.backprop()
    assert C.multiply_adds == 2 * 3 * 23820


@pytest.mark.parametrize(
    ("sizes", "ratio"), [([784, 256, 128, 10], 2.15), ([100] * 5, 2.75), ([3] * 60, 2.98)]
)
def test_T21_counts_of_the_textbook(sizes, ratio):
    net, x, y, cost = case(sizes, ["tanh"] * (len(sizes) - 1), 1)
    C = effort.Counted(net, x, y, cost)
    C.backprop()
    assert round(C.multiply_adds / C.forward, 2) == ratio


@given(net=small())
def test_T21_differences_are_the_gradient_parameter_by_parameter(net):
    """(46) from its definition, with a forward pass written by hand."""
    C = effort.Counted(*net)
    where = [name for name, p in C.net.named_parameters() for _ in range(p.size)]
    by_hand = []
    for name, (_, i) in zip(where, C.places):
        moved = bp.nn.MLP(net.net.sizes, net.net.activations, dtype=np.float64)
        state = net.net.state_dict()
        moved.load_state_dict(state)
        before = net.cost(moved(net.x), net.y).item()
        state[name].flat[i] += 1e-4
        moved.load_state_dict(state)
        by_hand.append((net.cost(moved(net.x), net.y).item() - before) / 1e-4)
    np.testing.assert_allclose(C.differences(1e-4), by_hand, rtol=1e-9, atol=1e-11)


def test_T21_a_wrong_rule_is_caught_by_differences_but_not_by_forward_mode():
    """Forward mode is made of the same rules; only (46) assumes none of them."""
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 3)
    with rules(np.tanh, lambda g, y, _x: g * (1 - y)):
        off = {row[0]: row[3] for row in effort.ways(net, x, y, cost).rows}
    assert off["differences (46)"] > 1e-2
    assert off["two nearby values"] > 1e-2
    assert off["forward mode"] < 1e-12


def test_the_net_stays_as_it_was():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 3)
    cost(net(x), y).backward()
    before = [(p.data.tobytes(), p.grad.tobytes()) for p in net.parameters()]
    effort.ways(net, x, y, cost)
    effort.errors_by_step(net, x, y, cost, n=3)
    effort.growing([(net, x, y, cost)])
    assert [(p.data.tobytes(), p.grad.tobytes()) for p in net.parameters()] == before


def test_what_cannot_be_counted():
    net, x, y, cost = case([3, 2], ["tanh"], 2)
    with pytest.raises(ValueError, match="must be a Module"):
        effort.ways(lambda x: net(x), x, y, cost)


# ---- T21: growing nets, and ε ----------------------------------------------------------------------------


def test_T21_growing_nets():
    nets = [case(sizes, ["tanh"] * (len(sizes) - 1), m) for sizes, m in [([2, 3, 1], 1), ([5, 6, 4, 3], 4)]]
    table = effort.growing(nets, measure_up_to=20)
    columns = Column(table)
    assert columns["net"] == ["2-3-1", "5-6-4-3"]
    assert columns["parameters"] == [13, 79]
    assert columns["passes by (46)"] == [14, 80]
    assert columns["multiply–adds by (46)"] == [14 * 9, 80 * 66]
    assert columns["3F − n₁n₂"] == [row[5] for row in table.rows] == [27 - 6, 198 - 30]
    assert ["extrapolated" in seconds for seconds in columns["seconds by (46)"]] == [False, True]
    assert all(row[-2] > 0 < row[-1] for row in table.rows)
    assert "extrapolated" in str(table)


def test_T21_the_default_nets_grow_by_powers_of_ten():
    for n, sizes in enumerate(effort.GROWING, start=2):
        parameters = sum(j * (k + 1) for k, j in pairwise(sizes))
        assert 0.85 < parameters / 10**n < 1.15
    first = effort.growing(measure_up_to=0)
    assert len(first.rows) == 5
    assert all("extrapolated" in row[8] for row in first.rows)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("seed", range(3))
def test_T21_truncation_against_rounding(dtype, seed):
    """The smallest error lies near √ε (ε^⅓ for two nearby values), and grows to both sides of it."""
    net, x, y, cost = case([4, 5, 3], ["tanh", "sigmoid"], 3, dtype=dtype, seed=seed)
    errors = effort.errors_by_step(net, x, y, cost, n=5, rng=seed)
    eps = float(np.finfo(dtype).eps)
    assert errors.dtype == np.dtype(dtype).name
    for off, power in ((errors.one_sided, 1 / 2), (errors.central, 1 / 3)):
        best = errors.steps[off.argmin()]
        assert eps**power / 200 < best < eps**power * 200
        assert off[0] > 0.1  # the step is lost in w, or the difference in C
        assert off[-1] > 10 * off.min()
    assert errors.central.min() < errors.one_sided.min()
    np.testing.assert_array_equal(errors.steps, np.logspace(-15, 0, 46))
    assert "at ε" in str(errors)


def test_T21_errors_are_those_of_the_chosen_parameters():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 3)
    C = effort.Counted(net, x, y, cost)
    everything = effort.errors_by_step(net, x, y, cost, steps=[1e-6, 1e-3], n=1000)
    gradient = C.backprop()
    for i, step in enumerate((1e-6, 1e-3)):
        for central, found in ((False, everything.one_sided), (True, everything.central)):
            off = np.max(np.abs(C.differences(step, central) - gradient)) / np.max(np.abs(gradient))
            assert found[i] == pytest.approx(off, rel=1e-12)


# ---- seconds ---------------------------------------------------------------------------------------------


def test_contenders_take_turns():
    order = []
    found = effort.seconds({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=3)
    assert set(found) == {"a", "b"}
    assert all(type(time) is float and time >= 0 for time in found.values())
    runs = [name for name, before in zip(order, [None, *order]) if name != before]
    assert runs == ["a", "b"] * 4  # warming up, and three rounds


def test_short_runs_are_repeated_and_the_median_is_given(monkeypatch):
    now = [0.0]
    durations = {"short": iter([1e-4] * 100), "long": iter([1.0, 1.0, 5.0, 1.0, 3.0])}
    monkeypatch.setattr(effort, "perf_counter", lambda: now[0])

    def run(name):
        def timed():
            now[0] += next(durations[name])

        return timed

    found = effort.seconds({name: run(name) for name in durations}, rounds=3)
    assert found["long"] == pytest.approx(3.0)
    assert found["short"] == pytest.approx(1e-4)
    assert len(list(durations["short"])) == 100 - 2 - 3 * 10
