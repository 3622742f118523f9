"""The training steps that are timed: nets, batches, costs, and the numbers that all contenders start from."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Task:
    """One step of SGD on one batch: a^l = σ(a^{l−1} wᵀ + b), its cost, backward, w ← w − rate ∂C/∂w.

    cost: "quadratic" is 1/(2m) Σ‖a − y‖² (all layers have the activation); "classes" is softmax
    cross-entropy of integer labels and "mse" the mean of (a − y)² (the last layer is linear in both).
    """

    sizes: tuple[int, ...]
    batch: int
    activation: str
    cost: str
    rate: float
    dtype: Any = field(default=np.float32)

    def start(self):
        """(parameters [w, b, w, b, ...], x, y): fresh arrays with the same numbers for every contender."""
        rng = np.random.default_rng(0)
        parameters = []
        for n_in, n_out in zip(self.sizes, self.sizes[1:]):
            scale = 1 if self.cost == "quadratic" else (2 / n_in) ** 0.5
            parameters.append((rng.standard_normal((n_out, n_in)) * scale).astype(self.dtype))
            parameters.append((rng.standard_normal(n_out) * scale).astype(self.dtype))
        x = rng.random((self.batch, self.sizes[0])).astype(self.dtype)
        return parameters, x, self._targets(rng)

    def _targets(self, rng):
        if self.cost == "mse":
            return rng.random((self.batch, self.sizes[-1])).astype(self.dtype)
        labels = rng.integers(0, self.sizes[-1], self.batch)
        return labels if self.cost == "classes" else np.eye(self.sizes[-1], dtype=self.dtype)[labels]

    def products(self):
        """[(m, k, n)] of the products in one step: forward, ∂C/∂w, and ∂C/∂a but for the first layer."""
        m, found = self.batch, []
        for i, (n_in, n_out) in enumerate(zip(self.sizes, self.sizes[1:])):
            found += [(m, n_in, n_out), (n_out, m, n_in)] + [(m, n_out, n_in)] * (i > 0)
        return found


TASKS = {
    "W1": Task((784, 30, 10), 10, "sigmoid", "quadratic", 3.0),
    "W1 float64": Task((784, 30, 10), 10, "sigmoid", "quadratic", 3.0, np.float64),
    "W2": Task((784, 256, 128, 10), 128, "relu", "classes", 0.1),
    "W3": Task((1024,) * 5, 512, "relu", "mse", 1.0),
    "W8": Task((784, 256, 128, 10), 128, "tanh", "classes", 0.1),
}
