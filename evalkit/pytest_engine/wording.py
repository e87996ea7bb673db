"""What a session says: of its mode, of a proof, and of what is to be done about it."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from evalkit.api.proving import Mode
from evalkit.pipeline.proving import GateLine, Proof

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["UnprovenError", "described", "gate_lines", "proof_from_document", "proof_to_document", "properties", "told"]

_TOLD = {
    Mode.REPLAY: "replay of recordings: proves this code and its suites, not the model",
    Mode.LIVE: "live: the project's gateway is asked",
    Mode.RECORD: "replay of recordings, the missing ones made now: proves this code and its suites, not the model",
}
_RESUME = "evalkit run --resume "
"""How the cure of a gate with missing calls names the run they are missing in."""


class UnprovenError(AssertionError):
    """A suite × model did not hold, or could not be measured; the message says all there is to know."""


def told(mode: Mode) -> str:
    """Return what results of a mode stand for."""
    return _TOLD[mode]


def described(proof: Proof, *, mode: Mode, node_id: str) -> str:
    """Return why a proof does not hold: gates with bound and n, worst answers, what is missing and how to get it."""
    return "\n".join(_lines(proof, mode=mode, node_id=node_id))


def _lines(proof: Proof, *, mode: Mode, node_id: str) -> Iterator[str]:
    label = "SIMULATED; " if proof.is_simulated else ""
    yield f"{proof.suite} × {proof.model_id} does not hold ({label}{told(mode)})"
    if proof.missing:
        yield f"{len(proof.missing)} answers are not recorded, for prompts or parameters that are new or changed:"
        yield from (f"  {name}" for name in proof.missing)
        yield f"  record them: {_record(node_id)}"
    yield from (f"  {reason}" for reason in proof.reasons)
    # What nobody answered says nothing yet about any gate.
    if not proof.missing:
        yield from (f"  {line}" for line in gate_lines(proof, mode=mode, node_id=node_id))
        if proof.worst:
            yield "  worst answers:"
            yield from (f"    {answer}" for answer in proof.worst)


def gate_lines(proof: Proof, *, mode: Mode, node_id: str) -> Iterator[str]:
    """Yield a line for each gate, with a cure that can be followed: what is replayed is no run in a store."""
    for gate in proof.gates:
        what, resume, _ = gate.cure.partition(_RESUME)
        is_run = mode is Mode.LIVE or not resume
        yield str(gate if is_run else replace(gate, cure=f"{what}{_record(node_id)}"))


def _record(node_id: str) -> str:
    return f"pytest --evalkit-record {shlex.quote(node_id)}"


def properties(proof: Proof, *, mode: Mode, node_id: str) -> Iterator[tuple[str, str]]:
    """Yield what a report in JUnit's format says of an item."""
    yield "evalkit.suite", proof.suite
    yield "evalkit.model", proof.model_id
    yield "evalkit.proves", told(mode)
    if proof.is_simulated:
        yield "evalkit.simulated", "true"
    for gate, line in zip(proof.gates, gate_lines(proof, mode=mode, node_id=node_id), strict=True):
        yield f"evalkit.gate.{gate.rule}", line
    for rule in proof.skipped:
        yield f"evalkit.gate.{rule}", "skipped: a recording says nothing about time and money"


def proof_to_document(proof: Proof) -> dict[str, Any]:
    """Return a proof as JSON can hold it."""
    return asdict(proof)


def proof_from_document(document: dict[str, Any]) -> Proof:
    """Return the proof of `proof_to_document`."""
    lists = {name: tuple(document[name]) for name in ("reasons", "worst", "missing", "skipped")}
    gates = tuple(GateLine(**gate) for gate in document["gates"])
    return Proof(**{**document, **lists, "gates": gates})
