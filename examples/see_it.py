"""See one training step: its graph, its derivation, and what the net learns; the folder is the first argument."""

import sys
from pathlib import Path

import numpy as np

import tinygrad_bp as bp

out = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
cost = bp.nn.functional.quadratic_cost
x, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [1], [1], [0]])  # exclusive or
net = bp.nn.MLP([2, 3, 1], rng=0, dtype=np.float64, init="xavier_normal")

with bp.observe() as run:
    loss = cost(net(bp.Tensor(x, name="x")), y)
    loss.backward()
print(bp.viz.render(bp.viz.graph(run), out / "graph.svg"))
print(bp.viz.stepper(run, out / "step.html"))
print(bp.explain(loss))

sgd = bp.optim.SGD(net.parameters(), lr=5.0)
bp.training.fit(net, (x, y), cost, sgd, epochs=1000, batch_size=4, rng=0, quiet=True)
bp.viz.plot_decision_regions(net, x, y).figure.savefig(out / "decisions.png")
print(out / "decisions.png", bp.training.predict(net, x).round(2).ravel())
