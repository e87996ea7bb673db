"""The canary: a few cases an hour, always the same, so that a change is known before the night.

Its runs have an environment of their own in the store. So they are no evidence for anybody, no baseline of a night and
no part of a pool; they are held against each other only, and the oldest are forgotten.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal

from evalkit.api.exits import Exit
from evalkit.api.measuring import RunOptions, run
from evalkit.api.notifying import address_of, notify, text_of_lines
from evalkit.api.project import opened_store
from evalkit.api.writing import write_file
from evalkit.domain.outcome import Kind
from evalkit.domain.run import RunStatus
from evalkit.errors import ExitCode
from evalkit.pipeline.compare import compare_run
from evalkit.pipeline.evidence import read_measurements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from evalkit.domain.project import Project
    from evalkit.domain.run import Run
    from evalkit.pipeline.evidence import Measurement
    from evalkit.pipeline.plan import Selection
    from evalkit.ports import Store

__all__ = ["Canary", "CanaryFinding", "canary", "canary_environment"]

_FORMAT = "evalkit.canary/1"
_KEPT_RUNS = 100
_SILENT_SHARE = 0.5

FindingKind = Literal["identity", "behaviour", "silent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryFinding:
    """One thing that is not as it was the hour before."""

    kind: FindingKind
    """`identity`: somebody else answers; `behaviour`: answers got worse; `silent`: too few came to say."""
    suite: str
    model_id: str
    what: str
    """May quote a gateway, so it is hostile."""

    def __str__(self) -> str:
        """Return the finding as a sentence without an end."""
        return f"{self.kind}: {self.model_id} on {self.suite}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """What one canary found."""

    run: Run
    before: Run | None
    """The canary it is held against; None for the first with these files."""
    spent_usd: float
    n_sent: int
    findings: tuple[CanaryFinding, ...] = ()
    told: str = "nothing to tell"
    exit: Exit = field(default_factory=lambda: Exit(code=ExitCode.OK))


def canary_environment(environment: str) -> str:
    """Return the environment of an environment's canary runs."""
    return f"{environment}.canary"


def canary(project: Project, selection: Selection) -> Canary:
    """Ask a few cases and hold the answers against those of the canary before.

    Somebody is told, as `nightly.notify` says, when something is found that was not found the time before.

    Args:
        project: what was loaded.
        selection: the same every time: another one begins anew.

    Raises:
        InputError: as for `run`, or when the webhook cannot be used.
        GatewayUnusableError: when nobody answered.
    """
    config = project.config.nightly.notify
    url = None if config is None else address_of(config)
    own = {"environment": canary_environment(project.config.environment)}
    apart = replace(project, config=project.config.model_copy(update=own))
    result = run(apart, RunOptions(selection=selection, is_new=True))
    with opened_store(apart) as store:
        earlier = _earlier(apart, store, result.run)
        before = next(iter(earlier), None)
        findings = tuple(_findings(apart, store, result.run, earlier=earlier))
        _forget_old(apart, store)
    found = Canary(
        run=result.run,
        before=before,
        spent_usd=result.recording.spent_usd,
        n_sent=result.recording.n_sent,
        findings=findings,
        exit=_exit(findings),
    )
    path = project.root / project.config.reports / f"canary-{project.config.environment}.json"
    news = [one for one in findings if one not in _told_before(path)]
    if news and config is not None and url is not None:
        head = f"{'SIMULATED ' if result.run.is_simulated else ''}evalkit canary {project.name}"
        head += f" / {project.config.environment}"
        text = text_of_lines([str(one) for one in news], head=head)
        problem = notify(config, url, text=text, summary={"findings": [asdict(one) for one in findings]})
        if problem:
            return replace(found, told=f"failed: {problem}", exit=_worse(found.exit, problem))
    told = "nothing to tell" if not news else "told" if config is not None else "nobody to tell"
    write_file(path, json.dumps({"format": _FORMAT, "found": [asdict(one) for one in findings]}).encode() + b"\n")
    return replace(found, told=told)


def _earlier(project: Project, store: Store, current: Run) -> list[Run]:
    """Return the canaries of the same plan before this one, newest first."""
    return [
        one
        for one in store.runs(project=project.name, environment=project.config.environment)
        if (one.plan_digest, one.gateway_kind) == (current.plan_digest, current.gateway_kind)
        and one.run_id != current.run_id
        and one.started_at <= current.started_at
        and one.status is RunStatus.FINISHED
    ]


def _findings(project: Project, store: Store, current: Run, *, earlier: Sequence[Run]) -> Iterator[CanaryFinding]:
    """Yield what this canary shows by itself, and against the newest one before in which the same model spoke."""
    pairs = [(cell.suite, cell.model_id) for cell in current.cells]
    now = read_measurements(store, current, wanted=pairs)
    for (suite, model_id), measurement in now.items():
        yield from _own_findings(suite, model_id, measurement)
    # Who does not answer has no name and no score, and is nobody else for that: nor after an outage.
    waiting = _answered(now)
    for before in earlier:
        spoke = waiting & _answered(read_measurements(store, before, wanted=sorted(waiting)))
        if spoke:
            yield from _differences(project, store, (current, before), pairs=spoke)
        waiting -= spoke
        if not waiting:
            return


def _differences(
    project: Project, store: Store, runs: tuple[Run, Run], *, pairs: set[tuple[str, str]]
) -> Iterator[CanaryFinding]:
    current, before = runs
    compared = compare_run(project, store, current, baseline=before)
    for change in compared.changes:
        if change.model_id is not None and (change.suite, change.model_id) in pairs:
            yield CanaryFinding(kind="identity", suite=change.suite, model_id=change.model_id, what=change.what)
    for one in compared.comparisons:
        if one.is_regression and (one.suite, one.model_id) in pairs:
            what = f"{one.metric} {one.difference:+.2f} on {one.n} cases"
            yield CanaryFinding(kind="behaviour", suite=one.suite, model_id=one.model_id, what=what)


def _answered(found: Mapping[tuple[str, str], Measurement]) -> set[tuple[str, str]]:
    return {pair for pair, measurement in found.items() if any(not unit.is_missing for unit in measurement.units)}


def _own_findings(suite: str, model_id: str, measurement: Measurement) -> Iterator[CanaryFinding]:
    """Yield what needs no canary before to be seen."""
    units = measurement.units
    swapped = [unit for unit in units if unit.kind is Kind.SUBSTITUTED_MODEL]
    if swapped:
        names = sorted({unit.served_model or "?" for unit in swapped})
        what = f"answered by {', '.join(names[:3])}"
        yield CanaryFinding(kind="identity", suite=suite, model_id=model_id, what=what)
    silent = [unit for unit in units if unit.is_missing and unit.kind is not Kind.SUBSTITUTED_MODEL]
    if len(silent) > _SILENT_SHARE * measurement.cell.n_planned:
        kinds = ", ".join(sorted({str(unit.kind) for unit in silent}))
        yield CanaryFinding(kind="silent", suite=suite, model_id=model_id, what=f"most calls unanswered: {kinds}")


def _exit(findings: tuple[CanaryFinding, ...]) -> Exit:
    for kinds, code in (({"identity", "behaviour"}, ExitCode.WORSE), ({"silent"}, ExitCode.UNDECIDED)):
        first = next((one for one in findings if one.kind in kinds), None)
        if first is not None:
            return Exit(code=code, reason=str(first))
    return Exit(code=ExitCode.OK)


def _worse(ending: Exit, problem: str) -> Exit:
    return ending if ending.code == ExitCode.WORSE else Exit(code=ExitCode.WORSE, reason=problem)


def _told_before(path: Path) -> list[CanaryFinding]:
    """Return what was found the time before; nothing when nobody wrote it down."""
    try:
        stored = json.loads(path.read_bytes())
        return [CanaryFinding(**one) for one in stored["found"]] if stored["format"] == _FORMAT else []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _forget_old(project: Project, store: Store) -> None:
    every = store.runs(project=project.name, environment=project.config.environment)
    for run_ in islice(every, _KEPT_RUNS, None):
        store.forget(run_.run_id)
