"""What earlier runs say of clusters: from which of them, for whom, and what it changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.estimate import Correlation
from evalkit.domain.run import RunStatus
from evalkit.domain.verdict import GateStatus
from evalkit.pipeline.clustering import Correlations
from evalkit.pipeline.decide import decide
from evalkit.pipeline.history import read_history, runs_that_count
from evalkit.pipeline.publish import eligibility_from_decision
from evalkit.stats.bounds import gate_bound
from evalkit.testing.builders import a_case, a_model, a_suite
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import DAY_S, Answer, a_project, answers_missing, store_night
from evalkit.testing.memory import MemoryStore
from evalkit.testing.verdicts import NIGHT_2

N_CLUSTERS = 40
KNOWN = tuple(a_model(f"known-{number}") for number in range(6))
NEW = a_model("new")
CORRELATION = Correlation(rho=0.5, run_id="night-1", n_models=6)


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def pairs(name="qa", **fields):
    """A suite of forty pairs of cases, gated at .95."""
    cases = [a_case(f"c{n}", cluster=f"p{n // 2}") for n in range(2 * N_CLUSTERS)]
    return a_suite(name, cases=cases, gates=[{"metric": "exact", "at_least": 0.95}], **fields)


def project_of(*models):
    """That suite, asked of these models."""
    return a_project([pairs()], models=models)


def unlike(suite, model, case):
    """Answers of a cluster have nothing in common: each known model is wrong on the first of some pairs; new never."""
    place = suite.active_cases.index(case)
    number = int(model.id[-1]) if model.id[-1].isdigit() else None
    return Answer(scores={"exact": float(number is None or place % 2 == 1 or (place // 2 + number) % 4 > 0)})


def alike(suite, model, case):
    """Both answers of a cluster are right, or both are wrong."""
    place = suite.active_cases.index(case)
    number = int(model.id[-1]) if model.id[-1].isdigit() else None
    return Answer(scores={"exact": float(number is None or (place // 2 + number) % 4 > 0)})


def gate_of(project, store, model_id):
    """The one gate of a model."""
    (found,) = [one for one in decide(project, store).verdicts if one.model_id == model_id]
    return found.gates[0]


def test_a_perfect_newcomer_is_worth_its_clusters_without_history(store):
    """Eighty perfect answers in forty pairs: nobody knows whether the second of a pair says anything new."""
    project = project_of(NEW)
    store_night(store, project, unlike)
    gate = gate_of(project, store, "new")
    assert gate.status is GateStatus.UNDECIDED
    assert gate.correlation is None
    assert gate.bound == pytest.approx(0.05 ** (1 / N_CLUSTERS))


def test_what_earlier_runs_show_counts_from_the_next_run_on(store):
    """Six models answered pairs independently, so the newcomer's pairs are worth two answers each."""
    project = project_of(*KNOWN, NEW)
    store_night(store, project_of(*KNOWN), unlike)
    assert gate_of(project, store, "known-0").correlation is None, "not in the run that shows it"
    store_night(store, project_of(NEW), unlike, run_id="night-2", started_at=NIGHT_2)
    gate = gate_of(project, store, "new")
    assert gate.status is GateStatus.PASS
    assert (gate.correlation.run_id, gate.correlation.n_models) == ("night-1", 6)
    expected = gate_bound([1.0] * 80, [f"p{n // 2}" for n in range(80)], alpha=0.05, rho=gate.correlation.rho)
    assert gate.bound == pytest.approx(expected.lower)


def trials_of(varies):
    """Three trials of forty prompts, perfect; lengths differ between trials or never."""

    def answers(suite, model, case):
        calls = counts.setdefault((suite.name, model.id, case.id), [])
        calls.append(1)
        wrong = model.id != "new" and (len(calls) + suite.active_cases.index(case) + int(model.id[-1])) % 5 == 0
        return Answer(scores={"exact": float(not wrong)}, output_tokens=5 + (len(calls) if varies else 0))

    counts: dict[tuple[str, str, str], list[int]] = {}
    return answers


@pytest.mark.parametrize(("varies", "status"), [(True, GateStatus.PASS), (False, GateStatus.UNDECIDED)])
def test_a_model_that_repeats_itself_gains_nothing_from_others(store, varies, status):
    """Forty prompts asked three times: where every answer was the same, a cache may have given two of them."""
    suite = a_suite(cases=[a_case(f"c{n}") for n in range(40)], gates=[{"metric": "exact", "at_least": 0.95}], trials=3)
    project = a_project([suite], models=[*KNOWN, NEW])
    store_night(store, replace(project, roster=a_project([suite], models=KNOWN).roster), trials_of(varies=True))
    tonight = replace(project, roster=a_project([suite], models=[NEW]).roster)
    store_night(store, tonight, trials_of(varies=varies), run_id="night-2", started_at=NIGHT_2)
    gate = gate_of(project, store, "new")
    assert (gate.status, gate.correlation is not None) == (status, varies)


def test_clusters_that_are_alike_stay_worth_one(store):
    """Where the six models were always right or wrong on both, rho is 1."""
    project = project_of(*KNOWN, NEW)
    store_night(store, project_of(*KNOWN), alike)
    store_night(store, project_of(NEW), alike, run_id="night-2", started_at=NIGHT_2)
    gate = gate_of(project, store, "new")
    assert gate.correlation.rho == pytest.approx(1.0)
    assert gate.status is GateStatus.UNDECIDED


def test_who_else_runs_tonight_changes_nothing(store):
    """The same newcomer beside six other models of the same night."""
    project = project_of(*KNOWN, NEW)
    store_night(store, project_of(*KNOWN), unlike)
    store_night(
        store,
        project,
        lambda s, m, c: (unlike if m.id == "new" else alike)(s, m, c),
        run_id="night-2",
        started_at=NIGHT_2,
    )
    assert gate_of(project, store, "new").correlation.run_id == "night-1"
    assert gate_of(project, store, "new").correlation.rho < 0.5


def _correlations(project, store):
    return read_history(project, store, runs_that_count(project, store)).correlations


@pytest.mark.parametrize(
    ("models", "answers", "fields"),
    [
        (KNOWN[:4], unlike, {}),
        (KNOWN, lambda *_: Answer(), {}),
        (KNOWN, answers_missing(10, then=unlike), {}),
        (KNOWN, unlike, {"finished_at": None, "status": RunStatus.INTERRUPTED}),
        (KNOWN, unlike, {"finished_at": NIGHT_2 + 1}),
    ],
    ids=["four models", "no spread", "too much missing", "never ended", "ended after tonight began"],
)
def test_what_says_nothing(store, models, answers, fields):
    """Fewer than five whole models whose answers differ, or a run that was not over."""
    project = project_of(*KNOWN, NEW)
    store_night(store, project_of(*models), answers, **fields)
    tonight = store_night(store, project_of(NEW), unlike, run_id="night-2", started_at=NIGHT_2)
    assert _correlations(project, store).before(tonight, "qa", "exact") is None


def test_the_newest_run_that_says_something(store):
    """A later run of few models does not take away what an earlier one showed; a later one of many replaces it."""
    project = project_of(*KNOWN, NEW)
    first = store_night(store, project_of(*KNOWN), alike)
    store_night(store, project_of(*KNOWN[:2]), unlike, run_id="night-2", started_at=NIGHT_2)
    third = store_night(store, project_of(*KNOWN), unlike, run_id="night-3", started_at=NIGHT_2 + DAY_S)
    fourth = replace(third, run_id="night-4", started_at=NIGHT_2 + 2 * DAY_S)
    found = _correlations(project, store)
    assert found.before(first, "qa", "exact") is None
    assert found.before(third, "qa", "exact").run_id == "night-1"
    assert found.before(fourth, "qa", "exact").run_id == "night-3"


def test_over_suites_takes_the_strongest_and_needs_all():
    """A gate over several suites must not profit from the one whose clusters say least."""

    class Known(Correlations):
        def __init__(self, **known):
            self._given = known

        def before(self, _run, suite, _metric):
            return self._given.get(suite)

    one, two = a_suite("one"), a_suite("two")
    weak, strong = replace(CORRELATION, rho=0.1), replace(CORRELATION, rho=0.6)
    assert Known(one=weak, two=strong).over_suites(None, [one, two], "refusal") is strong
    assert Known(one=weak).over_suites(None, [one, two], "refusal") is None


def test_it_is_in_the_file(store):
    """A reader of the eligibility file sees which run a bound rests on."""
    project = project_of(*KNOWN, NEW)
    store_night(store, project_of(*KNOWN), unlike)
    store_night(store, project_of(NEW), unlike, run_id="night-2", started_at=NIGHT_2)
    decision = decide(project, store)
    made = eligibility_from_decision(project, decision, is_simulated=False, evalkit_version="0")
    (candidate,) = made.tasks["qa"].candidates
    (gate,) = candidate.gates
    assert (gate.correlation.run, gate.correlation.n_models) == ("night-1", 6)


def test_a_gate_over_suites_takes_what_is_known_of_all(store):
    """Of two suites one was always answered alike within its pairs: that one counts, and without it none does."""

    def answers(suite, model, case):
        return (alike if suite.name == "two" else unlike)(suite, model, case)

    suites = [pairs(name=name, task="qa") for name in ("one", "two")]
    gates = [{"metric": "exact", "at_least": 0.95}]

    def over(suites, models):
        made = a_project(suites, models=models)
        policy = made.policy.model_validate(made.policy.model_dump() | {"model_gates": gates})
        return replace(made, policy=policy)

    store_night(store, over(suites, KNOWN), answers)
    store_night(store, over(suites, [NEW]), answers, run_id="night-2", started_at=NIGHT_2)
    (found,) = [one for one in decide(over(suites, [*KNOWN, NEW]), store).verdicts if one.model_id == "new"]
    *_, everywhere = found.gates
    assert everywhere.suite == "*"
    assert everywhere.correlation.rho == pytest.approx(1.0)

    third = pairs(name="three", task="qa")
    store_night(store, over([*suites, third], [NEW]), answers, run_id="night-3", started_at=NIGHT_2 + DAY_S)
    (found,) = [one for one in decide(over([*suites, third], [*KNOWN, NEW]), store).verdicts if one.model_id == "new"]
    assert found.gates[-1].correlation is None
