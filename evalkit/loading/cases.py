"""Cases from JSON Lines, CSV or the suite itself; validated all at once, and located only when one is wrong."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from evalkit.domain.suite import Case, long_scorers

# Case-level scorers take the same short forms as the suite's; the domain keeps their one meaning.
from evalkit.errors import InputError, Place
from evalkit.loading.files import MAX_CASES_BYTES, parse_json
from evalkit.loading.problems import MAX_SHOWN, Problems
from evalkit.loading.source import Node, plain, pointer_from
from evalkit.loading.validation import input_error_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evalkit.loading.files import ProjectFiles

__all__ = ["LocatedCases", "load_cases", "refuse_odd_scorers"]

_CASES = TypeAdapter(tuple[Case, ...])
_CSV_KEYS = ("id", "expected", "expect", "cluster", "tags")


@dataclass(frozen=True, slots=True)
class LocatedCases:
    """Cases, and where each was written."""

    cases: tuple[Case, ...]
    file: str
    lines: tuple[int, ...]
    """The first line of each case."""
    prefix: str = ""
    """Pointer of the list that holds them, when they are inline."""
    expecting: frozenset[int] = frozenset()
    """Positions of the cases that have the key `expected`, if only to say null."""

    def place(self, index: int, pointer: str = "") -> Place:
        """Return the place of the case at a position, or of a part of it."""
        return _place(self, index, pointer)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Raw cases before they are validated."""

    rows: list[Any]
    file: str
    lines: tuple[int, ...]
    prefix: str = ""


def _place(table: LocatedCases | _Rows, index: int, pointer: str) -> Place:
    inner = f"{table.prefix}/{index}{pointer}" if table.prefix else pointer
    return Place(file=table.file, line=table.lines[index], pointer=inner or None)


def load_cases(node: Node, files: ProjectFiles) -> LocatedCases:
    """Return the cases a suite's `cases` node gives: a list, or the name of a `.jsonl` or `.csv` file.

    Raises:
        ProjectErrors: with the first `MAX_SHOWN` problems, each with its line.
        InputError: when the file cannot be used at all.
    """
    rows = _rows_of(node, files)
    for index, row in enumerate(rows.rows):
        if isinstance(row, dict) and row.get("scorers"):
            refuse_odd_scorers(row["scorers"], place_of=partial(_scorer_place, rows, index))
            row["scorers"] = long_scorers(row["scorers"])
    try:
        cases = _CASES.validate_python(rows.rows)
    except ValidationError as error:
        _raise_located(error, rows)
        raise
    if not cases:
        raise InputError("there is no case", place=node.place, next_step="write at least one case")
    expecting = frozenset(index for index, row in enumerate(rows.rows) if "expected" in row)
    return LocatedCases(cases, rows.file, rows.lines, rows.prefix, expecting)


def _scorer_place(rows: _Rows, index: int, number: int) -> Place:
    return _place(rows, index, f"/scorers/{number}")


def refuse_odd_scorers(items: Any, *, place_of: Callable[[int], Place]) -> None:
    """Refuse a short scorer whose parameters are no mapping, which the domain's short form cannot read.

    Raises:
        InputError: at `place_of` its position, naming the scorer.
    """
    for number, item in enumerate(items if isinstance(items, list) else ()):
        if not isinstance(item, dict) or "name" in item or len(item) != 1:
            continue
        ((name, params),) = item.items()
        if not isinstance(params, dict | None):
            raise InputError(
                f"the parameters of the scorer {name!r} are {params!r:.100}, not a mapping",
                place=place_of(number),
                next_step=f"write `{name}: {{key: value}}`, or `{name}` alone",
            )


def _raise_located(error: ValidationError, rows: _Rows) -> None:
    problems = Problems()
    found = []
    for detail in error.errors(include_url=False):
        index, *inner = detail["loc"]
        place = _place(rows, int(index), pointer_from(inner))
        found.append(input_error_from(detail, place=place, adapter=_CASES))
    problems.add_few(found, what="problems in this file")
    problems.raise_if_any()


def _rows_of(node: Node, files: ProjectFiles) -> _Rows:
    if isinstance(node.value, list):
        lines = tuple(item.place.line or 1 for item in node.value)
        return _Rows(plain(node), node.place.file or "", lines, prefix=node.place.pointer or "/cases")
    if not isinstance(node.value, str):
        raise InputError(
            f"cases {plain(node)!r:.120} is neither a list nor a file name",
            place=node.place,
            next_step="write a list of cases, or the name of a .jsonl or .csv file",
        )
    name = files.find(node.value, beside=node.place.file or "", place=node.place)
    if not name.endswith((".jsonl", ".csv")):
        raise InputError(
            f"{node.value!r} is neither JSON Lines nor CSV", place=node.place, next_step="name it .jsonl or .csv"
        )
    text = files.read_text(name, max_bytes=MAX_CASES_BYTES)
    return _jsonl_rows(text, name) if name.endswith(".jsonl") else _csv_rows(text, name)


def _jsonl_rows(text: str, file: str) -> _Rows:
    before, bracket, _ = text.partition("[")
    if bracket and not before.strip():
        raise InputError(
            "a JSON array where JSON Lines are wanted",
            place=Place(file=file, line=1 + before.count("\n")),
            next_step="write one JSON object a line, without the [ ] around them and the commas between them",
        )
    problems = Problems()
    rows: list[Any] = []
    lines: list[int] = []
    # Only \n ends a line: JSON text may hold the other characters str.splitlines() would cut at.
    for line, written in enumerate(text.split("\n"), start=1):
        if not written.strip():
            continue
        with problems.collected():
            rows.append(parse_json(written, place=Place(file=file, line=line)))
            lines.append(line)
        if len(problems.found) > MAX_SHOWN:
            break
    problems.raise_if_any()
    return _Rows(rows, file, tuple(lines))


def _csv_rows(text: str, file: str) -> _Rows:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Any] = []
    lines: list[int] = []
    header: list[str] | None = None
    for line, cells in _csv_records(reader, file):
        place = Place(file=file, line=line)
        if header is None:
            header = _csv_header(cells, place)
        elif len(cells) != len(header):
            raise InputError(
                f"{len(cells)} cells under {len(header)} columns", place=place, next_step="quote cells that hold commas"
            )
        else:
            rows.append(_csv_case(dict(zip(header, cells, strict=True))))
            lines.append(line)
    return _Rows(rows, file, tuple(lines))


def _csv_records(reader: Any, file: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (first line, cells) of each record that is not blank."""
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"not valid CSV: {error}", place=Place(file=file, line=line), next_step="use JSON Lines for long text"
        ) from error


def _csv_header(cells: list[str], place: Place) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if names.count(name) > 1 or not name})
    if twice or "id" not in names:
        problem = f"the columns {twice} are repeated or have no name" if twice else "there is no column 'id'"
        raise InputError(problem, place=place, next_step=f"first line: id,…; own columns: {', '.join(_CSV_KEYS)}")
    return names


def _csv_case(row: dict[str, str]) -> dict[str, Any]:
    """Return the case of a record: its cells are text; an empty cell in a column of ours says nothing."""
    case: dict[str, Any] = {key: row[key] for key in _CSV_KEYS if row.get(key)}
    if "tags" in case:
        case["tags"] = [tag.strip() for tag in case["tags"].split(";") if tag.strip()]
    return {**case, "vars": {name: cell for name, cell in row.items() if name not in _CSV_KEYS}}
