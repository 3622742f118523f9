"""`Linear` and `Sequential`: the building blocks of nets.

The one idea: a layer is written in plain NumPy on its parameters, and the engine finds the
derivative; that the generic chain rule then *is* BP1–BP4 is proved in `backprop/`. Read
`activations.py` next.
"""

from __future__ import annotations  # numpy.random is loaded when it is used

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..errors import message
from ..primitive import DuckArray
from ..tensor import Tensor
from .functional import dropout
from .init import Initializer, initializer, uniform
from .module import Module


class Linear(Module):
    """z = x wᵀ + b, for x of shape (…, n_in): examples are rows. z has shape (…, n_out).

    `.weight` has shape (n_out, n_in), `.bias` (n_out,) or None. Both start as U(±1/√n_in), or as
    `init` says (a name or function of `nn.init`). `rng`: a Generator, a seed, or None.
    Raises TypeError for x of a wider dtype, ValueError for x of a wrong shape.

    >>> import numpy as np, tinygrad_bp as bp
    >>> bp.nn.Linear(3, 2, rng=0)(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        bias: bool = True,
        *,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
        init: str | Initializer | None = None,
    ):
        for n in (n_in, n_out):
            if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
                raise ValueError(message("a Linear layer has positive widths", got=f"{n_in!r}, {n_out!r}"))
        self.n_in, self.n_out = int(n_in), int(n_out)
        rng = np.random.default_rng(rng)

        def start(name, shape):
            if init is None:
                array = uniform(rng, shape, dtype, n_in**-0.5)
            else:
                array = np.asarray(initializer(init)(rng, shape, dtype), dtype)
            if array.shape != shape:
                raise ValueError(
                    message(f"init gave a {name} of wrong shape", expected=shape, got=array.shape)
                )
            return Tensor(array, requires_grad=True, name=name)

        self.weight = start("weight", (self.n_out, self.n_in))
        self.bias = start("bias", (self.n_out,)) if bias else None

    def forward(self, x: Any) -> Any:
        """x @ weight.T + bias."""
        weight, bias = self.weight, self.bias
        if getattr(x, "dtype", None) is not weight.dtype or x.shape[-1:] != weight.shape[1:]:
            _check(x, weight)
        return x @ weight.T if bias is None else x @ weight.T + bias

    def describe(self) -> str:
        """The widths."""
        return f"{self.n_in}, {self.n_out}" + ("" if self.bias is not None else ", bias=False")


def _check(x, weight):
    n_out, n_in = weight.shape
    if not isinstance(x, (np.ndarray, np.generic, DuckArray)):
        raise TypeError(
            message(
                f"Linear({n_in}, {n_out}) needs an array", got=type(x).__name__, do="use np.asarray(x, dtype)"
            )
        )
    if x.shape[-1:] != (n_in,):
        raise ValueError(
            message(
                f"Linear({n_in}, {n_out}) got a batch of the wrong shape",
                expected=f"(…, {n_in}), for a weight of shape {weight.shape}",
                got=x.shape,
                do="put examples in rows",
            )
        )
    if np.result_type(x.dtype, weight.dtype) != weight.dtype:
        raise TypeError(
            message(
                f"Linear({n_in}, {n_out}) got a batch of the wrong dtype",
                expected=weight.dtype,
                got=x.dtype,
                do=f"use x.astype(np.{weight.dtype}), or net.astype(np.{np.result_type(x.dtype, weight.dtype)})",
            )
        )


class Sequential(Module):
    """f_n ∘ … ∘ f_1, for Modules or other functions f_1, …, f_n; indexable, iterable.

    >>> import numpy as np, tinygrad_bp as bp
    >>> net = bp.nn.Sequential(bp.nn.Linear(3, 4, rng=0), np.tanh, bp.nn.Linear(4, 1, rng=1))
    >>> len(net), [name for name, _ in net.named_parameters()]
    (3, ['0.weight', '0.bias', '2.weight', '2.bias'])
    """

    def __init__(self, *modules: Callable):
        for i, module in enumerate(modules):
            if not callable(module):
                raise TypeError(
                    message(
                        f"part {i} of Sequential cannot be called",
                        expected="a Module or a function",
                        got=repr(module),
                        do="pass the parts one by one, as in Sequential(*parts)",
                    )
                )
            vars(self)[str(i)] = module

    def forward(self, x: Any) -> Any:
        """The last part of … the first part of x."""
        for module in self:
            x = module(x)
        return x

    def __iter__(self) -> Iterator[Callable]:
        return (part for name, part in vars(self).items() if name.isdigit())

    def __len__(self) -> int:
        return sum(name.isdigit() for name in vars(self))

    def __getitem__(self, index: int | slice) -> Any:
        parts = list(self)
        return Sequential(*parts[index]) if isinstance(index, slice) else parts[index]


class Dropout(Module):
    """In `train` mode each element is 0 with probability p and else divided by 1 − p; in `eval` mode x itself.

    `rng`: a Generator, a seed, or None. Raises ValueError for a p that is no probability.

    >>> import numpy as np, tinygrad_bp as bp
    >>> bp.nn.Dropout(0.5, rng=0).eval()(np.ones(3))
    array([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | int | None = None):
        if not 0 <= p <= 1:
            raise ValueError(message("Dropout with a wrong p", expected="a probability, 0 to 1", got=p))
        self.p, self.rng = float(p), np.random.default_rng(rng)

    def forward(self, x: Any) -> Any:
        """x, thinned out."""
        return dropout(x, self.p, self.training, rng=self.rng)

    def describe(self) -> str:
        """The probability."""
        return f"p={self.p}"
