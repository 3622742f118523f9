"""What makes a program shorter and computes the very same numbers: one function per idea, Program to Program.

Read `passes.py` next.
"""

from collections.abc import Callable, Collection
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
        if call.out in needed or (call.several and not needed.isdisjoint(call.outs)):
            needed.update(call.inputs())
            kept.append(call)
    return program if len(kept) == len(program.calls) else program.of(kept[::-1])


def rewritten(program: Program, rule: Callable, functions: Collection | None = None) -> Program:
    """The program with rule(call) in each call's place: a call, or (calls, what its result is from now on).

    `functions`: those whose calls the rule is about; of all by default.
    """
    calls: list[Call] = []
    new: dict[Var, Any] = {}
    for call in program.calls:
        known = call.replaced(new) if new else call
        found: Any = rule(known) if functions is None or call.function in functions else known
        if type(found) is Call:
            calls.append(found)
            continue
        calls += found[0]
        if found[1] is not None:
            new[call.out] = found[1]
    return program if calls == program.calls else renamed(program.of(calls), new)


def inlined(program: Program) -> Program:
    """With our own primitives (sigmoid, …) spelled out in NumPy's calls, where they can be."""

    def rule(call):
        ours = type(call.function) is Primitive and not generators(call)
        found: Any = spelled_out(call) if ours else None
        if found is None or not found[0] or found[0][-1].out is not found[1]:
            return found or call
        *before, last = found[0]
        return [*before, Call(last.function, last.args, last.kwargs, call.outs)], None

    return rewritten(program, rule)


def generators(call: Call) -> list:
    """What the call draws random numbers from, others each time."""
    parts = [a for a in (*call.args, *call.kwargs.values()) if type(a) is not Var]
    return [x for x in flat(parts) if isinstance(x, np.random.Generator)] if parts else parts


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
        call = call.replaced(new) if new else call
        key: Any = [v if type(v) is Var else _key(v) for v in call.args]
        key = (call.function, *key, _key(call.kwargs) if call.kwargs else None)
        same = known.setdefault(key, call)
        if same is call or generators(call):
            calls.append(call)
        else:
            new.update(zip(call.outs, same.outs))
    return renamed(program.of(calls), new) if new else program


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
    made, uses = program.made, program.readers
    read = {call.args[0] for call in program.calls if _is_transpose(call)}
    only = [v for v in read if v in made and len(v.shape) == 2 and all(map(_is_transpose, uses[v]))]
    fitting = {made[v] for v in only if fits(made[v], made, uses)}
    if not fitting:
        return program
    calls: list[Call] = []
    new: dict[Var, Any] = {}
    for call in program.calls:
        fits_here = call in fitting
        call = call.replaced(new)
        if fits_here:
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
    return dead_code(renamed(program.of(calls), new))


def _is_product_of_matrices(call, made, uses):
    plain = call.function in (np.dot, np.matmul) and len(call.args) == 2 and not call.kwargs
    return plain and all(type(v) is Var and len(v.shape) == 2 for v in call.args)


def _is_sum_of_products(call, made, uses):
    parts = [made.get(v) for v in call.args if type(v) is Var and len(uses[v]) == 1]
    known = call.function is np.add and not call.kwargs and len(parts) == 2 and None not in parts
    return known and all(_is_transpose(p) or _is_product_of_matrices(p, made, uses) for p in parts)


def _is_transpose(call):
    plain = call is not None and call.function is np.transpose and len(call.args) == 1
    return plain and not call.kwargs and type(call.args[0]) is Var


def straight(program: Program) -> Program:
    """Without transposes of transposes, reshapes to the shape that is there, and broadcasting that comes by itself."""
    turned: dict[Var, Var] = {}
    wide: dict[Var, Var] = {}

    def rule(call):
        x: Any = call.args[0] if call.args else None
        if type(call.function) is np.ufunc:
            return _without_spreading(call, wide)
        if _is_transpose(call):
            if x in turned:
                return [], turned[x]
            turned[call.out] = x
        elif call.function is np.reshape and type(x) is Var and x.is_array and x.shape == call.out.shape:
            return [], x
        elif call.function in (np.reshape, np.broadcast_to, spread) and _only_spreads(call, x):
            wide[call.out] = wide.get(x, x)
        return call

    return dead_code(rewritten(program, rule))


def _without_spreading(call, wide):
    """A ufunc's call with what is not yet broadcast, where NumPy does it by itself."""
    args = call.args
    found = [a for a in args if type(a) is np.ndarray or (type(a) is Var and a in wide)]
    if not found or len(args) != 2 or call.function.signature is not None:
        return call
    if not any(type(v) is Var and v not in wide and v.shape == call.out.shape for v in args):
        return call
    args = [a.flat[0] if type(a) is np.ndarray and a.size and not any(a.strides) else a for a in args]
    return Call(call.function, tuple(args), call.kwargs, call.outs).replaced(wide)


def _only_spreads(call, x):
    """Is it x as often as a shape is wide, or with axes of length 1 before its own?"""
    if type(x) is not Var or not x.is_array or len(call.args) > 2:
        return False
    lead = len(call.out.shape) - len(x.shape)
    return call.function is not np.reshape or call.out.shape == (1,) * lead + x.shape


def new_var(like, shape=None):
    """A new Var like another, or an array of this shape."""
    shape, is_array = (like.shape, like.is_array) if shape is None else (shape, True)
    return Var(like.number, shape, like.dtype, is_array)
