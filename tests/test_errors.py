"""Errors speak in one order: what happened; expected …, got …; what to do."""

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp import errors


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "it broke"),
        ({"expected": 2, "got": 3}, "it broke; expected 2, got 3"),
        ({"expected": 2}, "it broke; expected 2"),
        ({"got": (3,)}, "it broke; got (3,)"),
        ({"do": "mend it"}, "it broke; mend it"),
        ({"expected": 0, "got": 0, "do": "mend it"}, "it broke; expected 0, got 0; mend it"),
    ],
)
def test_message(given, said):
    assert errors.message("it broke", **given) == said


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.NotDifferentiable, TypeError),
        (errors.FreedGraph, RuntimeError),
        (errors.GradientShape, ValueError),
    ],
)
def test_kinds_are_pythons_own_and_public(kind, builtin):
    assert issubclass(kind, builtin)
    assert getattr(bp, kind.__name__) is kind


def leaf(x):
    return bp.Tensor(np.array(x, float), requires_grad=True)


def stored(box):
    def f(x):
        box.append(x)
        return x * 1

    return f


def second_backward():
    y = leaf(1.0) * 2
    y.backward()
    y.backward()


def leaked():
    box = []
    bp.grad(lambda x: bp.grad(stored(box))(x) * box[0])(2.0)


def unseen():
    with bp.observe() as run:
        run.of(leaf(1.0))


def test_a_dtype_is_told_by_name():
    assert errors.outline(np.dtype(np.float32)) == "dtype('float32')"


MISTAKES = {
    "a function without a rule": lambda: np.arctan2.accumulate(leaf([1.0])),
    "float": lambda: float(leaf(1.0)),
    "index": lambda: range(leaf(1.0)),
    "np.asarray": lambda: np.asarray(leaf([1.0])),
    "out=": lambda: np.add(leaf([1.0]), 1, out=np.zeros(1)),
    "+=": lambda: leaf([1.0]).__iadd__(1),
    "t[0] =": lambda: leaf([1.0]).__setitem__(0, 1),
    "a vector's backward": lambda: (leaf([1.0, 2.0]) * 2).backward(),
    "a constant's backward": lambda: bp.Tensor(1.0).backward(),
    "a wrong cotangent": lambda: (leaf([1.0]) * 2).backward(np.ones(3)),
    "a transform's backward": lambda: bp.grad(lambda x: (x * 2).backward())(1.0),
    "a second backward": second_backward,
    "an intermediate's .grad": lambda: (leaf(1.0) * 2).grad,
    "a constant's retain_grad": lambda: bp.Tensor(1.0).retain_grad(),
    "integers": lambda: bp.Tensor([1, 2], requires_grad=True),
    "text": lambda: bp.Tensor("abc"),
    "a Tensor of a Tensor": lambda: bp.Tensor(leaf(1.0) * 2),
    "an intermediate's data": lambda: setattr(leaf(1.0) * 2, "data", 1.0),
    "an intermediate pickled": lambda: (leaf(1.0) * 2).__reduce__(),
    "argnums": lambda: bp.grad(np.sin, 1)(1.0),
    "argnums twice": lambda: bp.grad(np.arctan2, (0, 0))(1.0, 2.0),
    "an argument that is text": lambda: bp.grad(np.sin)("abc"),
    "a vector's grad": lambda: bp.grad(np.sin)(np.ones(2)),
    "a complex value's grad": lambda: bp.grad(lambda x: x * 1j)(1.0),
    "no value": lambda: bp.grad(lambda x: None)(1.0),
    "a pullback's cotangent": lambda: bp.vjp(np.sin, np.ones(2))[1](1.0),
    "a jvp's tangent": lambda: bp.jvp(np.sin, (np.ones(2),), (1.0,)),
    "a complex jacobian": lambda: bp.jacobian(np.sin)(1j),
    "a leaked Tensor": leaked,
    "other containers": lambda: bp.vjp(lambda x: {"a": x}, 1.0)[1]({"b": 1.0}),
    "an unseen Tensor": unseen,
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_every_error_says_what_to_expect_or_to_do(mistake):
    with pytest.raises((TypeError, ValueError, RuntimeError, KeyError)) as error:
        mistake()
    assert type(error.value).__name__ in {
        "TypeError", "ValueError", "RuntimeError", "KeyError", "NotDifferentiable", "FreedGraph", "GradientShape",
    }  # fmt: skip
    what, *rest = str(error.value).split("; ")
    assert what
    assert rest, f"only says: {what}"
    assert not any("None" in part for part in rest)
