"""The reader's decision as HTTP answers, for routers that cannot import Python. No socket and no event loop.

Everything that is not a plain yes is a refusal: a router that asks wrongly, or leaves out what it should name, must
never be let through by it. So a parameter nobody knows, or one given twice with two values, is an error, not ignored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from evalkit.canonical import canonical_json, sha256_hex
from evalkit.errors import EvalkitError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from evalkit.router.reader import Admitted, EligibilityReader, View

__all__ = ["Answer", "Asked", "EligibilityDesk"]

_OK, _NOT_MODIFIED = 200, 304
_BAD_REQUEST, _FORBIDDEN, _NOT_FOUND, _NOT_ALLOWED, _UNAVAILABLE = 400, 403, 404, 405, 503
_METHODS = ("GET", "HEAD")
_MAX_PARAMETERS = 16
_TASKS, _CANDIDATES = "/v1/tasks/", "/candidates"
_PARAMETER_HEADERS = {"task": "x-evalkit-task", "model": "x-evalkit-model", "session": "x-evalkit-session"}
_OF_DECIDE = frozenset({"task", "model", "session", "current"})
_OF_CANDIDATES = frozenset({"session", "current"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One HTTP request, as far as an answer depends on it."""

    method: str
    path: str
    """As on the wire, percent-encoded."""
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """Lower-case names; one sent twice stands here twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back; to HEAD without the body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class _DeniedError(EvalkitError):
    """The answer to this request is no."""

    def __init__(
        self, reason: str, message: str, *, status: int = _FORBIDDEN, code: str = "evalkit_ineligible"
    ) -> None:
        self.reason = reason
        self.status = status
        self.code = code
        super().__init__(message)


class EligibilityDesk:
    """Answers requests from one reader.

    Args:
        reader: follows the file.
        check_every_s: how often it looks; no answer may be kept longer.
        now: Unix seconds; the reader's clock.
    """

    def __init__(self, reader: EligibilityReader, *, check_every_s: float, now: Callable[[], float]) -> None:
        self._reader = reader
        self._check_every_s = check_every_s
        self._now = now
        self._file: tuple[Mapping[str, Any], bytes] | None = None

    def answer(self, asked: Asked) -> Answer:
        """Return the answer to one request; never raises for what a request or a file may hold."""
        handler = self._handler(asked.path)
        if handler is None:
            return _error(_NOT_FOUND, {"code": "not_found", "message": "no such path"})
        if asked.method not in _METHODS:
            refused = _error(_NOT_ALLOWED, {"code": "method_not_allowed", "message": "only GET and HEAD"})
            return Answer(status=refused.status, body=refused.body, headers={**refused.headers, "allow": "GET, HEAD"})
        try:
            return _unless_known(handler(asked), asked)
        except _DeniedError as error:
            return self._refused(error)
        except RefusedError as error:
            # Its message names a path of this machine; whoever runs the server reads it on stderr.
            return self._refused(_DeniedError(error.code, "the eligibility file is not to be believed"))

    def _handler(self, path: str) -> Callable[[Asked], Answer] | None:
        fixed = {
            "/v1/decide": self._decide,
            "/v1/eligibility": self._eligibility,
            "/healthz": self._health,
            "/readyz": self._ready,
        }
        if path in fixed:
            return fixed[path]
        name = path.removeprefix(_TASKS).removesuffix(_CANDIDATES)
        is_task = path == f"{_TASKS}{name}{_CANDIDATES}" and name and "/" not in name
        return self._candidates if is_task else None

    def _candidates(self, asked: Asked) -> Answer:
        task = unquote(asked.path.removeprefix(_TASKS).removesuffix(_CANDIDATES))
        given = _parameters(asked, known=_OF_CANDIDATES)
        view = self._look(task)
        entry = view.entry or {}
        body = {
            "task": task,
            "eligibility": view.live,
            **_conversation(given, view.admitted),
            "candidates": [*_shown(view)],
            "failover": entry.get("failover"),
            "spend_cap": entry.get("spend_cap"),
            "latency": entry.get("latency"),
        }
        return self._allowed(body, view)

    def _decide(self, asked: Asked) -> Answer:
        given = _parameters(asked, known=_OF_DECIDE)
        if "model" in given and "current" in given:
            raise _bad_request("name `model` to have it checked, or `current` to have one chosen, not both")
        task = given.get("task")
        if not task:
            raise _DeniedError("no_task", "name the task, as `task` or in x-evalkit-task")
        view = self._look(task)
        if "current" not in given:
            _check_model(given.get("model"), view.admitted)
        chosen = {"model": given["model"]} if "model" in given else _conversation(given, view.admitted)
        candidate = next(one for one in _shown(view) if one["model"] == chosen["model"])
        body = {"task": task, "eligibility": view.live, **chosen, "candidate": candidate}
        return self._allowed(body, view)

    def _eligibility(self, _asked: Asked) -> Answer:
        document = self._reader.document
        if self._file is None or self._file[0] is not document:
            # The canonical form is what `evalkit decide` writes: byte for byte the file that was accepted.
            self._file = document, canonical_json(document) + b"\n"
        live = str(document["digest"]).removeprefix("sha256:")[:12]
        return _cacheable(self._file[1], live=live, max_age_s=self._check_every_s)

    def _health(self, _asked: Asked) -> Answer:
        return _plain({"status": "ok"}, status=_OK)

    def _ready(self, _asked: Asked) -> Answer:
        try:
            return _plain({"status": "ready", "eligibility": self._reader.live}, status=_OK)
        except RefusedError as error:
            return _error(_UNAVAILABLE, {"code": error.code, "message": "the eligibility file is not to be believed"})

    def _look(self, task: str) -> View:
        """Return what the file says about a task that somebody may serve.

        Raises:
            RefusedError: when the file is not to be believed.
        """
        view = self._reader.view(task)
        if view.entry is None:
            raise _DeniedError("unknown_task", "no such task in the eligibility file")
        if not view.admitted:
            raise _DeniedError("no_candidate", "no model may serve this task now")
        return view

    def _allowed(self, body: Mapping[str, Any], view: View) -> Answer:
        first_expiry = min(one.valid_until for one in view.admitted)
        max_age_s = min(self._check_every_s, first_expiry - self._now())
        answer = _cacheable(_json(body), live=view.live, max_age_s=max_age_s)
        more = {"vary": ", ".join(_PARAMETER_HEADERS.values())}
        if body.get("moved"):
            more["x-evalkit-session-moved"] = "1"
        return Answer(status=answer.status, body=answer.body, headers={**answer.headers, **more})

    def _refused(self, error: _DeniedError) -> Answer:
        refused = _error(error.status, {"code": error.code, "reason": error.reason, "message": str(error)})
        try:
            return Answer(
                status=refused.status,
                body=refused.body,
                headers={**refused.headers, "x-evalkit-eligibility": self._reader.live},
            )
        except RefusedError:
            return refused


def _parameters(asked: Asked, *, known: frozenset[str]) -> dict[str, str]:
    """Return what was asked for, from the query and from headers; an empty value is a value."""
    try:
        pairs = parse_qsl(asked.query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError as error:
        raise _bad_request(f"at most {_MAX_PARAMETERS} parameters") from error
    unknown = sorted({name for name, _ in pairs} - known)
    if unknown:
        raise _bad_request(f"an unknown parameter; known: {', '.join(sorted(known))}")
    pairs += _from_headers(asked.headers, known=known)
    found: dict[str, str] = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise _bad_request(f"`{name}` is given twice, with two values")
    return found


def _from_headers(headers: Iterable[tuple[str, str]], *, known: frozenset[str]) -> list[tuple[str, str]]:
    names = {header: name for name, header in _PARAMETER_HEADERS.items() if name in known}
    return [(names[header], value) for header, value in headers if header in names]


def _check_model(model_id: str | None, admitted: tuple[Admitted, ...]) -> None:
    """Refuse a model that may not serve. Naming none is a no, too: a proxy may have lost the name on the way."""
    if model_id is None:
        raise _DeniedError("no_model", "name the model, as `model` or in x-evalkit-model, or ask with `current`")
    if model_id not in {one.model_id for one in admitted}:
        raise _DeniedError("not_eligible", "this model may not serve this task")


def _conversation(given: Mapping[str, str], admitted: tuple[Admitted, ...]) -> dict[str, Any]:
    """Keep a conversation's model while it may serve, else move to the first: the server remembers none of them."""
    if "current" not in given:
        return {}
    current = given["current"]
    if any(one.model_id == current for one in admitted):
        return {"model": current, "moved": False}
    return {"model": admitted[0].model_id, "moved": bool(current)}


def _shown(view: View) -> Iterable[dict[str, Any]]:
    entries = {entry["model"]: entry for entry in (view.entry or {})["candidates"]}
    for one in view.admitted:
        model = one.entry
        yield {
            "model": one.model_id,
            "route": one.route,
            "routes": model.get("routes", {}),
            "provider": model.get("provider"),
            "host": model.get("host"),
            "quantization": model.get("quantization"),
            "context_tokens": model.get("context_tokens"),
            "max_output_tokens": model.get("max_output_tokens"),
            "identity": model.get("identity"),
            "request": one.request,
            "valid_until": entries[one.model_id]["valid_until"],
            "admitted_by": entries[one.model_id]["admitted_by"],
            "is_pin": one.is_pin,
        }


def _bad_request(message: str) -> _DeniedError:
    return _DeniedError("bad_request", message, status=_BAD_REQUEST, code="evalkit_bad_request")


def _unless_known(answer: Answer, asked: Asked) -> Answer:
    """Return 304 when the client has this very answer."""
    tags = {
        tag.strip().removeprefix("W/")
        for name, text in asked.headers
        if name == "if-none-match"
        for tag in text.split(",")
    }
    if answer.headers.get("etag") in tags or ("*" in tags and "etag" in answer.headers):
        return Answer(status=_NOT_MODIFIED, headers=answer.headers)
    return answer


def _cacheable(body: bytes, *, live: str, max_age_s: float) -> Answer:
    # The tag is over all that is sent: digest and live candidates both stand in it, so an expiry changes it.
    return Answer(
        status=_OK,
        body=body,
        headers={
            "content-type": "application/json",
            "cache-control": f"max-age={max(0, int(max_age_s))}",
            "etag": f'"{sha256_hex(body)[:32]}"',
            "x-evalkit-eligibility": live,
        },
    )


def _error(status: int, error: Mapping[str, str]) -> Answer:
    return _plain({"error": error}, status=status)


def _plain(body: Mapping[str, Any], *, status: int) -> Answer:
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return Answer(status=status, body=_json(body), headers=headers)


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
