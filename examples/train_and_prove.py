"""Build a net of one's own, train it on real digits, and prove that the engine is backpropagation."""

import numpy as np

import tinygrad_bp as bp

(x, labels), test = bp.data.load_digits(dtype=np.float64)
y = bp.data.one_hot(labels, 10, dtype=np.float64)
cost = bp.nn.functional.quadratic_cost

net = bp.nn.MLP([64, 20, 15, 10], activation=["tanh", "softplus", "sigmoid"], rng=1, dtype=np.float64)
sgd = bp.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
history = bp.training.fit(net, (x, y), cost, sgd, epochs=10, test_data=test, rng=1, quiet=True)
print(f"accuracy on held-out digits: {history.test_accuracy[-1]:.1%}")
print(bp.backprop.verify(net, x[:8], y[:8], cost))
