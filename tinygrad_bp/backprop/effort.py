"""Why backprop is fast: passes, multiply–adds and seconds, counted and measured on your own net.

Here you can get one gradient in four ways and see what each takes (`ways`), have a table for growing
nets (`growing`), and see how far differences can be trusted at all (`errors_by_step`).

The one idea: a difference (Nielsen ch. 2, eq. 46) or a forward-mode pass asks what *one* parameter does
to the cost; a backward pass asks what the cost wants of *all*. So one way takes a pass per parameter,
the other takes one. Nothing is taken from a formula: calls of the net are counted, and multiply–adds
are read off the products that ran, in the rules too, which are recorded when their cotangent is a
Tensor. Read `diagnose.py` next.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from .. import tree
from ..backward import Watch, sweep
from ..errors import message
from ..nn import MLP, Module
from ..nn.functional import quadratic_cost
from ..observe import observe
from ..tensor import Tensor, constant
from ..transforms import jvp, no_grad
from .conventions import Table
from .notation import as_rows, notation
from .verify import deviation

AT_LEAST = 1e-3
"""Seconds that a clock can be trusted with; what takes less is repeated within each round."""


def seconds(runs: Mapping[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """The median seconds of one call of each run; every round goes through all of them in turn.

    So a machine that slows down slows all of them down. Two more calls of each come first, to warm up.

    >>> import numpy as np
    >>> sorted(seconds({"sum": np.ones(10).sum, "sort": np.ones(10).sort}, rounds=1))
    ['sort', 'sum']
    """
    once = {name: min(_time(run, 1), _time(run, 1)) for name, run in runs.items()}
    calls = {name: max(1, round(AT_LEAST / (time + 1e-9))) for name, time in once.items()}
    times = [{name: _time(run, calls[name]) for name, run in runs.items()} for _ in range(rounds)]
    return {name: float(np.median([time[name] for time in times])) for name in runs}


def _time(run, calls):
    start = perf_counter()
    for _ in range(calls):
        run()
    return (perf_counter() - start) / calls


def multiply_adds(nodes: Iterable[Any]) -> int:
    """How many multiply–adds the matrix products among observed nodes took: m n k for (m, k) @ (k, n)."""
    products = [seen for seen in nodes if seen.op in ("matmul", "dot")]
    return sum(seen.value.size * seen.parents[0].shape[-1] for seen in products)


class Counted:
    """The cost of a copy of `net`, a Module, with four ways to its gradient; arguments as for `verify`.

    A gradient is one array, in the order of `places`: (number of the parameter, index in it). `passes`
    counts forward passes, `multiply_adds` counts those of the whole batch, forward and backward.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.MLP([3, 5, 2], rng=0, dtype=np.float64)
    >>> C = Counted(net, np.ones(3), np.ones(2), bp.nn.functional.quadratic_cost)
    >>> C.backprop().shape, C.passes, C.multiply_adds     # 3F − n_1 n_2, with F = 15 + 10
    ((32,), 1, 60)
    """

    def __init__(self, net: Module, x: Any, y: Any, cost: Callable):
        if not isinstance(net, Module):
            what = "parameters are moved on a copy of the net, which must be a Module"
            raise ValueError(message(what, got=repr(net)))
        book = notation(net, x, y, cost)
        self.sizes, self.m, self.forward = book.sizes, book.m, multiply_adds(book.run)
        self.net, self.cost = copy.deepcopy(net), cost
        x, self.y = as_rows(net, x, y)
        self.x = Tensor(x)
        self.parameters, self.rebuild = tree.flatten(self.net)
        self.size = sum(p.size for p in self.parameters)
        self.passes = self.multiply_adds = 0

    @property
    def places(self) -> list[tuple[int, int]]:
        """Where each element of a gradient belongs."""
        return [(n, i) for n, p in enumerate(self.parameters) for i in range(p.size)]

    def __call__(self, *parameters: Any) -> Any:
        """C, with other parameters if they are given."""
        self.passes += 1
        net = self.rebuild(list(parameters)) if parameters else self.net
        return self.cost(net(self.x), self.y)

    def moved(self, place: tuple[int, int], step: float) -> float:
        """C(w + step e), the parameter at `place` being moved, and put back."""
        array, i = self.parameters[place[0]].data, place[1]
        value = array.flat[i]
        array.flat[i] = value + step
        with no_grad():
            C = constant(self()).item()
        array.flat[i] = value
        self.multiply_adds += self.forward
        return C

    def backprop(self) -> np.ndarray:
        """∇C by one forward pass and one sweep of the engine."""
        with observe() as run:
            loss = self()
            one = Tensor(np.ones(loss.shape, loss.dtype), requires_grad=True)
            found = sweep({loss._node: one}, False, Watch())
        self.multiply_adds += multiply_adds(run)
        return np.concatenate([constant(found[p._node]).ravel() for p in self.parameters])

    def differences(self, step: float = 1e-6, central: bool = False, places: Any = None) -> np.ndarray:
        """(C(w + ε e) − C(w))/ε, eq. 46, or by two nearby values, (C(w + ε e) − C(w − ε e))/2ε."""
        places = self.places if places is None else places
        if central:
            return np.array([self.moved(p, step) - self.moved(p, -step) for p in places]) / (2 * step)
        return (np.array([self.moved(p, step) for p in places]) - self.moved((0, 0), 0.0)) / step

    def forward_mode(self) -> np.ndarray:
        """∇C by one `bp.jvp` along the unit vector of each parameter."""
        arrays, slopes = [p.data for p in self.parameters], []
        for n, i in self.places:
            units = [np.zeros_like(array) for array in arrays]
            units[n].flat[i] = 1
            with observe() as run:
                slope = jvp(self, arrays, [Tensor(unit, requires_grad=True) for unit in units])[1]
            slopes.append(constant(slope).item())
            self.multiply_adds += multiply_adds(run)
        return np.array(slopes)


def ways(net: Module, x: Any, y: Any, cost: Callable, step: float = 1e-6) -> Table:
    """What each way to ∇C takes, and how far it comes out from backprop; ε = `step`, arguments as for `verify`.

    Three of the four take a pass per parameter, so the net should have no more than some thousands.
    """
    C = Counted(net, x, y, cost)
    gradient, rows = C.backprop(), []
    for name, run in {
        "backprop": C.backprop,
        "differences (46)": lambda: C.differences(step),
        "two nearby values": lambda: C.differences(step, central=True),
        "forward mode": C.forward_mode,
    }.items():
        C.passes = C.multiply_adds = 0
        off = deviation(run(), gradient)
        rows.append((name, C.passes, C.multiply_adds, off))
    header = ("way to the gradient", "forward passes", "multiply–adds", "deviation from backprop")
    return Table(f"The derivatives of C in {gradient.size:,} parameters", header, tuple(rows))


HEADER = ("net", "parameters", "passes by (46)", "by backprop", "multiply–adds by (46)", "by backprop",
          "3F − n₁n₂", "per F", "seconds by (46)", "by backprop", "ratio")  # fmt: skip
GROWING = (8, 6, 6, 1), (20, 20, 20, 8), (64, 80, 50, 10), (784, 100, 100, 10), (784, 700, 500, 200)


def growing(cases: Iterable[tuple] | None = None, measure_up_to: int = 100_000, rng: Any = 0) -> Table:
    """A row per case (net, x, y, cost): what one gradient takes by (46), and by backprop.

    Multiply–adds are for one example, per F in forward passes. By default fresh nets of about 10², …, 10⁶
    parameters and one random example. Beyond `measure_up_to` parameters, the seconds of (46) are those of
    one pass times the passes, and marked "extrapolated".
    """
    rng = np.random.default_rng(rng)
    fresh = (
        (MLP(list(n), rng=rng, dtype=np.float64), rng.random(n[0]), rng.random(n[-1]), quadratic_cost)
        for n in GROWING
    )
    rows = tuple(_row(Counted(*case), measure_up_to) for case in cases or fresh)
    return Table("One gradient by (46) and by backprop", HEADER, rows)


def _row(C, measure_up_to):
    C.backprop()
    F, both, count = C.forward // C.m, C.multiply_adds // C.m, C.size
    once = seconds({"pass": lambda: C.moved((0, 0), 0.0), "backprop": lambda: C().backward()})
    if count <= measure_up_to:
        slow, note = _time(C.differences, 1), ""
    else:
        slow, note = once["pass"] * (count + 1), " extrapolated"
    net, formula = "-".join(map(str, C.sizes)), 3 * F - C.sizes[0] * C.sizes[1]
    counted = count, count + 1, 1, (count + 1) * F, both, formula, both / F
    return net, *counted, f"{slow:.3g}{note}", once["backprop"], slow / once["backprop"]


@dataclass(frozen=True)
class StepErrors:
    """max|difference − backprop| / max|∇C| for each step ε: one-sided (46), and by two nearby values."""

    steps: np.ndarray
    one_sided: np.ndarray
    central: np.ndarray
    dtype: str

    def __str__(self) -> str:
        both = {"one-sided (46)": self.one_sided, "two nearby values": self.central}
        rows = [(name, float(e.min()), float(self.steps[e.argmin()])) for name, e in both.items()]
        return str(Table(f"Differences in {self.dtype}", ("", "smallest error", "at ε"), tuple(rows)))


def errors_by_step(
    net: Module, x: Any, y: Any, cost: Callable, steps: Any = None, n: int = 20, rng: Any = 0
) -> StepErrors:
    """How wrong (46) is, by ε: truncation grows with ε (with ε² for nearby values), rounding with 1/ε.

    For n parameters drawn by `rng`, in the net's own dtype; `steps`: 10⁻¹⁵ … 1 by default.
    """
    C = Counted(net, x, y, cost)
    gradient = C.backprop()
    steps = np.logspace(-15, 0, 46) if steps is None else np.asarray(steps, np.float64)
    chosen = np.random.default_rng(rng).permutation(C.size)[:n]
    everywhere, size = C.places, np.max(np.abs(gradient))
    places = [everywhere[i] for i in chosen]
    one_sided, central = (
        [np.max(np.abs(C.differences(float(step), both, places) - gradient[chosen])) / size for step in steps]
        for both in (False, True)
    )
    return StepErrors(steps, np.array(one_sided), np.array(central), C.x.dtype.name)
