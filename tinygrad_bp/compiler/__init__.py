"""`bp.compile`: a training step, replayed at the machine's speed. Read `jit.py` first."""

from .jit import Compiled, compile

__all__ = ["Compiled", "compile"]
