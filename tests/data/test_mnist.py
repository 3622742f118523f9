"""IDX files: read when right, named when broken."""

import gzip
import os
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinygrad_bp.data import load_mnist
from tinygrad_bp.data.mnist import IMAGES, read_idx

RNG = np.random.default_rng(0)


def idx(array, magic=None):
    header = struct.pack(">I", 0x0800 + array.ndim if magic is None else magic)
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(folder, part="train", n=5, side=4, zipped=False, labels=None, images=None):
    images = RNG.integers(0, 256, (n, side, side), np.uint8) if images is None else images
    labels = RNG.integers(0, 10, n, np.uint8) if labels is None else labels
    for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
        data = idx(array)
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(data) if zipped else data)
    return images, labels


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "train", n=5)
    write(tmp_path, "t10k", n=3)
    return tmp_path


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_was_written_is_read(tmp_path, zipped, dtype):
    images, labels = write(tmp_path, "train", 5, zipped=zipped)
    test_images, test_labels = write(tmp_path, "t10k", 3, zipped=not zipped)
    (x, y), (x_test, y_test) = load_mnist(tmp_path, dtype)
    assert x.dtype == x_test.dtype == dtype
    np.testing.assert_allclose(x, images.reshape(5, 16) / 255, rtol=1e-6)
    np.testing.assert_allclose(x_test, test_images.reshape(3, 16) / 255, rtol=1e-6)
    np.testing.assert_array_equal(y, labels)
    np.testing.assert_array_equal(y_test, test_labels)
    assert y.dtype.kind == "i"
    assert x.flags.writeable


def test_a_missing_file_is_named(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-labels-idx1-ubyte"):
        load_mnist(folder)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_mnist(folder / "nowhere")


def break_it(data, how):
    return {
        "empty": b"",
        "cut in the magic number": data[:3],
        "cut in the header": data[:10],
        "cut in the data": data[:-1],
        "too long": data + b"\0",
        "wrong magic number": struct.pack(">I", 0x0801) + data[4:],
        "another type": struct.pack(">I", 0x0D03) + data[4:],
        "sizes that fit in no memory": data[:4] + b"\xff" * 12 + data[16:],
        "sizes of a terabyte": data[:4] + struct.pack(">3I", 1 << 20, 1 << 10, 1 << 10) + data[16:],
    }[how]


BREAKS = [
    ("empty", "header"), ("cut in the magic number", "header"), ("cut in the header", "header"),
    ("cut in the data", "80 bytes.*got 79"), ("too long", "80 bytes.*got more"),
    ("wrong magic number", "0x00000803, got 0x00000801"), ("another type", "0x00000d03"),
    ("sizes that fit in no memory", "length"), ("sizes of a terabyte", "length"),
]  # fmt: skip


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("how", "words"), BREAKS)
def test_a_broken_file_is_named(folder, zipped, how, words):
    file = folder / "train-images-idx3-ubyte"
    data = break_it(file.read_bytes(), how)
    file.write_bytes(gzip.compress(data) if zipped else data)
    with pytest.raises(ValueError, match=words) as error:
        load_mnist(folder)
    assert str(file) in str(error.value)


@pytest.mark.parametrize("keep", [4, 12, 40, -1, -6])
def test_a_broken_gzip_file_is_named(folder, keep):
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(gzip.compress(file.read_bytes())[:keep])
    with pytest.raises(ValueError, match=r"gzip|header") as error:
        load_mnist(folder)
    assert str(file) in str(error.value)


@pytest.mark.parametrize("place", [10, 30, -6])  # the kind of block, the data, the checksum
def test_a_gzip_file_with_flipped_bits_is_named(folder, place):
    file = folder / "train-images-idx3-ubyte"
    data = bytearray(gzip.compress(file.read_bytes()))
    data[place] |= 0x06
    data[place] ^= 0xF0
    file.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="train-images"):
        load_mnist(folder)


def test_images_and_labels_must_be_as_many(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(4, np.uint8)))
    with pytest.raises(ValueError, match=r"train-images.* 5 images.*train-labels.* 4 labels"):
        load_mnist(folder)


def test_a_label_out_of_range_is_named(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.array([0, 1, 10, 2, 3], np.uint8)))
    with pytest.raises(ValueError, match=r"train-labels.*0 … 9, got 10"):
        load_mnist(folder)


def test_both_parts_have_images_of_one_size(folder):
    write(folder, "t10k", side=5)
    with pytest.raises(ValueError, match=r"two sizes.*16 and 25"):
        load_mnist(folder)


@given(st.binary(max_size=64))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_an_array_or_a_clear_error(tmp_path, data):
    file = tmp_path / "some-file"
    for content in (data, struct.pack(">I", IMAGES) + data, gzip.compress(data)):
        file.write_bytes(content)
        try:
            array = read_idx(file, IMAGES)
        except ValueError as error:
            told = str(error)
        else:
            told = f"some-file {array.ndim} {array.dtype}"
            assert told == "some-file 3 uint8"
        assert "some-file" in told


def test_real_mnist():
    """The folder of real MNIST files that TINYGRAD_BP_MNIST names."""
    folder = os.environ.get("TINYGRAD_BP_MNIST")
    if not folder:
        pytest.skip("TINYGRAD_BP_MNIST does not name a folder with MNIST files")
    (x, y), (x_test, y_test) = load_mnist(folder)
    assert x.shape == (len(y), 784)
    assert x_test.shape == (len(y_test), 784)
    assert (x.min(), x.max(), x.dtype) == (0.0, 1.0, np.float32)
    assert set(np.unique(y)) == set(np.unique(y_test)) == set(range(10))
    borders = x.reshape(-1, 28, 28)[:, [0, -1], :]
    assert borders.mean() < 0.001  # a digit stands in the middle 20 × 20 pixels
    one, zero = (x[y == label].mean() for label in (1, 0))
    assert one < 0.1 < zero  # a 1 takes less ink than a 0
