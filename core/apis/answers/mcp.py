"""What an MCP client is answered."""

from typing import Any, Literal, NotRequired, TypedDict


class JsonRpcError(TypedDict):
    """`code` is JSON-RPC's, or MCP's."""

    code: int
    message: str
    data: NotRequired[dict[str, Any]]


class JsonRpcAnswer(TypedDict):
    """Either a result or an error; the id is null where the request's could not be read."""

    jsonrpc: Literal["2.0"]
    id: str | int | None
    result: NotRequired[dict[str, Any]]
    error: NotRequired[JsonRpcError]


class ResourceMetadata(TypedDict):
    """Protected resource metadata (RFC 9728, 2)."""

    resource: str
    authorization_servers: list[str]
    bearer_methods_supported: list[str]
    resource_name: str
