"""What only shows when the files of a project are held against each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.domain.policy import MAX_WAIVER_DAYS
from evalkit.loading.gates import calls_needed
from evalkit.loading.model_gates import model_gate_errors
from evalkit.loading.opinions import Built
from evalkit.loading.problems import Problems, closest
from evalkit.loading.source import place_at

if TYPE_CHECKING:
    from evalkit.domain.policy import TaskPolicy
    from evalkit.domain.project import Project
    from evalkit.loading.source import Node
    from evalkit.loading.suites import LoadedSuite

__all__ = ["Documents", "check_documents"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """The trees behind a project, for the place of whatever is wrong."""

    roster: Node
    policy: Node
    waivers: Node | None
    suites: tuple[LoadedSuite, ...]


def check_documents(project: Project, documents: Documents, *, now: float) -> Problems:
    """Return everything that does not fit between roster, policy, waivers, suites and the time: Unix seconds."""
    problems = Problems()
    _check_models(project, documents, problems)
    _check_suite_names(documents, problems)
    _check_tasks(project, documents, problems)
    for task, policy in project.policy.tasks.items():
        _check_incumbent(project, documents, task=task, problems=problems)
        _check_task_models(project, documents, task=task, problems=problems)
        _check_failover(policy, len(project.roster.models), task=task, documents=documents, problems=problems)
        _check_calls(project, documents, task=task, problems=problems)
    places = [place_at(documents.policy, "model_gates", index) for index in range(len(project.policy.model_gates))]
    problems.found += model_gate_errors(project, places)
    _check_waivers(project, documents, now=now, problems=problems)
    return problems


def _check_models(project: Project, documents: Documents, problems: Problems) -> None:
    """Two entries that are the same weights at the same place would be measured and paid for twice."""
    first: dict[tuple[str | None, ...], str] = {}
    for index, model in enumerate(project.roster.models):
        what = (model.route, model.provider, model.host, model.quantization)
        if what in first:
            problems.add(
                f"the models {first[what]!r} and {model.id!r} have the same route, provider, host and quantization",
                place=place_at(documents.roster, "models", index),
                next_step="drop one, or say where they differ",
            )
        first.setdefault(what, model.id)
    providers = {model.provider for model in project.roster.models if model.provider}
    for name in project.policy.providers:
        if name not in providers:
            problems.add(f"no model of the roster has the provider {name!r}",
                         place=place_at(documents.policy, "providers", name),
                         next_step=closest(name, providers, what="providers"))  # fmt: skip


def _check_suite_names(documents: Documents, problems: Problems) -> None:
    first: dict[str, str] = {}
    for loaded in documents.suites:
        name = loaded.suite.name
        if name in first:
            problems.add(f"the suite name {name!r} is already taken by {first[name]}",
                         place=loaded.place("name"), next_step="give each suite its own name")  # fmt: skip
        first.setdefault(name, loaded.file)


def _check_tasks(project: Project, documents: Documents, problems: Problems) -> None:
    with_suite = {loaded.suite.task for loaded in documents.suites}
    for task in project.policy.tasks:
        if task not in with_suite:
            problems.add(
                f"no suite serves the task {task!r}, so no model could ever be admitted",
                place=place_at(documents.policy, "tasks", task),
                next_step=closest(task, with_suite, what="tasks of suites"),
            )
    for loaded in documents.suites:
        if loaded.suite.task not in project.policy.tasks:
            problems.add(
                f"the task {loaded.suite.task!r} is not in the policy",
                place=loaded.place("task"),
                next_step=closest(loaded.suite.task, project.policy.tasks, what="tasks of the policy"),
            )


def _check_task_models(project: Project, documents: Documents, *, task: str, problems: Problems) -> None:
    policy = project.policy.tasks[task]
    models = project.roster.by_id
    for key, model_id in (("pin", policy.pin), ("incumbent", policy.incumbent)):
        if model_id is not None and model_id not in models:
            problems.add(
                f"{key} {model_id!r} is no model of the roster",
                place=place_at(documents.policy, "tasks", task, key),
                next_step=closest(model_id, models, what="models"),
            )
    if policy.pin is None:
        for key, value, idle in (
            ("on_expiry", policy.on_expiry, "pin_only"),
            ("on_pin_lost", policy.on_pin_lost, "deny"),
        ):
            if value == idle:
                problems.add(
                    f"{key}: {value} says nothing without a pin",
                    place=place_at(documents.policy, "tasks", task, key),
                    next_step="name a pin, or leave the key out",
                )


def _check_incumbent(project: Project, documents: Documents, *, task: str, problems: Problems) -> None:
    """Non-inferiority on somebody's opinion would admit whoever that judge likes, qualified or not."""
    if project.policy.tasks[task].incumbent is None:
        return
    for loaded in documents.suites:
        suite = loaded.suite
        built = Built(suite, project_scorers=project.config.scorers, judges=project.judges)
        if suite.task == task and suite.primary in built.opinions:
            problems.add(
                f"the task has an incumbent, and {suite.primary!r} is a judge's opinion: nobody can be shown to be "
                "non-inferior by it",
                place=loaded.place("primary"),
                next_step="name another metric as primary, or no incumbent",
            )


def _check_failover(policy: TaskPolicy, n_models: int, *, task: str, documents: Documents, problems: Problems) -> None:
    failover = policy.failover
    n_candidates = min(policy.max_candidates or n_models, n_models)
    needed = failover.longest_s(n_candidates)
    if needed <= failover.client_timeout_s:
        return
    spare = failover.client_timeout_s / n_candidates - failover.backoff_s
    largest = math.floor(spare / (failover.retries + 1) * 100) / 100
    fits = f"the largest upstream_timeout_s that fits is {largest:g}" if largest > 0 else "no upstream timeout fits"
    problems.add(
        f"the client gives up after {failover.client_timeout_s:g} s, but {n_candidates} candidates × "
        f"({failover.retries + 1} tries × {failover.upstream_timeout_s:g} s + {failover.backoff_s:g} s "
        f"backoff) take up to {needed:g} s",
        place=place_at(documents.policy, "tasks", task, "failover", "client_timeout_s"),
        next_step=f"{fits}; or lower max_candidates or retries, or raise client_timeout_s",
    )


def _check_calls(project: Project, documents: Documents, *, task: str, problems: Problems) -> None:
    """Latency is gated over all suites of a task, so only here is it known whether there are calls enough."""
    loaded_suites = [loaded for loaded in documents.suites if loaded.suite.task == task]
    confidence = project.policy.defaults_for(task).confidence
    for loaded in loaded_suites:
        for index, gate in enumerate(loaded.suite.gates):
            needed = calls_needed(gate, confidence=confidence)
            over = loaded_suites if gate.metric == "latency_s" else [loaded]
            n_calls = sum(len(gate.cases_of(each.suite.active_cases)) * each.suite.trials for each in over)
            if gate.metric == "ttft_s":
                n_calls = loaded.suite.n_stream_probes
            if n_calls < needed:
                problems.add(
                    f"{gate.metric} {gate.rule} can never be decided: it needs {needed} calls, and "
                    f"{'the suites of the task' if len(over) > 1 else 'this suite'} make {n_calls}",
                    place=loaded.place("gates", index),
                    next_step="raise stream_probe.n, or leave the gate out"
                    if gate.metric == "ttft_s"
                    else "add cases or trials, or leave the gate out",
                )


def _check_waivers(project: Project, documents: Documents, *, now: float, problems: Problems) -> None:
    """A waiver that has ended is no error: it says nothing any more."""
    if documents.waivers is None:
        return
    models = project.roster.by_id
    for index, waiver in enumerate(project.waivers):
        for key, name, known in (("model", waiver.model, models), ("task", waiver.task, project.policy.tasks)):
            if name not in known:
                problems.add(f"the waiver's {key} {name!r} is unknown",
                             place=place_at(documents.waivers, "waivers", index, key),
                             next_step=closest(name, known, what=f"{key}s"))  # fmt: skip
        task = project.policy.tasks.get(waiver.task)
        if waiver.action == "allow" and task is not None and task.critical:
            problems.add(f"no waiver may admit a model to the critical task {waiver.task!r}",
                         place=place_at(documents.waivers, "waivers", index, "action"),
                         next_step="measure more cases, or use deny or hold")  # fmt: skip
        if waiver.reaches_too_far(now):
            days = (waiver.ends_at - now) / 86_400
            problems.add(
                f"the waiver of {waiver.model!r} for {waiver.task!r} ends in {days:.1f} days, "
                f"and may last {MAX_WAIVER_DAYS}",
                place=place_at(documents.waivers, "waivers", index, "until"),
                next_step="give an earlier end, and decide again then",
            )
