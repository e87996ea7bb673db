"""What every routing target is told, before it is told in its own words: task → ordered candidates, or nobody.

One intermediate form, so that what must never be exported is refused in one place: a wildcard, a retry schedule the
client does not wait for, a model without a usable name. An exporter turns it into a gateway's configuration and adds
no decision of its own.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.domain.outcome import Kind
from evalkit.domain.policy import Failover, ProviderPolicy, SpendCap
from evalkit.errors import InputError
from evalkit.exporters.names import names_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Hop",
    "Routing",
    "TaskRoute",
    "routing_from_document",
    "statuses_of",
]

_STATUSES: Mapping[Kind, tuple[int, ...]] = {
    Kind.RATE_LIMITED: (429,),
    Kind.PROVIDER_OVERLOADED: (503, 529),
    Kind.PROVIDER_ERROR: (500, 502),
    Kind.TIMEOUT: (408, 504, 524),
    Kind.QUOTA_EXHAUSTED: (402,),
    Kind.AUTH_ERROR: (401,),
    Kind.MODEL_UNAVAILABLE: (404,),
}
"""HTTP statuses that stand for a wire kind at gateways which know statuses only. 400, 403 and 422 stand for none: the
next model would be asked the same."""

_TASK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}")
"""What a policy lets a task be called. A file may be signed and still hold another name; no target has to quote it."""
_LOOKED_UP = re.compile(
    r"(OPENAI|ANTHROPIC|AZURE|AZURE_OPENAI|AZURE_AI|GEMINI|GOOGLE|GOOGLE_AI_STUDIO|VERTEXAI|COHERE|CO|MISTRAL|DEEPSEEK"
    r"|FIREWORKS|FIREWORKS_AI|GROQ|HYPERBOLIC|OPENROUTER|OR|TOGETHER|TOGETHERAI|TOGETHER_AI|XAI|PERPLEXITY|PERPLEXITYAI"
    r"|CEREBRAS|REPLICATE|DASHSCOPE|MOONSHOT|ASSEMBLYAI|HUGGINGFACE|LITELLM_PROXY)_API_KEY|LITELLM_MASTER_KEY|AWS_.*"
)
"""Variables gateways read by themselves: a key under such a name opens pass-through routes and model shorthands, which
no list of models guards."""

_CHOOSING = frozenset({"fallbacks", "model", "models", "route"})
"""Fields of a request by which gateways and providers pick a model: sent along, they would undo the order."""

_UPSTREAM = "upstream"
"""Key of a model's `routes`: what its provider itself calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One model at its place in a task's order."""

    task: str
    model_id: str
    position: int
    """0 is asked first."""
    route: str
    routes: Mapping[str, str]
    provider: str | None
    host: str | None
    quantization: str | None
    terms: ProviderPolicy
    """What holds for its provider: type, address, variable of the key, spend cap."""
    mode: str
    adapt: Mapping[str, Any]
    context_tokens: int | None
    max_output_tokens: int | None
    valid_until: str

    @property
    def upstream(self) -> str:
        """What the provider calls it: `routes.upstream`, else the route without `<provider>/` in front.

        Raises:
            InputError: when the name could stand for several models.
        """
        name = self.routes.get(_UPSTREAM) or self.route.removeprefix(f"{self.provider}/")
        return self.checked(name)

    @property
    def provider_kind(self) -> str:
        """The provider type a gateway knows, such as `openai`.

        Raises:
            InputError: when the roster names no provider.
        """
        return self.terms.kind or self.provider_name

    @property
    def provider_name(self) -> str:
        """The provider.

        Raises:
            InputError: when the roster names none.
        """
        if self.provider is None:
            where = f"model {self.model_id!r}, task {self.task!r},"
            problem = f"{where} names no provider, and this target cannot reach it without one"
            raise InputError(problem, next_step=f"give {self.model_id!r} a `provider` in the roster, then decide again")
        return self.provider

    @property
    def api_key_env(self) -> str:
        """Variable of the gateway's environment with the provider's key; never the key."""
        if self.terms.api_key_env is not None:
            return self.terms.api_key_env
        name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in self.provider_name)
        return f"EVALKIT_{name.upper()}_API_KEY"

    @property
    def own_api_key_env(self) -> str:
        """The same variable, for gateways that look some names up by themselves.

        Raises:
            InputError: when it is one of those: requests could then reach models that were never measured.
        """
        name = self.api_key_env
        if _LOOKED_UP.fullmatch(name) is not None:
            raise InputError(
                f"provider {self.provider_name!r} of model {self.model_id!r}, task {self.task!r}: gateways look "
                f"{name!r} up by themselves, and so serve models nobody admitted",
                next_step=f"set `providers.{self.provider_name}.api_key_env` in the policy to a name of your own, such "
                f"as EVALKIT_{name}, and decide again",
            )
        return name

    def checked(self, name: str) -> str:
        """Return a name for this model, once it is sure to stand for one model only.

        Raises:
            InputError: when it is empty, a wildcard, or an alias that moves.
        """
        problem = ""
        if not name or name != name.strip():
            problem = "is empty or has blanks around it"
        elif any(sign in name for sign in "*?"):
            problem = "is a wildcard: it would let in models that were never measured"
        elif any(not letter.isprintable() for letter in name):
            problem = "holds a character that cannot be printed"
        if problem:
            raise InputError(
                f"the name {name!r} of model {self.model_id!r}, task {self.task!r}, {problem}",
                next_step="name one model in its `route` or `routes`, then decide again",
            )
        return name


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRoute:
    """One task with at least one candidate."""

    task: str
    hops: tuple[Hop, ...]
    """In order; never empty."""
    failover: Failover
    spend_cap: SpendCap | None
    latency_p95_s: float | None

    @property
    def is_sticky(self) -> bool:
        """Whether a conversation stays with the model it began with."""
        return self.failover.session == "sticky"

    @property
    def retry_statuses(self) -> tuple[int, ...]:
        """HTTP statuses worth another try at the same model, ascending."""
        return statuses_of(self.failover.retry_on)

    @property
    def switch_statuses(self) -> tuple[int, ...]:
        """HTTP statuses after which the next candidate is asked: those of retries that ran out, and hard ones."""
        return statuses_of((*self.failover.retry_on, *self.failover.switch_on))

    def require_patience(self, backoff_s: float) -> None:
        """Refuse a schedule that goes on for a client that has gone: the calls would be paid for and thrown away.

        Args:
            backoff_s: the pauses between the tries at one candidate, in seconds, as the target makes them.

        Raises:
            InputError: when the client gives up before every candidate had its tries.
        """
        a_candidate_s = (self.failover.retries + 1) * self.failover.upstream_timeout_s + backoff_s
        needed_s = len(self.hops) * a_candidate_s
        if needed_s > self.failover.client_timeout_s:
            raise InputError(
                f"retry collision: task {self.task!r} has {len(self.hops)} candidates, whose retries take up to "
                f"{needed_s:g} s, and its client gives up after {self.failover.client_timeout_s:g} s",
                next_step="lower retries, upstream_timeout_s or max_candidates in the policy, then decide again",
            )

    def wider(self, hop: Hop) -> tuple[Hop, ...]:
        """Return the candidates after `hop` with a larger context window: the only ones an overflow may go to."""
        if hop.context_tokens is None:
            return ()
        own = hop.context_tokens
        return tuple(
            h for h in self.hops[hop.position + 1 :] if h.context_tokens is not None and h.context_tokens > own
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Everything a target is told."""

    audience: str
    is_simulated: bool
    generated_at: str
    valid_until: str
    source: str
    """The first 12 hexadecimal digits of the eligibility file's digest."""
    tasks: tuple[TaskRoute, ...]
    """Those with a candidate, in file order."""
    denied: tuple[str, ...]
    """Tasks nobody may serve, in file order: a target gets no route for them."""
    provider_caps: Mapping[str, SpendCap]

    @property
    def hops(self) -> tuple[Hop, ...]:
        """One hop for each model that may serve anything, in order of first appearance."""
        found: dict[str, Hop] = {}
        for hop in (hop for task in self.tasks for hop in task.hops):
            found.setdefault(hop.model_id, hop)
        return tuple(found.values())

    @property
    def provenance(self) -> tuple[str, ...]:
        """Lines for the head of a generated file."""
        lines = (
            f"written by evalkit from eligibility file {self.source}, generated {self.generated_at}",
            f"for {self.audience}; valid until {self.valid_until}: export again before then",
            "do not edit: the next export replaces this file",
        )
        return ("SIMULATED: must not route real traffic", *lines) if self.is_simulated else lines

    def require_one_host(self) -> None:
        """Refuse models of one provider on several hosts, at a target that reaches a provider at one address.

        Raises:
            InputError: naming two such models: one of them would be served by a host nobody measured.
        """
        first: dict[str, Hop] = {}
        for hop in self.hops:
            other = first.setdefault(hop.provider_name, hop)
            if other.host != hop.host:
                raise InputError(
                    f"models {other.model_id!r} and {hop.model_id!r} of provider {hop.provider_name!r} run on "
                    f"different hosts ({other.host!r} and {hop.host!r}), and this target knows one address a provider",
                    next_step="give each host a `provider` name of its own in the roster, then decide again",
                )

    def require_own_keys(self) -> None:
        """Refuse providers whose keys would come from one variable because their names are alike.

        Raises:
            InputError: naming two of them: one would be sent the other's key.
        """
        unnamed = {hop.provider_name: hop.api_key_env for hop in self.hops if hop.terms.api_key_env is None}
        names_of(unnamed, lambda name: unnamed[name], what="keys of providers")

    def require_distinct(self, *, sends_extra_body: bool = False) -> None:
        """Refuse two candidates of one task that this target would ask for in the same words.

        `sends_extra_body` says that the target adds a model's own fields to its requests, which may tell them apart.

        Raises:
            InputError: naming both: only one of them would ever be asked.
        """
        for route in self.tasks:
            first: dict[tuple[str, str, str], Hop] = {}
            for hop in route.hops:
                extra = json.dumps(hop.adapt.get("extra_body", {}), sort_keys=True) if sends_extra_body else ""
                other = first.setdefault((hop.provider_name, hop.upstream, extra), hop)
                if other is not hop:
                    raise InputError(
                        f"models {other.model_id!r} and {hop.model_id!r} of task {route.task!r} are both asked for as "
                        f"{hop.upstream!r} of provider {hop.provider_name!r}: this target cannot tell them apart",
                        next_step="set `routes.upstream` or `provider` in the roster so that they differ",
                    )


def statuses_of(kinds: Iterable[Kind]) -> tuple[int, ...]:
    """Return the HTTP statuses that stand for wire kinds, ascending; a kind without one gives none."""
    return tuple(sorted({status for kind in kinds for status in _STATUSES.get(kind, ())}))


def routing_from_document(document: Mapping[str, Any]) -> Routing:
    """Return what a verified eligibility document tells routing targets.

    Raises:
        InputError: when a client would give up before the gateway has gone through a task's candidates.
    """
    terms = {name: ProviderPolicy.model_validate(entry) for name, entry in document["providers"].items()}
    routes = tuple(
        _task_route(name, task, document=document, terms=terms)
        for name, task in document["tasks"].items()
        if task["candidates"]
    )
    return Routing(
        audience=document["audience"],
        is_simulated=document["simulated"],
        generated_at=document["generated_at"],
        valid_until=document["valid_until"],
        source=str(document["digest"]).removeprefix("sha256:")[:12],
        tasks=routes,
        denied=tuple(name for name, task in document["tasks"].items() if not task["candidates"]),
        provider_caps={name: entry.spend_cap for name, entry in terms.items() if entry.spend_cap is not None},
    )


def _task_route(
    name: str, task: Mapping[str, Any], *, document: Mapping[str, Any], terms: Mapping[str, ProviderPolicy]
) -> TaskRoute:
    failover = Failover.model_validate(task["failover"])
    if _TASK_NAME.fullmatch(name) is None:
        raise InputError(f"{name!r} is no name of a task", next_step="name it as the policy reference says")
    hops = tuple(
        _hop(name, candidate, position=position, model=document["models"][candidate["model"]], terms=terms)
        for position, candidate in enumerate(task["candidates"])
    )
    route = TaskRoute(
        task=name,
        hops=hops,
        failover=failover,
        spend_cap=task["spend_cap"] and SpendCap.model_validate(task["spend_cap"]),
        latency_p95_s=task["latency"] and task["latency"]["p95_s"],
    )
    route.require_patience(failover.backoff_s)
    return route


def _hop(
    task: str,
    candidate: Mapping[str, Any],
    *,
    position: int,
    model: Mapping[str, Any],
    terms: Mapping[str, ProviderPolicy],
) -> Hop:
    hop = Hop(
        task=task,
        model_id=candidate["model"],
        position=position,
        route=model["route"],
        routes=model["routes"],
        provider=model["provider"],
        host=model["host"],
        quantization=model["quantization"],
        terms=terms.get(model["provider"], ProviderPolicy()),
        mode=candidate["request"]["mode"],
        adapt=candidate["request"]["adapt"],
        context_tokens=model["context_tokens"],
        max_output_tokens=model["max_output_tokens"],
        valid_until=candidate["valid_until"],
    )
    for route in (hop.route, *hop.routes.values()):
        hop.checked(route)
    chosen = sorted(_CHOOSING & hop.adapt.get("extra_body", {}).keys())
    if chosen:
        raise InputError(
            f"model {hop.model_id!r}, task {task!r}, has {', '.join(chosen)} in adapt.extra_body, which would choose "
            "another model",
            next_step="take it out of the roster, then measure again",
        )
    return hop
