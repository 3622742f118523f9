"""Weighted inputs, wherever they stand in a recorded graph: what the textbook knows of any net.

Here an observed run becomes a list of `Weighted`: each z = a wᵀ + b, with all parameters that make it
up, and the activation that it feeds. The one idea: only what the engine recorded counts, never a class.
A weighted input is a largest sum of products with parameters and of biases; its activation is the first
node behind it that nothing else leads to and nothing by-passes. What is no such thing (a convolution,
the + of a residual net) is an edge like any other, with the contribution that the engine handed on.
Read `notation.py` next.
"""

import re
from collections import defaultdict
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..observe import Run, Seen
from ..tensor import Tensor


class Product(NamedTuple):
    """a wᵀ or w a. `parameter` holds w; `transposed`: it holds wᵀ, as in x @ w."""

    node: Seen
    a: Seen
    parameter: Seen
    transposed: bool

    def oriented(self, array: np.ndarray) -> np.ndarray:
        """From the parameter's orientation to w's, (to, from), or back."""
        return array.T if self.transposed else array


class Weighted(NamedTuple):
    """z = Σ a wᵀ + Σ b, and a = σ(z); the ops in between are `activation`, none for a linear neuron.

    `rows`: examples are in rows, not in columns.
    """

    z: Seen
    rows: bool
    products: tuple[Product, ...]
    biases: tuple[Seen, ...]
    activation: tuple[Seen, ...] = ()
    a: Any = None

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
    transpose). `textbook`: (id of a node, operand) -> the weighted input that the equations find there.
    """

    units: tuple[Weighted, ...]
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

    def elsewhere(self, seen: Seen) -> list[tuple[Edge, bool]]:
        """(edge, is it of the transpose) of all uses of a leaf of which the equations do not speak."""
        aliases = [(key, flipped) for key, (leaf, flipped) in self.parameters.items() if leaf is seen]
        return [
            (edge, flipped)
            for key, flipped in aliases
            for edge in self.users[key]
            if id(edge.node) not in self.parameters and (id(edge.node), edge.i) not in self.textbook
        ]


def read(net: Any, run: Run, loss: Seen, outputs: list[Seen], made: int) -> Reading:
    """The weighted inputs among the first `made` nodes of a run whose backward pass is over."""
    users: dict[int, list[Edge]] = defaultdict(list)
    for node in run:
        for i, (parent, share) in enumerate(zip(node.parents, node.contributions)):
            if share is not None:
                users[id(parent)].append(Edge(node, i, share))
    users[id(loss)].append(Edge(Seen("cost", "the cost itself", None), 0, np.ones_like(loss.value)))
    parameters, ends = _parameters(run), {id(seen): seen for seen in outputs}
    nodes = run.nodes[:made]
    place = {id(node): i for i, node in enumerate(nodes)}
    sums = [(unit, inner) for unit, inner in _sums(nodes, parameters, users) if unit.z.cotangent is not None]
    textbook = {operand: k for k, (_, inner) in enumerate(sums) for operand in inner}
    stops = {id(product.a) for unit, _ in sums for product in unit.products} | set(ends)
    units = [
        unit._replace(**_activation(unit.z, nodes[place[id(unit.z)] + 1 :], users, stops)) for unit, _ in sums
    ]
    cost = frozenset(id(node) for node in run.nodes[made:]) | {id(users[id(loss)][-1].node)}
    names = _names(net, run, parameters)
    return Reading(tuple(units), users, parameters, textbook, ends, cost, names)


def _parameters(run):
    """id of a leaf, or of its transpose -> (the leaf, is it the transpose)."""
    found = {}
    for node in run:
        found.update({id(p): (p, False) for p in node.parents if p.kind == "leaf"})
        axes = tuple(node.kwargs.values())
        if node.op == "transpose" and axes and axes[0] is not None:
            axes = (0, axes[0][0])
        if node.op in ("transpose", "swapaxes") and len(node.shape) == 2 and id(node.parents[0]) in found:
            leaf, flipped = found[id(node.parents[0])]
            crossed = len(axes) != 2 or axes[0] % 2 != axes[1] % 2
            found[id(node)] = leaf, flipped != crossed
    return found


def _product(node, parameters):
    """The node as a weighted input of one product, or None."""
    if node.op not in ("matmul", "dot"):
        return None
    left, right = node.parents
    if not left.shape or not right.shape:  # a number
        return None
    if id(right) in parameters and len(right.shape) == 2:
        leaf, flipped = parameters[id(right)]
        return Weighted(node, True, (Product(node, left, leaf, not flipped),), ())
    if id(left) in parameters and len(left.shape) == 2 and len(right.shape) <= 2:
        leaf, flipped = parameters[id(left)]
        return Weighted(node, len(right.shape) == 1, (Product(node, right, leaf, flipped),), ())
    return None


def _sums(nodes, parameters, users):
    """(weighted input, the operands in it: (id of a node, operand)) in order."""
    found: dict[int, tuple[Weighted, set]] = {}
    for node in nodes:
        product = _product(node, parameters)
        if product is not None:
            found[id(node)] = product, {(id(node), 0), (id(node), 1)}
        if node.op != "add":
            continue
        parts = {
            i: found[id(p)]
            for i, p in enumerate(node.parents)
            if id(p) in found and p.shape == node.shape and len(users[id(p)]) == 1
        }
        rest = {i: p for i, p in enumerate(node.parents) if i not in parts}
        rows = {unit.rows for unit, _ in parts.values()}
        if len(rows) == 1 and all(id(p) in parameters and _fits(p, node, *rows) for p in rest.values()):
            biases = [b for unit, _ in parts.values() for b in unit.biases]
            biases += [parameters[id(p)][0] for p in rest.values()]
            products = [product for unit, _ in parts.values() for product in unit.products]
            inner = {(id(node), i) for i in rest}.union(*(inner for _, inner in parts.values()))
            for i in parts:
                del found[id(node.parents[i])]
            found[id(node)] = Weighted(node, *rows, tuple(products), tuple(biases)), inner
    return list(found.values())


def _fits(bias, node, rows):
    """Is it one number per neuron, the same for all examples?"""
    n = node.shape[-1 if rows else 0]
    return bias.value.size == n and (n == 1 or bias.shape[-1 if rows else 0 :] == ((n,) if rows else (n, 1)))


def _activation(z, behind, users, stops):
    """From z as far as z alone leads, to a node of z's shape that nothing by-passes, a product or an output."""
    inside, ops, found = {id(z)}, [], {"activation": (), "a": z}
    for node in () if id(z) in stops else behind:
        if not any(id(p) in inside for p in node.parents):
            continue
        if any(p.kind != "constant" and id(p) not in inside for p in node.parents):
            break
        ops.append(node)
        if node.shape == z.shape and {id(e.node) for key in inside for e in users[key]} - inside == {
            id(node)
        }:
            found = {"activation": tuple(ops), "a": node}
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


def activation_name(ops: tuple[Seen, ...]) -> str:
    """'linear', the op's name, or the names of several ops."""
    return ", ".join(str(node.op) for node in ops) or "linear"


# ---- names ---------------------------------------------------------------------------------------------


def _names(net, run, parameters):
    """id of a leaf -> its path in the net, or the user's name for it; no two alike."""
    paths = {}
    for path, t in tree.named_leaves(net):
        if type(t) is Tensor:
            try:
                paths[id(run.of(t))] = path
            except KeyError:  # the run did not come across it
                continue
    modules = {id(p): node.module for node in reversed(run.nodes) for p in node.parents}
    names: dict[str, list[Seen]] = defaultdict(list)
    for key, (leaf, _) in parameters.items():
        if key == id(leaf):
            own = leaf.name or f"parameter {leaf.shape}"
            names[paths.get(key) or (f"{modules[key]}.{own}" if modules[key] else own)].append(leaf)
    return {
        id(leaf): name if len(leaves) == 1 else f"{name} #{k}"
        for name, leaves in names.items()
        for k, leaf in enumerate(leaves, start=1)
    }


def where(seen: Seen) -> str:
    """The module and the user's line, as far as known."""
    line = re.match(r"(.*?:\d+)", seen.line or "")
    return " ".join(filter(None, [seen.module, line and PurePath(line[1]).name]))


def place(seen: Seen) -> str:
    """The op and, in parentheses, where it is."""
    at = where(seen)
    return str(seen.op or seen.name or seen.kind) + (f" ({at})" if at else "")


def name_units(reading: Reading) -> list[str]:
    """A name for each weighted input: those of its weights and, where they are used again, the number of the use."""
    names = [
        " & ".join(reading.names[id(p.parameter)].removesuffix(".weight") for p in unit.products)
        for unit in reading.units
    ]
    return [
        name if names.count(name) == 1 else f"{name}, use {names[: k + 1].count(name)}"
        for k, name in enumerate(names)
    ]
