"""Where each array of a program stands in memory.

The one idea: all shapes are known, so each value gets its place before the first replay: the buffer of
an operand that is not read again, a buffer that has become free, or a new one, which begins where a
cache line does. Products give an array either way round for the same price, so what is elementwise
around a product that is quicker the other way round is kept that way, too. A result is computed into an
array that is lent to the user, and lent again when nobody holds it any more. Read `nans.py` next.
"""

import math
import operator
from collections.abc import Callable
from sys import getrefcount

import numpy as np

from ..ops.indexing import names_once, scatter
from .program import Call, Program, Var

LINE = 64
"""Bytes of a cache line, and of the widest register."""
SHORT = 64
"""Numbers in a row up to which starting on it costs more than what is done there."""
LONG = 1 << 17
"""Multiplications in a product from which on its time matters more than that of what is around it."""
BASIC = (int, np.integer, slice, type(...))
VIEWS = frozenset({np.transpose, np.reshape, np.ravel, np.squeeze, np.expand_dims, np.swapaxes, np.moveaxis,
                   np.broadcast_to, np.diagonal, np.real, np.imag, operator.getitem})  # fmt: skip


def is_view(call: Call) -> bool:
    """May the result share memory with the first argument?"""
    if call.function is operator.getitem:
        parts = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
        return all(part is None or isinstance(part, BASIC) for part in parts)
    return call.function in VIEWS


def seen_by(v, made):
    """The Var or array whose memory v is a view of, or v."""
    while type(v) is Var and v in made and is_view(made[v]):
        v = made[v].args[0]
    return v


def bases(program: Program) -> dict[Var, Var]:
    """View -> the variable whose memory it sees."""
    found: dict[Var, Var] = {}
    for call in program.calls:
        for out in call.outs:
            seen = call.args[0] if is_view(call) else call.views.get(out)
            if type(seen) is Var:
                found[out] = found.get(seen, seen)
    return found


def is_elementwise(call: Call) -> bool:
    """Is it a plain call of a ufunc?"""
    return type(call.function) is np.ufunc and call.function.signature is None and not call.kwargs


def is_product(call: Call) -> bool:
    """Is it a product of two arrays that BLAS makes, into an array?"""
    if call.function not in (np.matmul, np.dot) or len(call.args) != 2 or not call.out.is_array:
        return False
    least, dtype = 1 if call.function is np.dot else 2, call.out.dtype
    for v in call.args:
        if type(v) not in (Var, np.ndarray) or not least <= len(v.shape) <= 2 or v.dtype != dtype:
            return False
    return dtype.char in "fdFD"


def is_scatter(call: Call) -> bool:
    """Does it put numbers into zeros, no two into one place?"""
    if call.function is not scatter or call.kwargs:
        return False
    index = call.args[1]
    parts = index if isinstance(index, tuple) else (index,)
    lists = all(type(v) in (Var, np.ndarray) and len(v.shape) == 1 and v.dtype.kind in "iu" for v in parts)
    if not lists or len({v.shape for v in parts}) != 1:
        return names_once(index)
    known = [v for v in parts if type(v) is np.ndarray]  # one that never comes back keeps all apart
    return any(v.min(initial=0) >= 0 and np.unique(v).size == v.size for v in known)


def aligned(count: int) -> np.ndarray:
    """So many bytes, of which the first begins a cache line."""
    raw = np.empty(count + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + count]


def lender(shape: tuple[int, ...], dtype: np.dtype) -> Callable[[], np.ndarray]:
    """A function that gives a new array each time; the last one again, if nobody holds it or a view of it any more."""
    last = [np.empty(shape, dtype)]  # it owns its memory, so that its views hold it

    def lend():
        array = last[0]
        if getrefcount(array) > _ALONE:
            array = last[0] = np.empty(shape, dtype)
        return array

    return lend


def _alone():
    """How many references `lend` sees to an array that is in its list alone."""
    last = [np.empty(1)]
    array = last[0]
    return getrefcount(array)


_ALONE = _alone()


class Places:
    """`fixed`, Var -> its array, for all that is known before a run; and the memory behind it."""

    def __init__(self, program: Program, state: dict[Var, np.ndarray]):
        self.program = program
        self.fixed: dict[Var, np.ndarray] = dict(state)
        self.owner: dict[Var, np.ndarray] = {}  # of a buffered variable: the raw memory
        self.base = bases(program)
        self.free: list[np.ndarray] = []
        self.kept: dict[Var, np.ndarray] = {}  # places that are kept for one variable
        self.bytes = 0
        self.last = self._last_uses()
        self.turned = turned(program, self.fixed)

    def _last_uses(self):
        last: dict[Var, int] = {}
        for n, call in enumerate(self.program.calls):
            for v in call.inputs():
                last[v] = n
        for v in self.program.outputs():
            last[v] = len(self.program.calls)
        for view, base in self.base.items():
            last[base] = max(last.get(base, -1), last.get(view, -1))
        return last

    def take_view(self, call) -> bool:
        """Take the view now, if the memory it sees is known."""
        source = call.args[0]
        known = self.fixed.get(source) if type(source) is Var else source
        if not isinstance(known, np.ndarray) or any(v is not source for v in call.inputs()):
            return False
        view = call.function(known, *call.args[1:], **call.kwargs)
        if not isinstance(view, np.ndarray) or not np.may_share_memory(view, known):
            return False
        self.fixed[call.out] = view
        return True

    def buffer(self, n, call, reuse=False) -> np.ndarray:
        """The array that the n-th call writes its result into; `reuse`: an operand's, if that dies here."""
        out = call.out
        if out in self.kept:
            self.fixed[out] = self.kept[out]
            return self.fixed[out]
        if reuse:
            for v in call.inputs():
                if v in self.owner and self._dies(v, n) and self._fits(v, out) and self._only(v, call):
                    self.owner[out] = self.owner.pop(v)
                    self.fixed[out] = self.fixed[v]
                    return self.fixed[out]
        need = max(1, math.prod(out.shape) * out.dtype.itemsize)
        fitting = [raw for raw in self.free if need <= raw.nbytes <= 2 * need]
        if fitting:
            raw = min(fitting, key=lambda raw: raw.nbytes)
            self.free = [other for other in self.free if other is not raw]
        else:
            raw = aligned(need)
            self.bytes += need
        self.owner[out] = raw
        array = raw[:need].view(out.dtype)
        self.fixed[out] = array.reshape(out.shape[::-1]).T if out in self.turned else array.reshape(out.shape)
        return self.fixed[out]

    def release(self, n, call) -> None:
        """Nobody reads these after the n-th call: their memory is free."""
        for u in (*call.inputs(), *call.outs):
            v = self.base.get(u, u)
            if v in self.owner and self.last.get(v, -1) <= n:
                self.free.append(self.owner.pop(v))

    def _dies(self, v, n):
        base = self.base.get(v, v)
        return self.last.get(base, n) <= n and base in self.owner

    def _fits(self, v, out):
        array = self.fixed.get(v)
        if array is None or array.shape != out.shape or array.dtype != out.dtype:
            return False
        return array.flags.f_contiguous if out in self.turned else array.flags.c_contiguous

    def _only(self, v, call):
        """Does the call see this memory through v alone?"""
        return sum(self.base.get(u, u) is v for u in set(call.inputs())) == 1


def turned(program: Program, fixed: dict[Var, np.ndarray]) -> set[Var]:
    """The matrices that are kept transposed in memory.

    x wᵀ of few rows and many columns is quicker as (w xᵀ)ᵀ, and so is the largest of each of many short
    rows. What is elementwise around it goes with it; if something there is given, made by what writes one
    way round only, or (around x wᵀ) put out, all stays as it was.
    """
    made = program.made
    products = [call.out for call in program.calls if is_product(call) and _quicker_turned(call, made, fixed)]
    starts = [*products, *(call.args[0] for call in program.calls if _of_short_rows(call))]
    if not starts:
        return set()
    alike: dict[Var, list[Var]] = {}
    for call in program.calls:
        if len(call.out.shape) == 2 and _either_way(call) and not call.several:
            around = [v for v in (*call.inputs(), call.out) if v.shape == call.out.shape]
            for v in around:
                alike.setdefault(v, []).extend(around)

    free = {v for v, call in made.items() if _either_way(call) or is_product(call) or is_scatter(call)}
    kept = set(program.outputs())
    found: set[Var] = set()
    for start in starts:
        group, new = {start}, [start]
        while new and start not in found:
            fresh = [u for v in new for u in alike.get(v, ()) if u not in group]
            new = list(dict.fromkeys(fresh))
            group.update(new)
        if group <= free and (start not in products or kept.isdisjoint(group)):
            found |= group
    return found


def _either_way(call):
    """Is it elementwise, and does it write its result whichever way round that lies?"""
    return is_elementwise(call) or call.function is np.ndarray.astype


def _of_short_rows(call):
    """Is it the largest or least of each row of a matrix of many short rows?"""
    v = call.args[0] if call.function in (np.max, np.min) and len(call.args) == 1 else None
    short = type(v) is Var and len(v.shape) == 2 and v.shape[1] <= SHORT and v.shape[0] > 2 * v.shape[1]
    return short and call.kwargs.get("axis") in (1, -1)


def _quicker_turned(call, made, fixed):
    """Is it a long x wᵀ in float32 with twice as many columns as rows? (Not if w is known to lie transposed itself.)"""
    x, w = call.args
    turn = made.get(w) if type(w) is Var else None
    if turn is None or turn.function is not np.transpose or len(turn.args) > 1 or len(call.out.shape) != 2:
        return False
    (rows, columns), w = call.out.shape, fixed.get(turn.args[0])
    long = call.out.dtype.char == "f" and rows * columns * x.shape[1] >= LONG
    return long and 1 < rows <= columns // 2 and (w is None or w.flags.c_contiguous)
