"""The floor: a bare Starlette + aiohttp pass-through. `python -m tests.benchmarks.passthrough UPSTREAM`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import socket
import sys

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
import uvicorn


def app(upstream: str) -> Starlette:
    sessions: list[aiohttp.ClientSession] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            sessions.append(session)
            yield

    async def chat(request: Request) -> Response:
        headers = {"content-type": "application/json"}
        async with sessions[0].post(f"{upstream}/v1/chat/completions", data=await request.body(), headers=headers) as r:
            return Response(await r.read(), r.status, media_type="application/json")

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])], lifespan=lifespan)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app(sys.argv[1]), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])
