"""Learning curves that show what the equations teach: costs from a saturated start, and the choice of σ.

Here you can let several nets learn the same and see who is slow: `saturated_start` the quadratic cost
against cross-entropy (T27), `choices_of_sigma` four activations (T26), `learning_curves` nets of your own.
The one idea: all start from the same weights and go the same steps; they differ in the one factor that
is being studied. Plotted by `bp.viz.plot_curves`. Read `diagnose.py` for the reasons.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..nn import MLP, Module
from ..nn.functional import binary_cross_entropy, leaky_relu, quadratic_cost, relu, softplus
from ..optim import SGD
from ..tensor import Tensor, constant
from ..transforms import no_grad
from .conventions import Table
from .notation import as_rows


def z_plus_tanh_z(z: Any) -> Any:
    """σ(z) = z + tanh z; σ′ = 2 − tanh² z lies between 1 and 2."""
    return z + np.tanh(z)


def leaky(z: Any) -> Any:
    """Leaky ReLU with a slope of 0.2 for z < 0."""
    return leaky_relu(z, 0.2)


SIGMAS = {"ReLU": relu, "softplus": softplus, "leaky ReLU": leaky, "z + tanh z": z_plus_tanh_z}


@dataclass(frozen=True)
class Curves:
    """`errors[name]`: `measure` over the whole batch, before the first step and after each epoch."""

    errors: dict[str, np.ndarray]
    measure: str

    def epochs_to(self, name: str, share: float = 0.5) -> int | None:
        """Epochs after which the error is first at most this share of what it was; None if never."""
        there = np.flatnonzero(self.errors[name] <= share * self.errors[name][0])
        return int(there[0]) if len(there) else None

    def __str__(self) -> str:
        rows = [
            (name, float(e[0]), float(e[-1]), self.epochs_to(name) or "never")
            for name, e in self.errors.items()
        ]
        return str(
            Table("Learning curves", (self.measure, "at first", "at the end", "epochs to half"), tuple(rows))
        )


def learning_curves(
    nets: Mapping[str, tuple[Module, Callable]], x: Any, y: Any, eta: float, epochs: int, measure: Callable
) -> Curves:
    """Train a copy of each net by gradient descent on its cost, w ← w − η ∂C/∂w on the whole batch.

    `nets`: name -> (net, cost); x, y, cost as for `verify`. `measure(a, y)`: the one yardstick of all.
    """
    errors: dict[str, list[float]] = {name: [] for name in nets}
    for name, (net, cost) in nets.items():
        net = copy.deepcopy(net)
        descent, (rows, targets) = SGD(net.parameters(), lr=eta), as_rows(net, x, y)
        for epoch in range(epochs + 1):
            a = net(Tensor(rows))
            with no_grad():
                errors[name].append(float(constant(measure(a, targets))))
            if epoch < epochs:
                descent.zero_grad()
                cost(a, targets).backward()
                descent.step()
    return Curves({name: np.array(found) for name, found in errors.items()}, measure.__name__)


def saturated_start(
    net: Module | None = None, x: Any = ((1.0,),), y: Any = ((0.0,),), eta: float = 0.15, epochs: int = 300
) -> Curves:
    """The quadratic cost against binary cross-entropy from one start, measured by the quadratic cost (T27).

    `net`: one with sigmoid outputs; by default the neuron of Nielsen ch. 3, w = b = 2, input 1, target 0,
    whose z = 4 is saturated on the wrong side. η is for both; the slopes σ′ = ¼ at z = 0 differ fourfold.

    >>> curves = saturated_start()
    >>> curves.epochs_to("quadratic cost") > 3 * curves.epochs_to("cross-entropy")
    True
    """
    if net is None:
        net = MLP([1, 1], init=lambda rng, shape, dtype: np.full(shape, 2.0), dtype=np.float64)
    costs: dict[str, Callable] = {"quadratic cost": quadratic_cost, "cross-entropy": binary_cross_entropy}
    return learning_curves(
        {name: (net, cost) for name, cost in costs.items()}, x, y, eta, epochs, quadratic_cost
    )


def choices_of_sigma(
    sizes: Any, x: Any, y: Any, cost: Callable, *, sigmas: Mapping[str, Callable] = SIGMAS, bias: float = -4.0,
    eta: float = 0.05, epochs: int = 400, rng: Any = 0,
) -> Curves:  # fmt: skip
    """The hidden σ compared (T26): the same weights, all hidden biases at `bias`, and linear outputs.

    At z = −4 σ′ is 0 for ReLU, 0.02 for softplus, 0.2 for leaky ReLU (of slope 0.2) and 1.001 for
    z + tanh z. `cost` takes the linear outputs, and is the measure. The nets have x's dtype if it is one
    of floats, else float32.
    """
    nets, given = {}, np.asarray(constant(x)).dtype
    dtype = given if given.kind == "f" else np.float32
    for name, sigma in sigmas.items():
        net = MLP(sizes, sigma, "linear", rng=np.random.default_rng(rng), init="xavier_normal", dtype=dtype)
        for layer in net.layers[:-1]:
            layer.bias = Tensor(np.full(layer.n_out, bias, layer.weight.dtype), requires_grad=True)
        nets[name] = (net, cost)
    return learning_curves(nets, x, y, eta, epochs, cost)
