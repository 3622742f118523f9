"""W9: what compiling costs before it pays: time to the first replay, in eager steps; and memory peaks."""

import contextlib
import os
import sys
import tempfile
import time
import tracemalloc

import numpy as np

from . import ours, peers, second_order
from .floor import floor
from .measure import COMPILED, EAGER, FLOOR, why_not
from .tasks import TASKS


def start_up(make, task):
    """(seconds of the calls before the first replay, seconds of one of our eager steps), medians of 9.

    Of the processor's time, which others on the machine do not take part in; one thread does all of it.
    """
    eager = _maker(ours.Eager, second_order.Ours, task)(task)
    eager.step()
    first, usual = [], []
    for _ in range(9):
        usual += [_seconds(eager.step, time.process_time) for _ in range(5)]
        compiled = make(task)
        spent = 0.0
        while True:
            elapsed = _seconds(compiled.step, time.process_time)
            if compiled.run.stats["replays"]:
                break
            spent += elapsed
        first.append(spent)
        usual += [_seconds(eager.step, time.process_time) for _ in range(5)]
    return float(np.median(first)), float(np.median(usual))


def _maker(training, hessian, task):
    return hessian if task is TASKS["W8"] else training


def _seconds(call, clock=time.perf_counter):
    start = clock()
    call()
    return clock() - start


def first_call(make, task):
    """(seconds of a peer's first call, seconds of its own usual one); nothing of it compiled before."""
    with tempfile.TemporaryDirectory() as empty, _variable("TORCHINDUCTOR_CACHE_DIR", empty):
        if "torch" in sys.modules:
            sys.modules["torch"].compiler.reset()
        contender = make(task)
        first = _seconds(contender.step)
        return first, float(np.median([_seconds(contender.step) for _ in range(10)]))


@contextlib.contextmanager
def _variable(name, value):
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def memory(make, task):
    """Bytes that a contender has at the peak of a step, beyond parameters, batch and what making it left.

    Counted by tracemalloc, which sees NumPy's arrays and Python's objects: buffers kept between steps
    and temporaries alike.
    """
    tracemalloc.start()
    contender = make(task)
    for _ in range(6):
        contender.step()
    tracemalloc.reset_peak()
    for _ in range(3):
        contender.step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    parameters, x, y = task.start()
    return peak - sum(a.nbytes for a in (*parameters, x, y))


def run():
    """Per workload: start-up of bp.compile, of the peers' compilers, and memory peaks in MB."""
    result = {}
    for name in ("W1", "W2", "W3", "W8"):
        task = TASKS[name]
        make = _maker(ours.Compiled, second_order.Compiled, task)
        first, eager = start_up(make, task)
        result[f"{name}: trace and compile"] = {"s": first, "in eager steps": first / eager}
        if name != "W8":
            for peer, maker in (("JAX jit", peers.Jax), ("torch.compile", peers.TorchCompiled)):
                try:
                    first, usual = first_call(maker, task)
                    result[f"{name}: {peer}"] = {"s": first, "in its own steps": first / usual}
                except Exception as error:  # told, and the others go on
                    result[f"{name}: {peer}"] = why_not(error)
        three = {
            FLOOR: _maker(floor, second_order.ByHand, task),
            EAGER: _maker(ours.Eager, second_order.Ours, task),
            COMPILED: make,
        }  # fmt: skip
        result[f"{name}: peak MB"] = {who: memory(one, task) / 1e6 for who, one in three.items()}
    return result
