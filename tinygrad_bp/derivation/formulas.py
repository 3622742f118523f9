"""The written form of ops and of their VJPs: a table, one line per op, each a NumPy expression.

The one idea: the forward, then what a backward step hands on to each operand, are written as the NumPy
line that runs, in a, b, c (the operands), y (the result) and g (∂C/∂y); `spelling.py` reads the same line
aloud as mathematics. Where shapes or keywords matter, a line is a function of the recorded op. An op
without a line is no error: its VJP is shown by name, and its line calls `bp.vjp`. Read `symbols.py` next.
"""

import ast
from typing import Any, NamedTuple

import numpy as np

from ..graph import PICK
from ..observe import Seen
from .spelling import parse

Line = Any  # a NumPy expression, or a function from a Seen to one; None for an operand that is no number
OPERANDS = "abc"


class Written(NamedTuple):
    """Trees of an op's forward and of the shares of its operands; `name` if it has no written form.

    The trees are in a, b, c (`parents[0]`, …), y and g; with more operands p0, p1, ….
    """

    forward: ast.expr
    shares: list[ast.expr | None]  # None for an operand that has no share
    name: str = ""

    @property
    def known(self) -> bool:
        """Is there a written form? Else it is the VJP of `name`."""
        return not self.name


def _kept(s, x="g"):
    """g with the axes back in place that a reduction took away."""
    axis, keepdims = s.kwargs.get("axis"), s.kwargs.get("keepdims", False)
    if axis is None and s.kwargs and s.op.endswith(("reduce", "accumulate")):
        axis = 0
    plain = axis is None or keepdims is True or not s.parents[0].shape
    return x if plain else f"np.expand_dims({x}, {axis!r})"


def _shape(s, i=0):
    return repr(tuple(map(int, (s if i is None else s.parents[i]).shape)))


def _count(s):
    """How many elements there are for each element of the result."""
    return s.parents[0].value.size // max(np.size(s.value), 1)


def _settings(s, *left_out):
    return "".join(f", {k}={literal(v)}" for k, v in s.kwargs.items() if k not in left_out)


def literal(value: Any) -> str:
    """Keywords and indices as they are typed; LookupError for what is too long to be read."""
    if isinstance(value, (tuple, list)):
        inside = ", ".join(map(literal, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    if isinstance(value, slice):
        return f"slice({literal(value.start)}, {literal(value.stop)}, {literal(value.step)})"
    if value is Ellipsis:
        return "..."
    if isinstance(value, (np.dtype, type)):
        return f"np.dtype({np.dtype(value).name!r})"
    if isinstance(value, (np.integer, np.bool_)):
        return repr(value.item())
    if isinstance(value, np.ndarray) and value.size <= 12 and value.dtype.kind in "iub":
        return f"np.array({value.tolist()!r})" if value.size else f"np.zeros({value.shape}, int)"
    if isinstance(value, np.ndarray) or not isinstance(value, (bool, int, float, complex, str, type(None))):
        raise LookupError
    return repr(value)


def index_text(index: Any) -> str:
    """An index as it stands between brackets: 0, 1:3 or [0, 1], [1, 0]."""
    parts = index if isinstance(index, tuple) else (index,)
    return ", ".join(_one_index(part) for part in parts) or "()"


def _one_index(part):
    if isinstance(part, slice):
        ends = ["" if v is None else literal(v) for v in (part.start, part.stop)]
        return ":".join(ends if part.step is None else [*ends, literal(part.step)])
    if part is None:
        return "np.newaxis"
    if isinstance(part, np.ndarray) and part.ndim:
        return literal(part).removeprefix("np.array(").removesuffix(")")
    return literal(part)


def pick_index(s: Seen) -> int:
    """Which of several outputs a pick has taken: the one that is its value."""
    parts: Any = s.parents[0].value
    return next(k for k, part in enumerate(parts) if part is s.value or np.array_equal(part, s.value))


def _getitem(s):
    return f"a[{index_text(s.kwargs['index'])}]"


def _scatter(s):
    return f"scatter(g, {literal(s.kwargs['index'])}, {_shape(s)})"


def _sides(s):
    return len(s.parents[0].shape or ()), len(s.parents[1].shape or ())


def _matmul_a(s):
    a, b = _sides(s)
    if b == 1:
        return "g * b" if a == 1 else "np.outer(g, b)" if a == 2 else "g[..., None] * b"
    if b > 2:
        return "g @ np.swapaxes(b, -1, -2)" if a > 1 else ""
    return "g @ b.T" if a != 1 else "b @ g"


def _matmul_b(s):
    a, b = _sides(s)
    if a == 1:
        return "g * a" if b == 1 else "np.outer(a, g)" if b == 2 else ""
    if a == 2:
        return "a.T @ g"
    if b == 1:
        return ""
    if b == 2:  # one product instead of one per matrix
        (m, n), k = s.parents[1].shape, s.parents[0].value.size // s.parents[0].shape[-1]
        return f"np.reshape(a, ({k}, {m})).T @ np.reshape(g, ({k}, {n}))"
    return "np.swapaxes(a, -1, -2) @ g"


def _dot(rule, i):
    """np.dot is matmul, but of numbers a product, and beyond matrices something else."""
    other = "ba"[i]
    return lambda s: f"g * {other}" if 0 in _sides(s) else rule(s) if max(_sides(s)) < 3 else ""


def _cut(s, i):
    """The part of g that is operand i."""
    axis = s.kwargs.get("axis", 0)
    if axis is None or s.op == "stack":
        return f"np.take(g, {i}, axis={axis})" if s.op == "stack" else ""
    axis %= len(s.shape)
    start = sum(p.shape[axis] for p in s.parents[:i])
    return f"g[{':, ' * axis}{start}:{start + s.parents[i].shape[axis]}]"


def _power_a(s):
    n = s.parents[1].value
    if s.parents[1].kind == "constant" and np.ndim(n) == 0:
        return "g" if n == 1 else "g * (2 * a)" if n == 2 else f"g * ({literal(n)} * a ** {literal(n - 1)})"
    return "g * (b * a ** (b - 1))"


def _extremum(s):
    ties = f"(a == {_kept(s, 'y')})"
    axis = s.kwargs.get("axis")
    return f"{_kept(s)} * ({ties} / np.sum({ties}, axis={axis!r}, keepdims=True))"


def _reduced(name):
    return lambda s: f"np.{name}(a{_settings(s)})"


def _shaped(name, back):
    return (lambda s: f"np.{name}(a{_settings(s, 'order', 'copy')})", back)


def _transpose_back(s):
    axes = s.kwargs.get("axes")
    if not axes:
        return "g.T"
    n = len(axes)
    return f"np.transpose(g, {tuple(sorted(range(n), key=lambda i: axes[i] % n))!r})"


def _transpose(s):
    axes = s.kwargs.get("axes")
    return f"np.transpose(a, {tuple(axes)!r})" if axes else "a.T"


def _plain(s):
    """A reduction with nothing but axis and keepdims has a written form."""
    return s.kwargs.keys() <= {"axis", "keepdims", "dtype"}


_BACK = lambda s: f"np.reshape(g, {_shape(s)})"
_SUM = lambda s: f"np.broadcast_to({_kept(s)}, {_shape(s)})" if _plain(s) else ""
_MEAN = lambda s: f"np.broadcast_to({_kept(s)} / {_count(s)}, {_shape(s)})" if _plain(s) else ""

# fmt: off
WRITTEN: dict[str, tuple[Line, ...]] = {
    # op: forward, then the share of each operand
    "add":         ("a + b",             "g",                              "g"),
    "subtract":    ("a - b",             "g",                              "-g"),
    "multiply":    ("a * b",             "g * b",                          "g * a"),
    "divide":      ("a / b",             "g / b",                          "-g * a / b ** 2"),
    "power":       ("a ** b",            _power_a,                         "g * y * np.log(a)"),
    "negative":    ("-a",                "-g"),
    "positive":    ("a",                 "g"),
    "reciprocal":  ("1 / a",             "-g * y ** 2"),
    "square":      ("np.square(a)",      "g * (2 * a)"),
    "sqrt":        ("np.sqrt(a)",        "g / (2 * y)"),
    "cbrt":        ("np.cbrt(a)",        "g / (3 * y ** 2)"),
    "absolute":    ("np.abs(a)",         "g * np.sign(a)"),
    "fabs":        ("np.abs(a)",         "g * np.sign(a)"),
    "maximum":     ("np.maximum(a, b)",  "g * ((a > b) + (a == b) / 2)",   "g * ((b > a) + (a == b) / 2)"),
    "minimum":     ("np.minimum(a, b)",  "g * ((a < b) + (a == b) / 2)",   "g * ((b < a) + (a == b) / 2)"),
    "where":       ("np.where(a, b, c)", None, "np.where(a, g, 0)",        "np.where(a, 0, g)"),
    "between":     ("np.clip(a, b, c)",  "g * ((a > b) * (a < c))",        "",               ""),

    "exp":         ("np.exp(a)",         "g * y"),
    "exp2":        ("np.exp2(a)",        "g * y * np.log(2)"),
    "expm1":       ("np.expm1(a)",       "g * (y + 1)"),
    "log":         ("np.log(a)",         "g / a"),
    "log2":        ("np.log2(a)",        "g / (a * np.log(2))"),
    "log10":       ("np.log10(a)",       "g / (a * np.log(10))"),
    "log1p":       ("np.log1p(a)",       "g / (a + 1)"),
    "logaddexp":   ("np.logaddexp(a, b)", "g * np.exp(a - y)",             "g * np.exp(b - y)"),
    "sin":         ("np.sin(a)",         "g * np.cos(a)"),
    "cos":         ("np.cos(a)",         "-g * np.sin(a)"),
    "tan":         ("np.tan(a)",         "g / np.cos(a) ** 2"),
    "arcsin":      ("np.arcsin(a)",      "g / np.sqrt(1 - a ** 2)"),
    "arccos":      ("np.arccos(a)",      "-g / np.sqrt(1 - a ** 2)"),
    "arctan":      ("np.arctan(a)",      "g / (1 + a ** 2)"),
    "arctan2":     ("np.arctan2(a, b)",  "g * b / (a ** 2 + b ** 2)",      "-g * a / (a ** 2 + b ** 2)"),
    "hypot":       ("np.hypot(a, b)",    "g * (a / y)",                    "g * (b / y)"),
    "sinh":        ("np.sinh(a)",        "g * np.cosh(a)"),
    "cosh":        ("np.cosh(a)",        "g * np.sinh(a)"),
    "tanh":        ("np.tanh(a)",        "g * (1 - y ** 2)"),
    "sigmoid":     ("sigmoid(a)",        "g * (y * (1 - y))"),
    "relu":        ("relu(a)",           "g * (a > 0)"),
    "leaky_relu":  (lambda s: f"leaky_relu(a{_settings(s)})",
                    lambda s: f"g * np.where(a > 0, 1, {literal(s.kwargs.get('negative_slope', 0.01))})"),
    "softplus":    (lambda s: f"softplus(a{_settings(s)})",
                    lambda s: f"g * sigmoid({literal(s.kwargs.get('beta', 1))} * a)" if s.kwargs.get("beta", 1) != 1
                    else "g * sigmoid(a)"),
    "softmax":     (lambda s: f"softmax(a{_settings(s)})",
                    lambda s: f"y * (g - np.sum(g * y, axis={s.kwargs.get('axis', -1)!r}, keepdims=True))"),
    "log_softmax": (lambda s: f"log_softmax(a{_settings(s)})",
                    lambda s: f"g - np.exp(y) * np.sum(g, axis={s.kwargs.get('axis', -1)!r}, keepdims=True)"),
    "logsumexp":   (lambda s: f"logsumexp(a{_settings(s)})",
                    lambda s: f"{_kept(s)} * np.exp(a - {_kept(s, 'y')})"),

    "sum":         (_reduced("sum"),     _SUM),
    "mean":        (_reduced("mean"),    _MEAN),
    "max":         (_reduced("max"),     lambda s: _extremum(s) if _plain(s) else ""),
    "amax":        (_reduced("max"),     lambda s: _extremum(s) if _plain(s) else ""),
    "min":         (_reduced("min"),     lambda s: _extremum(s) if _plain(s) else ""),
    "amin":        (_reduced("min"),     lambda s: _extremum(s) if _plain(s) else ""),
    "cumsum":      (_reduced("cumsum"),  lambda s: f"np.flip(np.cumsum(np.flip(g, {s.kwargs['axis']}), "
                    f"axis={s.kwargs['axis']}), {s.kwargs['axis']})" if s.kwargs.get("axis") is not None else ""),

    "matmul":      ("a @ b",             _matmul_a,                        _matmul_b),
    "dot":         (lambda s: "a * b" if 0 in _sides(s) else "a @ b" if max(_sides(s)) < 3 else "np.dot(a, b)",
                    _dot(_matmul_a, 0), _dot(_matmul_b, 1)),
    "vdot":        ("np.sum(a * b)",     lambda s: "g * b" if s.parents[0].shape == s.parents[1].shape else "",
                    lambda s: "g * a" if s.parents[0].shape == s.parents[1].shape else ""),
    "outer":       ("np.outer(a, b)",    lambda s: "g @ b" if _sides(s) == (1, 1) else "",
                    lambda s: "a @ g" if _sides(s) == (1, 1) else ""),

    "transpose":   (_transpose,          _transpose_back),
    "swapaxes":    (lambda s: f"np.swapaxes(a, {s.kwargs['axis1']}, {s.kwargs['axis2']})",
                    lambda s: f"np.swapaxes(g, {s.kwargs['axis1']}, {s.kwargs['axis2']})"),
    "reshape":     (lambda s: f"np.reshape(a, {_shape(s, None)})" if s.kwargs.get("order", "C") == "C" else "",
                    lambda s: _BACK(s) if s.kwargs.get("order", "C") == "C" else ""),
    "ravel":       (lambda s: "np.ravel(a)" if s.kwargs.get("order", "C") == "C" else "", lambda s: _BACK(s) if s.kwargs.get("order", "C") == "C" else ""),
    "squeeze":     _shaped("squeeze",     _BACK),
    "expand_dims": _shaped("expand_dims", _BACK),
    "broadcast_to": (lambda s: f"np.broadcast_to(a, {_shape(s, None)})", "g"),
    "flip":        _shaped("flip",        lambda s: f"np.flip(g{_settings(s)})"),
    "copy":        ("np.copy(a)",         "g"),
    "astype":      (lambda s: f"a.astype(np.{s.dtype.name})", "g"),
    "getitem":     (_getitem,             _scatter, None),
    "scatter":     (lambda s: f"scatter(a, {literal(s.kwargs['index'])}, {literal(s.kwargs['shape'])})",
                    lambda s: f"g[{index_text(s.kwargs['index'])}]"),
    "put":         (lambda s: f"put(a, b, {literal(s.kwargs['index'])})",
                    lambda s: f"erase(g, {literal(s.kwargs['index'])})",
                    lambda s: f"g[{index_text(s.kwargs['index'])}]"),
    "concatenate": (lambda s: f"np.concatenate([{_listed(s)}]{_settings(s)})", _cut),
    "stack":       (lambda s: f"np.stack([{_listed(s)}]{_settings(s)})",       _cut),
    PICK.name:     (lambda s: f"a[{pick_index(s)}]", None, None),
}
# fmt: on
for _name, _same in (("true_divide", "divide"), ("abs", "absolute"), ("conj", "positive")):
    WRITTEN[_name] = WRITTEN[_same]
SEQUENCES = {"concatenate", "stack", "vstack", "hstack", "dstack", "column_stack"}


def operand_names(seen: Seen) -> list[str]:
    """What the operands are called in the trees: a, b, c, or p0, p1, … for many or for a list."""
    n = len(seen.parents)
    many = seen.op in SEQUENCES or n > len(OPERANDS)
    return [f"p{i}" for i in range(n)] if many else list(OPERANDS[:n])


def _listed(s):
    return ", ".join(operand_names(s))


def written(seen: Seen) -> Written:
    """The written form of an observed op.

    >>> import numpy as np, tinygrad_bp as bp
    >>> x = bp.Tensor([1.0, 2.0], requires_grad=True)
    >>> with bp.observe() as run: y = np.tanh(x)
    >>> [ast.unparse(tree) for tree in (written(run.nodes[0]).forward, *written(run.nodes[0]).shares)]
    ['np.tanh(a)', 'g * (1 - y ** 2)']
    """
    lines: tuple[Line, ...] = WRITTEN.get(seen.op or "", ())
    if not _fits(seen):
        lines = ()
    found = [_line(line, seen) for line in lines[:1]]
    if seen.op in SEQUENCES and lines:
        found += [_line(lambda s, i=i: lines[1](s, i), seen) for i in range(len(seen.parents))]
    else:
        found += [_line(line, seen) for line in lines[1:]]
    wanted = [i for i, share in enumerate(seen.contributions) if share is not None]
    if not found or any(i + 1 >= len(found) or found[i + 1] == "" for i in wanted) or not found[0]:
        return _by_name(seen, found[0] if found else "")
    found += [None] * (1 + len(seen.parents) - len(found))
    return Written(parse(found[0]), [parse(line) if line else None for line in found[1:]])


def _line(line, seen):
    """The text of a line, '' if there is none for this call, None for an operand without a share."""
    try:
        return line(seen) if callable(line) else line
    except LookupError:
        return ""


def _fits(seen):
    """Lines are of real arrays, say nothing of `where=` and `initial=`, and hold where a derivative exists."""
    if any(p.dtype is not None and p.dtype.kind == "c" for p in (seen, *seen.parents)):
        return False
    if not seen.kwargs.keys().isdisjoint({"where", "initial", "optimize"}):
        return False
    if seen.op in ("sqrt", "cbrt", "hypot", "power", "float_power") and not np.all(seen.value):
        return False  # at 0 the engine has conventions of its own
    if seen.op == "between":
        a, *ends = (p.value for p in seen.parents)
        return not any(end is not None and np.any(a == end) for end in ends)
    return seen.dtype is None or bool(np.all(np.isfinite(seen.value)))


def _by_name(seen, forward):
    """The call as NumPy would spell it, and `bp.vjp` of it."""
    call = forward or call_text(seen)
    names = [n for n, share in zip(operand_names(seen), seen.contributions) if share is not None]
    shares: list[ast.expr | None] = []
    for name, share in zip(operand_names(seen), seen.contributions):
        pulled = f"bp.vjp(lambda {name}: {call}, {name})[1](g)[0]"
        shares.append(parse(pulled) if share is not None and names else None)
    return Written(parse(call), shares, str(seen.op))


def call_text(seen: Seen) -> str:
    """f(a, b, axis=0): how the op is called; an array among the keywords is called k_axis."""
    parts = operand_names(seen)
    inside = f"[{', '.join(parts)}]" if seen.op in SEQUENCES else ", ".join(parts)
    settings = ""
    for key, value in seen.kwargs.items():
        try:
            settings += f", {key}={literal(value)}"
        except LookupError:
            settings += f", {key}=k_{key}"
    return f"{function_text(seen)}({inside}{settings})"


def function_text(seen: Seen) -> str:
    """np.cumsum, np.linalg.norm, or the function's own name."""
    for prefix, room in (("np", np), ("np.linalg", np.linalg), ("np.fft", np.fft)):
        if getattr(room, str(seen.op), None) is seen.function:
            return f"{prefix}.{seen.op}"
    name = str(seen.op)
    return name if name.isidentifier() else "function"
