"""Cases that ask the same: a prompt that is asked again is no new evidence, whatever the case is called."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evalkit.errors import InputError
from evalkit.rendering import template_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evalkit.domain.suite import Case, Suite
    from evalkit.errors import Place

__all__ = ["split_questions", "with_repeats_clustered"]


def with_repeats_clustered(suite: Suite) -> Suite:
    """Return the suite with cases that ask the same in one cluster, where they are given none of their own.

    Two cases ask the same when all that the templates look up in them is the same but for white space, and schema,
    tools and length are. Of templates that look nothing up, whoever asks may say something else: then all variables
    count.
    """
    first: dict[str, str] = {}
    cases: list[Case] = []
    question = _question_of(suite)
    for case in suite.cases:
        cluster = first.setdefault(question(case), case.cluster_id) if case.skip is None else case.cluster_id
        is_own = case.cluster is not None or cluster == case.cluster_id
        cases.append(case if is_own else replace(case, cluster=cluster))
    return suite.model_copy(update={"cases": tuple(cases)})


def split_questions(suite: Suite, *, place_of: Callable[[int], Place]) -> Iterator[InputError]:
    """Yield the cases that ask what one before them asks, and were given another cluster."""
    first: dict[str, Case] = {}
    question = _question_of(suite)
    for index, case in enumerate(suite.cases):
        if case.skip is not None:
            continue
        before = first.setdefault(question(case), case)
        if before.cluster_id != case.cluster_id:
            yield InputError(
                f"the cases {before.id!r} and {case.id!r} ask the same, and are in the clusters {before.cluster_id!r} "
                f"and {case.cluster_id!r}",
                place=place_of(index),
                next_step="give them one `cluster`, or keep one of them: `trials` asks a prompt again",
            )


def _question_of(suite: Suite) -> Callable[[Case], str]:
    """Return what gives all of a case that makes it another question than the next."""
    names = _looked_up(suite)

    def question(case: Case) -> str:
        asked = {name: value for name, value in case.vars.items() if name in names} or case.vars
        tools = case.tools and [tool.model_dump() for tool in case.tools]
        return json.dumps([_plain(asked), case.schema, tools, case.max_output_tokens], sort_keys=True)

    return question


def _looked_up(suite: Suite) -> frozenset[str]:
    request = suite.request
    texts = [request.system, request.prompt, *(one.content for one in request.messages)]
    texts += [turn.user for turn in request.turns]
    try:
        return frozenset[str]().union(*(template_variables(text) for text in texts if text))
    except InputError:  # a template that cannot be parsed is told by its own check, with its place
        return frozenset()


def _plain(value: Any) -> Any:
    """Return a JSON value whose texts differ in no white space."""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
