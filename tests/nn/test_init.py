"""Starts have the variances of their sources."""

import math

import numpy as np
import pytest

from tinygrad_bp.nn import init

N_OUT, N_IN = 300, 200
DEVIATION = {
    "zeros": 0.0,
    "standard_normal": 1.0,
    "xavier_uniform": math.sqrt(2 / (N_IN + N_OUT)),
    "xavier_normal": math.sqrt(2 / (N_IN + N_OUT)),
    "kaiming_uniform": math.sqrt(2 / N_IN),
    "kaiming_normal": math.sqrt(2 / N_IN),
}


def test_every_named_start_is_in_this_table():
    assert set(DEVIATION) == set(init.BY_NAME)


@pytest.mark.parametrize("name", DEVIATION)
def test_a_weight_has_the_deviation_of_its_source(name):
    weight = init.initializer(name)(np.random.default_rng(0), (N_OUT, N_IN), np.float64)
    assert weight.shape == (N_OUT, N_IN)
    assert abs(weight.mean()) < 0.02 * max(DEVIATION[name], 1e-9) + 1e-12
    np.testing.assert_allclose(weight.std(), DEVIATION[name], rtol=0.02)
    if name.endswith("_uniform"):
        assert np.abs(weight).max() <= math.sqrt(3) * DEVIATION[name]


@pytest.mark.parametrize("name", DEVIATION)
def test_a_bias_is_zero_but_for_the_books(name):
    bias = init.initializer(name)(np.random.default_rng(0), (N_OUT,), np.float32)
    assert bias.shape == (N_OUT,)
    assert bias.dtype == np.float32
    assert bool(np.any(bias)) == (name == "standard_normal")


def test_a_function_of_ones_own():
    def ones(rng, shape, dtype):
        return np.ones(shape, dtype)

    assert init.initializer(ones) is ones
