"""Native tool definitions and tool choice as OpenAI's function tools. Pure."""

from collections.abc import Sequence
from typing import Final

from core.apis.native import Conversation, ToolDefinition, ToolParameter
from core.errors import InvalidRequest
from core.frame.types import JsonObject

# Python's names of types, as clients of 0.2 take them from type hints, and JSON Schema's; "" puts no bound.
TYPES: Final = {
    **dict.fromkeys(("str", "string"), "string"),
    **dict.fromkeys(("int", "integer"), "integer"),
    **dict.fromkeys(("float", "number"), "number"),
    **dict.fromkeys(("bool", "boolean"), "boolean"),
    **dict.fromkeys(("list", "array", "set", "tuple"), "array"),
    **dict.fromkeys(("dict", "object"), "object"),
    **dict.fromkeys(("any", "optional", "union"), ""),
    "null": "null",
}
MOST_SHOWN: Final = 20  # names of tools in a refusal


def to_openai_tools(request: Conversation) -> JsonObject:
    """`tools` and `tool_choice`, where there are any; `none` leaves the tools out, so none can be called.

    Raises:
        InvalidRequest: an unknown type of parameter, or a choice that is none of the tools.
    """
    choice, path = _choice(request)
    if choice == "none":
        return {}
    names = [tool.tool_name for tool in request.tools or ()]
    is_mode = choice is None or choice == "auto" or (choice == "required" and bool(names))
    if not is_mode and choice not in names:
        choices = ", ".join(f"`{name}`" for name in names[:MOST_SHOWN]) or "none were given"
        raise InvalidRequest(f"{path}: `{choice}` needs a tool to choose. The tools: {choices}.", param=path)
    tools = {"tools": _tools(request.tools)} if request.tools else {}
    if choice is None or not tools:
        return tools
    return tools | {"tool_choice": choice if is_mode else {"type": "function", "function": {"name": choice}}}


def _choice(request: Conversation) -> tuple[str | None, str]:
    """What is chosen, and the path of the field that says so."""
    newer = request.tool_config.tool_choice if request.tool_config is not None else None
    older = request.tool_choice
    if newer is not None and older is not None and newer != older:
        raise InvalidRequest("tool_choice: is not the same as tool_config.tool_choice.", param="tool_choice")
    return (older, "tool_choice") if newer is None else (newer, "tool_config.tool_choice")


def _tools(tools: Sequence[ToolDefinition]) -> list[JsonObject]:
    return [_tool(tool, f"tools[{position}].parameters") for position, tool in enumerate(tools)]


def _tool(tool: ToolDefinition, path: str) -> JsonObject:
    parameters = tool.parameters or {}
    function: JsonObject = {"name": tool.tool_name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = {
        "type": "object",
        "properties": {name: _property(parameter, f"{path}.{name}") for name, parameter in parameters.items()},
        "required": [name for name, parameter in parameters.items() if parameter.required],
    }
    return {"type": "function", "function": function}


def _property(parameter: ToolParameter, path: str) -> JsonObject:
    schema = _schema(parameter.param_type, f"{path}.param_type")
    if parameter.description is not None:
        schema["description"] = parameter.description
    if parameter.default is not None:
        schema["default"] = parameter.default
    return schema


def _schema(param_type: str, path: str) -> JsonObject:
    name, bracket, rest = param_type.strip().partition("[")
    name = name.rstrip().lower()
    outer = TYPES.get(name)
    if outer is None or (bracket and not rest.endswith("]")):
        types = ", ".join(TYPES)
        raise InvalidRequest(f"{path}: `{param_type}` is not a type. The types: {types}.", param=path)
    schema: JsonObject = {"type": outer} if outer else {}
    if outer == "array" and rest[:-1] and name != "tuple":
        schema["items"] = _schema(rest[:-1], path)
    return schema
