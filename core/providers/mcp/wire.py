"""MCP's messages, which are JSON-RPC 2.0: how they are written, what is taken of them, and what a refusal is.

Sources: https://modelcontextprotocol.io/specification/2026-07-28/basic, https://modelcontextprotocol.io/specification/2025-11-25/basic,
https://www.jsonrpc.org/specification.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from math import isfinite
from typing import Any, Final

from core.apis.tools import OnProgress
from core.errors import UpstreamFailed
from core.frame.types import JsonObject
from core.frame.version import VERSION
from core.platform.json_values import is_list, is_object, to_object
from core.providers.http.replies import read_json

STATELESS: Final = "2026-07-28"
OFFERED: Final = "2025-11-25"
WITH_SESSIONS: Final = frozenset({"2024-11-05", "2025-03-26", "2025-06-18", OFFERED})
CLIENT: Final = {"name": "llambda", "version": VERSION}
PREFIX: Final = "io.modelcontextprotocol/"
META_KEY: Final = "idempotencyKey"
"""No revision has a word for it; this is that of https://github.com/modelcontextprotocol/modelcontextprotocol/pull/3182, without a prefix, as names of nobody are."""
LEAST_KEYED: Final = 1 << 48  # numbers of requests that are counted end below

INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_VERSION: Final = -32022
NO_SESSION: Final = -32000
"""What servers of the TypeScript SDK say of a session that they do not know."""


class Unusable(Exception):
    """What came is nothing of the protocol; the text says what, without a word of the server's."""


class RpcError(Exception):
    """A JSON-RPC error in the place of a result; `status` is HTTP's, `supported` the revisions that it names. The text is the server's."""

    def __init__(self, code: int, message: str, status: int = 200, supported: Sequence[object] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.status = status
        self.supported = supported


class Refusal(Exception):
    """An HTTP status that is no success, with no JSON-RPC error."""

    def __init__(self, status: int, retry_after: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after = dict(retry_after or {})


class Denied(Exception):
    """401 or 403; `challenge` is its WWW-Authenticate, which a server writes."""

    def __init__(self, status: int, challenge: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.challenge = challenge


@dataclass(frozen=True, slots=True)
class Question:
    """A request to make: `headers` are those that only the stateless revision has (`Mcp-Name`, `Mcp-Param-...`).

    `key` is the same when it is made again, "" for none: then its bytes are the same too, as servers want it of an `Idempotency-Key`.
    """

    method: str
    params: JsonObject = field(default_factory=dict[str, Any], repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    on_progress: OnProgress | None = field(default=None, repr=False)
    key: str = ""

    @property
    def key_headers(self) -> Mapping[str, str]:
        """Of every revision."""
        return {"idempotency-key": self.key} if self.key else {}

    def number(self, ids: Iterator[int]) -> int:
        """What the request is numbered by: the next of `ids`, or what its key says."""
        if not self.key:
            return next(ids)
        return LEAST_KEYED + int.from_bytes(blake2b(self.key.encode(), digest_size=6).digest())


def print_request(request_id: int, question: Question, meta: JsonObject | None = None) -> JsonObject:
    """Whoever listens for progress is told apart by the request's id, which is the token too."""
    params = question.params
    more = dict(meta or {}) | ({"progressToken": request_id} if question.on_progress is not None else {})
    more |= {META_KEY: question.key} if question.key else {}
    if more:
        params = {**params, "_meta": {**to_object(params.get("_meta")), **more}}
    return {"jsonrpc": "2.0", "id": request_id, "method": question.method, "params": params}


def print_notification(method: str, params: JsonObject | None = None) -> JsonObject:
    return {"jsonrpc": "2.0", "method": method} | ({} if params is None else {"params": params})


def print_reply(request: JsonObject) -> JsonObject:
    """The answer to what a server asks a client: here is nobody who could be asked for anything."""
    head = {"jsonrpc": "2.0", "id": request["id"]}
    if request.get("method") == "ping":
        return {**head, "result": {}}
    return {**head, "error": {"code": METHOD_NOT_FOUND, "message": "This client has no such method."}}


def read_messages(content: bytes) -> list[JsonObject]:
    """The messages of a body, or of an event; a revision has lists of them. Raises Unusable."""
    try:
        value = read_json("", content)
    except UpstreamFailed as failure:
        raise Unusable("did not answer with valid JSON, or with more of it than is read") from failure
    messages: list[Any] = value if is_list(value) else [value]
    for message in messages:
        if not is_object(message):
            raise Unusable("sent what is no message of JSON-RPC")
        if message.get("jsonrpc") != "2.0":
            raise Unusable("speaks another version of JSON-RPC than 2.0")
    return messages


def is_request(message: JsonObject) -> bool:
    return isinstance(message.get("method"), str) and isinstance(message.get("id"), str | int)


def answer_of(message: JsonObject, request_id: int) -> JsonObject | None:
    """The result in it, None if it answers nothing, or another request; raises RpcError, and Unusable for a result of another shape.

    An error may have the id null, where the server could not tell what it is about.
    """
    if "method" in message:
        return None
    own = message.get("id")
    is_ours = type(own) is int and own == request_id
    if (error := message.get("error")) is not None and (is_ours or own is None):
        raise error_of(error)
    if not is_ours:
        return None
    result = message.get("result")
    if not is_object(result):
        raise Unusable("sent a result that is no object")
    return result


def number_of(value: object) -> float | None:
    """None for what is no number, and for what is no finite one."""
    return float(value) if isinstance(value, int | float) and type(value) is not bool and isfinite(value) else None


def error_of(error: object, status: int = 200) -> RpcError:
    entries = to_object(error)
    code, message, supported = (
        entries.get("code"),
        entries.get("message"),
        to_object(entries.get("data")).get("supported"),
    )
    return RpcError(
        code if type(code) is int else 0,
        message if isinstance(message, str) else "",
        status,
        supported if is_list(supported) else (),
    )
