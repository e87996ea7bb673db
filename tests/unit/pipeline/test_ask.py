"""Ask: questions of scorers, planned from outcomes and recorded like any other call, yet apart from them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from evalkit.domain.outcome import Kind
from evalkit.domain.roster import Roster
from evalkit.domain.run import RunStatus
from evalkit.domain.score import Score, Unscored
from evalkit.errors import InputError
from evalkit.pipeline.ask import asking_graders, plan_questions, questions_at_most, record_questions
from evalkit.pipeline.evidence import read_measurements
from evalkit.pipeline.plan import plan
from evalkit.pipeline.record import StopReason, record
from evalkit.pipeline.rescore import score_run
from evalkit.pipeline.score import Grader
from evalkit.plugins import Reply
from evalkit.testing.builders import a_case, a_model, a_suite, an_outcome

LONG_S = 20.0
N_CASES = 12
RUBRIC = {"rubric": {"judge": "judge", "criteria": [{"id": "right", "text": "It is right."}]}}
MET = json.dumps({"right": {"explanation": "so", "met": True}})


@pytest.fixture
def judged(a_project):
    """Return the builder of a project whose one suite is judged."""

    def build(*, judges=None, models=None, scorers=("exact", RUBRIC), **suite):
        cases = [a_case(f"case-{number}") for number in range(N_CASES)]
        project = a_project(
            suites=[a_suite(cases=cases, scorers=scorers, **suite), a_suite("plain")],
            models=models or [a_model("one")],
        )
        found = judges or [a_model("judge", provider="jury")]
        return replace(project, roster=Roster(version=1, models=project.roster.models, judges=found))

    return build


class Session:
    """One project measured and judged with scripts, as `evalkit run` does it."""

    def __init__(self, project, recorder, run_id):
        self.project, self.recorder, self.run_id = project, recorder, run_id
        self.store = recorder.ledger
        planned = plan(project)
        run = replace(self.store.run(run_id), cells=tuple(cell.cell for cell in planned.cells), suite_digests=())
        self.store.open_run(run)
        self.planned = planned

    def measure(self):
        """Ask the models."""
        measuring = replace(self.recorder, is_followed=True)
        return self._await(record(self.planned, self.run_id, recorder=measuring))

    def questions(self):
        """Plan what is still to be asked."""
        return plan_questions(self.store, self.store.run(self.run_id), self.project)

    def ask(self, **changes):
        """Ask the judges."""
        recorder = replace(self.recorder, **changes)
        run = self.store.run(self.run_id)
        asking = record_questions(self.questions(), run, recorder=recorder, project=self.project, store=self.store)
        return self._await(asking)

    def scores(self, metric="rubric"):
        """Grade, and return what is said of a metric."""
        score_run(self.store, self.store.run(self.run_id), self.project)
        said = [entry for one in self.store.scores(self.run_id) for entry in one.scores]
        return [entry for entry in said if entry.metric == metric]

    @staticmethod
    def _await(work):
        return asyncio.run(asyncio.wait_for(work, LONG_S))


@pytest.fixture
def session(judged, a_recorder, scripted, a_reply):
    """Return the builder of sessions: `judge` answers questions, everybody else says forty-two."""

    def build(judge=lambda _: a_reply(MET), *, project=None, **fields):
        gateway = scripted(lambda request: judge(request) if request.model_id != "one" else a_reply())
        project = project or judged()
        recorder, run_id = a_recorder(gateway, project, **fields)
        made = Session(project, recorder, run_id)
        made.gateway = gateway
        return made

    return build


def test_every_ok_answer_is_asked_about_once(session):
    """Twelve answers, twelve questions, twelve numbers; the suite nobody is asked for costs nothing."""
    run = session()
    run.measure()
    assert run.store.run(run.run_id).status is RunStatus.RUNNING
    asked = run.ask()
    assert (asked.n_planned, asked.n_sent, asked.n_answered) == (N_CASES, N_CASES, N_CASES)
    assert [entry.value for entry in run.scores()] == [1.0] * N_CASES
    assert run.store.run(run.run_id).status is RunStatus.FINISHED
    assert run.questions().n_calls == 0


def test_a_judge_is_no_trial_of_anybody(session):
    """Outcomes, measurements and held calls are those of the models alone; the money is one."""
    run = session(lambda _: run_reply(status=500))
    run.measure()
    before = list(run.store.outcomes(run.run_id))
    spent = run.store.spent_usd(run.run_id)
    run.ask()
    assert list(run.store.outcomes(run.run_id)) == before
    assert len(run.store.held_keys(run.run_id)) == N_CASES + 1
    found = read_measurements(run.store, run.store.run(run.run_id), wanted=[("qa", "one")])
    assert len(found["qa", "one"].units) == N_CASES
    assert found["qa", "one"].coverage == 1.0
    assert run.store.spent_usd(run.run_id) >= spent
    assert {reply.model_id for reply in run.store.asked(run.run_id)} == {"judge"}


def run_reply(*, status):
    """Return an error of the scripted gateway."""
    return Reply(status=status, headers={}, body=b'{"error": {"message": "no"}}', latency_s=0.1)


def test_a_dead_judge_is_asked_again_later(session, a_reply):
    """Faults leave no score, never a 0; asking again asks for what is missing and nothing else."""
    half = {f"case-{number}" for number in range(N_CASES // 2)}
    is_mended = False

    def judge(request):
        return a_reply(MET) if is_mended or request.case_id in half else a_reply("no", status=500)

    run = session(judge)
    run.measure()
    run.ask()
    first = run.scores()
    missing = [entry for entry in first if isinstance(entry, Unscored)]
    assert 0 < len(missing) < N_CASES
    assert {entry.reason for entry in missing} <= {"unjudged:provider_error"}
    n_held = len(run.store.held_keys(run.run_id, is_asked=True))
    is_mended = True
    asked = run.ask()
    assert asked.n_sent == N_CASES - n_held
    assert [entry.value for entry in run.scores()] == [1.0] * N_CASES


def test_faults_are_retried_and_every_attempt_is_kept(session, a_reply):
    """As for any call: a 429 once, then the verdict."""
    run = session(lambda request: a_reply(MET) if request.attempt else a_reply("slow down", status=429))
    run.measure()
    run.ask()
    kinds = {tuple(attempt.kind for attempt in reply.attempts) for reply in run.store.asked(run.run_id)}
    assert kinds == {(Kind.RATE_LIMITED, Kind.OK)}


def test_only_ok_answers_are_asked_about(a_reply, judged, a_recorder, scripted):
    """A refusal, a cut and a fault are graded without a judge."""
    refused = a_reply("no", message={"refusal": "I cannot."})

    def models(request):
        if request.model_id == "judge":
            return a_reply(MET)
        number = int(request.case_id.split("-")[1])
        return (a_reply(), refused, a_reply(finish_reason="length"), a_reply("no", status=400))[number % 4]

    project = judged()
    recorder, run_id = a_recorder(scripted(models), project)
    run = Session(project, recorder, run_id)
    run.measure()
    assert run.questions().n_calls == N_CASES // 4


def test_an_answer_nobody_can_see_is_not_asked_about(judged, a_recorder, scripted, a_reply):
    """Reasoning and white space are no answer: 0 without a question."""
    project = judged()
    answer = "<think>all of it is thought</think> \u200b"
    recorder, run_id = a_recorder(scripted(lambda _: a_reply(answer, message={"content": answer})), project)
    run = Session(project, recorder, run_id)
    run.measure()
    assert run.questions().n_calls == 0


def test_a_budget_holds_for_models_and_judges_together(session, judged):
    """What the models cost is gone; questions that do not fit are not sent, and the run can be gone on with."""
    price = {"input_usd_per_mtok": 1e6, "output_usd_per_mtok": 1e6}
    project = judged(judges=[a_model("judge", provider="jury", price=price)])
    run = session(project=project, limits={"budget_usd": 5.0, "concurrency": 2})
    run.measure()
    asked = run.ask()
    assert asked.stopped_by == {StopReason.BUDGET}
    assert asked.n_sent == 0
    assert run.store.run(run.run_id).status is RunStatus.STOPPED
    assert {entry.reason for entry in run.scores()} == {"unjudged:not_asked"}


def test_the_plan_is_an_upper_bound(session):
    """What can be asked at the most, and cost, is told before; what is asked is no more."""
    run = session()
    (found,) = questions_at_most(run.project, run.planned)
    assert (found.suite, found.judge_id, found.n_calls) == ("qa", "judge", N_CASES)
    assert 0 < found.usd_expected < found.usd_at_most
    run.measure()
    plan_now = run.questions()
    calls = list(plan_now.calls_of("judge"))
    assert len(calls) <= found.n_calls
    assert sum(call.script.n_prompt_tokens for call in calls) <= found.prompt_tokens
    spent = run.store.spent_usd(run.run_id)
    run.ask()
    assert run.store.spent_usd(run.run_id) - spent <= found.usd_at_most


def test_an_unknown_price_is_unknown(judged):
    """And not nothing."""
    project = judged(judges=[a_model("judge", provider="jury", price=None)])
    (found,) = questions_at_most(project, plan(project))
    assert (found.usd_expected, found.usd_at_most) == (None, None)


def test_a_project_that_asks_nobody_has_no_questions(a_project):
    """No grader is made for it, and nothing is read."""
    project = a_project()
    assert asking_graders(project) == {}
    assert questions_at_most(project, plan(project)) == ()


def test_answers_to_other_prompts_are_not_asked_about(session):
    """Once the prompts changed, those answers count for nothing: a judge is not paid for them."""
    run = session()
    run.measure()
    suite = run.project.suites[0]
    changed = a_suite(cases=suite.cases, scorers=("exact", RUBRIC), request={"prompt": "{{ question }}!"})
    run.project = replace(run.project, suites=(changed, run.project.suites[1]))
    assert run.questions().n_calls == 0


def test_a_changed_rubric_asks_anew(session):
    """The replies to the old questions stay, and answer nothing of the new ones."""
    run = session()
    run.measure()
    run.ask()
    other = {"rubric": {"judge": "judge", "criteria": [{"id": "right", "text": "It is very right."}]}}
    suite = run.project.suites[0]
    changed = a_suite(cases=suite.cases, scorers=("exact", other))
    run.project = replace(run.project, suites=(changed, run.project.suites[1]))
    assert {entry.reason for entry in run.scores()} == {"unjudged:not_asked"}
    assert run.questions().n_calls == N_CASES
    run.ask()
    assert [entry.value for entry in run.scores()] == [1.0] * N_CASES


def test_embeddings_go_to_their_own_path(session, judged, a_reply):
    """One method of the gateway serves both: the request says where to."""
    pinned = {"similarity": {"embedder": "judge", "served_as": "embedder-1", "dimensions": 2}}
    project = judged(scorers=(pinned,), primary="similarity", gates=({"metric": "similarity", "at_least": 0.5},))
    data = [{"index": 0, "embedding": [1, 0]}, {"index": 1, "embedding": [1, 0]}]
    body = {"model": "embedder-1", "data": data, "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    run = session(lambda _: replace(a_reply(), body=json.dumps(body).encode()), project=project)
    run.measure()
    run.ask()
    assert {request.path for request in run.gateway.requests} == {"/chat/completions", "/embeddings"}
    assert [entry.value for entry in run.scores("similarity")] == [1.0] * N_CASES


class _Careless:
    """A scorer that asks and does not say with what."""

    metrics = ("careless",)

    def __init__(self, asker):
        self._asker = asker

    def ask(self, case, outcome):
        return self._asker(case, outcome)

    def score(self, case, outcome, replies):
        return (Score("careless", 1.0),)


def test_a_scorer_that_hides_what_it_asks_is_refused(judged):
    """Decisions would take its opinion for a measurement."""
    project = judged()
    grader = Grader(project.suites[0], judges=project.judges)
    honest = grader._panel.members[1][1]
    spec = grader._panel.members[1][0]
    grader._panel.members = ((spec, _Careless(honest.ask)),)
    with pytest.raises(InputError, match="asks without `instrument`"):
        grader.ask(an_outcome("case-1", model_id="one"))
