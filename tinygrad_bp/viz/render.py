"""`Picture`, a `graphviz.Digraph` that shows itself, and `render`, which writes one into a file.

The one idea: a drawing is DOT text, and whichever layout program is there turns it into a picture:
`dot` of Graphviz, or else the program of the package graphviz-pure, which takes the same arguments.
Read `plots.py` next.
"""

import os
import shutil
import subprocess
import sysconfig
import webbrowser
from importlib import metadata
from pathlib import Path
from typing import Any

import graphviz

from ..errors import message
from .style import FONT, darkened

TEXT = {"dot", "gv"}
PURE = {"svg", "png"}
FORMATS = {"svg", "png", "pdf"} | TEXT
SHARP = "144"
"""Dots per inch of a PNG."""

_FONTS = (
    f'font-family="{FONT}, Helvetica, Liberation Sans, Arimo, Nimbus Sans, sans-serif"'.encode()
)  # of one width
_IN_PURE_FONT = str.maketrans("⊙", "×")  # of the symbols in style.py, the one that its font lacks


class Picture(graphviz.Digraph):
    """A `graphviz.Digraph` that is drawn by whichever layout program `render` finds."""

    def dark(self) -> "Picture":
        """The same picture on dark paper.

        >>> import numpy as np, tinygrad_bp as bp
        >>> x = bp.Tensor([1.0, 2.0], requires_grad=True, name="x")
        >>> bp.viz.graph(np.sum(x * x)).dark().graph_attr["bgcolor"]
        '#12171d'
        """
        same = self.copy()
        same.body[:] = map(darkened, self.body)
        for attributes in (same.graph_attr, same.node_attr, same.edge_attr):
            attributes.update({name: darkened(value) for name, value in attributes.items()})
        return same

    def pipe(self, format: str | None = None, *, encoding: str | None = None) -> Any:
        """The picture as bytes, or as a string if an `encoding` is given."""
        drawn = draw(self.source, format or self.format)
        return drawn if encoding is None else drawn.decode(encoding)

    def render(
        self,
        filename: str | os.PathLike | None = None,
        directory: str | os.PathLike | None = None,
        view: bool = False,
        cleanup: bool = False,
        format: str | None = None,
    ) -> str:
        """Write the DOT text to `filename` and the picture beside it, as any Digraph does; its path."""
        text = Path(self.save(filename, directory=directory))
        path = render(self, f"{text}.{format or self.format}")
        if cleanup:
            text.unlink()
        if view:
            webbrowser.open(path.resolve().as_uri())
        return str(path)

    def view(
        self, filename: str | os.PathLike | None = None, directory: str | os.PathLike | None = None
    ) -> str:
        """`render`, and open the picture; its path."""
        return self.render(filename, directory, view=True)


def render(graph: graphviz.Digraph, file: str | os.PathLike) -> Path:
    """Write `graph` as a picture in the format of the file's ending: .svg, .png, .pdf, .dot or .gv.

    Returns the path. The file appears complete or not at all. Needs `dot` of Graphviz or the
    package graphviz-pure, which has no PDF. Raises ValueError for another ending, RuntimeError if
    there is no program to draw with, or if it fails.

    >>> import tempfile, numpy as np, tinygrad_bp as bp
    >>> x = bp.Tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bp.viz.render(bp.viz.graph(np.sum(x * x)), folder + "/sum.svg").name
    'sum.svg'
    """
    path = Path(file)
    format = path.suffix.removeprefix(".").lower()
    if format not in FORMATS:
        raise ValueError(
            message(
                "the file's ending says which picture to write",
                expected=".svg, .png, .pdf, .dot or .gv",
                got=repr(path.name),
            )
        )
    if not isinstance(graph, (graphviz.Digraph, graphviz.Graph, graphviz.Source)):
        raise TypeError(
            message("render writes a drawing", got=repr(graph)[:80], do="make one with bp.viz.graph(t)")
        )
    check_folder(path)
    return write_whole(path, graph.source.encode() if format in TEXT else draw(graph.source, format))


def check_folder(path: Path) -> None:
    """Raise FileNotFoundError if there is no folder for the file."""
    if not path.parent.is_dir():
        raise FileNotFoundError(
            message(f"there is no folder {str(path.parent)!r} to write {path.name} into", do="make it first")
        )


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file that appears complete or not at all; its path."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def draw(source: str, format: str) -> bytes:
    """The picture of DOT text in a format that the layout program knows."""
    program = shutil.which("dot")
    if program is None:
        program = _pure_program()
        if program is None:
            raise RuntimeError(
                message(
                    "there is no program to draw the graph with",
                    expected="Graphviz's dot on PATH, or the package graphviz-pure",
                    do="install Graphviz (https://graphviz.org/download), or "
                    "pip install 'tinygrad_bp[viz]'; the DOT text is in .source in any case",
                )
            )
        if format not in PURE:
            raise RuntimeError(
                message(
                    f"graphviz-pure does not write {format.upper()}",
                    expected=" or ".join(sorted(PURE)),
                    do="choose one of these, or install Graphviz (https://graphviz.org/download)",
                )
            )
        source = source.translate(_IN_PURE_FONT) if format == "png" else source
    drawn = _run([program, f"-T{format}", *([f"-Gdpi={SHARP}"] if format == "png" else [])], source)
    return drawn.replace(f'font-family="{FONT}"'.encode(), _FONTS) if format == "svg" else drawn


def _pure_program():
    """The path of the graphviz-pure program, or None."""
    beside_python = shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))
    if beside_python is not None:
        return beside_python
    try:
        files = metadata.files("graphviz-pure") or []
    except metadata.PackageNotFoundError:
        files = []
    installed = [file.locate() for file in files if Path(file).stem == "graphviz-pure"]
    return next((str(path) for path in installed if Path(path).is_file()), shutil.which("graphviz-pure"))


def _run(command, source):
    try:
        done = subprocess.run(command, input=source.encode(), capture_output=True, check=False)
    except OSError as error:
        raise RuntimeError(
            message(f"the layout program {command[0]!r} cannot be run", got=str(error))
        ) from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise RuntimeError(message(f"{' '.join(command)} could not draw the graph", got=said[:300]))
    return done.stdout
