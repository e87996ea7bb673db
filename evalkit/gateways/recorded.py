"""A request held against recordings: the reply it gets, or a 404 that names what is missing.

Also a gateway over a folder laid out as `<suite>/<model id>.jsonl.gz`, where each pair answers from its own file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from evalkit.gateways.recordings import RawAnswer, Recordings, TextAnswer, load_recordings
from evalkit.plugins import Profile, Reply

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.gateways.recordings import Recording
    from evalkit.plugins import Fault, Request

__all__ = ["COST_HEADER", "RECORDING_MISSING", "RecordedPairs", "pair_file", "recorded_reply"]

COST_HEADER = "x-recorded-cost-usd"
RECORDING_MISSING = "recording_missing"
"""Error code of the reply to a request nobody recorded."""

_EVENT_STREAM_STARTS = (b"data:", b"event:", b":")
_OK = 200
_NOT_FOUND = 404


def pair_file(folder: Path, suite: str, model_id: str) -> Path:
    """Return where the recordings of a suite × model are kept; both names are identifiers, so they are file names."""
    return folder / suite / f"{model_id}.jsonl.gz"


class RecordedPairs:
    """Answers each suite × model from its own file, read when it is first asked; a file that is not there is empty.

    It says nothing of who answered: what the recorded body calls itself is held against no name but the asked one.
    """

    def __init__(self, folder: Path) -> None:
        self.profile = Profile(kind="replay", model_field="echo", cost_header=COST_HEADER)
        self._folder = folder
        self._pairs: dict[tuple[str, str], Recordings] = {}

    async def send(self, request: Request) -> Reply | Fault:
        """Return the recorded answer, or a 404 that names what is missing."""
        pair = (request.suite, request.model_id)
        if pair not in self._pairs:
            path = pair_file(self._folder, *pair)
            self._pairs[pair] = load_recordings(path, suite=request.suite) if path.exists() else Recordings({})
        return recorded_reply(self._pairs[pair], request)

    async def aclose(self) -> None:
        """Hold nothing open."""


def recorded_reply(recordings: Recordings, request: Request) -> Reply:
    """Return the answer to a request: by digest first, then by suite, case, trial, turn and model id or route."""
    route = _route(request.body)
    recording = recordings.by_digest(request.digest, trial=request.trial) or _by_case(recordings, request, route=route)
    return _missing(request) if recording is None else _reply(recording, route=route)


def _by_case(recordings: Recordings, request: Request, *, route: str) -> Recording | None:
    for model in (request.model_id, route):
        found = recordings.by_case(request.suite, request.case_id, model=model, trial=request.trial, turn=request.turn)
        if found is not None:
            return found
    return None


def _route(body: bytes) -> str:
    route = json.loads(body).get("model")
    return route if isinstance(route, str) else ""


def _reply(recording: Recording, *, route: str) -> Reply:
    answer = recording.answer
    body = answer.body if isinstance(answer, RawAnswer) else _completion(answer, route=route)
    is_stream = body.lstrip().startswith(_EVENT_STREAM_STARTS)
    headers = {"content-type": "text/event-stream" if is_stream else "application/json"}
    if recording.cost_usd is not None:
        headers[COST_HEADER] = repr(recording.cost_usd)
    return Reply(status=_OK, headers=headers, body=body, latency_s=recording.latency_s)


def _completion(answer: TextAnswer, *, route: str) -> bytes:
    message = {"role": "assistant", "content": answer.text}
    completion: dict[str, Any] = {
        "object": "chat.completion",
        "model": route,
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
    }
    if answer.usage is not None:
        completion["usage"] = answer.usage
    return json.dumps(completion).encode("ascii")


def _missing(request: Request) -> Reply:
    what = f"suite {request.suite!r}, case {request.case_id!r}, trial {request.trial}, model {request.model_id!r}"
    turn = f", turn {request.turn}" if request.turn else ""
    error = {"message": f"no recording of {what}{turn}", "type": "not_found_error", "code": RECORDING_MISSING}
    body = json.dumps({"error": error}).encode("ascii")
    return Reply(status=_NOT_FOUND, headers={"content-type": "application/json"}, body=body, latency_s=None)
