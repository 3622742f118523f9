"""The gradient as a sum over paths, and backprop as the way to add them up: Nielsen ch. 2, eqs. 47–53.

Here you can count, list, rank and add up all paths from a weight, a bias or a neuron to the cost: in a
net (`Layered`), in any recorded graph of scalar ops (`recorded`), in a graph of your own (`Graph`). You
can follow one Δw through the layers (`spread`), and turn the sum over paths into backprop (`regroup`).

The one idea: every edge has a rate factor ∂(its end)/∂(its start), a path's rate is their product, and
the sum of all rates is the gradient. Paths are exponentially many, but they share their last parts; so
what is asked of all of them (how many? which sum? which k are the largest?) is answered vertex by
vertex, from the cost inwards. Asked for the sum, that is backpropagation. Read `effort.py` next.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

import heapq
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from graphlib import TopologicalSorter
from itertools import chain, islice
from typing import Any

import numpy as np

from .. import tree
from ..backward import Watch, pull_back, sweep
from ..errors import message
from ..observe import Seen, observe
from ..tensor import Tensor, constant
from .conventions import Table, element
from .effort import Counted
from .notation import as_rows, notation
from .proofs import sigma_primes
from .verify import TOLERANCE, deviation, ratio


@dataclass(frozen=True)
class Path:
    """One path to the cost: the neurons (l, j) that it passes, in the book's counting, and its factors.

    `neurons`: from where it starts to the output neuron (in other graphs: its vertices). `factors`: ∂a/∂a
    from neuron to neuron, ∂C/∂a^L_m at the end and, if it starts at a weight or bias, ∂a^l_j/∂w^l_jk first.
    """

    neurons: tuple[Any, ...]
    factors: tuple[float, ...]

    @property
    def rate(self) -> float:
        """The product of the factors: one term of (53), and times Δw the path's ΔC (51)."""
        rate = 1.0
        for factor in reversed(self.factors):
            rate = _times(factor, rate)
        return rate


def _times(factor, rate):
    """factor · rate, but 0 if the rate is 0: as in the engine, what is not used has no gradient."""
    return factor * rate if rate else 0.0


class Graph:
    """A directed graph without cycles, a rate factor on every edge, and the vertex where all paths end.

    `edges(v)`: the (vertex, factor) pairs that v leads to.

    >>> roads = {"a": [("b", 2.0), ("c", 3.0), ("c", 1.0)], "b": [("c", 5.0)]}
    >>> graph = Graph(roads.get, end="c")
    >>> graph.count("a"), graph.sum("a"), [path.rate for path in graph.largest("a", 2)]
    (3, 14.0, [10.0, 3.0])
    """

    def __init__(self, edges: Callable[[Any], Iterable[tuple[Any, float]]], end: Any):
        self.edges, self.end = edges, end

    def name(self, v: Any) -> tuple:
        """What the vertex v adds to a `Path`'s neurons."""
        return (v,)

    def _fold(self, start, at_end, join):
        """vertex -> join(vertex, [(factor, answer of the edge's end)]), from the end inwards."""
        edges, pending = {}, [start]
        while pending:
            v = pending.pop()
            if v not in edges:
                edges[v] = [] if v == self.end else list(self.edges(v))
                pending += [u for u, _ in edges[v]]
        answers: dict = {}
        for v in TopologicalSorter({v: [u for u, _ in out] for v, out in edges.items()}).static_order():
            answers[v] = at_end if v == self.end else join(v, [(r, answers[u]) for u, r in edges[v]])
        return answers

    def count(self, start: Any) -> int:
        """How many paths lead from `start` to the end; in a net, the product of the later widths."""
        return self._fold(start, 1, lambda _, edges: sum(n for _, n in edges))[start]

    def sums(self, start: Any) -> dict[Any, float]:
        """Each vertex that `start` leads to -> the sum of the rates of all its paths, ∂C/∂(vertex)."""
        return self._fold(start, 1.0, lambda _, edges: sum((_times(*edge) for edge in edges), 0.0))

    def sum(self, start: Any) -> float:
        """The sum of the rates of all paths (52, 53), added up vertex by vertex: ∂C/∂start."""
        return self.sums(start)[start]

    def paths(self, start: Any, cap: int = 10_000) -> list[Path]:
        """All paths from `start`, in the order of the edges. Raises ValueError if there are more than `cap`."""
        if (n := self.count(start)) > cap:
            what, do = (
                f"{n:,} paths lead from {start!r}",
                "take largest(start, k) and sum(start), or raise cap",
            )
            raise ValueError(message(what, expected=f"at most {cap:,}", do=do))
        end = [Path(self.name(self.end), ())]
        return self._fold(start, end, lambda v, edges: list(chain(*self._along(v, edges))))[start]

    def largest(self, start: Any, k: int) -> list[Path]:
        """The k paths of largest |rate|, largest first, though the others are never enumerated.

        Exact: the k best of a vertex go on along the k best of its edges' ends, and multiplication keeps
        their order even when it rounds. Raises ValueError for factors that are not finite.
        """

        def best(v, edges):
            if not all(math.isfinite(factor) for factor, _ in edges):
                raise ValueError(message(f"a rate factor of {v!r} is infinite or NaN: paths have no order"))
            merged = heapq.merge(*self._along(v, edges), key=lambda path: abs(path.rate), reverse=True)
            return list(islice(merged, k))

        return self._fold(start, [Path(self.name(self.end), ())], best)[start]

    def _along(self, v, edges):
        """For each edge of v, the paths of its end with the edge before them."""
        return [map(partial(_prolong, self.name(v), factor), known) for factor, known in edges]


def _prolong(name, factor, path):
    return Path(name + path.neurons, (factor, *path.factors))


class Layered(Graph):
    """The neurons of a net for one example, row `example` of x; C is that example's own cost.

    Paths start at a neuron (l, j), a weight ("w", l, j, k) or a bias ("b", l, j), all counted from 1. The
    factors are those of (53), by hand: ∂a^{l+1}_q/∂a^l_j = σ′(z^{l+1}_q) w^{l+1}_qj, ∂a^l_j/∂w^l_jk =
    σ′(z^l_j) a^{l−1}_k, ∂a^l_j/∂b^l_j = σ′(z^l_j). Arguments, and what is refused, as for `verify`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([784, 30, 30, 30, 10], rng=0, dtype=np.float64)
    >>> graph = Layered(net, np.ones(784), np.ones(10), bp.nn.functional.quadratic_cost)
    >>> graph.count((2, 1)), len(graph.largest(("w", 2, 1, 784), 3))
    (9000, 3)
    """

    def __init__(
        self, net: Any, x: Any, y: Any, cost: Callable, example: int = 0,
        sigma_prime: Mapping[int, Callable] | None = None,
    ):  # fmt: skip
        super().__init__(self._edges, end="C")
        x, y = as_rows(net, x, y)
        self.run = net, x[[example]], y[[example]], cost
        self.book = notation(*self.run)
        slopes, mixing, sigmas = sigma_primes(self.book, sigma_prime or {})
        if mixing:
            what = f"paths need an elementwise σ, and layer {min(mixing)} has another: {sigmas}"
            raise ValueError(message(what, do="let the cost take the logits"))
        one = lambda arrays: {l: array[:, 0].astype(np.float64) for l, array in arrays.items()}
        self.a, self.slope = one(self.book.a), one(slopes)
        self.nabla_a = self.book.nabla_a[:, 0].astype(np.float64)

    def name(self, v: Any) -> tuple:
        """Only neurons are named."""
        return () if v[0] in ("w", "b", "C") else (v,)

    def _edges(self, v):
        kind, l, j, *k = v if v[0] in ("w", "b") else ("a", *v)
        element(self.book, kind, l, j, *k)  # raises IndexError if the net does not have it
        if kind != "a":
            a_in = self.a[l - 1][k[0] - 1] if kind == "w" else 1.0
            return [((l, j), float(self.slope[l][j - 1] * a_in))]
        if l == self.book.L:
            return [("C", float(self.nabla_a[j - 1]))]
        factors = self.slope[l + 1] * self.book.w[l + 1][:, j - 1]
        return [((l + 1, q), factor) for q, factor in enumerate(factors.tolist(), start=1)]

    def spread(self, l: int, j: int, k: int, dw: float) -> Table:
        """Δw^l_jk followed to ΔC: Δa^l_j (48), the Δa of all later neurons (49, 50), ΔC (47).

        Each by the rates, and measured on a copy of the net, a Module, with the weight moved.
        """
        C = Counted(*self.run)
        before = notation(C.net, *self.run[1:])
        n = next(n for n, p in enumerate(C.parameters) if before.run.of(p) is before.nodes[l].weight)
        [(_, factor)] = self._edges(("w", l, j, k))
        delta_a = factor * dw * (np.arange(1, len(self.a[l]) + 1) == j)
        place = n, (j - 1) * len(self.a[l - 1]) + k - 1
        delta_C = C.moved(place, dw) - C.moved(place, 0.0)
        C.parameters[n].data[j - 1, k - 1] += dw
        after, changes = notation(C.net, *self.run[1:]), []
        for m in range(l, self.book.L + 1):
            delta_a = delta_a if m == l else self.slope[m] * (self.book.w[m] @ delta_a)
            moved = (after.a[m] - before.a[m])[:, 0]
            changes += [(f"a^{m}_{q}", *pair) for q, pair in enumerate(zip(delta_a, moved), start=1)]
        changes.append(("C", self.nabla_a @ delta_a, delta_C))
        rows = [(name, *(float(c) + 0.0 for c in (rate, true, true - rate))) for name, rate, true in changes]
        header = ("change of", "by the rates", "measured", "difference")
        return Table(f"w^{l}_{j},{k} moved by {dw:g}", header, tuple(rows))

    def regroup(self, l: int, j: int, k: int) -> Table:
        """(53) for w^l_jk summed from the output inwards: δ^L, δ^{L−1}, …, δ^l, then δ^l_j a^{l−1}_k (BP4).

        A row per sum: how many numbers, and their norm-wise deviation from the engine's δ^l and ∂C/∂w^l.
        True if all agree.
        """
        element(self.book, "w", l, j, k)
        book, L, a_in = self.book, self.book.L, self.a[l - 1][k - 1]
        delta, rows = self.nabla_a * self.slope[L], []
        for m in range(L, l - 1, -1):
            if m < L:
                delta = np.sum(delta[:, None] * book.w[m + 1], axis=0) * self.slope[m]
            rows.append((f"δ^{m}", len(delta), deviation(book.delta[m][:, 0], delta)))
        off = abs(book.nabla_w[l][j - 1, k - 1] - delta[j - 1] * a_in)
        rows.append((f"∂C/∂w^{l}_{j},{k}", 1, ratio(off, np.max(np.abs(book.nabla_w[l])))))
        naive, regrouped = operations(book.sizes, l)
        footer = f"{naive:,} operations path by path, {regrouped:,} in this order"
        header = ("sum over all later neurons", "numbers", "deviation from the engine")
        ok = all(row[2] <= TOLERANCE[book.dtype.name] for row in rows)
        return Table("The sum over paths, from the output inwards", header, tuple(rows), ok, footer)


def operations(sizes: tuple[int, ...], l: int | None = None) -> tuple[int, int]:
    """Multiplications and additions in (53) with all factors written out: (path by path, regrouped).

    For one weight of layer l; for all weights, whose regrouped sums share the δ^l, if l is None.

    >>> operations((784, 30, 30, 30, 10), l=2), operations((784, 30, 30, 30, 10))
    ((80999, 2471), (1907030280, 29830))
    """
    L, widths = len(sizes), dict(enumerate(sizes, start=1))
    inner = {m: 2 * widths[m] * widths[m + 1] for m in range(2, L)}  # δ^m from δ^{m+1}: w, Σ and σ′
    if l is None:
        weights = {m: widths[m] * widths[m - 1] for m in range(2, L + 1)}
        naive = sum(n * operations(sizes, m)[0] for m, n in weights.items())
        return naive, widths[L] + sum(inner.values()) + sum(weights.values())
    naive = math.prod(sizes[l:]) * (2 * (L - l) + 3) - 1
    between = sum(inner[m] for m in range(l + 1, L))
    return naive, 2 if l == L else widths[L] + between + 2 * widths[l + 1] + 1


def recorded(f: Callable, *args: Any) -> tuple[Graph, list[Seen]]:
    """The graph of the scalar ops that f(*args), a number, records, and the vertices of its arguments.

    Vertices are `Seen`s (op, name, value, line), the value of f being `graph.end`; a factor is an op's
    own derivative: what the engine's rule gives for a cotangent of 1, so that cotangents of 0 do no harm.
    Arguments: numbers, or containers of them. Raises ValueError, naming the op, for arrays.

    >>> import numpy as np
    >>> graph, [x] = recorded(lambda x: x * x + np.sin(x), 2.0)
    >>> graph.count(x), [[seen.op for seen in path.neurons] for path in graph.largest(x, 1)]
    (3, [[None, 'multiply', 'add']])
    """
    leaves, rebuild = tree.flatten(args)
    leaves = [Tensor(float(constant(leaf)), requires_grad=True) for leaf in leaves]
    with observe() as run:
        loss = f(*rebuild(leaves))
    if type(loss) is not Tensor or not loss.requires_grad:
        raise ValueError(message("f recorded nothing between its arguments and its value", got=repr(loss)))
    vertices = {loss._node: run.of(loss)}
    edges: dict[Seen, list] = {}
    pending = [loss._node]
    while pending:
        node = pending.pop()
        seen = vertices[node]
        if node.shape is None or math.prod(node.shape) != 1 or node.dtype.kind != "f":
            what = f"paths lead through real numbers, and the result of {seen.op} ({seen.line}) is none"
            raise ValueError(message(what, got=f"shape {node.shape}", do="write f in scalar ops"))
        operands = zip(node.parents, seen.parents)  # of what was made before f: none
        fresh = {p: s for p, s in operands if p is not None and p not in vertices}
        vertices |= fresh
        pending += fresh
    with np.errstate(all="ignore"):
        for node, seen in vertices.items():
            seen.contributions = [None] * len(seen.parents)  # f may have run a backward pass of its own
            if seen.kind == "op":
                pull_back(node, {node: np.ones(node.shape, node.dtype)[()]}, [], Watch())
            for parent, factor in zip(seen.parents, seen.contributions):
                if factor is not None:
                    edges.setdefault(parent, []).append((seen, factor.item()))
    for seen in vertices.values():  # what those cotangents of 1 left behind; the true ones come instead
        seen.cotangent, seen.contributions = None, [None] * len(seen.parents)
    sweep({loss._node: np.ones(loss.shape, loss.dtype)[()]}, False, Watch())
    starts = [vertices.get(leaf._node) or Seen("leaf", None, leaf.data) for leaf in leaves]
    return Graph(lambda seen: edges.get(seen, ()), run.of(loss)), starts
