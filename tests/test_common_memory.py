"""Several Tensors over memory of the user's: they follow each other, or a write is an error; never silence."""

import concurrent.futures
import contextlib
import functools
import gc
import sys

import numpy as np
import pytest

import tinygrad_bp as bp

COMMON = "a write to memory that another Tensor has as well"


def leaf(value):
    return bp.Tensor(value, requires_grad=True)


def test_a_write_through_a_second_tensor_over_an_array_spares_what_a_rule_needs():
    nd, x = np.arange(3.0), leaf(np.ones(3))
    a, b = bp.Tensor(nd), bp.Tensor(nd)
    y = x * a
    b[0] = 100.0
    np.testing.assert_array_equal(a.data, [100.0, 1.0, 2.0])
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, [0.0, 1.0, 2.0])


def test_a_value_that_records_is_seen_through_a_second_tensor():
    nd, x = np.arange(3.0), leaf(2.0)
    a, b = bp.Tensor(nd), bp.Tensor(nd)
    a[0] = x * 3
    np.sum(b * b).backward()
    assert x.grad == 2 * 6.0 * 3
    assert np.shares_memory(a.data, b.data)
    assert nd[0] == 6.0


def test_tensors_that_merely_overlap_see_plain_writes():
    nd = np.arange(4.0)
    a, b = bp.Tensor(nd), bp.Tensor(nd[1:])
    a[2] = 100.0
    np.testing.assert_array_equal(b.data, [1.0, 100.0, 3.0])


@pytest.mark.parametrize("other", [lambda nd: nd[1:], lambda nd: nd.reshape(2, 2), lambda nd: nd[::-1]])
def test_a_write_that_an_overlapping_tensor_cannot_follow_is_an_error(other):
    nd, x = np.arange(4.0), leaf(3.0)
    a, b = bp.Tensor(nd), bp.Tensor(other(nd))
    with pytest.raises(ValueError, match=COMMON):
        a[1] = x
    y = x * b
    with pytest.raises(ValueError, match=COMMON):
        a[1] = 7.0
    with pytest.raises(ValueError, match=COMMON):
        a += 1.0
    np.testing.assert_array_equal(nd, np.arange(4.0))
    del y
    a[1] = 7.0
    assert nd[1] == 7.0


def test_tensors_over_disjoint_parts_of_one_array_are_free():
    nd, x = np.arange(4.0), leaf(3.0)
    even, odd = bp.Tensor(nd[::2]), bp.Tensor(nd[1::2])
    y = np.sum(x * odd)
    even[0] = x
    (y + np.sum(even)).backward()
    assert x.grad == 1.0 + 3.0 + 1.0


@pytest.mark.parametrize("again", [lambda nd: nd, lambda nd: nd[0]])
def test_what_a_rule_holds_outlives_its_tensor(again):
    nd, x = np.arange(4.0).reshape(2, 2), leaf(np.ones((2, 2)))
    y = x @ bp.Tensor(nd).T
    gc.collect()
    b = bp.Tensor(again(nd))
    with pytest.raises(ValueError, match=COMMON):
        b[0] = 100.0
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, [[2.0, 4.0], [2.0, 4.0]])


def test_a_tensor_over_the_data_of_another_is_its_constant_view():
    x = leaf([1.0, 2.0])
    h = x * 2
    y = h * h
    c = bp.Tensor(h.data)
    c[0] = 77.0
    assert not c.requires_grad
    assert h.data[0] == 77.0
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, [8.0, 16.0])


def test_parameters_over_one_array_train_as_one():
    nd = np.array([1.0, 2.0])
    p, q = leaf(nd), leaf(nd)
    np.sum(p * p + 3 * q).backward()
    np.testing.assert_array_equal(p.grad, [2.0, 4.0])
    np.testing.assert_array_equal(q.grad, [3.0, 3.0])
    bp.optim.SGD([p, q], lr=0.1).step()
    np.testing.assert_allclose(nd, [1.0 - 0.2 - 0.3, 2.0 - 0.4 - 0.3])
    np.testing.assert_array_equal(p.data, q.data)


@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize("function", [np.atleast_2d, np.rollaxis, np.broadcast_arrays])
def test_what_any_function_makes_of_a_constant_is_no_unseen_view(function, computed):
    x = leaf([[1.0, 2.0, 3.0]])
    with bp.no_grad():
        c = x * 2.0 if computed else bp.Tensor(np.array([[2.0, 4.0, 6.0]]))
    y = x * c
    view = function(c) if function is not np.rollaxis else function(c, 1)
    view = view[0] if isinstance(view, (list, tuple)) else view
    with contextlib.suppress(ValueError):
        view[...] = 100.0
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, [[2.0, 4.0, 6.0]])


def test_a_nondifferentiable_function_gives_no_view():
    @bp.nondifferentiable
    def same(x):
        return x

    t = bp.Tensor([1.0, 2.0])
    out = same(t)
    assert type(out) is np.ndarray
    assert not np.shares_memory(out, t.data)


def moved_by_a_write(nd, a):
    a[0] = 5.0


def moved_and_put_back(nd, a):
    a[0] = 5.0
    a.data = nd


def given_other_data(nd, a):
    a.data = np.zeros(3)


@pytest.mark.parametrize("leave", [moved_by_a_write, moved_and_put_back, given_other_data])
@pytest.mark.parametrize("detached", [False, True])
def test_what_a_rule_holds_outlives_the_stay_of_its_tensor(leave, detached):
    nd, x = np.arange(3.0), leaf(np.ones(3))
    a = bp.Tensor(nd)
    y = x * (a.detach() if detached else a)
    leave(nd, a)
    b = bp.Tensor(nd)
    with pytest.raises(ValueError, match=COMMON):
        b[0] = 100.0
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, [0.0, 1.0, 2.0])
    del y
    b[0] = 100.0
    assert nd[0] == 100.0


def test_data_given_again_is_noted_again():
    nd, x = np.arange(3.0), leaf(np.ones(3))
    a = bp.Tensor(nd)
    a.data = nd[:]
    y = x * a
    del a
    b = bp.Tensor(nd)
    with pytest.raises(ValueError, match=COMMON):
        b[0] = 100.0
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, [0.0, 1.0, 2.0])


def records_of(nd):
    """A field of a record array, which is no owner and no view of a plain array."""
    owner = np.zeros(3, dtype=[("a", float), ("b", float)]).view(np.recarray)
    owner.a = nd
    return lambda: owner.a


SAME_MEMORY = {
    "bytearray": lambda nd, _: functools.partial(np.frombuffer, bytearray(nd.tobytes())),
    "memoryview": lambda nd, _: lambda: np.asarray(memoryview(nd)),
    "as_strided": lambda nd, _: lambda: np.lib.stride_tricks.as_strided(nd, (3,), (8,)),
    "recarray": lambda nd, _: records_of(nd),
    "matrix": lambda nd, _: functools.partial(np.asmatrix, nd),
    "memmap": lambda nd, path: mapped(nd, path).view,
}


def mapped(nd, path):
    nd.tofile(path / "numbers")
    return np.memmap(path / "numbers", float, "r+")


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("kind", SAME_MEMORY)
def test_tensors_follow_each_other_whatever_owns_the_memory(kind, tmp_path):
    array, x = SAME_MEMORY[kind](np.arange(3.0), tmp_path), leaf(np.ones(3))
    a = bp.Tensor(array())
    y = x * a
    b = bp.Tensor(array())
    b[..., 0] = 100.0
    np.testing.assert_array_equal(a.data.ravel(), [100.0, 1.0, 2.0])
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, [0.0, 1.0, 2.0])


def test_windows_of_an_array_share_its_memory():
    nd, x = np.arange(4.0), leaf(np.ones((3, 2)))
    y = x * bp.Tensor(np.lib.stride_tricks.sliding_window_view(nd, 2))
    whole = bp.Tensor(nd)
    with pytest.raises(ValueError, match=COMMON):
        whole[0] = 100.0
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]])


def entries_of(nd):
    return len(bp.common_memory._OWNERS[id(nd)].entries)


def test_tensors_that_come_and_go_leave_nothing():
    nd = np.zeros((1000, 2))
    for _ in range(100):
        bp.Tensor(nd)
    assert entries_of(nd) == 1
    for row in nd:
        bp.Tensor(row)
    assert entries_of(nd) <= 33


def test_many_tensors_over_one_array_are_made_and_written_in_linear_time(monkeypatch):
    nd, looks = np.zeros((2000, 2)), []
    common, living, conflict = bp.common_memory, bp.common_memory._living, bp.common_memory._conflict
    monkeypatch.setattr(common, "_living", lambda entry: looks.append(1) or living(entry))
    monkeypatch.setattr(common, "_conflict", lambda *args: looks.append(1) or conflict(*args))
    rows = [bp.Tensor(row) for row in nd]
    for row in rows:
        row[0] = 1.0
    assert len(looks) < 5 * len(rows)
    assert nd.sum() == 2000.0


def test_threads_make_one_family_of_tensors_over_one_array():
    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for _ in range(100):
                nd = np.zeros((8, 20, 2))
                whole = list(pool.map(bp.Tensor, [nd] * 8))
                list(pool.map(lambda rows: [bp.Tensor(r).fill(1.0) for r in rows], nd))
                assert nd.min() == 1.0
                assert len({id(bp.views.root_of(t)) for t in whole}) == 1
    finally:
        sys.setswitchinterval(old)


def test_an_array_forgets_its_tensors():
    common = bp.common_memory
    gc.collect()
    before = len(common._OWNERS)
    nd = np.zeros(8)
    kept = [bp.Tensor(nd[i:]) for i in range(8)]
    assert len(common._OWNERS) == before + 1
    del kept, nd
    gc.collect()
    assert len(common._OWNERS) == before


def test_a_plain_write_past_a_value_that_records_is_an_error():
    """Its gradient would have to know of it; under no_grad, and into a leaf, it need not."""
    x = leaf([1.0, 2.0])
    t = x * x
    part = bp.Tensor(t.detach().data[1:])
    with pytest.raises(ValueError, match=COMMON):
        part[0] = 5.0
    np.testing.assert_array_equal(t.data, [1.0, 4.0])
    with bp.no_grad():
        part[0] = 5.0
    np.testing.assert_array_equal(t.data, [1.0, 5.0])
    array = np.ones(3)
    parameter, rest = bp.Tensor(array, requires_grad=True), bp.Tensor(array[1:])
    rest[0] = 5.0
    np.testing.assert_array_equal(parameter.data, [1.0, 5.0, 1.0])


@pytest.mark.parametrize("transform", [bp.grad, bp.hessian, lambda f: bp.jacobian(bp.hessian(f))])
def test_a_second_tensor_over_a_value_of_a_transform_is_a_view_of_it(transform):
    """At whatever order: a constant one, as by `detach`; who writes through it writes into the value."""

    def program(over):
        def f(x):
            t = x * x * x
            second = over(t)
            second[0] = 5.0
            t[1] = x[0] * 7.0
            return np.sum(t * x) + np.sum(second * x)

        return f

    x = np.array([1.0, 2.0, 3.0])
    expected = transform(program(lambda t: t.detach()))(x)
    np.testing.assert_array_equal(transform(program(lambda t: bp.Tensor(t.detach().data)))(x), expected)
