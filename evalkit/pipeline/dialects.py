"""How each kind of gateway is asked for a task, and by which side doors a caller could try to get past one. Data only.

Words in braces are filled in: `task`; `model` and `route` of its first candidate; `other`, `other_route`,
`other_upstream`, `other_kind` and `other_api_base` of a model that may not serve it; `group`, a name that leads to such
a model; `deployment`, the gateway's own id of one. What needs a word nobody knows is left out: a header, or the probe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIALECTS", "Detour", "Dialect", "dialect_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detour:
    """One way past the task's list."""

    name: str
    model: str
    """What is asked for."""
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    without_headers: frozenset[str] = frozenset()
    """Headers of the user's own that are left out, lower-case."""
    names_task: bool = True
    """Whether the request names the task it is about, as an honest one does."""
    provokes: frozenset[int] = frozenset()
    """Statuses the detour causes by itself where it leads nowhere."""
    closed_by: str = ""
    """What an error says where our exporter has closed the detour, lower-case; empty when it need not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How to speak to one kind of gateway."""

    kind: str
    model: str = "{task}"
    """What a caller asks for."""
    task_headers: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ("{other}", "{other_route}", "{group}")
    """What a caller could ask for to get a model that may not serve the task."""
    detours: tuple[Detour, ...] = ()
    no_task_model: str = "{task}"
    """What is asked for by a caller who names no task."""
    can_name_tasks: bool = True
    """Whether a request says its task; else the key does."""
    replaces_model: bool = False
    """Whether the gateway asks a model of its own list whatever the caller names."""
    catalogue_path: str | None = None
    """Where it lists its deployments, from the root."""
    callbacks_path: str | None = None
    """Where it lists what it calls with each answer, from the root."""
    health_path: str | None = None
    """Where it says whether it has a database, from the root."""
    has_live_header: bool = False
    """Whether its answers say which eligibility file is live."""


_CONTRACT = {"x-evalkit-task": "{task}"}

_LITELLM = Dialect(
    kind="litellm",
    task_headers=_CONTRACT,
    detours=(
        Detour(name="deployment id", model="{deployment}"),
        # A deployment's own model name is an address, too, listed nowhere.
        Detour(name="provider shorthand", model="{other_kind}/{other_upstream}"),
        Detour(name="several models at once", model="{task},{group}"),
        # The first model is made to fail inside the proxy, before anything is sent: only the client's list is left.
        Detour(
            name="client's own fallbacks",
            model="{task}",
            body={
                "specific_deployment": True,
                "num_retries": 0,
                "fallbacks": [{"model": "{group}", "specific_deployment": False}],
            },
            provokes=frozenset({429}),
        ),
    ),
    catalogue_path="/model/info",
    callbacks_path="/active/callbacks",
    health_path="/health/readiness",
    has_live_header=True,
)

_PORTKEY = Dialect(
    kind="portkey",
    # By the contract for the proxy in front, in Portkey's own words for a gateway that is asked directly.
    task_headers={**_CONTRACT, "x-portkey-metadata": '{{"task":"{task}"}}'},
    names=("{other}", "{other_route}"),
    detours=(
        Detour(
            name="no configuration",
            model="{other_upstream}",
            headers={"x-portkey-provider": "{other_kind}", "x-portkey-custom-host": "{other_api_base}"},
            without_headers=frozenset({"x-portkey-config", "authorization"}),
            names_task=False,
        ),
    ),
    replaces_model=True,
)

_TENSORZERO = Dialect(
    kind="tensorzero",
    model="tensorzero::function_name::{task}",
    names=(
        "tensorzero::model_name::{other}",
        "tensorzero::model_name::{task}/{other}",
        "tensorzero::function_name::{other}",
    ),
    detours=(
        Detour(
            name="provider shorthand",
            model="tensorzero::model_name::{other_kind}::{other_upstream}",
            # The key that the exporter gives every provider type, and that is never set.
            closed_by="evalkit_shorthands_are_closed",
        ),
        Detour(name="plain shorthand", model="{other_kind}::{other_upstream}"),
        Detour(
            name="variant by name",
            model="tensorzero::function_name::{task}",
            body={"tensorzero::variant_name": "{other}"},
        ),
    ),
)

_OPENROUTER = Dialect(
    kind="openrouter",
    model="{route}",
    names=("{other_route}",),
    detours=(
        Detour(name="client's own fallbacks", model="{other_route}", body={"models": ["{other_route}"]}),
        Detour(name="automatic router", model="openrouter/auto"),
    ),
    can_name_tasks=False,
)

_OPENAI = Dialect(kind="openai", task_headers=_CONTRACT)

# The exported routes match the task's header alone, and write the model over.
_ENVOY = Dialect(kind="envoy", task_headers=_CONTRACT, names=("{other}", "{other_route}"), replaces_model=True)

DIALECTS: Mapping[str, Dialect] = {
    one.kind: one for one in (_LITELLM, _PORTKEY, _TENSORZERO, _OPENROUTER, _ENVOY, _OPENAI)
}
"""Every kind `evalkit verify-gateway` can speak to; `openai` is for a router of your own that follows the contract."""


def dialect_of(kind: str) -> Dialect:
    """Return how to speak to a kind of gateway.

    Raises:
        NotFoundError: when nobody knows.
    """
    if kind not in DIALECTS:
        raise NotFoundError(
            f"there are no probes for a gateway of kind {kind!r}", next_step=f"one of: {', '.join(DIALECTS)}"
        )
    return DIALECTS[kind]
