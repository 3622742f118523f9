"""Every step of the proofs holds on drawn nets; each, broken in turn, fails; so do wrong rules."""

# l is the book's name of a layer.
# ruff: noqa: E741

import numpy as np
import pytest
from hypothesis import given, target
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import nn
from tinygrad_bp.backprop import notation, proofs
from tinygrad_bp.backprop.proofs import EQUATIONS, between, steps

from .nets import F, case, cases, rules

OUTPUT = ["(36)", "(37)", "∂a/∂z", "(38)", "(39)"]
HIDDEN = ["(40)", "(41)", "(42)", "(43)", "∂a/∂z", "(44)", "(45)"]
PARAMETERS = ["BP3"] * 3 + ["BP4"] * 3
STOPPED = "does not hold: σ is not elementwise"


def verdicts(table, verdict):
    """{(layer, equation)} of the rows with a verdict that starts so."""
    return {(row.place, row.equation) for row in table.rows if row.verdict.startswith(verdict)}


def in_layer(table, l):
    return [row.equation for row in table.rows if row.place == f"layer {l}"]


# ---- the proofs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_T7_T8_T9_T10_T11_T13_T14_T32_T33_T36_every_step_holds(dtype, data):
    net, x, y, cost = data.draw(cases(dtype))
    table = steps(net, x, y, cost)
    L = len(net.layers) + 1
    assert in_layer(table, L) == [*OUTPUT, *PARAMETERS, "⊙ σ′", "α", "α", "α"]
    for l in range(2, L):
        assert in_layer(table, l) == [*HIDDEN, *PARAMETERS, "Ng dA", "wᵀδ", "⊙ σ′", "α", "α", "α"]
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    for row in table.rows:
        assert row.deviation <= max(tolerance, row.rounding), str(table)
        assert (row.verdict == "pass") == (row.deviation <= tolerance)
    for name in sorted({row.name for row in EQUATIONS}):
        found = [row.deviation for row in table.rows if row.equation == name and row.rounding <= tolerance]
        target(max(found, default=0.0), label=name)


def test_T13_T14_the_numbers_of_the_book_are_all_there():
    names = [row.name for row in EQUATIONS]
    assert [n for n in names if n.startswith("(")] == [
        "(36)", "(37)", "(40)", "(41)", "(42)", "(43)", "(38)", "(39)", "(44)", "(45)",
    ]  # fmt: skip
    assert names.count("BP3") == names.count("BP4") == 3


def test_T13_an_own_look_at_38_44_and_43_without_the_tables():
    """∂a^L_k/∂z^L_j is diagonal and ∂z^{l+1}_k/∂z^l_j = w_kj σ′(z_j), for one example, as in the book."""
    net, x, y, cost = case([3, 5, 4], ["tanh", "sigmoid"], 1)
    book = notation(net, x, y, cost)
    here, up = book.nodes[2], book.nodes[3]
    da_dz = bp.jacobian(between(book.run, up.z, up.a))(up.z.value)[0, :, 0, :]
    np.testing.assert_array_equal(da_dz, np.diag(np.diag(da_dz)))
    np.testing.assert_allclose(np.diag(da_dz), (book.a[3] * (1 - book.a[3]))[:, 0], rtol=1e-14)
    dz_dz = bp.jacobian(between(book.run, here.z, up.z))(here.z.value)[0, :, 0, :]
    for k in range(4):
        for j in range(5):
            expected = book.w[3][k, j] * (1 - np.tanh(book.z[2][j, 0]) ** 2)
            assert dz_dz[k, j] == pytest.approx(expected, rel=1e-13)
        total = sum(book.w[3][k, j] * np.tanh(book.z[2][j, 0]) for j in range(5)) + book.b[3][k, 0]
        assert book.z[3][k, 0] == pytest.approx(total, rel=1e-13)


def test_T36_the_jacobians_of_Ngs_proofs():
    """∂Z_ri/∂W_rs = A_si, ∂Z_ri/∂b_r = 1, ∂Z_ki/∂A_ri = W_kr, and nothing elsewhere; i counts examples."""
    net, x, y, cost = case([2, 3, 1], ["tanh", "sigmoid"], 4, F.binary_cross_entropy)
    book = notation(net, x, y, cost)
    here, up = book.nodes[2], book.nodes[3]
    assert book.w[2].shape == (3, 2)

    def jac(start, end):
        return bp.jacobian(between(book.run, start, end))(start.value)

    dW, db, dA = jac(here.weight, here.z), jac(here.bias, here.z), jac(here.a, up.z)
    for i in range(4):
        for r in range(3):
            for t in range(3):
                np.testing.assert_array_equal(dW[i, r, t], book.a[1][:, i] * (r == t))
                assert db[i, r, t] == (r == t)
            for j in range(4):
                np.testing.assert_array_equal(dA[i, :, j, r], book.w[3][:, r] * (i == j))
    dJ_dZ = here.z.cotangent  # rows are examples; the 1/m of J is in it
    np.testing.assert_allclose(np.einsum("ir,irts->ts", dJ_dZ, dW), book.nabla_w[2], rtol=1e-13)
    np.testing.assert_allclose(np.sum(dJ_dZ, 0)[:, None], book.nabla_b[2], rtol=1e-13)  # un-broadcasting


@given(data=st.data(), seed=st.integers(0, 2**32))
def test_T13_forward_mode_finds_the_same_delta(data, seed):
    """Moving z^l by v moves m C by Σ δ^l v: JVP against the backward pass."""
    net, x, y, cost = data.draw(cases(np.float64))
    book = notation(net, x, y, cost)
    loss = book.run.nodes[-1]
    for l, here in book.nodes.items():
        v = np.random.default_rng(seed).standard_normal(here.z.shape)
        value, rate = bp.jvp(between(book.run, here.z, loss), (here.z.value,), (v,))
        terms = book.delta[l].T * v / book.m
        assert value == loss.value
        assert abs(rate - np.sum(terms)) <= 1e-12 * np.sum(np.abs(terms))


# ---- softmax -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_T7_T13_softmax_stops_at_37(dtype):
    table = steps(*case([3, 4, 3], ["tanh", "softmax"], 5, dtype=dtype))
    assert table
    told = {("layer 3", name) for name in ("∂a/∂z", "(38)", "(39)", "⊙ σ′", "α")} | {("layer 2", "α")}
    assert verdicts(table, STOPPED) == told
    assert {("layer 3", "(36)"), ("layer 3", "(37)"), ("layer 2", "(45)")} <= verdicts(table, "pass")
    assert all(row.deviation > 0.01 for row in table.rows if row.verdict == STOPPED)


def test_T7_softmax_in_the_middle():
    table = steps(*case([3, 4, 3, 2], ["tanh", "softmax", "sigmoid"], 5))
    assert table
    held_back = verdicts(table, STOPPED)
    assert {row for row in held_back if row[0] != "layer 3"} == {("layer 2", "α")}
    assert {name for place, name in held_back if place == "layer 3"} == {"∂a/∂z", "(44)", "(45)", "⊙ σ′", "α"}


def test_T7_the_jacobian_of_37_is_transposed(monkeypatch):
    """Softmax would not tell, its Jacobian being symmetric; that of log-softmax is not."""
    row = next(row for row in EQUATIONS if row.name == "(37)")
    net, x, y, cost = case([3, 4, 3], ["tanh", F.log_softmax], 5)
    assert ("layer 3", "(37)") in verdicts(steps(net, x, y, cost), "pass")
    monkeypatch.setattr(proofs, "EQUATIONS", [row._replace(indices="xk,xjk->xj")])
    assert not steps(net, x, y, cost)


# ---- each equation, broken in turn, fails --------------------------------------------------------------

FACTORS = [(i, k) for i, row in enumerate(EQUATIONS) for k in range(len(row.factors.split()))]


@pytest.mark.parametrize(("i", "k"), FACTORS, ids=lambda n: str(n))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_T7_T8_T9_T10_T13_T14_T32_T33_T36_each_factor_counts(i, k, dtype, monkeypatch):
    """One factor of one equation off by a thousandth: this equation fails, wherever it stands."""
    factors = EQUATIONS[i].factors.split()
    right, factors[k] = factors[k], "wrong"
    broken = EQUATIONS[i]._replace(factors=" ".join(factors), name="broken")
    quantities = proofs._quantities

    def with_a_wrong_one(book, l, slopes):
        known = quantities(book, l, slopes)
        return known | {"wrong": known[right] * known["1"].dtype.type(1.001)} if right in known else known

    monkeypatch.setattr(proofs, "_quantities", with_a_wrong_one)
    monkeypatch.setattr(proofs, "EQUATIONS", [*EQUATIONS, broken])
    table = steps(*case([4, 4, 4, 4], ["tanh", "softplus", "sigmoid"], 3, dtype=dtype))
    assert not table
    layers = {"L": {4}, "l": {2, 3}, "Ll": {2, 3, 4}}[broken.layers]
    assert verdicts(table, "FAIL") == {(f"layer {l}", "broken") for l in layers}


MISTAKES = [
    ("(37)", "xj->xj", "∂C/∂a"),
    ("(38)", "xj->xj", "∂C/∂a"),
    ("(39)", "xj->xj", "∂C/∂a"),
    ("(41)", "xk,xjk->xj", None),
    ("(42)", "xjk,xk->xj", None),
    ("(43)", "kj,xj->xk", "(w,b)⁺ (σ(z),1)²"),
    ("(44)", "jk,xj->xkj", None),
    ("(44)", "kj,xk->xkj", None),
    ("(45)", "jk,xk,xj->xj", None),
    ("(45)", "kj,xk,xk->xj", "w⁺ δ⁺ σ′⁺"),
    ("wᵀδ", "jk,xk->xj", None),
    ("⊙ σ′", "xj,xk->xj", None),
    ("Ng dA", "x,jk->xkj", None),
]


@pytest.mark.parametrize(("name", "indices", "factors"), MISTAKES)
def test_T13_T32_T36_wrong_indices_fail(name, indices, factors, monkeypatch):
    quantities = proofs._quantities
    monkeypatch.setattr(
        proofs, "_quantities",
        lambda book, l, slopes: {**(q := quantities(book, l, slopes)), "(σ(z),1)²": q.get("(σ(z),1)", 0) ** 2},
    )  # fmt: skip
    row = next(row for row in EQUATIONS if row.name == name)
    monkeypatch.setattr(proofs, "EQUATIONS", [row._replace(indices=indices, factors=factors or row.factors)])
    table = steps(*case([4, 4, 4, 4], ["tanh", "softplus", "sigmoid"], 3))
    assert not table
    assert all(row.verdict == "FAIL" for row in table.rows)


# ---- wrong rules of the engine -------------------------------------------------------------------------


def test_T13_a_wrong_derivative_of_sigma_breaks_the_steps_that_use_it_and_no_other():
    """(36), (37) and (40)–(42) are the chain rule, which a wrong tanh obeys; (39), (44), (45) know σ′."""
    net, x, y, cost = case([3, 4, 4, 2], ["softplus", "tanh", "sigmoid"], 3)
    with rules(np.tanh, lambda g, y, _x: g * (1 - y)):
        table = steps(net, x, y, cost)
    wrong = {("layer 3", name) for name in ("∂a/∂z", "(44)", "(45)", "⊙ σ′", "α")} | {("layer 2", "α")}
    assert verdicts(table, "FAIL") == wrong
    assert str(table).endswith(f"FAIL: {len(wrong) + 1} of {len(table.rows)}")  # two of layer 3 are named α


def test_T13_a_rule_that_is_not_linear_breaks_the_chain():
    net, x, y, cost = case([3, 4, 4, 2], ["softplus", "tanh", "sigmoid"], 3)
    with rules(np.tanh, lambda g, y, _x: g * np.abs(g) * (1 - y * y)):
        table = steps(net, x, y, cost)
    assert {("layer 3", "(41)"), ("layer 3", "(42)")} <= verdicts(table, "FAIL")


@pytest.mark.parametrize(
    ("fn", "wrong", "name"),
    [
        (np.matmul, [lambda g, _y, _a, b: g @ b.T, lambda g, _y, a, _b: 2 * (a.T @ g)], "BP4"),
        (np.add, [lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: -g], "BP3"),
        (np.matmul, [lambda g, _y, _a, b: -(g @ b.T), lambda g, _y, a, _b: a.T @ g], "Ng dA"),
    ],
)
def test_T14_T36_a_wrong_rule_of_a_parameter_breaks_its_proof(fn, wrong, name):
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 3)
    with rules(fn, *wrong):
        table = steps(net, x, y, cost)
    others = {"Ng dA": {"(44)", "(45)", "wᵀδ", "α", "Ng dA"}, "BP3": {"BP3", "α"}, "BP4": {"BP4", "α"}}[name]
    assert {equation for _, equation in verdicts(table, "FAIL")} == others


# ---- anyone's stack ------------------------------------------------------------------------------------


def swish(z):
    return z / (1 + np.exp(-z))


def test_T11_a_sigma_of_ones_own_is_read_from_the_engine_or_given():
    net, x, y, cost = case([3, 4, 2], [swish, "sigmoid"], 5)
    table = steps(net, x, y, cost)
    assert table
    assert "σ′ by the engine" in table.title
    s = lambda z: 1 / (1 + np.exp(-z))
    right = steps(net, x, y, cost, sigma_prime={2: lambda z: s(z) + z * s(z) * (1 - s(z))})
    assert right
    assert "σ′ as given" in right.title
    assert ("layer 2", "(45)") in verdicts(steps(net, x, y, cost, sigma_prime={2: s}), "FAIL")


def test_T11_one_neuron_with_its_own_activation():
    mask = np.array([False, True, False, False])
    net, x, y, cost = case([3, 4, 2], [lambda z: np.where(mask, np.cos(z), np.tanh(z)), "sigmoid"], 5)
    table = steps(net, x, y, cost)
    assert table
    assert not verdicts(table, STOPPED)


def test_layers_without_bias_activations_of_many_ops_and_any_cost():
    def linear(n_in, n_out, **kw):
        return nn.Linear(n_in, n_out, rng=0, dtype=np.float64, **kw)

    def two(z):
        return np.sum(np.stack([np.tanh(z), z * z]), axis=0)

    net = nn.Sequential(
        linear(3, 4, bias=False), two, linear(4, 3), nn.LeakyReLU(0.3), linear(3, 3, bias=False)
    )
    table = steps(
        net, np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 2, 1, 1]), F.cross_entropy
    )
    assert table
    assert {row.place for row in table.rows if row.equation == "BP3"} == {"layer 3"}
    assert {row.place for row in table.rows if "∂C/∂b" in row.text} == {"layer 3"}


def test_a_single_example_and_gradients_left_alone():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 1)
    assert steps(net, x[0], y[0], cost)
    assert all(p.grad is None for p in net.parameters())


def test_what_is_not_finite_fails():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 3)
    x[1, 1] = np.nan
    table = steps(net, x, y, cost)
    assert not table
    assert ("layer 3", "(39)") in verdicts(table, "FAIL")


def test_dtypes_without_a_tolerance():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 3, dtype=np.float16)
    with pytest.raises(ValueError, match="expected float32 or float64, got float16"):
        steps(net, x, y, cost)


def test_the_report_prints():
    table = steps(*case([3, 4, 2], ["tanh", "sigmoid"], 2))
    lines = str(table).splitlines()
    assert lines[0] == "The proofs, step by step: 3-4-2 (tanh; sigmoid), float64, batch 2"
    assert lines[-1] == f"pass: all {len(table.rows)}"
    assert any("(45)" in line and "δ^l_j = Σ_k w^{l+1}_kj δ^{l+1}_k σ′(z^l_j): BP2" in line for line in lines)


# ---- between -------------------------------------------------------------------------------------------


def test_between_is_the_net_at_other_points_too():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    book = notation(net, x, y, cost)
    rng = np.random.default_rng(1)
    other, w = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    here, up = book.nodes[2], book.nodes[3]
    np.testing.assert_array_equal(between(book.run, here.a_in, up.a)(other), net(other).numpy())
    at_w = between(book.run, here.weight, book.run.nodes[-1])
    net.layers[0].weight.data = w
    assert at_w(w) == cost(net(x), y).numpy()
    assert between(book.run, here.z, here.z)(3.0) == 3.0


def test_a_cost_that_has_cut_off_its_logarithm():
    """p = 1 with y = 0: log(1 − p) is −100 without a warning, here as in the run."""
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5, F.binary_cross_entropy)
    net.layers[1].weight.data[...] *= 1000
    assert np.any(net(x).numpy() == 1)
    for y in (np.zeros((5, 2)), np.ones((5, 2))):
        assert steps(net, x, y, cost)


def test_between_says_what_it_cannot_do():
    a, b = (bp.Tensor(np.ones(3), requires_grad=True) for _ in "ab")
    with bp.observe() as run:
        np.sum(np.exp(a)) + np.sum(np.sin(b))
    with pytest.raises(ValueError, match=r"<Seen sin .* cannot be computed again from <Seen exp"):
        between(run, run.nodes[0], run.nodes[2])

    @bp.primitive
    def both(x):
        return np.sin(x), np.cos(x)

    both.defvjp(joint=lambda g, _y, x: (g[0] * np.cos(x),))
    with bp.observe() as run:
        np.exp(both(a)[0])
    with pytest.raises(ValueError, match="functions of one output"):
        between(run, run.of(a), run.nodes[-1])


def test_between_notices_what_does_not_repeat():
    rng = np.random.default_rng(0)

    @bp.primitive
    def noisy(x):
        return x + rng.standard_normal()

    noisy.defvjp(lambda g, _y, _x: g)
    with bp.observe() as run:
        noisy(bp.Tensor(np.ones(3), requires_grad=True))
    with pytest.raises(ValueError, match="cannot be computed again"):
        between(run, run.nodes[0].parents[0], run.nodes[0])
