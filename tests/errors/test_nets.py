"""Mistakes with nets, costs, optimizers, data and training; and what is warned of."""

import warnings

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.nn import functional as F

from .catalogue import Catalogue, check, leaf

mistake = Catalogue()

X = np.ones((5, 3), np.float32)


def net():
    return bp.nn.MLP([3, 4, 2], rng=0)


def logits():
    return leaf(np.zeros((2, 3)))


def load(**changes):
    state = net().state_dict()
    for path, array in changes.items():
        state[path.replace("_", ".")] = array
    net().load_state_dict({path: array for path, array in state.items() if array is not None})


def fit(y, cost, x=X, batch_size=5):
    model = net()
    return bp.training.fit(
        model, (x, y), cost, bp.optim.SGD(model.parameters(), lr=0.1), 1, batch_size=batch_size
    )


class Scale(bp.nn.Module):
    def __init__(self):
        self.factors = leaf(np.ones((3, 2)), name="factors")

    def forward(self, x):
        return x @ self.factors


# ---- nets ----------------------------------------------------------------------------------------------


@mistake(ValueError)
def batch_of_another_width():
    """Linear(3, 4) got a batch of the wrong shape; expected (…, 3), for a weight of shape (4, 3), got (5, 4); put examples in rows
    in module layers.0, Linear(3, 4), of MLP
    """
    net()(np.ones((5, 4), np.float32))


@mistake(TypeError)
def float64_batch_into_a_float32_net():
    """Linear(3, 4) got a batch of the wrong dtype; expected float32, got float64; use x.astype(np.float32), or net.astype(np.float64)
    in module layers.0, Linear(3, 4), of MLP
    """
    net()(np.ones((5, 3)))


@mistake(TypeError)
def batch_that_is_a_list():
    """Linear(3, 4) needs an array; got list; use np.asarray(x, dtype)
    in module layers.0, Linear(3, 4), of MLP
    """
    net()([[1.0, 2.0, 3.0]])


@mistake(ValueError)
def layers_that_do_not_fit():
    """Linear(5, 2) got a batch of the wrong shape; expected (…, 5), for a weight of shape (2, 5), got (5, 4); put examples in rows
    in module 2, Linear(5, 2), of Sequential
    """
    bp.nn.Sequential(bp.nn.Linear(3, 4, rng=0), np.tanh, bp.nn.Linear(5, 2, rng=1))(X)


@mistake(ValueError)
def product_in_a_module_of_ones_own():
    """NumPy: …
    raised in matmul(x: float64 Tensor of shape (5, 2) from matmul, factors: float64 Tensor of shape (3, 2)); the last axis of the first must be as long as the last but one of the second
    in module 2, Scale(), of Sequential
    """
    bp.nn.Sequential(np.tanh, Scale(), Scale())(leaf(np.ones((5, 3))))


@mistake(ValueError)
def mlp_of_one_width():
    """an MLP needs at least two widths, inputs and outputs; got sizes=[3]; give them as a list, such as MLP([784, 30, 10])"""
    bp.nn.MLP([3])


@mistake(ValueError)
def mlp_of_a_number():
    """an MLP needs at least two widths, inputs and outputs; got sizes=3; give them as a list, such as MLP([784, 30, 10])"""
    bp.nn.MLP(3)


@mistake(ValueError)
def layer_without_neurons():
    """a Linear layer has positive widths; got 3, 0"""
    bp.nn.MLP([3, 0])


@mistake(ValueError)
def activation_misspelled():
    """there is no such activation; expected a function or one of sigmoid, tanh, relu, leaky_relu, softplus, softmax, log_softmax, linear, got 'sigmod'"""
    bp.nn.MLP([3, 2], activation="sigmod")


@mistake(ValueError)
def init_misspelled():
    """there is no such initializer; expected a function (rng, shape, dtype) or one of zeros, standard_normal, xavier_uniform, xavier_normal, kaiming_uniform, kaiming_normal, got 'glorot'"""
    bp.nn.MLP([3, 2], init="glorot")


@mistake(TypeError)
def sequential_of_a_list():
    """part 0 of Sequential cannot be called; expected a Module or a function, got [Linear(1, 1)]; pass the parts one by one, as in Sequential(*parts)"""
    bp.nn.Sequential([bp.nn.Linear(1, 1, rng=0)])


@mistake(NotImplementedError)
def module_without_forward():
    """Net does not define forward(self, x); define it, and call the Module
    in module Net()
    """
    type("Net", (bp.nn.Module,), {})()(X)


@mistake(TypeError)
def net_of_integers():
    """parameters of MLP cannot become int64; expected a floating dtype"""
    net().astype(int)


@mistake(ValueError)
def state_with_a_part_missing():
    """this state does not fit MLP, and nothing was loaded: missing layers.0.bias; build the Module as it was when the state was saved"""
    load(layers_0_bias=None)


@mistake(ValueError)
def state_with_too_much():
    """this state does not fit MLP, and nothing was loaded: unexpected extra; build the Module as it was when the state was saved"""
    load(extra=np.ones(2))


@mistake(ValueError)
def state_of_another_shape():
    """this state does not fit MLP, and nothing was loaded: mis-shaped layers.0.weight (expected shape (4, 3), got (3, 4)); build the Module as it was when the state was saved"""
    load(layers_0_weight=np.ones((3, 4)))


@mistake(TypeError)
def state_that_is_a_list():
    """MLP was given a state that is not one; expected a dict from names to arrays, as state_dict() gives, got list"""
    net().load_state_dict(list(net().parameters()))


# ---- costs ---------------------------------------------------------------------------------------------


@mistake(TypeError)
def labels_that_are_floats():
    """cross_entropy got labels that are not integers; expected an integer dtype, got float64; use labels.astype(int)"""
    F.cross_entropy(logits(), np.array([0.0, 1.0]))


@mistake(ValueError)
def label_out_of_range():
    """cross_entropy got a label out of range; expected 0 … 2, for 3 classes, got 3; count labels from 0, or give the net more outputs"""
    F.cross_entropy(logits(), np.array([1, 3]))


@mistake(ValueError)
def labels_in_a_column():
    """cross_entropy got targets of wrong shape for logits of shape (2, 3); expected labels of shape (2,) or class probabilities of shape (2, 3), got (2, 1); give one label per example, as in labels[:, 0] for a column"""
    F.cross_entropy(logits(), np.array([[0], [1]]))


@mistake(ValueError)
def mse_of_a_column_and_a_row():
    """mse_loss needs an input and a target of one shape, with at least one element; expected target of shape (4, 1), got (4,); reshape one of them, as in target[:, None]; labels become rows by bp.data.one_hot(labels, n)"""
    F.mse_loss(leaf(np.ones((4, 1))), np.ones(4))


@mistake(ValueError)
def quadratic_cost_of_a_column_and_a_row():
    """quadratic_cost needs an input and a target of one shape, with at least one element; expected target of shape (4, 1), got (4,); reshape one of them, as in target[:, None]; labels become rows by bp.data.one_hot(labels, n)"""
    F.quadratic_cost(leaf(np.ones((4, 1))), np.ones(4))


@mistake(ValueError)
def binary_cross_entropy_of_a_column_and_a_row():
    """binary_cross_entropy_with_logits needs an input and a target of one shape, with at least one element; expected target of shape (4,), got (4, 1); reshape one of them, as in target[:, None]; labels become rows by bp.data.one_hot(labels, n)"""
    F.binary_cross_entropy_with_logits(leaf(np.ones(4)), np.ones((4, 1)))


@mistake(ValueError)
def binary_cross_entropy_of_logits():
    """binary_cross_entropy got numbers that are not probabilities; expected input in [0, 1], got a range of [0.5, 2]; use binary_cross_entropy_with_logits for the values before the sigmoid"""
    F.binary_cross_entropy(leaf([2.0, 0.5]), np.ones(2))


@mistake(ValueError)
def reduction_misspelled():
    """there is no such reduction; expected 'mean', 'sum' or 'none', got 'avg'"""
    F.mse_loss(leaf([1.0]), np.ones(1), reduction="avg")


# ---- optimizers ----------------------------------------------------------------------------------------


@mistake(ValueError)
def optimizer_without_parameters():
    """SGD got no parameters; an exhausted generator has none: call net.parameters() anew"""
    bp.optim.SGD([], lr=0.1)


@mistake(TypeError)
def optimizer_of_a_net():
    """SGD needs a collection of parameters; got MLP; pass net.parameters(), or [t] for one Tensor"""
    bp.optim.SGD(net(), lr=0.1)


@mistake(TypeError)
def optimizer_of_an_intermediate():
    """parameter 0 of SGD is not one; expected a Tensor with requires_grad=True that was not computed, got float64 Tensor of shape (2,) from multiply; pass net.parameters()"""
    bp.optim.SGD([leaf([1.0, 2.0]) * 2], lr=0.1)


@mistake(TypeError)
def optimizer_of_arrays():
    """parameter 0 of SGD is not one; expected a Tensor with requires_grad=True that was not computed, got float64 ndarray of shape (2,); pass net.parameters()"""
    bp.optim.SGD([np.ones(2)], lr=0.1)


@mistake(ValueError)
def optimizer_of_one_parameter_twice():
    """SGD got one parameter twice; list each parameter once"""
    bp.optim.SGD([leaf(1.0)] * 2, lr=0.1)


@mistake(ValueError)
def learning_rate_of_zero():
    """SGD cannot learn at this rate; expected lr > 0, got lr=0"""
    bp.optim.SGD([leaf(1.0)], lr=0)


@mistake(ValueError)
def learning_rate_below_zero():
    """SGD with a wrong lr; expected a finite number, 0 or more, got -0.1"""
    bp.optim.SGD([leaf(1.0)], lr=-0.1)


@mistake(ValueError)
def learning_rate_of_text():
    """SGD with a wrong lr; expected a finite number, 0 or more, got '0.1'"""
    bp.optim.SGD([leaf(1.0)], lr="0.1")


# ---- data and training ---------------------------------------------------------------------------------


@mistake(FileNotFoundError)
def mnist_that_is_not_there(folder):
    """there is no train-images-idx3-ubyte (or train-images-idx3-ubyte.gz) in ⟨folder⟩; fetch it, or name its folder"""
    bp.data.load_mnist(folder)


@mistake(ValueError)
def mnist_that_is_another_file(folder):
    """⟨folder⟩/train-images-idx3-ubyte begins with the wrong magic number; expected 0x00000803, got 0x3c68746d; fetch it again"""
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (folder / name).write_bytes(b"<html>not found</html>")
    bp.data.load_mnist(folder)


@mistake(ValueError)
def mnist_that_broke_off(folder):
    """⟨folder⟩/train-images-idx3-ubyte does not have the length that its sizes (2, 1, 3) say; expected 6 bytes of data, got 2; fetch it again"""
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (folder / name).write_bytes(bytes.fromhex("00000803 00000002 00000001 00000003 0102"))
    bp.data.load_mnist(folder)


@mistake(ValueError)
def batch_of_no_rows():
    """a batch has a positive number of rows; got batch_size=0"""
    list(bp.data.batches(X, np.ones(5), 0))


@mistake(ValueError)
def targets_too_few():
    """fit needs one target per example; got shapes (5, 3) and (4, 2)"""
    fit(np.ones((4, 2)), F.mse_loss)


@mistake(ValueError)
def one_hot_out_of_range():
    """one_hot got a label out of range; expected 0 … 2, got 1 … 5"""
    bp.data.one_hot([1, 5], 3)


@mistake(TypeError)
def cost_that_records_nothing():
    """the cost of this net records nothing, so there is nothing to train; expected a Tensor computed from parameters with requires_grad=True, outside bp.no_grad(), got float"""
    fit(np.ones((5, 2)), lambda a, y: float(np.mean(a.data - y)))


@mistake(ValueError)
def cost_that_is_not_one_number():
    """the cost is not one number; got float32 Tensor of shape (5, 2) from power; take its mean: np.mean(cost)"""
    fit(np.ones((5, 2), np.float32), lambda a, y: (a - y) ** 2)


@mistake(FloatingPointError)
def cost_that_is_not_finite():
    """the cost is nan in epoch 1, step 1; use a smaller learning rate, or look for NaN and infinity in the data"""
    fit(np.ones((5, 2)), F.mse_loss, x=X * np.float32(np.nan))


@pytest.mark.parametrize(("make", "kind"), mistake.mistakes)
def test_what_the_user_is_told(make, kind, tmp_path):
    check(make, kind, tmp_path)


def test_the_path_of_the_innermost_module_is_told_once():
    inner = bp.nn.Sequential(bp.nn.Linear(3, 4, rng=0), bp.nn.Sequential(bp.nn.Linear(5, 2, rng=1)))
    for surroundings in (bp.no_grad, bp.observe):
        with surroundings(), pytest.raises(ValueError, match="wrong shape") as caught:
            bp.nn.Sequential(np.tanh, inner)(X)
        assert caught.value.__notes__ == ["in module 1.1.0, Linear(5, 2), of Sequential"]


def test_a_half_built_module_does_not_hide_the_error():
    class Half(bp.nn.Linear):
        def __init__(self):
            pass

    with pytest.raises(AttributeError, match="weight") as caught:
        Half()(X)
    assert caught.value.__notes__ == ["in module Half"]


# ---- warned of, once -----------------------------------------------------------------------------------


def steps_warn(program):
    """How often SGD warns in b(ackward), s(tep), z(ero_grad) of the net, 0: gradients filled with zeros."""
    w = leaf([1.0, 2.0])
    optimizer = bp.optim.SGD([w], lr=0.01)
    do = {
        "b": lambda: np.sum(w * w).backward(),
        "s": optimizer.step,
        "z": w.zero_grad,
        "0": lambda: w.grad.fill(0.0),
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for letter in program:
            do[letter]()
    assert all("zero_grad" in str(warning.message) for warning in caught)
    return len(caught)


@pytest.mark.parametrize("program", ["bsbs", "bsbsbsbs", "bbsbbs", "bssbs", "zbszbsbs", "bsb" + "bsbs"])
def test_gradients_that_were_never_set_back_are_warned_of_once(program):
    assert steps_warn(program) == 1


@pytest.mark.parametrize(
    "program", ["bszbs", "zbbszbbs", "bbbbs", "bss", "bsbzbs", "bs0bs", "zbszbszbs", "bsbbzbbs"]
)
def test_accumulation_that_is_meant_is_not_warned_of(program):
    assert steps_warn(program) == 0


COLUMN = np.ones((10, 3), np.float32)


@pytest.mark.parametrize("cost", [lambda a, y: np.mean((a - y) ** 2), lambda a, y: np.mean(np.square(y - a))])
def test_fit_warns_of_a_cost_that_compares_each_output_with_every_target(cost):
    model = bp.nn.MLP([3, 1], rng=0)
    with pytest.warns(UserWarning, match=r"outputs of shape \(5, 1\) and targets of shape \(5,\)") as caught:
        bp.training.fit(
            model,
            (COLUMN, np.ones(10, np.float32)),
            cost,
            bp.optim.SGD(model.parameters(), lr=0.1),
            2,
            batch_size=5,
        )
    assert len(caught) == 1


def test_fit_does_not_warn_of_a_cost_that_reshapes():
    model, y = bp.nn.MLP([3, 1], rng=0), np.ones(10, np.float32)
    history = bp.training.fit(
        model,
        (COLUMN, y),
        lambda a, y: np.mean((a[:, 0] - y) ** 2),
        bp.optim.SGD(model.parameters(), lr=0.1),
        1,
    )
    assert history.loss[0] >= 0


def test_fit_warns_of_a_parameter_that_no_gradient_reaches():
    class Lazy(bp.nn.Module):
        def __init__(self):
            self.used, self.unused = bp.nn.Linear(3, 2, rng=0), bp.nn.Linear(3, 2, rng=1)

        def forward(self, x):
            return self.used(x)

    model = Lazy()
    with pytest.warns(UserWarning, match="no gradient reaches unused.weight, unused.bias") as caught:
        bp.training.fit(
            model,
            (COLUMN, np.ones((10, 2), np.float32)),
            F.mse_loss,
            bp.optim.SGD(model.parameters(), lr=0.1),
            2,
        )
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_fit_does_not_warn_of_a_parameter_that_a_later_step_uses():
    class Alternating(bp.nn.Module):
        def __init__(self):
            self.even, self.odd, self.calls = bp.nn.Linear(3, 2, rng=0), bp.nn.Linear(3, 2, rng=1), 0

        def forward(self, x):
            self.calls += 1
            return self.odd(x) if self.calls % 2 else self.even(x)

    model = Alternating()
    optimizer = bp.optim.SGD(model.parameters(), lr=0.1)
    bp.training.fit(model, (COLUMN, np.ones((10, 2), np.float32)), F.mse_loss, optimizer, 2, batch_size=5)


def test_stale_gradients_are_warned_of_though_the_last_parameter_has_none():
    w, unused = leaf([1.0, 2.0]), leaf(3.0)
    optimizer = bp.optim.SGD([w, unused], lr=0.01)
    unused.requires_grad = False
    np.sum(w * w).backward()
    optimizer.step()
    np.sum(w * w).backward()
    with pytest.warns(UserWarning, match="zero_grad"):
        optimizer.step()
