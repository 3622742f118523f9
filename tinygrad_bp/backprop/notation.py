"""The book's view of one run of a net: w^l, b^l, z^l, a^l, δ^l, read off what the engine did.

Here you can run a net and its cost on a batch and look at the result as Nielsen writes it: layer 1 is
the input and L the output, columns are examples, δ^l = ∂C_x/∂z^l is the error of each example.

The one idea: nothing is asked of the net's classes. The run is observed (`bp.observe`), its weighted
inputs are found in the recorded graph (`reading.py`), and if each leads to the next one, they are the
layers of the book. The sweep runs as in `.backward()`, but nothing is stored, so the net stays as it
was. Read `verify.py` next.
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
from .reading import Reading, activation_name, place, read


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
        return activation_name(self.activation)


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
    x, y = as_rows(net, x, y)
    run, output, reading = both_passes(net, x, y, cost)
    return _in_the_books_words(run, stack(net, run, output, reading, x), y)


def both_passes(net: Any, x: Any, y: Any, cost: Any) -> tuple[Run, Any, Reading]:
    """(the observed run of cost(net(x), y), forward and backward, net(x), what was read in the run)."""
    with observe(guard=True) as run:  # an array that is overwritten would mislead both sides
        output = net(tree.map(Tensor, x))
        made = len(run)
        loss = cost(output, y)
    _check_scalar(loss)
    sweep({loss._node: np.ones(loss.shape, loss.dtype)}, False, Watch())
    ends = [run.of(t) for t in tree.leaves(output) if type(t) is Tensor and t.requires_grad]
    reading = read(net, run, run.of(loss), ends, made)
    dtypes = {str(a.dtype) for u in reading.units for a in (u.z, *(p.a for p in u.products))}
    if len(dtypes) > 1:
        what, got = "the net and its input have different dtypes", " and ".join(sorted(dtypes))
        raise ValueError(message(what, got=got, do="convert one of them with astype"))
    return run, output, reading


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
    x, y = as_arrays(net, x, y)
    if np.ndim(x) != 2:
        raise _no_batch(x)
    return x, y


def _no_batch(x):
    got = getattr(x, "shape", type(x).__name__)
    return ValueError(
        message("the book's notation needs a batch", expected="x of shape (m, n_1), m ≥ 1", got=got)
    )


def as_arrays(net: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """x and y as arrays in the net's own dtype, or as dicts or tuples of arrays; one example becomes a row."""
    floats = [t.dtype for t in tree.leaves(net) if type(t) is Tensor and t.dtype.kind == "f"]
    dtype = floats[0] if floats else None

    def inputs(x):
        x = constant(x)
        if not isinstance(x, np.ndarray) or (dtype is not None and np.can_cast(x.dtype, dtype)):
            return np.asarray(x, dtype)
        return x.astype(dtype or np.float64) if x.dtype.kind in "iub" else x

    def targets(y):
        y = np.asarray(constant(y))
        return y.astype(dtype or y.dtype) if y.dtype.kind in "fb" else y

    x, y = _each(inputs, x), _each(targets, y)
    if any(not np.size(part) for part in tree.leaves(x)):
        raise _no_batch(x)
    return (x[None], _each(lambda y: y[None], y)) if np.ndim(x) == 1 else (x, y)


def _each(f, value):
    """f of an array or list of numbers, of each in a dict, or of each in a tuple of arrays."""
    if isinstance(value, dict):
        return {name: _each(f, part) for name, part in value.items()}
    if isinstance(value, tuple) and any(isinstance(part, (np.ndarray, Tensor, dict)) for part in value):
        return tuple(_each(f, part) for part in value)
    return None if value is None else f(value)


def _check_scalar(loss):
    if type(loss) is not Tensor or not loss.requires_grad:
        expected = "a cost(net(x), y) that depends on parameters which require gradients"
        do = "call outside bp.no_grad(), with a cost written in NumPy functions"
        raise ValueError(message("nothing was recorded", expected=expected, got=repr(loss), do=do))
    if loss.size != 1:
        what, do = "a cost is one number", "take the mean over the examples"
        raise ValueError(message(what, got=f"shape {loss.shape}", do=do))


# ---- from weighted inputs to layers -----------------------------------------------------------------


class NotAStack(ValueError):
    """The net is something else than a stack of layers."""


def _not_a_stack(what, do=None):
    expected = "x @ weight.T + bias and an elementwise activation, one layer after the other"
    return NotAStack(message(f"this net is not a stack of layers: {what}", expected=expected, do=do))


def stack(net: Any, run: Run, output: Any, reading: Reading, x: Any) -> dict[int, LayerNodes]:
    """The layers l = 2 … L of a run. Raises `NotAStack`, naming the first thing that is something else."""
    _check_frozen(net)
    end = run.of(output) if type(output) is Tensor and output.requires_grad else None
    if end is None or end.kind != "op" or np.ndim(x) != 2 or np.shape(end.value)[:-1] != (len(x),):
        shapes = [getattr(v, "shape", type(v).__name__) for v in (x, output)]
        raise _not_a_stack(f"it maps {shapes[0]} to {shapes[1]}, not to one row per example")
    if end.cotangent is None:
        what = "the cost does not depend on the net's output"
        raise ValueError(message(what, do="let it use its argument"))
    _check_parameters(net, reading)
    nodes = {}
    for l, unit in enumerate(reading.units, start=2):
        (product, *others), (bias, *more) = unit.products, unit.biases or (None,)
        if others or more:
            raise _not_a_stack(f"{place(unit.z)} sums up several products or biases")
        if product.transposed or not unit.rows:
            raise _not_a_stack(f"in {place(product.node)} {_what(product.parameter)} is not transposed")
        if l == 2 and product.a.kind != "constant":
            raise _not_a_stack(f"{place(product.node)}, its first product, uses {_what(product.a)}")
        for edge in reading.users[id(unit.a)]:
            in_cost, in_layer = id(edge.node) in reading.cost, (id(edge.node), edge.i) in reading.textbook
            if not (in_layer or (in_cost and unit.a is end)):
                raise _stranger(reading, edge, unit.a)
        nodes[l] = LayerNodes(product.parameter, bias, product.a, unit.z, unit.activation, unit.a)
    if not nodes:
        raise _not_a_stack("it has no product with a parameter")
    return nodes


def _check_frozen(net):
    """Raise if the engine is not asked for all gradients of the net's layers."""
    for path, part in net.named_modules() if isinstance(net, Module) else ():
        own = [t for t in (part.weight, part.bias) if t is not None] if isinstance(part, Linear) else []
        if not all(t.requires_grad for t in own):
            name = path or type(part).__name__
            raise _not_a_stack(f"the parameters of {name} do not all require gradients")


def _check_parameters(net, reading):
    """Raise unless each layer has parameters of its own, and every parameter of the net is in a layer."""
    used = [id(seen) for unit in reading.units for seen in unit.parameters]
    for seen in reading.leaves:
        if used.count(id(seen)) > 1:
            raise _not_a_stack(f"two layers share {_what(seen)}")
        for edge in reading.elsewhere(seen):
            if id(seen) in used or id(edge.node) not in reading.cost:
                raise _stranger(reading, edge, seen)
    names = {reading.names[key] for key in used}
    for name, t in tree.named_leaves(net):
        if type(t) is Tensor and name not in names:
            raise _not_a_stack(f"the parameter {name} is in no layer of it")


def _what(seen):
    return f"the result of {seen.op}" if seen.op else f"the parameter {seen.name or ''} of shape {seen.shape}"


def _stranger(reading, edge, seen):
    """The error of a parameter or an a that somebody else uses than the next layer."""
    if id(edge.node) not in reading.cost:
        return _not_a_stack(f"{place(edge.node)} uses {_what(seen)}")
    rule = "the cost must be a function of the output activations and y alone (the book's second assumption)"
    return _not_a_stack(
        f"{place(edge.node)} in the cost uses {_what(seen)}", do=f"leave penalties out: {rule}"
    )


# ---- from layers to the book's words -------------------------------------------------------------


def _in_the_books_words(run, nodes, y):
    layers, L = range(2, len(nodes) + 2), len(nodes) + 1
    m = nodes[L].a.shape[0]
    biased = [l for l in layers if nodes[l].bias is not None]
    return Notation(
        L=L,
        m=m,
        sizes=(nodes[2].a_in.shape[1], *(nodes[l].z.shape[1] for l in layers)),
        dtype=nodes[L].z.value.dtype,
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
