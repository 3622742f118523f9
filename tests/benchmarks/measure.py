"""Interleaved timing: rounds in which every contender runs in turn, the cyclic collector off as in timeit."""

import contextlib
import gc
import importlib.metadata
import os
import platform
import time

import numpy as np

FLOOR, EAGER, COMPILED = "hand-written NumPy", "tinygrad_bp eager", "tinygrad_bp compiled"


def interleaved(contenders, *, rounds, block=0.004, pause=0.0):
    """{name: array of seconds per call, one per round}, the contenders taking turns in each round.

    A turn is one call that is not timed (caches), then calls for about `block` seconds. `pause`
    seconds before a turn let the threads of the contender before fall asleep.
    """
    calls = {name: max(1, round(block / _seconds(run))) for name, run in contenders.items()}
    seconds = {name: [] for name in contenders}
    names = list(contenders)
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                run, count = contenders[name], calls[name]
                if pause:
                    time.sleep(pause)
                run()
                start = time.perf_counter()
                for _ in range(count):
                    run()
                seconds[name].append((time.perf_counter() - start) / count)
    finally:
        gc.enable()
    return {name: np.array(values) for name, values in seconds.items()}


def _seconds(run):
    """One call, roughly: the least of three after a warm-up."""
    found = []
    for _ in range(4):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return max(min(found[1:]), 1e-7)


def ratios(seconds, base):
    """{name: [lower quartile, median, upper quartile] of the per-round ratios to `base`}."""
    return {
        name: np.percentile(values / seconds[base], [25, 50, 75]).tolist() for name, values in seconds.items()
    }


def gathered(makers, arguments):
    """({name: contender}, {name: why it is left out}) from {name: function that makes one}.

    Each is also asked for one step of a twin, so that a missing compiler shows here and not in the race.
    """
    found, left_out = {}, {}
    for name, make in makers.items():
        try:
            make(*arguments).step()
            found[name] = make(*arguments)
        except Exception as error:  # a peer that cannot run here is told, and the others go on
            if name in (FLOOR, EAGER):
                raise
            left_out[name] = why_not(error)
    return found, left_out


def why_not(error):
    """One line on why a contender is left out."""
    if isinstance(error, ImportError):
        return f"left out: not installed ({error.name or error})"
    text = str(error).strip() or "no message"
    return f"left out: {type(error).__name__}: {text.splitlines()[0][:120]}"


def environment():
    """What the numbers depend on: versions, the BLAS kernels and their threads, the processor, its load."""
    facts = {
        "python": platform.python_version(), "processor": _processor(), "cores": _cores(),
        "load": ", ".join(f"{x:.1f}" for x in os.getloadavg()),
    }  # fmt: skip
    for package in ("numpy", "torch", "jax", "mygrad", "autograd"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            facts[package] = importlib.metadata.version(package)
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return facts | {"BLAS": "not known: threadpoolctl is not installed"}
    pools = [i for i in threadpool_info() if i["user_api"] == "blas"]
    names = [f"{i['internal_api']} {i.get('architecture', '')} × {i['num_threads']} threads" for i in pools]
    return facts | {"BLAS": ", ".join(sorted(set(names)))}


def _cores():
    return len(os.sched_getaffinity(0)) if platform.system() == "Linux" else os.cpu_count()


def _processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
