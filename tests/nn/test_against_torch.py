"""The functions of `nn.functional`, and SGD, against PyTorch's of the same names."""

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp import nn
from tinygrad_bp.nn import functional as F

pytestmark = pytest.mark.oracle

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(5, 4)) * 3
P, T = RNG.uniform(0.05, 0.95, (5, 4)), RNG.uniform(0, 1, (5, 4))
LABELS = RNG.integers(0, 4, 5)
SHARES = T / T.sum(1, keepdims=True)

ACTIVATIONS = [
    ("sigmoid", {}),
    ("tanh", {}),
    ("relu", {}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("softplus", {}),
    ("softplus", {"beta": 2.0}),
    ("softmax", {"dim": 0}),
    ("softmax", {"dim": 1}),
    ("log_softmax", {"dim": 1}),
    ("logsumexp", {"dim": 1}),
    ("logsumexp", {"dim": 0, "keepdim": True}),
]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.mark.parametrize(("name", "settings"), ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations(torch, name, settings, dtype):
    x = np.concatenate([Z, [[-1000, -50, 50, 1000], [-19, 19, 0.5, -0.5]]]).astype(dtype)
    theirs = torch.logsumexp if name == "logsumexp" else getattr(torch.nn.functional, name)
    t = torch.tensor(x, requires_grad=True)
    expected = theirs(t, **settings)
    u = RNG.normal(size=expected.shape).astype(dtype)
    expected.backward(torch.tensor(u))
    y, pullback = bp.vjp(lambda x: getattr(F, name)(x, **settings), x)
    tolerance = dict(rtol=2e-5, atol=1e-6) if dtype is np.float32 else dict(rtol=1e-8, atol=1e-9)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected.detach().numpy(), **tolerance)
    np.testing.assert_allclose(pullback(u)[0], t.grad.numpy(), **tolerance)


@pytest.mark.parametrize(
    ("name", "input", "target"),
    [
        ("mse_loss", Z, T),
        ("cross_entropy", Z, LABELS),
        ("cross_entropy", Z * 300, LABELS),
        ("cross_entropy", Z, SHARES),
        ("cross_entropy", Z[0], LABELS[0]),
        ("binary_cross_entropy", P, T),
        ("binary_cross_entropy_with_logits", Z, T),
        ("binary_cross_entropy_with_logits", Z * 300, np.round(T)),
    ],
)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_costs_to_second_order(torch, name, input, target, reduction):
    t = torch.tensor(input, requires_grad=True)
    expected = getattr(torch.nn.functional, name)(t, torch.tensor(target), reduction=reduction)
    u = RNG.normal(size=expected.shape)
    (gradient,) = torch.autograd.grad(expected, t, torch.tensor(u), create_graph=True)
    v = RNG.normal(size=input.shape)
    (product,) = torch.autograd.grad(gradient, t, torch.tensor(v))

    def of(x):
        return getattr(F, name)(x, target, reduction=reduction)

    np.testing.assert_allclose(of(input), expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    found = bp.vjp(of, input)[1](u)[0]
    np.testing.assert_allclose(found, gradient.detach().numpy(), rtol=1e-11, atol=1e-13)
    second = bp.hvp(lambda x: np.sum(of(x) * u), input, v)
    np.testing.assert_allclose(second, product.numpy(), rtol=1e-9, atol=1e-12)


def test_binary_cross_entropy_is_cut_off_where_pytorchs_is(torch):
    p, t = np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 1.0])
    expected = torch.nn.functional.binary_cross_entropy(torch.tensor(p), torch.tensor(t), reduction="none")
    np.testing.assert_array_equal(F.binary_cross_entropy(p, t, reduction="none"), expected.numpy())


@pytest.mark.parametrize(
    "settings",
    [
        dict(lr=0.1),
        dict(lr=0.1, momentum=0.9),
        dict(lr=0.1, momentum=0.9, dampening=0.3),
        dict(lr=0.1, momentum=0.9, nesterov=True),
        dict(lr=0.1, weight_decay=0.05),
        dict(lr=0.1, momentum=0.5, weight_decay=0.05, nesterov=True),
        dict(lr=0.01, momentum=0.5, dampening=0.1, weight_decay=0.1, maximize=True),
    ],
    ids=str,
)
def test_sgd_walks_pytorchs_way(torch, settings):
    """Ten steps of a small net on its own batches, the learning rate halved on the way."""
    net = nn.MLP([4, 5, 3], activation="tanh", output="linear", rng=0, dtype=np.float64)
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)).double()
    for layer, p in zip(net.layers, (theirs[0], theirs[2])):
        p.weight.data, p.bias.data = torch.tensor(layer.weight.data), torch.tensor(layer.bias.data)
    sgd, their_sgd = (
        bp.optim.SGD(net.parameters(), **settings),
        torch.optim.SGD(theirs.parameters(), **settings),
    )
    labels = LABELS % 3
    for step in range(10):
        if step == 5:
            sgd.lr = their_sgd.param_groups[0]["lr"] = settings["lr"] / 2
        sgd.zero_grad()
        their_sgd.zero_grad()
        F.cross_entropy(net(Z), labels).backward()
        torch.nn.functional.cross_entropy(theirs(torch.tensor(Z)), torch.tensor(labels)).backward()
        sgd.step()
        their_sgd.step()
    for p, q in zip(net.parameters(), theirs.parameters()):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-11, atol=1e-13)


def test_linear_starts_as_pytorchs(torch):
    """The same distribution: U(±1/√n_in) for weight and bias."""
    theirs, ours = torch.nn.Linear(400, 300), nn.Linear(400, 300, rng=0)
    for a, b in ((theirs.weight, ours.weight), (theirs.bias, ours.bias)):
        a = a.detach().numpy()
        np.testing.assert_allclose(b.data.std(), a.std(), rtol=0.1)
        np.testing.assert_allclose(np.abs(b.data).max(), np.abs(a).max(), rtol=0.02)
    assert ours.weight.shape == tuple(theirs.weight.shape)
