"""All nine suites on the simulator: a model that is always right gets in everywhere, a weak one nowhere."""

from __future__ import annotations

import pytest
import yaml

from evalkit.api.measuring import RunOptions, run
from evalkit.api.project import load_project
from evalkit.api.showing import validate
from evalkit.api.starting import STARTER_SUITES, init_project, more_suites
from evalkit.simulator.stand_ins import STEADY, WEAK


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Every suite there is, and a roster of two stand-ins."""
    root = tmp_path_factory.mktemp("nine")
    init_project(root, suites=more_suites())
    models = [
        {
            "id": name,
            "route": f"{prefix}any",
            "provider": f"sim-{name}",
            "price": {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.1},
            "context_tokens": 128000,
            "max_output_tokens": 8192,
            "capabilities": {"structured": "json_schema", "temperature": True, "tools": True},
        }
        for name, prefix in (("steady", STEADY), ("weak", WEAK))
    ]
    (root / "roster.yaml").write_text(yaml.safe_dump({"version": 1, "models": models}), encoding="utf-8")
    policy = (root / "policy.yaml").read_text(encoding="utf-8")
    (root / "policy.yaml").write_text(policy.replace("pin: sim-gpt", "pin: steady"), encoding="utf-8")
    return load_project(root)


def test_every_suite_passes_its_own_test(project):
    """Known good passes, known bad fails what it names; nothing is said but that some schemas are not portable."""
    findings = validate(project)
    assert [one for one in findings if one.severity == "error" or ": schema " not in f": {one.message}"] == []
    assert {suite.name for suite in project.suites} == {*STARTER_SUITES, *more_suites()}


@pytest.mark.slow
def test_steady_is_eligible_for_every_task_and_weak_for_none(project):
    """Whatever kind of answer a task wants, the simulator can give the right one and one that fails."""
    verdicts = run(project, RunOptions()).decision.verdicts
    found = {(one.model_id, one.task): str(one.status) for one in verdicts}
    assert found == {
        (model, task): status
        for task in project.policy.tasks
        for model, status in (("steady", "eligible"), ("weak", "ineligible"))
    }
