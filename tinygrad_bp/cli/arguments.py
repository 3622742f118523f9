"""What may be typed after `python -m tinygrad_bp`, and what it calls. Wrong arguments: one line, exit code 2."""

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from ..nn.activations import BY_NAME
from . import commands
from .demo import demo


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def _sizes(text):
    """'3,5,2' as [3, 5, 2]."""
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if len(sizes) < 2 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of at least two widths such as 3,5,2")
    return sizes


def _count(text):
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _rate(text):
    """A number above 0."""
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return rate


def _parser():
    parser = _Parser(prog="python -m tinygrad_bp", description="Train, prove and draw neural nets.")
    parser.add_argument("--version", action="version", version=f"tinygrad_bp {__version__}")
    commands_ = parser.add_subparsers(dest="command", metavar="command", required=True)

    def command(name, run, text):
        sub = commands_.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        sub.add_argument("--seed", type=int, default=0, help="of all random numbers (default 0)")
        return sub

    def of_a_net(sub):
        sub.add_argument("--sizes", type=_sizes, default=[3, 5, 2], help="widths of the layers, as 3,5,2")
        sub.add_argument(
            "--activation", choices=[name for name in BY_NAME if "softmax" not in name], default="sigmoid"
        )
        sub.add_argument("--batch", type=_count, default=4, help="examples (default 4)")

    tour = command("demo", demo, "train on real digits, prove BP1–BP4, show it on a page (the default)")
    tour.add_argument("--out", default="tinygrad_bp_demo", help="folder for index.html and the pictures")
    train = command("train", commands.train, "train [784, H, 10] on a folder of MNIST files")
    train.add_argument("--data", required=True, help="folder with the four IDX files, gzipped or not")
    train.add_argument("--hidden", type=_count, default=30, help="width of the hidden layer (default 30)")
    train.add_argument("--epochs", type=_count, default=30)
    train.add_argument("--batch", type=_count, default=10)
    train.add_argument("--eta", type=_rate, default=3.0, help="learning rate (default 3.0, the book's)")
    verify = command("verify", commands.verify, "hold the engine against BP1–BP4 on a random net")
    of_a_net(verify)
    graph = command("graph", commands.graph, "draw the graph of a random net's cost")
    of_a_net(graph)
    graph.add_argument("--out", default="graph.svg", help="file, .svg or .png (default graph.svg)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, or 1 if a proof failed, or 2 for wrong arguments."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version")):
        arguments = ["demo", *arguments]
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        print(f"python -m tinygrad_bp {options.command}: {error}", file=sys.stderr)
        return 2
