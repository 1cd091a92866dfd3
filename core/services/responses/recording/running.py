"""Responses that are still made, or whose run died: found, shown as they are now, followed, cancelled and deleted."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import suppress
from typing import Final

from core.errors import NotFound
from core.frame.types import JsonObject, NamedEvent
from core.routing.documents import GuardedDocuments
from core.services.responses.contract import Item
from core.services.responses.recording.ending import end_log, keep_ended, log_of, settle
from core.services.responses.recording.folding import RunState, read_state
from core.services.responses.recording.following import follow, print_log
from core.services.responses.recording.log import RunLog, RunOver
from core.services.responses.recording.records import RUN, RunRecord
from core.services.responses.recording.removing import remove_run
from core.services.responses.state.place import StatePlace
from core.services.responses.state.records import RESPONSE
from core.stores.documents.port import Document

WAIT_SECONDS: Final = 5.0
"""For who has a run that is cancelled."""
POLL_SECONDS: Final = 0.2
IDLE_SECONDS: Final = 25.0
"""After so long without a batch nobody is at it: whoever is gives a sign of life every 10."""


class RunningResponses:
    """Those that the caller of `state` may see."""

    def __init__(self, state: StatePlace) -> None:
        self._state = state

    async def find(self, response_id: str) -> Document:
        """The record of its run; raises NotFound."""
        documents = GuardedDocuments(
            self._state.store, self._state.guard, RUN, RESPONSE, lambda run: {"id": run.id}, self._state.clock
        )
        return await documents.get(response_id)

    def is_readable(self, run: Document) -> bool:
        return self._state.guard.allows("read", self._state.item(RESPONSE, run))

    async def show(self, run: Document) -> JsonObject:
        """The whole object as it is now."""
        return _show(run, await settle(self._state, run))

    async def input(self, run: Document) -> list[Item]:
        """What the response is made of, the oldest first."""
        record, threads = RunRecord.read(run.body), self._state.threads
        if record.conversation is None:
            context = await threads.read_context(record.places)
        else:
            context, _ = await threads.read_newest(record.conversation)
        return [*context, *record.input]

    def follow(self, run: Document, include: Collection[str] | None, after: int) -> AsyncGenerator[NamedEvent]:
        """The events of its stream whose numbers are above `after`, up to its end."""

        async def lapse() -> None:
            now = await settle(self._state, run)
            if now.next == 0:
                raise _missing(run)

        log = log_of(self._state, run.id)
        return print_log(follow(log, lapse, self._state.clock), include, after)

    async def cancel(self, run: Document) -> JsonObject:
        """The object once it has ended, or as it is after WAIT_SECONDS: who has the run ends it. Raises PermissionDenied."""
        self._state.guard.require("update", self._state.item(RESPONSE, run))
        return _show(run, await self._cancel(run))

    async def delete(self, run: Document) -> bool:
        """Cancel it, and remove what is there of it; False where it is kept by now. Raises PermissionDenied."""
        self._state.guard.require("delete", self._state.item(RESPONSE, run))
        now = await self._cancel(run)
        if now.ending is not None and await self._state.store.get(RUN, run.id) is None:
            return False
        await remove_run(self._state.store, run, self._state.clock())
        return True

    async def _cancel(self, run: Document) -> RunState:
        log, loop = log_of(self._state, run.id), asyncio.get_running_loop()
        before = await read_state(log)
        is_left = before.is_queued or self._state.clock() - before.at / 1000 >= IDLE_SECONDS
        is_left = is_left or await self._waits(run)
        with suppress(RunOver):
            await log.cancel()
        until = loop.time() + WAIT_SECONDS
        while True:
            now = await settle(self._state, run)
            if now.ending is None and is_left:  # nobody else ends it: it waits for a worker, or for its quota
                now = await end_log(log, now)
                if now.ending is not None:
                    await keep_ended(self._state, run, now)
                await self._stop_job(run)
            if not now.next:  # it was deleted meanwhile
                raise _missing(run)
            if now.ending is not None or loop.time() >= until:
                return now
            await _wait_for_more(log, now)

    async def _waits(self, run: Document) -> bool:
        if not RunRecord.read(run.body).job:
            return False
        from core.services.responses.background.lapsing import has_no_worker

        return await has_no_worker(self._state, run)

    async def _stop_job(self, run: Document) -> None:
        if RunRecord.read(run.body).job:
            from core.services.responses.background.lapsing import stop_job

            await stop_job(self._state, run)


async def _wait_for_more(log: RunLog, now: RunState) -> None:
    """Until something follows what is known, or for WAIT_SECONDS."""
    for _ in range(int(WAIT_SECONDS / POLL_SECONDS)):
        if await log.get(now.next) is not None:
            return
        await asyncio.sleep(POLL_SECONDS)


def _show(run: Document, now: RunState) -> JsonObject:
    """Of a log that is gone, what its record has."""
    if now.beginning is not None:
        return now.show()
    if now.ending is not None:
        raise _missing(run)
    return {**RunRecord.read(run.body).response}


def _missing(run: Document) -> NotFound:
    return NotFound(f"There is no response `{run.id}`.", param="response_id")
