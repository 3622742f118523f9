"""The gradient as a sum over paths, and backprop as a way to add them up: Nielsen ch. 2, eqs. 47–53.

Here you can count, list, rank and add up all paths from a weight, a bias or a neuron to the cost: in a
net (`layered`), in any recorded graph of scalar ops (`recorded`), in a graph of your own (`Graph`). You
can also follow one Δw through the layers (`spread`), and turn the sum into backprop (`regroup`).

The one idea: every edge has a rate factor ∂(its end)/∂(its start), a path's rate is their product, and
the sum of all rates is the gradient. Paths are exponentially many, but they share their ends; so what is
asked of all of them (how many? which sum? the largest k?) is answered vertex by vertex, from the cost
inwards. For the sum this is backpropagation. Read `effort.py` next.
"""

# l is the book's name of a layer.

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Path:
    """One path to the cost: the neurons (l, j) that it passes, in the book's counting, and its rate factors.

    `neurons`: from where it starts to the output neuron; in a recorded graph, its `Seen`s. `factors`: ∂a/∂a
    from neuron to neuron, ∂C/∂a^L_m at the end and, if it starts at a weight or bias, ∂a^l_j/∂w^l_jk first.
    """

    neurons: tuple[Any, ...]
    factors: tuple[float, ...]

    @property
    def rate(self) -> float:
        """The product of the factors, the path's share in the gradient (eq. 51 without its Δw)."""
        rate = 1.0
        for factor in reversed(self.factors):
            rate = _times(factor, rate)
        return rate


def _times(factor, rate):
    """factor · rate, and 0 if the rate is: what does not reach the cost has no gradient, as in the engine."""
    return factor * rate if rate else 0.0
