"""The textbook: BP1–BP4 by hand, and the proof that the generic engine computes just these.

    print(bp.backprop.verify(net, x, y, cost))

Read `equations.py` first, then `notation.py` and `verify.py`.
"""

from . import effort, equations, paths
from .check_student import StudentReport, StudentRow, check_backprop
from .conventions import Ng, Table, as_ng, as_nn, check_ng, dictionary, element, run_table
from .costs import check_cost, demon, good_demon
from .diagnose import Diagnosis, Finding, LayerHealth, diagnose
from .differences import WeightCheck, WeightRow, check_weights
from .equations import Equations
from .experiments import Curves, choices_of_sigma, learning_curves, saturated_start
from .matrix_form import forms, slowdown
from .network import FiveSteps, Network, SpeedUp, pairs, speed_up
from .notation import Notation, delta_norms, notation
from .proofs import Step, between, chain_rule, steps
from .report import Report, Row
from .verify import verify

__all__ = [
    "Curves",
    "Diagnosis",
    "Equations",
    "Finding",
    "FiveSteps",
    "LayerHealth",
    "Network",
    "Ng",
    "Notation",
    "Report",
    "Row",
    "SpeedUp",
    "Step",
    "StudentReport",
    "StudentRow",
    "Table",
    "WeightCheck",
    "WeightRow",
    "as_ng",
    "as_nn",
    "between",
    "chain_rule",
    "check_backprop",
    "check_cost",
    "check_ng",
    "check_weights",
    "choices_of_sigma",
    "delta_norms",
    "demon",
    "diagnose",
    "dictionary",
    "effort",
    "element",
    "equations",
    "forms",
    "good_demon",
    "learning_curves",
    "notation",
    "pairs",
    "paths",
    "run_table",
    "saturated_start",
    "slowdown",
    "speed_up",
    "steps",
    "verify",
]
