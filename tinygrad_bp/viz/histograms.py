"""Histograms of activations and gradients, a row for each layer, on one axis.

The one idea: what an average hides, a histogram shows: neurons that are flat for every example stand
at the ends of σ, and a gradient that vanishes wanders to the left from layer to layer. Heights are
relative to each row's own peak; what an axis cannot show (zeros, NaN) is told beside the row. Read
`images.py` next.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backprop.notation import Notation
from ..errors import message
from ..nn import Module
from ..observe import Run
from ..tensor import constant
from .canvas import BLUE, INK, ORANGE, axes, dress

BINS = 60
FULL = 0.85
"""Height of a row's peak, of 1 to the next row."""
MOST_ROWS = 12
"""Rows that are named and told of; of more, so many evenly spaced."""


def plot_activations(source: Any, ax: Any = None) -> Any:
    """How the activations a^l of each layer are distributed over neurons and examples; the Axes.

    `source`: a `bp.backprop.notation`, or what `bp.observe` saw of any net (the last output of each
    module), or a dict name -> array. Raises ValueError without arrays, ImportError without Matplotlib.

    >>> import numpy as np, tinygrad_bp as bp
    >>> ax = bp.viz.plot_activations({"layer 2": np.array([0.1, 0.9]), "layer 3": np.array([0.5])})
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['layer 2', 'layer 3']
    """
    if isinstance(source, Notation):
        source = {f"layer {l}": a for l, a in sorted(source.a.items()) if l > 1}  # noqa: E741
    elif isinstance(source, Run):
        source = {seen.module or "the net": seen.value for seen in source if seen.module is not None}
    rows = _rows(source, "activations")
    ends = [
        end for values in rows.values() for end in (values.min(initial=np.inf), values.max(initial=-np.inf))
    ]
    low, high = (min(ends), max(ends)) if np.all(np.isfinite(ends)) else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    told = {name: f"{values.mean():.2g} ± {values.std():.2g}" for name, values in rows.items() if values.size}
    return _ridges(
        rows,
        np.linspace(low, high, BINS + 1),
        told,
        "activation $a^l$ (mean ± standard deviation)",
        BLUE,
        source,
        ax,
    )


def plot_gradients(source: Any, ax: Any = None) -> Any:
    """How large the gradients of each weight array are, |∂C/∂w| on a logarithmic axis; the Axes.

    `source`: a net after `.backward()`, or a `bp.backprop.notation`, or a dict name -> array. Zeros have
    no place on the axis and are told beside it, with the median of the rest. Raises ValueError without
    gradients, ImportError without Matplotlib.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 5, 2], rng=0)
    >>> np.sum(net(np.ones((4, 3), np.float32)) ** 2).backward()
    >>> [label.get_text() for label in bp.viz.plot_gradients(net).get_yticklabels()]
    ['layers.0.weight', 'layers.0.bias', 'layers.1.weight', 'layers.1.bias']
    """
    if isinstance(source, Notation):
        source = {f"$w^{{{l}}}$": g for l, g in sorted(source.nabla_w.items())}  # noqa: E741
    elif isinstance(source, Module):
        source = {name: p.grad for name, p in source.named_parameters() if p.grad is not None}
    rows = {name: np.abs(values[values != 0]) for name, values in _rows(source, "gradients").items()}
    seen = [values for values in rows.values() if values.size]
    low, high = (min(v.min() for v in seen), max(v.max() for v in seen)) if seen else (0.1, 1.0)
    edges = np.geomspace(low / 1.1, high * 1.1, BINS + 1)
    told = {name: f"median {np.median(values):.1e}" for name, values in rows.items() if values.size}
    ax = _ridges(rows, edges, told, r"size of the gradient $|\partial C/\partial w|$", ORANGE, source, ax)
    ax.set_xscale("log")
    return ax


def _rows(source, what):
    """name -> the finite values, flat and in float64."""
    if not isinstance(source, Mapping) or not source:
        expected = f"a net, a run of one, or a dict name -> array, with {what} in it"
        got = "none" if isinstance(source, (Mapping, Run, Module)) else type(source).__name__
        raise ValueError(message(f"there are no {what} to draw", expected=expected, got=got,
                                 do="call loss.backward() first" if what == "gradients" else None))  # fmt: skip
    flat = {str(name): np.ravel(constant(values)).astype(np.float64) for name, values in source.items()}
    return {name: values[np.isfinite(values)] for name, values in flat.items()}


def _ridges(rows, edges, told, x, color, source, ax):
    """A row for each array, the first at the top, and beside it what is told of it."""
    ax, size = axes(ax)
    every = -(-len(rows) // MOST_ROWS)
    ticks = []
    for i, ((name, values), given) in enumerate(zip(rows.items(), source.values())):
        counts, _ = np.histogram(values, edges)
        heights = i - FULL * counts / max(1, counts.max())
        ax.stairs(heights, edges, baseline=i, fill=True, color=color, alpha=0.55, zorder=2)
        ax.stairs(heights, edges, baseline=None, color=INK, linewidth=1, zorder=3)
        if i % every == 0:
            ticks.append((i, name))
            facts = [told.get(name), *_unseen(np.asarray(constant(given)))]
            ax.text(1.01, i, " · ".join(filter(None, facts)), transform=ax.get_yaxis_transform(),
                    va="bottom", fontsize=size, color=INK)  # fmt: skip
    dress(ax, x, "", size, whole=False)
    ax.set_yticks(*zip(*ticks))
    ax.set_ylim(len(rows) - 0.9, -1)
    ax.grid(False, axis="y")
    return ax


def _unseen(a):
    """What has no place on the axis."""
    zeros, broken = (int(np.count_nonzero(found)) for found in (a == 0, ~np.isfinite(a)))
    return [f"{n / a.size:.0%} {what}" for n, what in ((zeros, "zero"), (broken, "not finite")) if n]
