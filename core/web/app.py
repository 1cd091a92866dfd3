"""The ASGI app of a set of APIs: routes from the tables, errors in one shape, nothing held after shutdown."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from core.frame.api import RouteRow
from core.web.endpoints import Served, routes_of
from core.web.failures import no_route
from core.web.observed import Observer, Sink

type App = Starlette


class Closable(Protocol):
    """A stack, or what replaces it while it serves."""

    async def close(self) -> None:
        """Close every connection."""
        ...


class ClosableStack(Served, Closable, Protocol):
    """A resolved stack."""


def build_app(rows: list[RouteRow], stack: ClosableStack, sink: Sink | None = None) -> Starlette:
    """An app with a route per row over `stack`, which tells `sink` of each request; shutting down closes the stack."""
    return app_of(routes_of(rows, stack), [stack], sink)


def union(apps: Iterable[Starlette], sink: Sink | None = None) -> Starlette:
    """One app with the routes of all, in order, and a sink of its own; shutting it down closes every stack."""
    apps = list(apps)
    stacks = [stack for app in apps for stack in app.state.stacks]
    return app_of([route for app in apps for route in app.routes], stacks, sink)


def app_of(routes: Sequence[BaseRoute], stacks: Sequence[Closable], sink: Sink | None) -> Starlette:
    """The app of these routes, in order; shutting it down closes every one of `stacks`."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with AsyncExitStack() as closing:
            for stack in stacks:
                closing.push_async_callback(stack.close)
            yield

    app = Starlette(
        routes=routes,
        middleware=[Middleware(Observer, sink=sink)],
        exception_handlers={404: no_route, 405: no_route},
        lifespan=lifespan,
    )
    app.state.stacks = stacks
    app.router.redirect_slashes = False
    return app
