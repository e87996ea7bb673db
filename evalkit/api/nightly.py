"""The night: plan, measure, compare, decide, publish, export, report, tell. Every stage is a use case of its own.

One process owns the night's slot (project, environment, night) by a lease. The store says whether tonight was measured
and by which run; all that follows can be done again with the same result. So a night that is killed anywhere goes on
where it was when it is started again, and one that is over finds nothing left to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from evalkit.api.deciding import Comparing, Published, compare, decide, publish
from evalkit.api.exits import CURRENT_FILE
from evalkit.api.exporting import Source, diff_export, export
from evalkit.api.measuring import RunOptions, run
from evalkit.api.measuring import plan as make_plan
from evalkit.api.night_journal import begun_night, read_document, told_night
from evalkit.api.night_summary import Night, NightPart, Told, night_exit, night_head, night_summary, plan_line
from evalkit.api.notifying import address_of, notify, text_of
from evalkit.api.project import CLOCK, leased, opened_store, reports_folder
from evalkit.api.showing import write_report
from evalkit.canonical import timestamp
from evalkit.domain.nightly import night_of
from evalkit.domain.policy import seconds_of
from evalkit.domain.run import RunStatus
from evalkit.errors import GatewayUnusableError, InputError, NotFoundError, RefusedError
from evalkit.pipeline.rescore import score_run
from evalkit.pipeline.verdict_changes import verdict_changes
from evalkit.router.document import seconds_of_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from evalkit.api.night_journal import NightJournal
    from evalkit.domain.call import Plan
    from evalkit.domain.nightly import NightExport
    from evalkit.domain.project import Project
    from evalkit.domain.run import Run
    from evalkit.pipeline.record import Progress
    from evalkit.ports import Store

__all__ = ["NightOptions", "nightly"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NightOptions:
    """How to watch a night."""

    began: Callable[[str], None] = field(default=lambda _stage: None)
    """Called before each stage with its name."""
    said: Callable[[str], None] = field(default=lambda _line: None)
    """Called with what the night will cost, before it costs anything."""
    warned: Callable[[str], None] = field(default=lambda _warning: None)
    """Called with what a person should read, as a sentence."""
    observe: Callable[[Progress], None] = field(default=lambda _progress: None)
    """As in `RunOptions`."""
    started: Callable[[Plan, Run, int], None] = field(default=lambda _plan, _run, _held: None)
    """As in `RunOptions`."""


def nightly(project: Project, options: NightOptions | None = None) -> Night:
    """Do what is left of tonight, and return all of it. A gateway that cannot be used is part of the result.

    Raises:
        InputError: for files, a webhook, a key or a selection that cannot be used; nothing was spent then.
        LeaseHeldError: when another process is at it.
    """
    return _NightJob(project, options or NightOptions()).done()


class _NightJob:
    """The stages of one night, in order."""

    def __init__(self, project: Project, options: NightOptions) -> None:
        config = project.config.nightly
        self._project = project
        self._options = options
        self._config = config
        self._night = night_of(CLOCK.now(), starts_at=config.starts_at)
        self._file = reports_folder(project) / CURRENT_FILE if config.file is None else project.root / config.file

    def done(self) -> Night:
        """Do the night."""
        project, night = self._project, self._night
        url = None if self._config.notify is None else address_of(self._config.notify)
        with opened_store(project) as store, leased(project, store, "nightly", holder=f"night {night}"):
            journal = begun_night(project, night=night, file=self._file)
            self._options.began("plan")
            planned = make_plan(project)
            self._options.said(plan_line(planned, budget_usd=project.config.limits.budget_usd))
            found = Night(night=night, project=project, plan=planned, file=self._file, before=journal.before)
            found = self._measured(found, store)
            self._options.began("compare")
            found = replace(found, comparing=self._compared(found))
            self._options.began("decide")
            found = self._published(found)
            self._options.began("export")
            wanted = () if found.document is None else self._config.exports
            found = replace(found, exports=tuple(map(self._exported, wanted)))
            self._options.began("report")
            found = replace(found, report=self._reported(found))
            found = replace(found, exit=night_exit(found))
            self._options.began("notify")
            return self._told(found, journal, url=url)

    def _measured(self, found: Night, store: Store) -> Night:
        """Fill tonight's slot: go on with its run, or open it, unless it is full already."""
        self._options.began("run")
        mine = [one for one in self._runs(store) if one.night == self._night]
        whole = next((one for one in mine if one.status is RunStatus.FINISHED), None)
        if whole is not None:
            return replace(found, run=self._graded(whole, store), is_resumed=True)
        same = next((one for one in mine if one.plan_digest == found.plan.digest), None)
        left_s = self._left_s(mine)
        if left_s is not None and left_s <= 0:
            return replace(found, run=self._graded(mine[0], store), is_resumed=True, is_cut_short=True)
        resume = None if same is None else same.run_id
        options = RunOptions(
            resume=resume,
            is_new=resume is None,
            night=self._night,
            allow_partial=True,  # nobody is there to raise the budget: it buys what is needed most
            observe=self._options.observe,
            started=self._options.started,
            warned=self._options.warned,
        )
        try:
            result = run(_within(self._project, left_s), options)
        except GatewayUnusableError as error:
            # The night goes on: what was known before still has to be decided by today's files, and told.
            dead = next((one for one in self._runs(store) if one.night == self._night), None)
            return replace(found, run=dead, is_resumed=resume is not None, unusable=str(error))
        return replace(
            found,
            run=result.run,
            recording=result.recording,
            is_resumed=resume is not None,
            is_cut_short=result.is_cut_short,
        )

    def _runs(self, store: Store) -> tuple[Run, ...]:
        return store.runs(project=self._project.name, environment=self._project.config.environment)

    def _left_s(self, mine: list[Run]) -> float | None:
        """Return the seconds until the night's own deadline; None when it has none."""
        if self._config.deadline is None:
            return None
        now = CLOCK.now()
        began = min((one.started_at for one in mine), default=now)
        return began + seconds_of(self._config.deadline) - now

    def _graded(self, whole: Run, store: Store) -> Run:
        """Return the run with its grades; an earlier start may have been killed between the last answer and these."""
        graded = dict(whole.suite_digests)
        suites = [self._project.suite_by_name[name] for name in {cell.suite for cell in whole.cells}
                  if name in self._project.suite_by_name]  # fmt: skip
        if any(graded.get(suite.name) != suite.digest for suite in suites):
            score_run(store, whole, self._project)
            return store.run(whole.run_id)
        return whole

    def _compared(self, found: Night) -> Comparing | None:
        if found.run is None or found.unusable:
            return None
        try:
            return compare(self._project, found.run.run_id)
        except NotFoundError:  # the first night of all
            return None

    def _published(self, found: Night) -> Night:
        """Publish what is decided; a newer file is left alone, and so is any when there is nothing to put in its place.

        When the gateway was dead the moment of the decision stays that of the file in force: today's roster, policy and
        waivers hold at once, and evidence ends when the file says. A reader minds that by itself.
        """
        present = read_document(self._file)
        as_of = _moment_of(present) if found.unusable else None
        decision = decide(self._project, as_of=as_of)
        found = replace(found, decision=decision)
        if present is None and (found.unusable or not decision.runs):
            return found
        if present is not None and present["generated_at"] > timestamp(decision.as_of):
            return replace(found, document=present)
        published: Published = publish(self._project, self._file, as_of=decision.as_of)
        changes = () if found.before is None else verdict_changes(found.before, published.document)
        return replace(found, document=published.document, is_published=True, changes=changes)

    def _exported(self, wanted: NightExport) -> NightPart:
        folder = self._project.root / wanted.to
        source = Source(file=self._file, audience=self._project.config.environment)
        try:
            differs = diff_export(wanted.target, source, folder, clock=CLOCK)
            if differs.changed:
                export(wanted.target, source, folder, clock=CLOCK)
        except (InputError, RefusedError) as error:
            return NightPart(name=wanted.target, folder=folder, problem=str(error))
        return NightPart(name=wanted.target, folder=folder, changed=differs.changed, tasks=differs.tasks)

    def _reported(self, found: Night) -> tuple[Path, ...]:
        if found.run is None or not self._config.reports:
            return ()
        return write_report(self._project, self._config.reports, run_id=found.run.run_id)

    def _told(self, found: Night, journal: NightJournal, *, url: httpx.URL | None) -> Night:
        told: Told = "nothing to tell"
        config = self._config.notify
        if journal.is_told:
            told = "told before" if found.changes else told
        elif found.changes and config is not None and url is not None:
            text = text_of(found.changes, head=night_head(found))
            problem = notify(config, url, text=text, summary=night_summary(found))
            if problem:
                self._options.warned(problem)
                found = replace(found, told="failed")
                return replace(found, exit=night_exit(found))
            told = "told"
        elif found.changes:
            told = "nobody to tell"
        told_night(self._project, journal)
        return replace(found, told=told)


def _within(project: Project, left_s: float | None) -> Project:
    """Return the project with what is left of the night as the deadline of the run."""
    if left_s is None:
        return project
    limits = project.config.limits.model_copy(update={"deadline": f"{max(1, int(left_s))}s"})
    return replace(project, config=project.config.model_copy(update={"limits": limits}))


def _moment_of(present: dict[str, object] | None) -> float | None:
    """Return the last moment of the second a file says it was generated in."""
    if present is None:
        return None
    try:
        return seconds_of_timestamp(present["generated_at"]) + 0.999
    except RefusedError:
        return None
