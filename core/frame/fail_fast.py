"""Validation that stops: a type of requests tells of the first wrong entries, however many a caller sends.

pydantic collects an error for every wrong entry of a list or an object; 6 MB of them were a minute, 3 GB and an answer of
140 MB. Of lists it can be told to stop at the first. Of objects it cannot: they are taken entry by entry, and what a type
forbids is refused once the rest is there.
"""

from collections.abc import Callable
from typing import Any, Final, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import CoreSchema

MOST_AT_ONCE: Final = 8  # entries of an object that pydantic takes by itself
MOST_UNKNOWN: Final = 5
LISTS: Final = frozenset({"list", "tuple", "set", "frozenset"})
BY_NAME: Final = frozenset({"fields", "choices"})  # of schemas, by names that are a type's own
OPAQUE: Final = frozenset({"metadata", "serialization", "default", "expected", "cls", "config"})  # no schemas

type Node = dict[str, Any]


def fail_fast(schema: CoreSchema) -> CoreSchema:
    """`schema`, as pydantic made it, so that the number of its errors does not grow with what is validated."""
    return cast("CoreSchema", _walk(cast("Node", schema)))


def _walk(node: Node) -> Node:
    node = {key: value if key in OPAQUE else _walk_part(key, value) for key, value in node.items()}
    kind = node.get("type")
    if kind in LISTS:
        return node | {"fail_fast": True}
    if kind == "dict" and node.get("values_schema", {}).get("type", "any") != "any":
        return _call("function-wrap", _take_one_by_one, node)
    if kind == "model" and node.get("config", {}).get("extra_fields_behavior") == "forbid":
        allowing = node["config"] | {"extra_fields_behavior": "allow"}
        return _call("function-after", _refuse_unknown, node | {"config": allowing})
    return node


def _walk_part(key: str, value: object) -> object:
    if isinstance(value, dict):
        part = cast("Node", value)
        return {name: _walk(inner) for name, inner in part.items()} if key in BY_NAME else _walk(part)
    return [_walk_part("", item) for item in cast("list[object]", value)] if isinstance(value, list) else value


def _call(kind: str, function: Callable[..., object], node: Node) -> Node:
    outer = {name: node.pop(name) for name in ("ref",) if name in node}  # what refers to it means the outermost
    return outer | {"type": kind, "function": {"type": "no-info", "function": function}, "schema": node}


def _take_one_by_one(value: Any, validate: Callable[[Any], dict[str, object]]) -> object:  # noqa: ANN401 - not validated yet
    """The first wrong entry raises, with its key; pydantic has read JSON by then, whose arrays are lists."""
    if not isinstance(value, dict) or len(cast("Node", value)) <= MOST_AT_ONCE:
        return validate(value)
    entries = cast("Node", value).items()
    return {name: item for entry in entries for name, item in validate(dict([entry])).items()}


def _refuse_unknown[Model: BaseModel](model: Model) -> Model:
    unknown = list(model.model_extra or ())[:MOST_UNKNOWN]
    if unknown:
        details = [{"type": "extra_forbidden", "loc": (name,), "input": None} for name in unknown]
        raise ValidationError.from_exception_data(type(model).__name__, cast("Any", details))
    return model
