"""The words in which errors speak: what happened; expected …, got …; what to do.

Errors keep Python's own kinds (TypeError, ValueError, RuntimeError), so that `except` clauses
written for NumPy go on working. Read `primitive.py` next.
"""

import numpy as np


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


def no_rule(fn, advice=None):
    """The error of a function that was refused, with an advice, or that the registry does not know."""
    name = getattr(fn, "__name__", repr(fn))
    if isinstance(getattr(fn, "__self__", None), np.ufunc):
        name = f"{fn.__self__.__name__}.{name}"
    if advice is not None:
        return NotDifferentiable(message(f"{name} of a Tensor cannot be differentiated", do=advice))
    return NotDifferentiable(
        message(
            f"{name} has no derivative rule yet, and this Tensor records",
            do=f"declare one with bp.defvjp({name}, lambda g, y, x: …), say that the result is locally "
            f"constant with bp.nondifferentiable({name}), or pass t.data if no gradient is wanted",
        )
    )
