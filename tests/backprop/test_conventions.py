"""T28–T30: the same numbers in Nielsen's notation, in Ng's and in `nn`'s; the book's elements; tables."""

# l is the book's name of a layer, Ng's or Nielsen's.
# ruff: noqa: E741

import math
import re

import numpy as np
import pytest
from hypothesis import assume, given, target
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import nn
from tinygrad_bp.backprop import notation
from tinygrad_bp.backprop.conventions import NG, as_ng, as_nn, check_ng, dictionary, element, run_table
from tinygrad_bp.backprop.report import deviation

from .nets import F, case, cases, rules

TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}
G = {  # Ng's g, on arrays, by hand
    "linear": lambda Z: Z,
    "sigmoid": lambda Z: 0.5 + 0.5 * np.tanh(0.5 * Z),
    "tanh": lambda Z: 2 / (1 + np.exp(-2 * Z)) - 1,
    "relu": lambda Z: Z * (Z > 0),
    "leaky_relu": lambda Z: np.where(Z > 0, Z, 0.01 * Z),
    "softplus": lambda Z: np.logaddexp(0, Z),
}
dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def names(net):
    return ["linear" if act.__name__ == "identity" else act.__name__ for act in net.activations]


def ng_net(g, dtype=np.float64, m=7, seed=0):
    """Ng's example: 2 inputs, 3 hidden units, 1 output; cross-entropy."""
    return case([2, 3, 1], [g, "sigmoid"], m, F.binary_cross_entropy, dtype, seed)


# ---- T28 ---------------------------------------------------------------------------------------------


@dtypes
@given(data=st.data())
def test_T28_forward_pass_in_ngs_notation(dtype, data):
    """Z = W A + b, A = g(Z), in columns; his layers are one less; z = wᵀa + b for one neuron."""
    net, x, y, cost = data.draw(cases(dtype))
    ng = as_ng(notation(net, x, y, cost))
    n, m = dict(enumerate(net.sizes)), len(x)
    assert (ng.L, ng.m) == (len(net.layers), m)
    assert sorted(ng.A) == [0, *sorted(ng.Z)] == list(range(ng.L + 1))
    assert np.array_equal(ng.A[0], x.T)
    assert np.array_equal(ng.Y, y.T)
    for l, name in enumerate(names(net), start=1):
        assert ng.A[l].shape == ng.Z[l].shape == ng.dA[l].shape == ng.dZ[l].shape == (n[l], m)
        assert ng.W[l].shape == ng.dW[l].shape == (n[l], n[l - 1])
        assert ng.b[l].shape == ng.db[l].shape == (n[l], 1)
        W, A, b = (np.asarray(v, float) for v in (ng.W[l], ng.A[l - 1], ng.b[l]))
        lost = 8 * np.finfo(dtype).eps * np.max(np.abs(W) @ np.abs(A) + np.abs(b))
        np.testing.assert_allclose(ng.Z[l], W @ A + b, rtol=0, atol=lost)
        np.testing.assert_allclose(
            ng.A[l], G[name](np.asarray(ng.Z[l], float)), rtol=TOLERANCE[dtype], atol=lost
        )
        r, i = data.draw(st.integers(0, n[l] - 1)), data.draw(st.integers(0, m - 1))
        w = ng.W[l][r]  # a row of W is wᵀ
        assert float(w @ A[:, i] + b[r, 0]) == pytest.approx(float(ng.Z[l][r, i]), rel=0, abs=lost)


@pytest.mark.parametrize("g", ["sigmoid", "tanh", "relu"])
def test_T28_cost_and_update(g):
    """J = (1/m) Σ_i 𝓛(y, A^[L]); W ← W − α ∂J/∂W is the step of nn's SGD."""
    net, x, y, cost = ng_net(g)
    ng = as_ng(notation(net, x, y, cost))
    J = np.mean([-(t * math.log(p) + (1 - t) * math.log(1 - p)) for p, t in zip(ng.A[2][0], ng.Y[0])])
    assert cost(net(x), y).item() == pytest.approx(J, rel=1e-12)
    alpha, expected = 0.5, {l: (ng.W[l] - 0.5 * ng.dW[l], ng.b[l] - 0.5 * ng.db[l]) for l in ng.W}
    cost(net(x), y).backward()
    bp.optim.SGD(net.parameters(), lr=alpha).step()
    for l, (W, b) in expected.items():
        np.testing.assert_allclose(net.layers[l - 1].weight.data, W, rtol=1e-12)
        np.testing.assert_allclose(net.layers[l - 1].bias.data, b[:, 0], rtol=1e-12)


# ---- T29 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("g", ["sigmoid", "tanh", "relu"])
@dtypes
@given(seed=st.integers(0, 2**32), m=st.integers(1, 9))
def test_T29_ngs_equations_on_his_net(dtype, g, seed, m):
    net, x, y, cost = ng_net(g, dtype, m, seed)
    assert net.layers[0].weight.shape == (3, 2)
    report = check_ng(net, x, y, cost)
    assert report.ok, str(report)
    assert [(row.l, row.equation) for row in report.rows] == [
        (2, "BP4"), (2, "BP1"), (2, "BP2"), (2, "BP3"), (1, "BP4"), (1, "BP1"), (1, "BP2"),
    ]  # fmt: skip


@dtypes
@given(data=st.data())
def test_T29_ngs_equations_on_drawn_nets(dtype, data):
    net, x, y, cost = data.draw(cases(dtype))
    report = check_ng(net, x, y, cost)
    assert report.ok, str(report)
    assert len(report.rows) == 4 * len(net.layers) - 1
    assume(all(row.tolerance == TOLERANCE[dtype] for row in report.rows))  # no sum cancels
    for name in NG:  # search for large ones, and tell them with --hypothesis-show-statistics
        target(max((row.deviation for row in report.rows if row.equation == name), default=0.0), label=name)


@pytest.mark.parametrize("g", ["sigmoid", "tanh", "relu"])
def test_T29_whose_derivatives_they_are(g):
    """dW, db: of J, by differences; dA, dZ: of 𝓛 of each example, so 1/m stands in BP1 and BP2 alone."""
    net, x, y, cost = ng_net(g)
    ng = as_ng(notation(net, x, y, cost))
    a, h = x, []
    for layer, activation in zip(net.layers, net.activations):
        h += [(z := layer(a)), (a := activation(z))]
        [t.retain_grad() for t in h[-2:]]
    cost(a, y).backward()
    for l in (1, 2):
        z, a = h[2 * l - 2 : 2 * l]
        np.testing.assert_allclose(ng.dZ[l] / ng.m, z.grad.T, rtol=1e-14)
        np.testing.assert_allclose(ng.dA[l] / ng.m, a.grad.T, rtol=1e-14)
        assert np.array_equal(ng.dW[l], net.layers[l - 1].weight.grad)
        w, step = net.layers[l - 1].weight.data, 1e-6
        for r, s in np.ndindex(w.shape):
            w[r, s] += step
            up = cost(net(x), y).item()
            w[r, s] -= 2 * step
            down = cost(net(x), y).item()
            w[r, s] += step
            assert (up - down) / (2 * step) == pytest.approx(ng.dW[l][r, s], abs=1e-8)


WRONG = {
    "BP4": lambda v, l, g: v.dA[l],
    "BP1": lambda v, l, g: v.dZ[l] @ v.A[l - 1].T,  # the 1/m is forgotten
    "BP2": lambda v, l, g: np.sum(v.dZ[l], axis=1, keepdims=True),
    "BP3": lambda v, l, g: v.W[l].T @ v.dZ[l] / v.m,  # a 1/m too many
}


@pytest.mark.parametrize("name", sorted(NG))
@pytest.mark.parametrize("g", ["sigmoid", "tanh", "relu"])
def test_T29_a_wrong_equation_fails(name, g):
    wrong = NG | {name: (*NG[name][:2], WRONG[name])}
    report = check_ng(*ng_net(g), rules=wrong)
    assert not report
    assert {row.equation for row in report.rows if row.deviation > row.tolerance} == {name}
    assert str(report).endswith(f"FAIL: {7 - (1 if name == 'BP3' else 2)} of 7 agree")


def test_T29_a_wrong_rule_of_the_engine_fails():
    with rules(np.tanh, lambda g, y, _x: g * (1 - y)):
        report = check_ng(*ng_net("tanh"))
    assert {(row.l, row.equation) for row in report.rows if row.deviation > row.tolerance} == {(1, "BP4")}


def test_T29_a_g_of_ones_own_and_no_bias():
    net = nn.Sequential(
        nn.Linear(3, 4, bias=False, rng=0, dtype=np.float64), np.sin, nn.Linear(4, 2, rng=1, dtype=np.float64)
    )
    x, y = np.random.default_rng(0).standard_normal((2, 5, 3))
    with pytest.raises(
        ValueError, match=r"layer 1 is not known, g being sin; pass g_prime=\{1: a function of Z\}"
    ):
        check_ng(net, x, y[:, :2], F.quadratic_cost)
    report = check_ng(net, x, y[:, :2], F.quadratic_cost, g_prime={1: np.cos})
    assert report.ok
    assert [(row.l, row.equation) for row in report.rows][4:] == [(1, "BP4"), (1, "BP1")]
    assert not check_ng(net, x, y[:, :2], F.quadratic_cost, g_prime={1: np.sin})
    leaky = nn.Sequential(nn.Linear(3, 2, rng=1, dtype=np.float64), nn.LeakyReLU(0.3))
    assert check_ng(leaky, x, y[:, :2], F.quadratic_cost)


# ---- T30 ---------------------------------------------------------------------------------------------


@dtypes
@given(data=st.data())
def test_T30_three_views_of_the_same_numbers(dtype, data):
    """Views, not copies, wherever no factor stands between them."""
    net, x, y, cost = data.draw(cases(dtype))
    book = notation(net, x, y, cost)
    ng, layers = as_ng(book), as_nn(book)
    cost(net(x), y).backward()
    assert len(layers) == len(net.layers)
    for l in range(2, book.L + 1):
        mine, layer = layers[l - 2], net.layers[l - 2]
        for a, b, c in [
            (book.w[l], ng.W[l - 1], mine.weight.data), (book.b[l], ng.b[l - 1], mine.bias.data),
            (book.z[l], ng.Z[l - 1], mine.z.data), (book.a[l], ng.A[l - 1], mine.a.data),
            (book.nabla_w[l], ng.dW[l - 1], mine.weight.grad), (book.nabla_b[l], ng.db[l - 1], mine.bias.grad),
        ]:  # fmt: skip
            assert np.shares_memory(a, b)
            assert np.shares_memory(a, c)
        assert np.shares_memory(book.delta[l], ng.dZ[l - 1])
        assert np.array_equal(mine.weight.data, layer.weight.data)
        assert np.array_equal(mine.weight.grad, layer.weight.grad)
        assert np.array_equal(mine.bias.grad, layer.bias.grad)
        assert mine.z.data.shape == mine.z.grad.shape == mine.a.grad.shape == (book.m, book.sizes[l - 1])
        assert np.array_equal(book.delta[l], book.m * mine.z.grad.T)
        assert np.array_equal(ng.dA[l - 1], book.m * mine.a.grad.T)
        assert deviation(mine.bias.grad, np.sum(mine.z.grad, axis=0, dtype=float)) <= 1e-3
    assert np.shares_memory(book.nabla_a, ng.dA[ng.L])


@given(data=st.data())
def test_T30_the_books_element(data):
    """w^l_jk is row j, column k, counted from 1."""
    net, x, y, cost = data.draw(cases(np.float64))
    book = notation(net, x, y, cost)
    l = data.draw(st.integers(2, book.L))
    j, k = data.draw(st.integers(1, book.sizes[l - 1])), data.draw(st.integers(1, book.sizes[l - 2]))
    i = data.draw(st.integers(1, book.m))
    assert element(book, "w", l, j, k) == net.layers[l - 2].weight.data[j - 1, k - 1]
    assert element(book, "b", l, j) == net.layers[l - 2].bias.data[j - 1]
    assert element(book, "nabla_w", l, j, k) == book.nabla_w[l][j - 1, k - 1]
    assert element(book, "nabla_b", l, j) == book.nabla_b[l][j - 1, 0]
    assert element(book, "a", l - 1, k, i) == book.a[l - 1][k - 1, i - 1]
    assert np.array_equal(element(book, "delta", l, j), book.delta[l][j - 1])
    assert np.shares_memory(element(book, "w", l, j), book.w[l])
    assert np.shares_memory(element(book, "w", l), book.w[l])


def test_T30_w_3_24_and_what_is_not_there():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    book = notation(net, x, y, cost)
    assert element(book, "w", 3, 2, 4) == book.w[3][1, 3]
    for places, words in {
        (
            3,
            2,
            5,
        ): "w of layer 3 has no such element; expected indices in 1 … 2, 1 … 4, counted from 1, got (2, 5)",
        (3, 0, 1): "counted from 1, got (0, 1)",
        (3, -1, 1): "counted from 1, got (-1, 1)",
        (3, 1, 1, 1): "got (1, 1, 1)",
        (1, 1, 1): "there is no w of layer 1; expected a layer of [2, 3], the input being layer 1",
        (4, 1, 1): "there is no w of layer 4",
    }.items():
        with pytest.raises(IndexError, match=re.escape(words)):
            element(book, "w", *places)
    with pytest.raises(IndexError, match=r"b of layer 2 has no such element; expected indices in 1 … 4"):
        element(book, "b", 2, 1, 1)
    with pytest.raises(AttributeError):
        element(book, "weights", 2, 1, 1)


@given(data=st.data())
def test_T30_the_dictionary_has_the_shapes_of_this_net(data):
    net, x, y, cost = data.draw(cases(np.float64))
    book = notation(net, x, y, cost)
    ng, text = as_ng(book), str(dictionary(book))
    assert all(name in text for name in ("Nielsen", "Ng", "nn", "⊙", "∗", "α", "η", "A[0] = X", "The 1/m: "))
    for l in ng.W:
        (row,) = [row for row in dictionary(book).rows if row[0] == f"layer {l + 1}"]
        assert row[1].startswith(
            f"w^{l + 1} {book.w[l + 1].shape}, b^{l + 1} {book.b[l + 1].shape}, z^{l + 1}"
        )
        assert row[1].endswith(str(book.z[l + 1].shape))
        assert row[2] == f"W[{l}] {ng.W[l].shape}, b[{l}] {ng.b[l].shape}, Z[{l}] {ng.Z[l].shape}"
        layer = as_nn(book)[l - 1]
        assert (
            row[3]
            == f"weight {layer.weight.data.shape}, bias {layer.bias.data.shape}, z {layer.z.data.shape}"
        )


def test_T30_the_dictionary_tells_the_truth():
    """Each formula of its columns, computed with the numbers of a run."""
    net, x, y, cost = ng_net("tanh")
    book = notation(net, x, y, cost)
    ng, layers = as_ng(book), as_nn(book)
    m, L = book.m, book.L
    weight, bias, z, a = layers[1]
    for l in (2, 3):
        np.testing.assert_allclose(layers[l - 2].z.grad.sum(0), layers[l - 2].bias.grad, rtol=1e-13)
        np.testing.assert_allclose(book.delta[l] @ book.a[l - 1].T / m, book.nabla_w[l], rtol=1e-13)
        np.testing.assert_allclose(np.sum(ng.dZ[l - 1], axis=1, keepdims=True) / m, ng.db[l - 1], rtol=1e-13)
    np.testing.assert_allclose(z.grad.T @ layers[0].a.data, weight.grad, rtol=1e-13)
    np.testing.assert_allclose(ng.W[2].T @ ng.dZ[2], ng.dA[1], rtol=1e-13)
    np.testing.assert_allclose(book.nabla_a * book.a[L] * (1 - book.a[L]), book.delta[L], rtol=1e-13)
    np.testing.assert_allclose(layers[0].a.data @ weight.data.T + bias.data, z.data, rtol=1e-13)
    assert np.array_equal(m * a.grad.T, book.nabla_a)


def test_T30_the_tables_of_a_run():
    net, x, y, cost = ng_net("tanh", m=2)
    book = notation(net, x, y, cost)
    text = run_table(book)
    header, empty, names_, *neurons = text.split("\n\nlayer 2")[1].split("\n\nlayer 3")[0].splitlines()
    assert header == ": tanh; Ng's layer 1"
    assert " ".join(names_.split()) == "j w^2 (3, 2) b^2 (3, 1) z^2 (3, 2) a^2 (3, 2) δ^2 (3, 2)"
    assert empty == ""
    for j, line in enumerate(neurons[:3]):
        numbers = [float(v) for v in re.findall(r"-?\d+\.\d+", line)]
        expected = [v for part in (book.w, book.b, book.z, book.a, book.delta) for v in part[2][j]]
        assert numbers == pytest.approx(expected, abs=1e-4)
    assert neurons[3].startswith("max|·|")


def test_T30_the_tables_of_a_big_run_fit_on_a_terminal():
    net, x, y, cost = case([784, 60, 10], ["sigmoid", "sigmoid"], 32, dtype=np.float32)
    book = notation(net, x, y, cost)
    lines = run_table(book).splitlines()
    assert len(lines) < 50
    assert max(map(len, lines)) <= 140
    hidden = run_table(book, most=60).split("layer 2")[1].split("layer 3")[0].splitlines()
    assert len([line for line in hidden if line.strip()[:1].isdigit()]) == 60
    assert [line.split()[0] for line in lines if line.strip()[:1].isdigit()][:6] == [
        "1",
        "2",
        "3",
        "782",
        "783",
        "784",
    ]
