"""What is not what it was: it explains a drop before any statistics do, so it is told first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.domain.estimate import Change

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evalkit.domain.run import Cell, Run
    from evalkit.pipeline.baselines import NightScores, Runs

__all__ = ["identity_change", "suite_changes", "worth_telling"]

_MOST_NAMES = 3


def identity_change(tonight: NightScores, nights: Sequence[NightScores]) -> str:
    """Return in words how a suite × model differs from the newest night of its baseline; empty when it does not.

    Fingerprints are held against all nights, since an upstream in several places reports several.
    """
    before = nights[0]
    changes = []
    if tonight.served != before.served:
        changes.append(f"served {_names(before.served)} before, {_names(tonight.served)} now")
    known = frozenset(fingerprint for night in nights for fingerprint in night.fingerprints)
    if tonight.fingerprints - known and known:
        changes.append(f"fingerprint {_names(known)} before, {_names(tonight.fingerprints - known)} now")
    if tonight.cell.model_digest != before.cell.model_digest:
        changes.append("its entry in the roster changed")
    if tonight.cell.mode != before.cell.mode:
        changes.append(f"asked as {before.cell.mode} before, as {tonight.cell.mode} now")
    return "; ".join(changes)


def suite_changes(runs: Runs) -> Iterator[Change]:
    """Yield the suites of a run whose prompts or grading are not those of the newest run before that asked them."""
    graded = dict(runs.run.suite_digests)
    for suite in dict.fromkeys(cell.suite for cell in runs.run.plain_cells):
        before = next((run for run in runs.earlier if any(cell.suite == suite for cell in run.plain_cells)), None)
        if before is None:
            continue
        if _prompts(runs.run, suite) != _prompts(before, suite):
            yield Change(suite=suite, model_id=None, what=f"its prompts changed since {before.run_id}: a new series")
        elif graded.get(suite) != dict(before.suite_digests).get(suite):
            what = f"its expectations or scorers changed since {before.run_id}: evalkit score {before.run_id}"
            yield Change(suite=suite, model_id=None, what=what)


def worth_telling(changes: Sequence[tuple[Cell, str]]) -> Iterator[Change]:
    """Yield the changes of single models."""
    for cell, what in changes:
        if what:
            yield Change(suite=cell.suite, model_id=cell.model_id, what=what)


def _prompts(run: Run, suite: str) -> frozenset[str]:
    return frozenset(cell.prompts_digest for cell in run.plain_cells if cell.suite == suite)


def _names(names: frozenset[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - _MOST_NAMES} more" if len(shown) > _MOST_NAMES else ""
    return (", ".join(shown[:_MOST_NAMES]) or "nothing") + more
