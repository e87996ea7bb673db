"""Noise: the use case that asks how often the gates would contradict themselves. Reads the store, changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.api.project import opened_store
from evalkit.errors import ExitCode, InputError, NotFoundError
from evalkit.pipeline.noise import MIN_SIMULATIONS, Noise, NoiseOptions, measure_noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evalkit.domain.project import Project

__all__ = ["noise", "noise_exit_code"]

_MOST = 0.5
"""No two independent nights disagree more often than every other time."""


def noise(
    project: Project,
    options: NoiseOptions | None = None,
    *,
    observe: Callable[[int, int, str], None] = lambda _done, _total, _what: None,
) -> Noise:
    """Return how often two nights of the same model would disagree, gate by gate. See `pipeline.noise`.

    Args:
        project: what was loaded.
        options: what to simulate.
        observe: called before each task × model with how many are done, how many there are, and its name.

    Raises:
        InputError: when an option is out of range, names no task or model, or nothing of it was measured.
    """
    chosen = options or NoiseOptions()
    _refuse_impossible(chosen)
    _refuse_unknown("task", chosen.tasks, known=project.policy.tasks)
    _refuse_unknown("model", chosen.model_ids, known=project.roster.by_id)
    with opened_store(project) as store:
        found = measure_noise(project, store, chosen, observe=observe)
    if not found.rows:
        raise InputError("the store holds no complete measurement of what was asked for", next_step="evalkit run")
    return found


def noise_exit_code(found: Noise) -> int:
    """Return 3 when any gate or verdict flips too often, or nobody knows how often, else 0.

    That the evidence is too thin to be repeated is what 3 stands for; nothing got worse.
    """
    return ExitCode.UNDECIDED if found.noisy else ExitCode.OK


def _refuse_impossible(options: NoiseOptions) -> None:
    if not 0 < options.at_most < _MOST:
        raise InputError(
            f"at-most is {options.at_most!r}", next_step="give a share above 0 and below 0.5, such as 0.05"
        )
    if options.simulations < MIN_SIMULATIONS:
        raise InputError(f"{options.simulations!r} simulations", next_step=f"give at least {MIN_SIMULATIONS}")
    if options.seed < 0:
        raise InputError(f"seed is {options.seed!r}", next_step="give a whole number of at least 0")


def _refuse_unknown(what: str, names: Iterable[str], *, known: Iterable[str]) -> None:
    wrong = sorted(set(names) - set(known))
    if wrong:
        raise NotFoundError(f"no {what} {wrong[0]!r}", next_step=f"one of: {', '.join(known)}")
