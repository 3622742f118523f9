"""Function transforms: vjp, grad, value_and_grad, elementwise_grad, jvp, hvp, gnvp, each a few lines over vjp.

The one idea: `vjp` runs a function once on Tensors of a level of its own and returns the value and
the pullback. A gradient is the pullback of 1; and since rules are themselves recorded, a JVP is the
pullback of the pullback, which is linear in its cotangent. Arguments and results may be arrays, numbers,
tuples, lists, dicts and Modules. Read `derivatives.py` next, for derivatives of many numbers at once.
"""

import math
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import tree
from .backward import Watch, own, sweep
from .errors import message
from .graph import AMBIENT, IN_PROGRESS, Ambient, leaf_node, new_level
from .primitive import DuckArray, cast
from .tensor import ARRAYS, Tensor, constant, refresh, snapshot
from .views import View


@contextmanager
def _surroundings(**changes):
    token = AMBIENT.set(AMBIENT.get().replace(**changes))
    try:
        yield
    finally:
        AMBIENT.reset(token)


@contextmanager
def no_grad():
    """A context (or decorator) in which nothing is recorded, except by transforms entered inside it.

    >>> import numpy as np, tinygrad_bp as bp
    >>> w = bp.Tensor(3.0, requires_grad=True)
    >>> with bp.no_grad():
    ...     (w * 2).requires_grad
    False
    """
    with _surroundings(blocked=new_level()):  # a level drawn now is younger than all that exist
        yield


NUMBERS = (np.ndarray, np.generic, float, int, complex, DuckArray)


def _input(x, level):
    """A leaf at `level` over a number or array that is to be differentiated; integers become floats."""
    if type(x) is Tensor:
        refresh(x)
        x = snapshot(x) if x._node is not None else _as_float(x._data)
        return Tensor._of(x, leaf_node(x, level))
    if isinstance(x, NUMBERS):
        x = _as_float(x)
        return Tensor._of(x, leaf_node(x, level))
    raise TypeError(
        message(
            "a transform was asked to differentiate with respect to something that is not a number",
            expected="arrays, numbers, Tensors, or containers of them",
            got=f"{type(x).__name__}: {x!r}",
            do="choose the arguments with argnums=, or pass it through a closure",
        )
    )


def _as_float(x):
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(message("a masked array cannot be differentiated", do="use np.where and its .data"))
    x = x if type(x) is np.ndarray or isinstance(x, DuckArray) else np.asarray(x)[()]
    if x.dtype.kind not in "fciubO":
        raise TypeError(message("what is no number cannot be differentiated", got=f"dtype {x.dtype}"))
    return x if x.dtype.kind in "fc" else x.astype(np.float64)


def _output(y, level):
    """What a transform returns for y: its own level peeled off, and constants as plain arrays."""
    while type(y) is Tensor:
        refresh(y)
        if y._node is not None and y._node.level != level:
            if y._node.level in IN_PROGRESS or y._node.level in AMBIENT.get().active:
                return snapshot(y)  # the caller's own: a rule may need ours
            raise RuntimeError(
                message(
                    "the result depends on a Tensor that leaked out of a finished transform",
                    do="return it from the transformed function instead of storing it",
                )
            )
        y = y._data
    return y.copy() if type(y) is np.ndarray else y


class _Inside:
    """A context: leaves made here belong to `level`, whose transform is in progress."""

    __slots__ = ("level", "token")

    def __init__(self, level):
        self.level = level

    def __enter__(self):
        level, now = self.level, AMBIENT.get()
        IN_PROGRESS.add(level)
        self.token = AMBIENT.set(Ambient(level, now.blocked, now.run, now.module, now.active | {level}))

    def __exit__(self, *error):
        AMBIENT.reset(self.token)
        IN_PROGRESS.discard(self.level)


def vjp(f: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """(f(*primals), pullback), where pullback(g) = gᵀ ∂f/∂primal for each primal, as a tuple.

    g has the structure and shapes of f's value. The pullback may be called any number of times.
    With `has_aux`, f returns a pair, whose second part is handed on as it is: (value, pullback, aux).

    >>> import numpy as np, tinygrad_bp as bp
    >>> y, pullback = bp.vjp(np.multiply, 2.0, np.array([3.0, 4.0]))
    >>> y, pullback(np.array([1.0, 10.0]))
    (array([6., 8.]), (np.float64(43.0), array([ 2., 20.])))
    """
    level = new_level()
    given, rebuild = tree.flatten(primals)
    inputs = [_input(x, level) for x in given]
    name = _name(f)
    with _Inside(level):
        found = f(*rebuild(inputs))
    value, *aux = _pair(found, name) if has_aux else (found,)
    ys, rebuild_ys = tree.flatten(value)
    if not ys or not all(isinstance(y, NUMBERS) for y in ys):
        raise TypeError(
            message(
                f"{name} did not return numbers",
                expected="arrays, numbers, or containers of them",
                got=next((repr(y) for y in ys if not isinstance(y, NUMBERS)), "nothing"),
                do="end it with a return of its value",
            )
        )
    values = [_output(y, level) for y in ys]
    nodes = [y._node if type(y) is Tensor else None for y in ys]
    structure = rebuild_ys(values)

    def pullback(cotangents):
        seeds: dict = {}
        for node, value, g in zip(nodes, values, tree.leaves_like(structure, cotangents)):
            if _shape(g) != _shape(value):
                what = f"a cotangent has the shape of {name}'s value"
                raise ValueError(message(what, expected=_shape(value), got=_shape(g)))
            if node is not None and node.level == level:
                g = cast(g if isinstance(g, ARRAYS) else np.asarray(g)[()], node.dtype)
                seeds[node] = seeds[node] + g if node in seeds else g
        gradients = sweep(seeds, True, Watch(selected=True))
        found = [gradients.pop(x._node, None) for x in inputs]
        return rebuild([_result(found, x._data) for x in reversed(inputs)][::-1])

    return structure, pullback, *(tree.map(lambda part: _output(part, level), aux) if aux else ())


def _shape(x):
    return x.shape if isinstance(x, ARRAYS) else np.shape(x)


def _pair(found, name):
    if isinstance(found, tuple) and len(found) == 2:
        return found
    got = f"a tuple of {len(found)}" if isinstance(found, tuple) else type(found).__name__
    raise TypeError(message(f"{name} has aux", expected="a pair (value, aux)", got=got))


def _result(found, primal):
    """The last of `found` as the gradient for `primal`: nobody else's array, a scalar for a scalar."""
    if found[-1] is None:
        found[-1] = np.zeros(primal.shape, primal.dtype)
    g = own(found)
    if type(g) is Tensor:
        refresh(g)
        if type(g._alias) is View and g._node is not None:
            g = np.copy(g)  # nobody else's memory
        return g._data if g._node is None else Tensor._of(g._data, g._node)
    return g[()] if isinstance(primal, np.generic) and isinstance(g, np.ndarray) else g


def _name(f):
    """The function's name. Raises TypeError for what cannot be called."""
    if callable(f):
        return getattr(f, "__name__", None) or repr(f)
    do = "give the function itself, not its value: bp.grad(f)(x)"
    raise TypeError(message("a transform needs a function", got=type(f).__name__, do=do))


def split(f, args, kwargs, argnums):
    """(f as a function of the chosen arguments alone, these arguments as a tuple)."""
    chosen = argnums if isinstance(argnums, tuple) else (argnums,)
    for n in chosen:
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or not -len(args) <= n < len(args):
            raise ValueError(
                message(
                    f"argnums={argnums!r} does not name a positional argument of {_name(f)}",
                    expected="an int, or a tuple of ints, that name arguments given by position",
                    got=f"{len(args)} of these",
                    do="pass the arguments to be differentiated by position",
                )
            )
    chosen = tuple(n % len(args) for n in chosen)
    if len(set(chosen)) < len(chosen):
        raise ValueError(
            message(f"argnums={argnums!r} names an argument of {_name(f)} twice", do="name it once")
        )

    def of_chosen(*values):
        full = list(args)
        for n, value in zip(chosen, values):
            full[n] = value
        return f(*full, **kwargs)

    of_chosen.__name__ = _name(f)
    return of_chosen, tuple(args[n] for n in chosen)


def _real_vjp(f, args, kwargs, argnums, has_aux=False):
    """The vjp of f in the chosen arguments alone, if its values are real; always with an aux."""
    of_chosen, chosen = split(f, args, kwargs, argnums)
    y, pullback, *aux = vjp(of_chosen, *chosen, has_aux=has_aux)
    if any(v.dtype.kind == "c" if isinstance(v, ARRAYS) else isinstance(v, complex) for v in tree.leaves(y)):
        what = f"a gradient needs a real value, and {_name(f)} gives a complex one"
        raise TypeError(message(what, do="use bp.vjp"))
    return y, pullback, *(aux or [None])


_ONE = np.float64(1)


def _gradients(y, pullback, argnums):
    shape = _shape(y)
    gradients = pullback(np.ones(shape) if shape else _ONE)
    return gradients if isinstance(argnums, tuple) else gradients[0]


def value_and_grad(f: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """The function (*args) -> (f(*args), ∂f/∂args[argnums]), for f with one real number as its value.

    A tuple of argnums gives a tuple of gradients, each in its argument's structure. For complex
    arguments the gradient is ∂f/∂x − i ∂f/∂y (the convention of HIPS autograd and JAX).
    With `has_aux`, f returns (value, aux), and only the value is differentiated.

    >>> import numpy as np, tinygrad_bp as bp
    >>> bp.value_and_grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    (np.float64(5.0), array([2., 4.]))
    """

    def value_and_grad_of_f(*args, **kwargs):
        y, pullback, aux = _real_vjp(f, args, kwargs, argnums, has_aux)
        one = isinstance(y, (float, int)) if not isinstance(y, ARRAYS) else math.prod(y.shape) == 1
        if not one:
            what = f"grad needs a function with one real number as its value, and {_name(f)} is not"
            got = f"shape {y.shape}" if isinstance(y, ARRAYS) else type(y).__name__
            raise TypeError(
                message(what, got=got, do="sum its value, or use bp.jacobian, bp.elementwise_grad or bp.vjp")
            )
        return ((y, aux) if has_aux else y), _gradients(y, pullback, argnums)

    return value_and_grad_of_f


def grad(f: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """The function (*args) -> ∂f/∂args[argnums], for f with one real number as its value.

    With `has_aux`, f returns (value, aux), and the function (gradient, aux).

    >>> import numpy as np, tinygrad_bp as bp
    >>> bp.grad(np.tanh)(0.0), bp.grad(bp.grad(np.sin))(np.pi / 2)
    (np.float64(1.0), np.float64(-1.0))
    """
    both = value_and_grad(f, argnums, has_aux)

    def grad_of_f(*args, **kwargs):
        y, gradient = both(*args, **kwargs)
        return (gradient, y[1]) if has_aux else gradient

    return grad_of_f


def elementwise_grad(f: Callable, argnums: int = 0) -> Callable:
    """The function (*args) -> Σ_i ∂f_i/∂args[argnums]: the derivative, elementwise, of an elementwise f.

    >>> import numpy as np, tinygrad_bp as bp
    >>> bp.elementwise_grad(np.square)(np.array([1.0, 2.0, 3.0]))
    array([2., 4., 6.])
    """

    def elementwise_grad_of_f(*args, **kwargs):
        y, pullback, _ = _real_vjp(f, args, kwargs, argnums)
        return _gradients(y, pullback, argnums)

    return elementwise_grad_of_f


def _tuple(x):
    return x if isinstance(x, tuple) else tuple(x) if isinstance(x, list) else (x,)


def jvp(f: Callable, primals: Any, tangents: Any) -> tuple[Any, Any]:
    """(f(*primals), ∂f/∂primals · tangents): one forward-mode pass, as the pullback of the pullback.

    `primals` and `tangents` are tuples, one entry per argument, alike in structure and shapes.

    >>> import numpy as np, tinygrad_bp as bp
    >>> bp.jvp(np.sin, (0.0,), (2.0,))
    (np.float64(0.0), np.float64(2.0))
    """
    y, pullback = vjp(f, *_tuple(primals))
    return y, _push(y, pullback, _tuple(primals), _tuple(tangents))


def _push(y, pullback, primals, tangents):
    """∂y/∂primals · tangents: the pullback of the pullback."""
    anywhere = tree.map(_generic, y)  # the pullback is linear, so its pullback is the same everywhere
    given, wanted = tree.leaves(primals), tree.leaves_like(primals, tangents)
    if [np.shape(p) for p in given] != [np.shape(t) for t in wanted]:
        raise ValueError(
            message(
                "jvp needs one tangent per primal, of its shape",
                expected=f"shapes {[np.shape(p) for p in given]}",
                got=f"{[np.shape(t) for t in wanted]}",
            )
        )
    _, transpose = vjp(pullback, anywhere)
    (tangent_of_y,) = transpose(tangents)
    return tangent_of_y


def _generic(x):
    """An array like x no sum of whose elements is 0 by chance: a cotangent of 0 says "not used"."""
    dtype: np.dtype = np.result_type(x)
    values = np.exp(np.sin(np.arange(1, np.size(x) + 1))).reshape(np.shape(x))
    values = values.astype(dtype if dtype.kind in "fc" else np.float64)
    return values if isinstance(constant(x), np.ndarray) else values[()]


def hvp(f: Callable, primals: Any, vectors: Any) -> Any:
    """Hessian of f at primals, times vectors: the pullback of grad f, which is symmetric.

    Tuples in, a tuple out; a single array in, a single array out.

    >>> import numpy as np, tinygrad_bp as bp
    >>> bp.hvp(lambda x: np.sum(x**3), np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    array([  6., 120.])
    """
    points, directions = _tuple(primals), _tuple(vectors)
    _, pullback = vjp(grad(f, tuple(range(len(points)))), *points)
    product = pullback(directions)
    return product if isinstance(primals, (tuple, list)) else product[0]


def gnvp(f: Callable, loss: Callable, primals: Any, vectors: Any) -> Any:
    """Gauss–Newton matrix of loss(f(primals)), times vectors: Jᵀ (∇² loss)(f) J v with J = ∂f/∂primals.

    Where f is linear, or its value minimizes the loss, that is the Hessian's product; and where the loss is
    convex, the matrix is positive semidefinite (Schraudolph, 2002). Structures as for `hvp`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> half_squares = lambda y: np.sum(y**2) / 2
    >>> bp.gnvp(lambda x: x**2, half_squares, np.array([1.0, 2.0]), np.array([1.0, 10.0]))  # (2x)² v
    array([  4., 160.])
    """
    points, directions = _tuple(primals), _tuple(vectors)
    y, pullback = vjp(f, *points)
    (curved,) = hvp(loss, (y,), (_push(y, pullback, points, directions),))
    product = pullback(curved)
    return product if isinstance(primals, (tuple, list)) else product[0]
