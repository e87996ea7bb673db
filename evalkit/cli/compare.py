"""`evalkit compare`: did a model get worse?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.api.deciding import Comparing
    from evalkit.domain.estimate import Comparison

__all__ = ["command"]


@click.command("compare")
@click.argument("run_id", metavar="[RUN]", required=False)
@click.argument("baseline_id", metavar="[BASELINE]", required=False)
@project_options()
@json_option
def command(*, run_id: str | None, baseline_id: str | None, as_json: bool, **settings: Any) -> int:
    """Compare RUN (default: the newest whole one) with BASELINE (default: all earlier nights), paired per case."""
    from evalkit.api.deciding import compare
    from evalkit.api.exits import compare_exit_code
    from evalkit.cli._output import clean, print_json

    comparing = compare(opened_project(settings), run_id, baseline_id)
    if as_json:
        print_json(_document(comparing))
        return compare_exit_code(comparing)
    for line in _lines(comparing):
        click.echo(clean(line, most=1000))
    return compare_exit_code(comparing)


def _document(comparing: Comparing) -> dict[str, Any]:
    found = comparing.found
    return {
        "run": comparing.run.run_id,
        "baseline": comparing.baseline.run_id,
        "changes": found.changes,
        "comparisons": found.comparisons,
        "incumbents": found.incumbents,
        "night_sd": found.night_sd,
    }


def _lines(comparing: Comparing) -> Iterator[str]:
    found = comparing.found
    n_nights = max((one.n_nights for one in found.comparisons), default=0)
    yield (
        f"{comparing.run.run_id} against {comparing.baseline.run_id}: {len(found.comparisons)} comparisons,"
        f" up to {n_nights} earlier runs pooled"
    )
    for change in found.changes:
        whose = change.suite if change.model_id is None else f"{change.suite} {change.model_id}"
        yield f"changed: {whose}: {change.what}"
    for one in (*found.comparisons, *found.incumbents):
        yield _line(one)
        yield from _details(one)
    if not found.comparisons:
        yield "nothing to compare: no suite has the same prompts and scorers, and enough answers, in both runs"
        yield "next: evalkit score on both, or evalkit run --new"
    yield from _commands(found.comparisons)
    yield _night_line(found.night_sd)
    n_regressions = sum(one.is_regression for one in found.comparisons)
    yield f"{n_regressions} regressions (exact, paired, Holm over all; drops under 0.02 are not acted on)"


_WORDS = {
    "confirmed": "REGRESSION",
    "suspect": "suspect",
    "screened": "look again",
    "untested": "too much missing",
    "cleared": "measured again, not confirmed",
    "none": "no drop found",
}


def _line(found: Comparison) -> str:
    is_incumbent = found.against == "incumbent"
    word = _WORDS[found.standing]
    if is_incumbent and found.standing == "confirmed":
        word = "worse than the incumbent"
    against = f" than {found.baseline}" if is_incumbent else ""
    return (
        f"{word}: {found.suite} {found.model_id} {found.metric}: {found.difference:+.3f}{against}"
        f" [{_number(found.lower)}, {_number(found.upper)}]"
        f" p={found.p_value:.2g}, Holm {found.p_adjusted:.2g} of {found.alpha:.2g}, n={found.n},"
        f" -{found.n_worse} +{found.n_better}{_missing(found)}{_detectable(found)}"
    )


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:+.3f}"


def _missing(found: Comparison) -> str:
    if not found.n_missing:
        return ""
    if found.worst_lower is None:
        return f", {found.n_missing} cases missing"
    reach = f"{_number(found.worst_lower)} to {_number(found.worst_upper)}"
    return f", {found.n_missing} cases missing: anything from {reach} is possible"


def _detectable(found: Comparison) -> str:
    if found.standing not in {"none", "cleared"}:
        return ""
    return f"; would have found {'nothing' if found.detectable is None else f'-{found.detectable:.3f}'}"


def _details(found: Comparison) -> Iterator[str]:
    if found.identity_changed:
        yield f"  identity: {found.identity_changed}"
    if found.worst_group is not None:
        group = found.worst_group
        yield f"  fell most (no test): {group.kind} {group.name}: {group.difference:+.3f}, n={group.n}"
    for flip in found.flips:
        yield (
            f"  right, now wrong: {flip.case_id}: {flip.before_run}/{flip.before_key[:12]}"
            f" -> {flip.after_run}/{flip.after_key[:12]}"
        )


def _commands(comparisons: tuple[Comparison, ...]) -> Iterator[str]:
    cures = dict.fromkeys(one.cure for one in comparisons if one.cure)
    if cures:
        yield "next: measure what looks worse again tonight, then compare again; only the first repetition counts"
        yield from (f"  {cure}" for cure in cures)


def _night_line(night_sd: float | None) -> str:
    if night_sd is None:
        return "how much nights differ by themselves is unknown: that takes 3 earlier runs"
    return f"nights differ by {night_sd:.4f} (standard deviation) by themselves, and that is allowed for"
