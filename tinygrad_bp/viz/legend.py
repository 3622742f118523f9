"""The line below a graph's drawing that says what its shapes, colours and numbers mean.

The one idea: a legend names only what this drawing has. Read `scaffold.py` next.
"""

from collections.abc import Sequence

from . import style
from .highlight import COLORS, MEANING, marks_of
from .labels import Shown
from .vertices import HOW_TO_OBSERVE, Vertex

SWATCHES = {
    "parameter": style.PARAMETER,
    "constant": style.CONSTANT,
    "operation": style.OP,
    "summary": style.MODULE,
    "value": style.VALUE,
}


def legend(vertices: list[Vertex], shown: Shown, paths: Sequence, hidden: int) -> str:
    """The legend of these vertices as a table of Graphviz; `hidden` constants are not drawn."""
    kinds = (
        {v.kind for v in vertices}
        | {"operation", "value"}
        | ({"summary"} if any(v.inside for v in vertices) else set())
    )
    cells = [_swatch(kind, look) for kind, look in SWATCHES.items() if kind in kinds]
    cells.append(f"<TD>{style.escape(_note(vertices, shown))}</TD>")
    lines = []
    if shown.sums:
        lines.append(("on the edges: local derivative × gradient that arrives = contribution; contributions "
                      "add up to the gradient", style.INK))  # fmt: skip
    if shown.values == "heatmap":
        lines.append(("cells: blue above 0, orange below, the strongest the largest of its array; "
                      "of long axes 8 elements, evenly spaced", style.INK))  # fmt: skip
    if hidden:
        lines.append((f"{hidden} constant{'s' * (hidden > 1)} not drawn", style.INK))
    marked = {mark.kind for v in vertices for mark in marks_of(v)}
    lines += [(f"thick border: {MEANING[kind]}", COLORS[kind]) for kind in COLORS if kind in marked]
    for path, color in zip(paths, style.PATHS):
        lines.append((f"{' × '.join(map(style.brief, path.factors))} = {style.brief(path.rate)}", color))
    rows = [f"<TR>{''.join(cells)}</TR>"]
    for text, color in lines:
        rows.append(
            f'<TR><TD COLSPAN="{len(cells)}"><FONT COLOR="{color}">{style.escape(text)}</FONT></TD></TR>'
        )
    return f'<<TABLE BORDER="0" CELLSPACING="6" CELLPADDING="2">{"".join(rows)}</TABLE>>'


def _swatch(text, look):
    border = "DASHED,ROUNDED" if "dashed" in look["style"] else "ROUNDED"
    return (
        f'<TD BORDER="1" STYLE="{border}" BGCOLOR="{look["fillcolor"]}" COLOR="{look["color"]}">{text}</TD>'
    )


def _note(vertices, shown):
    if not any(v.observed for v in vertices):
        return f"Shapes only; to see values and gradients, {HOW_TO_OBSERVE}"
    if not shown.values:
        return "Shapes only"
    if all(v.cotangent is None for v in vertices):
        return "No gradients yet: call .backward() on the result"
    return "grad: derivative of the result with respect to this value"
