"""The live callback inside LiteLLM's proxy. A thin adapter: what is decided is decided in `gatekeeper`.

    litellm_settings:
      callbacks: [evalkit.router.litellm_hook.handler]      # production: only eligible models are asked
      callbacks: [evalkit.router.litellm_hook.evaluation]   # measuring: exports the upstream's own model name

LiteLLM asks the production callback three times: before it routes a request, whenever it chooses a deployment (again
for each retry and fallback), and right before a model is called. The last question stands even for calls that never
came by the first two. A request carries what was found out about it in a context variable: LiteLLM copies and rebuilds
a request's arguments on its way through fallbacks, and a client can write into them.

Seen in LiteLLM 1.106.2; docs/decisions/0027-litellm-hook.md says what has to be looked at again for another version.
The only module of evalkit that imports LiteLLM. It is installed in LiteLLM's own environment, without dependencies.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import litellm
from fastapi import HTTPException
from litellm.constants import LITTELM_INTERNAL_HEALTH_SERVICE_ACCOUNT_NAME
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy import proxy_server
from litellm.proxy._types import ProxyException, UserAPIKeyAuth
from litellm.types.router import GenericLiteLLMParams

from evalkit.errors import RefusedError
from evalkit.router.gatekeeper import (
    LIVE_HEADER,
    MOVED_HEADER,
    RAW_MODEL_HEADER,
    TASK_HEADER,
    DeniedError,
    cache_of,
    check_destination,
    check_fallbacks,
    check_parameters,
    check_surface,
    is_listed,
    is_probe,
    is_sticky,
    keep_eligible,
    raw_model_of,
    route_of,
    session_of,
    task_of,
)
from evalkit.router.hook_settings import settings_from_environment
from evalkit.router.litellm_data import conversation_of, fallbacks_of, headers_of, metadata_of, name_session
from evalkit.router.pins import Pins
from evalkit.router.reader import EligibilityReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evalkit.router.reader import View

__all__ = ["evaluation"]

_log = logging.getLogger("evalkit.router")

_FORBIDDEN = 403
_INELIGIBLE = "evalkit_ineligible"
_PROBE = "evalkit_probe"
_ERROR_TYPE = "permission_error"
_FIELDS = frozenset(GenericLiteLLMParams.model_fields)
"""What LiteLLM lets a deployment configure; arguments of a request win over it, so a client may not give them."""


class _Refused(ProxyException, HTTPException):
    """A refusal in the one shape all of LiteLLM's paths report well.

    As an HTTPException it ends retries and fallbacks; as a ProxyException it reaches OpenAI's clients with its code.
    """

    def __init__(self, code: str, message: str, *, live: str | None) -> None:
        self._code = code
        # The code leads the message, too: some of LiteLLM's paths report nothing else.
        message = f"{code}: {message}"
        error = {"message": message, "type": _ERROR_TYPE, "param": None, "code": code}
        ProxyException.__init__(
            self,
            message=message,
            type=_ERROR_TYPE,
            param=None,
            code=_FORBIDDEN,
            openai_code=code,
            headers={} if live is None else {LIVE_HEADER: live},
            provider_specific_fields={"error": error},
        )
        self.status_code = _FORBIDDEN
        self.detail = {"error": error}

    def to_dict(self) -> dict[str, Any]:
        """Return the error with our code, where LiteLLM would repeat the status."""
        return {**super().to_dict(), "code": self._code}


@dataclass(slots=True)
class _Ticket:
    """One request that was let in, and what became of it."""

    task: str
    live: str
    conversation: str | None
    """Where its conversation's model is remembered; None when there is none to remember."""
    pinned: str | None
    """The model that served the conversation before."""
    serving: str | None = None
    """The model of the call that was let through last."""
    is_answered: bool = False

    @property
    def has_moved(self) -> bool:
        """Whether the conversation goes on with another model."""
        return self.pinned is not None and self.serving is not None and self.serving != self.pinned


@dataclass(slots=True)
class _Served:
    """The upstream's own name, once an answer of this very request says one."""

    call: Any
    """LiteLLM's record of the request: other calls, such as a guardrail's, have their own."""
    raw_model: str | None = None


_TICKET: ContextVar[_Ticket | None] = ContextVar("evalkit_ticket", default=None)
_SERVED: ContextVar[_Served | None] = ContextVar("evalkit_served", default=None)
_TASKS: ContextVar[tuple[str, ...]] = ContextVar("evalkit_task_headers", default=())


class _TaskHeader:
    """Keeps a request's task header at hand: LiteLLM tells a callback that narrows /v1/models nothing of the request.

    It also sees a header that is given twice, of which LiteLLM would pass on one.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            name = TASK_HEADER.encode()
            _TASKS.set(tuple(value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name))
        await self._app(scope, receive, send)


class _Exporter(CustomLogger):
    """Reads the upstream's own model name off its answer, before LiteLLM writes the name that was asked for over it."""

    async def async_post_call_success_deployment_hook(self, request_data: dict[str, Any], *_rest: Any) -> None:
        """Take the name from the upstream's words; what LiteLLM would fill in for a missing one proves nothing."""
        served = _SERVED.get()
        call = request_data.get("litellm_logging_obj")
        if served is not None and call is not None and call is served.call:
            served.raw_model = raw_model_of(call.model_call_details.get("original_response"))

    def _begin(self, data: Mapping[str, Any]) -> None:
        """Answer the probe, or watch for the answer."""
        _SERVED.set(_Served(data.get("litellm_logging_obj")))
        if is_probe(data.get("model"), headers_of(data)):
            raise _Refused(_PROBE, "the callback is here, and no model was asked", live=None)

    def _raw_model(self) -> dict[str, str]:
        served = _SERVED.get()
        if served is None or served.raw_model is None:
            return {}
        return {RAW_MODEL_HEADER: served.raw_model}


class _Evaluation(_Exporter):
    """For a proxy that measures: says who answered, and filters nothing."""

    # LiteLLM looks for these two in the class itself, not in its bases.
    async def async_pre_call_hook(self, *, data: dict[str, Any], **_rest: Any) -> None:
        """See the request before it is routed."""
        self._begin(data)

    async def async_post_call_response_headers_hook(self, **_rest: Any) -> dict[str, str]:
        """Return headers for the response."""
        return self._raw_model()


class _Handler(_Exporter):
    """For a proxy in production: only eligible models are asked."""

    def __init__(self, reader: EligibilityReader) -> None:
        super().__init__()
        self._reader = reader
        self._pins = Pins()

    async def async_pre_call_hook(
        self, *, user_api_key_dict: Any, data: dict[str, Any], call_type: str, **_rest: Any
    ) -> None:
        """Decide whether a request may go on, and to which group."""
        _TICKET.set(None)
        self._begin(data)
        headers, metadata = headers_of(data), metadata_of(data)
        with self._refusing():
            check_surface(call_type)
            task = task_of(headers, (*metadata, *({"task": value} for value in _TASKS.get())))
        with self._refusing(task):
            check_parameters(data, forbidden=_FIELDS)
            view = self._reader.view(task)
            conversation = pinned = None
            session = session_of(headers, metadata)
            if session is not None and is_sticky(view):
                conversation = conversation_of(getattr(user_api_key_dict, "api_key", None), task, session)
                pinned = await self._pins.find(conversation, shared=_router().cache.redis_cache)
            _direct(data, task=task, view=view, pinned=pinned)
        if session is not None:
            name_session(data, session)
        _TICKET.set(_Ticket(task, view.live, conversation, pinned))

    async def async_filter_deployments(self, *, healthy_deployments: Any, **_rest: Any) -> Any:
        """Keep the deployments that may serve the request; comes again for every retry and fallback."""
        if not healthy_deployments:
            return healthy_deployments
        ticket = self._ticket()
        with self._refusing(ticket.task):
            view = self._reader.view(ticket.task)
            ticket.live = view.live
            return keep_eligible(healthy_deployments, task=ticket.task, view=view, pinned=ticket.pinned)

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], *_rest: Any) -> dict[str, Any] | None:
        """Look once more at the call itself, whatever way it came: by id, by a shorthand, or past the router."""
        if _is_health_check(kwargs):
            return None
        ticket = self._ticket()
        with self._refusing(ticket.task):
            view = self._reader.view(ticket.task)
            deployment = _router().get_model_info(str((kwargs.get("model_info") or {}).get("id")))
            if deployment is None:
                raise DeniedError("other_destination", "the call is for no deployment of this gateway")
            model = check_destination(kwargs, deployment, task=ticket.task, view=view)
        ticket.serving, ticket.live = model, view.live
        if ticket.is_answered:
            # A stream that broke off and goes on elsewhere.
            await self._remember(ticket)
        return None if litellm.cache is None else {**kwargs, "cache": cache_of(kwargs.get("cache"), model)}

    async def async_filter_listed_models(self, _caller: Any, model_names: Sequence[str]) -> Sequence[str]:
        """Keep the groups that have somebody to serve the header's task, or any task when there is no header."""
        try:
            asked = _TASKS.get() or tuple(self._reader.view("").tasks)
            views = {task: self._reader.view(task) for task in asked}
        except RefusedError as error:
            _log.warning("the eligibility file is refused: %s", error)
            return ()
        deployments = _router().model_list
        return tuple(name for name in model_names if is_listed(name, deployments=deployments, views=views))

    async def async_post_call_response_headers_hook(self, *, response: Any, **_rest: Any) -> dict[str, str]:
        """Return headers for the response, and remember who served the conversation."""
        ticket = _TICKET.get()
        if ticket is None:
            return {}
        headers = {LIVE_HEADER: ticket.live}
        if response is None:
            return headers
        ticket.is_answered = True
        await self._remember(ticket)
        moved = {MOVED_HEADER: "1"} if ticket.has_moved else {}
        return {**headers, **moved, **self._raw_model()}

    def _ticket(self) -> _Ticket:
        ticket = _TICKET.get()
        if ticket is not None:
            return ticket
        with self._refusing():
            raise DeniedError("not_asked", "the request came by a route on which nobody asked for its task")

    @contextmanager
    def _refusing(self, task: str | None = None) -> Iterator[None]:
        """Turn what speaks against a request into the answer its client gets."""
        try:
            yield
        except DeniedError as error:
            _log.info("refused: %s", error)
            said = str(error)
        except RefusedError as error:
            # The path of the file, or what is wrong inside, is the operator's business.
            _log.warning("the eligibility file is refused: %s", error)
            said = f"{error.code}: the eligibility file cannot be believed"
        else:
            return
        live = self._live()
        about = f"task {task!r:.100}" if task is not None else "no task"
        raise _Refused(_INELIGIBLE, f"{said} ({about}; eligibility file {live or 'none'})", live=live) from None

    def _live(self) -> str | None:
        try:
            return self._reader.live
        except RefusedError:
            return None

    async def _remember(self, ticket: _Ticket) -> None:
        if ticket.conversation is None or ticket.serving is None:
            return
        router = _router()
        for_s = float(router.deployment_affinity_ttl_seconds)
        await self._pins.keep(ticket.conversation, ticket.serving, shared=router.cache.redis_cache, for_s=for_s)


def _router() -> Any:
    if proxy_server.llm_router is None:
        raise DeniedError("no_eligible_deployment", "this gateway has no deployments")
    return proxy_server.llm_router


def _direct(data: dict[str, Any], *, task: str, view: View, pinned: str | None) -> None:
    """Put the group the request goes to into it, and the groups to go on with."""
    router, asked = _router(), data.get("model")
    deployments = router.model_list
    if data.get("fallbacks") is not None:
        check_fallbacks(data["fallbacks"], task=task, tasks=view.tasks, deployments=deployments)
    route = route_of(
        asked,
        task=task,
        view=view,
        deployments=deployments,
        pinned=pinned,
        configured=fallbacks_of(data, task, router.fallbacks),
    )
    data["model"] = route.group
    if route.fallbacks is not None:
        data["fallbacks"] = [{route.group: list(route.fallbacks)}]


def _is_health_check(kwargs: Mapping[str, Any]) -> bool:
    """Tell LiteLLM's own health checks by the account object they carry; no client can send an object."""
    account = (kwargs.get("litellm_metadata") or {}).get("user_api_key_auth")
    return isinstance(account, UserAPIKeyAuth) and account.key_alias == LITTELM_INTERNAL_HEALTH_SERVICE_ACCOUNT_NAME


def _make_handler() -> _Handler:
    """Make the production callback; what it lacks stops the proxy's start.

    Raises:
        InputError: for an environment that does not say which file, for whom.
    """
    settings = settings_from_environment(os.environ)
    reader = EligibilityReader(
        settings.path,
        audience=settings.audience,
        public_keys=settings.public_keys,
        allow_simulated=settings.allow_simulated,
        check_every_s=settings.check_every_s,
    )
    try:
        _log.info("eligibility file %s is live", reader.live)
    except RefusedError as error:
        _log.warning("every request is refused until there is a file to be believed: %s", error)
    app = proxy_server.app
    if app.middleware_stack is None:
        app.add_middleware(_TaskHeader)
    else:
        # LiteLLM loads callbacks while it starts; by then the list of middleware is closed, what it became is not.
        app.middleware_stack = _TaskHeader(app.middleware_stack)
    return _Handler(reader)


evaluation = _Evaluation()


def __getattr__(name: str) -> Any:
    """Make `handler` when it is asked for: a proxy that only measures needs no file and no audience."""
    if name != "handler":
        raise AttributeError(name)
    globals()["handler"] = made = _make_handler()
    return made
