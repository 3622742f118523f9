"""What a drawing says: every op and value, the layers, the numbers; and how it says no."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tests.viz.drawing import draw, lines, observed_net, read
from tinygrad_bp import viz
from tinygrad_bp.viz import style


@pytest.fixture(scope="module")
def net_loss_run():
    return observed_net()


@pytest.fixture(scope="module")
def drawn(net_loss_run):
    return read(viz.graph(net_loss_run[2]))


def text_of(drawn, name):
    return lines(drawn.nodes[name]["label"])


def test_every_op_is_an_ellipse_with_its_operands_and_one_result(net_loss_run, drawn):
    run = net_loss_run[2]
    assert len(drawn.ops()) == len(run)
    for name in drawn.ops():
        (result,) = drawn.out_of(name)
        assert result in drawn.values()
        assert drawn.into(result) == [name]
    operands = [sum(np.ndim(p.value) > 0 or p.kind != "constant" for p in seen.parents) for seen in run]
    assert sorted(len(drawn.into(name)) for name in drawn.ops()) == sorted(operands)


def test_data_flow_from_the_parameters_to_the_result(drawn):
    (result,) = [name for name in drawn.values() if not drawn.out_of(name)]
    above, waiting = set(), [result]
    while waiting:
        name = waiting.pop()
        above.add(name)
        waiting += [n for n in drawn.into(name) if n not in above]
    assert above == set(drawn.nodes)


def test_names_shapes_and_dtypes(drawn):
    assert text_of(drawn, drawn.find("x"))[1] == "(4, 3) float64"
    assert text_of(drawn, drawn.find("out"))[1] == "(4, 2) float64"
    assert text_of(drawn, drawn.find("result"))[1] == "scalar float64"
    assert [text_of(drawn, n)[1] for n in drawn.values() if text_of(drawn, n)[0] == "weight"] == [
        "(5, 3) float64",
        "(4, 5) float64",
        "(2, 4) float64",
    ]


def test_parameters_and_constants_are_marked(drawn):
    looks = {text_of(drawn, n)[0]: (v["fillcolor"], v["style"]) for n, v in drawn.values().items()}
    assert looks["weight"] == looks["bias"] == (style.PARAMETER_FILL, "rounded,filled,bold")
    assert looks["x"] == looks["y"] == (style.CONSTANT_FILL, "rounded,filled,dashed")
    assert looks["out"] == (style.VALUE_FILL, "rounded,filled")
    marked = [n for n, v in drawn.nodes.items() if v["fillcolor"] == style.PARAMETER_FILL]
    assert len(marked) == 6


def test_layers_are_frames_around_their_ops_and_parameters(drawn):
    assert sorted(drawn.frames) == ["layers.0", "layers.1", "layers.2"]
    for inside in drawn.frames.values():
        assert sorted(text_of(drawn, n)[0] for n in inside if n in drawn.ops()) == ["+", "@", "xᵀ"]
        assert sorted(text_of(drawn, n)[0] for n in inside if n in drawn.values())[-2:] == ["bias", "weight"]
    outside = set(drawn.nodes) - set().union(*drawn.frames.values())
    assert {drawn.find("x"), drawn.find("y"), drawn.find("out")} <= outside


def test_values_and_gradients_are_the_runs(net_loss_run, drawn):
    net, loss, _ = net_loss_run
    weight = net.layers[0].weight
    low, high = weight.data.min(), weight.data.max()
    g_low, g_high = weight.grad.min(), weight.grad.max()
    first = next(n for n in drawn.values() if "(5, 3) float64" in text_of(drawn, n))
    assert text_of(drawn, first)[2:] == [f"{low:.2g} to {high:.2g}", f"grad {g_low:.2g} to {g_high:.2g}"]
    assert text_of(drawn, drawn.find("result"))[2:] == [f"{loss.item():.3g}", "grad 1"]
    assert "grad" not in " ".join(text_of(drawn, drawn.find("x")))


def test_without_numbers(net_loss_run):
    drawn = read(viz.graph(net_loss_run[2], values=False))
    assert text_of(drawn, drawn.find("x")) == ["x", "(4, 3) float64"]
    assert all("grad" not in text for n in drawn.values() for text in text_of(drawn, n))


def test_an_observed_tensor_is_drawn_after_its_graph_is_freed(net_loss_run):
    _, loss, run = net_loss_run
    of_tensor, of_run = read(viz.graph(loss)), read(viz.graph(run))
    assert sorted(text_of(of_tensor, n) for n in of_tensor.nodes) == sorted(
        text_of(of_run, n) for n in of_run.nodes
    )


def test_a_part_of_a_run():
    x = bp.Tensor([1.0, 2.0], requires_grad=True, name="x")
    with bp.observe():
        y = np.sin(x)
        np.sum(y * np.array([2.0, 3.0])).backward()
    drawn = read(viz.graph(y))
    assert [text_of(drawn, n) for n in drawn.ops()] == [["sin"]]
    assert text_of(drawn, drawn.find("y"))[-1] == "grad [2, 3]"


def test_without_a_legend(net_loss_run):
    assert "parameter</TD>" in viz.graph(net_loss_run[2]).source
    assert "parameter</TD>" not in viz.graph(net_loss_run[2], legend=False).source


def test_an_unobserved_graph_is_drawn_in_shapes_and_says_how_to_observe():
    w = bp.Tensor(np.ones((3, 2), np.float32), requires_grad=True, name="w")
    y = np.mean(np.ones((4, 3), np.float32) @ w - np.zeros((4, 2), np.float32))
    picture = viz.graph(y)
    drawn = read(picture)
    assert text_of(drawn, drawn.find("w")) == ["w", "(3, 2) float32"]
    assert text_of(drawn, drawn.find("@")) == ["@"]
    assert len(drawn.into(drawn.find("−"))) == 2
    assert "with bp.observe():" in picture.source
    assert "with bp.observe():" not in viz.graph(observed_net(1)[2]).source


def test_before_backward_the_legend_says_what_is_missing():
    x = bp.Tensor([1.0, 2.0], requires_grad=True)
    with bp.observe():
        y = np.sum(x)
    assert "call .backward()" in viz.graph(y).source


def test_a_freed_graph_is_an_error_with_three_ways_out():
    x = bp.Tensor([1.0, 2.0], requires_grad=True)
    y = np.sum(np.sin(x))
    y.backward(retain_graph=True)
    assert len(read(viz.graph(y)).ops()) == 2
    y.backward()
    with pytest.raises(bp.FreedGraph, match=r"before \.backward.*retain_graph=True.*bp\.observe"):
        viz.graph(y)


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(ValueError, match="records nothing"):
        viz.graph(bp.Tensor([1.0]))
    with pytest.raises(TypeError, match=r"needs a Tensor or an observed run; got array"):
        viz.graph(np.ones(2))
    with bp.observe() as run:
        np.sum(np.ones(2))
    with pytest.raises(ValueError, match="observed nothing"):
        viz.graph(run)


def chain(length):
    y = bp.Tensor(1.0, requires_grad=True, name="x")
    for _ in range(length):
        y = np.sin(y)
    return y


def test_a_graph_that_nobody_could_read_is_refused_without_a_crash():
    with pytest.raises(ValueError, match=r"max_nodes; expected at most 100,000"):
        viz.graph(chain(100_000))


def test_beyond_max_nodes_repeated_blocks_are_drawn_once():
    with bp.observe() as run:
        chain(1000)
    assert "×999" in viz.graph(run).source
    assert len(read(viz.graph(run)).nodes) < 8


def test_beyond_max_nodes_the_middle_is_counted():
    parameters = [bp.Tensor([1.0], requires_grad=True) for _ in range(500)]
    picture = viz.graph(np.sum(np.stack(parameters)))
    assert "… 384 more" in picture.source  # of 502
    assert len(read(picture).nodes) < 130


def test_a_deep_graph_is_drawn_if_asked_for():
    picture = viz.graph(chain(3000), max_nodes=3001)
    assert picture.source.count("shape=ellipse") == 3000
    assert picture.source.count('color="#52606d"') == 1  # the edges' colour is said once, not 6,000 times


def test_a_leaf_alone():
    assert len(read(viz.graph(bp.Tensor([1.0], requires_grad=True, name="w"))).nodes) == 1


def test_the_same_program_gives_the_same_text():
    code = "from tests.viz.drawing import *; print(bp.viz.graph(observed_net()[2]).source)"
    root = Path(__file__).parents[2]
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            check=True,
            cwd=root,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
    assert viz.graph(observed_net()[2]).source == viz.graph(observed_net()[2]).source


# ---- what ops and numbers look like ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "text"),
    [
        (lambda x: x**2, "x²"),
        (lambda x: x**-0.5, "x ^ -0.5"),
        (lambda x: 1 - x, "1 − x"),
        (lambda x: x * 0.5, "x × 0.5"),
        (lambda x: x / 4, "x / 4"),
        (lambda x: x * x, "⊙"),
        (lambda x: -x, "−x"),
        (lambda x: x.T, "xᵀ"),
        (lambda x: x @ x.T, "@"),
        (lambda x: np.sum(x, axis=1), "Σ axis=1"),
        (lambda x: x[0], "x[0]"),
        (lambda x: x[:, 1:], "x[:, 1:]"),
        (lambda x: x[np.array([0, 1])], "x[index]"),
        (lambda x: x[np.array(1)], "x[1]"),
        (lambda x: x[np.array([0, 1]), 0], "x[array, 0]"),
        (lambda x: np.reshape(x, (4,)), "reshape (4,)"),
        (lambda x: bp.nn.functional.sigmoid(x), "σ"),
        (lambda x: bp.nn.functional.relu(x), "ReLU"),
        (lambda x: np.exp(x), "exp"),
    ],
)
def test_ops_are_written_in_symbols_with_their_numbers(f, text):
    x = bp.Tensor(np.ones((2, 2)), requires_grad=True)
    with bp.observe() as run:
        f(x)
    drawn = read(viz.graph(run))
    assert text in [label for n in drawn.ops() for label in text_of(drawn, n)]


@pytest.mark.parametrize(
    ("array", "text", "finite"),
    [
        (0.1234567, "0.123", True),
        ([[2.0]], "2", True),
        ([1.0, -0.5], "[1, -0.5]", True),
        (np.arange(5), "0 to 4", True),
        (np.full((3, 3), 0.125), "all 0.125", True),
        ([0.1251, 0.126, 0.1252], "0.125 to 0.126", True),
        (1 + np.arange(3) * 1e-15, "1 to 1.000000000000002", True),
        (np.zeros((0, 3)), "empty", True),
        (np.array([1 + 1j, 0, 0]), "|·| up to 1.41", True),
        ([np.nan, 1.0, np.inf], "2 of 3 not finite", False),
        (np.nan, "nan", False),
        (np.array([True, False, True]), "False to True", True),
    ],
)
def test_numbers_in_a_few_characters(array, text, finite):
    assert style.numbers(np.asarray(array)) == (text, finite)


def test_what_is_not_finite_is_in_another_colour():
    x = bp.Tensor([1.0, np.nan], requires_grad=True)
    with bp.observe() as run:
        np.sum(x)
    assert style.ALARM in viz.graph(run).source


@given(st.text(max_size=60))
def test_any_text_in_a_name_is_shown_as_it_is(name):
    x = bp.Tensor([1.0], requires_grad=True, name=name)
    with bp.observe():
        y = np.sin(x)
    picture = viz.graph(y, legend=False)
    drawn = read(picture)
    shown = style.short(name, style.LONGEST_NAME)
    (leaf,) = [n for n in drawn.values() if drawn.nodes[n]["fillcolor"] == style.PARAMETER_FILL]
    if name:
        assert text_of(drawn, leaf)[0] == shown
    assert b"<svg" in draw.draw(picture.source, "svg")


@pytest.mark.parametrize(
    "name", [r"\N \G \L \l", '"quoted"', "<b>&amp;</b>", "</TD>", "]]>", "]", "]]", "{a|b}", "%s", "🙂 é"]
)
def test_difficult_names_reach_the_page(name):
    from tests.viz.drawing import page

    x = bp.Tensor([1.0], requires_grad=True, name=name)
    shown = [text.name.replace("\xa0", " ") for text in page(viz.graph(np.sin(x)).pipe("svg")).texts]
    assert name in shown


def test_a_module_may_be_called_anything():
    class Odd(bp.nn.Module):
        def __init__(self):
            vars(self)['<a> "b" \\N'] = bp.nn.Linear(2, 2, rng=0)

        def forward(self, x):
            return vars(self)['<a> "b" \\N'](x)

    with bp.observe():
        y = np.sum(Odd()(np.ones((1, 2), np.float32)))
    assert b"&lt;a&gt; &quot;b&quot; \\N" in viz.graph(y).pipe("svg")


# ---- the drawing as an object ---------------------------------------------------------------------------


def test_it_is_a_digraph_and_shows_itself_in_a_notebook():
    import graphviz

    picture = viz.graph(np.sin(bp.Tensor([1.0], requires_grad=True)))
    assert isinstance(picture, graphviz.Digraph)
    bundle = picture._repr_mimebundle_()
    assert list(bundle) == ["image/svg+xml"]
    assert "<svg" in bundle["image/svg+xml"]


def test_an_array_of_exponents_without_constants():
    x = bp.Tensor(np.ones(3) * 2, requires_grad=True, name="x")
    with bp.observe() as run:
        np.sum(np.power(x, np.array([1.0, 2.0, 3.0]))).backward()
    with_constants, without = (bp.viz.graph(run, constants=shown).source for shown in (True, False))
    assert len(without) < len(with_constants)
