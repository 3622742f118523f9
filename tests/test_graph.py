"""The graph: what a Node keeps, that it dies with its last Tensor, and what surrounds the code that runs."""

import asyncio
import contextlib
import contextvars
import gc
import itertools
import sys
import threading
import weakref

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.graph import Ambient, Extra, Node, Parts

A_MILLION = 10**6


def leaf(x, **kwargs):
    return bp.Tensor(np.array(x, float), requires_grad=True, **kwargs)


@pytest.fixture
def no_collector():
    """Reference counts alone must free everything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def graph_objects():
    return sum(type(o) in (Node, bp.Tensor, Extra, Parts) for o in gc.get_objects())


def train(w, b, x):
    y = np.tanh(x @ w + b)
    loss = np.mean((np.concatenate([y, y * y], axis=0).reshape(-1)[::2] - 0.5) ** 2)
    loss.backward()
    with bp.no_grad():
        for p in (w, b):
            p -= 0.1 * p.grad
            p.zero_grad()


def unused_forward(w, b, x):
    np.sum(np.tanh(x @ w + b))


def transforms(w, b, x):
    bp.grad(lambda w: np.sum(np.tanh(x @ w) ** 2))(w.data)
    bp.hessian(lambda b: np.sum(np.tanh(b) ** 2))(b.data)
    bp.jvp(np.sin, (b.data,), (b.data,))


def closure_over_parameters(w, b, x):
    np.sum(bp.grad(lambda x: np.sum(np.tanh(x @ w + b)))(x) ** 2).backward()
    w.grad = b.grad = None


def mistakes(w, b, x):
    for wrong in (lambda: np.i0(w * 2), lambda: (w * 2).backward(), lambda: bp.grad(lambda w: w * 2)(w.data)):
        with contextlib.suppress(TypeError, ValueError):
            wrong()


def several_outputs(w, b, x):
    s, _ = SINE_AND_COSINE(w)
    np.sum(s).backward()
    w.zero_grad()


SINE_AND_COSINE = bp.primitive(lambda x: (np.sin(x), np.cos(x)))
SINE_AND_COSINE.defvjp(lambda g, y, _x: g[0] * y[1])


@pytest.mark.parametrize(
    "step", [train, unused_forward, transforms, closure_over_parameters, mistakes, several_outputs]
)
def test_no_graph_object_is_left_after_50_steps(step, no_collector):
    w, b, x = leaf(np.ones((3, 4))), leaf(np.zeros(4)), np.ones((5, 3))
    before = graph_objects()
    for _ in range(50):
        step(w, b, x)
    assert graph_objects() == before


def test_observed_graphs_go_with_their_run(no_collector):
    def step(w):
        with bp.observe() as run:
            np.sum(np.tanh(w)).backward()
        return len(run)

    w = leaf(np.ones((3, 4)))
    before = graph_objects()
    assert [step(w) for _ in range(50)] == [2] * 50
    assert graph_objects() == before


def test_a_chain_of_a_million_ops(no_collector):
    before = graph_objects()
    x = leaf(2.0)
    y = x
    for _ in itertools.repeat(None, A_MILLION):
        y = y + 1.0
    assert y.item() == 2.0 + A_MILLION
    y.backward(retain_graph=True)
    assert x.grad == 1.0
    ends = weakref.ref(y)
    del y  # a million nodes, none of them freed by the sweep
    assert ends() is None
    assert graph_objects() == before + 2, "x and its node"


def test_a_node_is_small():
    x = leaf(1.0)
    node = (x + 1.0)._node
    assert sys.getsizeof(node) + sys.getsizeof(node.parents) < 230
    with pytest.raises(AttributeError):
        node.anything = 1


def test_a_node_never_holds_its_result():
    x = leaf([1.0, 2.0])
    y = x + 1.0
    value = weakref.ref(y.data)
    node = y._node
    del y
    assert value() is None
    assert (node.shape, node.dtype, node.op.name) == ((2,), np.float64, "add")


def test_a_node_holds_no_tensor_of_its_own_level():
    found = []

    def outer(x):
        def inner(y):
            found.append(np.exp(y * x) * y / x + y**x)
            return found[-1]

        return bp.grad(inner)(x)

    bp.grad(outer)(2.0)
    pending, held = [found[0]._node], []
    while pending:
        node = pending.pop()
        pending += [parent for parent in node.parents if parent is not None]
        held += [(node, v) for v in (node.y, *node.saved) if isinstance(v, bp.Tensor)]
    assert held, "values of the older level are needed"
    assert all(v._node is None or v._node.level < node.level for node, v in held)


def test_operands_are_freed_by_backward_and_the_node_is_marked():
    a = np.array([1.0, 2.0])
    alive = weakref.ref(a)
    x = leaf([3.0, 4.0])
    y = np.sum(x * a)
    del a
    assert alive() is not None
    y.backward()
    assert alive() is None
    assert y._node.parents is None
    assert x._node.parents == ()


def test_parents_are_older_than_children():
    x = leaf(1.0)
    y = x * 2
    z = y + x
    assert x._node.sequence < y._node.sequence < z._node.sequence
    assert z._node.parents == (y._node, x._node)


def test_parts_are_added_one_by_one():
    total = Parts(0, 3, 1.0) + Parts(2, 3, 5.0) + Parts(0, 3, 2.0)
    assert list(total) == [3.0, None, 5.0]


def test_ambient_is_replaced_and_never_changed():
    ambient = Ambient(level=3)
    other = ambient.replace(blocked=7)
    assert (ambient.level, ambient.blocked, other.level, other.blocked) == (3, -1, 3, 7)


# ---- contexts ------------------------------------------------------------------------------------------


def recording():
    return (leaf(1.0) * 2).requires_grad


def test_no_grad_is_of_its_asyncio_task():
    async def quiet(event):
        with bp.no_grad():
            event.set()
            await asyncio.sleep(0)
            return recording()

    async def loud(event):
        await event.wait()
        return recording()

    async def both():
        event = asyncio.Event()
        return await asyncio.gather(quiet(event), loud(event))

    assert asyncio.run(both()) == [False, True]


def test_no_grad_is_of_its_thread():
    found = []
    with bp.no_grad():
        thread = threading.Thread(target=lambda: found.append(recording()))
        thread.start()
        thread.join()
        found.append(recording())
    assert found == [True, False]


def test_no_grad_goes_along_with_a_copied_context():
    with bp.no_grad():
        context = contextvars.copy_context()
    assert context.run(recording) is False
    assert recording() is True


@pytest.mark.parametrize("surroundings", [bp.no_grad, bp.observe])
def test_surroundings_end_with_an_exception(surroundings):
    def fail():
        with surroundings():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    y = leaf(1.0) * 2
    assert y.requires_grad
    assert y._node.extra is None, "nobody observes any more"
