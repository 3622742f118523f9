"""Derivatives of what makes arrays from numbers: all in supported calls. Read `classes.py` next.

Creators that look at no array's values (`np.zeros`, `np.arange`, …) never ask a Tensor; those that
would copy them into a buffer (`np.array`, `np.full`) end in the error that names `np.stack`.
"""

import numpy as np

from ..primitive import DuckArray, composite, nondifferentiable


def _inexact(x):
    """x as floating numbers; a Python number stays weak."""
    if isinstance(x, (int, float, complex)):
        return x * 1.0
    floating = isinstance(x, (np.ndarray, DuckArray)) and x.dtype.kind in "fc"
    return x if floating else np.multiply(x, 1.0)


def _linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0, *, device=None):
    """start + (stop − start) k/n."""
    start = _inexact(start)
    step = (stop - start) / max(num - bool(endpoint), 1)
    kind = np.result_type(start, step)
    k = np.arange(num, dtype=kind)
    y = start + np.reshape(k, (num,) + (1,) * np.ndim(step)) * step
    y = y if dtype is None else y.astype(dtype)
    y = np.moveaxis(y, 0, axis) if axis else y
    return (y, step) if retstep else y


def _logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0):
    """base to the power of linspace(start, stop)."""
    base = _inexact(base)
    exponents = _linspace(start + 0 * base, stop + 0 * base, num, endpoint)
    y = np.power(base, exponents)
    return np.moveaxis(y if dtype is None else y.astype(dtype), 0, axis)


def _geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    """start · (stop / start)^(k/n)."""
    start = _inexact(start)
    ratio = stop / start
    share = np.arange(num, dtype=np.finfo(ratio.dtype).dtype) / max(num - bool(endpoint), 1)
    y = start * ratio ** np.reshape(share, (num,) + (1,) * np.ndim(ratio))
    return np.moveaxis(y if dtype is None else y.astype(dtype), 0, axis)


def _full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None, *, device=None):
    filled = np.broadcast_to(fill_value, np.shape(a) if shape is None else shape)
    return filled.astype(np.result_type(a) if dtype is None else dtype)


composite(np.linspace, _linspace)
composite(np.logspace, _logspace)
composite(np.geomspace, _geomspace)
composite(np.full_like, _full_like)

for _constant in (
    "can_cast", "common_type", "min_scalar_type", "packbits", "unpackbits", "busday_count", "busday_offset",
    "is_busday", "datetime_as_string", "save", "savetxt", "savez", "savez_compressed", "in1d",
):  # fmt: skip
    if _constant in vars(np):  # in1d left NumPy with 2.4
        nondifferentiable(vars(np)[_constant])
