"""The servers of a request's `mcp` tools: whose tools they list, and how one is called.

A server is a URL of the request, a connector of the run config, or a tool group of the stack, whatever provides it. What the caller
brings for one goes to this one, and is in nothing that is shown or kept.
"""

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from pydantic_core import from_json, to_json

from core.apis.tools import GroupTool, ServerPlace, Tool, ToolAccess, ToolResult, Tools
from core.errors import (
    ApiError,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    ToolServerFailed,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
)
from core.frame.types import JsonObject
from core.platform.json_values import is_list, is_object, to_object
from core.services.responses.contract import Item
from core.services.responses.tools.results import mask
from core.services.responses.tools.shapes import McpShape

MOST_LISTING: Final = 1_000_000  # bytes of a list of tools, which is an item
MOST_SERVED: Final = 1000
"""Tools of all servers of a request: no model takes more, and each must be named apart from all others."""
PLACE: Final = "mcp_endpoint.uri"  # what providers call a server's URL
UNREACHED: Final = (UpstreamFailed, UpstreamThrottled, ProviderUnavailable, UpstreamTimeout)


class ToolSource(Protocol):
    """Where a server's tools come from."""

    async def list(self) -> Sequence[GroupTool]: ...

    async def call(self, tool: str, arguments: JsonObject, key: str) -> ToolResult:
        """`key` is that of a ToolCall."""
        ...


@dataclass(frozen=True, slots=True)
class PlaceSource:
    """A server that no tool group stands for."""

    tools: Tools
    place: ServerPlace
    access: ToolAccess = field(repr=False)

    async def list(self) -> Sequence[GroupTool]:
        return await self.tools.list_unregistered(*self.place, self.access)

    async def call(self, tool: str, arguments: JsonObject, key: str) -> ToolResult:
        return await self.tools.call_unregistered(*self.place, tool, arguments, replace(self.access, key=key))


@dataclass(frozen=True, slots=True)
class GroupSource:
    tools: Tools
    group: str
    access: ToolAccess = field(repr=False)

    async def list(self) -> Sequence[GroupTool]:
        return await self.tools.list_group(self.group, self.access)

    async def call(self, tool: str, arguments: JsonObject, key: str) -> ToolResult:
        entry = next((entry for entry in await self.list() if entry.tool.name == tool), None)
        if entry is None:
            raise NotFound(f"`{self.group}` has no tool `{tool}`.", param="tool_name")
        return await self.tools.call(entry, arguments, replace(self.access, key=key))


@dataclass(frozen=True, slots=True)
class ServerTools:
    """A server with those of its tools that the request allows; `is_new` where it was asked just now."""

    shape: McpShape
    source: ToolSource
    tools: Sequence[Tool]
    is_new: bool = True

    @property
    def item(self) -> Item:
        """`mcp_list_tools`, without its id."""
        rows = [_show(tool) for tool in self.tools]
        return {"type": "mcp_list_tools", "server_label": self.shape.label, "tools": rows, "error": None}


async def find_server(tools: Tools, shape: McpShape, context: Sequence[Item]) -> ServerTools:
    """The server of `shape`, with its tools as `context` has them, or as it lists them now.

    Raises:
        InvalidRequest: a place that may not be reached, or more tools than are told to a model.
        NotFound: there is no such connector or tool group.
        ToolServerFailed: it did not list its tools.
    """
    source = await find_source(tools, shape)
    remembered = read_listing(shape, context)
    if remembered is not None:
        return ServerTools(shape, source, remembered, is_new=False)
    entries = await _in_words_of_the_request(shape, source.list())
    return ServerTools(
        shape, source, _bound([entry.tool for entry in entries if shape.allowed.holds(entry.tool)], shape)
    )


async def find_source(tools: Tools, shape: McpShape) -> ToolSource:
    """Where its tools come from; nobody is asked for them. Raises NotFound, InvalidRequest."""
    return await _in_words_of_the_request(shape, _find_source(tools, shape))


async def check_server(tools: Tools, shape: McpShape, names: Iterable[str]) -> ServerTools:
    """The server of `shape` as if it had tools of these names that the request allows; nobody is asked. Raises NotFound, InvalidRequest."""
    source = await find_source(tools, shape)
    if isinstance(source, PlaceSource):
        await _in_words_of_the_request(shape, tools.check_unregistered(*source.place))
    allowed = shape.allowed.names
    return ServerTools(shape, source, [_read({"name": name}) for name in names if allowed is None or name in allowed])


def read_listing(shape: McpShape, context: Sequence[Item]) -> list[Tool] | None:
    """The tools of the newest list of this server in `context`; None where there is none that has all which the request names."""
    for item in reversed(context):
        if item.get("type") == "mcp_list_tools" and item.get("server_label") == shape.label and not item.get("error"):
            entries: list[Any] = item["tools"] if is_list(item.get("tools")) else []
            if len(entries) > MOST_SERVED:
                return None
            rows = [row for row in map(to_object, entries) if isinstance(row.get("name"), str)]
            tools = [*{tool.name: tool for tool in map(_read, rows)}.values()]
            if (shape.allowed.names or set()) <= {tool.name for tool in tools}:
                return [tool for tool in tools if shape.allowed.holds(tool)]
            return None
    return None


def _bound(tools: Sequence[Tool], shape: McpShape) -> Sequence[Tool]:
    """Themselves, without what the caller brought for the server; raises InvalidRequest for more than an item holds."""
    if len(tools) > MOST_SERVED:
        raise too_many(len(tools), f"{shape.path}.allowed_tools")
    text = to_json([_show(tool) for tool in tools], inf_nan_mode="null").decode()
    if len(text) > MOST_LISTING:
        raise InvalidRequest(
            f"{shape.path}: the tools of `{shape.label}` have {len(text):,} characters, and a model is told {MOST_LISTING:,} at most. "
            "Name those that it needs in `allowed_tools`.",
            param=f"{shape.path}.allowed_tools",
        )
    clean = mask(text, shape.secrets)
    return tools if clean == text else [_read(row) for row in from_json(clean)]


def too_many(number: int, param: str) -> InvalidRequest:
    return InvalidRequest(
        f"tools: their servers have {number:,} tools, and a model is told {MOST_SERVED:,} at most. Name those that it needs in `allowed_tools`.",
        param=param,
    )


async def _find_source(tools: Tools, shape: McpShape) -> ToolSource:
    if shape.url:
        return PlaceSource(tools, tools.place_of(shape.url, shape.label), shape.access)
    try:
        return PlaceSource(tools, await tools.place_of_connector(shape.connector_id), shape.access)
    except NotFound:
        if shape.connector_id in await tools.groups():
            return GroupSource(tools, shape.connector_id, shape.access)
        raise


async def _in_words_of_the_request[T](shape: McpShape, coming: Awaitable[T]) -> T:
    path = f"{shape.path}.{'server_url' if shape.url else 'connector_id'}"
    try:
        return await coming
    except UNREACHED as failure:
        message = (
            f"The tools of the MCP server `{shape.label}` could not be listed: {mask(failure.message, shape.secrets)}"
        )
        raise ToolServerFailed(message, param=path) from failure
    except (InvalidRequest, NotFound) as refused:
        raise _renamed(refused, shape, path) from None


def _renamed(refused: ApiError, shape: McpShape, path: str) -> ApiError:
    """With the request's name for what is at fault, in the place of the tool runtime's."""
    param = refused.param or ""
    own = f"{shape.path}.{param}" if param in {"headers", "authorization"} else path
    message = refused.message.removeprefix(f"{PLACE}: ").removeprefix(f"{param}: ")
    return type(refused)(f"{own}: {message}", param=own)


def _show(tool: Tool) -> JsonObject:
    annotations = dict(to_object(tool.metadata.get("annotations")))
    if tool.read_only is not None:
        annotations["readOnlyHint"] = tool.read_only
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.input_schema,
        "annotations": annotations or None,
    }


def _read(row: JsonObject) -> Tool:
    """What `_show` wrote, or whoever sent the item."""
    description, schema = row.get("description"), row.get("input_schema")
    annotations = to_object(row.get("annotations"))
    read_only = annotations.get("readOnlyHint")
    return Tool(
        row["name"],
        description if isinstance(description, str) else "",
        schema if is_object(schema) else {"type": "object", "properties": {}},
        read_only=read_only if isinstance(read_only, bool) else None,
        metadata={"annotations": annotations} if annotations else {},
    )
