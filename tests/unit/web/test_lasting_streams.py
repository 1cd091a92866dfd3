"""A stream that lasts is read to its end though its client has left; any other is closed then."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.types import Message

from core.frame.streams import OwningStream
from core.frame.types import JsonObject
from core.web.failures import STOPPING
from core.web.sse import DataFrames, EventStream
from core.web.streamed import GO_ON


class Source:
    """Ten elements, of which the first is there at once; `given` counts them, `closed` how often it was closed."""

    def __init__(self, *, lasts: bool, pause: float = 0.001) -> None:
        self.given = self.closed = 0
        self._pause = pause
        self.stream = OwningStream(self._elements(), self._close, lasts=lasts)

    async def _elements(self) -> AsyncGenerator[JsonObject]:
        for number in range(10):
            self.given += 1
            yield {"n": number}
            await asyncio.sleep(self._pause)

    async def _close(self) -> None:
        self.closed += 1


async def serve(source: Source, sent: list[Message], told: list[str]) -> None:
    """To a client that leaves as the first element comes."""
    left = asyncio.Event()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            left.set()

    scope: dict[str, Any] = {"type": "http", GO_ON: lambda: told.append("goes on")}
    await EventStream(source.stream, DataFrames(done=True))(scope, receive, send)


@pytest.mark.parametrize("lasts", [True, False])
async def test_what_comes_after_the_client_has_left_is_dropped(*, lasts: bool) -> None:
    source, sent, told = Source(lasts=lasts), list[Message](), list[str]()
    await asyncio.wait_for(serve(source, sent, told), 5)
    assert len(sent) < 5
    assert (source.given == 10, source.closed, told) == (lasts, 1, ["goes on"] if lasts else [])


async def test_a_server_that_stops_ends_it_without_its_client() -> None:
    source, sent = Source(lasts=True, pause=60), list[Message]()
    serving = asyncio.create_task(serve(source, sent, []))
    while not sent:  # noqa: ASYNC110 - until it has begun
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    serving.cancel(STOPPING)
    await asyncio.wait_for(serving, 5)
    assert (source.given, source.closed) == (1, 1)
