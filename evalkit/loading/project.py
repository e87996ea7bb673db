"""The front of loading: a folder in, one checked `Project` out, or every problem at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from evalkit.domain.judging import Judges
from evalkit.domain.policy import Defaults, Policy, Waivers
from evalkit.domain.project import Project
from evalkit.errors import InputError
from evalkit.loading.checks import Documents, check_documents
from evalkit.loading.config import read_config
from evalkit.loading.files import ProjectFiles
from evalkit.loading.problems import Problems
from evalkit.loading.qualifications import load_qualifications
from evalkit.loading.rosters import load_roster
from evalkit.loading.source import Node, place_at, with_value
from evalkit.loading.suite_checks import check_suite
from evalkit.loading.suites import LoadedSuite, load_suite
from evalkit.loading.validation import mapping_in, validated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evalkit.domain.judging import Qualification
    from evalkit.domain.policy import Waiver
    from evalkit.domain.project import ProjectConfig
    from evalkit.domain.roster import Roster
    from evalkit.domain.suite import Suite

__all__ = ["ended_waivers", "load_project", "resolve_suite"]

_POLICY = TypeAdapter(Policy)
_WAIVERS = TypeAdapter(Waivers)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(slots=True)
class _Parts:
    """What could be loaded so far; None where a file is wrong."""

    roster: tuple[Roster, Node] | None = None
    policy: tuple[Policy, Node] | None = None
    waivers: tuple[tuple[Waiver, ...], Node | None] | None = None
    suites: tuple[LoadedSuite, ...] = ()
    qualifications: tuple[Qualification, ...] = ()


def load_project(root: Path, *, now: float, config_name: str = "evalkit.yaml") -> Project:
    """Return everything the project file names, resolved and checked against each other. Nothing is run.

    Args:
        root: the project's folder.
        now: Unix seconds; a waiver may reach only so far ahead of it.
        config_name: the project file in `root`.

    Raises:
        ProjectErrors: with all problems of all files. What only shows when files are compared is reported once
            each file is right by itself.
    """
    files = ProjectFiles(root)
    config, document = read_config(files, config_name)
    problems = Problems()
    parts = _Parts()
    with problems.collected():
        parts.roster = load_roster(files.find(config.roster, place=place_at(document, "roster")), files)
    with problems.collected():
        parts.policy = _load_policy(files.find(config.policy, place=place_at(document, "policy")), files)
    with problems.collected():
        parts.waivers = _load_waivers(config.waivers, files, document)
    with problems.collected():
        parts.qualifications = load_qualifications(files)
    parts.suites = tuple(_load_suites(config, files, document=document, parts=parts, problems=problems))
    problems.raise_if_any()
    return _checked_project(files.root, config, parts, now=now)


def resolve_suite(path: Path, root: Path, *, project_scorers: Mapping[str, str] | None = None) -> Suite:
    """Return one suite of the project at `root`, checked by itself at the default confidence.

    Args:
        path: the suite file, absolute or relative to `root`.
        root: the folder no file may lie outside of.
        project_scorers: scorers of the project by name, as in `ProjectConfig.scorers`.

    Raises:
        ProjectErrors: for everything that is wrong in the suite.
    """
    files = ProjectFiles(root)
    loaded = load_suite(files.find(str(path)), files)
    check_suite(loaded, confidence=Defaults().confidence, project_scorers=project_scorers or {}).raise_if_any()
    return loaded.suite


def _load_policy(name: str, files: ProjectFiles) -> tuple[Policy, Node]:
    document = mapping_in(files.read_yaml(name), what="a policy")
    return validated(_POLICY, document), document


def _load_waivers(name: str | None, files: ProjectFiles, config: Node) -> tuple[tuple[Waiver, ...], Node | None]:
    if name is None and not (files.root / "waivers.yaml").exists():
        return (), None
    found = files.find(name or "waivers.yaml", place=place_at(config, "waivers"))
    document = _with_days(mapping_in(files.read_yaml(found), what="a waivers file"))
    return validated(_WAIVERS, document).waivers, document


def ended_waivers(project: Project, *, now: float) -> Iterator[InputError]:
    """Yield each waiver that has ended by `now` (Unix seconds), which is no error: it only does nothing any more."""
    if all(now < waiver.ends_at for waiver in project.waivers):
        return
    files = ProjectFiles(project.root)
    document = files.read_yaml(files.find(project.config.waivers or "waivers.yaml"))
    for index, waiver in enumerate(project.waivers):
        if waiver.ends_at <= now:
            of = f"{waiver.action} of {waiver.model!r} for {waiver.task!r}"
            place = place_at(document, "waivers", index, "until")
            problem = f"the waiver ({of}) expired on {waiver.until:%Y-%m-%d}, and does nothing any more"
            yield InputError(problem, place=place, next_step="take it out, or decide again and give a new end")


def _with_days(document: Node) -> Node:
    """Turn `until: 2026-01-31` into a date: as text it would be read as that day's first moment, not its end."""
    waivers = document.value.get("waivers")
    if waivers is None or not isinstance(waivers.value, list):
        return document
    items = [_with_day(item) if isinstance(item.value, dict) else item for item in waivers.value]
    return with_value(document, "waivers", value=Node(items, waivers.place))


def _with_day(waiver: Node) -> Node:
    until = waiver.value.get("until")
    if until is None or not isinstance(until.value, str) or not _DAY.fullmatch(until.value):
        return waiver
    try:
        day = date.fromisoformat(until.value)
    except ValueError as error:
        raise InputError(
            f"until {until.value!r} is no day: {error}", place=until.place, next_step="write YYYY-MM-DD"
        ) from error
    return with_value(waiver, "until", value=Node(day, until.place))


def _load_suites(
    config: ProjectConfig, files: ProjectFiles, *, document: Node, parts: _Parts, problems: Problems
) -> Iterator[LoadedSuite]:
    policy = parts.policy[0] if parts.policy else None
    judges = Judges(parts.roster[0], config.gateway.kind) if parts.roster else None
    for name in _suite_files(config, files, document=document, problems=problems):
        with problems.collected():
            loaded = load_suite(name, files)
            confidence = _confidence(loaded.suite.task, policy)
            checked = check_suite(loaded, confidence=confidence, project_scorers=config.scorers, judges=judges)
            problems.found += checked.found
            yield loaded


def _confidence(task: str, policy: Policy | None) -> float:
    if policy is None:
        return Defaults().confidence
    defaults = policy.defaults_for(task) if task in policy.tasks else policy.defaults
    return defaults.confidence


def _suite_files(config: ProjectConfig, files: ProjectFiles, *, document: Node, problems: Problems) -> tuple[str, ...]:
    """Return the suite files: patterns in the order written, files of one pattern by name, each file once."""
    found: dict[str, None] = {}
    for index, pattern in enumerate(config.suites):
        place = place_at(document, "suites", index)
        if not pattern or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            problems.add(f"the pattern {pattern!r} leads out of the project", place=place,
                         next_step="write it relative to the project, such as suites/*/suite.yaml")  # fmt: skip
            continue
        for folder in files.unreadable(pattern):
            problems.add(f"the folder {folder!r} cannot be read", place=place,
                         next_step="let this user read it: a suite in it may gate what is served")  # fmt: skip
        names = files.matching(pattern)
        if not names:
            problems.add(f"no file matches {pattern!r}", place=place,
                         next_step="correct the pattern, or write a suite there")  # fmt: skip
        for name in names:
            with problems.collected():
                found[files.find(name, place=place)] = None
    return tuple(found)


def _checked_project(root: Path, config: ProjectConfig, parts: _Parts, *, now: float) -> Project:
    if parts.roster is None or parts.policy is None or parts.waivers is None:  # each was reported when it failed
        raise AssertionError(root)
    project = Project(
        root=root,
        config=config,
        roster=parts.roster[0],
        policy=parts.policy[0],
        suites=tuple(loaded.suite for loaded in parts.suites),
        waivers=parts.waivers[0],
        qualifications=parts.qualifications,
        suite_files=tuple(loaded.file for loaded in parts.suites),
    )
    documents = Documents(roster=parts.roster[1], policy=parts.policy[1], waivers=parts.waivers[1], suites=parts.suites)
    check_documents(project, documents, now=now).raise_if_any()
    return project
