"""Derivatives of numpy.fft: a Fourier transform is linear, and its matrix is symmetric.

So the cotangent of `fft(x)` is the `fft` of the cotangent, with the same `norm`; no conjugates, since
our cotangents are ∂f/∂x − i ∂f/∂y. Cropping and padding (`n`, `s`) are undone by padding and cropping.
The transforms of real arrays leave out the half of a spectrum that mirrors the other half: `_halves`
and `_twice` are its weights. Read `special.py` next.
"""

from typing import Any

import numpy as np

from ..errors import NotDifferentiable, message
from ..primitive import composite, defvjp, primitive

SWAPPED: dict[Any, Any] = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}
"""The norm under which the inverse transform has the factor that the transform has under this one."""


@primitive
def resized(x, shape):
    """x, cropped or padded with zeros at the end of each axis: to `shape`."""
    new = np.zeros(shape, x.dtype)
    common = tuple(slice(min(n, m)) for n, m in zip(x.shape, shape))
    new[common] = x[common]
    return new


def _fitted(x, shape):
    return x if x.shape == shape else resized(x, shape)


def _axes(x, axes, s, last=None):
    """The axes that are transformed, as NumPy finds them, without negatives."""
    axes = last if axes is None else axes
    axes = range(x.ndim)[-len(s) if s is not None else None :] if axes is None else axes
    axes = tuple(axis % x.ndim for axis in axes)
    if len(set(axes)) < len(axes):
        what = f"an axis is named twice in axes={axes} of a Fourier transform"
        raise NotDifferentiable(message(what, do="transform along one axis after the other"))
    return axes


def _along(factors, x, axis):
    """`factors`, one per place along `axis`, shaped to multiply x; in x's precision."""
    return np.reshape(factors, (-1, *(1,) * (x.ndim - 1 - axis % x.ndim))).astype(np.finfo(x.dtype).dtype)


def _twice(n):
    """How often each place of the half spectrum of n real numbers stands in the whole one."""
    return np.where(np.arange(n // 2 + 1) * 2 % n == 0, 1.0, 2.0)


def _of_half(g, n, axis, norm):
    """rfft's transpose: Re Σ_k g_k ω^{jk} over the half spectrum, for j < n."""
    return np.fft.irfft(np.conjugate(g) * _along(1 / _twice(n), g, axis), n, axis, SWAPPED[norm])


def _to_half(g, axis, norm):
    """irfft's transpose: each place of the half spectrum counts as often as it stands in the whole."""
    half = np.conjugate(np.fft.rfft(g, axis=axis, norm=SWAPPED[norm]))
    return half * _along(_twice(g.shape[axis]), half, axis)


def _length(x, n, axis):
    return x.shape[axis] if n is None or n == -1 else n


def _rfft(g, _y, _a, n=None, axis=-1, norm=None):
    return _fitted(_of_half(g, _length(_a, n, axis), axis, norm), _a.shape)


def _irfft(g, _y, _a, n=None, axis=-1, norm=None):
    return _fitted(_to_half(g, axis, norm), _a.shape)


def _several(transform, last):
    """The rule of a complex transform over several axes."""

    def rule(g, _y, _a, s=None, axes=None, norm=None):
        return _fitted(transform(g, axes=_axes(_a, axes, s, last), norm=norm), _a.shape)

    return rule


def _rfftn(last):
    def rule(g, _y, _a, s=None, axes=None, norm=None):
        *others, axis = _axes(_a, axes, s, last)
        n = _length(_a, None if s is None else s[-1], axis)
        share = np.fft.fftn(g, axes=others, norm=norm)
        return _fitted(_of_half(share, n, axis, norm), _a.shape)

    return rule


def _irfftn(last):
    def rule(g, _y, _a, s=None, axes=None, norm=None):
        *others, axis = _axes(_a, axes, s, last)
        return _fitted(np.fft.ifftn(_to_half(g, axis, norm), axes=others, norm=norm), _a.shape)

    return rule


# fmt: off
defvjp(resized,        lambda g, _y, _x, shape: resized(g, _x.shape))
defvjp(np.fft.fft,     lambda g, _y, _a, n=None, axis=-1, norm=None:
                           _fitted(np.fft.fft(g, axis=axis, norm=norm), _a.shape))
defvjp(np.fft.ifft,    lambda g, _y, _a, n=None, axis=-1, norm=None:
                           _fitted(np.fft.ifft(g, axis=axis, norm=norm), _a.shape))
defvjp(np.fft.rfft,    _rfft)
defvjp(np.fft.irfft,   _irfft)
defvjp(np.fft.fftn,    _several(np.fft.fftn, None), view=True)
defvjp(np.fft.ifftn,   _several(np.fft.ifftn, None), view=True)
defvjp(np.fft.fft2,    _several(np.fft.fftn, (-2, -1)), view=True)
defvjp(np.fft.ifft2,   _several(np.fft.ifftn, (-2, -1)), view=True)
defvjp(np.fft.rfftn,   _rfftn(None))
defvjp(np.fft.rfft2,   _rfftn((-2, -1)))
defvjp(np.fft.irfftn,  _irfftn(None))
defvjp(np.fft.irfft2,  _irfftn((-2, -1)))
defvjp(np.fft.fftshift,  lambda g, _y, _x, axes=None: np.fft.ifftshift(g, axes))
defvjp(np.fft.ifftshift, lambda g, _y, _x, axes=None: np.fft.fftshift(g, axes))
# fmt: on

# fmt: off
composite(np.fft.hfft, lambda a, n=None, axis=-1, norm=None: np.fft.irfft(np.conjugate(a), n, axis, SWAPPED[norm]))
composite(np.fft.ihfft, lambda a, n=None, axis=-1, norm=None: np.conjugate(np.fft.rfft(a, n, axis, SWAPPED[norm])))
# fmt: on
