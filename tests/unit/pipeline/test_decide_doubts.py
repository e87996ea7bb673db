"""Decide where something is wrong with the evidence: missing calls, critical cases, other models' answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.outcome import CACHED, IdentityClass, Kind
from evalkit.domain.verdict import ReasonCode, Status
from evalkit.pipeline.entry import entry_digest
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT, a_case, a_model
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import Answer, a_project, answers_failing, answers_missing, store_night
from evalkit.testing.verdicts import (
    BAD,
    GOOD,
    NIGHT_2,
    N,
    a_demo,
    a_gated_suite,
    cases,
    codes,
    verdict_of,
)

ELIGIBLE, INELIGIBLE, UNDECIDED = Status.ELIGIBLE, Status.INELIGIBLE, Status.UNDECIDED


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def test_low_coverage_gives_no_verdict(store):
    """Above 5% missing nothing new is said, for or against; the reason counts kinds."""
    project = a_demo()
    store_night(store, project, answers_missing(6, then=BAD))
    found = verdict_of(project, store)
    assert found.status is UNDECIDED
    low = found.reasons[0]
    assert (low.code, low.cure) == (ReasonCode.LOW_COVERAGE, "evalkit run --resume night-1")
    assert "(provider_error 6)" in low.detail


def test_total_outage_is_undecided(store):
    """When nothing answered nothing is known, identity included."""
    project = a_demo()
    store_night(store, project, answers_missing(N, then=GOOD))
    found = verdict_of(project, store)
    assert (found.status, found.coverage, found.identity_class) == (UNDECIDED, 0.0, IdentityClass.UNVERIFIABLE)


def test_outage_in_one_piece_gives_no_verdict(store):
    """A long hole is doubted even where the policy accepts the coverage."""
    project = a_demo(defaults={"min_coverage": 0.5})
    store_night(store, project, answers_missing(25, then=answers_failing(70, first=25)))
    found = verdict_of(project, store)
    assert (found.status, codes(found)[0]) == (UNDECIDED, ReasonCode.OUTAGE)


def answers_cached(n, *, then, kind=Kind.OK):
    """Return answers of which those to the first n cases come out of the gateway's cache."""

    def answer(suite, model, case):
        is_hit = suite.active_cases.index(case) < n
        return Answer(kind=kind, flags=(CACHED,), latency_s=None) if is_hit else then(suite, model, case)

    return answer


@pytest.mark.parametrize("kind", [Kind.OK, Kind.REFUSAL, Kind.TRUNCATED])
def test_cached_answers_are_no_evidence(store, kind):
    """However good or bad they are, they are missing, counted as what they are, and asking again is no cure."""
    project = a_demo()
    store_night(store, project, answers_cached(N, then=GOOD, kind=kind))
    found = verdict_of(project, store)
    assert (found.status, found.coverage, found.identity_class) == (UNDECIDED, 0.0, IdentityClass.UNVERIFIABLE)
    assert f"({CACHED} {N})" in found.reasons[0].detail
    thin = {ReasonCode.LOW_COVERAGE, ReasonCode.OUTAGE, ReasonCode.GATE_UNDECIDED}
    cures = {reason.cure for reason in found.reasons if reason.code in thin}
    assert cures == {"switch the gateway's cache off, then evalkit run --new"}


def test_a_few_cached_answers_cannot_save_a_model(store):
    """They widen the bound, as any missing call: good answers out of a cache are not added to the others."""
    project = a_demo()
    store_night(store, project, answers_cached(5, then=answers_failing(8, first=5)))
    found = verdict_of(project, store)
    assert (found.status, found.coverage) == (UNDECIDED, 0.95)
    (gate,) = found.gates
    assert (gate.estimate.n, gate.n_missing) == (95, 5)


def test_a_cache_says_nothing_of_availability(store):
    """A model that was not asked was not away either: an availability gate neither fails nor passes on it."""
    suite = a_gated_suite(gates=[{"metric": "availability", "at_least": 0.9}])
    project = a_demo(suite, defaults={"min_coverage": 0.5})
    store_night(store, project, answers_cached(30, then=GOOD))
    found = verdict_of(project, store)
    assert (found.status, found.gates[0].status) == (UNDECIDED, "undecided")


def test_a_name_that_means_nothing_to_the_roster_is_shown(store):
    """The cheapest cure of an unverifiable answer that carries a name is to say that it is the right one."""
    project = a_demo()
    answer = Answer(identity_class=IdentityClass.UNVERIFIABLE, served_model="claude-sonnet-4-5-20250929")
    store_night(store, project, lambda _suite, _model, _case: answer)
    (weak,) = verdict_of(project, store).reasons
    assert weak.detail.endswith("answers carried claude-sonnet-4-5-20250929")
    assert "routes.upstream" in weak.cure


def test_one_thin_suite_does_not_shield_another(store):
    """An outage of one suite is no excuse for a failed gate of the other."""
    project = a_project([a_gated_suite("a", task="t"), a_gated_suite("b", task="t")])

    def answer(suite, model, case):
        return (BAD if suite.name == "a" else answers_missing(50, then=GOOD))(suite, model, case)

    store_night(store, project, answer)
    found = verdict_of(project, store, task="t")
    assert (found.status, codes(found)) == (INELIGIBLE, [ReasonCode.GATE_FAILED])


def test_every_suite_of_the_task_counts(store):
    """One unmeasured or failed suite is enough to keep a model out."""
    suites = [a_gated_suite("a", task="t"), a_gated_suite("b", task="t")]
    project = a_project(suites)
    store_night(store, a_project(suites[:1], tasks={"t": {}}), GOOD)
    found = verdict_of(project, store, task="t")
    assert (found.status, codes(found), found.reasons[0].suite) == (UNDECIDED, [ReasonCode.NOT_MEASURED], "b")
    store_night(store, a_project(suites[1:], tasks={"t": {}}), GOOD, run_id="night-2", started_at=NIGHT_2)
    found = verdict_of(project, store, task="t")
    assert (found.status, found.run_ids, found.measured_at) == (ELIGIBLE, ("night-1", "night-2"), STARTED_AT + 0.5)


def test_a_fail_is_shared_by_all_gates_of_the_task(store):
    """K counts the gates of every suite: the more of them, the surer each fail must be."""
    gates = [{"metric": "exact", "at_least": 0.9}, *[{"metric": "refusal", "at_most": 0.5}] * 4]
    borderline = answers_failing(16)
    for number, (suites, status) in enumerate(
        [([a_gated_suite()], INELIGIBLE), ([a_gated_suite(gates=gates)], UNDECIDED)]
    ):
        project = a_project(suites, name=f"p{number}")
        store_night(store, project, borderline, run_id=f"r{number}")
        assert verdict_of(project, store).status is status


@pytest.mark.parametrize(("failed", "status"), [(0, ELIGIBLE), (1, INELIGIBLE)])
def test_critical_case_fails_alone(store, failed, status):
    """One critical case is enough, whatever the means are."""
    project = a_demo(a_gated_suite(cases=(a_case("c0", critical=True), *cases()[1:])))
    store_night(store, project, answers_failing(failed))
    found = verdict_of(project, store)
    assert found.status is status
    assert codes(found) == ([ReasonCode.CRITICAL_CASE_FAILED] if failed else [])


def test_critical_failure_counts_in_an_outage(store):
    """What one call shows, no missing call takes back."""
    project = a_demo(a_gated_suite(cases=(*cases()[:-1], a_case("c99", critical=True))))
    store_night(store, project, answers_missing(60, then=answers_failing(1, first=99)))
    assert verdict_of(project, store).status is INELIGIBLE


@pytest.mark.parametrize("void", [Answer(kind=Kind.TIMEOUT), Answer(scores={"exact": None})])
def test_unknown_critical_case_admits_nobody(store, void):
    """A critical case without a score was not passed."""
    project = a_demo(a_gated_suite(cases=(a_case("c0", critical=True), *cases()[1:])))
    store_night(store, project, lambda _suite, _model, case: void if case.id == "c0" else Answer())
    found = verdict_of(project, store)
    assert (found.status, "c0" in found.reasons[0].detail) == (UNDECIDED, True)


def test_critical_case_that_was_never_asked_admits_nobody(store):
    """A case left out because it exceeds the declared window is not passed either."""
    project = a_demo(a_gated_suite(cases=(a_case("c0", critical=True), *cases()[1:])))

    def answer(suite, model, case):
        return None if case.id == "c0" else GOOD(suite, model, case)

    run = store_night(store, project, answer)
    digest = entry_digest(project.suites[0], project.roster.models[0], is_whole=False)
    fitting = {"n_planned": N - 1, "n_skipped": 1, "model_digest": digest}
    store.open_run(replace(run, cells=tuple(replace(cell, **fitting) for cell in run.cells)))
    found = verdict_of(project, store)
    assert found.status is UNDECIDED
    assert "critical cases without a score: c0" in found.reasons[0].detail


def test_unknown_critical_case_is_no_shield(store):
    """A void critical case does not turn a clear failure into a doubt."""
    project = a_demo(a_gated_suite(cases=(a_case("c0", critical=True), *cases()[1:])))
    store_night(store, project, answers_missing(1, then=BAD))
    assert verdict_of(project, store).status is INELIGIBLE


def test_substitution_is_certain(store):
    """One answer by another model takes the asked one out at once, outage or not."""
    project = a_demo()

    def answer(suite, model, case):
        if case.id == "c5":
            return Answer(kind=Kind.SUBSTITUTED_MODEL, served_model="grok", identity_class=IdentityClass.SUBSTITUTED)
        return answers_missing(5, then=GOOD)(suite, model, case)

    store_night(store, project, answer)
    found = verdict_of(project, store)
    assert (found.status, codes(found)) == (INELIGIBLE, [ReasonCode.SUBSTITUTED_MODEL])
    assert found.reasons[0].detail == "1 of 100 calls were answered by grok"


@pytest.mark.parametrize(
    ("measured", "wanted", "status"),
    [
        (IdentityClass.ATTESTED, "attested", ELIGIBLE),
        (IdentityClass.SELF_REPORTED, "attested", UNDECIDED),
        (IdentityClass.SELF_REPORTED, "self_reported", ELIGIBLE),
        (IdentityClass.UNVERIFIABLE, "self_reported", UNDECIDED),
        (IdentityClass.UNVERIFIABLE, "unverifiable", ELIGIBLE),
        (IdentityClass.SUBSTITUTED, "unverifiable", UNDECIDED),
    ],
)
def test_identity_must_be_good_enough(store, measured, wanted, status):
    """The weakest answer decides; weaker than the policy wants admits nobody."""
    project = a_demo(defaults={"min_identity": wanted})

    def answer(_suite, _model, case):
        return Answer(identity_class=measured if case.id == "c3" else IdentityClass.ATTESTED)

    store_night(store, project, answer)
    found = verdict_of(project, store)
    assert (found.status, found.identity_class) == (status, measured)
    if status is UNDECIDED:
        assert codes(found) == [ReasonCode.IDENTITY_TOO_WEAK]


def test_silence_is_no_weak_identity(store):
    """Who never answered is told that, and not to accept less identity; one answer is enough to doubt it."""
    project = a_demo(defaults={"min_coverage": 0})
    weak = Answer(identity_class=IdentityClass.UNVERIFIABLE)

    def answers(n_answered):
        def answer(suite, _model, case):
            is_answered = suite.active_cases.index(case) < n_answered
            return weak if is_answered else replace(weak, kind=Kind.CONNECTION)

        return answer

    store_night(store, project, answers(0), run_id="dead")
    silent = verdict_of(project, store)
    store_night(store, project, answers(1), run_id="alive", started_at=NIGHT_2)
    heard = verdict_of(project, store)

    assert silent.status is heard.status is UNDECIDED
    assert ReasonCode.OUTAGE in codes(silent)
    assert ReasonCode.IDENTITY_TOO_WEAK not in codes(silent)
    assert ReasonCode.IDENTITY_TOO_WEAK in codes(heard)


def test_a_window_that_holds_no_prompt_is_named(store):
    """Running it again would not help: the cure is in the roster."""
    project = a_project((a_gated_suite(),), models=[a_model(context_tokens=1)])
    found = verdict_of(project, store)
    assert found.status is UNDECIDED
    assert codes(found) == [ReasonCode.CONTEXT_TOO_SMALL]
    assert "context_tokens" in found.reasons[0].cure
