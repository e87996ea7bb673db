"""The view every reporter renders: what was decided, from which numbers, and what changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.domain.estimate import Change, Comparison, Estimate
    from evalkit.domain.policy import Waiver
    from evalkit.domain.run import Run
    from evalkit.domain.suite import Suite
    from evalkit.domain.verdict import Merit, Verdict

__all__ = [
    "MetricCell",
    "ModeResult",
    "ModelSummary",
    "NightPoint",
    "Overhead",
    "Previous",
    "Rank",
    "Report",
    "TaskRules",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCell:
    """One metric of one model on one suite."""

    suite: str
    model_id: str
    metric: str
    estimate: Estimate
    """Bounds are the two-sided 95% Wilson interval (or its clustered form): for display, not for decisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeResult:
    """One way a model was asked for structure on one suite, and what came of it."""

    suite: str
    model_id: str
    mode: str
    """As in `domain.suite.Mode`."""
    is_preferred: bool
    """Whether it is the mode that decides; the answers in all others are stored and decide nothing."""
    n_calls: int
    n_missing: int
    """Calls nobody knows the answer of, such as those a server rejects in this mode."""
    metrics: tuple[MetricCell, ...]
    """`json_parse`, `json_schema` and the suite's primary metric: those of them it has, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """Seconds a call took through the gateway, minus those of the same request sent straight to the baseline gateway.

    Quantiles of the differences, not differences of quantiles; negative where the gateway was faster.
    """

    p50: Estimate
    """Bounds are the two-sided 95% interval."""
    p95: Estimate
    """Bounds are one-sided, 95% each; None with few pairs."""

    @property
    def n_pairs(self) -> int:
        """Calls that both sides answered at the first attempt."""
        return self.p50.n


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """What one model cost and did over the whole run; None is unknown."""

    model_id: str
    n_calls: int
    n_missing: int
    cost_usd: float | None
    cost_per_success_usd: float | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    mean_quality: float | None
    """Mean over suites of the primary metric."""
    kinds: tuple[tuple[str, int], ...]
    """(wire kind, calls), most first."""
    identity_class: str
    overhead: Overhead | None = None
    """What the gateway added to its calls; None when not measured."""
    direct_usd: float | None = 0.0
    """What its requests to the baseline gateway cost, beside `cost_usd`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRules:
    """What the policy says of a task, as far as a reader needs it to understand a verdict."""

    task: str
    critical: bool
    """No waiver may admit."""
    incumbent: str | None
    pin: str | None
    rank_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """What the store said when the run before this one ended, by today's gates and policy."""

    run: Run
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NightPoint:
    """One suite × model of one earlier run, or of this one."""

    run_id: str
    started_at: float
    """Unix seconds."""
    suite: str
    model_id: str
    primary: Estimate
    """With the interval of a `MetricCell`."""
    coverage: float
    latency_p50_s: float | None
    cost_per_success_usd: float | None
    is_comparable: bool
    """Whether prompts and grading were those of the run reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """The place of one eligible model in the order a router is offered, and why it stands there."""

    task: str
    model_id: str
    place: int
    """From 1."""
    is_on_frontier: bool
    """Whether no other eligible model is both at least as good and at most as dear, and one of the two better."""
    merit: Merit
    reason: str
    """One sentence, without the model's own name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a reporter needs besides single answers, which it reads from the run."""

    title: str
    environment: str
    run: Run
    suites: tuple[Suite, ...]
    model_ids: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    cells: tuple[MetricCell, ...]
    models: tuple[ModelSummary, ...]
    offers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(task, model ids in the order the eligibility file offers them)."""
    ranking: tuple[Rank, ...] = ()
    """Every offered model of every task, in order: the cost-quality frontier, and one sentence a rank."""
    comparisons: tuple[Comparison, ...] = ()
    """Against the models' own baselines and the incumbents."""
    changes: tuple[Change, ...] = ()
    """What is not what it was in the baselines."""
    tasks: tuple[TaskRules, ...] = ()
    """In policy order."""
    waivers: tuple[Waiver, ...] = ()
    """Every one of the project, in force or not."""
    previous: Previous | None = None
    """None: there is no whole run before this one."""
    nights: tuple[NightPoint, ...] = ()
    """Oldest first, this run among them; empty when there is none before it."""
    ablation: tuple[ModeResult, ...] = ()
    """Mode by mode, when the run was made with `--ablate modes`."""
    generated_at: float = 0.0
    """Unix seconds; the end of the run, so that the same store gives the same bytes."""

    def offered(self, task: str) -> tuple[str, ...]:
        """Return the models a router is offered for a task, in order."""
        return dict(self.offers).get(task, ())

    def verdict(self, task: str, model_id: str) -> Verdict | None:
        """Return the verdict of a task × model, or None."""
        for verdict in self.verdicts:
            if verdict.task == task and verdict.model_id == model_id:
                return verdict
        return None
