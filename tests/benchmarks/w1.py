"""W1: one training step of the book's net, 784-30-10, sigmoid, quadratic cost, batch 10, float32.

Forward, cost, backward, SGD step. The floor is the fastest that hand-written NumPy was found to do:
every buffer preallocated, `out=` everywhere, the bias gradient a matrix–vector product.
"""

import contextlib
import itertools

import numpy as np

import tinygrad_bp as bp

SIZES, BATCH, ETA = (784, 30, 10), 10, 3.0


def start():
    """(w, b, w, b, x, y): the same for every contender."""
    rng = np.random.default_rng(0)
    parameters = []
    for n_in, n_out in itertools.pairwise(SIZES):
        parameters += [rng.standard_normal((n_out, n_in)), rng.standard_normal(n_out)]
    x = rng.random((BATCH, SIZES[0]))
    y = np.eye(SIZES[-1])[rng.integers(0, SIZES[-1], BATCH)]
    return [np.asarray(a, np.float32) for a in (*parameters, x, y)]


class Floor:
    """Hand-written NumPy with preallocated buffers."""

    def __init__(self):
        self.w2, self.b2, self.w3, self.b3, self.x, self.y = start()
        (m, h), n = (BATCH, SIZES[1]), SIZES[2]
        self.z2, self.a2, self.d2, self.s2 = (np.empty((m, h), np.float32) for _ in range(4))
        self.z3, self.a3, self.d3, self.s3 = (np.empty((m, n), np.float32) for _ in range(4))
        self.dw2, self.db2, self.dw3, self.db3 = map(np.empty_like, (self.w2, self.b2, self.w3, self.b3))
        self.ones = np.ones(m, np.float32)
        self.one, self.rate = np.asarray(1, np.float32), np.asarray(ETA / m, np.float32)

    def _sigmoid(self, z, a):
        np.negative(z, out=a)
        np.exp(a, out=a)
        np.add(a, self.one, out=a)
        np.divide(self.one, a, out=a)

    def _times_slope(self, d, a, s):
        np.subtract(self.one, a, out=s)
        np.multiply(s, a, out=s)
        np.multiply(d, s, out=d)

    def step(self):
        np.matmul(self.x, self.w2.T, out=self.z2)
        np.add(self.z2, self.b2, out=self.z2)
        self._sigmoid(self.z2, self.a2)
        np.matmul(self.a2, self.w3.T, out=self.z3)
        np.add(self.z3, self.b3, out=self.z3)
        self._sigmoid(self.z3, self.a3)
        np.subtract(self.a3, self.y, out=self.d3)
        flat = self.d3.ravel()
        cost = np.dot(flat, flat) / (2 * BATCH)
        self._times_slope(self.d3, self.a3, self.s3)
        np.matmul(self.d3.T, self.a2, out=self.dw3)
        np.matmul(self.ones, self.d3, out=self.db3)
        np.matmul(self.d3, self.w3, out=self.d2)
        self._times_slope(self.d2, self.a2, self.s2)
        np.matmul(self.d2.T, self.x, out=self.dw2)
        np.matmul(self.ones, self.d2, out=self.db2)
        for p, g in ((self.w2, self.dw2), (self.b2, self.db2), (self.w3, self.dw3), (self.b3, self.db3)):
            np.multiply(g, self.rate, out=g)
            np.subtract(p, g, out=p)
        return cost


class Ours:
    """tinygrad_bp, eager: nn.MLP, quadratic_cost, SGD."""

    def __init__(self):
        *parameters, self.x, self.y = start()
        self.net = bp.nn.MLP(SIZES, rng=0)
        for parameter, array in zip(self.net.parameters(), parameters):
            parameter.data = array
        self.sgd = bp.optim.SGD(self.net.parameters(), lr=ETA)

    def step(self):
        self.sgd.zero_grad()
        cost = bp.nn.functional.quadratic_cost(self.net(self.x), self.y)
        cost.backward()
        self.sgd.step()
        return cost.item()


class Torch:
    """PyTorch eager with its fastest SGD (foreach)."""

    def __init__(self):
        import torch

        self.torch = torch
        *parameters, x, y = start()
        self.parameters = [torch.tensor(p, requires_grad=True) for p in parameters]
        self.x, self.y = torch.tensor(x), torch.tensor(y)
        self.sgd = torch.optim.SGD(self.parameters, lr=ETA, foreach=True)

    def step(self):
        w2, b2, w3, b3 = self.parameters
        linear, sigmoid = self.torch.nn.functional.linear, self.torch.sigmoid
        self.sgd.zero_grad()
        a = sigmoid(linear(sigmoid(linear(self.x, w2, b2)), w3, b3))
        cost = ((a - self.y) ** 2).sum() / (2 * BATCH)
        cost.backward()
        self.sgd.step()
        return cost.item()


def contenders():
    """{name: step}, checked to compute the same costs for ten steps; PyTorch only where installed."""
    found = {"hand-written NumPy": Floor().step, "tinygrad_bp eager": Ours().step}
    with contextlib.suppress(ImportError):
        found["PyTorch eager"] = Torch().step
    for _ in range(10):
        costs = [float(step()) for step in found.values()]
        np.testing.assert_allclose(costs, costs[0], rtol=2e-3)
    return found


def gemms():
    """The products of one step alone, by NumPy and by PyTorch: what of the lead is the BLAS."""
    w2, _, w3, _, x, _ = start()
    d2, d3, a2 = (np.ones((BATCH, n), np.float32) for n in (SIZES[1], SIZES[2], SIZES[1]))

    def products(x, w2, w3, a2, d2, d3):
        return x @ w2.T, a2 @ w3.T, d3.T @ a2, d3 @ w3, d2.T @ x

    arrays = (x, w2, w3, a2, d2, d3)
    found = {"NumPy": lambda: products(*arrays)}
    try:
        import torch
    except ImportError:
        return found
    tensors = [torch.tensor(a) for a in arrays]
    found["PyTorch"] = lambda: products(*tensors)
    return found
