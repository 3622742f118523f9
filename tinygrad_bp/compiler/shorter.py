"""What makes a program shorter and computes the very same numbers: one function per idea, Program to Program.

Read `passes.py` next.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..ops.reduction import spread
from ..primitive import Primitive
from .program import Call, Program, Var, flat, mapped
from .tracer import Tracer, Untraceable


def dead_code(program: Program) -> Program:
    """Without calls whose results nobody reads."""
    needed, kept = set(program.outputs()), []
    for call in reversed(program.calls):
        if not needed.isdisjoint(call.outs):
            needed.update(call.inputs())
            kept.append(call)
    return replace(program, calls=kept[::-1])


def rewritten(program: Program, rule: Callable) -> Program:
    """The program with rule(call) in each call's place: a call, or (calls, what its result is from now on)."""
    calls: list[Call] = []
    new: dict[Var, Any] = {}
    for call in program.calls:
        found = rule(call.replaced(new) if new else call)
        more, value = ([found], None) if type(found) is Call else found
        calls += more
        if value is not None:
            new[call.out] = value
    return renamed(replace(program, calls=calls), new)


def inlined(program: Program) -> Program:
    """With our own primitives (sigmoid, …) spelled out in NumPy's calls, where they can be."""

    def rule(call):
        ours = isinstance(call.function, Primitive) and not generators(call)
        return (spelled_out(call) if ours else None) or call

    return rewritten(program, rule)


def generators(call: Call) -> list:
    """What the call draws random numbers from, others each time."""
    return [x for x in flat((call.args, call.kwargs)) if isinstance(x, np.random.Generator)]


def spelled_out(call):
    """(calls, result) of a primitive's body, traced on values of the right shapes, or None."""
    sketch = Program(count=call.out.number * 1000 + 10**6)
    stand_ins = {v: Tracer(sketch, sample(v), v) for v in call.inputs()}

    def given(x):
        return mapped(x, stand_ins.get)

    try:
        with np.errstate(all="ignore"):
            y = call.function.__wrapped__(*given(call.args), **given(call.kwargs))
    except (Untraceable, AttributeError, LookupError, TypeError, ValueError):
        return None
    if type(y) is not Tracer or (y.shape, y.dtype) != (call.out.shape, call.out.dtype):
        return None
    return sketch.calls, y.variable


def sample(v):
    return np.ones(v.shape, v.dtype) if v.is_array else v.dtype.type(1)


def folded(program: Program) -> Program:
    """With calls on constants alone computed now."""

    def rule(call):
        if call.inputs() or call.several or not _small(call.out):
            return call
        function = call.function.__wrapped__ if isinstance(call.function, Primitive) else call.function
        with np.errstate(all="ignore"):
            return [], function(*call.args, **call.kwargs)

    return rewritten(program, rule)


def _small(v):
    return int(np.prod(v.shape)) <= 1


def common(program: Program) -> Program:
    """With calls that were made before, on the same arguments, not made again."""
    calls: list[Call] = []
    new: dict[Var, Any] = {}
    known: dict[Any, Call] = {}
    for call in program.calls:
        call = call.replaced(new)
        key = call.function, _key(call.args), (call.kwargs and _key(call.kwargs)) or None
        if key in known and not generators(call):
            new.update(zip(call.outs, known[key].outs))
        else:
            known[key] = call
            calls.append(call)
    return renamed(replace(program, calls=calls), new)


def _key(x):
    if type(x) is Var:
        return x
    if isinstance(x, (tuple, list)):
        return (type(x), *[v if type(v) is Var else _key(v) for v in x])
    if isinstance(x, dict):
        return tuple((k, _key(v)) for k, v in x.items())
    if isinstance(x, slice):
        return ("slice", _key((x.start, x.stop, x.step)))
    if isinstance(x, (np.ndarray, np.generic)):
        return (x.dtype.str, x.shape, x.tobytes()) if x.size < 64 else id(x)
    return (type(x), repr(x)) if isinstance(x, (int, float, complex, str, bytes)) else id(x)


def renamed(program, new):
    """The program, with results and writes under their new names."""

    def name(v):
        while type(v) is Var and v in new:
            v = new[v]
        return v

    writes = [(place, name(v)) for place, v in program.writes]
    return replace(program, results=list(map(name, program.results)), writes=writes)


def transposes(program: Program) -> Program:
    """With a product of matrices that is only read transposed, (a b)ᵀ, as bᵀ aᵀ: then its rows lie in memory as read.

    So with a sum of two such products, (p + q)ᵀ, as pᵀ + qᵀ.
    """
    return _read_as_made(_read_as_made(program, _is_sum_of_products, 1), _is_product_of_matrices, -1)


def _read_as_made(program, fits, order):
    """With transposed arguments, in this order, for the transposes of a result that is only read so."""
    uses: dict[Var, list] = {v: [None] for v in program.outputs()}
    made = {call.out: call for call in program.calls}
    for call in program.calls:
        for v in call.inputs():
            uses.setdefault(v, []).append(call)
    calls: list[Call] = []
    new: dict[Var, Any] = {}
    for call in program.calls:
        fitting = all(use is not None and _is_transpose(use) for use in uses.get(call.out, [None]))
        fitting = fitting and not call.kwargs and len(call.out.shape) == 2 and fits(call, made, uses)
        call = call.replaced(new)
        if fitting:
            turned = []
            for v in call.args[::order]:
                if v in made and _is_transpose(made[v]):
                    turned.append(new.get(made[v].args[0], made[v].args[0]))
                    continue
                turned.append(new_var(v, v.shape[::-1]))
                calls.append(Call(np.transpose, (v,), {}, (turned[-1],)))
            result = new_var(call.out, call.out.shape[::-1])
            calls.append(Call(call.function, tuple(turned), {}, (result,)))
            new.update((use.out, result) for use in uses[call.out])
        elif call.out not in new:
            calls.append(call)
    return renamed(replace(program, calls=calls), new)


def _is_product_of_matrices(call, made, uses):
    matrices = len(call.args) == 2 and all(type(v) is Var and len(v.shape) == 2 for v in call.args)
    return call.function in (np.dot, np.matmul) and matrices


def _is_sum_of_products(call, made, uses):
    parts = [made.get(v) for v in call.args if type(v) is Var and len(uses[v]) == 1]
    known = call.function is np.add and len(parts) == 2 and None not in parts
    return known and all(_is_transpose(p) or _is_product_of_matrices(p, made, uses) for p in parts)


def _is_transpose(call):
    return call.function is np.transpose and len(call.args) == 1 and not call.kwargs


def straight(program: Program) -> Program:
    """Without transposes of transposes, reshapes to the shape that is there, and broadcasting that comes by itself."""
    turned: dict[Var, Var] = {}
    wide: dict[Var, Var] = {}

    def rule(call):
        x: Any = call.args[0] if call.args else None
        if _is_transpose(call) and type(x) is Var:
            if x in turned:
                return [], turned[x]
            turned[call.out] = x
        elif call.function is np.reshape and type(x) is Var and x.is_array and x.shape == call.out.shape:
            return [], x
        elif _only_spreads(call, x):
            wide[call.out] = wide.get(x, x)
        elif type(call.function) is np.ufunc and len(call.args) == 2 and call.function.signature is None:
            full = [type(v) is Var and v not in wide and v.shape == call.out.shape for v in call.args]
            if any(full):  # NumPy broadcasts the other one by itself
                args = [
                    a.flat[0] if type(a) is np.ndarray and a.size and not any(a.strides) else a
                    for a in call.args
                ]
                call = Call(call.function, tuple(args), call.kwargs, call.outs)
                return call.replaced({v: wide[v] for v in call.inputs() if v in wide})
        return call

    return dead_code(rewritten(program, rule))


def _only_spreads(call, x):
    """Is it x as often as a shape is wide, or with axes of length 1 before its own?"""
    if type(x) is not Var or not x.is_array or len(call.args) > 2:
        return False
    lead = len(call.out.shape) - len(x.shape)
    longer = call.function is np.reshape and call.out.shape == (1,) * lead + x.shape
    return longer or call.function in (np.broadcast_to, spread)


def new_var(like, shape=None):
    """A new Var like another, or an array of this shape."""
    if shape is None and not like.is_array:
        return Var(like.number, sample(like))
    return Var(like.number, np.broadcast_to(np.empty((), like.dtype), like.shape if shape is None else shape))
