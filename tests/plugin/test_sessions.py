"""Beside the other parts of pytest: workers, selection, reports, and sessions that want none of it."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

ALL = "--evalkit-models=all"
MARKED = """
@pytest.mark.evalkit(suite="sums", models=["alpha", "beta"])
def test_it(evalkit):
    evalkit.measure(lambda case: f"App: {case.vars['n']} plus 1").assert_gates()
"""


def test_workers_share_one_set_of_calls(app, gateway):
    """With pytest-xdist every call is made once, whichever worker needed its answer first."""
    app.test(MARKED)
    result = app.pytest_outside("--evalkit-live", ALL, "-n", "2")
    result.assert_outcomes(passed=5, failed=2)
    sent = [(body["model"], body["messages"][-1]["content"]) for body in gateway.asked]
    assert len(sent) == len(set(sent)) == 80 + 40
    result.stdout.fnmatch_lines(["known cost: 1.8000 USD"])


def test_workers_share_the_budget(app, gateway):
    """No worker spends what another one has spent."""
    app.pytest_outside("--evalkit-live", ALL, "--evalkit-max-usd=1", "-n", "2", "suites")
    assert 0 < len(gateway.asked) * 0.015 <= 1 + 1e-9


def test_only_what_is_selected_is_measured(app, gateway):
    """-k leaves pairs out before anything is sent."""
    app.pytest("--evalkit-live", ALL, "-k", "sums and beta", "suites").assert_outcomes(passed=1, deselected=3)
    assert {body["model"] for body in gateway.asked} == {"route-b"}
    assert len(gateway.asked) == 20


def test_the_marker_selects_suites_too(recorded):
    """`-m evalkit` is everything that measures."""
    recorded.pytest("--evalkit", ALL, "-m", "evalkit").assert_outcomes(passed=4, deselected=1)


def test_stop_at_the_first_failure(recorded):
    """-x ends the session as with any test."""
    recorded.replace("suites/sums/suite.yaml", "You add.", "You add up.")
    recorded.pytest("--evalkit", ALL, "-x", "suites/sums", "suites/colour").assert_outcomes(failed=1)


def test_last_failed_runs_the_failed_pair_again(recorded):
    """--lf knows an item by suite, model and kind of answers."""
    recorded.replace("suites/sums/suite.yaml", "at_least: 0.7", "at_least: 0.85")
    text = (recorded.root / "suites/sums/cases.jsonl").read_text()
    recorded.write("suites/sums/cases.jsonl", text.replace('"expected": "4"', '"expected": "5"'))
    recorded.pytest("--evalkit", ALL, "suites").assert_outcomes(passed=2, failed=2)
    recorded.pytest("--evalkit", ALL, "suites", "--lf").assert_outcomes(failed=2)


def test_junit_names_items_and_reasons(recorded):
    """The report has one case an item, with its failure and what it proves."""
    recorded.replace("suites/sums/suite.yaml", "You add.", "You add up.")
    recorded.pytest("--evalkit", ALL, "suites", "--junitxml=junit.xml").assert_outcomes(passed=2, failed=2)
    cases = ET.parse(recorded.root / "junit.xml").getroot().findall(".//testcase")
    failures = {case.get("name"): case.find("failure") for case in cases}
    assert set(failures) == {f"{suite}[{model}-replay]" for suite in ("colour", "sums") for model in ("alpha", "beta")}
    assert "20 answers are not recorded" in failures["sums[alpha-replay]"].text
    proves = [p.get("value") for case in cases for p in case.iter("property") if p.get("name") == "evalkit.proves"]
    assert len(proves) == 4
    assert all("not the model" in text for text in proves)


def test_the_plugin_can_be_left_out(app):
    """-p no:evalkit takes options and marker away, and disturbs nothing."""
    app.pytest("-p", "no:evalkit").assert_outcomes(passed=1)
    assert app.pytest("-p", "no:evalkit", "--evalkit").ret == pytest.ExitCode.USAGE_ERROR


def test_the_marker_is_known(app):
    """Strict markers take it, asked for or not."""
    app.test(MARKED)
    app.pytest("--strict-markers").assert_outcomes(passed=1, skipped=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--evalkit-live", "--evalkit-replay"), "*give one of --evalkit-live, --evalkit-replay*"),
        (("--evalkit-models=alpha",), "*--evalkit-models says nothing without --evalkit*"),
        (("--evalkit-max-usd=1",), "*--evalkit-max-usd says nothing without --evalkit*"),
    ],
)
def test_options_that_contradict_are_refused(app, arguments, said):
    """What cannot be meant is a usage error."""
    result = app.pytest(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])


def test_a_replay_may_be_asked_for_by_name(recorded, gateway):
    """--evalkit-replay is the default, said aloud."""
    recorded.pytest("--evalkit-replay", ALL, "suites").assert_outcomes(passed=4)
    assert not gateway.asked


def test_the_plugin_loads_nothing_heavy():
    """Every session of an application imports it: none of the big dependencies comes with it."""
    heavy = ("pandas", "numpy", "scipy", "httpx", "aiohttp", "jinja2", "rich", "jsonschema", "sqlalchemy", "pydantic")
    code = (
        "import sys, pytest; before = set(sys.modules); import evalkit.pytest_plugin\n"
        f"new = set(sys.modules) - before; print([n for n in {heavy} if n in new], len(new))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("]")[0] == "["
    assert int(done.stdout.split()[-1]) <= 3
