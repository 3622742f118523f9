"""Nets, batches and mistakes for the tests of `backprop/`."""

# l is the book's name of a layer.
# ruff: noqa: E741

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import nn
from tinygrad_bp.nn.activations import BY_NAME
from tinygrad_bp.primitive import REGISTRY

F = nn.functional
ACTIVATIONS = ["sigmoid", "tanh", "relu", "leaky_relu", "linear", "softplus"]


@dataclass
class Case:
    """A net with its batch and cost."""

    net: nn.Module
    x: np.ndarray
    y: np.ndarray
    cost: object

    def __iter__(self):
        return iter((self.net, self.x, self.y, self.cost))


def case(sizes, activations, m, cost=F.quadratic_cost, dtype=np.float64, seed=0, scale=1.0):
    """An MLP with weights N(0, scale²/n_in), and a batch; labels 0 and 1 for cross-entropy."""
    rng = np.random.default_rng(seed)

    def init(rng, shape, dtype):
        return (scale * shape[-1] ** -0.5 if len(shape) == 2 else 0.5) * rng.standard_normal(shape)

    net = nn.MLP(sizes, activations, rng=rng, dtype=dtype, init=init)
    x = rng.standard_normal((m, sizes[0])).astype(dtype)
    shape = (m, sizes[-1])
    y = rng.random(shape) if cost is not F.binary_cross_entropy else rng.integers(0, 2, shape)
    return Case(net, x, y.astype(dtype), cost)


@st.composite
def cases(draw, dtype):
    """Depth 1–6, widths 1–20, batch 1–9, an activation of its own for each layer, both costs.

    The scale of the weights goes from linear neurons to saturated ones; much above it the products of
    six layers underflow in float32, where numbers lose their digits.
    """
    depth = draw(st.integers(1, 6), label="depth")
    sizes = draw(st.lists(st.integers(1, 20), min_size=depth + 1, max_size=depth + 1), label="sizes")
    activations = draw(
        st.lists(st.sampled_from(ACTIVATIONS), min_size=depth, max_size=depth), label="activations"
    )
    cost = draw(st.sampled_from([F.quadratic_cost, F.binary_cross_entropy]), label="cost")
    if cost is F.binary_cross_entropy:
        activations[-1] = "sigmoid"
    m, seed = draw(st.integers(1, 9), label="batch"), draw(st.integers(0, 2**32), label="seed")
    scale = draw(st.sampled_from([0.5, 1.0, 2.0]), label="scale")
    return case(sizes, activations, m, cost, dtype, seed, scale)


@contextmanager
def rules(fn, *wrong):
    """Other VJP rules for `fn`, and the right ones back afterwards."""
    right = REGISTRY[fn]
    try:
        bp.defvjp(fn, *wrong, broadcasts=right.broadcasts, view=right.view)
        yield
    finally:
        REGISTRY[fn] = right


def loop_gradients(w, b, sigma_primes, z, a, nabla_a):
    """nabla_b and nabla_w, neuron by neuron and example by example: the book's component form, in loops."""
    L, m = max(w), nabla_a.shape[1]
    nabla_b = {l: np.zeros((len(w[l]), 1)) for l in b}
    nabla_w = {l: np.zeros_like(w[l]) for l in w}
    for x in range(m):
        delta = {}
        for l in range(L, 1, -1):
            delta[l] = np.zeros(len(w[l]))
            for j in range(len(w[l])):
                if l == L:
                    error = nabla_a[j, x]
                else:
                    error = sum(w[l + 1][k, j] * delta[l + 1][k] for k in range(len(w[l + 1])))
                delta[l][j] = error * sigma_primes[l](z[l][j, x])
                if l in b:
                    nabla_b[l][j, 0] += delta[l][j] / m
                for k in range(w[l].shape[1]):
                    nabla_w[l][j, k] += a[l - 1][k, x] * delta[l][j] / m
    return nabla_b, nabla_w


# ---- nets that are no stacks -----------------------------------------------------------------------------


class Graph(nn.Module):
    """A net made of steps, each of which adds an activation of width n to those before it.

    A step is (kind, …): "layer" (source, weight, form, bias, activation), "recurrent" (state, source,
    weight, weight, bias, activation), "add" or "times" (source, source), "odd" (source, function). `ends`:
    the heads, each (source, weight, bias, activation). `columns`: examples in columns, as in the book.
    """

    def __init__(self, parameters, steps, ends, columns=False):
        self.p, self.steps, self.ends, self.columns = parameters, steps, ends, columns

    def product(self, a, name, form):
        w = self.p[name]
        if self.columns:
            return {"w": lambda: w @ a, "wT": lambda: w.T @ a, "dot": lambda: np.dot(w, a)}[form]()
        return {"w": lambda: a @ w.T, "wT": lambda: a @ w, "dot": lambda: np.dot(a, w.swapaxes(0, 1))}[form]()

    def step(self, pool, kind, *what):
        if kind == "layer":
            source, weight, form, bias, activation = what
            z = self.product(pool[source], weight, form)
            return activation(z if bias is None else z + self.p[bias])
        if kind == "recurrent":
            state, source, weight, other, bias, activation = what
            z = self.product(pool[state], weight, "w") + (
                self.p[bias] + self.product(pool[source], other, "w")
            )
            return activation(z)
        if kind == "odd":
            return what[1](pool[what[0]])
        a, b = (pool[i] for i in what)
        return a + b if kind == "add" else a * b

    def forward(self, x):
        pool = [x]
        for step in self.steps:
            pool.append(self.step(pool, *step))
        return {str(i): self.step(pool, "layer", *end) for i, end in enumerate(self.ends)}


ODD = [
    lambda a: np.sin(a),
    lambda a: a[:, ::-1] * 0.5,
    lambda a: a / (1 + np.sum(a * a)),
    lambda a: np.concatenate([a[:, :1], np.cos(a[:, 1:])], axis=1),
]


class GraphCost:
    """A mean over examples of all outputs' costs, and the penalties: (parameter, λ, norm)."""

    def __init__(self, net, likelihood, penalties=()):
        self.net, self.likelihood, self.penalties = net, likelihood, penalties

    def __call__(self, outputs, y):
        m = next(iter(y.values())).shape[1 if self.net.columns else 0]
        total = 0.0
        for i, a in outputs.items():
            softmax = i in self.likelihood
            total = total + (-np.sum(np.log(a) * y[i]) if softmax else np.sum(np.square(a - y[i])) * 0.5) / m
        for name, factor, norm in self.penalties:
            total = total + factor * norm(self.net.p[name])
        return total


L2 = lambda w: np.sum(np.square(w)) * 0.5
L1 = lambda w: np.sum(np.abs(w))


@st.composite
def graphs(draw, dtype, activations=tuple(ACTIVATIONS), odd=True):
    """Weights in both orientations and used again, sums, products, recurrence, several outputs, softmax, penalties."""
    n, m = draw(st.integers(1, 5), label="n"), draw(st.integers(1, 5), label="m")
    columns = draw(st.booleans(), label="columns")
    count = draw(st.integers(1, 6), label="steps")
    seed = draw(st.integers(0, 2**32), label="seed")
    rng = np.random.default_rng(seed)

    def parameter(*shape):
        return bp.Tensor(
            (rng.standard_normal(shape) / max(1, shape[-1]) ** 0.5).astype(dtype), requires_grad=True
        )

    p = {f"w{i}": parameter(n, n) for i in range(3)}
    p |= {f"b{i}": parameter(n, 1) if columns else parameter(n) for i in range(2)}
    sigma = st.sampled_from([BY_NAME[name] for name in activations])
    weight, bias = st.sampled_from(["w0", "w1", "w2"]), st.sampled_from(["b0", "b1"])
    steps = []
    for i in range(count):
        source = st.integers(max(0, i - 2), i)
        kinds = {
            "layer": st.tuples(
                st.just("layer"), source, weight, st.sampled_from(["w", "wT", "dot"]), st.none() | bias, sigma
            ),
            "recurrent": st.tuples(st.just("recurrent"), source, st.just(0), weight, weight, bias, sigma),
            "add": st.tuples(st.just("add"), source, source),
            "times": st.tuples(st.just("times"), source, source),
            "odd": st.tuples(st.just("odd"), source, st.sampled_from(ODD)),
        }
        if not odd or n == 1 or columns:
            del kinds["odd"]
        steps.append(draw(st.sampled_from(sorted(kinds)).flatmap(kinds.get), label="step"))
    ends, y, likelihood = [], {}, set()
    for i in range(draw(st.integers(1, 2), label="outputs")):
        k, softmax = draw(st.integers(1, 4), label="k"), draw(st.booleans(), label="softmax")
        p[f"v{i}"], p[f"c{i}"] = parameter(k, n), parameter(k, 1) if columns else parameter(k)
        end = (lambda z, dim=0 if columns else -1: F.softmax(z, dim)) if softmax else draw(sigma)
        ends.append((draw(st.integers(0, count), label="end"), f"v{i}", "w", f"c{i}", end))
        targets = np.eye(k)[rng.integers(0, k, m)] if softmax else rng.random((m, k))
        y[str(i)] = (targets.T if columns else targets).astype(dtype)
        likelihood |= {str(i)} if softmax else set()
    penalty = st.tuples(st.sampled_from(sorted(p)), st.sampled_from([0.01, 0.5]), st.sampled_from([L1, L2]))
    net = Graph(p, steps, ends, columns)
    x = rng.standard_normal((n, m) if columns else (m, n)).astype(dtype)
    outputs = net(x)
    assume(all(np.min(outputs[i].numpy()) > 1e-9 for i in likelihood))  # log 0
    return Case(net, x, y, GraphCost(net, likelihood, draw(st.lists(penalty, max_size=3), label="penalties")))
