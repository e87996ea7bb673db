"""A confirmed fall ends a pool: two nights running, against the nights before both, on a gate's own share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.outcome import Kind
from evalkit.domain.verdict import ReasonCode, Status
from evalkit.pipeline.regressed import Fall, ended_by, falls_of, nights_that_keep
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT, a_model
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
from evalkit.testing.verdicts import GOOD, N, a_demo, a_gated_suite, codes, verdict_of

ELIGIBLE, INELIGIBLE, UNDECIDED = Status.ELIGIBLE, Status.INELIGIBLE, Status.UNDECIDED

FALLEN = answers_failing(12)
"""Neither passed nor failed by itself; far from a perfect fortnight."""


def verdict_after(nights, project=None, **fields):
    """The verdict after these nights, oldest first."""
    own = a_demo() if project is None else project
    store = MemoryStore(clock=ManualClock())
    for number, answers in enumerate(nights):
        store_night(store, own, answers, run_id=f"n{number:02}", started_at=STARTED_AT + number * DAY_S)
    return verdict_of(own, store, **fields)


def a_night(number, n_wrong=0, *, trials=1, hours=0, **fields):
    """One measurement of a hundred cases, so many of which went wrong."""
    started_at = STARTED_AT + number * DAY_S + hours * 3600
    units = [
        a_unit(
            f"c{index}", trial=trial, sequence=index * trials + trial, **({"exact": float(index >= n_wrong)} | fields)
        )
        for index in range(N)
        for trial in range(trials)
    ]
    found = a_measurement(units, suite=a_gated_suite())
    return replace(found, run=replace(found.run, run_id=f"night-{number}-{hours}", started_at=started_at))


def falls(nights, *, n_gates=1, gates=None, judges=lambda _night: frozenset()):
    """The falls of these measurements, oldest first, by places in the series."""
    suite = a_gated_suite() if gates is None else a_gated_suite(gates=gates)
    found = falls_of(suite, [*reversed(nights)], n_gates=n_gates, judges=judges)
    return [(fall.since, fall.confirmed) for fall in found]


def test_one_bad_night_ends_no_pool():
    """A single night may be the provider's bad hour: the pool carries it, as it always did."""
    found = verdict_after([*[GOOD] * 6, FALLEN])
    assert (found.status, codes(found)) == (ELIGIBLE, [])


def test_second_night_confirms_and_nothing_older_carries_the_model():
    """Fallen two nights running, it has to pass on those two, and no older verdict keeps it."""
    found = verdict_after([*[GOOD] * 6, FALLEN, FALLEN])
    assert (found.status, codes(found)) == (UNDECIDED, [ReasonCode.REGRESSED, ReasonCode.GATE_UNDECIDED])
    reason, gate = found.reasons[0], found.gates[0]
    assert (reason.suite, reason.metric) == ("qa", "exact")
    assert reason.detail.startswith("exact went from 1 (n=600) to 0.88 (n=200) on two nights running")
    assert gate.estimate.n == 200


def test_fall_stays_known():
    """It is no news on the third night and later: the old nights do not come back."""
    for n_fallen in (3, 6, 9):
        found = verdict_after([*[GOOD] * 7, *[FALLEN] * n_fallen])
        assert (found.status, codes(found)[0]) == (UNDECIDED, ReasonCode.REGRESSED)
        assert found.gates[0].estimate.n == n_fallen * N


def test_fallen_and_still_good_enough_stays():
    """Eligible means that the gate passes: who falls from perfect to far above the gate is told of, not dropped."""
    project = a_demo(a_gated_suite(gates=[{"metric": "exact", "at_least": 0.75}]))
    found = verdict_after([*[GOOD] * 6, FALLEN, FALLEN], project)
    assert (found.status, codes(found), found.gates[0].estimate.n) == (ELIGIBLE, [ReasonCode.REGRESSED], 200)


def test_nights_since_the_fall_keep():
    """A verdict that stood with the fall known already is evidence like any other."""
    project = a_demo(a_gated_suite(gates=[{"metric": "exact", "at_least": 0.75}]), defaults={"valid_for": "50h"})
    found = verdict_after([*[GOOD] * 6, FALLEN, FALLEN, answers_missing(60, then=FALLEN)], project)
    assert (found.status, codes(found)[0]) == (ELIGIBLE, ReasonCode.KEPT)
    assert ReasonCode.REGRESSED in codes(found)


def test_fails_at_once_when_its_own_night_does():
    """What tonight shows alone is reason enough, and comes first."""
    found = verdict_after([*[GOOD] * 6, FALLEN, answers_failing(30)])
    assert (found.status, codes(found)) == (INELIGIBLE, [ReasonCode.GATE_FAILED, ReasonCode.REGRESSED])


def test_rates_that_must_not_rise():
    """More refusals are worse, and are told as they are counted."""
    gates = [{"metric": "refusal", "at_most": 0.05}]

    def refusing(n):
        return lambda suite, _model, case: Answer(
            kind=Kind.REFUSAL if suite.active_cases.index(case) < n else Kind.OK, scores={"exact": 1.0}
        )

    found = verdict_after([*[refusing(0)] * 6, *[refusing(9)] * 2], a_demo(a_gated_suite(gates=gates)))
    assert (found.status, codes(found)[0]) == (UNDECIDED, ReasonCode.REGRESSED)
    assert found.reasons[0].detail.startswith("refusal went from 0 (n=600) to 0.09 (n=200)")


def test_what_others_did_changes_nothing():
    """The family is the model's own gates: a quiet model beside it makes a fall no less of one."""
    project = a_project([a_gated_suite()], models=[a_model("gpt-4o"), a_model("m1")])

    def answers(fallen):
        return lambda suite, model, case: (FALLEN if fallen and model.id == "gpt-4o" else GOOD)(suite, model, case)

    nights = [*[answers(fallen=False)] * 6, *[answers(fallen=True)] * 2]
    assert verdict_after(nights, project).reasons == verdict_after([*[GOOD] * 6, FALLEN, FALLEN]).reasons
    assert verdict_after(nights, project, model_id="m1").reasons == ()


@pytest.mark.parametrize(
    ("n_wrong", "found"),
    [
        ([0, 0, 0, 12, 12], [(1, 0)]),
        ([0, 0, 12, 12], []),  # two nights before say nothing of how nights differ
        ([0, 0, 0, 12, 0, 12], []),
        ([0, 0, 0, 1, 1], []),  # less than anybody would act on
        ([0, 0, 0, 3, 3], []),  # within .05 on both nights, within .01 on neither
        ([0, 0, 0, 3, 12], [(1, 0)]),
        ([12, 12, 12, 0, 0], []),
        ([0, 0, 0, 12, 12, 12, 12, 40, 40], [(1, 0), (5, 4)]),
    ],
)
def test_two_nights_running_against_those_before_both(n_wrong, found):
    """A night of the fall is no baseline of its own confirmation, and a second fall is measured from the first."""
    assert falls([a_night(number, n) for number, n in enumerate(n_wrong)]) == found


def test_gates_of_the_task_share_the_level():
    """A drop that a single gate would be cleared by is none among twenty."""
    nights = [a_night(number, 4 if number > 2 else 0) for number in range(5)]
    assert (falls(nights), falls(nights, n_gates=20)) == ([(1, 0)], [])


def test_gates_on_time_and_money_are_no_shares():
    """Without a share there is nothing to test."""
    nights = [a_night(number, 40 if number > 2 else 0) for number in range(5)]
    assert falls(nights, gates=[{"metric": "cost_usd", "at_most": 1.0}]) == []


def test_extension_of_the_same_night_confirms_nothing():
    """Asked again within hours is the same night; its answers count with those of the run it extends."""
    quiet = [a_night(number) for number in range(4)]
    extended = [a_night(4, 12), a_night(4, 12, trials=5, hours=2)]
    assert falls([*quiet, *extended]) == []
    assert falls([*quiet, *extended, a_night(5, 12)]) == [(2, 0)]


def test_thin_night_between_is_passed_over():
    """An outage is no night: it neither confirms a fall nor ends it."""
    out = a_night(4, kind=Kind.TIMEOUT, exact=None)
    nights = [*(a_night(number) for number in range(3)), a_night(3, 12), out, a_night(5, 12)]
    assert falls(nights) == [(2, 0)]


def test_another_judge_is_another_series():
    """When the judge changed, it may be the judge who fell."""
    nights = [a_night(number, 12 if number > 3 else 0) for number in range(6)]
    changed_at = nights[4].run.started_at

    def judges(night):
        return frozenset({("judge", "new" if night.run.started_at >= changed_at else "old")})

    assert (falls(nights), falls(nights, judges=judges)) == ([(1, 0)], [])


def test_known_from_its_confirmation_until_it_shortens_no_pool():
    """A verdict of before does not know it; after a fortnight there is nothing left to cut off."""
    fall = Fall(confirmed=3, since=4, reasons=())
    assert [ended_by([fall], place=place) for place in (0, 3, 4)] == [fall, fall, None]
    old = Fall(confirmed=12, since=13, reasons=())
    assert ended_by([old], place=0) is None
    assert (nights_that_keep([[fall, old], []]), nights_that_keep([[], []])) == (3, 14)
