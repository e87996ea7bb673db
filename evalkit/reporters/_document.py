"""The report as plain JSON values: what `report.json` holds, and what the page is drawn from."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from evalkit.domain.report import Report
    from evalkit.domain.suite import Suite

__all__ = ["FORMAT", "report_document"]

FORMAT = "evalkit.report/1"


def report_document(report: Report) -> dict[str, Any]:
    """Return everything but single answers; suites by digest and gates, never with their cases."""
    document = {field.name: _plain(getattr(report, field.name)) for field in fields(report) if field.name != "suites"}
    document["suites"] = [_suite_document(suite) for suite in report.suites]
    document["format"] = FORMAT
    document["simulated"] = report.run.is_simulated
    return document


def _plain(value: Any) -> Any:
    """Plain JSON values; an infinite rank (a cost nobody knows) has no number in JSON and becomes null."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _suite_document(suite: Suite) -> dict[str, Any]:
    return {
        "name": suite.name,
        "task": suite.task,
        "description": suite.description,
        "digest": suite.digest,
        "n_cases": len(suite.active_cases),
        "n_skipped": len(suite.cases) - len(suite.active_cases),
        "trials": suite.trials,
        "primary": suite.primary,
        "payloads": suite.payloads,
        "gates": [{**gate.model_dump(mode="json"), "rule": gate.rule} for gate in suite.gates],
        "scorers": [scorer.model_dump(mode="json", by_alias=True) for scorer in suite.scorers],
    }
