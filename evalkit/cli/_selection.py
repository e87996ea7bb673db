"""Which calls: the options `plan`, `run` and `validate` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.pipeline.plan import Selection

__all__ = ["ablate_option", "selection_from", "selection_options"]

_OPTIONS = (
    click.argument("suites", nargs=-1, metavar="[SUITE]..."),
    click.option("--model", "model_ids", multiple=True, help="Only this model; may be repeated."),
    click.option("--tag", "tags", multiple=True, help="Only cases with this tag; may be repeated."),
    click.option("--case", "case_ids", multiple=True, help="Only this case; may be repeated."),
    click.option("-n", "max_cases", type=click.IntRange(min=1), help="At most this many cases of each suite."),
    click.option("--trials", type=click.IntRange(min=1, max=1000), help="Calls per case, instead of the suite's own."),
    click.option(
        "--seed", type=click.IntRange(0, 2**53 - 1), default=0, show_default=True, help="Of the order of calls."
    ),
)


ablate_option = click.option(
    "--ablate",
    type=click.Choice(["modes"]),
    help="Ask in every mode a model declares as well; only the preferred one decides.",
)


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose suites, models and cases."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def selection_from(chosen: dict[str, Any]) -> Selection:
    """Take the selection out of a command's parameters, leaving the settings behind."""
    from evalkit.pipeline.plan import Selection

    return Selection(
        suites=tuple(chosen.pop("suites")),
        model_ids=tuple(chosen.pop("model_ids")),
        tags=tuple(chosen.pop("tags")),
        case_ids=tuple(chosen.pop("case_ids")),
        max_cases=chosen.pop("max_cases"),
        trials=chosen.pop("trials"),
    )
