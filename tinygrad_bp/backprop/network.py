"""`Network`: the book's program, with its names, and three ways to compute the same gradient.

    net = bp.backprop.Network([784, 30, 10], rng=0)
    net.SGD(training_data, 30, 10, 3.0, test_data=test_data, log=print)

The one idea: the book's neurons are columns, w a + b, and so one piece of code is the forward pass of
one example (n_1, 1), of m examples as the columns of a matrix (T20), and of Tensors, from which the
engine finds the gradient by itself. `backprop` by hand and by the engine are interchangeable
(`by=`), the loop over a mini-batch and the matrix form as well (`matrix=`). Lists of layers are
counted from the end: `weights[-1]` is w^L, `weights[-2]` w^{L−1}. Source: Nielsen ch. 2; the names
of the methods are those of its program. Read `check_student.py` next.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

from __future__ import annotations  # numpy.random is loaded when it is used

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..data import batches
from ..errors import message
from ..nn import functional
from ..nn.functional import identity, sigmoid
from ..transforms import grad
from .effort import seconds
from .equations import SIGMA_PRIME

Pair = tuple[Callable, Callable]
Activation = str | Pair
Pairs = Sequence[tuple[Any, Any]]
Gradient = tuple[list[np.ndarray], list[np.ndarray]]


def sigmoid_prime(z: Any) -> Any:
    """σ′(z) = σ(z) (1 − σ(z)).

    >>> sigmoid_prime(0.0)
    np.float64(0.25)
    """
    a = sigmoid(z)
    return a * (1 - a)


class FiveSteps(NamedTuple):
    """One run of the algorithm: 1 activations[0]; 2 zs, activations; 3 nabla_a and deltas[-1]; 4 deltas; 5 nabla_b, nabla_w.

    Lists over the layers 2 … L (`activations`: 1 … L); `slopes` has σ′(z^l), or f′ where a neuron has its
    own f. Printed as a table, vectors lying down.
    """

    zs: list[np.ndarray]
    activations: list[np.ndarray]
    nabla_a: np.ndarray
    slopes: list[np.ndarray]
    deltas: list[np.ndarray]
    nabla_b: list[np.ndarray]
    nabla_w: list[np.ndarray]

    def __str__(self) -> str:
        L, lines = len(self.activations), [("1 input", "a^1", self.activations[0])]
        for l, z, a in zip(range(2, L + 1), self.zs, self.activations[1:]):
            lines += [("2 feedforward" if l == 2 else "", f"z^{l}", z), ("", f"a^{l}", a)]
        lines += [("3 output error", "∇_a C", self.nabla_a)]
        for l in range(L, 1, -1):
            step = "4 backpropagate" if l == L - 1 else ""
            lines += [(step, f"σ′(z^{l})", self.slopes[l - 2]), ("", f"δ^{l}", self.deltas[l - 2])]
        for l, nabla_b, nabla_w in zip(range(2, L + 1), self.nabla_b, self.nabla_w):
            lines += [("5 gradient" if l == 2 else "", f"∂C/∂b^{l}", nabla_b), ("", f"∂C/∂w^{l}", nabla_w.T)]
        show = partial(np.array2string, precision=4, suppress_small=True, threshold=60, edgeitems=2)
        shown = (f"{step:<16} {name:<8} {show(array.T, prefix=' ' * 26)}" for step, name, array in lines)
        return "\n".join(shown)


class Network:
    """The book's network, with quadratic cost: weights and biases start as standard normals.

    `sizes`: the widths, inputs first. `by`: "hand" or "engine", who computes `backprop`. `matrix`: a
    mini-batch as one matrix, a column per example, or one example after the other. `sigma`: "sigmoid",
    another name or a pair (σ, σ′). `own`: {(l, j): the activation of neuron j in layer l}, both counted
    from 1 as in the book (T16). `rng`: a Generator or seed.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.backprop.Network([2, 3, 1], rng=0, own={(2, 3): (np.sin, np.cos)})
    >>> net.num_layers, [w.shape for w in net.weights], net.feedforward(np.ones((2, 1))).shape
    (3, [(3, 2), (1, 3)], (1, 1))
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        by: str = "hand",
        matrix: bool = False,
        sigma: Activation = "sigmoid",
        own: Mapping[tuple[int, int], Activation] | None = None,
        rng: np.random.Generator | int | None = None,
    ):
        if by not in ("hand", "engine") or len(sizes) < 2:
            expected = "by='hand' or 'engine', and at least two widths, inputs and outputs"
            raise ValueError(message("no such Network", expected=expected, got=f"{by!r}, {sizes}"))
        self.rng = np.random.default_rng(rng)
        self.sizes, self.num_layers, self.by, self.matrix = list(sizes), len(sizes), by, matrix
        self.biases = [self.rng.standard_normal((n, 1)) for n in sizes[1:]]
        self.weights = [self.rng.standard_normal((n, n_in)) for n_in, n in itertools.pairwise(sizes)]
        self.sigma = _activation(sigma)
        self.own: dict[int, Pair] = {}  # by layer, where a neuron differs
        for (l, j), f in dict(own or {}).items():
            if not (2 <= l <= self.num_layers and 1 <= j <= sizes[l - 1]):
                raise ValueError(message(f"there is no neuron {j} in layer {l}", got=f"widths {self.sizes}"))
            both = zip(self.own.get(l, self.sigma), _activation(f))
            sigma_l, sigma_prime_l = (partial(_but_for_one, j - 1, *functions) for functions in both)
            self.own[l] = sigma_l, sigma_prime_l

    def feedforward(self, a: np.ndarray) -> np.ndarray:
        """a^L for the input a, (n_1, 1), or for a column per example, (n_1, m); eq. 25 layer by layer."""
        return self.forward(a, self.biases, self.weights)[1][-1]

    def forward(self, x: Any, biases: Sequence, weights: Sequence) -> tuple[list, list]:
        """([z^2, …, z^L], [a^1, …, a^L]) with other parameters: arrays, or Tensors that record."""
        if np.ndim(x) != 2 or len(x) != self.sizes[0]:
            expected = f"columns, ({self.sizes[0]}, 1) or ({self.sizes[0]}, m)"
            raise ValueError(message("wrong shape of an input", expected=expected, got=np.shape(x)))
        zs, activations = [], [x]
        for l, (b, w) in enumerate(zip(biases, weights), start=2):
            zs.append(w @ activations[-1] + b)  # b is added to each of the m columns
            activations.append(self.own.get(l, self.sigma)[0](zs[-1]))
        return zs, activations

    def cost(self, a: Any, y: Any) -> Any:
        """C = 1/(2m) Σ ‖y − a‖² of outputs a and targets y, (n_L, m) (eq. 26): what the engine differentiates."""
        return np.sum(np.square(a - y)) / (2 * y.shape[1])

    def cost_derivative(self, output_activations: np.ndarray, y: np.ndarray) -> np.ndarray:
        """∇_a C_x = a^L − y, column by column: the hand-written derivative of `cost` for each example."""
        return output_activations - y

    def backprop(self, x: np.ndarray, y: np.ndarray) -> Gradient:
        """(nabla_b, nabla_w), the gradient of C for columns x (n_1, m) and y (n_L, m): lists over layers 2 … L.

        With m > 1 columns C is the mean of the C_x, and so are the gradients; the book's has m = 1.
        """
        if np.shape(y) != (self.sizes[-1], *np.shape(x)[1:]):
            expected = f"columns, ({self.sizes[-1]}, 1) for each of x"
            raise ValueError(message("wrong shape of a target", expected=expected, got=np.shape(y)))
        return self._by_engine(x, y) if self.by == "engine" else self.five_steps(x, y)[-2:]

    def five_steps(self, x: np.ndarray, y: np.ndarray) -> FiveSteps:
        """The book's algorithm by hand, every step of it with its numbers; arguments as for `backprop`.

        >>> import numpy as np, tinygrad_bp as bp
        >>> net = bp.backprop.Network([2, 3, 1], rng=0)
        >>> steps = net.five_steps(np.ones((2, 1)), np.zeros((1, 1)))
        >>> steps.deltas[-1] == steps.nabla_a * sigmoid_prime(steps.zs[-1])
        array([[ True]])
        """
        zs, activations = self.forward(x, self.biases, self.weights)
        slopes = [self.own.get(l, self.sigma)[1](z) for l, z in enumerate(zs, start=2)]
        nabla_a = self.cost_derivative(activations[-1], y)
        deltas = [nabla_a * slopes[-1]]  # BP1
        for l in range(2, self.num_layers):  # layer l from the end
            deltas.insert(0, (self.weights[1 - l].T @ deltas[0]) * slopes[-l])  # BP2
        m = np.shape(x)[1]
        nabla_b = [delta.sum(axis=1, keepdims=True) / m for delta in deltas]  # BP3
        nabla_w = [(delta / m) @ a_in.T for delta, a_in in zip(deltas, activations)]  # BP4
        return FiveSteps(zs, activations, nabla_a, slopes, deltas, nabla_b, nabla_w)

    def _by_engine(self, x, y):
        def C(biases, weights):
            return self.cost(self.forward(x, biases, weights)[1][-1], y)

        return grad(C, argnums=(0, 1))(self.biases, self.weights)

    def update_mini_batch(self, mini_batch: Pairs, eta: float) -> None:
        """w^l ← w^l − (η/m) Σ_x δ^{x,l} (a^{x,l−1})ᵀ, b^l ← b^l − (η/m) Σ_x δ^{x,l}, over m pairs (x, y)."""
        if not len(mini_batch):
            raise ValueError(message("a mini-batch has at least one example", got="none"))
        parts = [_matrices(mini_batch)] if self.matrix else mini_batch
        nabla_b, nabla_w = map(list, self.backprop(*parts[0]))
        for x, y in parts[1:]:
            more_b, more_w = self.backprop(x, y)
            nabla_b = [sum_b + b for sum_b, b in zip(nabla_b, more_b)]
            nabla_w = [sum_w + w for sum_w, w in zip(nabla_w, more_w)]
        rate = eta / len(parts)
        self.weights = [w - rate * nabla for w, nabla in zip(self.weights, nabla_w)]
        self.biases = [b - rate * nabla for b, nabla in zip(self.biases, nabla_b)]

    def SGD(
        self,
        training_data: Pairs,
        epochs: int,
        mini_batch_size: int,
        eta: float,
        test_data: Pairs | None = None,
        *,
        log: Callable[[str], Any] | None = None,
    ) -> list[int]:
        """Mini-batch stochastic gradient descent; returns how many of `test_data` are right after each epoch.

        The order is drawn anew from `self.rng` in each epoch; the lists stay as they are. `log`, say
        `print`, is called with one line an epoch. Without test_data the list is empty.
        """
        examples, right = np.arange(len(training_data)), []
        for epoch in range(1, epochs + 1):
            for chosen, _ in batches(examples, examples, mini_batch_size, self.rng):
                self.update_mini_batch([training_data[i] for i in chosen], eta)
            if test_data is not None:
                right.append(self.evaluate(test_data))
            if log is not None:
                score = f": {right[-1]} of {len(test_data)} right" if test_data is not None else ""
                log(f"epoch {epoch} of {epochs}{score}")
        return right

    def evaluate(self, test_data: Pairs) -> int:
        """How many pairs (x, y) have their largest output at y, a label 0 … n_L − 1 or a column of targets."""
        labels = [y if np.ndim(y) == 0 else np.argmax(y) for _, y in test_data]
        return sum(int(np.argmax(self.feedforward(x)) == label) for (x, _), label in zip(test_data, labels))

    def affine(self, l: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """(W, c) with a^L = W a^l + c, for linear neurons: W = w^L … w^{l+1}, and so δ^l = Wᵀ ∇_a C (T17).

        >>> import numpy as np, tinygrad_bp as bp
        >>> net = bp.backprop.Network([2, 3, 1], sigma="linear", rng=0)
        >>> W, c = net.affine()
        >>> np.allclose(net.feedforward(np.ones((2, 1))), W @ np.ones((2, 1)) + c)
        True
        """
        if not 1 <= l <= self.num_layers or self.sigma[0] is not identity or self.own:
            expected = f"linear neurons throughout, and one of the layers 1 … {self.num_layers}"
            raise ValueError(message(f"no affine map from layer {l}", expected=expected))
        W, c = np.eye(self.sizes[l - 1]), np.zeros((self.sizes[l - 1], 1))
        for w, b in zip(self.weights[l - 1 :], self.biases[l - 1 :]):
            W, c = w @ W, w @ c + b
        return W, c


def pairs(x: Any, y: Any) -> list[tuple[np.ndarray, Any]]:
    """Rows of x and y as the book's data: a list of (x, y) columns; labels stay numbers.

    >>> import numpy as np, tinygrad_bp as bp
    >>> [(x.shape, y) for x, y in bp.backprop.pairs(np.ones((2, 4)), np.array([3, 7]))]
    [((4, 1), np.int64(3)), ((4, 1), np.int64(7))]
    """
    return [(np.reshape(p, (-1, 1)), np.reshape(q, (-1, 1)) if np.ndim(q) else q) for p, q in zip(x, y)]


def _matrices(mini_batch):
    """Pairs of columns as two matrices, one column per example."""
    return [np.concatenate([np.atleast_2d(part).T for part in parts]).T for parts in zip(*mini_batch)]


def _activation(given):
    """(σ, σ′) of a name, or the pair that was given."""
    if isinstance(given, tuple):
        return given
    if given not in SIGMA_PRIME:
        expected = f"one of {', '.join(SIGMA_PRIME)}, or a pair (σ, σ′) of functions"
        raise ValueError(message("unknown activation", expected=expected, got=repr(given)))
    sigma = identity if given == "linear" else getattr(functional, given)
    return sigma, lambda z: SIGMA_PRIME[given](z, sigma(z))


def _but_for_one(j, sigma, f, z):
    """σ(z), but f(z) in row j."""
    a = sigma(z)
    return np.concatenate([a[:j], f(z[j : j + 1]), a[j + 1 :]])


class SpeedUp(NamedTuple):
    """Seconds for one mini-batch, example by example and as one matrix, and their ratio."""

    loop: float
    matrix: float
    ratio: float


def speed_up(
    sizes: Sequence[int], batch: int, *, rounds: int = 7, rng: np.random.Generator | int | None = 0
) -> SpeedUp:
    """How long `update_mini_batch` takes example by example and as one matrix (T20), on a net drawn by `rng`.

    Both by hand and from the same list of columns; medians of `rounds` rounds, taken in turns.

    >>> speed_up([4, 3, 2], 5, rounds=3).loop > 0
    True
    """
    rng = np.random.default_rng(rng)
    examples = [(rng.random((sizes[0], 1)), rng.random((sizes[-1], 1))) for _ in range(batch)]
    nets = {name: Network(sizes, matrix=name == "matrix", rng=rng) for name in ("loop", "matrix")}
    runs = {name: partial(net.update_mini_batch, examples, 0.1) for name, net in nets.items()}
    times = seconds(runs, rounds)
    return SpeedUp(times["loop"], times["matrix"], times["loop"] / times["matrix"])
