"""Endpoints from the tables: an operation's row or a kind's becomes a Starlette route."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from pydantic_core import to_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from core.apis.operations import Operation
from core.apis.resources import Kind
from core.apis.tables import RouteRow
from core.apis.types import JsonObject
from core.errors import InvalidRequest
from core.resolution.resolve import Stack
from core.routing.registration import resource_from
from core.routing.registry import Registry
from core.web.body import parse, read
from core.web.failures import JSON, Endpoint, shielded
from core.web.sse import EventStream, gone, wants_done

MOST_LISTED: Final = 1000


def routes(rows: list[RouteRow], stack: Stack) -> list[Route]:
    """A route per row, in order; HEAD is answered where GET is, as HTTP wants it."""
    return [Route(row.path, shielded(_endpoint(row, stack)), methods=[row.method]) for row in rows]


def _endpoint(row: RouteRow, stack: Stack) -> Endpoint:
    if row.operation is not None:
        return _operation(row.operation, stack.surfaces[row.surface], stack.config.server.max_body_bytes)
    if row.kind is None:
        raise LookupError(row.path)
    many = "{" not in row.path
    make = KIND_ENDPOINTS[row.method, many]
    return make(row.kind, stack.registries[row.kind.name], stack.config.server.max_body_bytes)


def _json(value: object) -> Response:
    return Response(to_json(value), media_type=JSON)


def _operation(operation: Operation, surface: Any, limit: int) -> Endpoint:  # noqa: ANN401 - typed by its Protocol
    call: Callable[..., Coroutine[Any, Any, JsonObject]] = getattr(surface, operation.call)
    kind = operation.request
    if kind is None:

        async def show(request: Request) -> Response:
            query = {name: request.query_params.get(name) for name in operation.query}
            return _json(await call(**request.path_params, **query))

        return show
    stream = getattr(surface, operation.stream) if operation.stream else None

    async def answer(request: Request) -> Response:
        wanted = parse(kind, await read(request, limit))
        if stream is not None and getattr(wanted, "stream", None):
            return EventStream(await _while_there(request, stream(wanted)), done=wants_done(request))
        return _json(await _while_there(request, call(wanted)))

    return answer


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


def _index(kind: Kind, registry: Registry, limit: int) -> Endpoint:
    del limit

    async def index(request: Request) -> Response:
        query = request.query_params
        page = await registry.page(
            after=query.get("after_id") or query.get("after") or "", limit=_page_limit(query.get("limit"))
        )
        rows = [kind.present(resource) for resource in page.resources]
        ids = [resource.identifier for resource in page.resources]
        ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
        return _json({"object": "list", "data": rows, "has_more": page.has_more, **ends})

    return index


def _page_limit(given: str | None) -> int:
    if given is None:
        return MOST_LISTED
    if not given.isdecimal() or not 1 <= int(given) <= MOST_LISTED:
        raise InvalidRequest(f"limit must be a whole number from 1 to {MOST_LISTED}.", param="limit")
    return int(given)


def _show(kind: Kind, registry: Registry, limit: int) -> Endpoint:
    del limit

    async def show(request: Request) -> Response:
        return _json(kind.present(await registry.get(request.path_params[kind.id_field])))

    return show


def _register(kind: Kind, registry: Registry, limit: int) -> Endpoint:
    async def register(request: Request) -> Response:
        body = parse(kind.body, await read(request, limit))
        wanted = resource_from(kind, body, registry.provider_of(body.model_dump()))
        return _json(kind.present(await registry.register(wanted)))

    return register


def _unregister(kind: Kind, registry: Registry, limit: int) -> Endpoint:
    del limit

    async def unregister(request: Request) -> Response:
        await registry.unregister(request.path_params[kind.id_field])
        return _json(None)

    return unregister


KIND_ENDPOINTS: Final[dict[tuple[str, bool], Callable[[Kind, Registry, int], Endpoint]]] = {
    ("GET", True): _index,
    ("GET", False): _show,
    ("POST", True): _register,
    ("DELETE", False): _unregister,
}
