"""PerLoop: one client per name and event loop, however many ask at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from core.platform.per_loop import PerLoop


class Connections:
    """Counts what is opened and closed; the first `failures` fail."""

    def __init__(self, failures: int = 0) -> None:
        self.opened: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.failures = failures
        self.clients = PerLoop(self.connect)

    @asynccontextmanager
    async def connect(self, name: str) -> AsyncGenerator[object]:
        self.opened[name] += 1
        await asyncio.sleep(0)
        if self.failures >= self.opened[name]:
            raise OSError("not now")
        yield object()
        self.closed[name] += 1


async def test_of_those_who_ask_at_once_one_connects() -> None:
    connections = Connections()
    clients = await asyncio.gather(*(connections.clients.get(name) for name in "aabba"))
    assert clients[0] is clients[1] is clients[4] is not clients[2] is clients[3]
    assert connections.opened == {"a": 1, "b": 1}
    await connections.clients.close()
    assert connections.closed == {"a": 1, "b": 1}
    assert await connections.clients.get("a") is not clients[0]
    await connections.clients.close()


async def test_failure_is_raised_and_the_next_call_connects() -> None:
    connections = Connections(failures=1)
    with pytest.raises(OSError, match="not now"):
        await connections.clients.get()
    assert await connections.clients.get() is await connections.clients.get()
    assert connections.opened == {"": 2}
    await connections.clients.close()


def test_client_of_another_loop_is_neither_used_nor_closed() -> None:
    connections = Connections()
    loops = [asyncio.new_event_loop() for _ in range(2)]
    first, second = (loop.run_until_complete(connections.clients.get()) for loop in loops)
    assert first is not second
    loops[0].run_until_complete(connections.clients.close())
    assert connections.closed == {}
    loops[1].run_until_complete(connections.clients.close())
    assert connections.closed == {"": 1}
    for loop in loops:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def test_a_call_that_waits_while_the_clients_are_closed_opens_one_that_is_closed_later() -> None:
    connections = Connections()
    first, second = (asyncio.create_task(connections.clients.get(name)) for name in "ab")
    await asyncio.sleep(0)
    closing = asyncio.create_task(connections.clients.close())
    await asyncio.gather(first, second, closing)
    assert await connections.clients.get("b") is second.result()
    await connections.clients.close()
    assert connections.opened == connections.closed == {"a": 1, "b": 1}
