"""The words in which errors speak: what happened; expected …, got …; what to do.

Errors keep Python's own kinds (TypeError, ValueError, RuntimeError), so that `except` clauses
written for NumPy go on working. NumPy's own errors stay as they are, too; a note says in which op,
on which operands. Read `primitive.py` next.
"""

import numpy as np

from .frames import users_frame, variable


class NotDifferentiable(TypeError):
    """A function was given a Tensor that records, and no rule says how to differentiate it."""


class FreedGraph(RuntimeError):
    """A backward pass reached a part of the graph that an earlier backward pass has freed."""


class GradientShape(ValueError):
    """A VJP rule returned a cotangent that does not fit its argument."""


def message(what, *, expected=None, got=None, do=None):
    """One sentence in the house's order: what happened; expected …, got …; what to do."""
    parts = [what]
    if expected is not None:
        parts.append(f"expected {expected}" + (f", got {got}" if got is not None else ""))
    elif got is not None:
        parts.append(f"got {got}")
    if do is not None:
        parts.append(do)
    return "; ".join(parts)


ABSENT = {
    **{
        name: f"use t.data.{name}, which carries no gradient"
        for name in (
            "base", "byteswap", "ctypes", "device", "dump", "dumps", "flags", "getfield", "setfield", "setflags", "strides",
            "to_device", "tobytes", "tofile", "__dlpack__", "__dlpack_device__",
        )
    },
    "flat": "use t.ravel(), or t[...] = values",
    "resize": "use np.resize(t, shape), which makes a new one",
    "view": "use t[...] for a view, t.astype(dtype) for another dtype, or t.data.view(dtype) without gradient",
}  # fmt: skip
"""What an array has and a Tensor has not -> what to use."""


def absent(name):
    """The property of a Tensor that says what to use instead of the attribute `name`."""

    def refuse(self):
        raise AttributeError(message(f"a Tensor has no {name}", do=ABSENT[name]))

    return property(refuse, doc=f"Not of Tensors: {ABSENT[name]}.")


# ---- what was computed when an error came up, and where -------------------------------------------------

_ADVICE = {
    "broadcast": "shapes fit if, counted from the last axis, lengths are equal or one of them is 1",
    "core dimension": "the last axis of the first must be as long as the last but one of the second",
    "not aligned": "the last axis of the first must be as long as the last but one of the second",
}  # words of NumPy's -> what they ask for


def raised_in(error, op, operands, kwargs):
    """`error`, with a note of the op and its operands: one note, also where ops are made of others."""

    frame = users_frame()
    given = [outline(x, variable(x, frame)) for x in operands]
    given += [f"{name}={outline(value)}" for name, value in kwargs.items()]
    note = f"raised in {op.name}({', '.join(given)})"
    advice = next((advice for words, advice in _ADVICE.items() if words in str(error)), None)
    notes = getattr(error, "__notes__", [])
    former = [old for old in notes if old.startswith("raised in ") and "backward pass" not in old]
    if any(not old.startswith(f"raised in {op.name}(") for old in former):
        return error  # an op in the op has told more
    for old in former:  # the same op for an outer transform, which does not know the user's names
        notes.remove(old)
    error.add_note(note if advice is None else message(note, do=advice))
    return error


def only_numbers(y):
    """y, which may be no masked array, matrix, or array of objects: gradients, or masks, would be lost."""
    odd = y.dtype.kind == "O" if type(y) is np.ndarray else isinstance(y, (np.ma.MaskedArray, np.matrix))
    if not odd:
        return y
    raise TypeError(
        message(
            "an operation on a Tensor met another kind of array", expected="ndarrays of numbers",
            got=f"a {type(y).__name__} of dtype {y.dtype}",
            do="give it np.asarray(a, float), np.stack of a list of Tensors, or np.where for a mask",
        )
    )  # fmt: skip


def outline(x, name=None):
    """An array or Tensor in a few words, whatever its size; anything else in its own."""
    if isinstance(x, (list, tuple)) and len(x) <= 8:
        inside = ", ".join(map(outline, x))
        return f"[{inside}]" if isinstance(x, list) else f"({inside}{',' * (len(x) == 1)})"
    if isinstance(x, np.dtype) or not isinstance(getattr(x, "shape", None), tuple):
        told = (int, float, complex, str, slice, type(None), np.dtype)
        return repr(x) if isinstance(x, told) else type(x).__name__
    name = getattr(x, "name", None) or name
    op = getattr(getattr(x, "_node", None), "op", None)
    kind = "number" if isinstance(x, np.generic) else type(x).__name__
    text = f"{x.dtype} {kind} of shape {x.shape}" + (f" from {op.name}" if op else "")
    return f"{name}: {text}" if name else text


def no_rule(fn, advice=None):
    """The error of a function that was refused, with an advice, or that the registry does not know."""
    name = getattr(fn, "__name__", repr(fn))
    home = (getattr(fn, "__module__", None) or "").split(".")
    if isinstance(fn, np.ufunc):
        home = ["numpy"] if getattr(np, name, None) is fn else []
    if home and home[0] == "numpy":
        name = ".".join(["np", *home[1:], name])
    if isinstance(getattr(fn, "__self__", None), np.ufunc):
        name = f"np.{fn.__self__.__name__}.{name}"
    if advice is not None:
        return NotDifferentiable(message(f"{name} of a Tensor cannot be differentiated", do=advice))
    return NotDifferentiable(
        message(
            f"{name} has no derivative rule yet, and this Tensor records",
            do=f"declare one with bp.defvjp({name}, lambda g, y, x: …), say that the result is locally "
            f"constant with bp.nondifferentiable({name}), or pass t.data if no gradient is wanted",
        )
    )
