"""Stochastic gradient descent: w ← w − η ∂C/∂w, with momentum and weight decay (T18).

The one idea: an optimizer works on the raw arrays, in place, so nothing is recorded and whoever
holds the array sees the update. Read `training/fit.py` next.
"""

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..backward import used_before
from ..errors import message, outline
from ..tensor import Tensor
from ..writes import rebase, unshare

_SETTINGS = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")
BLOCK = 1 << 16
"""Numbers of a large parameter that are moved at a time."""
_STALE = message(
    "SGD.step was given gradients that contain those of an earlier step",
    expected="gradients of backward passes since the last step",
    got="a sum that was never set back",
    do="call optimizer.zero_grad() before each loss.backward()",
)


class SGD:
    """p ← p − lr·v, where v = momentum·v + (1 − dampening)·g, and g = ∂C/∂p + weight_decay·p.

    The first v is g. `nesterov` steps along g + momentum·v, `maximize` uphill. (PyTorch's formulas.)
    Parameters without a gradient are left alone. `.lr` may be set between steps.
    Raises for an empty or wrong list of parameters and for settings out of range.

    >>> import numpy as np, tinygrad_bp as bp
    >>> w = bp.Tensor([1.0, 2.0], requires_grad=True)
    >>> np.sum(w * w).backward()
    >>> bp.optim.SGD([w], lr=0.25).step(); w.data
    array([0.5, 1. ])
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        maximize: bool = False,
    ):
        self.params = _checked(params)
        self.lr = lr
        if self.lr == 0:
            raise ValueError(message("SGD cannot learn at this rate", expected="lr > 0", got=f"lr={lr!r}"))
        self.momentum = _not_negative("momentum", momentum)
        self.dampening = float(dampening)
        self.weight_decay = _not_negative("weight_decay", weight_decay)
        if nesterov and not (momentum > 0 and dampening == 0):
            raise ValueError(
                message(
                    "Nesterov's method is defined with momentum alone",
                    expected="momentum > 0 and dampening = 0",
                    got=f"momentum={momentum!r}, dampening={dampening!r}",
                )
            )
        self.nesterov, self.maximize = bool(nesterov), bool(maximize)
        self.velocity: list[Any] = [None] * len(self.params)
        self._watching = True

    @property
    def lr(self):
        """The learning rate η; 0 (a schedule's end) or more."""
        return float(self._lr)

    @lr.setter
    def lr(self, lr):
        self._lr = np.float64(_not_negative("lr", lr))
        self._rate = np.array(self._lr, self.params[0].dtype)  # in NumPy, twice as quick as a Python float

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters: `.grad` is None again."""
        for p in self.params:
            p.zero_grad()

    def step(self) -> None:
        """Move every parameter that has a gradient.

        Warns, once, if a gradient that the last step used is still in the sum: a missing `zero_grad`.
        """
        if self._watching:
            watched = self._watched()
            if watched is not None and used_before(watched):
                self._watching = False
                warnings.warn(_STALE, stacklevel=2)
        rate, plain = self._rate, not (self.momentum or self.weight_decay or self.maximize)
        for i, p in enumerate(self.params):
            g = None if p._node is None else p._node.grad
            if g is None:
                continue
            if not plain:
                g = self._direction(i, g, p.data)
            if g.dtype is not rate.dtype:
                rate = self._rate = np.array(self._lr, g.dtype)
            if type(p._data) is not np.ndarray:  # a stand-in for an array
                rebase(p, p.data - rate * g)
                continue
            unshare(p)  # a graph that was kept still needs the old values
            if g.size < 2 * BLOCK:
                np.subtract(p._data, rate * g, p._data)
            else:
                _move(p._data, g, rate)

    def _watched(self):
        """The Node of the last parameter, or of another if that one has no gradient, or None."""
        node = self.params[-1]._node
        if node is not None and node.grad is not None:
            return node
        nodes = (p._node for p in self.params)
        return next((node for node in nodes if node is not None and node.grad is not None), None)

    def _direction(self, i, g, p):
        """v, or g + momentum·v."""
        if self.maximize:
            g = -g
        if self.weight_decay:
            g = g + self.weight_decay * p
        if not self.momentum:
            return g
        v = self.velocity[i]
        v = g * 1 if v is None else self.momentum * v + (1 - self.dampening) * g
        self.velocity[i] = v
        return g + self.momentum * v if self.nesterov else v

    def state_dict(self) -> dict[str, Any]:
        """The settings, and "velocity": one array (a copy) or None per parameter."""
        state = {name: getattr(self, name) for name in _SETTINGS}
        return {**state, "velocity": [None if v is None else np.array(v) for v in self.velocity]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the settings and velocities of `state`, made by `state_dict` for parameters of these shapes."""
        expected = {*_SETTINGS, "velocity"}
        if set(state) != expected:
            raise ValueError(
                message("this is not a state of SGD", expected=sorted(expected), got=sorted(state))
            )
        shapes = [p.shape for p in self.params]
        found = [None if v is None else np.shape(v) for v in state["velocity"]]
        if len(found) != len(shapes) or any(f not in (None, s) for f, s in zip(found, shapes)):
            raise ValueError(
                message("the velocities do not fit the parameters", expected=f"shapes {shapes}", got=found)
            )
        for name in _SETTINGS:
            setattr(self, name, state[name])
        self.velocity = [
            None if v is None else np.array(v, p.dtype) for v, p in zip(state["velocity"], self.params)
        ]

    def __repr__(self):
        settings = ", ".join(f"{name}={getattr(self, name)}" for name in _SETTINGS if getattr(self, name))
        return f"SGD({len(self.params)} parameters, {settings})"


def _move(p, g, rate):
    """p −= rate·g in blocks of rows: what is multiplied has not left the cache when it is subtracted."""
    rows = max(1, BLOCK * len(p) // p.size)
    for i in range(0, len(p), rows):
        block = p[i : i + rows]
        np.subtract(block, rate * g[i : i + rows], block)


def _checked(params):
    """The parameters as a list, each a leaf that is there once."""
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        raise TypeError(
            message(
                "SGD needs a collection of parameters",
                got=type(params).__name__,
                do="pass net.parameters(), or [t] for one Tensor",
            )
        )
    params = list(params)
    if not params:
        raise ValueError(
            message("SGD got no parameters", do="an exhausted generator has none: call net.parameters() anew")
        )
    for i, p in enumerate(params):
        if type(p) is not Tensor or p._node is None or p._node.op is not None:
            raise TypeError(
                message(
                    f"parameter {i} of SGD is not one",
                    expected="a Tensor with requires_grad=True that was not computed",
                    got=outline(p),
                    do="pass net.parameters()",
                )
            )
    if len({id(p) for p in params}) < len(params):
        raise ValueError(message("SGD got one parameter twice", do="list each parameter once"))
    return params


def _not_negative(name, value):
    """`value` as a Python float, which widens no array's dtype."""
    number = math.nan if isinstance(value, str) else float(value)
    if not 0 <= number < math.inf:
        raise ValueError(
            message(f"SGD with a wrong {name}", expected="a finite number, 0 or more", got=repr(value))
        )
    return number
