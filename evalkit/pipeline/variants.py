"""Variants: a suite's calls asked in another way, beside those that decide. Planned, priced and recorded alike.

A variant is a cell of its own under a name no suite can have (`domain.run.variant_name`), so whatever looks for a suite
does not find it: it never decides, is no baseline, and its calls are no trials. Two kinds are made here: calls that are
streamed, for the time to first token, and calls in the other modes a model declares.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from evalkit.canonical import digest_of
from evalkit.domain.call import Call, Plan, PlannedCell
from evalkit.domain.run import STREAM, variant_name
from evalkit.pipeline.plan import usd_range
from evalkit.pipeline.script import CHARACTERS_PER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evalkit.domain.project import Project
    from evalkit.domain.suite import Mode

__all__ = ["Variant", "extended", "varied", "with_variants"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One more cell of a plan, and the calls in it."""

    planned: PlannedCell
    calls: Callable[[], Iterator[Call]]
    """In scheduled order, made on demand."""


def with_variants(plan: Plan, project: Project, *, ablate_modes: bool = False) -> Plan:
    """Return the plan with the streamed calls its `ttft_s` gates need and, when asked for, every other mode.

    What decides is sent first, model by model: a budget that ends early ends in the variants.
    """
    variants = [variant for planned in plan.cells for variant in _streamed(plan, planned, project=project)]
    if ablate_modes:
        variants += [variant for planned in plan.cells for variant in _other_modes(plan, planned, project=project)]
    return extended(plan, variants)


def extended(plan: Plan, variants: list[Variant]) -> Plan:
    """Return the plan with these variants behind it; without any it is the same plan, digest and all."""
    if not variants:
        return plan
    named = [(one.planned.cell.suite, one.planned.cell.model_id, one.planned.cell.n_planned) for one in variants]

    def calls_of(model_id: str) -> Iterator[Call]:
        mine = [variant.calls() for variant in variants if variant.planned.cell.model_id == model_id]
        return chain(plan.calls_of(model_id), *mine)

    return replace(
        plan,
        digest=digest_of({"plan": plan.digest, "variants": named}),
        cells=(*plan.cells, *(variant.planned for variant in variants)),
        calls_of=calls_of,
    )


def varied(call: Call, variant: str, *, trial: int | None = None) -> Call:
    """Return a call as one of a variant: another suite name, and a key that follows from that of the call."""
    asked = call.trial if trial is None else trial
    key = hashlib.sha256(f"{call.key}\n{variant}\n{asked}".encode()).hexdigest()
    return replace(call, key=key, suite=variant_name(call.suite, variant), trial=asked)


def _other_modes(plan: Plan, planned: PlannedCell, *, project: Project) -> Iterator[Variant]:
    """Yield the modes of the suite that the model declares and that are not the one it is measured in."""
    cell = planned.cell
    declared = project.roster.by_id[cell.model_id].capabilities.modes
    for mode in project.suite_by_name[cell.suite].request.modes:
        if mode in declared and mode != cell.mode:
            yield Variant(planned=_as_cell(planned, variant=mode, mode=mode), calls=_in_mode(plan, planned, mode))


def _in_mode(plan: Plan, planned: PlannedCell, mode: Mode) -> Callable[[], Iterator[Call]]:
    def calls() -> Iterator[Call]:
        for call in _calls_of(plan, planned):
            yield replace(varied(call, mode), parameters=replace(call.parameters, mode=mode))

    return calls


def _as_cell(planned: PlannedCell, *, variant: str, mode: str) -> PlannedCell:
    cell = replace(planned.cell, suite=variant_name(planned.cell.suite, variant), mode=mode)
    return replace(planned, cell=cell, n_direct=0, direct_usd_expected=0.0, direct_usd_at_most=0.0)


def _streamed(plan: Plan, planned: PlannedCell, *, project: Project) -> Iterator[Variant]:
    """Yield the streamed calls of a cell: as many as its suite says, over its cases as often as that takes."""
    suite = project.suite_by_name[planned.cell.suite]
    model = project.roster.by_id[planned.cell.model_id]
    # A recording has no clock: what it says of times is not this gateway's.
    is_timed = model.capabilities.streaming and project.config.gateway.recordings is None
    if not is_timed or not suite.n_stream_probes:
        return
    first = (call for call in _calls_of(plan, planned) if call.trial == 0)
    asked = [_probe(call) for call in islice(first, suite.n_stream_probes)]
    if not asked:  # `--failed-from` may have left no first trial
        return
    probes = [asked[number % len(asked)] for number in range(suite.n_stream_probes)]
    prompt = sum(call.script.n_prompt_tokens for call in probes)
    output = sum(call.parameters.max_output_tokens for call in probes)
    low, high = usd_range(prompt, output, price=model.price)
    cell = replace(_as_cell(planned, variant=STREAM, mode=planned.cell.mode).cell, n_planned=len(probes), n_skipped=0)
    yield Variant(
        planned=PlannedCell(
            cell=cell,
            n_clusters=len({call.cluster_id for call in probes}),
            prompt_tokens=prompt,
            max_output_tokens=output,
            usd_expected=low,
            usd_at_most=high,
        ),
        calls=lambda: (varied(call, STREAM, trial=number // len(asked)) for number, call in enumerate(probes)),
    )


def _probe(call: Call) -> Call:
    """Return a call that streams; of a conversation only the first request, which is all a first token needs."""
    turn = replace(call.script.turns[0], tool_results=None)
    characters = len(call.script.system or "") + sum(len(message.content) for message in turn.messages)
    script = replace(call.script, turns=(turn,), n_prompt_tokens=1 + characters // CHARACTERS_PER_TOKEN)
    return replace(call, script=script, parameters=replace(call.parameters, is_streamed=True))


def _calls_of(plan: Plan, planned: PlannedCell) -> Iterator[Call]:
    cell = planned.cell
    return (call for call in plan.calls_of(cell.model_id) if call.suite == cell.suite)
