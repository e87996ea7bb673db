"""Plan: every call of a run, with its key, before anything is spent. Pure; calls are made on demand."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from evalkit.canonical import digest_of
from evalkit.domain.call import Call, Parameters, Plan, PlannedCell, Script, Unsupported, call_key
from evalkit.domain.run import Cell, Look
from evalkit.errors import NotFoundError
from evalkit.pipeline.entry import entry_digest
from evalkit.pipeline.script import script_of
from evalkit.stats.sequential import look_sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from evalkit.domain.project import Project
    from evalkit.domain.roster import Model, Price
    from evalkit.domain.suite import Case, Mode, Suite

__all__ = ["Selection", "fits_any_case", "mode_for", "plan", "usd_range"]

# Models walk the same order almost in step: a window serves all of them, and most suites fit into it as a whole.
_SCRIPTS_KEPT = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to measure; everything empty means everything."""

    suites: tuple[str, ...] = ()
    model_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """Cases that carry any of these."""
    case_ids: tuple[str, ...] = ()
    max_cases: int | None = None
    """At most this many cases of each suite, the first of the scheduled order."""
    trials: int | None = None
    """Overrides the suites' own number."""
    only: frozenset[tuple[str, str, str]] | None = None
    """(suite, case id, model id) triples, for `--failed-from`."""
    is_sequential: bool = False
    """Look at the scheduled prefix of each suite × model as it grows, and stop when that decides."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """One case × trial at its place in the order all models share."""

    sequence: int
    suite: Suite
    case: Case
    trial: int


def plan(
    project: Project,
    selection: Selection | None = None,
    *,
    seed: int = 0,
    render: Callable[[Suite, Case], Script] = script_of,
) -> Plan:
    """Return every call of `selection`, in one seeded order of clusters that all models share.

    Models are interleaved and clusters shuffled so that an hour of trouble at one provider hits all suites alike.

    Args:
        project: what was loaded.
        selection: None is everything.
        seed: of the order.
        render: what is said in a case; answers to anything but the suite's own words must never reach a store.

    Raises:
        NotFoundError: when the selection names a suite, model, tag or case that does not exist.
    """
    chosen = selection or Selection()
    _check_names(project, chosen)
    units = tuple(_scheduled(project, chosen, seed=seed))
    by_suite: dict[str, list[_Unit]] = {suite.name: [] for suite in project.suites}
    for unit in units:
        by_suite[unit.suite.name].append(unit)
    maker = _CallMaker(project, units, render=render)
    cells: list[PlannedCell] = []
    unsupported: list[Unsupported] = []
    for model in project.roster.models:
        if chosen.model_ids and model.id not in chosen.model_ids:
            continue
        for suite in _suites(project, chosen):
            mine = [unit for unit in by_suite[suite.name] if _wants(chosen, unit, model)]
            outcome = maker.cell(suite, model, units=mine, is_sequential=chosen.is_sequential)
            if isinstance(outcome, Unsupported):
                unsupported.append(outcome)
            elif outcome.cell.n_planned:
                cells.append(outcome)
    asked = frozenset((planned.cell.suite, planned.cell.model_id) for planned in cells)

    def calls_of(model_id: str) -> Iterator[Call]:
        return maker.calls(project.roster.by_id[model_id], selection=chosen, asked=asked)

    return Plan(
        digest=_plan_digest(project, chosen, seed=seed),
        seed=seed,
        cells=tuple(cells),
        unsupported=tuple(unsupported),
        calls_of=calls_of,
    )


def _check_names(project: Project, selection: Selection) -> None:
    tags = {tag for suite in project.suites for case in suite.cases for tag in case.tags}
    case_ids = {case.id for suite in project.suites for case in suite.cases}
    for what, wanted, known in (
        ("suite", selection.suites, project.suite_by_name),
        ("model", selection.model_ids, project.roster.by_id),
        ("tag", selection.tags, tags),
        ("case", selection.case_ids, case_ids),
    ):
        for name in wanted:
            if name not in known:
                shown = ", ".join(sorted(known)[:12]) or "none"
                raise NotFoundError(f"no {what} is named {name!r}", next_step=f"one of: {shown}")


def _suites(project: Project, selection: Selection) -> tuple[Suite, ...]:
    return tuple(suite for suite in project.suites if not selection.suites or suite.name in selection.suites)


def _plan_digest(project: Project, selection: Selection, *, seed: int) -> str:
    # Answers that are not kept are graded as they come: whoever goes on with the run must grade as it began.
    suites = {
        suite.name: (
            suite.prompts_digest,
            selection.trials or suite.trials,
            None if suite.payloads == "full" else suite.digest,
        )
        for suite in project.suites
    }
    chosen = (selection.suites, selection.model_ids, selection.tags, selection.case_ids, selection.max_cases)
    only = None if selection.only is None else sorted(selection.only)
    gateway = project.config.gateway
    document: dict[str, Any] = {}
    if project.config.n_direct and (baseline := project.config.baseline_gateway) is not None:
        # Times against two addresses are not one measurement of overhead.
        document["baseline"] = (baseline.kind, baseline.base_url)
    if selection.is_sequential:
        document["sequential"] = True
    # Beside who a model is: whatever of it changes a call, for a run holds one kind of call for each case.
    models = [
        (model.digest, model.capabilities.model_dump(), model.context_tokens, model.max_output_tokens)
        for model in project.roster.models
    ]
    return digest_of(
        document
        | {
            "suites": suites,
            "models": models,
            "selection": chosen,
            "only": only,
            "gateway": (gateway.kind, gateway.base_url, project.config.environment),
            "seed": seed,
        }
    )


def _scheduled(project: Project, selection: Selection, *, seed: int) -> Iterator[_Unit]:
    """Yield the units in order: clusters shuffled over all suites, each with all its cases and trials."""
    groups: dict[tuple[int, str], list[Case]] = {}
    suites = _suites(project, selection)
    for index, suite in enumerate(suites):
        for case in suite.active_cases:
            if _is_chosen(case, selection):
                groups.setdefault((index, case.cluster_id), []).append(case)
    order = sorted(groups)
    random.Random(f"{seed}:order").shuffle(order)
    room: dict[int, int | None] = dict.fromkeys(range(len(suites)), selection.max_cases)
    sequence = 0
    for index, cluster_id in order:
        suite, left = suites[index], room[index]
        cases = groups[index, cluster_id][:left]
        room[index] = None if left is None else left - len(cases)
        for case in cases:
            for trial in range(selection.trials or suite.trials):
                yield _Unit(sequence, suite, case, trial)
                sequence += 1


def _is_chosen(case: Case, selection: Selection) -> bool:
    if selection.case_ids and case.id not in selection.case_ids:
        return False
    return not selection.tags or bool(set(selection.tags) & set(case.tags))


def _wants(selection: Selection, unit: _Unit, model: Model) -> bool:
    return selection.only is None or (unit.suite.name, unit.case.id, model.id) in selection.only


class _CallMaker:
    """Turns units into calls; scripts and parameters are shared by all models that need them."""

    def __init__(self, project: Project, units: tuple[_Unit, ...], *, render: Callable[[Suite, Case], Script]) -> None:
        self._say = render
        self._gateway_kind = project.config.gateway.kind
        self._n_direct = project.config.n_direct
        self._units = units
        self._script: Callable[[int], Script] = lru_cache(maxsize=_SCRIPTS_KEPT)(self._render)
        self._by_case: dict[tuple[str, str], int] = {}
        for index, unit in enumerate(units):
            self._by_case.setdefault((unit.suite.name, unit.case.id), index)
        self._prompt_tokens = {index: self._script(index).n_prompt_tokens for index in self._by_case.values()}
        self._requests = {index: self._script(index).most_requests for index in self._by_case.values()}

    def _render(self, index: int) -> Script:
        unit = self._units[index]
        return self._say(unit.suite, unit.case)

    def _n_requests(self, unit: _Unit) -> int:
        """Return the most requests a call of this unit takes when nothing is tried again."""
        return self._requests[self._first(unit)]

    def _first(self, unit: _Unit) -> int:
        return self._by_case[unit.suite.name, unit.case.id]

    def _fits(self, unit: _Unit, model: Model) -> bool:
        """Whether the prompt alone is inside the declared window; the estimate is rough, so only clear misfits fail."""
        return model.context_tokens is None or self._prompt_tokens[self._first(unit)] <= model.context_tokens

    def cell(self, suite: Suite, model: Model, *, units: list[_Unit], is_sequential: bool) -> PlannedCell | Unsupported:
        mode = mode_for(suite, model)
        if mode is None:
            wanted, has = ", ".join(suite.request.modes), ", ".join(model.capabilities.modes)
            detail = f"the suite asks in {wanted}; the model declares {has}"
            return _unsupported(suite, model, code="unsupported_mode", detail=detail)
        fitting = [unit for unit in units if self._fits(unit, model)]
        if units and not fitting:
            detail = f"every prompt exceeds the declared window of {model.context_tokens} tokens"
            return _unsupported(suite, model, code="context_too_small", detail=detail)
        is_partial = _is_partial(suite, units)
        cell = Cell(
            suite=suite.name,
            task=suite.task,
            model_id=model.id,
            model_digest=entry_digest(suite, model, is_whole=len(fitting) == len(units)),
            prompts_digest=suite.prompts_digest,
            mode=mode,
            n_planned=len(fitting),
            n_skipped=len(suite.cases) - len(suite.active_cases) + len(units) - len(fitting),
            is_partial=is_partial,
            # What a filter left of a suite never decides, soon or late.
            looks=_looks(fitting) if is_sequential and not is_partial else (),
        )
        return self._price(cell, model, fitting)

    def _price(self, cell: Cell, model: Model, units: list[_Unit]) -> PlannedCell:
        prompt, output = self._tokens(model, units)
        low, high = usd_range(prompt, output, price=model.price)
        # As `Pairing.choosing` counts them: the first trial of cases with one request, in scheduled order.
        direct = [unit for unit in units if unit.trial == 0 and self._n_requests(unit) == 1][: self._n_direct]
        direct_low, direct_high = usd_range(*self._tokens(model, direct), price=model.price) if direct else (0.0, 0.0)
        return PlannedCell(
            cell=cell,
            n_clusters=len({unit.case.cluster_id for unit in units}),
            prompt_tokens=prompt,
            max_output_tokens=output,
            usd_expected=low,
            usd_at_most=high,
            n_direct=len(direct),
            direct_usd_expected=direct_low,
            direct_usd_at_most=direct_high,
        )

    def _tokens(self, model: Model, units: list[_Unit]) -> tuple[int, int]:
        """Return (prompt tokens, the most that can be answered) of the calls of these units.

        Every request of a conversation sends all that was said before it, and may be answered at full length.
        """
        prompt = output = 0
        for unit in units:
            n, cap = self._n_requests(unit), _output_cap(unit, model)
            prompt += n * self._prompt_tokens[self._first(unit)] + cap * n * (n - 1) // 2
            output += n * cap
        return prompt, output

    def calls(self, model: Model, *, selection: Selection, asked: frozenset[tuple[str, str]]) -> Iterator[Call]:
        shared: dict[str, _Asked] = {}
        for unit in self._units:
            name = unit.suite.name
            if (name, model.id) not in asked or not _wants(selection, unit, model) or not self._fits(unit, model):
                continue
            if unit.case.schema is not None or unit.case.max_output_tokens is not None:
                yield self._call(unit, model, asked=_asked(unit, model))
                continue
            if name not in shared:
                shared[name] = _asked(unit, model)
            yield self._call(unit, model, asked=shared[name])

    def _call(self, unit: _Unit, model: Model, *, asked: _Asked) -> Call:
        script = self._script(self._first(unit))
        route = model.route_for(self._gateway_kind)
        key = call_key(
            script_digest=script.digest,
            parameters_digest=asked.digest,
            route=route,
            coordinates=(unit.suite.name, unit.case.id, model.id, unit.trial),
        )
        return Call(
            key=key,
            sequence=unit.sequence,
            suite=unit.suite.name,
            case_id=unit.case.id,
            cluster_id=unit.case.cluster_id,
            model_id=model.id,
            route=route,
            trial=unit.trial,
            script=script,
            parameters=asked.parameters,
            adapt=model.adapt,
        )


def _is_partial(suite: Suite, units: list[_Unit]) -> bool:
    """Whether cases or trials of the suite are left out; more trials of fewer cases do not make up for them."""
    trials = 1 + max((unit.trial for unit in units), default=0)
    return trials < suite.trials or len(units) < len(suite.active_cases) * trials


def _looks(units: list[_Unit]) -> tuple[Look, ...]:
    """Return when these units of one suite × model, in scheduled order, are looked at: after whole clusters only."""
    ends: dict[str, tuple[int, int]] = {}
    for position, unit in enumerate(units, start=1):
        ends[unit.case.cluster_id] = (position, unit.sequence)
    whole = list(ends.values())  # of each cluster the units are neighbours
    return tuple(
        Look(n_clusters=n, n_calls=whole[n - 1][0], last_sequence=whole[n - 1][1]) for n in look_sizes(len(whole))
    )


def _unsupported(suite: Suite, model: Model, *, code: str, detail: str) -> Unsupported:
    return Unsupported(suite=suite.name, task=suite.task, model_id=model.id, code=code, detail=detail)


def fits_any_case(suite: Suite, model: Model) -> bool:
    """Return whether the model's declared window holds at least one prompt of the suite."""
    window = model.context_tokens
    return window is None or any(script_of(suite, case).n_prompt_tokens <= window for case in suite.active_cases)


def mode_for(suite: Suite, model: Model) -> Mode | None:
    """Return the first mode of the suite that the model declares, or None."""
    declared = model.capabilities.modes
    return next((mode for mode in suite.request.modes if mode in declared), None)


def usd_range(prompt: int, output: int, *, price: Price | None) -> tuple[float | None, float | None]:
    """Return (USD with half the output cap, USD at most) by list price; None when there is none."""
    if price is None:
        return None, None
    read, written = prompt * price.input_usd_per_mtok, output * price.output_usd_per_mtok
    return (read + written / 2) / 1e6, (read + written) / 1e6


def _output_cap(unit: _Unit, model: Model) -> int:
    wanted = unit.case.max_output_tokens or unit.suite.request.max_output_tokens
    return min(wanted, model.max_output_tokens or wanted)


@dataclass(frozen=True, slots=True)
class _Asked:
    """How a call is asked for, with the digest of it; shared by all plain cases of a suite × model."""

    parameters: Parameters
    digest: str


def _asked(unit: _Unit, model: Model) -> _Asked:
    suite, case = unit.suite, unit.case
    response = suite.request.response
    mode = mode_for(suite, model)
    if mode is None:  # cell() has already said so: no call of such a pair is ever made
        raise AssertionError(f"{model.id} has no mode for {suite.name}")
    parameters = Parameters(
        mode=mode,
        max_output_tokens=_output_cap(unit, model),
        temperature=suite.request.temperature if model.capabilities.temperature else None,
        schema=case.schema if case.schema is not None else response.schema_ if response is not None else None,
        schema_name=re.sub(r"[^A-Za-z0-9_-]", "_", suite.name)[:64],
    )
    document = {
        "mode": parameters.mode,
        "max_output_tokens": parameters.max_output_tokens,
        "temperature": parameters.temperature,
        "schema": parameters.schema,
        "adapt": model.adapt.model_dump(),
    }
    return _Asked(parameters, digest_of(document))
