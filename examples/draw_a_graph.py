"""Draw the graph of a small net with its values and gradients; the file's name is the first argument."""

import sys

import numpy as np

import tinygrad_bp as bp

net = bp.nn.MLP([2, 3, 1], activation="tanh", rng=0, dtype=np.float64)
x = bp.Tensor([[0.5, -1.0], [1.0, 2.0]], name="x")

with bp.observe() as run:
    bp.nn.functional.quadratic_cost(net(x), np.zeros((2, 1))).backward()

print(bp.viz.render(bp.viz.graph(run), sys.argv[1] if len(sys.argv) > 1 else "graph.svg"))
