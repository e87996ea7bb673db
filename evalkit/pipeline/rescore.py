"""Grade stored answers, again or for the first time, in batches: memory stays flat whatever the run's size."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from evalkit.domain.run import STREAM, plain_name
from evalkit.pipeline.score import Grader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.project import Project
    from evalkit.domain.run import Run
    from evalkit.domain.score import Scored
    from evalkit.domain.suite import Suite
    from evalkit.ports import Store

__all__ = ["score_run"]

_BATCH = 1000


def score_run(store: Store, run: Run, project: Project) -> dict[str, int]:
    """Grade every stored answer of the run's suites with today's scorers; return the number graded per suite.

    A run whose texts are gone, out of a history or pruned, is left as it is. Suites whose texts were not kept were
    graded on arrival and are left as they are; so are suites whose prompts have changed since: their answers are to
    other questions.
    """
    graded: dict[str, int] = {}
    if not run.has_texts:  # there is nothing to grade, and nothing would become 0
        return graded
    asked = {cell.suite: cell.prompts_digest for cell in run.cells}
    for name, digest in asked.items():
        plain, variant = plain_name(name)
        suite = project.suite_by_name.get(plain)
        if suite is None or suite.payloads != "full" or suite.prompts_digest != digest or variant == STREAM:
            continue
        graded[name] = _score_suite(store, run, suite, name=name, project=project)
    return graded


def _score_suite(store: Store, run: Run, suite: Suite, *, name: str, project: Project) -> int:
    """Grade what was answered under a name: the suite's own, or that of a variant of it."""
    grader = Grader(suite, project_scorers=project.config.scorers, judges=project.judges)
    scored = _graded(store, run, name, grader=grader)
    count = 0
    # Killed half-way the run holds grades of two kinds: until the last is in, it matches no suite and no other run.
    halfway = f"{run.run_id}:{grader.graded_by}"
    while batch := list(islice(scored, _BATCH)):
        store.append_scores(run.run_id, batch, suite=name, suite_digest=halfway)
        count += len(batch)
    store.append_scores(run.run_id, (), suite=name, suite_digest=grader.graded_by)
    return count


def _graded(store: Store, run: Run, name: str, *, grader: Grader) -> Iterator[Scored]:
    outcomes = (one for one in store.outcomes(run.run_id, suite=name) if grader.knows(one.case_id))
    if not grader.instruments:
        yield from map(grader.grade, outcomes)
        return
    while batch := list(islice(outcomes, _BATCH)):
        wanted = {outcome.call_key: [call.key for call in grader.ask(outcome)] for outcome in batch}
        held = store.replies(run.run_id, [key for keys in wanted.values() for key in keys])
        for outcome in batch:
            yield grader.grade(outcome, tuple(held[key] for key in wanted[outcome.call_key] if key in held))
