"""Costs as Modules, under PyTorch's names; each is the function of `functional.py`.

Read `optim/sgd.py` next.
"""

from typing import Any

from . import functional as F
from .module import Module


class _Loss(Module):
    def __init__(self, reduction: str = "mean"):
        self.reduction = reduction

    def describe(self) -> str:
        """The reduction."""
        return f"reduction={self.reduction!r}"


class MSELoss(_Loss):
    """Mean of (input − target)²."""

    def forward(self, input: Any, target: Any) -> Any:
        """See `functional.mse_loss`."""
        return F.mse_loss(input, target, reduction=self.reduction)


class CrossEntropyLoss(_Loss):
    """Mean of −log softmax(input)[target], for logits."""

    def forward(self, input: Any, target: Any) -> Any:
        """See `functional.cross_entropy`."""
        return F.cross_entropy(input, target, reduction=self.reduction)


class BCELoss(_Loss):
    """Mean of −(t log p + (1 − t) log(1 − p)), for probabilities."""

    def forward(self, input: Any, target: Any) -> Any:
        """See `functional.binary_cross_entropy`."""
        return F.binary_cross_entropy(input, target, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Mean of −(t log σ(z) + (1 − t) log(1 − σ(z))), for logits."""

    def forward(self, input: Any, target: Any) -> Any:
        """See `functional.binary_cross_entropy_with_logits`."""
        return F.binary_cross_entropy_with_logits(input, target, reduction=self.reduction)
