"""At the ends of the floating numbers: rules of every elementwise op, costs, and nets in few bits.

pytest makes every warning an error; the backward passes below run where NumPy would even raise.
The oracle is the same derivative computed in a wider type, where nothing over- or underflows.
"""

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.nn import functional as F
from tinygrad_bp.ops.elementwise import bessel_i, between, sinc_derivative
from tinygrad_bp.primitive import REGISTRY, Op, Primitive

from .ops.test_every_op import is_ours

WIDER = {np.float16: np.float64, np.float32: np.float64, np.float64: np.longdouble}
EVERY_DTYPE = pytest.mark.parametrize("dtype", WIDER, ids=lambda t: t.__name__)
CALLS = {  # how those are called that take more than their operands
    np.where: lambda x, y: np.where(np.arange(x.size).reshape(x.shape) % 2 == 0, x, y),
    between: lambda x, y: between(x, y, 2.0),
    np.triu: lambda x: np.triu(np.reshape(x, (1, -1)), 3)[0],
    np.tril: lambda x: np.tril(np.reshape(x, (1, -1)), 3)[0],
    np.divmod: lambda x, y: np.divmod(x, y)[1],
    np.frexp: lambda x: np.frexp(x)[0],
    sinc_derivative: lambda x: sinc_derivative(x, 1),
    bessel_i: lambda x: bessel_i(x, 1),
    np.ldexp: lambda x: np.ldexp(x, 3),
    np.copysign: lambda x: np.copysign(x, -2.0),
    np.modf: lambda x: np.modf(x)[0],
    np.angle: lambda x: np.angle(x),
    np.nan_to_num: lambda x: np.nan_to_num(x, nan=1.0, posinf=2.0, neginf=3.0),
}
BROADCASTS = ("spread", "broadcast_to")  # move elements and compute nothing


def is_special(f):
    """SciPy's functions, and the primitives made of them, are tried in ops/test_special_ends.py, against mpmath."""
    if isinstance(f, Primitive):
        return f.__wrapped__.__module__ in ("tinygrad_bp.ops.special", "tinygrad_bp.ops.gamma")
    return getattr(np, f.__name__, None) is not f


def elementwise():
    ops = {f: op for f, op in REGISTRY.items() if type(op) is Op and op.elementwise and is_ours(f) and not is_special(f)}  # fmt: skip
    return [f for f, op in ops.items() if op.name not in BROADCASTS]


EVERY_ELEMENTWISE = pytest.mark.parametrize("f", elementwise(), ids=lambda f: f.__name__)


def ends(dtype):
    """± ordinary numbers, the largest, the smallest, subnormals, their roots, ∞, 0; and NaN."""
    kind = np.finfo(dtype)
    roots = [float(kind.max) ** 0.5, float(kind.tiny) ** 0.5]
    numbers = [1.0, 0.5, 3.0, 1000.0, kind.max, kind.tiny, kind.smallest_subnormal, *roots, np.inf, 0.0]
    return np.array([*numbers, *(-x for x in numbers), np.nan], dtype)


def arguments(f, dtype):
    """All ends, and for functions of two arguments all pairs of them."""
    count = CALLS[f].__code__.co_argcount if f in CALLS else REGISTRY[f].count
    x = ends(dtype)
    return [x] if count == 1 else [a.copy() for a in np.meshgrid(x, x, indexing="ij")]


def differentiated(f, arrays):
    """(value, gradients); backward runs where NumPy raises at anything it could warn of."""
    tensors = [bp.Tensor(a, requires_grad=True) for a in arrays]
    with np.errstate(all="ignore"):
        y = CALLS.get(f, f)(*tensors)
    with np.errstate(all="raise"):
        y.backward(np.ones(y.shape, y.dtype))
    return y.data, [t.grad for t in tensors]


def is_normal(y):
    return np.isfinite(y) & (np.abs(y) >= np.finfo(y.dtype).tiny)


def comparable(f, y, arrays):
    """Where the derivative can be known in this dtype: for a few ops not everywhere."""
    if f is np.power or f is np.float_power:  # b − 1 is rounded where b is tiny or huge
        b, wide = arrays[1], WIDER[y.dtype.type]
        return ((b - 1) + 1 == b) & ((b - 1).astype(wide) == b.astype(wide) - 1)
    if f is np.hypot:  # the rule divides by y, which has over- or underflowed
        return is_normal(y) | (y == 0)
    return np.ones(y.shape, bool)


@EVERY_DTYPE
@EVERY_ELEMENTWISE
def test_elementwise_ops_at_the_ends(f, dtype, recwarn):
    """No warning in backward, no lost dtype, and the derivative that the wider type has."""
    arrays = arguments(f, dtype)
    y, gradients = differentiated(f, arrays)
    assert not recwarn.list
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(y, CALLS.get(f, f)(*arrays))
        assert y.dtype == (np.float64 if f is np.float_power else dtype)
        wide = differentiated(f, [a.astype(WIDER[dtype]) for a in arrays])[1]
        known = comparable(f, y, arrays)
        # 1 − y² and y(1 − y) lose digits near y = 1
        loss = float(np.finfo(dtype).eps) if f.__name__ in ("tanh", "sigmoid") else 0.0
        for gradient, exact in zip(gradients, wide):
            assert gradient.dtype == dtype
            np.testing.assert_allclose(
                gradient[known].astype(WIDER[dtype]), exact.astype(dtype)[known].astype(WIDER[dtype]),
                rtol=8 * float(np.finfo(dtype).eps), atol=loss + 2 * float(np.finfo(dtype).tiny),
            )  # fmt: skip


@EVERY_ELEMENTWISE
def test_no_rule_is_skipped(f):
    """The table above meets each op with finite derivatives somewhere, so that the comparison is one."""
    _, gradients = differentiated(f, arguments(f, np.float64))
    assert all(np.any(np.isfinite(g)) for g in gradients)


# ---- costs -----------------------------------------------------------------------------------------------

SQUARES = {"mse_loss": (F.mse_loss, 2.0), "quadratic_cost": (F.quadratic_cost, 1.0)}


@EVERY_DTYPE
@pytest.mark.parametrize("name", SQUARES)
def test_squares_overflow_to_infinity_in_silence(name, dtype):
    cost, slope = SQUARES[name]
    for x in ends(dtype):
        a = bp.Tensor(np.array([[x]], dtype), requires_grad=True)
        c = cost(a, np.zeros((1, 1), dtype))
        with np.errstate(all="raise"):
            c.backward()
        with np.errstate(all="ignore"):
            value, gradient = dtype(slope / 2) * (x * x), dtype(slope) * x
        np.testing.assert_array_equal(c.data, value)
        smallest = np.finfo(dtype).smallest_subnormal  # half of it is 0, and the gradient a sum of halves
        np.testing.assert_allclose(a.grad, [[gradient]], rtol=0, atol=smallest)
        assert c.dtype == a.grad.dtype == dtype


@EVERY_DTYPE
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_binary_cost_of_any_finite_logit(dtype, target):
    """softplus(∓z), whose slope is σ(z) − t."""
    for x in ends(dtype)[np.isfinite(ends(dtype))]:
        z = bp.Tensor(np.array([x]), requires_grad=True)
        c = F.binary_cross_entropy_with_logits(z, np.array([target], dtype))
        with np.errstate(all="raise"):
            c.backward()
        sign = 1.0 - 2.0 * target
        with np.errstate(all="ignore"):
            wide = np.longdouble(x) * sign
            value = np.maximum(wide, 0) + np.log1p(np.exp(-abs(wide)))
            slope = sign / (1 + np.exp(-wide))
        eps = 4 * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(c.data.astype(np.longdouble), value, rtol=eps, atol=np.finfo(dtype).tiny)
        np.testing.assert_allclose(z.grad.astype(np.longdouble), [slope], rtol=eps, atol=eps)
        assert c.dtype == z.grad.dtype == dtype


@EVERY_DTYPE
def test_cross_entropy_of_any_finite_logits(dtype):
    """logsumexp(z) − z[label] ≥ 0, with gradient softmax(z) − e_label: never NaN."""
    numbers = ends(dtype)[np.isfinite(ends(dtype))]
    z = np.stack(np.meshgrid(numbers, numbers), axis=-1).reshape(-1, 2)
    t = bp.Tensor(z, requires_grad=True)
    c = F.cross_entropy(t, np.zeros(len(z), int), reduction="none")
    with np.errstate(all="raise"):
        c.backward(np.ones(c.shape, dtype))
    with np.errstate(all="ignore"):
        gap = z[:, 1].astype(np.longdouble) - z[:, 0].astype(np.longdouble)
        value, p = np.maximum(gap, 0) + np.log1p(np.exp(-np.abs(gap))), 1 / (1 + np.exp(-gap))
        value = value.astype(dtype)
    eps = 8 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(c.data, value, rtol=eps, atol=eps)
    np.testing.assert_allclose(t.grad, np.stack([-p, p], axis=1), rtol=eps, atol=eps)
    assert c.dtype == t.grad.dtype == dtype


@EVERY_DTYPE
@pytest.mark.parametrize("end", ["most", "infinity"])
def test_a_class_of_probability_0_costs_nothing_however_improbable(dtype, end):
    """0 · log 0 = 0, for logits so far apart that the logarithm is −∞; eagerly, at order 2 and compiled."""
    low = -np.finfo(dtype).max if end == "most" else -np.inf
    z, p = (
        np.array([[np.finfo(dtype).max, low, 3.0], [2.0, low, 2.0]], dtype),
        np.array([[1, 0, 0], [0.5, 0, 0.5]], dtype),
    )
    t = bp.Tensor(z, requires_grad=True)
    c = F.cross_entropy(t, p, reduction="none")
    c.backward(np.ones(2, dtype))
    np.testing.assert_allclose(c.data, [0.0, np.log(2.0)], rtol=8 * float(np.finfo(dtype).eps), atol=0)
    np.testing.assert_array_equal(t.grad, np.zeros((2, 3)))
    assert c.dtype == t.grad.dtype == dtype
    second = bp.hvp(lambda z: F.cross_entropy(z, p, reduction="sum"), z, np.ones_like(z))
    np.testing.assert_array_equal(second, np.zeros((2, 3)))
    step = bp.compile(lambda z: F.cross_entropy(z, p, reduction="sum"))
    values = [step(z) for _ in range(4)]
    np.testing.assert_allclose(values, np.log(2.0), rtol=8 * float(np.finfo(dtype).eps))


COSTS = {
    "mse_loss": F.mse_loss, "quadratic_cost": F.quadratic_cost, "cross_entropy": F.cross_entropy,
    "binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits,
    "binary_cross_entropy": F.binary_cross_entropy,
}  # fmt: skip


@EVERY_DTYPE
@pytest.mark.parametrize("name", COSTS)
def test_infinities_and_nan_pass_in_silence(name, dtype):
    """NaN gives NaN; nothing warns, forward or backward, and the dtype stays."""
    for bad in (np.nan, np.inf, -np.inf):
        if name == "binary_cross_entropy" and np.isinf(bad):
            continue  # no probability, and an error
        for target in ([0.0, 1.0], [1.0, 0.0], [0.5, 0.5]):
            a = bp.Tensor(np.array([[bad, 0.5]], dtype), requires_grad=True)
            c = COSTS[name](a, np.array([target], dtype))
            with np.errstate(all="raise"):
                c.backward()
            assert c.dtype == a.grad.dtype == dtype
            assert not np.isfinite(c.data) or np.isinf(bad)
            assert np.isnan(c.data) or not np.isnan(bad)


def test_the_users_own_error_state_is_left_alone():
    with np.errstate(over="raise"):
        assert F.mse_loss(np.array([1e300]), np.zeros(1)) == np.inf
        with pytest.raises(FloatingPointError):
            np.square(np.array([1e300]))


# ---- few bits ----------------------------------------------------------------------------------------------

SETTINGS = {
    "plain": {}, "momentum": {"momentum": 0.9}, "nesterov": {"momentum": 0.9, "nesterov": True},
    "weight decay": {"weight_decay": 0.01, "momentum": 0.5, "dampening": 0.1}, "maximize": {"maximize": True},
}  # fmt: skip
LOSSES = {
    "mse": (F.mse_loss, lambda rng, dtype: rng.normal(size=(8, 3)).astype(dtype)),
    "cross entropy": (F.cross_entropy, lambda rng, dtype: rng.integers(0, 3, 8)),
    "binary": (
        F.binary_cross_entropy_with_logits,
        lambda rng, dtype: rng.integers(0, 2, (8, 3)).astype(dtype),
    ),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("settings", SETTINGS)
def test_nets_keep_their_dtype_through_training(settings, loss, dtype):
    """Forward, backward, velocity and update: every array has the net's dtype, and the net learns."""
    rng = np.random.default_rng(0)
    cost, targets = LOSSES[loss]
    net = bp.nn.MLP([4, 5, 5, 3], activation=["tanh", "softplus", "linear"], rng=1).astype(dtype)
    sgd = bp.optim.SGD(net.parameters(), lr=0.02, **SETTINGS[settings])
    x, y = rng.normal(size=(8, 4)).astype(dtype), targets(rng, dtype)
    seen = []
    for _ in range(12):
        sgd.zero_grad()
        with bp.observe() as run:
            c = cost(net(x), y)
            c.backward()
        sgd.step()
        seen.append(float(c.data))
        assert {node.value.dtype for node in run} == {np.dtype(dtype)}
        assert {node.cotangent.dtype for node in run} == {np.dtype(dtype)}
        assert all(p.dtype == p.data.dtype == p.grad.dtype == dtype for p in net.parameters())
        assert all(v is None or v.dtype == dtype for v in sgd.velocity)
    assert (seen[-1] > seen[0]) == ("maximize" in settings)
    assert np.all(np.isfinite(seen))
