"""What is written of an op is what the engine does: every line is evaluated and held against the record."""

import ast

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.derivation.formulas import WRITTEN, operand_names, written
from tinygrad_bp.ops import nonlinear as F
from tinygrad_bp.ops.indexing import erase, put, scatter

RNG = np.random.default_rng(7)
A, B = RNG.uniform(0.5, 2, (3, 4)), RNG.uniform(0.5, 2, (3, 4))
V, W = RNG.uniform(0.5, 2, 4), RNG.normal(size=(4, 2))
S = RNG.uniform(0.5, 2, (2, 3, 4))


def _put(a, b):
    a = a * 1.0
    a[1] = b
    return a


CALLS = {
    "add": (np.add, A, V), "subtract": (np.subtract, A, V), "multiply": (np.multiply, A, V), "divide": (np.divide, V, A),
    "power": (np.power, A, B), "power 2": (lambda a: a**2, A), "power 3": (lambda a: a**3, A), "power 1": (lambda a: a**1, A),
    "negative": (np.negative, A), "positive": (np.positive, A), "reciprocal": (np.reciprocal, A), "square": (np.square, A),
    "sqrt": (np.sqrt, A), "cbrt": (np.cbrt, A), "absolute": (np.absolute, W), "fabs": (np.fabs, W),
    "maximum": (np.maximum, A, B), "minimum": (np.minimum, A, B), "maximum, ties": (np.maximum, A, A.copy()),
    "where": (lambda a, b: np.where(B > 1, a, b), A, B), "between": (lambda a: np.clip(a, 0.8, 1.5), A),
    "exp": (np.exp, A), "exp2": (np.exp2, A), "expm1": (np.expm1, A), "log": (np.log, A), "log2": (np.log2, A),
    "log10": (np.log10, A), "log1p": (np.log1p, A), "logaddexp": (np.logaddexp, A, B), "sin": (np.sin, A), "cos": (np.cos, A),
    "tan": (np.tan, A), "arcsin": (np.arcsin, A / 3), "arccos": (np.arccos, A / 3), "arctan": (np.arctan, A),
    "arctan2": (np.arctan2, A, B), "hypot": (np.hypot, A, B), "sinh": (np.sinh, A), "cosh": (np.cosh, A), "tanh": (np.tanh, A),
    "sigmoid": (F.sigmoid, W), "relu": (F.relu, W), "leaky_relu": (lambda a: F.leaky_relu(a, 0.2), W),
    "softplus": (F.softplus, W), "softplus 2": (lambda a: F.softplus(a, 2.0), W), "softmax": (F.softmax, A),
    "softmax 0": (lambda a: F.softmax(a, axis=0), A), "log_softmax": (F.log_softmax, A),
    "logsumexp": (lambda a: F.logsumexp(a, axis=1), A),
    "sum": (np.sum, A), "sum 1": (lambda a: np.sum(a, axis=1), A), "sum kept": (lambda a: np.sum(a, 0, keepdims=True), A),
    "sum 2": (lambda a: np.sum(a, axis=(0, 2)), S), "mean": (np.mean, A), "mean 0": (lambda a: a.mean(axis=0), A),
    "max": (np.max, A), "max 1": (lambda a: np.max(a, axis=1), A), "amax": (np.amax, A), "min": (np.min, A), "amin": (np.amin, A),
    "cumsum": (lambda a: np.cumsum(a, axis=1), A),
    "matmul": (np.matmul, A, W), "matmul mv": (np.matmul, A, V), "matmul vm": (np.matmul, V, W), "matmul vv": (np.matmul, V, V.copy()),
    "matmul stack": (np.matmul, S, W), "matmul stacks": (np.matmul, S, S.transpose(0, 2, 1).copy()), "dot": (np.dot, A, W),
    "dot vv": (np.dot, V, V.copy()), "dot number": (np.dot, A, np.float64(2.0)), "vdot": (np.vdot, A, B),
    "outer": (np.outer, V, V.copy()), "transpose": (np.transpose, A), "transpose 3": (lambda a: np.transpose(a, (1, 2, 0)), S),
    "swapaxes": (lambda a: np.swapaxes(a, 0, 1), S), "reshape": (lambda a: np.reshape(a, (2, -1)), A), "ravel": (np.ravel, A),
    "squeeze": (np.squeeze, A[None]), "expand_dims": (lambda a: np.expand_dims(a, 1), A),
    "broadcast_to": (lambda a: np.broadcast_to(a, (3, 4)), V), "flip": (lambda a: np.flip(a, 1), A), "copy": (np.copy, A),
    "astype": (lambda a: a.astype(np.float32), A), "getitem": (lambda a: a[1:, ::2], A), "getitem i": (lambda a: a[2], A),
    "scatter": (lambda a: np.pad(a, 1), A), "getitem list": (lambda a: a[[0, 0, 2], [1, 1, 3]], A), "getitem mask": (lambda a: a[B > 1], A),
    "put": (_put, A, V), "concatenate": (lambda a, b: np.concatenate([a, b], axis=1), A, B),
    "stack": (lambda a, b: np.stack([a, b]), A, B), "stack 1": (lambda a, b: np.stack([a, b], axis=1), A, B),
    # by name
    "prod": (np.prod, A), "var": (lambda a: np.var(a, axis=0), A), "einsum": (lambda a, w: np.einsum("ij,jk->k", a, w), A, W),
    "norm": (np.linalg.norm, A), "sum where": (lambda a: np.sum(a, where=B > 1), A), "max initial": (lambda a: np.max(a, initial=1.9), A),
    "sqrt 0": (lambda a: np.sqrt(a * 0), A), "tensordot": (lambda a, w: np.tensordot(a, w, 1), A, W),
}  # fmt: skip
TOOLS = {
    "np": np, "bp": bp, "scatter": scatter, "put": put, "erase": erase,
    **{name: getattr(F, name) for name in ("sigmoid", "relu", "leaky_relu", "softplus", "softmax", "log_softmax", "logsumexp")},
}  # fmt: skip


def evaluate(tree, names):
    return eval(ast.unparse(tree), {**TOOLS, **names})


def unbroadcast(g, shape):
    g = np.asarray(g)
    lead = tuple(range(g.ndim - len(shape)))
    kept = tuple(i for i, n in enumerate(shape, len(lead)) if n == 1 and g.shape[i] != 1)
    return np.sum(g, axis=(*lead, *kept), keepdims=True).reshape(shape)


@pytest.mark.parametrize("call", CALLS)
def test_every_line_does_what_the_engine_did(call):
    f, *arrays = CALLS[call]
    tensors = [bp.Tensor(a, requires_grad=True) for a in arrays]
    with bp.observe() as run:
        y = f(*tensors)
        np.sum(y * np.cos(np.arange(np.size(y.data))).reshape(y.shape)).backward()
    for seen in run:
        found = written(seen)
        names = {name: p.value for name, p in zip(operand_names(seen), seen.parents)}
        names |= {f"k_{k}": v for k, v in seen.kwargs.items()}
        names |= {"y": seen.value, "g": seen.cotangent, "function": seen.function}
        np.testing.assert_allclose(evaluate(found.forward, names), seen.value, rtol=1e-12, atol=1e-12)
        for parent, tree, share in zip(seen.parents, found.shares, seen.contributions):
            if share is not None:
                got = unbroadcast(evaluate(tree, names), parent.shape)
                np.testing.assert_allclose(got, share, rtol=1e-6 if call == "astype" else 1e-12, atol=1e-12)


def test_the_table_has_nothing_untried():
    tried = {call.partition(" ")[0].rstrip(",") for call in CALLS}
    assert WRITTEN.keys() - tried <= {"pick", "true_divide", "abs", "conj"}


@pytest.mark.parametrize("call", ["prod", "einsum", "sum where", "sqrt 0"])
def test_without_a_written_form_there_is_a_name(call):
    f, *arrays = CALLS[call]
    with bp.observe() as run:
        np.sum(f(*[bp.Tensor(a, requires_grad=True) for a in arrays])).backward()
    assert call.partition(" ")[0] in {written(seen).name for seen in run}
    assert written(run.nodes[-1]).known
