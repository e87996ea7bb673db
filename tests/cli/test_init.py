"""`evalkit init`: writes a project that works, over nothing that is there."""

from __future__ import annotations

import json

from evalkit.loading.project import load_project


def test_writes_a_project_that_is_usable(evalkit, tmp_path):
    """What init writes passes validate as it is."""
    said = evalkit("init", tmp_path / "new")

    assert said.code == 0
    assert said.out.endswith(f"next: evalkit run --root {tmp_path / 'new'}\n")
    assert evalkit("validate", "--root", tmp_path / "new").code == 0


def test_next_step_can_be_pasted(evalkit, tmp_path):
    """A folder with a space is quoted in the command to type next."""
    assert f"--root '{tmp_path / 'my shop'}'" in evalkit("init", tmp_path / "my shop").out


def test_json_lists_the_files(evalkit, tmp_path):
    """The one document names the folder and every file written."""
    document = evalkit("init", tmp_path / "new", "--json").document

    assert document["folder"] == str(tmp_path / "new")
    assert "evalkit.yaml" in document["written"]
    assert all((tmp_path / "new" / name).is_file() for name in document["written"])


def test_second_time_writes_nothing(evalkit, tmp_path):
    """What a person has changed is not written over; exit code 2 names the file and the way out."""
    evalkit("init", tmp_path)
    (tmp_path / "roster.yaml").write_text("mine", encoding="utf-8")

    said = evalkit("init", tmp_path, "--json")

    assert said.code == 2
    assert said.error["problems"][0]["file"] == str(tmp_path / "evalkit.yaml")
    assert "--force" in said.error["problems"][0]["next_step"]
    assert (tmp_path / "roster.yaml").read_text(encoding="utf-8") == "mine"


def test_force_writes_over(evalkit, tmp_path):
    """--force brings the starter project back."""
    evalkit("init", tmp_path)
    (tmp_path / "roster.yaml").write_text("mine", encoding="utf-8")

    assert evalkit("init", tmp_path, "--force").code == 0
    assert "models:" in (tmp_path / "roster.yaml").read_text(encoding="utf-8")


def test_a_dangling_link_is_in_the_way(evalkit, tmp_path):
    """Nothing is written through a link that happens to stand where a file goes."""
    (tmp_path / "roster.yaml").symlink_to(tmp_path / "elsewhere")

    assert evalkit("init", tmp_path).code == 2
    assert not (tmp_path / "elsewhere").exists()


def test_folder_that_is_a_file(evalkit, a_file):
    """A file where the folder should be is a usage error."""
    assert evalkit("init", a_file).code == 2


def test_folder_that_cannot_be_made(evalkit, a_file):
    """What the system refuses is told with the file and a next step, not with a traceback."""
    said = evalkit("init", a_file / "below")

    assert said.code == 2
    assert "cannot be written: a folder on the way to it is a file" in said.err
    assert "  next: " in said.err


def test_starter_project_is_simulated(evalkit, tmp_path):
    """The first run of a newcomer costs nothing and says it is simulated."""
    evalkit("init", tmp_path)

    document = json.loads(json.dumps(evalkit("plan", "--json", "--root", tmp_path).document))

    assert document["calls"] > 0
    assert "kind: simulator" in (tmp_path / "evalkit.yaml").read_text(encoding="utf-8")


def test_suites_are_added_by_name_with_their_tasks(evalkit, tmp_path):
    """Three suites without the option; a named one comes with its task, and the project is usable as it is."""
    assert evalkit("init", tmp_path / "plain").code == 0
    assert evalkit("init", tmp_path / "more", "--suites", "refusal", "--suites", "tool-calling").code == 0

    plain = evalkit("validate", "--json", "--root", tmp_path / "plain").document["suites"]
    more = evalkit("validate", "--json", "--root", tmp_path / "more").document["suites"]
    assert sorted(plain) == ["invoice-extraction", "policy-qa", "ticket-triage"]
    assert set(more) - set(plain) == {"refusal", "tool-calling"}
    policy = (tmp_path / "more" / "policy.yaml").read_text(encoding="utf-8")
    assert policy.endswith("  refusal:\n    max_candidates: 3\n  tool-calling:\n    max_candidates: 3\n")


def test_all_means_every_suite(evalkit, tmp_path):
    """Nine of them, and the plan fits into the starter project's budget."""
    assert evalkit("init", tmp_path, "--suites", "all").code == 0

    document = evalkit("plan", "--json", "--root", tmp_path).document
    assert evalkit("validate", "--root", tmp_path).code == 0
    most = sum(cell["usd_at_most"] or 0 for cell in document["cells"])
    assert most <= load_project(tmp_path, now=0).config.limits.budget_usd


def test_unknown_suite_is_refused_with_the_names_there_are(evalkit, tmp_path):
    """Nothing is written."""
    said = evalkit("init", tmp_path / "new", "--suites", "tool-caling")

    assert said.code == 2
    assert "tool-caling" in said.err
    assert "tool-calling" in said.err
    assert not (tmp_path / "new").exists()
