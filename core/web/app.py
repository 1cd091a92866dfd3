"""The ASGI app of a set of APIs: routes from the tables, errors in one shape, nothing held after shutdown."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Protocol

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from core.apis.tables import route_rows
from core.config.load import Loaded
from core.resolution.stack import Stack
from core.web.endpoints import routes
from core.web.failures import no_route
from core.web.observed import Observer, Sink

type App = Starlette


class Closable(Protocol):
    """A stack, or the one in force."""

    async def close(self) -> None:
        """Let go of every connection."""
        ...


def build_app(
    stack: Stack, apis: Sequence[str], sink: Sink | None = None, *, loaded: Loaded | None = None
) -> Starlette:
    """Serve `apis` from what was resolved for them, and tell `sink`; shutting down closes the stack.

    Where the Configuration API is on, and given the run config, the stack is swapped for what was registered.
    """
    rows = list(route_rows(list(apis)))
    if stack.watch is None or loaded is None:
        return _app(routes(rows, stack), [stack], sink)
    from core.resolution.live.reloader import Live
    from core.web.live import live_routes, made

    live = Live(loaded, apis, stack, stack.watch, partial(made, rows))
    return _app(live_routes(rows, live), [live], sink)


def union(apps: Iterable[Starlette], sink: Sink | None = None) -> Starlette:
    """One app with the routes of all, in order, and a sink of its own; shutting it down closes every stack."""
    apps = list(apps)
    stacks = [stack for app in apps for stack in app.state.stacks]
    return _app([route for app in apps for route in app.routes], stacks, sink)


def _app(every: Sequence[BaseRoute], stacks: Sequence[Closable], sink: Sink | None) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with AsyncExitStack() as closing:
            for stack in stacks:
                closing.push_async_callback(stack.close)
            yield

    app = Starlette(
        routes=every,
        middleware=[Middleware(Observer, sink=sink)],
        exception_handlers={404: no_route, 405: no_route},
        lifespan=lifespan,
    )
    app.state.stacks = stacks
    app.router.redirect_slashes = False
    return app
