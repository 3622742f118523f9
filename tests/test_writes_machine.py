"""The same random program of views and writes, on ndarrays and on Tensors: NumPy is the specification.

At every step values, dtypes and aliasing are NumPy's; at the end the gradient of a random functional
of all variables is that of differences, at order 1 and (as a Hessian-vector product) at order 2, by
`.backward()` and under transforms.
"""

import os

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import tinygrad_bp as bp

EXAMPLES = {"quick": 40, "ci": 300, "thorough": 5000}[os.environ.get("HYPOTHESIS_PROFILE", "quick")]
SHAPES = [(4,), (2, 3), (3, 2), (2, 2), (6,), (1, 3)]
VIEWS = {
    "tail": lambda a: a[1:],
    "backwards": lambda a: a[::-1],
    "every other": lambda a: a[..., ::2],
    "first": lambda a: a[0],
    "transpose": lambda a: a.T,
    "flat": lambda a: a.reshape(-1),
    "ravel": np.ravel,
    "new axis": lambda a: a[..., None],
    "expand": lambda a: np.expand_dims(a, 0),
    "squeeze": np.squeeze,
    "swap": lambda a: np.swapaxes(a, 0, -1),
    "all": lambda a: a[...],
}
MAPS = {
    "square": lambda a: a * a,
    "double": lambda a: a * 2.0,
    "sine": np.sin,
    "sum": lambda a: np.sum(a, keepdims=True),
    "fancy": lambda a: a[np.zeros(2, int)],
    "softened": lambda a: np.exp(np.sin(a)),
    "copy": np.copy,
    "square root": lambda a: np.sqrt(a * a + 1.0),
}
seeds = st.integers(0, 2**16)


def held(t):
    return np.asarray(t.detach().data)


def fits(value, shape):
    try:
        return np.broadcast_shapes(np.shape(value), shape) == shape
    except ValueError:
        return False


def differences(phi, x, h):
    """∂φ/∂x by differences of fourth order, with steps h."""
    found = np.zeros(np.shape(x))
    for index in np.ndindex(np.shape(x)):
        step = np.zeros(np.shape(x))
        step[index] = h
        near, far = (phi(x + k * step) - phi(x - k * step) for k in (1, 2))
        found[index] = (8 * near - far) / (12 * h)
    return found


def agree(derivative, phi, x):
    """Is this φ's derivative, as far as differences can tell (they say how far they trust themselves)?

    Where both straddle a kink, a third, of a much smaller step, decides.
    """
    coarse, fine = (differences(phi, x, h) for h in (4e-4, 2e-4))
    scale, gap = max(1.0, np.max(np.abs(fine))), np.max(np.abs(coarse - fine))
    if not gap < 1e-4 * scale < 100.0 or np.allclose(derivative, fine, rtol=0, atol=1e-6 * scale + gap):
        return True
    return np.allclose(derivative, differences(phi, x, 5e-6), rtol=0, atol=1e-6 * scale)


class Program(RuleBasedStateMachine):
    """`instructions` are functions of a list of variables, which may be arrays or Tensors."""

    @initialize(shape=st.sampled_from(SHAPES), seed=seeds)
    def start(self, shape, seed):
        self.x = np.random.default_rng(seed).uniform(-1.0, 1.0, shape)
        self.instructions = []
        self.leaf = bp.Tensor(self.x.copy(), requires_grad=True)
        self.arrays, self.tensors, self.largest = [], [], 0.0
        self.do(lambda v, x: v.append(x * 1.0))
        self.do(lambda v, x: v.append(x * x))

    def do(self, instruction):
        """Run it on both sides, which must succeed or fail alike; compare."""
        self.instructions.append(instruction)
        self.whole = False  # until it is seen to agree
        try:
            instruction(self.arrays, self.x)
        except (ValueError, IndexError) as error:
            self.instructions.pop()
            try:
                instruction(self.tensors, self.leaf)
            except type(error):
                pass
            else:
                raise AssertionError(f"NumPy raised {error!r}, Tensors did not") from error
        else:
            instruction(self.tensors, self.leaf)
        self.compare()
        self.whole = True

    def compare(self):
        assert len(self.arrays) == len(self.tensors)
        for a, t in zip(self.arrays, self.tensors):
            value = held(t)
            assert np.shape(a) == np.shape(value)
            assert np.asarray(a).dtype == value.dtype
            assert np.array_equal(a, value)
            self.largest = max(self.largest, np.max(np.abs(a), initial=0.0))
        for i, a in enumerate(self.arrays):
            for j in range(i):
                assert np.shares_memory(a, self.arrays[j]) == np.shares_memory(
                    held(self.tensors[i]), held(self.tensors[j])
                ), (i, j)

    def pick(self, seed):
        return seed % len(self.arrays)

    @precondition(lambda self: len(self.arrays) < 9)
    @rule(seed=seeds, name=st.sampled_from(sorted(VIEWS)))
    def view(self, seed, name):
        i = self.pick(seed)
        if np.ndim(self.arrays[i]):
            self.do(lambda v, x: v.append(VIEWS[name](v[i])))

    @precondition(lambda self: len(self.arrays) < 9)
    @rule(seed=seeds, name=st.sampled_from(sorted(MAPS)))
    def compute(self, seed, name):
        i = self.pick(seed)
        if np.size(self.arrays[i]) and np.ndim(self.arrays[i]):
            self.do(lambda v, x: v.append(MAPS[name](v[i])))

    @precondition(lambda self: len(self.arrays) < 9)
    @rule(shape=st.sampled_from(SHAPES))
    def buffer(self, shape):
        self.do(lambda v, x: v.append(bp.zeros(shape) if isinstance(x, bp.Tensor) else np.zeros(shape)))

    @precondition(lambda self: len(self.arrays) > 3)
    @rule(seed=seeds)
    def forget(self, seed):
        i = self.pick(seed)
        self.do(lambda v, x: v.pop(i) is None)

    def index_of(self, i, seed):
        """A random index of variable i, basic or advanced."""
        rng = np.random.default_rng(seed)
        shape = np.shape(self.arrays[i])
        kinds = [..., slice(None)]
        if shape and shape[0]:
            n = shape[0]
            kinds += [
                int(rng.integers(n)),
                slice(0, n, 2),
                slice(None, None, -1),
                rng.integers(0, n, 3),
                [0, 0],
            ]
            kinds += [rng.random(shape) < 0.5, (..., int(rng.integers(shape[-1])) if shape[-1] else ...)]
        return kinds[rng.integers(len(kinds))]

    def value_for(self, i, index, seed):
        """A constant, or a variable that can be written there."""
        place = np.shape(self.arrays[i][index])
        fitting = [j for j, a in enumerate(self.arrays) if fits(a, place)]
        if not fitting or seed % 4 == 0:
            number = float(seed % 7) / 3.0
            return lambda v: number
        j = fitting[seed % len(fitting)]
        return (lambda v: v[j]) if seed % 3 else (lambda v: v[j] * v[j])

    @rule(seed=seeds, where=seeds, what=seeds)
    def assign(self, seed, where, what):
        i = self.pick(seed)
        if not np.ndim(self.arrays[i]):
            return
        index = self.index_of(i, where)
        value = self.value_for(i, index, what)

        def instruction(v, x):
            v[i][index] = value(v)

        self.do(instruction)

    @rule(seed=seeds, what=seeds, kind=st.sampled_from(["+", "-", "*", "/", "**"]))
    def update(self, seed, what, kind):
        i = self.pick(seed)
        value = self.value_for(i, ..., what) if np.ndim(self.arrays[i]) else (lambda v: 0.5)

        def instruction(v, x):
            t = v[i]
            if kind == "+":
                t += value(v)
            elif kind == "-":
                t -= value(v)
            elif kind == "*":
                t *= value(v)
            elif kind == "/":
                t /= 2.0 + np.sin(value(v))
            else:
                t **= 2
            v[i] = t

        self.do(instruction)

    @rule(
        seed=seeds,
        what=seeds,
        kind=st.sampled_from(["add", "where", "copyto", "masked copyto", "at", "fill"]),
    )
    def numpy_writer(self, seed, what, kind):
        i = self.pick(seed)
        a = self.arrays[i]
        if not np.ndim(a) or not np.size(a):
            return
        value = self.value_for(i, ..., what)
        mask = np.random.default_rng(what).random(np.shape(a)) < 0.5
        n = len(a)

        def instruction(v, x):
            if kind == "add":
                np.add(v[i], value(v), out=v[i])
            elif kind == "where":
                np.multiply(v[i], 3.0, out=v[i], where=mask)
            elif kind == "copyto":
                np.copyto(v[i], value(v))
            elif kind == "masked copyto":
                np.copyto(v[i], value(v), where=mask)
            elif kind == "at":
                np.add.at(v[i], [0, n - 1, 0], 1.5 * v[i][0])
            else:
                v[i].fill(0.25)

        self.do(instruction)

    @rule(seed=seeds, kind=st.sampled_from(["put", "place", "diagonal", "sort"]))
    def rarer_writer(self, seed, kind):
        i = self.pick(seed)
        a = self.arrays[i]
        if not np.ndim(a) or not np.size(a):
            return
        j = self.pick(seed // 7)
        mask = np.random.default_rng(seed).random(np.shape(a)) < 0.5
        gaps = np.diff(np.sort(a))
        clear = not np.any((gaps > 0) & (gaps < 0.02))  # no two change places within a difference's steps

        def instruction(v, x):
            if kind == "put":
                np.put(v[i], [0, -1], v[j] * 1.0)
            elif kind == "place" and np.size(v[j]):
                np.place(v[i], mask, v[j] * 1.0)
            elif kind == "diagonal" and np.ndim(v[i]) == 2:
                np.fill_diagonal(v[i], 0.75)
            elif kind == "sort" and clear:
                v[i].sort()

        self.do(instruction)

    def functional(self, x):
        variables = []
        for instruction in self.instructions:
            instruction(variables, x)
        total = 0.0
        for k, v in enumerate(variables):
            weights = np.cos(np.arange(np.size(v)) + k).reshape(np.shape(v))
            total = total + np.sum(v * weights)
        return total

    def teardown(self):
        if not getattr(self, "whole", False) or self.largest > 20.0:
            return  # the sine of a large number turns too fast for differences
        x = self.x
        value, gradient = bp.value_and_grad(self.functional)(x)
        assert value == self.functional(x)
        assert agree(gradient, lambda a: float(self.functional(a)), x)
        leaf = bp.Tensor(x.copy(), requires_grad=True)
        total = self.functional(leaf)
        if total.requires_grad:
            total.backward()
            assert np.array_equal(leaf.grad, gradient)
            by_rules = bp.Tensor(x.copy(), requires_grad=True)
            with bp.observe():  # whose sweep adds and erases nothing in place
                self.functional(by_rules).backward()
            np.testing.assert_allclose(by_rules.grad, gradient, rtol=1e-10, atol=1e-12)
        else:
            assert not np.any(gradient)
        vector = np.sin(np.arange(x.size) + 1.0).reshape(x.shape)
        product = bp.hvp(self.functional, x, vector)
        along = lambda h: float(np.sum(bp.grad(self.functional)(x + h * vector) * vector))
        assert agree(np.sum(product * vector), along, np.zeros(()))


Program.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=14, deadline=None, report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip
TestProgram = Program.TestCase
