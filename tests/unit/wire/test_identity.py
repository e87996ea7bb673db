"""Four strengths of evidence for who answered. Both mistakes cost, so both directions have their table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.outcome import IdentityClass
from evalkit.wire.identity import RAW_MODEL_HEADER, identify, identity_flags
from evalkit.wire.model_names import is_alias_of, is_moving_alias, likeness
from evalkit.wire.response import Asked

SAME = [
    ("gpt-4o", "gpt-4o-2024-08-06"),
    ("gpt-4", "gpt-4-0613"),
    ("gpt-3.5-turbo", "gpt-3.5-turbo-0125"),
    ("azure/gpt-35-turbo", "gpt-3.5-turbo-0125"),
    ("o3", "o3-2025-04-16"),
    ("openai/gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
    ("anthropic/claude-haiku-4.5", "anthropic/claude-4.5-haiku-20251001"),
    ("anthropic/claude-sonnet-4-5", "anthropic/claude-4.5-sonnet-20250929"),
    ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
    ("anthropic/claude-3.5-sonnet", "us.anthropic.claude-3-5-sonnet-20240620-v1:0"),
    ("claude-sonnet-4@20250514", "claude-sonnet-4-20250514"),
    ("anthropic/claude-3.7-sonnet:thinking", "claude-3-7-sonnet-20250219"),
    ("nova-pro", "us.amazon.nova-pro-v1:0"),
    ("llama3.3-70b", "llama-3.3-70b"),
    ("meta-llama/llama-3.1-8b-instruct", "Meta-Llama-3.1-8B-Instruct"),
    ("accounts/fireworks/models/llama-v3p1-70b-instruct", "llama-3.1-70b-instruct"),
    ("mixtral-8x7b-instruct", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
    ("gemini-1.5-pro", "models/gemini-1.5-pro-002"),
    ("gemini-flash-latest", "gemini-3.6-flash"),
    ("mistral-large-latest", "mistral-large-2411"),
    ("kimi-k2", "moonshotai/kimi-k2-0905"),
    ("deepseek-r1", "DeepSeek-R1-0528"),
    ("command-r", "command-r-08-2024"),
    ("gpt-oss:20b", "openai/gpt-oss-20b"),
    ("openai/gpt-4o:free", "gpt-4o"),
]

DIFFERENT = [
    ("gpt-4o", "gpt-4o-mini"),
    ("gpt-4o", "gpt-4o-mini-2024-07-18"),
    ("gpt-4", "gpt-4o"),
    ("gpt-4", "gpt-4.1"),
    ("gpt-4", "gpt-4-turbo"),
    ("gpt-5", "gpt-5-codex"),
    ("gpt-3.5-turbo", "gpt-3.5-turbo-16k"),
    ("o1", "o3"),
    ("o3", "o3-mini"),
    ("openai/gpt-4o-2024-08-06", "gpt-4o-2024-11-20"),
    ("claude-3-5-sonnet", "claude-3-7-sonnet"),
    ("claude-3-opus", "claude-3-haiku"),
    ("claude-sonnet-4-5", "claude-sonnet-4"),
    ("deepseek-chat", "deepseek-v4-flash"),
    ("deepseek-reasoner", "deepseek-v4-flash"),
    ("deepseek-chat", "deepseek-reasoner"),
    ("deepseek-v3", "deepseek-v3.1"),
    ("deepseek-ai/DeepSeek-R1", "DeepSeek-R1-Distill-Llama-70B"),
    ("pixtral-12b", "ministral-14b-latest"),
    ("google/gemini-2.0-flash-exp:free", "x-ai/grok-4"),
    ("gemini-2.5-flash", "gemini-2.5-flash-lite"),
    ("gemini-2.5-pro", "gemini-2.5-flash"),
    ("gemini-1.5-pro-001", "gemini-1.5-pro-002"),
    ("llama-3.1-70b", "llama-3.1-8b"),
    ("llama-3.3-70b-versatile", "llama-3.1-8b-instant"),
    ("meta-llama/llama-4-scout", "llama-4-maverick"),
    ("mistral-large-latest", "mistral-small-2501"),
    ("mistral-7b-instruct-v0.2", "mistral-7b-instruct-v0.3"),
    ("mixtral-8x7b-instruct", "mixtral-8x22b-instruct"),
    ("qwen3-235b-a22b", "qwen3-30b-a3b"),
    ("kimi-k2", "kimi-k2-thinking"),
    ("grok-4", "grok-4-fast"),
    ("sonar", "sonar-pro"),
    ("gpt-oss:20b", "gpt-oss:120b"),
    ("acme-large", "acme-small"),
]

UNKNOWN = [
    ("gpt-5.6", "gpt-5.6-sol"),
    ("gpt-4o-2024-08-06", "gpt-4o"),
    ("gpt-4", "gpt-4-1106-preview"),
    ("gpt-5", "gpt-5-chat-latest"),
    ("gemini-2.5-pro-preview-03-25", "models/gemini-2.5-pro"),
    ("gemini-2.5-flash", "gemini-2.5-flash-preview-09-2025"),
    ("deepseek/deepseek-chat", "deepseek/deepseek-chat-v3-0324"),
    ("llama-3.1-70b", "meta-llama/Llama-3.1-70B-Instruct"),
    ("zai/GLM-5.2", "GLM-5.2-FP8"),
    ("mistral-small", "mistral-small-latest"),
    ("team-a-deployment", "gpt-4.1-mini-2025-04-14"),
    ("fast", "gpt-4o"),
    ("gpt-4o", "default"),
    ("gpt-4o", "x" * 400),
]


@pytest.mark.parametrize(("asked", "served"), SAME)
def test_names_of_one_model(asked, served):
    """Prefixes, dates, versions and spellings do not make another model."""
    assert likeness(asked, served) in {"equal", "same"}
    assert identify(served, asked=Asked(route=asked)).identity_class is IdentityClass.SELF_REPORTED


@pytest.mark.parametrize(("asked", "served"), DIFFERENT)
def test_names_of_two_models(asked, served):
    """Another family, size, generation, variant or date is another model, in both directions."""
    assert identify(served, asked=Asked(route=asked)).identity_class is IdentityClass.SUBSTITUTED
    assert likeness(served, asked) == "different"


@pytest.mark.parametrize(("asked", "served"), UNKNOWN)
def test_names_that_cannot_say(asked, served):
    """A deployment name, an unknown word or a snapshot that goes unnamed neither voids nor proves."""
    assert identify(served, asked=Asked(route=asked)).identity_class is IdentityClass.UNVERIFIABLE


@pytest.mark.parametrize("served", [None, ""])
def test_silence_is_unverifiable(served):
    """An answer that names no model proves nothing, and is not void."""
    assert identify(served, asked=Asked(route="gpt-4o")).identity_class is IdentityClass.UNVERIFIABLE


def test_an_echo_proves_nothing():
    """A gateway that repeats what it was asked for cannot vouch for it, but can still give a swap away."""
    asked = Asked(route="gpt-4o", model_field="echo")
    assert identify("gpt-4o", asked=asked).identity_class is IdentityClass.UNVERIFIABLE
    assert identify("gpt-4o-mini", asked=asked).identity_class is IdentityClass.SUBSTITUTED


def test_a_moving_alias_that_repeats_itself_is_unverifiable():
    """`-latest` answered by `-latest` hides any drift."""
    identity = identify("mistral-small-latest", asked=Asked(route="mistral-small-latest"))
    assert identity.identity_class is IdentityClass.UNVERIFIABLE
    assert "model_echo_alias" in identity_flags(identity, asked=Asked(route="mistral-small-latest"))


def test_declared_names_are_honest():
    """A name from `served_as` is as good as the route, with a date too; another one is then a swap."""
    asked = Asked(route="team-a-deployment", served_as=("gpt-4.1-mini",))
    assert identify("gpt-4.1-mini-2025-04-14", asked=asked).identity_class is IdentityClass.SELF_REPORTED
    assert identify("gpt-4o", asked=asked).identity_class is IdentityClass.SUBSTITUTED
    together = Asked(route="llama-3.1-70b", served_as=("Meta-Llama-3.1-70B-Instruct-Turbo",))
    assert identify("meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo", asked=together).identity_class is (
        IdentityClass.SELF_REPORTED
    )


def test_the_upstreams_declared_name_outranks_a_route_that_is_like_it():
    """Another snapshot than the one the roster names was not what routers are told to use, however alike the route."""
    asked = Asked(route="gpt-4o", upstream_names=("openai/gpt-4o-2024-08-06",))
    assert identify("gpt-4o-2024-08-06", asked=asked).identity_class is IdentityClass.SELF_REPORTED
    assert identify("gpt-4o", asked=asked).identity_class is IdentityClass.SELF_REPORTED
    assert identify("gpt-4o-2024-11-20", asked=asked).identity_class is IdentityClass.SUBSTITUTED
    assert identify("gpt-4o-2024-11-20", asked=Asked(route="gpt-4o")).identity_class is IdentityClass.SELF_REPORTED


def test_served_as_is_honest_beside_a_declared_upstream():
    """An Azure deployment may be called like another model: who says so in `served_as` is believed."""
    asked = Asked(route="team", upstream_names=("gpt-4-prod",), served_as=("gpt-4o-2024-08-06",))
    assert identify("gpt-4o-2024-08-06", asked=asked).identity_class is IdentityClass.SELF_REPORTED
    assert identify("gpt-4o-2024-11-20", asked=asked).identity_class is IdentityClass.SUBSTITUTED


def test_an_alias_with_a_declared_upstream():
    """The group's name says nothing: the callback's is held against the roster's, and an echo against nothing."""
    asked = Asked(route="gpt-cheap", model_field="echo", upstream_names=("gpt-4o-mini",))
    named = {name: identify("gpt-cheap", asked=asked, headers=raw_headers(name)) for name in ("gpt-4o-mini", "gpt-4o")}
    assert named["gpt-4o-mini"].identity_class is IdentityClass.ATTESTED
    assert named["gpt-4o"].identity_class is IdentityClass.SUBSTITUTED
    assert identify("gpt-cheap", asked=asked).identity_class is IdentityClass.UNVERIFIABLE


@pytest.mark.parametrize("wide", ["gpt", "*", "", "gpt-4", "latest", "openai/"])
def test_a_name_that_is_too_wide_lets_nobody_through(wide):
    """What names no one model makes no answer better than unverifiable."""
    for served in ("gpt-4o-2024-08-06", "gpt-4o-mini", "llama-3.1-8b"):
        asked = Asked(route="fast", model_field="echo", served_as=(wide,))
        found = identify("fast", asked=asked, headers=raw_headers(served)).identity_class
        assert found in {IdentityClass.UNVERIFIABLE, IdentityClass.SUBSTITUTED}


def raw_headers(name, **extra):
    """Return what LiteLLM sends with the callback that exports the raw name."""
    return {"x-litellm-model-id": "abc", RAW_MODEL_HEADER: name, **extra}


def test_the_exported_raw_name_attests():
    """The callback's header outranks the echoed name in the body, for better and for worse."""
    asked = Asked(route="gpt-4o", model_field="echo")
    honest = identify("gpt-4o", asked=asked, headers=raw_headers("gpt-4o-2024-08-06"))
    swapped = identify("gpt-4o", asked=asked, headers=raw_headers("gpt-4o-mini"))
    assert (honest.identity_class, honest.served_model) == (IdentityClass.ATTESTED, "gpt-4o-2024-08-06")
    assert swapped.identity_class is IdentityClass.SUBSTITUTED


def test_a_raw_name_without_litellm_is_ignored():
    """Any upstream can send a header of that name; only beside LiteLLM's own deployment id does it count."""
    identity = identify("gpt-4o", asked=Asked(route="gpt-4o", model_field="echo"), headers={RAW_MODEL_HEADER: "gpt-4o"})
    assert identity.identity_class is IdentityClass.UNVERIFIABLE


def test_a_reported_fallback_is_a_swap():
    """LiteLLM admits a fallback to another group in its headers while the body may echo anything."""
    headers = {"x-litellm-attempted-fallbacks": "1", "x-litellm-model-group": "backup"}
    asked = Asked(route="gpt-4o", model_field="echo")
    assert identify("backup", asked=asked, headers=headers).identity_class is IdentityClass.SUBSTITUTED
    assert identify("gpt-4o", asked=asked, headers=headers).identity_class is IdentityClass.SUBSTITUTED
    named = Asked(route="gpt-4o", model_field="echo", served_as=("backup",))
    assert identify("gpt-4o", asked=named, headers=headers).identity_class is IdentityClass.UNVERIFIABLE
    zero = headers | {"x-litellm-attempted-fallbacks": "0"}
    assert identify("gpt-4o", asked=asked, headers=zero).identity_class is IdentityClass.UNVERIFIABLE


def routed(model):
    """Return OpenRouter's own record of a call."""
    endpoint = {"model": model, "provider": "OpenAI", "selected": True}
    return {"openrouter_metadata": {"strategy": "direct", "attempt": 1, "endpoints": {"available": [endpoint]}}}


def test_openrouters_record_attests():
    """The selected endpoint proves the model, names the provider, and outs a fallback."""
    asked = Asked(route="openai/gpt-4o")
    honest = identify("openai/gpt-4o", asked=asked, body=routed("openai/gpt-4o"))
    assert (honest.identity_class, honest.provider) == (IdentityClass.ATTESTED, "OpenAI")
    swapped = identify("openai/gpt-4o", asked=asked, body=routed("x-ai/grok-4"))
    assert swapped.identity_class is IdentityClass.SUBSTITUTED


def test_alias_and_rename_flags():
    """A date suffix is an alias; another spelling is a rename; the same name is neither."""
    assert is_alias_of("gpt-4o", "gpt-4o-2024-08-06")
    assert not is_alias_of("gpt-4o", "gpt-4o-mini")
    assert not is_alias_of("gpt-4o", "gpt-4o")
    asked = Asked(route="llama3.3-70b")
    assert identity_flags(identify("llama-3.3-70b", asked=asked), asked=asked) == {"model_rename"}
    assert identity_flags(identify("llama3.3-70b", asked=asked), asked=asked) == set()


@pytest.mark.parametrize("name", ["mistral-large-latest", "~anthropic/claude-sonnet-latest", "llama3:latest"])
def test_moving_aliases_are_known(name):
    """Every spelling of `latest` is a moving alias."""
    assert is_moving_alias(name)


@given(st.text(max_size=60), st.text(max_size=60))
def test_likeness_is_total_and_reflexive(one, other):
    """Any two texts can be compared, and a name is always itself."""
    assert likeness(one, one) == "equal"
    assert likeness(one, other) in {"equal", "same", "unknown", "different"}


@given(st.sampled_from(SAME + DIFFERENT + UNKNOWN), st.sampled_from(["", "openai/", "a/b/", "~"]))
def test_vendor_paths_change_nothing(pair, prefix):
    """A vendor path in front of the served name never changes the judgement."""
    asked, served = pair
    if len(served) < 250:
        assert (likeness(asked, prefix + served) == "different") == (likeness(asked, served) == "different")


RECORDS = [
    ({}, {RAW_MODEL_HEADER: "gpt-4o-2024-08-06", "x-litellm-model-id": "d1"}),
    ({"openrouter_metadata": {"endpoints": {"available": [{"model": "openai/gpt-4o", "selected": True}]}}}, {}),
]


@pytest.mark.parametrize(("body", "headers"), RECORDS)
@pytest.mark.parametrize(
    ("model_field", "found"), [("upstream", IdentityClass.SELF_REPORTED), ("echo", IdentityClass.UNVERIFIABLE)]
)
def test_a_record_from_a_gateway_that_writes_none_attests_nothing(body, headers, model_field, found):
    """An upstream may send what only a gateway should: it stays the upstream's own word."""
    known = Asked(route="openai/gpt-4o", model_field=model_field)
    other = Asked(route="openai/gpt-4o", model_field=model_field, trusts_record=False)

    assert identify("gpt-4o", asked=known, body=body, headers=headers).identity_class is IdentityClass.ATTESTED
    assert identify("gpt-4o", asked=other, body=body, headers=headers).identity_class is found


def test_a_record_from_anywhere_speaks_against_an_answer():
    """Nobody forges evidence of having been swapped."""
    asked = Asked(route="openai/gpt-4o", trusts_record=False)
    headers = {RAW_MODEL_HEADER: "gpt-4o-mini", "x-litellm-model-id": "d1"}

    assert identify("gpt-4o", asked=asked, headers=headers).identity_class is IdentityClass.SUBSTITUTED
