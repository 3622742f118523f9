"""Another version of the package beside this one, in one process: `python -m tests.benchmarks.versions FOLDER`.

FOLDER is its `tinygrad_bp`, as `git worktree add /tmp/before COMMIT` gives; it is loaded under another name.
Both take turns on W1 and on chains of 10,000 scalar ops, forward and backward.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

import numpy as np

from .chains import chain
from .measure import interleaved, ratios
from .tasks import TASKS

HERE, THERE = "tinygrad_bp", "tinygrad_bp_of_another_version"


def load(folder):
    """The package in `folder`, under the name THERE."""
    path = Path(folder) / "__init__.py"
    spec = importlib.util.spec_from_file_location(THERE, path, submodule_search_locations=[str(folder)])
    sys.modules[THERE] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[THERE])


def training(name, dtype=np.float32):
    """One step of W1."""
    bp, nn, optim = (importlib.import_module(name + part) for part in ("", ".nn", ".optim"))
    task = TASKS["W1"]
    net = nn.MLP(task.sizes, rng=0, dtype=dtype)
    sgd, cost = optim.SGD(net.parameters(), lr=0.1), bp.nn.functional.quadratic_cost
    x, y = np.ones((task.batch, task.sizes[0]), dtype), np.eye(task.batch, task.sizes[-1], dtype=dtype)

    def step():
        sgd.zero_grad()
        cost(net(x), y).backward()
        sgd.step()

    return step


def products(x, n):
    for _ in range(n):
        x = x * 1.0000001
    return x


def both_passes(name, function, n=10_000):
    bp = importlib.import_module(name)
    return lambda: function(bp.Tensor(0.5, requires_grad=True), n).backward()


def main(folder, rounds=200):
    load(folder)
    work = {
        "W1": training,
        "W4, 10,000 ops": lambda name: both_passes(name, chain),
        "10,000 products": lambda name: both_passes(name, products),
    }
    for title, make in work.items():
        seconds = interleaved({name: make(name) for name in (HERE, THERE)}, rounds=rounds, block=0.001)
        low, median, high = ratios(seconds, THERE)[HERE]
        microseconds = [np.median(seconds[name]) * 1e6 for name in (HERE, THERE)]
        print(
            f"{title}: {median:.2f} ({low:.2f}–{high:.2f}); µs: {microseconds[0]:.1f}, {microseconds[1]:.1f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
