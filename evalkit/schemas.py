r"""The one door to JSON Schema: compile, check, explain, and lint for providers' strict subsets.

jsonschema is the reference. jsonschema-rs is about a hundred times faster and may *accept* first; only jsonschema
rejects, so a difference between the two can never fail a model. Nothing here ever reaches a network: a `$ref` that
does not start with `#` is refused, and neither validator is given a way to fetch one.

Values come from models and are hostile. Patterns run in `regex` with a time limit, uniqueness is checked by hashing
instead of by pairs, and a value nested too deeply is a violation, never a crash.

Where the two validators are known to differ (jsonschema's reading counts unless jsonschema-rs accepts first):
`\d` and `\w` are Unicode here and ASCII there; `$` also matches before a last line break here; formats such as
`email`, `hostname` and `uri` are looser here; formats neither knows are ignored by both.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn, final

import jsonschema_rs
import regex
from jsonschema import validators
from jsonschema.exceptions import best_match

# jsonschema's own companion has no types
from jsonschema_specifications import REGISTRY as SPECIFICATIONS
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from evalkit._schemas.keywords import FORMATS, PATTERN_LIMIT_S, checking, shorten
from evalkit._schemas.portability import Finding, Provider, portability_findings
from evalkit._schemas.walk import pointer_to, subschemas
from evalkit.errors import InputError, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jsonschema.exceptions import ValidationError
    from referencing import Resource

__all__ = [
    "CompiledSchema",
    "Finding",
    "Provider",
    "Violation",
    "check_schema",
    "compile_schema",
    "portability_findings",
]

_PROBE_LIMIT_S = 0.05
_PROBE_LENGTH = 2_000
_CACHE_SIZE = 256
_REPEAT = re.compile(r"[*+{]")
_PROBES: tuple[Any, ...] = (None, {}, [], "", 0)
_DEFAULT_DRAFT = validators.Draft202012Validator
_TOO_DEEP = "nested too deeply to check"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One way in which a value breaks its schema."""

    pointer: str
    """RFC 6901 pointer into the value; empty for the value itself."""
    message: str
    """At most 200 characters; may quote the model."""
    keyword: str
    """The schema keyword that was broken; empty when the value could not be checked at all."""


@final
class CompiledSchema:
    """A schema ready to check values; make one with `compile_schema`."""

    __slots__ = ("_fast", "_reference")

    def __init__(self, fast: Any, reference: Any) -> None:
        self._fast = fast
        self._reference = reference

    def is_valid(self, value: Any) -> bool:
        """Return whether the value satisfies the schema, formats included."""
        return self._accepts_fast(value) or not self._violations(value, limit=1)

    def violations(self, value: Any, limit: int = 20) -> tuple[Violation, ...]:
        """Return the first violations in a fixed order; empty exactly when `is_valid`."""
        return () if self._accepts_fast(value) else self._violations(value, limit=limit)

    def _accepts_fast(self, value: Any) -> bool:
        try:
            return self._fast is not None and bool(self._fast.is_valid(value))
        except ValueError:  # it cannot read the value at all: ask the reference
            return False

    def _violations(self, value: Any, *, limit: int) -> tuple[Violation, ...]:
        try:
            return tuple(map(_violation, islice(self._reference.iter_errors(value), limit)))
        except RecursionError:
            return (Violation(pointer="", message=_TOO_DEEP, keyword=""),)
        except TimeoutError:
            message = f"a string took longer than {PATTERN_LIMIT_S} s to match"
            return (Violation(pointer="", message=message, keyword="pattern"),)
        except Unresolvable as error:
            return (Violation(pointer="", message=shorten(str(error)), keyword="$ref"),)
        except (ArithmeticError, ValueError) as error:  # huge numbers against `multipleOf`, NaN
            return (Violation(pointer="", message=shorten(f"cannot be checked: {error}"), keyword=""),)


def compile_schema(schema: Mapping[str, Any]) -> CompiledSchema:
    """Return the compiled schema; equal schemas, whatever their key order, are compiled once.

    Draft 2020-12 unless `$schema` names another.

    Raises:
        InputError: when the schema is no JSON Schema; the place is the pointer into the schema.
    """
    try:
        text = json.dumps(schema, sort_keys=True, allow_nan=False)
        return _compile(text)
    except RecursionError:
        _refuse(f"the schema is {_TOO_DEEP}", pointer="", next_step="flatten it with $defs and $ref")
    except (TypeError, ValueError) as error:
        _refuse(f"the schema is not JSON: {error}", pointer="", next_step="use only what JSON can say")


def check_schema(schema: Mapping[str, Any], *, place: Place) -> None:
    """Accept a schema that can be used to judge models.

    Every `pattern` is run on strings made to upset it (its own characters, thousands of times, then something
    else); one that takes longer than 50 ms is refused.

    Raises:
        InputError: for a schema that does not compile, a remote or dangling `$ref`, an unknown draft, a pattern
            that is slow, or a reference that never ends. `place` is extended by the pointer into the schema.
    """
    try:
        compile_schema(schema)
    except InputError as error:
        within = error.place.pointer if error.place else ""
        pointer = f"{place.pointer or ''}{within or ''}"
        raise InputError(error.problem, place=replace(place, pointer=pointer), next_step=error.next_step) from error


@lru_cache(maxsize=_CACHE_SIZE)
def _compile(text: str) -> CompiledSchema:
    """Compile from text, so that nobody can change the cached schema afterwards."""
    schema = json.loads(text)
    if not isinstance(schema, dict):
        _refuse(f"a schema is an object, not {shorten(text)}", pointer="", next_step="write {} to allow anything")
    cls = _draft(schema)
    _check_remote(schema)
    _check_meta(schema, cls)
    _check_patterns(schema)
    reference = checking(cls)(schema, registry=SPECIFICATIONS, format_checker=FORMATS)
    _check_local(schema, cls)
    _check_ends(reference)
    return CompiledSchema(_fast(schema), reference)


def _fast(schema: Any) -> Any:
    try:
        return jsonschema_rs.validator_for(schema, validate_formats=True, retriever=_never)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):  # the reference alone will do
        return None


def _never(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is remote")


def _draft(schema: Mapping[str, Any]) -> Any:
    named = schema.get("$schema")
    if named is None:
        return _DEFAULT_DRAFT
    found = validators.validator_for({"$schema": named}, default=None) if isinstance(named, str) else None
    if found is None:
        step = f"leave it out, or write {_DEFAULT_DRAFT.META_SCHEMA['$id']!r}"
        _refuse(f"unknown draft {shorten(repr(named))}", pointer="/$schema", next_step=step)
    return found


def _check_remote(schema: Mapping[str, Any]) -> None:
    for node in subschemas(schema):
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            target = node.schema.get(keyword)
            if isinstance(target, str) and not target.startswith("#"):
                pointer = node.pointer + pointer_to(keyword)
                step = "copy what it names into $defs and write #/$defs/NAME"
                _refuse(f"{keyword} {shorten(repr(target))} is not local", pointer=pointer, next_step=step)


def _check_meta(schema: Mapping[str, Any], cls: Any) -> None:
    checker = cls(cls.META_SCHEMA, registry=SPECIFICATIONS)
    error = best_match(checker.iter_errors(schema))
    if error is not None:
        pointer = pointer_to(*error.absolute_path)
        _refuse(f"not a JSON Schema: {shorten(error.message)}", pointer=pointer, next_step="correct the keyword")


def _check_patterns(schema: Mapping[str, Any]) -> None:
    for node in subschemas(schema):
        if isinstance(node.schema.get("pattern"), str):
            _check_pattern(node.schema["pattern"], pointer=node.pointer + "/pattern")
        for pattern in node.schema.get("patternProperties", ()):
            pointer = node.pointer + pointer_to("patternProperties", pattern)
            _check_pattern(pattern, pointer=pointer)
    if "unevaluatedProperties" in json.dumps(schema):
        # Also where only a `$ref` leads, and no keyword says that a schema stands there.
        for pattern in _name_patterns(schema):
            _check_is_linear(pattern, pointer="")


def _name_patterns(schema: Any) -> Iterator[str]:
    left = [schema]
    while left:
        here = left.pop()
        if isinstance(here, dict):
            patterns = here.get("patternProperties")
            yield from patterns if isinstance(patterns, dict) else ()
        left += here.values() if isinstance(here, dict) else here if isinstance(here, list) else ()


def _compile_pattern(compile_with: Callable[[str], Any], pattern: str, *, pointer: str) -> Any:
    try:
        return compile_with(pattern)
    except (regex.error, re.error) as error:
        problem = f"the pattern {shorten(repr(pattern))} does not compile: {error}"
        _refuse(problem, pointer=pointer, next_step="write it in the syntax Python and ECMAScript share")


def _check_is_linear(pattern: str, *, pointer: str) -> None:
    """Refuse what could take long in `re`: `unevaluatedProperties` of jsonschema uses it, and it has no time limit.

    Without groups, one repeat after an anchor, or none at all, looks at each character of a name once.
    """
    _compile_pattern(re.compile, pattern, pointer=pointer)
    n_repeats = len(_REPEAT.findall(pattern))
    if "(" in pattern or n_repeats > pattern.startswith("^"):
        problem = f"beside unevaluatedProperties the pattern {shorten(repr(pattern))} could take for ever on some names"
        step = "close the object with additionalProperties, or write a pattern of one repeat after ^ and no group"
        _refuse(problem, pointer=pointer, next_step=step)


def _check_pattern(pattern: str, *, pointer: str) -> None:
    compiled = _compile_pattern(regex.compile, pattern, pointer=pointer)
    try:
        for letter in sorted({*pattern, *"a0 -_.A\n"})[:64]:
            compiled.search(letter * _PROBE_LENGTH + "\x00", timeout=_PROBE_LIMIT_S)
    except TimeoutError:
        problem = f"the pattern {shorten(repr(pattern))} needs more than {_PROBE_LIMIT_S} s on a hostile string"
        step = "anchor it with ^ and avoid repeats inside repeats, such as (a+)+"
        _refuse(problem, pointer=pointer, next_step=step)


def _check_local(schema: Mapping[str, Any], cls: Any) -> None:
    specification = specification_with(cls.META_SCHEMA.get("$id") or cls.META_SCHEMA["id"])
    resource = specification.create_resource(schema)
    uri = resource.id() or ""
    _check_resource(resource, SPECIFICATIONS.with_resource(uri, resource).resolver(uri))


def _check_resource(resource: Resource[Any], resolver: Any) -> None:
    contents = resource.contents
    target = contents.get("$ref") if isinstance(contents, dict) else None
    try:
        if isinstance(target, str):
            resolver.lookup(target)
    except Unresolvable:
        _refuse(f"$ref {shorten(repr(target))} leads nowhere", pointer="", next_step="define it under $defs")
    for inner in resource.subresources():
        _check_resource(inner, resolver.in_subresource(inner))


def _check_ends(reference: Any) -> None:
    try:
        for probe in _PROBES:
            next(reference.iter_errors(probe), None)
    except RecursionError:
        step = "let each turn of the loop go through properties or items"
        _refuse("a $ref leads back to itself without end", pointer="", next_step=step)
    except Unresolvable as error:  # hidden where no subschema stands
        _refuse(f"$ref {shorten(error.ref)} leads nowhere", pointer="", next_step="define it under $defs")


def _violation(error: ValidationError) -> Violation:
    pointer = pointer_to(*error.absolute_path)
    return Violation(pointer=shorten(pointer), message=shorten(error.message), keyword=str(error.validator))


def _refuse(problem: str, *, pointer: str, next_step: str) -> NoReturn:
    raise InputError(problem, place=Place(pointer=pointer), next_step=next_step)
