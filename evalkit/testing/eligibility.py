"""Eligibility files with sensible defaults: what exporters and routers are tested on, under a digest that holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.canonical import digest_of, timestamp
from evalkit.domain.eligibility import Eligibility
from evalkit.domain.policy import Failover
from evalkit.testing.builders import STARTED_AT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["an_eligibility"]

_ZEROS = f"sha256:{'0' * 64}"
_MODEL: dict[str, Any] = {
    "routes": {},
    "provider": "openai",
    "host": None,
    "quantization": None,
    "context_tokens": None,
    "max_output_tokens": None,
    "identity": "self_reported",
}
_TASK: dict[str, Any] = {
    "critical": False,
    "pin": None,
    "on_expiry": "deny",
    "failover": Failover().model_dump(mode="json"),
    "spend_cap": None,
    "latency": None,
    "rejected": [],
}


def an_eligibility(
    tasks: Mapping[str, Sequence[str]],
    *,
    now: float = STARTED_AT,
    models: Mapping[str, Mapping[str, Any]] | None = None,
    entries: Mapping[str, Mapping[str, Any]] | None = None,
    candidates: Mapping[str, Mapping[str, Any]] | None = None,
    **fields: Any,
) -> Eligibility:
    """Return an unsigned eligibility file whose digest holds.

    Args:
        tasks: task to the models that may serve it, in order; none means deny.
        now: when it was generated, in Unix seconds; every candidate is valid for a day.
        models: model id to what differs from a plain OpenAI model `openai/<id>`.
        entries: task to what differs in its entry; `failover` is laid over the default one.
        candidates: model id to what differs in its candidates.
        fields: those of `Eligibility`.
    """
    named = dict.fromkeys(model for offered in tasks.values() for model in offered)
    document: dict[str, Any] = {
        "format": "evalkit.eligibility/1",
        "audience": "prod",
        "generated_at": timestamp(now),
        "valid_until": timestamp(now + 86_400),
        "default": "deny",
        "simulated": False,
        "gateway": {"kind": "openai", "vantage": ""},
        "run": {"id": None, "evalkit": "0", "suites": {}, "roster": _ZEROS, "policy": _ZEROS},
        "providers": {},
        "models": {name: {**_MODEL, "route": f"openai/{name}", **(models or {}).get(name, {})} for name in named},
        "tasks": {
            task: {
                **_entry((entries or {}).get(task, {})),
                "candidates": [_candidate(name, now, (candidates or {}).get(name, {})) for name in offered],
            }
            for task, offered in tasks.items()
        },
        "digest": _ZEROS,
        **fields,
    }
    draft = Eligibility.model_validate(document)
    return draft.model_copy(update={"digest": digest_of(draft.payload())})


def _entry(differing: Mapping[str, Any]) -> dict[str, Any]:
    failover = {**Failover().model_dump(mode="json"), **differing.get("failover", {})}
    return {**_TASK, **differing, "failover": failover}


def _candidate(name: str, now: float, differing: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": name,
        "measured_at": timestamp(now),
        "valid_until": timestamp(now + 86_400),
        "admitted_by": "evidence",
        "request": {"mode": "text", "adapt": {}},
        "coverage": 1.0,
        "gates": [],
        **differing,
    }
