"""Shapes of NumPy expressions, and one element of them: from the matrix form to components.

The one idea: NumPy's own rules of shapes turn the tree of an array into the tree of its element, with a
sum wherever NumPy contracts or reduces. Nothing is computed. Read `spelling.py` next.
"""

import ast
import copy
from collections.abc import Mapping
from typing import Any

LETTERS = "ijkpqrstuvabcdefgh"
ELEMENTWISE = {
    "exp", "log", "sqrt", "tanh", "sin", "cos", "tan", "sinh", "cosh", "abs", "absolute", "sign", "square", "where", "maximum",
    "minimum", "log1p", "expm1", "negative", "reciprocal", "sigmoid", "relu", "leaky_relu", "softplus", "σ′", "log2", "log10",
    "arctan", "logaddexp", "clip",
}  # fmt: skip


def function_name(tree: Any) -> str:
    """tanh for np.tanh(…), and '' for what is no call."""
    return ast.unparse(tree.func).removeprefix("np.") if isinstance(tree, ast.Call) else ""


def _keyword(tree, name, default=None):
    found = [k.value for k in tree.keywords if k.arg == name]
    return ast.literal_eval(found[0]) if found else default


# ---- shapes and components ------------------------------------------------------------------------------


def shape_of(tree: Any, shapes: Mapping[str, tuple | None]) -> tuple | None:
    """The shape of an expression by NumPy's rules, or None where it cannot be told without computing it."""
    known: list[Any] = [shape_of(part, shapes) for part in _parts(tree)]
    kind, name = type(tree), function_name(tree)
    if kind is ast.Name:
        return shapes.get(tree.id)
    if kind is ast.Constant:
        return ()
    if any(shape is None for shape in known):
        return None
    if kind is ast.Attribute and tree.attr == "T":
        return known[0][::-1]
    if kind is ast.BinOp and isinstance(tree.op, ast.MatMult):
        return _product_shape(*known)
    if kind in (ast.BinOp, ast.UnaryOp, ast.Compare) or name in ELEMENTWISE:
        return _together(known)
    if name in ("sum", "mean", "max"):
        axis, keep = _keyword(tree, "axis"), _keyword(tree, "keepdims", False)
        axes = _axes(axis, len(known[0]))
        return tuple(1 if i in axes else n for i, n in enumerate(known[0]) if keep or i not in axes)
    if name in ("broadcast_to", "reshape", "expand_dims") and len(tree.args) < 2:
        return None  # spelled with keywords
    if name in ("broadcast_to", "reshape"):
        shape = ast.literal_eval(tree.args[1])
        return tuple(shape) if isinstance(shape, (tuple, list)) and min(shape, default=0) >= 0 else None
    if name == "expand_dims":
        axes = _axes(ast.literal_eval(tree.args[1]), None)
        rest, size = iter(known[0]), len(known[0]) + len(axes)
        axes = {axis % size for axis in axes}
        return tuple(1 if i in axes else next(rest) for i in range(size))
    return known[0] + known[1] if name == "outer" else None


def _parts(tree):
    if isinstance(tree, ast.BinOp):
        return [tree.left, tree.right]
    if isinstance(tree, ast.UnaryOp):
        return [tree.operand]
    if isinstance(tree, ast.Compare):
        return [tree.left, *tree.comparators]
    if isinstance(tree, ast.Attribute):
        return [tree.value]
    name = function_name(tree)
    one = ("sum", "mean", "max", "broadcast_to", "expand_dims", "reshape")
    return [] if not name else tree.args[:1] if name in one else tree.args


def _axes(axis, ndim):
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return set(axes) if ndim is None else {a % ndim for a in axes}


def _product_shape(a, b):
    if not a or not b:
        return None
    inner = len(b) - 2 if len(b) > 1 else 0
    if a[-1] != b[inner]:
        return None
    return (*_together([a[:-2], b[:-2]]), *a[-2:-1], *b[-1:][: len(b) > 1])


def _together(shapes):
    size = max(map(len, shapes))
    padded = [(1,) * (size - len(s)) + tuple(s) for s in shapes]
    return tuple(0 if 0 in ns else max(ns) for ns in zip(*padded))


def components(tree: ast.expr, at: str, shapes: Mapping[str, tuple | None]) -> ast.expr | None:
    """The tree of element `at` of an expression (a letter per axis), or None if it has no simple form.

    >>> from tinygrad_bp.derivation.spelling import Symbol, parse, write
    >>> z = components(parse("a @ w.T + b"), "ij", {"a": (4, 3), "w": (2, 3), "b": (2,)})
    >>> write(z, {"w": Symbol("w", 2)})
    'Σ_k a_ik w^2_jk + b_j'
    """
    try:
        return _Components(shapes, at).of(tree, at)
    except _NoForm:
        return None


class _NoForm(Exception):
    """This expression has no simple form in components."""


class _Components:
    def __init__(self, shapes, taken):
        self.shapes, self.taken = shapes, set(taken)

    def shape(self, tree):
        shape = shape_of(tree, self.shapes)
        if shape is None:
            raise _NoForm
        return shape

    def fresh(self):
        letter = next((c for c in LETTERS if c not in self.taken), None)
        if letter is None:
            raise _NoForm
        self.taken.add(letter)
        return letter

    def of(self, tree, at):
        """Element `at`, of which an axis of length 1 takes no notice."""
        shape, kind, name = self.shape(tree), type(tree), function_name(tree)
        at = "".join("1" if n == 1 else c for n, c in zip(shape, at[len(at) - len(shape) :]))
        if kind is ast.Constant:
            return tree
        if kind is ast.Name:
            named = ast.Name(tree.id)
            named.at = at  # type: ignore[attr-defined]
            return named
        if kind is ast.Attribute:
            return self.of(tree.value, at[::-1])
        if kind is ast.BinOp and isinstance(tree.op, ast.MatMult):
            return self._product(tree, at)
        if kind in (ast.BinOp, ast.UnaryOp, ast.Compare) or name in ELEMENTWISE:
            return self._elementwise(tree, at)
        if name in ("sum", "mean"):
            return self._sum(tree, at)
        if name == "broadcast_to":
            return self.of(tree.args[0], at)
        if name == "expand_dims":
            axes, inner = _axes(ast.literal_eval(tree.args[1]), None), len(shape)
            axes = {axis % inner for axis in axes}
            return self.of(tree.args[0], "".join(c for i, c in enumerate(at) if i not in axes))
        if name == "outer":
            return self._times(self.of(tree.args[0], at[:1]), self.of(tree.args[1], at[1:]))
        raise _NoForm

    def _elementwise(self, tree, at):
        new = copy.copy(tree)
        for field in ("left", "right", "operand"):
            if field in tree._fields:
                setattr(new, field, self.of(getattr(tree, field), at))
        for field in ("comparators", "args"):
            if field in tree._fields:
                setattr(new, field, [self.of(part, at) for part in getattr(tree, field)])
        new.single = True  # of numbers: no ⊙
        return new

    def _times(self, a, b):
        product = ast.BinOp(a, ast.Mult(), b)
        product.single = True  # type: ignore[attr-defined]
        return product

    def _product(self, tree, at):
        a, b = self.shape(tree.left), self.shape(tree.right)
        k = "1" if a[-1] == 1 else self.fresh()
        rows, columns = len(a) > 1, len(b) > 1
        stack = at[: len(at) - rows - columns]
        body = self._times(
            self.of(tree.left, stack + at[len(stack) : len(stack) + rows] + k),
            self.of(tree.right, stack + k + at[len(at) - columns :] if columns else k),
        )
        return body if k == "1" else _total(k, body)

    def _sum(self, tree, at):
        x, keep = tree.args[0], _keyword(tree, "keepdims", False)
        shape = self.shape(x)
        axes, rest, full, over = _axes(_keyword(tree, "axis"), len(shape)), iter(at), "", ""
        for i, n in enumerate(shape):
            own = next(rest) if keep or i not in axes else ""
            new = "" if i not in axes else "1" if n == 1 else self.fresh()
            full, over = full + (new or own), over + new.strip("1")
        body, count = self.of(x, full), 1
        for i in axes:
            count *= shape[i]
        body = _total(over, body) if over else body
        if function_name(tree) == "sum" or count == 1:
            return body
        return self._times(ast.BinOp(ast.Constant(1), ast.Div(), ast.Constant(count)), body)


def _total(k, body):
    """Σ_k body."""
    return ast.Call(ast.Name("Σ"), [ast.Constant(k), body], [])
