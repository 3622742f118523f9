"""Pictures: the graph of a computation, its layers, values and gradients; learning curves.

The one idea: nothing is computed for show. A drawing reads the recorded graph, or what
`bp.observe` saw of a real run; a plot reads the history that training returned. Matplotlib is
imported only when a plot is asked for. Read `vertices.py` next.
"""

from .graph import graph
from .histograms import plot_activations, plot_gradients
from .images import plot_confusion, plot_decision_regions, plot_weights
from .neurons import draw_net
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
    "draw_net",
    "draw_paths",
    "draw_spread",
    "draw_weight",
    "graph",
    "plot_activations",
    "plot_confusion",
    "plot_curves",
    "plot_decision_regions",
    "plot_delta_norms",
    "plot_effort",
    "plot_gradients",
    "plot_learning_curve",
    "plot_step_errors",
    "plot_weights",
    "program",
    "render",
    "stepper",
]
