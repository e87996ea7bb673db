"""Summary: what readers see of a run; what is unknown is shown as unknown."""

from __future__ import annotations

import pytest

from evalkit.domain.outcome import Kind
from evalkit.pipeline.compare import compare_run
from evalkit.pipeline.decide import decide
from evalkit.pipeline.summary import report_of
from evalkit.stats.bounds import wilson_interval
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import a_case, a_model, a_suite
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import Answer, a_project, answers_failing, answers_missing, store_night

N = 40


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def a_demo(names=("gpt-4o",), *suites):
    """A project of forty cases."""
    suite = a_suite(cases=[a_case(f"c{index}") for index in range(N)])
    return a_project(suites or [suite], models=[a_model(name) for name in names])


def reported(store, project, answers, **fields):
    """The report of one night."""
    run = store_night(store, project, answers, **fields)
    return report_of(project, store, run, verdicts=decide(project, store).verdicts)


def cell(report, metric, model_id="gpt-4o"):
    """The estimate of one metric."""
    return next(one.estimate for one in report.cells if (one.metric, one.model_id) == (metric, model_id))


def test_head_is_the_runs(store):
    """Title, environment, run and the time it ended."""
    project = a_demo()
    report = reported(store, project, answers_failing(0))
    assert (report.title, report.environment, report.model_ids) == ("demo", "test", ("gpt-4o",))
    assert report.generated_at == report.run.finished_at
    assert report.suites == project.suites


def test_a_killed_run_is_dated_by_its_start(store):
    """There is no end to date it by."""
    report = reported(store, a_demo(), answers_failing(0), finished_at=None)
    assert report.generated_at == report.run.started_at


def test_cells_show_wilson(store):
    """Scores and the measures always shown, with an interval made for the eye."""
    report = reported(store, a_demo(), answers_failing(4))
    assert {one.metric for one in report.cells} == {"exact", "refusal", "truncated", "availability"}
    shown, wilson = cell(report, "exact"), wilson_interval(0.9, N)
    assert (shown.value, shown.lower, shown.upper, shown.method) == (0.9, wilson.low, wilson.high, "wilson")
    assert (shown.n, shown.n_clusters, shown.level) == (N, N, 0.95)


def test_metrics_without_a_number_have_no_cell(store):
    """An outage leaves availability and nothing else."""
    report = reported(store, a_demo(), answers_missing(N, then=answers_failing(0)))
    assert {one.metric for one in report.cells} == {"availability"}
    assert cell(report, "availability").value == 0


def test_model_summary_counts(store):
    """Calls, missing ones, kinds, cost, latency and quality."""
    report = reported(store, a_demo(), answers_missing(10, kind=Kind.TIMEOUT, then=answers_failing(5, first=10)))
    (model,) = report.models
    assert (model.n_calls, model.n_missing, model.kinds) == (N, 10, (("ok", 30), ("timeout", 10)))
    assert model.cost_usd == pytest.approx(0.03)
    assert model.cost_per_success_usd == pytest.approx(0.03 / 25)
    assert (model.latency_p50_s, model.latency_p95_s) == (0.25, 0.25)
    assert model.mean_quality == pytest.approx(25 / 30)
    assert model.identity_class == "self_reported"


def test_unknown_stays_unknown(store):
    """No price, no latency, no score: None, never 0."""
    answers = lambda _s, _m, _c: Answer(cost_usd=None, latency_s=None, scores={"exact": None})  # noqa: E731
    (model,) = reported(store, a_demo(), answers).models
    assert (model.cost_usd, model.cost_per_success_usd, model.mean_quality) == (None, None, None)
    assert (model.latency_p50_s, model.latency_p95_s) == (None, None)


def test_nothing_answered_is_unknown(store):
    """An outage costs nobody knows what."""
    (model,) = reported(store, a_demo(), answers_missing(N, then=answers_failing(0))).models
    assert (model.cost_usd, model.identity_class, model.n_missing) == (None, "unverifiable", N)


def test_quality_is_the_mean_of_suites(store):
    """A large suite does not drown a small one."""
    suites = [
        a_suite("small", cases=[a_case(f"c{i}") for i in range(10)]),
        a_suite("large", cases=[a_case(f"c{i}") for i in range(90)]),
    ]

    def answers(suite, _model, _case):
        return Answer(scores={"exact": float(suite.name == "large")})

    assert reported(store, a_demo(("gpt-4o",), *suites), answers).models[0].mean_quality == 0.5


def test_only_models_of_the_run_are_shown(store):
    """A model of the roster that this run left out has no column and no verdict here."""
    project = a_demo(("a", "b"))
    run = store_night(store, a_demo(("b",)), answers_failing(0))
    report = report_of(project, store, run, verdicts=decide(project, store).verdicts)
    assert report.model_ids == ("b",)
    assert [one.model_id for one in report.verdicts] == ["b"]
    assert [one.model_id for one in report.models] == ["b"]


def test_suites_that_are_gone_are_left_out(store):
    """A run may hold a suite the project does not have any more."""
    old = a_project([a_suite("old"), a_suite("new")])
    run = store_night(store, old, answers_failing(0))
    report = report_of(a_project([a_suite("new")]), store, run, verdicts=())
    assert {one.suite for one in report.cells} == {"new"}
    assert [suite.name for suite in report.suites] == ["new"]


def test_comparisons_are_passed_on(store):
    """What was compared is shown with the run."""
    project = a_demo()
    before = store_night(store, project, answers_failing(0))
    run = store_night(store, project, answers_failing(9), run_id="night-2")
    found = compare_run(project, store, run, baseline=before).comparisons
    assert report_of(project, store, run, verdicts=(), comparisons=list(found)).comparisons == found


def test_overhead_is_of_the_models_pairs(store):
    """One model was paired, the other was not: not measured, never zero."""
    project = a_demo(("one", "two"))

    def answers(_suite, model, _case):
        return Answer(latency_s=0.75, direct_s=0.5, direct_usd=0.25) if model.id == "one" else Answer()

    one, two = reported(store, project, answers).models
    assert (one.overhead.p50.value, one.overhead.n_pairs, one.direct_usd) == (0.25, N, 0.25 * N)
    assert (two.overhead, two.direct_usd) == (None, 0.0)
    assert one.cost_usd == two.cost_usd


def test_an_unknown_price_of_the_baseline_is_unknown(store):
    """One request of unknown cost makes the sum unknown."""
    (model,) = reported(store, a_demo(), lambda *_: Answer(direct_s=0.1, direct_usd=None)).models
    assert model.direct_usd is None
