"""Diagnosis: seeded pathologies are named where they are, healthy nets have none; T24–T27 on real numbers."""

# l is the book's name of a layer.
# ruff: noqa: E741

import copy
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import nn
from tinygrad_bp.backprop import delta_norms, diagnose, notation
from tinygrad_bp.backprop.diagnose import FLAT, LOW, SENTENCES
from tinygrad_bp.backprop.equations import SIGMA_PRIME
from tinygrad_bp.backprop.experiments import SIGMAS, choices_of_sigma, learning_curves, saturated_start

from .nets import F, case, cases

(X, LABELS), _ = bp.data.load_digits()
ONE_HOT = bp.data.one_hot(LABELS, 10)
BATCH = slice(0, 100)
# hidden σ, output σ, cost, init, η, hidden widths
HEALTHY = [
    ("sigmoid", "sigmoid", F.quadratic_cost, None, 3.0, [30]),
    ("sigmoid", "sigmoid", F.quadratic_cost, "standard_normal", 3.0, [30]),
    ("sigmoid", "sigmoid", F.binary_cross_entropy, "xavier_uniform", 3.0, [30]),
    ("sigmoid", "sigmoid", F.quadratic_cost, "xavier_normal", 3.0, [30, 30]),
    ("sigmoid", "linear", F.cross_entropy, None, 0.5, [60]),
    ("tanh", "linear", F.cross_entropy, "xavier_uniform", 0.05, [30, 30, 30, 30]),
    ("tanh", "sigmoid", F.quadratic_cost, "xavier_uniform", 1.0, [30]),
    ("tanh", "linear", F.mse_loss, None, 0.1, [20]),
    ("tanh", "tanh", F.quadratic_cost, "xavier_normal", 0.1, [25]),
    ("relu", "linear", F.cross_entropy, "kaiming_normal", 0.1, [30]),
    ("relu", "linear", F.cross_entropy, None, 0.1, [30, 30]),
    ("relu", "linear", F.cross_entropy, "kaiming_normal", 0.03, [40, 40, 40, 40, 40]),
    ("relu", "sigmoid", F.quadratic_cost, "kaiming_normal", 0.5, [30]),
    ("relu", "linear", F.quadratic_cost, None, 0.03, [30]),
    ("leaky_relu", "linear", F.cross_entropy, "kaiming_normal", 0.1, [30, 30]),
    ("leaky_relu", "sigmoid", F.binary_cross_entropy, "kaiming_uniform", 0.5, [30]),
    ("softplus", "linear", F.cross_entropy, "xavier_normal", 0.05, [30]),
    ("softplus", "sigmoid", F.binary_cross_entropy, "xavier_normal", 0.2, [30, 30]),
    ("linear", "linear", F.cross_entropy, None, 0.1, []),
    (SIGMAS["z + tanh z"], "linear", F.cross_entropy, "xavier_normal", 0.03, [30]),
]


def target(cost):
    return LABELS if cost is F.cross_entropy else ONE_HOT


def build(hidden, output, cost, init, eta, widths, seed=0):
    return nn.MLP([64, *widths, 10], hidden, output, rng=seed, init=init)


def found(net, y, cost, **settings):
    return [(finding.kind, finding.layer) for finding in diagnose(net, X[BATCH], y[BATCH], cost, **settings)]


# ---- healthy nets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", HEALTHY, ids=lambda spec: f"{spec[0]}-{spec[1]}-{spec[2].__name__}-{spec[5]}"
)
def test_T24_T25_nothing_is_found_in_healthy_nets_fresh_and_in_mid_training(spec):
    cost, eta = spec[2], spec[4]
    net = build(*spec, seed=7)
    assert found(net, target(cost), cost, eta=eta) == []
    sgd = bp.optim.SGD(net.parameters(), lr=eta)
    bp.training.fit(net, (X, target(cost)), cost, sgd, epochs=2, rng=1, quiet=True)
    report = diagnose(net, X[BATCH], target(cost)[BATCH], cost, eta=eta)
    assert report.ok, str(report)
    assert bool(report)
    assert str(report).endswith("no findings")


# ---- seeded pathologies ----------------------------------------------------------------------------------

CAUSES = {"saturated", "dead", "saturated output", "large weights"}
DEEP = [
    ("sigmoid", "sigmoid", F.quadratic_cost, "xavier_normal", 3.0, [30, 30]),
    ("tanh", "sigmoid", F.quadratic_cost, "xavier_uniform", 1.0, [30, 30]),
    ("relu", "linear", F.cross_entropy, "kaiming_normal", 0.1, [30, 30]),
    ("softplus", "sigmoid", F.quadratic_cost, "xavier_normal", 0.2, [30, 30]),
]
names = [f"{spec[0]}-{spec[1]}" for spec in DEEP]


@pytest.mark.parametrize("l", [2, 3, 4])
@pytest.mark.parametrize("spec", DEEP, ids=names)
def test_T24_T25_weights_times_50_are_named_at_their_layer(spec, l):
    net, cost = build(*spec), spec[2]
    net.layers[l - 2].weight.data *= 50
    kinds = [finding for finding in found(net, target(cost), cost) if finding[0] in CAUSES]
    assert kinds[0][1] == l
    assert {layer for kind, layer in kinds if kind != "saturated output"} <= {l}  # which may follow from it


@pytest.mark.parametrize("l", [2, 3])
@pytest.mark.parametrize("spec", DEEP, ids=names)
def test_T24_a_bias_of_minus_20_saturates_its_layer_and_starves_the_weights_of_the_next(spec, l):
    net, cost = build(*spec), spec[2]
    net.layers[l - 2].bias.data[...] = -20
    report = diagnose(net, X[BATCH], target(cost)[BATCH], cost)
    kinds = [(finding.kind, finding.layer) for finding in report if finding.kind in CAUSES]
    assert ("dead" if spec[0] == "relu" else "saturated", l) == kinds[0]
    assert "biases are about -20" in report.findings[0].text
    assert report.layers[l - 2].stuck.all()
    if spec[0] != "tanh":  # whose activations are −1, not small
        assert ("low activation", l + 1) in [(finding.kind, finding.layer) for finding in report]
        book = report.book
        weights, biases = (np.max(np.abs(g[l + 1])) for g in (book.nabla_w, book.nabla_b))
        assert weights <= 1e-3 * biases  # BP4 has the factor a, BP3 does not


def test_T24_T27_a_saturated_output_is_slow_with_the_quadratic_cost_alone():
    for cost, expected in {F.quadratic_cost: [("saturated output", 3)], F.binary_cross_entropy: []}.items():
        net = build("sigmoid", "sigmoid", cost, None, 3.0, [30])
        net.layers[-1].bias.data[...] = -20
        assert found(net, ONE_HOT, cost) == expected
    right = build("sigmoid", "sigmoid", F.quadratic_cost, None, 3.0, [30])
    right.layers[-1].bias.data[...] = -20
    assert found(right, 0 * ONE_HOT, F.quadratic_cost) == []  # saturated on the right side


@pytest.mark.parametrize("widths", [[30, 20], [20, 20, 20]])
def test_T24_a_dead_layer_of_relu(widths):
    net = nn.MLP([64, *widths, 10], "relu", "linear", rng=0)
    l = len(widths)
    net.layers[l - 2].weight.data[...] = -np.abs(net.layers[l - 2].weight.data)
    net.layers[l - 2].bias.data[...] = -0.1
    report = diagnose(net, X[BATCH], LABELS[BATCH], F.cross_entropy)
    assert (report.findings[0].kind, report.findings[0].layer) == ("dead", l)
    assert (
        f"{widths[l - 2]} of {widths[l - 2]} ReLUs of layer {l} (layers.{l - 2})" in report.findings[0].text
    )
    assert not report.book.nabla_w[l].any()
    assert report.layers[l - 2].slow_weights.all()


def test_T24_outputs_on_which_the_cost_does_not_depend():
    net = build("tanh", "linear", F.quadratic_cost, None, 1.0, [30, 30])
    report = diagnose(net, X[BATCH], ONE_HOT[BATCH], lambda a, y: F.quadratic_cost(a[:, :8], y[:, :8]))
    assert [(finding.kind, finding.layer) for finding in report] == [("unheard", 4)]
    assert "outputs 9, 10 of layer 4" in report.findings[0].text
    net.layers[1].weight.data[:, 4] = 0
    report = diagnose(net, X[BATCH], ONE_HOT[BATCH], F.quadratic_cost)
    assert [(finding.kind, finding.layer) for finding in report] == [("unheard", 2)]
    assert np.flatnonzero(report.layers[0].unheard).tolist() == [4]


def test_T24_outputs_that_are_right_are_not_unheard():
    net = build("tanh", "linear", F.quadratic_cost, None, 1.0, [30])
    y = ONE_HOT.copy()
    y[BATCH, 3] = net(X[BATCH]).numpy()[:, 3]
    assert found(net, y, F.quadratic_cost) == []


def test_T25_thirty_layers_of_sigmoid():
    net = nn.MLP([64, *[15] * 29, 10], rng=0)
    report = diagnose(net, X[BATCH], ONE_HOT[BATCH], F.quadratic_cost)
    assert [finding.kind for finding in report] == ["vanishing"]
    l, norms = report.findings[0].layer, delta_norms(net, X[BATCH], ONE_HOT[BATCH], F.quadratic_cost)
    assert norms[l] < 1e-3 * norms[31] <= norms[l + 1]
    assert "(35)" in report.findings[0].text
    assert "¼" in report.findings[0].text


def test_T25_an_exploding_error():
    net = nn.MLP([64, 30, 30, 30, 10], "linear", rng=0, init="kaiming_normal")
    for layer in net.layers:
        layer.weight.data *= 10
    assert found(net, ONE_HOT, F.quadratic_cost)[-1] == ("exploding", 2)


@pytest.mark.parametrize(
    "spec", HEALTHY[:-2], ids=lambda spec: f"{spec[0]}-{spec[1]}-{spec[2].__name__}-{spec[5]}"
)
def test_a_learning_rate_times_1000(spec):
    net, cost = build(*spec), spec[2]
    kinds = {kind for kind, _ in found(net, target(cost), cost, eta=1000 * spec[4])}
    assert kinds == {"step"}


def test_the_step_of_one_layer():
    net = build("tanh", "linear", F.mse_loss, None, 0.1, [20])
    report = diagnose(net, X[BATCH], ONE_HOT[BATCH], F.mse_loss, eta=0.1)
    w, g = net.layers[0].weight.data, report.book.nabla_w[2]
    assert report.layers[0].step == pytest.approx(0.1 * np.linalg.norm(g) / np.linalg.norm(w), rel=1e-5)


# ---- NaN and infinity ------------------------------------------------------------------------------------


def log_likelihood(a, y):
    return -np.sum(y * np.log(a)) * (1 / len(y))


def spoilt(name):
    """(net, x, y, cost, the layer that is to be named, words of the sentence)."""
    net = nn.MLP([64, 30, 20, 10], rng=0)
    x, y = X[BATCH].copy(), ONE_HOT[BATCH].copy()
    if name == "x":
        x[3, 9] = np.nan
        return net, x, y, F.quadratic_cost, 1, r"the input x, layer 1, has nan in 1 of 6400 .* \[3, 9\]"
    if name == "y":
        y[3, 9] = np.nan
        return net, x, y, F.quadratic_cost, None, r"the target y has nan in 1 of 1000"
    if name == "w":
        net.layers[1].weight.data[3, 4] = np.nan
        return net, x, y, F.quadratic_cost, 3, r"w\^3 has nan in 1 of 600 elements"
    if name == "b":
        net.layers[2].bias.data[4] = -np.inf
        return net, x, y, F.quadratic_cost, 4, r"b\^4 has -inf in 1 of 10 elements"
    if name == "overflow":
        net.layers[0].bias.data[...] = 9
        net.layers[1].weight.data[...] = 3e38
        return net, x, y, F.quadratic_cost, 3, r"matmul of .* in layer 3 \(layers.1\)"
    if name == "log 0":
        net.layers[2].bias.data[...] = -200
        return net, x, y, log_likelihood, None, r"log of 0 … 0 \(test_diagnose.py:\d+\) in the cost gave -inf"
    tiny = np.float32(1e-44)  # log(tiny) is finite, 1/tiny is not
    return net, x, y, lambda a, y: np.sum(np.log(a * tiny)), None, r"∂C/∂a\^4 is inf in 1000 of 1000"


@pytest.mark.parametrize("name", ["x", "y", "w", "b", "overflow", "log 0", "derivative"])
def test_what_is_not_finite_is_named_where_it_is_born(name):
    net, x, y, cost, layer, words = spoilt(name)
    report = diagnose(net, x, y, cost, eta=1.0)
    first = report.findings[0]
    assert (first.kind, first.layer) == ("not finite", layer)
    assert re.search(words, first.text), first.text
    assert not any(finding.kind == "not finite" for finding in report.findings[1:])
    assert len(str(report).splitlines()) > 8


# ---- the factors: T24 and T25 as inequalities on any net -------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_T24_no_weight_learns_faster_than_its_factors_allow(dtype, data):
    """|∂C/∂w_jk| ≤ rms(a_k) rms(δ_j) by BP4, |δ_j| ≤ |∂C/∂a_j| max σ′ by BP1 and BP2."""
    net, x, y, cost = data.draw(cases(dtype))
    report, slack = diagnose(net, x, y, cost), 1 + 1e3 * np.finfo(dtype).eps
    for row in report.layers:
        book, l = report.book, row.layer
        a, delta = (
            np.sqrt(np.mean(np.square(v.astype(float)), axis=1)) for v in (book.a[l - 1], book.delta[l])
        )
        assert np.all(np.abs(book.nabla_w[l]) <= slack * np.outer(delta, a) + np.finfo(dtype).tiny)
        assert np.array_equal(row.low, a < LOW) or np.min(np.abs(a - LOW)) < 1e-6
        slopes = SIGMA_PRIME[row.activation](book.z[l], book.a[l])
        largest = 0.25 if row.activation == "sigmoid" else 1.0
        assert row.flat == np.mean(slopes < FLAT * largest)
        assert np.array_equal(row.stuck, np.all(slopes < FLAT * largest, axis=1))
        assert row.slow_weights.shape == book.w[l].shape


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_T25_the_product_of_the_factors_bounds_the_error(dtype, data):
    net, x, y, cost = data.draw(cases(dtype))
    report, slack = diagnose(net, x, y, cost), 1 + 1e3 * np.finfo(dtype).eps
    norms, rows = delta_norms(net, x, y, cost), {row.layer: row for row in report.layers}
    for l, row in rows.items():
        assert row.delta_norm == pytest.approx(norms[l], rel=1e-12)
        assert row.delta_norm <= slack * report.bound(l) + 1e-30
        if l < report.book.L and norms[l + 1]:
            assert row.ratio <= slack * row.factor
            if row.activation == "sigmoid":
                assert row.factor <= slack * 0.25 * np.linalg.norm(report.book.w[l + 1], 2)
    if all(norms.values()):
        ratios = np.prod([row.ratio for row in report.layers[:-1]])
        assert ratios * norms[report.book.L] == pytest.approx(norms[2], rel=1e-9)


@given(data=st.data())
def test_slopes_of_an_activation_that_no_formula_knows(data):
    """σ = tanh, written as 2σ(2z) − 1: its σ′ is read from the engine, and the table is that of tanh."""
    net, x, y, cost = data.draw(cases(np.float64))
    reports = []
    for tanh in (np.tanh, lambda z: 2 * F.sigmoid(2 * z) - 1):
        twin = copy.deepcopy(net)
        twin.activations[:-1] = [tanh] * (len(twin.activations) - 1)
        reports.append(diagnose(twin, x, y, cost))
    for one, other in zip(*(report.layers for report in reports)):
        if np.all(np.abs(reports[0].book.delta[one.layer]) > 1e-12):
            assert one.factor == pytest.approx(other.factor, rel=1e-6, nan_ok=True)


# ---- why -------------------------------------------------------------------------------------------------


def test_T24_why_a_weight_learns_slowly():
    net = build("sigmoid", "sigmoid", F.quadratic_cost, "xavier_normal", 3.0, [30, 20])
    net.layers[0].bias.data[6] = -20
    net.layers[1].bias.data[4] = -20
    net.layers[1].weight.data[:, 2] = 0
    report = diagnose(net, X[BATCH], ONE_HOT[BATCH], F.quadratic_cost)
    saturated, small, unheard = (
        "σ′(z^3_5) is ≈ 0 for 100% of the examples (BP2)",
        "its input a^2_7 is ≈ 0 (BP4)",
        "C hardly",
    )
    assert report.why(3, 5, 1).endswith(saturated)
    assert report.why(3, 5).endswith(saturated)  # biases too
    assert report.why(3, 4, 7).endswith(small)
    assert report.why(3, 4).endswith("no factor is small")  # not the bias: BP3 has no a
    assert report.why(3, 5, 7).endswith(f"{small} and {saturated}")
    assert unheard in report.why(2, 3)
    assert report.why(3, 4, 1).startswith(f"∂C/∂w^3_4,1 is {report.book.nabla_w[3][3, 0]:.1e}")
    assert report.layers[1].slow_weights.sum() == 30 + 20 - 1 + 0
    for wrong in [(1, 1, 1), (5, 1, 1), (3, 0, 1), (3, 21, 1), (3, 1, 31), (3, 1, 0)]:
        with pytest.raises(ValueError, match=r"no such weight.*2 ≤ l ≤ 4"):
            report.why(*wrong)


def test_T25_why_a_weight_far_from_the_output_learns_slowly():
    report = diagnose(nn.MLP([64, *[15] * 9, 10], rng=0), X[BATCH], ONE_HOT[BATCH], F.quadratic_cost)
    assert report.why(2, 3).endswith("the error has vanished on its way back (35)")


def test_why_tells_each_cause_once():
    net = build("sigmoid", "sigmoid", F.quadratic_cost, None, 3.0, [30, 30])
    net.layers[0].bias.data[...] = -20
    report = diagnose(net, X[BATCH], ONE_HOT[BATCH], F.quadratic_cost)
    assert report.layers[0].delta_norm * 1e3 < report.layers[-1].delta_norm
    assert report.why(2, 1).endswith("σ′(z^2_1) is ≈ 0 for 100% of the examples (BP2)")
    deep = nn.MLP([64, *[15] * 9, 10], rng=0)
    deep.layers[0].bias.data[...] = -20
    both = r"σ′\(z\^2_1\) is ≈ 0 .* and the error has vanished on its way back \(35\)$"
    assert re.search(both, diagnose(deep, X[BATCH], ONE_HOT[BATCH], F.quadratic_cost).why(2, 1))


def test_findings_are_one_sentence_with_an_equation():
    for kind, sentence in SENTENCES.items():
        assert ". " not in sentence, kind
        assert re.search(r"\((BP\d|35|47)|\{bp\}|\(35\)|\(47\)", sentence.replace("by (47)", "(47)")), kind


def test_the_report_prints_as_a_table():
    net = build("sigmoid", "sigmoid", F.quadratic_cost, "xavier_normal", 3.0, [30, 20])
    net.layers[1].bias.data[...] = -20
    title, _, header, *rest = str(diagnose(net, X[BATCH], ONE_HOT[BATCH], F.quadratic_cost)).splitlines()
    assert title == "Diagnosis of a net of sizes 64-30-20-10, float32, on 100 examples"
    assert header.split()[:5] == ["layer", "module", "σ", "neurons", "σ′≈0"]
    assert [line.split()[:4] for line in rest[:3]] == [
        ["2", "layers.0", "sigmoid", "30"], ["3", "layers.1", "sigmoid", "20"], ["4", "layers.2", "sigmoid", "10"],
    ]  # fmt: skip
    assert rest[-2].startswith("1. saturated: layer 3 (layers.1) is saturated")


def test_the_net_is_left_as_it_was():
    net = build("relu", "linear", F.cross_entropy, None, 0.1, [30])
    before = [(p.data.tobytes(), p.grad) for p in net.parameters()]
    diagnose(net, X[BATCH], LABELS[BATCH], F.cross_entropy, eta=0.1)
    assert [(p.data.tobytes(), p.grad) for p in net.parameters()] == before


# ---- T26 -------------------------------------------------------------------------------------------------


def test_T26_slopes_that_stay_away_from_0_and_slopes_that_do_not():
    z = np.linspace(-60, 60, 2401)
    z = z[z != 0]
    smallest = {name: np.min(bp.elementwise_grad(sigma)(z)) for name, sigma in SIGMAS.items()}
    assert smallest["leaky ReLU"] == 0.2
    assert smallest["z + tanh z"] >= 1
    assert smallest["ReLU"] == 0
    assert 0 < smallest["softplus"] < 1e-25


def test_T26_from_the_same_start_only_those_learn():
    curves = choices_of_sigma([64, 30, 10], X[:100], LABELS[:100], F.cross_entropy)
    left = {name: errors[-1] / errors[0] for name, errors in curves.errors.items()}
    assert left["z + tanh z"] < 0.1
    assert left["leaky ReLU"] < 0.8
    assert left["softplus"] > 0.95
    assert left["ReLU"] > 0.95
    assert curves.epochs_to("z + tanh z", 0.8) < curves.epochs_to("leaky ReLU", 0.8)
    assert curves.epochs_to("ReLU", 0.8) is None
    assert str(curves).splitlines()[3].split()[-1] == "never"


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_T26_data_of_any_dtype(dtype):
    seen = set()

    def cost(a, y):
        seen.add(a.dtype)
        return F.cross_entropy(a, y)

    x = (X[:10] * 16).astype(dtype)
    curves = choices_of_sigma([64, 5, 10], x, LABELS[:10], cost, epochs=1)
    assert seen == {np.dtype(dtype if dtype != np.uint8 else np.float32)}
    assert all(np.isfinite(errors).all() for errors in curves.errors.values())


def test_T26_the_reason_is_named():
    """At that start the diagnosis names the hidden layer for ReLU and softplus, and nothing for the others."""
    kinds = {}
    for name, sigma in SIGMAS.items():
        net = nn.MLP([64, 30, 10], sigma, "linear", rng=0, init="xavier_normal")
        net.layers[0].bias.data[...] = -8
        kinds[name] = [finding for finding in found(net, LABELS, F.cross_entropy) if finding[0] in CAUSES]
    assert kinds == {
        "ReLU": [("dead", 2)],
        "softplus": [("saturated", 2)],
        "leaky ReLU": [],
        "z + tanh z": [],
    }


# ---- T27 -------------------------------------------------------------------------------------------------

TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}


def close(found, expected, dtype):
    return np.max(np.abs(found - expected)) <= TOLERANCE[dtype] * np.max(np.abs(expected))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("output", "cost", "share"),
    [("sigmoid", F.binary_cross_entropy, True), ("softmax", log_likelihood, False)],
)
@given(data=st.data())
def test_T27_the_cost_that_fits_has_no_slope_in_its_error(output, cost, share, dtype, data):
    """δ^L = a^L − y; `binary_cross_entropy` is a mean over the n_L outputs as well, hence 1/n_L."""
    depth = data.draw(st.integers(1, 4), label="depth")
    sizes = data.draw(st.lists(st.integers(2, 9), min_size=depth + 1, max_size=depth + 1), label="sizes")
    m, seed = data.draw(st.integers(1, 9), label="batch"), data.draw(st.integers(0, 9999), label="seed")
    net, x, _, _ = case(sizes, ["tanh"] * (depth - 1) + [output], m, dtype=dtype, seed=seed)
    y = np.eye(sizes[-1], dtype=dtype)[np.random.default_rng(seed).integers(sizes[-1], size=m)]
    book = notation(net, x, y, cost)
    L, n = book.L, sizes[-1]
    assert close(book.delta[L], (book.a[L] - book.y) / (n if share else 1), dtype)
    with_logits = nn.MLP(sizes, ["tanh"] * (depth - 1) + ["linear"], dtype=dtype)
    for layer, other in zip(with_logits.layers, net.layers):
        layer.weight.data, layer.bias.data = other.weight.data, other.bias.data
    logits = notation(with_logits, x, y, F.binary_cross_entropy_with_logits if share else F.cross_entropy)
    assert np.array_equal(logits.a[L], logits.z[L])  # a^L = z^L, σ′ = 1
    assert np.array_equal(logits.delta[L], logits.nabla_a)
    assert close(logits.delta[L], book.delta[L], dtype)
    quadratic = notation(net, x, y, F.quadratic_cost)
    if output == "sigmoid":
        assert close(quadratic.delta[L], (book.a[L] - book.y) * book.a[L] * (1 - book.a[L]), dtype)


def test_T27_the_neuron_of_the_book_starts_slowly_with_the_quadratic_cost():
    curves = saturated_start()
    a = 1 / (1 + np.exp(-4.0))
    quadratic, cross = curves.errors["quadratic cost"], curves.errors["cross-entropy"]
    assert quadratic[0] == cross[0] == pytest.approx(a * a / 2, rel=1e-12)
    step = 0.15 * 2 * a * a * (1 - a)  # of z, in w and b: BP1, BP3, BP4 with a^1 = 1
    assert quadratic[1] == pytest.approx((1 / (1 + np.exp(step - 4))) ** 2 / 2, rel=1e-12)
    assert cross[1] == pytest.approx((1 / (1 + np.exp(0.3 * a - 4))) ** 2 / 2, rel=1e-12)
    assert curves.epochs_to("quadratic cost") > 5 * curves.epochs_to("cross-entropy")
    assert [line.split()[0] for line in str(curves).splitlines()[2:]] == [
        "quadratic_cost",
        "quadratic",
        "cross-entropy",
    ]


def test_T27_a_saturated_net_on_digits():
    net = nn.MLP([64, 30, 10], rng=0)
    net.layers[-1].bias.data[...] = 6
    curves = saturated_start(net, X[:200], ONE_HOT[:200], eta=1.0, epochs=30)
    assert curves.epochs_to("quadratic cost") is None
    assert curves.epochs_to("cross-entropy") < 30


def test_learning_curves_are_gradient_descent_and_leave_the_nets():
    net = nn.MLP([64, 10], "linear", rng=0, dtype=np.float64)
    before, (x, y) = net.layers[0].weight.data.copy(), (X[:50].astype(float), ONE_HOT[:50].astype(float))
    curves = learning_curves({"one": (net, F.quadratic_cost)}, x, y, 0.05, 3, F.quadratic_cost)
    assert np.array_equal(net.layers[0].weight.data, before)
    w, b, expected = before.T.copy(), net.layers[0].bias.data.copy(), []
    for _ in range(4):
        a = x @ w + b
        expected.append(np.sum((a - y) ** 2) / 100)
        w, b = w - 0.05 * x.T @ (a - y) / 50, b - 0.05 * np.mean(a - y, axis=0)
    assert curves.errors["one"] == pytest.approx(expected, rel=1e-12)
