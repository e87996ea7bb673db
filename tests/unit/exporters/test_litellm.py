"""LiteLLM's configuration, read back as YAML. What it makes the proxy do is shown in tests/gateways."""

from __future__ import annotations

import pytest
import yaml

from evalkit.errors import InputError
from evalkit.plugins import load_plugin
from evalkit.testing.eligibility import an_eligibility

PATIENT = {"client_timeout_s": 600}


def exported(tasks, **differing):
    """The files, by name."""
    document = an_eligibility(tasks, **differing).document()
    return {name: content.decode() for name, content in load_plugin("exporters", "litellm")().export(document)}


def config_of(tasks, **differing):
    """The proxy's configuration."""
    return yaml.safe_load(exported(tasks, **differing)["litellm/config.yaml"])


def settings_of(tasks, **differing):
    """Its `router_settings`."""
    return config_of(tasks, **differing)["router_settings"]


def test_one_group_a_position():
    """`<task>` is asked first, `<task>#1` next; each deployment says which model it is."""
    models = {"b": {"provider": "local", "route": "local/big", "context_tokens": 4000}}
    terms = {"local": {"kind": "hosted_vllm", "api_base": "http://10.0.0.1:8000/v1", "api_key_env": "LOCAL_KEY"}}
    config = config_of({"qa": ["a", "b"]}, models=models, providers=terms)

    assert [entry["model_name"] for entry in config["model_list"]] == ["qa", "qa#1"]
    assert config["model_list"][1] == {
        "model_name": "qa#1",
        "litellm_params": {
            "model": "hosted_vllm/big",
            "api_key": "os.environ/LOCAL_KEY",
            "timeout": 10.0,
            "max_retries": 0,
            "api_base": "http://10.0.0.1:8000/v1",
        },
        "model_info": {
            "id": "evalkit:qa:b",
            "evalkit_model": "b",
            "evalkit_task": "qa",
            "mode": "chat",
            "max_input_tokens": 4000,
        },
    }


def test_what_always_holds():
    """The callback, a key for the proxy itself, no default and no cooldown."""
    config = config_of({"qa": ["a"]})

    assert config["litellm_settings"] == {"callbacks": ["evalkit.router.litellm_hook.handler"]}
    assert config["general_settings"] == {"master_key": "os.environ/LITELLM_MASTER_KEY"}
    assert config["router_settings"]["disable_cooldowns"] is True
    assert config["router_settings"]["num_retries"] == 0
    assert "default_fallbacks" not in str(config)
    assert "*" not in str(config)


def test_retries_are_each_groups_own():
    """By class of error, as the policy's kinds say; never for what would be answered just the same."""
    entries = {
        "qa": {"failover": {"retries": 3, "retry_on": ["rate_limited", "provider_error"], **PATIENT}},
        "sums": {"failover": {"retries": 1, **PATIENT}},
    }
    policies = settings_of({"qa": ["a", "b"], "sums": ["a"]}, entries=entries)["model_group_retry_policy"]

    assert set(policies) == {"qa", "qa#1", "sums"}
    assert {name: count for name, count in policies["qa#1"].items() if count} == {
        "RateLimitErrorRetries": 3,
        "InternalServerErrorRetries": 3,
    }
    assert {name: count for name, count in policies["sums"].items() if count} == {
        "RateLimitErrorRetries": 1,
        "TimeoutErrorRetries": 1,
        "ServiceUnavailableErrorRetries": 1,
    }
    assert policies["qa"]["BadRequestErrorRetries"] == policies["qa"]["DefaultRetries"] == 0


def test_fallbacks_are_the_order():
    """The first group names those after it; an overflow goes to wider ones only, refused content to none."""
    models = {"a": {"context_tokens": 1000}, "b": {"context_tokens": 500}, "c": {"context_tokens": 4000}}
    settings = settings_of({"qa": ["a", "b", "c"], "one": ["a"]}, models=models)

    assert settings["fallbacks"] == [{"qa": ["qa#1", "qa#2"]}]
    overflows = {name: groups for entry in settings["context_window_fallbacks"] for name, groups in entry.items()}
    assert overflows == {"qa": ["qa#2"], "qa#1": ["qa#2"], "qa#2": [], "one": []}
    assert settings["content_policy_fallbacks"] == [{"qa": []}, {"qa#1": []}, {"qa#2": []}, {"one": []}]
    assert settings["max_fallbacks"] == 3


def test_a_task_nobody_serves_has_no_group():
    """Its name is only in a remark."""
    files = exported({"qa": ["a"], "closed": []})
    config = yaml.safe_load(files["litellm/config.yaml"])

    assert "closed" not in str(config)
    assert "closed" in files["litellm/notes.txt"]


def test_a_file_that_admits_nobody():
    """An empty list of models, and none to fall back on."""
    config = config_of({"qa": []})

    assert config["model_list"] == []
    assert config["router_settings"]["fallbacks"] == []


def test_sticky_tasks_keep_their_deployment():
    """LiteLLM's own check, and only where a task wants it."""
    assert settings_of({"qa": ["a"]})["optional_pre_call_checks"] == ["session_affinity"]
    entries = {"qa": {"failover": {"session": "any"}}}
    assert "optional_pre_call_checks" not in settings_of({"qa": ["a"]}, entries=entries)


def test_a_providers_cap_counts_by_type():
    """Exact where the type is one provider's; said where LiteLLM would count two together."""
    cap = {"usd": 20, "per": "1d"}
    terms = {"openai": {"spend_cap": cap}, "idle": {"spend_cap": cap}}
    assert settings_of({"qa": ["a"]}, providers=terms)["provider_budget_config"] == {
        "openai": {"budget_limit": 20.0, "time_period": "1d"}
    }

    files = exported(
        {"qa": ["a", "b"]},
        models={"b": {"provider": "local"}},
        providers={**terms, "local": {"kind": "openai"}},
    )
    assert "provider_budget_config" not in files["litellm/config.yaml"]
    (line,) = [line for line in files["litellm/notes.txt"].splitlines() if "provider 'openai'" in line]
    assert line.startswith("not enforced here")
    assert f"# {line}\n" in files["litellm/config.yaml"]


def test_a_tasks_cap_is_never_exceeded():
    """LiteLLM caps deployments: equal parts sum up to the cap, and a remark says so."""
    entries = {"qa": {"spend_cap": {"usd": 50, "per": "7d"}}}
    files = exported({"qa": ["a", "b"]}, entries=entries)
    config = yaml.safe_load(files["litellm/config.yaml"])

    params = [entry["litellm_params"] for entry in config["model_list"]]
    assert [(one["max_budget"], one["budget_duration"]) for one in params] == [(25.0, "7d"), (25.0, "7d")]
    assert "in equal parts: the spend cap of task qa" in files["litellm/notes.txt"]


def test_extra_body_is_sent_as_measured():
    """Fields the model was measured with go with each request."""
    adapt = {"extra_body": {"reasoning": {"effort": "low"}}}
    config = config_of({"qa": ["a"]}, candidates={"a": {"request": {"mode": "text", "adapt": adapt}}})

    assert config["model_list"][0]["litellm_params"]["extra_body"] == {"reasoning": {"effort": "low"}}


def test_the_environment_has_names_only():
    """Every variable the files name, once, and no value but harmless ones."""
    terms = {"openai": {"api_key_env": "OUR_KEY"}}
    lines = exported({"qa": ["a", "b"]}, providers=terms)["litellm/litellm.env.example"].splitlines()

    values = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert {name for name, value in values.items() if not value} == {
        "LITELLM_MASTER_KEY",
        "EVALKIT_ELIGIBILITY_FILE",
        "EVALKIT_PUBLIC_KEYS",
        "EVALKIT_ALLOW_SIMULATED",
        "OUR_KEY",
    }
    assert values["EVALKIT_AUDIENCE"] == "prod"


def test_a_simulated_file_says_so():
    """In every file, first."""
    files = exported({"qa": ["a"]}, simulated=True)
    assert all(content.removeprefix("# ").startswith("SIMULATED") for content in files.values())


def test_litellms_own_pauses_count():
    """It pauses after the last try too, with jitter: what fits on paper may not fit there."""
    failover = {"retries": 1, "upstream_timeout_s": 10, "client_timeout_s": 22}
    with pytest.raises(InputError, match="retry collision: task 'qa'"):
        exported({"qa": ["a"]}, entries={"qa": {"failover": failover}})
    assert exported({"qa": ["a"]}, entries={"qa": {"failover": {**failover, "client_timeout_s": 23}}})


@pytest.mark.parametrize(
    ("differing", "problem"),
    [
        ({"models": {"a": {"provider": None}}}, "model 'a', task 'qa', names no provider"),
        ({"models": {"a": {"route": "openai/*"}}}, "is a wildcard"),
        ({"providers": {"openai": {"api_key_env": "OPENAI_API_KEY"}}}, "look 'OPENAI_API_KEY' up by themselves"),
    ],
)
def test_refused(differing, problem):
    """What LiteLLM cannot be told safely is not written at all."""
    with pytest.raises(InputError, match=problem):
        exported({"qa": ["a"]}, **differing)
