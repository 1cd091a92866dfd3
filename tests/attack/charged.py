"""A stack with callers and a quota, whose upstream does what an attack needs, driven as a server drives it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

from aiohttp import web
import httpx
from starlette.types import ASGIApp, Message

from core.config.load import interpret
from core.resolution.check import check
from core.resolution.resolve import resolve
from core.runtime.function import app_of_stack
from core.web.app import union
from tests.parts.upstream import FakeUpstream, Reply, running

CHAT = "/v1/chat/completions"
RESERVED = 50
WORDS = [{"role": "user", "content": "Tell me a story"}]


class Deadline:
    """What Lambda says of a function's time."""

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


@dataclass
class Stack:
    """A bearer token is its caller's name; `upstream` vouches for it, and is the model `p/m`."""

    app: ASGIApp
    upstream: FakeUpstream

    async def ask(self, path: str, body: Any, name: str = "mallory", **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://t", timeout=30) as client:
            return await client.request(
                "GET" if body is None else "POST", path, json=body, headers=_bearer(name) | headers
            )

    async def used(self, name: str = "mallory") -> tuple[int, int]:
        """Requests and tokens."""
        left = (await self.ask("/v1/quota", None, name)).json()
        return left["requests"]["used"], left["tokens"]["used"]

    async def stream(self, path: str, body: Any, *, leave_at: int = 10**9, deadline: Deadline | None = None) -> bytes:
        """What came until the client left, which it does at so many events, or until the end."""
        content = json.dumps({"stream": True, **body}).encode()
        headers = _bearer("mallory") | {"content-type": "application/json"}
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("t", 80),
            **({} if deadline is None else {"aws.context": deadline}),
        }
        pending, leaving, came = [content], asyncio.Event(), b""

        async def receive() -> Message:
            if pending:
                return {"type": "http.request", "body": pending.pop(), "more_body": False}
            await leaving.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal came
            came += message.get("body", b"")
            if came.count(b"data: ") >= leave_at:
                leaving.set()
                await asyncio.sleep(0.01)

        async with asyncio.timeout(20):
            await self.app(scope, receive, send)
        return came


def _bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {name}"}


async def _vouch(request: web.Request) -> web.StreamResponse:
    name = json.loads(await request.read())["api_key"]
    return web.json_response({"principal": name, "attributes": {"roles": [name]}})


@asynccontextmanager
async def stack_over(
    folder: Path, replies: dict[str, Reply] | None = None, *, config: dict[str, Any] | None = None, **more: Any
) -> AsyncGenerator[Stack]:
    """`config` is the provider's, beside its URL; `more` is of the run config."""
    async with running(FakeUpstream(replies={"/auth": _vouch, **(replies or {})})) as upstream:
        provider = {"url": f"{upstream.url}/v1", **(config or {})}
        document: dict[str, Any] = {
            "image_name": f"charged-{folder.name}",
            "providers": {
                "inference": [{"provider_id": "p", "provider_type": "remote::vllm", "config": provider}],
            },
            "metadata_store": {"type": "sqlite", "db_path": str(folder / "registry.db")},
            "server": {
                "auth": {"provider_type": "custom", "config": {"endpoint": f"{upstream.url}/auth"}},
                "quota": {
                    "kvstore": {"type": "sqlite", "db_path": str(folder / "quota.db")},
                    "max_tokens": 100_000,
                    "default_max_tokens": RESERVED,
                },
            },
            **more,
        }
        loaded = interpret(document, {})
        assert not loaded.problems + check(loaded)
        app = union([app_of_stack(await resolve(loaded, [api], version="1"), [api]) for api in ("inference", "admin")])
        try:
            yield Stack(app, upstream)
        finally:
            for stack in app.state.stacks:
                await stack.close()
