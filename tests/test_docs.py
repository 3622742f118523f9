"""README, docs, docstrings and examples say what is true: all of them run."""

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_bp

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
MODULES = ["tinygrad_bp", *(m.name for m in pkgutil.walk_packages(tinygrad_bp.__path__, "tinygrad_bp."))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages(page):
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert result.failed == 0


def test_pages_have_examples():
    examples = sum(len(doctest.DocTestParser().get_examples(page.read_text())) for page in PAGES)
    assert examples > 30


@pytest.mark.parametrize("name", [m for m in MODULES if not m.endswith("__main__")])
def test_docstrings(name):
    # bp.primitive is a function, so the module is taken from sys.modules
    importlib.import_module(name)
    assert doctest.testmod(sys.modules[name]).failed == 0


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples(example, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_links_lead_somewhere():
    import re

    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page.name} links to {link}"


def test_every_public_name_has_a_docstring():
    missing = [name for name in tinygrad_bp.__all__ if not (getattr(tinygrad_bp, name).__doc__ or "").strip()]
    assert not missing
