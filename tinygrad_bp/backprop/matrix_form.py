"""BP1–BP4 in components, and in matrices alone, without ⊙; all held against the engine, and timed.

The one idea: the same four equations can be written three ways, for one neuron at a time, with ⊙
(`equations.py`), and with the diagonal matrix Σ′(z) in the place of ⊙ σ′(z), where δ^l becomes one
long product of matrices (eq. 35). Here everything is of one example, as in the book: a[l], delta[l]
and sigma_prime_z[l] are vectors (n_l,), and j, k count from 0. Read `paths.py` next, which multiplies
(35) out.

Source: Nielsen ch. 2, eqs. 30–35 and 37.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .conventions import Table
from .effort import seconds
from .equations import BP1, BP2, JACOBIAN, Layers, eq37
from .notation import notation
from .proofs import compare, rates, report, sigma_primes


def BP1_component(nabla_a: np.ndarray, sigma_prime_z: Layers, L: int, j: int) -> float:
    """δ^L_j = ∂C/∂a^L_j σ′(z^L_j).

    >>> float(BP1_component(np.array([1.0, 2.0]), {3: np.array([0.25, 0.5])}, 3, j=1))
    1.0
    """
    return nabla_a[j] * sigma_prime_z[L][j]


def BP2_component(w: Layers, delta: Layers, sigma_prime_z: Layers, l: int, j: int) -> float:
    """δ^l_j = Σ_k w^{l+1}_kj δ^{l+1}_k σ′(z^l_j) (eq. 45).

    >>> w, delta = {3: np.array([[1.0, 2.0], [3.0, 4.0]])}, {3: np.array([10.0, 1.0])}
    >>> float(BP2_component(w, delta, {2: np.array([1.0, 0.5])}, 2, j=1))
    12.0
    """
    return sum(w[l + 1][k, j] * delta[l + 1][k] for k in range(len(delta[l + 1]))) * sigma_prime_z[l][j]


def BP3_component(delta: Layers, l: int, j: int) -> float:
    """∂C_x/∂b^l_j = δ^l_j (eq. 31).

    >>> float(BP3_component({2: np.array([3.0, 4.0])}, 2, j=1))
    4.0
    """
    return delta[l][j]


def BP4_component(a: Layers, delta: Layers, l: int, j: int, k: int) -> float:
    """∂C_x/∂w^l_jk = a^{l−1}_k δ^l_j (eq. 32).

    >>> float(BP4_component({1: np.array([5.0, 6.0])}, {2: np.array([3.0, 4.0])}, 2, j=1, k=0))
    20.0
    """
    return a[l - 1][k] * delta[l][j]


def equation_33(nabla_a: np.ndarray, sigma_prime_z: Layers, L: int) -> np.ndarray:
    """δ^L = Σ′(z^L) ∇_a C.

    >>> equation_33(np.array([1.0, 2.0]), {3: np.array([0.25, 0.5])}, 3)
    array([0.25, 1.  ])
    """
    return np.diag(sigma_prime_z[L]) @ nabla_a


def equation_34(w: Layers, delta: Layers, sigma_prime_z: Layers, l: int) -> np.ndarray:
    """δ^l = Σ′(z^l) (w^{l+1})ᵀ δ^{l+1}, from right to left.

    >>> equation_34({3: np.array([[1.0, 2.0]])}, {3: np.array([10.0])}, {2: np.array([0.5, 1.0])}, 2)
    array([ 5., 20.])
    """
    return np.diag(sigma_prime_z[l]) @ (w[l + 1].T @ delta[l + 1])


def equation_35(w: Layers, sigma_prime_z: Layers, nabla_a: np.ndarray, l: int) -> np.ndarray:
    """δ^l = Σ′(z^l)(w^{l+1})ᵀ … Σ′(z^{L−1})(w^L)ᵀ Σ′(z^L) ∇_a C, the matrices multiplied first.

    >>> sigma_prime_z = {2: np.array([0.5, 1.0]), 3: np.array([10.0])}
    >>> equation_35({3: np.array([[1.0, 2.0]])}, sigma_prime_z, np.array([1.0]), 2)
    array([ 5., 20.])
    """
    product = np.diag(sigma_prime_z[l])
    for k in range(l + 1, max(sigma_prime_z) + 1):
        product = product @ w[k].T @ np.diag(sigma_prime_z[k])
    return product @ nabla_a


# (layers, name, text, its value from w, a, δ, σ′(z), ∇_a C, ∂a^L/∂z^L of one example, in layer l)
# fmt: off
FORMS: tuple[tuple[str, str, str, Callable[..., Any]], ...] = (
    ("L",  "BP1",  "δ^L_j = ∂C/∂a^L_j σ′(z^L_j)",              lambda w, a, d, s, g, J, l: [BP1_component(g, s, l, j) for j in range(len(g))]),
    ("L",  "(33)", "δ^L = Σ′(z^L) ∇_a C",                      lambda w, a, d, s, g, J, l: equation_33(g, s, l)),
    ("L",  "(37)", "δ^L = (∂a^L/∂z^L)ᵀ ∇_a C",                 lambda w, a, d, s, g, J, l: eq37(g[:, None], [J])[:, 0]),
    ("l",  "BP2",  "δ^l_j = Σ_k w^{l+1}_kj δ^{l+1}_k σ′(z^l_j)", lambda w, a, d, s, g, J, l: [BP2_component(w, d, s, l, j) for j in range(len(d[l]))]),
    ("l",  "(34)", "δ^l = Σ′(z^l) (w^{l+1})ᵀ δ^{l+1}",         lambda w, a, d, s, g, J, l: equation_34(w, d, s, l)),
    ("Ll", "(35)", "δ^l = Σ′(z^l) (w^{l+1})ᵀ … Σ′(z^L) ∇_a C", lambda w, a, d, s, g, J, l: equation_35(w, s, g, l)),
    ("Ll", "BP3",  "∂C/∂b^l_j = δ^l_j",                        lambda w, a, d, s, g, J, l: [BP3_component(d, l, j) for j in range(len(d[l]))]),
    ("Ll", "BP4",  "∂C/∂w^l_jk = a^{l−1}_k δ^l_j",             lambda w, a, d, s, g, J, l: [[BP4_component(a, d, l, j, k) for k in range(len(a[l - 1]))] for j in range(len(d[l]))]),
)
# fmt: on


def forms(net: Any, x: Any, y: Any, cost: Callable, *, sigma_prime: Mapping | None = None) -> Table:
    """Each form of each equation, in every layer, against the engine's δ^l, ∂C/∂b^l, ∂C/∂w^l.

    (37) has ∂a^L/∂z^L by hand for softmax, else from the engine: it holds for any σ. BP2 and (34) start from the engine's δ^{l+1}, BP3 and BP4 from its δ^l, all others from its ∇_a C.
    Arguments as for `steps`. The components are computed one by one: for small nets.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 5, 2], rng=0, dtype=np.float64)
    >>> table = forms(net, np.ones((4, 3)), np.zeros((4, 2)), bp.nn.functional.quadratic_cost)
    >>> bool(table), [row.equation for row in table.rows if row.place == "layer 3"]
    (True, ['BP1', '(33)', '(37)', '(35)', 'BP3', 'BP4'])
    """
    book = notation(net, x, y, cost)
    slopes, mixing, title = sigma_primes(book, sigma_prime or {})
    last, rows = book.nodes[book.L], []
    by_hand = JACOBIAN.get(last.activation_name)
    da_dz = [by_hand(a) for a in last.a.value] if by_hand else rates(book.run, last.z, last.a)

    def of_example(x, size):
        columns = [{l: size(v[:, x]) for l, v in of.items()} for of in (book.a, book.delta, slopes)]
        return {l: size(w) for l, w in book.w.items()}, *columns, size(book.nabla_a[:, x]), size(da_dz[x])

    for l in range(book.L, 1, -1):
        found = {"BP3": book.nabla_b[l][:, 0] if l in book.b else None, "BP4": book.nabla_w[l]}
        for layers, name, text, form in FORMS:
            left = found.get(name, book.delta[l])
            if left is None or ("L" if l == book.L else "l") not in layers:
                continue
            sides = [[form(*of_example(x, size), l) for x in range(book.m)] for size in (np.asarray, np.abs)]
            right, terms = (np.mean(s, 0) if name in found else np.transpose(s) for s in sides)
            barred = name in ("BP1", "BP2", "(33)", "(34)") and l in mixing
            barred |= name == "(35)" and max(mixing, default=0) >= l
            rows.append(compare(f"layer {l}", name, text, left, right, terms, not barred))
    return report(f"Components and matrices: {title}", rows)


def slowdown(widths: Sequence[int] = (10, 30, 100, 300, 1000), m: int = 1, rounds: int = 7) -> Table:
    """How much slower matrices are than ⊙: δ^2 of a net n-n-n from ∇_a C, for each width n, m examples.

    By ⊙ a batch is one call; Σ′(z) is another matrix for each example. (33, 34) multiply it to a
    vector, (35) all matrices first. Microseconds, medians of interleaved rounds; and the ratios to ⊙.
    BLAS with one thread (OPENBLAS_NUM_THREADS=1, say) measures more quietly.

    >>> [row[0] for row in slowdown([4, 8], rounds=1).rows]
    [4, 8]
    """
    rows = []
    for n in widths:
        times = seconds(_contenders(n, m, np.random.default_rng(0)), rounds)
        hadamard, two_steps, product = (1e6 * time for time in times.values())
        rows.append((n, hadamard, two_steps, product, two_steps / hadamard, product / hadamard))
    header = ("n", "⊙ µs", "(33, 34) µs", "(35) µs", "(33, 34) / ⊙", "(35) / ⊙")
    return Table(f"δ^2 of a net n-n-n, {m} example{'s' * (m > 1)}", header, tuple(rows))


def _contenders(n, m, rng):
    w, nabla_a = {3: rng.standard_normal((n, n))}, rng.standard_normal((n, m))
    sp = {l: rng.random((n, m)) for l in (2, 3)}
    columns = [(nabla_a[:, x], {l: sp[l][:, x] for l in sp}) for x in range(m)]
    return {
        "⊙": lambda: BP2(w, {3: BP1(nabla_a, sp, 3)}, sp, 2),
        "(33, 34)": lambda: [equation_34(w, {3: equation_33(g, s, 3)}, s, 2) for g, s in columns],
        "(35)": lambda: [equation_35(w, s, g, 2) for g, s in columns],
    }
