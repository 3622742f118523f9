"""scipy.special: what the domain table cannot say: loading, accuracy, edges, and what has no rule."""

import subprocess
import sys

import numpy as np
import pytest

import tinygrad_bp as bp

special = pytest.importorskip("scipy.special")
pytest.importorskip("tinygrad_bp.ops.special")  # now: what a test declares is undone after it


def test_rules_are_loaded_when_the_first_function_is_met():
    """Neither `import tinygrad_bp` loads SciPy, nor does SciPy's import load the rules."""
    code = """
import sys
import numpy as np, tinygrad_bp as bp
assert "scipy" not in sys.modules
from scipy import special
assert "tinygrad_bp.ops.special" not in sys.modules
print(bp.grad(special.erf)(0.0))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(2 / np.sqrt(np.pi), rel=1e-15)


@pytest.mark.parametrize(
    ("a", "x", "expected"),
    [  # ∂P/∂a by mpmath with 60 digits
        (0.0, 2.0, -0.04890051070806112),
        (1e-08, 0.5, -0.55977360064375655),
        (0.1, 20.0, -1.8869851303406345e-10),
        (0.999, 3.0, -0.096375535060348935),
        (1.5, 0.01, -0.0039705272099872773),
        (3.0, 60.0, -5.1959295826872728e-23),
        (10.0, 10.0, -0.12721482320991924),
        (100.0, 30.0, -8.9021771111313858e-24),
        (1000.0, 1300.0, -4.9858275831497202e-19),
        (10000.0, 10000.0, -0.0039894560494536686),
    ],
)
def test_the_incomplete_gamma_function_in_its_parameter(a, x, expected):
    np.testing.assert_allclose(bp.grad(special.gammainc)(a, x), expected, rtol=1e-12)
    np.testing.assert_allclose(bp.grad(special.gammaincc)(a, x), -expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("f", "x", "slope", "curvature"),
    [  # by the asymptotic series, of which terms beyond the eps are left out
        (special.erfcx, 1e4, -1e-8 / np.sqrt(np.pi) * (1 - 1.5e-8), 2e-12 / np.sqrt(np.pi) * (1 - 3e-8)),
        (special.erfcx, 1e8, -1e-16 / np.sqrt(np.pi), 2e-24 / np.sqrt(np.pi)),
        (special.log_ndtr, -1e4, 1e4 + 1e-4, -1 + 1e-8),
        (special.log_ndtr, 40.0, 0.0, 0.0),
        (special.log_expit, -700.0, 1.0, 0.0),
        (special.i0e, 0.0, 0.0, 0.5),
        (special.j1, 0.0, 0.5, 0.0),
    ],
)
def test_far_out_and_at_zero(f, x, slope, curvature):
    np.testing.assert_allclose(bp.grad(f)(x), slope, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(bp.grad(bp.grad(f))(x), curvature, rtol=1e-9, atol=1e-300)


def test_nothing_times_the_logarithm_of_nothing():
    """x log y at x = 0 does not vary with y, but its derivative there does vary with x."""
    in_y = bp.grad(special.xlogy, 1)
    assert in_y(0.0, 0.0) == 0 == in_y(0.0, 2.0)
    assert bp.grad(in_y)(0.0, 2.0) == 0.5
    assert bp.grad(special.kl_div, 1)(0.0, 0.0) == 1


@pytest.mark.parametrize("f", [special.gamma, special.loggamma, special.psi])
def test_the_gamma_function_of_complex_numbers_once(f):
    """SciPy has ψ of complex numbers, but not its derivative."""
    z = np.array([0.5 + 1j, 2.5 - 0.3j])
    assert (f is special.psi) or bp.gradcheck(f, z)
    order = bp.grad if f is special.psi else lambda f: bp.grad(lambda z: np.abs(bp.vjp(f, z)[1](1.0)[0]))
    with pytest.raises(TypeError):
        order(lambda z: np.abs(f(z)) if f is special.psi else f(z))(0.5 + 1j)


def test_it_says_that_the_next_derivative_is_not_known():
    with pytest.raises(bp.NotDifferentiable, match="no derivative is known of ψ at complex numbers"):
        bp.grad(lambda z: np.abs(special.psi(z)))(0.5 + 1j)


def test_parameters_of_hypergeometric_functions_have_no_rule():
    for n in range(3):
        with pytest.raises(bp.NotDifferentiable, match="no derivative is known in the order"):
            bp.grad(special.hyp2f1, n)(1.0, 2.0, 3.0, 0.5)


@pytest.mark.parametrize("f", [special.jv, special.kn, special.ive, special.hankel1])
def test_orders_have_no_rule(f):
    with pytest.raises(bp.NotDifferentiable, match="no derivative is known in the order") as caught:
        bp.grad(lambda v: np.abs(f(v, 2.0)))(1.0)
    assert caught.value.__notes__ == [f"raised in the backward pass through {f.__name__}"]


def test_parameters_of_betainc_have_no_rule():
    for n in (0, 1):
        with pytest.raises(bp.NotDifferentiable, match="parameters a and b of betainc"):
            bp.grad(special.betainc, n)(1.0, 2.0, 0.5)


@pytest.mark.parametrize("f", [special.ive, special.jve, special.yve])
def test_damped_bessel_functions_of_complex_numbers_have_no_rule(f):
    with pytest.raises(bp.NotDifferentiable, match="not analytic"):
        bp.grad(lambda z: np.abs(f(1, z)))(1.0 + 2.0j)


@pytest.mark.parametrize("f", [special.softmax, special.logsumexp, lambda x: special.polygamma(1, x)])
def test_python_functions_refuse_a_tensor(f):
    with pytest.raises(TypeError, match="works on bare arrays, and was given a Tensor that records"):
        f(bp.Tensor([0.5, 1.0], requires_grad=True))


def test_unknown_functions_say_so():
    with pytest.raises(bp.NotDifferentiable, match="airy has no derivative rule yet"):
        special.airy(bp.Tensor([0.5], requires_grad=True))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("f", "more"), [(special.kl_div, 0.0), (special.rel_entr, 1.0)])
def test_entropies_whose_quotient_overflows(f, more, dtype):
    """a/b is ∞ or 0, the logarithm of it is not; at (0, 0) the slope is NaN, as documented."""
    kind = np.finfo(dtype)
    for a, b in [(1.0, kind.smallest_subnormal), (kind.tiny, kind.max), (kind.max, kind.tiny)]:
        a, b = dtype(a), dtype(b)
        slope = np.log(a.astype(np.float64)) - np.log(b.astype(np.float64)) + more
        found = bp.grad(f)(a, b)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, slope, rtol=4 * float(kind.eps))
    assert np.isnan(bp.grad(f)(dtype(0), dtype(0)))
    assert bp.gradcheck(f, np.array([0.5, 2.0]), np.array([0.7, 0.1]), order=2)


@pytest.mark.parametrize("name", ["gamma", "erf", "gammaincc", "betaln", "gammasgn"])
def test_where_masks_what_it_names(name):
    """SciPy's own loops write elsewhere under a mask: https://github.com/scipy/scipy/pull/25127."""
    f = getattr(special, name)
    x, mask = np.arange(1.0, 13.0).reshape(3, 4) / 5, np.eye(3, 4, dtype=bool)
    args = (x, x[::-1] + 1.0)[: f.nin]
    leaves = [bp.Tensor(a, requires_grad=True) for a in args]
    for out in (bp.zeros((3, 4)), bp.Tensor(x, requires_grad=True) * 2.0):
        expected = np.where(mask, f(*args), out.data)
        f(*leaves, out=out, where=mask)
        np.testing.assert_array_equal(out.data, expected)
    masked = lambda *args: f(*args, where=mask)
    np.testing.assert_array_equal(
        getattr(masked(*leaves), "data", masked(*leaves)), np.where(mask, f(*args), 0.0)
    )
    if name != "gammasgn":
        assert bp.gradcheck(masked, *args)
