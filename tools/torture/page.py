"""Writes docs/reference/reliability.md from what the parts kept: every figure there is one that was measured."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.wire.json_text import MAX_VALUES
from torture.chaos import N_ELSEWHERE, matrix
from torture.fault_server import QUIRKS, RAW
from torture.fuzz import HANG_S, MEMORY_FACTOR, MEMORY_FLOOR
from torture.load import AFTER_MB, FLAT_MB
from torture.weight import OVER_PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PATH = Path(__file__).parents[2] / "docs" / "reference" / "reliability.md"

_SHOWN = 0.1

_HEAD = """\
# Reliability

What evalkit was put through, and what came of it. `make torture` measures, and writes this page; nobody edits it. A
short form of every part runs in `make test` and `make test-slow`. What is promised to whom stands in
[security](../explanation/security.md).
"""


def write_page(parts: Mapping[str, dict[str, Any] | None]) -> None:
    """Write the page; of a part that was not run here, what the page says of it stands."""
    before = _sections(PATH.read_text(encoding="utf-8")) if PATH.exists() else {}
    sections = [
        _section(title, render(found)) if (found := parts.get(name)) else before.get(title, f"## {title}\n\nNot run.")
        for name, (title, render) in _RENDERED.items()
    ]
    PATH.write_text("\n\n".join([_HEAD.strip(), *sections]) + "\n", encoding="utf-8")


def _sections(page: str) -> dict[str, str]:
    """Return the sections of a page by title, each with its heading."""
    return {part.partition("\n")[0]: f"## {part.strip()}" for part in page.split("\n## ")[1:]}


def _section(title: str, lines: Iterator[str]) -> str:
    return "\n".join((f"## {title}", "", *lines)).rstrip()


def _prose(*parts: str) -> str:
    return textwrap.fill(" ".join(part.strip() for part in parts), 120, break_long_words=False, break_on_hyphens=False)


def _table(head: str, rows: Iterator[tuple[object, ...]]) -> Iterator[str]:
    names = head.split("|")
    yield f"| {' | '.join(name.strip(' <>') for name in names)} |"
    yield f"|{'|'.join('---:' if name.strip().endswith('>') else '---' for name in names)}|"
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"


def _findings(problems: list[Any], *measured: dict[str, Any]) -> Iterator[str]:
    """Say what was found, and of which code: sections of one page may be of different days."""
    of = sorted({f"{one['day']} at `{one['commit']}`" for one in measured})
    yield ""
    yield f"Findings: {len(problems) or 'none'}. Measured {', '.join(of)}."
    for problem in problems[:20]:
        yield f"- `{str(problem)[:300]}`"


def _fuzz(found: dict[str, Any]) -> Iterator[str]:
    targets = found["targets"]
    n_inputs = sum(target["n_inputs"] for target in targets)
    seeds = sorted({target["seed"] for target in targets})
    yield _prose(
        f"{n_inputs:,} inputs, seed {', '.join(map(str, seeds))}: input *i* of a target can be made again from the",
        " seed alone. They are",
        " recorded shapes with pieces cut, doubled, overwritten, spliced, and JSON or YAML with values",
        " replaced. Of each it",
        f" is asked that nothing is raised but evalkit's own errors, that it takes at most {HANG_S:g} s",
        " of processor time,",
        f" and (of every 199th, measured) that memory peaks below {MEMORY_FACTOR} × the input, after",
        f" {MEMORY_FLOOR // 2**20} MiB that any input may use. Inputs have 64 KiB at most; large ones are weighed",
        "below.",
    )
    yield ""
    head = (
        "target | what | inputs > | MB > | read whole > | microseconds each > | slowest, ms > | memory samples >"
        " | worst × input >"
    )
    yield from _table(
        head,
        (
            (
                f"`{one['target']}`", one["says"], f"{one['n_inputs']:,}", f"{one['n_bytes'] / 1e6:.0f}",
                f"{one['n_taken']:,}", f"{one['cpu_s'] / max(1, one['n_inputs']) * 1e6:.0f}",
                f"{one['slowest_s'] * 1000:.1f}", f"{one['n_memory_samples']:,}", f"{one['worst_memory']:.1f}",
            )
            for one in targets
        ),
    )  # fmt: skip
    yield from _findings([f"{one['target']}: {finding}" for one in targets for finding in one["findings"]], *targets)


def _weight(found: dict[str, Any]) -> Iterator[str]:
    inputs = found["inputs"]
    yield _prose(
        "Megabytes of one shape, read once: the peak of everything allocated meanwhile as a multiple of the input,",
        f"which is to stay within {MEMORY_FACTOR} ×. JSON of nothing but small values is larger than that as Python",
        f"values, whoever reads it: there at most {OVER_PLAIN:g} × what `json.loads` needs is asked for, and more than",
        f"{MAX_VALUES:,} values are not unfolded at all, which bounds it absolutely.",
    )
    yield ""
    yield from _table(
        "input | MB > | peak × input > | `json.loads` × input > | read as",
        (
            (
                one["shape"], f"{one['n_bytes'] / 1e6:.1f}", f"{one['factor']:.1f}",
                f"{one['plain_factor']:.1f}" if one["plain_factor"] >= _SHOWN else "", f"`{one['came_of_it']}`",
            )
            for one in inputs
        ),
    )  # fmt: skip
    yield from _findings([one["problem"] for one in inputs if one["problem"]], found)


def _chaos(found: dict[str, Any]) -> Iterator[str]:
    calm, *runs = found["runs"]
    yield _prose(
        f"{len(runs)} of {len(matrix(seed=0, is_short=False)) + N_ELSEWHERE} whole runs of {calm['n_planned']} calls",
        "to three models (one always right, one often wrong, one in between) through a gateway that breaks:",
        f"{len(RAW)} faults only a socket can show and {len(QUIRKS)} of the quirk catalogue, each alone and",
        f"together, at 1 %, 10 % and 50 % of requests, seed {found['seed']}. Of each run it is asked that it ends",
        "within its bound, keeps every planned call exactly once as scored or void, takes no answer for another's,",
        "and admits no model that is not admitted without faults.",
    )
    yield ""
    yield f"Without faults: {_verdicts(calm)}."
    yield ""
    yield from _table(
        "weather | runs > | scored > | void > | admitted > | slowest, s > | bound, s >",
        (_chaos_row(name, group) for name, group in _by_weather(runs).items()),
    )
    yield ""
    yield _prose(f"RAW: {', '.join(f'`{name}`' for name in RAW)}.")
    yield ""
    yield _prose(f"QUIRKS: {', '.join(f'`{name}`' for name in QUIRKS)}.")
    yield from _findings(
        [f"{one['weather']}: {problem}" for one in found["runs"] for problem in one["problems"]], found
    )


def _verdicts(run: dict[str, Any]) -> str:
    return ", ".join(f"{model} {verdict}" for model, verdict in run["verdicts"].items())


def _by_weather(runs: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Group the faults that came alone by kind and rate; what came together stands by itself."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        fault, _, percent = run["weather"].partition(" ")
        alone = f"one of RAW alone, {percent}" if fault in RAW else f"one of QUIRKS alone, {percent}"
        groups.setdefault(alone if fault in RAW or fault in QUIRKS else run["weather"], []).append(run)
    return groups


def _chaos_row(name: str, runs: list[dict[str, Any]]) -> tuple[object, ...]:
    n_admitted = sum(verdict == "eligible" for run in runs for verdict in run["verdicts"].values())
    return (
        name, len(runs), f"{sum(run['n_scored'] for run in runs):,}", f"{sum(run['n_void'] for run in runs):,}",
        n_admitted, f"{max(run['wall_s'] for run in runs):.1f}", f"{max(run['bound_s'] for run in runs):.0f}",
    )  # fmt: skip


def _crash(found: dict[str, Any]) -> Iterator[str]:
    yield _prose(
        f"Real processes on a real store, seed {found['seed']}. *Recovered*: the next start went on, or",
        " did the work again.",
        "*Explained*: it ended with 2 or 70 and said what is wrong and what to do. After kills in record and after",
        "full disks the server's own count is held to say that no committed call was sent again; after kills in",
        "decide, export and report each file has to be the old one or the new one, byte for byte.",
    )
    yield ""
    yield from _table(
        "crash | tried > | recovered > | explained > | note",
        ((one["what"], one["n_tried"], one["n_recovered"], one["n_explained"], one["note"]) for one in found["ways"]),
    )
    yield from _findings([f"{one['what']}: {problem}" for one in found["ways"] for problem in one["problems"]], found)


def _load(found: dict[str, Any]) -> Iterator[str]:
    yield _prose(
        "`evalkit run` against the fixed-answer server of `bench/`, every answer kept and scored.",
        " Memory is flat when the",
        f" second half of the calls needs at most {FLAT_MB} MB more than the first; the peak is of the whole command,",
        f" and scoring and deciding may need {AFTER_MB} MB more.",
    )
    yield ""
    yield from _table(
        "load | calls > | answered > | kept > | sockets > | first half, MB > | second half, MB > | peak, MB > | s >",
        (
            (
                one["what"], f"{one['n_calls']:,}", f"{one['n_answered']:,}", f"{one['n_kept']:,}",
                f"{one['most_connections']:,}", f"{one['first_half_mb']:.0f}", f"{one['second_half_mb']:.0f}",
                f"{one['peak_mb']:.0f}", f"{one['wall_s']:.0f}",
            )
            for one in found["loads"]
        ),
    )  # fmt: skip
    yield from _findings([f"{one['what']}: {problem}" for one in found["loads"] for problem in one["problems"]], found)


def _secrets(found: dict[str, Any]) -> Iterator[str]:
    yield _prose(
        f"{found['n_canaries']} canary keys (environment, headers, the address, keys of models from a",
        " variable, a file and a",
        " command, the signing key, the store's password) and a gateway that quotes every request it",
        " gets, in bodies of any",
        f" status, streams, headers and redirects. {found['n_commands']} commands were run;",
        f" {found['n_files']:,} files,",
        f" {found['n_outcomes']:,} stored outcomes as unpacked, and all output were searched:",
        f" {found['n_bytes'] / 1e6:.1f} MB. {found['n_echoed']:,} stored answers had quoted a key, and",
        " hold `[api key]` now.",
    )
    yield from _findings(found["problems"], found)


_RENDERED: Mapping[str, tuple[str, Callable[[dict[str, Any]], Iterator[str]]]] = {
    "fuzz": ("Fuzzing", _fuzz),
    "weight": ("Large inputs", _weight),
    "chaos": ("Chaos", _chaos),
    "crash": ("Crashes", _crash),
    "load": ("Load", _load),
    "secrets": ("Secrets", _secrets),
}
