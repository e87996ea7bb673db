"""Grading answers that were made elsewhere: recordings stand in for the gateway, everything after it is the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.api.measuring import RunOptions, run
from evalkit.errors import InputError
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
    recorded = [found for found in load_recordings(path) if found.case_id is not None]
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
    trials = selection.trials or 1 + max(found.trial or 0 for found in recorded)
    return replace(selection, only=frozenset(known), trials=trials)
