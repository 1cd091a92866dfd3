"""The tool runtime over HTTP, for one call."""

from collections.abc import Sequence
from typing import Final

from core.apis.tool_runtime import ConnectorQuery, InvokeRequest, RuntimeToolsQuery, ToolsQuery
from core.apis.tools import NO_ACCESS, GroupTool, ServerDescription, ToolAccess
from core.errors import ApiError, InvalidRequest, NotFound, UpstreamFailed
from core.frame.resources import Resource
from core.frame.types import JsonObject
from core.services.tools.groups import Groups
from core.services.tools.service import ToolService
from core.services.tools.shown import define, print_result, show, size_of

MOST_ANSWER: Final = 5_900_000  # bytes of a result as JSON: Lambda's answer has 6 MiB with all that is around it
ARGUMENTS: Final = "arguments"
KWARGS: Final = "kwargs"  # what 0.2 calls them


class ToolRuntimeRouter:
    """The `ToolRuntime` that one caller gets."""

    def __init__(self, tools: ToolService, groups: Groups) -> None:
        self._tools = tools
        self._groups = groups

    async def invoke(self, request: InvokeRequest) -> JsonObject:
        tool = await self._tools.find(request.tool_name)
        try:
            result = await self._tools.call(tool, request.arguments, access_of(request.authorization))
        except InvalidRequest as refused:
            raise _in_words_of_the_wire(refused) from None
        finally:
            self._groups.call.add_tokens(0)  # what was reserved and not used is given back
        advice = "Ask it for less, if it takes a limit or a page."
        return _bound(print_result(result), f"Tool `{tool.full_name}` answered", advice)

    async def list_runtime_tools(self, query: RuntimeToolsQuery) -> JsonObject:
        if query.mcp_endpoint is not None:
            place = self._groups.place_of(query.mcp_endpoint.uri)
            tools = await self._tools.list_unregistered(*place, access_of(query.authorization))
        elif query.tool_group_id is not None:
            tools = await self._tools.list_group(query.tool_group_id, access_of(query.authorization))
        else:
            tools = await self._tools.list_all()
        return _list([define(tool) for tool in tools])

    async def list_tools(self, query: ToolsQuery) -> JsonObject:
        if query.toolgroup_id is None:
            tools = await self._tools.list_all()
        else:
            tools = await self._tools.list_named(query.toolgroup_id)
        return _list([await self._show(tool) for tool in tools])

    async def get_tool(self, tool_name: str) -> JsonObject:
        return await self._show(await self._tools.find(tool_name))

    async def _show(self, tool: GroupTool) -> JsonObject:
        resource = await self._groups.get(tool.group)
        return show(tool, resource.provider_id, self._groups.describe(resource).endpoint)


class ConnectorsRouter:
    """The `Connectors` that one caller gets."""

    def __init__(self, tools: ToolService, groups: Groups) -> None:
        self._tools = tools
        self._groups = groups

    async def index(self) -> JsonObject:
        return {"data": [_show_connector(connector) for connector in self._groups.connectors()]}

    async def get(self, connector_id: str, query: ConnectorQuery) -> JsonObject:
        connector = await self._groups.connector(connector_id)
        place = self._groups.place_of_connector(connector)
        description = await self._tools.describe_unregistered(place, access_of(query.authorization))
        return _show_connector(connector, description)

    async def list_tools(self, connector_id: str, query: ConnectorQuery) -> JsonObject:
        return _list([define(tool) for tool in await self._list(connector_id, query)])

    async def get_tool(self, connector_id: str, tool_name: str, query: ConnectorQuery) -> JsonObject:
        for tool in await self._list(connector_id, query):
            if tool.tool.name == tool_name:
                return define(tool)
        raise NotFound(f"Connector `{connector_id}` has no tool `{tool_name}`.", param="tool_name")

    async def _list(self, connector_id: str, query: ConnectorQuery) -> Sequence[GroupTool]:
        place = await self._tools.place_of_connector(connector_id)
        return await self._tools.list_unregistered(*place, access_of(query.authorization))


def _show_connector(connector: Resource, server: ServerDescription | None = None) -> JsonObject:
    own = {name: connector.attributes[name] for name in ("connector_type", "url", "server_label")}
    description = server or ServerDescription()
    return {
        "connector_id": connector.identifier,
        **own,
        "server_name": description.name or None,
        "server_description": description.description or None,
        "server_version": description.version or None,
    }


def _list(tools: Sequence[JsonObject]) -> JsonObject:
    return _bound({"data": tools}, "The tools have", "Name one tool group, or one tool by GET /v1/tools/GROUP/NAME.")


def _bound(answer: JsonObject, subject: str, advice: str) -> JsonObject:
    """Raise UpstreamFailed for an answer that could not leave."""
    if (size := size_of(answer)) > MOST_ANSWER:
        raise UpstreamFailed(f"{subject} {size:,} bytes, and an answer may have {MOST_ANSWER:,}. {advice}")
    return answer


def access_of(authorization: str | None) -> ToolAccess:
    """With the bearer token that a request has for the tool's server."""
    return ToolAccess(authorization=authorization.removeprefix("Bearer ")) if authorization else NO_ACCESS


def _in_words_of_the_wire(refused: InvalidRequest) -> ApiError:
    """With the name that the request has for the arguments."""
    param = refused.param or ""
    if param.startswith(ARGUMENTS):
        refused.param = KWARGS + param.removeprefix(ARGUMENTS)
    return refused
