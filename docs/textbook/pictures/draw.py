"""Draw the pictures of the chapter: python docs/textbook/pictures/draw.py [folder], by default this one.

`effort.svg` takes most of the time (a minute or two): it measures.
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np

import tinygrad_bp as bp

cost = bp.nn.functional.quadratic_cost
backprop, viz = bp.backprop, bp.viz


def drawings():
    """The book's drawings, of the nets of the chapter: 3-4-2, and 3-4-3-2 where paths are followed."""
    net = bp.nn.MLP([3, 4, 2], "sigmoid", rng=0, dtype=np.float64)
    small = net, np.array([1.0, 0.5, -1.0]), np.array([1.0, 0.0]), cost
    deeper = bp.nn.MLP([3, 4, 3, 2], "sigmoid", rng=0, dtype=np.float64), *small[1:]
    best = backprop.paths.Layered(*deeper).largest(("w", 2, 4, 3), 1)
    return {
        "weight": viz.draw_weight(*small, l=3, j=2, k=4),
        "cost": viz.draw_cost(*small),
        "demon": viz.draw_demon(*small, l=2, j=1),
        "bp4": viz.draw_bp4(*small, l=2, j=4, k=3),
        "spread": viz.draw_spread(*deeper, l=2, j=4, k=3),
        "path": viz.draw_paths(*deeper, best, k=3),
    }


def plots(largest=100_000):
    """Name -> a call that plots it; differences are measured up to nets of `largest` parameters."""
    net = bp.nn.MLP([3, 4, 2], "sigmoid", rng=0, dtype=np.float64)
    x, y = np.array([1.0, 0.5, -1.0]), np.array([1.0, 0.0])
    (images, labels), _ = bp.data.load_digits()
    few = images[:100], labels[:100]
    digits = images[:100].astype(np.float64), bp.data.one_hot(labels[:100], 10)
    deep = bp.nn.MLP([64] + [30] * 10 + [10], init="xavier_normal", rng=0, dtype=np.float64)
    return {
        "step_errors": lambda: viz.plot_step_errors(backprop.effort.errors_by_step(net, x, y, cost)),
        "delta_norms": lambda: viz.plot_delta_norms(backprop.delta_norms(deep, *digits, cost)),
        "sigmas": lambda: viz.plot_curves(
            backprop.choices_of_sigma([64, 30, 10], *few, bp.nn.functional.cross_entropy)
        ),
        "saturated": lambda: viz.plot_curves(backprop.saturated_start()),
        "effort": lambda: viz.plot_effort(_told(backprop.effort.growing(measure_up_to=largest))),
    }


def _told(table):
    print(table)
    return table


def main(folder, largest=100_000):
    """Write all pictures into `folder`."""
    matplotlib.rcParams["svg.hashsalt"] = "tinygrad_bp"  # the same file from the same numbers
    for name, drawing in drawings().items():
        viz.render(drawing, Path(folder) / f"{name}.svg")
    for name, plot in plots(largest).items():
        plot().figure.savefig(Path(folder) / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
