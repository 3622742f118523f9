"""`program`: what a compiled step does, as it was traced and as it is replayed, side by side.

The one idea: a program is a list of calls, so the picture has one ellipse per call, in two frames; what
the passes have folded, joined and dropped is what the second frame lacks. Read `stepper.py` next.
"""

from collections import Counter
from typing import Any

import numpy as np

from ..errors import message
from ..graph import upstairs
from . import style
from .render import Picture

LOOKS = {"argument": style.CONSTANT, "state": style.PARAMETER, "call": style.OP, "result": style.RESULT}


@upstairs
def program(step: Any, *, max_calls: int = 500) -> Picture:
    """The latest program of a compiled step before and after the passes, as a picture that shows itself.

    Arguments are dashed, state (parameters, rates) is blue, and an arrow back to it says that it is
    written. A call is an ellipse, with the name that its result has. Raises RuntimeError before
    there is a program, ValueError beyond `max_calls`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> step = bp.compile(bp.grad(lambda x: np.sum(np.sin(x) ** 2)))
    >>> for _ in range(3): _ = step(np.ones(2))
    >>> "as it is replayed" in bp.viz.program(step).source
    True
    """
    before, after = step.programs
    size = max(len(before.calls), len(after.calls))
    if size > max_calls:
        raise ValueError(
            message("the program is too large to be read", expected=f"max_calls={max_calls}", got=size)
        )
    dot = Picture("program", graph_attr=style.GRAPH, node_attr=style.NODE, edge_attr=style.EDGE, format="svg")
    for key, title, one in (("a", "as it was traced", before), ("b", "as it is replayed", after)):
        with dot.subgraph(name=f"cluster_{key}") as part:
            text = f"{title}: {len(one.calls)} calls"
            part.attr(label=f"<<B>{style.escape(text)}</B>>", **style.FRAME)
            _draw(part, key, one)
    return dot


def _draw(dot, key, one):
    made = {v: n for n, call in enumerate(one.calls) for v in call.outs}
    written = {one.state[place]: v for place, v in one.writes if type(place) is int}
    used = {v for call in one.calls for v in call.inputs()} | {*one.outputs(), *written}
    words: dict[Any, str] = {}
    for kind, given in (("argument", one.inputs), ("state", one.state)):
        for v in given:
            if v in used:
                words[v] = f"{key}v{v.number}"
                dot.node(words[v], _label(v.name or kind, f"{v.shape or 'scalar'} {v.dtype}"), **LOOKS[kind])
    for n, call in enumerate(one.calls):
        words |= dict.fromkeys(call.outs, f"{key}{n}")
        look = LOOKS["result"] | {"shape": "ellipse"} if set(call.outs) & set(one.results) else LOOKS["call"]
        names = ", ".join(v.name for v in call.outs if v.name)
        dot.node(f"{key}{n}", _label(names, _symbol(call)), **look)
        for v, times in Counter(call.inputs()).items():
            for _ in range(times):
                dot.edge(words[v], f"{key}{n}")
    for state, v in written.items():
        if v in made:
            dot.edge(words[v], words[state], style="dashed", constraint="false", color=style.PARAMETER_EDGE)


def _label(name, text):
    text = style.escape(style.short(text, style.LONGEST_NAME))
    return f"<<B>{style.escape(name)}</B><BR/>{text}>" if name else f"<{text}>"


def _symbol(call):
    function: Any = call.function
    name = getattr(function, "__name__", "call")
    if isinstance(getattr(function, "__self__", None), np.ufunc):
        name = f"{function.__self__.__name__}.{name}"
    symbol = style.SYMBOLS.get(name, name)
    words = [style.brief(np.asarray(a)[()]) if _is_number(a) else "x" for a in call.args]
    if name in style.BETWEEN and len(words) == 2 and words != ["x", "x"]:
        return f"{words[0]} {'×' if name == 'multiply' else symbol} {words[1]}"
    return symbol


def _is_number(a):
    return isinstance(a, (int, float, np.generic, np.ndarray)) and np.ndim(a) == 0
