"""What a step can reach is walked once, and again only if a walk would find something else."""

import types

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.compiler.state import reachable


class Holder:
    """An object of a user's class."""


def reads_a_global(x):
    return x * appears_later  # noqa: F821


def writes_a_global(x):
    global written_by_a_step
    written_by_a_step = x * 2
    return np.sum(x)


def _value():
    root = {"rate": 0.1}
    return root, lambda: root.update(rate=0.2)


def _another_array():
    root = [np.ones(2)]
    return root, lambda: root.append(np.ones(3))


def _an_array_goes():
    root = {"a": np.ones(2), "b": 1}
    return root, lambda: (root.pop("a"), root.update(c=2))


def _a_list_for_an_array():
    root = [np.ones(2)]
    return root, lambda: root.__setitem__(0, [np.ones(3)])


def _requires_grad():
    root = bp.zeros(3)
    return root, lambda: setattr(root, "requires_grad", True)


def _in_a_set():
    root = {bp.zeros(2)}
    return root, lambda: (root.clear(), root.add(bp.zeros(3)))


def _a_global():
    return reads_a_global, lambda: globals().update(appears_later=np.ones(2))


def _a_class_attribute():
    class Counts:
        def read(self):
            return Counts.late

    return Counts(), lambda: setattr(Counts, "late", np.ones(2))


def _a_cell():
    if False:
        late = None

    def step():
        return late

    def fill():
        step.__closure__[0].cell_contents = np.ones(2)

    return step, fill


def _the_code():
    def step(x):
        return x

    return step, lambda: setattr(step, "__code__", (lambda x: x * 2).__code__)


def _a_default():
    def step(x, scale=2.0):
        return x * scale

    return step, lambda: setattr(step, "__defaults__", (3.0,))


def _a_keywords_default():
    def step(x, *, scale=2.0):
        return x * scale

    return step, lambda: setattr(step, "__kwdefaults__", {"scale": 3.0})


CASES = [_value, _another_array, _an_array_goes, _a_list_for_an_array, _requires_grad, _in_a_set, _a_global,
         _a_class_attribute, _a_cell, _the_code, _a_default, _a_keywords_default]  # fmt: skip


def places(state):
    return [slot.place for slot in state.arrays], [(slot.place, value) for slot, value in state.plain]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__[1:])
def test_a_walk_is_made_again_where_it_finds_something_else(case):
    root, change = case()
    roots = [(root, "root")]
    known = reachable(roots)
    if case is not _in_a_set:  # what is in a set is not asked, but looked for
        assert reachable([(root, "root")], known) is known
    try:
        change()
        again = reachable(roots, known)
        assert again is not known
        assert places(again) == places(reachable(roots))
    finally:
        globals().pop("appears_later", None)


def test_a_walk_from_elsewhere_is_another_one():
    a, b = Holder(), Holder()
    known = reachable([(a, "a")])
    assert reachable([(a, "a")], known) is known
    assert reachable([(b, "a")], known) is not known


def test_other_numbers_in_the_same_arrays_need_no_other_walk():
    holder = Holder()
    holder.mean, holder.names = np.zeros(3), types.SimpleNamespace(rate=0.1)
    known = reachable([(holder, "holder")])
    holder.mean[...] = 1
    assert reachable([(holder, "holder")], known) is known
    holder.mean = np.ones(4)  # another array, in the same place
    assert reachable([(holder, "holder")], known) is known


def test_a_global_that_a_traced_call_makes_holds_an_array():
    step = bp.compile(writes_a_global)
    x = np.arange(3.0)
    try:
        for k in range(4):
            step(x + k)
            assert type(written_by_a_step) is np.ndarray
            np.testing.assert_array_equal(written_by_a_step, 2 * (x + k))
    finally:
        globals().pop("written_by_a_step", None)


@pytest.mark.parametrize(
    "case", [_the_code, _a_default, _a_keywords_default], ids=lambda case: case.__name__[1:]
)
def test_a_function_that_is_changed_where_it_stands_is_traced_anew(case):
    """As a notebook does that reloads an edited module."""
    inner, change = case()
    compiled = bp.compile(lambda x: inner(x))
    x = np.arange(3.0)
    for _ in range(4):
        compiled(x)
    change()
    for _ in range(4):
        np.testing.assert_array_equal(compiled(x), inner(x))
    assert compiled.stats["traces"] == 4


def test_a_global_that_only_shares_an_attributes_name_is_no_state():
    names = {"np": np, "scale": np.exp(bp.Tensor([1.0], requires_grad=True)), "shift": 1.0}
    exec("def step(x, holder):\n    return [x * holder.scale + shift for _ in range(1)][0]", names)
    compiled = bp.compile(names["step"])
    x, holder = np.arange(3.0), types.SimpleNamespace(scale=2.0)
    for n in range(8):
        names["shift"] = float(n // 4)
        np.testing.assert_array_equal(compiled(x, holder), 2 * x + n // 4)
    assert compiled.stats["replays"] == 4
