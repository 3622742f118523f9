"""The methods of an ndarray, on Tensors: NumPy's values and spellings, and the derivative of the function."""

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.errors import NotDifferentiable
from tinygrad_bp.methods import ArrayMethods
from tinygrad_bp.primitive import REGISTRY

A = np.array([[0.3, -0.7, 1.1], [0.9, 0.2, -0.4]])

DIFFERENTIABLE = {
    "sum": [lambda t: t.sum(), lambda t: t.sum(0), lambda t: t.sum(axis=(0, 1), keepdims=True), lambda t: t.sum(-1)],
    "mean": [lambda t: t.mean(), lambda t: t.mean(1), lambda t: t.mean(axis=0, keepdims=True)],
    "var": [lambda t: t.var(), lambda t: t.var(axis=1, ddof=1)],
    "std": [lambda t: t.std(), lambda t: t.std(0)],
    "max": [lambda t: t.max(), lambda t: t.max(axis=1), lambda t: t.max(0, keepdims=True)],
    "min": [lambda t: t.min(), lambda t: t.min(axis=-1)],
    "trace": [lambda t: t.trace(), lambda t: t.trace(offset=1)],
    "ravel": [lambda t: t.ravel(), lambda t: t.ravel("F"), lambda t: t.ravel(order="F")],
    "flatten": [lambda t: t.flatten(), lambda t: t.flatten("F")],
    "repeat": [lambda t: t.repeat(2), lambda t: t.repeat([1, 0, 2], axis=1)],
    "take": [lambda t: t.take([0, 4]), lambda t: t.take([1, 1], axis=0), lambda t: t.take([7], mode="wrap")],
    "compress": [lambda t: t.compress([True, False, True]), lambda t: t.compress([False, True], axis=0)],
    "diagonal": [lambda t: t.diagonal(), lambda t: t.diagonal(1)],
    "copy": [lambda t: t.copy()],
    "squeeze": [lambda t: t.reshape(1, 2, 3).squeeze(), lambda t: t.reshape(1, 2, 1, 3).squeeze(axis=2)],
    "swapaxes": [lambda t: t.swapaxes(0, 1)],
    "reshape": [
        lambda t: t.reshape(3, 2), lambda t: t.reshape((3, 2)), lambda t: t.reshape(-1), lambda t: t.reshape([6]),
        lambda t: t.reshape(3, -1, order="F"), lambda t: t[0, :1].reshape(()),
    ],
    "transpose": [
        lambda t: t.transpose(), lambda t: t.transpose(1, 0), lambda t: t.transpose((1, 0)),
        lambda t: t.transpose(None),
    ],
    "T": [lambda t: t.T, lambda t: t.reshape(1, 2, 3).T, lambda t: t[0].T],
    "mT": [lambda t: t.mT, lambda t: t.reshape(1, 2, 3).mT],
    "dot": [lambda t: t.dot(A.T), lambda t: t.dot(np.arange(3.0))],
    "clip": [lambda t: t.clip(-0.5, 0.5), lambda t: t.clip(max=0.5), lambda t: t.clip(min=-0.5)],
    "conj": [lambda t: t.conj(), lambda t: t.conjugate()],
    "real": [lambda t: t.real],
    "imag": [lambda t: t.imag],
    "astype": [lambda t: t.astype(np.float64), lambda t: t.astype(float)],
}  # fmt: skip
CALLS = [(name, i) for name, calls in DIFFERENTIABLE.items() for i in range(len(calls))]


@pytest.mark.parametrize(("name", "i"), CALLS)
def test_a_method_has_numpys_value_and_the_right_derivative(name, i):
    call = DIFFERENTIABLE[name][i]
    y = call(bp.Tensor(A, requires_grad=True))
    expected = call(A)
    assert y.shape == np.shape(expected)
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y.data, expected)
    assert bp.gradcheck(call, A, order=2)


@pytest.mark.parametrize("name", ["real", "imag", "conj", "T", "sum", "var", "copy"])
def test_methods_of_complex_tensors(name):
    z = A + 1j * A[::-1]
    for call in DIFFERENTIABLE[name]:
        np.testing.assert_array_equal(call(bp.Tensor(z, requires_grad=True)).data, call(z))
        assert bp.gradcheck(call, z)


CONSTANT = {
    "argmax": [lambda t: t.argmax(), lambda t: t.argmax(axis=1)],
    "argmin": [lambda t: t.argmin(0)],
    "argsort": [lambda t: t.argsort(), lambda t: t.argsort(axis=0), lambda t: t.argsort(kind="stable")],
    "argpartition": [lambda t: t.argpartition(1), lambda t: t.argpartition(1, axis=0)],
    "nonzero": [lambda t: t.nonzero()],
    "any": [lambda t: t.any(), lambda t: (t > 0).any(axis=1)],
    "all": [lambda t: t.all(), lambda t: (t > 0).all(0)],
    "round": [lambda t: t.round(), lambda t: t.round(1)],
    "searchsorted": [lambda t: t[0].searchsorted(0.5)],
}


@pytest.mark.parametrize(
    ("name", "i"), [(name, i) for name, calls in CONSTANT.items() for i in range(len(calls))]
)
def test_a_method_without_derivative_gives_plain_arrays(name, i):
    call = CONSTANT[name][i]
    y, expected = call(bp.Tensor(A, requires_grad=True)), call(A)
    assert type(y) is type(expected)
    np.testing.assert_array_equal(y, expected)


OTHERS = [
    name
    for name, member in vars(ArrayMethods).items()
    if callable(member) and not name.startswith("_") and name not in {*DIFFERENTIABLE, *CONSTANT, "conjugate"}
    if name
    not in ("numpy", "item", "tolist", "zero_grad", "retain_grad", "choose", "put", "sort", "partition")
]


@pytest.mark.parametrize("name", OTHERS)
def test_a_method_is_differentiated_or_names_the_function_that_lacks_a_rule(name):
    def call(a):
        return getattr(a, name)()

    if getattr(np, name) in REGISTRY:
        assert bp.gradcheck(call, A, order=2)
    else:
        with pytest.raises(NotDifferentiable, match=f"{name} has no derivative rule yet"):
            call(bp.Tensor(A, requires_grad=True))
    np.testing.assert_array_equal(np.asarray(call(bp.Tensor(A))), call(A))


def test_choose_and_put_take_the_tensor_for_indices_and_for_the_target():
    where = bp.Tensor((A > 0).astype(int))
    np.testing.assert_array_equal(where.choose([A, 2 * A]).data, np.choose(where.data, [A, 2 * A]))
    assert bp.gradcheck(lambda a, b: where.choose([a, b]), A, 2 * A)

    def written(x):
        t = x * 1.0
        t.put([0, -1], x[0, :2] * 3.0)
        return t

    np.testing.assert_array_equal(written(bp.Tensor(A, requires_grad=True)).data, written(A))
    assert bp.gradcheck(written, A, order=2)


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize(
    "work",
    [
        lambda t, axis: t.sort(axis=axis), lambda t, axis: t.sort(axis, kind="stable"), lambda t, axis: t.sort(axis, stable=True),
        lambda t, axis: t.partition(1, axis=axis),
    ],
)  # fmt: skip
def test_sort_and_partition_work_in_place(work, axis):
    def ordered(x):
        t = x * 1.0
        assert work(t, axis) is None
        return t * np.arange(6.0).reshape(2, 3)

    np.testing.assert_array_equal(ordered(bp.Tensor(A, requires_grad=True)).data, ordered(A))
    assert bp.gradcheck(ordered, A, order=2)


def test_methods_say_what_they_are():
    assert bp.Tensor.mean.__name__ == "mean"
    assert bp.Tensor.mean.__doc__ == "`np.mean` of this Tensor."
    undocumented = [
        name for name, member in vars(ArrayMethods).items() if not name.startswith("_") and not member.__doc__
    ]
    assert undocumented == []


def test_integers_shift():
    i = np.array([1, 6])
    t = bp.Tensor(i)
    for shifted, expected in ((t << 2, i << 2), (t >> 1, i >> 1), (1 << t, 1 << i), (64 >> t, 64 >> i)):
        np.testing.assert_array_equal(shifted, expected)
    t <<= 1
    t >>= 2
    np.testing.assert_array_equal(t.data, [0, 3])


def test_quotient_and_remainder():
    x = np.array([3.2, -1.25])
    for f in (lambda t: divmod(t, 1.1), lambda t: divmod(7.1, t)):
        for part, expected in zip(f(bp.Tensor(x, requires_grad=True)), f(x)):
            np.testing.assert_array_equal(part.data, expected)
        assert bp.gradcheck(lambda t, f=f: f(t)[1], x)


def test_facts():
    t = bp.Tensor(A.astype(np.float32), requires_grad=True)
    y = t.T * 2
    assert (y.shape, y.ndim, y.size, y.dtype, len(y)) == ((3, 2), 2, 6, np.float32, 3)
    assert (y.itemsize, y.nbytes) == (4, 24)
    assert t.tolist() == A.astype(np.float32).tolist()


def test_narrow_and_back():
    x = bp.Tensor(A, requires_grad=True)
    y = x.astype(np.float32)
    assert y.dtype == np.float32
    np.sum(y * y).backward()
    assert x.grad.dtype == np.float64
    np.testing.assert_array_equal(x.grad, (2 * A.astype(np.float32)).astype(np.float64))


@pytest.mark.parametrize(
    "call",
    [
        lambda t, out: t.clip(-0.5, 0.5, out=out),
        lambda t, out: t.compress([True, False, True], out=out),
        lambda t, out: t.sum(axis=0, out=out),
    ],
)
def test_methods_write_to_out(call):
    x = np.array([0.3, -0.7, 1.1])
    wanted = call(x, None)
    out = bp.zeros(np.shape(wanted))
    t = bp.Tensor(x, requires_grad=True)
    call(t, out)
    np.testing.assert_array_equal(out.data, wanted)
    np.sum(out * out).backward()
    np.testing.assert_allclose(t.grad, bp.grad(lambda x: np.sum(call(x, None) ** 2))(x))


def test_copies_and_conjugates_lie_in_memory_as_numpys_do():
    a = np.arange(6.0).reshape(2, 3)
    t = np.copy(bp.Tensor(a, requires_grad=True))
    for order in ((), ("C",), ("F",), ("K",)):
        assert t.T.copy(*order).data.strides == a.T.copy(*order).strides
    assert a.conj() is a
    assert t.conj() is t
    assert t.conjugate() is t
    scalar = np.sum(t)
    assert type(scalar.copy().data) is type(np.sum(a).copy()) is np.float64
    scalar.copy().backward()


def test_round_of_a_number_is_a_plain_number():
    """Locally constant, as of NumPy's scalars; an array has no round()."""
    assert bp.grad(lambda x: x * round(x))(2.6) == 3.0
    assert bp.grad(lambda x: x * round(x, 1))(2.66) == 2.7
    assert type(round(bp.Tensor(np.float64(2.6)))) is int
    with pytest.raises(TypeError, match=r"use np\.round"):
        round(bp.Tensor([2.6]))
