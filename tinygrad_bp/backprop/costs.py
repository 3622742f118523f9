"""Does a cost meet the book's two assumptions? And what the demon in a neuron can do to it.

Here you can have any cost(a, y) examined (`check_cost`), by itself or with the net that it is used on;
and you can sit in a neuron as the book's demon does: change one weighted input by Δz (`demon`), or all
in turn so that the cost falls (`good_demon`).

The one idea: nothing is assumed and everything is tried. The cost of a batch is compared with the costs
of its examples one by one; what else it uses is read off the observed run; and the demon's ΔC is that
of a replay of the run with one number changed. Read `diagnose.py` next.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import tree
from ..backward import Watch, sweep
from ..errors import message
from ..nn import Module
from ..observe import observe
from ..tensor import Tensor, constant
from ..transforms import no_grad, value_and_grad
from .conventions import Table, element
from .notation import as_rows, notation
from .report import TOLERANCE

ASSUMPTIONS = {1: "A mean over the examples", 2: "A function of a^L alone"}
Breach = namedtuple("Breach", "assumption what expected found")
Move = namedtuple("Move", "l j delta dz change predicted remainder")


def check_cost(cost: Callable, a: Any = 3, y: Any = None, net: Any = None, rng: Any = None) -> Table:
    """Is C the mean of per-example costs (1), and a function of a^L alone, y being fixed (2)? A `Table` of `Breach`es.

    `a`: n_L, for a batch drawn in (0, 1) by `rng`; or activations (m, n_L) to try with y; or, with `net`, its
    input x, so that hidden activations are recognised. Of more than 16 examples the first 16 are taken. No
    gradient may flow to a y that records; what is read from raw arrays (`t.data`) is not seen. Nielsen ch. 2.
    Raises ValueError if the cost is random, not finite, or not one number for a batch of any size.

    >>> import numpy as np, tinygrad_bp as bp
    >>> bool(check_cost(bp.nn.functional.quadratic_cost))
    True
    >>> {breach.assumption for breach in check_cost(lambda a, y: np.max((a - y) ** 2)).rows}
    {1}
    """
    if y is None and isinstance(a, int) and net is None:
        a, y = np.random.default_rng(0 if rng is None else rng).uniform(0.05, 0.95, (2, 6, a))
    x, target = (np.atleast_1d(constant(v))[:16] for v in (a, y))
    x = x.astype(np.float64) if net is None else x
    m, name = len(x), getattr(cost, "__name__", type(cost).__name__)
    if m < 2 or len(target) != m:
        got = f"shapes {x.shape} and {target.shape}"
        raise ValueError(
            message("check_cost compares examples", expected="two or more, each with its y", got=got)
        )
    learned = type(y) is Tensor and y.requires_grad
    with observe() as run, np.errstate(all="ignore"):
        output = Tensor(x, requires_grad=True) if net is None else net(Tensor(x))
        loss = cost(output, Tensor(target, requires_grad=True, name="y") if learned else target)
    if type(loss) is not Tensor or not loss.requires_grad:
        raise ValueError(message(f"{name} does not depend on a, as far as the engine sees", got=repr(loss)))
    C = _on_rows(cost, name, net, x, constant(output).astype(np.float64), target)
    breaches = _not_a_mean(C, m, TOLERANCE[output.dtype.name]) + _other_uses(run, loss, output)
    broken = {breach.assumption for breach in breaches}
    holds = [f"{what}: {'broken' if n in broken else 'holds'}" for n, what in ASSUMPTIONS.items()]
    title = f"{name} on {m} examples. {'. '.join(holds)}"
    return Table(title, ("", "counter-example", "expected", "found"), tuple(breaches), not breaches)


def _on_rows(cost, name, net, x, a, y):
    """The function (numbers of examples) -> (C, ∂C/∂a), and certain to be one."""

    def C(rows):
        try:
            with no_grad(), np.errstate(all="ignore"):
                if net is not None:
                    net(Tensor(x[rows]))  # what the cost may have kept of a net is of these examples, too
                value, nabla_a = value_and_grad(cost)(a[rows], y[rows])
        except Exception as error:
            what = f"{name} is not one number for a batch of any size: it fails for {len(rows)} of {len(a)} examples"
            raise ValueError(message(what, got=f"{type(error).__name__}: {error}")) from error
        return float(value), nabla_a

    (value, nabla_a), again = C(range(len(a))), C(range(len(a)))
    if not np.isfinite(value) or value != again[0] or np.any(nabla_a != again[1]):
        do, got = "fix its random numbers, or try other a and y", f"{value}, then {again[0]}"
        raise ValueError(message(f"{name} is random or not finite", expected="one number", got=got, do=do))
    return C


def _not_a_mean(C, m, tolerance):
    """Breaches of assumption 1: C and ∂C/∂a of a batch against those of its examples alone."""
    alone = [C([i]) for i in range(m)]
    C_x, nabla = np.array([c for c, _ in alone]), np.concatenate([g for _, g in alone])
    for rows in ([*range(m)], [*range(m)][::-2], [0, 0, m - 1]):
        (found, g), k, breaches = C(rows), len(rows), []
        fair, g_fair, batch = float(np.mean(C_x[rows])), nabla[rows] / k, ", ".join(str(i + 1) for i in rows)
        if not abs(found - fair) <= tolerance * np.mean(np.abs(C_x[rows])):
            hint = ", but this is their sum" if np.isclose(found, k * fair, rtol=tolerance, atol=0) else ""
            breaches.append(Breach(1, f"C of examples {batch}: the mean of their C_x{hint}", fair, found))
        worst = np.unravel_index(np.argmax(np.abs(g - g_fair)), g.shape)
        if not abs(g - g_fair)[worst] <= tolerance * np.max(np.abs(g_fair)):
            place = f"example {rows[worst[0]] + 1}, output {', '.join(str(j + 1) for j in worst[1:])}"
            what = f"∂C/∂a of examples {batch}, at {place}: ∂C_x/∂a over {k}"
            breaches.append(Breach(1, what, float(g_fair[worst]), float(g[worst])))
        if breaches:
            return breaches
    return []


def _other_uses(run, loss, output):
    """Breaches of assumption 2: what else than the output the recorded graph of the cost begins with."""
    out, uses = run.of(output), dict[int, tuple]()
    sweep({loss._node: np.ones(loss.shape, loss.dtype)}, False, Watch())
    behind = {id(p) for _, _, p in _operands(out, ())}
    for node, i, p in _operands(run.of(loss), {id(out), *behind}):
        if p is not out and (p.kind == "leaf" or (p.kind == "op" and id(p) in behind)):
            uses.setdefault(id(p), (node, p, node.contributions[i]))
    breaches = []
    for node, p, share in uses.values():
        place = (node.line or "").partition(": ")[0].rpartition("/")[2]
        what = (
            f"{node.op} ({place}) uses {p.name or p.op or 'a Tensor'} {p.shape}: max|∂C/∂it|, a^L held fixed"
        )
        breaches.append(Breach(2, what, 0.0, 0.0 if share is None else float(np.max(np.abs(share)))))
    return breaches


def _operands(start, stop):
    """(node, i, its operand i) of all nodes that `start` was computed from; none behind `stop`."""
    pending, met = [start], {*stop}
    while pending:
        node = pending.pop()
        if id(node) not in met:
            met.add(id(node))
            yield from ((node, i, p) for i, p in enumerate(node.parents))
            pending += node.parents


# ---- the demon -----------------------------------------------------------------------------------


def demon(
    net: Any, x: Any, y: Any, cost: Callable, l: int, j: int, example: int = 1, steps: Any = None
) -> Table:
    """A demon at z^l_j adds Δz: ΔC_x against δ^l_j Δz (Nielsen ch. 2, eq. 29). Rows are `Move`s; all count from 1.

    `steps`: the Δz, by default 1/4, 1/8, … 1/4096. The remainder should fall as Δz², with a wrong δ it falls as
    Δz: true if its order, a median over the smallest six above rounding, is above 1.5, or if there are no
    three. Other arguments as for `verify`; computed in float64, on a copy if `net` is a Module.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 4, 2], rng=0)
    >>> bool(demon(net, np.ones((5, 3)), np.zeros((5, 2)), bp.nn.functional.quadratic_cost, l=2, j=3))
    True
    """
    C_x, _, move = _sit_in(net, x, y, cost, example)
    moves = [move(l, j, float(dz)) for dz in (0.5 ** np.arange(2, 13) if steps is None else steps)]
    seen = [(abs(row.dz), abs(row.remainder)) for row in moves if not abs(row.remainder) <= 1e-12 * abs(C_x)]
    footer, order = "no remainder above rounding", np.inf
    if len(seen) > 2:
        falls = np.diff(
            np.log(sorted(seen)[:6]), axis=0
        )  # from step to step; one may be where C″ changes sign
        order = np.median(falls[:, 1] / falls[:, 0])
        footer = f"the remainder falls as Δz^{order:.2f}"
    title = f"The demon at z^{l}_{j}, example {example}: C_x = {C_x:.6g}"
    return Table(title, _HEADER, tuple(moves), bool(order > 1.5), footer)


def good_demon(
    net: Any, x: Any, y: Any, cost: Callable, example: int = 1, step: float = 0.01, most: int = 10
) -> Table:
    """A demon who wants to help: at each neuron Δz = −step sign δ, and what it wins: `Move`s, largest |δ| first.

    Where δ ≈ 0 it can win almost nothing (Nielsen ch. 2). Of more than `most` neurons those with the largest
    and smallest |δ| are tried, half of each. Arguments as for `demon`.
    """
    C_x, delta, move = _sit_in(net, x, y, cost, example)
    errors = [(l, j, float(error)) for l in delta for j, error in enumerate(delta[l][:, 0], start=1)]
    errors.sort(key=lambda row: -abs(row[2]))
    tried = errors if len(errors) <= most else errors[: most // 2] + errors[-(most // 2) :]
    moves = [move(l, j, -step if error > 0 else step) for l, j, error in tried]
    return Table(f"The good demon, example {example}: C_x = {C_x:.6g}", _HEADER, tuple(moves))


_HEADER = ("l", "j", "δ", "Δz", "ΔC", "δ Δz", "remainder")


def _sit_in(net, x, y, cost, example):
    """(C_x, δ, move) of one example: move(l, j, dz) replays the run with z^l_j larger by dz."""
    if isinstance(net, Module):
        net = tree.map(lambda p: Tensor(constant(p).astype(np.float64), requires_grad=True), net)
    x, y = as_rows(net, x, y)
    if example not in range(1, len(x) + 1):
        raise IndexError(message("there is no such example", expected=f"1 … {len(x)}", got=example))
    book = notation(net, x[example - 1 : example], y[example - 1 : example], cost)
    if book.dtype != np.float64:
        raise ValueError(message("the demon needs double precision", expected="float64", got=book.dtype))
    loss = next(node for node in reversed(book.run.nodes) if node.cotangent is not None)

    @np.errstate(all="ignore")
    def move(l, j, dz):
        delta, z = float(element(book, "delta", l, j, 1)), book.z[l].T
        values = {id(book.nodes[l].z): z + dz * (np.arange(z.shape[1]) == j - 1)}
        for node in book.run:
            if id(node) not in values and any(id(p) in values for p in node.parents):
                forward: Any = node.function
                values[id(node)] = forward(*(values.get(id(p), p.value) for p in node.parents), **node.kwargs)
        change = float(values[id(loss)] - loss.value)
        return Move(l, j, delta, dz, change, delta * dz, change - delta * dz)

    return float(loss.value), book.delta, move
