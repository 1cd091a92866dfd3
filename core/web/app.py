"""The ASGI app of a set of APIs: routes from the tables, errors in one shape, nothing held after shutdown."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import ApiError
from core.frame.api import RouteRow
from core.web.endpoints import Served, routes_of
from core.web.failures import crash, error_response, no_route
from core.web.observed import Observer, Sink
from core.web.origins import HostCheck, OriginMiddleware, OriginRules, rules_of

type App = Starlette


class Closable(Protocol):
    """A stack, or what replaces it while it serves."""

    async def close(self) -> None:
        """Close every connection."""
        ...


class ClosableStack(Served, Closable, Protocol):
    """A resolved stack."""


def build_app(
    rows: list[RouteRow], stack: ClosableStack, sink: Sink | None = None, pages: Sequence[BaseRoute] = ()
) -> Starlette:
    """An app with a route per row over `stack`, which tells `sink` of each request; shutting down closes the stack."""
    return app_of([*routes_of(rows, stack), *pages], [stack], rules_of(stack.config.server), sink)


def union(apps: Iterable[Starlette], sink: Sink | None = None, check_host: HostCheck | None = None) -> Starlette:
    """One app with the routes of all, in order, and a sink and a check of hosts of its own; the rest is as in the first.

    Shutting it down closes every stack.
    """
    apps = list(apps)
    rules = replace(apps[0].state.rules, check_host=check_host)
    stacks = [stack for app in apps for stack in app.state.stacks]
    return app_of([route for app in apps for route in app.routes], stacks, rules, sink)


def app_of(routes: Sequence[BaseRoute], stacks: Sequence[Closable], rules: OriginRules, sink: Sink | None) -> Starlette:
    """The app of these routes, in order; shutting it down closes every one of `stacks`."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with AsyncExitStack() as closing:
            for stack in stacks:
                closing.push_async_callback(stack.close)
            yield

    app = Starlette(
        routes=routes,
        middleware=[Middleware(Observer, sink=sink), Middleware(OriginMiddleware, rules=rules)],
        exception_handlers={404: no_route, 405: no_route, Exception: crash},
        lifespan=lifespan,
    )
    app.state.stacks = stacks
    app.state.rules = rules
    app.router.redirect_slashes = False
    app.router.middleware_stack = PathIndex(app.router)
    return app


def refusing(app: ASGIApp, failure: ApiError) -> Observer:
    """What answers a request in place of `app`: the same sink is told of it, and the same pages may read it."""
    layers = app.user_middleware if isinstance(app, Starlette) else []
    state: dict[str, Any] = {name: value for layer in layers for name, value in layer.kwargs.items()}
    answer = OriginMiddleware(error_response(failure), state.get("rules", OriginRules()))
    return Observer(answer, state.get("sink"), cold=False)


class PathIndex:
    """Hands a request whose path has no parameters to its route at once, and leaves the others to the router.

    Starlette asks one route after another, each by a regular expression.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._routes: dict[tuple[str, str], Route] = {}
        earlier: list[Route] = []
        for route in router.routes:
            if not isinstance(route, Route):
                continue
            if "{" in route.path:
                earlier.append(route)
            elif not any(
                _may_match(other.path, route.path) and other.path_regex.match(route.path) for other in earlier
            ):
                for method in route.methods or ():
                    self._routes.setdefault((method, route.path), route)
        self._paths = frozenset(path for _, path in self._routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, as Starlette's router does."""
        is_whole = scope["type"] == "http" and not scope.get("root_path")
        route = self._routes.get((scope["method"], scope["path"])) if is_whole else None
        if route is None:
            if is_whole and scope["path"].endswith("/") and scope["path"].rstrip("/") in self._paths:
                raise HTTPException(404)  # it is not a resource without a name
            await self._router.app(scope, receive, send)
            return
        scope.update(router=self._router, route=route, endpoint=route.endpoint, path_params={})
        await route.handle(scope, receive, send)


def _may_match(path: str, other: str) -> bool:
    """Whether both begin alike, up to the first parameter of `path`: asked before its pattern is compiled."""
    return other.startswith(path.partition("{")[0])
