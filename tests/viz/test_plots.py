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
    assert ax.get_lines() or ax.patches


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
