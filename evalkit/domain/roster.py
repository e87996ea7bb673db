"""Who is asked: models as (id, provider, host, quantisation, route). The same weights on two hosts are two models."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from evalkit.canonical import digest_of
from evalkit.domain.shape import Identifier, Shape

if TYPE_CHECKING:
    from evalkit.domain.suite import Mode

__all__ = ["Adapt", "Capabilities", "KeySource", "Model", "ModelLimits", "Price", "Roster"]


class KeySource(Shape):
    """Where a secret is found; the secret itself never enters a file, a store or a message."""

    api_key_env: str | None = None
    """Name of an environment variable."""
    api_key_file: str | None = None
    """Path of a file whose first line is the key."""
    api_key_command: tuple[str, ...] | None = None
    """A command (no shell) that prints the key; run again once after a 401."""

    @model_validator(mode="after")
    def _one_source(self) -> KeySource:
        named = [self.api_key_env, self.api_key_file, self.api_key_command]
        if sum(source is not None for source in named) > 1:
            raise ValueError("give at most one of api_key_env, api_key_file, api_key_command")
        return self


class Price(Shape):
    """List price in USD per million tokens."""

    input_usd_per_mtok: Annotated[float, Field(ge=0)]
    output_usd_per_mtok: Annotated[float, Field(ge=0)]


class Capabilities(Shape):
    """What the model is declared to honour; nothing here is measured."""

    structured: Literal["json_schema", "json_object", "none"] = "none"
    """The strictest structured-output mode; each implies the weaker ones."""
    tools: bool = False
    temperature: bool = True
    """False: the parameter is not sent, and the report says it was not honoured."""
    seed: bool = False
    streaming: bool = True

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The request modes the model can take."""
        ladder: dict[str, tuple[Mode, ...]] = {
            "json_schema": ("json_schema", "json_object", "prompted"),
            "json_object": ("json_object", "prompted"),
            "none": ("prompted",),
        }
        return ("text", *ladder[self.structured], *(("tools",) if self.tools else ()))


class Adapt(Shape):
    """How a request is bent for this model; copied into the eligibility file for the router to do the same."""

    system_role: Literal["system", "developer", "user"] = "system"
    """`user` puts the system text in front of the first user message and flags `system_prompt_demoted`."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra_body: dict[str, JsonValue] = Field(default_factory=dict)
    """Merged into the request body last."""


class ModelLimits(Shape):
    """What the provider allows; None is no limit of our own."""

    concurrency: Annotated[int, Field(gt=0)] | None = None
    requests_per_minute: Annotated[int, Field(gt=0)] | None = None
    tokens_per_minute: Annotated[int, Field(gt=0)] | None = None


class Model(KeySource):
    """One entry of the roster."""

    id: Identifier  # the file's key; everywhere else it is `model_id`
    route: Annotated[str, Field(min_length=1)]
    """What the gateway is asked for."""
    routes: dict[str, str] = Field(default_factory=dict)
    """Gateway kind to the route there, where it differs."""
    provider: str | None = None
    family: str | None = None
    """Whose weights these are, where the provider does not say it: no judge judges its own family."""
    host: str | None = None
    quantization: str | None = None
    served_as: tuple[str, ...] = ()
    """Extra names an honest answer may carry in its `model` field."""
    price: Price | None = None
    context_tokens: Annotated[int, Field(gt=0)] | None = None
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    capabilities: Capabilities = Capabilities()
    adapt: Adapt = Adapt()
    limits: ModelLimits = ModelLimits()

    def route_for(self, gateway_kind: str) -> str:
        """Return the route to ask this gateway for."""
        return self.routes.get(gateway_kind, self.route)

    @property
    def upstream_names(self) -> tuple[str, ...]:
        """What its provider itself calls it, where the roster says so: an honest answer carries that name."""
        name = self.routes.get("upstream")
        return () if name is None else (name,)

    @cached_property
    def digest(self) -> str:
        """Digest of what makes two measurements those of the same model."""
        return digest_of(
            self.model_dump(include={"id", "route", "routes", "provider", "host", "quantization", "adapt"})
        )


class Roster(Shape):
    """All models that are asked. `defaults` and `extends` have been merged in by loading."""

    version: Literal[1]
    models: Annotated[tuple[Model, ...], Field(min_length=1)]
    judges: tuple[Model, ...] = ()
    """Models that scorers ask about answers; never candidates."""

    @property
    def everyone(self) -> tuple[Model, ...]:
        """Candidates, then judges: whoever may be sent a request."""
        return (*self.models, *self.judges)

    @property
    def by_id(self) -> dict[str, Model]:
        """Model id to candidate, in file order."""
        return {model.id: model for model in self.models}

    @property
    def judge_by_id(self) -> dict[str, Model]:
        """Judge id to model, in file order."""
        return {judge.id: judge for judge in self.judges}

    @cached_property
    def digest(self) -> str:
        """Digest of the resolved roster."""
        return digest_of(self.model_dump())
