"""The printed lines, run by NumPy, give the engine's gradients."""

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.nn import functional as F

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(4, 3)), RNG.uniform(size=(4, 2))


def net_loss(cost, **how):
    net = bp.nn.MLP([3, 5, 2], rng=0, dtype=np.float64, **how)
    return lambda: cost(net(X), Y)


def plain(x, w, b):
    return np.mean((np.tanh(x @ w.T + b) - Y) ** 2)


def residual(x, w):
    h = np.tanh(x @ w)
    h = h + np.tanh(h @ w)
    return np.sum(np.concatenate([h, x])[1:3] ** 2) / np.prod(np.shape(x))


GRAPHS = {
    "net": (net_loss(F.quadratic_cost),), "mse": (net_loss(F.mse_loss),),
    "cross entropy": (lambda: F.cross_entropy(bp.nn.MLP([3, 5, 2], rng=0, dtype=np.float64)(X), np.array([0, 1, 0, 1])),),
    "plain": (plain, X, RNG.normal(size=(2, 3)), RNG.normal(size=2)),
    "residual": (residual, X, RNG.normal(size=(3, 3))),
    "broadcast": (lambda a, b: np.sum(a * b - b / a), RNG.uniform(1, 2, (3, 1)), RNG.uniform(1, 2, 4)),
    "by name": (lambda a: np.prod(a) + np.sum(np.var(a, axis=0)), RNG.uniform(1, 2, (3, 2))),
    "svd": (lambda a: np.sum(np.linalg.svd(a, full_matrices=False)[1]), X),
}  # fmt: skip


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_printed_lines_give_the_gradients(graph):
    derivation = bp.explain(*GRAPHS[graph])
    names = dict(derivation.inputs)
    exec(derivation.source(), names)
    leaves = derivation._leaves()
    assert leaves
    for leaf in leaves:
        got = names[f"d{derivation.names.of(leaf).code}"]
        np.testing.assert_allclose(got, leaf.cotangent, rtol=1e-12, atol=1e-13)
    assert str(derivation) and derivation.markdown() and derivation.html()  # noqa: PT018


def test_the_four_equations_are_named():
    text = str(bp.explain(*GRAPHS["net"]))
    assert all(f"BP{k}:" in text for k in (1, 2, 3, 4))
    assert "∂C/∂w^3 = (δ^3/m)ᵀ a^2" in text
    assert "∂C/∂w^3_jk = Σ_i (δ^3_ij/m) a^2_ik" in text


def test_an_unobserved_graph_says_how():
    with pytest.raises(ValueError, match="observe"):
        bp.explain(bp.Tensor(1.0, requires_grad=True) * 2.0)
