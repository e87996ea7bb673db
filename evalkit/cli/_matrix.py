"""The models × tasks matrix, as people see it in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from evalkit.cli._output import clean
from evalkit.domain.verdict import GateStatus, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.domain.report import Rank
    from evalkit.domain.verdict import GateResult, Verdict

__all__ = ["matrix_table", "rank_lines", "reason_lines"]

_CHIPS = {
    Status.ELIGIBLE: ("✓ eligible", "green"),
    Status.INELIGIBLE: ("✗ ineligible", "red"),
    Status.UNDECIDED: ("? undecided", "yellow"),
}


def matrix_table(verdicts: Sequence[Verdict], *, is_simulated: bool) -> Table:
    """Return the matrix: a verdict in words and its tightest gate, for every model and task."""
    tasks = list(dict.fromkeys(verdict.task for verdict in verdicts))
    title = "SIMULATED: models × tasks" if is_simulated else "models × tasks"
    table = Table(title=title, show_lines=True)
    table.add_column("model", overflow="fold")
    for task in tasks:
        table.add_column(task, overflow="fold")
    by_pair = {(verdict.model_id, verdict.task): verdict for verdict in verdicts}
    for model_id in dict.fromkeys(verdict.model_id for verdict in verdicts):
        found = (by_pair.get((model_id, task)) for task in tasks)
        table.add_row(Text(model_id), *(_cell(verdict) if verdict is not None else Text("-") for verdict in found))
    return table


def _cell(verdict: Verdict) -> Text:
    word, style = _CHIPS[verdict.status]
    text = Text(word, style=style)
    if verdict.status is Status.ELIGIBLE:
        gate = _tightest(verdict.gates)
        if gate is not None:
            text.append("\n" + _gate_line(gate), style="dim")
    elif verdict.reasons:
        reason = verdict.reasons[0]
        where = f" {reason.metric}" if reason.metric else ""
        text.append(f"\n{reason.code}{where}", style="dim")
    return text


def _tightest(gates: Sequence[GateResult]) -> GateResult | None:
    """Return the passed gate with the least room between bound and limit, relative to the limit."""
    passed = [gate for gate in gates if gate.status is GateStatus.PASS and gate.bound is not None]
    return min(passed, key=_room, default=None)


def _room(gate: GateResult) -> float:
    return abs((gate.bound or 0.0) - gate.limit) / max(abs(gate.limit), 1e-9)


def _gate_line(gate: GateResult) -> str:
    value = "?" if gate.estimate is None else f"{gate.estimate.value:.3g}"
    n = "n=0" if gate.estimate is None else gate.estimate.n_words
    return f"{gate.metric} {value}, bound {gate.bound:.3g} {gate.rule} {n}"


def reason_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """Return one line per reason of everything that is not plainly eligible, with its cure."""
    lines = []
    for verdict in verdicts:
        for reason in verdict.reasons:
            where = "/".join(part for part in (reason.suite, reason.metric) if part)
            head = f"{verdict.task} · {verdict.model_id}: {reason.code}"
            detail = f" {where}" if where else ""
            detail += f": {clean(reason.detail)}" if reason.detail else ""
            cure = f"  → {clean(reason.cure)}" if reason.cure else ""
            lines.append(f"{head}{detail}{cure}")
    return lines


def rank_lines(ranking: Sequence[Rank], *, task: str | None = None) -> list[str]:
    """Return one line per offered model of a task, or of all: its place, why, and whether another one dominates it."""
    lines = []
    for rank in ranking:
        if task in (None, rank.task):
            off = "" if rank.is_on_frontier else "; another is as good for less"
            lines.append(f"  {rank.task} {rank.place}. {rank.model_id}: {clean(rank.reason, most=300)}{off}")
    return lines
