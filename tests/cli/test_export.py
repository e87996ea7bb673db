"""`evalkit export`: an eligibility file as another tool's configuration."""

from __future__ import annotations

import json

import pytest

from evalkit import plugins
from evalkit.canonical import digest_of
from evalkit.clock import SystemClock
from evalkit.router.signature import generate_keys, sign_document
from evalkit.testing.eligibility import an_eligibility

DAY_S = 86_400


@pytest.fixture
def write(tmp_path):
    """Write an eligibility file of now; `age_s` makes it older."""

    def write(tasks, *, age_s=0, **differing):
        path = tmp_path / "file.json"
        made = an_eligibility(tasks, now=SystemClock().now() - age_s, **differing)
        path.write_text(json.dumps(made.document()), encoding="utf-8")
        return path

    return write


@pytest.fixture
def on(evalkit, tmp_path):
    """Export, or `--diff`, to one folder as JSON."""

    def on(target, file, *options):
        return evalkit("export", target, file, "-o", tmp_path / "out", "--json", *options).document

    return on


def test_writes_the_files(evalkit, eligibility, tmp_path):
    """Every file written is named, as it was asked for."""
    said = evalkit("export", "allowlist", eligibility, "-o", tmp_path / "out")

    assert said.code == 0
    names = ("allowlist.json", "allowlist.csv", ".evalkit-export-allowlist.json")
    assert said.out.splitlines() == [f"wrote {tmp_path / 'out' / name}" for name in names]
    assert json.loads((tmp_path / "out" / "allowlist.json").read_bytes())["simulated"] is True


def test_json(evalkit, eligibility, tmp_path):
    """The written files as one document."""
    document = evalkit("export", "allowlist", eligibility, "-o", tmp_path / "out", "--json").document

    assert len(document["written"]) == 3
    assert document["removed"] == document["kept"] == document["expired"] == []


def test_unknown_target(evalkit, eligibility, tmp_path):
    """A target nobody installed is refused, with those there are."""
    said = evalkit("export", "nosuch", eligibility, "-o", tmp_path / "out", "--json")

    assert said.code == 2
    assert said.error["problems"][0]["problem"] == "no exporter named 'nosuch' is installed"
    assert "allowlist" in said.error["problems"][0]["next_step"]


def test_missing_file(evalkit, tmp_path, a_file):
    """A file that is not there is the caller's mistake."""
    for path in (tmp_path / "nosuch.json", a_file / "below.json"):
        said = evalkit("export", "allowlist", path, "-o", tmp_path / "out", "--json")

        assert said.code == 2
        assert said.error["kind"] == "NotFoundError"


def test_tampered_file(evalkit, eligibility, tmp_path):
    """What a router would refuse is not exported, and nothing is written."""
    eligibility.write_text(eligibility.read_text(encoding="utf-8").replace("alpha", "gamma"), encoding="utf-8")

    said = evalkit("export", "allowlist", eligibility, "-o", tmp_path / "out", "--json")

    assert said.code == 1
    assert said.error["code"] == "tampered"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}"])
def test_file_that_is_none(evalkit, tmp_path, content):
    """Something else under the right name is refused."""
    (tmp_path / "e.json").write_bytes(content)

    assert evalkit("export", "allowlist", tmp_path / "e.json", "-o", tmp_path / "out").code == 1


def test_shape_of_something_else(evalkit, eligibility, tmp_path):
    """A model without a provider, under a digest somebody computed, is refused where it is missing."""
    document = json.loads(eligibility.read_bytes())
    del document["models"]["alpha"]["provider"]
    del document["digest"]
    eligibility.write_text(json.dumps({**document, "digest": digest_of(document)}), encoding="utf-8")

    said = evalkit("export", "allowlist", eligibility, "-o", tmp_path / "out", "--json")

    assert said.code == 1
    assert said.error["code"] == "malformed"
    assert "models/alpha/provider" in said.error["message"]


def test_folder_that_cannot_be_written(evalkit, eligibility, a_file):
    """What the system refuses is told with a next step."""
    said = evalkit("export", "allowlist", eligibility, "-o", a_file / "out")

    assert said.code == 2
    assert "cannot be written" in said.err


def test_expired_candidates_are_left_out(evalkit, write, on, tmp_path):
    """As the reader would: with its tolerance, and each by its own end; they are named."""
    ends = {"old": {"valid_until": "2020-01-01T00:00:00Z"}}
    file = write({"qa": ["old", "new"], "sums": ["old"]}, candidates=ends, entries={"qa": {"pin": "old"}})

    found = on("allowlist", file)["expired"]

    assert found == [{"task": name, "model": "old", "valid_until": "2020-01-01T00:00:00Z"} for name in ("qa", "sums")]
    tasks = json.loads((tmp_path / "out" / "allowlist.json").read_bytes())["tasks"]
    assert {name: [row["model"] for row in rows] for name, rows in tasks.items()} == {"qa": ["new"], "sums": []}
    said = evalkit("export", "allowlist", file, "-o", tmp_path / "out")
    assert said.code == 0
    assert said.err.splitlines()[0] == "left out: old of task qa expired at 2020-01-01T00:00:00Z"


@pytest.mark.parametrize(("age_s", "is_left_out"), [(DAY_S + 60, False), (DAY_S + 200, True)])
def test_clocks_may_differ(write, on, age_s, is_left_out):
    """Two minutes, as for a router."""
    assert bool(on("allowlist", write({"qa": ["a"]}, age_s=age_s))["expired"]) is is_left_out


def test_a_pin_may_outlive_its_evidence(write, on):
    """Where the task says so, as for a router."""
    entries = {"qa": {"pin": "a", "on_expiry": "pin_only"}}
    document = on("allowlist", write({"qa": ["a", "b"]}, entries=entries, age_s=2 * DAY_S))

    assert [one["model"] for one in document["expired"]] == ["b"]


def test_diff_of_a_new_folder(write, on, tmp_path):
    """Everything is new, everybody gains, and nothing is written."""
    found = on("litellm", write({"qa": ["a", "b"], "closed": []}), "--diff")

    assert found["changed"] is True
    assert {file["change"] for file in found["files"]} == {"added"}
    assert found["tasks"] == [{"task": "qa", "before": [], "after": ["a", "b"]}]
    assert not (tmp_path / "out").exists()


def test_diff_of_the_same(evalkit, write, on, tmp_path):
    """Nothing to do, and said so."""
    file = write({"qa": ["a"]})
    on("litellm", file)

    assert on("litellm", file, "--diff") == {"changed": False, "files": [], "tasks": [], "expired": []}
    assert evalkit("export", "litellm", file, "-o", tmp_path / "out", "--diff").out == "no change\n"


def test_diff_names_who_gains_and_loses(evalkit, write, on, tmp_path):
    """By task, in a line; then by file, as a unified diff. Exit 0."""
    on("litellm", write({"qa": ["a", "b"], "sums": ["a", "b"], "gone": ["a"]}))
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}

    said = evalkit("export", "litellm", write({"qa": ["b", "c"], "sums": ["b", "a"]}), "-o", tmp_path / "out", "--diff")

    assert said.code == 0
    assert said.out.splitlines()[:4] == [
        "gone: -a, now nobody",
        "qa: +c -a, now b, c",
        "sums: in another order, now b, a",
        "changed: litellm/config.yaml",
    ]
    assert "-    evalkit_model: a" in said.out
    assert {path: path.read_bytes() for path in before} == before


def test_a_file_changed_by_hand_is_not_shown(write, on, tmp_path):
    """It may hold a key; an export replaces it all the same."""
    on("litellm", write({"qa": ["a"]}))
    config = tmp_path / "out" / "litellm" / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8") + "# sk-secret\n", encoding="utf-8")
    file = write({"qa": ["b"]})

    found = on("litellm", file, "--diff")
    assert {file["path"]: (file["change"], file["diff"]) for file in found["files"]}["litellm/config.yaml"] == (
        "changed_by_hand",
        None,
    )
    assert "sk-secret" not in json.dumps(found)
    on("litellm", file)
    assert "sk-secret" not in config.read_text(encoding="utf-8")


class _PerTask:
    """Writes one file a task."""

    def export(self, document):
        """Yield them."""
        for name, task in document["tasks"].items():
            if task["candidates"]:
                yield f"per-task/{name}.txt", b"hello\n"


@pytest.fixture
def per_task(monkeypatch):
    """A target with one file a task, as installed by somebody."""

    class Point:
        value = "outside:build"

        def load(self):
            return _PerTask

    monkeypatch.setattr(plugins, "_group", lambda group: {"per-task": Point()})
    return "per-task"


def test_a_task_that_vanished_leaves_no_file(per_task, write, on, tmp_path):
    """What an earlier export wrote goes; other files in the folder stay, and so does what a person changed."""
    on(per_task, write({"qa": ["a"], "gone": ["a"], "edited": ["a"]}))
    folder = tmp_path / "out" / "per-task"
    (folder / "edited.txt").write_text("mine", encoding="utf-8")
    (folder / "other.txt").write_text("not ours", encoding="utf-8")
    file = write({"qa": ["a"], "gone": []})

    found = {one["path"]: one["change"] for one in on(per_task, file, "--diff")["files"]}
    assert found == {"per-task/gone.txt": "removed", "per-task/edited.txt": "kept"}
    assert (folder / "gone.txt").exists()

    document = on(per_task, file)
    assert document["removed"] == [str(folder / "gone.txt")]
    assert document["kept"] == [str(folder / "edited.txt")]
    assert sorted(path.name for path in folder.iterdir()) == ["edited.txt", "other.txt", "qa.txt"]


@pytest.mark.parametrize(
    "record",
    [
        "not json",
        "[]",
        '{"format": "other"}',
        '{"format": "evalkit.export/1", "files": [], "tasks": {}}',
        '{"format": "evalkit.export/1", "files": {}, "tasks": {"qa": "a"}}',
        '{"format": "evalkit.export/1", "files": {}, "tasks": {"qa": [1]}}',
        '{"format": "evalkit.export/1", "files": {"TOO_LONG": "x", "nul\\u0000": "x"}, "tasks": {}}',
        '{"format": "evalkit.export/1", "files": {"../precious": "PRECIOUS", "/precious": "x"}, "tasks": {}}',
    ],
)
def test_a_strange_record_removes_nothing(write, on, tmp_path, record):
    """The record lies in a folder others may write to: it is checked, and never leads outside."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"")
    (tmp_path / "out").mkdir()
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    path = tmp_path / "out" / ".evalkit-export-allowlist.json"
    path.write_text(record.replace("PRECIOUS", digest).replace("TOO_LONG", "x" * 300), encoding="utf-8")

    assert on("allowlist", write({"qa": ["a"]}))["removed"] == []
    assert precious.exists()
    assert json.loads(path.read_bytes())["tasks"] == {"qa": ["a"]}


def test_a_link_out_of_the_folder(write, on, tmp_path):
    """Nothing is written, shown or removed beyond it, not even by a record that names the very file."""
    file = write({"qa": ["a"]})
    on("litellm", file)
    (tmp_path / "out" / "litellm").rename(tmp_path / "elsewhere")
    (tmp_path / "out" / "litellm").symlink_to(tmp_path / "elsewhere")
    before = {path: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()}
    (tmp_path / "out" / ".evalkit-export-litellm.json").rename(tmp_path / "out" / ".evalkit-export-allowlist.json")

    for more in ([], ["--diff"]):
        problem = on("litellm", write({"qa": ["b"]}), *more)["error"]["problems"][0]["problem"]
        assert "a link on the way to it leads out of" in problem
    assert on("allowlist", file)["removed"] == []
    assert {path: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()} == before


def test_an_export_that_was_interrupted_is_finished_by_the_next(write, on, tmp_path):
    """Files of two exports may lie there: `--diff` names those that are still the older ones."""
    before, after = write({"qa": ["a"]}).read_bytes(), write({"qa": ["b"]}).read_bytes()
    file, folder = tmp_path / "file.json", tmp_path / "out" / "litellm"
    file.write_bytes(after)
    on("litellm", file)
    newer = (folder / "config.yaml").read_bytes()
    file.write_bytes(before)
    on("litellm", file)
    (folder / "config.yaml").write_bytes(newer)
    file.write_bytes(after)

    found = {one["path"]: one["change"] for one in on("litellm", file, "--diff")["files"]}
    assert found == {"litellm/litellm.env.example": "changed", "litellm/notes.txt": "changed"}
    on("litellm", file)
    assert on("litellm", file, "--diff")["changed"] is False


def test_a_folder_in_the_way(write, on, tmp_path):
    """What cannot be read is told with a next step, before anything is written."""
    (tmp_path / "out" / "allowlist.json").mkdir(parents=True)

    error = on("allowlist", write({"qa": ["a"]}), "--diff")["error"]
    assert "cannot be read" in error["problems"][0]["problem"]


def test_another_audience(write, on, tmp_path):
    """A file for somebody else is not exported when the caller says who it is for."""
    assert on("allowlist", write({"qa": ["a"]}), "--audience", "staging")["error"]["code"] == "wrong_audience"
    assert not (tmp_path / "out").exists()


def test_signatures_are_checked_when_keys_are_given(write, on, tmp_path):
    """Unsigned or by somebody else: refused; by the key: exported."""
    pytest.importorskip("cryptography")
    keys, other = generate_keys(), generate_keys()
    file = write({"qa": ["a"]})
    assert on("allowlist", file, "--public-key", f"team={keys.public}")["error"]["code"] == "unsigned"

    document = json.loads(file.read_bytes())
    signed = sign_document(document, private=keys.private, key_id="team")
    file.write_text(json.dumps(signed), encoding="utf-8")

    assert on("allowlist", file, "--public-key", f"team={other.public}")["error"]["code"] == "bad_signature"
    assert on("allowlist", file, "--public-key", f"team={keys.public}")["written"]


def test_what_a_target_cannot_express(write, on, tmp_path):
    """The model and the task are named, and nothing is written."""
    file = write({"qa": ["a"]}, models={"a": {"provider": None}})

    error = on("litellm", file)["error"]
    assert "model 'a', task 'qa', names no provider" in error["problems"][0]["problem"]
    assert not (tmp_path / "out").exists()
