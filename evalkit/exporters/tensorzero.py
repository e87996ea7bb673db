"""TensorZero: one function a task, one variant a candidate, and nothing in the file that was not admitted.

What is in the file can be asked for by name, so a model that serves nothing is left out of it altogether. Shorthands
such as `openai::gpt-4o` need no entry: they are closed by giving each provider type a key that is never set.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from evalkit.errors import InputError
from evalkit.exporters.remarks import commented, notes_file, unsaid_beside_order
from evalkit.exporters.routing import routing_from_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evalkit.exporters.routing import Hop, Routing, TaskRoute
    from evalkit.plugins import Exporter

__all__ = ["build"]

_NEVER_SET = "EVALKIT_SHORTHANDS_ARE_CLOSED"
_SHORTHANDS = (
    *("anthropic", "deepseek", "fireworks", "google_ai_studio_gemini", "groq", "hyperbolic", "mistral", "openai"),
    *("openrouter", "together", "xai"),
)
_SHORTHANDS_BY_FILE = ("gcp_vertex_anthropic", "gcp_vertex_gemini")
"""Provider types whose default credential is a file."""
_RESERVED = "::"
"""What TensorZero's own names and shorthands are written with."""
_MAX_DELAY_S = 8.0


def build() -> Exporter:
    """Return the exporter."""
    return _TensorZero()


class _TensorZero:
    def export(self, document: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        """Yield `tensorzero/tensorzero.toml`, `tensorzero/tensorzero.env.example` and `tensorzero/notes.txt`."""
        routing = routing_from_document(document)
        routing.require_one_host()
        routing.require_own_keys()
        routing.require_distinct()
        notes = tuple(_notes(routing))
        head = commented((*routing.provenance, *notes))
        keys = dict.fromkeys(hop.own_api_key_env for hop in routing.hops)
        environment = f"# Never set {_NEVER_SET}.\n" + "".join(f"{key}=\n" for key in keys)
        yield "tensorzero/tensorzero.toml", (head + "".join(_tables(routing))).encode()
        yield "tensorzero/tensorzero.env.example", (commented(routing.provenance) + environment).encode()
        yield "tensorzero/notes.txt", notes_file(routing, notes)


def _tables(routing: Routing) -> Iterator[str]:
    yield _table(("gateway",), {"disable_pseudonymous_usage_analytics": True, "observability": {"enabled": False}})
    for kind in _SHORTHANDS:
        yield _table(("provider_types", kind, "defaults"), {"api_key_location": f"env::{_NEVER_SET}"})
    for kind in _SHORTHANDS_BY_FILE:
        yield _table(("provider_types", kind, "defaults"), {"credential_location": f"env::{_NEVER_SET}"})
    for task in routing.tasks:
        for hop in task.hops:
            yield from _model(task, hop)
    for task in routing.tasks:
        yield from _function(task)


def _model(task: TaskRoute, hop: Hop) -> Iterator[str]:
    """A model of its own for each task: its timeout is the task's."""
    provider: dict[str, Any] = {
        "type": hop.provider_kind,
        "model_name": hop.upstream,
        "api_key_location": f"env::{hop.own_api_key_env}",
    }
    if hop.terms.api_base is not None:
        provider["api_base"] = hop.terms.api_base
    total_ms = round(task.failover.upstream_timeout_s * 1000)
    # The provider's, not the variant's: that one would count the retries too.
    provider["timeouts"] = {"non_streaming": {"total_ms": total_ms}, "streaming": {"ttft_ms": total_ms}}
    body = hop.adapt.get("extra_body", {})
    if body:
        provider["extra_body"] = [{"pointer": f"/{_pointer(key)}", "value": value} for key, value in body.items()]
    yield _table(("models", _name(task, hop)), {"routing": [hop.provider_name]})
    yield _table(("models", _name(task, hop), "providers", hop.provider_name), provider)


def _function(task: TaskRoute) -> Iterator[str]:
    first, *others = (hop.model_id for hop in task.hops)
    yield _table(("functions", _checked(task.task, what="task")), {"type": "chat"})
    yield _table(
        ("functions", task.task, "experimentation"),
        {"type": "static", "candidate_variants": [first], "fallback_variants": others},
    )
    for hop in task.hops:
        yield _table(
            ("functions", task.task, "variants", hop.model_id),
            {
                "type": "chat_completion",
                "model": _name(task, hop),
                "retries": {"num_retries": task.failover.retries, "max_delay_s": _MAX_DELAY_S},
            },
        )


def _name(task: TaskRoute, hop: Hop) -> str:
    return f"{task.task}/{_checked(hop.model_id, what='model')}"


def _checked(name: str, *, what: str) -> str:
    if _RESERVED in name:
        raise InputError(
            f"TensorZero cannot have a {what} named {name!r}: names with {_RESERVED!r} are its own",
            next_step=f"rename the {what}, then decide again",
        )
    return name


def _notes(routing: Routing) -> Iterator[str]:
    """Say what TensorZero does not hold."""
    yield from unsaid_beside_order(routing)
    if routing.tasks:
        yield "TensorZero tries again and goes on after every error, a rejected request and an overflow included"
        yield "a caller may name any model or variant of this file, one admitted for another task too"
        yield "a caller's own extra_body may name any model of a provider: let only code you trust reach the gateway"


def _table(path: tuple[str, ...], values: Mapping[str, Any]) -> str:
    header = ".".join(_string(part) for part in path)
    return f"\n[{header}]\n" + "".join(f"{_string(key)} = {_toml(value)}\n" for key, value in values.items())


def _toml(value: Any) -> str:
    """Return a JSON value as a TOML value on one line."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_string(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if value is None:
        raise InputError(
            "TOML cannot say null, and the `extra_body` of a model holds one", next_step="leave that field out"
        )
    return json.dumps(value)


def _string(text: str) -> str:
    # A JSON string is a TOML string, save that TOML wants DEL escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
