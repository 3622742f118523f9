"""Speed, measured side by side in one process: `python -m tests.benchmarks [W1 W4 import] [--json]`.

The one idea: contenders take turns, round by round, so that whatever else the machine does hits all
of them; what is quoted is the median of the per-round ratios. All must compute the same numbers
before anything is timed. Read `measure.py`, then `w1.py`.
"""
