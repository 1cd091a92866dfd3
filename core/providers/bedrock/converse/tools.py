"""OpenAI's tools and tool choice as Converse's toolConfig. Pure.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolConfiguration.html.
"""

from typing import Any, Final

from core.frame.types import JsonObject
from core.providers.bedrock.converse.content import with_cache_point
from core.providers.http.fields import invalid_field, object_at, objects_at, text_at

CHOICES: Final[dict[str, JsonObject]] = {"auto": {"auto": {}}, "required": {"any": {}}}
NO_PARAMETERS: Final[JsonObject] = {"type": "object", "properties": {}}


def to_tool_config(options: JsonObject, *, in_conversation: bool) -> JsonObject:
    """The tools that may be called; empty if there are none.

    Converse has no choice of "none". The tools are then left out, unless the conversation has tool calls or results
    (`in_conversation`): Bedrock demands their definitions, so the model could still call them.

    Raises:
        InvalidRequest: a tool is no function, the choice fits none, or the conversation's tools are not defined.
    """
    choice = options.get("tool_choice")
    if choice == "none" and not in_conversation:
        return {}
    blocks = [block for tool, path in objects_at(options.get("tools"), "tools") for block in _tool(tool, path)]
    if not blocks and in_conversation:
        raise invalid_field(
            "tools", "the conversation has tool calls or results, so Bedrock wants the tools' definitions too."
        )
    tool_choice = _choice(choice)
    if blocks:
        return {"tools": blocks} | ({"toolChoice": tool_choice} if tool_choice else {})
    if tool_choice and "auto" not in tool_choice:
        raise invalid_field("tool_choice", "there are no tools to choose from.")
    return {}


def _tool(tool: JsonObject, path: str) -> list[JsonObject]:
    if tool.get("type") != "function":
        raise invalid_field(f"{path}.type", "must be function.")
    function_path = f"{path}.function"
    function = object_at(tool.get("function"), function_path)
    parameters = function.get("parameters")
    schema = NO_PARAMETERS if parameters is None else object_at(parameters, f"{function_path}.parameters")
    spec: JsonObject = {"name": text_at(function.get("name"), f"{function_path}.name"), "inputSchema": {"json": schema}}
    if function.get("description"):
        spec["description"] = text_at(function["description"], f"{function_path}.description")
    if function.get("strict") is True:
        spec["strict"] = True
    blocks = with_cache_point([{"toolSpec": spec}], function, function_path)
    return with_cache_point(blocks, tool, path)


def _choice(choice: Any) -> JsonObject:  # noqa: ANN401 - whatever a caller sent
    match choice:
        case None | "none":
            return {}
        case "auto" | "required":
            return CHOICES[choice]
        case {"type": "function", "function": {"name": str(name)}} if name:
            return {"tool": {"name": name}}
        case _:
            raise invalid_field("tool_choice", "must be auto, required, none or {type: function, function: {name}}.")
