"""The nightly job as a project describes it, and which night it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from evalkit.domain.policy import Duration
from evalkit.domain.shape import Identifier, Shape

__all__ = ["NightExport", "Nightly", "Notify", "night_of"]

_VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class NightExport(Shape):
    """One routing target the file of the night is written for."""

    target: Identifier
    """As for `evalkit export`."""
    to: Annotated[str, Field(min_length=1)]
    """Folder, relative to the project."""


class Notify(Shape):
    """Whom to tell when a verdict changed: the only network target beside the gateway, and only when it is named."""

    url_env: _VariableName
    """Variable that holds the webhook's URL: `https://`, or `http://` on loopback. The URL is a secret."""
    format: Literal["slack", "json"] = "slack"
    """`slack`: a `text` alone, which Slack, Mattermost and Discord's Slack form take; `json`: the summary beside it."""


class Nightly(Shape):
    """What `evalkit nightly` does beside measuring and deciding."""

    starts_at: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "12:00"
    """When one night ends and the next begins, UTC: at an hour at which the job never runs."""
    deadline: Duration | None = None
    """The night stops sending this long after it began, resumed or not; default: `limits.deadline`, of each start."""
    file: Annotated[str, Field(min_length=1)] | None = None
    """The eligibility file, relative to the project; default: `latest/eligibility.json` in the reports."""
    exports: tuple[NightExport, ...] = ()
    reports: tuple[Identifier, ...] = ("html", "markdown", "junit")
    """Formats of the night's report."""
    notify: Notify | None = None


def night_of(now: float, *, starts_at: str) -> str:
    """Return the night a moment belongs to, as the date its evening falls on.

    With the default every moment from noon to noon, UTC, is one night: a job that starts before midnight and is
    started again after it is still the same.
    """
    hours, minutes = map(int, starts_at.split(":"))
    began = datetime.fromtimestamp(now, tz=UTC) - timedelta(hours=hours, minutes=minutes)
    return began.date().isoformat()
