"""Large parameters take their products in one call of BLAS, and come to what two calls of NumPy's come to."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tests.compiler.steps import training
from tinygrad_bp.compiler import passes
from tinygrad_bp.compiler.blas import gemm, subtract_product, subtraction
from tinygrad_bp.compiler.program import Var
from tinygrad_bp.compiler.trace import Signature, Trace
from tinygrad_bp.nn import functional as F

RNG = np.random.default_rng(0)
LAYOUTS = {
    "by rows": np.ascontiguousarray,
    "by columns": np.asfortranarray,
    "every other row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "every other column": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "read-only": lambda a: np.broadcast_to(a, a.shape),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
}


@pytest.mark.parametrize("kind", "fd")
@given(
    sizes=st.tuples(*[st.integers(1, 9)] * 3), layouts=st.tuples(*[st.sampled_from(list(LAYOUTS))] * 2),
    known=st.tuples(st.booleans(), st.booleans()), seed=st.integers(0, 99),
)  # fmt: skip
def test_a_product_is_subtracted_however_its_factors_lie(kind, sizes, layouts, known, seed):
    (m, k, n), rng = sizes, np.random.default_rng(seed)
    a, b, w = (rng.normal(size=shape).astype(kind) for shape in ((m, k), (k, n), (m, n)))
    a, b = (LAYOUTS[layout](x) for layout, x in zip(layouts, (a, b)))
    expected = w - a @ b
    told = [x if here else Var(0, x.shape, x.dtype) for x, here in zip((a, b), known)]
    subtract, eps = subtraction(w, *told), np.finfo(kind).eps
    subtract(a, b)
    np.testing.assert_allclose(w, expected, rtol=20 * eps, atol=50 * eps)
    if a.flags.writeable:
        a[...] += 1  # what stands there later is read
        expected = w - a @ b
        subtract(a, b)
        np.testing.assert_allclose(w, expected, rtol=20 * eps, atol=90 * eps)


@pytest.mark.skipif(sys.platform != "linux", reason="where NumPy's BLAS is looked for in other ways")
def test_the_blas_of_numpy_is_found():
    assert gemm("f")
    assert gemm("d")


# ---- the pass ----------------------------------------------------------------------------------------------


def a_step(sizes=(300, 200, 150), dtype=np.float32):
    net = bp.nn.MLP(list(sizes), "tanh", "linear", rng=0, dtype=dtype)
    return net, training(net, bp.optim.SGD(net.parameters(), lr=0.1), F.mse_loss)


def a_batch(sizes=(300, 200, 150), dtype=np.float32):
    return RNG.normal(size=(8, sizes[0])).astype(dtype), RNG.normal(size=(8, sizes[-1])).astype(dtype)


def updates_in(step, *args):
    program = passes.optimized(Trace(step, Signature(args, {})).program)
    return [call for call in program.calls if call.function is subtract_product]


def test_large_weights_take_their_products_in_one_call_and_no_buffer():
    net, step = a_step()
    x, y = a_batch()
    assert {call.out.shape for call in updates_in(step, x, y)} == {(200, 300), (150, 200)}
    compiled, apart = bp.compile(step), bp.compile(step, passes=passes.PASSES[:-1])
    for _ in range(3):
        compiled(x, y)
        apart(x, y)
    weights = sum(p.nbytes for p in net.parameters() if p.ndim == 2)
    assert compiled.stats["buffer bytes"] < apart.stats["buffer bytes"] - 0.9 * weights
    run = next(iter(compiled._replays.values())).linked
    before, _, after = run.text.partition("if flags")
    writing = [k for k, f in run.run.__globals__.items() if "subtraction." in getattr(f, "__qualname__", "")]
    assert len(writing) == 2
    for name in writing:
        assert f"{name}(" in after
        assert name not in before, "nothing is written before the question"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_come_to_what_eager_ones_do(dtype):
    (net, step), (twin, eager) = a_step(dtype=dtype), a_step(dtype=dtype)
    compiled = bp.compile(step)
    for layout in LAYOUTS.values():
        x, y = a_batch(dtype=dtype)
        ours, expected = compiled(layout(x), y).data, eager(x, y).data
        np.testing.assert_allclose(ours, expected, rtol=1e3 * np.finfo(dtype).eps)
    assert compiled.stats["replays"] == len(LAYOUTS) - 2
    for p, q in zip(net.parameters(), twin.parameters()):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-4, atol=100 * np.finfo(dtype).eps)


def test_what_is_read_elsewhere_too_or_changed_itself_is_left_to_numpy():
    w, v = (bp.Tensor(RNG.normal(size=(200, 200)) / 20, requires_grad=True) for _ in range(2))

    def kept(x):
        change = x.T @ x
        w.data = w.data - change
        return change

    def of_itself(x):
        v.data = v.data - w.data @ v.data.T
        w.data = w.data - x.T @ x

    x = RNG.normal(size=(5, 200)) / 20
    assert not updates_in(kept, x)
    assert len(updates_in(of_itself, x)) == 1
    compiled, a, b = bp.compile(of_itself), w.data.copy(), v.data.copy()
    for _ in range(5):
        compiled(x)
        a, b = a - x.T @ x, b - a @ b.T
    np.testing.assert_allclose(w.data, a, rtol=1e-12)
    np.testing.assert_allclose(v.data, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("turn", [np.ascontiguousarray, np.asfortranarray], ids=["by rows", "by columns"])
@pytest.mark.parametrize("which", [0, 1])
def test_factors_that_lie_in_a_parameter_are_read_before_it_changes(turn, which):
    def run(compiling):
        start = np.random.default_rng(0).normal(size=(2, 200, 200)) / 15
        w = [bp.Tensor(turn(a), requires_grad=True) for a in start]

        def step(x):
            changes = x.T @ x, x @ x
            with bp.no_grad():
                for parameter, change in zip(w, changes):
                    parameter -= change

        step = bp.compile(step) if compiling else step
        for _ in range(5):
            step(w[which].data)
        return [a.data for a in w]

    np.testing.assert_allclose(run(True), run(False), rtol=1e-9)


@pytest.mark.parametrize("part", [np.s_[:, -1], np.s_[::2, 1]], ids=str)
def test_layers_that_read_a_part_of_what_was_computed(part):
    """Which lies in memory with gaps, and holds other numbers at every step."""

    def run(compiling):
        below, above = bp.nn.Linear(64, 256, rng=0), bp.nn.Linear(256, 150, rng=1)
        optimizer = bp.optim.SGD([*below.parameters(), *above.parameters()], lr=0.1)
        step = training(lambda x: above(np.tanh(below(x))[part]), optimizer, F.cross_entropy)
        step, rng, costs = bp.compile(step) if compiling else step, np.random.default_rng(0), []
        for _ in range(8):
            x, y = rng.normal(size=(32, 5, 64)).astype(np.float32), rng.integers(0, 150, 32)
            costs.append(step(x, y[part[0]]).item())
        return costs

    np.testing.assert_allclose(run(True), run(False), rtol=1e-5)


def test_arrays_that_stand_in_a_dict():
    def run(compiling):
        w = {k: np.random.default_rng(n).normal(size=(200, 200)) / 40 for n, k in enumerate("ab")}

        def step(x):
            w["a"], w["b"] = w["a"] - x.T @ x, w["b"] - x @ x

        step = bp.compile(step) if compiling else step
        for _ in range(4):
            step(w["a"])
        return [*w.values()]

    np.testing.assert_allclose(run(True), run(False), rtol=1e-9)


UPDATES = {
    "a product": lambda d, x, a, b, c: (a - d @ x, d - c, c * 0.9),
    "elementwise": lambda d, x, a, b, c: (a - d, d - c, c * 0.9),
    "a transpose": lambda d, x, a, b, c: (a - d.T @ x, d.T - c, c * 0.9),
}


@pytest.mark.parametrize("new", UPDATES.values(), ids=UPDATES.keys())
def test_what_an_update_reads_is_kept_until_it_is_made(new):
    """Also where another update needs an old value, and so is computed before."""

    def run(compiling):
        w = [bp.Tensor(a) for a in np.random.default_rng(0).normal(size=(3, 200, 200)) / 15]

        def step(x):
            for t, value in zip(w, new(np.tanh(x), x, *(t.data for t in w))):
                t.data = value

        step = bp.compile(step) if compiling else step
        for n in range(6):
            step(np.random.default_rng(n).normal(size=(200, 200)) / 15)
        return [t.data for t in w]

    np.testing.assert_allclose(run(True), run(False), rtol=1e-9, atol=1e-12)


def test_a_batch_in_a_parameters_memory_is_read_by_all_updates_before_it_changes():
    def run(compiling):
        w = [bp.Tensor(a) for a in np.random.default_rng(0).normal(size=(2, 3, 3))]

        def step(x):
            w[0].data, w[1].data = w[0].data * 0.5, w[1].data - x

        step = bp.compile(step) if compiling else step
        for _ in range(5):
            step(w[0].data)
        return [t.data for t in w]

    np.testing.assert_array_equal(run(True), run(False))


def test_data_and_a_parameter_in_one_buffer_are_no_overlap():
    buffer = RNG.normal(size=80_000)
    w, x = bp.Tensor(buffer[:40_000].reshape(200, 200), requires_grad=True), buffer[40_000:].reshape(200, 200)

    def step(x):
        w.data = w.data - x.T @ x * 1e-3

    compiled = bp.compile(step)
    for _ in range(6):
        compiled(x)
    assert compiled.stats["replays"] == 4


def test_a_parameter_that_is_read_after_its_update_is_left_to_numpy():
    w = bp.Tensor(RNG.normal(size=(200, 200)) / 20, requires_grad=True)

    def step(x):
        w.data = w.data - x.T @ x
        return x @ w.data

    assert not updates_in(step, RNG.normal(size=(5, 200)))


def test_weights_that_lie_by_columns():
    (net, step), (twin, eager) = a_step(), a_step()
    for p in [*net.parameters()][::2] + [*twin.parameters()][::2]:
        p.data = np.asfortranarray(p.data)
    compiled = bp.compile(step)
    for _ in range(5):
        x, y = a_batch()
        np.testing.assert_allclose(compiled(x, y).data, eager(x, y).data, rtol=1e-4)
    for p, q in zip(net.parameters(), twin.parameters()):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-4, atol=1e-6)


def test_without_such_a_blas_all_is_numpys(monkeypatch):
    monkeypatch.setattr(passes, "gemm", lambda kind: None)
    _, step = a_step()
    assert not updates_in(step, *a_batch())
