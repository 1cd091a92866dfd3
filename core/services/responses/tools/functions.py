"""Tools that the caller runs: functions, and custom tools, which take a text in the place of JSON.

Chat models know functions alone: a custom tool is one with a single text for them.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from core.frame.types import JsonObject
from core.platform.json_reader import read_json
from core.platform.json_values import is_object, to_object
from core.services.responses.contract import Item, Step, StepDone, ToolCall
from core.services.responses.tools.shapes import invalid

INPUT: Final = "input"
FIELDS: Final = ("name", "description", "parameters", "strict")


@dataclass(frozen=True, slots=True)
class FunctionTool:
    definition: JsonObject
    hosted: bool = False
    counted: bool = False
    streams_arguments: bool = True

    def begin(self, call_id: str) -> Item | None:
        return {**self._item(call_id, ""), "status": "in_progress"}

    async def run(self, call: ToolCall, item: Item | None) -> AsyncGenerator[Step]:
        del item
        yield StepDone({**self._item(call.call_id, call.arguments), "status": "completed"})

    def _item(self, call_id: str, arguments: str) -> Item:
        return {"type": "function_call", "call_id": call_id, "name": name_in(self.definition), "arguments": arguments}


@dataclass(frozen=True, slots=True)
class CustomTool:
    """Its input is in JSON while the model writes it, so that it is told when it is whole."""

    definition: JsonObject
    hosted: bool = False
    counted: bool = False
    streams_arguments: bool = False

    def begin(self, call_id: str) -> Item | None:
        return {**self._item(call_id, ""), "status": "in_progress"}

    async def run(self, call: ToolCall, item: Item | None) -> AsyncGenerator[Step]:
        del item
        yield StepDone({**self._item(call.call_id, input_of(call.arguments)), "status": "completed"})

    def _item(self, call_id: str, text: str) -> Item:
        return {"type": "custom_tool_call", "call_id": call_id, "name": name_in(self.definition), "input": text}


def name_in(definition: JsonObject) -> str:
    """The name by which a model calls the tool of a definition."""
    name: str = definition["function"]["name"]
    return name


def read_function(tool: JsonObject, path: str) -> FunctionTool:
    """Raises InvalidRequest where it has no name."""
    function: JsonObject = {name: tool[name] for name in FIELDS if tool.get(name) is not None}
    function["name"] = _name(tool, path)
    function.setdefault("parameters", {"type": "object", "properties": {}})
    return FunctionTool({"type": "function", "function": function})


def read_custom(tool: JsonObject, path: str) -> CustomTool:
    """Raises InvalidRequest where it has no name. A grammar of its input is told in words: no chat server holds a model to it."""
    texts = [tool["description"]] if isinstance(tool.get("description"), str) else []
    form = to_object(tool.get("format"))
    if form.get("type") == "grammar":
        syntax, grammar = form.get("syntax", ""), form.get("definition", "")
        texts.append(f"`{INPUT}` must follow this {syntax} grammar:\n{grammar}")
    schema = {
        "type": "object",
        "properties": {INPUT: {"type": "string", "description": "The whole input of the tool, as it is."}},
        "required": [INPUT],
        "additionalProperties": False,
    }
    function = {"name": _name(tool, path), "description": "\n\n".join(texts), "parameters": schema}
    return CustomTool({"type": "function", "function": function})


def input_of(arguments: str) -> str:
    """The text that a model wrote as `input`; all that it wrote, where that is not what was asked for."""
    try:
        value = read_json(arguments)
    except ValueError:
        return arguments
    text = value.get(INPUT) if is_object(value) else None
    return text if isinstance(text, str) else arguments


def _name(tool: JsonObject, path: str) -> str:
    name = tool.get("name")
    if not isinstance(name, str) or not name:
        raise invalid(path, "name", "is missing: a tool that a model may call has a name")
    return name
