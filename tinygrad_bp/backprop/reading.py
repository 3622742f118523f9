"""Weighted inputs, wherever they stand in a recorded graph: what the textbook knows of any net.

Here an observed run becomes a list of `Weighted`: each z = a wᵀ + b, with all parameters that make it
up, and the activation that it feeds. The one idea: only what the engine recorded counts, never a class.
A weighted input is a largest sum of products with parameters and of biases; its activation goes as far
as z alone leads. What is no such thing (a convolution, the + of a residual net) is an edge like any
other, with the share in the gradient that the engine handed on. Read `notation.py` next.
"""

import inspect
import re
from collections import defaultdict
from contextlib import suppress
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..observe import Run, Seen
from ..tensor import Tensor


class Product(NamedTuple):
    """a wᵀ, or w a. `parameter` holds w; if `transposed`, as in x @ w, it holds wᵀ."""

    node: Seen
    a: Seen
    parameter: Seen
    transposed: bool

    def oriented(self, array: np.ndarray) -> np.ndarray:
        """From the parameter's orientation to w's, (to, from), or back."""
        return array.T if self.transposed else array


class Weighted(NamedTuple):
    """z = Σ a wᵀ + Σ b, and a = σ(z) with the ops from z to a, none for a linear neuron.

    `rows`: are examples in rows? `inner`: (id of a node, operand) for all parameters and inputs of z.
    """

    z: Seen
    rows: bool
    products: tuple[Product, ...]
    biases: tuple[Seen, ...]
    inner: frozenset[tuple[int, int]]
    activation: tuple[Seen, ...] = ()
    a: Any = None

    @property
    def parameters(self) -> list[Seen]:
        """The biases and the weights."""
        return [*self.biases, *(product.parameter for product in self.products)]

    def columns(self, array: np.ndarray) -> np.ndarray:
        """An array of z's or a's kind in the book's way: neurons down, examples across."""
        return array.reshape(-1, array.shape[-1]).T if self.rows else array


class Edge(NamedTuple):
    """`node` uses a value as operand i, and added `share` to the value's cotangent."""

    node: Seen
    i: int
    share: np.ndarray


class Reading(NamedTuple):
    """All weighted inputs of a run in the order in which they were computed, and who uses what.

    `users`: id of a Seen -> its edges. `parameters`: id of a leaf or its transpose -> (leaf, is it the
    transpose). `textbook`: (id of a node, operand) -> number of the weighted input of which it is part.
    """

    units: list[Weighted]
    users: dict[int, list[Edge]]
    parameters: dict[int, tuple[Seen, bool]]
    textbook: dict[tuple[int, int], int]
    outputs: dict[int, Seen]
    cost: frozenset[int]
    names: dict[int, str]

    @property
    def leaves(self) -> list[Seen]:
        """What the run found and did not compute: the parameters."""
        return [leaf for key, (leaf, _) in self.parameters.items() if key == id(leaf)]

    def elsewhere(self, seen: Seen) -> list[Edge]:
        """The uses of a leaf of which the equations do not speak, with shares in the leaf's orientation."""
        return [
            edge._replace(share=edge.share.T) if flipped else edge
            for key, (leaf, flipped) in self.parameters.items()
            for edge in (self.users[key] if leaf is seen else ())
            if id(edge.node) not in self.parameters and (id(edge.node), edge.i) not in self.textbook
        ]


def read(net: Any, run: Run, loss: Seen, outputs: list[Seen], made: int) -> Reading:
    """The weighted inputs among the first `made` nodes of a run whose backward pass is over."""
    users: dict[int, list[Edge]] = defaultdict(list)
    for node in run:
        for i, (parent, share) in enumerate(zip(node.parents, node.contributions)):
            if share is not None:
                users[id(parent)].append(Edge(node, i, share))
    itself = Seen("op", "the cost itself", None)
    users[id(loss)].append(Edge(itself, 0, np.ones_like(loss.value)))
    parameters, nodes = _parameters(run), run.nodes[:made]
    place = {id(node): i for i, node in enumerate(nodes)}
    sums = [unit for unit in _sums(nodes, parameters, users) if unit.z.cotangent is not None]
    stops = {id(seen) for seen in (*outputs, *(p.a for unit in sums for p in unit.products))}
    return Reading(
        units=[_activated(unit, nodes[place[id(unit.z)] + 1 :], users, stops) for unit in sums],
        users=users,
        parameters=parameters,
        textbook={operand: k for k, unit in enumerate(sums) for operand in unit.inner},
        outputs={id(seen): seen for seen in outputs},
        cost=frozenset(map(id, [itself, *run.nodes[made:]])),
        names=_names(net, run, [leaf for key, (leaf, _) in parameters.items() if key == id(leaf)]),
    )


def _parameters(run):
    """id of a leaf, or of its transpose -> (the leaf, is it the transpose)."""
    found = {}
    for node in run:
        found.update({id(p): (p, False) for p in node.parents if p.kind == "leaf"})
        if node.op in ("transpose", "swapaxes") and len(node.shape) == 2 and id(node.parents[0]) in found:
            leaf, flipped = found[id(node.parents[0])]
            axes = [axes for axes in node.kwargs.values() if axes is not None] or [(1, 0)]
            crossed = axes[0][0] % 2 == 1 if node.op == "transpose" else axes[0] % 2 != axes[1] % 2
            found[id(node)] = leaf, flipped != crossed
    return found


def _product(node, parameters):
    """The node as a weighted input of one product, or None."""
    if node.op in ("matmul", "dot") and all(p.shape for p in node.parents):
        inner = frozenset({(id(node), 0), (id(node), 1)})
        left, right = node.parents
        if id(right) in parameters and len(right.shape) == 2:
            leaf, flipped = parameters[id(right)]
            return Weighted(node, True, (Product(node, left, leaf, not flipped),), (), inner)
        if id(left) in parameters and len(left.shape) == 2 and len(right.shape) <= 2:
            leaf, flipped = parameters[id(left)]
            return Weighted(node, len(right.shape) == 1, (Product(node, right, leaf, flipped),), (), inner)
    return None


def _sums(nodes, parameters, users):
    """The largest sums of products and biases, in order."""
    found: dict[int, Weighted] = {}
    for node in nodes:
        unit = _product(node, parameters)
        if node.op == "add":
            parts = [
                found[id(p)]
                for p in node.parents
                if id(p) in found and p.shape == node.shape and [e.node for e in users[id(p)]] == [node]
            ]
            rest = [i for i, p in enumerate(node.parents) if not any(part.z is p for part in parts)]
            rows = {part.rows for part in parts}
            if len(rows) == 1 and all(_is_bias(node.parents[i], node, rows, parameters) for i in rest):
                biases = [parameters[id(node.parents[i])][0] for i in rest]
                unit = Weighted(
                    node,
                    rows.pop(),
                    tuple(product for part in parts for product in part.products),
                    (*(bias for part in parts for bias in part.biases), *biases),
                    frozenset((id(node), i) for i in rest).union(*(part.inner for part in parts)),
                )
                for part in parts:
                    del found[id(part.z)]
        if unit is not None:
            found[id(node)] = unit
    return list(found.values())


def _is_bias(seen, node, rows, parameters):
    """Is it a parameter with one number per neuron, the same for all examples?"""
    n, own = (node.shape[-1], seen.shape[-1:]) if rows == {True} else (node.shape[0], seen.shape[-2:-1])
    return id(seen) in parameters and seen.value.size == n and (n == 1 or own == (n,))


def _activated(unit, behind, users, stops):
    """… with σ from z as far as z alone leads, to a node of its shape that nothing by-passes."""
    inside, ops, found = {id(unit.z)}, [], unit._replace(a=unit.z)
    for node in () if id(unit.z) in stops else behind:
        if node.cotangent is None or not any(id(p) in inside for p in node.parents):
            continue
        data = node.op in ("add", "subtract", "multiply", "divide")  # of z's shape: another input, or a mask
        if any(
            id(p) not in inside and (p.kind != "constant" or (data and p.shape == unit.z.shape))
            for p in node.parents
        ):
            break
        ops.append(node)
        onward = {id(edge.node) for key in inside for edge in users[key]} - inside
        if node.shape == unit.z.shape and onward == {id(node)}:
            found = unit._replace(activation=tuple(ops), a=node)
        inside.add(id(node))
        if id(node) in stops:
            break
    return found


def shortest(unit: Weighted, reading: Reading, known: tuple[str, ...]) -> Weighted:
    """The weighted input with the first op behind z as its σ, if it alone uses z and its name is `known`."""
    first = unit.activation[:1]
    if first and first[0].op in known and len(reading.users[id(unit.z)]) == 1:
        return unit._replace(activation=first, a=first[0])
    return unit


# ---- names ---------------------------------------------------------------------------------------------


def activation_name(ops: tuple[Seen, ...]) -> str:
    """'linear', the op's name, or the names of several ops."""
    return ", ".join(str(node.op) for node in ops) or "linear"


def place(seen: Seen) -> str:
    """The op and, in parentheses, its module and the user's line, as far as known."""
    line = re.match(r"(.*?:\d+)", seen.line or "")
    at = " ".join(filter(None, [seen.module, line and PurePath(line[1]).name]))
    return str(seen.op or seen.name or seen.kind) + (f" ({at})" if at else "")


def _names(net, run, leaves):
    """id of a leaf -> its path in the net, or else the user's name for it; no two alike."""
    modules = {id(p): node.module for node in reversed(run.nodes) for p in node.parents}
    named = [leaf.name or f"parameter {leaf.shape}" for leaf in leaves]
    names = [
        f"{modules[id(leaf)]}.{name}" if modules[id(leaf)] else name for leaf, name in zip(leaves, named)
    ]
    own = inspect.getclosurevars(net) if inspect.isroutine(net) and not inspect.isbuiltin(net) else None
    for path, t in tree.named_leaves(net if own is None else {**own.globals, **own.nonlocals}):
        if type(t) is Tensor:
            with suppress(KeyError, ValueError):  # the run did not come across it, or it is a constant
                names[leaves.index(run.of(t))] = path
    counts = [
        f" #{names[: k + 1].count(name)}" if names.count(name) > 1 else "" for k, name in enumerate(names)
    ]
    return {id(leaf): name + count for leaf, name, count in zip(leaves, names, counts)}


def name_units(reading: Reading) -> list[str]:
    """A name for each weighted input: its weights' and, where they are used again, the number of the use."""
    weights = [[reading.names[id(p.parameter)] for p in unit.products] for unit in reading.units]
    names = [" & ".join(name.removesuffix(".weight") for name in row) for row in weights]
    uses = [
        f", use {names[: k + 1].count(name)}" if names.count(name) > 1 else "" for k, name in enumerate(names)
    ]
    return [name + use for name, use in zip(names, uses)]
