"""The texts of a graph's drawing: names, shapes, numbers, heatmaps, gradients, what each module holds.

The one idea: a label is a table of Graphviz, one cell per line, and every text in it is escaped.
Read `edges.py` next.
"""

from typing import NamedTuple

import numpy as np

from . import style
from .highlight import COLORS, marks_of
from .vertices import Vertex

TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">'
CELL = 11
"""Points: the side of a heatmap's cell."""


class Shown(NamedTuple):
    """What is written on the vertices: `values` is True (numbers), "heatmap" or False."""

    values: bool | str
    sums: dict  # index of a value -> the contributions to it, if they are to be added up
    names: dict  # Seen -> (the name of its cotangent, the equation that it comes out of), for the book's δ


def op_label(v: Vertex) -> str:
    """The symbol of an op; of a summary, its title, what it holds, and the shapes that go in and out."""
    if not v.inside:
        return f"<{style.escape(style.op_text(v))}>"
    rows = [f"<B>{style.escape(style.short(v.op, style.LONGEST_TITLE))}</B>"]
    if v.repeats > 1:
        rows[0] += f" <B>×{v.repeats}</B>"
    ops, parameters = contents(v)
    if not v.op.startswith("…") or parameters:
        rows.append(f"{_count(ops, 'op')}, {_count(parameters, 'parameter')}")
    shapes = dict.fromkeys(str(p.shape) for p in v.parents if p.shape and p.kind != "parameter")
    if len(shapes) == 1 and v.shape is not None:
        rows.append(style.escape(f"{next(iter(shapes))} → {v.shape or 'scalar'}"))
    return _table(rows)


def contents(v: Vertex) -> tuple[int, int]:
    """How many ops a vertex stands for, and how many numbers the parameters in it have."""
    if not v.inside:
        return int(v.kind == "op"), _size(v) if v.kind == "parameter" else 0
    ops, parameters = zip(*map(contents, v.inside))
    return sum(ops), sum(parameters)


def _size(v):
    return int(np.prod(v.shape or (), dtype=np.int64))


def _count(n, what):
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def value_label(v: Vertex, name: str, shown: Shown) -> str:
    """Name, shape and dtype, value, gradient, and marks of a value."""
    rows = [f"<B>{style.escape(style.short(name, style.LONGEST_NAME))}</B>"] if name else []
    rows.append(style.escape(outline(v)))
    if shown.values and v.shape is not None:
        if v.value is not None:
            rows.append(_numbers("", v.value, style.INK, shown.values))
        if v.cotangent is not None:
            title, equation = shown.names.get(v.seen, ("grad", ""))
            more = f" {_sum(v, shown)}" if shown.sums else ""
            rows.append(_numbers(f"{title} ", v.cotangent, style.GRADIENT, shown.values, more))
            if equation and shown.sums:
                rows.append(f'<FONT COLOR="{style.GRADIENT}">by {style.escape(equation)}</FONT>')
    for mark in marks_of(v):
        rows.append(f'<FONT COLOR="{COLORS[mark.kind]}"><B>{style.escape(mark.words)}</B></FONT>')
    return _table(rows)


def outline(v: Vertex) -> str:
    """Shape and dtype in words."""
    if v.shape is None:
        return "several outputs" if v.kind == "op" else "constant"
    return f"{v.shape or 'scalar'} {v.dtype or ''}".strip()


def tooltip(v: Vertex, title: str) -> str:
    """What the pointer finds: the full name, the module, and the user's line."""
    place, _, code = (v.line or "").partition(": ")
    line = f"{place.replace(chr(92), '/').rpartition('/')[2]}  {code}".strip()
    return plain(" | ".join(part for part in (title, v.module, line) if part))


def plain(text: str) -> str:
    """`text` for an attribute of Graphviz that is not in HTML form; a backslash would be read thrice."""
    return style.escape(text.replace("\\", "∖"))


def _table(rows):
    cells = "".join(f"<TR><TD>{row}</TD></TR>" for row in rows)
    return f"<{TABLE}{cells}</TABLE>>"


def _numbers(title, array, ink, form, more=""):
    text, finite = style.numbers(array)
    color = ink if finite else style.ALARM
    written = f'<FONT COLOR="{color}">{style.escape(title)}{style.escape(text + more)}</FONT>'
    if form != "heatmap" or np.size(array) < 2 or np.asarray(array).dtype.kind not in "biufc":
        return written
    return f"{TABLE}<TR><TD>{written}</TD></TR><TR><TD>{_heatmap(style.heat(array))}</TD></TR></TABLE>"


def _heatmap(rows):
    look = f'FIXEDSIZE="TRUE" WIDTH="{CELL}" HEIGHT="{CELL}"'
    lines = ("".join(f'<TD {look} BGCOLOR="{color}"></TD>' for color in row) for row in rows)
    cells = "".join(f"<TR>{line}</TR>" for line in lines)
    width, height = ((CELL + 1) * n + 3 for n in (len(rows[0]), len(rows)))
    border = f'BORDER="1" COLOR="{style.VALUE_EDGE}" CELLBORDER="0" CELLSPACING="1" CELLPADDING="0"'
    return f'<TABLE {border} FIXEDSIZE="TRUE" WIDTH="{width}" HEIGHT="{height}">{cells}</TABLE>'


def _sum(v, shown):
    """How the gradient is the sum of what the edges of this picture brought, or that it is not."""
    shares = shown.sums.get(v.index, ())
    if not shares:
        return ""
    total = sum(shares[1:], shares[0])
    if not np.allclose(total, v.cotangent, rtol=1e-5, atol=0, equal_nan=True):
        return f"({style.numbers(total)[0]} of it from here)"
    if len(shares) == 1:
        return ""
    if np.size(total) == 1:
        return f"= {' + '.join(style.numbers(share)[0] for share in shares)}".replace("+ -", "− ")
    return f"= sum of {len(shares)}"
