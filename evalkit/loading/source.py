"""YAML as a tree that knows where each value was written.

A merged document (`extends`, `defaults`) still points at the file and line a value came from, because every node
carries its own place. The reader takes the core schema of YAML 1.2, as editors do: `no` and `2026-01-01` are text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from evalkit.errors import InputError, Place

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Node", "merged", "node_at", "parse_yaml", "place_at", "plain", "pointer_from", "with_value"]

MAX_DEPTH = 64
"""Levels of nesting in a document."""
MAX_ALIASED = 10_000
"""Nodes that aliases may repeat in one document; a short file must not unfold into a huge one."""

_EXACT_INTEGER = 2**53 - 1
_TEXT, _INTEGER, _FLOAT = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_NULL, _BOOLEAN = "tag:yaml.org,2002:null", "tag:yaml.org,2002:bool"


class _CoreLoader(yaml.SafeLoader):
    """PyYAML's scanner with the tags of YAML 1.2's core schema. Only ever used to compose, never to construct."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  declared by PyYAML as a class attribute


for _tag, _pattern, _first in (
    (_NULL, r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    (_BOOLEAN, r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    (_INTEGER, r"^[-+]?[0-9]+$", list("-+0123456789")),
    (_FLOAT, r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
):
    _CoreLoader.add_implicit_resolver(_tag, re.compile(_pattern), _first)


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it was written. A mapping or list holds nodes; anything else is a plain JSON value."""

    value: Any
    place: Place


def parse_yaml(text: str, *, file: str) -> Node:
    """Return the document as a tree of nodes; an empty document is null.

    Raises:
        InputError: for text that is not one YAML document of JSON values, a key given twice, a merge key, more than
            `MAX_DEPTH` levels, or aliases that repeat more than `MAX_ALIASED` nodes.
    """
    try:
        root = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise _wrong_yaml(f"{error.problem or error.context}", Place(file=file, line=line)) from error
    except yaml.YAMLError as error:
        raise _wrong_yaml(str(error).splitlines()[0], Place(file=file)) from error
    except RecursionError:
        raise _too_deep(Place(file=file)) from None
    if root is None:
        return Node(None, Place(file=file, line=1, pointer=""))
    return _Reader(file).node(root, pointer="", depth=0)


def _wrong_yaml(problem: str, place: Place) -> InputError:
    return InputError(f"not valid YAML: {problem}", place=place, next_step="check indentation, quotes and brackets")


def _too_deep(place: Place) -> InputError:
    return InputError(f"nested more than {MAX_DEPTH} levels deep", place=place, next_step="flatten the document")


class _Reader:
    """Turns PyYAML's nodes into ours; counts what aliases repeat."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._seen: set[int] = set()
        self._n_aliased = 0

    def node(self, source: yaml.Node, *, pointer: str, depth: int, line: int | None = None) -> Node:
        place = Place(file=self._file, line=line or source.start_mark.line + 1, pointer=pointer)
        if depth > MAX_DEPTH:
            raise _too_deep(place)
        self._count(source, place)
        if isinstance(source, yaml.MappingNode):
            return Node(self._mapping(source, pointer=pointer, depth=depth), place)
        if isinstance(source, yaml.SequenceNode):
            items = enumerate(source.value)
            return Node([self.node(v, pointer=f"{pointer}/{i}", depth=depth + 1) for i, v in items], place)
        return Node(_scalar(source, place), place)

    def _count(self, source: yaml.Node, place: Place) -> None:
        self._n_aliased += id(source) in self._seen
        self._seen.add(id(source))
        if self._n_aliased > MAX_ALIASED:
            raise InputError(
                f"aliases repeat more than {MAX_ALIASED:,} values", place=place, next_step="write the values out"
            )

    def _mapping(self, source: yaml.MappingNode, *, pointer: str, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for key_node, value_node in source.value:
            place = Place(file=self._file, line=key_node.start_mark.line + 1, pointer=pointer)
            key = _key(key_node, place)
            if key in found:
                first = found[key].place.line
                raise InputError(f"the key {key!r} is given twice (first on line {first})", place=place,
                                 next_step="keep one of the two")  # fmt: skip
            # What stands under a key is found by the line of the key, wherever the value itself begins.
            inner = f"{pointer}/{_escaped(key)}"
            found[key] = self.node(value_node, pointer=inner, depth=depth + 1, line=place.line)
        return found


def _key(source: yaml.Node, place: Place) -> str:
    if not isinstance(source, yaml.ScalarNode) or source.tag != _TEXT:
        shown = repr(source.value) if isinstance(source, yaml.ScalarNode) else "(a list or mapping)"
        raise InputError(f"the key {shown} is not text", place=place, next_step="put the key in quotes")
    if source.value == "<<" and source.style is None:
        raise InputError("the merge key << is not supported", place=place, next_step="use extends or defaults")
    return _text(source.value, place)


def _scalar(source: yaml.Node, place: Place) -> Any:
    text = source.value
    if source.tag == _TEXT:
        return _text(text, place)
    if source.tag == _NULL:
        return None
    if source.tag == _BOOLEAN:
        return text.lower() == "true"
    if source.tag not in {_INTEGER, _FLOAT}:
        raise InputError(f"the tag {source.tag!r} is not allowed", place=place, next_step="write plain JSON values")
    return _number(text, place, is_integer=source.tag == _INTEGER)


def _text(text: str, place: Place) -> str:
    """Join the surrogate pairs that JSON's escapes write; PyYAML leaves them as two characters nothing can encode."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise InputError("a lone surrogate escape", place=place, next_step="write the character itself") from error


def _number(text: str, place: Place, *, is_integer: bool) -> int | float:
    try:
        number = int(text) if is_integer else float(text)
    except ValueError as error:
        raise InputError(f"{text[:40]!r} is not a number", place=place, next_step="put text in quotes") from error
    if abs(number) > (_EXACT_INTEGER if is_integer else 1e308):
        raise InputError(
            f"the number {text[:40]} is beyond what JSON carries exactly", place=place, next_step="put it in quotes"
        )
    return number


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def pointer_from(keys: Sequence[str | int]) -> str:
    """Return the RFC 6901 pointer of a path of keys; the whole document is the empty text."""
    return "".join(f"/{_escaped(str(key))}" for key in keys)


def plain(node: Node) -> Any:
    """Return the values without their places."""
    if isinstance(node.value, dict):
        return {key: plain(child) if isinstance(child, Node) else child for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) if isinstance(child, Node) else child for child in node.value]
    return node.value


def node_at(node: Node, *keys: str | int) -> tuple[Node, int]:
    """Return the deepest node along the keys, and how many of them led there."""
    for n_found, key in enumerate(keys):
        child = _child(node, key)
        if child is None:
            return node, n_found
        node = child
    return node, len(keys)


def place_at(node: Node, *keys: str | int) -> Place:
    """Return the place of the node at the keys, or of the deepest one on the way there."""
    return node_at(node, *keys)[0].place


def _child(node: Node, key: str | int) -> Node | None:
    inner: Any = None
    if isinstance(node.value, dict):
        inner = node.value.get(key)
    elif isinstance(node.value, list) and isinstance(key, int) and key < len(node.value):
        inner = node.value[key]
    return inner if isinstance(inner, Node) else None


def with_value(node: Node, *keys: str, value: Node) -> Node:
    """Return the tree with the node at the keys, which are all mapping keys, replaced."""
    if not keys:
        return value
    children = {**node.value, keys[0]: with_value(node.value[keys[0]], *keys[1:], value=value)}
    return Node(children, node.place)


def merged(under: Node, over: Node) -> Node:
    """Return `over` laid on `under`: mappings merge key by key, anything else replaces what is under it."""
    if not (isinstance(under.value, dict) and isinstance(over.value, dict)):
        return over
    children = dict(under.value)
    for key, child in over.value.items():
        children[key] = merged(children[key], child) if key in children else child
    return Node(children, over.place)
