"""`Report`: what `verify` found, row by row, and how it prints.

Here you can ask a row how far the engine is from the equation, what it was read from, and whether it
passes. The one idea: a row passes, fails or was not checked, and a report is true only if all pass.
Read `verify.py` next.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .equations import FORMULAS

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
ON_A_GRAPH = {
    "BP1": "δ = ∂C/∂a ⊙ σ′(z)",
    "BP2": "δ = (Σ wᵀδ + …) ⊙ σ′(z)",
    "BP3": "∂C/∂b = Σ δ",
    "BP4": "∂C/∂w = Σ δ a_inᵀ",
    "eq37": "δ = (∂a/∂z)ᵀ ∂C/∂a",
}


@dataclass(frozen=True)
class Row:
    """One equation at one place: how far the engine's array is from the one computed by hand.

    `layer`: its number in a stack; else the name of a weighted input (BP1, BP2, eq37) or parameter.
    `whole_way`: max|engine − hand| / max|hand|, 0 if both are zero, with δ by hand all the way from ∇_a C.
    `one_step`: the same for this equation alone, applied to the engine's own δ (BP1: to its ∇_a C).
    `rounding`: the deviation that rounding alone may cause, 4 ε max Σ|terms| / max|Σ terms|, which is
    large where sums cancel; random nets came up to 3 ε.
    `read_from`: the nodes. `unchecked`: why it could not be checked. `as_read`: σ′ = 1 and all of ∂C/∂a
    is the engine's, so that the row holds as soon as the engine adds up.
    """

    layer: int | str
    equation: str
    whole_way: float
    one_step: float
    rounding: float
    tolerance: float
    read_from: str = ""
    unchecked: str = ""
    as_read: bool = False

    @property
    def deviation(self) -> float:
        """The larger of the two: two wrong signs in a row cancel on the whole way, but not in one step."""
        return float(np.maximum(self.whole_way, self.one_step))

    @property
    def ok(self) -> bool:
        """Is the deviation within the tolerance? NaN is not, nor is what was not checked."""
        return not self.unchecked and self.deviation <= self.tolerance

    @property
    def inherited(self) -> bool:
        """Does this row fail only because what it starts from is wrong already?"""
        return not self.ok and self.one_step <= self.tolerance

    @property
    def verdict(self) -> str:
        """'pass', 'FAIL', 'not checked', or why a failing row may be innocent."""
        if self.unchecked:
            return "not checked"
        if self.ok:
            return "pass, as read" if self.as_read else "pass"
        if self.deviation <= self.rounding:
            return f"FAIL, but its sums cancel: rounding alone may cause {self.rounding:.0e}"
        return "FAIL, inherited" if self.inherited else "FAIL"

    @property
    def place(self) -> str:
        """'BP4 of layer 2', or of what else."""
        return f"{self.equation} of {'layer ' if isinstance(self.layer, int) else ''}{self.layer}"


@dataclass(frozen=True)
class Report:
    """What `verify` found; true if every row was checked and passes, and printed as a table.

    `rows` come in backprop's order, from the output to the input. `sizes`, `activations`: of the layers,
    or of the weighted inputs in order. `nabla_a` says where ∂C/∂a^L is from, `notes` what the net has
    that is not the textbook's: parameters that no row speaks of, penalties. `stack`: are there layers?
    """

    rows: tuple[Row, ...]
    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    cost: str
    nabla_a: str
    dtype: str
    batch: int
    notes: tuple[str, ...] = ()
    stack: bool = True

    @property
    def ok(self) -> bool:
        """Was every row checked, and does every row pass?"""
        return all(row.ok for row in self.rows)

    def __bool__(self) -> bool:
        return self.ok

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def checked(self) -> tuple[Row, ...]:
        """The rows that could be checked."""
        return tuple(row for row in self.rows if not row.unchecked)

    @property
    def worst(self) -> Row:
        """The checked row with the largest deviation, NaN being the largest of all."""
        return max(self.checked, key=lambda row: math.inf if math.isnan(row.deviation) else row.deviation)

    def __str__(self) -> str:
        formulas, what = (FORMULAS, "sizes ") if self.stack else (ON_A_GRAPH, "weighted inputs of sizes ")
        used = {row.equation for row in self.rows}
        width, name = max(len(formulas[e]) for e in used), max(map(len, used))
        first = max(len("layer"), *(len(str(row.layer)) for row in self.rows))
        lines = [
            f"Backpropagation by hand against the engine: {what}{'-'.join(map(str, self.sizes))} "
            f"({', '.join(self.activations)}), {self.cost}, {self.dtype}, batch {self.batch}",
            f"∇_a C {self.nabla_a}",
            *self.notes,
            "",
            f"{'layer' if self.stack else 'where':<{first}}  {'equation':<{width + name + 2}}  deviation  tolerance",
        ]
        for row in self.rows:
            deviation = "-" if row.unchecked else f"{row.deviation:.1e}"
            layer = f"{row.layer:>{first}}" if self.stack else f"{row.layer:<{first}}"
            lines.append(
                f"{layer}  {row.equation:<{name}}  {formulas[row.equation]:<{width}}  "
                f"{deviation:>9}  {row.tolerance:>9.0e}  {row.verdict}"
            )
        if not self.stack:
            lines += ["", "read from", *(f"  {row.place}: {row.read_from}" for row in self.rows)]
        lines += [f"  not checked: {row.unchecked}" for row in self.rows if row.unchecked]
        return "\n".join([*lines, "", self._summary()])

    def _summary(self):
        failed = [row for row in self.checked if not row.ok]
        open_ = [row for row in self.rows if row.unchecked]
        rest = f"; not checked: {', '.join(row.place for row in open_)}" if open_ else ""
        if not failed:
            agree = f"{len(self.checked)} of {len(self.rows)}" if open_ else f"all {len(self.rows)}"
            size = " to the last bit"
            if self.checked and self.worst.deviation:
                size = f"; largest deviation {self.worst.deviation:.1e}, {self.worst.place}"
            return f"{'NOT ALL CHECKED' if open_ else 'pass'}: {agree} agree{size}{rest}"
        guilty = ", ".join(row.place for row in failed if not row.inherited)
        text = f"FAIL: {len(failed)} of {len(self.rows)} disagree, "
        if guilty:
            text += f"starting at {guilty}"
        elif not self.rows[0].ok:
            text += "for ∇_a C is not the engine's; from there on each equation by itself agrees"
        else:
            text += "though each equation by itself agrees: rounding, added up over the layers"
        if self.dtype == "float32":
            text += "; a float64 copy, copy.deepcopy(net).astype(float), tells a mistake from rounding"
        return text + rest


def deviation(found: np.ndarray, expected: np.ndarray) -> float:
    """max|found − expected| / max|expected|, and 0 if both are zero."""
    expected = np.asarray(expected, np.float64)
    with np.errstate(all="ignore"):  # ∞ − ∞ is NaN, which fails
        return ratio(np.max(np.abs(found - expected)), np.max(np.abs(expected)))


def ratio(part: Any, whole: Any) -> float:
    """part/whole, and 0 if both are zero."""
    with np.errstate(all="ignore"):
        return 0.0 if part == whole == 0 else float(np.float64(part) / whole)
