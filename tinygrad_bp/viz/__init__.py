"""Pictures: the graph of a computation, its layers, values and gradients; learning curves.

The one idea: nothing is computed for show. A drawing reads the recorded graph, or what
`bp.observe` saw of a real run; a plot reads the history that training returned. Matplotlib is
imported only when a plot is asked for. Read `vertices.py` next.
"""

from .graph import graph
from .plots import plot_curves, plot_delta_norms, plot_effort, plot_learning_curve, plot_step_errors
from .program import program
from .render import Picture, render
from .stepper import stepper
from .textbook import draw_bp4, draw_cost, draw_demon, draw_paths, draw_spread, draw_weight

__all__ = [
    "Picture",
    "draw_bp4",
    "draw_cost",
    "draw_demon",
    "draw_paths",
    "draw_spread",
    "draw_weight",
    "graph",
    "plot_curves",
    "plot_delta_norms",
    "plot_effort",
    "plot_learning_curve",
    "plot_step_errors",
    "program",
    "render",
    "stepper",
]
