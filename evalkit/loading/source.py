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
    from collections.abc import Iterator, Sequence

__all__ = ["Node", "merged", "node_at", "parse_yaml", "place_at", "plain", "pointer_from", "with_value"]

MAX_DEPTH = 64
"""Levels of nesting in a document."""
MAX_ALIASED = 10_000
"""Nodes that aliases may repeat in one document; a short file must not unfold into a huge one."""

_EXACT_INTEGER = 2**53 - 1
_CORE = re.compile(
    r"(?P<null>~|null|Null|NULL|)"
    r"|(?P<bool>true|True|TRUE|false|False|FALSE)"
    r"|(?P<int>[-+]?[0-9]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
)
_TAGS = "tag:yaml.org,2002:"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


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
        return _Reader(text, file=file).document()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise _wrong_yaml(f"{error.problem or error.context}", Place(file=file, line=line)) from error
    except yaml.YAMLError as error:
        raise _wrong_yaml(str(error).splitlines()[0], Place(file=file)) from error


def _wrong_yaml(problem: str, place: Place) -> InputError:
    return InputError(f"not valid YAML: {problem}", place=place, next_step="check indentation, quotes and brackets")


def _too_deep(place: Place) -> InputError:
    return InputError(f"nested more than {MAX_DEPTH} levels deep", place=place, next_step="flatten the document")


class _Reader:
    """Builds nodes from the parser's events as they come: what is too deep or unfolds too far is never built.

    Composing is not left to libyaml, which needs one C stack frame a level and none of these bounds.
    """

    def __init__(self, text: str, *, file: str) -> None:
        # libyaml, several times faster, refuses the surrogate pairs that JSON's escapes write.
        is_fast = yaml.__with_libyaml__ and not _SURROGATE.search(text)
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader if is_fast else yaml.SafeLoader)
        self._file = file
        self._anchored: dict[str, Node] = {}
        self._n_aliased = 0

    def document(self) -> Node:
        """Return the only document; null for an empty file."""
        next(self._events)  # the stream begins
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return Node(None, Place(file=self._file, line=1, pointer=""))
        root = self._node(next(self._events), pointer="", depth=0)
        next(self._events)  # the document ends
        if not isinstance(event := next(self._events), yaml.StreamEndEvent):
            place = Place(file=self._file, line=event.start_mark.line + 1)
            raise _wrong_yaml("a second document begins", place)
        return root

    def _node(self, event: Any, *, pointer: str, depth: int, line: int | None = None) -> Node:
        place = Place(file=self._file, line=line or event.start_mark.line + 1, pointer=pointer)
        if depth > MAX_DEPTH:
            raise _too_deep(place)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchored:
                raise _wrong_yaml(f"the alias *{event.anchor} names nothing before it", place)
            return self._repeated(self._anchored[event.anchor], place, depth=depth)
        node = Node(self._value(event, place, depth=depth), place)
        if event.anchor:
            self._anchored[event.anchor] = node
        return node

    def _value(self, event: Any, place: Place, *, depth: int) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event, place)
        if event.tag not in {None, "!", f"{_TAGS}map", f"{_TAGS}seq"}:
            raise _wrong_tag(event.tag, place)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(place.pointer or "", depth=depth)
        return self._sequence(place.pointer or "", depth=depth)

    def _sequence(self, pointer: str, *, depth: int) -> list[Node]:
        found: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._node(event, pointer=f"{pointer}/{len(found)}", depth=depth + 1))
        return found

    def _mapping(self, pointer: str, *, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, pointer=pointer, depth=depth)
            place = Place(file=self._file, line=event.start_mark.line + 1, pointer=pointer)
            if key in found:
                first = found[key].place.line
                raise InputError(f"the key {key!r} is given twice (first on line {first})", place=place,
                                 next_step="keep one of the two")  # fmt: skip
            # What stands under a key is found by the line of the key, wherever the value itself begins.
            inner = f"{pointer}/{_escaped(key)}"
            found[key] = self._node(next(self._events), pointer=inner, depth=depth + 1, line=place.line)
        return found

    def _key(self, event: Any, *, pointer: str, depth: int) -> str:
        node = self._node(event, pointer=pointer, depth=depth + 1)
        if not isinstance(node.value, str):
            shown = repr(event.value) if isinstance(event, yaml.ScalarEvent) else "(a list or mapping)"
            raise InputError(f"the key {shown} is not text", place=node.place, next_step="put the key in quotes")
        if node.value == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
            raise InputError("the merge key << is not supported", place=node.place, next_step="use extends or defaults")
        return node.value

    def _repeated(self, node: Node, place: Place, *, depth: int) -> Node:
        """Return the node as if it had been written at the place."""
        self._n_aliased += 1
        if self._n_aliased > MAX_ALIASED:
            raise InputError(
                f"aliases repeat more than {MAX_ALIASED:,} values", place=place, next_step="write the values out"
            )
        if depth > MAX_DEPTH:
            raise _too_deep(place)
        if isinstance(node.value, dict):
            return Node({key: self._below(child, place, key, depth=depth) for key, child in node.value.items()}, place)
        if isinstance(node.value, list):
            return Node([self._below(child, place, at, depth=depth) for at, child in enumerate(node.value)], place)
        return Node(node.value, place)

    def _below(self, child: Node, place: Place, key: str | int, *, depth: int) -> Node:
        inner = Place(file=self._file, line=child.place.line, pointer=f"{place.pointer}/{_escaped(str(key))}")
        return self._repeated(child, inner, depth=depth + 1)


def _scalar(event: yaml.ScalarEvent, place: Place) -> Any:
    text = event.value
    match _kind(event):
        case "str":
            return _text(text, place)
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int" | "float" as kind:
            return _number(text, place, is_integer=kind == "int")
        case _:
            raise _wrong_tag(event.tag, place)


def _kind(event: yaml.ScalarEvent) -> str:
    """Return the name of a scalar's tag in the core schema, written or resolved."""
    if event.tag is not None:
        return "str" if event.tag == "!" else event.tag.removeprefix(_TAGS)
    found = _CORE.fullmatch(event.value) if event.implicit[0] else None
    return (found.lastgroup if found else None) or "str"


def _wrong_tag(tag: str | None, place: Place) -> InputError:
    return InputError(f"the tag {tag!r} is not allowed", place=place, next_step="write plain JSON values")


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
