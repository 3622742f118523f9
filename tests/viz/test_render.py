"""Rendering: `dot` on PATH, else graphviz-pure, else an error that names both; whole files or none."""

import os
import shutil
import stat
import sys
from importlib import metadata
from pathlib import Path

import graphviz
import numpy as np
import pytest

import tinygrad_bp as bp
from tests.viz.drawing import draw
from tinygrad_bp import viz


@pytest.fixture
def picture():
    x = bp.Tensor(np.ones((2, 2)), requires_grad=True, name="x")
    return viz.graph(np.sum(x * x))


@pytest.fixture
def empty_path(monkeypatch, tmp_path):
    """No program on PATH."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def no_pure(monkeypatch, tmp_path):
    """The package graphviz-pure is not installed."""

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(draw.sysconfig, "get_path", lambda name: str(tmp_path / "scripts"))
    monkeypatch.setattr(draw.metadata, "files", missing)


def program(folder, text):
    """A program `dot` in `folder` that runs the shell line `text`."""
    file = folder / "dot"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


# ---- which program --------------------------------------------------------------------------------------


def test_dot_on_path_comes_first(picture, empty_path, tmp_path):
    program(empty_path, 'echo "drawn by dot with $*"')
    assert picture.pipe("svg").startswith(b"drawn by dot with -Tsvg")
    assert viz.render(picture, tmp_path / "g.pdf").read_bytes().startswith(b"drawn by dot with -Tpdf")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize(("ending", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_with_graphviz(picture, tmp_path, ending, start):
    assert viz.render(picture, tmp_path / f"g.{ending}").read_bytes().startswith(start)


@pytest.mark.parametrize(("ending", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_without_dot_graphviz_pure_draws(picture, empty_path, tmp_path, ending, start):
    drawn = viz.render(picture, tmp_path / f"g.{ending}").read_bytes()
    assert drawn.startswith(start)
    assert ending == "png" or b"graphviz-pure" in drawn
    assert "<svg" in picture._repr_mimebundle_()["image/svg+xml"]


def test_graphviz_pure_is_found_by_its_record_if_not_beside_python(monkeypatch, empty_path, tmp_path):
    beside = Path(draw._pure_program())
    monkeypatch.setattr(draw.sysconfig, "get_path", lambda name: str(tmp_path))
    assert os.path.samefile(draw._pure_program(), beside)


def test_without_any_program_the_error_names_both_and_the_text_is_there(
    picture, empty_path, no_pure, tmp_path
):
    with pytest.raises(
        RuntimeError, match=r"Graphviz's dot on PATH.*graphviz-pure.*tinygrad_bp\[viz\].*\.source"
    ):
        viz.render(picture, tmp_path / "g.svg")
    with pytest.raises(RuntimeError, match="graphviz-pure"):
        picture._repr_image_svg_xml()
    assert picture.source.startswith("digraph")
    assert list(tmp_path.glob("*.svg")) == []


def test_graphviz_pure_has_no_pdf(picture, empty_path, tmp_path):
    with pytest.raises(RuntimeError, match=r"does not write PDF; expected png or svg.*install Graphviz"):
        viz.render(picture, tmp_path / "g.pdf")


def test_symbols_that_graphviz_pures_font_lacks_are_replaced_in_a_png(picture, empty_path, monkeypatch):
    sent = []
    monkeypatch.setattr(draw, "_run", lambda command, source: sent.append(source) or b"drawn")
    picture.pipe("png")
    picture.pipe("svg")
    assert ["⊙" in source for source in sent] == [False, True]
    assert "×" in sent[0]


# ---- files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["dot", "gv"])
def test_the_text_needs_no_program(picture, empty_path, no_pure, tmp_path, ending):
    path = viz.render(picture, str(tmp_path / f"g.{ending}"))
    assert path.read_text(encoding="utf-8") == picture.source


def test_the_ending_may_be_in_capitals(picture, tmp_path):
    assert viz.render(picture, tmp_path / "G.SVG").read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize("name", ["g", "g.jpeg", "g.svg.txt", ".svg"])
def test_an_unknown_ending_is_an_error(picture, tmp_path, name):
    with pytest.raises(ValueError, match=r"expected \.svg, \.png, \.pdf, \.dot or \.gv, got '.*g"):
        viz.render(picture, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_file_and_nothing_else(picture, empty_path, tmp_path):
    file = tmp_path / "g.svg"
    file.write_text("the old one")
    program(empty_path, "echo half a picture; echo 'the layout is lost' >&2; exit 1")
    with pytest.raises(RuntimeError, match="could not draw the graph; got the layout is lost"):
        viz.render(picture, file)
    assert file.read_text() == "the old one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g.svg", "path"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(picture, tmp_path, monkeypatch):
    file = tmp_path / "g.gv"
    file.write_text("the old one")

    def full(source, target):
        raise OSError("no space left on device")

    monkeypatch.setattr(draw.os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        viz.render(picture, file)
    assert [p.name for p in tmp_path.iterdir()] == ["g.gv"]
    assert file.read_text() == "the old one"


def test_a_program_that_cannot_run_is_named(picture, empty_path, tmp_path):
    program(empty_path, "")
    (empty_path / "dot").write_text("#!/nowhere/sh\n")
    with pytest.raises(RuntimeError, match="cannot be run"):
        viz.render(picture, tmp_path / "g.svg")


def test_a_missing_folder_is_an_error(picture, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        viz.render(picture, tmp_path / "nowhere" / "g.svg")


def test_only_drawings_are_rendered(tmp_path):
    with pytest.raises(TypeError, match=r"bp\.viz\.graph\(t\)"):
        viz.render(bp.Tensor([1.0]), tmp_path / "g.svg")
    assert viz.render(graphviz.Digraph(), tmp_path / "g.svg").exists()


# ---- the Digraph's own methods --------------------------------------------------------------------------


def test_the_digraphs_own_render_and_pipe_need_no_dot(picture, empty_path, tmp_path):
    path = Path(picture.render("net", directory=tmp_path, format="png"))
    assert path == tmp_path / "net.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "net").read_text() == picture.source
    picture.render(tmp_path / "again", cleanup=True)
    assert {p.name for p in tmp_path.iterdir()} == {"net", "net.png", "again.svg", "path"}
    assert picture.pipe(encoding="utf-8").startswith("<?xml")


def test_the_picture_may_be_opened(picture, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(draw.webbrowser, "open", opened.append)
    picture.view("net", directory=tmp_path)
    assert opened == [(tmp_path / "net.svg").resolve().as_uri()]


def test_the_svg_names_fonts_of_one_width_for_every_system(picture):
    svg = picture.pipe("svg")
    assert svg.count(b'font-family="Arial, Helvetica, ') == svg.count(b"<text ") > 0


def test_importing_the_package_loads_no_graphviz_and_the_room_no_matplotlib():
    import subprocess

    code = (
        "import sys, tinygrad_bp as bp; print('graphviz' in sys.modules);"
        "import tinygrad_bp.viz; print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
