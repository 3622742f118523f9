"""The commands run, print what they promise, write their files, and refuse wrong arguments in one line."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_bp.cli import main
from tinygrad_bp.primitive import REGISTRY, Op


def test_demo_trains_proves_and_draws(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "pictures")]) == 0
    printed = capsys.readouterr().out
    accuracy = float(printed.split("trained in")[1].split("%")[0].split()[-1])
    assert accuracy >= 95
    for equation in ("BP1", "BP2", "BP3", "BP4"):
        assert equation in printed
    assert "‖δ^2‖" in printed
    assert "‖δ^3‖" in printed
    assert "20 of 20 weights agree" in printed
    assert "FAIL" not in printed
    assert (tmp_path / "pictures" / "graph.svg").read_text().rstrip().endswith("</svg>")
    assert (tmp_path / "pictures" / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


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
