"""The book's names on anyone's observed run: z^2, a^2, w^2, b^2, C, δ^2, and the user's own for the rest.

The one idea: `backprop/reading.py` finds the weighted inputs of a run, and each is a layer, l = 2 for the
first; everything that pictures say of δ and of BP1–BP4 follows from where an edge stands among them. A
value outside of layers is called as the user calls it, or u_1, u_2, …. Read `explain.py` next.
"""

import ast
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..backprop.equations import JACOBIAN, SIGMA_PRIME
from ..backprop.reading import Reading, Weighted, read, shortest
from ..compiler.names import identifier, unused
from ..observe import Run, Seen
from .components import LETTERS, components
from .formulas import literal, operand_names, written
from .spelling import TEXT, Symbol, Text, parse, substituted, write

CHAIN = "chain rule"
TITLES = {
    "BP1": "the error at the output", "BP2": "the error one layer back", "BP3": "the biases",
    "BP4": "the weights", "eq. 37": "the error at an output that is not elementwise", CHAIN: "",
}  # fmt: skip
TAKEN = {"np", "bp", "C", "dC", "m", "scatter", "softmax", "sigmoid", "relu"}


class Symbols:
    """What each value of a run is called (`of`), and its ∂C/∂ (`cotangent`); which equation made it.

    `units`: the weighted inputs, of layers 2, 3, …; `m`: the examples in a batch, if C is a mean over
    them, else 1; `end`: the Seen of C.
    """

    def __init__(self, nodes: list[Seen], end: Seen, own: Any = None):
        run = Run()
        run.nodes = nodes
        inside = [i for i, node in enumerate(nodes) if node.module is not None]
        made = inside[-1] + 1 if inside else len(nodes)
        self.nodes, self.end = nodes, end
        self.reading: Reading = read(own, run, end, [], made)
        short = (*SIGMA_PRIME, *JACOBIAN)
        found = [unit if inside else shortest(unit, self.reading, short) for unit in self.reading.units]
        net = bool(inside) or any(unit.biases or unit.activation for unit in found)  # or a product like any
        self.units: list[Weighted] = found if net else []
        self._behind = {id(p.a) for unit in self.units for p in unit.products}
        self.m = self._batch()
        self._layers: dict[int, int] = {}
        self._symbols: dict[int, Symbol] = {}
        self._equations: dict[tuple[int, int], str] = {}
        self._arrivals: dict[int, str] = {}
        self._codes: set[str] = set(TAKEN)
        self._texts: set[str] = {"m"}
        self._put(end, Symbol("C", code="C"))
        for layer, unit in enumerate(self.units, start=2):
            self._name_unit(layer, unit)
        self._name_rest()
        self.names: dict[str, Symbol] = {}
        self.shapes: dict[str, tuple | None] = {}
        for seen in self._everything():
            for symbol in (self.of(seen), self.cotangent(seen)):
                self.names[symbol.code], self.shapes[symbol.code] = symbol, seen.shape

    # ---- what is asked --------------------------------------------------------------------------------

    def of(self, seen: Seen) -> Symbol:
        """z^2, a^2, w^2, b^2, C, the user's name, or u_1."""
        return self._symbols[id(seen)]

    def cotangent(self, seen: Seen) -> Symbol:
        """δ^2/m for z^2 (T6: the book's δ is of one example, C the mean over m), ∂C/∂w^2, ∂C/∂u_1, …."""
        symbol, layer = self.of(seen), self._layers.get(id(seen))
        if layer is not None and self.units[layer - 2].z is seen:
            return Symbol("δ", layer, over="m" if self.m > 1 else "", code=f"d{symbol.code}")
        return symbol.cotangent

    def layer(self, seen: Seen) -> int | None:
        """The layer of a z, a, w, b; the input is layer 1."""
        return self._layers.get(id(seen))

    def equation(self, node: Seen, i: int) -> str:
        """Which equation the backward step from `node` to its operand i belongs to: "BP1", …, or CHAIN."""
        return self._equations.get((id(node), i), CHAIN)

    def arriving(self, seen: Seen) -> str:
        """Which equation comes out when the cotangent of a value is complete: BP4 for a weight, …."""
        return self._arrivals.get(id(seen), CHAIN)

    def is_delta(self, seen: Seen) -> bool:
        """Is its cotangent an error δ^l, up to 1/m?"""
        return any(unit.z is seen for unit in self.units)

    def activation(self, seen: Seen) -> Weighted | None:
        """The unit whose a this is, or None."""
        return next((unit for unit in self.units if unit.a is seen and unit.a is not unit.z), None)

    def forward(self, node: Seen) -> ast.expr:
        """The right-hand side of z2 = …, in the names of NumPy lines."""
        return substituted(written(node).forward, self._operands(node))

    def share(self, node: Seen, i: int) -> ast.expr | None:
        """What `node` hands on to its operand i, in the names of NumPy lines; before any un-broadcasting."""
        tree = written(node).shares[i]
        return None if tree is None else substituted(tree, self._operands(node))

    def say(self, tree: ast.expr, spelling: Text = TEXT) -> str:
        """A tree in the names of NumPy lines as mathematics, in the matrix form."""
        return write(tree, self.names, spelling, self.shapes)

    def element(self, tree: ast.expr, at: str, spelling: Text = TEXT) -> str | None:
        """… and in components, for one element; None where there is no simple form."""
        part = components(tree, at, self.shapes)
        return None if part is None else write(part, self.names, spelling, self.shapes)

    def indices(self, seen: Seen) -> str:
        """The letters of its axes, as the book has them: jk for w^l_jk, j for b^l_j, ij for the others."""
        n, kind = len(seen.shape or ()), self.arriving(seen)
        letters = {"BP4": "jk", "BP3": "j"}.get(kind, LETTERS)
        at = letters[:n] if n <= len(letters) else LETTERS[:n]
        return "".join("1" if size == 1 else c for size, c in zip(seen.shape or (), at))

    # ---- how it is found ------------------------------------------------------------------------------

    def _batch(self):
        """m, if behind the layers there is a mean over (a multiple of) the m examples, else 1."""
        z = self.units[-1].columns(self.units[-1].z.value) if self.units else np.zeros(1)
        m = z.shape[1] if z.ndim > 1 else 1
        place = {id(node): k for k, node in enumerate(self.nodes)}
        last = max((place[id(unit.z)] for unit in self.units), default=0)
        return m if m > 1 and any(_is_mean(node, m) for node in self.nodes[last:]) else 1

    def _operands(self, node):
        """The names of an op's tree -> those of this run."""
        own = {"y": self.of(node), "g": self.cotangent(node)}
        own |= {name: self.of(p) for name, p in zip(operand_names(node), node.parents)}
        return {name: parse(symbol.code) for name, symbol in own.items()}

    def _name_unit(self, layer, unit):
        users = self.reading.users
        behind = id(unit.a) in self._behind
        jacobian = any(node.op in JACOBIAN for node in unit.activation)
        equation = "eq. 37" if jacobian else "BP2" if behind else "BP1"
        self._put(unit.z, Symbol("z", layer), layer, equation)
        if unit.a is not unit.z:
            self._put(unit.a, Symbol("a", layer), layer, "BP2" if behind else CHAIN)
        for node in unit.activation:
            self._equations.update({(id(node), i): equation for i in range(len(node.parents))})
        if not unit.activation:
            for edge in users[id(unit.z)]:
                self._equations.setdefault((id(edge.node), edge.i), equation)
        for bias in unit.biases:
            self._put(bias, Symbol("b", layer), layer, "BP3")
        for product in unit.products:
            self._put(product.parameter, Symbol("w", layer), layer, "BP4")
            if layer == 2 and id(product.a) not in self._symbols:
                self._put(product.a, Symbol("a", 1), 1)
        self._name_inside(unit)

    def _name_inside(self, unit):
        """The equations of the edges that make up z, and of the transpose between w and its product."""
        products = {id(product.node): product for product in unit.products}
        for node in self.nodes:
            for i, parent in enumerate(node.parents):
                if (id(node), i) in unit.inner:
                    product = products.get(id(node))
                    is_a = product is not None and parent is product.a
                    kind = "BP2" if is_a else "BP4" if product is not None else "BP3"
                    self._equations[id(node), i] = kind
                    if parent.kind == "op" and id(parent) in self.reading.parameters:
                        self._through(parent, kind)

    def _through(self, node, kind):
        """w.T, used in place of w."""
        while node.kind == "op":
            self._equations[id(node), 0] = kind
            leaf, flipped = self.reading.parameters[id(node)]
            own = self._symbols.get(id(leaf))
            if own is not None and id(node) not in self._symbols:
                self._put(node, own._replace(transposed=flipped, code=f"{own.code}T" * flipped), None, kind)
            node = node.parents[0]

    def _name_rest(self):
        """The user's names and paths, for what is in no layer; u_1, u_2, … for what has none."""
        counts = dict.fromkeys("upck", 0)
        for seen in self._everything():
            if id(seen) in self._symbols:
                continue
            name, letter = self._users_name(seen)
            if letter == "number":
                self._symbols[id(seen)] = Symbol(name, code=name)
            elif name:
                self._put(seen, Symbol(name))
            else:
                counts[letter] += 1
                self._put(seen, Symbol(letter, number=counts[letter]))

    def _users_name(self, seen):
        """(name or None, the letter of nameless ones): numbers and indices are written as they are."""
        if seen.kind == "leaf":
            path = self.reading.names.get(id(seen), "")
            return (None if path.startswith("parameter (") else path or seen.name), "p"
        if seen.kind == "constant" and not (isinstance(seen.value, np.ndarray) and seen.value.ndim):
            try:
                return literal(seen.value), "number"
            except LookupError:
                return None, "k"
        return seen.name, "c" if seen.kind == "constant" else "u"

    def _everything(self) -> Iterable[Seen]:
        for node in self.nodes:
            yield from node.parents
            yield node

    def _put(self, seen, symbol, layer=None, equation=CHAIN):
        """Give a Seen its symbol, unlike all others, once."""
        if id(seen) in self._symbols:
            if equation != CHAIN:
                self._arrivals.setdefault(id(seen), equation)
            return
        while symbol.text() in self._texts:
            if symbol.layer is None:  # the second value that is called h is h_2
                symbol = symbol._replace(number=(symbol.number or 1) + 1)
            else:
                symbol = symbol._replace(primes=symbol.primes + 1)
        self._texts.add(symbol.text())
        parts = [symbol.base, *map(str, filter(None, [symbol.layer, symbol.number]))]
        code = unused(symbol.code or identifier("".join(parts)), self._codes - {symbol.code})
        self._codes |= {code, f"d{code}"}
        self._symbols[id(seen)] = symbol._replace(code=code)
        if layer is not None:
            self._layers[id(seen)] = layer
        self._arrivals[id(seen)] = equation


def _is_mean(node, m):
    """Does it divide by (a multiple of) m, the number of examples?"""
    if node.op in ("mean", "average", "nanmean"):
        return node.parents[0].value.size // max(node.value.size, 1) % m == 0
    if node.op not in ("multiply", "divide", "true_divide"):
        return False
    for i, p in enumerate(node.parents):
        if p.kind == "constant" and p.shape in ((), None) and p.value:
            n = abs(float(p.value))
            n = 1 / n if node.op == "multiply" else n if i == 1 else 0.0
            if n >= m and abs(n / m - round(n / m)) < 1e-9:
                return True
    return False


def symbols(source: Any, own: Any = None) -> Symbols:
    """The names in an observed Run, or in what a Seen was computed from; `own`: the net, for its paths.

    The backward pass of the last node (or of the Seen) must be over.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 5, 2], rng=0, dtype=np.float64)
    >>> with bp.observe() as run:
    ...     bp.nn.functional.quadratic_cost(net(np.ones((4, 3))), np.zeros((4, 2))).backward()
    >>> names = symbols(run)
    >>> [(str(names.of(node)), str(names.cotangent(node)), names.arriving(node)) for node in run][2:4]
    [('z^2', 'δ^2/m', 'BP2'), ('a^2', '∂C/∂a^2', 'BP2')]
    """
    nodes = source.nodes if isinstance(source, Run) else ancestors(source)
    end = nodes[-1] if isinstance(source, Run) else source
    return Symbols(nodes, end, own)


def ancestors(end: Seen) -> list[Seen]:
    """The ops from which a Seen was computed, itself the last, parents before children."""
    order: list[Seen] = []
    met: set[int] = set()
    stack = [(end, False)]
    while stack:
        seen, done = stack.pop()
        if done:
            order.append(seen)
        elif id(seen) not in met and seen.kind == "op":
            met.add(id(seen))
            stack.append((seen, True))
            stack.extend((p, False) for p in reversed(seen.parents))
    return order
