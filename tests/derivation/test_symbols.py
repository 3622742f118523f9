"""The book's names on anyone's run, and the user's for the rest."""

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.derivation.components import components
from tinygrad_bp.derivation.spelling import LATEX, MATHML, TEXT, Symbol, parse, write
from tinygrad_bp.derivation.symbols import CHAIN, symbols
from tinygrad_bp.nn import functional as F


def observed(f):
    with bp.observe() as run:
        f().backward()
    return run, symbols(run)


@pytest.fixture
def mlp():
    net = bp.nn.MLP([3, 5, 2], rng=0, dtype=np.float64)
    x, y = np.ones((4, 3)), np.zeros((4, 2))
    return observed(lambda: F.quadratic_cost(net(x), y))


def test_a_net_has_the_names_of_the_book(mlp):
    run, names = mlp
    of = {str(names.of(s)) for s in names._everything()}
    assert {"a^1", "w^2", "b^2", "z^2", "a^2", "w^3", "b^3", "z^3", "a^3", "C", "y"} <= of
    assert names.m == 4
    arrivals = {str(names.cotangent(s)): names.arriving(s) for s in (*run, *names.reading.leaves)}
    wanted = {"δ^3/m": "BP1", "δ^2/m": "BP2", "∂C/∂b^2": "BP3", "∂C/∂w^3": "BP4", "∂C/∂a^3": CHAIN}
    assert wanted.items() <= arrivals.items()


def test_layers_and_edges(mlp):
    run, names = mlp
    z3 = next(s for s in run if str(names.of(s)) == "z^3")
    a3 = next(s for s in run if str(names.of(s)) == "a^3")
    assert names.layer(z3) == 3
    assert names.is_delta(z3)
    assert names.equation(a3, 0) == "BP1"
    assert names.equation(z3, 1) == "BP3"
    product = z3.parents[0]
    assert [names.equation(product, i) for i in (0, 1)] == ["BP2", "BP4"]


def test_a_sum_over_examples_has_no_m():
    net = bp.nn.MLP([3, 5, 2], rng=0, dtype=np.float64)
    run, names = observed(lambda: np.sum(net(np.ones((4, 3))) ** 2))
    assert names.m == 1
    assert "δ^2" in {str(names.cotangent(s)) for s in run}


def test_plain_functions_keep_the_users_names_and_no_two_are_alike():
    t = bp.Tensor(np.ones((2, 3)), requires_grad=True, name="t")

    def f():
        h = t * 2.0
        for _ in range(3):
            h = np.tanh(h @ np.ones((3, 3)))
        return np.sum(h)

    run, names = observed(f)
    shown = [str(names.of(s)) for s in run]
    assert len(set(shown)) == len(shown)
    codes = [names.of(s).code for s in names._everything() if s.kind != "constant"]
    assert len(set(codes)) == len(run) + 1
    assert shown[0] == "h"
    assert shown[-1] == "C"
    assert "h_2" in shown
    assert str(names.of(run.nodes[0].parents[0])) == "t"


def test_names_are_escaped():
    evil = Symbol("<b>&_x")
    assert "<b>" not in evil.mathml()
    assert "&lt;b&gt;&amp;_x" in evil.mathml()
    assert evil.latex() == r"\mathrm{<b>\&\_x}"


@pytest.mark.parametrize(
    ("formula", "at", "matrix", "element"),
    [
        ("a @ w.T + b", "ij", "a^1 (w^2)ᵀ + b", "Σ_k a^1_ik w^2_jk + b_j"),
        ("g.T @ a", "jk", "(δ^2/m)ᵀ a^1", "Σ_i (δ^2_ij/m) a^1_ik"),
        ("np.sum(g, axis=0)", "j", "𝟏ᵀ (δ^2/m)", "Σ_i (δ^2_ij/m)"),
        ("g * (1 - y ** 2)", "ij", "(δ^2/m) ⊙ (1 − y²)", "(δ^2_ij/m) (1 − y_ij²)"),
        ("-g / (2 * y)", "ij", "−(δ^2/m) / (2 y)", "−(δ^2_ij/m) / (2 y_ij)"),
        ("s * y", "ij", "s y", "s y_ij"),
        ("np.broadcast_to(s / 8, (4, 2))", "ij", "s / 8 𝟏_4×2", "s / 8"),
    ],
)
def test_one_line_in_two_voices(formula, at, matrix, element):
    shapes = {"a": (4, 3), "w": (2, 3), "b": (2,), "g": (4, 2), "y": (4, 2), "s": ()}
    known = {"a": Symbol("a", 1), "w": Symbol("w", 2), "g": Symbol("δ", 2, over="m")}
    tree = parse(formula)
    assert write(tree, known, TEXT, shapes) == matrix
    assert write(components(tree, at, shapes), known, TEXT, shapes) == element
    assert write(tree, known, LATEX, shapes)
    assert write(tree, known, MATHML, shapes)
