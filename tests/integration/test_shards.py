"""A run in parts is the run in one, and a history is the store it came from: the same file, the same comparisons."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace

import pytest

from evalkit.api.archiving import export_history, import_history
from evalkit.api.baseline import clear_baseline, set_baseline
from evalkit.api.deciding import compare, decide, publish, score
from evalkit.api.drift import drift
from evalkit.api.measuring import RunOptions, plan, run
from evalkit.api.merging import merge
from evalkit.api.project import load_project, opened_store
from evalkit.api.pruning import prune
from evalkit.domain.run import RunStatus
from evalkit.errors import InputError, NotFoundError
from evalkit.pipeline.plan import Selection
from evalkit.pipeline.sharding import Shard, parse_shard, shard_of

N_PARTS = 3
SUITE = "suites/sums/suite.yaml"


def with_store(project, name):
    """Return the project with a store of its own."""
    return replace(project, config=project.config.model_copy(update={"store": f"sqlite:///.evalkit/{name}.db"}))


def content(path):
    """Return a file without what tells when, and in which run, it was made."""
    document = json.loads(path.read_bytes())
    for name in ("generated_at", "valid_until", "digest"):
        del document[name]
    del document["run"]["id"]
    text = json.dumps(document)
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)


@pytest.fixture
def project(a_project):
    """A project of two models, with a latency gate so that times decide too."""
    root = a_project(60)
    suite = (root / SUITE).read_text()
    (root / SUITE).write_text(suite + "trials: 4\n".replace("trials: 4\n", ""))
    return load_project(root)


class TestShards:
    """`run --shard` and `merge`."""

    def test_parts_are_the_whole(self, project, tmp_path):
        """Every call is in exactly one part, whichever part it is, and the merged file is that of one run."""
        one = with_store(project, "one")
        run(one, RunOptions(is_new=True))
        for number in range(1, N_PARTS + 1):
            result = run(with_store(project, f"part-{number}"), RunOptions(shard=Shard(number, N_PARTS)))
            assert result.run.shard == f"{number}/{N_PARTS}"
            assert 0 < result.recording.n_sent < 120
            assert not result.decision.runs
        whole = with_store(project, "whole")
        names = [str(project.root / ".evalkit" / f"part-{number}.db") for number in (2, 3, 1)]
        merged = merge(whole, names)
        assert merged.is_new
        assert not merge(whole, names).is_new
        files = [publish(one, tmp_path / "one.json").path, publish(whole, tmp_path / "whole.json").path]
        assert content(files[0]) == content(files[1])
        with opened_store(one) as a, opened_store(whole) as b:
            kept = [
                list(store.outcomes(store.runs(project="project", environment="test")[0].run_id)) for store in (a, b)
            ]
        assert [(o.call_key, o.sequence, o.text) for o in kept[0]] == [
            (o.call_key, o.sequence, o.text) for o in kept[1]
        ]

    def test_a_missing_part_is_named(self, project):
        """Nothing is merged until every part is there and finished."""
        run(project, RunOptions(shard=Shard(2, N_PARTS)))
        with pytest.raises(InputError, match="parts 1/3, 3/3 are missing"):
            merge(with_store(project, "whole"), [str(project.root / ".evalkit" / "evalkit.db")])

    def test_a_store_without_parts(self, project):
        """It says so; a store that is not there is not made."""
        run(project)
        with pytest.raises(NotFoundError, match="no part of a run"):
            merge(project, [str(project.root / ".evalkit" / "evalkit.db")])
        with pytest.raises(NotFoundError, match="no such store"):
            merge(project, [str(project.root / "nothing.db")])

    def test_a_part_is_never_compared_with(self, project):
        """In the store of a part it is no whole run, so that nothing takes it for last night."""
        run(project, RunOptions(shard=Shard(1, N_PARTS)))
        second = run(project, RunOptions(is_new=True))
        with pytest.raises(NotFoundError, match="no finished run before"):
            compare(project, second.run.run_id)

    @pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/1001", "-1/2", "1/2/3"])
    def test_no_part(self, text):
        """What names no part is refused."""
        with pytest.raises(ValueError, match="no part such as"):
            parse_shard(text)

    def test_cost_is_shared_out(self, project):
        """The parts of a plan have its calls and its USD between them."""
        whole = plan(project)
        parts = [shard_of(whole, Shard(number, N_PARTS)) for number in (1, 2, 3)]
        assert sum(part.n_calls for part in parts) == whole.n_calls
        usd = [sum(cell.usd_at_most for cell in one.cells) for one in (whole, *parts)]
        assert sum(usd[1:]) == pytest.approx(usd[0])
        assert len({part.digest for part in (whole, *parts)}) == N_PARTS + 1


@pytest.fixture
def nights(project):
    """Three measured nights: the second is only a part of the models."""
    run(project)
    run(project, RunOptions(selection=Selection(model_ids=("azure",)), is_new=True))
    run(project, RunOptions(is_new=True))
    return project


class TestHistory:
    """`history export` and `import`."""

    def test_it_serves_as_the_original(self, nights, tmp_path):
        """Decisions, comparisons and charts read the same numbers out of the file as out of the store."""
        path = export_history(nights, tmp_path / "history.jsonl.gz").path
        other = with_store(nights, "other")
        taken = import_history(other, path)
        assert (taken.n_added, taken.n_known) == (3, 0)
        assert decide(other) == replace(decide(nights), runs=decide(other).runs)
        mine, theirs = compare(nights).found, compare(other).found
        assert [replace(one, flips=()) for one in theirs.comparisons] == [
            replace(one, flips=()) for one in mine.comparisons
        ]
        assert theirs.changes == mine.changes
        assert repr(drift(other).charts) == repr(drift(nights).charts)
        assert publish(other, tmp_path / "b.json").document == publish(nights, tmp_path / "a.json").document

    def test_the_same_history_gives_the_same_bytes(self, nights, tmp_path):
        """Exported again, or out of the store it was imported to, not a byte differs."""
        first = export_history(nights, tmp_path / "1.gz").path
        other = with_store(nights, "other")
        import_history(other, first)
        assert export_history(other, tmp_path / "2.gz").path.read_bytes() == first.read_bytes()

    def test_what_the_store_has_it_keeps(self, nights, tmp_path):
        """Imported over itself nothing changes, and its texts are still there."""
        path = export_history(nights, tmp_path / "history.jsonl.gz").path
        taken = import_history(nights, path)
        assert (taken.n_added, taken.n_known) == (0, 3)
        assert score(nights) == {"sums": 120}

    def test_without_texts_nothing_is_graded_again(self, nights, tmp_path):
        """A text that is gone never becomes an answer that is wrong."""
        other = with_store(nights, "other")
        import_history(other, export_history(nights, tmp_path / "history.jsonl.gz").path)
        before = decide(other)
        assert score(other) == {}
        assert decide(other) == before

    def test_killed_while_importing(self, nights, tmp_path):
        """What was begun is done again, and ends the same."""
        path = export_history(nights, tmp_path / "history.jsonl.gz").path
        other = with_store(nights, "other")
        import_history(other, path)
        with opened_store(other) as store:
            newest = store.runs(project="project", environment="test")[0]
            store.open_run(replace(newest, status=RunStatus.RUNNING, note="import not finished"))
        assert import_history(other, path).n_added == 1
        assert decide(other).verdicts == decide(nights).verdicts

    def test_thin_nights_keep_scores_and_lose_times(self, nights, tmp_path):
        """Of nights that have expired the single calls' times, tokens and costs are unknown, never 0."""
        with opened_store(nights) as store:
            for run_ in store.runs(project="project", environment="test")[1:]:
                store.open_run(replace(run_, started_at=run_.started_at - 9e5, finished_at=run_.finished_at - 9e5))
            # Two more, so that the first two are neither recent nor among the newest of their pair.
        for _ in range(2):
            run(nights, RunOptions(is_new=True))
        other = with_store(nights, "other")
        import_history(other, export_history(nights, tmp_path / "history.jsonl.gz").path)
        with opened_store(other) as store, opened_store(nights) as original:
            oldest = store.runs(project="project", environment="test")[-1]
            found, was = list(store.outcomes(oldest.run_id)), list(original.outcomes(oldest.run_id))
            scores = [
                [list(one.scores(oldest.run_id))[i].scores[0].value for i in range(9)] for one in (store, original)
            ]
        assert {(o.timings.latency_s, o.cost.usd, o.usage.completion_tokens) for o in found} == {(None, None, None)}
        assert [(o.case_id, o.kind, o.identity) for o in found] == [(o.case_id, o.kind, o.identity) for o in was]
        assert scores[0] == scores[1]
        assert decide(other).verdicts == decide(nights).verdicts

    @pytest.mark.parametrize("damage", ["cut", "changed", "other", "text", "missing"])
    def test_a_file_that_is_no_whole_history(self, nights, tmp_path, damage):
        """It is refused, and nothing of it is in the store."""
        path = export_history(nights, tmp_path / "history.jsonl.gz").path
        lines = gzip.decompress(path.read_bytes())
        made = {
            "cut": lambda: path.write_bytes(path.read_bytes()[:-40]),
            "changed": lambda: path.write_bytes(gzip.compress(lines.replace(b'"ok"', b'"no"'))),
            "other": lambda: path.write_bytes(gzip.compress(lines.replace(b'"test"', b'"live"', 1))),
            "text": lambda: path.write_bytes(b"hello"),
            "missing": path.unlink,
        }
        made[damage]()
        other = with_store(nights, "other")
        with pytest.raises(InputError):
            import_history(other, path)
        with opened_store(other) as store:
            assert store.runs(project="project", environment="test") == ()


class TestBaseline:
    """`baseline set` and `clear`."""

    def test_comparisons_look_back_to_it(self, nights):
        """Earlier nights are no baseline any more, until it is cleared."""
        run(nights, RunOptions(is_new=True))
        assert max(one.n_nights for one in compare(nights).comparisons) == 2
        with opened_store(nights) as store:
            second = store.runs(project="project", environment="test")[1]
        assert set_baseline(nights, second.run_id).is_baseline
        assert {one.n_nights for one in compare(nights).comparisons} == {1}
        assert clear_baseline(nights) == (second.run_id,)
        assert max(one.n_nights for one in compare(nights).comparisons) == 2
        with pytest.raises(NotFoundError, match="no baseline is set"):
            clear_baseline(nights)

    def test_a_partial_run_is_none(self, nights):
        """A run that left something out cannot be held against a whole one."""
        with opened_store(nights) as store:
            partial = store.runs(project="project", environment="test")[1]
        with pytest.raises(InputError, match="it is partial"):
            set_baseline(nights, partial.run_id)


class TestPrune:
    """`prune`."""

    def test_what_decisions_rest_on_stays(self, nights):
        """However old: the newest measurements of every pair, with or without texts; the rest goes."""
        run(nights, RunOptions(selection=Selection(max_cases=5), is_new=True))
        verdicts = decide(nights).verdicts
        dry = prune(nights, texts_older_s=0, runs_older_s=0, is_dry=True)
        assert (len(dry.without_texts), len(dry.removed), len(dry.kept)) == (3, 1, 3)
        done = prune(nights, texts_older_s=0, runs_older_s=0)
        assert (done.without_texts, done.removed) == (dry.without_texts, dry.removed)
        assert decide(nights).verdicts == verdicts
        assert score(nights) == {}
        again = prune(nights, texts_older_s=0, runs_older_s=0)
        assert (again.without_texts, again.removed) == ((), ())

    def test_young_runs_stay(self, nights):
        """Nothing that began within the time goes."""
        pruned = prune(nights, texts_older_s=3600, runs_older_s=None)
        assert (pruned.without_texts, pruned.removed, pruned.kept) == ((), (), ())
