"""The demo as a newcomer meets it: the starter project, the embedded gateway, real HTTP, the file, the reader."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest

from evalkit.api.deciding import publish
from evalkit.api.measuring import RunOptions, run
from evalkit.api.project import load_project
from evalkit.api.showing import load_report, validate, write_report
from evalkit.api.starting import init_project
from evalkit.errors import RefusedError
from evalkit.pipeline.plan import Selection
from evalkit.router.reader import EligibilityReader
from evalkit.simulator.personas import PERSONAS

FORMATS = ("html", "markdown", "junit", "csv", "json")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The starter project, run once against the embedded gateway."""
    root = tmp_path_factory.mktemp("demo")
    init_project(root)
    project = load_project(root)
    return project, run(project, RunOptions())


def test_the_starter_suites_pass_their_own_tests(demo):
    """Known good answers pass, known bad ones fail what they name, every metric is shown to be able to fail."""
    assert validate(demo[0]) == ()


def test_every_verdict_is_the_one_the_persona_table_foretells(demo):
    """Eligible, ineligible and undecided, each for the reason the table gives."""
    project, result = demo
    by_route = {persona.route: persona for persona in PERSONAS}
    found = {(v.model_id, v.task): v for v in result.decision.verdicts}
    wrong = []
    for model in project.roster.models:
        for truth in by_route[model.route].truths:
            verdict = found[model.id, truth.task]
            codes = {str(reason.code) for reason in verdict.reasons}
            if str(verdict.status) != truth.status or (truth.reason and truth.reason not in codes):
                wrong.append((model.id, truth.task, truth.status, truth.reason, str(verdict.status), sorted(codes)))
    assert wrong == []
    assert {str(verdict.status) for verdict in found.values()} == {"eligible", "ineligible", "undecided"}


def test_every_planned_call_has_exactly_one_outcome(demo):
    """Nothing is lost and nothing is counted twice, whatever the personas did."""
    _, result = demo
    assert result.recording.n_sent == result.plan.n_calls == sum(cell.cell.n_planned for cell in result.plan.cells)


def test_the_file_says_simulated_and_only_a_reader_that_is_told_so_takes_it(demo, tmp_path):
    """A simulated file admits nobody by mistake."""
    project, _ = demo
    path = tmp_path / "eligibility.json"
    published = publish(project, path)
    assert published.document["simulated"] is True
    audience = published.document["audience"]
    with pytest.raises(RefusedError, match="simulated"):
        EligibilityReader(path, audience=audience).candidates("ticket-triage")
    reader = EligibilityReader(path, audience=audience, allow_simulated=True)
    eligible = {(v.task, v.model_id) for v in published.decision.verdicts if str(v.status) == "eligible"}
    offered = {(task, one.model_id) for task in project.policy.tasks for one in reader.candidates(task)}
    assert offered
    assert offered <= eligible


def test_the_same_store_gives_the_same_bytes(demo, tmp_path):
    """Deciding twice from one store writes the same file."""
    project, _ = demo
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    publish(project, first)
    publish(project, second)
    assert first.read_bytes() == second.read_bytes()


def test_every_report_says_simulated(demo, tmp_path):
    """Each format is written, and none can be mistaken for real evidence."""
    project, _ = demo
    for path in write_report(project, FORMATS, folder=tmp_path):
        assert "simulated" in path.read_text(encoding="utf-8").lower(), path.name


def test_the_html_report_needs_no_network(demo, tmp_path):
    """Opening it from disk loads nothing from anywhere."""
    project, _ = demo
    write_report(project, ["html"], folder=tmp_path)
    for path in tmp_path.rglob("*.html"):
        text = html.unescape(path.read_text(encoding="utf-8"))
        assert "default-src 'none'" in text
        assert 'src="http' not in text
        assert 'href="http' not in text


def test_verdicts_do_not_depend_on_concurrency(demo, tmp_path):
    """The same answers sent one by one give the same verdicts, but for nothing at all."""
    project, _ = demo
    other = tmp_path / "serial"
    init_project(other)
    serial = load_project(other, flags={"concurrency": 3})
    options = RunOptions(selection=Selection(model_ids=("sim-gpt",)))
    verdicts = {v.task: v for v in run(serial, options).decision.verdicts if v.model_id == "sim-gpt"}
    publish(project, tmp_path / "whole.json")
    whole = json.loads(Path(tmp_path / "whole.json").read_text())
    for task, verdict in verdicts.items():
        wide = next(c for c in whole["tasks"][task]["candidates"] if c["model"] == "sim-gpt")
        narrow = [(g.metric, g.bound) for g in verdict.gates]
        assert narrow == [(g["metric"], g["bound"]) for g in wide["gates"]]


def test_report_and_file_offer_the_same_models_in_the_same_order(demo, tmp_path):
    """A reviewer and the router must read the same list."""
    project, _ = demo
    document = publish(project, tmp_path / "eligibility.json").document
    report = load_report(project)
    for task, entry in document["tasks"].items():
        assert report.offered(task) == tuple(candidate["model"] for candidate in entry["candidates"])
