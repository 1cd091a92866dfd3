"""Endpoints from the tables: an operation's row or a kind's becomes a Starlette route."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from core.apis.tables import RouteRow
from core.errors import InvalidRequest
from core.frame.callers import Call
from core.frame.operations import Operation
from core.frame.resources import Kind
from core.frame.types import Wire
from core.resolution.instances import Surface
from core.resolution.stack import Guarded, Stack
from core.routing.registration import resource_from
from core.web.body import parse, read
from core.web.failures import JSON, Endpoint
from core.web.gate import Gate, Steps
from core.web.observed import observed_of
from core.web.sse import EventStream, gone, wants_done

if TYPE_CHECKING:
    from core.web.idempotency import Idempotency

MOST_LISTED: Final = 1000
NAMES: Final = {
    ("GET", True): "list_{0.section}",
    ("GET", False): "get_{0.name}",
    ("POST", True): "register_{0.name}",
    ("DELETE", False): "unregister_{0.name}",
}
"""What the operations of a kind are called where they are counted."""


def routes(rows: list[RouteRow], stack: Stack) -> list[Route]:
    """A route per row, in order; HEAD is answered where GET is, as HTTP wants it."""
    return [
        Route(row.path, endpoint, methods=[row.method])
        for row, endpoint in zip(rows, endpoints(rows, stack), strict=True)
    ]


def endpoints(rows: list[RouteRow], stack: Stack) -> list[Endpoint]:
    """What answers each row, in order."""
    gate = Gate(stack.authenticator, stack.quota)
    once = _once(stack)
    return [_named(row, _endpoint(row, stack, gate, once)) for row in rows]


def _once(stack: Stack) -> "Idempotency | None":
    config = stack.config.server.idempotency
    if config is None or stack.answers is None:
        return None
    from core.web.idempotency import Idempotency

    return Idempotency(stack.answers, config)


def _named(row: RouteRow, endpoint: Endpoint) -> Endpoint:
    """`endpoint`, which notes what it is."""
    many = "{" not in row.path
    name = row.operation.call if row.operation is not None else NAMES[row.method, many].format(row.kind)

    async def answer(request: Request) -> Response:
        observed = observed_of(request.scope)
        observed.api, observed.operation = row.api, name
        return await endpoint(request)

    return answer


def _endpoint(row: RouteRow, stack: Stack, gate: Gate, once: "Idempotency | None") -> Endpoint:
    limit = stack.config.server.max_body_bytes
    if row.operation is not None:
        steps = _operation(row.operation, stack.surfaces[row.surface], limit)
        if once is not None and row.operation.idempotent:
            steps = once.around(steps, limit)
        return gate.endpoint(steps, open_=row.operation.open, counted=row.operation.counted)
    if row.kind is None:
        raise LookupError(row.path)
    many = "{" not in row.path
    return gate.endpoint(KIND_STEPS[row.method, many](row.kind, stack.registries[row.kind.name], limit))


def _json(value: object) -> Response:
    return Response(to_json(value), media_type=JSON)


def _operation(operation: Operation, surface: Surface, limit: int) -> Steps:
    request_type = operation.request
    if request_type is None:

        async def show(request: Request, call: Call, _: None) -> Response:
            query = {name: request.query_params.get(name) for name in operation.query}
            return _json(await getattr(surface(call), operation.call)(**request.path_params, **query))

        return Steps(show)

    async def prepare(request: Request) -> Wire:
        return parse(request_type(), await read(request, limit))

    async def answer(request: Request, call: Call, wanted: Wire) -> Response:
        api = surface(call)
        if operation.stream is not None and getattr(wanted, "stream", None):
            stream = await _while_there(request, getattr(api, operation.stream)(wanted))
            return EventStream(stream, done=wants_done(request))
        return _json(await _while_there(request, getattr(api, operation.call)(wanted)))

    return Steps(answer, prepare, operation.tokens)


async def _while_there[T](request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled if the client leaves before it is done."""
    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(gone(request.receive))
    try:
        await asyncio.wait((task, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        leaving.cancel()
        task.cancel()
        await asyncio.wait((task, leaving))


def _index(kind: Kind, registry: Guarded, limit: int) -> Steps:
    del limit

    async def index(request: Request, call: Call, _: None) -> Response:
        query = request.query_params
        page = await registry(call).page(
            after=query.get("after_id") or query.get("after") or "", limit=_page_limit(query.get("limit"))
        )
        rows = [kind.present(resource) for resource in page.resources]
        ids = [resource.identifier for resource in page.resources]
        ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
        return _json({"object": "list", "data": rows, "has_more": page.has_more, **ends})

    return Steps(index)


def _page_limit(given: str | None) -> int:
    if given is None:
        return MOST_LISTED
    if not given.isdecimal() or not 1 <= int(given) <= MOST_LISTED:
        raise InvalidRequest(f"limit must be a whole number from 1 to {MOST_LISTED}.", param="limit")
    return int(given)


def _show(kind: Kind, registry: Guarded, limit: int) -> Steps:
    del limit

    async def show(request: Request, call: Call, _: None) -> Response:
        return _json(kind.present(await registry(call).get(request.path_params[kind.id_field])))

    return Steps(show)


def _register(kind: Kind, registry: Guarded, limit: int) -> Steps:
    async def prepare(request: Request) -> Wire:
        return parse(kind.body, await read(request, limit))

    async def register(request: Request, call: Call, body: Wire) -> Response:
        del request
        guarded = registry(call)
        wanted = resource_from(kind, body, guarded.provider_of(body.model_dump()))
        return _json(kind.present(await guarded.register(wanted)))

    return Steps(register, prepare)


def _unregister(kind: Kind, registry: Guarded, limit: int) -> Steps:
    del limit

    async def unregister(request: Request, call: Call, _: None) -> Response:
        await registry(call).unregister(request.path_params[kind.id_field])
        return _json(None)

    return Steps(unregister)


KIND_STEPS: Final[dict[tuple[str, bool], Callable[[Kind, Guarded, int], Steps]]] = {
    ("GET", True): _index,
    ("GET", False): _show,
    ("POST", True): _register,
    ("DELETE", False): _unregister,
}
