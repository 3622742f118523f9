"""Jacobians, Hessians, Gauss–Newton products, gradients per example: against rows and loops, and their errors."""

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp import derivatives, tree

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 3))
W = RNG.normal(size=(3, 2))


def row_by_row(f, *primals):
    """∂f/∂primals from one pullback per element."""
    y, pullback = bp.vjp(f, *primals)
    rows = [pullback(unit.reshape(np.shape(y))) for unit in np.eye(np.size(y))]
    return tuple(np.reshape(np.stack(parts), np.shape(y) + np.shape(parts[0])) for parts in zip(*rows))


def closed(a, b):
    for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-13)


def by_value(x, w):
    """What Python decides by values cannot be decided for many."""
    return x @ w if np.sum(w) > 0 else w * 2


def by_number(x, w):
    scale = np.zeros(2)
    scale[0] = np.max(x)
    return x @ w * (1.0 + scale)


FUNCTIONS = [
    lambda x, w: np.tanh(x @ w),
    lambda x, w: np.sum(np.exp(x[1:]), axis=-1, keepdims=True) * np.mean(w) ** 2,
    lambda x, w: np.linalg.solve(w.T @ w, w.T @ x.T),
    lambda x, w: np.concatenate([np.ravel(x), np.sort(w[:, 0])[::-1]]),
    lambda x, w: np.fft.rfft(x, axis=0).real * np.sum(np.where(w > 0, w, 0.1 * w)),
    lambda x, w: np.dot(w.T, x[0]),
    lambda x, w: x[[0, 2, 0], :][:, [[1, 1], [0, 2]]],
    lambda x, w: w[0],
    by_value,
]


@pytest.mark.parametrize("f", FUNCTIONS)
def test_all_rows_at_once_are_the_rows(f):
    closed(bp.jacobian(f, (0, 1))(X, W), row_by_row(f, X, W))


def test_more_rows_than_are_taken_at_once(monkeypatch):
    monkeypatch.setattr(derivatives, "AT_ONCE", 4)
    closed(bp.jacobian(lambda x: np.sin(x) * x[0])(X), row_by_row(lambda x: np.sin(x) * x[0], X)[0])


def test_one_sweep_pulls_back_all_rows():
    calls = []
    square = bp.primitive(lambda x: x * x).defvjp(lambda g, _y, x: calls.append(1) or g * 2 * x)
    np.testing.assert_array_equal(bp.jacobian(square)(np.arange(3.0)), np.diag([0.0, 2.0, 4.0]))
    assert len(calls) == 1


def test_a_rule_that_decides_by_values_is_asked_row_by_row():
    relu = bp.primitive(lambda x: np.maximum(x, 0))
    relu.defvjp(lambda g, _y, x: g * (x > 0) if np.any(g > 0) else g * 0)
    np.testing.assert_array_equal(bp.jacobian(relu)(np.array([-1.0, 2.0])), np.diag([0.0, 1.0]))


def test_jacobians_of_many_sizes_and_dtypes():
    assert bp.jacobian(np.sin)(1.0) == np.cos(1.0)
    assert bp.jacobian(lambda x: x[:0])(X).shape == (0, 3, 5, 3)
    assert bp.jacobian(lambda x: x * np.ones(3))(np.zeros(1)).shape == (3, 1)
    assert bp.jacobian(np.sin)(np.float32([1, 2])).dtype == np.float32
    both = bp.jacobian(lambda x: {"a": x, "b": x[0]})(np.ones(2))
    assert both["a"].shape == (2, 2)
    assert both["b"].shape == (2,)


def test_jacobians_in_jacobians_and_under_outer_transforms():
    cube = bp.jacobian(bp.jacobian(lambda x: x**3))(np.array([1.0, 2.0]))
    assert cube.shape == (2, 2, 2)
    np.testing.assert_array_equal(np.einsum("iii->i", cube), [6.0, 12.0])
    trace = bp.grad(lambda x: np.trace(bp.jacobian(lambda x: x**3)(x)))
    np.testing.assert_array_equal(trace(np.array([1.0, 2.0])), [6.0, 12.0])
    w = bp.Tensor([1.0, 2.0], requires_grad=True)
    np.sum(bp.jacobian(lambda x: np.sin(x) * w)(np.array([0.0, 0.0]))).backward()
    np.testing.assert_array_equal(w.grad, [1.0, 1.0])


def test_the_hessian_of_a_net():
    def cost(parts):
        w, b, v = parts
        return np.mean((np.tanh(X @ w + b) @ v - 1) ** 2)

    parts = (W, RNG.normal(size=2), RNG.normal(size=2))
    blocks = bp.hessian(lambda *parts: cost(parts), (0, 1, 2))(*parts)
    for block, vs in zip(blocks, parts):
        assert [np.shape(b) for b in block] == [vs.shape + p.shape for p in parts]
    directions = tuple(RNG.normal(size=p.shape) for p in parts)
    products = bp.hvp(lambda *parts: cost(parts), parts, directions)
    for block, product in zip(blocks, products):
        total = sum(np.tensordot(b, d, d.ndim) for b, d in zip(block, directions))
        np.testing.assert_allclose(total, product, rtol=1e-10)


# ---- gnvp ----------------------------------------------------------------------------------------------


def cross_entropy(z):
    return -np.sum(np.log(np.exp(z[:, 0]) / np.sum(np.exp(z), axis=1)))


@pytest.mark.parametrize("loss", [lambda y: np.sum(y**2) / 2, cross_entropy])
def test_gauss_newton_products_against_the_matrix(loss):
    f = lambda w: np.tanh(X @ w)
    v = RNG.normal(size=W.shape)
    jac = bp.jacobian(f)(W).reshape(10, 6)
    curvature = bp.hessian(loss)(f(W)).reshape(10, 10)
    expected = jac.T @ curvature @ jac @ v.ravel()
    np.testing.assert_allclose(bp.gnvp(f, loss, W, v).ravel(), expected, rtol=1e-11)


def test_gauss_newton_of_several_arguments_and_values():
    f = lambda a, b: {"sum": a + b, "product": a * b}
    loss = lambda y: np.sum(y["sum"] ** 2) + np.sum(y["product"] ** 2)
    found = bp.gnvp(f, loss, (2.0, 3.0), (1.0, 0.0))  # ∇²loss = 2, J = [[1, 1], [b, a]]
    assert found == (2.0 * (1 + 9), 2.0 * (1 + 6))


def test_gauss_newton_of_a_linear_function_is_the_hessian():
    f = lambda w: X @ w
    v = RNG.normal(size=W.shape)
    known = bp.hvp(lambda w: cross_entropy(f(w)), W, v)
    np.testing.assert_allclose(bp.gnvp(f, cross_entropy, W, v), known, rtol=1e-10, atol=1e-13)


# ---- per_example_grad ----------------------------------------------------------------------------------

T = RNG.normal(size=(5, 2))


def error(w, x, t):
    return np.sum((np.tanh(x @ w) - t) ** 2)


@pytest.mark.parametrize(
    "f",
    [
        error,
        lambda w, x, t: np.sum((np.dot(w.T, x) - t) ** 2) + np.sum(w**2),
        lambda w, x, t: np.linalg.norm(np.concatenate([x @ w, t])),
        lambda w, x, t: np.sum(by_value(x, w) * t),
        lambda w, x, t: np.sum(by_number(x, w) * t),
        lambda w, x, t: np.sum(w**2),
        lambda w, x, t: np.sum(w) * t.mean() if t.max() > 0 else np.prod(w) * x.sum(),
    ],
)
def test_gradients_per_example_are_those_of_a_loop(f):
    found = bp.per_example_grad(f)(W, X, T)
    closed(found, np.stack([bp.grad(f)(W, x, t) for x, t in zip(X, T)]))


def test_gradients_per_example_of_a_net():
    net = bp.nn.MLP([3, 4, 2], dtype=np.float64)
    labels = np.array([0, 1, 1, 0, 1])
    loss = lambda net, x, label: bp.nn.functional.cross_entropy(net(x[None]), label[None])
    with bp.no_grad():
        found = bp.per_example_grad(loss)(net, X, labels)
        rows = [bp.grad(loss)(net, x, label) for x, label in zip(X, labels)]
    expected = [np.stack(parts) for parts in zip(*([p.data for p in row.parameters()] for row in rows))]
    closed([p.data for p in found.parameters()], expected)


def test_all_examples_in_one_run():
    calls = []
    found = bp.per_example_grad(lambda w, x: calls.append(1) or np.sum(w * x))(W[:, 0], X)
    assert len(calls) == 1
    np.testing.assert_array_equal(found, X)


def test_examples_in_containers_and_argnums():
    f = lambda batch, scale, w, power=1: np.sum((batch["x"] @ w * scale) ** power)
    found = bp.per_example_grad(f, argnums=(1, 2))({"x": X}, 2.0, W, power=2)
    rows = [bp.grad(f, (1, 2))({"x": x}, 2.0, W, power=2) for x in X]
    closed(found, tuple(np.stack(parts) for parts in zip(*rows)))
    last = bp.per_example_grad(error, -3)(W, X, T)
    closed(last, bp.per_example_grad(error)(W, X, T))


def test_a_jacobian_per_example():
    f = lambda w, x: np.trace(bp.jacobian(lambda x: np.tanh(x @ w @ w.T))(x))
    closed(bp.per_example_grad(f)(W, X), np.stack([bp.grad(f)(W, x) for x in X]))


def test_no_examples():
    assert bp.per_example_grad(error)(W, X[:0], T[:0]).shape == (0, 3, 2)


@pytest.mark.parametrize("examples", [(X, T[:4]), (X, 1.0), ()])
def test_examples_must_be_as_many(examples):
    with pytest.raises(
        ValueError, match=r"needs examples along a leading axis.*expected arrays of one length"
    ):
        bp.per_example_grad(lambda w, *xs: np.sum(w))(W, *examples)


def test_a_wrong_function_is_wrong_for_one_example_too():
    with pytest.raises(TypeError, match="grad needs a function with one real number"):
        bp.per_example_grad(lambda w, x: w * x)(W[:, 0], X)
