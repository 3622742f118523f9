"""Linear, Sequential, and what they say to wrong batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import nn


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 5), st.booleans(), st.integers(0, 99))
def test_linear_is_x_times_the_transposed_weight(n_in, n_out, m, bias, seed):
    layer = nn.Linear(n_in, n_out, bias, rng=seed)
    assert layer.weight.shape == (n_out, n_in)
    assert layer.weight.dtype == np.float32
    x = np.random.default_rng(seed).normal(size=(m, n_in)).astype(np.float32)
    z = layer(x)
    expected = np.stack([layer.weight.data @ row for row in x]) if m else np.zeros((0, n_out))
    if bias:
        expected = expected + layer.bias.data
    else:
        assert layer.bias is None
    np.testing.assert_allclose(z.data, expected, rtol=1e-5, atol=1e-6)
    assert z.dtype == np.float32


def test_linear_takes_one_example_and_any_leading_axes():
    layer = nn.Linear(3, 2, rng=0)
    x = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    z = layer(x)
    assert z.shape == (4, 5, 2)
    np.testing.assert_allclose(z.data[1, 2], layer(x[1, 2]).data, rtol=1e-6)


def test_linear_is_recorded_as_primitives():
    with bp.observe() as run:
        nn.Linear(3, 2, rng=0)(np.ones((1, 3), np.float32))
    assert [seen.op for seen in run] == ["transpose", "matmul", "add"]
    assert [run.nodes[0].parents[0].name, run.nodes[2].parents[1].name] == ["weight", "bias"]


def test_linear_starts_uniform_within_one_over_root_n_in():
    layer = nn.Linear(100, 50, rng=0)
    for array in (layer.weight.data, layer.bias.data):
        assert 0.09 < np.abs(array).max() <= 0.1
    np.testing.assert_array_equal(layer.weight.data, nn.Linear(100, 50, rng=0).weight.data)
    generator = np.random.default_rng(0)
    np.testing.assert_array_equal(layer.weight.data, nn.Linear(100, 50, rng=generator).weight.data)
    assert np.any(layer.weight.data != nn.Linear(100, 50).weight.data)


def test_a_wider_batch_is_an_error_that_names_both_ways_out():
    layer = nn.Linear(3, 2, rng=0)
    for x in (np.ones((1, 3)), np.ones((1, 3), int), bp.Tensor(np.ones((1, 3)))):
        with pytest.raises(TypeError, match=r"x\.astype\(np\.float32\).*net\.astype\(np\.float64\)"):
            layer(x)
    layer.astype(np.float64)
    assert layer(np.ones((1, 3))).dtype == np.float64
    assert layer(np.ones((1, 3), np.float32)).dtype == np.float64
    assert nn.Linear(3, 2)(np.ones((1, 3), np.uint8)).dtype == np.float32


@pytest.mark.parametrize("shape", [(3, 1), (4,), (), (2, 3, 2)])
def test_a_mis_shaped_batch_is_an_error_with_both_shapes(shape):
    with pytest.raises(ValueError, match="batch of the wrong shape") as error:
        nn.Linear(3, 2, rng=0)(np.ones(shape, np.float32))
    assert str(shape) in str(error.value)
    assert "(2, 3)" in str(error.value)


def test_a_list_is_no_batch():
    with pytest.raises(TypeError, match=r"needs an array.*np\.asarray"):
        nn.Linear(3, 2, rng=0)([[1.0, 2.0, 3.0]])


@pytest.mark.parametrize("widths", [(0, 1), (2, -1), (2.0, 1), (True, 2)])
def test_widths_are_positive_integers(widths):
    with pytest.raises(ValueError, match="positive widths"):
        nn.Linear(*widths)


def test_sequential_composes_indexes_and_iterates():
    parts = [nn.Linear(3, 4, rng=0), np.tanh, nn.Linear(4, 2, rng=1), nn.Softmax()]
    net = nn.Sequential(*parts)
    x = np.ones((5, 3), np.float32)
    np.testing.assert_array_equal(net(x).data, parts[3](parts[2](np.tanh(parts[0](x)))).data)
    assert list(net) == parts
    assert len(net) == 4
    assert net[-1] is parts[3]
    assert list(net[1:3]) == parts[1:3]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_sequential_with_more_than_ten_parts_keeps_their_order():
    net = nn.Sequential(*[lambda x, i=i: [*x, i] for i in range(12)])
    assert net([]) == list(range(12))


def test_sequential_refuses_what_cannot_be_called():
    with pytest.raises(TypeError, match="part 1"):
        nn.Sequential(np.tanh, 3.0)
    with pytest.raises(TypeError, match=r"Sequential\(\*parts\)"):
        nn.Sequential([np.tanh])
