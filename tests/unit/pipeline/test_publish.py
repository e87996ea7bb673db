"""Publish: verdicts in, one canonical document out, with nothing in it that was not shown."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from evalkit.canonical import canonical_json, digest_of, timestamp
from evalkit.domain.eligibility import Eligibility
from evalkit.domain.outcome import IdentityClass
from evalkit.domain.policy import Waiver
from evalkit.domain.verdict import Reason, ReasonCode, Status, Verdict
from evalkit.pipeline.decide import Decision, decide
from evalkit.pipeline.publish import eligibility_from_decision
from evalkit.router.document import Expectations, check_document
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT, a_case, a_model, a_suite
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import DAY_S, Answer, a_project, answers_failing, store_night

NAMES = ("cheap", "dear", "poor", "bad")
ANSWERS = {
    "cheap": answers_failing(0, cost_usd=0.001),
    "dear": answers_failing(0, cost_usd=0.9),
    "poor": answers_failing(8),
    "bad": answers_failing(50),
}


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def a_demo(*, task=None, **fields):
    """A project of four models, two of which are good."""
    gates = [{"metric": "exact", "at_least": 0.9}]
    suite = a_suite(cases=[a_case(f"c{index}") for index in range(100)], gates=gates)
    return a_project([suite], models=[a_model(name) for name in NAMES], tasks={"qa": task or {}}, **fields)


def by_model(suite, model, case):
    """Each model answers in its own way."""
    return ANSWERS[model.id](suite, model, case)


def published(store, project, answers=by_model, *, as_of=None):
    """The document made of one night."""
    if not store.runs(project=project.name, environment=project.config.environment):
        store_night(store, project, answers)
    decision = decide(project, store, as_of=as_of)
    return eligibility_from_decision(project, decision, is_simulated=False, evalkit_version="1.2.3").document()


def offered(document, task="qa"):
    """The candidates' names, in order."""
    return [candidate["model"] for candidate in document["tasks"][task]["candidates"]]


def rejected(document, task="qa"):
    """Model to (verdict, first reason code)."""
    return {one["model"]: (one["verdict"], one["reasons"][0]["code"]) for one in document["tasks"][task]["rejected"]}


def test_only_the_eligible_are_offered(store):
    """Every other model is named with its reason."""
    document = published(store, a_demo())
    assert offered(document) == ["cheap", "dear"]
    assert rejected(document) == {"poor": ("undecided", "gate_undecided"), "bad": ("ineligible", "gate_failed")}
    assert sorted(document["models"]) == ["cheap", "dear"]
    assert document["default"] == "deny"


def test_empty_store_denies(store):
    """No evidence, no candidate: the file is whole and denies."""
    project = a_demo()
    decision = decide(project, store, as_of=STARTED_AT)
    document = eligibility_from_decision(project, decision, is_simulated=False, evalkit_version="1").document()
    assert (offered(document), document["models"], document["run"]["id"]) == ([], {}, None)
    assert document["valid_until"] == timestamp(STARTED_AT + 50 * 3600)
    assert {verdict for verdict, _ in rejected(document).values()} == {"undecided"}


def test_order_follows_the_policy(store):
    """Cost first, unless the policy ranks otherwise; the pin before all."""
    assert offered(published(store, a_demo())) == ["cheap", "dear"]
    pinned = published(store, a_demo(task={"pin": "dear"}))
    assert (offered(pinned), pinned["tasks"]["qa"]["pin"]) == (["dear", "cheap"], "dear")


def test_lost_pin_fails_over(store):
    """A pin that is not eligible is not in the file; the others are."""
    document = published(store, a_demo(task={"pin": "bad"}))
    assert (offered(document), document["tasks"]["qa"]["pin"]) == (["cheap", "dear"], None)


def test_lost_pin_denies_where_told_to(store):
    """Then nobody serves the task, and the file says why."""
    document = published(store, a_demo(task={"pin": "bad", "on_pin_lost": "deny"}))
    assert (offered(document), document["tasks"]["qa"]["pin"], document["models"]) == ([], None, {})
    assert rejected(document)["cheap"] == ("eligible", "pin_lost")
    kept = published(store, a_demo(task={"pin": "cheap", "on_pin_lost": "deny"}))
    assert offered(kept) == ["cheap", "dear"]


def test_beyond_max_candidates_is_said(store):
    """Who is left out for number is eligible, and named; a pin never is left out."""
    document = published(store, a_demo(task={"max_candidates": 1, "pin": "dear"}))
    assert offered(document) == ["dear"]
    assert rejected(document)["cheap"] == ("eligible", "beyond_max_candidates")
    assert sorted(document["models"]) == ["dear"]


def test_candidate_carries_its_evidence(store):
    """Mode, adaptations, coverage and each gate with its bound."""
    candidate = published(store, a_demo())["tasks"]["qa"]["candidates"][0]
    (gate,) = candidate.pop("gates")
    assert candidate == {
        "model": "cheap",
        "measured_at": timestamp(STARTED_AT),
        "valid_until": timestamp(STARTED_AT + 50 * 3600),
        "admitted_by": "evidence",
        "request": {
            "mode": "text",
            "adapt": {"system_role": "system", "max_tokens_field": "max_tokens", "extra_body": {}},
        },
        "coverage": 1.0,
    }
    assert (gate["rule"], gate["verdict"], gate["n"], gate["n_clusters"]) == (">= 0.9", "pass", 100, 100)
    assert gate["bound"] == pytest.approx(0.05 ** (1 / 100))


def test_model_entry_is_what_a_router_needs(store):
    """Route, provider, window and identity; no key, no price."""
    assert published(store, a_demo())["models"]["cheap"] == {
        "route": "openai/cheap",
        "routes": {},
        "provider": "openai",
        "host": None,
        "quantization": None,
        "context_tokens": 128_000,
        "max_output_tokens": 16_384,
        "identity": "self_reported",
    }


def test_identity_is_of_the_tasks_that_admit(store):
    """A suite on which nothing answered does not make the model's identity unknown where it did."""
    gates = [{"metric": "exact", "at_least": 0.9}]
    cases = [a_case(f"c{index}") for index in range(100)]
    suites = [a_suite("a", cases=cases, gates=gates), a_suite("b", cases=cases, gates=gates)]

    def answers(suite, _model, _case):
        weak = IdentityClass.UNVERIFIABLE if suite.name == "b" else IdentityClass.SELF_REPORTED
        return Answer(identity_class=weak)

    document = published(store, a_project(suites), answers)
    assert (offered(document, "a"), offered(document, "b")) == (["gpt-4o"], [])
    assert document["models"]["gpt-4o"]["identity"] == "self_reported"


def test_waived_candidate_is_marked_and_ends(store):
    """A person's decision is visible in the file, and its end is the candidate's."""
    end = datetime.fromtimestamp(STARTED_AT + DAY_S, tz=UTC)
    waiver = Waiver(task="qa", model="poor", action="allow", reason="trial", by="ann", until=end)
    document = published(store, a_demo(waivers=[waiver]))
    found = next(one for one in document["tasks"]["qa"]["candidates"] if one["model"] == "poor")
    assert (found["admitted_by"], found["valid_until"]) == ("waiver", timestamp(STARTED_AT + DAY_S))


def test_policy_instructions_are_passed_on(store):
    """Failover, caps and thresholds are the policy's, word for word."""
    task = {"spend_cap": {"usd": 50, "per": "1d"}, "latency": {"p95_s": 4.0}, "critical": True}
    project = a_demo(task=task)
    document = published(store, project)
    entry = document["tasks"]["qa"]
    assert (entry["spend_cap"], entry["latency"], entry["critical"]) == (task["spend_cap"], task["latency"], True)
    assert entry["failover"] == project.policy.tasks["qa"].failover.model_dump(mode="json")


def test_providers_are_passed_on(store):
    """What exporters are told of a provider stands beside the tasks: caps, address, the name of a variable."""
    project = a_demo()
    terms = {"spend_cap": {"usd": 9, "per": "1d"}, "api_base": "https://a.example/v1", "api_key_env": "A_KEY"}
    told = project.policy.model_validate(project.policy.model_dump() | {"providers": {"openai": terms}})

    assert published(store, replace(project, policy=told))["providers"] == {"openai": {**terms, "kind": None}}


def test_file_rests_on_what_it_says(store):
    """Run, suites, roster and policy by digest."""
    project = a_demo()
    run = published(store, project)["run"]
    assert run == {
        "id": "night-1",
        "evalkit": "1.2.3",
        "suites": {"qa": project.suites[0].digest},
        "roster": project.roster.digest,
        "policy": project.policy.digest,
    }


def test_same_store_same_bytes(store):
    """Publishing twice changes nothing."""
    project = a_demo()
    assert canonical_json(published(store, project)) == canonical_json(published(store, project))


def test_digest_survives_the_file(store):
    """Written, read and dumped again the document has the digest it names, and a reader takes it."""
    document = published(store, a_demo())
    payload = {key: value for key, value in document.items() if key not in {"digest", "signature"}}
    assert document["digest"] == digest_of(json.loads(canonical_json(payload)))
    data = canonical_json(document) + b"\n"
    assert Eligibility.model_validate_json(data).document() == document
    read = check_document(data, expect=Expectations(audience="test"), now=STARTED_AT + 3600)
    assert canonical_json(read) == canonical_json(document)


def test_simulated_is_labelled(store):
    """Evidence of the simulator says so."""
    project = a_demo(gateway={"kind": "simulator"})
    store_night(store, project, by_model)
    decision = decide(project, store)
    document = eligibility_from_decision(project, decision, is_simulated=True, evalkit_version="1").document()
    assert (document["simulated"], document["gateway"]) == (True, {"kind": "simulator", "vantage": ""})


def test_valid_until_is_the_last_candidates(store):
    """From then on the whole file denies."""
    assert published(store, a_demo())["valid_until"] == timestamp(STARTED_AT + 0.5 + 50 * 3600)


def test_endless_numbers_have_no_json(store):
    """A cost per success without success is beyond every number: null, not Infinity."""
    suite = a_suite(
        cases=[a_case(f"c{index}") for index in range(300)],
        gates=[{"metric": "latency_s", "of": "p95", "at_most": 9.0}, {"metric": "refusal", "at_most": 0.9}],
    )
    project = a_project([suite])
    store_night(store, project, lambda _s, _m, _c: Answer())
    decision = decide(project, store)
    (verdict,) = decision.verdicts
    gates = tuple(
        replace(gate, bound=math.inf, estimate=replace(gate.estimate, value=math.inf)) for gate in verdict.gates
    )
    endless = replace(decision, verdicts=(replace(verdict, gates=gates),))
    document = eligibility_from_decision(project, endless, is_simulated=False, evalkit_version="1").document()
    shown = document["tasks"]["qa"]["candidates"][0]["gates"]
    assert [(gate["estimate"], gate["bound"]) for gate in shown] == [(None, None)] * 2


def test_eligible_without_a_measurement_is_a_bug():
    """Nothing is admitted on no evidence, not even by mistake of another module."""
    verdict = Verdict(task="qa", model_id="cheap", status=Status.ELIGIBLE)
    decision = Decision(verdicts=(verdict,), as_of=STARTED_AT, runs=())
    with pytest.raises(AssertionError, match="without a measurement"):
        eligibility_from_decision(a_demo(), decision, is_simulated=False, evalkit_version="1")


def test_gate_without_an_estimate_is_shown_empty():
    """A waived candidate may have gates that nothing is known of."""
    project = a_demo()
    suite = project.suites[0]
    store = MemoryStore(clock=ManualClock())
    night = store_night(store, project, by_model)
    (verdict, *_) = decide(project, store).verdicts
    blank = replace(verdict.gates[0], estimate=None, bound=None)
    decision = Decision(verdicts=(replace(verdict, gates=(blank,)),), as_of=STARTED_AT, runs=(night,))
    document = eligibility_from_decision(project, decision, is_simulated=False, evalkit_version="1").document()
    (gate,) = document["tasks"]["qa"]["candidates"][0]["gates"]
    assert (gate["estimate"], gate["n"], gate["method"], gate["suite"]) == (None, 0, None, suite.name)


def test_reasons_say_only_what_there_is_to_say():
    """Empty parts of a reason are left out."""
    verdict = Verdict(
        task="qa", model_id="cheap", status=Status.UNDECIDED, reasons=(Reason(code=ReasonCode.OUTAGE, detail="x"),)
    )
    decision = Decision(verdicts=(verdict,), as_of=STARTED_AT, runs=())
    document = eligibility_from_decision(a_demo(), decision, is_simulated=False, evalkit_version="1").document()
    assert document["tasks"]["qa"]["rejected"] == [
        {"model": "cheap", "verdict": "undecided", "reasons": [{"code": "outage", "detail": "x"}]}
    ]


def test_timestamp_rounds_down():
    """Whole seconds, never later than the moment itself."""
    assert timestamp(STARTED_AT + 0.999) == timestamp(STARTED_AT) == "2027-01-15T08:00:00Z"
