"""A run in parts, on several machines: which calls are whose, and what the parts are together.

Clusters are dealt out whole and by their name alone, so that a part is the same wherever and whenever it is run. Every
part keeps the cells of the whole: alone it is a measurement that never got complete, and decides nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evalkit.canonical import digest_of, sha256_hex
from evalkit.domain.run import RunStatus
from evalkit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evalkit.domain.call import Call, Plan, PlannedCell
    from evalkit.domain.run import Run

__all__ = ["MAX_SHARDS", "Shard", "joined", "parse_shard", "shard_of"]

MAX_SHARDS = 1000
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number` of `n`, from 1."""

    number: int
    n: int

    def __str__(self) -> str:
        """Return it as it is written: `3/8`."""
        return f"{self.number}/{self.n}"

    def has(self, suite: str, cluster_id: str) -> bool:
        """Return whether a cluster is of this part."""
        return int(sha256_hex(f"{suite}\n{cluster_id}".encode())[:12], 16) % self.n == self.number - 1


def parse_shard(text: str) -> Shard:
    """Return the part a text such as `3/8` names.

    Raises:
        ValueError: when it names none.
    """
    match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= MAX_SHARDS:
        raise ValueError(f"{text!r} is no part such as 3/8, of at most {MAX_SHARDS}")
    return Shard(int(match[1]), int(match[2]))


def shard_of(whole: Plan, shard: Shard) -> Plan:
    """Return the part of a plan; tokens and USD are shared out by the number of calls.

    Raises:
        InputError: when some calls are sent to a baseline gateway as well: the first of each cell, and a part does not
            know which those are.
    """
    if whole.n_direct:
        problem = "a run in parts sends nothing to the baseline gateway"
        raise InputError(problem, next_step="set limits.baseline_calls to 0, or measure overhead in a run of its own")

    def calls_of(model_id: str) -> Iterator[Call]:
        return (call for call in whole.calls_of(model_id) if shard.has(call.suite, call.cluster_id))

    counts: dict[tuple[str, str], int] = {}
    clusters: dict[tuple[str, str], set[str]] = {}
    for model_id in whole.model_ids:
        for call in calls_of(model_id):
            pair = call.suite, model_id
            counts[pair] = counts.get(pair, 0) + 1
            clusters.setdefault(pair, set()).add(call.cluster_id)
    cells = tuple(
        _part(planned, n_calls=counts[pair], n_clusters=len(clusters[pair]))
        for planned in whole.cells
        if (pair := (planned.cell.suite, planned.cell.model_id)) in counts
    )
    digest = digest_of({"shard": str(shard), "of": whole.digest})
    return replace(whole, digest=digest, cells=cells, calls_of=calls_of, whole=whole, shard=str(shard))


def _part(planned: PlannedCell, *, n_calls: int, n_clusters: int) -> PlannedCell:
    share = n_calls / planned.cell.n_planned
    return replace(
        planned,
        cell=replace(planned.cell, n_planned=n_calls),
        n_clusters=n_clusters,
        prompt_tokens=round(planned.prompt_tokens * share),
        max_output_tokens=round(planned.max_output_tokens * share),
        usd_expected=None if planned.usd_expected is None else planned.usd_expected * share,
        usd_at_most=None if planned.usd_at_most is None else planned.usd_at_most * share,
    )


def joined(parts: Sequence[Run]) -> Run:
    """Return the run that parts make together; its id follows from theirs.

    Raises:
        InputError: when a part is missing, is there twice, is not finished, or is of another run.
    """
    wholes = {part.shard_of for part in parts}
    if len(wholes) != 1 or "" in wholes:
        raise InputError("these are not parts of one run", next_step="run every part with the same files and flags")
    n = parse_shard(parts[0].shard).n
    by_shard = {part.shard: part for part in parts}
    wanted = [f"{number}/{n}" for number in range(1, n + 1)]
    missing = [shard for shard in wanted if shard not in by_shard]
    if missing or len(parts) != n:
        what = f"parts {', '.join(missing[:_SHOWN])} are missing" if missing else "a part is there twice"
        raise InputError(what, next_step="evalkit run --shard " + (missing[0] if missing else "…, once each"))
    unfinished = [part for part in parts if part.status is not RunStatus.FINISHED]
    if unfinished:
        first = unfinished[0]
        raise InputError(f"part {first.shard} is {first.status}", next_step=f"evalkit run --shard {first.shard}")
    ordered = [by_shard[shard] for shard in wanted]
    first = ordered[0]
    for part in ordered:
        if (part.cells, dict(part.suite_digests)) != (first.cells, dict(first.suite_digests)):
            raise InputError(
                f"part {part.shard} was planned or graded with other files than part {first.shard}",
                next_step="run both with the same files",
            )
    return replace(
        first,
        run_id=f"{first.run_id.partition('-')[0]}-{sha256_hex(' '.join(p.run_id for p in ordered).encode())[:6]}",
        plan_digest=first.shard_of,
        started_at=min(part.started_at for part in ordered),
        finished_at=max(part.finished_at or part.started_at for part in ordered),
        shard="",
        shard_of="",
        has_texts=all(part.has_texts for part in ordered),
        note="",
    )
