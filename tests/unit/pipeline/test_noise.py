"""How often two nights of the same model would disagree, through the code that decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from evalkit.domain.outcome import Kind
from evalkit.domain.policy import Waiver
from evalkit.pipeline.noise import MAX_SCALE, NoiseOptions, measure_noise
from evalkit.stats.power import failures_allowed
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import a_case, a_model
from evalkit.testing.evidence import DAY_S, Answer, answers_failing, answers_missing, store_night
from evalkit.testing.verdicts import BAD, GOOD, POOR, STARTED_AT, N, a_demo, a_gated_suite, cases


class FixedClock:
    """It is always now."""

    def now(self) -> float:
        """Return Unix seconds."""
        return STARTED_AT

    def monotonic(self) -> float:
        """Return seconds."""
        return 0.0


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=FixedClock())


def nights(store, project, *answers):
    """Keep one night after the other."""
    for index, answer in enumerate(answers):
        store_night(store, project, answer, run_id=f"night-{index}", started_at=STARTED_AT + index * DAY_S)


def noise_of(project, store, **options):
    """Return the noise with few simulations, unless told otherwise."""
    return measure_noise(project, store, NoiseOptions(**({"simulations": 100} | options)))


def row_of(noise, *, metric=None):
    """Return the row of a gate, or of the verdict."""
    return next(row for row in noise.rows if row.metric == metric)


class TestEstimate:
    """The rate to expect of the next two nights."""

    @pytest.mark.parametrize(("answers", "tonight"), [(GOOD, "eligible"), (BAD, "ineligible")])
    def test_clear_models_do_not_flip(self, store, answers, tonight):
        """Far from the gate, on either side, today's number of clusters is enough."""
        project = a_demo()
        nights(store, project, answers)

        row = row_of(noise_of(project, store, simulations=200))

        assert (row.tonight, row.n_clusters, row.enough_clusters) == (tonight, N, N)
        assert 0.0 <= row.flips.lower <= row.flips.value < 0.03 < row.flips.upper

    @pytest.mark.parametrize("failing", [2, 5, 9])
    def test_known_answer(self, store, failing):
        """Of independent yes-or-no cases the rate is 2p(1 - p), p binomial, averaged over Jeffreys' posterior."""
        project = a_demo()
        nights(store, project, answers_failing(failing))
        share = (np.arange(2000) + 0.5) / 2000
        bad = stats.beta.ppf(share, failing + 0.5, N - failing + 0.5)
        passing = stats.binom.cdf(failures_allowed(0.9, N, alpha=0.05), N, bad)

        found = row_of(noise_of(project, store, simulations=1000, at_most=0.49), metric="exact")

        assert found.flips.value == pytest.approx((2 * passing * (1 - passing)).mean(), abs=0.04)
        assert found.flips.n_nights == 1000

    def test_trials_of_a_prompt_are_drawn_together(self, store):
        """Three trials of 34 prompts that are all right or all wrong flip as 34 prompts do, not as 102."""
        suite = a_gated_suite(cases=cases(34), trials=3, gates=[{"metric": "exact", "at_least": 0.8}])
        alone = a_gated_suite(cases=cases(102), gates=[{"metric": "exact", "at_least": 0.8}])
        rates = []
        for each, failing in ((suite, 3), (alone, 9)):
            mine = MemoryStore(clock=FixedClock())
            nights(mine, a_demo(each), answers_failing(failing))
            rates.append(row_of(noise_of(a_demo(each), mine, at_most=0.49)).flips.value)
        assert rates[0] > rates[1] + 0.05

    def test_nights_that_differ_are_part_of_it(self, store):
        """A model that is right on one night and wrong on the next flips every other time."""
        project = a_demo()
        nights(store, project, GOOD, BAD)

        row = row_of(noise_of(project, store, simulations=300))

        assert row.flips.value == pytest.approx(0.5, abs=0.06)
        assert (row.observed.n_flips, row.observed.n_pairs) == (1, 1)
        assert row.enough_clusters is None
        assert row.tried_clusters == N * MAX_SCALE

    def test_more_clusters_are_enough(self, store):
        """A model above its gate flips at first; the number at which it stops is larger, and is found."""
        project = a_demo()
        nights(store, project, answers_failing(2))

        row = row_of(noise_of(project, store, at_most=0.1), metric="exact")

        assert row.flips.value > 0.1
        assert N < row.enough_clusters <= row.tried_clusters

    def test_missing_answers_are_part_of_it(self, store):
        """Coverage just enough tonight is not enough on many another night."""
        project = a_demo(a_gated_suite(gates=[{"metric": "exact", "at_least": 0.5}]))
        nights(store, project, answers_missing(4, kind=Kind.PROVIDER_ERROR, then=GOOD))

        found = noise_of(project, store, at_most=0.49)

        assert row_of(found).flips.value > 0.2 > row_of(found, metric="exact").flips.value

    def test_too_few_clusters_to_draw_from(self, store):
        """Where every case is critical nobody can say; that counts as noisy, never as 0."""
        project = a_demo(a_gated_suite(cases=cases(40, critical=True)))
        nights(store, project, GOOD)

        found = noise_of(project, store)

        assert [(row.flips, row.enough_clusters) for row in found.rows] == [(None, None)] * 2
        assert found.noisy == found.rows

    def test_critical_cases_do_not_make_every_night_undecided(self, store):
        """They are there on each simulated night."""
        some = (*cases(99), a_case("key", critical=True))
        project = a_demo(a_gated_suite(cases=some))
        nights(store, project, GOOD)
        assert row_of(noise_of(project, store)).flips.n_passed == 100


class TestJudgement:
    """Each night is judged alone."""

    def test_neither_pool_nor_earlier_evidence_helps(self, store):
        """Tonight is what tonight's answers alone say."""
        project = a_demo()
        nights(store, project, GOOD, GOOD, POOR)
        assert row_of(noise_of(project, store)).tonight == "undecided"

    def test_waivers_are_not_noise(self, store):
        """A person's decision does not flip."""
        waiver = Waiver(
            task="qa", model="gpt-4o", action="deny", reason="a reason", by="somebody", until="2099-01-01T00:00:00Z"
        )
        project = a_demo(waivers=[waiver])
        nights(store, project, GOOD)
        assert row_of(noise_of(project, store)).tonight == "eligible"

    def test_the_incumbent_is_compared_on_the_same_prompts(self, store):
        """A candidate with the incumbent's own failures is non-inferior on nearly every simulated night."""
        models = (a_model("gpt-4o"), a_model("old"))
        tasks = {"qa": {"incumbent": "old", "non_inferiority_margin": 0.05}}
        suite = a_gated_suite(gates=[{"metric": "exact", "at_least": 0.6}])
        project = a_demo(suite, models=models, tasks=tasks)
        nights(store, project, answers_failing(20))

        candidate = next(row for row in noise_of(project, store, at_most=0.4).rows if row.model_id == "gpt-4o")

        assert candidate.tonight == "eligible"
        assert candidate.flips.n_passed >= 0.85 * candidate.flips.n_nights

    def test_old_evidence_is_judged_as_of_its_night(self, store):
        """Noise is a property of the measurement, not of its age."""
        project = a_demo(defaults={"valid_for": "1h"})
        nights(store, project, GOOD)
        assert row_of(noise_of(project, store)).tonight == "eligible"


class TestObserved:
    """What real nights did."""

    def test_pairs_of_whole_runs(self, store):
        """Two of three nights pass: two of three pairs disagree."""
        project = a_demo()
        nights(store, project, GOOD, POOR, GOOD)

        observed = row_of(noise_of(project, store)).observed

        assert (observed.n_flips, observed.n_pairs, observed.n_nights) == (2, 3, 3)
        assert observed.lower < observed.value <= observed.upper

    def test_one_night_is_no_pair(self, store):
        """Nothing observed is not an observed 0."""
        project = a_demo()
        nights(store, project, GOOD)
        assert row_of(noise_of(project, store)).observed is None

    def test_another_served_name_is_another_model(self, store):
        """Its nights are no pair with those before."""
        project = a_demo()

        def renamed(suite, model, case):
            return replace(GOOD(suite, model, case), served_model="other")

        nights(store, project, BAD, renamed)
        assert row_of(noise_of(project, store)).observed is None

    def test_only_runs_that_measured_every_suite(self, store):
        """A verdict needs all suites of its task, from one night."""
        both = a_demo(a_gated_suite("one", task="qa"), a_gated_suite("two", task="qa"))
        only = a_demo(a_gated_suite("one", task="qa"))
        nights(store, both, GOOD)
        store_night(store, only, GOOD, run_id="later", started_at=STARTED_AT + 9 * DAY_S)

        row = row_of(noise_of(both, store))

        assert row.observed is None
        assert row.n_clusters == 2 * N


class TestWhole:
    """What comes back."""

    def test_rows_and_gaps(self, store):
        """One row a verdict and a gate, in order; what was not measured is named."""
        gates = [{"metric": "exact", "at_least": 0.9}, {"metric": "latency_s", "of": "p95", "at_most": 1}]
        suite = a_gated_suite(gates=gates)
        nights(store, a_demo(suite), GOOD)
        project = a_demo(suite, models=(a_model("gpt-4o"), a_model("new")))

        found = noise_of(project, store)

        assert [(row.suite, row.metric) for row in found.rows] == [(None, None), ("qa", "exact"), ("qa", "latency_s")]
        assert found.unmeasured == (("qa", "new"),)

    def test_clusters_of_a_slice(self, store):
        """A gate on a tag rests on the clusters that carry it."""
        tagged = (*cases(60), *(a_case(f"t{index}", tags=("hard",)) for index in range(40)))
        gate = {"metric": "exact", "at_least": 0.9, "where": {"tag": "hard"}}
        project = a_demo(a_gated_suite(cases=tagged, gates=[gate]))
        nights(store, project, GOOD)
        assert row_of(noise_of(project, store), metric="exact").n_clusters == 40

    def test_same_store_same_seed_same_answer(self, store):
        """And another seed another one; which pairs are asked for changes nothing in the others."""
        models = (a_model("gpt-4o"), a_model("other"))
        project = a_demo(models=models)
        nights(store, project, answers_failing(5))

        first, again = (noise_of(project, store, at_most=0.49) for _ in range(2))
        alone = noise_of(project, store, at_most=0.49, model_ids=("other",))

        assert first == again
        assert [row for row in first.rows if row.model_id == "other"] == [*alone.rows]
        assert first.rows != noise_of(project, store, at_most=0.49, seed=1).rows

    def test_nothing_measured(self, store):
        """An empty store has no rows, and says which pairs are missing."""
        found = noise_of(a_demo(), store)
        assert (found.rows, found.unmeasured) == ((), (("qa", "gpt-4o"),))

    def test_progress(self, store):
        """Told before each pair."""
        project = a_demo()
        nights(store, project, GOOD)
        said = []
        measure_noise(project, store, NoiseOptions(simulations=50), observe=lambda *what: said.append(what))
        assert said == [(0, 1, "qa · gpt-4o")]


def test_no_gate_passes_on_a_model_that_answers_nothing(store):
    """All answers missing: undecided, and it stays so."""
    project = a_demo()
    nights(store, project, lambda _suite, _model, _case: Answer(kind=Kind.CONNECTION))
    row = row_of(noise_of(project, store))
    assert (row.tonight, row.flips.value) == ("undecided", 0.0)
