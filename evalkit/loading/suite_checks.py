"""What can be wrong inside one suite although every file has the right shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.canonical import canonical_json
from evalkit.domain.score import MEASURES
from evalkit.domain.suite import turn_metric
from evalkit.errors import InputError
from evalkit.loading.gates import gate_errors
from evalkit.loading.opinions import Built, opinion_errors
from evalkit.loading.problems import Problems, closest, placed
from evalkit.loading.repeats import split_questions
from evalkit.plugins import WEIGHTED, instrument_of
from evalkit.rendering import render_prompt, template_variables
from evalkit.schemas import check_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydantic import JsonValue

    from evalkit.domain.judging import Judges
    from evalkit.domain.suite import ToolSpec
    from evalkit.errors import Place
    from evalkit.loading.suites import LoadedSuite

__all__ = ["check_suite"]

_NAMES_OF_ANSWERS = {"answer", "gold", "label", "output", "reference", "solution", "target"}


def check_suite(
    loaded: LoadedSuite, *, confidence: float, project_scorers: Mapping[str, str], judges: Judges | None = None
) -> Problems:
    """Return everything that is wrong inside the suite; `confidence` is that of its task.

    Without `judges` nobody is asked, so it is not checked either who may be.
    """
    problems = Problems()
    problems.add_few(_repeated_ids(loaded), what="repeated case ids")
    split = split_questions(loaded.suite, place_of=loaded.cases.place)
    problems.add_few(split, what="cases that ask the same in several clusters")
    if not loaded.active:
        problems.add("every case is skipped", place=loaded.place("cases"), next_step="leave one case in")
    _check_request(loaded, problems)
    _check_templates(loaded, problems)
    _check_schemas(loaded, problems)
    built = Built(loaded.suite, project_scorers=project_scorers, judges=judges)
    metrics = _check_scorers(loaded, problems, built=built)
    if metrics is not None:
        _check_metrics(loaded, problems, metrics=metrics, confidence=confidence)
        problems.add_few(_unexpecting(loaded, built), what="cases without `expected` in this suite")
        problems.found += opinion_errors(loaded, built)
    return problems


def _repeated_ids(loaded: LoadedSuite) -> Iterator[InputError]:
    first: dict[str, int] = {}
    for index, case in enumerate(loaded.suite.cases):
        if case.id in first:
            before = loaded.cases.place(first[case.id]).line
            yield InputError(
                f"the case id {case.id!r} is given twice (first on line {before})",
                place=loaded.cases.place(index, "/id"),
                next_step="give each case its own id; repeat a prompt with `trials`",
            )
        first.setdefault(case.id, index)


def _check_request(loaded: LoadedSuite, problems: Problems) -> None:
    request = loaded.suite.request
    place = loaded.place("request")
    if request.messages:
        roles = [message.role for message in request.messages]
        if "user" not in roles:
            problems.add("messages hold no user message", place=loaded.place("request", "messages"),
                         next_step="add {role: user, content: …}")  # fmt: skip
        if "system" in roles[1:] or ("system" in roles and request.system is not None):
            problems.add("the system text is given twice, or not first", place=loaded.place("request", "messages"),
                         next_step="give it once: as request.system, or as the first message")  # fmt: skip
    has_tools = bool(request.tools) or any(turn.tools for turn in request.turns)
    if "tools" in request.modes and not has_tools and not all(case.tools for _, case in loaded.active):
        problems.add("the mode 'tools' needs tools", place=place, next_step="add request.tools, or drop the mode")
    if request.response is not None and request.response.schema_ is None and "json_schema" in request.modes:
        without = [case.id for _, case in loaded.active if case.schema is None]
        if without:
            problems.add(f"the mode 'json_schema' needs a schema, and {len(without)} cases have none",
                         place=loaded.place("request", "response"),
                         next_step="add request.response.schema, or leave json_schema out of modes")  # fmt: skip
    _check_tools(loaded, problems)


def _check_tools(loaded: LoadedSuite, problems: Problems) -> None:
    request = loaded.suite.request
    _refuse_repeated(request.tools, loaded.place("request", "tools"), problems)
    offered_by_cases = {tool.name for _, case in loaded.active for tool in case.tools or ()}
    for index, turn in enumerate(request.turns):
        _refuse_repeated(turn.tools, loaded.place("request", "turns", index, "tools"), problems)
        offered = {tool.name for tool in turn.tools or request.tools} | offered_by_cases
        for name in sorted(turn.tool_results.keys() - offered):
            problems.add(
                f"a result is given for the tool {name!r}, which this turn does not offer",
                place=loaded.place("request", "turns", index, "tool_results", name),
                next_step=closest(name, offered, what="tools"),
            )


def _refuse_repeated(tools: Sequence[ToolSpec], place: Place, problems: Problems) -> None:
    names = [tool.name for tool in tools]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add(f"the tool {name!r} is given twice", place=place, next_step="give each tool its own name")


def _templates(loaded: LoadedSuite) -> Iterator[tuple[str, Place]]:
    request = loaded.suite.request
    for key, text in (("system", request.system), ("prompt", request.prompt)):
        if text is not None:
            yield text, loaded.place("request", key)
    for index, message in enumerate(request.messages):
        yield message.content, loaded.place("request", "messages", index, "content")
    for index, turn in enumerate(request.turns):
        yield turn.user, loaded.place("request", "turns", index, "user")
        for text in _strings_in(turn.expect.expected if turn.expect else None):
            yield text, loaded.place("request", "turns", index, "expect", "expected")


def _strings_in(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings_in(item)


def _check_templates(loaded: LoadedSuite, problems: Problems) -> None:
    missing: list[InputError] = []
    for text, place in _templates(loaded):
        with problems.collected():
            names = template_variables(text, place=place)
            missing += _missing_variables(loaded, text, names=names, template_place=place)
    problems.add_few(missing, what="cases with missing variables in this suite")


def _missing_variables(
    loaded: LoadedSuite, text: str, *, names: frozenset[str], template_place: Place
) -> Iterator[InputError]:
    for index, case in loaded.active:
        lacking = sorted(names - case.vars.keys())
        if not lacking:
            continue
        place = loaded.cases.place(index, "/vars")
        try:
            # A name used only under `is defined` is looked up, yet may be missing: rendering knows.
            render_prompt(text, case.vars, place=place)
        except InputError:
            listed = ", ".join(map(repr, lacking))
            yield InputError(
                f"the case {case.id!r} does not give {listed}, which the template at {template_place} needs",
                place=place,
                next_step=closest(lacking[0], case.vars, what="it gives"),
            )


def _check_schemas(loaded: LoadedSuite, problems: Problems) -> None:
    request = loaded.suite.request
    if request.response is not None and request.response.schema_ is not None:
        with problems.collected():
            check_schema(request.response.schema_, place=loaded.place("request", "response", "schema"))
    for index, tool in enumerate(request.tools):
        with problems.collected():
            check_schema(tool.parameters, place=loaded.place("request", "tools", index, "parameters"))
    for number, turn in enumerate(request.turns):
        for index, tool in enumerate(turn.tools):
            with problems.collected():
                check_schema(tool.parameters, place=loaded.place("request", "turns", number, "tools", index))
    seen: set[bytes] = set()
    wrong = Problems()
    for index, case in enumerate(loaded.suite.cases):
        schemas = [("/schema", case.schema)] if case.schema is not None else []
        schemas += [(f"/tools/{i}/parameters", tool.parameters) for i, tool in enumerate(case.tools or ())]
        for pointer, schema in schemas:
            key = canonical_json(schema)
            if key not in seen:
                seen.add(key)
                with wrong.collected():
                    check_schema(schema, place=loaded.cases.place(index, pointer))
    problems.add_few(wrong.found, what="cases with a wrong schema in this suite")


def _check_scorers(loaded: LoadedSuite, problems: Problems, *, built: Built) -> dict[str, tuple[str, ...]] | None:
    """Return the metrics by "" for the suite and by case id where a case has its own scorers; None if one is wrong."""
    suite = loaded.suite
    n_before = len(problems.found)
    places = [loaded.place("scorers", index) for index in range(len(suite.scorers))]
    groups = {"": (suite.scorers, places)}
    for index, case in enumerate(suite.cases):
        if case.scorers is not None:
            where = [loaded.cases.place(index, f"/scorers/{i}") for i in range(len(case.scorers))]
            groups[case.id] = (case.scorers, where)
    metrics: dict[str, tuple[str, ...]] = {}
    wrong: list[InputError] = []
    for name, (specs, where) in groups.items():
        found: list[str] = []
        for spec, place in zip(specs, where, strict=True):
            try:
                found += built.metrics_of(spec)
            except InputError as error:
                wrong.append(placed(error, place))
        wrong += _clashing(found, where[0] if where else loaded.place("scorers"))
        weighted = (WEIGHTED,) if any(spec.weight is not None for spec in specs) else ()
        metrics[name] = (*found, *weighted)
    of_turns = _turn_metrics(loaded, wrong, built=built)
    metrics = {name: (*found, *of_turns) for name, found in metrics.items()}
    problems.add_few(wrong, what="wrong scorers in this suite")
    return metrics if len(problems.found) == n_before else None


def _unexpecting(loaded: LoadedSuite, built: Built) -> Iterator[InputError]:
    """Yield the cases that leave out what their answers would be compared with."""
    for index, case in loaded.active:
        if index in loaded.cases.expecting or case.expect != "answer":
            continue
        specs = loaded.suite.scorers if case.scorers is None else case.scorers
        for spec in specs:
            if getattr(built.scorer(spec), "needs_expected", False):
                yield InputError(
                    f"the case {case.id!r} has no `expected`, with which {spec.name!r} compares",
                    place=loaded.cases.place(index),
                    next_step=_what_could_be_expected(case.vars),
                )
                break


def _what_could_be_expected(variables: Mapping[str, JsonValue]) -> str:
    step = "give it the right answer, or `expected: null` where that is none"
    named = [name for name in variables if name.lower() in _NAMES_OF_ANSWERS]
    return f"{step}; is it the column {named[0]!r}? then name that `expected`" if named else step


def _turn_metrics(loaded: LoadedSuite, wrong: list[InputError], *, built: Built) -> list[str]:
    """Return the metrics of single turns; what is wrong with their scorers is added to `wrong`."""
    names: list[str] = []
    for index, turn in enumerate(loaded.suite.request.turns):
        found: list[str] = []
        for number, spec in enumerate(turn.expect.scorers if turn.expect else ()):
            place = loaded.place("request", "turns", index, "expect", "scorers", number)
            try:
                found += built.metrics_of(spec)
                wrong += [_asks_in_a_turn(spec.name, place)] if instrument_of(built.scorer(spec)) is not None else []
            except InputError as error:
                wrong.append(placed(error, place))
        wrong += _clashing(found, loaded.place("request", "turns", index, "expect"))
        names += [turn_metric(index, name) for name in found]
    return names


def _asks_in_a_turn(name: str, place: Place) -> InputError:
    return InputError(
        f"{name!r} asks somebody about an answer, and only the last turn's is asked about",
        place=place,
        next_step="name it in the suite's own scorers, or expect something of this turn that needs no judge",
    )


def _clashing(metrics: Sequence[str], place: Place) -> Iterator[InputError]:
    for name in sorted({name for name in metrics if metrics.count(name) > 1}):
        yield InputError(f"two scorers give the metric {name!r}", place=place, next_step="rename one of them with `as`")
    for name in sorted({*MEASURES, WEIGHTED} & set(metrics)):
        yield InputError(
            f"a scorer gives {name!r}, which is a name of evalkit's own", place=place, next_step="rename it with `as`"
        )


def _check_metrics(
    loaded: LoadedSuite, problems: Problems, *, metrics: Mapping[str, Iterable[str]], confidence: float
) -> None:
    suite = loaded.suite
    known = {name for names in metrics.values() for name in names}
    if suite.primary not in known:
        kind = "is a measure, not a score" if suite.primary in MEASURES else "is given by no scorer of this suite"
        problems.add(
            f"the primary metric {suite.primary!r} {kind}",
            place=loaded.place("primary"),
            next_step=closest(suite.primary, known, what="metrics"),
        )
    cases = [case for _, case in loaded.active]
    for index, gate in enumerate(suite.gates):
        place = loaded.place("gates", index)
        problems.found += gate_errors(gate, cases, metrics=known, confidence=confidence, place=place)
    _check_known_bad(loaded, problems, metrics=metrics)


def _check_known_bad(loaded: LoadedSuite, problems: Problems, *, metrics: Mapping[str, Iterable[str]]) -> None:
    wrong = []
    for index, case in enumerate(loaded.suite.cases):
        known = set(metrics.get(case.id, metrics[""]))
        for number, bad in enumerate(case.known_bad):
            wrong += [
                InputError(
                    f"known_bad fails {name!r}, which no scorer of this case gives",
                    place=loaded.cases.place(index, f"/known_bad/{number}/fails"),
                    next_step=closest(name, known, what="metrics"),
                )
                for name in bad.fails
                if name not in known and name not in MEASURES
            ]
    problems.add_few(wrong, what="wrong known_bad entries in this suite")
