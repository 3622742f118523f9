"""`bp.checkpoint(f)`: f's derivatives, without f's inner values."""

import enum
import gc
import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.checkpoint import _bits
from tinygrad_bp.graph import Node

A = np.linspace(-1.0, 1.5, 12).reshape(4, 3)
X = np.array([0.3, -0.7, 1.1])


def leaf(x, **kwargs):
    return bp.Tensor(np.array(x, float), requires_grad=True, **kwargs)


def nested(f):
    inner = bp.checkpoint(f)
    return bp.checkpoint(lambda x: inner(x * 1.0) + 0.0)


def in_pieces(f):
    """Checkpoints one after the other, and one that hands on what it closes over."""

    def whole(x):
        y = bp.checkpoint(lambda v: v * np.cos(v))(x)
        return bp.checkpoint(lambda: f(x) * np.sum(y))()

    whole.plain = lambda x: f(x) * np.sum(x * np.cos(x))
    return whole


def with_writes(x):
    buffer = bp.zeros(4)
    buffer[:3] = np.sin(x)
    buffer[3] = buffer[0] * x[1]
    row = buffer[1:3]
    row *= x[2]
    buffer += 1.0
    return np.sum(buffer**2 * buffer[::-1])


FUNCTIONS = {
    "smooth": lambda x: np.sum(np.tanh(A @ x) * np.exp(A @ (x * x))),
    "with writes": with_writes,
    "selecting": lambda x: np.sum(np.where(x > 0, np.sqrt(np.abs(x)), x**2) * x),
    "with a transform inside": lambda x: np.sum(bp.grad(lambda v: np.sum(np.sin(v * x) * v))(x) ** 2),
}
WAYS = {"checkpoint": bp.checkpoint, "nested": nested, "in pieces": in_pieces}


@pytest.fixture(params=FUNCTIONS)
def f(request):
    return FUNCTIONS[request.param]


@pytest.fixture(params=WAYS)
def pair(request, f):
    """(f checkpointed in some way, the same function as it is)."""
    way = WAYS[request.param](f)
    return way, getattr(way, "plain", f)


def test_value_and_gradient(pair):
    g, f = pair
    assert g(X) == f(X)
    np.testing.assert_allclose(bp.grad(g)(X), bp.grad(f)(X), rtol=1e-13)
    x = leaf(X)
    g(x).backward()
    np.testing.assert_allclose(x.grad, bp.grad(f)(X), rtol=1e-13)
    assert bp.gradcheck(f, X, order=2)


def test_higher_orders_and_forward_mode(pair):
    g, f = pair
    v = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(bp.hvp(g, X, v), bp.hvp(f, X, v), rtol=1e-11)
    np.testing.assert_allclose(bp.hessian(g)(X), bp.hessian(f)(X), rtol=1e-11)
    np.testing.assert_allclose(bp.jvp(g, (X,), (v,))[1], bp.jvp(f, (X,), (v,))[1], rtol=1e-12)
    along = lambda h: lambda x: bp.jvp(h, (x,), (v,))[1]
    np.testing.assert_allclose(bp.jvp(along(g), (X,), (v,))[1], bp.jvp(along(f), (X,), (v,))[1], rtol=1e-11)


def test_a_gradient_penalty_through_parameters_closed_over():
    def penalty(wrap):
        w = leaf([[0.5, -1.0, 2.0]])
        g = bp.grad(wrap(lambda x: np.sum(np.tanh(w @ x) ** 2)))(bp.Tensor(X))
        np.sum(g * g).backward()
        return w.grad

    np.testing.assert_allclose(penalty(bp.checkpoint), penalty(lambda f: f), rtol=1e-12)


def test_closed_over_tensors_get_their_gradients():
    w, b, x = leaf(2.0, name="w"), leaf([1.0, 3.0]), leaf([0.5, -1.0])
    middle = b * w  # a recorded value that is no leaf
    np.sum(bp.checkpoint(lambda x: np.sin(x * w) + middle)(x)).backward()
    np.testing.assert_allclose(x.grad, 2.0 * np.cos(2.0 * x.data))
    np.testing.assert_allclose(b.grad, [2.0, 2.0])
    np.testing.assert_allclose(w.grad, np.sum(x.data * np.cos(2.0 * x.data)) + 4.0)


def test_a_module():
    x = np.linspace(-1, 1, 6).reshape(2, 3)
    gradients = []
    for wrap in (lambda f: f, bp.checkpoint):
        net = bp.nn.MLP([3, 4, 2], rng=np.random.default_rng(0), dtype=np.float64)
        np.sum(wrap(net)(x) ** 2).backward()
        np.sum(wrap(lambda net, x: np.tanh(net(x)))(net, x)).backward()
        gradients.append([p.grad for p in net.parameters()])
    for plain, checkpointed in zip(*gradients):
        np.testing.assert_allclose(checkpointed, plain, rtol=1e-12)


def test_containers_keywords_constants_and_unused_outputs():
    @bp.checkpoint
    def f(pair, *, scale):
        a, b = pair["a"], pair["b"]
        return {"sum": (a + b) * scale, "parts": [a * b, (a, "text")], "constant": np.ones(2), "none": None}

    a, b = leaf([1.0, 2.0]), leaf(5.0)
    out = f({"a": a, "b": b}, scale=3.0)
    assert f.__name__ == "f"
    assert type(out["constant"]) is np.ndarray
    assert (out["parts"][1][1], out["none"]) == ("text", None)
    np.sum(out["sum"] * out["parts"][1][0]).backward()  # a · 3(a + b); a · b is not used
    np.testing.assert_allclose(a.grad, 3 * (2 * a.data + 5))
    np.testing.assert_allclose(b.grad, 3 * 3.0)


def test_what_f_merely_hands_on():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    same, view, other = bp.checkpoint(lambda x: (x, x[::-1], w))(x)
    np.sum(same * view * other).backward()
    np.testing.assert_allclose(x.grad, [2 * 7, 1 * 7])
    np.testing.assert_allclose(w.grad, [2, 2])
    for y in (same, view, other):
        assert not np.shares_memory(y.data, x.data), "a write into a result must not reach the argument"
        assert not np.shares_memory(y.data, w.data)


def test_no_grad_and_plain_arguments():
    f = bp.checkpoint(lambda x: np.sin(x) * 2)
    assert type(f(X)) is np.ndarray
    with bp.no_grad():
        assert not f(leaf(X)).requires_grad
    y = bp.checkpoint(lambda x: np.sum(x**2))(x := leaf(X))
    with bp.no_grad():  # the second run records all the same
        y.backward()
    np.testing.assert_allclose(x.grad, 2 * X)


def test_no_grad_inside():
    def f(x):
        with bp.no_grad():
            size = np.sqrt(np.sum(x * x))
        return np.sum(x / size)

    np.testing.assert_allclose(bp.grad(bp.checkpoint(f))(X), 1 / np.linalg.norm(X) * np.ones(3))


def test_backward_twice():
    x = leaf(2.0)
    y = bp.checkpoint(lambda x: x**3)(x)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad == 24.0
    with pytest.raises(bp.FreedGraph):
        y.backward()


def test_later_writes_into_arguments_do_no_harm():
    x = leaf([1.0, 2.0])
    h = x * 3
    y = np.sum(bp.checkpoint(lambda h: h**2)(h))
    h += 100.0
    y.backward()
    np.testing.assert_allclose(x.grad, 18 * x.data)


def test_a_view_that_went_stale_as_argument():
    x = leaf([1.0, 2.0, 3.0])
    h = x * 1
    view = h[1:]
    h[1] = x[0] * 5
    np.sum(bp.checkpoint(lambda v: v**2)(view)).backward()
    np.testing.assert_allclose(x.grad, [50.0, 0.0, 6.0])


def test_invalid_values_do_not_disturb_the_sweep_outside():
    x = leaf([0.0, 4.0])
    y = bp.checkpoint(lambda x: np.where(x > 0, np.sqrt(x), 0.0))(x)
    np.sum(y).backward()
    np.testing.assert_allclose(x.grad, [0.0, 0.25])


def test_what_f_leaves_out_has_no_gradient_nan_and_all():
    x = leaf([-1.0, 4.0])
    with np.errstate(invalid="ignore"):
        h = np.sqrt(x)
        y = bp.checkpoint(lambda h: np.where(np.log(h.data) > 0, h, 0.0))(h)  # invalid here, too
    np.sum(y).backward()  # no warning, though it runs f again
    np.testing.assert_allclose(x.grad, [0.0, 0.25])


def test_tensors_that_leak_from_the_second_run_are_of_a_freed_graph():
    leaked = []

    def f(x):
        leaked.append(x * 2)
        return x * 3, leaked[-1]

    x = leaf([1.0])
    np.sum(bp.checkpoint(f)(x)[0]).backward()
    np.testing.assert_allclose(x.grad, [3.0])
    leaked[0].backward()  # that of the first run is as good as any
    np.testing.assert_allclose(x.grad, [5.0])
    with pytest.raises(bp.FreedGraph):
        leaked[1].backward()


def test_observed_runs_see_everything():
    x = leaf(0.5)
    with bp.observe() as run:
        bp.checkpoint(lambda x: np.sin(np.cos(x)))(x).backward()
    assert [seen.op for seen in run] == ["cos", "sin"]
    y = bp.checkpoint(np.sin)(x * 1)
    with bp.observe() as run:
        y.backward()
    assert len(run) == 0


# ---- what cannot be right is an error --------------------------------------------------------------


def test_another_value_is_an_error():
    rng = np.random.default_rng(0)
    y = bp.checkpoint(lambda x: x * rng.random(3))(leaf(X))
    with pytest.raises(
        RuntimeError, match=r"another value when .*; expected the same numbers; draw random"
    ) as e:
        np.sum(y).backward()
    assert "raised in the backward pass through checkpoint" in e.value.__notes__


def test_another_shape_is_an_error():
    lengths = iter([2, 3])
    y = bp.checkpoint(lambda x: x[: next(lengths)] * 2)(leaf(X))
    with pytest.raises(RuntimeError, match=r"expected outputs of shapes \[\(2,\)\], got \[\(3,\)\]"):
        np.sum(y).backward()


def test_an_updated_parameter_is_an_error():
    w = leaf(X)
    y = np.sum(bp.checkpoint(lambda x: x * w)(2.0))
    with bp.no_grad():
        w -= 0.1
    with pytest.raises(RuntimeError, match="change no parameter"):
        y.backward()


def by_a_parameter_that_changes(wrap, x):
    w = leaf([2.0, 3.0, 4.0])
    yield wrap(lambda x: x * w)(x)
    with bp.no_grad():
        w *= 10.0


def by_random_numbers(wrap, x):
    rng = np.random.default_rng(0)
    yield wrap(lambda x: x * rng.integers(0, 10, 3))(x)


def by_a_count(wrap, x):
    calls = []

    def f(x):
        calls.append(x)
        return x * 2.0 if len(calls) == 1 else x * 3.0

    yield wrap(f)(x)


def by_another_function(wrap, x):
    functions = [np.sin, np.sinh, np.tan]
    yield wrap(lambda x: functions.pop(0)(x))(x)


def by_another_index(wrap, x):
    order = np.array([0, 1, 2])
    yield wrap(lambda x: x[order.copy()] * np.array([1.0, 2.0, 3.0]))(x)
    order[:] = [1, 2, 0]


def by_another_operand(wrap, x):
    pair = [leaf(X), leaf(X)]

    def f(x):
        pair.reverse()
        return x * pair[0] + (pair[1] - pair[0]) * 0.0

    yield wrap(f)(x)


def by_a_buffer_that_counts(wrap, x):
    buffer = np.ones(3)

    def f(x):
        buffer[...] += 1.0
        return x * buffer.copy()

    yield wrap(f)(x)


def by_a_tensor_that_counts(wrap, x):
    mean = bp.zeros(3)

    def f(x):
        mean[...] = mean * 0.5 + 1.0
        return x * mean

    yield wrap(f)(x)


HIDDEN = [
    by_a_parameter_that_changes, by_random_numbers, by_a_count, by_another_function, by_another_index,
    by_another_operand, by_a_buffer_that_counts, by_a_tensor_that_counts,
]  # fmt: skip


@pytest.mark.parametrize("run", HIDDEN)
@pytest.mark.parametrize("wrap", [bp.checkpoint, nested], ids=["plain", "nested"])
def test_the_same_value_by_other_numbers_is_an_error(run, wrap):
    """All is 0, so the values of both runs agree: what tells them apart is what their derivatives need."""
    x = leaf(np.zeros(3))
    *_, y = list(run(wrap, x))
    with pytest.raises(
        RuntimeError, match="came to its value by other numbers when the backward pass ran it"
    ):
        np.sum(y).backward()
    assert x.grad is None


@pytest.mark.parametrize("run", HIDDEN[1:])
def test_the_same_value_by_other_numbers_is_an_error_in_a_transform(run):
    def f(x):
        *_, y = list(run(bp.checkpoint, x))
        return np.sum(y)

    with pytest.raises(RuntimeError, match="by other numbers"):
        bp.grad(f)(np.zeros(3))


class Way(enum.Enum):
    ONE, TWO = 1.0, 2.0


@pytest.mark.parametrize("pair", [(Way.ONE, Way.TWO), (range(2), range(3)), (Fraction(1, 2), Fraction(1, 3))])
def test_another_keyword_is_an_error(pair):
    """Of whatever class it is: what a rule makes of it, nobody knows."""
    scaled = bp.primitive(lambda x, how: x * 0.0)
    scaled.defvjp(
        lambda g, _y, _x, how: g * float(len(how) if type(how) is range else getattr(how, "value", how))
    )
    ways = [*pair, pair[1]]
    x = leaf(X)
    y = np.sum(bp.checkpoint(lambda x: scaled(x, how=ways.pop(0)))(x))
    with pytest.raises(RuntimeError, match="by other numbers"):
        y.backward()
    np.sum(bp.checkpoint(lambda x: scaled(x, how=ways[0]))(x)).backward()  # the same twice
    assert x.grad is not None


def test_an_object_that_does_not_tell_its_contents_is_known_by_its_class():
    scaled = bp.primitive(lambda x, how: x * 2.0)
    scaled.defvjp(lambda g, _y, _x, how: g * how())
    x = leaf(X)
    np.sum(bp.checkpoint(lambda x: scaled(x, how=lambda: 2.0))(x)).backward()  # two functions, at two places
    np.testing.assert_array_equal(x.grad, np.full(3, 2.0))


def changes_of(a):
    """Arrays that differ from a by one number, by signs, by order."""
    one = a.copy()
    one.flat[a.size // 3] *= 1 + np.finfo(a.dtype).eps
    flips = a.copy()
    flips[:2] *= -1.0
    return {
        "one": one,
        "signs": -a,
        "some signs": flips,
        "scale": 2 * a,
        "order": a[::-1],
        "turned": np.roll(a, 1),
    }


@pytest.mark.parametrize("width", [200, 254, 255, 256, 257, 510, 512])
@pytest.mark.parametrize("dtype", ["f4", "f8", bool])
def test_permutations_and_signs_of_some_columns_are_told_apart(width, dtype):
    """What leaves the sums of all rows and columns as they were."""
    one = np.eye(width, dtype=dtype)
    orders = [np.random.default_rng(seed).permutation(width) for seed in range(4)]
    seen = [_bits(one)] + [_bits(one[order]) for order in orders]
    if dtype is not bool:
        ones = np.ones((width // 2 * 2, width), dtype)
        seen += [_bits(ones), _bits(np.where(np.arange(width) < 2, -ones, ones))]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c16", "g"])
@pytest.mark.parametrize("shape", [(5,), (16_384,), (128, 255), (300, 301)])
def test_changed_arrays_are_told_apart(shape, dtype):
    a = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    seen = {name: _bits(b) for name, b in changes_of(a).items()} | {"itself": _bits(a)}
    assert len(set(seen.values())) == len(seen)
    assert _bits(a.copy()) == _bits(a)
    wide = np.zeros((*shape[:-1], 2 * shape[-1]), dtype)
    wide[..., ::2] = a
    assert _bits(wide[..., ::2]) == _bits(a), "where it lies is nothing to it"


def test_tensors_kept_from_the_first_call_are_an_error():
    kept = []

    def f(x):
        if not kept:
            kept.append(x * 2)
        return kept[0] * x

    y = bp.checkpoint(f)(leaf(3.0))
    with pytest.raises(RuntimeError, match="keep no Tensors from one call to the next"):
        y.backward()


def test_a_leaf_made_inside_is_an_error():
    with pytest.raises(TypeError, match=r"made a Tensor that requires gradients .*; make it outside"):
        bp.checkpoint(lambda x: x * bp.Tensor(2.0, requires_grad=True))(leaf(3.0))


@pytest.mark.parametrize("make", [lambda: leaf(X) * 1, lambda: bp.Tensor(X.copy())])
def test_a_write_into_an_argument_is_an_error(make):
    def f(x):
        x[1:] += 1.0
        return x * 2

    h = make()
    with pytest.raises(TypeError, match=r"f wrote into its argument under bp.checkpoint; write into a copy"):
        bp.checkpoint(f)(h)
    np.testing.assert_array_equal(h.data, X)


def test_an_exception_leaves_the_surroundings_as_they_were():
    before = bp.graph.AMBIENT.get()

    def fail(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        bp.checkpoint(fail)(leaf(1.0))
    assert bp.graph.AMBIENT.get() is before


# ---- memory ----------------------------------------------------------------------------------------


def peak(work):
    """Bytes that `work` needs at most, beyond what was there before."""
    gc.collect()
    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - start
    finally:
        tracemalloc.stop()


def chain(x, n, segment=None):
    def some(x, count):
        for _ in range(count):
            x = np.tanh(x)
        return x

    if segment is None:
        return some(x, n)
    run = bp.checkpoint(lambda x: some(x, segment))
    for _ in range(n // segment):
        x = run(x)
    return x


def test_memory_grows_with_the_root_of_the_depth():
    n, x = 400, leaf(np.linspace(-1, 1, 10_000))
    root = math.isqrt(n)
    gradients, peaks = [], []
    for segment in (None, root):
        peaks.append(peak(lambda segment=segment: np.sum(chain(x, n, segment)).backward()))
        gradients.append(x.grad)
        x.zero_grad()
    np.testing.assert_array_equal(*gradients)
    plain, checkpointed = (p / x.data.nbytes for p in peaks)
    assert plain > 0.9 * n, "the plain chain keeps every layer"
    assert checkpointed < 3 * root, "√n inputs and the √n values of one segment"


def test_nesting_needs_less_still():
    n, x = 512, leaf(np.linspace(-1, 1, 10_000))
    eight = bp.checkpoint(lambda x: chain(x, 8))
    sixty_four = bp.checkpoint(lambda x: eight(eight(eight(eight(eight(eight(eight(eight(x)))))))))

    def work():
        y = x
        for _ in range(8):
            y = sixty_four(y)
        np.sum(y).backward()

    deep = peak(work) / x.data.nbytes
    np.testing.assert_array_equal(x.grad, bp.grad(lambda x: np.sum(chain(x, n)))(x.data))
    assert deep < 40, "three times 8 values, and little more"


def test_nothing_is_left_without_the_collector():
    w = leaf(X)
    count = lambda: sum(type(o) in (Node, bp.Tensor) for o in gc.get_objects())

    def step():
        np.sum(bp.checkpoint(lambda x: np.tanh(x * w))(bp.Tensor(X))).backward()
        bp.hvp(bp.checkpoint(lambda x: np.sum(np.sin(x) * x)), X, X)
        bp.checkpoint(lambda x: x * w)(w)  # never differentiated

    gc.collect()
    gc.disable()
    try:
        step()
        before = count()
        for _ in range(20):
            step()
        assert count() == before
    finally:
        gc.enable()
