"""Students' own backprops: right ones pass, and known mistakes are named, unknown ones located."""

# l is the book's name of a layer.
# ruff: noqa: E741

import copy
from types import MethodType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_bp.backprop import Network, check_backprop
from tinygrad_bp.backprop.check_student import MISTAKES, RIGHT
from tinygrad_bp.backprop.equations import FORMULAS

STUDENT = """
def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))

def sigmoid_prime(z):
    return sigmoid(z) * (1 - sigmoid(z))

def backprop(x, y, weights, biases):
    nabla_b = [np.zeros(b.shape) for b in biases]
    nabla_w = [np.zeros(w.shape) for w in weights]
    a = x
    activations, zs = [x], []
    for w, b in zip(weights, biases):
        z = np.dot(w, a) + b
        zs.append(z)
        a = sigmoid(z)
        activations.append(a)
    m = x.shape[1]
    n = len(weights)
    delta = (activations[-1] - y) * sigmoid_prime(zs[-1])
    nabla_b[-1] = np.sum(delta, axis=1, keepdims=True) / m
    nabla_w[-1] = np.dot(delta, activations[-2].T) / m
    for i in range(n - 2, -1, -1):
        delta = np.dot(weights[i + 1].T, delta) * sigmoid_prime(zs[i])
        nabla_b[i] = np.sum(delta, axis=1, keepdims=True) / m
        nabla_w[i] = np.dot(delta, activations[i].T) / m
    return nabla_b, nabla_w
"""
B_PART = """def b_part(delta, m):
    return np.full((len(delta), 1), {})

def backprop"""
BP2, MEAN_B, MEAN_W = (
    "delta = np.dot(weights[i + 1].T, delta) * sigmoid_prime(zs[i])",
    "np.sum(delta, axis=1, keepdims=True) / m",
    "activations[i].T) / m",
)


def student(*changes):
    """The function, with changes to its source: (old, new) or old, which is left out."""
    source = STUDENT
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    space = {"np": np}
    exec(source, space)
    return space["backprop"]


def method(f):
    """The same as a method of an object that has weights and biases."""

    class Net:
        def __init__(self):
            self.weights, self.biases = [np.ones((2, 3))], [np.ones((2, 1))]

        def backprop(self, x, y):
            return f(x, y, self.weights, self.biases)

    return Net()


# ---- right ones ----------------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=6),
    batch=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_T15_T19_a_right_backprop_passes(sizes, batch, seed):
    """A typical student's, and the book's program here, by hand and by the engine."""
    for backprop in (student(), Network([2, 2]).backprop, Network([2, 2], by="engine").backprop):
        report = check_backprop(backprop, sizes, batch=batch, rng=seed)
        assert report, str(report)
        assert len(report.rows) == 3 * (len(sizes) - 1)
        assert report.mistakes == report.guilty == ()


def test_every_way_to_give_it_its_weights():
    f, net = student(), method(student())
    before = copy.deepcopy(vars(net))

    def closure(x, y):
        return f(x, y, net.weights, net.biases)

    assert check_backprop(f)
    assert check_backprop(lambda x, y, biases, weights: f(x, y, weights, biases))
    assert check_backprop(lambda self, x, y: f(x, y, self.weights, self.biases))
    assert check_backprop(net.backprop, [3, 5, 2])
    assert check_backprop(closure, [3, 5, 2], net=net)
    wrong = method(student((BP2, "pass")))
    assert not check_backprop(wrong.backprop)
    assert vars(net).keys() == before.keys()  # the object has its own back
    assert np.array_equal(net.weights, before["weights"])
    with pytest.raises(
        TypeError, match=r"f\(x, y\) does not say where its weights are from; expected .*net="
    ):
        check_backprop(closure)
    with pytest.raises(TypeError, match=r"f\(x\) does not say"):
        check_backprop(lambda x: x)


@pytest.mark.parametrize("name", ["tanh", "relu", "linear", "softplus"])
def test_other_activations(name):
    assert check_backprop(Network([3, 4, 2], sigma=name).backprop, [3, 4, 2], sigma=name)
    assert not check_backprop(student(), [3, 4, 2], sigma=name)


def test_other_containers_and_float32():
    f = student()

    def as_dicts(x, y, weights, biases):
        return [dict(reversed(list(enumerate(half, start=2)))) for half in f(x, y, weights, biases)]

    def single(x, y, weights, biases):
        return [[part.astype(np.float32) for part in half] for half in f(x, y, weights, biases)]

    assert check_backprop(as_dicts, [3, 5, 2])
    assert check_backprop(lambda x, y, w, b: tuple(map(tuple, f(x, y, w, b))))
    report = check_backprop(single)
    assert report
    assert max(row.deviation for row in report.rows) > 1e-9


# ---- known mistakes ------------------------------------------------------------------------------------

ALL, HIDDEN = (4, 3, 2), (3, 2)
PLANTED = [  # the changes that the student made, what they must be called, the equation, and the layers
    (
        [("(activations[-1] - y) * sigmoid_prime(zs[-1])", "activations[-1] - y")],
        "σ′(z^L) left out",
        "BP1",
        (4,),
    ),
    ([("activations[-1] - y", "y - activations[-1]")], "y − a^L for a^L − y, a wrong sign", "BP1", (4,)),
    ([("sigmoid_prime(zs[-1])", "sigmoid_prime(activations[-1])")], "σ′(a^L) for σ′(z^L)", "BP1", (4,)),
    ([("sigmoid_prime(zs[-1])", "activations[-1]")], "σ(z^L) for σ′(z^L)", "BP1", (4,)),
    (
        [("sigmoid_prime(zs[-1])", "sigmoid_prime(zs[-2])")],
        "σ′ of the layer before, σ′(z^{L−1})",
        "BP1",
        (4,),
    ),
    (
        [("(activations[-1] - y)", "2 * (activations[-1] - y)")],
        "a factor 2, the cost's ½ forgotten",
        "BP1",
        (4,),
    ),
    ([("(activations[-1] - y)", "activations[-1]")], "y left out", "BP1", (4,)),
    (
        [("(activations[-1] - y)", "(activations[-1] - y) / len(y)")],
        "a mean over the n_L outputs",
        "BP1",
        (4,),
    ),
    ([(" * sigmoid_prime(zs[i])", "")], "σ′(z^l) left out", "BP2", HIDDEN),
    (
        [("weights[i + 1].T, delta", "weights[i + 1], delta")],
        "transpose dropped, w^{l+1} for (w^{l+1})ᵀ",
        "BP2",
        HIDDEN,
    ),
    ([("sigmoid_prime(zs[i])", "sigmoid_prime(activations[i + 1])")], "σ′(a^l) for σ′(z^l)", "BP2", HIDDEN),
    ([("sigmoid_prime(zs[i])", "activations[i + 1]")], "σ(z^l) for σ′(z^l)", "BP2", HIDDEN),
    (
        [("sigmoid_prime(zs[i])", "sigmoid_prime(zs[i + 1])")],
        "σ′ of the next layer, σ′(z^{l+1})",
        "BP2",
        HIDDEN,
    ),
    ([("sigmoid_prime(zs[i])", "sigmoid_prime(zs[-1])")], "σ′(z^L) in every layer", "BP2", HIDDEN),
    ([("weights[i + 1].T", "weights[i].T")], "off by one layer, w^l for w^{l+1}", "BP2", HIDDEN),
    ([("weights[i + 1].T", "weights[-1].T")], "w^L for w^{l+1} in every layer", "BP2", (2,)),
    (
        [("    for i in", "    last = delta\n    for i in"), (".T, delta)", ".T, last)")],
        "δ not updated, δ^L for δ^{l+1}",
        "BP2",
        (2,),
    ),
    ([(BP2, "pass")], "δ^{l+1} handed on as δ^l", "BP2", HIDDEN),
    ([("np.dot(weights[i + 1].T, delta)", "delta")], "(w^{l+1})ᵀ left out", "BP2", HIDDEN),
    ([("delta = np.dot(", "delta = -np.dot(")], "a wrong sign", "BP2", HIDDEN),
    (
        [(MEAN_B, "b_part(delta, m)"), ("def backprop", B_PART.format("delta.sum() / m"))],
        "summed over the neurons",
        "BP3",
        ALL,
    ),
    (
        [(MEAN_B, "b_part(delta, m)"), ("def backprop", B_PART.format("delta.mean()"))],
        "averaged over the neurons",
        "BP3",
        ALL,
    ),
    ([(MEAN_B, MEAN_B[:-4])], "the mean over the examples forgotten", "BP3", ALL),
    ([(MEAN_B, MEAN_B + " / m")], "the mean over the examples taken twice", "BP3", ALL),
    ([(MEAN_B, "-" + MEAN_B)], "a wrong sign", "BP3", ALL),
    (
        [
            (BP2, "nabla_b[i] = " + MEAN_B),
            ("nabla_b[i] = " + MEAN_B + "\n        nabla_w", BP2 + "\n        nabla_w"),
        ],
        "the next layer's δ^{l+1} for δ^l",
        "BP3",
        HIDDEN,
    ),
    (
        [("activations[i].T) / m", "activations[i].T)")],
        "the mean over the examples forgotten, in the hidden layers",
        "BP4",
        HIDDEN,
    ),
    ([(".T) / m", ".T)")], "the mean over the examples forgotten", "BP4", ALL),
    ([("activations[i].T", "activations[i + 1].T")], "a^l for a^{l−1}, in the hidden layers", "BP4", HIDDEN),
    (
        [("activations[i].T", "activations[max(i - 1, 0)].T"), ("activations[-2].T", "activations[-3].T")],
        "a^{l−2} for a^{l−1}",
        "BP4",
        (4, 3),
    ),
    (
        [("activations[i].T", "x.T"), ("activations[-2].T", "x.T")],
        "the input x for a^{l−1} in every layer",
        "BP4",
        (4, 3),
    ),
    (
        [("np.dot(delta, activations[i].T)", "np.dot(activations[i], delta.T)")],
        "the outer product the wrong way round, in the hidden layers",
        "BP4",
        HIDDEN,
    ),
    (
        [("np.dot(delta, activations[-2].T)", "np.dot(activations[-2], delta.T)")],
        "the outer product the wrong way round, in layer 4 alone",
        "BP4",
        (4,),
    ),
    (
        [("zs[i])", "zs[i]) if i else np.dot(weights[1].T, delta)")],
        "σ′(z^l) left out, in layer 2 alone",
        "BP2",
        (2,),
    ),
]


@pytest.mark.parametrize(
    ("changes", "words", "equation", "layers"),
    PLANTED,
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_T7_T8_T9_T10_a_planted_mistake_is_named_and_located(changes, words, equation, layers):
    report = check_backprop(student(*changes), batch=3)
    assert not report
    assert report.mistakes == (f"{equation}: {words}",), str(report)
    assert report.guilty == tuple((l, equation) for l in layers)
    assert f"exactly these numbers are given by {equation}: {words}" in str(report)


def test_there_are_many_and_each_is_told_from_the_others():
    assert len(PLANTED) >= 30
    known = {(name, words) for name, words, _ in MISTAKES}
    assert len(known) == len(MISTAKES)
    planted = {
        (equation, words.split(", in the h")[0].split(", in layer")[0]) for _, words, equation, _ in PLANTED
    }
    assert planted <= known


@pytest.mark.parametrize(
    ("name", "words", "wrong"), MISTAKES, ids=[f"{name}: {words}" for name, words, _ in MISTAKES]
)
def test_T11_each_known_mistake_is_recognised_with_other_activations_too(name, words, wrong):
    """Run by hand on nets of another depth, width and σ, and with a batch."""
    for size, sigma in ((3, "tanh"), (5, "softplus")):
        report = check_backprop(planted({name: wrong}, sigma), [size] * 5, sigma=sigma, batch=2, rng=1)
        assert report.mistakes == (f"{name}: {words}",)


def planted(rules, sigma):
    """The equations, some of them wrong, as a student would hand them in."""
    f, f_prime = Network([1, 1], sigma=sigma).sigma

    def backprop(net, x, y):
        s = SimpleNamespace(slope=f_prime, m=x.shape[1], L=net.num_layers, y=y, a={1: x}, z={}, delta={})
        layers, use = range(2, s.L + 1), RIGHT | rules
        s.w, s.b = dict(zip(layers, net.weights)), dict(zip(layers, net.biases))
        for l in layers:
            s.z[l] = use["feedforward"](s, l)
            s.a[l] = f(s.z[l])
        for l in reversed(layers):
            s.delta[l] = use["BP1" if l == s.L else "BP2"](s, l)
        return [[use[name](s, l) for l in layers] for name in ("BP3", "BP4")]

    return backprop


def test_several_mistakes_at_once():
    both = student((") * sigmoid_prime(zs[-1])", ")"), (" * sigmoid_prime(zs[i])", ""))
    report = check_backprop(both)
    assert report.mistakes == ("BP1: σ′(z^L) left out; and BP2: σ′(z^l) left out",)
    assert report.guilty == ((4, "BP1"), (3, "BP2"), (2, "BP2"))
    every = student(
        (") * sigmoid_prime(zs[-1])", ")"), ("weights[i + 1].T", "weights[i].T"), (".T) / m", ".T)")
    )
    assert check_backprop(every, batch=2).mistakes == (
        "BP1: σ′(z^L) left out; and BP2: off by one layer, w^l for w^{l+1}; and BP4: the mean over the examples forgotten",
    )
    wrong_way = student(("return nabla_b, nabla_w", "return nabla_b[::-1], nabla_w[::-1]"))
    (words,) = check_backprop(wrong_way).mistakes
    assert words == "the lists begin with layer L"
    hidden = student((MEAN_B, "np.sum(delta, axis=1, keepdims=True)"), (MEAN_W, "activations[i].T)"))
    assert check_backprop(hidden, batch=2).mistakes == (
        "BP3: the mean over the examples forgotten; and BP4: the mean over the examples forgotten, in the hidden layers",
    )


def test_without_a_batch_a_forgotten_mean_is_no_mistake():
    assert check_backprop(student((" / m", "")))
    assert not check_backprop(student((" / m", "")), batch=2)


def test_what_does_not_fit_is_named_on_equal_widths():
    report = check_backprop(student(("weights[i + 1].T, delta", "weights[i + 1], delta")), [3, 5, 4, 2])
    assert not report.ok
    assert report.trouble.startswith("it raised ValueError: shapes (2,4) and (2,1) not aligned")
    assert "delta = np.dot(weights[i + 1], delta)" in report.trouble or "line" in report.trouble
    assert report.sizes == (4, 4, 4, 4)
    assert report.mistakes == ("BP2: transpose dropped, w^{l+1} for (w^{l+1})ᵀ",)
    assert str(report).startswith("FAIL: it raised ValueError")
    assert "where all shapes fit, widths 4-4-4-4" in str(report)


# ---- unknown mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "guilty"),
    [
        (("zs[-1])", "zs[-1]) * 1.01"), ((4, "BP1"),)),
        (("zs[i])", "zs[i]) * (1.01 if i == 1 else 1)"), ((3, "BP2"),)),
        (("zs[i])", "zs[i]) * (1.01 if i == 0 else 1)"), ((2, "BP2"),)),
        (("nabla_b[i] = ", "nabla_b[i] = 1.01 * "), ((3, "BP3"), (2, "BP3"))),
        (("nabla_w[-1] = ", "nabla_w[-1] = 1e-6 + "), ((4, "BP4"),)),
        (("nabla_w[i] = ", "nabla_w[i] = np.nan * "), ((3, "BP4"), (2, "BP4"))),
    ],
    ids=str,
)
def test_an_unknown_mistake_is_located_and_called_unknown(change, guilty):
    report = check_backprop(student(change), batch=2)
    assert report.guilty == guilty
    assert report.mistakes == ()
    assert str(report).endswith("no known mistake gives these numbers")


def test_the_report_prints_as_a_table():
    title, empty, header, *rows, gap, verdict = str(check_backprop(student(), [3, 5, 2])).splitlines()
    assert title == "backprop against the engine, widths 3-5-2"
    assert empty == gap == ""
    assert len(rows) == 6
    assert {line.index("  pass") for line in rows} == {len(header)}
    assert [line.split()[:2] for line in rows[:4]] == [["3", "BP1"], ["3", "BP3"], ["3", "BP4"], ["2", "BP2"]]
    assert all(FORMULAS[line.split()[1]] in line for line in rows)
    assert verdict == "pass: all 6 agree"
    wrong = str(check_backprop(student((" * sigmoid_prime(zs[i])", ""))))
    assert [line.rsplit("  ", 1)[1] for line in wrong.splitlines()[3:12]] == [
        "pass", "pass", "pass", "FAIL", "FAIL, inherited", "FAIL, inherited", "FAIL", "FAIL, inherited", "FAIL, inherited",
    ]  # fmt: skip
    assert (
        "FAIL: wrong in BP2 of layer 3, BP2 of layer 2\nexactly these numbers are given by BP2: σ′" in wrong
    )


# ---- what is not a gradient at all ---------------------------------------------------------------------

TROUBLE = [
    (("return nabla_b, nabla_w", "pass"), "not (nabla_b, nabla_w), two lists of arrays; got None"),
    (("return nabla_b, nabla_w", "return 1.5"), "not (nabla_b, nabla_w), two lists of arrays; got 1.5"),
    (("return nabla_b, nabla_w", "return [None, None]"), "not (nabla_b, nabla_w), two lists of arrays; got"),
    (("return nabla_b, nabla_w", "return nabla_w, nabla_b"), "nabla_b comes first"),
    (("return nabla_b, nabla_w", "return nabla_b[::-1], nabla_w[::-1]"), "layer 2 comes first, layer L last"),
    (
        ("return nabla_b, nabla_w", "return nabla_b[1:], nabla_w"),
        "has wrong shapes; expected [[(5, 1), (4, 1), (2, 1)]",
    ),
    (("return nabla_b, nabla_w", "return [b[:, 0] for b in nabla_b], nabla_w"), "got [[(5,), (4,), (2,)]"),
    (
        ("return nabla_b, nabla_w", "return nabla_b, [w * 1j for w in nabla_w]"),
        "real numbers; got dtype complex128",
    ),
    ((MEAN_B, "np.sum(delta)"), "has wrong shapes"),
    (("    m = ", "    x *= 2\n    m = "), "it changes x, y or the weights"),
    (("    m = ", "    y -= activations[-1]\n    m = "), "it changes x, y or the weights"),
    (
        ("    return nabla_b", "    weights[0] -= nabla_w[0]\n    return nabla_b"),
        "it changes x, y or the weights",
    ),
    (
        ("    return nabla_b", "    biases[0] = 0 * biases[0]\n    return nabla_b"),
        "it changes x, y or the weights",
    ),
    (
        ("    m = ", "    y = y + 1e-9 * np.random.default_rng().random(y.shape)\n    m = "),
        "it gave other numbers",
    ),
    (("    m = ", "    m = q\n    m = "), "it raised NameError: name 'q' is not defined"),
    (("activations[-2].T", "activations[-9].T"), "it raised IndexError: list index out of range"),
]


@pytest.mark.parametrize(("change", "words"), TROUBLE, ids=str)
def test_what_is_wrong_with_the_function_itself_is_told(change, words):
    report = check_backprop(student(change), [3, 5, 4, 2])
    assert not report
    assert words in report.trouble
    assert str(report).startswith(f"FAIL: {report.trouble}")


def test_where_it_raised_is_told_in_the_students_own_lines():
    def helper(w):
        return w.does_not_exist

    def backprop(x, y, weights, biases):
        return helper(weights)

    report = check_backprop(backprop)
    assert report.trouble.startswith("it raised AttributeError: 'list' object has no attribute")
    assert report.trouble.endswith(": return w.does_not_exist)")
    assert report.rows == ()


def test_sums_that_are_kept_from_call_to_call():
    f, kept = student(), []

    def backprop(x, y, weights, biases):
        nabla_b, nabla_w = f(x, y, weights, biases)
        kept.append(nabla_b[0])
        nabla_b[0] = sum(kept)
        return nabla_b, nabla_w

    assert "it gave other numbers" in check_backprop(backprop).trouble


def test_a_method_that_trains_is_told_and_its_object_restored():
    net = Network([3, 4, 2], rng=0)
    before = copy.deepcopy((net.weights, net.biases, net.sizes))

    def backprop(x, y):
        nabla_b, nabla_w = net.backprop(x, y)
        net.weights = [w - g for w, g in zip(net.weights, nabla_w)]
        return nabla_b, nabla_w

    assert "it changes x, y or the weights" in check_backprop(backprop, [3, 4, 2], net=net).trouble
    assert all(map(np.array_equal, net.weights, before[0]))
    assert net.sizes == before[2]


def test_a_method_that_loses_its_weights():
    for line in ("del self.weights", "self.weights = None"):
        space = {}
        exec(f"def backprop(self, x, y):\n    {line}\n    return self.answer", space)
        net = method(student())
        net.answer = Network([4, 4, 4, 4], rng=0).backprop(np.ones((4, 1)), np.ones((4, 1)))
        assert check_backprop(MethodType(space["backprop"], net)).trouble
        assert np.array_equal(net.weights, [np.ones((2, 3))])


def test_errors_that_are_not_the_students_come_through():
    def interrupted(x, y, weights, biases):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_backprop(interrupted)
    with pytest.raises(ValueError, match="unknown activation"):
        check_backprop(student(), sigma="cosine")
    with pytest.raises(ValueError, match="two widths"):
        check_backprop(student(), [4])
    with pytest.raises(TypeError, match="not a callable"):
        check_backprop("backprop")
