"""The commands but the demo: each a few calls of the library, with what they return printed. Read `demo.py` next."""

import time

import numpy as np

from .. import backprop, data, nn, optim, training, viz
from ..observe import observe
from ..tensor import Tensor

EPOCHS, BATCH, ETA = 30, 10, 3.0  # the book's


def train(options):
    """The book's experiment: [784, 30, 10] on MNIST."""
    (x, labels), test = data.load_mnist(options.data)
    print(f"{len(x)} digits to learn from, {len(test[0])} to test on\n")
    y = data.one_hot(labels, 10)
    sizes = [784, options.hidden, 10]
    learn(sizes, (x, y), test, options.epochs, options.batch, options.eta, options.seed)
    return 0


def learn(sizes, examples, test, epochs, batch, eta, seed):
    """A net trained by the book's recipe, and its history; prints a line every few epochs."""
    rng = np.random.default_rng(seed)
    net = nn.MLP(sizes, rng=rng, dtype=examples[0].dtype, init="standard_normal")
    sgd = optim.SGD(net.parameters(), lr=eta)
    print(f"{net}\nquadratic cost, batch {batch}, η = {eta}, {epochs} epochs, seed {seed}")
    start = time.perf_counter()
    history = training.fit(
        net, examples, nn.functional.quadratic_cost, sgd, epochs, test_data=test, batch_size=batch, rng=rng
    )
    seconds = time.perf_counter() - start
    done = len(history.loss)
    for epoch in sorted({1, 2, 5, *range(10, done, 10), done} & set(range(1, done + 1))):
        print(
            f"  epoch {epoch:3d}   cost {history.loss[epoch - 1]:.5f}"
            f"   accuracy on the test digits {history.test_accuracy[epoch - 1]:.2%}"
        )
    print(f"trained in {seconds:.1f} s: {training.accuracy(net, *test):.2%} of the test digits are right")
    return net, history


def _random_net(options):
    """(net, x, y) drawn by the seed, in float64."""
    rng = np.random.default_rng(options.seed)
    net = nn.MLP(
        options.sizes, activation=options.activation, rng=rng, dtype=np.float64, init="standard_normal"
    )
    x = rng.standard_normal((options.batch, options.sizes[0]))
    return net, x, rng.random((options.batch, options.sizes[-1]))


def verify(options):
    """Hold the engine against BP1–BP4."""
    net, x, y = _random_net(options)
    proof = backprop.verify(net, x, y, nn.functional.quadratic_cost)
    print(proof)
    return 0 if proof.ok else 1


def graph(options):
    """Draw the graph of a cost, with values and gradients."""
    net, x, y = _random_net(options)
    with observe() as run:
        nn.functional.quadratic_cost(net(Tensor(x, name="x")), y).backward()
    print(viz.render(viz.graph(run), options.out))
    return 0
