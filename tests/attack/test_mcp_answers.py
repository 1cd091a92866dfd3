"""MCP servers that send more than anybody takes: the client ends what they do not."""

import gzip

from aiohttp import web
import pytest

from core.apis.tools import NO_ACCESS as ACCESS
from core.errors import ApiError, UpstreamFailed
from tests.parts.mcp_double import Answer, event, serving, stateless, with_sessions

LIMITS = {"limits": {"max_bytes": 200_000, "max_event_bytes": 100_000, "max_stream_bytes": 300_000}, "timeout": 20}
MUCH = 64 * 1024 * 1024  # bytes: what sockets hold is less


class Endless:
    """Sends `piece` until nobody listens; `sent` is in bytes."""

    def __init__(self, piece: bytes, kind: str, head: bytes = b"") -> None:
        self.piece, self.kind, self.head, self.sent = piece, kind, head, 0

    async def answer(self, request: web.Request, _: object) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": self.kind})
        await response.prepare(request)
        await response.write(self.head)
        while self.sent < MUCH:
            await response.write(self.piece)
            self.sent += len(self.piece)
        raise AssertionError("everything was taken")


PROGRESS = event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}})
ENDLESS = {
    "json": (b"x" * 4096, "application/json", b'{"jsonrpc":"2.0","id":1,"result":"'),
    "events": (PROGRESS.encode() * 20, "text/event-stream", b""),
    "one event": (b"x" * 4096, "text/event-stream", b"data: "),
    "lines": (b"data: x\n" * 500, "text/event-stream", b""),
    "comments": (b": ping\n\n" * 500, "text/event-stream", b""),
    "ids": (b"id: 1\ndata:\n\n" * 300, "text/event-stream", b""),
}


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("method", ["server/discover", "initialize", "tools/call"])
async def test_what_never_ends_is_ended(method: str, name: str) -> None:
    endless = Endless(*ENDLESS[name])
    double = with_sessions()
    double.answers[method] = endless.answer
    async with serving(double, LIMITS) as (made, group, _):
        with pytest.raises(UpstreamFailed, match="too l"):
            await made.invoke_tool(group, "greet", {}, ACCESS)
    assert endless.sent < MUCH / 2


async def test_a_hundred_megabytes_are_not_even_begun_where_they_are_announced() -> None:
    async def announce(request: web.Request, _: object) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json", "content-length": str(100_000_000)})
        await response.prepare(request)
        return response

    async with serving(stateless(call=announce)) as (made, group, _):
        with pytest.raises(UpstreamFailed, match="too large"):
            await made.invoke_tool(group, "greet", {}, ACCESS)


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_compressed_answers_are_counted_as_what_they_become(kind: str) -> None:
    bomb = gzip.compress(b"data: " + bytes(5_000_000))

    async def answer(_: web.Request, __: object) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"content-type": kind, "content-encoding": "gzip"})

    async with serving(stateless(call=answer), LIMITS) as (made, group, _):
        with pytest.raises(UpstreamFailed, match="too l"):
            await made.invoke_tool(group, "greet", {}, ACCESS)


@pytest.mark.parametrize("depth", [100_000])
async def test_deep_json_and_many_values_are_no_answer(depth: int) -> None:
    texts = [b"[" * depth, b'{"jsonrpc":"2.0","id":1,"result":{"content":' + b"[" * depth + b"]" * depth + b"}}"]
    for text in texts:

        async def answer(_: web.Request, __: object, text: bytes = text) -> web.StreamResponse:
            return web.Response(body=text, content_type="application/json")

        refusing: Answer = answer
        async with serving(stateless(call=refusing)) as (made, group, _):
            with pytest.raises(ApiError) as failure:
                await made.invoke_tool(group, "greet", {}, ACCESS)
        assert failure.value.status == 502
