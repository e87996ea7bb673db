"""One suite file, with what it extends, its prompt files, its schema and its cases read in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from evalkit.domain.suite import Case, Suite
from evalkit.errors import InputError, Place
from evalkit.loading.cases import load_cases, refuse_odd_scorers
from evalkit.loading.problems import Problems
from evalkit.loading.repeats import with_repeats_clustered
from evalkit.loading.source import Node, merged, node_at, place_at, plain, with_value
from evalkit.loading.validation import mapping_in, shown, validated

if TYPE_CHECKING:
    from evalkit.loading.cases import LocatedCases
    from evalkit.loading.files import ProjectFiles

__all__ = ["LoadedSuite", "load_suite"]

_SUITE = TypeAdapter(Suite)
_STAND_IN = (Case(id="stand-in"),)
_FILE_PREFIX = "file:"


@dataclass(frozen=True, slots=True)
class LoadedSuite:
    """A suite, and where everything in it was written."""

    suite: Suite
    file: str
    document: Node
    """Resolved: what it extends is merged in."""
    cases: LocatedCases

    def place(self, *keys: str | int) -> Place:
        """Return the place of a part of the suite file."""
        return place_at(self.document, *keys)

    @property
    def active(self) -> tuple[tuple[int, Case], ...]:
        """Position and case of every case that is not skipped."""
        return tuple((i, case) for i, case in enumerate(self.suite.cases) if case.skip is None)


def load_suite(name: str, files: ProjectFiles) -> LoadedSuite:
    """Return the suite of the file `name`; nothing in it has been checked against other files yet.

    Raises:
        ProjectErrors: for everything that is wrong in the suite file and its cases.
    """
    problems = Problems()
    document = _extended(name, files, above=())
    for keys in (("request", "system"), ("request", "prompt")):
        with problems.collected():
            document = _with_text_file(document, *keys, files=files)
    document = _with_schema_file(document, files, problems)
    cases = None
    if "cases" in document.value:
        with problems.collected():
            cases = load_cases(document.value["cases"], files)
        # Wrong cases must not hide what else is wrong in the suite file.
        values: Any = cases.cases if cases else _STAND_IN
        document = with_value(document, "cases", value=Node(values, document.value["cases"].place))
    with problems.collected():
        refuse_odd_scorers(_plain_at(document, "scorers"), place_of=partial(place_at, document, "scorers"))
        suite = with_repeats_clustered(validated(_SUITE, document, read_before={"": "extends"}))
    problems.raise_if_any()
    if cases is None:  # a suite without the key was refused above
        raise AssertionError(name)
    return LoadedSuite(suite, name, document, cases)


def _extended(name: str, files: ProjectFiles, *, above: tuple[str, ...]) -> Node:
    document = mapping_in(files.read_yaml(name), what="a suite")
    written = document.value.get("extends")
    if written is None:
        return document
    rest = Node({key: child for key, child in document.value.items() if key != "extends"}, document.place)
    if not isinstance(written.value, str):
        raise InputError(f"extends {shown(plain(written))} is not a file name", place=written.place,
                         next_step="give one path, relative to this file")  # fmt: skip
    base = files.find(written.value, beside=name, place=written.place)
    if base in {*above, name}:
        circle = " → ".join((*above, name, base))
        raise InputError(f"extends goes in a circle: {circle}", place=written.place, next_step="break the circle")
    return merged(_extended(base, files, above=(*above, name)), rest)


def _plain_at(document: Node, *keys: str) -> Any:
    node, n_found = node_at(document, *keys)
    return plain(node) if n_found == len(keys) else None


def _with_text_file(document: Node, *keys: str, files: ProjectFiles) -> Node:
    """Replace `file:PATH` by the text of the file, to the last byte; the path is relative to the file that says it."""
    node, n_found = node_at(document, *keys)
    if n_found < len(keys) or not isinstance(node.value, str) or not node.value.startswith(_FILE_PREFIX):
        return document
    path = node.value.removeprefix(_FILE_PREFIX).strip()
    name = files.find(path, beside=node.place.file or "", place=node.place)
    return with_value(document, *keys, value=Node(files.read_text(name), Place(file=name)))


def _with_schema_file(document: Node, files: ProjectFiles, problems: Problems) -> Node:
    keys = ("request", "response", "schema")
    node, n_found = node_at(document, *keys)
    if n_found < len(keys) or not isinstance(node.value, str):
        return document
    # A schema that cannot be read is told once: the empty one in its place is right everywhere else.
    schema = Node({}, node.place)
    with problems.collected():
        name = files.find(node.value, beside=node.place.file or "", place=node.place)
        schema = Node(_object_in(name, files), Place(file=name))
    return with_value(document, *keys, value=schema)


def _object_in(name: str, files: ProjectFiles) -> dict[str, Any]:
    schema = files.read_json(name)
    if not isinstance(schema, dict):
        raise InputError(
            f"a JSON Schema is an object, not {shown(schema)}", place=Place(file=name), next_step="write {…}"
        )
    return schema
