"""The one form every target is told in, and what no target is ever told."""

from __future__ import annotations

import pytest

from evalkit.domain.outcome import Kind
from evalkit.errors import InputError
from evalkit.exporters.routing import routing_from_document, statuses_of
from evalkit.testing.eligibility import an_eligibility


def routed(tasks, **differing):
    """The routing of a file."""
    return routing_from_document(an_eligibility(tasks, **differing).document())


def hop_of(**differing):
    """The only hop of a file with one task and one model."""
    return routed({"qa": ["a"]}, **differing).tasks[0].hops[0]


def test_order_is_the_files():
    """Tasks and candidates as they stand; a task nobody serves is named, and gets no route."""
    routing = routed({"qa": ["b", "a"], "closed": [], "sums": ["a"]})

    assert [(task.task, [hop.model_id for hop in task.hops]) for task in routing.tasks] == [
        ("qa", ["b", "a"]),
        ("sums", ["a"]),
    ]
    assert routing.denied == ("closed",)
    assert [hop.position for hop in routing.tasks[0].hops] == [0, 1]
    assert [hop.model_id for hop in routing.hops] == ["b", "a"]


def test_a_file_that_admits_nobody():
    """Nothing to route to, and nothing invented."""
    routing = routed({"qa": []})

    assert (routing.tasks, routing.hops, routing.denied) == ((), (), ("qa",))


@pytest.mark.parametrize(
    ("model", "upstream"),
    [
        ({"route": "openai/gpt"}, "gpt"),
        ({"route": "group-at-the-gateway", "routes": {"upstream": "gpt-4o-2024-08-06"}}, "gpt-4o-2024-08-06"),
        ({"route": "other/gpt"}, "other/gpt"),
    ],
)
def test_upstream_is_what_the_provider_calls_it(model, upstream):
    """`routes.upstream`, else the route without the provider in front."""
    assert hop_of(models={"a": model}).upstream == upstream


@pytest.mark.parametrize("name", ["openai/*", "gpt-?", " gpt", "gpt\n", "g\x1bpt"])
def test_a_name_that_is_not_one_models_is_refused(name):
    """In `route` as in `routes`; model and task are named."""
    for model in ({"route": name}, {"routes": {"upstream": name}}):
        with pytest.raises(InputError, match=r"model 'a', task 'qa'"):
            _ = hop_of(models={"a": model}).upstream


def test_a_route_of_nothing_but_its_provider_is_refused():
    """What is left of it is no name."""
    with pytest.raises(InputError, match="is empty"):
        _ = hop_of(models={"a": {"route": "openai/"}}).upstream


@pytest.mark.parametrize("field", ["model", "models"])
def test_extra_fields_choose_no_model(field):
    """They are merged into the request last, and so would win."""
    adapt = {"extra_body": {field: "another"}}
    with pytest.raises(InputError, match=f"model 'a', task 'qa', has {field} in adapt.extra_body"):
        hop_of(candidates={"a": {"request": {"mode": "text", "adapt": adapt}}})


def test_a_model_without_provider_is_named():
    """Targets that need one say whose is missing."""
    hop = hop_of(models={"a": {"provider": None}})

    with pytest.raises(InputError, match="model 'a', task 'qa', names no provider"):
        _ = hop.provider_kind


def test_terms_of_the_provider():
    """Type and variable come from the policy, else from the provider's name."""
    plain = hop_of(models={"a": {"provider": "mistral-eu"}})
    assert (plain.provider_kind, plain.own_api_key_env) == ("mistral-eu", "EVALKIT_MISTRAL_EU_API_KEY")

    told = hop_of(providers={"openai": {"kind": "azure", "api_key_env": "OUR_KEY"}})
    assert (told.provider_kind, told.own_api_key_env) == ("azure", "OUR_KEY")


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "TOGETHERAI_API_KEY", "LITELLM_MASTER_KEY"])
def test_a_variable_gateways_look_up_is_refused(name):
    """It would open routes no list of models guards; the way out is said."""
    hop = hop_of(providers={"openai": {"api_key_env": name}})

    with pytest.raises(InputError, match=r"look .* up by themselves") as caught:
        _ = hop.own_api_key_env
    assert f"EVALKIT_{name}" in caught.value.next_step


def test_providers_with_names_alike_do_not_share_a_key():
    """Unless the policy says so: one would be sent the other's."""
    models = {"a": {"provider": "acme.eu"}, "b": {"provider": "acme-eu"}}
    with pytest.raises(InputError, match=r"'acme.eu' and 'acme-eu' would both be called 'EVALKIT_ACME_EU_API_KEY'"):
        routed({"qa": ["a", "b"]}, models=models).require_own_keys()

    named = {name: {"api_key_env": "EVALKIT_ACME_EU_API_KEY"} for name in ("acme.eu", "acme-eu")}
    routed({"qa": ["a", "b"]}, models=models, providers=named).require_own_keys()


def test_a_task_with_another_kind_of_name_is_refused():
    """A signed file may hold one; no target has to quote it."""
    for name in ("qa#1", "qa*", 'q"a', "qa\n", ""):
        with pytest.raises(InputError, match="no name of a task"):
            routed({name: ["a"]})


@pytest.mark.parametrize(("client_timeout_s", "fits"), [(66, True), (65.9, False)])
def test_retry_collision(client_timeout_s, fits):
    """Two candidates, three tries of ten seconds each and pauses of three: 66 s and not less."""
    failover = {"retries": 2, "upstream_timeout_s": 10, "client_timeout_s": client_timeout_s}
    if fits:
        assert routed({"qa": ["a", "b"]}, entries={"qa": {"failover": failover}}).tasks
        return
    with pytest.raises(InputError, match="retry collision: task 'qa' has 2 candidates"):
        routed({"qa": ["a", "b"]}, entries={"qa": {"failover": failover}})


def test_statuses_of_a_schedule():
    """Retries are followed by a switch; what the next model would be asked just the same never is."""
    task = routed({"qa": ["a"]}).tasks[0]

    assert task.retry_statuses == (408, 429, 503, 504, 524, 529)
    assert task.switch_statuses == (401, 402, 404, 408, 429, 503, 504, 524, 529)
    assert {400, 403, 422}.isdisjoint(statuses_of(Kind))


def test_only_a_wider_window_takes_an_overflow():
    """Later candidates with more room; an unknown window is not wider."""
    windows = {"a": 1000, "b": 500, "c": 4000, "d": None, "e": 1000}
    models = {name: {"context_tokens": tokens} for name, tokens in windows.items()}
    patience = {"qa": {"failover": {"client_timeout_s": 400}}}
    task = routed({"qa": list(windows)}, models=models, entries=patience).tasks[0]

    found = {hop.model_id: [wider.model_id for wider in task.wider(hop)] for hop in task.hops}
    assert found == {"a": ["c"], "b": ["c", "e"], "c": [], "d": [], "e": []}


def test_provenance():
    """Which file, for whom and until when; a simulated one says so first."""
    lines = routed({"qa": ["a"]}).provenance
    assert "generated 2027-01-15T08:00:00Z" in lines[0]
    assert "for prod; valid until 2027-01-16T08:00:00Z" in lines[1]

    assert routed({"qa": ["a"]}, simulated=True).provenance[0].startswith("SIMULATED")
