"""`assert_eligible`: what the deployed file says of a model and a task, with the reason."""

from __future__ import annotations

import os
import time

import pytest

import evalkit
from evalkit.canonical import canonical_json
from evalkit.errors import RefusedError
from evalkit.testing.eligibility import an_eligibility


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch, tmp_path):
    """No setting of the machine reaches the tests; the current folder is empty."""
    for name in list(os.environ):
        if name.startswith("EVALKIT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def deploy(path, *, age_s=10.0, **fields):
    """Write a file that admits `large` to `routing`."""
    rejected = {"model": "small", "verdict": "ineligible", "reasons": [
        {"code": "gate_failed", "suite": "routing", "metric": "exact", "detail": "", "cure": ""}
    ]}  # fmt: skip
    document = an_eligibility(
        {"routing": ["large"], "empty": []},
        now=time.time() - age_s,
        entries={"routing": {"rejected": [rejected]}},
        **fields,
    ).document()
    path.write_bytes(canonical_json(document))


def test_an_admitted_model_passes(tmp_path):
    """Nothing is raised; the file is found in the current folder."""
    deploy(tmp_path / "eligibility.json")
    evalkit.assert_eligible("large", "routing")


def test_the_variable_names_the_file(tmp_path, monkeypatch):
    """EVALKIT_ELIGIBILITY is where the deployment puts it; an argument wins."""
    deploy(tmp_path / "live.json")
    monkeypatch.setenv("EVALKIT_ELIGIBILITY", str(tmp_path / "live.json"))
    evalkit.assert_eligible("large", "routing")
    with pytest.raises(RefusedError, match="missing"):
        evalkit.assert_eligible("large", "routing", file="other.json")


@pytest.mark.parametrize(
    ("model", "task", "why"),
    [
        ("small", "routing", r"ineligible \(gate_failed routing/exact\)"),
        ("other", "routing", "the file does not name it; admitted: large"),
        ("large", "empty", "the file does not name it; admitted: nobody"),
        ("large", "nowhere", "the file knows the tasks empty, routing only"),
    ],
)
def test_who_is_not_admitted_is_told_why(tmp_path, model, task, why):
    """The code is `not_eligible`, the reason the file's own."""
    deploy(tmp_path / "eligibility.json")
    with pytest.raises(RefusedError, match=why) as caught:
        evalkit.assert_eligible(model, task)
    assert caught.value.code == "not_eligible"


def test_expired_evidence_admits_nobody(tmp_path):
    """A day later the same file says no, and since when."""
    deploy(tmp_path / "eligibility.json", age_s=2 * 86_400)
    with pytest.raises(RefusedError, match="its evidence expired at"):
        evalkit.assert_eligible("large", "routing")


def test_no_file_admits_nobody():
    """Fails closed."""
    with pytest.raises(RefusedError, match="missing"):
        evalkit.assert_eligible("large", "routing")


def test_a_file_for_another_environment_is_refused(tmp_path, monkeypatch):
    """A process that says where it is takes no other environment's file."""
    deploy(tmp_path / "eligibility.json", audience="prod")
    monkeypatch.setenv("EVALKIT_ENVIRONMENT", "prod")
    evalkit.assert_eligible("large", "routing")
    monkeypatch.setenv("EVALKIT_ENVIRONMENT", "staging")
    with pytest.raises(RefusedError) as caught:
        evalkit.assert_eligible("large", "routing")
    assert caught.value.code == "wrong_audience"


def test_simulated_and_unsigned_files_are_refused_when_they_should_be(tmp_path):
    """The simulator's file needs a word, and keys need a signature."""
    deploy(tmp_path / "eligibility.json", simulated=True)
    evalkit.assert_eligible("large", "routing", allow_simulated=True)
    for options, code in (
        ({}, "simulated"),
        ({"allow_simulated": True, "public_keys": {"k": "A" * 43 + "="}}, "unsigned"),
    ):
        with pytest.raises(RefusedError) as caught:
            evalkit.assert_eligible("large", "routing", **options)
        assert caught.value.code == code
