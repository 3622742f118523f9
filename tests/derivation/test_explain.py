"""The printed lines, run by NumPy, give the engine's gradients."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    leaves = derivation.leaves
    assert leaves
    for leaf in leaves:
        got = names[f"d{derivation.names.of(leaf).code}"]
        np.testing.assert_allclose(got, derivation.cotangents[id(leaf)], rtol=1e-12, atol=1e-13)
    assert str(derivation) and derivation.markdown() and derivation.html()  # noqa: PT018


def test_the_four_equations_are_named():
    text = str(bp.explain(*GRAPHS["net"]))
    assert all(f"BP{k}:" in text for k in (1, 2, 3, 4))
    assert "∂C/∂w^3 = (δ^3/m)ᵀ a^2" in text
    assert "∂C/∂w^3_jk = Σ_i (δ^3_ij/m) a^2_ik" in text


def test_an_unobserved_graph_says_how():
    with pytest.raises(ValueError, match="observe"):
        bp.explain(bp.Tensor(1.0, requires_grad=True) * 2.0)


def test_the_record_is_left_as_it_was():
    x = bp.Tensor(np.ones(3), requires_grad=True, name="x")
    with bp.observe() as run:
        loss = np.sum(np.exp(x))
    before = str(bp.explain(loss, numbers=True))
    assert x.grad is None
    loss.backward()
    np.testing.assert_array_equal(run.nodes[-1].cotangent, 1.0)
    assert str(bp.explain(loss, numbers=True)) == before


def test_text_of_the_users_is_escaped():
    x = bp.Tensor(np.ones(3), requires_grad=True, name="<script>alert(1)</script>")
    with bp.observe():
        loss = np.sum(np.exp(x))
    assert "<script>" not in bp.explain(loss, numbers=True).html()


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    m=st.integers(1, 4),
    activation=st.sampled_from([np.tanh, F.sigmoid, F.softplus]),
)
def test_drawn_nets(sizes, m, activation):
    rng = np.random.default_rng(0)
    layers = [bp.nn.Linear(a, b, rng=rng, dtype=np.float64) for a, b in itertools.pairwise(sizes)]
    net = bp.nn.Sequential(*itertools.chain.from_iterable((layer, activation) for layer in layers))
    x, y = rng.normal(size=(m, sizes[0])), rng.uniform(size=(m, sizes[-1]))
    derivation = bp.explain(lambda: F.mse_loss(net(x), y))
    names = dict(derivation.inputs)
    exec(derivation.source(), names)
    assert len(derivation.leaves) == 2 * len(layers)
    for leaf in derivation.leaves:
        got, wanted = names[f"d{derivation.names.of(leaf).code}"], derivation.cotangents[id(leaf)]
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-13)


RNG = np.random.default_rng(0)
ANY, SQUARE = RNG.random((3, 4)) + 0.5, RNG.random((3, 3)) + 3 * np.eye(3)
NUMBERED = np.arange(12.0)


@pytest.mark.parametrize(
    ("f", "values"),
    [
        (lambda v: np.trace(np.exp(v)), [SQUARE]),
        (lambda v: np.sum(np.linalg.eigh(v * v.T)[0] ** 2), [SQUARE]),
        (lambda v: np.einsum("ij,jk->", v, v), [SQUARE]),
        (lambda v: np.sum(np.tril(v * v)), [SQUARE]),
        (lambda v: np.sum(np.hstack([v, v * v]) ** 2), [SQUARE]),
        (lambda v: np.sum(np.clip(v * v, np.full(3, 1.0), 9.0)), [SQUARE]),
        (lambda v: np.sum(np.abs(np.fft.fft(v)) ** 2), [SQUARE]),
        (lambda v: np.sum(v.ravel(order="F") * NUMBERED), [ANY]),
        (lambda v: np.sum(np.reshape(v, (2, 6), order="F") * NUMBERED.reshape(2, 6)), [ANY]),
        (lambda v, u: np.sum((v @ u) ** 2), [ANY, RNG.random((5, 4, 2))]),
        (lambda v, u: np.sum((v @ u) ** 2), [ANY[None], RNG.random((5, 4, 2))]),
        (lambda v: np.sum(v * v), [ANY.astype(np.float32)]),
        (lambda v, u: np.sum((v * u) @ u.T), [ANY.astype(np.float32), ANY + 1]),
        (lambda v: np.sum(v.astype(np.float32) ** 2), [ANY]),
        (lambda v: np.sum(np.pad(v, 1) ** 2), [ANY]),
        (lambda v: np.sum(v[1:, ::-2] ** 2) + v[0, 0], [ANY]),
    ],
    ids=[
        "trace", "eigh", "einsum", "tril", "hstack", "clip", "fft", "ravel", "reshape", "batched", "batched 1", "float32",
        "mixed", "astype", "pad", "element",
    ],
)  # fmt: skip
def test_ops_of_every_kind_give_the_engines_gradients(f, values):
    """Also those whose VJP is told by name, and whatever the user's variables are called."""
    derivation = bp.explain(f, *values)
    names = dict(derivation.inputs)
    exec(derivation.source(), names)
    for text in (str(derivation), derivation.markdown(), derivation.html()):
        assert text
    for name, wanted in zip("vu", bp.grad(f, tuple(range(len(values))))(*values)):
        assert names[f"d{name}"].dtype == wanted.dtype
        np.testing.assert_allclose(
            names[f"d{name}"], wanted, rtol=1e-6 if wanted.dtype == np.float32 else 1e-12
        )
