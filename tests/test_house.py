"""The house keeps its shape: floors, budgets, and the words that may not be used."""

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "tinygrad_bp"
FILES = sorted(HOUSE.rglob("*.py"))
FLOORS = [  # from the ground up; a file imports only from floors below its own
    {"frames"},
    {"errors"},
    {"tree"},
    {"primitive"},
    {"graph"},
    {"views"},
    {"common_memory"},
    {"methods"},
    {"operands"},
    {"tensor"},
    {"creators", "dispatch"},
    {"writes"},
    {"writers"},
    {"backward"},
    {"transforms"},
    {"checkpoint"},
    {"observe"},
    {"anomaly", "check"},
    {"derivatives", "nn", "optim", "data", "io", "compiler"},
    {"training"},
    {"backprop"},
    {"derivation"},
    {"viz"},
    {"cli"},
    {"__init__", "__main__"},
]
BUDGETS = {
    "root": 3145, "ops": 2450, "nn": 1200, "optim data io training": 1200, "backprop": 2500, "derivation": 1250,
    "viz": 2450, "compiler": 2700, "cli": 300,
}  # fmt: skip
THIRD_PARTY = {"viz": {"numpy", "graphviz"}, "ops": {"numpy", "scipy"}}  # SciPy when it is met


def room(path):
    parts = path.relative_to(HOUSE).with_suffix("").parts
    return parts[0]


def floor(name):
    return next(i for i, names in enumerate(FLOORS) if name in names)


def imports(path, *, everywhere):
    """(module as absolute dotted name, is it inside a function?) for each import of the file."""
    tree = ast.parse(path.read_text())
    inner = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    package = ("tinygrad_bp", *path.relative_to(HOUSE).parent.parts)
    for node in ast.walk(tree):
        if id(node) in inner and not everywhere:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            if stem == "tinygrad_bp" or not node.module:
                yield from (f"{stem}.{alias.name}" for alias in node.names)
            else:
                yield stem


def code_lines(text):
    """Lines that carry code: no blank lines, comments or docstrings."""
    documented = set()
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            documented.update(range(node.lineno, node.end_lineno + 1))
    skip = (
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    )
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skip:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines - documented


def functions(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def own_lines(path, function):
    return [n for n in code_lines(path.read_text()) if function.lineno <= n <= function.end_lineno]


def named(path):
    return str(path.relative_to(HOUSE))


@pytest.mark.parametrize("path", FILES, ids=named)
def test_imports_point_downward(path):
    here = room(path)
    for module in imports(path, everywhere=False):
        if not module.startswith("tinygrad_bp."):
            continue
        there = module.split(".")[1]
        if there == here or there == "__version__" or here in ("__init__", "__main__"):
            continue
        if here == "ops":
            assert there in ("primitive", "errors"), f"ops sees primitive and NumPy only, not {module}"
        elif there == "ops" and here in ("writes", "writers"):
            assert module == "tinygrad_bp.ops.indexing", (
                "a write is put and scatter, which stand on primitive alone"
            )
        elif there == "ops":
            assert floor(here) >= floor("nn"), f"{named(path)} imports {module}: NumPy is the switchboard"
        else:
            assert floor(there) < floor(here), f"{named(path)} imports {module}, which is not below it"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_third_parties_stay_in_their_rooms(path):
    standard = sys.stdlib_module_names
    allowed = THIRD_PARTY.get(room(path), {"numpy"})
    outside = {m.split(".")[0] for m in imports(path, everywhere=False)} - {"tinygrad_bp"} - standard
    assert outside <= allowed


@pytest.mark.parametrize("path", FILES, ids=named)
def test_files_and_functions_are_small(path):
    assert len(code_lines(path.read_text())) <= 300
    long = {f.name: len(own_lines(path, f)) for f in functions(path) if len(own_lines(path, f)) > 40}
    assert not long


def test_the_heart_is_the_first_function_and_at_most_25_lines():
    path = HOUSE / "backward.py"
    first = next(node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef))
    assert first.name == "sweep"
    assert len(own_lines(path, first)) <= 25


def test_rooms_keep_their_budgets():
    spent = dict.fromkeys(BUDGETS, 0)
    for path in FILES:
        name = room(path)
        key = next((k for k in BUDGETS if name in k.split()), "root")
        spent[key] += len(code_lines(path.read_text()))
    over = {k: (spent[k], BUDGETS[k]) for k in BUDGETS if spent[k] > BUDGETS[k]}
    assert not over


@pytest.mark.parametrize("path", FILES, ids=named)
def test_forbidden_words(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), "star import"
        if isinstance(node, ast.Assert):
            pytest.fail(f"line {node.lineno}: assert in the package")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "hasattr", f"line {node.lineno}: hasattr probing"
            assert node.func.id != "print" or room(path) in ("cli", "__main__"), f"line {node.lineno}: print"


@pytest.mark.parametrize("path", sorted((HOUSE / "ops").glob("*.py")), ids=named)
def test_rules_are_plain_numpy(path):
    """Outside the forwards of primitives: no out=, no .data, no in-place writes, no Tensor."""
    tree = ast.parse(path.read_text())
    forwards = [
        f
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef)
        and any(getattr(d, "id", "") in ("primitive", "nondifferentiable") for d in f.decorator_list)
    ]
    exempt = {id(n) for f in forwards for n in ast.walk(f)}
    for node in ast.walk(tree):
        if id(node) in exempt:
            continue
        if isinstance(node, ast.Call):
            assert all(k.arg != "out" for k in node.keywords), f"line {node.lineno}: out= in a rule"
        if isinstance(node, ast.Attribute):
            assert node.attr != "data", f"line {node.lineno}: .data in a rule"
        if isinstance(node, ast.Assign):
            assert not any(isinstance(t, ast.Subscript) for t in node.targets), f"line {node.lineno}: a write"
        if isinstance(node, ast.Name):
            assert node.id != "Tensor", f"line {node.lineno}: a rule knows no Tensor"


def test_importing_costs_nothing_but_numpy():
    heavy = {"graphviz", "matplotlib", "tqdm", "numba", "scipy", "gzip", "http", "asyncio", "multiprocessing"}
    code = f"""
import numpy, sys
before = set(sys.modules)
import tinygrad_bp
print(sorted((set(sys.modules) - before) & {heavy!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
