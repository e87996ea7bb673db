"""What every store must do. Subclass `StoreContract` in your tests and give it the `new_store` of yours.

class TestMyStore(StoreContract):
    def new_store(self, root, clock):
        return my_store(root / "file", clock=clock)
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.domain.outcome import Attempt, Cost, Kind, Outcome, Timings
from evalkit.domain.run import RunStatus
from evalkit.domain.score import Score, Scored, Unscored
from evalkit.errors import LeaseHeldError, NotFoundError, StoreError
from evalkit.testing.builders import STARTED_AT, a_call_key, a_run, an_outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evalkit.ports import Clock, Store

__all__ = ["ManualClock", "StoreContract"]

_RUN = "run-1"


@dataclass(slots=True)
class ManualClock:
    """A clock that moves when the test moves it."""

    now_s: float = STARTED_AT
    """Unix seconds."""

    def now(self) -> float:
        """Return the time it was set to."""
        return self.now_s

    def monotonic(self) -> float:
        """Return the same number: nothing but the test moves it."""
        return self.now_s


class StoreContract:
    """Inherit, define `new_store`, and run under pytest."""

    def new_store(self, root: Path, clock: Clock) -> Store:
        """Return an empty store; `root` is a folder of the test's own."""
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> ManualClock:
        """Return the clock the store is given."""
        return ManualClock()

    @pytest.fixture
    def store(self, tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
        """Return a store that holds one run and nothing in it."""
        with closing(self.new_store(tmp_path, clock)) as store:
            store.open_run(a_run(_RUN))
            yield store

    def test_outcome_comes_back_as_it_was(self, store: Store) -> None:
        """Nothing of an outcome is lost or changed."""
        outcome = an_outcome(text="ünïcode \ud800 and \x00")
        store.append(_RUN, [outcome])
        assert list(store.outcomes(_RUN)) == [outcome]

    @pytest.mark.parametrize("kind", list(Kind))
    def test_every_kind_comes_back(self, store: Store, kind: Kind) -> None:
        """Each wire kind survives, with and without an exchange."""
        outcomes = [an_outcome("a", kind=kind), an_outcome("b", kind=kind, turns=(), attempts=(), sequence=1)]
        store.append(_RUN, outcomes)
        assert list(store.outcomes(_RUN)) == outcomes

    def test_no_payloads_leaves_only_the_turns_out(self, store: Store) -> None:
        """Without payloads everything but the turns is there."""
        outcome = an_outcome(attempts=(Attempt(kind=Kind.TIMEOUT, detail="no answer in 60 s"), Attempt(kind=Kind.OK)))
        store.append(_RUN, [outcome])
        assert list(store.outcomes(_RUN, with_payloads=False)) == [replace(outcome, turns=())]

    def test_outcomes_are_in_scheduled_order(self, store: Store) -> None:
        """Reads follow the sequence of the plan, not the order of arrival."""
        for sequence in (2, 0, 1):
            store.append(_RUN, [an_outcome(f"case-{sequence}", sequence=sequence)])
        assert [outcome.sequence for outcome in store.outcomes(_RUN)] == [0, 1, 2]

    def test_outcomes_can_be_of_one_cell(self, store: Store) -> None:
        """Suite and model filter; an unknown name gives nothing."""
        cells = [("qa", "gpt-4o"), ("qa", "other"), ("mail", "gpt-4o")]
        store.append(_RUN, [an_outcome(suite=s, model_id=m, sequence=n) for n, (s, m) in enumerate(cells)])
        found = [(o.suite, o.model_id) for o in store.outcomes(_RUN, suite="qa", model_id="gpt-4o")]
        assert found == [("qa", "gpt-4o")]
        assert [o.suite for o in store.outcomes(_RUN, model_id="gpt-4o")] == ["qa", "mail"]
        assert list(store.outcomes(_RUN, suite="nobody's")) == []

    def test_texts_can_be_forgotten(self, store: Store) -> None:
        """Numbers and scores stay as they are; the run says that its texts are gone."""
        outcome = an_outcome()
        store.append(_RUN, [outcome], [_scored(outcome, 1.0)])
        store.forget(_RUN, texts_only=True)
        assert list(store.outcomes(_RUN)) == [replace(outcome, turns=())]
        assert list(store.scores(_RUN)) == [_scored(outcome, 1.0)]
        assert not store.run(_RUN).has_texts

    def test_a_run_can_be_forgotten(self, store: Store) -> None:
        """It is gone with all it held, and the others are untouched."""
        store.open_run(a_run("run-2"))
        outcome = an_outcome()
        for run_id in (_RUN, "run-2"):
            store.append(run_id, [outcome], [_scored(outcome, 1.0)])
        store.forget(_RUN)
        with pytest.raises(NotFoundError):
            store.run(_RUN)
        assert list(store.outcomes("run-2")) == [outcome]
        assert list(store.scores("run-2")) == [_scored(outcome, 1.0)]
        with pytest.raises(NotFoundError):
            store.forget(_RUN)

    def test_runs_do_not_share_outcomes(self, store: Store) -> None:
        """The same call in two runs is two outcomes."""
        store.open_run(a_run("run-2"))
        first, second = an_outcome(text="one"), an_outcome(text="two")
        store.append(_RUN, [first])
        store.append("run-2", [second])
        assert list(store.outcomes(_RUN)) == [first]
        assert list(store.outcomes("run-2")) == [second]

    def test_substitution_is_never_asked_away(self, store: Store) -> None:
        """Asking until the right model answers would hide the swap: the first answer stays."""
        swapped, answered = an_outcome(kind=Kind.SUBSTITUTED_MODEL), an_outcome()
        store.append(_RUN, [swapped])
        assert store.held_keys(_RUN) == {swapped.call_key}
        store.append(_RUN, [answered])
        assert [outcome.kind for outcome in store.outcomes(_RUN)] == [Kind.SUBSTITUTED_MODEL]

    def test_missing_outcome_is_replaced(self, store: Store) -> None:
        """A later outcome of the same call takes the place of a missing one, and of its scores."""
        missing, answered = an_outcome(kind=Kind.TIMEOUT), an_outcome()
        store.append(
            _RUN, [missing], [Scored(call_key=missing.call_key, scores=(Unscored("exact", "missing:timeout"),))]
        )
        store.append(_RUN, [answered])
        assert list(store.outcomes(_RUN)) == [answered]
        assert list(store.scores(_RUN)) == []

    def test_model_outcome_is_never_replaced(self, store: Store) -> None:
        """What a model said stands, whatever comes later; scores of the later attempt are dropped with it."""
        first, later = an_outcome(kind=Kind.REFUSAL), an_outcome(text="better")
        said = _scored(first, 0.0)
        store.append(_RUN, [first], [said])
        store.append(_RUN, [later], [_scored(later, 1.0)])
        assert list(store.outcomes(_RUN)) == [first]
        assert list(store.scores(_RUN)) == [said]

    def test_same_call_twice_in_a_batch(self, store: Store) -> None:
        """Inside one batch the same rule holds, in the order given."""
        answered = an_outcome()
        store.append(_RUN, [an_outcome(kind=Kind.CONNECTION), answered, an_outcome(text="too late")])
        assert list(store.outcomes(_RUN)) == [answered]

    def test_held_keys_are_model_outcomes(self, store: Store) -> None:
        """Calls that are missing are to be sent again, all others are not."""
        answered, missing = an_outcome("a", kind=Kind.EMPTY), an_outcome("b", kind=Kind.RATE_LIMITED)
        store.append(_RUN, [answered, missing])
        assert store.held_keys(_RUN) == {answered.call_key}

    def test_what_scorers_asked_stands_apart(self, store: Store) -> None:
        """A judge's verdict is no outcome of a planned call; it is found by its key, and its cost was spent."""
        answer = an_outcome("a")
        key = a_call_key("about", answer.call_key)
        verdict = an_outcome("a", model_id="judge", asked_about=answer.call_key, call_key=key, cost_usd=0.5)
        store.append(_RUN, [answer, verdict])
        assert list(store.outcomes(_RUN)) == [answer]
        assert list(store.outcomes(_RUN, model_id="judge")) == []
        assert list(store.asked(_RUN, suite="qa")) == [replace(verdict, turns=())]
        assert list(store.asked(_RUN, suite="mail")) == []
        assert store.replies(_RUN, [key, answer.call_key, a_call_key("nobody")]) == {key: verdict}
        assert store.held_keys(_RUN) == {answer.call_key}
        assert store.held_keys(_RUN, is_asked=True) == {key}
        assert store.spent_usd(_RUN) == pytest.approx(0.501)

    def test_a_failed_verdict_is_asked_for_again(self, store: Store) -> None:
        """A judge that could not be reached is replaced like any other missing outcome."""
        answer = an_outcome("a")
        key = a_call_key("about", answer.call_key)
        fields: dict[str, Any] = {"model_id": "judge", "asked_about": answer.call_key, "call_key": key}
        store.append(_RUN, [answer, an_outcome("a", kind=Kind.TIMEOUT, **fields)])
        assert store.held_keys(_RUN, is_asked=True) == set()
        again = an_outcome("a", **fields)
        store.append(_RUN, [again])
        assert store.replies(_RUN, [key]) == {key: again}

    def test_spend_counts_what_was_replaced(self, store: Store) -> None:
        """Money is gone when its answer is not kept."""
        store.append(_RUN, [an_outcome(kind=Kind.TIMEOUT, cost_usd=0.25)])
        store.append(_RUN, [an_outcome(cost_usd=0.5)])
        store.append(_RUN, [an_outcome(cost_usd=1.0)])
        store.open_run(a_run(_RUN, status=RunStatus.RUNNING))
        assert store.spent_usd(_RUN) == 1.75

    def test_spend_takes_known_attempts_when_the_total_is_unknown(self, store: Store) -> None:
        """An unknown total is not free: the attempts whose cost is known count."""
        attempts = (Attempt(kind=Kind.TIMEOUT, cost_usd=0.25), Attempt(kind=Kind.OK))
        store.append(_RUN, [an_outcome(cost_usd=None, cost=Cost(), attempts=attempts)])
        assert store.spent_usd(_RUN) == 0.25

    def test_spend_counts_the_baseline_gateway(self, store: Store) -> None:
        """What was sent there was paid for, and is no part of the price of the answer; unknown stays unknown."""
        paired = [
            an_outcome(
                f"case-{at}",
                sequence=at,
                cost=Cost(usd=0.5, source="gateway", direct_usd=usd),
                timings=Timings(started_at=1.0, latency_s=0.5, direct_s=0.25),
            )
            for at, usd in enumerate((0.25, 0.0, None))
        ]
        store.append(_RUN, paired)
        assert store.spent_usd(_RUN) == 1.75
        assert list(store.outcomes(_RUN)) == paired

    def test_scores_come_back_in_scheduled_order(self, store: Store) -> None:
        """Every part of a score survives, one entry per outcome that has any."""
        outcomes = [an_outcome(f"case-{n}", sequence=n) for n in range(3)]
        entries = (Score("exact", 0.5, "half \ud800 right", ("repair:fence", "x")), Unscored("json", "unparsed", "why"))
        last, first = (Scored(call_key=outcomes[n].call_key, scores=entries) for n in (2, 0))
        store.append(_RUN, outcomes, [last, first])
        assert list(store.scores(_RUN)) == [first, last]

    def test_scores_can_be_of_one_cell(self, store: Store) -> None:
        """Suite and model filter scores as they filter outcomes."""
        outcomes = [an_outcome(suite="qa"), an_outcome(suite="mail", sequence=1)]
        store.append(_RUN, outcomes, [_scored(outcome, 1.0) for outcome in outcomes])
        assert list(store.scores(_RUN, suite="mail")) == [_scored(outcomes[1], 1.0)]

    def test_scores_need_their_outcome(self, store: Store) -> None:
        """A score of a call nobody recorded is a bug of the caller, and nothing of its batch is kept."""
        stray = Scored(call_key=a_call_key("stray"), scores=(Score("exact", 1.0),))
        with pytest.raises(ValueError, match="nothing was stored"):
            store.append(_RUN, [an_outcome()], [stray])
        with pytest.raises(ValueError, match="nothing was stored"):
            store.append_scores(_RUN, [stray], suite="qa", suite_digest="sha256:1")
        assert list(store.outcomes(_RUN)) == []
        assert store.run(_RUN) == a_run(_RUN)

    def test_scores_are_replaced(self, store: Store) -> None:
        """Grading again replaces the old scores of those calls alone, and the run says what graded them."""
        outcomes = [an_outcome("a"), an_outcome("b", sequence=1)]
        store.append(_RUN, outcomes, [_scored(outcome, 0.0) for outcome in outcomes])
        store.append_scores(_RUN, [_scored(outcomes[0], 1.0)], suite="mail", suite_digest="sha256:new")
        assert list(store.scores(_RUN)) == [_scored(outcomes[0], 1.0), _scored(outcomes[1], 0.0)]
        assert dict(store.run(_RUN).suite_digests) == dict(a_run().suite_digests) | {"mail": "sha256:new"}

    def test_empty_scores_take_the_old_ones_away(self, store: Store) -> None:
        """A call that nothing is said of any more has no entry."""
        outcome = an_outcome()
        store.append(_RUN, [outcome], [_scored(outcome, 1.0)])
        store.append_scores(_RUN, [Scored(call_key=outcome.call_key, scores=())], suite="qa", suite_digest="sha256:1")
        assert list(store.scores(_RUN)) == []

    def test_status_is_recorded(self, store: Store) -> None:
        """How far a run got, and why it stopped."""
        store.set_status(_RUN, RunStatus.STOPPED, finished_at=STARTED_AT + 9, note="budget")
        expected = a_run(_RUN, status=RunStatus.STOPPED, finished_at=STARTED_AT + 9, note="budget")
        assert store.run(_RUN) == expected

    def test_opening_again_keeps_the_outcomes(self, store: Store) -> None:
        """A run that is resumed has what it had, under its new description."""
        store.append(_RUN, [an_outcome()])
        store.open_run(a_run(_RUN, seed=7))
        assert store.run(_RUN).seed == 7
        assert list(store.outcomes(_RUN)) == [an_outcome()]

    def test_runs_are_newest_first(self, store: Store) -> None:
        """Only runs of the project and environment, by start."""
        store.open_run(a_run("run-3", started_at=STARTED_AT + 2))
        store.open_run(a_run("run-2", started_at=STARTED_AT + 1))
        store.open_run(a_run("other", environment="prod"))
        assert [run.run_id for run in store.runs(project="demo", environment="test")] == ["run-3", "run-2", _RUN]
        assert store.runs(project="another", environment="test") == ()

    def test_run_is_found_by_its_beginning(self, store: Store) -> None:
        """An unambiguous beginning is enough, a whole id always is, wildcards are plain characters."""
        store.open_run(a_run("run-12"))
        store.open_run(a_run("solo"))
        assert store.run("so").run_id == "solo"
        assert store.run(_RUN).run_id == _RUN
        for wrong in ("run", "nothing", "%", "SO", "s_lo"):
            with pytest.raises(NotFoundError, match=wrong):
                store.run(wrong)

    def test_unknown_run_is_not_found(self, store: Store) -> None:
        """Every method says at once that a run does not exist; a beginning of an id is not its id."""
        for ask in (
            lambda: store.append("run", [an_outcome()]),
            lambda: store.append_scores("run", [], suite="qa", suite_digest="sha256:1"),
            lambda: store.set_status("run", RunStatus.FINISHED),
            lambda: store.held_keys("run"),
            lambda: store.spent_usd("run"),
            lambda: store.outcomes("run"),
            lambda: store.scores("run"),
        ):
            with pytest.raises(NotFoundError, match="run"):
                ask()

    def test_writing_while_reading(self, store: Store) -> None:
        """A reader may write scores of what it reads; its reading is not disturbed."""
        outcomes = [an_outcome(f"case-{n}", sequence=n) for n in range(20)]
        store.append(_RUN, outcomes)
        for outcome in store.outcomes(_RUN):
            store.append_scores(_RUN, [_scored(outcome, 1.0)], suite="qa", suite_digest="sha256:1")
        assert [one.call_key for one in store.scores(_RUN)] == [outcome.call_key for outcome in outcomes]

    def test_threads_lose_nothing(self, store: Store) -> None:
        """Batches from several threads all arrive, and their cost adds up."""
        batches = [_batch(n) for n in range(16)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda batch: store.append(_RUN, batch), batches))
        assert list(store.outcomes(_RUN)) == [outcome for batch in batches for outcome in batch]
        assert store.spent_usd(_RUN) == pytest.approx(16 * 10 * 0.001)

    def test_lease_excludes_another(self, store: Store) -> None:
        """While it is held nobody else gets it, and the refusal names the holder; another name is free."""
        with store.lease("nightly", holder="machine:1:now", ttl_s=60):
            with pytest.raises(LeaseHeldError, match="machine:1:now"), store.lease("nightly", holder="two", ttl_s=60):
                pytest.fail("two own it")
            with store.lease("publish", holder="two", ttl_s=60):
                pass

    def test_lease_is_given_back(self, store: Store) -> None:
        """At the end of its block a lease is free, also after an error."""
        with pytest.raises(KeyError), store.lease("nightly", holder="one", ttl_s=60):
            raise KeyError
        with store.lease("nightly", holder="two", ttl_s=60):
            pass

    def test_expired_lease_is_taken_over(self, store: Store, clock: ManualClock) -> None:
        """A lease that ran out is taken, and whoever slept through it is told at its end."""
        first = store.lease("nightly", holder="one", ttl_s=60)
        first.__enter__()
        clock.now_s += 61
        with store.lease("nightly", holder="two", ttl_s=60), pytest.raises(StoreError, match="one"):
            first.__exit__(None, None, None)


def _scored(outcome: Outcome, value: float) -> Scored:
    return Scored(call_key=outcome.call_key, scores=(Score("exact", value),))


def _batch(number: int) -> list[Outcome]:
    return [an_outcome(f"case-{number}-{n}", sequence=number * 10 + n) for n in range(10)]
