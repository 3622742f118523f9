"""T6 and T34: what the error δ is, told by the engine's retained gradients and by demons."""

# l is the book's name of a layer.
# ruff: noqa: E741

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import nn
from tinygrad_bp.backprop import notation
from tinygrad_bp.backprop.costs import demon, good_demon

from .nets import F, case, cases, rules

SMOOTH = ["sigmoid", "tanh", "linear", "softplus"]


@st.composite
def smooth(draw, dtype=np.float64):
    """Nets without kinks, for differences."""
    sizes = draw(st.lists(st.integers(1, 8), min_size=2, max_size=5))
    activations = [draw(st.sampled_from(SMOOTH)) for _ in sizes[1:]]
    cost = draw(st.sampled_from([F.quadratic_cost, F.mse_loss, F.binary_cross_entropy_with_logits]))
    return case(sizes, activations, draw(st.integers(1, 4)), cost, dtype, draw(st.integers(0, 2**32)))


@st.composite
def neurons(draw, net):
    l = draw(st.integers(2, len(net.sizes)))
    return l, draw(st.integers(1, net.sizes[l - 1]))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_T6_delta_is_m_times_the_gradient_of_z(dtype, data):
    """The loss is a mean over m, so z.grad = δ/m; to the last bit, since both are the engine's."""
    net, x, y, cost = data.draw(cases(dtype))
    book, a, z = notation(net, x, y, cost), x, {}
    for l, (layer, activation) in enumerate(zip(net.layers, net.activations), start=2):
        z[l] = layer(a)
        z[l].retain_grad()
        a = activation(z[l])
    cost(a, y).backward()
    for l in z:
        assert np.array_equal(book.delta[l], len(x) * z[l].grad.T)


@given(data=st.data())
def test_T6_the_demon_changes_the_cost_by_delta_times_dz(data):
    """ΔC = δ Δz to first order: the remainder falls as the square of Δz."""
    net, x, y, cost = data.draw(smooth())
    l, j = data.draw(neurons(net))
    example = data.draw(st.integers(1, len(x)))
    report = demon(net, x, y, cost, l, j, example)
    for row in report.rows:
        assert row.delta == pytest.approx(notation(net, x, y, cost).delta[l][j - 1, example - 1], rel=1e-9)
        assert row.change == pytest.approx(row.predicted + row.remainder, abs=1e-15)
    big = [row for row in report.rows if abs(row.remainder) > 1e-9]
    if len(big) == len(report.rows):  # far above rounding, all of them
        a, b = report.rows[-2:]
        order = np.log(a.remainder / b.remainder) / np.log(a.dz / b.dz)
        assert order == pytest.approx(2, abs=0.1)
    assert report.ok, str(report)


@given(data=st.data())
def test_T6_the_replayed_cost_is_the_nets(data):
    """The demon's replay against the real thing: a bias moved by Δz, on one example alone."""
    net, x, y, cost = data.draw(cases(np.float64))
    l, j = data.draw(neurons(net))
    row = demon(net, x, y, cost, l, j, 1, steps=[0.3]).rows[0]
    before = cost(net(x[:1]), y[:1]).item()
    moved = copy.deepcopy(net)
    moved.layers[l - 2].bias.data[j - 1] += 0.3
    after = cost(moved(x[:1]), y[:1]).item()
    assert row.change == pytest.approx(after - before, abs=1e-12 * max(1, abs(before), abs(after)))


def test_T6_a_wrong_delta_does_not_pass():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    assert demon(net, x, y, cost, 2, 1)
    with rules(np.tanh, lambda g, y, _x: g * (1 - y)):
        report = demon(net, x, y, cost, 2, 1)
    assert not report
    assert "falls as Δz^1.0" in str(report)


def test_T6_linear_neurons_have_no_remainder_but_the_costs():
    """C is quadratic in z: the remainder is ½ C″ Δz² exactly, and 0 where the cost is linear, too."""
    net, x, y, cost = case([3, 4, 2], ["linear", "linear"], 5)
    report = demon(net, x, y, cost, 2, 3)
    w = net.layers[1].weight.data
    for row in report.rows:
        assert row.remainder == pytest.approx(0.5 * np.sum(w[:, 2] ** 2) * row.dz**2, rel=1e-6)
    linear = demon(net, x, y, lambda a, y: np.mean(np.sum(a * y, axis=1)), 2, 3)
    assert linear.ok
    assert linear.footer == "no remainder above rounding"


def test_T6_any_stack_will_do_and_is_left_as_it_was():
    """Layers without bias, functions, float32; a function that is not a Module must be float64."""
    net = nn.Sequential(nn.Linear(3, 4, bias=False, rng=0), np.tanh, nn.Linear(4, 2, rng=1), F.sigmoid)
    x, y = np.ones((2, 3), np.float32), np.zeros((2, 2), np.float32)
    before = [p.data.tobytes() for p in net.parameters()]
    assert demon(net, x, y, F.quadratic_cost, 2, 4, example=2)
    assert [p.data.tobytes() for p in net.parameters()] == before
    with pytest.raises(ValueError, match="double precision; expected float64, got float32"):
        demon(lambda x: net(x), x, y, F.quadratic_cost, 2, 1)
    with pytest.raises(IndexError, match=r"no such example; expected 1 … 2, got 3"):
        demon(net, x, y, F.quadratic_cost, 2, 1, example=3)
    with pytest.raises(IndexError, match=r"delta of layer 2 has no such element; expected indices in 1 … 4"):
        demon(net, x, y, F.quadratic_cost, 2, 5)
    with pytest.raises(IndexError, match=r"no delta of layer 1"):
        demon(net, x, y, F.quadratic_cost, 1, 1)


@given(data=st.data())
def test_T34_the_good_demon_lowers_the_cost(data):
    """A small step against δ lowers C by about |δ| Δz, everywhere."""
    net, x, y, cost = data.draw(smooth())
    report = good_demon(net, x, y, cost, step=1e-5, most=1000)
    assert len(report.rows) == sum(net.sizes[1:])
    sizes = [abs(row.delta) for row in report.rows]
    assert sizes == sorted(sizes, reverse=True)
    for row in report.rows:
        assert row.dz * row.delta <= 0
        if abs(row.delta) > 1e-3:  # else the second order counts
            assert row.change < 0
            assert row.change == pytest.approx(-abs(row.delta) * 1e-5, rel=0.1)


@given(data=st.data())
def test_T34_where_delta_is_zero_he_wins_almost_nothing(data):
    """The net is right already, so δ = 0: he wins nothing, and a step costs him at most its square."""
    net, x, _, _ = data.draw(smooth())
    report = good_demon(net, x, net(x).numpy(), F.quadratic_cost, step=0.01, most=1000)
    for row in report.rows:
        assert abs(row.delta) < 1e-12
        assert row.change >= -1e-14
        slopes = [np.sum(layer.weight.data**2) for layer in net.layers[row.l - 1 :]]  # σ′ ≤ 1
        assert row.change <= 0.5 * row.dz**2 * np.prod(slopes) + 1e-14


def test_T34_saturated_neurons_are_past_helping():
    """σ′ ≈ 0 makes δ ≈ 0: there he wins thousands of times less than at a neuron that can learn."""
    net, x, y, cost = case([3, 6, 2], ["sigmoid", "sigmoid"], 1)
    net.layers[0].bias.data[3:] = 20.0
    report = good_demon(net, x, y, cost)
    wins = {(row.l, row.j): -row.change for row in report.rows}
    assert max(wins[2, j] for j in (4, 5, 6)) < 1e-4 * min(wins[2, j] for j in (1, 2, 3))


def test_T34_of_many_neurons_the_extremes_are_tried():
    net, x, y, cost = case([5, 40, 10], ["tanh", "sigmoid"], 2)
    report = good_demon(net, x, y, cost, most=6)
    every = good_demon(net, x, y, cost, most=50)
    assert report.rows == every.rows[:3] + every.rows[-3:]
    assert str(report).splitlines()[0].startswith("The good demon, example 1: C_x = ")


def test_T6_T34_on_a_net_that_has_learned_digits():
    (images, labels), _ = bp.data.load_digits()
    y = bp.data.one_hot(labels, 10)
    net = nn.MLP([64, 30, 10], rng=0)
    sgd = bp.optim.SGD(net.parameters(), lr=3.0)
    bp.training.fit(net, (images, y), F.quadratic_cost, sgd, epochs=3, rng=0, quiet=True)
    for example in (1, 2, 3):
        best, *_, worst = good_demon(net, images, y, F.quadratic_cost, example, most=40).rows
        assert best.change < 0
        assert abs(worst.change) < 1e-3 * abs(best.change)
        report = demon(net, images, y, F.quadratic_cost, best.l, best.j, example)
        a, b = report.rows[-2:]
        assert np.log2(a.remainder / b.remainder) == pytest.approx(2, abs=0.01)
