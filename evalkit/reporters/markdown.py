"""The report for a pull request or a CI step summary: what changed, the verdicts, why and what would help, details.

One file, bounded below the size at which step summaries are refused; what does not fit is counted, never dropped in
silence. All text from outside means nothing as Markdown: no markup, no mention, no link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.domain.verdict import Status
from evalkit.reporters._evidence import (
    GATE_REASONS,
    changed_verdicts,
    gate_sentence,
    n_words,
    overhead_words,
    reason_name,
    run_facts,
    tasks_of,
    worst_gate,
)
from evalkit.reporters._format import (
    format_count,
    format_seconds,
    format_share,
    format_time,
    format_usd,
    format_value,
    format_value_against,
)
from evalkit.reporters._text import markdown_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from evalkit.domain.estimate import Change, Comparison
    from evalkit.domain.report import ModelSummary, Report
    from evalkit.domain.verdict import Verdict
    from evalkit.plugins import Reporter
    from evalkit.ports import RunReader

__all__ = ["MAX_BYTES", "MarkdownReporter", "build"]

MAX_BYTES = 900 * 1024
"""A CI step summary is refused from 1 MiB on."""

_ICONS = {Status.ELIGIBLE: "✅", Status.INELIGIBLE: "❌", Status.UNDECIDED: "❔"}
_NOTE_BYTES = 200


def build() -> Reporter:
    """Return the Markdown reporter."""
    return MarkdownReporter()


class MarkdownReporter:
    """One file, `report.md`."""

    def render(self, report: Report, reader: RunReader) -> Iterator[tuple[str, bytes]]:
        """Yield `report.md`, at most `MAX_BYTES` long."""
        del reader  # single answers are for the HTML report
        yield "report.md", _bounded(_blocks(report)).encode("utf-8", errors="backslashreplace")


def _blocks(report: Report) -> Iterator[str]:
    """Pieces that may be left out from the end on, each whole in itself."""
    yield "\n".join(_head(report))
    yield "\n".join(_verdict_changes(report))
    yield "\n".join(_verdict_table(report))
    yield from _changes(report.changes)
    yield from _regressions(report.comparisons)
    yield from _waivers(report)
    yield from _reasons(report)
    for model in report.models:
        yield "\n".join(_model_details(report, model))


def _bounded(blocks: Iterable[str]) -> str:
    """Keep whole blocks while they fit; a table must not end in the middle of a row."""
    kept: list[str] = []
    n_bytes = n_left_out = 0
    for block in blocks:
        size = len(block.encode("utf-8", errors="backslashreplace")) + 2
        if n_left_out or n_bytes + size > MAX_BYTES - _NOTE_BYTES:
            n_left_out += 1
            continue
        kept.append(block)
        n_bytes += size
    if n_left_out:
        kept.append(f"_{n_left_out:,} more sections do not fit here; the HTML report has them all._")
    return "\n\n".join(kept) + "\n"


def _head(report: Report) -> Iterator[str]:
    yield f"# {markdown_text(report.title)}"
    yield ""
    if report.run.is_simulated:
        yield "> **⚠️ SIMULATED: no real model answered; these numbers admit nobody.**"
        yield ""
    facts = ", ".join(f"{name.lower()} {value} ({note})" for name, value, note in run_facts(report))
    where = f"{markdown_text(report.environment)}, run {markdown_text(report.run.run_id)}"
    yield f"{where}, {format_time(report.run.started_at)}: {markdown_text(facts)}."
    if report.run.note:
        yield ""
        yield f"The run is {report.run.status}: {markdown_text(report.run.note)}"


def _verdict_changes(report: Report) -> Iterator[str]:
    """A verdict that is not what it was is what a reader of a nightly summary has to know, so it comes first."""
    if report.previous is None:
        yield "No whole run came before this one: there is nothing to compare verdicts with."
        return
    since = f"{format_time(report.previous.run.started_at)} (run {markdown_text(report.previous.run.run_id)})"
    changed = [*changed_verdicts(report)]
    if not changed:
        yield f"**No verdict changed** since {since}."
        return
    yield f"## Verdicts that changed since {since}"
    yield ""
    yield _row("Model", "Task", "Before", "Now", "Why")
    yield _row(*["---"] * 5)
    for before, now in changed:
        names = (markdown_text(now.model_id), markdown_text(now.task))
        states = tuple(f"{_ICONS[one.status]} {one.status}" for one in (before, now))
        yield _row(*names, *states, markdown_text(_why(now)))


def _why(verdict: Verdict) -> str:
    causes = [reason_name(reason) for reason in verdict.reasons if reason.code not in GATE_REASONS]
    gate = worst_gate(verdict)
    return "; ".join([*causes[:1], *([] if gate is None else [gate_sentence(gate)])])


def _verdict_table(report: Report) -> Iterator[str]:
    tasks = tasks_of(report)
    yield "## Verdicts"
    yield ""
    yield _row("Model", *map(markdown_text, tasks))
    yield _row(*["---"] * (len(tasks) + 1))
    for model_id in report.model_ids:
        yield _row(f"**{markdown_text(model_id)}**", *(_cell(report.verdict(task, model_id)) for task in tasks))


def _cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return "– not considered"
    parts = [f"{_ICONS[verdict.status]} {verdict.status}"]
    parts += [markdown_text(reason_name(r)) for r in verdict.reasons if r.code not in GATE_REASONS][:1]
    if (gate := worst_gate(verdict)) is not None:
        parts.append(markdown_text(gate_sentence(gate)))
    return "<br>".join(parts)


def _changes(changes: Iterable[Change]) -> Iterator[str]:
    rows = [
        _row(markdown_text(change.model_id or "every model"), markdown_text(change.suite), markdown_text(change.what))
        for change in changes
    ]
    if rows:
        yield "\n".join(["## Not what it was", "", _row("Model", "Suite", "What"), _row(*["---"] * 3), *rows])


_NOTES = {
    "confirmed": "confirmed regression",
    "suspect": "suspect, not confirmed",
    "screened": "looks worse, not confirmed",
}


def _regressions(comparisons: Iterable[Comparison]) -> Iterator[str]:
    worse = [c for c in comparisons if c.standing in _NOTES and (c.against == "baseline" or c.standing == "confirmed")]
    if not worse:
        return
    lines = ["## Got worse", "", _row("Model", "Suite", "Metric", "Difference", "Interval", "Against", "Note")]
    lines.append(_row(*["---"] * 7))
    for c in worse:
        sides = (format_value(c.metric, c.lower), format_value(c.metric, c.upper))
        names = (markdown_text(c.model_id), markdown_text(c.suite), markdown_text(c.metric))
        difference, note = format_value(c.metric, c.difference), markdown_text("; ".join(_notes(c)))
        lines.append(_row(*names, difference, f"{sides[0]} to {sides[1]}", markdown_text(c.baseline), note))
    yield "\n".join(lines)


def _notes(comparison: Comparison) -> Iterator[str]:
    yield _NOTES[comparison.standing] if comparison.against == "baseline" else "worse than the incumbent"
    if comparison.identity_changed:
        yield f"model behind the name changed: {comparison.identity_changed}"
    if comparison.worst_group is not None:
        group = comparison.worst_group
        difference = format_value(comparison.metric, group.difference)
        yield f"fell most: {group.kind} {group.name} {difference}, n={group.n}"
    if comparison.cure:
        yield f"next: {comparison.cure}"


def _waivers(report: Report) -> Iterator[str]:
    rows = [
        _row(markdown_text(one.model), markdown_text(one.task), one.action, markdown_text(one.reason),
             markdown_text(one.by), one.until.isoformat())
        for one in sorted(report.waivers, key=lambda one: one.ends_at)
    ]  # fmt: skip
    if rows:
        head = ["## Waivers", "", _row("Model", "Task", "Action", "Why", "Who", "Until"), _row(*["---"] * 6)]
        yield "\n".join([*head, *rows])


def _reasons(report: Report) -> Iterator[str]:
    """One block per task, so that a report that is too long loses tasks and not the ends of rows."""
    for task in tasks_of(report):
        rows = [
            _row(
                markdown_text(verdict.model_id),
                f"{_ICONS[verdict.status]} {verdict.status}",
                markdown_text(reason_name(reason)),
                markdown_text(reason.detail),
                markdown_text(reason.cure),
            )
            for verdict in report.verdicts
            if verdict.task == task
            for reason in verdict.reasons
        ]
        if rows:
            head = [f"## Why not, and what would help: {markdown_text(task)}", ""]
            head += [_row("Model", "Verdict", "Reason", "Detail", "Cure"), _row(*["---"] * 5)]
            yield "\n".join([*head, *rows])


def _model_details(report: Report, model: ModelSummary) -> Iterator[str]:
    yield f"<details><summary>{markdown_text(model.model_id)}</summary>"
    yield ""
    facts = (
        f"quality {format_share(model.mean_quality)}",
        f"{format_usd(model.cost_per_success_usd)} per success",
        f"spend {format_usd(model.cost_usd)}",
        f"p50 {format_seconds(model.latency_p50_s)}",
        f"p95 {format_seconds(model.latency_p95_s)}",
        f"gateway overhead {_overhead(model)}",
        f"{format_count(model.n_calls)} calls, {format_count(model.n_missing)} missing",
        f"identity {model.identity_class}",
    )
    yield f"{markdown_text(', '.join(facts))}."
    yield ""
    kinds = (f"{markdown_text(kind)} {format_count(n)}" for kind, n in model.kinds)
    yield f"Outcomes: {', '.join(kinds) or 'none'}."
    yield ""
    yield _row("Task", "Gate", "Estimate", "Rule", "Bound", "n", "Result")
    yield _row(*["---"] * 7)
    for verdict in report.verdicts:
        if verdict.model_id == model.model_id:
            yield from _gate_rows(verdict)
    yield ""
    yield "</details>"


def _overhead(model: ModelSummary) -> str:
    median, rest = overhead_words(model.overhead)
    return f"p50 {median}, {rest}" if rest else median


def _gate_rows(verdict: Verdict) -> Iterator[str]:
    for gate in verdict.gates:
        value = None if gate.estimate is None else gate.estimate.value
        yield _row(
            markdown_text(verdict.task),
            markdown_text(f"{gate.suite}/{gate.metric}"),
            format_value_against(gate.metric, value, gate.limit),
            markdown_text(gate.rule),
            format_value_against(gate.metric, gate.bound, gate.limit),
            n_words(gate),
            str(gate.status),
        )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
