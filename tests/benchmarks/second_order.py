"""W8: the product of the Hessian of a net's cost with a vector, by everyone who has second derivatives."""

import numpy as np

import tinygrad_bp as bp

from . import peers
from .floor import product
from .measure import COMPILED, EAGER, FLOOR, gathered, interleaved
from .tasks import TASKS
from .training import gemms, report


def vectors(task):
    """One direction per parameter, the same for every contender."""
    rng = np.random.default_rng(1)
    return [rng.standard_normal(p.shape).astype(task.dtype) for p in task.start()[0]]


class ByHand:
    """Pearlmutter's R-op by hand: values a and their tangents Ra, errors d and their tangents Rd.

    The two halves of a layer lie in one buffer, so that one product serves both, and
    R(∂C/∂w) = Rdᵀ a + dᵀ Ra is one product of twice the length.
    """

    def __init__(self, task):
        arrays, self.x, self.labels = task.start()
        m, dtype, sizes = task.batch, task.dtype, task.sizes
        self.m, (self.w, self.b) = m, (arrays[::2], arrays[1::2])
        directions = vectors(task)
        self.v, self.c = directions[::2], directions[1::2]
        self.a = [np.empty((2 * m, n), dtype) for n in sizes[1:]]
        self.d = [np.empty((2 * m, n), dtype) for n in sizes[1:]]
        self.t = [np.empty((m, n), dtype) for n in sizes[1:]]
        self.s = [np.empty((m, n), dtype) for n in sizes[1:]]
        self.product = [np.empty_like(a) for a in arrays]
        self.one, self.ones, self.rows = np.asarray(1, dtype), np.ones(m, dtype), np.arange(m)
        self.scale, self.column = np.asarray(1 / m, dtype), np.ones((sizes[-1], 1), dtype)
        self.sum, self.largest = np.empty((m, 1), dtype), np.empty((m, 1), dtype)

    def step(self):
        self._forward()
        self._output()
        self._backward()
        return self.product

    def _forward(self):
        m, last = self.m, len(self.w) - 1
        for i, (w, b, v, c, a, t, s) in enumerate(
            zip(self.w, self.b, self.v, self.c, self.a, self.t, self.s)
        ):
            if i:
                product(self.a[i - 1], w.T, a)
                product(self.a[i - 1][:m], v.T, t)
                np.add(a[m:], t, a[m:])
            else:
                product(self.x, w.T, a[:m])
                product(self.x, v.T, a[m:])
            np.add(a[:m], b, a[:m])
            np.add(a[m:], c, a[m:])
            if i < last:
                np.tanh(a[:m], a[:m])
                np.multiply(a[:m], a[:m], s)
                np.subtract(self.one, s, s)
                np.multiply(a[m:], s, a[m:])

    def _output(self):
        """d = (softmax(z) − y)/m, above; Rd = p (Rz − Σ p Rz)/m, below (the order is Rd, d)."""
        m, (z, r), t = self.m, np.split(self.a[-1], 2), self.t[-1]
        tangent, p = self.d[-1][:m], self.d[-1][m:]
        np.maximum.reduce(z, 1, None, self.largest, True)
        np.subtract(z, self.largest, z)
        np.exp(z, p)
        p.dot(self.column, self.sum)
        np.multiply(self.sum, self.m, self.sum)
        np.divide(p, self.sum, p)  # softmax/m
        np.multiply(p, r, t)
        t.dot(self.column, self.sum)
        np.multiply(self.sum, self.m, self.sum)
        np.subtract(r, self.sum, tangent)
        np.multiply(tangent, p, tangent)
        p[self.rows, self.labels] -= self.scale

    def _backward(self):
        m = self.m
        for i in range(len(self.w) - 1, -1, -1):
            d = self.d[i]
            if i:
                product(d.T, self.a[i - 1], self.product[2 * i])
            else:
                product(d[:m].T, self.x, self.product[0])
            self.ones.dot(d[:m], self.product[2 * i + 1])
            if not i:
                return
            below, a, s, t = self.d[i - 1], self.a[i - 1], self.s[i - 1], self.t[i - 1]
            product(d, self.w[i], below)
            product(d[m:], self.v[i], t)
            np.add(below[:m], t, below[:m])
            np.multiply(below[:m], s, below[:m])
            np.multiply(below[m:], a[:m], t)  # R(1 − a²) = −2 a Ra
            np.multiply(t, a[m:], t)
            np.add(t, t, t)
            np.subtract(below[:m], t, below[:m])
            if i > 1:
                np.multiply(below[m:], s, below[m:])


class Ours:
    """bp.hvp of the net as a plain function of its parameters."""

    def __init__(self, task):
        self.points, self.x, self.y = task.start()
        self.points, self.vectors = tuple(self.points), tuple(vectors(task))
        self.run = self.product

    def loss(self, *parameters):
        a, last = self.x, len(parameters) - 2
        for i in range(0, last + 1, 2):
            a = a @ parameters[i].T + parameters[i + 1]
            a = np.tanh(a) if i < last else a
        return bp.nn.functional.cross_entropy(a, self.y)

    def product(self, points, directions):
        return bp.hvp(self.loss, points, directions)

    def step(self):
        return self.run(self.points, self.vectors)


class Compiled(Ours):
    """The same under bp.compile."""

    def __init__(self, task):
        super().__init__(task)
        self.run = bp.compile(self.product)


class Torch(peers.Torch):
    """PyTorch: backward of backward."""

    def __init__(self, task):
        super().__init__(task)
        self.vectors = [self.torch.from_numpy(v) for v in vectors(task)]

    def step(self):
        gradient = self.torch.autograd.grad
        slopes = gradient(self.loss(self.tensors, self.x, self.y), self.tensors, create_graph=True)
        return gradient(slopes, self.tensors, self.vectors)


class TorchCompiled(Torch):
    """torch.compile of the JVP of the gradient."""

    def __init__(self, task):
        super().__init__(task)
        func = self.torch.func
        self.tensors = [t.detach() for t in self.tensors]

        def product(tensors, directions, x, y):
            gradient = func.grad(lambda ts: self.loss(ts, x, y))
            return func.jvp(gradient, (tensors,), (directions,))[1]

        self.run = self.torch.compile(product)

    def step(self):
        return self.run(self.tensors, self.vectors, self.x, self.y)


class Jax(peers.Jax):
    """JAX: jit of the JVP of the gradient."""

    def __init__(self, task):
        super().__init__(task)
        import jax

        loss = peers.jax_loss(task)
        self.vectors = [jax.numpy.array(v) for v in vectors(task)]
        self.run = jax.jit(
            lambda points, directions, x, y: jax.jvp(
                jax.grad(lambda p: loss(p, x, y)), (points,), (directions,)
            )[1]
        )
        self.ready = jax.block_until_ready

    def step(self):
        return self.ready(self.run(self.arrays, self.vectors, self.x, self.y))


class Autograd:
    """HIPS autograd: the gradient of the gradient's product with the vector."""

    def __init__(self, task):
        import autograd.numpy as anp
        from autograd import grad

        self.arrays, x, y = task.start()
        loss, directions = peers.autograd_loss(task), vectors(task)
        gradient = grad(loss)
        self.run = grad(
            lambda p: sum(anp.sum(g * v) for g, v in zip(gradient(p, x, y), directions))
        )  # fmt: skip

    def step(self):
        return self.run(self.arrays)


class MyGrad:
    """It has first derivatives only."""

    def __init__(self, task):
        raise NotImplementedError("MyGrad has first derivatives only")


MAKERS = {
    FLOOR: ByHand, EAGER: Ours, COMPILED: Compiled, "PyTorch eager": Torch, "torch.compile": TorchCompiled,
    "JAX jit": Jax, "MyGrad": MyGrad, "HIPS autograd": Autograd,
}  # fmt: skip


def agree(contenders, calls=4):
    """Raise unless all come to the same products, at each of a few calls."""
    expected = [np.array(p) for p in next(iter(contenders.values())).step()]
    for name, contender in contenders.items():
        for _ in range(calls):
            for ours, right in zip(contender.step(), expected):
                limit = 1e-4 * np.max(np.abs(right))
                np.testing.assert_allclose(np.asarray(ours), right, rtol=0, atol=limit, err_msg=name)


def run(threads):
    """Times and ratios, as for the training steps."""
    task = TASKS["W8"]
    contenders, left_out = gathered(MAKERS, (task,))
    agree(contenders)
    pause = 0.03 if threads > 1 else 0.0
    steps = {name: contender.step for name, contender in contenders.items()}
    seconds = interleaved(steps, rounds=50, pause=pause)
    return report(seconds, interleaved(gemms(task), rounds=50, pause=pause), left_out)
