"""The floor: training steps written by hand in plain NumPy, as fast as it was found to allow.

Every buffer is preallocated and every result written into it; `a.dot(b, out)` costs less to call than
`np.matmul(a, b, out)`, but fills `out` with zeros first (see `product`); a bias gradient is a product
with ones; the learning rate is multiplied into the last layer's error, where it is smallest, so that the
products yield updates and not gradients.
"""

import numpy as np


def product(a, b, out):
    """a @ b into `out`, in the way that takes less time: from 64 kB on, zeros cost more than a ufunc's call."""
    if not out.flags.c_contiguous:
        a, b, out = b.T, a.T, out.T
    if out.nbytes < 1 << 16:
        a.dot(b, out)
    else:
        np.matmul(a, b, out)


class Book:
    """The book's net with one hidden layer, sigmoid and quadratic cost, unrolled."""

    def __init__(self, task):
        self._parameters, x, y = task.start()
        self.step = _book_step(*self._parameters, x, y, task.rate)

    def parameters(self):
        return self._parameters


def _book_step(w2, b2, w3, b3, x, y, rate):
    """The step as a closure over its buffers: the quickest names that Python has."""
    m, dtype = len(x), x.dtype
    a2, d2, s2 = (np.empty((m, len(b2)), dtype) for _ in range(3))
    a3, d3, s3 = (np.empty((m, len(b3)), dtype) for _ in range(3))
    p2 = np.empty((len(b2), m), dtype)  # (w xᵀ)ᵀ is a quicker product than x wᵀ at these shapes
    dw2, db2, dw3, db3 = map(np.empty_like, (w2, b2, w3, b3))
    ones, one, rate = np.ones(m, dtype), np.asarray(1, dtype), np.asarray(rate / m, dtype)
    x_t, p2_t, w3_t, d2_t, d3_t, error = x.T, p2.T, w3.T, d2.T, d3.T, d3.ravel()
    add, subtract, multiply, divide = np.add, np.subtract, np.multiply, np.divide
    negative, exp, matmul = np.negative, np.exp, np.matmul

    def step():
        w2.dot(x_t, p2)
        add(p2_t, b2, a2)
        negative(a2, a2)
        exp(a2, a2)
        add(a2, one, a2)
        divide(one, a2, a2)
        a2.dot(w3_t, a3)
        add(a3, b3, a3)
        negative(a3, a3)
        exp(a3, a3)
        add(a3, one, a3)
        divide(one, a3, a3)
        subtract(a3, y, d3)
        cost = error.dot(error) / (2 * m)
        subtract(one, a3, s3)
        multiply(s3, a3, s3)
        multiply(d3, s3, d3)
        multiply(d3, rate, d3)
        d3.dot(w3, d2)
        subtract(one, a2, s2)
        multiply(s2, a2, s2)
        multiply(d2, s2, d2)
        d3_t.dot(a2, dw3)
        ones.dot(d3, db3)
        matmul(d2_t, x, dw2)
        ones.dot(d2, db2)
        subtract(w2, dw2, w2)
        subtract(b2, db2, b2)
        subtract(w3, dw3, w3)
        subtract(b3, db3, b3)
        return float(cost)

    return step


class Deep:
    """Any number of relu layers and a linear one; its time is in the products, so it may loop.

    relu is a product with a float mask, which backward uses again: np.maximum, np.where, np.copyto
    with `where=` and np.putmask are all several times slower.
    """

    def __init__(self, task):
        self._parameters, self.x, y = task.start()
        m, dtype = task.batch, task.dtype
        self.w, self.b = self._parameters[::2], self._parameters[1::2]
        self.dw, self.db = [np.empty_like(w) for w in self.w], [np.empty_like(b) for b in self.b]
        hidden = self.w[:-1]
        self.mask, self.positive = ([_rows(m, w, kind) for w in hidden] for kind in (dtype, bool))
        self.a, self.d = (
            [*(_rows(m, w, dtype) for w in hidden), np.empty((m, task.sizes[-1]), dtype)] for _ in range(2)
        )
        self.zero, self.ones = np.zeros((), dtype), np.ones(m, dtype)
        self.cost = {"classes": Classes, "mse": MeanSquare}[task.cost](y, self.a[-1], task.rate)

    def parameters(self):
        return self._parameters

    def step(self):
        w, b, a, d, mask = self.w, self.b, self.a, self.d, self.mask
        last = len(w) - 1
        for i in range(last + 1):
            product(a[i - 1] if i else self.x, w[i].T, a[i])
            np.add(a[i], b[i], a[i])
            if i < last:
                np.greater(a[i], self.zero, self.positive[i])
                np.copyto(mask[i], self.positive[i])
                np.multiply(a[i], mask[i], a[i])
        cost = self.cost(a[last], d[last])
        for i in range(last, -1, -1):
            if i < last:
                np.multiply(d[i], mask[i], d[i])
            if i:
                product(d[i], w[i], d[i - 1])
            product(d[i].T, a[i - 1] if i else self.x, self.dw[i])
            self.ones.dot(d[i], self.db[i])
            np.subtract(w[i], self.dw[i], w[i])
            np.subtract(b[i], self.db[i], b[i])
        return cost


def _rows(m, w, dtype):
    """m rows, one per example, for x wᵀ; kept turned where (w xᵀ)ᵀ is the quicker product."""
    turned = w.dtype == np.float32 and 2 * m <= len(w) and m * w.size >= 1 << 17
    return np.empty((len(w), m), dtype).T if turned else np.empty((m, len(w)), dtype)


class Classes:
    """Softmax cross-entropy of labels: its mean, and rate · ∂C/∂z = rate/m · (softmax(z) − y) into d."""

    def __init__(self, labels, z, rate):
        self.labels, self.rows = labels, np.arange(len(labels))
        self.largest, self.sum = np.empty((len(z), 1), z.dtype), np.empty((len(z), 1), z.dtype)
        self.scale, self.ones = np.asarray(rate / len(z), z.dtype), np.ones((z.shape[1], 1), z.dtype)

    def __call__(self, z, d):
        np.maximum.reduce(z, 1, None, self.largest, True)
        np.subtract(z, self.largest, z)
        np.exp(z, d)
        d.dot(self.ones, self.sum)
        np.divide(d, self.sum, d)
        cost = (
            np.add.reduce(np.log(self.sum, self.sum), None) - np.add.reduce(z[self.rows, self.labels])
        ) / len(z)
        d[self.rows, self.labels] -= 1
        np.multiply(d, self.scale, d)
        return float(cost)


class MeanSquare:
    """The mean of (z − y)², and rate times its gradient into d."""

    def __init__(self, y, z, rate):
        self.y, self.scale = y, np.asarray(2 * rate / y.size, z.dtype)

    def __call__(self, z, d):
        np.subtract(z, self.y, d)
        flat = d.ravel()
        cost = flat.dot(flat) / d.size
        np.multiply(d, self.scale, d)
        return float(cost)


def floor(task):
    """The hand-written contender for a task."""
    return Book(task) if task.cost == "quadratic" else Deep(task)
