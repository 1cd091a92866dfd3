"""OpenAI's response_format: a schema that the model is held to, or else an instruction. Pure.

Imported with the first request that has one. Sources:
https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html,
https://platform.openai.com/docs/guides/structured-outputs.
"""

from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
import json
import re
from typing import Any, Final, cast

from core.frame.types import JsonObject
from core.platform.json_values import is_list, to_object
from core.providers.bedrock.converse.families import Family
from core.providers.http.fields import invalid_field, object_at, text_at

OBJECT: Final = "Answer with one JSON object and nothing else: no words before or after it, no Markdown, no code fence."
SCHEMA: Final = (
    "Answer with JSON that is valid under this JSON Schema, and nothing else: no words before or after it, no Markdown, no code "
    "fence.{description}\n{schema}"
)
NOT_HELD_TO: Final = frozenset(
    {
        "contains",
        "discriminator",
        "else",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "if",
        "maxContains",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minContains",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "not",
        "propertyNames",
        "then",
        "uniqueItems",
    }
)
"""What a grammar does not have: said in the description, for the model to heed."""
FORMATS: Final = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"}
)
SCHEMA_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf"})
SCHEMA_MAPS: Final = frozenset({"$defs", "definitions", "properties"})
NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]")
MOST_NAME: Final = 64  # characters, as OpenAI has it
MOST_SCHEMA: Final = 120_000  # characters of JSON
MOST_DEPTH: Final = 64  # of a schema in a schema
REFERENCE: Final = re.compile(r'"\$ref": "([^"]*)"')


@dataclass(frozen=True, slots=True)
class Format:
    """Converse's textFormat, or what the model is told instead."""

    text_format: JsonObject = field(default_factory=dict[str, Any])
    instruction: str = ""


class _OpenSchemaError(Exception):
    """A schema that no grammar can be made of: it is too deep, or lets an object have any members."""


def to_format(value: Any, family: Family) -> Format:  # noqa: ANN401 - whatever a caller sent
    """Raises InvalidRequest for what is no format, or has no schema."""
    response_format = object_at(value, "response_format")
    match response_format.get("type"):
        case "text":
            return Format()
        case "json_object":
            return Format(instruction=OBJECT)
        case "json_schema":
            return _with_schema(object_at(response_format.get("json_schema"), "response_format.json_schema"), family)
        case _:
            raise invalid_field("response_format.type", "must be text, json_object or json_schema.")


def _with_schema(json_schema: JsonObject, family: Family) -> Format:
    path = "response_format.json_schema"
    schema = object_at(json_schema.get("schema"), f"{path}.schema")
    text = _schema_text(schema, f"{path}.schema")
    definition = {
        name: text_at(json_schema[name], f"{path}.{name}")
        for name in ("name", "description")
        if json_schema.get(name) is not None
    }
    grammar = _grammar(schema) if family.json_schema else ""
    if grammar:
        label = {"name": NOT_IN_NAMES.sub("_", definition["name"])[:MOST_NAME]} if "name" in definition else {}
        structure = {"jsonSchema": definition | label | {"schema": grammar}}
        return Format({"type": "json_schema", "structure": structure})
    description = f" It is: {definition['description']}" if "description" in definition else ""
    return Format(instruction=SCHEMA.format(description=description, schema=text))


def _schema_text(schema: JsonObject, path: str) -> str:
    try:
        text = _to_json(schema)
    except RecursionError as deep:
        raise invalid_field(path, "is nested too deep.") from deep
    if len(text) > MOST_SCHEMA:
        raise invalid_field(path, f"must have at most {MOST_SCHEMA} characters.")
    return text


def _grammar(schema: JsonObject) -> str:
    """The schema that a grammar can be made of; "" if none can."""
    if _refers_to_itself(schema):
        return ""
    try:
        return _to_json(_close(schema))
    except _OpenSchemaError:
        return ""


def _refers_to_itself(schema: JsonObject) -> bool:
    """Or to what is not in it."""
    users = {
        f"#/{key}/{name}": set(REFERENCE.findall(_to_json(value)))
        for key in ("$defs", "definitions")
        for name, value in to_object(schema.get(key)).items()
    }
    if not set(REFERENCE.findall(_to_json(schema))) <= users.keys():
        return True
    try:
        TopologicalSorter(users).prepare()
    except CycleError:
        return True
    return False


def _close(schema: Any, depth: int = 0) -> Any:  # noqa: ANN401 - a part of a schema
    """The schema as Bedrock makes a grammar of it: objects have no members but those that are named."""
    if not isinstance(schema, dict):
        return schema
    if depth > MOST_DEPTH:
        raise _OpenSchemaError
    schema = cast("JsonObject", schema)
    hints = {name: value for name, value in schema.items() if _is_hint(name, value)}
    members = {
        "anyOf" if name == "oneOf" else name: _close_member(name, value, depth + 1)
        for name, value in schema.items()
        if name not in hints and name != "$schema"
    }
    if "properties" in members or "object" in (members.get("type"), *_items(members.get("type"))):
        if schema.get("additionalProperties") not in (None, False) or not members.get("properties"):
            raise _OpenSchemaError
        members["additionalProperties"] = False
    if hints:
        members["description"] = f"{members.get('description', '')} {_to_json(hints)}".strip()
    return members


def _is_hint(name: str, value: object) -> bool:
    unlisted = (name == "format" and value not in FORMATS) or (name == "minItems" and value not in (0, 1))
    return unlisted or name in NOT_HELD_TO


def _close_member(name: str, value: Any, depth: int) -> Any:  # noqa: ANN401 - a part of a schema
    if name == "items":
        return _close(value, depth)
    if name in SCHEMA_LISTS:
        return [_close(item, depth) for item in _items(value)]
    if name in SCHEMA_MAPS:
        return {key: _close(item, depth) for key, item in to_object(value).items()}
    return value


def _items(value: Any) -> list[Any]:  # noqa: ANN401 - a part of a schema
    return value if is_list(value) else []


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
