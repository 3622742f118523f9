"""What a compiled step sees and what it refuses: state, flags, shapes, Python's own decisions."""

import gc
import itertools
import threading

import numpy as np
import pytest

import tinygrad_bp as bp
from tests.compiler.steps import training
from tinygrad_bp.compiler.guards import MISSED
from tinygrad_bp.compiler.jit import TRACES
from tinygrad_bp.compiler.tracer import Tracer, Untraceable
from tinygrad_bp.nn import functional as F

X = np.linspace(-1.0, 1.0, 12).reshape(4, 3)
Y = np.linspace(0.1, 0.9, 8).reshape(4, 2)


def leaf(value):
    return bp.Tensor(np.array(value, dtype=float), requires_grad=True)


def a_net(**settings):
    net = bp.nn.MLP([3, 4, 2], "tanh", rng=0, dtype=np.float64)
    optimizer = bp.optim.SGD(net.parameters(), lr=0.1, **settings)
    return net, optimizer, bp.compile(training(net, optimizer))


def repeat(step, times, *args):
    for _ in range(times):
        y = step(*args)
    return y


# ---- what can be compiled ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "transform",
    [bp.grad, bp.value_and_grad, bp.elementwise_grad, bp.jacobian, bp.hessian],
    ids=lambda transform: transform.__name__,
)
def test_transforms(transform):
    def f(x):
        y = np.tanh(x) * x**2
        return y if transform in (bp.elementwise_grad, bp.jacobian) else np.sum(y)

    compiled = bp.compile(transform(f))
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=4)
        found, expected = bp.tree.leaves(compiled(x)), bp.tree.leaves(transform(f)(x))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    assert compiled.stats["replays"] == 3


def test_a_hessian_vector_product_and_a_module_as_argument():
    net = bp.nn.MLP([3, 4, 2], "tanh", rng=0, dtype=np.float64)

    def loss(net, x, y):
        return F.mse_loss(net(x), y)

    compiled = bp.compile(lambda net, x, y: bp.hvp(lambda n: loss(n, x, y), (net,), (net,)))
    with bp.no_grad():
        expected = bp.hvp(lambda n: loss(n, X, Y), (net,), (net,))
        found = repeat(compiled, 4, net, X, Y)
    assert compiled.stats["replays"] == 2
    for a, b in zip(bp.tree.leaves(found), bp.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_second_derivative_through_concatenate():
    """Whose pieces' gradients are put back by a `scatter` with keywords."""
    f = lambda x: np.sum(np.concatenate([x[:2], np.sin(x[2:])]) ** 2)
    compiled = bp.compile(lambda x: bp.hvp(f, x, np.cos(x)))
    for _ in range(4):
        np.testing.assert_allclose(compiled(X), bp.hvp(f, X, np.cos(X)), rtol=1e-14)
    assert compiled.stats["replays"] == 2


@pytest.mark.parametrize("x", [np.float64(1.5), np.array(1.5), np.array([1.5, 2.5])])
def test_astype_of_what_may_be_a_number(x):
    def step(x):
        return np.sin(x * 1).astype(np.float32) * 2

    compiled = bp.compile(step)
    for _ in range(4):
        np.testing.assert_array_equal(compiled(x), step(x), strict=True)
    assert compiled.stats["replays"] == 2
    names: dict = {}
    exec(compiled.source(), names)
    np.testing.assert_array_equal(names["step"](x), step(x), strict=True)


def test_containers_keywords_and_several_results():
    @bp.compile
    def step(batch, *, scale):
        total = batch["x"] * scale + batch["y"][0]
        return {"total": total, "parts": (np.sum(total), "a word")}

    batch = {"x": X, "y": [X + 1]}
    y = [step(batch, scale=2.0) for _ in range(4)][-1]
    total = X * 2 + (X + 1)
    np.testing.assert_array_equal(y["total"], total)
    assert y["parts"] == (np.sum(total), "a word")
    assert step.stats["replays"] == 2


def test_arrays_in_containers_are_asked_for_quickly_and_so_is_how_these_are_built():
    run = bp.compile(lambda p, rest: p["w"] * rest[0][0] + p["b"] * rest[1])
    args = {"w": X, "b": X[0]}, [(X + 1,), X[1]]
    expected = repeat(run, 3, *args)
    np.testing.assert_array_equal(run._quick(args), expected)
    p, rest = args
    for other in (
        ({"b": X[0], "w": X}, rest), ({"w": X, "b": X[0], "c": X}, rest), (p, tuple(rest)), (p, [[X + 1], X[1]]),
        (p, [*rest, X]), (p, [(X + 1,), X[1].astype(np.float32)]), (p, [(X + 1,), bp.tensor(X[1])]), (p, X), (p,),
        (p, (part for part in rest)),
    ):  # fmt: skip
        assert run._quick(other) is MISSED
    assert next(other[1]) is rest[0], "what is not asked for is not taken"
    np.testing.assert_array_equal(run({"b": X[0], "w": X}, tuple(rest)), expected)


def test_tensors_in_containers_are_no_arrays():
    double, t = bp.compile(lambda p: p["w"] * 2), bp.tensor(X)
    for w in (X, t, X, t):
        assert type(repeat(double, 4, {"w": w})) is type(w)


def test_gradient_clipping_and_a_read_gradient():
    results = []
    for make in (lambda f: f, bp.compile):
        p = leaf([1.0, 2.0, 3.0])
        optimizer = bp.optim.SGD([p], lr=0.1)

        def step(x, p=p, optimizer=optimizer):
            optimizer.zero_grad()
            loss = np.sum(np.exp(p * x))
            loss.backward()
            norm = np.sqrt(np.sum(p.grad**2))
            p.grad = p.grad * np.minimum(1.0, 1.0 / norm)
            optimizer.step()
            return norm

        run = make(step)
        results.append([float(run(np.arange(3.0))) for _ in range(6)] + p.data.tolist())
    np.testing.assert_allclose(results[1], results[0], rtol=1e-13)


def test_gradients_that_accumulate_over_calls_are_state():
    p = leaf([1.0, 2.0])

    @bp.compile
    def step(x):
        np.sum(p * x).backward()

    for _ in range(6):
        step(np.array([1.0, 10.0]))
    assert step.stats["replays"] == 3
    np.testing.assert_array_equal(p.grad, [6.0, 60.0])


def test_dropout_draws_as_eager_calls_do():
    nets = [
        bp.nn.Sequential(bp.nn.Linear(3, 5, rng=0, dtype=float), bp.nn.Dropout(0.4, rng=7)) for _ in range(2)
    ]
    compiled = bp.compile(lambda x: nets[1](x))
    for _ in range(6):
        np.testing.assert_array_equal(compiled(X).data, nets[0](X).data)
    assert compiled.stats["replays"] == 4
    nets[1].eval()
    assert np.all(repeat(compiled, 3, X).data == nets[1][0](X).data)


# ---- state ---------------------------------------------------------------------------------------------------


def test_a_new_learning_rate_is_seen_without_a_new_trace():
    net, optimizer, step = a_net()
    repeat(step, 4, X, Y)
    traces = step.stats["traces"]
    before = net.layers[0].weight.data.copy()
    optimizer.lr = 0.0
    step(X, Y)
    np.testing.assert_array_equal(net.layers[0].weight.data, before)
    assert step.stats["traces"] == traces


def test_loaded_and_replaced_parameters_are_seen():
    net, _, step = a_net()
    start = {name: value.copy() for name, value in net.state_dict().items()}
    first = step(X, Y).item()
    repeat(step, 5, X, Y)
    net.load_state_dict(start)
    assert step(X, Y).item() == pytest.approx(first, rel=1e-12)
    for name, p in net.named_parameters():
        p.data = start[name].copy()
    assert step(X, Y).item() == pytest.approx(first, rel=1e-12)
    for name, p in net.named_parameters():
        p.data[...] = start[name]
    assert step(X, Y).item() == pytest.approx(first, rel=1e-12)


def test_a_changed_setting_is_traced_anew():
    _net, optimizer, step = a_net(momentum=0.9)
    twin = bp.nn.MLP([3, 4, 2], "tanh", rng=0, dtype=np.float64)
    other = bp.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    eager = training(twin, other)
    for momentum in (0.9, 0.5, 0.0):
        optimizer.momentum = other.momentum = momentum
        for _ in range(5):
            np.testing.assert_allclose(step(X, Y).data, eager(X, Y).data, rtol=1e-12)


def test_train_and_eval():
    class Twice(bp.nn.Module):
        def forward(self, x):
            return x * 2 if self.training else x

    net = Twice()
    step = bp.compile(lambda x: net(x))
    np.testing.assert_array_equal(repeat(step, 3, X), X * 2)
    net.eval()
    np.testing.assert_array_equal(repeat(step, 3, X), X)
    net.train()
    np.testing.assert_array_equal(repeat(step, 3, X), X * 2)


def test_captured_arrays_stay_live():
    table = {"scale": np.array([1.0, 2.0, 3.0])}
    shift = np.array(5.0)
    step = bp.compile(lambda x: x * table["scale"] + shift)
    repeat(step, 4, X)
    table["scale"] = np.array([3.0, 2.0, 1.0])
    shift[...] = 7.0
    np.testing.assert_array_equal(step(X), X * [3.0, 2.0, 1.0] + 7.0)


def test_a_graph_that_was_kept_keeps_its_values():
    net, _, step = a_net()
    repeat(step, 4, X, Y)
    p = net.layers[0].weight
    old = p.data.copy()
    kept = np.sum(p * p)
    repeat(step, 2, X, Y)
    assert not np.array_equal(p.data, old)
    p.grad = None
    kept.backward()
    np.testing.assert_array_equal(p.grad, 2 * old)


def test_an_array_of_the_users_is_written_as_eagerly():
    net, _, step = a_net()
    raw = net.layers[0].weight.data
    repeat(step, 6, X, Y)
    np.testing.assert_array_equal(raw, net.layers[0].weight.data)
    assert np.shares_memory(raw, net.layers[0].weight.data)


def test_results_are_copies():
    step = bp.compile(lambda x: (x * 2, x))
    kept = repeat(step, 4, X)
    step(X + 1)
    np.testing.assert_array_equal(kept[0], X * 2)
    assert not np.shares_memory(kept[1], X)


def test_new_shapes_and_dtypes():
    _net, _, step = a_net()
    for n in (4, 2, 4, 1):
        assert np.isfinite(repeat(step, 4, X[:n], Y[:n]).data)
    with pytest.raises(TypeError, match="batch of the wrong dtype"):
        step(X.astype(np.longdouble), Y)
    square = bp.compile(lambda x: x * x)
    for dtype in (np.float32, np.float64, np.int64, np.complex128):
        assert repeat(square, 3, X.astype(dtype)).dtype == dtype


def test_an_error_leaves_everything_as_it_was():
    net, optimizer, _ = a_net()

    @bp.compile
    def step(x, y):
        optimizer.zero_grad()
        F.mse_loss(net(x), y).backward()
        optimizer.step()
        return net(x) @ x

    before = [p.data.copy() for p in net.parameters()]
    with pytest.raises(ValueError, match="matmul"):
        step(X, Y)
    for p, old in zip(net.parameters(), before):
        assert type(p.data) is np.ndarray
        np.testing.assert_array_equal(p.data, old)


def test_no_tracer_is_left():
    _net, _, step = a_net(momentum=0.9)
    y = repeat(step, 6, X, Y)
    assert type(y.data) is np.float64
    gc.collect()
    assert not [x for x in gc.get_objects() if type(x) is Tracer]


def test_where_an_invalid_value_is_masked_the_call_is_eager():
    def f(x):
        return bp.grad(lambda x: np.sum(x * np.log(x) * (x > 0)))(x)

    step = bp.compile(f)
    repeat(step, 4, np.array([1.0, 2.0]))
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(step(np.array([0.0, 2.0])), f(np.array([0.0, 2.0])))
    assert step.stats["eager"] == 1


# ---- what cannot be compiled -----------------------------------------------------------------------------------


def branch(x):
    return x if np.sum(x) > 0 else -x


def number(x):
    return np.sum(x).item()


def plain_array(x):
    return np.array([x, x])


def truth(x):
    return x if np.array_equal(x, x) else -x


REFUSED = {
    branch: "control flow",
    number: "a Python number",
    plain_array: "plain array",
    truth: "Python bool",
}


@pytest.mark.parametrize("step", REFUSED, ids=lambda step: step.__name__)
def test_what_python_decides_is_refused_with_the_users_line(step):
    with pytest.raises(Untraceable, match=REFUSED[step]) as caught:
        bp.compile(step)(X)
    assert __file__ in str(caught.value)


def root_and_view(t, v):
    def step(x):
        t[0] = x
        return v * 1.0

    return step


def two_views(t, v):
    w = t[1:3]

    def step(x):
        v[1] = x
        w[0] += x
        return v + w

    return step


@pytest.mark.parametrize("make", [root_and_view, two_views], ids=lambda make: make.__name__)
def test_a_write_to_memory_that_two_tensors_of_the_state_share_is_refused(make):
    """Both would be told apart, and one of them not see the write."""
    t = bp.zeros(4)
    step = make(t, t[:2])
    with pytest.raises(Untraceable, match="holds in two places"):
        bp.compile(step)(np.float64(3.0))
    np.testing.assert_array_equal(t.data, 0)  # nothing is half written
    again = bp.zeros(4)
    eager, run = make(again, again[:2]), bp.compile(step, fallback=True)
    with pytest.warns(UserWarning, match="runs eagerly"):
        values = [run(np.float64(n)).data for n in range(4)]
    np.testing.assert_array_equal(values, [eager(np.float64(n)).data for n in range(4)])


def test_an_array_that_is_also_a_tensors_memory_is_not_told_apart_from_it():
    array = np.ones(3)
    parameter = bp.Tensor(array, requires_grad=True)
    sgd = bp.optim.SGD([parameter], lr=0.5)

    @bp.compile
    def step(x):
        sgd.zero_grad()
        np.sum(parameter * x).backward()
        sgd.step()
        return array * 1.0

    with pytest.raises(Untraceable, match="holds in two places: array, "):
        step(np.float64(2.0))
    np.testing.assert_array_equal(array, 1.0)


@pytest.mark.parametrize("view", [lambda t: t.detach(), lambda t: t[1:], lambda t: t.T[::-1]])
def test_a_view_that_the_step_takes_of_a_parameter_sees_its_update(view):
    parameter = bp.Tensor(np.ones(3), requires_grad=True)
    sgd = bp.optim.SGD([parameter], lr=0.5)

    @bp.compile
    def step(x):
        with bp.no_grad():
            seen = view(parameter)
        sgd.zero_grad()
        np.sum(parameter * parameter * x).backward()
        sgd.step()
        return seen * 1.0

    for n in range(5):
        expected = parameter.data[0] * (1 - n)
        np.testing.assert_array_equal(step(np.float64(n)).data, expected)
        assert parameter.data[0] == expected
    assert step.stats["replays"] > 0


def test_an_update_written_by_hand():
    def descent():
        w, b = bp.Tensor(np.ones((2, 3)), requires_grad=True), bp.Tensor(np.zeros(2), requires_grad=True)

        def step(x):
            loss = np.sum(np.square(x @ w.T + b))
            loss.backward()
            with bp.no_grad():
                for p in (w, b):
                    p -= 0.001 * p.grad
                    p.zero_grad()
                w[0, 0] = 0.5
                np.clip(w, 0.3, 0.9, out=w)
            return loss

        return step, w

    (eager, w), (step, v) = descent(), descent()
    run, x = bp.compile(step), np.arange(6.0).reshape(2, 3)
    for _ in range(6):
        assert run(x).item() == pytest.approx(eager(x).item(), rel=1e-14)
    np.testing.assert_allclose(v.data, w.data, rtol=1e-14)
    assert run.stats["replays"] > 0


def test_views_of_the_state_that_the_step_does_not_hold_see_its_writes():
    parameter, buffer = bp.Tensor(np.ones(3), requires_grad=True), bp.zeros(4)
    seen, part, sgd = parameter.detach(), buffer[1:3], bp.optim.SGD([parameter], lr=0.5)

    @bp.compile
    def step(x):
        sgd.zero_grad()
        np.sum(parameter * parameter * x).backward()
        sgd.step()
        part[0] = x
        return parameter * 1.0

    for n in range(5):
        expected = parameter.data * (1.0 - n)
        np.testing.assert_array_equal(step(np.float64(n)).data, expected)
        np.testing.assert_array_equal(seen.data, expected)
        np.testing.assert_array_equal(buffer.data, [0, n, 0, 0])
    assert step.stats["replays"] > 0
    parameter.data[...] = 7.0
    np.testing.assert_array_equal(seen.data, 7.0)
    buffer[1] = 9.0  # the family is whole again
    np.testing.assert_array_equal(part.data, [9.0, 0.0])


@pytest.mark.parametrize("step", [branch, number], ids=lambda step: step.__name__)
def test_fallback_runs_eagerly_with_one_warning(step):
    run = bp.compile(step, fallback=True)
    with pytest.warns(UserWarning, match="runs eagerly"):
        y = run(X)
    np.testing.assert_array_equal(y, step(X))
    np.testing.assert_array_equal(run(X), step(X))
    assert run.stats["eager"] == 2


def fresh_array():
    rng = np.random.default_rng(0)
    return lambda x: x + rng.normal(size=3)


def counter():
    count = [0]

    def step(x):
        count[0] += 1
        return x * count[0]

    return step


def history():
    losses = []

    def step(x):
        losses.append(1.0)
        return x * 2

    return step


UNSTABLE = {fresh_array: r"add\(\w+, array\(3,\)\)", counter: r"count\[0\] was", history: "a list of"}


@pytest.mark.parametrize("make", UNSTABLE, ids=lambda make: make.__name__)
def test_what_a_trace_would_freeze_is_an_error_that_names_it(make):
    step = bp.compile(make())
    with pytest.raises(Untraceable, match=UNSTABLE[make]):
        repeat(step, 4, X)


def test_check_finds_a_program_that_is_not_the_step():
    def wrong(program):
        calls = [
            c if c.function is not np.multiply else type(c)(np.add, c.args, c.kwargs, c.outs)
            for c in program.calls
        ]
        return type(program)(
            program.inputs, program.state, calls, program.results, program.writes, program.count
        )

    good, bad = (bp.compile(lambda x: x * 3.0, check=True, passes=passes) for passes in ((), (wrong,)))
    np.testing.assert_array_equal(repeat(good, 4, X), X * 3)
    repeat(bad, 2, X)
    with pytest.raises(RuntimeError, match="came to another value of result 0"):
        bad(X)


def test_check_leaves_the_state_of_one_step():
    results = []
    for check in (False, True):
        net, optimizer, _ = a_net(momentum=0.9)
        step = bp.compile(training(net, optimizer), check=check)
        results.append([repeat(step, 6, X, Y).item(), *net.layers[0].bias.data])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-12)


def test_running_statistics_are_state_in_every_spelling():
    class Norm(bp.nn.Module):
        def __init__(self):
            self.mean, self.last, self.count = bp.zeros(3), bp.zeros(4), np.zeros(())

        def forward(self, x):
            with bp.no_grad():
                self.mean = self.mean * 0.9 + 0.1 * np.mean(x, axis=0)
                self.count = self.count + 1
                self.last[1] = np.sum(x)
                self.last[2:] += 1.0
            return x - self.mean

    nets = Norm(), Norm()
    step = bp.compile(lambda x: nets[1](x))
    for seed in range(6):
        x = np.random.default_rng(seed).normal(size=(5, 3))
        np.testing.assert_array_equal(step(x).data, nets[0](x).data)
    assert step.stats["replays"] == 4
    for name in ("mean", "last"):
        np.testing.assert_allclose(getattr(nets[1], name).data, getattr(nets[0], name).data, rtol=1e-14)
    assert nets[1].count == 6.0


def another_layer(net):
    net.layers[1] = bp.nn.Linear(4, 2, rng=5, dtype=np.float64)


def another_weight(net):
    net.layers[1].weight = bp.Tensor(np.ones((2, 4)), requires_grad=True)


def no_bias(net):
    net.layers[1].bias = None


def another_activation(net):
    net.activations[0] = np.sin


def another_array(net):
    net.layers[1].weight.data = np.ones((2, 4))


def other_numbers(net):
    net.layers[1].weight.data[...] = 2.0


@pytest.mark.parametrize(
    "change", [another_layer, another_weight, no_bias, another_activation, another_array, other_numbers]
)
def test_what_is_replaced_between_calls_is_seen(change):
    nets = [bp.nn.MLP([3, 4, 2], "tanh", rng=0, dtype=np.float64) for _ in range(2)]
    step = bp.compile(lambda x, net=nets[1]: np.sum(net(x) ** 2))
    repeat(step, 4, X)
    assert step.stats["replays"] == 2
    for net in nets:
        change(net)
    for scale in (1.0, 2.0, 3.0):
        expected = np.sum(nets[0](scale * X) ** 2).item()
        assert step(scale * X).item() == pytest.approx(expected, rel=1e-12)
        assert step.stats["replays"] <= 5


def test_functions_methods_and_class_attributes_that_are_replaced_are_seen():
    class Scaled:
        factor, table = 2.0, np.ones(3)

        def __call__(self, x):
            return np.sum(wrapped(x) * self.factor * self.table)

    wrapped, model = np.sin, Scaled()
    step = bp.compile(lambda x: model(x))

    def agrees():
        for _ in range(4):
            assert step(X) == pytest.approx(model(X), rel=1e-12)

    agrees()
    Scaled.factor = 3.0
    agrees()
    Scaled.table = np.arange(3.0)
    agrees()
    wrapped = np.cos
    agrees()
    Scaled.__call__ = lambda self, x: np.sum(x * 7.0)
    agrees()


def test_strangers_in_reach_may_change():
    nets = [bp.nn.MLP([3, 2], rng=0, dtype=np.float64) for _ in range(2)]
    step = bp.compile(lambda x: np.sum(nets[1](x)))
    for _ in range(6):
        nets[0].layers[0].bias = bp.Tensor(np.ones(2), requires_grad=True)
        step(X)
    assert step.stats["replays"] == 4


# ---- around it -----------------------------------------------------------------------------------------------


def test_under_a_transform_an_observation_or_another_compiled_step_it_is_a_part_of_them():
    square = bp.compile(lambda x: np.sum(x**2))
    repeat(square, 4, X)
    np.testing.assert_array_equal(bp.grad(square)(X), 2 * X)
    with bp.observe() as run:
        square(bp.Tensor(X, requires_grad=True))
    assert [seen.op for seen in run] == ["power", "sum"]
    outer = bp.compile(lambda x: square(x) * 2)
    assert repeat(outer, 4, X) == pytest.approx(2 * np.sum(X**2))
    x = leaf(X)
    square(x * 1.0).backward()
    np.testing.assert_array_equal(x.grad, 2 * X)


def test_no_grad_is_another_program():
    p = leaf(2.0)
    step = bp.compile(lambda x: bp.tree.leaves((p * x).requires_grad), fallback=False)
    for _ in range(3):
        assert step(X) == [True]
        with bp.no_grad():
            assert step(X) == [False]


def test_hidden_state_can_be_named():
    class Hidden:
        __slots__ = ("net",)

    box = Hidden()
    box.net = bp.nn.Linear(3, 2, rng=0, dtype=float)
    optimizer = bp.optim.SGD(box.net.parameters(), lr=0.1)
    twin = bp.nn.Linear(3, 2, rng=0, dtype=float)
    eager = training(twin, bp.optim.SGD(twin.parameters(), lr=0.1))

    def step(x, y):
        optimizer.zero_grad()
        loss = F.mse_loss(box.net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    compiled = bp.compile(step, state=[box.net])
    for _ in range(6):
        np.testing.assert_allclose(compiled(X, Y).data, eager(X, Y).data, rtol=1e-12)


def test_threads_take_turns():
    net, _, step = a_net()
    alone, _, other = a_net()
    for _ in range(4 + 40):
        other(X, Y)
    repeat(step, 4, X, Y)
    threads = [threading.Thread(target=repeat, args=(step, 10, X, Y)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for p, q in zip(net.parameters(), alone.parameters()):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-12)


def test_a_call_that_gives_up_has_happened_once():
    count = [0]
    total = bp.zeros(())

    def step(x):
        count[0] += 1
        with bp.no_grad():
            total[...] = total + 1.0
        return x * count[0]

    run = bp.compile(step, fallback=True)
    for n in range(1, TRACES):
        np.testing.assert_array_equal(run(X), X * n)
    with pytest.warns(UserWarning, match="runs eagerly"):
        last = run(X)
    np.testing.assert_array_equal(last, X * TRACES)
    run(X)
    assert total.item() == count[0] == TRACES + 1


def test_state_that_is_swapped_and_old_values_that_are_returned():
    state = {"a": np.arange(3.0), "b": np.arange(3.0) * 10, "c": np.ones(3)}
    p, q = leaf([1.0, 2.0]), leaf([3.0, 5.0])

    def step(x):
        old = state["c"]
        state["a"], state["b"] = state["b"], state["a"]
        state["c"] = state["c"] * 2 + x
        with bp.no_grad():
            p_old = p * 1.0
            p.data = q.data * 0.5
            q.data = p_old.data + q.data
        return old, state["c"][::2]

    twin = {k: v.copy() for k, v in state.items()}, p.data.copy(), q.data.copy()
    eager = [step(np.ones(3)) for _ in range(8)] + [(state["a"].copy(), state["b"].copy(), p.data, q.data)]
    state.update(twin[0])
    p.data, q.data = twin[1:]
    compiled = bp.compile(step)
    found = [compiled(np.ones(3)) for _ in range(8)] + [
        (state["a"].copy(), state["b"].copy(), p.data, q.data)
    ]
    assert compiled.stats["replays"] >= 4
    for ours, theirs in zip(found, eager, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14)


@pytest.mark.parametrize(
    "view",
    [np.flip, np.rot90, np.atleast_3d, np.fliplr, lambda x: np.broadcast_arrays(x, X)[0],
     lambda x: np.hsplit(x, 3)[1], lambda x: np.array_split(x, 2)[0], lambda x: x[::2, 1:],
     lambda x: np.trim_zeros(x[0])],  # NumPy < 2.2 trims rows only
)  # fmt: skip
def test_a_buffer_lives_as_long_as_its_views(view):
    def f(x):
        y = np.exp(x)
        seen = view(y)
        z = np.tanh(np.tanh(x) * 2.0) + 1.0
        return np.sum(seen * seen) + np.sum(z)

    step = bp.compile(bp.grad(f))
    np.testing.assert_allclose(repeat(step, 4, X), bp.grad(f)(X), rtol=1e-12)
    forward = bp.compile(f)
    assert repeat(forward, 4, X) == pytest.approx(f(X), rel=1e-12)


def test_two_traces_are_enough_for_gradients_that_are_only_set():
    net, optimizer, _ = a_net()
    step = bp.compile(training(net, optimizer))
    repeat(step, 2, X, Y)
    assert all(p.grad is None for p in net.parameters()), (
        "a gradient that the step does not read is not computed"
    )
    repeat(step, 3, X, Y)
    assert (step.stats["traces"], step.stats["replays"]) == (2, 3)
    assert all(p.grad is None for p in net.parameters())


def test_the_same_calls_on_other_state_are_no_agreement():
    tables, names = {"a": np.ones(3), "b": np.full(3, 2.0)}, itertools.cycle("ab")
    step = bp.compile(lambda x: x * tables[next(names)])
    with pytest.raises(Untraceable, match="other arrays in reach"):
        repeat(step, 4, X[:, :3])


def _elements(t):
    t[0] = t[1] * 2.0


def _a_constant(t):
    t[0] = 7.0


def _in_place(t):
    t += t[0]  # and so no name of the caller's


def _some_in_place(t):
    t[1:] *= t[0]


def _through_a_view(t):
    t[1:][0] = t[0]


WRITES = [
    _elements, _a_constant, _in_place, _some_in_place, _through_a_view,
    lambda t: np.add.at(t, [0, -1, 0], 1.5 * t[0]), lambda t: np.multiply(t, 2.0, out=t), lambda t: t.fill(2.0),
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    "view",
    [lambda t: t[1:], lambda t: t[::-1], lambda t: t.T, lambda t: t.reshape(2, 2), lambda t: np.split(t, 2)[0],
     lambda t: t[[0, 1]], lambda t: t],
)  # fmt: skip
def test_writes_are_seen_by_views_as_in_an_eager_step(view, write):
    def f(x):
        t = x * 1.0
        seen = view(t)
        write(t)
        return np.sum(np.sin(t)) + np.sum(seen * seen)

    x = np.arange(1.0, 5.0)
    expected = bp.value_and_grad(f)(x)
    step = bp.compile(lambda x: bp.value_and_grad(f)(x))
    for _ in range(4):
        for ours, theirs in zip(step(x), expected):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("write", [_a_constant, _through_a_view, lambda t: t.fill(2.0)])
def test_writes_into_constants_are_seen_by_views_as_in_an_eager_step(write):
    def f(x):
        t = bp.Tensor(x) * 1.0
        seen = t[::-1]
        write(t)
        seen[0] = 5.0
        return np.sum(seen * np.arange(4)) + t[0] - t[3]

    x = np.arange(1.0, 5.0)
    step = bp.compile(f)
    for _ in range(4):
        np.testing.assert_allclose(step(x).data, f(x).data, rtol=1e-12)


@pytest.mark.parametrize("keywords", [{}, {"order": "F"}, {"casting": "same_kind"}])
def test_astype_of_a_tensor_over_a_traced_value(keywords):
    f = bp.value_and_grad(lambda x: np.sum(x.astype(np.float32, **keywords) ** 2))
    step = bp.compile(lambda x: f(x))
    for _ in range(3):
        for ours, theirs in zip(step(X), f(X)):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
