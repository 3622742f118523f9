"""The stepper's page holds the engine's run as it was: every number, every step, and none of the user's text as markup."""

import json
import re

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.viz.playback import playback

QUADRATIC = bp.nn.functional.quadratic_cost


def a_net(dtype=np.float64, sizes=(2, 3, 1), batch=2):
    """(net, cost) of an observed forward and backward pass."""
    rng = np.random.default_rng(0)
    net = bp.nn.MLP(list(sizes), rng=0, dtype=dtype)
    x, y = rng.random((batch, sizes[0])).astype(dtype), rng.random((batch, sizes[-1])).astype(dtype)
    with bp.observe():
        cost = QUADRATIC(net(bp.Tensor(x, name="x")), y)
        cost.backward()
    return net, cost


def record(path):
    """The JSON that the page's script reads."""
    text = path.read_text("utf-8")
    return json.loads(re.search(r'<script type="application/json" id="record">(.*?)</script>', text, re.S)[1])


def array(found, number):
    described = found["arrays"][number]
    assert "at" not in described, "the array is not there as a whole"
    return np.array(described["data"], described["dtype"]).reshape(described["shape"])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gradients_on_the_page_are_bit_identical(tmp_path, dtype):
    net, cost = a_net(dtype)
    found = record(bp.viz.stepper(cost, tmp_path / "step.html"))
    by_name = {v["name"]: v for v in found["vertices"]}
    for layer, linear in enumerate(net.layers, start=2):
        for letter, parameter in (("w", linear.weight), ("b", linear.bias)):
            vertex = by_name[f"{letter}^{layer}"]
            assert array(found, vertex["grad"]).tobytes() == parameter.grad.tobytes()
            assert array(found, vertex["value"]).tobytes() == parameter.data.tobytes()


def test_the_steps_are_the_engines_and_the_four_equations_come_out(tmp_path):
    _, cost = a_net()
    found = record(bp.viz.stepper(cost, tmp_path / "step.html"))
    kinds = [step["kind"] for step in found["steps"]]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    assert kinds == sorted(kinds, key=["start", "forward", "seed", "edge", "end"].index)
    names = [v["name"] for v in found["vertices"]]
    came = [(s["bp"], names[s["p"]]) for s in found["steps"] if s.get("bp")]
    assert sorted(came) == sorted(
        [("BP1", "z^3"), ("BP2", "z^2"), ("BP3", "b^3"), ("BP3", "b^2"), ("BP4", "w^3"), ("BP4", "w^2")]
    )
    assert all("<math>" in s["factor"] for s in found["steps"] if s["kind"] == "edge")


def test_shares_add_up_and_the_wrong_gradient_is_what_replacing_gives(tmp_path):
    x = np.array([1.0, 2.0, 3.0])
    path = bp.viz.stepper(lambda x: np.sum(x * x + 5 * x), tmp_path / "step.html", x)
    found = record(path)
    (leaf,) = [v for v in found["vertices"] if v["kind"] == "parameter"]
    np.testing.assert_array_equal(array(found, leaf["grad"]), 2 * x + 5)
    grown = [s for s in found["steps"] if s["kind"] == "edge" and found["vertices"][s["p"]] is leaf]
    assert len(grown) == 3
    total = 0
    for step in grown:
        before, share, after = step["right"]
        total = total + array(found, share)
        assert (before is None) == (step is grown[0])
        np.testing.assert_array_equal(array(found, after), total)
    assert found["differs"]
    last = array(found, grown[-1]["right"][1])
    np.testing.assert_array_equal(array(found, leaf["wrong"]), last)  # `=` keeps the last share alone
    assert not np.array_equal(last, array(found, leaf["grad"]))


def test_a_function_leaves_gradients_alone(tmp_path):
    w = bp.Tensor([2.0], requires_grad=True, name="w")
    bp.viz.stepper(lambda x: np.sum(w * x), tmp_path / "step.html", np.array([3.0]))
    assert w.grad is None


def test_hostile_names_stay_text(tmp_path):
    evil = "</script><img src=x onerror=alert(1)>&\"'"
    x = bp.Tensor([1.0, 2.0], requires_grad=True, name=evil)
    with bp.observe():
        cost = np.sum(x * x)
        cost.backward()
    path = bp.viz.stepper(cost, tmp_path / "step.html", title=evil)
    text = path.read_text("utf-8")
    assert "<img" not in text
    assert text.count("</script>") == 2
    found = record(path)
    assert not any("<img" in (v["math"] + v["gmath"] + v.get("forward", "")) for v in found["vertices"])


def test_the_page_loads_nothing_and_is_small_for_the_digits_net(tmp_path):
    _, cost = a_net(sizes=(64, 30, 10), batch=10)
    path = bp.viz.stepper(cost, tmp_path / "step.html")
    text = path.read_text("utf-8")
    assert path.stat().st_size < 3_000_000
    assert not re.search(
        r"""(src|href)\s*=\s*["'](?!data:,)|@import|url\(|fetch\(|XMLHttpRequest|https?://(?!www\.w3\.org)""",
        text,
    )


def test_large_arrays_show_entries_that_the_engine_had(tmp_path):
    big = np.random.default_rng(0).standard_normal((400, 300))
    path = bp.viz.stepper(lambda x: np.sum(x * x), tmp_path / "step.html", big)
    found = record(path)
    (leaf,) = [v for v in found["vertices"] if v["kind"] == "parameter"]
    shown = found["arrays"][leaf["value"]]
    assert len(shown["data"]) == shown["grid"][0] * shown["grid"][1] <= 4096
    np.testing.assert_array_equal(big.ravel()[shown["at"]], shown["data"])
    assert shown["most"] == np.abs(big).max()


def test_nan_and_infinity_are_told(tmp_path):
    with np.errstate(all="ignore"):
        path = bp.viz.stepper(lambda x: np.sum(np.log(x)), tmp_path / "step.html", np.array([0.0, -1.0, 1.0]))
    data = [a["data"] for a in record(path)["arrays"] if "data" in a]
    assert ["-Infinity", "NaN", 0.0] in data


def unobserved():
    x = bp.Tensor([1.0], requires_grad=True)
    return np.sum(x * x)


def without_backward():
    x = bp.Tensor([1.0], requires_grad=True)
    with bp.observe():
        return np.sum(x * x)


@pytest.mark.parametrize(
    ("make", "words"),
    [(unobserved, "bp.observe"), (without_backward, "backward")],
    ids=["unobserved", "forward"],
)
def test_what_cannot_be_played_is_an_error_and_leaves_no_file(tmp_path, make, words):
    with pytest.raises(ValueError, match=words):
        bp.viz.stepper(make(), tmp_path / "step.html")
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="make it first"):
        bp.viz.stepper(a_net()[1], tmp_path / "nowhere" / "step.html")


def test_a_function_without_a_number_is_told(tmp_path):
    with pytest.raises(ValueError, match="one number"):
        bp.viz.stepper(lambda x: x * x, tmp_path / "step.html", np.ones(3))


def test_the_order_is_the_sweeps():
    """Of two branches the one that was recorded last is visited first, whatever a drawing does."""
    x = bp.Tensor([1.0, 2.0], requires_grad=True, name="x")
    with bp.observe():
        old, new = np.sin(x), np.cos(x)
        cost = np.sum(new * old)
        cost.backward()
    edges = [s.v.op for s in playback(cost).steps if s.kind == "edge"]
    assert edges.index("cos") < edges.index("sin")
