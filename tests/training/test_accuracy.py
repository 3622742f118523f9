"""Accuracy is the share of right answers, and nothing else passes for it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp.training import accuracy, confusion_matrix, predict


@given(st.integers(1, 30), st.integers(2, 5), st.integers(0, 99))
def test_the_share_of_right_answers(m, k, seed):
    rng = np.random.default_rng(seed)
    outputs, labels = rng.normal(size=(m, k)), rng.integers(0, k, m)
    expected = sum(max(range(k), key=row.__getitem__) == label for row, label in zip(outputs, labels)) / m
    assert accuracy(lambda x: x, outputs, labels) == expected
    assert accuracy(lambda x: x, outputs, bp.data.one_hot(labels, k)) == expected


def test_more_rows_than_go_through_at_once():
    rng = np.random.default_rng(0)
    outputs, labels = rng.normal(size=(10_000, 3)), rng.integers(0, 3, 10_000)
    assert accuracy(lambda x: x, outputs, labels) == np.mean(outputs.argmax(1) == labels)


def test_the_net_evaluates_records_nothing_and_gets_its_modes_back():
    class Spy(bp.nn.Module):
        def __init__(self):
            self.inner = bp.nn.Linear(2, 2, rng=0)
            self.inner.training = False

        def forward(self, x):
            self.mode = self.training
            y = self.inner(x)
            assert not y.requires_grad
            return y

    net = Spy()
    accuracy(net, np.ones((3, 2), np.float32), np.array([0, 1, 1]))
    assert net.mode is False
    assert (net.training, net.inner.training) == (True, False)


@pytest.mark.parametrize(
    "y",
    [np.array([0.0, 1.0]), np.array([[0.5, 0.5], [0, 1]]), np.array([[1], [1]]), np.array([[0, 0], [1, 1]])],
)
def test_targets_that_are_no_classes_are_refused(y):
    with pytest.raises(TypeError, match="integer labels"):
        accuracy(lambda x: x, np.ones((2, 2)), y)


@pytest.mark.parametrize("shape", [(2,), (2, 1), (2, 3, 4)])
def test_outputs_that_are_no_classes_are_refused(shape):
    with pytest.raises(ValueError, match="outputs"):
        accuracy(lambda x: np.ones(shape), np.ones((2, 2)), np.array([0, 1]))


def test_as_many_labels_as_examples():
    with pytest.raises(ValueError, match="3 and 2"):
        accuracy(lambda x: x, np.ones((3, 2)), np.array([0, 1]))
    with pytest.raises(ValueError, match="0 and 0"):
        accuracy(lambda x: x, np.ones((0, 2)), np.array([], int))


@given(st.integers(1, 30), st.integers(2, 5), st.integers(0, 99))
def test_the_confusion_matrix_counts_pairs(m, k, seed):
    rng = np.random.default_rng(seed)
    outputs, labels = rng.normal(size=(m, k)), rng.integers(0, k, m)
    counts = confusion_matrix(lambda x: x, outputs, labels)
    expected = np.zeros((k, k), int)
    for row, label in zip(outputs, labels):
        expected[label, row.argmax()] += 1
    assert counts.tolist() == expected.tolist()
    assert np.trace(counts) / m == accuracy(lambda x: x, outputs, labels)
    assert confusion_matrix(lambda x: x, outputs, bp.data.one_hot(labels, k)).tolist() == counts.tolist()


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0]])
def test_a_label_without_output_is_refused(labels):
    with pytest.raises(ValueError, match="a label has no output of the net; expected labels 0 … 2"):
        confusion_matrix(lambda x: x, np.eye(3)[:2], np.array(labels))


def test_predictions_are_the_outputs_in_eval_mode():
    net = bp.nn.Sequential(bp.nn.Linear(3, 4, rng=0), bp.nn.Dropout(0.5, rng=0))
    x = np.random.default_rng(0).normal(size=(9000, 3)).astype(np.float32)
    outputs = predict(net, x)
    assert type(outputs) is np.ndarray
    np.testing.assert_allclose(outputs, x @ net[0].weight.data.T + net[0].bias.data, rtol=1e-5, atol=1e-6)
    assert net.training
    assert predict(net, x[:0]).shape == (0, 4)
