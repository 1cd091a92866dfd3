"""Tools and their results as MCP has them.

Source: https://modelcontextprotocol.io/specification/2025-11-25/server/tools.
"""

from typing import Any

from pydantic_core import to_json

from core.apis.tools import Tool, ToolResult
from core.frame.types import JsonObject
from core.platform.json_values import to_object


def show_tool(name: str, tool: Tool) -> JsonObject:
    """As `tools/list` has it. Clients refuse a schema that is not an object's, so that such a one of an output is left out."""
    row: JsonObject = {"name": name, "description": tool.description, "inputSchema": _of_object(tool.input_schema)}
    if tool.title:
        row["title"] = tool.title
    if tool.output_schema is not None and tool.output_schema.get("type") == "object":
        row["outputSchema"] = tool.output_schema
    if annotations := _annotations(tool):
        row["annotations"] = annotations
    return row


def _annotations(tool: Tool) -> JsonObject:
    annotations = dict(to_object(tool.metadata.get("annotations")))
    return annotations if tool.read_only is None else annotations | {"readOnlyHint": tool.read_only}


def _of_object(schema: JsonObject) -> JsonObject:
    return schema if schema.get("type") == "object" else {**schema, "type": "object"}


def show_result(result: ToolResult) -> JsonObject:
    """As `tools/call` answers it; what is structured alone is there as text too, for clients that read no other."""
    content: list[Any] = (
        [{"type": "text", "text": result.content}] if isinstance(result.content, str) else list(result.content)
    )
    row: JsonObject = {"content": content, "isError": result.failed}
    if result.structured is not None:
        row["structuredContent"] = result.structured
        if not content or content == [{"type": "text", "text": ""}]:
            row["content"] = [{"type": "text", "text": to_json(result.structured, inf_nan_mode="null").decode()}]
    return row


def show_failure(message: str) -> JsonObject:
    """What a model reads of a tool that could not be called."""
    return {"content": [{"type": "text", "text": message}], "isError": True}
