"""docs/from_autograd.md: twenty programs, which `test_docs.py` runs, and an answer to every name."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.ops.classes import classify

if importlib.util.find_spec("scipy"):
    importlib.import_module("tinygrad_bp.ops.special")

PAGE = (Path(__file__).parents[1] / "docs" / "from_autograd.md").read_text()
NAMES = """
    checkpoint deriv elementwise_grad grad grad_and_aux grad_named hessian hessian_tensor_product
    hessian_vector_product holomorphic_grad jacobian make_ggnvp make_hvp make_jvp make_vjp multigrad_dict primitive
    tensor_jacobian_product value_and_grad vector_jacobian_product
    defvjp defjvp notrace_primitive check_grads flatten
    builtins numpy scipy misc"""


def test_there_are_twenty_programs_and_each_shows_a_result():
    programs = re.split(r"\n\d+\\\. ", PAGE)[1:]
    assert len(programs) == 20
    for program in programs:
        code = re.search(r"```python\n(.*?)```", program, re.DOTALL).group(1)
        assert re.search(r"^(?!>>>|\.\.\.)\S", code, re.MULTILINE), program
        assert "autograd" not in code


@pytest.mark.parametrize("name", NAMES.split())
def test_every_name_has_an_answer(name):
    where = {
        "numpy": "anp",
        "builtins": "autograd.builtins",
        "scipy": "autograd.scipy",
        "misc": "misc.optimizers",
    }
    assert re.search(rf"\b{where.get(name, name)}\b", PAGE)


@pytest.mark.oracle
def test_no_public_name_is_forgotten():
    autograd = pytest.importorskip("autograd")
    public = {name for name, f in vars(autograd).items() if callable(f) and not name.startswith("_")}
    assert public - {"dict", "list", "tuple", "isinstance", "type"} <= set(NAMES.split())


DIFFERENTIABLE = {  # what autograd differentiates, module by module; without its helpers
    "numpy": """
        abs absolute acos acosh add amax amin angle arccos arccosh arcsin arcsinh arctan arctan2 arctanh array array_split
        asin asinh astype atan atan2 atanh atleast_1d atleast_2d atleast_3d broadcast_to clip concatenate conj conjugate
        cos cosh cross cumsum deg2rad degrees diag diagonal diff divide dot dsplit einsum exp exp2 expand_dims expm1 fabs
        fliplr flipud fmax fmin full gradient hsplit hypot imag inner kron linspace log log10 log1p log2 logaddexp
        logaddexp2 make_diagonal matmul max maximum mean min minimum mod moveaxis multiply nan_to_num negative outer pad
        partition permute_dims pow power prod rad2deg radians ravel real real_if_close reciprocal remainder repeat reshape
        roll rollaxis rot90 sin sinc sinh sort split sqrt square squeeze std subtract sum swapaxes tan tanh tensordot tile
        trace transpose tril triu true_divide var vsplit where""",
    "numpy.linalg": "cholesky det eig eigh inv norm pinv slogdet solve svd",
    "numpy.fft": "fft fft2 fftn fftshift ifft ifft2 ifftn ifftshift irfft irfft2 irfftn rfft rfft2 rfftn",
    "scipy.special": """
        beta betainc betaln digamma erf erfc erfcinv erfinv expit gamma gammainc gammaincc gammaln gammasgn i0 i1 iv ive j0
        j1 jn logit logsumexp multigammaln polygamma psi rgamma y0 y1 yn""",
    "scipy.linalg": "solve_banded solve_sylvester solve_triangular sqrtm",
    "scipy.signal": "convolve",
    "scipy.integrate": "odeint",
    "scipy.stats.beta": "cdf logpdf pdf",
    "scipy.stats.chi2": "cdf logpdf pdf",
    "scipy.stats.dirichlet": "logpdf pdf",
    "scipy.stats.gamma": "cdf logpdf pdf",
    "scipy.stats.multivariate_normal": "entropy logpdf pdf",
    "scipy.stats.norm": "cdf logcdf logpdf logsf pdf sf",
    "scipy.stats.poisson": "cdf logpmf pmf",
    "scipy.stats.t": "cdf logcdf logpdf pdf",
    "misc.fixed_points": "fixed_point",
}
HELPERS = {"array_from_args", "concatenate_args", "truncate_pad"}
"""What autograd's own functions are made of."""
EVERY_DIFFERENTIABLE = [(module, name) for module, names in DIFFERENTIABLE.items() for name in names.split()]


def is_differentiated(module, name):
    """Has the function of this name, in NumPy or SciPy itself, a class that allows for a Tensor?"""
    if module.startswith(("scipy.stats", "misc")):
        return False
    f = getattr(importlib.import_module(module), name, None)
    try:
        return classify(f, name)[0] in ("differentiable", "composite", "non-differentiable")
    except LookupError:
        return False


@pytest.mark.parametrize(("module", "name"), EVERY_DIFFERENTIABLE)
def test_what_autograd_differentiates_is_differentiated_or_answered(module, name):
    pytest.importorskip("scipy")
    of_density = name.replace("pdf", "logpdf").replace("pmf", "logpmf").replace("loglog", "log")
    family = {"numpy": "anp"}.get(module) or module.rpartition(".")[2]
    prefixes = ("", "stats.", "misc.", "autograd.scipy.")
    answers = {f"`{prefix}{family}.{n}" for prefix in prefixes for n in (name, of_density)} | {f"`{name}`"}
    assert is_differentiated(module, name) or any(answer in PAGE for answer in answers)


@pytest.mark.oracle
def test_nothing_that_autograd_differentiates_is_forgotten():
    core = pytest.importorskip("autograd.core")
    seen = set()
    for module in DIFFERENTIABLE:
        there = vars(importlib.import_module(f"autograd.{module}"))
        rules = {n: f for n, f in there.items() if callable(f) and f.__hash__ and f in core.primitive_vjps}
        new = {n for n, f in rules.items() if f not in seen and not n.startswith("_")}
        seen |= set(rules.values())
        assert new - HELPERS <= set(DIFFERENTIABLE[module].split()), module


ROWS = re.findall(r"^\| `((?:linalg|signal|special|stats)\.[^`]*)` \| `([^`]*)` \|$", PAGE, re.MULTILINE)
SAMPLE = {
    "A": np.array([[3.0, 0.4, -0.3], [0.2, 5.0, 0.6], [-0.5, 0.1, 7.0]]), "B": np.array([[0.5, -1.0], [1.5, 0.7]]),
    "Q": np.array([[1.0, -2.0], [0.5, 0.3], [-0.7, 1.1]]), "D": np.array([[0.0, 0.4, -0.3], [3.0, 4.0, 5.0], [0.2, 0.6, 0.0]]),
    "x": np.array([0.3, -1.2, 0.8]), "y": np.array([1.1, -0.4]), "m": np.array([0.1, 0.5, -0.6]), "s": np.array([0.7, 1.5, 2.0]),
    "a": np.array([2.5, 1.7, 4.0]), "b": np.array([0.6, 2.2, 1.4]), "p": np.array([0.2, 0.5, 0.7]),
}  # fmt: skip


@pytest.mark.parametrize(("theirs", "here"), ROWS, ids=[theirs for theirs, _ in ROWS])
def test_what_scipy_writes_in_python(theirs, here):
    pytest.importorskip("scipy")
    families = ("linalg", "signal", "special", "stats")
    names = SAMPLE | {"np": np} | {family: importlib.import_module(f"scipy.{family}") for family in families}
    used = [name for name in SAMPLE if re.search(rf"\b{name}\b", here)]

    def f(*values):
        return eval(here, names | dict(zip(used, values)))

    values = [SAMPLE[name] for name in used]
    np.testing.assert_allclose(f(*values), eval(theirs, names), rtol=1e-12, atol=1e-14)
    assert bp.gradcheck(f, *values, order=2)


def test_every_line_of_scipys_table_is_tried():
    section = PAGE.partition("## SciPy's functions")[2].partition("## Twenty")[0]
    in_words = ["the same of", "np.log` of", "np.exp` of"]
    assert len(ROWS) == len(re.findall(r"^\| `", section, re.MULTILINE)) - len(in_words)
