"""Rules of SciPy's functions that are computed in double precision, whatever the dtype of the arguments.

The one idea: what cancels needs more digits than halves and singles have, and the value that was rounded to
them would spoil it, so that both the value and the slope are computed anew. Read `gamma.py` next.
"""

import numpy as np
from scipy import special

from ..errors import NotDifferentiable, message
from ..primitive import defvjp

NOT_ANALYTIC = (special.ive, special.jve, special.yve)


def in_double(f, *slopes):
    """Declare ∂f/∂xᵢ = slopesᵢ(y, x, …), computed in double precision; NaN where f is.

    Of halves and singles the value y is computed anew: rounded, it would spoil what cancels.
    """
    defvjp(f, *(slope if slope in (_order, _parameter) else _rule(f, slope) for slope in slopes))


def _rule(f, slope):
    def rule(g, y, *args):
        if f in NOT_ANALYTIC and y.dtype.kind == "c":
            raise _no_rule("of this function at complex numbers, where it is not analytic")
        xs = [_double(a) for a in args]
        precise = slope(y if y.dtype.char in "dD" else f(*xs), *xs)
        return g * np.where(np.isnan(y), y, precise.astype(y.dtype, copy=False))

    few = (lambda g, y, a: rule(g, y, a), lambda g, y, a, b: rule(g, y, a, b))
    more = (lambda g, y, a, b, c: rule(g, y, a, b, c), lambda g, y, a, b, c, d: rule(g, y, a, b, c, d))
    return (few + more)[slope.__code__.co_argcount - 2]


def _double(x):
    """x in double precision."""
    return x if isinstance(x, (int, float, complex)) else x.astype(np.promote_types(x.dtype, "d"), copy=False)


def _at(places, *args):
    """The arguments at these places, for the forward of a primitive; what is one number stays one."""
    return [a if np.ndim(a) == 0 else np.broadcast_to(a, places.shape)[places] for a in args]


def _no_rule(what):
    return NotDifferentiable(
        message(f"no derivative is known {what}", do="pass a constant there, or its .data")
    )


def _order(g, _y, _a, _b, _c=None, _z=None):
    raise _no_rule("in the order of this function")


def _parameter(g, _y, _a, _b, _x):
    raise _no_rule("in the parameters a and b of betainc")
