"""A compiled step as a page of plain NumPy that reads as if it had been written by hand.

The one idea: what is printed is the program before anything is done for speed. A call becomes an
expression; one that has a name, or is read more than once, becomes a line; what changes the state
becomes `W2 -= …`. Read `names.py` and `helpers.py` next.
"""

import ast
import itertools
import operator
import textwrap
from dataclasses import replace
from typing import Any

import numpy as np

from .expressions import call_expression, name
from .helpers import Helpers
from .names import RESERVED, Book, cotangents_of, identifier, names_of
from .passes import scaled
from .program import Program, Var
from .shorter import common, dead_code, folded, generators
from .tidy import tidied

LONGEST = 56
"""Characters of an expression that may stand inside another one."""
BACKWARD = "# backward: delta is ∂C/∂z of this cost; of a mean over m examples, the book's δ divided by m"
FRESH = {np.matmul, np.dot, np.vdot, np.sum, np.mean, np.max, np.where, np.copy}
"""Functions, besides ufuncs, whose results share no memory with their arguments."""
IN_PLACE = {np.subtract: "-=", np.add: "+=", np.multiply: "*=", np.true_divide: "/="}
QUIET = {np.add, np.subtract, np.multiply, np.matmul, np.dot, np.vdot, np.transpose, np.sum, np.reshape, np.tanh,
         np.negative, np.square, np.maximum, operator.getitem}  # fmt: skip


class Named:
    """What a reader sees of a traced `program`: it is tidied, its state has paths, and its Vars have names."""

    def __init__(self, trace):
        program = trace.program
        self.program, cotangents = readable(program, cotangents_of(trace))
        paths = [slot.path for slot in trace.slots]
        book = Book(self.program, paths, cotangents)
        self.notes = book.notes
        self.written = {program.state[place] for place, _ in program.writes if type(place) is int}
        used = {v for call in self.program.calls for v in call.inputs()} | set(self.program.outputs())
        self.state = [(v, path) for v, path in zip(program.state, paths) if v in used | self.written]
        self.names, self.soft = names_of(self.program, self.state, book, cotangents)
        for v, word in self.names.items():
            v.name = word


def source(title: str, named: Named) -> str:
    """The text of a module that defines the step of this name."""
    title = "step" if "lambda" in title else identifier(title)
    program, state, written = named.program, named.state, named.written
    helpers = Helpers({title, *named.names.values(), *named.soft.values()}, _body)
    page = Page(program, named.names, named.soft, named.notes, helpers)
    lines = page.lines()
    variables = map(page.word, (*program.inputs, *(v for v, _ in state)))
    given = ", ".join([*variables, *helpers.rngs.values()])
    where = [f"{page.word(v)}: {path}" for v, path in state]
    changed = [page.word(v) for v in program.state if v in written and v.is_array]
    told = f"One call; changes {', '.join(changed)} in place." if changed else "One call."
    doc = [f'    """{told}', "", *(f"    {line}" for line in textwrap.wrap("; ".join(where), 100)), '    """']
    quiet = not helpers.texts and all(call.function in QUIET for call in program.calls)
    head = "" if quiet else '@np.errstate(all="ignore")\n'
    text = [f'"""`{title}` as plain NumPy, derived by tinygrad_bp."""', "", *helpers.head, "", ""]
    for helper in helpers.texts:
        text += [helper, "", ""]
    text += [f"{head}def {title}({given}):", *(doc if where else [f'    """{told}"""'])]
    return "\n".join([*text, textwrap.indent("\n".join(lines or ["pass"]), "    ")]) + "\n"


def readable(program: Program, cotangents: dict[Var, Var]) -> tuple[Program, dict[Var, Var]]:
    """The program, without what a reader need not see, and the cotangents as they are called in it."""
    pairs, count = list(cotangents.items()), len(program.results)
    probes = [v for pair in pairs for v in pair]
    program = replace(program, results=[*program.results, *probes])
    for one in (dead_code, folded, common, tidied, scaled, tidied, common):
        program = one(program)
    found, results = program.results[count:], program.results[:count]
    program = dead_code(replace(program, results=results))
    kept = zip(found[::2], found[1::2])
    return program, {v: g for v, g in kept if type(v) is Var and type(g) is Var and v is not g}


def _body(program, names, helpers):
    """The lines of a helper."""
    return Page(readable(program, {})[0], names, {}, {}, helpers).lines()


class Page:
    """The lines of one function: a program's body."""

    def __init__(self, program, names: dict[Var, str], soft: dict[Var, str], notes: dict[Var, str], helpers):
        self.program, self.names, self.soft = program, names, soft
        self.notes, self.helpers = notes, helpers
        self.nodes: dict[Var, Any] = {}
        # whose memory a Var's expression reads
        self.sees: dict[Var, set[Var]] = {v: {v} for v in program.state}
        self.statements: list[tuple] = []  # (call, expression, the state that it reads)
        self.placed: dict[Var, Var] = {}  # new value -> the state that it is written into as it is computed
        for v in (*program.inputs, *program.state):
            self.nodes[v] = name(v, self.names)

    def word(self, v):
        """The name of a Var that has a line or is given."""
        return self.nodes[v].id

    def lines(self):
        """All of the body."""
        outputs = [v for v in self.program.outputs() if type(v) is Var]
        uses = [*(v for call in self.program.calls for v in call.inputs()), *outputs]
        for call in self.program.calls:
            self._take(call, uses, outputs)
        self._place()
        for (v,) in (call.outs for call, *_ in self.statements if not call.several):
            if v in self.placed:
                self.nodes[v].id = self.word(self.placed[v])
        self._name_the_rest()
        text = [self._line(call, expression) for call, expression, _ in self.statements]
        noted = [n for n, (call, *_) in enumerate(self.statements) if call.out in self.notes]
        end = self._end()
        named = bool(text) and self.statements[-1][0].out in self.names
        if text and not named and end == [f"return {text[-1].partition(' = ')[0]}"]:
            return [*text[:-1], f"return {ast.unparse(self.statements[-1][1])}"]
        if noted:
            text[noted[-1] + 1 : noted[-1] + 1] = [""] if noted[-1] + 1 < len(text) else []
            text[noted[0] : noted[0]] = ["", BACKWARD]
        return [*text, *end]

    def _take(self, call, uses, outputs):
        """Make the call part of other expressions, or a statement."""
        expression = call_expression(call, self.nodes, self.helpers)
        reads = set().union(*(self.sees.get(v, set()) for v in call.inputs()))
        trivial = call.function is np.transpose and type(self.nodes.get(call.args[0])) is ast.Name
        alone = not (call.several or generators(call) or call.out in outputs)
        short = len(ast.unparse(expression)) <= LONGEST
        if alone and (trivial or (uses.count(call.out) == 1 and call.out not in self.names and short)):
            self.nodes[call.out], self.sees[call.out] = expression, reads
            return
        for v in call.outs:
            self.nodes[v] = name(v, self.names)
            self.sees[v] = set() if type(call.function) is np.ufunc or call.function in FRESH else reads
        self.statements.append((call, expression, reads))

    def _place(self):
        """Which new values can be written into the state at once: nothing after them reads the old one."""
        made = {call.out: n for n, (call, *_) in enumerate(self.statements) if not call.several}
        for place, v in self.program.writes:
            s = self.program.state[place] if type(place) is int else None
            if s is None or v not in made or v in self.placed or self.sees[v]:
                continue
            later = [reads for _, _, reads in self.statements[made[v] + 1 :]]
            later += [self.sees[u] for u in self.program.outputs() if u is not v and u in self.sees]
            alike = s.is_array and v.is_array and (s.shape, s.dtype) == (v.shape, v.dtype)
            if alike and not any(s in reads for reads in later):
                self.placed[v] = s

    def _name_the_rest(self):
        taken = {n.id for n in self.nodes.values() if type(n) is ast.Name} | RESERVED | self.helpers.taken
        numbered = (word for n in itertools.count(1) if (word := f"t{n}") not in taken)
        for v in [v for call, *_ in self.statements for v in call.outs]:
            if v not in self.names and v not in self.placed:
                self.nodes[v].id = self.soft.get(v) or next(numbered)

    def _line(self, call, expression):
        note = f"  # {self.notes[call.out]}" if call.out in self.notes else ""
        s = self.placed.get(call.out)
        if s is None:
            outs = ", ".join(map(self.word, call.outs)) + "," * (call.several and len(call.outs) == 1)
            return f"{outs} = {ast.unparse(expression)}{note}"
        sign = IN_PLACE.get(call.function)
        if sign and call.args[0] is s and type(expression) is ast.BinOp and not call.kwargs:
            return f"{self.word(s)} {sign} {ast.unparse(expression.right)}{note}"
        return f"{self.word(s)}[...] = {ast.unparse(expression)}{note}"

    def _end(self):
        """What is written last, and the results."""
        early: list[str] = []
        late: list[str] = []
        extra: list[str] = []
        written = {self.program.state[p] for p, _ in self.program.writes if type(p) is int}

        def safe(v):
            """The value as it will be needed when the state has changed."""
            text = ast.unparse(call_expression(v, self.nodes, self.helpers))
            changes = v in self.placed or not written.isdisjoint(self.sees.get(v, ()))
            return f"{text}.copy()" if changes else text

        results = []
        for v in self.program.results:
            text = safe(v)
            if text.endswith(".copy()") and v not in self.placed:
                early.append(f"old{len(early) + 1} = {text}")
                text = f"old{len(early)}"
            results.append(text)
        for place, v in self.program.writes:
            s = self.program.state[place] if type(place) is int else None
            if v is None or (s is not None and self.placed.get(v) is s):
                continue
            text = safe(v)
            if s is None or not s.is_array:
                extra.append(text)
            elif text.endswith(".copy()"):
                early.append(f"old{len(early) + 1} = {text}")
                late.append(f"{self.word(s)}[...] = old{len(early)}")
            else:
                late.append(f"{self.word(s)}[...] = {text}")
        comment = f"  # and the new state: {', '.join(extra)}" if extra else ""
        both = ", ".join(results + extra)
        return [*early, *late, *([f"return {both}{comment}"] if both else [])]
