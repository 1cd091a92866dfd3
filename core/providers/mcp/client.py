"""Listing and calling tools of a server, whatever it speaks."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import to_json

from core.apis.tools import ServerDescription, Tool, ToolAccess, ToolListing, ToolResult
from core.config.answer_limits import AnswerLimits
from core.errors import shorten
from core.frame.types import JsonObject
from core.platform.ttl_cache import TtlCache
from core.providers.http.guarded import GuardedClient
from core.providers.http.upstream_errors import clean_message
from core.providers.mcp.eras import Eras
from core.providers.mcp.failures import no_tool
from core.providers.mcp.results import is_unknown, read_result, says_unknown
from core.providers.mcp.tools import Mirrored, mirror, print_header, read_page
from core.providers.mcp.transport import Key, Server, Transport
from core.providers.mcp.wire import HEADER_MISMATCH, INVALID_PARAMS, METHOD_NOT_FOUND, Question, RpcError, Unusable

MOST_TOOLS: Final = 1000
MOST_PAGES: Final = 100
MOST_LISTED: Final = 16 * 1024 * 1024  # bytes of all pages, as JSON: each may be as long as an answer
FACTS: Final = ("name", "title", "version", "description")
MOST_FACT: Final = 1024  # bytes
MIRRORED_SECONDS: Final = 86_400.0
MOST_SERVERS: Final = 1000


class McpClient:
    def __init__(self, client: GuardedClient, limits: AnswerLimits) -> None:
        self._eras = Eras(Transport(client, limits))
        self._mirrored: TtlCache[Key, Mapping[str, Mirrored]] = TtlCache(MIRRORED_SECONDS, most=MOST_SERVERS)

    async def list_tools(self, server: Server) -> ToolListing:
        """At most 1,000, of at most 100 pages; of equal names the first counts."""
        tools: dict[str, Tool] = {}
        mirrored: dict[str, Mirrored] = {}
        times: list[float] = []
        cursor, size = "", 0
        for _ in range(MOST_PAGES):
            params: JsonObject = {"cursor": cursor} if cursor else {}
            try:
                result = await self._eras.ask(server, Question("tools/list", params))
            except RpcError as error:
                if error.code != METHOD_NOT_FOUND or cursor:
                    raise
                return ToolListing(())  # a server without tools
            size += len(to_json(result, inf_nan_mode="null"))
            if size > MOST_LISTED:
                raise Unusable("lists more of its tools than is read")
            page = read_page(result)
            for tool in page.tools:
                tools.setdefault(tool.name, tool)
            mirrored |= page.mirrored
            times += [] if page.seconds is None else [page.seconds]
            if not page.cursor or len(tools) >= MOST_TOOLS:
                break
            if page.cursor == cursor:
                raise Unusable("lists the same page of tools again and again")
            cursor = page.cursor
        self._mirrored.put(server.key, mirrored)
        return ToolListing(list(tools.values())[:MOST_TOOLS], min(times, default=None))

    async def describe(self, server: Server) -> ServerDescription:
        info = await self._eras.describe(server)
        texts = {name: text for name in FACTS if isinstance(text := info.get(name), str)}
        return ServerDescription(**{name: shorten(text, MOST_FACT) for name, text in texts.items()})

    async def call_tool(self, server: Server, tool: str, arguments: JsonObject, access: ToolAccess) -> ToolResult:
        """Raises NotFound; what the server says of the arguments is a failed result, which a model can learn from."""
        try:
            result = read_result(await self._call(server, tool, arguments, access))
        except RpcError as error:
            if error.code not in {INVALID_PARAMS, METHOD_NOT_FOUND}:
                raise
            if error.code == METHOD_NOT_FOUND or says_unknown(error.message, tool):
                raise no_tool(server, tool) from error
            text = clean_message(error.message, server.credentials.confidential)
            return ToolResult(text or "The arguments are not what this tool takes.", failed=True)
        if is_unknown(result, tool):
            raise no_tool(server, tool)
        return result

    async def close(self) -> None:
        await self._eras.close()

    async def _call(self, server: Server, tool: str, arguments: JsonObject, access: ToolAccess) -> JsonObject:
        """Where a server misses headers, its tools are listed, and it is asked once more: it has refused what came before."""
        mirrored = self._mirrored.peek(server.key)
        try:
            return await self._eras.ask(server, _question(tool, arguments, mirrored, access))
        except RpcError as error:
            if error.code != HEADER_MISMATCH or error.status < 400:  # noqa: PLR2004 - HTTP: refused
                raise
        await self.list_tools(server)
        return await self._eras.ask(server, _question(tool, arguments, self._mirrored.peek(server.key), access))


def _question(
    tool: str, arguments: JsonObject, mirrored: Mapping[str, Mirrored] | None, access: ToolAccess
) -> Question:
    headers: dict[str, Any] = mirror(arguments, (mirrored or {}).get(tool, {}))
    return Question(
        "tools/call",
        {"name": tool, "arguments": arguments},
        headers={"mcp-name": print_header(tool), **headers},
        on_progress=access.on_progress,
        key=access.key,
    )
