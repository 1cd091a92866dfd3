"""Server-sent events: an answer that leaves event by event."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import lru_cache
import re
from typing import Any, Final, Protocol, override

from pydantic_core import to_json
from starlette.requests import Request
from starlette.types import Send

from core.errors import ApiError
from core.frame.types import EventSource, JsonObject, JsonStream, NamedEvent
from core.web.exchange import Exchange
from core.web.failures import attempt, error_body, stop_early
from core.web.streamed import StreamedResponse

DONE: Final = b"data: [DONE]\n\n"
HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # a proxy must not collect the events
]
CLIENT_VERSION: Final = "x-llamastack-client-version"
PING: Final = b": ping\n"  # a comment alone: behind an empty line openai-go, up to 3.42, reads an event without data
SILENCE_SECONDS: Final = 15.0  # after which it is sent: an edge-optimised API Gateway cuts what is idle for 30 s
OLD_CLIENT: Final = re.compile(r"0\.[0-2](\.|$)")
LINE_BREAKS: Final = str.maketrans("", "", "\r\n\0")  # which would end a field of an event

type FailureEvent = Callable[[ApiError, NamedEvent | None], NamedEvent]


def wants_done(request: Request) -> bool:
    """False for llama-stack-client before 0.3, which fails on `data: [DONE]`."""
    return OLD_CLIENT.match(request.headers.get(CLIENT_VERSION, "")) is None


class Frames(Protocol):
    """How the elements of a stream become events; `end` is what follows the last one."""

    @property
    def end(self) -> bytes: ...

    def event(self, element: Any) -> bytes:  # noqa: ANN401 - what the stream yields
        """One element, with its frame."""
        ...

    def failure(self, failure: ApiError) -> bytes:
        """The last event of a stream that broke."""
        ...


class DataFrames:
    """Each JSON object is the data of an event without a name; a failure is an error body in one."""

    __slots__ = ("end",)

    def __init__(self, *, done: bool) -> None:
        """`done` ends it with `data: [DONE]`, as OpenAI does."""
        self.end = DONE if done else b""

    def event(self, element: JsonObject) -> bytes:
        return b"data: %b\n\n" % to_json(element, inf_nan_mode="null")

    def failure(self, failure: ApiError) -> bytes:
        return self.event(error_body(failure))


@lru_cache(256)  # a stream has few names, and a name for each token
def _name_field(name: str) -> bytes:
    return b"event: %b\n" % name.translate(LINE_BREAKS).encode()


class EventFrames:
    """Each NamedEvent has its name, its id where it has one, and its data; nothing follows the last one."""

    __slots__ = ("_failure_event", "_last", "end")

    def __init__(self, failure_event: FailureEvent | None = None) -> None:
        """None makes of a failure an event `error` with the error body."""
        self.end = b""
        self._failure_event = failure_event
        self._last: NamedEvent | None = None

    def event(self, element: NamedEvent) -> bytes:
        self._last = element
        head = _name_field(element.name)
        if element.id:
            head += b"id: %b\n" % element.id.translate(LINE_BREAKS).encode()
        if element.comment:  # within the event, as PING says
            head += b": %b\n" % element.comment.translate(LINE_BREAKS).encode()
        return b"%bdata: %b\n\n" % (head, to_json(element.data, inf_nan_mode="null"))

    def failure(self, failure: ApiError) -> bytes:
        if self._failure_event is None:
            return self.event(NamedEvent("error", error_body(failure)))
        return self.event(self._failure_event(failure, self._last))


def frames_of(exchange: Exchange) -> Frames:
    """How a stream of the exchange's operation is framed for its client."""
    operation = exchange.operation
    if operation is not None and operation.frames == "events":
        return EventFrames(operation.failure_event())
    return DataFrames(done=wants_done(exchange.request))


class StreamRecorder(Protocol):
    """Gets each event after it was sent, and is closed as `EventStream.closing` is called: perhaps twice."""

    def add(self, event: bytes) -> None:
        """One more, with its frame."""
        ...

    async def close(self, *, whole: bool) -> None:
        """`whole` is a stream that neither failed nor was left."""
        ...


class EventStream(StreamedResponse):
    """Sends each element of a stream as an event; a failure becomes one event more, then the end.

    So does a function's deadline. While there is nothing to send, a comment is sent now and then.
    """

    recorder: StreamRecorder | None = None

    def __init__(self, stream: JsonStream | EventSource, frames: Frames) -> None:
        super().__init__(stream, 200, list(HEADERS))
        self._frames = frames
        self._sent_at = 0.0

    @override
    async def _send(self, send: Send, until: float | None) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending = asyncio.Lock()
        pinging = asyncio.ensure_future(self._ping(send, sending))
        try:
            async for event in self._events(until):
                async with sending:
                    await self._chunk(send, event)
                if self.recorder is not None:
                    self.recorder.add(event)
        except asyncio.CancelledError as cancelled:  # while its client reads slowly
            await self._chunk(send, self._fail(stop_early(cancelled)))
        finally:
            pinging.cancel()
            await asyncio.gather(pinging, return_exceptions=True)
        self.ended = True
        await self._close()
        await send({"type": "http.response.body", "body": self._frames.end, "more_body": False})

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

    @override
    async def _close(self) -> None:
        if self.recorder is not None:
            await self.recorder.close(whole=self.ended and not self.failed)
        await super()._close()

    async def _events(self, until: float | None) -> AsyncGenerator[bytes]:
        """Each element of the stream in its frame; a failure is the last one."""
        while True:
            outcome = await attempt(anext(self._source, None), until)
            if outcome is None:
                return
            if isinstance(outcome, ApiError):
                yield self._fail(outcome)
                return
            yield self._frames.event(outcome)

    def _fail(self, failure: ApiError) -> bytes:
        self.failed = True
        self._observed.failure = failure.status
        self._observed.note_failure(failure.code, failure.reason, failure.provider_id)
        return self._frames.failure(failure)
