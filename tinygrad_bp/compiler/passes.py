"""What makes a program quicker and computes the same numbers up to rounding; and all passes in their order.

Each pass is one function, Program to Program. Read `blas.py` next.
"""

import math
from typing import Any

import numpy as np

from ..ops.nonlinear import log_softmax, softmax
from ..primitive import primitive
from .blas import gemm, subtract_product
from .places import is_product, seen_by
from .program import Call, Program, Var
from .shorter import common, dead_code, folded, inlined, new_var, renamed, rewritten, straight, transposes

SMALL = 1024
"""Numbers in a matrix up to which a call of NumPy costs more than what it computes."""
LARGE = 1 << 14
"""Numbers in a parameter from which BLAS's own call for its update is quicker than NumPy's two."""


@primitive
def finite_softmax(x, axis=-1):
    """softmax, invalid where the largest is infinite."""
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


@primitive
def finite_log_softmax(x, axis=-1):
    """log_softmax, invalid where the largest is infinite."""
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


FINITE = {softmax: finite_softmax, log_softmax: finite_log_softmax}


def finite(program: Program) -> Program:
    """With the softmax of finite numbers: where the largest is not finite, ∞ − ∞ is invalid, which ends a replay."""

    def rule(call):
        return call if 0 in call.out.shape else Call(FINITE[call.function], call.args, call.kwargs, call.outs)

    return rewritten(program, rule, FINITE)


def scalars(program: Program) -> Program:
    """With Python numbers in ufuncs as arrays of the result's dtype, which NumPy takes twice as quickly."""

    def rule(call):
        numbers = type(call.function) is np.ufunc and any(map(_is_number, call.args))
        if not numbers or call.function is np.power or not _floats(call):
            return call
        args = tuple([np.asarray(a, call.out.dtype) if _is_number(a) else a for a in call.args])
        return Call(call.function, args, call.kwargs, call.outs)

    return rewritten(program, rule)


def _is_number(x):
    return type(x) in (int, float, bool) or isinstance(x, np.generic)


def products(program: Program) -> Program:
    """With sums over an axis of a matrix, and sums and means of squares, as products."""
    made = program.made

    def rule(call):
        v: Any = call.args[0] if call.args else None
        real = type(v) is Var and v.dtype.char in "fd" and v.dtype == call.out.dtype
        if not real or len(call.args) > 2:
            return call
        squares = v in made and made[v].function is np.square and not call.out.is_array
        if squares and len(call.args) == 1 and not call.kwargs:
            return _of_squares(call, made[v].args[0])
        return (_with_ones(call, v) if len(v.shape) == 2 and call.function is not np.mean else None) or call

    return dead_code(rewritten(program, rule, {np.sum, np.add.reduce, np.mean}))


def _of_squares(call, x):
    """Σ x², or its mean, as x · x."""
    if call.function is not np.mean:
        return Call(np.vdot, (x, x), {}, call.outs)
    total = new_var(call.out)
    count = call.out.dtype.type(math.prod(x.shape))
    calls = [Call(np.vdot, (x, x), {}, (total,)), Call(np.true_divide, (total, count), {}, call.outs)]
    return calls, None


def _with_ones(call, v):
    """The sum of v's columns, or rows, as a product with ones; None where that is none."""
    axis, keep = call.kwargs.get("axis", call.args[-1]), bool(call.kwargs.get("keepdims"))
    axis = axis[0] if type(axis) is tuple and len(axis) == 1 else axis
    odd = set(call.kwargs) - {"axis", "keepdims"} or type(axis) is not int
    if odd or axis not in (0, 1, -1) or (keep and axis == 0):
        return None
    if axis == 0:
        return Call(np.dot, (np.ones(v.shape[0], v.dtype), v), {}, call.outs)
    ones = np.ones((v.shape[1], 1) if keep else v.shape[1], v.dtype)
    return Call(np.dot, (v, ones), {}, call.outs)


def relus(program: Program) -> Program:
    """With max(x, 0) as x · (x > 0) if backward asks for that mask anyway: np.maximum is slower than both."""
    wanted = {call.args[0] for call in program.calls if _compares_with_0(call, np.greater)}
    mask: dict[Var, Var] = {}

    def rule(call):
        x: Any = call.args[0] if call.args else None
        largest = _compares_with_0(call, np.maximum) and _floats(call)
        if largest and call.out in wanted and x in program.made:
            mask[call.out] = Var(call.out.number, x.shape, np.dtype(bool))
            positive = Call(np.greater, (x, 0), {}, (mask[call.out],))
            return [positive, Call(np.multiply, (x, mask[call.out]), {}, call.outs)], None
        return ([], mask[x]) if _compares_with_0(call, np.greater) and x in mask else call

    return rewritten(program, rule, {np.maximum, np.greater}) if wanted else program


def _compares_with_0(call, function):
    zero = call.args[-1] if call.function is function and len(call.args) == 2 and not call.kwargs else None
    return zero is not None and type(call.args[0]) is Var and _is_number(zero) and zero == 0


def scaled(program: Program) -> Program:
    """With c · (d · x) as one product, and so x + x, −x, and c · (−x · y)."""
    calls: list[Call] = []
    factor: dict[Var, Any] = {}
    for call in program.calls:
        v = next((v for v in call.inputs() if factor.get(v, (0,))[0] == -1.0), None) if factor else None
        if v is not None and _is_multiplied_before_a_constant(call, program):
            product = new_var(call.out)
            calls.append(Call(np.multiply, call.replaced({v: factor[v][1]}).args, {}, (product,)))
            call = Call(np.negative, (product,), {}, call.outs)
        c, x = _constant_times(call)
        if x is not None:
            d, x = factor.get(x, (1.0, x))
            factor[call.out] = (float(c) * float(d), x)
            if call.function is not np.negative or d != 1.0:
                call = Call(np.multiply, (x, float(c) * float(d)), {}, call.outs)
        calls.append(call)
    return dead_code(program.of(calls)) if factor else program


def _constant_times(call):
    """(c, x) if the call is c · x, x + x or −x of an array x; else (None, None)."""
    if call.function not in (np.multiply, np.negative, np.add) or call.kwargs or not _floats(call):
        return None, None
    x, y = call.args[0], call.args[-1]
    if call.function is np.multiply:
        return _scale(call.args)
    if type(x) is not Var or x is not y:
        return None, None
    return (-1.0, x) if call.function is np.negative else (2.0, x)


def _is_multiplied_before_a_constant(call, program):
    """Is it a product of two arrays, which is only read to be multiplied by a constant, once?"""
    if call.function is not np.multiply or len(set(call.inputs())) < 2 or call.kwargs or not _floats(call):
        return False
    reader, *others = program.readers.get(call.out, [None])
    once = reader is not None and all(other is reader for other in others)
    return once and _constant_times(reader)[1] is call.out


def _floats(call):
    dtype = call.out.dtype
    return call.out.is_array and dtype.kind == "f" and all([v.dtype is dtype for v in call.inputs()])


def _scale(args):
    for c, x in (args, args[::-1]):
        if type(x) is Var and x.is_array and type(c) is not Var and np.ndim(c) == 0:
            return c, x
    return None, None


def rates(program: Program) -> Program:
    """With a factor η that ends on all of a value's uses (η δ, η δᵀa, η Σδ) put into the value itself.

    Between the value and the factor stand linear calls only, so the factor is multiplied once, where
    it is smallest: the learning rate into the last layer's δ, say.
    """
    ends = {call: _ends(call) for call in program.calls if call.function is np.multiply}
    return _with_rates(program, _factors(program, ends), ends) if any(ends.values()) else program


def _factors(program, ends):
    """Var -> the scalar that all its uses are multiplied by in the end."""
    made = {call.out: n for n, call in enumerate(program.calls)}
    factor: dict[Var, Any] = {}
    barred, n = set(program.outputs()), len(program.calls)
    while n:
        n -= 1
        v, uses = program.calls[n].out, program.readers.get(program.calls[n].out)
        if v in barred or not uses or program.calls[n].several:
            continue
        rate = _rate(uses[0], v, factor, ends)
        alike = all([_rate(use, v, factor, ends) is rate for use in uses])
        if rate is None or not alike or made.get(rate, -1) > n:
            continue
        newer = next((w for use in uses for w in use.inputs() if w in factor), None)
        if newer is None:
            factor[v] = rate
            continue
        barred.add(newer)  # of two factors of a product one takes it, the older
        n = made[newer]
        factor = {w: known for w, known in factor.items() if made[w] > n}
    return factor


def _rate(use, v, factor, ends):
    """The scalar that `use` multiplies v by, itself or later; None if there is none."""
    if use in ends and v in ends[use]:
        return ends[use][v]
    if use.out not in factor or use.inputs().count(v) != 1:
        return None
    return factor[use.out] if _linear(use, v) else None


def _ends(call):
    """v -> η of a product η v."""
    pairs = (call.args, call.args[::-1])
    found = {v: one for v, one in pairs if type(one) is type(v) is Var and one.shape == () and v.shape}
    return found if found and not call.kwargs and _floats(call) else {}


def _linear(use, v):
    """Is the call linear in v, whatever else it takes?"""
    over = use.function is np.true_divide and use.args[0] is v
    if over or use.function in (np.dot, np.matmul, np.multiply):
        return _floats(use) and not use.kwargs
    return use.function in (np.transpose, np.reshape, np.sum, np.negative) and v in use.args and _floats(use)


def _with_rates(program, factor, ends):
    calls: list[Call] = []
    new: dict[Var, Any] = {}
    for call in program.calls:
        carried = [v for v in call.inputs() if v in factor]
        if not carried and call.out not in factor:
            calls.append(call.replaced(new) if new else call)
            continue
        carriers = [v for v in carried if call in ends and ends[call].get(v) is factor[v]]
        if carriers:  # the factor is in already
            new[call.out] = new.get(carriers[0], carriers[0])
            continue
        calls.append(call.replaced(new))
        v = call.out
        if v in factor and not any(factor[u] is factor[v] and _linear(call, u) for u in carried):
            scaled = new_var(v)
            calls.append(Call(np.multiply, (factor[v], v), {}, (scaled,)))
            new[v] = scaled
    return dead_code(renamed(program.of(calls), new))


def masks(program: Program) -> Program:
    """With products of floats and truth values as products of floats, which NumPy has quick loops for."""
    floats: dict[Var, Var] = {}

    def rule(call):
        truth = [v for v in call.inputs() if v.dtype.kind == "b" and v.is_array]
        floats_out = call.out.is_array and call.out.dtype.kind == "f"
        if not floats_out or len(truth) != 1 or len(call.args) != 2 or call.kwargs:
            return call
        (v,) = truth
        if v in floats:
            return call.replaced(floats) if floats[v].dtype == call.out.dtype else call
        floats[v] = new_var(call.out, v.shape)
        converted = Call(np.ndarray.astype, (v,), {"dtype": call.out.dtype}, (floats[v],))
        return [converted, call.replaced(floats)], None

    return rewritten(program, rule, {np.multiply})


def biases(program: Program) -> Program:
    """With a vector on each row of a small matrix made by a product with ones: NumPy's broadcasting costs more."""

    def rule(call):
        z, b = _matrix_and_row(call)
        if z is None:
            return call
        row, rows = new_var(b, (1, *b.shape)), new_var(z, z.shape)
        flat = Call(np.reshape, (b, row.shape), {}, (row,))
        product = Call(np.dot, (np.ones((z.shape[0], 1), z.dtype), row), {}, (rows,))
        return [flat, product, Call(np.add, (z, rows), {}, call.outs)], None

    return rewritten(program, rule, {np.add})


def _matrix_and_row(call):
    """(z, b) of z + b, if b is broadcast over the rows of a small z; else (None, None)."""
    if len(call.inputs()) == 2 and not call.kwargs and _floats(call):
        for z, b in (call.args, call.args[::-1]):
            small = len(z.shape) == 2 and z.shape[0] > 1 and 0 < math.prod(z.shape) <= SMALL
            if small and b.shape == z.shape[1:] and b.is_array:
                return z, b
    return None, None


def signs(program: Program) -> Program:
    """With −(z + c b), c a constant, as (−c) b − z: the same to the last bit, and a call less."""
    uses = program.readers
    made = {call.out: n for n, call in enumerate(program.calls) if not call.several}
    calls = list(program.calls)
    for n, call in enumerate(calls):
        total = made.get(call.args[0]) if call.function is np.negative and type(call.args[0]) is Var else None
        if total is None or calls[total].function is not np.add or not _floats(call):
            continue
        z, rows = calls[total].args
        once = type(rows) is Var and len(uses[rows]) == len(uses[call.args[0]]) == 1
        product = made.get(rows, n) if once else n
        if calls[product].function is np.dot and isinstance(calls[product].args[0], np.ndarray):
            c, b = calls[product].args
            calls[product] = Call(np.dot, (-c, b), {}, (rows,))
            calls[n] = Call(np.subtract, (rows, z), {}, call.outs)
    return dead_code(program.of(calls))


def updates(program: Program) -> Program:
    """With a product that is taken from a large parameter, w − a b, as one call, if a and b are not changed."""
    made, found, products = program.made, dict[Call, Call](), set[Call]()
    changed = {id(program.state[place]) for place, _ in program.writes if type(place) is int}
    for place, v in program.writes:
        call: Any = made.get(v)
        if type(place) is not int or call is None or call.function is not np.subtract or not _floats(call):
            continue
        w, change = call.args
        product = made.get(change) if type(change) is Var and len(program.readers[change]) == 1 else None
        alone = w is program.state[place] and len(program.readers[v]) == 1
        alike = alone and w.shape == change.shape and math.prod(w.shape) >= LARGE
        if product is None or not alike or not is_product(product) or not gemm(w.dtype.char):
            continue
        factors = [a for a in product.args if len(a.shape) == 2 and id(seen_by(a, made)) not in changed]
        if len(factors) == 2 and 0 not in factors[0].shape:
            found[call] = Call(subtract_product, (w, *factors), {}, call.outs)
            products.add(product)
    calls = [found.get(call, call) for call in program.calls if call not in products]
    return program.of(calls) if found else program


PASSES = (
    finite, inlined, dead_code, folded, common, straight, transposes, straight, scaled, products, relus, masks, rates,
    biases, signs, scalars, updates,
)  # fmt: skip


def optimized(program: Program, passes=PASSES) -> Program:
    """The program after the passes, one by one."""
    for one in passes:
        program = one(program)
    return program
