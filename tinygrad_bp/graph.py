"""The computation graph: `Node`, and `Ambient`, what surrounds the code that runs.

The one idea: a Node keeps what a backward pass needs of one result and nothing more: the op, what
its rules ask for, its parents' Nodes, and the shape and dtype of the result, never the result.
Parents are older than children and know nothing of them, so the graph has no cycles and dies with
its last Tensor. Read `tensor.py` next.
"""

import itertools
import os
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from .primitive import Op, Outline

UPSTAIRS: dict[str, Callable] = {}
"""What a Tensor leaves to floors above its own, which put it here: the sweep, dispatch, writes."""


def upstairs(function):
    """Let the floors below call `function` by its name."""
    UPSTAIRS[function.__name__] = function
    return function


_LOCKS: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


def held_at_fork(lock):
    """The lock, which a fork waits for: a child would wait for ever for one that another thread has."""
    _LOCKS[id(lock)] = lock
    return lock


class _Held(threading.local):
    """The locks that this thread has, because it forks. A thread with one may wait for another: so all or none."""

    def __init__(self):
        self.locks = []

    def take(self):
        while not all(
            map(self._has, [lock for known in _LOCKS.valuerefs() if (lock := known()) is not None])
        ):
            self.release()

    def _has(self, lock):
        if taken := lock.acquire(timeout=0.05):
            self.locks.append(lock)
        return taken

    def release(self):
        while self.locks:
            self.locks.pop().release()


_held = _Held()
if "fork" in vars(os):
    os.register_at_fork(before=_held.take, after_in_parent=_held.release, after_in_child=_held.release)


class Ambient:
    """What surrounds the code that runs: one per context, replaced and never changed."""

    __slots__ = ("active", "blocked", "level", "module", "run")

    def __init__(self, level=0, blocked=-1, run=None, module=None, active=frozenset([0])):
        self.level = level  # of leaves made here
        self.active = active  # the levels of all transforms around, and 0
        self.blocked = blocked  # levels up to this one record nothing (no_grad)
        self.run = run  # the observe() in force, or None
        self.module = module  # path of the nn.Module that is running, kept only while observed

    def replace(self, **changes):
        return Ambient(**{name: changes.get(name, getattr(self, name)) for name in self.__slots__})


AMBIENT: ContextVar[Ambient] = ContextVar("tinygrad_bp.ambient", default=Ambient())  # noqa: B039 (never changed)
new_level = itertools.count(1).__next__
IN_PROGRESS = {0}
"""The levels whose transforms are running now, in any thread; a Tensor of another level has leaked."""
next_sequence, _new = itertools.count(1).__next__, object.__new__

NO_KEYWORDS: dict[str, Any] = {}
UNRETAINED = type("Unretained", (), {"__repr__": lambda self: "<gradient not retained>", "__slots__": ()})()
PICK = Op(lambda part: part, (lambda g, _y, index, count: Parts(index, count, g), None))
PICK.name = "pick"


class Node(Outline):
    """What the backward pass needs of one recorded result; never its value unless a rule asks for it."""

    __slots__ = ("extra", "grad", "kwargs", "level", "op", "parents", "saved", "sequence", "y")

    op: Any  # None for a leaf
    y: Any  # the output, if a rule needs it
    saved: Any  # what the rules get for each operand: its value, or its Outline
    parents: Any  # one per operand: its Node, or None for a constant; None once freed
    kwargs: Any  # the keywords of the call, which the rules get, too
    level: int
    sequence: int
    grad: Any
    extra: Any

    @staticmethod
    def of(op, y, saved, parents, shape, dtype, level, kwargs=NO_KEYWORDS):
        """A new one; a plain function takes half the time of a constructor."""
        node = _new(Node)
        node.op, node.y, node.saved = op, y, saved
        node.parents, node.shape, node.dtype = parents, shape, dtype
        node.level, node.sequence, node.kwargs = level, next_sequence(), kwargs
        node.grad, node.extra = UNRETAINED, None
        return node


def leaf_node(data, level):
    """The Node of a Tensor whose derivatives are asked for, at `level`."""
    node = Node.of(None, None, (), (), data.shape, data.dtype, level)
    node.grad = None
    return node


class Extra:
    """The rare rest of a Node: its name, and its record in an observed run.

    `used`, of a leaf that an optimizer watches: (weak reference to a gradient, is it one that holds
    an older one, which a step has used?).
    """

    __slots__ = ("name", "seen", "used")

    def __init__(self):
        self.name = self.seen = self.used = None


def extra_of(node):
    """The node's `Extra`, made on first use."""
    if node.extra is None:
        node.extra = Extra()
    return node.extra


class Parts(list):
    """The cotangent of an op with several outputs: one entry per output, None where none arrived."""

    shape = dtype = None

    def __init__(self, index, count, g):
        super().__init__([None] * count)
        self[index] = g

    def __add__(self, other):
        total = Parts(0, len(self), None)
        total[:] = [b if a is None else a if b is None else a + b for a, b in zip(self, other)]
        return total
