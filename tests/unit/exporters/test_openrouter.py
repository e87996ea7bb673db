"""OpenRouter: what is written is what OpenRouter's own SDK would send, and never lets in more than the file does."""

from __future__ import annotations

import json

import pytest
from openrouter.components import ChatRequest, CreateGuardrailRequest
from openrouter.operations import CreatePresetsChatCompletionsRequest
from openrouter.types import UnrecognizedStr
from pydantic import BaseModel

from evalkit.errors import InputError
from evalkit.plugins import load_plugin
from evalkit.testing.eligibility import an_eligibility

HERE = {"kind": "openrouter", "vantage": ""}
LLAMA = {"route": "meta-llama/llama-3.3-70b-instruct", "provider": "meta", "host": "together", "quantization": "fp8"}
GPT = {"route": "openai/gpt-4o-2024-08-06", "host": "openai", "quantization": "unknown"}


def exported(tasks, **fields):
    """The files of an eligibility document, JSON parsed, by name without the folder."""
    fields.setdefault("gateway", HERE)
    files = load_plugin("exporters", "openrouter")().export(an_eligibility(tasks, **fields).document())
    texts = {name.removeprefix("openrouter/"): content.decode() for name, content in files}
    return {name: json.loads(text) if name.endswith(".json") else text for name, text in texts.items()}


def unrecognized(value):
    """Whether the SDK took a text it does not know for one of its words."""
    if isinstance(value, BaseModel):
        return any(unrecognized(getattr(value, name)) for name in value.model_fields_set)
    if isinstance(value, (list, tuple)):
        return any(map(unrecognized, value))
    return isinstance(value, UnrecognizedStr)


def said_by_the_sdk(shape, body):
    """What the SDK sends for a body; it drops what it does not know, so anything unknown shows as a difference."""
    model = shape.model_validate(body)
    assert not unrecognized(model)
    return json.loads(model.model_dump_json(by_alias=True, exclude_unset=True))


# --- the oracle itself


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a", "allowed_modells": ["a/b"]},
        {"name": "a", "limit_usd": 1.0, "reset_period": "daily"},
    ],
)
def test_the_oracle_shows_a_key_openrouter_does_not_have(body):
    """A misspelt key is dropped, and so the body differs from what is sent."""
    assert said_by_the_sdk(CreateGuardrailRequest, body) != body


def test_the_oracle_refuses_a_word_openrouter_does_not_have():
    """The SDK lets unknown words through as such; the test does not."""
    with pytest.raises(AssertionError):
        said_by_the_sdk(CreateGuardrailRequest, {"name": "a", "limit_usd": 1.0, "reset_interval": "hourly"})
    nested = {"messages": [{"role": "user", "content": "x"}], "provider": {"quantizations": ["fp7"]}}
    with pytest.raises(AssertionError):
        said_by_the_sdk(ChatRequest, nested)


# --- guardrails


def test_a_guardrail_names_the_candidates_of_its_task():
    """In order, with their hosts and the task's cap; a task nobody may serve has its key disabled instead."""
    cap = {"spend_cap": {"usd": 50, "per": "1d"}}
    tasks = {"qa": ["llama", "gpt"], "code": ["gpt"], "closed": []}
    whole = exported(tasks, models={"llama": LLAMA, "gpt": GPT}, entries={"qa": cap})["guardrails.json"]
    first, second = whole["guardrails"]
    assert first.pop("description").startswith("written by evalkit from eligibility file ")
    assert first == {
        "name": "evalkit-prod-qa",
        "allowed_models": ["meta-llama/llama-3.3-70b-instruct", "openai/gpt-4o-2024-08-06"],
        "allowed_providers": ["together", "openai"],
        "limit_usd": 50.0,
        "reset_interval": "daily",
        "include_byok_in_budgets": True,
    }
    assert second["allowed_models"] == ["openai/gpt-4o-2024-08-06"]
    assert "limit_usd" not in second
    assert whole["disable_keys_for"] == ["closed"]


@pytest.mark.parametrize("per", ["1d", "24h", "7d", "168h", "30d"])
def test_every_guardrail_is_a_body_the_sdk_knows(per):
    """Key for key, word for word."""
    entries = {"qa": {"spend_cap": {"usd": 5, "per": per}}}
    for guardrail in exported({"qa": ["llama", "gpt"]}, models={"llama": LLAMA, "gpt": GPT}, entries=entries)[
        "guardrails.json"
    ]["guardrails"]:
        assert said_by_the_sdk(CreateGuardrailRequest, guardrail) == guardrail


@pytest.mark.parametrize(
    ("per", "interval"), [("1d", "daily"), ("24h", "daily"), ("7d", "weekly"), ("30d", "monthly"), ("720h", "monthly")]
)
def test_a_cap_is_reset_as_often_as_the_policy_says(per, interval):
    """A day, a week or thirty days, in whatever unit."""
    (guardrail,) = exported(
        {"qa": ["gpt"]}, models={"gpt": GPT}, entries={"qa": {"spend_cap": {"usd": 5, "per": per}}}
    )["guardrails.json"]["guardrails"]
    assert guardrail["reset_interval"] == interval


@pytest.mark.parametrize("per", ["1h", "12h", "2d", "31d", "86399s"])
def test_a_cap_over_another_period_is_refused(per):
    """It is neither bent nor dropped."""
    with pytest.raises(InputError, match="resets a limit daily, weekly or monthly") as caught:
        exported({"qa": ["gpt"]}, models={"gpt": GPT}, entries={"qa": {"spend_cap": {"usd": 5, "per": per}}})
    assert "'qa'" in caught.value.problem
    assert "1d" in caught.value.next_step


def test_a_host_that_is_not_named_pins_none():
    """A list of hosts would shut out the model that names none; the notes say what that leaves open."""
    files = exported({"qa": ["llama", "gpt"]}, models={"llama": LLAMA, "gpt": {**GPT, "host": None}})
    assert "allowed_providers" not in files["guardrails.json"]["guardrails"][0]
    assert "only" not in files["presets/qa.json"]["chat_request"]["provider"]
    assert "task qa: any host may serve openai/gpt-4o-2024-08-06" in files["notes.txt"]
    assert "hosts named for its other models are not enforced" in files["notes.txt"]


def test_one_model_on_two_hosts_is_listed_once():
    """Two candidates of ours, one model of theirs, two hosts in order."""
    models = {"a": LLAMA, "b": {**LLAMA, "host": "fireworks"}}
    files = exported({"qa": ["b", "a"]}, models=models)
    (guardrail,) = files["guardrails.json"]["guardrails"]
    assert guardrail["allowed_models"] == ["meta-llama/llama-3.3-70b-instruct"]
    assert guardrail["allowed_providers"] == ["fireworks", "together"]
    assert "not measured" not in files["notes.txt"]


def test_what_two_lists_let_through_together_is_said():
    """A guardrail's hosts hold for all its models."""
    notes = exported({"qa": ["llama", "gpt"]}, models={"llama": LLAMA, "gpt": GPT})["notes.txt"]
    assert "meta-llama/llama-3.3-70b-instruct may also be served by openai, where it was not measured" in notes


def test_a_simulated_file_says_so():
    """In the guardrail's description too, where people meet it."""
    files = exported({"qa": ["gpt"]}, models={"gpt": GPT}, simulated=True)
    assert files["guardrails.json"]["guardrails"][0]["description"].startswith("SIMULATED")
    assert all(files[name]["source"][0].startswith("SIMULATED") for name in files if name.endswith(".json"))
    assert files["notes.txt"].startswith("SIMULATED")


def test_what_openrouter_cannot_hold_is_said():
    """A provider's cap, and fields the measured requests had."""
    notes = exported(
        {"qa": ["gpt"]},
        models={"gpt": GPT},
        providers={"openai": {"spend_cap": {"usd": 200, "per": "1d"}}},
        candidates={"gpt": {"request": {"mode": "text", "adapt": {"extra_body": {"top_k": 1}}}}},
    )["notes.txt"]
    assert "not enforced here: the spend cap of provider 'openai', 200 USD per 1d" in notes
    assert "the caller sends: 'top_k' with requests to gpt, as measured" in notes


def test_nobody_at_all_is_no_guardrail():
    """An empty list of models would mean every model."""
    files = exported({"qa": []})
    assert files["guardrails.json"]["guardrails"] == []
    assert files["guardrails.json"]["disable_keys_for"] == ["qa"]
    assert sorted(files) == ["evaluation_pins.json", "guardrails.json", "notes.txt"]


# --- presets and pins


def test_a_preset_has_the_order_and_the_hosts():
    """And is a request the SDK would send to create it."""
    preset = exported({"a.b": ["llama", "gpt"]}, models={"llama": LLAMA, "gpt": GPT})["presets/a.b.json"]
    assert preset.pop("source")[0].startswith("written by evalkit")
    assert preset["slug"] == "a-b"
    assert preset["chat_request"]["models"] == ["meta-llama/llama-3.3-70b-instruct", "openai/gpt-4o-2024-08-06"]
    assert preset["chat_request"]["provider"] == {
        "require_parameters": True,
        "only": ["together", "openai"],
        "order": ["together", "openai"],
        "quantizations": ["fp8", "unknown"],
    }
    assert said_by_the_sdk(CreatePresetsChatCompletionsRequest, preset) == preset


def test_a_pin_leaves_one_model_on_one_host():
    """Nothing falls back, nothing is repaired or shortened, no parameter is dropped."""
    pins = exported({"qa": ["llama"], "code": ["gpt"]}, models={"llama": LLAMA, "gpt": {**GPT, "host": None}})[
        "evaluation_pins.json"
    ]["pins"]
    assert pins["llama"] == {
        "model": "meta-llama/llama-3.3-70b-instruct",
        "provider": {
            "allow_fallbacks": False,
            "require_parameters": True,
            "only": ["together"],
            "order": ["together"],
            "quantizations": ["fp8"],
        },
        "plugins": [{"id": "context-compression", "enabled": False}, {"id": "response-healing", "enabled": False}],
    }
    assert "only" not in pins["gpt"]["provider"]
    for pin in pins.values():
        request = {**pin, "messages": [{"role": "user", "content": "x"}]}
        assert said_by_the_sdk(ChatRequest, request) == request


def test_tasks_that_fall_together_are_refused():
    """One preset for two tasks would give one the other's models."""
    with pytest.raises(InputError, match="would both be called 'a-b'"):
        exported({"a.b": ["gpt"], "a_b": ["gpt"]}, models={"gpt": GPT})


# --- ids


def test_a_model_measured_elsewhere_needs_an_id_of_its_own():
    """Its route is another gateway's word, even where it looks like OpenRouter's."""
    with pytest.raises(InputError, match="'gpt' was measured through another gateway") as caught:
        exported({"qa": ["gpt"]}, models={"gpt": GPT}, gateway={"kind": "litellm", "vantage": ""})
    assert "routes: {openrouter: author/model}" in caught.value.next_step
    models = {"gpt": {**GPT, "routes": {"openrouter": "openai/gpt-4o"}}}
    files = exported({"qa": ["gpt"]}, models=models, gateway={"kind": "litellm", "vantage": ""})
    assert files["guardrails.json"]["guardrails"][0]["allowed_models"] == ["openai/gpt-4o"]


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4o",
        "~anthropic/claude-opus-latest",
        "anthropic/claude-opus-latest",
        "openai/gpt-4o:nitro",
        "openai/gpt-4o:free",
        "openrouter/auto",
        "OpenRouter/fusion",
        "@preset/mine",
        "openai/gpt-4o@preset/mine",
        "openai/gpt-4o,openai/gpt-4o-mini",
        "a/b/c",
        "openai/",
        "openai/gpt 4o",
    ],
)
def test_a_name_that_may_stand_for_others_is_refused(name):
    """Aliases, variants, routers, presets and lists."""
    with pytest.raises(InputError, match="not one fixed model") as caught:
        exported({"qa": ["m"]}, models={"m": {"route": name}})
    assert "'m'" in caught.value.problem


@pytest.mark.parametrize("name", ["openai/*", "*", "a/b?"])
def test_a_wildcard_is_refused(name):
    """Whoever writes it."""
    with pytest.raises(InputError, match="wildcard"):
        exported({"qa": ["m"]}, models={"m": {"route": "a/b", "routes": {"openrouter": name}}})


@pytest.mark.parametrize("host", ["Together AI", "", "together,openai", "a/b/c", "-a"])
def test_a_host_that_is_no_slug_is_refused(host):
    """OpenRouter would take it for a host it does not have."""
    with pytest.raises(InputError, match="no provider slug"):
        exported({"qa": ["m"]}, models={"m": {"route": "a/b", "host": host}})


def test_a_quantisation_openrouter_does_not_have_is_refused():
    """As a filter it would leave nobody, or everybody."""
    with pytest.raises(InputError, match="'awq'"):
        exported({"qa": ["m"]}, models={"m": {"route": "a/b", "quantization": "awq"}})
