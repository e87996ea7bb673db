"""What earlier runs say of clusters: from which of them, for whom, and what it changes: a fail, and never a pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.run import Look, RunStatus
from evalkit.domain.verdict import GateStatus
from evalkit.pipeline.decide import decide
from evalkit.pipeline.history import read_history, runs_that_count
from evalkit.stats.bounds import gate_bound
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import a_case, a_model, a_suite
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import DAY_S, Answer, a_project, answers_missing, store_night
from evalkit.testing.verdicts import NIGHT_2

N_CLUSTERS = 40
KNOWN = tuple(a_model(f"known-{number}") for number in range(6))
NEW = a_model("new")
N_WRONG = 8
"""Of eighty, each in a pair of its own: fails a .95 gate if pairs are independent, and not if nobody knows."""


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def pairs(name="qa", **fields):
    """A suite of forty pairs of cases, gated at .95."""
    cases = [
        a_case(f"c{n}", cluster=f"p{n // 2}", tags=("first",) if n % 2 == 0 else ()) for n in range(2 * N_CLUSTERS)
    ]
    return a_suite(name, **({"cases": cases, "gates": [{"metric": "exact", "at_least": 0.95}]} | fields))


def project_of(*models, suite=None):
    """That suite, asked of these models."""
    return a_project([suite or pairs()], models=models)


def answer_of(suite, model, case, *, is_alike):
    """Right or wrong; the newcomer is wrong on the first of eight pairs, whatever the others do."""
    place = suite.active_cases.index(case)
    if model.id == "new":
        return Answer(scores={"exact": float(place % 2 == 1 or place // 2 >= N_WRONG)})
    is_hard = (place // 2 + int(model.id[-1])) % 4 == 0
    return Answer(scores={"exact": float(not is_hard or (not is_alike and place % 2 == 1))})


def unlike(suite, model, case):
    """Answers of a pair have nothing in common."""
    return answer_of(suite, model, case, is_alike=False)


def alike(suite, model, case):
    """Both answers of a pair are right, or both are wrong."""
    return answer_of(suite, model, case, is_alike=True)


def gate_of(project, store, model_id="new", *, place=0):
    """A gate of a model."""
    (found,) = [one for one in decide(project, store).verdicts if one.model_id == model_id]
    return found.gates[place]


def test_without_history_nobody_knows(store):
    """Whether the second of a pair says anything new: .5 is assumed, and the gate stays open."""
    store_night(store, project_of(NEW), unlike)
    gate = gate_of(project_of(NEW), store)
    assert (gate.status, gate.correlation) == (GateStatus.UNDECIDED, None)


def test_what_earlier_runs_show_counts_from_the_next_run_on(store):
    """Six models answered pairs independently, so the newcomer's eighty answers are eighty."""
    project = project_of(*KNOWN, NEW)
    store_night(store, project_of(*KNOWN), unlike)
    assert gate_of(project, store, "known-0").correlation is None, "not in the run that shows it"
    store_night(store, project_of(NEW), unlike, run_id="night-2", started_at=NIGHT_2)
    gate = gate_of(project, store)
    assert gate.status is GateStatus.FAIL
    assert (gate.correlation.run_id, gate.correlation.n_models) == ("night-1", 6)
    values = [float(n % 2 == 1 or n // 2 >= N_WRONG) for n in range(80)]
    expected = gate_bound(values, [n // 2 for n in range(80)], alpha=0.05, rho=gate.correlation.rho)
    assert gate.bound == pytest.approx(expected.upper)
    (verdict,) = [one for one in decide(project, store).verdicts if one.model_id == "new"]
    assert verdict.run_ids == ("night-2", "night-1")


def test_clusters_that_are_alike_stay_worth_one(store):
    """Where the six models were always right or wrong on both, rho is 1, and eight of eighty are no fail."""
    project = project_of(*KNOWN, NEW)
    store_night(store, project_of(*KNOWN), alike)
    store_night(store, project_of(NEW), alike, run_id="night-2", started_at=NIGHT_2)
    assert gate_of(project, store).status is GateStatus.UNDECIDED


def test_a_pass_is_worth_its_clusters_whatever_is_known(store):
    """Eighty perfect answers in forty pairs are forty, on one night as on many."""
    perfect = a_model("perfect")
    project = project_of(*KNOWN, perfect)
    store_night(store, project_of(*KNOWN), unlike)
    for night in range(1, 4):
        store_night(
            store,
            project_of(perfect),
            lambda *_: Answer(),
            run_id=f"night-{night + 1}",
            started_at=NIGHT_2 + night * DAY_S,
        )
        gate = gate_of(project, store, "perfect")
        assert (gate.status, gate.correlation) == (GateStatus.UNDECIDED, None)
        assert gate.bound == pytest.approx(0.05 ** (1 / N_CLUSTERS))


def test_who_else_runs_tonight_changes_nothing(store):
    """The same newcomer alone, beside six models of the same run, and an hour after another run of them."""
    project = project_of(*KNOWN, NEW)
    store_night(store, project_of(*KNOWN), unlike)
    store_night(store, project_of(*KNOWN), alike, run_id="an-hour-before", started_at=NIGHT_2 - 3600)

    def answers(suite, model, case):
        return (unlike if model.id == "new" else alike)(suite, model, case)

    store_night(store, project, answers, run_id="night-2", started_at=NIGHT_2)
    gate = gate_of(project, store)
    assert (gate.status, gate.correlation.run_id) == (GateStatus.FAIL, "night-1")


def known(project, store, judged_run, metric="exact"):
    """What earlier runs say to the newcomer of a run."""
    history = read_history(project, store, runs_that_count(project, store))
    found = next(one for one in history.by_pair["qa", "new"] if one.run.run_id == judged_run)
    return history.correlations.known(found, found, metric)


@pytest.mark.parametrize(
    ("models", "answers", "fields"),
    [
        (KNOWN[:4], unlike, {}),
        (KNOWN, lambda *_: Answer(), {}),
        (KNOWN, answers_missing(10, then=unlike), {}),
        (KNOWN, unlike, {"started_at": NIGHT_2 - 3600}),
        (KNOWN, unlike, {"started_at": NIGHT_2 + 3600, "status": RunStatus.RUNNING}),
    ],
    ids=["four models", "no spread", "too much missing", "the same night", "later"],
)
def test_what_says_nothing(store, models, answers, fields):
    """Fewer than five whole models whose answers differ, or a run that was not of an earlier night."""
    project = project_of(*KNOWN, NEW)
    store_night(store, project_of(*models), answers, **fields)
    store_night(store, project_of(NEW), unlike, run_id="night-2", started_at=NIGHT_2)
    assert known(project, store, "night-2") is None


def test_another_number_of_trials_is_another_cluster(store):
    """What one trial of each pair showed says nothing of pairs asked three times."""
    store_night(store, project_of(*KNOWN), unlike)
    store_night(store, project_of(NEW, suite=pairs(trials=3)), unlike, run_id="night-2", started_at=NIGHT_2)
    assert known(project_of(*KNOWN, NEW, suite=pairs(trials=3)), store, "night-2") is None


def test_a_slice_is_not_the_suite(store):
    """Cases of one tag may be clustered otherwise than the rest, so a gate on them takes what holds without history."""
    gates = [{"metric": "exact", "at_least": 0.95, "where": {"tag": "first"}}, {"metric": "exact", "at_least": 0.95}]
    suite = pairs(gates=gates)
    project = project_of(*KNOWN, NEW, suite=suite)
    store_night(store, project_of(*KNOWN, suite=suite), unlike)
    store_night(store, project_of(NEW, suite=suite), unlike, run_id="night-2", started_at=NIGHT_2)
    of_slice, of_suite = (gate_of(project, store, place=place) for place in (0, 1))
    assert of_slice.correlation is None
    assert known(project, store, "night-2") is not None
    assert of_suite.status in {GateStatus.FAIL, GateStatus.UNDECIDED}


def test_the_newest_run_that_says_something(store):
    """A later run of few models does not take away what an earlier one showed; a later one of many replaces it."""
    project = project_of(*KNOWN, NEW)
    store_night(store, project_of(*KNOWN, NEW), alike)
    store_night(store, project_of(*KNOWN[:2], NEW), unlike, run_id="night-2", started_at=NIGHT_2)
    store_night(store, project_of(*KNOWN, NEW), unlike, run_id="night-3", started_at=NIGHT_2 + DAY_S)
    store_night(store, project_of(NEW), unlike, run_id="night-4", started_at=NIGHT_2 + 2 * DAY_S)
    assert known(project, store, "night-1") is None
    assert known(project, store, "night-3").run_id == "night-1"
    assert known(project, store, "night-4").run_id == "night-3"


def trials_of(*, n_varying):
    """Three trials of forty prompts, eight always wrong; of so many prompts answers have other lengths each time."""
    counts: dict[tuple[str, str], int] = {}

    def answers(suite, model, case):
        place = suite.active_cases.index(case)
        trial = counts[model.id, case.id] = counts.get((model.id, case.id), 0) + 1
        is_wrong = place < N_WRONG if model.id == "new" else (trial + place + int(model.id[-1])) % 5 == 0
        length = 5 + (trial if model.id != "new" or place < n_varying else 0)
        return Answer(scores={"exact": float(not is_wrong)}, output_tokens=length)

    return answers


@pytest.mark.parametrize(
    ("n_varying", "least", "most"), [(40, 0.0, 0.2), (20, 0.5, 0.5), (1, 0.97, 0.98), (0, 1.0, 1.0)]
)
def test_a_model_that_repeats_itself_is_held_to_that(store, n_varying, least, most):
    """Where three trials of a prompt were the same answer, a cache may have given two of them."""
    suite = a_suite(cases=[a_case(f"c{n}") for n in range(40)], gates=[{"metric": "exact", "at_least": 0.95}], trials=3)
    project = project_of(*KNOWN, NEW, suite=suite)
    store_night(store, project_of(*KNOWN, suite=suite), trials_of(n_varying=40))
    store_night(
        store, project_of(NEW, suite=suite), trials_of(n_varying=n_varying), run_id="night-2", started_at=NIGHT_2
    )
    assert least <= known(project, store, "night-2").rho <= most


def test_calls_beyond_a_look_say_nothing(store):
    """An unfinished batch has answers that a look must not see: nor does what they say of clusters."""
    project = project_of(*KNOWN, NEW)
    store_night(store, project_of(*KNOWN), unlike)
    looks = (Look(n_clusters=30, n_calls=60, last_sequence=60), Look(n_clusters=40, n_calls=80, last_sequence=80))

    def judged(n_asked, run_id):
        def answers(suite, model, case):
            return unlike(suite, model, case) if suite.active_cases.index(case) < n_asked else None

        run = store_night(store, project_of(NEW), answers, run_id=run_id, started_at=NIGHT_2)
        store.open_run(replace(run, cells=tuple(replace(cell, looks=looks) for cell in run.cells)))
        found = gate_of(project, store)
        store.forget(run_id)
        return found

    assert judged(60, "short") == judged(71, "longer")


def test_a_gate_over_suites_takes_what_is_known_of_all(store):
    """Of two suites one was always answered alike within its pairs: that one counts; one that is unknown undoes it."""

    def answers(suite, model, case):
        if model.id == "new":
            return Answer(scores={"exact": float(suite.active_cases.index(case) >= 40)})
        return (alike if suite.name == "two" else unlike)(suite, model, case)

    suites = [pairs(name, task="qa") for name in ("one", "two")]
    plain = a_suite("plain", task="qa", cases=[a_case(f"c{n}") for n in range(40)])
    gates = [{"metric": "exact", "at_least": 0.95}]

    def over(suites, models):
        made = a_project(suites, models=models)
        policy = made.policy.model_validate(made.policy.model_dump() | {"model_gates": gates})
        return replace(made, policy=policy)

    def gate_over(suites):
        (found,) = [one for one in decide(over(suites, [*KNOWN, NEW]), store).verdicts if one.model_id == "new"]
        assert (found.gates[-1].suite, found.gates[-1].status) == ("*", GateStatus.FAIL)
        return found.gates[-1].correlation

    store_night(store, over([*suites, plain], KNOWN), answers)
    store_night(store, over([*suites, plain], [NEW]), answers, run_id="night-2", started_at=NIGHT_2)
    assert gate_over([*suites, plain]).rho == pytest.approx(1.0)
    third = pairs("three", task="qa")
    store_night(store, over([third], [NEW]), answers, run_id="night-3", started_at=NIGHT_2 + 60)
    assert gate_over([*suites, third]) is None
