"""Routes whose stack is replaced while they serve: each answer is made, to its last byte, by the stack it began with."""

from collections.abc import Sequence
from typing import Protocol

from starlette.routing import Route, request_response
from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import ApiError
from core.frame.api import RouteRow
from core.web.endpoints import RowRoute, Served, endpoints
from core.web.failures import attempt, deadline, error_response
from core.web.observed import observed_of

type Endpoints = Sequence[ASGIApp]


class Current(Protocol):
    """A stack in force, as long as it is acquired; its endpoints are in the order of the rows."""

    @property
    def endpoints(self) -> Endpoints:
        """What `make_endpoints` made."""
        ...


class Reloader[C: Current](Protocol):
    """Knows the stack in force."""

    async def acquire(self, *, fresh: bool = True) -> C:
        """The stack in force, for one answer; unless `fresh`, the last known one. Raises ProviderUnavailable."""
        ...

    async def release(self, current: C) -> None:
        """The answer is whole."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


def make_endpoints(rows: list[RouteRow], served: Served) -> Endpoints:
    """What answers each row with this stack, in order."""
    return [request_response(endpoint) for endpoint in endpoints(rows, served)]


def live_routes[C: Current](rows: Sequence[RouteRow], reloader: Reloader[C]) -> list[Route]:
    """A route per row, in order, over the stack in force when it is called."""
    return [RowRoute(row.path, _Replaceable(reloader, index, row), row.method) for index, row in enumerate(rows)]


class _Replaceable[C: Current]:
    """What needs no token answers also when nobody can tell which configuration is in force."""

    def __init__(self, reloader: Reloader[C], index: int, row: RouteRow) -> None:
        self._reloader = reloader
        self._index = index
        self._fresh = row.operation is None or not row.operation.open
        self._api = row.api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        current = await attempt(self._reloader.acquire(fresh=self._fresh), deadline(scope))
        if isinstance(current, ApiError):
            observed_of(scope).api = self._api
            await error_response(current)(scope, receive, send)
            return
        try:
            await current.endpoints[self._index](scope, receive, send)
        finally:
            await self._reloader.release(current)
