"""What a drawing shows: the recorded graph, or an observed run, as a list of `Vertex`.

The one idea: a recorded `Node` knows shapes and an observed `Seen` knows values, too; `trace` walks
either of them into one form, parents before children, so that every picture in this room is drawn
from one kind of list. Read `collapse.py` next.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import FreedGraph, message
from ..graph import NO_KEYWORDS, PICK, Node
from ..observe import Run, Seen
from ..primitive import Outline
from ..tensor import Tensor

HOW_TO_OBSERVE = "compute it inside “with bp.observe():”"
MOST = 100_000
"""Vertices of a graph that is drawn, be it in summary: about a second of work."""
NOTHING_KEPT = Outline(None, None)


class Vertex:
    """One op with its result, one parameter (a leaf that gets a gradient) or one constant.

    `value` and `cotangent` (the gradient that arrived here) are None where nothing was observed;
    `contributions` are what this op added to the cotangents of its `parents`, in their order. `inside`:
    the vertices that this one stands for, if it is a summary (`collapse.py`), `repeats` equal blocks.
    """

    __slots__ = (
        "contributions", "cotangent", "dtype", "index", "inline", "inside", "kind", "kwargs", "line", "marks", "module",
        "name", "observed", "op", "parents", "repeats", "seen", "shape", "value",
    )  # fmt: skip

    def __init__(self, kind, op=None, name=None, shape=None, dtype=None, value=None):
        self.kind = kind  # "op", "parameter" or "constant"
        self.op, self.name, self.shape, self.dtype, self.value = op, name, shape, dtype, value
        self.module = self.line = self.cotangent = self.seen = None
        self.kwargs, self.observed = NO_KEYWORDS, False
        self.contributions: Sequence[Any] = ()
        self.parents: list[Vertex] = []
        self.inside: tuple[Vertex, ...] = ()
        self.repeats = 1
        self.marks: list[Any] = []  # of `highlight.py`
        self.index = -1  # its place in the list that `trace` returns
        self.inline = (
            False  # a number or an index, to be written into the op that uses it, and not in the list
        )

    def __repr__(self):
        return f"<Vertex {self.index} {self.name or self.op or self.kind} {self.shape}>"


class _Given:
    """A constant operand of a recorded Node, or a number."""

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


def trace(source: Any, most: int = MOST) -> list[Vertex]:
    """The vertices of the graph of a Tensor or a Seen, or of an observed Run, parents before children.

    Numbers and indices (`inline`) are among the parents of the ops that use them, but not in the list.
    Raises ValueError for more than `most` vertices, FreedGraph for a graph that is gone.
    """
    met: dict[Any, Vertex] = {}
    order: list[Vertex] = []
    for root in _roots(source):
        stack = [] if root in met else [(_meet(met, root, most), iter(_operands(root)))]
        while stack:
            vertex, rest = stack[-1]
            operand = next(rest, None)
            if operand is None:
                stack.pop()
                vertex.index = len(order)
                order.append(vertex)
            elif operand in met:
                vertex.parents.append(met[operand])
            else:
                parent = _vertex(operand)
                vertex.parents.append(parent)
                if not parent.inline:
                    stack.append((_meet(met, operand, most, parent), iter(_operands(operand))))
    return order


def _meet(met, item, most, vertex=None):
    if len(met) >= most:
        raise ValueError(
            message(
                "this graph is too large even for a summary of max_nodes",
                expected=f"at most {most:,} ops, parameters and constants",
                got="more",
                do="draw a part of it, as in bp.viz.graph(hidden), or a smaller batch or net",
            )
        )
    met[item] = vertex or _vertex(item)
    return met[item]


def _roots(source):
    if isinstance(source, Run):
        if not source.nodes:
            raise ValueError(
                message(
                    "this run observed nothing",
                    expected="at least one op on a Tensor that requires a gradient inside the block",
                )
            )
        return source.nodes
    if isinstance(source, Seen):
        return [source]
    if not isinstance(source, Tensor):
        raise TypeError(message("a drawing needs a Tensor or an observed run", got=repr(source)[:80]))
    if source._node is None:
        raise ValueError(
            message(
                f"this Tensor records nothing, so there is no graph to draw: {source!r}",
                expected="a Tensor computed from one with requires_grad=True, outside bp.no_grad()",
            )
        )
    return [_seen_or_node(source._node)]


def _seen_or_node(node):
    return node if node.extra is None or node.extra.seen is None else node.extra.seen


def _operands(item):
    """What a Seen, a Node or a constant was computed from."""
    if isinstance(item, Seen):
        return [_Given(p.value) if _is_setting(p) else p for p in item.parents]
    if not isinstance(item, Node):
        return ()
    if item.parents is None:
        raise FreedGraph(
            message(
                f"the graph of {item.op.name} cannot be drawn: a backward pass has freed it",
                do="draw it before .backward(), keep it with .backward(retain_graph=True), "
                f"or, to see values and gradients as well, {HOW_TO_OBSERVE}",
            )
        )
    return [_Given(_kept(item, i)) if p is None else _seen_or_node(p) for i, p in enumerate(item.parents)]


def _kept(node, i):
    """What the node has of its constant operand i: a fast path keeps not even the shape."""
    value = node.saved[i]
    return NOTHING_KEPT if value is None and node.op.broadcasts is not None else value


def _is_setting(seen):
    return seen.kind == "constant" and not (isinstance(seen.value, np.ndarray) and seen.value.ndim)


def _vertex(item):
    if isinstance(item, Seen):
        kind = "parameter" if item.kind == "leaf" else item.kind
        vertex = Vertex(kind, item.op, item.name, item.shape, item.dtype, item.value)
        vertex.module, vertex.line, vertex.kwargs = item.module, item.line, item.kwargs
        vertex.cotangent, vertex.contributions, vertex.observed = item.cotangent, item.contributions, True
        vertex.seen = item
        if item.op == PICK.name and isinstance(item.parents[0].value, (tuple, list)):
            vertex.op = "output"
    elif isinstance(item, Node):
        op = None if item.op is None else "output" if item.op is PICK else item.op.name
        name = None if item.extra is None else item.extra.name
        vertex = Vertex("parameter" if op is None else "op", op, name, item.shape, item.dtype)
        vertex.kwargs = item.kwargs
    else:
        vertex = _constant(item.value)
    return vertex


def _constant(value):
    if isinstance(value, Outline):
        return Vertex("constant", shape=value.shape, dtype=value.dtype)
    if isinstance(value, np.ndarray) and value.ndim:
        return Vertex("constant", shape=value.shape, dtype=value.dtype, value=value)
    vertex = Vertex("constant", value=value)
    vertex.inline = True
    return vertex
