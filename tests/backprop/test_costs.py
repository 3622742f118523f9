"""T5: costs that meet the book's two assumptions, costs that do not, and which of the two they break."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import nn
from tinygrad_bp.backprop import notation
from tinygrad_bp.backprop.costs import check_cost

from .nets import F, case, cases

MEANS = [
    F.quadratic_cost, F.mse_loss, F.cross_entropy, F.binary_cross_entropy, F.binary_cross_entropy_with_logits,
    nn.MSELoss(), nn.CrossEntropyLoss(), nn.BCELoss(), nn.BCEWithLogitsLoss(),
    lambda a, y: np.sum((a - y) ** 2) / (2 * len(a)),
    lambda a, y: np.mean(np.abs(a - y) ** 3),
]  # fmt: skip
SUMS = [
    lambda a, y: F.mse_loss(a, y, reduction="sum"), lambda a, y: F.cross_entropy(a, y, reduction="sum"),
    nn.BCELoss(reduction="sum"), lambda a, y: np.sum((a - y) ** 2) / 2,
]  # fmt: skip


def normalised(a):
    return (a - np.mean(a, axis=0)) / (np.std(a, axis=0) + 0.1)


COUPLED = {
    "batch norm": lambda a, y: F.quadratic_cost(normalised(a), y),
    "batch norm without ε": lambda a, y: F.quadratic_cost((a - np.mean(a, 0)) / np.std(a, 0), y),
    "worst example": lambda a, y: np.max(np.sum((a - y) ** 2, axis=1)),
    "variance over the batch": lambda a, y: F.quadratic_cost(a, y) + 0.1 * np.sum(np.var(a, axis=0)),
    "square of the mean": lambda a, y: F.quadratic_cost(a, y) ** 2,
    "root of the mean": lambda a, y: np.sqrt(F.mse_loss(a, y)),
    "neighbours in the batch": lambda a, y: F.quadratic_cost(a, y) + np.sum((a[1:] - a[:-1]) ** 2),
    "later ones weigh more": lambda a, y: np.mean(np.arange(1, len(a) + 1) * np.sum((a - y) ** 2, axis=1)),
    "one too few in the mean": lambda a, y: np.sum((a - y) ** 2) / (len(a) + 1),
    "a target that is a mean over the batch": lambda a, y: F.quadratic_cost(a, y - np.mean(y, axis=0)),
    "fair to whole batches only": lambda a, y: F.quadratic_cost(a, y) * (1 if len(a) in (1, 6) else 2),
    "only slightly": lambda a, y: F.quadratic_cost(a, y) + 1e-9 * np.mean(a) ** 2,
}


def assumptions(report):
    return {breach.assumption for breach in report.rows}


@pytest.mark.parametrize("cost", MEANS)
@given(n_L=st.integers(1, 8), seed=st.integers(0, 2**32))
def test_T5_mean_costs_pass(cost, n_L, seed):
    report = check_cost(cost, n_L, rng=seed)
    assert report.ok, str(report)
    assert report.rows == ()
    assert "A mean over the examples: holds. A function of a^L alone: holds" in str(report)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_T5_on_a_net_the_gradient_of_C_is_the_mean_of_those_of_C_x(dtype, data):
    """What assumption 1 is for: backprop on each example alone, averaged, is the gradient of C."""
    net, x, y, cost = data.draw(cases(dtype))
    if len(x) > 1:
        report = check_cost(cost, x, y, net)
        assert report.ok, str(report)
    book = notation(net, x, y, cost)
    alone = [notation(net, x[i : i + 1], y[i : i + 1], cost).nabla_w for i in range(len(x))]
    for layer, nabla_w in book.nabla_w.items():
        mean = np.mean([nabla[layer] for nabla in alone], axis=0, dtype=float)
        size = np.mean([np.max(np.abs(nabla[layer])) for nabla in alone])
        noise = {np.float64: 1e-9, np.float32: 1e-2}[dtype]  # saturated nets lose digits of 1 − a
        np.testing.assert_allclose(nabla_w, mean, rtol=0, atol=noise * size)


@pytest.mark.parametrize("cost", SUMS)
@given(seed=st.integers(0, 2**32))
def test_T5_sums_are_named(cost, seed):
    report = check_cost(cost, 4, rng=seed)
    assert assumptions(report) == {1}
    value, gradient = report.rows
    assert value.what.endswith("the mean of their C_x, but this is their sum")
    assert value.found == pytest.approx(6 * value.expected)
    assert gradient.found == pytest.approx(6 * gradient.expected)


@pytest.mark.parametrize("name", sorted(COUPLED))
@given(seed=st.integers(0, 2**32))
def test_T5_batch_coupled_costs_break_the_first_assumption(name, seed):
    report = check_cost(COUPLED[name], 3, rng=seed)
    assert not report
    assert assumptions(report) == {1}
    assert "A mean over the examples: broken. A function of a^L alone: holds" in str(report)


def test_T5_the_counter_example_is_one():
    """The numbers of the report, computed anew from what it names."""
    rng = np.random.default_rng(0)
    a, y = rng.random((5, 2)), rng.random((5, 2))
    cost = COUPLED["square of the mean"]
    value, gradient = check_cost(cost, a, y).rows
    assert value.what == "C of examples 1, 2, 3, 4, 5: the mean of their C_x"
    assert value.expected == pytest.approx(np.mean([cost(a[i : i + 1], y[i : i + 1]) for i in range(5)]))
    assert value.found == cost(a, y)
    i, j = map(int, re.search(r"at example (\d), output (\d): ∂C_x/∂a over 5$", gradient.what).groups())
    one = slice(i - 1, i)
    assert gradient.expected == pytest.approx(bp.grad(cost)(a[one], y[one])[0, j - 1] / 5)
    assert gradient.found == pytest.approx(bp.grad(cost)(a, y)[i - 1, j - 1])


def test_T5_a_penalty_on_weights_breaks_the_second_assumption():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    w = net.layers[0].weight

    def penalised(a, y):
        return cost(a, y) + 0.05 * np.sum(w**2)

    for report in (check_cost(penalised, x, y, net), check_cost(penalised, 2)):  # with its net, and by itself
        assert assumptions(report) == {2}
        (breach,) = report.rows
        assert "power (test_costs.py:" in breach.what
        assert "uses weight (4, 3)" in breach.what
        assert breach.expected == 0
        assert breach.found == pytest.approx(np.max(np.abs(0.1 * w.data)))
    assert w.grad is None
    both = check_cost(lambda a, y: penalised(a, y) ** 2, x, y, net)
    assert assumptions(both) == {1, 2}


def test_T5_a_penalty_on_every_parameter_names_every_one():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    report = check_cost(lambda a, y: cost(a, y) + sum(np.sum(np.abs(p)) for p in net.parameters()), x, y, net)
    assert {breach.what.partition("uses ")[2].partition(":")[0] for breach in report.rows} == {
        "weight (4, 3)", "bias (4,)", "weight (2, 4)", "bias (2,)",
    }  # fmt: skip
    assert {breach.found for breach in report.rows} == {1.0}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_T5_hidden_activations_break_the_second_assumption(dtype):
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5, dtype=dtype)
    kept = []
    net.activations[0] = lambda z: kept.append(np.tanh(z)) or kept[-1]
    report = check_cost(lambda a, y: cost(a, y) + np.mean(np.sum(np.abs(kept[-1]), axis=1)), x, y, net)
    assert assumptions(report) == {2}
    (breach,) = report.rows
    assert "absolute (test_costs.py:" in breach.what
    assert "uses tanh (5, 4)" in breach.what
    assert breach.found == pytest.approx(1 / 5)
    report = check_cost(lambda a, y: cost(a, y) + np.mean(kept[-1]) * np.mean(a), x, y, net)
    assert assumptions(report) == {1, 2}  # a product of two means is no mean


def test_T5_y_is_a_fixed_parameter():
    """A y that records and is let in gets a gradient; nn's costs cut it off, and a plain y has none."""
    net, x, y, _ = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    learned = bp.Tensor(y, requires_grad=True)

    def cost(a, y):
        return np.sum((a - y) ** 2) / (2 * len(a))

    for report in (check_cost(cost, x, learned, net), check_cost(cost, net(x).numpy(), learned)):
        assert assumptions(report) == {2}
        assert "subtract (test_costs.py:" in report.rows[0].what
        assert "uses y (5, 2)" in report.rows[0].what
        assert report.rows[0].found == pytest.approx(np.max(np.abs(net(x).numpy() - y)) / 5)
    assert check_cost(F.quadratic_cost, x, learned, net)
    assert check_cost(cost, x, y, net)
    assert learned.grad is None


def test_T5_a_learned_temperature_is_more_than_the_output():
    scale = bp.Tensor(2.0, requires_grad=True, name="scale")
    (breach,) = check_cost(lambda a, y: F.quadratic_cost(a * scale, y)).rows
    assert "multiply" in breach.what
    assert "uses scale ()" in breach.what


def test_T5_labels_and_many_examples():
    net, x, _, _ = case([3, 4, 3], ["tanh", "linear"], 40)
    labels = np.arange(40) % 3
    report = check_cost(F.cross_entropy, x, labels, net)
    assert report.ok
    assert "on 16 examples" in str(report)
    weights = np.array([1.0, 5.0, 2.0])  # of classes: fixed numbers are no matter
    assert check_cost(
        lambda a, y: np.mean(F.cross_entropy(a, y, reduction="none") * weights[y]), x, labels, net
    )


def test_T5_what_cannot_be_checked():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"random or not finite; expected one number, got .*, then "):
        check_cost(lambda a, y: F.quadratic_cost(a * rng.random(a.shape), y))
    with pytest.raises(ValueError, match="random or not finite"):
        check_cost(lambda a, y: F.quadratic_cost(a, y) + rng.random())
    with pytest.raises(ValueError, match="random or not finite"):
        check_cost(lambda a, y: np.mean(np.log(a - a)))
    mixed = np.ones((6, 6))
    with pytest.raises(
        ValueError, match=r"<lambda> is not one number .* any size: it fails for 1 of 6 examples"
    ):
        check_cost(lambda a, y: np.mean(mixed @ (a - y) ** 2))
    with pytest.raises(ValueError, match="mse_loss needs an input and a target of one shape"):
        check_cost(F.mse_loss, np.ones((6, 2)), np.ones((6, 1)))
    with pytest.raises(ValueError, match="not one number"):
        check_cost(lambda a, y: (a - y) ** 2)
    with pytest.raises(ValueError, match="does not depend on a"):
        check_cost(lambda a, y: 1.0)
    with pytest.raises(ValueError, match=r"compares examples; expected two or more, each with its y"):
        check_cost(F.mse_loss, np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(ValueError, match="each with its y"):
        check_cost(F.mse_loss, np.ones((4, 2)))


def test_T5_a_net_is_left_as_it_was():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    before = [(p.data.tobytes(), p.grad) for p in net.parameters()]
    check_cost(cost, x, y, net)
    assert [(p.data.tobytes(), p.grad) for p in net.parameters()] == before
