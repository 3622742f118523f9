"""What NumPy's calls on Tensors come to: the registry's entry for each function, and `out=`.

The one idea: one table lookup decides. An op is recorded; a composite is recorded as the calls it
is made of; what is locally constant gives plain arrays; a writer writes; all else is an error that
says what to do. Read `writes.py` next.
"""

import functools
import sys

import numpy as np

from .errors import NotDifferentiable, message, no_rule, outline
from .frames import library_call
from .graph import UPSTAIRS, upstairs
from .methods import constants, like, records
from .primitive import REGISTRY, Composite, Nondifferentiable, Op, Refused, Writer
from .tensor import Tensor, bare, record, refresh, tensors_in, wrap
from .views import shares


def _of_scipy(fn):
    """The entry of a function of SciPy's: their rules are loaded when the first of them is met."""
    if "scipy.special" in sys.modules:
        from .ops import special  # noqa: F401
    return REGISTRY.get(fn)


@upstairs
def dispatch(fn, args, kwargs):
    """What NumPy calls for every function of a Tensor: look fn up and do as its entry says."""
    entry = REGISTRY.get(fn) or _of_scipy(fn)
    if type(entry) is Op and "out" not in kwargs:
        return record(entry, args, kwargs)
    if type(entry) is Writer:
        return entry.f(*args, **kwargs)
    if kwargs.get("out") is not None:
        return UPSTAIRS["call_into"](fn, args, **kwargs)
    if type(entry) is Op:
        return record(entry, args, kwargs)
    if type(entry) is Composite:
        return record_composite(entry, args, kwargs)
    if type(entry) is Nondifferentiable or not any(map(records, tensors_in([*args, *kwargs.values()]))):
        y = fn(*constants(args), **constants(kwargs))
        return _over_common_memory(
            y, list(tensors_in([*args, *kwargs.values()])), type(entry) is Nondifferentiable
        )
    raise no_rule(fn, entry.advice if type(entry) is Refused else None)


_HOMES = {
    "np.linalg": "numpy.linalg", "np.fft": "numpy.fft", "np": "numpy", "bp.nn.functional": f"{__package__}.nn.functional",
    f"{__package__}.ops.special": f"{__package__}.ops.special",
}  # fmt: skip
"""Where a differentiable function of the same name as a library's may be, in this order."""
_INSTEAD = {
    "numpy.vectorize": "call the function itself, if it is made of NumPy's functions; or pass t.data",
    "numpy.full": "use np.broadcast_to(t, shape), or t + np.zeros(shape); or pass t.data",
}


@upstairs
def lost(t, what, do):
    """The error of a Tensor that records where a bare array or number is due, with the call that asked for it."""
    asked = library_call()
    if asked is None or asked.startswith("numpy."):
        place = f", in {asked}" if asked else ""
        return TypeError(message(f"{what}: {outline(t)}{place}", do=_INSTEAD.get(asked, do)))
    _of_scipy(None)
    name = asked.rpartition(".")[2]
    for home, module in _HOMES.items():
        found = vars(sys.modules.get(module, object)).get(name)
        if found is not None and (module[:5] != "numpy" or type(REGISTRY.get(found)) in (Op, Composite)):
            use = f"use {home}.{name}, if it does the same; or "
            break
    else:
        use = ""
    what = f"{asked} works on bare arrays, and was given a Tensor that records: {outline(t)}"
    do = f"{use}give it a derivative: f = bp.primitive(…), and f.defvjp(lambda g, y, x: …); or pass t.data"
    return NotDifferentiable(message(what, do=f"{do} where no gradient is wanted"))


def _over_common_memory(y, tensors, plain):
    """y, but no view of a Tensor's memory in it unseen: a Tensor instead, or a copy where arrays are due."""
    if isinstance(y, (list, tuple)):
        return like(y, [_over_common_memory(part, tensors, plain) for part in y])
    if type(y) is not np.ndarray:
        return y
    if not any(y is t._data or (y.base is not None and np.may_share_memory(y, t._data)) for t in tensors):
        return y
    if plain:
        return y.copy()
    for t in tensors:
        t.data  # noqa: B018 (from now on its memory is known as common)
    return Tensor(y)


@upstairs
def record_composite(entry, args, kwargs):
    """The derivative of `entry.f`, under the value that NumPy itself computes."""
    if entry.calls_back:
        return wrap(entry.f(*args, **kwargs))
    tensors = list(tensors_in([*args, *kwargs.values()]))
    for t in tensors:
        refresh(t)
    try:
        y = entry.f(*args, **kwargs)
    except Exception:
        _ask_numpy(entry, args, kwargs)
        raise
    level = max((t._node.level for t in tensors_in([y]) if t._node is not None), default=-1)
    if level < 0:
        return wrap(_over(entry.forward(*constants(args), **constants(kwargs)), y, level))
    older = any(type(t._data) is Tensor or (t._node is not None and t._node.level < level) for t in tensors)
    args = [_peeled(a, level, older) for a in args]
    kwargs = {k: _peeled(v, level, older) for k, v in kwargs.items()}
    return _over(entry.forward(*args, **kwargs), y, level)


def _ask_numpy(entry, args, kwargs):
    """Raises NumPy's own error of a call, if it has one: it tells more than that of a function in its stead."""
    try:
        entry.forward(*constants(args), **constants(kwargs))
    except Exception as error:
        raise error from None


def _peeled(a, level, older):
    """`a`, and what is in it, without what records at this level."""
    if isinstance(a, (list, tuple)):
        return like(a, [_peeled(part, level, older) for part in a])
    if type(a) is not Tensor or (a._node is not None and a._node.level != level):
        return a
    return wrap(a._data) if older else a._data  # NumPy may ask none but this one


def _over(value, y, level):
    """`value` with the derivative of y, if y is of this level."""
    if isinstance(value, (tuple, list)):
        return like(value, [_over(v, part, level) for v, part in zip(value, y)])
    if type(y) is Tensor and (y._data is bare(value) or shares(y._data, bare(value))):
        return y  # an argument, or of its memory, as NumPy's value is
    recorded = type(y) is Tensor and y._node is not None and y._node.level == level
    inexact = recorded and value.dtype.kind in "fc"  # not what NumPy has made integers
    return Tensor._of(bare(value), y._node) if inexact else bare(value)


_REDUCTIONS = {np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min}
_METHODS: dict[str, dict] = {
    "reduce": _REDUCTIONS,
    "accumulate": {np.add: np.cumsum, np.multiply: np.cumprod},
}


@upstairs
def dispatch_ufunc(ufunc, method, inputs, kwargs):
    """The ufunc calls that are not plain: keywords, and methods such as `np.add.reduce`."""
    if method == "at":
        return UPSTAIRS["update_at"](ufunc, *inputs)
    if method == "outer":
        a, b = inputs
        return ufunc(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b, **kwargs)
    if method != "__call__":
        known = _METHODS.get(method, {}).get(ufunc)
        return dispatch(known or getattr(ufunc, method), inputs, {"axis": 0, **kwargs} if known else kwargs)
    if kwargs.get("out") is None and not kwargs.keys().isdisjoint(_CALLS):
        return call_elementwise(ufunc, inputs, kwargs)
    return dispatch(ufunc, inputs, kwargs)


_CALLS = frozenset({"where", "dtype", "casting", "order", "signature", "subok"})


def call_elementwise(ufunc, inputs, kwargs, elsewhere=0.0):
    """ufunc(*inputs) with `where`, `dtype`, `casting`; where it is not computed, `elsewhere`."""
    entry, dtype = REGISTRY.get(ufunc), kwargs.get("dtype")
    dtype = (kwargs.get("signature") or [None])[-1] if dtype is None else dtype
    if dtype is not None and np.dtype(dtype).kind == "c":  # where a rule for real numbers may know no value
        inputs = [a.astype(dtype) if type(a) is Tensor else a for a in inputs]
    said = {name: constants(kwargs[name]) for name in _CALLS & kwargs.keys()}
    where = said.get("where", True)
    if vars(np).get(ufunc.__name__) is not ufunc:
        said.pop("where", None)  # SciPy's, up to 1.17, write the values elsewhere (scipy/scipy#25127)
    others = {name: kwargs[name] for name in kwargs.keys() - _CALLS}
    call = functools.partial(ufunc, **said, out=None)  # None: what is left out is not read
    if type(entry) is Composite:
        y = record_composite(Composite(call, entry.f), inputs, others)
    elif type(entry) is Op:
        y = record(entry, inputs, others, call)
    else:
        y = dispatch(ufunc, inputs, {**others, **said, "out": None})
    return y if where is True else np.where(where, y, elsewhere)
