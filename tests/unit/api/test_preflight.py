"""What a preflight's findings mean as an exit code, and what its caller is told before anything is sent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from evalkit.api.preflight import PlannedPreflight, Preflight, apreflight, preflight_exit
from evalkit.domain.outcome import IdentityClass, Kind
from evalkit.domain.policy import Policy
from evalkit.domain.project import Project, ProjectConfig
from evalkit.domain.roster import Roster
from evalkit.errors import InputError, NotFoundError
from evalkit.pipeline.preflight_probes import Check, CheckStatus, ModelProbing, Observed
from evalkit.pipeline.reach import Unmet
from evalkit.testing.builders import a_model, a_suite

STATUSES = {"ok": CheckStatus.CONFIRMED, "bad": CheckStatus.NOT_HONOURED, "hint": CheckStatus.UNDECLARED}


def a_project(**gateway):
    """Return a project of one suite and two models; nothing of it is on a disk."""
    suite = a_suite()
    config = {"version": 1, "gateway": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", **gateway}}
    return Project(
        root=Path(),
        config=ProjectConfig.model_validate({**config, "limits": {"connect_timeout_s": 2}}),
        roster=Roster(version=1, models=(a_model("a"), a_model("b"))),
        policy=Policy.model_validate({"version": 1, "tasks": {suite.task: {}}}),
        suites=(suite,),
    )


def probing(model_id, *statuses, last_fault=None):
    """Return what was found of a model."""
    checks = tuple(
        Check(
            name=f"c{number}",
            declared=True,
            observed=Observed.ANSWERED,
            status=STATUSES.get(status, CheckStatus.UNKNOWN),
        )
        for number, status in enumerate(statuses)
    )
    return ModelProbing(
        model_id=model_id, route=model_id, checks=checks, facts=None, n_calls=5, cost_usd=0.0, last_fault=last_fault
    )


@pytest.mark.parametrize(
    ("models", "code", "reason"),
    [
        ([probing("a", "ok", "hint")], 0, ""),
        ([probing("a", "ok", "?"), probing("b", "ok", "bad")], 1, "b: c1: not_honoured"),
        ([probing("a", "ok", "hint"), probing("b", "ok", "?")], 3, "b: c1: unknown"),
        ([probing("a", "?", last_fault=Kind.TIMEOUT), probing("b", "bad")], 1, "b: c0: not_honoured"),
        ([probing("a", "?", last_fault=Kind.TIMEOUT), probing("b", "ok")], 3, "a: c0: unknown"),
        (
            [probing("a", "?", last_fault=Kind.TIMEOUT), probing("b", "?", last_fault=Kind.CONNECTION)],
            4,
            "no model answered (connection, timeout); next: check that the gateway is alive",
        ),
        ([probing("a", "?"), probing("b", "?")], 3, "a: c0: unknown"),
    ],
)
def test_exit(models, code, reason):
    """In the order 4, 1, 3, 0; a model that was never sent anything is no dead gateway."""
    planned = PlannedPreflight(gateway_kind="openai", is_simulated=False, models=())
    result = Preflight(planned=planned, reach=None, unmet=(), identity_note="", models=tuple(models), weak={})

    ending = preflight_exit(a_project(), result)

    assert (ending.code, ending.reason.startswith(reason), bool(ending.reason)) == (code, True, bool(reason))


def test_exit_when_nobody_can_tell_who_answers():
    """A run would refuse, or decide nothing: 3, after what is worse."""
    unmet = (Unmet(task="qa", needs=IdentityClass.SELF_REPORTED),)
    planned = PlannedPreflight(gateway_kind="litellm", is_simulated=False, models=())
    rest = {"planned": planned, "reach": IdentityClass.UNVERIFIABLE, "identity_note": ""}

    for by_gateway, weak in ((unmet, {}), ((), {"a": unmet})):
        told = {"unmet": by_gateway, "weak": weak, **rest}
        ending = preflight_exit(a_project(), Preflight(models=(probing("a", "ok"),), **told))
        worse = preflight_exit(a_project(), Preflight(models=(probing("a", "ok", "bad"),), **told))
        assert (ending.code, ending.reason) == (3, "who answers is known less well than tasks need: qa")
        assert worse.code == 1


def test_the_plan_is_told_first():
    """Calls and USD are known before anything is sent; a dead gateway is no error here but a finding."""
    told = []

    found = asyncio.run(apreflight(a_project(), model_ids=["b"], started=told.append))

    assert told == [found.planned]
    assert [model.model_id for model in found.planned.models] == ["b"]
    assert found.planned.models[0].usd_at_most > found.planned.models[0].usd_expected > 0
    assert found.reach is IdentityClass.SELF_REPORTED
    assert [model.last_fault for model in found.models] == [Kind.CONNECTION]


def test_weak_gateway_is_noted():
    """Every task of the policy counts, for nothing is selected here."""
    found = asyncio.run(apreflight(a_project(model_field="echo")))

    assert [(one.task, one.needs) for one in found.unmet] == [("qa", IdentityClass.SELF_REPORTED)]
    assert "Ways out: `gateway.model_field: upstream`" in found.identity_note


def test_reach_that_could_not_be_found_out():
    """A dead gateway proves nothing either way, and no task is called unmet for it."""
    found = asyncio.run(apreflight(a_project(kind="litellm"), model_ids=["a"]))

    assert (found.reach, found.unmet) == (None, ())
    assert found.identity_note.startswith("the gateway did not say whether it can prove who answers")


def test_unknown_model():
    """A model nobody knows is refused before the gateway is opened."""
    with pytest.raises(NotFoundError, match="no model is named 'c'"):
        asyncio.run(apreflight(a_project(), model_ids=["c"]))


def test_recordings_answer_no_probe():
    """The question was never asked of them."""
    with pytest.raises(InputError, match="recordings answer none"):
        asyncio.run(apreflight(a_project(kind="replay", recordings="tapes")))
