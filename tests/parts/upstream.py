"""An OpenAI-compatible upstream on loopback whose answers a test chooses: real HTTP, real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
import json
import threading
from typing import Any

from aiohttp import web

type Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
EMBEDDINGS = {
    "object": "list",
    "model": "m",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
    "usage": CHAT["usage"],
}
USAGE: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}


def chunk(text: str | None, finish: str | None = None) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


CHUNKS = [chunk("Hel"), chunk("lo"), chunk(None, "stop"), USAGE]


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class FakeUpstream:
    """`replies` by path; `seen` has every request; `cancelled` is set when a caller left before the end."""

    url: str = ""
    models: list[dict[str, Any]] = field(default_factory=lambda: [{"id": "m", "object": "model", "created": 7}])
    replies: dict[str, Reply] = field(default_factory=dict[str, Reply])
    seen: list[Seen] = field(default_factory=list[Seen])
    connections: set[Any] = field(default_factory=set[Any])
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.connections.add(request.transport)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Seen(request.method, request.path, headers, _loaded(request, body)))
        try:
            return await self.reply(request)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def reply(self, request: web.Request) -> web.StreamResponse:
        if request.path in self.replies:
            return await self.replies[request.path](request)
        if request.path == "/v1/models":
            return web.json_response({"object": "list", "data": self.models})
        if request.path.endswith("/embeddings"):
            return web.json_response(EMBEDDINGS)
        if self.seen[-1].body.get("stream"):
            return await stream(CHUNKS)(request)
        return web.json_response(CHAT)


def _loaded(request: web.Request, body: bytes) -> Any:
    if not body or request.content_type == "multipart/form-data":
        return None
    return body.decode() if request.content_type == "application/x-www-form-urlencoded" else json.loads(body)


def in_turn(*replies: Reply) -> Reply:
    """One reply after another; the last one for ever."""
    left = list(replies)

    async def reply(request: web.Request) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request)

    return reply


def status(code: int, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
    async def reply(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=code, headers=headers)

    return reply


def raw(body: bytes, content_type: str = "application/json") -> Reply:
    async def reply(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=content_type)

    return reply


def stream(events: list[dict[str, Any]], *, done: bool = True, hang: bool = False, newline: str = "\n") -> Reply:
    """Server-sent events; `hang` waits forever after them, without `done` the stream just ends."""

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            await response.write(f"data: {json.dumps(event)}{newline}{newline}".encode())
        if hang:
            await asyncio.sleep(3600)
        if done:
            await response.write(b"data: [DONE]\n\n")
        return response

    return reply


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError


async def rank_by_words(request: web.Request) -> web.StreamResponse:
    """Scores are the share of the query's words that a document has; results come as they stand, as from some servers."""
    body = json.loads(await request.read())
    words = body["query"].split()
    scores = [sum(word in text.split() for word in words) / len(words) for text in body["documents"]]
    results = [{"index": place, "relevance_score": score} for place, score in enumerate(scores)]
    return web.json_response({"id": "r1", "model": body["model"], "results": results, "usage": {"total_tokens": 21}})


@asynccontextmanager
async def running(upstream: FakeUpstream | None = None) -> AsyncIterator[FakeUpstream]:
    upstream = upstream or FakeUpstream()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", upstream.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield upstream
    finally:
        await runner.cleanup()


def in_thread(upstream: FakeUpstream) -> AbstractContextManager[FakeUpstream]:
    """`upstream` on a loop of its own, for callers that are processes of their own."""
    return threaded(running(upstream))


@contextmanager
def threaded[T](part: AbstractAsyncContextManager[T]) -> Generator[T]:
    """What a part of these gives, on a loop of its own; raises what its start does."""
    started: Future[T] = Future()
    loop, stopping = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with part as entered:
            started.set_result(entered)
            await stopping.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as failure:
            if started.done():
                raise
            started.set_exception(failure)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield started.result(10)
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
        loop.close()
