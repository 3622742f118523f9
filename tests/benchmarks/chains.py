"""W4: chains of scalar ops: what one node costs, in time (both passes) and in memory."""

import gc
import math
import time
import tracemalloc

import numpy as np

import tinygrad_bp as bp

from .measure import COMPILED, EAGER, ratios, why_not

FLOATS = "hand-written Python floats"


def chain(x, n, sin=np.sin, tanh=np.tanh):
    """The value after n ops on x: a product, a sum, a sine and a tanh in turn."""
    for _ in range(n // 4):
        x = tanh(sin(x * 1.01 + 0.1))
    return x


class Ours:
    """A 0-d Tensor through NumPy's functions."""

    most = 10**6

    def forward(self, n):
        self.x = bp.Tensor(0.5, requires_grad=True)
        return chain(self.x, n)

    def backward(self, y):
        y.backward()
        return self.x.grad


class Compiled:
    """The slope under bp.compile: all of it counts as backward."""

    most = 10**3

    def __init__(self):
        self.slopes = {}

    def forward(self, n):
        if n not in self.slopes:
            self.slopes[n] = bp.compile(bp.grad(lambda x: chain(x, n)))
            for _ in range(3):
                self.slopes[n](np.array(0.5))
        return self.slopes[n]

    def backward(self, slope):
        return slope(np.array(0.5))


class Jax:
    """JAX, jit of the slope, float64: all of it counts as backward."""

    most = 10**3

    def __init__(self):
        import jax

        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        self.jax, self.slopes = jax, {}

    def forward(self, n):
        if n not in self.slopes:
            numpy = self.jax.numpy
            self.slopes[n] = self.jax.jit(self.jax.grad(lambda x: chain(x, n, numpy.sin, numpy.tanh)))
            self.slopes[n](0.5)
        return self.slopes[n]

    def backward(self, slope):
        return float(slope(0.5))


class Floor:
    """Python floats and the math module, the values that backward needs kept in a list."""

    most = 10**6

    def forward(self, n):
        x, kept = 0.5, []
        for _ in range(n // 4):
            z = x * 1.01 + 0.1
            x = math.tanh(math.sin(z))
            kept.append((z, x))
        return kept

    def backward(self, kept):
        g = 1.0
        for z, y in reversed(kept):
            g *= (1 - y * y) * math.cos(z) * 1.01
        return g


class Torch:
    """PyTorch eager, a 0-d float64 tensor."""

    most = 10**5

    def __init__(self):
        import torch

        self.torch = torch

    def forward(self, n):
        self.x = self.torch.tensor(0.5, dtype=self.torch.float64, requires_grad=True)
        return chain(self.x, n, self.torch.sin, self.torch.tanh)

    def backward(self, y):
        y.backward()
        return self.x.grad.item()


class MyGrad:
    """MyGrad, its memory guard off."""

    most = 10**4

    def __init__(self):
        import mygrad

        mygrad.turn_memory_guarding_off()
        self.mygrad = mygrad

    def forward(self, n):
        self.x = self.mygrad.tensor(0.5)
        return chain(self.x, n, self.mygrad.sin, self.mygrad.tanh)

    def backward(self, y):
        y.backward()
        return self.x.grad


class Autograd:
    """HIPS autograd, by its own two halves: the traced value, then the sweep."""

    most = 10**4

    def __init__(self):
        import autograd.numpy as anp
        from autograd.core import make_vjp

        self.anp, self.make_vjp = anp, make_vjp

    def forward(self, n):
        return self.make_vjp(lambda x: chain(x, n, self.anp.sin, self.anp.tanh), 0.5)[0]

    def backward(self, pullback):
        return pullback(1.0)


def _microseconds(contenders, n, rounds):
    """{name: (forward, backward) arrays of µs per node}, taking turns, the cyclic collector off."""
    times = {name: [] for name in contenders}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, contender in contenders.items():
                begin = time.perf_counter()
                y = contender.forward(n)
                middle = time.perf_counter()
                contender.backward(y)
                times[name].append((middle - begin, time.perf_counter() - middle))
                del y
    finally:
        gc.enable()
    return {name: np.array(t).T / n * 1e6 for name, t in times.items()}


def bytes_per_node(n):
    """What a recorded node keeps alive, all told."""
    tracemalloc.start()
    x = bp.Tensor(0.5, requires_grad=True)
    kept = chain(x, n)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return used / n


def _those_who_can(n):
    """({name: contender}, {name: why not}): checked against the floor at this length."""
    makers = {
        FLOATS: Floor, EAGER: Ours, COMPILED: Compiled, "PyTorch eager": Torch, "JAX jit": Jax,
        "MyGrad": MyGrad, "HIPS autograd": Autograd,
    }  # fmt: skip
    found, left_out = {}, {}
    for name, make in makers.items():
        if n > make.most:
            left_out[name] = f"left out: run up to {make.most:,} nodes only"
            continue
        try:
            contender = make()
            slope = contender.backward(contender.forward(n))
        except (ImportError, RecursionError) as error:
            left_out[name] = why_not(error)
            continue
        if name == FLOATS:
            expected = slope
        np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-300, err_msg=name)
        found[name] = contender
    return found, left_out


def run():
    """{"chain of n": {contender: times and ratio}}."""
    result = {}
    for n, rounds in ((10**3, 60), (10**4, 15), (10**5, 5), (10**6, 3)):
        contenders, left_out = _those_who_can(n)
        times = _microseconds(contenders, n, rounds)
        both = {name: t.sum(0) for name, t in times.items()}
        to_us = ratios(both, EAGER)
        for name, t in times.items():
            forward, backward = np.median(t, axis=1)
            result[f"{n:,} nodes: {name}"] = {
                "µs per node": float(np.median(both[name])), "least": float(both[name].min()),
                "forward": float(forward), "backward": float(backward), "ratio to ours": to_us[name],
            }  # fmt: skip
        result |= {f"{n:,} nodes: {name}": why for name, why in left_out.items()}
    result["bytes per node"] = bytes_per_node(10**4)
    return result
