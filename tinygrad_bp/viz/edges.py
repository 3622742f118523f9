"""What is written on edges: the factors of paths, and local derivative, arriving gradient, contribution.

The one idea: an edge from an operand to an op is where backward multiplies. What arrived at the op and
what it handed on were kept by the run; their quotient is the local derivative of an elementwise op. Of
other ops the share is written in the form of its rule. Read `scaffold.py` next.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import message
from . import style
from .vertices import Vertex

Steps = dict[tuple[int, int], dict[float, list[str]]]


def path_steps(vertices: list[Vertex], paths: Sequence) -> Steps:
    """(index, index) -> rate factor -> colours, for each step of the paths; two parallel edges have two factors.

    A step inside a summary is not seen. Raises ValueError for too many paths, or one from elsewhere.
    """
    if len(paths) > len(style.PATHS):
        raise ValueError(
            message("paths cannot be told apart", expected=f"at most {len(style.PATHS)}", got=len(paths))
        )
    place = {seen: v.index for v in vertices for seen in _seens(v)}
    steps: Steps = {}
    edges = {(p.index, v.index) for v in vertices for p in v.parents}
    for path, color in zip(paths, style.PATHS):
        for (start, end), factor in zip(itertools.pairwise(path.neurons), path.factors):
            step = place.get(start, -1), place.get(end, -1)
            if step not in edges and (step[0] != step[1] or step[0] < 0):
                what = "a path does not lead through this graph"
                raise ValueError(message(what, do="draw graph.end of its graph"))
            if step in edges:
                steps.setdefault(step, {}).setdefault(factor, []).append(color)
    return steps


def _seens(v):
    return [seen for w in v.inside for seen in _seens(w)] if v.inside else [v.seen]


def local_label(v: Vertex, i: int, form: Callable[[Any, int], str]) -> str:
    """For the edge from operand i of v: local derivative × what arrived = contribution; "" if there is none.

    `form` gives the share of a recorded op in symbols.
    """
    share = v.contributions[i] if i < len(v.contributions) else None
    if share is None or v.cotangent is None or isinstance(share, (list, tuple)):
        return ""
    brought, _ = style.numbers(share)
    local = None if v.inside else local_derivative(v, i)
    if local is not None and np.size(local) == 1:
        factor, arrived = style.numbers(local)[0], style.numbers(v.cotangent)[0]
        return _lines([f"{factor} × {arrived}", f"= {brought}"])
    rule = "" if v.inside or v.seen is None else form(v.seen, i)
    factor = (
        f"∂ {style.numbers(local)[0]}"
        if local is not None
        else rule or ("" if v.inside else f"VJP of {v.op}")
    )
    return _lines([line for line in (style.short(factor, style.LONGEST_NAME), f"gives {brought}") if line])


def local_derivative(v: Vertex, i: int) -> np.ndarray | None:
    """contribution / gradient that arrived, of an op from elements to elements; None for others, and at 0 / 0."""
    share, arrived = v.contributions[i], v.cotangent
    if v.op in MIXING or share is None or arrived is None or isinstance(arrived, (list, tuple)):
        return None
    if np.shape(share) != np.shape(arrived) or not np.all(arrived):
        return None
    with np.errstate(all="ignore"):
        return np.asarray(share) / np.asarray(arrived)


MIXING = {
    "matmul", "dot", "softmax", "log_softmax", "cumsum", "cumprod", "sort", "flip", "roll", "transpose", "getitem",
    "inner", "outer", "einsum", "tensordot", "take", "solve", "inv", "fft", "ifft", "convolve", "layer_norm",
}  # fmt: skip
"""Ops of which an element of the result may depend on other elements than its own."""


def _lines(lines):
    cells = "".join(f'<TR><TD ALIGN="LEFT">{style.escape(line)}</TD></TR>' for line in lines)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{cells}</TABLE>>'
