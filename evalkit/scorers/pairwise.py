"""`pairwise`: a judge says which is better, the model's answer or the reference; asked twice, places swapped.

1 when the answer wins both times, 0 when it loses both times, one half otherwise. A judge that changes its mind with
the order has no preference it can be trusted with: that is a tie, with the finding `order_disagreement`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.scorers.answer import text_form
from evalkit.scorers.judging import JudgedScorer, JudgeParams, Opinion, Prompt, panel_from
from evalkit.scorers.params import cases_scored_by, parse_params, refuse_case
from evalkit.scorers.rubric import task_text
from evalkit.wire.judging import FENCE_RULE, choice_schema, fenced, parse_choice

if TYPE_CHECKING:
    from evalkit.domain.suite import Case
    from evalkit.plugins import ScorerContext

__all__ = ["PairwiseParams", "build"]

_SYSTEM = (
    "You compare two answers to the same task and say which one does the task better, or that neither does. Which of "
    "them comes first, how long they are and how they are dressed does not matter.\n\n" + FENCE_RULE
)
_ORDER = 'Answer with one JSON object and nothing else: {"explanation": "one sentence", "better": "A", "B" or "tie"}.'
_OURS = ("A", "B")
"""Where the model's answer stands in each of the two questions."""


class PairwiseParams(JudgeParams):
    """Parameters of `pairwise`."""


def build(context: ScorerContext) -> JudgedScorer:
    """Return the scorer `pairwise`.

    Raises:
        InputError: for an unknown parameter, a judge that may not judge, or a case without a reference.
    """
    params = parse_params(PairwiseParams, context, scorer="pairwise")
    for case in cases_scored_by("pairwise", context):
        if case.expected is None:
            step = "give the reference answer in `expected`"
            raise refuse_case(case, context, problem="'pairwise' needs a reference", next_step=step)
    panel = panel_from(params, context, scorer="pairwise")

    def prompts(case: Case, text: str) -> tuple[Prompt, ...]:
        task, reference = task_text(context.suite, case), text_form(case.expected)
        return tuple(_prompt(task, text, reference, ours=ours) for ours in _OURS)

    return JudgedScorer("pairwise", panel, prompts=prompts, read=_read, words=[_SYSTEM, _ORDER])


def _prompt(task: str, answer: str, reference: str, *, ours: str) -> Prompt:
    first, second = (answer, reference) if ours == "A" else (reference, answer)
    parts = fenced({"TASK": task, "ANSWER_A": first, "ANSWER_B": second})
    return Prompt(system=_SYSTEM, user="\n\n".join((*parts.values(), _ORDER)), schema=choice_schema())


def _read(_case: Case, texts: tuple[str | None, ...]) -> Opinion | None:
    said = [parse_choice(text) for text in texts]
    found = [one for one in said if one is not None]
    if len(found) < len(_OURS):
        return None
    values = [0.5 if better == "tie" else float(better == ours) for (better, _), ours in zip(found, _OURS, strict=True)]
    why = " / ".join(explanation for _, explanation in found)
    if values[0] != values[1]:
        return Opinion(value=0.5, why=why, findings=("order_disagreement",))
    return Opinion(value=values[0], why=why)
