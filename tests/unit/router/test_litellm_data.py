"""Where LiteLLM keeps headers, metadata, conversations and fallbacks in a request."""

from __future__ import annotations

import pytest

from evalkit.router.litellm_data import conversation_of, fallbacks_of, headers_of, metadata_of, name_session


def test_headers_are_the_clients():
    """As LiteLLM kept them; a call that came by no request has none."""
    assert headers_of({"proxy_server_request": {"headers": {"x-evalkit-task": "qa"}}}) == {"x-evalkit-task": "qa"}
    for data in ({}, {"proxy_server_request": None}, {"proxy_server_request": {"headers": None}}):
        assert headers_of(data) == {}


def test_metadata_is_taken_from_every_place():
    """LiteLLM merges one kind into the other and drops it: what the client said there must not go unheard."""
    body = {"metadata": {"task": "a"}, "litellm_metadata": {"task": "b"}}
    data = {"metadata": {"task": "a"}, "litellm_metadata": None, "proxy_server_request": {"body": body}}
    assert metadata_of(data) == ({"task": "a"}, {"task": "b"}, {"task": "a"})
    assert metadata_of({"metadata": "text", "proxy_server_request": {"body": None}}) == ()


def test_a_conversation_is_its_callers_and_its_tasks():
    """The same name of another caller or task is another conversation, and no name shows."""
    others = [("l", "qa", "s"), ("k", "sum", "s"), ("k", "qa", "t"), (None, "qa", "s"), ("k", "qas", "")]
    assert len({conversation_of(*parts) for parts in [("k", "qa", "s"), *others]}) == 6
    assert conversation_of("k", "qa", "s") == conversation_of("k", "qa", "s")
    assert "qa" not in conversation_of("k", "qa", "s").removeprefix("evalkit:session:1:")


def test_litellm_is_told_of_the_conversation_where_it_looks():
    """In the bucket of the route, over what it made up itself, and never in the one the upstream gets."""
    data = {"metadata": {"litellm_session_id_generated": True, "session_id": "made-up"}}
    name_session(data, "s")
    assert data == {"metadata": {"session_id": "s"}, "litellm_session_id": "s"}
    data = {"metadata": {"user_id": "u"}, "litellm_metadata": {}}
    name_session(data, "s")
    assert data == {"metadata": {"user_id": "u"}, "litellm_metadata": {"session_id": "s"}, "litellm_session_id": "s"}
    data = {}
    name_session(data, "s")
    assert data == {"metadata": {"session_id": "s"}, "litellm_session_id": "s"}


@pytest.mark.parametrize(("data", "found"), [
    ({}, ("qa#1", "qa#2")),
    ({"fallbacks": ["x"]}, None), ({"fallbacks": None}, None),
    ({"router_settings_override": {"fallbacks": []}}, None),
    ({"router_settings_override": {"timeout": 3}}, ("qa#1", "qa#2")),
    ({"router_settings_override": None}, ("qa#1", "qa#2")),
])  # fmt: skip
def test_configured_fallbacks_are_ours_to_order_unless_somebody_chose(data, found):
    """The client, or whoever made its key."""
    configured = [{"sum": ["sum#1"]}, {"qa": ["qa#1", "qa#2", {"model": "x"}]}]
    assert fallbacks_of(data, "qa", configured) == found


def test_no_list_is_none():
    """Then LiteLLM has nothing to fall back to, and nothing is made up."""
    for configured in (None, [], [{"sum": ["x"]}], ["qa"]):
        assert fallbacks_of({}, "qa", configured) is None
