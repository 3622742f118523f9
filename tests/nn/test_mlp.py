"""MLP: layers, activations, starts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import nn
from tinygrad_bp.nn import functional as F


@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=6),
    st.sampled_from(["sigmoid", "tanh", "relu", "leaky_relu", "softplus", "linear"]),
    st.sampled_from([None, "linear", "softmax"]),
    st.integers(0, 99),
)
def test_an_mlp_is_its_layers_one_after_the_other(sizes, activation, output, seed):
    net = nn.MLP(sizes, activation, output, rng=seed, dtype=np.float64)
    assert net.sizes == sizes
    assert len(net.layers) == len(net.activations) == len(sizes) - 1
    a = x = np.random.default_rng(seed).normal(size=(3, sizes[0]))
    for layer, act in zip(net.layers, net.activations):
        z = a @ layer.weight.data.T + layer.bias.data
        a = act(z)
    np.testing.assert_allclose(net(x).data, a, rtol=1e-12)


def test_the_books_way_and_logits():
    book, logits = nn.MLP([2, 3, 2]), nn.MLP([2, 3, 2], output="linear")
    assert book.activations == [F.sigmoid, F.sigmoid]
    assert logits.activations == [F.sigmoid, F.identity]


def test_a_different_activation_in_each_layer():
    leaky = nn.LeakyReLU(0.2)
    net = nn.MLP([2, 3, 3, 1], ["tanh", leaky, np.exp])
    assert net.activations == [F.tanh, leaky, np.exp]
    assert repr(net).splitlines()[0] == "MLP([2, 3, 3, 1], tanh, LeakyReLU(negative_slope=0.2), exp)"
    assert dict(net.named_modules())["activations.1"] is leaky


def test_the_start_is_the_books_if_asked():
    net = nn.MLP([200, 100, 10], init="standard_normal", rng=0)
    drawn = np.concatenate([p.data.ravel() for p in net.parameters()])
    assert abs(drawn.mean()) < 0.03
    assert abs(drawn.std() - 1) < 0.03
    assert 0.5 < net.layers[0].bias.data.std() < 1.5


def test_one_seed_is_one_net_in_every_dtype():
    for init in (None, *nn.init.BY_NAME):
        single, double = (nn.MLP([4, 3, 2], rng=5, dtype=t, init=init) for t in (np.float32, np.float64))
        for p, q in zip(single.parameters(), double.parameters()):
            assert (p.dtype, q.dtype) == (np.float32, np.float64)
            np.testing.assert_array_equal(p.data, q.data.astype(np.float32))


def test_the_layers_of_one_net_start_differently():
    first, second = nn.MLP([3, 3, 3], rng=0).layers
    assert np.all(first.weight.data != second.weight.data)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(sizes=[3]), "two widths"),
        (dict(sizes=[3, 0]), "positive widths"),
        (dict(sizes=[3, 2], activation="sigmoidal"), "sigmoidal"),
        (dict(sizes=[3, 2], output="lin"), "linear"),
        (dict(sizes=[3, 2, 1], activation=["tanh"]), "2 activations"),
        (dict(sizes=[3, 2, 1], activation=["tanh", "tanh"], output="linear"), "output=None"),
        (dict(sizes=[3, 2], init="normal"), "standard_normal"),
        (dict(sizes=[3, 2], init=lambda rng, shape, dtype: np.zeros(7)), r"\(2, 3\)"),
    ],
)
def test_wrong_arguments_are_told(arguments, words):
    with pytest.raises(ValueError, match=words):
        nn.MLP(**arguments)


def test_a_float64_batch_names_astype():
    with pytest.raises(TypeError, match="astype"):
        nn.MLP([3, 2], rng=0)(np.ones((1, 3)))


def test_second_derivatives_of_a_net():
    net = nn.MLP([2, 3, 1], ["softplus", "sigmoid"], rng=0, dtype=np.float64)
    assert bp.gradcheck(lambda x: np.sum(net(x)), np.array([[0.3, -0.4]]), order=2)
