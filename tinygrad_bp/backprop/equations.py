"""BP1–BP4, the four equations of backpropagation, written by hand in NumPy as in the book.

Source: M. Nielsen, *Neural Networks and Deep Learning* (2015), chapter 2. Here you can evaluate each
equation on arrays of your own, layer by layer; `verify.py` holds them against the engine.

The one idea: an index in the code is a superscript in the book. `w`, `a`, `delta`, `sigma_prime_z`
are dicts from the layer l (the input is layer 1, the output L) to its array, and columns are
examples: w[l] is (n_l, n_{l−1}), a[l], delta[l] and sigma_prime_z[l] = σ′(z^l) are (n_l, m).
delta[l] is the error of each example by itself, ∂C_x/∂z^l; C is the mean of C_x over the m examples,
and so the mean stands in BP3 and BP4. Nothing in this file knows of the engine. Read `notation.py`
next.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

Layers = dict[int, np.ndarray]


def BP1(nabla_a: np.ndarray, sigma_prime_z: Layers, L: int) -> np.ndarray:
    """δ^L = ∇_a C ⊙ σ′(z^L), the error of the output layer (BP1a; for the quadratic cost eq. 30).

    `nabla_a`: ∂C_x/∂a^L, (n_L, m).

    >>> import numpy as np
    >>> BP1(np.array([[1.0], [2.0]]), {3: np.array([[0.25], [0.5]])}, 3)
    array([[0.25],
           [1.  ]])
    """
    return nabla_a * sigma_prime_z[L]


def BP2(w: Layers, delta: Layers, sigma_prime_z: Layers, l: int) -> np.ndarray:
    """δ^l = ((w^{l+1})ᵀ δ^{l+1}) ⊙ σ′(z^l), the error in terms of the next layer's (BP2; eq. 45).

    >>> import numpy as np
    >>> BP2({3: np.array([[1.0, 2.0]])}, {3: np.array([[10.0]])}, {2: np.array([[0.5], [1.0]])}, 2)
    array([[ 5.],
           [20.]])
    """
    return (w[l + 1].T @ delta[l + 1]) * sigma_prime_z[l]


def BP3(delta: Layers, l: int) -> np.ndarray:
    """∂C/∂b^l_j = δ^l_j, averaged over the examples (BP3; eq. 31): (n_l, 1).

    >>> import numpy as np
    >>> BP3({2: np.array([[1.0, 3.0]])}, 2)
    array([[2.]])
    """
    return np.mean(delta[l], axis=1, keepdims=True)


def BP4(a: Layers, delta: Layers, l: int) -> np.ndarray:
    """∂C/∂w^l_jk = a^{l−1}_k δ^l_j, averaged over the examples (BP4; eq. 32: a_in δ_out): (n_l, n_{l−1}).

    >>> import numpy as np
    >>> BP4({1: np.array([[1.0, 0.0], [2.0, 1.0]])}, {2: np.array([[1.0, 3.0]])}, 2)
    array([[0.5, 2.5]])
    """
    return delta[l] @ a[l - 1].T / delta[l].shape[1]


def eq37(nabla_a: np.ndarray, da_dz: Iterable[np.ndarray]) -> np.ndarray:
    """δ^L = (∂a^L/∂z^L)ᵀ ∇_a C (eq. 37), where BP1 ends for a σ that is not elementwise, such as softmax.

    `nabla_a`: (n_L, m); `da_dz`: for each example the matrix ∂a^L_k/∂z^L_j, (n_L, n_L).

    >>> import numpy as np
    >>> eq37(np.array([[1.0], [0.0]]), [np.array([[0.25, -0.25], [-0.25, 0.25]])])
    array([[ 0.25],
           [-0.25]])
    """
    return np.stack([jacobian.T @ g for jacobian, g in zip(da_dz, nabla_a.T)], axis=1)


@dataclass(frozen=True)
class Equations:
    """The equations as one value; replace one to see that a wrong one is noticed.

    >>> Equations(BP3=lambda delta, l: -BP3(delta, l)) == Equations()
    False
    """

    BP1: Callable[..., np.ndarray] = BP1
    BP2: Callable[..., np.ndarray] = BP2
    BP3: Callable[..., np.ndarray] = BP3
    BP4: Callable[..., np.ndarray] = BP4
    eq37: Callable[..., np.ndarray] = eq37


FORMULAS = {
    "BP1": "δ^L = ∇_a C ⊙ σ′(z^L)",
    "BP2": "δ^l = (w^{l+1}ᵀ δ^{l+1}) ⊙ σ′(z^l)",
    "BP3": "∂C/∂b^l = δ^l",
    "BP4": "∂C/∂w^l_jk = a^{l−1}_k δ^l_j",
    "eq37": "δ^L = (∂a^L/∂z^L)ᵀ ∇_a C",
}


def _logistic(x):
    with np.errstate(over="ignore"):  # e^−x = inf gives the right limit, 0
        return 1 / (1 + np.exp(-x))


# σ′(z) of the known activations, from z and a = σ(z). Where σ′ is a formula in a, the book's σ(1 − σ)
# for one, the a at hand is used: a second a, computed anew, may differ in its last bit, and 1 − a
# blows that bit up where σ saturates. At their kinks ReLU has 0 and leaky ReLU its slope.
# fmt: off
SIGMA_PRIME: dict[str, Callable[..., np.ndarray]] = {
    "linear":     lambda z, _a: np.ones_like(z),
    "sigmoid":    lambda _z, a: a * (1 - a),
    "tanh":       lambda _z, a: 1 - a * a,
    "relu":       lambda z, _a: (z > 0).astype(z.dtype),
    "leaky_relu": lambda z, _a, negative_slope=0.01: np.where(z > 0, 1, negative_slope).astype(z.dtype),
    "softplus":   lambda z, _a, beta=1.0: _logistic(beta * z),
}
# fmt: on


# ∂a_k/∂z_j of the activations that are not elementwise, from one example's a, as a difference of two
# terms; `sign=1` adds up their magnitudes, which tells how much of the difference is lost to rounding.
# fmt: off
JACOBIAN: dict[str, Callable[..., np.ndarray]] = {
    "softmax":     lambda a, sign=-1: np.diag(a) + sign * np.outer(a, a),
    "log_softmax": lambda a, sign=-1: np.eye(a.size, dtype=a.dtype) + sign * np.exp(a),
}
# fmt: on


def _one_over(p):
    """∂ log p/∂p, and 0 where the cost has cut log p off at −100."""
    return np.divide(1, p, out=np.zeros_like(p), where=p > np.exp(-100.0))


# ∇_a C_x of the known costs, from a = a^L and y, both (n_L, m). PyTorch's two are means over the n_L
# outputs as well. Only costs whose derivative is exact to the last digits when computed from a are
# here: for costs that take logits it is a difference of two nearly equal numbers once a net is trained.
# fmt: off
COST_DERIVATIVE: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "quadratic_cost":       lambda a, y: a - y,
    "mse_loss":             lambda a, y: 2 * (a - y) / a.shape[0],
    "binary_cross_entropy": lambda a, y: ((1 - y) * _one_over(1 - a) - y * _one_over(a)) / a.shape[0],
}
# fmt: on
