"""Batches hold every row once; splits and one-hot rows are exact."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bp as bp
from tinygrad_bp.data import batches, one_hot, split

sizes = st.integers(0, 40), st.integers(1, 12), st.integers(0, 999)


@given(*sizes, st.booleans())
def test_every_row_comes_once_with_its_target(n, batch_size, seed, shuffle):
    x, y = np.arange(n) * 1.5, np.arange(n)
    found = list(batches(x, y, batch_size, seed, shuffle))
    assert sorted(i for _, rows in found for i in rows) == list(range(n))
    assert [len(rows) for _, rows in found[:-1]] == [batch_size] * (len(found) - 1)
    for a, b in found:
        np.testing.assert_array_equal(a, b * 1.5)
    if not shuffle:
        assert [i for _, rows in found for i in rows] == list(range(n))


@given(*sizes)
def test_drop_last_leaves_out_what_is_no_full_batch(n, batch_size, seed):
    found = list(batches(np.arange(n), np.arange(n), batch_size, seed, drop_last=True))
    assert [len(rows) for _, rows in found] == [batch_size] * (n // batch_size)
    plain = batches(np.arange(n), np.arange(n), batch_size, shuffle=False, drop_last=True)
    assert [len(rows) for _, rows in plain] == [batch_size] * (n // batch_size)


def order(rng):
    return [int(i) for _, rows in batches(np.arange(50), np.arange(50), 7, rng) for i in rows]


def test_a_seed_gives_one_order_and_a_generator_goes_on():
    assert order(3) == order(3) != order(4)
    generator = np.random.default_rng(3)
    first, second = order(generator), order(generator)
    assert first == order(3) != second
    assert first != list(range(50))


def test_all_orders_occur():
    rng = np.random.default_rng(0)
    seen = {
        tuple(int(i) for _, r in batches(np.arange(3), np.arange(3), 1, rng) for i in r) for _ in range(200)
    }
    assert len(seen) == 6


def test_wrong_batches_are_told_at_once():
    with pytest.raises(ValueError, match=r"\(3,\) and \(4,\)"):
        batches(np.ones(3), np.ones(4), 2, 0)
    for size in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="batch_size"):
            batches(np.ones(3), np.ones(3), size, 0)


@given(st.integers(0, 40), st.floats(0, 1), st.integers(0, 99))
def test_a_split_is_a_partition(n, fraction, seed):
    x = np.arange(n)
    (x1, y1), (x2, y2) = split(x, -x, fraction, seed)
    assert sorted([*x1, *x2]) == list(range(n))
    assert len(x2) == round(fraction * n)
    np.testing.assert_array_equal(y1, -x1)
    np.testing.assert_array_equal(y2, -x2)
    (again, _), _ = split(x, -x, fraction, seed)
    np.testing.assert_array_equal(again, x1)


def test_a_share_is_between_0_and_1():
    with pytest.raises(ValueError, match="test_fraction"):
        split(np.ones(3), np.ones(3), 20)


@given(st.lists(st.integers(0, 6), max_size=9))
def test_one_hot_rows(labels):
    rows = one_hot(np.array(labels, np.uint8), 7)
    assert rows.shape == (len(labels), 7)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows.sum(1), np.ones(len(labels)))
    assert [int(row.argmax()) for row in rows] == labels


def test_one_hot_of_any_shape_and_dtype():
    assert one_hot(2, 3, np.float64).tolist() == [0.0, 0.0, 1.0]
    assert one_hot([[0, 1], [1, 0]], 2).shape == (2, 2, 2)
    assert bp.data.one_hot(2, 3, np.float64).dtype == np.float64


def test_wrong_labels_are_told():
    with pytest.raises(ValueError, match=r"0 … 2.*0 … 3"):
        one_hot([0, 3], 3)
    with pytest.raises(ValueError, match="-1 … 0"):
        one_hot([0, -1], 3)
    with pytest.raises(TypeError, match="astype"):
        one_hot([0.0, 1.0], 3)
