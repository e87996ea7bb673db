"""Score, decide, compare, publish: use cases over what the store holds. None of them touches a network."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.api.accepting import accepted_file
from evalkit.api.project import CLOCK, chosen_run, evalkit_version, leased, opened_store
from evalkit.api.writing import write_file
from evalkit.canonical import canonical_json, timestamp
from evalkit.domain.eligibility import FORMAT
from evalkit.errors import InputError, NothingEarlierError, Place, RefusedError
from evalkit.pipeline.baselines import newest_whole
from evalkit.pipeline.compare import Compared, compare_run, previous_run
from evalkit.pipeline.decide import Decision
from evalkit.pipeline.decide import decide as decide_from_store
from evalkit.pipeline.publish import eligibility_from_decision
from evalkit.pipeline.ranking import ranking_of
from evalkit.pipeline.rescore import score_run
from evalkit.router.document import MAX_AHEAD_S
from evalkit.router.signature import public_key_of, sign_document
from evalkit.settings import read_environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from evalkit.domain.eligibility import Eligibility
    from evalkit.domain.estimate import Comparison
    from evalkit.domain.project import Project
    from evalkit.domain.report import Rank
    from evalkit.domain.run import Run
    from evalkit.ports import RunReader

__all__ = ["Comparing", "Previous", "Published", "admitted_in", "compare", "decide", "publish", "score"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """The last file, where a job keeps it."""

    file: Path
    public_keys: Mapping[str, str] = field(default_factory=dict)
    """Key id to base64 Ed25519 public key, beside the project's own; with any, an unsigned file is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An eligibility file as it was written."""

    path: Path
    document: dict[str, Any]
    decision: Decision
    ranking: tuple[Rank, ...] = ()
    """Who is offered for each task, in order, and why."""
    expired_tasks: tuple[str, ...] = ()
    """Tasks whose every candidate has expired by now: no router takes any. None when a past moment was asked for."""
    ahead: tuple[str, ...] = ()
    """Runs that are dated ahead of this clock: left out, for a file of their date no router would believe."""

    @property
    def empty_tasks(self) -> tuple[str, ...]:
        """Tasks no model may serve."""
        return tuple(name for name, task in self.document["tasks"].items() if not task["candidates"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    """A run held against an earlier one."""

    run: Run
    baseline: Run
    """The one asked for, or the newest whole run before; each comparison names its own."""
    found: Compared

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Against the models' own baselines: the gravest first."""
        return self.found.comparisons


def score(project: Project, run_id: str | None = None) -> dict[str, int]:
    """Grade a run's stored answers with today's scorers; return the number graded per suite.

    Raises:
        InputError: when there is no such run.
    """
    with opened_store(project) as store:
        return score_run(store, chosen_run(project, store, run_id), project)


def decide(project: Project, *, as_of: float | None = None) -> Decision:
    """Return one verdict per task and model, from the store and today's files. Writes nothing.

    Args:
        project: what was loaded.
        as_of: Unix seconds; None is the end of the newest run.
    """
    with opened_store(project) as store:
        return decide_from_store(project, store, as_of=as_of)


def publish(project: Project, path: Path, *, as_of: float | None = None, previous: Previous | None = None) -> Published:
    """Decide and write the eligibility file, signed when the project says so.

    Args:
        project: what was loaded.
        path: the file.
        as_of: as in `decide`.
        previous: the last file, for a store that forgets: it keeps models until the end it gave them.

    Raises:
        RefusedError: when a router would not believe the previous file.
        InputError: when the file there is newer, for another audience or no eligibility file at all, when `as_of` lies
            in the future or before 1970, the file cannot be written, or the signing key cannot be read.
        LeaseHeldError: when another process is publishing for this environment.
    """
    _refuse_impossible(as_of)
    memory = None if previous is None else _remembered(project, previous)
    with opened_store(project) as store:
        lease = leased(project, store, "publish", holder="decide")
        with lease:
            decision = decide_from_store(project, store, as_of=as_of, previous=memory)
            latest = CLOCK.now() + MAX_AHEAD_S
            ahead = tuple(run.run_id for run in decision.runs if run.started_at > latest)
            if as_of is None and decision.as_of > latest:
                decision = decide_from_store(project, store, as_of=CLOCK.now(), previous=memory)
            if not decision.runs and as_of is None and memory is None:
                problem = "the store holds no complete measurement of today's suites and roster"
                if ahead:
                    problem += f" but run {ahead[0]}, which is dated ahead of this clock"
                raise InputError(problem, next_step="evalkit run")
            is_simulated = project.config.gateway.kind == "simulator" or any(run.is_simulated for run in decision.runs)
            eligibility = eligibility_from_decision(
                project, decision, is_simulated=is_simulated, evalkit_version=evalkit_version()
            )
            document = _signed(project, eligibility.document())
            _refuse_to_replace(path, document)
            write_file(path, canonical_json(document) + b"\n")
            ranking = ranking_of(project.policy, decision.verdicts)
            expired = _expired(document) if as_of is None else ()
            return Published(
                path=path, document=document, decision=decision, ranking=ranking, expired_tasks=expired, ahead=ahead
            )


def _expired(document: Mapping[str, Any]) -> tuple[str, ...]:
    now = timestamp(CLOCK.now())
    offered = {name: [one["valid_until"] for one in task["candidates"]] for name, task in document["tasks"].items()}
    return tuple(name for name, ends in offered.items() if ends and max(ends) <= now)


def _signed(project: Project, document: dict[str, Any]) -> dict[str, Any]:
    signing = project.config.signing
    if signing is None:
        return document
    private = read_environment().get(signing.private_key_env)
    if not private:
        raise InputError(
            f"the environment variable {signing.private_key_env} is not set",
            place=Place(file="evalkit.yaml", pointer="/signing/private_key_env"),
            next_step="export it, or make a key with `evalkit keygen`",
        )
    return sign_document(document, private=private, key_id=signing.key_id)


def _remembered(project: Project, previous: Previous) -> Eligibility:
    """Return the last file as a router of this environment would believe it; simulated only on the simulator."""
    keys = dict(previous.public_keys)
    signing = project.config.signing
    if signing is not None and signing.key_id not in keys:
        private = read_environment().get(signing.private_key_env)
        if private:
            keys[signing.key_id] = public_key_of(private)
    accepted = accepted_file(
        previous.file, now=CLOCK.now, audience=project.config.environment, public_keys=keys or None
    )
    if accepted.eligibility.simulated and project.config.gateway.kind != "simulator":
        raise RefusedError("simulated", "what the simulator admitted is no memory of a real gateway")
    return accepted.eligibility


def _refuse_impossible(as_of: float | None) -> None:
    """No router believes a file from the future, and no later decision could replace it."""
    if as_of is not None and not 0 <= as_of <= CLOCK.now() + MAX_AHEAD_S:
        raise InputError(
            "as-of lies in the future" if as_of > 0 else "as-of lies before 1970",
            next_step="give a moment the store knows of; routers refuse files that are ahead of their clock",
        )


def _refuse_to_replace(path: Path, document: dict[str, Any]) -> None:
    """An older decision never replaces a newer one; nor does any replace a file that is something else.

    One that is dated ahead of this clock may go: no router believes it yet, and one day they all would.
    """
    present = _present(path)
    if present is None:
        return
    newest, audience = present.get("generated_at"), present.get("audience")
    if present.get("format") != FORMAT:
        problem = "the file there is no eligibility file"
    elif audience != document["audience"]:
        problem = f"the file there is for {audience!r}, this one for {document['audience']!r}"
    elif isinstance(newest, str) and document["generated_at"] < newest <= timestamp(CLOCK.now() + MAX_AHEAD_S):
        problem = f"the file there was generated at {newest!r}, this one at {document['generated_at']!r}"
    else:
        return
    raise InputError(problem, place=Place(file=str(path)), next_step="write to another file, or remove that one")


def _present(path: Path) -> dict[str, Any] | None:
    """Return the JSON object at `path`; None when there is nothing to lose, {} when it is no JSON object."""
    try:
        # A pipe would be waited for: nothing is lost in what is no file.
        data = path.read_bytes() if path.is_file() else b""
    except OSError:  # whether it may be written shows when it is written
        return None
    if not data:
        return None
    try:
        present = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return present if isinstance(present, dict) else {}


def admitted_in(path: Path) -> set[tuple[str, str]] | None:
    """Return the (task, model id) pairs an eligibility file admits; None when there is no readable file."""
    try:
        document = json.loads(path.read_bytes())
        return {
            (name, candidate["model"]) for name, task in document["tasks"].items() for candidate in task["candidates"]
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def compare(project: Project, run_id: str | None = None, baseline_id: str | None = None) -> Comparing:
    """Compare a run, paired per case, with the models' own earlier nights and with the incumbents of their tasks.

    Args:
        project: what was loaded.
        run_id: None is the newest whole run: a later one of some pairs only may extend it.
        baseline_id: None pools the earlier nights of each pair; a run is the baseline of all pairs, alone.

    Raises:
        InputError: when either run does not exist.
        NothingEarlierError: when nothing was measured before.
    """
    with opened_store(project) as store:
        run = _newest(project, store) if run_id is None else chosen_run(project, store, run_id)
        given = None if baseline_id is None else chosen_run(project, store, baseline_id)
        baseline = given if given is not None else _baseline(store, run)
        return Comparing(run=run, baseline=baseline, found=compare_run(project, store, run, baseline=given))


def _newest(project: Project, reader: RunReader) -> Run:
    every = reader.runs(project=project.name, environment=project.config.environment)
    return newest_whole(every) or chosen_run(project, reader, None)


def _baseline(reader: RunReader, run: Run) -> Run:
    earlier = previous_run(reader, run)
    if earlier is None:
        raise NothingEarlierError(f"no finished run before {run.run_id} to compare with", next_step="evalkit run --new")
    return earlier
