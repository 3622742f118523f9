"""The generic engine computes BP1–BP4, and `verify` would notice if it did not."""

# l is the book's name of a layer.
# ruff: noqa: E741

import copy
import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, target
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import nn
from tinygrad_bp.backprop import Equations, notation, verify
from tinygrad_bp.backprop.equations import BP1, BP2, BP3, BP4, FORMULAS
from tinygrad_bp.backprop.report import TOLERANCE, deviation
from tinygrad_bp.backprop.verify import BY_HAND, FROM_ENGINE, GIVEN
from tinygrad_bp.ops import nonlinear

from .nets import F, case, cases, rules


def failing(report, *, one_step=False):
    """{(layer, equation)} of the rows that fail, or that fail by themselves."""
    return {(row.layer, row.equation) for row in report if not row.ok and not (one_step and row.inherited)}


def attainable(report):
    """Can honest arithmetic keep the tolerance?

    Where sums cancel κ-fold it cannot: κ > 21 in float32, a quarter of the nets below, and κ > 1,100 in
    float64, very few of them. κ comes from the forward pass and the equations alone, so no mistake of
    the engine is left out.
    """
    return all(row.rounding <= row.tolerance for row in report)


# ---- the proof -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_T7_T8_T9_T10_T11_the_engine_computes_the_four_equations(dtype, data):
    net, x, y, cost = data.draw(cases(dtype))
    report = verify(net, x, y, cost)
    assume(attainable(report))
    assert report.ok, str(report)
    assert report.nabla_a == BY_HAND
    assert report.dtype == np.dtype(dtype).name
    assert {row.tolerance for row in report} == {1e-12 if dtype is np.float64 else 1e-5}
    L = len(report.sizes)
    assert [(row.layer, row.equation) for row in report] == [
        (l, equation) for l in range(L, 1, -1) for equation in ("BP1" if l == L else "BP2", "BP3", "BP4")
    ]
    for equation in FORMULAS:  # search for large ones, and tell them with --hypothesis-show-statistics
        target(
            max((row.deviation for row in report if row.equation == equation), default=0.0), label=equation
        )


def test_a_trained_net_passes():
    """Saturated neurons, small errors: the digits of 1 − σ(z) that are lost are lost on both sides."""
    net, x, y, cost = case([8, 12, 3], ["sigmoid", "sigmoid"], 30, scale=3.0)
    y = (y > 0.5).astype(float)
    optimizer = bp.optim.SGD(net.parameters(), lr=3.0)
    for _ in range(1000):
        optimizer.zero_grad()
        cost(net(x), y).backward()
        optimizer.step()
    assert np.median(np.abs(net(x).numpy() - y)) < 0.05
    assert verify(net, x, y, cost)
    assert verify(net, x[:1], y[:1], cost)


def test_extremely_saturated_outputs_pass():
    for dtype in (np.float64, np.float32):
        net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5, F.binary_cross_entropy, dtype)
        net.layers[1].weight.data[...] *= 60
        assert verify(net, x, y, cost)
        assert verify(net, x, y, F.quadratic_cost)


@pytest.mark.parametrize("m", [1, 2, 7])
def test_batch_of_any_size_and_a_single_row(m):
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], m)
    assert verify(net, x, y, cost).batch == m
    one = verify(net, x[0], y[0], cost)
    assert one.ok
    assert one.batch == 1
    assert [row.deviation for row in one] == [row.deviation for row in verify(net, x[:1], y[:1], cost)]


def test_one_layer():
    report = verify(*case([3, 2], ["sigmoid"], 4))
    assert report.ok
    assert [(row.layer, row.equation) for row in report] == [(2, "BP1"), (2, "BP3"), (2, "BP4")]


def test_sequential_modules_functions_and_layers_without_bias():
    rng = np.random.default_rng(0)

    def linear(n_in, n_out, **kw):
        return nn.Linear(n_in, n_out, rng=rng, dtype=np.float64, **kw)

    net = nn.Sequential(
        linear(3, 5), nn.Tanh(), linear(5, 5, bias=False), F.sigmoid,
        nn.Sequential(linear(5, 4), nn.LeakyReLU(0.3)), linear(4, 3), nn.Softplus(beta=2.0), linear(3, 2),
    )  # fmt: skip
    report = verify(net, rng.standard_normal((6, 3)), rng.standard_normal((6, 2)), F.mse_loss)
    assert report.ok, str(report)
    assert report.activations == ("tanh", "sigmoid", "leaky_relu", "softplus", "linear")
    assert [row.layer for row in report if row.equation == "BP3"] == [6, 5, 4, 2]


def test_a_module_of_ones_own():
    """Nothing is asked of classes: only the recorded graph counts."""

    class Net(nn.Module):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.u = bp.Tensor(rng.standard_normal((4, 3)), requires_grad=True)
            self.c = bp.Tensor(rng.standard_normal(4), requires_grad=True)
            self.v = bp.Tensor(rng.standard_normal((2, 4)), requires_grad=True)

        def forward(self, x):
            return np.tanh(self.c + x @ self.u.T) @ self.v.T

    _, x, y, cost = case([3, 2], ["linear"], 5)
    report = verify(Net(), x, y, cost)
    assert report.ok
    assert report.sizes == (3, 4, 2)
    assert report.activations == ("tanh", "linear")


def test_dead_neurons_have_no_deviation():
    net, x, y, cost = case([3, 4, 2], ["relu", "sigmoid"], 5)
    net.layers[0].bias.data[...] = -100
    report = verify(net, x, y, cost)
    assert report.ok
    assert [row.deviation for row in report if row.layer == 2] == [0.0] * 3


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_kinks_follow_the_same_convention(activation):
    net, x, y, cost = case([3, 4, 2], [activation, "sigmoid"], 5)
    net.layers[0].weight.data[:2] = 0
    net.layers[0].bias.data[:2] = 0  # z = 0 exactly in half of the layer
    assert verify(net, x, y, cost)


def test_deviation_is_norm_wise():
    assert deviation(np.array([1.0, 1e-9]), np.array([1.0, 2e-9])) == 1e-9
    assert deviation(np.zeros(3), np.zeros(3)) == 0
    assert deviation(np.ones(3), np.zeros(3)) == np.inf
    assert np.isnan(deviation(np.array([np.nan]), np.ones(1)))
    assert TOLERANCE == {"float64": 1e-12, "float32": 1e-5}


# ---- a wrong equation is noticed ---------------------------------------------------------------------

WRONG = {
    "σ′ dropped": [
        ("BP1", lambda nabla_a, sp, L: nabla_a),
        ("BP2", lambda w, delta, sp, l: w[l + 1].T @ delta[l + 1]),
    ],
    "transpose dropped": [
        ("BP2", lambda w, delta, sp, l: (w[l + 1] @ delta[l + 1]) * sp[l]),
        ("BP4", lambda a, delta, l: BP4(a, delta, l).T),
    ],
    "a of the wrong layer": [("BP4", lambda a, delta, l: delta[l] @ a[l].T / delta[l].shape[1])],
    "⊙ as matrix product": [
        ("BP1", lambda nabla_a, sp, L: nabla_a @ sp[L]),
        ("BP2", lambda w, delta, sp, l: (w[l + 1].T @ delta[l + 1]) @ sp[l]),
    ],
    "mean as sum": [
        ("BP3", lambda delta, l: np.sum(delta[l], axis=1, keepdims=True)),
        ("BP4", lambda a, delta, l: delta[l] @ a[l - 1].T),
    ],
    "sign": [
        ("BP1", lambda nabla_a, sp, L: -BP1(nabla_a, sp, L)),
        ("BP2", lambda w, delta, sp, l: -BP2(w, delta, sp, l)),
        ("BP3", lambda delta, l: -BP3(delta, l)),
        ("BP4", lambda a, delta, l: -BP4(a, delta, l)),
    ],
}
VARIANTS = [pytest.param(name, f, id=f"{mistake}-{name}") for mistake, fs in WRONG.items() for name, f in fs]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("name", "wrong"), VARIANTS)
@given(seed=st.integers(0, 2**32), n=st.integers(3, 6), activation=st.sampled_from(["sigmoid", "tanh"]))
def test_a_wrong_equation_is_caught_by_its_numbers(dtype, name, wrong, seed, n, activation):
    """On nets whose layers are square, with as many examples as neurons: every variant has a value there."""
    net, x, y, cost = case([n] * 4, [activation] * 3, n, dtype=dtype, seed=seed)
    right = verify(net, x, y, cost)
    assume(attainable(right))
    assert right.ok, str(right)

    report = verify(net, x, y, cost, equations=Equations(**{name: wrong}))
    assert not report.ok
    rows = [(row.layer, row.equation) for row in report]
    of_this_equation = {(l, equation) for l, equation in rows if equation == name}
    assert failing(report, one_step=True) == of_this_equation
    downstream = {  # what is computed from a wrong δ is wrong too, unless two signs cancel
        "BP1": set(rows),
        "BP2": {(l, equation) for l, equation in rows if l < 4},
        "BP3": of_this_equation,
        "BP4": of_this_equation,
    }[name]
    assert failing(report) <= downstream
    first = next(row for row in report if row.equation == name)
    assert not first.ok
    assert 100 * first.tolerance < first.deviation < np.inf


def test_a_variant_that_only_crashes_is_an_error_and_not_a_catch():
    net, x, y, cost = case([2, 3, 4], ["tanh", "sigmoid"], 5)
    transposed = Equations(BP4=lambda a, delta, l: BP4(a, delta, l).T)
    with pytest.raises(ValueError, match=r"BP4 .* layer 3; expected \(4, 3\), got \(3, 4\)"):
        verify(net, x, y, cost, equations=transposed)


# ---- a wrong rule in the engine is noticed, in its place ---------------------------------------------

ALL = {(l, equation) for l in (2, 3, 4) for equation in ("BP1" if l == 4 else "BP2", "BP3", "BP4")}
BROKEN = [
    pytest.param(np.tanh, [lambda g, y, _x: g * (1 - y)], {(3, "BP2")}, id="tanh"),
    pytest.param(nonlinear.sigmoid, [lambda g, y, _x: g * y], {(4, "BP1")}, id="sigmoid"),
    pytest.param(nonlinear.softplus, [lambda g, y, _x, beta=1.0: g * y], {(2, "BP2")}, id="softplus"),
    pytest.param(
        np.matmul,
        [lambda g, _y, _a, b: 2 * (g @ b.T), lambda g, _y, a, _b: a.T @ g],
        {(2, "BP2"), (3, "BP2")},
        id="matmul in a",
    ),
    pytest.param(
        np.matmul,
        [lambda g, _y, _a, b: g @ b.T, lambda g, _y, a, _b: a[::-1].T @ g],
        {(l, "BP4") for l in (2, 3, 4)},
        id="matmul in w",
    ),
    pytest.param(
        np.add,
        [lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: -g],
        {(l, "BP3") for l in (2, 3, 4)},
        id="add in b",
    ),
]


@pytest.mark.parametrize(("fn", "wrong", "places"), BROKEN)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_wrong_rule_of_the_engine_is_found_in_its_place(fn, wrong, places, dtype):
    net, x, y, cost = case([3, 5, 4, 2], ["softplus", "tanh", "sigmoid"], 6, dtype=dtype)
    with rules(fn, *wrong):
        report = verify(net, x, y, cost)
    assert failing(report, one_step=True) == places
    first = max(places, key=lambda place: place[0])
    inherits = {
        (l, equation) for l, equation in ALL if l < first[0] or (l == first[0] and equation > first[1])
    }
    deltas = first[1] in ("BP1", "BP2")  # BP3 and BP4 are ends: nothing is computed from them
    assert failing(report) == places | (inherits if deltas else set())
    summary = str(report).splitlines()[-1]
    assert all(f"{equation} of layer {l}" in summary for l, equation in places)
    assert verify(net, x, y, cost).ok


def test_a_wrong_derivative_of_the_cost_is_told_from_the_equations():
    net, x, y, _ = case([3, 4, 2], ["tanh", "sigmoid"], 5)

    def cost(a, y):
        return np.sum(np.square(a - y)) / (2 * len(a))

    with rules(np.square, lambda g, _y, x: g * x):
        report = verify(net, x, y, cost, cost_derivative=lambda a, y: a - y)
    assert failing(report) == {(row.layer, row.equation) for row in report}
    assert failing(report, one_step=True) == set()
    assert "∇_a C is not the engine's" in str(report)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_what_is_not_finite_fails(poison):
    net, x, y, cost = case([3, 4, 2], ["softplus", "linear"], 5)
    x[2, 1] = 1.0
    net.layers[0].weight.data[:, 1] = poison
    with np.errstate(all="ignore"):  # NumPy warns of ∞ − ∞ in the forward pass
        report = verify(net, x, y, cost)
    assert not report.ok
    assert failing(report) == {(row.layer, row.equation) for row in report}
    assert np.isnan(report.worst.deviation)
    assert "FAIL" in str(report)


# ---- costs and activations that are not in the tables ------------------------------------------------


def test_costs_of_which_no_formula_is_known():
    net, x, y, _ = case([3, 4, 3], ["tanh", "linear"], 5)
    labels = np.array([0, 2, 1, 1, 0])
    report = verify(net, x, labels, F.cross_entropy)
    assert report.ok
    assert report.nabla_a == FROM_ENGINE
    assert "∇_a C read from the engine" in str(report)
    assert verify(net, x, y, F.binary_cross_entropy_with_logits).nabla_a == FROM_ENGINE
    assert verify(net, x, y, nn.CrossEntropyLoss()).cost == "CrossEntropyLoss"

    def log_cosh(a, y):
        return np.sum(np.log(np.cosh(a - y))) / len(a)

    report = verify(net, x, y, log_cosh)
    assert report.ok
    assert (report.cost, report.nabla_a) == ("log_cosh", FROM_ENGINE)
    own = verify(net, x, y, log_cosh, cost_derivative=lambda a, y: np.tanh(a - y))
    assert own.ok
    assert own.nabla_a == GIVEN
    wrong = verify(net, x, y, log_cosh, cost_derivative=lambda a, y: np.sinh(a - y))
    assert not wrong.ok
    assert failing(wrong, one_step=True) == set()


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.BCELoss(), F.mse_loss])
def test_costs_of_which_a_formula_is_known(loss):
    net, x, y, _ = case([3, 4, 3], ["tanh", "sigmoid"], 5)
    report = verify(net, x, y, loss)
    assert report.ok
    assert report.nabla_a == BY_HAND


def test_a_sum_over_the_examples_is_read_from_the_engine():
    net, x, y, _ = case([3, 4, 3], ["tanh", "sigmoid"], 5)
    report = verify(net, x, y, nn.MSELoss(reduction="sum"))
    assert report.ok
    assert report.nabla_a == FROM_ENGINE


def test_targets_of_other_dtypes():
    net, x, y, _ = case([3, 4, 3], ["tanh", "sigmoid"], 5, dtype=np.float32)
    assert verify(net, x, y.astype(np.float64), F.quadratic_cost)
    assert verify(net, x, y > 0.5, F.binary_cross_entropy)
    assert verify(net, x, (y > 0.5).astype(int), F.binary_cross_entropy)
    assert verify(net, x.tolist(), y.tolist(), F.quadratic_cost)
    assert verify(net, np.ones((5, 3), int), bp.Tensor(y, requires_grad=True), F.quadratic_cost)
    assert verify(copy.deepcopy(net).astype(np.float64), x, y, F.quadratic_cost).dtype == "float64"


def swish(z):
    return z / (1 + np.exp(-z))


def swish_prime(z):
    s = 1 / (1 + np.exp(-z))
    return s + z * s * (1 - s)


def test_an_activation_of_ones_own():
    net, x, y, cost = case([3, 4, 4, 2], [swish, swish, "sigmoid"], 5)
    with pytest.raises(ValueError, match=r"σ′ of layer 2 is not known.*sigma_prime=\{2: a function of z\}"):
        verify(net, x, y, cost)
    report = verify(net, x, y, cost, sigma_prime={2: swish_prime, 3: swish_prime})
    assert report.ok, str(report)
    wrong = verify(net, x, y, cost, sigma_prime={2: swish_prime, 3: swish})
    assert failing(wrong, one_step=True) == {(3, "BP2")}


def test_T11_T16_one_neuron_with_its_own_activation():
    """Neuron 2 of layer 2 is cos; entry 2 of σ′ is −sin."""
    mask = np.array([False, True, False, False])
    net, x, y, cost = case([3, 4, 2], [lambda z: np.where(mask, np.cos(z), np.tanh(z)), "sigmoid"], 5)

    def prime(z):
        return np.where(mask[:, None], -np.sin(z), 1 - np.tanh(z) ** 2)

    assert verify(net, x, y, cost, sigma_prime={2: prime})
    assert not verify(net, x, y, cost, sigma_prime={2: lambda z: 1 - np.tanh(z) ** 2})


def test_sigma_prime_for_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match=r"layers 2 to 3.*got 1"):
        verify(*case([3, 4, 2], ["tanh", "sigmoid"], 5), sigma_prime={1: swish_prime})


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_T7_T27_softmax_by_37(name, dtype):
    """δ^L = (∂a^L/∂z^L)ᵀ ∇_a C, which with the log-likelihood is a^L − y."""
    net, x, y, _ = case([3, 4, 3], ["tanh", name], 5, dtype=dtype)
    y = np.eye(3, dtype=dtype)[[0, 2, 1, 1, 0]]

    def log_likelihood(a, y):
        return -np.sum(y * (np.log(a) if name == "softmax" else a)) / len(a)

    report = verify(net, x, y, log_likelihood)
    assert report.ok, str(report)
    assert [row.equation for row in report][:4] == ["eq37", "BP3", "BP4", "BP2"]
    book = notation(net, x, y, log_likelihood)
    probabilities = book.a[3] if name == "softmax" else np.exp(book.a[3])
    np.testing.assert_allclose(book.delta[3], probabilities - y.T, atol=10 * np.finfo(dtype).eps)
    wrong = Equations(eq37=lambda nabla_a, da_dz: nabla_a * np.stack([np.diag(d) for d in da_dz], axis=1))
    assert failing(verify(net, x, y, log_likelihood, equations=wrong), one_step=True) == {(3, "eq37")}


def test_softmax_over_the_examples_is_another_thing():
    net, x, y, cost = case([3, 4, 2], ["tanh", lambda z: F.softmax(z, 0)], 5)
    with pytest.raises(ValueError, match=r"layer 3 .* made of softmax"):
        verify(net, x, y, cost)


# ---- the net stays as it was ---------------------------------------------------------------------------


def photograph(net):
    return [(id(p.grad), None if p.grad is None else p.grad.tobytes(), p.data.tobytes(), p.data.ctypes.data, p.name)
            for p in net.parameters()]  # fmt: skip


def test_gradients_and_parameters_are_left_untouched():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    before = photograph(net)
    verify(net, x, y, cost)
    assert photograph(net) == before
    cost(net(x), y).backward()
    before = photograph(net)
    verify(net, x, y, cost)
    assert photograph(net) == before


def test_also_on_errors():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    cost(net(x), y).backward()
    before = photograph(net)

    def breaks(a, y):
        raise RuntimeError("no cost today")

    with pytest.raises(RuntimeError, match="no cost today"):
        verify(net, x, y, breaks)
    with pytest.raises(ValueError, match="layers 2 to 3"):
        verify(net, x, y, cost, sigma_prime={7: swish_prime})

    def bad_rule(g, y, _x):
        raise KeyboardInterrupt

    with rules(np.tanh, bad_rule), pytest.raises(KeyboardInterrupt):
        verify(net, x, y, cost)
    assert photograph(net) == before
    with bp.observe() as run:
        cost(net(x), y)
    assert len(run) > 0  # observing starts anew: nothing is left over from the runs that failed


def test_a_tensor_outside_the_net_keeps_its_gradient():
    net, x, y, _ = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    scale = bp.Tensor(2.0, requires_grad=True)
    report = verify(net, x, y, lambda a, y: scale * F.quadratic_cost(a, y))
    assert report.ok
    assert scale.grad is None


def test_the_room_opens_when_first_used():
    code = "import sys, tinygrad_bp as bp; print('tinygrad_bp.backprop' in sys.modules, bp.backprop.verify.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "verify"]


# ---- what prints ---------------------------------------------------------------------------------------


def test_the_report_prints_as_a_table():
    report = verify(*case([3, 5, 2], ["tanh", "sigmoid"], 7))
    title, nabla_a, empty, header, *rows, gap, verdict = str(report).splitlines()
    assert all(part in title for part in ("3-5-2", "tanh, sigmoid", "quadratic_cost", "float64", "batch 7"))
    assert nabla_a == "∇_a C by hand"
    assert empty == gap == ""
    assert header.split() == ["layer", "equation", "deviation", "tolerance"]
    assert len(rows) == len(report.rows) == 6
    assert len({line.index(" 1e-12  pass") for line in rows}) == 1
    assert header.endswith("tolerance")
    assert header.index("tolerance") + len("tolerance") == rows[0].index("  pass")
    assert [line.split()[:2] for line in rows] == [[str(r.layer), r.equation] for r in report]
    worst = max(report, key=lambda row: row.deviation)
    assert worst == report.worst
    assert verdict == (
        f"pass: all 6 agree; largest deviation {worst.deviation:.1e}, {worst.equation} of layer {worst.layer}"
    )
    assert bool(report) is True


def test_a_failing_report_says_where():
    sign = Equations(BP2=lambda w, delta, sp, l: -BP2(w, delta, sp, l))
    report = verify(*case([3, 5, 2], ["tanh", "sigmoid"], 4), equations=sign)
    assert bool(report) is False
    text = str(report)
    assert text.splitlines()[-1] == "FAIL: 3 of 6 disagree, starting at BP2 of layer 2"
    assert [line.rsplit("  ", 1)[1] for line in text.splitlines()[4:10]] == [
        "pass", "pass", "pass", "FAIL", "FAIL, inherited", "FAIL, inherited",
    ]  # fmt: skip


def test_sums_that_cancel_are_named():
    """Two examples whose errors are nearly opposite: ∂C/∂b keeps no digits, though each δ has all."""
    net = nn.MLP([1, 1], "linear", dtype=np.float32, rng=0)
    net.layers[0].weight.data[...], net.layers[0].bias.data[...] = 1 / 3, 0.1
    x = np.array([[1.0], [1.0]], np.float32)
    a = net(x).numpy()
    y = a + np.array([[1 / 3], [-1 / 3 - 2e-6]], np.float32)
    report = verify(net, x, y, lambda a, y: F.quadratic_cost(a * 0.3, y * 0.3))
    row = next(row for row in report if row.equation == "BP3")
    assert row.rounding > 1e-2
    lost = dataclasses.replace(row, whole_way=1e-3)
    assert not lost.ok
    assert "its sums cancel" in lost.verdict
    assert dataclasses.replace(row, one_step=1.0).verdict == "FAIL"
