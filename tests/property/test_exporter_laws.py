"""Laws every exporter obeys, whatever the file: nobody but candidates, no wildcard, no empty list, the same bytes.

Each model asks its provider for a name with a mark of its own, so that a name that leaks is found wherever it stands.
An exporter may refuse a file it cannot express; what it writes must hold.
"""

from __future__ import annotations

import json
import re
import tomllib

import pytest
import yaml
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from evalkit.errors import InputError
from evalkit.plugins import load_plugin, plugin_names
from evalkit.testing.eligibility import an_eligibility

TARGETS = plugin_names("exporters")
MARKS = re.compile(r"wire-[0-9a-f]{2}")
MODELS = [f"m{number:02x}" for number in range(6)]
PROVIDERS = {
    "openai": {"api_base": "https://api.openai.example/v1", "spend_cap": {"usd": 9, "per": "1d"}},
    "anthropic": {"api_base": "https://api.anthropic.example/v1"},
    "together": {"kind": "openai", "api_base": "http://together.example:8080/v1", "api_key_env": "EVALKIT_TOGETHER"},
}
TASKS = ["qa", "QA-2", "a.b", "a_b", "1e3", "on", "task:x@y+z"]
ALLOW_LISTS = {
    "allowed_models",
    "allowed_providers",
    "models",
    "only",
    "order",
    "quantizations",
    "key_ids",
    "backendRefs",
}
POISON = ["*", "{0}*", "regex:.+", "regex:{0}", "~a/{0}-latest", "openrouter/auto", "a/{0}:nitro", "@preset/{0}", ""]
STANDS_FOR_MANY = {"bifrost": ("*", "regex:"), "openrouter": ("*", "~", "@preset", "openrouter/")}
DENIAL_LISTS = {("openrouter", "disable_keys_for"), ("allowlist", "tasks")}


def mark_of(model):
    """The name nobody else has."""
    return f"wire-{model[1:]}"


def model_entries():
    """What may differ between models."""
    return st.fixed_dictionaries(
        {
            "provider": st.sampled_from(sorted(PROVIDERS)),
            "host": st.sampled_from([None, None, "together", "fireworks"]),
            "quantization": st.sampled_from([None, "fp8", "bf16"]),
            "context_tokens": st.sampled_from([None, 8_000, 128_000]),
        }
    )


@st.composite
def documents(draw, *, n_live=3, poison=False):
    """An eligibility document: some tasks with candidates, some without, models nobody may be served, and caps."""
    names = draw(st.lists(st.sampled_from(TASKS), min_size=1, max_size=4, unique=True))
    live = names[: draw(st.integers(0, min(n_live, len(names))))]
    tasks = {name: draw(st.lists(st.sampled_from(MODELS), min_size=1, max_size=3, unique=True)) for name in live}
    tasks |= {name: [] for name in names if name not in tasks}
    models = {model: draw(model_entries()) for model in MODELS}
    for model, entry in models.items():
        entry["route"] = f"{entry['provider']}/{mark_of(model)}"
        entry["routes"] = {"openrouter": f"author/{mark_of(model)}"}
    if poison:
        target = draw(st.sampled_from(next(filter(None, tasks.values()), MODELS)))
        name = draw(st.sampled_from(POISON)).format(mark_of(target))
        models[target]["routes"] = {"openrouter": name, "upstream": name}
    retries = draw(st.integers(0, 2))
    caps = [None, {"usd": 5, "per": "1d"}, {"usd": 5, "per": "7d"}, {"usd": 5, "per": "12h"}]
    rejected = {"verdict": "ineligible", "reasons": [{"code": "gate_failed"}]}
    entries = {
        name: {
            "failover": {"retries": retries, "client_timeout_s": 600},
            "spend_cap": draw(st.sampled_from(caps)),
            "latency": draw(st.sampled_from([None, {"p95_s": 4}])),
            "rejected": [{"model": model, **rejected} for model in MODELS if model not in offered],
        }
        for name, offered in tasks.items()
    }
    extra = draw(
        st.sampled_from([{}, {"top_k": 1}, {"model": "wire-ff"}, {"models": ["wire-ff"]}]) if poison else st.just({})
    )
    candidates = {draw(st.sampled_from(MODELS)): {"request": {"mode": "text", "adapt": {"extra_body": extra}}}}
    # A candidate is as likely in the model table as a model nobody may be served.
    whole = an_eligibility(
        {**tasks, "all": MODELS},
        models=models,
        entries=entries,
        candidates=candidates,
        providers=PROVIDERS,
        simulated=draw(st.booleans()),
    ).document()
    del whole["tasks"]["all"]
    return whole


def written(target, document):
    """The files of an exporter by name, or nothing when it refuses the document."""
    try:
        return dict(load_plugin("exporters", target)().export(document))
    except InputError:
        event(f"{target} refused")
        return None


def parsed(name, content):
    """What a machine reads in a file: comments and notes are for people."""
    text = content.decode()
    if name.endswith(".json"):
        return json.loads(text)
    if name.endswith((".yaml", ".yml")):
        return list(yaml.safe_load_all(text))
    if name.endswith(".toml"):
        return tomllib.loads(text)
    if name.endswith("notes.txt"):
        return None
    return [line for line in text.splitlines() if not line.startswith("#")]


def leaves(value, path=()):
    """Every (path, key or scalar) of a parsed value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key), key
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    else:
        yield path, value


def lists_in(value, path=()):
    """Every (path, list) of a parsed value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from lists_in(item, (*path, key))
    elif isinstance(value, list):
        yield path, value
        for item in value:
            yield from lists_in(item, path)


def candidates_of(document):
    """Task to its candidates, in order."""
    return {name: [entry["model"] for entry in task["candidates"]] for name, task in document["tasks"].items()}


# --- what each target asks for, by task and in order


def asked_by_allowlist(files):
    """Routes, row by row."""
    return {
        task: [row["route"] for row in rows]
        for task, rows in parsed("x.json", files["allowlist.json"])["tasks"].items()
    }


def asked_by_litellm(files):
    """Groups of a task, in the order of the list."""
    (config,) = parsed("x.yaml", files["litellm/config.yaml"])
    asked = {}
    for deployment in config["model_list"] or []:
        task, _, _ = deployment["model_name"].partition("#")
        asked.setdefault(task, []).append(deployment["litellm_params"]["model"])
    return asked


def asked_by_portkey(files):
    """Targets of a task's fallback."""
    config = parsed("x.json", files["portkey/config.json"])
    return {task["name"]: [one["override_params"]["model"] for one in task["targets"]] for task in config["targets"]}


def asked_by_tensorzero(files):
    """Variants of a task's function: all of them, in the order they are tried."""
    config = parsed("x.toml", files["tensorzero/tensorzero.toml"])
    asked = {}
    for task, function in config.get("functions", {}).items():
        experiment = function["experimentation"]
        order = [*experiment["candidate_variants"], *experiment["fallback_variants"]]
        assert set(order) == set(function["variants"])
        models = [config["models"][function["variants"][name]["model"]] for name in order]
        asked[task] = [one["providers"][one["routing"][0]]["model_name"] for one in models]
    return asked


def asked_by_openrouter(files):
    """A guardrail's models, which are its preset's too."""
    guardrails = parsed("x.json", files["openrouter/guardrails.json"])["guardrails"]
    asked = {one["name"].removeprefix("evalkit-prod-"): one["allowed_models"] for one in guardrails}
    for task, models in asked.items():
        preset = parsed("x.json", files[f"openrouter/presets/{task}.json"])
        assert preset["chat_request"]["models"] == models
    return asked


def asked_by_envoy(files):
    """Backends of a route by priority; the task's header is all it matches."""
    asked = {}
    for one in parsed("x.yaml", files["envoy/aigateway.yaml"]):
        if one is not None and one["kind"] == "AIGatewayRoute":
            (rule,) = one["spec"]["rules"]
            ((header,),) = [match["headers"] for match in rule["matches"]]
            assert (header["type"], header["name"]) == ("Exact", "x-evalkit-task")
            assert [ref["priority"] for ref in rule["backendRefs"]] == list(range(len(rule["backendRefs"])))
            asked[header["value"]] = [ref["modelNameOverride"] for ref in rule["backendRefs"]]
    return asked


def asked_by_bifrost(files):
    """The rule's order, which is what the virtual key allows and no more."""
    governance = parsed("x.json", files["bifrost/config.json"])["governance"]
    tasks = {key["id"]: key["name"].removeprefix("evalkit task ") for key in governance["virtual_keys"]}
    asked = {}
    for key, rule in zip(governance["virtual_keys"], governance["routing_rules"], strict=True):
        order = [rule["targets"][0]["model"], *(text.partition("/")[2] for text in rule["fallbacks"])]
        allowed = [model for config in key["provider_configs"] for model in config["allowed_models"]]
        assert rule["scope_id"] == key["id"]
        assert sorted(order) == sorted(allowed)
        asked[tasks[rule["scope_id"]]] = order
    return asked


ASKED = {
    name.removeprefix("asked_by_"): function for name, function in globals().items() if name.startswith("asked_by_")
}


def test_every_exporter_is_under_the_laws():
    """A new one has to say where it names models."""
    assert set(ASKED) == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
@given(document=documents())
@settings(max_examples=30)
def test_a_task_asks_for_its_candidates_in_order_and_nobody_else(target, document):
    """Task by task: the names, their order, and no task without candidates."""
    files = written(target, document)
    assume(files is not None)
    offered = candidates_of(document)
    asked = {task: names for task, names in ASKED[target](files).items() if names}
    assert set(asked) == {task for task, models in offered.items() if models}
    for task, names in asked.items():
        assert [MARKS.search(name)[0] for name in names] == [mark_of(model) for model in offered[task]]


@pytest.mark.parametrize("target", TARGETS)
@given(document=documents(n_live=1, poison=True))
@settings(max_examples=30)
def test_no_file_names_a_model_that_is_no_candidate(target, document):
    """With one task alive, every mark anywhere, comments and notes included, is one of its candidates'.

    And nothing a machine reads stands for many: no wildcard, and no pattern, router or alias the target would know.
    """
    files = written(target, document)
    assume(files is not None)
    marks = {mark_of(model) for models in candidates_of(document).values() for model in models}
    for name, content in files.items():
        assert set(MARKS.findall(content.decode())) <= marks
        for path, leaf in leaves(parsed(name, content)):
            assert str(leaf) != "*", path
            assert not str(leaf).startswith(STANDS_FOR_MANY.get(target, "*")), path


@pytest.mark.parametrize("target", TARGETS)
@given(document=documents())
@settings(max_examples=30)
def test_what_denies_is_not_left_to_an_empty_list(target, document):
    """Some gateways take an empty list for everything: none is written, and a denied task is no route.

    Its name is in comments, notes and lists that deny. The same document gives the same bytes and stays as it was, and
    files for simulated models say so.
    """
    before = json.dumps(document)
    files = written(target, document)
    assert json.dumps(document) == before
    assume(files is not None)
    assert written(target, json.loads(before)) == files
    denied = {task for task, models in candidates_of(document).items() if not models}
    for name, content in files.items():
        value = parsed(name, content)
        for path, items in lists_in(value):
            assert items or not ALLOW_LISTS & set(path[-1:]), (name, path)
        for path, leaf in leaves(value):
            assert leaf not in denied or any((target, key) in DENIAL_LISTS for key in path), (name, path)
    text = b"".join(files.values()).lower()
    assert (b"simulated: must not" in text or b'"simulated": true' in text) == document["simulated"]
