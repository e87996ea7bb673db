"""Flag over environment over evalkit.yaml over default, in one frozen `ProjectConfig`; and where secrets are read.

The only module that reads the environment. No secret value ever enters a message, a repr or a configuration.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from evalkit.canonical import parse_timestamp
from evalkit.domain.project import ProjectConfig
from evalkit.errors import InputError, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from evalkit.domain.roster import KeySource

__all__ = [
    "REHEARSAL_NOW",
    "SETTINGS",
    "Location",
    "Setting",
    "deployed_file",
    "expand_headers",
    "first_line",
    "locate_project",
    "read_environment",
    "rehearsal_now",
    "resolve_settings",
    "secret_reader",
    "stated_audience",
]

REHEARSAL_NOW = "EVALKIT_REHEARSAL_NOW"
"""The moment a rehearsed night begins at, such as `2026-01-31T04:00:00Z`. No setting of a project: it is for the
simulator alone, or evidence that is old could be made to look fresh."""

COMMAND_LIMIT_S = 10
"""A key command that takes longer is stopped."""
_MAX_KEY_BYTES = 64 * 1024
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ON_COMMAND_LINE = Place(file="command line")
_IN_ENVIRONMENT = Place(file="environment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value that a flag or an environment variable may give instead of evalkit.yaml."""

    name: str
    env: str
    help: str
    flag: str = ""
    """Empty: it belongs to the gateway, so no command takes it."""
    path: tuple[str, ...] = ()
    """Keys in evalkit.yaml; empty for what says where evalkit.yaml is."""
    is_shown: bool = True
    """Whether its value may appear in a message; a store URL may hold a password."""


# One line each: this table is the reference page of settings.
SETTINGS: tuple[Setting, ...] = (
    Setting(name="root", env="EVALKIT_ROOT", flag="--root",
            help="Project folder; default: the current folder."),
    Setting(name="config_name", env="EVALKIT_CONFIG", flag="--config",
            help="Name of the project file in it; default: evalkit.yaml."),
    Setting(name="environment", env="EVALKIT_ENVIRONMENT", flag="--environment", path=("environment",),
            help="Audience of the eligibility file."),
    Setting(name="gateway_kind", env="EVALKIT_GATEWAY_KIND", path=("gateway", "kind"),
            help="Which gateway plugin sends the calls."),
    Setting(name="gateway_base_url", env="EVALKIT_GATEWAY_BASE_URL", path=("gateway", "base_url"),
            help="Where the gateway is, up to and including /v1.", is_shown=False),
    Setting(name="vantage", env="EVALKIT_VANTAGE", path=("gateway", "vantage"),
            help="Label for where the measuring machine stands, such as a region."),
    Setting(name="store", env="EVALKIT_STORE", flag="--store", path=("store",),
            help="URL of the store.", is_shown=False),
    Setting(name="reports", env="EVALKIT_REPORTS", flag="--reports", path=("reports",),
            help="Folder that reports are written to."),
    Setting(name="budget_usd", env="EVALKIT_BUDGET_USD", flag="--budget-usd", path=("limits", "budget_usd"),
            help="The most a run may spend, in USD."),
    Setting(name="concurrency", env="EVALKIT_CONCURRENCY", flag="--concurrency", path=("limits", "concurrency"),
            help="Calls in flight at once, over all models."),
    Setting(name="call_timeout_s", env="EVALKIT_CALL_TIMEOUT_S", flag="--call-timeout-s",
            path=("limits", "call_timeout_s"), help="Seconds one attempt may take."),
    Setting(name="deadline", env="EVALKIT_DEADLINE", flag="--deadline", path=("limits", "deadline"),
            help="A run stops sending after this long, such as 2h."),
)  # fmt: skip
"""Every setting, in the order it is documented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where the project file is; known before it is read."""

    root: Path
    config_name: str = "evalkit.yaml"


def read_environment() -> Mapping[str, str]:
    """Return the environment as it is now; everyone else takes it as a parameter."""
    return MappingProxyType(dict(os.environ))


def locate_project(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Location:
    """Return where the project is: flag over environment over the current folder; None or empty says nothing."""
    given = {setting.name: _given(setting, flags, environ) for setting in SETTINGS if not setting.path}
    root = given["root"]
    name = given["config_name"]
    return Location(root=Path(root[0]) if root else Path(), config_name=str(name[0]) if name else "evalkit.yaml")


def deployed_file(folder: Path, environ: Mapping[str, str]) -> Path:
    """Return where the eligibility file in force is: what `EVALKIT_ELIGIBILITY` names, else in the folder."""
    return folder / (environ.get("EVALKIT_ELIGIBILITY") or "eligibility.json")


def stated_audience(environ: Mapping[str, str]) -> str | None:
    """Return the environment this process says it is in; None when it says nothing."""
    return environ.get("EVALKIT_ENVIRONMENT") or None


def resolve_settings(flags: Mapping[str, Any], environ: Mapping[str, str], config: ProjectConfig) -> ProjectConfig:
    """Return the configuration with flags laid over environment variables laid over the file.

    Args:
        flags: setting name to value; None means the flag was not given.
        environ: variable name to text; an empty text means it is not set.
        config: as read from evalkit.yaml.

    Raises:
        InputError: for a value its setting cannot take, naming the flag or variable; or for a flag that is no setting.
    """
    unknown = sorted(flags.keys() - {setting.name for setting in SETTINGS})
    if unknown:
        names = ", ".join(setting.name for setting in SETTINGS)
        raise InputError(f"no setting is named {unknown[0]!r}", place=_ON_COMMAND_LINE, next_step=f"one of: {names}")
    for setting in SETTINGS:
        given = _given(setting, flags, environ)
        if setting.path and given is not None:
            config = _overlaid(config, setting, value=given[0], place=given[1])
    return config


def _given(setting: Setting, flags: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Any, Place] | None:
    if flags.get(setting.name) is not None:
        return flags[setting.name], Place(file=_ON_COMMAND_LINE.file, pointer=setting.flag or setting.name)
    if environ.get(setting.env):
        return environ[setting.env], Place(file=_IN_ENVIRONMENT.file, pointer=setting.env)
    return None


def _overlaid(config: ProjectConfig, setting: Setting, *, value: Any, place: Place) -> ProjectConfig:
    written = config.model_dump(exclude_unset=True)
    inner = written
    for key in setting.path[:-1]:
        inner = inner.setdefault(key, {})
    inner[setting.path[-1]] = value
    try:
        return ProjectConfig.model_validate(written)
    except ValidationError as error:
        reason = error.errors(include_url=False, include_context=False)[0]["msg"].removeprefix("Value error, ")
        # The reason of a validator quotes the value too.
        problem = f"{value!r:.120} cannot be used: {reason}" if setting.is_shown else "the value cannot be used"
        raise InputError(problem, place=place, next_step=setting.help) from None


def rehearsal_now(environ: Mapping[str, str]) -> float | None:
    """Return the moment in Unix seconds that a rehearsal begins at, or None when none is asked for.

    Raises:
        InputError: when the variable holds no moment.
    """
    text = environ.get(REHEARSAL_NOW)
    if not text:
        return None
    try:
        return parse_timestamp(text)
    except ValueError as error:
        place = Place(file=_IN_ENVIRONMENT.file, pointer=REHEARSAL_NOW)
        raise InputError(f"{text!r:.60} is no moment", place=place, next_step="such as 2026-01-31T04:00:00Z") from error


def expand_headers(headers: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with every `${NAME}` replaced by that environment variable.

    Raises:
        InputError: for a variable that is not set, or a value that cannot be sent; values are never shown.
    """
    return {name: _expanded(name, text, environ) for name, text in headers.items()}


def _expanded(header: str, text: str, environ: Mapping[str, str]) -> str:
    place = Place(file="evalkit.yaml", pointer=f"/gateway/headers/{header}")

    def value_of(match: re.Match[str]) -> str:
        if match[1] not in environ:
            raise InputError(
                f"the environment variable {match[1]} is not set",
                place=place,
                next_step=f"export {match[1]}, or take ${{{match[1]}}} out of the header",
            )
        return environ[match[1]]

    expanded = _VARIABLE.sub(value_of, text)
    if not (expanded.isascii() and expanded.isprintable()):
        raise InputError(
            f"the header {header} holds a character that cannot be sent", place=place, next_step="use printable ASCII"
        )
    return expanded


def secret_reader(
    source: KeySource, environ: Mapping[str, str], root: Path, *, place: Place | None = None
) -> Callable[[], str | None]:
    """Return a function that reads the key afresh each time, or returns None when no source is named.

    A key file may lie outside the project, where mounted secrets are; its first line counts. A command is run
    without a shell in `root`, for at most 10 s; the first line it prints counts.

    The function raises InputError at `place` when the key cannot be read; its message never holds the key, nor
    anything else the file or the command said.
    """
    at = place or Place(file="evalkit.yaml", pointer="/gateway")

    def read() -> str | None:
        if source.api_key_env is not None:
            return _usable(_variable(source.api_key_env, environ, at), _inside(at, "api_key_env"))
        if source.api_key_file is not None:
            here = _inside(at, "api_key_file")
            return _usable(first_line(root / source.api_key_file, what="key file", place=here), here)
        if source.api_key_command is not None:
            here = _inside(at, "api_key_command")
            return _usable(_printed(source.api_key_command, environ, root=root, place=here), here)
        return None

    return read


def _inside(place: Place, key: str) -> Place:
    return Place(file=place.file, line=place.line, pointer=f"{place.pointer or ''}/{key}")


def _variable(name: str, environ: Mapping[str, str], place: Place) -> str:
    if name not in environ:
        raise InputError(
            f"the environment variable {name} is not set",
            place=_inside(place, "api_key_env"),
            next_step=f"export {name}, or name another source of the key",
        )
    return environ[name]


def first_line(path: Path, *, what: str, place: Place) -> str:
    """Return the first line of a file that holds a secret, without the space around it.

    Raises:
        InputError: when it cannot be read, calling it `what`; its message holds nothing of the file.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_KEY_BYTES).decode("ascii")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not plain text"
        raise InputError(
            f"the {what} {str(path)!r} cannot be read: {reason}", place=place, next_step="check path and permissions"
        ) from None
    return text.partition("\n")[0].strip()


def _printed(command: tuple[str, ...], environ: Mapping[str, str], *, root: Path, place: Place) -> str:
    shown = command[0] if command else ""
    try:
        # The user's own configuration names the command; without a shell nothing in it is interpreted.
        done = subprocess.run(  # noqa: S603
            command, cwd=root, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True,
            timeout=COMMAND_LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise _command_failed(shown, f"took longer than {COMMAND_LIMIT_S} s", place) from None
    except (OSError, ValueError, IndexError):
        raise _command_failed(shown, "cannot be started", place) from None
    if done.returncode != 0:
        raise _command_failed(shown, f"ended with exit code {done.returncode}", place)
    return done.stdout.decode("utf-8", "replace").partition("\n")[0]


def _command_failed(shown: str, reason: str, place: Place) -> InputError:
    return InputError(
        f"the key command {shown!r} {reason}",
        place=place,
        next_step="run it yourself; it must print the key and exit 0",
    )


def _usable(key: str, place: Place) -> str:
    """Return the key; one that cannot stand in a header would be quoted by whoever tries to send it."""
    key = key.strip()
    if not key:
        raise InputError("the key is empty", place=place, next_step="give it a value")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError("the key holds a space or another character no key has", place=place,
                         next_step="check for quotes, line breaks or a whole command copied with it")  # fmt: skip
    return key
