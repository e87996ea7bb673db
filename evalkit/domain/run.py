"""A run: one occasion of measuring, with what was planned in it. The store is unique on (run, call key)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["STREAM", "Cell", "Look", "Run", "RunStatus", "plain_name", "variant_name"]

STREAM = "stream"
"""The variant whose calls are streamed, for the time to first token; they are never graded."""

_MARK = "#"
"""No name of a suite holds it."""


def variant_name(suite: str, variant: str) -> str:
    """Return the name under which a suite is asked in another way, beside what decides."""
    return f"{suite}{_MARK}{variant}"


def plain_name(name: str) -> tuple[str, str]:
    """Return the suite behind a name, and the variant of it: empty where the suite itself is asked."""
    suite, _, variant = name.partition(_MARK)
    return suite, variant


class RunStatus(StrEnum):
    """How far a run got."""

    RUNNING = "running"
    """Being written, or killed while it was."""
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    """Ended by its own budget or deadline before the plan was done."""
    FINISHED = "finished"

    @property
    def is_resumable(self) -> bool:
        """Whether `evalkit run` goes on with it instead of starting a new one."""
        return self is not RunStatus.FINISHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A moment at which a suite × model may be decided: when the first clusters of the scheduled order are answered."""

    n_clusters: int
    n_calls: int
    """Calls of these clusters, all cases and trials."""
    last_sequence: int
    """`Call.sequence` of the last of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One suite × model of a plan."""

    suite: str
    task: str
    model_id: str
    model_digest: str
    """Of the model's entry in the roster, as far as it says who is asked and how."""
    prompts_digest: str
    mode: str
    n_planned: int
    """Calls planned: cases × trials."""
    n_skipped: int = 0
    """Cases left out by `skip` or because they exceed the model's declared window."""
    is_partial: bool = False
    """A filter left cases out: the cell is shown but never decides."""
    looks: tuple[Look, ...] = ()
    """Fixed before the first call, the last after the whole plan; empty: decided once, when all is answered."""

    @property
    def variant(self) -> str:
        """How its suite is asked otherwise; empty where it is asked as it stands, and so may decide."""
        return plain_name(self.suite)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One occasion of measuring."""

    run_id: str
    project: str
    environment: str
    plan_digest: str
    status: RunStatus
    started_at: float
    """Unix seconds."""
    finished_at: float | None = None
    seed: int = 0
    is_simulated: bool = False
    gateway_kind: str = ""
    vantage: str = ""
    evalkit_version: str = ""
    roster_digest: str = ""
    policy_digest: str = ""
    cells: tuple[Cell, ...] = ()
    suite_digests: tuple[tuple[str, str], ...] = ()
    """(suite, `Suite.digest`) its scores were graded with; rewritten by `evalkit score`."""
    is_partial: bool = False
    """A filter left something out: never a baseline."""
    note: str = ""
    """Why it stopped early, if it did."""
    night: str = ""
    """The night whose slot it fills, as `evalkit nightly` names it; empty for a run that fills none."""
    shard: str = ""
    """`3/8` when it asked for a part of its cells only: alone it decides nothing, `evalkit merge` joins the parts."""
    shard_of: str = ""
    """Plan digest of the whole it is a part of."""
    has_texts: bool = True
    """Whether prompts and answers are kept, as far as the suites say; without them nothing can be graded again."""
    is_baseline: bool = False
    """Comparisons look back no further than the newest run so marked."""

    @property
    def plain_cells(self) -> tuple[Cell, ...]:
        """The cells that measure a suite as it stands: what verdicts, baselines and reports are of."""
        return tuple(cell for cell in self.cells if not cell.variant)

    @property
    def is_aside(self) -> bool:
        """Whether there is nothing in it but variants: it decides nothing, and no command takes it for the newest."""
        return bool(self.cells) and not self.plain_cells

    @property
    def is_whole(self) -> bool:
        """Whether it asked all there was to ask, to the end: what may be a baseline."""
        return self.status is RunStatus.FINISHED and not self.is_partial and not self.shard

    def cell(self, suite: str, model_id: str) -> Cell | None:
        """Return what was planned for a suite × model, or None."""
        for cell in self.cells:
            if cell.suite == suite and cell.model_id == model_id:
                return cell
        return None
