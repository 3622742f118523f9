"""W4: chains of scalar ops: what one node costs, in time (both passes) and in memory."""

import gc
import time
import tracemalloc

import numpy as np

import tinygrad_bp as bp


def chain(n):
    """(leaf, value after n scalar ops): a product, a sum, a sine and a tanh in turn."""
    x = y = bp.Tensor(0.5, requires_grad=True)
    for _ in range(n // 4):
        y = np.tanh(np.sin(y * 1.01 + 0.1))
    return x, y


def microseconds_per_node(n, rounds):
    """Medians (forward, backward), cyclic collector off."""
    times = []
    gc.disable()
    try:
        for _ in range(rounds):
            begin = time.perf_counter()
            _, y = chain(n)
            middle = time.perf_counter()
            y.backward()
            times.append((middle - begin, time.perf_counter() - middle))
            del y
    finally:
        gc.enable()
    return tuple(np.median(times, axis=0) / n * 1e6)


def bytes_per_node(n):
    """What a recorded node keeps alive, all told."""
    tracemalloc.start()
    kept = chain(n)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return used / n
