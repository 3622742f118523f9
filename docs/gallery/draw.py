"""Draw the pictures of the gallery: python docs/gallery/draw.py [folder], by default this one.

`stepper.png` is the window of a browser that shows `step.html` at step 18.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_bp as bp

cost = bp.nn.functional.quadratic_cost


def small_step():
    """The first training step of a 2-3-1 net that shall learn exclusive or, observed."""
    x, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [1], [1], [0]])
    net = bp.nn.MLP([2, 3, 1], rng=0, dtype=np.float64, init="xavier_normal")
    with bp.observe() as run:
        loss = cost(net(bp.Tensor(x, name="x")), y)
        loss.backward()
    return net, x, y, run, loss


def drawings():
    """Name -> drawing of a graph."""
    net, x, y, run, _ = small_step()
    return {
        "graph": bp.viz.graph(run),
        "local": bp.viz.graph(run, edges="local", values="heatmap"),
        "dark": bp.viz.graph(run, depth=1, direction="right").dark(),
        "net": bp.viz.draw_net(net, x[1], y[1], cost),
        "weight": bp.viz.draw_weight(net, x[1], y[1], cost, l=2, j=3, k=2),
    }


def plots():
    """Name -> Axes."""
    return {**plots_of_digits(), **plots_of_a_small_net()}


def plots_of_digits():
    """A net that reads digits, trained by the book's recipe."""
    (x, labels), test = bp.data.load_digits(dtype=np.float64)
    y = bp.data.one_hot(labels, 10, dtype=np.float64)
    net = bp.nn.MLP([64, 30, 10], rng=0, dtype=np.float64, init="standard_normal")
    sgd = bp.optim.SGD(net.parameters(), lr=3.0)
    history = bp.training.fit(net, (x, y), cost, sgd, epochs=30, test_data=test, rng=0, quiet=True)
    deep = bp.nn.MLP([64, *[30] * 6, 10], init="xavier_normal", rng=0, dtype=np.float64)
    book = bp.backprop.notation(deep, x[:200], y[:200], cost)
    return {
        "learning_curve": bp.viz.plot_learning_curve(history),
        "confusion": bp.viz.plot_confusion(bp.training.confusion_matrix(net, *test)),
        "weights": bp.viz.plot_weights(net),
        "activations": bp.viz.plot_activations(book),
        "gradients": bp.viz.plot_gradients(book),
        "step_errors": bp.viz.plot_step_errors(bp.backprop.effort.errors_by_step(net, x[:10], y[:10], cost)),
    }


def plots_of_a_small_net(steps=1000):
    """The 2-3-1 net learns."""
    net, x, y, *_ = small_step()
    sgd, norms = bp.optim.SGD(net.parameters(), lr=5.0), []
    for _ in range(steps):
        norms.append(bp.backprop.delta_norms(net, x, y, cost))
        sgd.zero_grad()
        cost(net(x), y).backward()
        sgd.step()
    return {
        "delta_norms": bp.viz.plot_delta_norms(norms, by="step"),
        "decisions": bp.viz.plot_decision_regions(net, x, y),
    }


def main(folder):
    """Write all pictures into `folder`."""
    for name, drawing in drawings().items():
        bp.viz.render(drawing, Path(folder) / f"{name}.svg")
    for name, ax in plots().items():
        ax.figure.savefig(Path(folder) / f"{name}.png", dpi=75)
    bp.viz.stepper(
        small_step()[3], Path(folder) / "step.html", title="Forward and backward through a 2-3-1 net"
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
