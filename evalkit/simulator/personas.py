"""The one table of simulated models: what each can do, how it writes, how it fails, and what must be said of it.

Format habits follow the measured rates of QUIRKS 1.3; all other numbers are chosen so that a correct evaluation of
the starter project has one right verdict for each, written down in `truths`. A `seed` picks the answers, never these.
"""

from __future__ import annotations

from evalkit.simulator.persona import Ability, FaultRate, Habits, Judging, Latency, Persona, Served, Truth

__all__ = ["INVOICES", "PERSONAS", "POLICIES", "TICKETS", "persona_by_route"]

INVOICES, TICKETS, POLICIES = "invoice-extraction", "ticket-triage", "policy-qa"

_GATE_FAILED, _GATE_OPEN = "gate_failed", "gate_undecided"
_ALL_ELIGIBLE = tuple(Truth(task=task, status="eligible") for task in (INVOICES, TICKETS, POLICIES))


def _undecided(reason: str) -> tuple[Truth, ...]:
    return tuple(Truth(task=task, status="undecided", reason=reason) for task in (INVOICES, TICKETS, POLICIES))


_GPT = Persona(
    model_id="sim-gpt",
    route="sim/gpt",
    dialect="openai",
    source="QUIRKS 1.2 strict json_schema, 1.4 refusal field, 1.11 rate limits, 1.13 dated name",
    structured="json_schema",
    refusal_form="field",
    habits=Habits(fence=1.0, source="QUIRKS 1.3 gpt-4o-2024-08-06"),
    faults=(
        FaultRate(fault="openai_rate_limit", share=0.01),
        FaultRate(fault="openai_overloaded", share=0.003),
    ),
    latency=Latency(median_s=1.1),
    served=(Served(name="gpt-2026-08-06"),),
    price=(2.5, 10.0),
    truths=_ALL_ELIGIBLE,
)

_CLAUDE = Persona(
    model_id="sim-claude",
    route="sim/claude",
    dialect="anthropic",
    source="QUIRKS 1.2 response_format ignored, 1.4 refusal as content_filter, 1.11 529 and retry-after on success",
    structured="none",
    refusal_form="content_filter",
    ability=Ability(wrong=0.008, broken=0.001, refused=0.004),
    habits=Habits(fence=1.0, preamble=1.0, postamble=0.73, raw_newline=0.85, source="QUIRKS 1.3 claude-3-5-haiku"),
    faults=(FaultRate(fault="anthropic_overloaded", share=0.02), FaultRate(fault="anthropic_rate_limit", share=0.005)),
    latency=Latency(median_s=1.5),
    served=(Served(name="claude-20261022"),),
    price=(15.0, 75.0),
    context_tokens=200_000,
    overflow_fault="anthropic_overflow",
    truths=(
        Truth(task=INVOICES, status="ineligible", reason=_GATE_FAILED, metric=f"{INVOICES}/json_schema"),
        Truth(task=TICKETS, status="ineligible", reason=_GATE_FAILED, metric=f"{TICKETS}/json_schema"),
        Truth(task=POLICIES, status="eligible"),
    ),
)

_GEMINI = Persona(
    model_id="sim-gemini",
    route="sim/gemini",
    dialect="gemini",
    source="QUIRKS 1.4 SAFETY and RECITATION, 1.6 empty MAX_TOKENS, 1.7 total is not the sum, 1.11 RetryInfo, lists",
    structured="json_schema",
    ability=Ability(wrong=0.012, broken=0.001, refused=0.001, blocked=0.006, truncated=0.003, empty=0.002),
    habits=Habits(fence=1.0, raw_newline=0.004, source="QUIRKS 1.3 gemini-1.5-pro"),
    block_finish="SAFETY",
    truncated_form="reasoning",
    empty_form="blank",
    faults=(FaultRate(fault="gemini_rate_limit", share=0.008), FaultRate(fault="gemini_unavailable", share=0.006)),
    latency=Latency(median_s=3.6, sigma=0.35),
    served=(Served(name="models/gemini"),),
    price=(1.25, 5.0),
    context_tokens=1_000_000,
    overflow_fault="gemini_overflow",
    truths=(
        Truth(task=INVOICES, status="eligible"),
        Truth(task=TICKETS, status="ineligible", reason=_GATE_FAILED, metric=f"{TICKETS}/latency_s"),
        Truth(task=POLICIES, status="eligible"),
    ),
)

_DEEPSEEK = Persona(
    model_id="sim-deepseek",
    route="sim/deepseek",
    dialect="deepseek",
    source="QUIRKS 1.2 blank JSON mode, 1.5 reasoning_content, 1.10 octet-stream 400, 1.12 keep-alive lines",
    structured="json_object",
    ability=Ability(wrong=0.012, broken=0.002, refused=0.0, empty=0.002),
    abilities={
        # Long JSON is what its JSON mode gives up on: the whole answer becomes spaces.
        INVOICES: Ability(wrong=0.02, broken=0.01, refused=0.0, empty=0.3),
        # On the gate: no number of cases of this size can tell which side it is on.
        POLICIES: Ability(wrong=0.088, broken=0.002, refused=0.0, empty=0.002),
    },
    habits=Habits(fence=1.0, source="QUIRKS 1.3 deepseek-v2.5"),
    empty_form="spaces",
    faults=(FaultRate(fault="server_error", share=0.006),),
    latency=Latency(median_s=1.8),
    served=(Served(name="deepseek"),),
    price=(0.27, 1.1),
    overflow_fault="deepseek_overflow",
    truths=(
        Truth(task=INVOICES, status="ineligible", reason=_GATE_FAILED, metric=f"{INVOICES}/json_schema"),
        Truth(task=TICKETS, status="eligible"),
        Truth(task=POLICIES, status="undecided", reason=_GATE_OPEN, metric=f"{POLICIES}/exact", probability=0.8),
    ),
)

_MISTRAL = Persona(
    model_id="sim-mistral",
    route="sim/mistral",
    dialect="mistral",
    source="QUIRKS 1.5 content as a list, 1.7 usage fields, 1.8 calls without a type, 1.11 detail errors",
    structured="json_schema",
    ability=Ability(wrong=0.014, broken=0.001),
    habits=Habits(fence=1.0, bad_escape=0.004, source="QUIRKS 1.3 Mistral-Large-2"),
    faults=(FaultRate(fault="html_502", share=0.006), FaultRate(fault="reset", share=0.004)),
    latency=Latency(median_s=1.2),
    served=(Served(name="mistral-2611"),),
    truths=(
        Truth(task=INVOICES, status="undecided", reason="cost_unknown", metric=f"{INVOICES}/cost_usd"),
        Truth(task=TICKETS, status="eligible"),
        Truth(task=POLICIES, status="eligible"),
    ),
)

_QWEN = Persona(
    model_id="sim-qwen",
    route="sim/qwen",
    dialect="qwen",
    source="QUIRKS 1.3 leading newlines, 1.5 think tags, 1.2 whitespace loop, 1.11 rate limits",
    structured="json_object",
    ability=Ability(wrong=0.02, broken=0.004, truncated=0.006),
    habits=Habits(fence=1.0, lead_newlines=1.0, think=0.3, source="QUIRKS 1.3 Qwen2-72B, leading whitespace; 1.5"),
    truncated_form="whitespace",
    faults=(
        FaultRate(fault="dashscope_rate_limit", share=0.15, lasting=0.9),
        FaultRate(fault="half_body", share=0.002),
    ),
    latency=Latency(median_s=1.6),
    served=(Served(name="qwen"),),
    price=(0.35, 0.4),
    context_tokens=131_072,
    truths=_undecided("low_coverage"),
)

_LLAMA = Persona(
    model_id="sim-llama",
    route="sim/llama",
    dialect="llama",
    source="QUIRKS 1.3 unclosed fences, 1.8 calls as text, 1.13 empty model name",
    structured="none",
    ability=Ability(wrong=0.3, slip_share=0.6, broken=0.04, refused=0.01),
    # It can answer questions, but nobody can prove that it was this model that did.
    abilities={
        INVOICES: Ability(wrong=0.3, slip_share=0.6, broken=0.1, refused=0.01),
        POLICIES: Ability(wrong=0.012, broken=0.002, refused=0.002),
    },
    habits=Habits(fence=0.18, preamble=0.146, unclosed_fence=0.5, raw_newline=0.086,
                  source="QUIRKS 1.3 Llama-3.1-8B and 70B"),
    faults=(FaultRate(fault="server_error", share=0.01),),
    latency=Latency(median_s=0.6),
    served=(Served(name=None),),
    price=(0.2, 0.2),
    context_tokens=32_768,
    overflow_fault="ollama_overflow",
    truths=(
        Truth(task=INVOICES, status="ineligible", reason=_GATE_FAILED, metric=f"{INVOICES}/json_schema"),
        Truth(task=TICKETS, status="ineligible", reason=_GATE_FAILED, metric=f"{TICKETS}/choice"),
        Truth(task=POLICIES, status="undecided", reason="identity_too_weak"),
    ),
)  # fmt: skip

_ROUTER = Persona(
    model_id="sim-router",
    route="sim/router/llama-70b",
    dialect="router",
    source="QUIRKS 1.12 comments, 200 with null choices, HTML 502; 1.13 fallback to another model",
    structured="json_schema",
    ability=Ability(wrong=0.015),
    habits=Habits(fence=0.5, preamble=0.2, source="QUIRKS 1.3 Llama-3.1-405B over three hosts"),
    faults=(
        FaultRate(fault="null_choices", share=0.006),
        FaultRate(fault="openrouter_error_in_200", share=0.006),
        FaultRate(fault="openrouter_rate_limit", share=0.006),
        FaultRate(fault="html_502", share=0.004),
    ),
    latency=Latency(median_s=1.4),
    served=(Served(name="llama-70b", share=0.9), Served(name="x-lab/grok-mini")),
    price=(1.0, 4.0),
    context_tokens=64_000,
    overflow_fault="openrouter_overflow",
    truths=tuple(
        Truth(task=task, status="ineligible", reason="substituted_model") for task in (INVOICES, TICKETS, POLICIES)
    ),
)

_TWINS = (
    Persona(
        model_id="sim-gpt-reasoning",
        route="sim/gpt-reasoning",
        dialect="openai",
        source="QUIRKS 1.1 no system role, 1.9 no max_tokens, no temperature",
        structured="json_schema",
        refusal_form="field",
        truncated_form="reasoning",
        latency=Latency(median_s=6.0, sigma=0.5),
        served=(Served(name="gpt-reasoning-2026-08-06"),),
        rejects=(
            ("system", "system_role_rejected"),
            ("max_tokens", "max_tokens_rejected"),
            ("temperature", "temperature_rejected"),
        ),
    ),
    Persona(
        model_id="sim-qwen-thinking",
        route="sim/qwen-thinking",
        dialect="qwen",
        source="QUIRKS 1.2 stream only, 1.5 think tags cut off",
        habits=Habits(lead_newlines=1.0, think=1.0, source="QUIRKS 1.5"),
        ability=Ability(truncated=0.1),
        truncated_form="in_think",
        latency=Latency(median_s=8.0, sigma=0.5),
        served=(Served(name="qwen-thinking"),),
        rejects=(("non_stream", "qwen_stream_only"),),
    ),
    Persona(
        model_id="sim-deepseek-drift",
        route="sim/deepseek-chat",
        dialect="deepseek",
        source="QUIRKS 1.13 an alias that another generation answers to",
        structured="json_object",
        served=(Served(name="deepseek-v4-flash"),),
    ),
    Persona(
        model_id="sim-azure",
        route="sim/azure",
        dialect="azure",
        source="QUIRKS 1.4 prompt block as 400, 1.12 first chunk without choices",
        structured="json_schema",
        ability=Ability(blocked=0.1),
        block_fault="azure_prompt_block",
        served=(Served(name="azure"),),
    ),
)

_JUDGES = (
    Persona(
        model_id="sim-judge",
        route="sim/judge",
        dialect="openai",
        source="QUIRKS 3: judges whose replies do not parse, here one in a hundred",
        structured="json_schema",
        ability=Ability(wrong=0.0, broken=0.0, refused=0.0),
        faults=(FaultRate(fault="openai_rate_limit", share=0.01),),
        served=(Served(name="judge-2026-09-01"),),
        price=(1.0, 4.0),
        judging=Judging(sensitivity=0.97, specificity=0.95, unparsable=0.01),
    ),
    Persona(
        model_id="sim-judge-lenient",
        route="sim/judge-lenient",
        dialect="anthropic",
        source="QUIRKS 3: judge hygiene; sens .98, spec .50, which makes a model of .80 look like .88",
        structured="none",
        ability=Ability(wrong=0.0, broken=0.0, refused=0.0),
        served=(Served(name="judge-lenient-1"),),
        price=(0.2, 0.8),
        judging=Judging(sensitivity=0.98, specificity=0.5, prefers_first=0.2),
    ),
)

PERSONAS: tuple[Persona, ...] = (_GPT, _CLAUDE, _GEMINI, _DEEPSEEK, _MISTRAL, _QWEN, _LLAMA, _ROUTER, *_TWINS, *_JUDGES)
"""The eight of the starter roster, then others that only answer when they are asked for."""

_BY_NAME = {name: persona for persona in PERSONAS for name in (persona.route, persona.model_id)}


def persona_by_route(route: str) -> Persona | None:
    """Return the persona a request's `model` names, by route or by id; None when there is none."""
    return _BY_NAME.get(route)
