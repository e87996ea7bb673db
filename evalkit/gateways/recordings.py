"""Recorded answers: JSON Lines files, gzip or not, read line by line into an index.

One line is `{"digest" | "suite" + "case_id" + "trial", "model", "response" | "output", …}` (docs/reference). It is the
format of the replay gateway and of foreign answers that are imported. Unknown keys are errors: a misspelt
`finish_reason` must not silently become a finished answer.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.errors import InputError, NotFoundError, Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["RawAnswer", "Recording", "Recordings", "TextAnswer", "iter_recordings", "load_recordings"]

_SUFFIXES = (".jsonl", ".jsonl.gz")
_SHOWN_LENGTH = 80
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_KEYS = frozenset({
    "digest", "suite", "case_id", "trial", "turn", "model",
    "response", "output", "finish_reason", "usage", "latency_s", "cost_usd",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RawAnswer:
    """A response body as it came from the wire, error bodies and event streams included."""

    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TextAnswer:
    """Only what a model said; everything around it has to be made up."""

    text: str | None
    """None when the model gave nothing."""
    finish_reason: str | None = "stop"
    usage: Mapping[str, Any] | None = None
    """As a completion spells it; None is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recorded answer: named by the digest of its request, or by suite, case, trial and model."""

    place: Place
    answer: RawAnswer | TextAnswer
    model: str | None
    """Model id or route; only a recording with a digest may leave it out."""
    digest: str | None = None
    """64 hexadecimal digits; when given it is what the recording is found by."""
    suite: str | None = None
    case_id: str | None = None
    trial: int | None = None
    """None: not said. A recording with a digest then answers every trial; one without is trial 0."""
    turn: int = 0
    latency_s: float | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Recordings:
    """Recordings by what they answer."""

    _by_key: dict[tuple[Any, ...], Recording] = field(repr=False)

    def __len__(self) -> int:
        """Return how many recordings are held."""
        return len(self._by_key)

    def __iter__(self) -> Iterator[Recording]:
        """Yield them in the order of the files."""
        return iter(self._by_key.values())

    def by_digest(self, digest: str, *, trial: int) -> Recording | None:
        """Return the answer to a request by its digest: this trial's own, else one for any trial."""
        return self._by_key.get((digest, trial)) or self._by_key.get((digest, None))

    def by_case(self, suite: str, case_id: str, *, model: str, trial: int, turn: int = 0) -> Recording | None:
        """Return the answer a model gave in one turn of a case."""
        return self._by_key.get((suite, case_id, model, trial, turn))


def load_recordings(path: Path, *, suite: str | None = None) -> Recordings:
    """Return every recording of a file, or of a folder of `.jsonl` and `.jsonl.gz` files.

    Args:
        path: file or folder.
        suite: what a line without `suite` belongs to; None makes such a line an error.

    Raises:
        InputError: with file and line, for a line that is no recording or names the same answer as an earlier one.
        NotFoundError: when there is nothing at `path`.
    """
    return _index(iter_recordings(path, suite=suite))


def iter_recordings(path: Path, *, suite: str | None = None) -> Iterator[Recording]:
    """Yield the recordings of a file or folder, files in order of name; arguments and errors as `load_recordings`."""
    for file in _files(path):
        for number, line in _lines(file):
            yield _recording(line, place=Place(file=str(file), line=number), suite=suite)


def _index(recordings: Iterable[Recording]) -> Recordings:
    by_key: dict[tuple[Any, ...], Recording] = {}
    for recording in recordings:
        earlier = by_key.setdefault(_key(recording), recording)
        if earlier is not recording:
            problem = f"this answer was already recorded at {earlier.place}"
            raise InputError(problem, place=recording.place, next_step="keep one of the two lines")
    return Recordings(by_key)


def _key(recording: Recording) -> tuple[Any, ...]:
    if recording.digest is not None:
        return (recording.digest, recording.trial)
    return (recording.suite, recording.case_id, recording.model, recording.trial or 0, recording.turn)


def _files(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise NotFoundError(f"no recordings at {str(path)!r}", next_step="give a JSON Lines file or a folder of them")
    files = sorted(file for file in path.rglob("*") if file.name.endswith(_SUFFIXES) and file.is_file())
    if not files:
        problem = f"the folder {str(path)!r} holds no {' or '.join(_SUFFIXES)} file"
        raise NotFoundError(problem, next_step="give a JSON Lines file or a folder of them")
    return tuple(files)


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield (1-based number, line) without the blank ones."""
    number = 0
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield number, line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("this line is not UTF-8", place=_place(file, number), next_step="save it as UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        problem = f"cannot be read: {error}"
        raise InputError(problem, place=_place(file, number + 1), next_step="copy or record the file again") from error


def _place(file: Path, line: int) -> Place:
    return Place(file=str(file), line=line)


def _recording(line: str, *, place: Place, suite: str | None) -> Recording:
    row = _row(line, place=place)
    digest = _digest(row, place=place)
    recording = Recording(
        place=place,
        answer=_answer(row, place=place),
        model=_text(row, "model", place=place),
        digest=digest,
        suite=_text(row, "suite", place=place) or suite,
        case_id=_text(row, "case_id", place=place),
        trial=_whole(row, "trial", place=place),
        turn=_whole(row, "turn", place=place) or 0,
        latency_s=_amount(row, "latency_s", place=place),
        cost_usd=_amount(row, "cost_usd", place=place),
    )
    missing = [name for name in ("suite", "case_id", "model") if digest is None and not getattr(recording, name)]
    if missing:
        problem = f"the recording has neither a digest nor {' and '.join(missing)}"
        raise InputError(problem, place=place, next_step="name what it answers: suite, case_id, trial and model")
    return recording


def _row(line: str, *, place: Place) -> dict[str, Any]:
    try:
        row = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not a line of JSON: {error}", place=place, next_step="one object a line") from error
    if not isinstance(row, dict):
        raise InputError(f"{_shown(row)} is not a JSON object", place=place, next_step="one object a line")
    unknown = sorted(row.keys() - _KEYS)
    if unknown:
        problem = f"unknown key {unknown[0]!r} in a recording"
        raise InputError(problem, place=place, next_step=f"known keys: {', '.join(sorted(_KEYS))}")
    return row


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _answer(row: dict[str, Any], *, place: Place) -> RawAnswer | TextAnswer:
    if ("response" in row) == ("output" in row):
        problem = "a recording has exactly one of response and output"
        raise InputError(problem, place=place, next_step="response: the raw body; output: only the text")
    if "response" in row:
        return RawAnswer(body=_raw_body(row, place=place))
    output = row["output"]
    if output is not None and not isinstance(output, str):
        raise _wrong("output", output, "a string or null", place=place)
    usage = row.get("usage")
    if usage is not None and not isinstance(usage, dict):
        raise _wrong("usage", usage, "an object", place=place)
    finish_reason = _text(row, "finish_reason", place=place) if "finish_reason" in row else "stop"
    return TextAnswer(text=output, finish_reason=finish_reason, usage=usage)


def _raw_body(row: dict[str, Any], *, place: Place) -> bytes:
    beside = [name for name in ("finish_reason", "usage") if name in row]
    if beside:
        problem = f"{beside[0]} stands beside response, which says it itself"
        raise InputError(problem, place=place, next_step=f"take {beside[0]} out, or give output instead of response")
    response = row["response"]
    if isinstance(response, dict):
        # ASCII escapes carry what UTF-8 cannot, such as half of a surrogate pair.
        return json.dumps(response).encode("ascii")
    if isinstance(response, str):
        return response.encode("utf-8", "surrogatepass")
    raise _wrong("response", response, "an object or the body as text", place=place)


def _digest(row: dict[str, Any], *, place: Place) -> str | None:
    digest = _text(row, "digest", place=place)
    if digest is None:
        return None
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise _wrong("digest", digest, "64 lower-case hexadecimal digits", place=place)
    return match[1]


def _text(row: dict[str, Any], name: str, *, place: Place) -> str | None:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise _wrong(name, value, "a string", place=place)
    return value


def _whole(row: dict[str, Any], name: str, *, place: Place) -> int | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(name, value, "a whole number from 0", place=place)
    return value


def _amount(row: dict[str, Any], name: str, *, place: Place) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise _wrong(name, value, "a number from 0", place=place)
    return float(value)


def _wrong(name: str, value: Any, wanted: str, *, place: Place) -> InputError:
    return InputError(f"{name} is {_shown(value)}", place=place, next_step=f"{name} must be {wanted}")


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_LENGTH else f"{shown[:_SHOWN_LENGTH]}…"
