"""What holds a drawing's rows and columns in place: marks and edges that nobody sees.

The one idea: Graphviz decides where things stand; invisible nodes and edges (`style=invis`) make it
decide for the places of `Layout`, and mean nothing. Read `graph.py` next.
"""

import itertools

from . import style


def op_name(i):
    """The name of op i in the DOT text."""
    return f"op{i}"


def value_name(i):
    """The name of value i in the DOT text."""
    return f"v{i}"


def mark_rows(dot, layout):
    """r0 → r1 → …, one mark per row. They come first: Graphviz then turns round edges that go up again."""
    for row in range(layout.height):
        dot.node(f"r{row}", **style.MARK)
    for row in range(1, layout.height):
        dot.edge(f"r{row - 1}", f"r{row}", **style.UNSEEN)


def hold_rows(dot, layout):
    """Everything in the row of its mark; in each row and column, parameters to the right of ops."""
    rows: list[list[str]] = [[] for _ in range(layout.height)]
    ops: dict[tuple[int, int], list[int]] = {}
    for v, row, column in zip(layout.vertices, layout.row, layout.column):
        rows[row].append(value_name(v.index))
        if v.kind == "op":
            rows[row - 1].append(op_name(v.index))
            ops.setdefault((row - 1, column), []).append(v.index)
    for i, names in enumerate(rows):
        with dot.subgraph() as row:
            row.attr(rank="same")
            for name in [f"r{i}", *names]:
                row.node(name)
    for v, row, column in zip(layout.vertices, layout.row, layout.column):
        for op in ops.get((row, column), ()) if v.kind == "parameter" else ():
            dot.edge(op_name(op), value_name(v.index), **style.UNSEEN)


def hold_columns(dot, layout):
    """Marks above the columns keep them in order, and in each data left of the flow, parameters right."""
    tops: dict[tuple[int, int], list[str]] = {}
    for i, v in enumerate(layout.vertices):
        if not any(layout.column[p] == layout.column[i] for p in layout.parents[i]):
            side = {"constant": 0, "op": 1, "parameter": 2 if layout.yields(i) else 1}[v.kind]
            tops.setdefault((layout.column[i], side), []).append(
                op_name(i) if v.kind == "op" else value_name(i)
            )
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
