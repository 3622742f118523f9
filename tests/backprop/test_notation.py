"""The book's view of an observed run, and what is refused because the book does not speak of it."""

# l is the book's name of a layer.
# ruff: noqa: E741

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import nn
from tinygrad_bp.backprop import delta_norms, notation

from .nets import F, case, cases


def linear(n_in, n_out, **settings):
    return nn.Linear(n_in, n_out, rng=0, dtype=np.float64, **settings)


# ---- what is read ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_a_run_in_the_books_words(dtype, data):
    net, x, y, cost = data.draw(cases(dtype))
    book = notation(net, x, y, cost)
    m, L = len(x), len(net.layers) + 1
    assert (book.L, book.m, list(book.sizes), book.dtype) == (L, m, net.sizes, dtype)
    assert np.array_equal(book.a[1], x.T)
    assert np.array_equal(book.a[L], net(x).numpy().T)
    cost(net(x), y).backward()
    for l, (layer, activation) in enumerate(zip(net.layers, net.activations), start=2):
        n = book.sizes[l - 1]
        assert book.z[l].shape == book.a[l].shape == book.delta[l].shape == (n, m)
        assert np.array_equal(book.z[l], layer(book.a[l - 1].T).numpy().T)
        assert np.array_equal(book.a[l].T, activation(book.z[l].T))
        assert np.array_equal(book.w[l], layer.weight.data)
        assert np.array_equal(book.b[l], layer.bias.data[:, None])
        assert np.array_equal(book.nabla_w[l], layer.weight.grad)  # what training uses, bit for bit
        assert np.array_equal(book.nabla_b[l], layer.bias.grad[:, None])
        assert book.nodes[l].activation_name == {"identity": "linear"}.get(
            activation.__name__, activation.__name__
        )


def by_retained_gradients(net, x, y, cost):
    """δ^l of each example by itself, from `.retain_grad()` of its own z."""
    deltas = {l: [] for l in range(2, len(net.layers) + 2)}
    for i in range(len(x)):
        a, zs = x[i : i + 1], []
        for layer, activation in zip(net.layers, net.activations):
            zs.append(layer(a))
            zs[-1].retain_grad()
            a = activation(zs[-1])
        cost(a, y[i : i + 1]).backward()
        for l, z in enumerate(zs, start=2):
            deltas[l].append(z.grad[0])
    return {l: np.transpose(rows) for l, rows in deltas.items()}


def test_delta_is_the_error_of_each_example_by_itself():
    net, x, y, cost = case([3, 5, 4, 2], ["tanh", "softplus", "sigmoid"], 6)
    book = notation(net, x, y, cost)
    expected = by_retained_gradients(net, x, y, cost)
    norms = delta_norms(net, x, y, cost)
    assert list(norms) == [2, 3, 4]
    for l in expected:
        np.testing.assert_allclose(book.delta[l], expected[l], rtol=1e-12)
        assert norms[l] == pytest.approx(np.mean([np.sqrt(sum(d**2)) for d in expected[l].T]), rel=1e-12)
    np.testing.assert_allclose(book.nabla_a, book.a[4] - y.T, rtol=1e-12)


def test_delta_norms_shrink_through_sigmoids():
    """σ′ ≤ 1/4 and small weights: ‖δ^l‖ falls towards the input."""
    net, x, y, cost = case([5] * 6, ["sigmoid"] * 5, 8)
    norms = list(delta_norms(net, x, y, cost).values())
    assert norms == sorted(norms)
    assert norms[0] < norms[-1] / 50


def test_a_bare_layer_and_columns_of_one():
    book = notation(linear(1, 1), np.ones((1, 1)), np.zeros((1, 1)), F.quadratic_cost)
    assert book.sizes == (1, 1)
    assert book.delta[2] == book.z[2] == book.a[2]  # σ′ = 1, ∇_a C = a − 0


def test_arrays_cannot_be_written_through():
    net, x, y, cost = case([3, 2], ["sigmoid"], 4)
    with pytest.raises(ValueError, match="read-only"):
        notation(net, x, y, cost).w[2][0, 0] = 1.0


def test_a_net_that_reshapes_its_input_first():
    net = nn.Sequential(lambda x: np.reshape(x, (len(x), -1)) - 0.5, linear(4, 3), np.tanh)
    book = notation(net, np.ones((5, 4)), np.zeros((5, 3)), F.quadratic_cost)
    assert np.array_equal(book.a[1], np.full((4, 5), 0.5))


# ---- what is refused ---------------------------------------------------------------------------------


class Odd(nn.Module):
    """Parts, and a forward that is given."""

    def __init__(self, forward, **parts):
        self.__dict__.update(parts)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def parameter(*shape):
    return bp.Tensor(np.full(shape, 0.5), requires_grad=True, name="extra")


def frozen():
    net = nn.Sequential(linear(3, 4), np.tanh, linear(4, 2))
    net[0].weight.requires_grad = False
    return net


def shared():
    one = linear(3, 3)
    return nn.Sequential(one, np.tanh, one, np.tanh, linear(3, 2))


ODD = {
    "residual": (
        Odd(lambda s, x: s.v((a := np.tanh(s.u(x))) + np.tanh(s.w(a))), u=linear(3, 4), w=linear(4, 4), v=linear(4, 2)),
        r"add \(test_notation.py:\d+\) uses the result of tanh",
    ),
    "skipped input": (
        Odd(lambda s, x: s.v(np.tanh(s.u(x)) + np.tanh(s.w(x))), u=linear(3, 4), w=linear(3, 4), v=linear(4, 2)),
        r"add .* uses the result of tanh",
    ),
    "a learned slope": (
        nn.Sequential(linear(3, 4), Odd(lambda s, z: s.p * np.tanh(z), p=parameter(4)), linear(4, 2)),
        r"multiply \(1 test_notation.* uses the parameter extra of shape \(4,\)",
    ),
    "shared weights": (shared(), r"two layers share the parameter weight"),
    "frozen weights": (frozen(), r"parameters of 0 do not all require gradients"),
    "detached": (
        Odd(lambda s, x: s.v(np.tanh(s.u(x)).detach()), u=linear(3, 4), v=linear(4, 2)),
        r"the parameter u\.weight is in no layer",
    ),
    "unused": (
        Odd(lambda s, x: s.v(x), u=linear(3, 4), v=linear(3, 2)), r"the parameter u\.weight is in no layer"
    ),
    "reshaped inside": (
        nn.Sequential(linear(3, 8), lambda z: z[:, ::4], np.tanh),
        r"getitem \(test_notation.py:\d+\) uses the result of add",
    ),
    "a constant": (lambda x: np.tanh(x), r"nothing was recorded"),
    "learned input": (Odd(lambda s, x: s.u(s.p), u=linear(3, 2), p=parameter(5, 3)), r"the parameter p is in no layer"),
    "other orientation": (
        Odd(lambda s, x: x @ s.p, p=parameter(3, 2)), r"in matmul .* the parameter extra of shape \(3, 2\) is not transposed"
    ),
    "wide bias": (
        Odd(lambda s, x: x @ s.p.T + s.b, p=parameter(2, 3), b=parameter(5, 2)), r"add .* uses the parameter extra of shape \(5, 2\)"
    ),
    "one number for all": (nn.Sequential(linear(3, 2), np.sum), r"it maps \(5, 3\) to \(\), not"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ODD))
def test_what_is_not_a_stack_is_named(name):
    net, words = ODD[name]
    with pytest.raises(ValueError, match=words) as error:
        notation(net, np.ones((5, 3)), np.zeros((5, 2)), lambda a, y: np.sum(np.square(a - 0.5)))
    if name != "a constant":
        assert "expected x @ weight.T + bias" in str(error.value)


def test_costs_that_see_more_than_the_output_are_named():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    penalty = net.layers[0].weight

    with pytest.raises(
        ValueError, match=r"square .* in the cost uses the parameter weight of shape \(4, 3\).*assumption"
    ):
        notation(net, x, y, lambda a, y: cost(a, y) + 0.1 * np.sum(np.square(penalty)))

    kept = []
    net.activations[0] = lambda z: kept.append(np.tanh(z)) or kept[-1]
    with pytest.raises(ValueError, match=r"absolute .* in the cost uses the result of tanh"):
        notation(net, x, y, lambda a, y: cost(a, y) + np.sum(np.abs(kept[-1])))


def test_the_place_is_named():
    net = ODD["residual"][0]
    with pytest.raises(ValueError, match=r"test_notation\.py:\d+"):
        notation(net, np.ones((5, 3)), np.zeros((5, 2)), F.quadratic_cost)


def test_other_mistakes_in_the_call():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    weight = parameter(2, 3)
    with pytest.raises(ValueError, match=r"it maps \(5, 3\) to \(3, 5\)"):
        notation(lambda x: (x @ weight.T).T[[0, 1, 1]], x, y, lambda a, y: np.sum(a))
    with bp.no_grad(), pytest.raises(ValueError, match=r"nothing was recorded.*no_grad"):
        notation(net, x, y, cost)
    with pytest.raises(ValueError, match="nothing was recorded"):
        notation(net, x, y, lambda a, y: 1.0)
    with pytest.raises(ValueError, match=r"one number; got shape \(5, 2\)"):
        notation(net, x, y, lambda a, y: (a - y) ** 2)
    with pytest.raises(ValueError, match=r"batch; expected x of shape \(m, n_1\), m ≥ 1, got \(0, 3\)"):
        notation(net, x[:0], y[:0], cost)
    with pytest.raises(ValueError, match=r"got \(5, 1, 3\)"):
        notation(net, x[:, None], y, cost)
    extra = parameter(1)
    with pytest.raises(ValueError, match="does not depend on the net's output"):
        notation(net, x, y, lambda a, y: np.sum(extra))


def test_dtypes_are_not_mixed():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5, dtype=np.float32)
    with pytest.raises(TypeError, match="astype"):
        notation(net, x.astype(np.float64), y, cost)
    net.layers[1].astype(np.float64)
    with pytest.raises(ValueError, match="different dtypes; got float32 and float64"):
        notation(net, x, y, cost)
