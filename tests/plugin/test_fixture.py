"""The marker and the fixture: prompts that the application builds, sent and scored."""

from __future__ import annotations

import pytest

MARKED = """
@pytest.mark.evalkit(suite="sums"{models})
def test_it(evalkit):
    measured = evalkit.measure(lambda case: f"App asks: {{case.vars['n']}} plus 1")
    measured.assert_gates()
"""
BETA = MARKED.format(models=', models=["beta"]')


def test_without_being_asked_marked_tests_are_skipped(app, gateway):
    """An ordinary session says why it skipped them, and sends nothing."""
    app.test(BETA)
    result = app.pytest("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*needs --evalkit*"])
    assert not gateway.asked


def test_prompts_of_the_application_are_sent_and_scored(app, gateway):
    """Live, the built prompts go out, under the suite's system text, and nothing is stored."""
    app.test(BETA)
    app.pytest("--evalkit-live", "tests").assert_outcomes(passed=2)
    assert gateway.prompts == sorted(f"App asks: {n} plus 1" for n in range(20))
    assert {body["messages"][0]["content"] for body in gateway.asked} == {"You add."}
    assert {body["model"] for body in gateway.asked} == {"route-b"}
    assert not (app.root / ".evalkit").exists()


def test_prompts_of_the_application_are_recorded_and_replayed(app, gateway):
    """Recorded once, the test needs no gateway; a changed prompt needs its recordings again."""
    app.test(BETA)
    result = app.pytest("--evalkit", "tests")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([
        "*20 answers are not recorded*", "*pytest --evalkit-record 'tests/test_app.py::test_it[[]beta-replay[]]'*"
    ])  # fmt: skip
    app.pytest("--evalkit-record", "tests").assert_outcomes(passed=2)
    gateway.asked.clear()
    app.pytest("--evalkit", "tests").assert_outcomes(passed=2)
    assert not gateway.asked
    app.test(BETA.replace("App asks", "Application asks"))
    app.pytest("--evalkit", "tests").assert_outcomes(passed=1, failed=1)


def test_messages_replace_all_that_the_suite_says(app, gateway):
    """A sequence of messages goes out as it is, and answers and scores come back to the test."""
    app.test("""
@pytest.mark.evalkit("sums", models="alpha")
def test_it(evalkit):
    def build(case):
        shot = [{"role": "user", "content": "1 plus 1"}, {"role": "assistant", "content": "2"}]
        return [{"role": "system", "content": "Short."}, *shot, {"role": "user", "content": f"{case.vars['n']} plus 1"}]

    measured = evalkit.measure(build)
    assert measured.is_held
    assert (evalkit.suite.name, evalkit.model.id, len(evalkit.cases)) == ("sums", "alpha", 20)
    answers = {answer.case_id: answer for answer in measured.answers}
    assert (answers["c4"].text, answers["c4"].kind, dict(answers["c4"].scores)) == ("5", "ok", {"exact": 1.0})
""")
    app.pytest("--evalkit-live", "tests").assert_outcomes(passed=2)
    roles = {tuple(message["role"] for message in body["messages"]) for body in gateway.asked}
    assert roles == {("system", "user", "assistant", "user")}
    assert {body["messages"][0]["content"] for body in gateway.asked} == {"Short."}


def test_without_a_builder_the_suite_speaks_for_itself(app, gateway):
    """`measure()` sends the suite's own words."""
    app.test("""
@pytest.mark.evalkit(suite="sums", models=["alpha"])
def test_it(evalkit):
    evalkit.measure().assert_gates()
""")
    app.pytest("--evalkit-live", "tests").assert_outcomes(passed=2)
    assert gateway.prompts[0].startswith("What is ")


def test_the_message_has_gate_bound_n_and_the_three_worst(app, gateway):
    """The assertion says all of it, as for a suite."""
    gateway.is_wrong = True
    app.test(BETA)
    result = app.pytest("--evalkit-live", "tests")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([
        "E *sums × beta does not hold (live: *", "E *fail      exact >= 0.7: 0, bound *, n=20 *", "E *worst answers:"
    ])  # fmt: skip
    assert len([line for line in result.stdout.lines if line.startswith("E") and "answer '" in line]) == 3


def test_the_option_wins_over_the_marker_and_the_marker_over_the_file(app):
    """Option, marker, deployed file: the first that says something."""
    app.deploy(sums=["alpha"], colour=["alpha"])
    app.test(BETA + MARKED.format(models="").replace("test_it", "test_default"))
    listed = app.pytest("--evalkit", "--collect-only", "-q", "tests").stdout.str()
    assert "test_it[beta-replay]" in listed
    assert "test_default[alpha-replay]" in listed
    assert "test_it[alpha-replay]" not in listed
    listed = app.pytest("--evalkit", "--collect-only", "-q", "--evalkit-models=alpha,beta", "tests").stdout.str()
    assert listed.count("test_it[") == listed.count("test_default[") == 2


def test_nobody_admitted_fails_the_marked_test(app):
    """A test without a model is a failure, never silently absent."""
    app.deploy(sums=[], colour=[])
    app.test(MARKED.format(models=""))
    result = app.pytest("--evalkit", "tests")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*admits no model to the task 'sums'*"])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('@pytest.mark.evalkit(suite="sums")\ndef test_it():\n    pass\n', "*nothing would be measured*"),
        ('@pytest.mark.evalkit(suite="som")\ndef test_it(evalkit):\n    pass\n', "*no suite is named 'som'*"),
        ("@pytest.mark.evalkit\ndef test_it(evalkit):\n    pass\n", "*write evalkit(suite=NAME)*"),
        ('@pytest.mark.evalkit(suite="sums", model="x")\ndef test_it(evalkit):\n    pass\n', "*write evalkit(suite=*"),
        ('@pytest.mark.evalkit(suite="sums", models=["x"])\ndef test_it(evalkit):\n    pass\n', "*no model is named*"),
        ("def test_it(evalkit):\n    pass\n", "*mark the test with @pytest.mark.evalkit*"),
    ],
    ids=["no-fixture", "no-suite", "bare", "misspelt", "no-model", "no-marker"],
)
def test_what_would_measure_nothing_is_an_error(app, source, said):
    """A marker or a fixture that cannot do what it says never passes."""
    app.deploy(sums=["alpha"], colour=["alpha"])
    app.test(source)
    result = app.pytest("--evalkit", "tests")
    assert result.ret != 0
    result.stdout.fnmatch_lines([said])


@pytest.mark.parametrize("prompt", ["[]", "[{'role': 'tool', 'content': 'x'}]", "[{'role': 'user'}]", "['text']"])
def test_a_prompt_that_cannot_be_sent_is_an_error(app, gateway, prompt):
    """What the application built is checked before anything is sent."""
    app.test(f"""
@pytest.mark.evalkit(suite="sums", models=["alpha"])
def test_it(evalkit):
    evalkit.measure(lambda case: {prompt})
""")
    result = app.pytest("--evalkit-live", "tests")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*InputError*"])
    assert not gateway.asked


def test_the_session_has_one_budget(app, gateway):
    """What one test spent is gone for the next; the one that cannot be paid for fails."""
    app.test(MARKED.format(models=', models=["alpha", "beta"]'))
    result = app.pytest("--evalkit-live", "--evalkit-max-usd=0.55", "tests")
    result.assert_outcomes(passed=2, failed=1)
    assert 20 <= len(gateway.asked) <= 36


def test_async_tests_await_it(app, gateway):
    """Under pytest-asyncio the measurement runs on the test's own loop, and the blocking form says so."""
    app.write("pytest.ini", "[pytest]\ntestpaths = tests\nasyncio_mode = auto\n"
                            "asyncio_default_fixture_loop_scope = function\n")  # fmt: skip
    app.test("""
@pytest.mark.evalkit(suite="sums", models=["alpha"])
async def test_it(evalkit):
    measured = await evalkit.ameasure(lambda case: f"{case.vars['n']} plus 1")
    measured.assert_gates()
    with pytest.raises(Exception, match="await evalkit.ameasure"):
        evalkit.measure()
""")
    app.pytest_outside("--evalkit-live", "tests").assert_outcomes(passed=2)
    assert len(gateway.asked) == 20
