"""T37: the book's pictures say the right numbers at the right places, and can be read on a wall."""

# l is the book's name of a layer.
# ruff: noqa: E741

import copy
import itertools
import re
import shutil
from xml.etree import ElementTree

import graphviz
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tests.backprop.nets import case
from tests.viz.drawing import Box, draw, lines, page, read
from tinygrad_bp import viz
from tinygrad_bp.backprop.paths import Layered, Path, recorded
from tinygrad_bp.viz import style

F = bp.nn.functional
PROGRAMS = [("dot", shutil.which("dot")), ("graphviz-pure", draw._pure_program())]


def example(*sizes, activation="sigmoid", dtype=np.float64, seed=0):
    """(net, x, y, cost) of one example."""
    net, x, y, cost = case(sizes, [activation] * (len(sizes) - 1), 1, dtype=dtype, seed=seed)
    return net, x[0], y[0], cost


SMALL = example(3, 4, 4, 2)


@st.composite
def examples(draw_from):
    """((net, x, y, cost), l, j, k): up to 5 layers of up to 30 neurons, and one of its weights."""
    sizes = draw_from(st.lists(st.integers(1, 30), min_size=2, max_size=5))
    activation = draw_from(st.sampled_from(["sigmoid", "tanh", "relu", "linear"]))
    l = draw_from(st.integers(2, len(sizes)))
    j, k = draw_from(st.integers(1, sizes[l - 1])), draw_from(st.integers(1, sizes[l - 2]))
    dtype = draw_from(st.sampled_from([np.float32, np.float64]))
    return example(*sizes, activation=activation, dtype=dtype, seed=draw_from(st.integers(0, 1000))), l, j, k


def written(picture):
    """The attributes of each node, from the DOT text as `Picture` writes it: one line per node."""
    found = {}
    for node, label, rest in re.findall(
        r"^\t(\w+) \[label=<(<TABLE.*</TABLE>)> (.*)\]$", picture.source, re.MULTILINE
    ):
        found[node] = {"label": label} | {
            k: a or b for k, a, b in re.findall(r'(\w+)=(?:"([^"]*)"|(\S+))', rest)
        }
    return found


def said(node):
    """The lines of a node's label, with w^3_24 for a w with the indices 3 above 24; one space for many."""
    found = []
    for table in ElementTree.fromstring(f"<X>{node['label']}</X>").findall("TABLE/TR/TD/TABLE"):
        upper, lower = table.findall("TR")
        under, text = iter(lower), ""
        for cell in upper:
            words = "".join(cell.itertext())
            if not cell.get("ROWSPAN"):
                index = "".join(next(under).itertext())
                words = f"^{words}_{index}" if index else f"^{words}"
            text += words or " "
        found.append(re.sub(" +", " ", text))
    return found


def name(symbol, l, j, k=None):
    comma = "," if k is not None and max(j, k) > 9 else ""
    return f"{symbol}^{l}_{j}{comma}{'' if k is None else k}"


def number(text):
    return float(text.rpartition("=")[2])


def close(text, expected, digits=3):
    """Does the text end in `expected`, rounded to some digits?"""
    return number(text) == pytest.approx(float(f"{expected:.{digits - 1}e}"), rel=1e-9, abs=1e-300)


def lit(picture):
    """(tail, head) -> colours of the edges that are not faint."""
    found = re.findall(r"^\t(\w+) -> (\w+) \[(.*)\]$", picture.source, re.MULTILINE)
    attributes = [(t, h, re.search(r'color="([^"]+)"', rest)) for t, h, rest in found]
    return {(t, h): c[1].split(":") for t, h, c in attributes if c and c[1] != style.LAYER_EDGE}


# ---- one picture after the other --------------------------------------------------------------------------


@given(examples())
def test_T37_a_weight_with_its_bias_and_activation(drawn_net):
    net, l, j, k = drawn_net
    book = bp.backprop.notation(*net)
    picture = viz.draw_weight(*net, l, j, k)
    nodes = written(picture)
    assert " ".join(said(nodes[f"w{l}_{j}_{k}"])).startswith(f"{name('w', l, j, k)} = ")
    assert close(said(nodes[f"w{l}_{j}_{k}"])[-1], book.w[l][j - 1, k - 1])
    assert said(nodes[f"tag{l}_{j}"])[0].startswith(f"{name('b', l, j)} = ")
    assert close(said(nodes[f"tag{l}_{j}"])[0], book.b[l][j - 1, 0])
    for i, q in [(l, j), (l - 1, k)]:
        shown, value = said(nodes[f"a{i}_{q}"])
        assert shown == f"a^{i}_{q}"
        assert close(value, book.a[i][q - 1, 0], 2)
    assert list(lit(picture)) == [(f"a{l - 1}_{k}", f"a{l}_{j}")]
    z, a = said(nodes["note0"])[0].split(" , ")
    assert close(z, book.z[l][j - 1, 0])
    assert close(a, book.a[l][j - 1, 0])


def test_the_text_is_read_as_graphviz_reads_it():
    picture = viz.draw_weight(*SMALL, 3, 2, 4)
    theirs = read(picture).nodes
    assert {name: said(node) for name, node in theirs.items()} == {
        name: said(node) for name, node in written(picture).items()
    }


def test_T37_layers_stand_from_left_to_right_with_their_names():
    nodes = written(viz.draw_weight(*SMALL, 3, 2, 4))
    assert [said(nodes[f"layer{l}"])[0] for l in range(1, 5)] == [
        "layer 1 (input)", "layer 2", "layer 3", "layer 4 (output)",
    ]  # fmt: skip
    x = [[float(nodes[f"a{l}_{j}"]["pos"].split(",")[0]) for j in (1, 2)] for l in range(1, 5)]
    assert all(left[0] == left[1] < right[0] for left, right in itertools.pairwise(x))
    assert said(nodes["title"]) == ["w^3_24 is the weight from neuron 4 of layer 2 to neuron 2 of layer 3"]
    net, x, y, cost = SMALL
    assert close(said(nodes["C"])[0], float(cost(net(x[None]), y[None]).item()))


@given(examples(), st.floats(0.01, 0.5), st.sampled_from([-1, 1]))
def test_T37_the_demon_at_a_neuron(drawn_net, size, sign):
    net, l, j, _ = drawn_net
    book, dz = bp.backprop.notation(*net), sign * size
    picture = viz.draw_demon(*net, l, j, dz)
    nodes = written(picture)
    delta, tolerance = book.delta[l][j - 1, 0], 1e-12 if book.dtype == np.float64 else 1e-4
    assert said(nodes[f"tag{l}_{j}"])[0].startswith("demon: Δz = ")
    assert close(said(nodes[f"tag{l}_{j}"])[0], dz)
    assert said(nodes[f"a{l}_{j}"])[0] == f"z^{l}_{j}+Δz"
    effect, product = said(nodes["C"])
    assert effect == f"ΔC ≈ δ^{l}_{j} Δz"
    assert number(product) == pytest.approx(
        delta * dz, rel=0.006, abs=tolerance * float(np.max(np.abs(book.delta[l])))
    )
    moved = copy.deepcopy(net[0])
    moved.layers[l - 2].bias.data[j - 1] += dz
    C = [np.float64(net[3](n(net[1][None]), net[2][None]).item()) for n in (net[0], moved)]
    assert number(said(nodes["note1"])[0]) == pytest.approx(
        C[1] - C[0], rel=0.006, abs=1e3 * tolerance * float(abs(C[0]))
    )
    drawn = {n for n in nodes if re.fullmatch(r"a\d_\d+", n) and int(n[1]) > l} | {"C"}
    assert {head for _, head in lit(picture)} == drawn
    assert {tail for tail, _ in lit(picture)} == (drawn | {f"a{l}_{j}"}) - {"C"}


def test_T37_the_cost_as_a_function_of_the_outputs():
    net = example(3, 4, 3)
    book = bp.backprop.notation(*net)
    picture = viz.draw_cost(*net)
    nodes = written(picture)
    assert said(nodes["C"])[0].startswith("C(a^3) = ")
    assert [number(line) for line in said(nodes["y"])] == pytest.approx(net[2].tolist(), rel=0.006)
    assert [line[:4] for line in said(nodes["y"])] == ["y^_1", "y^_2", "y^_3"]
    for j in (1, 2, 3):
        assert close(said(nodes[f"w4_1_{j}"])[0], book.nabla_a[j - 1, 0])
    assert lit(picture) == {(f"a3_{j}", "C"): [style.GRADIENT] for j in (1, 2, 3)}
    assert "y -> C [style=dashed]" in picture.source


def test_T37_a_class_as_target_and_many_targets():
    net, x, _, _ = example(3, 4, 3, activation="linear")
    nodes = written(viz.draw_cost(net, x, 2, F.cross_entropy))
    assert said(nodes["y"]) == ["y = 2"]
    nodes = written(viz.draw_cost(*example(3, 12)))
    assert len(said(nodes["y"])) == 5
    assert said(nodes["y"])[-1] == "… 8 more"


@given(examples())
def test_T37_a_in_times_delta_out(drawn_net):
    net, l, j, k = drawn_net
    book = bp.backprop.notation(*net)
    nodes = written(viz.draw_bp4(*net, l, j, k))
    assert close(said(nodes[f"a{l - 1}_{k}"])[1], book.a[l - 1][k - 1, 0], 2)
    shown, value = said(nodes[f"a{l}_{j}"])
    assert shown == f"δ^{l}_{j}"
    assert close(value, book.delta[l][j - 1, 0], 2)
    assert [said(nodes[f"tag{i}_{q}"]) for i, q in [(l - 1, k), (l, j)]] == [["a^_in"], ["δ^_out"]]
    assert close(said(nodes[f"w{l}_{j}_{k}"])[-1], book.nabla_w[l][j - 1, k - 1])
    a_in, error, slope = map(float, re.findall(r"= (\S+) × (\S+) = (\S+) ", said(nodes["note0"])[0])[0])
    assert a_in * error == pytest.approx(slope, rel=0.02, abs=1e-300)


@given(examples(), st.floats(0.01, 0.5))
def test_T37_T22_a_change_of_a_weight_spreads_to_the_cost(drawn_net, dw):
    net, l, j, k = drawn_net
    picture = viz.draw_spread(*net, l, j, k, dw)
    nodes = written(picture)
    moved = copy.deepcopy(net[0])
    moved.layers[l - 2].weight.data[j - 1, k - 1] += dw
    before, after = bp.backprop.notation(*net), bp.backprop.notation(moved, *net[1:])
    rounding = 1e-14 if before.dtype == np.float64 else 1e-5
    changed = [n for n in nodes if re.fullmatch(r"a\d_\d+", n) and said(nodes[n])[0].startswith("Δ")]
    for node in changed:
        i, q = map(int, node[1:].split("_"))
        change = after.a[i][q - 1, 0] - before.a[i][q - 1, 0]
        assert said(nodes[node])[0] == f"Δa^{i}_{q}"
        scale = np.max(np.abs(before.a[i])) + np.max(np.abs(after.a[i]))
        assert number(said(nodes[node])[1]) == pytest.approx(change, rel=0.06, abs=rounding * float(scale))
    later = {n for n in nodes if re.fullmatch(r"a\d_\d+", n) and int(n[1]) > l}
    assert set(changed) == later | {f"a{l}_{j}"}
    slope, step, product = re.findall(r"= (\S+) × (\S+) = (\S+) ", said(nodes["note0"])[0])[0]
    assert close(slope, before.nabla_w[l][j - 1, k - 1])
    assert close(step, dw)
    assert float(product) == pytest.approx(float(slope) * dw, rel=0.02, abs=1e-300)
    C = [np.float64(net[3](n(net[1][None]), net[2][None]).item()) for n in (net[0], moved)]
    expected = pytest.approx(C[1] - C[0], rel=0.006, abs=10 * rounding * float(abs(C[0]) + abs(C[1])))
    assert number(said(nodes["C"])[0]) == expected


def test_T37_T22_one_path_with_its_factors():
    graph = Layered(*SMALL)
    [path] = graph.largest(("w", 2, 3, 1), 1)
    picture = viz.draw_paths(*SMALL, path, k=1)
    nodes = written(picture)
    m, n = path.neurons[1][1], path.neurons[2][1]
    edges = {("a1_1", "a2_3"): "w2_3_1", ("a2_3", f"a3_{m}"): f"w3_{m}_3", (f"a3_{m}", f"a4_{n}"): f"w4_{n}_{m}",
             (f"a4_{n}", "C"): f"w5_1_{n}"}  # fmt: skip
    assert lit(picture) == dict.fromkeys(edges, style.PATHS[:1])
    for node, factor in zip(edges.values(), path.factors, strict=True):
        assert close(said(nodes[node])[0], factor)
    [note] = said(nodes["note0"])
    assert note.startswith(f"w^2_31 → a^2_3 → a^3_{m} → a^4_{n} → C : ")
    assert close(note, path.rate)
    assert note.count("×") == 3


def test_T37_T22_the_largest_paths_share_edges_and_keep_their_colours():
    graph = Layered(*SMALL)
    paths = graph.largest(("w", 2, 3, 1), 5)
    picture = viz.draw_paths(*SMALL, paths, k=1)
    nodes = written(picture)
    assert lit(picture)["a1_1", "a2_3"] == style.PATHS
    for i, path in enumerate(paths):
        [note] = said(nodes[f"note{i}"])
        assert close(note, path.rate)
        assert nodes[f"note{i}"]["fontcolor"] == style.PATHS[i]
        for (l, j), (_, q) in itertools.pairwise(path.neurons):
            assert style.PATHS[i] in lit(picture)[f"a{l}_{j}", f"a{l + 1}_{q}"]


@given(examples(), st.integers(1, 4))
def test_T37_T22_paths_from_a_neuron_and_from_a_weight_whose_start_is_not_told(drawn_net, count):
    net, l, j, k = drawn_net
    graph = Layered(*net)
    for start, factors in [((l, j), 0), (("w", l, j, k), 1), (("b", l, j), 1)]:
        paths = graph.largest(start, count)
        try:
            picture = viz.draw_paths(*net, paths)
        except ValueError as error:
            assert count > 1 and "fewer paths" in str(error)  # noqa: PT017, PT018
            return
        assert (len(paths[0].factors) - len(paths[0].neurons)) == factors
        assert {tail for tail, _ in lit(picture)} == {f"a{i}_{q}" for path in paths for i, q in path.neurons}
        assert [close(said(written(picture)["note0"])[0], paths[0].rate)] == [True]


# ---- large nets, odd numbers, wrong questions ----------------------------------------------------------------


def test_T37_of_a_large_layer_some_neurons_are_drawn_and_always_those_in_question():
    nodes = written(viz.draw_weight(*example(784, 30, 10), 2, 17, 300))
    for l, drawn, more in [(1, [1, 2, 3, 300], 780), (2, [1, 2, 3, 17], 26), (3, [1, 2, 3, 4], 6)]:
        assert [int(n[3:]) for n in nodes if n.startswith(f"a{l}_")] == drawn
        assert said(nodes[f"more{l}"]) == [f"… {more} more"]
    heights = {n: float(nodes[n]["pos"].rstrip("!").split(",")[1]) for n in ("a1_3", "more1", "a1_300")}
    assert heights["a1_3"] > heights["more1"] > heights["a1_300"]
    assert said(nodes["w2_17_300"])[0].startswith("w^2_17,300")
    assert "more1" not in written(viz.draw_weight(*example(5, 5), 2, 1, 1))


def test_T37_a_layer_without_bias_and_numbers_that_are_not_finite():
    net = bp.nn.Linear(2, 2, bias=False, rng=0, dtype=np.float64)
    nodes = written(viz.draw_weight(net, np.array([1.0, np.nan]), np.zeros(2), F.quadratic_cost, 2, 1, 2))
    assert "tag2_1" not in nodes
    assert "b^" not in said(nodes["note0"])[0]
    assert said(nodes["a1_2"]) == ["a^1_2", "nan"]


@pytest.mark.parametrize(
    ("x", "digits", "text"),
    [(0.1234, 3, "0.123"), (-0.0023, 2, "-0.0023"), (0.00055, 2, "5.5e-4"), (-1e-12, 3, "-1e-12"), (0.0, 3, "0"),
     (120.0, 3, "120"), (1e10, 3, "1e10"), (np.float32(2.5), 3, "2.5"), (np.nan, 2, "nan"), (-np.inf, 2, "-inf")],
)  # fmt: skip
def test_numbers_are_written_the_shorter_way(x, digits, text):
    assert style.brief(x, digits) == text


@pytest.mark.parametrize(("l", "j", "k"), [(1, 1, 1), (5, 1, 1), (3, 0, 1), (3, 5, 1), (3, 1, 0), (3, 1, 5)])
def test_T37_indices_that_the_net_does_not_have(l, j, k):
    for picture in (viz.draw_weight, viz.draw_bp4, viz.draw_spread):
        with pytest.raises(IndexError, match=r"expected .*1"):
            picture(*SMALL, l, j, k)
    if k == 1:
        with pytest.raises(IndexError, match=r"expected .*1"):
            viz.draw_demon(*SMALL, l, j)


def test_T37_what_cannot_be_read_is_an_error():
    net, x, y, cost = SMALL
    with pytest.raises(ValueError, match=r"expected one example.*got 2.*x\[0\], y\[0\]"):
        viz.draw_cost(net, np.stack([x, x]), np.stack([y, y]), cost)
    with pytest.raises(ValueError, match=r"at most 5 layers.*smaller net"):
        viz.draw_cost(*example(2, 2, 2, 2, 2, 2))
    with pytest.raises(ValueError, match="not a stack of layers"):
        viz.draw_cost(lambda x: net(x) + net(x), x, y, cost)


@pytest.mark.parametrize(
    ("path", "k", "error"),
    [
        (Path(((2, 1), (3, 1)), (1.0, 1.0)), None, "does not lead through this net"),
        (Path(((2, 1), (4, 1)), (1.0, 1.0)), None, "does not lead through this net"),
        (Path(((3, 1), (4, 1)), (1.0,)), None, "does not lead through this net"),
        (Path((), ()), None, "does not lead through this net"),
        (Path((object(),), (1.0,)), None, "does not lead through this net"),
        (Path(((4, 3),), (1.0,)), None, "no such element"),
        (Path(((4, 1),), (1.0, 1.0)), 5, "no such element"),
    ],
)
def test_T37_paths_that_are_not_of_this_net(path, k, error):
    with pytest.raises((ValueError, IndexError), match=error):
        viz.draw_paths(*SMALL, path, k)


def test_T37_too_many_paths_are_an_error():
    paths = Layered(*SMALL).largest((2, 1), 8)
    for wrong in ([], paths[:6]):
        with pytest.raises(ValueError, match=f"expected 1 to 5, got {len(wrong)}"):
            viz.draw_paths(*SMALL, wrong)
    net = example(2, 9, 9, 9, 2)
    fan = [Path(((2, i), (3, 10 - i), (4, i), (5, 1)), (1.0, 1.0, 1.0, 1.0)) for i in range(1, 6)]
    with pytest.raises(ValueError, match=r"at most 5, got 6; draw fewer paths"):
        viz.draw_paths(*net, fan)


def test_T37_the_net_stays_as_it_was():
    net = SMALL[0]
    before = [p.data.copy() for p in net.parameters()]
    for picture in pictures(SMALL).values():
        assert isinstance(picture, graphviz.Digraph)
        assert "<svg" in picture._repr_mimebundle_()["image/svg+xml"]
    assert all(np.array_equal(p.data, old) and p.grad is None for p, old in zip(net.parameters(), before))


# ---- looking at the pictures ----------------------------------------------------------------------------------


def pictures(net):
    """Each of the six, about weights in the middle of the layers; paths from one weight."""
    sizes = net[0].sizes
    j, k = (sizes[1] + 1) // 2, sizes[0]
    paths = Layered(*net).largest(("w", 2, j, k), 3 if len(sizes) < 5 else 2)
    return {
        "weight": viz.draw_weight(*net, 2, j, k),
        "demon": viz.draw_demon(*net, 2, 1),
        "cost": viz.draw_cost(*net),
        "bp4": viz.draw_bp4(*net, 2, j, k),
        "spread": viz.draw_spread(*net, 2, j, k),
        "paths": viz.draw_paths(*net, paths, k=k),
    }


NETS = {
    "small": SMALL,
    "one neuron": example(1, 1),
    "largest": example(5, 5, 5, 5, 5),
    "wide": example(40, 30, 10),
}


@pytest.fixture(scope="module", params=PROGRAMS, ids=[name for name, _ in PROGRAMS])
def laid_out(request):
    program = request.param[1]
    if program is None:
        pytest.skip(f"there is no {request.param[0]} here")
    drawn = {(size, what): p for size, net in NETS.items() for what, p in pictures(net).items()}
    return {key: page(draw._run([program, "-Tsvg"], p.source)) for key, p in drawn.items()}


def test_T37_the_smallest_label_has_14_pixels_at_1280_by_720(laid_out):
    for key, sheet in laid_out.items():
        scale = min(1280 / sheet.width, 720 / sheet.height)
        assert min(text.size for text in sheet.texts) * scale >= 14, key


def test_T37_nothing_is_cut_off(laid_out):
    for key, sheet in laid_out.items():
        paper = Box("page", 0, sheet.width, 0, sheet.height)
        for _, box, texts in sheet.things:
            assert all(paper.holds(part, slack=1) for part in [box, *texts]), key


def test_T37_no_label_is_wider_than_its_node(laid_out):
    for key, sheet in laid_out.items():
        for _, box, texts in sheet.things:
            assert all(box.holds(text, slack=2) for text in texts), (key, box, texts)


def test_T37_nothing_overlaps(laid_out):
    for key, sheet in laid_out.items():
        boxes = [(box, texts) for _, box, texts in sheet.things]
        for (a, texts), (b, others) in itertools.combinations(boxes, 2):
            assert not a.meets(b, gap=0.5), (key, a, b)
            assert not any(text.meets(b) for text in texts), (key, texts, b)
            assert not any(text.meets(a) for text in others), (key, others, a)
        words = [text for text in sheet.texts if text.name.strip()]
        for a, b in itertools.combinations(words, 2):
            assert not a.meets(b, gap=2.5), (key, a, b)


# ---- paths in a recorded graph ---------------------------------------------------------------------------------


def f(x, y):
    h = np.sin(x) * y
    return h * h + np.exp(h) / x


def test_T22_paths_in_a_recorded_graph_are_lit_with_their_factors():
    graph, [x, _] = recorded(f, 1.2, 0.7)
    paths = graph.largest(x, 3)
    picture = viz.graph(graph.end, paths=paths)
    shown = read(picture)
    edges = re.findall(r"(\w+) -> (\w+) \[(.*)\]", picture.source)
    for path, color in zip(paths, style.PATHS):
        mine = {(tail, head): rest for tail, head, rest in edges if color in rest}
        at, factors = shown.find("x"), []
        for seen in path.neurons[1:]:
            [(op, rest)] = [(head, rest) for (tail, head), rest in mine.items() if tail == at]
            factors.append(float(re.search(r'label=" (\S+) "', rest)[1]))
            [at] = [head for tail, head in mine if tail == op]
            assert style.number(np.float64(seen.value)) in "".join(lines(shown.nodes[at]["label"]))
        assert factors == pytest.approx(path.factors, rel=0.006)
        assert len(mine) == 2 * len(path.factors)
        assert f'<FONT COLOR="{color}">{" × ".join(map(style.brief, path.factors))} = ' in picture.source
    assert b"<svg" in picture.pipe("svg")


def test_T22_two_parallel_edges_have_a_factor_each():
    graph, [x] = recorded(lambda x: x / (x * x), 2.0)
    source = viz.graph(graph.end, paths=graph.paths(x)).source
    assert [float(label) for label in re.findall(r'label=" (\S+) "', source)].count(2.0) == 1
    graph, [x] = recorded(lambda x: x - x, 2.0)
    source = viz.graph(graph.end, paths=graph.paths(x)).source
    assert sorted(re.findall(r'label=" (\S+) "', source)) == ["-1", "1"]


def test_T22_paths_of_another_graph_are_an_error():
    graph, [x, _] = recorded(f, 1.2, 0.7)
    other, _ = recorded(f, 1.2, 0.7)
    with pytest.raises(ValueError, match=r"does not lead through this graph; draw graph\.end"):
        viz.graph(other.end, paths=graph.largest(x, 1))
    with pytest.raises(ValueError, match="expected at most 5, got 6"):
        viz.graph(graph.end, paths=graph.largest(x, 1) * 6)
