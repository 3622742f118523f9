"""Tensors from scratch: `tensor`, a copy of given data; `zeros` and `ones`, to be filled by writes.

NumPy's own creators (`np.zeros`, `np.array`) make plain arrays and never ask a Tensor. Read
`writes.py` next.
"""

from typing import Any

import numpy as np

from .methods import constant
from .tensor import Tensor


def tensor(data: Any, requires_grad: bool = False, dtype: Any = None, name: str | None = None) -> Tensor:
    """A Tensor over a copy of `data`; `bp.Tensor` shares memory instead."""
    shared = Tensor(data, dtype=dtype)  # refuses a Tensor that records
    return Tensor(np.array(constant(shared)), requires_grad, None, name)


def zeros(shape: Any, dtype: Any = float) -> Tensor:
    """A Tensor of zeros, to be filled: it starts to record once a value that records is written into it.

    >>> import numpy as np, tinygrad_bp as bp
    >>> x, buffer = bp.Tensor(2.0, requires_grad=True), bp.zeros(3)
    >>> for i in range(3):
    ...     buffer[i] = x**i
    >>> buffer.sum().backward()
    >>> x.grad
    array(5.)
    """
    return Tensor(np.zeros(shape, dtype))


def ones(shape: Any, dtype: Any = float) -> Tensor:
    """A Tensor of ones."""
    return Tensor(np.ones(shape, dtype))
