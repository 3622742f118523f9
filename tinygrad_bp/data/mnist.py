"""`load_mnist`: the IDX files in which MNIST and its relatives are published.

The one idea: trust nothing. A file is believed when its magic number, its sizes and its length
agree, and every error names the file. Nothing is unpickled. Read `training/fit.py` next.
"""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import message

IMAGES, LABELS = 0x00000803, 0x00000801
"""Magic numbers: unsigned bytes with three axes, and with one."""


def load_mnist(
    folder: str | os.PathLike, dtype: Any = np.float32
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """((x, labels) to train on, (x, labels) to test on), from the four IDX files in `folder`.

    The files are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same with `t10k`, each
    plain or with `.gz`. x has shape (n, rows · columns), values in [0, 1]; labels are integers 0 … 9.
    Raises FileNotFoundError for a file that is not there, ValueError for one that is broken.
    """
    folder = Path(folder)
    (x, y), (x_test, y_test) = (_pair(folder, part, dtype) for part in ("train", "t10k"))
    if x.shape[1] != x_test.shape[1]:
        raise ValueError(
            message(
                f"the images of {folder} have two sizes", got=f"{x.shape[1]} and {x_test.shape[1]} pixels"
            )
        )
    return (x, y), (x_test, y_test)


def _pair(folder, part, dtype):
    images_file, labels_file = (
        _find(folder, f"{part}-images-idx3-ubyte"),
        _find(folder, f"{part}-labels-idx1-ubyte"),
    )
    images, labels = read_idx(images_file, IMAGES), read_idx(labels_file, LABELS)
    if len(images) != len(labels):
        raise ValueError(
            message(f"{images_file} has {len(images)} images and {labels_file} {len(labels)} labels")
        )
    if len(labels) and labels.max() > 9:
        raise ValueError(_broken(labels_file, "has a label out of range", "0 … 9", labels.max()))
    x = np.reshape(images, (len(images), math.prod(images.shape[1:]))).astype(dtype)
    x /= np.dtype(dtype).type(255)
    return x, labels.astype(np.int64)


def _find(folder, name):
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        message(f"there is no {name} (or {name}.gz) in {folder.resolve()}", do="fetch it, or name its folder")
    )


def read_idx(file: str | os.PathLike, magic: int) -> np.ndarray:
    """The unsigned bytes of an IDX file, plain or gzipped, in the shape that its header tells.

    `magic`: IMAGES or LABELS, with which the file must begin. Raises ValueError for a broken file.
    """
    count = magic & 0xFF
    with open(file, "rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        header, data = (_unzip(raw, file, 4 + 4 * count)) if compressed else _take(raw, 4 + 4 * count)
    found = int.from_bytes(header[:4], "big")
    if len(header) >= 4 and found != magic:
        raise ValueError(
            _broken(file, "begins with the wrong magic number", f"0x{magic:08x}", f"0x{found:08x}")
        )
    if len(header) < 4 + 4 * count:
        raise ValueError(_broken(file, "ends within its header", f"{4 + 4 * count} bytes", len(header)))
    shape = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(4, len(header), 4))
    expected, got = math.prod(shape), len(data)
    if got != expected:
        what = f"does not have the length that its sizes {shape} say"
        raise ValueError(_broken(file, what, f"{expected} bytes of data", got if got < expected else "more"))
    return np.frombuffer(data, np.uint8).reshape(shape)


def _take(stream, length):
    """(header of that many bytes, as many bytes of data as its sizes say and at most one more)."""
    header = stream.read(length)
    wanted = math.prod(int.from_bytes(header[i : i + 4], "big") for i in range(4, len(header), 4)) + 1
    data = bytearray()
    while len(data) < wanted:  # in pieces, since a broken header may announce more than fits in memory
        piece = stream.read(min(wanted - len(data), 1 << 20))
        if not piece:
            break
        data += piece
    return header, data


def _unzip(raw, file, length):
    import gzip  # only for those who have such files
    import zlib

    try:
        with gzip.open(raw) as stream:
            return _take(stream, length)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(_broken(file, "is a broken gzip file", None, str(error))) from None


def _broken(file, what, expected, got):
    return message(f"{file} {what}", expected=expected, got=got, do="fetch it again")
