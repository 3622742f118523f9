"""Reading drawings back: the DOT text as a graph, the SVG as boxes and texts. Shared by the tests."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

import tinygrad_bp as bp
from tinygrad_bp.viz import Picture

draw = sys.modules["tinygrad_bp.viz.render"]
SVG = "{http://www.w3.org/2000/svg}"


def net_and_data(n_layers=3, dtype=np.float64):
    """A net with `n_layers` layers of the book, a batch and its targets."""
    rng = np.random.default_rng(0)
    sizes = [*[3, 5, 4, 6, 5][:n_layers], 2]
    net = bp.nn.MLP(sizes, rng=rng, dtype=dtype, init="standard_normal")
    return net, rng.normal(size=(4, 3)).astype(dtype), rng.uniform(size=(4, 2)).astype(dtype)


def observed_net(n_layers=3):
    """(net, loss, run) after a forward and a backward pass."""
    net, x, y = net_and_data(n_layers)
    with bp.observe() as run:
        out = net(x)
        loss = bp.nn.functional.quadratic_cost(out, y)
    loss.backward()
    return net, loss, run


@dataclass
class Drawn:
    """A DOT text as Graphviz reads it: attributes by name, visible edges, and what is in each frame."""

    nodes: dict[str, dict]
    edges: list[tuple[str, str]]
    frames: dict[str, set[str]] = field(default_factory=dict)

    def ops(self):
        return {name: node for name, node in self.nodes.items() if node["shape"] == "ellipse"}

    def values(self):
        return {name: node for name, node in self.nodes.items() if node["shape"] == "box"}

    def into(self, name):
        return [tail for tail, head in self.edges if head == name]

    def out_of(self, name):
        return [head for tail, head in self.edges if tail == name]

    def find(self, text):
        """The only node whose label has the line `text`."""
        (name,) = [name for name, node in self.nodes.items() if text in lines(node["label"])]
        return name


def lines(label):
    """The lines of a label in HTML form, as they are read."""
    if not label.startswith("<"):
        label = f"<TD>{label}</TD>"
    cells = ElementTree.fromstring(f"<X>{label}</X>").iter("TD")
    return ["".join(cell.itertext()).replace("\\\\", "\\") for cell in cells]


def read(picture: Picture) -> Drawn:
    """What the DOT text says, read by Graphviz's own parser and without the invisible scaffolding."""
    program = draw._pure_program()
    done = subprocess.run(
        [program, "-Tdot_json"], input=picture.source.encode(), capture_output=True, check=True
    )
    data = json.loads(done.stdout)
    objects = {o["_gvid"]: o for o in data["objects"]}
    nodes = {
        o["name"]: o for o in objects.values() if "nodes" not in o and "subgraphs" not in o and o.get("shape")
    }
    nodes = {name: o for name, o in nodes.items() if o.get("style") != "invis"}
    edges = [
        (objects[e["tail"]]["name"], objects[e["head"]]["name"])
        for e in data.get("edges", [])
        if e.get("style") != "invis"
    ]
    drawn = Drawn(nodes, edges)
    for o in objects.values():
        if o["name"].startswith("cluster") and o.get("label"):
            title = re.sub("<[^>]*>", "", o["label"])
            drawn.frames.setdefault(title, set()).update(objects[i]["name"] for i in o.get("nodes", []))
    return drawn


@dataclass
class Box:
    """A node, a frame or a text as it lies on the page."""

    name: str
    x0: float
    x1: float
    y0: float
    y1: float
    size: float = 0.0
    bold: bool = False

    def meets(self, other, gap=0.0):
        return (
            min(self.x1, other.x1) - max(self.x0, other.x0) > gap
            and min(self.y1, other.y1) - max(self.y0, other.y0) > gap
        )

    def holds(self, other, slack=0.0):
        return (
            self.x0 - slack <= other.x0
            and other.x1 <= self.x1 + slack
            and self.y0 - slack <= other.y0
            and other.y1 <= self.y1 + slack
        )


@dataclass
class Page:
    """An SVG: its size, and (kind, box, texts) of each node and frame; `texts` are all texts."""

    width: float
    height: float
    things: list[tuple[str, Box, list[Box]]]
    texts: list[Box]


def page(svg: bytes) -> Page:
    """The boxes and texts of an SVG by Graphviz, in its own units."""
    root = ElementTree.fromstring(svg)
    x, y, width, height = map(float, root.get("viewBox").split())
    origin = root.find(f"{SVG}g")
    dx, dy = map(float, re.search(r"translate\(([-\d.]+)[ ,]+([-\d.]+)\)", origin.get("transform")).groups())
    assert "scale(1 1)" in origin.get("transform")
    things = []
    for group in origin.iter(f"{SVG}g"):
        if group.get("class") in ("node", "cluster"):
            outline = next((e for e in group.iter() if e.tag in OUTLINES), None)
            if outline is not None:
                texts = [_text(t, dx, dy) for t in group.iter(f"{SVG}text")]
                things.append((group.get("class"), _outline(group, outline, dx, dy), texts))
    return Page(width - x, height - y, things, [_text(t, dx, dy) for t in origin.iter(f"{SVG}text")])


OUTLINES = {SVG + tag for tag in ("path", "polygon", "ellipse")}


def _outline(group, element, dx, dy):
    name = group.find(f"{SVG}title").text
    if element.tag == f"{SVG}ellipse":
        cx, cy, rx, ry = (float(element.get(k)) for k in ("cx", "cy", "rx", "ry"))
        return Box(name, cx - rx + dx, cx + rx + dx, cy - ry + dy, cy + ry + dy)
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", element.get("d") or element.get("points"))]
    xs, ys = numbers[::2], numbers[1::2]
    return Box(name, min(xs) + dx, max(xs) + dx, min(ys) + dy, max(ys) + dy)


def _text(element, dx, dy):
    size, bold = float(element.get("font-size")), element.get("font-weight") == "bold"
    text = element.text or ""
    width = width_of(text, size, bold)
    x, y = float(element.get("x")) + dx, float(element.get("y")) + dy
    x0 = x - width / 2 if element.get("text-anchor") == "middle" else x
    return Box(text, x0, x0 + width, y - 0.7 * size, y + 0.2 * size, size, bold)


def width_of(text, size, bold):
    """Of `text` in Helvetica, whose widths are Arial's and Liberation Sans's, too."""
    widths = _helvetica(bold)
    return size / 1000 * sum(widths.get(character, 800) for character in text)


@cache
def _helvetica(bold):
    import matplotlib

    afm = Path(matplotlib.get_data_path()) / "fonts" / "afm" / ("phvb8a.afm" if bold else "phvr8a.afm")
    found = re.findall(r"^C (\d+) ; WX (\d+)", afm.read_text(encoding="latin-1"), re.MULTILINE)
    widths = {chr(int(code)): int(width) for code, width in found if int(code) < 127}
    symbols = {"σ": 620, "Σ": 620, "−": 584, "×": 584, "²": 333, "ᵀ": 500, "⊙": 800,
               "δ": 557, "Δ": 668, "∂": 494, "≈": 549}  # fmt: skip
    return {**widths, **symbols}
