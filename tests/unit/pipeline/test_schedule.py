"""The next batch: what is asked after every look, and why asking ends."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from evalkit.domain.outcome import Kind
from evalkit.pipeline.history import History
from evalkit.pipeline.plan import Selection, plan
from evalkit.pipeline.schedule import Batch, Scored, Stop, next_batch, with_looks_where_new
from evalkit.stats.sequential import look_sizes
from evalkit.testing.builders import a_case, a_model, a_suite
from evalkit.testing.evidence import a_measurement, a_project, a_unit

N = 200
SIZES = look_sizes(N)
EMPTY = History({}, frozenset())


def a_suite_of(n=N, name="qa", **fields):
    """A suite of n cases, gated at .9."""
    cases = fields.pop("cases", None) or [a_case(f"c{index}") for index in range(n)]
    return a_suite(name, cases=cases, **({"gates": [{"metric": "exact", "at_least": 0.9}]} | fields))


def cells_of(project):
    """The cells of a sequential run of the project."""
    return tuple(one.cell for one in plan(project, Selection(is_sequential=True)).cells)


def answered(project, n, *, failing=lambda position: False, model_id="gpt-4o", **unit):
    """A history in which a model answered the first n calls of each suite, in scheduled order."""
    planned = plan(project, Selection(is_sequential=True))
    by_pair = {}
    for one in planned.cells:
        pair = one.cell.suite, one.cell.model_id
        calls = [call for call in planned.calls_of(pair[1]) if call.suite == pair[0]][:n]
        units = [
            a_unit(call.case_id, cluster_id=call.cluster_id, sequence=call.sequence, mode=one.cell.mode,
                   exact=float(not failing(position)), **unit)
            for position, call in enumerate(calls)
        ]  # fmt: skip
        if units and pair[1] == model_id:
            by_pair[pair] = [replace(a_measurement(units), cell=one.cell)]
    return History(by_pair, frozenset())


def after(project, n, *, is_start=False, given_up=(), **answers):
    """The next batch when so many calls of each suite were answered."""
    history = answered(project, n, **answers) if n else EMPTY
    return next_batch(
        cells_of(project), Scored(history=history, is_start=is_start, given_up=frozenset(given_up)), project
    )


def n_calls(project, batch):
    """How many calls of the plan a batch wants."""
    planned = plan(project, Selection(is_sequential=True))
    return sum(batch.wants(call) for model_id in planned.model_ids for call in planned.calls_of(model_id))


def test_batches_end_at_the_looks():
    """The first batch reaches to the first look, the next to the next."""
    project = a_project([a_suite_of()])
    assert n_calls(project, after(project, 0, is_start=True)) == SIZES[0]
    open_still = {"failing": lambda position: position % 8 == 7}
    assert n_calls(project, after(project, SIZES[0], **open_still)) == SIZES[1]


def test_answers_between_two_looks_are_no_look():
    """Until the whole prefix is answered the same batch is asked for."""
    project = a_project([a_suite_of()])
    perfect = after(project, SIZES[1] - 1, is_start=True)
    assert n_calls(project, perfect) == SIZES[1]


def test_a_model_that_passes_is_asked_no_further():
    """Once every gate has passed nothing is left to ask."""
    project = a_project([a_suite_of()])
    found = after(project, SIZES[4])
    assert isinstance(found, Stop)
    assert found.endings == {("qa", "gpt-4o"): "decided"}
    assert not found


def test_a_model_that_fails_is_asked_no_further():
    """A gate that failed at its repeated bound ends the asking at the first look."""
    project = a_project([a_suite_of()])
    assert after(project, SIZES[0], failing=lambda _position: True).endings == {("qa", "gpt-4o"): "failed"}


def test_a_fail_ends_every_suite_of_the_task():
    """The task's verdict is no, whatever its other suites would say."""
    bad = a_suite_of(name="bad", task="qa", gates=[{"metric": "exact", "at_least": 0.95}])
    project = a_project([a_suite_of(), bad])
    history = answered(project, SIZES[0])
    poor = answered(project, SIZES[0], failing=lambda position: position % 2)
    both = History(history.by_pair | {("bad", "gpt-4o"): poor.by_pair["bad", "gpt-4o"]}, frozenset())
    found = next_batch(cells_of(project), Scored(history=both), project)
    assert set(found.endings.values()) == {"failed"}


def test_what_will_hardly_be_decided_is_not_pursued():
    """A rate close to its gate late in the plan: the rest of the calls would be spent for nothing."""
    project = a_project([a_suite_of()])
    found = after(project, SIZES[8], failing=lambda position: position % 10 == 9)
    assert found.endings == {("qa", "gpt-4o"): "futile"}


def test_everything_was_asked():
    """After the last look there is nothing left, decided or not."""
    project = a_project([a_suite_of()])
    assert after(project, N, failing=lambda position: position % 10 == 9).endings == {("qa", "gpt-4o"): "whole"}


def test_thin_answers_settle_nothing():
    """With too much missing a look neither passes nor fails anybody."""
    project = a_project([a_suite_of()])
    assert isinstance(after(project, SIZES[4], kind=Kind.PROVIDER_ERROR), Batch)


def test_a_model_that_was_given_up_is_asked_no_further():
    """Nobody answers there."""
    project = a_project([a_suite_of()])
    assert after(project, SIZES[0], given_up=["gpt-4o"]).endings == {("qa", "gpt-4o"): "given_up"}


def test_resuming_asks_again_for_what_is_missing():
    """The first batch of a sitting reaches back over what is settled: void calls there are sent again."""
    project = a_project([a_suite_of()])
    batch = after(project, SIZES[4], is_start=True)
    assert batch.until == {("qa", "gpt-4o"): cells_of(project)[0].looks[4].last_sequence}


def test_critical_cases_come_first():
    """They are asked in the first batch, wherever they stand: one failure settles the matter."""
    cases = [a_case(f"c{index}", critical=index in (7, 77, 177)) for index in range(N)]
    project = a_project([a_suite_of(cases=cases)])
    batch = after(project, 0, is_start=True)
    asked = {call.case_id for call in plan(project).calls_of("gpt-4o") if batch.wants(call)}
    assert {"c7", "c77", "c177"} <= asked
    assert len(asked) <= SIZES[0] + 3


def test_other_suites_of_the_task_must_be_there():
    """While a suite of the task has no answers there is no verdict to stop for."""
    project = a_project([a_suite_of(), a_suite_of(name="more", task="qa")])
    history = answered(project, SIZES[4])
    alone = History({("qa", "gpt-4o"): history.by_pair["qa", "gpt-4o"]}, frozenset())
    cells = [cell for cell in cells_of(project) if cell.suite == "qa"]
    assert isinstance(next_batch(cells, Scored(history=alone), project), Batch)


@pytest.mark.parametrize(
    ("history", "tasks", "n_looks"),
    [
        (EMPTY, {}, 2),
        (EMPTY, {"qa": {"incumbent": "old"}}, 1),
        (History({("qa", "old"): [a_measurement([a_unit()])]}, frozenset()), {}, 1),
        (History({}, frozenset({("qa", "gpt-4o"), ("qa", "old")})), {}, 0),
    ],
    ids=["new", "incumbent", "measured", "stale"],
)
def test_only_what_is_new_is_looked_at_early(history, tasks, n_looks):
    """A measured pair, one whose scores are stale, and the incumbent are measured as a whole."""
    project = a_project([a_suite_of()], models=[a_model("gpt-4o"), a_model("old")], tasks=tasks)
    found = with_looks_where_new(cells_of(project), history, project)
    assert sum(bool(cell.looks) for cell in found) == n_looks


def test_a_suite_that_needs_all_of_alpha_is_measured_whole():
    """Sixty perfect answers pass a .95 gate at .05 only: looks would take away the one chance there is."""
    gates = [{"metric": "exact", "at_least": 0.95}]
    for n, has_looks in ((60, False), (80, True)):
        project = a_project([a_suite_of(n, gates=gates)])
        (cell,) = with_looks_where_new(cells_of(project), EMPTY, project)
        assert bool(cell.looks) is has_looks


def test_what_is_measured_as_a_whole_is_asked_at_once():
    """Without looks there is one batch, and then none."""
    project = a_project([a_suite_of()])
    cells = [replace(cell, looks=()) for cell in cells_of(project)]
    assert next_batch(cells, Scored(history=EMPTY, is_start=True), project).until == {("qa", "gpt-4o"): math.inf}
    assert next_batch(cells, Scored(history=EMPTY), project) == Stop({})


def test_looks_of_a_plan():
    """A sequential plan fixes its looks beforehand, over whole clusters; a filtered one has none."""
    cases = [a_case(f"c{index}", cluster=f"p{index // 2}") for index in range(N)]
    project = a_project([a_suite_of(cases=cases, trials=3)])
    (cell,) = cells_of(project)
    assert [look.n_clusters for look in cell.looks] == [*look_sizes(100)]
    assert [look.n_calls for look in cell.looks] == [6 * n for n in look_sizes(100)]
    assert cell.looks[-1].n_calls == cell.n_planned
    some = plan(project, Selection(is_sequential=True, max_cases=50))
    assert [one.cell.looks for one in some.cells] == [()]
    assert plan(project).digest != plan(project, Selection(is_sequential=True)).digest
