"""Clients of the event loop that made them: to another loop an open connection is of no use."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Clients[Client]:
    loop: asyncio.AbstractEventLoop
    by_name: dict[str, Client] = field(default_factory=dict[str, Client])
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)


class PerLoop[Client]:
    """A client for each name: `connect` opens it at the first call that needs it, once for all who need it at that time."""

    def __init__(self, connect: Callable[[str], AbstractAsyncContextManager[Client]]) -> None:
        self._connect = connect
        self._clients: _Clients[Client] | None = None

    async def get(self, name: str = "") -> Client:
        """The client of this event loop; what `connect` raises is raised, and the next call tries again."""
        loop = asyncio.get_running_loop()
        if self._clients is None or self._clients.loop is not loop:
            self._clients = _Clients(loop)
        clients = self._clients
        if name not in clients.by_name:
            async with clients.lock:
                if clients is not self._clients:  # they were closed while this call waited
                    return await self.get(name)
                if name not in clients.by_name:
                    clients.by_name[name] = await clients.stack.enter_async_context(self._connect(name))
        return clients.by_name[name]

    def opened(self, name: str = "") -> Client | None:
        """The client of this event loop, where there is one already."""
        clients = self._clients
        if clients is None or clients.loop is not asyncio.get_running_loop():
            return None
        return clients.by_name.get(name)

    async def close(self) -> None:
        """Close the clients of this event loop; a later call opens others."""
        clients = self._clients
        if clients is not None and clients.loop is asyncio.get_running_loop():
            self._clients = None
            async with clients.lock:
                await clients.stack.aclose()
