"""`similarity`: how near the answer's meaning is to the expected one, by the cosine of two embeddings.

The embedder is pinned: which model, under which name it must report itself, of which dimension. Another embedder puts
the same texts at other distances, so an answer of one is no number at all (`embedder_changed`). It is a measurement and
no opinion, and needs no labels to gate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, final

from pydantic import Field

from evalkit.canonical import digest_of
from evalkit.domain.call import Message, Parameters, Script, ScriptTurn
from evalkit.domain.judging import Instrument
from evalkit.domain.outcome import Kind
from evalkit.domain.score import Score, Unscored
from evalkit.domain.shape import Identifier, Shape
from evalkit.errors import InputError, Place
from evalkit.scorers.answer import text_form
from evalkit.scorers.judging import asked_call, seen_text
from evalkit.scorers.params import cases_scored_by, parse_params, refuse_case
from evalkit.wire.embeddings import vectors_in

if TYPE_CHECKING:
    from evalkit.domain.call import Call
    from evalkit.domain.outcome import Outcome
    from evalkit.domain.suite import Case
    from evalkit.plugins import ScorerContext
    from evalkit.scorers.answer import Scores

__all__ = ["SimilarityParams", "build"]

_METRIC = "similarity"
_CHARACTERS_PER_TOKEN = 4


class SimilarityParams(Shape):
    """Parameters of `similarity`."""

    embedder: Identifier
    """Id of one of the roster's judges."""
    served_as: Annotated[str, Field(min_length=1)]
    """The name its answers must carry."""
    dimensions: Annotated[int, Field(gt=0)]
    """The length its vectors must have."""
    zero_at: Annotated[float, Field(ge=-1, lt=1)] = 0.0
    """The cosine that is worth 0; a straight line leads from there to 1."""


def build(context: ScorerContext) -> _Similarity:
    """Return the scorer `similarity`.

    Raises:
        InputError: for an unknown parameter or embedder, a case without `expected`, or a suite that keeps no text.
    """
    params = parse_params(SimilarityParams, context, scorer=_METRIC)
    place = Place(file=context.suite.name, pointer=f"/scorers/{_METRIC}")
    if context.suite.payloads != "full":
        problem = f"'similarity' asks after the run, and payloads: {context.suite.payloads} keeps no answer to embed"
        raise InputError(problem, place=place, next_step="use payloads: full, or a scorer that asks nobody")
    known = None if context.judges is None else context.judges.roster.judge_by_id
    if known is not None and params.embedder not in known:
        step = f"add it under judges: in the roster; there: {', '.join(known) or 'none'}"
        raise InputError(f"{params.embedder!r} is no judge of the roster", place=place, next_step=step)
    for case in cases_scored_by(_METRIC, context):
        if case.expected is None:
            raise refuse_case(case, context, problem="'similarity' needs a text in `expected`", next_step="give one")
    return _Similarity(params, context)


@final
class _Similarity:
    """One call an answer: both texts in one request, so that one embedder made both vectors."""

    metrics = (_METRIC,)

    def __init__(self, params: SimilarityParams, context: ScorerContext) -> None:
        self._params = params
        self._judges = context.judges
        known = {} if context.judges is None else context.judges.roster.judge_by_id
        self._embedder = known.get(params.embedder)
        route = "" if self._embedder is None or self._judges is None else self._route
        self.instrument = Instrument(
            model_ids=(params.embedder,), digest=digest_of([params.model_dump(), route]), is_opinion=False
        )

    @property
    def _route(self) -> str:
        if self._embedder is None or self._judges is None:
            return ""
        return self._embedder.route_for(self._judges.gateway_kind)

    def ask(self, case: Case, outcome: Outcome) -> tuple[Call, ...]:
        """Return the one call for both vectors; none for an answer without anything to see."""
        text = seen_text(outcome)
        if text is None or self._embedder is None:
            return ()
        texts = (text, text_form(case.expected))
        tokens = 1 + sum(map(len, texts)) // _CHARACTERS_PER_TOKEN
        messages = tuple(Message(role="user", content=one) for one in texts)
        script = Script(turns=(ScriptTurn(messages=messages),), n_prompt_tokens=tokens)
        # Nothing is written: what an embedding costs is what it reads.
        parameters = Parameters(mode="text", max_output_tokens=0)
        call = asked_call(self._embedder, script, parameters, about=outcome, route=self._route, endpoint="embeddings")
        return (call,)

    def score(self, case: Case, outcome: Outcome, replies: tuple[Outcome, ...]) -> Scores:
        """Return the cosine on the scale of `zero_at` to 1, or why there is none."""
        if seen_text(outcome) is None:
            return (Score(_METRIC, 0.0, "nothing to see in the answer", ("empty_answer",)),)
        wanted = {call.key for call in self.ask(case, outcome)}
        reply = next((one for one in replies if one.call_key in wanted), None)
        if reply is None:
            return (Unscored(_METRIC, "unjudged:not_asked"),)
        if reply.kind is not Kind.OK:
            return (Unscored(_METRIC, f"unjudged:{reply.kind}"),)
        problem = self._change(reply)
        if problem:
            return (Unscored(_METRIC, "embedder_changed", problem),)
        return (self._graded(vectors_in(reply.text)),)

    def _change(self, reply: Outcome) -> str:
        served = reply.identity.served_model
        if served != self._params.served_as:
            return f"the answer came from {served!r}, pinned is {self._params.served_as!r}"
        lengths = sorted({len(vector) for vector in vectors_in(reply.text) or ()})
        if lengths and lengths != [self._params.dimensions]:
            return f"vectors of {lengths} numbers, pinned are {self._params.dimensions}"
        return ""

    def _graded(self, vectors: list[list[float]] | None) -> Score | Unscored:
        if vectors is None or len(vectors) != 2:  # noqa: PLR2004  the answer and what was expected
            return Unscored(_METRIC, "unjudged:unparsed")
        left, right = vectors
        size = math.hypot(*left) * math.hypot(*right)
        if not math.isfinite(size) or size == 0:
            return Unscored(_METRIC, "unjudged:unparsed", "a vector without a direction")
        cosine = math.fsum(a * b for a, b in zip(left, right, strict=True)) / size
        share = (cosine - self._params.zero_at) / (1 - self._params.zero_at)
        return Score(_METRIC, min(max(share, 0.0), 1.0), f"cosine {cosine:.4f}")
