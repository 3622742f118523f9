"""The command line: `python -m tinygrad_bp [demo | train | verify | graph]`.

The one idea: each command is a few calls of the library, which a reader may copy into a program of
their own. Read `commands.py` next.
"""

from .arguments import main

__all__ = ["main"]
