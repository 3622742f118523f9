"""`explain`: the derivation of every parameter's gradient, from the graph that was actually recorded.

The one idea: a derivation is the record of an observed run, read in order: the forward equations, then
the chain rule from C backwards, each step in three voices, the components, the matrix form and the NumPy
line that runs. All three are readings of one line of `formulas.py`, and `source` is all lines together.
Read `stepper.py` next.
"""

import ast
import html
import inspect
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..backward import Watch, sweep
from ..errors import message
from ..observe import Run, Seen, observe
from ..tensor import Tensor
from .components import shape_of
from .formulas import pick_index, written
from .helpers import HELPERS
from .spelling import LATEX, MATHML, TEXT, Text, parse, substituted
from .symbols import CHAIN, TITLES, Symbols, ancestors


class Step(NamedTuple):
    """One equation: `target` = the sum of `terms`, trees in the names of NumPy lines; `equation`: BP1, …."""

    seen: Seen
    target: str
    terms: list[ast.expr]
    equation: str
    by_name: list[str]  # ops without a written form

    @property
    def line(self) -> str:
        """The NumPy line that runs."""
        return f"{self.target} = {' + '.join(ast.unparse(t) for t in self.terms)}"


class Derivation:
    """The derivation of all gradients; print it, or take `.markdown()`, `.html()`, `.source()`.

    `forward`, `backward`: lists of `Step`; `inputs`: what the program of `.source()` is given.
    """

    def __init__(self, end: Seen, numbers: bool = False, own: Any = None):
        self.names = Symbols(ancestors(end), end, own)
        self.numbers, self.end = numbers, end
        names = self.names
        self.inputs = {
            names.of(p).code: p.value
            for s in names.nodes for p in s.parents
            if p.kind != "op" and not (p.kind == "constant" and names.of(p).code not in names.names)
        }  # fmt: skip
        self.inputs = {code: v for code, v in self.inputs.items() if code.isidentifier()}
        for s in names.nodes:
            self.inputs |= {f"k_{k}": v for k, v in s.kwargs.items() if isinstance(v, np.ndarray)}
        self.users: dict[int, list[tuple[Seen, int]]] = {}
        for node in names.nodes:
            for i, p in enumerate(node.parents):
                self.users.setdefault(id(p), []).append((node, i))
        self._inline: dict[str, ast.expr] = {}
        self._pulled: dict[str, ast.expr] = {}
        self._hidden: set[int] = {id(n) for n in names.nodes if self._is_inline(n)}
        self.forward = [step for node in names.nodes if (step := self._forward(node))]
        self.backward = self._backward()
        self.leaves = self._leaves()
        seen = [*names.nodes, *self.leaves]
        self.cotangents = {id(one): one.cotangent for one in seen}  # the record may go on after us
        self.gradients = {names.of(s).text(): f"d{names.of(s).code}" for s in self._leaves()}

    def _leaves(self):
        found = {
            id(p): p
            for s in self.names.nodes
            for p in s.parents
            if p.kind == "leaf" and p.cotangent is not None
        }
        return list(found.values())

    def _is_inline(self, node):
        """w.T, and the product in z = a wᵀ + b, have no equation of their own."""
        unit = any(p.node is node and u.z is not node for u in self.names.units for p in u.products)
        turned = id(node) in self.names.reading.parameters and node.kind == "op"
        return node is not self.end and (unit or turned) and len(self.users.get(id(node), ())) == 1

    def _forward(self, node):
        tree = substituted(self.names.forward(node), self._inline)
        if id(node) in self._hidden:
            self._inline[self.names.of(node).code] = tree
            return None
        found = written(node)
        return Step(node, self.names.of(node).code, [tree], CHAIN, [found.name] if not found.known else [])

    def _backward(self):
        names, steps = self.names, []
        start = repr(float(np.asarray(self.end.cotangent)))
        if self.end.dtype != np.float64:  # a Python float would widen what it is spread over
            start = f"np.{self.end.dtype}({start})"
        seed = Step(self.end, "dC", [parse(start)], CHAIN, [])
        for seen in [*reversed(names.nodes[:-1]), *self._leaves()]:
            if seen.cotangent is None:
                continue
            terms, named = [], []
            for node, i in self.users.get(id(seen), ()):
                share = self._share(node, i)
                if share is not None:
                    terms.append(share)
                    named += [] if written(node).known else [written(node).name]
            if seen.shape is None:
                terms = self._parts(seen)
            code = names.cotangent(seen).code
            if id(seen) in self._hidden and len(terms) == 1:
                self._pulled[code] = terms[0]
            elif terms:
                steps.append(Step(seen, code, terms, names.arriving(seen), named))
        return [seed, *steps]

    def _share(self, node, i):
        if node.contributions[i] is None or node.op == "pick":
            return None
        share: Any = self.names.share(node, i)
        tree = substituted(substituted(share, self._pulled), self._inline)
        return self._summed(_simple(tree), node.parents[i], node)

    def _parts(self, seen):
        """The cotangent of several outputs: a tuple, zeros for what was not used."""
        code, parts = self.names.of(seen).code, []
        for k in range(len(seen.value)):
            picks = [n for n, _ in self.users[id(seen)] if pick_index(n) == k and n.cotangent is not None]
            lines = [self.names.cotangent(n).code for n in picks] or [f"np.zeros_like({code}[{k}])"]
            parts.append(" + ".join(lines))
        return [parse(f"({', '.join(parts)},)")]

    def _summed(self, tree, parent, node):
        """Summed over the axes along which the operand was repeated, in the operand's dtype."""
        shape = shape_of(tree, self.names.shapes)
        if shape is None and node.op == "matmul" and all(len(p.shape) > 1 for p in node.parents):
            shape = node.shape[:-2] + parent.shape[-2:]
        elif shape is None and node.shape and written(node).known and node.op in _ELEMENTWISE:
            shape = node.shape
        if shape is not None and shape != parent.shape and len(shape) >= len(parent.shape):
            extra = len(shape) - len(parent.shape)
            kept = tuple(k + extra for k, n in enumerate(parent.shape) if n == 1 and shape[k + extra] != 1)
            if kept:
                axes = kept if len(kept) > 1 else kept[0]
                tree = substituted(parse(f"np.sum(_x, axis={axes!r}, keepdims=True)"), {"_x": tree})
            if extra:
                axes = 0 if extra == 1 else tuple(range(extra))
                tree = substituted(parse(f"np.sum(_x, axis={axes!r})"), {"_x": tree})
        if (
            node.dtype is not None
            and parent.dtype != node.dtype
            and {parent.dtype.kind, node.dtype.kind} == {"f"}
        ):
            tree = substituted(parse(f"_x.astype(np.{parent.dtype})"), {"_x": tree})
        return tree

    # ---- what is printed --------------------------------------------------------------------------------

    def source(self) -> str:
        """The program: NumPy lines from the inputs to every gradient; runs with `inputs` as its names."""
        lines = [step.line for step in (*self.forward, *self.backward)]
        text = "\n".join(lines)
        used = [code for name, code in HELPERS.items() if f"{name}(" in text]
        head = ["import numpy as np", *(["import tinygrad_bp as bp"] if "bp.vjp(" in text else [])]
        return "\n".join([*head, *("\n\n" + code for code in used), "", *lines]) + "\n"

    def voices(self, step: Step, spelling: Text = TEXT) -> tuple[str, str]:
        """(matrix form, components or '') of a step, both sides."""
        names, s = self.names, step.seen
        symbol = names.names[step.target]
        by_name = step.by_name and step.target[0] == "d"
        right = [self._by_name(t, step, spelling) if by_name else names.say(t, spelling) for t in step.terms]
        plus = "<mo>+</mo>" if spelling is MATHML else " + "
        matrix = spelling.symbol(symbol) + spelling.equals + plus.join(right)
        at = names.indices(s)
        parts = [names.element(t, at, spelling) for t in step.terms]
        if not at or by_name or any(part is None for part in parts):
            return matrix, ""
        return matrix, spelling.symbol(symbol, at) + spelling.equals + plus.join(map(str, parts))

    def _by_name(self, tree, step, spelling):
        name = step.by_name[0]
        return (
            spelling.word(f"VJP of {name}")
            if "bp.vjp" in ast.unparse(tree)
            else self.names.say(tree, spelling)
        )

    def _head(self):
        m = self.names.m
        yield "The derivation of every gradient, from the graph as it was recorded."
        if self.names.units:
            rule = f"C is a mean over m = {m} examples, so ∂C/∂z^l = δ^l/m" if m > 1 else "δ^l = ∂C/∂z^l"
            yield f"{rule}. Layer 1 is the input."

    def _title(self, step):
        named = step.equation if step.equation != CHAIN else ""
        name = self.names.names[step.target].text() if step.target in self.names.names else step.target
        many = f", a sum of {len(step.terms)} contributions" if len(step.terms) > 1 else ""
        shape = "scalar" if step.seen.shape == () else str(step.seen.shape or "several outputs")
        words = TITLES.get(named, "")
        if named == "BP2" and not self.names.is_delta(step.seen):
            words = "its first half, the error at the layer's output"
        return f"{name} {shape}" + (f"  {named}: {words}" if named else "") + many

    def _value(self, step):
        value = (
            step.seen.value
            if step.target[0] != "d" or step in self.forward
            else self.cotangents[id(step.seen)]
        )
        if not self.numbers or isinstance(value, (list, tuple)):
            return ""
        return " ".join(np.array2string(np.asarray(value), precision=4, separator=", ", threshold=40).split())

    def __str__(self):
        out = [*self._head()]
        for title, steps in (("Forward", self.forward), ("Backward", self.backward)):
            out += ["", title, "=" * len(title)]
            for step in steps:
                matrix, element = self.voices(step)
                out += ["", self._title(step), f"    matrix      {matrix}"]
                out += [f"    components  {element}"] if element else []
                out += [f"    numpy       {step.line}"]
                out += [f"    numbers     {self._value(step)}"] if self.numbers else []
        return "\n".join(out)

    __repr__ = __str__

    def markdown(self) -> str:
        """Markdown with LaTeX between dollar signs."""
        out = ["# " + next(self._head()), *list(self._head())[1:]]
        for title, steps in (("Forward", self.forward), ("Backward", self.backward)):
            out.append(f"## {title}")
            for step in steps:
                matrix, element = self.voices(step, LATEX)
                out.append(
                    f"**{html.escape(self._title(step)).replace('*', chr(92) + '*').replace('^', chr(92) + '^')}**"
                )
                out += [f"$$ {part} $$" for part in (matrix, element) if part]
                out.append(f"```python\n{step.line}\n```")
                out += [f"`{self._value(step)}`"] if self.numbers else []
        return "\n\n".join(out) + "\n"

    def html(self) -> str:
        """A part of a page with MathML; all text of the user's is escaped."""
        out = [
            f"<style>{CSS}</style><section class='bp-derivation'>",
            *(f"<p>{html.escape(h)}</p>" for h in self._head()),
        ]
        for title, steps in (("Forward", self.forward), ("Backward", self.backward)):
            out.append(f"<h2>{title}</h2>")
            for step in steps:
                matrix, element = self.voices(step, MATHML)
                out.append(f"<article><h3>{html.escape(self._title(step))}</h3>")
                out += [
                    f'<math display="block"><mrow>{part}</mrow></math>' for part in (matrix, element) if part
                ]
                out.append(f"<pre>{html.escape(step.line)}</pre>")
                out += [f"<pre>{html.escape(self._value(step))}</pre>"] if self.numbers else []
                out.append("</article>")
        return "\n".join([*out, "</section>"])

    _repr_html_ = html
    _repr_markdown_ = markdown


CSS = (
    ".bp-derivation{max-width:60rem;font:16px/1.5 Georgia,serif;color:#1f2933;background:#fff;padding:1rem}"
    ".bp-derivation article{border-left:3px solid #0072b2;padding:.1rem 1rem;margin:1rem 0}"
    ".bp-derivation h3{font-size:1rem;margin:.3rem 0;color:#52606d}.bp-derivation math{margin:.6rem 0;text-align:left}"
    ".bp-derivation pre{background:#f0f2f4;padding:.4rem .6rem;overflow-x:auto;margin:.3rem 0}"
    "@media (prefers-color-scheme:dark){.bp-derivation{color:#e8eaed;background:#14161a}"
    ".bp-derivation h3{color:#b6bfc9}.bp-derivation pre{background:#24272d}}"
)
_ELEMENTWISE = {
    "add",
    "subtract",
    "multiply",
    "divide",
    "power",
    "maximum",
    "minimum",
    "where",
    "logaddexp",
    "arctan2",
    "hypot",
}


def _simple(tree):
    """(A B)ᵀ as Bᵀ Aᵀ, and (Aᵀ)ᵀ as A."""
    if isinstance(tree, ast.BinOp):
        return ast.BinOp(_simple(tree.left), tree.op, _simple(tree.right))
    if not (isinstance(tree, ast.Attribute) and tree.attr == "T"):
        return tree
    inner = _simple(tree.value)
    if isinstance(inner, ast.Attribute) and inner.attr == "T":
        return inner.value
    if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.MatMult):
        left, right = (_simple(ast.Attribute(part, "T", ast.Load())) for part in (inner.right, inner.left))
        return ast.BinOp(left, ast.MatMult(), right)
    return ast.Attribute(inner, "T", ast.Load())


def explain(loss: Any, *args: Any, numbers: bool = False, net: Any = None) -> Derivation:
    """The derivation of every parameter's gradient, step by step, from an observed run; a `Derivation`.

    `loss`: a Tensor computed inside `bp.observe()`, or a function, which is observed on `args`.
    `numbers=True` writes the values below each step; `net` gives its parameters' paths.

    >>> import numpy as np, tinygrad_bp as bp
    >>> print(bp.explain(lambda x: np.sum(x * x), np.ones(3)).backward[-1].line)
    dx = du1 * x + du1 * x
    """
    if callable(loss) and not isinstance(loss, Tensor):
        loss, _ = call_observed(loss, args)
    node = loss._node if isinstance(loss, Tensor) else None
    seen = None if node is None or node.extra is None else node.extra.seen
    if seen is None or seen.shape != ():
        what = "there is nothing to explain" if seen is None else "a derivation is of one number"
        do = "compute it inside “with bp.observe():”, or pass the function that computes it"
        raise ValueError(
            message(what, expected="a scalar Tensor that was observed", got=repr(loss)[:80], do=do)
        )
    if seen.cotangent is not None:
        return Derivation(seen, numbers, net)
    sweep({node: np.ones((), seen.dtype)}, True, Watch())
    derivation = Derivation(seen, numbers, net)
    for one in (*derivation.names.nodes, *derivation.leaves):  # the record as it was: backward may yet come
        one.cotangent, one.contributions = None, [None] * len(one.parents)
    return derivation


def call_observed(f: Callable, args: tuple) -> tuple[Any, Run]:
    """(f(*args), its run); arrays of real numbers become Tensors with the parameters' names."""
    names = list(inspect.signature(f).parameters)[: len(args)] if args else []
    given = [
        Tensor(a, requires_grad=True, name=name)
        if isinstance(a, (float, np.floating, np.ndarray)) and np.asarray(a).dtype.kind == "f"
        else a
        for a, name in itertools.zip_longest(args, names)
    ]
    with observe() as run:
        return f(*given), run
