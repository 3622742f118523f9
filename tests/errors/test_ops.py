"""Mistakes with arrays and ops: shapes, conversions, unknown functions, writes."""

import copy
import math
import operator

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.errors import NotDifferentiable
from tinygrad_bp.primitive import REGISTRY

from .catalogue import Catalogue, check, leaf

mistake = Catalogue()


@mistake(ValueError)
def matmul_of_shapes_that_do_not_fit():
    """NumPy: …
    raised in matmul(x: float64 Tensor of shape (5, 4), w: float64 Tensor of shape (3, 2)); the last axis of the first must be as long as the last but one of the second
    """
    x, w = leaf(np.ones((5, 4)), name="x"), leaf(np.ones((3, 2)), name="w")
    x @ w


@mistake(ValueError)
def matmul_of_a_plain_array():
    """NumPy: …
    raised in matmul(batch: float32 ndarray of shape (5, 4), w: float64 Tensor of shape (3, 2)); the last axis of the first must be as long as the last but one of the second
    """
    batch, w = np.ones((5, 4), np.float32), leaf(np.ones((3, 2)))
    np.matmul(batch, w)


@mistake(TypeError)
def pow_with_a_modulus():
    """pow() of a Tensor with a modulus; use t**n % m"""
    pow(leaf([1.0, 2.0]), 2, 5)


@mistake(TypeError)
def round_of_an_array():
    """round() of an array; got float64 Tensor of shape (2,); use np.round"""
    round(leaf([1.0, 2.0]))


@mistake(TypeError)
def vectorized_function():
    """NumPy asked for the bare array of a Tensor that records: float64 Tensor of shape (2,), in numpy.vectorize; call the function itself, if it is made of NumPy's functions; or pass t.data"""
    np.vectorize(lambda x: 2 * x)(leaf([1.0, 2.0]))


@mistake(NotDifferentiable)
def writeable_windows():
    """sliding_window_view was called on a Tensor with writeable=True; expected keywords among ['axis', 'window_shape']; leave it out, or apply it to the result"""
    np.lib.stride_tricks.sliding_window_view(bp.Tensor([1.0, 2.0]), 2, writeable=True)


@mistake(TypeError)
def copyto_by_a_mask_of_numbers():
    """a mask is of truth values; got float64 ndarray of shape (2,); use where=mask > 0"""
    np.copyto(leaf([1.0, 2.0]) * 1, 0.0, where=leaf([0.0, 1.0]))


@mistake(ValueError)
def dot_of_shapes_that_do_not_fit():
    """NumPy: …
    raised in dot(x: float64 Tensor of shape (5, 4), float64 ndarray of shape (3, 2)); the last axis of the first must be as long as the last but one of the second
    """
    np.dot(leaf(np.ones((5, 4)), name="x"), np.ones((3, 2)))


@mistake(ValueError)
def sum_of_shapes_that_do_not_broadcast():
    """NumPy: …
    raised in add(a: float64 Tensor of shape (2,), b: float64 Tensor of shape (3,)); shapes fit if, counted from the last axis, lengths are equal or one of them is 1
    """
    leaf([1.0, 2.0], name="a") + leaf([1.0, 2.0, 3.0], name="b")


@mistake(ValueError)
def product_with_a_list():
    """NumPy: …
    raised in multiply(a: float64 Tensor of shape (2,), float64 ndarray of shape (3,)); shapes fit if, counted from the last axis, lengths are equal or one of them is 1
    """
    a = leaf([1.0, 2.0])
    a * [1.0, 2.0, 3.0]


@mistake(ValueError)
def where_of_shapes_that_do_not_broadcast():
    """NumPy: …
    raised in where(bool ndarray of shape (3,), a: float64 Tensor of shape (2,), 0); shapes fit if, counted from the last axis, lengths are equal or one of them is 1
    """
    np.where(np.ones(3) > 0, leaf([1.0, 2.0], name="a"), 0)


@mistake(ValueError)
def shapes_inside_two_transforms():
    """NumPy: …
    raised in add(float64 Tensor of shape (2,) from multiply, float64 ndarray of shape (3,)); shapes fit if, counted from the last axis, lengths are equal or one of them is 1
    """
    bp.grad(lambda x: np.sum(bp.grad(lambda y: np.sum(x * y + np.ones(3)))(x)))(np.ones(2))


@mistake(TypeError)
def sum_with_none():
    """NumPy: …
    raised in add(loss: float64 Tensor of shape (), None)
    """
    total = None
    leaf(1.0, name="loss") + total


@mistake(np.exceptions.AxisError)
def axis_out_of_range():
    """NumPy: …
    raised in sum(a: float64 Tensor of shape (2,), axis=1)
    """
    np.sum(leaf([1.0, 2.0], name="a"), axis=1)


@mistake(ValueError)
def reshape_to_another_size():
    """NumPy: …
    raised in reshape(a: float64 Tensor of shape (6,), shape=(4, 2), order='C')
    """
    leaf(np.ones(6), name="a").reshape(4, 2)


@mistake(ValueError)
def concatenate_of_different_widths():
    """NumPy: …
    raised in concatenate(a: float64 Tensor of shape (2, 3), b: float64 Tensor of shape (2, 2), axis=0)
    """
    np.concatenate([leaf(np.ones((2, 3)), name="a"), leaf(np.ones((2, 2)), name="b")], axis=0)


@mistake(IndexError)
def index_out_of_range():
    """NumPy: …
    raised in getitem(a: float64 Tensor of shape (2,), index=5)
    """
    leaf([1.0, 2.0], name="a")[5]


@mistake(IndexError)
def index_by_a_recorded_float():
    """NumPy: …
    raised in getitem(a: float64 Tensor of shape (2,), index=float64 number of shape ())
    """
    leaf([1.0, 2.0], name="a")[leaf(0.0) * 1]


@mistake(TypeError)
def array_of_tensors():
    """NumPy asked for the bare array of a Tensor that records: float64 Tensor of shape (); use np.sin and the like for math.sin, np.stack([t, u]) for np.array([t, u]), a Tensor such as bp.zeros(n) for a buffer that is written to, and t.item() or t.data where no gradient is wanted"""
    np.array([leaf(1.0), leaf(2.0)])


@mistake(TypeError)
def tensor_of_tensors():
    """NumPy asked for the bare array of a Tensor that records: float64 Tensor of shape (); use np.sin and the like for math.sin, np.stack([t, u]) for np.array([t, u]), a Tensor such as bp.zeros(n) for a buffer that is written to, and t.item() or t.data where no gradient is wanted"""
    bp.Tensor([leaf(1.0), leaf(2.0)])


@mistake(TypeError)
def asarray():
    """NumPy asked for the bare array of a Tensor that records: float64 Tensor of shape (2,) from multiply; use np.sin and the like for math.sin, np.stack([t, u]) for np.array([t, u]), a Tensor such as bp.zeros(n) for a buffer that is written to, and t.item() or t.data where no gradient is wanted"""
    np.asarray(leaf([1.0, 2.0], name="w") * 2)


@mistake(TypeError)
def numpy_number():
    """NumPy asked for the bare array of a Tensor that records: w: float64 Tensor of shape (); use np.sin and the like for math.sin, np.stack([t, u]) for np.array([t, u]), a Tensor such as bp.zeros(n) for a buffer that is written to, and t.item() or t.data where no gradient is wanted"""
    np.float64(leaf(1.0, name="w"))


@mistake(TypeError)
def python_number():
    """float() of a Tensor that records would lose its gradient: w: float64 Tensor of shape (); use np.sin and the like for math.sin, np.stack([t, u]) for np.array([t, u]), a Tensor such as bp.zeros(n) for a buffer that is written to, and t.item() or t.data where no gradient is wanted"""
    float(leaf(1.0, name="w"))


@mistake(TypeError)
def function_of_math():
    """float() of a Tensor that records would lose its gradient: float64 Tensor of shape () from multiply; use np.sin and the like for math.sin, np.stack([t, u]) for np.array([t, u]), a Tensor such as bp.zeros(n) for a buffer that is written to, and t.item() or t.data where no gradient is wanted"""
    math.sin(leaf(1.0) * 2)


@mistake(TypeError)
def number_of_rounds():
    """index() of a Tensor that records would lose its gradient: n: float64 Tensor of shape (); use t.item()"""
    range(leaf(3.0, name="n"))


@mistake(TypeError)
def loop_over_a_number():
    """len() or a loop over a Tensor without axes; use the Tensor itself"""
    list(leaf(1.0))


@mistake(NotDifferentiable)
def function_without_a_rule():
    """np.i0 has no derivative rule yet, and this Tensor records; declare one with bp.defvjp(np.i0, lambda g, y, x: …), say that the result is locally constant with bp.nondifferentiable(np.i0), or pass t.data if no gradient is wanted"""
    REGISTRY.pop(np.i0, None)
    np.i0(leaf([1.0]))


@mistake(NotDifferentiable)
def function_that_is_refused():
    """np.ix_ of a Tensor cannot be differentiated; use np.meshgrid(…, indexing='ij', sparse=True)"""
    np.ix_(leaf([1.0]), leaf([2.0]))


@mistake(ValueError)
def write_of_a_tensor_of_another_shape():
    """a value does not fit the place that it is written to; expected a value that broadcasts to shape (3,), got float64 Tensor of shape (2,) from multiply"""
    a = leaf(np.ones((2, 3))) * 2
    a[0] = leaf([1.0, 2.0]) * 2


@mistake(NotDifferentiable)
def primitive_without_a_rule():
    """cube has no derivative rule yet, and this Tensor records; declare one with bp.defvjp(cube, lambda g, y, x: …), say that the result is locally constant with bp.nondifferentiable(cube), or pass t.data if no gradient is wanted"""

    @bp.primitive
    def cube(x):
        return x**3

    cube(leaf([1.0]))


@mistake(NotDifferentiable)
def keyword_that_the_rule_lacks():
    """matmul was called on a Tensor with keepdims=True; expected keywords among ['axes', 'casting', 'dtype']; leave it out, or apply it to the result"""
    np.matmul(leaf([1.0, 2.0]), np.ones(2), keepdims=True)


@mistake(TypeError)
def write_into_a_leaf():
    """a write into a leaf that requires gradients (w); update parameters under bp.no_grad(); otherwise write into a copy, t = t.copy()"""
    leaf([1.0, 2.0], name="w")[0] = 1.0


@mistake(TypeError)
def update_of_a_leaf():
    """a write into a leaf that requires gradients (w); update parameters under bp.no_grad(); otherwise write into a copy, t = t.copy()"""
    w = leaf([1.0, 2.0], name="w")
    w -= 0.1


@mistake(TypeError)
def write_into_a_plain_array():
    """NumPy asked for the bare array of a Tensor that records: float64 Tensor of shape (3,); use np.sin and the like for math.sin, np.stack([t, u]) for np.array([t, u]), a Tensor such as bp.zeros(n) for a buffer that is written to, and t.item() or t.data where no gradient is wanted"""
    nd = np.zeros(3)
    nd[:] = leaf(np.ones(3))


@mistake(ValueError)
def element_of_a_plain_array():
    """NumPy: …
    caused by: float() of a Tensor that records would lose its gradient: float64 Tensor of shape () from multiply; use np.sin and the like for math.sin, np.stack([t, u]) for np.array([t, u]), a Tensor such as bp.zeros(n) for a buffer that is written to, and t.item() or t.data where no gradient is wanted
    """
    nd = np.zeros(3)
    nd[0] = leaf(1.0) * 2


@mistake(ValueError)
def fill_of_a_plain_array():
    """NumPy: …
    caused by: float() of a Tensor that records would lose its gradient: float64 Tensor of shape () from multiply; use np.sin and the like for math.sin, np.stack([t, u]) for np.array([t, u]), a Tensor such as bp.zeros(n) for a buffer that is written to, and t.item() or t.data where no gradient is wanted
    """
    np.zeros(3).fill(leaf(1.0) * 2)


@mistake(TypeError)
def sum_into_a_plain_array():
    """add with out= would write a value that records into a plain ndarray, where its gradient would be lost; make the target a Tensor, as in buffer = bp.zeros(shape), or pass t.data if no gradient is wanted"""
    nd = np.zeros(3)
    nd += leaf(np.ones(3))


@mistake(TypeError)
def copy_into_a_plain_array():
    """np.copyto would write a value that records into a plain ndarray, where its gradient would be lost; make the target a Tensor, as in buffer = bp.zeros(shape), or pass t.data if no gradient is wanted"""
    np.copyto(np.zeros(3), leaf(np.ones(3)))


@mistake(TypeError)
def write_into_integers():
    """a value that records was written into integers, where its gradient would be lost; expected a floating or complex array, got int64 Tensor of shape (2,); make it float, as in bp.zeros(n)"""
    bp.Tensor([1, 2])[0] = leaf(1.0)


@mistake(ValueError)
def write_into_a_broadcast_view():
    """a write into a read-only view: float64 Tensor of shape (3,) from broadcast_to; write into a copy, t = t.copy()"""
    np.broadcast_to(leaf([1.0]) * 2, (3,))[0] = 1.0


@mistake(ValueError)
def write_of_another_shape():
    """NumPy: …
    raised in put(float64 Tensor of shape (2,) from multiply, float64 ndarray of shape (3,), index=slice(None, None, None)); shapes fit if, counted from the last axis, lengths are equal or one of them is 1
    """
    a = leaf([1.0, 2.0]) * 2
    a[:] = np.ones(3)


@mistake(TypeError)
def tensor_of_text():
    """a Tensor holds numbers; got dtype <U1"""
    bp.Tensor(["a", "b"])


@mistake(TypeError)
def tensor_of_a_recorded_tensor():
    """bp.Tensor was given a Tensor that records; use it, or t.detach()"""
    bp.Tensor(leaf(1.0) * 2)


@mistake(TypeError)
def integers_that_require_gradients():
    """only floating and complex Tensors can require gradients; got dtype int64; convert with dtype=float"""
    bp.Tensor([1, 2], requires_grad=True)


@mistake(TypeError)
def intermediate_that_requires_gradients():
    """requires_grad can only be set on a leaf; got float64 Tensor of shape (1,) from multiply; use t.detach()"""
    (leaf([1.0]) * 2).requires_grad = True


@mistake(TypeError)
def data_of_an_intermediate():
    """only a leaf's data can be replaced; got float64 Tensor of shape (1,) from multiply; replace the parameter's data"""
    (leaf([1.0]) * 2).data = np.ones(1)


@mistake(TypeError)
def deepcopy_of_an_intermediate():
    """only leaves outside of transforms can be copied or pickled; got float64 Tensor of shape (1,) from multiply; use t.detach() first, or t.copy() for a copy that records"""
    copy.deepcopy(leaf([1.0]) * 2)


@mistake(TypeError)
def subclass_of_tensor():
    """bp.Tensor cannot be subclassed; hold a Tensor, or write a nn.Module"""
    type("MyTensor", (bp.Tensor,), {})


@pytest.mark.parametrize(("make", "kind"), mistake.mistakes)
def test_what_the_user_is_told(make, kind, tmp_path):
    check(make, kind, tmp_path)


def test_one_note_however_many_levels_record():
    with pytest.raises(ValueError, match="broadcast") as caught:
        bp.grad(lambda x: bp.grad(lambda y: bp.grad(lambda z: x * y * z * np.ones((2, 3)))(y))(x))(
            np.ones((4, 1, 2))
        )
    assert len(caught.value.__notes__) == 1


def test_notes_on_large_arrays_are_short():
    with pytest.raises(ValueError, match="broadcast") as caught:
        operator.add(leaf(np.ones((300, 40))), np.ones((400, 30)))
    assert len(caught.value.__notes__[0]) < 250


PLANE = np.ones((3, 4))
INVALID = {
    "tensorsolve": lambda a: np.linalg.tensorsolve(a, np.ones((2, 2))),
    "tensorinv": lambda a: np.linalg.tensorinv(a, ind=0),
    "matrix_power": lambda a: np.linalg.matrix_power(a, 2),
    "polyfit": lambda a: np.polyfit(a[0], a[1, :2], 1),
    "polyfit, weights": lambda a: np.polyfit(a[0], a[1], 1, w=a[0, :2]),
    "roots": lambda a: np.roots(a),
    "vander": lambda a: np.vander(a),
    "interp": lambda a: np.interp(a[0], [], []),
    "cov, weights": lambda a: np.cov(a, aweights=[1.0, 2.0]),
    "average": lambda a: np.average(a, weights=[1.0, 2.0]),
    "gradient": lambda a: np.gradient(a[:1]),
    "gradient, second order": lambda a: np.gradient(a[:2], axis=0, edge_order=2),
    "diff, order": lambda a: np.diff(a, n=-1),
    "diff, axis": lambda a: np.diff(a, axis=5),
    "delete": lambda a: np.delete(a, 9, axis=1),
    "pad": lambda a: np.pad(a, -1),
    "accumulate": lambda a: np.hypot.accumulate(a, axis=9),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_call_of_a_composite_raises_numpys_error(name):
    with pytest.raises(Exception) as numpys:
        INVALID[name](PLANE)
    with pytest.raises(type(numpys.value)) as ours:
        INVALID[name](leaf(PLANE))
    assert str(ours.value) == str(numpys.value)
    assert ours.value.__suppress_context__ or ours.value.__context__ is None
