"""Options that are a length of time."""

from __future__ import annotations

import click

__all__ = ["seconds_from"]


def seconds_from(duration: str, *, option: str) -> float:
    """Return a duration such as `15m` in seconds.

    Raises:
        click.BadParameter: naming the option, for what is none.
    """
    # Here, so that a command without one loads no validation library.
    from evalkit.domain.policy import seconds_of

    try:
        return float(seconds_of(duration))
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error), param_hint=option) from error
