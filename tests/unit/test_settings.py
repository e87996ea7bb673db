"""Settings: what wins over what, and secrets that never show."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.project import ProjectConfig
from evalkit.domain.roster import KeySource
from evalkit.errors import InputError, Place
from evalkit.settings import (
    REHEARSAL_NOW,
    SETTINGS,
    expand_headers,
    locate_project,
    read_environment,
    rehearsal_now,
    resolve_settings,
    secret_reader,
)

SECRET = "sk-live-1234567890"


def a_config(**changes) -> ProjectConfig:
    """Return a small configuration."""
    return ProjectConfig.model_validate({"version": 1, "gateway": {"kind": "openai"}, **changes})


def test_names_are_unique_and_regular():
    """One table documents every setting: a flag, where there is one, follows from the variable."""
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)
    for setting in SETTINGS:
        assert setting.env.startswith("EVALKIT_")
        assert setting.flag in {"", "--" + setting.env.removeprefix("EVALKIT_").lower().replace("_", "-")}
        assert setting.help.endswith(".")


def test_nothing_given_changes_nothing():
    """The file's own values stay."""
    config = a_config(limits={"concurrency": 3})
    assert resolve_settings({"concurrency": None}, {"EVALKIT_CONCURRENCY": ""}, config) == config


@given(file=st.none() | st.integers(1, 99), env=st.none() | st.integers(1, 99), flag=st.none() | st.integers(1, 99))
def test_flag_over_environment_over_file_over_default(file, env, flag):
    """The first that is given wins."""
    config = a_config(limits={} if file is None else {"concurrency": file})
    environ = {} if env is None else {"EVALKIT_CONCURRENCY": str(env)}
    expected = next(value for value in (flag, env, file, 64) if value is not None)
    assert resolve_settings({"concurrency": flag}, environ, config).limits.concurrency == expected


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.path], ids=lambda s: s.name)
def test_every_setting_reaches_its_key(setting):
    """The path of each row exists in the configuration."""
    text = {"gateway_base_url": "http://h/v1", "deadline": "2h"}.get(setting.name, "7")
    here = resolve_settings({}, {setting.env: text}, a_config())
    for key in setting.path:
        here = getattr(here, key)
    assert str(here) in {text, f"{text}.0"}


@pytest.mark.parametrize(
    ("flags", "environ", "where"),
    [
        ({}, {"EVALKIT_BUDGET_USD": "lots"}, "environment: EVALKIT_BUDGET_USD"),
        ({"budget_usd": -1}, {}, "command line: --budget-usd"),
        ({"gateway_base_url": "ftp://h"}, {}, "command line: gateway_base_url"),
    ],
)
def test_a_wrong_value_names_where_it_came_from(flags, environ, where):
    """The variable or the flag is the place."""
    with pytest.raises(InputError) as caught:
        resolve_settings(flags, environ, a_config())
    assert str(caught.value).startswith(where)


def test_a_url_with_a_password_is_not_shown():
    """A base URL may carry credentials."""
    with pytest.raises(InputError) as caught:
        resolve_settings({}, {"EVALKIT_GATEWAY_BASE_URL": f"ftp://me:{SECRET}@h"}, a_config())
    assert SECRET not in repr(caught.value) + str(caught.value)
    assert caught.value.__suppress_context__


def test_an_unknown_setting_is_refused():
    """A flag that says nothing is never ignored."""
    with pytest.raises(InputError, match="'concurency'"):
        resolve_settings({"concurency": 3}, {}, a_config())


def test_the_project_is_found_by_flag_then_environment_then_here(tmp_path):
    """The location is known before any file is read."""
    environ = {"EVALKIT_ROOT": str(tmp_path), "EVALKIT_CONFIG": "b.yaml"}
    assert str(locate_project({}, {}).root) == "."
    assert (locate_project({}, environ).root, locate_project({}, environ).config_name) == (tmp_path, "b.yaml")
    assert str(locate_project({"root": "elsewhere"}, environ).root) == "elsewhere"


def test_the_environment_is_a_copy(monkeypatch):
    """What was read does not change under the reader."""
    monkeypatch.setenv("EVALKIT_VANTAGE", "here")
    before = read_environment()
    monkeypatch.setenv("EVALKIT_VANTAGE", "there")
    assert before["EVALKIT_VANTAGE"] == "here"
    with pytest.raises(TypeError):
        before["X"] = "y"


def test_headers_take_variables():
    """Several may stand in one header."""
    headers = {"x-team": "${TEAM}-${ROLE}", "x-plain": "a$b {c}"}
    assert expand_headers(headers, {"TEAM": "t", "ROLE": "r"}) == {"x-team": "t-r", "x-plain": "a$b {c}"}


def test_a_missing_header_variable_is_named():
    """Variable and header are told."""
    with pytest.raises(InputError, match="TEAM is not set") as caught:
        expand_headers({"x-team": "${TEAM}"}, {})
    assert caught.value.place.pointer == "/gateway/headers/x-team"


def test_a_header_cannot_be_split():
    """A line break in a value would begin another header; the value is not shown."""
    with pytest.raises(InputError, match="x-team") as caught:
        expand_headers({"x-team": "${TEAM}"}, {"TEAM": f"{SECRET}\r\nevil: 1"})
    assert SECRET not in str(caught.value)


def a_reader(tmp_path, environ=None, **source):
    """Return a reader of a key named in the roster."""
    return secret_reader(KeySource(**source), environ or {}, tmp_path, place=Place(file="roster.yaml", line=4))


def test_no_source_is_no_key(tmp_path):
    """A gateway without a key is possible."""
    assert a_reader(tmp_path)() is None


def test_a_key_from_a_variable_is_trimmed(tmp_path):
    """A line end copied along is no part of the key."""
    assert a_reader(tmp_path, {"KEY": f" {SECRET}\n"}, api_key_env="KEY")() == SECRET


def test_a_key_from_a_file_is_its_first_line_read_afresh(tmp_path):
    """A rotated key is seen by the next call."""
    read = a_reader(tmp_path, api_key_file="key.txt")
    (tmp_path / "key.txt").write_text(f"{SECRET}\nsecond line\n")
    assert read() == SECRET
    (tmp_path / "key.txt").write_text("sk-new")
    assert read() == "sk-new"


def test_a_key_from_a_command_runs_without_a_shell(tmp_path):
    """Arguments reach the command as they are, in the project folder, with the given environment."""
    script = "import os,sys; print(sys.argv[1] + os.environ['X'] + os.path.basename(os.getcwd()))"
    command = (sys.executable, "-c", script, "$HOME;`id`")
    environ = {**os.environ, "X": "x"}
    assert a_reader(tmp_path, environ, api_key_command=command)() == f"$HOME;`id`x{tmp_path.name}"


@pytest.mark.parametrize(
    ("environ", "source", "pointer", "fragment"),
    [
        ({}, {"api_key_env": "KEY"}, "/api_key_env", "KEY is not set"),
        ({"KEY": "  "}, {"api_key_env": "KEY"}, "/api_key_env", "empty"),
        ({"KEY": f"{SECRET} x"}, {"api_key_env": "KEY"}, "/api_key_env", "space"),
        ({"KEY": f"{SECRET}\nx"}, {"api_key_env": "KEY"}, "/api_key_env", "another character"),
        ({}, {"api_key_file": "none.txt"}, "/api_key_file", "No such file"),
        ({}, {"api_key_command": ("/no/such/command",)}, "/api_key_command", "cannot be started"),
        ({}, {"api_key_command": ()}, "/api_key_command", "cannot be started"),
        ({}, {"api_key_command": (sys.executable, "-c", f"print('{SECRET}'); raise SystemExit(3)")},
         "/api_key_command", "exit code 3"),
        ({}, {"api_key_command": (sys.executable, "-c", "")}, "/api_key_command", "empty"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_read_is_told_without_it(tmp_path, environ, source, pointer, fragment):
    """The place is the key's own, and nothing secret is shown."""
    with pytest.raises(InputError, match=fragment) as caught:
        a_reader(tmp_path, environ, **source)()
    assert caught.value.place == Place(file="roster.yaml", line=4, pointer=pointer)
    assert SECRET not in str(caught.value)


def test_a_slow_command_is_stopped(tmp_path, monkeypatch):
    """A command that waits for a person does not hang the night."""
    monkeypatch.setattr("evalkit.settings.COMMAND_LIMIT_S", 0.2)
    with pytest.raises(InputError, match="longer than"):
        a_reader(tmp_path, api_key_command=(sys.executable, "-c", "import time; time.sleep(30)"))()


def test_a_key_file_that_is_no_text_is_refused(tmp_path):
    """A wrong path may lead to a binary file; nothing of it is shown."""
    (tmp_path / "key.bin").write_bytes(b"\xff\xfe\x00key")
    with pytest.raises(InputError, match="not plain text"):
        a_reader(tmp_path, api_key_file="key.bin")()


@pytest.mark.parametrize(
    ("text", "moment"), [("", None), ("1970-01-02T00:00:00Z", 86_400.0), ("2026-03-01T02:00:00Z", 1_772_330_400.0)]
)
def test_the_moment_of_a_rehearsal(text, moment):
    """An empty variable asks for none."""
    assert rehearsal_now({REHEARSAL_NOW: text}) == moment


@pytest.mark.parametrize("text", ["yesterday", "2026-03-01", "2026-03-01T02:00:00+01:00"])
def test_no_moment(text):
    """What is none is refused with the variable's name."""
    with pytest.raises(InputError, match=REHEARSAL_NOW):
        rehearsal_now({REHEARSAL_NOW: text})
