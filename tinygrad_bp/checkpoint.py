"""`checkpoint(f)`: f without its inner values, which the backward pass computes anew.

The one idea: what f recorded is cut out of the graph, and one Node stands in its place. Its parents
are the frontier: the older Nodes that f reached, those of its arguments and those of what it closed
over, such as parameters. Its rule runs f again, recording at the same level, and sweeps what that
recorded down to the frontier. A value that several levels record gets one such Node for each.
Read `observe.py` next.
"""

import functools
import zlib
from collections.abc import Callable

import numpy as np

from . import tree
from .backward import Watch, own, sweep
from .errors import message
from .graph import AMBIENT, PICK, Node, leaf_node, next_sequence
from .primitive import Op
from .tensor import Tensor, constant, refresh, snapshot


def checkpoint(f: Callable) -> Callable:
    """The function f, of which only the inputs are kept: the backward pass computes f once more.

    Derivatives of all orders are f's, also in Tensors that f closes over. f must give the same value
    both times, else the backward pass raises RuntimeError: draw random numbers outside and pass them.
    It may write into what it made, not into its arguments; other effects (writes into Tensors from
    outside, prints) happen twice. Results share no memory with arguments. Under `bp.observe()` f runs as is.

    >>> import numpy as np, tinygrad_bp as bp
    >>> w = bp.Tensor(2.0, requires_grad=True)
    >>> bp.checkpoint(lambda x: np.exp(np.sin(x) * w))(np.pi / 2).backward()
    >>> bool(np.isclose(w.grad, np.exp(2)))
    True
    """

    @functools.wraps(f, updated=())
    def checkpointed(*args, **kwargs):
        ambient = AMBIENT.get()
        if ambient.run is not None:
            return f(*args, **kwargs)
        segment = _Segment(f, (args, kwargs), ambient)
        start = next_sequence()
        ys, rebuild = tree.flatten(segment.run())
        return rebuild(_replace(ys, segment, start))

    return checkpointed


class _Segment:
    """One call of f: its inputs, what surrounded it, and by what to know its values again."""

    __slots__ = ("ambient", "f", "inputs", "prints", "rebuild")

    def __init__(self, f, inputs, ambient):
        given, self.rebuild = tree.flatten(inputs)
        for x in given:
            if type(x) is Tensor:
                refresh(x)
        self.inputs = [snapshot(x) for x in given]
        self.f, self.ambient = f, ambient
        self.prints: list = []  # of the recorded outputs of the first call

    def run(self):
        """The value of f, recorded as the ambient of the first call says."""
        inputs = [snapshot(x) for x in self.inputs]
        args, kwargs = self.rebuild(inputs)
        token = AMBIENT.set(self.ambient)
        try:
            y = self.f(*args, **kwargs)
        finally:
            AMBIENT.reset(token)
        for now, before in zip(inputs, self.inputs):
            if type(now) is Tensor and (now._data is not before._data or now._node is not before._node):
                what = f"{_name(self.f)} wrote into its argument under bp.checkpoint"
                raise TypeError(message(what, do="write into a copy, t = t.copy(), and return it"))
        return y

    def check(self, prints):
        """Raise unless the second run came to the values of the first."""
        if prints != self.prints:
            shapes = [[p and p[0] for p in some] for some in (self.prints, prints)]
            same = shapes[0] == shapes[1]
            raise RuntimeError(
                message(
                    f"{_name(self.f)} under bp.checkpoint gave another value when the backward pass ran it again",
                    expected="the same numbers" if same else f"outputs of shapes {shapes[0]}",
                    got=None if same else shapes[1],
                    do="draw random numbers outside and pass them as arguments, "
                    "and change no parameter or array that it uses before the backward pass",
                )
            )


def _replace(ys, segment, start):
    """The outputs ys of the segment, with one Node per level in place of all that it recorded."""
    stacks = [_levels(y) for y in ys]
    levels = sorted(set().union(*stacks))
    if not levels:
        return ys
    segment.prints = [_print(y) for y in ys]
    wholes = {}
    for level in levels:
        frontier = tuple(_explore([s[level] for s in stacks if level in s], start, segment.f)[1])
        wholes[level] = Node(CHECKPOINT, segment, frontier, frontier, None, None, level)
    outlines = [[(level, s[level].shape, s[level].dtype) for level in sorted(s)] for s in stacks]
    values = [constant(y) if s else y for y, s in zip(ys, stacks)]
    count = len(values)
    ys.clear()
    del stacks  # from here on a value is held only by us, unless f returned somebody else's
    for i, outline in enumerate(outlines):
        if outline and type(values[i]) is np.ndarray:
            box, values[i] = [values[i]], None
            values[i] = own(box)
        for level, shape, dtype in outline:
            pick = Node(PICK, None, (i, count), (wholes[level], None), shape, dtype, level)
            values[i] = Tensor._of(values[i], pick)
    return values


def _pull(g, segment, *_frontier):
    """The cotangents of the frontier's Nodes: f again, and a sweep of what it recorded."""
    start, level = next_sequence(), _frontier[0].level
    ys = tree.leaves(segment.run())  # silently: a sweep ignores floating point errors
    segment.check([_print(y) for y in ys])
    roots = [_levels(y).get(level) for y in ys]
    inner, frontier = _explore([root for root in roots if root is not None], start, segment.f)
    if frontier != list(_frontier):
        what = (
            f"{_name(segment.f)} under bp.checkpoint used other Tensors when the backward pass ran it again"
        )
        raise RuntimeError(message(what, do="keep no Tensors from one call to the next"))
    ends = {node: _end(node) for node in frontier}
    for node in inner:  # nobody else's: they were recorded a moment ago
        node.parents = tuple(ends.get(parent, parent) for parent in node.parents)
    seeds: dict = {}
    for root, part in zip(roots, g):
        if part is not None:
            root = ends.get(root, root)
            seeds[root] = seeds[root] + part if root in seeds else part
    gradients = sweep(seeds, False, Watch(selected=True))
    for node in inner:
        if node.op is not None:
            node.y = node.saved = node.parents = None
    return [gradients.get(end) for end in ends.values()]


CHECKPOINT = Op(checkpoint, (), joint=_pull, selects=True)


def _levels(y):
    """{level: Node} of a Tensor and of the values below it, which older levels recorded."""
    found = {}
    if type(y) is Tensor:
        refresh(y)
    while type(y) is Tensor and y._node is not None:
        found[y._node.level] = y._node
        y = y._data
    return found


def _explore(roots, start, f):
    """(the Nodes under the roots that are younger than `start`, the older ones that these lead to)."""
    inner, frontier, waiting = set(), set(), list(roots)
    while waiting:
        node = waiting.pop()
        if node.sequence < start:
            frontier.add(node)
        elif node.op is None:
            what = f"{_name(f)} made a Tensor that requires gradients under bp.checkpoint"
            raise TypeError(message(what, do="make it outside, once, and pass it or close over it"))
        elif node not in inner:
            inner.add(node)
            waiting += [parent for parent in node.parents or () if parent is not None]
    return inner, sorted(frontier, key=lambda node: node.sequence)


def _end(node):
    """A leaf in node's place, and of its age, so that the sweep comes to it when its turn has come."""
    leaf = leaf_node(node, node.level)
    leaf.sequence = node.sequence
    return leaf


def _print(y):
    """By what to know an output again: shape, dtype and a checksum of its bits; None for a constant."""
    if not _levels(y):
        return None
    a = constant(y)
    if not isinstance(a, (np.ndarray, np.generic)):
        return a.shape, a.dtype
    if a.dtype.char in "gG":  # long doubles have bytes that mean nothing
        a = a.astype(a.dtype.char.replace("g", "d").replace("G", "D"))
    return a.shape, y.dtype, zlib.crc32(np.ascontiguousarray(a).data)


def _name(f):
    return getattr(f, "__name__", type(f).__name__)
