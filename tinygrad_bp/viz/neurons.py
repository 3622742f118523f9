"""`draw_net`: the book's drawing of a small net: neurons in layers, each edge as thick as it counts.

The one idea: it is the drawing of `textbook.py` with every neuron telling its δ and every edge its
weight or its gradient, all read off one observed run. Read `textbook.py` next.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

from typing import Any

from ..backprop.conventions import element
from ..errors import message
from . import style
from .render import Picture
from .style import brief
from .textbook import LIT, draw_layers, index_name, observed, reached, shown_neurons

THINNEST, THICKEST = 0.4, 6.0
"""Points."""


def draw_net(net: Any, x: Any, y: Any, cost: Any, edges: str = "gradient") -> Picture:
    """The net in layers for one example: δ^l_j in the neurons, edges as thick as |∂C/∂w^l_jk|, or |w^l_jk|.

    `edges`: "gradient" or "weight". Blue is above 0; orange and dashed below. Otherwise as `draw_weight`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 4, 2], rng=0, dtype=np.float64)
    >>> g = bp.viz.draw_net(net, np.ones(3), np.zeros(2), bp.nn.functional.quadratic_cost, edges="weight")
    >>> g.name
    'net'
    """
    symbols = {"gradient": ("nabla_w", "∂C/∂w"), "weight": ("w", "w")}
    if edges not in symbols:
        raise ValueError(message("draw_net(edges=…)", expected="'gradient' or 'weight'", got=repr(edges)))
    kept, symbol = symbols[edges]
    book = observed(net, x, y, cost)
    shown = shown_neurons(book)
    numbers = {at: element(book, kept, *at) for at in reached(shown, 1) if at[0] <= book.L}
    largest = max(map(abs, numbers.values()), default=0.0)
    lines = {}
    for at, number in numbers.items():
        width = THINNEST + (THICKEST - THINNEST) * abs(number) / (largest or 1.0)
        look = {
            "penwidth": f"{width:.2f}",
            "arrowhead": "none",
            "tooltip": f"{index_name(symbol, *at)} = {brief(number)}",
        }
        if number < 0:
            look["style"] = "dashed"
        lines[at] = ([style.NEGATIVE if number < 0 else style.POSITIVE], "", look)
    neurons = {
        (l, j): (LIT, [index_name("δ", l, j), brief(element(book, "delta", l, j, 1), 2)], "")
        for l in range(2, book.L + 1)
        for j in shown[l]
        if j
    }
    return draw_layers(
        book, "net", f"The net: the error δ in each neuron, and |{symbol}| as the thickness of its edge",
        [f"the thickest edge: |{symbol}| = {brief(largest)} ;   blue is above 0, orange and dashed below"],
        shown, neurons, lines,
    )  # fmt: skip
