"""Components and matrices say what the engine says, on drawn nets; each form, broken, is noticed."""

# l is the book's name of a layer.
# ruff: noqa: E741

import numpy as np
import pytest
from hypothesis import given, target
from hypothesis import strategies as st

from tinygrad_bp.backprop import matrix_form
from tinygrad_bp.backprop.equations import BP1, BP2
from tinygrad_bp.backprop.matrix_form import equation_33, equation_34, equation_35, forms, slowdown
from tinygrad_bp.ops import nonlinear

from .nets import F, case, cases, rules

SMOOTH = ["tanh", "softplus", "sigmoid"]


def failing(table):
    return {(row.place, row.equation) for row in table.rows if row.verdict.startswith("FAIL")}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_T7_T8_T9_T10_T12_every_form_in_every_layer_is_the_engines(dtype, data):
    net, x, y, cost = data.draw(cases(dtype))
    table = forms(net, x, y, cost)
    L = len(net.layers) + 1
    assert [(row.place, row.equation) for row in table.rows] == [
        (f"layer {l}", name)
        for l in range(L, 1, -1)
        for name in (["BP1", "(33)", "(37)"] if l == L else ["BP2", "(34)"]) + ["(35)", "BP3", "BP4"]
    ]
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    for row in table.rows:
        assert row.deviation <= max(tolerance, row.rounding), str(table)
        assert (row.verdict == "pass") == (row.deviation <= tolerance)
    target(max(row.deviation for row in table.rows if row.rounding <= tolerance or row.equation == "BP1"))


def test_T7_softmax_goes_as_far_as_37():
    for activation in ("softmax", F.log_softmax):
        table = forms(*case([3, 4, 3], ["tanh", activation], 5))
        assert table
        told = {row.equation for row in table.rows if row.verdict == "does not hold: σ is not elementwise"}
        assert told == {"BP1", "(33)", "(35)"}
        assert all(row.deviation > 0.01 for row in table.rows if row.equation in told)
        assert "not elementwise" in table.title


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_T7_a_wrong_rule_of_softmax_is_noticed_by_37(name):
    """∂a/∂z is by hand there."""
    net, x, y, cost = case([3, 4, 3], ["tanh", getattr(F, name)], 5)
    with rules(getattr(nonlinear, name), lambda g, y, _x, axis=-1: g * y):
        assert failing(forms(net, x, y, cost)) == {("layer 3", "(37)")}


def test_T7_the_jacobian_of_37_is_transposed(monkeypatch):
    """Softmax would not tell, its Jacobian being symmetric; that of log-softmax is not."""
    monkeypatch.setattr(matrix_form, "eq37", lambda nabla_a, da_dz: da_dz[0] @ nabla_a)
    assert forms(*case([3, 4, 3], ["tanh", "softmax"], 5))
    assert failing(forms(*case([3, 4, 3], ["tanh", F.log_softmax], 5))) == {("layer 3", "(37)")}


MISTAKES = [
    ("BP1_component", lambda g, s, L, j: g[j], "BP1"),
    ("BP2_component", lambda w, d, s, l, j: w[l + 1][j] @ d[l + 1] * s[l][j], "BP2"),  # no transpose
    ("BP2_component", lambda w, d, s, l, j: w[l + 1][:, j] @ d[l + 1], "BP2"),  # no σ′
    ("BP3_component", lambda d, l, j: -d[l][j], "BP3"),
    ("BP4_component", lambda a, d, l, j, k: a[l - 1][j] * d[l][k], "BP4"),
    ("equation_33", lambda g, s, L: g, "(33)"),
    ("equation_34", lambda w, d, s, l: np.diag(s[l]) @ w[l + 1] @ d[l + 1], "(34)"),
    ("equation_34", lambda w, d, s, l: w[l + 1].T @ np.diag(s[l + 1]) @ d[l + 1], "(34)"),  # σ′ of l + 1
    ("equation_35", lambda w, s, g, l: equation_35(w, {**s, max(s): np.ones_like(s[max(s)])}, g, l), "(35)"),
    ("eq37", lambda g, da_dz: g, "(37)"),
]


@pytest.mark.parametrize(("function", "wrong", "name"), MISTAKES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_T7_T8_T9_T10_T12_each_form_broken_in_turn_fails(function, wrong, name, dtype, monkeypatch):
    net, x, y, cost = case([4, 4, 4, 4], SMOOTH, 3, dtype=dtype)
    assert forms(net, x, y, cost)
    monkeypatch.setattr(matrix_form, function, wrong)
    table = forms(net, x, y, cost)
    assert not table
    assert failing(table) == {(row.place, name) for row in table.rows if row.equation == name}


def test_T12_the_product_is_the_same_from_either_end():
    """(35) is (34) unrolled, and ⊙ with σ′(z) is Σ′(z) times."""
    rng = np.random.default_rng(0)
    n = {1: 3, 2: 5, 3: 4, 4: 2}
    w = {l: rng.standard_normal((n[l], n[l - 1])) for l in (2, 3, 4)}
    sp = {l: rng.standard_normal(n[l]) for l in w}
    nabla_a = rng.standard_normal(n[4])
    delta, hadamard = {4: equation_33(nabla_a, sp, 4)}, {4: BP1(nabla_a, sp, 4)}
    for l in (3, 2):
        delta[l], hadamard[l] = equation_34(w, delta, sp, l), BP2(w, hadamard, sp, l)
    for l in w:
        np.testing.assert_allclose(delta[l], hadamard[l], rtol=1e-13)
        np.testing.assert_allclose(equation_35(w, sp, nabla_a, l), hadamard[l], rtol=1e-12)


def test_T12_slowdown_by_width():
    table = slowdown([3, 20], m=4, rounds=1)
    assert [row[0] for row in table.rows] == [3, 20]
    for _, hadamard, two_steps, product, ratio_34, ratio_35 in table.rows:
        assert min(hadamard, two_steps, product) > 0
        assert ratio_34 == pytest.approx(two_steps / hadamard)
        assert ratio_35 == pytest.approx(product / hadamard)
    assert "4 examples" in str(table)


@given(n=st.integers(1, 12), m=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_T12_what_is_timed_computes_the_same(n, m, seed):
    runs = matrix_form._contenders(n, m, np.random.default_rng(seed))
    hadamard, two_steps, product = (run() for run in runs.values())
    size = np.max(np.abs(hadamard))
    np.testing.assert_allclose(np.transpose(two_steps), hadamard, atol=1e-11 * size)
    np.testing.assert_allclose(np.transpose(product), hadamard, atol=1e-11 * size)


def test_layers_without_bias_have_no_BP3():
    from tinygrad_bp import nn

    net = nn.Sequential(nn.Linear(3, 4, rng=0, dtype=np.float64, bias=False), nn.Tanh(), nn.Linear(4, 2, rng=0, dtype=np.float64))  # fmt: skip
    table = forms(net, np.ones((2, 3)), np.zeros((2, 2)), F.quadratic_cost)
    assert table
    assert [row.place for row in table.rows if row.equation == "BP3"] == ["layer 3"]


def test_the_report_prints():
    text = str(forms(*case([3, 4, 2], ["tanh", "sigmoid"], 2)))
    assert text.startswith("Components and matrices: 3-4-2 (tanh; sigmoid), float64, batch 2")
    assert text.endswith("pass: all 11")
    assert "(35)  δ^l = Σ′(z^l) (w^{l+1})ᵀ … Σ′(z^L) ∇_a C" in text
