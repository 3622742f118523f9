"""Dispatch: what a call costs over NumPy's own where it records and where not, and beside HIPS autograd's; 10 numbers.

Contenders take turns; the minimum over all rounds is what the work takes when nothing disturbs it. A
second table: forward and backward through one function, over what HIPS autograd takes, the slowest first.
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

ARRAY, SQUARE, CUBE = "array", "square", "cube"
SHAPES = {ARRAY: ((100,), (100_000,)), SQUARE: ((12, 12), (200, 200)), CUBE: ((4, 5, 6), (40, 50, 60))}
ELEMENTWISE = """abs fabs negative reciprocal square sqrt exp exp2 expm1 log log2 log10 log1p sin cos tan arctan sinh cosh
    tanh arcsinh sinc deg2rad nan_to_num"""
OF_TWO = "maximum minimum fmax fmin logaddexp arctan2 multiply"
REDUCTIONS = "sum mean var std max min prod cumsum sort"
ON_ARRAYS = """1/x  x**2  x**3  x**x  x%0.7  x+x  x-1.5*x  x/(x+1)  x[1:]  x[3]  x[x>1]  x[I]  x[None,:]  np.arcsin(x-1)
    np.arccosh(x+1)  np.where(x>1,x,0.)  np.clip(x,.7,1.2)  np.reshape(x,(10,-1))  np.ravel(x)  np.squeeze(x)
    np.expand_dims(x,0)  np.atleast_2d(x)  np.flip(x)  np.roll(x,3)  np.repeat(x,2)  np.tile(x,2)  np.concatenate([x,x])
    np.stack([x,x])  np.vstack([x,x])  np.hstack([x,x])  np.append(x,x)  np.split(x,2)[0]  np.array_split(x,3)[1]
    np.pad(x,2,"constant")  np.partition(x,5)  np.diff(x)  np.gradient(x)  np.linspace(x[0],x[1],9)  np.inner(x,x)
    np.linalg.norm(x)  np.real(np.fft.fft(x))  np.abs(np.fft.rfft(x))  np.fft.irfft(np.fft.rfft(x))  np.fft.fftshift(x)
    np.exp(x)/np.sum(np.exp(x))"""
ON_SQUARES = """x.T  x[:,1]  np.swapaxes(x,0,1)  np.diag(x)  np.diagonal(x)  np.tril(x)  np.triu(x)  np.fliplr(x)  np.rot90(x)
    np.hsplit(x,2)[1]  np.vsplit(x,2)[1]  np.dot(x,x)  np.dot(x,x[0])  x@x  np.outer(x[0],x[1])  np.tensordot(x,x,1)
    np.einsum("ij,jk->ik",x,x)  np.kron(x[:3,:3],x[:3,:3])  np.trace(x)  np.cross(x[:,:3],x[:,3:6])  np.linalg.norm(x,axis=0)
    np.linalg.norm(x,"nuc")  np.linalg.inv(x)  np.linalg.det(x/9)  np.linalg.slogdet(x)[1]  np.linalg.solve(x,x[0])
    np.linalg.eigh(x)[0]  np.linalg.eigh(x)[1]  np.linalg.svd(x,full_matrices=False)[1]  np.linalg.svd(x,full_matrices=False)[0]
    np.linalg.cholesky(x)  np.linalg.pinv(x)  np.real(np.fft.fft2(x))"""
ON_CUBES = "np.transpose(x,(2,0,1))  np.moveaxis(x,0,-1)  np.rollaxis(x,2)  np.matmul(x,np.swapaxes(x,1,2))  np.real(np.fft.fftn(x))"
OF_SCIPY = """digamma(x) erf(x) erfc(x) erfinv(x-.5) erfcinv(x-.5) expit(x) gamma(x) gammaln(x) i0(x) i1(x) j0(x) j1(x) logit(x-.5)
    psi(x) rgamma(x) y0(x) y1(x) jn(2,x) yn(2,x) iv(1,x) ive(1,x) beta(x,x[::-1]) betaln(x,x[::-1]) gammainc(2.,x) gammaincc(2.,x)
    betainc(2.,3.,x/3)"""
FUNCTIONS = [
    *((f"np.{name}(x)", ARRAY) for name in (ELEMENTWISE + " " + REDUCTIONS).split()),
    *((f"np.{name}(x,x[::-1])", ARRAY) for name in OF_TWO.split()),
    *((f"special.{call}", ARRAY) for call in OF_SCIPY.split()),
    *((f"np.{name}(x,axis=0)", SQUARE) for name in REDUCTIONS.split()),
    *((f"np.{name}(x,axis=1,keepdims=True)", SQUARE) for name in ["sum", "mean", "var", "max"]),
    *(
        (e, shape)
        for text, shape in ((ON_ARRAYS, ARRAY), (ON_SQUARES, SQUARE), (ON_CUBES, CUBE))
        for e in text.split()
    ),
]
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
        contenders = {"NumPy": (np, x), "ours": (np, t), "a constant": (np, bp.Tensor(x))}
        contenders |= {"autograd": (anp, box)} if autograd else {}
        least = _least({who: _times(call, *args) for who, args in contenders.items()}, ROUNDS)
        results[name] = {f"{who} adds µs": least[who] - least["NumPy"] for who in least if who != "NumPy"}
        results[name]["NumPy's µs"] = least["NumPy"]
    return results | (_beside(autograd, anp) if autograd else {})


def _beside(autograd, anp):
    """{function, size: ours over autograd's time for Σ f's gradient}, the slowest first."""
    from autograd.scipy import special as their_special
    from scipy import special

    results = {}
    for expression, kind in FUNCTIONS:
        for size, shape in zip(("small", "medium"), SHAPES[kind]):
            x = np.random.default_rng(0).uniform(0.999, 1.001, shape)
            x = x + np.diag(np.arange(3.0, 3 * shape[0] + 3, 3)) + (x + x.T) / 9 if kind is SQUARE else x
            f = eval(f"lambda np, special, x: {expression}", {"I": INDEX})
            ours = bp.grad(lambda x, f=f: np.sum(f(np, special, x)))
            theirs = autograd.grad(lambda x, f=f: anp.sum(f(anp, their_special, x)))
            try:
                theirs(x)
            except (NotImplementedError, AttributeError, TypeError):  # autograd has no such gradient
                continue
            turns, rounds = (10, 25) if size == "small" else (1, 5)
            contenders = {
                "ours": _times(lambda _, x, g=ours: g(x), np, x, turns),
                "autograd": _times(lambda _, x, g=theirs: g(x), anp, x, turns),
            }
            least = _least(contenders, rounds)
            results[f"{expression}, {size}"] = {
                "ours / autograd": least["ours"] / least["autograd"],
                "ours µs": least["ours"],
            }
    return dict(sorted(results.items(), key=lambda item: -item[1]["ours / autograd"]))


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
