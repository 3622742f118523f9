"""SGD: the formulas, the raw arrays, the settings."""

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.optim import SGD
from tinygrad_bp.optim.sgd import BLOCK
from tinygrad_bp.primitive import DuckArray


def leaf(*values, dtype=np.float64):
    return bp.Tensor(np.array(values, dtype), requires_grad=True)


def by_formula(p, gradients, lr, momentum, dampening, weight_decay, nesterov, maximize):
    """The documented update, one number at a time."""
    v = None
    for g in gradients:
        g = (-g if maximize else g) + weight_decay * p
        if momentum:
            v = g if v is None else momentum * v + (1 - dampening) * g
        p = p - lr * (g + momentum * v if nesterov else v if momentum else g)
    return p


@pytest.mark.parametrize("momentum", [0, 0.5])
@pytest.mark.parametrize("dampening", [0, 0.2])
@pytest.mark.parametrize("weight_decay", [0, 0.1])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("maximize", [False, True])
def test_steps_follow_the_formula(momentum, dampening, weight_decay, nesterov, maximize):
    if nesterov and (dampening or not momentum):
        momentum, dampening = 0.9, 0
    settings = dict(
        lr=0.3,
        momentum=momentum,
        dampening=dampening,
        weight_decay=weight_decay,
        nesterov=nesterov,
        maximize=maximize,
    )
    p, gradients = leaf(1.5), np.random.default_rng(0).normal(size=6)
    sgd = SGD([p], **settings)
    for g in gradients:
        p.grad = np.array([g])
        sgd.step()
    np.testing.assert_allclose(p.data, by_formula(1.5, gradients, **settings), rtol=1e-12)


def test_a_step_writes_into_the_parameters_own_array():
    array = np.array([1.0, 2.0])
    p = bp.Tensor(array, requires_grad=True)
    np.sum(p * p).backward()
    SGD([p], lr=0.25).step()
    assert p.data is array
    np.testing.assert_array_equal(array, [0.5, 1.0])


@pytest.mark.parametrize("settings", [{}, dict(momentum=0.9), dict(weight_decay=0.1), dict(maximize=True)])
def test_a_step_changes_no_gradient_and_records_nothing(settings):
    p = leaf(1.0, 2.0)
    sgd = SGD([p], lr=0.1, **settings)
    for _ in range(2):
        sgd.zero_grad()
        np.sum(p * p).backward()
        gradient = p.grad
        before = gradient.copy()
        sgd.step()
        assert p.grad is gradient
        np.testing.assert_array_equal(gradient, before)
        assert p._node.op is None


def test_accumulated_gradients_do_not_reach_into_the_velocity():
    p = leaf(1.0)
    sgd = SGD([p], lr=1.0, momentum=0.5)
    p.grad = np.array([1.0])
    sgd.step()
    p.grad[...] = 7.0
    np.testing.assert_array_equal(sgd.velocity[0], [1.0])


@pytest.mark.parametrize("settings", [{}, dict(momentum=0.9, nesterov=True), dict(weight_decay=0.1)])
def test_float32_stays(settings):
    p = leaf(1.0, 2.0, dtype=np.float32)
    sgd = SGD([p], lr=np.float64(0.1), **settings)
    for _ in range(3):
        p.grad = np.ones(2)
        sgd.step()
    assert p.dtype == p.data.dtype == np.float32
    assert all(v is None or v.dtype == np.float32 for v in sgd.velocity)


def test_each_dtype_gets_the_learning_rate_in_full():
    p, q = leaf(1.0, dtype=np.float32), leaf(1.0)
    sgd = SGD([p, q], lr=0.1)
    p.grad, q.grad = np.ones(1), np.ones(1)
    sgd.step()
    assert q.data[0] == 1 - 0.1
    assert p.data[0] == np.float32(1) - np.float32(0.1)
    assert p.data.dtype == np.float32


def test_a_new_learning_rate_counts_at_once():
    p = leaf(1.0)
    sgd = SGD([p], lr=0.5)
    sgd.lr = 0.25
    assert sgd.lr == 0.25
    p.grad = np.ones(1)
    sgd.step()
    assert p.data[0] == 0.75
    sgd.lr = 0
    sgd.step()
    assert p.data[0] == 0.75
    for bad in (-0.1, np.nan, np.inf):
        with pytest.raises(ValueError, match="lr"):
            sgd.lr = bad
    assert sgd.lr == 0


def test_a_parameter_without_a_gradient_stays_and_zero_grad_forgets():
    p, q = leaf(1.0), leaf(2.0)
    p.grad = np.ones(1)
    sgd = SGD([p, q], lr=1.0, weight_decay=0.5, momentum=0.9)
    sgd.step()
    assert q.data[0] == 2.0
    assert sgd.velocity[1] is None
    sgd.zero_grad()
    assert p.grad is None


def test_a_zero_dimensional_parameter_moves():
    p = bp.Tensor(3.0, requires_grad=True)
    (p * p).backward()
    SGD([p], lr=0.5).step()
    assert p.item() == 0.0


class Box(DuckArray):
    """A stand-in for an array, as a tracer is: it notes what is done and never changes in place."""

    def __init__(self, array, log):
        self.array, self.log = array, log
        self.shape, self.dtype, self.ndim, self.size = array.shape, array.dtype, array.ndim, array.size

    def __rmul__(self, other):
        return Box(other * self.array, self.log)

    def __sub__(self, other):
        self.log.append("subtract")
        return Box(self.array - other.array, self.log)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        self.log.append(ufunc.__name__)
        return Box(ufunc(*(i.array if isinstance(i, Box) else i for i in inputs)), self.log)


@pytest.mark.parametrize("shape", [(2 * BLOCK + 3,), (3, BLOCK), (2, 3 * BLOCK), (301, 7, 131)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_large_parameters_move_whole(shape, order):
    p = bp.Tensor(np.asarray(np.random.default_rng(0).random(shape), order=order), requires_grad=True)
    before, array = p.data.copy(), p.data
    p.grad = np.random.default_rng(1).random(shape)
    SGD([p], lr=0.5).step()
    np.testing.assert_array_equal(p.data, before - 0.5 * p.grad)
    assert p.data is array


def test_stand_ins_for_arrays_are_updated_by_rebinding():
    log: list = []
    p = bp.Tensor(Box(np.array([1.0]), log), requires_grad=True)
    p._node.grad = Box(np.array([0.5]), log)
    old = p.data
    SGD([p], lr=1.0).step()
    assert log == ["multiply", "subtract"]
    assert p.data is not old
    np.testing.assert_array_equal(p.data.array, [0.5])
    np.testing.assert_array_equal(old.array, [1.0])


# ---- state -------------------------------------------------------------------------------------------------


def walk(sgd, p, steps):
    for step in range(steps):
        p.grad = np.array([1.0, -2.0]) * (step + 1)
        sgd.step()


def test_training_goes_on_from_a_state_as_if_it_had_not_stopped():
    p, q = leaf(1.0, 2.0), leaf(1.0, 2.0)
    straight = SGD([p], lr=0.1, momentum=0.9, weight_decay=0.01)
    walk(straight, p, 3)
    state = straight.state_dict()
    q.data = p.data.copy()
    other = SGD([q], lr=5.0)
    other.load_state_dict(state)
    walk(straight, p, 3)
    walk(other, q, 3)
    np.testing.assert_array_equal(p.data, q.data)
    assert repr(other) == "SGD(1 parameters, lr=0.1, momentum=0.9, weight_decay=0.01)"


def test_a_state_is_a_copy():
    p = leaf(1.0, 2.0)
    sgd = SGD([p], lr=0.1, momentum=0.9)
    walk(sgd, p, 1)
    state = sgd.state_dict()
    state["velocity"][0][...] = 99
    assert 99 not in sgd.velocity[0]
    sgd.load_state_dict(state)
    state["velocity"][0][...] = 98
    assert 98 not in sgd.velocity[0]


def test_a_state_that_does_not_fit_is_refused():
    p = leaf(1.0, 2.0)
    sgd = SGD([p], lr=0.1, momentum=0.9)
    good = sgd.state_dict()
    for bad in (
        {"lr": 1.0},
        {**good, "velocity": []},
        {**good, "velocity": [np.ones(3)]},
        {**good, "lr": -1},
    ):
        with pytest.raises(ValueError, match=r"expected|lr"):
            sgd.load_state_dict(bad)
        assert sgd.lr == 0.1
        assert sgd.velocity == [None]


# ---- wrong arguments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ([], ValueError, "no parameters"),
        (iter(()), ValueError, "exhausted"),
        (leaf(1.0), TypeError, r"\[t\]"),
        (bp.nn.Linear(2, 1, rng=0), TypeError, "net.parameters"),
        ([np.ones(2)], TypeError, "parameter 0.*ndarray"),
        ([leaf(1.0), leaf(1.0) * 2], TypeError, "parameter 1.*multiply"),
        ([bp.Tensor([1.0])], TypeError, "requires_grad=True"),
        ([_twice := leaf(1.0), _twice], ValueError, "twice"),
    ],
)
def test_wrong_parameters_are_told(params, error, words):
    with pytest.raises(error, match=words):
        SGD(params, lr=0.1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (dict(lr=0), "lr=0"),
        (dict(lr=-1.0), "lr"),
        (dict(lr=np.nan), "lr"),
        (dict(lr=0.1, momentum=-0.1), "momentum"),
        (dict(lr=0.1, weight_decay=-1), "weight_decay"),
        (dict(lr=0.1, nesterov=True), "momentum > 0"),
        (dict(lr=0.1, nesterov=True, momentum=0.9, dampening=0.1), "dampening = 0"),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(ValueError, match=words):
        SGD([leaf(1.0)], **settings)


@pytest.mark.parametrize(
    "use", [lambda w: w * w, lambda w: w.T * w[...], lambda w: np.exp(w)], ids=["w", "views", "y"]
)
def test_a_graph_that_was_kept_is_right_after_a_step(use):
    w, expected = leaf(2.0, 3.0), leaf(2.0, 3.0)
    optimizer = SGD([w], lr=1.0)
    shared = use(w)
    first, second = np.sum(shared), np.sum(shared * shared)
    first.backward(retain_graph=True)
    optimizer.step()
    w.zero_grad()
    second.backward()
    np.sum(use(expected) ** 2).backward()
    np.testing.assert_allclose(w.grad, expected.grad, rtol=1e-15)
    assert not np.any(w.data == expected.data)


def test_without_such_a_graph_the_array_itself_is_updated():
    array = np.array([2.0, 3.0])
    w = bp.Tensor(array, requires_grad=True)
    np.sum(w * w).backward()
    SGD([w], lr=0.5).step()
    np.testing.assert_array_equal(array, [0.0, 0.0])
