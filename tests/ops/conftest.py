"""What the tests of rules share."""

import numpy as np
import pytest

from tinygrad_bp import backward
from tinygrad_bp.tensor import constant


def digits(dtype):
    return np.finfo(dtype).precision


def is_exact(share, parent):
    """Has the rule computed in as many digits as the argument has?"""
    share = np.asarray(constant(share)).dtype
    return share.kind not in "fc" or digits(share) == digits(parent.dtype)


@pytest.fixture
def exact_dtypes(monkeypatch):
    """The sweep casts each share to its argument's dtype; under this fixture it must not have to."""
    cast = backward.project

    def project(share, op, i, parent, output):
        assert is_exact(share, parent), f"{op.name}, argument {i}: {share.dtype} for {parent.dtype}"
        return cast(share, op, i, parent, output)

    monkeypatch.setattr(backward, "project", project)
