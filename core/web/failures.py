"""Exceptions as responses: the one place where anything that can go wrong gets its wire form."""

import asyncio
from collections.abc import Awaitable, Callable
import logging
from typing import Any, Final, cast, override

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from core.errors import ApiError, JsonBody, MethodNotAllowed, NotFound, ServerStopping, UpstreamTimeout
from core.frame.callers import CURRENT_CALL
from core.frame.observed import Observed
from core.frame.tracing import REQUEST_ID
from core.web.headers import clean_headers

log = logging.getLogger(__name__)

type Endpoint = Callable[[Request], Awaitable[Response]]
JSON: Final = "application/json"
OBSERVED: Final = "llambda.observed"  # of a scope: what its request's line is made from
STOPPING: Final = "the server stops"
"""With this message a server cancels what has had its time, and what is cancelled says so to its client."""
MARGIN_SECONDS: Final = 0.5  # of a function's time, for the answer that says that it is up


class Bug(ApiError):
    """What a caller sees of a fault of ours: nothing but that there was one."""

    def __init__(self) -> None:
        """Say that it is logged; the details stay in the log."""
        super().__init__(
            "Internal server error. The request may be fine: try again. The operator's log has the reason under this request's id."
        )


class ClientLeft(ApiError):
    """Nobody reads this answer; 499 is nginx's number for it in logs."""

    status = 499
    code = "client_left"

    def __init__(self) -> None:
        super().__init__("The client left before it was answered.")


def error_body(failure: ApiError) -> JsonBody:
    """What is sent of a failure, with the request's id for whoever asks the operator; but a quota's is Llama Stack's own."""
    body = failure.body()
    if "code" in body["error"] and (request := REQUEST_ID.get()):
        body["error"]["request_id"] = request
    return body


def error_response(failure: ApiError) -> Response:
    """The one error body, with the failure's status and headers."""
    return ErrorResponse(failure)


class ErrorResponse(Response):
    """Whose failure is noted for the request's line as it is sent."""

    def __init__(self, failure: ApiError) -> None:
        super().__init__(to_json(error_body(failure)), failure.status, clean_headers(failure.headers), JSON)
        self._code, self._reason, self._provider = failure.code, failure.reason, failure.provider_id

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        observed: Observed | None = scope.get(OBSERVED)
        if observed is not None:
            observed.note_failure(self._code, self._reason, self._provider)
        await super().__call__(scope, receive, send)


def deadline(scope: Scope) -> float | None:
    """When an answer must be on its way, in the loop's time: shortly before Lambda kills the function; None elsewhere."""
    context = scope.get("aws.context")
    if context is None:
        return None
    remaining: int = context.get_remaining_time_in_millis()
    return asyncio.get_running_loop().time() + remaining / 1000 - MARGIN_SECONDS


async def attempt[T](work: Awaitable[T], until: float | None = None) -> T | ApiError:
    """The result of `work`, or the failure that the caller may see. The program's only broad except.

    At `until`, in the loop's time, `work` is cancelled.
    """
    limit = None if until is None else asyncio.timeout_at(until)
    try:
        if limit is None:  # on a server, five times in a request
            return await work
        async with limit:
            return await work
    except (ApiError, ClientDisconnect) as failure:
        return failure if isinstance(failure, ApiError) else ClientLeft()
    except asyncio.CancelledError as cancelled:
        return stop_early(cancelled)
    except Exception:
        if limit is not None and limit.expired():
            return UpstreamTimeout("There was no answer before the function's time was up.")
        log.exception("a request failed", extra=bug_facts())
        return Bug()


def bug_facts() -> dict[str, str]:
    """Of a fault of ours, or of a provider that is not ours: whom the call under way had asked."""
    call = CURRENT_CALL.get()
    observed = Observed() if call is None else call.observed
    return {
        "error_code": Bug.code,
        "provider": observed.provider,
        "model": observed.model,
        "provider_model": observed.provider_model,
    }


def stop_early(cancelled: asyncio.CancelledError) -> ServerStopping:
    """The failure that stands for a cancellation by a server that stops; of any other, raises it again."""
    if cancelled.args != (STOPPING,):
        raise cancelled
    cast("asyncio.Task[Any]", asyncio.current_task()).uncancel()
    return ServerStopping()


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has left; for a Lambda function, which cannot know, that is at the end."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_there[T](request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled if the client leaves before it is done; raises ClientDisconnect then."""
    task = cast("asyncio.Task[Any]", asyncio.current_task())
    cancelling = task.cancelling()
    has_left = has_ended = False

    def cancel(_: object) -> None:
        nonlocal has_left
        if not has_ended:  # a callback that is due cannot be removed any more
            has_left = task.cancel()

    leaving = asyncio.ensure_future(wait_for_disconnect(request.receive))
    leaving.add_done_callback(cancel)
    try:
        return await work
    except asyncio.CancelledError:
        if has_left and task.cancelling() == cancelling + 1:  # nobody else cancels it
            raise ClientDisconnect from None
        raise
    finally:
        has_ended = True
        leaving.cancel()
        if has_left:
            task.uncancel()


async def crash(_: Request, __: Exception) -> Response:
    """Starlette's own 500 in our shape; it raises the exception again, for whoever runs the app to log."""
    return error_response(Bug())


async def no_route(request: Request, failure: Exception) -> Response:
    """Starlette's own 404 and 405 in our shape."""
    if isinstance(failure, HTTPException) and failure.status_code == 405:  # noqa: PLR2004 - RFC 9110, 15.5.6
        return error_response(MethodNotAllowed(request.method, _allowed_methods(request)))
    from core.web.signposts import explain

    path = request.scope["path"]  # request.url is made of the Host header
    return error_response(NotFound(explain(path, request.app.routes)))


def _allowed_methods(request: Request) -> set[str]:
    """Starlette names the methods of the first route with this path; a path may have several."""
    scope: dict[str, Any] = {**request.scope, "method": "", "path_params": {}}
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    return {method for route in routes if route.matches(scope)[0] is not Match.NONE for method in route.methods or ()}
