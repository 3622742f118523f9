"""`demo`: train, prove, look: the tour of the package in one run, and a page that shows it.

The one idea: a net that reads digits is worth a proof, a net of four neurons can be watched; both are
trained here, and each picture comes from one call of the library. Read `index.html`, the page's words, next.
"""

from pathlib import Path

import numpy as np

from .. import __version__, backprop, data, nn, optim, training, viz
from ..derivation import explain
from ..observe import observe
from ..tensor import Tensor
from . import page
from .commands import BATCH, EPOCHS, ETA, learn

XOR = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [1], [1], [0]])
XOR_STEPS, XOR_ETA = 1000, 5.0
WIDE = {"weight_images", "step_errors"}
LOOKED_AT = 500
"""Plots that need the width of the page; digits whose activations and gradients are drawn."""
cost = nn.functional.quadratic_cost


def demo(options):
    """The command: writes the page and its parts into a folder, prints the proof; 0 if all of it holds."""
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    train, test = data.load_digits(dtype=np.float64)
    x, y = train[0], data.one_hot(train[1], 10, dtype=np.float64)
    print(f"{len(x)} handwritten digits of 8×8 pixels to learn from, {len(test[0])} held out\n")
    net, history = learn([64, 30, 10], (x, y), test, EPOCHS, BATCH, ETA, options.seed)
    proof, weights = _prove(net, x[:BATCH], y[:BATCH], options.seed)
    print("\nThe error of each layer, mean over the examples:")
    for l, norm in backprop.delta_norms(net, x, y, cost).items():  # noqa: E741
        print(f"  ‖δ^{l}‖ = {norm:.6f}")

    tiny = nn.MLP([2, 3, 1], rng=options.seed, dtype=np.float64, init="xavier_normal")
    pictures = _watch(tiny, out)
    plots = {**_plots_of_digits(net, history, (x, y), test), **_plots_of_xor(tiny)}
    for name, ax in plots.items():
        pictures[name] = out / f"{name}.png"
        if name not in WIDE:
            ax.figure.set_size_inches(8, 4.5)  # they stand side by side: larger text
        ax.figure.savefig(pictures[name], dpi=1280 / ax.figure.get_figwidth())
    facts = _facts(history, proof, weights, (train, test), tiny, options.seed)
    markup = {"proof": page.proof_rows(proof), "digits": _some_digits(net, *test)}
    index = page.write(out / "index.html", pictures, facts, markup)
    print(
        f"\nwritten: {len(plots)} plots, two drawings, a derivation, a page to step through, and the page to open first:\n  {index}"
    )
    return 0 if proof.ok and weights.ok else 1


def _prove(net, x, y, seed):
    print("\nThe proof: the generic chain rule against the textbook, on the trained net\n")
    proof = backprop.verify(net, x, y, cost)
    print(proof)
    print("\n20 weights drawn at random, against finite differences\n")
    weights = backprop.check_weights(net, x, y, cost, n=20, rng=seed)
    print(weights)
    return proof, weights


def _watch(net, out):
    """One training step of a small net: drawn, played and derived."""
    x, y = (Tensor(part, name=name) for part, name in zip(XOR, "xy"))
    with observe() as run:
        loss = cost(net(x), y)
        loss.backward()
    run.of(y).name = "y"  # observe finds the names of the user's variables, not of this package's
    viz.stepper(run, out / "step.html", title="Forward and backward through a 2-3-1 net")
    page.document(out / "derivation.html", "The derivation of every gradient", explain(loss).html())
    drawings = {"graph": viz.graph(run, edges="local"), "net": viz.draw_net(net, XOR[0][1], XOR[1][1], cost)}
    return {name: viz.render(drawing, out / f"{name}.svg") for name, drawing in drawings.items()}


def _plots_of_digits(net, history, examples, test):
    x, y = (part[:LOOKED_AT] for part in examples)
    book = backprop.notation(net, x, y, cost)
    return {
        "learning_curve": viz.plot_learning_curve(history),
        "confusion": viz.plot_confusion(training.confusion_matrix(net, *test)),
        "activations": viz.plot_activations(book),
        "gradients": viz.plot_gradients(book),
        "weight_images": viz.plot_weights(net),
        "step_errors": viz.plot_step_errors(backprop.effort.errors_by_step(net, x[:BATCH], y[:BATCH], cost)),
    }


def _plots_of_xor(net):
    """Train the small net by gradient descent on all four examples, its errors measured at every step."""
    sgd, norms = optim.SGD(net.parameters(), lr=XOR_ETA), []
    for _ in range(XOR_STEPS):
        norms.append(backprop.delta_norms(net, *XOR, cost))
        sgd.zero_grad()
        cost(net(XOR[0]), XOR[1]).backward()
        sgd.step()
    return {
        "delta_norms": viz.plot_delta_norms(norms, by="step"),
        "decisions": viz.plot_decision_regions(net, *XOR),
    }


def _some_digits(net, x, labels):
    """One of each that is read right, and some of the mistakes."""
    answers = training.predict(net, x).argmax(1)
    right = answers == labels
    firsts = [found[0] for k in range(10) if len(found := np.flatnonzero(right & (labels == k)))]
    chosen = np.append(firsts, np.flatnonzero(~right)[:3]).astype(int)
    return page.digits(x[chosen], labels[chosen], answers[chosen])


def _facts(history, proof, weights, digits, tiny, seed):
    (x, _), (x_test, _) = digits
    right = np.sum((training.predict(tiny, XOR[0]) > 0.5) == XOR[1])
    return {
        "accuracy": f"{history.test_accuracy[-1]:.1%}", "tested": f"{len(x_test):,}", "learned": f"{len(x):,}",
        "agree": f"{sum(row.ok for row in proof)} of {len(proof.rows)}", "deviation": page.power(proof.worst.deviation),
        "tolerance": page.power(proof.rows[0].tolerance), "weights": f"{sum(row.ok for row in weights)} of {len(weights.rows)}",
        "batch": str(BATCH), "epochs": str(EPOCHS), "seconds": f"{sum(history.seconds):.1f}",
        "xor_steps": f"{XOR_STEPS:,}", "xor_right": str(right), "version": __version__, "seed": str(seed),
    }  # fmt: skip
