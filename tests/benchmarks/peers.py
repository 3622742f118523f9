"""The same training steps in the other frameworks, each written as its users would and in its quickest form.

Nothing is imported before a contender is made; one that is not installed raises ImportError there.
"""

import numpy as np


class Torch:
    """PyTorch eager; SGD with foreach, its fastest on small nets."""

    def __init__(self, task):
        import torch

        arrays, x, y = task.start()
        self.torch, self.task = torch, task
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        self.tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
        self.sgd = torch.optim.SGD(self.tensors, lr=task.rate, foreach=True)

    def loss(self, tensors, x, y):
        torch, functional = self.torch, self.torch.nn.functional
        last = len(tensors) - 2
        for i in range(0, last + 1, 2):
            x = functional.linear(x, tensors[i], tensors[i + 1])
            if i < last or self.task.cost == "quadratic":
                x = getattr(torch, self.task.activation)(x)
        if self.task.cost == "quadratic":
            return ((x - y) ** 2).sum() / (2 * self.task.batch)
        return (functional.cross_entropy if self.task.cost == "classes" else functional.mse_loss)(x, y)

    def step(self):
        self.sgd.zero_grad()
        cost = self.loss(self.tensors, self.x, self.y)
        cost.backward()
        self.sgd.step()
        return cost.item()

    def parameters(self):
        return [t.detach().numpy() for t in self.tensors]


class TorchCompiled(Torch):
    """torch.compile of the whole step, forward, backward and update in one graph."""

    def __init__(self, task):
        super().__init__(task)
        torch, rate = self.torch, task.rate
        self.tensors = [t.detach() for t in self.tensors]

        def step(tensors, x, y):
            gradients, cost = torch.func.grad_and_value(self.loss)(tensors, x, y)
            for t, g in zip(tensors, gradients):
                t.sub_(g, alpha=rate)
            return cost

        self.run = torch.compile(step)

    def step(self):
        return self.run(self.tensors, self.x, self.y).item()


def forward(task, parameters, x, functions):
    """The net's output in any framework with NumPy's operators."""
    last = len(parameters) - 2
    for i in range(0, last + 1, 2):
        x = x @ parameters[i].T + parameters[i + 1]
        if i < last or task.cost == "quadratic":
            x = functions[task.activation](x)
    return x


class Jax:
    """JAX: the step under one jit, parameters donated; dispatched synchronously, the quicker way here."""

    def __init__(self, task):
        import jax

        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        arrays, x, y = task.start()
        self.arrays, self.x, self.y = (
            [jax.numpy.array(a) for a in arrays],
            jax.numpy.array(x),
            jax.numpy.array(y),
        )
        loss = jax_loss(task)

        def step(arrays, x, y):
            cost, gradients = jax.value_and_grad(loss)(arrays, x, y)
            return cost, [a - task.rate * g for a, g in zip(arrays, gradients)]

        self.run = jax.jit(step, donate_argnums=0)

    def step(self):
        cost, self.arrays = self.run(self.arrays, self.x, self.y)
        return float(cost)

    def parameters(self):
        return [np.asarray(a) for a in self.arrays]


def jax_loss(task):
    """loss(parameters, x, y) in JAX."""
    import jax

    functions = {"sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu, "tanh": jax.numpy.tanh}

    def loss(parameters, x, y):
        z = forward(task, parameters, x, functions)
        if task.cost == "classes":
            logs = jax.nn.log_softmax(z)
            return -jax.numpy.take_along_axis(logs, y[:, None], axis=1).mean()
        return ((z - y) ** 2).sum() / (2 * task.batch if task.cost == "quadratic" else y.size)

    return loss


class MyGrad:
    """MyGrad, its memory guard off."""

    def __init__(self, task):
        import mygrad
        import mygrad.nnet

        mygrad.turn_memory_guarding_off()
        arrays, self.x, self.y = task.start()
        self.task, self.mygrad = task, mygrad
        self.tensors = [mygrad.tensor(a) for a in arrays]
        self.functions = {"sigmoid": mygrad.nnet.sigmoid, "relu": mygrad.nnet.relu, "tanh": mygrad.tanh}

    def step(self):
        task, number = self.task, self.task.dtype
        z = forward(task, self.tensors, self.x, self.functions)
        if task.cost == "classes":
            cost = self.mygrad.nnet.softmax_crossentropy(z, self.y)
        else:
            count = 2 * task.batch if task.cost == "quadratic" else self.y.size
            cost = self.mygrad.sum(self.mygrad.square(z - self.y)) * number(1 / count)
        cost.backward()
        for t in self.tensors:
            t.data -= number(task.rate) * t.grad
            t.null_grad()
        return cost.item()

    def parameters(self):
        return [t.data for t in self.tensors]


class Autograd:
    """HIPS autograd."""

    def __init__(self, task):
        from autograd import value_and_grad

        self.arrays, self.x, self.y = task.start()
        self.run, self.rate = value_and_grad(autograd_loss(task)), task.dtype(task.rate)

    def step(self):
        cost, gradients = self.run(self.arrays, self.x, self.y)
        for a, g in zip(self.arrays, gradients):
            a -= self.rate * g
        return float(cost)

    def parameters(self):
        return self.arrays


def autograd_loss(task):
    """loss(parameters, x, y) in HIPS autograd."""
    import autograd.numpy as anp
    from autograd.scipy.special import logsumexp

    functions = {
        "sigmoid": lambda z: 1 / (1 + anp.exp(-z)),
        "relu": lambda z: anp.maximum(z, 0),
        "tanh": anp.tanh,
    }
    rows = np.arange(task.batch)

    def loss(parameters, x, y):
        z = forward(task, parameters, x, functions)
        if task.cost == "classes":
            return anp.mean(logsumexp(z, axis=1) - z[rows, y])
        return anp.sum((z - y) ** 2) / (2 * task.batch if task.cost == "quadratic" else y.size)

    return loss
