"""What all plots share: a Figure of our own or the user's Axes, colours, size of text, frame and legend.

The one idea: a plot is legible on a projector and to colour-blind readers without being asked to be.
The colours are Okabe and Ito's, and whatever differs in colour differs in its mark, its dash or its
text as well. No global state of Matplotlib is touched. Read `plots.py` next.
"""

import functools
from collections.abc import Callable

import numpy as np

from ..errors import message

BLUE, ORANGE, GREEN, GREY, INK = "#0072b2", "#d55e00", "#00735c", "#cbd2d9", "#1f2933"
LOOKS = [(BLUE, "o", "-"), (ORANGE, "^", "--"), (GREEN, "s", "-."), ("#aa4499", "D", ":"), (INK, "v", "-")]
"""Colour, mark and dash of the first, second, … line."""
SIZE = 15
"""Points of all text on a Figure of our own: 21 pixels of 720."""
FAR_APART = 30
"""Ratio of norms from which on their axis is logarithmic."""


def scale(ax, values):
    """A logarithmic axis if the positive values are far apart, else one from 0."""
    seen = [value for value in values if 0 < value < np.inf]
    if seen and max(seen) > FAR_APART * min(seen):
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0)


def legend(ax, size):
    """Above the plot, in rows of four."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=size)


def draws(expected: str) -> Callable[[Callable], Callable]:
    """For a plot of what another room returned: another kind of first argument is told, not an attribute that it lacks."""

    def of(plot):
        @functools.wraps(plot)
        def told(given, *args, **kwargs):
            try:
                return plot(given, *args, **kwargs)
            except AttributeError as error:
                if error.obj is not given:
                    raise
                what = f"{plot.__name__} was given something else to draw"
                raise TypeError(message(what, expected=expected, got=type(given).__name__)) from error

        return told

    return of


def axes(ax):
    """The Axes to draw on, and the size of text: ours on a Figure of our own, else as it is there."""
    if ax is not None:
        return ax, None
    try:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise ImportError(
            message("plots need Matplotlib", do="install it with pip install 'tinygrad_bp[viz]'")
        ) from error
    margins = ConstrainedLayoutEngine(w_pad=0.2, h_pad=0.2)
    return Figure(figsize=(12.8, 7.2), dpi=100, layout=margins).add_subplot(), SIZE


def dress(ax, x, y, size, whole=True):
    """Names on the axes, `whole` numbers below, a light grid, no box."""
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel(x, fontsize=size, color=INK)
    ax.set_ylabel(y, fontsize=size, color=INK)
    if whole:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if size is not None:
        ax.tick_params(labelsize=size, labelcolor=INK)
    ax.grid(True, color=GREY, linewidth=0.6, zorder=0)
    ax.spines[["top", "left", "right"]].set_visible(False)
