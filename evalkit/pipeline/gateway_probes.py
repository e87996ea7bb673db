"""What a live gateway is asked to find out whether it holds to an eligibility file. Pure: nothing here sends anything.

One request an honest caller would send, which must be served; and those a caller could try instead, which must be
refused. Each is made so that a gateway that does not look lets it through: a refused probe that named nonsense would
show nothing.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from evalkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evalkit.domain.eligibility import Eligibility, ModelEntry
    from evalkit.pipeline.dialects import Detour, Dialect

__all__ = [
    "Deployment",
    "Ground",
    "Probe",
    "ground_of",
    "plan_listing",
    "plan_negatives",
    "plan_positive",
    "plan_scoped",
]

_MAX_TOKENS_FIELD = "max_tokens"
_MESSAGES = [{"role": "user", "content": "ping"}]
_NO_SUCH_TASK = "evalkit-no-such-task"
_UPSTREAM = "upstream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One request, and what must come of it."""

    name: str
    sent: str
    """In words; never a header's value."""
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    without_headers: frozenset[str] = frozenset()
    """The user's own headers that are left out, lower-case."""
    task: str | None = None
    """The task it names, when the file has it."""
    provokes: frozenset[int] = frozenset()
    """Error statuses that say no more than that the probe led nowhere."""
    closed_by: str = ""
    """What any error may say instead of a refusal, lower-case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What a gateway says of one of its deployments."""

    deployment_id: str
    group: str
    model_id: str | None
    """The model of the file, where the gateway was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the file says about the task that is probed."""

    eligibility: Eligibility
    live: str
    """The first 12 hexadecimal digits of the digest."""
    admitted: Mapping[str, tuple[str, ...]]
    """Task to the models that may serve it now, in order; a task nobody may serve has none."""
    task: str | None
    """The task of the probes; None when no task has a candidate."""

    @property
    def candidates(self) -> tuple[str, ...]:
        """The models that may serve the task."""
        return () if self.task is None else self.admitted[self.task]

    @property
    def others(self) -> tuple[str, ...]:
        """Models that may not serve it: first those other tasks offer, for their names are known; then the rejected."""
        if self.task is None:
            return ()
        elsewhere = [model for offered in self.admitted.values() for model in offered]
        rejected = [entry.model for entry in self.eligibility.tasks[self.task].rejected]
        return tuple(model for model in dict.fromkeys([*elsewhere, *rejected]) if model not in self.candidates)

    def names_of(self, model_id: str) -> tuple[str, ...]:
        """Return every name the file knows a model by."""
        entry = self.eligibility.models.get(model_id)
        if entry is None:
            return (model_id,)
        return tuple(dict.fromkeys([model_id, entry.route, *entry.routes.values(), upstream_of(entry)]))


def upstream_of(entry: ModelEntry) -> str:
    """Return what a model's provider calls it."""
    return entry.routes.get(_UPSTREAM) or entry.route.removeprefix(f"{entry.provider}/")


def ground_of(eligibility: Eligibility, *, admitted: Mapping[str, tuple[str, ...]], task: str | None) -> Ground:
    """Return what the probes stand on; without a task the first with a candidate is taken.

    Args:
        eligibility: the file.
        admitted: task to the models that may serve it now, in order.
        task: the one to probe, or None.

    Raises:
        InputError: when the file has no such task, or nobody may serve it.
    """
    if task is not None and not admitted.get(task):
        able = [name for name, offered in admitted.items() if offered]
        problem = f"no model may serve the task {task!r}" if task in admitted else f"the file has no task {task!r}"
        raise InputError(problem, next_step=f"one of: {', '.join(able) or 'none; decide again'}")
    first = next((name for name, offered in admitted.items() if offered), None)
    return Ground(
        eligibility=eligibility,
        live=eligibility.digest.removeprefix("sha256:")[:12],
        admitted=admitted,
        task=task or first,
    )


def plan_positive(ground: Ground, dialect: Dialect, *, name: str = "eligible model is served") -> Probe | None:
    """Return what an honest caller sends; None when no task has a candidate."""
    if ground.task is None:
        return None
    words = _Words(ground, dialect)
    return _probe(name, words, model=words.filled(dialect.model))


def plan_negatives(
    ground: Ground, dialect: Dialect, *, deployments: Sequence[Deployment] = (), served_by: str | None = None
) -> tuple[Probe, ...]:
    """Return what must be refused.

    Args:
        ground: what the file says.
        dialect: how the gateway is spoken to.
        deployments: what the gateway told of itself; empty when it told nothing.
        served_by: the gateway's own id of what served the positive probe.
    """
    words = _Words(ground, dialect, deployments=deployments, served_by=served_by)
    return tuple(_distinct([*_ineligible(words), *_tasks(words), *_detours(words)]))


def plan_scoped(ground: Ground, dialect: Dialect) -> tuple[Probe | None, Probe | None]:
    """Return what a key that belongs to the task may do, and what it may not: reach another task's models."""
    own = plan_positive(ground, dialect, name="scoped key: own task is served")
    foreign = [
        task
        for task, offered in ground.admitted.items()
        # Where requests name no task, only a model that the task does not have can tell.
        if offered and task != ground.task and (dialect.can_name_tasks or offered[0] not in ground.candidates)
    ]
    if not foreign:
        return own, None
    words = _Words(replace(ground, task=foreign[0]), dialect)
    return own, _probe("scoped key: another task", words, model=words.filled(dialect.model))


def plan_listing(ground: Ground, dialect: Dialect) -> frozenset[str]:
    """Return the names a key of the task may be shown."""
    if ground.task is None:
        return frozenset()
    positions = {f"{ground.task}#{number}" for number in range(1, len(ground.candidates))}
    models = {name for model in ground.candidates for name in ground.names_of(model)}
    return frozenset({ground.task, _Words(ground, dialect).filled(dialect.model), *positions, *models})


class _Words:
    """What the words in braces stand for."""

    def __init__(
        self, ground: Ground, dialect: Dialect, *, deployments: Sequence[Deployment] = (), served_by: str | None = None
    ) -> None:
        self.ground = ground
        self.dialect = dialect
        self._words: dict[str, str] = {"task": ground.task or _NO_SUCH_TASK}
        if ground.candidates:
            first = ground.candidates[0]
            self._words |= {"model": first, "route": ground.eligibility.models[first].route}
        self._learn_other()
        self._learn_deployment(deployments, served_by)

    def filled(self, text: str, **more: str) -> str:
        """Return the text with its words filled in.

        Raises:
            KeyError: when nobody knows one of them.
        """
        return text.format_map({**self._words, **more})

    def filled_all(self, value: Any) -> Any:
        """Return a JSON value with every text in it filled in.

        Raises:
            KeyError: when nobody knows one of the words.
        """
        if isinstance(value, str):
            return self.filled(value)
        if isinstance(value, dict):
            return {key: self.filled_all(item) for key, item in value.items()}
        return [self.filled_all(item) for item in value] if isinstance(value, list) else value

    def _learn_other(self) -> None:
        if not self.ground.others:
            return
        other = self.ground.others[0]
        self._words["other"] = other
        entry = self.ground.eligibility.models.get(other)
        if entry is None:
            return
        self._words |= {"other_route": entry.route, "other_upstream": upstream_of(entry)}
        if entry.provider is not None:
            terms = self.ground.eligibility.providers.get(entry.provider)
            self._words["other_kind"] = (terms and terms.kind) or entry.provider
            if terms is not None and terms.api_base is not None:
                self._words["other_api_base"] = terms.api_base
        for task, offered in self.ground.admitted.items():
            if other in offered:
                position = offered.index(other)
                self._words["group"] = f"{task}#{position}" if position else task

    def _learn_deployment(self, deployments: Sequence[Deployment], served_by: str | None) -> None:
        mine = self.ground.candidates
        foreign = [one for one in deployments if one.model_id is None or one.model_id not in mine]
        if foreign:
            self._words |= {"deployment": foreign[0].deployment_id, "group": foreign[0].group}
        elif served_by is not None:
            # Nothing else is deployed: an id must not be an address all the same.
            self._words["deployment"] = served_by


def _ineligible(words: _Words) -> Iterator[Probe]:
    """Ask for a model that may not serve the task, by every name it has."""
    own = {name for model in words.ground.candidates for name in words.ground.names_of(model)}
    for template in words.dialect.names:
        with suppress(KeyError):
            model = words.filled(template)
            if model not in own and model != words.filled(words.dialect.model):
                yield _probe("ineligible model", words, model=model)


def _tasks(words: _Words) -> Iterator[Probe]:
    """Name a task that does not exist, none, and one that nobody may serve."""
    if not words.dialect.can_name_tasks:
        return
    ground = words.ground
    unknown = _NO_SUCH_TASK
    while unknown in ground.admitted:
        unknown += "-"
    denied = next((name for name, offered in ground.admitted.items() if not offered), None)
    for name, task in (("unknown task", unknown), ("task nobody may serve", denied)):
        if task is not None:
            yield _probe(name, words, model=_model_for(task, words), task=task)
    model = words.filled(words.dialect.no_task_model) if ground.task is not None else unknown
    yield _probe("no task", words, model=model, task=None)


def _model_for(task: str, words: _Words) -> str:
    """Return what to ask for under a wrong task: where a header names it, only that may be wrong."""
    if words.dialect.task_headers and words.ground.task is not None:
        return words.filled(words.dialect.model)
    try:
        return words.filled(words.dialect.model, task=task)
    except KeyError:
        return task


def _detours(words: _Words) -> Iterator[Probe]:
    for detour in words.dialect.detours:
        with suppress(KeyError):
            yield _detour(detour, words)


def _detour(detour: Detour, words: _Words) -> Probe:
    task = words.ground.task if detour.names_task else None
    body = words.filled_all(dict(detour.body))
    probe = _probe(detour.name, words, model=words.filled(detour.model), task=task, extra=body)
    headers = {}
    for name, value in detour.headers.items():
        with suppress(KeyError):
            headers[name] = words.filled(value)
    more = [*(f"{name}={_shown(value)}" for name, value in body.items()), *sorted(headers)]
    return replace(
        probe,
        sent=", ".join([probe.sent, *more]),
        headers={**probe.headers, **headers},
        without_headers=detour.without_headers,
        provokes=detour.provokes,
        closed_by=detour.closed_by,
    )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_SAME: Any = object()


def _probe(
    name: str,
    words: _Words,
    *,
    model: str,
    task: str | None = _SAME,
    extra: Mapping[str, Any] | None = None,
) -> Probe:
    ground = words.ground
    task = ground.task if task is _SAME else task
    headers = (
        {} if task is None else {key: value.format(task=task) for key, value in words.dialect.task_headers.items()}
    )
    said = "no task" if task is None else f"task={task}"
    sent = f"model={model}, {said}" if words.dialect.task_headers else f"model={model}"
    body = {"model": model, "messages": _MESSAGES, _tokens_field(ground): 1, **(extra or {})}
    return Probe(
        name=name,
        sent=sent,
        body=json.dumps(body).encode(),
        headers=headers,
        task=task if task in ground.admitted else None,
    )


def _tokens_field(ground: Ground) -> str:
    """Return how the first candidate wants its limit named; what is refused does not care."""
    if ground.task is None or not ground.candidates:
        return _MAX_TOKENS_FIELD
    offered = ground.eligibility.tasks[ground.task].candidates
    return next(one.request.adapt.max_tokens_field for one in offered if one.model == ground.candidates[0])


def _distinct(probes: Sequence[Probe]) -> Iterator[Probe]:
    """Leave out a request that another probe makes already."""
    seen = set()
    for probe in probes:
        request = (probe.body, *sorted(probe.headers.items()), probe.without_headers)
        if request not in seen:
            seen.add(request)
            yield probe
