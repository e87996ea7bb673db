"""Where LiteLLM keeps things in a request: plain dictionaries, so that this is tested without LiteLLM."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["conversation_of", "fallbacks_of", "headers_of", "metadata_of", "name_session"]

_METADATA = ("metadata", "litellm_metadata")
_GENERATED = "litellm_session_id_generated"


def headers_of(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the headers the client sent, by lower-case name; none for a call that came by no HTTP request."""
    return (data.get("proxy_server_request") or {}).get("headers") or {}


def metadata_of(data: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the request's metadata, as it came and as LiteLLM has merged it: what it dropped counts, too."""
    body = (data.get("proxy_server_request") or {}).get("body") or {}
    found = (place.get(name) for place in (body, data) for name in _METADATA)
    return tuple(each for each in found if isinstance(each, dict))


def conversation_of(caller: Any, task: str, session: str) -> str:
    """Return a key for a caller's conversation that tells nothing of either."""
    parts = json.dumps([str(caller), task, session])
    return "evalkit:session:1:" + sha256(parts.encode()).hexdigest()


def name_session(data: dict[str, Any], session: str) -> None:
    """Tell LiteLLM of the conversation in its own words, for its affinity among deployments of one model."""
    bucket = data.get("litellm_metadata") if "litellm_metadata" in data else data.setdefault("metadata", {})
    if isinstance(bucket, dict):
        bucket["session_id"] = session
        bucket.pop(_GENERATED, None)
    data["litellm_session_id"] = session


def fallbacks_of(data: Mapping[str, Any], task: str, configured: Iterable[Any] | None) -> tuple[str, ...] | None:
    """Return the groups LiteLLM would go on with after the task's own; None when that is not ours to order.

    Args:
        data: the request; a list of the client's, or of its key's, stays as it is.
        task: whose group it is.
        configured: `router_settings.fallbacks`.
    """
    given_by_key = (data.get("router_settings_override") or {}).get("fallbacks")
    if "fallbacks" in data or given_by_key is not None:
        return None
    lists = [each[task] for each in configured or () if isinstance(each, dict) and task in each]
    return tuple(name for name in lists[0] if isinstance(name, str)) if lists else None
