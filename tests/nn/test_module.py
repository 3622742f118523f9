"""Modules find their parameters by looking, are trees for transforms, and tell an observed run where they are."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp import nn


def parameter(*shape, start=0.0):
    return bp.Tensor(start + np.arange(np.prod(shape), dtype=np.float64).reshape(shape), requires_grad=True)


class Everything(nn.Module):
    """Parameters in every place where they may be."""

    def __init__(self):
        self.own = parameter(2)
        self.listed = [parameter(2, 2), {"deep": (parameter(2),)}, "a word", np.tanh]
        self.part = nn.Linear(2, 2, rng=0, dtype=np.float64)
        self.parts = {"a": nn.Linear(2, 2, rng=1, dtype=np.float64), "b": nn.Sigmoid()}
        self.constant = bp.Tensor(np.ones(3))
        self.plain = np.ones(3)

    def forward(self, x):
        x = self.parts["b"](self.parts["a"](self.part(x)))
        return np.sum(self.own * (self.listed[0] @ x) * self.listed[1]["deep"][0])


NAMES = [
    "own", "listed.0", "listed.1.deep.0", "part.weight", "part.bias", "parts.a.weight", "parts.a.bias",
]  # fmt: skip


def test_parameters_are_found_in_attributes_containers_and_parts():
    net = Everything()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [p is q for p, (_, q) in zip(net.parameters(), net.named_parameters())] == [True] * len(NAMES)
    assert [name for name, _ in net.named_modules()] == ["", "part", "parts.a", "parts.b"]


def test_a_frozen_or_computed_tensor_is_no_parameter():
    net = Everything()
    net.own.requires_grad = False
    net.seen = net.part.weight * 2
    assert [name for name, _ in net.named_parameters()] == NAMES[1:]
    assert "own" in net.state_dict()
    assert "seen" not in net.state_dict()


def test_a_module_with_a_cycle_ends():
    net = Everything()
    net.part.parent = net
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert bp.grad(lambda n: n(np.ones(2)))(net).part.parent is not net


def test_zero_grad_forgets_all_gradients():
    net = Everything()
    net(np.ones(2)).backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_modes_reach_all_parts():
    net = Everything()
    assert net.training
    assert net.eval() is net
    assert not any(m.training for _, m in net.named_modules())
    net.train()
    assert all(m.training for _, m in net.named_modules())


def test_astype_changes_everything_in_place():
    net = Everything()
    parameters = list(net.parameters())
    net(np.ones(2)).backward()
    assert net.astype(np.float32) is net
    assert [p is q for p, q in zip(parameters, net.parameters())] == [True] * len(NAMES)
    assert {p.data.dtype for p in net.parameters()} == {np.dtype(np.float32)}
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype(np.float32)}
    assert net.constant.dtype == np.float32
    loss = net(np.ones(2, np.float32))
    loss.backward()
    assert loss.dtype == np.float32
    with pytest.raises(TypeError, match="floating"):
        net.astype(int)


def test_calling_a_module_without_forward_names_it():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty"):
        Empty()(1.0)


# ---- state -----------------------------------------------------------------------------------------------


def test_state_goes_around():
    net, other = Everything(), Everything()
    for p in net.parameters():
        p.data = p.data + 1.0
    state = net.state_dict()
    assert list(state) == [*NAMES, "constant"] or set(state) == {*NAMES, "constant"}
    assert {type(a) for a in state.values()} == {np.ndarray}
    other.load_state_dict(state)
    for p, q in zip(net.parameters(), other.parameters()):
        np.testing.assert_array_equal(p.data, q.data)
        assert not np.shares_memory(p.data, q.data)
    state["own"][...] = 7.0
    assert 7.0 not in net.own.data
    assert 7.0 not in other.own.data


def test_loading_keeps_the_dtype_and_the_parameters_identity():
    net = nn.Linear(2, 3, rng=0)
    weight = net.weight
    net.load_state_dict({"weight": np.full((3, 2), 0.5), "bias": [0, 1, 2]})
    assert net.weight is weight
    assert net.weight.requires_grad
    assert net.weight.dtype == net.bias.dtype == np.float32
    np.testing.assert_array_equal(net.bias.data, [0, 1, 2])


def test_loading_does_not_disturb_a_recorded_graph():
    net = nn.Linear(1, 1, bias=False, rng=0, dtype=np.float64)
    net.weight.data = np.array([[3.0]])
    y = np.sum(net.weight * net.weight)
    net.load_state_dict({"weight": [[100.0]]})
    y.backward()
    np.testing.assert_array_equal(net.weight.grad, [[6.0]])


def test_a_wrong_state_is_told_all_at_once_and_nothing_is_loaded():
    net = nn.MLP([2, 3, 1], rng=0)
    before = net.state_dict()
    state = dict(before, **{"layers.1.weight": np.ones((3, 1)), "old.bias": np.ones(3)})
    del state["layers.0.bias"]
    with pytest.raises(ValueError, match=r"nothing was loaded") as error:
        net.load_state_dict({**state, "layers.0.weight": np.zeros((3, 2))})
    for fact in ("missing layers.0.bias", "unexpected old.bias", "layers.1.weight", "(1, 3)", "(3, 1)"):
        assert fact in str(error.value)
    assert "layers.0.weight" not in str(error.value)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("bad", [np.array([["a", "b"]]), np.array([[1j, 2j]]), np.array([[None, 1]])])
def test_a_state_of_no_numbers_is_refused(bad):
    with pytest.raises(ValueError, match="dtype"):
        nn.Linear(2, 1, bias=False, rng=0).load_state_dict({"weight": bad})


# ---- trees -----------------------------------------------------------------------------------------------


def test_grad_of_a_module_is_backward_of_it():
    net = Everything()
    x = np.array([0.3, -0.7])
    net(x).backward()
    gradients = bp.grad(lambda n: n(x))(net)
    assert type(gradients) is Everything
    assert [name for name, _ in gradients.named_parameters()] == NAMES
    for (name, p), g in zip(net.named_parameters(), gradients.parameters()):
        np.testing.assert_allclose(g.data, p.grad, rtol=1e-14, err_msg=name)


def test_a_copy_shares_nothing_that_can_be_changed():
    net = Everything()
    twin = bp.tree.map(lambda p: p, net)
    assert twin.part is not net.part
    assert twin.parts is not net.parts
    assert twin.listed is not net.listed
    assert twin.listed[1] is not net.listed[1]
    assert twin.listed[3] is np.tanh
    twin.parts["c"] = nn.Sigmoid()
    twin.part.weight = None
    assert "c" not in net.parts
    assert net.part.weight is not None


@pytest.mark.parametrize("leaf", [0.0, None.__class__, "a word", (1, 2), [3.0]])
def test_whatever_stands_in_a_parameters_place_is_a_leaf(leaf):
    """Equal objects in two places stay two leaves, and containers in them are not looked into."""
    net = Everything()
    other = bp.tree.map(lambda p: leaf, net)
    assert list(other.parameters()) == [leaf] * len(NAMES)
    again = bp.tree.flatten(other)[1](list(range(len(bp.tree.leaves(other)))))
    assert [name for name, _ in again.named_parameters()] == NAMES


def test_a_step_by_tree_map_trains():
    net = nn.MLP([2, 3, 1], rng=0, dtype=np.float64)
    x, y = np.array([[0.0, 1.0]]), np.array([[0.2]])

    def cost(n):
        return nn.functional.quadratic_cost(n(x), y)

    with bp.no_grad():
        before, gradients = bp.value_and_grad(cost)(net)
        moved = bp.tree.map(lambda p, g: p - 0.5 * g, net, gradients)
        after, _ = bp.value_and_grad(cost)(moved)
    assert type(gradients.layers[0].weight) is np.ndarray
    assert after < before


def test_transforms_nest_over_modules():
    net = nn.MLP([2, 3, 1], activation="tanh", rng=0, dtype=np.float64)
    x, y = np.array([[0.4, 1.0], [-1.0, 0.3]]), np.array([[0.2], [0.5]])

    def cost(n):
        return nn.functional.quadratic_cost(n(x), y)

    def penalty(n):
        return sum(np.sum(g * g) for g in bp.grad(cost)(n).parameters())

    assert bp.gradcheck(cost, net, order=2)
    assert bp.gradcheck(penalty, net)


def test_a_gradient_penalty_reaches_the_parameters_by_backward():
    net = nn.Linear(1, 1, bias=False, rng=0, dtype=np.float64)
    net.weight.data = np.array([[3.0]])
    gradient = bp.grad(lambda n: np.sum(n(np.ones((1, 1))) ** 3))(net)
    np.sum(gradient.weight**2).backward()  # (3 w²)² has the derivative 36 w³
    np.testing.assert_allclose(net.weight.grad, [[36 * 27.0]])


class Tied(nn.Module):
    """One parameter in two places."""

    def __init__(self):
        self.first = nn.Linear(2, 2, rng=0, dtype=np.float64)
        self.second = nn.Linear(2, 2, rng=1, dtype=np.float64)
        self.second.weight = self.first.weight
        self.again = self.first

    def forward(self, x):
        return self.again(self.second(np.tanh(self.first(x))))


def test_a_tied_parameter_is_one_parameter_with_one_total_gradient():
    net, x = Tied(), np.array([0.3, -0.5])
    names = ["first.weight", "first.bias", "second.bias"]
    assert [name for name, _ in net.named_parameters()] == names
    assert list(net.state_dict()) == names
    np.sum(net(x)).backward()
    with bp.no_grad():
        gradients = bp.grad(lambda n: np.sum(n(x)))(net)
    np.testing.assert_allclose(gradients.first.weight, net.first.weight.grad, rtol=1e-14)
    assert gradients.second.weight is gradients.first.weight
    assert gradients.again is gradients.first
    assert [name for name, _ in gradients.named_parameters()] == names


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.integers(0, 99))
def test_flatten_and_rebuild_are_inverse(sizes, seed):
    net = nn.MLP(sizes, rng=seed, dtype=np.float64)
    leaves, rebuild = bp.tree.flatten(net)
    assert [p is q for p, q in zip(leaves, net.parameters())] == [True] * (2 * len(sizes) - 2)
    twin = rebuild(leaves)
    x = np.ones((2, sizes[0]))
    np.testing.assert_array_equal(twin(x).data, net(x).data)


def test_modules_are_copied_and_pickled():
    net = nn.MLP([2, 2, 1], rng=0)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        for p, q in zip(net.parameters(), twin.parameters()):
            assert p is not q
            assert q.requires_grad
            assert not np.shares_memory(p.data, q.data)
            np.testing.assert_array_equal(p.data, q.data)


# ---- observed --------------------------------------------------------------------------------------------


def paths(f):
    with bp.observe() as run:
        f()
    return [(seen.op, seen.module) for seen in run]


def test_an_observed_node_knows_its_modules_path():
    net = nn.MLP([2, 3, 1], rng=0)
    found = paths(lambda: np.sum(net(np.ones((1, 2), np.float32))))
    layer = ["transpose", "matmul", "add"]
    assert found == [
        *[(op, "layers.0") for op in layer], ("sigmoid", ""),
        *[(op, "layers.1") for op in layer], ("sigmoid", ""),
        ("sum", None),
    ]  # fmt: skip


def test_paths_nest_and_end():
    class Block(nn.Module):
        def __init__(self):
            self.inner = nn.Sequential(nn.Linear(2, 2, bias=False, rng=0), nn.Tanh())

        def forward(self, x):
            return np.exp(self.inner(x))

    net = nn.Sequential(Block(), Block())
    found = paths(lambda: net(np.ones(2, np.float32)))
    one = [("transpose", "{}.inner.0"), ("matmul", "{}.inner.0"), ("tanh", "{}.inner.1"), ("exp", "{}")]
    assert found == [(op, path.format(i)) for i in (0, 1) for op, path in one]


def test_a_module_that_is_no_attribute_is_named_by_its_class():
    class Outer(nn.Module):
        def forward(self, x):
            return np.exp(nn.Sigmoid()(x))

    x = bp.Tensor(1.0, requires_grad=True)
    assert paths(lambda: Outer()(x)) == [("sigmoid", "Sigmoid"), ("exp", "")]


def test_the_path_is_right_again_after_an_error():
    class Failing(nn.Module):
        def forward(self, x):
            raise ArithmeticError

    x = bp.Tensor(1.0, requires_grad=True)
    with bp.observe() as run:
        with pytest.raises(ArithmeticError):
            nn.Sequential(Failing())(x)
        np.exp(x)
        nn.Sequential(nn.Tanh())(x)
    assert [seen.module for seen in run] == [None, "0"]


def test_module_paths_under_a_transform():
    net = nn.MLP([2, 1], rng=0, dtype=np.float64)
    found = paths(lambda: bp.grad(lambda n: np.sum(n(np.ones((1, 2)))))(net))
    assert ("matmul", "layers.0") in found


# ---- repr ------------------------------------------------------------------------------------------------


def test_repr_is_a_tree():
    assert repr(nn.Linear(3, 2, rng=0)) == "Linear(3, 2)"
    net = nn.Sequential(nn.MLP([3, 2], activation="tanh", rng=0), nn.LeakyReLU(0.1))
    assert repr(net).splitlines() == [
        "Sequential()",
        "  0: MLP([3, 2], tanh)",
        "    layers.0: Linear(3, 2)",
        "  1: LeakyReLU(negative_slope=0.1)",
    ]
    lines = repr(Everything()).splitlines()
    assert "  listed.1.deep.0: parameter (2,) float64" in lines
    assert repr(bp.tree.map(lambda p: 0.0, net)).startswith("Sequential()")
