"""copy, deepcopy and pickle of Tensors, Modules and optimizers: what is kept, what is shared, what is refused."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_bp as bp

WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {n}": lambda x, n=n: pickle.loads(pickle.dumps(x, protocol=n))
        for n in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}
EVERY_WAY = pytest.mark.parametrize("trip", WAYS.values(), ids=WAYS)
EVERY_DEEP_WAY = pytest.mark.parametrize(
    "trip", [w for n, w in WAYS.items() if n != "copy"], ids=[n for n in WAYS if n != "copy"]
)


# ---- Tensors -----------------------------------------------------------------------------------------------

TENSORS = {
    "a leaf": lambda: bp.Tensor(np.array([1.0, 2.0]), requires_grad=True),
    "a named leaf": lambda: bp.Tensor(np.array([[1.0]], np.float32), requires_grad=True, name="w"),
    "a complex leaf": lambda: bp.Tensor(np.array([1 + 2j]), requires_grad=True),
    "a constant": lambda: bp.Tensor(np.array([1.0, 2.0]), name="x"),
    "integers": lambda: bp.Tensor(np.arange(4, dtype=np.int16)),
    "no axes": lambda: bp.Tensor(3.0, requires_grad=True),
    "no elements": lambda: bp.Tensor(np.empty((0, 3)), requires_grad=True),
    "a NumPy scalar": lambda: np.sum(bp.Tensor([1.0, 2.0])),
    "Fortran's order": lambda: bp.Tensor(np.asfortranarray(np.arange(6.0).reshape(2, 3))),
    "a strided view": lambda: bp.Tensor(np.arange(6.0)[::-2]),
    "another byte order": lambda: bp.Tensor(np.arange(3, dtype=">f4")),
}


@EVERY_WAY
@pytest.mark.parametrize("kind", TENSORS)
def test_a_tensor_comes_back(kind, trip):
    t = TENSORS[kind]()
    back = trip(t)
    assert type(back) is bp.Tensor
    assert back is not t
    np.testing.assert_array_equal(back.data, t.data)
    assert (back.dtype, back.shape, back.name) == (trip(t.data).dtype, t.shape, t.name)
    assert back.requires_grad == t.requires_grad


@EVERY_WAY
def test_the_copy_has_memory_of_its_own(trip):
    mine = np.arange(4.0)
    t = bp.Tensor(mine, requires_grad=True)
    back = trip(t)
    back.data[...] = -1
    np.testing.assert_array_equal(t.data, np.arange(4.0))
    mine[...] = 7
    np.testing.assert_array_equal(back.data, -np.ones(4))


@EVERY_WAY
def test_a_constant_view_becomes_independent(trip):
    base = bp.Tensor(np.arange(4.0))
    view = trip(base[1:3])
    assert not np.shares_memory(view.data, base.data)
    view[0] = 9.0
    base[2] = -1.0
    np.testing.assert_array_equal(base.data, [0.0, 1.0, -1.0, 3.0])
    np.testing.assert_array_equal(view.data, [9.0, 2.0])


@EVERY_WAY
def test_the_copy_is_a_leaf_of_its_own_without_a_gradient(trip):
    t = bp.Tensor([1.0, 2.0], requires_grad=True)
    np.sum(t * t).backward()
    back = trip(t)
    assert back.grad is None
    np.sum(back * 3.0).backward()
    np.testing.assert_array_equal(t.grad, [2.0, 4.0])
    np.testing.assert_array_equal(back.grad, [3.0, 3.0])


@EVERY_DEEP_WAY
def test_one_tensor_in_two_places_stays_one(trip):
    t = bp.Tensor([1.0], requires_grad=True)
    first, second = trip([t, t])
    assert first is second
    assert first is not t


@EVERY_WAY
def test_what_records_is_refused(trip):
    t = bp.Tensor([1.0, 4.0], requires_grad=True, name="t")
    buffer = bp.zeros(2)
    before = buffer[:1]
    buffer[0] = t[1]
    for made in (t * 2, t[:1], np.sum(t), buffer, before):
        with pytest.raises(TypeError, match=r"only leaves outside of transforms can be copied.*detach"):
            trip(made)
    np.testing.assert_array_equal(trip((t * 2).detach()).data, [2.0, 8.0])


@EVERY_WAY
def test_the_argument_of_a_transform_is_refused(trip):
    """A copy that is cut off would give a wrong gradient without a word."""
    with pytest.raises(TypeError, match="outside of transforms"):
        bp.grad(lambda x: np.sum(trip(x) * x))(np.ones(2))
    with pytest.raises(TypeError, match="outside of transforms"):
        bp.grad(lambda x: bp.grad(lambda y: np.sum(trip(x) * y))(x)[0])(np.ones(2))


def test_a_copy_that_records_is_made_by_numpy():
    t = bp.Tensor([1.0, 4.0], requires_grad=True)
    np.sum(t.copy() * t).backward()
    np.testing.assert_array_equal(t.grad, [2.0, 8.0])


def test_a_pickle_is_read_by_another_process(tmp_path):
    """Nothing of this process, such as an id or a level, is in it."""
    net = bp.nn.MLP([2, 3, 1], rng=0)
    sgd = bp.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x = np.ones((4, 2), np.float32)
    step(net, sgd, x)
    file = tmp_path / "net.pickle"
    file.write_bytes(pickle.dumps((net, sgd)))
    code = f"""
import pickle, numpy as np, tinygrad_bp as bp
net, sgd = pickle.loads(open({str(file)!r}, "rb").read())
for _ in range(3):
    sgd.zero_grad(); np.sum(np.square(net(np.ones((4, 2), np.float32)))).backward(); sgd.step()
print(net(np.ones((4, 2), np.float32)).data.tobytes().hex())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for _ in range(3):
        step(net, sgd, x)
    assert done.stdout.strip() == net(x).data.tobytes().hex()


# ---- Modules -----------------------------------------------------------------------------------------------


class Tied(bp.nn.Module):
    """An autoencoder whose decoder is the encoder transposed, with a buffer and a shared part."""

    def __init__(self):
        self.encoder = bp.nn.Linear(3, 2, bias=False, rng=0)
        self.weight = self.encoder.weight
        self.parts = [self.encoder, {"again": self.encoder}]
        self.mean = bp.Tensor(np.array([1.0, 2.0, 3.0], np.float32), name="mean")

    def forward(self, x):
        return self.encoder(x - self.mean) @ self.weight


def step(net, sgd, x):
    sgd.zero_grad()
    np.sum(np.square(net(x))).backward()
    sgd.step()


def everything(net):
    return {name: array.copy() for name, array in net.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])
        assert a[name].dtype == b[name].dtype


NETS = {
    "Linear": lambda: bp.nn.Linear(3, 2, rng=0),
    "float64": lambda: bp.nn.Linear(3, 2, rng=0, dtype=np.float64),
    "Sequential": lambda: bp.nn.Sequential(
        bp.nn.Linear(3, 4, rng=0), bp.nn.LeakyReLU(0.2), bp.nn.Softplus(2.0), bp.nn.Linear(4, 2, rng=1)
    ),
    "MLP": lambda: bp.nn.MLP([3, 4, 2], activation=["tanh", "sigmoid"], rng=0),
    "tied": Tied,
}
EVERY_NET = pytest.mark.parametrize("make", NETS.values(), ids=NETS)


def input_of(net):
    return np.linspace(-1.0, 1.0, 12).reshape(4, 3).astype(next(net.parameters()).dtype)


@EVERY_DEEP_WAY
@EVERY_NET
def test_a_net_comes_back(make, trip):
    net = make().eval()
    back = trip(net)
    assert type(back) is type(net)
    assert repr(back) == repr(net)
    assert_same(everything(back), everything(net))
    assert [name for name, _ in back.named_parameters()] == [name for name, _ in net.named_parameters()]
    assert all(p.name == q.name for p, q in zip(back.parameters(), net.parameters()))
    assert not any(module.training for _, module in back.named_modules())
    x = input_of(net)
    np.testing.assert_array_equal(back(x).data, net(x).data)


@EVERY_DEEP_WAY
@EVERY_NET
def test_a_deep_copy_is_trained_alone_and_alike(make, trip):
    net = make()
    back, x = trip(net), input_of(net)
    before = everything(net)
    step(back, bp.optim.SGD(back.parameters(), lr=0.1), x)
    assert_same(everything(net), before)
    assert any(np.any(before[name] != a) for name, a in back.state_dict().items())
    step(net, bp.optim.SGD(net.parameters(), lr=0.1), x)
    assert_same(everything(net), everything(back))


@EVERY_DEEP_WAY
def test_gradients_are_not_kept(trip):
    net = NETS["MLP"]()
    np.sum(net(input_of(net))).backward()
    assert all(p.grad is not None for p in net.parameters())
    assert all(p.grad is None for p in trip(net).parameters())


@EVERY_DEEP_WAY
def test_tied_parameters_stay_tied(trip):
    back = trip(Tied())
    assert back.weight is back.encoder.weight
    assert back.parts[0] is back.encoder
    assert back.parts[1]["again"] is back.encoder
    assert len(list(back.parameters())) == 1
    assert not back.mean.requires_grad


def test_a_shallow_copy_shares_its_parameters():
    """As with a list: copy.copy makes a new Module of the same Tensors."""
    net = bp.nn.Linear(3, 2, rng=0)
    twin = copy.copy(net)
    assert twin is not net
    assert twin.weight is net.weight
    twin.eval()
    assert net.training


def test_a_net_of_gradients_is_deep_copied():
    """What a transform gives back is a container of arrays, and stays one."""
    net = NETS["MLP"]()
    x = input_of(net)
    with bp.no_grad():
        gradients = bp.grad(lambda net: np.sum(net(x)))(net)
    back = copy.deepcopy(gradients)
    for (name, g), (again, h) in zip(gradients.named_parameters(), back.named_parameters()):
        assert name == again
        np.testing.assert_array_equal(np.asarray(g), np.asarray(h))


# ---- optimizers ----------------------------------------------------------------------------------------------


@EVERY_DEEP_WAY
@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_net_and_optimizer_stay_tied(trip, settings):
    """The copied optimizer moves the copied net, with the velocities it had; the first pair rests."""
    net = Tied()
    sgd, x = bp.optim.SGD(net.parameters(), lr=0.001, weight_decay=0.1, **settings), input_of(net)
    for _ in range(3):
        step(net, sgd, x)
    twin, copied = trip((net, sgd))
    assert all(p is q for p, q in zip(copied.params, twin.parameters()))
    before = everything(net)
    for _ in range(3):
        step(twin, copied, x)
    assert_same(everything(net), before)
    for _ in range(3):
        step(net, sgd, x)
    assert_same(everything(net), everything(twin))


@EVERY_DEEP_WAY
def test_an_optimizer_alone_takes_parameters_of_its_own(trip):
    w = bp.Tensor([1.0, 2.0], requires_grad=True)
    sgd = bp.optim.SGD([w], lr=0.5)
    np.sum(w * w).backward()
    copied = trip(sgd)
    copied.step()
    np.testing.assert_array_equal(copied.params[0].data, [1.0, 2.0], err_msg="gradients are not kept")
    np.sum(np.square(copied.params[0])).backward()
    copied.step()
    np.testing.assert_array_equal(copied.params[0].data, [0.0, 0.0])
    np.testing.assert_array_equal(w.data, [1.0, 2.0])


@EVERY_DEEP_WAY
def test_the_learning_rate_is_kept_in_its_dtype(trip):
    net = bp.nn.Linear(2, 1, rng=0)
    sgd = bp.optim.SGD(net.parameters(), lr=0.1)
    sgd.lr = 0.025
    twin, copied = trip((net, sgd))
    assert copied.lr == 0.025
    step(twin, copied, np.ones((1, 2), np.float32))
    assert all(p.dtype == np.float32 for p in twin.parameters())


def test_state_dicts_are_copies():
    net = bp.nn.Linear(2, 1, rng=0)
    sgd = bp.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    step(net, sgd, np.ones((1, 2), np.float32))
    state, velocities = net.state_dict(), sgd.state_dict()["velocity"]
    kept = [v.copy() for v in velocities]
    saved = {name: a.copy() for name, a in state.items()}
    step(net, sgd, np.ones((1, 2), np.float32))
    assert_same(state, saved)
    for v, k in zip(velocities, kept):
        np.testing.assert_array_equal(v, k)
