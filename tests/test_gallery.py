"""docs/gallery.md shows what docs/gallery/draw.py draws today, all of it."""

import importlib.util
import re
from pathlib import Path

import pytest
from matplotlib.axes import Axes

from tinygrad_bp import viz

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def gallery():
    spec = importlib.util.spec_from_file_location("gallery", DOCS / "gallery" / "draw.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_picture_is_drawn_shown_and_of_modest_size(gallery, tmp_path):
    gallery.main(tmp_path)
    drawn = {path.name for path in tmp_path.iterdir() if path.suffix != ".html"} | {"stepper.png"}
    kept = {path.name: path for path in (DOCS / "gallery").iterdir() if path.suffix in (".png", ".svg")}
    assert drawn == set(kept)
    page = (DOCS / "gallery.md").read_text()
    shown = re.findall(r"!\[([^\]]+)\]\(gallery/([^)]+)\)", page)
    assert {name for _, name in shown} == drawn
    assert all(len(words.split()) > 3 for words, _ in shown)  # said to those who do not see it
    assert max(path.stat().st_size for path in kept.values()) < 150_000


def test_the_drawings_that_are_kept_say_what_is_drawn_today(gallery, tmp_path):
    for name, drawing in gallery.drawings().items():
        fresh = viz.render(drawing, tmp_path / f"{name}.svg")
        now, kept = (sorted(re.findall(r"<text[^>]*>([^<]+)", path.read_text()))
                     for path in (fresh, DOCS / "gallery" / f"{name}.svg"))  # fmt: skip
        assert now == kept


def test_the_page_calls_every_plot(gallery):
    page = (DOCS / "gallery.md").read_text()
    plots = gallery.plots_of_a_small_net(steps=2)
    assert all(isinstance(ax, Axes) for ax in plots.values())
    for plot in ("learning_curve", "delta_norms", "activations", "gradients", "weights", "confusion",
                 "decision_regions", "step_errors"):  # fmt: skip
        assert f"bp.viz.plot_{plot}(" in page
