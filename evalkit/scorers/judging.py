"""What every scorer that asks judges shares: who may judge whom, the calls, and many opinions becoming one number.

A judge's failure is never a 0: without an opinion there is no number (`unjudged:…`). An answer in which nothing can be
seen is worth 0 and reaches no judge, for judges have given such answers full marks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, final

from pydantic import Field

from evalkit.canonical import digest_of
from evalkit.domain.call import Call, Message, Parameters, Script, ScriptTurn, call_key
from evalkit.domain.judging import Instrument
from evalkit.domain.outcome import Kind
from evalkit.domain.score import Score, Unscored
from evalkit.domain.shape import Identifier, Shape
from evalkit.errors import InputError, Place
from evalkit.wire.text import answer_text, is_blank

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.domain.judging import Judges
    from evalkit.domain.outcome import Outcome
    from evalkit.domain.roster import Model
    from evalkit.domain.suite import Case, Mode
    from evalkit.plugins import ScorerContext
    from evalkit.scorers.answer import Scores

__all__ = ["JudgeParams", "JudgedScorer", "Opinion", "Panel", "Prompt", "panel_from", "seen_text"]

_CHARACTERS_PER_TOKEN = 4
_MOST_WHY = 300
_ROUNDING = 1e-9


class JudgeParams(Shape):
    """Parameters every judge scorer has."""

    judge: Identifier | None = None
    """Id of one of the roster's judges; or instead:"""
    judges: tuple[Identifier, ...] = ()
    """Several, each asked by itself. Those of the family of the judged model are left out."""
    combine: Literal["mean", "majority"] = "mean"
    """`majority` counts those that reach `pass_at`; half of them is no majority."""
    pass_at: Annotated[float, Field(gt=0, le=1)] | None = None
    """Makes the score 1 from this value on and 0 below, as a gate needs it; without, the metric is a share."""
    max_output_tokens: Annotated[int, Field(gt=0)] = 1024
    """Of each verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question to a judge."""

    system: str
    user: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What one judge thinks of an answer."""

    value: float
    why: str = ""
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The judges of a scorer, and how their opinions become one."""

    model_ids: tuple[str, ...]
    combine: str
    pass_at: float | None
    max_output_tokens: int
    judges: Judges | None = field(repr=False)

    def seats(self, candidate_id: str) -> tuple[Model, ...]:
        """Return the judges that may judge a candidate: all that are not of its family."""
        if self.judges is None:
            return ()
        known = self.judges.roster.judge_by_id
        named = [known[name] for name in self.model_ids if name in known]
        return tuple(judge for judge in named if not self.judges.related_to(judge, candidate_id))

    def digest_parts(self) -> dict[str, Any]:
        """Return what of the panel makes two opinions comparable."""
        known = {} if self.judges is None else self.judges.roster.judge_by_id
        kind = "" if self.judges is None else self.judges.gateway_kind
        seats = [
            [name, known[name].route_for(kind), known[name].adapt.model_dump(), mode_of(known[name])]
            for name in self.model_ids
            if name in known
        ]
        return {"seats": seats, "combine": self.combine, "at": self.pass_at, "most": self.max_output_tokens}


def panel_from(params: JudgeParams, context: ScorerContext, *, scorer: str) -> Panel:
    """Return the panel that parameters name.

    Raises:
        InputError: when it names no judge or an unknown one, when a candidate is left without a judge, or when the
            answers will not be there to be shown to one.
    """
    place = Place(file=context.suite.name, pointer=f"/scorers/{scorer}")
    names = params.judges if params.judge is None else (params.judge,)
    if (params.judge is None) == (not params.judges):
        raise InputError(
            f"{scorer!r} needs a judge", place=place, next_step="give one of judge: ID and judges: [ID, …]"
        )
    if len(set(names)) < len(names):
        raise InputError(f"{scorer!r} names a judge twice", place=place, next_step="name each once")
    if params.combine == "majority" and params.pass_at is None:
        raise InputError("a majority votes on yes or no", place=place, next_step="add pass_at: 1")
    if context.suite.payloads != "full":
        problem = (
            f"{scorer!r} asks a judge after the run, and payloads: {context.suite.payloads} keeps no answer to show"
        )
        raise InputError(problem, place=place, next_step="use payloads: full, or a scorer that asks nobody")
    if context.judges is not None:
        _check_seats(names, context.judges, place=place)
    return Panel(
        model_ids=names,
        combine=params.combine,
        pass_at=params.pass_at,
        max_output_tokens=params.max_output_tokens,
        judges=context.judges,
    )


def _check_seats(names: tuple[str, ...], judges: Judges, *, place: Place) -> None:
    """Refuse a panel that leaves a candidate without a judge of another family, or whose families nobody knows."""
    known = judges.roster.judge_by_id
    for name in names:
        if name not in known:
            listed = ", ".join(known) or "none"
            step = f"add it under judges: in the roster; there: {listed}"
            raise InputError(f"{name!r} is no judge of the roster", place=place, next_step=step)
    for model in (*(known[name] for name in names), *judges.roster.models):
        if model.provider is None and model.family is None:
            problem = f"{model.id!r} has neither provider nor family: nobody knows whose judge it may be judged by"
            raise InputError(problem, place=place, next_step="say provider or family in the roster")
    for candidate in judges.roster.models:
        if all(judges.related_to(known[name], candidate.id) for name in names):
            kin = candidate.family or candidate.provider
            problem = f"no judge may judge {candidate.id!r}: {', '.join(names)} is of its own family ({kin})"
            raise InputError(problem, place=place, next_step="add a judge of another family: judges: [ID, …]")


def mode_of(judge: Model) -> Mode:
    """Return the strictest way a judge can be asked for JSON."""
    declared = judge.capabilities.modes
    ladder: tuple[Mode, ...] = ("json_schema", "json_object", "prompted")
    return next(mode for mode in ladder if mode in declared)


def seen_text(outcome: Outcome) -> str | None:
    """Return the answer without reasoning; None when nothing of it can be seen."""
    text = answer_text(outcome.text or "")
    return None if is_blank(text) else text


@final
class JudgedScorer:
    """A scorer whose number is the opinion of judges.

    Args:
        metric: its one metric.
        panel: who is asked.
        prompts: the questions about an answer, each asked of every judge.
        read: one judge's replies to them, in their order, as an opinion; None when they hold no verdict.
        words: what else makes two opinions comparable: the rubric, the text of the prompt.
    """

    __slots__ = ("_panel", "_prompts", "_read", "instrument", "metrics")

    def __init__(
        self,
        metric: str,
        panel: Panel,
        *,
        prompts: Callable[[Case, str], tuple[Prompt, ...]],
        read: Callable[[Case, tuple[str | None, ...]], Opinion | None],
        words: Any,
    ) -> None:
        self.metrics = (metric,)
        self._panel = panel
        self._prompts = prompts
        self._read = read
        self.instrument = Instrument(
            model_ids=panel.model_ids,
            digest=digest_of({"scorer": metric, "words": words, "panel": panel.digest_parts()}),
            is_yes_or_no=panel.pass_at is not None,
        )

    def ask(self, case: Case, outcome: Outcome) -> tuple[Call, ...]:
        """Return every question to every judge that may be asked; none about an answer without anything to see."""
        text = seen_text(outcome)
        seats = () if text is None else self._panel.seats(outcome.model_id)
        if text is None or not seats:
            return ()
        prompts = self._prompts(case, text)
        return tuple(
            self._call(judge, prompt, outcome=outcome, slot=slot)
            for judge in seats
            for slot, prompt in enumerate(prompts)
        )

    def score(self, case: Case, outcome: Outcome, replies: tuple[Outcome, ...]) -> Scores:
        """Return the judges' opinion, or why there is none."""
        (metric,) = self.metrics
        text = seen_text(outcome)
        if text is None:
            return (Score(metric, 0.0, "nothing to see in the answer", ("empty_answer",)),)
        seats = self._panel.seats(outcome.model_id)
        held = {reply.call_key: reply for reply in replies}
        calls = self.ask(case, outcome)
        opinions: list[Opinion | str] = []
        votes: list[str] = []
        for judge in seats:
            mine = [held.get(call.key) for call in calls if call.model_id == judge.id]
            opinions.append(self._opinion(case, mine))
            votes += self._vote(judge, opinions[-1])
        seated = {judge.id for judge in seats}
        excluded = tuple(f"judge_excluded:{name}" for name in self._panel.model_ids if name not in seated)
        findings = (*excluded, *votes) if seats else ()
        return (_combined(metric, opinions, panel=self._panel, findings=findings),)

    def _vote(self, judge: Model, opinion: Opinion | str) -> list[str]:
        """Return what one judge of several said, as a finding."""
        if len(self._panel.model_ids) == 1 or isinstance(opinion, str):
            return []
        at = self._panel.pass_at
        said = f"{opinion.value:.2f}" if at is None else f"{opinion.value >= at - _ROUNDING:d}"
        return [f"vote:{judge.id}:{said}"]

    def _opinion(self, case: Case, replies: list[Outcome | None]) -> Opinion | str:
        """Return one judge's opinion, or the reason there is none."""
        for reply in replies:
            if reply is None:
                return "not_asked"
            if reply.kind is not Kind.OK:
                return str(reply.kind)
        texts = tuple(None if reply is None else reply.text for reply in replies)
        return self._read(case, texts) or "unparsed"

    def _call(self, judge: Model, prompt: Prompt, *, outcome: Outcome, slot: int) -> Call:
        kind = "" if self._panel.judges is None else self._panel.judges.gateway_kind
        messages = (Message(role="user", content=prompt.user),)
        tokens = 1 + (len(prompt.system) + len(prompt.user)) // _CHARACTERS_PER_TOKEN
        script = Script(turns=(ScriptTurn(messages=messages),), system=prompt.system, n_prompt_tokens=tokens)
        most = self._panel.max_output_tokens
        parameters = Parameters(
            mode=mode_of(judge),
            max_output_tokens=min(most, judge.max_output_tokens or most),
            temperature=0.0 if judge.capabilities.temperature else None,
            schema=prompt.schema,
            schema_name="verdict",
        )
        return asked_call(judge, script, parameters, about=outcome, route=judge.route_for(kind), slot=slot)


def asked_call(
    judge: Model, script: Script, parameters: Parameters, *, about: Outcome, route: str, slot: int = 0, **more: Any
) -> Call:
    """Return a call about an answer; its key follows from everything that is sent and from the answer's own key."""
    sent = [
        parameters.mode, parameters.max_output_tokens, parameters.temperature, parameters.schema,
        judge.adapt.model_dump(),
    ]  # fmt: skip
    key = call_key(
        script_digest=script.digest,
        parameters_digest=digest_of(sent),
        route=route,
        coordinates=(about.suite, about.call_key, judge.id, slot),
    )
    return Call(
        key=key,
        sequence=about.sequence,
        suite=about.suite,
        case_id=about.case_id,
        cluster_id=about.cluster_id,
        model_id=judge.id,
        route=route,
        trial=slot,
        script=script,
        parameters=parameters,
        adapt=judge.adapt,
        asked_about=about.call_key,
        **more,
    )


def _combined(
    metric: str, opinions: list[Opinion | str], *, panel: Panel, findings: tuple[str, ...]
) -> Score | Unscored:
    """Return one number of all opinions; none when a missing one could have changed it."""
    held = [opinion for opinion in opinions if isinstance(opinion, Opinion)]
    failed = [opinion for opinion in opinions if isinstance(opinion, str)]
    why = " | ".join(opinion.why for opinion in held if opinion.why)[:_MOST_WHY]
    if not opinions:
        return Unscored(metric, "unjudged:no_judge", "no judge of the roster may judge this model")
    findings = (*findings, *dict.fromkeys(name for opinion in held for name in opinion.findings))
    if panel.combine == "majority" and panel.pass_at is not None:
        n_yes = sum(opinion.value >= panel.pass_at - _ROUNDING for opinion in held)
        half = len(opinions) / 2
        if n_yes <= half < n_yes + len(failed):
            return Unscored(metric, f"unjudged:{failed[0]}", why)
        split = ("judges_split",) if 0 < n_yes < len(held) else ()
        return Score(metric, float(n_yes > half), why, (*findings, *split))
    if failed:
        return Unscored(metric, f"unjudged:{failed[0]}", why)
    value = sum(opinion.value for opinion in held) / len(held)
    if panel.pass_at is not None:
        value = float(value >= panel.pass_at - _ROUNDING)
    return Score(metric, min(value, 1.0), why, findings)
