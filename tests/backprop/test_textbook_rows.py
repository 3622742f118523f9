"""The rows T1 … T37 of the textbook: each has a test that names it, and a passage in docs/textbook that a reader finds."""

import ast
import functools
import importlib.util
import re
import unicodedata
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
CHAPTER = TESTS.parent / "docs" / "textbook"
PAGES = sorted(CHAPTER.glob("[0-9]*.md"))
ROWS = [f"T{n}" for n in range(1, 38)]
LINES = [
    (page.name, line) for page in (*PAGES, CHAPTER / "README.md") for line in page.read_text().splitlines()
]


@functools.cache
def rows_with_tests():
    """Row -> the names of the tests that name it as a word between underscores."""
    found = {row: set() for row in ROWS}
    for file in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for word in node.name.split("_"):
                    if word in found:
                        found[word].add(node.name)
    return found


def anchor(heading):
    """The anchor that GitHub gives a heading: letters, digits and underscores in lower case, hyphens for spaces."""
    kept = (
        c for c in heading.lower() if c in "- _" or unicodedata.category(c) in ("Nd", "Pc") or c.isalpha()
    )
    return "".join(kept).replace(" ", "-")


@functools.cache
def sections():
    """(page, anchor) -> the heading."""
    heads = ((page, re.match(r"#+ (.*)", line)) for page, line in LINES)
    return {(page, anchor(head[1])): head[1] for page, head in heads if head}


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_a_test_and_a_passage(row):
    assert rows_with_tests()[row]
    assert any(f"({row})" in heading for heading in sections().values())


def test_the_index_leads_to_the_section_and_names_a_test():
    tests, there, rows = rows_with_tests(), sections(), []
    for page, line in LINES:
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if page == "README.md" and cells and cells[0] in ROWS:
            row, _, link, test = cells
            target = re.search(r"\]\((.*)#(.*)\)", link)
            assert f"({row})" in there[target[1], target[2]]
            assert test.strip("`") in tests[row]
            rows.append(row)
    assert rows == ROWS


def test_links_lead_to_sections():
    there = sections()
    for page, line in LINES:
        for file, section in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", line):
            assert (file or page, section) in there, f"{page}: {file}#{section}"


def test_every_picture_is_shown_small_and_made_by_the_script(tmp_path):
    pictures = CHAPTER / "pictures"
    spec = importlib.util.spec_from_file_location("draw", pictures / "draw.py")
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    draw.main(tmp_path, largest=0)
    made, kept = ({file.name for file in folder.glob("*.svg")} for folder in (tmp_path, pictures))
    shown = {name for _, line in LINES for name in re.findall(r"\]\(pictures/([^)]*)\)", line)}
    assert made == kept == shown
    for name in kept:
        assert (tmp_path / name).stat().st_size < 150_000 > (pictures / name).stat().st_size


def test_lines_of_the_chapter_are_not_too_long():
    for page, line in LINES:
        assert len(line) <= 125 or line.startswith(("|", "[")), f"{page}: {line}"
