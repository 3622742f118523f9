"""From a `Program` to a Python function on preallocated buffers.

The one idea: all arrays of a step have shapes that are known, so every one gets its place before the
first replay: what is elementwise writes into a buffer (its own operand's, where that is not read
again), views of buffers and of parameters are taken once, and what remains of the step is one line of
NumPy per call, without Python objects being made. Read `jit.py` next.
"""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..primitive import Primitive
from .program import Call, Program, Var, flat

VIEWS = frozenset({np.transpose, np.reshape, np.ravel, np.squeeze, np.expand_dims, np.swapaxes, np.moveaxis,
                   np.broadcast_to, np.diagonal, np.real, np.imag, operator.getitem})  # fmt: skip
REDUCTIONS = {np.sum: np.add, np.prod: np.multiply, np.max: np.maximum, np.min: np.minimum}


def is_view(call: Call) -> bool:
    """May the result share memory with the first argument?"""
    if call.function is operator.getitem:
        parts = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
        return all(
            part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice)) for part in parts
        )
    return call.function in VIEWS


@dataclass
class Linked:
    """A program made into a function: `run(*inputs)`, its text, and the bytes of its buffers.

    `run` gives [results], [new values of the state numbered in `scalars`]; or None where an invalid
    value was computed, before anything is written.
    """

    run: Callable
    text: str
    peak: int
    scalars: list[int]


class Linker:
    """Gives every variable its place and every call its line."""

    def __init__(
        self, program: Program, state: dict[Var, np.ndarray], live: list[Var], flagged: Callable[[], bool]
    ):
        self.program, self.live = program, live
        self.names: dict[str, Any] = {"flagged": flagged}
        self.fixed: dict[Var, np.ndarray] = dict(state)  # arrays known before the run
        self.word: dict[Var, str] = {}
        self.lines: list[str] = []
        self.free: list[np.ndarray] = []
        self.owner: dict[Var, np.ndarray] = {}  # of a buffered variable: the raw memory
        self.base: dict[Var, Var] = {}  # of a view: whose memory it sees
        self.bytes = 0
        self.scalars: list[tuple[Any, str]] = []  # (place, words) of state that is no array of ours
        self.last = self._last_uses()

    def link(self) -> Linked:
        """The function of the program's inputs that computes its results and writes its state."""
        given = [*self.program.inputs, *self.live]
        inputs = [f"i{n}" for n in range(len(given))]
        self.word.update(zip(given, inputs))
        commits = self._commits()
        for n, call in enumerate(self.program.calls):
            if call.out not in commits:
                self._call(n, call)
        self._commit_all(commits)
        results = ", ".join(self.results)
        scalars = ", ".join(words for _, words in self.scalars)
        body = "\n    ".join([*self.lines, f"return [{results}], [{scalars}]"])
        parameters = [*inputs, *(f"{name}={name}" for name in self.names)]
        text = f"def run({', '.join(parameters)}):\n    {body}\n"
        exec(text, self.names)
        return Linked(self.names["run"], text, self.bytes, [place for place, _ in self.scalars])

    # ---- who is read until when -------------------------------------------------------------------------

    def _last_uses(self):
        last: dict[Var, int] = {}
        for n, call in enumerate(self.program.calls):
            for v in call.inputs():
                last[v] = n
            for out in call.outs:
                seen = call.args[0] if is_view(call) else call.views.get(out)
                if type(seen) is Var:
                    self.base[out] = self.base.get(seen, seen)
        for v in self.program.outputs():
            last[v] = len(self.program.calls)
        for view, base in self.base.items():
            last[base] = max(last.get(base, -1), last.get(view, -1))
        return last

    def _dies(self, v, n):
        base = self.base.get(v, v)
        return self.last.get(base, n) <= n and base in self.owner

    # ---- state -----------------------------------------------------------------------------------------

    def _commits(self):
        """New state -> its place, for values that may be computed right into it, after all else has run."""
        commits = {}
        made = {call.out: call for call in self.program.calls if not call.several}
        used = [v for call in self.program.calls for v in call.inputs()]
        for place, v in self.program.writes:
            old = self.program.state[place] if isinstance(place, int) else None
            call = made.get(v)
            if old is None or call is None or type(call.function) is not np.ufunc or not v.is_array:
                continue
            alone = used.count(v) == 0 and v not in self.program.results and v not in commits
            if alone and call.function.nin and (v.shape, v.dtype) == (old.shape, old.dtype):
                commits[v] = place
        return commits

    def _commit_all(self, commits):
        """The lines that write to the state: after all that reads it, and after all that may give up."""
        self.lines.append("if flagged(): return None")
        if self.program.looks_for_nan:
            self._look_for_nan(commits)
        written = {self.program.state[place] for place, _ in self.program.writes if isinstance(place, int)}
        in_place, later = [], []
        for n, call in enumerate(self.program.calls):
            if call.out not in commits:
                continue
            old = self.program.state[commits[call.out]]
            if any(self.base.get(v, v) in written and v is not old for v in call.inputs()):
                self._call(n, call)  # it needs another place's old value
                later.append(f"{self._name('s', self.fixed[old])}[...] = {self._expression(call.out)}")
            else:
                in_place.append((call, self._name("s", self.fixed[old])))
        self.results = [self._kept(v, written) for v in self.program.results]
        for place, v in self.program.writes:
            state = self.program.state[place] if isinstance(place, int) else None
            if state not in self.fixed:
                self.scalars.append((place, self._kept(v, written)))
            elif v not in commits:
                later.append(f"{self._name('s', self.fixed[state])}[...] = {self._kept(v, written)}")
        self.lines += [*(self._into(call, place) for call, place in in_place), *later]

    def _kept(self, v, written):
        """The words for a value; for an old one of state that is written to, those of a copy made before."""
        words = self._expression(v)
        if type(v) is not Var or self.base.get(v, v) not in written or not v.is_array:
            return words
        kept = f"v{len(self.word)}"
        self.word[Var(0, np.empty(()))] = kept
        self.lines.append(f"{kept} = {words}.copy()")
        return kept

    def _look_for_nan(self, commits):
        """Lines that give up if there is a NaN in what is about to be returned or written."""
        last = [call for call in self.program.calls if call.out in commits]
        found = {v: None for call in last for v in call.inputs()} | dict.fromkeys(self.program.outputs())
        for v in found:
            if (
                v in commits
                or v.dtype.kind not in "fc"
                or v in self.program.state
                or v in self.program.inputs
            ):
                continue
            self.names["reduce_all"] = np.add.reduce
            self.lines.append(f"if isnan(reduce_all({self._expression(v)}, None)): return None")
            self.names["isnan"] = np.isnan

    # ---- one call --------------------------------------------------------------------------------------

    def _call(self, n, call):
        out = call.out
        if is_view(call) and self._take_view(call):
            return
        arguments = [self._expression(a) for a in call.args]
        number = self._number(call, arguments)
        if number is not None:
            self.word[out] = f"v{len(self.word)}"
            self.lines.append(f"{self.word[out]} = {number}")
        elif call.several or not out.is_array or 0 in out.shape:
            self._plainly(call, arguments)
        elif type(call.function) is np.ufunc and call.function.signature is None and not call.kwargs:
            place = self._buffer(n, call, reuse=True)
            self.lines.append(self._into(call, place))
        elif self._is_product(call):
            place = self._buffer(n, call, turned=self._turned(call))
            if self._turned(call):
                left, right = self._expression(call.args[0]), self._name("s", self.fixed[call.args[1]].T)
                self.lines.append(f"{right}.dot({left}.T, {self._name('b', self.fixed[out].T)})")
            else:
                self.lines.append(f"{arguments[0]}.dot({arguments[1]}, {place})")
        elif call.function in REDUCTIONS and set(call.kwargs) <= {"axis", "keepdims"} and len(arguments) == 1:
            place = self._buffer(n, call)
            reduce = self._function(REDUCTIONS[call.function].reduce)
            axis, keep = call.kwargs.get("axis"), call.kwargs.get("keepdims", False)
            self.lines.append(f"{reduce}({arguments[0]}, {axis!r}, None, {place}, {bool(keep)})")
        elif call.function in (np.copy, np.ndarray.astype):
            place = self._buffer(n, call)
            self.lines.append(f"copyto({place}, {arguments[0]}, 'unsafe')")
            self.names["copyto"] = np.copyto
        else:
            self._plainly(call, arguments)
        self._release(n, call)

    def _number(self, call, arguments):
        """The words of a product or reduction to a number, in the quickest way to call it; None for others."""
        if call.function is np.vdot and self._flat_views(call):
            left, right = (self._name("b", view) for view in self._flat_views(call))
            return f"{left}.dot({right})"
        if call.function is np.mean and self._whole(call):
            count = self._name("k", call.out.dtype.type(math.prod(call.args[0].shape)))
            return f"{self._function(np.add.reduce)}({arguments[0]}, None) / {count}"
        if call.function in REDUCTIONS and self._whole(call):
            return f"{self._function(REDUCTIONS[call.function].reduce)}({arguments[0]}, None)"
        return None

    def _plainly(self, call, arguments):
        words = []
        for v in call.outs:
            self.word[v] = f"v{len(self.word)}"
            words.append(self.word[v])
        arguments = [*arguments, *(f"{k}={self._expression(v)}" for k, v in call.kwargs.items())]
        function = call.function.__wrapped__ if isinstance(call.function, Primitive) else call.function
        self.lines.append(f"{', '.join(words)} = {self._function(function)}({', '.join(arguments)})")

    def _whole(self, call):
        """Is it a reduction of a whole array of floats to a scalar of their dtype?"""
        v = call.args[0]
        plain = len(call.args) == 1 and all(x is None for x in call.kwargs.values())
        return plain and type(v) is Var and v.is_array and not call.out.is_array and v.dtype == call.out.dtype and (
            v.dtype.char in "fd" and 0 not in v.shape
        )  # fmt: skip

    def _flat_views(self, call):
        """Both real operands of a vdot as flat views of their buffers, or None."""
        arrays = [self.fixed.get(a) for a in call.args if type(a) is Var]
        flat = [
            a.reshape(-1) for a in arrays if a is not None and a.flags.c_contiguous and a.dtype.kind == "f"
        ]
        return flat if len(flat) == 2 else None

    def _is_product(self, call):
        operands = [a for a in call.args if type(a) is Var]
        return (
            call.function in (np.matmul, np.dot)
            and len(operands) == 2
            and all(len(v.shape) == 2 and v.dtype == call.out.dtype and v.dtype.char in "fdFD" for v in operands)
        ) or (
            call.function is np.dot and len(call.args) == 2 and call.out.is_array
            and all(len(v.shape) in (1, 2) and v.dtype == call.out.dtype and v.dtype.char in "fdFD" for v in call.args)
        )  # fmt: skip

    def _take_view(self, call):
        """Take the view now, if the memory it sees is known; or write the line that takes it."""
        source = call.args[0]
        known = self.fixed.get(source) if type(source) is Var else source
        if not isinstance(known, np.ndarray):
            return False
        view = call.function(known, *call.args[1:], **call.kwargs)
        if not isinstance(view, np.ndarray) or not np.may_share_memory(view, known):
            return False
        self.fixed[call.out] = view
        return True

    # ---- places ----------------------------------------------------------------------------------------

    def _turned(self, call):
        """Is x wᵀ quicker as (w xᵀ)ᵀ? For few examples and long rows, in float32."""
        x, w = call.args
        turned = self.fixed.get(w) if type(x) is type(w) is Var else None
        if turned is None or not turned.flags.f_contiguous or x.dtype != np.float32 or x in self.fixed:
            return False
        return len(x.shape) == 2 and 1 < x.shape[0] <= 16 and x.shape[1] >= 256

    def _buffer(self, n, call, reuse=False, turned=False):
        out = call.out
        if reuse:
            for v in call.inputs():
                if self._dies(v, n) and self._fits(v, out) and self._only(v, call):
                    self.owner[out] = self.owner[v]
                    self.fixed[out] = self.fixed[v]
                    del self.owner[v]
                    return self._name("b", self.fixed[out])
        need = max(1, int(np.prod(out.shape)) * out.dtype.itemsize)
        fitting = [raw for raw in self.free if need <= raw.nbytes <= 2 * need]
        if fitting:
            raw = min(fitting, key=lambda raw: raw.nbytes)
            self.free = [other for other in self.free if other is not raw]
        else:
            raw = np.empty(need, np.uint8)
            self.bytes += need
        self.owner[out] = raw
        array = raw[:need].view(out.dtype)
        self.fixed[out] = array.reshape(out.shape[::-1]).T if turned else array.reshape(out.shape)
        return self._name("b", self.fixed[out])

    def _fits(self, v, out):
        array = self.fixed.get(v)
        return (
            array is not None and v in self.owner and array.flags.c_contiguous
            and array.shape == out.shape and array.dtype == out.dtype
        )  # fmt: skip

    def _only(self, v, call):
        """Does the call see this memory through v alone?"""
        return sum(self.base.get(u, u) is v for u in set(call.inputs())) == 1

    def _release(self, n, call):
        for v in {self.base.get(v, v) for v in (*call.inputs(), *call.outs)}:
            if self.last.get(v, -1) <= n and v in self.owner:
                self.free.append(self.owner.pop(v))

    # ---- words -----------------------------------------------------------------------------------------

    def _word(self, v):
        if v in self.fixed:
            return self._name("s" if v in self.program.state else "b", self.fixed[v])
        return self.word[v]

    def _expression(self, x):
        if type(x) is Var:
            return self._word(x)
        if not any(type(part) is Var for part in flat(x)):
            return repr(x) if type(x) in (int, bool, str, type(None)) else self._name("k", x)
        if isinstance(x, (tuple, list)):
            inner = ", ".join(map(self._expression, x))
            return f"[{inner}]" if isinstance(x, list) else f"({inner},)"
        if isinstance(x, slice):
            return f"slice({', '.join(map(self._expression, (x.start, x.stop, x.step)))})"
        return "{" + ", ".join(f"{k!r}: {self._expression(v)}" for k, v in x.items()) + "}"

    def _into(self, call, place):
        """The line of a ufunc with an output; positional is quicker, but not for all."""
        out = f"out={place}" if call.function in (np.maximum, np.minimum) else place
        return f"{self._function(call.function)}({', '.join([*map(self._expression, call.args), out])})"

    def _function(self, function):
        name = getattr(function, "__name__", "f")
        name = name if name.isidentifier() and name not in ("and", "or", "not") else "f"
        if self.names.setdefault(name, function) is not function:
            return self._name(name, function)
        return name

    def _name(self, kind, x):
        for name, value in self.names.items():
            if value is x:
                return name
        name = f"{kind}{len(self.names)}"
        self.names[name] = x
        return name
