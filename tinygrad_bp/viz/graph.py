"""`graph`: the computation as a picture of Graphviz: ops as ellipses, values as boxes, layers as frames.

The one idea: what is drawn is the list that `trace` makes of a recorded graph or an observed run,
marked, summarised and laid out by the files that come before; this one only writes the DOT text.
Edges point the way the data flow. Read `render.py` next.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from ..derivation.formulas import written
from ..derivation.symbols import CHAIN, symbols
from ..errors import message
from . import style
from .collapse import fitting, without_constants
from .edges import local_label, path_steps
from .highlight import COLORS, mark, marks_of
from .labels import Shown, op_label, plain, tooltip, value_label
from .layout import Layout, frames
from .legend import legend as legend_of
from .render import Picture
from .scaffold import hold_columns, hold_rows, mark_rows, op_name, value_name
from .vertices import trace

MAX_NODES = 120
NAMED = 2000
"""Vertices of a graph in which the book's layers are looked for, at most."""
DIRECTIONS = {"page": "TB", "down": "TB", "right": "LR"}


def graph(
    t: Any,
    *,
    depth: int | None = None,
    values: bool | str = True,
    edges: str | None = None,
    highlight: Sequence[str] = ("nan", "no gradient"),
    paths: Sequence = (),
    constants: bool = True,
    direction: str = "page",
    legend: bool = True,
    max_nodes: int = MAX_NODES,
) -> Picture:
    """The graph of a Tensor (or its `Seen`), or of an observed run, as a `graphviz.Digraph` that shows itself.

    `depth`: modules deeper than this are one box each; by default as deep as `max_nodes` allows, beyond
    which repeated blocks are ×N and the middle is “… 412 more”. `values`: True, False or "heatmap".
    `edges="local"`: local derivative and contribution on each edge. `highlight`: of "nan", "no gradient",
    "saturated". `paths`: of `bp.backprop.paths.recorded`, to be lit. `direction`: "page" (layers in columns),
    "down", "right". `.dark()` is for dark paper; `bp.viz.render(g, "net.svg")` writes. See docs/graphs.md.

    >>> import numpy as np, tinygrad_bp as bp
    >>> x = bp.Tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> with bp.observe() as run: np.sum(x * x).backward()
    >>> "grad [2, 4]" in bp.viz.graph(run).source
    True
    """
    _check("values", values, (True, False, "heatmap"))
    _check("edges", edges, (None, "local"))
    _check("direction", direction, DIRECTIONS)
    _check("depth", depth, (None,), at_least=0)
    _check("max_nodes", max_nodes, (), at_least=3)
    traced = trace(t)
    mark(traced, highlight)
    drawn = traced if constants else without_constants(traced)
    vertices = fitting(drawn, depth, max_nodes)
    book = _book(traced) if len(traced) <= NAMED else None
    shown = Shown(values, _contributions(vertices) if edges else {}, _names(book, traced))
    layout = Layout(vertices, in_columns=direction == "page")
    dot = Picture(
        "computation", graph_attr={**style.GRAPH, "rankdir": DIRECTIONS[direction]}, node_attr=style.NODE,
        edge_attr=style.EDGE, format="svg",
    )  # fmt: skip
    if layout.width > 1:
        mark_rows(dot, layout)
    _draw_frame(dot, frames(layout), layout, shown, itertools.count())
    _draw_edges(dot, layout, path_steps(vertices, paths), _form(book) if edges else None)
    if layout.width > 1:
        hold_rows(dot, layout)
        hold_columns(dot, layout)
    if legend:
        dot.attr(label=legend_of(vertices, shown, paths, len(traced) - len(drawn)), labelloc="b")
    return dot


def _check(name, value, allowed, at_least=None):
    number = at_least is not None and isinstance(value, int) and not isinstance(value, bool)
    if not (number and value >= at_least) and not any(value is a or value == a != 1 for a in allowed):
        choices = [
            *map(repr, allowed),
            *([f"a whole number from {at_least}"] if at_least is not None else []),
        ]
        raise ValueError(message(f"graph({name}=…)", expected=" or ".join(choices), got=repr(value)))


def _contributions(vertices):
    """Index of a value -> what the edges out of it brought to its gradient."""
    brought: dict[int, list] = {}
    for v in vertices:
        for p, share in zip(v.parents, v.contributions):
            if share is not None and not p.inline and not isinstance(share, list):
                brought.setdefault(p.index, []).append(share)
    return brought


def _book(traced):
    """The book's names in the run behind these vertices, if a backward pass is over; else None."""
    ends = [v.seen for v in traced if v.kind == "op" and v.seen is not None and v.seen.cotangent is not None]
    return symbols(ends[-1]) if ends and ends[-1].shape == () else None


def _names(book, traced):
    """Seen of a weighted input, weight or bias -> the name of its cotangent, and its equation."""
    found = {}
    for v in traced if book else ():
        if book.layer(v.seen) is not None and v.cotangent is not None and book.arriving(v.seen) != CHAIN:
            title = str(book.cotangent(v.seen)) if book.is_delta(v.seen) else "grad"
            found[v.seen] = title, book.arriving(v.seen)
    return found


def _form(book):
    """(Seen, operand) -> what it hands on, in symbols."""

    def form(seen, i):
        tree = book.share(seen, i) if book and written(seen).known else None
        return book.say(tree) if tree else ""

    return form


def _draw_frame(dot, frame, layout, shown, numbers):
    for v in frame.vertices:
        _draw_vertex(dot, v, bool(layout.users[v.index]), shown)
    for inner in frame.inner:
        with dot.subgraph(name=f"cluster{next(numbers)}") as part:
            if inner.path:
                title = style.escape(style.short(inner.path, style.LONGEST_NAME))
                part.attr(label=f"<<B>{title}</B>>", tooltip=plain(inner.path), **style.FRAME)
            else:
                part.attr(label="", margin="0", style="invis")
            _draw_frame(part, inner, layout, shown, numbers)


def _draw_vertex(dot, v, used, shown):
    if v.kind == "op":
        look = style.OP if not v.inside else style.MORE if v.op.startswith("…") else style.MODULE
        dot.node(op_name(v.index), op_label(v), tooltip=tooltip(v, v.op), **look)
    name = (v.name or ("" if used or v.kind != "op" else "result")).removeprefix(f"{v.module}.")
    plain_look = {
        "parameter": style.PARAMETER,
        "constant": style.CONSTANT,
        "op": style.VALUE if used else style.RESULT,
    }[v.kind]
    marked = [{"color": COLORS[m.kind], "penwidth": "3"} for m in marks_of(v)][:1]
    look = dict(itertools.chain(plain_look.items(), *(m.items() for m in marked)))
    dot.node(value_name(v.index), value_label(v, name, shown), tooltip=tooltip(v, v.name or v.kind), **look)


def _draw_edges(dot, layout, steps, form: Callable | None):
    """Edges from operands to ops to values, those of paths lit; `form`: with local derivatives on them."""
    for v in layout.vertices:
        through: dict[str, None] = {}
        for i, p in enumerate(v.parents):
            if p.inline:
                continue
            near = layout.column[p.index] == layout.column[v.index]
            factors, look = steps.get((p.index, v.index)), {}
            if form:
                look = {"label": local_label(v, i, form), **style.WORDS}
            if factors:
                factor, colors = factors.popitem()
                look = {**style.LIT, "label": f" {style.brief(factor)} ", **look, "color": ":".join(colors)}
                through |= dict.fromkeys(colors)
            dot.edge(value_name(p.index), op_name(v.index), weight="1" if near else "0", **look)
        if v.kind == "op":
            look = {**style.LIT, "color": ":".join(through)} if through else {}
            dot.edge(op_name(v.index), value_name(v.index), weight="4", **look)
