"""`stepper`: one self-contained HTML page that plays the real forward and backward pass, step by step.

The one idea: the page holds the record, every number as it was (a float's shortest exact spelling),
and its script only shows it: what is lit, what flows and what is added up at each step is decided by
`playback.py`, and how it is written by `symbols.py`. Read `stepper.js` next.
"""

import html
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

from ..backprop.equations import FORMULAS
from ..derivation.spelling import MATHML
from ..derivation.symbols import CHAIN, TITLES, Symbols
from . import style
from .arrays import Arrays
from .layout import Layout
from .playback import Playback, Step, local, observed, op_of, playback
from .render import check_folder, write_whole

LONGEST_CODE = 120


def stepper(source: Any, file: str | os.PathLike, *args: Any, title: str = "") -> Path:
    """Write a page that plays the forward and the backward pass of `source`; returns its path.

    `source`: a loss (or a run) that was observed and has gone backward, or a function of `args` with one
    number as its value, which is then observed, and leaves all `.grad` as they are. The page loads
    nothing, and its numbers are the engine's, bit for bit. Raises ValueError if there is no record
    of a backward pass, OSError if the file cannot be written; then there is no file.

    >>> import tempfile, numpy as np, tinygrad_bp as bp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bp.viz.stepper(lambda x: np.sum(x * x), folder + "/step.html", np.array([1.0, 2.0])).name
    'step.html'
    """
    path = Path(file)
    check_folder(path)
    if callable(source) and not isinstance(source, type):
        source = observed(source, args)
    return write_whole(path, page(playback(source), title or path.stem).encode())


def page(play: Playback, title: str) -> str:
    """The text of the page."""
    record = json.dumps(_Record(play, title).content, ensure_ascii=False, allow_nan=False)
    for c in "<>&\u2028\u2029":  # no text of the user's may end the script or open a comment
        record = record.replace(c, f"\\u{ord(c):04x}")
    text = _part("stepper.html").replace("{{title}}", html.escape(style.clean(title)))
    for name in ("stepper.css", "stepper.js"):
        text = text.replace(f"{{{{{name}}}}}", _part(name))
    return text.replace("{{record}}", record)


def _part(name):
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _math(content):
    return f"<math>{content}</math>"


class _Record:
    """What the page's script is given: vertices, steps, layers and arrays."""

    def __init__(self, play, title):
        self.play, self.arrays = play, Arrays()
        ops = [v for v in play.vertices if v.kind == "op"]
        end = next((step.v for step in play.steps if step.kind == "seed"), ops[-1])
        self.names = Symbols([v.seen for v in ops], end.seen)
        vertices = self._vertices()
        steps = [self._step(step) for step in play.steps]
        self.content = {
            "title": style.clean(title), "vertices": vertices, "steps": steps, "layers": self._layers(),
            "others": self._others(), "m": self.names.m, "end": end.index,
            "equations": FORMULAS, "differs": any(s.get("differs") for s in steps),
            "arrays": self.arrays.content(),
        }  # fmt: skip

    # ---- what things are called -----------------------------------------------------------------------

    def _name(self, v):
        return style.short(self.names.of(v.seen).text(), 40)

    def _gradient(self, v):
        return style.short(self.names.cotangent(v.seen).text(), 40)

    def _vertices(self):
        side, paths = Layout(self.play.vertices).side, grouped(self.play.vertices)
        return [self._vertex(v, side[v.index], paths[v.index]) for v in self.play.vertices]

    def _vertex(self, v, side, path):
        place, _, code = (v.line or "").partition(": ")
        seen = v.seen
        found = {
            "kind": v.kind, "name": self._name(v), "gradient": self._gradient(v), "path": path, "side": bool(side),
            "math": _math(self.names.of(seen).mathml()), "gmath": _math(self.names.cotangent(seen).mathml()),
            "op": style.op_text(v) if v.kind == "op" else "", "opname": style.clean(v.op or ""),
            "shape": list(v.shape) if v.shape is not None else None, "dtype": str(v.dtype or ""),
            "module": style.clean(v.module or ""), "value": self.arrays.add(v.value),
            "line": style.clean(place.replace("\\", "/").rpartition("/")[2]),
            "code": style.short(code.strip(), LONGEST_CODE),
            "parents": [p.index for p in v.parents if not p.inline],
        }  # fmt: skip
        if v.kind == "op":
            say = self.names.say(self.names.forward(seen), MATHML)
            found["forward"] = _math(f"{self.names.of(seen).mathml()}<mo>=</mo>{say}")
        if v.cotangent is not None:
            found["grad"] = self.arrays.add(v.cotangent)
            found["wrong"] = self.arrays.add(self.play.wrong[v.index])
        return found

    def _layers(self):
        place = {id(v.seen): v.index for v in self.play.vertices}
        rows = []
        for layer, unit in enumerate(self.names.units, start=2):
            weights = [place[id(p.parameter)] for p in unit.products]
            row = {"layer": layer, "z": place[id(unit.z)], "a": place[id(unit.a)]}
            rows.append({**row, "w": weights, "b": [place[id(b)] for b in unit.biases]})
        return rows

    def _others(self):
        """The parameters that are in no layer."""
        own = {id(seen) for unit in self.names.units for seen in unit.parameters}
        return [v.index for v in self.play.vertices if v.kind == "parameter" and id(v.seen) not in own]

    # ---- what happens -----------------------------------------------------------------------------------

    def _step(self, step: Step):
        found: dict[str, Any] = {"kind": step.kind, "text": self._text(step)}
        if step.v is not None:
            found["v"] = step.v.index
        if step.kind == "edge":
            found |= self._edge(step)
        return found

    def _edge(self, step):
        v, p, i, say = step.v, step.parent, step.operand, MATHML
        tree = self.names.share(v.seen, i)
        share = "" if tree is None else self.names.say(tree, say)
        y, x = self.names.of(v.seen).mathml(), self.names.of(p.seen).mathml()
        kind, factor = local(v, i)
        sums = {
            key: [None if a is None else self.arrays.add(a) for a in part]
            for key, part in (("right", step.right), ("wrong", step.wrong))
        }
        differs = sums["right"] != sums["wrong"]
        return {
            "p": p.index, "operand": i, "done": step.done, "differs": differs, **sums,
            "summed": self._summed(step), "local": [kind, None if factor is None else self.arrays.add(factor)],
            "factor": _math(say.over(f"<mo>∂</mo>{y}", f"<mo>∂</mo>{x}")),
            "share": _math(share) if share else "", "equation": self._part_of(step),
            "bp": self._comes_out(step),
        }  # fmt: skip

    def _part_of(self, step):
        equation = self.names.equation(step.v.seen, step.operand)
        return "" if equation == CHAIN else equation

    def _comes_out(self, step):
        """The equation of which this step is the last."""
        p = step.parent
        whole = step.done and (p.kind == "parameter" or self.names.is_delta(p.seen))
        equation = self.names.arriving(p.seen) if whole else CHAIN
        return "" if equation == CHAIN else equation

    def _summed(self, step):
        """Was the share summed over axes along which the operand had been broadcast?"""
        op = op_of(step.v)
        return op is not None and op.elementwise and step.v.shape != step.parent.shape

    def _text(self, step):
        """One step in a sentence or two."""
        v = step.v
        if step.kind == "start":
            ops, parameters = (sum(w.kind == k for w in self.play.vertices) for k in ("op", "parameter"))
            return f"{_many(ops, 'operation')}, {_many(parameters, 'parameter')}. Nothing is computed yet."
        if step.kind == "end":
            return "Done: every gradient is complete, and is what .backward() gave."
        name, gradient = self._name(v), self._gradient(v)
        if step.kind == "forward":
            operands = [self.names.of(p.seen).text() for p in v.parents if not p.inline]
            of = f" from {' and '.join(dict.fromkeys(operands))}" if operands else ""
            at = f" (in {style.short(v.module, 30)})" if v.module else ""
            return f"Forward: {v.op} computes {name}{of}{at}."
        if step.kind == "seed":
            given = (
                "is 1: C changes as fast as itself"
                if v.value is not None and v.cotangent.size == 1
                else "is given"
            )
            return f"Backward starts at {name}: {gradient} {given}."
        return self._edge_text(step, name, gradient)

    def _edge_text(self, step, name, gradient):
        p = step.parent
        operand, theirs = self._name(p), self._gradient(p)
        said = f"Backward: {gradient} is complete, and {step.v.op} hands a share of it on to {operand}."
        if self._summed(step):
            said += f" One {operand} served many elements, so their shares are summed."
        if step.right.before is not None:
            said += f" {operand} is used more than once: the share is added (+=) to what came before."
        if not step.done:
            return f"{said} More shares of {theirs} will follow."
        equation = self._comes_out(step)
        out = f"Now {theirs} is complete"
        return f"{said} {out}: {equation}, {TITLES[equation]}." if equation else f"{said} {out}."


def _many(n, what):
    return f"{n} {what}{'' if n == 1 else 's'}"


GROUP = 24
"""Ops of one module, one after the other, that are shown without a frame of their own."""


def grouped(vertices: list) -> list[list[str]]:
    """For each vertex the frames around it, the outermost first: its modules, and parts of long stretches."""
    paths: list[list[str]] = [[] for _ in vertices]
    ops = [v for v in vertices if v.kind == "op"]
    start = 0
    for i, v in enumerate(ops):
        paths[v.index] = _outward(v.module or "")
        if i + 1 == len(ops) or ops[i + 1].module != v.module:
            _split(ops[start : i + 1], start, paths)
            start = i + 1
    return paths


def _outward(module):
    """ "blocks.0.mlp" -> ["blocks.0", "blocks.0.mlp"]: a list of modules is no module."""
    parts = module.split(".") if module else []
    ends = [i for i in range(1, len(parts) + 1) if i == len(parts) or not parts[i].isdigit()]
    return [style.clean(".".join(parts[:i])) for i in ends]


def _split(ops, first, paths):
    size = max(GROUP // 2, int(len(ops) ** 0.5))
    for k, v in enumerate(ops if len(ops) > GROUP else ()):
        start = k - k % size
        paths[v.index].append(f"ops {first + start + 1}–{first + min(start + size, len(ops))}")
