"""Why backprop is fast: passes, multiply–adds and seconds, counted and measured on your own net."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter

import numpy as np

AT_LEAST = 1e-3  # seconds that a clock can be trusted with; shorter runs are repeated within a round


def seconds(runs: Mapping[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """The median seconds of one call of each run; every round goes through all of them in turn.

    So a machine that slows down slows all of them down. One more call of each, the first, warms up.

    >>> import numpy as np
    >>> sorted(seconds({"sum": np.ones(10).sum, "sort": np.ones(10).sort}, rounds=1))
    ['sort', 'sum']
    """
    calls = {name: max(1, round(AT_LEAST / (_time(run, 1) + 1e-9))) for name, run in runs.items()}
    times = [{name: _time(run, calls[name]) for name, run in runs.items()} for _ in range(rounds)]
    return {name: float(np.median([time[name] for time in times])) for name in runs}


def _time(run, calls):
    start = perf_counter()
    for _ in range(calls):
        run()
    return (perf_counter() - start) / calls
