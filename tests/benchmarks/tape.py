"""W1 on the least tape that still is one: what recording and sweeping cost in Python when nothing else is promised.

No broadcasting but a bias's, no dtypes, no views, no writes, no second order, no errors, no names, no threads, no
look inside; NumPy warns where it likes. Between this and eager is what those promises cost; between this and
`plain.py` is what no eager engine in Python can save.
"""

import numpy as np


class Value:
    """An array, and for each parent how a cotangent is pulled back to it."""

    __slots__ = ("data", "grad", "parents", "pulls")

    def __init__(self, data, parents=(), pulls=()):
        self.data, self.parents, self.pulls, self.grad = data, parents, pulls, None

    def __add__(self, bias):
        return Value(
            self.data + bias.data, (self, bias), (lambda g: g, lambda g: np.ones(len(g), g.dtype).dot(g))
        )

    def __matmul__(self, other):
        pulls = lambda g: g.dot(other.data.T), lambda g: self.data.T.dot(g)
        return Value(self.data.dot(other.data), (self, other), pulls)

    @property
    def T(self):
        return Value(self.data.T, (self,), (lambda g: g.T,))

    def backward(self):
        order, seen = [], set()

        def visit(value):
            if value not in seen:
                seen.add(value)
                for parent in value.parents:
                    visit(parent)
                order.append(value)

        visit(self)
        self.grad = self.data.dtype.type(1)
        for value in reversed(order):
            for parent, pull in zip(value.parents, value.pulls):
                share = pull(value.grad)
                parent.grad = share if parent.grad is None else parent.grad + share


def sigmoid(z, one):
    a = np.negative(z.data)
    np.exp(a, a)
    np.add(a, one, a)
    np.divide(one, a, a)
    return Value(a, (z,), (lambda g: g * (a * (one - a)),))


def first_layer(x, w):
    """x wᵀ for an array x, which needs no gradient."""
    return Value(x.dot(w.data.T), (w,), (lambda g: g.T.dot(x),))


def quadratic_cost(a, y, factor):
    difference = Value(a.data - y, (a,), (lambda g: g,))
    d = difference.data
    total = Value(np.vdot(d, d), (difference,), (lambda g: g * d + g * d,))
    return Value(total.data * factor, (total,), (lambda g: g * factor,))


class Tape:
    """The book's net with one hidden layer, sigmoid and quadratic cost; no other task."""

    def __init__(self, task):
        if task.cost != "quadratic":
            raise ImportError("written for the book's net only")
        arrays, self.x, self.y = task.start()
        self.values = [Value(a) for a in arrays]
        self.one, self.rate = np.ones((), task.dtype), task.dtype(task.rate)
        self.factor = task.dtype(0.5 / task.batch)

    def parameters(self):
        return [value.data for value in self.values]

    def step(self):
        w2, b2, w3, b3 = self.values
        for value in self.values:
            value.grad = None
        a2 = sigmoid(first_layer(self.x, w2) + b2, self.one)
        cost = quadratic_cost(sigmoid(a2 @ w3.T + b3, self.one), self.y, self.factor)
        cost.backward()
        for value in self.values:
            np.subtract(value.data, self.rate * value.grad, out=value.data)
        return float(cost.data)
