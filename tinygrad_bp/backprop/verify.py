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
from .reading import activation_name, name_units, place, shortest
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
    try:
        layers, odd = list(stack(net, run, output, reading, x)), ""
    except NotAStack as found:
        layers, odd = [], str(found).partition("; expected")[0]
    dtype = _dtype(reading)
    with np.errstate(all="ignore"):  # what is not finite fails
        units, names = _units(reading, layers, sigma_prime or {})
        nabla_a, origin = _nabla_a(reading, units, y, cost, cost_derivative)
        places = [_place(k, units, names, reading, sigma_prime or {}, nabla_a) for k in range(len(units))]
        uses = _uses(units)
        rows = tuple(_rows(places, uses, reading, equations or Equations(), TOLERANCE[dtype]))
    first, widths = units[0], tuple(len(here.delta) for here in places)
    return Report(
        rows=rows,
        sizes=(len(first.columns(first.products[0].a.value)), *widths) if layers else widths,
        activations=tuple(activation_name(unit.activation) for unit in units),
        cost=getattr(cost, "__name__", type(cost).__name__),
        nabla_a=origin,
        dtype=dtype,
        batch=next((len(part) for part in tree.leaves(x) if np.ndim(part)), 1),
        notes=() if layers else (f"read as a graph: {odd}", *_notes(net, run, reading, TOLERANCE[dtype])),
        stack=bool(layers),
    )


def _dtype(reading):
    if not reading.units:
        what = "no weighted input leads to this cost, and so no equation of the textbook applies"
        expected = "products with parameters that require gradients: x @ w.T + b, x @ w + b or w @ x + b"
        do = "let the cost use what they lead to, or check another function with bp.gradcheck"
        raise ValueError(message(what, expected=expected, do=do))
    dtype = reading.units[0].z.value.dtype.name
    if dtype not in TOLERANCE:
        raise ValueError(message("verify knows no tolerance", expected="float32 or float64", got=dtype))
    return dtype


# ---- what stands at each weighted input -----------------------------------------------------------------


class Place(NamedTuple):
    """What the equations need at a weighted input, in N columns; δ stands for N · ∂C/∂z.

    `l`: its number in the equations' dicts; what uses a has l + 1. `delta`, `a`: the engine's. `slopes`:
    σ′(z), or None; `jacobian`: a -> ∂a/∂z, if σ is not elementwise; `unknown`: why neither is known.
    `behind`: (number of the weighted input, its w) for each that uses a; `rest`: the other shares in
    ∂C/∂a by the engine and, where they are ∇_a C, by hand; None where there are none.
    """

    name: int | str
    l: int
    a: np.ndarray
    delta: np.ndarray
    slopes: Any
    jacobian: Callable | None
    unknown: str
    behind: list[tuple[int, np.ndarray]]
    rest: tuple[np.ndarray, np.ndarray] | None
    equation: str
    read_from: str
    as_read: bool


def _units(reading, layers, sigma_prime):
    """(the weighted inputs, with the shortest σ that is known; their numbers or names)."""
    names = layers or name_units(reading)
    if strange := [name for name in sigma_prime if name not in names]:
        known = (
            f"layers 2 to {names[-1]}, the input being layer 1" if layers else f"one of {', '.join(names)}"
        )
        what = "sigma_prime names a layer that the net does not have"
        raise ValueError(message(what, expected=known, got=strange[0]))
    short = (*SIGMA_PRIME, *JACOBIAN)
    return [
        unit if layers or name in sigma_prime else shortest(unit, reading, short)
        for name, unit in zip(names, reading.units)
    ], names


def _place(k, units, names, reading, sigma_prime, nabla_a):
    unit, name, layered = units[k], names[k], isinstance(names[k], int)
    slopes, jacobian, unknown = _sigma(name, unit, sigma_prime.get(name))
    if unknown and layered:
        raise ValueError(unknown)
    delta = unit.columns(unit.z.cotangent)
    N, behind, uses, engine, hand = delta.shape[1], [], [], [], []
    for edge in reading.users[id(unit.a)]:
        j = reading.textbook.get((id(edge.node), edge.i))
        if j is not None and units[j].rows == unit.rows:
            product = next(p for p in units[j].products if p.node is edge.node)
            behind.append((j, product.oriented(product.parameter.value)))
            uses.append(f"wᵀδ of {names[j]}")
        else:
            in_cost = id(edge.node) in reading.cost
            uses.append(place(edge.node) + (", in the cost" if in_cost else ", not a textbook edge"))
            engine.append(N * unit.columns(edge.share))
            hand += [] if in_cost and unit.a is nabla_a[0] else engine[-1:]
    if unit.a is nabla_a[0]:
        hand.append(nabla_a[1])
    return Place(
        name=name,
        l=name if layered else 2,
        a=unit.columns(unit.a.value),
        delta=N * delta,
        slopes=slopes,
        jacobian=jacobian,
        unknown=unknown,
        behind=behind,
        rest=(sum(engine), sum(hand)) if engine else None,
        equation="eq37" if jacobian else "BP2" if behind else "BP1",
        read_from=f"z = {place(unit.z)}; σ = {activation_name(unit.activation)}; ∂C/∂a = {' + '.join(uses)}",
        as_read=not unit.activation and not behind and unit.a is not nabla_a[0],
    )


def _sigma(name, unit, own):
    """(σ′(z), a -> ∂a/∂z if σ is not elementwise, why neither is known)."""
    z, a, ops = unit.columns(unit.z.value), unit.columns(unit.a.value), unit.activation
    op, settings = activation_name(ops), ops[0].kwargs if ops else {}
    if own is not None:
        return np.broadcast_to(own(z), z.shape), None, ""
    if op in SIGMA_PRIME:
        return SIGMA_PRIME[op](z, a, **settings), None, ""
    if op in JACOBIAN and settings.get("axis", -1) in ((-1, len(unit.z.shape) - 1) if unit.rows else (0, -2)):
        return None, JACOBIAN[op], ""
    layer, line = f"layer {name}" if isinstance(name, int) else name, ops[-1].line
    what = f"σ′ of {layer} is not known, its activation being made of {op}" + (f" ({line})" if line else "")
    expected = f"one of {', '.join([*SIGMA_PRIME, *JACOBIAN])}, applied to x @ weight.T + bias"
    do = f"if it is elementwise, pass sigma_prime={{{name!r}: a function of z}}"
    return None, None, message(what, expected=expected, do=do)


def _nabla_a(reading, units, y, cost, given):
    """((the net's output, ∂C_x/∂a^L by hand in columns) or (None, None), where ∇_a C is from)."""
    if isinstance(cost, (MSELoss, BCELoss)) and cost.reduction == "mean":
        cost = functional.mse_loss if isinstance(cost, MSELoss) else functional.binary_cross_entropy
    known = (derivative for name, derivative in COST_DERIVATIVE.items() if getattr(functional, name) is cost)
    derivative, origin = (next(known, None), BY_HAND) if given is None else (given, GIVEN)
    ends = [u for u in units if [id(u.a)] == list(reading.outputs) and u.rows and len(u.a.shape) == 2]
    if derivative is None or not ends:
        if given is not None:
            what, do = "cost_derivative speaks of one output a = σ(z), rows of examples", "leave it out here"
            raise ValueError(message(what, got="a net whose output is something else", do=do))
        return (None, None), FROM_ENGINE
    a = ends[0].columns(ends[0].a.value)
    nabla_a = np.asarray(derivative(a, y.T))
    if nabla_a.shape != a.shape:
        do = "give y the shape of the net's output"
        raise ValueError(
            message("∇_a C has the wrong shape", expected=f"{a.shape}, columns", got=nabla_a.shape, do=do)
        )
    return (ends[0].a, nabla_a), origin


# ---- the equations ----------------------------------------------------------------------------------------


def _uses(units):
    """id of a parameter -> (parameter, [(number of the weighted input, it, product, or None for a bias)])."""
    uses: dict[int, tuple] = {}
    for k, unit in enumerate(units):
        own = [(bias, None) for bias in unit.biases] + [(p.parameter, p) for p in unit.products]
        for seen, product in own:
            uses.setdefault(id(seen), (seen, []))[1].append((k, unit, product))
    return uses


def _rows(places, uses, reading, equations, tolerance):
    """The rows in backprop's order: after each δ the parameters whose last share came from there."""
    own = {key: [edge.share for edge in reading.elsewhere(seen)] for key, (seen, _) in uses.items()}
    engine = {k: here.delta for k, here in enumerate(places)}
    engine |= {key: seen.cotangent for key, (seen, _) in uses.items()}
    step, hand, terms = (
        _by_hand(equations, places, uses, own, engine, **how)
        for how in ({"one_step": True}, {}, {"size": np.abs})
    )
    eps = float(np.finfo(places[0].delta.dtype).eps)

    def row(layer, equation, key, *more):
        distances = deviation(engine[key], hand[key]), deviation(engine[key], step[key])
        rounding = 4 * eps * ratio(np.max(np.abs(terms[key])), np.max(np.abs(hand[key])))
        return Row(layer, equation, *distances, rounding, tolerance, *more)

    for k, here in reversed(list(enumerate(places))):
        yield row(here.name, here.equation, k, here.read_from, here.unknown, here.as_read)
        for key, (seen, at) in uses.items():
            if at[0][0] == k:
                name = here.name if isinstance(here.name, int) else reading.names[key]
                parts = [
                    f"δ of {places[j].name}" + (f" and a_in = {place(p.a)}" if p else "") for j, _, p in at
                ]
                parts += [f"{place(edge.node)}, not a textbook edge" for edge in reading.elsewhere(seen)]
                yield row(name, "BP4" if at[0][2] else "BP3", key, " + ".join(parts))


def _by_hand(equations, places, uses, own, engine, one_step=False, size=np.positive):
    """Everything by the equations: each from the δ of those before or, in one step, from the engine's."""
    found: dict[int, np.ndarray] = {}
    delta = engine if one_step else found
    for k, here in reversed(list(enumerate(places))):
        found[k] = _checked(
            _delta(equations, here, delta, not one_step, size), engine[k], here.equation, here.name
        )
    for key, (seen, at) in reversed(uses.items()):
        shares = []
        for k, unit, product in at:
            l, name = places[k].l, places[k].name
            if product is None:
                share = equations.BP3({l: delta[k]}, l)
                shares.append(_checked(share, delta[k][:, :1], "BP3", name).reshape(seen.shape))
            else:
                a_in = size(unit.columns(product.a.value))
                share = equations.BP4({l - 1: a_in, l: size(places[k].a)}, {l: delta[k]}, l)
                shares.append(product.oriented(share))
                _checked(shares[-1], engine[key], "BP4", name)
        found[key] = sum([*shares, *map(size, own[key])])
    return found


def _delta(equations, here, delta, by_hand, size):
    """δ from all that uses a: by BP2 each, for what is no weighted input with w = 1."""
    if here.unknown:
        return size(here.delta)
    rest = [] if here.rest is None else [size(here.rest[by_hand])]
    edges = [(size(w), delta[j]) for j, w in here.behind]
    edges += [(np.eye(len(g), dtype=g.dtype), g) for g in rest]
    l = here.l
    if here.jacobian:
        sign = 1 if size is np.abs else -1
        return equations.eq37(sum(w.T @ d for w, d in edges), [here.jacobian(a, sign) for a in here.a.T])
    slopes = {l: size(here.slopes)}
    if not here.behind:
        return equations.BP1(*rest, slopes, l)
    return sum(equations.BP2({l + 1: w}, {l + 1: d}, slopes, l) for w, d in edges)


def _checked(array, like, equation, name):
    if np.shape(array) != like.shape:
        what = f"{equation} gave an array of the wrong shape in {'layer ' * isinstance(name, int)}{name}"
        raise ValueError(message(what, expected=like.shape, got=np.shape(array)))
    return array


def _notes(net, run, reading, tolerance):
    """What the net and its cost have that is not the textbook's."""
    uses = {id(seen) for unit in reading.units for seen in unit.parameters}
    ours = {*reading.cost, *reading.outputs, *reading.parameters}
    for node in run:
        for p in node.parents if id(node) in reading.cost else ():
            if p.kind == "op" and id(p) not in ours:
                yield f"outside assumption 2: the cost uses the result of {place(p)}, not an output, in {place(node)}"
    for seen in reading.leaves:
        name, elsewhere = reading.names[id(seen)], reading.elsewhere(seen)
        for in_cost in (True, False):
            edges = [edge for edge in elsewhere if (id(edge.node) in reading.cost) == in_cost]
            users = ", ".join(dict.fromkeys(place(edge.node) for edge in edges))
            if edges and id(seen) not in uses:
                yield f"not checked: {name}, in no weighted input, but used by {users}"
            elif edges:
                w, g = seen.value, sum(edge.share for edge in edges)
                factor = ratio(np.vdot(w, g), np.vdot(w, w))
                is_l2 = in_cost and w.size > 1 and deviation(g, factor * w) <= tolerance
                l2 = f", {factor:.4g} {name} as of an L2 penalty," if is_l2 else ""
                what = "outside assumption 2: in the cost" if in_cost else "not a textbook edge:"
                yield f"{what} {users} uses {name}; its own gradient{l2} is added as the engine found it"
    reached = {reading.names[id(seen)] for seen in reading.leaves if seen.cotangent is not None}
    for path, t in tree.named_leaves(net):
        if type(t) is Tensor and path not in reached:
            yield f"not checked: {path}: the cost does not depend on it"
