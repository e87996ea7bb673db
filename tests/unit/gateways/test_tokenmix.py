"""The TokenMix profile: its address, and nothing that is not documented."""

from __future__ import annotations

import pytest

from evalkit.gateways.tokenmix import BASE_URL, build
from evalkit.testing.builders import a_model

URL = "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(("given", "asked"), [(None, BASE_URL), (URL, URL)])
def test_the_address_is_known(a_context, given, asked):
    """A project names none, unless it has a proxy of its own."""
    assert repr(build(a_context(given, kind="tokenmix"))).endswith(f"{asked}/chat/completions')")


def test_nothing_is_assumed(a_context):
    """No switch, no header, no cost and no proof: an answer is worth its own word."""
    profile = build(a_context(URL)).profile
    assert (profile.kind, profile.model_field, profile.attests) == ("tokenmix", "upstream", False)
    assert (profile.identity_probe, profile.cost_header) == (None, None)
    sent = (profile.extra_body, profile.extra_headers, profile.body_for(a_model()), profile.headers_for(a_model()))
    assert [dict(part) for part in sent] == [{}, {}, {}, {}]


def test_an_echo_may_be_declared(a_context):
    """Who finds that it repeats the asked name says so in the project file."""
    assert build(a_context(URL, model_field="echo")).profile.model_field == "echo"
