"""What things are called in a compiled step: by the user, and by the book.

The one idea: while a step is traced, `Sightings` stands where an observed run does, and notes the
user's variable for each Var and the Var of each cotangent. From these and from the paths of the
parameters `book_names` finds layers, and with them W2, b2, z2, a2, delta2, dW2 (the input is layer 1).
Only names depend on this, never numbers. Read `source.py` next.
"""

import builtins
import inspect
import itertools
import keyword
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..frames import users_frame, variable
from ..graph import AMBIENT, extra_of
from ..tensor import Tensor, constant
from .program import Program, Var
from .tracer import Tracer

ACTIVATIONS = {"sigmoid", "tanh", "relu", "leaky_relu", "softplus", "softmax"}
PARAMETER = re.compile(r"(?P<stem>.*?)\.?_?(?P<kind>weight|bias)(e?s)?(?P<index>\[\d+\])?$")
HIGH = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
RESERVED = {"np", *keyword.kwlist, *dir(builtins)}


class Sightings:
    """In an observed run's place: gives Vars their users' names, and keeps `cotangents`, Var -> Vars."""

    def __init__(self):
        self.cotangents: dict[Var, list[Var]] = {}

    def saw(self, node, value, operands, module):
        """Called for every node that is made in the trace."""
        frame = users_frame()
        known = [_var(operand) for operand in operands]
        for v, operand in zip(known, operands):
            if v is not None and v.name is None:
                v.name = variable(operand, frame)
        leaves = [v if p is not None and p.op is None else None for v, p in zip(known, node.parents)]
        extra_of(node).seen = _Sighting(self.cotangents, node, _var(value), leaves, module)


class _Sighting:
    """What is asked of `Seen` in a backward pass."""

    __slots__ = ("cotangents", "leaves", "line", "module", "out", "sequence")

    def __init__(self, cotangents, node, out, leaves, module):
        self.cotangents, self.out, self.leaves, self.module = cotangents, out, leaves, module
        self.line, self.sequence = None, node.sequence

    def receive(self, g):
        """A backward pass came by; if it began here, the user may have a name for the cost."""
        found = _var(g)
        if found is not None:
            self.cotangents.setdefault(self.out, []).append(found)
        elif self.out is not None and self.out.name is None:
            self.out.name = _held_as(self.sequence, users_frame())

    def hand_on(self, i, share):
        """… and went on to operand i."""
        leaf, found = self.leaves[i] if i < len(self.leaves) else None, _var(share)
        if leaf is not None and found is not None:
            self.cotangents.setdefault(leaf, []).append(found)

    def check_saved(self, node):
        """A tracer's value cannot be overwritten."""


def _var(x):
    x = constant(x)
    return x.variable if type(x) is Tracer else None


def _held_as(sequence, frame):
    held = () if frame is None else frame.f_locals.items()
    return next((k for k, t in held if type(t) is Tensor and t._node and t._node.sequence == sequence), None)


@contextmanager
def sighted(named: bool) -> Iterator[Sightings]:
    """Gather names inside the block if `named`, unless somebody else observes it."""
    sightings, ambient = Sightings(), AMBIENT.get()
    token = AMBIENT.set(ambient.replace(run=sightings) if named and ambient.run is None else ambient)
    try:
        yield sightings
    finally:
        AMBIENT.reset(token)


def name_arguments(step, args, kwargs) -> None:
    """Give the Tracers in a call's arguments the names of the parameters."""
    try:
        given = inspect.signature(step).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        given = {"x": args, **kwargs}
    for name, x in given.items():
        if name not in ("args", "_"):
            _name_all(x, name)


def _name_all(x, name):
    if isinstance(x, (Tracer, Tensor)):
        v = _var(x)
        if v is not None:
            v.name = v.name or name
    elif isinstance(x, (list, tuple)):
        for i, part in enumerate(x):
            _name_all(part, f"{name}_{i}")
    elif isinstance(x, dict):
        for key, part in x.items():
            _name_all(part, key if name == "kwargs" else f"{name}_{key}")


def identifier(text: str) -> str:
    """`text` as a name that shadows nothing of Python's."""
    word = re.sub(r"\W+", "_", text).strip("_") or "value"
    word = word if word.isidentifier() else f"v_{word}"
    return f"{word}_" if word in RESERVED else word


class Book:
    """The layers of a program, as the book counts them: `names`, Var -> name, and `notes`, Var -> equation."""

    def __init__(self, program: Program, paths: list[str], cotangents: dict[Var, Var]):
        self.program, self.cotangents = program, cotangents
        self.names: dict[Var, str] = {}
        self.notes: dict[Var, str] = {}
        self.made = {v: call for call in program.calls for v in call.outs}
        self.z: dict[int, Var] = {}
        self._parameters(dict(zip(program.state, paths)))
        self._forward()
        self._backward()

    def _parameters(self, paths):
        """W and b, of layers in the order in which their weights are used."""
        found = {v: match for v, path in paths.items() if (match := PARAMETER.match(path))}
        key = {v: (match["stem"], match["index"]) for v, match in found.items()}
        used = [v for call in self.program.calls for v in call.inputs() if v in found]
        order = list(dict.fromkeys(key[v] for v in used if found[v]["kind"] == "weight"))
        self.layer = {v: order.index(key[v]) + 2 for v in found if key[v] in order}
        self.weights = {v for v in self.layer if found[v]["kind"] == "weight"}
        self.names |= {v: f"{'W' if v in self.weights else 'b'}{n}" for v, n in self.layer.items()}

    def _forward(self):
        """z = a Wᵀ + b, and a, what the next layer is given."""
        for call in self.program.calls:
            if call.function not in (np.matmul, np.dot, np.add) or call.several:
                continue
            args = [self._untransposed(v) for v in call.args if type(v) is Var]
            number = next((self.layer[v] for v in args if v in self.layer), 0)
            if call.function is np.add:
                before = [v for v in args if v is self.z.get(number)]
                if before and any(self.layer.get(v) == number and v not in self.weights for v in args):
                    self.z[number] = call.out
            elif number and number not in self.z and len(args) == 2:
                self.z[number] = call.out
                given: Any = next((v for v in call.args if self._untransposed(v) not in self.layer), None)
                if number > 2 and given in self.made and given is not self.z.get(number - 1):
                    self.names.setdefault(given, f"a{number - 1}")
        self.names |= {z: f"z{number}" for number, z in self.z.items()}
        last = max(self.z, default=0)
        for call in self.program.calls if last else ():
            if self.z[last] in call.inputs() and call.function.__name__ in ACTIVATIONS:
                self.names.setdefault(call.out, f"a{last}")

    def _untransposed(self, v):
        call = self.made.get(v) if type(v) is Var else None
        return call.args[0] if call is not None and call.function is np.transpose else v

    def _backward(self):
        """delta and dW: which equation gives them."""
        last = max(self.z, default=0)
        for n, z in self.z.items():
            if z in self.cotangents:
                below = f"BP2: δ^{n} = (w^{n + 1})ᵀ δ^{n + 1} ⊙ σ′(z^{n})"
                note = f"BP1: δ^{n} = ∇C ⊙ σ′(z^{n})" if n == last else below
                self._call(self.cotangents[z], f"delta{n}", note)
        for v, n in self.layer.items():
            if v in self.cotangents and n in self.z and self.z[n] in self.cotangents:
                note = f"BP4: ∂C/∂w^{n} = a^{n - 1} δ^{n}" if v in self.weights else f"BP3: ∂C/∂b^{n} = δ^{n}"
                self._call(self.cotangents[v], f"d{self.names[v]}", note)

    def _call(self, v, name, note):
        if self.names.setdefault(v, name) == name:
            self.notes[v] = re.sub(r"\^(\d+)", lambda found: found[1].translate(HIGH), note)


def cotangents_of(trace):
    """Var -> the Var of its cotangent, where there is one."""
    found = {v: gs[0] for v, gs in trace.cotangents.items() if v is not None and len(gs) == 1}
    return found | {v: g for v, g in trace.gradients.items() if type(g) is Var}


def names_of(program, state, book, cotangents):
    """Var -> its name, for all that have one; and what others may be called. No name twice."""
    wanted: dict[Var, str] = {v: v.name or "x" for v in program.inputs}
    wanted |= book.names
    for v, path in state:
        last = path.removesuffix(".grad").rpartition(".")[2]
        own = "lr" if last == "_rate" else v.name or last
        wanted.setdefault(v, f"grad_{own}" if path.endswith(".grad") else own)
    updated = {program.state[place]: v for place, v in program.writes if type(place) is int}
    for v, path in state:
        owner = _updates_one_of(book.weights | set(book.layer), v, program, updated)
        if owner is not None and v not in book.names and v in updated:
            stem = path.rpartition(".")[2].partition("[")[0].strip("_")
            wanted[v] = f"v{book.names[owner]}" if stem == "velocity" else f"{stem}_{book.names[owner]}"
    made = [v for call in program.calls for v in call.outs]
    for v in made:
        if v.name is not None:
            wanted.setdefault(v, v.name)
    given = [*program.inputs, *(v for v, _ in state)]  # what is given comes first
    wanted = {v: wanted[v] for v in dict.fromkeys([*given, *made]) if v in wanted}
    known = [(v, g) for v, g in cotangents.items() if v in wanted and g not in wanted]
    maybe = {g: f"d{wanted[v]}" for v, g in known if g in made}
    names: dict[Var, str] = {}
    for v, word in (wanted | maybe).items():
        names[v] = unused(identifier(word), set(names.values()))
    return {v: names[v] for v in wanted}, {v: names[v] for v in maybe}


def _updates_one_of(parameters, v, program, updated):
    """The one parameter whose new value depends on the state v, or None."""
    reached = {v}
    for call in program.calls:
        if not reached.isdisjoint(call.inputs()):
            reached.update(call.outs)
    found = [p for p in parameters if updated.get(p) in reached]
    return found[0] if len(found) == 1 and v not in parameters else None


def unused(word, taken):
    """`word`, or `word_2`, `word_3`, …: the first that is not taken."""
    words = itertools.chain([word], (f"{word}_{n}" for n in itertools.count(2)))
    return next(w for w in words if w not in taken)
