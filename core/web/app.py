"""The ASGI app of a set of APIs: routes from the tables, errors in one shape, nothing held after shutdown."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from core.apis.tables import route_rows
from core.resolution.resolve import Stack
from core.web.endpoints import routes
from core.web.failures import no_route

type App = Starlette


def build_app(stack: Stack, apis: Iterable[str]) -> Starlette:
    """Serve `apis` from what was resolved for them; shutting down closes the stack."""
    return _app(routes(list(route_rows(list(apis))), stack), [stack])


def union(apps: Iterable[Starlette]) -> Starlette:
    """One app with the routes of all, in order; shutting it down closes every stack."""
    apps = list(apps)
    stacks = [stack for app in apps for stack in app.state.stacks]
    return _app([route for app in apps for route in app.routes], stacks)


def _app(every: Sequence[BaseRoute], stacks: list[Stack]) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with AsyncExitStack() as closing:
            for stack in stacks:
                closing.push_async_callback(stack.close)
            yield

    app = Starlette(routes=every, exception_handlers={404: no_route, 405: no_route}, lifespan=lifespan)
    app.state.stacks = stacks
    app.router.redirect_slashes = False
    return app
