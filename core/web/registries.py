"""Handlers of a kind's rows: list, get, register, unregister."""

from collections.abc import Callable
from typing import Final

from pydantic_core import to_json
from starlette.responses import Response

from core.frame.resources import Kind, ListQuery
from core.routing.guard import RegistryFactory
from core.routing.registration import resource_from
from core.web.body import parse_texts
from core.web.exchange import CurrentCall, Exchange, Handler
from core.web.failures import JSON


def _json(value: object) -> Response:
    return Response(to_json(value), media_type=JSON)


def _index(kind: Kind, registry: RegistryFactory) -> Handler:
    async def index(exchange: Exchange) -> Response:
        query = parse_texts(ListQuery, exchange.request.query_params.multi_items())
        page = await registry(exchange.call).page(after=query.after_id or query.after, limit=query.limit)
        rows = [kind.show(resource) for resource in page.resources]
        ids = [resource.identifier for resource in page.resources]
        ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
        return _json({"object": "list", "data": rows, "has_more": page.has_more, **ends})

    return index


def _show(kind: Kind, registry: RegistryFactory) -> Handler:
    async def show(exchange: Exchange) -> Response:
        return _json(kind.show(await registry(exchange.call).get(exchange.request.path_params[kind.id_field])))

    return show


def _register(kind: Kind, registry: RegistryFactory) -> Handler:
    async def register(exchange: Exchange) -> Response:
        body = await exchange.body()
        guarded = registry(exchange.call)
        resource = resource_from(kind, body, guarded.provider_of(body.model_dump()))
        with CurrentCall(exchange.call):  # a provider may be asked whether it can serve it
            return _json(kind.show(await guarded.register(resource)))

    return register


def _unregister(kind: Kind, registry: RegistryFactory) -> Handler:
    async def unregister(exchange: Exchange) -> Response:
        await registry(exchange.call).unregister(exchange.request.path_params[kind.id_field])
        return _json(None)

    return unregister


HANDLERS: Final[dict[tuple[str, bool], Callable[[Kind, RegistryFactory], Handler]]] = {
    ("GET", True): _index,
    ("GET", False): _show,
    ("POST", True): _register,
    ("DELETE", False): _unregister,
}
"""By the method and whether the row is about all resources of the kind."""
