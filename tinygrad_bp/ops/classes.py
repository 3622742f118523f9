"""What becomes of a derivative, name by name: the class of everything public in NumPy.

    differentiable      a rule of this folder says how; `np.copyto` and its like write, which is recorded
    composite           it is differentiated as the supported calls that it is made of
    non-differentiable  its result is locally constant or no number: plain arrays come out
    refused             an error names the nearest call that is supported
    creator             asks no argument whether it is a Tensor: it makes arrays, tells facts, is a type

`classify(f)` tells the class of one function, `everything()` of all of the running NumPy, methods,
operators and ufunc methods included. The one idea: the registry is the table; written down here is
only what never gets there. A name without a class is a test that fails; docs/numpy.md is printed from
here.
"""

import operator
from typing import Any

import numpy as np

from ..errors import ABSENT, message
from ..primitive import REGISTRY, Nondifferentiable, Refused, Writer, composite, nondifferentiable, refused
from .reduction import accumulate, reduce, reduceat

CLASSES = {
    "Op": "differentiable", "Writer": "differentiable", "Composite": "composite", "Refused": "refused",
    "Nondifferentiable": "non-differentiable",
}  # fmt: skip

CREATORS = {
    "makes arrays; of Tensors, use np.stack or np.broadcast_to": """
        array asanyarray asarray asarray_chkfinite ascontiguousarray asfortranarray asmatrix bmat from_dlpack
        frombuffer fromfile fromiter fromstring fromregex genfromtxt load loadtxt require full""",
    "makes arrays of numbers": """
        arange bartlett blackman diag_indices empty eye fftfreq fromfunction hamming hanning identity indices kaiser
        mask_indices ones rfftfreq tri tril_indices triu_indices zeros""",
    "views memory as it is told to; use np.lib.stride_tricks.sliding_window_view": "as_strided",
    "works with a function of yours; Tensors in it are recorded": "frompyfunc",
    "tells facts, writes text": """
        base_repr binary_repr broadcast_shapes datetime_data format_float_positional format_float_scientific get_include
        info isdtype isfortran isscalar issubdtype iterable mintypecode nested_iters promote_types show_config
        show_runtime test typename""",
    "reads or makes settings": """
        get_printoptions getbufsize geterr geterrcall printoptions set_printoptions setbufsize seterr seterrcall""",
}
"""Functions that no Tensor is asked about -> what they do."""

ALIASES = {"row_stack": "vstack", "trapz": "trapezoid"}
"""Plain functions that call another one, which is asked."""

_words = str.split
SAME = _words("""
    all any argmax argmin argpartition argsort choose clip compress copy cumprod cumsum diagonal dot max mean min
    nonzero prod put ravel repeat reshape round searchsorted squeeze std sum swapaxes take trace transpose var imag
    real partition sort""")
BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power,
    "mod": np.remainder, "matmul": np.matmul, "floordiv": np.floor_divide, "and": np.bitwise_and,
    "or": np.bitwise_or, "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift,
}  # fmt: skip
METHODS = {
    **{name: getattr(np, name) for name in SAME},
    "astype": np.ndarray.astype, "conj": np.conjugate, "conjugate": np.conjugate, "flatten": np.ravel,
    "fill": np.copyto, "T": np.transpose, "mT": np.matrix_transpose,
    "__getitem__": operator.getitem, "__setitem__": np.copyto, "__iter__": operator.getitem,
    **{f"__{kind}{name}__": f for name, f in BINARY.items() for kind in ("", "r", "i")},
    "__divmod__": np.divmod, "__rdivmod__": np.divmod,
    "__neg__": np.negative, "__pos__": np.positive, "__abs__": np.absolute, "__invert__": np.invert,
    "__lt__": np.less, "__le__": np.less_equal, "__gt__": np.greater, "__ge__": np.greater_equal,
    "__eq__": np.equal, "__ne__": np.not_equal,
}  # fmt: skip
"""Methods and operators of an array -> the function whose class they have."""

PLAIN = _words("""
    data shape dtype ndim size itemsize nbytes item tolist __bool__ __contains__ __len__ __array__ __float__ __int__ __complex__
    __index__""")
"""What gives no arrays but facts and Python's own numbers."""
PROTOCOL = _words("""
    __array_finalize__ __array_function__ __array_interface__ __array_namespace__ __array_priority__ __array_struct__
    __array_ufunc__ __array_wrap__ __class_getitem__ __copy__ __deepcopy__ __delitem__ __setstate__ itemset
    newbyteorder ptp tostring""")
"""What Python and NumPy ask an array for by themselves, and what NumPy 2.0 names only to say that it has gone."""

OF_UFUNCS = {"reduce": reduce, "accumulate": accumulate, "reduceat": reduceat}
"""Methods of ufuncs -> what makes them of a ufunc, in supported calls."""
SPACES = {
    "np": np, "np.linalg": np.linalg, "np.fft": np.fft, "np.emath": np.emath, "np.lib.stride_tricks": np.lib.stride_tricks,
}  # fmt: skip
"""The modules whose public callables have a class, by name."""
UNFOLDED = (np.ldexp, np.arctan2, np.power)
"""NumPy cannot fold the types of ldexp, and folds the others into wrong values on processors with AVX-512."""
NAMED: dict[np.ufunc, dict[str, Any]] = {
    np.add: {"reduce": np.sum, "accumulate": np.cumsum}, np.multiply: {"reduce": np.prod, "accumulate": np.cumprod},
    np.maximum: {"reduce": np.max}, np.minimum: {"reduce": np.min},
}  # fmt: skip
"""Methods of ufuncs that are functions with a name of their own."""


def ufuncs():
    """The ufuncs of the running NumPy, by name."""
    found = {f.__name__: f for f in vars(np).values() if isinstance(f, np.ufunc)}
    return dict(sorted(found.items()))


def folds(f):
    """Has the ufunc f the methods that fold an axis?"""
    return (f.nin, f.nout, f.signature) == (2, 1, None)


for _name, _ufunc in ufuncs().items():
    for _method, _fold_by in OF_UFUNCS.items() if folds(_ufunc) else ():
        _fold = getattr(_ufunc, _method)
        if _fold in REGISTRY or _method in NAMED.get(_ufunc, ()):
            continue
        if type(REGISTRY[_ufunc]) is Nondifferentiable and "dd->d" not in _ufunc.types:
            nondifferentiable(_fold)
        elif type(REGISTRY[_ufunc]) is Refused or _ufunc in UNFOLDED:
            refused(_fold, f"call np.{_name} in a loop, or use functools.reduce and itertools.accumulate")
        else:
            composite(_fold, _fold_by(_ufunc))


def classify(f, name=None):
    """(class, note) of a function or type: of NumPy's, or with a rule. LookupError if it has none."""
    entry, name = REGISTRY.get(f), name or f.__name__
    if entry is not None:
        note = entry.advice if type(entry) is Refused else "writes" if type(entry) is Writer else ""
        return CLASSES[type(entry).__name__], note
    if isinstance(f, type):
        return "creator", "a type"
    if name in ALIASES:
        return "composite", f"calls np.{ALIASES[name]}"
    for note, names in CREATORS.items():
        if name in names.split():
            return "creator", note
    raise LookupError(message(f"{name} has no class", do="declare it in the family in ops/ where it belongs"))


def classify_method(f, method):
    """(class, note) of the `method` of a ufunc f."""
    if method in ("at", "outer"):
        return classify(f)
    named = NAMED.get(f, {}).get(method)
    return classify(getattr(f, method)) if named is None else (classify(named)[0], f"np.{named.__name__}")


def classify_attribute(name):
    """(class, note) of a method, operator or property of arrays."""
    if name in METHODS:
        return classify(METHODS[name])
    if name in PLAIN:
        return "non-differentiable", ""
    if name in ABSENT:
        return "refused", ABSENT[name]
    raise LookupError(message(f"t.{name} has no class", do="add it to a table of ops/classes.py"))


def methods_of(f):
    """The names of the methods that the ufunc f has."""
    if folds(f):
        return [*OF_UFUNCS, "at", "outer"]
    return ["at"] if (f.nin, f.nout, f.signature) == (1, 1, None) else []


def attributes():
    """The names of an array's methods, operators and properties."""
    own = {name for name in dir(np.ndarray) if name not in dir(object) and name not in PROTOCOL}
    return sorted(own | {f"__{sign}__" for sign in ("eq", "ne", "lt", "le", "gt", "ge")})


def everything():
    """{qualified name: (class, note)} of all public callables of the running NumPy, and of arrays' attributes."""
    found: dict[str, tuple[str, str]] = {}
    for space, module in SPACES.items():
        for name in sorted(getattr(module, "__all__", vars(module))):
            if callable(f := getattr(module, name)) and not name.startswith("_"):
                found |= {f"{space}.{name}": classify(f, name)}
    for name, f in ufuncs().items():
        found |= {f"np.{name}.{method}": classify_method(f, method) for method in methods_of(f)}
    return found | {f"t.{name}": classify_attribute(name) for name in attributes()}
