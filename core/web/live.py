"""Routes whose stack is swapped while they serve: each answer is made, to its last byte, by the stack it began with."""

from collections.abc import Sequence

from starlette.routing import Route, request_response
from starlette.types import ASGIApp, Receive, Scope, Send

from core.apis.tables import RouteRow
from core.errors import ApiError
from core.resolution.live.reloader import Live
from core.resolution.stack import Stack
from core.web.endpoints import endpoints
from core.web.failures import attempt, deadline, error_response
from core.web.observed import observed_of

type Made = Sequence[ASGIApp]


def made(rows: list[RouteRow], stack: Stack) -> Made:
    """What answers each row with this stack, in order."""
    return [request_response(endpoint) for endpoint in endpoints(rows, stack)]


def live_routes(rows: Sequence[RouteRow], live: Live[Made]) -> list[Route]:
    """A route per row, in order, over the stack in force when it is called."""
    return [Route(row.path, _Swapped(live, index, row), methods=[row.method]) for index, row in enumerate(rows)]


class _Swapped:
    """What needs no token answers also when nobody can tell which configuration is in force."""

    def __init__(self, live: Live[Made], index: int, row: RouteRow) -> None:
        self._live = live
        self._index = index
        self._fresh = row.operation is None or not row.operation.open
        self._api = row.api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = await attempt(self._live.take(fresh=self._fresh), deadline(scope))
        if isinstance(held, ApiError):
            observed_of(scope).api = self._api
            await error_response(held)(scope, receive, send)
            return
        try:
            await held.made[self._index](scope, receive, send)
        finally:
            await self._live.let_go(held)
