"""A tool and its result as the wire has them, for the clients of all generations."""

from collections.abc import Sequence
from typing import Any, Final

from pydantic_core import to_json

from core.apis.tools import Block, GroupTool, Tool, ToolResult
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object

SCALARS: Final = ("string", "number", "integer", "boolean")


def define(tool: GroupTool) -> JsonObject:
    """A ToolDefinition."""
    own = tool.tool
    return {
        "name": own.name,
        "toolgroup_id": tool.group,
        "description": own.description,
        "parameters": parameters_of(own),
        "input_schema": own.input_schema,
        "output_schema": own.output_schema,
        "metadata": _metadata(own),
    }


def show(tool: GroupTool, provider_id: str, endpoint: str) -> JsonObject:
    """A ToolView; `endpoint` is that of its group's server, which 0.2 has in the metadata."""
    definition = define(tool)
    metadata = {**({"endpoint": endpoint} if endpoint else {}), **definition["metadata"]}
    own = {"identifier": tool.tool.name, "provider_resource_id": None, "provider_id": provider_id, "type": "tool"}
    return {**own, **definition, "metadata": metadata}


def _metadata(tool: Tool) -> JsonObject:
    title = {"title": tool.title} if tool.title else {}
    read_only = {} if tool.read_only is None else {"read_only": tool.read_only}
    return {**title, **read_only, **tool.metadata}


def parameters_of(tool: Tool) -> list[JsonObject]:
    """0.2's flat list of an object's properties; what is no scalar has its schema beside the name of its type."""
    properties, required = tool.input_schema.get("properties"), tool.input_schema.get("required")
    names: list[Any] = required if is_list(required) else []
    if not is_object(properties):
        return []
    return [_parameter(name, schema, required=name in names) for name, schema in properties.items()]


def _parameter(name: str, schema: object, *, required: bool) -> JsonObject:
    fields: JsonObject = schema if is_object(schema) else {}
    kind, description = _type_of(fields), fields.get("description")
    parameter: JsonObject = {
        "name": name,
        "parameter_type": kind,
        "description": description if isinstance(description, str) else "",
        "required": required,
        "default": fields.get("default"),
    }
    if isinstance(fields.get("title"), str):
        parameter["title"] = fields["title"]
    if is_object(fields.get("items")):
        parameter["items"] = fields["items"]
    if kind not in SCALARS or "enum" in fields:
        parameter["schema"] = fields
    return parameter


def _type_of(schema: JsonObject) -> str:
    """JSON schema's name of it; of one that may be null, or one of several, the first that is not null."""
    types = schema.get("type")
    if isinstance(types, str):
        return types
    if is_list(types):
        return next((name for name in types if isinstance(name, str) and name != "null"), "string")
    forms = schema.get("anyOf") or schema.get("oneOf")
    kinds = (
        [_type_of(form) for form in forms if is_object(form) and form.get("type") != "null"] if is_list(forms) else []
    )
    if kinds:
        return kinds[0]
    return "object" if "properties" in schema or "$ref" in schema else "array" if "items" in schema else "string"


def print_result(result: ToolResult) -> JsonObject:
    """An Invocation."""
    content = result.content if isinstance(result.content, str) else [_print_block(block) for block in result.content]
    structured = {} if result.structured is None else {"structured_content": result.structured}
    error = {"error_message": None, "error_code": int(result.failed)}
    return {"content": content, **error, "metadata": result.metadata, **structured}


def _print_block(block: Block) -> JsonObject:
    if block["type"] == "text":
        return {"type": "text", "text": block.get("text", "")}
    if block["type"] == "image":
        return {"type": "image", "image": {"data": block.get("data", "")}}
    return {"type": "text", "text": text_of(block)}


def text_of(block: Block) -> str:
    """A block as a text: of a resource its own text, of what is none, what it is."""
    if block["type"] == "text":
        return block.get("text", "")
    resource = block.get("resource", {})
    if isinstance(resource.get("text"), str):
        return str(resource["text"])
    uri = block.get("uri") or resource.get("uri") or ""
    facts = [block.get("name", ""), uri, block.get("mimeType") or resource.get("mimeType") or ""]
    return f"[{block['type'].replace('_', ' ')}{''.join(f' {fact}' for fact in facts if fact)}]"


def blocks_of(content: str | Sequence[Block]) -> Sequence[Block]:
    """The content as blocks, whatever it is."""
    return [Block(type="text", text=content)] if isinstance(content, str) else content


def size_of(answer: JsonObject) -> int:
    """In bytes of JSON."""
    return len(to_json(answer, inf_nan_mode="null"))
