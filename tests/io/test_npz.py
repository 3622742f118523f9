"""`bp.io`: parameters come back bit for bit, files are whole or not there, and nothing in them is run."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_bp as bp

ARRAYS = {"w": np.array([[1.0, -2.5], [np.inf, np.nan]]), "file": np.arange(3, dtype=np.float32)}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "net.npz"


def assert_same(a, b):
    assert list(a) == list(b)
    for name in a:
        x, y = np.asarray(a[name]), b[name]
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        assert x.tobytes() == y.tobytes()


# ---- there and back --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_net_comes_back(file, dtype):
    net = bp.nn.Sequential(bp.nn.Linear(3, 4, rng=0), bp.nn.Tanh(), bp.nn.Linear(4, 2, rng=1)).astype(dtype)
    other = bp.nn.Sequential(bp.nn.Linear(3, 4, rng=5), bp.nn.Tanh(), bp.nn.Linear(4, 2, rng=6)).astype(dtype)
    bp.io.save(file, net)
    other.load_state_dict(bp.io.load(file))
    assert_same(net.state_dict(), other.state_dict())
    x = np.ones((2, 3), dtype)
    np.testing.assert_array_equal(net(x).data, other(x).data)
    assert net(x).dtype == dtype


def test_a_state_dict_and_its_net_make_one_file(file):
    net = bp.nn.MLP([2, 3, 1], rng=0)
    bp.io.save(file, net)
    first = file.read_bytes()
    bp.io.save(file, net.state_dict())
    assert file.read_bytes() == first, "nothing but names and arrays, not even the time, is in it"


def test_buffers_are_state_and_tied_parameters_are_written_once(file):
    class Net(bp.nn.Module):
        def __init__(self):
            self.a = bp.nn.Linear(2, 2, rng=0)
            self.b = self.a
            self.mean = bp.Tensor([1.0, 2.0])

    net = Net()
    bp.io.save(file, net)
    assert list(bp.io.load(file)) == list(net.state_dict())
    assert "mean" in bp.io.load(file)


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\\"), min_size=1, max_size=20)
NUMBERS = hnp.arrays(
    st.sampled_from([np.float16, np.float32, np.float64, np.complex64, np.int8, np.uint64, np.bool_, ">f8"]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)


@given(state=st.dictionaries(NAMES, NUMBERS, max_size=4))
def test_any_names_and_numbers_come_back(tmp_path_factory, state):
    file = tmp_path_factory.mktemp("any") / "state.npz"
    bp.io.save(file, state)
    assert_same(state, bp.io.load(file))
    with np.load(file, allow_pickle=False) as archive:
        assert_same(state, {name: archive[name] for name in archive.files})


def test_layouts_and_scalars(file):
    state = {
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "v": np.arange(9.0)[::-2],
        "s": 2.5,
        "n": 3,
    }
    bp.io.save(file, state)
    back = bp.io.load(file)
    for name, value in state.items():
        np.testing.assert_array_equal(back[name], value)


def test_tensors_are_written_without_their_graph(file):
    w = bp.Tensor([1.0, 2.0], requires_grad=True)
    bp.io.save(file, {"w": w, "made": w * 2})
    np.testing.assert_array_equal(bp.io.load(file)["made"], [2.0, 4.0])


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_numpys_own_files_are_read(file, write):
    arrays = {"w": ARRAYS["w"], "b": np.arange(3)}
    write(file, **arrays)
    assert_same(arrays, bp.io.load(file))


def test_the_name_is_taken_as_it_is(tmp_path):
    bp.io.save(str(tmp_path / "weights"), ARRAYS)
    assert os.listdir(tmp_path) == ["weights"]
    assert_same(ARRAYS, bp.io.load(str(tmp_path / "weights")))


# ---- whole or not there ------------------------------------------------------------------------------------


class Fails:
    """Its values cannot be had halfway through writing."""

    def __init__(self, monkeypatch, after):
        self.left, self.write = after, np.lib.format.write_array
        monkeypatch.setattr(np.lib.format, "write_array", self)

    def __call__(self, *args, **kwargs):
        self.left -= 1
        if self.left < 0:
            raise OSError("no space left on device")
        return self.write(*args, **kwargs)


@pytest.mark.parametrize("after", [0, 1])
def test_a_write_that_fails_leaves_the_old_file(file, monkeypatch, after):
    bp.io.save(file, {"old": np.ones(2)})
    Fails(monkeypatch, after)
    with pytest.raises(OSError, match="no space"):
        bp.io.save(file, ARRAYS)
    assert os.listdir(file.parent) == ["net.npz"]
    assert_same({"old": np.ones(2)}, bp.io.load(file))


def test_a_move_that_fails_leaves_the_old_file(file, monkeypatch):
    bp.io.save(file, {"old": np.ones(2)})

    def refuse(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(KeyboardInterrupt):
        bp.io.save(file, ARRAYS)
    assert os.listdir(file.parent) == ["net.npz"]
    assert list(bp.io.load(file)) == ["old"]


def test_what_cannot_be_saved_touches_nothing(file):
    bp.io.save(file, {"old": np.ones(2)})
    with pytest.raises(TypeError):
        bp.io.save(file, {"w": np.ones(2), "settings": {"lr": 0.1}})
    assert list(bp.io.load(file)) == ["old"]


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "link.npz").symlink_to(tmp_path / "real.npz")
    bp.io.save(tmp_path / "link.npz", ARRAYS)
    assert (tmp_path / "link.npz").is_symlink()
    assert_same(ARRAYS, bp.io.load(tmp_path / "real.npz"))


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        bp.io.save(tmp_path / "no" / "net.npz", ARRAYS)
    with pytest.raises(FileNotFoundError):
        bp.io.load(tmp_path / "net.npz")


# ---- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"w": None}, "'w'; expected an array of numbers, got NoneType"),
        ({"w": "text"}, "'w'; expected an array of numbers, got dtype <U4"),
        ({"w": np.array([{}])}, "'w'; expected an array of numbers, got ndarray"),
        ({"velocity": [np.ones(2)]}, "'velocity'; expected an array of numbers, got list"),
        (
            [np.ones(2)],
            "nothing that has a state; expected a Module, or a dict of names and arrays, got list",
        ),
    ],
)
def test_what_is_not_numbers_is_not_written(file, state, words):
    with pytest.raises(TypeError) as caught:
        bp.io.save(file, state)
    assert words in str(caught.value)
    assert not file.exists()


@pytest.mark.parametrize("name", ["", 3, "a\0b", "a\\b", "x" * 70_000])
def test_names_that_a_zip_cannot_hold(file, name):
    with pytest.raises(ValueError, match="cannot write this name"):
        bp.io.save(file, {name: np.ones(1)})


class Malicious:
    """Unpickling it sets an environment variable."""

    def __reduce__(self):
        return exec, ("import os; os.environ['TINYGRAD_BP_WAS_RUN'] = '1'",)


def refused(file):
    with pytest.raises(ValueError, match=r"cannot be loaded: .*expected an \.npz of numbers") as caught:
        bp.io.load(file)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["object array", "bare pickle", "pickle in a zip", "object .npy"])
def test_a_malicious_pickle_is_not_executed(file, monkeypatch, kind):
    monkeypatch.delenv("TINYGRAD_BP_WAS_RUN", raising=False)
    objects = np.array([Malicious()], dtype=object)
    if kind == "object array":
        np.savez(file, w=objects)
    elif kind == "bare pickle":
        file.write_bytes(pickle.dumps(Malicious()))
    elif kind == "pickle in a zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("w.npy", pickle.dumps(Malicious()))
    else:
        with open(file, "wb") as out:
            np.save(out, objects)
    assert "nothing in the file was run" in refused(file)
    assert "TINYGRAD_BP_WAS_RUN" not in os.environ
    if kind == "object array":  # the bait works: NumPy runs it when told to
        with np.load(file, allow_pickle=True) as archive, pytest.raises(Exception):  # noqa: B017
            archive["w"].missing  # noqa: B018
        assert os.environ.pop("TINYGRAD_BP_WAS_RUN") == "1"


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\0" * 5000])
def test_what_is_no_npz_is_refused(file, content):
    file.write_bytes(content)
    assert str(file) in refused(file)


def npy(header, content=b""):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, header)
    return out.getvalue() + content


CRAFTED = {
    "an array that claims to be huge": (
        "w.npy", npy({"descr": "<f8", "fortran_order": False, "shape": (1 << 60,)}), "'w'",
    ),
    "a negative shape": ("w.npy", npy({"descr": "<f8", "fortran_order": False, "shape": (-4,)}), "'w'"),
    "less than it claims": ("w.npy", npy({"descr": "<f8", "fortran_order": False, "shape": (9,)}, b"8 bytes "), "'w'"),
    "more than it claims": ("w.npy", npy({"descr": "<f8", "fortran_order": False, "shape": ()}, b"8" * 16), "more"),
    "text": ("w.npy", npy({"descr": "<U1", "fortran_order": False, "shape": (1,)}, b"abcd"), "not numbers"),
    "a structure": (
        "w.npy", npy({"descr": [("a", "<f8")], "fortran_order": False, "shape": (1,)}, b"8 bytes "), "not numbers",
    ),
    "a header that is code": ("w.npy", b"\x93NUMPY\x01\x00\x10\x00__import__('os')", "'w'"),
    "another kind of file": ("w.txt", b"text", "'w.txt'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CRAFTED)
def test_crafted_entries_are_refused(file, kind):
    name, content, words = CRAFTED[kind]
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    assert words in refused(file)


def test_a_name_that_is_there_twice_is_refused(file):
    np.savez(file, w=np.ones(1), v=np.ones(1))
    file.write_bytes(file.read_bytes().replace(b"v.npy", b"w.npy"))
    assert "twice" in refused(file)


def test_every_truncated_file_is_refused(file):
    bp.io.save(file, ARRAYS)
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        refused(file)


@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_no_damaged_file_gives_other_numbers(file, bit):
    """One bit is flipped, anywhere: an error, or the same arrays (the zip's directory may lose a whole one)."""
    bp.io.save(file, ARRAYS)
    whole, found = file.read_bytes(), 0
    for i in range(len(whole)):
        file.write_bytes(whole[:i] + bytes([whole[i] ^ bit]) + whole[i + 1 :])
        try:
            back = bp.io.load(file)
            assert len(back) in (1, 2)
            assert_same({name: ARRAYS[name] for name in back}, back)
        except ValueError as error:
            found += "cannot be loaded" in str(error)
    assert found > len(whole) / 2


def test_a_state_that_does_not_fit_loads_nothing(file):
    net = bp.nn.Linear(3, 2, rng=0)
    before = net.state_dict()
    bp.io.save(file, bp.nn.Linear(3, 4, rng=1))
    with pytest.raises(ValueError, match="nothing was loaded"):
        net.load_state_dict(bp.io.load(file))
    assert_same(before, net.state_dict())
