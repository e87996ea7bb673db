"""Whether a gateway can be used: enough proof of who answers before anything is spent, and anybody answering at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.domain.outcome import Kind
from evalkit.errors import GatewayUnusableError, InputError, Place
from evalkit.pipeline.reach import UNKNOWN_REACH, identity_reach, known_reach, shortfall, unmet_tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.domain.call import Plan
    from evalkit.domain.project import Project
    from evalkit.pipeline.record import Recording
    from evalkit.plugins import Gateway

__all__ = ["check_identity", "next_step_after", "refuse_dead_gateway"]

_NEXT_STEPS = {
    Kind.CONNECTION: "check gateway.base_url, and that the gateway is running",
    Kind.TIMEOUT: "check that the gateway is alive, and limits.call_timeout_s",
    Kind.QUOTA_EXHAUSTED: "the account has no credit left: top it up",
    Kind.MODEL_UNAVAILABLE: "check gateway.base_url, and the routes of the roster against what the gateway offers",
}


async def check_identity(project: Project, planned: Plan, *, gateway: Gateway, warned: Callable[[str], None]) -> None:
    """Say before anything is spent which tasks the gateway proves too little for; refuse when that is all of them.

    The gateway is asked only when what is known of its kind does not do, and recordings and the simulator never are.

    Raises:
        InputError: when it proves too little for every task.
    """
    profile = gateway.profile
    if profile.is_simulated or project.config.gateway.recordings is not None:
        return
    # Variants decide nothing, so they need no proof of who answers.
    tasks = tuple(dict.fromkeys(one.cell.task for one in planned.cells if not one.cell.variant))
    if not tasks:
        return
    if not unmet_tasks(project.policy, tasks, reach=known_reach(profile)):
        return
    reach = await identity_reach(gateway, timeout_s=project.config.limits.call_timeout_s)
    if reach is None:
        warned(UNKNOWN_REACH)
        return
    unmet = unmet_tasks(project.policy, tasks, reach=reach)
    if not unmet:
        return
    problem, next_step = shortfall(profile, unmet, reach=reach)
    if len(unmet) == len(tasks):
        raise InputError(problem, place=Place(pointer="/gateway/kind"), next_step=next_step)
    warned(f"{problem}; the other tasks can be decided. Ways out: {next_step}")


def refuse_dead_gateway(project: Project, recording: Recording) -> None:
    """Raise GatewayUnusableError when not one call was answered, for reasons that are not the models' own."""
    if not recording.found_nobody:
        return
    kinds = ", ".join(sorted(set(recording.last_missing.values())))
    message = f"no model answered a single call ({kinds}); nothing was measured"
    next_step = next_step_after(project, next(iter(recording.last_missing.values())))
    raise GatewayUnusableError(f"{message}\n  next: {next_step}, then run the same command again")


def next_step_after(project: Project, kind: Kind) -> str:
    """Return what to look at when no model could be reached, and calls ended as this kind."""
    config = project.config.gateway
    if config.recordings is not None:
        return "name suite, case_id, trial and model in the recordings as suites and roster do"
    if kind is not Kind.AUTH_ERROR:
        return _NEXT_STEPS.get(kind, "look at the gateway's own log")
    source = config.api_key_env or config.api_key_file or (config.api_key_command or ("",))[0]
    return f"the gateway refuses the API key: check {source}" if source else "the gateway wants an API key: name it"
