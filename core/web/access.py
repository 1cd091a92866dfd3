"""Authentication and quota around an endpoint: who calls, what they ask, how much is left, and only then the work."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from core.errors import ApiError, InvalidRequest
from core.frame.callers import ANONYMOUS, CURRENT_CALL, PROVIDER_DATA_HEADERS, Call
from core.platform.json_reader import read_object
from core.web.failures import ClientLeft, Endpoint, attempt, deadline, error_response
from core.web.observed import observed_of
from core.web.sse import EventStream

if TYPE_CHECKING:
    from core.auth.authenticator import Authenticator
    from core.quota.quota import Quota, Ticket

LOWEST_FAILURE: Final = 400
MOST_PROVIDER_DATA: Final = 8 * 1024  # bytes

type Perform = Callable[[Request, Call, Any], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Steps:
    """An endpoint in two steps.

    `prepare` reads and checks the body, which `perform` gets as its last argument (None without `prepare`); `tokens` is the
    bound that such a body sets itself, 0 for none, and is None itself where no tokens are made.
    """

    perform: Perform
    prepare: Callable[[Request], Awaitable[Any]] | None = None
    tokens: Callable[[Any], int] | None = None


@dataclass(frozen=True, slots=True)
class AccessMiddleware:
    """None stands for what is not configured."""

    authenticator: "Authenticator | None" = None
    quota: "Quota | None" = None

    def wrap(self, steps: Steps, *, open_: bool = False, counted: bool = True) -> Endpoint:
        """`steps` as an endpoint: `open_` needs no token, and like what is not `counted` takes nothing of the quota.

        A refused caller costs nothing further. A body that is wrong is counted, but reserves no tokens.
        """
        quota = self.quota if counted and not open_ else None
        authenticator = None if open_ else self.authenticator

        async def answer(request: Request) -> Response:
            until = deadline(request.scope)
            call = await attempt(_call(authenticator, request), until)
            if isinstance(call, ApiError):
                return error_response(call)
            CURRENT_CALL.set(call)  # until the Observer, which is around the whole answer, ends it
            body = await attempt(steps.prepare(request), until) if steps.prepare else None
            if quota is None:
                return await _perform(steps, request, call, body, until)
            ticket = await attempt(quota.admit(call, _reserve(steps, body)), until)
            if isinstance(ticket, ApiError):
                return error_response(ticket)
            return await _settle(await _perform(steps, request, call, body, until), call, ticket)

        return answer


async def _call(authenticator: "Authenticator | None", request: Request) -> Call:
    source = request.client.host if request.client is not None else ""
    principal = ANONYMOUS if authenticator is None else await authenticator.authenticate(request)
    return Call(principal, source, provider_data=_provider_data(request), observed=observed_of(request.scope))


def _provider_data(request: Request) -> dict[str, Any]:
    """What the caller brings for providers; no message may quote it, nor an error chain hold it."""
    name = next((name for name in PROVIDER_DATA_HEADERS if name in request.headers), None)
    if name is None:
        return {}
    value = request.headers[name].encode("latin-1")
    if len(value) > MOST_PROVIDER_DATA:
        raise InvalidRequest(f"Header {name} is larger than {MOST_PROVIDER_DATA} bytes.")
    try:
        data = read_object(value)
    except ValueError:
        data = None
    if data is None:  # raised out here, so that the reader's failure is not its context
        raise InvalidRequest(f"Header {name} must be a JSON object.")
    return data


def _reserve(steps: Steps, body: object) -> int | None:
    return None if steps.tokens is None or isinstance(body, ApiError) else steps.tokens(body)


async def _perform(steps: Steps, request: Request, call: Call, body: object, until: float | None) -> Response:
    outcome = body if isinstance(body, ApiError) else await attempt(steps.perform(request, call, body), until)
    return error_response(outcome) if isinstance(outcome, ApiError) else outcome


async def _settle(response: Response, call: Call, ticket: "Ticket") -> Response:
    """Say what is left in the headers, and put the reservation right before the answer is whole."""
    response.raw_headers.extend((name.encode(), value.encode()) for name, value in ticket.headers.items())

    async def settle() -> None:
        failed = response.failed if isinstance(response, EventStream) else response.status_code >= LOWEST_FAILURE
        abandoned = response.status_code == ClientLeft.status
        charge = call.end(failed=failed and not abandoned)
        await ticket.settle(charge.tokens, charge.further)

    if isinstance(response, EventStream):
        response.closing = settle
    else:
        await settle()
    return response
