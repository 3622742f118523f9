"""How things are written and coloured in drawings: symbols of ops, numbers, the palette.

The one idea: everything that a picture says in words or colours is decided here, once. The colours
are tints of Okabe and Ito's palette, which colour-blind readers can tell apart, and none carries a
meaning alone: parameters also have a heavy border, constants a dashed one. `darkened` puts each in place
of its dark twin, in a finished drawing. Read `labels.py` next.
"""

import html
import re

import numpy as np

INK, MUTED, GRADIENT, ALARM = "#1f2933", "#52606d", "#9c3d00", "#b00020"
PAPER = VALUE_FILL = "#ffffff"
VALUE_EDGE = "#7b8794"
PARAMETER_FILL, PARAMETER_EDGE = "#d6e9f6", "#0072b2"
CONSTANT_FILL, CONSTANT_EDGE = "#f0f2f4", "#7b8794"
OP_FILL, OP_EDGE = "#fdeccb", "#a86f00"
MODULE_FILL, MODULE_EDGE = "#e3e9d8", "#5a6b2f"
LAYER_FILL, LAYER_EDGE = "#f5f7fa", "#cbd2d9"
FLOW = "#52606d"
PATHS = [PARAMETER_EDGE, "#b8460e", "#00735c", "#8e3a80", INK]
"""The colours of paths, in the order in which they are given."""
UNTAUGHT, SATURATED = "#7a2e6d", "#8a4b00"
"""Borders and words of parameters without a gradient, and of flat units."""
NEGATIVE, POSITIVE = "#d55e00", "#0072b2"
STEPS = 6
"""Shades of a heatmap on either side of 0."""
FONT = "Arial"

DARK = {
    INK: "#f0f4f8", MUTED: "#b8c4cf", GRADIENT: "#ffb385", ALARM: "#ff9aa5", PAPER: "#12171d", VALUE_EDGE: "#8795a3",
    PARAMETER_FILL: "#0f3350", PARAMETER_EDGE: "#5db8f0", CONSTANT_FILL: "#262d36", OP_FILL: "#46340f",
    OP_EDGE: "#e0a53a", MODULE_FILL: "#2f3820", MODULE_EDGE: "#b3c77f", LAYER_FILL: "#1b222b", LAYER_EDGE: "#46525f",
    "#b8460e": "#ff9a5c", "#00735c": "#4fd1b0", "#8e3a80": "#e59ad8", UNTAUGHT: "#e9a3dc", SATURATED: "#f0b35e",
    NEGATIVE: "#ff8a3d",
}  # fmt: skip
"""Every colour -> its twin on dark paper."""


def _mixed(a, b, share):
    """The colour that is `share` of b and the rest of a."""
    pairs = ((int(a[i : i + 2], 16), int(b[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(x + share * (y - x)):02x}" for x, y in pairs)


def _scale(paper, negative, positive):
    """Colours from the negative one through paper to the positive one."""
    shares = [i / STEPS for i in range(1, STEPS + 1)]
    left = [_mixed(paper, negative, share) for share in reversed(shares)]
    return [*left, paper, *(_mixed(paper, positive, share) for share in shares)]


HEAT = _scale(PAPER, NEGATIVE, POSITIVE)
DARK |= dict(zip(HEAT, _scale(DARK[PAPER], DARK[NEGATIVE], DARK[POSITIVE])))
_COLOR = re.compile("|".join(DARK))

GRAPH = {
    "newrank": "true", "ranksep": "0.17", "nodesep": "0.18", "pad": "0.1", "bgcolor": PAPER,
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
MODULE = {
    "shape": "box", "style": "filled,bold", "fillcolor": MODULE_FILL, "color": MODULE_EDGE, "peripheries": "2",
}  # fmt: skip
MORE = {**OP, "fillcolor": LAYER_FILL, "color": MUTED, "style": "filled,dotted"}
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
WORDS = {"fontname": FONT, "fontsize": "14", "fontcolor": GRADIENT}
"""Attributes of Graphviz."""

LONGEST_NAME, LONGEST_OP, LONGEST_TITLE = 24, 20, 34

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

    `\\N` would be the node's name; a text of nothing but `]` stops older Graphviz; and what looks like a
    colour would be `darkened`.
    """
    text = re.sub("#(?=[0-9a-f])", "\0", clean(text))
    return re.sub(r"^\]", "&#93;", html.escape(text).replace("\\", "&#92;&#92;")).replace("\0", "&#35;")


def darkened(dot: str) -> str:
    """DOT text with every colour of the palette replaced by its twin on dark paper."""
    return _COLOR.sub(lambda found: DARK[found[0]], dot)


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


def heat(a, most=8) -> list[list[str]]:
    """Rows of colours for an array: blue above 0, orange below, ALARM if not finite; each stands for an element.

    Of an axis longer than `most`, evenly spaced elements; all axes but the last make the rows.

    >>> import numpy as np
    >>> heat(np.array([[0.0, -2.0, np.nan]])) == [[PAPER, NEGATIVE, ALARM]]
    True
    """
    a = np.atleast_2d(np.asarray(a))
    a = a.reshape(-1, a.shape[-1])
    a = a[np.ix_(*(np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int)) for n in a.shape))]
    a = np.abs(a) if a.dtype.kind == "c" else a.astype(np.float64)
    fine = np.isfinite(a)
    largest = np.max(np.abs(a), where=fine, initial=0.0) or 1.0
    place = np.rint(np.where(fine, a, 0.0) / largest * STEPS).astype(int) + STEPS
    return [[HEAT[i] if ok else ALARM for i, ok in zip(*row)] for row in zip(place, fine)]


def op_text(vertex) -> str:
    """The symbol of an op, with the numbers, indices and keywords that it was given."""
    given = [_setting(p.value) if p.inline else None for p in vertex.parents]
    settings = [text for text in given if text is not None]
    symbol = SYMBOLS.get(vertex.op, vertex.op)
    exponent = given[1] if vertex.op == "power" and len(given) == 2 else None
    if exponent is not None and exponent in ("2", "3"):
        text = POWERS[int(exponent)]
    elif vertex.op in BETWEEN and settings and len(given) == 2:
        left, right = ("x" if text is None else text for text in given)
        text = f"{left} {'×' if vertex.op == 'multiply' else symbol} {right}"
    elif vertex.op == "getitem":
        index = vertex.kwargs["index"]
        several = isinstance(index, np.ndarray) and index.ndim
        text = f"x[{'index' if several else _setting(index).strip('(,)')}]"
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
