"""Numbers that travel with their n and their interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Against", "Change", "Comparison", "Correlation", "Estimate", "Flip", "Standing", "WorstGroup"]

Against = Literal["baseline", "incumbent"]
"""The model's own earlier nights, or tonight's answers of the task's incumbent."""

Standing = Literal["confirmed", "suspect", "screened", "cleared", "none", "untested"]
"""What is to be done: act; read; measure again; nothing any more, after an extension; nothing; too much is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with one-sided bounds, each at `level`; a bound is None where the data cannot give one."""

    value: float
    lower: float | None
    upper: float | None
    level: float
    """One-sided confidence of each bound, in (0.5, 1)."""
    method: str
    """Such as `clopper_pearson`, `gate_bound`, `order_statistic`, `cox`."""
    n: int
    """Samples behind the value."""
    n_clusters: int

    @property
    def n_words(self) -> str:
        """What it rests on: `n=60`, or `n=180 in 60 clusters`, which count for no more than 60."""
        return f"n={self.n}" + (f" in {self.n_clusters} clusters" if self.n_clusters != self.n else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """How alike answers to one cluster are, as an earlier run showed it."""

    rho: float
    """Intra-cluster correlation in [0, 1], pooled over models."""
    run_id: str
    """The run it was seen in."""
    n_models: int

    @property
    def words(self) -> str:
        """Return it for people."""
        return f"rho {self.rho:.2f} by {self.n_models} models in {self.run_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that is not what it was in the baseline; it comes before any regression it may explain."""

    suite: str
    model_id: str | None
    """None: the suite itself changed, for every model."""
    what: str
    """May quote names a gateway reported, so it is hostile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A case answered right before and wrong now, with where both answers are in the store."""

    case_id: str
    before_run: str
    before_key: str
    """Call key of the newest earlier answer."""
    after_run: str
    after_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstGroup:
    """The cluster or tag with the largest drop: picked because it is the largest, so a description and no finding."""

    kind: Literal["cluster", "tag"]
    name: str
    difference: float
    """Mean over its cases."""
    n: int
    """Cases of it that both sides have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Candidate minus baseline on the same prompts."""

    suite: str
    metric: str
    model_id: str
    baseline: str
    """Run id of the newest night of the baseline, or model id of the incumbent."""
    difference: float
    """Candidate minus baseline; negative is worse."""
    lower: float | None
    """*One-sided* at `level`, allowing for what nights differ by."""
    upper: float | None
    """*One-sided* at `level`, allowing for what nights differ by."""
    level: float
    p_value: float
    """One-sided, for the candidate being worse."""
    p_adjusted: float
    """After Holm over the whole family of the night."""
    n: int
    """Paired cases, present on both sides."""
    n_clusters: int
    n_worse: int
    """Cases on which the candidate lost."""
    n_better: int
    method: str
    is_regression: bool
    """Confirmed against the model's own baseline: what the exit code 1 is about."""
    identity_changed: str = ""
    """What changed in the served identity between the two, printed above any regression."""
    against: Against = "baseline"
    standing: Standing = "none"
    q_value: float = 1.0
    """By Benjamini-Hochberg over the same family: for the list of suspects, never to act on."""
    alpha: float = 0.05
    """What `p_adjusted` is held against."""
    detectable: float | None = None
    """The smallest drop that would have been confirmed with probability .8; None: not even a collapse."""
    n_nights: int = 1
    """Earlier runs pooled into the baseline."""
    n_missing: int = 0
    """Cases left out because one side has no number."""
    worst_lower: float | None = None
    """Lowest difference the missing cases allow; None while at most 5% are missing."""
    worst_upper: float | None = None
    """Highest difference the missing cases allow; None while at most 5% are missing."""
    extended_by: str = ""
    """Run that measured the pair again the same night; empty without."""
    worst_group: WorstGroup | None = None
    flips: tuple[Flip, ...] = ()
    """Of a drop that is more than nothing, at most ten."""
    cure: str = ""
    """The command that measures a suspicious pair again."""
