"""`evalkit decide`: the store becomes a file, and nothing older or foreign takes its place."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from evalkit.api import deciding, measuring
from evalkit.clock import RehearsalClock
from evalkit.pipeline.publish import timestamp
from evalkit.router.signature import generate_keys


@pytest.fixture
def target(tmp_path):
    """Where the file goes."""
    return tmp_path / "out" / "eligibility.json"


def test_writes_the_file(evalkit, measured, target):
    """Each task says who may serve it; that it is simulated and unsigned is said too."""
    said = evalkit.on(measured)("decide", "-o", target)

    assert said.code == 0
    assert said.out.startswith(f"wrote SIMULATED {target} (unsigned, ")
    assert "greeting: alpha\n" in said.out
    assert json.loads(target.read_bytes())["audience"] == "test-env"


def test_json(evalkit, measured, target):
    """The document printed is the document written."""
    document = evalkit.on(measured)("decide", "-o", target, "--json").document

    assert document["document"] == json.loads(target.read_bytes())


def test_same_store_gives_the_same_bytes(evalkit, measured, target):
    """Deciding again changes nothing."""
    evalkit.on(measured)("decide", "-o", target)
    before = target.read_bytes()

    assert evalkit.on(measured)("decide", "-o", target).code == 0
    assert target.read_bytes() == before


def test_a_pipe_is_written_to(evalkit, measured):
    """`-o /dev/stdout | jq` waits for nothing and replaces nothing."""
    code = "from evalkit.cli.main import main; main()"
    command = [sys.executable, "-c", code, "decide", "--root", str(measured.root), "-o", "/dev/stdout"]
    said = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    assert json.loads(said.partition(b"\n")[0])["audience"] == "test-env"


def test_a_run_from_the_future_is_left_out(evalkit, measured, target, monkeypatch):
    """A file of its date would be believed one day, and keep every sound one out until then."""
    with monkeypatch.context() as patched:
        patched.setattr(measuring, "CLOCK", RehearsalClock(time.time() + 86_400))
        ahead = evalkit.on(measured)("run", "--new", "--json").document["run"]["run_id"]
    said = evalkit.on(measured)("decide", "-o", target)
    assert f"left out: run {ahead} is dated ahead" in said.out
    assert "greeting: alpha\n" in said.out
    assert json.loads(target.read_bytes())["generated_at"] <= timestamp(time.time())


def test_nothing_but_the_future(evalkit, measured, target, monkeypatch):
    """What is left says why it is nothing."""
    monkeypatch.setattr(deciding, "CLOCK", RehearsalClock(time.time() - 86_400))
    said = evalkit.on(measured)("decide", "-o", target)
    assert (said.code, "dated ahead of this clock" in said.err) == (2, True)


def test_a_file_from_the_future_is_replaced(evalkit, measured, target):
    """No router believes it yet; one that is only newer stays."""
    evalkit.on(measured)("decide", "-o", target)
    document = json.loads(target.read_bytes())
    for ahead_s, code in ((60, 2), (86_400, 0)):
        target.write_text(json.dumps(document | {"generated_at": timestamp(time.time() + ahead_s)}))
        assert evalkit.on(measured)("decide", "-o", target).code == code


def test_nothing_measured(evalkit, shop, target):
    """An empty store decides nothing and writes nothing."""
    said = evalkit.on(shop)("decide", "-o", target, "--json")

    assert said.code == 2
    assert said.error["problems"][0]["next_step"] == "evalkit run"
    assert not target.exists()


def test_task_without_candidate_is_undecided(evalkit, measured, target):
    """A task nobody may serve ends with 3, says so, and says why for each model."""
    measured.replace("suites/colour/suite.yaml", old="Which colour", new="What colour")

    said = evalkit.on(measured)("decide", "-o", target)

    assert said.code == 3
    assert "colour: nobody: the task is denied" in said.out
    assert "colour · alpha: not_measured" in said.out
    assert "greeting · beta" not in said.out


def test_older_never_replaces_newer(evalkit, measured, target):
    """A decision as of yesterday leaves today's file alone."""
    evalkit.on(measured)("decide", "-o", target)
    before = target.read_bytes()

    said = evalkit.on(measured)("decide", "-o", target, "--as-of", "2020-01-01T00:00:00Z", "--json")

    assert said.code == 2
    assert "the file there was generated at" in said.error["message"]
    assert target.read_bytes() == before


def test_as_of_decides_as_at_that_moment(evalkit, measured, target):
    """Before anything was measured nobody was eligible."""
    said = evalkit.on(measured)("decide", "-o", target, "--as-of", "2020-01-01T00:00:00Z")

    assert said.code == 3
    assert json.loads(target.read_bytes())["generated_at"] == "2020-01-01T00:00:00Z"


@pytest.mark.parametrize("moment", ["2999-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "yesterday", "2020-01-01"])
def test_impossible_moment(evalkit, measured, target, moment):
    """A file from the future would be refused by routers and could not be replaced for years."""
    assert evalkit.on(measured)("decide", "-o", target, "--as-of", moment).code == 2
    assert not target.exists()


def test_file_of_another_environment_is_kept(evalkit, measured, target):
    """Staging never writes over what production reads."""
    evalkit.on(measured)("decide", "-o", target)
    document = json.loads(target.read_bytes()) | {"audience": "prod", "generated_at": "2000-01-01T00:00:00Z"}
    target.write_text(json.dumps(document), encoding="utf-8")

    said = evalkit.on(measured)("decide", "-o", target)

    assert said.code == 2
    assert "is for 'prod', this one for 'test-env'" in said.err


@pytest.mark.parametrize("content", ["version: 1\n", "[1, 2]", '{"a": 1}', '{"generated_at": '])
def test_file_that_is_something_else_is_kept(evalkit, measured, target, content):
    """A slip of the pen does not cost a roster."""
    target.parent.mkdir()
    target.write_text(content, encoding="utf-8")

    said = evalkit.on(measured)("decide", "-o", target, "--json")

    assert said.code == 2
    assert said.error["problems"][0]["problem"] == "the file there is no eligibility file"
    assert target.read_text(encoding="utf-8") == content


def test_empty_file_is_replaced(evalkit, measured, target):
    """A file made by mktemp holds nothing to lose."""
    target.parent.mkdir()
    target.touch()

    assert evalkit.on(measured)("decide", "-o", target).code == 0


def test_folder_that_cannot_be_written(evalkit, measured, a_file):
    """What the system refuses is told with a next step."""
    said = evalkit.on(measured)("decide", "-o", a_file / "e.json")

    assert said.code == 2
    assert "cannot be written" in said.err


class TestSigning:
    """With `signing` in evalkit.yaml the file is signed, or not written."""

    @pytest.fixture(autouse=True)
    def _signed_project(self, measured):
        pytest.importorskip("cryptography")
        measured.replace(
            "evalkit.yaml", old="limits:", new="signing: {private_key_env: SHOP_KEY, key_id: shop-1}\nlimits:"
        )

    def test_signed_file_verifies(self, evalkit, measured, target, monkeypatch):
        """What decide signs, verify accepts with the public half, and nothing printed holds the private one."""
        keys = generate_keys()
        monkeypatch.setenv("SHOP_KEY", keys.private)

        said = evalkit.on(measured)("decide", "-o", target)

        assert said.code == 0
        assert "(signed, " in said.out
        assert keys.private not in said.out + said.err + target.read_text(encoding="utf-8")
        public = f"shop-1={keys.public}"
        assert evalkit("verify", target, "--allow-simulated", "--public-key", public).code == 0

    def test_key_missing(self, evalkit, measured, target):
        """Without the key there is no file, rather than an unsigned one."""
        said = evalkit.on(measured)("decide", "-o", target, "--json")

        assert said.code == 2
        assert said.error["problems"][0]["pointer"] == "/signing/private_key_env"
        assert not target.exists()

    @pytest.mark.parametrize("private", ["sk-9f3a", "c2stOWYzYQ==", "sk-9f3a\u20ac"])
    def test_key_that_is_none_is_not_shown(self, evalkit, measured, target, monkeypatch, private):
        """What stands in the variable is never repeated."""
        monkeypatch.setenv("SHOP_KEY", private)

        said = evalkit.on(measured)("decide", "-o", target)

        assert said.code == 2
        assert private not in said.out + said.err


def test_a_file_of_expired_candidates_is_no_success(evalkit, measured, target, monkeypatch):
    """Written, for it is what the store says; and said to be worth nothing to a router by now."""
    monkeypatch.setattr(deciding, "CLOCK", RehearsalClock(time.time() + 90 * 86_400))
    said = evalkit.on(measured)("decide", "-o", target)
    assert said.code == 3
    assert "all of it has expired, so a router takes none" in said.out
    assert json.loads(target.read_bytes())["tasks"]["greeting"]["candidates"]
