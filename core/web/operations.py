"""The handler of an operation's row: what its method is called with, and its result as a response."""

from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
import hashlib
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json
from starlette.responses import Response

from core.frame.api import SurfaceFactory
from core.frame.dotted import load
from core.frame.operations import Operation
from core.frame.types import Query
from core.web.body import parse_texts
from core.web.exchange import CurrentCall, Exchange
from core.web.failures import JSON, while_there
from core.web.headers import clean_headers
from core.web.sse import EventStream, frames_of

if TYPE_CHECKING:
    from core.web.uploads import UploadReceiver

FROM_HEADERS: Final = ("last_event_id", "idempotency_key")  # fields of a query, and with dashes headers
NOT_MODIFIED: Final = 304


@dataclass(frozen=True, slots=True)
class OperationHandler:
    """`uploads` is None for an operation without an upload."""

    operation: Operation
    surface: SurfaceFactory
    uploads: "UploadReceiver | None" = None

    async def __call__(self, exchange: Exchange) -> Response:
        """Call the surface's method, and form the answer."""
        arguments: dict[str, Any] = exchange.request.path_params
        if self.operation.query is not None:
            arguments = {**arguments, "query": _parse_query(exchange, load(self.operation.query))}
        if self.uploads is None:
            has_body = self.operation.request is not None or self.operation.read is not None
            return await self._answer(exchange, await exchange.body() if has_body else None, arguments)
        async with AsyncExitStack() as cleanup:
            body, upload = await self.uploads.receive(exchange.request, cleanup)
            response = await self._answer(exchange, body, {**arguments, "upload": upload})
            cleanup.pop_all()  # from here on the blobs are the method's
        return response

    async def _answer(self, exchange: Exchange, body: object, arguments: dict[str, Any]) -> Response:
        operation = self.operation
        streams = operation.stream is not None and _wants_stream(exchange, body, arguments.get("query"))
        method = getattr(self.surface(exchange.call), operation.stream or "" if streams else operation.call)
        with CurrentCall(exchange.call):
            work: Coroutine[Any, Any, Any] = method(**arguments) if body is None else method(body, **arguments)
            # What neither streams nor has a body is short, and is not cut off half-way.
            cancels = streams or operation.request is not None or operation.upload is not None
            result = await (while_there(exchange.request, work) if cancels else work)
            if streams:
                response = EventStream(result, frames_of(exchange))
                response.call = exchange.call
                return response
            if operation.reply == "bytes":
                from core.web.byte_answers import respond

                return await respond(result, exchange)
        return _respond(operation, result, exchange)


def _respond(operation: Operation, result: Any, exchange: Exchange) -> Response:  # noqa: ANN401 - what a method returns
    """In one piece."""
    if operation.reply == "answer":
        from core.web.messages import respond_as

        return respond_as(result, exchange)
    if operation.reply == "none":
        return Response(status_code=operation.success)
    headers = clean_headers(exchange.call.answer_headers)
    if operation.text and isinstance(result, str):
        return Response(result, operation.success, headers, media_type=operation.text)
    content = to_json(result, inf_nan_mode="null")  # a log probability may be -Infinity, which is no JSON
    if operation.tagged:
        return _tagged(content, headers, exchange)
    return Response(content, operation.success, headers, media_type=JSON)


def _tagged(content: bytes, headers: dict[str, str], exchange: Exchange) -> Response:
    """With its ETag; without a body where the client has one of that tag."""
    from core.web.byte_answers import names_tag

    tag = hashlib.sha256(content).hexdigest()[:32]
    headers["etag"] = f'"{tag}"'
    if names_tag(exchange.request.headers.get("if-none-match", ""), tag):
        return Response(status_code=NOT_MODIFIED, headers=headers)
    return Response(content, headers=headers, media_type=JSON)


async def wants_stream(exchange: Exchange) -> bool:
    """Whether the answer of the exchange's operation, which can stream, will; raises what is wrong with the request."""
    operation = exchange.operation
    if operation is None:
        return False
    body = None if operation.request is None or operation.upload is not None else await exchange.body()
    query = None if operation.query is None else _parse_query(exchange, load(operation.query))
    return _wants_stream(exchange, body, query)


def _wants_stream(exchange: Exchange, body: object, query: object) -> bool:
    wants = getattr(body, "stream", None) or getattr(query, "stream", None)
    return bool(wants) and exchange.request.method != "HEAD"


def _parse_query(exchange: Exchange, kind: type[Query]) -> Query:
    request = exchange.request
    pairs = request.query_params.multi_items()
    for name in FROM_HEADERS:
        if name in kind.model_fields and (value := request.headers.get(name.replace("_", "-"))) is not None:
            pairs.append((name, value))
    return parse_texts(kind, pairs)
