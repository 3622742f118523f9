"""Fourier transforms: what the domain table cannot say."""

import numpy as np
import pytest

import tinygrad_bp as bp


def test_real_arrays_have_real_gradients():
    x = np.arange(6.0)
    for transform in (np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.ihfft, np.fft.fftn):
        gradient = bp.grad(lambda x, f=transform: np.sum(np.abs(f(x)) ** 2))(x)
        assert gradient.dtype == np.float64
    np.testing.assert_allclose(bp.grad(lambda x: np.sum(np.abs(np.fft.fft(x)) ** 2))(x), 12 * x)  # Parseval


def test_a_spectrum_is_kept_in_single_precision():
    x = np.arange(4, dtype=np.float32)
    y, pullback = bp.vjp(lambda x: np.fft.irfft(np.fft.rfft(x, norm="ortho"), norm="ortho"), x)
    assert y.dtype == pullback(y)[0].dtype == np.float32
    np.testing.assert_allclose(pullback(y)[0], x, rtol=1e-6, atol=1e-6)


def test_what_does_not_reach_the_values_has_no_gradient():
    """irfft ignores the imaginary part of the first place, and of the last one for even n."""
    gradient = bp.grad(lambda z: np.sum(np.fft.irfft(z) ** 3))(np.array([1 + 1j, 2 + 1j, 3 + 1j]))
    assert gradient[0].imag == gradient[2].imag == 0 != gradient[1].imag


def test_a_transform_over_no_axes_shares_memory_as_numpys_does():
    x = bp.Tensor([1.0, 2.0], requires_grad=True)
    t = x * 1
    y = np.fft.fftn(t, axes=())
    t[0] = 5.0
    np.testing.assert_array_equal(y.data, [5.0, 2.0])


def test_an_axis_named_twice_is_an_error():
    with pytest.raises(bp.NotDifferentiable, match=r"named twice in axes=\(0, 0\).*one axis after the other"):
        bp.grad(lambda x: np.sum(np.abs(np.fft.fftn(x, axes=(0, -1)))))(np.ones(3))


def test_with_s_and_no_axes_the_last_ones_are_transformed():
    x = np.arange(12.0).reshape(2, 2, 3)
    with pytest.warns(DeprecationWarning, match="axes"):  # NumPy's
        found = bp.grad(lambda x: np.sum(np.abs(np.fft.fftn(x, s=(3, 2))) ** 2))(x)
    known = bp.grad(lambda x: np.sum(np.abs(np.fft.fftn(x, s=(3, 2), axes=(1, 2))) ** 2))(x)
    np.testing.assert_allclose(found, known)


def test_out_is_written_to():
    x, out = bp.Tensor([1.0, 2.0], requires_grad=True), bp.zeros(2, dtype=complex)
    assert np.fft.fft(x, out=out) is out
    np.sum(np.abs(out) ** 2).backward()
    np.testing.assert_allclose(x.grad, [4.0, 8.0])
