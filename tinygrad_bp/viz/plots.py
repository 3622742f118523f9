"""Plots of training and of the backward pass, one call each, on an Axes of Matplotlib.

The one idea: each plot takes what another room returned, draws it on the given Axes, or on a new
Figure of 1280 × 720 pixels that belongs to nobody else, and returns the Axes; `ax.figure.savefig`
writes it. No global state of Matplotlib is touched, and no window is opened. The colours are Okabe
and Ito's, and lines differ in their marks as well. Read `histograms.py` next.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import message
from .canvas import BLUE, FAR_APART, GREEN, INK, LOOKS, ORANGE, axes, draws, dress, legend, scale

MANY = 40
"""Epochs from which on a line has no marks."""
MOST_NAMES = 8
"""Layers that are named in a legend, or marks of a line; of more, so many evenly spaced."""


@draws("the history that bp.training.fit returns")
def plot_learning_curve(history: Any, ax: Any = None) -> Any:
    """Loss and accuracies by epoch, from the history that `bp.training.fit` returns; the Axes.

    `history` is anything with the attributes `loss`, `accuracy`, `test_accuracy`: one number per
    epoch each, or none. Accuracies are in percent, on an axis of their own on the right.
    Raises ValueError if there is no loss to draw, ImportError without Matplotlib.

    >>> import tinygrad_bp as bp
    >>> history = bp.training.History(loss=[0.9, 0.3], accuracy=[0.6, 0.8], test_accuracy=[0.5, 0.7])
    >>> bp.viz.plot_learning_curve(history).get_ylabel()
    'loss'
    """
    if not len(history.loss):
        raise ValueError(
            message("this history has no loss to draw", expected="at least one completed epoch", got="none")
        )
    ax, size = axes(ax)
    lines = [_line(ax, history.loss, "loss", BLUE, "o", "-")]
    dress(ax, "epoch", "loss", size)
    ax.set_xlim(0.5, len(history.loss) + 0.5)
    if not np.any(np.asarray(history.loss) < 0):
        ax.set_ylim(bottom=0)
    shares = {"training accuracy": (history.accuracy, GREEN, "s", "--"),
              "test accuracy": (history.test_accuracy, ORANGE, "^", "-")}  # fmt: skip
    shares = {name: look for name, look in shares.items() if len(look[0])}
    if shares:
        right = ax.twinx()
        for name, (values, *look) in shares.items():
            lines.append(_line(right, 100 * np.asarray(values), name, *look))
        dress(right, "", "accuracy (%)", size)
        right.grid(False)
        right.set_ylim(top=100)
    ax.legend(handles=lines, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=size)
    return ax


@draws("a dict layer -> norm, as bp.backprop.delta_norms gives, or a list of them")
def plot_delta_norms(
    norms: Mapping[Any, float] | Sequence[Mapping[Any, float]], ax: Any = None, by: str = "epoch"
) -> Any:
    """‖δ^l‖ by layer as bars, from a dict layer -> norm as `bp.backprop.delta_norms` gives; the Axes.

    A list of such dicts, one before training and one after each epoch (or step: `by`), is a line per layer.
    The axis is logarithmic where the norms differ more than thirtyfold: vanishing and exploding
    gradients are then slopes. Raises ValueError without layers, ImportError without Matplotlib.

    >>> import tinygrad_bp as bp
    >>> [float(bar.get_height()) for bar in bp.viz.plot_delta_norms({2: 0.1, 3: 0.4}).patches]
    [0.1, 0.4]
    >>> len(bp.viz.plot_delta_norms([{2: 0.1, 3: 0.4}, {2: 0.1, 3: 0.3}]).lines)
    2
    """
    if not norms or not all(norms if isinstance(norms, Sequence) else [norms]):
        raise ValueError(message("there are no norms to draw", expected="at least one layer", got="none"))
    ax, size = axes(ax)
    if isinstance(norms, Sequence):
        return _norms_over_time(norms, ax, size, by)
    values = [float(norm) for norm in norms.values()]
    heights = [value if 0 < value < np.inf else 0.0 for value in values]
    bars = ax.bar(range(len(values)), heights, width=0.6, color=BLUE, zorder=2)
    ax.bar_label(bars, [f"{h:.3g}" if h else "" for h in heights], padding=4, fontsize=size, color=INK)
    for i, (value, height) in enumerate(zip(values, heights)):
        if not height:  # zero, infinite or NaN: no bar, and its name at the foot
            ax.text(
                i,
                0.01,
                f"{value:.3g}",
                transform=ax.get_xaxis_transform(),
                ha="center",
                fontsize=size,
                color=INK,
            )
    seen = [height for height in heights if height]
    if seen and max(seen) > FAR_APART * min(seen):
        ax.set_yscale("log")
        ax.set_ylim(min(seen) / 3, max(seen) * 3)
    else:
        ax.set_ylim(0, 1.15 * max(seen, default=1.0))
    dress(ax, "layer $l$", r"error $\|\delta^l\|$", size)
    ax.set_xticks(range(len(values)), [str(layer) for layer in norms])
    ax.grid(False, axis="x")
    return ax


def _norms_over_time(norms, ax, size, by):
    """A line per layer, dark to light from the input on; of many layers some are named."""
    from matplotlib import colormaps

    layers = list(norms[0])
    named = set(layers[:: -(-len(layers) // MOST_NAMES)]) | {layers[-1]}
    for i, layer in enumerate(layers):
        color = colormaps["viridis"](0.88 * i / max(1, len(layers) - 1))
        mark = "osD^vP"[i % 6] if len(layers) <= MOST_NAMES and len(norms) < MANY else None
        name = f"layer {layer}" if layer in named else "_"
        ax.plot([by_layer[layer] for by_layer in norms], color=color, marker=mark, linewidth=2, label=name)
    scale(ax, [value for by_layer in norms for value in by_layer.values()])
    dress(ax, by, r"error $\|\delta^l\|$, mean over the examples", size)
    legend(ax, size)
    return ax


@draws("what bp.backprop.learning_curves returns")
def plot_curves(curves: Any, ax: Any = None) -> Any:
    """Several nets' errors by epoch, from `bp.backprop.learning_curves` and its like (T26, T27); the Axes.

    `curves` has `errors`, a dict name -> errors, the first before any step, and `measure`, their name.

    >>> import tinygrad_bp as bp
    >>> bp.viz.plot_curves(bp.backprop.saturated_start(epochs=9)).get_xlabel()
    'epoch'
    """
    ax, size = axes(ax)
    for (name, errors), (color, mark, dash) in zip(curves.errors.items(), itertools.cycle(LOOKS)):
        every = -(-len(errors) // MOST_NAMES)
        ax.plot(
            errors, dash, color=color, marker=mark, markevery=every, markersize=7, linewidth=2, label=name
        )
    scale(ax, [error for errors in curves.errors.values() for error in errors])
    dress(ax, "epoch", curves.measure.replace("_", " "), size)
    legend(ax, size)
    return ax


@draws("what bp.backprop.effort.errors_by_step returns")
def plot_step_errors(errors: Any, ax: Any = None) -> Any:
    """The error of differences against their step ε, from `bp.backprop.effort.errors_by_step` (T21); the Axes.

    To the right of the minimum truncation, to its left rounding. An error of 0 is not drawn.
    """
    ax, size = axes(ax)
    ways = {"one-sided (46)": errors.one_sided, "two nearby values": errors.central}
    for (name, found), (color, mark, dash) in zip(ways.items(), LOOKS):
        best = int(np.nanargmin(found))
        name += f": least {found[best]:.0e} at ε = {errors.steps[best]:.0e}"
        ax.loglog(errors.steps, found, dash, color=color, marker=mark, markersize=5, linewidth=2, label=name)
    dress(ax, "step ε", f"error, relative to the largest ∂C/∂w ({errors.dtype})", size, whole=False)
    legend(ax, size)
    return ax


@draws("the table of bp.backprop.effort.growing")
def plot_effort(table: Any, ax: Any = None) -> Any:
    """Seconds of one gradient by size of the net, from `bp.backprop.effort.growing` (T21); the Axes.

    Seconds that were extrapolated, not measured, have open marks.
    """
    ax, size = axes(ax)
    at = table.header.index("seconds by (46)")
    counts = [row[table.header.index("parameters")] for row in table.rows]
    texts = [str(row[at]).split() for row in table.rows]
    ways = {
        "differences (46)": ([float(text[0]) for text in texts], [len(text) == 1 for text in texts]),
        "backprop": ([float(row[at + 1]) for row in table.rows], [True] * len(counts)),
    }
    for (name, (seconds, measured)), (color, mark, dash) in zip(ways.items(), LOOKS):
        ax.loglog(counts, seconds, dash, color=color, linewidth=2, marker=mark, markersize=8, label=name,
                  markevery=np.flatnonzero(measured).tolist())  # fmt: skip
        if not all(measured):
            where = ~np.array(measured)
            ax.plot(np.array(counts)[where], np.array(seconds)[where], mark, color=color, mfc="white",
                    markersize=8, label=f"{name}, extrapolated")  # fmt: skip
    dress(ax, "parameters of the net", "time of one gradient (s)", size, whole=False)
    legend(ax, size)
    return ax


def _line(ax, values, name, color, mark, dash):
    """One value per epoch, from epoch 1 on; the line."""
    epochs = range(1, len(values) + 1)
    mark = mark if len(values) < MANY else None
    return ax.plot(
        epochs, values, dash, marker=mark, markersize=7, linewidth=2, color=color, label=name, clip_on=False
    )[0]
