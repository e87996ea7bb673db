"""The four protocols outsiders implement, and how they are found. Built-ins register exactly as outsiders do.

An entry point in the group `evalkit.gateways`, `evalkit.scorers`, `evalkit.exporters` or `evalkit.reporters`
names a factory: of a gateway or a scorer it takes the matching `*Context`, of an exporter or a reporter nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Literal, Protocol

from evalkit.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from evalkit.domain.call import Call
    from evalkit.domain.judging import Instrument, Judges
    from evalkit.domain.outcome import Kind, Outcome
    from evalkit.domain.project import GatewayConfig, Limits
    from evalkit.domain.report import Report
    from evalkit.domain.roster import Model
    from evalkit.domain.score import Score, Unscored
    from evalkit.domain.suite import Case, ScorerSpec, Suite
    from evalkit.ports import RunReader

__all__ = [
    "WEIGHTED",
    "Exporter",
    "Fault",
    "Gateway",
    "GatewayContext",
    "Group",
    "IdentityProbe",
    "Profile",
    "Reply",
    "Reporter",
    "Request",
    "Scorer",
    "ScorerContext",
    "instrument_of",
    "load_plugin",
    "metrics_of",
    "plugin_names",
    "scorer_factory",
    "scorer_from_spec",
]

Group = Literal["gateways", "scorers", "exporters", "reporters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProbe:
    """A request no model answers, whose refusal tells what the gateway can prove."""

    route: str
    """A model name that exists nowhere: without the callback the gateway refuses it by itself."""
    headers: Mapping[str, str]
    is_proof: Callable[[Reply], bool]
    """Whether this refusal came from the callback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is known of a gateway kind before anything is sent: mostly data."""

    kind: str
    model_field: Literal["echo", "upstream"] = "upstream"
    """Whether the answer's `model` is the upstream's own name or repeats what was asked."""
    attests: bool = False
    """Whether answers carry the gateway's own record of the model it took."""
    identity_probe: IdentityProbe | None = None
    """How to find out, at no cost, whether an `echo` gateway has a callback that exports the upstream's name."""
    identity_cure: str = ""
    """What makes the answers of this kind better evidence, as a next step; empty when nothing does."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """Clean-room switches: no gateway retry, fallback, cache, healing or compression."""
    extra_headers: Mapping[str, str] = field(default_factory=dict)
    body_for: Callable[[Model], Mapping[str, Any]] = lambda _model: {}
    """Switches that depend on the model, such as its provider and quantisation; merged after `extra_body`."""
    headers_for: Callable[[Model], Mapping[str, str]] = lambda _model: {}
    """Headers that depend on the model; sent with each of its requests.

    Both raise InputError for a model this kind cannot be asked for, naming what the roster lacks.
    """
    cost_header: str | None = None
    """Response header with the call's cost in USD."""
    latency_header: str | None = None
    """Response header whose seconds replace the measured wall time; only the simulator has one."""
    ttft_header: str | None = None
    """Response header whose seconds replace the measured time to first token, where a stream had one."""
    is_simulated: bool = False
    accepts_evalkit_headers: bool = False
    """Whether `x-evalkit-*` coordinates may be sent; only to gateways of our own."""

    @property
    def writes_records(self) -> bool:
        """Whether a record of the model that was taken can come from this kind of gateway itself."""
        return self.attests or self.identity_probe is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP exchange to make, and where it belongs."""

    body: bytes
    """JSON, as it goes on the wire."""
    digest: str
    """SHA-256 of `body`, 64 hex digits."""
    timeout_s: float
    suite: str
    case_id: str
    model_id: str
    trial: int = 0
    turn: int = 0
    attempt: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str = "/chat/completions"
    """Below the gateway's base URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back over HTTP, whatever its status. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    latency_s: float | None
    """Wall time of the exchange; None when nobody measured it, as for a recording that does not say."""
    ttft_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Nothing usable came back: a timeout, or a connection that failed."""

    kind: Kind
    """`timeout`, `connection` or `stream_cut`."""
    detail: str
    latency_s: float


class Gateway(Protocol):
    """Sends one request. Failures of the outside world are returned, not raised; never retries."""

    profile: Profile

    async def send(self, request: Request) -> Reply | Fault:
        """Make one exchange, within `request.timeout_s`."""
        ...

    async def aclose(self) -> None:
        """Give back every connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayContext:
    """What a gateway factory gets."""

    config: GatewayConfig
    limits: Limits
    read_key: Callable[[], str | None]
    """Return the API key, or None when the config names none; called again once after a 401."""
    read_model_key: Callable[[str], str | None] = lambda _model_id: None
    """Return a model's own key, or None to use the gateway's."""
    resolve_path: Callable[[str], str] = lambda path: path
    """Make a project-relative path absolute."""


class Scorer(Protocol):
    """Turns one outcome into numbers. Pure: no clock, no network, no state.

    One that asks has an attribute `instrument` as well (`evalkit.domain.judging.Instrument`), by which decisions know
    whose opinion its metrics are; calls of a scorer without it are refused. Every call carries `asked_about`.

    One that compares with `expected`, null included, has a true attribute `needs_expected`: a case that leaves the key
    out while an answer is expected is then refused, and never graded against a null that nobody wrote.
    """

    metrics: tuple[str, ...]
    """Every metric name it may give."""

    def ask(self, case: Case, outcome: Outcome) -> tuple[Call, ...]:
        """Return the calls this scorer needs answered first (a judge, an embedding); most need none."""
        ...

    def score(self, case: Case, outcome: Outcome, replies: tuple[Outcome, ...]) -> tuple[Score | Unscored, ...]:
        """Return one entry per metric. Only outcomes of kind `ok` get here: the stage grades all others."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerContext:
    """What a scorer factory gets."""

    params: Mapping[str, Any]
    """As written in the suite; a factory raises InputError for a key or value it does not know."""
    suite: Suite
    judges: Judges | None = None
    """Whom it may ask; None where nothing is asked and only its metrics matter."""


class Exporter(Protocol):
    """Writes an eligibility file as a routing target's own configuration. Never a secret, never a wildcard."""

    def export(self, document: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        """Yield (relative path, content) for a verified eligibility document."""
        ...


class Reporter(Protocol):
    """Renders a report.

    One that writes a varying number of files names the subfolders it owns in an attribute `folders`: what an older
    report left there is removed.
    """

    def render(self, report: Report, reader: RunReader) -> Iterator[tuple[str, bytes]]:
        """Yield (relative path, content). All text from models is hostile."""
        ...


@cache
def _group(group: Group) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=f"evalkit.{group}")}


def plugin_names(group: Group) -> tuple[str, ...]:
    """Return the names installed in a group, sorted."""
    return tuple(sorted(_group(group)))


def load_plugin(group: Group, name: str) -> Callable[..., Any]:
    """Return the factory an installed package registered under `name`.

    Raises:
        NotFoundError: when nothing is registered under that name.
        InputError: when what is registered cannot be imported; it names the extra that is missing, if it is that.
    """
    points = _group(group)
    if name not in points:
        known = ", ".join(plugin_names(group))
        raise NotFoundError(f"no {group[:-1]} named {name!r} is installed", next_step=f"one of: {known}")
    try:
        factory: Callable[..., Any] = points[name].load()
    except ModuleNotFoundError as error:
        raise InputError(
            f"the {group[:-1]} {name!r} needs the package {error.name!r}, which is not installed",
            next_step=_cure_for(points[name]),
        ) from error
    except Exception as error:
        problem = f"the {group[:-1]} {name!r} ({points[name].value}) cannot be imported: {error}"
        raise InputError(problem, next_step="repair or uninstall the package that registers it") from error
    return factory


def _cure_for(point: Any) -> str:
    """Return how to install what an entry point needs: the extras it names (`module:factory [extra]`)."""
    distribution = "" if point.dist is None else point.dist.name
    if not point.extras:
        return f"repair or uninstall {distribution or 'the package that registers it'}"
    return f"pip install '{distribution}[{','.join(point.extras)}]'"


WEIGHTED = "weighted"
"""The metric a suite gets when any of its scorers has a weight."""


def scorer_factory(name: str, project_scorers: Mapping[str, str]) -> Callable[[ScorerContext], Scorer]:
    """Return the factory of a scorer: the project's own (`package.module:factory`) or an installed one.

    Raises:
        InputError: when there is none of that name, or it cannot be imported.
    """
    target = project_scorers.get(name)
    if target is not None:
        return _imported(name, target)
    installed = plugin_names("scorers")
    if name not in installed:
        known = sorted({*installed, *project_scorers})
        close = get_close_matches(name, known, n=1)
        question = f"did you mean {close[0]!r}? " if close else ""
        raise InputError(f"no scorer named {name!r}", next_step=f"{question}scorers: {', '.join(known)}")
    return load_plugin("scorers", name)


def instrument_of(scorer: Scorer) -> Instrument | None:
    """Return what a scorer asks; None for the many that ask nothing."""
    return getattr(scorer, "instrument", None)


def scorer_from_spec(
    spec: ScorerSpec, suite: Suite, *, project_scorers: Mapping[str, str], judges: Judges | None = None
) -> Scorer:
    """Return the scorer of a suite's entry.

    Raises:
        InputError: for an unknown name, parameters the scorer refuses, or `as` on one with several metrics.
    """
    scorer = scorer_factory(spec.name, project_scorers)(ScorerContext(params=spec.params, suite=suite, judges=judges))
    if spec.metric is not None and len(scorer.metrics) != 1:
        raise InputError(
            f"`as` renames a single metric, but {spec.name!r} gives {', '.join(scorer.metrics)}",
            next_step="leave out `as`, and name these metrics",
        )
    return scorer


def metrics_of(spec: ScorerSpec, scorer: Scorer) -> tuple[str, ...]:
    """Return the metric names an entry gives, `as` applied."""
    return (spec.metric,) if spec.metric is not None else scorer.metrics


def _imported(name: str, target: str) -> Callable[[ScorerContext], Scorer]:
    module, _, attribute = target.partition(":")
    try:
        factory: Any = getattr(import_module(module), attribute)
    except Exception as error:
        raise InputError(
            f"the project scorer {name!r} ({target}) cannot be imported: {error}",
            next_step="write it as package.module:factory, and install the package",
        ) from error
    if not callable(factory):
        raise InputError(f"the project scorer {name!r} ({target}) is no factory", next_step="name a callable")
    return factory  # type: ignore[no-any-return]
