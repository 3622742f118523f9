"""`with bp.detect_anomaly():` stops at the first NaN or infinity, and says where it came from.

The one idea: it is an observed run that keeps nothing of its own. Every recorded value is looked at
when its node is made, every cotangent when it is handed on; the first that is not finite raises
FloatingPointError with op, names, module, indices and the user's line. Read `observe.py` first.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .backward import Watch
from .errors import message
from .frames import users_frame, variable, where
from .graph import AMBIENT, extra_of
from .observe import Seen
from .tensor import Tensor, constant

SHOWN = 3  # so many bad elements are listed
_DOMAIN = "keep its arguments in range (clip them, scale them, or use a stable form such as log_softmax)"
_GRADIENT = "keep away from points where the derivative is infinite, scale the loss, or clip"


@contextmanager
def detect_anomaly(*, nan_only: bool = False) -> Iterator[None]:
    """Raise FloatingPointError at the first NaN or infinity that is recorded, or handed on in backward.

    `nan_only` lets infinities pass. What is recorded in the block is also checked when the backward
    pass comes after it. Ops cost several times as much inside. Of nested `observe` and
    `detect_anomaly` blocks the innermost is in force.

    >>> import numpy as np, tinygrad_bp as bp
    >>> x = bp.Tensor([1.0, 0.0], requires_grad=True, name="x")
    >>> with bp.detect_anomaly(), np.errstate(divide="ignore"): np.log(x)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FloatingPointError: log gave -inf at [1] (1 of 2 elements), ...; x was 0.0 there; keep ...
    """
    token = AMBIENT.set(AMBIENT.get().replace(run=_Search(nan_only), module=None))
    try:
        yield
    finally:
        AMBIENT.reset(token)


class _Search:
    """Stands in a run's place: looks at every node as it is made and forgets it."""

    def __init__(self, nan_only):
        self.is_bad = np.isnan if nan_only else lambda a: ~np.isfinite(a)
        self.sweep, self.totals = None, {}

    def saw(self, node, value, operands, module):
        """Called by `record` for every node made inside the block."""
        frame = users_frame()
        parents = [_parent(node, i, operands, frame) for i in range(len(node.parents))]
        shown = [constant(v) for v in value] if isinstance(value, (tuple, list)) else constant(value)
        suspect = _Suspect(self, node, shown, module, where(frame), parents)
        extra_of(node).seen = suspect
        if _sweep() is None:  # of what rules compute on the way, only what they hand on counts
            suspect.look_at_value()

    def bad_in(self, value):
        """(array, indices of its bad elements as an array (n, ndim)) of the first bad part, or None."""
        for a in value if isinstance(value, list) else [value]:
            a = np.asarray(a) if isinstance(a, (float, complex)) else a
            if isinstance(a, (np.ndarray, np.generic)) and a.dtype.kind in "fc":
                bad = np.argwhere(self.is_bad(a))
                if len(bad):
                    return a, bad
        return None

    def total(self, leaf, share):
        """The sum of what this sweep has handed to the leaf so far."""
        sweep = _sweep()
        if sweep is not self.sweep:
            self.sweep, self.totals = sweep, {}
        self.totals[leaf] = share + self.totals[leaf] if leaf in self.totals else share
        return self.totals[leaf]


class _Suspect(Seen):
    """The `Seen` of a node whose value and cotangents are checked."""

    __slots__ = ("nodes", "reached", "search")

    def __init__(self, search, node, value, module, line, parents):
        super().__init__("op", node.op.name, value, None, module, line, parents, node.kwargs)
        self.nodes, self.search, self.reached = node.parents, search, False

    def look_at_value(self):
        """Forward: is the value finite? If not, was an operand's?"""
        found = self.search.bad_in(self.value)
        if found is None:
            return
        for i, parent in enumerate(self.parents):
            came_in = self.search.bad_in(parent.value)
            if came_in is not None:
                whence = f"the {parent.kind} {parent.name!r}" if parent.name else f"a {parent.kind}"
                what = f"{_what(*came_in)} came in with {whence}, operand {i} of {self.op}"
                raise FloatingPointError(message(what + self._place(), do="look at the data it was made of"))
        what = f"{self.op} gave {_what(*found)}{self._place()}{self._operands(False, *found)}"
        raise FloatingPointError(message(what, do=_DOMAIN))

    def receive(self, g):
        """Backward: the complete cotangent of this node, all of whose contributions were finite."""
        found = self.search.bad_in(constant(g) if not isinstance(g, list) else [constant(p) for p in g])
        if found is None:
            return
        if self.reached:
            what = f"the sum of the cotangents of {self.op}'s result overflowed to {_what(*found)}"
        else:
            what = (
                f"{_what(*found)} came in with the cotangent that backward began with, of {self.op}'s result"
            )
        raise FloatingPointError(message(what + self._place(), do=_GRADIENT))

    def hand_on(self, i, share):
        """Backward: the contribution to operand i."""
        parent = self.parents[i]
        share = [constant(p) for p in share] if isinstance(share, list) else constant(share)
        target = f"operand {i}" + (f", {parent.name!r}," if parent.name else "")
        found = self.search.bad_in(share)
        if found is not None:
            what = f"the derivative of {self.op} gave {_what(*found)} for {target.rstrip(',')}"
            raise FloatingPointError(
                message(what + self._place() + self._operands(True, *found), do=_GRADIENT)
            )
        if isinstance(parent, _Suspect):
            parent.reached = True
        elif isinstance(share, (np.ndarray, np.generic)):
            found = self.search.bad_in(self.search.total(self.nodes[i], share))
            if found is not None:
                what = f"the sum of the cotangents of {target} of {self.op} overflowed to {_what(*found)}"
                raise FloatingPointError(message(what + self._place(), do=_GRADIENT))

    def _place(self):
        return (f", in module {self.module!r}" if self.module else "") + (
            f", at {self.line}" if self.line else ""
        )

    def _operands(self, in_backward, a, bad):
        """What the operands were at the first bad element, or their ranges where that is not one place."""
        facts = []
        for i, parent in enumerate(self.parents):
            value = parent.value
            if not isinstance(value, (np.ndarray, np.generic, float, int, complex)):
                continue
            value, name = np.asarray(value), parent.name or f"operand {i}"
            if value.shape == a.shape or (not in_backward and value.size == 1):
                element = value[tuple(bad[0])] if value.shape == a.shape else value.reshape(())
                facts.append(f"{name} was {element!s} there")
            elif value.size and value.dtype.kind in "fiub":
                facts.append(
                    f"{name} of shape {value.shape} lay in [{np.min(value):.4g}, {np.max(value):.4g}]"
                )
        return "; " + ", ".join(facts) if facts else ""


def _sweep():
    """The backward pass that is going on, or None."""
    watch = np.geterrcall()
    return watch if isinstance(watch, Watch) else None


def _parent(node, i, operands, frame):
    """The Seen of operand i; kind "leaf" also for what was computed before the block."""
    operand = operands[i] if i < len(operands) else node.saved[i]
    parent = node.parents[i]
    seen = None if parent is None or parent.extra is None else parent.extra.seen
    if seen is None:
        name = operand._name if type(operand) is Tensor else None
        kind = "constant" if parent is None else "leaf"
        seen = Seen(kind, None, constant(operand), name)
    if seen.name is None:
        seen.name = variable(operand, frame)
    if seen.name is None and seen.kind == "leaf" and parent.op is not None:
        seen.name = f"result of {parent.op.name}"
    return seen


def _what(a, bad):
    """'nan and inf at [0, 1], [2, 3] (2 of 8 elements)', for the bad indices of a."""
    kinds = dict.fromkeys(str(a[tuple(index)]) for index in bad[:SHOWN])
    if a.ndim == 0:
        return next(iter(kinds))
    places = ", ".join(str(index.tolist()) for index in bad[:SHOWN]) + (", …" if len(bad) > SHOWN else "")
    return f"{' and '.join(kinds)} at {places} ({len(bad)} of {a.size} elements)"
