"""Portkey's config and the nginx in front of it. What they make the programs do is shown in tests/gateways."""

from __future__ import annotations

import json
import re
from string import Template

import pytest

from evalkit.errors import InputError
from evalkit.plugins import load_plugin
from evalkit.testing.eligibility import an_eligibility

AWKWARD = 'it\'s $5 of \\ "quotes" and ${EVALKIT_OPENAI_API_KEY}'


def exported(tasks, **differing):
    """The files, by name."""
    document = an_eligibility(tasks, **differing).document()
    return {name: content.decode() for name, content in load_plugin("exporters", "portkey")().export(document)}


def filled_in(text, **values):
    """Fill variables in as envsubst does, and leave every other dollar alone."""
    return re.sub(r"\$\{(\w+)\}", lambda found: values.get(found[1], found[0]), text)


def config_of(tasks, **differing):
    """The config as Portkey reads it, its key filled in."""
    text = exported(tasks, **differing)["portkey/config.json"]
    return json.loads(filled_in(text, EVALKIT_OPENAI_API_KEY="sk-1"))


def nginx_strings(text):
    """Return what nginx makes of the single-quoted values of its maps, by map and pattern."""
    found = {}
    for name, body in re.findall(r"map \$evalkit_task \$(\w+) \{\n(.*?)\n\}\n", text, re.DOTALL):
        rows = re.findall(r"^    \"(~[^\n]*?)\" '([^\n]*)';$", body, re.MULTILINE)
        found[name] = {pattern: re.sub(r"\\(.)", r"\1", value) for pattern, value in rows}
    return found


def test_one_condition_a_task():
    """On `metadata.task`, and no default: what has no condition is refused."""
    config = config_of({"qa": ["a"], "closed": [], "sums": ["a"]})

    assert config["strategy"] == {
        "mode": "conditional",
        "conditions": [
            {"query": {"metadata.task": {"$eq": "qa"}}, "then": "qa"},
            {"query": {"metadata.task": {"$eq": "sums"}}, "then": "sums"},
        ],
    }
    assert [target["name"] for target in config["targets"]] == ["qa", "sums"]


def test_candidates_in_order():
    """Each with its own tries; the next is asked after the statuses of the policy only."""
    models = {"b": {"provider": "local", "route": "local/big"}}
    terms = {"local": {"kind": "openai", "api_base": "http://10.0.0.1:8000/v1", "api_key_env": "LOCAL_KEY"}}
    entries = {"qa": {"failover": {"retries": 1, "upstream_timeout_s": 2.5}}}
    (task,) = config_of({"qa": ["a", "b"]}, models=models, providers=terms, entries=entries)["targets"]

    assert task["strategy"] == {"mode": "fallback", "on_status_codes": [401, 402, 404, 408, 429, 503, 504, 524, 529]}
    assert task["targets"][1] == {
        "name": "b",
        "provider": "openai",
        "api_key": "${LOCAL_KEY}",
        "override_params": {"model": "big"},
        "retry": {"attempts": 1, "on_status_codes": [408, 429, 503, 504, 524, 529]},
        "request_timeout": 2500,
        "custom_host": "http://10.0.0.1:8000/v1",
    }
    assert task["targets"][0]["api_key"] == "sk-1"


def test_nothing_to_retry_on_is_no_retry():
    """An empty list of statuses would be Portkey's own."""
    failover = {"retries": 3, "retry_on": [], "switch_on": []}
    (task,) = config_of({"qa": ["a"]}, entries={"qa": {"failover": failover}})["targets"]

    assert task["targets"][0]["retry"] == {"attempts": 0, "on_status_codes": []}
    assert task["strategy"]["on_status_codes"] == []


def test_extra_body_is_sent_as_measured():
    """Fields the model was measured with go with each request."""
    adapt = {"extra_body": {"top_k": 4}}
    config = config_of({"qa": ["a"]}, candidates={"a": {"request": {"mode": "text", "adapt": adapt}}})

    assert config["targets"][0]["targets"][0]["override_params"] == {"model": "a", "top_k": 4}


def test_only_keys_are_filled_in():
    """Dollars, quotes and variables in a model's name stay what they are, in JSON as in nginx."""
    files = exported({"qa": ["a"]}, models={"a": {"route": AWKWARD}})
    config = json.loads(filled_in(files["portkey/config.json"], EVALKIT_OPENAI_API_KEY="sk-1"))
    (candidate,) = config["targets"][0]["targets"]
    assert (candidate["api_key"], candidate["override_params"]["model"]) == ("sk-1", AWKWARD)

    nginx = filled_in(files["portkey/nginx.conf.example"], EVALKIT_OPENAI_API_KEY="sk-1")
    strings = nginx_strings(nginx)["evalkit_portkey_config_0"]
    assert json.loads(strings["~^qa$"]) == config
    assert not [value for value in strings.values() if "$" in value.replace("\\u0024", "")]


def test_nginx_knows_each_task_exactly():
    """Capitals count and dots are dots; no caller's header passes but the task."""
    text = exported({"a.b": ["a"], "A.B": ["a"]})["portkey/nginx.conf.example"]

    assert [*nginx_strings(text)["evalkit_portkey_config_0"]] == [r"~^a\.b$", r"~^A\.B$"]
    assert "proxy_pass_request_headers off;" in text
    assert text.count("proxy_set_header") == 3
    assert 'if ($evalkit_portkey_config_0 = "")' in text


def test_a_long_config_is_cut_for_nginx():
    """One string of nginx takes 4,096 letters; the parts together are the whole."""
    names = [f"m{number}" for number in range(30)]
    failover = {"retries": 0, "upstream_timeout_s": 1}
    files = exported({"qa": names, "sums": ["m0"]}, entries={"qa": {"failover": failover}})
    text = files["portkey/nginx.conf.example"]

    assert max(len(part) for part in re.findall(r"'([^'\n]*)'", text)) < 4000
    maps = nginx_strings(text)
    whole = "".join(rows.get("~^qa$", "") for rows in maps.values())
    assert [one["name"] for one in json.loads(whole)["targets"][0]["targets"]] == names
    assert [*maps["evalkit_portkey_config_1"]] == ["~^qa$"]
    assert "".join(f"${{{name}}}" for name in maps) in text


def test_a_file_that_admits_nobody():
    """No condition, no target, and an nginx that lets nothing through."""
    files = exported({"qa": []})

    assert json.loads(files["portkey/config.json"]) == {
        "strategy": {"mode": "conditional", "conditions": []},
        "targets": [],
    }
    assert nginx_strings(files["portkey/nginx.conf.example"]) == {"evalkit_portkey_config_0": {}}
    assert 'map $evalkit_task $evalkit_portkey_config_0 {\n    default "";\n}' in files["portkey/nginx.conf.example"]


def test_examples_name_their_variables():
    """The step that fills them in is written where it is needed, with exactly these."""
    files = exported({"qa": ["a"]}, providers={"openai": {"api_key_env": "OUR_KEY"}})

    names = [line[:-1] for line in files["portkey/portkey.env.example"].splitlines() if line.endswith("=")]
    assert names == ["EVALKIT_PORTKEY_LISTEN", "EVALKIT_PORTKEY_URL", "OUR_KEY"]
    assert "envsubst '${OUR_KEY}' < config.json" in files["portkey/headers.example"]
    line = next(line for line in files["portkey/headers.example"].splitlines() if line.startswith("x-portkey-config"))
    key = Template(line.partition(": ")[2]).substitute(OUR_KEY="sk-1")
    assert json.loads(key)["targets"][0]["targets"][0]["api_key"] == "sk-1"


def test_what_portkey_does_not_hold_is_said():
    """Caps, thresholds, denials: in the notes, and in every file that can hold a comment."""
    files = exported(
        {"qa": ["a", "b"], "closed": []},
        providers={"openai": {"spend_cap": {"usd": 20, "per": "1d"}}},
        entries={"qa": {"spend_cap": {"usd": 5, "per": "1d"}, "latency": {"p95_s": 4}}},
    )
    notes = files["portkey/notes.txt"].splitlines()

    for words in ("spend cap of task qa", "spend cap of provider 'openai'", "latency threshold of task qa", "closed"):
        (line,) = [line for line in notes if words in line]
        assert f"# {line}\n" in files["portkey/nginx.conf.example"]


def test_refused():
    """A model Portkey could not be asked for is named."""
    with pytest.raises(InputError, match="model 'a', task 'qa', names no provider"):
        exported({"qa": ["a"]}, models={"a": {"provider": None}})
