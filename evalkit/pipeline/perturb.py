"""Perturbations: the same question in a form that should not matter, and how often the answer turns all the same.

Every case is asked as it stands, once more as it stands, and in each form that applies to it. All of these are variants
(`pipeline.variants`), so a run of them decides nothing. What the plain repeat turns is the model's own unsteadiness:
only what a form turns beyond that is the form's doing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from evalkit.canonical import digest_of
from evalkit.domain.call import Call, Plan, PlannedCell
from evalkit.domain.run import plain_name, variant_name
from evalkit.errors import InputError
from evalkit.pipeline.estimates import displayed
from evalkit.pipeline.evidence import read_measurements
from evalkit.pipeline.script import script_of
from evalkit.pipeline.variants import varied
from evalkit.wire.request import opening_messages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evalkit.domain.call import ScriptTurn
    from evalkit.domain.estimate import Estimate
    from evalkit.domain.project import Project
    from evalkit.domain.run import Run
    from evalkit.domain.suite import Case, Suite
    from evalkit.pipeline.evidence import Unit
    from evalkit.ports import RunReader

__all__ = ["PERTURBATIONS", "FlipRate", "Perturbation", "flip_rates", "with_twins"]

Perturbation = Literal["repeat", "newline", "system_in_user", "labels"]
PERTURBATIONS: tuple[Perturbation, ...] = ("repeat", "newline", "system_in_user", "labels")
"""`repeat`: nothing is changed; `newline`: a line break behind every message of the user; `system_in_user`: the system
text in front of the first user message; `labels`: closed sets of the schema, and lists of them in `vars`, reversed."""

_PLAIN = "plain"
_SCHEMA_MODES = frozenset({"json_schema", "json_object", "prompted"})
_FULL = 1 - 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipRate:
    """How often a model's answer turned from right to wrong or back, over the pairs of a case and its twin."""

    model_id: str
    perturbation: Perturbation
    estimate: Estimate | None
    """Share of pairs that turned, with its two-sided 95% interval over clusters; None without a pair."""
    n_lost: int
    """Right as it stands, wrong in the twin."""
    n_won: int
    n_unknown: int
    """Pairs of which one answer is missing or could not be graded."""


def with_twins(plan: Plan, project: Project) -> Plan:
    """Return the plan with every call asked as it stands and in each form that applies to it, one after the other.

    Raises:
        InputError: when the plan has no call.
    """
    if not plan.n_calls:
        raise InputError("the selection leaves nothing to perturb", next_step="see `evalkit plan`")
    twister = _Twister(project)

    def calls_of(model_id: str) -> Iterator[Call]:
        for call in plan.calls_of(model_id):
            yield varied(call, _PLAIN)
            yield from twister.twins(call)

    counts = Counter((call.suite, model_id) for model_id in plan.model_ids for call in calls_of(model_id))
    cells = tuple(
        _scaled(planned, name, n=n)
        for planned in plan.cells
        for name in (_PLAIN, *PERTURBATIONS)
        if (n := counts[variant_name(planned.cell.suite, name), planned.cell.model_id])
    )
    digest = digest_of({"plan": plan.digest, "perturbations": PERTURBATIONS})
    return replace(plan, digest=digest, cells=cells, calls_of=calls_of)


def _scaled(planned: PlannedCell, variant: str, *, n: int) -> PlannedCell:
    """Return what `n` calls of a cell take, each as much as the mean of them."""
    share = n / planned.cell.n_planned

    def part(usd: float | None) -> float | None:
        return None if usd is None else usd * share

    return PlannedCell(
        cell=replace(planned.cell, suite=variant_name(planned.cell.suite, variant), n_planned=n, is_partial=True),
        n_clusters=planned.n_clusters,
        prompt_tokens=round(planned.prompt_tokens * share),
        max_output_tokens=round(planned.max_output_tokens * share),
        usd_expected=part(planned.usd_expected),
        usd_at_most=part(planned.usd_at_most),
    )


class _Twister:
    """Makes the twins of calls."""

    def __init__(self, project: Project) -> None:
        self._suites = project.suite_by_name
        self._cases = {suite.name: {case.id: case for case in suite.active_cases} for suite in project.suites}

    def twins(self, call: Call) -> Iterator[Call]:
        """Yield the twins of a call, in the order of `PERTURBATIONS`; a form that changes nothing has none."""
        yield varied(call, "repeat")
        yield replace(varied(call, "newline"), script=_with_newlines(call))
        adapt = call.adapt.model_copy(update={"system_role": "user"})
        is_bent = call.adapt.system_role == "user"
        if not is_bent and opening_messages(call.script, parameters=call.parameters, adapt=adapt)[1]:
            yield replace(varied(call, "system_in_user"), adapt=adapt)
        reordered = self._with_labels_reversed(call)
        if reordered is not None:
            yield reordered

    def _with_labels_reversed(self, call: Call) -> Call | None:
        suite, case = self._suites[call.suite], self._cases[call.suite][call.case_id]
        schema = call.parameters.schema if call.parameters.mode in _SCHEMA_MODES else None
        sets = [*_label_sets(call.parameters.schema), *_scored_labels(suite, case)]
        variables = {name: _reversed_if_labels(value, sets) for name, value in case.vars.items()}
        script = call.script if variables == case.vars else script_of(suite, replace(case, vars=variables))
        other = None if schema is None else _with_enums_reversed(schema)
        if script.digest == call.script.digest and (schema is None or list(_enums(other)) == list(_enums(schema))):
            return None
        parameters = call.parameters if other is None else replace(call.parameters, schema=other)
        return replace(varied(call, "labels"), script=script, parameters=parameters)


def _with_newlines(call: Call) -> Any:
    def lengthened(turn: ScriptTurn) -> ScriptTurn:
        messages = (replace(one, content=f"{one.content}\n") if one.role == "user" else one for one in turn.messages)
        return replace(turn, messages=tuple(messages))

    return replace(call.script, turns=tuple(map(lengthened, call.script.turns)))


def _enums(node: Any) -> Iterator[list[Any]]:
    """Yield every closed set of a schema that has an order to turn."""
    if isinstance(node, dict):
        if isinstance(node.get("enum"), list) and len(node["enum"]) > 1:
            yield node["enum"]
        for value in node.values():
            yield from _enums(value)
    elif isinstance(node, list):
        for value in node:
            yield from _enums(value)


def _with_enums_reversed(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: value[::-1] if key == "enum" and isinstance(value, list) else _with_enums_reversed(value)
            for key, value in node.items()
        }
    return [_with_enums_reversed(value) for value in node] if isinstance(node, list) else node


def _label_sets(schema: Mapping[str, Any] | None) -> Iterator[frozenset[str]]:
    for enum in _enums(schema):
        yield frozenset(map(str, enum))


def _scored_labels(suite: Suite, case: Case) -> Iterator[frozenset[str]]:
    for spec in case.scorers or suite.scorers:
        labels = spec.params.get("labels")
        if isinstance(labels, list):
            yield frozenset(map(str, labels))


def _reversed_if_labels(value: Any, sets: list[frozenset[str]]) -> Any:
    """Return a list of exactly these labels in another order; anything else may mean something by its order."""
    is_labels = isinstance(value, list) and len(value) > 1 and frozenset(map(str, value)) in sets
    return value[::-1] if is_labels else value


def flip_rates(reader: RunReader, run: Run, project: Project) -> tuple[FlipRate, ...]:
    """Return the flip rate of every model and perturbation of a run, over its suites, each by its primary metric."""
    pairs: dict[tuple[str, Perturbation], list[_Pair]] = {}
    for cell in run.cells:
        name, variant = plain_name(cell.suite)
        suite = project.suite_by_name.get(name)
        perturbation = next((one for one in PERTURBATIONS if one == variant), None)
        if suite is not None and perturbation is not None:
            found = pairs.setdefault((cell.model_id, perturbation), [])
            found += _pairs(reader, run, suite, model_id=cell.model_id, variant=variant)
    order = sorted(pairs, key=lambda key: PERTURBATIONS.index(key[1]))
    models = dict.fromkeys(model_id for model_id, _ in pairs)
    return tuple(
        _rate(model_id, perturbation, pairs[model_id, perturbation])
        for model_id in models
        for asked, perturbation in order
        if asked == model_id
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    cluster: str
    plain: bool | None
    """Whether the answer was right; None when nobody knows."""
    twin: bool | None


def _pairs(reader: RunReader, run: Run, suite: Suite, *, model_id: str, variant: str) -> Iterator[_Pair]:
    names = [(variant_name(suite.name, one), model_id) for one in (_PLAIN, variant)]
    plain, twins = (found.units for found in read_measurements(reader, run, wanted=names).values())
    right = {(unit.case_id, unit.trial): _is_right(unit, suite) for unit in plain}
    for unit in twins:
        cluster = f"{suite.name}/{unit.cluster_id}"
        yield _Pair(cluster, right.get((unit.case_id, unit.trial)), _is_right(unit, suite))


def _is_right(unit: Unit, suite: Suite) -> bool | None:
    value = None if unit.is_missing else unit.scores.get(suite.primary)
    return None if value is None else value >= _FULL


def _rate(model_id: str, perturbation: Perturbation, pairs: list[_Pair]) -> FlipRate:
    known = [pair for pair in pairs if pair.plain is not None and pair.twin is not None]
    flips = [float(pair.plain is not pair.twin) for pair in known]
    return FlipRate(
        model_id=model_id,
        perturbation=perturbation,
        estimate=displayed(flips, [pair.cluster for pair in known]),
        n_lost=sum(bool(pair.plain) and not pair.twin for pair in known),
        n_won=sum(bool(pair.twin) and not pair.plain for pair in known),
        n_unknown=len(pairs) - len(known),
    )
