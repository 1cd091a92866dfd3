"""The streaming runtime in this loop, beside a double of the Runtime API, and the pieces of raw ASGI apps."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
import json
import os
import signal
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from core.runtime.invocations import RuntimeApi, RuntimeApiFailed
from core.runtime.stream import ExecutionEnvironment
from tests.lambda_.events import Call, event
from tests.lambda_.runtime_api import RuntimeApiDouble, listening

GET = event("http", Call())
ERROR = {"message", "type", "param", "code", "request_id"}


@asynccontextmanager
async def serving(app: ASGIApp, double: RuntimeApiDouble | None = None) -> AsyncIterator[RuntimeApiDouble]:
    """An environment in this loop, ended as Lambda ends one; it must end well."""
    async with listening(double) as up:
        api = RuntimeApi(up.address)
        environment = ExecutionEnvironment(app, api, {"AWS_LAMBDA_FUNCTION_NAME": "f"})
        running = asyncio.create_task(environment.run())
        try:
            yield up
            assert not running.done(), running.exception()
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(10):
                await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await api.close()
            asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)


async def ended_badly(app: ASGIApp, double: RuntimeApiDouble) -> str:
    """What the environment says when it gives up."""
    async with listening(double) as up, asyncio.timeout(10):
        double.invoke(GET)
        api = RuntimeApi(up.address)
        with pytest.raises(RuntimeApiFailed) as said:
            await ExecutionEnvironment(app, api, {}).run()
        await api.close()
    return str(said.value)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("hello")(scope, receive, send)


async def begin(send: Send, content_type: bytes = b"text/plain") -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", content_type)]})


async def say(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.001)


def error_of(body: bytes) -> dict[str, Any]:
    """What is in the product's one error body."""
    content = json.loads(body)
    assert list(content) == ["error"]
    assert set(content["error"]) == ERROR
    failure: dict[str, Any] = content["error"]
    return failure


def everywhere(app: ASGIApp) -> Starlette:
    return Starlette(routes=[Mount("", app=app)])


async def hang(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send
    await asyncio.sleep(3600)
