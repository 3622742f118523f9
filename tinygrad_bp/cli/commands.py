"""The commands but the demo: each a few calls of the library, with what they return printed. Read `demo.py` next."""

import numpy as np

from .. import backprop, data, nn, viz
from ..observe import observe
from ..tensor import Tensor
from .learn import learn


def train(options):
    """The book's experiment: [784, 30, 10] on MNIST."""
    (x, labels), test = data.load_mnist(options.data)
    print(f"{len(x)} digits to learn from, {len(test[0])} to test on\n")
    y = data.one_hot(labels, 10)
    sizes = [784, options.hidden, 10]
    learn(sizes, (x, y), test, options.epochs, options.batch, options.eta, options.seed)
    return 0


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
