"""Containers: tuples, lists, dicts and registered classes (such as `nn.Module`) as trees of leaves.

The one idea: a container is a list of named children and a way to build it again from new ones,
so every transform needs only `flatten` and the rebuild function it returns. `None` is a tree
without leaves. Read `primitive.py` next.
"""

from collections.abc import Callable
from typing import Any

_registered: dict[type, tuple[Callable, Callable]] = {}


def register(cls: type, children: Callable[[Any], dict], rebuild: Callable[[Any, dict], Any]) -> None:
    """Make instances of `cls` (and of its subclasses) containers.

    `children(x)` returns a dict name -> child; `rebuild(x, new)` a copy of x with these children.
    """
    _registered[cls] = (children, rebuild)


def _handlers(x):
    for cls in type(x).__mro__:
        if cls in _registered:
            return _registered[cls]
    return None


def _rebuild_tuple(x, new):
    return type(x)(*new.values()) if "_fields" in vars(type(x)) else tuple(new.values())


register(tuple, lambda x: dict(enumerate(x)), _rebuild_tuple)
register(list, lambda x: dict(enumerate(x)), lambda x, new: list(new.values()))
register(dict, dict, lambda x, new: new)
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


def map(f: Callable, tree: Any, *others: Any) -> Any:
    """The tree of f(leaf, *the leaves at the same place of the others).

    >>> map(lambda p, g: p - g, [3.0, (4.0,)], [1.0, (1.0,)])
    [2.0, (3.0,)]
    """
    first, rebuild = flatten(tree)
    rest = [leaves(other) for other in others]
    if any(len(other) != len(first) for other in rest):
        raise ValueError(
            f"tree.map needs trees of one structure; got {len(first)} leaves and {[len(o) for o in rest]}"
        )
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
