"""The trust boundaries of docs/explanation/security.md, each crossed from outside through the public commands."""

from __future__ import annotations

import csv
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from torture.chaos import write_project
from torture.fault_server import HOSTILE

from evalkit.cli._output import clean

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "security.md"
SECRET = "canary-0123456789abcdef"


def evalkit(root, *arguments, **environ):
    """Run a command on a project, and hold that it is no bug of ours."""
    command = [sys.executable, "-c", "from evalkit.cli.main import main; main()", *arguments]
    env = {**os.environ, "EVALKIT_ROOT": str(root), **environ}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, fault_port):
    """Return a project whose models answered every question with hostile text, and what was printed meanwhile."""
    root = tmp_path_factory.mktemp("hostile") / "project"
    write_project(root, n_cases=15, gateway={"base_url": f"http://127.0.0.1:{fault_port}/hostile/100/1/v1"})
    said = [
        evalkit(root, *arguments)
        for arguments in (
            ("run", "--fail-on", "never"),
            ("report", "--format", "html", "--format", "markdown", "--format", "csv", "--format", "junit"),
            ("decide", "-o", str(root / "eligibility.json")),
        )
    ]
    return root, "".join(done.stdout + done.stderr for done in said)


def written(root, ending):
    """Return the text of every report file with an ending."""
    files = sorted((root / "reports").rglob(f"*{ending}"))
    assert files, ending
    return [path.read_bytes().decode() for path in files]


def test_an_answer_is_text_in_html(hostile):
    """No tag, no handler and no address of an answer becomes part of a page."""
    root, _ = hostile
    pages = "".join(written(root, ".html"))
    for name, _value in re.findall(r"\s(on[a-z]+)=(\S+)", re.sub(r">[^<]*<", "><", pages)):
        pytest.fail(f"a handler {name}")
    assert "<script>alert" not in pages
    assert "<img src=x" not in pages
    assert not re.search(r'href="(?:javascript|data):', pages)


def test_an_answer_is_no_formula_in_csv(hostile):
    """No cell begins as a spreadsheet's formula does, unless it is a number."""
    root, _ = hostile
    cells = [cell for text in written(root, ".csv") for row in csv.reader(text.splitlines()) for cell in row]
    risky = [cell for cell in cells if cell[:1] in {"=", "+", "-", "@", "\t", "\r"}]
    assert [cell for cell in risky if not re.fullmatch(r"-[0-9.]+(?:e-?[0-9]+)?", cell)] == []


def test_an_answer_moves_no_cursor(hostile):
    """No control character of an answer reaches a terminal or a report that is read in one."""
    root, said = hostile
    for text in (said, *written(root, ".md"), *written(root, ".xml")):
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x9b]", text)
    assert "\x1b" not in clean(HOSTILE)


def test_no_name_leads_out_of_a_folder(tmp_path):
    """Model and case ids, tasks and suites named like paths are refused, or write nothing elsewhere."""
    root = write_project(tmp_path / "project", n_cases=15)
    name = "../../../escaped"
    for file, keys in (("roster.yaml", ("models", 0, "id")), ("suites/sums/suite.yaml", ("cases", 0, "id")),
                       ("suites/sums/suite.yaml", ("name",)), ("suites/sums/suite.yaml", ("task",))):  # fmt: skip
        path = root / file
        before = path.read_text(encoding="utf-8")
        whole = inner = json.loads(before)
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = name
        path.write_text(json.dumps(whole), encoding="utf-8")
        checked = evalkit(root, "validate")
        if checked.returncode == 0:
            evalkit(root, "run", "--fail-on", "never")
            evalkit(root, "report", "--format", "html", "--format", "csv", "--format", "markdown")
        path.write_text(before, encoding="utf-8")
        outside = [found for found in tmp_path.rglob("*escaped*") if not found.is_relative_to(root)]
        assert outside == []
    assert not (tmp_path.parent / "escaped").exists()


SUITES = {
    "alias bomb": lambda suite: (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{y}: &{y} [{','.join([f'*{x}'] * 9)}]\n" for x, y in zip("abcdefgh", "bcdefghi", strict=True))
    ),
    "python object": lambda suite: "version: !!python/object/apply:os.system ['touch escaped']\n",
    "a file outside": lambda suite: json.dumps(suite | {"request": {"prompt": "file:../../../secret.txt"}}),
    "cases outside": lambda suite: json.dumps(suite | {"cases": "../../../secret.txt"}),
    "a base outside": lambda suite: json.dumps({"extends": "../../../secret.txt", **suite}),
    "an include": lambda suite: json.dumps(suite | {"request": {"prompt": "{% include 'secret.txt' %}{{ a }}"}}),
    "a class": lambda suite: json.dumps(suite | {"request": {"prompt": "{{ a.__class__.__mro__ }}"}}),
    "a hang": lambda suite: json.dumps(
        suite
        | {"request": {"prompt": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"}}
    ),
    "a width": lambda suite: json.dumps(suite | {"request": {"prompt": "{{ '%900000000d' % a }}"}}),
    "a slow pattern": lambda suite: json.dumps(
        suite | {"request": suite["request"] | {"response": {"schema": {"type": "string", "pattern": "^(a|aa)+$"}}}}
    ),
}


@pytest.mark.parametrize("name", SUITES)
def test_a_hostile_suite_file_is_refused(tmp_path, name):
    """Exit 2 with the place, in bounded time; nothing is run, read outside or fetched."""
    root = write_project(tmp_path / "project", n_cases=15)
    (tmp_path / "secret.txt").write_text(SECRET, encoding="utf-8")
    path = root / "suites" / "sums" / "suite.yaml"
    path.write_text(SUITES[name](json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    done = evalkit(root, "plan")
    assert done.returncode == 2, done.stderr
    assert "sums" in done.stderr
    assert SECRET not in done.stderr + done.stdout
    assert not list(tmp_path.rglob("escaped"))


class Listener:
    """A server that only remembers whether anybody came."""

    def __init__(self) -> None:
        self.heads = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                self.heads.append(connection.recv(65536))


def test_nothing_is_fetched_and_no_key_goes_elsewhere(tmp_path, fault_port):
    """A remote `$ref` is refused unfetched; a redirect elsewhere is an answer, and nobody there hears of it."""
    listener = Listener()
    root = write_project(tmp_path / "project", n_cases=15)
    path = root / "suites" / "sums" / "suite.yaml"
    suite = json.loads(path.read_text(encoding="utf-8"))
    remote = suite["request"] | {"response": {"schema": {"$ref": f"{listener.url}/schema.json"}}}
    path.write_text(json.dumps(suite | {"request": remote}), encoding="utf-8")
    assert evalkit(root, "plan").returncode == 2
    path.write_text(json.dumps(suite), encoding="utf-8")
    port = listener.url.rpartition(":")[2]
    config = json.loads((root / "evalkit.yaml").read_text(encoding="utf-8"))
    config["gateway"] |= {
        "base_url": f"http://127.0.0.1:{fault_port}/away-{port}/100/1/v1",
        "api_key_env": "KEY_IN_USE",
    }
    (root / "evalkit.yaml").write_text(json.dumps(config), encoding="utf-8")
    done = evalkit(root, "run", KEY_IN_USE=SECRET)
    assert done.returncode == 4, done.stderr
    assert SECRET not in done.stderr
    listener.socket.close()
    assert listener.heads == []


def test_an_eligibility_file_is_held_to_its_promises(tmp_path, hostile):
    """Changed, cut, for somebody else, or unsigned where a signature is asked for: refused with the reason."""
    root, _ = hostile
    file = root / "eligibility.json"
    whole = file.read_text(encoding="utf-8")
    odd = tmp_path / "eligibility.json"
    for content, reason in (
        (whole.replace('"deny"', '"allow"', 1), "tampered"),
        (whole[: len(whole) // 2], "truncated"),
        ("{}", "unknown_format"),
    ):
        odd.write_text(content, encoding="utf-8")
        done = evalkit(root, "verify", str(odd))
        assert (done.returncode, reason in done.stderr + done.stdout) == (1, True), done.stderr
    assert "wrong_audience" in evalkit(root, "verify", str(file), "--audience", "elsewhere").stderr


def test_the_page_names_tests_that_exist():
    """Each boundary of the page points at the tests that cross it."""
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 15
    root = Path(__file__).parents[2]
    for file, test in named:
        assert (root / file).is_file(), file
        assert not test or f"def {test}(" in (root / file).read_text(encoding="utf-8"), (file, test)


def test_a_listener_would_notice():
    """The witness of the redirect test is tested too."""
    listener = Listener()
    with socket.create_connection(("127.0.0.1", int(listener.url.rpartition(":")[2]))) as caller:
        caller.sendall(b"hello")
    until = time.monotonic() + 10
    while not listener.heads and time.monotonic() < until:
        time.sleep(0.01)
    assert listener.heads == [b"hello"]
    listener.socket.close()
