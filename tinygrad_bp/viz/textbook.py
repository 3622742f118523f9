"""The book's pictures of a small net, with the numbers of a real run: w^3_24, the demon, Δw spreading to ΔC.

Every picture is a function of (net, x, y, cost), as for `bp.backprop.notation` but for one example, and
of the book's indices, which count from 1. It returns a `graphviz.Digraph` that shows itself, and that
`bp.viz.render(g, "net.svg")` writes.

The one idea: all pictures are one drawing of a layered net, `draw_layers`; a picture says only which neurons
and edges are lit, and what is written on them. The drawing chooses the places itself (`layout=neato`
keeps them), on a page of 1280 × 720 pixels. Indices are set in cells of tables, which every renderer
places alike. Read `render.py` next.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backprop.conventions import element
from ..backprop.costs import demon
from ..backprop.notation import notation
from ..backprop.paths import Layered, Path
from ..errors import message
from . import style
from .render import Picture
from .style import brief

WIDTH, HEIGHT = 950, 550
"""Points of the page: 1280 × 720 pixels, less a margin."""
NEURON, TALL, ROW, LINE = 70, 56, 86, 26
"""Points: a neuron's width and height; from one neuron to the next below, at most; from line to line."""
MOST_LAYERS, MOST_NEURONS = 5, 5
BODY, SCRIPT, TITLE = 14, 11, 18

PAGE = {**style.GRAPH, "layout": "neato", "inputscale": "72", "outputorder": "edgesfirst", "pad": "0.07"}
WORDS = {"shape": "plain"}
QUIET = {"shape": "ellipse", "style": "filled", "fillcolor": style.PAPER, "color": style.VALUE_EDGE, "margin": "0",
         "fontcolor": style.MUTED, "fixedsize": "true", "width": f"{NEURON / 72:.3f}", "height": f"{TALL / 72:.3f}"}  # fmt: skip
LIT = {**QUIET, "color": style.INK, "fontcolor": style.INK, "penwidth": "2.2"}
PARAMETER = {**LIT, "fillcolor": style.PARAMETER_FILL, "color": style.PARAMETER_EDGE}
CHANGED = {**LIT, "fillcolor": style.OP_FILL, "color": style.GRADIENT}
PASSED = {**LIT, "color": style.GRADIENT, "penwidth": "1"}
COST = {**style.RESULT, "margin": "0.1,0.06"}
COST_CHANGED = {**COST, "fillcolor": style.OP_FILL, "color": style.GRADIENT}
FIXED = {**style.CONSTANT, "margin": "0.1,0.06"}
TAG = {"shape": "box", "style": "rounded,filled", "fillcolor": style.PAPER, "margin": "0.055,0.01"}
FAINT = {"color": style.LAYER_EDGE, "arrowhead": "none"}
"""Attributes of Graphviz."""

TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">'
INDICES = re.compile(r"\^([0-9A-Za-z]*)(?:_([0-9A-Za-z]+(?:,[0-9]+)?))?")
WIDTHS = {" ": 0.28, "∂": 0.53, "≈": 0.56, "→": 1.0, "…": 1.0, "−": 0.58}
SYMBOLS = "".join(WIDTHS).strip()
"""Of characters in Arial, in units of the size: layout programs take a symbol for several letters."""
ALONG = sorted(np.linspace(0.16, 0.84, 35).tolist(), key=lambda t: abs(t - 0.5))
"""Where on an edge its label may stand."""


def draw_weight(net: Any, x: Any, y: Any, cost: Any, l: int, j: int, k: int) -> Picture:
    """The net in layers: w^l_jk, from neuron k of layer l−1 to neuron j of layer l, b^l_j and a^l_j.

    The notation of Nielsen ch. 2, eq. 23. For all pictures: x and y are one example, other arguments as
    for `bp.backprop.notation`. Raises IndexError for indices that the net does not have, ValueError for
    a net of more than 5 layers.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 4, 2], rng=0, dtype=np.float64)
    >>> g = bp.viz.draw_weight(net, np.ones(3), np.zeros(2), bp.nn.functional.quadratic_cost, l=3, j=2, k=4)
    >>> g.name
    'weight3_2_4'
    """
    book = observed(net, x, y, cost)
    w, z, a_in, a = (
        index_name(s, *at) for s, *at in [("w", l, j, k), ("z", l, j), ("a", l - 1, k), ("a", l, j)]
    )
    weight, b = brief(element(book, "w", l, j, k)), index_name("b", l, j)
    bias, plus = (f"{b} = {brief(element(book, 'b', l, j))}", f" + {b}") if l in book.b else ("", "")
    return draw_layers(
        book, f"weight{l}_{j}_{k}", f"{w} is the weight from neuron {k} of layer {l - 1} to neuron {j} of layer {l}",
        [f"{z} = … + {w} {a_in} + …{plus} = {brief(element(book, 'z', l, j, 1))} ,   "
         f"{a} = σ({z}) = {brief(element(book, 'a', l, j, 1))}"],
        shown_neurons(book, (l - 1, k), (l, j)), {(l - 1, k): (LIT, [], ""), (l, j): (LIT, [], bias)},
        {(l, j, k): ([style.PARAMETER_EDGE], f"{w} = {weight}")},
    )  # fmt: skip


def draw_demon(net: Any, x: Any, y: Any, cost: Any, l: int, j: int, dz: float = 0.1) -> Picture:
    """The demon at neuron j of layer l: it adds Δz = `dz` to z^l_j, and C changes by about δ^l_j Δz.

    Nielsen ch. 2, before eq. 29; the true change of C stands below. Otherwise as `draw_weight`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 4, 2], rng=0, dtype=np.float64)
    >>> g = bp.viz.draw_demon(net, np.ones(3), np.zeros(2), bp.nn.functional.quadratic_cost, 2, 1, dz=-0.2)
    >>> "Δz = -0.2" in g.source
    True
    """
    book, z, delta = observed(net, x, y, cost), index_name("z", l, j), index_name("δ", l, j)
    moved, shown = element(book, "z", l, j, 1) + dz, shown_neurons(book, (l, j))
    [(*_, error, _, dC, predicted, _)] = demon(net, x, y, cost, l, j, steps=[dz]).rows
    error, step, product = map(brief, (error, dz, predicted))
    return draw_layers(
        book, f"demon{l}_{j}", f"The demon at neuron {j} of layer {l} turns {z} into {z} + Δz",
        [f"the error {delta} = ∂C/∂{z} = {error} ,   ΔC ≈ {delta} Δz = {error} × {step} = {product}",
         f"the net run again with Δz:   ΔC = {brief(dC)}"],
        shown, {at[:2]: (PASSED, [], "") for at in reached(shown, l, j)}
        | {(l, j): (CHANGED, [f"{z}+Δz", brief(moved, 2)], f"demon: Δz = {step}")},
        {edge: ([style.GRADIENT], "") for edge in reached(shown, l, j)},
        cost=(COST_CHANGED, [f"ΔC ≈ {delta} Δz", f"= {product}"]),
    )  # fmt: skip


def draw_cost(net: Any, x: Any, y: Any, cost: Any) -> Picture:
    """The cost C as a function of the output activations a^L alone; y is a fixed parameter of it.

    Nielsen ch. 2, the second assumption on the cost. On the edges: ∂C/∂a^L_j. Otherwise as `draw_weight`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 4, 2], rng=0, dtype=np.float64)
    >>> g = bp.viz.draw_cost(net, np.ones(3), np.zeros(2), bp.nn.functional.quadratic_cost)
    >>> g.name
    'cost'
    """
    book = observed(net, x, y, cost)
    L, targets = book.L, [brief(value) for value in np.ravel(book.y)]
    fixed = [f"y^_{j} = {t}" for j, t in enumerate(targets, 1)] if len(targets) > 1 else [f"y = {targets[0]}"]
    if len(fixed) > MOST_NEURONS:
        fixed = [*fixed[: MOST_NEURONS - 1], f"… {len(fixed) - MOST_NEURONS + 1} more"]
    shown = shown_neurons(book)
    outputs = [j for j in shown[L] if j]
    return draw_layers(
        book, "cost", f"The cost is a function of the output activations a^{L} alone",
        [f"y is a fixed parameter, to which no gradient flows;   on the edges: ∂C/∂a^{L}_j"],
        shown, {(L, j): (LIT, [], "") for j in outputs},
        {(L + 1, 1, j): ([style.GRADIENT], brief(book.nabla_a[j - 1, 0])) for j in outputs},
        cost=(COST, [f"C(a^{L}) = {brief(_cost(book))}"]), fixed=fixed,
    )  # fmt: skip


def draw_bp4(net: Any, x: Any, y: Any, cost: Any, l: int, j: int, k: int) -> Picture:
    """∂C/∂w^l_jk = a^{l−1}_k δ^l_j on its edge: a_in × δ_out (BP4; Nielsen ch. 2, eq. 32).

    Otherwise as `draw_weight`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 4, 2], rng=0, dtype=np.float64)
    >>> g = bp.viz.draw_bp4(net, np.ones(3), np.zeros(2), bp.nn.functional.quadratic_cost, l=2, j=4, k=3)
    >>> g.name
    'bp4_2_4_3'
    """
    book = observed(net, x, y, cost)
    w, a, delta = index_name("w", l, j, k), index_name("a", l - 1, k), index_name("δ", l, j)
    slope, error = element(book, "nabla_w", l, j, k), element(book, "delta", l, j, 1)
    a_in = element(book, "a", l - 1, k, 1)
    return draw_layers(
        book, f"bp4_{l}_{j}_{k}", f"∂C/∂{w} = a^_in × δ^_out : the activation into the weight times the error at its end",
        [f"∂C/∂{w} = {a} {delta} = {brief(a_in)} × {brief(error)} = {brief(slope)}   (BP4)"],
        shown_neurons(book, (l - 1, k), (l, j)),
        {(l - 1, k): (PARAMETER, [], "a^_in"), (l, j): (CHANGED, [delta, brief(error, 2)], "δ^_out")},
        {(l, j, k): ([style.INK], f"∂C/∂{w} = {brief(slope)}")},
    )  # fmt: skip


def draw_spread(net: Any, x: Any, y: Any, cost: Any, l: int, j: int, k: int, dw: float = 0.1) -> Picture:
    """Δw^l_jk = `dw` spreads: Δa^l_j, then the Δa of each later layer, then ΔC (Nielsen ch. 2, eqs. 47–50).

    The changes are those of a second run with the weight moved in a copy of the net; below stands eq. 47,
    ΔC ≈ ∂C/∂w Δw. Otherwise as `draw_weight`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 4, 2], rng=0, dtype=np.float64)
    >>> g = bp.viz.draw_spread(net, np.ones(3), np.zeros(2), bp.nn.functional.quadratic_cost, 2, 4, 3, dw=0.5)
    >>> "ΔC = " in g.source
    True
    """
    book, w = observed(net, x, y, cost), index_name("w", l, j, k)
    slope, shown = element(book, "nabla_w", l, j, k), shown_neurons(book, (l - 1, k), (l, j))
    change = {row[0]: row[2] for row in Layered(net, x, y, cost).spread(l, j, k, dw).rows}
    dC, step, later = brief(change["C"]), brief(dw), reached(shown, l, j)
    changed = [(l, j), *(at[:2] for at in later if at[0] <= book.L)]
    return draw_layers(
        book, f"spread{l}_{j}_{k}", f"A change of {w} spreads from layer to layer to the cost",
        [f"(47):  ΔC ≈ ∂C/∂{w} Δ{w} = {brief(slope)} × {step} = {brief(slope * dw)} ,   "
         f"the net run again:  ΔC = {dC}"],
        shown, {(l - 1, k): (LIT, [], "")}
        | {(i, q): (CHANGED, [index_name("Δa", i, q), brief(change[index_name("a", i, q)], 2)], "") for i, q in changed},
        {edge: ([style.GRADIENT], "") for edge in later} | {(l, j, k): ([style.PARAMETER_EDGE], f"Δ{w} = {step}")},
        cost=(COST_CHANGED, [f"ΔC = {dC}"]),
    )  # fmt: skip


def draw_paths(
    net: Any, x: Any, y: Any, cost: Any, paths: Path | Sequence[Path], k: int | None = None
) -> Picture:
    """Paths to the cost, lit, with their rate factors on the edges and the products (Nielsen ch. 2, eq. 51).

    `paths`: one Path of `bp.backprop.paths`, or up to 5. `k`: for paths from a weight w^l_jk, the neuron
    that it comes from; its factor ∂a^l_j/∂w^l_jk then stands on that edge. Otherwise as `draw_weight`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net, cost = bp.nn.MLP([3, 4, 2], rng=0, dtype=np.float64), bp.nn.functional.quadratic_cost
    >>> best = bp.backprop.paths.Layered(net, np.ones(3), np.zeros(2), cost).largest(("w", 2, 4, 3), 2)
    >>> bp.viz.draw_paths(net, np.ones(3), np.zeros(2), cost, best, k=3).name
    'paths'
    """
    book, paths = observed(net, x, y, cost), [paths] if isinstance(paths, Path) else list(paths)
    if not 1 <= len(paths) <= len(style.PATHS):
        raise ValueError(
            message("paths cannot be told apart", expected=f"1 to {len(style.PATHS)}", got=len(paths))
        )
    notes: list[str] = []
    edges: dict[tuple, tuple[list[str], str]] = {}
    for path, ink in zip(paths, style.PATHS):
        steps = _steps(book, path, k)
        for edge, factor in zip(reversed(steps), reversed(path.factors)):
            edges.setdefault(edge, ([], brief(factor)))[0].append(ink)
        passed = [index_name("a", *at) for at in path.neurons] + ["C"]
        through = [index_name("w", *steps[0]), *passed] if len(steps) == len(passed) else passed
        product = " × ".join(map(brief, path.factors))
        notes.append(f"{' → '.join(through)} :   {product} = {brief(path.rate)}")
    lit = {(l - 1, p) for l, _, p in edges}
    return draw_layers(
        book, "paths", "A path's rate is the product of the rate factors on its edges", notes,
        shown_neurons(book, *lit), dict.fromkeys(lit, (LIT, [], "")), edges, inks=style.PATHS,
    )  # fmt: skip


# ---- the run, and what of it is shown ----------------------------------------------------------------------


def observed(net, x, y, cost):
    """One example's run in the book's notation."""
    book = notation(net, x, y, cost)
    if book.m > 1 or book.L > MOST_LAYERS:
        expected, got = f"one example, at most {MOST_LAYERS} layers", f"{book.m}, {book.L}"
        do = "give x[0], y[0], and a smaller net; or draw its graph with bp.viz.graph(run)"
        raise ValueError(message("this cannot be read as a picture", expected=expected, got=got, do=do))
    return book


def _cost(book):
    return float(next(seen.value for seen in reversed(book.run.nodes) if seen.cotangent is not None))


def _steps(book, path, k):
    """The edges (layer, to, from) of a path, also that of the weight it starts at if `k` is given."""
    ends, layers = (
        [*path.neurons[1:], (book.L + 1, 1)],
        [at[0] for at in path.neurons if isinstance(at, tuple)],
    )
    extra = len(path.factors) - len(ends)
    if layers != [*range(book.L + 1 - len(ends), book.L + 1)] or extra not in (0, 1):
        what, do = "this path does not lead through this net", "take it from Layered(net, x, y, cost)"
        raise ValueError(message(what, expected=f"neurons (l, j), …, ({book.L}, m)", got=path.neurons, do=do))
    for at in path.neurons:
        element(book, "a", *at, 1)
    start = [(*path.neurons[0], k)] if extra and k is not None else []
    for at in start:
        element(book, "w", *at)
    return start + [(*end, p) for (_, p), end in zip(path.neurons, ends)]


def shown_neurons(book, *wanted):
    """Layer -> the neurons to be drawn: all that are `wanted`, the first ones, and None for “… more”."""
    shown: dict[int, list[int | None]] = {}
    for l, n in enumerate(book.sizes, 1):
        rows = {j for i, j in wanted if i == l}
        room = n if n <= MOST_NEURONS else MOST_NEURONS - 1
        others = (j for j in range(1, n + 1) if j not in rows)
        shown[l] = sorted(rows | set(itertools.islice(others, max(room - len(rows), 0))))
        if len(shown[l]) < n:
            gap = next(i for i, j in enumerate([*shown[l], None]) if j != i + 1)
            shown[l].insert(gap, None)
    return shown


def reached(shown, l, j=None):
    """The edges (layer, to, from) between what is shown after layer l, or after its neuron j alone, C included."""
    columns = {**shown, l: shown[l] if j is None else [j], len(shown) + 1: [1]}
    return [(i, q, p) for i in columns if i > l for q in columns[i] for p in columns[i - 1] if p and q]


# ---- the one drawing ---------------------------------------------------------------------------------------


def draw_layers(book, name, title, notes, shown, neurons, edges, cost=None, fixed=(), inks=()):
    """The net from left to right and the cost at its end, `title` above, `notes` below in these `inks`.

    `neurons`: (l, j) -> (look, lines, none for name and value, tag above); `edges`: (l, j, k) -> (colours,
    label, or also attributes), where the cost is neuron 1 of layer L + 1; `cost`: (look, lines); `fixed`: lines of y.
    """
    page, L = _Page(name), book.L
    spots, half = _spots(shown, len(notes), len(fixed))
    for (l, j), spot in spots.items():
        look, lines, tag = neurons.get((l, j), (QUIET, [], ""))
        if j is None:
            page.write(f"more{l}", [f"… {book.sizes[l - 1] - len(shown[l]) + 1} more"], spot, WORDS)
        elif l <= L:
            lines = lines or [index_name("a", l, j), brief(element(book, "a", l, j, 1), 2)]
            page.write(f"a{l}_{j}", lines, spot, look)
        if tag:
            page.write(f"tag{l}_{j}", [tag], spot + 0.5j * ROW, {**TAG, "color": look["color"]})
    look, lines = cost or (COST, [f"C = {brief(_cost(book))}"])
    page.write("C", lines, spot, look)
    if fixed:
        page.write("y", fixed, spot - 0.5j * LINE * (3 + len(fixed)), FIXED)
        page.dot.edge("y", "C", style="dashed")
    labels = {}
    for l, j, k in reached(shown, 1):
        colors, label, *more = edges.get((l, j, k), ([], ""))
        look = {"color": ":".join(colors), "penwidth": "2.5"} if colors else FAINT
        for attributes in more:
            look = {**look, **attributes}
        page.dot.edge(f"a{l - 1}_{k}", f"a{l}_{j}" if l <= L else "C", **look)
        if label:
            labels[f"w{l}_{j}_{k}"] = label, spots[l - 1, k], spots[l, j], {**TAG, "color": colors[0]}
    page.write_on_edges(labels)
    for l, column in shown.items():
        kind = {1: " (input)", L: " (output)"}.get(l, "")
        page.write(f"layer{l}", [f"layer {l}{kind}"], spots[l, column[0]].real - (half + 45) * 1j, WORDS)
    top = max(spot.imag + height / 2 for spot, _, height in page.taken)
    page.write("title", [title], WIDTH / 2 + (top + 30) * 1j, WORDS, TITLE)
    for i, (note, ink) in enumerate(zip(notes, inks or itertools.repeat(style.INK))):
        below = half + 75 + LINE * i
        page.write(f"note{i}", [note], WIDTH / 2 - below * 1j, {**WORDS, "fontcolor": ink})
    return page.dot


def _spots(shown, notes, fixed):
    """(layer, neuron) -> x + iy in points, the cost last, as neuron 1 of layer L + 1; half the height of all."""
    rows = max(map(len, shown.values()))
    row = min(ROW, (HEIGHT - 145 - LINE * notes) / max(rows - 1, 1))
    if row < TALL + 4:
        what = "these paths pass too many neurons of one layer to be drawn"
        raise ValueError(message(what, expected="at most 5", got=rows, do="draw fewer paths"))
    half, step = max((rows - 1) * row / 2, fixed and LINE * (fixed + 1.5)), (WIDTH - 115) / len(shown)
    spots = {}
    for l, column in shown.items():
        for i, j in enumerate(column):
            spots[l, j] = 45 + step * (l - 1) + ((len(column) - 1) / 2 - i) * row * 1j
    return {**spots, (len(shown) + 1, 1): WIDTH - 70 + 0j}, half


class _Page:
    """The drawing so far, and the boxes (middle, width, height) that are taken by what is written on it."""

    def __init__(self, name):
        self.dot = Picture(name, graph_attr=PAGE, node_attr=style.NODE, edge_attr=style.EDGE, format="svg")
        self.taken: list[tuple[complex, float, float]] = []

    def write(self, name, lines, spot, look, size=BODY):
        """Lines of text, in a node whose middle is at `spot`."""
        self.taken.append((spot, *((NEURON, TALL) if "fixedsize" in look else _size(lines, size))))
        self.dot.node(name, _typeset(lines, size), pos=f"{spot.real:.1f},{spot.imag:.1f}!", **look)

    def write_on_edges(self, labels):
        """Texts on their edges where nothing else is written, in one line or in two, the hardest first."""
        places = {}
        for name, (text, start, end, _) in labels.items():
            forms = [text], text.replace(" = ", "\n= ").split("\n")
            spots = [start + t * (end - start) for t in ALONG]
            places[name] = [(spot, *_size(lines, BODY), lines) for lines in forms for spot in spots]
        taken = self.taken[:]
        while places:
            for name in places:
                places[name] = [
                    place for place in places[name] if not any(_meet(place, box) for box in taken)
                ]
            name = min(places, key=lambda name: len(places[name]))
            others = [place for other in places if other != name for place in places[other]]
            if not places[name]:
                raise ValueError(
                    message("the numbers of all these edges find no room", do="draw fewer paths")
                )
            best = min(places.pop(name), key=lambda place: sum(_meet(place, other) for other in others))
            self.write(name, best[3], best[0], labels[name][3])
            taken = self.taken[-1:]


def _meet(a, b):
    """Are two boxes (middle, width, height, …) less than 2 points apart?"""
    apart = a[0] - b[0]
    return abs(apart.real) <= (a[1] + b[1]) / 2 + 2 and abs(apart.imag) <= (a[2] + b[2]) / 2 + 2


# ---- text --------------------------------------------------------------------------------------------------


def index_name(symbol, l, j, k=None):
    """A symbol with the book's indices: w^3_24, or w^3_2,14 where they would run into each other."""
    return f"{symbol}^{l}_{j}" + ("" if k is None else f"{',' if max(j, k) > 9 else ''}{k}")


def _pieces(line):
    """[(text, upper index, lower index)] of a line; the last text may have none."""
    *pairs, last = INDICES.split(line)
    found = [(text, over, under or "") for text, over, under in zip(pairs[::3], pairs[1::3], pairs[2::3])]
    return [*found, (last, None, None)] if last else found


def _size(lines, size):
    """About the width and height of lines of text with a margin, in points."""
    widths, heights = [], []
    for line in map(_pieces, lines):
        text = "".join(text for text, _, _ in line)
        letters = len(text) - 0.45 * sum(map(text.count, " .,:-()/"))
        scripts = sum(max(len(over or ""), len(under or "")) for _, over, under in line)
        widths.append(0.57 * (size * letters + SCRIPT * scripts))
        heights.append(1.25 * size if line[0][1] is None else LINE)
    return max(widths) + 8, sum(heights) + 3


def _typeset(lines, size):
    """A label of Graphviz: in a line, ^3_24 are an upper and a lower index, one above the other."""
    table = TABLE.replace(">", ' FIXEDSIZE="TRUE">') if len(lines) > 1 else TABLE  # or it would be stretched
    rows = ""
    for line in map(_pieces, lines):
        upper = lower = ""
        for text, over, under in line:
            upper += _cells(text, size, "LEFT" if over is None else "RIGHT") + _script(over)
            lower += _script(under)
        rows += f"<TR><TD>{table}<TR>{upper}</TR><TR>{lower or '<TD></TD>'}</TR></TABLE></TD></TR>"
    return f"<{TABLE}{rows}</TABLE>>"


def _cells(text, size, side):
    """Cells for the parts of a text: spaces and symbols have widths that layout programs do not know."""
    cells = ""
    for part in re.findall(rf" +|[{SYMBOLS}]|[^ {SYMBOLS}]+(?: [^ {SYMBOLS}]+)*", text):
        look, shown = f'ALIGN="{side}"', f'<FONT POINT-SIZE="{size}">{style.escape(part)}</FONT>'
        if part[0] in WIDTHS:
            width = WIDTHS[part[0]] * len(part) * size
            look = f'ALIGN="LEFT" FIXEDSIZE="TRUE" WIDTH="{width:.0f}" HEIGHT="{1.25 * size:.0f}"'
            shown = "" if part[0] == " " else shown + '<BR ALIGN="LEFT"/>'
        cells += f'<TD ROWSPAN="2" {look}>{shown}</TD>'
    return cells


def _script(text):
    """The cell of an index; none after the last text."""
    shown = f'<FONT POINT-SIZE="{SCRIPT}">{text}</FONT>' if text else ""
    return "" if text is None else f'<TD ALIGN="LEFT" HEIGHT="{1.2 * SCRIPT:.0f}">{shown}</TD>'
