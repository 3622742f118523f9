"""What must still be so when a program is replayed: each question as an expression, all in one function.

The one idea: a replay is worth while only if what is asked before it costs less than what it saves.
Questions are written down once as Python's own expressions, in which every object has a name of its
own, and are asked by a function that Python has compiled. Read `jit.py` next.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..graph import AMBIENT
from ..tensor import Tensor
from .state import Slot

MISSED = object()
"""What a quick replay gives when something is not as it was."""


class Questions:
    """`tests`, expressions that must be true, and `names`, what they speak of."""

    def __init__(self):
        self.names: dict[str, Any] = {}
        self.known: dict[int, str] = {}
        self.tests: list[str] = []

    def name(self, x: Any) -> str:
        """The name of an object, one for each."""
        if id(x) not in self.known:
            self.known[id(x)] = f"o{len(self.names)}"
            self.names[self.known[id(x)]] = x
        return self.known[id(x)]

    def plain(self, known: list[tuple[Slot, Any]], sizes: list[tuple[Any, int]]) -> "Questions":
        """Do all plain values stand where they stood, and nothing else besides?"""
        self.tests += [f"len({self.name(owner)}) == {size}" for owner, size in sizes]
        self.tests += [f"{slot.words(self.name)} is {self.name(value)}" for slot, value in known]
        return self

    def bound(self, tensors, roots, owned) -> "Questions":
        """Have Tensors and places the arrays that the program is bound to, none needed by a graph that was kept?"""
        self.tests += [f"{self.name(tensor)}._data is {self.name(data)}()" for tensor, data in tensors]
        self.tests += [f"{slot.words(self.name)} is {self.name(array)}" for slot, array in owned]
        holders, alone = self.name(sys.getrefcount), self.name(ALONE)
        for root in map(self.name, roots):
            self.tests.append(f"{holders}({root}._data) <= {alone} and not {root}._alias")
        return self

    def parts(self, word: str, x) -> list[tuple[str, Any]]:
        """Is it still built of such tuples, lists and dicts? The words for what is in them, and what that is now."""
        if type(x) not in (tuple, list, dict):
            return [(word, x)]
        keys = tuple(x if type(x) is dict else range(len(x)))
        alike = f"tuple({word}) == {self.name(keys)}" if type(x) is dict else f"len({word}) == {len(x)}"
        self.tests.append(f"type({word}) is {self.name(type(x))} and {alike}")
        return [part for k in keys for part in self.parts(f"{word}[{self.name(k)}]", x[k])]

    def array(self, word: str, v) -> None:
        """Is it of the shape and dtype of v?"""
        kind = self.name(np.ndarray if v.is_array else v.dtype.type)
        self.tests.append(f"type({word}) is {kind}")
        if v.is_array:
            self.tests.append(f"{word}.shape == {v.shape!r} and {word}.dtype is {self.name(v.dtype)}")

    def function(self) -> Callable[[], bool]:
        """A function that asks all."""
        return self.define("answer()", [f"return {' and '.join(self.tests) or True}"])

    def define(self, head: str, lines: list[str]) -> Callable:
        """A function of these lines, whose names are its globals."""
        names = dict(self.names)
        exec(f"def {head}:\n" + "\n".join(f"    {line}" for line in lines), names)
        return names[head.partition("(")[0]]


class Probe:
    """An object with an array of which nobody else knows, as a Tensor is."""

    def __init__(self):
        self._data = np.empty(1)


def _alone():
    """How many references to its array a question sees, if nobody but its Tensor has it."""
    ask = Questions()
    holders, probe = ask.name(sys.getrefcount), ask.name(Probe())
    return ask.define("references()", [f"return {holders}({probe}._data)"])()


ALONE = _alone()


def quick(replay, args, lock, stats) -> Callable[[tuple], Any] | None:
    """A function of the tuple of a call's arguments, which replays if nothing has changed, and else gives MISSED.

    For steps of arrays, in tuples, lists and dicts, whose program draws no random numbers and rebinds no
    state; None for others. `args`: those of one call, which tell how they are built.
    """
    program, trace, ask = replay.program, replay.trace, Questions()
    inputs, name = [f"i{n}" for n in range(len(program.inputs))], ask.name
    parts = ask.parts("args", args)
    if replay.generators or replay.others or any(type(x) is not np.ndarray for _, x in parts):
        return None
    built, ask.tests = ask.tests, []
    ask.tests.append(f"{name(AMBIENT.get)}() is {name(AMBIENT.get())}")
    for word, v in zip(inputs, program.inputs):
        ask.array(word, v)
    ask.plain(trace.plain, trace.sizes).bound(replay.tensors, replay.roots, replay.owned)
    surroundings, ask.tests = ask.tests, []
    live = []
    for n, (v, slot) in enumerate(replay.live, start=len(inputs)):
        live.append(f"i{n} = {slot.words(name)}")
        ask.array(f"i{n}", v)
    words = [*inputs, *(f"i{n}" for n in range(len(inputs), len(inputs) + len(live)))]
    given, missed = ", ".join([name(replay.linked.run), *words]), f"return {name(MISSED)}"
    result = f"{name(trace.returned)}(found[0], {name(replay.linked.fresh)})"
    if trace.alone and not program.results[0].is_array:
        result = f"{name(Tensor._of)}(found[0][0], None)"
    lines = [
        f"if not ({' and '.join(built)}): {missed}",
        *(f"{word} = {part}" for word, (part, _) in zip(inputs, parts)),
        f"{name(lock.acquire)}()",
        "try:",
        f"    if not ({' and '.join(surroundings)}): {missed}",
        *(f"    {line}" for line in live),
        *([f"    if not ({' and '.join(ask.tests)}): {missed}"] if ask.tests else []),
        f"    found = {name(replay.enter)}({given})",
        f"    if found is None: {missed}",
        f"    {name(stats)}['replays'] += 1",
        f"    return {result}",
        f"except {name((LookupError, ValueError, AttributeError))}: {missed}",
        f"finally: {name(lock.release)}()",
    ]
    return ask.define("replayed(args)", lines)
