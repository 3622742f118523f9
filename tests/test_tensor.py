"""Tensor: made from anything that NumPy takes, gives NumPy's values, and loses no gradient without a word."""

import copy
import io
import math
import operator
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp

X = np.array([1.0, 2.0])


def leaf(x, **kwargs):
    return bp.Tensor(np.array(x, float), requires_grad=True, **kwargs)


def whole_story(error):
    """The messages of an exception and of all that it came from."""
    told = []
    while error is not None:
        told.append(str(error))
        error = error.__cause__ or error.__context__
    return " | ".join(told)


# ---- making one ------------------------------------------------------------------------------------------


def test_tensor_shares_memory_and_tensor_function_copies():
    a = X.copy()
    assert bp.Tensor(a).data is a
    assert not np.shares_memory(bp.tensor(a).data, a)
    assert np.shares_memory(bp.Tensor(bp.Tensor(a)).data, a)
    assert not np.shares_memory(bp.tensor(bp.Tensor(a)).data, a)


@pytest.mark.parametrize("make", [bp.Tensor, bp.tensor])
def test_what_a_tensor_is_made_from(make):
    t = make([[1, 2], [3, 4]], requires_grad=True, dtype=np.float32, name="weights")
    assert (t.shape, t.dtype, t.ndim, t.size) == ((2, 2), np.float32, 2, 4)
    assert t.name == "weights"
    assert t.requires_grad
    assert t.grad is None
    assert not make(X).requires_grad
    assert make(3).dtype == np.array(3).dtype
    assert make(True).dtype == bool
    assert make([1.0, 2j]).dtype == np.complex128


@pytest.mark.parametrize("make", [bp.Tensor, bp.tensor])
def test_what_no_tensor_is_made_from(make):
    for data in ("text", [None], object()):
        with pytest.raises(TypeError, match="a Tensor holds numbers"):
            make(data)
    with pytest.raises(ValueError, match="inhomogeneous"):
        make([[1.0], [1.0, 2.0]])
    for data in ([1, 2], True):
        with pytest.raises(TypeError, match="only floating and complex Tensors can require gradients"):
            make(data, requires_grad=True)
    for data in (leaf(X), leaf(X) * 2):
        with pytest.raises(TypeError, match="was given a Tensor that records"):
            make(data)
    with pytest.raises(TypeError, match=r"np\.stack"):
        make([leaf(1.0), leaf(2.0)])


def test_under_no_grad_a_tensor_is_made_from_any():
    x = leaf(X)
    with bp.no_grad():
        t = bp.Tensor(x)
    assert np.shares_memory(t.data, x.data)
    assert not t.requires_grad


def test_it_cannot_be_subclassed():
    with pytest.raises(TypeError, match="cannot be subclassed"):
        type("Parameter", (bp.Tensor,), {})


def test_requires_grad_can_be_switched_on_a_leaf_only():
    t = bp.Tensor(X)
    t.requires_grad = True
    np.sum(t * t).backward()
    np.testing.assert_array_equal(t.grad, 2 * X)
    t.requires_grad = False
    assert t.grad is None
    assert not (t * 2).requires_grad
    with pytest.raises(TypeError, match="only be set on a leaf"):
        (leaf(X) * 2).requires_grad = False


# ---- NumPy's values --------------------------------------------------------------------------------------

BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod, operator.floordiv,
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
]  # fmt: skip
OPERANDS = [
    2, 2.5, True, np.float32(1.5), np.float64(1.5), np.int64(3), np.array(1.5, np.float32), np.array(2),
    np.array([1.5, 2.5], np.float32), np.array([1.5, 2.5]), np.array([[3], [2]]), np.array([[1.5], [2.5]]),
]  # fmt: skip


def same(ours, numpys):
    """The same bits, dtype and kind (array or scalar)."""
    ours = ours.data if isinstance(ours, bp.Tensor) else ours
    assert type(ours) is type(numpys)
    assert ours.dtype == numpys.dtype
    np.testing.assert_array_equal(ours, numpys, strict=True)


@given(
    st.sampled_from(BINARY), st.sampled_from(OPERANDS), st.sampled_from(OPERANDS[3:]), st.booleans(), st.booleans()
)  # fmt: skip
def test_operators_give_numpys_results_bit_for_bit(op, a, b, recorded, both):
    recorded = recorded and b.dtype.kind == "f"
    t = bp.Tensor(b, requires_grad=recorded)
    b = t.data  # an array: a Tensor holds no NumPy scalars that it was not given by NumPy
    a_ = bp.Tensor(a) if both and isinstance(a, (np.ndarray, np.generic)) else a
    a = a_.data if a_ is not a else a
    same(op(a_, t), op(a, b))
    same(op(t, a_), op(b, a))


@given(st.sampled_from([operator.neg, operator.pos, abs]), st.sampled_from(OPERANDS[3:]))
def test_unary_operators(op, a):
    a = np.asarray(a)
    same(op(bp.Tensor(a, requires_grad=a.dtype.kind == "f")), op(a))


def test_matrix_products():
    a, b = np.arange(6.0).reshape(2, 3), np.arange(3.0)
    for x, y in ((a, b), (a, a.T), (b, b), (b, a.T), (np.ones((4, 2, 3)), a.T)):
        same(leaf(x) @ y, x @ y)
        same(x @ leaf(y), x @ y)
        same(leaf(x) @ leaf(y), x @ y)


def test_python_scalars_stay_weak():
    t = bp.Tensor(np.ones(2, np.float32), requires_grad=True)
    for y in (
        t * 2.0,
        2 * t,
        t + 1,
        1.0 - t,
        t / 3,
        3.0 / t,
        t**2,
        2.0**t,
        np.maximum(t, 0.5),
        np.arctan2(1.0, t),
    ):
        assert y.dtype == np.float32
    np.sum(2.0**t / 3).backward()
    assert t.grad.dtype == np.float32


def test_zero_dimensional_results_are_numpy_scalars():
    x = leaf(X)
    assert type(np.sum(x).data) is np.float64
    assert type((x[0] * 2).data) is np.float64
    assert type((bp.Tensor(2.0) * 3).data) is np.float64


def test_a_sum_of_scalars_rebinds_as_in_numpy():
    x = leaf(X)
    loss = 0.0
    for _ in range(2):
        loss += np.sum(x)
        first = loss
        loss += np.sum(x * x)
        assert loss is not first
    loss -= 1.0
    loss *= 2.0
    assert loss.item() == 2 * (2 * (3 + 5) - 1)
    loss.backward()
    np.testing.assert_array_equal(x.grad, 2 * 2 * (1 + 2 * X))


def test_logical_operators_of_constants():
    t = bp.Tensor([True, False])
    both = np.array([True, True])
    for op in (operator.and_, operator.or_, operator.xor):
        np.testing.assert_array_equal(op(t, both), op(t.data, both))
        np.testing.assert_array_equal(op(both, t), op(both, t.data))
        np.testing.assert_array_equal(op(True, t), op(True, t.data))
    np.testing.assert_array_equal(~t, [False, True])


def test_comparisons_are_plain():
    x = leaf(X)
    for y in (x > 1, x == x, x != [1.0, 3.0], x >= leaf(X), x < np.array(2.0), x == None):  # noqa: E711
        assert type(y) is np.ndarray
        assert y.dtype == bool


def test_results_without_floats_are_plain():
    x = leaf(X)
    assert type(x.astype(int)) is np.ndarray
    assert type(x // 2) is np.ndarray
    assert type(np.argmax(x)) is np.int64
    assert type(np.isnan(x)) is np.ndarray


# ---- as a Python object ----------------------------------------------------------------------------------


def test_it_is_hashable_by_identity():
    a, b = leaf(X), leaf(X)
    assert {a: "a", b: "b"}[b] == "b"
    assert len({a, b, a}) == 2


def test_length_iteration_and_membership():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2
    first, second = x
    np.sum(first * second).backward()
    np.testing.assert_array_equal(x.grad, [[3.0, 4.0], [1.0, 2.0]])
    assert 4.0 in x
    assert 5.0 not in x
    for ask in (len, iter):
        with pytest.raises(TypeError, match="without axes"):
            ask(leaf(1.0))


def test_truth():
    assert bool(leaf(2.0))
    assert not leaf([0.0])
    with pytest.raises(ValueError, match="ambiguous"):
        bool(leaf(X))
    assert max(leaf(1.0), leaf(2.0)).item() == 2.0


def test_repr_shows_values_shape_and_op():
    assert repr(bp.Tensor(X)) == "Tensor([1., 2.], shape=(2,))"
    assert repr(leaf(X, name="w")) == "Tensor([1., 2.], shape=(2,), requires_grad=True, name='w')"
    assert repr(leaf(2.0) * 3) == "Tensor(6., shape=(), op=multiply)"
    assert repr(bp.Tensor(np.ones(1, np.float32))) == "Tensor([1.], shape=(1,), dtype=float32)"
    assert f"{leaf(2.0):.3f}" == "2.000"
    assert f"{leaf(X)}" == repr(leaf(X))
    with bp.no_grad():
        assert "shape=(2,)" in repr(leaf(X) * 2)


def test_repr_within_transforms():
    seen = []
    bp.grad(lambda x: bp.grad(lambda y: (seen.append(repr(y * x)), y * x)[1])(x))(2.0)
    assert seen == ["Tensor(4., shape=(), op=multiply)"]


def test_leaves_are_copied_and_pickled():
    x = leaf(X, name="w")
    for copied in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert (copied.name, copied.requires_grad, copied.grad) == ("w", True, None)
        assert not np.shares_memory(copied.data, x.data)
        np.testing.assert_array_equal(copied.data, X)
    assert not np.shares_memory(copy.copy(x).data, x.data), "as NumPy does"
    assert not copy.deepcopy(bp.Tensor(X)).requires_grad


def test_only_leaves_are_copied():
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=r"t\.detach\(\)"):
            copied(leaf(X) * 2)
    with pytest.raises(TypeError, match=r"t\.copy\(\) for a copy that records"):
        bp.grad(lambda x: np.sum(copy.deepcopy(x) ** 2))(X)
    np.testing.assert_array_equal(bp.grad(lambda x: np.sum(x.copy() ** 2))(X), 2 * X)


def test_no_attributes_of_ones_own():
    x = leaf(X)
    with pytest.raises(AttributeError):
        x.gard = None
    with pytest.raises(AttributeError):
        x.gard  # noqa: B018


# ---- data and .grad --------------------------------------------------------------------------------------


def test_data_can_be_replaced_and_written_through():
    x, a = leaf(X), np.array([5.0, 6.0])
    x.data = a
    assert x.data is a
    x.data[...] = 7.0
    np.sum(x * x).backward()
    np.testing.assert_array_equal(x.grad, [14.0, 14.0])


def test_new_data_of_another_shape_or_dtype_forget_the_gradient():
    x = leaf([1.0])
    np.sum(x).backward()
    x.data = np.array([2.0])
    np.testing.assert_array_equal(x.grad, [1.0])
    x.data = np.zeros(3)
    assert x.grad is None
    np.sum(x * 2).backward()
    np.testing.assert_array_equal(x.grad, [2.0, 2.0, 2.0])
    x.data = np.zeros(3, np.float32)
    assert x.grad is None
    np.sum(x * 2).backward()
    assert x.grad.dtype == np.float32


def test_data_that_cannot_be_a_leafs():
    with pytest.raises(TypeError, match="only floating and complex"):
        leaf(X).data = [1, 2]
    with pytest.raises(TypeError, match="only a leaf's data can be replaced"):
        (leaf(X) * 2).data = X
    with pytest.raises(TypeError, match="data cannot be a Tensor that records"):
        leaf(X).data = leaf(X) * 2
    x = leaf(X)
    with bp.no_grad():
        x.data = x - 1
    np.testing.assert_array_equal(x.data, X - 1)
    assert type(x.data) is np.ndarray


def test_grad_can_be_set_and_forgotten():
    x, g = leaf(X), np.array([3.0, 4.0])
    x.grad = g
    assert not np.shares_memory(x.grad, g)
    np.sum(x).backward()
    np.testing.assert_array_equal(x.grad, [4.0, 5.0])
    x.grad = None
    assert x.grad is None
    x.grad = bp.Tensor([1, 2])
    assert type(x.grad) is np.ndarray
    assert x.grad.dtype == np.float64
    x.zero_grad()
    assert x.grad is None
    with pytest.raises(ValueError, match=r"expected \(2,\), got \(3,\)"):
        x.grad = np.ones(3)
    with pytest.raises(TypeError, match="requires grad"):
        bp.Tensor(X).grad = X
    assert bp.Tensor(X).grad is None


def test_the_grad_of_an_intermediate():
    x = leaf(X)
    y = x * 3
    with pytest.raises(RuntimeError, match="retain_grad"):
        y.grad  # noqa: B018
    assert y.retain_grad() is y
    assert y.grad is None
    np.sum(y * y).backward()
    np.testing.assert_array_equal(y.grad, 2 * 3 * X)
    np.testing.assert_array_equal(x.grad, 3 * 2 * 3 * X)
    y.zero_grad()
    assert y.grad is None
    with pytest.raises(TypeError, match="records nothing"):
        bp.Tensor(X).retain_grad()
    assert x.retain_grad().grad is not None


# ---- ways out --------------------------------------------------------------------------------------------


def test_item_numpy_data_and_detach():
    x = leaf(X)
    y = x * 2
    assert np.sum(y).item() == 6.0
    assert type(np.sum(y).item()) is float
    assert np.shares_memory(y.numpy(), y.data)
    assert type(np.sum(y).numpy()) is np.ndarray
    assert np.shares_memory(x.detach().data, x.data)
    assert not x.detach().requires_grad


def test_detach_cuts_all_levels_and_data_peels_one():
    def detached(x):
        return bp.grad(lambda y: y * x.detach())(x) + x

    def inner_detached(x):
        return bp.grad(lambda y: y.detach() * x * y)(x)

    def peeled(x):
        return bp.grad(lambda y: y * y.data)(x)

    assert bp.grad(detached)(3.0) == 1.0
    assert bp.grad(inner_detached)(3.0) == 3.0, "d/dx (3 x), where 3 is y without its past"
    assert bp.grad(peeled)(3.0) == 1.0, "y.data is x, which the outer derivative sees"


WAYS_TO_LOSE_A_GRADIENT = {
    "nd[0] = t": lambda t, s, nd: nd.__setitem__(0, s),
    "nd[:] = t": lambda t, s, nd: nd.__setitem__(slice(None), t),
    "nd.fill(t)": lambda t, s, nd: nd.fill(s),
    "nd.put": lambda t, s, nd: nd.put([0], s),
    "nd.flat = t": lambda t, s, nd: setattr(nd, "flat", t),
    "nd.dot": lambda t, s, nd: nd.dot(t),
    "np.float64(t)": lambda t, s, nd: np.float64(s),
    "np.float64([t])": lambda t, s, nd: np.float64(t),
    "np.float32(t)": lambda t, s, nd: np.float32(s),
    "np.int64(t)": lambda t, s, nd: np.int64(s),
    "np.complex128(t)": lambda t, s, nd: np.complex128(s),
    "math.sin": lambda t, s, nd: math.sin(s),
    "math.floor": lambda t, s, nd: math.floor(s),
    "math.fsum": lambda t, s, nd: math.fsum(t),
    "float": lambda t, s, nd: float(s),
    "int": lambda t, s, nd: int(s),
    "complex": lambda t, s, nd: complex(s),
    "%f": lambda t, s, nd: "%f" % s,  # noqa: UP031
    "np.array(t)": lambda t, s, nd: np.array(t),
    "np.array([t, t])": lambda t, s, nd: np.array([t, t]),
    "np.array([[t, 1]])": lambda t, s, nd: np.array([[s, 1.0], [2.0, s]]),
    "np.asarray": lambda t, s, nd: np.asarray(t),
    "np.multiply([t, t], 2)": lambda t, s, nd: np.multiply([s, s], 2.0),
    "np.sum([t, t])": lambda t, s, nd: np.sum([s, s]),
    "np.concatenate([t, [t]])": lambda t, s, nd: np.concatenate([t, [s, s]]),
    "np.stack([[t], [t]])": lambda t, s, nd: np.stack([[s, s], [s, s]]),
    "np.where([t, t])": lambda t, s, nd: np.where([True, False], [s, s], 0.0),
    "np.full": lambda t, s, nd: np.full(3, s),
    "np.arange": lambda t, s, nd: np.arange(s),
    "np.fromiter": lambda t, s, nd: np.fromiter(t, float),
    "np.vectorize": lambda t, s, nd: np.vectorize(lambda v: v)(t),
    "np.fill_diagonal": lambda t, s, nd: np.fill_diagonal(np.eye(2), s),
    "rng.normal": lambda t, s, nd: np.random.default_rng(0).normal(t),
    "testing": lambda t, s, nd: np.testing.assert_array_equal(t, nd),
}


@pytest.mark.parametrize("lose", WAYS_TO_LOSE_A_GRADIENT.values(), ids=WAYS_TO_LOSE_A_GRADIENT.keys())
def test_no_gradient_is_lost_in_a_conversion(lose):
    t, s, nd = leaf(X), leaf(2.0), np.zeros(2)
    for t_, s_ in ((t, s), (t * 1.0, s * 1.0)):
        with pytest.raises((TypeError, ValueError)) as error:
            lose(t_, s_, nd)
        told = whole_story(error.value)
        assert "of a Tensor that records" in told
        assert any(way_out in told for way_out in ("t.item()", "t.data", "np.stack"))
    np.testing.assert_array_equal(nd, [0.0, 0.0])


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g", "i4", "i8", "u1", "c8", "c16"])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_one_element_of_a_plain_array_takes_no_value_that_records(dtype, shape):
    t = leaf(np.full(shape, 2.0)) * 2.0
    for nd, index in ((np.zeros(3, dtype), 0), (np.zeros((2, 3), dtype), (0, 1)), (np.zeros((), dtype), ())):
        with pytest.raises((TypeError, ValueError)) as error:
            nd[index] = t
        taught = error.value if isinstance(error.value, TypeError) else error.value.__cause__
        assert type(taught) is TypeError
        assert "a Tensor such as bp.zeros(n) for a buffer" in str(taught)
        assert not np.any(nd)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_numpy_replaces_our_error_in_arrays_of_floats(dtype):
    """Should NumPy let it through one day, docs/in_place.md and docs/decisions.md have less to explain."""
    with pytest.raises(ValueError, match="setting an array element with a sequence") as error:
        np.zeros(3, dtype)[0] = leaf(1.0)
    assert type(error.value.__cause__) is TypeError


def test_an_array_of_objects_takes_the_tensor_itself():
    t, nd = leaf(2.0) * 2.0, np.zeros(2, object)
    nd[0] = t
    assert nd[0] is t


def test_no_gradient_is_lost_in_an_index():
    for use in (range, [1, 2, 3].__getitem__, lambda s: np.zeros(3)[s]):
        with pytest.raises((TypeError, IndexError)):
            use(leaf(1.0))


WRITES_INTO_ARRAYS = {
    "nd += t": lambda t, nd: nd.__iadd__(t),
    "out=": lambda t, nd: np.multiply(t, t, out=nd),
    "sum(out=)": lambda t, nd: np.sum(t, axis=0, out=nd[:1].reshape(())),
    "dot(out=)": lambda t, nd: np.dot(t, t, out=nd[:1].reshape(())),
    "np.add.at": lambda t, nd: np.add.at(nd, [0], t[0]),
    "np.copyto": lambda t, nd: np.copyto(nd, t),
    "np.full_like": lambda t, nd: np.full_like(nd, t[0]),
    "np.put": lambda t, nd: np.put(nd, [0, 1], t),
    "np.place": lambda t, nd: np.place(nd, nd == 0, t),
}


@pytest.mark.parametrize("write", WRITES_INTO_ARRAYS.values(), ids=WRITES_INTO_ARRAYS.keys())
def test_no_gradient_is_lost_in_a_write_into_an_array(write):
    nd = np.zeros(2)
    for t in (leaf(X), leaf(X) * 1.0):
        with pytest.raises(TypeError) as error:
            write(t, nd)
        assert "make the target a Tensor" in str(error.value)
        assert "t.data" in str(error.value)
        np.testing.assert_array_equal(nd, [0.0, 0.0])


def write_item(t, v):
    t[0] = v[0]


def write_all(t, v):
    t[...] = v


def write_list(t, v):
    t[:] = [v[1], 3.0]


def write_by_mask(t, v):
    t[np.array([False, True])] = v[:1]


def add(t, v):
    t += v


def subtract(t, v):
    t -= t * v


def multiply(t, v):
    t *= v


def divide(t, v):
    t /= v + 3


def power(t, v):
    t **= v


def add_at(t, v):
    np.add.at(t, [0, 0], v)


def into(t, v):
    np.multiply(t, v, out=t)


def through_a_view(t, v):
    t[::-1][:1] *= v[0]


WRITES = [
    write_item, write_all, write_list, write_by_mask, add, subtract, multiply, divide, power, add_at, into,
    through_a_view,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES)
def test_a_write_into_a_leaf_is_an_error(write):
    t = leaf(X)
    with pytest.raises(TypeError, match=r"a write into a leaf.*bp\.no_grad\(\).*t = t\.copy\(\)"):
        write(t, np.array([0.5, 1.5]))
    np.testing.assert_array_equal(t.data, X)


@pytest.mark.parametrize("write", WRITES)
def test_a_write_into_a_value_is_recorded(write):
    def written(x, v):
        t = x * 1.0
        same_object, before = t, t * 2
        write(t, v)
        assert t is same_object
        return t * t * before

    values = np.array([1.5, 2.5]), np.array([0.5, 1.5])
    recorded = written(leaf(values[0]), leaf(values[1]))
    np.testing.assert_array_equal(recorded.data, written(*values))
    assert bp.gradcheck(written, *values, order=2)
    assert bp.gradcheck(lambda v: written(bp.Tensor(values[0]), v), values[1], order=2)


# ---- constants go everywhere -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda x: bp.Tensor(np.array(x, float)), lambda x: leaf(x).detach()])
def test_constants_convert_freely(make):
    t, s, nd = make(X), make(2.0), np.zeros(2)
    nd[0] = s
    nd[:] = nd + t
    nd += t
    np.testing.assert_array_equal(nd, [4.0, 4.0])
    nd.fill(s)
    np.multiply(t, t, out=nd)
    np.testing.assert_array_equal(nd, X * X)
    np.add.at(nd, [0, 0], s)
    np.testing.assert_array_equal(nd, [5.0, 4.0])
    np.copyto(nd, t)
    np.testing.assert_array_equal(nd, X)
    assert [float(s), int(s), complex(s), math.sin(s), np.float64(s)] == [2.0, 2, 2 + 0j, math.sin(2.0), 2.0]
    assert [0, 1, 2][bp.Tensor(1)] == 1
    assert list(range(bp.Tensor(2))) == [0, 1]
    assert np.shares_memory(np.asarray(t), t.data)
    assert not np.shares_memory(np.array(t), t.data)
    assert np.asarray(t, np.float32).dtype == np.float32
    np.testing.assert_array_equal(np.array([t, t]), [X, X])
    np.testing.assert_array_equal(np.full(2, s), [2.0, 2.0])
    np.testing.assert_array_equal(np.i0(t), np.i0(X))
    np.save(io.BytesIO(), t)


def test_under_no_grad_all_are_constants():
    t, nd = leaf(X), np.zeros(2)
    with bp.no_grad():
        nd[:] = t
        assert float(t[0]) == 1.0
        nd += t * 2
        np.multiply(t, t, out=nd)
        np.testing.assert_array_equal(np.array([t, t]), [X, X])
        assert not (t * 2).requires_grad
        assert not np.stack([t, t]).requires_grad
    np.testing.assert_array_equal(nd, X * X)
    with pytest.raises(TypeError):
        nd[:] = t


def test_writes_to_constants():
    t = bp.tensor([1.0, 2.0, 3.0])
    same_object = t
    t[0] = 5
    t[1:] = [6, bp.Tensor(7.0)]
    t += 1
    t *= bp.Tensor(2.0)
    assert t is same_object
    np.testing.assert_array_equal(t.data, [12.0, 14.0, 16.0])
    with pytest.raises(ValueError, match="broadcast"):
        t += np.ones((2, 3))
    integers = bp.tensor([1, 2])
    with pytest.raises(TypeError, match="same_kind"):
        integers += 0.5
    shared = np.zeros(3)
    bp.Tensor(shared)[1] = 5
    np.testing.assert_array_equal(shared, [0.0, 5.0, 0.0])


def test_a_parameter_is_trained_in_place_under_no_grad():
    p = leaf(X)
    same_object = p
    for _ in range(3):
        np.sum(p * p).backward()
        with bp.no_grad():
            p -= 0.25 * p.grad
        p.zero_grad()
    assert p is same_object
    assert p.requires_grad
    np.testing.assert_array_equal(p.data, X / 8)
    single = bp.Tensor(np.ones(2, np.float32), requires_grad=True)
    with bp.no_grad():
        single -= np.full(2, 0.5)
    assert single.dtype == np.float32


def test_an_update_under_no_grad_does_not_reach_an_older_graph():
    p = leaf(X)
    y = np.sum(p * p)
    with bp.no_grad():
        p -= 1.0
    y.backward()
    np.testing.assert_array_equal(p.grad, 2 * X)


# ---- names and threads -----------------------------------------------------------------------------------


def test_names_stay_with_the_node():
    x = leaf(X)
    x.name = "w"
    assert (x.name, x._node.extra.name) == ("w", "w")
    y = x * 2
    y.name = "z"
    assert "name='z'" in repr(y)
    assert bp.Tensor(X, name="c").name == "c"


def test_threads_record_at_the_same_time():
    shared, found = leaf(np.arange(4.0)), []

    def work(seed):
        y = shared
        for _ in range(200):
            y = y + 1.0
        found.append(y.data)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, np.tile(np.arange(4.0) + 200, (8, 1)))
