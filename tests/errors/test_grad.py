"""Mistakes with backward passes, transforms and rules."""

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.errors import FreedGraph, GradientShape

from .catalogue import Catalogue, check, leaf

mistake = Catalogue()


def cube_with(rule, **grammar):
    @bp.primitive
    def cube(x):
        return x**3

    return cube.defvjp(rule, **grammar)


def gradient_by(rule):
    return bp.grad(lambda x: np.sum(cube_with(rule)(x)))(np.ones(2))


# ---- backward ------------------------------------------------------------------------------------------


@mistake(FreedGraph)
def backward_twice():
    """backward reached multiply, which an earlier backward pass has freed; compute the value anew, or keep the graph with .backward(retain_graph=True)"""
    loss = leaf(2.0) * 3
    loss.backward()
    loss.backward()


@mistake(FreedGraph)
def backward_of_two_costs_with_a_common_part():
    """backward reached exp (common), which an earlier backward pass has freed; compute the value anew, or keep the graph with .backward(retain_graph=True)"""
    common = np.exp(leaf(2.0))
    common.name = "common"
    first, second = common + 1, common + 2
    first.backward()
    second.backward()


@mistake(ValueError)
def backward_from_a_vector():
    """backward from a Tensor of shape (2,) needs to know what of it to differentiate; expected one element; take its sum or mean, or give grad=, the cotangent, of its shape"""
    (leaf([1.0, 2.0]) * 2).backward()


@mistake(RuntimeError)
def backward_from_integers():
    """backward from a Tensor that nothing recorded: labels: int64 Tensor of shape (2,); expected a Tensor computed from one with requires_grad=True, outside bp.no_grad(); integers have no gradient: make them float"""
    bp.Tensor([1, 2], name="labels").backward()


@mistake(RuntimeError)
def backward_without_a_graph():
    """backward from a Tensor that nothing recorded: float64 Tensor of shape (); expected a Tensor computed from one with requires_grad=True, outside bp.no_grad()"""
    np.sum(bp.Tensor([1.0, 2.0])).backward()


@mistake(RuntimeError)
def backward_in_no_grad():
    """backward from a Tensor that nothing recorded: float64 Tensor of shape (); expected a Tensor computed from one with requires_grad=True, outside bp.no_grad()"""
    with bp.no_grad():
        loss = leaf(1.0) * 2
    loss.backward()


@mistake(RuntimeError)
def backward_in_a_transform():
    """backward was called on a value of a transform (bp.grad, bp.vjp, …); return it from the transformed function, or use bp.grad inside"""
    bp.grad(lambda x: (x * x).backward())(2.0)


@mistake(ValueError)
def backward_with_a_cotangent_of_another_shape():
    """backward got a cotangent of the wrong shape for float64 Tensor of shape (2,) from multiply; expected (2,), got (3,)"""
    (leaf([1.0, 2.0]) * 2).backward(np.ones(3))


@mistake(TypeError)
def backward_with_a_complex_cotangent():
    """backward got a complex cotangent of a real Tensor; expected float64, got complex128"""
    (leaf([1.0, 2.0]) * 2).backward(np.array([1j, 2j]))


@mistake(RuntimeError)
def gradient_of_an_intermediate():
    """the gradient of an intermediate Tensor is not kept: float64 Tensor of shape (2,) from multiply; call t.retain_grad() on it before .backward()"""
    hidden = leaf([1.0, 2.0]) * 2
    np.sum(hidden).backward()
    hidden.grad  # noqa: B018


@mistake(ValueError)
def gradient_set_to_another_shape():
    """a .grad has its Tensor's shape; expected (2,), got (3,)"""
    leaf([1.0, 2.0]).grad = np.ones(3)


@mistake(TypeError)
def retain_grad_of_a_constant():
    """no gradient will reach c: float64 Tensor of shape (1,), which records nothing; compute it from one with requires_grad=True"""
    bp.Tensor([1.0], name="c").retain_grad()


# ---- transforms ----------------------------------------------------------------------------------------


@mistake(ValueError)
def argnums_beyond_the_arguments():
    """argnums=1 does not name a positional argument of sin; expected an int, or a tuple of ints, that name arguments given by position, got 1 of these; pass the arguments to be differentiated by position"""
    bp.grad(np.sin, argnums=1)(1.0)


@mistake(ValueError)
def argnums_that_is_a_list():
    """argnums=[0, 1] does not name a positional argument of arctan2; expected an int, or a tuple of ints, that name arguments given by position, got 2 of these; pass the arguments to be differentiated by position"""
    bp.grad(np.arctan2, argnums=[0, 1])(1.0, 2.0)


@mistake(ValueError)
def argnums_twice():
    """argnums=(0, 0) names an argument of arctan2 twice; name it once"""
    bp.grad(np.arctan2, argnums=(0, 0))(1.0, 2.0)


@mistake(ValueError)
def arguments_by_keyword_alone():
    """argnums=0 does not name a positional argument of f; expected an int, or a tuple of ints, that name arguments given by position, got 0 of these; pass the arguments to be differentiated by position"""

    def f(x):
        return x * x

    bp.grad(f)(x=2.0)


@mistake(TypeError)
def function_that_returns_nothing():
    """loss did not return numbers; expected arrays, numbers, or containers of them, got nothing; end it with a return of its value"""

    def loss(w):
        np.sum(w * w)

    bp.grad(loss)(np.ones(2))


@mistake(TypeError)
def function_that_returns_text():
    """str did not return numbers; expected arrays, numbers, or containers of them, got 'Tensor(1., shape=(), requires_grad=True)'; end it with a return of its value"""
    bp.vjp(str, 1.0)


@mistake(TypeError)
def value_instead_of_function():
    """a transform needs a function; got float64; give the function itself, not its value: bp.grad(f)(x)"""
    bp.grad(np.sin(1.0))(1.0)


@mistake(TypeError)
def gradient_of_a_vector():
    """grad needs a function with one real number as its value, and sin is not; got shape (2,); sum its value, or use bp.jacobian, bp.elementwise_grad or bp.vjp"""
    bp.grad(np.sin)(np.ones(2))


@mistake(TypeError)
def gradient_of_a_tuple():
    """grad needs a function with one real number as its value, and f is not; got tuple; sum its value, or use bp.jacobian, bp.elementwise_grad or bp.vjp"""

    def f(x):
        return x, x

    bp.grad(f)(1.0)


@mistake(TypeError)
def gradient_of_a_complex_value():
    """a gradient needs a real value, and f gives a complex one; use bp.vjp"""

    def f(x):
        return x * 1j

    bp.grad(f)(1.0)


@mistake(TypeError)
def gradient_in_text():
    """a transform was asked to differentiate with respect to something that is not a number; expected arrays, numbers, Tensors, or containers of them, got str: '0.5'; choose the arguments with argnums=, or pass it through a closure"""
    bp.grad(np.sin)("0.5")


@mistake(TypeError)
def jacobian_of_a_complex_function():
    """jacobian needs a real function of real arguments; use bp.vjp"""
    bp.jacobian(np.exp)(np.array([1j]))


@mistake(ValueError)
def pullback_of_another_shape():
    """a cotangent has the shape of sin's value; expected (2,), got ()"""
    bp.vjp(np.sin, np.ones(2))[1](1.0)


@mistake(ValueError)
def pullback_of_another_structure():
    """two containers that must be alike differ; expected dict of ['a'], got dict of ['b']; give both the same structure: one entry for each, under the same names"""
    bp.vjp(lambda x: {"a": x}, 1.0)[1]({"b": 1.0})


@mistake(ValueError)
def tangent_of_another_shape():
    """jvp needs one tangent per primal, of its shape; expected shapes [(2,)], got [()]"""
    bp.jvp(np.sin, (np.ones(2),), (1.0,))


@mistake(ValueError)
def tangents_too_many():
    """two containers that must be alike differ; expected tuple of [0], got tuple of [0, 1]; give both the same structure: one entry for each, under the same names"""
    bp.jvp(np.sin, (np.ones(2),), (np.ones(2), np.ones(2)))


@mistake(RuntimeError)
def value_that_leaked_from_a_transform():
    """the result depends on a Tensor that leaked out of a finished transform; return it from the transformed function instead of storing it"""
    leaked = []

    def inner(y):
        leaked.append(y)
        return y * y

    bp.grad(lambda x: bp.grad(inner)(x) * leaked[0])(2.0)


@mistake(TypeError)
def gradcheck_of_integers():
    """gradcheck needs at least one floating argument; pass 2.0 rather than 2"""
    bp.gradcheck(np.square, 2)


# ---- rules ---------------------------------------------------------------------------------------------


@mistake(GradientShape)
def rule_of_another_shape():
    """the VJP rule of cube for argument 0 returned a cotangent of the wrong shape; expected shape (2,), got shape (3,); return the argument's shape, or declare broadcasts='elementwise'
    raised in the backward pass through cube
    """
    gradient_by(lambda g, _y, _x: np.ones(3))


@mistake(GradientShape)
def rule_that_returns_nothing():
    """the VJP rule of cube for argument 0 did not return numbers; expected an array of shape (2,), got None; return the cotangent, of zeros if there is none
    raised in the backward pass through cube
    """
    gradient_by(lambda g, _y, _x: None)


@mistake(KeyError)
def rule_that_raises():
    """no such entry; an error of the user's own
    raised in the backward pass through cube
    """
    table = {}
    gradient_by(lambda g, _y, _x: table["no such entry; an error of the user's own"])


@mistake(TypeError)
def rule_that_uses_what_it_disclaims():
    """NumPy: …
    raised in the backward pass through cube; a parameter spelled with a leading underscore has a shape but no value: spell it without
    """
    gradient_by(lambda g, _y, _x: g * 3 * _x**2)


@mistake(TypeError)
def rule_of_too_few_parameters():
    """a rule of cube takes too few parameters; expected g, y and 1 operands, got g; give each rule all the operands, with a leading underscore where it does not need one"""
    cube_with(lambda g: g)


@mistake(TypeError)
def rule_for_a_plain_function():
    """f is a plain function, whose calls nobody sees; expected a function of NumPy or a primitive; decorate it with @bp.primitive: f = bp.primitive(f)"""

    def f(x):
        return x

    bp.defvjp(f, lambda g, _y, _x: g)


@mistake(TypeError)
def rule_that_is_no_function():
    """a VJP rule must be a Python function; got <ufunc 'sin'>; wrap it in a lambda"""
    cube_with(np.sin)


@pytest.mark.parametrize(("make", "kind"), mistake.mistakes)
def test_what_the_user_is_told(make, kind, tmp_path):
    check(make, kind, tmp_path)


def test_an_observed_backward_pass_names_the_users_line_and_the_module():
    class Cubes(bp.nn.Module):
        def forward(self, x):
            return cube_with(lambda g, _y, _x: g["no such part"])(x)

    with bp.observe(), pytest.raises(IndexError) as caught:
        np.sum(bp.nn.Sequential(np.tanh, Cubes())(leaf([1.0, 2.0]))).backward()
    (note,) = caught.value.__notes__
    assert note.startswith("raised in the backward pass through cube, in module 1, recorded at ")
    assert __file__ in note
    assert 'return cube_with(lambda g, _y, _x: g["no such part"])(x)' in note
