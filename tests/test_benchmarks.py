"""The benchmarks time contenders that compute the same numbers; nothing is asserted about time."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_bp as bp

from .benchmarks import chains, costs, floor, measure, ours, peers, second_order, training, versions
from .benchmarks.measure import COMPILED, EAGER, FLOOR
from .benchmarks.tasks import TASKS

HERE = (FLOOR, EAGER, COMPILED)


def small(name):
    """The workload at a size for tests."""
    task = TASKS[name]
    return dataclasses.replace(task, sizes=tuple(min(n, 32) for n in task.sizes), batch=min(task.batch, 16))


def made(makers, task):
    return {name: makers[name](task) for name in HERE}


@pytest.mark.parametrize("name", ["W1", "W1 float64", "W2", "W3"])
def test_the_steps_of_floor_eager_and_compiled_are_the_same(name):
    task = small(name)
    contenders = made(training.MAKERS, task)
    training.agree(contenders, task)
    assert contenders[COMPILED].run.stats["replays"] > 0


def test_the_hessian_products_of_floor_eager_and_compiled_are_the_same():
    contenders = made(second_order.MAKERS, small("W8"))
    second_order.agree(contenders)
    assert contenders[COMPILED].run.stats["replays"] > 0


def test_a_contender_that_computes_something_else_is_found():
    task = small("W2")
    slower = dataclasses.replace(task, rate=task.rate * 1.1)
    with pytest.raises(AssertionError, match="of other"):
        training.agree({FLOOR: floor.Deep(task), "other": floor.Deep(slower)}, task)
    wrong = second_order.ByHand(small("W8"))
    wrong.scale = wrong.scale * np.float32(1.1)
    with pytest.raises(AssertionError, match="other"):
        second_order.agree({FLOOR: second_order.ByHand(small("W8")), "other": wrong})


def test_who_is_not_installed_is_left_out_with_a_word(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    makers = {FLOOR: floor.floor, "JAX jit": peers.Jax, "no second order": second_order.MyGrad}
    found, left_out = measure.gathered(makers, (small("W1"),))
    assert list(found) == [FLOOR]
    assert left_out["JAX jit"] == "left out: not installed (jax)"
    assert "first derivatives only" in left_out["no second order"]


def test_every_contender_has_its_turn_in_every_round():
    calls = {"a": 0, "b": 0}

    def count(name):
        calls[name] += 1

    seconds = measure.interleaved({n: lambda n=n: count(n) for n in calls}, rounds=5, block=1e-6)
    assert {n: len(s) for n, s in seconds.items()} == {"a": 5, "b": 5}
    assert min(calls.values()) >= 4 + 5 * 2
    assert measure.ratios({"a": np.array([1.0, 2.0]), "b": np.array([3.0, 2.0])}, "a")["b"] == [1.5, 2.0, 2.5]


def test_chains_have_the_same_slope():
    both = [c.backward(c.forward(100)) for c in (chains.Floor(), chains.Ours(), chains.Compiled())]
    np.testing.assert_allclose(both, both[0], rtol=1e-12)


def test_the_report_compares_with_the_floor_and_with_us():
    seconds = {name: np.array([1.0, 2.0]) for name in (*HERE, "peer")}
    result = training.report(seconds, {"NumPy": np.array([1.0, 1.0])}, {"other": "left out: not installed"})
    assert result[COMPILED]["ratio to hand-written"] == [1.0, 1.0, 1.0]
    assert result[f"peer / {COMPILED}"] == [1.0, 1.0, 1.0]
    assert result["other"] == "left out: not installed"


def test_start_up_and_memory_are_counted():
    first, eager = costs.start_up(ours.Compiled, small("W1"))
    assert first > 0
    assert eager > 0
    assert costs.memory(ours.Eager, small("W2")) > 0


def test_an_unknown_workload_is_an_error():
    command = [sys.executable, "-m", "tests.benchmarks", "W99"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 2
    assert "there is no workload W99" in found.stderr


def test_another_version_races_under_another_name(capsys):
    try:
        versions.main(Path(bp.__file__).parent, rounds=1)
        other = sys.modules[versions.THERE]
        assert other.Tensor is not bp.Tensor
        assert other.grad(np.sin)(0.0) == 1.0
    finally:
        for name in [name for name in sys.modules if name.startswith(versions.THERE)]:
            del sys.modules[name]
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "W1", "W4, 10,000 ops", "10,000 products",
    ]  # fmt: skip
