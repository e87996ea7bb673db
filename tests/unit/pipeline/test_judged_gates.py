"""A gate on a judge's metric decides only what people have confirmed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.judging import LabelCounts, Qualification
from evalkit.domain.outcome import Identity
from evalkit.domain.roster import Roster
from evalkit.domain.run import Look
from evalkit.domain.verdict import GateStatus, ReasonCode, Status
from evalkit.pipeline.decide import decide
from evalkit.pipeline.instruments import graded_by, instruments_of
from evalkit.pipeline.judged_gates import shortfall_of
from evalkit.pipeline.noise import NoiseOptions, measure_noise
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT, a_call_key, a_case, a_model, a_suite, an_outcome
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import Answer, store_night

GOOD = LabelCounts(both_pass=195, only_judge=5, only_people=5, both_fail=95)
LENIENT = LabelCounts(both_pass=196, only_judge=50, only_people=4, both_fail=50)
RUBRIC = {"rubric": {"judge": "judge", "pass_at": 1, "criteria": [{"id": "right", "text": "It is right."}]}}
N_CASES = 300


@pytest.fixture
def judged(a_project):
    """Return a project whose only gate is on a judge's yes or no, at .85."""
    cases = [a_case(f"case-{number}") for number in range(N_CASES)]
    gates = [{"metric": "rubric", "at_least": 0.85}]
    suite = a_suite(cases=cases, scorers=["exact", RUBRIC], gates=gates)
    project = a_project(suites=[suite], models=[a_model("one")])
    return replace(
        project, roster=Roster(version=1, models=project.roster.models, judges=[a_model("judge", provider="jury")])
    )


def qualified(project, counts=GOOD, **changes):
    """Return the project with a qualification of its judge; `changes` are fields of it."""
    (suite,) = project.suites
    fields = {
        "suite": suite.name,
        "metric": "rubric",
        "instrument": instruments_of(project, suite)["rubric"].digest,
        "gateway_kind": project.config.gateway.kind,
        "served": {"judge": ("judge-1",)},
        "labels": "sha256:0",
        "counts": counts,
    }
    return replace(project, qualifications=(Qualification(**(fields | changes)),))


def measured(project, passes, *, served="judge-1", nights=1):
    """Return a store with nights on which the judge passed so many answers; None is an answer it gave no verdict on."""
    store = MemoryStore(clock=ManualClock())
    for night in range(nights):
        values = dict(zip((case.id for case in project.suites[0].cases), passes, strict=True))

        def answers(_suite, _model, case, values=values):
            value = values[case.id]
            return Answer(scores={"rubric": None if value is None else float(value)})

        run_id = f"night-{night}"
        store_night(store, project, answers, run_id=run_id, started_at=STARTED_AT + night * 86_400)
        verdict = an_outcome(
            "case-1", model_id="judge", call_key=a_call_key(run_id), asked_about="0" * 64,
            identity=Identity(served_model=served),
        )  # fmt: skip
        store.append(run_id, [verdict])
    return store


def passing(share):
    """Return verdicts of which this share are passes."""
    return [number < round(share * N_CASES) for number in range(N_CASES)]


def verdict_of(project, store):
    """Return the one verdict."""
    (verdict,) = decide(project, store).verdicts
    return verdict


class TestUnqualified:
    """Without labels that hold, neither yes nor no."""

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_no_labels(self, judged, share):
        """Whatever the judge said, the gate is open, and the cure is named."""
        verdict = verdict_of(judged, measured(judged, passing(share)))
        (reason,) = verdict.reasons
        assert (verdict.status, reason.code) == (Status.UNDECIDED, ReasonCode.JUDGE_UNQUALIFIED)
        assert "never held against labelled answers" in reason.detail
        assert "evalkit judge check qa" in reason.cure
        assert verdict.gates[0].bound is None

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"instrument": "sha256:other"}, "judge, prompt or rubric changed"),
            ({"gateway_kind": "openai"}, "through 'openai'"),
            ({"served": {"judge": ("judge-0",)}}, "another model answered"),
            ({"served": {"judge": ()}}, "another model answered"),
            ({"counts": LabelCounts(both_pass=120, only_judge=5, only_people=5, both_fail=69)}, "199 labels"),
            ({"counts": LabelCounts(both_pass=281, only_judge=1, only_people=0, both_fail=18)}, "20 of each"),
            ({"counts": LabelCounts(both_pass=140, only_judge=60, only_people=60, both_fail=40)}, "coin"),
            ({"n_unjudged": 30}, "no verdict on 30 of 330"),
            ({"metric": "another"}, "never held against"),
        ],
    )
    def test_what_voids_it(self, judged, changes, why):
        """Each part of what was qualified has to be what it was."""
        project = qualified(judged, **changes)
        verdict = verdict_of(project, measured(project, passing(1.0)))
        assert verdict.status is Status.UNDECIDED
        assert [reason.code for reason in verdict.reasons] == [ReasonCode.JUDGE_UNQUALIFIED]
        assert why in verdict.reasons[0].detail

    def test_a_share_cannot_gate(self, judged):
        """People confirm a yes or no."""
        params = {key: value for key, value in RUBRIC["rubric"].items() if key != "pass_at"}
        suite = a_suite(
            cases=judged.suites[0].cases, scorers=["exact", {"rubric": params}], gates=judged.suites[0].gates
        )
        project = qualified(replace(judged, suites=(suite,)))
        assert "set pass_at" in verdict_of(project, measured(project, passing(1.0))).reasons[0].detail

    def test_a_judge_that_names_itself_nothing_qualifies_as_nothing(self, judged):
        """No name then and no name now is the same; a name now is another."""
        project = qualified(judged, served={"judge": ("",)})
        assert verdict_of(project, measured(project, passing(0.98), served=None)).status is Status.ELIGIBLE
        assert verdict_of(project, measured(project, passing(0.98))).status is Status.UNDECIDED


class TestQualified:
    """The bound is of what people would pass."""

    def test_a_good_model_passes(self, judged):
        """By a bound below what the judge says, with its method named."""
        project = qualified(judged)
        verdict = verdict_of(project, measured(project, passing(0.98)))
        (gate,) = verdict.gates
        assert (verdict.status, gate.status) == (Status.ELIGIBLE, GateStatus.PASS)
        assert gate.estimate.method == "judged"
        assert 0.85 <= gate.bound < 0.98

    def test_a_bad_model_fails(self, judged):
        """Half of its answers passed is not .85, whatever the judge's errors."""
        project = qualified(judged)
        verdict = verdict_of(project, measured(project, passing(0.5)))
        assert verdict.status is Status.INELIGIBLE
        assert verdict.reasons[0].code is ReasonCode.GATE_FAILED

    def test_a_lenient_judge_admits_nobody_it_flatters(self, judged):
        """It passes .90 of the answers, of which people would pass .80: its own bound lies above the gate."""
        project = qualified(judged, counts=LENIENT)
        verdict = verdict_of(project, measured(project, passing(0.90)))
        assert verdict.status is not Status.ELIGIBLE
        assert verdict_of(qualified(judged), measured(project, passing(0.97))).status is Status.ELIGIBLE

    def test_answers_without_a_verdict_count_at_their_worst(self, judged):
        """Forty unjudged answers leave a gate open that would pass without them, and the cure is to ask."""
        project = qualified(judged)
        holes = [None if number < 40 else True for number in range(N_CASES)]
        verdict = verdict_of(project, measured(project, holes))
        assert verdict.status is Status.UNDECIDED
        assert verdict.gates[0].n_missing == 40
        assert "evalkit score --ask" in verdict.gates[0].cure

    def test_nothing_judged_decides_nothing(self, judged):
        """Not one verdict is no estimate."""
        project = qualified(judged)
        verdict = verdict_of(project, measured(project, [None] * N_CASES))
        assert (verdict.status, verdict.gates[0].estimate) == (Status.UNDECIDED, None)

    def test_nights_are_pooled(self, judged):
        """Earlier nights by the same judge count, and never more independent answers than prompts."""
        project = qualified(judged)
        one = verdict_of(project, measured(project, passing(0.95)))
        three = verdict_of(project, measured(project, passing(0.95), nights=3))
        assert three.gates[0].estimate.n <= N_CASES
        assert three.gates[0].bound == pytest.approx(one.gates[0].bound, abs=0.02)


def test_another_route_makes_scores_stale(judged):
    """What graded the answers is not what would grade them today: graded again, the judge is asked anew."""
    store = measured(judged, passing(1.0))
    moved = replace(
        judged,
        roster=Roster(
            version=1, models=judged.roster.models, judges=[a_model("judge", provider="jury", route="elsewhere")]
        ),
    )
    assert verdict_of(moved, store).reasons[0].code is ReasonCode.SCORES_STALE


def test_a_suite_that_asks_nobody_is_graded_by_its_own_digest(judged):
    """Nothing that was graded before judges came is graded by something else now."""
    plain = a_suite()
    assert instruments_of(judged, plain) == {}
    assert graded_by(plain, {}) == plain.digest
    (suite,) = judged.suites
    assert graded_by(suite, instruments_of(judged, suite)) != suite.digest


def test_enough_labels_have_no_shortfall(judged):
    """The same question, asked of a file alone."""
    assert shortfall_of(qualified(judged).qualifications[0]) == ""


class TestLooks:
    """A growing sample of a judge's opinions: every look at its own level, through the same bound."""

    @staticmethod
    def stopped(project, share, *, n_asked):
        """Return a store with a night that was asked as far as its first look, or its second, and no further."""
        values = dict(zip((case.id for case in project.suites[0].cases), passing(share), strict=True))
        store = MemoryStore(clock=ManualClock())

        def answers(suite, _model, case):
            place = suite.active_cases.index(case)
            return Answer(scores={"rubric": float(values[case.id])}) if place < n_asked else None

        run = store_night(store, project, answers, run_id="night-0", started_at=STARTED_AT)
        looks = tuple(Look(n_clusters=n, n_calls=n, last_sequence=n) for n in (100, 200, N_CASES))
        store.open_run(replace(run, cells=tuple(replace(cell, looks=looks) for cell in run.cells)))
        verdict = an_outcome(
            "case-1", model_id="judge", call_key=a_call_key("night-0"), asked_about="0" * 64,
            identity=Identity(served_model="judge-1"),
        )  # fmt: skip
        store.append("night-0", [verdict])
        return store

    def test_a_look_has_its_level(self, judged):
        """What a whole night of two hundred would show at full alpha, a look at two hundred must not claim."""
        project = qualified(judged)
        verdict = verdict_of(project, self.stopped(project, 1.0, n_asked=200))
        (gate,) = verdict.gates
        assert gate.look is not None
        assert gate.estimate.level > 0.95
        whole = verdict_of(project, measured(project, passing(1.0))).gates[0]
        assert whole.look is None
        assert whole.estimate.level == pytest.approx(0.95)
        assert gate.bound < whole.bound

    def test_what_fails_at_a_look_has_failed(self, judged):
        """A judge that passes nobody, as people would not, settles it at the first look."""
        project = qualified(judged)
        (gate,) = verdict_of(project, self.stopped(project, 0.0, n_asked=100)).gates
        assert (gate.status, gate.look) == (GateStatus.FAIL, 1)

    def test_an_unqualified_judge_decides_at_no_look(self, judged):
        """Neither yes nor no, whatever it said and however often it was looked at."""
        for share in (0.0, 1.0):
            verdict = verdict_of(judged, self.stopped(judged, share, n_asked=200))
            assert verdict.status is Status.UNDECIDED
            assert verdict.gates[0].doubt.code is ReasonCode.JUDGE_UNQUALIFIED


def test_noise_judges_an_opinion_as_decide_does(judged):
    """Nights drawn from a judge's verdicts pass only where people confirmed the judge."""
    store = measured(judged, passing(1.0), nights=2)
    options = NoiseOptions(simulations=20)
    (of_gate,) = [row for row in measure_noise(judged, store, options).rows if row.metric == "rubric"]
    assert of_gate.tonight == "undecided"
    (of_gate,) = [row for row in measure_noise(qualified(judged), store, options).rows if row.metric == "rubric"]
    assert of_gate.tonight == "pass"
