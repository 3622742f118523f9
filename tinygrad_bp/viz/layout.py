"""Where things stand in a drawing: columns from left to right, and the rows in each from top to bottom.

The one idea: a net is drawn as a page is written. Computation runs down a column; where a new layer
begins, the next column does, so that a deep net becomes wide and not endlessly tall. Parameters
stand above the op that uses them first. `frames` groups what stands in columns by module. Read
`style.py` next.
"""

import itertools
import math
from collections import Counter

PRODUCTS = {"matmul", "dot", "tensordot", "einsum", "inner", "vecdot"}
TALLEST = 4
"""Ops, one after the other, that a column has at most; more in large graphs, √ of their number."""
ENDS_WHERE_DATA_COME_IN = 2
"""Ops after which a column also ends where an op outside all layers brings in new data, such as targets."""

_MIXED = -1


class Layout:
    """`column[i]` of each vertex i, and `row[i]` of its value; an op stands in the row above its value.

    `parents[i]` and `users[i]` are the neighbours' indices; `width` and `height` count columns and rows.
    `in_columns=False` makes it one column, whose places are left to Graphviz.
    """

    def __init__(self, vertices, in_columns=True):
        self.vertices = vertices
        self.parents = [[p.index for p in v.parents if not p.inline] for v in vertices]
        self.users: list[list[int]] = [[] for _ in vertices]
        for i, parents in enumerate(self.parents):
            for p in parents:
                self.users[p].append(i)
        self.side = self._side()
        self.column = self._columns() if in_columns else [0] * len(vertices)
        self.row = self._rows()
        self.width, self.height = 1 + max(self.column), 1 + max(self.row)

    def _side(self):
        """Which vertices stand beside the flow: leaves, and ops that only prepare one leaf, as a transpose does.

        They are drawn with the op that uses them, however late that is.
        """
        origin: list[int] = []  # the one leaf that a vertex comes from, or _MIXED
        for i, v in enumerate(self.vertices):
            if v.kind == "op":
                found = {origin[p] for p in self.parents[i]}
                origin.append(found.pop() if len(found) == 1 else _MIXED)
            else:
                origin.append(i if v.kind == "parameter" else _MIXED)
        side = [v.kind != "op" or o != _MIXED for v, o in zip(self.vertices, origin)]
        meets = [False] * len(side)  # does it reach an op that mixes leaves?
        for i in reversed(range(len(side))):
            meets[i] = any(not side[u] or meets[u] for u in self.users[i])
        return [s and (meet or v.kind != "op") for s, meet, v in zip(side, meets, self.vertices)]

    def _columns(self):
        layers = {
            v.module
            for v in self.vertices
            if v.kind == "op" and any(p.kind == "parameter" for p in v.parents)
        }
        column, height = [0] * len(self.vertices), [0] * len(self.vertices)
        for i in range(len(column)):
            if self.side[i]:
                continue
            flow = [p for p in self.parents[i] if not self.side[p]]
            column[i] = max((column[p] for p in flow), default=0)
            last = [p for p in flow if column[p] == column[i]]
            height[i] = 1 + max((height[p] for p in last), default=0)
            if flow and self._begins(i, last, height[i], layers):
                column[i], height[i] = column[i] + 1, 1
        column = self._wrapped(column, height)
        for i in reversed(range(len(column))):
            if self.users[i] and (self.side[i] or self._joins(i, column)):
                column[i] = min(column[u] for u in self.users[i])
        return column

    def _wrapped(self, column, height):
        """The columns with those that are too tall split evenly into several."""
        tallest = max(TALLEST, math.isqrt(sum(v.kind == "op" for v in self.vertices)))
        ops = [0] * (1 + max(column))
        for c, h in zip(column, height):
            ops[c] = max(ops[c], h)
        parts = [max(1, math.ceil(n / tallest)) for n in ops]
        first = [0, *itertools.accumulate(parts)]
        part = [math.ceil(n / k) for n, k in zip(ops, parts)]
        return [first[c] + max(0, h - 1) // max(1, part[c]) for c, h in zip(column, height)]

    def _joins(self, i, column):
        """Does op i, which comes from leaves alone, only join what flows in later columns?"""
        if not all(self.side[p] for p in self.parents[i]):
            return False
        return all(
            any(column[p] > column[i] for p in self.parents[u] if not self.side[p]) for u in self.users[i]
        )

    def _begins(self, i, last, height, layers):
        """Does a new layer, or what follows the last one, begin with op i?"""
        v = self.vertices[i]
        if v.op in PRODUCTS and any(self._of_parameter(p) for p in self.parents[i]):
            return True
        if v.module not in {self.vertices[p].module for p in last} and (
            v.module in layers or v.module is None
        ):
            return True
        data = any(self.vertices[p].kind == "constant" for p in self.parents[i])
        return data and height > ENDS_WHERE_DATA_COME_IN and v.module not in layers - {None}

    def _of_parameter(self, i):
        return self.side[i] and self.vertices[i].kind != "constant"

    def _rows(self):
        """Longest path down the column; what stands beside the flow as low as it can."""
        row = [0] * len(self.vertices)
        for i, v in enumerate(self.vertices):
            above = [row[p] + 2 for p in self._near(self.parents[i], i)]
            row[i] = max(above, default=2 if v.kind == "op" else 0)
        for i in reversed(range(len(row))):
            users = self._near(self.users[i], i)
            if self.side[i] and users:
                row[i] = min(row[u] - 2 for u in users) - self.yields(i)
        top = min(r - (v.kind == "op") for v, r in zip(self.vertices, row))
        return [r - top for r in row]

    def _near(self, others, i):
        return [j for j in others if self.column[j] == self.column[i]]

    def yields(self, i):
        """Is parameter i not the main operand of an op below it? Then it stands a row higher, beside the narrow ops."""
        users = self._near(self.users[i], i)
        return self.vertices[i].kind == "parameter" and any(self._main(u) != i for u in users)

    def _main(self, i):
        """The operand of op i that stands right above it: the flow before a prepared leaf before a leaf."""
        operands = [p for p in self._near(self.parents[i], i) if self.vertices[p].kind != "constant"]
        return min(operands, key=lambda p: (self.side[p], self.vertices[p].kind != "op"))


class Frame:
    """What is drawn around some vertices: a module's frame, or, without a path, nothing but a column.

    It reaches from column `first` to `last`; `inner` are the frames in it.
    """

    __slots__ = ("_inner", "first", "last", "path", "vertices")

    def __init__(self, path, first, last):
        self.path, self.first, self.last = path, first, last
        self.vertices = []
        self._inner = {}

    @property
    def inner(self):
        return list(self._inner.values())

    def child(self, path, first, last):
        """The frame in this one with that path and first column, made on first use."""
        return self._inner.setdefault((path, first), Frame(path, first, last))

    def at(self, column):
        """The part of this frame that lies in one column: itself, if it has no other."""
        return self if self.first == self.last else self.child("", column, column)


def frames(layout):
    """The outermost `Frame`; a module whose columns are apart has several frames."""
    homes = _homes(layout)
    columns: dict[str, set[int]] = {home: set() for home in homes}
    for home, column in zip(homes, layout.column):
        for path in _outward(home, columns):
            columns[path].add(column)
    outermost = Frame("", 0, layout.width - 1)
    for v, home, column in zip(layout.vertices, homes, layout.column):
        frame = outermost
        for path in _outward(home, columns):
            first, last = _run(columns[path], column)
            frame = (frame if first != last else frame.at(column)).child(path, first, last)
        frame.at(column).vertices.append(v)
    return outermost


def _homes(layout):
    """The module in whose frame each vertex stands: a parameter with the op that uses it, data outside.

    A module that is one op without parameters, such as an activation, needs no frame.
    """
    homes = []
    for v in layout.vertices:
        users = {layout.vertices[u].module or "" for u in layout.users[v.index]}
        with_user = v.kind == "parameter" and len(users) == 1
        homes.append((v.module or "") if v.kind == "op" else users.pop() if with_user else "")
    inside = Counter(homes)
    return [home if inside[home] > 1 else "" for home in homes]


def _outward(path, known):
    """The modules in `known` around this one, and itself: "a.b.c" -> ["a", "a.b.c"]."""
    parts = path.split(".") if path else []
    return [p for i in range(len(parts)) if (p := ".".join(parts[: i + 1])) in known]


def _run(columns, column):
    """The first and the last of the neighbouring columns around this one."""
    first = last = column
    while first - 1 in columns:
        first -= 1
    while last + 1 in columns:
        last += 1
    return first, last
