"""The project file and the whole of what was loaded: the one value every use case starts from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from evalkit.domain.judging import Judges
from evalkit.domain.nightly import Nightly
from evalkit.domain.policy import Duration
from evalkit.domain.roster import KeySource
from evalkit.domain.shape import Identifier, Shape

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.domain.judging import Qualification
    from evalkit.domain.policy import Policy, Waiver
    from evalkit.domain.roster import Roster
    from evalkit.domain.suite import Suite

__all__ = ["GatewayConfig", "Limits", "Project", "ProjectConfig", "Signing", "SimulatorConfig"]


class SimulatorConfig(Shape):
    """How the embedded gateway behaves."""

    time_scale: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Factor on every service time and retry hint: 0 answers at once, 1 in real time. Reported latency is unscaled."""
    seed: int = 0
    host: Literal["127.0.0.1", "::1"] = "127.0.0.1"


class GatewayConfig(KeySource):
    """Where the calls go."""

    kind: Identifier
    """Entry-point name: `openai`, `simulator`, `replay`, or an installed plugin."""
    base_url: str | None = None
    """Up to and including `/v1`."""
    vantage: str = ""
    """A label for where the measuring machine stands, such as a region."""
    recordings: str | None = None
    """For `replay`: a JSON Lines file or a folder of them."""
    model_field: Literal["echo", "upstream"] | None = None
    """Whether the answer's `model` is the upstream's own name or repeats the request; None: the profile's default."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Extra headers; `${NAME}` takes an environment variable."""
    verify_tls: bool = True
    simulator: SimulatorConfig = SimulatorConfig()

    @model_validator(mode="after")
    def _reachable(self) -> GatewayConfig:
        if self.base_url is not None and not self.base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url {self.base_url!r} must start with http:// or https://")
        return self


class Limits(Shape):
    """What a run may use."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 64
    budget_usd: Annotated[float, Field(gt=0)] | None = None
    call_timeout_s: Annotated[float, Field(gt=0)] = 60
    connect_timeout_s: Annotated[float, Field(gt=0)] = 10
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    baseline_calls: Annotated[int, Field(ge=0, le=100_000)] = 60
    """Calls of each suite × model that are sent to the baseline gateway too, when there is one; 0 sends none."""
    deadline: Duration | None = None
    """The whole run stops sending after this long."""
    resume_within: Duration = "12h"


class Signing(Shape):
    """Which key signs the eligibility file; the key itself is in the environment."""

    private_key_env: str
    key_id: Identifier


class ProjectConfig(Shape):
    """`evalkit.yaml`."""

    version: Literal[1]
    name: str = ""
    """Project name in the store; default: the folder's name."""
    environment: Identifier = "default"
    """The audience of the eligibility file."""
    gateway: GatewayConfig
    baseline_gateway: GatewayConfig | None = None
    """A direct endpoint to measure the gateway's own overhead against."""
    roster: str = "roster.yaml"
    suites: Annotated[tuple[str, ...], Field(min_length=1)] = ("suites/*/suite.yaml",)
    policy: str = "policy.yaml"
    waivers: str | None = None
    """Path of the waivers file; default: `waivers.yaml` when it exists."""
    store: str = "sqlite:///.evalkit/evalkit.db"
    reports: str = "reports/"
    limits: Limits = Limits()
    signing: Signing | None = None
    nightly: Nightly = Nightly()
    scorers: dict[Identifier, str] = Field(default_factory=dict)
    """Project scorers: name to `package.module:factory`."""

    @model_validator(mode="after")
    def _overhead_is_measured(self) -> ProjectConfig:
        """Refuse pairs whose times say nothing: requests would be paid for and no overhead would come of them."""
        if self.n_direct and self.baseline_gateway is not None:
            for name, config in (("gateway", self.gateway), ("baseline_gateway", self.baseline_gateway)):
                if config.kind == "simulator" or config.recordings is not None:
                    raise ValueError(
                        f"baseline_gateway measures wall time, and {name} of kind {config.kind!r} reports recorded or "
                        "simulated times: ask both over HTTP, or set limits.baseline_calls to 0"
                    )
        return self

    def name_at(self, root: Path) -> str:
        """Return the name in the store of the project in this folder, which is an absolute path."""
        return self.name or root.name

    @property
    def n_direct(self) -> int:
        """Calls of each suite × model that are sent to the baseline gateway too; 0 without one."""
        return 0 if self.baseline_gateway is None else self.limits.baseline_calls


@dataclass(frozen=True, kw_only=True)
class Project:
    """Everything that was loaded, checked and resolved."""

    root: Path
    config: ProjectConfig
    roster: Roster
    policy: Policy
    suites: tuple[Suite, ...]
    waivers: tuple[Waiver, ...] = ()
    qualifications: tuple[Qualification, ...] = ()
    """What `evalkit judge check` found, as the files of the project say it."""

    @property
    def judges(self) -> Judges:
        """Who scorers may ask."""
        return Judges(self.roster, self.config.gateway.kind)

    suite_files: tuple[str, ...] = ()
    """The file of each suite, relative to `root`, in the order of `suites`; empty when they came from no files."""

    @property
    def name(self) -> str:
        """The project's name in the store."""
        return self.config.name_at(self.root)

    @cached_property
    def suite_by_name(self) -> dict[str, Suite]:
        """Suite name to suite, in file order."""
        return {suite.name: suite for suite in self.suites}

    def suites_of(self, task: str) -> tuple[Suite, ...]:
        """Return the suites that serve a task."""
        return tuple(suite for suite in self.suites if suite.task == task)
