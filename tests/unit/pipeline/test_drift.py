"""Drift: which nights a chart runs over, what it tells, and what it refuses to tell."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from evalkit.domain.outcome import Kind
from evalkit.domain.run import RunStatus
from evalkit.errors import NotFoundError
from evalkit.pipeline.drift import find_drifts
from evalkit.stats.cusum import NIGHTS_NEEDED
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT, a_case, a_model, a_suite
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import DAY_S, Answer, a_project, answers_failing, answers_missing, store_night

N = 40


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def a_demo(**fields):
    """A project of one suite of forty cases."""
    return a_project([a_suite(cases=[a_case(f"c{index}") for index in range(N)])], **fields)


def nights(store, project, answers, numbers, **fields):
    """Measure on each of these nights; the failures wander from case to case, as chance has it."""
    for number in numbers:
        started_at = STARTED_AT + number * DAY_S
        store_night(store, project, answers(number), run_id=f"night-{number}", started_at=started_at, **fields)


def failing(n, **fields):
    """Answers of which n fail, other ones each night."""
    return lambda number: answers_failing(n, first=number % (N - n), **fields)


def chart(found, metric="exact"):
    """The chart of a metric."""
    (one,) = (chart for chart in found.charts if chart.metric == metric)
    return one


def test_quiet_nights_are_steady(store):
    """Every metric has its chart, and none alarms."""
    project = a_demo()
    nights(store, project, failing(4), range(20))

    found = find_drifts(project, store)

    assert [(one.metric, one.of, one.unit) for one in found.charts] == [
        ("exact", "mean", "difference"), ("refusal", "mean", "difference"), ("output_tokens", "mean", "ratio"),
        ("latency_s", "p50", "ratio"), ("cost_usd", "per_success", "ratio"),
    ]  # fmt: skip
    assert {one.state for one in found.charts} == {"steady"}
    assert (found.n_family, found.threshold, found.n_runs) == (5, 8.05, 20)
    assert chart(found).levels == pytest.approx([0.9] * 20)


def test_drop_is_named_with_its_night_and_size(store):
    """A drop by a quarter from night 12 on is told of night 12, to the worse, with its interval."""
    project = a_demo()
    nights(store, project, failing(4), range(12))
    nights(store, project, failing(14), range(12, 18))

    one = chart(find_drifts(project, store))

    (drift,) = one.drifts
    assert (one.state, drift.direction, drift.change_run) == ("worse", "worse", "night-12")
    assert drift.change_at == STARTED_AT + 12 * DAY_S
    assert drift.alarm_at > drift.change_at
    assert drift.size.value == pytest.approx(-0.25)
    assert drift.size.lower < -0.25 < drift.size.upper < 0
    assert (drift.size.method, drift.size.n, drift.size.n_clusters) == ("within_case_t", 18 * N, N)


def test_rise_is_better(store):
    """The same the other way round is told, and is no reason to act."""
    project = a_demo()
    nights(store, project, failing(14), range(12))
    nights(store, project, failing(4), range(12, 18))
    assert chart(find_drifts(project, store)).state == "better"


@pytest.mark.parametrize(
    ("metric", "before", "after"),
    [
        ("refusal", {}, {"kind": Kind.REFUSAL}),
        ("output_tokens", {"output_tokens": 100}, {"output_tokens": 150}),
        ("latency_s", {"latency_s": 1.0}, {"latency_s": 1.5}),
        ("cost_usd", {"cost_usd": 0.01}, {"cost_usd": 0.02}),
    ],
)
def test_more_of_a_measure_is_worse(store, metric, before, after):
    """Refusals, length, latency and cost are worse when they grow."""
    project = a_demo()

    def answers(number):
        changed = Answer(**(after if number >= 12 else before))
        plain = Answer(**before)
        return lambda suite, _model, case: changed if suite.active_cases.index(case) % 2 else plain

    nights(store, project, answers, range(20))
    one = chart(find_drifts(project, store), metric)

    expected = {"refusal": 0.5, "output_tokens": 1.25, "latency_s": 1.0, "cost_usd": 1.5}[metric]
    if metric == "latency_s":  # half the calls stay: the median is the lower of the two
        assert one.state == "steady"
    else:
        assert one.state == "worse"
        assert one.drifts[0].size.value == pytest.approx(expected)


def test_slower_is_worse(store):
    """A median latency that doubles is told, as a ratio."""
    project = a_demo()

    def answers(number):
        return answers_failing(0, latency_s=(2.0 if number >= 14 else 1.0) * (1 + 0.01 * (number % 3)))

    nights(store, project, answers, range(20))
    one = chart(find_drifts(project, store), "latency_s")
    assert (one.state, one.drifts[0].change_run) == ("worse", "night-14")
    assert one.drifts[0].size.value == pytest.approx(2.0, rel=0.02)


def test_small_drift_is_shown_and_not_acted_on(store):
    """A step below the smallest worth acting on leaves the chart steady."""
    project = a_demo()
    nights(store, project, lambda number: answers_failing(0, output_tokens=105 if number >= 12 else 100), range(20))

    one = chart(find_drifts(project, store), "output_tokens")

    assert one.state == "steady"
    assert one.drifts[0].is_small


def test_recovered_is_steady_again(store):
    """What a later drift made good is told, and is no drift any more."""
    project = a_demo()
    nights(store, project, failing(4), range(12))
    nights(store, project, failing(14), range(12, 24))
    nights(store, project, failing(4), range(24, 36))

    one = chart(find_drifts(project, store))

    assert [drift.direction for drift in one.drifts] == ["worse", "better"]
    assert [drift.change_run for drift in one.drifts] == ["night-12", "night-24"]
    assert one.state == "steady"


def test_one_bad_night_is_no_drift(store):
    """A single night of failures is for `compare` and the gates."""
    project = a_demo()
    nights(store, project, failing(4), range(12))
    nights(store, project, failing(0, metric="other", kind=Kind.EMPTY), [12])
    nights(store, project, failing(4), range(13, 20))
    one = chart(find_drifts(project, store))
    assert (one.state, one.drifts) == ("steady", ())


@pytest.mark.parametrize("n_nights", [0, 1, NIGHTS_NEEDED - 1])
def test_too_few_nights_say_how_many_more(store, n_nights):
    """Below the smallest number of nights a chart is unjudged, never steady."""
    project = a_demo()
    nights(store, project, failing(4), range(n_nights))
    one = chart(find_drifts(project, store))
    assert (one.state, one.n_nights, one.n_needed) == ("unjudged", n_nights, NIGHTS_NEEDED - n_nights)


def test_another_served_name_begins_a_new_series(store):
    """The chart restarts, and says who answered before."""
    project = a_demo()
    nights(store, project, failing(14, served_model="other"), range(10))
    nights(store, project, failing(4), range(10, 20))
    one = chart(find_drifts(project, store))
    assert (one.n_nights, one.began, one.state) == (10, "served other before, gpt-4o now", "steady")


def test_another_fingerprint_begins_a_new_series(store, monkeypatch):
    """A fingerprint none of the newer nights shows is another system behind the same name."""
    project = a_demo()
    nights(store, project, failing(4), range(20))
    plain = store.outcomes

    def outcomes(run_id, **wanted):
        fingerprint = "fp_old" if int(run_id.removeprefix("night-")) < 5 else "fp_new"
        for outcome in plain(run_id, **wanted):
            yield replace(outcome, identity=replace(outcome.identity, system_fingerprint=fingerprint))

    monkeypatch.setattr(store, "outcomes", outcomes)
    one = chart(find_drifts(project, store))
    assert (one.n_nights, one.began) == (15, "fingerprint fp_old before, fp_new now")


def test_changed_files_begin_a_new_series(store):
    """Other prompts, another roster entry, other scorers, another mode: nights before are no nights of this chart."""
    project = a_demo()
    (suite,), model = project.suites, project.roster.models[0]
    reworded = suite.model_copy(update={"request": suite.request.model_copy(update={"prompt": "Now: {{ text }}"})})
    for changed, told in (
        (a_project([reworded]), "its prompts changed"),
        (a_demo(models=[model.model_copy(update={"route": "elsewhere"})]), "its entry in the roster changed"),
    ):
        fresh = MemoryStore(clock=ManualClock())
        nights(fresh, project, failing(4), range(10))
        nights(fresh, changed, failing(4), range(10, 13))
        one = chart(find_drifts(changed, fresh))
        assert (one.n_nights, one.n_needed, one.began) == (3, NIGHTS_NEEDED - 3, told)


def test_another_request_mode_begins_a_new_series(store):
    """Answers to JSON mode and to plain text are not of one series."""
    project = a_demo()
    nights(store, project, failing(4), [0])
    cells = tuple(replace(cell, mode="json_object") for cell in store.run("night-0").cells)
    nights(store, project, failing(4), range(1, 5), cells=cells)
    nights(store, project, failing(4), range(5, 15))
    one = chart(find_drifts(project, store))
    assert (one.n_nights, one.began) == (10, "asked as json_object before, as text now")


def test_unknown_lengths_are_not_zero(store):
    """A night without usage is no night of the length chart, and one of every other."""
    project = a_demo()
    nights(store, project, failing(4), range(10))
    nights(store, project, failing(4, output_tokens=None), range(10, 12))
    found = find_drifts(project, store)
    assert (chart(found, "output_tokens").n_nights, chart(found, "output_tokens").excluded) == (10, {"no_value": 2})
    assert chart(found).n_nights == 12


def test_nights_graded_otherwise_can_be_brought_back(store):
    """Nights graded by other scorers end the series, and the run to grade again is named."""
    project = a_demo()
    nights(store, project, failing(4), range(10), suite_digests=(("qa", "sha256:other"),))
    nights(store, project, failing(4), range(10, 13))
    one = chart(find_drifts(project, store))
    assert one.n_nights == 3
    assert "evalkit score night-9" in one.began


def test_a_dead_gateway_changed_no_scorer(store):
    """A night that was interrupted before anything was graded is passed over, and the series goes on behind it."""
    project = a_demo()
    nights(store, project, failing(4), range(9))
    silent = answers_missing(N, kind=Kind.CONNECTION, then=answers_failing(0))
    nights(store, project, lambda _: silent, [9], suite_digests=(), status=RunStatus.INTERRUPTED)
    nights(store, project, failing(4), range(10, 20))

    one = chart(find_drifts(project, store))

    assert (one.n_nights, one.began, one.excluded) == (19, "", {"incomplete": 1})


def test_nights_that_do_not_count_are_counted(store):
    """Outages, unfinished and filtered runs lie between the nights of a chart, and are named."""
    project = a_demo()
    nights(store, project, failing(4), range(8))
    nights(store, project, lambda _: answers_missing(10, then=answers_failing(4)), [8])
    nights(store, project, lambda _: lambda suite, _m, case: None if case.id == "c0" else Answer(), [9],
           status=RunStatus.INTERRUPTED)  # fmt: skip
    partial = tuple(replace(cell, is_partial=True) for cell in store.run("night-1").cells)
    nights(store, project, failing(4), [10], cells=partial)
    nights(store, project, failing(4), [11], cells=())
    nights(store, project, failing(4), range(12, 15))

    one = chart(find_drifts(project, store))

    assert one.n_nights == 11
    assert one.excluded == {"thin": 1, "incomplete": 1, "partial": 1, "not_measured": 1}


def test_nights_before_a_model_joined_are_not_missing(store):
    """Runs older than the first night of a pair are not nights it missed."""
    alone, joined = a_demo(), a_demo(models=[a_model(), a_model("newcomer")])
    nights(store, alone, failing(4), range(10))
    nights(store, joined, failing(4), range(10, 12))
    found = find_drifts(joined, store, model_ids=["newcomer"])
    assert chart(found).excluded == {}


def test_extensions_do_not_count(store):
    """A run that asked five times as often, because a night looked bad, is no night of its own."""
    project = a_demo()
    nights(store, project, failing(4), range(10))
    (suite,) = project.suites
    again = a_project([suite.model_copy(update={"trials": 5})])
    nights(store, again, failing(4), [10])
    one = chart(find_drifts(project, store))
    assert (one.n_nights, one.excluded) == (10, {"extension": 1})


def test_unknown_cost_is_not_zero(store):
    """Without a price there is no cost chart to judge, and the reason is counted."""
    project = a_demo()
    nights(store, project, failing(4, cost_usd=None), range(12))
    one = chart(find_drifts(project, store), "cost_usd")
    assert (one.state, one.n_nights, one.excluded) == ("unjudged", 0, {"no_value": 12})


def test_the_simulator_is_no_evidence_about_another_gateway(store):
    """Runs through another kind of gateway are not read."""
    project = a_demo()
    nights(store, project, failing(4), range(10), gateway_kind="simulator")
    found = find_drifts(project, store)
    assert (found.n_runs, chart(found).n_nights) == (0, 0)


def test_selection_changes_what_is_shown_not_what_is_said(store):
    """Threshold and family are those of the whole project, whoever is looked at."""
    project = a_demo(models=[a_model(), a_model("other")])
    nights(store, project, failing(4), range(10))
    every, one = find_drifts(project, store), find_drifts(project, store, model_ids=["other"])
    assert {found.model_id for found in one.charts} == {"other"}
    assert [found for found in every.charts if found.model_id == "other"] == list(one.charts)
    assert (every.n_family, every.threshold) == (one.n_family, one.threshold)


def test_only_the_newest_nights_are_read(store):
    """Older nights than asked for are not there."""
    project = a_demo()
    nights(store, project, failing(4), range(20))
    assert chart(find_drifts(project, store, max_nights=9)).n_nights == 9


@pytest.mark.parametrize(("field", "what"), [("suites", "suite"), ("model_ids", "model")])
def test_unknown_names_are_refused(store, field, what):
    """A suite or model that is not in the files is an input error that lists those that are."""
    with pytest.raises(NotFoundError, match=f"no {what} 'nosuch'"):
        find_drifts(a_demo(), store, **{field: ["nosuch"]})


def test_length_against_the_incumbent(store):
    """Mean output tokens over the incumbent's, paired per case, whoever was asked for."""
    project = a_demo(models=[a_model(), a_model("wordy")], tasks={"qa": {"incumbent": "gpt-4o"}})

    def answers(suite, model, case):
        index = suite.active_cases.index(case)
        return Answer(output_tokens=10 + index if model.id == "gpt-4o" else 25 + index)

    nights(store, project, failing(0), [1])
    store_night(store, project, answers, run_id="night-2", started_at=STARTED_AT + 2 * DAY_S)
    for chosen in ((), ("wordy",)):
        (length,) = find_drifts(project, store, model_ids=chosen).lengths
        expected = math.fsum(25 + i for i in range(N)) / math.fsum(10 + i for i in range(N))
        assert (length.model_id, length.incumbent, length.run_id) == ("wordy", "gpt-4o", "night-2")
        assert length.ratio.value == pytest.approx(expected)
        assert length.ratio.lower < expected < length.ratio.upper
        assert (length.ratio.n, length.ratio.n_clusters) == (N, N)


def test_no_incumbent_no_length(store):
    """Without an incumbent, or without lengths, there is nothing to hold a length against."""
    nights(store, a_demo(), failing(4), range(2))
    assert find_drifts(a_demo(), store).lengths == ()
    project = a_demo(models=[a_model(), a_model("other")], tasks={"qa": {"incumbent": "gpt-4o"}})
    nights(store, project, failing(0, output_tokens=0), range(2, 4))
    assert find_drifts(project, store).lengths == ()


def test_order_of_reading_does_not_matter(store):
    """The same nights put in backwards give the same charts."""
    project, backwards = a_demo(), MemoryStore(clock=ManualClock())
    nights(store, project, failing(4), range(12))
    nights(backwards, project, failing(4), reversed(range(12)))
    assert find_drifts(project, store) == find_drifts(project, backwards)
