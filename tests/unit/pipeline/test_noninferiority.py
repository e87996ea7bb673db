"""Non-inferiority: passed only when shown, failed only when shown, and an outage shows nothing."""

from __future__ import annotations

import pytest

from evalkit.domain.outcome import Kind
from evalkit.domain.verdict import ReasonCode
from evalkit.pipeline.noninferiority import judge_non_inferiority
from evalkit.testing.builders import a_case, a_suite
from evalkit.testing.evidence import a_measurement, a_unit

N = 200
SUITE = a_suite(cases=[a_case(f"c{index}") for index in range(N)])


def measured(n_failed=0, n_missing=0, *, trials=1, score=0.0):
    """A measurement whose first cases are missing and whose next ones fail."""
    units = []
    for index in range(N):
        kind = Kind.TIMEOUT if index < n_missing else Kind.OK
        exact = score if n_missing <= index < n_missing + n_failed else 1.0
        units += [a_unit(f"c{index}", kind=kind, exact=exact, trial=trial) for trial in range(trials)]
    return a_measurement(units, suite=SUITE)


def judged(candidate, incumbent, margin=0.1, **fields):
    """What is said of the candidate."""
    return judge_non_inferiority(SUITE, candidate, incumbent=incumbent, margin=margin, alpha=0.05, **fields)


def test_an_equal_candidate_passes():
    """Nothing is said against one that answers as the incumbent does."""
    assert judged(measured(5), measured(5)) is None


def test_a_worse_one_fails():
    """A loss surely beyond the margin is a failure, with the numbers."""
    found = judged(measured(60), measured())
    assert (found.code, found.suite, found.metric, found.cure) == (ReasonCode.NOT_NON_INFERIOR, "qa", "exact", "")
    assert "differs by -0.300" in found.detail
    assert f"n={N}" in found.detail


def test_between_nothing_is_known():
    """A loss near the margin is neither."""
    found = judged(measured(20), measured())
    assert (found.code, found.cure) == (ReasonCode.GATE_UNDECIDED, "more cases, or a wider non_inferiority_margin")


def test_without_an_incumbent_nothing_is_known():
    """There must be something to compare with."""
    assert judged(measured(), None).code is ReasonCode.INCUMBENT_UNKNOWN


def test_without_common_cases_nothing_is_known():
    """Two suites with no case in common say nothing of each other."""
    other = a_measurement([a_unit(f"x{index}") for index in range(N)], suite=SUITE)
    found = judged(measured(), other)
    assert (found.code, found.detail.count("?"), "bound none" in found.detail) == (ReasonCode.GATE_UNDECIDED, 1, True)


@pytest.mark.parametrize("sides", [(measured(n_missing=60), measured()), (measured(), measured(n_missing=60))])
def test_an_outage_of_either_neither_admits_nor_rejects(sides):
    """What is void counts against passing and against failing."""
    assert judged(*sides).code is ReasonCode.GATE_UNDECIDED


def test_a_failure_beyond_the_outage_still_fails():
    """Even with every void case won the candidate is worse."""
    assert judged(measured(120, 10), measured()).code is ReasonCode.NOT_NON_INFERIOR


def test_one_void_trial_voids_its_case():
    """A case of which one trial is missing counts as lost."""
    mine, theirs = measured(trials=3), measured(trials=3)
    assert judged(mine, theirs) is None
    for index in range(0, N * 3, 3):
        mine.units[index] = a_unit(f"c{index // 3}", kind=Kind.CONNECTION)
    assert judged(mine, theirs).code is ReasonCode.GATE_UNDECIDED


def test_graded_scores_are_compared_too():
    """Scores between 0 and 1 go by their mean difference."""
    assert judged(measured(N, score=0.97), measured(N, score=0.96)) is None
    assert judged(measured(N, score=0.5), measured()).code is ReasonCode.NOT_NON_INFERIOR


def test_a_pass_pools_the_nights():
    """A lucky night among mediocre ones shows nothing: what passes is the mean of each case over all nights."""
    assert judged(measured(5), measured()) is None
    found = judged(measured(5), measured(), earlier=[(measured(20), measured())] * 4)
    assert found.code is ReasonCode.GATE_UNDECIDED
    assert "differs by -0.085" in found.detail
    assert found.detail.endswith("n=200, 5 nights")


def test_nights_never_show_more_than_one():
    """The same answers thirteen times over leave open what they left open once."""
    alone = judged(measured(20), measured())
    pooled = judged(measured(20), measured(), earlier=[(measured(20), measured())] * 12)
    assert pooled.detail == f"{alone.detail}, 13 nights"


def test_a_fail_looks_at_tonight_alone():
    """However good the past was, who is surely worse tonight is dropped tonight."""
    found = judged(measured(60), measured(), earlier=[(measured(), measured())] * 13)
    assert found.code is ReasonCode.NOT_NON_INFERIOR
    assert "nights" not in found.detail


def test_a_failed_night_that_was_mended_is_behind_us():
    """Once the candidate answers better, it does not inherit what it failed before, nor what was before that."""
    earlier = [(measured(5), measured()), (measured(60), measured()), *[(measured(20), measured())] * 9]
    assert judged(measured(2), measured(), earlier=earlier) is None


def test_a_poor_night_of_the_incumbent_mends_nobody():
    """Who still fails beside the incumbent of the night before has not got better by tonight's."""
    assert judged(measured(60), measured(100)) is None
    found = judged(measured(60), measured(100), earlier=[(measured(60), measured())] * 5)
    assert found.code is ReasonCode.GATE_UNDECIDED
    assert found.detail.endswith("6 nights")


@pytest.mark.parametrize("night", [(measured(n_missing=40), measured()), (measured(), measured(n_missing=40))])
def test_what_was_missing_earlier_counts_as_lost(night):
    """The pool bounds what is void as a single night does."""
    assert judged(measured(12), measured()) is None
    found = judged(measured(12), measured(), earlier=[night])
    assert "differs by -0.130" in found.detail


def test_trials_of_a_case_are_pooled_over_clusters():
    """Three trials a case go by t: their nights count as one night's clusters as well."""
    lucky, usual, theirs = measured(5, trials=3), measured(20, trials=3), measured(trials=3)
    assert judged(lucky, theirs) is None
    assert judged(lucky, theirs, earlier=[(usual, theirs)] * 4).code is ReasonCode.GATE_UNDECIDED
