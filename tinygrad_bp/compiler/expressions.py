"""Calls as Python's own syntax trees, which `ast.unparse` writes with operators and as few parentheses as can be.

Read `tidy.py` next.
"""

import ast
import operator

import numpy as np

from ..errors import message
from .program import Call, Var

BINARY = {np.add: ast.Add, np.subtract: ast.Sub, np.multiply: ast.Mult, np.true_divide: ast.Div,
          np.matmul: ast.MatMult, np.power: ast.Pow, np.remainder: ast.Mod, np.floor_divide: ast.FloorDiv,
          np.bitwise_and: ast.BitAnd, np.bitwise_or: ast.BitOr, np.bitwise_xor: ast.BitXor}  # fmt: skip
COMPARE = {np.less: ast.Lt, np.less_equal: ast.LtE, np.greater: ast.Gt, np.greater_equal: ast.GtE,
           np.equal: ast.Eq, np.not_equal: ast.NotEq}  # fmt: skip
UNARY = {np.negative: ast.USub, np.invert: ast.Invert}
USUAL = (("axis", None), ("keepdims", False))
SPACES = {"np": np, "np.linalg": np.linalg, "np.fft": np.fft}


def name(v, names):
    """The name of a Var, to be given later if it has none yet."""
    return ast.Name(names.get(v, "t0"), ast.Load())


def call_expression(x, nodes, helpers):
    """A call, a Var or a constant as an expression."""
    if not isinstance(x, Call):
        return _Writer(nodes, helpers).value(x)
    return _Writer(nodes, helpers).call(x)


class _Writer:
    def __init__(self, nodes, helpers):
        self.nodes, self.helpers, self.dtype = nodes, helpers, None

    def call(self, call):
        """With operators and methods where NumPy has them."""
        f, args, kwargs = call.function, call.args, call.kwargs
        dtypes = {v.dtype for v in call.inputs()}
        # of a ufunc of one dtype, in which numbers are weak
        self.dtype = dtypes.pop() if type(f) is np.ufunc and len(dtypes) == 1 else None
        if not kwargs and f in BINARY and len(args) == 2:
            return ast.BinOp(self.value(args[0]), BINARY[f](), self.value(args[1]))
        if f is np.dot and all(type(v) is Var and len(v.shape) == 2 for v in args) and not kwargs:
            return ast.BinOp(self.value(args[0]), ast.MatMult(), self.value(args[1]))
        if not kwargs and f in COMPARE:
            return ast.Compare(self.value(args[0]), [COMPARE[f]()], [self.value(args[1])])
        if not kwargs and f in UNARY:
            return ast.UnaryOp(UNARY[f](), self.value(args[0]))
        if f is np.square and type(args[0]) is Var and not kwargs:
            return ast.BinOp(self.value(args[0]), ast.Pow(), ast.Constant(2))
        if f is np.transpose and len(args) == 1 and not kwargs and type(args[0]) is Var:
            return ast.Attribute(self.value(args[0]), "T", ast.Load())
        if f is operator.getitem:
            return ast.Subscript(self.value(args[0]), self.index(args[1]), ast.Load())
        if f is np.copy and type(args[0]) is Var:
            return ast.Call(ast.Attribute(self.value(args[0]), "copy", ast.Load()), [], [])
        return self.plain_call(call)

    def plain_call(self, call):
        """function(arguments), by the function's public name or a helper's."""
        f, args, kwargs = call.function, call.args, call.kwargs
        if getattr(f, "__objclass__", None) in (np.ndarray, np.generic):
            method = ast.Attribute(self.value(args[0]), f.__name__, ast.Load())
            return self.arguments(method, args[1:], kwargs)
        public = _public_name(f)
        if public is not None:
            kwargs = {k: v for k, v in kwargs.items() if (k, v) not in USUAL}
            return self.arguments(ast.parse(public, mode="eval").body, args, kwargs)
        traced = self.helpers.traced(call)
        if traced is not None:
            return self.arguments(ast.Name(traced[0]), traced[1], {})
        return self.arguments(ast.Name(self.helpers.written(f)), args, kwargs)

    def arguments(self, function, args, kwargs):
        """function(args)."""
        keywords = [ast.keyword(k, self.value(v)) for k, v in kwargs.items()]
        return ast.Call(function, [self.value(a) for a in args], keywords)

    def value(self, x):
        """A Var's expression, or a constant."""
        if type(x) is Var:
            return self.nodes[x]
        if isinstance(x, (tuple, list)):
            parts = [self.value(part) for part in x]
            return ast.List(parts, ast.Load()) if isinstance(x, list) else ast.Tuple(parts, ast.Load())
        if isinstance(x, slice):
            return self.arguments(ast.Name("slice"), (x.start, x.stop, x.step), {})
        if isinstance(x, np.random.Generator):
            return ast.Name(self.helpers.rng(x))
        if isinstance(x, (np.ndarray, np.generic)) and x.shape == () and x.dtype == self.dtype:
            x = shorter(x)
        elif isinstance(x, float) and self.dtype is not None and self.dtype.kind == "f":
            x = shorter(self.dtype.type(x))
        return ast.parse(_literal(x), mode="eval").body

    def index(self, x):
        """What stands in brackets."""
        if isinstance(x, slice):
            parts = [None if part is None else self.value(part) for part in (x.start, x.stop, x.step)]
            return ast.Slice(*parts)
        if isinstance(x, tuple) and x:
            return ast.Tuple([self.index(part) for part in x], ast.Load())
        return self.value(x)


def shorter(x):
    """A NumPy number as the Python number of fewest digits that is the same in its dtype."""
    x = x[()]
    if x.dtype.kind != "f":
        return x.item()
    short = float(str(x))
    return short if x.dtype.type(short) == x else x.item()


def _literal(x):
    if x is Ellipsis:
        return "..."
    if isinstance(x, np.dtype):
        return "bool" if x.kind == "b" else f"np.{x.name}" if x.name in dir(np) else f"np.dtype({x.str!r})"
    if isinstance(x, (float, complex)) and not isinstance(x, np.generic):
        text = repr(x)
        kind = "float" if isinstance(x, float) else "complex"
        return text if np.isfinite(x) else f"{kind}({text!r})"
    if isinstance(x, (bool, int, str, bytes, type(None))):
        return repr(x)
    if isinstance(x, type) and x.__module__ in ("numpy", "builtins"):
        return f"np.{x.__name__}" if x.__module__ == "numpy" else x.__name__
    if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in "biufc":
        return _array(np.asarray(x))
    if isinstance(x, dict):
        return "{" + ", ".join(f"{k!r}: {_literal(v)}" for k, v in x.items()) + "}"
    what = "a compiled step uses what cannot be written down"
    raise TypeError(message(what, got=repr(x)[:80], do="pass it as an argument"))


def _array(a):
    dtype = _literal(a.dtype)
    numbers = [_literal(n) for n in a.ravel().tolist()]
    if a.shape == ():
        return f"{dtype}({numbers[0]})"
    if len(numbers) > 1 and len(set(numbers)) == 1:
        shape = a.shape[0] if a.ndim == 1 else a.shape
        plain = a.dtype.kind == "f" and np.isfinite(a).all()
        return f"np.full({shape}, {repr(shorter(a.ravel()[0])) if plain else numbers[0]}, {dtype})"
    if a.ndim == 1 and a.dtype == np.intp and len(a) > 2 and np.array_equal(a, np.arange(len(a))):
        return f"np.arange({len(a)})"
    nested = f"np.array([{', '.join(numbers)}], {dtype})"
    return nested if a.ndim == 1 else f"{nested}.reshape({a.shape})"


def _public_name(f):
    word = getattr(f, "__name__", "")
    for space, module in SPACES.items():
        if getattr(module, word, None) is f:
            return f"{space}.{word}"
    owner = getattr(f, "__self__", None)
    if isinstance(owner, np.ufunc):
        return f"np.{owner.__name__}.{word}"
    return None
