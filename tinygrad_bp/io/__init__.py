"""Parameters in files: `bp.io.save(file, net)` and `net.load_state_dict(bp.io.load(file))`.

The one idea: a state is names and arrays and nothing else, so a file of it is NumPy's `.npz`, and
reading one never runs code. Read `npz.py` next.
"""

from .npz import load, save

__all__ = ["load", "save"]
