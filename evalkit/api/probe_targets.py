"""Which gateway `verify-gateway` asks, and with what: from options alone, or from the project where no URL is given."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import ValidationError

from evalkit.api.project import load_project
from evalkit.api.verifying_gateway import ScopedKey, Target
from evalkit.domain.project import GatewayConfig
from evalkit.errors import InputError, Place
from evalkit.gateways.http_gateway import HEADER_NAME
from evalkit.pipeline.dialects import Dialect, dialect_of
from evalkit.settings import expand_headers, first_line, read_environment, secret_reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["TargetOptions", "target_from_options"]

_DEFAULT_KIND = "openai"
_WORDS = {(word, "", None) for word in ("task", "model", "route")}
_COMMAND_LINE = "command line"
_SECRET = re.compile(r"key|token|secret|passw|auth|credential|cookie", re.IGNORECASE)
"""Of a header, or of a field in one, whose value is not to be shown."""
_FROM_VARIABLE, _FROM_FILE = "${", "@"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """What the caller gave; None means not given."""

    base_url: str | None = None
    kind: str | None = None
    api_key_env: str | None = None
    headers: tuple[str, ...] = ()
    """`Name: value` each; a value `@PATH` is a file's first line, `${NAME}` a variable."""
    model_name: str | None = None
    scoped_key_env: str | None = None
    scoped_task: str | None = None
    timeout_s: float = 30.0


def target_from_options(options: TargetOptions, *, flags: Mapping[str, Any]) -> Target:
    """Return the gateway to probe.

    With a base URL the project is not looked at: its key is never sent to another address than its own.

    Args:
        options: as given.
        flags: settings that say which project.

    Raises:
        InputError: for anything that cannot be used; no secret stands in the message.
    """
    environ = read_environment()
    config, root = _config(options, flags)
    own = _own_headers(options.headers)
    headers = {**expand_headers(config.headers, environ), **_expanded(own, environ)}
    hidden = {name for name, value in {**config.headers, **own}.items() if _is_hidden(name, value)}
    return Target(
        config=config.model_copy(update={"headers": headers}),
        dialect=_dialect(config.kind, options.model_name),
        key=secret_reader(config, environ, root)(),
        more_secrets=(
            *(secret for name, value in headers.items() for secret in _secrets(value, is_hidden=name in hidden)),
            *_secrets_in(dict(parse_qsl(urlsplit(config.base_url or "").query))),
        ),
        scoped=_scoped(options, environ),
        timeout_s=options.timeout_s,
    )


def _config(options: TargetOptions, flags: Mapping[str, Any]) -> tuple[GatewayConfig, Path]:
    given = {"kind": options.kind, "api_key_env": options.api_key_env}
    given = {name: value for name, value in given.items() if value is not None}
    if options.base_url is None:
        project = load_project(flags=flags)
        if options.api_key_env is not None:
            given |= {"api_key_file": None, "api_key_command": None}
        return project.config.gateway.model_copy(update=given), project.root
    try:
        whole = {"kind": _DEFAULT_KIND, **given, "base_url": options.base_url}
        return GatewayConfig.model_validate(whole), Path()
    except ValidationError as error:
        # The value is not shown: a URL is where people put keys.
        name = str(error.errors()[0]["loc"][0]) if error.errors()[0]["loc"] else "base_url"
        problem = "the value cannot be used"
        place = Place(file=_COMMAND_LINE, pointer=f"--{name.replace('_', '-')}")
        raise InputError(problem, place=place, next_step="write the URL as https://host/v1") from None


def _dialect(kind: str, model_name: str | None) -> Dialect:
    dialect = dialect_of(kind)
    if model_name is None:
        return dialect
    try:
        words = {
            (word, spec, conversion) for _, word, spec, conversion in Formatter().parse(model_name) if word is not None
        }
    except ValueError:
        words = {("", "", None)}
    if not model_name.strip() or words - _WORDS:
        place = Place(file=_COMMAND_LINE, pointer="--model-name")
        problem = f"{model_name!r} is not a text with {{task}}, {{model}} or {{route}} in it"
        raise InputError(problem, place=place, next_step="such as 'tasks/{task}'")
    if dialect.task_headers:
        # Who leaves the header out still asks for the same.
        return replace(dialect, model=model_name, no_task_model=model_name)
    return replace(dialect, model=model_name, can_name_tasks="{task}" in model_name)


def _own_headers(pairs: tuple[str, ...]) -> dict[str, str]:
    place = Place(file=_COMMAND_LINE, pointer="--header")
    found = {}
    for pair in pairs:
        name, colon, value = (part.strip() for part in pair.partition(":"))
        if not colon or not HEADER_NAME.fullmatch(name):
            raise InputError("a header without a name or a colon", place=place, next_step="write 'Name: value'")
        found[name] = value
    return found


def _expanded(headers: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    place = Place(file=_COMMAND_LINE, pointer="--header")
    read = {
        name: first_line(Path(value[1:]), what="file", place=place) if value.startswith(_FROM_FILE) else value
        for name, value in headers.items()
    }
    try:
        return expand_headers(read, environ)
    except InputError as error:
        raise InputError(error.problem, place=place, next_step=error.next_step) from None


def _is_hidden(name: str, value: str) -> bool:
    """Whether a header is named like a secret, or its value was kept out of the command line."""
    return _SECRET.search(name) is not None or _FROM_VARIABLE in value or value.startswith(_FROM_FILE)


def _secrets(value: str, *, is_hidden: bool) -> Iterator[str]:
    """Yield what of a header's value must not be shown: its words, or of a JSON document those that name a secret."""
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, (dict, list)):
        yield from _secrets_in(document)
    elif is_hidden:
        yield from re.split(r"[\s;,]+", value)


def _secrets_in(document: Any) -> Iterator[str]:
    for name, value in document.items() if isinstance(document, dict) else (("", item) for item in document):
        if isinstance(value, (dict, list)):
            yield from _secrets_in(value)
        elif isinstance(value, str) and _SECRET.search(name):
            yield from _secrets(value, is_hidden=True)


def _scoped(options: TargetOptions, environ: Mapping[str, str]) -> ScopedKey | None:
    if options.scoped_key_env is None:
        if options.scoped_task is not None:
            place = Place(file=_COMMAND_LINE, pointer="--scoped-task")
            raise InputError("a task without its key", place=place, next_step="add --scoped-key-env NAME")
        return None
    config = GatewayConfig(kind=_DEFAULT_KIND, api_key_env=options.scoped_key_env)
    place = Place(file=_COMMAND_LINE, pointer="--scoped-key-env")
    key = secret_reader(config, environ, Path(), place=place)()
    return ScopedKey(key=key or "", task=options.scoped_task)
