"""Progress of a run on stderr: a live table on a terminal, a line now and then elsewhere, nothing when quiet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from rich.live import Live
from rich.table import Table
from rich.text import Text

from evalkit.cli._output import progress_console
from evalkit.clock import SystemClock
from evalkit.domain.outcome import MISSING, QUALITY_ZERO

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from evalkit.domain.call import Plan
    from evalkit.domain.run import Run
    from evalkit.pipeline.record import Progress

__all__ = ["RunProgress", "Style"]

Style = Literal["live", "plain", "quiet"]

_PLAIN_EVERY_S = 5.0


@dataclass(slots=True)
class _Line:
    """What is known of one model so far."""

    planned: int
    done: int = 0
    failed: int = 0
    """Answered, and worth nothing whatever a scorer would say: refused, blocked, cut, empty."""
    missing: int = 0
    retries: int = 0
    spent_usd: float = 0.0
    n_unknown_cost: int = 0

    def spend(self) -> str:
        """Return the known cost, and a mark when it is not all."""
        return f"{self.spent_usd:.4f}" + ("+?" if self.n_unknown_cost else "")


class RunProgress:
    """Counts what `record` reports and shows it."""

    def __init__(self, style: Style, *, budget_usd: float | None) -> None:
        self._console = progress_console()
        self._style: Style = "plain" if style == "live" and not _is_lively(self._console) else style
        self._budget_usd = budget_usd
        self._clock = SystemClock()
        self._lines: dict[str, _Line] = {}
        self._held = 0
        self._started_s = self._shown_s = self._clock.monotonic()
        self._head = ""
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Start showing."""
        if self._style == "live":
            self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""
        if self._live is not None:
            self._live.stop()
        if self._lines and self._style != "quiet":
            self._console.print(Text(self._summary()))

    def started(self, plan: Plan, run: Run, n_held: int) -> None:
        """Take note of a plan before anything of it is sent: of the models first, then of their judges."""
        for cell in plan.cells:
            line = self._lines.setdefault(cell.cell.model_id, _Line(planned=0))
            line.planned += cell.cell.n_planned
        self._held += n_held
        label = "SIMULATED " if run.is_simulated else ""
        resumed = f", {n_held} already answered" if n_held else ""
        asked = f"{plan.n_calls} calls to {len(plan.model_ids)} models"
        self._head = f"{label}run {run.run_id}: {asked}{_direct_words(plan)}{resumed}"
        if self._style != "quiet":
            self._console.print(Text(self._head))

    def observe(self, progress: Progress) -> None:
        """Count one outcome."""
        line = self._lines[progress.model_id]
        line.done += 1
        line.failed += progress.kind in QUALITY_ZERO
        line.missing += progress.kind in MISSING
        line.retries += max(0, progress.n_attempts - 1)
        for usd in (progress.cost_usd, progress.direct_usd):
            line.n_unknown_cost += usd is None
            line.spent_usd += usd or 0.0
        now_s = self._clock.monotonic()
        if self._style == "plain" and now_s - self._shown_s >= _PLAIN_EVERY_S:
            self._shown_s = now_s
            self._console.print(Text(self._summary()))

    def _summary(self) -> str:
        lines = self._lines.values()
        done, failed, missing = (sum(getattr(line, name) for line in lines) for name in ("done", "failed", "missing"))
        planned = sum(line.planned for line in lines) - self._held
        rate = done / self._elapsed_s()
        left = f"{(planned - done) / rate:.0f} s left" if rate else "time left unknown"
        return f"{done}/{planned} calls, {rate:.0f}/s, {failed} failed, {missing} missing, {self._spend()}, {left}"

    def _spend(self) -> str:
        lines = self._lines.values()
        spent_usd, n_unknown = sum(line.spent_usd for line in lines), sum(line.n_unknown_cost for line in lines)
        budget = "" if self._budget_usd is None else f" of {self._budget_usd:g}"
        return f"USD {spent_usd:.4f}{budget}" + (f" (+{n_unknown} of unknown cost)" if n_unknown else "")

    def _elapsed_s(self) -> float:
        return max(1e-9, self._clock.monotonic() - self._started_s)

    def _table(self) -> Table:
        table = Table(title=self._head, title_justify="left", caption=self._summary(), caption_justify="left")
        for column in ("model", "done", "rate", "left", "USD", "failed", "missing", "retries"):
            table.add_column(column, justify="left" if column in {"model", "done"} else "right")
        elapsed_s = self._elapsed_s()
        for model_id, line in self._lines.items():
            share, rate = line.done / max(1, line.planned), line.done / elapsed_s
            bar = "█" * round(share * 20) + "░" * (20 - round(share * 20))
            left = f"{(line.planned - line.done) / rate:.0f} s" if rate else "?"
            table.add_row(
                Text(model_id),
                f"{bar} {line.done}/{line.planned}",
                f"{rate:.1f}/s",
                left,
                line.spend(),
                Text(str(line.failed), style="red" if line.failed else ""),
                Text(str(line.missing), style="yellow" if line.missing else ""),
                str(line.retries),
            )
        return table


def _direct_words(plan: Plan) -> str:
    """Return what goes to the baseline gateway as well, and the most it can cost; nothing when nothing does."""
    if not plan.n_direct:
        return ""
    most = [cell.direct_usd_at_most for cell in plan.cells]
    known = f"at most USD {sum(usd or 0.0 for usd in most):.4f}"
    unknown = ", some of unknown price" if None in most else ""
    return f", and {plan.n_direct} to the baseline gateway ({known}{unknown})"


def _is_lively(console: Console) -> bool:
    """Whether a table may be drawn over and over: on a terminal that can, for a person who wants escape codes."""
    return console.is_terminal and not console.is_dumb_terminal and not console.no_color
