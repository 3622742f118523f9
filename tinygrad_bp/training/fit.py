"""`fit`: the loop of mini-batch stochastic gradient descent (T18), with a progress bar and a history.

The one idea is the book's: shuffle, and for each mini-batch forward, cost, backward, step. Read
`backprop/` next, which proves what backward computes.
"""

from __future__ import annotations  # numpy.random is loaded when it is used

import math
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..data import batches
from ..errors import message, outline
from ..nn import Module
from ..tensor import Tensor, constant
from .accuracy import accuracy, classes, count_right, mode
from .history import History


def fit(
    net: Callable,
    data: tuple[Any, Any],
    cost: Callable,
    optimizer: Any,
    epochs: int,
    *,
    test_data: tuple[Any, Any] | None = None,
    batch_size: int = 10,
    rng: np.random.Generator | int | None = None,
    quiet: bool | None = None,
    compile: bool = False,
) -> History:
    """Train: for each mini-batch of data = (x, y), one optimizer step down cost(net(x), y).

    x and y have one row per example; y is what `cost` takes. `rng` shuffles, anew in every epoch.
    `quiet` (by default: unless stderr is a terminal) hides the bar. The net runs in `train` mode.
    `compile`: replay the step as `bp.compile` does; a cost that is not finite is then noticed after it.
    KeyboardInterrupt ends training after the running step; the history so far is returned, marked
    `interrupted`. Raises FloatingPointError, before the step, if the cost is no longer finite.
    Warns of parameters that the first epoch gives no gradient, and of a cost that broadcasts outputs
    of shape (n, 1) with targets of shape (n,), or the other way round, to (n, n).
    """
    x, y = (np.asarray(constant(part)) for part in data)
    if not x.ndim or not y.ndim or len(x) != len(y) or not len(x):
        raise ValueError(message("fit needs one target per example", got=f"shapes {x.shape} and {y.shape}"))
    rng, run = np.random.default_rng(rng), _Run(net, cost, optimizer, y, compile)
    with mode(net, training=True), _bar(epochs * len(x), quiet) as bar, _interrupts() as interrupt:
        try:
            for epoch in range(1, epochs + 1):
                bar.set_description(f"epoch {epoch}/{epochs}")
                run.open_epoch(epoch)
                for batch, rows in batches(x, np.arange(len(x)), batch_size, rng):
                    run.step(batch, rows)
                    if not bar.disable:
                        bar.set_postfix_str(run.so_far(), refresh=False)
                        bar.update(len(rows))
                    if interrupt.is_set():
                        raise KeyboardInterrupt
                run.close_epoch(test_data)
        except KeyboardInterrupt:
            run.history.interrupted = True
    return run.history


class _Run:
    """One call of `fit`: what it works on, its history, and the sums of the epoch that is running."""

    def __init__(self, net, cost, optimizer, y, compile):
        self.compiled = _compiled(net, cost, optimizer) if compile else None
        self.net, self.cost, self.optimizer, self.y = net, cost, optimizer, y
        self.labels = classes(y)
        self.history = History()
        self.missing = list(optimizer.params)  # those that no gradient has reached so far

    def open_epoch(self, epoch):
        self.epoch, self.began = epoch, time.perf_counter()
        self.loss, self.right, self.examples, self.steps = 0.0, 0, 0, 0

    def step(self, batch, rows):
        self.steps += 1
        if self.compiled is None or not self.history.step_losses:
            value, output = self._careful_step(batch, self.y[rows])
        else:
            loss, output = self.compiled(batch, self.y[rows])
            value = _finite(loss.item(), self.epoch, self.steps)
        self.history.step_losses.append(value)
        self.loss += value * len(rows)
        self.examples += len(rows)
        if self.labels is not None:
            self.right += count_right(constant(output), self.labels[rows])

    def _careful_step(self, batch, y):
        output = self.net(batch)
        loss = self.cost(output, y)
        value = _value(loss, self.epoch, self.steps)
        self.optimizer.zero_grad()
        if not self.history.step_losses:
            _warn_of_columns(loss, output, y)
        loss.backward()
        if self.missing:
            self.missing = [p for p in self.missing if p.grad is None]
        self.optimizer.step()
        return value, output

    def close_epoch(self, test_data):
        history = self.history
        if self.missing:
            _warn_of_missing_gradients(self.net, self.missing)
            self.missing = []
        history.seconds.append(time.perf_counter() - self.began)
        history.loss.append(self.loss / self.examples)
        if self.labels is not None:
            history.accuracy.append(self.right / self.examples)
        if test_data is not None:
            history.test_accuracy.append(accuracy(self.net, *test_data))

    def so_far(self):
        text = f"loss {self.loss / self.examples:.4g}"
        if self.labels is not None:
            text += f", accuracy {self.right / self.examples:.1%}"
        if self.history.test_accuracy:
            text += f", test {self.history.test_accuracy[-1]:.1%}"
        return text


def _compiled(net, cost, optimizer):
    """One step, which reaches nothing but its net, its cost and its optimizer."""
    from ..compiler import compile  # not at import time: `import tinygrad_bp` stays light

    def step(batch, y):
        output = net(batch)
        loss = cost(output, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, output

    return compile(step)


def _value(loss, epoch, step):
    """The cost as a number, if a step can be made from it."""
    if type(loss) is not Tensor or not loss.requires_grad:
        raise TypeError(
            message(
                "the cost of this net records nothing, so there is nothing to train",
                expected="a Tensor computed from parameters with requires_grad=True, outside bp.no_grad()",
                got=type(loss).__name__,
            )
        )
    if loss.size != 1:
        raise ValueError(
            message("the cost is not one number", got=outline(loss), do="take its mean: np.mean(cost)")
        )
    return _finite(loss.item(), epoch, step)


def _finite(value, epoch, step):
    if not math.isfinite(value):
        raise FloatingPointError(
            message(
                f"the cost is {value} in epoch {epoch}, step {step}",
                do="use a smaller learning rate, or look for NaN and infinity in the data",
            )
        )
    return value


def _warn_of_missing_gradients(net, missing):
    names = {id(p): name for name, p in net.named_parameters()} if isinstance(net, Module) else {}
    warnings.warn(
        message(
            f"no gradient reaches {', '.join(names.get(id(p)) or repr(p) for p in missing)}",
            do="the cost does not depend on it: leave it out of the optimizer, or use it in the net",
        ),
        stacklevel=4,
    )


def _warn_of_columns(loss, output, y):
    """A cost of n outputs and n targets that compares each with each, since one of them is a column."""
    n = len(y)
    if n < 2 or {np.shape(output), y.shape} != {(n,), (n, 1)}:
        return
    todo, seen = [loss._node], set()
    while todo:
        node = todo.pop()
        if node is None or node.op is None or node in seen:
            continue
        seen.add(node)
        todo += node.parents
        shapes = {p.shape for p in node.parents if p is not None}  # of the output; the target is a constant
        if None in node.parents and node.shape == (n, n) and shapes == {np.shape(output)}:
            warnings.warn(
                message(
                    f"the cost broadcasts outputs of shape {np.shape(output)} and targets of shape {y.shape} "
                    f"to {(n, n)} in {node.op.name}, each output with every target",
                    do="give both one shape, as in y[:, None], or use bp.nn.functional.mse_loss",
                ),
                stacklevel=5,
            )
            return


def _bar(total, quiet):
    """tqdm's bar of examples."""
    from tqdm import tqdm  # not at import time: `import tinygrad_bp` stays light

    if quiet is None:
        quiet = sys.stderr is None or not sys.stderr.isatty()
    return tqdm(total=total, unit=" examples", unit_scale=True, disable=quiet)


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that no step is left half done; a second Ctrl-C interrupts at once."""
    wanted = threading.Event()
    python_default = signal.default_int_handler
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not python_default
    ):
        yield wanted
        return

    def remember(number, frame):
        signal.signal(signal.SIGINT, python_default)
        wanted.set()

    signal.signal(signal.SIGINT, remember)
    try:
        yield wanted
    finally:
        signal.signal(signal.SIGINT, python_default)
