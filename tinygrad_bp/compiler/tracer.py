"""`Tracer`, which stands in an array's place and notes every NumPy call that is made on it.

The one idea: the engine's rules are plain NumPy, so they run on anything that answers NumPy's
protocols. A Tracer has an array's value, and a place in a `Program`: whatever is computed from it is
computed at once, as usual, and noted as one instruction more. It never changes (a write gives a new
one), and it refuses to become a Python number: what Python decides cannot be replayed. Read
`program.py` first, `state.py` next.
"""

import operator

import numpy as np

from ..errors import message
from ..frames import users_frame, where
from ..methods import like
from ..primitive import DuckArray, Primitive
from ..tensor import QUICK, Tensor
from .program import NO_VIEWS, Call, Program, Var

STATIC = frozenset({np.shape, np.ndim, np.size, np.result_type, np.iscomplexobj, np.isrealobj, np.common_type,
                    np.can_cast, np.min_scalar_type})  # fmt: skip
"""What depends on shapes and dtypes alone."""


ATOMS = frozenset({int, float, bool, np.ndarray, np.float32, np.float64, type(None)})


class Untraceable(TypeError):
    """The step does something on traced values that a flat program cannot do again."""


def refuse(what, do):
    """The error, with the user's line."""
    place = where(users_frame())
    return Untraceable(message(f"bp.compile cannot follow {what}" + (f" ({place})" if place else ""), do=do))


class Tracer(DuckArray):
    """A value of the step that is being traced."""

    __slots__ = ("program", "value", "variable")

    def __init__(self, program: Program, value, var: Var):
        self.program, self.value, self.variable = program, value, var

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    itemsize = property(lambda self: self.value.itemsize)
    T = property(lambda self: call(np.transpose, self))
    real = property(lambda self: call(np.real, self))
    imag = property(lambda self: call(np.imag, self))

    def has_nan(self):
        """Is there one in this call? And the program will look at what it computes from here, and give up for one."""
        self.program.looks_for_nan = True
        return bool(np.isnan(np.add.reduce(self.value, None)))

    def __len__(self):
        return len(self.value)

    def __iter__(self):
        return (call(operator.getitem, self, i) for i in range(len(self)))

    def __repr__(self):
        return f"<traced {self.variable} shape={self.shape} {self.dtype}>"

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return call(ufunc if method == "__call__" else getattr(ufunc, method), *inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        return call(function, *args, **kwargs)

    def __array__(self, dtype=None, copy=None):
        do = "stay with NumPy's functions on it (np.stack for np.array([a, b]))"
        raise refuse("a traced value that becomes a plain array", do)

    def __bool__(self):
        raise refuse("Python control flow that depends on a traced value", "use np.where, or fallback=True")

    def __setitem__(self, index, value):
        raise refuse("a write into a plain array that is traced", "write into a Tensor: bp.Tensor(array)")

    def __pow__(self, other):
        shortcut = {2: np.square, 1: np.positive, 0.5: np.sqrt, -1: np.reciprocal}
        quick = type(other) in (int, float) and other in shortcut and self.dtype.kind in "fc"
        return call(shortcut[other], self) if quick else call(np.power, self, other)

    def __rpow__(self, other):
        return call(np.power, other, self)

    def __getitem__(self, index):
        return call(operator.getitem, self, index)

    def conj(self):
        return call(np.conjugate, self)

    def astype(self, dtype, order="K", casting="unsafe", copy=True):
        said = {} if (order, casting) == ("K", "unsafe") else {"order": order, "casting": casting}
        kind = np.ndarray if isinstance(self.value, np.ndarray) else np.generic
        return call(kind.astype, self, dtype=np.dtype(dtype), **said)

    def reshape(self, *shape):
        return call(np.reshape, self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes):
        return call(np.transpose, self, *([axes[0] if len(axes) == 1 else axes] if axes else []))

    def flatten(self):
        return call(np.copy, call(np.ravel, self))

    def fill(self, value):
        self[...] = value


def _number(kind):
    def method(self):
        do = "return it from the step, and convert it outside"
        raise refuse(f"a traced value that becomes a Python {kind}", do)

    return method


def _in_place(self, other):
    self[...] = other


def _operators():
    binary = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "matmul": np.matmul,
              "mod": np.remainder, "floordiv": np.floor_divide, "and": np.bitwise_and, "or": np.bitwise_or,
              "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift}  # fmt: skip
    for name, ufunc in binary.items():
        setattr(Tracer, f"__r{name}__", lambda self, other, f=ufunc: call(f, other, self))
    for name in (*binary, "pow"):
        setattr(Tracer, f"__i{name}__", _in_place)
    compare = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal,
               "ne": np.not_equal}  # fmt: skip
    for name, ufunc in (binary | compare).items():
        setattr(Tracer, f"__{name}__", lambda self, other, f=ufunc: call(f, self, other))
    unary = {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}
    for name, ufunc in unary.items():
        setattr(Tracer, f"__{name}__", lambda self, f=ufunc: call(f, self))
    for name in ("__float__", "__int__", "__complex__", "__index__", "item", "tolist"):
        setattr(Tracer, name, _number({"item": "number", "tolist": "list"}.get(name, name.strip("_"))))
    functions = (np.sum, np.mean, np.max, np.min, np.prod, np.std, np.var, np.any, np.all, np.argmax, np.argmin,
                 np.ravel, np.copy, np.squeeze, np.swapaxes, np.dot, np.clip, np.cumsum, np.repeat, np.take, np.trace,
                 np.diagonal, np.round, np.nonzero, np.argsort)  # fmt: skip
    for function in functions:
        setattr(Tracer, function.__name__, lambda self, *args, f=function, **kw: call(f, self, *args, **kw))


def call(function, *args, **kwargs):
    """function(*args, **kwargs) on the values, noted; NotImplemented if a Tensor is to take it."""
    parts: list = []
    values, variables = [], []
    for a in args:
        if type(a) is Tracer:
            parts.append(a)
            value, var = a.value, a.variable
        else:
            value, var = _split(a, parts)
        values.append(value)
        variables.append(var)
    given, keywords = _split(kwargs, parts) if kwargs else (kwargs, kwargs)
    if kwargs and kwargs.get("out", parts) is None:
        del given["out"], keywords["out"]
    if Tensor in map(type, parts):
        return NotImplemented
    if "out" in keywords:
        raise refuse(f"{_name(function)} with out=", "use the result")
    program = parts[0].program
    forward = function.__wrapped__ if type(function) is Primitive else function
    value = forward(*values, **given)
    if function in STATIC:
        return value
    several = isinstance(value, (tuple, list))
    if not several and not isinstance(value, (np.ndarray, np.generic)):
        what = f"{_name(function)}, which gives Python {type(value).__name__} of traced values"
        raise refuse(what, "let it be decided outside the step, or use fallback=True")
    found = [Tracer(program, part, program.new(part)) for part in (value if several else (value,))]
    views = NO_VIEWS
    if type(function) is not np.ufunc:  # whose results are no views
        views = {y.variable: seen for y in found if (seen := _seen(y.value, parts)) is not None}
    outs, inputs = tuple([y.variable for y in found]), [x.variable for x in parts]
    program.calls.append(Call(function, tuple(variables), keywords, outs, several, views, inputs))
    return like(value, found) if several else found[0]


def _seen(value, parts):
    """The Var whose memory the value shares, or None."""
    if type(value) is not np.ndarray or (value.base is None and all([p.value is not value for p in parts])):
        return None
    arrays = (p for p in parts if type(p.value) is np.ndarray)
    return next((p.variable for p in arrays if np.may_share_memory(value, p.value)), None)


def _name(function):
    return getattr(function, "__name__", repr(function))


def _split(x, found):
    """x with the values of the Tracers in it, and x with their Vars; `found` gets these, and Tensors."""
    kind = type(x)
    if kind in ATOMS:
        return x, x
    if kind is Tracer:
        found.append(x)
        return x.value, x.variable
    if kind is Tensor:
        found.append(x)
    elif kind is tuple or kind is list or isinstance(x, (tuple, list)):
        pairs = [_split(part, found) for part in x]
        return like(x, [value for value, _ in pairs]), like(x, [var for _, var in pairs])
    elif kind is dict:
        pairs = [_split(part, found) for part in x.values()]
        return dict(zip(x, [value for value, _ in pairs])), dict(zip(x, [var for _, var in pairs]))
    elif kind is slice:
        values, variables = _split((x.start, x.stop, x.step), found)
        return slice(*values), slice(*variables)
    return x, x


_operators()
QUICK.add(Tracer)
