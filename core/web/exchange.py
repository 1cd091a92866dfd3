"""One request on its way to its answer, and the middlewares that it goes through."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from core.apis.parsing import parse
from core.errors import ApiError
from core.frame.callers import CURRENT_CALL, Call
from core.frame.dotted import load
from core.frame.operations import Operation
from core.frame.types import Wire
from core.web.body import read
from core.web.failures import Endpoint, attempt, deadline, error_response

type Handler = Callable[[Exchange], Awaitable[Response]]
type Middleware = Callable[[Exchange, Handler], Awaitable[Response]]
"""Answers itself, or hands on to the handler. It raises nothing, and neither does the handler: a failure is a response."""

LIMIT: Final = 6_291_456  # bytes, what Lambda takes


class Exchange:
    """`until` is when the answer must leave, in the loop's time; there is a `call` once the caller was authenticated."""

    __slots__ = ("_body", "_body_type", "_content", "_limit", "call", "operation", "request", "until")

    call: Call

    def __init__(
        self,
        request: Request,
        body_type: Callable[[], type[Wire] | None] | None = None,
        operation: Operation | None = None,
        limit: int = LIMIT,
    ) -> None:
        """`body_type` is asked when the body is read, which has at most `limit` bytes."""
        self.request = request
        self.operation = operation
        self.until = deadline(request.scope)
        self._body_type = body_type
        self._limit = limit
        self._content: bytes | None = None
        self._body: Any = None

    async def content(self) -> bytes:
        """The body as it came, read once; raises BodyTooLarge."""
        if self._content is None:
            self._content = await read(self.request, self._limit)
        return self._content

    async def body(self) -> Any:  # noqa: ANN401 - of the type that its row names
        """The body, read and checked once.

        Raises:
            ApiError: it is wrong; each time that it is asked for.
            ClientDisconnect: it never came whole; the same.
        """
        if self._body is None:
            try:
                if self._content is None:
                    self._content = await read(self.request, self._limit)
                self._body = self._parse(self._content)
            except (ApiError, ClientDisconnect) as failure:
                self._body = failure
        if isinstance(self._body, Exception):
            raise self._body
        return self._body

    def _parse(self, content: bytes) -> Any:  # noqa: ANN401 - as `body`
        operation = self.operation
        if operation is None or operation.read is None:
            return parse(self._load_type(), content)
        from core.web.messages import message_of

        return load(operation.read)(message_of(self.request.scope, operation.headers, content))

    def _load_type(self) -> type[Wire]:
        kind = None if self._body_type is None else self._body_type()
        if kind is None:
            raise LookupError(self.request.scope["path"])
        return kind


def chain(handler: Handler, middlewares: Sequence[Middleware]) -> Handler:
    """`handler`, whose failures become responses, behind the middlewares, the first outermost."""
    handle = _answer_failures(handler)
    for middleware in reversed(middlewares):
        handle = _behind(middleware, handle)
    return handle


def _behind(middleware: Middleware, handle: Handler) -> Handler:
    return lambda exchange: middleware(exchange, handle)


def _answer_failures(handler: Handler) -> Handler:
    async def answer(exchange: Exchange) -> Response:
        outcome = await attempt(handler(exchange), exchange.until)
        return error_response(outcome) if isinstance(outcome, ApiError) else outcome

    return answer


def endpoint(
    handle: Handler,
    body_type: Callable[[], type[Wire] | None] | None = None,
    operation: Operation | None = None,
    limit: int = LIMIT,
) -> Endpoint:
    """`handle` as Starlette wants it; the rest is as in an Exchange."""

    async def answer(request: Request) -> Response:
        return await handle(Exchange(request, body_type, operation, limit))

    return answer


class CurrentCall:
    """`call` is the one under way inside; tasks that begin there have it too."""

    __slots__ = ("_call", "_token")

    def __init__(self, call: Call | None) -> None:
        self._call = call

    def __enter__(self) -> None:
        self._token = CURRENT_CALL.set(self._call)

    def __exit__(self, *_: object) -> None:
        CURRENT_CALL.reset(self._token)
