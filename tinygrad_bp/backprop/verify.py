"""`verify`: the generic engine's gradients, held against BP1–BP4 written by hand, on anyone's net.

The one idea: δ^L, …, δ^2 are computed backwards by the hand-written equations from the values z, a and
w of a real run; the engine, which knows nothing of layers, did the same run by its own rules of matmul,
add and tanh; both must have found the same δ^l, ∂C/∂b^l and ∂C/∂w^l. Each equation is also applied to
the engine's own δ^{l+1} alone, one step, which tells the place of a mistake from the layers that inherit it.

∂C/∂a^L is where the equations start, they do not say where it comes from. For a cost in
`equations.COST_DERIVATIVE`, or with `cost_derivative=`, it is computed by hand; for any other it is
what the engine found, and the report says so: numerical differences would not reach twelve digits.
Read `differences.py` next.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import message
from ..nn import BCELoss, MSELoss, functional
from .equations import COST_DERIVATIVE, FORMULAS, SIGMA_PRIME, Equations
from .notation import Notation, notation

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
BY_HAND, GIVEN, FROM_ENGINE = "by hand", "as given", "read from the engine, no formula is known here"


@dataclass(frozen=True)
class Row:
    """One equation at one layer: how far the engine's array is from the one computed by hand.

    `whole_way`: max|engine − hand| / max|hand|, 0 if both are zero, with δ by hand all the way from ∇_a C.
    `one_step`: the same for this equation alone, applied to the engine's own δ (BP1: to its ∇_a C).
    `rounding`: the deviation that rounding alone may cause, 4 ε max Σ|terms| / max|Σ terms|, which is
    large where sums cancel; random nets came up to 3 ε.
    """

    layer: int
    equation: str
    whole_way: float
    one_step: float
    rounding: float
    tolerance: float

    @property
    def deviation(self) -> float:
        """The larger of the two: two wrong signs in a row cancel on the whole way, but not in one step."""
        return float(np.maximum(self.whole_way, self.one_step))

    @property
    def ok(self) -> bool:
        """Is the deviation within the tolerance? NaN is not."""
        return self.deviation <= self.tolerance

    @property
    def inherited(self) -> bool:
        """Does this row fail only because what it starts from is wrong already?"""
        return not self.ok and self.one_step <= self.tolerance

    @property
    def verdict(self) -> str:
        """'pass', 'FAIL', or why a failing row may be innocent."""
        if self.ok:
            return "pass"
        if self.deviation <= self.rounding:
            return f"FAIL, but its sums cancel: rounding alone may cause {self.rounding:.0e}"
        return "FAIL, inherited" if self.inherited else "FAIL"


@dataclass(frozen=True)
class Report:
    """What `verify` found; true if every row passes, and printed as a table.

    `rows` come in backprop's order, from the output layer to layer 2. `nabla_a` says where ∂C/∂a^L is from.
    """

    rows: tuple[Row, ...]
    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    cost: str
    nabla_a: str
    dtype: str
    batch: int

    @property
    def ok(self) -> bool:
        """Does every row pass?"""
        return all(row.ok for row in self.rows)

    def __bool__(self) -> bool:
        return self.ok

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def worst(self) -> Row:
        """The row with the largest deviation, NaN being the largest of all."""
        return max(self.rows, key=lambda row: math.inf if math.isnan(row.deviation) else row.deviation)

    def __str__(self) -> str:
        width = max(map(len, FORMULAS.values()))
        lines = [
            f"Backpropagation by hand against the engine: sizes {'-'.join(map(str, self.sizes))} "
            f"({', '.join(self.activations)}), {self.cost}, {self.dtype}, batch {self.batch}",
            f"∇_a C {self.nabla_a}",
            "",
            f"layer  {'equation':<{width + 5}}  deviation  tolerance",
        ]
        for row in self.rows:
            lines.append(
                f"{row.layer:>5}  {row.equation}  {FORMULAS[row.equation]:<{width}}  "
                f"{row.deviation:>9.1e}  {row.tolerance:>9.0e}  {row.verdict}"
            )
        return "\n".join([*lines, "", self._summary()])

    def _summary(self):
        worst, failed = self.worst, [row for row in self.rows if not row.ok]
        if not failed:
            size = f"; largest deviation {worst.deviation:.1e}, {worst.equation} of layer {worst.layer}"
            return f"pass: all {len(self.rows)} agree" + (size if worst.deviation else " to the last bit")
        guilty = ", ".join(f"{row.equation} of layer {row.layer}" for row in failed if not row.inherited)
        text = f"FAIL: {len(failed)} of {len(self.rows)} disagree, "
        if guilty:
            text += f"starting at {guilty}"
        elif not self.rows[0].ok:
            text += "for ∇_a C is not the engine's; from there on each equation by itself agrees"
        else:
            text += "though each equation by itself agrees: rounding, added up over the layers"
        if self.dtype == "float32":
            text += "; a float64 copy, copy.deepcopy(net).astype(float), tells a mistake from rounding"
        return text


def verify(
    net: Any,
    x: Any,
    y: Any,
    cost: Callable,
    *,
    sigma_prime: Mapping[int, Callable] | None = None,
    cost_derivative: Callable | None = None,
    equations: Equations | None = None,
) -> Report:
    """Hold the engine's δ^l, ∂C/∂b^l, ∂C/∂w^l against BP1–BP4 by hand; returns a `Report`.

    `net`: a stack of `Linear` layers and elementwise activations, left as it is; x (m, n_1), y: examples
    in rows; cost(a, y): a mean over them. `sigma_prime[l]`: σ′ of layer l (input: 1) as a function of
    z^l (n_l, m), for activations not in `SIGMA_PRIME`; `cost_derivative(a, y)`: ∇_a C_x, in columns.
    Within 1e-12 in float64, 1e-5 in float32. Raises ValueError for a net of another kind.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 5, 2], rng=0, dtype=np.float64)
    >>> bool(verify(net, np.ones((4, 3)), np.zeros((4, 2)), bp.nn.functional.quadratic_cost))
    True
    """
    book = notation(net, x, y, cost)
    if book.dtype.name not in TOLERANCE:
        raise ValueError(message("verify knows no tolerance", expected="float32 or float64", got=book.dtype))
    equations = equations or Equations()
    eps, engine = float(np.finfo(book.dtype).eps), _by_engine(book)
    with np.errstate(all="ignore"):  # what is not finite fails
        slopes = _slopes(book, sigma_prime or {})
        nabla_a, origin = _nabla_a(book, cost, cost_derivative)
        hand = _by_hand(equations, book.w, book.a, slopes, nabla_a, engine)
        step = _by_hand(equations, book.w, book.a, slopes, book.nabla_a, engine, given=book.delta)
        w, a, size = _magnitudes(book.w), _magnitudes(book.a), _magnitudes(slopes)
        terms = _by_hand(equations, w, a, size, np.abs(nabla_a), engine)
    rows = [
        Row(
            layer=layer,
            equation=equation,
            whole_way=deviation(found, hand[layer, equation]),
            one_step=deviation(found, step[layer, equation]),
            rounding=4 * eps * ratio(*(np.max(np.abs(sums[layer, equation])) for sums in (terms, hand))),
            tolerance=TOLERANCE[book.dtype.name],
        )
        for (layer, equation), found in engine.items()
    ]
    activations = tuple(book.nodes[l].activation_name for l in range(2, book.L + 1))
    name = getattr(cost, "__name__", type(cost).__name__)
    return Report(tuple(rows), book.sizes, activations, name, origin, book.dtype.name, book.m)


def deviation(found: np.ndarray, expected: np.ndarray) -> float:
    """max|found − expected| / max|expected|, and 0 if both are zero."""
    expected = np.asarray(expected, np.float64)
    with np.errstate(all="ignore"):  # ∞ − ∞ is NaN, which fails
        return ratio(np.max(np.abs(found - expected)), np.max(np.abs(expected)))


def ratio(part: Any, whole: Any) -> float:
    """part/whole, and 0 if both are zero."""
    with np.errstate(all="ignore"):
        return 0.0 if part == whole == 0 else float(np.float64(part) / whole)


def _by_engine(book: Notation):
    """(layer, equation) -> what the engine found, in the order in which backprop goes."""
    found = {}
    for l in range(book.L, 1, -1):
        found[l, "BP1" if l == book.L else "BP2"] = book.delta[l]
        if l in book.b:
            found[l, "BP3"] = book.nabla_b[l]
        found[l, "BP4"] = book.nabla_w[l]
    return found


def _by_hand(equations, w, a, slopes, nabla_a, engine, given=None):
    """The same by the equations: each from the δ of the one before, or from `given` δ, one step each."""
    delta: dict[int, np.ndarray] = {}
    known = delta if given is None else given
    found = {}
    for l, name in engine:
        if name == "BP1":
            found[l, name] = delta[l] = equations.BP1(nabla_a, slopes, l)
        elif name == "BP2":
            found[l, name] = delta[l] = equations.BP2(w, known, slopes, l)
        elif name == "BP3":
            found[l, name] = equations.BP3(known, l)
        else:
            found[l, name] = equations.BP4(a, known, l)
        if np.shape(found[l, name]) != engine[l, name].shape:
            raise ValueError(
                message(
                    f"{name} gave an array of the wrong shape in layer {l}",
                    expected=engine[l, name].shape,
                    got=np.shape(found[l, name]),
                )
            )
    return found


def _magnitudes(arrays):
    return {l: np.abs(array) for l, array in arrays.items()}


def _slopes(book, given):
    """l -> σ′(z^l)."""
    if strange := sorted(set(given) - set(book.z)):
        raise ValueError(
            message(
                "sigma_prime names a layer that the net does not have",
                expected=f"layers 2 to {book.L}, the input being layer 1",
                got=strange[0],
            )
        )
    return {l: _slope(book, l, given.get(l)) for l in book.z}


def _slope(book, l, own):
    nodes, z = book.nodes[l], book.z[l]
    if own is not None:
        return np.broadcast_to(own(z), z.shape)
    name, ops = nodes.activation_name, nodes.activation
    if name not in SIGMA_PRIME:
        raise ValueError(
            message(
                f"σ′ of layer {l} is not known, its activation being made of {name}"
                + (f" ({ops[-1].line})" if ops and ops[-1].line else ""),
                expected=f"one of {', '.join(SIGMA_PRIME)}, applied to x @ weight.T + bias",
                do=f"if it is elementwise, pass sigma_prime={{{l}: a function of z}}; for softmax or another "
                "that is not, let the cost take the logits",
            )
        )
    return SIGMA_PRIME[name](z, book.a[l], **(ops[0].kwargs if ops else {}))


def _nabla_a(book, cost, given):
    """(∂C_x/∂a^L in columns, where it is from)."""
    if isinstance(cost, (MSELoss, BCELoss)) and cost.reduction == "mean":
        cost = functional.mse_loss if isinstance(cost, MSELoss) else functional.binary_cross_entropy
    known = (derivative for name, derivative in COST_DERIVATIVE.items() if getattr(functional, name) is cost)
    derivative, origin = (next(known, None), BY_HAND) if given is None else (given, GIVEN)
    if derivative is None:
        return book.nabla_a, FROM_ENGINE
    nabla_a = np.asarray(derivative(book.a[book.L], book.y))
    if nabla_a.shape != book.nabla_a.shape:
        raise ValueError(
            message(
                "∇_a C has the wrong shape", expected=f"{book.nabla_a.shape}, columns", got=nabla_a.shape,
                do="give y the shape of the net's output",
            )
        )  # fmt: skip
    return nabla_a, origin
