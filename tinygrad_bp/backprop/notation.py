"""The book's view of one run of a net: w^l, b^l, z^l, a^l, δ^l, read off what the engine did.

Here you can run a net and its cost on a batch and look at the result as Nielsen writes it: layer 1 is
the input and L the output, columns are examples, δ^l = ∂C_x/∂z^l is the error of each example.

The one idea: nothing is asked of the net's classes. The run is observed (`bp.observe`), and the
recorded graph itself is followed from the output back to the input: each weighted input z^l is a node
`a @ weight.T + bias`, what lies between z^l and the next product is the layer's activation. The sweep
runs as in `.backward()`, but nothing is stored, so the net stays as it was. Read `verify.py` next.
"""

# l is the book's name of a layer.
# ruff: noqa: E741

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..backward import Watch, sweep
from ..errors import message
from ..nn import Linear, Module
from ..observe import Run, Seen, observe
from ..tensor import Tensor, constant
from .equations import Layers


class LayerNodes(NamedTuple):
    """The observed nodes that one layer was read from; `activation` has the ops from z to a."""

    weight: Seen
    bias: Seen | None
    a_in: Seen
    z: Seen
    activation: tuple[Seen, ...]
    a: Seen

    @property
    def activation_name(self) -> str:
        """'linear', the op's name, or the names of several ops."""
        return ", ".join(str(node.op) for node in self.activation) or "linear"


@dataclass(frozen=True)
class Notation:
    """One observed run of a net, forward and backward, in the book's notation.

    The dicts are keyed by the layer l; the input is layer 1. A layer without bias is missing in `b`
    and `nabla_b`. `nabla_a` is ∂C_x/∂a^L; `nabla_b`, `nabla_w` are derivatives of C, the mean over the
    m examples; `y` is the cost's second argument, examples in columns. All arrays are read-only views.
    """

    L: int
    m: int
    sizes: tuple[int, ...]
    dtype: np.dtype
    w: Layers
    b: Layers
    z: Layers
    a: Layers
    y: np.ndarray
    nabla_a: np.ndarray
    delta: Layers
    nabla_b: Layers
    nabla_w: Layers
    nodes: dict[int, LayerNodes]
    run: Run


def notation(net: Any, x: Any, y: Any, cost: Any) -> Notation:
    """Run cost(net(x), y) and its backward pass, and give both in the book's notation.

    x (m, n_1) and y have examples in rows; a single example may be one-dimensional. The net is any
    stack of layers `x @ weight.T + bias` with activations between them; its parameters and their
    `.grad` stay as they are. Raises ValueError, naming what was found, if it is something else.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 5, 2], rng=0, dtype=np.float64)
    >>> book = notation(net, np.ones((4, 3)), np.zeros((4, 2)), bp.nn.functional.quadratic_cost)
    >>> book.sizes, book.z[2].shape, book.nodes[3].activation_name
    ((3, 5, 2), (5, 4), 'sigmoid')
    """
    _check_frozen(net)
    x, y = as_rows(net, x, y)
    with observe() as run:
        output = net(Tensor(x))
        loss = cost(output, y)
    _check_scalar(loss)
    nodes = _stack(run, output, x)
    _check_only_user(run, run.of(output))
    _check_parameters(net, run, nodes)
    sweep({loss._node: np.ones(loss.shape, loss.dtype)}, False, Watch())
    return _in_the_books_words(run, nodes, y)


def delta_norms(net: Any, x: Any, y: Any, cost: Any) -> dict[int, float]:
    """‖δ^l‖ for each layer l = 2 … L: the mean over the examples of the Euclidean norm of ∂C_x/∂z^l.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 5, 2], rng=0, dtype=np.float64)
    >>> list(delta_norms(net, np.ones((4, 3)), np.zeros((4, 2)), bp.nn.functional.quadratic_cost))
    [2, 3]
    """
    delta = notation(net, x, y, cost).delta
    return {l: float(np.mean(np.linalg.norm(delta[l].astype(np.float64), axis=0))) for l in sorted(delta)}


def as_rows(net: Any, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """x and y as arrays with one example per row; lists, integers and targets in the net's own dtype."""
    floats = [t.dtype for t in tree.leaves(net) if type(t) is Tensor and t.dtype.kind == "f"]
    dtype = floats[0] if floats else None
    x, y = constant(x), np.asarray(constant(y))
    if not isinstance(x, np.ndarray) or (dtype is not None and np.can_cast(x.dtype, dtype)):
        x = np.asarray(x, dtype)
    elif x.dtype.kind in "iub":
        x = x.astype(dtype or np.float64)
    if y.dtype.kind in "fb":
        y = y.astype(dtype or y.dtype)
    if x.ndim == 1:
        x, y = x[None], y[None]
    if x.ndim != 2 or not len(x):
        raise ValueError(
            message(
                "the book's notation needs a batch", expected="x of shape (m, n_1), m ≥ 1", got=f"{x.shape}"
            )
        )
    return x, y


def _check_scalar(loss):
    if type(loss) is not Tensor or not loss.requires_grad:
        raise ValueError(
            message(
                "nothing was recorded",
                expected="a cost(net(x), y) that depends on parameters which require gradients",
                got=repr(loss),
                do="call outside bp.no_grad(), with a cost written in NumPy functions",
            )
        )
    if loss.size != 1:
        raise ValueError(
            message("a cost is one number", got=f"shape {loss.shape}", do="take the mean over the examples")
        )


def _check_frozen(net):
    """Raise if the engine is not asked for all gradients of the net's layers."""
    for path, part in net.named_modules() if isinstance(net, Module) else ():
        own = [t for t in (part.weight, part.bias) if t is not None] if isinstance(part, Linear) else []
        if not all(t.requires_grad for t in own):
            raise _not_a_stack(
                f"the parameters of {path or type(part).__name__} do not all require gradients"
            )


# ---- from the recorded graph to layers -----------------------------------------------------------


def _not_a_stack(what, node=None, do=None):
    place = [] if node is None else [p for p in (node.module, node.line) if p]
    return ValueError(
        message(
            f"this net is not a stack of layers: {what}" + (f" ({', '.join(place)})" if place else ""),
            expected="x @ weight.T + bias and an elementwise activation, one layer after the other",
            do=do,
        )
    )


def _stack(run, output, x):
    """The layers l = 2 … L, found by following the graph from the output back to the input."""
    found = []
    a = run.of(output) if type(output) is Tensor and output.requires_grad else None
    if a is None or a.kind != "op" or a.value.ndim != 2 or len(a.value) != len(x):
        shape = output.shape if isinstance(output, (Tensor, np.ndarray)) else type(output).__name__
        raise _not_a_stack(f"it maps a batch of shape {x.shape} to {shape}, not to one row per example")
    while a.kind == "op":
        z, activation = _weighted_input(a)
        a_in, weight, bias = _affine(z)
        if bias is not None and bias.value.size != z.shape[1]:
            raise _not_a_stack(f"the bias {_label(bias)} is added to {z.shape[1]} neurons", z)
        if a.shape != z.shape:
            raise _not_a_stack(f"{a.op} takes the shape {z.shape} to {a.shape}", a)
        found.append(LayerNodes(weight, bias, a_in, z, activation, a))
        a = a_in
    if a.kind == "leaf":
        raise _not_a_stack(f"the input of its first product is the parameter {_label(a)}")
    return {l: nodes for l, nodes in enumerate(reversed(found), start=2)}


def _affine(node):
    """(a, weight, bias) of a node a @ weight.T + bias; bias is None without one; None for other nodes."""
    if node.op == "add":
        for product, bias in (node.parents, node.parents[::-1]):
            if product.op == "matmul" and bias.kind == "leaf":
                found = _affine(product)
                return found and (*found[:2], bias)
    if node.op == "matmul" and node.parents[1].op == "transpose":
        weight = node.parents[1].parents[0]
        if weight.kind == "leaf" and weight.value.ndim == 2:
            return node.parents[0], weight, None
    return None


def _weighted_input(a):
    """(z, the ops from z to a in the order in which they ran), where z is the one weighted input behind a."""
    pending: list = [(a, a)]  # (node, whoever uses it)
    seen: set[int] = set()
    inputs, ops = [], []
    while pending:
        node, user = pending.pop()
        if id(node) in seen or node.kind == "constant":
            continue
        seen.add(id(node))
        if node.kind == "leaf":
            raise _not_a_stack(f"{user.op} uses the parameter {_label(node)}", user)
        if _affine(node):
            inputs.append(node)
        else:
            ops.append(node)
            pending += [(parent, node) for parent in reversed(node.parents)]
    if len(inputs) != 1:
        raise _not_a_stack(f"{ops[0].op} joins {len(inputs)} weighted inputs", ops[0])
    return inputs[0], tuple(reversed(ops))


def _label(seen):
    return f"{seen.name or '(no name)'} of shape {seen.shape}"


def _check_only_user(run, output):
    """Raise if anything but the next layer uses a parameter, a z or an a: the cost, say, or a penalty."""
    stack, pending = {}, [output]
    while pending:
        node = pending.pop()
        if node.kind != "constant" and id(node) not in stack:
            stack[id(node)] = node
            pending += node.parents
    for node in run:
        used = [p for p in node.parents if id(p) in stack and p is not output]
        if id(node) not in stack and used:
            what = _label(used[0]) if used[0].kind == "leaf" else f"the result of {used[0].op}"
            raise _not_a_stack(
                f"{node.op} in the cost uses {what}", node,
                do="leave penalties out: the cost must be a function of the output activations and y alone "
                "(the book's second assumption)",
            )  # fmt: skip


def _check_parameters(net, run, nodes):
    """Raise unless each layer has parameters of its own, and every parameter of the net is in a layer."""
    used = [seen for layer in nodes.values() for seen in (layer.weight, layer.bias) if seen is not None]
    if len({id(seen) for seen in used}) < len(used):
        twice = next(seen for seen in used if sum(other is seen for other in used) > 1)
        raise _not_a_stack(f"two layers share the parameter {_label(twice)}")
    for name, t in tree.named_leaves(net):
        if type(t) is Tensor and not any(_is(seen, run, t) for seen in used):
            raise _not_a_stack(f"the parameter {name} is in no layer of it")


def _is(seen, run, t):
    """Is this the Seen of the Tensor t?"""
    try:
        return run.of(t) is seen
    except KeyError:  # the run did not come across t
        return False


# ---- from layers to the book's words -------------------------------------------------------------


def _in_the_books_words(run, nodes, y):
    layers, L = range(2, len(nodes) + 2), len(nodes) + 1
    m = nodes[L].a.shape[0]
    values = [seen.value for l in layers for seen in (nodes[l].weight, nodes[l].a_in, nodes[l].z, nodes[l].a)]
    dtypes = sorted({str(value.dtype) for value in values})
    if len(dtypes) > 1:
        raise ValueError(
            message(
                "the net and its input have different dtypes", got=" and ".join(dtypes),
                do="convert one of them with astype",
            )
        )  # fmt: skip
    if nodes[L].a.cotangent is None:
        raise ValueError(
            message("the cost does not depend on the net's output", do="let it use its argument")
        )
    biased = [l for l in layers if nodes[l].bias is not None]
    return Notation(
        L=L,
        m=m,
        sizes=(nodes[2].a_in.shape[1], *(nodes[l].z.shape[1] for l in layers)),
        dtype=np.dtype(dtypes[0]),
        w={l: _frozen(nodes[l].weight.value) for l in layers},
        b={l: _frozen(nodes[l].bias.value.reshape(-1, 1)) for l in biased},
        z={l: _frozen(nodes[l].z.value.T) for l in layers},
        a={1: _frozen(nodes[2].a_in.value.T), **{l: _frozen(nodes[l].a.value.T) for l in layers}},
        y=_frozen(y.T),
        nabla_a=_frozen(m * nodes[L].a.cotangent.T),
        delta={l: _frozen(m * nodes[l].z.cotangent.T) for l in layers},
        nabla_b={l: _frozen(nodes[l].bias.cotangent.reshape(-1, 1)) for l in biased},
        nabla_w={l: _frozen(nodes[l].weight.cotangent) for l in layers},
        nodes=nodes,
        run=run,
    )


def _frozen(array):
    view = array.view()
    view.flags.writeable = False
    return view
