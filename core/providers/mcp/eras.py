"""Which revision of MCP a server speaks: asked once, remembered for a while, forgotten where the server refuses it.

The newest way comes first; a refusal leads to the next one. Where the network fails, or credentials are refused, nothing is decided.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from core.frame.types import JsonObject
from core.platform.ttl_cache import TtlCache
from core.providers.mcp.event_sessions import EventSessions
from core.providers.mcp.sessions import Sessions
from core.providers.mcp.stateless import Stateless
from core.providers.mcp.transport import Key, Server, Transport
from core.providers.mcp.wire import Question, Refusal, RpcError, Unusable

REMEMBERED_SECONDS: Final = 3600.0
MOST_SERVERS: Final = 1000
OF_CLIENTS: Final = range(400, 500)
UNDECIDED: Final = frozenset({502, 503, 504, 429})
"""What says of a server that it is busy, or that something before it cannot reach it."""


class Era(Protocol):
    async def ask(self, server: Server, question: Question) -> JsonObject:
        """The result; raises Denied, Refusal, RpcError and Unusable, and what the client does."""
        ...

    async def describe(self, server: Server) -> JsonObject:
        """What the server says of itself; raises as `ask`."""
        ...

    def is_refused(self, refused: Exception) -> bool: ...


class Eras:
    def __init__(self, transport: Transport) -> None:
        self._stateless = Stateless(transport)
        self._sessions = Sessions(transport)
        self._event_sessions = EventSessions(transport)
        self._known: TtlCache[Key, Era] = TtlCache(REMEMBERED_SECONDS, most=MOST_SERVERS)

    async def ask(self, server: Server, question: Question) -> JsonObject:
        """Raises as an era does."""
        return await self._by_era(server, lambda era: era.ask(server, question))

    async def describe(self, server: Server) -> JsonObject:
        return await self._by_era(server, lambda era: era.describe(server))

    async def close(self) -> None:
        await self._sessions.close()

    async def _by_era(self, server: Server, work: Callable[[Era], Awaitable[JsonObject]]) -> JsonObject:
        era = self._known.peek(server.key)
        if era is not None:
            try:
                return await work(era)
            except (Refusal, RpcError) as refused:
                if not era.is_refused(refused):
                    raise
            self._known.forget(server.key)
        return await work(await self._choose(server))

    async def _choose(self, server: Server) -> Era:
        era = await self._find(server)
        self._known.put(server.key, era)
        return era

    async def _find(self, server: Server) -> Era:
        try:
            if await self._stateless.discover(server):
                return self._stateless
        except (Refusal, RpcError, Unusable) as refused:
            if isinstance(refused, Refusal) and refused.status in UNDECIDED:
                raise
        try:
            await self._sessions.begin(server)
        except (Refusal, RpcError) as refused:
            if refused.status not in OF_CLIENTS or refused.status in UNDECIDED:
                raise
            first = refused
        else:
            return self._sessions
        try:
            await self._event_sessions.check(server)
        except (Refusal, RpcError, Unusable) as refused:
            raise first from refused
        return self._event_sessions
