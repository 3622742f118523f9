"""`python -m tests.benchmarks`: measure, print; nothing is asserted about time."""

import argparse
import json
import subprocess
import sys
import time

import numpy as np

from . import w1, w4
from .measure import environment, interleaved, one_thread, ratios


def run_w1():
    with one_thread():
        steps = interleaved(w1.contenders(), rounds=80, inner=50)
        products = interleaved(w1.gemms(), rounds=40, inner=100)
    result = {
        name: {
            "us": float(np.median(steps[name]) * 1e6),
            "ratio to hand-written": list(map(float, quartiles)),
        }
        for name, quartiles in ratios(steps, "hand-written NumPy").items()
    }
    if "PyTorch eager" in steps:
        ours = ratios(steps, "tinygrad_bp eager")["PyTorch eager"]
        result["PyTorch eager / tinygrad_bp eager"] = list(map(float, ours))
        result["GEMMs alone, PyTorch / NumPy"] = list(map(float, ratios(products, "NumPy")["PyTorch"]))
    return result


def run_w4():
    result = {}
    for n, rounds in ((10**4, 15), (10**6, 3)):
        forward, backward = w4.microseconds_per_node(n, rounds)
        result[f"chain of {n:,}"] = {
            "us per node": float(forward + backward), "forward": float(forward), "backward": float(backward),
            "bytes per node": w4.bytes_per_node(n) if n < 10**6 else None,
        }  # fmt: skip
    return result


def run_import():
    """Seconds that `import tinygrad_bp` adds to `import numpy`: median of 15 fresh processes each."""

    def seconds(code):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - begin

    pairs = [(seconds("import numpy"), seconds("import numpy, tinygrad_bp")) for _ in range(15)]
    return {"seconds over NumPy": float(np.median([b - a for a, b in pairs]))}


WORKLOADS = {"W1": run_w1, "W4": run_w4, "import": run_import}


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)}; all by default")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    unknown = set(options.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"there is no workload {', '.join(sorted(unknown))}; choose from {', '.join(WORKLOADS)}")
    results = {"environment": environment()}
    for name in options.workloads or WORKLOADS:
        results[name] = WORKLOADS[name]()
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, result in results.items():
        print(f"\n{name}")
        for key, value in result.items():
            print(f"  {key:36s} {_text(value)}")


def _text(value):
    if isinstance(value, dict):
        return "   ".join(f"{k} {_text(v)}" for k, v in value.items() if v is not None)
    if isinstance(value, list):
        low, middle, high = value
        return f"{middle:.2f} ({low:.2f}–{high:.2f})"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
