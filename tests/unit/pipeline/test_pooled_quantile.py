"""Quantile gates over nights: what passes tonight must hold over all of them, what fails tonight has failed."""

from __future__ import annotations

import math

import pytest

from evalkit.domain.suite import Gate
from evalkit.domain.verdict import GateStatus
from evalkit.pipeline.gates import GateContext, judge_gate
from evalkit.pipeline.looks import Evidence
from evalkit.pipeline.pooled_quantile import Call, QuantileLimit
from evalkit.testing.builders import STARTED_AT, a_case, a_suite
from evalkit.testing.evidence import DAY_S, a_measurement, a_unit

PASS, FAIL, UNDECIDED = GateStatus.PASS, GateStatus.FAIL, GateStatus.UNDECIDED
P95 = {"metric": "latency_s", "of": "p95", "at_most": 2.0}
LIMIT = QuantileLimit(q=0.95, at_most=2.0, alpha=0.05, fail_alpha=0.05)
N = 500


def calls(n_slow, *, night=0, n=N, n_unknown=0):
    """Calls of a night, half a second apart, the slow and the unknown ones spread over it."""
    found = []
    for place in range(n):
        seconds = 5.0 if place * n_slow % n < n_slow else 1.0
        is_unknown = place * n_unknown % n < n_unknown
        found.append(Call(STARTED_AT + night * DAY_S + place / 2, None if is_unknown else seconds))
    return found


def nights(*n_slow):
    """Earlier nights, newest first."""
    return [calls(n, night=-1 - place) for place, n in enumerate(n_slow)]


def measured(n_slow, *, night=0, n=N, suite=None, field="latency_s"):
    """The same as a measurement."""
    units = [
        a_unit(f"c{place}", sequence=place, started_at=call.started_at, **{field: call.reading})
        for place, call in enumerate(calls(n_slow, night=night, n=n))
    ]
    return a_measurement(units, suite=suite)


def a_timed_suite(name="qa", gate=P95):
    """A suite with one gate on time."""
    return a_suite(name, cases=[a_case(f"c{place}") for place in range(N)], gates=[gate])


def judged(gate, tonight, earlier=()):
    """What the gate of a suite says of tonight and earlier nights."""
    suite = a_timed_suite(gate=gate)
    evidence = Evidence(suites=[suite], measurements=[tonight], earlier=[earlier], alpha=0.05, n_gates=1)
    (found,) = evidence.gates()
    return found


def test_one_night_stands_alone():
    """Without earlier nights there is nothing to pool."""
    assert LIMIT.beyond(calls(5), []) is None


def test_nights_that_hold_together_stop_nobody():
    """Good nights, and a middling one among them, are no doubt."""
    assert LIMIT.beyond(calls(5), nights(5, 20, 5)) is None


def test_a_lucky_night_is_one_of_many():
    """Nights on the limit show that a good one was luck; their bound says so."""
    bound = LIMIT.beyond(calls(10), nights(24, 24, 24))
    assert (bound.value, bound.upper, bound.n) == (1.0, 5.0, 4 * N)


def test_a_failed_night_ends_the_pool():
    """What was mended since does not inherit it, nor what lay before."""
    assert LIMIT.beyond(calls(10), nights(12, 100, 24, 24, 24)) is None


def test_unknown_calls_of_earlier_nights_count_against():
    """As tonight: a call nobody timed may have taken any time, and fails nobody."""
    bound = LIMIT.beyond(calls(5), [calls(5, night=-1, n_unknown=100)])
    assert bound.upper == math.inf


def test_a_night_without_any_reading_is_passed_over():
    """Where nothing was streamed nothing is known, and the night before counts as ever."""
    blind = calls(0, night=-1, n_unknown=N)
    assert LIMIT.beyond(calls(5), [blind]) is None
    assert LIMIT.beyond(calls(10), [blind, *nights(24, 24, 24)]) is not None


def test_too_little_for_a_bound_is_no_pass():
    """Nights whose calls give no upper bound at all hold nothing."""
    tonight, before = ([Call(0.0, 1.0)], [Call(0.0, 1.0)])
    assert LIMIT.beyond(tonight, [before]).upper == math.inf


def test_a_pass_needs_the_pool():
    """The gate of a lucky night is open, with the pooled bound as evidence and a cure."""
    assert judged(P95, measured(10)).status is PASS
    found = judged(P95, measured(10), [measured(24, night=-1 - place) for place in range(3)])
    assert (found.status, found.bound, found.estimate.n) == (UNDECIDED, 5.0, 4 * N)
    assert found.cure == "more calls over a longer time"


def test_a_fail_looks_at_tonight_alone():
    """However fast the past was, what is slow tonight is slow."""
    assert judged(P95, measured(100), [measured(0, night=-1)] * 13).status is FAIL


def test_tonight_must_pass_by_itself():
    """Fast nights lend nothing to one that shows nothing."""
    assert judged(P95, measured(22), [measured(0, night=-1 - place) for place in range(13)]).status is UNDECIDED


def test_the_calls_of_every_suite_are_pooled():
    """Latency is the task's: earlier nights of a suite without the gate count, though it was measured more often."""
    suites = [a_timed_suite(), a_suite("other", cases=[a_case(f"c{place}") for place in range(N)])]

    def status(*earlier):
        tonight = [measured(5, suite=suite) for suite in suites]
        evidence = Evidence(suites=suites, measurements=tonight, earlier=earlier, alpha=0.05, n_gates=1)
        return next(iter(evidence.gates())).status

    assert status([], []) is PASS
    assert status([], [measured(29, night=-1 - place) for place in range(6)]) is UNDECIDED


@pytest.mark.parametrize("metric", ["output_tokens", "latency_s"])
def test_other_quantiles_pool_their_own_calls(metric):
    """A gate on a slice or on tokens looks at its own suite's nights."""
    gate = {"metric": metric, "of": "p95", "at_most": 2.0, "where": {"tag": "long"}}
    suite = a_suite(cases=[a_case(f"c{place}", tags=["long"]) for place in range(N)], gates=[gate])
    context = GateContext(
        suite=suite,
        measurement=measured(10, field=metric),
        of_task=[],
        alpha=0.05,
        fail_alpha=0.05,
        earlier=[measured(24, night=-1 - place, field=metric) for place in range(3)],
    )
    assert judge_gate(Gate.model_validate(gate), context).status is UNDECIDED
