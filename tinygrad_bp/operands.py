"""What stands in a call of NumPy's besides Tensors: lists, constants, and what a rule gets to know of them.

The one idea: a Tensor where no derivative is declared must not record unseen, so lists and keywords are
looked through before a function runs, and those that cannot hold one are let through at once. Read
`tensor.py` next.
"""

import numpy as np

from .errors import NotDifferentiable, message
from .methods import ArrayMethods, constants, records, tensors_in
from .primitive import DuckArray, Outline, array_of

ARRAYS = (np.ndarray, np.generic, DuckArray)
RESULTS = (*ARRAYS, tuple, list, int, float, complex, str, type(None))
LISTS, _INTEGERS = frozenset([list, tuple]), frozenset([int])


def as_arrays(op, args):
    """Lists as the arrays that NumPy makes of them, Tensors and all, where a derivative is declared; elsewhere constants."""
    if LISTS.isdisjoint(map(type, args)):
        return args
    declared = [any(op.rules[i : i + 1]) for i in range(len(args))]
    return tuple(
        a if type(a) not in LISTS else array_of(a) if d else undifferentiated(op, "a list", a)
        for a, d in zip(args, declared)
    )


def plain(v):
    """Is v certainly without a Tensor: no container, or a tuple of ints, such as a shape?"""
    return not isinstance(v, ArrayMethods) if type(v) not in LISTS else _INTEGERS.issuperset(map(type, v))


def undifferentiated(op, place, value):
    """`value` without its Tensors, which must not record where no rule is declared."""
    if any(map(records, tensors_in([value]))):
        raise NotDifferentiable(
            message(
                f"{op.name} was given a Tensor that records in {place}, where no derivative is declared",
                do="pass np.stack of a list, declare a rule for it (sequence=0 for a list), or pass its .data",
            )
        )
    return constants(value)


def stand_in(op, kwargs):
    """What is differentiated in the op's place, as one of these keywords records; None if none does."""
    for name, f in op.composites.items():
        if any(map(records, tensors_in([kwargs.get(name)]))):
            return f
    return None


def outline_of(v, op):
    """What a rule gets for a constant that it does not need: the shape of an array, or the number itself."""
    if isinstance(v, (np.ndarray, DuckArray)):
        return Outline(v.shape, v.dtype)
    return v if op.sequence is None else Outline(np.shape(v), None)


def bare(y):
    """A constant Tensor's array; anything else as it is."""
    return y._data if isinstance(y, ArrayMethods) and y._node is None else y


def result_of(y, op, level, several=True):
    """What a forward returned, checked: a Python number becomes NumPy's, and nothing records unseen."""
    if type(y) is np.ndarray:
        return y
    if isinstance(y, ArrayMethods) and y._node is not None and y._node.level >= level:
        what, do = "used a Tensor that records without being given it", "pass it as an argument"
    elif isinstance(y, dict) or (isinstance(y, (tuple, list)) and not several):
        what, do = f"returned a {type(y).__name__} of arrays", "return an array, or a tuple of arrays"
    elif not isinstance(y, RESULTS):
        what, do = f"returned a {type(y).__name__}, no ndarray", "use arrays, as a.toarray() of a sparse one"
    else:
        return np.asarray(y)[()] if isinstance(y, (float, complex)) else bare(y)
    raise NotDifferentiable(message(f"the forward function of {op.name} {what}", do=do))
