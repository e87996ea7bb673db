"""Flip rates: drawn nights, what is expected of them, what real nights showed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evalkit.stats.flips import Population, draw_nights, observed_flip_rate, resampled_flip_rate


def nights(*populations, scale=1.0, n_truths=4, n_nights=3, seed=(0,)):
    """Return all worlds at once."""
    return [*draw_nights(populations, scale=scale, n_truths=n_truths, n_nights=n_nights, seed=seed)]


class TestDrawNights:
    """Worlds by the Bayesian bootstrap, nights by their weights."""

    def test_a_night_has_as_many_clusters_as_were_seen(self):
        """Times the scale; imagined clusters are drawn, and do not make a night larger."""
        for scale, expected in ((1.0, 40), (2.5, 100)):
            for world in nights(Population(n_observed=40, n_imagined=2), Population(n_observed=40), scale=scale):
                assert len(world) == 3
                assert [[sum(suite) for suite in night.counts] for night in world] == [[expected, expected]] * 3
                assert {len(night.counts[0]) for night in world} == {42}
                assert all(0 <= night.occasion < 1 for night in world)

    def test_seeds_decide(self):
        """The same seed draws the same, another one something else."""
        population = Population(n_observed=30)
        assert nights(population, seed=(1, 2)) == nights(population, seed=(1, 2)) != nights(population, seed=(1, 3))

    def test_perfect_nights_follow_jeffreys(self):
        """30 of 30 leave the chance of another perfect night that Jeffreys' prior gives: .60, not 1."""
        drawn = nights(Population(n_observed=30, n_imagined=2), n_truths=4000, n_nights=1, seed=(11,))
        share = np.mean([night.counts[0][30] == 0 for (night,) in drawn])

        assert share == pytest.approx(stats.betabinom.pmf(0, 30, 0.5, 30.5), abs=0.02)

    def test_worlds_are_the_same_at_every_scale(self):
        """A larger suite is more of the same world: its shares come closer to the weights, not to other ones."""
        population = Population(n_observed=20)
        large, larger = (nights(population, scale=s, n_truths=1, n_nights=1)[0][0].counts[0] for s in (5000, 9000))

        assert np.abs(np.asarray(large) / 100_000 - np.asarray(larger) / 180_000).max() < 0.01


class TestResampled:
    """The rate to expect."""

    def test_pairs_are_counted_inside_worlds_only(self):
        """Two worlds that disagree with each other and never with themselves do not flip."""
        assert resampled_flip_rate([[True, True], [False, False]]).value == 0
        assert resampled_flip_rate([[True, False, True], [True, True, True]]).value == pytest.approx(1 / 3)

    def test_no_flip_leaves_an_interval(self):
        """However often nothing flipped, the rate may be above 0; more nights narrow it."""
        few, many = (resampled_flip_rate(np.ones((n, 5))) for n in (10, 400))
        assert few.value == few.lower == 0
        assert 0 < many.upper < 0.01 < few.upper < 0.5

    def test_interval_of_a_gate_at_evens(self):
        """Half of the nights passing means worlds with chances from .025 to .975: flips from 2 × .025 × .975 on."""
        rate = resampled_flip_rate([[True, False]] * 5000)
        assert (rate.lower, rate.upper) == (pytest.approx(2 * 0.025 * 0.975, abs=0.005), 0.5)

    def test_passing_and_failing_are_symmetric(self):
        """Swapping them changes nothing but the count."""
        table = np.random.default_rng(5).random((40, 5)) < 0.8
        one, other = resampled_flip_rate(table), resampled_flip_rate(~table)
        assert (one.value, one.lower, one.upper) == pytest.approx((other.value, other.lower, other.upper))

    @pytest.mark.parametrize("true_share", [0.9, 0.93, 0.96, 0.99])
    def test_interval_covers_the_true_rate(self, true_share):
        """One night of 180 binary cases: the flip rate of the true share lies inside in at least 93 nights of 100."""
        rng, allowed, n = np.random.default_rng(7), 11, 180
        passing = stats.binom.cdf(allowed, n, 1 - true_share)
        true_rate = 2 * passing * (1 - passing)
        covered = 0
        for failures in rng.binomial(n, 1 - true_share, size=300):
            worlds = rng.beta(failures + 0.5, n - failures + 0.5, size=(40, 1))
            found = resampled_flip_rate(rng.binomial(n, worlds, size=(40, 5)) <= allowed)
            covered += found.lower <= true_rate <= found.upper
        assert covered >= 0.93 * 300


class TestObserved:
    """What real nights did."""

    def test_known_answer(self):
        """3 of 10 nights passed: 21 of 45 pairs, and 2p(1 - p) over the exact interval .0667 to .6525."""
        rate = observed_flip_rate(3, 10)
        assert (rate.n_flips, rate.n_pairs, rate.method) == (21, 45, "observed")
        assert rate.value == pytest.approx(21 / 45)
        assert (rate.lower, rate.upper) == (pytest.approx(2 * 0.0667 * 0.9333, abs=1e-4), 0.5)

    @pytest.mark.parametrize("n", [2, 3, 14])
    def test_interval_holds_the_value(self, n):
        """In order and in range, for every count; never of width 0."""
        for k in range(n + 1):
            rate = observed_flip_rate(k, n)
            assert 0 <= rate.lower <= rate.value <= rate.upper <= 0.5
            assert rate.lower < rate.upper

    def test_two_nights_that_differ_say_at_most_evens(self):
        """No two independent nights differ more often than every other time."""
        assert observed_flip_rate(1, 2).value == 0.5

    @pytest.mark.parametrize(("passed", "n"), [(0, 1), (-1, 3), (4, 3)])
    def test_impossible_counts(self, passed, n):
        """One night is no pair."""
        with pytest.raises(ValueError, match="nights passed"):
            observed_flip_rate(passed, n)
