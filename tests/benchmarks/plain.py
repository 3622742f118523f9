"""W1 as a person writes it who preallocates every buffer and uses `out=` everywhere, but goes no further.

`floor.py` goes on from here: what it knows besides (which way round a product is quicker, where a rate
is multiplied in) takes measuring. The ratio of the two tells how much that is.
"""

import numpy as np


class Plain:
    """The book's net with one hidden layer, sigmoid and quadratic cost; no other task."""

    def __init__(self, task):
        if task.cost != "quadratic":
            raise ImportError("written for the book's net only")
        (self.w2, self.b2, self.w3, self.b3), self.x, self.y = task.start()
        (m, dtype), (h, n) = (task.batch, task.dtype), task.sizes[1:]
        self.z2, self.a2, self.d2, self.s2 = (np.empty((m, h), dtype) for _ in range(4))
        self.z3, self.a3, self.d3, self.s3 = (np.empty((m, n), dtype) for _ in range(4))
        self.dw2, self.db2, self.dw3, self.db3 = map(np.empty_like, self.parameters())
        self.ones = np.ones(m, dtype)
        self.one, self.rate = np.asarray(1, dtype), np.asarray(task.rate / m, dtype)

    def parameters(self):
        return [self.w2, self.b2, self.w3, self.b3]

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
        cost = np.dot(flat, flat) / (2 * len(self.x))
        self._times_slope(self.d3, self.a3, self.s3)
        np.matmul(self.d3.T, self.a2, out=self.dw3)
        np.matmul(self.ones, self.d3, out=self.db3)
        np.matmul(self.d3, self.w3, out=self.d2)
        self._times_slope(self.d2, self.a2, self.s2)
        np.matmul(self.d2.T, self.x, out=self.dw2)
        np.matmul(self.ones, self.d2, out=self.db2)
        for p, g in zip(self.parameters(), (self.dw2, self.db2, self.dw3, self.db3)):
            np.multiply(g, self.rate, out=g)
            np.subtract(p, g, out=p)
        return float(cost)
