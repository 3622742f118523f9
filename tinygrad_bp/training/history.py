"""`History`: what a training run was like. Read `fit.py` next."""

from dataclasses import dataclass, field


@dataclass(repr=False)
class History:
    """What `fit` returns: lists with one entry per completed epoch.

    `loss`: mean cost over the epoch's examples, each before the step that used it; `accuracy`:
    likewise (empty if the targets are not classes); `test_accuracy`: after the epoch (empty without
    test data); `seconds`: for its training. `step_losses`: the cost of every step.
    `interrupted`: was training ended by KeyboardInterrupt?
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    test_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    step_losses: list[float] = field(default_factory=list)
    interrupted: bool = False

    def __repr__(self):
        facts = [f"{len(self.loss)} epochs", f"{sum(self.seconds):.1f} s"]
        for name in ("loss", "accuracy", "test_accuracy"):
            facts += [f"{name} {value:.4g}" for value in getattr(self, name)[-1:]]
        return f"History({', '.join(facts)}{', interrupted' if self.interrupted else ''})"
