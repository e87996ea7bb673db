"""Mistakes worth catching: a wrong answer that looks right, and one whose shape is not what was asked for.

The two are kept apart, as they are in life: a model that confuses two labels and one that invents a third are
different problems, and a metric that cannot tell them apart is broken.
"""

from __future__ import annotations

import copy
import json
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evalkit.simulator.book import Question
    from evalkit.simulator.dice import Dice

__all__ = ["as_text", "broken_answer", "instance_of", "wrong_answer"]

_ENCODER = json.JSONEncoder(ensure_ascii=False)
_MAX_DEPTH = 32
"""A schema that refers to itself has to end somewhere."""
_ABSTENTION = "not in the text"
_INVENTED = ("14 days", "Rowan Ellery", "EUR 45", "the north desk", "Tuesday", "at noon")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBER = re.compile(r"\d+")

Path = tuple[str | int, ...]


def wrong_answer(question: Question, dice: Dice, *, slip_share: float) -> Any:
    """Return an answer of the right shape that is not right.

    `slip_share` of the leaves differ, at least one; where the task is scored on named keys, all of those do. A slip in
    prose may leave it right, so prose gives way to an answer the suite knows to be wrong, where it names one.
    """
    right = question.right_answer
    if isinstance(right, str) and question.known_bad is not None and not question.labels:
        return question.known_bad
    if not isinstance(right, (dict, list)):
        return _other(right, dice, name="whole", options=question.labels)
    answer = copy.deepcopy(right)
    leaves = list(_leaves(answer))
    chosen = [path for path in leaves if path and path[0] in question.decisive]
    if not chosen:
        ranked = sorted(leaves, key=lambda path: dice.share(f"slip:{path}"))
        chosen = ranked[: max(1, round(slip_share * len(leaves)))]
    for path in chosen:
        node = _node_at(question.schema, path)
        options = tuple(node.get("enum") or question.labels)
        value = _at(answer, path)
        other = _instead_of_null(node) if value is None else _other(value, dice, name=f"{path}", options=options)
        _put(answer, path, other)
    return answer


def broken_answer(question: Question, dice: Dice) -> Any:
    """Return the right answer with its shape spoilt: a key missing, a key too many, or another type."""
    answer = copy.deepcopy(question.right_answer)
    if not isinstance(answer, dict) or not answer:
        return {"result": answer}
    way = dice.pick("broken", ("missing", "extra", "type"))
    key = dice.pick("broken key", sorted(answer))
    if way == "missing":
        del answer[key]
    elif way == "extra":
        answer["confidence"] = 0.93
    else:
        answer[key] = {"value": answer[key]}
    return answer


def instance_of(schema: dict[str, Any] | None, depth: int = 0) -> Any:
    """Return something plain that fits a schema of the portable subset: what a model says that knows nothing."""
    schema = schema or {}
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][-1]
    options = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(options, list) and options:
        return instance_of(options[-1], depth + 1)
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if "null" in kinds or depth > _MAX_DEPTH:
        return None
    if kinds[0] == "object" or "properties" in schema:
        return {name: instance_of(part, depth + 1) for name, part in (schema.get("properties") or {}).items()}
    return {"array": [], "number": 0, "integer": 0, "boolean": False}.get(str(kinds[0]), "unknown")


def _other(value: Any, dice: Dice, *, name: str, options: Sequence[Any] = ()) -> Any:
    """Return another value of the same kind."""
    others = [option for option in options if option != value]
    if others and value in options:
        return dice.pick(f"other:{name}", others)
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return _other_number(value, dice, name=name)
    if value is None:
        return "N/A"
    return _other_text(value, dice, name=name) if isinstance(value, str) else value


def _other_number(value: float, dice: Dice, *, name: str) -> float:
    way = dice.pick(f"number:{name}", ("digit", "scale", "sign"))
    if way == "scale" and value:
        return round(value * 10, 2)
    if way == "sign" and value:
        return -value
    return round(value + dice.whole(f"step:{name}", 1, 9), 2)


def _other_text(value: str, dice: Dice, *, name: str) -> str:
    if value == _ABSTENTION:
        return dice.pick(f"invented:{name}", _INVENTED)
    if _DATE.fullmatch(value):
        return _other_day(value, days=dice.whole(f"days:{name}", 1, 27))
    found = list(_NUMBER.finditer(value))
    if found:
        match = dice.pick(f"which:{name}", found)
        number = str(int(match[0]) + dice.whole(f"step:{name}", 1, 8))
        return value[: match.start()] + number + value[match.end() :]
    words = value.split()
    if len(words) > 1:
        return " ".join(words[:-1])
    return _ABSTENTION if value != "unknown" else "none"


def _other_day(value: str, *, days: int) -> str:
    try:
        return (date.fromisoformat(value) + timedelta(days=days)).isoformat()
    except (ValueError, OverflowError):
        return "1970-01-01"


def _leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    elif value != []:
        yield path


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _put(value: Any, path: Path, new: Any) -> None:
    _at(value, path[:-1])[path[-1]] = new


def _node_at(schema: dict[str, Any] | None, path: Path) -> dict[str, Any]:
    """Return the schema of a leaf, as far as it can be followed by name; empty where it cannot."""
    node: Any = schema or {}
    for step in path:
        inner = node.get("items") if isinstance(step, int) else (node.get("properties") or {}).get(step)
        if not isinstance(inner, dict):
            return {}
        node = inner
    return dict(node)


def _instead_of_null(node: dict[str, Any]) -> Any:
    """Return something made up where the document says nothing."""
    kind = node.get("type")
    kinds = [name for name in (kind if isinstance(kind, list) else [kind]) if name != "null"]
    invented: dict[Any, Any] = {"number": 1, "integer": 1, "boolean": True, "array": [], "object": {}}
    return invented.get(kinds[0], "N/A") if kinds else "N/A"


def as_text(answer: Any) -> str:
    """Return an answer as a model writes it: text as it is, anything else as JSON."""
    return answer if isinstance(answer, str) else _ENCODER.encode(answer)
