"""Summaries, heatmaps, edges, highlights, dark paper, directions: what larger and closer drawings promise."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tests.viz.drawing import draw, lines, observed_net, page, read
from tests.viz.test_layout import programs
from tinygrad_bp import viz
from tinygrad_bp.viz import style
from tinygrad_bp.viz.collapse import fitting, stands_for
from tinygrad_bp.viz.highlight import COLORS

cost = bp.nn.functional.quadratic_cost


def texts(picture):
    drawn = read(picture)
    return [line for node in drawn.nodes.values() for line in lines(node["label"])]


def deep_net(layers=100):
    net = bp.nn.MLP([3, *[4] * layers, 2], rng=0, dtype=np.float64)
    with bp.observe() as run:
        cost(net(np.ones((2, 3))), np.zeros((2, 2))).backward()
    return net, run


@given(programs(), st.integers(0, 2), st.integers(3, 20))
def test_a_summary_has_no_cycle_and_loses_nothing(vertices, depth, most):
    known = [v for v in vertices if v.kind == "op"]
    shown = fitting(vertices, depth, most)
    for i, v in enumerate(shown):
        assert v.index == i
        assert all(p.index < i for p in v.parents if not p.inline)
    assert len(shown) <= most
    assert sum(map(stands_for, shown)) == len(vertices)
    assert sum(map(ops_in, shown)) == len(known)


def ops_in(v):
    return sum(map(ops_in, v.inside)) if v.inside else v.kind == "op"


def test_collapsed_modules_show_shapes_and_parameter_counts():
    found = texts(viz.graph(observed_net()[2], depth=1))
    assert {"layers.0", "3 ops, 20 parameters", "(4, 3) → (4, 5)"} <= set(found)
    assert "weight" not in found


def test_depth_0_is_the_net_as_one_box():
    net, _, run = observed_net()
    found = texts(viz.graph(run, depth=0))
    assert f"12 ops, {sum(p.size for p in net.parameters())} parameters" in found


def test_repeated_blocks_are_drawn_once_with_their_number():
    found = texts(viz.graph(deep_net()[1], depth=1))
    assert "layers.1 … layers.99 ×99" in found
    assert "396 ops, 1,980 parameters" in found


def test_a_net_of_1000_ops_stays_under_the_cap():
    _, run = deep_net(250)
    assert len(run) > 1000
    assert len(read(viz.graph(run)).nodes) <= 120
    with bp.observe() as run:  # nothing here is repeated, and no module is there
        y = bp.Tensor(np.ones(3), requires_grad=True)
        for i in range(1000):
            y = (np.sin, np.cos, np.tanh)[i * i * i % 7 % 3](y) if i * i % 11 % 3 else y * y
    picture = viz.graph(run, max_nodes=41)
    assert "more" in picture.source or "×" in picture.source
    assert len(read(picture).nodes) <= 2 * 41
    assert b"<svg" in picture.pipe("svg")


def test_constants_may_be_left_out():
    picture = viz.graph(observed_net()[2], constants=False)
    assert {"x", "y"}.isdisjoint(texts(picture))
    assert "2 constants not drawn" in picture.source


def test_values_as_heatmaps():
    x = bp.Tensor([[1.0, -2.0], [0.0, np.nan]], requires_grad=True)
    with bp.observe():
        y = np.sum(x)
    source = viz.graph(y, values="heatmap").source
    for color in (style.HEAT[9], style.NEGATIVE, style.PAPER, style.ALARM):
        assert f'BGCOLOR="{color}"' in source
    assert len(style.heat(np.zeros((100, 30)))) == 8


def test_on_the_edges_factors_and_contributions_add_up():
    x = bp.Tensor(3.0, requires_grad=True, name="x")
    with bp.observe() as run:
        (4 * (x * x + 2 * x)).backward()
    picture = viz.graph(run, edges="local")
    assert "grad 32 = 12 + 12 + 8" in texts(picture)
    assert picture.source.count(">3 × 4<") == 2
    assert ">2 × 4<" in picture.source


def test_a_rule_without_a_written_form_is_named():
    x = bp.Tensor([1.0, 0.0], requires_grad=True)
    with bp.observe() as run, np.errstate(all="ignore"):
        np.sum(np.log(x)).backward()
    source = viz.graph(run, edges="local").source
    assert "VJP of sum" in source
    assert "lambda" not in source


def test_a_gradient_of_which_only_a_part_comes_from_here_says_so():
    x = bp.Tensor(3.0, requires_grad=True, name="x")
    with bp.observe():
        y = x * 2
        (y + x * 5).backward()
    assert "grad 7 (2 of it from here)" in texts(viz.graph(y, edges="local"))


def test_the_books_names_and_equations():
    source = viz.graph(observed_net()[2], edges="local").source
    assert "δ^2/m" in source
    assert all(f"by BP{i}" in source for i in (1, 2, 3, 4))


def test_highlights_and_their_legend():
    x = bp.Tensor([1.0, 0.0], requires_grad=True, name="x")
    unused = bp.Tensor([1.0], requires_grad=True, name="unused")
    with bp.observe() as run, np.errstate(all="ignore"):
        np.sin(unused)
        h = bp.nn.functional.sigmoid(x * 100)
        np.sum(np.log(x) + h).backward()
    picture = viz.graph(run, highlight=("nan", "no gradient", "saturated"))
    found = texts(picture)
    assert found.count("NaN or ∞ begins") == 1
    assert "no gradient" in found
    assert "1 of 2 saturated" in found
    assert all(text in picture.source for text in COLORS.values())
    assert "thick border" not in viz.graph(run, highlight=()).source
    with pytest.raises(ValueError, match="highlight"):
        viz.graph(run, highlight=["nonsense"])


def test_a_nan_of_the_backward_pass_is_found_where_it_begins():
    x = bp.Tensor([0.0, 1.0], requires_grad=True)
    with bp.observe() as run, np.errstate(all="ignore"):
        np.sum(np.log1p(x - 1) * 0 + np.log1p(x - 1)).backward()
    assert any("begins" in text for text in texts(viz.graph(run)))


@pytest.mark.parametrize("direction", ["page", "down", "right"])
def test_directions(direction):
    laid_out = page(viz.graph(observed_net()[2], direction=direction).pipe("svg"))
    assert (laid_out.width > 2 * laid_out.height) == (direction == "right")


@pytest.mark.parametrize(
    "wrong", [{"depth": -1}, {"values": "hot"}, {"edges": "all"}, {"direction": "up"}, {"max_nodes": 0}]
)
def test_unknown_options_are_named(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=rf"graph\({name}=…\); expected"):
        viz.graph(np.sin(bp.Tensor(1.0, requires_grad=True)), **wrong)


# ---- dark paper -----------------------------------------------------------------------------------------


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("dark", [False, True])
def test_words_have_the_contrast_of_AA(dark):
    inks = [style.INK, style.MUTED, style.GRADIENT, style.ALARM, style.UNTAUGHT, style.SATURATED]
    papers = [
        style.PAPER,
        style.PARAMETER_FILL,
        style.CONSTANT_FILL,
        style.OP_FILL,
        style.MODULE_FILL,
        style.LAYER_FILL,
    ]
    for ink in inks:
        for paper in papers:
            a, b = (luminance(style.DARK[c] if dark else c) for c in (ink, paper))
            assert (max(a, b) + 0.05) / (min(a, b) + 0.05) >= 4.5, (ink, paper)


def test_on_dark_paper_no_colour_is_left_from_the_light_one():
    dark = viz.graph(observed_net()[2], values="heatmap").dark()
    left = set(re.findall(r"#[0-9a-f]{6}", dark.source)) & set(style.DARK) - set(style.DARK.values())
    assert not left
    assert isinstance(dark, viz.Picture)


@given(st.text(alphabet='<>&"\\\n{}|#]1f2933é🙂 ', max_size=20))
def test_any_text_in_a_module_a_name_or_a_title_is_shown(name):
    x = bp.Tensor([1.0], requires_grad=True, name=name)
    with bp.observe() as run:
        np.sin(np.cos(x)).backward()
    for seen in run:
        seen.module = name
    for picture in (viz.graph(run, depth=1), viz.graph(run, edges="local").dark()):
        read(picture)
        assert b"<svg" in draw.draw(picture.source, "svg")
    if name.strip() and len(name) <= style.LONGEST_NAME:
        assert style.clean(name) in texts(viz.graph(run).dark())


def test_a_name_that_looks_like_a_colour_is_not_translated():
    x = bp.Tensor([1.0], requires_grad=True, name=style.INK)
    assert style.INK in texts(viz.graph(np.sin(x)).dark())


# ---- neurons --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edges", ["gradient", "weight"])
def test_neurons_tell_delta_and_edges_are_as_thick_as_they_count(edges):
    net = bp.nn.MLP([3, 4, 2], rng=0, dtype=np.float64)
    x, y = np.array([1.0, 0.5, -1.0]), np.array([1.0, 0.0])
    source = viz.draw_net(net, x, y, cost, edges=edges).source
    book = bp.backprop.notation(net, x, y, cost)
    numbers = book.nabla_w if edges == "gradient" else book.w
    assert source.count("penwidth=6.00") == 1
    assert source.count("style=dashed") == sum(int((numbers[layer] < 0).sum()) for layer in (2, 3))
    assert style.brief(book.delta[3][1, 0], 2) in source
    with pytest.raises(ValueError, match="edges"):
        viz.draw_net(net, x, y, cost, edges="both")
