"""A function's parameters as a schema that Converse takes: at the top an object, no reference and no alternatives. Pure.

Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolInputSchema.html,
https://docs.aws.amazon.com/nova/latest/userguide/tool-use-definition.html.
"""

from collections import Counter
from typing import Any, Final, cast

from core.frame.types import JsonObject
from core.providers.http.fields import invalid_field, object_at

OPEN: Final[JsonObject] = {"type": "object", "properties": {}}
NOT_AT_TOP: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
PLAIN: Final = frozenset({"type", "properties", "required"})
MOST_DEPTH: Final = 8  # references and alternatives within each other at the top
MOST_LEVELS: Final = 64  # at which a reference is still looked up
MOST_CHARACTERS: Final = 200_000  # of what references and alternatives mean, more or less


def to_input_schema(parameters: Any, path: str, *, plain: bool) -> JsonObject:  # noqa: ANN401 - as it was sent
    """The schema; if `plain`, with nothing but PLAIN at its top, and what references mean in their place.

    Alternatives at the top become one object that takes what each of them takes: wider, so that no call is refused
    that was right.

    Raises:
        InvalidRequest: it is no schema of an object.
    """
    root = {} if parameters is None else object_at(parameters, path)
    left = [MOST_CHARACTERS]
    schema = root if NOT_AT_TOP.isdisjoint(root) else _flatten(root, root, MOST_DEPTH, left)
    kind = schema.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        raise invalid_field(path, "must be a JSON schema whose type is object.")
    schema = OPEN | schema | {"type": "object"}
    if not plain:
        return schema
    top = {name: value for name, value in schema.items() if name in PLAIN}
    return cast("JsonObject", _inline(top, root, (), left))


def _flatten(schema: JsonObject, root: JsonObject, depth: int, left: list[int]) -> JsonObject:
    """The properties of what it refers to and of its alternatives are its own, and required as in each that counts."""
    rest = {name: value for name, value in schema.items() if name not in NOT_AT_TOP}
    left[0] -= 100
    if depth == 0 or left[0] < 0:
        return rest
    target = _target(schema, root)
    rest = ({} if target is None else _flatten(target, root, depth - 1, left)) | rest
    properties, required = _object(rest.get("properties")), _names(rest.get("required"))
    for name in ("allOf", "anyOf", "oneOf"):
        branches = [_flatten(branch, root, depth - 1, left) for branch in _objects(schema.get(name))]
        demands = [_names(branch.get("required")) for branch in branches]
        for branch in branches:
            properties = _object(branch.get("properties")) | properties
        counts = Counter(key for demand in demands for key in demand)
        required |= {key: None for key, count in counts.items() if name == "allOf" or count == len(demands)}
    return rest | {"properties": properties} | ({"required": list(required)} if required else {})


def _inline(schema: Any, root: JsonObject, within: tuple[str, ...], left: list[int], depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    """A schema that is within itself allows anything there."""
    match schema:
        case [*items]:
            return [_inline(item, root, within, left, depth + 1) for item in items]
        case {"$ref": str(reference), **others} if (target := _target(schema, root)) is not None:
            left[0] -= 100
            if reference in within or left[0] < 0 or depth > MOST_LEVELS:
                return others
            return _inline(target | others, root, (*within, reference), left, depth + 1)
        case {**fields}:
            left[0] -= sum(len(str(name)) for name in fields) if within else 0
            return {name: _inline(value, root, within, left, depth + 1) for name, value in fields.items()}
        case _:
            left[0] -= len(str(schema)) if within else 0
            return schema


def _target(schema: JsonObject, root: JsonObject) -> JsonObject | None:
    """What its `$ref` means, if that is a pointer into the same schema."""
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    target: Any = root
    for step in reference[2:].split("/"):
        target = _object(target).get(step.replace("~1", "/").replace("~0", "~"))
    return cast("JsonObject", target) if isinstance(target, dict) else None


def _object(value: Any) -> JsonObject:  # noqa: ANN401 - JSON
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def _objects(value: Any) -> list[JsonObject]:  # noqa: ANN401 - JSON
    return [cast("JsonObject", item) for item in _list(value) if isinstance(item, dict)]


def _names(value: Any) -> dict[str, None]:  # noqa: ANN401 - JSON
    """Of `required`, in order."""
    return {name: None for name in _list(value) if isinstance(name, str)}


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - JSON
    return cast("list[Any]", value) if isinstance(value, list) else []  # type: ignore[redundant-cast] # pyright's need
