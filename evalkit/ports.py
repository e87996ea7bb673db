"""What the stages need from the outside, and nothing more. `evalkit.store` and `evalkit.testing` implement it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from contextlib import AbstractContextManager

    from evalkit.domain.outcome import Outcome
    from evalkit.domain.run import Run, RunStatus
    from evalkit.domain.score import Scored

__all__ = ["Clock", "Ledger", "RunReader", "Store"]


class Clock(Protocol):
    """Time, as a parameter."""

    def now(self) -> float:
        """Return Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...


class Ledger(Protocol):
    """What `record` and `score` write to. Every method blocks: call it off the event loop. Safe from any thread."""

    def open_run(self, run: Run) -> None:
        """Keep a new run, or the same run again with another status."""
        ...

    def append(self, run_id: str, outcomes: Sequence[Outcome], scored: Sequence[Scored] = ()) -> None:
        """Commit outcomes, and the scores that must go with them, in one transaction.

        An outcome replaces an earlier one of the same call only when that was missing and may be sent again
        (`domain.outcome.SENT_AGAIN`): never an answer, and never the evidence of a substitution.
        """
        ...

    def append_scores(self, run_id: str, scored: Sequence[Scored], *, suite: str, suite_digest: str) -> None:
        """Replace the scores of these calls, and record which suite digest graded them."""
        ...

    def set_status(self, run_id: str, status: RunStatus, *, finished_at: float | None = None, note: str = "") -> None:
        """Record how far a run got."""
        ...

    def held_keys(self, run_id: str, *, is_asked: bool = False) -> set[str]:
        """Return the call keys of the run that are not to be sent again: answers and substitutions.

        Of planned calls, or of those that scorers asked for: never of both.
        """
        ...

    def spent_usd(self, run_id: str) -> float:
        """Return the known cost of every attempt of the run."""
        ...

    def lease(self, name: str, *, holder: str, ttl_s: float) -> AbstractContextManager[None]:
        """Own a name while the context is open.

        Raises:
            LeaseHeldError: when another live holder owns it.
        """
        ...


class RunReader(Protocol):
    """What `score`, `decide` and the reporters read.

    Planned calls measure a model; what scorers asked about their answers stands apart and is never read as one of them.
    """

    def runs(self, *, project: str, environment: str) -> tuple[Run, ...]:
        """Return the runs, newest first by start."""
        ...

    def run(self, run_id: str) -> Run:
        """Return one run by its id or an unambiguous beginning of it.

        Raises:
            NotFoundError: when there is none, or more than one.
        """
        ...

    def outcomes(
        self,
        run_id: str,
        *,
        suite: str | None = None,
        model_id: str | None = None,
        with_payloads: bool = True,
    ) -> Iterator[Outcome]:
        """Yield outcomes of planned calls in scheduled order; without payloads turns are empty, reading is cheap."""
        ...

    def asked(self, run_id: str, *, suite: str | None = None) -> Iterator[Outcome]:
        """Yield outcomes of calls that scorers asked for, without payloads; their model is the judge."""
        ...

    def replies(self, run_id: str, keys: Collection[str]) -> dict[str, Outcome]:
        """Return by call key, with payloads, those of these calls that scorers asked for and the run holds."""
        ...

    def scores(self, run_id: str, *, suite: str | None = None, model_id: str | None = None) -> Iterator[Scored]:
        """Yield what was said of each outcome, in scheduled order."""
        ...


class Store(Ledger, RunReader, Protocol):
    """Both sides of one store."""

    def forget(self, run_id: str, *, texts_only: bool = False) -> None:
        """Take a run out as a whole, or only the prompts and answers it holds; then nothing can be graded again."""
        ...

    def close(self) -> None:
        """Give back connections and files."""
        ...
