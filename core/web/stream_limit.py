"""How many streams a caller has open: one too many is refused before anything is asked of a model."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from core.errors import ApiError
from core.web.exchange import Exchange, Handler
from core.web.failures import MARGIN_SECONDS, attempt, error_response
from core.web.operations import wants_stream
from core.web.streamed import StreamedResponse

if TYPE_CHECKING:
    from core.quota.streams import StreamLimit, StreamPermit


@dataclass(frozen=True, slots=True)
class StreamLimitMiddleware:
    """Around the quota, so that a refused stream takes nothing of it."""

    limit: "StreamLimit"

    async def __call__(self, exchange: Exchange, handle: Handler) -> Response:
        """Answer 429, or hand on; the stream holds its permit to its last byte."""
        permit = await attempt(self._acquire(exchange), exchange.until)
        if isinstance(permit, ApiError):
            return error_response(permit)
        if permit is None:
            return await handle(exchange)
        async with AsyncExitStack() as cleanup:
            cleanup.push_async_callback(permit.release)
            response = await handle(exchange)
            if isinstance(response, StreamedResponse):
                response.closing = _both(response.closing, permit.release)
                cleanup.pop_all()
        return response

    async def _acquire(self, exchange: Exchange) -> "StreamPermit | None":
        """None for what is no stream; a request that is wrong is answered by the handler."""
        try:
            if not await wants_stream(exchange):
                return None
        except (ApiError, ClientDisconnect):
            return None
        if exchange.until is None:
            return await self.limit.acquire(exchange.call)
        return await self.limit.acquire(
            exchange.call, exchange.until - asyncio.get_running_loop().time() + MARGIN_SECONDS
        )


def _both(
    first: Callable[[], Awaitable[None]] | None, second: Callable[[], Awaitable[None]]
) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        if first is not None:
            await first()
        await second()

    return close
