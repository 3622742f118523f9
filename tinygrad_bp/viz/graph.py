"""`graph`: the computation as a picture of Graphviz: ops as ellipses, values as boxes, layers as frames.

The one idea: what is drawn is the list that `trace` makes of a recorded graph or an observed run,
at the places that `Layout` gives it; this file only writes the DOT text. Edges point the way the
data flow. Invisible nodes and edges (`style=invis`) hold the rows and columns in place and mean
nothing. Read `render.py` next.
"""

import itertools
from collections.abc import Sequence
from typing import Any

from ..errors import message
from . import style
from .layout import Layout, frames
from .render import Picture
from .vertices import HOW_TO_OBSERVE, trace


def graph(
    t: Any, *, values: bool = True, legend: bool = True, max_nodes: int = 500, paths: Sequence = ()
) -> Picture:
    """The graph of a Tensor (or its `Seen`), or of an observed run, as a `graphviz.Digraph` that shows itself.

    Values, gradients and layers are drawn where `bp.observe` saw them (`values=False` leaves the
    numbers out), otherwise shapes. `.source` is the DOT text; `bp.viz.render(g, "net.svg")` writes
    a file. `paths`: of `bp.backprop.paths.recorded`, to be lit, with their factors on the edges. Raises
    FreedGraph for an unobserved graph after backward, ValueError beyond `max_nodes`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> x = bp.Tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> with bp.observe() as run:
    ...     np.sum(x * x).backward()
    >>> "grad [2, 4]" in bp.viz.graph(run).source
    True
    """
    vertices = trace(t, max_nodes)
    layout = Layout(vertices)
    dot = Picture(
        "computation", graph_attr=style.GRAPH, node_attr=style.NODE, edge_attr=style.EDGE, format="svg"
    )
    if layout.width > 1:
        _mark_rows(dot, layout)
    _draw_frame(dot, frames(layout), layout, values, itertools.count())
    _draw_edges(dot, layout, _steps(paths))
    if layout.width > 1:
        _hold_rows(dot, layout)
        _hold_columns(dot, layout)
    if legend:
        dot.attr(label=_legend(vertices, values, paths), labelloc="b")
    return dot


# ---- nodes and edges ------------------------------------------------------------------------------------


def _draw_frame(dot, frame, layout, values, numbers):
    for v in frame.vertices:
        used = layout.users[v.index]
        if v.kind == "op":
            dot.node(
                _op(v.index), f"<{style.escape(style.op_text(v))}>", tooltip=_tooltip(v, v.op), **style.OP
            )
        name = v.name or ("result" if v.kind == "op" and not used else "")
        look = {
            "parameter": style.PARAMETER,
            "constant": style.CONSTANT,
            "op": style.VALUE if used else style.RESULT,
        }[v.kind]
        dot.node(_value(v.index), _label(v, name, values), tooltip=_tooltip(v, name or v.kind), **look)
    for inner in frame.inner:
        with dot.subgraph(name=f"cluster{next(numbers)}") as part:
            if inner.path:
                title = style.escape(style.short(inner.path, style.LONGEST_NAME))
                part.attr(label=f"<<B>{title}</B>>", tooltip=_plain(inner.path), **style.FRAME)
            else:
                part.attr(label="", margin="0", style="invis")
            _draw_frame(part, inner, layout, values, numbers)


def _op(i):
    return f"op{i}"


def _value(i):
    return f"v{i}"


def _label(v, name, values):
    name = style.short(name.removeprefix(f"{v.module}."), style.LONGEST_NAME)
    rows = [f"<B>{style.escape(name)}</B>"] if name else []
    rows.append(style.escape(_outline(v)))
    if values and v.value is not None and v.shape is not None:
        rows.append(_numbers("", v.value, style.INK))
    if values and v.cotangent is not None and v.shape is not None:
        rows.append(_numbers("grad ", v.cotangent, style.GRADIENT))
    cells = "".join(f"<TR><TD>{row}</TD></TR>" for row in rows)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">{cells}</TABLE>>'


def _outline(v):
    if v.shape is None:
        return "several outputs" if v.kind == "op" else "constant"
    return f"{v.shape or 'scalar'} {v.dtype or ''}".strip()


def _numbers(title, array, ink):
    text, finite = style.numbers(array)
    return f'<FONT COLOR="{ink if finite else style.ALARM}">{title}{style.escape(text)}</FONT>'


def _tooltip(v, title):
    """What the pointer finds: the full name, the module, and the user's line."""
    place, _, code = (v.line or "").partition(": ")
    line = f"{place.replace(chr(92), '/').rpartition('/')[2]}  {code}".strip()
    return _plain(" | ".join(part for part in (title, v.module, line) if part))


def _plain(text):
    """`text` for an attribute of Graphviz that is not in HTML form; a backslash would be read thrice."""
    return style.escape(text.replace("\\", "∖"))


def _steps(paths):
    """(Seen, Seen) -> rate factor -> colours, for each step of the paths; two parallel edges have two factors."""
    if len(paths) > len(style.PATHS):
        raise ValueError(
            message("paths cannot be told apart", expected=f"at most {len(style.PATHS)}", got=len(paths))
        )
    steps: dict[tuple, dict[float, list[str]]] = {}
    for path, color in zip(paths, style.PATHS):
        for step, factor in zip(itertools.pairwise(path.neurons), path.factors):
            steps.setdefault(step, {}).setdefault(factor, []).append(color)
    return steps


def _draw_edges(dot, layout, steps):
    for v in layout.vertices:
        through: dict[str, None] = {}
        for p in layout.parents[v.index]:
            near = layout.column[p] == layout.column[v.index]
            factors, look = steps.get((layout.vertices[p].seen, v.seen)), {}
            if factors:
                factor, colors = factors.popitem()
                look = {**style.LIT, "color": ":".join(colors), "label": f" {style.brief(factor)} "}
                through |= dict.fromkeys(colors)
            dot.edge(_value(p), _op(v.index), weight="1" if near else "0", **look)
        if v.kind == "op":
            look = {**style.LIT, "color": ":".join(through)} if through else {}
            dot.edge(_op(v.index), _value(v.index), weight="4", **look)
    if any(steps.values()):
        raise ValueError(message("a path does not lead through this graph", do="draw graph.end of its graph"))


# ---- rows and columns -----------------------------------------------------------------------------------


def _mark_rows(dot, layout):
    """r0 → r1 → …, one mark per row. They come first: Graphviz then turns round edges that go up again."""
    for row in range(layout.height):
        dot.node(f"r{row}", **style.MARK)
    for row in range(1, layout.height):
        dot.edge(f"r{row - 1}", f"r{row}", **style.UNSEEN)


def _hold_rows(dot, layout):
    """Everything in the row of its mark; in each row and column, parameters to the right of ops."""
    rows: list[list[str]] = [[] for _ in range(layout.height)]
    ops: dict[tuple[int, int], list[int]] = {}
    for v, row, column in zip(layout.vertices, layout.row, layout.column):
        rows[row].append(_value(v.index))
        if v.kind == "op":
            rows[row - 1].append(_op(v.index))
            ops.setdefault((row - 1, column), []).append(v.index)
    for i, names in enumerate(rows):
        with dot.subgraph() as row:
            row.attr(rank="same")
            for name in [f"r{i}", *names]:
                row.node(name)
    for v, row, column in zip(layout.vertices, layout.row, layout.column):
        for op in ops.get((row, column), ()) if v.kind == "parameter" else ():
            dot.edge(_op(op), _value(v.index), **style.UNSEEN)


def _hold_columns(dot, layout):
    """Marks above the columns keep them in order, and in each data left of the flow, parameters right."""
    tops: dict[tuple[int, int], list[str]] = {}
    for i, v in enumerate(layout.vertices):
        if not any(layout.column[p] == layout.column[i] for p in layout.parents[i]):
            side = {"constant": 0, "op": 1, "parameter": 2 if layout.yields(i) else 1}[v.kind]
            tops.setdefault((layout.column[i], side), []).append(_op(i) if v.kind == "op" else _value(i))
    marks = [f"c{column}_{side}" for column, side in sorted(tops)]
    with dot.subgraph() as row:
        row.attr(rank="min")
        for mark in marks:
            row.node(mark, **style.MARK)
    for left, right in itertools.pairwise(marks):
        dot.edge(left, right, **style.UNSEEN)
    for (column, side), names in sorted(tops.items()):
        for name in names:
            dot.edge(f"c{column}_{side}", name, weight="100" if side == 1 else "0", **style.UNSEEN)


# ---- legend ---------------------------------------------------------------------------------------------


def _legend(vertices, values, paths):
    swatches = {
        "parameter": style.PARAMETER,
        "constant": style.CONSTANT,
        "operation": style.OP,
        "value": style.VALUE,
    }
    kinds = {v.kind for v in vertices} | {"operation", "value"}
    cells = [_swatch(kind, look) for kind, look in swatches.items() if kind in kinds]
    cells.append(f"<TD>{style.escape(_note(vertices, values))}</TD>")
    rows = [f"<TR>{''.join(cells)}</TR>"]
    for path, color in zip(paths, style.PATHS):
        product = f"{' × '.join(map(style.brief, path.factors))} = {style.brief(path.rate)}"
        rows.append(f'<TR><TD COLSPAN="{len(cells)}"><FONT COLOR="{color}">{product}</FONT></TD></TR>')
    return f'<<TABLE BORDER="0" CELLSPACING="6" CELLPADDING="2">{"".join(rows)}</TABLE>>'


def _swatch(text, look):
    border = "DASHED,ROUNDED" if "dashed" in look["style"] else "ROUNDED"
    return (
        f'<TD BORDER="1" STYLE="{border}" BGCOLOR="{look["fillcolor"]}" COLOR="{look["color"]}">{text}</TD>'
    )


def _note(vertices, values):
    if not any(v.observed for v in vertices):
        return f"Shapes only; to see values and gradients, {HOW_TO_OBSERVE}"
    if not values:
        return "Shapes only"
    if all(v.cotangent is None for v in vertices):
        return "No gradients yet: call .backward() on the result"
    return "grad: derivative of the result with respect to this value"
