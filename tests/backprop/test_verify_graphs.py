"""BP1–BP4 at every weighted input of any graph: what is read, what is checked, and what is said not to be."""

# l is the book's name of a layer.
# ruff: noqa: E741

import numpy as np
import pytest
from hypothesis import assume, given, target
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import nn
from tinygrad_bp.backprop import Equations, verify
from tinygrad_bp.backprop.equations import JACOBIAN, SIGMA_PRIME
from tinygrad_bp.backprop.report import ON_A_GRAPH
from tinygrad_bp.backprop.verify import BY_HAND, FROM_ENGINE, GIVEN

from .nets import L1, L2, F, graphs, rules
from .test_verify import WRONG, attainable, failing, photograph

SMOOTH = ("sigmoid", "tanh", "softplus")


def linear(n_in, n_out, seed=0, dtype=np.float64, **settings):
    return nn.Linear(n_in, n_out, rng=seed, dtype=dtype, **settings)


def parameter(*shape, seed=0, dtype=np.float64, name=None):
    return bp.Tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype), True, name=name)


def batch(n_in, n_out, m=5, dtype=np.float64):
    rng = np.random.default_rng(1)
    return rng.standard_normal((m, n_in)).astype(dtype), rng.random((m, n_out)).astype(dtype)


class Net(nn.Module):
    """Parts, and a forward that is given."""

    def __init__(self, forward, **parts):
        self.__dict__.update(parts)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def residual(n=4, outputs=2, dtype=np.float64):
    """u, then w twice with a skip around each, then v."""

    def forward(s, x):
        a = np.tanh(s.u(x))
        a = a + F.sigmoid(s.w(a))
        a = a + F.sigmoid(s.w(a))
        return s.v(a)

    return Net(forward, u=linear(n, n, 1, dtype), w=linear(n, n, 2, dtype), v=linear(n, outputs, 3, dtype))


def row(report, place, equation):
    return next(row for row in report if (row.layer, row.equation) == (place, equation))


# ---- the proof -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_T7_T8_T9_T10_T11_on_random_graphs(dtype, data):
    net, x, y, cost = data.draw(graphs(dtype))
    report = verify(net, x, y, cost)
    assume(attainable(report))
    assert all(row.ok for row in report.checked), str(report)
    assert not report.stack
    unknown = {name for name in report.activations if name not in (*SIGMA_PRIME, *JACOBIAN)}
    assert bool(unknown) == any(row.unchecked for row in report) == (not report.ok)
    if not any(part is F.identity for step in (*net.steps, *net.ends) for part in step):
        assert not unknown  # only what follows a linear neuron may be taken for an activation
    for equation in ON_A_GRAPH:
        deviations = [row.deviation for row in report.checked if row.equation == equation]
        target(max(deviations, default=0.0), label=equation)


@given(data=st.data())
def test_every_parameter_that_the_cost_reaches_has_its_row_or_is_named(data):
    net, x, y, cost = data.draw(graphs(np.float64))
    report = verify(net, x, y, cost)
    cost(net(x), y).backward()
    reached = {f"p.{name}" for name, t in net.p.items() if t.grad is not None}
    rows = {row.layer for row in report if row.equation in ("BP3", "BP4")}
    unread = {
        name for name in reached - rows if any(f"not checked: {name}," in note for note in report.notes)
    }
    assert reached == rows | unread
    assert unread <= {f"p.{name}" for name, _, _ in cost.penalties}
    for name in {f"p.{name}" for name in net.p} - reached:
        assert f"not checked: {name}: the cost does not depend on it" in report.notes


# ---- a wrong equation is noticed -------------------------------------------------------------------------


@given(name=st.sampled_from(sorted(ON_A_GRAPH)), data=st.data())
def test_each_equation_broken_in_turn_fails_on_random_graphs(name, data):
    net, x, y, cost = data.draw(graphs(np.float64, SMOOTH))
    right = verify(net, x, y, cost)
    assume(attainable(right))
    wrong = Equations(**{name: lambda *args: -getattr(Equations(), name)(*args)})
    report = verify(net, x, y, cost, equations=wrong)
    expected = {(row.layer, name) for row in right.checked if row.equation == name and row.rounding > 0}
    assert failing(report, one_step=True) == expected


@pytest.mark.parametrize("mistake", WRONG)
@given(seed=st.integers(0, 2**32), n=st.integers(3, 5), data=st.data())
def test_six_wrong_equations_are_caught_by_their_numbers_on_a_residual_net(mistake, seed, n, data):
    name, wrong = data.draw(st.sampled_from(WRONG[mistake]))
    net = residual(n, n)
    rng = np.random.default_rng(seed)
    for p in net.parameters():
        p.data[...] = rng.standard_normal(p.shape) / n**0.5
    x, y = rng.standard_normal((n, n)), rng.random((n, n))
    right = verify(net, x, y, F.quadratic_cost)
    assume(attainable(right))
    assert right.ok
    report = verify(net, x, y, F.quadratic_cost, equations=Equations(**{name: wrong}))
    expected = {(row.layer, name) for row in right if row.equation == name}
    if mistake == "σ′ dropped":
        expected.discard(("v", "BP1"))  # σ′ dropped where σ′ = 1
    assert failing(report, one_step=True) == expected
    assert all(row.deviation < np.inf for row in report)


BROKEN = [
    pytest.param(np.tanh, [lambda g, y, _x: g * (1 - y)], {("u", "BP2")}, id="tanh"),
    pytest.param(
        np.matmul,
        [lambda g, _y, _a, b: 2 * (g @ b.T), lambda g, _y, a, _b: a.T @ g],
        {("u", "BP2")},
        id="matmul in a",
    ),
    pytest.param(
        np.matmul,
        [lambda g, _y, _a, b: g @ b.T, lambda g, _y, a, _b: a[::-1].T @ g],
        {("u.weight", "BP4"), ("w.weight", "BP4"), ("v.weight", "BP4")},
        id="matmul in w",
    ),
]


@pytest.mark.parametrize(("fn", "wrong", "places"), BROKEN)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_wrong_rule_of_the_engine_is_found_in_its_place(fn, wrong, places, dtype):
    net, (x, y) = residual(dtype=dtype), batch(4, 2, dtype=dtype)
    with rules(fn, *wrong):
        report = verify(net, x, y, F.quadratic_cost)
    assert failing(report, one_step=True) == places
    assert verify(net, x, y, F.quadratic_cost).ok


def test_a_sum_over_the_uses_that_forgets_one_is_noticed(monkeypatch):
    """The engine's gradient of a shared weight, as if the second use had overwritten the first."""
    net, (x, y) = residual(), batch(4, 2)
    from tinygrad_bp.observe import Seen

    def overwrite(seen, g):
        seen.cotangent = np.array(g)

    monkeypatch.setattr(Seen, "receive", overwrite)
    report = verify(net, x, y, F.quadratic_cost)
    assert failing(report) == {("w.weight", "BP4"), ("w.bias", "BP3")}


# ---- what is read ----------------------------------------------------------------------------------------


def test_residual_connections_and_shared_weights():
    net, (x, y) = residual(), batch(4, 2)
    report = verify(net, x, y, F.quadratic_cost)
    assert report.ok
    assert [(row.layer, row.equation) for row in report] == [
        ("v", "BP1"), ("v.bias", "BP3"), ("v.weight", "BP4"),
        ("w, use 2", "BP1"), ("w, use 1", "BP1"), ("w.bias", "BP3"), ("w.weight", "BP4"),
        ("u", "BP2"), ("u.bias", "BP3"), ("u.weight", "BP4"),
    ]  # fmt: skip
    assert report.activations == ("tanh", "sigmoid", "sigmoid", "linear")
    assert report.sizes == (4, 4, 4, 2)
    assert report.nabla_a == BY_HAND
    assert "two layers share the parameter weight" in report.notes[0]


def test_each_line_says_which_nodes_it_was_read_from():
    net, (x, y) = residual(), batch(4, 2)
    report = verify(net, x, y, F.quadratic_cost)
    u = row(report, "u", "BP2").read_from
    assert u.startswith("z = add (u test_verify_graphs.py:")
    assert "σ = tanh" in u
    assert "wᵀδ of w, use 1 + add (test_verify_graphs.py:" in u
    assert u.endswith("not a textbook edge")
    w = row(report, "w.weight", "BP4").read_from
    assert "δ of w, use 1 and a_in = tanh (test" in w
    assert "δ of w, use 2 and a_in = add (test" in w
    assert "subtract" in row(report, "v", "BP1").read_from
    printed = str(report).splitlines()
    assert f"  BP2 of u: {u}" in printed
    assert printed[-1].startswith("pass: all 10 agree")


FORMS = {
    "x @ w.T": (lambda x, w, b: x @ w.T + b, (2, 4)),
    "x @ w": (lambda x, w, b: x @ w + b, (4, 2)),
    "np.dot(x, w.T)": (lambda x, w, b: np.dot(x, w.T) + b, (2, 4)),
    "np.dot(x, w)": (lambda x, w, b: np.dot(x, w) + b, (4, 2)),
    "np.transpose": (lambda x, w, b: np.matmul(x, np.transpose(w, (1, 0))) + b, (2, 4)),
    "mT": (lambda x, w, b: np.add(b, x @ w.mT), (2, 4)),
    "w.T.T": (lambda x, w, b: x @ w.T.T + b, (4, 2)),
    "no bias": (lambda x, w, b: x @ w.T, (2, 4)),
    "row bias": (lambda x, w, b: x @ w.T + np.reshape(b, (1, 2)), (2, 4)),
    "bias first": (lambda x, w, b: b + x @ w.T, (2, 4)),
    "in columns": (lambda x, w, b: (w @ x.T + np.reshape(b, (2, 1))).T, (2, 4)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_T8_T9_T10_however_the_product_is_written(form, dtype):
    f, shape = FORMS[form]
    net = Net(
        lambda s, x: f(np.tanh(s.u(x)), s.w, s.b), u=linear(3, 4, dtype=dtype),
        w=parameter(*shape, dtype=dtype), b=parameter(2, dtype=dtype),
    )  # fmt: skip
    report = verify(net, *batch(3, 2, dtype=dtype), F.quadratic_cost)
    assert report.ok, str(report)
    assert row(report, 3 if report.stack else "w", "BP4").ok
    assert len(report.rows) == 6 if form not in ("no bias", "row bias", "in columns") else 5


def test_identity_transposes_do_not_flip():
    net = Net(lambda s, x: np.tanh(x @ s.w.transpose((0, 1))) @ s.w.swapaxes(-1, 0), w=parameter(4, 4))
    report = verify(net, *batch(4, 4), F.quadratic_cost)
    assert report.ok, str(report)
    assert [row.layer for row in report] == ["w, use 2", "w, use 1", "w"]


def test_a_bias_added_later_and_in_place():
    w, b = parameter(2, 3), parameter(2)

    def net(x):
        z = x @ w.T
        z += b
        return F.sigmoid(z)

    report = verify(net, *batch(3, 2), F.quadratic_cost)
    assert report.ok
    assert report.stack
    assert [row.equation for row in report] == ["BP1", "BP3", "BP4"]


def test_the_books_columns():
    w, b = {2: parameter(4, 3), 3: parameter(2, 4)}, {2: parameter(4, 1), 3: parameter(2, 1)}
    x, y = batch(3, 2)

    def net(a):
        for l in (2, 3):
            a = F.sigmoid(w[l] @ a + b[l])
        return a

    report = verify(net, x.T, y.T, lambda a, y: np.sum(np.square(a - y)) / (2 * y.shape[1]))
    assert report.ok, str(report)
    assert [row.equation for row in report] == ["BP1", "BP3", "BP4", "BP2", "BP3", "BP4"]


@pytest.mark.parametrize("steps", [1, 2, 12])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_T10_a_recurrent_net_sums_over_its_steps(steps, dtype):
    parts = {
        "h": parameter(4, 4, dtype=dtype),
        "x": parameter(4, 3, seed=1, dtype=dtype),
        "b": parameter(4, dtype=dtype),
    }

    def forward(s, x):
        h = np.zeros((len(x), 4), dtype)
        for t in range(steps):
            h = np.tanh(h @ s.h.T + x[:, t] @ s.x.T + s.b)
        return s.v(h)

    net = Net(forward, v=linear(4, 2, dtype=dtype), **parts)
    x = np.random.default_rng(0).standard_normal((5, steps, 3)).astype(dtype)
    report = verify(net, x, batch(3, 2, dtype=dtype)[1], F.quadratic_cost)
    assert report.ok, str(report)
    names = [row.layer for row in report if row.equation == "BP2"]
    assert names == [f"h & x, use {t}" for t in range(steps, 0, -1)] if steps > 1 else ["h & x"]
    assert row(report, "h", "BP4").read_from.count("δ of") == steps


def test_T10_tied_weights_of_an_autoencoder():
    net = Net(
        lambda s, x: F.sigmoid(np.tanh(x @ s.w.T + s.b) @ s.w + s.c),
        w=parameter(2, 3),
        b=parameter(2),
        c=parameter(3),
    )
    x, _ = batch(3, 2)
    report = verify(net, x, x, F.quadratic_cost)
    assert report.ok, str(report)
    assert {row.layer for row in report} == {"w, use 1", "w, use 2", "w", "b", "c"}


def test_several_outputs_and_inputs():
    net = Net(
        lambda s, x: (F.sigmoid(s.v(a := np.tanh(s.u(x["a"]) + s.w(x["b"])))), s.p(a)),
        u=linear(3, 4), w=linear(2, 4, 1), v=linear(4, 2, 2), p=linear(4, 1, 3),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    x = {"a": rng.standard_normal((5, 3)), "b": rng.standard_normal((5, 2))}
    y = (rng.random((5, 2)), rng.random((5, 1)))
    report = verify(net, x, y, lambda a, y: F.quadratic_cost(a[0], y[0]) + F.mse_loss(a[1], y[1]))
    assert report.ok, str(report)
    assert (report.nabla_a, report.batch) == (FROM_ENGINE, 5)
    assert [row.layer for row in report if row.equation in ("BP1", "BP2")] == ["p", "v", "u & w"]
    assert "wᵀδ of v + wᵀδ of p" in row(report, "u & w", "BP2").read_from


def test_examples_in_several_axes():
    """Each place of a sequence is an example of its own to the layers in it."""
    net = Net(lambda s, x: np.mean(F.relu(s.u(x)), axis=1) @ s.v.T, u=linear(3, 4), v=parameter(2, 4))
    x = np.random.default_rng(0).standard_normal((5, 7, 3))
    report = verify(net, x, batch(3, 2)[1], F.quadratic_cost)
    assert report.ok, str(report)
    assert "mean (test" in row(report, "u", "BP1").read_from


def test_T7_softmax_behind_a_residual_net_with_the_log_likelihood():
    net, (x, _) = residual(4, 3), batch(4, 2)
    softmax = nn.Sequential(net, F.softmax)
    y = np.eye(3)[[0, 1, 2, 2, 0]]

    def log_likelihood(a, y):
        return -np.sum(y * np.log(a)) / len(a)

    report = verify(softmax, x, y, log_likelihood)
    assert report.ok, str(report)
    assert row(report, "0.v", "eq37").deviation < 1e-14
    right = verify(softmax, x, y, log_likelihood, cost_derivative=lambda a, y: -y / a)
    assert right.ok
    assert right.nabla_a == GIVEN
    assert not verify(softmax, x, y, log_likelihood, cost_derivative=lambda a, y: -y * a)


def test_T11_each_neuron_and_each_use_with_its_own_activation():
    """w is used with tanh, with sigmoid and with softplus; half of u's neurons are sines."""
    half = np.array([True, False, True, False])
    net = Net(
        lambda s, x: s.v(np.tanh(s.w(a := np.where(half, np.sin(z := s.u(x)), np.tanh(z)))) + F.sigmoid(s.w(a)) * F.softplus(s.w(a), beta=3.0)),
        u=linear(3, 4), w=linear(4, 4), v=linear(4, 2),
    )  # fmt: skip
    x, y = batch(3, 2)
    report = verify(net, x, y, F.quadratic_cost)
    assert not report
    assert "pass" not in str(report).splitlines()[-1]
    assert report.activations == ("sin, tanh, where", "tanh", "sigmoid", "softplus", "linear")
    assert [row.layer for row in report if row.unchecked] == ["u"]
    assert all(row.ok for row in report.checked)

    def prime(z):
        return np.where(half[:, None], np.cos(z), 1 - np.tanh(z) ** 2)

    assert verify(net, x, y, F.quadratic_cost, sigma_prime={"u": prime}).ok
    wrong = verify(net, x, y, F.quadratic_cost, sigma_prime={"u": np.cos})
    assert failing(wrong, one_step=True) == {("u", "BP2")}


# ---- what is not the textbook's is said -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_L2_penalty_is_named_with_its_gradient(dtype):
    net = nn.MLP([3, 4, 2], ["tanh", "sigmoid"], rng=0, dtype=dtype)
    weights = [layer.weight for layer in net.layers]
    x, y = batch(3, 2, dtype=dtype)

    def cost(a, y):
        return F.quadratic_cost(a, y) + 0.25 * sum(L2(w) for w in weights) + 0.5 * L1(net.layers[0].bias)

    report = verify(net, x, y, cost)
    assert report.ok, str(report)
    penalties = [note for note in report.notes if note.startswith("outside assumption 2: in the cost ")]
    assert len(penalties) == 3
    for name in ("layers.0.weight", "layers.1.weight"):
        assert any(
            f"uses {name}; its own gradient, 0.25 {name} as of an L2 penalty," in note for note in penalties
        )
    assert any(
        "absolute" in note and "uses layers.0.bias; its own gradient is added" in note for note in penalties
    )
    assert "square (nets.py:" in row(report, "layers.1.weight", "BP4").read_from
    alone = Equations(BP4=lambda a, delta, l: 0 * Equations().BP4(a, delta, l))
    assert failing(verify(net, x, y, cost, equations=alone)) == {
        ("layers.0.weight", "BP4"),
        ("layers.1.weight", "BP4"),
    }


def test_a_cost_that_looks_at_hidden_activations_is_named():
    seen = []
    net = Net(lambda s, x: s.v(seen.append(np.tanh(s.u(x))) or seen[-1]), u=linear(3, 4), v=linear(4, 2))
    report = verify(net, *batch(3, 2), lambda a, y: F.quadratic_cost(a, y) + np.mean(np.abs(seen[-1])))
    assert report.ok, str(report)
    assert any(
        note.startswith("outside assumption 2: the cost uses the result of tanh (") and "absolute" in note
        for note in report.notes
    )
    assert "absolute (test_verify_graphs.py" in row(report, "u", "BP2").read_from


def test_what_is_in_no_weighted_input_is_said_not_to_be_checked():
    """A convolution between two layers, a learned slope, and a parameter that nothing uses."""

    def forward(s, x):
        a = np.tanh(s.u(x))
        return s.v(s.slope * (a[:, :-1] * s.kernel[0] + a[:, 1:] * s.kernel[1]))

    net = Net(
        forward, u=linear(3, 5), v=linear(4, 2), kernel=parameter(2), slope=parameter(4), idle=parameter(3)
    )
    report = verify(net, *batch(3, 2), F.quadratic_cost)
    assert report.ok, str(report)
    text = "\n".join(report.notes)
    assert "not checked: kernel, in no weighted input, but used by getitem (test_verify_graphs.py:" in text
    assert "not checked: slope, in no weighted input, but used by multiply (test_verify_graphs.py:" in text
    assert "not checked: idle: the cost does not depend on it" in text
    assert {row.layer for row in report} == {"u", "u.weight", "u.bias", "v", "v.weight", "v.bias"}
    assert row(report, "u", "BP1").read_from.count("not a textbook edge") == 2


def test_frozen_layers_are_said_and_the_others_checked():
    net = nn.Sequential(linear(3, 4), np.tanh, linear(4, 4), np.tanh, linear(4, 2))
    net[2].weight.requires_grad = False
    report = verify(net, *batch(3, 2), F.quadratic_cost)
    assert report.ok, str(report)
    assert "the parameters of 2 do not all require gradients" in report.notes[0]
    assert {row.layer for row in report} == {"0", "0.weight", "0.bias", "4", "4.weight", "4.bias"}


def test_a_neuron_without_sigma_whose_gradient_is_the_engines_passes_as_read():
    report = verify(residual(), *batch(4, 2), lambda a, y: F.quadratic_cost(a, y))
    assert row(report, "v", "BP1").verdict == "pass, as read"
    assert {row.verdict for row in report} == {"pass", "pass, as read"}
    assert row(verify(residual(), *batch(4, 2), F.quadratic_cost), "v", "BP1").verdict == "pass"


def test_an_unknown_activation_is_not_checked_and_no_pass():
    net = Net(lambda s, x: s.v(x[:, :4] + np.cos(s.u(x))), u=linear(4, 4), v=linear(4, 2))
    x, y = batch(4, 2)
    report = verify(net, x, y, F.quadratic_cost)
    assert not report.ok
    u = row(report, "u", "BP1")
    assert not u.ok
    assert u.verdict == "not checked"
    assert "σ′ of u is not known" in u.unchecked
    assert "sigma_prime={'u': a function of z}" in u.unchecked
    assert str(report).splitlines()[-1].startswith("NOT ALL CHECKED: 5 of 6 agree; ")
    assert u.unchecked in str(report)
    assert verify(net, x, y, F.quadratic_cost, sigma_prime={"u": lambda z: -np.sin(z)}).ok
    wrong = verify(net, x, y, F.quadratic_cost, sigma_prime={"u": np.sin})
    assert not wrong.ok
    assert "FAIL: 3 of 6 disagree, starting at BP1 of u" in str(wrong)


def test_softmax_over_another_axis_is_not_checked():
    net = nn.Sequential(residual(4, 2), lambda z: F.softmax(z, 0))
    report = verify(net, *batch(4, 2), lambda a, y: F.quadratic_cost(a, y))
    assert [row.layer for row in report if row.unchecked] == ["0.v"]


def test_masks_and_constants_of_the_batch_are_edges():
    """x + u(x) and dropout: linear neurons, and nothing is taken for a σ."""
    mask = (np.random.default_rng(0).random((5, 4)) > 0.5) * 2.0
    net = Net(
        lambda s, x: s.v(mask * np.tanh(s.w(x + s.u(x)))), u=linear(4, 4), w=linear(4, 4), v=linear(4, 2)
    )
    report = verify(net, *batch(4, 2), F.quadratic_cost)
    assert report.ok, str(report)
    assert report.activations == ("linear", "tanh", "linear")


def test_a_branch_that_does_not_reach_the_cost_changes_nothing():
    def forward(s, x):
        z = s.u(x)
        _ = np.mean(z * 2 + s.idle(z)), z + z
        return s.v(np.tanh(z))

    net = Net(forward, u=linear(3, 4), v=linear(4, 2), idle=linear(4, 4))
    report = verify(net, *batch(3, 2), F.quadratic_cost)
    assert report.ok
    assert report.activations == ("tanh", "linear")
    assert "not checked: idle.weight: the cost does not depend on it" in report.notes


# ---- names -----------------------------------------------------------------------------------------------


def test_functions_over_variables_have_the_users_names():
    w1, w2, b = parameter(4, 3), parameter(2, 4), parameter(4)
    report = verify(
        lambda x: {"a": np.tanh(x @ w1.T + b) @ w2.T}, *batch(3, 2), lambda o, y: F.quadratic_cost(o["a"], y)
    )
    assert {row.layer for row in report} == {"w1", "w2", "b"}


def test_parameters_in_the_users_containers_have_their_path():
    layers = [{"w": parameter(4, 4, seed=i), "b": parameter(4)} for i in range(3)]
    constant, idle = bp.Tensor(np.ones(4)), bp.Tensor(np.ones(3))

    def net(x):
        for p in layers if idle.shape else ():
            x = np.tanh(x @ p["w"].T + p["b"]) + x * constant
        return x

    report = verify(net, *batch(4, 4), lambda a, y: F.quadratic_cost(a, y))
    assert report.ok
    assert [row.layer for row in report if row.equation == "BP4"] == [f"layers.{k}.w" for k in (2, 1, 0)]
    hidden = nn.Sequential(linear(4, 4), np.tanh, linear(4, 4))
    wrapped = verify(lambda x: hidden(x) + x, *batch(4, 4), F.quadratic_cost)
    assert {row.layer for row in wrapped if row.equation == "BP3"} == {"hidden.0.bias", "hidden.2.bias"}


class Hidden:
    """A callable of which nobody can see the parameters from outside."""

    def __init__(self):
        self.layers = [(parameter(4, 4, seed=i), parameter(4)) for i in range(3)]

    def __call__(self, x):
        for w, b in self.layers:
            x = np.tanh(x @ w.T + b) + x
        return x


def test_no_two_names_are_alike():
    report = verify(Hidden(), *batch(4, 4), lambda a, y: F.quadratic_cost(a, y))
    assert report.ok
    assert [row.layer for row in report if row.equation == "BP4"] == ["w #3", "w #2", "w #1"]
    assert [row.layer for row in report if row.equation == "BP3"] == ["b #3", "b #2", "b #1"]


# ---- errors, and the net stays as it was -------------------------------------------------------------------


def test_a_net_without_a_textbook_layer_is_an_error_with_advice():
    p = parameter(3)
    with pytest.raises(ValueError, match=r"no weighted input .* x @ w.T \+ b.*bp\.gradcheck"):
        verify(lambda x: np.tanh(x * p), *batch(3, 3), F.quadratic_cost)
    with pytest.raises(ValueError, match="nothing was recorded"):
        verify(lambda x: x, *batch(3, 3), F.quadratic_cost)


def test_other_mistakes_in_the_call():
    net, (x, y) = residual(), batch(4, 2)
    with pytest.raises(ValueError, match=r"expected one of u, w, use 1, w, use 2, v, got w"):
        verify(net, x, y, F.quadratic_cost, sigma_prime={"w": np.cos})
    with pytest.raises(
        ValueError, match=r"∇_a C has the wrong shape; expected \(2, 5\), columns, got \(5, 2\)"
    ):
        verify(net, x, y, F.quadratic_cost, cost_derivative=lambda a, y: (a - y).T)
    pair = nn.Sequential(net, lambda a: (a, 2 * a))
    with pytest.raises(ValueError, match="cost_derivative speaks of one output"):
        verify(pair, x, y, lambda a, y: F.quadratic_cost(a[0], y), cost_derivative=lambda a, y: a - y)
    flat = Equations(BP4=lambda a, delta, l: delta[l] @ a[l - 1].T.ravel()[: delta[l].shape[1]])
    with pytest.raises(
        ValueError, match=r"BP4 gave an array of the wrong shape in v; expected \(2, 4\), got \(2,\)"
    ):
        verify(net, x, y, F.quadratic_cost, equations=flat)
    flat = Equations(BP3=lambda delta, l: delta[l].sum(axis=1))
    with pytest.raises(
        ValueError, match=r"BP3 gave an array of the wrong shape in v; expected \(2, 1\), got \(2,\)"
    ):
        verify(net, x, y, F.quadratic_cost, equations=flat)
    net.w.astype(np.float32)
    with pytest.raises(ValueError, match="different dtypes; got float32 and float64"):
        verify(
            Net(lambda s, x: net.v(np.tanh(net.w(x.astype(np.float32))) + 0.0 * x), n=net),
            x,
            y,
            F.quadratic_cost,
        )


def test_gradients_and_parameters_are_left_untouched():
    net, (x, y) = residual(), batch(4, 2)
    F.quadratic_cost(net(x), y).backward()
    before = photograph(net)
    verify(net, x, y, F.quadratic_cost)
    assert photograph(net) == before


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_what_is_not_finite_fails(poison):
    net, (x, y) = residual(), batch(4, 2)
    net.w.weight.data[1, 2] = poison
    with np.errstate(all="ignore"):
        report = verify(net, x, y, F.quadratic_cost)
    assert not report.ok
    assert not row(report, "w.weight", "BP4").ok


def test_one_number_is_no_L2_penalty_and_other_shares_are_told_apart():
    """|w| of one weight is a multiple of w, too; w is also used as a slope, inside the net and in the cost."""
    net = Net(lambda s, x: np.tanh(x @ s.w.T) * np.sum(s.w), w=parameter(1, 1))
    report = verify(net, *batch(1, 1), lambda a, y: F.quadratic_cost(a, y) + L1(net.w))
    assert report.ok, str(report)
    outside, inside = report.notes[1:]
    assert outside.startswith("outside assumption 2: in the cost absolute (nets.py:")
    assert inside.startswith("not a textbook edge: sum (test_verify_graphs.py:")
    assert all(
        note.endswith(" uses w; its own gradient is added as the engine found it")
        for note in (outside, inside)
    )


def test_an_empty_batch_and_a_net_without_an_input():
    with pytest.raises(ValueError, match=r"needs a batch.*got \(0, 4\)"):
        verify(residual(), np.ones((0, 4)), np.ones((0, 2)), F.quadratic_cost)
    w, h = parameter(2, 4), np.ones((5, 4))
    report = verify(lambda x: F.sigmoid(h @ w.T), None, np.zeros((5, 2)), F.quadratic_cost)
    assert report.ok
    assert verify(lambda x: F.sigmoid(x * h @ w.T), 2.0, np.zeros((5, 2)), F.quadratic_cost).batch == 1


def test_raw_writes_to_what_the_gradient_needs_are_an_error():
    """Both sides would read what was overwritten, and agree on a wrong gradient."""
    w, buffer = parameter(2, 3), np.empty((5, 3))

    def net(x):
        a = 0.0
        for k in (1, 2):
            np.copyto(buffer, x.data * k)
            a = a + np.tanh(buffer @ w.T)
        return a

    with pytest.raises(RuntimeError, match="changed after the forward pass"):
        verify(net, *batch(3, 2), F.quadratic_cost)
