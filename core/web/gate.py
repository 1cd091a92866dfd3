"""The one way in: who calls, what they ask, how much is left, and only then the work."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from core.apis.callers import ANONYMOUS, Call
from core.errors import ApiError
from core.web.failures import ClientLeft, Endpoint, attempt, error_response
from core.web.sse import EventStream

if TYPE_CHECKING:
    from core.auth.authenticator import Authenticator
    from core.quota.quota import Quota, Ticket

LOWEST_FAILURE: Final = 400

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
class Gate:
    """None stands for what is not configured."""

    authenticator: "Authenticator | None" = None
    quota: "Quota | None" = None

    def endpoint(self, steps: Steps, *, open_: bool = False, counted: bool = True) -> Endpoint:
        """`steps` behind the gate: `open_` needs no token, and like what is not `counted` takes nothing of the quota.

        A refused caller costs nothing further. A body that is wrong is counted, but reserves no tokens.
        """
        quota = self.quota if counted and not open_ else None
        authenticator = None if open_ else self.authenticator

        async def answer(request: Request) -> Response:
            call = await attempt(_call(authenticator, request))
            if isinstance(call, ApiError):
                return error_response(call)
            wanted = await attempt(steps.prepare(request)) if steps.prepare else None
            if quota is None:
                return await _performed(steps, request, call, wanted)
            ticket = await attempt(quota.admit(call, _reserved(steps, wanted)))
            if isinstance(ticket, ApiError):
                return error_response(ticket)
            return await _settled(await _performed(steps, request, call, wanted), call, ticket)

        return answer


async def _call(authenticator: "Authenticator | None", request: Request) -> Call:
    source = request.client.host if request.client is not None else ""
    return Call(ANONYMOUS if authenticator is None else await authenticator.authenticate(request), source)


def _reserved(steps: Steps, wanted: object) -> int | None:
    return None if steps.tokens is None or isinstance(wanted, ApiError) else steps.tokens(wanted)


async def _performed(steps: Steps, request: Request, call: Call, wanted: object) -> Response:
    outcome = wanted if isinstance(wanted, ApiError) else await attempt(steps.perform(request, call, wanted))
    return error_response(outcome) if isinstance(outcome, ApiError) else outcome


async def _settled(response: Response, call: Call, ticket: "Ticket") -> Response:
    """Say what is left in the headers, and put the reservation right before the answer is whole.

    A failure gives back what no provider reported as used. Of an answer that nobody waited for, or that says nothing of
    its usage, the reservation stays: leaving early must not be a way to get tokens for nothing.
    """
    response.raw_headers.extend((name.encode(), value.encode()) for name, value in ticket.headers.items())

    async def settle() -> None:
        failed = response.failed if isinstance(response, EventStream) else response.status_code >= LOWEST_FAILURE
        left = response.status_code == ClientLeft.status
        await ticket.settle(call.tokens if left or not failed else call.tokens or 0)

    if isinstance(response, EventStream):
        response.closing = settle
    else:
        await settle()
    return response
