"""The floor of a stream: a bare Starlette + aiohttp relay. `python -m tests.benchmarks.relay UPSTREAM`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


def app(upstream: str) -> Starlette:
    sessions: list[aiohttp.ClientSession] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            sessions.append(session)
            yield

    async def relay(request: Request) -> Response:
        return StreamingResponse(_chunks(request.url.path, await request.body()))

    async def _chunks(path: str, body: bytes) -> AsyncIterator[bytes]:
        async with sessions[0].post(upstream + path, data=body) as response:
            async for chunk, _ in response.content.iter_chunks():
                yield chunk

    return Starlette(routes=[Route("/{path:path}", relay, methods=["POST"])], lifespan=lifespan)


if __name__ == "__main__":
    import socket
    import sys

    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app(sys.argv[1]), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])
