"""A mistake is a function that makes it, and whose docstring is what the user is told, notes and all.

"NumPy: …" stands for a message of NumPy's own, which its releases word differently; the notes then
say the rest. "⟨folder⟩" stands for a path.
"""

import inspect

import pytest

import tinygrad_bp as bp


def leaf(value, name=None, dtype=float):
    return bp.Tensor(bp.tensor(value, dtype=dtype).data, requires_grad=True, name=name)


class Catalogue:
    """The mistakes of one file: `@mistake(kind of error)` above each."""

    def __init__(self):
        self.mistakes = []

    def __call__(self, kind):
        def add(make):
            self.mistakes.append(pytest.param(make, kind, id=make.__name__))
            return make

        return add


def told(error):
    """All that the user is told: the message, its cause, and the notes."""
    words = error.args[0] if type(error) is KeyError else str(error)
    cause = [f"caused by: {error.__cause__}"] if error.__cause__ is not None else []
    return "\n".join([words, *cause, *getattr(error, "__notes__", ())])


def check(make, kind, folder):
    with pytest.raises(kind) as caught:
        make(folder) if inspect.signature(make).parameters else make()
    assert type(caught.value) is kind
    expected, got = inspect.getdoc(make), told(caught.value).replace(str(folder), "⟨folder⟩")
    got = got.replace("newshape=", "shape=")  # NumPy 2.0's name
    if expected.startswith("NumPy: …"):
        assert "\n" in got, "NumPy's words alone"
        expected, got = expected.partition("\n")[2], got.partition("\n")[2]
    else:
        assert "; " in got, "says neither what was expected nor what to do"
    assert got == expected
