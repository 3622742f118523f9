"""Where in the user's program we are: their frame, its line, their names of things.

Asked only when somebody looks (`observe`) or something went wrong. Read `errors.py` next.
"""

import linecache
import sys
from types import FrameType


def users_frame():
    """The innermost frame outside this package and NumPy, or None."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        package = (frame.f_globals.get("__name__") or "").partition(".")[0]
        if package not in (__package__, "numpy", "contextlib"):
            return frame
        frame = frame.f_back
    return None


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
