"""Activations and costs: values from their definitions, right gradients at orders 1 and 2, also at extremes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_bp as bp
from tinygrad_bp import nn
from tinygrad_bp.nn import functional as F

Z = np.array([[-2.0, -0.4, 0.7], [1.3, 0.2, -3.1]])
P = np.array([[0.2, 0.5, 0.9], [0.01, 0.7, 0.4]])
T = np.array([[0.0, 1.0, 1.0], [0.0, 0.3, 1.0]])
LABELS = np.array([2, 0])
EXTREMES = [-1000.0, -100.0, -20.0, 0.0, 20.0, 100.0, 1000.0]
DTYPES = [np.float32, np.float64]


def slope(f, x):
    return bp.elementwise_grad(f)(x)


def σ(z):
    return 1 / (1 + math.exp(-z)) if z > -700 else 0.0


# ---- activations -------------------------------------------------------------------------------------------

ACTIVATIONS = {
    F.sigmoid: (nn.Sigmoid(), σ),
    F.tanh: (nn.Tanh(), math.tanh),
    F.relu: (nn.ReLU(), lambda z: max(z, 0.0)),
    F.leaky_relu: (nn.LeakyReLU(), lambda z: z if z > 0 else 0.01 * z),
    F.softplus: (nn.Softplus(), lambda z: max(z, 0.0) + math.log1p(math.exp(-abs(z)))),
    F.identity: (nn.Identity(), lambda z: z),
}


@pytest.mark.parametrize("f", ACTIVATIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_elementwise_activation_is_its_formula(f, dtype):
    module, formula = ACTIVATIONS[f]
    x = np.concatenate([Z.ravel(), EXTREMES]).astype(dtype)
    expected = [formula(float(z)) for z in x]
    for y in (f(x), module(x), f(bp.Tensor(x, requires_grad=True)).data):
        assert y.dtype == dtype
        np.testing.assert_allclose(y, expected, rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)
    derivative = slope(f, x)
    assert derivative.dtype == dtype
    assert np.all(np.isfinite(derivative))
    assert np.all(np.isfinite(slope(lambda z: slope(f, z), x)))


@pytest.mark.parametrize("f", [*ACTIVATIONS, F.softmax, F.log_softmax], ids=lambda f: f.__name__)
def test_derivatives_of_activations(f):
    assert bp.gradcheck(f, Z, order=2)


def test_the_softmax_family_over_any_axis():
    e = np.exp(Z)
    for dim in (0, 1, -1):
        total = e.sum(dim, keepdims=True)
        np.testing.assert_allclose(F.softmax(Z, dim), e / total, rtol=1e-14)
        np.testing.assert_allclose(nn.Softmax(dim)(Z), e / total, rtol=1e-14)
        np.testing.assert_allclose(F.log_softmax(Z, dim), np.log(e / total), rtol=1e-13)
        np.testing.assert_allclose(nn.LogSoftmax(dim)(Z), np.log(e / total), rtol=1e-13)
        np.testing.assert_allclose(F.logsumexp(Z, dim), np.log(total).squeeze(dim), rtol=1e-14)
        np.testing.assert_allclose(F.logsumexp(Z, dim, keepdim=True), np.log(total), rtol=1e-14)
        assert bp.gradcheck(lambda z, dim=dim: F.logsumexp(z, dim), Z, order=2)


def test_settings_of_activations_count():
    assert float(F.leaky_relu(np.array(-2.0), 0.5)) == -1.0
    assert float(nn.LeakyReLU(0.5)(np.array(-2.0))) == -1.0
    np.testing.assert_allclose(F.softplus(Z, 3.0), np.log1p(np.exp(3 * Z)) / 3, rtol=1e-14)
    np.testing.assert_array_equal(nn.Softplus(3.0)(Z), F.softplus(Z, 3.0))
    assert bp.gradcheck(lambda z: F.softplus(z, 3.0), Z, order=2)


# ---- costs ---------------------------------------------------------------------------------------------------

SMOOTH = {
    "quadratic_cost": lambda z: F.quadratic_cost(z, T),
    "mse_loss": lambda z: F.mse_loss(z, T),
    "cross_entropy, labels": lambda z: F.cross_entropy(z, LABELS),
    "cross_entropy, probabilities": lambda z: F.cross_entropy(z, T),
    "cross_entropy, one example": lambda z: F.cross_entropy(z[0], 1),
    "binary_cross_entropy": lambda z: F.binary_cross_entropy(F.sigmoid(z), T),
    "binary_cross_entropy_with_logits": lambda z: F.binary_cross_entropy_with_logits(z, T),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_of_costs(name):
    assert bp.gradcheck(SMOOTH[name], Z, order=2)


@pytest.mark.parametrize("name", SMOOTH)
def test_costs_keep_float32(name):
    z = bp.Tensor(Z.astype(np.float32), requires_grad=True)
    cost = SMOOTH[name](z)
    cost.backward()
    assert cost.dtype == z.grad.dtype == np.float32
    assert cost.shape == ()


def by_definition(kind, input, target):
    """One number per element or example."""
    if kind == "mse_loss":
        return (input - target) ** 2
    if kind == "binary_cross_entropy":
        return -(target * np.log(input) + (1 - target) * np.log(1 - input))
    if kind == "binary_cross_entropy_with_logits":
        return by_definition("binary_cross_entropy", 1 / (1 + np.exp(-input)), target)
    log_p = np.log(np.exp(input) / np.exp(input).sum(1, keepdims=True))
    return -log_p[range(len(target)), target] if target.ndim == 1 else -(target * log_p).sum(1)


@pytest.mark.parametrize(
    ("kind", "module", "input", "target"),
    [
        ("mse_loss", nn.MSELoss, Z, T),
        ("cross_entropy", nn.CrossEntropyLoss, Z, LABELS),
        ("cross_entropy", nn.CrossEntropyLoss, Z, T),
        ("binary_cross_entropy", nn.BCELoss, P, T),
        ("binary_cross_entropy_with_logits", nn.BCEWithLogitsLoss, Z, T),
    ],
)
@pytest.mark.parametrize(("reduction", "reduce"), [("mean", np.mean), ("sum", np.sum), ("none", np.array)])
def test_a_cost_is_its_definition(kind, module, input, target, reduction, reduce):
    expected = reduce(by_definition(kind, input, target))
    for cost in (getattr(F, kind)(input, target, reduction=reduction), module(reduction)(input, target)):
        np.testing.assert_allclose(cost, expected, rtol=1e-13)
    assert module(reduction).describe() == f"reduction={reduction!r}"


def test_quadratic_cost_is_half_the_mean_over_examples_of_summed_squares():
    expected = np.mean([0.5 * np.linalg.norm(y - a) ** 2 for a, y in zip(Z, T)])
    np.testing.assert_allclose(F.quadratic_cost(Z, T), expected, rtol=1e-14)
    np.testing.assert_allclose(F.quadratic_cost(Z[0], T[0]), 0.5 * np.sum((Z[0] - T[0]) ** 2), rtol=1e-14)
    np.testing.assert_allclose(F.mse_loss(Z, T), 2 / Z.shape[1] * expected, rtol=1e-14)


def test_the_gradient_of_the_quadratic_cost_is_a_minus_y_over_m():
    np.testing.assert_allclose(bp.grad(F.quadratic_cost)(Z, T), (Z - T) / len(Z), rtol=1e-14)


@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 4), st.integers(2, 5)), elements=st.floats(-1000, 1000, width=32)
    ),
    st.data(),
)
def test_cross_entropy_pulls_softmax_minus_one_hot(z, data):
    labels = data.draw(hnp.arrays(np.int64, len(z), elements=st.integers(0, z.shape[1] - 1)))
    gradient = bp.grad(F.cross_entropy)(z, labels)
    hot = bp.data.one_hot(labels, z.shape[1])
    np.testing.assert_allclose(gradient, (F.softmax(z) - hot) / len(z), atol=1e-6)
    np.testing.assert_allclose(F.cross_entropy(z, hot), F.cross_entropy(z, labels), rtol=1e-5, atol=1e-6)
    assert np.isfinite(F.cross_entropy(z, labels))


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_at_extreme_logits(dtype):
    z = np.array([[1000.0, -1000.0], [-1000.0, 1000.0]], dtype)
    value, gradient = bp.value_and_grad(F.cross_entropy)(z, np.array([0, 0]))
    assert value == 1000.0
    np.testing.assert_array_equal(gradient, np.array([[0, 0], [-0.5, 0.5]], dtype))
    second = bp.hvp(lambda z: F.cross_entropy(z, np.array([0, 0])), z, np.ones_like(z))
    np.testing.assert_array_equal(second, np.zeros_like(z))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("t", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("z", EXTREMES)
def test_logits_of_any_size(dtype, t, z):
    """C = t softplus(−z) + (1 − t) softplus(z); C′ = σ(z) − t; C″ = σ(z) σ(−z). The first two lose no digit in the tails."""

    def cost(x):
        return F.binary_cross_entropy_with_logits(x, np.array([t]))

    def softplus(x):
        return max(x, 0.0) + math.log1p(math.exp(-abs(x)))

    x, eps, tiny = np.array([z], dtype), np.finfo(dtype).eps, np.finfo(dtype).tiny
    value, gradient = bp.value_and_grad(cost)(x)
    np.testing.assert_allclose(value, t * softplus(-z) + (1 - t) * softplus(z), rtol=4 * eps, atol=tiny)
    np.testing.assert_allclose(gradient, [(1 - t) * σ(z) - t * σ(-z)], rtol=8 * eps, atol=tiny)
    np.testing.assert_allclose(bp.hvp(cost, x, np.ones(1, dtype)), [σ(z) * σ(-z)], rtol=8 * eps, atol=eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("p", "t", "value", "gradient", "curvature"),
    [
        (0.0, 0.0, 0.0, 1.0, 1.0),  # −log(1 − p)
        (1.0, 1.0, 0.0, -1.0, 1.0),  # −log p
        (0.0, 1.0, 100.0, 0.0, 0.0),  # cut off
        (1.0, 0.0, 100.0, 0.0, 0.0),
        (0.0, 0.5, 50.0, 0.5, 0.5),  # half of each
    ],
)
def test_certain_probabilities(dtype, p, t, value, gradient, curvature):
    def cost(x):
        return F.binary_cross_entropy(x, np.array([t]))

    x = np.array([p], dtype)
    found, slope = bp.value_and_grad(cost)(x)
    assert found == value
    assert found.dtype == dtype
    np.testing.assert_array_equal(slope, [gradient])
    np.testing.assert_array_equal(bp.hvp(cost, x, np.ones(1, dtype)), [curvature])


@pytest.mark.parametrize("dtype", DTYPES)
def test_small_probabilities_lose_no_digit(dtype):
    p = np.array([1e-12], dtype)
    np.testing.assert_allclose(F.binary_cross_entropy(p, np.zeros(1)), p[0], rtol=1e-6)


# ---- targets are data ------------------------------------------------------------------------------------------

COSTS = [
    F.quadratic_cost,
    F.mse_loss,
    F.cross_entropy,
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
]


@pytest.mark.parametrize("cost", COSTS, ids=lambda f: f.__name__)
def test_no_gradient_flows_to_targets(cost):
    p, t = bp.Tensor(P, requires_grad=True), bp.Tensor(T, requires_grad=True)
    cost(p * 1.0, t * 1.0).backward()
    assert t.grad is None
    assert np.any(p.grad)
    np.testing.assert_array_equal(bp.grad(cost, 1)(P, T), np.zeros_like(T))


@pytest.mark.parametrize("cost", COSTS, ids=lambda f: f.__name__)
def test_targets_take_the_inputs_dtype(cost):
    value = cost(P.astype(np.float32), T)
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, cost(P, T), rtol=1e-5)
    whole = np.round(T)
    np.testing.assert_array_equal(cost(P, whole.astype(int)), cost(P, whole))


@pytest.mark.parametrize("cost", COSTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [(3, 2), (2,), (2, 1), (1, 3), ()])
def test_targets_are_never_broadcast(cost, shape):
    with pytest.raises((ValueError, TypeError)) as error:
        cost(P, np.full(shape, 0.5))
    assert str(shape) in str(error.value) or "integers" in str(error.value)


@pytest.mark.parametrize("cost", COSTS, ids=lambda f: f.__name__)
def test_nothing_to_average_is_an_error(cost):
    with pytest.raises(ValueError, match=r"\(0, 3\)"):
        cost(np.zeros((0, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize("cost", COSTS[1:], ids=lambda f: f.__name__)
def test_an_unknown_reduction_is_an_error(cost):
    with pytest.raises(ValueError, match="'mean', 'sum' or 'none'"):
        cost(P, T, reduction="average")


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        (np.array([1.0, 2.0]), TypeError, r"integers.*astype\(int\)"),
        (np.array([True, False]), TypeError, "integers"),
        (np.array([0, 3]), ValueError, "0 … 2.*got 3"),
        (np.array([-1, 0]), ValueError, "0 … 2.*got -1"),
        (np.array([0, 1, 2]), ValueError, r"\(3,\)"),
        (np.array([[0], [1]]), ValueError, r"\(2, 1\)"),
    ],
)
def test_wrong_labels_are_told(labels, error, words):
    with pytest.raises(error, match=words):
        F.cross_entropy(Z, labels)


def test_cross_entropy_needs_rows_of_logits():
    with pytest.raises(ValueError, match=r"\(m, K\)"):
        F.cross_entropy(np.zeros((2, 3, 4)), np.zeros((2, 4), int))


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match="with_logits"):
        F.binary_cross_entropy(np.array([0.5, p]), np.zeros(2))


def test_a_complex_target_is_refused():
    with pytest.raises(TypeError, match="complex128"):
        F.mse_loss(Z, T + 1j)
