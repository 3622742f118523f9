"""Dispatch: what a recorded call costs over NumPy's own, and beside HIPS autograd's, for arrays of 10 numbers.

Contenders take turns; the minimum over all rounds is what the work takes when nothing disturbs it. A
second table: forward and backward through one function, over what HIPS autograd takes.
"""

import time

import numpy as np

import tinygrad_bp as bp

CALLS = {
    "np.sum(t)": lambda np, t: np.sum(t),
    "np.exp(t)": lambda np, t: np.exp(t),
    "np.mean(t)": lambda np, t: np.mean(t),
    "np.reshape(t, (2, 5))": lambda np, t: np.reshape(t, (2, 5)),
    "np.dot(t, t)": lambda np, t: np.dot(t, t),
    "np.where(t > 0, t, 1.0)": lambda np, t: np.where(t > 0, t, 1.0),
    "np.concatenate([t, t])": lambda np, t: np.concatenate([t, t]),
    "t + t": lambda np, t: t + t,
    "t * 2.0": lambda np, t: t * 2.0,
    "t[2]": lambda np, t: t[2],
}
ROUNDS, TURNS = 300, 200

ARRAY, SQUARE = (100,), (12, 12)
FUNCTIONS = {
    "exp": (lambda np, x: np.exp(x), ARRAY), "tanh": (lambda np, x: np.tanh(x), ARRAY),
    "power": (lambda np, x: x**3, ARRAY), "divide": (lambda np, x: 1.0 / x, ARRAY), "maximum": (lambda np, x: np.maximum(x, 0.5), ARRAY),
    "where": (lambda np, x: np.where(x > 1, x, 0.0), ARRAY), "sum": (lambda np, x: np.sum(x), ARRAY),
    "mean, axis": (lambda np, x: np.mean(x, axis=0), SQUARE), "max": (lambda np, x: np.max(x), ARRAY), "var": (lambda np, x: np.var(x), ARRAY),
    "std": (lambda np, x: np.std(x), ARRAY), "prod": (lambda np, x: np.prod(x), ARRAY), "cumsum": (lambda np, x: np.cumsum(x), ARRAY),
    "sort": (lambda np, x: np.sort(x), ARRAY), "clip": (lambda np, x: np.clip(x, 0.7, 1.2), ARRAY),
    "reshape": (lambda np, x: np.reshape(x, (10, 10)), ARRAY), "x.T": (lambda np, x: x.T, SQUARE), "x[1:]": (lambda np, x: x[1:], ARRAY),
    "fancy index": (lambda np, x: x[INDEX], ARRAY), "roll": (lambda np, x: np.roll(x, 3), ARRAY), "repeat": (lambda np, x: np.repeat(x, 2), ARRAY),
    "tile": (lambda np, x: np.tile(x, 2), ARRAY), "diag": (lambda np, x: np.diag(x), SQUARE), "tril": (lambda np, x: np.tril(x), SQUARE),
    "concatenate": (lambda np, x: np.concatenate([x, x]), ARRAY), "stack": (lambda np, x: np.stack([x, x]), ARRAY),
    "expand_dims": (lambda np, x: np.expand_dims(x, 0), ARRAY), "pad": (lambda np, x: np.pad(x, 2, "constant"), ARRAY),
    "dot": (lambda np, x: np.dot(x, x), SQUARE), "x @ x": (lambda np, x: x @ x, SQUARE), "outer": (lambda np, x: np.outer(x, x), ARRAY),
    "inner": (lambda np, x: np.inner(x, x), ARRAY), "tensordot": (lambda np, x: np.tensordot(x, x, 1), SQUARE),
    "einsum": (lambda np, x: np.einsum("ij,jk->ik", x, x), SQUARE), "kron": (lambda np, x: np.kron(x, x), (3, 3)),
    "trace": (lambda np, x: np.trace(x), SQUARE), "norm": (lambda np, x: np.linalg.norm(x), ARRAY), "inv": (lambda np, x: np.linalg.inv(x), SQUARE),
    "det": (lambda np, x: np.linalg.det(x), SQUARE), "slogdet": (lambda np, x: np.linalg.slogdet(x)[1], SQUARE),
    "solve": (lambda np, x: np.linalg.solve(x, x[0]), SQUARE), "eigh": (lambda np, x: np.linalg.eigh(x)[0], SQUARE),
    "svd": (lambda np, x: np.linalg.svd(x, full_matrices=False)[1], SQUARE),
    "cholesky": (lambda np, x: np.linalg.cholesky(x), SQUARE),
    "fft": (lambda np, x: np.real(np.fft.fft(x)), ARRAY), "diff": (lambda np, x: np.diff(x), ARRAY), "gradient": (lambda np, x: np.gradient(x), ARRAY),
    "sinc": (lambda np, x: np.sinc(x), ARRAY), "logaddexp": (lambda np, x: np.logaddexp(x, 1.0), ARRAY), "arctan2": (lambda np, x: np.arctan2(x, 2.0), ARRAY),
}  # fmt: skip
INDEX = np.arange(0, 100, 3)


def run():
    """{call: microseconds over NumPy's own, and HIPS autograd's}, {function: ratio of gradients to autograd's}."""
    try:
        import autograd
        from autograd import numpy as anp
        from autograd.core import VJPNode
        from autograd.numpy.numpy_boxes import ArrayBox
    except ImportError:
        autograd = anp = None
    x = np.arange(10.0)
    t, results = bp.Tensor(x, requires_grad=True), {}
    box = autograd and ArrayBox(x, 0, VJPNode.new_root())
    for name, call in CALLS.items():
        contenders = {"NumPy": (np, x), "ours": (np, t)} | ({"autograd": (anp, box)} if autograd else {})
        least = _least({who: _times(call, *args) for who, args in contenders.items()}, ROUNDS)
        results[name] = {f"{who} adds µs": least[who] - least["NumPy"] for who in least if who != "NumPy"}
        results[name]["NumPy's µs"] = least["NumPy"]
    for name, (f, shape) in FUNCTIONS.items() if autograd else ():
        x = np.random.default_rng(0).uniform(0.5, 1.5, shape) + (
            np.eye(*shape) * 12 if len(shape) == 2 else 0
        )
        ours = bp.grad(lambda x, f=f: np.sum(f(np, x)))
        theirs = autograd.grad(lambda x, f=f: anp.sum(f(anp, x)))
        least = _least(
            {
                "ours": _times(lambda _, x, g=ours: g(x), np, x, 10),
                "autograd": _times(lambda _, x, g=theirs: g(x), anp, x, 10),
            },
            40,
        )
        results[f"gradient of {name}"] = {
            "ours / autograd": least["ours"] / least["autograd"],
            "ours µs": least["ours"],
        }
    return results


def _times(call, module, x, turns=TURNS):
    """A function that tells the microseconds of one call."""

    def microseconds():
        start = time.perf_counter()
        for _ in range(turns):
            call(module, x)
        return (time.perf_counter() - start) / turns * 1e6

    return microseconds


def _least(contenders, rounds):
    least = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for who, microseconds in contenders.items():
            least[who] = min(least[who], microseconds())
    return least
