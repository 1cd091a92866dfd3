"""MCP as a server reads it: JSON-RPC messages, one in a request, and what each counts as.

Sources: https://modelcontextprotocol.io/specification/2026-07-28/basic/transports, https://www.jsonrpc.org/specification,
https://www.rfc-editor.org/rfc/rfc9728 (protected resource metadata).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, cast

from core.apis.answers.mcp import ResourceMetadata
from core.frame.content import Answer, Message
from core.frame.types import JsonObject, Wire
from core.platform.json_reader import read_json

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_VERSION: Final = -32022

LOOKS: Final = frozenset({"initialize", "ping", "server/discover", "tools/list"})
"""Methods that take nothing of a quota, as a GET does."""

type RpcId = str | int


@dataclass(frozen=True, slots=True)
class RpcRequest:
    """A request, or, without an id, a notification; a client's response has no method either. `headers` are MCP's own, by names in lower case."""

    method: str
    params: JsonObject = field(default_factory=dict[str, Any], repr=False)
    id: RpcId | None = None
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]], repr=False)


@dataclass(frozen=True, slots=True)
class RpcFault:
    """What a request is answered in the place of a result; the message is safe to show.

    `status` is HTTP's, None where the revision decides it; `id` is that of a message which was wrong as a whole.
    """

    code: int
    message: str
    id: RpcId | None = None
    status: int | None = None
    data: JsonObject | None = None


class RpcError(Exception):
    """Raised on the way to an answer."""

    def __init__(self, code: int, message: str, *, status: int | None = None, data: JsonObject | None = None) -> None:
        super().__init__(message)
        self.fault = RpcFault(code, message, status=status, data=data)


type Incoming = RpcRequest | RpcFault


class JsonRpcRequest(Wire):
    """One message; several in a list are refused, as revisions from 2025-06-18 on have it."""

    jsonrpc: Literal["2.0"]
    id: RpcId | None = None
    method: str
    params: JsonObject | None = None


def read_message(message: Message) -> Incoming:
    """The request in a body, or what is wrong with it."""
    try:
        body = read_json(message.content)
    except ValueError:
        return RpcFault(PARSE_ERROR, "The body is not valid JSON.")
    if not isinstance(body, dict):
        return RpcFault(
            INVALID_REQUEST, "The body must be one JSON-RPC message, an object; lists of them are not taken."
        )
    body = cast("JsonObject", body)
    rpc_id = _read_id(body.get("id"))
    fault = _fault(body, is_known=rpc_id is not None)
    if fault is not None:
        return RpcFault(*fault, id=rpc_id)
    return RpcRequest(body.get("method", ""), body.get("params") or {}, rpc_id, message.headers)


def _read_id(value: object) -> RpcId | None:
    return value if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)) else None


def _fault(body: JsonObject, *, is_known: bool) -> tuple[int, str] | None:
    method, params = body.get("method"), body.get("params")
    if body.get("jsonrpc") != "2.0":
        return INVALID_REQUEST, 'The message must have `"jsonrpc": "2.0"`.'
    if "id" in body and not is_known and ("method" in body or body["id"] is not None):
        return INVALID_REQUEST, "`id` must be a string or a whole number."
    if method is None and ("result" in body or "error" in body):
        return None
    if not isinstance(method, str):
        return INVALID_REQUEST, "The message must have a `method`, a string."
    if params is not None and not isinstance(params, dict):
        return INVALID_PARAMS, "`params` must be an object."
    return None


def address_of(message: Message) -> str:
    """Where it was sent to."""
    return message.address


def count_requests(incoming: Incoming) -> int:
    """What it takes of a quota; what is wrong counts, as everywhere."""
    if isinstance(incoming, RpcFault):
        return 1
    return 0 if incoming.method in LOOKS or incoming.id is None else 1


def no_bound(incoming: Incoming) -> int:
    """A tool may embed, or ask a model; what it did not use is given back."""
    del incoming
    return 0


class Mcp(Protocol):
    """This stack as an MCP server: the surface `mcp`."""

    async def answer_mcp(self, request: Incoming) -> Answer:
        """The tools that the caller may use, listed and called. Nothing is kept between two requests."""
        ...

    async def protected_resource(self, request: str) -> ResourceMetadata:
        """Which issuers' tokens are taken at this address; raises NotFound where the run config names none."""
        ...
