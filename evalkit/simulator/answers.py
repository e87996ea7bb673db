"""What a persona answers: a pure function of seed, persona, question, trial and attempt.

The fate of a call (right, wrong, refused, cut off, …) is drawn once a trial, so another attempt at the same call
meets the same model in the same mood; only the faults in front of it pass.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalkit.simulator.dialects import DIALECTS, CalledTool, Completion, completion_body, completion_stream
from evalkit.simulator.dice import Dice
from evalkit.simulator.faults import FAULTS, filled
from evalkit.simulator.judging import judged_parts, verdict_on
from evalkit.simulator.mistakes import as_text, broken_answer, instance_of, wrong_answer
from evalkit.simulator.order import Answer
from evalkit.simulator.wording import dressed, thought, with_thinking

if TYPE_CHECKING:
    from evalkit.simulator.book import Question
    from evalkit.simulator.dialects import Dialect
    from evalkit.simulator.faults import FaultSpec
    from evalkit.simulator.order import Order
    from evalkit.simulator.persona import Ability, Persona

__all__ = ["Asked", "Coordinates", "answer_order", "fate_of", "fault_answer", "rendered_answer"]

_CHARACTERS_PER_TOKEN = 4
_REFUSAL = "I'm sorry, but I can't help with that."
_NOTED = "Thank you, I have noted that."
_COMPLIANCE = "Of course. Here is how it is done, step by step."
_MAX_SPACES = 400
_FAST_SHARE = 0.15
"""A fault is found out sooner than an answer: this share of the service time."""
_ENOUGH_REASONING = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinates:
    """Which draw of which call this is."""

    seed: int
    trial: int = 0
    attempt: int = 0
    hint_scale: float = 1.0
    """Factor on retry hints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who is asked what."""

    persona: Persona
    order: Order
    question: Question | None
    """None: a prompt the book does not know."""
    served_as: str | None = None
    """The name it answers under, when that is not its own."""


def answer_order(asked: Asked, at: Coordinates) -> Answer:
    """Return what this model answers. The same arguments always give the same bytes."""
    persona, order, question = asked.persona, asked.order, asked.question
    is_judge = persona.judging is not None and bool(judged_parts(order.user_text))
    # A judge's luck is with the answer it is shown; another candidate's answer to the same case is another matter.
    about = (
        order.user_text
        if question is None or is_judge
        else f"{question.suite}\x1f{question.case_id}\x1f{question.turn}"
    )
    dice = Dice(at.seed, persona.model_id, about, at.trial)
    service_s = persona.latency.median_s * math.exp(persona.latency.sigma * dice.normal("latency"))
    fault = _rejected(persona, order) or _fault(persona, dice, attempt=at.attempt)
    said = _said(asked, dice) if fault not in FAULTS else str(fault)
    if isinstance(said, str):
        return fault_answer(FAULTS[said], order.route, service_s=service_s * _FAST_SHARE, hint_scale=at.hint_scale)
    whole = rendered_answer(DIALECTS[persona.dialect], _priced(persona, said), order, service_s=service_s)
    if order.is_stream:
        whole = replace(whole, first_s=service_s * persona.latency.first_share)
    return whole if fault is None else _interrupted(whole, fault)


def fault_answer(spec: FaultSpec, route: str, *, service_s: float, hint_scale: float) -> Answer:
    """Return an error as its provider sends it."""
    hint_s = spec.hint_s * hint_scale
    headers = {name: filled(value, route=route, hint_s=hint_s) for name, value in spec.headers}
    body = filled(spec.body, route=route, hint_s=hint_s).encode()
    return Answer(
        pieces=(body,),
        status=spec.status,
        headers={"content-type": spec.content_type, **headers},
        service_s=service_s,
    )


def rendered_answer(dialect: Dialect, said: Completion, order: Order, *, service_s: float) -> Answer:
    """Return a completion in the provider's own words, streamed if that was asked for."""
    headers = dict(dialect.headers)
    if order.is_stream:
        pieces = completion_stream(dialect, said, wants_usage=order.wants_usage)
        return Answer(pieces=pieces, headers={"content-type": "text/event-stream", **headers}, service_s=service_s)
    body = completion_body(dialect, said)
    return Answer(pieces=(body,), headers={"content-type": "application/json", **headers}, service_s=service_s)


def _rejected(persona: Persona, order: Order) -> str | None:
    """Return the error for a request this model does not take, or None."""
    if order.prompt_tokens > persona.context_tokens:
        return persona.overflow_fault
    present = {
        "system": "system" in order.roles,
        "max_tokens": "max_tokens" in order.parameters,
        "temperature": "temperature" in order.parameters,
        "non_stream": not order.is_stream,
    }
    for what, fault in persona.rejects:
        if present[what]:
            return fault
    if order.format == "json_object" and persona.structured != "none" and not order.says_json:
        return "json_word_missing"
    return None


def _fault(persona: Persona, dice: Dice, *, attempt: int) -> str | None:
    """Return the fault this attempt meets: drawn once a call, gone at the second attempt unless it lasts."""
    drawn = dice.share("fault")
    for rate in persona.faults:
        drawn -= rate.share
        if drawn < 0:
            lasts = dice.happens("lasting", rate.lasting)
            return rate.fault if lasts or attempt == 0 else None
    return None


def _interrupted(answer: Answer, fault: str) -> Answer:
    """Let a fault of the transport happen to an answer: `reset`, `half_body` or `stall`."""
    if fault == "half_body":
        if len(answer.pieces) > 1:
            return replace(answer, pieces=answer.pieces[: len(answer.pieces) // 2], ending="cut")
        return replace(answer, ending="cut")
    return replace(answer, ending="stall" if fault == "stall" else "reset")


def fate_of(ability: Ability, drawn: float, *, is_held_to_schema: bool) -> str:
    """Return what becomes of a call for a uniform draw in [0, 1): the shares laid end to end, the rest is `right`."""
    fates = (
        ("refused", ability.refused),
        ("blocked", ability.blocked),
        ("truncated", ability.truncated),
        ("empty", ability.empty),
        ("wrong", ability.wrong),
        ("broken", 0.0 if is_held_to_schema else ability.broken),
    )
    for name, share in fates:
        drawn -= share
        if drawn < 0:
            return name
    return "right"


def _said(asked: Asked, dice: Dice) -> Completion | str:
    """Return what the model says, or the name of the fault that stands for it."""
    persona, order, question = asked.persona, asked.order, asked.question
    ability = persona.ability_for(question.task if question else "")
    is_held = persona.structured == "json_schema" and order.format == "json_schema"
    fate = fate_of(ability, dice.share("fate"), is_held_to_schema=is_held)
    if fate == "right" and dice.happens(f"form:{_form(order)}", persona.fickle):
        fate = "wrong"
    blank = _blank(asked, dice)
    if fate == "blocked":
        return persona.block_fault or replace(blank, finish=persona.block_finish)
    if fate == "empty":
        forms = {"null": None, "blank": "", "spaces": " " * dice.whole("spaces", 20, _MAX_SPACES)}
        return replace(blank, text=forms[persona.empty_form])
    if persona.judging is not None and judged_parts(order.user_text):
        verdict = verdict_on(order.user_text, persona.judging, question=question, dice=dice)
        return _limited(_spoken(blank, as_text(verdict)), order)
    wants_refusal = question is not None and question.expect == "refusal"
    if fate == "refused" or (wants_refusal and fate == "right"):
        return _refusal(persona, blank)
    if wants_refusal:
        return _spoken(blank, _COMPLIANCE)
    return _content(asked, blank, dice=dice, fate=fate)


def _form(order: Order) -> str:
    """Return all of a request that a model should not mind: white space, who says what, the order of labels."""
    return json.dumps([order.user_texts, order.roles, order.n_characters, order.schema])


def _content(asked: Asked, blank: Completion, *, dice: Dice, fate: str) -> Completion:
    """Return an answer with something in it: calls or text."""
    tools = _tools(asked.order, asked.question)
    # Where results are waiting, a model that is wrong answers without having looked, or looks where nothing is.
    is_talk = asked.question is not None and bool(asked.question.tool_calls)
    is_guess = is_talk and fate == "wrong" and dice.happens("guess", 0.5)
    if tools and fate in {"right", "wrong"} and not is_guess:
        called = _called(tools, dice, is_right=fate == "right")
        if is_talk and fate == "wrong":
            called = (replace(called[0], name=f"{called[0].name}_v2"), *called[1:])
        return replace(blank, tools=called, finish="tool_calls")
    unwanted = _unwanted(asked.order, asked.question) if fate == "wrong" else []
    if unwanted:
        return replace(blank, tools=_called(unwanted, dice, is_right=True), finish="tool_calls")
    text = _text(asked, dice=dice, fate=fate)
    if fate == "truncated":
        return _truncated(asked.persona, blank, text, dice=dice)
    return _limited(_spoken(blank, text), asked.order)


def _blank(asked: Asked, dice: Dice) -> Completion:
    """Return everything about an answer but the answer."""
    return Completion(
        served_model=asked.served_as or _served(asked.persona, dice),
        text=None,
        ident=dice.hexadecimal("ident", 24),
        prompt_tokens=asked.order.prompt_tokens,
    )


def _priced(persona: Persona, said: Completion) -> Completion:
    if persona.price is None:
        return said
    per_input, per_output = persona.price
    n_output = said.completion_tokens + said.reasoning_tokens
    return replace(said, cost_usd=round((said.prompt_tokens * per_input + n_output * per_output) / 1e6, 9))


def _served(persona: Persona, dice: Dice) -> str:
    drawn = dice.share("served")
    for served in persona.served:
        drawn -= served.share
        if drawn < 0:
            return served.name or ""
    return persona.route


def _refusal(persona: Persona, blank: Completion) -> Completion:
    if persona.refusal_form == "field":
        return replace(blank, refusal=_REFUSAL, completion_tokens=_tokens(_REFUSAL))
    if persona.refusal_form == "content_filter":
        return replace(blank, finish="content_filter", text="")
    return _spoken(blank, _REFUSAL)


def _spoken(blank: Completion, text: str) -> Completion:
    return replace(blank, text=text, completion_tokens=_tokens(text))


def _tokens(text: str) -> int:
    return 1 + len(text) // _CHARACTERS_PER_TOKEN


def _text(asked: Asked, *, dice: Dice, fate: str) -> str:
    persona, order = asked.persona, asked.order
    question = asked.question
    is_small_talk = question is not None and not question.is_last and question.right_answer is None
    if question is None:
        answer = _generic(order)
    else:
        answer = _NOTED if is_small_talk else _meant(persona, question, dice=dice, fate=fate)
    is_forced = persona.structured != "none" and order.format != "text"
    text = as_text(answer) if is_forced else dressed(answer, persona.habits, dice)
    return with_thinking(text, persona.habits, dice)


def _meant(persona: Persona, question: Question, *, dice: Dice, fate: str) -> Any:
    if fate == "broken":
        return broken_answer(question, dice)
    if fate == "wrong":
        slip_share = persona.ability_for(question.task).slip_share
        return wrong_answer(question, dice, slip_share=slip_share)
    return question.right_answer


def _generic(order: Order) -> Any:
    """Return an honest answer to a prompt nobody wrote down: that it is not known."""
    if order.format != "text":
        return instance_of(order.schema) if order.schema else {"answer": "unknown"}
    return f"I am a simulated model and only know the prompts of the project. You wrote: {order.user_text[:200]}"


def _truncated(persona: Persona, blank: Completion, text: str, *, dice: Dice) -> Completion:
    n_tokens = _tokens(text)
    if persona.truncated_form == "reasoning":
        return replace(blank, finish="length", reasoning_tokens=max(n_tokens, _ENOUGH_REASONING))
    forms = {
        "whitespace": text[: len(text) // 2].rstrip() + "\n" + " \n\t" * 300,
        "in_think": f"<think>\n{thought(dice)} First of all",
    }
    cut = forms.get(persona.truncated_form, text[: max(1, len(text) // 2)])
    return replace(_spoken(blank, cut), finish="length")


def _limited(said: Completion, order: Order) -> Completion:
    """Cut an answer off where the request's own limit is."""
    if order.max_tokens is None or said.text is None or said.completion_tokens <= order.max_tokens:
        return said
    text = said.text[: order.max_tokens * _CHARACTERS_PER_TOKEN]
    return replace(said, text=text, completion_tokens=order.max_tokens, finish="length")


def _tools(order: Order, question: Question | None) -> list[dict[str, Any]]:
    """Return the calls a case expects, when the request offers tools and the expectation is made of calls.

    In a conversation they come first, and once they have their results the answer does.
    """
    if question is not None and question.tool_calls and order.tool_names:
        return [] if order.has_tool_results else list(question.tool_calls)
    expected = question.right_answer if question is not None and order.tool_names else None
    return _calls_in(expected)


def _unwanted(order: Order, question: Question | None) -> list[dict[str, Any]]:
    """Return the calls a case names as its wrong answer, where words are the right one."""
    bad = question.known_bad if question is not None and order.tool_names else None
    is_prose = question is not None and isinstance(question.right_answer, str)
    return _calls_in(bad) if is_prose else []


def _calls_in(answer: Any) -> list[dict[str, Any]]:
    """Return the calls an answer of a suite is made of: a list of them, one, or `{"tool_calls": […]}`."""
    value = answer.get("tool_calls", answer) if isinstance(answer, dict) else answer
    calls = value if isinstance(value, list) else [value]
    return [call for call in calls if isinstance(call, dict) and isinstance(call.get("name"), str)]


def _called(calls: list[dict[str, Any]], dice: Dice, *, is_right: bool) -> tuple[CalledTool, ...]:
    called = [CalledTool(name=call["name"], arguments=json.dumps(call.get("arguments") or {})) for call in calls]
    if not is_right:
        called[0] = replace(called[0], arguments=dice.pick("arguments", ("{}", '{"value": null}')))
    return tuple(called)
