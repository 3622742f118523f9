"""Plots: the numbers that were given, legible text, no global state."""

import itertools
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

import tinygrad_bp as bp
from tinygrad_bp import viz

HISTORY = SimpleNamespace(
    loss=[0.8, 0.4, 0.2, 0.15], accuracy=[0.5, 0.8, 0.9, 0.94], test_accuracy=[0.4, 0.75, 0.86, 0.9]
)


def lines(ax):
    """name -> (x, y) of all lines on this Axes and its twin."""
    found = {}
    for axes in ax.figure.axes:
        for line in axes.get_lines():
            found[line.get_label()] = (list(line.get_xdata()), list(line.get_ydata()))
    return found


def drawn(ax):
    """The picture, as an array of pixels."""
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def texts(ax):
    return [t for t in ax.figure.findobj(Text) if t.get_visible() and t.get_text()]


def test_the_curves_are_the_history():
    found = lines(viz.plot_learning_curve(HISTORY))
    assert found["loss"] == ([1, 2, 3, 4], HISTORY.loss)
    assert found["training accuracy"][1] == pytest.approx([50, 80, 90, 94])
    assert found["test accuracy"][1] == pytest.approx([40, 75, 86, 90])


def test_a_real_history_and_one_without_accuracies():
    assert set(lines(viz.plot_learning_curve(bp.training.History(loss=[0.5])))) == {"loss"}
    ax = viz.plot_learning_curve(bp.training.History(loss=[0.5, 0.4], test_accuracy=[0.1, 0.2]))
    assert set(lines(ax)) == {"loss", "test accuracy"}
    assert [axes.get_ylabel() for axes in ax.figure.axes] == ["loss", "accuracy (%)"]
    assert ax.get_xlabel() == "epoch"


def test_a_history_without_epochs_is_an_error():
    with pytest.raises(ValueError, match="no loss to draw"):
        viz.plot_learning_curve(bp.training.History())


@pytest.mark.parametrize(
    "loss", [[np.nan], [np.nan, 1.0], [np.inf, 2.0], [0.0, 0.0], [-1.0, -2.0], [1.0] * 500]
)
def test_any_loss_is_drawn(loss):
    ax = viz.plot_learning_curve(bp.training.History(loss=loss))
    drawn(ax)
    assert len(lines(ax)["loss"][1]) == len(loss)


def test_bars_are_the_norms():
    ax = viz.plot_delta_norms({2: 0.1, 3: 0.4, 4: 0.25})
    assert [bar.get_height() for bar in ax.patches] == [0.1, 0.4, 0.25]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2", "3", "4"]
    assert ax.get_yscale() == "linear"
    assert {"0.1", "0.4", "0.25"} <= {t.get_text() for t in texts(ax)}


def test_bars_of_a_real_net():
    net = bp.nn.MLP([3, 4, 2], rng=0, dtype=np.float64)
    norms = bp.backprop.delta_norms(net, np.ones((4, 3)), np.zeros((4, 2)), bp.nn.functional.quadratic_cost)
    assert [bar.get_height() for bar in viz.plot_delta_norms(norms).patches] == list(norms.values())


def test_norms_far_apart_are_drawn_on_a_logarithmic_axis():
    ax = viz.plot_delta_norms({2: 1e-6, 3: 1e-3, 4: 0.0, 5: np.nan, 6: np.inf})
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    assert low < 1e-6 < 1e-3 < high
    assert {"1e-06", "0.001", "0", "nan", "inf"} <= {t.get_text() for t in texts(ax)}


@pytest.mark.parametrize("norms", [{2: 0.0}, {2: np.nan, 3: np.nan}])
def test_norms_without_any_bar(norms):
    ax = viz.plot_delta_norms(norms)
    drawn(ax)
    assert {f"{norm:.3g}" for norm in norms.values()} <= {t.get_text() for t in texts(ax)}


@pytest.mark.parametrize("norms", [{}, [], [{}]])
def test_no_layers_is_an_error(norms):
    with pytest.raises(ValueError, match="no norms to draw"):
        viz.plot_delta_norms(norms)


def test_T25_norms_over_training_are_a_line_per_layer():
    (x, labels), _ = bp.data.load_digits()
    y, cost = bp.data.one_hot(labels, 10), bp.nn.functional.quadratic_cost
    net = bp.nn.MLP([64, 15, 15, 10], rng=0)
    sgd, norms = bp.optim.SGD(net.parameters(), lr=3.0), []
    for epoch in range(4):
        if epoch:
            bp.training.fit(net, (x, y), cost, sgd, epochs=1, rng=epoch, quiet=True)
        norms.append(bp.backprop.delta_norms(net, x[:100], y[:100], cost))
    ax = viz.plot_delta_norms(norms)
    assert {name: by_epoch for name, (_, by_epoch) in lines(ax).items()} == {
        f"layer {l}": [by_layer[l] for by_layer in norms]
        for l in (2, 3, 4)  # noqa: E741
    }
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel() == "epoch"


def test_of_many_layers_some_are_named():
    norms = [{l: 0.5 ** (32 - l) for l in range(2, 32)} for _ in range(3)]  # noqa: E741
    ax = viz.plot_delta_norms(norms)
    drawn(ax)
    assert len(ax.get_lines()) == 30
    named = [text.get_text() for text in ax.get_legend().get_texts()]
    assert (named[0], named[-1], len(named)) == ("layer 2", "layer 31", 9)


@pytest.mark.parametrize("norms", [[{2: 0.0, 3: 0.0}], [{2: np.nan}, {2: np.inf}], [{2: 1.0}]])
def test_any_norms_over_training_are_drawn(norms):
    drawn(viz.plot_delta_norms(norms))


def test_T26_T27_curves_are_the_errors():
    curves = bp.backprop.saturated_start(epochs=30)
    ax = viz.plot_curves(curves)
    assert {name: ys for name, (_, ys) in lines(ax).items()} == {
        name: list(errors) for name, errors in curves.errors.items()
    }
    assert lines(ax)["quadratic cost"][0] == list(range(31))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "quadratic cost")


def test_T21_errors_by_step():
    net = bp.nn.MLP([3, 4, 2], rng=0, dtype=np.float64)
    batch = np.ones((4, 3)), np.zeros((4, 2)), bp.nn.functional.quadratic_cost
    errors = bp.backprop.effort.errors_by_step(net, *batch, steps=[1e-12, 1e-9, 1e-6, 1e-3], n=5)
    ax = viz.plot_step_errors(errors)
    (one, ys), (two, others) = lines(ax).items()
    assert one.startswith("one-sided (46): least")
    assert f"at ε = {errors.steps[np.argmin(errors.central)]:.0e}" in two
    assert ys == (list(errors.steps), list(errors.one_sided))
    assert others[1] == list(errors.central)
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_T21_times_by_size_tell_what_was_measured():
    rng = np.random.default_rng(0)
    cases = [
        (
            bp.nn.MLP([n, n, 2], rng=rng),
            rng.random(n, np.float32),
            np.ones(2, np.float32),
            bp.nn.functional.mse_loss,
        )
        for n in (3, 10, 20)
    ]
    table = bp.backprop.effort.growing(cases, measure_up_to=150)
    found = lines(viz.plot_effort(table))
    assert found["differences (46)"][0] == found["backprop"][0] == [20, 132, 462]
    assert found["differences (46), extrapolated"][0] == [462]
    assert found["backprop"][1] == [row[table.header.index("seconds by (46)") + 1] for row in table.rows]


def test_norms_by_step_say_so():
    assert viz.plot_delta_norms([{2: 1.0}, {2: 0.5}], by="step").get_xlabel() == "step"


def digits_book(sizes=(64, 15, 10)):
    (x, labels), _ = bp.data.load_digits(dtype=np.float64)
    net = bp.nn.MLP(list(sizes), rng=0, dtype=np.float64)
    return bp.backprop.notation(
        net, x[:50], bp.data.one_hot(labels[:50], 10), bp.nn.functional.quadratic_cost
    )


def rows_of(ax):
    """name -> (edges, heights above the row's foot), first the filled steps of each row."""
    steps = [patch.get_data() for patch in ax.patches][::2]
    names = [label.get_text() for label in ax.get_yticklabels()]
    return {name: (s.edges, i - s.values) for i, (name, s) in enumerate(zip(names, steps))}


def test_activations_are_counted_by_layer():
    book = digits_book()
    rows = rows_of(viz.plot_activations(book))
    assert list(rows) == ["layer 2", "layer 3"]
    for l, (edges, heights) in zip((2, 3), rows.values()):  # noqa: E741
        counts, _ = np.histogram(book.a[l], edges)
        assert counts.sum() == book.a[l].size
        np.testing.assert_allclose(heights / heights.max(), counts / counts.max())


def test_activations_of_any_observed_net():
    net = bp.nn.Sequential(bp.nn.Linear(3, 4, rng=0), bp.nn.ReLU())
    with bp.observe() as run:
        out = net(np.ones((5, 3), np.float32))
    ax = viz.plot_activations(run)
    edges, heights = list(rows_of(ax).values())[-1]
    counts, _ = np.histogram(out.data, edges)
    np.testing.assert_allclose(heights / heights.max(), counts / counts.max(), atol=1e-12)


def test_gradients_are_counted_by_their_size():
    book = digits_book()
    ax = viz.plot_gradients(book)
    assert ax.get_xscale() == "log"
    for l, (edges, heights) in zip((2, 3), rows_of(ax).values()):  # noqa: E741
        g = book.nabla_w[l]
        counts, _ = np.histogram(np.abs(g[g != 0]), edges)
        assert counts.sum() == np.count_nonzero(g)
        np.testing.assert_allclose(heights / heights.max(), counts / counts.max())
    share = np.mean(book.nabla_w[2] == 0)
    assert any(f"{share:.0%} zero" in t.get_text() for t in texts(ax))


def test_gradients_of_a_net_are_its_grad():
    net = bp.nn.MLP([3, 5, 2], rng=0)
    with pytest.raises(ValueError, match=r"no gradients to draw.*call loss.backward\(\) first"):
        viz.plot_gradients(net)
    np.sum(net(np.ones((4, 3), np.float32)) ** 2).backward()
    rows = rows_of(viz.plot_gradients(net))
    assert list(rows) == [name for name, _ in net.named_parameters()]


@pytest.mark.parametrize("plot", [viz.plot_activations, viz.plot_gradients])
@pytest.mark.parametrize(
    "values", [[0.0, 0.0], [np.nan, 1.0], [np.inf], [], 3.0, [1, 2], [-1e-100, 1e100], [2.0, 2.0]]
)
def test_any_values_have_a_histogram(plot, values):
    drawn(plot({"a": np.array(values), "b": np.array([1.0, -0.5])}))
    drawn(plot({"a": np.array(values)}))


def test_what_is_not_finite_is_told():
    ax = viz.plot_activations({"a": np.array([np.nan, 1.0, 2.0, np.inf])})
    assert any("50% not finite" in t.get_text() for t in texts(ax))


@pytest.mark.parametrize("plot", [viz.plot_activations, viz.plot_gradients])
@pytest.mark.parametrize("source", [{}, 3.0, np.ones(3)])
def test_no_arrays_is_an_error(plot, source):
    with pytest.raises(ValueError, match="to draw; expected a net"):
        plot(source)


def test_weights_are_one_image_per_neuron():
    net = bp.nn.MLP([64, 30, 10], rng=0)
    w = net.layers[0].weight.data
    for ax in (viz.plot_weights(net), viz.plot_weights(w), viz.plot_weights(w.reshape(30, 8, 8))):
        for image, row in zip(ax.images, w, strict=True):
            np.testing.assert_array_equal(image.get_array(), row.reshape(8, 8))
        assert {image.get_clim() for image in ax.images} == {(-abs(w).max(), abs(w).max())}
        assert {str(j) for j in range(1, 31)} <= {t.get_text() for t in ax.texts}


def test_other_matrices_are_one_image():
    w = bp.nn.Linear(30, 10, rng=0).weight
    (image,) = viz.plot_weights(w).images
    np.testing.assert_array_equal(image.get_array(), w.data)
    assert viz.plot_weights(w, shape=(5, 6)).images[9].get_array().shape == (5, 6)


def test_of_many_neurons_the_first_are_drawn():
    ax = viz.plot_weights(np.ones((100, 9)))
    assert len(ax.images) == 48
    assert "52 more" in ax.get_xlabel()


@pytest.mark.parametrize(
    ("weights", "shape"),
    [(np.ones((3, 6)), (2, 2)), (np.ones(4), None), (np.ones((0, 4)), None), (1.0, None)],
)
def test_weights_that_are_no_images(weights, shape):
    with pytest.raises(ValueError, match="these weights are no images"):
        viz.plot_weights(weights, shape)


def test_a_net_without_matrices_has_no_weights_to_draw():
    with pytest.raises(ValueError, match="no weight matrix"):
        viz.plot_weights(bp.nn.ReLU())


@pytest.mark.parametrize(
    "w", [np.zeros((2, 4)), np.full((2, 4), np.nan), np.array([[np.inf, 1.0, 0.0, 2.0]])]
)
def test_any_weights_are_drawn(w):
    drawn(viz.plot_weights(w))


COUNTS = np.array([[8, 2, 0], [0, 9, 1], [0, 0, 0]])


def test_confusion_shows_the_counts():
    ax = viz.plot_confusion(COUNTS, names=["a", "b", "c"])
    shown = {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in ax.texts}
    assert shown == {(0, 0): "8", (0, 1): "2", (1, 1): "9", (1, 2): "1"}
    right, wrong = (image.get_array() for image in ax.images)
    assert right.compressed().tolist() == [0.8, 0.9, 0.0]
    np.testing.assert_allclose(wrong.compressed() ** 2, [0.2, 0, 0, 0.1, 0, 0])
    assert ax.get_title() == "17 of 20 right"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]


def test_of_many_classes_no_numbers_are_written():
    ax = viz.plot_confusion(np.eye(50, dtype=int))
    drawn(ax)
    assert not ax.texts


@pytest.mark.parametrize(
    ("counts", "names"),
    [(np.ones((2, 3)), None), (np.ones(4), None), (-np.ones((2, 2)), None), (COUNTS, "ab"), (5, None)],
)
def test_counts_that_are_none(counts, names):
    with pytest.raises(ValueError, match="no counts of right and mistaken answers"):
        viz.plot_confusion(counts, names)


XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


def xor(x):
    """Above 0.5 where exactly one coordinate is."""
    return (0.5 - 2 * (x[:, 0] - 0.5) * (x[:, 1] - 0.5))[:, None]


@pytest.mark.parametrize("y", [XOR[1], XOR[1][:, None], XOR[1].astype(float)[:, None]])
def test_regions_of_a_net_with_one_output(y):
    ax = viz.plot_decision_regions(xor, XOR[0], y)
    (image,) = ax.images
    left, right, bottom, top = image.get_extent()
    assert (left, right, bottom, top) == pytest.approx((-0.1, 1.1, -0.1, 1.1))
    values = image.get_array()
    assert values[0, 0] == pytest.approx(0.5 - 2 * 0.6**2)  # the corner at the bottom on the left
    assert values[-1, 0] == pytest.approx(0.5 + 2 * 0.6**2)
    found = lines(ax)
    assert found["class 0"] == ([0, 1], [0, 1])
    assert found["class 1"] == ([0, 1], [1, 0])


def test_regions_of_many_classes_are_the_largest_output():
    centers = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    ax = viz.plot_decision_regions(
        lambda x: -np.sum((x[:, None] - centers) ** 2, -1), centers, bp.data.one_hot(np.arange(3), 3)
    )
    answers = ax.images[0].get_array()
    assert (answers[0, 0], answers[0, -1], answers[-1, 0]) == (0, 1, 2)
    assert np.unique(answers).tolist() == [0, 1, 2]


def test_regions_ask_the_net_in_the_dtype_of_the_examples():
    net = bp.nn.MLP([2, 3, 2], rng=0)
    drawn(viz.plot_decision_regions(net, XOR[0].astype(np.float32), XOR[1]))


@pytest.mark.parametrize(
    ("x", "y", "error"),
    [
        (np.ones((3, 3)), [0, 1, 0], "in the plane"),
        (XOR[0], [0.5, 1, 0, 1], "no classes"),
        (XOR[0], [0, 1], "no classes"),
        (np.ones((0, 2)), [], "in the plane"),
    ],
)
def test_examples_that_have_no_regions(x, y, error):
    with pytest.raises(ValueError, match=error):
        viz.plot_decision_regions(xor, x, np.array(y))


def test_a_net_that_never_changes_its_mind():
    drawn(viz.plot_decision_regions(lambda x: np.zeros(len(x)), *XOR))
    drawn(viz.plot_decision_regions(lambda x: np.tile([1.0, 0.0], (len(x), 1)), XOR[0][:1], XOR[1][:1]))


CURVES = SimpleNamespace(
    errors={
        name: 2.0 ** -np.arange(0.0, 60, k) for k, name in enumerate(["ReLU", "softplus", "z + tanh z"], 1)
    },
    measure="cross_entropy",
)
ERRORS = SimpleNamespace(
    steps=np.logspace(-15, 0, 16),
    one_sided=np.logspace(0, -7, 16),
    central=np.logspace(0, -10, 16),
    dtype="float64",
)
EFFORT = SimpleNamespace(
    header=("parameters", "seconds by (46)", "by backprop"),
    rows=((103, "0.057", 8e-4), (9760, "5.4", 2e-4), (1000200, "2.3e+04 extrapolated", 7e-2)),
)
CASES = {
    "learning curve": lambda ax=None: viz.plot_learning_curve(HISTORY, ax=ax),
    "30 epochs": lambda ax=None: viz.plot_learning_curve(
        bp.training.History(*(list(np.linspace(0.2, 0.99, 30)) for _ in range(3))), ax=ax
    ),
    "norms": lambda ax=None: viz.plot_delta_norms({2: 0.1, 3: 0.4}, ax=ax),
    "norms by epoch": lambda ax=None: viz.plot_delta_norms([{2: 1e-3, 3: 0.4}, {2: 0.1, 3: 0.3}], ax=ax),
    "norms of many layers": lambda ax=None: viz.plot_delta_norms(
        [{layer: 10.0**-layer for layer in range(2, 32)}] * 50, ax=ax
    ),
    "curves": lambda ax=None: viz.plot_curves(CURVES, ax=ax),
    "errors by step": lambda ax=None: viz.plot_step_errors(ERRORS, ax=ax),
    "effort": lambda ax=None: viz.plot_effort(EFFORT, ax=ax),
    "activations": lambda ax=None: viz.plot_activations(digits_book(), ax=ax),
    "gradients of many layers": lambda ax=None: viz.plot_gradients(digits_book([64, *[12] * 20, 10]), ax=ax),
    "weights": lambda ax=None: viz.plot_weights(bp.nn.MLP([64, 100], rng=0), ax=ax),
    "a matrix": lambda ax=None: viz.plot_weights(bp.nn.Linear(30, 10, rng=0).weight, ax=ax),
    "confusion": lambda ax=None: viz.plot_confusion(np.full((20, 20), 88), ax=ax),
    "regions": lambda ax=None: viz.plot_decision_regions(xor, *XOR, ax=ax),
    "norms far apart": lambda ax=None: viz.plot_delta_norms({l: 10.0**-l for l in range(2, 9)}, ax=ax),  # noqa: E741
}


@pytest.mark.parametrize("plot", CASES.values(), ids=CASES)
def test_at_1280_by_720_all_text_is_legible_and_inside(plot, monkeypatch):
    figure = plot().figure
    assert tuple(figure.get_size_inches() * figure.dpi) == (1280, 720)
    written = {}
    write = RendererAgg.draw_text

    def draw_text(self, gc, x, y, text, font, angle, ismath=False, mtext=None):
        written[mtext] = mtext.get_window_extent(self)
        write(self, gc, x, y, text, font, angle, ismath, mtext)

    monkeypatch.setattr(RendererAgg, "draw_text", draw_text)
    FigureCanvasAgg(figure).draw()
    assert len(written) > 6
    for text, box in written.items():
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= 1280, text
        assert box.y1 <= 720, text
        assert text.get_fontsize() * figure.dpi / 72 >= 14, text
    for (a, one), (b, other) in itertools.combinations(written.items(), 2):
        assert not one.overlaps(other), (a, b)


@pytest.mark.parametrize("plot", CASES.values(), ids=CASES)
def test_a_given_axes_is_drawn_on_and_returned(plot):
    ax = Figure().add_subplot()
    assert plot(ax) is ax
    assert ax.get_lines() or ax.patches or ax.images


def test_matplotlibs_global_state_is_left_alone():
    code = """
import sys, tinygrad_bp as bp, tinygrad_bp.viz as viz
viz.plot_learning_curve(bp.training.History(loss=[1.0]))
viz.plot_delta_norms({2: 1.0})
print("matplotlib.figure" in sys.modules, "matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize("plot", CASES.values(), ids=CASES)
def test_without_matplotlib_the_error_names_the_extra(plot, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'tinygrad_bp\[viz\]'"):
        plot()


@pytest.mark.parametrize(
    "plot",
    [viz.plot_learning_curve, viz.plot_delta_norms, viz.plot_curves, viz.plot_step_errors, viz.plot_effort],
)
def test_something_else_to_draw_is_told(plot):
    with pytest.raises(TypeError, match=rf"{plot.__name__} was given something else.*expected .*got int"):
        plot(3)
