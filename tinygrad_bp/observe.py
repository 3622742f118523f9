"""`with bp.observe() as run:` is the one way to look inside a run; proofs and pictures read only this.

The one idea: for every node made inside the block, the run keeps a `Seen`: value, name, module path
and source line and, once a backward pass has come by (inside the block or after it), the cotangent
and each edge's contribution to its parent. Read `check.py` next, or `backprop/verify.py`.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from . import tree
from .errors import message
from .frames import users_frame, variable, where
from .graph import AMBIENT, NO_KEYWORDS, PICK, extra_of
from .tensor import Tensor, constant, refresh


class Seen:
    """What an observed run knows of one node, leaf (or anything made before the block) or constant.

    `op`: the function's name, None for leaves and constants; `function`: the function itself, with
    which the run can be replayed. `value`, `cotangent`: arrays (None before a backward pass).
    `parents`: the Seens of the operands, in order. `contributions`: for each operand, the array that
    this node added to the operand's cotangent, or None.
    """

    __slots__ = (
        "contributions", "cotangent", "dtype", "fingerprints", "function", "kind", "kwargs", "line", "module",
        "name", "op", "parents", "sequence", "shape", "value",
    )  # fmt: skip

    def __init__(self, kind, op, value, name=None, module=None, line=None, parents=(), kwargs=NO_KEYWORDS):
        self.kind = kind  # "op", "leaf" or "constant"
        self.op, self.name, self.module, self.line = op, name, module, line
        self.value = value
        self.shape = getattr(value, "shape", None)
        self.dtype = getattr(value, "dtype", None)
        self.parents, self.kwargs = parents, kwargs
        self.contributions = [None] * len(parents)
        self.cotangent = None
        self.fingerprints = self.function = None
        self.sequence = 0  # of its node: the sweep visits the latest first

    def __repr__(self):
        label = self.name or self.op or self.kind
        return f"<Seen {label} {self.kind} shape={self.shape} module={self.module}>"

    def receive(self, g):
        """A backward pass reached this node with cotangent g."""
        self.cotangent = _sum(self.cotangent, g)

    def hand_on(self, i, share):
        """… and added `share` to the cotangent of operand i."""
        self.contributions[i] = _sum(self.contributions[i], share)
        if self.parents[i].kind == "leaf":
            self.parents[i].receive(share)

    def check_saved(self, node):
        """Raise if a saved array was changed since the forward pass (only with `observe(guard=True)`)."""
        if self.fingerprints is not None and self.fingerprints != _fingerprints(node):
            raise RuntimeError(
                message(
                    f"an array that the derivative of {self.op} needs was changed after the forward pass"
                    + (f" ({self.line})" if self.line else ""),
                    do="write to a copy, or finish the backward pass first",
                )
            )


def _sum(total, g):
    if isinstance(g, list):  # the parts of an op with several outputs
        return [constant(part) for part in g]
    return np.array(constant(g)) if total is None else total + constant(g)


def _fingerprints(node):
    arrays = map(constant, tree.leaves([node.y, *node.saved, node.kwargs]))
    return [zlib.crc32(a.tobytes()) for a in arrays if isinstance(a, np.ndarray)]


class Run:
    """What one `bp.observe()` saw: `.nodes`, the `Seen` of every op in the order they were made."""

    def __init__(self, guard=False):
        self.guard = guard
        self.nodes: list[Seen] = []
        self._seen: dict = {}  # Node, or id of a constant Tensor or array -> Seen
        self._alive: list = []  # keeps those ids from being used again

    def __iter__(self) -> Iterator[Seen]:
        return iter(self.nodes)

    def __len__(self):
        return len(self.nodes)

    def of(self, t: Tensor) -> Seen:
        """The Seen of a Tensor that was made or used inside the block. Raises KeyError otherwise."""
        refresh(t)
        key = id(constant(t)) if t._node is None else t._node
        if key not in self._seen:
            raise KeyError(
                message("this Tensor was not observed", got=repr(t), do="make it inside the block")
            )
        return self._seen[key]

    def saw(self, node, value, operands, module):
        """Called by `record` for every node made inside the block."""
        frame = users_frame()
        parents = [self._parent(node, i, operands, frame) for i in range(len(node.parents))]
        shown = [constant(v) for v in value] if isinstance(value, (tuple, list)) else constant(value)
        seen = Seen("op", node.op.name, shown, None, module, where(frame), parents, node.kwargs)
        seen.function, seen.sequence = node.op.forward, node.sequence
        if self.guard:
            seen.fingerprints = _fingerprints(node)
        extra_of(node).seen = seen
        self._seen[node] = seen
        self.nodes.append(seen)

    def _parent(self, node, i, operands, frame):
        operand = operands[i] if i < len(operands) else node.saved[0 if node.op is PICK else i]
        parent = node.parents[i]
        key = parent if parent is not None else id(constant(operand))
        if key not in self._seen:
            value = constant(operand)
            if parent is not None and parent.op is None:
                value = np.array(value)  # an optimizer may update it in place
            kind = "constant" if parent is None else "leaf"
            name = operand._name if type(operand) is Tensor else None
            self._seen[key] = Seen(kind, None, value, name)
            self._alive.append(constant(operand))
        seen = self._seen[key]
        if seen.name is None:
            seen.name = variable(operand, frame)
        return seen


@contextmanager
def observe(guard: bool = False) -> Iterator[Run]:
    """Keep everything that is computed inside the block, for a look at it.

    `guard=True` also fingerprints saved arrays; backward then raises if a raw write changed one.

    >>> import numpy as np, tinygrad_bp as bp
    >>> x = bp.Tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> with bp.observe() as run:
    ...     np.sum(x * x).backward()
    >>> [(seen.op, seen.cotangent.tolist()) for seen in run]
    [('multiply', [1.0, 1.0]), ('sum', 1.0)]
    """
    run = Run(guard)
    token = AMBIENT.set(AMBIENT.get().replace(run=run, module=None))
    try:
        yield run
    finally:
        AMBIENT.reset(token)
