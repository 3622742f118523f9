"""Memory that several Tensors share: who is a view of whom, and whose values a rule still needs.

The one idea: a view remembers its root and the steps (view ops) that lead there from the root; the
root remembers its views weakly. A write changes the root; its views then hold `STALE` in the place
of their Node and take the steps again when next used. And a saved value is simply an array object
that somebody besides the living Tensors holds, so ops pay nothing for being guarded. Read
`writes.py` next.
"""

import functools
import sys
import weakref

import numpy as np

from .graph import NO_KEYWORDS, Node

STALE = Node.of(None, None, (), (), (), np.dtype(np.float64), -1)
"""Stands for a view's Node after its memory was written to. Its level is below all others, so that
the quick paths of recording hand it to the general one, which looks."""


class Step:
    """One view op: forward(*before, array, *after, **kwargs) is the view."""

    __slots__ = ("after", "before", "forward", "kwargs", "op")

    def __init__(self, op, forward, before, after, kwargs):
        self.op, self.forward, self.before, self.after, self.kwargs = op, forward, before, after, kwargs


@functools.lru_cache(256)
def bare_step(op, forward):
    """The steps of a view that takes nothing but the array, such as t.T: one, made once."""
    return (Step(op, forward, (), (), NO_KEYWORDS),)


class View:
    """Of a Tensor that is a view: the root whose memory it shares, and the steps from there to here."""

    __slots__ = ("detached", "retained", "root", "steps")

    def __init__(self, root, steps, detached=False):
        self.root, self.steps = root, steps
        self.detached = detached  # it stays constant whatever the root becomes
        self.retained = False  # its gradient is wanted (retain_grad), whatever Node it has

    def of(self, array):
        """The steps, taken from `array` in the root's place."""
        for step in self.steps:
            array = step.forward(*step.before, array, *step.after, **step.kwargs)
        return array


def root_of(t):
    """The Tensor whose memory t shares: itself, unless it is a view."""
    return t._alias.root if type(t._alias) is View else t


def registry(t):
    """The list in which t's root keeps weak references to its views and their arrays."""
    root = root_of(t)
    if root._alias is None:
        root._alias = []
    return root._alias


def shares(y, a):
    """Is y, computed by one call from a, a view of the same memory?"""
    if type(a) is np.ndarray:
        base = y.base if type(y) is np.ndarray else None
        if base is None or base is a or base is a.base:
            return base is not None or y is a
        return y is a or getattr(base, "base", None) is a  # strides of its own need a stand-in for a base
    if (seen := getattr(a, "value", None)) is not None:  # a tracer, which has one to look at
        return type(y) is type(a) and shares(y.value, seen)
    alias = getattr(y, "_alias", None)
    return type(alias) is View and type(y) is type(a) and alias.root is root_of(a)


def adopt(view, parent, steps, detached=False):
    """Note that the Tensor `view` came from `parent` by `steps` and shares its memory."""
    alias = parent._alias
    if type(alias) is View:
        root, steps, detached = alias.root, (*alias.steps, *steps), detached or alias.detached
    else:
        root = parent
    view._alias = View(root, steps, detached)
    data = root._data
    if type(data) is np.ndarray and data.base is None and _holders(data) <= _ONE_TENSOR + 2:
        root._data = data.view()  # views hold their base, which must not look like a rule's hold
    if view._data is parent._data and type(view._data) is np.ndarray:
        view._data = view._data.view()
    family = root._alias
    if family is None:
        family = root._alias = []
    elif len(family) > 32:
        family[:] = [pair for pair in family if pair[0]() is not None or pair[1]() is not None]
    _register(view, family)


def _register(view, family):
    array = view._data
    family.append((_weakly(view), _weakly(array) if type(array) is np.ndarray else _nothing))


_weakly = weakref.ref


def _nothing():
    return None


def views_of(root):
    """The living Tensors that are views of `root`."""
    found = [reference() for reference, _ in root._alias or ()]
    return [view for view in found if view is not None and root_of(view) is root]


def move_views(root, plain):
    """Point the views at the root's new array. `plain` strips the recording of a value for constants."""
    views = views_of(root)
    root._alias = []
    for view in views:
        array = view._alias.of(root._data)
        view._move(plain(array) if view._node is None else array)
        _register(view, root._alias)


def leave_family(t, value):
    """t is about to get the array `value`: if that is other memory, its views stay with the old one."""
    if type(t._alias) is View:
        t._alias = None
        return
    views = views_of(t)
    if views and _same_place(value, t._data):
        return
    if views:
        heir = type(t)._of(t._data, t._node)
        heir._alias = t._alias
        for view in views:
            view._alias = View(heir, view._alias.steps, view._alias.detached)
    t._alias = None


def _same_place(a, b):
    facts = [(x.__array_interface__["data"], x.strides, x.shape, x.dtype) for x in (a, b)]
    return facts[0] == facts[1]


def _holders(array):
    return sys.getrefcount(array)


class _Probe:
    __slots__ = ("_data",)
    _data: np.ndarray


_probe = _Probe()
_probe._data = np.empty(1)
_ONE_TENSOR, _LOOKED_AT = _holders(_probe._data), sys.getrefcount(_probe._data)


def handle_of(t):
    """An array object on t's memory to give away, which must not look like a rule's hold."""
    if t._data.base is None and _holders(t._data) <= _ONE_TENSOR:
        handle = t._data
        t._data = handle.view()
        return handle
    return t._data.view()


def leased(root):
    """Does anybody but the living Tensors hold an array of this family, as a rule's saved value would?"""
    if type(root._data) is not np.ndarray or sys.getrefcount(root._data) > _LOOKED_AT:
        return True
    if not root._alias:
        return False
    living = []
    for pair in root._alias:
        view, held = pair[0](), pair[1]()
        if held is None:
            continue
        living.append(pair)
        if view is None or view._data is not held or root_of(view) is not root:
            return True  # the array has outlived its Tensor, or belongs to a snapshot of this memory
        del held
        if _holders(view._data) > _ONE_TENSOR:
            return True
    root._alias[:] = living
    return False
