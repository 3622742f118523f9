"""Every registered function, by its row in `domains.py`: values, derivatives, shapes, layouts, dtypes.

All arrays that go in are read-only, cotangents too. `pytest -k tanh` runs all there is on tanh.
"""

import functools
import gc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import tinygrad_bp as bp
from tinygrad_bp import tree
from tinygrad_bp.ops.batch import Batch
from tinygrad_bp.primitive import REGISTRY, Composite, Nondifferentiable, Op, Primitive

from .conftest import digits
from .domains import CONSTANT, OPS, Array

MISSING = "no row in tests/ops/domains.py: every declared function needs one"


def is_ours(f):
    """Is f one of NumPy's functions or of this package's, not one that a test has declared?"""
    if not isinstance(f, Primitive):
        return True
    module = getattr(f.__wrapped__, "__module__", "numpy")  # a ufunc of NumPy 2.0 has none
    return module.startswith("tinygrad_bp.")


def name(f):
    return f.__name__


def every(*kinds, that=lambda f: True):
    functions = [f for f, entry in REGISTRY.items() if isinstance(entry, kinds) and is_ours(f) and that(f)]
    return pytest.mark.parametrize("f", functions, ids=name)


def broadcasts(f):
    """Does f broadcast several arrays to the shape of its one result?"""
    if f in OPS and (OPS[f].call or not any(isinstance(x, Array) for x in OPS[f].cases[0].operands[1:])):
        return False
    return REGISTRY[f].broadcasts == "elementwise" and len(REGISTRY[f].rules) > 1


def takes_complex(f):
    row = OPS.get(f) or CONSTANT.get(f)
    if row is None or row.complex is not None or not isinstance(f, np.ufunc):
        return row is None or row.complex is not False
    return any("D" in signature.partition("->")[0] for signature in f.types)


EVERY_OP, EVERY_CONSTANT = every(Op, Composite), every(Nondifferentiable)


def row_of(f, table=OPS):
    assert f in table, f"{name(f)}: {MISSING}"
    return table[f]


def drawn(f, dtype, table=OPS):
    """(what to call, operands, keywords) for each case of f, always the same ones, all read-only."""
    row = row_of(f, table)
    rng = np.random.default_rng(zlib.crc32(name(f).encode()))
    for case in row.cases:
        yield row.call or f, [frozen(operand) for operand in case.draw(rng, dtype)], case.keywords


def frozen(operand):
    if isinstance(operand, (list, tuple)):
        return type(operand)(map(frozen, operand))
    if isinstance(operand, np.ndarray):
        operand.flags.writeable = False
    return operand


def dtypes(f):
    row = OPS.get(f) or CONSTANT.get(f)
    half = [np.float16] if row is None or row.half else []
    return [*half, np.float32, np.float64, *([np.complex64, np.complex128] if takes_complex(f) else [])]


def is_variable(x):
    return isinstance(x, np.ndarray) and x.dtype.kind in "fc"


def split(operands):
    """(the floating arrays among the operands, a function that puts others in their places)."""
    flat, rebuild = tree.flatten(operands)
    chosen = [i for i, x in enumerate(flat) if is_variable(x)]

    def put(values):
        new = list(flat)
        for i, value in zip(chosen, values):
            new[i] = value
        return rebuild(new)

    return [flat[i] for i in chosen], put


def of_variables(call, operands, keywords):
    """(f as a function of its floating arrays alone, these arrays)."""
    variables, put = split(operands)
    return (lambda *xs: call(*put(xs), **keywords)), variables


def with_one(fun, variables, i, x):
    """fun at the variables, the i-th of which is x."""
    return fun(*variables[:i], x, *variables[i + 1 :])


def cotangent(y, rng):
    """A random cotangent like y, which may be several arrays, that nobody may write to."""
    return tree.map(lambda part: _cotangent(part, rng), y)


def _cotangent(y, rng):
    g = rng.uniform(0.5, 1.5, np.shape(y)) * rng.choice([-1.0, 1.0], np.shape(y))
    if y.dtype.kind == "c":
        g = g + 1j * rng.uniform(0.5, 1.5, np.shape(y))
    return frozen(np.asarray(g, y.dtype))


def numpys(f, call):
    """What the value is held against: NumPy's function, or the bare function under a primitive."""
    return f.__wrapped__ if isinstance(f, Primitive) and call is f else call


def same_bits(a, b):
    """Are a and b, arrays or containers of arrays, alike to the last bit?"""
    a, b = tree.leaves(a), tree.leaves(b)
    return len(a) == len(b) and all(map(_same_bits, a, b))


def _same_bits(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def layouts(x):
    """The same arrays in other memory layouts: columns first, backwards, every other element."""
    return [tree.map(lambda part, i=i: _layouts(part)[i], x) for i in range(3)]


def _layouts(x):
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]) if x.ndim else (2,), x.dtype)
    every_other = wide[..., ::2] if x.ndim else wide[0:1].reshape(())
    every_other[...] = x
    backwards = x[(slice(None, None, -1),) * x.ndim].copy()[(slice(None, None, -1),) * x.ndim]
    return [frozen(np.asfortranarray(x).reshape(x.shape, order="A")), frozen(backwards), frozen(every_other)]


@EVERY_OP
def test_value(f):
    """Bit for bit NumPy's, of NumPy's dtype and kind, for every dtype, recorded or not."""
    for dtype in dtypes(f):
        for call, operands, keywords in drawn(f, dtype):
            expected = numpys(f, call)(*operands, **keywords)
            fun, variables = of_variables(call, operands, keywords)
            for recorded in (True, False):
                y = fun(*[bp.Tensor(x, requires_grad=recorded) for x in variables])
                for part, wanted in zip(tree.leaves(y), tree.leaves(expected), strict=True):
                    assert type(part) is bp.Tensor
                    constant = f == np.floor_divide.reduce or (f is np.sign and dtype(0).dtype.kind != "c")
                    assert part.requires_grad == (recorded and not constant)
                    assert same_bits(part.data, wanted), (operands, keywords)
                    assert type(part.data) is type(wanted), (operands, keywords)


@EVERY_OP
def test_derivatives(f):
    """VJPs against differences and JVPs against VJPs, at orders 1 and 2."""
    for call, operands, keywords in drawn(f, np.float64):
        check(call, operands, keywords, 2)


@every(Op, Composite, that=takes_complex)
def test_derivatives_in_complex_numbers(f):
    """The same for ∂/∂x − i ∂/∂y; at order 2 for the first few cases."""
    for i, (call, operands, keywords) in enumerate(drawn(f, np.complex128)):
        check(call, operands, keywords, 2 if i < 4 else 1)


def check(call, operands, keywords, order):
    fun, variables = of_variables(call, operands, keywords)
    report = bp.gradcheck(fun, *variables, order=order, raise_exception=False)
    assert report, f"{report}\n{operands} {keywords}"


@EVERY_OP
def test_third_derivatives(f):
    call, operands, keywords = next(iter(drawn(f, np.float64)))
    fun, variables = of_variables(call, operands, keywords)
    assert bp.gradcheck(fun, *variables, order=3, rtol=1e-5)


@EVERY_OP
def test_each_argument_alone(f):
    """What is kept depends on which arguments want gradients; the gradients do not."""
    rng = np.random.default_rng(1)
    for call, operands, keywords in drawn(f, np.float64):
        fun, variables = of_variables(call, operands, keywords)
        y, pullback = bp.vjp(fun, *variables)
        g = cotangent(y, rng)
        together = pullback(g)
        for i, x in enumerate(variables):
            at = functools.partial(with_one, fun, variables, i)
            np.testing.assert_array_equal(bp.vjp(at, x)[1](g)[0], together[i])


@EVERY_OP
def test_many_cotangents_at_once(f):
    """A pullback of a Batch gives what it gives for each of its arrays."""
    rng = np.random.default_rng(4)
    for call, operands, keywords in drawn(f, np.float64):
        fun, variables = of_variables(call, operands, keywords)
        y, pullback = bp.vjp(fun, *variables)
        gs = [cotangent(y, rng) for _ in range(3)]
        together = pullback(tree.map(lambda *parts: Batch(np.stack(parts), "axis"), *gs))
        for found, *wanted in zip(together, *map(pullback, gs)):
            found = found.arrays if isinstance(found, Batch) else [found] * 3
            np.testing.assert_allclose(found, np.stack(wanted), rtol=1e-11, atol=1e-13)


@EVERY_OP
def test_scalars_and_zero_dimensional_arrays(f):
    """NumPy scalars are as good as arrays without axes; gradients are of the argument's kind."""
    for call, operands, keywords in drawn(f, np.float64):
        fun, variables = of_variables(call, operands, keywords)
        if not variables or any(x.shape for x in variables):
            continue
        y, pullback = bp.vjp(fun, *variables)
        scalar_y, scalar_pullback = bp.vjp(fun, *[x[()] for x in variables])
        assert same_bits(y, scalar_y)
        gradients, of_scalars = (
            pullback(tree.map(np.ones_like, y)),
            scalar_pullback(tree.map(np.ones_like, y)),
        )
        assert all(same_bits(a, b) for a, b in zip(gradients, of_scalars))
        assert all(type(g) is np.float64 for g in of_scalars)
        assert all(type(g) is np.ndarray for g in gradients)


@EVERY_OP
def test_layouts(f):
    """The memory layout of arguments and cotangent changes nothing."""
    rng = np.random.default_rng(2)
    for call, operands, keywords in drawn(f, np.float64):
        fun, variables = of_variables(call, operands, keywords)
        y, pullback = bp.vjp(fun, *variables)
        g = cotangent(y, rng)
        expected = pullback(g)
        for others, other_g in zip(zip(*map(layouts, variables)), layouts(g)):
            value, other_pullback = bp.vjp(fun, *others)
            assert same_bits(value, call(*split(operands)[1](others), **keywords))
            for found, wanted in zip(other_pullback(other_g), expected):
                np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-14)


@EVERY_OP
def test_a_write_into_a_result_is_one_into_the_argument_as_in_numpy(f):
    """What is a view of an argument in NumPy is one here, and is known as one; what is none is none."""
    for call, operands, keywords in drawn(f, np.float64):
        variables, put = split(operands)
        arrays = [x.copy() for x in variables]
        leaves = [bp.Tensor(x, requires_grad=True) for x in variables]
        tensors = [np.copy(leaf) for leaf in leaves]
        results = tree.leaves(call(*put(arrays), **keywords)), tree.leaves(call(*put(tensors), **keywords))
        for expected, found in zip(*results):
            if type(expected) is np.ndarray and expected.flags.writeable:
                expected[...] = found[...] = 77.0
        for a, x, leaf, t in zip(arrays, variables, leaves, tensors):
            np.testing.assert_array_equal(t.detach().data, a)
            np.sum(t).backward(retain_graph=True)
            np.testing.assert_array_equal(leaf.grad, np.equal(a, x))


TOLERANCE = {np.float16: 2e-2, np.float32: 2e-5, np.complex64: 2e-5, np.float64: 0, np.complex128: 0}


@EVERY_OP
def test_dtypes_are_kept(f, exact_dtypes):
    """No rule computes in more digits than its argument has, nor in fewer, at order 1 or 2."""
    rng = np.random.default_rng(3)
    for dtype in dtypes(f):
        for call, operands, keywords in drawn(f, dtype):
            fun, variables = of_variables(call, operands, keywords)
            y, pullback = bp.vjp(fun, *variables)
            if any(digits(part.dtype) > digits(dtype) for part in tree.leaves(y)):
                continue  # the call itself widens: astype, dot with a Python number
            g = cotangent(y, rng)
            gradients = pullback(g)
            assert [x.dtype for x in gradients] == [dtype] * len(variables)
            wide = [x.astype(np.result_type(dtype, np.float64)) for x in variables]
            for found, wanted in zip(gradients, bp.vjp(fun, *wide)[1](g)):
                np.testing.assert_allclose(found, wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
            again, second = bp.vjp(lambda *xs, fun=fun, g=g: bp.vjp(fun, *xs)[1](g), *variables)
            assert [x.dtype for x in again] == [dtype] * len(variables)
            assert [x.dtype for x in second(again)] == [dtype] * len(variables)


@every(Op, that=broadcasts)
def test_broadcasting(f):
    """∂ of an argument that was broadcast is the sum of ∂ over its copies."""
    call, _, keywords = next(iter(drawn(f, np.float64)))
    given_operands = row_of(f).cases[0].operands
    domains = [operand for operand in given_operands if isinstance(operand, Array)]
    n_shapes = len(domains) + (f is np.where)

    @given(
        mutually_broadcastable_shapes(num_shapes=n_shapes, max_dims=4, max_side=3, min_side=0),
        st.integers(0, 99),
    )
    def check(shapes, seed):
        rng = np.random.default_rng(seed)
        *shapes, whole = *shapes.input_shapes, shapes.result_shape
        condition = rng.random(shapes.pop(0)) < 0.5 if f is np.where else None

        def of_arrays(*xs):
            """The call with xs in the places of its arrays, the condition of where among the others."""
            xs = iter(xs)
            others = given_operands if condition is None else [condition, *domains]
            return call(*[next(xs) if isinstance(o, Array) else o for o in others], **keywords)

        small = [Array(shape, d.low, d.high).draw(rng, np.float64) for shape, d in zip(shapes, domains)]
        y, pullback = bp.vjp(of_arrays, *small)
        assert y.shape == whole
        g = cotangent(y, rng)
        big = [np.broadcast_to(x, whole) for x in small]
        copies = bp.vjp(of_arrays, *big)[1](g)
        for x, found, copy in zip(small, pullback(g), copies):
            lead = copy.ndim - x.ndim
            axes = tuple(i for i in range(copy.ndim) if i < lead or x.shape[i - lead] == 1)
            np.testing.assert_allclose(found, np.sum(copy, axes).reshape(x.shape), rtol=1e-12, atol=1e-12)

    check()


@given(st.data())
def test_indexing_finds_what_numpy_finds(data):
    """The gradient of Σ g·x[index] counts how often each element was taken."""
    shape = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple))
    x = np.arange(float(np.prod(shape))).reshape(shape)
    index = tuple(data.draw(one_index(length)) for length in shape[: data.draw(st.integers(1, len(shape)))])
    try:
        expected = x[index]
    except IndexError:  # index arrays that do not broadcast
        return
    y, pullback = bp.vjp(lambda x: x[index], x)
    assert same_bits(y, expected)
    g = np.arange(1.0, np.size(y) + 1).reshape(np.shape(y))
    counted = np.bincount(
        np.ravel(np.arange(x.size).reshape(shape)[index]), weights=np.ravel(g), minlength=x.size
    )
    np.testing.assert_allclose(pullback(g)[0], counted[: x.size].reshape(shape))


def one_index(length):
    slices = st.slices(length)
    if not length:
        return slices
    integers = st.integers(-length, length - 1)
    arrays = st.lists(integers, min_size=0, max_size=3).map(lambda i: np.array(i, int))
    masks = st.lists(st.booleans(), min_size=length, max_size=length).map(np.array)
    return st.one_of(slices, integers, arrays, masks)


@EVERY_CONSTANT
def test_locally_constant(f):
    """Plain arrays come out, equal to NumPy's, and no gradient is made up."""
    for dtype in (np.float32, np.float64, *([np.complex128] if takes_complex(f) else [])):
        for call, operands, keywords in drawn(f, dtype, CONSTANT):
            expected = numpys(f, call)(*operands, **keywords)
            variables, put = split(operands)
            y = call(*put([bp.Tensor(x, requires_grad=True) for x in variables]), **keywords)
            assert type(y) is type(expected)
            for part, wanted in zip(*([y], [expected]) if not isinstance(y, tuple) else (y, expected)):
                assert type(part) is type(wanted)
                np.testing.assert_array_equal(part, wanted)


def test_no_call_leaves_anything_to_the_collector():
    """No function makes reference cycles, forward or backward, so that memory never waits to be found."""

    def run(f):
        call, operands, keywords = next(iter(drawn(f, np.float64)))
        fun, variables = of_variables(call, operands, keywords)
        y, pullback = bp.vjp(fun, *variables)
        pullback(tree.map(np.ones_like, y))

    functions = [f for f, entry in REGISTRY.items() if isinstance(entry, (Op, Composite)) and is_ours(f)]
    for f in functions:  # what is made once, is made
        run(f)
    gc.collect()
    gc.disable()
    try:
        for f in functions:
            run(f)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_every_row_is_of_a_registered_function():
    assert {*OPS, *CONSTANT} <= REGISTRY.keys()


def test_a_composites_function_computes_the_same():
    """The derivative of another function would be worth nothing."""
    composites = [f for f, entry in REGISTRY.items() if isinstance(entry, Composite) and is_ours(f)]
    assert composites
    for f in composites:
        for dtype in (np.float64, np.complex128) if takes_complex(f) else (np.float64,):
            for call, operands, keywords in drawn(f, dtype):
                if call is not f:  # a row that spells its call itself
                    continue
                expected = tree.leaves(f(*operands, **keywords))
                for part, wanted in zip(
                    tree.leaves(REGISTRY[f].f(*operands, **keywords)), expected, strict=True
                ):
                    np.testing.assert_allclose(part, wanted, rtol=1e-14)


@pytest.mark.parametrize("f", [np.sum, np.sign, np.matmul, np.einsum], ids=name)
def test_a_function_without_a_rule_says_so(f):
    x, ones = bp.Tensor([1.0, 2.0], requires_grad=True), np.ones(2)
    operands = {np.einsum: ("i,i->", x, ones), np.matmul: (x, ones)}.get(f)
    REGISTRY.pop(f, None)  # as if nobody had declared it
    with pytest.raises(bp.NotDifferentiable, match=f"{name(f)} has no derivative rule yet.*bp.defvjp"):
        f(*operands or (x,))
