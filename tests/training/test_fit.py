"""fit: the loop is the hand-written one, its history is true, and it stops as it says."""

import os
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp.nn import functional as F
from tinygrad_bp.training import History, accuracy, fit

RNG = np.random.default_rng(0)
X = RNG.normal(size=(23, 4))
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
Y = bp.data.one_hot(LABELS, 3, np.float64)


def small_net(seed=0, output="sigmoid"):
    return bp.nn.MLP([4, 5, 3], output=output, rng=seed, dtype=np.float64)


def train(net, epochs=3, y=Y, cost=F.quadratic_cost, lr=1.0, **settings):
    sgd = bp.optim.SGD(net.parameters(), lr=lr)
    return fit(net, (X, y), cost, sgd, epochs, batch_size=5, rng=7, **settings)


def test_fit_is_the_hand_written_loop():
    """The book's algorithm (T15, T18) in plain NumPy, on the same batches: the same net and history."""
    net = small_net()
    w, b = ([getattr(layer, name).data.copy() for layer in net.layers] for name in ("weight", "bias"))

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    rng, losses, right = np.random.default_rng(7), [], []
    for _ in range(3):
        total = hits = 0
        order = rng.permutation(23)
        for rows in (order[i : i + 5] for i in range(0, 23, 5)):
            x, y, m = X[rows], Y[rows], len(rows)
            a1 = sigmoid(x @ w[0].T + b[0])
            a2 = sigmoid(a1 @ w[1].T + b[1])
            total += np.sum((a2 - y) ** 2) / 2
            hits += np.sum(a2.argmax(1) == LABELS[rows])
            delta2 = (a2 - y) * a2 * (1 - a2)
            delta1 = delta2 @ w[1] * a1 * (1 - a1)
            for layer, (delta, a) in enumerate([(delta1, x), (delta2, a1)]):
                w[layer] -= 1.0 / m * delta.T @ a
                b[layer] -= 1.0 / m * delta.sum(0)
        losses.append(total / 23)
        right.append(hits / 23)
    history = train(net)
    for layer, (weight, bias) in zip(net.layers, zip(w, b)):
        np.testing.assert_allclose(layer.weight.data, weight, rtol=1e-12)
        np.testing.assert_allclose(layer.bias.data, bias, rtol=1e-12)
    np.testing.assert_allclose(history.loss, losses, rtol=1e-12)
    assert history.accuracy == right


def test_the_history_is_complete():
    net = small_net()
    history = train(net, test_data=(X[:10], LABELS[:10]))
    assert [
        len(part) for part in (history.loss, history.accuracy, history.test_accuracy, history.seconds)
    ] == [3] * 4
    assert len(history.step_losses) == 3 * 5
    assert history.test_accuracy[-1] == accuracy(net, X[:10], LABELS[:10])
    assert all(s > 0 for s in history.seconds)
    assert not history.interrupted
    text = repr(history)
    assert text.startswith("History(3 epochs")
    assert f"test_accuracy {history.test_accuracy[-1]:.4g}" in text


def test_one_seed_is_one_training():
    nets = [small_net(), small_net()]
    histories = [train(net) for net in nets]
    assert histories[0].step_losses == histories[1].step_losses
    for p, q in zip(nets[0].parameters(), nets[1].parameters()):
        np.testing.assert_array_equal(p.data, q.data)


def test_labels_and_logits():
    net = small_net(output="linear")
    history = train(net, 60, LABELS, F.cross_entropy, 0.5)
    assert history.loss[-1] < 0.3 * history.loss[0]
    assert history.accuracy[-1] > 0.9


def test_targets_that_are_no_classes_have_no_accuracy():
    history = train(small_net(), y=RNG.normal(size=(23, 3)))
    assert history.accuracy == history.test_accuracy == []
    assert len(history.loss) == 3
    assert "accuracy" not in repr(history)


def test_no_epochs_no_history():
    assert train(small_net(), 0) == History()


def test_the_net_trains_in_train_mode_and_gets_its_modes_back():
    modes = []

    class Spy(bp.nn.MLP):
        def forward(self, x):
            modes.append((self.training, self.layers[0].training))
            return super().forward(x)

    net = Spy([4, 3], rng=0, dtype=np.float64).eval()
    train(net, 1, test_data=(X, LABELS))
    assert modes == [(True, True)] * 5 + [(False, False)]
    assert not net.training


def test_float32_digits_by_the_books_recipe():
    """[64, 30, 10], sigmoid, quadratic cost, batch 10, η = 3.0, standard normals, 30 epochs."""
    (x, labels), test_data = bp.data.load_digits()
    net = bp.nn.MLP([64, 30, 10], init="standard_normal", rng=0)
    sgd = bp.optim.SGD(net.parameters(), lr=3.0)
    history = fit(
        net,
        (x, bp.data.one_hot(labels, 10)),
        F.quadratic_cost,
        sgd,
        30,
        test_data=test_data,
        rng=0,
        quiet=True,
    )
    assert 0.95 <= history.test_accuracy[-1] <= 0.995
    assert {p.data.dtype for p in net.parameters()} == {np.dtype(np.float32)}


# ---- how it stops ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_cost_that_is_not_finite_stops_before_the_step(bad):
    net, calls = small_net(), []

    def cost(a, y):
        calls.append([p.data.copy() for p in net.parameters()])
        return F.quadratic_cost(a, y) * (bad if len(calls) == 8 else 1.0)

    with pytest.raises(FloatingPointError, match=f"{bad} in epoch 2, step 3.*learning rate"):
        train(net, cost=cost)
    for p, before in zip(net.parameters(), calls[-1]):
        np.testing.assert_array_equal(p.data, before)


def test_keyboard_interrupt_returns_the_history_so_far():
    net, calls = small_net(), []

    def cost(a, y):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return F.quadratic_cost(a, y)

    history = train(net, cost=cost)
    assert history.interrupted
    assert "interrupted" in repr(history)
    assert (len(history.loss), len(history.accuracy), len(history.step_losses)) == (1, 1, 7)
    other = small_net()
    assert train(other).step_losses[:7] == history.step_losses
    assert len(train(net).loss) == 3  # and training can go on


def test_ctrl_c_waits_for_the_end_of_the_step():
    net, sent = small_net(), []

    class Interrupted(bp.optim.SGD):
        def step(self):
            if not sent:
                sent.append(signal.raise_signal(signal.SIGINT))
            super().step()

    sgd = Interrupted(net.parameters(), lr=1.0)
    history = fit(net, (X, Y), F.quadratic_cost, sgd, 3, batch_size=5, rng=7)
    assert history.interrupted
    assert len(history.step_losses) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    reference = small_net()
    first = np.random.default_rng(7).permutation(23)[:5]
    F.quadratic_cost(reference(X[first]), Y[first]).backward()
    bp.optim.SGD(reference.parameters(), lr=1.0).step()
    for p, q in zip(net.parameters(), reference.parameters()):
        np.testing.assert_array_equal(p.data, q.data)


def test_a_second_ctrl_c_does_not_wait():
    def cost(a, y):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return F.quadratic_cost(a, y)

    history = train(small_net(), cost=cost)
    assert history.interrupted
    assert history.step_losses == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_interrupt_handler_is_back_after_an_error():
    with pytest.raises(ZeroDivisionError):
        train(small_net(), cost=lambda a, y: 1 / 0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_training_in_a_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(train(small_net())))
    thread.start()
    thread.join()
    assert found[0].step_losses == train(small_net()).step_losses


# ---- what it tells -----------------------------------------------------------------------------------------


def test_a_parameter_without_a_gradient_is_warned_of_once_by_name():
    net = small_net()
    net.spare = bp.Tensor(np.ones(2), requires_grad=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(net)
    assert len(caught) == 1
    assert "spare" in str(caught[0].message)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("cost", [lambda a, y: 1.0, lambda a, y: F.quadratic_cost(a.data, y)])
def test_a_cost_that_records_nothing_is_told(cost):
    with pytest.raises(TypeError, match="records nothing"):
        train(small_net(), cost=cost)


def test_data_that_do_not_fit_are_told():
    net = small_net()
    sgd = bp.optim.SGD(net.parameters(), lr=1.0)
    for x, y in ((X, Y[:-1]), (X[:0], Y[:0]), (1.0, 2.0)):
        with pytest.raises(ValueError, match="one target per example"):
            fit(net, (x, y), F.quadratic_cost, sgd, 1)


class Terminal:
    """A stderr that is a terminal and keeps what is written."""

    encoding = "utf-8"

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_the_bar_shows_loss_accuracy_and_speed_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    train(small_net(), test_data=(X, LABELS))
    for word in ("epoch 3/3", "loss", "accuracy", "test", "examples/s"):
        assert word in terminal.text


def test_the_bar_is_quiet_if_asked_or_if_there_is_no_terminal(monkeypatch, capfd):
    train(small_net())
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    train(small_net(), quiet=True)
    assert terminal.text == ""
    monkeypatch.setattr(sys, "stderr", None)
    train(small_net())
    assert capfd.readouterr() == ("", "")


def test_the_bar_can_be_asked_for(capsys):
    train(small_net(), quiet=False)
    assert "epoch 3/3" in capsys.readouterr().err


def test_tqdm_comes_only_with_fit():
    code = "import sys, tinygrad_bp; print('tqdm' in sys.modules, 'gzip' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.split() == ["False", "False"]
