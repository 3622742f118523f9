"""The registry of derivatives, and the grammar in which they are declared.

Here you can
  `defvjp(fn, rule, …)`      say how a cotangent is pulled back through fn, one rule per argument,
  `primitive(fn)`            turn a function of your own into one that rules can be declared for,
  `composite(fn, f)`         give fn the derivative of f, the same function in supported calls,
  `nondifferentiable(fn)`    say that fn's result is locally constant: plain arrays come out,
  `refused(fn, advice)`      say that fn cannot be differentiated, and what to use instead.

The one idea: a rule is plain NumPy, `lambda g, y, a, b: …`, from the output's cotangent g, the
output y and the arguments to one argument's cotangent. A parameter spelled with a leading
underscore is not needed, so its value is not kept alive; the rule receives its `Outline` instead
(shape, dtype, ndim, size). Since a rule is plain NumPy it can be read on ndarrays, on Tensors
(derivatives of any order) and on tracers. Read `tensor.py` next.
"""

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from .errors import NotDifferentiable, message, outline


class DuckArray:
    """Base of whatever may stand in an ndarray's place: `Tensor`, and tracers of a program."""

    __slots__ = ()
    shape: Any
    dtype: Any
    __array_function__: Callable

    @property
    def _mask(self):
        """What np.ma asks for, and what a gradient would be lost to."""
        raise TypeError(message("np.ma was given a Tensor", do="use np.where, or pass t.data"))

    mask = _mask

    def has_nan(self):
        """May there be a NaN among the values? Yes, where there are none to look at."""
        return True


class Outline:
    """What is known of an array whose value is not kept: shape, dtype, ndim, size."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape, dtype):
        self.shape = shape
        self.dtype = dtype

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def size(self):
        n = 1
        for length in self.shape:
            n *= length
        return n


def array_of(x):
    """x, which may be a number, or lists in lists, with Tensors among their elements, as an array."""
    if isinstance(x, (np.ndarray, DuckArray)):
        return x
    try:
        return np.asarray(x)
    except (TypeError, ValueError):  # of a Tensor that records, among others
        if not isinstance(x, (list, tuple)) or not any(isinstance(a, (list, tuple, DuckArray)) for a in x):
            raise
    return np.stack([array_of(part) for part in x])


def cast(x, dtype):
    """x in this dtype; of complex numbers the real part, where that is real."""
    if x.dtype == dtype:
        return x
    return (np.real(x) if x.dtype.kind == "c" != dtype.kind else x).astype(dtype)


class Op:
    """One differentiable function: its forward and its VJP rules (see `defvjp`)."""

    __slots__ = (
        "adds", "broadcasts", "composites", "count", "elementwise", "erases", "forward", "in_place", "joint", "keeps", "keywords",
        "name", "of_one", "rules", "selects", "sequence", "together", "view",
    )  # fmt: skip

    def __init__(
        self, forward, rules, *, joint=None, broadcasts=None, view=False, sequence=None, selects=False,
        adds=None, erases=None,
    ):  # fmt: skip
        self.forward, self.rules, self.joint, self.adds, self.erases = forward, rules, joint, adds, erases
        self.broadcasts, self.view, self.sequence, self.selects = broadcasts, view, sequence, selects
        self.of_one = getattr(forward, "of_one", forward)  # the quicker one for a call of one argument
        self.name = getattr(forward, "__name__", repr(forward))
        self.elementwise = broadcasts == "elementwise"  # whose shares may be looked at beside g
        self.in_place = adds is not None or (erases is not None and not self.elementwise)
        self.together = joint is not None or sequence is not None  # one rule gives all cotangents
        declared = [joint] if joint else [rule for rule in rules if rule]
        names, required, variadic = _parameters(declared[0])
        self.count = None if variadic else 1 if sequence is not None else required if joint else len(rules)
        for rule in declared:
            _check_parameters(rule, self)
        self.keywords = frozenset(names if variadic else names[self.count :])
        self.keeps: dict[int, tuple[bool, tuple[bool, ...]]] = {}
        self.composites: dict[str, Callable] = {}  # keywords that may record -> see `composite`

    def what_to_keep(self, mask, n):
        """(keep y?, keep operand i? for each of n), when the operands in the bit mask want gradients."""
        alike = self.count is None or self.sequence is not None  # the operands, however many
        key = -n if alike else mask
        found = self.keeps.get(key)
        if found is None:
            rules = (
                [self.joint] if self.joint else [r for i, r in enumerate(self.rules) if r and mask >> i & 1]
            )
            spelled = [_spelled(rule, n if alike else 0)[1 : 2 + n] for rule in rules]
            keep_y, *keep = (any(not names[i].startswith("_") for names in spelled) for i in range(n + 1))
            found = self.keeps[key] = keep_y, tuple(keep)
        return found

    def bind(self, args, kwargs):
        """NumPy's positional and keyword spellings -> (operands, keywords of the rule)."""
        if self.count is not None and len(args) > self.count:
            given = dict(zip(_keywords(self), args[self.count :]))
            args, kwargs = args[: self.count], {**given, **kwargs} if kwargs else given
        elif self.count is not None and len(args) < self.count:
            args, kwargs = self._operands_by_keyword(args, dict(kwargs))
        if not self.keywords.issuperset(kwargs):
            kwargs = self._without_defaults(kwargs, kwargs.keys() - self.keywords)
        return args, kwargs

    def _operands_by_keyword(self, args, kwargs):
        names = _names(self)[: self.count]
        operands = [*args, *(kwargs.pop(name, None) for name in names[len(args) :])]
        while len(operands) > len(args) and operands[-1] is None:
            operands.pop()
        return tuple(operands), kwargs

    def _without_defaults(self, kwargs, unknown):
        """Keywords that say nothing (`out=None`, a default) are dropped; any other unknown one is an error."""
        defaults = _signature(self)
        mute = {k: (None, np._NoValue, defaults.get(k)) for k in unknown}
        telling = sorted(k for k in unknown if all(kwargs[k] is not value for value in mute[k]))
        if telling:
            raise NotDifferentiable(
                message(
                    f"{self.name} was called on a Tensor with {telling[0]}={outline(kwargs[telling[0]])}",
                    expected=f"keywords among {sorted(self.keywords)}" if self.keywords else "no keywords",
                    do="leave it out, or apply it to the result",
                )
            )
        return {k: v for k, v in kwargs.items() if k not in unknown}


def _spelled(rule, repeated=0):
    """The rule's own parameter names, underscores and all: g, y, operands, keywords.

    `repeated`: how often the name of `*args` (or of the list of a sequence op) is repeated.
    """
    if not isinstance(rule, FunctionType):
        raise TypeError(
            message("a VJP rule must be a Python function", got=repr(rule), do="wrap it in a lambda")
        )
    code = rule.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if not repeated:
        return names
    last = code.co_varnames[len(names)] if code.co_flags & 0x04 else names[2]
    return names[: code.co_argcount if code.co_flags & 0x04 else 2] + (last,) * repeated


def _check_parameters(rule, op):
    """A rule must take g, y and every operand; *args stand for all operands, which needs joint=."""
    variadic = bool(rule.__code__.co_flags & 0x04)
    if variadic and op.joint is None:
        raise TypeError(
            message(
                f"a rule of {op.name} takes *{_spelled(rule, 1)[-1]}",
                do="declare it as joint=, for all arguments",
            )
        )
    operands = 0 if variadic else max(op.count, 1)
    if rule.__code__.co_argcount < 2 + operands:
        raise TypeError(
            message(
                f"a rule of {op.name} takes too few parameters",
                expected=f"g, y and {operands} operands",
                got=", ".join(_spelled(rule)) or "none",
                do="give each rule all the operands, with a leading underscore where it does not need one",
            )
        )


def _parameters(rule):
    """(names after g and y without underscores, how many have no default, takes *args?)"""
    names = [name.removeprefix("_") for name in _spelled(rule)[2:]]
    required = rule.__code__.co_argcount - 2 - len(rule.__defaults__ or ())
    return names, required, bool(rule.__code__.co_flags & 0x04)


@functools.cache
def _names(op):
    return tuple(_signature(op))


@functools.cache
def _keywords(op):
    """The names of what follows the operands in a positional call."""
    return _names(op)[op.count :]


@functools.cache
def _signature(op):
    """The forward's parameters, whose names give positional arguments their meaning -> their defaults."""
    import inspect  # only calls with unusual spelling come here: not worth its import time

    try:
        return {name: known.default for name, known in inspect.signature(op.forward).parameters.items()}
    except ValueError:  # a builtin that does not tell
        return dict.fromkeys(_parameters(op.joint or next(rule for rule in op.rules if rule))[0])


class Composite:
    """A function whose derivative is that of `f`, which computes the same in supported calls."""

    __slots__ = ("calls_back", "f", "forward")

    def __init__(self, forward, f, calls_back=False):
        self.forward, self.f, self.calls_back = forward, f, calls_back


class Nondifferentiable:
    """A function whose result is locally constant or not a number: plain arrays come out."""

    __slots__ = ("forward",)

    def __init__(self, forward):
        self.forward = forward


class Refused:
    """A function that cannot be differentiated; `advice` names the nearest call that can."""

    __slots__ = ("advice", "forward")

    def __init__(self, forward, advice):
        self.forward, self.advice = forward, advice


class Writer:
    """A function that writes into its first argument; `f` does it for Tensors."""

    __slots__ = ("f", "forward")

    def __init__(self, forward, f):
        self.forward, self.f = forward, f


REGISTRY: dict[Any, Op | Composite | Nondifferentiable | Refused | Writer] = {}
"""NumPy's own functions, and our primitives -> how they are differentiated."""


_NO_DUCKS = frozenset({np.ndarray, np.float32, np.float64, float, int, bool})


class Primitive:
    """A function of the user's own that Tensors record as one op; made by `primitive`."""

    __name__: str
    __wrapped__: Callable

    def __init__(self, fn):
        functools.update_wrapper(self, fn)

    def __call__(self, *args, **kwargs):
        if len(args) == 1 and not kwargs and not isinstance(args[0], (list, tuple)):
            return self.of_one(args[0])
        for a in (*args, *kwargs.values()) if kwargs else args:
            if a.__class__ in _NO_DUCKS:
                continue
            for duck in a if isinstance(a, (list, tuple)) else (a,):
                if isinstance(duck, DuckArray):
                    result = duck.__array_function__(self, (type(duck),), args, kwargs)
                    if result is not NotImplemented:
                        return result
        return self._own(self.__wrapped__(*args, **kwargs), args)

    def of_one(self, x):
        """The function of one argument, as most calls have it, without the general one's loops."""
        if isinstance(x, DuckArray):
            result = x.__array_function__(self, (type(x),), (x,), {})
            return self.__wrapped__(x) if result is NotImplemented else result
        y = self.__wrapped__(x)
        if type(y) is np.ndarray and (y.base is not None or y is x):
            return self._own(y, (x,))
        return y

    def _own(self, y, args):
        """y, or a copy: what is not declared a view must not share memory with an argument."""
        if type(y) is np.ndarray and (y.base is not None or id(y) in map(id, args)):
            op = REGISTRY.get(self)
            if type(op) is Op and not op.view:
                return y.copy()
        return y

    def __repr__(self):
        return f"<primitive {self.__wrapped__.__name__}>"

    def defvjp(self, *rules: Callable | None, **grammar: Any) -> "Primitive":
        """Declare the VJP rules of this primitive, in the grammar of `bp.defvjp`. Returns the primitive."""
        defvjp(self, *rules, **grammar)
        return self


def primitive(fn: Callable) -> Primitive:
    """Make `fn`, written in plain NumPy, a function that Tensors record as a single op.

    `fn` receives plain arrays only. Give it VJP rules with `.defvjp`; until then calling it on a
    Tensor that records raises `NotDifferentiable`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> @bp.primitive
    ... def cube(x):
    ...     return x * x * x
    >>> cube.defvjp(lambda g, _y, x: g * 3 * x**2, broadcasts="elementwise")
    <primitive cube>
    >>> float(bp.grad(cube)(2.0))
    12.0
    """
    return Primitive(fn)


def defvjp(
    fn: Callable,
    *rules: Callable | None,
    joint: Callable | None = None,
    broadcasts: str | None = None,
    view: bool = False,
    sequence: int | None = None,
    selects: bool = False,
    adds: Callable | None = None,
    erases: Callable | None = None,
) -> Callable:
    """Declare how a cotangent is pulled back through `fn`: one rule `(g, y, *args, **kw)` per argument.

    A rule of None says that fn does not vary with that argument (an index, a condition).
    `joint=`       one function for all arguments instead; returns a tuple of cotangents.
    `broadcasts=`  "elementwise" (the default for ufuncs) or "leading axes": cotangents are summed
                   over the broadcast axes by the backward pass, so rules never do it.
    `view=True`    the result may share memory with the argument.
    `sequence=0`   the first argument is a list of arrays; its rule returns a list of cotangents.
    `selects=True` part of an argument may be left out of the result (indexing, where), NaN and all.
    `adds=`        `(total, g, *args)` adds the first argument's cotangent to the array `total`, in place:
                   for functions that take little of much, whose cotangents are mostly zeros.
    `erases=`      `(g, *args)` makes g the first argument's cotangent, in place: for functions that
                   replace little of much, whose cotangents are mostly g.

    >>> import numpy as np, tinygrad_bp as bp
    >>> bp.defvjp(np.tanh, lambda g, y, _x: g * (1 - y * y))
    <ufunc 'tanh'>
    """
    if bool(joint) == bool(rules) or not (joint or any(rules)):
        raise TypeError(f"defvjp({fn!r}) needs rules, one per argument, or joint=, one for all")
    if broadcasts not in (None, "elementwise", "leading axes"):
        raise ValueError(f"broadcasts must be 'elementwise' or 'leading axes', got {broadcasts!r}")
    if sequence not in (None, 0):
        raise ValueError(f"sequence must be None or 0 (the first argument is a list), got {sequence!r}")
    if erases and (adds or joint or sequence is not None):
        raise TypeError(f"defvjp({fn!r}) with erases= needs a rule for each argument, and no adds=")
    _check_dispatches(fn)
    if isinstance(fn, np.ufunc) and fn.signature is None:
        broadcasts = "elementwise"
    REGISTRY[fn] = Op(
        fn, rules, joint=joint, broadcasts=broadcasts, view=view, sequence=sequence, selects=selects, adds=adds, erases=erases
    )  # fmt: skip
    return fn


def composite(fn: Callable, f: Callable, calls_back: bool = False, keywords: tuple[str, ...] = ()) -> None:
    """Give `fn` the derivative of `f`, the same function written in supported calls.

    The value that comes out is fn's own; only the derivative is f's. But where fn calls functions of
    the user's (`calls_back`), which may use Tensors that fn is not given, f alone is called. `keywords`:
    fn has rules already, and f stands in for them where one of these keywords records.
    """
    _check_dispatches(fn)
    entry = REGISTRY.get(fn)
    if keywords and type(entry) is Op:
        entry.composites.update(dict.fromkeys(keywords, f))
    else:
        REGISTRY[fn] = Composite(fn, f, calls_back)


def nondifferentiable(fn: Callable) -> Callable:
    """Declare that `fn`'s result is locally constant: Tensors go in as arrays, plain arrays come out.

    >>> import numpy as np, tinygrad_bp as bp
    >>> @bp.nondifferentiable
    ... def level(x):
    ...     return np.floor(10 * x)
    >>> float(bp.grad(lambda x: x * level(x))(0.55))
    5.0
    """
    known = fn if isinstance(fn, Primitive) or _is_numpys(fn) else Primitive(fn)
    REGISTRY[known] = Nondifferentiable(known)
    return known


def refused(fn: Callable, advice: str) -> None:
    """Declare that `fn` cannot be differentiated; the error will say `advice`."""
    _check_dispatches(fn)
    REGISTRY[fn] = Refused(fn, advice)


def _check_dispatches(fn):
    """Calls of a plain Python function never reach the registry, so an entry for one would be ignored."""
    if isinstance(fn, FunctionType):
        raise TypeError(
            message(
                f"{fn.__name__} is a plain function, whose calls nobody sees",
                expected="a function of NumPy or a primitive",
                do=f"decorate it with @bp.primitive: {fn.__name__} = bp.primitive({fn.__name__})",
            )
        )


def _is_numpys(fn):
    """Is fn a function of NumPy's, a ufunc, or a method of one, such as np.logical_and.reduce?"""
    if isinstance(fn, np.ufunc) or isinstance(getattr(fn, "__self__", None), np.ufunc):
        return True
    return (getattr(fn, "__module__", None) or "").partition(".")[0] == "numpy"
