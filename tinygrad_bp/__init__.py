"""tinygrad_bp: reverse-mode automatic differentiation of plain NumPy, and backpropagation proved by it.

    import numpy as np, tinygrad_bp as bp
    bp.grad(lambda x: np.sum(np.sin(x) ** 2))(np.array([0.0, 1.0]))

Read `backward.py` first: its first function is the chain rule. `ops/` is the table of derivatives.
"""

from . import data, io, nn, ops, optim, training, tree, writers  # noqa: F401 (writers teaches NumPy's)
from .anomaly import detect_anomaly
from .check import GradcheckError, gradcheck
from .checkpoint import checkpoint
from .creators import ones, tensor, zeros
from .derivatives import hessian, jacobian, per_example_grad
from .errors import FreedGraph, GradientShape, NotDifferentiable
from .observe import observe
from .primitive import composite, defvjp, nondifferentiable, primitive, refused
from .tensor import Tensor
from .transforms import elementwise_grad, gnvp, grad, hvp, jvp, no_grad, value_and_grad, vjp

__version__ = "0.1.0"

_LATER = ("backprop", "cli", "compiler", "viz")  # rooms that are opened when first used


def __getattr__(name):
    if name in _LATER:
        import importlib

        return importlib.import_module(f".{name}", __name__)
    if name == "compile":
        from .compiler import compile

        return compile
    if name == "explain":
        from .derivation import explain

        return explain
    raise AttributeError(f"module 'tinygrad_bp' has no attribute {name!r}")


def __dir__():
    return sorted({*__all__, *_LATER})


__all__ = [
    "FreedGraph", "GradcheckError", "GradientShape", "NotDifferentiable", "Tensor", "backprop",
    "checkpoint", "compile", "compiler", "composite", "data", "defvjp", "detect_anomaly",
    "elementwise_grad", "explain", "gnvp", "grad", "gradcheck", "hessian", "hvp", "io", "jacobian", "jvp",
    "nn", "no_grad", "nondifferentiable", "observe", "ones", "ops", "optim", "per_example_grad",
    "primitive", "refused", "tensor", "training", "tree", "value_and_grad", "viz", "vjp", "zeros",
]  # fmt: skip
