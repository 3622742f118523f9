"""Derivatives of many numbers at once: jacobian, hessian, per_example_grad.

The one idea: `Batch` (see `ops/batch.py`) passes for one array and holds many, so one sweep pulls all
unit vectors back, and one run takes all examples. Where a function or rule decides by values, or an
outer transform records, each is done by itself. Read `observe.py` next.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from . import tree
from .errors import message
from .graph import AMBIENT
from .ops.batch import Batch, Unbatchable
from .primitive import DuckArray
from .transforms import grad, split, vjp

AT_ONCE = 256
"""Rows of a Jacobian that are pulled back in one sweep; more take memory and save no time."""


def _over_batch(f, *given):
    """f(*arrays) for the arrays along the leading axes of `given`; the results along one, too."""
    axis, count = object(), len(tree.leaves(given)[0])

    def out(part):
        if isinstance(part, DuckArray) and (type(part) is not Batch or part.axis is not axis):
            raise Unbatchable(message("an outer transform records"))
        return part.arrays if type(part) is Batch else np.repeat(np.asarray(part)[None], count, 0)

    if not count:
        one = f(*tree.map(lambda a: np.zeros(a.shape[1:], a.dtype), given))
        return tree.map(lambda part: np.zeros((0, *np.shape(part)), np.result_type(part)), one)
    if AMBIENT.get().run is None:  # who observes, or looks for anomalies, sees one row after the other
        with suppress(Exception):  # whatever it was: what is wrong of one, too, is raised again
            return tree.map(out, f(*tree.map(lambda a: Batch(a, axis), given)))
    rows = [f(*tree.map(lambda a, k=k: a[k], given)) for k in range(count)]
    return tree.map(lambda *parts: np.stack(parts), *rows)


def jacobian(f: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """The function (*args) -> ∂f/∂args[argnums], of shape (*f's shape, *the argument's shape).

    One pullback for all elements of f's value, where its rules allow. Real functions only.

    >>> import numpy as np, tinygrad_bp as bp
    >>> bp.jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    def jacobian_of_f(*args, **kwargs):
        of_chosen, chosen = split(f, args, kwargs, argnums)
        y, pullback = vjp(of_chosen, *chosen)
        parts, rebuild = tree.flatten(y)
        if any(np.iscomplexobj(part) for part in [*parts, *tree.leaves(chosen)]):
            raise TypeError(message("jacobian needs a real function of real arguments", do="use bp.vjp"))
        blocks = [_rows(parts, rebuild, i, pullback) for i in range(len(parts))]
        return rebuild(blocks if isinstance(argnums, tuple) else [block[0] for block in blocks])

    return jacobian_of_f


def _rows(parts, rebuild, i, pullback):
    """∂(part i)/∂primals, stacked from the pullbacks of its unit vectors."""
    size, shape = np.size(parts[i]), np.shape(parts[i])
    zeros = [np.zeros(np.shape(part)) for part in parts]

    def pull(unit):
        return pullback(rebuild([*zeros[:i], unit, *zeros[i + 1 :]]))

    if shape == ():
        return pull(np.ones(()))
    starts = range(0, max(size, 1), AT_ONCE)
    units = [np.eye(min(AT_ONCE, size - k), size, k) for k in starts]
    found = [_over_batch(pull, some.reshape(len(some), *shape)) for some in units]
    return tree.map(lambda *rows: np.reshape(np.concatenate(rows), shape + np.shape(rows[0])[1:]), *found)


def hessian(f: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """The function (*args) -> ∂²f/∂x∂x of a scalar f, of shape (*x's shape, *x's shape).

    >>> import numpy as np, tinygrad_bp as bp
    >>> bp.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 2.0]))
    array([[4., 2.],
           [2., 0.]])
    """
    return jacobian(grad(f, argnums), argnums)


def per_example_grad(f: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """The function (*args) -> ∂f/∂args[argnums] for each example, along a new leading axis.

    f takes one example; in its other positional arguments than argnums, the function takes arrays (or
    containers of them) with one along the leading axis each. Keywords are the same for all. All examples
    in one run, where f allows; parameters of a net record, which takes a run each, unless in `bp.no_grad()`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> squared_error = lambda w, x, y: (w @ x - y) ** 2
    >>> w, x, y = np.array([1.0, 2.0]), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0.0, 1.0])
    >>> bp.per_example_grad(squared_error)(w, x, y)
    array([[2., 0.],
           [0., 2.]])
    """

    def per_example_grad_of_f(*args: Any, **kwargs: Any) -> Any:
        chosen = {n % max(len(args), 1) for n in (argnums if isinstance(argnums, tuple) else (argnums,))}
        others = tuple(n for n in range(len(args)) if n not in chosen)
        of_example, examples = split(grad(f, argnums), args, kwargs, others)
        shapes = [np.shape(leaf) for leaf in tree.leaves(examples)]
        if len({shape[:1] for shape in shapes}) != 1 or () in shapes:
            raise ValueError(
                message(
                    "per_example_grad needs examples along a leading axis",
                    expected="arrays of one length, in positional arguments that are not differentiated",
                    got=f"shapes {shapes}",
                )
            )
        return _over_batch(of_example, *tree.map(np.asarray, examples))

    return per_example_grad_of_f
