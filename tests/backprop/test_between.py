"""Between the equations: the generic chain rule, edge by edge; BP2 in two halves; the other demon."""

# l is the book's name of a layer.
# ruff: noqa: E741

import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp.backprop import notation
from tinygrad_bp.backprop.equations import SIGMA_PRIME
from tinygrad_bp.backprop.proofs import chain_rule
from tinygrad_bp.backprop.report import TOLERANCE
from tinygrad_bp.primitive import REGISTRY, Op

from .nets import F, case, cases

# ---- the generic rule ----------------------------------------------------------------------------------

OPS = [np.add, np.multiply, np.subtract, np.tanh, np.sin, np.square, np.matmul]


@st.composite
def graphs(draw):
    """A function of two (3, 3) arrays, in which results are used again and again."""
    plan = draw(
        st.lists(
            st.tuples(st.sampled_from(OPS), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=12
        )
    )

    def f(a, b):
        made = [a, b]
        for op, i, j in plan:
            operands = (made[i % len(made)], made[j % len(made)])[: op.nin]
            made.append(np.tanh(op(*operands)))
        return np.sum(made[-1] * made[len(made) // 2])

    return f


def observed(f, *arrays):
    leaves = [bp.Tensor(a, requires_grad=True, name=f"x{i}") for i, a in enumerate(arrays)]
    with bp.observe() as run:
        y = f(*leaves)
        y.backward()
    return run


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(f=graphs(), seed=st.integers(0, 2**32))
def test_T31_the_gradient_is_the_sum_over_the_edges(dtype, f, seed):
    run = observed(f, *np.random.default_rng(seed).standard_normal((2, 3, 3)).astype(dtype))
    table = chain_rule(run)
    for row in table.rows:
        assert row.deviation <= max(TOLERANCE[np.dtype(dtype).name], row.rounding)
    terms = sum(int(row.equation.split()[0]) for row in table.rows)
    assert terms == sum(share is not None for node in run for share in node.contributions)


@given(f=graphs(), seed=st.integers(0, 2**32))
def test_T31_each_term_is_dC_du_times_du_dx(f, seed):
    """Each edge's contribution by itself: ⟨it, v⟩ = ⟨∂C/∂u, change of u when x moves by v⟩, by differences."""
    rng = np.random.default_rng(seed)
    eps = 1e-6
    for u in observed(f, *rng.standard_normal((2, 3, 3))):
        for i, (x, share) in enumerate(zip(u.parents, u.contributions)):
            if share is None:
                continue
            v, values = rng.standard_normal(x.shape), [parent.value for parent in u.parents]
            up, down = (
                u.function(*values[:i], x.value + sign * eps * v, *values[i + 1 :], **u.kwargs)
                for sign in (1, -1)
            )
            moved = np.sum(u.cotangent * (up - down)) / (2 * eps)
            size = np.sum(np.abs(share * v)) + np.sum(np.abs(u.cotangent)) * np.max(np.abs(u.value))
            assert abs(np.sum(share * v) - moved) <= 1e-7 * size + 1e-12


@given(f=graphs(), seed=st.integers(0, 2**32))
def test_T31_every_rule_runs_once_per_use(f, seed):
    a, b = np.random.default_rng(seed).standard_normal((2, 3, 3))
    leaves = [bp.Tensor(x, requires_grad=True) for x in (a, b)]
    with bp.observe() as run:
        y = f(*leaves)
    calls = rule_calls(y.backward)
    used = Counter(u.op for u in run for share in u.contributions if share is not None)
    assert calls == used


def rule_calls(backward):
    """How often each op's rules run during a call of `backward`."""
    names = {
        rule.__code__: op.name for op in REGISTRY.values() if type(op) is Op for rule in op.rules if rule
    }
    calls = Counter()

    def profile(frame, event, arg):
        if event == "call" and frame.f_code in names:
            calls[names[frame.f_code]] += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        backward()
    finally:
        sys.setprofile(before)
    return calls


def test_T31_two_to_the_thirtieth_paths_take_sixty_rule_calls():
    """x ← x · x, thirty times: the sum over paths has 2³⁰ terms; kept cotangents make it 60 + 1."""
    x = bp.Tensor(np.ones(2), requires_grad=True)
    with bp.observe() as run:
        y = x
        for _ in range(30):
            y = y * y
        total = np.sum(y)
    assert rule_calls(total.backward) == {"multiply": 60, "sum": 1}
    np.testing.assert_array_equal(x.grad, 2.0**30)
    table = chain_rule(run)
    assert table
    assert [row.equation for row in table.rows] == ["1 term"] + ["2 terms"] * 30


def test_T31_a_net_and_a_missing_contribution():
    net, x, y, cost = case([3, 4, 2], ["tanh", "sigmoid"], 5)
    with bp.observe() as run:
        hidden = np.tanh(net.layers[0](x))
        (cost(net.activations[1](net.layers[1](hidden)), y) + 0.1 * np.sum(hidden * hidden)).backward()
    table = chain_rule(run)
    assert table
    row = next(row for row in table.rows if row.place == "hidden")
    assert (row.equation, row.text) == ("3 terms", "Σ over matmul, multiply, multiply")
    user = next(node for node in run if node.op == "multiply" and node.parents[0].name == "hidden")
    for wrong in (None, 0.999 * user.contributions[0]):
        user.contributions[0] = wrong
        table = chain_rule(run)
        assert not table
        assert [row.place for row in table.rows if row.verdict == "FAIL"] == ["hidden"]
    assert str(table).endswith(f"FAIL: 1 of {len(table.rows)}")


def test_T31_also_a_run_that_notation_made():
    assert chain_rule(notation(*case([3, 4, 2], ["tanh", "sigmoid"], 5)).run)


def test_complex_numbers_and_ops_of_several_outputs():
    @bp.primitive
    def both(x):
        return np.sin(x), np.cos(x), "a word"

    both.defvjp(joint=lambda g, _y, x: (sum((p for p in (g[0] * np.cos(x), -g[1] * np.sin(x))), 0.0),))
    x = bp.Tensor(np.ones(3) + 1j, requires_grad=True)
    with bp.observe() as run:
        u, v, _ = both(x)
        np.sum(np.real(u * v)).backward()
    table = chain_rule(run)
    assert table
    assert [row.text for row in table.rows if row.place == "both"] == ["Σ over pick"] * 2


def test_a_run_without_a_backward_pass():
    with bp.observe() as run:
        np.sum(bp.Tensor(np.ones(3), requires_grad=True))
    with pytest.raises(ValueError, match=r"no backward pass has come by this run; call loss\.backward"):
        chain_rule(run)


# ---- between BP2's two halves; the other demon ---------------------------------------------------------


def by_retained_gradients(net, x, y, cost):
    """∂C/∂a^l of the mean cost, l = 2 … L, from `.retain_grad()`, examples in rows."""
    a, kept = x, {}
    for l, (layer, activation) in enumerate(zip(net.layers, net.activations), start=2):
        kept[l] = a = activation(layer(a))
        a.retain_grad()
    cost(a, y).backward()
    return {l: a.grad for l, a in kept.items()}


def close(found, expected, terms, dtype):
    """Norm-wise within the tolerance, or within what rounding may cause where sums cancel."""
    size = np.max(np.abs(expected))
    gap = np.max(np.abs(found - expected))
    return gap <= max(TOLERANCE[np.dtype(dtype).name] * size, 4 * np.finfo(dtype).eps * np.max(terms))


def slopes(book):
    return {l: SIGMA_PRIME[book.nodes[l].activation_name](book.z[l], book.a[l], **book.nodes[l].activation[0].kwargs)
            if book.nodes[l].activation else np.ones_like(book.z[l]) for l in book.z}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_T32_BP2_in_two_halves(dtype, data):
    net, x, y, cost = data.draw(cases(dtype))
    book, grad_a = notation(net, x, y, cost), by_retained_gradients(net, x, y, cost)
    sp = slopes(book)
    for l in range(2, book.L):
        w, delta = book.w[l + 1], book.delta[l + 1]
        at_the_output = w.T @ delta
        assert close(book.m * grad_a[l].T, at_the_output, np.abs(w.T) @ np.abs(delta), dtype)
        through = at_the_output * sp[l]
        assert close(book.delta[l], through, np.abs(w.T) @ np.abs(delta) * np.abs(sp[l]), dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_T33_the_other_demon(dtype, data):
    """α^l = ∂C/∂a^l and its four equations, from the output inwards, one step each."""
    net, x, y, cost = data.draw(cases(dtype))
    book, grad_a = notation(net, x, y, cost), by_retained_gradients(net, x, y, cost)
    sp, L, m = slopes(book), book.L, book.m
    alpha = {l: m * g.T for l, g in grad_a.items()}
    assert close(alpha[L], book.nabla_a, np.abs(book.nabla_a), dtype)
    for l in range(2, L + 1):
        if l < L:
            inner, size = alpha[l + 1] * sp[l + 1], np.abs(alpha[l + 1] * sp[l + 1])
            assert close(alpha[l], book.w[l + 1].T @ inner, np.abs(book.w[l + 1].T) @ size, dtype)
        slope, size = alpha[l] * sp[l], np.abs(alpha[l] * sp[l])
        b, w = np.mean(slope, 1, keepdims=True), slope @ book.a[l - 1].T / m
        assert close(book.nabla_b[l], b, np.mean(size, 1), dtype)
        assert close(book.nabla_w[l], w, size @ np.abs(book.a[l - 1].T) / m, dtype)


def test_T33_the_whole_way_by_the_other_demon():
    """α^L, …, α^2 from ∇_a C alone give the engine's gradients: equivalent to δ."""
    net, x, y, cost = case([4, 6, 5, 3], ["tanh", "softplus", "sigmoid"], 7)
    book = notation(net, x, y, cost)
    sp, alpha = slopes(book), {4: book.a[4] - book.y}
    for l in (3, 2):
        alpha[l] = book.w[l + 1].T @ (alpha[l + 1] * sp[l + 1])
    for l in (4, 3, 2):
        np.testing.assert_allclose(
            (alpha[l] * sp[l]) @ book.a[l - 1].T / 7, book.nabla_w[l], rtol=1e-10, atol=1e-14
        )
        clumsy = alpha[l] @ book.a[l - 1].T / 7
        assert not np.allclose(clumsy, book.nabla_w[l])


def test_T32_a_half_without_its_slope_is_not_the_error():
    book = notation(*case([4, 4, 4], ["tanh", "sigmoid"], 3, F.binary_cross_entropy))
    half = book.w[3].T @ book.delta[3]
    assert not close(book.delta[2], half, np.abs(half), np.float64)
