"""Single weights against differences of the cost: right for right rules, wrong for wrong ones."""

# l is the book's name of a layer.
# ruff: noqa: E741

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_bp import nn
from tinygrad_bp.backprop import check_weights, notation

from .nets import F, case, rules

SMOOTH = ["sigmoid", "tanh", "linear", "softplus"]


@given(sizes=st.lists(st.integers(1, 8), min_size=2, max_size=5), seed=st.integers(0, 2**32), data=st.data())
def test_backprop_agrees_with_differences(sizes, seed, data):
    activations = [data.draw(st.sampled_from(SMOOTH)) for _ in sizes[1:]]
    net, x, y, cost = case(sizes, activations, 5, seed=seed)
    check = check_weights(net, x, y, cost, n=10, rng=seed)
    assert check.ok, str(check)


def test_rows_name_the_weights_of_the_book():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    check = check_weights(net, x, y, cost, n=1000)
    assert [(row.layer, row.j, row.k) for row in check] == [
        (l, j, k) for l, (n, m) in {2: (4, 3), 3: (2, 4)}.items() for j in range(1, n + 1) for k in range(1, m + 1)
    ]  # fmt: skip
    nabla_w = notation(net, x, y, cost).nabla_w
    for row in check:
        assert row.analytic == nabla_w[row.layer][row.j - 1, row.k - 1]
        size = np.max(np.abs(nabla_w[row.layer]))
        assert row.deviation == pytest.approx(abs(row.analytic - row.numerical) / size)


def test_the_choice_is_random_but_repeatable():
    net, x, y, cost = case([6, 7, 5], ["tanh", "sigmoid"], 4)
    places = [
        [(row.layer, row.j, row.k) for row in check_weights(net, x, y, cost, n=8, rng=rng)]
        for rng in (1, np.random.default_rng(1), 2)
    ]
    assert places[0] == places[1] != places[2]
    assert len(set(places[0])) == 8


def test_the_net_stays_as_it_was_and_float32_is_checked_in_float64():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5, F.binary_cross_entropy, dtype=np.float32)
    cost(net(x), y).backward()
    before = [(p.data.tobytes(), p.grad.tobytes(), p.dtype) for p in net.parameters()]
    assert check_weights(net, x, y, cost).ok
    assert [(p.data.tobytes(), p.grad.tobytes(), p.dtype) for p in net.parameters()] == before


def test_labels_and_a_single_row():
    net, x, _, _ = case([3, 4, 3], ["tanh", "linear"], 5)
    assert check_weights(net, x, np.array([0, 1, 2, 1, 0]), F.cross_entropy)
    assert check_weights(net, x[0], np.array([0.0, 1.0, 0.0]), F.quadratic_cost)
    assert check_weights(net, x[0].tolist(), 2, F.cross_entropy)


def test_a_wrong_rule_fails():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    with rules(np.tanh, lambda g, y, _x: g * (1 - y)):
        check = check_weights(net, x, y, cost, n=1000)
    assert not check.ok
    assert {row.layer for row in check if not row.ok} == {2}
    assert str(check).count("FAIL") == sum(not row.ok for row in check) + 1


def test_dead_weights_agree():
    net, x, y, cost = case([3, 4, 2], ["relu", "sigmoid"], 5)
    net.layers[0].bias.data[...] = -100
    check = check_weights(net, x, y, cost, n=1000)
    assert check.ok
    assert {row.deviation for row in check if row.layer == 2} == {0.0}


def test_the_check_prints_as_a_table():
    net, x, y, cost = case([30, 120, 2], ["tanh", "sigmoid"], 5)
    check = check_weights(net, x, y, cost, n=30)
    header, *rows, empty, verdict = str(check).splitlines()
    assert len(rows) == 30
    assert empty == ""
    assert {len(line) for line in rows} == {len(header)}
    assert verdict.startswith("pass: 30 of 30 weights agree to 1e-06; largest deviation ")
    assert [tuple(map(int, line.split()[:3])) for line in rows] == [(r.layer, r.j, r.k) for r in check]


def test_what_cannot_be_checked():
    net, x, y, cost = case([3, 2], ["tanh"], 5)
    with pytest.raises(ValueError, match=r"n ≥ 1, got 0"):
        check_weights(net, x, y, cost, n=0)
    with pytest.raises(ValueError, match="needs a Module"):
        check_weights(lambda x: net(x), x, y, cost)
    with pytest.raises(ValueError, match="not a stack"):
        check_weights(nn.Sequential(net, np.sum), x, y, lambda a, y: a)
