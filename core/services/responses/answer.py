"""One response on its way: its object, what is whole of its output, and what must be let go of whatever becomes of it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, override

from core.errors import ApiError
from core.frame.types import JsonObject
from core.platform.concurrency import undoing
from core.services.responses.contract import Event, Events, Item, ItemDone, RunEnded, Session
from core.services.responses.engine.failures import error_of
from core.services.responses.printing.objects import end_response


class Answer:
    """`response` is the object as it is now; it has ended once RunEnded was given out."""

    def __init__(self, response: JsonObject, session: Session, new_items: Sequence[Item], events: Events) -> None:
        self.response = response
        self._session = session
        self._new_items = new_items
        self._run = events
        self._first: Event | None = None
        self._output: dict[int, Item] = {}
        self._is_closed = False

    async def begin(self) -> None:
        """Ask the model. Raises what is wrong before it has answered; then everything is let go."""
        async with undoing(self.close):
            self._first = await anext(self._run)

    async def events(self) -> Events:
        """All of them, up to RunEnded, which tells of a response that is kept."""
        try:
            if self._first is not None:
                yield await self._note(self._first)
            async for event in self._run:
                yield await self._note(event)
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop what is under way, and let the conversation go; called again it does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._run.aclose()
        finally:
            await self._session.close()

    async def _note(self, event: Event) -> Event:
        if isinstance(event, ItemDone):
            self._output[event.slot.place] = event.item
        elif isinstance(event, RunEnded):
            return await self._end(event)
        return event

    async def _end(self, event: RunEnded) -> RunEnded:
        """Keep the response before anybody is told of its end; one that cannot be kept has failed."""
        output = [self._output[place] for place in sorted(self._output)]
        end_response(self.response, event, output)
        record = {name: value for name, value in self.response.items() if name != "output"}
        try:
            await self._session.finish(record, self._new_items, output)
        except ApiError as failure:
            event = replace(event, status="failed", reason="", error=error_of(failure))
            end_response(self.response, event, output)
        return event


class OwningStream[T](AsyncGenerator[T]):
    """The elements of `inner`; closed before its first one, it calls `close` all the same: a generator that never began runs no `finally`."""

    def __init__(self, inner: AsyncGenerator[T], close: Callable[[], Awaitable[None]]) -> None:
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


async def drain(events: Events) -> None:
    """Run to the end, for who wants the whole alone."""
    async with aclosing(events):
        async for _ in events:
            pass
