"""What `evalkit judge check` found, and the labelled answers it is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from evalkit.canonical import digest_of
from evalkit.domain.judging import Label, Labels, Qualification
from evalkit.errors import InputError, NotFoundError, Place
from evalkit.loading.files import parse_json
from evalkit.loading.problems import Problems
from evalkit.loading.source import pointer_from
from evalkit.loading.validation import input_error_from, mapping_in, validated

if TYPE_CHECKING:
    from pathlib import Path

    from evalkit.domain.suite import Suite
    from evalkit.loading.files import ProjectFiles

__all__ = ["load_labels", "load_qualifications", "qualification_name"]

_PATTERN = "judges/*.qualification.json"
_MAX_BYTES = 256 * 2**20


_QUALIFICATION = TypeAdapter(Qualification)
_LABEL = TypeAdapter(Label)


def qualification_name(suite: str, metric: str) -> str:
    """Return the name, relative to the project, of the file that says how a suite's judge did."""
    return f"judges/{suite}.{metric}.qualification.json"


def load_qualifications(files: ProjectFiles) -> tuple[Qualification, ...]:
    """Return every qualification of the project, by name of file.

    Raises:
        ProjectErrors: for everything that is wrong in them, also one that lies under the name of another.
    """
    problems = Problems()
    found: list[Qualification] = []
    for path in sorted(files.root.glob(_PATTERN)):
        name = files.name_of(path)
        with problems.collected():
            document = mapping_in(files.read_yaml(files.find(name)), what="a qualification")
            qualification = validated(_QUALIFICATION, document)
            wanted = qualification_name(qualification.suite, qualification.metric)
            if name != wanted:
                step = f"its name is {wanted}; write it again with `evalkit judge check`"
                raise InputError("the file is of another suite or metric", place=Place(file=name), next_step=step)
            found.append(qualification)
    problems.raise_if_any()
    return tuple(found)


def load_labels(path: Path, suite: Suite) -> Labels:
    """Return the labelled answers of a file for a suite.

    Raises:
        NotFoundError: when there is no such file.
        ProjectErrors: for every line that is wrong, of a case the suite does not have, or labels an answer twice.
    """
    problems = Problems()
    known = {case.id for case in suite.active_cases}
    found: dict[tuple[str, str, str], Label] = {}
    for number, line in enumerate(_lines(path), 1):
        place = Place(file=str(path), line=number)
        if not line.strip():
            continue
        with problems.collected():
            label = _label(line, place)
            key = (label.case_id, label.model, label.answer)
            if label.case_id not in known:
                step = "label answers to active cases of this suite"
                raise InputError(f"the suite has no case {label.case_id!r}", place=place, next_step=step)
            if key in found:
                raise InputError("this answer is labelled twice", place=place, next_step="keep one of the two lines")
            found[key] = label
    problems.raise_if_any()
    if not found:
        raise InputError("there is no label", place=Place(file=str(path)), next_step="write one JSON object a line")
    labels = tuple(found.values())
    return Labels(labels, digest_of([label.model_dump() for label in labels]))


def _label(line: str, place: Place) -> Label:
    try:
        return _LABEL.validate_python(parse_json(line, place=place))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = Place(file=place.file, line=place.line, pointer=pointer_from(first["loc"]) or None)
        raise input_error_from(first, place=at, adapter=_LABEL) from error


def _lines(path: Path) -> list[str]:
    place = Place(file=str(path))
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"larger than {_MAX_BYTES:,} bytes", place=place, next_step="split the file")
        # Only "\n" ends a line: an answer may hold every other line break there is.
        return path.read_bytes().decode("utf-8-sig").split("\n")
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no labels file {str(path)!r}", next_step="give its path by --labels") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", place=place, next_step="check its permissions") from error
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8", place=place, next_step="save the file as UTF-8") from error
