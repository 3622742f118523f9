"""W1–W3: one training step of a net: who is there, do all compute the same, and how long does each take."""

import time

import numpy as np

from . import ours, peers
from .floor import floor
from .measure import COMPILED, EAGER, FLOOR, gathered, interleaved, ratios
from .plain import Plain
from .tape import Tape
from .tasks import TASKS

MAKERS = {
    FLOOR: floor,
    "preallocated, plainly": Plain,
    "a tape that checks nothing": Tape,
    EAGER: ours.Eager,
    COMPILED: ours.Compiled,
    "PyTorch eager": peers.Torch,
    "torch.compile": peers.TorchCompiled,
    "JAX jit": peers.Jax,
    "MyGrad": peers.MyGrad,
    "HIPS autograd": peers.Autograd,
}


def agree(contenders, task, steps=6):
    """Raise unless all come to the same costs and the same change of each parameter in so many steps."""
    tolerance = 2e-3 if task.dtype is np.float32 else 1e-8
    costs = {name: [float(c.step()) for _ in range(steps)] for name, c in contenders.items()}
    start, _, _ = task.start()
    first = next(iter(contenders))
    changes = [p - s for p, s in zip(contenders[first].parameters(), start)]
    for name, contender in contenders.items():
        np.testing.assert_allclose(costs[name], costs[first], rtol=tolerance, err_msg=f"costs of {name}")
        for p, s, change in zip(contender.parameters(), start, changes):
            assert p.dtype == task.dtype, f"{name} computes in {p.dtype}"
            limit = 5 * tolerance * np.max(np.abs(change))
            np.testing.assert_allclose(p - s, change, rtol=0, atol=limit, err_msg=f"parameters of {name}")


def gemms(task):
    """The matrix products of one step alone, into preallocated arrays, by NumPy and by PyTorch."""
    arrays = [[np.ones(s, task.dtype) for s in ((m, k), (k, n), (m, n))] for m, k, n in task.products()]

    def by_numpy():
        for a, b, c in arrays:
            a.dot(b, c)

    found = {"NumPy": by_numpy}
    try:
        import torch
    except ImportError:
        return found
    tensors = [[torch.from_numpy(a) for a in three] for three in arrays]

    def by_torch():
        for a, b, c in tensors:
            torch.mm(a, b, out=c)

    return found | {"PyTorch": by_torch}


def run(name, threads):
    """What a workload came to, as a dict for print and for JSON."""
    task = TASKS[name]
    start = time.perf_counter()
    contenders, left_out = gathered(MAKERS, (task,))
    agree(contenders, task)
    ready = time.perf_counter() - start
    steps = {name: contender.step for name, contender in contenders.items()}
    large = task.batch > 256
    pause = 0.03 if threads > 1 else 0.0
    seconds = interleaved(steps, rounds=9 if large else 80, pause=pause)
    products = interleaved(gemms(task), rounds=9 if large else 80, pause=pause)
    return report(seconds, products, left_out) | {"seconds of preparation": ready}


def report(seconds, products, left_out):
    """Times, ratios to the floor, ours against each peer, the products alone."""
    to_floor = ratios(seconds, FLOOR)
    result = {
        name: {"µs": float(np.median(seconds[name]) * 1e6), "ratio to hand-written": to_floor[name]}
        for name in seconds
    }
    result |= left_out
    for mine in (COMPILED, EAGER):
        if mine in seconds:
            others = ratios(seconds, mine)
            result |= {f"{n} / {mine}": others[n] for n in seconds if n not in (FLOOR, EAGER, COMPILED)}
    if "PyTorch" in products:
        result["products alone, PyTorch / NumPy"] = ratios(products, "NumPy")["PyTorch"]
    result["products alone, NumPy / hand-written"] = float(
        np.median(products["NumPy"]) / np.median(seconds[FLOOR])
    )
    return result
