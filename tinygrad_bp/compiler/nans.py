"""Where to look for a NaN, so that few numbers tell of all.

The one idea: a NaN spreads. Where the sweep looks whether a NaN has met a zero cotangent, a replay looks
at what it is about to return or write; and of that it leaves out a large product, a weight's gradient
δᵀa, or a sum of such, if a NaN in δ or a would be found in something smaller, such as the sum of δ. Read
`codegen.py` next.
"""

import math

import numpy as np

from .places import is_product, is_view
from .program import Program, Var

SPREADING = frozenset({
    np.add, np.subtract, np.multiply, np.true_divide, np.negative, np.square, np.exp, np.log, np.sqrt, np.tanh,
    np.reciprocal, np.sum, np.mean, np.vdot, np.dot, np.matmul, np.transpose, np.reshape,
})  # fmt: skip
"""Functions that make a NaN of a NaN, wherever in an argument it stands."""


def telling(program: Program, values: list[Var]) -> list[Var]:
    """Those of `values` that have a NaN if any of them has one that an elementwise rule has made or been given."""
    kept = list(values)
    for v in sorted(values, key=lambda v: -math.prod(v.shape)):
        rest = [u for u in kept if u is not v]
        if v in _heard_of(rest, program):
            kept = rest
    return kept


def _heard_of(values, program):
    """All Vars whose NaNs, if they come from such a rule, are heard of in `values`. A NaN that is given does not."""
    heard = set(values)
    for call in reversed(program.calls):
        if call.out in heard and call.function in SPREADING and not call.several:
            heard.update(call.inputs())
    heard.update(program.inputs, program.state)
    for call in program.calls:
        linear = is_product(call) or is_view(call) or call.function in (np.add, np.subtract)
        if linear and heard.issuperset(call.inputs()):
            heard.add(call.out)
    return heard
