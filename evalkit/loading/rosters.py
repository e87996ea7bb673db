"""The roster file: `defaults` laid under every model, and `extends` by model id; judges likewise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from evalkit.domain.roster import Roster
from evalkit.errors import InputError
from evalkit.loading.problems import Problems, closest
from evalkit.loading.source import Node, merged, plain
from evalkit.loading.validation import mapping_in, shown, validated

if TYPE_CHECKING:
    from evalkit.loading.files import ProjectFiles

__all__ = ["load_roster"]

_ROSTER = TypeAdapter(Roster)
_RESOLVED = {"": "defaults", "/models/*": "extends", "/judges/*": "extends"}


def load_roster(name: str, files: ProjectFiles) -> tuple[Roster, Node]:
    """Return the roster of the file `name`, and its merged document.

    A model's own keys win over those of the model it extends, and these over `defaults`; mappings merge key by key.

    Raises:
        ProjectErrors: for everything that is wrong in the file.
    """
    document = _resolved(mapping_in(files.read_yaml(name), what="a roster"))
    return validated(_ROSTER, document, read_before=_RESOLVED), document


def _resolved(document: Node) -> Node:
    children = dict(document.value)
    defaults = children.pop("defaults", Node({}, document.place))
    defaults = _checked_defaults(defaults)
    lists = {key: children[key] for key in ("models", "judges") if isinstance(_value(children.get(key)), list)}
    problems = Problems()
    # A judge may extend a model: one id means one thing in both lists.
    by_id = _by_id([entry for found in lists.values() for entry in found.value], problems)
    for key, found in lists.items():
        resolved = []
        for entry in found.value:
            with problems.collected():
                resolved.append(merged(defaults, _extended(entry, by_id, above=())))
        children[key] = Node(resolved, found.place)
    problems.raise_if_any()
    return Node(children, document.place)


def _value(node: Node | None) -> object:
    return None if node is None else node.value


def _checked_defaults(defaults: Node) -> Node:
    if defaults.value is None:
        return Node({}, defaults.place)
    if not isinstance(defaults.value, dict):
        raise InputError(
            f"defaults {shown(plain(defaults))} is not a mapping",
            place=defaults.place,
            next_step="write keys of a model under it",
        )
    for key in ("id", "extends", "route"):
        if key in defaults.value:
            raise InputError(
                f"defaults cannot hold {key!r}", place=defaults.value[key].place, next_step="say it in each model"
            )
    return defaults


def _by_id(models: list[Node], problems: Problems) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for model in models:
        model_id = model.value.get("id") if isinstance(model.value, dict) else None
        if model_id is None or not isinstance(model_id.value, str):
            continue
        if model_id.value in found:
            first = found[model_id.value].place.line
            problem = f"the model id {model_id.value!r} is given twice (first on line {first})"
            problems.add(problem, place=model_id.place, next_step="give each model its own id")
        found.setdefault(model_id.value, model)
    return found


def _extended(model: Node, by_id: dict[str, Node], *, above: tuple[str, ...]) -> Node:
    written = model.value.get("extends") if isinstance(model.value, dict) else None
    if written is None:
        return model
    own = Node({key: child for key, child in model.value.items() if key != "extends"}, model.place)
    base = by_id.get(written.value) if isinstance(written.value, str) else None
    if base is None:
        raise InputError(
            f"extends {shown(plain(written))}, which is no model of this roster",
            place=written.place,
            next_step=closest(plain(written), by_id, what="models"),
        )
    if written.value in above:
        circle = " → ".join((*above, written.value))
        raise InputError(f"extends goes in a circle: {circle}", place=written.place, next_step="break the circle")
    under = _extended(base, by_id, above=(*above, written.value))
    inherited = {key: child for key, child in under.value.items() if key != "id"}
    return merged(Node(inherited, under.place), own)
