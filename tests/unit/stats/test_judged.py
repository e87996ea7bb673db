"""Agreement against published numbers, and bounds that hold however labels carry over, by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.domain.judging import LabelCounts
from evalkit.stats.judged import agreement_of, cohen_kappa, fleiss_kappa, judged_bound, post_stratified, transported

FLEISS_1971 = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip


def counts_of(people, judge):
    """Return the 2 × 2 table of two columns of yes and no."""
    return LabelCounts(
        both_pass=int((people & judge).sum()),
        only_judge=int((~people & judge).sum()),
        only_people=int((people & ~judge).sum()),
        both_fail=int((~people & ~judge).sum()),
    )


def verdicts(rng, people, *, sens, spec):
    """Return what a judge with these rates says of answers."""
    return np.where(people, rng.random(len(people)) < sens, rng.random(len(people)) >= spec)


def coverage(*, sens, spec, share, n_labels, labelled_share, reps=400):
    """Return how often the judged and the post-stratified lower bound lie below the true share."""
    rng = np.random.default_rng(601)
    judged = stratified = 0
    for _ in range(reps):
        people = rng.random(n_labels) < labelled_share
        counts = counts_of(people, verdicts(rng, people, sens=sens, spec=spec))
        seen = float(verdicts(rng, rng.random(300) < share, sens=sens, spec=spec).mean())
        bound = judged_bound(counts, low_share=seen, high_share=seen, n=300, n_clusters=300, alpha=0.05)
        judged += bound.lower is None or bound.lower <= share
        stratified += post_stratified(counts, share=seen, n=300, alpha=0.05)[1] <= share
    return judged / reps, stratified / reps


@pytest.mark.parametrize(("table", "kappa"), [([[20, 5], [10, 15]], 0.4), ([[45, 15], [25, 15]], 0.1304)])
def test_cohen_kappa_agrees_with_published_values(table, kappa):
    """The two tables of the reference values."""
    assert cohen_kappa(table) == pytest.approx(kappa, abs=5e-5)


def test_fleiss_kappa_agrees_with_the_published_value():
    """Ten subjects, fourteen judges, five categories."""
    assert fleiss_kappa(FLEISS_1971) == pytest.approx(0.2099, abs=5e-5)


def test_kappa_without_a_choice_is_not_defined():
    """Where both say the same of everything there is nothing beyond chance; an empty table has nothing at all."""
    assert cohen_kappa([[50, 0], [0, 0]]) is None
    assert cohen_kappa([[0, 0], [0, 0]]) is None
    assert fleiss_kappa([[3, 0], [3, 0]]) is None
    assert fleiss_kappa([]) is None


def test_fleiss_kappa_wants_the_same_judges_everywhere():
    """A row with fewer judges is no row of the table."""
    with pytest.raises(ValueError, match="same number"):
        fleiss_kappa([[3, 0], [1, 1]])


def test_agreement_keeps_the_two_errors_apart():
    """A judge that passes nearly everything agrees a lot and tells nothing."""
    lenient = agreement_of(LabelCounts(both_pass=190, only_judge=10, only_people=0, both_fail=0))
    assert lenient.share == 0.95
    assert (lenient.tpr.value, lenient.tnr.value) == (1.0, 0.0)
    assert not lenient.informs
    good = agreement_of(LabelCounts(both_pass=95, only_judge=5, only_people=5, both_fail=95))
    assert good.informs
    assert good.kappa == pytest.approx(0.9)
    assert good.tpr.lower < good.tpr.value < good.tpr.upper


def test_agreement_on_nothing_is_unknown():
    """Without labels there is no share and no bound, and never a 0."""
    nothing = agreement_of(LabelCounts(both_pass=0, only_judge=0, only_people=0, both_fail=0))
    assert (nothing.share, nothing.kappa, nothing.tpr.value, nothing.informs) == (None, None, None, False)


def test_post_stratified_is_the_formula():
    """One case by hand: q=.9, 180 of 190 judge passes right, 4 of 10 judge fails right."""
    counts = LabelCounts(both_pass=180, only_judge=10, only_people=4, both_fail=6)
    right_1, right_0 = 181 / 192, 5 / 12
    value, lower, upper = post_stratified(counts, share=0.9, n=300, alpha=0.05)
    variance = (
        0.81 * right_1 * (1 - right_1) / 193
        + 0.01 * right_0 * (1 - right_0) / 13
        + (right_1 - right_0) ** 2 * 0.09 / 300
    )
    assert value == pytest.approx(0.9 * right_1 + 0.1 * right_0)
    assert value - lower == pytest.approx(1.6448536 * variance**0.5)
    assert upper - value == pytest.approx(value - lower)


@pytest.mark.parametrize(
    ("sens", "spec", "share", "n_labels", "labelled_share"),
    [
        (0.98, 0.50, 0.80, 200, 0.80),
        (0.98, 0.50, 0.80, 300, 0.95),
        (0.95, 0.90, 0.95, 300, 0.95),
        (0.95, 0.90, 0.85, 200, 0.70),
        (0.90, 0.70, 0.85, 240, 0.90),
    ],
)
def test_judged_bound_covers_whoever_was_labelled(sens, spec, share, n_labels, labelled_share):
    """At 95% the truth is above the lower bound in at least .95 of studies, less two Monte Carlo errors."""
    judged, _ = coverage(sens=sens, spec=spec, share=share, n_labels=n_labels, labelled_share=labelled_share)
    assert judged >= 0.95 - 2 * 0.011


def test_post_stratified_alone_needs_labels_of_the_same_model():
    """With labels of its own answers it covers; with those of better models hardly ever: why two bounds are taken."""
    _, own = coverage(sens=0.98, spec=0.5, share=0.85, n_labels=300, labelled_share=0.85)
    _, others = coverage(sens=0.98, spec=0.5, share=0.80, n_labels=300, labelled_share=0.95)
    assert own >= 0.92
    assert others <= 0.05


def test_a_judge_alone_would_admit_a_bad_model():
    """The same judge, taken at its word, passes .88 of a model whose true share is .80."""
    rng = np.random.default_rng(7)
    seen = verdicts(rng, rng.random(100_000) < 0.80, sens=0.98, spec=0.50).mean()
    assert seen == pytest.approx(0.884, abs=0.005)


def test_a_blind_judge_bounds_nothing():
    """A judge that passes bad answers as often as good ones gives no bound at all."""
    blind = LabelCounts(both_pass=90, only_judge=90, only_people=10, both_fail=10)
    assert transported(blind, share=0.9, n=300, alpha=0.05) is None
    bound = judged_bound(blind, low_share=0.9, high_share=0.9, n=300, n_clusters=300, alpha=0.05)
    assert (bound.lower, bound.upper, bound.estimate()) == (None, None, None)


def test_unjudged_answers_widen_both_ways():
    """Counting what was not judged as failed lowers the lower bound, as passed raises the upper one."""
    counts = LabelCounts(both_pass=140, only_judge=5, only_people=5, both_fail=50)
    whole = judged_bound(counts, low_share=0.8, high_share=0.8, n=200, n_clusters=200, alpha=0.05)
    holes = judged_bound(counts, low_share=0.75, high_share=0.85, n=200, n_clusters=200, alpha=0.05)
    assert holes.lower < whole.lower
    assert holes.upper > whole.upper


def test_more_labels_do_not_widen():
    """Ten times the labels with the same shares bring the bounds nearer."""
    few = LabelCounts(both_pass=70, only_judge=3, only_people=3, both_fail=24)
    many = LabelCounts(both_pass=700, only_judge=30, only_people=30, both_fail=240)
    narrow, wide = (
        judged_bound(counts, low_share=0.75, high_share=0.75, n=300, n_clusters=300, alpha=0.05)
        for counts in (many, few)
    )
    assert wide.lower < narrow.lower <= narrow.upper < wide.upper
