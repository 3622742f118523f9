"""Interleaved timing: rounds in which every contender runs in turn, the cyclic collector off as in timeit."""

import gc
import time

import numpy as np


def interleaved(contenders, *, rounds, inner, warm_up=30):
    """{name: array of seconds per call, one per round}, the contenders taking turns in each round."""
    for run in contenders.values():
        for _ in range(warm_up):
            run()
    seconds = {name: [] for name in contenders}
    names = list(contenders)
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                run = contenders[name]
                start = time.perf_counter()
                for _ in range(inner):
                    run()
                seconds[name].append((time.perf_counter() - start) / inner)
    finally:
        gc.enable()
    return {name: np.array(values) for name, values in seconds.items()}


def ratios(seconds, base):
    """{name: (lower quartile, median, upper quartile) of the per-round ratios to `base`}."""
    return {
        name: tuple(np.percentile(values / seconds[base], [25, 50, 75])) for name, values in seconds.items()
    }


def environment():
    """What the numbers depend on: versions, the BLAS kernel and its threads, the processor."""
    import platform

    facts = {"python": platform.python_version(), "numpy": np.__version__, "processor": _processor()}
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return facts
    blas = [
        f"{i['internal_api']} {i.get('architecture', '')}"
        for i in threadpool_info()
        if i["user_api"] == "blas"
    ]
    return facts | {"blas": ", ".join(blas)}


def _processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return "unknown"


def one_thread():
    """A context in which BLAS and PyTorch use one thread, if they can be told."""
    import contextlib

    try:
        import torch

        torch.set_num_threads(1)
    except ImportError:
        pass
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return contextlib.nullcontext()
    return threadpool_limits(1)
