"""Observation: what a run shows of values, cotangents and contributions, and that it changes nothing."""

import inspect
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp

X = np.array([0.5, -1.5, 2.0])


def leaf(x, **kwargs):
    return bp.Tensor(np.array(x, float), requires_grad=True, **kwargs)


def users(run, seen):
    """(user, place) for every op of the run that has `seen` among its operands."""
    return [(user, i) for user in run for i, parent in enumerate(user.parents) if parent is seen]


def assert_shares_make_the_cotangent(run, seen):
    shares = [user.contributions[i] for user, i in users(run, seen) if user.contributions[i] is not None]
    np.testing.assert_allclose(sum(shares), seen.cotangent, rtol=1e-14)


def test_what_is_kept_of_an_op():
    x, w = leaf(X, name="x"), leaf([1.0, 2.0, 3.0])
    with bp.observe() as run:
        z = x * w
        y = np.sum(z, axis=0)
        y.backward()
    product, total = run
    assert len(run) == 2
    assert [(seen.kind, seen.op) for seen in run] == [("op", "multiply"), ("op", "sum")]
    np.testing.assert_array_equal(product.value, X * w.data)
    assert (product.shape, product.dtype) == ((3,), np.float64)
    assert product.parents == [run.of(x), run.of(w)]
    assert total.parents == [product]
    assert total.kwargs == {"axis": 0}
    assert product.kwargs == {}
    assert (product.function, total.function, run.of(x).function) == (np.multiply, np.sum, None)
    np.testing.assert_array_equal(product.cotangent, np.ones(3))
    np.testing.assert_array_equal(product.contributions, [w.data, X])
    assert total.cotangent == 1.0
    assert "multiply" in repr(product) or "z" in repr(product)


def test_what_is_kept_of_leaves_and_constants():
    x, scale = leaf(X), np.arange(3.0)
    with bp.observe() as run:
        np.sum(x * scale * 2.0).backward()
    first, second, _ = run
    seen, constant = first.parents
    assert seen is run.of(x)
    assert (seen.kind, seen.op, seen.parents) == ("leaf", None, ())
    np.testing.assert_array_equal(seen.value, X)
    np.testing.assert_array_equal(seen.cotangent, 2 * scale)
    assert (constant.kind, constant.cotangent) == ("constant", None)
    assert constant.value is scale
    assert first.contributions[1] is None
    assert (second.parents[1].kind, second.parents[1].value) == ("constant", 2.0)


def test_the_leafs_value_is_that_of_the_run():
    w = leaf(X)
    with bp.observe() as run:
        np.sum(w * w).backward()
    w.data[...] = 0.0  # as an optimizer might
    np.testing.assert_array_equal(run.of(w).value, X)
    np.testing.assert_array_equal(run.of(w).cotangent, 2 * X)


def test_contributions_of_all_edges_sum_to_the_cotangent():
    x = leaf(X)
    with bp.observe() as run:
        z = np.sin(x)
        y = z * z + np.exp(z) - z[0] * z + np.concatenate([z[1:], z[:1]])
        np.sum(y).backward()
    for t in (x, z):
        seen = run.of(t)
        assert len(users(run, seen)) >= 1
        assert_shares_make_the_cotangent(run, seen)
    np.testing.assert_allclose(run.of(x).cotangent, x.grad, rtol=1e-15)


OPS = [
    np.sin, np.tanh, lambda x: x * x, lambda x: x[::-1], lambda x: np.sum(x) * x, lambda x: x + x[:1],
    lambda x: np.concatenate([x[1:], x[:1]]), lambda x: np.where(np.arange(3) > 0, x, 2.0),
]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3)), min_size=1, max_size=8))
def test_random_runs(program):
    def compute(x):
        values = [x]
        for op, back in program:
            values.append(OPS[op](values[max(0, len(values) - 1 - back)]) * 0.5 + values[-1])
        return np.sum(values[-1] * np.arange(1.0, 4.0))

    plain, observed = leaf(X), leaf(X)
    expected = compute(plain)
    expected.backward()
    with bp.observe() as run:
        y = compute(observed)
        y.backward()
    assert y.item() == expected.item()
    np.testing.assert_array_equal(observed.grad, plain.grad)
    np.testing.assert_allclose(run.of(observed).cotangent, plain.grad, rtol=1e-14)
    for seen in run:
        if seen.cotangent is not None and seen is not run.of(y):
            assert_shares_make_the_cotangent(run, seen)


# ---- when the backward pass comes ------------------------------------------------------------------------


def test_a_backward_pass_after_the_block_is_seen():
    x = leaf(X)
    with bp.observe() as run:
        y = np.sum(x * x)
    assert run.of(y).cotangent is None
    assert run.of(x).cotangent is None
    assert run.nodes[0].contributions == [None, None]
    y.backward()
    assert run.of(y).cotangent == 1.0
    np.testing.assert_array_equal(run.of(x).cotangent, 2 * X)


def test_several_backward_passes_are_summed():
    x = leaf(X)
    with bp.observe() as run:
        z = x * x
        y = np.sum(z)
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_array_equal(run.of(z).cotangent, np.full(3, 2.0))
    np.testing.assert_array_equal(run.of(x).cotangent, x.grad)


def test_what_was_made_before_the_block_is_a_leaf_of_the_run():
    x = leaf(X)
    z = x * x
    with bp.observe() as run:
        np.sum(z * 3).backward()
    assert run.of(z).kind == "leaf"
    np.testing.assert_array_equal(run.of(z).cotangent, np.full(3, 3.0))
    np.testing.assert_array_equal(x.grad, 6 * X)
    with pytest.raises(KeyError, match=r"was not observed.*inside the block"):
        run.of(x)


def test_what_is_made_after_the_block_is_not_seen():
    x = leaf(X)
    with bp.observe() as run:
        z = x * x
    y = np.sum(z)
    y.backward()
    assert len(run) == 1
    with pytest.raises(KeyError, match="was not observed"):
        run.of(y)
    np.testing.assert_array_equal(run.of(z).cotangent, np.ones(3))


def test_the_backward_pass_that_is_not_recorded_makes_no_nodes():
    x = leaf(X)
    with bp.observe() as run:
        np.sum(np.sin(x)).backward()
    assert [seen.op for seen in run] == ["sin", "sum"]


# ---- several outputs, lists, transforms ------------------------------------------------------------------------


def test_an_op_of_several_outputs():
    both = bp.primitive(lambda x: (np.sin(x), np.cos(x), np.argsort(x)))
    both.defvjp(lambda g, y, _x: g[0] * y[1])
    x = leaf(X)
    with bp.observe() as run:
        s, c, _ = both(x)
        np.sum(s).backward()
    whole = run.nodes[0]
    assert whole.parents == [run.of(x)]
    np.testing.assert_array_equal(whole.value[1], np.cos(X))
    np.testing.assert_array_equal(whole.contributions[0], np.cos(X))
    assert run.of(s).op == run.of(c).op == "pick"
    assert run.of(s).parents[0] is run.of(c).parents[0] is whole
    np.testing.assert_array_equal(run.of(s).value, np.sin(X))
    np.testing.assert_array_equal(run.of(s).cotangent, np.ones(3))
    assert run.of(c).cotangent is None


def test_a_list_of_operands():
    x, w = leaf(X), leaf(X)
    with bp.observe() as run:
        np.sum(np.stack([x, w, np.zeros(3), x]) * np.arange(1.0, 5.0)[:, None]).backward()
    stack = run.nodes[0]
    assert stack.parents[0] is stack.parents[3] is run.of(x)
    assert stack.parents[2].kind == "constant"
    assert stack.contributions[2] is None
    np.testing.assert_array_equal(stack.contributions[1], np.full(3, 2.0))
    np.testing.assert_array_equal(run.of(x).cotangent, np.full(3, 5.0))


def test_transforms_inside_are_seen_at_every_level():
    with bp.observe() as run:
        bp.grad(bp.grad(lambda x: x**3))(2.0)
    assert [seen.op for seen in run].count("power") >= 2, "noted once per level, and in the rule"
    assert all(np.isscalar(seen.value) or isinstance(seen.value, np.ndarray) for seen in run)
    innermost = next(seen for seen in run if seen.op == "power")
    assert innermost.value == 8.0


def test_values_and_cotangents_are_plain_arrays_of_their_own():
    x = leaf(X)
    with bp.observe() as run:
        y = np.sum(x + 0.0)
        y.backward()
    for seen in [*run, run.of(x)]:
        assert isinstance(seen.cotangent, (np.ndarray, np.generic))
    run.of(x).cotangent[...] = 0
    np.testing.assert_array_equal(x.grad, np.ones(3))
    np.testing.assert_array_equal(run.nodes[0].cotangent, np.ones(3))


# ---- names and lines -----------------------------------------------------------------------------------------


def test_names_are_the_users():
    given, weights, features = leaf(X, name="given"), leaf(X), np.arange(3.0)
    with bp.observe() as run:
        z = given * weights
        y = np.sum(z * features)
        y.backward()
    assert run.of(given).name == "given"
    assert run.of(weights).name == "weights"
    assert run.of(z).name == "z"
    assert run.nodes[1].parents[1].name == "features"


def test_a_name_given_later_is_seen():
    x = leaf(X)
    with bp.observe() as run:
        y = np.sum(x)
        y.name = "total"
    assert run.of(y).name == "total"
    assert "total" in repr(run.of(y))


def test_the_line_is_the_users():
    x = leaf(X)
    line = inspect.currentframe().f_lineno
    with bp.observe() as run:
        y = np.sum(np.sin(x))  # this one
        bp.grad(lambda v: v * 2)(1.0)
    for seen in run.nodes[:2]:
        assert seen.line == f"{__file__}:{line + 2}: y = np.sum(np.sin(x))  # this one"
    assert run.of(y).line.startswith(f"{__file__}:{line + 2}")
    assert run.nodes[2].line.startswith(f"{__file__}:{line + 3}")
    assert all(seen.module is None for seen in run)


def test_modules_are_named_by_their_path():
    net = bp.nn.Sequential(bp.nn.Linear(3, 2, rng=np.random.default_rng(0)))
    with bp.observe() as run:
        net(bp.Tensor(X.astype(np.float32)))
    assert {seen.module for seen in run} == {"0"}


# ---- guard -----------------------------------------------------------------------------------------------------


def test_the_guard_catches_a_raw_write():
    x, scale = leaf(X), np.arange(3.0)
    with bp.observe(guard=True):
        y = np.sum(x * scale)
    scale[0] = 7.0
    with pytest.raises(
        RuntimeError, match=rf"derivative of multiply needs was changed.*{__name__.split('.')[-1]}"
    ):
        y.backward()
    assert x.grad is None


def test_the_guard_lets_other_writes_pass():
    x, scale, offset = leaf(X), np.arange(3.0), np.ones(3)
    with bp.observe(guard=True):
        y = np.sum(x * scale + offset)
    offset[0] = 7.0
    x.data[0] = 7.0
    y.backward()
    np.testing.assert_array_equal(x.grad, scale)


def test_without_the_guard_a_raw_write_is_not_seen():
    x, scale = leaf(X), np.arange(3.0)
    with bp.observe():
        y = np.sum(x * scale)
    scale[0] = 7.0
    y.backward()
    np.testing.assert_array_equal(x.grad, [7.0, 1.0, 2.0])


@pytest.mark.parametrize("wrapped", [lambda index: index, lambda index: (None, index)])
def test_the_guard_looks_at_indices(wrapped):
    x, index = leaf(X), np.array([0, 1])
    with bp.observe(guard=True):
        y = np.sum(x[wrapped(index)])
    index[0] = 2
    with pytest.raises(RuntimeError, match="derivative of getitem needs was changed"):
        y.backward()
    assert x.grad is None


def test_the_guard_looks_at_results_and_at_pullbacks():
    x = leaf(X)
    with bp.observe(guard=True):
        y = np.exp(x)
    y.data[0] = 0.0
    with pytest.raises(RuntimeError, match="derivative of exp"):
        np.sum(y).backward()
    scale = np.arange(3.0)
    with bp.observe(guard=True):
        _, pullback = bp.vjp(lambda v: v * scale, X)
    scale[0] = 7.0
    with pytest.raises(RuntimeError, match="derivative of multiply"):
        pullback(np.ones(3))


# ---- whose it is -----------------------------------------------------------------------------------------------


def test_blocks_can_be_nested_and_the_inner_one_sees():
    x = leaf(X)
    with bp.observe() as outer:
        y = x * 2
        with bp.observe() as inner:
            z = y * 3
        np.sum(z).backward()
    assert [seen.op for seen in outer] == ["multiply", "sum"]
    assert [seen.op for seen in inner] == ["multiply"]
    np.testing.assert_array_equal(inner.of(z).cotangent, np.ones(3))
    np.testing.assert_array_equal(outer.of(y).cotangent, np.full(3, 3.0))


def test_another_thread_is_not_observed():
    def work():
        np.sum(leaf(X) * 2).backward()

    with bp.observe() as run:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(run) == 0


def test_under_no_grad_nothing_is_seen():
    with bp.observe() as run, bp.no_grad():
        leaf(X) * 2
    assert len(run) == 0


GLOBAL = bp.Tensor([1.0, 2.0], requires_grad=True)


def test_a_global_variable_has_a_name_too():
    """In a script or a notebook all variables are global."""
    with bp.observe() as run:
        np.sin(GLOBAL)
    assert run.of(GLOBAL).name == "GLOBAL"


def test_a_pick_tells_which_output_it_took():
    x = bp.Tensor(np.diag([1.0, 2.0, 3.0]), requires_grad=True, name="x")
    with bp.observe() as run:
        np.sum(np.linalg.eigh(x)[1])
    assert [int(seen.parents[1].value) for seen in run if seen.op == "pick"] == [0, 1]
