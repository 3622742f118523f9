"""tinygrad_bp as its users write it: nn.MLP, a cost, SGD; eager, and the same step under bp.compile."""

import tinygrad_bp as bp

COSTS = {
    "quadratic": bp.nn.functional.quadratic_cost,
    "classes": bp.nn.functional.cross_entropy,
    "mse": bp.nn.functional.mse_loss,
}


class Eager:
    """Recorded and swept at every step."""

    def __init__(self, task):
        arrays, self.x, self.y = task.start()
        output = None if task.cost == "quadratic" else "linear"
        self.net = bp.nn.MLP(task.sizes, task.activation, output, rng=0, dtype=task.dtype)
        for parameter, array in zip(self.net.parameters(), arrays):
            parameter.data = array
        self.sgd, self.cost = bp.optim.SGD(self.net.parameters(), lr=task.rate), COSTS[task.cost]
        self.run = self.train

    def train(self, x, y):
        self.sgd.zero_grad()
        cost = self.cost(self.net(x), y)
        cost.backward()
        self.sgd.step()
        return cost

    def step(self):
        return self.run(self.x, self.y).item()

    def parameters(self):
        return [p.data for p in self.net.parameters()]


class Compiled(Eager):
    """Replayed."""

    def __init__(self, task):
        super().__init__(task)
        self.run = bp.compile(self.train)
