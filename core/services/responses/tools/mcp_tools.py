"""A tool of a server, as a model calls it: run at once, or once a person approved of the call."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from core.apis.tools import Tool
from core.errors import ApiError, NotFound, shorten
from core.frame.types import JsonObject
from core.services.responses.contract import Item, RunTool, Step, StepAdded, StepDone, StepPhase, ToolCall
from core.services.responses.tools.results import (
    ENDS_RUN,
    cut,
    error_of,
    error_of_result,
    mask,
    read_arguments,
    text_of_result,
)
from core.services.responses.tools.servers import ServerTools
from core.services.responses.tools.shapes import McpShape
from core.services.responses.tools.told import tell_item

MOST_DESCRIBED: Final = 300  # bytes of a server's description, which is told with each of its tools


@dataclass(frozen=True, slots=True)
class McpTool:
    """`definition` has the name that the model knows, items have the server's own."""

    definition: JsonObject
    server: ServerTools
    tool: Tool
    hosted: bool = True
    counted: bool = True
    streams_arguments: bool = True

    def begin(self, call_id: str) -> Item | None:
        del call_id
        return call_item(self.server.shape.label, self.tool.name)

    async def run(self, call: ToolCall, item: Item | None) -> AsyncGenerator[Step]:
        began = item if item is not None else call_item(self.server.shape.label, self.tool.name)
        async for step in run_call(self.server, {**began, "arguments": call.arguments}, call.key):
            yield step


@dataclass(frozen=True, slots=True)
class ApprovedTool:
    """One that is run when a person approved of the call: of the model's call a request for that is made, which ends the run."""

    definition: JsonObject
    server: ServerTools
    tool: Tool
    hosted: bool = False
    counted: bool = True
    streams_arguments: bool = False

    def begin(self, call_id: str) -> Item | None:
        del call_id
        return None

    async def run(self, call: ToolCall, item: Item | None) -> AsyncGenerator[Step]:
        del item
        request = {"type": "mcp_approval_request", "server_label": self.server.shape.label, "name": self.tool.name}
        yield StepDone({**request, "arguments": call.arguments or "{}"})


def make_tool(name: str, server: ServerTools, tool: Tool) -> RunTool:
    """By `name` for the model."""
    kind = ApprovedTool if server.shape.approval.wants(tool) else McpTool
    return kind(define_tool(name, server.shape, tool), server, tool)


def define_tool(name: str, shape: McpShape, tool: Tool) -> JsonObject:
    """What the server says of its tool is data, in the place for that and in no other."""
    about = shorten(shape.description, MOST_DESCRIBED)
    texts = [tool.description, f"(Server {shape.label}: {about})" if about else ""]
    schema = tool.input_schema if tool.input_schema.get("type") == "object" else {**tool.input_schema, "type": "object"}
    function = {"name": name, "description": "\n".join(filter(None, texts)), "parameters": schema}
    return {"type": "function", "function": function}


def call_item(label: str, name: str, approval_request_id: str | None = None) -> Item:
    """A call that has begun."""
    return {
        "type": "mcp_call",
        "server_label": label,
        "name": name,
        "arguments": "",
        "output": None,
        "error": None,
        "status": "in_progress",
        "approval_request_id": approval_request_id,
    }


async def run_approved(server: ServerTools, request: Item, key: str = "") -> AsyncGenerator[Step]:
    """The call of a request that was approved; `key` is that of a ToolCall."""
    item = call_item(server.shape.label, request["name"], request["id"])
    yield StepAdded(item)
    async for step in run_call(server, {**item, "arguments": request["arguments"]}, key):
        yield step


async def run_call(server: ServerTools, item: Item, key: str) -> AsyncGenerator[Step]:
    """The call that `item` has whole but for what becomes of it."""
    yield StepPhase("in_progress")
    done = {**item, **await _invoke(server, item["name"], item["arguments"], key)}
    yield StepPhase("completed" if done["status"] == "completed" else "failed")
    translation = tell_item(done)
    yield StepDone(done, "" if translation is None else translation.output)


async def _invoke(server: ServerTools, name: str, arguments: str, key: str) -> JsonObject:
    """`{status, output, error}` of a call. Raises what no tool is to blame for."""
    secrets = server.shape.secrets
    try:
        if name not in {tool.name for tool in server.tools}:
            raise NotFound(f"The server has no tool `{shorten(name, 64)}` that the request allows.")
        result = await server.source.call(name, read_arguments(arguments), key)
    except ENDS_RUN:
        raise
    except ApiError as failure:
        return {"status": "failed", "output": None, "error": error_of(failure, secrets)}
    text = cut(mask(text_of_result(result), secrets))
    if result.failed:
        return {"status": "failed", "output": None, "error": error_of_result(text)}
    return {"status": "completed", "output": text, "error": None}
