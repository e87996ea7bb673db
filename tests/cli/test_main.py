"""The front: what every command has in common when it is asked, refused, broken or interrupted."""

from __future__ import annotations

import ast
import errno
import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from evalkit.cli._errors import show_error
from evalkit.cli.main import COMMANDS, cli
from evalkit.errors import InputError, Place, RefusedError, StoreError

FULL = Path("/dev/full")
GOLDEN = Path(__file__).parents[1] / "golden" / "help"
COMMAND = [sys.executable, "-c", "from evalkit.cli.main import main; main()"]
SHOWN = ["evalkit", *COMMANDS, "import responses", "judge check"]


@pytest.mark.parametrize("name", SHOWN)
def test_help_is_as_reviewed(evalkit, update_golden, name, monkeypatch):
    """The help of each command, in a terminal of 110 columns."""
    monkeypatch.setenv("COLUMNS", "110")
    said = evalkit(*[word for word in name.split() if word != "evalkit"], "--help")

    assert said.code == 0
    path = GOLDEN / f"{name.replace(' ', '-')}.txt"
    if update_golden:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(said.out, encoding="utf-8")
    assert path.exists(), f"{path} is missing; run with --update-golden and review it"
    assert said.out == path.read_text(encoding="utf-8")


def test_every_golden_belongs_to_a_command():
    """A command that goes takes its help with it."""
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {name.replace(" ", "-") for name in SHOWN}


@pytest.mark.parametrize("name", COMMANDS)
def test_short_help_agrees_with_the_command(name):
    """A command has help of its own beside the line in the list, and a test module."""
    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    assert command.name == name
    assert command.help
    assert (Path(__file__).parent / f"test_{name.replace('-', '_')}.py").is_file()


def test_version(evalkit):
    """--version names the installed version."""
    said = evalkit("--version")

    assert said.code == 0
    assert said.out == f"evalkit, version {version('gateway-evalkit')}\n"


def test_nothing_asked(evalkit):
    """Without a command the help is shown, as a usage error."""
    said = evalkit()

    assert said.code == 2
    assert said.out == ""
    assert "Commands:" in said.err


@pytest.mark.parametrize("arguments", [["frobnicate"], ["plan", "--frobnicate"], ["--frobnicate"], ["verify"]])
def test_usage_error(evalkit, arguments):
    """Exit code 2, the usage and the problem on stderr; with --json one document on stdout."""
    said = evalkit(*arguments)
    as_json = evalkit(*arguments, "--json")

    assert said.code == as_json.code == 2
    assert said.out == ""
    assert said.err.startswith("Usage: evalkit")
    assert as_json.error["exit_code"] == 2
    assert as_json.error["message"] in as_json.err


class TestShowError:
    """Each kind of error, as text and as JSON."""

    @pytest.mark.parametrize(
        ("error", "code", "kind"),
        [
            (InputError("bad"), 2, "InputError"),
            (RefusedError("expired", "it is"), 1, "RefusedError"),
            (StoreError("broken"), 70, "StoreError"),
            (click.UsageError("what?"), 2, "UsageError"),
            (click.Abort(), 130, "Interrupted"),
            (KeyboardInterrupt(), 130, "Interrupted"),
            (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 2, "SystemRefused"),
            (ValueError("ours"), 70, "Bug"),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
    )
    def test_exit_code_and_document(self, capsys, error, code, kind):
        """The code of docs/reference/errors.md, and the same in the document."""
        assert show_error(error, as_json=True) == code

        document = json.loads(capsys.readouterr().out)["error"]
        assert (document["kind"], document["exit_code"]) == (kind, code)

    def test_problems_for_machines(self, capsys):
        """Place and next step need not be cut out of the message."""
        place = Place(file="a.yaml", line=3, pointer="/x")
        show_error(InputError("bad", place=place, next_step="mend it"), as_json=True)

        assert json.loads(capsys.readouterr().out)["error"]["problems"] == [
            {"file": "a.yaml", "line": 3, "pointer": "/x", "problem": "bad", "next_step": "mend it"}
        ]

    def test_only_a_bug_shows_a_traceback(self, capsys):
        """What a person can mend comes without our insides."""
        for error in (InputError("bad"), OSError(errno.EACCES, "Permission denied", "/x"), KeyboardInterrupt()):
            show_error(error, as_json=False)
        assert "Traceback" not in (shown := capsys.readouterr()).err
        assert shown.out == ""

        show_error(RuntimeError("ours"), as_json=False)
        assert "Traceback" not in (shown := capsys.readouterr()).out
        assert "RuntimeError: ours" in shown.err

    @pytest.mark.parametrize("kind", [ValueError, InputError, OSError])
    def test_hostile_message_is_neutralised(self, capsys, kind):
        """Whatever a message quotes, no control or bidi character of it reaches the terminal."""
        show_error(kind("\x1b[2J\x9b\u202e\r\x07 \ud800"), as_json=True)

        shown = capsys.readouterr()
        assert not {"\x1b", "\x9b", "\u202e", "\r", "\x07", "\ud800"} & set(shown.out + shown.err)


class TestProcess:
    """What only a real process shows."""

    def test_reader_that_goes_away(self, shop):
        """`evalkit plan --json | head -1` ends without a word on stderr."""
        process = subprocess.Popen(
            [*COMMAND, "plan", "--json", "--root", str(shop.root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        process.stdout.close()

        assert process.stderr.read() == b""
        process.stderr.close()
        process.wait(timeout=60)

    @pytest.mark.parametrize("more", [[], ["--json"]])
    @pytest.mark.parametrize("stream", ["stdout", "stderr"])
    @pytest.mark.parametrize(("command", "code"), [("plan", 0), ("compare", 2)])
    def test_exit_code_when_the_reader_goes_away(self, shop, command, code, stream, more):
        """The command's own: 1 would say that something got worse."""
        reader, writer = os.pipe()
        os.close(reader)
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: writer}
        done = subprocess.run([*COMMAND, command, "--root", str(shop.root), *more], check=False, **streams)
        os.close(writer)

        assert done.returncode == code

    def test_closed_stdout(self, shop):
        """`evalkit plan >&-` writes nowhere, which is no failure."""
        shell = ["sh", "-c", '"$@" >&-', "sh", *COMMAND, "plan", "--root", str(shop.root)]
        done = subprocess.run(shell, check=False, stderr=subprocess.PIPE, text=True)

        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
    @pytest.mark.parametrize("more", [[], ["--json"]])
    def test_full_disk(self, shop, more):
        """Output that cannot be written is a failure, told on stderr without a traceback."""
        command = [*COMMAND, "runs", "--root", str(shop.root), *more]
        with FULL.open("w", encoding="ascii") as full:
            done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)

        assert done.returncode == 2
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr

    def test_output_that_knows_no_unicode(self, measured):
        """An ASCII stdout gets escapes instead of a crash."""
        done = subprocess.run(
            [*COMMAND, "run", "--root", str(measured.root), "--new", "--progress", "quiet"],
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
            check=False,
            capture_output=True,
            text=True,
        )

        assert done.returncode == 0
        assert "\\u2713 eligible" in done.stdout

    def test_interrupted_run_is_resumed(self, shop):
        """Ctrl-C ends with 130 and keeps what came back; the same command goes on with the same run."""
        shop.replace("evalkit.yaml", old="time_scale: 0", new="time_scale: 1")
        command = [*COMMAND, "run", "--root", str(shop.root)]
        process = subprocess.Popen(
            [*command, "--progress", "plain"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started = process.stderr.readline()
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (130, "")
        assert "interrupted; every answer that came back is kept" in err
        assert "Traceback" not in err

        shop.replace("evalkit.yaml", old="time_scale: 1", new="time_scale: 0")
        document = json.loads(subprocess.run([*command, "--json"], check=True, capture_output=True).stdout)

        assert document["run"]["run_id"] in started
        assert document["run"]["status"] == "finished"

    def test_interrupted_with_json_is_one_document(self, shop):
        """A script that was interrupted can still read what it was told."""
        shop.replace("evalkit.yaml", old="time_scale: 0", new="time_scale: 1")
        process = subprocess.Popen(
            [*COMMAND, "run", "--json", "--root", str(shop.root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        while not shop.path(".evalkit/evalkit.db").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)

        assert process.returncode == 130
        assert json.loads(out)["error"]["kind"] == "Interrupted"


HEAVY = ("numpy", "scipy", "pandas", "aiohttp", "httpx", "jinja2", "jsonschema", "rich", "sqlalchemy", "pydantic")


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["init", "OUT/new"], set()),
        (["keygen", "-o", "OUT/key"], set()),
        (["verify", "FILE", "--allow-simulated"], set()),
        (["export", "allowlist", "FILE", "-o", "OUT/x"], {"pydantic"}),
        (["runs", "--root", "ROOT"], {"pydantic", "sqlalchemy"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_light_commands_load_little(evalkit, eligibility, measured, tmp_path, arguments, needed):
    """What runs in deployment scripts and on gateway hosts does not pay for statistics or a network client."""
    del evalkit
    places = {"OUT": str(tmp_path / "out"), "FILE": str(eligibility), "ROOT": str(measured.root)}
    given = [next((a.replace(k, v) for k, v in places.items() if a.startswith(k)), a) for a in arguments]
    code = (
        "import sys; from evalkit.cli.main import _run\n"
        f"code = _run({given!r})\n"
        f"print([code, [name for name in {HEAVY} if name in sys.modules]])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    code, loaded = ast.literal_eval(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    assert set(loaded) <= needed
