"""The modes a model was asked in, side by side, as people see them in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.domain.report import ModeResult

__all__ = ["ablation_table"]


def ablation_table(results: Sequence[ModeResult], *, is_simulated: bool) -> Table:
    """Return one row per suite × model × mode: each metric with its 95% interval and n."""
    label = "SIMULATED: " if is_simulated else ""
    table = Table(title=f"{label}request modes (* decides)")
    metrics = list(dict.fromkeys(cell.metric for result in results for cell in result.metrics))
    for column in ("suite", "model", "mode", "calls", "missing", *metrics):
        table.add_column(column, overflow="fold", justify="right" if column in ("calls", "missing") else "left")
    for result in results:
        by_metric = {cell.metric: cell.estimate for cell in result.metrics}
        shown = [
            "-"
            if (found := by_metric.get(metric)) is None
            else f"{found.value:.3f} [{found.lower:.3f}, {found.upper:.3f}] {found.n_words}"
            for metric in metrics
        ]
        mode = f"{result.mode} *" if result.is_preferred else result.mode
        cells = (result.suite, result.model_id, mode, str(result.n_calls), str(result.n_missing), *shown)
        table.add_row(*map(Text, cells))
    return table
