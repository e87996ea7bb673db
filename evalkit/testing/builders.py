"""Values with sensible defaults, so that a test names only what it is about."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from evalkit.domain.outcome import Attempt, Cost, Identity, IdentityClass, Kind, Outcome, Reading, Timings, Turn, Usage
from evalkit.domain.roster import Model
from evalkit.domain.run import Cell, Run, RunStatus
from evalkit.domain.suite import Case, Suite

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["STARTED_AT", "a_call_key", "a_case", "a_model", "a_run", "a_suite", "an_outcome"]

STARTED_AT = 1_800_000_000.0
"""Unix seconds; when everything here happens unless told otherwise."""

_DIGEST = "sha256:" + 64 * "0"
_ANSWERED = frozenset({Kind.OK, Kind.TRUNCATED})


def a_call_key(*coordinates: object) -> str:
    """Return a call key; the same coordinates give the same key."""
    return hashlib.sha256("\n".join(map(str, coordinates)).encode()).hexdigest()


def an_outcome(
    case_id: str = "case-1",
    *,
    kind: Kind = Kind.OK,
    text: str | None = "forty-two",
    sequence: int = 0,
    cost_usd: float | None = 0.001,
    **fields: Any,
) -> Outcome:
    """Return the outcome of a call with one turn and one attempt; its key follows from its coordinates.

    `fields` are those of `Outcome`; `turns=()` leaves the exchange out.
    """
    suite, model_id, trial = fields.pop("suite", "qa"), fields.pop("model_id", "gpt-4o"), fields.pop("trial", 0)
    timings = Timings(started_at=STARTED_AT + sequence, latency_s=0.25, queue_s=0.01)
    usage = Usage(prompt_tokens=20, completion_tokens=5, total_tokens=25)
    identity = Identity(identity_class=IdentityClass.SELF_REPORTED, served_model=model_id, provider="openai")
    text = text if kind in _ANSWERED else None
    status = None if kind in {Kind.TIMEOUT, Kind.CONNECTION} else 200
    defaults: dict[str, Any] = {
        "call_key": a_call_key(suite, case_id, model_id, trial),
        "cluster_id": case_id,
        "mode": "text",
        "attempts": (Attempt(kind=kind, status=status, latency_s=0.25, cost_usd=cost_usd),),
        "turns": (_turn(kind, text, model_id=model_id, usage=usage, identity=identity),),
        "usage": usage,
        "cost": Cost(usd=cost_usd, source="unknown" if cost_usd is None else "gateway"),
        "timings": timings,
        "identity": identity,
    }
    coordinates = {"suite": suite, "case_id": case_id, "model_id": model_id, "trial": trial, "sequence": sequence}
    return Outcome(kind=kind, **(coordinates | defaults | fields))


def _turn(kind: Kind, text: str | None, *, model_id: str, usage: Usage, identity: Identity) -> Turn:
    finish_reason = "length" if kind is Kind.TRUNCATED else "stop"
    message = {"role": "assistant", "content": text}
    answer = {"model": model_id, "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}]}
    request = {"model": model_id, "messages": [{"role": "user", "content": "What is the answer?"}]}
    reading = Reading(
        kind=kind, text=text, finish_reason=finish_reason, usage=usage, identity=identity, status=200, cost_usd=0.001
    )
    return Turn(reading=reading, request_body=json.dumps(request).encode(), response_body=json.dumps(answer).encode())


def a_run(run_id: str = "run-1", **fields: Any) -> Run:
    """Return a running run of one cell; `fields` are those of `Run`."""
    defaults: dict[str, Any] = {
        "project": "demo",
        "environment": "test",
        "plan_digest": _DIGEST,
        "status": RunStatus.RUNNING,
        "started_at": STARTED_AT,
        "gateway_kind": "openai",
        "evalkit_version": "0.1.0",
        "roster_digest": _DIGEST,
        "policy_digest": _DIGEST,
        "cells": (
            Cell(
                suite="qa",
                task="qa",
                model_id="gpt-4o",
                model_digest=_DIGEST,
                prompts_digest=_DIGEST,
                mode="text",
                n_planned=1,
            ),
        ),
        "suite_digests": (("qa", _DIGEST),),
    }
    return Run(run_id=run_id, **(defaults | fields))


def a_case(case_id: str = "case-1", **fields: Any) -> Case:
    """Return a case that asks a question and expects `forty-two`; `fields` are those of `Case`."""
    return Case(id=case_id, **({"vars": {"question": "What is six times seven?"}, "expected": "forty-two"} | fields))


def a_suite(name: str = "qa", *, cases: Sequence[Case] | None = None, **fields: Any) -> Suite:
    """Return a suite of one case, graded by `exact`; `fields` are those of `Suite`, as in a suite file."""
    defaults: dict[str, Any] = {
        "version": 1,
        "name": name,
        "task": name,
        "request": {"prompt": "{{ question }}"},
        "cases": (a_case(),) if cases is None else tuple(cases),
        "primary": "exact",
        "scorers": ("exact",),
        "gates": ({"metric": "exact", "at_least": 0.8},),
    }
    return Suite.model_validate(defaults | fields)


def a_model(model_id: str = "gpt-4o", **fields: Any) -> Model:
    """Return a model of the roster with a price, a window and every capability; `fields` as in a roster file."""
    defaults: dict[str, Any] = {
        "id": model_id,
        "route": f"openai/{model_id}",
        "provider": "openai",
        "price": {"input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0},
        "context_tokens": 128_000,
        "max_output_tokens": 16_384,
        "capabilities": {"structured": "json_schema", "tools": True},
    }
    return Model.model_validate(defaults | fields)
