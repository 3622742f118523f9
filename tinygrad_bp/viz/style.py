"""How things are written and coloured in drawings: symbols of ops, numbers, the palette.

The one idea: everything that a picture says in words or colours is decided here, once. The colours
are tints of Okabe and Ito's palette, which colour-blind readers can tell apart, and none carries a
meaning alone: parameters also have a heavy border, constants a dashed one. Read `graph.py` next.
"""

import html
import re

import numpy as np

INK, MUTED, GRADIENT, ALARM = "#1f2933", "#52606d", "#9c3d00", "#b00020"
VALUE_FILL, VALUE_EDGE = "#ffffff", "#7b8794"
PARAMETER_FILL, PARAMETER_EDGE = "#d6e9f6", "#0072b2"
CONSTANT_FILL, CONSTANT_EDGE = "#f0f2f4", "#7b8794"
OP_FILL, OP_EDGE = "#fdeccb", "#a86f00"
LAYER_FILL, LAYER_EDGE = "#f5f7fa", "#cbd2d9"
FLOW = "#52606d"
PATHS = [PARAMETER_EDGE, "#b8460e", "#00735c", "#8e3a80", INK]
"""The colours of paths, in the order in which they are given."""
FONT = "Arial"

GRAPH = {
    "newrank": "true", "ranksep": "0.17", "nodesep": "0.18", "pad": "0.1", "bgcolor": "white",
    "fontname": FONT, "fontsize": "14", "fontcolor": INK,
}  # fmt: skip
NODE = {
    "fontname": FONT, "fontsize": "14", "fontcolor": INK, "margin": "0.12,0.04", "width": "0.3",
    "height": "0.2",
}  # fmt: skip
EDGE = {"color": FLOW, "arrowsize": "0.6"}
OP = {
    "shape": "ellipse", "style": "filled", "fillcolor": OP_FILL, "color": OP_EDGE,
    "margin": "0.03,0",
}  # fmt: skip
VALUE = {"shape": "box", "style": "rounded,filled", "fillcolor": VALUE_FILL, "color": VALUE_EDGE}
RESULT = {**VALUE, "style": "rounded,filled,bold", "color": INK}
PARAMETER = {**RESULT, "fillcolor": PARAMETER_FILL, "color": PARAMETER_EDGE}
CONSTANT = {
    **VALUE, "style": "rounded,filled,dashed", "fillcolor": CONSTANT_FILL, "color": CONSTANT_EDGE
}  # fmt: skip
FRAME = {
    "style": "rounded,filled", "fillcolor": LAYER_FILL, "color": LAYER_EDGE,
    "fontcolor": MUTED, "margin": "8", "labeljust": "l",
}  # fmt: skip
MARK = {"style": "invis", "shape": "point", "width": "0", "height": "0", "label": ""}
UNSEEN = {"style": "invis"}
LIT = {"penwidth": "2.5", "fontname": FONT, "fontsize": "14", "fontcolor": INK}
"""Attributes of Graphviz."""

LONGEST_NAME, LONGEST_OP = 24, 20

SYMBOLS = {
    "add": "+", "subtract": "−", "multiply": "⊙", "divide": "/", "power": "^", "matmul": "@",
    "dot": "·", "remainder": "mod", "negative": "−x", "positive": "+x", "reciprocal": "1/x", "square": "x²",
    "sqrt": "√x", "absolute": "|x|", "sum": "Σ", "transpose": "xᵀ", "sigmoid": "σ", "relu": "ReLU",
    "leaky_relu": "leaky ReLU", "conjugate": "conj", "getitem": "[ ]", "maximum": "max", "minimum": "min",
}  # fmt: skip
BETWEEN = {"add", "subtract", "multiply", "divide", "power", "matmul", "dot", "remainder"}
POWERS = {2: "x²", 3: "x³"}


def clean(text) -> str:
    """`text` on one line, without characters that XML forbids."""
    text = str(text).encode("utf-8", "replace").decode("utf-8")
    return re.sub(r"[\x00-\x1f\x7f\ufffe\uffff]", " ", text)


def short(text, longest) -> str:
    """At most `longest` characters of `text`: its beginning and its end."""
    text = clean(text)
    head = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:head]}…{text[head + 1 - longest :]}"


def escape(text) -> str:
    """`text` for a label of Graphviz in HTML form, to be shown as it is.

    `\\N` would be the node's name; a text of nothing but `]` stops older Graphviz.
    """
    return re.sub(r"^\]", "&#93;", html.escape(clean(text)).replace("\\", "&#92;&#92;"))


def number(x, digits=3) -> str:
    """Some significant digits of a number: enough to compare by eye."""
    return str(x.item()) if x.dtype.kind in "biu" else f"{x:.{digits}g}"


def brief(x, digits=3) -> str:
    """Some significant digits of a number, written the shorter way.

    >>> brief(0.00234, 2), brief(0.000234, 2), brief(1e10)
    ('0.0023', '2.3e-4', '1e10')
    """
    power = re.sub(r"\.?0*e\+?(-?)0*(\d)", r"e\1\2", f"{x:.{digits - 1}e}")
    return min(f"{x:.{digits}g}", power, key=len)


def numbers(a) -> tuple[str, bool]:
    """An array in a few characters, its elements or its range, and whether all of it is finite.

    >>> import numpy as np
    >>> numbers(np.array([1.0, -0.5])), numbers(np.arange(6.0) / 3), numbers(np.array([1.0, np.nan]))
    (('[1, -0.5]', True), ('0 to 1.7', True), ('1 of 2 not finite', False))
    """
    a = np.asarray(a)
    if a.dtype.kind not in "biufc" or a.size == 0:
        return "empty" if a.size == 0 else str(a.dtype), True
    broken = int(np.count_nonzero(~np.isfinite(a)))
    if broken:
        return f"{broken} of {a.size} not finite" if a.size > 1 else number(a.ravel()[0]), False
    if a.size == 1:
        return number(a.ravel()[0]), True
    if a.size == 2 and a.dtype.kind != "c":
        return f"[{', '.join(map(number, a.ravel()))}]", True
    if a.dtype.kind == "c":
        return f"|·| up to {number(np.max(np.abs(a)))}", True
    low, high = np.min(a), np.max(a)
    if low == high:
        return f"all {number(low)}", True
    digits = next((n for n in (2, 3, 4, 6, 9) if number(low, n) != number(high, n)), 17)
    return f"{number(low, digits)} to {number(high, digits)}", True


def op_text(vertex) -> str:
    """The symbol of an op, with the numbers, indices and keywords that it was given."""
    given = [_setting(p.value) if p.inline else None for p in vertex.parents]
    settings = [text for text in given if text is not None]
    symbol = SYMBOLS.get(vertex.op, vertex.op)
    if vertex.op == "power" and given[1] in ("2", "3"):
        text = POWERS[int(given[1])]
    elif vertex.op in BETWEEN and settings and len(given) == 2:
        left, right = ("x" if text is None else text for text in given)
        text = f"{left} {'×' if vertex.op == 'multiply' else symbol} {right}"
    elif vertex.op == "getitem":
        text = f"x[{settings[0].strip('(,)') if settings else 'index'}]"
    elif vertex.op == "output":
        text = f"output {settings[0] if settings else ''}"
    else:
        named = {k: _setting(v) for k, v in vertex.kwargs.items() if v is not None and v is not False}
        keywords = [text if k in ("shape", "newshape") else f"{k}={text}" for k, text in named.items()]
        text = " ".join([symbol, *settings, *keywords])
    return short(text, LONGEST_OP)


def _setting(value):
    """A number, index or keyword as the user would write it."""
    if isinstance(value, slice):
        ends = ["" if end is None else str(end) for end in (value.start, value.stop, value.step)]
        return ":".join(ends if value.step is not None else ends[:2])
    if isinstance(value, tuple):
        return f"({', '.join(map(_setting, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, np.ndarray):
        return "array" if value.ndim else _setting(value.item())
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, (float, complex, np.inexact)):
        return f"{value:.4g}"
    return "…" if value is ... else str(value)
