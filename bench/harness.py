"""What every bench shares: a server to run against, a row of measurements, and the table they are shown in.

Absolute numbers move from machine to machine; every table therefore ends in ratios to one row of the same run.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SERVER = Path(__file__).with_name("server.py")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured way of doing the same work."""

    name: str
    n_cases: int
    wall_s: float
    cpu_s: float
    """Of the measured process alone, user and system."""
    peak_rss_mb: float

    @property
    def cases_per_s(self) -> float:
        return self.n_cases / self.wall_s

    @property
    def cpu_s_per_1000(self) -> float:
        return self.cpu_s / self.n_cases * 1000

    def as_json(self) -> str:
        """Return the row as one line, to hand from a measured process to the one that prints."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running fixed-answer server."""

    base_url: str
    """Up to and including `/v1`."""

    def count(self) -> int:
        """Return how many requests it has answered."""
        with urllib.request.urlopen(self.base_url.removesuffix("/v1") + "/count") as reply:
            return json.load(reply)["requests"]


@contextlib.contextmanager
def start_server(*, delay_ms: float = 0.0) -> Iterator[Server]:
    """Run the server in its own process while the context is open."""
    command = [sys.executable, str(SERVER), "--delay-ms", str(delay_ms), "--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            yield Server(base_url=f"http://127.0.0.1:{port}/v1")
        finally:
            process.stdin.close()
            process.wait(timeout=10)


def row_from_json(text: str) -> Row:
    return Row(**json.loads(text))


def median_of(rows: Sequence[Row]) -> Row:
    """Return the row with the median rate: the middle of an odd number of repeats."""
    return sorted(rows, key=lambda row: row.cases_per_s)[len(rows) // 2]


def print_table(rows: Sequence[Row], *, reference: str) -> None:
    """Print the rows, each with its rate and CPU as ratios to the row named `reference`."""
    (base,) = [row for row in rows if row.name == reference]
    width = max(len(row.name) for row in rows)
    print(f"{'loop':<{width}}  {'cases/s':>9}  {'CPU s/1000':>10}  {'peak MB':>8}  {'rate ×':>7}  {'CPU ×':>6}")
    for row in rows:
        rate = row.cases_per_s / base.cases_per_s
        cpu = row.cpu_s_per_1000 / base.cpu_s_per_1000
        print(
            f"{row.name:<{width}}  {row.cases_per_s:>9.0f}  {row.cpu_s_per_1000:>10.3f}  {row.peak_rss_mb:>8.1f}"
            f"  {rate:>7.2f}  {cpu:>6.2f}"
        )
    print(f"ratios are to {reference!r}, measured in this same run")
