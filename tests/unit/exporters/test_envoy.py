"""Envoy AI Gateway: the objects have the structure of their definitions, and lead nowhere but to candidates.

The structure below was read, field by field, from the Go types the definitions are generated from:
envoyproxy/ai-gateway `api/v1beta1` (ai_gateway_route.go at 06c04836, ai_service_backend.go at 11d02680,
backendsecurity_policy.go at 0b0bfb29, shared_types.go at 06c04836; v1.1), envoyproxy/gateway
`api/v1alpha1/retry_types.go` (02738b20) and the Gateway API's own v1 types. `numAttemptsPerPriority` is newer than that
retry_types.go; it was read from Envoy Gateway's translation of retries and the documentation of provider fallback.
It holds only the fields this exporter may write; an unknown field is an error here as it is there.
"""

from __future__ import annotations

import re

import pytest
import yaml
from jsonschema import Draft202012Validator

from evalkit.errors import InputError
from evalkit.exporters.envoy import _duration
from evalkit.plugins import load_plugin
from evalkit.testing.eligibility import an_eligibility

LABEL = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
HOSTNAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"}
DURATION = {"type": "string", "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$"}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}


def closed(required, optional=()):
    """An object of these fields and no others."""
    fields = {**required, **dict(optional)}
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def listed(item, least, most):
    """A list of so many items."""
    return {"type": "array", "items": item, "minItems": least, "maxItems": most}


def reference(group, kind):
    """A reference to one kind of object."""
    return closed({"group": {"const": group}, "kind": {"const": kind}, "name": LABEL})


SECRET = closed({"secretRef": closed({"name": LABEL})})
BACKEND_REF = reference("gateway.envoyproxy.io", "Backend")
SERVICE_REF = reference("aigateway.envoyproxy.io", "AIServiceBackend")
HEADER = closed(
    {
        "type": {"enum": ["Exact", "RegularExpression"]},
        "name": {"type": "string", "pattern": "^[A-Za-z0-9!#$%&'*+\\-.^_\x60|~]+$", "maxLength": 256},
        "value": {"type": "string", "minLength": 1, "maxLength": 4096},
    }
)
BODY_FIELD = closed({"path": {"type": "string", "minLength": 1}, "value": {"type": "string"}})
ROUTE_BACKEND = closed(
    {"name": LABEL},
    {
        "modelNameOverride": {"type": "string"},
        "priority": {"type": "integer", "minimum": 0},
        "weight": {"type": "integer", "minimum": 0},
        "bodyMutation": closed({}, {"set": listed(BODY_FIELD, 0, 16), "remove": listed({"type": "string"}, 0, 16)}),
    },
)
RULE = closed(
    {
        "matches": listed(closed({"headers": listed(HEADER, 1, 16)}), 1, 128),
        "backendRefs": listed(ROUTE_BACKEND, 1, 16),
    },
    {"timeouts": closed({}, {"request": DURATION, "backendRequest": DURATION})},
)
TRIGGERS = [
    *("5xx", "gateway-error", "reset", "connect-failure", "retriable-4xx", "refused-stream", "retriable-status-codes"),
    *("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"),
]
RETRY = closed(
    {"numRetries": {"type": "integer", "minimum": 0}},
    {
        "numAttemptsPerPriority": {"type": "integer", "minimum": 0},
        "perRetry": closed(
            {}, {"timeout": DURATION, "backOff": closed({}, {"baseInterval": DURATION, "maxInterval": DURATION})}
        ),
        "retryOn": closed(
            {},
            {
                "triggers": listed({"enum": TRIGGERS}, 0, 12),
                "httpStatusCodes": listed({"type": "integer", "minimum": 100, "exclusiveMaximum": 600}, 0, 500),
            },
        ),
    },
)
SCHEMAS = ["OpenAI", "Cohere", "AWSBedrock", "AzureOpenAI", "GCPVertexAI", "GCPAnthropic", "Anthropic", "AWSAnthropic"]
PLACE = {
    "oneOf": [
        closed({"fqdn": closed({"hostname": HOSTNAME, "port": PORT})}),
        closed({"ip": closed({"address": {"type": "string"}, "port": PORT})}),
    ]
}
SPECS = {
    ("aigateway.envoyproxy.io/v1beta1", "AIGatewayRoute"): closed(
        {
            "parentRefs": listed(reference("gateway.networking.k8s.io", "Gateway"), 1, 16),
            "rules": listed(RULE, 1, 15),
        }
    ),
    ("aigateway.envoyproxy.io/v1beta1", "AIServiceBackend"): closed(
        {
            "schema": closed(
                {"name": {"enum": SCHEMAS}}, {"version": {"type": "string"}, "prefix": {"type": "string"}}
            ),
            "backendRef": BACKEND_REF,
        }
    ),
    ("aigateway.envoyproxy.io/v1beta1", "BackendSecurityPolicy"): {
        "oneOf": [
            closed({"targetRefs": listed(SERVICE_REF, 1, 16), "type": {"const": kind}, field: SECRET})
            for kind, field in [("APIKey", "apiKey"), ("AnthropicAPIKey", "anthropicAPIKey")]
        ]
    },
    ("gateway.envoyproxy.io/v1alpha1", "Backend"): closed({"endpoints": listed(PLACE, 1, 64)}),
    ("gateway.networking.k8s.io/v1alpha3", "BackendTLSPolicy"): closed(
        {
            "targetRefs": listed(BACKEND_REF, 1, 16),
            "validation": closed({"wellKnownCACertificates": {"const": "System"}, "hostname": HOSTNAME}),
        }
    ),
    ("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy"): closed(
        {
            "targetRefs": listed(reference("gateway.networking.k8s.io", "HTTPRoute"), 1, 16),
            "retry": RETRY,
        }
    ),
}
LABEL_VALUE = {"type": "string", "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", "maxLength": 63}
METADATA = closed({"name": LABEL, "labels": {"type": "object", "additionalProperties": LABEL_VALUE}})

PROVIDERS = {
    "openai": {"api_base": "https://api.openai.com/v1", "api_key_env": "EVALKIT_OPENAI"},
    "anthropic": {"api_base": "https://api.anthropic.com/v1"},
    "vllm": {"kind": "openai", "api_base": "http://10.0.0.7:8000/v1"},
}
MODELS = {
    "claude": {"route": "anthropic/claude-4", "provider": "anthropic"},
    "llama": {"route": "vllm/meta/llama-3", "provider": "vllm"},
}


def text_of(tasks, **fields):
    """The one file."""
    fields = {"providers": PROVIDERS, "models": MODELS} | fields
    ((name, content),) = load_plugin("exporters", "envoy")().export(an_eligibility(tasks, **fields).document())
    assert name == "envoy/aigateway.yaml"
    return content.decode()


def exported(tasks, **fields):
    """The objects, each checked against its structure."""
    objects = [one for one in yaml.safe_load_all(text_of(tasks, **fields)) if one is not None]
    for one in objects:
        assert set(one) == {"apiVersion", "kind", "metadata", "spec"}
        Draft202012Validator(METADATA).validate(one["metadata"])
        Draft202012Validator(SPECS[one["apiVersion"], one["kind"]]).validate(one["spec"])
    return objects


def of_kind(objects, kind):
    """Name to spec of the objects of a kind."""
    return {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == kind}


def test_the_structure_shows_a_field_that_does_not_exist():
    """Else the check below would be none."""
    route = of_kind(exported({"qa": ["gpt"]}), "AIGatewayRoute")["evalkit-prod-qa"]
    route["rules"][0]["backendRefs"][0]["modelOverride"] = "x"
    assert not Draft202012Validator(SPECS["aigateway.envoyproxy.io/v1beta1", "AIGatewayRoute"]).is_valid(route)


def test_a_task_is_a_route_matched_by_its_header_alone():
    """Candidates in order of priority, under the names their providers know; nothing else is matched."""
    objects = exported({"qa": ["gpt", "claude", "llama"], "closed": []})
    (route,) = of_kind(objects, "AIGatewayRoute").values()
    assert route["parentRefs"] == [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "evalkit-prod"}]
    (rule,) = route["rules"]
    assert rule["matches"] == [{"headers": [{"type": "Exact", "name": "x-evalkit-task", "value": "qa"}]}]
    assert rule["backendRefs"] == [
        {"name": "evalkit-prod-openai", "priority": 0, "modelNameOverride": "gpt"},
        {"name": "evalkit-prod-anthropic", "priority": 1, "modelNameOverride": "claude-4"},
        {"name": "evalkit-prod-vllm", "priority": 2, "modelNameOverride": "meta/llama-3"},
    ]
    assert rule["timeouts"] == {"request": "120s"}


def test_retries_run_out_before_the_next_candidate():
    """Tries a priority, tries in all, pauses as the policy reckons with, and the faults of `retry_on`."""
    objects = exported({"qa": ["gpt", "claude"]}, entries={"qa": {"failover": {"upstream_timeout_s": 2.5}}})
    (policy,) = of_kind(objects, "BackendTrafficPolicy").values()
    assert policy["targetRefs"] == [
        {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "evalkit-prod-qa"}
    ]
    assert policy["retry"] == {
        "numAttemptsPerPriority": 3,
        "numRetries": 5,
        "perRetry": {"timeout": "2s500ms", "backOff": {"baseInterval": "1s", "maxInterval": "8s"}},
        "retryOn": {
            "triggers": ["reset", "retriable-status-codes"],
            "httpStatusCodes": [408, 429, 503, 504, 524, 529],
        },
    }


@pytest.mark.parametrize(("patience_s", "longest"), [(83, "8s"), (82, "4s"), (75, "4s"), (74, "2s"), (68, "1s")])
def test_pauses_fit_the_patience_of_the_client(patience_s, longest):
    """Envoy's grow from one candidate to the next: 1, 2, 4, 8 and 8 seconds here, beside six tries of ten."""
    entries = {"qa": {"failover": {"client_timeout_s": patience_s}}}
    (policy,) = of_kind(exported({"qa": ["gpt", "claude"]}, entries=entries), "BackendTrafficPolicy").values()
    assert policy["retry"]["perRetry"]["backOff"] == {"baseInterval": "1s", "maxInterval": longest}


def test_a_client_without_patience_for_any_pause_is_refused():
    """Two tries of ten seconds fill its twenty; Envoy pauses between them, though the policy reckons without."""
    with pytest.raises(InputError, match="retry collision"):
        exported({"qa": ["gpt", "claude"]}, entries={"qa": {"failover": {"retries": 0, "client_timeout_s": 20}}})


def test_without_retries_hard_faults_switch_too():
    """Then no fault of `switch_on` would be sent to the same candidate again."""
    (policy,) = of_kind(
        exported({"qa": ["gpt", "claude"]}, entries={"qa": {"failover": {"retries": 0}}}), "BackendTrafficPolicy"
    ).values()
    assert policy["retry"]["numAttemptsPerPriority"] == 1
    assert policy["retry"]["numRetries"] == 1
    assert policy["retry"]["retryOn"]["httpStatusCodes"] == [401, 402, 404, 408, 429, 503, 504, 524, 529]


def test_nothing_to_retry_on_is_no_retry():
    """An empty list of triggers would stand for Envoy's own."""
    failover = {"retry_on": [], "switch_on": []}
    (policy,) = of_kind(
        exported({"qa": ["gpt"]}, entries={"qa": {"failover": failover}}), "BackendTrafficPolicy"
    ).values()
    assert policy["retry"] == {"numRetries": 0}


def test_a_fault_without_a_status_is_a_trigger():
    """Statuses alone would not be looked at without theirs."""
    failover = {"retry_on": ["connection"]}
    (policy,) = of_kind(
        exported({"qa": ["gpt"]}, entries={"qa": {"failover": failover}}), "BackendTrafficPolicy"
    ).values()
    assert policy["retry"]["retryOn"] == {
        "triggers": ["connect-failure", "refused-stream", "reset"],
        "httpStatusCodes": [],
    }


def test_a_provider_is_an_address_a_dialect_and_a_secret():
    """The secret by its name; TLS is proved by the system's certificates where there is TLS."""
    objects = exported({"qa": ["gpt", "claude", "llama"]})
    assert of_kind(objects, "Backend") == {
        "evalkit-prod-openai": {"endpoints": [{"fqdn": {"hostname": "api.openai.com", "port": 443}}]},
        "evalkit-prod-anthropic": {"endpoints": [{"fqdn": {"hostname": "api.anthropic.com", "port": 443}}]},
        "evalkit-prod-vllm": {"endpoints": [{"ip": {"address": "10.0.0.7", "port": 8000}}]},
    }
    assert set(of_kind(objects, "BackendTLSPolicy")) == {"evalkit-prod-openai", "evalkit-prod-anthropic"}
    services = of_kind(objects, "AIServiceBackend")
    assert services["evalkit-prod-anthropic"]["schema"] == {"name": "Anthropic", "prefix": "/v1"}
    assert services["evalkit-prod-vllm"]["schema"] == {"name": "OpenAI", "prefix": "/v1"}
    policies = of_kind(objects, "BackendSecurityPolicy")
    assert policies["evalkit-prod-openai"]["apiKey"] == {"secretRef": {"name": "evalkit-openai"}}
    assert policies["evalkit-prod-anthropic"]["anthropicAPIKey"] == {"secretRef": {"name": "evalkit-anthropic-api-key"}}


def test_fields_of_the_measured_request_go_along():
    """As JSON text, and only where the roster has some."""
    adapt = {"extra_body": {"top_k": 1, "reasoning": {"effort": "low"}}}
    objects = exported({"qa": ["gpt", "claude"]}, candidates={"gpt": {"request": {"mode": "text", "adapt": adapt}}})
    first, second = next(iter(of_kind(objects, "AIGatewayRoute").values()))["rules"][0]["backendRefs"]
    assert first["bodyMutation"] == {
        "set": [{"path": "reasoning", "value": '{"effort": "low"}'}, {"path": "top_k", "value": "1"}]
    }
    assert "bodyMutation" not in second


@pytest.mark.parametrize("field", ["model", "models", "fallbacks", "route"])
def test_a_field_that_chooses_a_model_is_refused(field):
    """It would undo the route."""
    adapt = {"extra_body": {field: "other"}}
    with pytest.raises(InputError, match="would choose another model"):
        exported({"qa": ["gpt"]}, candidates={"gpt": {"request": {"mode": "text", "adapt": adapt}}})


def test_too_many_fields_are_refused():
    """A backend sets sixteen."""
    adapt = {"extra_body": {f"f{number}": number for number in range(17)}}
    with pytest.raises(InputError, match="sets at most 16"):
        exported({"qa": ["gpt"]}, candidates={"gpt": {"request": {"mode": "text", "adapt": adapt}}})


def test_too_many_candidates_are_refused():
    """A rule takes sixteen."""
    patience = {"failover": {"client_timeout_s": 100_000}}
    names = [f"m{number}" for number in range(17)]
    assert exported({"qa": names[:16]}, entries={"qa": patience})
    with pytest.raises(InputError, match="17 candidates"):
        exported({"qa": names}, entries={"qa": patience})


def test_the_head_says_what_is_lost_and_what_to_remove():
    """Denied tasks, caps nobody enforces, and the command that deletes what applying leaves behind."""
    text = text_of(
        {"qa": ["gpt"], "closed": []},
        simulated=True,
        providers={**PROVIDERS, "openai": {**PROVIDERS["openai"], "spend_cap": {"usd": 200, "per": "1d"}}},
        entries={"qa": {"spend_cap": {"usd": 50, "per": "12h"}}},
    )
    head = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("#")]
    assert head[0] == "SIMULATED: must not route real traffic"
    assert "denied: task closed has no candidate and gets no route" in head
    assert "not enforced here: the spend cap of task qa, 50 USD per 12h" in head
    assert "not enforced here: the spend cap of provider 'openai', 200 USD per 1d" in head
    source = re.search(r"evalkit-source!=([0-9a-f]{12})'$", head[-1])[1]
    assert all(one["metadata"]["labels"]["evalkit-source"] == source for one in yaml.safe_load_all(text))


def test_nobody_at_all_is_a_file_of_comments():
    """No object, and so no backend."""
    text = text_of({"qa": []})
    assert all(line.startswith("# ") for line in text.splitlines())
    assert "kubectl delete aigatewayroutes" in text


@pytest.mark.parametrize("task", ["1e3", "0o17", "on", "n", "null", "2024-01-01", "1_0", "12:30"])
def test_a_task_is_text_whatever_it_looks_like(task):
    """YAML readers differ in what they take for a number; a quoted text is text for all."""
    text = text_of({task: ["gpt"]})
    value = re.search(r"value: (.*)$", text, re.MULTILINE)[1]
    assert yaml.safe_load(value) == task
    assert value[0] in "\"'"


def test_long_names_are_cut_and_stay_apart():
    """63 characters, the last of them a digest."""
    tasks = {f"{'t' * 100}{letter}": ["gpt"] for letter in "ab"}
    names = set(of_kind(exported(tasks), "AIGatewayRoute"))
    assert len(names) == 2
    assert all(len(name) == 63 for name in names)


@pytest.mark.parametrize(("one", "other"), [("a.b", "a_b"), ("QA", "qa"), ("a--b", "a-b")])
def test_tasks_that_fall_together_are_refused(one, other):
    """One route would replace the other."""
    with pytest.raises(InputError, match="would both be called"):
        exported({one: ["gpt"], other: ["claude"]})


def test_providers_that_fall_together_are_refused():
    """One address would serve both."""
    providers = {"a.b": PROVIDERS["vllm"], "a-b": PROVIDERS["vllm"]}
    models = {"x": {"provider": "a.b"}, "y": {"provider": "a-b"}}
    with pytest.raises(InputError, match=r"providers 'a\.b' and 'a-b'"):
        exported({"qa": ["x", "y"]}, providers=providers, models=models)


@pytest.mark.parametrize(
    ("terms", "problem"),
    [
        ({}, "where provider 'openai' is reached"),
        ({"api_base": "https://api.openai.com"}, "path its API begins with"),
        ({"api_base": "https://10.0.0.7/v1"}, "reached by name"),
        ({"api_base": "https://a_b.example/v1"}, "no plain address"),
        ({"api_base": "https://a.example/v1?key=x"}, "no plain address"),
        ({"api_base": "https://a.example:99999/v1"}, "no plain address"),
        ({"api_base": "https://a.example/v1", "kind": "bedrock"}, "of the type 'bedrock'"),
    ],
)
def test_a_provider_envoy_cannot_reach_is_refused(terms, problem):
    """With the place in the policy that cures it."""
    with pytest.raises(InputError, match=re.escape(problem)) as caught:
        exported({"qa": ["gpt"]}, providers={"openai": terms})
    assert "policy" in caught.value.next_step


def test_a_model_without_a_provider_is_refused():
    """It is named."""
    with pytest.raises(InputError, match="'gpt'"):
        exported({"qa": ["gpt"]}, models={"gpt": {"provider": None}})


def test_one_provider_on_two_hosts_is_refused():
    """One of the two models would be served by a host nobody measured."""
    models = {"a": {"host": "east"}, "b": {"host": "west"}}
    with pytest.raises(InputError, match=r"different hosts \('east' and 'west'\)"):
        exported({"qa": ["a"], "code": ["b"]}, models=models)


def test_two_models_in_the_same_words_are_refused():
    """Unless what is sent with them differs."""
    models = {"fast": {"route": "openai/gpt"}, "slow": {"route": "openai/gpt"}}
    with pytest.raises(InputError, match="cannot tell them apart"):
        exported({"qa": ["fast", "slow"]}, models=models)
    adapt = {"extra_body": {"reasoning_effort": "high"}}
    assert exported(
        {"qa": ["fast", "slow"]}, models=models, candidates={"slow": {"request": {"mode": "text", "adapt": adapt}}}
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(10, "10s"), (2.5, "2s500ms"), (0.0001, "1ms"), (3600, "1h"), (90_061.25, "25h61s250ms"), (1e15, "99999h")],
)
def test_durations_fit_the_gateway_api(seconds, text):
    """Never zero, never more than five digits before a unit."""
    assert re.fullmatch(DURATION["pattern"], _duration(seconds))
    assert _duration(seconds).startswith(text)
