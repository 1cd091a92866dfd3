"""MCP of 2026-07-28: each request is a POST by itself, which says of itself what the older revisions agree on first.

Source: https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http.
"""

from contextlib import aclosing
from itertools import count
from typing import Final

from core.frame.types import JsonObject
from core.platform.json_values import is_list, to_object
from core.providers.mcp.hearing import hear
from core.providers.mcp.transport import Server, Transport
from core.providers.mcp.wire import (
    CLIENT,
    INVALID_REQUEST,
    PREFIX,
    STATELESS,
    UNSUPPORTED_VERSION,
    Question,
    Refusal,
    RpcError,
    Unusable,
    print_request,
)

META: Final[JsonObject] = {
    f"{PREFIX}protocolVersion": STATELESS,
    f"{PREFIX}clientCapabilities": {},
    f"{PREFIX}clientInfo": CLIENT,
}
DISCOVER: Final = Question("server/discover")
OTHER_WIRE: Final = frozenset({404, 405, 406, 415})


class Stateless:
    """Leaving the answer is how a call is cancelled here."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._ids = count(1)

    async def discover(self, server: Server) -> bool:
        """Whether the server says that it speaks this; raises what a refusal is."""
        try:
            answer = await self.ask(server, DISCOVER)
        except RpcError as error:
            if error.code != UNSUPPORTED_VERSION or STATELESS not in error.supported:
                raise
            answer = await self.ask(server, DISCOVER)  # what it refused is what it asks for
        versions = answer.get("supportedVersions")
        return is_list(versions) and STATELESS in versions

    async def ask(self, server: Server, question: Question) -> JsonObject:
        request_id = question.number(self._ids)
        headers = {
            "mcp-protocol-version": STATELESS,
            "mcp-method": question.method,
            **question.headers,
            **question.key_headers,
        }
        message = print_request(request_id, question, META)
        async with (
            self._transport.post(server, message, headers) as answer,
            aclosing(answer.messages()) as messages,
        ):
            result = await hear(messages, request_id, question)
        if result is None:
            raise Unusable("ended its answer without a result")
        return result

    async def describe(self, server: Server) -> JsonObject:
        """What it says of itself, wherever it says it."""
        answer = await self.ask(server, DISCOVER)
        meta = to_object(answer.get("_meta"))
        return to_object(answer.get("serverInfo")) or to_object(meta.get(f"{PREFIX}serverInfo"))

    def is_refused(self, refused: Exception) -> bool:
        """Whether the server says that it speaks something else; then it has done nothing."""
        match refused:
            case Refusal(status=status):
                return status in OTHER_WIRE
            case RpcError(status=400, code=code):
                return code in {INVALID_REQUEST, UNSUPPORTED_VERSION}
            case _:
                return False
