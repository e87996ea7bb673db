"""Compare: the same prompts, paired, and an alarm only when the whole family of tests allows it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.outcome import Kind
from evalkit.domain.run import RunStatus
from evalkit.pipeline.baselines import newest_whole
from evalkit.pipeline.compare import compare_run, previous_run
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT, a_case, a_model, a_suite
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import DAY_S, Answer, a_project, answers_failing, answers_missing, store_night

N = 100
GOOD = answers_failing(2)


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def a_demo(n=N, trials=1, **fields):
    """A project of a hundred cases."""
    return a_project([a_suite(cases=[a_case(f"c{index}") for index in range(n)], trials=trials)], **fields)


def night(store, project, answers, number, **fields):
    """The run of one night."""
    run_id = fields.pop("run_id", f"night-{number}")
    return store_night(store, project, answers, run_id=run_id, started_at=STARTED_AT + number * DAY_S, **fields)


def compared(store, before, after, project=None, **fields):
    """What a night says of the one before: the comparisons with the models' own baselines."""
    project = project or a_demo()
    night(store, project, before, 1)
    return compare_run(project, store, night(store, project, after, 2, **fields)).comparisons


def extended(store, project, answers, *, after=2, hours=3, trials=5, run_id="again", **fields):
    """A run that asks everything again a few hours after a night."""
    suites = [suite.model_copy(update={"trials": trials}) for suite in project.suites]
    started_at = STARTED_AT + after * DAY_S + hours * 3600
    return store_night(store, a_project(suites, models=project.roster.models), answers,
                       run_id=run_id, started_at=started_at, **({"is_partial": True} | fields))  # fmt: skip


def test_unchanged_is_no_regression(store):
    """Equal answers give a difference of 0, a p of 1, and the drop that would have been found."""
    (found,) = compared(store, GOOD, GOOD)
    assert (found.difference, found.p_value, found.is_regression, found.standing) == (0.0, 1.0, False, "none")
    assert (found.suite, found.metric, found.model_id, found.baseline) == ("qa", "exact", "gpt-4o", "night-1")
    assert (found.n, found.n_worse, found.n_better, found.identity_changed) == (N, 0, 0, "")
    assert found.detectable == pytest.approx(7 / N)  # 7 losses and no gain: p = .0078
    assert (found.flips, found.worst_group, found.cure, found.n_missing) == ((), None, "", 0)


def test_a_clear_drop_is_a_regression(store):
    """Twenty more failures of a hundred are no accident."""
    (found,) = compared(store, GOOD, answers_failing(22))
    assert found.is_regression
    assert (found.standing, found.against) == ("confirmed", "baseline")
    assert (found.difference, found.n_worse, found.method) == (pytest.approx(-0.2), 20, "mcnemar_exact")
    assert found.p_value == pytest.approx(0.5**20)


def test_a_gain_is_none(store):
    """Getting better is not worse."""
    (found,) = compared(store, answers_failing(22), GOOD)
    assert (found.is_regression, found.n_better, found.standing) == (False, 20, "none")


def test_a_small_drop_is_shown_but_not_acted_on(store):
    """Below two points nobody is woken, however sure it is."""
    (found,) = compared(store, answers_failing(0), answers_failing(15), a_demo(1000))
    assert found.p_adjusted < 0.001
    assert (found.is_regression, found.standing) == (False, "suspect")


def test_the_family_pays_for_every_question(store):
    """What alone would be a regression is none among many."""
    few, many = [a_model("m0")], [a_model(f"m{index}") for index in range(40)]

    def after(suite, model, case):
        return (answers_failing(10) if model.id == "m0" else GOOD)(suite, model, case)

    (alone,) = compared(store, GOOD, after, a_demo(models=few))
    crowd = compared(MemoryStore(clock=ManualClock()), GOOD, after, a_demo(models=many))
    first = next(one for one in crowd if one.model_id == "m0")
    assert alone.p_value == first.p_value == pytest.approx(0.5**8)
    assert (alone.is_regression, first.is_regression) == (True, False)
    assert first.p_adjusted == pytest.approx(40 * alone.p_value)


def test_worst_first(store):
    """Regressions, then by how unlikely, then by name."""
    drops = {"a": 2, "b": 30, "c": 9}

    def after(suite, model, case):
        return answers_failing(drops[model.id])(suite, model, case)

    found = compared(store, GOOD, after, a_demo(models=[a_model(name) for name in drops]))
    assert [one.model_id for one in found] == ["b", "c", "a"]


def test_too_many_missing_are_not_tested(store):
    """Beyond 5% missing nothing is said, but how bad it may be."""
    (found,) = compared(store, GOOD, answers_missing(6, then=answers_failing(60)))
    assert (found.standing, found.is_regression, found.p_adjusted) == ("untested", False, 1.0)
    assert (found.n, found.n_missing, found.detectable) == (N - 6, 6, None)
    # 54 of the 94 known fell; the 6 missing were 2 wrong and 4 right before.
    assert (found.worst_lower, found.worst_upper) == (pytest.approx(-0.58), pytest.approx(-0.52))


def test_five_in_a_hundred_may_be_missing(store):
    """Only what both sides answered is paired, and what was left out is counted."""
    (found,) = compared(store, GOOD, answers_missing(5, kind=Kind.TIMEOUT, then=GOOD))
    assert (found.n, found.n_missing, found.worst_lower, found.standing) == (N - 5, 5, None, "none")


def test_a_night_with_too_much_missing_is_no_baseline(store):
    """The newest whole night that holds the pair and was answered is taken instead."""
    project = a_demo()
    night(store, project, GOOD, 1)
    night(store, project, answers_missing(6, then=GOOD), 2)
    (found,) = compare_run(project, store, night(store, project, GOOD, 3)).comparisons
    assert (found.baseline, found.n_nights, found.standing) == ("night-1", 1, "none")


def test_a_named_baseline_is_taken_as_it_is(store):
    """Even with much missing, and alone: then nothing is tested."""
    project = a_demo()
    old = night(store, project, answers_missing(6, then=GOOD), 1)
    night(store, project, GOOD, 2)
    (found,) = compare_run(project, store, night(store, project, GOOD, 3), baseline=old).comparisons
    assert (found.baseline, found.n_nights, found.standing, found.n_missing) == ("night-1", 1, "untested", 6)


def test_unscored_answers_are_left_out(store):
    """What has no number on one side cannot be paired."""
    (found,) = compared(store, GOOD, lambda _s, _m, case: Answer(scores={"exact": None if case.id == "c9" else 1.0}))
    assert (found.n, found.n_missing) == (N - 1, 1)


def test_cases_never_asked_are_missing(store):
    """A run that was cut off does not shrink the suite."""
    (found,) = compared(store, GOOD, lambda _s, _m, case: None if int(case.id[1:]) < 10 else Answer())
    assert (found.n_missing, found.standing) == (10, "untested")


def test_no_case_in_common_is_not_compared(store):
    """Each side has a number, and never for the same case."""

    def half(even):
        return lambda _s, _m, case: Answer(scores={"exact": 1.0 if (int(case.id[1:]) % 2 == 0) is even else None})

    assert compared(store, half(even=True), half(even=False)) == ()


def test_a_drop_without_full_marks_has_no_flips(store):
    """A graded answer that was never right cannot go wrong."""

    def graded(value):
        return lambda _s, _m, case: Answer(scores={"exact": value + int(case.id[1:]) % 7 / 20})

    (found,) = compared(store, lambda _s, _m, _c: Answer(scores={"exact": 0.6}), graded(0.0))
    assert (found.is_regression, found.method, found.flips) == (True, "paired_t", ())


def test_nothing_scored_is_not_compared(store):
    """Without a single number there is no comparison."""
    assert compared(store, GOOD, lambda _s, _m, _c: Answer(scores={"exact": None})) == ()


def test_other_scorers_are_not_compared_and_it_is_said(store):
    """Numbers of two rulers say nothing of each other."""
    project = a_demo()
    night(store, project, GOOD, 1)
    new = night(store, project, answers_failing(50), 2, suite_digests=(("qa", "sha256:other"),))
    found = compare_run(project, store, new)
    assert found.comparisons == ()
    (change,) = found.changes
    assert (change.suite, change.model_id) == ("qa", None)
    assert change.what == "its expectations or scorers changed since night-1: evalkit score night-1"


def test_other_prompts_are_not_compared_and_it_is_said(store):
    """A changed suite is another suite."""
    night(store, a_demo(N - 1), GOOD, 1)
    project = a_demo()
    found = compare_run(project, store, night(store, project, GOOD, 2))
    assert found.comparisons == ()
    assert [change.what for change in found.changes] == ["its prompts changed since night-1: a new series"]


def test_a_model_missing_from_the_newest_night_has_an_older_baseline(store):
    """Per model the newest whole night that measured it, and a model of one side only is not compared."""
    one, both = a_demo(), a_demo(models=[a_model(), a_model("other"), a_model("new")])
    night(store, a_demo(models=[a_model(), a_model("other")]), GOOD, 1)
    night(store, one, GOOD, 2)
    found = compare_run(both, store, night(store, both, GOOD, 3)).comparisons
    assert {(f.model_id, f.baseline, f.n_nights) for f in found} == {("gpt-4o", "night-2", 2), ("other", "night-1", 1)}


def test_nights_are_pooled(store):
    """The baseline is every earlier night of the series, at most fourteen, never chosen by score."""
    project = a_demo()
    for number in range(16):
        night(store, project, answers_failing(number), number)
    (found,) = compare_run(project, store, night(store, project, answers_failing(20), 20)).comparisons
    assert (found.baseline, found.n_nights, found.method) == ("night-15", 14, "stratified_exact")
    assert found.difference == pytest.approx((sum(range(2, 16)) / 14 - 20) / N)


@pytest.mark.parametrize(
    "changed", [{"models": [a_model(route="azure/gpt-4o")]}, {"served": "gpt-4o-05"}, {"trials": None}]
)
def test_another_series_is_not_pooled(store, changed):
    """A night before the roster entry or the served name changed stays out; nothing else keeps a night out."""
    served = changed.pop("served", "gpt-4o")
    is_other = "trials" not in changed
    changed.pop("trials", None)
    night(store, a_demo(**changed), answers_failing(2, served_model=served), 1)
    project = a_demo()
    night(store, project, answers_failing(2, served_model="gpt-4o"), 2)
    (found,) = compare_run(project, store, night(store, project, GOOD, 3)).comparisons
    assert found.n_nights == (1 if is_other else 2)


def test_wobbling_nights_confirm_nothing(store):
    """A drop within what nights differ by anyway is no regression, though it is one against steady nights."""
    project = a_demo()
    fails = [2, 22, 5, 20, 3, 18]
    for number, n_failed in enumerate(fails):
        # Other cases every night: the whole suite moves, no case is worse than another.
        night(store, project, answers_failing(n_failed, first=7 * number), number)
    tonight = night(store, project, answers_failing(28, first=60), 9)
    found = compare_run(project, store, tonight)
    assert found.night_sd > 0.05
    assert not found.comparisons[0].is_regression
    assert compare_run(project, store, tonight, baseline=store.run("night-0")).comparisons[0].is_regression


def test_two_nights_say_nothing_of_nights(store):
    """Unknown is not zero."""
    project = a_demo()
    night(store, project, GOOD, 1)
    assert compare_run(project, store, night(store, project, GOOD, 2)).night_sd is None


def test_another_served_name_is_said(store):
    """A changed model is told above the drop it may explain."""
    project = a_demo()
    night(store, project, answers_failing(0, served_model="gpt-4o-05"), 1)
    found = compare_run(project, store, night(store, project, answers_failing(9, served_model="gpt-4o-08"), 2))
    assert found.comparisons[0].identity_changed == "served gpt-4o-05 before, gpt-4o-08 now"
    assert [(c.model_id, c.what) for c in found.changes] == [("gpt-4o", "served gpt-4o-05 before, gpt-4o-08 now")]


def test_another_fingerprint_is_said(store):
    """A fingerprint no night of the baseline had is told; one that some night had is not."""
    project = a_demo()

    def stamped(number, *names):
        run = night(store, project, GOOD, number)
        outcomes = store._kept[run.run_id].outcomes
        for index, (key, outcome) in enumerate(outcomes.items()):
            name = names[index % len(names)]
            outcomes[key] = replace(outcome, identity=replace(outcome.identity, system_fingerprint=name))
        return run

    stamped(1, "fp-a")
    stamped(2, "fp-b")
    assert compare_run(project, store, stamped(3, "fp-a")).changes == ()
    (change,) = compare_run(project, store, stamped(4, "fp-b", "fp-1", "fp-2", "fp-3", "fp-4")).changes
    assert change.what == "fingerprint fp-a, fp-b before, fp-1, fp-2, fp-3 and 1 more now"


def test_a_changed_roster_entry_is_said(store):
    """The same id with another route is another model."""
    night(store, a_demo(), GOOD, 1)
    moved = a_demo(models=[a_model(route="azure/gpt-4o")])
    new = night(store, moved, GOOD, 2)
    (found,) = compare_run(moved, store, new).comparisons
    assert found.identity_changed == "its entry in the roster changed"
    recut = replace(new, cells=tuple(replace(cell, mode="prompted") for cell in new.cells))
    (found,) = compare_run(moved, store, recut).comparisons
    assert found.identity_changed.endswith("asked as text before, as prompted now")


def test_trials_are_compared_case_by_case(store):
    """Several trials of a case are strata of one exact test."""
    (found,) = compared(store, GOOD, answers_failing(12), a_demo(trials=3))
    assert (found.method, found.n) == ("stratified_exact", N)


def test_flips_name_both_answers(store):
    """Cases that went from right to wrong, at most ten, with where to find both answers."""
    (found,) = compared(store, answers_failing(3), answers_failing(22))
    assert [flip.case_id for flip in found.flips] == sorted(f"c{i}" for i in range(3, 22))[:10]
    flip = found.flips[0]
    assert (flip.before_run, flip.after_run) == ("night-1", "night-2")
    for run_id, key, value in ((flip.before_run, flip.before_key, 1.0), (flip.after_run, flip.after_key, 0.0)):
        outcome = next(one for one in store.outcomes(run_id) if one.call_key == key)
        said = next(one for one in store.scores(run_id) if one.call_key == key)
        assert (outcome.case_id, said.scores[0].value) == (flip.case_id, value)


def test_the_group_that_fell_most(store):
    """The tag or cluster with the largest mean drop, with its n; not one that every case carries."""
    cases = [
        a_case(f"c{i}", tags=("all", "table") if i < 20 else ("all",), cluster=f"p{i // 10}") for i in range(N)
    ]  # fmt: skip
    project = a_project([a_suite(cases=cases)])
    (found,) = compared(store, answers_failing(0), answers_failing(20, first=5), project)
    group = found.worst_group
    assert (group.kind, group.name, group.difference, group.n) == ("cluster", "p1", -1.0, 10)
    found = compared(MemoryStore(clock=ManualClock()), answers_failing(0), answers_failing(20), project)[0]
    assert (found.worst_group.kind, found.worst_group.name, found.worst_group.n) == ("tag", "table", 20)


def test_no_group_without_clusters_and_tags(store):
    """Single cases are no group."""
    (found,) = compared(store, GOOD, answers_failing(22))
    assert found.worst_group is None


def test_a_suspicion_names_the_command_that_extends_it(store):
    """One command for all suspicious suites of a model, with five times the trials of the run."""
    suites = [a_suite(name, cases=[a_case(f"c{index}") for index in range(N)], trials=2) for name in ("qa", "qb", "qc")]
    project = a_project(suites)
    drops = {"qa": 4, "qb": 4, "qc": 2}
    found = compared(store, GOOD, lambda s, m, c: answers_failing(drops[s.name])(s, m, c), project)
    assert {one.suite: one.standing for one in found} == {"qa": "suspect", "qb": "suspect", "qc": "none"}
    command = "evalkit run qa qb --model gpt-4o --trials 10 --new --fail-on never"
    assert {one.suite: one.cure for one in found} == {"qa": command, "qb": command, "qc": ""}


def test_an_old_run_names_no_command(store):
    """What a newer night followed cannot be extended any more."""
    project = a_demo()
    night(store, project, GOOD, 1)
    old = night(store, project, answers_failing(6), 2)
    night(store, project, GOOD, 3)
    (found,) = compare_run(project, store, old).comparisons
    assert (found.standing, found.cure) == ("screened", "")


def test_an_extension_confirms(store):
    """The night's answers together are held against the whole baseline, at the second look's share of alpha."""
    project = a_demo()
    night(store, project, GOOD, 1)
    tonight = night(store, project, answers_failing(7), 2)
    (before,) = compare_run(project, store, tonight).comparisons
    extended(store, project, answers_failing(7))
    (after,) = compare_run(project, store, tonight).comparisons
    assert (before.standing, before.extended_by, before.alpha) == ("suspect", "", 0.01)
    assert (after.standing, after.extended_by, after.alpha, after.cure) == ("confirmed", "again", 0.04, "")
    assert after.p_value == pytest.approx(7.0**-5)


def test_an_extension_clears(store):
    """Right answers take the suspicion back, and no further command is named."""
    project = a_demo()
    night(store, project, GOOD, 1)
    tonight = night(store, project, answers_failing(7), 2)
    extended(store, project, GOOD)
    (found,) = compare_run(project, store, tonight).comparisons
    assert (found.standing, found.is_regression, found.cure) == ("cleared", False, "")


def test_only_the_first_extension_counts(store):
    """Who looks again and again finds something in the end."""
    project = a_demo()
    night(store, project, GOOD, 1)
    tonight = night(store, project, answers_failing(7), 2)
    extended(store, project, GOOD, hours=3)
    extended(store, project, answers_failing(40), hours=5, run_id="and again")
    (found,) = compare_run(project, store, tonight).comparisons
    assert (found.standing, found.extended_by) == ("cleared", "again")


@pytest.mark.parametrize(
    "fields",
    [{"trials": 4}, {"hours": 22}, {"status": RunStatus.STOPPED}, {"gateway_kind": "replay"},
     {"suite_digests": (("qa", "sha256:other"),)}],
)  # fmt: skip
def test_what_is_no_extension(store, fields):
    """Too few trials, too late, unfinished, through another gateway or graded by others."""
    project = a_demo()
    night(store, project, GOOD, 1)
    tonight = night(store, project, answers_failing(7), 2)
    extended(store, project, answers_failing(7), **fields)
    (found,) = compare_run(project, store, tonight).comparisons
    assert found.extended_by == ""


def test_an_extension_is_neither_a_night_nor_the_newest_run(store):
    """Even when it filtered nothing: it was chosen because of what the night looked like."""
    project = a_demo()
    night(store, project, GOOD, 1)
    night(store, project, answers_failing(7), 2)
    extended(store, project, answers_failing(7), is_partial=False)
    every = store.runs(project="demo", environment="test")
    assert newest_whole(every).run_id == "night-2"
    (found,) = compare_run(project, store, night(store, project, GOOD, 3)).comparisons
    assert (found.baseline, found.n_nights) == ("night-2", 2)


def test_no_whole_run(store):
    """A store of filtered runs has no newest whole one."""
    project = a_demo()
    night(store, project, GOOD, 1, is_partial=True)
    assert newest_whole(store.runs(project="demo", environment="test")) is None


def test_worse_than_the_incumbent_is_told_and_no_regression(store):
    """A standing difference is a family of its own: clusters are the units, nobody's exit code changes."""
    fails = {"gpt-4o": 2, "weak": 30, "alike": 3}
    models = [a_model(name) for name in fails]
    project = a_demo(models=models, tasks={"qa": {"incumbent": "gpt-4o"}})

    def answers(suite, model, case):
        return answers_failing(fails[model.id])(suite, model, case)

    night(store, project, answers, 1)
    found = compare_run(project, store, night(store, project, answers, 2))
    weak, alike = found.incumbents
    assert (weak.model_id, weak.baseline, weak.against, weak.standing) == ("weak", "gpt-4o", "incumbent", "confirmed")
    assert (weak.is_regression, weak.p_value, weak.p_adjusted) == (
        False,
        pytest.approx(0.5**28),
        pytest.approx(0.5**27),
    )
    assert (alike.model_id, alike.standing) == ("alike", "none")
    assert alike.detectable > 0.05
    assert {one.standing for one in found.comparisons} == {"none"}


def test_an_incumbent_with_an_outage_says_nothing(store):
    """Too much missing on either side leaves the range of what is possible."""
    models = [a_model(), a_model("other")]
    project = a_demo(models=models, tasks={"qa": {"incumbent": "gpt-4o"}})

    def answers(suite, model, case):
        then = answers_failing(40)
        return (answers_missing(30, then=then) if model.id == "gpt-4o" else then)(suite, model, case)

    (found,) = compare_run(project, store, night(store, project, answers, 1)).incumbents
    assert (found.standing, found.p_value, found.n_missing) == ("untested", 1.0, 30)
    # The incumbent's 30 missing are cases the other failed: all right, or all wrong.
    assert (found.worst_lower, found.worst_upper) == (pytest.approx(-0.3), pytest.approx(0.0))


def test_a_weaker_sign_is_a_suspect(store):
    """Listed at a false share of .05, not confirmed: too small to act on."""
    models = [a_model(), a_model("other")]
    project = a_demo(1000, models=models, tasks={"qa": {"incumbent": "gpt-4o"}})

    def answers(suite, model, case):
        return answers_failing(0 if model.id == "gpt-4o" else 15)(suite, model, case)

    (found,) = compare_run(project, store, night(store, project, answers, 1)).incumbents
    assert found.standing == "suspect"


def test_previous_run_is_the_newest_whole_one(store):
    """Finished, unfiltered, earlier and through the same gateway."""
    project = a_demo()
    runs = [
        night(store, project, GOOD, number, **fields)
        for number, fields in enumerate(
            [{}, {}, {"status": RunStatus.STOPPED}, {"is_partial": True}, {"gateway_kind": "replay"}, {}]
        )
    ]
    assert previous_run(store, runs[5]).run_id == "night-1"
    assert previous_run(store, runs[1]).run_id == "night-0"
    assert previous_run(store, runs[0]) is None


def test_the_same_store_gives_the_same_answer(store):
    """Nothing depends on the order in which answers were kept."""
    project = a_demo(models=[a_model(f"m{index}") for index in range(4)])
    for number in range(4):
        night(store, project, answers_failing(3 * number), number)
    run = store.run("night-3")
    kept = store._kept["night-3"]
    first = compare_run(project, store, run)
    kept.outcomes = dict(reversed(kept.outcomes.items()))
    assert compare_run(project, store, run) == first
