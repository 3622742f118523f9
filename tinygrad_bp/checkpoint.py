"""`checkpoint(f)`: f without its inner values, which the backward pass computes anew.

The one idea: what f recorded is cut out of the graph, and one Node stands in its place. Its parents
are the frontier: the older Nodes that f reached, those of its arguments and those of what it closed
over, such as parameters. Its rule runs f again, recording at the same level, and sweeps what that
recorded down to the frontier, once a fingerprint has shown that it is what was recorded first. A value
that several levels record gets one such Node for each.
Read `observe.py` next.
"""

import functools
import operator
import re
import zlib
from collections.abc import Callable

import numpy as np

from . import tree
from .backward import Watch, own, sweep
from .errors import message
from .graph import AMBIENT, PICK, Node, leaf_node, next_sequence
from .operands import ARRAYS
from .primitive import Op, Outline
from .tensor import Tensor, constant, refresh, snapshot


def checkpoint(f: Callable) -> Callable:
    """The function f, of which only the inputs are kept: the backward pass computes f once more.

    Derivatives of all orders are f's, also in Tensors that f closes over. f must do the same on the same
    numbers both times, else the backward pass raises RuntimeError: draw random numbers outside and pass them.
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

    __slots__ = ("ambient", "f", "inputs", "prints", "rebuild", "recorded")

    def __init__(self, f, inputs, ambient):
        given, self.rebuild = tree.flatten(inputs)
        for x in given:
            if type(x) is Tensor:
                refresh(x)
        self.inputs = [snapshot(x) for x in given]
        self.f, self.ambient = f, ambient
        self.prints: list = []  # of the recorded outputs of the first call
        self.recorded: dict = {}  # level -> the fingerprint of what the first call recorded there

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
        shapes = [[p and p[0] for p in some] for some in (self.prints, prints)]
        if shapes[0] != shapes[1]:
            raise self.differs("gave another value", f"outputs of shapes {shapes[0]}", shapes[1])
        if prints != self.prints:
            raise self.differs("gave another value")

    def differs(self, what, expected="the same numbers", got=None):
        """The error of a second run that was not the first."""
        return RuntimeError(
            message(
                f"{_name(self.f)} under bp.checkpoint {what} when the backward pass ran it again",
                expected=expected,
                got=got,
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
        inner, frontier = _explore([s[level] for s in stacks if level in s], start, segment.f)
        segment.recorded[level], frontier = _fingerprint(inner, frontier), tuple(frontier)
        wholes[level] = Node.of(CHECKPOINT, segment, frontier, frontier, None, None, level)
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
            pick = Node.of(PICK, None, (i, count), (wholes[level], None), shape, dtype, level)
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
    if _fingerprint(inner, frontier) != segment.recorded[level]:
        raise segment.differs("came to its value by other numbers")
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


def _fingerprint(inner, frontier):
    """By what to know again what was recorded: every op, on whose results, and the numbers that its rules get.

    So a second run with the same fingerprint has the derivative of the first, whatever f does besides.
    """
    nodes = sorted(inner, key=operator.attrgetter("sequence"))
    number = {node: n for n, node in enumerate((*frontier, *nodes))}
    known: dict[int, tuple] = {}
    total = 0
    for node in nodes:
        marks: list = [number.get(parent) for parent in node.parents or ()]
        for x in (node.y, *(node.saved or ())):
            if x is not None and type(x) is not Node:  # which says no more than the number of its parent
                marks.append(known.get(id(x)) or _mark(x, node.level, known))
        marks += [_mark(x, node.level, known) for x in node.kwargs.items()]
        total = hash((total, node.op, node.shape, node.dtype, *marks))
    return total


def _mark(x, level, known):
    """By what to know again what a rule gets; `known`: the marks of arrays by their ids."""
    if type(x) is Tensor:
        x = constant(x)
    if isinstance(x, ARRAYS):
        if id(x) not in known:
            known[id(x)] = _bits(x)
        return known[id(x)]
    if isinstance(x, (tuple, list)):
        return tuple([_mark(part, level, known) for part in x])
    if isinstance(x, dict):
        return _mark(tuple(x.items()), level, known)
    if isinstance(x, Outline):
        return x.shape
    if type(x) is _Segment:
        return x.recorded[level]
    return type(x), _PLACE.sub("", repr(x))  # of an object that does not tell its contents, its class


_PLACE = re.compile(" at 0x[0-9a-fA-F]+")


def _print(y):
    """By what to know an output again; None for a constant."""
    return _bits(constant(y)) if _levels(y) else None


def _bits(a):
    """Shape, dtype and a checksum of the bits."""
    if not isinstance(a, (np.ndarray, np.generic)):
        return a.shape, a.dtype
    bits = a
    if a.dtype.char in "gG":  # long doubles have bytes that mean nothing
        with np.errstate(all="ignore"):
            high = a.astype(a.dtype.char.replace("g", "d").replace("G", "D"))
            bits = np.stack([high, (a - high).astype(high.dtype)])
    if not bits.flags.c_contiguous:
        bits = np.ascontiguousarray(bits.T if bits.flags.f_contiguous else bits)
    return a.shape, a.dtype, _checksum(bits)


def _checksum(bits):
    """CRC-32 of the bits or, if they are many, of sums of rows and columns, which take a tenth of the time.

    The rows are not those of the table with the columns, so that a change of signs or places must be spread
    evenly over both to be missed, as those in a matrix of just this width would be.
    """
    if bits.nbytes < 2**14:
        return zlib.crc32(bits)
    words = np.frombuffer(bits, np.uint64, bits.nbytes // 8)
    parts = [np.add.reduce(words[: len(words) // n * n].reshape(-1, n), i) for i, n in enumerate(_WORDS)]
    parts.append(np.frombuffer(bits, np.uint8)[-8 * max(_WORDS) :])  # what is left over
    return functools.reduce(lambda found, part: zlib.crc32(part, found), parts, 0)


_WORDS = 263, 251  # in a row: odd, so that a change of sign everywhere is no multiple of 2⁶⁴


def _name(f):
    return getattr(f, "__name__", type(f).__name__)
