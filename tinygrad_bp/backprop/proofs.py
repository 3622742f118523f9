"""The proofs of BP1–BP4, equation by equation, on anyone's net: both sides of each as numbers.

    print(bp.backprop.steps(net, x, y, cost))

The one idea: a step of a proof is an index expression, left_xj = Σ_k u_xk v_xkj, and `EQUATIONS` is
the list of them. Every derivative that stands in one is the engine's own (`bp.jacobian`, `bp.grad`),
taken of a piece of the observed run: `between` makes any node of a run a function of any earlier one.
w, a and σ′ are the book's. `chain_rule` is the one rule behind them all, on any graph. Read
`matrix_form.py` next.

Sources: Nielsen ch. 2, eqs. 36–45; Ng notation, (4)–(8), the proofs in components.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..derivatives import jacobian
from ..errors import message
from ..observe import Run, Seen
from ..primitive import REGISTRY
from ..transforms import grad
from .conventions import Table
from .equations import SIGMA_PRIME, Layers
from .notation import Notation, notation
from .report import TOLERANCE, deviation, ratio


class Equation(namedtuple("Equation", "layers name text left indices factors")):
    """left = Σ of the product of `factors`, over the `indices` that np.einsum sums; x counts examples.

    `layers`: "L" for the output layer, "l" for the hidden ones. A ⁺ at a factor is the layer l + 1,
    a ⁻ the layer l − 1; I is the unit matrix, `∂a_j/∂z_j` the diagonal of ∂a/∂z.
    """

    __slots__ = ()


# fmt: off
EQUATIONS = tuple(Equation(*row) for row in [
    ("L",  "(36)",  "δ^L_j = ∂C/∂z^L_j",                                      "δ",      "xj->xj",       "∂C/∂z"),
    ("L",  "(37)",  "δ^L_j = Σ_k ∂C/∂a^L_k ∂a^L_k/∂z^L_j",                    "δ",      "xk,xkj->xj",   "∂C/∂a ∂a/∂z"),
    ("l",  "(40)",  "δ^l_j = ∂C/∂z^l_j",                                      "δ",      "xj->xj",       "∂C/∂z"),
    ("l",  "(41)",  "δ^l_j = Σ_k ∂C/∂z^{l+1}_k ∂z^{l+1}_k/∂z^l_j",            "δ",      "xk,xkj->xj",   "∂C/∂z⁺ ∂z⁺/∂z"),
    ("l",  "(42)",  "δ^l_j = Σ_k ∂z^{l+1}_k/∂z^l_j δ^{l+1}_k",                "δ",      "xkj,xk->xj",   "∂z⁺/∂z δ⁺"),
    ("l",  "(43)",  "z^{l+1}_k = Σ_j w^{l+1}_kj σ(z^l_j) + b^{l+1}_k",        "z⁺",     "kj,xj->xk",    "(w,b)⁺ (σ(z),1)"),
    ("Ll", "∂a/∂z", "∂a^l_k/∂z^l_j = σ′(z^l_j) if k = j, else 0",             "∂a/∂z",  "kj,xj->xkj",   "I σ′"),
    ("L",  "(38)",  "δ^L_j = ∂C/∂a^L_j ∂a^L_j/∂z^L_j",                        "δ",      "xj,xj->xj",    "∂C/∂a ∂a_j/∂z_j"),
    ("L",  "(39)",  "δ^L_j = ∂C/∂a^L_j σ′(z^L_j): BP1",                       "δ",      "xj,xj->xj",    "∂C/∂a σ′"),
    ("l",  "(44)",  "∂z^{l+1}_k/∂z^l_j = w^{l+1}_kj σ′(z^l_j)",               "∂z⁺/∂z", "kj,xj->xkj",   "w⁺ σ′"),
    ("l",  "(45)",  "δ^l_j = Σ_k w^{l+1}_kj δ^{l+1}_k σ′(z^l_j): BP2",        "δ",      "kj,xk,xj->xj", "w⁺ δ⁺ σ′"),
    ("Ll", "BP3",   "∂z^l_k/∂b^l_j = 1 if k = j, else 0",                     "∂z/∂b",  "x,kj->xkj",    "1 I"),
    ("Ll", "BP3",   "∂C/∂b^l_j = 1/m Σ_x Σ_k δ^l_k ∂z^l_k/∂b^l_j",            "∂C/∂b",  ",xk,xkj->j",   "1/m δ ∂z/∂b"),
    ("Ll", "BP3",   "∂C/∂b^l_j = 1/m Σ_x δ^l_j",                              "∂C/∂b",  ",xj->j",       "1/m δ"),
    ("Ll", "BP4",   "∂z^l_i/∂w^l_jk = a^{l−1}_k if i = j, else 0",            "∂z/∂w",  "ij,xk->xijk",  "I a⁻"),
    ("Ll", "BP4",   "∂C/∂w^l_jk = 1/m Σ_x Σ_i δ^l_i ∂z^l_i/∂w^l_jk",          "∂C/∂w",  ",xi,xijk->jk", "1/m δ ∂z/∂w"),
    ("Ll", "BP4",   "∂C/∂w^l_jk = 1/m Σ_x a^{l−1}_k δ^l_j",                   "∂C/∂w",  ",xk,xj->jk",   "1/m a⁻ δ"),
    ("l",  "Ng dA", "∂z^{l+1}_k/∂a^l_j = w^{l+1}_kj",                         "∂z⁺/∂a", "x,kj->xkj",    "1 w⁺"),
    ("l",  "wᵀδ",   "∂C/∂a^l_j = Σ_k w^{l+1}_kj δ^{l+1}_k, Ng's dA",          "α",      "kj,xk->xj",    "w⁺ δ⁺"),
    ("Ll", "⊙ σ′",  "δ^l_j = ∂C/∂a^l_j σ′(z^l_j), Ng's dZ",                   "δ",      "xj,xj->xj",    "α σ′"),
    ("L",  "α",     "α^L_j = ∂C/∂a^L_j",                                      "α",      "xj->xj",       "∂C/∂a"),
    ("l",  "α",     "α^l_j = Σ_k w^{l+1}_kj α^{l+1}_k σ′(z^{l+1}_k)",         "α",      "kj,xk,xk->xj", "w⁺ α⁺ σ′⁺"),
    ("Ll", "α",     "∂C/∂b^l_j = 1/m Σ_x α^l_j σ′(z^l_j)",                    "∂C/∂b",  ",xj,xj->j",    "1/m α σ′"),
    ("Ll", "α",     "∂C/∂w^l_jk = 1/m Σ_x α^l_j σ′(z^l_j) a^{l−1}_k",         "∂C/∂w",  ",xj,xj,xk->jk", "1/m α σ′ a⁻"),
])
# fmt: on


class Step(namedtuple("Step", "place equation text deviation rounding verdict")):
    """One equation at one place: max|left − right| / max|right|, and how much of it rounding may cause.

    `rounding` is 4 ε max Σ|terms| / max|Σ terms|, large where sums cancel.
    """

    __slots__ = ()


def compare(place, equation, text, left, right, terms, applies=True) -> Step:
    """The `Step` of an equation with sides `left` and `right`; `terms`: Σ|terms| of the right one."""
    kind, gap = np.finfo(left.dtype), deviation(left, right)
    if kind.dtype.name not in TOLERANCE:
        raise ValueError(message("no tolerance is known", expected="float32 or float64", got=left.dtype))
    rounding = 4 * float(kind.eps) * ratio(np.max(terms), np.max(np.abs(right)))
    verdict = "FAIL, but its sums cancel" if gap <= rounding else "FAIL"
    verdict = verdict if applies else "does not hold: σ is not elementwise"
    verdict = "pass" if gap <= TOLERANCE[kind.dtype.name] else verdict
    return Step(place, equation, text, gap, rounding, verdict)


def report(title: str, rows: Sequence[Step]) -> Table:
    """The steps as a table, true if none of them fails."""
    failed = sum(row.verdict.startswith("FAIL") for row in rows)
    footer = f"FAIL: {failed} of {len(rows)}" if failed else f"pass: all {len(rows)}"
    return Table(title, ("", "", "", "deviation", "rounding", ""), tuple(rows), not failed, footer)


def steps(net: Any, x: Any, y: Any, cost: Callable, *, sigma_prime: Mapping | None = None) -> Table:
    """Every numbered equation of the proofs, from the output layer to layer 2: both sides compared.

    Arguments as for `verify`; a few examples and small layers will do, for a Jacobian ∂z/∂w has
    m n_l² n_{l−1} entries. A σ that is not in `SIGMA_PRIME` or `sigma_prime` is read from the engine,
    and if it is not elementwise, as softmax, then all that needs it stops at (37) and says so.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 5, 2], rng=0, dtype=np.float64)
    >>> bool(steps(net, np.ones((4, 3)), np.zeros((4, 2)), bp.nn.functional.quadratic_cost))
    True
    """
    book = notation(net, x, y, cost)
    slopes, mixing, title = sigma_primes(book, sigma_prime or {})
    rows = []
    for l in range(book.L, 1, -1):
        known = _quantities(book, l, slopes)
        barred = {"σ′", "∂a_j/∂z_j"} if l in mixing else set()
        barred |= {"σ′⁺"} if l + 1 in mixing else set()
        for layers, name, text, left, indices, factors in EQUATIONS:
            names = factors.split()
            if ("L" if l == book.L else "l") in layers and known[left] is not None:
                arrays = [known[factor] for factor in names]
                right, terms = (np.einsum(indices, *side) for side in (arrays, map(np.abs, arrays)))
                applies = barred.isdisjoint(names)
                rows.append(compare(f"layer {l}", name, text, known[left], right, terms, applies))
    return report(f"The proofs, step by step: {title}", rows)


def sigma_primes(book: Notation, given: Mapping[int, Callable]) -> tuple[Layers, set[int], str]:
    """(l -> σ′(z^l), the layers whose σ is not elementwise, a title that says what was read where).

    If σ is not elementwise, ∂a_j/∂z_j stands in the place of σ′(z_j).
    """
    slopes, mixing, sigmas = {}, set(), []
    for l, here in book.nodes.items():
        name, z, source = here.activation_name, book.z[l], ""
        if l in given:
            slopes[l], source = np.broadcast_to(given[l](z), z.shape), ", σ′ as given"
        elif name in SIGMA_PRIME:
            kwargs = here.activation[0].kwargs if here.activation else {}
            slopes[l] = SIGMA_PRIME[name](z, book.a[l], **kwargs)
        else:
            da_dz = rates(book.run, here.z, here.a)
            slopes[l], source = np.einsum("xjj->jx", da_dz), ", σ′ by the engine"
            if np.any(da_dz * (1 - np.eye(len(z)))):
                source = ", not elementwise"
                mixing.add(l)
        sigmas.append(name + source)
    sizes = "-".join(map(str, book.sizes))
    return slopes, mixing, f"{sizes} ({'; '.join(sigmas)}), {book.dtype}, batch {book.m}"


def rates(run: Run, start: Seen, end: Seen) -> np.ndarray:
    """∂end_xk/∂start_xj of each example x, (m, n', n), by the engine."""
    return np.einsum("xkxj->xkj", jacobian(between(run, start, end))(start.value))


def _quantities(book, l, slopes):
    """What may stand in the equations of layer l, examples in rows: name -> array."""
    run, m, here = book.run, book.m, book.nodes[l]
    loss = next(node for node in reversed(run.nodes) if node.cotangent is not None)

    def jac(start, end):
        return jacobian(between(run, start, end))(start.value)

    def error(start):
        return m * grad(between(run, start, loss))(start.value)

    known = {
        "1": np.ones(m, book.dtype), "I": np.eye(len(book.z[l]), dtype=book.dtype), "1/m": book.dtype.type(1 / m),
        "δ": book.delta[l].T, "α": m * here.a.cotangent, "∂C/∂z": error(here.z), "∂a/∂z": rates(run, here.z, here.a),
        "σ′": slopes[l].T, "a⁻": here.a_in.value, "∂C/∂w": book.nabla_w[l], "∂z/∂w": jac(here.weight, here.z),
        "∂C/∂b": None, "∂z/∂b": None,
    }  # fmt: skip
    if here.bias is not None:
        known["∂C/∂b"], n = book.nabla_b[l][:, 0], len(book.b[l])
        known["∂z/∂b"] = jac(here.bias, here.z).reshape(m, n, n)
    if l == book.L:
        return known | {"∂C/∂a": error(here.a), "∂a_j/∂z_j": np.einsum("xjj->xj", known["∂a/∂z"])}
    up, one = book.nodes[l + 1], np.ones_like(here.a.value[:, :1])
    b = book.b.get(l + 1, np.zeros_like(book.w[l + 1][:, :1]))
    return known | {
        "w⁺": book.w[l + 1], "δ⁺": book.delta[l + 1].T, "α⁺": m * up.a.cotangent, "σ′⁺": slopes[l + 1].T, "z⁺": up.z.value,
        "∂C/∂z⁺": error(up.z), "∂z⁺/∂z": rates(run, here.z, up.z), "∂z⁺/∂a": rates(run, here.a, up.z),
        "(w,b)⁺": np.hstack([book.w[l + 1], b]), "(σ(z),1)": np.hstack([between(run, here.z, here.a)(here.z.value), one]),
    }  # fmt: skip


def between(run: Run, start: Seen, end: Seen) -> Callable:
    """`end` as a function of `start`, all else as it was in the run; for transforms and for new values.

    Raises ValueError if the run cannot be replayed, or `end` does not depend on `start`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> x = bp.Tensor([1.0, 2.0], requires_grad=True)
    >>> with bp.observe() as run:
    ...     y = np.sum(np.exp(x) * 3.0)
    >>> between(run, run.nodes[0], run.of(y))(np.ones(2))
    np.float64(6.0)
    """

    @np.errstate(all="ignore")  # what there was to warn of, the run itself has told
    def replay(value):
        found = {start: value}
        for node in run:
            if end in found:
                break
            if node not in found and not found.keys().isdisjoint(node.parents):
                function: Any = node.function
                operands = [found.get(parent, parent.value) for parent in node.parents]
                listed = getattr(REGISTRY.get(function), "sequence", None) is not None
                found[node] = function(*([operands] if listed else operands), **node.kwargs)
        return found.get(end)

    again = None if any(node.op == "pick" for node in run) else replay(start.value)
    if again is None or not np.allclose(again, end.value, equal_nan=True):
        what = f"{end!r} cannot be computed again from {start!r}"
        expected = "a value that depends on the other, through functions of one output"
        raise ValueError(message(what, expected=expected))
    return replay


def chain_rule(run: Run) -> Table:
    """∂C/∂x = Σ_i ∂C/∂u_i ∂u_i/∂x on any graph: at each node x, the sum over the ops u_i that use it.

    One row for each node that a backward pass handed something: its gradient (left) and the sum of
    the contributions of its edges (right), which `Seen.contributions` has one by one.

    >>> import numpy as np, tinygrad_bp as bp
    >>> x = bp.Tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> with bp.observe() as run:
    ...     np.sum(np.exp(x) * x).backward()
    >>> [(row.place, row.text, row.verdict) for row in chain_rule(run).rows][-1]
    ('x', 'Σ over exp, multiply', 'pass')
    """
    edges: dict[tuple[Seen, int], list] = {}
    for user in reversed(run.nodes):
        for node, share in zip(user.parents, user.contributions):
            for output, part in enumerate(_parts(share)):
                if part is not None:
                    edges.setdefault((node, output), []).append((user.op, _real(part)))
    if not edges:
        raise ValueError(message("no backward pass has come by this run", do="call loss.backward()"))
    rows = []
    for (node, output), terms in edges.items():
        ops, shares = zip(*reversed(terms))
        place, count = node.name or node.op or node.kind, f"{len(ops)} term{'s' * (len(ops) > 1)}"
        sides = _real(_parts(node.cotangent)[output]), sum(shares), sum(map(np.abs, shares))
        rows.append(compare(place, count, "Σ over " + ", ".join(ops), *sides))
    return report("∂C/∂x = Σ_i ∂C/∂u_i ∂u_i/∂x over the ops u_i that use x", rows)


def _parts(g):
    """A cotangent as a list with one entry per output of the op."""
    return g if isinstance(g, list) else [g]


def _real(g):
    """An array as one vector, complex numbers as pairs."""
    return np.ravel(g).view(np.finfo(np.result_type(g)).dtype)
