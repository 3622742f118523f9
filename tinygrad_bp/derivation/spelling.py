"""How mathematics is written: a NumPy expression as plain text, as LaTeX, as MathML, and in components.

The one idea: a formula of this room is a NumPy expression, the line that runs, held as Python's own syntax
tree. `write` reads it aloud in the matrix form, in any of three spellings; `components` turns the tree of
an array into the tree of one of its elements, with sums where NumPy contracts, and `write` spells that,
too. So the three voices of a derivation cannot differ. Read `formulas.py` next.
"""

import ast
import copy
import html
from collections.abc import Mapping
from typing import Any, NamedTuple

from .components import _keyword, function_name, shape_of

HIGH = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
GREEK = {"δ": r"\delta", "σ": r"\sigma", "∂": r"\partial", "Σ": r"\sum", "𝟏": r"\mathbf{1}", "η": r"\eta"}
FUNCTIONS = {"sigmoid": "σ", "np.absolute": "abs", "np.log1p": "log1p"}  # others under their own names


class Symbol(NamedTuple):
    """A name in the book's manner: z^2 is Symbol("z", layer=2), ∂C/∂w^2 is Symbol("w", 2, partial=True).

    `over`: what it is divided by, as in δ^2/m; `code`: its name in NumPy lines.
    """

    base: str
    layer: int | None = None
    primes: int = 0
    number: int | None = None  # of a nameless value: u_7
    transposed: bool = False
    partial: bool = False
    over: str = ""
    code: str = ""

    def text(self, at: str = "") -> str:
        """z^2, or one element, z^2_ij."""
        return TEXT.symbol(self, at)

    def latex(self, at: str = "") -> str:
        """z^{2}_{ij}, without dollar signs."""
        return LATEX.symbol(self, at)

    def mathml(self, at: str = "") -> str:
        """Elements that belong into a <math>."""
        return MATHML.symbol(self, at)

    @property
    def cotangent(self) -> "Symbol":
        """∂C/∂ of it."""
        return self._replace(partial=True, code=f"d{self.code}")

    def __str__(self):
        return self.text()


class Text:
    """Plain text, as in z^2_ij = Σ_k a^1_ik w^2_jk + b^2_j."""

    space, minus, times, dot, equals, transpose = " ", "−", " ⊙ ", " · ", " = ", "ᵀ"

    def symbol(self, s, at=""):
        name = s.base + "′" * s.primes + (f"_{s.number}" if s.number is not None else "")
        name += f"^{s.layer}" if s.layer is not None else ""
        name = f"({name})ᵀ" if s.transposed and s.layer is not None else name + "ᵀ" * s.transposed
        name += ("," if s.number is not None else "_") + at if at else ""
        return ("∂C/∂" if s.partial else "") + name + (f"/{s.over}" if s.over else "")

    def word(self, text):
        return text

    number = word

    def parens(self, x, kind="()"):
        return f"{kind[0]}{x}{kind[1]}"

    def over(self, a, b):
        return f"{a} / {b}"

    def power(self, x, n):
        plain = n.replace("−", "-")
        return x + plain.translate(HIGH) if plain.lstrip("-").isdigit() else f"{x}^({n})"

    def root(self, x):
        return f"√({x})"

    def total(self, at, x):
        return f"Σ_{at} {x}" if at else f"Σ {x}"

    def call(self, name, *args):
        return f"{name}({', '.join(args)})"

    def ones(self, shape):
        return f"𝟏_{shape}" if shape else "𝟏"


class Latex(Text):
    """LaTeX, without dollar signs."""

    space, minus, times, dot, transpose = r"\,", "-", r" \odot ", r" \cdot ", r"^{\top}"

    def symbol(self, s, at=""):
        name = self.word(s.base) + "'" * s.primes
        low = ",".join(filter(None, ["" if s.number is None else str(s.number), at]))
        name += (f"^{{{s.layer}}}" if s.layer is not None else "") + (f"_{{{low}}}" if low else "")
        name = rf"({name})^{{\top}}" if s.transposed else name
        name = rf"\frac{{\partial C}}{{\partial {name}}}" if s.partial else name
        return rf"\tfrac{{1}}{{{s.over}}}{name}" if s.over else name

    def word(self, text):
        if text in GREEK or (len(text) == 1 and text.isalpha()):
            return GREEK.get(text, text)
        escaped = "".join(rf"\{c}" if c in "_#$%&{}" else c for c in text.replace("\\", "/"))
        return rf"\mathrm{{{escaped.replace('^', chr(94) + '{}').replace('~', ' ')}}}"

    def parens(self, x, kind="()"):
        return rf"\left{kind[0]}{x}\right{kind[1]}"

    def over(self, a, b):
        return rf"\frac{{{a}}}{{{b}}}"

    def power(self, x, n):
        return f"{x}^{{{n}}}"

    def root(self, x):
        return rf"\sqrt{{{x}}}"

    def total(self, at, x):
        return rf"\sum_{{{at}}} {x}" if at else rf"\sum {x}"

    def number(self, text):
        head, e, tail = text.replace("−", "-").partition("e")
        return head + (rf" \cdot 10^{{{int(tail)}}}" if e else "")

    def call(self, name, *args):
        if name == "exp" and len(args) == 1:
            return f"e^{{{args[0]}}}"
        known = name in {"log", "tanh", "sin", "cos", "tan", "sinh", "cosh", "max", "min"}
        head = rf"\{name}" if known else r"\sigma'" if name == "σ′" else self.word(name)
        return head + self.parens(r",\, ".join(args))

    def ones(self, shape):
        return rf"\mathbf{{1}}_{{{shape}}}" if shape else r"\mathbf{1}"


class MathML(Text):
    """Presentation MathML: elements that belong into a <math>."""

    space = "<mo>&#8290;</mo>"
    minus, times, dot, equals = "<mo>−</mo>", "<mo>⊙</mo>", "<mo>·</mo>", "<mo>=</mo>"
    transpose = "ᵀ"

    def symbol(self, s, at=""):
        name = self.word(s.base + "′" * s.primes)
        low = ",".join(filter(None, ["" if s.number is None else str(s.number), at]))
        high = "" if s.layer is None else str(s.layer)
        name = self.scripts(name, low, high)
        name = self.power(self.parens(name), self.word("⊤")) if s.transposed else name
        partial = self.over("<mrow><mo>∂</mo><mi>C</mi></mrow>", f"<mrow><mo>∂</mo>{name}</mrow>")
        name = partial if s.partial else name
        return self.over(name, self.word(s.over)) if s.over else name

    def scripts(self, name, low, high):
        low, high = (f"<mrow>{self.word(part)}</mrow>" if part else "" for part in (low, high))
        if low and high:
            return f"<msubsup>{name}{low}{high}</msubsup>"
        return f"<msub>{name}{low}</msub>" if low else f"<msup>{name}{high}</msup>" if high else name

    def word(self, text):
        tag = "mn" if text.isdigit() else "mi"
        return f"<{tag}>{html.escape(text)}</{tag}>"

    def number(self, text):
        return f"<mn>{html.escape(text)}</mn>"

    def parens(self, x, kind="()"):
        return f"<mrow><mo>{kind[0]}</mo>{x}<mo>{kind[1]}</mo></mrow>"

    def over(self, a, b):
        return f"<mfrac><mrow>{a}</mrow><mrow>{b}</mrow></mfrac>"

    def power(self, x, n):
        return f"<msup><mrow>{x}</mrow><mrow>{n}</mrow></msup>"

    def root(self, x):
        return f"<msqrt>{x}</msqrt>"

    def total(self, at, x):
        return f"<mrow>{f'<munder><mo>∑</mo>{self.word(at)}</munder>' if at else '<mo>∑</mo>'}{x}</mrow>"

    def call(self, name, *args):
        if name == "exp" and len(args) == 1:
            return self.power("<mi>e</mi>", args[0])
        return self.word(name) + self.parens("<mo>,</mo>".join(args))

    def ones(self, shape):
        return self.scripts("<mn>𝟏</mn>", shape, "")


TEXT, LATEX, MATHML = Text(), Latex(), MathML()


# ---- the matrix form ------------------------------------------------------------------------------------

SUM, PRODUCT, SIGN, POWER, ATOM = range(1, 6)  # how tightly an expression holds together
COMPARE = {ast.Gt: ">", ast.GtE: "≥", ast.Lt: "<", ast.LtE: "≤", ast.Eq: "=", ast.NotEq: "≠"}


def parse(formula: str) -> ast.expr:
    """The tree of a NumPy expression."""
    return ast.parse(formula, mode="eval").body


def substituted(tree: ast.expr, by: Mapping[str, ast.expr]) -> ast.expr:
    """A copy of the expression with trees in the place of names."""
    return _Substitution(by).visit(copy.deepcopy(tree))


class _Substitution(ast.NodeTransformer):
    def __init__(self, by):
        self.by = by

    def visit_Name(self, node):
        return self.by.get(node.id, node)

    def visit_Lambda(self, node):
        """A bound name becomes one that no value has, so that it is neither replaced nor caught."""
        bound = node.args.args[0]
        inner = _Substitution({**self.by, bound.arg: ast.Name("_v", ast.Load())})
        bound.arg, node.body = "_v", inner.visit(node.body)
        return node

    def visit_Call(self, node):
        """… but not the name of a function."""
        node.args = [self.visit(x) for x in node.args]
        node.keywords = [self.visit(k) for k in node.keywords]
        node.func = node.func if isinstance(node.func, ast.Name) else self.visit(node.func)
        return node


def write(tree: ast.expr, names: Mapping[str, Symbol], spelling: Text = TEXT, shapes: Any = None) -> str:
    """The expression in mathematics; `names`: name in the expression -> its Symbol.

    `shapes`: name -> shape, tells products with numbers from Hadamard products.

    >>> z, a, w = Symbol("z", 2), Symbol("a", 1), Symbol("w", 2)
    >>> write(parse("np.tanh(a @ w.T) ** 2"), {"a": a, "w": w})
    'tanh(a^1 (w^2)ᵀ)²'
    """
    return _Writer(names, spelling, shapes or {}).write(tree)[0]


class _Writer:
    """Reads a tree aloud; each method returns (text, how tightly it holds together)."""

    def __init__(self, names, spelling, shapes):
        self.names, self.say, self.shapes = names, spelling, shapes

    def write(self, tree):
        method = getattr(self, f"_{type(tree).__name__.lower()}", None)
        return (self.say.word(ast.unparse(tree)), ATOM) if method is None else method(tree)

    def held(self, tree, least):
        text, tight = self.write(tree)
        return text if tight >= least else self.say.parens(text)

    def _name(self, tree):
        symbol = self.names.get(tree.id) or Symbol(tree.id)
        at = getattr(tree, "at", "")
        if at and symbol.transposed:
            symbol, at = symbol._replace(transposed=False), at[::-1]
        tight = SIGN if symbol.partial else POWER if symbol.layer else ATOM
        if symbol.over:
            tight = SUM if self.say is TEXT else SIGN
        return self.say.symbol(symbol, at), tight

    def _constant(self, tree):
        if isinstance(tree.value, str):
            return self.say.word(tree.value), ATOM
        text = f"{tree.value:.6g}" if isinstance(tree.value, float) else str(tree.value)
        return self.say.number(text), ATOM

    def _unaryop(self, tree):
        sign = {ast.USub: self.say.minus, ast.UAdd: "+"}.get(type(tree.op))
        return (sign + self.held(tree.operand, SIGN), SIGN) if sign else (ast.unparse(tree), ATOM)

    def _compare(self, tree):
        """A condition as a number: Iverson's bracket."""
        a, b = self.write(tree.left)[0], self.write(tree.comparators[0])[0]
        sign = COMPARE[type(tree.ops[0])]
        sign = html.escape(sign) if self.say is MATHML else sign
        sign = f"<mo>{sign}</mo>" if self.say is MATHML else f" {sign} "
        return self.say.parens(f"{a}{sign}{b}", "[]"), ATOM

    def _binop(self, tree):
        say, op = self.say, type(tree.op)
        if op is ast.Add or op is ast.Sub:
            sign = "+" if op is ast.Add else "−" if say is not LATEX else "-"
            sign = f"<mo>{sign}</mo>" if say is MATHML else f" {sign} "
            return self.held(tree.left, SUM) + sign + self.held(tree.right, SUM + (op is ast.Sub)), SUM
        if op is ast.Div:
            text = say is TEXT
            a = self.held(tree.left, PRODUCT) if text else self.write(tree.left)[0]
            return say.over(a, self.held(tree.right, SIGN) if text else self.write(tree.right)[0]), PRODUCT
        if op is ast.Pow:
            return say.power(self.held(tree.left, ATOM), self.write(tree.right)[0]), POWER
        if op in (ast.Mult, ast.MatMult):
            sign = self._between(tree)
            return self.held(tree.left, PRODUCT) + sign + self.held(tree.right, PRODUCT + 1), PRODUCT
        return say.word(ast.unparse(tree)), SUM

    def _between(self, tree):
        """Nothing in matrix products and in products with a number, else ⊙."""
        if isinstance(tree.op, ast.MatMult):
            return self.say.space
        if isinstance(tree.right, ast.Constant):
            return self.say.dot
        known = [shape_of(part, self.shapes) for part in (tree.left, tree.right)]
        return self.say.space if () in known or getattr(tree, "single", False) else self.say.times

    def _attribute(self, tree):
        if tree.attr != "T":
            return self.say.word(ast.unparse(tree)), ATOM
        say, inner = self.say, tree.value
        symbol = self.names.get(inner.id) if isinstance(inner, ast.Name) else None
        if symbol is not None and symbol.transposed and not symbol.partial:
            return say.symbol(symbol._replace(transposed=False)), POWER
        text, tight = self.write(inner)
        bare = tight == ATOM and isinstance(inner, (ast.Name, ast.Constant))
        text = text if bare else say.parens(text)
        return (
            f"{text}ᵀ" if say is TEXT else say.power(text, say.word("⊤") if say is MATHML else r"\top")
        ), ATOM

    def _subscript(self, tree):
        inside = ast.unparse(tree.slice).replace(" ", "")
        inside = inside[1:-1] if isinstance(tree.slice, ast.Tuple) and inside[:1] == "(" else inside
        return self.held(tree.value, ATOM) + self.say.parens(self.say.word(inside), "[]"), ATOM

    def _call(self, tree):
        name, say = function_name(tree), self.say
        if name == "Σ":
            return say.total(tree.args[0].value, self.held(tree.args[1], PRODUCT)), PRODUCT
        special = getattr(self, f"_write_{name}", None)
        found = special(tree) if special else None
        if found:
            return found
        if name in ("square", "reciprocal", "negative"):
            x = tree.args[0]
            one = ast.Constant(1)
            return self.write(
                ast.BinOp(x, ast.Pow(), ast.Constant(2))
                if name == "square"
                else ast.BinOp(one, ast.Div(), x)
                if name == "reciprocal"
                else ast.UnaryOp(ast.USub(), x)
            )
        shown = [self.write(x)[0] for x in tree.args]
        shown += [say.word(f"{k.arg}={ast.unparse(k.value)}") for k in tree.keywords]
        return say.call(FUNCTIONS.get(name, name), *shown), ATOM

    def _write_scatter(self, tree):
        """Zeros, with x added at the index."""
        if len(tree.args) < 2:
            return None
        index = ast.unparse(tree.args[1]).replace("np.array", "").replace(" ", "")
        return self.say.call("scatter", self.write(tree.args[0])[0], self.say.word(index)), ATOM

    def _write_sqrt(self, tree):
        return self.say.root(self.write(tree.args[0])[0]), ATOM

    def _write_sum(self, tree):
        """Σ X of all elements, 𝟏ᵀ X of columns, X 𝟏 of rows."""
        x, say = tree.args[0], self.say
        axis, shape = _keyword(tree, "axis"), shape_of(x, self.shapes)
        if axis is None or (shape is not None and len(shape) == 1):
            return say.total("", self.held(x, PRODUCT)), PRODUCT
        body = self.held(x, SIGN)
        if shape is not None and len(shape) == 2 and isinstance(axis, int):
            one = say.ones("")
            columns = axis % 2 == 0
            row = f"{one}ᵀ" if say is TEXT else say.power(one, say.word("⊤") if say is MATHML else r"\top")
            return (row + say.space + body if columns else body + say.space + one), PRODUCT
        return say.total(f"axis {axis}", body), PRODUCT

    def _write_broadcast_to(self, tree):
        """A number times 𝟏, an array all of ones; other arrays as they are, copied."""
        x, say = tree.args[0], self.say
        shape = ast.literal_eval(tree.args[1])
        if shape_of(x, self.shapes) in ((), None) and function_name(x) != "expand_dims":
            return self.held(x, PRODUCT) + say.space + say.ones("×".join(map(str, shape))), PRODUCT
        if function_name(x) == "expand_dims" and len(shape) == 2:
            g, axis = self.held(x.args[0], PRODUCT), ast.literal_eval(x.args[1])
            one, row = say.ones(""), axis in (0, -2)
            top = f"{one}ᵀ" if say is TEXT else say.power(one, say.word("⊤") if say is MATHML else r"\top")
            return (one + say.space + g if row else g + say.space + top), PRODUCT
        return None
