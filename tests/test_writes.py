"""Every way to write into a Tensor: NumPy's values, right gradients, or an error. (Random programs: test_writes_machine.py.)"""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import writes
from tinygrad_bp.writes import _alike

A = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.5]])


def both(program, *arrays):
    """The program's value on arrays; its value, and gradients checked against differences, on Tensors."""
    expected = program(*[a.copy() for a in arrays])

    def weighted(*xs):
        y = program(*[x * 1.0 for x in xs])
        return np.sum(y * np.cos(np.arange(y.size)).reshape(y.shape))

    leaves = [bp.Tensor(a.copy(), requires_grad=True) for a in arrays]
    found = program(*[leaf * 1.0 for leaf in leaves])
    np.testing.assert_array_equal(found.data, expected)
    assert found.dtype == expected.dtype
    assert bp.gradcheck(weighted, *arrays, order=2)
    return found


def write(operate):
    """A program that makes two arrays from its arguments, writes with `operate`, and returns both."""

    def program(a, b):
        t, v = a * 2.0, b * b
        operate(t, v)
        return np.concatenate([np.ravel(t), np.ravel(v)])

    return program


INDICES = {
    "integer": (1, np.s_[0]),
    "slice": (np.s_[:, 1:], np.s_[:, :2]),
    "step": (np.s_[::-1, ::2], np.s_[:, ::2]),
    "ellipsis": (..., ...),
    "new axis": (np.s_[None, 0], np.s_[1]),
    "integer array": (np.array([1, 0]), np.s_[::-1]),
    "pairs": ((np.array([0, 1]), np.array([2, 0])), (0, np.s_[:2])),
    "the same place twice": ((np.array([0, 0]), np.array([2, 2])), (0, np.s_[:2])),
    "list": ([0], np.s_[:1]),
    "mask": (A > 0, (0, 1)),
    "row mask": (np.array([True, False]), np.s_[1]),
}


@pytest.mark.parametrize("name", INDICES)
def test_item_assignment(name):
    index, source = INDICES[name]
    both(write(lambda t, v: operator.setitem(t, index, v[source])), A, A[::-1] + 0.5)


@pytest.mark.parametrize("name", INDICES)
def test_assignment_of_a_constant(name):
    both(write(lambda t, v: operator.setitem(t, INDICES[name][0], 7.0)), A, A)


@pytest.mark.parametrize("operate", [
    operator.iadd, operator.isub, operator.imul, operator.itruediv,
    lambda t, v: operator.ipow(t, 2), lambda t, v: operator.imod(t, 1.3),
])  # fmt: skip
def test_augmented_assignment(operate):
    both(write(operate), A, A + 5.0)


def test_augmented_matmul():
    square = np.array([[1.0, 2.0], [-1.0, 0.5]])
    both(write(operator.imatmul), square, square.T + 0.1)


def test_augmented_assignment_keeps_the_object_and_its_memory():
    t = bp.Tensor(A.copy(), requires_grad=True) * 1.0
    u, view = t, t[0]
    t += 1.0
    assert t is u
    np.testing.assert_array_equal(view.data, A[0] + 1.0)
    assert np.shares_memory(t.data, view.data)


WRITERS = {
    "out": lambda t, v: np.add(t, v, out=t),
    "out, unary": lambda t, v: np.sin(v, out=t),
    "out of a reduction": lambda t, v: np.sum(np.stack([v, v]), axis=0, out=t),
    "out of a function": lambda t, v: np.concatenate([v[:1], v[1:]], out=t),
    "where": lambda t, v: np.multiply(t, v, out=t, where=A > 0),
    "add.at": lambda t, v: np.add.at(t, (np.array([0, 0, 1]), np.array([1, 1, 2])), v[0]),
    "subtract.at": lambda t, v: np.subtract.at(t, np.array([1, 1]), v),
    "copyto": lambda t, v: np.copyto(t, v),
    "copyto, broadcast": lambda t, v: np.copyto(t, v[0]),
    "copyto, where": lambda t, v: np.copyto(t, v, where=A < 0),
    "put": lambda t, v: np.put(t, [0, 4, -1], v[0]),
    "put, repeated values": lambda t, v: np.put(t, [0, 1, 2, 3], v[0, :2]),
    "put, no values": lambda t, v: np.put(t, [0, 1], v[:0]),
    "put, wrapped": lambda t, v: np.put(t, [7, -8], v[0], mode="wrap"),
    "place": lambda t, v: np.place(t, A > 0, v[0, :2]),
    "fill_diagonal": lambda t, v: np.fill_diagonal(t, v[0, :2]),
    "fill": lambda t, v: t.fill(3.0),
    "sort": lambda t, v: t.sort(),
    "sort, first axis": lambda t, v: t.sort(axis=0),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_numpys_writers(name):
    both(write(WRITERS[name]), A, A[:, ::-1] * 0.7)


VIEWS = {
    "row": lambda t: t[1],
    "slice of a slice": lambda t: t[:, 1:][:, ::-1],
    "transpose": lambda t: t.T,
    "reshape": lambda t: t.reshape(3, 2),
    "slice of a transpose of a reshape": lambda t: t.reshape(3, 2).T[0],
    "ravel": lambda t: t.ravel(),
    "swapaxes": lambda t: np.swapaxes(t, 0, 1)[1:],
    "moveaxis": lambda t: np.moveaxis(t, 0, 1),
    "expand_dims": lambda t: np.expand_dims(t, 1),
    "squeeze": lambda t: np.squeeze(t[None]),
    "split": lambda t: np.split(t, [1], axis=1)[1],
    "iteration": lambda t: list(t)[1],
}  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
def test_writes_through_views_and_reads_through_stale_ones(name):
    def program(a, b):
        t = a * 2.0
        view, other = VIEWS[name](t), t[:, 0]
        view[...] = np.sin(view) * b[0, 0]  # a write through the view …
        t[0, 0] = b[1, 1]  # … one past it …
        view *= 2.0  # … and one through it again
        return np.concatenate([np.ravel(t), np.ravel(view), other * 3.0])

    both(program, A, A + 0.25)


PLACES = [np.s_[1], np.s_[:, 1:], np.s_[None, ..., 0], np.s_[::-1, None, 1], np.s_[1, 2, ...], np.s_[2:], ..., None]  # fmt: skip


@pytest.mark.parametrize("index", PLACES, ids=str)
def test_what_is_updated_in_a_place_costs_what_the_place_holds(index, monkeypatch):
    """`t[i] += v` writes through a view of the root's own index: no other place is looked for."""

    def program(a, b):
        t, v = a * 2.0, b * b
        t[index] += np.sin(v[index])
        view = t[index]
        view *= t[0, 0]
        view[...] = view * 3.0
        return np.concatenate([np.ravel(t), np.ravel(view)])

    monkeypatch.setattr(writes, "_places", None)
    both(program, A, A[::-1] + 0.5)


def test_a_diagonal_is_a_read_only_view():
    t = bp.Tensor(np.eye(3), requires_grad=True) * 2.0
    diagonal = np.diagonal(t)
    t[1, 1] = 5.0
    np.testing.assert_array_equal(diagonal.data, [2.0, 5.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        diagonal[0] = 1.0


def test_a_broadcast_view_is_read_only():
    with pytest.raises(ValueError, match=r"read-only.*copy"):
        np.broadcast_to(bp.Tensor([1.0, 2.0], requires_grad=True) * 1.0, (2, 2))[0] = 1.0


def test_a_buffer_starts_to_record():
    x = bp.Tensor(2.0, requires_grad=True)
    buffer = bp.zeros(3)
    assert not buffer.requires_grad
    first = buffer[:2]
    for i in range(3):
        buffer[i] = x**i
    assert buffer.requires_grad
    assert first.requires_grad
    (buffer.sum() + first.sum()).backward()
    assert x.grad == (1 + 2 * 2.0) + 1


def test_a_write_corrupts_no_saved_value():
    x = bp.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 1.0
    row = y[1:]
    z = row * row  # saves row's array
    del row
    e = np.exp(y)  # saves its own value
    e_value = e.data.copy()
    loss = z.sum() + e.sum()
    y[...] = 100.0
    e *= 0.0
    loss.backward()
    np.testing.assert_allclose(x.grad, np.array([0.0, 4.0, 6.0]) + e_value)


def test_a_constant_saved_by_a_rule_survives_a_write():
    x, c = bp.Tensor([1.0, 2.0], requires_grad=True), bp.Tensor([3.0, 4.0])
    loss = np.sum(x * c)
    c += 10.0
    loss.backward()
    np.testing.assert_array_equal(x.grad, [3.0, 4.0])


def test_a_parameter_updated_between_forward_and_backward():
    p = bp.Tensor([1.0, 2.0], requires_grad=True)
    loss = np.sum(p * p)
    with bp.no_grad():
        p -= 1.0
    loss.backward()
    np.testing.assert_array_equal(p.grad, [2.0, 4.0])
    np.testing.assert_array_equal(p.data, [0.0, 1.0])


def test_leaves_refuse_writes_outside_no_grad():
    p = bp.Tensor([1.0, 2.0], requires_grad=True, name="w")
    view = p[:1]
    for operate in (lambda: operator.setitem(p, 0, 1.0), lambda: operator.iadd(p, 1.0), lambda: p.fill(0.0),
                    lambda: operator.setitem(view, 0, 1.0), lambda: np.add(p, p, out=p)):  # fmt: skip
        with pytest.raises(TypeError, match=r"leaf that requires gradients \(w\).*no_grad"):
            operate()
    np.testing.assert_array_equal(p.data, [1.0, 2.0])
    with bp.no_grad():
        view[0] = 5.0
    np.testing.assert_array_equal(p.data, [5.0, 2.0])


def test_training_with_an_augmented_assignment():
    p = bp.Tensor([4.0], requires_grad=True)
    for _ in range(60):
        p.zero_grad()
        np.sum(p * p).backward()
        with bp.no_grad():
            p -= 0.1 * p.grad
    assert abs(p.data[0]) < 1e-4


def test_raw_memory_is_shared_with_constants():
    a = np.zeros(3)
    t = bp.Tensor(a)
    t[0] = 5.0
    t += 1.0
    np.testing.assert_array_equal(a, [6.0, 1.0, 1.0])
    assert t.data is a


def test_data_replaces_and_writes_through():
    p = bp.Tensor([1.0, 2.0], requires_grad=True)
    array = p.data
    p.data[...] = 3.0
    np.testing.assert_array_equal(array, [3.0, 3.0])
    p.data -= 1.0
    np.testing.assert_array_equal(array, [2.0, 2.0])
    new = np.array([7.0, 8.0])
    p.data = new
    assert p.data is new
    np.testing.assert_array_equal(array, [2.0, 2.0])


def test_replaced_data_leave_old_views_behind():
    t = bp.Tensor([1.0, 2.0, 3.0])
    view = t[1:]
    t.data = np.array([7.0, 8.0, 9.0])
    t[1] = 0.0
    view[0] = 5.0
    np.testing.assert_array_equal(view.data, [5.0, 3.0])
    np.testing.assert_array_equal(t.data, [7.0, 0.0, 9.0])


@pytest.mark.parametrize("operate", [
    lambda nd, t: operator.setitem(nd, slice(None), t),
    lambda nd, t: operator.iadd(nd, t),
    lambda nd, t: np.copyto(nd, t),
    lambda nd, t: np.add(t, t, out=nd),
    lambda nd, t: np.add.at(nd, [0, 1], t),
    lambda nd, t: np.put(nd, [0, 1], t),
    lambda nd, t: np.place(nd, [True, True], t),
    lambda nd, t: np.fill_diagonal(np.zeros((2, 2)), t),
    lambda nd, t: np.concatenate([t], out=nd),
])  # fmt: skip
def test_plain_arrays_refuse_values_that_record(operate):
    nd, t = np.zeros(2), bp.Tensor([1.0, 2.0], requires_grad=True) * 1.0
    with pytest.raises(TypeError, match=r"\.data|np\.stack"):
        operate(nd, t)
    np.testing.assert_array_equal(nd, 0.0)
    operate(nd, t.detach())  # a constant goes in


@pytest.mark.parametrize("operate", [lambda nd, t: operator.setitem(nd, 0, t), lambda nd, t: nd.fill(t)])
def test_elements_of_plain_arrays_refuse_values_that_record(operate):
    nd = np.zeros(2)
    with pytest.raises((TypeError, ValueError)) as caught:
        operate(nd, bp.Tensor(1.0, requires_grad=True) * 1.0)
    reasons = [str(caught.value), str(caught.value.__cause__)]
    assert any("t.item()" in reason for reason in reasons)
    np.testing.assert_array_equal(nd, 0.0)


def test_what_cannot_be_right_is_refused():
    t = bp.Tensor([1.0, 2.0], requires_grad=True) * 1.0
    integers = bp.Tensor([1, 2])
    with pytest.raises(TypeError, match="integers"):
        integers[0] = t[0]
    with pytest.raises(TypeError, match="detach"):
        t.detach()[0] = t[1]
    with pytest.raises(TypeError, match="dtype"):
        (bp.Tensor(np.ones(2, np.float32), requires_grad=True) * 1).__iadd__(1j)
    with pytest.raises(ValueError):
        t += np.ones((3, 2))
    np.testing.assert_array_equal(t.data, [1.0, 2.0])


def test_float32_stays_float32_under_writes():
    x = bp.Tensor(np.ones(3, np.float32), requires_grad=True)
    y = x * 2
    y[0] = np.float64(0.5)
    y += np.ones(3)
    y[1:] = x[1:] * np.ones(2)
    assert y.dtype == np.float32
    np.sum(y).backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad, [0.0, 1.0, 1.0])


def test_writes_under_transforms():
    def f(x):
        y = x * 1.0
        y[0] = y[1] * x[2]
        y[1:] *= x[0]
        return np.sum(y**2)

    x = np.array([1.0, 2.0, 3.0])
    assert bp.gradcheck(f, x, order=2)
    hessian = bp.hessian(f)(x)
    np.testing.assert_allclose(bp.hvp(f, x, np.ones(3)), hessian.sum(axis=1))
    np.testing.assert_allclose(bp.grad(lambda x: np.sum(bp.grad(f)(x) * np.ones(3)))(x), hessian.sum(axis=0))


def test_a_transform_keeps_what_it_closes_over():
    w = bp.Tensor([2.0, 3.0], requires_grad=True) * 1.0

    def f(x):
        y = np.sum(w * x**2)
        w[0] = 100.0  # after it was used: the pullback must not see it
        return y

    _, gradient = bp.value_and_grad(f)(np.array([1.0, 1.0]))
    np.testing.assert_array_equal(bp.tree.leaves(gradient)[0].data, [4.0, 6.0])
    np.testing.assert_array_equal(w.data, [100.0, 3.0])


def test_the_argument_of_a_transform_is_not_written_to():
    with pytest.raises(TypeError, match="leaf"):
        bp.grad(lambda x: operator.iadd(x, 1.0).sum())(np.ones(2))


def test_a_result_of_vjp_is_the_callers_own():
    y, pullback = bp.vjp(np.exp, np.zeros(2))
    y += 5.0
    np.testing.assert_array_equal(pullback(np.ones(2))[0], [1.0, 1.0])


def test_what_a_transform_saved_of_a_parameter_survives_its_update():
    w = bp.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    penalty = np.sum(bp.grad(lambda v: np.sum(v[1:] ** 3))(w) ** 2)  # saves a view of w's memory
    with bp.no_grad():
        w -= 100.0
    penalty.backward()
    np.testing.assert_allclose(w.grad, [0.0, 36 * 8.0, 36 * 27.0])


@pytest.mark.parametrize("first", ["array", "result"])
def test_a_write_beside_living_views_stays_in_its_memory(first):
    t = bp.Tensor(np.zeros(4)) if first == "array" else bp.Tensor(np.zeros(4)) * 1.0
    raw, view = t.data, t[1:]
    t[0] = 5.0
    view[0] = 6.0
    t += 1.0
    np.testing.assert_array_equal(raw, [6.0, 7.0, 1.0, 1.0])
    np.testing.assert_array_equal(view.data, [7.0, 1.0, 1.0])


def test_raw_memory_is_shared_with_a_buffer_that_records():
    x, a = bp.Tensor([1.0, 2.0], requires_grad=True), np.zeros(2)
    buffer = bp.Tensor(a)
    buffer += x
    buffer[0] = x[1] * 3
    np.testing.assert_array_equal(a, [6.0, 2.0])


def test_splits_of_a_constant_are_views_of_it():
    x, c = bp.Tensor(3.0, requires_grad=True), bp.zeros(4)
    a, _ = np.split(c, 2)
    a[0] = x
    np.sum(c).backward()
    assert x.grad == 1.0
    y = x * np.ones(4)
    z = np.sum(y * y)
    with bp.no_grad():
        np.split(y, 2)[0][...] = 100.0
    x.zero_grad()
    z.backward()
    assert x.grad == 8 * 3.0


def test_real_and_imaginary_parts_are_written_apart():
    x = bp.Tensor([1.0, 2.0], requires_grad=True)
    t, expected = x * (1 + 2j), x.data * (1 + 2j)
    t.real[0], expected.real[0] = 5.0, 5.0
    t.imag[1], expected.imag[1] = 7.0, 7.0
    np.testing.assert_array_equal(t.data, expected)

    def f(x):
        t = x * (1 + 2j)
        t.real[0] = x[1] * x[1]
        t.imag[1] = x[0] * 3.0
        return np.sum(np.real(t * t))

    assert bp.gradcheck(f, np.array([1.0, 2.0]), order=2)


def test_results_of_transforms_are_the_callers_own_under_transforms():
    def f(x):
        y, pullback = bp.vjp(np.exp, x)
        y[0] = 0.0
        return np.sum(pullback(np.ones(2))[0])

    np.testing.assert_allclose(bp.grad(f)(np.array([1.0, 2.0])), np.exp([1.0, 2.0]))

    def g(x):
        _, pullback = bp.vjp(lambda a, b: a + b, x, x)
        c = x * 1.0
        first, second = pullback(c)
        first += 1.0
        return np.sum(c * second)

    np.testing.assert_allclose(bp.grad(g)(np.array([1.0, 2.0])), [2.0, 4.0])


def test_arrays_whose_base_is_no_array():
    a = np.frombuffer(bytearray(np.ones(3).tobytes()))
    with pytest.raises(TypeError, match="leaf"):
        bp.grad(lambda x: (operator.setitem(x[1:], 0, 5.0), np.sum(x))[1])(a)
    np.testing.assert_array_equal(a, 1.0)


def test_a_leaf_on_a_constants_memory_is_not_written_past():
    x, base = bp.Tensor([1.0, 2.0], requires_grad=True), bp.zeros(2)
    leaf = bp.Tensor(base, requires_grad=True)
    with pytest.raises(TypeError, match="leaf"):
        base[:] = x
    assert leaf.requires_grad
    np.testing.assert_array_equal(leaf.data, 0.0)


def test_buffers_without_axes_stay_buffers():
    x, c = bp.Tensor(2.0, requires_grad=True), bp.zeros(())
    d = c
    c += x
    c += x
    assert d is c
    c[...] = x * 3
    view = c[None]
    view[:] = view * x
    assert c.item() == 12.0
    c.backward()
    assert x.grad == 12.0


def test_a_detached_view_stays_constant():
    x, c = bp.Tensor(2.0, requires_grad=True), bp.zeros(2)
    d = c.detach()
    c[0] = x
    assert c.requires_grad
    assert not d.requires_grad
    np.testing.assert_array_equal(d.data, [2.0, 0.0])


def test_retained_gradients_survive_a_write_elsewhere():
    y = bp.Tensor([1.0, 2.0, 3.0], requires_grad=True) * 1.0
    view = y[:2].retain_grad()
    y[0] = 5.0
    np.sum(view * view).backward()
    np.testing.assert_array_equal(view.grad, [10.0, 4.0])


def test_an_observed_constant_has_the_value_of_its_time():
    x, c = bp.Tensor(2.0, requires_grad=True), bp.Tensor([1.0, 2.0])
    with bp.observe() as run:
        _ = x * c
        c[0] = 50.0
        _ = x * c
    values = [seen.parents[1].value.tolist() for seen in run]
    assert values == [[1.0, 2.0], [50.0, 2.0]]


def test_a_complex_value_in_a_real_or_imaginary_part_leaves_its_own_imaginary_part_behind():
    """As in NumPy, with NumPy's warning; the other part of the target keeps its value."""
    z, w = np.array([1 + 2j, 3 - 1j]), np.array([5 + 7j, 2 + 3j])

    def program(x, y):
        t, u = x * 1.0, y * 1.0
        with pytest.warns(np.exceptions.ComplexWarning):
            t.real[...] = u
        with pytest.warns(np.exceptions.ComplexWarning):
            t.imag[0] = u[1]
        return np.concatenate([t, u])

    both(program, z, w)


def test_values_that_share_the_targets_memory_are_those_of_before():
    both(write(lambda t, v: np.multiply.at(t, (np.array([0, 0, 1]),), t[:1])), A, A)


def test_ufunc_at_rounds_once():
    """A wider value is not rounded to the target's dtype before it is added."""
    for ufunc in (np.add, np.subtract, np.multiply, np.divide):
        for value in (1 / 3, [0.1, 0.2, 0.3], np.uint8(3)):
            a = np.linspace(1, 2, 4, dtype=np.float32) / np.float32(3)
            t = bp.Tensor(a.copy(), requires_grad=True) * np.float32(1)
            ufunc.at(a, [0, 3, 0], value)
            ufunc.at(t, [0, 3, 0], value)
            np.testing.assert_array_equal(t.data, a, strict=True)


def test_several_values_for_the_one_place_of_an_array_without_axes():
    """The last one counts; what does not fit is refused."""
    x = bp.Tensor([1.0, 2.0], requires_grad=True)
    buffer = bp.zeros(())
    flat = buffer.reshape(1)
    np.put(flat, [0, 0], x * x)
    assert buffer.item() == 4.0
    buffer.backward()
    np.testing.assert_array_equal(x.grad, [0.0, 4.0])
    with pytest.raises(ValueError, match="broadcast"):
        flat[:] = x * x


def test_a_write_that_fails_changes_nothing():
    """Neither value nor graph, of whichever of the targets."""
    x = bp.Tensor(A, requires_grad=True)
    for failing in (
        lambda t: operator.setitem(t, 0, t[:, 0]),
        lambda t: np.copyto(t, t[:, :2]),
        lambda t: np.add(t, t, out=t[0]),
        lambda t: np.modf(t, out=(t, bp.zeros(2))),
    ):
        x.grad = None
        t = x * 2.0
        row = t[1]
        with pytest.raises(ValueError, match="a value does not fit"):
            failing(t)
        np.testing.assert_array_equal(t.data, 2.0 * A)
        (np.sum(t) + np.sum(row)).backward()
        np.testing.assert_array_equal(x.grad, np.where(np.arange(2)[:, None] == 1, 4.0, 2.0) * np.ones(3))


def test_no_values_to_write():
    for recorded in (True, False):
        t = np.copy(bp.Tensor(np.ones((2, 2)), requires_grad=recorded))
        np.fill_diagonal(t, [])
        np.testing.assert_array_equal(t.data, np.ones((2, 2)))
        with pytest.raises(ValueError, match="no values"):
            np.place(t, [[True, False], [False, False]], [])


def test_several_results_go_to_several_targets():
    def program(x):
        t, u = x * 2.0, x * x
        found = np.modf(t * u, out=(t, u))
        assert found[0] is t
        assert found[1] is u
        quotient, none = np.divmod(t + 3.0 * x, 0.7, out=(None, t))
        assert none is t
        return np.concatenate([t.ravel(), u.ravel() * t.ravel(), quotient.ravel()])

    both(program, np.array([0.31, 1.1]))
    x, plain = bp.Tensor(A, requires_grad=True), np.zeros(A.shape)
    with pytest.raises(TypeError, match="modf with out= would write a value that records into a plain"):
        np.modf(x * 1.0, out=(bp.zeros(A.shape), plain))
    with pytest.raises(TypeError, match="where"):
        np.modf(x * 1.0, out=(bp.zeros(A.shape), None), where=A > 0)


def test_the_memory_of_a_detached_tensor_under_a_transform_of_a_transform():
    """Its array can be had, and a second Tensor over it is known to share it."""

    def f(x):
        t = x * x
        array = t.detach().data
        assert type(array) is np.ndarray
        assert np.array_equal(t.detach().numpy(), array)
        return np.sum(t * x * array.size)

    np.testing.assert_array_equal(bp.hessian(f)(np.array([1.0, 2.0])), np.diag([12.0, 24.0]))


WINDOWS = {
    "windows": lambda a: np.lib.stride_tricks.sliding_window_view(a, 2, axis=1),
    "one of them": lambda a: np.lib.stride_tricks.sliding_window_view(a, 2, axis=1)[0, 1],
    "of a view, transposed": lambda a: np.lib.stride_tricks.sliding_window_view(a[:, ::2], 2, axis=1).T,
}


@pytest.mark.parametrize("windows", WINDOWS.values(), ids=WINDOWS)
def test_windows_see_what_is_written_to_their_array(windows):
    """NumPy gives them a stand-in for a base; they are views all the same, and read-only."""
    x = np.array([[0.3, -1.2, 0.8], [0.5, 0.9, -0.4]])

    def f(s):
        a = s * 0 + x
        y = windows(a)
        a[0, 2] = 2 * s
        a[0] = a[0] * s
        wanted = x.copy()
        wanted[0, 2] = 2 * s.item()
        wanted[0] *= s.item()
        np.testing.assert_array_equal(y.data, windows(wanted))
        with pytest.raises(ValueError, match="read-only"):
            y[...] = 0.0
        return np.sum(np.sin(y))

    assert bp.gradcheck(lambda s: f(s) if isinstance(s, bp.Tensor) else f(bp.Tensor(s)), 1.3)


def _stretched_into(t, v):
    np.copyto(t, v[0])  # a broadcast array in t's place has strides of its own


def _turned_into(t, v):
    np.copyto(t, (v.T * 1.0).T)


def _sum_of_turned(t, v):
    t += (v.T * 1.0).T


def _turned_out(t, v):
    np.multiply(v.T, v.T, out=t.T)


@pytest.mark.parametrize("first", [_stretched_into, _turned_into, _sum_of_turned, _turned_out])
@pytest.mark.parametrize(
    "view", [np.ravel, lambda a: a.reshape(-1), lambda a: a.reshape(3, 2), lambda a: a.T]
)
def test_a_written_array_keeps_its_layout_and_so_its_views_at_every_level(first, view):
    """What is a view of it for NumPy stays one under a transform of a transform, where arrays are Tensors."""

    def program(a, b):
        t, v = a * 2.0, b * b
        first(t, v)
        seen = view(t)
        t += v * v
        return np.concatenate([np.ravel(seen), np.ravel(t)])

    both(program, A, A[::-1] + 0.25)
    gradient, h = bp.grad(lambda b: np.sum(program(b, b) ** 3)), 1e-5
    expected = (gradient(A + h * A[::-1]) - gradient(A - h * A[::-1])) / (2 * h)
    product = bp.hvp(lambda b: np.sum(program(b, b) ** 3), A, A[::-1])
    np.testing.assert_allclose(product, expected, rtol=1e-6, atol=1e-6 * np.max(np.abs(expected)))


@pytest.mark.parametrize("records", [False, True])
@pytest.mark.parametrize(
    "part",
    [
        lambda a: a[::2], lambda a: a[:, ::2], lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a.T,
        lambda a: a.T[::2], lambda a: a[1:, 1:], lambda a: np.asfortranarray(a)[:, ::-2],
    ],
)  # fmt: skip
def test_a_copy_that_makes_way_for_a_write_has_the_strides_of_the_original(part, records):
    def program(make, x):
        t = make(part(np.arange(16.0).reshape(4, 4)))
        if records:
            t[0, 1] = x * 1.0
        needed = t * t * x  # so that the next write moves t to a copy
        t[0, 0] = x * 3.0 if records else 100.0
        flat = t.reshape(-1)  # a view or a copy, as NumPy can
        flat[1] = -5.0
        flat[2] = x * 7.0
        return [np.array(a.data if make is bp.Tensor else a) for a in (t, flat, needed)]

    leaf = bp.Tensor(2.0, requires_grad=True)
    for found, expected in zip(program(bp.Tensor, leaf), program(np.asarray, 2.0)):
        np.testing.assert_array_equal(found, expected)


@st.composite
def strided_arrays(draw):
    """Parts of larger arrays, with steps and axes in any order."""
    shape = draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=4))
    a = np.zeros(shape, draw(st.sampled_from(["f4", "f8", "c16"])), order=draw(st.sampled_from("CF")))
    a = a.real if draw(st.booleans()) else a
    return reshaped(draw, a.transpose(draw(st.permutations(range(a.ndim)))), 0)[0]


def reshaped(draw, a, steps):
    """a, cut, and after each further step in another shape; and where it stopped being a view."""
    seen = []
    for step in range(1 + steps):
        a = a[tuple(draw(st.sampled_from([np.s_[:], np.s_[1:], np.s_[::2], np.s_[::-1]])) for _ in a.shape)]
        if step and a.size:
            a = a.transpose(draw(st.permutations(range(a.ndim))))
            half = draw(st.sampled_from([n for n in range(1, a.size + 1) if a.size % n == 0]))
            new = a.reshape((half, a.size // half), order=draw(st.sampled_from("CF")))
            seen.append(np.shares_memory(new, a))
            a = new
    return a, seen


@given(strided_arrays(), st.data())
def test_what_is_a_view_of_an_array_is_one_of_that_in_its_place(a, data):
    new = _alike(a)
    new[...] = a[...] = np.arange(a.size).reshape(a.shape)
    assert np.array_equal(new, a), "no two elements in one place"
    assert [new.flags.c_contiguous, new.flags.f_contiguous] == [a.flags.c_contiguous, a.flags.f_contiguous]
    recorded: list = []

    def record(strategy):
        recorded.append(data.draw(strategy))
        return recorded[-1]

    expected, seen = reshaped(record, a, 3)
    found, seen_too = reshaped(lambda _: recorded.pop(0), new, 3)
    assert seen_too == seen
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("part", [np.s_[:, 0], np.s_[:, :3], np.s_[::-100, :2], np.s_[:, 9::-1]])
def test_what_takes_the_place_of_a_column_has_no_need_of_the_matrix(part):
    a = np.empty((1000, 1000))[part]
    assert _alike(a).base.nbytes <= 4 * a.nbytes
