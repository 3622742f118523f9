"""The arrays of a page: each once, every number exactly, and of large ones the entries that stand out.

The one idea: an array that does not fit is shown as a grid of blocks, and of each block the entry that
is largest in magnitude, with its index; so what a page shows is always a number that the engine had.
Read `stepper.py` next.
"""

from typing import Any

import numpy as np

MOST_NUMBERS = 60_000
LIMITS = 4096, 1024, 256, 64, 16
"""Numbers of one array that are kept, at most: the first with which all of them are few enough."""
EXACT_IN_SCRIPTS = 2**53


class Arrays:
    """Arrays by number: `add` gives the number of an array, and equal arrays have one."""

    def __init__(self):
        self.found: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def add(self, value: Any) -> int | None:
        """The number of an array, or of a list of arrays (the parts of several outputs); None of nothing."""
        if value is None:
            return None
        item: Any
        key: Any
        if isinstance(value, (list, tuple)):
            item = {"parts": [self.add(part) for part in value]}
            key = ("parts", *item["parts"])
        else:
            item = np.asarray(value)
            key = (
                (item.dtype.str, item.shape, item.tobytes())
                if item.dtype != object
                else ("object", id(value))
            )
        if key not in self._numbers:
            self._numbers[key] = len(self.found)
            self.found.append(item)
        return self._numbers[key]

    def content(self) -> list[dict[str, Any]]:
        """All of them for JSON."""
        sizes = [a.size for a in self.found if isinstance(a, np.ndarray)]
        fits = (limit for limit in LIMITS if sum(min(n, limit) for n in sizes) <= MOST_NUMBERS)
        limit = next(fits, LIMITS[-1])
        return [a if isinstance(a, dict) else _described(a, limit) for a in self.found]


def _described(a, limit):
    found: dict[str, Any] = {"shape": list(a.shape), "dtype": str(a.dtype)}
    if a.dtype.kind not in "biufc":
        return {**found, "data": [], "shape": [0], "grid": [0, 0]}
    flat = a.ravel()
    rows = a.size // a.shape[-1] if a.ndim and a.shape[-1] else min(a.size, 1)
    columns = a.shape[-1] if a.ndim else 1
    if a.size > limit:
        at, rows, columns = _standing_out(flat, rows, columns, limit)
        found["at"] = at
        flat = flat[at]
        finite = np.abs(a[np.isfinite(a)])
        found["most"] = float(finite.max()) if finite.size else 0.0
    return {**found, "grid": [rows, columns], "data": [_exact(x) for x in flat.tolist()]}


def _standing_out(flat, rows, columns, limit):
    """Flat indices of the largest entry of each block of a grid, and the grid's rows and columns."""
    size = np.abs(flat.astype(np.complex128 if flat.dtype.kind == "c" else np.float64)).reshape(rows, columns)
    size = np.where(np.isnan(size), np.inf, size)
    side = int(limit**0.5)
    across = min(columns, max(side, limit // rows))
    down = min(rows, limit // across)
    at = []
    for i in np.array_split(np.arange(rows), down):
        for j in np.array_split(np.arange(columns), across):
            best = int(np.argmax(size[i[0] : i[-1] + 1, j[0] : j[-1] + 1]))
            at.append(int((i[0] + best // len(j)) * columns + j[0] + best % len(j)))
    return at, down, across


def _exact(x):
    """A number as JSON and a script read it exactly; else its text."""
    if isinstance(x, bool):
        return int(x)
    if isinstance(x, int):
        return x if abs(x) <= EXACT_IN_SCRIPTS else str(x)
    if isinstance(x, float) and np.isfinite(x):
        return x
    if isinstance(x, complex):
        return [_exact(x.real), _exact(x.imag)]
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(x), str(x))
