"""Perturb: the use case behind `evalkit validate --perturb`. It spends money and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from evalkit.api.loop import run_until_stopped
from evalkit.api.measuring import RunOptions, leased_store, measure
from evalkit.errors import ExitCode
from evalkit.pipeline.perturb import FlipRate, flip_rates, with_twins
from evalkit.pipeline.plan import Selection, plan
from evalkit.pipeline.threads import run_to_end

if TYPE_CHECKING:
    from evalkit.domain.call import Plan
    from evalkit.domain.project import Project
    from evalkit.domain.run import Run
    from evalkit.pipeline.record import Recording

__all__ = ["Perturbed", "perturb", "perturb_exit_code", "plan_twins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Perturbed:
    """What a run of perturbations found."""

    run: Run
    recording: Recording
    rates: tuple[FlipRate, ...]


def plan_twins(project: Project, selection: Selection | None = None, *, seed: int = 0) -> Plan:
    """Return every call `perturb` would make, with tokens and USD. Spends nothing.

    Raises:
        InputError: nothing to ask.
    """
    chosen = selection or Selection()
    return with_twins(plan(project, replace(chosen, trials=chosen.trials or 1), seed=seed), project)


def perturb(project: Project, options: RunOptions | None = None) -> Perturbed:
    """Ask every case of the selection as it stands and in other forms; return how often answers turned.

    One trial a case unless the selection says otherwise. Resumes an unfinished run of the same selection.

    Raises:
        InputError: nothing to ask, or another process is running this project.
        GatewayUnusableError: no model could be reached.
    """
    return run_until_stopped(_perturb(project, options or RunOptions()))


async def _perturb(project: Project, options: RunOptions) -> Perturbed:
    planned = plan_twins(project, options.selection, seed=options.seed)
    with leased_store(project, planned) as store:
        measured = await measure(project, planned, options, store=store)
        rates = await run_to_end(partial(flip_rates, store, measured.run, project))
    return Perturbed(run=measured.run, recording=measured.recording, rates=rates)


def perturb_exit_code(found: Perturbed) -> int:
    """Return 3 when the run was cut short or a model has a rate nothing is known of, else 0: no rate is a failure."""
    is_thin = bool(found.recording.stopped_by) or any(rate.estimate is None for rate in found.rates)
    return ExitCode.UNDECIDED if is_thin else ExitCode.OK
