"""Activations as Modules, under PyTorch's names, and by name for `MLP`.

Each is the function of `functional.py`, with its settings as attributes. Read `functional.py` next.
"""

from collections.abc import Callable
from typing import Any

from ..errors import message
from . import functional as F
from .module import Module


class Sigmoid(Module):
    """σ(x) = 1/(1 + e^−x)."""

    def forward(self, input: Any) -> Any:
        """σ(input)."""
        return F.sigmoid(input)


class Tanh(Module):
    """tanh x."""

    def forward(self, input: Any) -> Any:
        """tanh(input)."""
        return F.tanh(input)


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, input: Any) -> Any:
        """max(input, 0)."""
        return F.relu(input)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope · x."""

    def __init__(self, negative_slope: float = 0.01):
        self.negative_slope = negative_slope

    def forward(self, input: Any) -> Any:
        """See the class."""
        return F.leaky_relu(input, self.negative_slope)

    def describe(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}"


class Softplus(Module):
    """log(1 + e^{βx})/β."""

    def __init__(self, beta: float = 1.0):
        self.beta = beta

    def forward(self, input: Any) -> Any:
        """See the class."""
        return F.softplus(input, self.beta)

    def describe(self) -> str:
        """β."""
        return f"beta={self.beta}"


class Softmax(Module):
    """e^x / Σ e^x over the axis `dim`."""

    def __init__(self, dim: int = -1):
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """See the class."""
        return F.softmax(input, self.dim)

    def describe(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """x − log Σ e^x over the axis `dim`."""

    def __init__(self, dim: int = -1):
        self.dim = dim

    def forward(self, input: Any) -> Any:
        """See the class."""
        return F.log_softmax(input, self.dim)

    def describe(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class Identity(Module):
    """x itself."""

    def forward(self, input: Any) -> Any:
        """The input."""
        return input


BY_NAME: dict[str, Callable] = {
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "softplus": F.softplus,
    "softmax": F.softmax,
    "log_softmax": F.log_softmax,
    "linear": F.identity,
}


def activation(act: str | Callable) -> Callable:
    """The function that `act` names, or is."""
    if callable(act):
        return act
    if act not in BY_NAME:
        raise ValueError(
            message(
                "there is no such activation",
                expected=f"a function or one of {', '.join(BY_NAME)}",
                got=repr(act),
            )
        )
    return BY_NAME[act]
