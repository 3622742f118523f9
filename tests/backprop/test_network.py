"""The book's program: by hand or by the engine, example by example or as one matrix, the same numbers."""

# l is the book's name of a layer.
# ruff: noqa: E741

import copy
import os

import numpy as np
import pytest
from hypothesis import assume, given, target
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp.backprop import Network, notation, pairs, speed_up
from tinygrad_bp.backprop.equations import SIGMA_PRIME
from tinygrad_bp.backprop.network import sigmoid, sigmoid_prime
from tinygrad_bp.backprop.report import deviation

from .nets import F

WIDTHS = st.lists(st.integers(1, 12), min_size=2, max_size=6)
SEEDS = st.integers(0, 2**32)
OWN = {"sin": (np.sin, np.cos), "square": (np.square, lambda z: 2 * z), "softplus": "softplus"}
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}


def drawn(sizes, seed, m=1, dtype=np.float64, **options):
    """A net whose neurons are not saturated, and m columns for it."""
    rng = np.random.default_rng(seed)
    net = Network(sizes, rng=rng, **options)
    net.weights = [(w / np.sqrt(w.shape[1])).astype(dtype) for w in net.weights]
    net.biases = [b.astype(dtype) for b in net.biases]
    x, y = rng.standard_normal((sizes[0], m)), rng.random((sizes[-1], m))
    return net, x.astype(dtype), y.astype(dtype)


def otherwise(net, **options):
    """The same net with other options."""
    other = copy.deepcopy(net)
    other.__dict__.update(options)
    return other


def far(found, expected):
    """The largest deviation of two gradients."""
    return max(deviation(f, e) for half in zip(found, expected) for f, e in zip(*half))


def attainable(net, x, y, tolerance):
    """Do the sums not cancel so far that rounding alone breaks the tolerance?"""
    steps = net.five_steps(x, y)
    eps, size = np.finfo(x.dtype).eps, np.abs(x)
    for w, b in zip(net.weights, net.biases):
        size = np.abs(w) @ size + np.abs(b)  # what z and, σ′ being at most about 1, a are sums of
    terms = (size + np.abs(y)) * np.abs(steps.slopes[-1])
    for l in range(1, net.num_layers):
        if l > 1:
            terms = (np.abs(net.weights[1 - l]).T @ terms) * np.abs(steps.slopes[-l])
        sums = (
            (terms, steps.deltas[-l]),
            (np.mean(terms, axis=1), steps.nabla_b[-l]),
            (terms @ np.abs(steps.activations[-l - 1]).T / x.shape[1], steps.nabla_w[-l]),
        )
        if any(2 * eps * np.max(whole) > tolerance * np.max(np.abs(kept)) for whole, kept in sums):
            return False
    return True


# ---- the five steps ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(sizes=WIDTHS, seed=SEEDS, m=st.integers(1, 5), name=st.sampled_from(sorted(SIGMA_PRIME)))
def test_T15_the_five_steps_are_those_of_the_engine(dtype, sizes, seed, m, name):
    """Columns here, rows there: every number of the algorithm is one that the engine has, too."""
    net, x, y = drawn(sizes, seed, m, dtype, sigma=name)
    assume(attainable(net, x, y, TOLERANCE[dtype]))
    steps = net.five_steps(x, y)
    rows = bp.nn.MLP(sizes, name, dtype=dtype)
    for layer, w, b in zip(rows.layers, net.weights, net.biases):
        layer.weight.data[...], layer.bias.data[...] = w, b[:, 0]
    book = notation(rows, x.T, y.T, F.quadratic_cost)
    found = [steps.activations, steps.zs, [steps.nabla_a], steps.deltas, steps.nabla_b, steps.nabla_w]
    layers = range(2, len(sizes) + 1)
    engine = [list(book.a.values()), list(book.z.values()), [book.nabla_a]] + [
        [part[l] for l in layers] for part in (book.delta, book.nabla_b, book.nabla_w)
    ]
    largest = far(found[2:], engine[2:])
    target(largest, label=f"T15 {np.dtype(dtype).name}")
    assert largest <= TOLERANCE[dtype]
    assert far(found[:2], engine[:2]) <= 20 * np.finfo(dtype).eps * len(sizes)
    assert all(part.dtype == dtype for part in (*steps.nabla_b, *steps.nabla_w))


def test_T15_the_five_steps_of_one_example_in_loops():
    net, x, y = drawn([3, 4, 2], 0)
    steps = net.five_steps(x, y)
    (w2, w3), (b2, b3) = net.weights, net.biases
    z2 = [sum(w2[j, k] * x[k, 0] for k in range(3)) + b2[j, 0] for j in range(4)]
    a2 = [1 / (1 + np.exp(-z)) for z in z2]
    z3 = [sum(w3[j, k] * a2[k] for k in range(4)) + b3[j, 0] for j in range(2)]
    a3 = [1 / (1 + np.exp(-z)) for z in z3]
    delta3 = [(a3[j] - y[j, 0]) * a3[j] * (1 - a3[j]) for j in range(2)]
    delta2 = [sum(w3[k, j] * delta3[k] for k in range(2)) * a2[j] * (1 - a2[j]) for j in range(4)]
    np.testing.assert_allclose(steps.deltas[1][:, 0], delta3, rtol=1e-12)
    np.testing.assert_allclose(steps.deltas[0][:, 0], delta2, rtol=1e-12)
    np.testing.assert_allclose(steps.nabla_w[1], [[d * a for a in a2] for d in delta3], rtol=1e-12)
    np.testing.assert_allclose(steps.nabla_w[0], [[d * a for a in x[:, 0]] for d in delta2], rtol=1e-12)
    assert np.array_equal(steps.nabla_b[0], steps.deltas[0])
    assert far(net.backprop(x, y), (steps.nabla_b, steps.nabla_w)) == 0


def test_T15_the_five_steps_print_with_their_numbers():
    net, x, y = drawn([3, 4, 2], 0)
    lines = str(net.five_steps(x, y)).splitlines()
    steps = [line[:16].strip() for line in lines if line[:1].isdigit()]
    assert steps == ["1 input", "2 feedforward", "3 output error", "4 backpropagate", "5 gradient"]
    names = [line[17:25].strip() for line in lines if line[17:25].strip()]
    assert names == [
        "a^1", "z^2", "a^2", "z^3", "a^3", "∇_a C", "σ′(z^3)", "δ^3", "σ′(z^2)", "δ^2",
        "∂C/∂b^2", "∂C/∂w^2", "∂C/∂b^3", "∂C/∂w^3",
    ]  # fmt: skip
    assert lines[0].endswith(np.array2string(x.T, precision=4, suppress_small=True))
    assert len(str(Network([784, 30, 10], rng=0).five_steps(np.ones((784, 1)), np.ones((10, 1))))) < 6000


# ---- by hand and by the engine -------------------------------------------------------------------------


@given(sizes=WIDTHS, seed=SEEDS, m=st.integers(1, 5), name=st.sampled_from(sorted(SIGMA_PRIME)))
def test_T19_backprop_by_hand_is_backprop_by_the_engine(sizes, seed, m, name):
    net, x, y = drawn(sizes, seed, m, sigma=name)
    assume(attainable(net, x, y, 1e-12))
    largest = far(net.backprop(x, y), otherwise(net, by="engine").backprop(x, y))
    target(largest, label="T19")
    assert largest <= 1e-12


def test_T19_a_wrong_derivative_by_hand_is_not_the_engines():
    for wrong in ({"sigma": (np.tanh, np.cos)}, {"own": {(2, 1): (np.sin, np.sin)}}):
        net, x, y = drawn([3, 4, 2], 0, **wrong)
        assert far(net.backprop(x, y), otherwise(net, by="engine").backprop(x, y)) > 1e-3


def test_T19_the_api_of_the_book():
    net = Network([784, 30, 10], rng=0)
    assert (net.num_layers, net.sizes) == (3, [784, 30, 10])
    assert [w.shape for w in net.weights] == [(30, 784), (10, 30)]
    assert [b.shape for b in net.biases] == [(30, 1), (10, 1)]
    drawn = np.concatenate([np.ravel(p) for p in (*net.weights, *net.biases)])
    assert abs(drawn.mean()) < 0.03  # standard normals: 23,860 of them
    assert abs(drawn.std() - 1) < 0.02
    assert not np.array_equal(Network([2, 2], rng=1).weights[0], Network([2, 2], rng=2).weights[0])
    nabla_b, nabla_w = net.backprop(np.ones((784, 1)), np.ones((10, 1)))
    assert [g.shape for g in nabla_b] == [b.shape for b in net.biases]
    assert [g.shape for g in nabla_w] == [w.shape for w in net.weights]
    assert net.feedforward(np.ones((784, 1))).shape == (10, 1)
    assert np.array_equal(net.cost_derivative(np.array([[3.0]]), np.array([[1.0]])), [[2.0]])


def test_T19_sigmoid_is_stable_and_sigmoid_prime_its_derivative():
    z = np.array([-1000.0, -2.0, 0.0, 2.0, 1000.0])
    np.testing.assert_allclose(sigmoid(z), [0, 1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-2)), 1], rtol=1e-15)
    np.testing.assert_allclose(sigmoid_prime(z), bp.elementwise_grad(sigmoid)(z), rtol=1e-14)


def test_T19_a_subclass_may_have_another_cost():
    class CrossEntropy(Network):
        def cost(self, a, y):
            return -np.sum(y * np.log(a) + (1 - y) * np.log(1 - a)) / y.shape[1]

        def cost_derivative(self, output_activations, y):
            return (output_activations - y) / (output_activations * (1 - output_activations))

    x, y = np.random.default_rng(0).random((2, 3, 4))
    nets = [CrossEntropy([3, 5, 3], rng=0, by=by) for by in ("hand", "engine")]
    assert far(*(net.backprop(x, y) for net in nets)) <= 1e-12
    np.testing.assert_allclose(nets[0].five_steps(x, y).deltas[-1], nets[0].feedforward(x) - y)


# ---- the two exercises ---------------------------------------------------------------------------------


@given(sizes=WIDTHS, seed=SEEDS, m=st.integers(1, 4), f=st.sampled_from(sorted(OWN)), data=st.data())
def test_T16_one_neuron_has_its_own_activation(sizes, seed, m, f, data):
    """Step 2 uses f and step 3 or 4 f′ for that neuron; everything else is as it was."""
    l = data.draw(st.integers(2, len(sizes)), label="l")
    j = data.draw(st.integers(1, sizes[l - 1]), label="j")
    net, x, y = drawn(sizes, seed, m, own={(l, j): OWN[f]})
    plain = otherwise(net, own={})
    steps, usual = net.five_steps(x, y), plain.five_steps(x, y)
    others = np.arange(sizes[l - 1]) != j - 1
    z, a, slope = steps.zs[l - 2], steps.activations[l - 1], steps.slopes[l - 2]
    own, own_prime = {**OWN, "softplus": (F.softplus, sigmoid)}[f]
    assert np.array_equal(z, usual.zs[l - 2])
    np.testing.assert_allclose(a[j - 1], own(z[j - 1]), rtol=1e-14)
    np.testing.assert_allclose(slope[j - 1], own_prime(z[j - 1]), rtol=1e-14)
    assert np.array_equal(a[others], usual.activations[l - 1][others])
    assert np.array_equal(slope[others], usual.slopes[l - 2][others])
    upper = steps.nabla_a if l == len(sizes) else net.weights[l - 1].T @ steps.deltas[l - 1]
    np.testing.assert_allclose(steps.deltas[l - 2], upper * slope, rtol=1e-14)
    for delta, a_in, nabla_b, nabla_w in zip(steps.deltas, steps.activations, steps.nabla_b, steps.nabla_w):
        np.testing.assert_allclose(nabla_b[:, 0], np.mean(delta, axis=1), rtol=1e-10, atol=1e-15)
        assert deviation(nabla_w, np.mean(delta[:, None] * a_in, axis=-1)) <= 1e-10
    assume(attainable(net, x, y, 1e-12))
    largest = far(net.backprop(x, y), otherwise(net, by="engine").backprop(x, y))
    target(largest, label="T16")
    assert largest <= 1e-12


def test_T16_several_neurons_and_a_whole_layer():
    own = {(2, j): "tanh" for j in range(1, 5)} | {(3, 1): "linear"}
    net, x, y = drawn([3, 4, 2], 0, 3, own=own)
    zs, activations = net.forward(x, net.biases, net.weights)
    assert np.array_equal(activations[1], np.tanh(zs[0]))
    assert np.array_equal(activations[2][0], zs[1][0])
    assert far(net.backprop(x, y), otherwise(net, by="engine").backprop(x, y)) <= 1e-12


@given(sizes=WIDTHS, seed=SEEDS, m=st.integers(1, 4))
def test_T17_linear_neurons(sizes, seed, m):
    """δ^l = (w^{l+1})ᵀ … (w^L)ᵀ ∇_a C, and the whole net is one affine map: also for the engine."""
    net, x, y = drawn(sizes, seed, m, sigma="linear")
    assume(attainable(net, x, y, 1e-12))
    steps, L = net.five_steps(x, y), len(sizes)
    W, c = net.affine()
    np.testing.assert_allclose(W @ x + c, net.feedforward(x), rtol=1e-9, atol=1e-12)
    for l in range(2, L + 1):
        product = steps.nabla_a
        for w in reversed(net.weights[l - 1 :]):
            product = w.T @ product
        assert deviation(steps.deltas[l - 2], product) <= 1e-12
        assert deviation(net.affine(l)[0].T @ steps.nabla_a, product) <= 1e-11
    engine = otherwise(net, by="engine").backprop(x[:, :1], y[:, :1])[0]  # ∂C_x/∂b^l = δ^l
    for l, nabla_b in enumerate(engine, start=2):
        np.testing.assert_allclose(nabla_b, net.affine(l)[0].T @ steps.nabla_a[:, :1], rtol=1e-8, atol=1e-12)


def test_T17_other_neurons_are_not_affine():
    net = Network([3, 4, 2], rng=0)
    with pytest.raises(ValueError, match="no affine map from layer 1"):
        net.affine()
    with pytest.raises(ValueError, match=r"one of the layers 1 … 3"):
        Network([3, 4, 2], sigma="linear").affine(4)
    mixed = Network([3, 4, 2], own={(2, 1): "tanh", (3, 1): "linear", (3, 2): "linear"}, sigma="linear")
    with pytest.raises(ValueError, match="no affine map"):
        mixed.affine()


# ---- mini-batches --------------------------------------------------------------------------------------


@given(sizes=WIDTHS, seed=SEEDS, m=st.integers(1, 6), eta=st.floats(0.01, 5))
def test_T18_T20_an_update_is_the_mean_over_the_mini_batch(sizes, seed, m, eta):
    """w^l − (η/m) Σ_x δ^{x,l} (a^{x,l−1})ᵀ, by each of the four ways, from δ of each example by itself."""
    net, x, y = drawn(sizes, seed, m)
    examples = [(x[:, i : i + 1], y[:, i : i + 1]) for i in range(m)]
    steps = [net.five_steps(*example) for example in examples]
    w = [
        w - eta / m * sum(np.outer(s.deltas[i], s.activations[i]) for s in steps)
        for i, w in enumerate(net.weights)
    ]
    b = [b - eta / m * sum(s.deltas[i] for s in steps) for i, b in enumerate(net.biases)]
    before = copy.deepcopy((net.weights, net.biases))
    for by in ("hand", "engine"):
        for matrix in (False, True):
            other = otherwise(net, by=by, matrix=matrix)
            other.update_mini_batch(examples, eta)
            assert far((other.biases, other.weights), (b, w)) <= 1e-12
    assert far(before, (net.weights, net.biases)) == 0  # deep copies apart, nothing is written in place


@given(sizes=WIDTHS, seed=SEEDS, m=st.integers(2, 6))
def test_T20_the_matrix_form_is_written_out(sizes, seed, m):
    """Columns are examples, and the bias stands there as m repeated columns."""
    net, x, y = drawn(sizes, seed, m)
    A, Z = [x], []
    for w, b in zip(net.weights, net.biases):
        Z.append(np.matmul(w, A[-1]) + np.repeat(b, m, axis=1))
        A.append(1 / (1 + np.exp(-Z[-1])))
    D = [(A[-1] - y) * A[-1] * (1 - A[-1])]
    for w, a in zip(net.weights[:0:-1], A[-2:0:-1]):
        D.insert(0, np.matmul(w.T, D[0]) * a * (1 - a))
    nabla_b = [d @ np.ones((m, 1)) / m for d in D]
    nabla_w = [np.matmul(d, a.T) / m for d, a in zip(D, A)]
    assume(attainable(net, x, y, 1e-12))
    assert far(net.backprop(x, y), (nabla_b, nabla_w)) <= 1e-12


def test_T20_the_speed_up_of_any_net_and_batch():
    found = speed_up([5, 4, 3], 6, rounds=2)
    assert found.loop > 0 < found.matrix
    assert found.ratio == found.loop / found.matrix


def one_epoch(data, test_data, sizes, **options):
    net = Network(sizes, rng=7, **options)
    right = net.SGD(data, 1, 10, 3.0, test_data=test_data)
    return (net.biases, net.weights), right


def loop_of_the_book(data, sizes):
    """An epoch written without a class: the same start and batches."""
    rng = np.random.default_rng(7)
    b = [rng.standard_normal((n, 1)) for n in sizes[1:]]
    w = [rng.standard_normal((n, n_in)) for n_in, n in zip(sizes, sizes[1:])]  # noqa: RUF007
    order = rng.permutation(len(data))
    for i in range(0, len(data), 10):
        sums = [np.zeros_like(p) for p in (*b, *w)]
        chosen = order[i : i + 10]
        for x, y in (data[k] for k in chosen):
            a2 = 1 / (1 + np.exp(-(w[0] @ x + b[0])))
            a3 = 1 / (1 + np.exp(-(w[1] @ a2 + b[1])))
            d3 = (a3 - y) * a3 * (1 - a3)
            d2 = (w[1].T @ d3) * a2 * (1 - a2)
            for total, part in zip(sums, (d2, d3, d2 @ x.T, d3 @ a2.T)):
                total += part
        b = [p - 3.0 / len(chosen) * s for p, s in zip(b, sums[:2])]
        w = [p - 3.0 / len(chosen) * s for p, s in zip(w, sums[2:])]
    return b, w


WAYS = [{"by": by, "matrix": matrix} for by in ("hand", "engine") for matrix in (False, True)]


def same_after_an_epoch(train, test, sizes, ways):
    (x, labels), (x_test, labels_test) = train, test
    data, test_data = pairs(x, bp.data.one_hot(labels, 10, np.float64)), pairs(x_test, labels_test)
    with np.errstate(over="ignore"):
        expected = loop_of_the_book(data, sizes)
    results = [one_epoch(data, test_data, sizes, **way) for way in ways]
    assert max(far(parameters, expected) for parameters, _ in results) <= 1e-12
    assert len({tuple(right) for _, right in results}) == 1
    return results[0][1][0] / len(test_data)


def test_T19_T20_the_same_parameters_after_an_epoch_of_digits():
    train, test = bp.data.load_digits(np.float64)
    assert same_after_an_epoch(train, test, [64, 30, 10], WAYS) > 0.2


def test_T19_T20_the_same_parameters_after_an_epoch_of_mnist():
    folder = os.environ.get("TINYGRAD_BP_MNIST")
    if not folder:
        pytest.skip("TINYGRAD_BP_MNIST does not name a folder with MNIST files")
    ways = [way for way in WAYS if way != {"by": "engine", "matrix": False}]  # slow, and done on the digits
    assert same_after_an_epoch(*bp.data.load_mnist(folder, np.float64), [784, 30, 10], ways) > 0.3


def test_T19_SGD_learns_tells_and_leaves_the_data_alone(capsys):
    (x, labels), (x_test, labels_test) = bp.data.load_digits(np.float64)
    data, test_data = pairs(x, bp.data.one_hot(labels, 10)), pairs(x_test, labels_test)
    kept = list(data)
    net, told = Network([64, 30, 10], rng=0, matrix=True), []
    right = net.SGD(data, 8, 10, 3.0, test_data=test_data, log=told.append)
    assert right[-1] == net.evaluate(test_data) > 0.7 * len(test_data)
    assert told[-1] == f"epoch 8 of 8: {right[-1]} of 359 right"
    assert len(told) == len(right) == 8
    assert all(one is other for one, other in zip(data, kept))
    assert net.SGD(data[:5], 1, 10, 3.0) == []
    assert net.evaluate(pairs(x_test, bp.data.one_hot(labels_test, 10))) == net.evaluate(test_data)
    net.SGD(data[:5], 1, 10, 3.0, log=told.append)
    assert told[-1] == "epoch 1 of 1"
    assert capsys.readouterr().out == ""


# ---- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_vectors_rows_and_labels_are_refused(way):
    net = Network([3, 4, 2], rng=0, **way)
    x, y = np.ones((3, 1)), np.ones((2, 1))
    for bad in (np.ones(3), np.ones((1, 3)), np.ones((4, 1)), 1.0):
        with pytest.raises(ValueError, match=r"wrong shape of a(n input|.*target).*\(\d, 1\)"):
            net.update_mini_batch([(bad, y)], 1.0)
        if np.ndim(bad):
            with pytest.raises(ValueError, match=r"wrong shape of an input; expected columns, \(3, 1\)"):
                net.feedforward(bad)
    for bad in (np.ones(2), np.ones((1, 2)), np.ones((3, 1)), 1):
        with pytest.raises(ValueError, match=r"wrong shape of a target; expected columns, \(2, 1\)"):
            net.update_mini_batch([(x, bad)], 1.0)
    with pytest.raises(ValueError, match="at least one example"):
        net.update_mini_batch([], 1.0)
    with pytest.raises(ValueError, match="batch_size=0"):
        net.SGD([(x, y)], 1, 0, 1.0)


def test_nets_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"by='hand' or 'engine'.*got 'magic'"):
        Network([3, 2], by="magic")
    with pytest.raises(ValueError, match="two widths"):
        Network([3])
    with pytest.raises(ValueError, match=r"one of linear, sigmoid.*got 'softmax'"):
        Network([3, 2], sigma="softmax")
    for place in [(1, 1), (4, 1), (2, 0), (2, 5)]:
        with pytest.raises(ValueError, match=f"no neuron {place[1]} in layer {place[0]}"):
            Network([3, 4, 2], own={place: "tanh"})
