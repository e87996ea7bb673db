"""Who is as good as the best, why each rank is what it is, and who is on the frontier."""

from __future__ import annotations

import pytest

from evalkit.pipeline.decide import decide
from evalkit.pipeline.ranking import ranking_of
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import STARTED_AT, a_case, a_model, a_suite
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import DAY_S, Answer, a_project, store_night

N = 200


def ranked(models, **policy):
    """The ranking of models given as id to (wrong answers of 200, USD a call, seconds a call)."""
    suite = a_suite(cases=[a_case(f"c{index}") for index in range(N)], gates=[{"metric": "exact", "at_least": 0.5}])
    project = a_project([suite], models=[a_model(name) for name in models], **policy)

    def answer(_suite, model, case):
        n_wrong, usd, latency_s = models[model.id]
        score = float(int(case.id[1:]) >= n_wrong)
        return Answer(scores={"exact": score}, cost_usd=usd, latency_s=latency_s)

    store = MemoryStore(clock=ManualClock())
    store_night(store, project, answer)
    return ranking_of(project.policy, decide(project, store).verdicts)


def order(ranking):
    """Model ids by place."""
    assert [rank.place for rank in ranking] == [*range(1, len(ranking) + 1)]
    return [rank.model_id for rank in ranking]


def test_the_cheapest_of_those_that_cannot_be_told_apart_goes_first():
    """Two wrong answers of two hundred are no reason to pay more."""
    found = ranked({"dear": (0, 0.004, 0.2), "cheap": (2, 0.001, 0.2)})
    assert order(found) == ["cheap", "dear"]
    assert found[0].reason.startswith("the cheapest of 2 that cannot be told apart in quality; USD 0.0010")
    assert found[1].reason.startswith("number 2 by cost of 2")
    assert all(rank.is_on_frontier for rank in found)


def test_measurably_worse_goes_behind():
    """Thirty points less is not made up for by a price."""
    found = ranked({"dear": (0, 0.004, 0.2), "cheap": (60, 0.001, 0.2), "alike": (1, 0.006, 0.2)})
    assert order(found) == ["dear", "alike", "cheap"]
    assert found[2].reason.startswith("measurably worse than dear by 0.300")
    assert [rank.is_on_frontier for rank in found] == [True, False, True]
    assert found[2].merit.tier == 1


def test_only_the_best_is_left():
    """When all others are worse it says so."""
    found = ranked({"best": (0, 0.004, 0.2), "worse": (60, 0.001, 0.2)})
    assert found[0].reason.startswith("all others are measurably worse")


def test_the_pin_goes_first():
    """Whatever it costs."""
    found = ranked({"pinned": (60, 0.009, 0.2), "other": (0, 0.001, 0.2)}, tasks={"qa": {"pin": "pinned"}})
    assert order(found) == ["pinned", "other"]
    assert found[0].reason.startswith("the policy pins it")


def test_unknown_costs_are_not_cheap():
    """Without a price a model stands behind those that have one."""
    found = ranked({"unpriced": (0, None, 0.2), "priced": (2, 0.01, 0.2)})
    assert order(found) == ["priced", "unpriced"]
    assert "behind those whose figures are known" in found[1].reason
    assert "cost unknown" in found[1].reason


@pytest.mark.parametrize(
    ("rank_by", "first", "word"),
    [("cost", "cheap", "cheapest"), ("latency", "quick", "fastest"), ("quality", "good", "highest")],
)
def test_the_policy_says_by_what(rank_by, first, word):
    """Among models that are alike the policy's own property decides."""
    models = {"cheap": (2, 0.001, 0.9), "quick": (2, 0.009, 0.1), "good": (0, 0.009, 0.9)}
    found = ranked(models, defaults={"rank_by": rank_by})
    assert found[0].model_id == first
    assert word in found[0].reason


@pytest.mark.parametrize(
    ("rank_by", "words"),
    [("cost", "as cheap as any"), ("latency", "as fast as any"), ("quality", "scoring as high as")],
)
def test_equal_figures_are_called_equal(rank_by, words):
    """Of two that cost the same neither is the cheapest."""
    found = ranked({"one": (0, 0.001, 0.2), "other": (0, 0.001, 0.2)}, defaults={"rank_by": rank_by})
    assert all(rank.reason.startswith(words) for rank in found)
    assert all("of 2 that cannot be told apart" in rank.reason for rank in found)


def test_one_model_and_none():
    """Alone a model was compared with nobody; without any there is no rank."""
    only = ranked({"only": (0, 0.001, 0.2), "bad": (N, 0.001, 0.2)})
    assert order(only) == ["only"]
    assert only[0].reason.startswith("the only eligible model; USD 0.001")
    assert ranked({"bad": (N, 0.001, 0.2)}) == ()


def test_who_is_not_offered_was_still_compared():
    """With room for one candidate the others are no worse for it."""
    found = ranked({"dear": (0, 0.004, 0.2), "cheap": (0, 0.001, 0.2)}, tasks={"qa": {"max_candidates": 1}})
    assert order(found) == ["cheap"]
    assert found[0].reason.startswith("the cheapest of 2 that cannot be told apart")


def test_small_losses_do_not_rank():
    """One point measured ever so surely is nothing anybody would notice."""
    found = ranked({"best": (0, 0.004, 0.2), "point": (3, 0.001, 0.2)})
    assert order(found) == ["point", "best"]


def over_nights(*nights):
    """The order after each night; a night is model id to the first and last case it gets wrong, `cheap` costs least."""
    suite = a_suite(cases=[a_case(f"c{index}") for index in range(N)], gates=[{"metric": "exact", "at_least": 0.5}])
    prices = {"cheap": 0.001, "dear": 0.004}
    project = a_project([suite], models=[a_model(name) for name in prices])
    store = MemoryStore(clock=ManualClock())
    orders = []
    for number, wrong in enumerate(nights):

        def answer(_suite, model, case, wrong=wrong):
            first, last = wrong[model.id]
            return Answer(scores={"exact": float(not first <= int(case.id[1:]) < last)}, cost_usd=prices[model.id])

        store_night(store, project, answer, run_id=f"r{number}", started_at=STARTED_AT + number * DAY_S)
        orders.append(order(ranking_of(project.policy, decide(project, store).verdicts)))
    return orders


CHEAP_FIRST, DEAR_FIRST = ["cheap", "dear"], ["dear", "cheap"]


def test_one_bad_night_does_not_take_the_first_place():
    """Eight wrong answers on one night of five, each night others: together nothing."""
    good = {"cheap": (0, 0), "dear": (0, 0)}
    assert over_nights({"cheap": (0, 8), "dear": (0, 0)}) == [DEAR_FIRST]
    assert over_nights(good, good, good, good, {"cheap": (0, 8), "dear": (0, 0)})[-1] == CHEAP_FIRST


def test_a_lasting_loss_does():
    """The same cases wrong night after night are a loss, and stay one."""
    worse = {"cheap": (0, 20), "dear": (0, 0)}
    assert over_nights(worse, worse, worse) == [DEAR_FIRST] * 3


def test_between_worse_and_not_worse_nothing_moves():
    """A mean loss of .01 to .02 leaves the order as it was, whichever way it was reached."""
    even, far = {"cheap": (0, 0), "dear": (0, 0)}, {"cheap": (0, 10), "dear": (0, 0)}
    falling = over_nights(far, *5 * [even])
    assert falling[:4] == [DEAR_FIRST] * 4, "losses of .05, .025, .017, .013"
    assert falling[5] == CHEAP_FIRST, "of .008"
    rising = over_nights(*5 * [even], *4 * [far])
    assert rising[5:8] == [CHEAP_FIRST] * 3, "losses of .008, .014, .019"
    assert rising[8] == DEAR_FIRST, "of .022"
