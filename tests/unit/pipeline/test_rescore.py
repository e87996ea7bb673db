"""Grading stored answers: again, in batches, and never half by one ruler and half by another unnoticed."""

from __future__ import annotations

import pytest

from evalkit.domain.outcome import Kind
from evalkit.domain.score import Score
from evalkit.errors import StoreError
from evalkit.pipeline import rescore
from evalkit.pipeline.decide import decide
from evalkit.pipeline.rescore import score_run
from evalkit.store.memory import MemoryStore
from evalkit.testing.builders import a_case, a_suite, an_outcome
from evalkit.testing.contract_store import ManualClock
from evalkit.testing.evidence import Answer, a_project, answers_failing, store_night

N = 30


@pytest.fixture
def store():
    """An empty store."""
    return MemoryStore(clock=ManualClock())


def a_graded_suite(**fields):
    """A suite of thirty cases."""
    return a_suite(cases=[a_case(f"c{index}") for index in range(N)], **fields)


def recorded(store, project, **fields):
    """A run of answers with their texts, graded by nothing yet."""
    run = store_night(store, project, lambda _suite, _model, _case: None, suite_digests=(), **fields)
    texts = ["forty-two" if index % 2 else "forty-three" for index in range(N)]
    store.append(run.run_id, [an_outcome(f"c{i}", text=text, sequence=i) for i, text in enumerate(texts)])
    return store.run(run.run_id)


def scores_of(store, run):
    """Every score, in scheduled order."""
    return [said.value for scored in store.scores(run.run_id) for said in scored.scores]


def test_every_answer_is_graded(store):
    """Each gets its score, and the run says by which suite."""
    project = a_project([a_graded_suite()])
    run = recorded(store, project)
    assert score_run(store, run, project) == {"qa": N}
    assert scores_of(store, run) == [float(index % 2) for index in range(N)]
    assert dict(store.run(run.run_id).suite_digests) == {"qa": project.suites[0].digest}


def test_grading_again_replaces(store):
    """A changed scorer changes the scores of stored answers at no cost."""
    project = a_project([a_graded_suite()])
    run = recorded(store, project)
    score_run(store, run, project)
    looser = a_project([a_graded_suite(scorers=[{"contains": {"all": ["forty"]}}], primary="contains")])
    score_run(store, store.run(run.run_id), looser)
    assert scores_of(store, run) == [1.0] * N
    assert dict(store.run(run.run_id).suite_digests) == {"qa": looser.suites[0].digest}


def test_batches_make_no_difference(store, monkeypatch):
    """However the answers are cut up, all are graded once."""
    monkeypatch.setattr(rescore, "_BATCH", 7)
    project = a_project([a_graded_suite()])
    run = recorded(store, project)
    assert score_run(store, run, project) == {"qa": N}
    assert len(scores_of(store, run)) == N


def test_killed_half_way_the_scores_do_not_count(store, monkeypatch):
    """Some answers graded by the new ruler and some by the old: no verdict may rest on that."""
    monkeypatch.setattr(rescore, "_BATCH", 7)
    project = a_project([a_graded_suite()])
    run = recorded(store, project)
    score_run(store, run, project)
    write, done = store.append_scores, []

    def breaks(*args, **kwargs):
        if done:
            raise StoreError("the disk is full")
        done.append(write(*args, **kwargs))

    monkeypatch.setattr(MemoryStore, "append_scores", lambda _self, *args, **kwargs: breaks(*args, **kwargs))
    with pytest.raises(StoreError):
        score_run(store, store.run(run.run_id), project)
    left = dict(store.run(run.run_id).suite_digests)["qa"]
    assert left != project.suites[0].digest
    assert run.run_id in left
    assert [str(reason.code) for reason in decide(project, store).verdicts[0].reasons] == ["scores_stale"]


def test_a_suite_without_texts_is_left_alone(store):
    """Graded on arrival: there is nothing left to grade."""
    project = a_project([a_graded_suite(payloads="digest")])
    run = store_night(store, project, answers_failing(3))
    assert score_run(store, run, project) == {}
    assert scores_of(store, run).count(0.0) == 3


def test_answers_to_other_prompts_are_left_alone(store):
    """Scores of a question that is not asked any more would mislead."""
    project = a_project([a_graded_suite()])
    run = recorded(store, project)
    changed = a_project([a_graded_suite(request={"prompt": "Please: {{ question }}"})])
    assert score_run(store, run, changed) == {}
    assert dict(store.run(run.run_id).suite_digests) == {}


def test_a_run_without_answers_is_graded(store):
    """Nothing was answered, and it is known that nothing is left to grade."""
    project = a_project([a_graded_suite()])
    run = store_night(store, project, lambda _suite, _model, _case: None, suite_digests=())
    assert score_run(store, run, project) == {"qa": 0}
    assert dict(store.run(run.run_id).suite_digests) == {"qa": project.suites[0].digest}


def test_missing_answers_lose_their_old_scores(store):
    """Of a missing answer nothing is said, whatever was said before."""
    project = a_project([a_graded_suite()])
    run = store_night(store, project, lambda _suite, _model, _case: Answer(kind=Kind.TIMEOUT))
    assert score_run(store, run, project) == {"qa": N}
    assert scores_of(store, run) == []


def test_an_answer_to_a_case_that_is_gone_is_passed_over(store):
    """Only today's cases can be graded."""
    project = a_project([a_graded_suite()])
    run = recorded(store, project)
    store.append(run.run_id, [an_outcome("gone", sequence=99)])
    assert score_run(store, run, project) == {"qa": N}
    assert all(isinstance(said, Score) for scored in store.scores(run.run_id) for said in scored.scores)
