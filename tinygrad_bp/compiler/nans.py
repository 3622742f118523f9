"""Where to look for a NaN, so that few numbers tell of all.

The one idea: a NaN spreads. Where the sweep looks whether a NaN has met a zero cotangent, a replay looks
at what it is about to return or write; and of that it leaves out a large product, a weight's gradient
δᵀa, if a NaN in δ or a would be found in something smaller, such as the sum of δ. Read `codegen.py` next.
"""

import math

import numpy as np

from .places import is_product, seen_by
from .program import Program, Var

SPREADING = frozenset({
    np.add, np.subtract, np.multiply, np.true_divide, np.negative, np.square, np.exp, np.log, np.sqrt, np.tanh,
    np.reciprocal, np.sum, np.mean, np.vdot, np.dot, np.matmul, np.transpose, np.reshape,
})  # fmt: skip
"""Functions that make a NaN of a NaN, wherever in an argument it stands."""


def telling(program: Program, values: list[Var]) -> list[Var]:
    """Those of `values` that have a NaN if any of them has one that an elementwise rule has made or been given."""
    made = {v: call for call in program.calls for v in call.outs}

    def told(v, heard):
        """Would a NaN in v be heard of? One that is given does not come from a rule."""
        whole = seen_by(v, made)
        return v in heard or type(whole) is not Var or whole in heard or whole not in made

    kept = list(values)
    for v in sorted(values, key=lambda v: -math.prod(v.shape)):
        if v in made and is_product(made[v]):
            rest = [u for u in kept if u is not v]
            heard = _spreading_to(rest, program)
            if all(told(u, heard) for u in made[v].inputs()):
                kept = rest
    return kept


def _spreading_to(values, program):
    """All Vars in which a NaN would be one in some of `values`, too."""
    heard = set(values)
    for call in reversed(program.calls):
        if call.out in heard and call.function in SPREADING and not call.several:
            heard.update(call.inputs())
    return heard
