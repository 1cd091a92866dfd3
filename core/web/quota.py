"""How much is left of the caller's quota, and only then the work."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from core.errors import ApiError
from core.frame.callers import Call
from core.quota.order import Order
from core.web.exchange import Exchange, Handler
from core.web.failures import ClientLeft, attempt, error_response
from core.web.streamed import StreamedResponse

if TYPE_CHECKING:
    from core.quota.quota import Quota
    from core.quota.recorder import UsageRecorder
    from core.quota.ticket import Ticket

LOWEST_FAILURE: Final = 400


@dataclass(frozen=True, slots=True)
class QuotaMiddleware:
    """`tokens` is the bound that a body sets itself, 0 for none, and is None itself where no tokens are made.

    `parts` is how many requests a body counts as, 0 for one that only looks, and is None itself where each is one.
    `model` is the one that a body names, None itself where none does.
    Only where tokens or parts are asked for is the body read first. One that is wrong is counted, but reserves no tokens.
    """

    quota: "Quota | UsageRecorder"
    tokens: Callable[[Any], int] | None = None
    parts: Callable[[Any], int] | None = None
    model: Callable[[Any], str] | None = None

    async def __call__(self, exchange: Exchange, handle: Handler) -> Response:
        """Answer 429, or hand on with what the request may use reserved."""
        ticket = await attempt(self._admit(exchange), exchange.until)
        if isinstance(ticket, ApiError):
            return error_response(ticket)
        if ticket is None:
            return await handle(exchange)
        return await _settle(await handle(exchange), exchange.call, ticket)

    async def _admit(self, exchange: Exchange) -> "Ticket | None":
        """None for what only looks."""
        if self.tokens is None and self.parts is None:
            return await self.quota.admit(exchange.call, None)
        try:
            body = await exchange.body()
        except (ApiError, ClientDisconnect):  # the handler answers it
            return await self.quota.admit(exchange.call, None)
        requests = 1 if self.parts is None else self.parts(body)
        if requests == 0:
            return None
        tokens, order = None if self.tokens is None else self.tokens(body), None
        if tokens is not None:
            order = Order("" if self.model is None else self.model(body) or "", body)
        return await self.quota.admit(exchange.call, tokens, requests, order)


async def _settle(response: Response, call: Call, ticket: "Ticket") -> Response:
    """Say what is left in the headers, and put the reservation right before the answer is whole."""
    response.raw_headers.extend((name.encode(), value.encode()) for name, value in ticket.headers.items())

    async def settle() -> None:
        failed = response.failed if isinstance(response, StreamedResponse) else response.status_code >= LOWEST_FAILURE
        abandoned = response.status_code == ClientLeft.status
        await ticket.settle(call.end(failed=failed and not abandoned))

    if isinstance(response, StreamedResponse):
        response.closing = settle
    else:
        await settle()
    return response
