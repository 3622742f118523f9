"""The words in which errors speak: what happened; expected …, got …; what to do.

Errors keep Python's own kinds (TypeError, ValueError, RuntimeError), so that `except` clauses
written for NumPy go on working. Read `primitive.py` next.
"""


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
