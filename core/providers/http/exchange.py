"""A request under way, from where it is sent until its answer was read."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final

from aiohttp import ClientError, ClientResponse

from core.errors import ApiError

FAILURES: Final = (TimeoutError, ClientError)
"""Of a connection."""


class Exchange:
    """`async with` it, the answer, whose connection is given back at the end; what that fails by until then is raised as what `translate` makes of it.

    A class: as a generator it cost a tenth of a fast call.
    """

    __slots__ = ("_opening", "_response", "_translate")

    def __init__(self, opening: "Awaitable[ClientResponse]", translate: Callable[[Exception], ApiError]) -> None:
        self._opening = opening
        self._translate = translate
        self._response: ClientResponse | None = None

    async def __aenter__(self) -> ClientResponse:
        try:
            self._response = await self._opening
        except FAILURES as failure:
            raise self._translate(failure) from failure
        return self._response

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._response is not None:
            await self._response.__aexit__(kind, error, trace)
        if isinstance(error, FAILURES):
            raise self._translate(error) from error
