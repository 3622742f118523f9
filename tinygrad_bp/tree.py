"""Containers: tuples, lists, dicts and registered classes (such as `nn.Module`) as trees of leaves.

The one idea: a container is a list of named children and a way to build it again from new ones,
so every transform needs only `flatten` and the rebuild function it returns. `None` is a tree
without leaves. Read `primitive.py` next.
"""

import copy
import functools
from collections.abc import Callable
from typing import Any

from .errors import message

_registered: dict[type, tuple[Callable, Callable]] = {}


def register(cls: type, children: Callable[[Any], dict], rebuild: Callable[[Any, dict], Any]) -> None:
    """Make instances of `cls` (and of its subclasses) containers.

    `children(x)` returns a dict name -> child; `rebuild(x, new)` a copy of x with these children.
    """
    _registered[cls] = (children, rebuild)
    _handlers_of.cache_clear()


def _handlers(x):
    kind: Any = type(x)
    return _handlers_of(kind)


@functools.lru_cache(1024)
def _handlers_of(kind):
    return next((_registered[cls] for cls in kind.__mro__ if cls in _registered), None)


def _rebuild_tuple(x, new):
    named = type(x) is not tuple and any("_fields" in vars(cls) for cls in type(x).__mro__)
    return type(x)(*new.values()) if named else tuple(new.values())


def _rebuild_dict(x, new):
    if type(x) is dict:
        return new
    same = copy.copy(x)  # an OrderedDict, a defaultdict
    same.update(new)
    return same


register(tuple, lambda x: dict(enumerate(x)), _rebuild_tuple)
register(list, lambda x: dict(enumerate(x)), lambda x, new: list(new.values()))
register(dict, dict, _rebuild_dict)
register(type(None), lambda x: {}, lambda x, new: None)


def flatten(tree: Any) -> tuple[list, Callable[[list], Any]]:
    """The leaves of `tree`, left to right, and the function that rebuilds it from as many leaves.

    >>> leaves, rebuild = flatten({"w": 1.0, "b": [2.0, None]})
    >>> leaves, rebuild([10.0, 20.0])
    ([1.0, 2.0], {'w': 10.0, 'b': [20.0, None]})
    """
    leaves: list = []
    structure = _take_apart(tree, leaves)
    return leaves, lambda new: structure(iter(new))


def _take_apart(tree, leaves):
    handlers = _handlers(tree)
    if handlers is None:
        leaves.append(tree)
        return next
    children, rebuild = handlers
    parts = {name: _take_apart(child, leaves) for name, child in children(tree).items()}
    return lambda new: rebuild(tree, {name: part(new) for name, part in parts.items()})


def leaves(tree: Any) -> list:
    """The leaves of `tree`, left to right."""
    return flatten(tree)[0]


def leaves_like(tree: Any, other: Any, path: str = "") -> list:
    """The leaves of `other` in the order of `tree`'s: containers are matched by name.

    Raises ValueError, with the path, where the structures differ.

    >>> leaves_like({"a": 1.0, "b": 2.0}, {"b": 20.0, "a": 10.0})
    [10.0, 20.0]
    """
    mine, theirs = _handlers(tree), _handlers(other)
    if mine is None and theirs is None:
        return [other]
    names = [None if handlers is None else handlers[0](x) for handlers, x in ((mine, tree), (theirs, other))]
    if names[0] is None or names[1] is None or names[0].keys() != names[1].keys():
        raise ValueError(
            message(
                "two containers that must be alike differ" + (f" at {path}" if path else ""),
                expected=_outline(tree),
                got=_outline(other),
                do="give both the same structure: one entry for each, under the same names",
            )
        )
    pairs = [leaves_like(x, names[1][k], f"{path}.{k}" if path else str(k)) for k, x in names[0].items()]
    return [leaf for pair in pairs for leaf in pair]


def _outline(x):
    handlers = _handlers(x)
    kind = type(x).__name__
    return kind if handlers is None or x is None else f"{kind} of {list(handlers[0](x))}"


def map(f: Callable, tree: Any, *others: Any) -> Any:
    """The tree of f(leaf, *the leaves at the same place of the others).

    >>> map(lambda p, g: p - g, [3.0, (4.0,)], [1.0, (1.0,)])
    [2.0, (3.0,)]
    """
    first, rebuild = flatten(tree)
    rest = [leaves_like(tree, other) for other in others]
    return rebuild([f(*group) for group in zip(first, *rest)])


def named_leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """(path, leaf) pairs; a path joins the children's names with dots, as in 'layers.0.weight'."""
    handlers = _handlers(tree)
    if handlers is None:
        return [(prefix, tree)]
    pairs = []
    for name, child in handlers[0](tree).items():
        pairs += named_leaves(child, f"{prefix}.{name}" if prefix else str(name))
    return pairs
