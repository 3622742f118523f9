"""Containers: what comes apart goes together again, and pairs are made by name, never by chance."""

from collections import OrderedDict, defaultdict, namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_bp import tree

Point = namedtuple("Point", "x y")


class NamedPoint(Point):
    """A subclass, which has no `_fields` of its own."""

    def total(self):
        return self.x + self.y


TREES = st.recursive(
    st.integers() | st.none(),
    lambda children: (
        st.lists(children, max_size=3)
        | st.lists(children, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from("abcd"), children, max_size=3)
        | st.builds(Point, children, children)
    ),
    max_leaves=8,
)


def shuffled(x):
    """The same tree with every dict in the opposite order."""
    if isinstance(x, dict):
        return {k: shuffled(x[k]) for k in reversed(x)}
    if isinstance(x, Point):
        return Point(*map(shuffled, x))
    return type(x)(map(shuffled, x)) if isinstance(x, (list, tuple)) else x


@given(TREES)
def test_flatten_and_rebuild(x):
    leaves, rebuild = tree.flatten(x)
    again = rebuild(leaves)
    assert again == x
    assert type(again) is type(x)
    assert leaves == tree.leaves(x)
    assert None not in leaves
    assert tree.leaves(rebuild([leaf + 1 for leaf in leaves])) == [leaf + 1 for leaf in leaves]


@given(TREES)
def test_leaves_are_matched_by_name(x):
    assert tree.leaves_like(x, shuffled(x)) == tree.leaves(x)
    assert tree.map(lambda a, b: a - b, x, shuffled(x)) == tree.map(lambda a: 0, x)


@given(TREES)
def test_named_leaves(x):
    paths = [path for path, _ in tree.named_leaves(x)]
    assert [leaf for _, leaf in tree.named_leaves(x)] == tree.leaves(x)
    assert len(set(paths)) == len(paths)


def test_paths_join_names_with_dots():
    net = {"layers": [{"weight": 1, "bias": None}, {"weight": 2}]}
    assert tree.named_leaves(net) == [("layers.0.weight", 1), ("layers.1.weight", 2)]


@pytest.mark.parametrize("container", [OrderedDict(a=1, b=2), defaultdict(float, a=1, b=2)])
def test_kinds_of_dict_are_kept(container):
    again = tree.map(lambda leaf: 10 * leaf, container)
    assert type(again) is type(container)
    assert dict(again) == {"a": 10, "b": 20}
    assert dict(container) == {"a": 1, "b": 2}


def test_named_tuples_and_their_subclasses_are_kept():
    assert tree.map(lambda leaf: 10 * leaf, Point(1, 2)) == Point(10, 20)
    assert tree.map(lambda leaf: 10 * leaf, NamedPoint(1, 2)).total() == 30


def test_registered_classes_and_their_subclasses_are_containers(monkeypatch):
    class Pair:
        def __init__(self, left, right):
            self.left, self.right = left, right

    class Special(Pair):
        pass

    monkeypatch.setattr(tree, "_registered", dict(tree._registered))
    tree.register(Pair, vars, lambda x, new: type(x)(**new))
    doubled = tree.map(lambda leaf: 2 * leaf, [Special(1, (2, None)), 3])
    assert type(doubled[0]) is Special
    assert (doubled[0].left, doubled[0].right, doubled[1]) == (2, (4, None), 6)
    assert tree.named_leaves(Special(1, 2)) == [("left", 1), ("right", 2)]


@pytest.mark.parametrize(
    ("one", "other", "where"),
    [
        ({"a": 1}, {"b": 1}, "'a'"),
        ((1, 2), (1,), "[0, 1]"),
        ((1, 2), 3, "int"),
        (3, (1, 2), "int"),
        ({"a": [1, {"b": (1, 2)}]}, {"a": [1, {"b": (1, 2, 3)}]}, "at a.1.b"),
        ((1, None), (1, 2), "None"),
        ((1, 2), (1, None), "None"),
    ],
)
def test_different_structures_are_an_error_that_says_where(one, other, where):
    with pytest.raises(ValueError, match="differ") as error:
        tree.map(lambda a, b: a, one, other)
    assert where in str(error.value)
