"""What a night came to: the exit code by order, and a line that is always JSON."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from evalkit.api.night_summary import Night, NightPart, night_exit, night_head, night_summary, plan_line
from evalkit.domain.call import Plan
from evalkit.domain.policy import Policy
from evalkit.domain.verdict import Reason, ReasonCode, Status, Verdict
from evalkit.pipeline.verdict_changes import VerdictChange

LOSS = VerdictChange(
    task="t", model_id="m", before="eligible", after="ineligible", codes=("gate_failed",), is_loss=True
)
WIN = VerdictChange(task="t", model_id="n", before="undecided", after="eligible")


def a_night(*verdicts, candidates=("m",), **fields):
    """Return a night of one task, pinned to `m`."""
    gateway = SimpleNamespace(kind="openai")
    project = SimpleNamespace(
        name="demo", config=SimpleNamespace(environment="prod", gateway=gateway),
        policy=Policy.model_validate({"version": 1, "tasks": {"t": {"pin": "m"}}}),
    )  # fmt: skip
    document = {
        "tasks": {"t": {"candidates": [{"model": model} for model in candidates]}}, "simulated": False,
        "generated_at": "T", "valid_until": "T", "digest": "sha256:0",
    }  # fmt: skip
    given = {
        "night": "2026-03-01", "project": project, "file": Path("e.json"), "before": {"t": {"m": "eligible"}},
        "plan": Plan(digest="d", seed=0, cells=(), unsupported=(), calls_of=lambda _model: iter(())),
        "decision": SimpleNamespace(verdicts=verdicts), "document": document,
    }  # fmt: skip
    return Night(**(given | fields))


def a_verdict(status, *codes, model_id="m"):
    """Return a verdict with reasons."""
    return Verdict(task="t", model_id=model_id, status=status, reasons=tuple(Reason(code=code) for code in codes))


BROKEN = NightPart(name="litellm", folder=Path("g"), problem="it cannot say that\n  next: …")


@pytest.mark.parametrize(
    ("night", "code", "reason"),
    [
        (a_night(), 0, ""),
        (a_night(changes=(LOSS,), exports=(BROKEN,), unusable="dead"), 2, "export litellm: it cannot say that"),
        (a_night(changes=(LOSS,), unusable="dead\nmore"), 4, "dead"),
        (a_night(changes=(WIN, LOSS), is_cut_short=True), 1, str(LOSS)),
        (a_night(a_verdict(Status.INELIGIBLE)), 1, "m, the pin of t, is ineligible"),
        (a_night(candidates=()), 1, "t has no candidate"),
        (a_night(told="failed"), 1, "the notification was not taken"),
        (a_night(is_cut_short=True), 3, "stopped early: deadline"),
        (a_night(document=None), 3, "nothing is decided yet: there is no eligibility file"),
        (a_night(a_verdict(Status.ELIGIBLE, ReasonCode.KEPT)), 3, "m on t: kept by earlier evidence"),
        (a_night(a_verdict(Status.UNDECIDED, ReasonCode.OUTAGE, model_id="x")), 3, "x on t: outage"),
        (a_night(a_verdict(Status.UNDECIDED, ReasonCode.GATE_UNDECIDED)), 3, "m on t: undecided"),
        (a_night(a_verdict(Status.UNDECIDED, ReasonCode.GATE_UNDECIDED, model_id="x")), 0, ""),
        (a_night(changes=(WIN,)), 0, ""),
    ],
)
def test_the_first_that_holds(night, code, reason):
    """2, 4, 1, 3, 0; a doubt about a model that never served needs nobody."""
    ending = night_exit(night)
    assert (ending.code, ending.reason) == (code, reason)


def test_the_line_is_json():
    """Whatever is missing, the keys are there."""
    for night in (a_night(), a_night(document=None, decision=None, before=None), a_night(changes=(LOSS,))):
        summary = json.loads(json.dumps(night_summary(night)))
        assert summary["format"] == "evalkit.nightly/1"
        assert summary["file"]["state"] in {"none", "kept"}


def test_heads():
    """How many changed and how many of them are losses; what it costs against which budget."""
    head = night_head(a_night(changes=(LOSS, WIN)))
    assert head == "evalkit demo / prod, night 2026-03-01: 2 verdicts changed, 1 of them losses"
    line = plan_line(a_night().plan, budget_usd=None)
    assert line == "0 calls, about USD 0.00, at most USD 0.00; no budget"
