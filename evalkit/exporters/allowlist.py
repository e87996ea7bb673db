"""A plain allow list for whatever has no exporter of its own: JSON and CSV, in order; an empty list means deny."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from evalkit.exporters.routing import routing_from_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evalkit.exporters.routing import TaskRoute
    from evalkit.plugins import Exporter

__all__ = ["build"]

_COLUMNS = ("task", "position", "model", "route", "provider", "valid_until", "mode")


def build() -> Exporter:
    """Return the exporter."""
    return _Allowlist()


class _Allowlist:
    def export(self, document: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        """Yield `allowlist.json` and `allowlist.csv`; a task without candidates stays in, with an empty list."""
        routes = {route.task: route for route in routing_from_document(document).tasks}
        tasks = {name: [*_rows(routes.get(name))] for name in document["tasks"]}
        whole = {
            "default": "deny",
            "audience": document["audience"],
            "simulated": document["simulated"],
            "generated_at": document["generated_at"],
            "source": document["digest"],
            "tasks": tasks,
        }
        yield "allowlist.json", json.dumps(whole, indent=2, ensure_ascii=False).encode() + b"\n"
        yield "allowlist.csv", _csv(row for rows in tasks.values() for row in rows)


def _rows(route: TaskRoute | None) -> Iterator[dict[str, Any]]:
    for hop in route.hops if route is not None else ():
        yield {
            "task": hop.task,
            "position": hop.position,
            "model": hop.model_id,
            "route": hop.route,
            "provider": hop.provider,
            "valid_until": hop.valid_until,
            "mode": hop.mode,
        }


def _csv(rows: Iterator[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
