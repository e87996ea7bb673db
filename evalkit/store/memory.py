"""A store in memory, for answers nobody will ask for again: what a test session proves, and tests of stages themselves.

It keeps the contract of the real one.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import TYPE_CHECKING, Any, final

from evalkit.domain.score import Scored
from evalkit.errors import LeaseHeldError, NotFoundError, StoreError
from evalkit.store.batch import known_spend_usd, newest_of_each

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from evalkit.domain.outcome import Outcome
    from evalkit.domain.run import Run, RunStatus
    from evalkit.ports import Clock

__all__ = ["MemoryStore"]


@dataclass(slots=True)
class _Kept:
    run: Run
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    scored: dict[str, Scored] = field(default_factory=dict)
    spent_usd: float = 0.0

    def score(self, scored: Iterable[Scored]) -> None:
        """Replace what was said of these calls."""
        found = self.scored | {one.call_key: one for one in scored}
        self.scored = {key: one for key, one in found.items() if one.scores}


@final
class MemoryStore:
    """Everything in dictionaries. Methods do what `evalkit.ports` says; a lease is not renewed while it is held."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._leases: dict[str, list[Any]] = {}
        self._lock = RLock()

    def open_run(self, run: Run) -> None:
        """Keep a new run, or the same run again with another status."""
        with self._lock:
            self._kept.setdefault(run.run_id, _Kept(run)).run = run

    def append(self, run_id: str, outcomes: Sequence[Outcome], scored: Sequence[Scored] = ()) -> None:
        """Keep outcomes with their scores; a missing outcome is replaced, a model outcome never."""
        if {one.call_key for one in scored} - {outcome.call_key for outcome in outcomes}:
            raise ValueError("scores were given without the outcome they go with; nothing was stored")
        with self._lock:
            kept = self._of(run_id)
            before, kept.outcomes = kept.outcomes, newest_of_each([*kept.outcomes.values(), *outcomes])
            fresh = {key for key, outcome in kept.outcomes.items() if before.get(key) is not outcome}
            kept.spent_usd += known_spend_usd(outcomes)
            kept.score(Scored(call_key=key, scores=()) for key in fresh)
            kept.score(one for one in scored if one.call_key in fresh)

    def append_scores(self, run_id: str, scored: Sequence[Scored], *, suite: str, suite_digest: str) -> None:
        """Replace the scores of these calls, and record what graded them."""
        with self._lock:
            kept = self._of(run_id)
            if {one.call_key for one in scored} - kept.outcomes.keys():
                raise ValueError("scores were given for a call the run does not hold; nothing was stored")
            kept.score(scored)
            digests = dict(kept.run.suite_digests) | {suite: suite_digest}
            kept.run = replace(kept.run, suite_digests=tuple(digests.items()))

    def set_status(self, run_id: str, status: RunStatus, *, finished_at: float | None = None, note: str = "") -> None:
        """Record how far a run got."""
        with self._lock:
            kept = self._of(run_id)
            kept.run = replace(kept.run, status=status, finished_at=finished_at, note=note)

    def held_keys(self, run_id: str, *, is_asked: bool = False) -> set[str]:
        """Return the call keys that hold a model outcome, of planned calls or of what scorers asked."""
        found = self._of(run_id).outcomes.values()
        mine = [outcome for outcome in found if (outcome.asked_about is not None) == is_asked]
        return {outcome.call_key for outcome in mine if not outcome.may_be_sent_again}

    def spent_usd(self, run_id: str) -> float:
        """Return the known cost of every attempt, also of outcomes that are no longer there."""
        return self._of(run_id).spent_usd

    @contextmanager
    def lease(self, name: str, *, holder: str, ttl_s: float) -> Iterator[None]:
        """Own a name while the context is open, at most `ttl_s` by the clock."""
        mine = [holder, self._clock.now() + ttl_s]
        with self._lock:
            other, expires_at = self._leases.get(name, ["", 0.0])
            if expires_at > self._clock.now():
                raise LeaseHeldError(f"{name!r} is held by {other}", next_step="wait for it to end")
            self._leases[name] = mine
        try:
            yield
        finally:
            is_ours = self._leases.get(name) is mine
            if is_ours:
                del self._leases[name]
        if not is_ours:
            raise StoreError(f"the lease {name!r} ran out while {holder} held it, and was taken")

    def runs(self, *, project: str, environment: str) -> tuple[Run, ...]:
        """Return the runs, newest first by start."""
        mine = [k.run for k in self._kept.values() if (k.run.project, k.run.environment) == (project, environment)]
        return tuple(sorted(mine, key=lambda run: (run.started_at, run.run_id), reverse=True))

    def run(self, run_id: str) -> Run:
        """Return one run by its id or an unambiguous beginning of it."""
        found = [run_id] if run_id in self._kept else [name for name in self._kept if name.startswith(run_id)]
        if len(found) != 1:
            raise NotFoundError(f"{len(found)} runs begin with {run_id!r}", next_step="give the whole id")
        return self._kept[found[0]].run

    def outcomes(
        self, run_id: str, *, suite: str | None = None, model_id: str | None = None, with_payloads: bool = True
    ) -> Iterator[Outcome]:
        """Yield outcomes in scheduled order; without payloads turns are empty."""
        found = [o for o in self._of(run_id).outcomes.values() if suite in {None, o.suite}]
        found = [outcome for outcome in found if outcome.asked_about is None]
        mine = sorted((o for o in found if model_id in {None, o.model_id}), key=lambda outcome: outcome.sequence)
        return (outcome if with_payloads else replace(outcome, turns=()) for outcome in mine)

    def asked(self, run_id: str, *, suite: str | None = None) -> Iterator[Outcome]:
        """Yield outcomes of what scorers asked, without payloads."""
        found = [o for o in self._of(run_id).outcomes.values() if suite in {None, o.suite}]
        mine = [outcome for outcome in found if outcome.asked_about is not None]
        return (replace(outcome, turns=()) for outcome in sorted(mine, key=lambda outcome: outcome.sequence))

    def replies(self, run_id: str, keys: Collection[str]) -> dict[str, Outcome]:
        """Return what is held of these asked calls, by key."""
        held = self._of(run_id).outcomes
        return {key: held[key] for key in keys if key in held and held[key].asked_about is not None}

    def scores(self, run_id: str, *, suite: str | None = None, model_id: str | None = None) -> Iterator[Scored]:
        """Yield what was said of each outcome that anything was said of, in scheduled order."""
        scored = self._of(run_id).scored
        outcomes = self.outcomes(run_id, suite=suite, model_id=model_id)
        return iter([scored[outcome.call_key] for outcome in outcomes if outcome.call_key in scored])

    def forget(self, run_id: str, *, texts_only: bool = False) -> None:
        """Take a run out, or only its texts."""
        with self._lock:
            kept = self._of(run_id)
            if not texts_only:
                del self._kept[run_id]
                return
            kept.outcomes = {key: replace(outcome, turns=()) for key, outcome in kept.outcomes.items()}
            kept.run = replace(kept.run, has_texts=False)

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""

    def _of(self, run_id: str) -> _Kept:
        if run_id not in self._kept:
            raise NotFoundError(f"no run {run_id!r} in the store", next_step="open it first")
        return self._kept[run_id]
