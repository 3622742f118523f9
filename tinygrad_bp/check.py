"""Numerical derivatives, and `gradcheck`, which holds a function's derivatives against them.

The one idea: for a random cotangent u, the pullback of u must be the gradient of the number
φ(x) = ⟨u, f(x)⟩, which differences of φ approximate without any rule. At order 2 the pullback itself
is checked in the same way. All in float64. Read `ops/` next.
"""

from __future__ import annotations  # numpy.random is loaded when it is used

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import tree
from .errors import message
from .tensor import constant
from .transforms import jvp, no_grad, vjp


class GradcheckError(AssertionError):
    """A derivative disagrees with differences; `.report` has the worst element."""

    def __init__(self, report):
        super().__init__(str(report))
        self.report = report


@dataclass(frozen=True)
class GradcheckReport:
    """The worst element of a gradcheck. True if all agree.

    `where`: path of the argument and index in it; `analytic`, `numerical`: both derivatives there;
    `order`: of the derivative that was checked last, or failed.
    """

    ok: bool
    order: int
    what: str
    where: str
    analytic: complex
    numerical: complex

    def __bool__(self):
        return self.ok

    @property
    def ratio(self) -> complex:
        """analytic / numerical; a constant such as 2 or −1 is a strong hint at the mistake."""
        with np.errstate(all="ignore"):
            return complex(np.divide(self.analytic, self.numerical))

    def __str__(self):
        verdict = "agrees with" if self.ok else "disagrees with"
        return (
            f"{self.what} of order {self.order} {verdict} differences; worst element {self.where}: "
            f"analytic {self.analytic:.10g}, numerical {self.numerical:.10g}, ratio {self.ratio:.6g}"
        )


def numerical_derivative(phi: Callable[[np.ndarray], float], x: np.ndarray) -> np.ndarray:
    """∂φ/∂x − i ∂φ/∂(Im x) at x for a real φ, by differences of fourth order; φ sees copies of x.

    >>> import numpy as np
    >>> numerical_derivative(lambda x: float(np.sum(x**2)), np.array([1.0, 2.0])).round(8)
    array([2., 4.])
    """
    x = np.asarray(x)
    derivative = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        derivative[index] = _difference(phi, x, index, 1.0)
        if np.iscomplexobj(x):
            derivative[index] -= 1j * _difference(phi, x, index, 1j)
    return derivative


def _difference(phi, x, index, direction):
    """(8 (φ(x+h) − φ(x−h)) − (φ(x+2h) − φ(x−2h))) / 12h, whose error is O(h⁴)."""
    h = 3e-4 * max(1.0, abs(x[index]))

    def at(steps):
        moved = x.copy()
        moved[index] += steps * h * direction
        return phi(moved)

    return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h)


def gradcheck(
    f: Callable,
    *args: Any,
    order: int = 1,
    rtol: float = 1e-6,
    atol: float = 1e-7,
    rng: np.random.Generator | None = None,
    raise_exception: bool = True,
) -> GradcheckReport:
    """Check f's VJP and JVP at `args` against numerical derivatives, up to `order`.

    Every floating argument (or leaf of a container) is differentiated, in float64. Returns a report
    of the worst element; raises GradcheckError on disagreement unless `raise_exception=False`.
    Choose points at a distance of at least 1e-3 from kinks.

    >>> import numpy as np, tinygrad_bp as bp
    >>> bool(bp.gradcheck(np.sin, np.array([0.5, 1.0]), order=2))
    True
    """
    rng = rng or np.random.default_rng(0)
    leaves, rebuild = tree.flatten(args)
    names = [name for name, _ in tree.named_leaves(args)]
    chosen = [i for i, leaf in enumerate(leaves) if np.asarray(constant(leaf)).dtype.kind in "fc"]
    if not chosen:
        raise TypeError(
            message("gradcheck needs at least one floating argument", do="pass 2.0 rather than 2")
        )

    def of_chosen(*values):
        full = list(leaves)
        for i, value in zip(chosen, values):
            full[i] = value
        return f(*rebuild(full))

    points = [_double(constant(leaves[i])) for i in chosen]
    with no_grad():  # parameters that f closes over are constants here
        report = _check(of_chosen, points, [names[i] for i in chosen], 1, order, rtol, atol, rng)
    if not report.ok and raise_exception:
        raise GradcheckError(report)
    return report


def _double(x):
    x = np.asarray(x)
    return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)


def _random_like(rng, x):
    x = np.asarray(x)
    u = rng.uniform(0.5, 1.5, x.shape) * rng.choice([-1.0, 1.0], x.shape)
    return u + 1j * rng.uniform(0.5, 1.5, x.shape) if x.dtype.kind == "c" else u


def _inner(us, ys):
    """Re Σ u y over all parts."""
    return float(sum(np.real(np.sum(u * np.asarray(y))) for u, y in zip(us, ys)))


def _check(f, points, names, order, last, rtol, atol, rng):
    y, pullback = vjp(f, *points)
    us = tree.map(lambda part: _random_like(rng, part), y)
    gradients = pullback(us)
    flat = tree.leaves(us)
    reports = []
    for k, (point, gradient, name) in enumerate(zip(points, gradients, names)):

        def phi(x, k=k):
            return _inner(flat, tree.leaves(vjp(f, *points[:k], x, *points[k + 1 :])[0]))

        numerical = numerical_derivative(phi, np.array(point))
        reports.append(_compare(order, "VJP", f"argument {name}", gradient, numerical, rtol, atol))
    worst = max(reports, key=_badness)
    if worst.ok:
        worst = max(worst, _check_jvp(f, points, us, gradients, order, rtol, atol, rng), key=_badness)
    if worst.ok and order < last:
        return _check(lambda *xs: vjp(f, *xs)[1](us), points, names, order + 1, last, rtol, atol, rng)
    return worst


def _check_jvp(f, points, us, gradients, order, rtol, atol, rng):
    """⟨u, J v⟩ must be ⟨Jᵀ u, v⟩."""
    vs = tuple(_random_like(rng, point) for point in points)
    _, tangent = jvp(f, tuple(points), vs)
    forward, reverse = _inner(tree.leaves(us), tree.leaves(tangent)), _inner(gradients, vs)
    where = "⟨u, J v⟩ against ⟨Jᵀu, v⟩"
    return _compare(order, "JVP", where, np.asarray(forward), np.asarray(reverse), rtol, atol)


def _compare(order, what, where, analytic, numerical, rtol, atol):
    analytic, numerical = np.asarray(analytic), np.asarray(numerical)
    scale = max(1.0, float(np.max(np.abs(numerical), initial=0.0)))
    error = np.abs(analytic - numerical) - rtol * np.abs(numerical)
    error = np.where(np.isnan(error), np.where(np.isnan(analytic) & np.isnan(numerical), 0.0, np.inf), error)
    if not error.size:
        return GradcheckReport(True, order, what, where + " (empty)", 0.0, 0.0)
    index = np.unravel_index(np.argmax(error), error.shape)
    at = f"{where}[{', '.join(map(str, index))}]" if index else where
    return GradcheckReport(
        bool(error[index] <= atol * scale), order, what, at, analytic[index].item(), numerical[index].item()
    )


def _badness(report):
    difference = abs(report.analytic - report.numerical) / max(1.0, abs(report.numerical))
    return (not report.ok, np.nan_to_num(difference, nan=np.inf))
