"""`verify`: the generic engine's gradients, held against BP1–BP4 written by hand, on anyone's net.

The one idea: at every weighted input z of a real run, the hand-written equations find δ from what uses
a = σ(z): wᵀδ where that is another weighted input, else the contribution that the engine handed on; and
∂C/∂w, ∂C/∂b from δ, summed over all uses. The engine, which knows nothing of layers, did the same run by
its own rules of matmul, add and tanh; both must agree. A stack of layers is the case in which each a has
one use: δ^L, …, δ^2 follow from ∇_a C alone. Each equation is also applied to the engine's own δ, one
step, which tells the place of a mistake from the places that inherit it.

∂C/∂a^L is where the equations start, they do not say where it comes from. For a cost in
`equations.COST_DERIVATIVE`, or with `cost_derivative=`, it is computed by hand; for any other it is
what the engine found, and the report says so: numerical differences would not reach twelve digits.
Read `differences.py` next.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..errors import message
from ..nn import BCELoss, MSELoss, functional
from ..tensor import Tensor
from .equations import COST_DERIVATIVE, JACOBIAN, SIGMA_PRIME, Equations
from .notation import NotAStack, as_arrays, both_passes, stack
from .reading import Product, Weighted, activation_name, name_units, place, shortest
from .report import TOLERANCE, Report, Row, deviation, ratio

BY_HAND, GIVEN, FROM_ENGINE = "by hand", "as given", "read from the engine, no formula is known here"


def verify(
    net: Any,
    x: Any,
    y: Any,
    cost: Callable,
    *,
    sigma_prime: Mapping[Any, Callable] | None = None,
    cost_derivative: Callable | None = None,
    equations: Equations | None = None,
) -> Report:
    """Hold the engine's δ, ∂C/∂b, ∂C/∂w against BP1–BP4 by hand, at each weighted input; a `Report`.

    `net`: anything that computes a @ w.T + b and the like from Tensors, left as it is; x, y: arrays with
    examples in rows, or dicts or tuples of them; cost(net(x), y): a mean. `sigma_prime`: σ′(z) for
    activations not in `SIGMA_PRIME`, z in columns, by layer (input: 1) or, if the net is not a stack, by
    the report's names; `cost_derivative(a, y)`: ∇_a C_x, in columns. Within 1e-12 in float64, 1e-5 in
    float32. Raises ValueError where there is nothing to hold the equations against.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 5, 2], rng=0, dtype=np.float64)
    >>> bool(verify(net, np.ones((4, 3)), np.zeros((4, 2)), bp.nn.functional.quadratic_cost))
    True
    """
    x, y = as_arrays(net, x, y)
    run, output, reading = both_passes(net, x, y, cost)
    if not reading.units:
        raise ValueError(
            message(
                "no weighted input leads to this cost, and so no equation of the textbook applies",
                expected="products with parameters that require gradients: x @ w.T + b, x @ w + b, w @ x + b",
                do="let the cost use what they lead to, or check another function with bp.gradcheck",
            )
        )
    try:
        layers, odd = list(stack(net, run, output, reading, x)), ""
    except NotAStack as found:
        layers, odd = [], str(found).partition("; expected")[0]
    dtype = reading.units[0].z.value.dtype.name
    if dtype not in TOLERANCE:
        raise ValueError(message("verify knows no tolerance", expected="float32 or float64", got=dtype))
    with np.errstate(all="ignore"):  # what is not finite fails
        known, origin = _known_nabla_a(reading, y, cost, cost_derivative)
        places = _places(reading, layers, sigma_prime or {}, known)
        uses = _uses(places)
        rows = _rows(places, uses, reading, equations or Equations(), TOLERANCE[dtype])
    widths = tuple(len(here.slopes) for here in places)
    first = places[0].unit
    return Report(
        rows=tuple(rows),
        sizes=(len(first.columns(first.products[0].a.value)), *widths) if layers else widths,
        activations=tuple(activation_name(here.unit.activation) for here in places),
        cost=getattr(cost, "__name__", type(cost).__name__),
        nabla_a=origin,
        dtype=dtype,
        batch=len(tree.leaves(x)[0]),
        notes=()
        if layers
        else (f"read as a graph: {odd}", *_notes(net, run, reading, uses, TOLERANCE[dtype])),
        stack=bool(layers),
    )


# ---- what stands at each weighted input -----------------------------------------------------------------


class Place(NamedTuple):
    """A weighted input with what the equations need there, in N columns; δ stands for N · ∂C/∂z.

    `l`: its number in the equations' dicts, with l + 1 for whatever uses a: the `edges` to weighted
    inputs (number, product), and the rest of ∂C/∂a, `by_engine` or, if it is ∇_a C, `by_hand`.
    `slopes`: σ′(z); `jacobian`: ∂a/∂z if σ is not elementwise; `unknown`: why neither is known.
    """

    name: int | str
    l: int
    unit: Weighted
    slopes: np.ndarray
    jacobian: Callable | None
    unknown: str
    edges: list[tuple[int, Product]]
    by_engine: np.ndarray | None
    by_hand: np.ndarray | None
    read_from: str

    @property
    def equation(self):
        return "eq37" if self.jacobian else "BP2" if self.edges else "BP1"

    @property
    def delta(self):
        return self.slopes.shape[1] * self.unit.columns(self.unit.z.cotangent)

    @property
    def as_read(self):
        return not self.unit.activation and not self.edges and self.by_hand is self.by_engine


def _places(reading, layers, sigma_prime, nabla_a):
    names = layers or name_units(reading)
    if strange := [name for name in sigma_prime if name not in names]:
        known = (
            f"layers 2 to {names[-1]}, the input being layer 1" if layers else f"one of {', '.join(names)}"
        )
        raise ValueError(
            message("sigma_prime names a layer that the net does not have", expected=known, got=strange[0])
        )
    units = [
        unit if layers or name in sigma_prime else shortest(unit, reading, (*SIGMA_PRIME, *JACOBIAN))
        for name, unit in zip(names, reading.units)
    ]
    return [_place(k, names, units, reading, sigma_prime, nabla_a) for k in range(len(units))]


def _place(k, names, units, reading, sigma_prime, nabla_a):
    name, unit, stacked = names[k], units[k], isinstance(names[k], int)
    slopes, jacobian, unknown = _sigma(name, unit, sigma_prime.get(name))
    if unknown and stacked:
        raise ValueError(unknown)
    edges, rest, uses = [], [], []
    for edge in reading.users[id(unit.a)]:
        j = reading.textbook.get((id(edge.node), edge.i))
        if j is not None and units[j].rows == unit.rows:
            edges.append((j, next(p for p in units[j].products if p.node is edge.node)))
            uses.append(f"wᵀδ of {names[j]}")
        else:
            rest.append((edge.share, id(edge.node) in reading.cost))
            in_cost = "in the cost" if rest[-1][1] else "which is not a textbook edge"
            uses.append(f"{place(edge.node)}, {in_cost}")
    N = slopes.shape[1]
    by_engine = by_hand = N * unit.columns(sum(share for share, _ in rest)) if rest else None
    if nabla_a is not None and nabla_a[0] is unit.a:
        by_hand = _nabla_a(unit, *nabla_a[1:])
        by_hand = by_hand + sum(N * unit.columns(share) for share, in_cost in rest if not in_cost)
    text = f"z = {place(unit.z)}; σ = {activation_name(unit.activation)}; ∂C/∂a = {' + '.join(uses)}"
    l = name if stacked else 2
    return Place(name, l, unit, slopes, jacobian, unknown, edges, by_engine, by_hand, text)


def _sigma(name, unit, own):
    """(σ′(z), ∂a/∂z if σ is not elementwise, why neither is known)."""
    z, a, ops = unit.columns(unit.z.value), unit.columns(unit.a.value), unit.activation
    op, settings = activation_name(ops), ops[0].kwargs if ops else {}
    if own is not None:
        return np.broadcast_to(own(z), z.shape), None, ""
    if op in SIGMA_PRIME:
        return SIGMA_PRIME[op](z, a, **settings), None, ""
    if op in JACOBIAN and settings.get("axis", -1) in ((-1, unit.z.value.ndim - 1) if unit.rows else (0, -2)):
        return np.ones_like(z), JACOBIAN[op], ""
    unknown = message(
        f"σ′ of {'layer ' if isinstance(name, int) else ''}{name} is not known, its activation being made of {op}"
        + (f" ({ops[-1].line})" if ops[-1].line else ""),
        expected=f"one of {', '.join([*SIGMA_PRIME, *JACOBIAN])}, applied to x @ weight.T + bias",
        do=f"if it is elementwise, pass sigma_prime={{{name!r}: a function of z}}",
    )
    return np.ones_like(z), None, unknown


def _known_nabla_a(reading, y, cost, given):
    """((the net's output, ∇_a C's formula, y) or None, where ∇_a C is from)."""
    if isinstance(cost, (MSELoss, BCELoss)) and cost.reduction == "mean":
        cost = functional.mse_loss if isinstance(cost, MSELoss) else functional.binary_cross_entropy
    known = (derivative for name, derivative in COST_DERIVATIVE.items() if getattr(functional, name) is cost)
    derivative, origin = (next(known, None), BY_HAND) if given is None else (given, GIVEN)
    ends = [unit.a for unit in reading.units if unit.rows and [id(unit.a)] == list(reading.outputs)]
    if derivative is not None and ends and ends[0].value.ndim == 2:
        return (ends[0], derivative, y), origin
    if given is not None:
        raise ValueError(
            message(
                "cost_derivative is ∂C_x/∂a of the net's output",
                expected="one output, a = σ(z), with examples in rows",
                do="leave it out: ∂C/∂a is then read from the engine",
            )
        )
    return None, FROM_ENGINE


def _nabla_a(unit, derivative, y):
    a = unit.columns(unit.a.value)
    nabla_a = np.asarray(derivative(a, y.T))
    if nabla_a.shape != a.shape:
        raise ValueError(
            message(
                "∇_a C has the wrong shape", expected=f"{a.shape}, columns", got=nabla_a.shape,
                do="give y the shape of the net's output",
            )
        )  # fmt: skip
    return nabla_a


# ---- the equations ----------------------------------------------------------------------------------------


def _uses(places):
    """id of a parameter -> (parameter, [(number of the weighted input, product, or None for a bias)])."""
    uses: dict[int, tuple] = {}
    for k, here in enumerate(places):
        own = [(bias, None) for bias in here.unit.biases] + [(p.parameter, p) for p in here.unit.products]
        for seen, product in own:
            uses.setdefault(id(seen), (seen, []))[1].append((k, product))
    return uses


def _rows(places, uses, reading, equations, tolerance):
    """The rows in backprop's order: after each δ the parameters whose last share came from there."""
    own = {key: _own(seen, reading.elsewhere(seen)) for key, (seen, _) in uses.items()}
    engine = {k: here.delta for k, here in enumerate(places)}
    step = _by_hand(equations, places, uses, own, [here.by_engine for here in places], engine)
    rests = [here.by_hand for here in places]
    hand = _by_hand(equations, places, uses, own, rests)
    terms = _by_hand(equations, places, uses, own, rests, size=np.abs)
    engine.update({key: seen.cotangent for key, (seen, _) in uses.items()})

    def row(name, equation, key, **more):
        return Row(
            name,
            equation,
            whole_way=deviation(engine[key], hand[key]),
            one_step=deviation(engine[key], step[key]),
            rounding=4 * float(np.finfo(hand[key].dtype).eps)
            * ratio(np.max(np.abs(terms[key])), np.max(np.abs(hand[key]))),
            tolerance=tolerance,
            **more,
        )  # fmt: skip

    for k in reversed(range(len(places))):
        here = places[k]
        more = {"read_from": here.read_from, "unchecked": here.unknown, "as_read": here.as_read}
        yield row(here.name, here.equation, k, **more)
        for key, (seen, at) in uses.items():
            if at[0][0] == k:
                name = here.name if isinstance(here.name, int) else reading.names[key]
                parts = [f"δ of {places[j].name}" + (f" and a_in = {place(p.a)}" if p else "") for j, p in at]
                parts += [place(edge.node) for edge, _ in reading.elsewhere(seen)]
                yield row(name, "BP4" if at[0][1] else "BP3", key, read_from=" + ".join(parts))


def _own(seen, elsewhere):
    """The share of a parameter's gradient of which the equations do not speak, from the engine."""
    shares = (edge.share.T if flipped else edge.share for edge, flipped in elsewhere)
    return sum(shares, np.zeros_like(seen.value))


def _by_hand(equations, places, uses, own, rests, known=None, size=np.positive):
    """Everything by the equations: each from the δ of those before, or from `known` δ, one step each."""
    delta: dict[int, np.ndarray] = {}
    source, found = delta if known is None else known, {}
    for k in reversed(range(len(places))):
        here = places[k]
        delta[k] = _delta(equations, here, source, rests[k], size)
        found[k] = _checked(delta[k], here.slopes.shape, here.equation, here.name)
    for key, (seen, at) in reversed(uses.items()):
        found[key] = size(own[key])
        for k, product in at:
            here, l = places[k], places[k].l
            if product is None:
                b = equations.BP3({l: source[k]}, l)
                found[key] = found[key] + _checked(b, (len(source[k]), 1), "BP3", here.name).reshape(
                    seen.shape
                )
            else:
                a_in, a = (size(here.unit.columns(node.value)) for node in (product.a, here.unit.a))
                w = equations.BP4({l - 1: a_in, l: a}, {l: source[k]}, l)
                shape = (len(source[k]), len(a_in))
                found[key] = found[key] + product.oriented(_checked(w, shape, "BP4", here.name))
    return found


def _delta(equations, here, source, rest, size):
    l, slopes = here.l, {here.l: size(here.slopes)}
    if here.unknown:
        return size(here.delta)
    if not here.edges and not here.jacobian:
        return equations.BP1(size(rest), slopes, l)
    w = [size(p.oriented(p.parameter.value)) for _, p in here.edges]
    delta = [source[j] for j, _ in here.edges]
    if rest is not None:
        w, delta = [*w, np.eye(len(rest), dtype=rest.dtype)], [*delta, size(rest)]
    behind, delta = np.vstack(w), np.vstack(delta)
    if not here.jacobian:
        return equations.BP2({l + 1: behind}, {l + 1: delta}, slopes, l)
    sign = 1 if size is np.abs else -1
    return equations.eq37(
        behind.T @ delta, [here.jacobian(a, sign) for a in here.unit.columns(here.unit.a.value).T]
    )


def _checked(array, shape, equation, name):
    if np.shape(array) != shape:
        at = f"layer {name}" if isinstance(name, int) else name
        what = f"{equation} gave an array of the wrong shape in {at}"
        raise ValueError(message(what, expected=shape, got=np.shape(array)))
    return array


def _notes(net, run, reading, uses, tolerance):
    """What the net and its cost have that is not the textbook's."""
    for node in run:
        for p in node.parents if id(node) in reading.cost else ():
            if p.kind == "op" and not {id(p)} & {*reading.cost, *reading.outputs, *reading.parameters}:
                yield f"outside assumption 2: {place(node)} in the cost uses the result of {place(p)}, which is not an output"
    for seen in reading.leaves:
        name, elsewhere = reading.names[id(seen)], reading.elsewhere(seen)
        users = ", ".join(dict.fromkeys(place(edge.node) for edge, _ in elsewhere))
        if id(seen) not in uses and elsewhere:
            yield f"not checked: {name}, which is in no weighted input, but used by {users}"
        elif penalty := [(edge, flipped) for edge, flipped in elsewhere if id(edge.node) in reading.cost]:
            w, g = seen.value, _own(seen, penalty)
            factor = ratio(np.vdot(w, g), np.vdot(w, w))
            l2 = (
                f", {factor:.4g} {name} as of an L2 penalty," if deviation(g, factor * w) <= tolerance else ""
            )
            yield f"outside assumption 2: the cost uses {name} ({users}); its own gradient{l2} is added to BP3's and BP4's"
        elif elsewhere:
            yield f"{name} is also used by {users}, not a textbook edge; that share is added as the engine found it"
    reached = {reading.names[id(seen)] for seen in reading.leaves if seen.cotangent is not None}
    for path, t in tree.named_leaves(net):
        if type(t) is Tensor and path not in reached:
            yield f"not checked: {path}: the cost does not depend on it"
