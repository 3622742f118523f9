"""What deserves a second look: where a NaN begins, parameters that learn nothing, units that are flat.

The one idea: a mark is put on a vertex of the traced graph, before anything is summarised, from what
the run kept; a summary bears the marks of all that it stands for. Read `labels.py` next.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ..backprop.diagnose import FLAT, LARGEST_SLOPE
from ..errors import message
from . import style
from .vertices import Vertex


class Mark(NamedTuple):
    """A kind of mark, a key of COLORS, and the words on the vertex."""

    kind: str
    words: str


COLORS = {"nan": style.ALARM, "no gradient": style.UNTAUGHT, "saturated": style.SATURATED}
MEANING = {
    "nan": "NaN or infinity begins here",
    "no gradient": "a parameter that gets no gradient, or only 0",
    "saturated": "units whose σ′ ≈ 0 (dead, of ReLU)",
}
SLOPES = {"sigmoid": lambda a: a * (1 - a), "tanh": lambda a: 1 - a * a, "relu": lambda a: a > 0}
"""σ′ from σ(z), which the run kept."""


def mark(vertices: list[Vertex], kinds: Iterable[str]) -> None:
    """Put the marks of these kinds on the vertices. Raises ValueError for a kind that there is not."""
    finders = {"nan": _nan, "no gradient": _no_gradient, "saturated": _saturated}
    kinds = list(kinds)
    for kind in kinds:
        if kind not in finders:
            what, known = "this kind of highlight is not known", ", ".join(map(repr, finders))
            raise ValueError(message(what, expected=f"some of ({known})", got=repr(kind)))
    learning = any(v.cotangent is not None for v in vertices)
    for v in vertices:
        found = ((kind, finders[kind](v, learning)) for kind in kinds)
        v.marks = [Mark(kind, words) for kind, words in found if words]


def marks_of(v: Vertex) -> list[Mark]:
    """The marks of a vertex and of all that it stands for; of each kind the first, and how many more."""
    found, pending = [], [v]
    while pending:
        w = pending.pop()
        found += w.marks
        pending += reversed(w.inside)
    first = {m.kind: m for m in reversed(found)}
    count = {kind: sum(m.kind == kind for m in found) for kind in first}
    return [Mark(k, m.words if count[k] == 1 else f"{m.words} ({count[k]} ×)") for k, m in first.items()]


def _nan(v, learning):
    if not _finite(v.value) and all(_finite(p.value) for p in v.parents):
        return "NaN or ∞ begins" if v.kind == "op" else "not finite"
    if _finite(v.cotangent) and not all(map(_finite, v.contributions)):
        return "NaN or ∞ begins (backward)"
    return ""


def _finite(value):
    parts = value if isinstance(value, (list, tuple)) else [value]
    arrays = (np.asarray(part) for part in parts if part is not None)
    return all(np.isfinite(a).all() for a in arrays if a.dtype.kind in "fc")


def _no_gradient(v, learning):
    if v.kind != "parameter" or not learning:
        return ""
    if v.cotangent is None:
        return "no gradient"
    return "" if np.any(v.cotangent) else "gradient is 0"


def _saturated(v, learning):
    if v.op not in SLOPES or not isinstance(v.value, (np.ndarray, np.generic)):
        return ""
    flat = np.count_nonzero(SLOPES[v.op](v.value) < FLAT * LARGEST_SLOPE.get(v.op, 1.0))
    return f"{flat} of {v.value.size} {'dead' if v.op == 'relu' else 'saturated'}" if flat else ""
