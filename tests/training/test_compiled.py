"""fit(compile=True) trains as fit does."""

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.nn import functional as F

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(23, 4)), RNG.integers(0, 3, 23)


def trained(compile, **settings):
    net = bp.nn.Sequential(
        bp.nn.Linear(4, 6, rng=0, dtype=float),
        np.tanh,
        bp.nn.Dropout(0.2, rng=1),
        bp.nn.Linear(6, 3, rng=2, dtype=float),
    )
    optimizer = bp.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    history = bp.training.fit(
        net, (X, LABELS), F.cross_entropy, optimizer, 4, batch_size=5, rng=3, test_data=(X, LABELS), compile=compile
    )  # fmt: skip
    return net, history


def test_the_same_training():
    (eager, told), (compiled, also) = trained(False), trained(True)
    np.testing.assert_allclose(also.step_losses, told.step_losses, rtol=1e-9)
    assert (also.accuracy, also.test_accuracy) == (told.accuracy, told.test_accuracy)
    for p, q in zip(eager.parameters(), compiled.parameters()):
        np.testing.assert_allclose(q.data, p.data, rtol=1e-9)


def test_a_cost_that_is_not_finite_ends_it():
    net = bp.nn.Linear(4, 1, rng=0, dtype=float)
    optimizer = bp.optim.SGD(net.parameters(), lr=1e200)
    with (
        np.errstate(all="ignore"),
        pytest.raises(FloatingPointError, match=r"the cost is (inf|nan) in epoch"),
    ):
        bp.training.fit(net, (X, X[:, :1]), F.mse_loss, optimizer, 9, rng=0, compile=True)
