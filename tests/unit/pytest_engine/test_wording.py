"""What a session says of a proof: next steps that can be followed in its mode."""

from __future__ import annotations

import pytest

from evalkit.api.proving import Mode
from evalkit.pipeline.proving import GateLine, Proof
from evalkit.pytest_engine.wording import described, gate_lines, properties

NODE = "tests/test_x.py::test_y[qa gpt]"
RESUME, RECORD = "evalkit run --resume r1", f"pytest --evalkit-record '{NODE}'"


def a_proof(cure):
    """A proof of one gate that is undecided, with a cure."""
    gate = GateLine(rule="exact >= 0.9", status="undecided", estimate=1.0, bound=0.8, n=9, level=0.95, cure=cure)
    return Proof(suite="qa", model_id="gpt", is_held=False, gates=(gate,))


@pytest.mark.parametrize(
    ("mode", "wanted"), [(Mode.REPLAY, RECORD), (Mode.RECORD, RECORD), (Mode.LIVE, RESUME)], ids=str
)
def test_missing_calls_are_got_where_they_are_missing(mode, wanted):
    """A replay's run is in no store and cannot be resumed: its recordings can be completed."""
    proof = a_proof(f"send the 3 missing calls again: {RESUME}")

    (line,) = gate_lines(proof, mode=mode, node_id=NODE)

    assert line.endswith(f"; cure: send the 3 missing calls again: {wanted}")
    assert line in described(proof, mode=mode, node_id=NODE)
    assert ("evalkit.gate.exact >= 0.9", line) in [*properties(proof, mode=mode, node_id=NODE)]


@pytest.mark.parametrize("mode", Mode, ids=str)
def test_other_cures_are_left_alone(mode):
    """More cases help in every mode."""
    (line,) = gate_lines(a_proof("+20 clusters"), mode=mode, node_id=NODE)
    assert line.endswith("; cure: +20 clusters")
