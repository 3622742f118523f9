"""Reverse-mode differentiation: the sweep, which is the chain rule and nothing else.

The one idea: visit the recorded ops newest first. When an op's turn comes, everything that used
its result has already added its share, so the result's cotangent is complete and can be handed on.
All state of a sweep is its own: nothing is marked on the graph, so sweeps may run in many threads
and may be interrupted. Read `transforms.py` next, or `ops/` for the rules themselves.
"""

import functools
import sys
import threading
import weakref
from heapq import heapify, heappop, heappush

import numpy as np

from .errors import FreedGraph, GradientShape, message, outline
from .graph import UNRETAINED, extra_of, held_at_fork, upstairs
from .primitive import DuckArray, cast
from .tensor import constant, refresh


def sweep(cotangents, retain_graph, watch):
    """∂C/∂x = Σ_i ∂C/∂u_i ∂u_i/∂x over all u_i that were computed from x, newest u first.

    `cotangents`: dict node -> ∂C/∂(its value), to start from. Returns the dict leaf -> ∂C/∂leaf
    (and node -> ∂C/∂node where gradients are retained).
    """
    retained = {}
    heap = [(-node.sequence, node) for node in cotangents if node.op is not None]
    heapify(heap)
    with np.errstate(all="ignore", invalid="call", call=watch):
        while heap:
            node = heappop(heap)[1]  # its cotangent is complete: whatever used this node is newer, hence done
            if node.grad is not UNRETAINED:
                retained[node] = cotangents[node]
            pull_back(node, cotangents, heap, watch)
            if not retain_graph:
                node.y = node.saved = node.parents = None
    return retained | cotangents  # what is left are the leaves


def pull_back(node, cotangents, heap, watch):
    """Take ∂C/∂node, and add ∂C/∂node ∂node/∂parent, by the op's rules, to each parent's cotangent.

    Each share has its parent's shape and dtype. A parent that had no cotangent yet comes into the heap.
    """
    op, parents, y, saved, kwargs = node.op, node.parents, node.y, node.saved, node.kwargs
    if parents is None:
        raise FreedGraph(_freed(node))
    seen = None if node.extra is None else node.extra.seen
    try:
        found = _in_place(node, cotangents) if op.in_place else None
        if found is None:
            g = cotangents.pop(node)
            if seen is not None:
                seen.check_saved(node)
                seen.receive(g)
            if op.together:
                found = pull_together(op, g, node, kwargs)
        source = op.rules if found is None else found
        for i, parent in enumerate(parents):
            share = source[i]
            if parent is None or share is None:
                continue
            if found is None:
                share = share(g, y, *saved, **kwargs) if kwargs else share(g, y, *saved)
            if op.elementwise and (watch.invalid or watch.selected):
                share = watch.settle(g, share)
            if getattr(share, "dtype", None) is not parent.dtype or share.shape != parent.shape:
                share = project(share, op, i, parent, node.shape)
            if seen is not None:
                seen.hand_on(i, share)
            if parent in cotangents:
                cotangents[parent] = cotangents[parent] + share
            else:
                cotangents[parent] = share
                if parent.op is not None:
                    heappush(heap, (-parent.sequence, parent))
    except Exception as error:
        error.add_note(f"raised in the backward pass through {_place(node)}{_unkept(error)}")
        raise
    if op.selects or (kwargs and "where" in kwargs):
        watch.selected = True


def _in_place(node, cotangents):
    """All shares of an op that takes or replaces little of much, without making much; None where the rules must.

    Nothing but the cotangents may hold on to the array that is written to.
    """
    op, parents, kwargs, extra = node.op, node.parents, node.kwargs, node.extra
    if not parents or parents[0] is None or node.grad is not UNRETAINED or (extra and extra.seen is not None):
        return None
    total = parents[0] if op.adds else node
    alone = not op.adds or (not any(parents[1:]) and isinstance(cotangents[node], (np.ndarray, np.generic)))
    if not alone or type(cotangents.get(total)) is not np.ndarray:
        return None
    array, y, saved = own([cotangents.pop(total)]), node.y, node.saved
    if op.adds:
        op.adds(array, cotangents.pop(node), *saved, **kwargs)
        cotangents[total] = array
        return [None] * len(parents)
    rules = zip(op.rules[1:], parents[1:])
    found = [rule and parent and np.array(rule(array, y, *saved, **kwargs)) for rule, parent in rules]
    op.erases(array, *saved, **kwargs)
    return [array, *found]


def pull_together(op, g, node, kwargs):
    """The cotangents of all arguments, for an op whose one rule covers them."""
    if op.joint is not None:
        found = op.joint(g, node.y, *node.saved, **kwargs)
    else:
        found = op.rules[0](g, node.y, list(node.saved), **kwargs)
    if not isinstance(found, (tuple, list)) or len(found) != len(node.parents):
        raise GradientShape(
            message(
                f"the VJP rule of {op.name} is one for all arguments",
                expected=f"a tuple or list of {len(node.parents)} cotangents",
                got=f"{len(found)}" if isinstance(found, (tuple, list)) else type(found).__name__,
                do="return one per argument, None where there is none",
            )
        )
    return found


class Watch:
    """Makes 0 · ∞ and 0 · NaN in elementwise rules 0: what was not used has no gradient.

    NumPy calls this object when a rule computes an invalid value, so the common case costs nothing.
    A NaN that the forward pass already had raises no such flag; it can meet a zero cotangent only
    behind an op that selects (`where`, indexing), and from there on sums are tested for NaN.
    """

    __slots__ = ("invalid", "selected")

    def __init__(self, selected=False):
        self.invalid, self.selected = False, selected

    def __call__(self, kind, flag):
        self.invalid = True

    def settle(self, g, share):
        plain = constant(share)
        if not self.invalid and not (
            plain.has_nan() if isinstance(plain, DuckArray) else np.isnan(np.add.reduce(plain, None))
        ):
            return share
        self.invalid = False
        return np.where((g == 0) & np.isnan(share), 0.0, share)


def project(share, op, i, parent, output):
    """`share` summed over the axes that were broadcast to shape `output`, and in the parent's dtype."""
    if op.elementwise and type(share) is np.ndarray and share.shape == output and output[1:] == parent.shape:
        share = _column_sums(share)  # a bias under its batch: the commonest case, without a search
        if share.dtype is parent.dtype:
            return share
    if not isinstance(share, (np.ndarray, np.generic, DuckArray)):
        share = np.asarray(share)
    if share.dtype.kind not in "fciub" and share.dtype != parent.dtype:
        raise GradientShape(
            message(
                f"the VJP rule of {op.name} for argument {i} did not return numbers",
                expected=f"an array of shape {parent.shape}",
                got=outline(share[()]),
                do="return the cotangent, of zeros if there is none",
            )
        )
    if share.shape != parent.shape:
        if not _fits(share.shape, parent.shape, output, op.broadcasts):
            name = parent.extra.name if parent.extra is not None and parent.extra.name else None
            raise GradientShape(
                message(
                    f"the VJP rule of {op.name} for argument {i}"
                    + (f" ({name})" if name else "")
                    + " returned a cotangent of the wrong shape",
                    expected=f"shape {parent.shape}",
                    got=f"shape {share.shape}",
                    do="return the argument's shape, or declare broadcasts='elementwise'",
                )
            )
        share = unbroadcast(share, parent.shape)
    return cast(share, parent.dtype)


def _column_sums(g):
    """Σ_i g[i]: for matrices as a product, which is twice as quick."""
    if g.ndim == 2 and g.dtype.char in "fd" and len(g) <= 1024:
        return _ones(len(g), g.dtype).dot(g)
    return np.add.reduce(g, 0)


@functools.cache
def _ones(n, dtype):
    return np.ones(n, dtype)


def _fits(shape, target, output, broadcasts):
    """Can `target` have been broadcast to `shape` by an op that broadcasts in this way to `output`?"""
    lead = len(shape) - len(target)
    if broadcasts is None or lead < 0:
        return False
    free, common = (len(target), None) if broadcasts == "elementwise" else (len(target) - 2, lead)
    if output is not None and shape[:common] != output[:common]:
        return False
    return all(n == m or (m == 1 and i < free) for i, (n, m) in enumerate(zip(shape[lead:], target)))


def unbroadcast(share, shape):
    """The sum over all axes along which an array of `shape` was repeated: broadcasting's transpose."""
    lead = share.ndim - len(shape)
    repeated = tuple(i + lead for i, n in enumerate(shape) if n == 1 and share.shape[i + lead] != 1)
    total = np.sum(share, axis=(*range(lead), *repeated))
    return total if total.shape == shape else np.reshape(total, shape)


def _freed(node):
    return message(
        f"backward reached {_place(node)}, which an earlier backward pass has freed",
        do="compute the value anew, or keep the graph with .backward(retain_graph=True)",
    )


def _place(node):
    """The op and, if a run has observed it, its result's name, its Module and the user's line."""
    extra, place = node.extra, node.op.name
    if extra is not None and extra.name:
        place += f" ({extra.name})"
    if extra is not None and extra.seen is not None:
        place += f", in module {extra.seen.module}" if extra.seen.module else ""
        place += f", recorded at {extra.seen.line}" if extra.seen.line else ""
    return place


def _unkept(error):
    """A word on `_x`, for a rule that uses the value of what was not kept."""
    if any(kind in str(error) for kind in ("'Node'", "'Outline'", "'NoneType'")):
        return "; a parameter spelled with a leading underscore has a shape but no value: spell it without"
    return ""


@upstairs
def backward(t, grad=None, retain_graph=False):
    """See `Tensor.backward`."""
    refresh(t)
    node = t._node
    if node is None:
        raise RuntimeError(
            message(
                f"backward from a Tensor that nothing recorded: {outline(t)}",
                expected="a Tensor computed from one with requires_grad=True, outside bp.no_grad()",
                do="integers have no gradient: make them float" if t.dtype.kind not in "fc" else None,
            )
        )
    if node.level != 0:
        raise RuntimeError(
            message(
                "backward was called on a value of a transform (bp.grad, bp.vjp, …)",
                do="return it from the transformed function, or use bp.grad inside",
            )
        )
    gradients = sweep({node: _cotangent_of(t, grad)}, retain_graph, Watch(selected=grad is not None))
    leaves, values = list(gradients), list(gradients.values())
    del gradients
    with _lock:
        while leaves:
            leaf, g = leaves.pop(), own(values)
            if leaf.grad is None:
                leaf.grad = g
            else:
                accumulate(leaf, g)


def _cotangent_of(t, grad):
    if grad is None:
        if t.size != 1:
            raise ValueError(
                message(
                    f"backward from a Tensor of shape {t.shape} needs to know what of it to differentiate",
                    expected="one element",
                    do="take its sum or mean, or give grad=, the cotangent, of its shape",
                )
            )
        return t.dtype.type(1) if t.shape == () else np.ones(t.shape, t.dtype)
    grad = constant(grad)
    if np.iscomplexobj(grad) and t.dtype.kind != "c":
        raise TypeError(
            message(
                "backward got a complex cotangent of a real Tensor",
                expected=t.dtype,
                got=np.result_type(grad),
            )
        )
    g = np.asarray(grad, t.dtype) if not isinstance(grad, DuckArray) else grad
    if g.shape != t.shape:
        raise ValueError(
            message(
                f"backward got a cotangent of the wrong shape for {outline(t)}", expected=t.shape, got=g.shape
            )
        )
    return g


_lock = held_at_fork(threading.Lock())


def accumulate(leaf, g):
    """Add g to the gradient that the leaf has; under the lock, so that threads take turns."""
    old, used = leaf.grad, None if leaf.extra is None else leaf.extra.used
    leaf.grad = own([old + g])
    if used is not None and used[0]() is old and np.any(old):
        leaf.extra.used = weakref.ref(leaf.grad), True


def used_before(leaf):
    """Is a gradient that was used already, when this was last asked, still in the sum that leaf has now?

    For optimizers, which ask it at every step: of a sum of several backward passes all is new, until
    a step has used it. A sum that was set to None or to zeros in between is new.
    """
    extra, g = extra_of(leaf), leaf.grad
    if type(g) is not np.ndarray:
        return False
    used = extra.used
    extra.used = weakref.ref(g), False
    return used is not None and used[1] and used[0]() is g


def _references(box):
    g = box.pop()
    return sys.getrefcount(g)


_ALONE = _references([np.empty(1)])


def own(box):
    """Takes the last array out of the list `box`: itself if nobody else sees its memory, else a copy.

    A rule may hand on its cotangent or a view of it, so two leaves may be about to get one array.
    """
    g = box.pop()
    if type(g) is not np.ndarray:
        return g if isinstance(g, DuckArray) else np.array(g)
    if sys.getrefcount(g) > _ALONE or not g.flags.writeable:
        return g.copy()
    base = g.base
    if base is None or (
        type(base) is np.ndarray
        and base.base is None
        and sys.getrefcount(base) <= _ALONE + 1
        and g.flags.forc  # and so sees no element twice
    ):
        return g
    return g.copy()
