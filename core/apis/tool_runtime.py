"""What the tool runtime is asked over HTTP: Llama Stack 0.2's tool groups, tools and invocations, and OGX's connectors.

Sources: ToolGroups and ToolRuntime of Llama Stack 0.2.12 and 0.7.3, Connectors of OGX 1.5.0.
"""

from typing import Annotated, Any, Literal, Protocol, cast

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import from_json

from core.apis.inference import Name
from core.apis.tools import ToolGroup
from core.frame.resources import Resource
from core.frame.types import JsonObject, Query, Wire

Secret = Annotated[str | None, Field(repr=False)]
type Endpoint = Annotated[str, StringConstraints(min_length=1, max_length=2048)]


class McpEndpoint(Wire):
    """Where a server of tools is; `uri` is http or https."""

    uri: Endpoint


def _require_object(value: object) -> object:
    if not isinstance(value, str):
        return value
    raise ValueError('must be an object, as {"uri": "https://mcp.example.com/mcp"}')


class RegisterToolGroup(Wire):
    """`provider_toolgroup_id` defaults to `toolgroup_id`, `provider_id` to the only provider of tools; `args` are the provider's."""

    model_config = ConfigDict(extra="forbid")

    toolgroup_id: Name
    provider_toolgroup_id: Name | None = None
    provider_id: Annotated[str, Field(min_length=1)] | None = None
    mcp_endpoint: Annotated[McpEndpoint | None, BeforeValidator(_require_object)] = None
    args: dict[str, Any] | None = None


class DeclaredConnector(Wire):
    """An entry of the section `connectors`; `provider_id` defaults to the only provider that reaches servers anywhere."""

    model_config = ConfigDict(extra="forbid")

    connector_id: Name
    provider_connector_id: Name | None = None
    provider_id: Annotated[str, Field(min_length=1)] | None = None
    connector_type: Literal["mcp"] = "mcp"
    url: Endpoint
    server_label: str | None = None


class InvokeRequest(Wire):
    """`tool_name` is bare, or `group/name`; `authorization` is a bearer token for the tool's server."""

    tool_name: Name
    arguments: Annotated[dict[str, Any], Field(alias="kwargs")]
    authorization: Secret = None


def _read_group(value: object) -> object:
    return cast("JsonObject", value).get("name") if isinstance(value, dict) else value


class ToolsQuery(Query):
    """Without `toolgroup_id`, the tools of all groups; `group/tool` is one. 0.2.12's AsyncAgent sends `toolgroup_id[name]` of a group with args."""

    toolgroup_id: Annotated[str | None, BeforeValidator(_read_group)] = None


def _read_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return from_json(value)
    except ValueError:
        raise ValueError('must be JSON, as {"uri": "https://..."}') from None


class RuntimeToolsQuery(Query):
    """`mcp_endpoint` is of a server that no group stands for: `{"uri": ...}` as JSON, or `mcp_endpoint[uri]`."""

    tool_group_id: str | None = None
    mcp_endpoint: Annotated[McpEndpoint | None, BeforeValidator(_read_json)] = None
    authorization: Secret = None


class ConnectorQuery(Query):
    """`authorization` is a bearer token for the connector's server."""

    authorization: Secret = None


def group_of(resource: Resource, *, trusted: bool) -> ToolGroup:
    """A registered or declared tool group as its provider sees it."""
    endpoint: JsonObject = resource.attributes.get("mcp_endpoint") or {}
    return ToolGroup(
        resource.identifier,
        resource.provider_resource_id,
        endpoint.get("uri", ""),
        resource.attributes.get("args") or {},
        trusted,
    )


def callers_group(resource: Resource) -> ToolGroup:
    """One that somebody registers."""
    return group_of(resource, trusted=False)


class ToolRuntime(Protocol):
    async def invoke(self, request: InvokeRequest) -> JsonObject:
        """`{content, error_message, error_code, metadata}`; raises what `core.apis.tools.Tools.find` and `call` do."""
        ...

    async def list_runtime_tools(self, query: RuntimeToolsQuery) -> JsonObject:
        """`{"data": [...]}`, the definitions of a group's tools, of a server's, or of all."""
        ...

    async def list_tools(self, query: ToolsQuery) -> JsonObject:
        """`{"data": [...]}`, a group's tools, or those of all groups that can be asked."""
        ...

    async def get_tool(self, tool_name: str) -> JsonObject:
        """One, by its bare name or as `group/name`; raises NotFound, and InvalidRequest for a bare name of several groups."""
        ...


class Connectors(Protocol):
    """What the run config declares alone; what the caller may not read is a NotFound."""

    async def index(self) -> JsonObject:
        """`{"data": [...]}`; no server is asked."""
        ...

    async def get(self, connector_id: str, query: ConnectorQuery) -> JsonObject:
        """With what its server says of itself; raises what `core.apis.tools.ReachesServers` does."""
        ...

    async def list_tools(self, connector_id: str, query: ConnectorQuery) -> JsonObject:
        """`{"data": [...]}`, as a ToolDefinitionList."""
        ...

    async def get_tool(self, connector_id: str, tool_name: str, query: ConnectorQuery) -> JsonObject:
        """A ToolDefinition; raises NotFound."""
        ...
