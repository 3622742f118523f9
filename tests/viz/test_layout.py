"""Columns and rows: nothing stands above what it is computed from, and the three-layer net can be read."""

import itertools
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tests.viz.drawing import Box, draw, observed_net, page, read
from tinygrad_bp import viz
from tinygrad_bp.viz.layout import Layout, frames
from tinygrad_bp.viz.vertices import trace

PROGRAMS = [("dot", shutil.which("dot")), ("graphviz-pure", draw._pure_program())]


@st.composite
def programs(draw_from):
    """A result of random ops on parameters, data and earlier results, some in modules."""
    moves = draw_from(
        st.lists(
            st.tuples(st.sampled_from("@+sT*"), st.integers(0, 50), st.integers(0, 50), st.integers(0, 3)),
            min_size=1,
            max_size=25,
        )
    )
    pool = [bp.Tensor(np.ones((2, 2)), requires_grad=True, name=f"w{i}") for i in range(3)]
    data = np.ones((2, 2))
    for move, i, j, _ in moves:
        a, b = pool[i % len(pool)], pool[j % len(pool)]
        results = {"@": a @ b, "+": a + data, "s": np.sin(a), "T": a.T, "*": a * b}
        pool.append(results[move])
    seen = trace(sum(pool[3:]), 10_000)
    modules = draw_from(st.lists(st.sampled_from([None, "a", "a.b", "c"]), min_size=1, max_size=5))
    for v, module in zip(seen, itertools.cycle(modules)):
        v.module = module if v.kind == "op" else None
    return seen


@given(programs())
def test_data_flow_down_the_columns_and_to_the_right(vertices):
    layout = Layout(vertices)
    for i, v in enumerate(vertices):
        for p in layout.parents[i]:
            assert layout.column[p] <= layout.column[i]
            if layout.column[p] == layout.column[i]:
                assert layout.row[p] < layout.row[i] - 1, "an op stands in the row above its result"
        assert layout.row[i] - (v.kind == "op") >= 0
    assert set(layout.column) == set(range(layout.width))


@given(programs())
def test_every_vertex_is_in_one_frame_and_frames_keep_to_their_columns(vertices):
    layout = Layout(vertices)
    found, waiting = [], [frames(layout)]
    while waiting:
        frame = waiting.pop()
        waiting += frame.inner
        assert all(frame.first <= inner.first <= inner.last <= frame.last for inner in frame.inner)
        assert all(frame.first <= layout.column[v.index] <= frame.last for v in frame.vertices)
        assert not frame.path or all(inner.path.startswith(frame.path) for inner in frame.inner if inner.path)
        found += [v.index for v in frame.vertices]
    assert sorted(found) == list(range(len(vertices)))


def test_each_layer_begins_a_column_also_without_modules():
    w = [bp.Tensor(np.ones((2, 2)), requires_grad=True) for _ in range(3)]
    a = np.ones((4, 2))
    for wl in w:
        a = np.tanh(a @ wl.T)
    vertices = trace(np.mean((a - np.zeros((4, 2))) ** 2), 100)
    layout = Layout(vertices)
    columns = {}
    for v in vertices:
        if v.kind == "op":
            columns.setdefault(layout.column[v.index], []).append(v.op)
    assert columns[0] == columns[1] == columns[2] == ["transpose", "matmul", "tanh"]
    assert columns[3] == ["subtract", "power", "mean"]
    parameters = [layout.column[v.index] for v in vertices if v.kind == "parameter"]
    assert parameters == [0, 1, 2]


class Scale(bp.nn.Module):
    """A layer without a matrix product."""

    def __init__(self):
        self.factor = bp.Tensor(np.ones(2), requires_grad=True, name="factor")

    def forward(self, x):
        return x * self.factor


def test_a_module_with_parameters_begins_a_column_and_so_does_what_follows_the_net():
    net = bp.nn.Sequential(bp.nn.Linear(2, 2, rng=0, dtype=np.float64), Scale(), bp.nn.Tanh(), Scale())
    with bp.observe():
        loss = np.sum(np.exp(net(np.ones((4, 2)))))
    vertices = trace(loss, 100)
    layout = Layout(vertices)
    columns = {(v.module, v.op): layout.column[v.index] for v in vertices if v.kind == "op"}
    assert columns == {
        ("0", "transpose"): 0, ("0", "matmul"): 0, ("0", "add"): 0, ("1", "multiply"): 1, ("2", "tanh"): 1,
        ("3", "multiply"): 2, (None, "exp"): 3, (None, "sum"): 3,
    }  # fmt: skip


def test_layers_have_frames_and_single_ops_do_not():
    net = bp.nn.Sequential(bp.nn.Linear(2, 2, rng=0, dtype=np.float64), bp.nn.Tanh(), Scale())
    with bp.observe():
        loss = np.sum(net(np.ones((4, 2))))
    drawn = read(viz.graph(loss))
    assert set(drawn.frames) == {"0", "2"}
    assert drawn.find("tanh") not in set().union(*drawn.frames.values())


def test_a_long_chain_is_wrapped_like_a_paragraph():
    y = bp.Tensor(1.0, requires_grad=True)
    for _ in range(100):
        y = np.sin(y)
    layout = Layout(trace(y, 1000))
    assert layout.width == 10
    assert layout.height <= 22


def test_data_of_later_steps_stand_with_their_steps():
    """A recurrent net: x_t @ u has no past, and yet belongs to step t."""
    u, w = (bp.Tensor(np.ones((2, 2)), requires_grad=True) for _ in range(2))
    h, products = np.zeros((1, 2)), []
    for _ in range(3):
        product = np.ones((1, 2)) @ u
        products.append(product)
        h = np.tanh(product + h @ w)
    vertices = trace(h, 100)
    layout = Layout(vertices)
    tanh = [layout.column[v.index] for v in vertices if v.op == "tanh"]
    x_u = [
        layout.column[v.index]
        for v in vertices
        if v.op == "matmul" and all(p.kind != "op" for p in v.parents) and v.parents[1].shape == (2, 2)
    ]
    assert tanh == [0, 1, 2]
    assert sorted(x_u) == [0, 0, 1, 2]  # x₀u and h₀w, then x₁u and x₂u


# ---- looking at the picture -----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=PROGRAMS, ids=[name for name, _ in PROGRAMS])
def laid_out(request):
    name, program = request.param
    if program is None:
        pytest.skip(f"there is no {name} here")
    source = viz.graph(observed_net(3)[2]).source
    return page(draw._run([program, "-Tsvg"], source))


def test_the_smallest_label_of_a_three_layer_net_has_14_pixels_at_1280_by_720(laid_out):
    scale = min(1280 / laid_out.width, 720 / laid_out.height)
    assert len(laid_out.texts) > 60
    assert min(text.size for text in laid_out.texts) * scale >= 14


def test_no_label_is_wider_than_its_node(laid_out):
    nodes = [(box, texts) for kind, box, texts in laid_out.things if kind == "node"]
    assert len(nodes) > 30
    for box, texts in nodes:
        assert texts
        for text in texts:
            assert box.holds(text, slack=0.5), (box, text)


def test_nothing_is_cut_off(laid_out):
    sheet = Box("page", 0, laid_out.width, 0, laid_out.height)
    for _, box, texts in laid_out.things:
        assert all(sheet.holds(part) for part in [box, *texts])
    assert all(sheet.holds(text) for text in laid_out.texts)


def test_nothing_overlaps(laid_out):
    nodes = [box for kind, box, _ in laid_out.things if kind == "node"]
    layers = [(box, texts) for kind, box, texts in laid_out.things if kind == "cluster"]
    assert len(layers) == 3
    for a, b in itertools.combinations(nodes, 2):
        assert not a.meets(b), (a, b)
    for (a, _), (b, _) in itertools.combinations(layers, 2):
        assert not a.meets(b), (a, b)
    for layer, (title,) in layers:
        assert layer.holds(title)
        for node in nodes:
            assert layer.holds(node) or not layer.meets(node), (layer, node)
            assert not title.meets(node), (title, node)


def test_layers_stand_from_left_to_right(laid_out):
    starts = {texts[0].name: box.x0 for kind, box, texts in laid_out.things if kind == "cluster"}
    assert sorted(starts, key=starts.get) == ["layers.0", "layers.1", "layers.2"]
