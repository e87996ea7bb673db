"""`decide --previous`: the last file remembers for a store that forgets, and no more than it can prove."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
import yaml

from evalkit.api import measuring
from evalkit.api.deciding import Previous, publish
from evalkit.api.measuring import RunOptions, run
from evalkit.api.project import load_project
from evalkit.canonical import digest_of
from evalkit.clock import RehearsalClock
from evalkit.domain.project import Signing
from evalkit.errors import RefusedError
from evalkit.pipeline.plan import Selection
from evalkit.router.signature import generate_keys

ROSTER = [{"id": name, "route": f"steady/{name}"} for name in ("one", "two")]


@pytest.fixture
def project(a_project, monkeypatch):
    """A project measured once, a minute ago, for ends are whole seconds and a second run may begin within one."""
    project = load_project(a_project(40, models=ROSTER))
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "CLOCK", RehearsalClock(time.time() - 60))
        run(project)
    return project


@pytest.fixture
def last(project, tmp_path):
    """The file of that measurement."""
    return publish(project, tmp_path / "last.json").path


def forgotten(project, **config):
    """Return the project with an empty store."""
    update = {"store": "sqlite:///.evalkit/empty.db", **config}
    return replace(project, config=project.config.model_copy(update=update))


def offered(published):
    """Return who is offered, in order."""
    return [one["model"] for one in published.document["tasks"]["sums"]["candidates"]]


def test_an_empty_store_keeps_what_the_file_admits(project, last, tmp_path):
    """Order, ends and evidence are those of the file, and its moment too."""
    published = publish(forgotten(project), tmp_path / "new.json", previous=Previous(file=last))
    before = json.loads(last.read_bytes())
    assert published.document["tasks"] == before["tasks"]
    assert published.document["generated_at"] == before["generated_at"]


def test_what_is_measured_wins(project, last, tmp_path):
    """A model measured tonight is judged by tonight; the other is kept, behind it."""
    fresh = forgotten(project)
    run(fresh, RunOptions(selection=Selection(model_ids=("two",))))
    published = publish(fresh, tmp_path / "new.json", previous=Previous(file=last))
    assert offered(published) == ["two", "one"]
    ends = {one["model"]: one["valid_until"] for one in published.document["tasks"]["sums"]["candidates"]}
    was = {one["model"]: one["valid_until"] for one in json.loads(last.read_bytes())["tasks"]["sums"]["candidates"]}
    assert ends["one"] == was["one"]
    assert ends["two"] > was["two"]


CHANGES = {
    "a suite": lambda root: edit(root / "suites/sums/suite.yaml", "What is", "How much is"),
    "a gate": lambda root: edit(root / "suites/sums/suite.yaml", "at_least: 0.5", "at_least: 0.6"),
    "the policy": lambda root: edit(root / "policy.yaml", "sums: {}", "sums: {max_candidates: 1}"),
    "a route": lambda root: edit(root / "roster.yaml", "steady/", "steady/new-"),
    "an output limit": lambda root: limit(root / "roster.yaml", max_output_tokens=3),
    "a window": lambda root: limit(root / "roster.yaml", context_tokens=9000),
}


def edit(path, old, new):
    """Change a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def limit(path, **limits):
    """Declare limits of every model of a roster."""
    roster = yaml.safe_load(path.read_text())
    path.write_text(json.dumps(roster | {"models": [model | limits for model in roster["models"]]}))


@pytest.mark.parametrize("what", CHANGES)
def test_another_ground_keeps_nobody(project, last, tmp_path, what):
    """Evidence for something else admits nobody."""
    CHANGES[what](project.root)
    changed = forgotten(load_project(project.root))
    assert offered(publish(changed, tmp_path / "new.json", previous=Previous(file=last))) == []


def test_who_is_gone_from_the_roster_is_gone(project, last, tmp_path):
    """The file does not bring a model back."""
    (project.root / "roster.yaml").write_text(json.dumps({"version": 1, "models": [
        {**ROSTER[0], "context_tokens": 128000}]}))  # fmt: skip
    changed = forgotten(load_project(project.root))
    assert offered(publish(changed, tmp_path / "new.json", previous=Previous(file=last))) == ["one"]


def test_what_has_expired_is_not_kept(project, last, tmp_path):
    """The end the file gives holds: an hour after it nobody is left, and a reader refuses the file anyway."""
    document = json.loads(last.read_bytes())
    for candidate in document["tasks"]["sums"]["candidates"]:
        candidate["valid_until"] = document["generated_at"]
    write(last, document)
    assert offered(publish(forgotten(project), tmp_path / "new.json", previous=Previous(file=last))) == []


def write(path, document):
    """Write a file with the digest it must have."""
    payload = {name: value for name, value in document.items() if name not in {"digest", "signature"}}
    path.write_text(json.dumps({**payload, "digest": digest_of(payload)}))


def test_a_store_that_remembers_needs_no_file(project, last, tmp_path):
    """Two nights in the store say more than the file: a model they reject is not kept by it."""
    acting = ["weak/one", "weak/one"]
    edit(project.root / "roster.yaml", "steady/one", acting[0])
    weak = load_project(project.root)
    for _ in range(2):
        run(weak, RunOptions(is_new=True))
    assert offered(publish(weak, tmp_path / "new.json", previous=Previous(file=last))) == ["two"]


def test_a_tampered_file_is_refused(project, last, tmp_path):
    """As a reader would: digest, audience, signature, and a simulated file on a real gateway."""
    text = last.read_text()
    last.write_text(text.replace('"coverage":1', '"coverage":0', 1))
    with pytest.raises(RefusedError, match="tampered"):
        publish(forgotten(project), tmp_path / "new.json", previous=Previous(file=last))
    last.write_text(text)
    with pytest.raises(RefusedError, match="audience"):
        publish(forgotten(project, environment="other"), tmp_path / "new.json", previous=Previous(file=last))
    real = project.config.gateway.model_copy(update={"kind": "openai"})
    with pytest.raises(RefusedError, match="simulated"):
        publish(forgotten(project, gateway=real), tmp_path / "new.json", previous=Previous(file=last))


def test_a_project_that_signs_wants_a_signed_file(project, last, tmp_path, monkeypatch):
    """Its own key is enough to check with; another's is not."""
    pair, other = generate_keys(), generate_keys()
    signed = forgotten(project, signing=Signing(private_key_env="SIGNING", key_id="mine"))
    monkeypatch.setenv("SIGNING", pair.private)
    with pytest.raises(RefusedError, match="unsigned"):
        publish(signed, tmp_path / "new.json", previous=Previous(file=last))
    store = project.config.store
    whole = replace(signed, config=signed.config.model_copy(update={"store": store}))
    mine = publish(whole, tmp_path / "signed.json").path
    assert len(offered(publish(signed, tmp_path / "new.json", previous=Previous(file=mine)))) == 2
    monkeypatch.setenv("SIGNING", other.private)
    with pytest.raises(RefusedError, match="bad_signature"):
        publish(signed, tmp_path / "newer.json", previous=Previous(file=mine))
