"""Functions that NumPy does not have, spelled out once above a step.

The one idea: the body of one of ours is traced, on values of the right shapes, and printed as the
step is; what decides on values, or draws random numbers, is given in its own words, with all that it
uses of its module. Read `expressions.py` next.
"""

import ast
import inspect
import itertools
import re
import textwrap
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import message
from ..primitive import Primitive
from .names import identifier, unused
from .program import Program, Var, flat
from .shorter import generators, spelled_out
from .state import _names as _names_in


class Helpers:
    """Functions that NumPy does not have: their texts, in the order in which they need one another."""

    def __init__(self, taken: set[str], lines: Callable):
        self.lines = lines  # of a program's body
        self.head = ["import numpy as np"]
        self.texts: list[str] = []
        self.taken = set(taken)
        self.known: dict[Any, str] = {}
        self.rngs: dict[int, str] = {}
        self._kept: list = []

    def rng(self, generator):
        """The name of a generator, which becomes an argument."""
        self._kept.append(generator)
        return self.rngs.setdefault(id(generator), "rng" if not self.rngs else f"rng_{len(self.rngs) + 1}")

    def traced(self, call):
        """(name, its arguments) of a function whose body can be traced, or None."""
        inner = None
        if isinstance(call.function, Primitive) and not call.several and not generators(call):
            inner = spelled_out(call)
        if inner is None:
            return None
        calls, out = inner
        given = list(dict.fromkeys(call.inputs()))
        words = _parameter_names(call, given)
        lines = self.lines(Program(inputs=given, calls=calls, results=[out]), words, self)
        title, doc = call.function.__name__, _first_line(call.function)
        body = "\n".join(f"    {line}" for line in [*doc, *lines])
        return self._add(title, f"({', '.join(words[v] for v in given)}):\n{body}"), given

    def written(self, function):
        """The name of a Python function that is given in its own words, and what it needs before it."""
        function = function.__wrapped__ if isinstance(function, Primitive) else function
        if function in self.known:
            return self.known[function]
        try:
            lines = textwrap.dedent(inspect.getsource(function)).splitlines()
            tree = ast.parse("\n".join(lines)).body[0]
        except (OSError, TypeError, SyntaxError):
            tree = None
        if not isinstance(tree, ast.FunctionDef) or function.__closure__:
            what = f"{getattr(function, '__name__', function)!r} cannot be spelled out in NumPy"
            expected = "a function of NumPy, or one that a file defines with def, outside of others"
            raise TypeError(message(what, expected=expected, do="define it so"))
        self.known[function] = tree.name
        tree.decorator_list, tree.returns = [], None
        for argument in ast.walk(tree.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        rest = ast.unparse(tree) if function.__annotations__ else "\n".join(lines[tree.lineno - 1 :])
        body = self._with_needs(function, rest).partition(tree.name)[2]
        self.known[function] = self._add(tree.name, body.rstrip())
        return self.known[function]

    def _with_needs(self, function, text):
        """The function's text, after what it uses of its module has been added, too."""
        for word in _names_in(function.__code__):
            value, line = function.__globals__.get(word), None
            if isinstance(value, (types.FunctionType, Primitive)):
                text = re.sub(rf"\b{word}\b", self.written(value), text)
            elif isinstance(value, types.ModuleType) and value is not np:
                line = f"import {value.__name__} as {word}".replace(f" as {value.__name__}", "")
            elif isinstance(value, (bool, int, float, str)):
                line = f"{word} = {value!r}"
            if line is not None and line not in self.head:
                self.head.insert(0 if line[:6] == "import" else len(self.head), line)
        return text

    def _add(self, title, rest):
        """Its name, after it has been added once; another function of this name gets another one."""
        for word in itertools.chain([title], (f"{title}_{n}" for n in itertools.count(2))):
            if f"def {word}{rest}" in self.texts:
                return word
            if word not in self.taken:
                self.taken.add(word)
                self.texts.append(f"def {word}{rest}")
                return word


def _parameter_names(call, given):
    """Var -> the name of the function's parameter that it is given for."""
    own = list(inspect.signature(call.function.__wrapped__).parameters)
    names: dict[Var, str] = {}
    for word, part in [*zip(own, call.args), *call.kwargs.items()]:
        for v in flat(part):
            if type(v) is Var:
                names.setdefault(v, unused(identifier(word), set(names.values())))
    return {v: names.get(v) or f"x{n}" for n, v in enumerate(given)}


def _first_line(function):
    doc = inspect.getdoc(function)
    return ['"""' + doc.partition("\n")[0].replace("\\", "\\\\") + '"""'] if doc else []
