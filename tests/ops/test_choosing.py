"""Sorting, choosing and shapes, where the registry's test cannot say it: ties, writes, views, callbacks, refusals."""

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.errors import NotDifferentiable

TIES = np.array([2.0, 1.0, 2.0, 1.0])
WEIGHTS = np.array([1.0, 10.0, 100.0, 1000.0])
NAN = np.nan


def leaf(*numbers):
    return bp.Tensor(np.array(numbers), requires_grad=True)


# ---- ties, and elements that were not chosen ---------------------------------------------------------


def test_equal_elements_have_the_order_of_a_stable_sort():
    gradient = bp.grad(lambda x: np.sum(np.sort(x) * WEIGHTS))(TIES)
    np.testing.assert_array_equal(gradient, [100.0, 1.0, 1000.0, 10.0])
    np.testing.assert_array_equal(bp.grad(lambda x: np.sort(x)[-1])(TIES), [0.0, 0.0, 1.0, 0.0])


def test_of_equal_elements_unique_names_the_first():
    gradient = bp.grad(lambda x: np.sum(np.unique(x) * WEIGHTS[:2]))(TIES)
    np.testing.assert_array_equal(gradient, [10.0, 1.0, 0.0, 0.0])


@pytest.mark.parametrize("kth", [3, -5, (2, 30)])
@pytest.mark.parametrize("n", [10, 41, 300])
def test_partition_sends_cotangents_where_numpy_has_put_the_elements(n, kth):
    """What NumPy leaves open, it decides: each cotangent comes back to the element it was given for."""
    kth = tuple(k % n for k in np.ravel(kth))
    x = np.random.default_rng(n).normal(size=(2, n))
    y, pullback = bp.vjp(lambda x: np.partition(x, kth, axis=1), x)
    np.testing.assert_array_equal(y, np.partition(x, kth, axis=1))
    np.testing.assert_array_equal(pullback(y)[0], x)


def test_nan_is_sorted_to_the_end():
    x = np.array([3.0, NAN, 1.0])
    np.testing.assert_array_equal(bp.vjp(np.sort, x)[1](np.array([1.0, 2.0, 4.0]))[0], [2.0, 4.0, 1.0])
    np.testing.assert_array_equal(bp.grad(lambda x: np.sum(np.sort(x * x)[:2]))(x), [6.0, 0.0, 2.0])


LEFT_OUT = {
    "take": lambda y: np.take(y, [0, 2]),
    "take_along_axis": lambda y: np.take_along_axis(y, np.array([0, 2]), 0),
    "compress": lambda y: np.compress([True, False, True], y),
    "extract": lambda y: np.extract(np.array([True, False, True]), y),
    "delete": lambda y: np.delete(y, 1),
    "repeat": lambda y: np.repeat(y, [1, 0, 1]),
    "choose": lambda y: np.choose([1, 0, 1], [np.zeros(3), y]),
    "select": lambda y: np.select([np.array([True, False, True])], [y]),
    "trim_zeros": lambda y: np.trim_zeros(np.where([True, False, True], y, 0.0)),
    "tril": lambda y: np.tril(np.stack([y, y[::-1], y]), -1)[2, :1] + y[2],
    "diag": lambda y: np.diag(np.stack([y, y * 0.0 + 1.0, y]))[::2],
    "insert": lambda y: np.insert(y, 0, 1.0)[[1, 3]],
    "resize": lambda y: np.resize(y, 7)[[0, 2, 3]],
    "piecewise": lambda y: np.piecewise(y, [np.array([True, False, True])], [lambda v: v]),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_was_not_chosen_has_no_gradient(name):
    """d(y²)/dy is NaN at NaN; an element that was left out contributes 0 all the same."""
    f = LEFT_OUT[name]
    gradient = bp.grad(lambda x: np.sum(f(x * x)))(np.array([1.0, NAN, 3.0]))
    assert gradient[1] == 0.0
    assert np.all(np.isfinite(gradient))


# ---- functions of the user's -------------------------------------------------------------------------


def test_functions_that_are_called_back_may_use_other_tensors():
    w, x = leaf(2.0), leaf(-1.0, 3.0)
    y = np.piecewise(x, [x < 0], [lambda v: v * w, lambda v: v * v])
    np.sum(y).backward()
    assert w.grad == -1.0
    np.testing.assert_array_equal(x.grad, [2.0, 6.0])

    w, x = leaf(1.0, 10.0), bp.Tensor(np.array([[1.0, 2.0], [3.0, 4.0]]), requires_grad=True)
    np.sum(np.apply_along_axis(lambda row: row * w, 1, x)).backward()
    np.testing.assert_array_equal(w.grad, [4.0, 6.0])
    np.testing.assert_array_equal(x.grad, [[1.0, 10.0], [1.0, 10.0]])


def test_functions_are_called_as_often_as_numpy_calls_them():
    calls = []
    np.piecewise(leaf(1.0, 2.0), [[True, False]], [lambda v: calls.append(v) or v])
    assert len(calls) == 1
    with pytest.raises(ValueError, match="one function per condition; expected 1, or one more, got 3"):
        np.piecewise(leaf(1.0, 2.0), [[True, False]], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="no row to apply a function to"):
        np.apply_along_axis(np.sum, 1, bp.Tensor(np.ones((0, 2)), requires_grad=True))


# ---- what comes out besides --------------------------------------------------------------------------


def test_unique_gives_its_places_as_plain_arrays():
    x = leaf(*TIES)
    found, expected = (
        np.unique(x, True, return_inverse=True, return_counts=True),
        np.unique(TIES, True, True, True),
    )
    assert [type(part) for part in found] == [bp.Tensor, np.ndarray, np.ndarray, np.ndarray]
    for part, wanted in zip(found, expected):
        np.testing.assert_array_equal(getattr(part, "data", part), wanted)
    everything, expected = np.unique_all(x), np.unique_all(TIES)
    assert type(everything) is type(expected)
    np.testing.assert_array_equal(everything.values.data, expected.values)
    np.testing.assert_array_equal(everything.counts, expected.counts)


def test_what_numpy_truncates_to_integers_has_no_gradient():
    x = leaf(2.7)
    assert not np.insert(np.array([1, 2]), 0, x).requires_grad
    assert type(np.concatenate([np.array([1, 2]), x], dtype=int, casting="unsafe")) is np.ndarray


def test_default_of_select():
    mask = np.array([True, False, False])
    assert bp.gradcheck(lambda a, d: np.select([mask], [a], d), np.ones(3), 2.0)


# ---- views and writes --------------------------------------------------------------------------------

VIEWS = {
    "flip": np.flip,
    "fliplr": np.fliplr,
    "flipud": np.flipud,
    "rot90": np.rot90,
    "rot90 once around": lambda a: np.rot90(a, 4),
    "rollaxis": lambda a: np.rollaxis(a, 1),
    "atleast_3d": np.atleast_3d,
    "atleast_2d of itself": np.atleast_2d,
    "hsplit": lambda a: np.hsplit(a, 2)[1],
    "vsplit": lambda a: np.vsplit(a, 2)[0],
    "broadcast_arrays": lambda a: np.broadcast_arrays(a, a)[1],
    "meshgrid": lambda a: np.meshgrid(a[0], a[1], copy=False, sparse=True)[1],
    "trim_zeros": lambda a: np.trim_zeros(a[0], "f"),
    "astype": lambda a: np.astype(a, np.float64, copy=False),
    "unstack": lambda a: np.moveaxis(a, 1, 0)[1],
}
SQUARE = np.array([[0.3, -0.7], [1.1, 0.4]])


@pytest.mark.parametrize("name", VIEWS)
def test_writes_go_through_views(name):
    """As in NumPy, and the gradients with them."""
    view = VIEWS[name]

    def written(x, v):
        t = x * 1.0
        whole = view(t)
        whole[...] = whole * whole * v
        return t * np.array([[1.0, 2.0], [3.0, 4.0]])

    np.testing.assert_array_equal(
        written(bp.Tensor(SQUARE, requires_grad=True), 3.0).data, written(SQUARE, 3.0)
    )
    assert not np.array_equal(written(SQUARE, 3.0), written(SQUARE, 0.0))
    assert bp.gradcheck(written, SQUARE, 3.0, order=2)


COPIES = [
    np.tril, np.tile, np.roll, np.repeat, np.sort, np.block, np.delete, np.resize, np.pad, np.take, np.meshgrid, np.unique,
    np.partition,
]  # fmt: skip
EXTRA = {
    np.tile: (1,), np.roll: (0,), np.repeat: (1,), np.delete: ([],), np.resize: ((2, 2),), np.pad: (0,), np.take: ([0, 1],),
    np.partition: (1,),
}  # fmt: skip


@pytest.mark.parametrize("f", COPIES, ids=lambda f: f.__name__)
def test_copies_are_copies(f):
    t = bp.Tensor(SQUARE.copy(), requires_grad=True) * 1.0
    y = f(t, *EXTRA.get(f, ()))
    y = y[0] if isinstance(y, tuple) else y
    before = t.data.copy()
    y[...] = 7.0
    np.testing.assert_array_equal(t.data, before)
    assert not np.may_share_memory(y.data, t.data)


def test_put_along_axis_writes_into_tensors():
    order = np.array([[1, 0], [0, 0]])

    def written(x, v):
        t = x * 1.0
        np.put_along_axis(t, order, v, 1)
        return t * np.array([[1.0, 2.0], [3.0, 4.0]])

    values = np.array([[5.0, 6.0], [7.0, 8.0]])
    np.testing.assert_array_equal(
        written(bp.Tensor(SQUARE, requires_grad=True), values).data, written(SQUARE, values)
    )
    assert bp.gradcheck(written, SQUARE, values, order=2)
    assert bp.gradcheck(lambda x, v: written(x, v[:, :1]), SQUARE, values)


def test_put_along_no_axis_counts_all_elements_in_one():
    def written(x, v):
        t = x * 1.0
        np.put_along_axis(t, np.array([3, 0]), v, None)
        return t * x

    values = np.array([5.0, 6.0])
    np.testing.assert_array_equal(
        written(bp.Tensor(SQUARE, requires_grad=True), values).data, written(SQUARE, values)
    )
    assert bp.gradcheck(written, SQUARE, values, order=2)


def test_putmask_takes_the_values_that_stand_at_the_places_of_the_mask():
    mask = np.array([[False, True], [True, True]])

    def written(x, v):
        t = x * 1.0
        np.putmask(t, mask, v)
        return t * np.array([[1.0, 2.0], [3.0, 4.0]])

    values = np.array([5.0, 6.0, 7.0])
    np.testing.assert_array_equal(
        written(bp.Tensor(SQUARE, requires_grad=True), values).data, written(SQUARE, values)
    )
    assert bp.gradcheck(written, SQUARE, values, order=2)


@pytest.mark.parametrize("write", [
    lambda a, v: np.put_along_axis(a, np.array([0]), v, 0), lambda a, v: np.putmask(a, [True, False], v),
])  # fmt: skip
def test_a_plain_array_cannot_take_values_that_record(write):
    plain = np.zeros(2)
    with pytest.raises(TypeError, match="into a plain ndarray"):
        write(plain, leaf(1.0))
    write(plain, bp.Tensor([1.0]))
    np.testing.assert_array_equal(plain, [1.0, 0.0])


# ---- refusals ----------------------------------------------------------------------------------------

REFUSED = {
    "ix_": (lambda t: np.ix_(t, t), "meshgrid"),
    "pad, empty": (lambda t: np.pad(t, 1, "empty"), "mode='empty'; use another mode"),
    "pad, function": (lambda t: np.pad(t, 1, lambda *a: None), "mode=<function"),
    "union1d": (lambda t: np.union1d(t, t), "np.unique"),
    "unique_values": (np.unique_values, "np.unique"),
    "unique, unsorted": (lambda t: np.unique(t, sorted=False), "sorted"),
    "choose": (lambda t: np.choose([0, 1], [t, t], np.zeros(2)), "as out="),
    "compress": (lambda t: np.compress([True], t, 0, np.zeros(1)), "as out="),
    "sort in place": (lambda t: (t * 1.0).sort(axis=None), "needs an axis; use np.sort"),
    "list of tensors": (lambda t: np.take([t, t], [0]), "np.stack"),
    "ascontiguousarray": (np.ascontiguousarray, "lose|bare array"),
    "vectorize": (np.vectorize(lambda v: v * 2), "call the function itself"),
    "full": (lambda t: np.full((3, 2), t), "use np.broadcast_to"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_to_do(name):
    call, words = REFUSED[name]
    with pytest.raises((NotDifferentiable, TypeError), match=words):
        call(leaf(1.0, 2.0))
