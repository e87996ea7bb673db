"""Telling somebody that a verdict changed. The address comes from a variable, and is shown nowhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from evalkit.api.loop import run_until_stopped
from evalkit.api.serving import is_loopback
from evalkit.errors import InputError, Place
from evalkit.gateways.webhook import post_json, webhook_url
from evalkit.settings import read_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import httpx

    from evalkit.domain.nightly import Notify
    from evalkit.pipeline.verdict_changes import VerdictChange

__all__ = ["address_of", "notify", "text_of", "text_of_lines"]

_MOST_LINES = 30


def address_of(config: Notify) -> httpx.URL:
    """Return where to send to; asked for before anything is spent, so that a missing variable costs nothing.

    Raises:
        InputError: when the variable is not set, or holds no address that can be used.
    """
    place = Place(file="evalkit.yaml", pointer="/nightly/notify/url_env")
    text = read_environment().get(config.url_env)
    if not text:
        problem = f"the environment variable {config.url_env} is not set"
        raise InputError(problem, place=place, next_step="export it, or take nightly.notify out")
    return webhook_url(text, is_loopback=is_loopback, place=place)


def notify(config: Notify, url: httpx.URL, *, text: str, summary: Mapping[str, Any]) -> str:
    """Tell it once; return "" when it was taken, else what went wrong."""
    body: dict[str, Any] = {"text": text}
    if config.format == "json":
        body["summary"] = summary
    return run_until_stopped(post_json(url, json.dumps(body).encode()))


def text_of(changes: Sequence[VerdictChange], *, head: str) -> str:
    """Return the message: a head, then one line a change."""
    return text_of_lines([str(change) for change in changes], head=head)


def text_of_lines(told: Sequence[str], *, head: str) -> str:
    """Return a message of a head and so many lines; nothing in them is markup."""
    lines = [f"• {_plain(line)}" for line in told[:_MOST_LINES]]
    more = [f"… and {len(told) - _MOST_LINES} more"] if len(told) > _MOST_LINES else []
    return "\n".join([_plain(head), *lines, *more])


def _plain(text: str) -> str:
    """Return text that no chat takes for markup: names come from files, and `<!channel>` would call everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
