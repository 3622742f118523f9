"""The commands run, print what they promise, write their files, and refuse wrong arguments in one line."""

import contextlib
import io
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import resources
from string import Template

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.cli import main, page
from tinygrad_bp.primitive import REGISTRY, Op


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """(exit code, what was printed, the folder)."""
    out = tmp_path_factory.mktemp("demo") / "pictures"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = main(["demo", "--out", str(out)])
    return code, printed.getvalue(), out


class Page(HTMLParser):
    """What a page refers to, its text, and whether its tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.images, self.ids, self.headings, self.text = [], [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.images += [given] if tag == "img" else []
        self.headings += [tag] if tag in ("h1", "h2", "h3") else []
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_demo_trains_proves_and_draws(demo):
    code, printed, out = demo
    assert code == 0
    accuracy = float(printed.split("trained in")[1].split("%")[0].split()[-1])
    assert accuracy >= 95
    for equation in ("BP1", "BP2", "BP3", "BP4"):
        assert equation in printed
    assert "‖δ^2‖" in printed
    assert "‖δ^3‖" in printed
    assert "20 of 20 weights agree" in printed
    assert "FAIL" not in printed
    assert printed.rstrip().endswith(str(out / "index.html"))
    assert (out / "graph.svg").read_text().rstrip().endswith("</svg>")
    plots = {path.stem for path in out.glob("*.png")}
    assert plots == {
        "activations", "confusion", "decisions", "delta_norms", "gradients", "learning_curve", "step_errors",
        "weight_images",
    }  # fmt: skip


def test_the_page_is_whole(demo):
    out = demo[-1]
    text = (out / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not page.open
    assert "$" not in "".join(page.text)  # no place of the template is left
    assert not re.findall(r"https?://", text)  # it loads nothing, and leads nowhere
    for link in page.links:
        assert link == "data:," or (out / link).exists() or link[1:] in page.ids, link
    assert len(page.ids) == len(set(page.ids))
    assert page.headings[0] == "h1"
    assert page.headings.count("h2") == 8
    assert len(page.images) == 10
    for image in page.images:
        assert image["src"].startswith("data:image/")
        assert len(image["alt"].split()) > 5
    assert len(text) < 3_000_000


def test_the_stepper_is_written(demo):
    assert "Forward and backward through a 2-3-1 net" in (demo[-1] / "step.html").read_text(encoding="utf-8")


def test_the_derivation_is_a_page(demo):
    page = Page((demo[-1] / "derivation.html").read_text(encoding="utf-8"))
    assert not page.open
    assert "index.html" in page.links
    for equation in ("BP1", "BP2", "BP3", "BP4"):
        assert equation in "".join(page.text)


def test_the_page_says_what_was_printed(demo):
    _, printed, out = demo
    page = Page((out / "index.html").read_text(encoding="utf-8"))
    said = " ".join(" ".join(page.text).split())
    accuracy = float(printed.split("trained in")[1].split("%")[0].split()[-1])
    shown = re.search(r"([\d.]+)% of 359 handwritten digits", said)
    assert float(shown[1]) == pytest.approx(accuracy, abs=0.05)
    assert "6 of 6 checks" in said
    assert "20 of 20 weights" in said
    assert said.count("✓ pass") == 6
    assert "4 of the four examples are answered right" in said
    for equation, place in (("BP1", 3), ("BP2", 2), ("BP3", 2), ("BP4", 2)):
        assert f"{place} {equation} " in said


def test_the_page_escapes_what_is_put_in(tmp_path):
    names = Template(
        resources.files("tinygrad_bp.cli").joinpath("index.html").read_text("utf-8")
    ).get_identifiers()
    picture = tmp_path / "p.svg"
    picture.write_text("<svg/>")
    facts = dict.fromkeys(names, '<script>&"')
    file = page.write(
        tmp_path / "index.html", {"graph": picture}, {k: v for k, v in facts.items() if k != "graph"}, {}
    )
    assert "<script>" not in file.read_text(encoding="utf-8")
    assert "&lt;script&gt;&amp;&quot;" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("x", "text"), [(4.2e-16, "4·10⁻¹⁶"), (1e-12, "1·10⁻¹²"), (0.0, "0"), (np.nan, "nan"), (np.inf, "inf")]
)
def test_powers_are_written_for_people(x, text):
    assert page.power(x) == text


def test_a_proof_that_fails_is_shown_to_fail(monkeypatch):
    wrong = Op(np.tanh, (lambda g, y, _x: g * (1 - y),), broadcasts="elementwise")
    monkeypatch.setitem(REGISTRY, np.tanh, wrong)
    net = bp.nn.MLP([3, 5, 2], "tanh", rng=1, dtype=np.float64)
    cost = bp.nn.functional.quadratic_cost
    rows = page.proof_rows(bp.backprop.verify(net, np.ones((2, 3)), np.zeros((2, 2)), cost))
    assert 'class="fail">✗ FAIL' in rows


def test_options_without_a_command_belong_to_the_demo():
    assert main(["--out", os.devnull]) == 2  # the demo was asked to write into a file


def test_verify_prints_the_proof_table(capsys):
    assert main(["verify", "--sizes", "3,5,2", "--activation", "tanh", "--seed", "1"]) == 0
    printed = capsys.readouterr().out
    assert "3-5-2" in printed
    assert printed.count("pass") == 7  # six equations and the verdict


def test_verify_fails_when_a_rule_is_wrong(capsys, monkeypatch):
    wrong = Op(np.tanh, (lambda g, y, _x: g * (1 - y),), broadcasts="elementwise")
    monkeypatch.setitem(REGISTRY, np.tanh, wrong)
    assert main(["verify", "--sizes", "3,5,2", "--activation", "tanh", "--seed", "1"]) == 1
    assert "FAIL" in capsys.readouterr().out


def test_graph_writes_the_file_it_names(tmp_path, capsys):
    file = tmp_path / "net.svg"
    assert main(["graph", "--sizes", "2,3,1", "--out", str(file)]) == 0
    assert capsys.readouterr().out.strip() == str(file)
    assert "</svg>" in file.read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        "frobnicate",
        "verify --sizes 3",
        "verify --sizes 3,0,1",
        "verify --sizes a,b",
        "verify --activation sine",
        "verify --seed one",
        "train",
        "train --data /there/is/no/such/folder",
        "train --data . --eta 0",
        "train --data . --epochs 0",
        "graph --out picture.bmp",
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(arguments, capsys):
    try:
        code = main(arguments.split())
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("python -m tinygrad_bp")


def test_the_module_is_a_program(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tinygrad_bp", "verify"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0
    assert "BP4" in done.stdout


def test_train_reaches_the_books_accuracy_on_mnist(capsys):
    folder = os.environ.get("TINYGRAD_BP_MNIST")
    if folder is None:
        pytest.skip("set TINYGRAD_BP_MNIST to a folder with MNIST files")
    accuracies = []
    for seed in range(3):
        assert main(["train", "--data", folder, "--seed", str(seed)]) == 0
        printed = capsys.readouterr().out
        accuracies.append(float(printed.split("trained in")[1].split("%")[0].split()[-1]))
    assert sorted(accuracies)[1] >= 91
