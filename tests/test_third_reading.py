"""The third reading of a rule, on stand-ins for arrays: one log of a whole training step, replayed on new data.

`Recorder` is what a compiler starts from: it takes an array's place under Tensors and notes every
NumPy call. Forward, backward and update of a real net must go through it without noticing.
"""

import operator

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.nn import functional as F
from tinygrad_bp.primitive import DuckArray


class Recorder(DuckArray):
    """An array's value, and the call that gave it: (function, args, kwargs), or None for an input."""

    def __init__(self, log, value, call=None):
        self.log, self.value, self.call = log, value, call
        log.append(self)

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    T = property(lambda self: noted(operator.attrgetter("T"), self))

    def reshape(self, *shape):
        return noted(np.reshape, self, shape)

    def astype(self, dtype):
        return noted(lambda x: x.astype(dtype), self)

    def sum(self, *args, **kwargs):
        return noted(np.sum, self, *args, **kwargs)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return noted(getattr(ufunc, method), *inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        return noted(function, *args, **kwargs)

    def __bool__(self):
        raise TypeError("the program must not depend on values")


def reflected(op):
    return lambda self, other: noted(op, other, self)


def plain(op):
    return lambda self, *others: noted(op, self, *others)


for _name in ("add", "sub", "mul", "truediv", "pow", "matmul"):
    setattr(Recorder, f"__{_name}__", plain(getattr(operator, _name)))
    setattr(Recorder, f"__r{_name}__", reflected(getattr(operator, _name)))
for _name in ("neg", "abs", "gt", "ge", "lt", "le", "eq", "ne", "and_", "getitem"):
    setattr(Recorder, f"__{_name.rstrip('_')}__", plain(getattr(operator, _name)))


def mapped(f, x):
    """x with f of every Recorder in it."""
    if isinstance(x, (list, tuple)):
        return type(x)(mapped(f, part) for part in x)
    return f(x) if isinstance(x, Recorder) else x


def flat(x):
    return [leaf for part in x for leaf in flat(part)] if isinstance(x, (list, tuple)) else [x]


def noted(function, *args, **kwargs):
    """The result of the call, recorded; NotImplemented if a Tensor is to take it."""
    if any(isinstance(a, bp.Tensor) for a in flat(args)):
        return NotImplemented
    log = next(a.log for a in flat([*args, *kwargs.values()]) if isinstance(a, Recorder))
    values, keywords = mapped(lambda r: r.value, (list(args), list(kwargs.values())))
    value = function(*values, **dict(zip(kwargs, keywords)))
    return (
        Recorder(log, value, (function, args, kwargs))
        if isinstance(value, (np.ndarray, np.generic))
        else value
    )


def replay(log, outputs, inputs):
    """The values of `outputs` if the inputs of the log had been these."""
    values, inputs = {}, list(inputs)
    for r in log:
        if r.call is None:
            values[r] = inputs.pop(0)
        else:
            function, args, kwargs = mapped(
                values.__getitem__, [r.call[0], r.call[1], list(r.call[2].values())]
            )
            values[r] = function(*args, **dict(zip(r.call[2], kwargs)))
    return [values[r] for r in outputs]


# ---- programs ------------------------------------------------------------------------------------------------

SHAPES = [(4, 5), (4,), (3, 4), (3,)]
LABELS = np.array([0, 2, 1, 1, 0, 2, 2])
COSTS = {
    "quadratic": F.quadratic_cost,
    "mse": F.mse_loss,
    "cross-entropy": F.cross_entropy,
    "cross-entropy of labels": lambda z, y: F.cross_entropy(z, LABELS) + 0.01 * np.sum(z * y),
    "binary cross-entropy": F.binary_cross_entropy_with_logits,
}


def steps_by_hand(p, *batches):
    """Gradient descent on an MLP 5-4-3 of plain Tensors."""
    losses = []
    for x, y in zip(batches[::2], batches[1::2]):
        a = np.tanh(x @ p[0].T + p[1])
        z = a @ p[2].T + p[3]
        loss = (
            np.mean(np.square(1 / (1 + np.exp(-z)) - y))
            + 0.1 * np.max(np.abs(z))
            + np.sum(np.maximum(a, 0.1))
        )
        loss.backward()
        with bp.no_grad():
            for t in p:
                t -= 0.5 * t.grad
                t.zero_grad()
        losses.append(loss)
    return losses


def steps_of(net, cost, **settings):
    """The same with the package's own net, cost and optimizer."""

    def steps(p, *batches):
        optimizer, losses = bp.optim.SGD(net.parameters(), **settings), []
        for x, y in zip(batches[::2], batches[1::2]):
            losses.append(cost(net(x), y))
            optimizer.zero_grad()
            losses[-1].backward()
            optimizer.step()
        return losses

    return steps


def drawn(shapes, dtype, seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def assert_replay_is_eager(steps, parameters, dtype):
    """Two steps are traced on one set of data; the replay on another gives what eager steps give there."""
    shapes = SHAPES + [(7, 5), (7, 3)] * 2
    traced, eager = drawn(shapes, dtype, 0), drawn(shapes, dtype, 1)

    def run(inputs):
        for t, value in zip(parameters, inputs):
            t.data = value
            t.zero_grad()
        losses = steps(parameters, *inputs[len(parameters) :])
        return [t.data for t in (*losses, *parameters)]

    log = []
    outputs = run([Recorder(log, a) for a in traced])
    assert all(type(output) is Recorder for output in outputs), "nothing falls out of the program"
    replayed, expected = replay(log, outputs, eager), run([a.copy() for a in eager])
    for ours, theirs, traced_value in zip(replayed, expected, outputs):
        assert ours.dtype == theirs.dtype == dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-12 if dtype is np.float64 else 1e-4, atol=1e-6)
        assert not np.allclose(ours, traced_value.value), "other data, other numbers"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_written_by_hand(dtype):
    parameters = [bp.Tensor(np.zeros(shape, dtype), requires_grad=True) for shape in SHAPES]
    assert_replay_is_eager(steps_by_hand, parameters, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("cost", COSTS.values(), ids=COSTS.keys())
def test_steps_of_a_net(cost, activation, dtype):
    net = bp.nn.MLP([5, 4, 3], activation, "linear", rng=0, dtype=dtype)
    steps = steps_of(net, cost, lr=0.1, momentum=0.9, weight_decay=0.01)
    assert_replay_is_eager(steps, list(net.parameters()), dtype)


def test_plain_descent_of_a_net():
    net = bp.nn.MLP([5, 4, 3], rng=0)
    assert_replay_is_eager(steps_of(net, F.quadratic_cost, lr=3.0), list(net.parameters()), np.float32)


def test_gradients_of_gradients():
    log = []
    x, v = (Recorder(log, a) for a in drawn([(3,), (3,)], np.float64, 0))

    def f(x):
        return np.sum(np.tanh(x) * x**2)

    product = bp.hvp(f, x, v)
    new = drawn([(3,), (3,)], np.float64, 1)
    np.testing.assert_allclose(replay(log, [product], new)[0], bp.hvp(f, *new), rtol=1e-12)


def test_a_branch_on_a_value_is_refused_by_the_stand_in():
    x = bp.Tensor(Recorder([], np.ones(3)), requires_grad=True)
    with pytest.raises(TypeError, match="must not depend on values"):
        bool(x[0] > 0)
