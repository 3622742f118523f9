"""Dropout: what is dropped, what is kept, and which gradient flows."""

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.nn import functional as F


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_elements_are_dropped_or_scaled_and_so_are_gradients(dtype):
    x = bp.Tensor(np.full((40, 50), 3.0, dtype), requires_grad=True)
    y = F.dropout(x, 0.25, rng=np.random.default_rng(0))
    assert y.dtype == dtype
    kept = y.data != 0
    np.testing.assert_allclose(y.data[kept], 4.0, rtol=1e-6)
    assert abs(kept.mean() - 0.75) < 5 * np.sqrt(0.25 * 0.75 / x.size)
    np.sum(y).backward()
    np.testing.assert_allclose(x.grad, np.where(kept, dtype(4 / 3), 0), rtol=1e-6)


def test_the_same_seed_drops_the_same():
    x = np.ones((5, 6))
    masks = [bp.nn.Dropout(0.5, rng=3)(x) for _ in range(2)]
    np.testing.assert_array_equal(*masks)
    layer = bp.nn.Dropout(0.5, rng=3)
    assert not np.array_equal(layer(x), layer(x))


def test_the_ends_of_p_and_evaluation():
    x = np.ones(7)
    np.testing.assert_array_equal(bp.nn.Dropout(1.0, rng=0)(x), np.zeros(7))
    np.testing.assert_array_equal(bp.nn.Dropout(0.0, rng=0)(x), x)
    assert bp.nn.Dropout(0.9, rng=0).eval()(x) is x
    assert F.dropout(x, 0.9, training=False, rng=np.random.default_rng(0)) is x


@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan])
def test_p_is_a_probability(p):
    with pytest.raises(ValueError, match="wrong p; expected a probability"):
        bp.nn.Dropout(p)
    with pytest.raises(ValueError, match="wrong p; expected a probability"):
        F.dropout(np.ones(2), p, rng=np.random.default_rng(0))


def test_gradcheck_at_a_fixed_mask():
    def f(x):
        return F.dropout(x, 0.5, rng=np.random.default_rng(5)) ** 3

    bp.gradcheck(f, np.linspace(1.0, 2.0, 6), order=2)
