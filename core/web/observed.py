"""Around the app: every request has an id and a trace, and is told of, once, when its answer has ended."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.frame.observed import Observed, Stopwatch
from core.frame.tracing import CARRIERS, REQUEST_ID, TRACE, Trace, new_id, trace_of
from core.web.failures import OBSERVED, error_response, stop_early

if TYPE_CHECKING:
    from core.web.exchange import Exchange, Handler

CALL: Final = "llambda.call"  # of a scope: the call, which ends with its answer
CLIENT_LEFT: Final = 499  # nginx's number in logs for a client that did not wait
FAILED: Final = 500
LONGEST_ID: Final = 128
RAW_CARRIERS: Final = {name.encode(): name for name in CARRIERS}


@dataclass(slots=True, eq=False)
class RequestRecord:
    """A request that is over. `path` is percent-encoded; all times are in seconds.

    `status` is what the caller got or, of a stream that failed, would have got; 499 if it left before the end. `own` is
    neither waiting for a provider nor for the client to take what was sent. `first_byte` is None where no body was sent.
    `cold` is the first request of a process.
    """

    request_id: str
    trace_id: str
    method: str
    path: str
    status: int
    streamed: bool
    cold: bool
    seconds: float
    own: float
    first_byte: float | None
    observed: Observed


type Sink = Callable[[RequestRecord], None]
"""Gets each record; it must not raise."""


def observed_of(scope: Scope) -> Observed:
    """Where a request's facts are noted; without an `Observer` around the app, nobody reads them."""
    observed: Observed | None = scope.get(OBSERVED)
    return Observed() if observed is None else observed


@dataclass(frozen=True, slots=True)
class ObservationMiddleware:
    """Notes which operation of which API a request is for."""

    api: str
    operation: str

    async def __call__(self, exchange: "Exchange", handle: "Handler") -> Response:
        """Hand on."""
        observed = observed_of(exchange.request.scope)
        observed.api, observed.operation = self.api, self.operation
        return await handle(exchange)


class Observer:
    """ASGI middleware; without a sink it only gives ids and traces."""

    def __init__(self, app: ASGIApp, sink: Sink | None = None, *, cold: bool = True) -> None:
        """Tell `sink` of what `app` serves; with `cold`, its first request is the first of the process."""
        self._app = app
        self._sink = sink
        self._cold = cold

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; what `app` raises is raised, after it was told of."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = _trace(scope)
        recording = _Recording(scope, send)
        cold, self._cold = self._cold, False
        token, request_token = TRACE.set(trace), REQUEST_ID.set(recording.request_id)
        try:
            await self._app(scope, receive, recording.send)
        except asyncio.CancelledError as cancelled:  # while nobody was there who answers for it
            failure = stop_early(cancelled)
            if not recording.has_begun:
                await error_response(failure)(scope, receive, recording.send)
        finally:
            TRACE.reset(token)
            if not isinstance(sys.exception(), Exception):  # else whoever runs the app logs it, as of this request
                REQUEST_ID.reset(request_token)
            if (call := scope.get(CALL)) is not None:
                call.end()
            if self._sink is not None:
                self._sink(recording.record(trace, cold=cold))


class _Recording:
    __slots__ = ("_begun", "_client", "_ended", "_first_byte", "_scope", "_send", "_status", "_streamed", "request_id")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._begun = perf_counter()
        self._scope = scope
        self._send = send
        self._client = Stopwatch()
        self.request_id = request_id(scope)
        self._status = 0
        self._first_byte: float | None = None
        self._streamed = self._ended = False
        scope[OBSERVED] = Observed()

    @property
    def has_begun(self) -> bool:
        return self._status != 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
            message = {**message, "headers": headers}
        elif self._first_byte is None and message.get("body"):
            self._first_byte = perf_counter() - self._begun
        with self._client:
            await self._send(message)
        if message["type"] == "http.response.body":
            more: bool = message.get("more_body", False)
            self._streamed |= more
            self._ended = not more

    def record(self, trace: Trace, *, cold: bool) -> RequestRecord:
        seconds = perf_counter() - self._begun
        observed = observed_of(self._scope)
        return RequestRecord(
            request_id=self.request_id,
            trace_id=trace.id,
            method=self._scope["method"],
            path=(self._scope.get("raw_path") or b"").decode("latin-1"),
            status=self._outcome(observed),
            streamed=self._streamed,
            cold=cold,
            seconds=seconds,
            own=max(0.0, seconds - observed.upstream.seconds - self._client.seconds),
            first_byte=self._first_byte,
            observed=observed,
        )

    def _outcome(self, observed: Observed) -> int:
        if self._ended:
            return observed.failure or self._status
        return FAILED if isinstance(sys.exception(), Exception) else CLIENT_LEFT


def request_id(scope: Scope) -> str:
    """API Gateway's, else Lambda's, else one of our own; never the caller's."""
    match scope.get("aws.event"):
        case {"requestContext": {"requestId": str(given)}} if _is_id(given):
            return given
        case _:
            lambdas: object = getattr(scope.get("aws.context"), "aws_request_id", None)
    return lambdas if isinstance(lambdas, str) and _is_id(lambdas) else new_id()


def _is_id(text: str) -> bool:
    return 0 < len(text) <= LONGEST_ID and text.isascii() and text.isprintable() and " " not in text


def _trace(scope: Scope) -> Trace:
    carriers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name = RAW_CARRIERS.get(raw)
        if name is not None:
            text = value.decode("latin-1")
            carriers[name] = f"{carriers[name]},{text}" if name in carriers else text
    return trace_of(carriers, scope.get("aws.trace_id", ""))
