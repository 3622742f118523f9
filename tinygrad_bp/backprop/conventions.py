"""Three notations of one run: Nielsen's, Ng's and `nn`'s; single elements; tables to print.

Here you can look at the numbers of a `Notation` as Ng's course writes them (`as_ng`) and as `nn` keeps
them (`as_nn`), pick out the book's w^3_24 (`element`), print a run (`run_table`) and the dictionary
from each notation to the others (`dictionary`), and hold Ng's four equations against the engine
(`check_ng`).

The one idea: there is one set of arrays, and a notation is a way to count and to turn them. Ng calls
the input layer 0, Nielsen layer 1; `nn` has a row for each example and differentiates the mean. Only
where a factor m stands between two notations is an array made. Read `costs.py` next.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import message
from .equations import SIGMA_PRIME
from .notation import Notation, notation
from .report import TOLERANCE, deviation, ratio


@dataclass(frozen=True)
class Table:
    """Rows of numbers and words under a header; prints aligned, and is true unless a check in it failed."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple, ...]
    ok: bool = True
    footer: str = ""

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        cells = [[f"{x: .3g}" if isinstance(x, float) else str(x) for x in row] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(self.header, *cells)]
        align = ["<" if isinstance(x, str) else ">" for x in self.rows[0]] if cells else []
        lines = [
            "  ".join(map(lambda x, a, w: f"{x:{a}{w}}", row, align, widths)) for row in (self.header, *cells)
        ]
        return "\n".join(line.rstrip() for line in (self.title, "", *lines, "", self.footer)).rstrip()


def element(book: Notation, symbol: str, l: int, *places: int) -> Any:
    """The book's element, counted from 1: `element(book, "w", 3, 2, 4)` is w^3_24, `book.w[3][1, 3]`.

    `symbol`: a dict of `Notation`. l, j, k for w, nabla_w; l, j for b, nabla_b; l, j and the number of the
    example for z, a, delta. Fewer give a row or an array, as a view. Raises IndexError out of range.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 4, 2], rng=0, dtype=np.float64)
    >>> book = notation(net, np.ones((5, 3)), np.zeros((5, 2)), bp.nn.functional.quadratic_cost)
    >>> bool(element(book, "w", 3, 2, 4) == book.w[3][1, 3])
    True
    """
    layers = getattr(book, symbol)
    if l not in layers:
        have = f"a layer of {sorted(layers)}, the input being layer 1"
        raise IndexError(message(f"there is no {symbol} of layer {l!r}", expected=have))
    array = layers[l][:, 0] if symbol in ("b", "nabla_b") else layers[l]
    if len(places) > array.ndim or not all(i in range(1, n + 1) for i, n in zip(places, array.shape)):
        ranges = ", ".join(f"1 … {n}" for n in array.shape)
        what = f"{symbol} of layer {l} has no such element"
        raise IndexError(message(what, expected=f"indices in {ranges}, counted from 1", got=places))
    return array[tuple(i - 1 for i in places)]


# ---- Ng's notation and nn's ----------------------------------------------------------------------


class Ng(namedtuple("Ng", "L m Y A Z W b dA dZ dW db")):
    """A run in Ng's notation: dicts keyed by his layers, the input being layer 0 and the output L.

    A, Z, dA, dZ: (n_l, m); W, dW: (n_l, n_{l−1}); b, db: (n_l, 1). dW and db are derivatives of
    J = (1/m) Σ_i 𝓛(i), dA and dZ of each example's own 𝓛.
    """

    __slots__ = ()


def as_ng(book: Notation) -> Ng:
    """The run in Ng's notation: Nielsen's layer l is his l − 1. The arrays are `book`'s own, but for dA[l < L]."""
    dA = {l: book.m * layer.a.grad.T for l, layer in enumerate(as_nn(book), start=2)} | {book.L: book.nabla_a}
    layers = (book.a, book.z, book.w, book.b, dA, book.delta, book.nabla_w, book.nabla_b)
    return Ng(book.L - 1, book.m, book.y, *({l - 1: x for l, x in found.items()} for found in layers))


Quantity = namedtuple("Quantity", "data grad")  # an array, and the derivative of the mean C by it
NnLayer = namedtuple("NnLayer", "weight bias z a")  # four Quantities; bias is None without one


def as_nn(book: Notation) -> tuple[NnLayer, ...]:
    """The run as `nn` has it: entry i is the net's layer i, Nielsen's i + 2; `.data`, `.grad` of weight, bias, z, a.

    Examples are rows, and `.grad` is of the mean C: z.grad = δᵀ/m. All arrays are views of the run's.
    """

    def layer(l, nodes):
        bias = Quantity(book.b[l][:, 0], book.nabla_b[l][:, 0]) if l in book.b else None
        z, a = Quantity(book.z[l].T, nodes.z.cotangent), Quantity(book.a[l].T, nodes.a.cotangent)
        return NnLayer(Quantity(book.w[l], book.nabla_w[l]), bias, z, a)

    return tuple(layer(l, nodes) for l, nodes in book.nodes.items())


# ---- Ng's four equations -------------------------------------------------------------------------

# His numbering: the left side, its formula, and the right side by hand, from a run v in his layers; g has
# the arrays g′(Z[l]). BP4 is Nielsen's BP1, BP3 and BP4 his BP2, BP2 his BP3 and BP1 his BP4.
# fmt: off
NG: dict[str, tuple[str, str, Callable]] = {
    "BP4": ("dZ", "dZ[l] = dA[l] ∗ g′(Z[l])",    lambda v, l, g: v.dA[l] * g[l]),
    "BP1": ("dW", "dW[l] = (1/m) dZ[l] A[l−1]ᵀ", lambda v, l, g: v.dZ[l] @ v.A[l - 1].T / v.m),
    "BP2": ("db", "db[l] = (1/m) Σ_i dZ[l](i)",  lambda v, l, g: np.sum(v.dZ[l], axis=1, keepdims=True) / v.m),
    "BP3": ("dA", "dA[l−1] = W[l]ᵀ dZ[l]",       lambda v, l, g: v.W[l].T @ v.dZ[l]),
}
# fmt: on
NgRow = namedtuple("NgRow", "l equation formula deviation tolerance")


def check_ng(
    net: Any,
    x: Any,
    y: Any,
    cost: Callable,
    g_prime: Mapping[int, Callable] | None = None,
    rules: Mapping = NG,
) -> Table:
    """Ng's BP1–BP4, in his numbering and layers, each on the engine's own numbers, against the engine.

    Arguments as for `verify`; `g_prime[l]`: g′ of his layer l as a function of Z, if g is not in
    `SIGMA_PRIME`; `rules`: other equations than `NG`. Within 1e-12 (float32: 1e-5), or what rounding may
    cause where sums cancel. The rows are `NgRow`s.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([2, 3, 1], ["tanh", "sigmoid"], rng=0, dtype=np.float64)
    >>> bool(check_ng(net, np.eye(2), np.array([[0.0], [1.0]]), bp.nn.functional.binary_cross_entropy))
    True
    """
    book, rows = notation(net, x, y, cost), []
    ng, g = as_ng(book), {l - 1: _slope(book, l, (g_prime or {}).get(l - 1)) for l in book.z}
    terms = Ng(*ng[:3], *({l: np.abs(x) for l, x in layers.items()} for layers in ng[3:]))
    eps, tolerance = float(np.finfo(book.dtype).eps), TOLERANCE[book.dtype.name]
    for l in range(ng.L, 0, -1):
        for name, (left, formula, rule) in rules.items():
            found = getattr(ng, left).get(l - (name == "BP3"))
            if found is not None:  # no bias, or the input's own gradient, which is not computed
                hand, size = rule(ng, l, g), np.max(rule(terms, l, {l: np.abs(g[l])}))
                rounding = 4 * eps * ratio(size, np.max(np.abs(hand)))
                rows.append(NgRow(l, name, formula, deviation(found, hand), max(tolerance, rounding)))
    failed = sum(not row.deviation <= row.tolerance for row in rows)
    title = f"Ng's equations against the engine: {'-'.join(map(str, book.sizes))}, {book.dtype}, m = {book.m}"
    footer = f"{'FAIL' if failed else 'pass'}: {len(rows) - failed} of {len(rows)} agree"
    return Table(title, ("l", "", "", "deviation", "tolerance"), tuple(rows), not failed, footer)


def _slope(book, l, given):
    nodes, Z = book.nodes[l], book.z[l]
    if given is not None:
        return given(Z)
    if nodes.activation_name not in SIGMA_PRIME:
        what = f"g′ of Ng's layer {l - 1} is not known, g being {nodes.activation_name}"
        raise ValueError(message(what, do=f"pass g_prime={{{l - 1}: a function of Z}}"))
    kwargs = nodes.activation[0].kwargs if nodes.activation else {}
    return SIGMA_PRIME[nodes.activation_name](Z, book.a[l], **kwargs)


# ---- tables --------------------------------------------------------------------------------------

_DICTIONARY = """layers|l = 1 … L|l = 0 … L: Nielsen's l − 1|layers[i] is Nielsen's layer i + 2
input|a^1|A[0] = X|x
weighted input|z^l = w^l a^{l−1} + b^l|Z[l] = W[l] A[l−1] + b[l]|z = x @ weight.T + bias
activation|a^l = σ(z^l)|A[l] = g(Z[l])|a = activation(z)
cost|C = (1/m) Σ_x C_x|J = (1/m) Σ_i 𝓛(i)|loss, a mean
Hadamard product|⊙|∗|*
∂C/∂a^l|∂C_x/∂a^l, per example|dA[l], per example|m · a.grad
error|δ^l = ∂C_x/∂z^l, per example|dZ[l], per example|m · z.grad
… of layer L|BP1: δ^L = ∇_a C ⊙ σ′(z^L)|BP4: dZ[L] = dA[L] ∗ g′(Z[L])|loss.backward()
… of layer l < L|BP2: δ^l = (w^{l+1})ᵀδ^{l+1} ⊙ σ′(z^l)|BP3: dA[l] = W[l+1]ᵀ dZ[l+1], BP4|loss.backward()
∂C/∂b^l|BP3: (1/m) Σ_x δ^l|BP2: db[l] = (1/m) Σ_i dZ[l](i)|bias.grad = Σ z.grad
∂C/∂w^l|BP4: (1/m) Σ_x δ^l (a^{l−1})ᵀ|BP1: dW[l] = (1/m) dZ[l] A[l−1]ᵀ|weight.grad = z.gradᵀ x
a step|w^l ← w^l − η ∂C/∂w^l|W[l] ← W[l] − α dW[l]|SGD(…, lr=η).step()"""
_ONE_OVER_M = """The 1/m: Nielsen's BP3, BP4 speak of one example, the mean is taken after; Ng has it in his BP1 and BP2
alone; nn has it in the cost, so it is in every .grad from the first one on, and in no formula."""


def dictionary(book: Notation) -> Table:
    """What is what in Nielsen's notation, Ng's and `nn`'s, with the shapes in this run, and where each has its 1/m.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([2, 3, 1], rng=0, dtype=np.float64)
    >>> book = notation(net, np.ones((5, 2)), np.zeros((5, 1)), bp.nn.functional.quadratic_cost)
    >>> print(*dictionary(book).rows[-2], sep="; ")
    layer 2; w^2 (3, 2), b^2 (3, 1), z^2 (3, 5); W[1] (3, 2), b[1] (3, 1), Z[1] (3, 5); weight (3, 2), bias (3,), z (5, 3)
    """
    m, rows = book.m, [tuple(line.split("|")) for line in _DICTIONARY.splitlines()]
    rows += [("layer 1", f"a^1 {book.a[1].shape}", f"A[0] {book.a[1].shape}", f"x {book.a[1].T.shape}")]
    for l, w in book.w.items():
        n, i = len(w), l - 1
        nielsen = f"w^{l} {w.shape}, b^{l} {n, 1}, z^{l} {n, m}"
        ng = f"W[{i}] {w.shape}, b[{i}] {n, 1}, Z[{i}] {n, m}"
        rows += [(f"layer {l}", nielsen, ng, f"weight {w.shape}, bias {(n,)}, z {m, n}")]
    title = f"Three notations of one net, {'-'.join(map(str, book.sizes))}, m = {m}; layers are Nielsen's"
    return Table(title, ("", "Nielsen", "Ng", "nn"), tuple(rows), footer=_ONE_OVER_M)


def run_table(book: Notation, most: int = 12) -> str:
    """w, b, z, a, δ of every layer, one line per neuron; a row of an array is cut after three numbers.

    Of a layer of more than `most` neurons the first and last three are shown; max is of the whole array.
    """
    tables = []
    for l in range(1, book.L + 1):
        symbols = {"w": book.w, "b": book.b, "z": book.z, "a": book.a, "δ": book.delta}
        arrays = {f"{name}^{l} {x[l].shape}": x[l] for name, x in symbols.items() if l in x}
        n = book.sizes[l - 1]
        shown = range(n) if n <= most else [0, 1, 2, n - 3, n - 2, n - 1]
        rows = [(j + 1, *(_cut(x[j]) for x in arrays.values())) for j in shown]
        rows.append(("max|·|", *(f"{np.max(np.abs(x)):.3g}" for x in arrays.values())))
        name = f"{book.nodes[l].activation_name}; Ng's layer {l - 1}" if l > 1 else "input; Ng's layer 0"
        tables.append(str(Table(f"layer {l}: {name}", ("j", *arrays), tuple(rows))))
    return "\n\n".join(tables)


def _cut(row):
    return np.array2string(row, precision=4, threshold=3, edgeitems=1, floatmode="fixed", suppress_small=True)
