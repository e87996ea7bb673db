"""Answers from recordings instead of a network: the same run again, at no cost and with no key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import InputError, Place
from evalkit.gateways.recorded import COST_HEADER, recorded_reply
from evalkit.gateways.recordings import RawAnswer, load_recordings
from evalkit.plugins import Profile

if TYPE_CHECKING:
    from evalkit.gateways.recordings import Recordings
    from evalkit.plugins import Fault, Gateway, GatewayContext, Reply, Request

__all__ = ["build"]


def build(context: GatewayContext) -> Gateway:
    """Return a gateway that answers from `recordings` of the configuration, all read now.

    Unless the configuration says otherwise, `model` counts as the upstream's own name only when every recording is
    a raw response: around a bare output it is made up from what was asked, which proves nothing.

    Raises:
        InputError: when no recordings are named, or with file and line when one cannot be used.
    """
    config = context.config
    if config.recordings is None:
        problem = "gateway kind 'replay' names no recordings"
        raise InputError(problem, place=Place(pointer="/gateway/recordings"), next_step="name a file or a folder")
    recordings = load_recordings(Path(context.resolve_path(config.recordings)))
    is_raw = all(isinstance(recording.answer, RawAnswer) for recording in recordings)
    model_field = config.model_field or ("upstream" if is_raw else "echo")
    # What a recording holds was written by the gateway that was recorded.
    profile = Profile(kind="replay", model_field=model_field, attests=True, cost_header=COST_HEADER)
    return _Replay(profile, recordings=recordings)


class _Replay:
    """Looks requests up in recordings that were all read when it was built."""

    def __init__(self, profile: Profile, *, recordings: Recordings) -> None:
        self.profile = profile
        self._recordings = recordings

    async def send(self, request: Request) -> Reply | Fault:
        """Return the recorded answer, or a 404 that names what is missing."""
        return recorded_reply(self._recordings, request)

    async def aclose(self) -> None:
        """Hold nothing open."""
