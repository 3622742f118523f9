"""Functions of libraries that ask no Tensor: right, or an error that names the function and a way out."""

import importlib
import traceback

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp import frames

pytest.importorskip("scipy")
pytest.importorskip(
    "tinygrad_bp.ops.special"
)  # loaded when it is needed, which here must not be in the first test

X, M = np.array([0.3, 0.7, 1.1, 2.0]), np.array([[3.0, 1.0], [1.0, 2.0]])

BARE = {  # module: a call -> the differentiable function that its error names
    "special": {
        "softmax(t)": "bp.nn.functional.softmax", "log_softmax(t)": "bp.nn.functional.log_softmax",
        "logsumexp(t)": "bp.nn.functional.logsumexp", "logsumexp(x, b=t)": "bp.nn.functional.logsumexp",
        "polygamma(1, t)": "tinygrad_bp.ops.special.polygamma", "multigammaln(t[3], 2)": "", "comb(t, 2)": "", "factorial(t)": "",
        "spherical_jn(1, t)": "",
    },
    "linalg": {
        **{f"{name}(T)": f"np.linalg.{name}" for name in ("inv", "det", "cholesky", "eigh", "svd", "qr", "norm", "pinv", "eigvals")},
        **{f"{name}(T)": "" for name in ("expm", "logm", "sqrtm", "lu", "block_diag", "toeplitz", "null_space")},
        "solve(T, x[:2])": "np.linalg.solve", "solve(M, t[:2])": "np.linalg.solve", "solve_triangular(T, x[:2])": "",
    },
    "integrate": {
        "trapezoid(t)": "np.trapezoid", "trapezoid(x, x=t)": "np.trapezoid", "simpson(t)": "", "cumulative_trapezoid(t)": "",
        "quad(lambda v: v * t[0], 0, 1)": "", "odeint(lambda y, s: -y * t[0], 1.0, [0, 1.0])": "",
        "solve_ivp(lambda s, y: -y * t[0], (0, 1.0), [1.0])": "", "solve_ivp(lambda s, y: -y, (0, 1.0), t)": "",
    },
    "stats": {"pearsonr(t, x)": "", "zscore(t)": "", "gmean(t)": "", "skew(t)": "", "entropy(t)": ""},
    "interpolate": {"interp1d(x, t)": "", "CubicSpline(x, t)": "", "RegularGridInterpolator((x,), x)(t)": ""},
    "signal": {
        "convolve(t, x)": "np.convolve", "correlate(x, t)": "np.correlate", "fftconvolve(t, x)": "", "convolve2d(T, M)": "",
        "lfilter([1.0], [1.0, 0.5], t)": "", "detrend(t)": "", "hilbert(t)": "",
    },
    "ndimage": {"gaussian_filter(T, 1.0)": "", "map_coordinates(M, T[:, :1])": ""},
    "fft": {"fft(t)": "np.fft.fft", "dct(t)": ""},
    "optimize": {"minimize(lambda v: (v * v).sum(), t)": "", "linprog(t)": ""},
    "spatial.distance": {"cdist(T, M)": "", "euclidean(t, x)": "", "cosine(t, x)": ""},
}  # fmt: skip
CALLS = [(module, call, instead) for module, calls in BARE.items() for call, instead in calls.items()]


def told_by(text, modules):
    """All that the error of a call tells, causes included; the call is the user's, in a module of its own."""
    t, T = (bp.Tensor(a, requires_grad=True) for a in (X, M))
    names = {name.rpartition(".")[2]: importlib.import_module(f"scipy.{name}") for name in modules}
    with pytest.raises((TypeError, ValueError)) as caught:
        exec(text, {**names, "t": t, "T": T, "x": X, "M": M, "np": np, "__name__": "users"})
    return "".join(traceback.format_exception_only(caught.value)), caught.value


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("module", "call", "instead"), CALLS, ids=[f"{module}.{call}" for module, call, _ in CALLS]
)
def test_what_asks_no_tensor_names_itself_and_a_way_out(module, call, instead):
    told, error = told_by(f"{module.rpartition('.')[2]}.{call}", [module])
    name = call.partition("(")[0]
    assert isinstance(error, bp.NotDifferentiable)
    assert f"scipy.{module}.{name} works on bare arrays, and was given a Tensor that records" in told
    for way_out in ("bp.primitive", "defvjp", "t.data"):
        assert way_out in told
    if instead:
        assert f"use {instead}, if it does the same" in told
        assert callable(eval(instead, {"np": np, "bp": bp, "tinygrad_bp": bp}))
    else:
        assert "if it does the same" not in told


@pytest.mark.parametrize(
    ("call", "part"),
    [
        ("stats.norm.logpdf(t)", "scipy.stats.rv_continuous.logpdf works"),
        ("stats.norm.logpdf(x, loc=t[0])", "scipy.stats.rv_continuous.logpdf works"),
        ("stats.poisson.logpmf([1, 2, 3, 4], t)", "scipy.stats.rv_discrete.logpmf works"),
        ("stats.multivariate_normal.logpdf(t, np.zeros(4))", "logpdf works on bare arrays"),
        ("interpolate.CubicSpline(x, x)(t[0])", "works on bare arrays"),
        ("sparse.csr_array(M) @ t[:2]", "__matmul__ works on bare arrays"),
        ("sparse.csr_array(M) * t[0]", "__mul__ works on bare arrays"),
        ("t[0] * sparse.csr_array(M)", "multiply returned a csr_array"),
        ("t[:2] * sparse.csr_array(M)", "multiply returned a coo_array"),
        ("t[:2] + sparse.csr_matrix(M)", "another kind of array"),
        ("np.polynomial.polynomial.polyval(x, t)", "in numpy.polynomial.polynomial.polyval;"),
        ("np.asarray_chkfinite(t)", "in numpy.asarray_chkfinite;"),
        ("np.r_[t, t]", "AxisConcatenator.__getitem__;"),
        ("special.binom(t, 2.0)", "binom has no derivative rule yet"),
        ("np.frompyfunc(lambda v: v, 1, 1)(t)", "has no derivative rule yet"),
    ],
)
def test_what_is_named_in_part_is_an_error(call, part):
    told, _ = told_by(call, ["stats", "interpolate", "sparse", "signal", "special"])
    assert part in told


def test_what_asks_numpy_is_right():
    """Functions of SciPy's that are ufuncs or made of NumPy's calls on the argument itself."""
    from scipy import optimize, sparse, special

    for f in (special.softplus, special.sinc, special.expit):
        assert bp.gradcheck(f, X, order=2)
    by, weights = sparse.csr_matrix([[3.0, 1.0], [-2.0, 2.0]]), np.array([1.0, 0.3])
    np.testing.assert_allclose(bp.grad(lambda x: np.sum(weights * (x @ by)))(X[:2]), by.toarray() @ weights)
    root = bp.grad(lambda a: optimize.newton(lambda v: v * v - a, 1.0))(2.0)
    np.testing.assert_allclose(root, 0.5 / np.sqrt(2.0), rtol=1e-5)


def test_a_result_that_is_no_array_cannot_carry_a_gradient():
    class Measured:
        __array_ufunc__ = None

        def __rmul__(self, other):
            return Measured()

    for x in (2.0, np.ones(2)):
        with pytest.raises(bp.NotDifferentiable, match="multiply returned a Measured, no ndarray"):
            bp.grad(lambda x: x * Measured())(x)
    assert isinstance(bp.Tensor(X) * Measured(), Measured)  # a constant is as an ndarray


def test_the_users_own_calls_name_no_library():
    with pytest.raises(TypeError) as caught:
        np.array(bp.Tensor(X, requires_grad=True))
    assert "in numpy" not in str(caught.value)
    assert frames.library_call() is None
