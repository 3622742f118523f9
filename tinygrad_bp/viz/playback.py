"""What the stepper plays: a recorded run as a list of steps, in the order in which the engine took them.

The one idea: the record has every value, every cotangent and every edge's contribution, and the ops
have the engine's own numbers, by which its sweep went (the latest first); so the passes are played
from the record and not run again. A partial sum of contributions is the only thing that is added up
here, and its end must be the recorded cotangent, bit for bit. Read `stepper.py` next.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..backward import Watch, project, sweep
from ..derivation.explain import call_observed
from ..errors import message
from ..graph import PICK
from ..observe import Run, Seen
from ..primitive import REGISTRY, Op
from ..tensor import Tensor
from .vertices import HOW_TO_OBSERVE, Vertex, trace

MOST_OPS = 20_000
LARGEST_JACOBIAN = 1024
"""Elements of a local derivative that is worked out entry by entry."""
PRODUCTS = {"matmul", "dot"}


class Sums(NamedTuple):
    """How the cotangent of a value grew: what was there (None: nothing yet), what came, what is there now."""

    before: Any
    share: Any
    after: Any


class Step(NamedTuple):
    """One thing that happens: "start", "forward" (v is computed), "seed" (backward starts at v) or "edge".

    On an edge, v hands on to its operand number `operand`, v.parents[operand]; `right` is what was
    recorded, `wrong` what `=` in place of `+=` would give. `done`: is the operand's cotangent complete?
    """

    kind: str
    v: Vertex | None = None
    operand: int = 0
    right: Sums | None = None
    wrong: Sums | None = None
    done: bool = False

    @property
    def parent(self) -> Vertex:
        """The operand that receives."""
        return self.v.parents[self.operand] if self.v else Vertex("constant")


class Playback(NamedTuple):
    """The vertices, parents first and otherwise in the order of the run; the steps; v.index -> wrong cotangent."""

    vertices: list[Vertex]
    steps: list[Step]
    wrong: dict[int, Any]


def playback(source: Any) -> Playback:
    """The steps of an observed run, or of an observed Tensor's graph, whose backward pass is over.

    Raises ValueError if nothing was observed or nothing went backward, or if several backward passes
    met, whose contributions cannot be told apart.
    """
    vertices = _in_order(trace(source, MOST_OPS))
    if not all(v.observed for v in vertices if v.kind == "op") or not any(v.observed for v in vertices):
        raise ValueError(
            message("this graph was not observed, so there is nothing to play", do=HOW_TO_OBSERVE)
        )
    ops = [v for v in vertices if v.kind == "op"]
    if all(v.cotangent is None for v in ops):
        what, do = "no backward pass has come by yet", "call .backward() on the result first"
        raise ValueError(message(what, expected="an observed run, forward and backward", do=do))
    steps, wrong = _backward(ops)
    return Playback(vertices, [Step("start"), *(Step("forward", v) for v in ops), *steps, Step("end")], wrong)


def _in_order(vertices):
    """The engine's order, each parameter and constant before its first user."""
    order: list[Vertex] = []
    met: set[int] = set()
    for v in sorted((v for v in vertices if v.kind == "op"), key=lambda v: getattr(v.seen, "sequence", 0)):
        fresh = [p for p in v.parents if p.kind != "op" and not p.inline and id(p) not in met]
        order += [*dict.fromkeys(fresh), v]
        met.update(map(id, fresh))
    order = order or vertices
    for i, v in enumerate(order):
        v.index = i
    return order


def _backward(ops):
    """The steps of the backward pass, and index of a vertex -> its cotangent if `=` took the place of `+=`."""
    right, wrong, steps = {}, {}, []
    for v in reversed(ops):
        if v.cotangent is None:
            continue
        if v.index not in right:
            right[v.index] = wrong[v.index] = v.cotangent
            steps.append(Step("seed", v))
        _check_sum(v, right[v.index])
        shares = v.contributions
        mistaken = shares if wrong[v.index] is right[v.index] else _pulled(v, wrong[v.index])
        for i, (p, share) in enumerate(zip(v.parents, shares)):
            if share is not None:
                then, bad = right.get(p.index), wrong.get(p.index)
                right[p.index] = share if then is None else _plus(then, share)
                wrong[p.index] = right[p.index] if then is None and mistaken[i] is share else mistaken[i]
                sums = Sums(then, share, right[p.index]), Sums(bad, mistaken[i], wrong[p.index])
                steps.append(Step("edge", v, i, *sums))
    last = {step.parent.index: k for k, step in enumerate(steps) if step.kind == "edge"}
    for p in {id(step.parent): step.parent for step in steps if step.kind == "edge"}.values():
        _check_sum(p, right[p.index])
    return [
        s._replace(done=s.kind == "edge" and last[s.parent.index] == k) for k, s in enumerate(steps)
    ], wrong


def _plus(total, share):
    if isinstance(share, list):
        return [b if a is None else a if b is None else a + b for a, b in zip(total, share)]
    return total + share


def _check_sum(v, total):
    pairs = list(zip(total, v.cotangent)) if isinstance(total, list) else [(total, v.cotangent)]
    if not all(a is b or np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind in "fc") for a, b in pairs):
        raise ValueError(
            message(
                f"the contributions to {v.name or v.op or v.kind} do not add up to its cotangent",
                expected="the record of one backward pass, with all that it went through",
                do="observe one forward and one backward pass in a block of their own",
            )
        )


# ---- the op's own rule ---------------------------------------------------------------------------------


def op_of(v: Vertex) -> Op | None:
    """The declaration of the op, or None for one that is not in the registry any more."""
    function = getattr(v.seen, "function", None)
    op = PICK if function is PICK.forward else REGISTRY.get(function)
    return op if isinstance(op, Op) else None


def pull(v: Vertex, i: int, g: Any) -> Any:
    """What the op's VJP rule makes of the cotangent g for operand i, or None."""
    op = op_of(v)
    if op is None:
        return None
    operands = [p.value for p in v.parents]
    with np.errstate(all="ignore"):
        if op.joint is not None:
            return op.joint(g, v.value, *operands, **v.kwargs)[i]
        if op.sequence is not None:
            return op.rules[0](g, v.value, operands, **v.kwargs)[i]
        rule = op.rules[i]
        return None if rule is None else rule(g, v.value, *operands, **v.kwargs)


def _pulled(v, g):
    """The shares of a cotangent g that the engine did not have, by the op's own rule."""
    op, shares = op_of(v), []
    for i, (p, share) in enumerate(zip(v.parents, v.contributions)):
        new = None if share is None else pull(v, i, g)
        fits = new is None or op is None or isinstance(new, list)
        shares.append(new if fits else project(new, op, i, p, v.shape))
    return shares


def local(v: Vertex, i: int) -> tuple[str, Any]:
    """(kind, array): the local derivative ∂v/∂(operand i), in the form in which the step multiplies by it.

    "each": elementwise, of v's shape; "scalar": of the operand's, where v is one number; "left" and
    "right": the factor on that side of a product; "matrix": the Jacobian, a row for each element
    of v; "moved": the operand's own numbers in other places; "rule": none of them, the rule does it as a whole.
    """
    op, p = op_of(v), v.parents[i]
    if op is None or v.shape is None or p.shape is None:
        return "rule", None
    if op.view and not op.elementwise:
        return "moved", None
    if v.op in PRODUCTS and all(q.shape is not None and len(q.shape) == 2 for q in v.parents):
        return ("right", v.parents[1].value.T) if i == 0 else ("left", v.parents[0].value.T)
    one = np.ones(v.shape, v.dtype)[()]
    if op.elementwise:
        return "each", np.broadcast_to(np.asarray(pull(v, i, one)), v.shape)
    if one.size == 1:
        return "scalar", np.reshape(pull(v, i, one), p.shape)
    if one.size * p.value.size > LARGEST_JACOBIAN:
        return "rule", None
    rows = [
        np.ravel(project(pull(v, i, row.reshape(v.shape)), op, i, p, v.shape))
        for row in np.eye(one.size, dtype=v.dtype)
    ]
    return "matrix", np.array(rows)


# ---- of a function -------------------------------------------------------------------------------------


def observed(f: Callable, args: tuple) -> Run | Seen:
    """The record of f(*args), forward and backward; of f's value, or of all of a run whose value is none.

    Arrays of real numbers among the arguments become Tensors with the parameters' names. Unless f
    calls `.backward()` itself, the `.grad` of what it uses stay as they are.
    """
    loss, run = call_observed(f, args)
    if any(seen.cotangent is not None for seen in run) and type(loss) is not Tensor:
        return run
    if type(loss) is not Tensor or not loss.requires_grad or loss.size != 1 or loss._node.op is None:
        expected = "one number, computed from Tensors that require gradients, or from the arrays given"
        what = "the function's value is nothing to go backward from"
        raise ValueError(message(what, expected=expected, got=repr(loss)[:80]))
    if run.of(loss).cotangent is None:
        sweep({loss._node: np.ones(loss.shape, loss.dtype)[()]}, False, Watch())
    return run.of(loss)
