"""`python -m tests.benchmarks`: measure, print; nothing is asserted about time.

Each number of threads is a fresh process that owns so many cores from its first instruction on: with one,
every contender is pinned to one core, JAX's thread pool included. Contenders take turns in that process.
"""

import argparse
import json
import os
import subprocess
import sys
import time

WORKLOADS = ("W1", "W2", "W3", "W4", "W8", "W9", "dispatch", "import")
ON_ONE_CORE = ("W4", "W9", "dispatch", "import")  # they use one thread however many there are


def measured(names, threads):
    """{workload: result} of this process."""
    from . import chains, costs, dispatch, second_order, training
    from .measure import environment

    try:
        import torch

        torch.set_num_threads(threads)
    except ImportError:
        pass
    others = {"W4": chains.run, "W9": costs.run, "dispatch": dispatch.run, "import": seconds_of_import}
    results = {}
    for name in names:
        if name in others:
            results[name] = others[name]()
        elif name == "W8":
            results[name] = second_order.run(threads)
        else:
            for task in [name, "W1 float64"] if name == "W1" else [name]:
                results[task] = training.run(task, threads)
    return {"environment": environment()} | results


def seconds_of_import():
    """Seconds that `import tinygrad_bp` adds to `import numpy`: median of 15 pairs of fresh processes."""
    import statistics

    def seconds(code):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - begin

    pairs = [(seconds("import numpy"), seconds("import numpy, tinygrad_bp")) for _ in range(15)]
    return {"seconds over NumPy": statistics.median(b - a for a, b in pairs)}


def in_fresh_process(names, threads):
    """`measured` in a process with so many cores and BLAS threads, and no forced BLAS kernel."""
    forced = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    variables = {k: v for k, v in os.environ.items() if k not in forced}
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        variables[name] = str(threads)
    pin = None
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))[:threads]
        if len(cores) < threads:
            return {"left out": f"{threads} threads, but {len(cores)} core"}

        def pin():
            os.sched_setaffinity(0, cores)

    command = [sys.executable, "-m", "tests.benchmarks", *names, "--inside", "--threads", str(threads)]
    found = subprocess.run(
        command, env=variables, preexec_fn=pin, stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(found.stdout.splitlines()[-1])


def main():
    options = parsed()
    if options.inside:
        print(json.dumps(measured(options.workloads, options.threads[0])))
        return
    results = {}
    for threads in options.threads:
        names = [n for n in options.workloads if threads == options.threads[0] or n not in ON_ONE_CORE]
        if names:
            title = f"{threads} thread{'s' * (threads > 1)}"
            results[title] = in_fresh_process(names, threads)
            if not options.json:
                show(title, results[title])
    if options.json:
        print(json.dumps(results, indent=2))


def parsed():
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)}; all by default")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="1 2 by default")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = sorted(set(options.workloads) - set(WORKLOADS))
    if unknown:
        parser.error(f"there is no workload {', '.join(unknown)}; choose from {', '.join(WORKLOADS)}")
    options.workloads = options.workloads or list(WORKLOADS)
    return options


def show(title, results):
    """Ratios are medians of the per-round ratios, with quartiles."""
    for name, result in results.items():
        print(f"\n{name}, {title}")
        for key, value in result.items():
            print(f"  {key:48s} {_text(value)}", flush=True)


def _text(value):
    if isinstance(value, dict):
        return "   ".join(f"{k} {_text(v)}" for k, v in value.items())
    if isinstance(value, list):
        low, middle, high = value
        return f"{middle:.2f} ({low:.2f}–{high:.2f})"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
