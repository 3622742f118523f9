"""A compiled step printed as plain NumPy: it reads as the book's program, runs without us, and gives replay's numbers."""

import ast
import copy
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings

import tinygrad_bp as bp
from tests.compiler.steps import training
from tests.compiler.test_against_eager import COSTS, trainings
from tinygrad_bp.nn import functional as F
from tinygrad_bp.optim import SGD

STATE = re.compile(r"(\w+): ([^;]+)")


def run(text, name="step"):
    """The function that the text defines."""
    space = {"__name__": "page"}
    exec(compile(text, "page", "exec"), space)
    return space[name]


def parameters(text):
    """Names of the arguments of the last function, in order."""
    return [a.arg for a in ast.parse(text).body[-1].args.args]


def places(text):
    """name -> path, from the docstring."""
    doc = ast.get_docstring(ast.parse(text).body[-1]) or ""
    return dict(STATE.findall(" ".join(doc.split("\n\n", 1)[-1].split())))


def find(path, spaces):
    """What stands at a path such as net.layers[0].weight."""
    first, *rest = re.findall(r"\w+|\[.+?\]", path)
    value = spaces[first]
    for part in rest:
        value = value[ast.literal_eval(part[1:-1])] if part[0] == "[" else getattr(value, part)
    return value.data if isinstance(value, bp.Tensor) else value


def state_of(text, **spaces):
    """Copies of the arrays that the step begins with, in the order of its arguments."""
    return [np.array(find(path, spaces)) for path in places(text).values()]


def mini_batch(dtype=np.float32, sizes=(784, 30, 10), m=10, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, sizes[0])).astype(dtype), rng.uniform(size=(m, sizes[-1])).astype(dtype)


def trained(net, opt, cost, *batch, times=3):
    """A compiled step that has been called."""
    step = bp.compile(training(net, opt, cost))
    for _ in range(times):
        step(*batch)
    return step


def book():
    net = bp.nn.MLP([784, 30, 10], rng=0)
    opt = SGD(net.parameters(), lr=3.0)
    return net, opt, trained(net, opt, F.quadratic_cost, *mini_batch())


# ---- how it reads --------------------------------------------------------------------------------------------


def test_the_books_net_reads_as_the_book():
    _, _, step = book()
    text = step.source()
    lines = text.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 110
    assert not re.search(r"\w[ \t]+$", text, re.M)
    for line in ("z2 = x @ W2.T + b2", "a2 = sigmoid(z2)", "z3 = a2 @ W3.T + b3", "dW2 = delta2.T @ x", "W2 -= lr * dW2",
                 "return loss"):  # fmt: skip
        assert any(found.strip().partition("  #")[0] == line for found in lines), line
    notes = dict(re.findall(r"(\w+) = .*# (BP\d)", text))
    assert notes == {"delta3": "BP1", "delta2": "BP2", "db3": "BP3", "db2": "BP3", "dW3": "BP4", "dW2": "BP4"}
    assert parameters(text) == ["x", "y", "W2", "b2", "W3", "b3", "lr"]
    assert text.count("def ") == 2


def test_nothing_is_printed_that_nobody_reads():
    _, _, step = book()
    body = ast.parse(step.source()).body[-1]
    names = [n for n in ast.walk(body) if isinstance(n, ast.Name)]
    made = {n.id for n in names if isinstance(n.ctx, ast.Store)} - {"W2", "b2", "W3", "b3"}
    assert made <= {n.id for n in names if isinstance(n.ctx, ast.Load)}
    assert set(parameters(step.source())) <= {n.id for n in names}


def test_delta_is_the_books_error_over_m():
    net, _, step = book()
    net = copy.deepcopy(net).astype(np.float64)
    x, y = mini_batch(np.float64)
    text = step.source().replace("return loss", "return delta3, delta2, dW2")
    found = run(text)(x, y, *(p.data.copy() for p in net.parameters()), 3.0)
    (w2, b2, w3, b3) = (p.data for p in net.parameters())
    a2 = 1 / (1 + np.exp(-(x @ w2.T + b2)))
    a3 = 1 / (1 + np.exp(-(a2 @ w3.T + b3)))
    delta3 = (a3 - y) * a3 * (1 - a3)
    delta2 = (delta3 @ w3) * a2 * (1 - a2)
    for ours, theirs in zip(found, (delta3 / 10, delta2 / 10, delta2.T @ x / 10), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)


def test_the_users_names_are_kept():
    w = bp.Tensor([1.0, 2.0], requires_grad=True)

    @bp.compile
    def step(given):
        w.zero_grad()
        score = np.exp(w * given)
        again = score * score
        energy = np.sum(np.sin(again) + again)
        energy.backward()
        w.data = w.data - 0.1 * w.grad
        return energy

    for _ in range(3):
        step(np.ones(2))
    text = step.source()
    assert parameters(text) == ["given", "w"]
    for name in ("score", "again", "energy"):
        assert re.search(rf"^    {name} = ", text, re.M), name


def test_names_shadow_nothing():
    @bp.compile
    def step(sum, np_, sigmoid):
        np = F.sigmoid(sum + sigmoid)
        t1 = np * np_
        return F.sigmoid(t1 * t1 + np) * t1

    given = [np.linspace(k, 1.0, 3) for k in range(3)]
    for _ in range(3):
        expected = step(*given)
    text = step.source()
    np.testing.assert_allclose(run(text)(*given), expected, rtol=1e-14)
    stored = {
        n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    assert not stored & {"np", "sum", "sigmoid"}
    assert not set(parameters(text)) & {"sum", "np"}


def test_names_change_no_numbers():
    x, y = mini_batch()
    with bp.observe():  # somebody else looks: no names are gathered
        pass
    nets = [bp.nn.MLP([784, 30, 10], rng=0) for _ in range(2)]
    steps = [trained(n, SGD(n.parameters(), lr=1.0), F.quadratic_cost, x, y, times=0) for n in nets]
    for _ in range(4):
        assert steps[0](x, y).item() == steps[1](x, y).item()
    steps[0].source()
    assert steps[0](x, y).item() == steps[1](x, y).item()


# ---- that it runs --------------------------------------------------------------------------------------------


def test_it_runs_with_numpy_alone(tmp_path):
    net, _, step = book()
    step.save(tmp_path / "step.py")
    x, y = mini_batch(seed=1)
    start = [p.data.copy() for p in net.parameters()]
    np.savez(tmp_path / "given.npz", x, y, *start)
    code = """
import sys, importlib.abc
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith("tinygrad"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import numpy as np
from step import step
given = list(np.load("given.npz").values())
costs = [step(*given, 3.0) for _ in range(3)]
np.savez("found.npz", *costs, *given[2:])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = list(np.load(tmp_path / "found.npz").values())
    expected = [step(x, y).item() for _ in range(3)] + [p.data for p in net.parameters()]
    for ours, replayed in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, replayed, rtol=1e-5, atol=1e-6)
    assert not np.array_equal(found[3], start[0])


@settings(max_examples=40)
@given(trainings())
def test_any_net_optimizer_and_cost(drawn):
    dtype, sizes, activations, options, cost, seed, batch = drawn
    net = bp.nn.MLP(sizes, activations, rng=seed, dtype=dtype)
    opt = SGD(net.parameters(), **options)
    x, y = mini_batch(dtype, (sizes[0], sizes[-1]), batch, seed)
    y = np.clip(y, dtype(0.1), dtype(0.9))
    step = bp.compile(training(net, opt, COSTS[cost]))
    for _ in range(4):
        step(x, y)
    text = step.source()
    state = state_of(text, net=net, optimizer=opt)
    page = run(text)
    tolerance = {"rtol": 1e-10, "atol": 1e-12} if dtype is np.float64 else {"rtol": 2e-3, "atol": 1e-4}
    for _ in range(3):
        found = page(x, y, *state)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, training(net, opt, COSTS[cost])(x, y).data, **tolerance)
    for ours, path in zip(state, places(text).values(), strict=True):
        np.testing.assert_allclose(ours, find(path, {"net": net, "optimizer": opt}), **tolerance)


def test_labels_leaky_units_and_dropout():
    net = bp.nn.Sequential(
        bp.nn.Linear(3, 8, rng=0, dtype=float), bp.nn.LeakyReLU(0.1), bp.nn.Dropout(0.3, rng=5),
        bp.nn.Linear(8, 4, rng=1, dtype=float),
    )  # fmt: skip
    opt = SGD(net.parameters(), lr=0.1, momentum=0.9)
    x, labels = np.random.default_rng(0).normal(size=(6, 3)), np.array([0, 3, 1, 1, 2, 0])
    step = trained(net, opt, F.cross_entropy, x, labels, times=4)
    text = step.source()
    assert parameters(text)[-1] == "rng"
    state, page = state_of(text, net=net, optimizer=opt), run(text)
    dropout = next(m for _, m in net.named_modules() if isinstance(m, bp.nn.Dropout))
    rng = copy.deepcopy(dropout.rng)
    for _ in range(3):
        np.testing.assert_allclose(page(x, labels, *state, rng), step(x, labels).item(), rtol=1e-10)
    for ours, path in zip(state, places(text).values(), strict=True):
        np.testing.assert_allclose(ours, find(path, {"net": net, "optimizer": opt}), rtol=1e-9)


FUNCTIONS = {
    "grad": bp.grad(lambda x: np.sum(np.tanh(x) ** 3 * np.max(x))),
    "value_and_grad": bp.value_and_grad(lambda x: np.sum(np.log(x * x + 1)[1:] @ x[1:])),
    "hvp": lambda x: bp.hvp(lambda v: np.sum(np.sin(v) * v[::-1] ** 3), (x,), (x + 1,)),
    "jacobian": bp.jacobian(lambda x: x[1:] * x[:-1]),
    "sort": bp.grad(lambda x: np.sum(np.sort(x) * np.arange(5.0))),
    "linalg": lambda x: np.linalg.inv(np.diag(x) + np.ones((5, 5))),
    "several": lambda x: {"a": np.split(x, [2]), "b": (x.astype(np.float32), x[None], np.array([1.5, -2.0]) * x[:2])},
    "sharing": lambda x: (np.where(x > 0, x, 0.0), np.clip(x, -0.5, None), np.stack([x, x * -1.0])),
    "kinks": bp.grad(lambda x: np.sum(np.where(x > 0, np.sqrt(np.abs(x)), 0) + F.relu(x))),
    "transposes": lambda x: (np.exp(np.stack([x, 2 * x])).T @ np.ones((2, 3)), np.stack([x, x * x]).T.T[1]),
    "constants": lambda x: x * -2.0 + np.float64(1e-3) * x**2 + np.inf * np.sign(x) - (-x) ** 2,
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    x = np.array([0.5, -1.5, 2.0, 0.25, -0.75])
    step = bp.compile(FUNCTIONS[name])
    for _ in range(3):
        expected = step(x)
    text = step.source()
    title = ast.parse(text).body[-1].name
    before = x.copy()
    found = bp.tree.leaves(run(text, title)(x))
    for ours, theirs in zip(found, bp.tree.leaves(expected), strict=True):
        assert (np.shape(ours), ours.dtype) == (np.shape(theirs), theirs.dtype)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    np.testing.assert_array_equal(x, before)


# ---- state -----------------------------------------------------------------------------------------------------


def test_old_values_are_read_before_they_are_lost():
    """A swap, a result that is the old state, and a new value that depends on another's old one."""
    kept = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0]), "c": np.array([5.0, 6.0])}

    def change(s, x):
        a, b = s["a"], s["b"]
        s["a"], s["b"] = b, a
        old = s["c"]
        s["c"] = old * a + x
        return old, s["c"], a.T

    def step(x):
        return change(kept, x)

    compiled = bp.compile(step)
    x = np.array([10.0, 20.0])
    for _ in range(3):
        compiled(x)
    text = compiled.source()
    state = state_of(text, kept=kept)
    twin = dict(zip(places(text), map(np.array, state)))
    twin = {name.removeprefix("kept_"): value for name, value in twin.items()}
    for _ in range(2):
        for ours, theirs in zip(run(text)(x, *state), change(twin, x), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for ours, name in zip(state, places(text), strict=True):
        np.testing.assert_array_equal(ours, twin[name.removeprefix("kept_")])


def test_numbers_that_are_kept_are_returned():
    kept = {"t": np.float64(1.0)}

    def step(x):
        kept["t"] = kept["t"] * 2
        return x * kept["t"]

    step = bp.compile(step)
    for _ in range(3):
        step(np.ones(2))
    page = run(step.source())
    value, t = page(np.ones(2), kept["t"])
    np.testing.assert_array_equal(value, step(np.ones(2)))
    assert t == kept["t"]


def test_a_primitive_of_the_users_is_given_in_its_own_words():
    step = bp.compile(lambda x: stepped(x) * 2)
    x = np.array([1.0, -2.0])
    for _ in range(3):
        expected = step(x)
    text = step.source()
    assert "def stepped(x, least: float=LEAST)" not in text
    np.testing.assert_array_equal(run(text)(x), expected)


def test_what_cannot_be_written_down_is_an_error():
    inner = bp.primitive(lambda x: np.where(np.all(x > 0), x, -x) if np.all(x) else x)
    step = bp.compile(lambda x: inner(x) * 2)
    for _ in range(3):
        step(np.ones(2))
    with pytest.raises(TypeError, match=r"cannot be spelled out in NumPy; expected a function of NumPy"):
        step.source()


def test_before_there_is_a_program():
    with pytest.raises(RuntimeError, match="no program yet"):
        bp.compile(lambda x: x).source()


LEAST = 0.5


def _rest(x):
    return x + LEAST


@bp.primitive
def stepped(x, least: float = LEAST):
    """x, or `least` if all are negative."""
    return _rest(x) if np.any(x > least) else np.full_like(x, least)
