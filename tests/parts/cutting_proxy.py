"""A TCP proxy that can cut every connection, and refuse others, until it is told to go on: a server that is away."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
import threading
from urllib.parse import urlsplit


@dataclass
class CuttingProxy:
    """Between `url` and the server at `target`."""

    target: str
    url: str = ""
    away: bool = False
    cuts: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])
    _loop: asyncio.AbstractEventLoop | None = None

    def set_away(self, *, away: bool) -> None:
        """From any thread."""
        assert self._loop is not None
        self.away = away
        if away:
            self.cuts += 1
            self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.away:
            writer.transport.abort()
            return
        place = urlsplit(self.target)
        other_reader, other = await asyncio.open_connection(place.hostname, place.port)
        self._writers |= {writer, other}
        try:
            await asyncio.gather(_pump(reader, other), _pump(other_reader, writer))
        finally:
            self._writers -= {writer, other}
            for each in (writer, other):
                each.transport.abort()

    async def serve(self, ready: threading.Event, stopping: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self.handle, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await stopping.wait()
        server.close()
        self._cut()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@contextmanager
def proxying(target: str) -> Generator[CuttingProxy]:
    """On a loop of its own."""
    proxy, ready = CuttingProxy(target), threading.Event()
    loop, stopping = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(proxy.serve(ready, stopping),))
    thread.start()
    assert ready.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
        loop.close()
