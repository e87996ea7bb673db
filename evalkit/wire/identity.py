"""Who answered, and how that is known: served identity is evidence of four strengths, not a string match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.domain.outcome import Identity, IdentityClass
from evalkit.wire.message import as_dict, as_dicts, as_text
from evalkit.wire.model_names import Likeness, is_alias_of, is_moving_alias, likeness
from evalkit.wire.text import storable_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evalkit.wire.asked import Asked

__all__ = ["RAW_MODEL_HEADER", "identify", "identity_flags"]

RAW_MODEL_HEADER = "x-evalkit-raw-model"
"""Set by the LiteLLM callback that exports the upstream's own name; LiteLLM itself overwrites it in the body."""

_NO_BODY: Mapping[str, Any] = {}
_NO_HEADERS: Mapping[str, str] = {}
_ALIKE = frozenset({"equal", "same"})


def identify(
    served_model: str | None,
    *,
    asked: Asked,
    body: Mapping[str, Any] = _NO_BODY,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> Identity:
    """Return who answered.

    Args:
        served_model: the answer's `model`, untouched; None or empty says nothing.
        asked: the route that was asked for, and what the gateway's `model` field is worth.
        body: top level of the answer, for a router's own record of what it did.
        headers: lower-case names.
    """
    raw = headers.get(RAW_MODEL_HEADER)
    if raw and "x-litellm-model-id" in headers:
        identity_class = _attested(raw, asked=asked)
        served_model = raw
    elif routed := _routed_models(body):
        identity_class = _worst([*(_attested(name, asked=asked) for name in routed), _named(served_model, asked=asked)])
    else:
        identity_class = _named(served_model, asked=asked)
    if _fell_back(headers, asked=asked):
        identity_class = IdentityClass.SUBSTITUTED
    return Identity(
        identity_class=identity_class,
        served_model=None if served_model is None else storable_text(served_model),
        provider=_provider(body),
        system_fingerprint=storable_text(as_text(body.get("system_fingerprint"))) or None,
    )


def identity_flags(identity: Identity, *, asked: Asked) -> set[str]:
    """Return what the served name is to the asked one."""
    served = identity.served_model
    if served is None:
        return set()
    if not served:
        return {"model_empty"}
    flags = set()
    if identity.identity_class is IdentityClass.SUBSTITUTED:
        flags.add("model_substituted")
    if is_alias_of(asked.route, served):
        flags.add("model_alias")
    elif served == asked.route and is_moving_alias(served):
        flags.add("model_echo_alias")
    elif served != asked.route and likeness(asked.route, served) in _ALIKE:
        flags.add("model_rename")
    return flags


def _named(served: str | None, *, asked: Asked) -> IdentityClass:
    """Judge the name in the body alone."""
    if asked.model_field == "echo" and served == asked.route:
        # The question repeated: held against other names it would be a swap.
        return IdentityClass.UNVERIFIABLE
    match _best_likeness(served, asked=asked):
        case "different":
            return IdentityClass.SUBSTITUTED
        case "unknown":
            return IdentityClass.UNVERIFIABLE
        case _:
            # An echo proves nothing, and neither does an alias that repeats itself.
            is_proof = asked.model_field == "upstream" and not is_moving_alias(served or "")
            return IdentityClass.SELF_REPORTED if is_proof else IdentityClass.UNVERIFIABLE


def _attested(name: str, *, asked: Asked) -> IdentityClass:
    """Judge a name the gateway itself put on record."""
    match _best_likeness(name, asked=asked):
        case "different":
            return IdentityClass.SUBSTITUTED
        case "unknown":
            return IdentityClass.UNVERIFIABLE
        case _ if is_moving_alias(name):
            return IdentityClass.UNVERIFIABLE
        case _ if asked.trusts_record:
            return IdentityClass.ATTESTED
        case _:
            # An upstream may write what only a gateway should: then it is no more than the upstream's own word.
            return IdentityClass.SELF_REPORTED if asked.model_field == "upstream" else IdentityClass.UNVERIFIABLE


def _worst(classes: list[IdentityClass]) -> IdentityClass:
    """Return substituted when any evidence says so, else the strongest: a record outranks a name in the body."""
    if IdentityClass.SUBSTITUTED in classes:
        return IdentityClass.SUBSTITUTED
    return min(classes, key=lambda identity_class: identity_class.rank)


def _best_likeness(served: str | None, *, asked: Asked) -> Likeness:
    if not served:
        return "unknown"
    to_upstream = [likeness(name, served) for name in asked.upstream_names]
    to_names = [*to_upstream, *(likeness(name, served) for name in asked.served_as)]
    if not _ALIKE.isdisjoint(to_names):
        return "same"
    if "different" in to_upstream:
        # Another snapshot than the one the roster names: a route such as `gpt-4o` would let it pass, and what routers
        # are then told to use was not measured.
        return "different"
    to_route = likeness(asked.route, served)
    if to_route in _ALIKE:
        return "same"
    is_other = to_route == "different" or bool(to_names and all(found == "different" for found in to_names))
    return "different" if is_other else "unknown"


def _routed_models(body: Mapping[str, Any]) -> list[str]:
    """Return the models OpenRouter says it took: the selected endpoint, and the attempt that went through."""
    metadata = as_dict(body.get("openrouter_metadata"))
    if not metadata:
        return []
    endpoints = as_dicts(as_dict(metadata.get("endpoints")).get("available"))
    chosen = [as_text(endpoint.get("model")) for endpoint in endpoints if endpoint.get("selected") is True]
    attempts = as_dicts(metadata.get("attempts"))
    if attempts and attempts[-1].get("status") in {None, 200, "200"}:
        chosen.append(as_text(attempts[-1].get("model")))
    return [name for name in chosen if name]


def _fell_back(headers: Mapping[str, str], *, asked: Asked) -> bool:
    """Return whether LiteLLM says that another group served than the one asked, or one the roster names.

    Whatever name the answer carries: the same weights on two hosts are two models.
    """
    tries = headers.get("x-litellm-attempted-fallbacks", "").strip()
    group = headers.get("x-litellm-model-group", asked.route)
    return tries not in {"", "0"} and group not in {asked.route, *asked.served_as}


def _provider(body: Mapping[str, Any]) -> str | None:
    name = as_text(body.get("provider"))
    if not name and "openrouter_metadata" in body:
        endpoints = as_dicts(as_dict(as_dict(body.get("openrouter_metadata")).get("endpoints")).get("available"))
        name = next((as_text(one.get("provider")) for one in endpoints if one.get("selected") is True), "")
    return storable_text(name) or None
