"""Server-sent events: an answer that leaves chunk by chunk and is never cut silently."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
import re
from typing import Final, Protocol, override

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from core.errors import ApiError
from core.frame.types import JsonStream
from core.web.failures import attempt, deadline
from core.web.observed import observed_of

DONE: Final = b"data: [DONE]\n\n"
HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # a proxy must not collect the events
]
CLIENT_VERSION: Final = "x-llamastack-client-version"
PING: Final = b": ping\n\n"  # a comment, which clients skip
SILENCE_SECONDS: Final = 15.0  # after which it is sent: an edge-optimised API Gateway cuts what is idle for 30 s
OLD_CLIENT: Final = re.compile(r"0\.[0-2](\.|$)")


def wants_done(request: Request) -> bool:
    """False for llama-stack-client before 0.3, which fails on `data: [DONE]`."""
    return OLD_CLIENT.match(request.headers.get(CLIENT_VERSION, "")) is None


class StreamRecorder(Protocol):
    """Gets each event after it was sent, and is closed as `EventStream.closing` is called: perhaps twice."""

    def add(self, event: bytes) -> None:
        """One more, with its frame."""
        ...

    async def close(self, *, whole: bool) -> None:
        """`whole` is a stream that neither failed nor was left."""
        ...


class EventStream(Response):
    """Sends each object of `stream` as an event; a failure becomes one error event, then the end.

    So does a function's deadline. While there is nothing to send, a comment is sent now and then. When the client goes away
    the stream is closed, which cancels the call upstream. `failed` tells of the first. `closing`, if it is set, is awaited
    before the last bytes leave, or when the client has left: it must bear to be called twice.
    """

    closing: Callable[[], Awaitable[None]] | None = None
    recorder: StreamRecorder | None = None

    def __init__(self, stream: JsonStream, *, done: bool) -> None:
        """`done` ends it with `data: [DONE]`, as OpenAI does."""
        self.status_code = 200
        self.failed = False
        self.ended = False
        self.background = None
        self.body = b""
        self.raw_headers = list(HEADERS)
        self._stream = stream
        self._done = done
        self._sent_at = 0.0

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._observed = observed_of(scope)
        sending = asyncio.ensure_future(self._send(send, deadline(scope)))
        leaving = asyncio.ensure_future(wait_for_disconnect(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not sending.done():
                sending.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            await self._stream.aclose()
            await self._close()
        if not sending.cancelled():
            sending.result()

    async def _send(self, send: Send, until: float | None) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending = asyncio.Lock()
        pinging = asyncio.ensure_future(self._ping(send, sending))
        try:
            async for event in self._events(until):
                framed = b"data: %b\n\n" % event
                async with sending:
                    await self._chunk(send, framed)
                if self.recorder is not None:
                    self.recorder.add(framed)
        finally:
            pinging.cancel()
            await asyncio.gather(pinging, return_exceptions=True)
        self.ended = True
        await self._close()
        await send({"type": "http.response.body", "body": DONE if self._done else b"", "more_body": False})

    async def _chunk(self, send: Send, body: bytes) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        self._sent_at = asyncio.get_running_loop().time()

    async def _ping(self, send: Send, sending: asyncio.Lock) -> None:
        """Break every long silence, and no event."""
        loop = asyncio.get_running_loop()
        self._sent_at = loop.time()
        while True:
            await asyncio.sleep(self._sent_at + SILENCE_SECONDS - loop.time())
            if loop.time() >= self._sent_at + SILENCE_SECONDS:
                async with sending:
                    await self._chunk(send, PING)

    async def _close(self) -> None:
        if self.recorder is not None:
            await self.recorder.close(whole=self.ended and not self.failed)
        if self.closing is not None:
            await self.closing()

    async def _events(self, until: float | None) -> AsyncGenerator[bytes]:
        """Each object of the stream as JSON; a failure is the last one, as an error body."""
        while True:
            outcome = await attempt(anext(self._stream, None), until)
            if outcome is None:
                return
            if isinstance(outcome, ApiError):
                self.failed = True
                self._observed.failure = outcome.status
                yield to_json(outcome.body())
                return
            yield to_json(outcome)


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has left; for a Lambda function, which cannot know, that is at the end."""
    while (await receive())["type"] != "http.disconnect":
        pass
