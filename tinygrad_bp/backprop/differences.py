"""`check_weights`: single weights' derivatives against finite differences of the cost, Nielsen's eq. 46.

The one idea: nothing of backpropagation is assumed here; a weight is moved and the cost computed
anew. It costs two forward passes per weight, and so a few weights are chosen at random.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

from __future__ import annotations  # numpy.random is loaded when it is used

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import tree
from ..errors import message
from ..nn import Module
from ..tensor import Tensor, constant
from ..transforms import no_grad
from .notation import as_rows, notation
from .verify import ratio

STEP = 6e-6
"""About the cube root of float64's ε, where truncation and rounding of a central difference balance."""
TOLERANCE = 1e-6


@dataclass(frozen=True)
class WeightRow:
    """∂C/∂w^l_jk twice; l, j and k in the book's counting, from 1 (the input is layer 1).

    `deviation`: |analytic − numerical| / max|∂C/∂w^l|, 0 if both are zero.
    """

    layer: int
    j: int
    k: int
    analytic: float
    numerical: float
    deviation: float

    @property
    def ok(self) -> bool:
        """Is the deviation within 1e-6?"""
        return self.deviation <= TOLERANCE


@dataclass(frozen=True)
class WeightCheck:
    """What `check_weights` found; true if every row passes, and printed as a table."""

    rows: tuple[WeightRow, ...]

    @property
    def ok(self) -> bool:
        """Does every row pass?"""
        return all(row.ok for row in self.rows)

    def __bool__(self) -> bool:
        return self.ok

    def __iter__(self) -> Iterator[WeightRow]:
        return iter(self.rows)

    def __str__(self) -> str:
        failed = sum(not row.ok for row in self.rows)
        worst = max(row.deviation for row in self.rows)
        return "\n".join(
            [
                "layer     j     k  ∂C/∂w by backprop  by differences  deviation",
                *(
                    f"{row.layer:>5} {row.j:>5} {row.k:>5}  {row.analytic:>17.9e}  {row.numerical:>14.7e}"
                    f"  {row.deviation:>9.1e}" + ("" if row.ok else "  FAIL")
                    for row in self.rows
                ),
                "",
                f"{'FAIL' if failed else 'pass'}: {len(self.rows) - failed} of {len(self.rows)} weights agree "
                f"to {TOLERANCE:.0e}; largest deviation {worst:.1e}",
            ]
        )


def check_weights(
    net: Any, x: Any, y: Any, cost: Callable, n: int = 20, rng: np.random.Generator | int | None = None
) -> WeightCheck:
    """The engine's ∂C/∂w^l_jk against (C(w + ε e) − C(w − ε e))/2ε, for n weights drawn by `rng`.

    Computed in float64 on a copy of `net`, a Module; arguments as for `verify`. `rng`: a Generator or
    a seed (None: 0). A weight whose step takes a ReLU across its kink may fail.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 5, 2], rng=0)
    >>> check = check_weights(net, np.ones((4, 3)), np.zeros((4, 2)), bp.nn.functional.quadratic_cost, n=5)
    >>> check.ok, len(check.rows)
    (True, 5)
    """
    if n < 1:
        raise ValueError(message("check_weights needs a weight to check", expected="n ≥ 1", got=n))
    if not isinstance(net, Module):
        raise ValueError(_needs_a_module(net))
    twin = tree.map(_in_double, net)
    x, y = (
        a.astype(np.float64) if a.dtype.kind == "f" else a for a in map(np.asarray, map(constant, (x, y)))
    )
    book = notation(twin, x, y, cost)
    x, y = as_rows(twin, x, y)
    weights = {l: _tensor_of(book.nodes[l].weight, twin, book.run) for l in book.w}
    rng = np.random.default_rng(0 if rng is None else rng)
    places = [(l, j, k) for l, w in book.w.items() for j, k in np.ndindex(w.shape)]
    rows = []
    for i in sorted(rng.choice(len(places), size=min(n, len(places)), replace=False)):
        l, j, k = places[i]
        numerical = _difference(lambda: cost(twin(Tensor(x)), y), weights[l].data, (j, k))
        analytic = float(book.nabla_w[l][j, k])
        deviation = ratio(abs(analytic - numerical), np.max(np.abs(book.nabla_w[l])))
        rows.append(WeightRow(l, j + 1, k + 1, analytic, numerical, deviation))
    return WeightCheck(tuple(rows))


def _in_double(parameter):
    return Tensor(constant(parameter).astype(np.float64), requires_grad=True)


def _tensor_of(seen, twin, run):
    found = [t for t in twin.parameters() if run.of(t) is seen]
    if not found:
        raise ValueError(_needs_a_module(twin))
    return found[0]


def _needs_a_module(net):
    return message(
        "check_weights moves the weights of a copy, and so needs a Module that has them", got=repr(net)
    )


def _difference(C, w, place):
    """(C(w + ε e) − C(w − ε e))/2ε at one element of the array w, which is put back."""
    value = w[place]
    step = STEP * max(1.0, abs(value))
    with no_grad():
        w[place] = value + step
        after, there = C().item(), w[place]
        w[place] = value - step
        before, width = C().item(), there - w[place]
    w[place] = value
    return float((after - before) / width)
