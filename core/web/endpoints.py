"""Endpoints from the tables: an operation's row or a kind's becomes a Starlette route."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydantic_core import to_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from core.config.document import RunConfig
from core.errors import InvalidRequest
from core.frame.api import RouteRow, SurfaceFactory
from core.frame.callers import Call
from core.frame.dotted import load
from core.frame.operations import Operation
from core.frame.resources import Kind
from core.frame.types import Wire
from core.routing.guard import RegistryFactory
from core.routing.registration import resource_from
from core.stores.answers.port import AnswerStore
from core.web.access import AccessMiddleware, Steps
from core.web.body import parse, read
from core.web.failures import JSON, Endpoint
from core.web.observed import observed_of
from core.web.sse import EventStream, wait_for_disconnect, wants_done

if TYPE_CHECKING:
    from core.auth.authenticator import Authenticator
    from core.quota.quota import Quota
    from core.web.idempotency import IdempotencyMiddleware

MOST_LISTED: Final = 1000


class Served(Protocol):
    """What endpoints answer from. `authenticator`, `quota` and `answers` are None where they are not configured."""

    @property
    def config(self) -> RunConfig:
        """The run config in force."""
        ...

    @property
    def surfaces(self) -> Mapping[str, SurfaceFactory]:
        """By the name of the surface."""
        ...

    @property
    def registries(self) -> Mapping[str, RegistryFactory]:
        """By the name of the kind."""
        ...

    @property
    def authenticator(self) -> "Authenticator | None":
        """Who tells callers apart."""
        ...

    @property
    def quota(self) -> "Quota | None":
        """Who counts their requests and tokens."""
        ...

    @property
    def answers(self) -> AnswerStore | None:
        """Where answers are, by idempotency key."""
        ...


def routes_of(rows: list[RouteRow], served: Served) -> list[Route]:
    """A route per row, in order; HEAD is answered where GET is, as HTTP wants it."""
    return [
        Route(row.path, endpoint, methods=[row.method])
        for row, endpoint in zip(rows, endpoints(rows, served), strict=True)
    ]


def endpoints(rows: list[RouteRow], served: Served) -> list[Endpoint]:
    """What answers each row, in order."""
    access = AccessMiddleware(served.authenticator, served.quota)
    idempotency = _idempotency(served)
    return [_observe(row, _endpoint(row, served, access, idempotency)) for row in rows]


def _idempotency(served: Served) -> "IdempotencyMiddleware | None":
    config = served.config.server.idempotency
    if config is None or served.answers is None:
        return None
    from core.web.idempotency import IdempotencyMiddleware

    return IdempotencyMiddleware(served.answers, config)


def _observe(row: RouteRow, endpoint: Endpoint) -> Endpoint:
    """`endpoint`, which notes what it is."""
    name = row.name

    async def answer(request: Request) -> Response:
        observed = observed_of(request.scope)
        observed.api, observed.operation = row.api, name
        return await endpoint(request)

    return answer


def _endpoint(
    row: RouteRow, served: Served, access: AccessMiddleware, idempotency: "IdempotencyMiddleware | None"
) -> Endpoint:
    limit = served.config.server.max_body_bytes
    if row.operation is not None:
        steps = _operation(row.operation, served.surfaces[row.surface], limit)
        if idempotency is not None and row.operation.idempotent:
            steps = idempotency.wrap(steps, limit)
        return access.wrap(steps, open_=row.operation.open, counted=row.operation.counted)
    if row.kind is None:
        raise LookupError(row.path)
    return access.wrap(KIND_STEPS[row.method, row.many](row.kind, served.registries[row.kind.name], limit))


def _json(value: object) -> Response:
    return Response(to_json(value), media_type=JSON)


def _operation(operation: Operation, surface: SurfaceFactory, limit: int) -> Steps:
    if operation.request is None:

        async def show(request: Request, call: Call, _: None) -> Response:
            query = {name: request.query_params.get(name) for name in operation.query}
            return _json(await getattr(surface(call), operation.call)(**request.path_params, **query))

        return Steps(show)

    name = operation.request

    async def prepare(request: Request) -> Wire:
        body: Wire = parse(load(name), await read(request, limit))
        return body

    async def answer(request: Request, call: Call, body: Wire) -> Response:
        api = surface(call)
        if operation.stream is not None and getattr(body, "stream", None):
            stream = await _while_there(request, getattr(api, operation.stream)(body))
            return EventStream(stream, done=wants_done(request))
        return _json(await _while_there(request, getattr(api, operation.call)(body)))

    return Steps(answer, prepare, operation.token_bound())


async def _while_there[T](request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled if the client leaves before it is done."""
    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(wait_for_disconnect(request.receive))
    try:
        await asyncio.wait((task, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        leaving.cancel()
        task.cancel()
        await asyncio.wait((task, leaving))


def _index(kind: Kind, registry: RegistryFactory, limit: int) -> Steps:
    del limit

    async def index(request: Request, call: Call, _: None) -> Response:
        query = request.query_params
        page = await registry(call).page(
            after=query.get("after_id") or query.get("after") or "", limit=_page_limit(query.get("limit"))
        )
        rows = [kind.show(resource) for resource in page.resources]
        ids = [resource.identifier for resource in page.resources]
        ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
        return _json({"object": "list", "data": rows, "has_more": page.has_more, **ends})

    return Steps(index)


def _page_limit(limit: str | None) -> int:
    if limit is None:
        return MOST_LISTED
    if not limit.isdecimal() or not 1 <= int(limit) <= MOST_LISTED:
        raise InvalidRequest(f"limit must be a whole number from 1 to {MOST_LISTED}.", param="limit")
    return int(limit)


def _show(kind: Kind, registry: RegistryFactory, limit: int) -> Steps:
    del limit

    async def show(request: Request, call: Call, _: None) -> Response:
        return _json(kind.show(await registry(call).get(request.path_params[kind.id_field])))

    return Steps(show)


def _register(kind: Kind, registry: RegistryFactory, limit: int) -> Steps:
    async def prepare(request: Request) -> Wire:
        return parse(kind.body_type(), await read(request, limit))

    async def register(request: Request, call: Call, body: Wire) -> Response:
        del request
        guarded = registry(call)
        resource = resource_from(kind, body, guarded.provider_of(body.model_dump()))
        return _json(kind.show(await guarded.register(resource)))

    return Steps(register, prepare)


def _unregister(kind: Kind, registry: RegistryFactory, limit: int) -> Steps:
    del limit

    async def unregister(request: Request, call: Call, _: None) -> Response:
        await registry(call).unregister(request.path_params[kind.id_field])
        return _json(None)

    return Steps(unregister)


KIND_STEPS: Final[dict[tuple[str, bool], Callable[[Kind, RegistryFactory, int], Steps]]] = {
    ("GET", True): _index,
    ("GET", False): _show,
    ("POST", True): _register,
    ("DELETE", False): _unregister,
}
