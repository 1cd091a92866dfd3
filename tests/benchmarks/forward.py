"""The floor of a call that goes on by HTTP: a bare Starlette app that posts what it is sent. `python -m tests.benchmarks.forward URL`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import socket
import sys
from typing import Final

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
import uvicorn

SENT: Final = ("accept", "content-type", "mcp-protocol-version", "mcp-method", "mcp-name")


def app(url: str) -> Starlette:
    sessions: list[aiohttp.ClientSession] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession() as session:
            sessions.append(session)
            yield

    async def forward(request: Request) -> Response:
        headers = {name: request.headers[name] for name in SENT}
        async with sessions[0].post(url, data=await request.body(), headers=headers) as answer:
            return Response(await answer.read(), answer.status, media_type="application/json")

    return Starlette(routes=[Route("/", forward, methods=["POST"])], lifespan=lifespan)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app(sys.argv[1]), log_level="warning", access_log=False, timeout_keep_alive=600)
    uvicorn.Server(config).run(sockets=[listener])
