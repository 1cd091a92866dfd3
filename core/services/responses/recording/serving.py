"""Responses by their ids, whether they have ended or not: what was kept, or the run that it comes of."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from core.errors import InvalidRequest, NotFound
from core.frame.types import EventSource, JsonObject, NamedEvent
from core.platform.concurrency import run_all
from core.services.responses.recording.log import RunLog
from core.services.responses.recording.records import RUN, RunRecord
from core.services.responses.state.leases import is_left
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import LEASE
from core.services.responses.state.responses import AT_ONCE, KeptResponses
from core.stores.documents.port import Document, StaleDocument

if TYPE_CHECKING:
    from core.apis.response_queries import InputItemsQuery, ResponsesQuery
    from core.services.responses.recording.running import RunningResponses

FIRST_WRITE_SECONDS: Final = 1.0
"""Until a run that has begun is found by others."""
POLL_SECONDS: Final = 0.1
MOST_RUNS: Final = 1000  # that a list has
HAS_ENDED: Final = "Response `{id}` is `{status}`: only one that has not ended is cancelled."


class StoredResponses:
    """Those that the caller of `state` may see; each method raises NotFound for any other."""

    def __init__(self, state: StatePlace, kept: KeptResponses) -> None:
        self._state = state
        self._kept = kept

    async def get(self, response_id: str) -> JsonObject:
        """The whole object; of one that has not ended, as it is now."""
        return await self._either(response_id, self._kept.get, lambda running, run: running.show(run))

    async def index(self, query: "ResponsesQuery") -> JsonObject:
        """With those that are still made."""
        runs = await self._runs()
        if not runs:
            return await self._kept.index(query)
        from core.services.responses.recording.listing import list_with_runs  # late, as below
        from core.services.responses.recording.running import RunningResponses

        running = RunningResponses(self._state)
        readable = [run for run in runs if running.is_readable(run)]
        return await list_with_runs(self._kept, running, readable, query)

    async def _runs(self) -> list[Document]:
        """Of the caller; those in conversations are found by what keeps these to them. What whoever died has left without a run goes."""
        store, owner = self._state.store, self._state.owner
        runs, leases = await asyncio.gather(
            *(store.page(collection, owner, limit=MOST_RUNS) for collection in (RUN, LEASE))
        )
        pages = [partial(store.page, RUN, lease.id, limit=MOST_RUNS) for lease in leases.documents]
        inside = [page.documents for page in await run_all(pages, at_once=AT_ONCE)]
        for lease, found in zip(leases.documents, inside, strict=True):
            if not found and is_left(lease, self._state.clock()):
                with suppress(StaleDocument):
                    await store.delete(lease, expect=lease.revision)
        others = [run for found in inside for run in found if RunRecord.read(run.body).owner_list == owner]
        return [*runs.documents, *others]

    async def delete(self, response_id: str) -> JsonObject:
        async def stop(running: "RunningResponses", run: Document) -> JsonObject:
            if not await running.delete(run):  # kept, by now
                return await self._kept.delete(response_id)
            return {"id": response_id, "object": "response", "deleted": True}

        return await self._either(response_id, self._kept.delete, stop)

    async def cancel(self, response_id: str) -> JsonObject:
        """Raises InvalidRequest for one that has ended, but for one that was cancelled."""

        async def refuse(response_id: str) -> JsonObject:
            response = await self._kept.get(response_id)
            if response.get("status") != "cancelled":
                text = HAS_ENDED.format(id=response_id, status=response.get("status"))
                raise InvalidRequest(text, param="response_id")
            return response

        return await self._soon(response_id, refuse, lambda running, run: running.cancel(run))

    async def input_items(self, response_id: str, query: "InputItemsQuery") -> JsonObject:
        async def page(response_id: str) -> JsonObject:
            return await self._kept.input_items(response_id, query)

        async def page_of_run(running: "RunningResponses", run: Document) -> JsonObject:
            return self._kept.page(await running.input(run), query)

        return await self._either(response_id, page, page_of_run)

    async def replay(self, response_id: str, include: Collection[str] | None, after: int) -> EventSource:
        """The events of its stream whose numbers are above `after`: as they were, and as they come.

        One that began just now is waited for. Raises InvalidRequest where the stream ended before `after`.
        """

        async def print_run(running: "RunningResponses", run: Document) -> EventSource:
            return running.follow(run, include, after)

        async def print_ended(response_id: str) -> EventSource:
            return await self._print(response_id, include, after)

        return await self._soon(response_id, print_ended, print_run)

    async def _print(self, response_id: str, include: Collection[str] | None, after: int) -> EventSource:
        from core.services.responses.recording.following import print_kept, print_log, read_batches

        document = await self._kept.find(response_id)
        log = RunLog(self._state.store, response_id, None)
        batches = await read_batches(log)
        if batches is None:
            events = print_kept(await self._kept.whole(document), include or (), after)
        else:
            events = print_log(batches, include, after)
        return await _begin(events)

    async def _soon[T](
        self,
        response_id: str,
        kept: Callable[[str], Awaitable[T]],
        running: "Callable[[RunningResponses, Document], Awaitable[T]]",
    ) -> T:
        """As `_either`, also of one that has begun just now."""
        for _ in range(int(FIRST_WRITE_SECONDS / POLL_SECONDS)):
            try:
                return await self._either(response_id, kept, running)
            except NotFound:
                await asyncio.sleep(POLL_SECONDS)
        return await self._either(response_id, kept, running)

    async def _either[T](
        self,
        response_id: str,
        kept: Callable[[str], Awaitable[T]],
        running: "Callable[[RunningResponses, Document], Awaitable[T]]",
    ) -> T:
        """What was kept is looked for first, and once more behind the run: that may have ended between the two."""
        try:
            return await kept(response_id)
        except NotFound:
            from core.services.responses.recording.running import RunningResponses  # late: few are asked for so early

            runs = RunningResponses(self._state)
            try:
                run = await runs.find(response_id)
            except NotFound:
                return await kept(response_id)
        return await running(runs, run)


async def _begin(events: AsyncGenerator[NamedEvent]) -> EventSource:
    """The events, of which the first is there. Raises what it raises."""
    first = await anext(events, None)
    return _chain(first, events)


async def _chain(first: NamedEvent | None, events: AsyncGenerator[NamedEvent]) -> AsyncGenerator[NamedEvent]:
    async with aclosing(events):
        if first is not None:
            yield first
        async for event in events:
            yield event
