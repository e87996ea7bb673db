"""`evalkit preflight`: what the gateway and its models can do, before money is spent on finding out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from evalkit.cli._json import json_option
from evalkit.cli._options import opened_project, project_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table
    from rich.text import Text

    from evalkit.api.preflight import PlannedPreflight, Preflight
    from evalkit.pipeline.preflight_probes import Check, Facts, ModelProbing

__all__ = ["command"]

_MARKS = {
    "confirmed": ("✓", "green"),
    "not_honoured": ("✗", "red"),
    "undeclared": ("+", "yellow"),
    "unknown": ("?", "yellow"),
}
_OFF = ("·", "dim")
"""Declared off, and it does not work."""
_FEATURES = ("answer", "temperature", "seed", "json_schema", "json_object", "tools")
_CURES = {
    "answer": "mend route, routes or adapt in the roster, or fallbacks at the gateway",
    "json_schema": "declare capabilities.structured: json_object or none",
    "json_object": "declare capabilities.structured: none",
    "tools": "declare capabilities.tools: false",
    "temperature": "declare capabilities.temperature: false",
    "seed": "declare capabilities.seed: false",
}


@click.command("preflight")
@click.option("--model", "model_ids", multiple=True, help="Only this model; may be repeated.")
@project_options("budget_usd", "concurrency", "call_timeout_s")
@json_option
def command(*, model_ids: tuple[str, ...], as_json: bool, **settings: Any) -> int:
    """Probe every model with at most six tiny calls. Writes nothing to the store and decides nothing."""
    from evalkit.api.preflight import preflight, preflight_exit
    from evalkit.cli._output import clean, console, print_json

    project = opened_project(settings)
    result = preflight(project, model_ids=model_ids, started=_silent if as_json else _announce)
    ending = preflight_exit(project, result)
    if as_json:
        print_json({"preflight": result, "exit": ending})
        return ending.code
    console().print(_table(result))
    for line in _lines(result):
        click.echo(line)
    if ending.reason:
        click.echo(f"exit code {ending.code}: {clean(ending.reason)}", err=True)
    return ending.code


def _silent(_planned: PlannedPreflight) -> None:
    """Say nothing: the document holds the plan too."""


def _announce(planned: PlannedPreflight) -> None:
    models = planned.models
    expected = sum(model.usd_expected or 0.0 for model in models)
    most = sum(model.usd_at_most or 0.0 for model in models)
    unknown = sum(model.usd_expected is None for model in models)
    calls, most_calls = sum(model.n_calls for model in models), sum(model.max_calls for model in models)
    label = "SIMULATED preflight" if planned.is_simulated else "preflight"
    note = f", {unknown} of unknown price" if unknown else ""
    usd = f"about USD {expected:.4f}, at most USD {most:.4f}" if unknown < len(models) else "USD not known"
    click.echo(f"{label}: {calls} calls, at most {most_calls}, to {len(models)} models{note}; {usd}", err=True)


def _table(result: Preflight) -> Table:
    from rich.table import Table

    label = "SIMULATED: " if result.planned.is_simulated else ""
    reach = "not known" if result.reach is None else f"at most {result.reach}"
    table = Table(title=f"{label}what models do through {result.planned.gateway_kind}; identity {reach}")
    for column in ("model", *_FEATURES, "identity", "usage", "cost", "latency"):
        table.add_column(column, overflow="fold")
    for model in result.models:
        table.add_row(*_row(model))
    return table


def _row(model: ModelProbing) -> list[Text]:
    from rich.text import Text

    by_name = {check.name: check for check in model.checks}
    cells = [Text(model.model_id), *(_cell(by_name[name]) for name in _FEATURES)]
    facts = model.facts
    if facts is None:
        return [*cells, *(Text("-") for _ in range(4))]
    latency = "?" if facts.latency_s is None else f"{facts.latency_s:.2f} s"
    usage = "yes" if facts.has_usage else "no"
    name = facts.model_field.replace("_", " ")
    return [*cells, *map(Text, (f"{facts.identity_class} ({name})", usage, facts.cost_source, latency))]


def _cell(check: Check) -> Text:
    from rich.text import Text

    is_off = check.status == "confirmed" and not check.declared
    mark, style = _OFF if is_off else _MARKS[check.status]
    # Whether a seed did anything is seen from two answers only, and then not for sure.
    more = f", {check.detail}" if check.name == "seed" and check.observed == "accepted" else ""
    return Text(f"{mark} {check.observed}{more}", style=style)


def _lines(result: Preflight) -> Iterator[str]:
    """Yield what needs a word: everything that is not as declared, and evidence of identity that is too weak."""
    from evalkit.cli._output import clean

    for model in result.models:
        for name, told in _model_lines(model):
            yield f"{model.model_id}: {name}: {clean(told, most=400)}"
        weak = ", ".join(f"{one.task} ({one.needs})" for one in result.weak.get(model.model_id, ()))
        if weak and model.facts is not None:
            told = f"its answer was {model.facts.identity_class}, and tasks need more: {weak}"
            yield f"{model.model_id}: identity: {told}{_name_cure(model.facts)}"
    if result.identity_note:
        yield f"identity: {clean(result.identity_note, most=1000)}"
    label = "SIMULATED " if result.planned.is_simulated else ""
    costs = [model.cost_usd for model in result.models]
    unknown = f", {costs.count(None)} of unknown cost" if None in costs else ""
    calls = sum(model.n_calls for model in result.models)
    spent = sum(cost or 0.0 for cost in costs)
    usd = f"USD {spent:.4f}{unknown}" if costs.count(None) < len(costs) else "cost unknown"
    yield f"{label}preflight: {calls} calls to {len(costs)} models, {usd}"


def _name_cure(facts: Facts) -> str:
    """Return what to do when the upstream's own name came back and means nothing to the roster."""
    from evalkit.cli._output import clean

    if facts.model_field != "own_name" or facts.identity_class != "unverifiable":
        return ""
    return f"  → when {clean(facts.served_model or '', most=100)} is who should answer, name it in routes.upstream"


def _model_lines(model: ModelProbing) -> Iterator[tuple[str, str]]:
    """Yield (what, sentence); of a model that does not answer nothing but that."""
    answer, *others = model.checks
    for check in [answer] if answer.status != "confirmed" else others:
        detail = f": {check.detail}" if check.detail else ""
        if check.status == "not_honoured":
            yield check.name, f"not honoured, {check.observed}{detail}  → {_CURES[check.name]}"
        elif check.status == "unknown":
            yield check.name, f"unknown{detail}"
    works = [check.name for check in others if check.status == "undeclared"]
    if works:
        yield "not declared", f"{', '.join(works)}; works, see capabilities in the roster"
    facts = model.facts
    if facts is not None and not facts.has_usage and facts.cost_source == "unknown":
        yield "usage", "not reported, and no cost either: what calls cost stays unknown"
