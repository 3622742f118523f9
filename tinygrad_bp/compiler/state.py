"""What a step can reach beyond its arguments: parameters, velocities, arrays of its closure and globals.

The one idea: state is a list of `Slot`s, places where a value stands: a Tensor's data, an attribute, an
element of a list or dict, a variable of a closure or of a module. A trace puts Tracers into the places of
arrays and reads afterwards which places have changed; everything else that stands there (numbers,
strings, flags, layers, functions) must stay what it was, or the program is traced anew. Read `jit.py` next.
"""

import dis
import functools
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import message
from ..graph import UNRETAINED
from ..primitive import DuckArray, Primitive
from ..tensor import ARRAYS, Tensor
from .tracer import Untraceable

PLAIN = (bool, int, float, complex, str, bytes, type(None), np.dtype, type)
OPAQUE = (
    types.ModuleType,
    types.CodeType,
    np.random.Generator,
    np.random.BitGenerator,
    np.ufunc,
    type,
    Primitive,
)
NOTHING = (*PLAIN, *OPAQUE, np.ndarray, np.generic, DuckArray)
ATTRIBUTES = {"data": "_data", "grad": "_node.grad", "cell": "cell_contents"}
PARTS = ("__code__", "__defaults__", "__kwdefaults__")
"""What a function is, which may be replaced where it stands, as by a reloaded module."""
COMMON = frozenset({bool, int, float, str, type(None), type, types.ModuleType, np.ndarray, np.ufunc})
"""The commonest types of NOTHING, which lead nowhere."""


@dataclass(eq=False, slots=True)
class Slot:
    """A place: `owner`'s `key`, in words `path`; `kind` says how it is read and set."""

    kind: str  # "data", "grad" of a Tensor, "item" of a list or dict, "cell", "part" of a function, "class" attribute
    owner: Any
    key: Any
    path: str
    place: tuple = field(init=False)  # the same for two Slots of one place

    def __post_init__(self):
        self.place = (self.kind, id(self.owner), self.key)

    def get(self) -> Any:
        """What stands there now."""
        if self.kind == "item":
            return self.owner[self.key]
        if self.kind == "data":
            return self.owner._data
        if self.kind == "cell":
            return self.owner.cell_contents
        if self.kind == "part":
            return getattr(self.owner, self.key)
        return self.owner._node.grad if self.kind == "grad" else vars(self.owner)[self.key]

    def words(self, name: Callable[[Any], str]) -> str:
        """`get` as an expression; `name` gives a name to what it needs."""
        if self.kind in ATTRIBUTES:
            return f"{name(self.owner)}.{ATTRIBUTES[self.kind]}"
        if self.kind == "part":
            return f"{name(self.owner)}.{self.key}"
        return f"{name(vars(self.owner) if self.kind == 'class' else self.owner)}[{name(self.key)}]"

    def put(self, value: Any) -> None:
        """Let it stand there."""
        if self.kind == "data":
            self.owner._move(value)
        elif self.kind == "grad":
            self.owner._node.grad = value
        elif self.kind == "cell":
            self.owner.cell_contents = value
        elif self.kind == "class":
            setattr(self.owner, self.key, value)
        else:
            self.owner[self.key] = value


@dataclass
class State:
    """What a walk from `roots` has found: slots of arrays, those of all else with their values, containers' sizes.

    `tensors`: the places of Tensors. `facts`: what else must be as it was for a walk to find the same.
    """

    roots: list[tuple[Any, str]]
    arrays: list[Slot] = field(default_factory=list)
    plain: list[tuple[Slot, Any]] = field(default_factory=list)
    sizes: list[tuple[Any, int]] = field(default_factory=list)
    tensors: list[tuple[Slot, Tensor]] = field(default_factory=list)
    facts: list[tuple[Callable[[], Any], Any]] = field(default_factory=list)

    def stands(self, roots: list[tuple[Any, str]]) -> bool:
        """Would a walk find the same places?"""
        if [id(x) for x, _ in roots] != [id(x) for x, _ in self.roots] or change(self.plain, self.sizes):
            return False
        try:
            alike = all([slot.kind in ("data", "grad") or _is_array(slot.get()) for slot in self.arrays])
        except (LookupError, ValueError):
            return False
        return alike and all([ask() == fact for ask, fact in self.facts])


def change(plain: list[tuple[Slot, Any]], sizes: list[tuple[Any, int]]) -> str | None:
    """Which of these values and sizes do not stand as they stood, or None."""
    for slot, value in plain:
        if not unchanged(slot, value):
            return f"{slot.path} was {value!r} before the step and is not after it"
    for owner, size in sizes:
        if len(owner) != size:
            return f"a {type(owner).__name__} of {size} entries has {len(owner)} after the step"
    return None


def reachable(roots: list[tuple[Any, str]], known: State | None = None) -> State:
    """All that can be reached from `roots`, pairs of an object and what it is called; `known`, if that still stands."""
    return known if known is not None and known.stands(roots) else _Walk(roots).state


def _is_array(x):
    return type(x) is np.ndarray or (type(x) is not Tensor and isinstance(x, ARRAYS))


class _Walk:
    def __init__(self, roots):
        self.state = State(roots)
        self.seen: dict[int, Any] = {}
        self.names: set[str] = set()  # that the code looks up
        self.attributes: list[Slot] = []  # of classes
        for x, path in roots:
            self.visit(x, path)
        for slot in self.attributes:
            if slot.key in self.names or slot.key[:2] == "__":
                self.place(slot, slot.get())

    def visit(self, x, path):
        """Everything below x, which itself stands in no slot."""
        if type(x) in COMMON or id(x) in self.seen:
            return
        if type(x) is Tensor:
            return self.tensor(x, path)
        if isinstance(x, NOTHING):
            return
        if isinstance(x, types.FunctionType):
            return self.function(x)
        self.seen[id(x)] = x
        if isinstance(x, dict):
            self.container(x, x.items(), path + "[{!r}]")
        elif isinstance(x, list):
            self.container(x, enumerate(x), path + "[{}]")
        elif isinstance(x, (tuple, set, frozenset)):
            if isinstance(x, set):
                self.state.facts.append((lambda: False, True))  # nobody asks what is in it now: walk again
            for i, part in enumerate(x):
                self.visit(part, f"{path}[{i}]")
        elif isinstance(x, types.MethodType):
            self.visit(x.__self__, path.rpartition(".")[0] or "self")
            self.visit(x.__func__, path)
        elif isinstance(x, functools.partial):
            for part in (x.func, x.args, x.keywords):
                self.visit(part, path)
        elif not type(x).__module__.startswith(__package__):  # a compiled step's own traces are no state
            own = getattr(x, "__dict__", {})
            self.container(own, own.items(), path + ".{}")
            for cls in type(x).__mro__:
                self.methods(cls)

    def methods(self, cls):
        """What a class of the user's has: its functions and values."""
        if id(cls) in self.seen or cls is object or not _is_users(cls.__module__):
            return
        self.seen[id(cls)] = cls
        self.state.facts.append((lambda: len(vars(cls)), len(vars(cls))))
        for key, x in vars(cls).items():
            x = getattr(x, "__func__", getattr(x, "fget", x))  # of static and class methods, and properties
            if isinstance(x, types.FunctionType) and key != "__init__":
                self.visit(x, key)
            if key != "__init__" and (key[:2] != "__" or isinstance(x, types.FunctionType)):
                self.attributes.append(Slot("class", cls, key, f"{cls.__name__}.{key}"))

    def tensor(self, t, path):
        self.seen[id(t)] = t
        if t._node is not None and t._node.op is not None:
            what = f"the step reaches a Tensor that was recorded outside of it: {path}"
            raise Untraceable(message(what, do="compute it inside, or detach() it"))
        self.state.facts.append((lambda: t._node, t._node))
        self.state.arrays.append(Slot("data", t, None, path))
        if t._node is not None and t._node.grad is not UNRETAINED:
            self.state.arrays.append(Slot("grad", t, None, f"{path}.grad"))

    def container(self, owner, items, path):
        self.state.sizes.append((owner, len(owner)))
        for key, x in [*items]:
            self.place(Slot("item", owner, key, path.format(key)), x)

    def place(self, slot, x):
        if _is_array(x):
            self.state.arrays.append(slot)
        elif not isinstance(x, types.ModuleType):
            self.state.plain.append((slot, x))
            if type(x) is Tensor:
                self.state.tensors.append((slot, x))
            self.visit(x, slot.path)

    def function(self, f):
        self.seen[id(f)] = f
        if f.__closure__:
            self.state.facts.append((lambda: len([*_cells(f)]), len([*_cells(f)])))
        if not _is_users(f.__module__):
            for name, cell in _cells(f):  # a transform's: the user's function
                self.visit(cell.cell_contents, name)
            return
        for name, cell in _cells(f):
            self.place(Slot("cell", cell, None, name), cell.cell_contents)
        names = _globals(f.__code__)
        self.names.update(_names(f.__code__))
        for name in names:
            if name in f.__globals__:
                self.place(Slot("item", f.__globals__, name, name), f.__globals__[name])
        missing = [name for name in names if name not in f.__globals__]
        self.state.facts.append((lambda: f.__globals__.keys().isdisjoint(missing), True))
        for part in PARTS:
            if (value := getattr(f, part)) is not None:
                self.place(Slot("part", f, part, f"{f.__name__}.{part}"), value)


def _cells(f):
    """(name, cell) of the variables that f has from around it, as far as they have a value."""
    for name, cell in zip(f.__code__.co_freevars, f.__closure__ or ()):
        if cell != _EMPTY:
            yield name, cell


_EMPTY = types.CellType()


@functools.cache
def _is_users(module):
    """Is it neither ours nor NumPy's nor Python's own?"""
    package = (module or "").partition(".")[0]
    return package not in (__package__.partition(".")[0], "numpy") and package not in sys.stdlib_module_names


@functools.cache
def _names(code):
    """The names that the code, and code inside it, looks up: of variables and of attributes."""
    return dict.fromkeys([*code.co_names, *(name for inner in _inner(code) for name in _names(inner))])


@functools.cache
def _globals(code):
    """Those of global variables."""
    own = [i.argval for i in dis.get_instructions(code) if "GLOBAL" in i.opname or i.opname.endswith("_NAME")]
    return dict.fromkeys([*own, *(name for inner in _inner(code) for name in _globals(inner))])


def _inner(code):
    return [c for c in code.co_consts if isinstance(c, types.CodeType)]


def unchanged(slot: Slot, value: Any) -> bool:
    """Does the value still stand there, or a number, a string, ... equal to it?"""
    try:
        now = slot.get()
    except (LookupError, ValueError):
        return False
    return now is value or (type(now) is type(value) and isinstance(value, PLAIN) and now == value)
