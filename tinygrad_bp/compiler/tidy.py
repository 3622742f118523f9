"""What a reader need not see: transposes of transposes, shapes that stay, factors of 1, and so on.

Read `program.py` next.
"""

from typing import Any

import numpy as np

from ..ops.reduction import spread
from .program import Call, Program, Var
from .shorter import rewritten


def settled(g, share):
    """share, but 0 where nothing was used: 0 · ∞ and 0 · NaN count as 0."""
    return np.where((g == 0) & np.isnan(share), 0.0, share)


def tidied(program: Program) -> Program:
    """The program without calls that change nothing, and with a word for what `Watch.settle` does."""
    made: dict[Var, Call] = {}

    def rule(call):
        call = _simpler(call, made)
        same = None if call.several else _same(call, made)
        if same is not None:
            return [], same
        made.update((v, call) for v in call.outs)
        return call

    return rewritten(program, rule)


def _same(call, made):
    """The Var that the call's result equals, or None."""
    x: Any = call.args[0] if call.args else None
    f = call.function
    if f is settled and x is call.args[1]:
        return x
    condition = made.get(x) if f is np.where and len(call.args) == 3 and type(x) is Var else None
    if condition is not None and condition.function is np.bitwise_and:
        mask = condition.args[0]
        never = isinstance(mask, np.ndarray) and mask.dtype == bool and not mask.any()
        x = call.args[2] if never else None
    elif f is np.multiply and type(x) is not Var and np.all(x == 1):
        x = call.args[1]
    elif f is np.transpose and type(x) is Var and len(call.args) == 1 and not call.kwargs:
        inner = made.get(x)
        if inner is not None and inner.function is np.transpose and len(inner.args) == 1 and not inner.kwargs:
            return inner.args[0]
        return x if len(x.shape) < 2 else None
    elif f not in (np.reshape, np.positive, spread, np.ndarray.astype, np.broadcast_to):
        return None
    out = call.out
    alike = type(x) is Var and (x.shape, x.dtype, x.is_array) == (out.shape, out.dtype, out.is_array)
    return x if alike else None


def _simpler(call, made):
    """The same call in other words."""
    f, args, kwargs = call.function, call.args, call.kwargs
    axis = kwargs.get("axis")
    if f is np.where and len(args) == 3 and type(args[1]) is float and args[1] == 0:
        g = _asked_for(made.get(args[0]) if type(args[0]) is Var else None, args[2], made)
        return call if g is None else Call(settled, (g, args[2]), {}, call.outs)
    if f is np.sum and isinstance(axis, tuple) and len(axis) == 1:
        return Call(f, args, {**kwargs, "axis": axis[0]}, call.outs)
    if f is np.multiply and type(args[0]) is Var and type(args[1]) is not Var and np.shape(args[1]) == ():
        return Call(f, args[::-1], kwargs, call.outs)
    return call


def _asked_for(both, share, made):
    """g, if `both` is (g == 0) & isnan(share), or None."""
    if both is None or both.function is not np.bitwise_and:
        return None
    zero, broken = (made.get(part) if type(part) is Var else None for part in both.args)
    if zero is None or broken is None or zero.function is not np.equal or broken.function is not np.isnan:
        return None
    return zero.args[0] if zero.args[1:] == (0,) and broken.args[0] is share else None
