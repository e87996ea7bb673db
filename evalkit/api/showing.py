"""Report and validate: what people look at before and after a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.api.project import CLOCK, chosen_run, opened_store, reports_folder
from evalkit.api.writing import remove_others, write_plugin_file
from evalkit.domain.report import Previous
from evalkit.loading.project import ended_waivers
from evalkit.pipeline.compare import compare_run, previous_run
from evalkit.pipeline.decide import decide
from evalkit.pipeline.evidence import ReadOnce
from evalkit.pipeline.plan import Selection, plan
from evalkit.pipeline.score import Grader
from evalkit.pipeline.selftest import SchemaUse, SelfTestFinding, schema_uses, self_test
from evalkit.pipeline.summary import report_of
from evalkit.pipeline.trends import night_points
from evalkit.plugins import load_plugin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from evalkit.domain.project import Project
    from evalkit.domain.report import Report
    from evalkit.domain.run import Run
    from evalkit.errors import InputError
    from evalkit.ports import RunReader

__all__ = ["load_report", "schemas_taken", "validate", "waivers_ended", "write_report"]


def load_report(project: Project, run_id: str | None = None) -> Report:
    """Return the view of a run that reporters render.

    Raises:
        InputError: when there is no such run.
    """
    with opened_store(project) as store:
        return _report(project, store, run_id)


def write_report(
    project: Project, formats: Sequence[str], *, run_id: str | None = None, folder: Path | None = None
) -> tuple[Path, ...]:
    """Write the report of a run in each format; return the first file of each.

    Raises:
        InputError: for an unknown format or run, or a folder that cannot be written.
    """
    reporters = [load_plugin("reporters", name)() for name in formats]
    target = folder or reports_folder(project)
    first: list[Path] = []
    with opened_store(project) as store:
        report = _report(project, store, run_id)
        for reporter in reporters:
            written = [
                write_plugin_file(target, name, content=content) for name, content in reporter.render(report, store)
            ]
            first.extend(written[:1])
            for name in getattr(reporter, "folders", ()):
                remove_others(target, name, kept=written)
    return tuple(first)


def _report(project: Project, store: RunReader, run_id: str | None) -> Report:
    reader = ReadOnce(store)
    run = chosen_run(project, reader, run_id)
    found = compare_run(project, reader, run)
    report = report_of(
        project,
        reader,
        run,
        verdicts=decide(project, reader).verdicts,
        comparisons=(*found.comparisons, *found.incumbents),
        changes=found.changes,
    )
    return replace(report, previous=_previous(project, reader, run), nights=night_points(project, reader, run))


def _previous(project: Project, reader: RunReader, run: Run) -> Previous | None:
    """Decide again as of the end of the run before: what differs now came with the answers since."""
    earlier = previous_run(reader, run)
    if earlier is None:
        return None
    as_of = earlier.finished_at if earlier.finished_at is not None else earlier.started_at
    return Previous(run=earlier, verdicts=decide(project, reader, as_of=as_of).verdicts)


def validate(project: Project) -> tuple[SelfTestFinding, ...]:
    """Test the suites themselves; loading has already checked every file.

    Raises:
        InputError: for a prompt that cannot be rendered, as `plan` does.
    """
    plan(project, Selection())
    own = project.config.scorers
    return tuple(
        finding
        for suite in project.suites
        for finding in self_test(suite, grader=Grader(suite, project_scorers=own, judges=project.judges))
    )


def waivers_ended(project: Project) -> tuple[InputError, ...]:
    """Return the waivers that do nothing any more, each with its place."""
    return tuple(ended_waivers(project, now=CLOCK.now()))


def schemas_taken(project: Project) -> tuple[SchemaUse, ...]:
    """Return how each model of the roster is given each suite's schemas."""
    return tuple(use for suite in project.suites for use in schema_uses(suite, project.roster.models))
