"""Streams that own what they are made of."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, override


class OwningStream[T](AsyncGenerator[T]):
    """The elements of `inner`; closed before its first one, it calls `close` all the same: a generator that never began runs no `finally`.

    One that `lasts` goes on to its end where its client has left: whoever reads it for a client reads on, and drops what comes.
    """

    def __init__(self, inner: AsyncGenerator[T], close: Callable[[], Awaitable[None]], *, lasts: bool = False) -> None:
        self.lasts = lasts
        self._inner = inner
        self._close = close

    @override
    def __anext__(self) -> Any:
        return self._inner.__anext__()

    @override
    async def asend(self, value: None) -> T:
        return await self._inner.asend(value)

    @override
    async def athrow(self, *failure: Any) -> T:
        return await self._inner.athrow(*failure)

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()
        await self._close()


def lasts(stream: object) -> bool:
    """Whether it goes on without its client."""
    return isinstance(stream, OwningStream) and stream.lasts
