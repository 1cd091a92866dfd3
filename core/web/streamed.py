"""Answers that leave piece by piece, and are never cut silently."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, override

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from core.frame.callers import Call
from core.frame.streams import lasts
from core.web.exchange import CurrentCall
from core.web.failures import STOPPING, deadline, stop_early, wait_for_disconnect
from core.web.observed import observed_of

GO_ON: Final = "llambda.go_on"
"""Of a scope: what a runtime has called that would stop what goes on after its client has left."""


class StreamedResponse(Response):
    """Sends what `source` yields. When the client goes away the source is closed, which cancels the call upstream; one that lasts is read to its end.

    `call` is the current one while the source runs. `failed` tells of a source that broke. `closing`, if it is set, is
    awaited before the last bytes leave, or when the client has left: it must bear to be called twice.
    """

    call: Call | None = None
    closing: Callable[[], Awaitable[None]] | None = None

    def __init__(self, source: AsyncGenerator[Any], status: int, raw_headers: list[tuple[bytes, bytes]]) -> None:
        """`raw_headers` are sent as they are, with what middlewares add to them."""
        self.status_code = status
        self.failed = False
        self.ended = False
        self.background = None
        self.body = b""
        self.raw_headers = raw_headers
        self._source = source

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._observed = observed_of(scope)
        lasting = lasts(self._source)
        if lasting and (go_on := scope.get(GO_ON)) is not None:
            go_on()
        with CurrentCall(self.call):  # the tasks below, in which the source runs, copy it
            leaving = asyncio.ensure_future(wait_for_disconnect(receive))
            sending = asyncio.ensure_future(self._send(_while_there(send, leaving), deadline(scope)))
            ends = (sending,) if lasting else (sending, leaving)
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError as cancelled:
                stop_early(cancelled)
                sending.cancel(STOPPING)
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
                if not sending.done():
                    sending.cancel()
                await asyncio.gather(sending, leaving, return_exceptions=True)
                await self._source.aclose()
                await self._close()
        if not sending.cancelled():
            sending.result()

    async def _send(self, send: Send, until: float | None) -> None:
        raise NotImplementedError

    async def _close(self) -> None:
        if self.closing is not None:
            await self.closing()


def _while_there(send: Send, leaving: asyncio.Future[None]) -> Send:
    """Send until the client has left; what comes then is dropped."""

    async def send_or_drop(message: Message) -> None:
        if not leaving.done():
            await send(message)

    return send_or_drop
