"""The textbook: BP1–BP4 by hand, and the proof that the generic engine computes just these.

    print(bp.backprop.verify(net, x, y, cost))

Read `equations.py` first, then `notation.py` and `verify.py`.
"""

from . import equations
from .differences import WeightCheck, WeightRow, check_weights
from .equations import Equations
from .network import FiveSteps, Network, SpeedUp, pairs, speed_up
from .notation import Notation, delta_norms, notation
from .report import Report, Row
from .verify import verify

__all__ = [
    "Equations",
    "FiveSteps",
    "Network",
    "Notation",
    "Report",
    "Row",
    "SpeedUp",
    "WeightCheck",
    "WeightRow",
    "check_weights",
    "delta_norms",
    "equations",
    "notation",
    "pairs",
    "speed_up",
    "verify",
]
