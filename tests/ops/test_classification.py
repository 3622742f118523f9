"""Everything public in NumPy has a class, and does what its class says; docs/numpy.md is the table.

`python -m tests.ops.test_classification` writes docs/numpy.md anew.
"""

import functools
import inspect
import itertools
from pathlib import Path

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp import tree
from tinygrad_bp.ops import classes
from tinygrad_bp.ops.classes import (
    ALIASES,
    METHODS,
    OF_UFUNCS,
    SPACES,
    classify,
    everything,
    methods_of,
    ufuncs,
)
from tinygrad_bp.primitive import REGISTRY, Composite, Nondifferentiable, Op, Writer

from .domains import CONSTANT
from .test_every_op import drawn, of_variables

PAGE = Path(__file__).parents[2] / "docs" / "numpy.md"
X = np.array([[0.3, -0.7, 1.1], [0.9, 0.2, -0.4]])


def leaf(x=X):
    return bp.Tensor(x, requires_grad=True)


def named(kind):
    """The public functions of this class -> themselves, by name."""
    names = [name for name, (of, _) in everything().items() if of == kind and not name.startswith("t.")]
    paths = [(name, name.rpartition(".")) for name in names]
    return {name: getattr(SPACES[space], f) for name, (space, _, f) in paths if space in SPACES}


def each(functions):
    return pytest.mark.parametrize("f", functions.values(), ids=functions)


def test_everything_has_a_class():
    found = everything()
    assert len(found) > 800
    assert {kind for kind, _ in found.values()} == {
        "differentiable", "composite", "non-differentiable", "refused", "creator",
    }  # fmt: skip


def test_a_name_without_a_class_is_found(monkeypatch):
    monkeypatch.setattr(np, "__all__", [*np.__all__, "novelty"])
    monkeypatch.setattr(np, "novelty", lambda x: x, raising=False)
    with pytest.raises(LookupError, match="novelty has no class"):
        everything()


def test_what_asks_no_tensor_is_not_in_the_registry_and_all_else_is():
    """NumPy would ask a Tensor about a function exactly if it dispatches."""
    for name, f in named("creator").items():
        assert f not in REGISTRY, name
        assert not isinstance(f, np.ufunc), name
        assert type(f).__name__ != "_ArrayFunctionDispatcher", name


DIFFERENTIABLE = {**named("differentiable"), **named("composite")}


@each({name: f for name, f in DIFFERENTIABLE.items() if type(REGISTRY.get(f)) in (Op, Composite)})
def test_differentiable(f):
    """What its row in `domains.py` computes records; `test_every_op.py` says whether rightly."""
    call, operands, keywords = next(iter(drawn(f, np.float64)))
    fun, variables = of_variables(call, operands, keywords)
    parts = tree.leaves(fun(*[leaf(x) for x in variables]))
    if f is np.sign:
        parts = [np.sign(leaf(X + 1j))]
    assert any(isinstance(part, bp.Tensor) and part.requires_grad for part in parts)


@each({name: f for name, f in named("composite").items() if f not in REGISTRY})
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_calls_another_function(f):
    assert f.__name__ in ALIASES
    assert classify(getattr(np, ALIASES[f.__name__]))[0] in ("differentiable", "composite")
    assert f(leaf()).requires_grad


WRITTEN = {
    np.copyto: (X[0],), np.put: ([0, 1], X[0, :2]), np.place: (X > 0, X[0]), np.putmask: (X > 0, X[0]),
    np.put_along_axis: (np.array([[0], [1]]), 1.0, 1), np.fill_diagonal: (2.0,),
}  # fmt: skip


@each({name: f for name, f in DIFFERENTIABLE.items() if type(REGISTRY.get(f)) is Writer})
def test_writers(f):
    def written(x, *args):
        y = x * 1.0
        f(y, *args)
        return y

    assert written(leaf(), *WRITTEN[f]).requires_grad
    assert bp.gradcheck(lambda x: written(x, *WRITTEN[f]), X)


@each(named("non-differentiable"))
def test_non_differentiable(f):
    for call, operands, keywords in itertools.islice(drawn(f, np.float64, CONSTANT), 1):
        fun, variables = of_variables(call, operands, keywords)
        y = fun(*[leaf(x) for x in variables])
        assert not any(isinstance(part, bp.Tensor) for part in tree.leaves(y))


def refusal(call):
    """The advice of the error that call raises."""
    with pytest.raises((bp.NotDifferentiable, AttributeError)) as caught:
        call()
    return str(caught.value).partition("; ")[2]


@each(named("refused"))
def test_refused(f):
    required = 0
    if isinstance(f, np.ufunc):
        required = f.nin
    else:
        parameters = inspect.signature(f).parameters.values()
        required = sum(p.default is p.empty and p.kind is not p.VAR_POSITIONAL for p in parameters) or 1
    assert refusal(lambda: f(*[leaf() for _ in range(required)])) == REGISTRY[f].advice


METHODS_OF_UFUNCS = [(name, method) for name, f in ufuncs().items() for method in methods_of(f)]


@pytest.mark.parametrize(("name", "method"), METHODS_OF_UFUNCS)
def test_methods_of_ufuncs(name, method):
    f, (kind, note) = getattr(np, name), everything()[f"np.{name}.{method}"]
    call = functools.partial(getattr(f, method), leaf(np.abs(X[0])))
    args = {"reduceat": ([0, 1],), "outer": (X[0],)}.get(method, ())
    if kind == "refused":
        assert refusal(lambda: call([0], 1.0) if method == "at" else call(*args)) == note
    elif kind in ("differentiable", "composite") and method != "at":
        operand = np.array([1, 2, 0]) if f is np.ldexp else X[0]
        y = call(operand) if method == "outer" else call(*args)
        constant = f is np.sign or (name, method) == ("floor_divide", "reduce")  # of more than one element
        assert all(part.requires_grad for part in tree.leaves(y)) != constant
    elif kind == "non-differentiable" and method in OF_UFUNCS:
        assert type(REGISTRY[getattr(f, method)]) is Nondifferentiable
        assert getattr(f, method) in CONSTANT


@pytest.mark.parametrize("name", classes.attributes())
def test_attributes(name):
    kind, note = classes.classify_attribute(name)
    if kind == "refused":
        assert refusal(lambda: getattr(leaf(), name)) == note
        assert not hasattr(leaf(), name)
        return
    assert hasattr(bp.Tensor, name)
    if name in METHODS and not name.startswith("__i"):
        used = vars(bp.Tensor).get(name) or getattr(bp.Tensor, name)
        assert callable(used) or isinstance(used, property)


OPERANDS = {"__pow__": (2.0,), "__getitem__": (0,), "__setitem__": (0, 1.0)}
BITS = np.array([[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("name", [name for name in METHODS if name.startswith("__")])
def test_operators(name):
    """They are there, record or not, and change in place what they say."""
    kind, _ = classes.classify_attribute(name)
    bitwise = METHODS[name] in (
        np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.left_shift, np.right_shift, np.invert,
    )  # fmt: skip
    x = BITS if bitwise else np.abs(X) if "pow" in name else X[:, :2] if "matmul" in name else X
    t = bp.Tensor(BITS) if bitwise else leaf(x) * 1.0
    unary = name in ("__neg__", "__pos__", "__abs__", "__invert__", "__iter__")
    operands = () if unary else OPERANDS.get(name, (x[0],) if x.shape[0] != x.shape[1] else (x,))
    copy = x.copy()
    expected = getattr(copy, name)(*operands)
    y = getattr(t, name)(*operands)
    if name == "__setitem__":
        y, expected = t, copy
    if name == "__iter__":
        y, expected = list(y), list(expected)
    for part, wanted in zip(tree.leaves(y), tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(part.data if isinstance(part, bp.Tensor) else part, wanted)
        if kind == "non-differentiable" and not name.startswith("__i"):
            assert not isinstance(part, bp.Tensor)
    if kind == "differentiable":
        assert any(part.requires_grad for part in tree.leaves(y))


COPIES = [
    lambda t: np.array([t, t]), np.asarray, np.array, np.ascontiguousarray, np.require, np.float64,
    lambda t: np.full(3, t), lambda t: np.fromiter(iter([t, t]), float), np.frombuffer,
    lambda t: np.r_[t, t], lambda t: np.c_[t, t], lambda t: np.kaiser(3, t), lambda t: np.vectorize(lambda x: 2 * x)(t),
    np.nditer, lambda t: list(np.ndenumerate(t)), lambda t: np.broadcast(t, 1), np.float32, np.complex128,
    lambda t: np.frompyfunc(lambda x: 2 * x, 1, 1)(t), np.from_dlpack, lambda t: np.ogrid[0:t:1],
]  # fmt: skip


@pytest.mark.parametrize("copy", COPIES, ids=range(len(COPIES)))
def test_what_would_copy_a_tensor_without_asking_it_is_an_error(copy):
    with pytest.raises(
        (TypeError, AttributeError, ValueError)
    ):  # ValueError: what NumPy makes of ours in a buffer
        copy(leaf(2.0))


# ---- the page ----------------------------------------------------------------------------------------------

INTRODUCTION = """# All of NumPy, name by name

What becomes of the derivative, for every public function of NumPy {version}; printed by
`python -m tests.ops.test_classification` from `tinygrad_bp/ops/classes.py`, and held against NumPy by the tests.

- **differentiable**: has a rule of its own, in forward and reverse mode, of every order.
- **composite**: NumPy computes the value; it is differentiated as the supported calls it is made of.
- **non-differentiable**: locally constant, or no number; plain arrays come out.
- **refused**: an error, which says what is in the last column.
- **creator**: asks no argument whether it is a Tensor. If it would copy one into an array, that is an error: use `np.stack`.

Keywords not named here are supported, `out=` for Tensors too. All ufuncs take `where=`, `dtype=`, `casting=`. Types
(`np.float64`, `np.dtype`, …) are left out.
"""


def unsupported(f):
    """The keywords of f's that are an error unless they say nothing."""
    entry = REGISTRY.get(f)
    try:
        known = [
            k
            for k, p in inspect.signature(f).parameters.items()
            if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL, p.POSITIONAL_ONLY)
        ]
    except ValueError:
        return []
    if isinstance(f, np.ufunc) or not isinstance(entry, (Op, Composite)):
        return []
    ours = (
        inspect.signature(entry.f).parameters
        if isinstance(entry, Composite)
        else dict.fromkeys(entry.keywords)
    )
    if any(p is not None and p.kind is p.VAR_KEYWORD for p in ours.values()):
        return []
    positional = 0 if isinstance(entry, Composite) else entry.count or 1
    return [k for k in known[positional:] if k not in ours and k not in ("out", "device", "like")]


def remarks(name, kind, note, f):
    missing = unsupported(f) if f and kind in ("differentiable", "composite") else []
    return "; ".join([note] * bool(note) + [f"not {', '.join(missing)}"] * bool(missing)).replace("|", "\\|")


def page():
    """docs/numpy.md."""
    found = {name: entry for name, entry in everything().items() if entry[1] != "a type"}
    lines, spaces = [INTRODUCTION.format(version=".".join(np.__version__.split(".")[:2]))], {}
    for name in found:
        space = "array" if name.startswith("t.") else name.rpartition(".")[0]
        spaces.setdefault(space if space in (*SPACES, "array") else "ufunc", []).append(name)
    titles = {space: space.replace("np", "numpy", 1) for space in SPACES}
    titles["array"] = "Arrays' methods and operators"
    for space, title in titles.items():
        lines += [f"## {title}\n", "| name | class | remarks |", "| --- | --- | --- |"]
        for name in spaces[space]:
            kind, note = found[name]
            f = None if space == "array" else eval(name, {"np": np})
            lines.append(f"| `{name}` | {kind} | {remarks(name, kind, note, f)} |")
        lines.append("")
    lines += ["## Methods of ufuncs\n", "| ufunc | " + " | ".join(UFUNC_METHODS) + " |", "| --- " * 6 + "|"]
    for name, f in ufuncs().items():
        if methods_of(f):
            kinds = [found.get(f"np.{name}.{method}", ("", ""))[0] for method in UFUNC_METHODS]
            lines.append(f"| `np.{name}` | " + " | ".join(kinds) + " |")
    return "\n".join([*lines, ""])


UFUNC_METHODS = (*OF_UFUNCS, "outer", "at")


def test_the_page_is_up_to_date():
    text = PAGE.read_text()
    if f"of NumPy {'.'.join(np.__version__.split('.')[:2])};" in text:
        assert text == page(), "docs/numpy.md: write it anew with python -m tests.ops.test_classification"
    names = {name for name, (_, note) in everything().items() if note != "a type" and name.count(".") < 3}
    assert {name for name in names if f"| `{name}` |" not in text and name.startswith("np.fft")} == set()


if __name__ == "__main__":
    PAGE.write_text(page())
