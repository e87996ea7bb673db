"""`pytest --evalkit`: suites as tests, replayed, live and recorded."""

from __future__ import annotations

import pytest

from evalkit.api.project import load_project, opened_store

ALL = "--evalkit-models=all"


def stored_runs(app):
    """Return the runs of the project's store."""
    project = load_project(app.root)
    with opened_store(project) as store:
        return store.runs(project="app", environment="test-env")


# --- replay


def test_a_session_that_does_not_ask_collects_no_suite(app, gateway):
    """Without --evalkit the plugin collects nothing and asks nobody."""
    app.pytest("suites", "tests").assert_outcomes(passed=1)
    assert not gateway.asked


def test_recorded_suites_pass(recorded, gateway):
    """Replayed suites pass with the deployed file's models, say what they prove, ask nobody and store nothing."""
    recorded.deploy(colour=["alpha"], sums=["beta"])
    result = recorded.pytest("--evalkit", "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "evalkit: replay of recordings: proves this code and its suites, not the model",
            "*colour/suite.yaml::colour[[]alpha-replay[]] PASSED*",
            "*sums/suite.yaml::sums[[]beta-replay[]] PASSED*",
            "2 passed; replay of recordings: proves this code and its suites, not the model",
        ]
    )
    assert not gateway.asked
    assert not (recorded.root / ".evalkit").exists()


def test_suites_are_collected_beside_testpaths(recorded):
    """`testpaths` may name the Python tests alone; paths on the command line are taken as they are."""
    recorded.pytest("--evalkit", ALL).assert_outcomes(passed=5)
    recorded.pytest("--evalkit", ALL, "tests").assert_outcomes(passed=1)
    recorded.pytest("--evalkit", ALL, "suites/sums").assert_outcomes(passed=2)


def test_a_replay_skips_gates_on_cost(recorded):
    """The suite's cost gate could never be held, and a recording says nothing about it."""
    result = recorded.pytest("--evalkit", ALL, "suites/colour", "--junitxml=junit.xml")
    result.assert_outcomes(passed=2)
    report = (recorded.root / "junit.xml").read_text()
    assert 'name="evalkit.gate.cost_usd &lt;= 1e-06" value="skipped' in report
    assert 'name="evalkit.gate.exact &gt;= 0.7" value="pass' in report
    assert 'name="evalkit.proves" value="replay of recordings: proves this code' in report


def test_a_suite_with_nothing_but_cost_gates_is_skipped(recorded):
    """No gate left is no proof: the item is skipped and says why."""
    recorded.replace("suites/colour/suite.yaml", "  - {metric: exact, at_least: 0.7}\n", "")
    result = recorded.pytest("--evalkit", ALL, "suites/colour", "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*every gate is on time or money*"])


def test_a_changed_prompt_lists_what_is_missing(recorded, gateway):
    """Exactly the calls without a recording are listed, with the command that records them."""
    text = (recorded.root / "suites/sums/cases.jsonl").read_text()
    text = text.replace('{"n": 3}', '{"n": 103}').replace('{"n": 17}', '{"n": 117}')
    recorded.write("suites/sums/cases.jsonl", text.replace('"4"', '"104"').replace('"18"', '"118"'))
    result = recorded.pytest("--evalkit", "--evalkit-models=alpha", "suites")
    result.assert_outcomes(passed=1, failed=1)
    node_id = "'suites/sums/suite.yaml::sums[alpha-replay]'"
    result.stdout.fnmatch_lines(
        [
            "2 answers are not recorded, for prompts or parameters that are new or changed:",
            "  c*",
            "  c*",
            f"  record them: pytest --evalkit-record {node_id}".replace("[", "[[]"),
        ],
        consecutive=True,
    )
    assert {"  c3", "  c17"} <= set(result.stdout.lines)
    assert not gateway.asked


def test_the_listed_command_records_what_is_missing_and_no_more(recorded, gateway):
    """Recording asks for the missing answers alone, keeps the others, and the replay holds again."""
    before = recorded.recordings("sums", "alpha")
    text = (recorded.root / "suites/sums/cases.jsonl").read_text()
    recorded.write("suites/sums/cases.jsonl", text.replace('{"n": 3}', '{"n": 103}').replace('"4"', '"104"'))
    arguments = ("--evalkit-record", "--evalkit-models=alpha", "suites/sums/suite.yaml::sums[alpha-replay]")
    recorded.pytest(*arguments).assert_outcomes(passed=1)
    assert gateway.prompts == ["What is 103 plus 1?"]
    after = recorded.recordings("sums", "alpha")
    assert after[: len(before)] == before
    assert [line["case_id"] for line in after[len(before) :]] == ["c3"]
    recorded.pytest("--evalkit", "--evalkit-models=alpha", "suites/sums").assert_outcomes(passed=1)


def test_recording_twice_gives_the_same_bytes(recorded, gateway):
    """A file that lacks nothing is not written again, and nothing is asked."""
    path = recorded.root / "recordings" / "sums" / "alpha.jsonl.gz"
    before = path.read_bytes()
    recorded.pytest("--evalkit-record", ALL, "suites").assert_outcomes(passed=4)
    assert path.read_bytes() == before
    assert not gateway.asked


def test_without_any_recording_every_call_is_missing(app, gateway):
    """A repository that never recorded fails, and is told how to."""
    result = app.pytest("--evalkit", "--evalkit-models=alpha", "suites/sums")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["20 answers are not recorded*", "*record them: pytest --evalkit-record *"])
    assert not gateway.asked


def test_what_the_gateway_cannot_answer_is_not_recorded(app, gateway):
    """A fault is no answer: nothing is written, and the item says what came instead."""
    gateway.status = 500
    app.write("evalkit.yaml", (app.root / "evalkit.yaml").read_text().replace("concurrency: 16", "concurrency: 2"))
    result = app.pytest("--evalkit-record", "--evalkit-models=alpha", "suites/sums")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no model answered a single call (provider_error)*"])
    assert not (app.root / "recordings").exists()


def test_a_damaged_recording_is_said(recorded):
    """File and line, and no verdict from what is left of it."""
    path = recorded.root / "recordings" / "sums" / "alpha.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-40])
    result = recorded.pytest("--evalkit", "--evalkit-models=alpha", "suites/sums")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*recordings/sums/alpha.jsonl.gz:*: cannot be read: *"])


def test_a_suite_that_keeps_no_texts_is_not_recorded(app, gateway):
    """`payloads: digest` says that texts may not be stored; a recording would."""
    app.replace("suites/sums/suite.yaml", "task: sums\n", "task: sums\npayloads: digest\n")
    result = app.pytest("--evalkit-record", ALL, "suites/sums")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*keeps its texts as 'digest': its answers may not be recorded*"])
    assert not gateway.asked


# --- live


def test_a_live_session_asks_the_gateway_and_keeps_the_run(app, gateway):
    """Live items ask each call once and are a run in the project's store; cost gates are judged."""
    result = app.pytest("--evalkit-live", ALL, "suites", "-v")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*sums[[]alpha-live[]] PASSED*",
            "*fail *cost_usd <= 1e-06: 0.015, bound *, n=20 *",
            "2 passed, 2 failed; live: the project's gateway is asked",
            "known cost: 1.2000 USD",
        ]
    )
    assert len(gateway.asked) == 80
    (run,) = stored_runs(app)
    assert run.gateway_kind == "openai"


def test_a_failure_shows_gate_bound_n_and_the_three_worst(app, gateway):
    """The message has everything: the gate, its bound and n, and three answers, escaped."""
    gateway.is_wrong = True
    result = app.pytest("--evalkit-live", "--evalkit-models=alpha", "suites/sums")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            "sums × alpha does not hold (live: the project's gateway is asked)",
            "  fail      exact >= 0.7: 0, bound *, n=20 (*one-sided)",
            "  worst answers:",
        ]
    )
    shown = [line for line in result.stdout.lines if line.startswith("    c")]
    assert len(shown) == 3
    assert all("exact 0" in line and "answer '\\x1b[31mwrong'" in line for line in shown)
    assert "\x1b[31mwrong" not in text


def test_undecided_is_not_held(app):
    """A gate that nobody can decide fails the test, with its cure."""
    app.replace("suites/sums/suite.yaml", "at_least: 0.7", "at_least: 0.85")
    text = (app.root / "suites/sums/cases.jsonl").read_text()
    app.write("suites/sums/cases.jsonl", text.replace('"4"', '"5"'))
    result = app.pytest("--evalkit-live", "--evalkit-models=alpha", "suites/sums")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  undecided exact >= 0.85: 0.95, bound *, n=20 *; cure: +* cases"])


def test_a_dead_gateway_fails_every_item_and_is_asked_once(app, gateway):
    """What failed as a whole is not tried again for the next item."""
    gateway.status = 401
    result = app.pytest("--evalkit-live", ALL, "suites")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["*no model answered a single call (auth_error)*"])
    assert len(gateway.asked) < 80


def test_the_budget_ends_a_live_session(app, gateway):
    """--evalkit-max-usd is the most that is spent; what was not measured does not hold."""
    result = app.pytest("--evalkit-live", ALL, "--evalkit-max-usd=0.5", "suites/sums")
    assert result.parseoutcomes()["failed"] >= 1
    result.stdout.fnmatch_lines(["*calls were made: the run ended early (budget)*"])
    assert 0 < len(gateway.asked) * 0.015 <= 0.5


def test_a_budget_below_the_plan_buys_nothing(app, gateway):
    """What can be known before to be too little is said before anything is sent."""
    result = app.pytest("--evalkit-live", ALL, "--evalkit-max-usd=0.2", "suites/sums")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*the budget of USD 0.2 is below the USD 0.4800 the plan is expected to cost*"])
    assert gateway.asked == []


def test_the_simulator_is_labelled(app):
    """Answers of the simulator are called simulated, live and replayed."""
    app.write("evalkit.yaml", "version: 1\nname: app\nenvironment: test-env\ngateway: {kind: simulator}\n")
    app.replace("roster.yaml", "route-a", "sim/gpt")
    app.replace("roster.yaml", "route-b", "sim/gpt")
    app.replace("suites/sums/suite.yaml", "at_least: 0.7", "at_least: 0.8")
    text = (app.root / "suites/sums/cases.jsonl").read_text()
    app.write("suites/sums/cases.jsonl", text.replace('"expected": "', '"expected": "x'))
    app.pytest("--evalkit-record", "--evalkit-models=alpha", "suites/sums")
    app.write("suites/sums/cases.jsonl", text.replace('"expected": "', '"expected": "y'))
    result = app.pytest("--evalkit", "--evalkit-models=alpha", "suites/sums")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["sums × alpha does not hold (SIMULATED; replay of *"])


# --- which models


def test_the_deployed_file_names_the_models(recorded):
    """Without an option the file decides, per task; nobody admitted is a failure, never an empty session."""
    recorded.deploy(colour=["beta", "alpha"], sums=[])
    result = recorded.pytest("--evalkit", "suites", "-v")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*sums[[]no-model-replay[]] FAILED*", "*admits no model to the task 'sums'*"])


@pytest.mark.parametrize(
    ("age_s", "audience", "said"),
    [(3 * 86_400, "test-env", "*admits no model to the task*"), (10, "other-env", "*audience*")],
    ids=["expired", "foreign"],
)
def test_a_file_that_admits_nobody_fails(recorded, age_s, audience, said):
    """Evidence that has expired admits nobody, and a file for somebody else is refused."""
    recorded.deploy(age_s=age_s, colour=["alpha"], sums=["alpha"])
    recorded.replace("evalkit.yaml", "environment: test-env", f"environment: {audience}")
    result = recorded.pytest("--evalkit", "suites")
    assert result.ret != 0
    result.stdout.fnmatch_lines([said])


def test_no_file_is_an_error_that_says_what_to_do(recorded):
    """Without a deployed file and without names there is nobody to test."""
    result = recorded.pytest("--evalkit", "suites")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*missing: *eligibility.json*"])


def test_the_variable_names_another_file(recorded, monkeypatch):
    """EVALKIT_ELIGIBILITY says where the file is."""
    recorded.deploy(colour=["alpha"], sums=["alpha"]).rename(recorded.root / "fetched.json")
    monkeypatch.setenv("EVALKIT_ELIGIBILITY", "fetched.json")
    recorded.pytest("--evalkit", "suites").assert_outcomes(passed=2)


def test_a_model_that_is_not_in_the_roster_is_an_error(recorded):
    """A misspelt model is never left out in silence."""
    result = recorded.pytest("--evalkit", "--evalkit-models=alpha,gamma", "suites")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*no model is named 'gamma'*"])


# --- what is wrong with the project


def test_a_broken_project_is_a_collection_error(app):
    """What loading says is shown, with file and line, and no traceback."""
    app.replace("roster.yaml", "provider: one", "provder: one")
    result = app.pytest("--evalkit", ALL, "suites")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*roster.yaml*provder*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_suite_outside_the_project_is_an_error(app):
    """A suite file that evalkit.yaml does not name would be skipped in silence."""
    app.write("suites/deep/er/suite.yaml", "version: 1\n")
    result = app.pytest("--evalkit", ALL, "suites/deep")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*is not among the suites of the project*"])
