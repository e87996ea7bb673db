"""Waivers: what a person may decide, for how long, and what nobody may."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from evalkit.domain.policy import Waiver
from evalkit.domain.verdict import GateResult, GateStatus, Reason, ReasonCode, Status, Verdict
from evalkit.pipeline.waive import apply_waivers
from evalkit.testing.builders import STARTED_AT
from evalkit.testing.evidence import DAY_S

NOW = STARTED_AT
ELIGIBLE, INELIGIBLE, UNDECIDED = Status.ELIGIBLE, Status.INELIGIBLE, Status.UNDECIDED
A_FAIL = GateResult(
    suite="qa", metric="exact", rule=">= 0.9", limit=0.9, status=GateStatus.FAIL, estimate=None, bound=0.1
)
DOUBT = Reason(code=ReasonCode.GATE_UNDECIDED)


def a_waiver(action, *, days=5.0):
    """A waiver that ends so many days from now."""
    until = datetime.fromtimestamp(NOW + days * DAY_S, tz=UTC)
    return Waiver(task="qa", model="m", action=action, reason="vendor fix", by="ann", until=until)


def a_verdict(status, *, valid_s=2 * DAY_S, **fields):
    """A verdict from evidence that expires so many seconds from now."""
    reasons = () if status is ELIGIBLE else (DOUBT,)
    admitted_by = "evidence" if status is ELIGIBLE else None
    given = {"reasons": reasons, "valid_until": NOW + valid_s, "measured_at": NOW, "admitted_by": admitted_by}
    return Verdict(task="qa", model_id="m", status=status, **(given | fields))


def waived(verdict, *waivers, earlier=None, is_critical=False):
    """The verdict after the waivers."""
    return apply_waivers(verdict, waivers, earlier=earlier, as_of=NOW, is_critical=is_critical)


@pytest.mark.parametrize("status", list(Status))
def test_without_a_waiver_nothing_changes(status):
    """Evidence stands."""
    verdict = a_verdict(status)
    assert waived(verdict) is verdict


@pytest.mark.parametrize("is_critical", [True, False])
@pytest.mark.parametrize("status", list(Status))
def test_deny_takes_out(status, is_critical):
    """Deny wins over evidence and over every other waiver, with its reason first."""
    found = waived(a_verdict(status), a_waiver("allow"), a_waiver("hold"), a_waiver("deny"), is_critical=is_critical)
    assert (found.status, found.admitted_by, found.reasons[0].code) == (INELIGIBLE, None, ReasonCode.WAIVER_DENY)
    assert found.reasons[0].detail.startswith("vendor fix (ann, until 2027-01-")


def test_deny_that_reaches_far_still_denies():
    """Taking a model out too long is safer than letting it back in by a formality."""
    assert waived(a_verdict(ELIGIBLE), a_waiver("deny", days=40)).status is INELIGIBLE


@pytest.mark.parametrize(
    "fields",
    [
        {"gates": (A_FAIL,)},
        {"reasons": (Reason(code=ReasonCode.NOT_NON_INFERIOR),)},
    ],
    ids=["gate", "comparison"],
)
def test_nobody_is_let_in_against_what_is_shown(fields):
    """Missing calls keep a sure failure from dropping a model; they are no way in."""
    verdict = a_verdict(UNDECIDED, **fields)
    assert waived(verdict, a_waiver("allow")) is verdict


@pytest.mark.parametrize("action", ["deny", "hold", "allow"])
def test_an_ended_waiver_is_over(action):
    """To the second."""
    verdict, earlier = a_verdict(UNDECIDED), a_verdict(ELIGIBLE)
    assert waived(verdict, a_waiver(action, days=0), earlier=earlier) is verdict


@pytest.mark.parametrize("action", ["hold", "allow"])
def test_nobody_is_let_in_for_longer_than_two_weeks(action):
    """A waiver that reaches too far lets nobody in."""
    verdict, earlier = a_verdict(UNDECIDED), a_verdict(ELIGIBLE)
    assert waived(verdict, a_waiver(action, days=14.1), earlier=earlier) is verdict
    assert waived(verdict, a_waiver(action, days=14), earlier=earlier).status is ELIGIBLE


def test_a_date_lasts_to_its_end():
    """A waiver until today is in force today."""
    today = datetime.fromtimestamp(NOW, tz=UTC).date()

    def until(day: date) -> Waiver:
        return Waiver(task="qa", model="m", action="allow", reason="why", by="ann", until=day)

    assert waived(a_verdict(UNDECIDED), until(today)).admitted_by == "waiver"
    assert waived(a_verdict(UNDECIDED), until(today - timedelta(days=1))).status is UNDECIDED
    assert waived(a_verdict(UNDECIDED), until(today + timedelta(days=14))).status is ELIGIBLE


def test_allow_admits_a_fresh_doubt():
    """What was measured and stayed open may be let in, marked as a person's decision."""
    found = waived(a_verdict(UNDECIDED), a_waiver("allow"))
    assert (found.status, found.admitted_by) == (ELIGIBLE, "waiver")
    assert [reason.code for reason in found.reasons] == [ReasonCode.WAIVER_ALLOW, ReasonCode.GATE_UNDECIDED]


@pytest.mark.parametrize(
    ("verdict", "is_critical"),
    [
        (a_verdict(INELIGIBLE), False),
        (a_verdict(UNDECIDED, valid_s=0), False),
        (a_verdict(UNDECIDED, valid_until=None), False),
        (a_verdict(UNDECIDED), True),
        (a_verdict(ELIGIBLE), False),
    ],
)
def test_allow_admits_nothing_else(verdict, is_critical):
    """No failure, no expired or missing evidence, no critical task; and evidence needs no permission."""
    assert waived(verdict, a_waiver("allow"), is_critical=is_critical) is verdict


@pytest.mark.parametrize(("days", "expected_s"), [(1, DAY_S), (5, 2 * DAY_S)])
@pytest.mark.parametrize("action", ["allow", "hold"])
def test_what_a_waiver_admits_ends_with_it(action, days, expected_s):
    """A router reads `valid_until` alone: it may not go on after the waiver has ended."""
    found = waived(a_verdict(UNDECIDED), a_waiver(action, days=days), earlier=a_verdict(ELIGIBLE))
    assert (found.status, found.valid_until) == (ELIGIBLE, NOW + expected_s)


def test_the_longest_of_alike_waivers_counts():
    """Two people may both have decided."""
    found = waived(a_verdict(UNDECIDED), a_waiver("allow", days=1.5), a_waiver("allow", days=0.5))
    assert found.valid_until == NOW + 1.5 * DAY_S


@pytest.mark.parametrize("status", [INELIGIBLE, UNDECIDED])
def test_hold_keeps_a_model_in(status):
    """The status before tonight stays, with tonight's reasons beside it."""
    found = waived(a_verdict(status), a_waiver("hold"), earlier=a_verdict(ELIGIBLE, run_ids=("before",)))
    assert (found.status, found.admitted_by, found.run_ids) == (ELIGIBLE, "waiver", ("before",))
    assert [reason.code for reason in found.reasons] == [ReasonCode.WAIVER_HOLD, ReasonCode.GATE_UNDECIDED]


@pytest.mark.parametrize("is_critical", [True, False])
@pytest.mark.parametrize("status", [ELIGIBLE, UNDECIDED])
def test_hold_keeps_a_model_out(status, is_critical):
    """On critical tasks as well: only admitting is nobody's right."""
    found = waived(a_verdict(status), a_waiver("hold"), earlier=a_verdict(INELIGIBLE), is_critical=is_critical)
    assert (found.status, found.admitted_by) == (INELIGIBLE, None)
    assert found.reasons[0].code is ReasonCode.WAIVER_HOLD


@pytest.mark.parametrize("earlier", [None, a_verdict(UNDECIDED), a_verdict(ELIGIBLE, valid_s=0)])
def test_hold_needs_something_to_hold(earlier):
    """No earlier status, or an expired one, is nothing to keep."""
    verdict = a_verdict(INELIGIBLE)
    assert waived(verdict, a_waiver("hold"), earlier=earlier) is verdict


def test_hold_admits_nobody_to_a_critical_task():
    """No waiver does."""
    verdict = a_verdict(INELIGIBLE)
    assert waived(verdict, a_waiver("hold"), earlier=a_verdict(ELIGIBLE), is_critical=True) is verdict


@pytest.mark.parametrize("status", [ELIGIBLE, INELIGIBLE])
def test_hold_changes_nothing_that_is_so_already(status):
    """Evidence of its own is not relabelled as a person's decision, nor made to end sooner."""
    verdict = a_verdict(status)
    assert waived(verdict, a_waiver("hold", days=1), earlier=a_verdict(status, valid_s=DAY_S)) is verdict
