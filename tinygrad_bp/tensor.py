"""`Tensor`, an ndarray that remembers, and `record`, which is how NumPy itself calls us.

The one idea: NumPy offers every call to its operands first (`__array_ufunc__`,
`__array_function__`). A Tensor answers by running the same function on its data and noting in a
`Node` what a backward pass will need. Its data may itself be a Tensor, one that an outer transform
made: `record` strips the youngest level only and calls NumPy again, which then records the older
one. In `grad(lambda x: x * grad(lambda y: x * y)(x))` the inner y is a Tensor over the Tensor x;
`x * y` is noted once for y, with the constant x, and that constant's own product once for x. So
derivatives nest without any flag that says whose they are. Read `backward.py` next.
"""

import operator
from typing import Any

import numpy as np

from .common_memory import note
from .errors import NotDifferentiable, message, only_numbers, raised_in
from .graph import AMBIENT, NO_KEYWORDS, PICK, UPSTAIRS, Node, extra_of, upstairs
from .methods import ArrayMethods, constant, constants, like, records, tensors_in
from .operands import ARRAYS, LISTS, as_arrays, bare, outline_of, plain, result_of, stand_in, undifferentiated
from .primitive import REGISTRY, Composite, DuckArray, Op
from .views import STALE, Step, adopt, bare_step, registry, shares

_ambient, _new_node, _new = AMBIENT.get, Node.of, object.__new__


def record(op, args, kwargs, forward=None):
    """Run `op` on the data of the youngest level among `args`, and note it in a Node there."""
    ambient = _ambient()
    forward = forward or op.forward
    if kwargs or len(args) != op.count:
        try:
            args, kwargs = op.bind(args, kwargs)
        except NotDifferentiable:
            if op.view or any(map(records, tensors_in([*args, *kwargs.values()]))):
                raise
            return wrap(forward(*constants(args), **constants(kwargs)))
        if f := stand_in(op, kwargs):
            return UPSTAIRS["record_composite"](Composite(forward, f), args, kwargs)
        kwargs = {k: v if plain(v) else undifferentiated(op, f"{k}=", v) for k, v in kwargs.items()}
    operands = as_arrays(op, args) if op.sequence is None else tuple(args[0])
    level = _youngest(operands)
    if level <= ambient.blocked:
        values = [constant(a) for a in operands]
        y = wrap(_run(forward, op, values, kwargs, operands))
        return _adopted(y, op, args, kwargs, forward, values)
    values, parents, mask = [], [], 0
    for i, a in enumerate(operands):
        node, value = (a._node, a._data) if type(a) is Tensor else (None, a)
        if node is not None and node.level == level:
            mask |= 1 << i
        elif node is not None:
            node, value = None, a  # of an older level
        parents.append(node)
        values.append(value)
    y = result_of(_run(forward, op, values, kwargs, operands), op, level)
    keep_y, keeps = op.what_to_keep(mask, len(values))
    saved = [snapshot(v) if keep else p or outline_of(v, op) for v, keep, p in zip(values, keeps, parents)]
    several = isinstance(y, (tuple, list))
    if not several and not (isinstance(y, ARRAYS) and y.dtype.kind in "fc"):
        return y
    shape, dtype = (None, None) if several else (y.shape, y.dtype)
    node = _new_node(op, y if keep_y else None, tuple(saved), tuple(parents), shape, dtype, level, kwargs)
    if several:
        return _record_parts(y, node, operands, ambient)
    return _adopted(_finish(y, node, operands, ambient), op, args, kwargs, forward, values)


def _youngest(operands):
    """The youngest level that records one of them, -1 if none does; views of what was written are made fresh."""
    level = -1
    for a in operands:
        if type(a) is Tensor and a._node is not None:
            if a._node is STALE:
                refresh(a)
            if a._node is not None and a._node.level > level:
                level = a._node.level
    return level


def _adopted(result, op, args, kwargs, forward, values):
    """`result`, known as a view if it shares the memory of the first Tensor among `args`."""
    if op.view:
        i = 0 if type(args[0]) is Tensor else next((i for i, a in enumerate(args) if type(a) is Tensor), None)
        if i is not None and shares(result._data, values.pop(i)):
            adopt(result, args[i], (Step(op, forward, args[:i], args[i + 1 :], kwargs),))
    return result


def snapshot(v):
    """What a rule may keep: an array as it is (writes step aside for it), a Tensor as it is now."""
    if type(v) is not Tensor:
        return v
    now = Tensor._of(v._data, v._node)
    now._alias = registry(v)  # views taken of it must hold v's memory, too
    return now


@upstairs
def refresh(t):
    """Give a view whose memory was written to a Node anew: its steps, from the root as it is now."""
    if t._node is not STALE:
        return
    token = AMBIENT.set(_ambient().replace(blocked=-1))
    try:
        view = snapshot(t._alias.root)
        for step in t._alias.steps:
            view = record(step.op, (*step.before, view, *step.after), step.kwargs, step.forward)
    finally:
        AMBIENT.reset(token)
    t._node = view._node
    if t._alias.retained:
        t._node.grad = None
    if t._name is not None:
        extra_of(t._node).name = t._name


QUICK, _FLOATS = {np.ndarray, np.float64, np.float32}, frozenset(map(np.dtype, "fd"))
"""Types of results that need no second look, tracers add theirs, and their usual dtypes."""


def _constant(y):
    """What a function of arrays gave, as a Tensor that records nothing."""
    if type(y) in QUICK and (y.dtype in _FLOATS or y.dtype.kind != "O"):
        return Tensor._of(y, None)
    return wrap(bare(only_numbers(y)))


def _giving(y):
    """A forward that has run already: for results that only `record` knows how to treat."""
    return lambda *_, **__: y


def _run(forward, op, values, kwargs, operands):
    try:
        y = forward(*values, **kwargs) if op.sequence is None else forward(list(values), **kwargs)
        return y if type(y) is np.ndarray and y.dtype.kind in "fc" else bare(only_numbers(y))
    except Exception as error:
        raise raised_in(error, op, operands, kwargs)  # noqa: B904 (the same error)


def _record_parts(y, whole, operands, ambient):
    """Several outputs: one Node for the op, and one that picks for each output that is a number."""
    _finish(y, whole, operands, ambient)
    picks = []
    for i, part in enumerate(y):
        part = result_of(part, whole.op, whole.level, several=False)
        if isinstance(part, ARRAYS) and part.dtype.kind in "fc":
            node = _new_node(PICK, None, (i, len(y)), (whole, None), part.shape, part.dtype, whole.level)
            part = _finish(part, node, (), ambient)
        picks.append(part)
    return like(y, picks)


def record_unary(op, x, forward, kwargs=NO_KEYWORDS):
    """`record` for one Tensor and keywords that hold none: without the general one's loops."""
    node, ambient = x._node, _ambient()
    blocked = node is None or node.level <= ambient.blocked
    if node is STALE or (op.view and not blocked and type(x._data) is not np.ndarray):
        return record(op, (x,), kwargs, forward)
    a = constant(x) if blocked else x._data
    try:
        y = forward(a, **kwargs) if kwargs else forward(a)
    except Exception as error:
        raise raised_in(error, op, (x,), kwargs)  # noqa: B904
    if blocked:
        result = _constant(y)
    else:
        if type(y) not in QUICK or (y.dtype not in _FLOATS and y.dtype.kind not in "fc"):
            if type(y) is not Tensor:
                return record(op, (x,), kwargs, _giving(y))
            y = result_of(y, op, node.level)
        keep_y, (keep_x,) = op.keeps.get(1) or op.what_to_keep(1, 1)
        kept, parents = y if keep_y else None, (node,)
        new = _new_node(op, kept, (a,) if keep_x else parents, parents, y.shape, y.dtype, node.level, kwargs)
        if ambient.run is not None:
            ambient.run.saw(new, y, (x,), ambient.module)
        result = _new_tensor(y, new)
    if op.view and shares(y, a):
        del a  # a name here would pass for a rule's hold
        adopt(result, x, (Step(op, forward, (), (), kwargs),) if kwargs else bare_step(op, forward))
    return result


def record_binary(op, a, b, forward):
    """`record` for two operands, no keywords, and a result that is no view."""
    left: Any = None
    right: Any = None
    x, y = a, b
    if type(a) is Tensor:
        left, x = a._node, a._data
    if type(b) is Tensor:
        right, y = b._node, b._data
    level, mask = (-1, 0) if left is None else (left.level, 1)
    if right is not None:
        level, mask = right.level, mask + 2
    ambient = _ambient()
    blocked = level <= ambient.blocked
    if (mask == 3 and left.level != level) or (blocked and (left is STALE or right is STALE)):
        return record(op, (a, b), {}, forward)
    if mask != 3 and (type(x) in LISTS or type(y) in LISTS):
        return record(op, (a, b), {}, forward)
    if blocked and mask:
        x, y = constant(a), constant(b)
    try:
        z = forward(x, y)
    except Exception as error:
        raise raised_in(error, op, (a, b), NO_KEYWORDS)  # noqa: B904
    if blocked:
        return _constant(z)
    if type(z) not in QUICK or (z.dtype not in _FLOATS and z.dtype.kind not in "fc"):
        if type(z) is not Tensor:
            return record(op, (a, b), {}, _giving(z))
        z = result_of(z, op, level)
    keep_z, (keep_x, keep_y) = op.keeps.get(mask) or op.what_to_keep(mask, 2)
    parents = (left, right)
    if op.elementwise or mask == 3:
        saved = (x if keep_x else left, y if keep_y else right) if keep_x or keep_y else parents
    else:
        saved = x if keep_x else left or outline_of(x, op), y if keep_y else right or outline_of(y, op)
    node = _new_node(op, z if keep_z else None, saved, parents, z.shape, z.dtype, level)
    if ambient.run is not None:
        ambient.run.saw(node, z, (a, b), ambient.module)
    return _new_tensor(z, node)


def _finish(y, node, operands, ambient):
    if ambient.run is not None:
        ambient.run.saw(node, y, operands, ambient.module)
    return Tensor._of(y, node)


def wrap(y):
    """Arrays as Tensors that record nothing; containers of arrays likewise."""
    if isinstance(y, (tuple, list)):
        return like(y, [wrap(part) for part in y])
    y = np.asarray(y)[()] if type(y) in (bool, int, float, complex) else y
    return Tensor._of(y, None) if isinstance(y, ARRAYS) and type(y) is not Tensor else y


def _binary(ufunc, operate, operate_in_place):
    """The operator methods of one ufunc: `t * u` without NumPy's dispatch, reflected, and in place."""

    def plain(self, other):
        return record_binary(REGISTRY[ufunc], self, other, operate)

    def reflected(self, other):
        return record_binary(REGISTRY[ufunc], other, self, operate)

    return plain, reflected, _in_place(operate, operate_in_place)


def _in_place(operate, operate_in_place):
    def in_place(self, other):
        return UPSTAIRS["update"](self, operate, operate_in_place, other)

    return in_place


def _unary(ufunc, operate):
    return lambda self: record_unary(REGISTRY[ufunc], self, operate)


_COPIED = frozenset({list, tuple, bool, int, float, complex})


class Tensor(ArrayMethods):
    """An ndarray that records what is computed from it, if `requires_grad`.

    `data` is shared, as by `np.asarray` (`bp.tensor` copies). Only floating and complex data can
    require gradients. Raises TypeError for data that are not numbers.

    >>> import numpy as np, tinygrad_bp as bp
    >>> x = bp.Tensor([1.0, 2.0], requires_grad=True)
    >>> np.sum(x * x).backward()
    >>> x.grad
    array([2., 4.])
    """

    __slots__ = ()

    def __init_subclass__(cls):
        raise TypeError(message("bp.Tensor cannot be subclassed", do="hold a Tensor, or write a nn.Module"))

    def __init__(self, data, requires_grad=False, dtype=None, name=None):
        if type(data) is Tensor and records(data):
            raise TypeError(message("bp.Tensor was given a Tensor that records", do="use it, or t.detach()"))
        given, data = data, constant(data)
        if not isinstance(data, DuckArray):
            data = np.asarray(data if type(data) in (np.ndarray, np.matrix) else only_numbers(data), dtype)
            if data.dtype.kind not in "fciub":
                raise TypeError(message("a Tensor holds numbers", got=f"dtype {data.dtype}"))
        self._handle = data if type(data) is np.ndarray and type(given) not in _COPIED else None
        self._data = data if self._handle is None else data.view()
        self._node = self._name = self._alias = None
        if type(given) is Tensor and shares(data, constant(given)):
            adopt(self, given, ())
        elif self._handle is not None:
            note(self)
        if name is not None:
            self.name = name
        if requires_grad:
            self.requires_grad = True

    @staticmethod
    def _of(data, node):
        """The Tensor over `data` that `node` describes; no checks."""
        tensor = _new(Tensor)
        tensor._data, tensor._node = data, node
        tensor._name = tensor._alias = tensor._handle = None
        return tensor

    def backward(self, grad=None, retain_graph=False):
        """Add ∂self/∂leaf to the `.grad` of every leaf that self was computed from.

        `grad`: the cotangent of self, of its shape; 1 by default, for a Tensor of one element.
        The graph is freed on the way unless `retain_graph`.
        """
        UPSTAIRS["backward"](self, grad, retain_graph)

    def detach(self):
        """A constant Tensor over the same memory, cut off from all levels of recording."""
        data = constant(self)
        constant_view = Tensor._of(data.view() if type(data) is np.ndarray else data, None)
        del data  # a name here would pass for a rule's hold
        if not isinstance(constant_view._data, np.generic):
            adopt(constant_view, self, (), detached=True)
        return constant_view

    # ---- how NumPy calls us ----------------------------------------------------------------------

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method == "__call__" and not kwargs:
            op = REGISTRY.get(ufunc)
            if type(op) is Op:
                if len(inputs) == 2:
                    return record_binary(op, *inputs, ufunc)
                return record_unary(op, *inputs, ufunc) if len(inputs) == 1 else record(op, inputs, {})
        return UPSTAIRS["dispatch_ufunc"](ufunc, method, inputs, kwargs)

    def __array_function__(self, func, types, args, kwargs):
        op = REGISTRY.get(func)
        if type(op) is Op and "out" not in kwargs:
            if op.count == 1 and not op.together and args and type(args[0]) is Tensor:
                if not kwargs and len(args) == 1:
                    return record_unary(op, args[0], op.of_one)
                try:
                    (x,), named = op.bind(args, kwargs)
                except NotDifferentiable:  # of a constant it may be called so, which `record` sees to
                    named = None
                if named is not None and all(map(plain, named.values())):
                    return record_unary(op, x, func, named)
            elif op.count == len(args) == 2 and not (op.together or op.view or op.elementwise or kwargs):
                return record_binary(op, args[0], args[1], func)  # whose rules get Outlines, too
            return record(op, args, kwargs)
        return UPSTAIRS["dispatch"](func, args, kwargs)

    def __getitem__(self, index):
        op = REGISTRY[operator.getitem]
        return record_unary(op, self, op.forward, {"index": constants(index)})

    def __setitem__(self, index, value):
        UPSTAIRS["assign"](self, index, value)

    def fill(self, value):
        """Write one value everywhere."""
        self[...] = value

    def astype(self, dtype, order="K", casting="unsafe", subok=True, copy=True):
        """Itself, or a copy, in another dtype; an integer dtype gives a plain array."""
        if not copy and self.dtype == dtype and order == "K":
            return self
        cast = lambda x, dtype: x.astype(dtype, order=order, casting=casting)
        return record(REGISTRY[np.ndarray.astype], (self,), {"dtype": dtype}, cast)

    def sum(self, *args, **kwargs):
        """`np.sum` of this Tensor."""
        if args or kwargs:
            return np.sum(self, *args, **kwargs)
        return record_unary(REGISTRY[np.sum], self, _sum)

    @property
    def T(self):
        """The Tensor with its axes reversed."""
        return record_unary(REGISTRY[np.transpose], self, _reverse_axes)

    __add__, __radd__, __iadd__ = _binary(np.add, operator.add, operator.iadd)
    __sub__, __rsub__, __isub__ = _binary(np.subtract, operator.sub, operator.isub)
    __mul__, __rmul__, __imul__ = _binary(np.multiply, operator.mul, operator.imul)
    __truediv__, __rtruediv__, __itruediv__ = _binary(np.true_divide, operator.truediv, operator.itruediv)
    __rpow__, __ipow__ = _binary(np.power, operator.pow, operator.ipow)[1:]
    __matmul__, __rmatmul__, __imatmul__ = _binary(np.matmul, operator.matmul, operator.imatmul)
    __mod__, __rmod__, __imod__ = _binary(np.remainder, operator.mod, operator.imod)

    def __pow__(self, other, modulus=None):
        if modulus is not None:
            raise TypeError(message("pow() of a Tensor with a modulus", do="use t**n % m"))
        return record_binary(REGISTRY[np.power], self, other, operator.pow)

    __neg__ = _unary(np.negative, operator.neg)
    __pos__ = _unary(np.positive, operator.pos)
    __abs__ = _unary(np.absolute, operator.abs)
    __ifloordiv__ = _in_place(operator.floordiv, operator.ifloordiv)
    __iand__ = _in_place(operator.and_, operator.iand)
    __ior__ = _in_place(operator.or_, operator.ior)
    __ixor__ = _in_place(operator.xor, operator.ixor)
    __ilshift__ = _in_place(operator.lshift, operator.ilshift)
    __irshift__ = _in_place(operator.rshift, operator.irshift)


_new_tensor, _reverse_axes, _sum = Tensor._of, operator.attrgetter("T"), operator.methodcaller("sum")
