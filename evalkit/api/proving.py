"""Suites as tests: measure suite × model pairs for a test session, live or from recordings, and say what it proves.

A live measurement of suites as they are written is a run like any other and is kept in the project's store. Nothing
else is: not a replay, which asked nobody, and not the answers to an application's own prompts, which are no evidence
about the suite.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from evalkit.api.gateways import build_gateway
from evalkit.api.measuring import RunOptions, arun, new_run, recorder_of
from evalkit.api.project import CLOCK, opened_store
from evalkit.api.reaching import refuse_dead_gateway
from evalkit.api.writing import write_file
from evalkit.errors import InputError, NotFoundError
from evalkit.gateways.recorded import RECORDING_MISSING, RecordedPairs, pair_file
from evalkit.gateways.recordings import iter_recordings
from evalkit.pipeline.plan import Selection
from evalkit.pipeline.plan import plan as make_plan
from evalkit.pipeline.proving import Proof, prove, replayable
from evalkit.pipeline.record import record
from evalkit.pipeline.recorded_lines import recorded_lines
from evalkit.pipeline.rescore import score_run
from evalkit.pipeline.script import script_of
from evalkit.pipeline.threads import run_to_end
from evalkit.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from evalkit.domain.call import Plan, Script
    from evalkit.domain.outcome import Outcome
    from evalkit.domain.project import Project
    from evalkit.domain.run import Run
    from evalkit.domain.score import Scored
    from evalkit.domain.suite import Case, Suite
    from evalkit.plugins import Gateway

__all__ = ["Mode", "Pair", "Proved", "Proving", "aprove", "recordings_folder"]

Pair = tuple[str, str]
"""(suite, model id)."""


class Mode(StrEnum):
    """Where the answers come from."""

    REPLAY = "replay"
    LIVE = "live"
    RECORD = "record"
    """From recordings, after what they lack has been asked for and added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proving:
    """What to measure, and how."""

    mode: Mode
    pairs: tuple[Pair, ...]
    max_usd: float | None = None
    """The most that may be spent; the project's own budget holds beside it."""
    render: Callable[[Suite, Case], Script] | None = None
    """What is said in a case; None is the suite's own words."""


@dataclass(slots=True)
class Proved:
    """What was measured, by pair."""

    proofs: dict[Pair, Proof] = field(default_factory=dict)
    outcomes: dict[Pair, tuple[Outcome, ...]] = field(default_factory=dict)
    """In scheduled order, with their texts; of live runs that were kept in the store there are none here."""
    scored: dict[str, Scored] = field(default_factory=dict)
    """By call key, of these outcomes."""
    spent_usd: float = 0.0
    """Known cost of what was asked now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A measurement in memory."""

    project: Project
    plan: Plan
    store: MemoryStore
    run: Run
    spent_usd: float


def recordings_folder(project: Project) -> Path:
    """Return the folder that holds `<suite>/<model id>.jsonl.gz`."""
    return project.root / "recordings"


async def aprove(project: Project, proving: Proving) -> Proved:
    """Measure the pairs and return what each proves.

    Raises:
        InputError: when the project cannot be measured so, such as without a key, or the money is used up.
        GatewayUnusableError: when no model could be reached.
    """
    if proving.mode is Mode.REPLAY:
        return await _replayed(project, proving)
    budgeted = _with_budget(project, proving.max_usd)
    if proving.mode is Mode.RECORD:
        return await _recorded(budgeted, proving)
    if proving.render is None:
        return await _run_and_kept(budgeted, proving)
    return await _asked(budgeted, proving)


def _with_budget(project: Project, max_usd: float | None) -> Project:
    if max_usd is None:
        return project
    if max_usd <= 0:
        raise InputError("the session's money is used up", next_step="raise --evalkit-max-usd, or test fewer models")
    limits = project.config.limits
    budget_usd = max_usd if limits.budget_usd is None else min(max_usd, limits.budget_usd)
    limits = limits.model_copy(update={"budget_usd": budget_usd})
    return replace(project, config=project.config.model_copy(update={"limits": limits}))


def _planned(project: Project, proving: Proving, *, only: frozenset[tuple[str, str, str]] | None = None) -> Plan:
    pairs = set(proving.pairs)
    every = frozenset(
        (suite, case.id, model_id) for suite, model_id in pairs for case in project.suite_by_name[suite].active_cases
    )
    selection = Selection(
        suites=tuple(sorted({suite for suite, _ in pairs})),
        model_ids=tuple(sorted({model_id for _, model_id in pairs})),
        only=every if only is None else only,
    )
    return make_plan(project, selection, render=proving.render or script_of)


async def _measured(project: Project, planned: Plan, *, gateway: Gateway) -> _Held:
    """Measure a plan, keep the answers in memory and grade them."""
    store = MemoryStore(clock=CLOCK)
    run = new_run(project, planned, gateway=gateway, now=CLOCK.now())
    store.open_run(run)
    recorder = recorder_of(project, RunOptions(), store=store, gateway=gateway)
    recording = await record(planned, run.run_id, recorder=recorder)
    refuse_dead_gateway(project, recording)
    await run_to_end(partial(score_run, store, run, project))
    return _Held(project=project, plan=planned, store=store, run=store.run(run.run_id), spent_usd=recording.spent_usd)


async def _replay(project: Project, proving: Proving) -> _Held:
    folder = recordings_folder(project)
    gateway = project.config.gateway.model_copy(update={"kind": "replay", "recordings": str(folder)})
    limits = project.config.limits.model_copy(update={"deadline": None})
    update = {"gateway": gateway, "limits": limits, "baseline_gateway": None}
    replaying = replace(replayable(project), config=project.config.model_copy(update=update))
    store = MemoryStore(clock=CLOCK)
    planned = _planned(replaying, proving)
    answers = RecordedPairs(folder)
    run = new_run(replaying, planned, gateway=answers, now=CLOCK.now())
    # Recordings of the simulator are simulated answers, however often they are replayed.
    run = replace(run, is_simulated=project.config.gateway.kind == "simulator")
    store.open_run(run)
    # A folder without a single fitting recording is no dead gateway: what is missing is listed, call by call.
    await record(planned, run.run_id, recorder=recorder_of(replaying, RunOptions(), store=store, gateway=answers))
    await run_to_end(partial(score_run, store, run, replaying))
    return _Held(project=replaying, plan=planned, store=store, run=store.run(run.run_id), spent_usd=0.0)


async def _replayed(project: Project, proving: Proving) -> Proved:
    held = await _replay(project, proving)
    proved = _proved(held, proving)
    for (suite, model_id), proof in proved.proofs.items():
        missing = tuple(_call_name(outcome) for outcome in _unrecorded(held, suite=suite, model_id=model_id))
        skipped = tuple(_left_out(project.suite_by_name[suite], held.project.suite_by_name[suite]))
        proved.proofs[suite, model_id] = replace(
            proof, missing=missing, is_held=proof.is_held and not missing, skipped=skipped
        )
    return proved


def _left_out(written: Suite, judged: Suite) -> Iterable[str]:
    return (f"{gate.metric} {gate.rule}" for gate in written.gates if gate not in judged.gates)


def _unrecorded(held: _Held, *, suite: str, model_id: str) -> Iterable[Outcome]:
    for outcome in held.store.outcomes(held.run.run_id, suite=suite, model_id=model_id):
        if outcome.reading is not None and outcome.reading.error_code == RECORDING_MISSING:
            yield outcome


def _call_name(outcome: Outcome) -> str:
    parts = [f"trial {outcome.trial}"] if outcome.trial else []
    parts += [f"turn {len(outcome.turns) - 1}"] if len(outcome.turns) > 1 else []
    return f"{outcome.case_id} ({', '.join(parts)})" if parts else outcome.case_id


def _proved(held: _Held, proving: Proving) -> Proved:
    proved = Proved(spent_usd=held.spent_usd)
    for suite, model_id in proving.pairs:
        proved.proofs[suite, model_id] = _proof(held, suite=suite, model_id=model_id)
        outcomes = tuple(held.store.outcomes(held.run.run_id, suite=suite, model_id=model_id))
        proved.outcomes[suite, model_id] = outcomes
    proved.scored = {one.call_key: one for one in held.store.scores(held.run.run_id)}
    return proved


def _proof(held: _Held, *, suite: str, model_id: str) -> Proof:
    unsupported = _unsupported(held.plan, suite=suite, model_id=model_id)
    if unsupported is not None:
        return unsupported
    project = held.project
    return prove(
        project,
        held.store,
        held.run,
        suite=project.suite_by_name[suite],
        model=project.roster.by_id[model_id],
    )


def _unsupported(planned: Plan, *, suite: str, model_id: str) -> Proof | None:
    """Return what is held against a pair that cannot be asked at all."""
    for one in planned.unsupported:
        if (one.suite, one.model_id) == (suite, model_id):
            return Proof(suite=suite, model_id=model_id, is_held=False, reasons=(f"{one.code}: {one.detail}",))
    return None


async def _asked(project: Project, proving: Proving) -> Proved:
    """Measure through the gateway and keep the answers in memory."""
    suites = tuple(suite.model_copy(update={"payloads": "full"}) for suite in project.suites)
    asking = replace(project, suites=suites)
    async with build_gateway(asking) as gateway:
        held = await _measured(asking, _planned(asking, proving), gateway=gateway)
    return _proved(held, proving)


async def _run_and_kept(project: Project, proving: Proving) -> Proved:
    """Measure suites as they are written: a run like any other, in the project's store."""
    planned = _planned(project, proving)
    proofs = {
        pair: proof
        for pair in proving.pairs
        if (proof := _unsupported(planned, suite=pair[0], model_id=pair[1])) is not None
    }
    asked = tuple(pair for pair in proving.pairs if pair not in proofs)
    if not asked:
        return Proved(proofs=proofs)
    selection = Selection(
        suites=tuple(sorted({suite for suite, _ in asked})),
        model_ids=tuple(sorted({model_id for _, model_id in asked})),
        only=frozenset((s, case.id, m) for s, m in asked for case in project.suite_by_name[s].active_cases),
    )
    result = await arun(project, RunOptions(selection=selection, is_new=True))
    with opened_store(project) as store:
        for suite, model_id in asked:
            proofs[suite, model_id] = prove(
                project,
                store,
                result.run,
                suite=project.suite_by_name[suite],
                model=project.roster.by_id[model_id],
            )
    return Proved(proofs=proofs, spent_usd=result.recording.spent_usd)


async def _recorded(project: Project, proving: Proving) -> Proved:
    """Replay; ask for what was missing, add it to the recordings, and replay again."""
    for suite, _ in proving.pairs:
        payloads = project.suite_by_name[suite].payloads
        if payloads != "full":
            problem = f"suite {suite!r} keeps its texts as {payloads!r}: its answers may not be recorded"
            raise InputError(problem, next_step="write recordings without personal data by hand, or test it live")
    held = await _replay(project, proving)
    missing = [one for suite, model_id in proving.pairs for one in _unrecorded(held, suite=suite, model_id=model_id)]
    if not missing:
        return await _replayed(project, proving)
    only = frozenset((one.suite, one.case_id, one.model_id) for one in missing)
    async with build_gateway(project) as gateway:
        asked = await _measured(project, _planned(project, proving, only=only), gateway=gateway)
    answers = list(asked.store.outcomes(asked.run.run_id))
    for pair in proving.pairs:
        own = [outcome for outcome in answers if (outcome.suite, outcome.model_id) == pair]
        _add_recordings(recordings_folder(project), pair, lines=recorded_lines(held.plan, own))
    proved = await _replayed(project, proving)
    proved.spent_usd = asked.spent_usd
    return _with_faults(proved, answers)


def _add_recordings(folder: Path, pair: Pair, *, lines: Iterable[dict[str, Any]]) -> None:
    """Add lines to a pair's file; a question that is recorded already keeps its answer.

    The bytes depend on nothing but the lines: no time and no name is in the compressed file.
    """
    path = pair_file(folder, *pair)
    try:
        held = {(one.digest, one.trial) for one in iter_recordings(path, suite=pair[0])}
        before = gzip.decompress(path.read_bytes()).decode("utf-8", "surrogatepass").splitlines()
    except NotFoundError:
        held, before = set(), []
    added = []
    for line in lines:
        key = (line["digest"], line["trial"])
        if key not in held:
            held.add(key)
            added.append(json.dumps(line, sort_keys=True))
    if added:
        content = "".join(f"{line}\n" for line in (*before, *sorted(added)))
        write_file(path, gzip.compress(content.encode("utf-8", "surrogatepass"), mtime=0))


def _with_faults(proved: Proved, answers: Iterable[Outcome]) -> Proved:
    """Say with each pair what the gateway gave instead of answers that could be recorded."""
    faults: dict[Pair, Counter[str]] = {}
    for outcome in answers:
        if outcome.is_missing:
            faults.setdefault((outcome.suite, outcome.model_id), Counter())[str(outcome.kind)] += 1
    for pair, counted in faults.items():
        said = ", ".join(f"{kind} {count}" for kind, count in counted.most_common())
        proof = proved.proofs[pair]
        proved.proofs[pair] = replace(proof, reasons=(*proof.reasons, f"could not be recorded: {said}"))
    return proved
