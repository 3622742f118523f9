"""A state dict as NumPy's `.npz`: a zip of one `.npy` per array, which `np.load` reads, too.

The one idea: numbers only, in both directions. Pickles are never read or written, so a file from
anywhere may be loaded; and a file is written beside its place and then moved there, so a crash
leaves the old one. Read `training/fit.py` next.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import message
from ..tensor import constant


def save(file: str | os.PathLike, state: Any) -> None:
    """Write a Module's state, or a dict of names and arrays (`net.state_dict()`), to `file`.

    Arrays keep dtype and shape; the name of the file is taken as it is. A file that was there is
    replaced at once, when all is written, or left as it was. Raises TypeError for values that are
    not numbers, ValueError for names that a zip cannot hold, OSError.

    >>> import numpy as np, tinygrad_bp as bp, tempfile, os
    >>> file = os.path.join(tempfile.mkdtemp(), "net.npz")
    >>> bp.io.save(file, {"w": np.array([1.0, 2.0])}); bp.io.load(file)
    {'w': array([1., 2.])}
    """
    arrays = _arrays(state)
    target = Path(os.path.realpath(file))  # through a link, not in its place
    part = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
    try:
        with open(part, "xb") as out:
            _write(out, arrays)
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def load(file: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of an `.npz`, made by `save` or by `np.savez`, under their names.

    Nothing is unpickled. Raises ValueError for a file that is no `.npz`, that is cut off or
    damaged, or that holds anything but numbers; FileNotFoundError.

    >>> import numpy as np, tinygrad_bp as bp, tempfile, os
    >>> file = os.path.join(tempfile.mkdtemp(), "w.npz")
    >>> np.savez(file, w=np.arange(3)); bp.io.load(file)
    {'w': array([0, 1, 2])}
    """
    import zipfile  # loaded when first used, as NumPy does

    with open(file, "rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                return _read(archive, file)
        except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
            raise _unreadable(file, str(error) or "it ends too early") from error


def _arrays(state):
    """name -> plain array, all checked before the first byte is written."""
    if not isinstance(state, Mapping):
        state_dict = getattr(state, "state_dict", None)
        if state_dict is None:
            raise TypeError(
                message(
                    "bp.io.save was given nothing that has a state",
                    expected="a Module, or a dict of names and arrays",
                    got=type(state).__name__,
                )
            )
        state = state_dict()
    return {_checked_name(name): _checked_array(name, value) for name, value in state.items()}


def _checked_name(name):
    if not isinstance(name, str) or not name or "\0" in name or "\\" in name or len(name.encode()) > 60_000:
        raise ValueError(
            message("bp.io.save cannot write this name", expected="a path such as '0.weight'", got=repr(name))
        )
    return name


def _checked_array(name, value):
    array = np.asarray(None if isinstance(value, (list, tuple)) else constant(value))
    if array.dtype.kind not in "fciub":
        raise TypeError(
            message(
                f"bp.io.save cannot write {name!r}",
                expected="an array of numbers",
                got=type(value).__name__ if array.dtype == object else f"dtype {array.dtype}",
                do="give every array a name of its own; settings can go into a JSON file beside",
            )
        )
    return array


def _write(out, arrays):
    import zipfile

    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def _read(archive, file):
    import zlib

    arrays = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name == info.filename:
            raise _unreadable(file, f"{info.filename!r} in it is no .npy")
        if name in arrays:
            raise _unreadable(file, f"{name!r} is in it twice")
        try:
            with archive.open(info) as entry:
                array = np.lib.format.read_array(entry, allow_pickle=False)
                rest = entry.read(1)
        except (ValueError, TypeError, MemoryError, OverflowError, zlib.error) as error:
            raise _unreadable(file, f"{name!r}: {error}") from error
        if rest:
            raise _unreadable(file, f"{name!r} holds more than its array")
        if array.dtype.kind not in "fciub":
            raise _unreadable(file, f"{name!r} holds {array.dtype}, not numbers")
        arrays[name] = array
    return arrays


def _unreadable(file, why):
    return ValueError(
        message(
            f"{os.fspath(file)} cannot be loaded: {why}",
            expected="an .npz of numbers, whole, as bp.io.save and np.savez write it",
            do="save it anew (pickled objects are never loaded, and nothing in the file was run)",
        )
    )
