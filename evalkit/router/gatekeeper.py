"""What the live callback decides about one request, on plain data: no gateway's types, no clock, no file.

A gateway's callback sees a request several times: before it is routed, when a deployment is chosen (again for every
fallback), and right before the model is called. Each time the question is asked anew, and each answer is one of the
functions here; the callback itself only translates. Whatever is not clearly allowed is denied.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.errors import EvalkitError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from evalkit.router.reader import View

__all__ = [
    "HARMLESS_PARAMETERS",
    "LIVE_HEADER",
    "MOVED_HEADER",
    "RAW_MODEL_HEADER",
    "SESSION_HEADER",
    "SURFACES",
    "TASK_HEADER",
    "DeniedError",
    "Route",
    "admitted_by",
    "cache_of",
    "check_destination",
    "check_fallbacks",
    "check_parameters",
    "check_surface",
    "is_listed",
    "is_probe",
    "is_sticky",
    "keep_eligible",
    "model_of",
    "raw_model_of",
    "route_of",
    "session_of",
    "task_of",
]

TASK_HEADER = "x-evalkit-task"
SESSION_HEADER = "x-evalkit-session"
LIVE_HEADER = "x-evalkit-eligibility"
MOVED_HEADER = "x-evalkit-session-moved"
RAW_MODEL_HEADER = "x-evalkit-raw-model"

SURFACES = frozenset({"acompletion", "atext_completion", "aembedding", "aresponses", "anthropic_messages"})
"""LiteLLM's names for chat, completions, embeddings, responses and messages: the surfaces tests have shown to hold."""

HARMLESS_PARAMETERS = frozenset(
    {"api_version", "drop_params", "keepalive_seconds", "litellm_trace_id", "max_retries",
     "merge_reasoning_content_in_choices", "stream_timeout", "tags", "timeout"}
)  # fmt: skip
"""What a deployment may configure and a client may set all the same: it changes neither model nor destination."""

_UPSTREAM_PARAMETERS = frozenset(
    {"deployment_id", "engine", "extra_body", "extra_query", "models", "plugins", "preset", "provider", "route",
     "transforms", "variant_name"}
)  # fmt: skip
"""What an upstream that is a router itself would take for leave to ask another model, or the same one elsewhere."""
_GATEWAY_PARAMETERS = frozenset(
    {"api_base", "api_key", "attempted_targets", "base_url", "content_policy_fallbacks", "context_window_fallback_dict",
     "context_window_fallbacks", "custom_llm_provider", "default_fallbacks", "extra_headers", "fallback_depth",
     "fastest_response", "headers", "litellm_credential_name", "litellm_params", "max_fallbacks", "mock_response",
     "model_info", "model_list", "original_function", "original_generic_function", "passthrough_on_no_deployment",
     "preset_cache_key", "prompt_id", "prompt_variables", "prompt_version", "specific_deployment", "user_config"}
)  # fmt: skip
"""What LiteLLM itself would follow past its list of deployments."""

_PROBE_ROUTE = "evalkit/identity-probe"
_PROBE_HEADER = "x-evalkit-probe"
_PROBE_VALUE = "identity"
_MAX_NAME = 256
_MAX_RAW = 4 * 2**20
"""Longer answers are not searched for a name; none of a chat model is."""
_GENERATED_SESSION = "litellm_session_id_generated"


class DeniedError(EvalkitError):
    """The request is not let through; `reason` is the machine-readable part."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}: {message}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which group a request goes to."""

    group: str
    fallbacks: tuple[str, ...] | None = None
    """The groups to go on with, in order; None leaves it to the gateway's own list."""


def is_probe(model: Any, headers: Mapping[str, Any]) -> bool:
    """Return whether this asks for the callback and for no model."""
    return model == _PROBE_ROUTE and headers.get(_PROBE_HEADER) == _PROBE_VALUE


def check_surface(call_type: str) -> None:
    """Let through what tests have shown to be held to the file.

    Raises:
        DeniedError: for every other route: pass-through, realtime, images, audio, batches, stored responses …
    """
    if call_type not in SURFACES:
        problem = f"this route ({call_type}) is not held to the eligibility file"
        raise DeniedError("not_covered", f"{problem}; use chat, completions, responses, messages or embeddings")


def check_parameters(data: Mapping[str, Any], *, forbidden: Collection[str] = ()) -> None:
    """Refuse a request that says where it wants to go by anything but `model`.

    Args:
        data: the request, with what the gateway has added.
        forbidden: further names: whatever the gateway lets a deployment configure.

    Raises:
        DeniedError: naming the parameters.
    """
    given = {name for name, value in data.items() if value is not None}
    named = given & (_UPSTREAM_PARAMETERS | _GATEWAY_PARAMETERS | (frozenset(forbidden) - HARMLESS_PARAMETERS))
    if named:
        raise DeniedError("forbidden_parameter", f"a client may not set {', '.join(sorted(named))}")


def task_of(headers: Mapping[str, Any], metadata: Iterable[Mapping[str, Any]]) -> str:
    """Return the task a request names, in its header or in its metadata.

    Raises:
        DeniedError: when it names none, or two.
    """
    found = [headers.get(TASK_HEADER), *(each.get("task") for each in metadata)]
    named = [value for value in found if value is not None]
    if not named:
        raise DeniedError("no_task", f"name the task: header {TASK_HEADER}, or metadata.task")
    if not all(isinstance(value, str) and value for value in named):
        raise DeniedError("no_task", "the task is not text")
    if len(set(named)) > 1:
        raise DeniedError("task_conflict", f"header {TASK_HEADER} and metadata.task name different tasks")
    return str(named[0])


def session_of(headers: Mapping[str, Any], metadata: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the conversation a request belongs to; None when it names none."""
    given = headers.get(SESSION_HEADER)
    found = [given] + [each.get("session_id") for each in metadata if not each.get(_GENERATED_SESSION)]
    named = (value for value in found if isinstance(value, (str, int)) and not isinstance(value, bool))
    return next((str(value) for value in named if str(value)), None)


def admitted_by(view: View, task: str) -> tuple[str, ...]:
    """Return the models that may serve the task now, in order.

    Raises:
        DeniedError: when there is none.
    """
    admitted = tuple(one.model_id for one in view.admitted)
    if admitted:
        return admitted
    if view.entry is None:
        raise DeniedError("unknown_task", f"the eligibility file does not know task {task!r:.{_MAX_NAME}}")
    if view.entry["candidates"]:
        raise DeniedError("expired", f"the evidence of every candidate of task {task!r} has expired")
    raise DeniedError("no_candidate", f"no model is eligible for task {task!r}")


def route_of(
    asked: Any,
    *,
    task: str,
    view: View,
    deployments: Sequence[Mapping[str, Any]],
    pinned: str | None = None,
    configured: Collection[str] | None = None,
) -> Route:
    """Return the group a request goes to.

    Who asks for the task's own group gets the group of the conversation's model, as long as that is eligible, else of
    the first eligible candidate that has one: so a primary that was withdrawn moves requests on instead of stopping
    them. Any other group is taken as asked for, and only narrowed to who is eligible.

    Args:
        asked: the `model` of the request.
        task: what it is asked for.
        view: what the file says of it.
        deployments: the gateway's `model_list`.
        pinned: the model that served the conversation before.
        configured: the groups the gateway would fall back to from the task's own; None when it has no such list.

    Raises:
        DeniedError: when the group is none, is another task's, or holds no eligible model.
    """
    admitted = admitted_by(view, task)
    _check_group(asked, task=task, tasks=view.tasks, groups={each["model_name"] for each in deployments} | {task})
    if asked != task:
        if not any(each["model_name"] == asked and model_of(each) in admitted for each in deployments):
            raise DeniedError("no_eligible_deployment", f"group {asked!r} has no model that is eligible for {task!r}")
        return Route(group=asked)
    order = sorted(admitted, key=lambda model: model != pinned)
    chain = tuple(dict.fromkeys(_groups_of(task, order, deployments)))
    if not chain:
        raise DeniedError("no_eligible_deployment", f"no deployment of this gateway is eligible for task {task!r}")
    if configured is None:
        return Route(group=chain[0])
    return Route(group=chain[0], fallbacks=tuple(name for name in chain[1:] if name in {task, *configured}))


def check_fallbacks(
    fallbacks: Any, *, task: str, tasks: Collection[str], deployments: Sequence[Mapping[str, Any]]
) -> None:
    """Let a client name groups to fall back to; who may serve there is looked at when it comes to that.

    Raises:
        DeniedError: when it names anything but groups.
    """
    if not isinstance(fallbacks, list):
        raise DeniedError("forbidden_parameter", "fallbacks is not a list of group names")
    groups = {each["model_name"] for each in deployments}
    for name in fallbacks:
        _check_group(name, task=task, tasks=tasks, groups=groups)


def _check_group(asked: Any, *, task: str, tasks: Collection[str], groups: Collection[str]) -> None:
    """A group is named in full: no deployment id, no provider's name, no list, no pattern."""
    if not isinstance(asked, str) or asked not in groups or any(sign in asked for sign in ",*"):
        raise DeniedError("not_a_group", f"{asked!r:.{_MAX_NAME}} is not a model group of this gateway")
    owner = _owner(asked)
    if owner != task and owner in tasks:
        raise DeniedError("other_task", f"group {asked!r} belongs to task {owner!r}, not to {task!r}")


def _owner(group: str) -> str:
    """Return the task of an exported group: `sums` of `sums` and of `sums#1`."""
    name, mark, position = group.rpartition("#")
    return name if mark and position.isdecimal() else group


def _position(group: str) -> int:
    _, mark, position = group.rpartition("#")
    return int(position) if mark and position.isdecimal() else 0


def _groups_of(task: str, order: Iterable[str], deployments: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    own = sorted((each for each in deployments if _owner(each["model_name"]) == task), key=_position_of)
    for model in order:
        yield from (each["model_name"] for each in own if model_of(each) == model)


def _position_of(deployment: Mapping[str, Any]) -> int:
    return _position(deployment["model_name"])


def model_of(deployment: Mapping[str, Any]) -> str | None:
    """Return the model a deployment says it is; one that says nothing is never eligible."""
    model = (deployment.get("model_info") or {}).get("evalkit_model")
    return model if isinstance(model, str) and model else None


def keep_eligible(
    deployments: Sequence[Mapping[str, Any]], *, task: str, view: View, pinned: str | None = None
) -> list[Mapping[str, Any]]:
    """Return the deployments that may serve, in their order; only those of the conversation's model if there are any.

    Raises:
        DeniedError: when none is left of some. Of none, as after a cooldown, none are left: that is not our refusal.
    """
    if not deployments:
        return []
    admitted = admitted_by(view, task)
    kept = [each for each in deployments if model_of(each) in admitted]
    if not kept:
        raise DeniedError("no_eligible_deployment", f"no deployment of this group is eligible for task {task!r}")
    return [each for each in kept if model_of(each) == pinned] or kept


def check_destination(call: Mapping[str, Any], deployment: Mapping[str, Any], *, task: str, view: View) -> str:
    """Look at the call that is about to be made, whatever way it came, and return the model it is made to.

    Args:
        call: the arguments: `model`, `api_base`, `base_url`.
        deployment: the entry of the gateway's `model_list` it claims to be made to.
        task: what it is made for.
        view: what the file says of it.

    Raises:
        DeniedError: when the deployment may not serve, or the call goes somewhere else.
    """
    model = model_of(deployment)
    if model is None or model not in admitted_by(view, task):
        raise DeniedError("no_eligible_deployment", f"the chosen deployment is not eligible for task {task!r}")
    configured = deployment.get("litellm_params") or {}
    named, meant = call.get("model"), configured.get("model")
    # On its way from API to API the name loses the provider in front of it, never anything else.
    if not isinstance(named, str) or not isinstance(meant, str) or not f"/{meant}".endswith(f"/{named}"):
        raise DeniedError("other_destination", "the call is for another model than its deployment's")
    address = configured.get("api_base") or configured.get("base_url")
    given = {call.get("api_base"), call.get("base_url")} - {None, ""}
    if address and given - {address}:
        raise DeniedError("other_destination", "the call goes to another address than its deployment's")
    return model


def is_listed(group: str, *, deployments: Sequence[Mapping[str, Any]], views: Mapping[str, View]) -> bool:
    """Return whether a group has somebody to serve one of these tasks, and is not another task's.

    Args:
        group: its name.
        deployments: the gateway's `model_list`.
        views: of the tasks in question: all of the file, or the one that is asked for.
    """
    return any(_has_somebody(group, task, view=view, deployments=deployments) for task, view in views.items())


def _has_somebody(group: str, task: str, *, view: View, deployments: Sequence[Mapping[str, Any]]) -> bool:
    try:
        route_of(group, task=task, view=view, deployments=deployments)
    except DeniedError:
        return False
    return True


def cache_of(asked: Any, model: str) -> dict[str, Any]:
    """Return what a client asks of the gateway's cache, with each model's answers kept apart.

    By itself a gateway takes the answers of a group for one another's, those of a model that was withdrawn included.
    """
    return {**(asked if isinstance(asked, dict) else {}), "namespace": f"evalkit:{model}"}


def is_sticky(view: View) -> bool:
    """Return whether a conversation of this task stays with its model."""
    return view.entry is not None and (view.entry.get("failover") or {}).get("session") != "any"


def raw_model_of(answer: Any) -> str | None:
    """Return the name an upstream's own answer gives itself; None when it gives none that can stand in a header.

    Args:
        answer: what the upstream sent, as JSON text or as an object.
    """
    if isinstance(answer, str) and len(answer) <= _MAX_RAW:
        try:
            answer = json.loads(answer)
        except (ValueError, RecursionError):
            return None
    name = answer.get("model") if isinstance(answer, dict) else None
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME:
        return None
    return name if name.isascii() and name.isprintable() and name == name.strip() else None
