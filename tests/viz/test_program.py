"""The picture of a compiled step: each call of both programs is there, with its inputs, names and state."""

import numpy as np
import pytest

import tinygrad_bp as bp
from tests.compiler.steps import training
from tests.viz.drawing import net_and_data, read
from tinygrad_bp.nn.functional import quadratic_cost


@pytest.fixture(scope="module")
def step():
    net, x, y = net_and_data(1)
    optimizer = bp.optim.SGD(net.parameters(), lr=0.5)
    compiled = bp.compile(training(net, optimizer, quadratic_cost))
    for _ in range(3):
        compiled(x, y)
    return compiled


def test_all_calls_of_both_programs_are_drawn_in_their_frames(step):
    drawn = read(step.graph())
    before, after = step.programs
    for key, program in (("as it was traced", before), ("as it is replayed", after)):
        frame = next(inside for title, inside in drawn.frames.items() if key in title)
        assert len(frame & set(drawn.ops())) == len(program.calls)
        writes = [place for place, _ in program.writes]
        arrows = sum(len(call.inputs()) for call in program.calls) + len(writes)
        assert sum(head in frame for _, head in drawn.edges) == arrows
    assert "a2" in str(before)
    assert "sigmoid" not in str(after)


def test_names_and_symbols_are_shown(step):
    text = bp.viz.program(step).source
    for name in ("W2", "b2", "z2", "a2", "delta2", "lr", "loss"):
        assert f"<B>{name}</B>" in text, name
    for part in ("σ", "1 − x", "as it was traced", "as it is replayed", f"{len(step.program.calls)} calls"):
        assert part in text


def test_a_picture_is_written(step, tmp_path):
    path = bp.viz.render(step.graph(), tmp_path / "step.png")
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_what_cannot_be_drawn():
    compiled = bp.compile(lambda x: np.sin(x) * x)
    with pytest.raises(RuntimeError, match="no program yet"):
        compiled.graph()
    for _ in range(2):
        compiled(np.ones(3))
    with pytest.raises(ValueError, match=r"too large to be read; expected max_calls=1, got 2"):
        bp.viz.program(compiled, max_calls=1)
