"""The embedded digits are the published ones."""

from pathlib import Path

import numpy as np
import pytest

import tinygrad_bp as bp

PUBLISHED_COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
"""Digits per class in the test part, from the data set's own description at UCI."""


def test_all_digits_are_there():
    (x, labels), (rest, _) = bp.data.load_digits(test_fraction=0)
    assert x.shape == (1797, 64)
    assert len(rest) == 0
    assert np.bincount(labels).tolist() == PUBLISHED_COUNTS
    np.testing.assert_array_equal(x * 16, np.round(x * 16))
    assert (x.min(), x.max()) == (0.0, 1.0)


def test_a_zero_has_a_hole_and_a_one_has_none():
    (x, labels), _ = bp.data.load_digits(test_fraction=0)
    centre = x.reshape(-1, 8, 8)[:, 3:5, 3:5].mean((1, 2))
    assert centre[labels == 0].mean() < 0.2 < 0.6 < centre[labels == 1].mean()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_fifth_is_held_out_by_a_seed(dtype):
    (x, labels), (x_test, labels_test) = bp.data.load_digits(dtype)
    assert x.dtype == x_test.dtype == dtype
    assert (len(x), len(x_test)) == (len(labels), len(labels_test)) == (1438, 359)
    assert labels.dtype.kind == "i"
    np.testing.assert_array_equal(x, bp.data.load_digits(dtype)[0][0])
    assert np.any(labels != bp.data.load_digits(dtype, rng=1)[0][1])
    assert x.flags.writeable


def test_the_source_and_licence_are_told():
    text = (Path(bp.data.__file__).parent / "README.md").read_text()
    assert "10.24432/C50P49" in text
    assert "CC BY 4.0" in text


@pytest.mark.oracle
def test_the_conversion_gives_the_file(tmp_path):
    pytest.importorskip("sklearn", reason="the conversion reads scikit-learn's copy")
    from tinygrad_bp.data.convert_digits import convert
    from tinygrad_bp.data.digits import FILE

    convert(str(tmp_path / "digits.npz"))
    with np.load(tmp_path / "digits.npz") as made, np.load(FILE) as shipped:
        assert sorted(made) == sorted(shipped) == ["images", "labels"]
        for name in made:
            assert made[name].dtype == np.uint8
            np.testing.assert_array_equal(made[name], shipped[name])
