"""Functions that NumPy does not have, as a reader would write them: what printed lines call.

Read `explain.py` next.
"""

HELPERS = {
    "sigmoid": """def sigmoid(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))""",
    "relu": "def relu(x):\n    return np.maximum(x, 0)",
    "leaky_relu": "def leaky_relu(x, negative_slope=0.01):\n    return np.where(x > 0, x, negative_slope * x)",
    "softplus": "def softplus(x, beta=1.0):\n    return np.logaddexp(0, beta * x) / beta",
    "softmax": """def softmax(x, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)""",
    "log_softmax": """def log_softmax(x, axis=-1):
    x = x - np.max(x, axis=axis, keepdims=True)
    return x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))""",
    "logsumexp": """def logsumexp(x, axis=None, keepdims=False):
    return np.logaddexp.reduce(x, axis=axis, keepdims=keepdims) if axis is not None else np.logaddexp.reduce(x.ravel())""",
    "scatter": """def scatter(x, index, shape):
    total = np.zeros(shape, np.asarray(x).dtype)
    np.add.at(total, index, x)
    return total""",
    "put": """def put(a, value, index):
    new = np.array(a)
    new[index] = value
    return new""",
    "erase": """def erase(a, index):
    return put(a, 0, index)


def put(a, value, index):
    new = np.array(a)
    new[index] = value
    return new""",
}
