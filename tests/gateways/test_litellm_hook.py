"""The live callback in a real LiteLLM proxy: who is served, who is refused, and that nobody gets past it."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.canonical import write_atomically
from evalkit.testing.eligibility import an_eligibility

PYTHON = Path(__file__).parents[2] / ".gateways" / "litellm" / "bin" / "python"
QUESTION = "What is 2 plus 5? Answer with the number."
CHAT = [{"role": "user", "content": QUESTION}]
SURFACES = {
    "/chat/completions": {"messages": CHAT},
    "/completions": {"prompt": QUESTION},
    "/responses": {"input": QUESTION},
    "/messages": {"messages": CHAT, "max_tokens": 50},
    "/embeddings": {"input": QUESTION},
}
STREAMING = [path for path in SURFACES if path != "/embeddings"]
TASKS = {"qa": ["a", "b", "c"], "other": ["d"], "closed": []}
GROUPS = {"qa": ["a"], "qa#1": ["b"], "qa#2": ["c"], "other": ["d"], "loose": ["x"], "lead": ["a"],
          "pool": ["a", "x", "b", None]}  # fmt: skip
"""Group to the models behind it: `x` is in no file, and None says nothing of itself."""
CHECK_EVERY_S = 0.25


@dataclass(frozen=True)
class Answer:
    """What a client gets, and what reached the upstream for it."""

    status: int
    headers: Any
    text: str
    calls: dict[str, int]
    """Requests by the model they named."""
    n_upstream: int
    """All of them."""

    @property
    def served_by(self):
        """The one model that was asked."""
        (name,) = self.calls
        return name.removeprefix("steady/")

    @property
    def error(self):
        """The error object of the body."""
        return json.loads(self.text)["error"]


def config(base_url, callback):
    """A proxy's configuration: groups as they are exported, and some that a person has added."""

    def entry(group, model):
        name = model or "nobody"
        params = {"model": f"openai/steady/{name}", "api_base": base_url, "api_key": "none"}
        info = {"id": f"{group}:{name}", **({} if model is None else {"evalkit_model": model})}
        return {"model_name": group, "litellm_params": params, "model_info": info}

    nameless = {"model": "openai/scenario/unverifiable_model", "api_base": base_url, "api_key": "none"}
    return {
        "model_list": [
            *(entry(group, model) for group, models in GROUPS.items() for model in models),
            {"model_name": "nameless", "litellm_params": nameless, "model_info": {"evalkit_model": "a"}},
        ],
        "router_settings": {
            "num_retries": 0,
            "disable_cooldowns": True,
            "fallbacks": [{"qa": ["qa#1", "qa#2"]}, {"lead": ["loose", "qa#2"]}],
            "optional_pre_call_checks": ["session_affinity"],
        },
        "litellm_settings": {
            "callbacks": [f"evalkit.router.litellm_hook.{callback}"],
            "cache": True,
            "cache_params": {"type": "local", "mode": "default_off"},
        },
    }


class File:
    """The live file, and how it is replaced: each version is a second younger than the one before."""

    def __init__(self, path):
        self.path = path
        self._made_at = time.time() - 7200
        self.live = ""
        """Its digest as headers have it."""

    def make(self, tasks, **fields):
        """Return the bytes of the next version."""
        self._made_at += 1
        made = an_eligibility(tasks, now=self._made_at, **fields)
        self.live = made.digest.removeprefix("sha256:")[:12]
        return json.dumps(made.document()).encode()

    def publish(self, tasks, **fields):
        """Replace it, and wait until every worker looks again."""
        self.write(self.make(tasks, **fields))

    def write(self, data):
        """Put these bytes there, and wait."""
        write_atomically(self.path, data)
        time.sleep(CHECK_EVERY_S + 0.1)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The file the proxy follows."""
    file = File(tmp_path_factory.mktemp("live") / "eligibility.json")
    file.publish(TASKS)
    return file


@pytest.fixture(scope="module")
def proxy(start_litellm, upstream, file):
    """The production proxy, with a provider's key in its environment that opens LiteLLM's pass-through routes."""
    root = upstream.base_url.removesuffix("/v1")
    environ = {"EVALKIT_ELIGIBILITY_FILE": str(file.path), "EVALKIT_AUDIENCE": "prod"}
    keys = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": root, "OPENAI_API_BASE": root,
            "ANTHROPIC_API_KEY": "none", "ANTHROPIC_API_BASE": root}  # fmt: skip
    return start_litellm(config(upstream.base_url, "handler"), environ={**environ, **keys}, with_evalkit=True)


@pytest.fixture(autouse=True)
def everything_as_it_was(file, upstream):
    """Every test begins with the same file and an upstream that is up."""
    yield
    upstream.set_down([])
    upstream.set_serve_as({})
    file.publish(TASKS)


def client(gateway, upstream):
    """Return a function that sends one request and counts."""

    def ask(path, body=None, *, task=None, session=None, headers=None, method=None):
        before, total = upstream.count(), upstream.total()
        sent = {"authorization": f"Bearer {gateway.key}", "content-type": "application/json", **(headers or {})}
        sent |= {} if task is None else {"x-evalkit-task": task}
        sent |= {} if session is None else {"x-evalkit-session": session}
        url = gateway.base_url + path if not path.startswith("//") else gateway.base_url.removesuffix("/v1") + path[1:]
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, said, text = answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, said, text = error.code, error.headers, error.read().decode()
        calls = {name: n - before.get(name, 0) for name, n in upstream.count().items() if n > before.get(name, 0)}
        return Answer(status, said, text, calls, upstream.total() - total)

    return ask


@pytest.fixture
def ask(proxy, upstream):
    """Send one request to the production proxy."""
    return client(proxy, upstream)


@pytest.fixture
def chat(ask):
    """Send one chat request to the production proxy."""

    def chat(model="qa", *, task="qa", session=None, headers=None, **fields):
        body = {"model": model, "messages": CHAT, **fields}
        return ask("/chat/completions", body, task=task, session=session, headers=headers)

    return chat


def assert_refused(answer, reason):
    """Forbidden, with our code and the reason; nothing went upstream, nothing invites to try again."""
    assert answer.status == 403, answer.text
    assert answer.n_upstream == 0
    assert f"evalkit_ineligible: {reason}: " in answer.text
    assert "retry-after" not in answer.headers


def listed(ask, task=None):
    """What /v1/models shows."""
    return {each["id"] for each in json.loads(ask("/models", task=task).text)["data"]}


@pytest.mark.parametrize("path", SURFACES)
def test_each_surface_is_served_by_the_first_candidate(ask, file, path):
    """By one call; the header says which file is live, and the answer is the model's."""
    answer = ask(path, {"model": "qa", **SURFACES[path]}, task="qa")
    assert answer.status == 200, answer.text
    assert answer.calls == {"steady/a": 1}
    assert answer.headers["x-evalkit-eligibility"] == file.live
    assert "x-evalkit-session-moved" not in answer.headers


@pytest.mark.parametrize("path", STREAMING)
def test_each_surface_streams(ask, file, path):
    """With the header, too."""
    answer = ask(path, {"model": "qa", "stream": True, **SURFACES[path]}, task="qa")
    assert (answer.status, answer.calls) == (200, {"steady/a": 1}), answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-evalkit-eligibility"] == file.live


@pytest.mark.parametrize("path", SURFACES)
@pytest.mark.parametrize("bucket", ["metadata", "litellm_metadata"])
def test_the_task_may_stand_in_the_metadata(ask, path, bucket):
    """Of every surface."""
    answer = ask(path, {"model": "qa", **SURFACES[path], bucket: {"task": "qa"}})
    assert (answer.status, answer.calls) == (200, {"steady/a": 1}), answer.text


@pytest.mark.parametrize("path", [
    "//chat/completions", "//engines/qa/chat/completions", "//openai/deployments/qa/chat/completions",
    "//completions", "//engines/qa/completions", "//openai/deployments/qa/completions",
    "//embeddings", "//engines/qa/embeddings", "//openai/deployments/qa/embeddings",
    "//responses", "//openai/v1/responses",
])  # fmt: skip
def test_other_names_of_the_same_routes_are_held_too(ask, path):
    """With the model in the body or in the path: the eligible one is served, a deployment's id is not."""
    body = next(body for end, body in SURFACES.items() if path.endswith(end))
    in_path = "/qa/" in path
    answer = ask(path, body if in_path else {"model": "qa", **body}, task="qa")
    assert (answer.status, answer.calls) == (200, {"steady/a": 1}), answer.text
    for name in ("qa:a", "loose"):
        spoilt = path.replace("/qa/", f"/{name}/")
        answer = ask(spoilt, body if in_path else {"model": name, **body}, task="qa")
        assert_refused(answer, "not_a_group" if name == "qa:a" else "no_eligible_deployment")


REFUSED = [
    ("qa", None, "no_task"), ("qa", "nope", "unknown_task"), ("qa", "closed", "no_candidate"),
    ("closed", "closed", "no_candidate"), ("other", "qa", "other_task"), ("qa#1", "other", "other_task"),
    ("loose", "qa", "no_eligible_deployment"), ("qa:a", "qa", "not_a_group"), ("loose:x", "qa", "not_a_group"),
    ("openai/steady/a", "qa", "not_a_group"), ("openai/steady/x", "qa", "not_a_group"),
    ("steady/x", "qa", "not_a_group"), ("qa,loose", "qa", "not_a_group"), ("a", "qa", "not_a_group"),
    ("qa#7", "qa", "not_a_group"), ("*", "qa", "not_a_group"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "task", "reason"), REFUSED)
@pytest.mark.parametrize("stream", [False, True])
def test_who_is_not_eligible_is_not_reached(ask, file, model, task, reason, stream):
    """No task, an unknown one, one for nobody, another task's group, an id, a shorthand, a list: on every surface."""
    for path in STREAMING if stream else SURFACES:
        body = {"model": model, **SURFACES[path], **({"stream": True} if stream else {})}
        answer = ask(path, body, task=task)
        assert_refused(answer, reason)
        assert answer.headers["x-evalkit-eligibility"] == file.live


def test_the_refusal_is_one_openais_clients_understand(chat, file):
    """Its code, its type, the task, the live file; nothing of the proxy's inside."""
    answer = chat("loose")
    assert answer.error["code"] == "evalkit_ineligible"
    assert answer.error["type"] == "permission_error"
    assert "task 'qa'" in answer.error["message"]
    assert f"eligibility file {file.live}" in answer.error["message"]
    assert answer.error["provider_specific_fields"]["error"]["code"] == "evalkit_ineligible"
    assert str(file.path.parent) not in answer.text


@pytest.mark.parametrize("path", SURFACES)
def test_two_tasks_in_one_request_are_refused(ask, path):
    """Which of the two was meant is not ours to guess."""
    body = {"model": "qa", **SURFACES[path]}
    assert_refused(ask(path, {**body, "metadata": {"task": "other"}}, task="qa"), "task_conflict")
    assert_refused(ask(path, {**body, "litellm_metadata": {"task": "other"}}, task="qa"), "task_conflict")
    both = {"metadata": {"task": "qa"}, "litellm_metadata": {"task": "other"}}
    assert_refused(ask(path, {**body, **both}), "task_conflict")


@pytest.mark.parametrize("given", [
    {"extra_body": {"model": "steady/x"}}, {"models": ["steady/x"]}, {"provider": {"only": ["x"]}}, {"engine": "x"},
    {"custom_llm_provider": "openai"}, {"model_info": {"id": "loose:x", "evalkit_model": "a"}}, {"api_key": "k"},
    {"specific_deployment": True}, {"passthrough_on_no_deployment": True}, {"litellm_credential_name": "x"},
    {"context_window_fallback_dict": {"openai/steady/a": "openai/steady/x"}}, {"organization": "x"},
    {"context_window_fallbacks": [{"qa": ["loose"]}]}, {"content_policy_fallbacks": [{"qa": ["loose"]}]},
    {"extra_headers": {"x": "y"}}, {"headers": {"x": "y"}}, {"prompt_id": "x"}, {"litellm_params": {"model": "x"}},
    {"fastest_response": True}, {"fallbacks": "loose"},
])  # fmt: skip
def test_a_request_that_says_where_to_go_is_refused(ask, given):
    """By whatever parameter, on every surface."""
    for path, body in SURFACES.items():
        assert_refused(ask(path, {"model": "qa", **body, **given}, task="qa"), "forbidden_parameter")


@pytest.mark.parametrize("given", [{"api_base": "BASE"}, {"base_url": "BASE"}, {"model_list": []},
                                   {"user_config": {"model_list": []}},
                                   {"fallbacks": [{"model": "openai/steady/x", "api_base": "BASE"}]}])  # fmt: skip
def test_what_litellm_refuses_itself_reaches_nobody_either(chat, upstream, given):
    """Should it ever stop to, ours stands behind."""
    given = json.loads(json.dumps(given).replace("BASE", upstream.base_url))
    answer = chat(**given)
    assert 400 <= answer.status < 500
    assert answer.status != 429
    assert answer.n_upstream == 0


@pytest.mark.parametrize("fallbacks", [["loose:x"], ["openai/steady/x"], [{"model": "loose"}], [{"qa": ["loose"]}]])
def test_fallbacks_of_a_client_are_groups_or_refused(chat, fallbacks):
    """No id, no shorthand, no object."""
    assert_refused(chat(fallbacks=fallbacks), "not_a_group")
    assert_refused(chat(fallbacks=["other"]), "other_task")


def test_harmless_parameters_pass(chat):
    """How a model is asked is the client's business, also what it writes into metadata."""
    forged = {"model_info": {"id": "loose:x"}, "deployment": "openai/steady/x", "model_group": "loose", "task": "qa"}
    answer = chat(num_retries=0, timeout=30, temperature=0, tags=["x"], user="u", seed=1, metadata=forged)
    assert (answer.status, answer.calls) == (200, {"steady/a": 1}), answer.text


@pytest.mark.parametrize(("path", "body"), [
    ("/images/generations", {"prompt": "x"}), ("/moderations", {"input": "x"}), ("/videos", {"prompt": "x"}),
    ("/audio/speech", {"input": "x", "voice": "x"}), ("/responses/compact", {"input": "x"}),
    ("/rerank", {"query": "x", "documents": []}),
    ("/batches", {"input_file_id": "x", "endpoint": "/v1/chat/completions", "completion_window": "24h"}),
    ("//v1beta/models/qa:generateContent", {"contents": [{"parts": [{"text": "x"}]}]}),
    ("//openai/v1/chat/completions", {"messages": CHAT}),
    ("//openai_passthrough/v1/chat/completions", {"messages": CHAT}),
    ("//anthropic/v1/messages", {"messages": CHAT, "max_tokens": 5}),
])  # fmt: skip
def test_routes_that_are_not_covered_are_closed(ask, path, body):
    """Pass-through routes with a provider's key in the proxy's environment among them."""
    for model in ("qa", "steady/x"):
        assert_refused(ask(path, {"model": model, **body}, task="qa"), "not_covered")


def test_the_file_is_followed_within_a_second(ask, chat, file):
    """Without a restart, the list of models too."""
    assert chat().served_by == "a"
    assert listed(ask) == {"qa", "qa#1", "qa#2", "other", "lead", "pool", "nameless"}
    write_atomically(file.path, file.make({"qa": ["x"], "other": []}))
    written = time.monotonic()
    while chat().status == 200:
        assert time.monotonic() - written < 1.0
        time.sleep(0.02)
    assert time.monotonic() - written < 1.0
    assert_refused(chat(), "no_eligible_deployment")
    assert chat("loose").served_by == "x"
    assert chat("loose").headers["x-evalkit-eligibility"] == file.live
    assert listed(ask) == {"loose", "pool"}


def test_models_are_listed_for_the_tasks_they_may_serve(ask, file):
    """For the header's task, else for any; one that is not listed is not found either."""
    assert listed(ask, "qa") == {"qa", "qa#1", "qa#2", "lead", "pool", "nameless"}
    assert listed(ask, "other") == {"other"}
    assert listed(ask, "closed") == listed(ask, "nope") == set()
    assert ask("/models/other", task="qa").status == 404
    file.publish({"qa": ["b"]})
    assert listed(ask) == {"qa", "qa#1", "pool"}
    file.write(b"{}")
    assert listed(ask) == set()


def spoilt(kind, file):
    """Return the next version of the file, spoilt; None for no file."""
    now = time.time()
    fields = {
        "expired": {"candidates": {name: {"valid_until": "2026-01-01T00:00:00Z"} for name in "abcd"}},
        "wrong_audience": {"audience": "dev"},
        "simulated": {"simulated": True},
    }
    data = file.make(TASKS, **fields.get(kind, {}))
    if kind == "rolled_back":
        return json.dumps(an_eligibility(TASKS, now=now - 9000).document()).encode()
    if kind == "from_the_future":
        return json.dumps(an_eligibility(TASKS, now=now + 900).document()).encode()
    return {"truncated": data[:-40], "tampered": data.replace(b'"critical": false', b'"critical": true')}.get(
        kind, data
    )


@pytest.mark.parametrize("kind", ["expired", "truncated", "tampered", "wrong_audience", "simulated", "rolled_back",
                                  "from_the_future", "missing"])  # fmt: skip
def test_a_file_that_cannot_be_believed_admits_nobody(ask, chat, file, kind):
    """Until a sound one is there again."""
    assert chat().status == 200
    file.write(spoilt(kind, file))
    if kind == "missing":
        file.path.unlink()
        time.sleep(CHECK_EVERY_S + 0.1)
    for path, body in SURFACES.items():
        assert_refused(ask(path, {"model": "qa", **body}, task="qa"), kind)
    assert_refused(chat("pool", metadata={"task": "qa"}, task=None), kind)
    assert str(file.path.parent) not in chat().text
    file.publish(TASKS)
    assert chat().status == 200


def test_a_withdrawn_primary_does_not_stop_its_task(ask, chat, file):
    """Its group goes on to the next eligible candidate; a position is served only while its own is eligible."""
    file.publish({"qa": ["b", "c"]})
    for path, body in SURFACES.items():
        assert ask(path, {"model": "qa", **body}, task="qa").served_by == "b"
    assert chat("qa#1").served_by == "b"
    file.publish({"qa": ["c"]})
    assert chat().served_by == "c"
    assert_refused(chat("qa#1"), "no_eligible_deployment")
    assert chat("qa#2").served_by == "c"


def test_the_order_of_the_file_counts(chat, file):
    """Not that of the configuration, which is as old as the proxy's start."""
    file.publish({"qa": ["c", "a"]})
    assert chat().served_by == "c"


@pytest.mark.parametrize("path", SURFACES)
def test_a_failing_primary_is_followed_by_who_is_eligible(ask, file, upstream, path):
    """The task is known on every hop, and whoever is not eligible is passed over there, too."""
    upstream.set_down(["steady/a"])
    body = {"model": "qa", **SURFACES[path]}
    answer = ask(path, body, task="qa")
    assert (answer.status, tries(path, answer)) == (200, {"steady/a": 1, "steady/b": 1}), answer.text
    assert answer.headers["x-evalkit-eligibility"] == file.live
    file.publish({"qa": ["a", "c"]})
    answer = ask(path, {**body, "metadata": {"task": "qa"}})
    assert (answer.status, tries(path, answer)) == (200, {"steady/a": 1, "steady/c": 1}), answer.text


@pytest.mark.parametrize("path", SURFACES)
def test_a_configured_fallback_to_somebody_ineligible_is_skipped(ask, upstream, path):
    """Of a list that a person has written."""
    upstream.set_down(["steady/a"])
    answer = ask(path, {"model": "lead", **SURFACES[path]}, task="qa")
    assert (answer.status, tries(path, answer)) == (200, {"steady/a": 1, "steady/c": 1}), answer.text


def tries(path, answer):
    """Return the calls by model; for embeddings LiteLLM's client tries three times, whatever it is told."""
    return {name: n // 3 if path == "/embeddings" and n == 3 else n for name, n in answer.calls.items()}


def test_fallbacks_of_a_client_reach_nobody_ineligible(chat, upstream):
    """Its own list replaces the configured one, and is held to the file on every hop."""
    upstream.set_down(["steady/a"])
    answer = chat(fallbacks=["loose"])
    assert answer.status == 503
    assert answer.calls == {"steady/a": 1}
    assert chat(fallbacks=["loose", "qa#2"]).calls == {"steady/a": 1, "steady/c": 1}
    assert chat(disable_fallbacks=True).calls == {"steady/a": 1}


def test_when_all_fail_the_upstreams_error_is_what_is_said(chat, file, upstream):
    """A provider that is down is no refusal of ours."""
    upstream.set_down(["steady/a", "steady/b", "steady/c"])
    answer = chat()
    assert answer.status == 503
    assert answer.calls == {"steady/a": 1, "steady/b": 1, "steady/c": 1}
    assert answer.headers["x-evalkit-eligibility"] == file.live


def test_of_a_mixed_group_only_the_eligible_are_asked(chat):
    """However often: LiteLLM chooses among four and is left with two."""
    served = {chat("pool").served_by for _ in range(30)}
    assert served == {"a", "b"}


def test_a_conversation_stays_where_it_failed_over_to(chat, file, upstream):
    """And leaves when its model is withdrawn, for the first candidate; each change is said once."""
    assert chat(session="one").served_by == "a"
    upstream.set_down(["steady/a"])
    answer = chat(session="one")
    assert answer.status == 200
    assert answer.calls == {"steady/a": 1, "steady/b": 1}
    assert answer.headers["x-evalkit-session-moved"] == "1"
    upstream.set_down([])
    for _ in range(3):
        answer = chat(session="one")
        assert answer.served_by == "b"
        assert "x-evalkit-session-moved" not in answer.headers
    assert chat(session="two").served_by == "a"
    assert chat().served_by == "a"
    assert chat("qa", session=None, metadata={"session_id": "one"}).served_by == "b"
    file.publish({"qa": ["c", "a"]})
    answer = chat(session="one")
    assert answer.served_by == "c"
    assert answer.headers["x-evalkit-session-moved"] == "1"
    answer = chat(session="one")
    assert answer.served_by == "c"
    assert "x-evalkit-session-moved" not in answer.headers


def test_a_conversation_keeps_its_model_when_the_order_changes(ask, chat, file):
    """On every surface, streamed or not: another candidate that is now first is no reason to switch."""
    assert chat(session="steady").served_by == "a"
    file.publish({"qa": ["c", "b", "a"]})
    for path, body in SURFACES.items():
        assert ask(path, {"model": "qa", **body}, task="qa", session="steady").served_by == "a"
    for path in STREAMING:
        body = {"model": "qa", **SURFACES[path], "stream": True}
        assert ask(path, body, task="qa", session="steady").served_by == "a"
    assert chat(session="fresh").served_by == "c"


def test_a_stream_moves_too(chat, file):
    """The header comes before the first word."""
    assert chat(session="flow", stream=True).served_by == "a"
    file.publish({"qa": ["b"]})
    answer = chat(session="flow", stream=True)
    assert answer.served_by == "b"
    assert answer.headers["x-evalkit-session-moved"] == "1"
    assert "x-evalkit-session-moved" not in chat(session="flow").headers


def test_a_policy_may_let_conversations_go(chat, file):
    """Then the first candidate serves every turn."""
    loose = {"qa": {"failover": {"session": "any"}}}
    file.publish(TASKS, entries=loose)
    assert chat(session="free").served_by == "a"
    file.publish({"qa": ["b", "a"]}, entries=loose)
    answer = chat(session="free")
    assert answer.served_by == "b"
    assert "x-evalkit-session-moved" not in answer.headers


def test_a_conversation_stays_in_a_mixed_group(chat, file):
    """Beside LiteLLM's own affinity, which knows deployments and no eligibility."""
    first = chat("pool", session="mixed").served_by
    assert {chat("pool", session="mixed").served_by for _ in range(6)} == {first}
    other = {"a": "b", "b": "a"}[first]
    file.publish({"qa": [other]})
    answer = chat("pool", session="mixed")
    assert answer.served_by == other
    assert answer.headers["x-evalkit-session-moved"] == "1"
    file.publish(TASKS)
    assert {chat("pool", session="mixed").served_by for _ in range(6)} == {other}


def test_the_upstreams_own_name_is_exported(ask, upstream):
    """Of an answer that is no stream, and only the name the upstream said itself."""
    upstream.set_serve_as({"steady/a": "a-2026-11-01"})
    for path, body in SURFACES.items():
        answer = ask(path, {"model": "qa", **body}, task="qa")
        # LiteLLM asks no callback about an answer on the old completions route.
        expected = None if path == "/completions" else "a-2026-11-01"
        assert answer.headers.get("x-evalkit-raw-model") == expected, path
    answer = ask("/chat/completions", {"model": "qa", "messages": CHAT, "stream": True}, task="qa")
    assert "x-evalkit-raw-model" not in answer.headers


def test_no_name_is_exported_where_none_was_said(ask):
    """LiteLLM would fill in what was asked for."""
    answer = ask("/chat/completions", {"model": "nameless", "messages": CHAT}, task="qa")
    assert answer.status == 200, answer.text
    assert "x-evalkit-raw-model" not in answer.headers


def test_a_cached_answer_of_a_withdrawn_model_is_not_served(chat, file):
    """LiteLLM's cache holds answers by group: those of one model must not pass for another's."""
    cached = {"cache": {"use-cache": True}, "seed": 77}
    file.publish({"qa": ["a"]})
    assert chat("pool", **cached).served_by == "a"
    assert chat("pool", **cached).calls == {}, "the cache is on"
    file.publish({"qa": ["b"]})
    assert chat("pool", **cached).served_by == "b"
    assert chat("pool", **cached).calls == {}


def test_health_checks_of_the_proxy_still_work(ask):
    """They are the operator's: LiteLLM asks its own deployments, for nobody's request."""
    answer = ask("//health?model=other")
    assert json.loads(answer.text)["healthy_count"] == 1, answer.text
    assert answer.calls == {"steady/d": 1}


def test_counting_tokens_sends_nothing_upstream(ask):
    """LiteLLM asks for a deployment there with no request behind it."""
    answer = ask("/messages/count_tokens", {"model": "qa", "messages": CHAT}, task="qa")
    assert (answer.status, answer.n_upstream) == (200, 0)


def test_the_probe_is_answered(ask):
    """Without the callback this would be a 400 for a model that does not exist."""
    body = {"model": "evalkit/identity-probe", "messages": CHAT}
    answer = ask("/chat/completions", body, headers={"x-evalkit-probe": "identity"})
    assert (answer.status, answer.error["code"], answer.n_upstream) == (403, "evalkit_probe", 0)


LAST_QUESTION = """
import asyncio, sys
import litellm
from litellm.proxy import proxy_server
from evalkit.router import litellm_hook
from evalkit.router.litellm_hook import handler, _TICKET, _Ticket

base = sys.argv[1]
def entry(model):
    params = {"model": f"openai/steady/{model}", "api_base": base, "api_key": "none"}
    return {"model_name": "g-" + model, "litellm_params": params, "model_info": {"id": model, "evalkit_model": model}}

litellm.callbacks = [handler]
router = proxy_server.llm_router = litellm.Router(model_list=[entry("a"), entry("x")], num_retries=0)
messages = [{"role": "user", "content": "hi"}]
forged = {"model_info": {"id": "a", "evalkit_model": "a"}}
direct = {"api_base": base, "api_key": "none", "messages": messages}
calls = {
    "id": lambda: router.acompletion(model="x", messages=messages),
    "group": lambda: router.acompletion(model="g-x", messages=messages),
    "eligible": lambda: router.acompletion(model="g-a", messages=messages),
    "eligible id": lambda: router.acompletion(model="a", messages=messages),
    "direct": lambda: litellm.acompletion(model="openai/steady/x", **direct),
    "forged": lambda: litellm.acompletion(model="openai/steady/x", **direct, **forged),
    "elsewhere": lambda: litellm.acompletion(model="openai/steady/a", **{**direct, "api_base": base + "/x"}, **forged),
    "embedding": lambda: litellm.aembedding(model="openai/steady/x", input="hi", api_base=base, api_key="none"),
    "responses": lambda: litellm.aresponses(model="openai/steady/x", input="hi", api_base=base, api_key="none"),
}
async def main():
    for ticket in (None, _Ticket("qa", "", None, None)):
        for name, call in calls.items():
            _TICKET.set(ticket)
            try:
                await call()
                said = "served"
            except Exception as error:
                said = str(getattr(error, "status_code", error))
            print(f"{'let in' if ticket else 'unasked'}: {name}: {said}")
asyncio.run(main())
"""


def test_the_last_question_stands_alone(litellm_with_evalkit, proxy, file, upstream, tmp_path):
    """A call that came past all the others is stopped right before it is made: by id, past the router, or elsewhere."""
    script = tmp_path / "last.py"
    script.write_text(LAST_QUESTION)
    environ = {"EVALKIT_ELIGIBILITY_FILE": str(file.path), "EVALKIT_AUDIENCE": "prod", "PATH": os.environ["PATH"],
               "LITELLM_LOCAL_MODEL_COST_MAP": "True", "HOME": str(tmp_path)}  # fmt: skip
    before = upstream.count()
    command = [PYTHON, script, upstream.base_url]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    said = dict(line.rsplit(": ", 1) for line in done.stdout.splitlines())
    assert len(said) == 18, done.stderr[-2000:]
    assert {name for name, how in said.items() if how == "served"} == {"let in: eligible", "let in: eligible id"}
    assert set(said.values()) == {"served", "403"}
    after = upstream.count()
    assert after.get("steady/x", 0) == before.get("steady/x", 0)
    assert after["steady/a"] == before.get("steady/a", 0) + 2


@pytest.mark.parametrize("missing", ["EVALKIT_ELIGIBILITY_FILE", "EVALKIT_AUDIENCE"])
def test_the_proxy_does_not_start_without_its_settings(litellm_with_evalkit, file, upstream, tmp_path, missing):
    """And says which one is missing."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config(upstream.base_url, "handler")))
    environ = {"EVALKIT_ELIGIBILITY_FILE": str(file.path), "EVALKIT_AUDIENCE": "prod", "HOME": str(tmp_path),
               "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": "sk-" + "5af" * 12}  # fmt: skip
    del environ[missing]
    environ["PATH"] = os.environ["PATH"]
    command = [PYTHON.with_name("litellm"), "--config", path, "--host", "127.0.0.1", "--port", "0"]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
    assert f"{missing}: is not set" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def measuring(start_litellm, upstream):
    """A proxy that measures: the evaluation callback, and none of the variables the other one needs."""
    quiet = config(upstream.base_url, "evaluation")
    # As docs/reference/gateways.md has it: what is kept out of logs must be there for the callback.
    quiet["litellm_settings"]["turn_off_message_logging"] = True
    return start_litellm(quiet, with_evalkit=True)


def test_the_measuring_proxy_filters_nothing_and_says_who_answered(measuring, upstream):
    """No task, any model, any deployment; the name is the upstream's, and the probe is answered."""
    ask = client(measuring, upstream)
    upstream.set_serve_as({"steady/x": "x-mini"})
    answer = ask("/chat/completions", {"model": "loose", "messages": CHAT})
    assert (answer.status, answer.calls) == (200, {"steady/x": 1})
    assert json.loads(answer.text)["model"] == "loose", "LiteLLM says what was asked for"
    assert answer.headers["x-evalkit-raw-model"] == "x-mini"
    assert "x-evalkit-eligibility" not in answer.headers
    answer = ask("/chat/completions", {"model": "nameless", "messages": CHAT})
    assert (answer.status, answer.headers.get("x-evalkit-raw-model")) == (200, None)
    assert ask("/chat/completions", {"model": "loose:x", "messages": CHAT}).status == 200
    body = {"model": "evalkit/identity-probe", "messages": CHAT}
    answer = ask("/chat/completions", body, headers={"x-evalkit-probe": "identity"})
    assert (answer.status, answer.error["code"], answer.n_upstream) == (403, "evalkit_probe", 0)
    assert ask("/chat/completions", body).status == 400
