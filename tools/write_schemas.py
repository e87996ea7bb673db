"""Writes the JSON Schemas of every file format, for editors and other programs, from the domain's own types.

    python tools/write_schemas.py [FOLDER]

The schemas describe files as people write them: `defaults` and `extends`, paths instead of content, short scorers.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from evalkit.domain.eligibility import Eligibility
from evalkit.domain.policy import Policy, Waivers
from evalkit.domain.project import ProjectConfig
from evalkit.domain.roster import Roster
from evalkit.domain.suite import Case, Suite

if TYPE_CHECKING:
    from collections.abc import Iterator

DOMAIN = Path(__file__).parent.parent / "evalkit" / "domain"
FOLDER = Path(__file__).parent.parent / "schemas" / "evalkit"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
TITLES = {
    "project": "evalkit.yaml",
    "roster": "roster.yaml",
    "suite": "suite.yaml",
    "policy": "policy.yaml",
    "waivers": "waivers.yaml",
    "case": "One line of cases.jsonl",
    "eligibility": "eligibility.json",
}


def schemas() -> dict[str, dict[str, Any]]:
    """Return file format name to JSON Schema."""
    found = {
        "project": _schema(ProjectConfig),
        "roster": _roster(),
        "suite": _suite(),
        "policy": _schema(Policy),
        "waivers": _schema(Waivers),
        "case": _case(),
        "eligibility": _schema(Eligibility),
    }
    return {name: {"$schema": DRAFT, **schema, "title": TITLES[name]} for name, schema in found.items()}


def rendered(schema: dict[str, Any]) -> str:
    """Return the text of a schema file: sorted keys, so that a change shows only what changed."""
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_schemas(folder: Path) -> None:
    """Write one file a format."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (folder / f"{name}.schema.json").write_text(rendered(schema), encoding="utf-8")


def _schema(source: Any) -> dict[str, Any]:
    schema = deepcopy(TypeAdapter(source).json_schema())
    for name, definition in {source.__name__: schema, **schema.get("$defs", {})}.items():
        for field, said in _FIELD_DOCS.get(name, {}).items():
            known = definition.get("properties", {})
            key = _ALIASES.get((name, field), field)
            if key in known:
                known[key].setdefault("description", said)
    return schema


_ALIASES = {("ResponseSpec", "schema_"): "schema", ("ScorerSpec", "metric"): "as"}


def _field_docs() -> dict[str, dict[str, str]]:
    """Return class to field to the text under the field.

    Pydantic can read these itself, but does it at import, from the source: a tenth of a second at every start.
    """
    found: dict[str, dict[str, str]] = {}
    for path in sorted(DOMAIN.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name] = dict(_texts_under_fields(node))
    return found


def _texts_under_fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(node.body):
        is_text = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            yield field.target.id, inspect.cleandoc(str(text.value.value))


_FIELD_DOCS = _field_docs()


def _roster() -> dict[str, Any]:
    schema = _schema(Roster)
    model = schema["$defs"]["Model"]
    # `route` may come from the model it extends.
    model["required"] = ["id"]
    defaults = deepcopy(model)
    del defaults["required"], defaults["properties"]["id"], defaults["properties"]["route"]
    defaults |= {"title": "Defaults", "description": "Laid under every model; a model's own keys win."}
    schema["$defs"]["Defaults"] = defaults
    model["properties"]["extends"] = {
        "type": "string",
        "description": "Id of another model whose keys hold where this one gives none.",
    }
    schema["properties"]["defaults"] = {"anyOf": [{"$ref": "#/$defs/Defaults"}, {"type": "null"}]}
    return schema


def _suite() -> dict[str, Any]:
    schema = _schema(Suite)
    properties = schema["properties"]
    properties["extends"] = {
        "type": "string",
        "description": "Another suite file, relative to this one; mappings merge, anything else here replaces it.",
    }
    required = schema.pop("required")
    schema["anyOf"] = [{"required": ["extends"]}, {"required": required}]
    cases = properties["cases"]
    inline = {"type": "array", "items": cases.pop("items"), "minItems": cases.pop("minItems")}
    cases.pop("type")
    cases["anyOf"] = [{"type": "string"}, inline]
    response = schema["$defs"]["ResponseSpec"]["properties"]["schema"]
    response["anyOf"] = [{"type": "string"}, {"type": "object"}, {"type": "null"}]
    properties["scorers"]["items"] = _scorer()
    _with_short_scorers(schema["$defs"]["Case"])
    return schema


def _case() -> dict[str, Any]:
    schema = _schema(Case)
    _with_short_scorers(schema)
    return schema


def _with_short_scorers(case: dict[str, Any]) -> None:
    for branch in case["properties"]["scorers"]["anyOf"]:
        if "items" in branch:
            branch["items"] = _scorer()


def _scorer() -> dict[str, Any]:
    short = {
        "type": "object",
        "description": "The scorer's name, and its parameters beside as, negate and weight.",
        "minProperties": 1,
        "maxProperties": 1,
        "not": {"required": ["name"]},
        "additionalProperties": {"type": ["object", "null"]},
    }
    return {"anyOf": [{"type": "string"}, short, {"$ref": "#/$defs/ScorerSpec"}]}


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
