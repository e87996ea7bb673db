"""What a model makes of each way to ask for structure: the same prompts in every mode, metric by metric.

Shown, never decided on: which shape a router may send is a person's choice, and a mode that is to decide is put first
in the suite and measured as such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.domain.report import MetricCell, ModeResult
from evalkit.domain.run import variant_name
from evalkit.pipeline.estimates import displayed
from evalkit.pipeline.evidence import read_measurements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evalkit.domain.run import Cell, Run
    from evalkit.domain.suite import Mode, Suite
    from evalkit.pipeline.evidence import Measurement
    from evalkit.ports import RunReader

__all__ = ["ablation_of"]

_FORMAT_METRICS = ("json_parse", "json_schema")


def ablation_of(reader: RunReader, run: Run, suites: Sequence[Suite]) -> tuple[ModeResult, ...]:
    """Return one result per suite × model × mode of a run made with `--ablate modes`; nothing for any other run.

    Modes come in the suite's order. A model that took one mode alone is in it all the same: that is all it can take.
    """
    by_name = {suite.name: suite for suite in suites}
    ablated = {cell.suite for cell in run.plain_cells if any(_others(run, cell, by_name.get(cell.suite)))}
    return tuple(
        result
        for cell in run.plain_cells
        if cell.suite in ablated
        for result in _results(reader, run, cell, suite=by_name[cell.suite])
    )


def _others(run: Run, cell: Cell, suite: Suite | None) -> Iterator[tuple[Mode, str]]:
    """Yield the modes a cell was also asked in, each with the name its calls are kept under."""
    for mode in suite.request.modes if suite is not None else ():
        name = variant_name(cell.suite, mode)
        if run.cell(name, cell.model_id) is not None:
            yield mode, name


def _results(reader: RunReader, run: Run, cell: Cell, *, suite: Suite) -> Iterator[ModeResult]:
    names = dict(_others(run, cell, suite))
    for mode in suite.request.modes:
        name = cell.suite if mode == cell.mode else names.get(mode)
        if name is not None:
            (found,) = read_measurements(reader, run, wanted=[(name, cell.model_id)]).values()
            yield ModeResult(
                suite=suite.name,
                model_id=cell.model_id,
                mode=mode,
                is_preferred=mode == cell.mode,
                n_calls=found.cell.n_planned,
                n_missing=found.cell.n_planned - sum(not unit.is_missing for unit in found.units),
                metrics=tuple(_cells(found, suite)),
            )


def _cells(found: Measurement, suite: Suite) -> Iterator[MetricCell]:
    for metric in dict.fromkeys((*_FORMAT_METRICS, suite.primary)):
        samples = found.samples(metric, wants=lambda _unit: True)
        estimate = displayed(samples.values, samples.clusters)
        if estimate is not None:
            yield MetricCell(suite=suite.name, model_id=found.cell.model_id, metric=metric, estimate=estimate)
