"""T1–T4 on drawn nets: what the engine computes forwards is what the book writes, neuron by neuron."""

# l is the book's name of a layer.
# ruff: noqa: E741

import math

import numpy as np
import pytest
from hypothesis import assume, given, target
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp.backprop import notation
from tinygrad_bp.backprop.conventions import element, run_table
from tinygrad_bp.backprop.report import deviation

from .nets import F, case, cases

TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}
SIGMA = {  # by their definitions, of one number; |σ′| ≤ 1
    "linear": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "tanh": math.tanh,
    "relu": lambda z: max(z, 0.0),
    "leaky_relu": lambda z: z if z > 0 else 0.01 * z,
    "softplus": lambda z: math.log1p(math.exp(-abs(z))) + max(z, 0.0),
}
dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def names(net):
    return ["linear" if act.__name__ == "identity" else act.__name__ for act in net.activations]


def attainable(book, dtype):
    """Where the terms of a sum cancel, its last digits are lost in any order of summation."""
    for l in book.z:
        terms = np.max(np.abs(book.w[l]) @ np.abs(book.a[l - 1]) + np.abs(book.b[l]))
        least = min(np.max(np.abs(book.z[l])), np.max(np.abs(book.a[l])))
        if 8 * np.finfo(dtype).eps * terms > TOLERANCE[dtype] * least > 0:
            return False
    return True


@dtypes
@given(data=st.data())
def test_T1_component_sum_is_the_matrix_form_is_the_engine(dtype, data):
    """(23), in loops, against (25) by hand and against what the engine did."""
    net, x, y, cost = data.draw(cases(dtype))
    book = notation(net, x, y, cost)
    assume(attainable(book, dtype))
    found = []
    for l, name in enumerate(names(net), start=2):
        w, b, a_in = (np.asarray(v, float) for v in (book.w[l], book.b[l], book.a[l - 1]))
        by_component = np.empty((book.sizes[l - 1], book.m))
        for example in range(book.m):
            for j in range(len(w)):
                z = sum(w[j, k] * a_in[k, example] for k in range(w.shape[1])) + b[j, 0]
                by_component[j, example] = SIGMA[name](z)
        by_matrix = np.vectorize(SIGMA[name], otypes=[float])(w @ a_in + b)
        assert deviation(by_matrix, by_component) <= 1e-12
        found.append(deviation(book.a[l], by_component))
    assert max(found) <= TOLERANCE[dtype]
    target(max(found), label="(23)")


@dtypes
def test_T1_a_wrong_orientation_is_noticed(dtype):
    """w^l_jk is the weight *to* j *from* k: with the indices exchanged the sum is another one."""
    net, x, y, cost = case([4, 4, 4], ["tanh", "sigmoid"], 3, dtype=dtype)
    book = notation(net, x, y, cost)
    assert deviation(book.w[2].T @ book.a[1] + book.b[2], book.z[2]) > 0.1


@dtypes
@given(data=st.data())
def test_T2_the_weighted_input_of_every_layer_is_named(dtype, data):
    net, x, y, cost = data.draw(cases(dtype))
    book = notation(net, x, y, cost)
    assume(attainable(book, dtype))
    text = run_table(book)
    for l in range(2, book.L + 1):
        n = book.sizes[l - 1]
        assert deviation(book.z[l], book.w[l] @ book.a[l - 1] + book.b[l]) <= TOLERANCE[dtype]
        j, example = data.draw(st.integers(1, n)), data.draw(st.integers(1, book.m))
        assert element(book, "z", l, j, example) == book.z[l][j - 1, example - 1]
        assert f"z^{l} ({n}, {book.m})" in text
        seen = book.nodes[l].z  # where it stands in the engine's graph
        assert seen in book.run.nodes
        assert seen.module == f"layers.{l - 2}"
        assert np.shares_memory(seen.value, book.z[l])


def test_T3_vectorised_functions_and_the_hadamard_product():
    """(24) and (28), the book's own numbers, also through recording Tensors."""
    x = bp.Tensor([2.0, 3.0], requires_grad=True)
    assert (x**2).numpy().tolist() == [4.0, 9.0]
    assert (bp.Tensor([1.0, 2.0], requires_grad=True) * np.array([3.0, 4.0])).numpy().tolist() == [3.0, 8.0]
    assert bp.jacobian(lambda x: x**2)(np.array([2.0, 3.0])).tolist() == [[4.0, 0.0], [0.0, 6.0]]


@dtypes
@given(data=st.data())
def test_T3_activations_of_a_net_act_elementwise(dtype, data):
    """a^l_j is σ of its own z^l_j and of no other; δ^L = ∇_a C ⊙ σ′(z^L) is a product by elements."""
    net, x, y, cost = data.draw(cases(dtype))
    book = notation(net, x, y, cost)
    for l, (activation, name) in enumerate(zip(net.activations, names(net)), start=2):
        by_number = np.vectorize(SIGMA[name], otypes=[float])(book.z[l])
        assert deviation(book.a[l], by_number) <= TOLERANCE[dtype]
        j, example = (data.draw(st.integers(0, n - 1)) for n in book.z[l].shape)
        others = np.where(np.arange(book.m) == example, 0, 1) * np.ones_like(book.z[l])
        others[:, example] = np.arange(book.sizes[l - 1]) != j
        moved = activation((book.z[l] + others).astype(dtype).T).T
        assert moved[j, example] == pytest.approx(float(book.a[l][j, example]), rel=TOLERANCE[dtype])


@dtypes
@given(data=st.data())
def test_T4_quadratic_cost(dtype, data):
    """C = 1/(2n) Σ_x ‖y(x) − a^L(x)‖² (26), the mean of C_x = ½‖y − a^L‖² (27); ∇_a C_x = a^L − y."""
    net, x, y, _ = data.draw(cases(dtype))
    book = notation(net, x, y, F.quadratic_cost)
    a = np.asarray(book.a[book.L], float)
    C_x = [0.5 * sum((y[i, j] - a[j, i]) ** 2 for j in range(len(a))) for i in range(book.m)]
    C = sum(C_x) / book.m
    assert F.quadratic_cost(net(x), y).item() == pytest.approx(C, rel=TOLERANCE[dtype])
    for i in range(book.m):
        assert F.quadratic_cost(net(x)[i], y[i]).item() == pytest.approx(C_x[i], rel=TOLERANCE[dtype])
    assert deviation(book.nabla_a, book.a[book.L] - y.T) <= TOLERANCE[dtype]
