"""Whether two model names mean the same model: names taken apart into family, generation, size, variant and date.

Both mistakes cost: calling an honest answer substituted voids it, calling a swap the same admits a model nobody
asked for. So there are three answers, and what cannot be known from the names alone is said to be unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from evalkit.wire.model_words import (
    BOTH,
    CONTEXTS,
    FAMILIES,
    PRECISIONS,
    RENAMED,
    ROUTING,
    SOFT,
    VARIANTS,
    VENDORS,
)

__all__ = ["Likeness", "is_alias_of", "is_moving_alias", "likeness"]

Likeness = Literal["equal", "same", "unknown", "different"]

_LATEST = "latest"

_MONTH, _DAY = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_DATE = re.compile(
    rf"(?<![a-z0-9.])(20[2-9]\d-?{_MONTH}(?:-?{_DAY})?|2[3-9]{_MONTH}{_DAY}|{_MONTH}-20[2-9]\d|{_MONTH}-?{_DAY}|2[3-9]{_MONTH})(?![a-z0-9.])"
)
_REVISION = re.compile(r"[-@](v\d+(?:\.\d+)*(?::\d+)?|\d+:\d+|00\d)$")
_BUILD = re.compile(r"[-.:@](i?q\d(?:-(?:k|\d|xxs|xs|s|m|l|xl|nl))*|\d-?bit|w\d+a\d+|gguf|nf4|mlx|exl2)(?![a-z0-9])")
_CONTEXT = re.compile(r"\d+k")
_TOKEN = re.compile(
    r"(?<![a-z0-9])o\d(?![a-z0-9.])|(?:mxfp|nvfp|fp|bf|int)\d+(?![a-z0-9])"
    r"|\d+x\d+(?:\.\d+)?b|[ae]?\d+(?:\.\d+)?[bmte](?![a-z0-9])|\d+(?:\.\d+)*[a-z]?(?![a-z0-9])|[a-z]+|\d+"
)
_SIZE = re.compile(r"\d+x\d+(?:\.\d+)?b|[ae]?\d+(?:\.\d+)?[bmte]")
_ALIAS_SUFFIX = re.compile(
    r"[-@:](?:20\d\d-?\d\d-?\d\d|\d{4}|\d{6}|\d\d-\d\d|\d\d-\d{4}|00\d|v\d+(?:[.:]\d+)*)(?:-v?\d+(?:[.:]\d+)*)?"
)
_MAX_NAME = 300
_MAX_JOINED_DIGITS = 2
"""4-5 is 4.5; longer numbers are dates, sizes or context lengths."""


@dataclass(frozen=True, slots=True)
class _Parts:
    families: frozenset[str]
    generation: str
    more: str
    """Further numbers: an Azure deployment `gpt-4o-2`, a merge of two generations."""
    sizes: frozenset[str]
    variants: frozenset[str]
    soft: frozenset[str]
    unknown: frozenset[str]
    dates: str
    revision: str
    is_platform_revision: bool
    """Bedrock's `v1:0`, which other hosts of the same model do not write."""
    is_moving: bool


def likeness(asked: str, served: str) -> Likeness:
    """Return whether a served name means the model that was asked for.

    `equal`: the same name, vendor prefix and spelling aside. `same`: the same stem, with a date or version the
    asker left open. `unknown`: the names cannot say. `different`: family, generation, size or variant differ.
    """
    if asked.strip().lower() == served.strip().lower():
        return "equal"
    if max(len(asked), len(served)) > _MAX_NAME:
        return "unknown"
    return _compared(asked, served)


@lru_cache(maxsize=1024)
def _compared(asked: str, served: str) -> Likeness:
    ask, got = _parts(asked), _parts(served)
    if ask == got:
        return "equal"
    if not ask.families and not ask.unknown & got.unknown:
        # A deployment name or a gateway's own alias says nothing about what should answer.
        return "unknown"
    if ask.families and not got.families:
        # An id, a path, or what somebody called it: only a size can give it away.
        return "different" if _differ(ask.sizes, got.sizes) else "unknown"
    if (asked.rsplit("/", 1)[-1], served.rsplit("/", 1)[-1]) in RENAMED:
        return "same"
    if ask.families != got.families or _conflicts(ask, got):
        return "different"
    return _open_points(ask, got)


def is_alias_of(asked: str, served: str) -> bool:
    """Return whether the served name is the asked one plus a date or version."""
    if served == asked or len(served) > _MAX_NAME or not served.startswith(asked):
        return False
    return bool(_ALIAS_SUFFIX.fullmatch(served[len(asked) :]))


def is_moving_alias(name: str) -> bool:
    """Return whether the name says `latest`: which model that is, is decided elsewhere and may change."""
    return name.lower().removeprefix("~").endswith(("-latest", ":latest"))


def _conflicts(ask: _Parts, got: _Parts) -> bool:
    """Say whether both names fix something and fix it differently."""
    if ask.variants != got.variants or _differ(ask.sizes, got.sizes) or _differ(ask.generation, got.generation):
        return True
    if _differ(ask.more, got.more) or _are_other_dates(ask.dates, got.dates) or _differ(ask.revision, got.revision):
        return True
    # Words no table knows on both sides: two names of the same family, not one with a suffix.
    return bool(ask.unknown - got.unknown and got.unknown - ask.unknown)


def _differ(ask: object, got: object) -> bool:
    return bool(ask and got and ask != got)


def _are_other_dates(ask: str, got: str) -> bool:
    """Say whether both are dated and not the same: 20240806 may be written 0806, and 20241120 as 2411."""
    if not _differ(ask, got) or ask.endswith(got) or got.endswith(ask):
        return False
    return got != ask[2:6] and ask != got[2:6]


def _open_points(ask: _Parts, got: _Parts) -> Likeness:
    """Say how much the served name leaves open, or adds, where nothing conflicts."""
    if ask.is_moving:
        is_named = ask.sizes == got.sizes and (not ask.generation or ask.generation == got.generation)
        return "same" if is_named and not got.is_moving and not got.unknown - ask.unknown else "unknown"
    is_open = (
        ask.generation != got.generation
        or ask.more != got.more
        or ask.sizes != got.sizes
        or ask.soft != got.soft
        or ask.unknown != got.unknown
        or got.is_moving
        # A dated snapshot was asked for and the answer does not say that it is that one.
        or bool(ask.dates and not got.dates)
        or bool(ask.revision and not got.revision and not ask.is_platform_revision and not ask.dates)
    )
    return "unknown" if is_open else "same"


def _parts(name: str) -> _Parts:
    stem = _bare(name)
    builds = _BUILD.findall(stem)
    stem = _BUILD.sub("", stem)
    dates = _DATE.findall(stem)
    undated = re.sub(r"-{2,}", "-", _DATE.sub("", stem)).rstrip("-@ ")
    revision = ""
    if found := _REVISION.search(undated):
        revision, undated = found[1], undated[: found.start()]
    tokens = _spelt_alike(_TOKEN.findall(undated))
    sizes = frozenset(piece for piece in tokens if _SIZE.fullmatch(piece))
    lengths = frozenset(piece for piece in tokens if _CONTEXT.fullmatch(piece))
    numbers = [piece for piece in tokens if piece[0].isdigit() and piece not in sizes | lengths | CONTEXTS]
    words = frozenset(tokens) - sizes - frozenset(numbers) - VENDORS - {"v", _LATEST}
    is_platform = ":" in revision
    if is_platform:
        revision = f"v{revision.partition(':')[0].removeprefix('v')}"
    elif revision.startswith("v") and not numbers and not sizes:
        # `deepseek-v3`: with no other number the version is the generation.
        numbers, revision = [_plain_number(revision[1:])], ""
    soft = SOFT | CONTEXTS | (PRECISIONS if sizes else frozenset())
    return _Parts(
        families=words & FAMILIES,
        generation=numbers[0] if numbers else "",
        more=".".join(numbers[1:]),
        sizes=sizes,
        variants=(words & VARIANTS | lengths) - soft,
        soft=words & soft | frozenset(builds),
        unknown=words - VARIANTS - soft - FAMILIES - lengths,
        dates="".join(dates).replace("-", ""),
        revision=revision,
        is_platform_revision=is_platform,
        is_moving=_LATEST in tokens,
    )


def _bare(name: str) -> str:
    """Drop who sells it: vendor path, Bedrock's region and vendor, a leading `~`, and a routing suffix."""
    stem = name.strip().lower().removeprefix("~").rsplit("/", 1)[-1].replace("_", "-").replace(" ", "-")
    head, colon, tail = stem.rpartition(":")
    if colon and tail in ROUTING:
        stem = head
    pieces = stem.split(".")
    while len(pieces) > 1 and pieces[0].replace("-", "").isalpha() and pieces[0] not in FAMILIES - BOTH:
        if pieces[0] in BOTH and FAMILIES.isdisjoint(re.findall(r"[a-z]+", pieces[1])):
            # Bedrock's `deepseek.r1`: without its vendor nothing would say whose it is.
            pieces[1] = f"{pieces[0]}-{pieces[1]}"
        pieces = pieces[1:]
    # Fireworks writes a decimal point as p: llama-v3p1-70b.
    return re.sub(r"(?<=\d)p(?=\d)", ".", ".".join(pieces))


def _spelt_alike(tokens: list[str]) -> list[str]:
    """Bring spellings together: 4-5 is 4.5, gpt-35 is gpt-3.5."""
    joined: list[str] = []
    for piece in tokens:
        previous = joined[-1] if joined else ""
        is_short = max(len(piece), len(previous)) <= _MAX_JOINED_DIGITS
        if piece.isdigit() and previous.isdigit() and is_short:
            joined[-1] = f"{previous}.{piece}"
        elif piece == "35" and previous == "gpt":
            joined.append("3.5")
        else:
            joined.append(piece)
    return [_plain_number(piece) for piece in joined if piece]


def _plain_number(piece: str) -> str:
    """`4.0` and `4` are one generation."""
    return re.sub(r"(?<=\d)\.0$", "", piece)
