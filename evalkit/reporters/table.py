"""The report as data: tables as CSV or Parquet, and one JSON document with everything but the answers."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from evalkit.errors import InputError
from evalkit.frames import csv_from_rows, parquet_from_rows
from evalkit.reporters._document import report_document
from evalkit.reporters._text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from evalkit.domain.estimate import Comparison, Estimate
    from evalkit.domain.report import MetricCell, ModelSummary, Report
    from evalkit.domain.verdict import GateResult, Verdict
    from evalkit.frames import ColumnKind
    from evalkit.plugins import Reporter
    from evalkit.ports import RunReader

__all__ = ["CsvReporter", "JsonReporter", "ParquetReporter", "build_csv", "build_json", "build_parquet"]

_ESTIMATE = ("value", "lower", "upper", "level", "method", "n", "n_clusters")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "cells": ("suite", "model", "metric", *_ESTIMATE),
    "verdicts": (
        "task", "model", "status", "admitted_by", "mode", "identity", "coverage",
        "measured_at_unix_s", "valid_until_unix_s", "n_gates", "reasons", "details", "cures",
    ),
    "gates": (
        "task", "model", "suite", "metric", "rule", "limit", "status", "critical", "bound", *_ESTIMATE,
        "n_missing", "cure", "rho", "rho_run",
    ),
    "comparisons": (
        "suite", "model", "metric", "baseline", "difference", "lower", "upper", "level", "p_value", "p_adjusted",
        "n", "n_clusters", "n_worse", "n_better", "method", "is_regression", "identity_changed",
        "against", "standing", "q_value", "alpha", "detectable", "n_nights", "n_missing", "worst_lower", "worst_upper",
        "extended_by", "worst_group", "worst_group_difference", "worst_group_n", "flips", "cure",
    ),
    "overhead": ("model", "quantile", *_ESTIMATE),
}  # fmt: skip
_TEXTS = frozenset({
    "suite", "model", "metric", "method", "task", "status", "admitted_by", "mode", "identity", "reasons", "details",
    "cures", "cure", "rule", "baseline", "identity_changed", "against", "standing", "extended_by", "worst_group",
    "flips", "quantile", "rho_run", "simulated",
})  # fmt: skip
_FLAGS = frozenset({"critical", "is_regression"})
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Full-width forms too: some spreadsheets read them as their plain selves."""

Value = str | float | None


def build_csv() -> Reporter:
    """Return the CSV reporter."""
    return CsvReporter()


def build_parquet() -> Reporter:
    """Return the Parquet reporter."""
    return ParquetReporter()


def build_json() -> Reporter:
    """Return the JSON reporter."""
    return JsonReporter()


class CsvReporter:
    """Five flat tables; the column `simulated` is in every one when the run was simulated."""

    def render(self, report: Report, reader: RunReader) -> Iterator[tuple[str, bytes]]:
        """Yield `cells.csv`, `verdicts.csv`, `gates.csv`, `comparisons.csv`, `overhead.csv`, each with its header."""
        del reader  # single answers are for the HTML report
        for name, columns, rows in _tables(report):
            yield f"{name}.csv", csv_from_rows(map(_defused, rows), columns=columns)


class ParquetReporter:
    """The same tables with typed columns, for those who read many nights at once."""

    def render(self, report: Report, reader: RunReader) -> Iterator[tuple[str, bytes]]:
        """Yield `cells.parquet` and the others.

        Raises:
            InputError: when pyarrow is not installed.
        """
        del reader  # single answers are for the HTML report
        for name, columns, rows in _tables(report):
            kinds = {column: _kind(column) for column in columns}
            shown = ({key: _visible(value) for key, value in row.items()} for row in rows)
            try:
                yield f"{name}.parquet", parquet_from_rows(shown, columns=kinds)
            except ImportError as error:
                raise InputError(
                    "the format parquet needs pyarrow, which is not installed",
                    next_step="pip install 'gateway-evalkit[parquet]', or take csv",
                ) from error


def _tables(report: Report) -> Iterator[tuple[str, tuple[str, ...], Iterator[Mapping[str, Value]]]]:
    """Yield the name, the columns and the rows of each table."""
    rows_of: dict[str, Iterable[Mapping[str, Value]]] = {
        "cells": map(_cell_row, report.cells),
        "verdicts": map(_verdict_row, report.verdicts),
        "gates": (_gate_row(verdict, gate) for verdict in report.verdicts for gate in verdict.gates),
        "comparisons": map(_comparison_row, report.comparisons),
        "overhead": (row for model in report.models for row in _overhead_rows(model)),
    }
    # The label is a column because a file is copied out of its folder and a comment line breaks every CSV reader.
    label: dict[str, Value] = {"simulated": "SIMULATED"} if report.run.is_simulated else {}
    for name, columns in _COLUMNS.items():
        yield name, (*columns, *label), ({**row, **label} for row in rows_of[name])


def _kind(column: str) -> ColumnKind:
    if column in _TEXTS:
        return "text"
    if column in _FLAGS:
        return "flag"
    return "count" if column == "n" or column.startswith("n_") or column.endswith("_n") else "number"


def _visible(value: Value) -> Value:
    return visible(value) if isinstance(value, str) else value


class JsonReporter:
    """The whole report for machines; suites by digest and gates, never with their cases."""

    def render(self, report: Report, reader: RunReader) -> Iterator[tuple[str, bytes]]:
        """Yield `report.json`: sorted keys, ASCII only, so that no text in it can disturb a terminal."""
        del reader  # single answers are for the HTML report
        text = json.dumps(report_document(report), ensure_ascii=True, allow_nan=False, indent=2, sort_keys=True)
        yield "report.json", f"{text}\n".encode("ascii")


def _defused(row: Mapping[str, Value]) -> dict[str, Value]:
    return {name: _defused_text(value) if isinstance(value, str) else value for name, value in row.items()}


def _defused_text(text: str) -> str:
    """A spreadsheet runs a field that begins like a formula, even after spaces; a quote makes it text."""
    is_formula = text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)
    return f"'{visible(text)}" if is_formula else visible(text)


def _estimate_row(estimate: Estimate | None) -> dict[str, Value]:
    return {} if estimate is None else {name: getattr(estimate, name) for name in _ESTIMATE}


def _cell_row(cell: MetricCell) -> dict[str, Value]:
    return {"suite": cell.suite, "model": cell.model_id, "metric": cell.metric, **_estimate_row(cell.estimate)}


def _verdict_row(verdict: Verdict) -> dict[str, Value]:
    return {
        "task": verdict.task,
        "model": verdict.model_id,
        "status": str(verdict.status),
        "admitted_by": verdict.admitted_by,
        "mode": verdict.mode,
        "identity": None if verdict.identity_class is None else str(verdict.identity_class),
        "coverage": verdict.coverage,
        "measured_at_unix_s": verdict.measured_at,
        "valid_until_unix_s": verdict.valid_until,
        "n_gates": len(verdict.gates),
        "reasons": " ".join(str(reason.code) for reason in verdict.reasons),
        "details": "; ".join(dict.fromkeys(reason.detail for reason in verdict.reasons if reason.detail)),
        "cures": "; ".join(dict.fromkeys(reason.cure for reason in verdict.reasons if reason.cure)),
    }


def _gate_row(verdict: Verdict, gate: GateResult) -> dict[str, Value]:
    known = gate.correlation
    return {
        "task": verdict.task,
        "model": verdict.model_id,
        "suite": gate.suite,
        "metric": gate.metric,
        "rule": gate.rule,
        "limit": gate.limit,
        "status": str(gate.status),
        "critical": gate.critical,
        "bound": gate.bound,
        **_estimate_row(gate.estimate),
        "n_missing": gate.n_missing,
        "cure": gate.cure,
        "rho": None if known is None else known.rho,
        "rho_run": "" if known is None else known.run_id,
    }


def _comparison_row(comparison: Comparison) -> dict[str, Value]:
    row: dict[str, Value] = asdict(comparison)
    row["model"] = row.pop("model_id")
    group = comparison.worst_group
    row["worst_group"] = "" if group is None else f"{group.kind} {group.name}"
    row["worst_group_difference"] = None if group is None else group.difference
    row["worst_group_n"] = None if group is None else group.n
    row["flips"] = " ".join(flip.case_id for flip in comparison.flips)
    return row


def _overhead_rows(model: ModelSummary) -> Iterator[dict[str, Value]]:
    """Seconds through the gateway minus seconds without it; a model that was not measured has no row."""
    if model.overhead is not None:
        for quantile, estimate in (("p50", model.overhead.p50), ("p95", model.overhead.p95)):
            yield {"model": model.model_id, "quantile": quantile, **_estimate_row(estimate)}
