"""Grading answers that were made elsewhere: recordings stand in for the gateway, everything after it is the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.api.measuring import RunOptions, run
from evalkit.errors import InputError, Place
from evalkit.gateways.recordings import load_recordings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.api.measuring import RunResult
    from evalkit.domain.project import Project
    from evalkit.gateways.recordings import Recording
    from evalkit.pipeline.plan import Selection

__all__ = ["import_responses"]


def import_responses(project: Project, file: str | Path, options: RunOptions | None = None) -> RunResult:
    """Grade recorded answers as a run of their own; no network, no key, no cost.

    Only cases that have a recording are planned, so nothing that was never asked counts as missing. Imported
    answers never decide what a real gateway may route: they are kept under the gateway kind `replay`.

    Raises:
        InputError: with file and line for a bad recording, or when none of them fits suites and roster.
    """
    path = Path(file).resolve()
    chosen = options or RunOptions()
    every = [*load_recordings(path)]
    if not every:
        raise InputError("no recording in it", place=Place(file=str(path)), next_step="write one answer a line")
    recorded = [found for found in every if found.case_id is not None]
    selection = _recorded_only(project, chosen.selection, recorded) if recorded else chosen.selection
    update: dict[str, Any] = dict.fromkeys(("base_url", "api_key_env", "api_key_file", "api_key_command"))
    update |= {"kind": "replay", "recordings": str(path), "headers": {}}
    gateway = project.config.gateway.model_copy(update=update)
    limits = project.config.limits.model_copy(update={"deadline": None})
    replaying = replace(project, config=project.config.model_copy(update={"gateway": gateway, "limits": limits}))
    return run(replaying, replace(chosen, selection=selection, is_new=True, asks=False))


def _recorded_only(project: Project, selection: Selection, recorded: Sequence[Recording]) -> Selection:
    """Narrow a selection to what has a recording: cases, models, and as many trials as any of them."""
    names = {(found.suite, found.case_id, found.model) for found in recorded}
    known = {
        (suite.name, case.id, model.id)
        for suite in project.suites
        for case in suite.active_cases
        for model in project.roster.models
        if {(suite.name, case.id, model.id), (suite.name, case.id, model.route_for("replay"))} & names
    }
    if not known:
        first = recorded[0]
        raise InputError(
            f"no recording fits: the first is suite {first.suite!r}, case {first.case_id!r}, model {first.model!r}",
            place=first.place,
            next_step="use the names of suites, cases and roster; a model may be named by its id or its route",
        )
    _refuse_strangers(project, recorded)
    trials = selection.trials or 1 + max(found.trial or 0 for found in recorded)
    return replace(selection, only=frozenset(known), trials=trials)


def _refuse_strangers(project: Project, recorded: Sequence[Recording]) -> None:
    """Raise for a recording of a suite, case or model the project does not have: dropped, nobody would miss it."""
    cases = {suite.name: {case.id for case in suite.cases} for suite in project.suites}
    models = {name for model in project.roster.models for name in (model.id, model.route_for("replay"))}
    for one in recorded:
        if one.suite not in cases or one.case_id not in cases[one.suite] or one.model not in models:
            raise InputError(
                f"nobody is asked this: suite {one.suite!r}, case {one.case_id!r}, model {one.model!r}",
                place=one.place,
                next_step="use the names of suites, cases and roster, or take the line out",
            )
