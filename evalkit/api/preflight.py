"""Preflight: what a gateway and its models can do, found out with a few tiny calls. Nothing is kept or decided."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.api.exits import Exit
from evalkit.api.gateways import build_gateway, pause_scale
from evalkit.api.project import CLOCK
from evalkit.api.reaching import next_step_after
from evalkit.errors import ExitCode, InputError, NotFoundError, Place
from evalkit.pipeline.preflight import Prober, probe_models
from evalkit.pipeline.preflight_probes import CheckStatus, planned_probes
from evalkit.pipeline.reach import UNKNOWN_REACH, identity_reach, shortfall, unmet_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from evalkit.domain.outcome import IdentityClass
    from evalkit.domain.project import Project
    from evalkit.domain.roster import Model
    from evalkit.pipeline.preflight_probes import ModelProbing, PlannedProbes
    from evalkit.pipeline.reach import Unmet
    from evalkit.plugins import Gateway, Profile

__all__ = ["PlannedPreflight", "Preflight", "apreflight", "preflight", "preflight_exit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPreflight:
    """What a preflight is about to send."""

    gateway_kind: str
    is_simulated: bool
    models: tuple[PlannedProbes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What a preflight found out."""

    planned: PlannedPreflight
    reach: IdentityClass | None
    """The best class answers can have here; None when it could not be found out."""
    unmet: tuple[Unmet, ...]
    """Tasks of the policy that need more than `reach`."""
    identity_note: str
    """What `unmet` means and what would cure it, as one sentence; empty when nothing is to be said."""
    models: tuple[ModelProbing, ...]
    weak: Mapping[str, tuple[Unmet, ...]]
    """Model id to the tasks that need more than its own answer was worth, beside those of `unmet`."""


def preflight(
    project: Project,
    *,
    model_ids: Sequence[str] = (),
    started: Callable[[PlannedPreflight], None] = lambda _planned: None,
) -> Preflight:
    """Find out what gateway and models can do. See `apreflight`."""
    return asyncio.run(apreflight(project, model_ids=model_ids, started=started))


async def apreflight(
    project: Project,
    *,
    model_ids: Sequence[str] = (),
    started: Callable[[PlannedPreflight], None] = lambda _planned: None,
) -> Preflight:
    """Find out what gateway and models can do: at most six tiny calls a model. The store is not opened.

    Args:
        project: what was loaded.
        model_ids: only these models; empty is all.
        started: called once before anything is sent.

    Raises:
        InputError: the project's gateway is a recording, there is no such model, or a key cannot be read.
    """
    models = _models(project, model_ids)
    async with build_gateway(project) as gateway:
        profile = gateway.profile
        planned = PlannedPreflight(
            gateway_kind=profile.kind,
            is_simulated=profile.is_simulated,
            models=tuple(planned_probes(model, route=model.route_for(profile.kind)) for model in models),
        )
        started(planned)
        reach = await identity_reach(gateway, timeout_s=project.config.limits.call_timeout_s)
        probed = await probe_models(models, prober=_prober(project, gateway))
    unmet = () if reach is None else unmet_tasks(project.policy, project.policy.tasks, reach=reach)
    return Preflight(
        planned=planned,
        reach=reach,
        unmet=unmet,
        identity_note=_identity_note(profile, unmet, reach=reach),
        models=probed,
        weak=_weak(project, probed, unmet=unmet),
    )


def preflight_exit(project: Project, result: Preflight) -> Exit:
    """Return 4 when no model was reached, 1 for a declaration that is not honoured, else 0.

    And 3 for anything unknown, and where who answers is known less well than a task needs: a run could not decide it.
    """
    faults = [model.last_fault for model in result.models if model.last_fault is not None]
    if faults and len(faults) == len(result.models):
        kinds = ", ".join(sorted(set(faults)))
        reason = f"no model answered ({kinds}); next: {next_step_after(project, faults[0])}"
        return Exit(code=ExitCode.GATEWAY, reason=reason)
    for status, code in ((CheckStatus.NOT_HONOURED, ExitCode.WORSE), (CheckStatus.UNKNOWN, ExitCode.UNDECIDED)):
        for model in result.models:
            for check in model.checks:
                if check.status is status:
                    return Exit(code=code, reason=f"{model.model_id}: {check.name}: {check.status} ({check.observed})")
    weak = [*result.unmet, *(one for tasks in result.weak.values() for one in tasks)]
    if weak:
        tasks = ", ".join(dict.fromkeys(one.task for one in weak))
        return Exit(code=ExitCode.UNDECIDED, reason=f"who answers is known less well than tasks need: {tasks}")
    return Exit(code=ExitCode.OK)


def _models(project: Project, model_ids: Sequence[str]) -> tuple[Model, ...]:
    if project.config.gateway.recordings is not None:
        problem = "a preflight asks questions of its own, and recordings answer none"
        raise InputError(problem, place=Place(pointer="/gateway/recordings"), next_step="evalkit run")
    known = project.roster.by_id
    for model_id in model_ids:
        if model_id not in known:
            raise NotFoundError(f"no model is named {model_id!r}", next_step=f"one of: {', '.join(sorted(known))}")
    return tuple(model for model in project.roster.models if not model_ids or model.id in model_ids)


def _prober(project: Project, gateway: Gateway) -> Prober:
    scale = pause_scale(project, gateway)
    return Prober(gateway=gateway, limits=project.config.limits, clock=CLOCK, pause_scale=scale)


def _identity_note(profile: Profile, unmet: Sequence[Unmet], *, reach: IdentityClass | None) -> str:
    if reach is None:
        return UNKNOWN_REACH
    if not unmet:
        return ""
    problem, next_step = shortfall(profile, unmet, reach=reach)
    return f"{problem}. Ways out: {next_step}"


def _weak(project: Project, probed: Sequence[ModelProbing], *, unmet: Sequence[Unmet]) -> dict[str, tuple[Unmet, ...]]:
    found = {}
    for model in probed:
        if model.facts is not None:
            own = unmet_tasks(project.policy, project.policy.tasks, reach=model.facts.identity_class)
            found[model.model_id] = tuple(one for one in own if one not in unmet)
    return {model_id: tasks for model_id, tasks in found.items() if tasks}
