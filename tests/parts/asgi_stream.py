"""A client of a stack in this process that reads a stream as it comes, and may leave it: httpx's ASGITransport gives it whole alone."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import json
from typing import Any, cast

import httpx
from starlette.types import Message, Scope


@dataclass(repr=False)
class Listener:
    """`text` is what came so far; whoever has heard enough sets `left`."""

    text: str = ""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    body: list[bytes] = field(default_factory=list[bytes])

    async def receive(self) -> Message:
        if self.body:
            return {"type": "http.request", "body": self.body.pop(), "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not self.left.is_set():
            self.text += message["body"].decode()
            self.came.set()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line[6:]) for line in self.text.splitlines() if line.startswith("data: {")]

    async def first(self) -> dict[str, Any]:
        while not self.events:
            await self.came.wait()
            self.came.clear()
        return self.events[0]


@asynccontextmanager
async def listening(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> AsyncGenerator[Listener]:
    """A POST; the app has answered it when this ends."""
    app = cast("Any", client)._transport.app
    content = json.dumps(body).encode()
    listener = Listener(body=[content])
    headers = [(b"host", b"t"), (b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "server": ("t", 80),
        "client": ("127.0.0.1", 1),
    }
    running = asyncio.create_task(app(scope, listener.receive, listener.send))
    try:
        yield listener
    finally:
        await running
