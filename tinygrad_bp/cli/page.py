"""`write`: the demo's page, `index.html`, from what the demo found.

The one idea: the words stand in the template beside this file; here only numbers, tables and pictures
are put in, every text escaped, every picture inlined, so that the page is one file that loads nothing.
Read `demo.py` next.
"""

import base64
import html
import re
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np

from ..backprop.equations import FORMULAS

KINDS = {".png": "image/png", ".svg": "image/svg+xml"}
IN_WORDS = {
    "BP1": "error of the output: how the cost hangs on each output, times the slope of σ there",
    "BP2": "error of an earlier layer: the next layer’s error, sent back through the weights, times the slope",
    "BP3": "the gradient of a bias is the error",
    "BP4": "the gradient of a weight is what comes in, times the error of what goes out",
}


def write(file: Path, pictures: dict[str, Path], facts: dict[str, str], markup: dict[str, str]) -> Path:
    """Write the page: `facts` are texts, `markup` is HTML already; each names a place in the template."""
    template = Template(resources.files(__package__).joinpath("index.html").read_text("utf-8"))
    inlined = {name: _inline(path) for name, path in pictures.items()}
    escaped = {name: html.escape(text) for name, text in facts.items()}
    file.write_text(template.substitute(inlined, **escaped, **markup), encoding="utf-8")
    return file


def document(file: Path, title: str, part: str) -> Path:
    """A page of its own for a part of one that is HTML already."""
    head = f'<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>{html.escape(title)}</title><link rel="icon" href="data:,">'
    back = '<p style="font:16px system-ui,sans-serif;margin:1rem"><a href="index.html">← back to the page</a></p>'
    text = f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{back}<h1 style="font:600 1.5rem system-ui,sans-serif;margin:1rem">{html.escape(title)}</h1>{part}</body></html>'
    file.write_text(text, encoding="utf-8")
    return file


def _inline(path):
    """The file as a data URI."""
    return f"data:{KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def proof_rows(proof) -> str:
    """The rows of a `verify` report, with the equations in words."""
    return "\n".join(
        f'<tr><td>{row.layer}</td><th scope="row">{row.equation}</th>'
        f'<td class="formula">{_raised(FORMULAS[row.equation])}</td>'
        f"<td>{html.escape(IN_WORDS.get(row.equation, ''))}</td>"
        f'<td class="number">{power(row.deviation)}</td>'
        f'<td class="{"pass" if row.ok else "fail"}">{"✓" if row.ok else "✗"} {html.escape(row.verdict)}</td></tr>'
        for row in proof
    )


def _raised(formula):
    """w^l_jk with indices above and below."""
    text = re.sub(r"\^(?:\{([^}]*)\}|(\w))", r"<sup>\1\2</sup>", html.escape(formula))
    return re.sub(r"_(\w+)", r"<sub>\1</sub>", text)


def power(x: float) -> str:
    """'4·10⁻¹⁶'."""
    digit, _, exponent = f"{x:.0e}".partition("e")
    raised = str(int(exponent or 0)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digit}·10{raised}" if exponent and x else digit


def digits(images, labels, answers) -> str:
    """Images of 8×8 pixels in [0, 1], as drawings with what each is and what the net says."""
    return "\n".join(
        f"<li>{_drawing(image, label)}it is {label}<br>"
        f'<span class="{"pass" if label == answer else "fail"}">net: {answer} {"✓" if label == answer else "✗"}</span></li>'
        for image, label, answer in zip(images, labels, answers)
    )


def _drawing(image, label):
    ink = "".join(
        f'<rect x="{k % 8}" y="{k // 8}" width="1.02" height="1.02" fill-opacity="{v:.2f}"/>'
        for k, v in enumerate(np.ravel(image))
        if v
    )
    return (
        f'<svg viewBox="0 0 8 8" role="img" aria-label="a handwritten {label}">'
        f'<rect width="8" height="8" fill="#fff"/>{ink}</svg>'
    )
