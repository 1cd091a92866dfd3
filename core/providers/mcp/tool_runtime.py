"""Tools of MCP servers, over HTTP, in every revision of the protocol. A server is named by a tool group's endpoint.

docs/adr/0075-mcp-client.md.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.apis.tools import ServerDescription, ToolAccess, ToolGroup, ToolListing, ToolProvider, ToolResult
from core.frame.types import Health, JsonObject
from core.providers.mcp.config import Config

if TYPE_CHECKING:
    from core.providers.mcp.servers import Servers

type HeadersByUri = Mapping[str, Mapping[str, str]]


class Shared:
    """What the copies for callers share; what it needs is imported at the first call."""

    def __init__(self, provider_id: str, config: Config) -> None:
        self._provider_id = provider_id
        self._config = config
        self._servers: Servers | None = None

    @property
    def servers(self) -> "Servers":
        if self._servers is None:
            from core.providers.mcp.servers import Servers

            self._servers = Servers(self._provider_id, self._config)
        return self._servers

    async def close(self) -> None:
        if self._servers is not None:
            await self._servers.close()


class ModelContextProtocol:
    """What a caller brings is in a copy of its own (`with_provider_data`)."""

    def __init__(self, shared: Shared, headers: HeadersByUri | None = None) -> None:
        self._shared = shared
        self._headers = headers or {}

    def warm(self) -> None:
        """Import what the first call would wait for."""
        self._shared.servers.warm()

    def with_provider_data(self, data: Mapping[str, Any]) -> "ModelContextProtocol":
        """`mcp_headers` in it are headers by the URL of an endpoint. Raises InvalidRequest."""
        from core.providers.mcp.credentials import read_data

        headers = read_data(data)
        return ModelContextProtocol(self._shared, headers) if headers else self

    async def check_tool_group(self, group: ToolGroup) -> None:
        self._shared.servers.check(group)

    def credentials_of(self, group: ToolGroup, access: ToolAccess) -> str:
        return self._shared.servers.credentials_of(group, access, self._headers)[1]

    async def list_tools(self, group: ToolGroup, access: ToolAccess) -> ToolListing:
        return await self._shared.servers.call(
            group, access, self._headers, lambda client, server: client.list_tools(server)
        )

    async def invoke_tool(self, group: ToolGroup, tool: str, arguments: JsonObject, access: ToolAccess) -> ToolResult:
        return await self._shared.servers.call(
            group,
            access,
            self._headers,
            lambda client, server: client.call_tool(server, tool, arguments, access),
        )

    async def describe_server(self, group: ToolGroup, access: ToolAccess) -> ServerDescription:
        """Who the server says that it is."""
        return await self._shared.servers.call(
            group, access, self._headers, lambda client, server: client.describe(server)
        )

    async def health(self) -> Health:
        """It has no server of its own: which there are, tool groups say."""
        return Health(status="OK")

    async def close(self) -> None:
        """End sessions and close connections; a later call opens others."""
        await self._shared.close()


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> ToolProvider:
    """A provider of whatever servers tool groups name; it depends on no other API."""
    del deps
    return ModelContextProtocol(Shared(provider_id, config))
