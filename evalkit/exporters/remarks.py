"""What a target cannot be told, and where that is said: beside its configuration, because a lost cap costs money."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from evalkit.exporters.routing import Routing

__all__ = [
    "commented",
    "notes_file",
    "unsaid_beside_order",
    "unsaid_bodies",
    "unsaid_denials",
    "unsaid_latencies",
    "unsaid_provider_caps",
    "unsaid_sessions",
]


def commented(lines: Iterable[str]) -> str:
    """Return lines as comments of a generated file; a line break inside one cannot end its comment."""
    return "".join(f"# {_one_line(line)}\n" for line in lines)


def notes_file(routing: Routing, notes: Iterable[str]) -> bytes:
    """Return what `<target>/notes.txt` says: where the files come from, and what the target does not hold."""
    return "".join(f"{_one_line(line)}\n" for line in (*routing.provenance, *notes)).encode()


def _one_line(text: str) -> str:
    # YAML and TOML take no control character, not even in a comment.
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def unsaid_beside_order(routing: Routing) -> Iterator[str]:
    """Yield what a target cannot be told that knows tasks, an order and retries, and no more."""
    yield from unsaid_denials(routing)
    yield from _unsaid_task_caps(routing)
    yield from unsaid_provider_caps(routing)
    yield from unsaid_latencies(routing)
    yield from unsaid_sessions(routing)


def unsaid_denials(routing: Routing) -> Iterator[str]:
    """Yield a line for each task nobody may serve."""
    for task in routing.denied:
        yield f"denied: task {task} has no candidate and gets no route"


def _unsaid_task_caps(routing: Routing) -> Iterator[str]:
    """Yield a line for each task whose spend cap this target does not enforce."""
    for route in routing.tasks:
        if route.spend_cap is not None:
            cap = f"{route.spend_cap.usd:g} USD per {route.spend_cap.per}"
            yield f"not enforced here: the spend cap of task {route.task}, {cap}"


def unsaid_provider_caps(routing: Routing) -> Iterator[str]:
    """Yield a line for each provider whose spend cap this target does not enforce."""
    for provider, cap in routing.provider_caps.items():
        yield f"not enforced here: the spend cap of provider {provider!r}, {cap.usd:g} USD per {cap.per}"


def unsaid_latencies(routing: Routing) -> Iterator[str]:
    """Yield a line for each task whose latency threshold this target does not hold."""
    for task in routing.tasks:
        if task.latency_p95_s is not None:
            yield f"not enforced here: the latency threshold of task {task.task}, p95 {task.latency_p95_s:g} s"


def unsaid_sessions(routing: Routing) -> Iterator[str]:
    """Yield a line when a failover moves one request of a conversation only, and not the rest of it."""
    names = [task.task for task in routing.tasks if task.is_sticky and len(task.hops) > 1]
    if names:
        yield (
            "after a failover the next request of a conversation begins at the first candidate again; "
            f"tasks that want it to stay: {', '.join(names)}"
        )


def unsaid_bodies(routing: Routing) -> Iterator[str]:
    """Yield a line for each model measured with extra fields in its requests, which the caller has to send."""
    for hop in routing.hops:
        fields = sorted(hop.adapt.get("extra_body", {}))
        if fields:
            yield f"the caller sends: {', '.join(map(repr, fields))} with requests to {hop.model_id}, as measured"
