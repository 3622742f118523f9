"""Where in the user's program we are: their frame, its line, their names of things.

Asked only when somebody looks (`observe`) or something went wrong. Read `errors.py` next.
"""

import functools
import linecache
import sys
from types import FrameType, FunctionType

LIBRARIES = frozenset({"matplotlib", "numpy", "pandas", "scipy", "sklearn"})
"""Whose frames are not the user's: what they do on the user's behalf is told by the call that began it."""


def _package(frame):
    return (frame.f_globals.get("__name__") or "").partition(".")[0]


def _is_users(frame):
    return _is_users_module(frame.f_globals.get("__name__") or "")


@functools.lru_cache(4096)
def _is_users_module(name):
    return name.partition(".")[0] not in (__package__, "contextlib", *LIBRARIES)


def users_frame():
    """The innermost frame outside this package and the libraries, or None."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _is_users_module(frame.f_globals.get("__name__") or ""):
        frame = frame.f_back
    return frame


def library_call():
    """The name of the library's function that the user's code called, and that led here; None if none did."""
    frame: FrameType | None = sys._getframe(1)
    private, public = None, None  # the outermost of those that have no name for users, and of those that have
    while frame is not None and not _is_users(frame):
        if _package(frame) in LIBRARIES:
            name, known = _name(frame)
            private, public = name, name if known else public
        frame = frame.f_back
    return public or private


def _name(frame):
    """(the name by which a user would call the function of this frame, is it public?)"""
    code, module = frame.f_code, frame.f_globals["__name__"]
    name, inside = code.co_qualname, (frame.f_locals.get(name) for name in code.co_freevars)
    wrapped = next((f for f in inside if isinstance(f, FunctionType)), None)
    if "<locals>" in name and wrapped is not None:  # a decorator's wrapper speaks for what it wraps
        name, module = wrapped.__qualname__, wrapped.__module__ or module
    name, modules = name.removesuffix(".__call__").removesuffix(".__init__"), module.split(".")
    paths = [".".join(modules[: n + 1]) for n in range(len(modules)) if modules[n][:1] != "_"]
    meant, *found = (
        vars(sys.modules.get(path, object)).get(name.partition(".")[0]) for path in (module, *paths)
    )
    same = [path for path, f in zip(paths, found) if f is meant is not None]
    home = (same + [path for path, f in zip(paths, found) if callable(f)] + [module])[0]
    return f"{home}.{name}", not any(part.startswith(("_", "<")) for part in f"{home}.{name}".split("."))


def where(frame):
    if frame is None:
        return None
    file, line = frame.f_code.co_filename, frame.f_lineno
    code = linecache.getline(file, line).strip()
    return f"{file}:{line}" + (f": {code}" if code else "")


def variable(operand, frame):
    """The name of the user's variable that holds this Tensor or array, if there is one."""
    if frame is None or not isinstance(getattr(operand, "shape", None), tuple):
        return None
    spaces = (frame.f_locals, frame.f_globals)
    return next((k for names in spaces for k, v in names.items() if v is operand and k[:1] != "_"), None)
