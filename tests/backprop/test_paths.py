"""The sum over paths is the gradient, and taken from the output inwards it is backprop (T22, T23)."""

# l is the book's name of a layer.
# ruff: noqa: E741

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp.backprop import notation
from tinygrad_bp.backprop.paths import Graph, Layered, Path, operations, recorded

from .nets import ACTIVATIONS, F, case, cases, rules


@st.composite
def small(draw, dtype=np.float64, activations=ACTIVATIONS):
    """A net with few enough paths to list, and one of its examples."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=5), label="sizes")
    chosen = [draw(st.sampled_from(activations)) for _ in sizes[1:]]
    m = draw(st.integers(1, 3), label="batch")
    net = case(sizes, chosen, m, dtype=dtype, seed=draw(st.integers(0, 2**32)))
    return net, draw(st.integers(0, m - 1), label="example")


def one(net, example):
    """The same with a batch of this one example."""
    return net.net, net.x[[example]], net.y[[example]], net.cost


def starts(book):
    """Where paths can start: (array of the book, place in it, vertex)."""
    for l in book.w:
        yield from ((book.nabla_w[l], p, ("w", l, p[0] + 1, p[1] + 1)) for p in np.ndindex(book.w[l].shape))
        yield from ((book.nabla_b[l], (j, 0), ("b", l, j + 1)) for j in range(len(book.w[l])))


# ---- T22: the sum over paths -----------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
@given(data=st.data())
def test_T22_the_sum_over_all_paths_is_the_gradient(dtype, tolerance, data):
    """(52), (53): every path listed, for every weight and bias, against the engine's `nabla_w`, `nabla_b`."""
    net, example = data.draw(small(dtype))
    graph = Layered(*net, example)
    book = notation(*one(net, example))
    for array, place, start in starts(book):
        paths = graph.paths(start)
        scale = max(np.max(np.abs(array)), math.fsum(abs(path.rate) for path in paths))
        total = math.fsum(path.rate for path in paths)
        assert abs(total - array[place]) <= tolerance * scale
        assert abs(graph.sum(start) - total) <= 1e-13 * scale
        assert len(paths) == graph.count(start) == math.prod(book.sizes[start[1] :])
        assert {(len(path.neurons), len(path.factors)) for path in paths} == {
            (book.L - start[1] + 1, book.L - start[1] + 2)
        }


@given(data=st.data())
def test_T22_every_edge_has_a_rate_factor(data):
    """∂a^L_m/∂a^{L−1}_n = σ′(z^L_m) w^L_mn and ∂a^l_j/∂w^l_jk = σ′(z^l_j) a^{l−1}_k, by the engine's own σ."""
    net, example = data.draw(small(activations=["sigmoid"]))
    graph, book = Layered(*net, example), notation(*one(net, example))
    l = data.draw(st.integers(2, book.L))
    path = data.draw(st.sampled_from(graph.paths(("w", l, 1, 1))))
    assert path.neurons[0] == (l, 1)
    a = book.a[l][0, 0]
    assert path.factors[0] == pytest.approx(a * (1 - a) * book.a[l - 1][0, 0], rel=1e-12)
    for factor, (_, n), (at, m) in zip(path.factors[1:], path.neurons, path.neurons[1:]):
        a = book.a[at][m - 1, 0]
        assert factor == pytest.approx(a * (1 - a) * book.w[at][m - 1, n - 1], rel=1e-12)
    assert path.factors[-1] == book.nabla_a[path.neurons[-1][1] - 1, 0]
    assert path.rate == pytest.approx(math.prod(path.factors), rel=1e-14)


@given(data=st.data())
def test_T22_paths_from_a_neuron_and_from_the_input(data):
    """∂C/∂a^l_j = Σ_k w^{l+1}_kj δ^{l+1}_k, and for inputs too, though the engine does not compute it."""
    net, example = data.draw(small())
    graph, book = Layered(*net, example), notation(*one(net, example))
    l = data.draw(st.integers(1, book.L))
    expected = book.nabla_a if l == book.L else book.w[l + 1].T @ book.delta[l + 1]
    size = np.abs(book.nabla_a) if l == book.L else np.abs(book.w[l + 1]).T @ np.abs(book.delta[l + 1])
    for j in range(1, book.sizes[l - 1] + 1):
        assert abs(graph.sum((l, j)) - expected[j - 1, 0]) <= 1e-12 * (np.max(size) or 1)
        assert all(path.neurons[0] == (l, j) for path in graph.paths((l, j)))


@given(data=st.data())
def test_T22_the_gradient_of_a_batch_is_the_mean_of_its_path_sums(data):
    net = data.draw(cases(np.float64))
    book = notation(*net)
    graphs = [Layered(*net, example) for example in range(len(net.x))]
    l = data.draw(st.integers(2, book.L))
    j, k = (data.draw(st.integers(1, n)) for n in book.w[l].shape)
    terms = [graph.sum(("w", l, j, k)) for graph in graphs]
    size = max(np.max(np.abs(book.delta[l])) * np.max(np.abs(book.a[l - 1])), 1e-300)
    assert abs(np.mean(terms) - book.nabla_w[l][j - 1, k - 1]) <= 1e-11 * size


@given(data=st.data())
def test_T22_a_wrong_factor_is_caught(data):
    net, example = data.draw(small(activations=["tanh"]))
    graph, book = Layered(*net, example), notation(*one(net, example))
    l = data.draw(st.integers(2, book.L))
    graph.slope[l] = graph.a[l]  # σ(z) for σ′(z)
    right = book.nabla_w[2][0, 0]
    assume(abs(right) > 1e-6)
    assert abs(graph.sum(("w", 2, 1, 1)) / right - 1) > 1e-9
    if l == 2:
        assert not graph.regroup(2, 1, 1).ok


def test_T22_a_wrong_rule_is_caught():
    """The factors are by hand, so that an engine with a wrong derivative of tanh is found out."""
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 1)
    with rules(np.tanh, lambda g, y, _x: g * (1 - y)):
        graph = Layered(net, x, y, cost)
        engine = notation(net, x, y, cost).nabla_w[2][0, 0]
    assert abs(graph.sum(("w", 2, 1, 1)) / engine - 1) > 1e-2
    assert not graph.regroup(2, 1, 1).ok


def test_T22_the_books_example():
    """9,000 paths from a weight into layer 2 of 784-30-30-30-10, all listed, and the 20 largest found directly."""
    net, x, y, cost = case([784, 30, 30, 30, 10], ["sigmoid"] * 4, 1)
    graph, start = Layered(net, x, y, cost), ("w", 2, 7, 100)
    paths = graph.paths(start)
    assert graph.count(start) == len(set(paths)) == 9000
    engine = notation(net, x, y, cost).nabla_w[2][6, 99]
    assert math.fsum(path.rate for path in paths) == pytest.approx(engine, rel=1e-10)
    sizes = sorted((abs(path.rate) for path in paths), reverse=True)
    assert [abs(path.rate) for path in graph.largest(start, 20)] == sizes[:20]
    with pytest.raises(ValueError, match=r"9,000 paths .* expected at most 8,999; .*largest"):
        graph.paths(start, cap=8999)


def test_T22_counts_are_exact_beyond_any_listing():
    net, x, y, cost = case([3] + [20] * 15 + [7], ["tanh"] * 16, 1)
    graph = Layered(net, x, y, cost)
    assert graph.count(("b", 2, 20)) == 20**14 * 7
    best = graph.largest(("w", 2, 1, 3), 3)
    assert len(set(best)) == 3
    assert abs(best[0].rate) >= abs(best[1].rate) >= abs(best[2].rate) > 0
    assert graph.sum(("w", 2, 1, 3)) == pytest.approx(notation(net, x, y, cost).nabla_w[2][0, 2], rel=1e-9)


@given(data=st.data())
def test_T22_the_k_largest_contributions(data):
    net, example = data.draw(small())
    graph = Layered(*net, example)
    l = data.draw(st.integers(1, graph.book.L))
    k = data.draw(st.integers(1, 100))
    paths = graph.paths((l, 1))
    best = graph.largest((l, 1), k)
    assert [abs(path.rate) for path in best] == sorted((abs(p.rate) for p in paths), reverse=True)[:k]
    assert len(set(best)) == len(best)
    assert set(best) <= set(paths)


# ---- T22: one Δw, followed --------------------------------------------------------------------------------


@given(data=st.data())
def test_T22_a_small_change_spreads_to_the_cost(data):
    """(47)–(50): the remainder falls as the square of Δw, for every Δa and for ΔC."""
    net, example = data.draw(small(activations=["sigmoid", "tanh", "softplus"]))
    graph = Layered(*net, example)
    book = graph.book
    l = data.draw(st.integers(2, book.L))
    j, k = (data.draw(st.integers(1, n)) for n in book.w[l].shape)
    before = [p.data.tobytes() for p in net.net.parameters()]
    off = {dw: graph.spread(l, j, k, dw) for dw in (4e-4, 2e-4)}
    assert [p.data.tobytes() for p in net.net.parameters()] == before
    names = [f"a^{m}_{q}" for m in range(l, book.L + 1) for q in range(1, book.sizes[m - 1] + 1)]
    for rows in zip(off[4e-4].rows, off[2e-4].rows, [*names, "C"]):
        (name, rate, true, remainder), (_, half, _, smaller), expected = rows
        assert name == expected
        assert rate == pytest.approx(2 * half, rel=1e-12, abs=1e-300)
        assert remainder == true - rate
        assert abs(smaller) <= abs(remainder) / 4 * 1.1 + 1e-10
    cost = off[4e-4].rows[-1]
    assert cost[1] == pytest.approx(4e-4 * graph.sum(("w", l, j, k)), rel=1e-9, abs=1e-16)  # (47), (52)
    for m in range(l, book.L + 1):  # (51): the Δa of one neuron is the sum over the paths that end in it
        to_here = Graph(lambda v: graph._edges(v) if v[0] != graph.book.L else [], (m, 1))
        row = off[4e-4].rows[names.index(f"a^{m}_1")]
        assert row[1] == pytest.approx(4e-4 * to_here.sum(("w", l, j, k)), rel=1e-9, abs=1e-18)


# ---- T23: regrouping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_T23_regrouped_from_the_output_inwards_the_sum_is_backprop(dtype, data):
    net, example = data.draw(small(dtype))
    graph = Layered(*net, example)
    book = graph.book
    l = data.draw(st.integers(2, book.L))
    j, k = (data.draw(st.integers(1, n)) for n in book.w[l].shape)
    table = graph.regroup(l, j, k)
    assert [row[:2] for row in table.rows] == [
        *((f"δ^{m}", book.sizes[m - 1]) for m in range(book.L, l - 1, -1)),
        (f"∂C/∂w^{l}_{j},{k}", 1),
    ]
    cancelling = any(np.max(np.abs(book.delta[m])) < 1e-3 * _terms(book, m) for m in book.delta)
    assert table.ok or cancelling


def _terms(book, m):
    """The largest Σ|terms| of δ^m, to tell rounding in sums that cancel."""
    return (
        np.max(np.abs(book.nabla_a)) if m == book.L else np.max(abs(book.w[m + 1]).T @ abs(book.delta[m + 1]))
    )


@given(data=st.data())
def test_T23_partial_sums_over_listed_paths_are_the_deltas(data):
    """Σ over all paths that go on from neuron j of layer l, times σ′(z^l_j), is δ^l_j (Σ_m, Σ_n, … one by one)."""
    net, example = data.draw(small())
    graph, book = Layered(*net, example), notation(*one(net, example))
    for l in book.delta:
        listed = [
            math.fsum(path.rate for path in graph.paths((l, j))) for j in range(1, book.sizes[l - 1] + 1)
        ]
        absolute = [
            math.fsum(abs(p.rate) for p in graph.paths((l, j))) for j in range(1, book.sizes[l - 1] + 1)
        ]
        off = np.abs(graph.slope[l] * listed - book.delta[l][:, 0])
        assert np.max(off) <= 1e-12 * (np.max(graph.slope[l] * absolute) or 1)


class Number:
    """A number that counts what is done with it."""

    def __init__(self, value, done):
        self.value, self.done = value, done

    def __mul__(self, other):
        self.done.append("*")
        return Number(self.value * other.value, self.done)

    def __add__(self, other):
        self.done.append("+")
        return Number(self.value + other.value, self.done)


@given(sizes=st.lists(st.integers(1, 4), min_size=2, max_size=5), data=st.data())
def test_T23_operations_are_counted(sizes, data):
    """Both orders of (53) with numbers that count: the naive one path by path, the other as in the book."""
    L, l = len(sizes), data.draw(st.integers(2, len(sizes)))
    done = []
    rng = np.random.default_rng(0)

    def numbers(*shape):
        values = [Number(v, done) for v in rng.standard_normal(math.prod(shape))]
        return np.array(values, object).reshape(shape)

    nabla_a, a_in = numbers(sizes[-1]), numbers(1)[0]
    slope = {m: numbers(sizes[m - 1]) for m in range(2, L + 1)}
    w = {m: numbers(sizes[m - 1], sizes[m - 2]) for m in range(3, L + 1)}

    def paths(m, j):
        """Lists of the factors from neuron j of layer m onwards."""
        if m == L:
            return [[nabla_a[j]]]
        rest = range(sizes[m])
        return [[w[m + 1][q, j], slope[m + 1][q], *path] for q in rest for path in paths(m + 1, q)]

    terms = [math.prod(path[1:], start=path[0]) * slope[l][0] * a_in for path in paths(l, 0)]
    naive = sum(terms[1:], start=terms[0])
    counted = len(done)
    done.clear()
    delta = nabla_a * slope[L] if l < L else nabla_a[:1] * slope[L][:1]
    for m in range(L - 1, l - 1, -1):
        columns = slice(None) if m > l else slice(1)
        products = w[m + 1][:, columns] * delta[:, None]
        delta = np.add.reduce(products, axis=0) * slope[m][columns]
    regrouped = delta[0] * a_in
    assert (counted, len(done)) == operations(tuple(sizes), l)
    assert regrouped.value == pytest.approx(naive.value, rel=1e-9, abs=1e-12)


def test_T23_operations_of_the_whole_gradient():
    """The δs are shared by all weights; path by path nothing is."""
    assert operations((5, 3, 2)) == (2 * 3 * 2 + 3 * 5 * (2 * 5 - 1), 2 + 2 * 2 * 3 + 6 + 15)
    naive, regrouped = operations((784, 30, 30, 30, 10))
    assert naive > 60_000 * regrouped


# ---- any graph without cycles ------------------------------------------------------------------------------


@st.composite
def dags(draw):
    """Edges i -> j > i with fractions as factors, several of them between two vertices at times."""
    n = draw(st.integers(1, 7))
    factors = st.integers(-8, 8).map(lambda i: i / 4)
    edges = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1), factors)
    found = {i: [] for i in range(n)}
    for i, j, factor in draw(st.lists(edges, max_size=18)):
        if i != j:
            found[min(i, j)].append((max(i, j), factor))
    return found


@given(dags())
def test_T22_counts_and_sums_on_any_graph(edges):
    """Against powers of the adjacency matrix, in exact arithmetic."""
    n = len(edges)
    graph = Graph(edges.get, end=n - 1)
    ones, rates = ([[Fraction(0)] * n for _ in range(n)] for _ in range(2))
    for i, out in edges.items():
        for j, factor in out:
            ones[i][j] += 1
            rates[i][j] += Fraction(factor)
    counts, sums = (_walks(matrix, n) for matrix in (ones, rates))
    for i in range(n):
        paths = graph.paths(i)
        assert graph.count(i) == counts[i] == len(paths)
        assert graph.sum(i) == float(sums[i]) == sum(path.rate for path in paths)
        best = graph.largest(i, 4)
        assert [abs(p.rate) for p in best] == sorted((abs(p.rate) for p in paths), reverse=True)[:4]
        assert all(path.neurons[0] == i and path.neurons[-1] == n - 1 for path in paths)


def _walks(matrix, n):
    """Σ_k (matrix^k)[i, end] for every i."""
    column = total = [Fraction(i == n - 1) for i in range(n)]
    for _ in range(n):
        column = [sum(matrix[i][j] * column[j] for j in range(n)) for i in range(n)]
        total = [t + c for t, c in zip(total, column)]
    return total


def test_a_graph_of_2_to_the_1000_paths():
    graph = Graph(lambda v: [(v + 1, 0.5), (v + 1, -0.25)], end=1000)
    assert graph.count(0) == 2**1000
    assert graph.sum(0) == 0.25**1000
    assert [path.rate for path in graph.largest(990, 3)] == [0.5**10, -(0.5**9) / 4, -(0.5**9) / 4]


def test_graphs_that_have_no_answer():
    with pytest.raises(ValueError, match="cycle"):
        Graph({1: [(2, 1.0)], 2: [(1, 1.0)]}.get, end=3).count(1)
    with pytest.raises(ValueError, match="infinite or NaN"):
        Graph({1: [(2, math.inf)]}.get, end=2).largest(1, 1)
    assert Graph({1: [(2, 1.0)], 2: []}.get, end=3).count(1) == 0
    assert Graph({1: [(2, 0.0)], 2: [(3, math.inf)]}.get, end=3).count(1) == 1


def test_what_a_path_of_zeros_and_infinities_is_worth():
    """As in the engine, what has no use has no gradient: 0 comes before ∞ on the way back."""
    assert Path((), (math.inf, 0.0)).rate == 0
    assert math.isnan(Path((), (0.0, math.inf)).rate)


# ---- what a net must be ------------------------------------------------------------------------------------


def test_places_that_the_net_does_not_have():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 2)
    graph = Layered(net, x, y, cost, example=1)
    for start in [
        ("w", 2, 0, 1),
        ("w", 2, 5, 1),
        ("w", 1, 1, 1),
        ("b", 1, 1),
        ("b", 3, 3),
        (4, 1),
        (3, 0),
        ("w", 2, 1, 4),
    ]:
        with pytest.raises(IndexError):
            graph.count(start)
    with pytest.raises(IndexError):
        graph.count(("w", 2, 1))
    with pytest.raises(IndexError):
        graph.regroup(2, 0, 1)
    with pytest.raises(IndexError):
        graph.spread(2, 5, 1, 1e-3)


def test_activations():
    net, x, y, cost = case([3, 4, 2], ["tanh", "linear"], 2)
    wave = bp.nn.Sequential(*(part for layer in net.layers for part in (layer, np.sin)))
    given = Layered(wave, x, y, cost, sigma_prime={2: np.cos, 3: np.cos})
    engine = notation(wave, x[:1], y[:1], cost)
    assert given.sum(("w", 2, 3, 1)) == pytest.approx(engine.nabla_w[2][2, 0], rel=1e-12)
    assert given.regroup(2, 3, 1).ok
    soft = bp.nn.Sequential(*net.layers, F.softmax)
    with pytest.raises(ValueError, match="elementwise"):
        Layered(soft, x, y, cost)


def test_what_did_not_move_is_0_without_a_sign():
    net, x, y, cost = case([3, 4, 2], ["relu", "sigmoid"], 2)
    for dw in (0.1, -0.1):
        changes = [c for row in Layered(net, x, y, cost).spread(2, 4, 3, dw).rows for c in row[1:]]
        assert 0.0 in changes
        assert not any(c == 0 and math.copysign(1, c) < 0 for c in changes)


def test_reports_print():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 2)
    graph = Layered(net, x, y, cost)
    assert "a^3_2" in str(graph.spread(2, 1, 3, 1e-3))
    naive, regrouped = operations((3, 4, 2), 2)
    assert f"{naive:,} operations path by path, {regrouped:,} in this order" in str(graph.regroup(2, 1, 3))


# ---- graphs of scalar ops ----------------------------------------------------------------------------------

BINARY = [np.add, np.subtract, np.multiply, np.maximum, lambda a, b: a / (b * b + 1), np.hypot]
UNARY = [np.tanh, np.sin, np.negative, np.square, F.sigmoid, F.relu, lambda a: a, np.abs]


@st.composite
def programs(draw):
    """A program of scalar ops on two numbers, as [(op, places of its operands)]."""
    steps = []
    for n in range(2, 2 + draw(st.integers(1, 8))):
        op = draw(st.sampled_from(UNARY + BINARY))
        operands = [draw(st.integers(0, n - 1)) for _ in range(1 if op in UNARY else 2)]
        steps.append((op, operands))
    return steps


def run_program(steps, *values):
    values = list(values)
    for op, operands in steps:
        values.append(op(*(values[i] for i in operands)))
    return values[-1] + 0.0 * values[0]


@given(programs(), st.floats(-2, 2), st.floats(-2, 2))
def test_T22_the_sum_over_the_paths_of_a_scalar_graph_is_its_gradient(steps, x, y):
    graph, found = recorded(lambda x, y: run_program(steps, x, y), x, y)
    gradients = bp.grad(lambda x, y: run_program(steps, x, y), argnums=(0, 1))(x, y)
    for start, gradient in zip(found, gradients):
        paths = graph.paths(start, cap=100_000)
        terms = [path.rate for path in paths]
        scale = max(math.fsum(map(abs, terms)), 1e-300)
        assert abs(math.fsum(terms) - gradient) <= 1e-10 * scale
        assert abs(graph.sum(start) - gradient) <= 1e-10 * scale
        assert graph.count(start) == len(paths)
        best = [abs(path.rate) for path in graph.largest(start, 5)]
        assert best == sorted(map(abs, terms), reverse=True)[:5]
        if paths:
            assert start.cotangent == pytest.approx(gradient, abs=1e-300)  # the engine's, in the same run
            assert {path.neurons[-1] for path in paths} == {graph.end}


def test_T22_a_net_of_scalars_has_the_paths_of_its_layers():
    net, x, y, cost = case([2, 3, 2, 2], ["tanh", "sigmoid", "tanh"], 1)
    layered, book = Layered(net, x, y, cost), notation(net, x, y, cost)

    def C(w, b):
        a = list(x[0])
        for l, activation in zip(book.w, (np.tanh, F.sigmoid, np.tanh)):
            a = [
                activation(sum((w[l][j][k] * a[k] for k in range(len(a))), start=b[l][j]))
                for j in range(len(w[l]))
            ]
        return sum(np.square(p - q) for p, q in zip(a, y[0])) * 0.5

    w, b = {l: w.tolist() for l, w in book.w.items()}, {l: b[:, 0].tolist() for l, b in book.b.items()}
    graph, found = recorded(C, w, b)
    names = [
        *(("w", l, j, k) for l in w for j in range(1, len(w[l]) + 1) for k in range(1, len(w[l][0]) + 1)),
        *(("b", l, j) for l in b for j in range(1, len(b[l]) + 1)),
    ]
    assert len(names) == len(found)
    for seen, name in zip(found, names):
        assert graph.count(seen) == layered.count(name)
        assert graph.sum(seen) == pytest.approx(layered.sum(name), rel=1e-10)
        assert [p.rate for p in graph.largest(seen, 3)] == pytest.approx(
            [p.rate for p in layered.largest(name, 3)], rel=1e-10
        )


def test_T22_factors_behind_a_cotangent_of_zero():
    """A local derivative is not contribution/cotangent: nothing flows here, and still ∂(xy)/∂x = y."""
    graph, [x, y] = recorded(lambda x, y: (x * y) * 0.0, 2.0, 3.0)
    [path] = graph.paths(x)
    assert path.factors == (3.0, 0.0)
    assert path.neurons[1].cotangent == 0
    assert graph.sum(y) == 0
    dead, [x] = recorded(lambda x: F.relu(-np.abs(x)) * 5.0, 2.0)
    assert [path.factors for path in dead.paths(x)] == [(1.0, -1.0, 0.0, 5.0)]
    with np.errstate(divide="ignore"):
        root, [x] = recorded(lambda x: np.where(x > 0, np.log(x), 0.0), 0.0)
        assert root.sum(x) == 0 == bp.grad(lambda x: np.where(x > 0, np.log(x), 0.0))(0.0)


def test_what_recorded_takes():
    graph, [x, y] = recorded(lambda pair: pair["a"] ** 2, {"a": 3, "b": 1.0})
    assert (graph.count(x), graph.sum(x), graph.count(y), graph.sum(y)) == (1, 6.0, 0, 0.0)
    assert (y.kind, y.value) == ("leaf", 1.0)
    same, [x] = recorded(lambda x: (x * x, x)[1], 3.0)
    assert (same.count(x), same.sum(x)) == (1, 1.0)
    with pytest.raises(
        ValueError, match=r"the result of multiply \(.*test_paths.*\) is none; got shape \(3,\)"
    ):
        recorded(lambda x: np.sum(x * np.ones(3)), 2.0)
    with pytest.raises(ValueError, match="recorded nothing"):
        recorded(lambda x: 3.0, 2.0)
    before = bp.Tensor(2.0, requires_grad=True)
    graph, [x] = recorded(lambda x: x * before, 5.0)
    assert graph.sum(x) == 2.0


def test_factors_do_not_count_a_backward_pass_inside_of_f():
    def f(x):
        y = x * x
        y.backward(retain_graph=True)
        return y * 3.0

    graph, [x] = recorded(f, 2.0)
    assert [path.factors for path in graph.paths(x)] == [(2.0, 3.0), (2.0, 3.0)]
    assert graph.sum(x) == 12.0
