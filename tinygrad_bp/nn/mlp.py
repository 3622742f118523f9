"""`MLP`: the net of the textbook, layer by layer z = a wᵀ + b, a = σ(z).

The one idea: `.layers` and `.activations` are two lists of one length, so that whoever explains the
net can walk through it as the book does. Read `training/fit.py` next.
"""

from __future__ import annotations  # numpy.random is loaded when it is used

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import message
from .activations import activation as resolve
from .init import Initializer
from .layers import Linear
from .module import Module


class MLP(Module):
    """A stack of `Linear` layers with activations: a^1 = x, z^l = a^{l−1} wᵀ + b, a^l = σ(z^l).

    `sizes`: widths, inputs first. `activation`: a name, a function or Module, or a list with one
    per layer. `output`: the last layer's (None: the same; "linear": logits). `init`: see `nn.init`
    (None: U(±1/√n_in); "standard_normal": the book's). `rng`: a Generator, a seed, or None.

    >>> import numpy as np, tinygrad_bp as bp
    >>> bp.nn.MLP([3, 4, 2], activation="tanh", output="linear", rng=0)
    MLP([3, 4, 2], tanh, linear)
      layers.0: Linear(3, 4)
      layers.1: Linear(4, 2)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Callable | Sequence[str | Callable] = "sigmoid",
        output: str | Callable | None = None,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
        init: str | Initializer | None = None,
    ):
        if not isinstance(sizes, Iterable) or len(sizes := list(sizes)) < 2:
            raise ValueError(
                message(
                    "an MLP needs at least two widths, inputs and outputs",
                    got=f"sizes={sizes!r}",
                    do="give them as a list, such as MLP([784, 30, 10])",
                )
            )
        rng = np.random.default_rng(rng)
        self.layers: list[Linear] = [
            Linear(n_in, n_out, rng=rng, dtype=dtype, init=init) for n_in, n_out in itertools.pairwise(sizes)
        ]
        self.activations: list[Callable] = _activations(activation, output, len(self.layers))

    def forward(self, x: Any) -> Any:
        """The activations of the last layer."""
        for layer, activation in zip(self.layers, self.activations):
            x = activation(layer(x))
        return x

    @property
    def sizes(self) -> list[int]:
        """The widths of all layers, inputs first."""
        return [self.layers[0].n_in, *(layer.n_out for layer in self.layers)]

    def describe(self) -> str:
        """The widths and the activations."""
        return ", ".join([str(self.sizes), *map(_name, self.activations)])


def _activations(activation, output, count):
    """One function per layer."""
    if isinstance(activation, str) or callable(activation):
        return [resolve(activation)] * (count - 1) + [resolve(activation if output is None else output)]
    listed = [resolve(act) for act in activation]
    if output is not None or len(listed) != count:
        raise ValueError(
            message(
                "a list of activations has one entry per layer, the last for the output",
                expected=f"{count} activations and output=None",
                got=f"{len(listed)} and output={output!r}",
            )
        )
    return listed


def _name(act):
    name = getattr(act, "__name__", None) or repr(act)
    return "linear" if name == "identity" else name
