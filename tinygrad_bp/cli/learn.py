"""`learn`: train a net by the book's recipe, and print how it goes."""

import time

import numpy as np

from .. import nn, optim, training

EPOCHS, BATCH, ETA = 30, 10, 3.0  # the book's


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
