"""Every error body a provider or gateway was seen to send, by name. Data only: the words are ours, the shapes theirs.

`@model@` stands for the route that was asked for, `@hint@` for the retry hint in seconds, `@hint_ms@` for the same in
milliseconds, and `@go@` for it as a Go duration; hints shrink with the simulator's time scale.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.domain.outcome import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FAULTS", "FaultSpec", "filled"]

_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """One error answer."""

    name: str
    source: str
    """The row of the quirk catalogue it comes from."""
    kind: Kind
    """What a reader of the wire must call it."""
    status: int
    body: str
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = _JSON
    hint_s: float = 0.0


def filled(text: str, *, route: str, hint_s: float) -> str:
    """Return a body or header with its placeholders replaced."""
    if "@" not in text:
        return text
    milliseconds = f"{hint_s * 1000:.0f}"
    return (
        text.replace("@model@", route)
        .replace("@hint_ms@", milliseconds)
        .replace("@hint@", f"{hint_s:g}")
        .replace("@go@", f"{hint_s:g}s")
    )


def _error(message: str, *, kind: str = "invalid_request_error", code: Any = None, param: str | None = None) -> str:
    """Return the error object OpenAI made common."""
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def _typed(kind: str, message: str) -> str:
    """Return the error object Anthropic uses."""
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_simulated"})


def _google(code: int, status: str, message: str, *, details: Iterable[Any] = (), is_list: bool = False) -> str:
    error = {"error": {"code": code, "message": message, "status": status, "details": list(details)}}
    return json.dumps([error] if is_list else error)


_RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "@hint@s"}
_QUOTA_INFO = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaMetric": "generate_content_requests", "quotaId": "RequestsPerMinute"}],
}
_BUCKETS = (
    ("x-ratelimit-limit-requests", "500"),
    ("x-ratelimit-remaining-requests", "0"),
    ("x-ratelimit-reset-requests", "@go@"),
    ("retry-after", "@hint@"),
)
_ANTHROPIC_BUCKETS = (("retry-after", "@hint@"), ("x-should-retry", "true"))


def _rates() -> list[FaultSpec]:
    row = "QUIRKS 1.11"
    limited, money = Kind.RATE_LIMITED, Kind.QUOTA_EXHAUSTED
    return [
        FaultSpec(name="openai_rate_limit", source=row, kind=limited, status=429, headers=_BUCKETS, hint_s=2,
                  body=_error("Rate limit reached for @model@ on requests per min.", kind="requests",
                              code="rate_limit_exceeded")),
        FaultSpec(name="openai_slow_down", source=row, kind=limited, status=429, headers=_BUCKETS, hint_s=4,
                  body=_error("Traffic grew too fast. Please slow down.", kind="requests", code="slow_down")),
        FaultSpec(name="anthropic_rate_limit", source=row, kind=limited, status=429, headers=_ANTHROPIC_BUCKETS,
                  hint_s=3, body=_typed("rate_limit_error", "Requests per minute of this organisation are used up.")),
        FaultSpec(name="gemini_rate_limit", source=row, kind=limited, status=429, hint_s=34.4,
                  body=_google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota. Retry in @hint@s.",
                               details=[_QUOTA_INFO, _RETRY_INFO], is_list=True)),
        FaultSpec(name="openrouter_rate_limit", source=row, kind=limited, status=429,
                  body=json.dumps({"error": {"message": "Provider returned error", "code": 429, "metadata": {
                      "raw": "@model@ is temporarily rate-limited upstream", "provider_name": "Simulated"}}})),
        FaultSpec(name="dashscope_rate_limit", source=row, kind=limited, status=429,
                  body=_error("Requests rate limit exceeded, please try again later.", kind="limit_requests",
                              code="limit_requests")),
        FaultSpec(name="openai_quota", source=row, kind=money, status=429,
                  body=_error("Your plan has no quota left, check billing.", kind="insufficient_quota",
                              code="insufficient_quota")),
        FaultSpec(name="openrouter_credits", source=row, kind=money, status=402,
                  body=json.dumps({"error": {"message": "This request requires more credits.", "code": 402}})),
        FaultSpec(name="deepseek_balance", source=row, kind=money, status=402,
                  body=_error("Insufficient Balance", kind="unknown_error", code="invalid_request_error")),
    ]  # fmt: skip


def _overloads() -> list[FaultSpec]:
    row = "QUIRKS 1.11"
    overloaded, broken = Kind.PROVIDER_OVERLOADED, Kind.PROVIDER_ERROR
    page = (
        "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>"
        "\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
    )
    return [
        FaultSpec(name="anthropic_overloaded", source=row, kind=overloaded, status=529,
                  headers=(("x-should-retry", "true"),), body=_typed("overloaded_error", "Overloaded")),
        FaultSpec(name="openai_overloaded", source=row, kind=overloaded, status=503,
                  headers=(("retry-after", "@hint@"),), hint_s=1,
                  body=_error("The server is overloaded or not ready yet.", kind="server_error",
                              code="server_is_overloaded")),
        FaultSpec(name="gemini_unavailable", source=row, kind=overloaded, status=503,
                  body=_google(503, "UNAVAILABLE", "The model is overloaded. Please try again later.", is_list=True)),
        FaultSpec(name="server_error", source=row, kind=broken, status=500,
                  body=_error("The server had an error while processing your request.", kind="server_error")),
        FaultSpec(name="html_502", source=row, kind=broken, status=502, body=page, content_type="text/html"),
        FaultSpec(name="cf_bad_gateway", source=row, kind=broken, status=502,
                  body=json.dumps({"type": "cf_bad_gateway", "status": 502})),
    ]  # fmt: skip


def _accounts() -> list[FaultSpec]:
    row = "QUIRKS 1.11"
    auth, gone = Kind.AUTH_ERROR, Kind.MODEL_UNAVAILABLE
    return [
        FaultSpec(name="openai_bad_key", source=row, kind=auth, status=401,
                  body=_error("Incorrect API key provided.", code="invalid_api_key")),
        FaultSpec(name="anthropic_bad_key", source=row, kind=auth, status=401,
                  body=_typed("authentication_error", "invalid x-api-key")),
        FaultSpec(name="mistral_bad_key", source=row, kind=auth, status=401,
                  body=json.dumps({"detail": "Invalid API Key"})),
        FaultSpec(name="xai_bad_key", source=row, kind=auth, status=400,
                  body=json.dumps({"code": "invalid-argument", "error": "Incorrect API key provided."})),
        FaultSpec(name="gemini_bad_key", source=row, kind=auth, status=400,
                  body=_google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
                               details=[{"@type": "type.googleapis.com/google.rpc.ErrorInfo",
                                         "reason": "API_KEY_INVALID"}], is_list=True)),
        FaultSpec(name="bedrock_bad_key", source=row, kind=auth, status=403,
                  body=json.dumps({"message": "The security token included in the request is invalid."})),
        FaultSpec(name="openai_retired", source=row, kind=gone, status=404,
                  body=_error("The model `@model@` has been deprecated.", code="model_not_found")),
        FaultSpec(name="cohere_removed", source=row, kind=gone, status=404,
                  body=json.dumps({"id": "simulated", "message": "model '@model@' was removed on September 1, 2025"})),
        FaultSpec(name="ollama_unknown", source=row, kind=gone, status=404,
                  body=json.dumps({"error": "model '@model@' not found"})),
        FaultSpec(name="unknown_model", source=row, kind=gone, status=404,
                  body=_error("The model `@model@` does not exist or you do not have access to it.",
                              code="model_not_found")),
    ]  # fmt: skip


def _requests() -> list[FaultSpec]:
    rejected = Kind.REQUEST_REJECTED
    detail = [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]
    return [
        FaultSpec(name="system_role_rejected", source="QUIRKS 1.1", kind=rejected, status=400,
                  body=_error("Unsupported value: 'messages[0].role' does not support 'system' with this model.",
                              code="unsupported_value", param="messages[0].role")),
        FaultSpec(name="max_tokens_rejected", source="QUIRKS 1.9", kind=rejected, status=400,
                  body=_error("Unsupported parameter: 'max_tokens' is not supported with this model. "
                              "Use 'max_completion_tokens' instead.",
                              code="unsupported_parameter", param="max_tokens")),
        FaultSpec(name="temperature_rejected", source="QUIRKS 1.9", kind=rejected, status=400,
                  body=_error("Unsupported value: 'temperature' does not support 0 with this model.",
                              code="unsupported_value", param="temperature")),
        FaultSpec(name="json_word_missing", source="QUIRKS 1.2", kind=rejected, status=400,
                  body=_error("'messages' must contain the word 'json' to use 'response_format' of type 'json_object'.",
                              param="messages")),
        FaultSpec(name="qwen_stream_only", source="QUIRKS 1.2", kind=rejected, status=400,
                  body=_error("parameter.enable_thinking must be set to false for non-streaming calls",
                              code="invalid_parameter_error")),
        FaultSpec(name="mistral_detail_list", source="QUIRKS 1.11", kind=rejected, status=422,
                  body=json.dumps({"detail": detail})),
        FaultSpec(name="azure_prompt_block", source="QUIRKS 1.4", kind=Kind.SAFETY_BLOCK, status=400,
                  body=json.dumps({"error": {
                      "message": "The prompt triggered the content management policy and was filtered.",
                      "type": None, "param": "prompt", "code": "content_filter", "status": 400,
                      "innererror": {"code": "ResponsibleAIPolicyViolation",
                                     "content_filter_result": {"hate": {"filtered": True, "severity": "high"}}}}})),
        FaultSpec(name="groq_tool_use_failed", source="QUIRKS 1.2", kind=Kind.TOOL_CALL_MALFORMED, status=400,
                  body=json.dumps({"error": {
                      "message": "Failed to call a function. See 'failed_generation'.", "type": "invalid_request_error",
                      "code": "tool_use_failed", "failed_generation": '<function=lookup>{"city": Oslo}</function>'}})),
        FaultSpec(name="groq_json_validate_failed", source="QUIRKS 1.2", kind=Kind.SCHEMA_VIOLATION, status=400,
                  body=json.dumps({"error": {
                      "message": "Failed to generate JSON. See 'failed_generation'.", "type": "invalid_request_error",
                      "code": "json_validate_failed", "failed_generation": '{"label": billing'}})),
    ]  # fmt: skip


def _overflows() -> list[FaultSpec]:
    row, over = "QUIRKS 1.10", Kind.CONTEXT_OVERFLOW
    openrouter = {"error": {"message": "This endpoint's maximum context length is 64000 tokens. You asked for more.",
                            "code": 400, "metadata": {"previous_errors": []}}}  # fmt: skip
    cohere = {"id": "simulated", "message": "too many tokens: 140000 exceeds 128000", "error_type": "TOO_MANY_TOKENS"}
    return [
        FaultSpec(name="openai_overflow", source=row, kind=over, status=400,
                  body=_error("This model's maximum context length is 128000 tokens.", code="context_length_exceeded",
                              param="messages")),
        FaultSpec(name="anthropic_overflow", source=row, kind=over, status=400,
                  body=_typed("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")),
        FaultSpec(name="deepseek_overflow", source=row, kind=over, status=400, content_type="application/octet-stream",
                  body=_error("This model's maximum context length is 128000 tokens. However, you requested 140000.",
                              code="invalid_request_error")),
        FaultSpec(name="openrouter_overflow", source=row, kind=over, status=400, body=json.dumps(openrouter)),
        FaultSpec(name="gemini_overflow", source=row, kind=over, status=400,
                  body=_google(400, "INVALID_ARGUMENT", "The input token count (1250074) exceeds the maximum number of "
                                                        "tokens allowed (1000000).", is_list=True)),
        FaultSpec(name="cohere_overflow", source=row, kind=over, status=400, body=json.dumps(cohere)),
        FaultSpec(name="perplexity_overflow", source=row, kind=over, status=400,
                  body=json.dumps({"error": {"message": "too many prompt tokens", "type": "too_many_prompt_tokens",
                                             "code": 400}})),
        FaultSpec(name="ollama_overflow", source=row, kind=over, status=400,
                  body=json.dumps({"error": "prompt too long; exceeded max context length by 9000 tokens"})),
        FaultSpec(name="bedrock_overflow", source=row, kind=over, status=400,
                  body=json.dumps({"message": "Input Tokens Exceeded: the input is longer than the model takes."})),
        FaultSpec(name="azure_overflow_429", source=row, kind=over, status=429, hint_s=1,
                  headers=(("retry-after", "@hint@"), ("retry-after-ms", "0")),
                  body=json.dumps({"error": {"code": "RateLimitReached",
                                             "message": "Your requests have exceeded the token rate limit."}})),
    ]  # fmt: skip


def _false_successes() -> list[FaultSpec]:
    row, broken = "QUIRKS 1.12", Kind.PROVIDER_ERROR
    nested = {"provider": {"id": "gen-1", "choices": [{"message": {"role": "assistant", "content": "42"}}]}}
    return [
        FaultSpec(name="openrouter_error_in_200", source=row, kind=broken, status=200,
                  body=json.dumps({"id": None, "choices": None, "error": {"message": "Internal Server Error",
                                                                          "code": 500}})),
        FaultSpec(name="openrouter_nested_provider", source=row, kind=broken, status=200,
                  body=json.dumps({"id": None, "choices": None, "model": "@model@", **nested})),
        FaultSpec(name="null_choices", source=row, kind=broken, status=200,
                  body=json.dumps({"id": "gen-2", "object": "chat.completion", "model": "@model@", "choices": None})),
    ]  # fmt: skip


def _by_name() -> dict[str, FaultSpec]:
    groups = (_rates, _overloads, _accounts, _requests, _overflows, _false_successes)
    return {spec.name: spec for group in groups for spec in group()}


FAULTS: dict[str, FaultSpec] = _by_name()
"""By name."""
