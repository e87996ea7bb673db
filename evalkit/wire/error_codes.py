"""What codes and types in error bodies mean: one table, without regard to how a server writes its codes.

A fact here has been seen on the wire or is in a provider's documentation.
"""

from __future__ import annotations

from evalkit.domain.outcome import Kind

__all__ = ["BY_CODE", "is_quota_code", "squeezed"]

_SEPARATORS = str.maketrans("", "", "-_. ")


def squeezed(code: str) -> str:
    """Return a lower-case code without separators: `RateLimitReached`, `rate-limit-reached` and its like are one."""
    return code.translate(_SEPARATORS)


def _codes(kind: Kind, names: str) -> dict[str, Kind]:
    return dict.fromkeys(map(squeezed, names.split()), kind)


BY_CODE: dict[str, Kind] = {
    **_codes(
        Kind.SAFETY_BLOCK,
        "content_filter content_filtered responsibleaipolicyviolation content_policy_violation data_inspection_failed "
        "datainspectionfailed content_blocked moderation_blocked safety prohibited_content content_moderation "
        "contentpolicyviolationerror guardrail_intervened sensitive_words_detected input_moderation hooks_failed "
        "image_content_policy_violation cyber_policy_violation sensitive_content_detected "
        "input_text_sensitive_content_detected output_text_sensitive_content_detected safety_check_failed "
        "input_image_sensitive_content_detected policy_violation",
    ),
    **_codes(Kind.SCHEMA_VIOLATION, "json_validate_failed output_parse_failed"),
    **_codes(Kind.TOOL_CALL_MALFORMED, "tool_use_failed malformed_function_call tool_call_validation_failed"),
    **_codes(
        Kind.CONTEXT_OVERFLOW,
        "context_length_exceeded context_window_exceeded contextwindowexceedederror too_many_tokens "
        "too_many_prompt_tokens string_above_max_length model_max_prompt_tokens_exceeded exceed_context_size_error "
        "tokens_limit_reached input_too_long prompt_too_long request_too_large_tokens",
    ),
    **_codes(
        Kind.QUOTA_EXHAUSTED,
        "insufficient_quota billing_hard_limit_reached billing_not_active credit_balance_exhausted "
        "insufficient_balance insufficient_credits payment_required arrearage budget_exceeded quota_exceeded "
        "billing_error allocationquota.freetieronly account_overdue exceeded_current_quota_error "
        "usage_limit_reached insufficient_funds not_enough_balance account_overdue_error credit_limit "
        "service_quota_exceeded_exception",
    ),
    **_codes(
        Kind.AUTH_ERROR,
        "invalid_api_key invalid_authentication authentication_error api_key_invalid unauthenticated no_db_connection "
        "permission_error permission_denied account_deactivated invalidapikey unauthorized incorrect_api_key "
        "key_model_access_denied team_model_access_denied evalkit_ineligible token_not_found_in_db auth_error "
        "unrecognizedclientexception accessdeniedexception expired_key missing_api_key wrong_api_key access_denied "
        "unsupported_country_region_territory account_suspended org_disabled organization_restricted no_access "
        "forbidden invalid_authentication_error incorrect_api_key_error permission_denied_error",
    ),
    **_codes(
        Kind.MODEL_UNAVAILABLE,
        "model_not_found deploymentnotfound model_decommissioned not_found_error model_not_available modelnotfound "
        "model_deprecated invalid_model resourcenotfoundexception not_found model_terms_required "
        "model_not_supported unknown_model model_disabled unavailable_model model_not_open unsupported_model "
        "invalid_endpoint_or_model.not_found resource_not_found_error endpoint_not_found resource_does_not_exist",
    ),
    **_codes(
        Kind.RATE_LIMITED,
        "rate_limit_exceeded rate_limit_error slow_down throttling_error ratelimitreached toomanyrequests "
        "too_many_requests resource_exhausted throttlingexception throttling throttling.ratequota "
        "throttling.burstrate throttling.allocationquota requests_limit_exceeded tokens_limit_exceeded "
        "rate_limited ratelimiterror rate_limit rate_limit_reached_error concurrency_limit_exceeded "
        "request_limit_exceeded limit_requests limit_burst_rate too_many_requests_error model_rate_limit",
    ),
    **_codes(
        Kind.PROVIDER_OVERLOADED,
        "overloaded_error server_is_overloaded engine_overloaded model_overloaded unavailable capacity_exceeded "
        "service_unavailable serviceunavailableexception modelnotreadyexception engine_overloaded_error overloaded "
        "service_tier_capacity_exceeded no_available_server queue_full insufficient_system_resource queue_exceeded "
        "server_overloaded temporarily_unavailable unavailable_error",
    ),
    **_codes(
        Kind.TIMEOUT, "timeout timeout_error deadline_exceeded request_timeout gateway_timeout modeltimeoutexception"
    ),
    **_codes(
        Kind.PROVIDER_ERROR,
        "server_error internal_error internal_server_error cf_bad_gateway bad_gateway upstream_error "
        "internal apiconnectionerror internalserverexception provider_error engine_error",
    ),
    **_codes(
        Kind.REQUEST_REJECTED,
        "unsupported_parameter unsupported_value invalid_image_format invalid_image_url invalid_json_schema "
        "invalid_function_parameters decimal_below_min_value decimal_above_max_value integer_above_max_value "
        "integer_below_min_value invalid_type missing_required_parameter unknown_parameter array_above_max_length",
    ),
}
"""Exact codes, types and statuses, lower-case. Types that say nothing, such as invalid_request_error, are left out."""

_NOT_MONEY = ("rate", "token", "request", "concurren", "rpm", "tpm", "context", "length", "size", "time")


def is_quota_code(code: str) -> bool:
    """Return whether a code names a limit of money or volume: `spend_limit_exceeded` and its like."""
    return code.endswith(("_limit_exceeded", "_quota_exceeded")) and not any(word in code for word in _NOT_MONEY)
