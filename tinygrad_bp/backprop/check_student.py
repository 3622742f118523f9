"""`check_backprop`: your own `backprop(x, y)` held against the engine, and its mistake named.

    print(bp.backprop.check_backprop(my_backprop))

The one idea: a mistake that many have made before is an equation, too. Each is kept here beside the
right one, run on the same net, and named if it gives your numbers exactly; an unknown one is located
by layer and equation, since each equation can be held against your own δ^{l+1}. Read `paths.py` next.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

from __future__ import annotations  # numpy.random is loaded when it is used

import copy
import inspect
import itertools
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..errors import message, outline
from .equations import FORMULAS
from .network import Activation, Network
from .report import deviation

RIGHT: dict[str, Callable] = {
    "feedforward": lambda s, l: s.w[l] @ s.a[l - 1] + s.b[l],
    "BP1": lambda s, l: (s.a[l] - s.y) * s.slope(s.z[l]),
    "BP2": lambda s, l: (s.w[l + 1].T @ s.delta[l + 1]) * s.slope(s.z[l]),
    "BP3": lambda s, l: s.delta[l].mean(axis=1, keepdims=True),
    "BP4": lambda s, l: s.delta[l] @ s.a[l - 1].T / s.m,
}
"""The equations as functions of s, whose w, b, z, a, delta are dicts over the layers, and of the layer l."""

# fmt: off
MISTAKES: list[tuple[str, str, Callable]] = [  # an equation, what is wrong with it, and how it then reads
    ("feedforward", "b^l left out",            lambda s, l: s.w[l] @ s.a[l - 1]),
    ("BP1", "σ′(z^L) left out",                lambda s, l: s.a[l] - s.y),
    ("BP1", "y − a^L for a^L − y, a wrong sign", lambda s, l: (s.y - s.a[l]) * s.slope(s.z[l])),
    ("BP1", "σ′(a^L) for σ′(z^L)",             lambda s, l: (s.a[l] - s.y) * s.slope(s.a[l])),
    ("BP1", "σ(z^L) for σ′(z^L)",              lambda s, l: (s.a[l] - s.y) * s.a[l]),
    ("BP1", "σ′ of the layer before, σ′(z^{L−1})", lambda s, l: (s.a[l] - s.y) * s.slope(s.z[l - 1])),
    ("BP1", "a factor 2, the cost's ½ forgotten", lambda s, l: 2 * (s.a[l] - s.y) * s.slope(s.z[l])),
    ("BP1", "y left out",                      lambda s, l: s.a[l] * s.slope(s.z[l])),
    ("BP1", "a mean over the n_L outputs",     lambda s, l: (s.a[l] - s.y) * s.slope(s.z[l]) / len(s.y)),
    ("BP2", "σ′(z^l) left out",                lambda s, l: s.w[l + 1].T @ s.delta[l + 1]),
    ("BP2", "transpose dropped, w^{l+1} for (w^{l+1})ᵀ", lambda s, l: (s.w[l + 1] @ s.delta[l + 1]) * s.slope(s.z[l])),
    ("BP2", "σ′(a^l) for σ′(z^l)",             lambda s, l: (s.w[l + 1].T @ s.delta[l + 1]) * s.slope(s.a[l])),
    ("BP2", "σ(z^l) for σ′(z^l)",              lambda s, l: (s.w[l + 1].T @ s.delta[l + 1]) * s.a[l]),
    ("BP2", "σ′ of the next layer, σ′(z^{l+1})", lambda s, l: (s.w[l + 1].T @ s.delta[l + 1]) * s.slope(s.z[l + 1])),
    ("BP2", "σ′(z^L) in every layer",          lambda s, l: (s.w[l + 1].T @ s.delta[l + 1]) * s.slope(s.z[s.L])),
    ("BP2", "off by one layer, w^l for w^{l+1}", lambda s, l: (s.w[l].T @ s.delta[l + 1]) * s.slope(s.z[l])),
    ("BP2", "w^L for w^{l+1} in every layer",  lambda s, l: (s.w[s.L].T @ s.delta[l + 1]) * s.slope(s.z[l])),
    ("BP2", "δ not updated, δ^L for δ^{l+1}",  lambda s, l: (s.w[l + 1].T @ s.delta[s.L]) * s.slope(s.z[l])),
    ("BP2", "δ^{l+1} handed on as δ^l",        lambda s, l: s.delta[l + 1]),
    ("BP2", "(w^{l+1})ᵀ left out",             lambda s, l: s.delta[l + 1] * s.slope(s.z[l])),
    ("BP2", "a wrong sign",                    lambda s, l: -RIGHT["BP2"](s, l)),
    ("BP3", "the next layer's δ^{l+1} for δ^l", lambda s, l: RIGHT["BP3"](s, min(l + 1, s.L))),
    ("BP3", "summed over the neurons",         lambda s, l: np.full_like(s.b[l], s.delta[l].sum() / s.m)),
    ("BP3", "averaged over the neurons",       lambda s, l: np.full_like(s.b[l], s.delta[l].mean())),
    ("BP3", "b^l as a factor",                 lambda s, l: RIGHT["BP3"](s, l) * s.b[l]),
    ("BP3", "the mean over the examples forgotten", lambda s, l: s.m * RIGHT["BP3"](s, l)),
    ("BP3", "the mean over the examples taken twice", lambda s, l: RIGHT["BP3"](s, l) / s.m),
    ("BP3", "a wrong sign",                    lambda s, l: -RIGHT["BP3"](s, l)),
    ("BP4", "the next layer's δ^{l+1} for δ^l", lambda s, l: s.delta[min(l + 1, s.L)] @ s.a[l - 1].T / s.m),
    ("BP4", "the outer product the wrong way round", lambda s, l: RIGHT["BP4"](s, l).T),
    ("BP4", "a^l for a^{l−1}",                 lambda s, l: s.delta[l] @ s.a[l].T / s.m),
    ("BP4", "a^{l−2} for a^{l−1}",             lambda s, l: s.delta[l] @ s.a[max(l - 2, 1)].T / s.m),
    ("BP4", "the input x for a^{l−1} in every layer", lambda s, l: s.delta[l] @ s.a[1].T / s.m),
    ("BP4", "z^{l−1} for a^{l−1}",             lambda s, l: s.delta[l] @ s.z.get(l - 1, s.a[1]).T / s.m),
    ("BP4", "w^l for a^{l−1}",  lambda s, l: s.delta[l].mean(axis=1, keepdims=True) * s.w[l]),
    ("BP4", "the mean over the examples forgotten", lambda s, l: s.m * RIGHT["BP4"](s, l)),
    ("BP4", "the mean over the examples taken twice", lambda s, l: RIGHT["BP4"](s, l) / s.m),
    ("BP4", "a wrong sign",                    lambda s, l: -RIGHT["BP4"](s, l)),
]
# fmt: on


class StudentRow(NamedTuple):
    """One equation in one layer, max|student − engine|/max|engine|, and "pass", "FAIL" or "FAIL, inherited"."""

    layer: int
    equation: str
    deviation: float
    verdict: str


@dataclass(frozen=True)
class StudentReport:
    """What `check_backprop` found; true if nothing is wrong, and printed as a table.

    `trouble`: why there are no numbers for the widths asked for (an exception, a wrong shape, …), or "".
    `mistakes`: the known ones that give exactly the student's numbers; several if this net cannot tell.
    """

    sizes: tuple[int, ...]
    trouble: str
    rows: tuple[StudentRow, ...] = ()
    mistakes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Are all numbers right, and is nothing else wrong?"""
        return not self.trouble and not self.guilty

    def __bool__(self) -> bool:
        return self.ok

    @property
    def guilty(self) -> tuple[tuple[int, str], ...]:
        """(layer, equation) wherever an equation is wrong by itself, and not because of the δ it starts from."""
        return tuple((row.layer, row.equation) for row in self.rows if row.verdict == "FAIL")

    def __str__(self) -> str:
        lines = [f"FAIL: {self.trouble}"] if self.trouble else []
        if self.rows:
            place = " where all shapes fit," * bool(self.trouble)
            lines += [f"backprop against the engine,{place} widths {'-'.join(map(str, self.sizes))}", ""]
            width = max(map(len, FORMULAS.values()))
            lines += [f"layer  {'equation':<{width + 5}}  deviation"]
            for l, equation, far, verdict in self.rows:
                lines += [f"{l:>5}  {equation}  {FORMULAS[equation]:<{width}}  {far:>9.1e}  {verdict}"]
            where = ", ".join(f"{equation} of layer {l}" for l, equation in self.guilty)
            lines += ["", f"FAIL: wrong in {where}" if where else f"pass: all {len(self.rows)} agree"]
            known = f"\n{'or by':>34} ".join(self.mistakes)
            named = (
                f"exactly these numbers are given by {known}"
                if known
                else "no known mistake gives these numbers"
            )
            lines += [named] * bool(where)
        return "\n".join(lines)


def check_backprop(
    my_backprop: Callable,
    sizes: Sequence[int] = (4, 4, 4, 4),
    *,
    net: Any = None,
    sigma: Activation = "sigmoid",
    batch: int = 1,
    rng: np.random.Generator | int | None = 0,
) -> StudentReport:
    """Your own backprop, held against the engine, and its mistake by name; columns and quadratic cost.

    `my_backprop`: f(x, y, weights, biases), f(net, x, y), or f(x, y) as a method of a net with `weights` and
    `biases` (or with that net as `net`), returning (nabla_b, nabla_w), lists over the layers 2 … L. The
    weights are drawn by `rng`; a net gets its own back. Equal widths tell most mistakes apart. `batch` > 1:
    also called with so many columns, C being the mean over them.

    >>> import numpy as np, tinygrad_bp as bp
    >>> check_backprop(bp.backprop.Network([3, 5, 2]).backprop, [3, 5, 2]).ok
    True
    """
    call, rng = _caller(my_backprop, net), np.random.default_rng(rng)
    truth = Network(sizes, by="engine", sigma=sigma, rng=rng)
    truth.weights = [w / np.sqrt(w.shape[1]) for w in truth.weights]  # no neuron is saturated
    examples = [(rng.standard_normal((sizes[0], m)), rng.random((sizes[-1], m))) for m in (1, 1, 1, batch)]
    try:
        runs = [(x, y, _ask(call, truth, x, y), _flat(truth.backprop(x, y))) for x, y in examples]
    except _TroubleError as trouble:
        report = StudentReport(tuple(sizes), str(trouble))
        if len(set(sizes)) == 1:
            return report
        square = [4] * len(sizes)  # where transposes and the arrays of other layers fit
        other = check_backprop(my_backprop, square, net=net, sigma=sigma, batch=batch)
        return replace(other, trouble=report.trouble)
    tolerance = 1e-5 if any(part.dtype == np.float32 for part in runs[0][2]) else 1e-9
    report = StudentReport(tuple(sizes), "", _rows(truth, runs, tolerance))
    return report if report.ok else replace(report, mistakes=_explanations(truth, runs, tolerance))


# ---- asking --------------------------------------------------------------------------------------------


class _TroubleError(Exception):
    """What is wrong with a student's function, in words."""


def _caller(f, owner):
    """call(net, x, y), whatever the student's function takes."""
    given = [p for p in inspect.signature(f).parameters.values() if p.default is p.empty]
    names = [p.name for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    owner = getattr(f, "__self__", None) if owner is None else owner
    if len(names) == 4:
        first, second = ("biases", "weights") if names[2].lower().startswith("b") else ("weights", "biases")
        return lambda net, x, y: f(x, y, getattr(net, first), getattr(net, second))
    if len(names) == 3:
        return f
    if len(names) == 2 and owner is not None:
        return partial(_lend, f, owner)
    what = f"f({', '.join(names)}) does not say where its weights are from"
    expected = "f(x, y, weights, biases), f(net, x, y), or a method f(x, y)"
    raise TypeError(message(what, expected=expected, do="name the object that it reads them from: net="))


def _lend(f, owner, net, x, y):
    """f(x, y), while `owner` has the drawn parameters; it gets everything of its own back."""
    own = dict(vars(owner))
    vars(owner).update(weights=net.weights, biases=net.biases, sizes=net.sizes, num_layers=net.num_layers)
    try:
        return f(x, y)
    finally:
        net.weights, net.biases = vars(owner).get("weights", []), vars(owner).get("biases", [])
        vars(owner).clear()
        vars(owner).update(own)


def _ask(call, net, x, y):
    """The student's gradient, nabla_b and then nabla_w, as a list of arrays."""
    same, answers = partial(np.array_equal, equal_nan=True), []
    for _ in range(2):
        lent, *columns = copy.deepcopy((net, x, y))
        try:
            answer = call(lent, *columns)
            after = [*columns, *lent.weights, *lent.biases]
        except Exception as error:
            raise _TroubleError(f"it raised {type(error).__name__}: {error}{_place(error)}") from None
        answers.append(_read(answer, net))
        before = [x, y, *net.weights, *net.biases]
        if len(after) != len(before) or not all(map(same, after, before)):
            raise _TroubleError("it changes x, y or the weights; backprop only computes, SGD changes them")
    if not all(map(same, *answers)):
        raise _TroubleError("called again with the same arguments, it gave other numbers")
    return answers[0]


def _place(error):
    """The line of the student's file in which an exception came up."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    own = [f for f in frames if f.filename == frames[0].filename]
    return f" (line {own[-1].lineno}: {own[-1].line})" if own else ""


def _read(answer, net):
    """Copies of the arrays of (nabla_b, nabla_w), if they have the right shapes."""
    right = [[part.shape for part in half] for half in (net.biases, net.weights)]
    what = "not (nabla_b, nabla_w), two lists of arrays"
    try:
        halves = ([half[l] for l in sorted(half)] if isinstance(half, dict) else half for half in answer)
        arrays = [[np.array(part) for part in half] for half in halves]
    except (TypeError, ValueError):
        raise _TroubleError(message(what, got=outline(answer))) from None
    shapes = [[part.shape for part in half] for half in arrays]
    if shapes != right:
        swapped, reverse = shapes == right[::-1], shapes == [half[::-1] for half in right]
        do = "nabla_b comes first" if swapped else "layer 2 comes first, layer L last" if reverse else None
        raise _TroubleError(message("(nabla_b, nabla_w) has wrong shapes", expected=right, got=shapes, do=do))
    if kinds := {part.dtype for part in _flat(arrays) if part.dtype.kind not in "fiu"}:
        raise _TroubleError(message("a gradient has real numbers", got=f"dtype {kinds.pop()}"))
    return _flat(arrays)


def _flat(gradient):
    return [part for half in gradient for part in half]


# ---- where, and which ----------------------------------------------------------------------------------


@np.errstate(all="ignore")  # what is not finite fails
def _rows(net, runs, tolerance):
    """Each equation of each layer: on the single examples, and then BP3 and BP4 on the batch."""
    *singles, (_, _, *batch) = runs
    n, delta, rows = net.num_layers - 1, None, []
    zs, activations = net.forward(np.hstack([x for x, *_ in singles]), net.biases, net.weights)
    gradients = zip(*[run[2:] for run in singles])
    found, right = ([np.stack(parts, axis=-1) for parts in zip(*each)] for each in gradients)
    for i in reversed(range(n)):  # layer i + 2; examples are in the last axis
        a_in, nabla_b, nabla_w, best = activations[i], found[i][:, 0], found[n + i], right[i][:, 0]
        step = best if delta is None else (net.weights[i + 1].T @ delta) * net.sigma[1](zs[i])
        from_w = np.sum(nabla_w * a_in, axis=1) / np.sum(a_in * a_in, axis=0)
        delta = from_w if deviation(from_w, step) <= tolerance < deviation(nabla_b, step) else nabla_b
        for name, part, whole, one_step, k in (
            ("BP1" if i == n - 1 else "BP2", delta, best, step, None),
            ("BP3", nabla_b, best, delta, i),
            ("BP4", nabla_w, right[n + i], delta[:, None] * a_in, n + i),
        ):
            far, alone = deviation(part, whole), deviation(part, one_step)
            if far <= tolerance and k is not None:
                far = alone = max(far, alone, deviation(*(gradient[k] for gradient in batch)))
            wrong = "FAIL, inherited" if alone <= tolerance else "FAIL"
            rows.append(StudentRow(i + 2, name, far, "pass" if max(far, alone) <= tolerance else wrong))
    return tuple(rows)


def _explanations(net, runs, tolerance):
    """The fewest known mistakes, at most one in each equation, that give the student's numbers on all runs."""
    L = net.num_layers
    alone = [(f", in layer {l} alone", [l]) for l in range(2, L + 1)]
    places: dict[str, list] = {"BP2": alone[:-1], "BP3": [(", in the hidden layers", range(2, L)), *alone]}
    places["BP4"] = places["BP3"]
    options: dict[str, list] = {"order": [(0, "", 1), (100, "the lists begin with layer L", -1)]}
    options |= {name: [(0, "", partial(_rule, name, right, ()))] for name, right in RIGHT.items()}
    for name, words, wrong in MISTAKES:
        for rank, (place, layers) in enumerate([("", range(2, L + 1)), *places.get(name, [])], start=100):
            options[name].append((rank, f"{name}: {words}{place}", partial(_rule, name, wrong, layers)))
    giving = _giving(net, runs[-1], options, tolerance)
    for _, best in itertools.groupby(sorted(giving, key=_rank), key=_rank):
        named = [chosen for chosen in best if all(_confirms(net, run, chosen, tolerance) for run in runs)]
        if named:
            return tuple("; and ".join(words for _, words, _ in chosen if words) for chosen in named)
    return ()


def _rank(chosen):
    return sum(rank for rank, *_ in chosen)


def _confirms(net, run, chosen, tolerance):
    return _giving(net, run, {name: [option] for name, option in zip(["order", *RIGHT], chosen)}, tolerance)


def _rule(name, wrong, layers, s, l):
    """A mistake that is made in some layers."""
    try:
        return (wrong if l in layers else RIGHT[name])(s, l)
    except (KeyError, ValueError):  # this net has no such layer, or the widths do not fit
        return np.array(np.nan)


@np.errstate(all="ignore")
def _giving(net, run, options, tolerance):
    """The choices, of one option for each equation, that give the student's numbers."""
    x, y, answer, _ = run
    L, layers, (sigma, slope) = net.num_layers, range(2, net.num_layers + 1), net.sigma
    w, b = dict(zip(layers, net.weights)), dict(zip(layers, net.biases))

    def giving(name, among, layers):
        return [o for o in among if all(_same(o[2](s, l), given[name, l], tolerance) for l in layers)]

    found: list = []
    for order, forward, bp1 in itertools.product(options["order"], options["feedforward"], options["BP1"]):
        given = dict(zip(itertools.product(("BP3", "BP4"), layers[:: order[2]]), answer))
        s = SimpleNamespace(w=w, b=b, z={}, a={1: x}, y=y, delta={}, slope=slope, m=x.shape[1], L=L)
        for l in layers:
            s.z[l] = forward[2](s, l)
            s.a[l] = sigma(s.z[l])
        s.delta[L] = bp1[2](s, L)
        bp3, bp4 = (giving(name, options[name], [L]) for name in ("BP3", "BP4"))
        for bp2 in options["BP2"] if bp3 and bp4 else ():
            for l in range(L - 1, 1, -1):
                s.delta[l] = bp2[2](s, l)
            ends = itertools.product(giving("BP3", bp3, layers), giving("BP4", bp4, layers))
            found.extend((order, forward, bp1, bp2, *end) for end in ends)
    return found


def _same(found, expected, tolerance):
    """As `deviation`, but for the many."""
    return found.shape == expected.shape and abs(found - expected).max() <= tolerance * abs(expected).max()
