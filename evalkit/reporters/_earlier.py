"""What the same case was answered in the run before, read beside tonight's answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.reporters._said import primary_of, said_text, with_scores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.outcome import Outcome
    from evalkit.domain.report import Report
    from evalkit.domain.suite import Suite
    from evalkit.ports import RunReader

__all__ = ["EarlierAnswer", "EarlierAnswers"]


@dataclass(frozen=True, slots=True)
class EarlierAnswer:
    """One answer of the run before, reduced: a suite of them may have to be held."""

    kind: str
    primary: float | None
    text: str

    def document(self, text: str, outcome: Outcome) -> dict[str, Any]:
        """Return what the page shows of it beside `text`, which is not repeated when it is the same."""
        document: dict[str, Any] = {"kind": self.kind, "primary": self.primary, "is_same": self.text == text}
        if not document["is_same"]:
            document["text"] = self.text
        if self.kind == outcome.kind:
            del document["kind"]
        return document


class EarlierAnswers:
    """The run before, read as far as it is needed.

    Runs of the same seed ask in the same order, so that little is held at a time; of runs that do not, or that asked
    other cases, what was passed over is held until it is asked for.
    """

    def __init__(self, report: Report, reader: RunReader, suite: Suite) -> None:
        self._suite = suite
        self._ahead: dict[tuple[str, str, int], EarlierAnswer] = {}
        run = None if report.previous is None else report.previous.run
        self._models = {cell.model_id for cell in run.cells if cell.suite == suite.name} if run is not None else set()
        self._stream = iter(()) if run is None else self._read(reader, run.run_id)

    def of(self, outcome: Outcome) -> EarlierAnswer | None:
        """Return what the same model answered to the same case and trial, or None."""
        wanted = (outcome.case_id, outcome.model_id, outcome.trial)
        if outcome.model_id not in self._models:
            return None
        while wanted not in self._ahead and (found := next(self._stream, None)) is not None:
            self._ahead[found[0]] = found[1]
        return self._ahead.pop(wanted, None)

    def _read(self, reader: RunReader, run_id: str) -> Iterator[tuple[tuple[str, str, int], EarlierAnswer]]:
        for outcome, scores in with_scores(reader, run_id, suite=self._suite.name):
            primary = primary_of(scores, self._suite.primary)
            key = (outcome.case_id, outcome.model_id, outcome.trial)
            yield key, EarlierAnswer(str(outcome.kind), primary, said_text(outcome))
