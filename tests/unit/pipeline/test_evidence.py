"""Evidence: what the store holds of one suite × model, and when that is a measurement."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.outcome import IdentityClass, Kind
from evalkit.pipeline import decide as deciding
from evalkit.pipeline.decide import decide
from evalkit.pipeline.evidence import ReadOnce, failed_triples, read_measurements
from evalkit.pipeline.history import MAX_NIGHTS, read_history
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT, a_case, a_model, a_suite
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import (
    DAY_S,
    Answer,
    a_measurement,
    a_project,
    a_unit,
    answers_failing,
    answers_missing,
    store_night,
)

N = 10


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def a_demo():
    """A project of ten cases."""
    return a_project([a_suite(cases=[a_case(f"c{index}") for index in range(N)])])


def some_units(*missing, n=N, **fields):
    """Units of which those at the given places are missing."""
    kinds = [Kind.CONNECTION if index in missing else Kind.OK for index in range(n)]
    return [a_unit(f"c{index}", kind=kind, sequence=index, **fields) for index, kind in enumerate(kinds)]


def test_a_measurement_holds_every_planned_call_once():
    """All of them, none twice, none in another mode, none filtered."""
    units = some_units()
    assert a_measurement(units).is_complete
    assert not a_measurement([]).is_complete
    assert not a_measurement(units[:-1], n_planned=N).is_complete
    assert not a_measurement([*units[:-1], units[0]]).is_complete
    assert not a_measurement(units, is_partial=True).is_complete
    assert not a_measurement(units, mode="json_schema").is_complete
    assert a_measurement(some_units(*range(N))).is_complete


def test_trials_are_calls_of_their_own():
    """The same case at another trial is no repetition."""
    assert a_measurement([a_unit("c0", trial=trial) for trial in range(3)]).is_complete


def test_age_is_that_of_the_oldest_answer():
    """And the end that of the newest; of nothing at all the run's own start."""
    found = a_measurement(some_units())
    assert (found.measured_at, found.last_at) == (STARTED_AT, STARTED_AT + 0.5 * (N - 1))
    empty = a_measurement([])
    assert (empty.measured_at, empty.last_at) == (STARTED_AT, STARTED_AT)


@pytest.mark.parametrize(("missing", "coverage"), [((), 1.0), ((0, 5, 9), 0.7), (range(N), 0.0)])
def test_coverage_is_the_answered_share(missing, coverage):
    """Of what was planned."""
    assert a_measurement(some_units(*missing)).coverage == coverage


def test_nothing_planned_is_nothing_covered():
    """An empty plan has no coverage and no outage."""
    empty = a_measurement([])
    assert (empty.coverage, empty.longest_outage_share) == (0.0, 0.0)


@pytest.mark.parametrize(("missing", "share"), [((), 0), ((1, 3, 5), 0.1), ((1, 2, 3, 7), 0.3), (range(N), 1.0)])
def test_an_outage_is_a_row_of_missing_calls(missing, share):
    """In the order they were sent, whatever order they are stored in."""
    units = some_units(*missing)
    assert a_measurement(units[::-1]).longest_outage_share == share


def test_identity_is_the_weakest_of_what_answered():
    """Missing calls have none; nothing at all is unverifiable."""
    units = some_units(3, identity_class=IdentityClass.ATTESTED)
    assert a_measurement(units).identity_class is IdentityClass.ATTESTED
    units[0] = a_unit("c0", identity_class=IdentityClass.UNVERIFIABLE)
    assert a_measurement(units).identity_class is IdentityClass.UNVERIFIABLE
    assert a_measurement(some_units(*range(N))).identity_class is IdentityClass.UNVERIFIABLE


def test_served_names_are_those_of_answers():
    """A missing call and an empty name say nothing."""
    units = [
        a_unit("a", served_model="x"),
        a_unit("b", kind=Kind.TIMEOUT, served_model="y"),
        a_unit("c", served_model=""),
    ]
    assert a_measurement(units).served_models == {"x"}


def test_samples_split_known_from_missing():
    """Values with their clusters, and the clusters of what nobody knows."""
    units = [
        a_unit("a", cluster_id="p", exact=0.5),
        a_unit("b", cluster_id="q", exact=None),
        a_unit("c", cluster_id="r", kind=Kind.TIMEOUT),
        a_unit("d"),
    ]
    found = a_measurement(units).samples("exact", wants=lambda unit: unit.case_id != "d")
    assert (found.values, found.clusters, found.missing_clusters, found.n) == ([0.5], ["p"], ["q", "r"], 3)
    assert a_measurement(units).samples("unknown", wants=lambda _unit: True).n == 4


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        (Kind.REFUSAL, "refusal"),
        (Kind.REFUSAL, "over_refusal"),
        (Kind.SAFETY_BLOCK, "safety_block"),
        (Kind.TRUNCATED, "truncated"),
        (Kind.EMPTY, "empty"),
    ],
)
def test_shares_count_their_kind(kind, metric):
    """One for the kind, nothing for another, unknown for a missing call."""
    units = [a_unit("a", kind=kind), a_unit("b"), a_unit("c", kind=Kind.CONNECTION)]
    found = a_measurement(units).samples(metric, wants=lambda _unit: True)
    assert (found.values, found.missing_clusters) == ([1.0, 0.0], ["c"])


def test_reading_takes_what_was_asked_for(store):
    """Only pairs the run planned; scores and outcomes meet by their call."""
    project = a_demo()
    run = store_night(store, project, answers_failing(4))
    found = read_measurements(store, run, wanted=[("qa", "gpt-4o"), ("qa", "other"), ("mail", "gpt-4o")])
    (measurement,) = found.values()
    assert [unit.scores["exact"] for unit in measurement.units] == [0.0] * 4 + [1.0] * 6
    assert (measurement.run, measurement.cell) == (run, run.cells[0])


def test_unscored_is_kept_apart_from_zero(store):
    """None, not 0."""
    run = store_night(store, a_demo(), lambda _suite, _model, _case: Answer(scores={"exact": None}))
    (measurement,) = read_measurements(store, run, wanted=[("qa", "gpt-4o")]).values()
    assert {unit.scores["exact"] for unit in measurement.units} == {None}


def test_history_is_newest_first_and_ends_with_the_pool(store):
    """No more nights are read than are pooled, behind those that have not expired: today's and the two before."""
    project = a_demo()
    for number in range(MAX_NIGHTS + 6):
        store_night(store, project, answers_failing(0), run_id=f"n{number}", started_at=STARTED_AT + number * DAY_S)
    runs = store.runs(project=project.name, environment="test")
    history = read_history(project, store, runs)
    found = history.of(project.suites[0], project.roster.models[0])
    assert [one.run.run_id for one in found] == [f"n{number}" for number in range(MAX_NIGHTS + 5, 2, -1)]
    assert history.last_at == STARTED_AT + (MAX_NIGHTS + 5) * DAY_S + 0.5 * N
    assert history.stale == frozenset()


def test_history_of_nothing(store):
    """Nothing measured, nothing stale."""
    project = a_demo()
    history = read_history(project, store, ())
    assert (history.of(project.suites[0], a_model()), history.last_at) == ([], 0.0)


def test_failed_are_all_but_full_marks(store):
    """Wrong, unscored or missing: each is worth another look."""

    def answers(_suite, _model, case):
        special = {
            "c0": Answer(scores={"exact": 0.0}),
            "c1": Answer(scores={"exact": 0.99}),
            "c2": Answer(scores={"exact": None}),
            "c3": Answer(kind=Kind.REFUSAL),
            "c4": Answer(kind=Kind.TIMEOUT),
        }
        return special.get(case.id, Answer())

    run = store_night(store, a_demo(), answers)
    assert failed_triples(store, run) == {("qa", f"c{index}", "gpt-4o") for index in range(5)}


def test_nothing_failed(store):
    """Then there is nothing to name."""
    run = store_night(store, a_demo(), answers_failing(0))
    assert failed_triples(store, run) == frozenset()
    missing = store_night(store, a_demo(), answers_missing(N, then=answers_failing(0)), run_id="r2")
    assert len(failed_triples(store, missing)) == N


class Counting(MemoryStore):
    """A store that counts how often its answers are walked without their payloads."""

    n_walks = 0

    def outcomes(self, run_id, **which):
        """Yield as the store does."""
        self.n_walks += which.get("with_payloads") is False
        return super().outcomes(run_id, **which)


def a_counted_night(n_suites=2):
    """A store with one night of several suites, and its run."""
    suites = [a_suite(f"s{index}", cases=[a_case(f"c{number}") for number in range(N)]) for index in range(n_suites)]
    project = a_project(suites, models=[a_model("a"), a_model("b")])
    store = Counting(clock=ManualClock())
    return store, store_night(store, project, answers_failing(3))


@pytest.mark.parametrize("max_units", [1000, 500, 25, 1])
def test_reading_once_reads_the_same(max_units):
    """Whatever fits, the measurements are those of the store."""
    store, run = a_counted_night()
    pairs = [(cell.suite, cell.model_id) for cell in run.cells]
    once = ReadOnce(store, max_units=max_units)
    for _ in range(2):
        for pair in pairs:
            (found,) = read_measurements(once, run, wanted=[pair]).values()
            (expected,) = read_measurements(store, run, wanted=[pair]).values()
            assert replace(found, units=[*found.units], probes=[*found.probes]) == replace(expected, probes=[])
            assert (len(found.units), found.units[0], found.units[-2:]) == (N, expected.units[0], expected.units[-2:])


def test_a_run_that_fits_is_walked_once():
    """A report looks at the same night several times."""
    store, run = a_counted_night()
    pairs = [(cell.suite, cell.model_id) for cell in run.cells]
    once = ReadOnce(store)
    assert len(pairs) == 4
    for _ in range(3):
        for measurement in read_measurements(once, run, wanted=pairs).values():
            assert len(measurement.units) == N
    assert store.n_walks == 1


def test_what_was_not_used_for_longest_is_let_go():
    """Three of four cells fit: the one just looked at stays, the one nobody came back to is read again."""
    store, run = a_counted_night()
    once = ReadOnce(store, max_units=3 * N)
    one, two, three, four = read_measurements(once, run, wanted=[(c.suite, c.model_id) for c in run.cells]).values()
    for measurement in (one, two, three, one, four, one):
        assert len(measurement.units) == N
    assert store.n_walks == 4
    assert len(two.units) == N
    assert store.n_walks == 5


def test_verdicts_do_not_depend_on_what_is_held(monkeypatch):
    """Held all or one answer at a time: the same verdicts, over several nights, suites and models."""
    suites = [a_suite(f"s{n}", cases=[a_case(f"c{i}", cluster=f"p{i // 2}") for i in range(60)],
                      gates=[{"metric": "exact", "at_least": 0.98}]) for n in range(2)]  # fmt: skip
    project = a_project(suites, models=[a_model(f"m{n}") for n in range(6)])
    store = MemoryStore(clock=ManualClock())
    for night in range(3):
        store_night(
            store,
            project,
            lambda suite, model, case, night=night: Answer(
                scores={"exact": float((suite.active_cases.index(case) * 7 + int(model.id[1:]) + night) % 11 > 0)}
            ),
            run_id=f"r{night}",
            started_at=STARTED_AT + night * DAY_S,
        )
    expected = decide(project, store)
    assert any(gate.correlation for verdict in expected.verdicts for gate in verdict.gates)
    monkeypatch.setattr(deciding, "_MAX_HELD", 1)
    assert decide(project, store) == expected


def test_what_is_not_a_measurement_is_passed_on():
    """Runs, answers and scores are the reader's own."""
    store, run = a_counted_night()
    once = ReadOnce(store)
    assert once.run(run.run_id) == run
    assert once.runs(project=run.project, environment=run.environment) == (run,)
    assert [*once.outcomes(run.run_id, suite="s0", model_id="a")] == [
        *store.outcomes(run.run_id, suite="s0", model_id="a")
    ]
    assert [*once.scores(run.run_id, suite="s0")] == [*store.scores(run.run_id, suite="s0")]
