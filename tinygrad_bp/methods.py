"""What a Tensor shares with an ndarray: its facts, its methods, and the ways out to plain Python.

The one idea: NumPy is the switchboard. `t.sum(axis=0)` calls `np.sum(t, axis=0)`, and NumPy offers
that call to the Tensor, which finds the rule; nothing here knows of derivatives. The ways out
(`float`, `np.asarray`) are closed while a Tensor records, since a gradient would be lost through
them without a word. Read `tensor.py` next.
"""

import operator
from typing import Any

import numpy as np

from .common_memory import note
from .errors import ABSENT, absent, message, outline
from .graph import AMBIENT, UNRETAINED, UPSTAIRS, extra_of, leaf_node
from .primitive import DuckArray
from .views import STALE, handle_of, leave_family


def records(t):
    """Does an operation on this Tensor, here and now, get recorded?"""
    node = t._alias.root._node if t._node is STALE else t._node
    return node is not None and node.level > AMBIENT.get().blocked


def fresh_node(t):
    """t's Node; if t is a view whose memory was written to, the one it has since."""
    if t._node is STALE:
        UPSTAIRS["refresh"](t)
    return t._node


def constant(x):
    """The array under a Tensor, all levels stripped; anything else as it is."""
    while isinstance(x, ArrayMethods):
        x = x._data
    return x


def constants(x):
    """`constant` of everything in nested lists, tuples and dicts."""
    if isinstance(x, (list, tuple)):
        return like(x, [constants(part) for part in x])
    return {k: constants(v) for k, v in x.items()} if isinstance(x, dict) else constant(x)


def tensors_in(args):
    """The Tensors in nested lists and tuples."""
    for a in args:
        if isinstance(a, ArrayMethods):
            yield a
        elif isinstance(a, (list, tuple)):
            yield from tensors_in(a)


def like(sequence, parts):
    """`parts` as a list, tuple or named tuple, whatever `sequence` is."""
    kind = type(sequence)
    if kind is tuple or kind is list:
        return kind(parts)
    return kind(*parts) if any("_fields" in vars(cls) for cls in kind.__mro__) else kind(parts)


def _integers(dtype):
    return message(
        "only floating and complex Tensors can require gradients", got=f"dtype {dtype}",
        do="convert with dtype=float",
    )  # fmt: skip


def _convert(kind, way_out):
    """float(t) and its like: free for a constant, an error where the gradient would be lost."""

    def method(self):
        if records(self):
            raise UPSTAIRS["lost"](
                self, f"{kind.__name__}() of a Tensor that records would lose its gradient", way_out
            )
        return kind(constant(self))

    return method


_WAY_OUT = (
    "use np.sin and the like for math.sin, np.stack([t, u]) for np.array([t, u]), a Tensor such as bp.zeros(n) "
    "for a buffer that is written to, and t.item() or t.data where no gradient is wanted"
)


def _method(function):
    """The method that calls `function` with the Tensor as its first argument."""

    def method(self, *args, **kwargs):
        return function(self, *args, **kwargs)

    method.__name__ = function.__name__
    method.__doc__ = f"`np.{function.__name__}` of this Tensor."
    return method


def _plain(operate):
    """An operator whose value is locally constant: plain arrays come out."""
    return lambda self, other: operate(constant(self), constant(other))


def _axes(args):
    """`t.reshape(2, 3)` and `t.reshape((2, 3))` say the same."""
    return args[0] if len(args) == 1 else args


class ArrayMethods(DuckArray):
    """An array, the Node that describes it (None for a constant), and all that an ndarray has."""

    __slots__ = ("__weakref__", "_alias", "_data", "_handle", "_name", "_node")

    _alias: Any  # views.View of a view; a root's list of weak references to its views, or None
    _data: Any  # nobody else's array object, so that its holders tell whether a rule has saved it
    _handle: Any  # the array object on the same memory that the user gave or was given, or None
    _name: str | None
    _node: Any

    # ---- what it holds -------------------------------------------------------------------------

    @property
    def data(self):
        """The value: an ndarray or NumPy scalar (a Tensor under an outer transform).

        Assigning replaces a leaf's array; `t.data[...] = a` writes into it, unseen by the graph.
        """
        if self._handle is None and type(self._data) is np.ndarray:
            self._handle = handle_of(self)
            note(self)
        return self._data if self._handle is None else self._handle

    @data.setter
    def data(self, value):
        if value is self._handle and value is not None:
            return  # t.data -= …, which has written through it
        if self._node is STALE or (self._node is not None and self._node.op is not None):
            raise TypeError(
                message(
                    "only a leaf's data can be replaced", got=outline(self), do="replace the parameter's data"
                )
            )
        if isinstance(value, ArrayMethods) and records(value):
            raise TypeError(
                message("data cannot be a Tensor that records", do="assign its .data, or under no_grad")
            )
        value = constant(value) if isinstance(value, DuckArray) else np.asarray(value)
        node = self._node
        if node is not None:
            if value.dtype.kind not in "fc":
                raise TypeError(_integers(value.dtype))
            if (node.shape, node.dtype) != (value.shape, value.dtype):
                node.grad = None  # it was of another shape or dtype
            node.shape, node.dtype = value.shape, value.dtype
        if self._alias is not None:
            leave_family(self, value)
        self._handle = value if type(value) is np.ndarray else None
        self._data = value if self._handle is None else value.view()
        if self._handle is not None:
            note(self)

    def _move(self, data):
        """The value is elsewhere from now on."""
        self._data, self._handle = data, None

    shape = property(operator.attrgetter("_data.shape"), doc="Length of each axis.")
    dtype = property(operator.attrgetter("_data.dtype"), doc="NumPy's dtype of the data.")
    ndim = property(operator.attrgetter("_data.ndim"), doc="Number of axes.")
    size = property(operator.attrgetter("_data.size"), doc="Number of elements.")
    itemsize = property(lambda self: self.dtype.itemsize, doc="Bytes of one element.")
    nbytes = property(lambda self: self.size * self.itemsize, doc="Bytes of all elements.")

    @property
    def name(self):
        """A name for error messages and drawings, or None."""
        return self._name

    @name.setter
    def name(self, name):
        self._name = name
        node = fresh_node(self)
        if node is not None:
            extra_of(node).name = name
            if node.extra.seen is not None:
                node.extra.seen.name = name

    @property
    def requires_grad(self):
        """Is this Tensor a leaf whose gradient is wanted, or computed from one?"""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, wanted):
        if fresh_node(self) is not None and self._node.op is not None:
            raise TypeError(
                message("requires_grad can only be set on a leaf", got=outline(self), do="use t.detach()")
            )
        if not wanted:
            self._node = None
        elif self._node is None:
            if self.dtype.kind not in "fc":
                raise TypeError(_integers(self.dtype))
            self._node = leaf_node(self._data, AMBIENT.get().level)
            if self._name is not None:
                extra_of(self._node).name = self._name

    # ---- gradients -----------------------------------------------------------------------------

    @property
    def grad(self):
        """∂(what was backpropagated)/∂(this leaf), summed over backward passes; None before the first."""
        if self._node is None:
            return None
        if self._node.grad is UNRETAINED:
            raise RuntimeError(
                message(
                    f"the gradient of an intermediate Tensor is not kept: {outline(self)}",
                    do="call t.retain_grad() on it before .backward()",
                )
            )
        return self._node.grad

    @grad.setter
    def grad(self, value):
        if self._node is None:
            raise TypeError(message("only a Tensor that requires grad has a .grad", got=outline(self)))
        if value is not None and np.shape(value) != self.shape:
            raise ValueError(
                message("a .grad has its Tensor's shape", expected=self.shape, got=np.shape(value))
            )
        g = constant(value)
        self._node.grad = g if g is None or isinstance(g, DuckArray) else np.array(g, self.dtype)

    def zero_grad(self):
        """Forget the gradient: `.grad` is None again."""
        if self._node is not None and self._node.grad is not UNRETAINED:
            self._node.grad = None

    def retain_grad(self):
        """Keep this intermediate's gradient, too, in `.grad`. Returns the Tensor."""
        if self._node is None:
            raise TypeError(
                message(
                    f"no gradient will reach {outline(self)}, which records nothing",
                    do="compute it from one with requires_grad=True",
                )
            )
        if fresh_node(self).grad is UNRETAINED:
            self._node.grad = None
        return self

    # ---- methods, by asking NumPy -----------------------------------------------------------------

    # reductions
    sum = _method(np.sum)
    mean = _method(np.mean)
    var = _method(np.var)
    std = _method(np.std)
    max = _method(np.max)
    min = _method(np.min)
    prod = _method(np.prod)
    cumsum = _method(np.cumsum)
    cumprod = _method(np.cumprod)
    trace = _method(np.trace)

    # shapes
    ravel = _method(np.ravel)
    squeeze = _method(np.squeeze)
    swapaxes = _method(np.swapaxes)
    repeat = _method(np.repeat)
    diagonal = _method(np.diagonal)

    def copy(self: Any, order="C"):
        """A copy that records, by default with its elements in C order; of NumPy's scalars another scalar."""
        return +self if isinstance(constant(self), np.generic) else np.copy(self, order=order)

    def reshape(self: Any, *shape, order="C"):
        """`np.reshape`; lengths may be given one by one."""
        return np.reshape(self, _axes(shape), order=order)

    def flatten(self: Any, order="C"):
        """A copy with one axis."""
        return np.ravel(np.copy(self), order=order)

    def transpose(self: Any, *axes):
        """`np.transpose`; axes may be given one by one, and are reversed by default."""
        return np.transpose(self, _axes(axes) if axes else None)

    @property
    def mT(self):
        """The Tensor with its last two axes swapped."""
        return self.swapaxes(-1, -2)

    # choosing
    take = _method(np.take)
    compress = _method(lambda a, condition, axis=None, out=None: np.compress(condition, a, axis, out=out))
    choose = _method(np.choose)
    put = _method(np.put)
    argsort = _method(np.argsort)
    argpartition = _method(np.argpartition)
    argmax, argmin = _method(np.argmax), _method(np.argmin)
    nonzero = _method(np.nonzero)
    searchsorted = _method(np.searchsorted)

    def sort(self, axis=-1, kind=None, *, stable=None):
        """Put the elements in order along `axis`, in place; `np.sort` gives a copy."""
        UPSTAIRS["rearrange"](self, np.sort, axis=axis, kind=kind, stable=stable)

    def partition(self, kth, axis=-1):
        """Put the kth element along `axis` where sorting would, smaller ones before it, in place."""
        UPSTAIRS["rearrange"](self, np.partition, kth, axis=axis)

    # products and elements
    dot = _method(np.dot)

    def clip(self: Any, min=None, max=None, out=None):
        """`np.clip` of this Tensor between `min` and `max`, either of which may be None."""
        return np.clip(self, min, max, out=out)

    round = _method(np.round)

    def conj(self):
        """The complex conjugate; of real numbers the Tensor itself, as an ndarray's `conj` gives."""
        return np.conjugate(self) if self.dtype.kind == "c" else self

    conjugate = conj
    any, all = _method(np.any), _method(np.all)

    @property
    def real(self):
        """The real part."""
        return np.real(self)

    @property
    def imag(self):
        """The imaginary part."""
        return np.imag(self)

    # ---- ways out to plain Python and NumPy ------------------------------------------------------

    def numpy(self):
        """The plain ndarray; shares memory, carries no gradient."""
        t = self
        while isinstance(t._data, ArrayMethods):
            t = t._data
        return np.asarray(t.data)

    def item(self):
        """The one element as a Python number; carries no gradient."""
        return constant(self).item()

    def tolist(self):
        """The elements as Python numbers in nested lists; carries no gradient."""
        return constant(self).tolist()

    def __array__(self, dtype=None, copy=None):
        if records(self):
            raise UPSTAIRS["lost"](self, "NumPy asked for the bare array of a Tensor that records", _WAY_OUT)
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    __float__ = _convert(float, _WAY_OUT)
    __int__ = _convert(int, _WAY_OUT)
    __complex__ = _convert(complex, _WAY_OUT)
    __index__ = _convert(operator.index, "use t.item()")

    def __round__(self, digits=None):
        if self.shape:
            raise TypeError(message("round() of an array", got=outline(self), do="use np.round"))
        return round(self.item(), digits)

    def __bool__(self):
        return bool(constant(self))

    def __len__(self):
        if not self.shape:
            raise TypeError(message("len() or a loop over a Tensor without axes", do="use the Tensor itself"))
        return self.shape[0]

    def __iter__(self: Any):
        return (self[i] for i in range(len(self)))

    def __contains__(self, value):
        return value in constant(self)

    __lt__, __le__ = _plain(operator.lt), _plain(operator.le)
    __gt__, __ge__ = _plain(operator.gt), _plain(operator.ge)
    __eq__, __ne__ = _plain(operator.eq), _plain(operator.ne)
    __floordiv__ = _plain(operator.floordiv)
    __rfloordiv__ = _plain(lambda a, b: b // a)
    __and__, __or__ = _plain(operator.and_), _plain(operator.or_)
    __xor__, __invert__ = _plain(operator.xor), lambda self: ~constant(self)
    __lshift__, __rshift__ = _plain(operator.lshift), _plain(operator.rshift)
    __rlshift__, __rrshift__ = _plain(lambda a, b: b << a), _plain(lambda a, b: b >> a)
    __divmod__, __rdivmod__ = _method(np.divmod), lambda self, other: np.divmod(other, self)
    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __hash__(self):
        return id(self)

    def __repr__(self):
        text = np.array2string(np.asarray(constant(self)), separator=", ", prefix="Tensor(")
        facts = [f"shape={self.shape}"]
        if self.dtype != np.float64:
            facts.append(f"dtype={self.dtype}")
        if self._node is not None:
            op = "view" if self._node is STALE else self._node.op.name if self._node.op else None
            facts.append(f"op={op}" if op else "requires_grad=True")
        if self._name is not None:
            facts.append(f"name={self._name!r}")
        return f"Tensor({text}, {', '.join(facts)})"

    def __format__(self, spec):
        return format(self.item(), spec) if spec and self.size == 1 else format(repr(self), spec)

    def __reduce__(self):
        """For copy, deepcopy and pickle: value, requires_grad and name, in memory of their own; no gradient."""
        node = fresh_node(self)
        if isinstance(self._data, DuckArray) or (node is not None and (node.op is not None or node.level)):
            raise TypeError(
                message(
                    "only leaves outside of transforms can be copied or pickled",
                    got=outline(self),
                    do="use t.detach() first, or t.copy() for a copy that records",
                )
            )
        return type(self), (np.array(self._data), node is not None, None, self._name)


for _name in ABSENT:
    setattr(ArrayMethods, _name, absent(_name))
