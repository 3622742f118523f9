"""Images of what a net has learned: its weights, its mistakes, and its decisions in the plane.

The one idea: a colour tells sign or kind, its strength the size, and a number or a mark says the same
again for those who do not see the colour. Weights are blue above 0 and orange below, as in all drawings
here; answers are blue if right and orange if mistaken. Read `textbook.py` next.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import message
from ..nn import Module
from ..tensor import Tensor, constant
from ..training.accuracy import classes, predict
from . import style
from .canvas import BLUE, INK, LOOKS, ORANGE, axes, dress

MOST_TILES = 48
MOST_CLASSES = 20
"""Tiles that are drawn, and classes up to which a confusion matrix has numbers."""
FINE = 200
"""Points per side at which the net is asked for its decision."""


def plot_weights(weights: Any, shape: tuple[int, int] | None = None, ax: Any = None) -> Any:
    """The weights w^l_j into each neuron as a small image, blue above 0, orange below; the Axes.

    `weights`: an array (n_out, n_in), or (n_out, height, width), or a net, of which the first weight
    matrix is drawn. `shape`: (height, width) of one image, by default square if n_in is a square; else
    the matrix is one image. Of more than 48 neurons the first are drawn. Raises ValueError if a shape
    does not fit, ImportError without Matplotlib.

    >>> import tinygrad_bp as bp
    >>> len(bp.viz.plot_weights(bp.nn.MLP([64, 30, 10], rng=0)).images)
    30
    """
    images = _images(weights, shape)
    ax, size = axes(ax)
    if images.ndim == 2:
        return _matrix(images, ax, size)
    n, (height, width) = min(len(images), MOST_TILES), images.shape[1:]
    label, gap = 0.3 * height, 0.12 * height  # room for a number, and between
    across, down = width + gap, height + gap + label
    columns = min(n, math.ceil(math.sqrt(n * 1.7 * down / across)))
    limit = _largest(images[:n])
    for j in range(n):
        x, y = j % columns * across, j // columns * down
        box = (x, x + width, y + height, y)
        drawn = ax.imshow(images[j], cmap=_diverging(), vmin=-limit, vmax=limit, extent=box)
        ax.text(
            x + width / 2, y - 0.1 * label, str(j + 1), ha="center", va="bottom", fontsize=size, color=INK
        )
    rows = math.ceil(n / columns)
    ax.set(xlim=(-gap, columns * across), ylim=(rows * down - label, -label - gap), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    more = f", and {len(images) - n} more" if n < len(images) else ""
    ax.set_xlabel(f"one image per neuron $j$: its {height * width} weights{more}", fontsize=size, color=INK)
    _bar(ax, drawn, "weight", size)
    return ax


def plot_confusion(counts: Any, names: Sequence[Any] | None = None, ax: Any = None) -> Any:
    """Which class (row) is taken for which (column), from `bp.training.confusion_matrix`; the Axes.

    Blue on the diagonal are right answers, orange beside it mistakes; the strength is the share of the
    row. `names` of the classes are 0, 1, … by default. Raises ValueError if `counts` is not square.

    >>> import numpy as np, tinygrad_bp as bp
    >>> bp.viz.plot_confusion(np.array([[8, 2], [1, 9]])).get_title()
    '17 of 20 right'
    """
    counts = np.asarray(constant(counts))
    K = len(counts) if counts.ndim else 0
    names = range(K) if names is None else names
    if counts.shape != (K, K) or not K or len(names) != K or np.any(counts < 0):
        got = f"shape {counts.shape}, {len(names)} names"
        raise ValueError(
            message(
                "these are no counts of right and mistaken answers",
                got=got,
                expected="(K, K) counts ≥ 0 and K names",
            )
        )
    ax, size = axes(ax)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    right = np.eye(K, dtype=bool)
    ax.imshow(np.ma.masked_array(shares, ~right), cmap=_tints(BLUE), vmin=0, vmax=1)
    ax.imshow(
        np.ma.masked_array(np.sqrt(shares), right), cmap=_tints(ORANGE), vmin=0, vmax=1
    )  # sqrt: few are seen
    for i, j in np.argwhere(counts > 0) if K <= MOST_CLASSES else ():
        dark = (shares[i, j] if i == j else math.sqrt(shares[i, j])) > 0.55
        ax.text(
            j, i, f"{counts[i, j]:g}", ha="center", va="center", fontsize=size, color="white" if dark else INK
        )
    dress(ax, "the net says", "it is", size)
    every = -(-K // MOST_CLASSES)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(range(0, K, every), [str(name) for name in names][::every])
    ax.grid(False)
    ax.set_title(f"{np.trace(counts):g} of {counts.sum():g} right", fontsize=size, color=INK)
    return ax


def plot_decision_regions(net: Callable, x: Any, y: Any, threshold: float = 0.5, ax: Any = None) -> Any:
    """What the net answers everywhere in the plane, and the examples x (m, 2) with their classes y; the Axes.

    A net with K ≥ 2 outputs answers with the largest, y being labels 0 … K−1 or one-hot rows; a net
    with one output answers 1 above `threshold`, and its output is drawn in shades. Raises ValueError
    if x is not in the plane or y are no classes, ImportError without Matplotlib.

    >>> import numpy as np, tinygrad_bp as bp
    >>> x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    >>> bp.viz.plot_decision_regions(lambda x: x[:, 0] * x[:, 1], x, y).get_xlabel()
    '$x_1$'
    """
    x, labels = _in_the_plane(x, y)
    middle, half = (x.min(0) + x.max(0)) / 2, 0.6 * np.ptp(x, 0) + (np.ptp(x, 0) == 0)
    ends = [np.linspace(c - h, c + h, FINE) for c, h in zip(middle, half)]
    plane = np.stack(np.meshgrid(*ends), -1).reshape(-1, 2).astype(x.dtype)
    outputs = predict(net, plane)
    ax, size = axes(ax)
    _decisions(ax, ends, outputs, threshold, size)
    for k in np.unique(labels):
        color, mark, _ = LOOKS[k % len(LOOKS)]
        ax.plot(*x[labels == k].T, mark, color=color, mec="white", markersize=10, label=f"class {k}")
    dress(ax, "$x_1$", "$x_2$", size, whole=False)
    ax.grid(False)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, frameon=False, fontsize=size)
    return ax


def _matrix(w, ax, size):
    """w_jk at row j and column k, counted from 1 as in the book."""
    limit, (n, n_in) = _largest(w), w.shape
    drawn = ax.imshow(w, cmap=_diverging(), vmin=-limit, vmax=limit, extent=(0.5, n_in + 0.5, n + 0.5, 0.5),
                      aspect="auto", interpolation="nearest")  # fmt: skip
    dress(ax, "from neuron $k$", "to neuron $j$", size)
    ax.yaxis.set_major_locator(type(ax.xaxis.get_major_locator())(integer=True, min_n_ticks=1))
    ax.grid(False)
    _bar(ax, drawn, "weight $w_{jk}$", size)
    return ax


def _largest(a):
    """The end of a scale around 0."""
    return float(np.max(np.abs(a[np.isfinite(a)]), initial=0.0)) or 1.0


def _images(weights, shape):
    """(n, height, width) in float64, or (n_out, n_in) if that is no row of images."""
    if isinstance(weights, Module):
        matrices = [p for _, p in weights.named_parameters() if p.ndim == 2]
        if not matrices:
            raise ValueError(
                message("this net has no weight matrix", do="give plot_weights an array (n, height, width)")
            )
        weights = matrices[0]
    a = np.asarray(constant(weights) if isinstance(weights, Tensor) else weights, np.float64)
    if a.ndim == 2 and a.size:
        side = math.isqrt(a.shape[1])
        if shape is None and side * side != a.shape[1]:
            return a
        shape = shape or (side, side)
        if math.prod(shape) == a.shape[1]:
            return a.reshape(len(a), *shape)
    if a.ndim != 3 or not a.size or shape not in (None, a.shape[1:]):
        expected = "(n_out, n_in) with n_in = height × width, or (n_out, height, width)"
        raise ValueError(
            message("these weights are no images", expected=expected, got=f"{a.shape} and shape={shape}")
        )
    return a


def _in_the_plane(x, y):
    x, labels = np.asarray(constant(x)), np.asarray(constant(y))
    if x.ndim != 2 or x.shape[1] != 2 or not len(x):
        raise ValueError(message("regions are drawn in the plane", expected="x of shape (m, 2)", got=x.shape))
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    found = classes(labels)
    if found is None and labels.size == len(x) and np.all(labels == labels.astype(int)):
        found = labels.reshape(-1).astype(int)  # 0.0 and 1.0, the targets of a net with one output
    if found is None or len(found) != len(x):
        raise ValueError(
            message(
                "y are no classes of the examples",
                expected=f"{len(x)} integer labels or one-hot rows",
                got=f"shape {labels.shape}, {labels.dtype}",
            )
        )
    return x, found


def _decisions(ax, ends, outputs, threshold, size):
    """Shades of one output, or the class with the largest of several, and the lines between."""
    look = {"origin": "lower", "extent": (*ends[0][[0, -1]], *ends[1][[0, -1]]), "aspect": "auto"}
    planes = outputs.reshape(FINE, FINE, -1)
    K = planes.shape[-1]
    if K == 1:
        values = planes[..., 0] - threshold
        half = max(np.abs(values).max(), 1e-12)
        limits = {"vmin": threshold - half, "vmax": threshold + half}
        _bar(
            ax,
            ax.imshow(planes[..., 0], cmap=_diverging(BLUE, ORANGE, 0.45), **limits, **look),
            "output of the net",
            size,
        )
        leads, width = [values], 2
    else:
        ax.imshow(planes.argmax(-1), cmap=_kinds(K), vmin=-0.5, vmax=K - 0.5, interpolation="nearest", **look)
        leads, width = [planes[..., k] - np.delete(planes, k, -1).max(-1) for k in range(K)], 1
    for lead in leads:
        if lead.min() < 0 < lead.max():
            ax.contour(*ends, lead, levels=[0], colors=[INK], linewidths=width)


def _bar(ax, drawn, name, size):
    """The colours' scale, beside the Axes."""
    bar = ax.figure.colorbar(drawn, ax=ax, fraction=0.04, pad=0.02)
    bar.set_label(name, fontsize=size, color=INK)
    bar.outline.set_visible(False)
    if size is not None:
        bar.ax.tick_params(labelsize=size, labelcolor=INK)


def _diverging(low=style.NEGATIVE, high=style.POSITIVE, strength=1.0):
    """From one colour over white to the other; a lower strength leaves points on it legible."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    ends = [tuple(1 - strength * (1 - part) for part in to_rgb(color)) for color in (low, high)]
    return LinearSegmentedColormap.from_list("over white", [ends[0], "white", ends[1]])


def _tints(color):
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("tints", ["white", color])


def _kinds(K):
    """A tint for each class, of the colour of its marks."""
    from matplotlib.colors import ListedColormap, to_rgb

    return ListedColormap(
        [tuple(0.65 + 0.35 * part for part in to_rgb(LOOKS[k % len(LOOKS)][0])) for k in range(K)]
    )
