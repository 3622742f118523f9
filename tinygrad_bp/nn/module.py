"""`Module`: a function with parameters, found by looking at its attributes.

The one idea: there is nothing to register. A Tensor among the attributes that requires a gradient
is a parameter, a Module among them is a part, and lists, tuples and dicts are looked into; so
"layers.0.weight" is both a parameter's name and the way to it. For `tinygrad_bp.tree`, and hence
for every transform, a Module is a container of its parameters. Read `layers.py` next.
"""

import itertools
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import FrameType
from typing import Any

import numpy as np

from .. import tree
from ..errors import message
from ..graph import AMBIENT
from ..tensor import Tensor, constant, like

_ambient = AMBIENT.get
_PATHS: ContextVar[dict[int, str]] = ContextVar("tinygrad_bp.module_paths")


class Module:
    """A function with parameters: subclass it, set attributes, and define `forward`.

    Transforms (`bp.grad(loss)(net)`, …) take Modules and give back Modules with gradients in the
    parameters' places: recorded Tensors, as the parameters are, or arrays under `bp.no_grad()`.

    >>> import numpy as np, tinygrad_bp as bp
    >>> class Scale(bp.nn.Module):
    ...     def __init__(self):
    ...         self.factor = bp.Tensor([2.0], requires_grad=True)
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> [name for name, _ in Scale().named_parameters()]
    ['factor']
    """

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The function itself; every subclass defines it, and users call the Module instead."""
        raise NotImplementedError(
            message(
                f"{type(self).__name__} does not define forward(self, x)", do="define it, and call the Module"
            )
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        ambient = _ambient()
        try:
            if ambient.run is None:
                return self.forward(*args) if not kwargs else self.forward(*args, **kwargs)
            with _Running(self, ambient):
                return self.forward(*args, **kwargs)
        except Exception as error:
            _add_place(error, self)
            raise

    # ---- parts and parameters ----------------------------------------------------------------------

    def named_modules(self) -> Iterator[tuple[str, "Module"]]:
        """(path, Module) of this Module, whose path is "", and of all in it; each once."""
        return _modules(self, "", set())

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(path, parameter), each parameter once, under its first name."""
        return ((name, value) for name, value, _ in _distinct(self, _parameters))

    def parameters(self) -> Iterator[Tensor]:
        """All parameters, each once."""
        return (value for _, value, _ in _distinct(self, _parameters))

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters: `.grad` is None again."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def astype(self, dtype: Any) -> "Module":
        """Turn all floating Tensors in this Module into `dtype`, in place. Returns the Module."""
        dtype = np.dtype(dtype)
        if dtype.kind not in "fc":
            raise TypeError(
                message(
                    f"parameters of {type(self).__name__} cannot become {dtype}", expected="a floating dtype"
                )
            )
        for _, tensor, _ in _distinct(self, _tensors):
            if tensor.dtype.kind in "fc" and tensor.dtype != dtype:
                gradient = tensor.grad
                tensor.data = tensor.data.astype(dtype)
                if gradient is not None:
                    tensor.grad = gradient
        return self

    # ---- modes ---------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> "Module":
        """Set `.training` here and in all parts. Returns the Module."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> "Module":
        """`train(False)`. Returns the Module."""
        return self.train(False)

    # ---- state ---------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, np.ndarray]:
        """path -> copy of the array, for every parameter and every constant Tensor in this Module."""
        return {name: np.array(constant(tensor)) for name, tensor, _ in _distinct(self, _tensors)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the arrays of `state`, made by `state_dict`, in the dtypes that this Module has.

        Raises ValueError that names all missing, unexpected and mis-shaped entries; nothing is
        loaded then.
        """
        if not isinstance(state, Mapping):
            raise TypeError(
                message(
                    f"{type(self).__name__} was given a state that is not one",
                    expected="a dict from names to arrays, as state_dict() gives",
                    got=type(state).__name__,
                )
            )
        own = {name: tensor for name, tensor, _ in _distinct(self, _tensors)}
        arrays = {name: np.asarray(constant(value)) for name, value in state.items()}
        wrong = _mismatches(own, arrays)
        if wrong:
            raise ValueError(
                message(
                    f"this state does not fit {type(self).__name__}, and nothing was loaded: "
                    + "; ".join(wrong),
                    do="build the Module as it was when the state was saved",
                )
            )
        for name, tensor in own.items():
            tensor.data = arrays[name].astype(tensor.dtype)

    # ---- how it is shown -----------------------------------------------------------------------------

    def describe(self) -> str:
        """What stands in the parentheses of the repr; subclasses tell their settings here."""
        return ""

    def __repr__(self):
        lines = [f"{type(self).__name__}({self.describe()})"]
        if not self.describe():
            lines += [
                f"{name}: parameter {np.shape(value)} {np.result_type(constant(value))}"
                for name, value, _ in _parameters(self)
            ]
        for name, value in _members(self):
            if isinstance(value, Module):
                lines.append(f"{name}: {value!r}")
        return "\n".join(lines).replace("\n", "\n  ")


# ---- looking at attributes -----------------------------------------------------------------------------


def _members(module):
    """(name, value) of the attributes and of what stands in their containers, as in 'layers.0'."""
    places = vars(module).get("_places", ())
    for name, value in vars(module).items():
        if name != "_places":
            yield from _inside(name, value, places)


def _inside(name, value, places):
    if name not in places and isinstance(value, (list, tuple, dict)):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _inside(f"{name}.{key}", part, places)
    else:
        yield name, value


def _modules(module, path, seen):
    seen.add(id(module))
    yield path, module
    for name, value in _members(module):
        if isinstance(value, Module) and id(value) not in seen:
            yield from _modules(value, _join(path, name), seen)


def _join(path, name):
    return f"{path}.{name}" if path else name


def _parameters(module):
    """(name, value, which) of the module's own parameters; `which` is one for one parameter's places.

    In a Module that a transform has rebuilt, `_places` says where parameters were, since gradients
    or computed Tensors may stand there now.
    """
    places = vars(module).get("_places", {})
    for name, value in _members(module):
        if name in places:
            yield name, value, places[name]
        elif type(value) is Tensor and value._node is not None and value._node.op is None:
            yield name, value, id(value)


def _tensors(module):
    """(name, Tensor, which) of the module's own state: all its Tensors that were not computed."""
    for name, value in _members(module):
        if type(value) is Tensor and (value._node is None or value._node.op is None):
            yield name, value, id(value)


def _distinct(module, own):
    """(path, value, which) of what `own` finds in each of the Modules, each `which` once."""
    seen = set()
    for path, part in module.named_modules():
        for name, value, which in own(part):
            if which not in seen:
                seen.add(which)
                yield _join(path, name), value, which


def _mismatches(own, arrays):
    """What keeps `arrays` from being loaded into the Tensors `own`, as phrases."""
    missing = [name for name in own if name not in arrays]
    unexpected = [name for name in arrays if name not in own]
    unfit = []
    for name, tensor in own.items():
        a = arrays.get(name)
        if a is None:
            continue
        if a.shape != tensor.shape:
            unfit.append(f"{name} (expected shape {tensor.shape}, got {a.shape})")
        elif a.dtype.kind not in "fciub" or not np.can_cast(a.dtype, tensor.dtype, "same_kind"):
            unfit.append(f"{name} (expected dtype {tensor.dtype}, got {a.dtype})")
    phrases = [("missing", missing), ("unexpected", unexpected), ("mis-shaped", unfit)]
    return [f"{kind} {', '.join(names)}" for kind, names in phrases if names]


# ---- errors --------------------------------------------------------------------------------------------


def _add_place(error, module):
    """Note on `error` in which Module it came up; once, for the innermost one."""
    if any(note.startswith("in module ") for note in getattr(error, "__notes__", ())):
        return
    try:
        name = f"{type(module).__name__}({module.describe()})"
    except Exception:  # a Module that is half built
        name = type(module).__name__
    frame: FrameType | None = sys._getframe(1)
    calls = []
    while frame is not None:
        if frame.f_code is Module.__call__.__code__:
            calls.append(frame.f_locals["self"])
        frame = frame.f_back
    for outer in reversed(calls):
        path = next((path for path, part in outer.named_modules() if part is module), None)
        if path is not None:
            break
    error.add_note(f"in module {path}, {name}, of {type(outer).__name__}" if path else f"in module {name}")


# ---- Modules as containers -----------------------------------------------------------------------------

_new_parameter = itertools.count(-1, -1).__next__  # never an id, which is positive


def _rebuild(module, new):
    """A copy of `module`, and of all Modules and containers in it, with `new` in the parameters' places."""
    replaced = {which: (new[name], _new_parameter()) for name, _, which in _distinct(module, _parameters)}
    return _copy(module, replaced, {})


def _copy(module, replaced, done):
    if id(module) in done:
        return done[id(module)]
    twin = done[id(module)] = object.__new__(type(module))
    own = {name: replaced[which] for name, _, which in _parameters(module)}

    def copied(name, value):
        if name in own:
            return own[name][0]
        if isinstance(value, Module):
            return _copy(value, replaced, done)
        if isinstance(value, (list, tuple)):
            return like(value, [copied(f"{name}.{i}", part) for i, part in enumerate(value)])
        if isinstance(value, dict):
            return {key: copied(f"{name}.{key}", part) for key, part in value.items()}
        return value

    vars(twin).update(
        {name: copied(name, value) for name, value in vars(module).items() if name != "_places"}
    )
    vars(twin)["_places"] = {name: which for name, (_, which) in own.items()}
    return twin


tree.register(Module, lambda module: dict(module.named_parameters()), _rebuild)


# ---- observed calls ------------------------------------------------------------------------------------


class _Running:
    """Tells an observed run which Module is at work, by its path in the one that was called first."""

    def __init__(self, module, ambient):
        self.module, self.ambient = module, ambient

    def __enter__(self):
        outer = self.ambient.module
        paths = {id(m): path for path, m in self.module.named_modules()} if outer is None else _PATHS.get()
        path = paths.get(id(self.module))
        if path is None:  # not an attribute of the outermost Module
            path = _join(outer, type(self.module).__name__)
        self.tokens = _PATHS.set(paths), AMBIENT.set(self.ambient.replace(module=path))

    def __exit__(self, *error):
        _PATHS.reset(self.tokens[0])
        AMBIENT.reset(self.tokens[1])
