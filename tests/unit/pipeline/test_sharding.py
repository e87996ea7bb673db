"""Parts of a run: every cluster in exactly one, whatever the order, and a whole only of the right ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.domain.run import RunStatus
from evalkit.errors import InputError
from evalkit.pipeline.sharding import Shard, joined
from evalkit.testing.builders import STARTED_AT, a_run


def parts(n=3, **fields):
    """Return finished parts of one run."""
    return [
        a_run(
            f"20260301T020000-{number}", shard=f"{number}/{n}", shard_of="sha256:whole", status=RunStatus.FINISHED,
            started_at=STARTED_AT + number, finished_at=STARTED_AT + 10 * number, **fields,
        )
        for number in range(1, n + 1)
    ]  # fmt: skip


@pytest.mark.parametrize("n", [1, 2, 8, 31])
def test_each_cluster_is_in_one_part(n):
    """None is left out and none is asked twice; the parts are about as large."""
    counts = [0] * n
    for cluster in range(2000):
        (mine,) = [k for k in range(1, n + 1) if Shard(k, n).has("suite", f"cluster-{cluster}")]
        counts[mine - 1] += 1
    assert max(counts) < 1.6 * 2000 / n


def test_the_whole_spans_its_parts():
    """Begun with the first, ended with the last; its id follows from theirs, in whatever order they come."""
    whole = joined(parts()[::-1])
    assert (whole.shard, whole.shard_of, whole.plan_digest) == ("", "", "sha256:whole")
    assert (whole.started_at, whole.finished_at) == (STARTED_AT + 1, STARTED_AT + 30)
    assert whole.run_id == joined(parts()).run_id


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda p: p[:2], "parts 3/3 are missing"),
        (lambda p: [*p, p[0]], "a part is there twice"),
        (lambda p: [*p[:2], replace(p[2], shard_of="sha256:other")], "not parts of one run"),
        (lambda p: [*p[:2], replace(p[2], status=RunStatus.STOPPED)], "part 3/3 is stopped"),
        (
            lambda p: [*p[:2], replace(p[2], suite_digests=(("qa", "sha256:new"),))],
            "planned or graded with other files",
        ),
        (lambda p: [*p[:2], replace(p[2], cells=())], "planned or graded with other files"),
    ],
)
def test_what_is_no_whole(change, problem):
    """It is refused, and what to do is said."""
    with pytest.raises(InputError, match=problem):
        joined(change(parts()))
