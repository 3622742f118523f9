"""`diagnose`: why a net learns slowly, or not at all, layer by layer, each finding with its equation.

Here you can hold your own net and batch against T24 and T25 of the textbook: where σ′ ≈ 0, where
activations are small, where the error vanishes or explodes, where a step is too large, where NaN is born.

The one idea: the equations of backpropagation are products, and a product is small because a factor is
small: BP1 and BP2 have σ′(z^l) and the cost's pull ∂C/∂a^l, BP4 has a^{l−1} besides, BP3 has not. So the
factors are looked at one by one, in a run that the engine did. The limits below come from 80 nets on
digits, of 20 kinds, fresh and trained: the worst healthy value stands beside each. They are shares of a
batch: 50 examples tell more than 10. Read `experiments.py` next.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from ..errors import message
from ..transforms import grad
from .conventions import Table
from .equations import SIGMA_PRIME
from .notation import Notation, as_rows, notation

FLAT = 0.01
"""σ′ ≈ 0 below this part of its largest value: |z| > 6 for sigmoid, |z| > 3 for tanh."""
MOST = 0.5
"""A layer is in trouble if so many σ′ of a smooth σ are ≈ 0 (healthy: 0.32), or so many ReLUs dead (0.37;
on 10 examples 0.5). The book's own start, N(0, 1), is beyond it at 784 inputs, as its chapter 3 says."""
LOW, NEARLY_ALL = 0.01, 0.9
"""An activation is ≈ 0 if its root mean square over the batch is below LOW (the middle of sigmoid is 0.5);
a layer's weights are slow if NEARLY_ALL of its inputs are (healthy: 0.57, behind ReLUs)."""
UNHEARD = 1e-6
"""C hardly depends on a neuron if ‖∂C/∂a_j‖ is below this part of the layer's largest (healthy: 4e-5)."""
FAR = 1e3
"""The error vanishes or explodes if ‖δ^l‖ and ‖δ^L‖ differ by this factor (healthy: 13)."""
LARGE = 20.0
"""√n_in · RMS of w^l is what w^l makes of an input of size 1 (healthy: 10)."""
WRONG = 0.05
"""A flat output neuron is stuck if it is on the wrong side for so many of the examples."""
STEP, PROMISE = 2.0, 4.0
"""A step is too large if η‖∂C/∂w‖ > STEP ‖w‖ (healthy: 1.2), or if it promises, by (47), to lower C by
more than PROMISE C (healthy: 2.0), where no cost ≥ 0 can be lowered by more than C."""

LARGEST_SLOPE = {"sigmoid": 0.25}
"""max σ′ where it is not about 1."""
MIDDLE = {"sigmoid": 0.5, "tanh": 0.0}
"""σ(0) of those that are flat on both sides."""
MIXING = {"softmax", "log_softmax", "logsumexp", "sum", "mean", "max", "min"}
"""Ops that are not elementwise: there is no σ′, but (37)."""

LEGEND = """σ′≈0: share of σ′(z^l); stuck: neurons flat for every example; unheard: neurons with ∂C/∂a^l ≈ 0;
a≈0: share of the inputs a^{l−1}; ratio: ‖δ^l‖/‖δ^{l+1}‖ ≤ factor: ‖Σ′(z^l)(w^{l+1})ᵀ‖ of (35); step: η‖∂C/∂w‖/‖w‖"""
# fmt: off
COLUMNS = ("layer", "module", "σ", "neurons", "σ′≈0", "stuck", "unheard", "a≈0", "‖δ^l‖", "ratio", "factor",
           "step")
SENTENCES = {
    "saturated": "{place} is saturated, σ′(z^{l}) ≈ 0 in {row.flat:.0%} of {n} neurons × {m} examples, as its {cause}: "
                 "σ′ is a factor of δ^{l} (BP2; ‖δ^{l}‖ is {row.ratio:.1g} times the next layer's), so weights (BP4) and "
                 "biases (BP3) learn slowly",
    "dead": "{stuck} of {n} ReLUs of {place} are dead, ReLU′(z^{l}) = 0 for all {m} examples, as its {cause}: their δ^{l} "
            "is 0 (BP2), and neither their weights (BP4) nor their biases (BP3) change",
    "saturated output": "outputs {which} of {place} are saturated, and wrong for {share:.0%} of the examples: δ^{l} = "
                        "∇_a C ⊙ σ′(z^{l}) ≈ 0 (BP1), they learn slowly; with cross-entropy, δ^L = a^L − y has no σ′",
    "low activation": "the weights of {place} learn slowly, its biases do not: {low} of {n_in} inputs a^{l_in} are ≈ 0, "
                      "a factor of ∂C/∂w^{l} (BP4), not of ∂C/∂b^{l} (BP3)",
    "unheard": "C hardly depends on outputs {which} of {place}: ∂C/∂a^{l} is ≈ 0 there, a factor of δ^{l} ({bp})",
    "large weights": "the weights of {place} are large: w^{l} a is about {growth:.2g} times as large as a, and by "
                     "(w^{l})ᵀ in (35) so is the error on its way back",
    "vanishing": "the error vanishes: from {place} down, ‖δ^l‖ is below {far:.0e} ‖δ^L‖ ({d2:.1e} ‖δ^L‖ at layer 2), each "
                 "factor Σ′(z)wᵀ of (35) making it {mean:.2g} times as large{slope}",
    "exploding": "the error explodes: from {place} down, ‖δ^l‖ is above {far:.0e} ‖δ^L‖ ({d2:.1e} ‖δ^L‖ at layer 2), each "
                 "factor Σ′(z)wᵀ of (35) making it {mean:.2g} times as large",
    "step": "η = {eta:g} is too large for {place}: its step η ∂C/∂w^{l} is {row.step:.2g} times as large as w^{l}, and "
            "promises to lower C by {promise:.2g} C, by (47) with Δw = −η ∂C/∂w",
}
# fmt: on


@dataclass(frozen=True)
class Finding:
    """One pathology: its kind, the book's number of the layer (None: the cost), and why, in a sentence."""

    kind: str
    layer: int | None
    text: str


@dataclass(frozen=True, eq=False)
class LayerHealth:
    """The factors of the equations at layer l = 2 … L; NaN where one has no meaning.

    `flat`: share of σ′(z^l) ≈ 0. Boolean arrays: `stuck` (n_l,), neurons flat for every example, of ReLU
    the dead ones; `unheard` (n_l,), neurons on which C hardly depends; `low` (n_{l−1},), inputs ≈ 0.
    `delta_norm`: mean ‖δ^l‖; `ratio`: to the next layer's; `factor`: ‖Σ′(z^l)(w^{l+1})ᵀ‖ of (35), with the
    largest σ′ of the batch, never below `ratio`; `step`: η‖∂C/∂w^l‖/‖w^l‖.
    """

    layer: int
    module: str
    activation: str
    flat: float
    stuck: np.ndarray
    unheard: np.ndarray
    low: np.ndarray
    delta_norm: float
    ratio: float
    factor: float
    step: float

    @property
    def slow_weights(self) -> np.ndarray:
        """(n_l, n_{l−1}): which w^l_jk learn slowly by T24, for a small a_k, a flat or an unheard neuron j."""
        return (self.stuck | self.unheard)[:, None] | self.low


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found; true if nothing, iterates over the findings, and prints as a table."""

    layers: tuple[LayerHealth, ...]
    findings: tuple[Finding, ...]
    book: Notation

    @property
    def ok(self) -> bool:
        """Is there no finding?"""
        return not self.findings

    def __bool__(self) -> bool:
        return self.ok

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def bound(self, l: int) -> float:
        """Π ‖Σ′(z^i)(w^{i+1})ᵀ‖ · ‖δ^L‖ over i = l … L−1: by (35), ‖δ^l‖ cannot be larger."""
        return float(np.prod([row.factor for row in self.layers[l - 2 : -1]]) * self.layers[-1].delta_norm)

    def why(self, l: int, j: int, k: int | None = None) -> str:
        """Why w^l_jk (without k: b^l_j) learns as fast as it does: which factors of BP4 (BP3) are ≈ 0."""
        book, sizes = self.book, self.book.sizes
        if not (2 <= l <= book.L and 1 <= j <= sizes[l - 1] and (k is None or 1 <= k <= sizes[l - 2])):
            expected = f"2 ≤ l ≤ {book.L}, j and k from 1, in a net of sizes {sizes}"
            raise ValueError(message("there is no such weight", expected=expected, got=(l, j, k)))
        row, flat = self.layers[l - 2], np.mean(_slopes(book, l)[j - 1] < _flat(book, l))
        arrived = self.layers[l - 1] if flat > 0.5 and l < book.L else row  # its own σ′ is told already
        lost = arrived.delta_norm * FAR < self.layers[-1].delta_norm
        causes = {
            f"its input a^{l - 1}_{k} is ≈ 0 (BP4)": k is not None and row.low[k - 1],
            f"σ′(z^{l}_{j}) is ≈ 0 for {flat:.0%} of the examples ({_bp(book, l)})": flat > 0.5,
            f"C hardly depends on a^{l}_{j} ({_bp(book, l)})": row.unheard[j - 1],
            "the error has vanished on its way back (35)": lost,
        }
        of = (
            (f"b^{l}_{j}", book.nabla_b[l][j - 1, 0])
            if k is None
            else (f"w^{l}_{j},{k}", book.nabla_w[l][j - 1, k - 1])
        )
        told = " and ".join(cause for cause, true in causes.items() if true)
        return f"∂C/∂{of[0]} is {of[1]:.1e}: {told or 'no factor is small'}"

    def __str__(self) -> str:
        sizes = "-".join(map(str, self.book.sizes))
        told = [f"{i}. {found.kind}: {found.text}." for i, found in enumerate(self.findings, start=1)]
        title = f"Diagnosis of a net of sizes {sizes}, {self.book.dtype}, on {self.book.m} examples"
        table = Table(title, COLUMNS, tuple(map(_cells, self.layers)), footer=LEGEND)
        return "\n".join([str(table), "", *(told or ["no findings"])])


def diagnose(net: Any, x: Any, y: Any, cost: Callable, *, eta: float | None = None) -> Diagnosis:
    """Look for what keeps `net` from learning on the batch x, y (T24, T25); returns a `Diagnosis`.

    Arguments as for `verify`; `eta`: the learning rate, to judge the next step of gradient descent.
    NaN and infinity are traced to where they are born; born before the cost, they end the search.

    >>> import numpy as np, tinygrad_bp as bp
    >>> x, y = np.ones((4, 3)), np.zeros((4, 2))
    >>> net = bp.nn.MLP([3, 5, 2], rng=0, dtype=np.float64)
    >>> net.layers[0].bias.data -= 20
    >>> [(found.kind, found.layer) for found in diagnose(net, x, y, bp.nn.functional.quadratic_cost)]
    [('saturated', 2), ('low activation', 3)]
    """
    with np.errstate(all="ignore"):  # what is not finite is a finding
        book = notation(net, x, y, cost)
        middle = _pull_in_the_middle(book, cost, as_rows(net, x, y)[1])
        rows = {l: _health(book, l, eta, middle) for l in book.z}
        found = list(_not_finite(book))
        if all(finding.layer is None for finding in found):
            found += (finding for l in book.z for finding in _slow(book, rows[l]))
            found += _stuck_outputs(book, rows[book.L], middle)
            found += [*_far_apart(book, rows, found), *_steps(book, rows, eta)]
    return Diagnosis(tuple(rows.values()), tuple(found), book)


def _cells(row):
    counts = row.flat, int(row.stuck.sum()), int(row.unheard.sum()), float(row.low.mean())
    norms = row.delta_norm, row.ratio, row.factor, row.step
    cells = row.layer, row.module, row.activation, len(row.stuck), *counts, *norms
    return tuple("–" if cell != cell else cell for cell in cells)


# ---- the factors -----------------------------------------------------------------------------------------


def _health(book, l, eta, middle):
    slopes, last = _slopes(book, l), l == book.L
    flat = slopes < _flat(book, l)
    pull = np.linalg.norm(np.hypot(_pull(book, l), middle if last else 0), axis=1)
    here, above = (
        np.mean(np.linalg.norm(book.delta[i].astype(np.float64), axis=0)) for i in (l, min(l + 1, book.L))
    )
    factor = np.nan if last else np.max(slopes, axis=1)[:, None] * book.w[l + 1].T
    return LayerHealth(
        layer=l,
        module=book.nodes[l].z.module or "",
        activation=book.nodes[l].activation_name,
        flat=float(np.mean(flat)) if np.isfinite(slopes).any() else np.nan,
        stuck=flat.all(axis=1),
        unheard=pull < UNHEARD * np.max(pull),
        low=np.sqrt(np.mean(np.square(book.a[l - 1]), axis=1)) < LOW,
        delta_norm=float(here),
        ratio=np.nan if last else float(here / above),
        factor=float(np.linalg.norm(factor, 2)) if np.all(np.isfinite(factor)) else np.nan,
        step=np.nan if eta is None else eta * _rms(book.nabla_w[l]) / _rms(book.w[l]),
    )


def _slopes(book, l):
    """|σ′(z^l)|: by formula, else the engine's δ^l over its ∂C/∂a^l; NaN for what is not elementwise."""
    name, ops = book.nodes[l].activation_name, book.nodes[l].activation
    if name in SIGMA_PRIME:
        return SIGMA_PRIME[name](book.z[l], book.a[l], **(ops[0].kwargs if ops else {}))
    mixes = any(node.op in MIXING for node in ops)
    return np.full_like(book.z[l], np.nan) if mixes else np.abs(book.delta[l] / _pull(book, l))


def _flat(book, l):
    return FLAT * LARGEST_SLOPE.get(book.nodes[l].activation_name, 1.0)


def _pull(book, l):
    """∂C_x/∂a^l, in columns; in float64, since squares of float32 underflow below 1e-19."""
    return book.m * book.nodes[l].a.cotangent.T.astype(np.float64)


def _pull_in_the_middle(book, cost, y):
    """|∂C_x/∂a^L|, in columns, if all outputs were σ(0): what C depends on, though a^L may be right by now."""
    middle = MIDDLE.get(book.nodes[book.L].activation_name, 0.5)
    return book.m * np.abs(grad(lambda a: cost(a, y))(np.full_like(book.a[book.L].T, middle)).T)


def _rms(a):
    return float(np.sqrt(np.mean(np.square(a, dtype=np.float64))))


# ---- the findings ----------------------------------------------------------------------------------------


def _finding(kind, book, row, which=(), **facts):
    """The sentence of this kind, with the facts of the layer; `which` neurons, counted from 1."""
    l, numbers = row.layer, [str(j) for j in np.flatnonzero(which) + 1]
    text = SENTENCES[kind].format(
        row=row, l=l, l_in=l - 1, n=book.sizes[l - 1], n_in=book.sizes[l - 2], m=book.m, bp=_bp(book, l),
        place=_place(book, l), stuck=row.stuck.sum(), low=row.low.sum(), **facts,
        which=", ".join(numbers[:5]) + (f", … ({len(numbers)} in all)" if len(numbers) > 5 else ""),
    )  # fmt: skip
    return Finding(kind, l, text)


def _bp(book, l):
    return "BP1" if l == book.L else "BP2"


def _place(book, l):
    module = book.nodes[l].z.module
    return f"layer {l}" + (f" ({module})" if module else "")


def _slow(book, row):
    """T24: the factors σ′ of BP2, a^{l−1} of BP4 and ∂C/∂a^l of BP1 and BP2; T25: w^l."""
    l, relu = row.layer, row.activation == "relu"
    if (np.mean(row.stuck) if relu else row.flat if l < book.L else 0) > MOST:
        b = book.b.get(l, np.zeros(1))
        causes = {"biases are about": np.mean(b), "weights make z about": _rms(book.z[l] - b)}
        cause = max(causes, key=lambda name: abs(causes[name]))
        yield _finding("dead" if relu else "saturated", book, row, cause=f"{cause} {causes[cause]:.2g}")
    if np.mean(row.low) >= NEARLY_ALL:
        yield _finding("low activation", book, row)
    if row.unheard.any():
        yield _finding("unheard", book, row, row.unheard)
    growth = _rms(book.w[l]) * book.sizes[l - 2] ** 0.5
    if growth > LARGE and (row.activation not in MIDDLE or (l == book.L and row.flat > MOST)):
        yield _finding("large weights", book, row, growth=growth)


def _stuck_outputs(book, row, middle):
    """T24, T27: σ′(z^L) ≈ 0 in BP1 where the output is wrong, and the cost does not make up for it.

    Wrong: C pulls at least as hard as at z = 0; not made up for: δ^L is below a tenth of what it is there.
    """
    L, name = book.L, row.activation
    flat = _slopes(book, L) < _flat(book, L)
    slow = np.abs(book.delta[L]) < 0.1 * LARGEST_SLOPE.get(name, 1.0) * middle
    wrong = flat & slow & (np.abs(book.nabla_a) >= middle)
    which = (np.mean(flat, axis=1) >= NEARLY_ALL) & (np.mean(wrong, axis=1) >= WRONG)
    if name in MIDDLE and which.any():
        yield _finding("saturated output", book, row, which, share=np.mean(wrong[which].any(axis=0)))


def _far_apart(book, rows, known):
    """T25: the product of (35) vanishes or explodes; named is the first layer, from the output, that is far."""
    known = {found.layer for found in known if found.kind in ("saturated", "dead")}
    relative = {l: np.divide(row.delta_norm, rows[book.L].delta_norm) for l, row in reversed(rows.items())}
    for kind, far, is_far in (("vanishing", 1 / FAR, np.less), ("exploding", FAR, np.greater)):
        l = next((l for l in relative if is_far(relative[l], far)), None)
        if l is not None and l not in known:
            slope = ", sigmoid's σ′ being at most ¼" if rows[l].activation == "sigmoid" else ""
            mean = relative[l] ** (1 / (book.L - l))
            yield _finding(kind, book, rows[l], far=far, d2=relative[2], mean=mean, slope=slope)


def _steps(book, rows, eta):
    """(47): ΔC ≈ ∂C/∂w · Δw, where Δw = −η ∂C/∂w."""
    C = float(_loss(book).value)
    for l, row in rows.items() if eta is not None else ():
        slopes = [np.sum(np.square(g[l])) for g in (book.nabla_w, book.nabla_b) if l in g]
        promise = eta * float(sum(slopes)) / C if C > 0 else 0.0
        if row.step > STEP or promise > PROMISE:
            yield _finding("step", book, row, eta=eta, promise=promise)


# ---- NaN and infinity ------------------------------------------------------------------------------------


def _not_finite(book):
    """The first place where the run was not finite: forward, and if there is none, backward."""
    nodes, C = book.nodes, _loss(book).value
    forward = [(l, seen) for l in nodes for seen in (nodes[l].z, nodes[l].a)] + [(None, _loss(book))]
    for l, seen in forward:
        if _broken(seen.value):
            while worse := next((parent for parent in seen.parents if _broken(parent.value)), None):
                seen = worse
            names = {id(nodes[l].weight): f"w^{l} has", id(nodes[l].bias): f"b^{l} has"} if l else {}
            what = names.get(id(seen), "the target y has")
            if seen is nodes[2].a_in:
                l, what = 1, "the input x, layer 1, has"
            elif seen.kind == "op":
                what = f"{_op(seen)} in {_place(book, l) if l else 'the cost'} gave"
            yield Finding(
                "not finite", l, f"{what} {_broken(seen.value)}: C is {C}, and BP1–BP4 start from there"
            )
            return
    for l in reversed(nodes):
        for name, array in (("∂C/∂a", _pull(book, l)), ("δ", book.delta[l]), ("∂C/∂w", book.nabla_w[l])):
            if what := _broken(array):
                text = f"{name}^{l} is {what}, though all values are finite, and BP2–BP4 hand it on"
                yield Finding("not finite", None if l == book.L and name == "∂C/∂a" else l, text)
                return


def _loss(book):
    return next(seen for seen in reversed(book.run.nodes) if seen.cotangent is not None)


def _op(seen):
    """'log of 0 … 0.2 (file.py:12)'."""
    values = [np.asarray(parent.value) for parent in seen.parents]
    ranges = [f"{a.min():.3g} … {a.max():.3g}" for a in values if a.size and a.dtype.kind in "fiub"]
    line = f" ({PurePath(seen.line.partition(': ')[0]).name})" if seen.line else ""
    return f"{seen.op} of {' and '.join(ranges)}{line}"


def _broken(value):
    """'nan in 3 of 40 elements, first at [0, 2]', or '' if all is finite."""
    if isinstance(value, list):
        return next(filter(None, map(_broken, value)), "")
    a = np.asarray(value)
    bad = np.argwhere(~np.isfinite(a)).tolist() if a.dtype.kind in "fc" else []
    return f"{a[tuple(bad[0])]} in {len(bad)} of {a.size} elements, first at {bad[0]}" if bad else ""
