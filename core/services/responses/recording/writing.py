"""Writes the log of a run while its events go on their way: beside the stream, never in its way.

A batch is written a quarter of a second after its first entry, later in a long stream, or once it has MOST_PENDING entries. While nothing is told, the log is
looked at for what others wrote there, and a sign of life is written now and then. What has ended before its first batch leaves all of it for the transaction that keeps the response.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
import logging
from typing import Final, NamedTuple

from core.errors import ApiError, Conflict
from core.services.responses.contract import (
    ArgumentsDelta,
    Event,
    ReasoningDelta,
    RefusalDelta,
    StepRecorded,
    SummaryDelta,
    TextDelta,
)
from core.services.responses.engine.failures import Alarm
from core.services.responses.recording.codec import Beginning, Ending, Entry
from core.services.responses.recording.folding import RunState, read_state
from core.services.responses.recording.log import RunLog, RunLost, RunOver
from core.stores.documents.port import Document

log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE: Final = 1.0  # seconds
GROWTH: Final = 1 / 40  # of the pause, by the second
MOST_PENDING: Final = 512  # entries: of text some 8 KB
LOOK_SECONDS: Final = 2.0
BEAT_SECONDS: Final = 10.0
DELTAS: Final = frozenset({TextDelta, RefusalDelta, ReasoningDelta, SummaryDelta, ArgumentsDelta})


class LogEnd(NamedTuple):
    """What of a log comes as the response is kept, its last batch, and what goes then: the record of the run, where there is one."""

    batches: list[Document]
    runs: list[Document]


class Recorder:
    """Of one run; `record` makes its document in the transaction of the first batch, unless it is there already. `run_log` is this writer's own."""

    def __init__(
        self,
        run_log: RunLog,
        beginning: Beginning | None,
        record: Callable[[], Document],
        begun: Document | None = None,
    ) -> None:
        """`begun` is the record of a run that was taken over, whose log has its `beginning`."""
        self.log = run_log
        self._beginning = beginning
        self._make_record = record
        self._record = begun
        self._pending = list[Event]()
        self._noted = asyncio.Event()
        self._full = asyncio.Event()
        self._writing = asyncio.Lock()
        self.alarm = Alarm()
        """Rings where the log is another's."""
        self.loss: RunLost | None = None
        """Why."""
        self._task: asyncio.Task[None] | None = None
        self._started_at = self._written_at = asyncio.get_running_loop().time()
        self._drops = DELTAS if beginning is not None and not beginning.streams else frozenset[type]()

    @property
    def has_begun(self) -> bool:
        """Whether anything was written."""
        return self._record is not None

    @property
    def document(self) -> Document:
        """The record of a run that has begun. Raises RunOver."""
        if self._record is None:
            raise RunOver
        return self._record

    def start(self) -> None:
        """Look at the log from now on, whether anything is noted or not."""
        if self._task is None:
            self._task = asyncio.create_task(self._write())

    def note(self, event: Event) -> None:
        """Have it written soon."""
        if event.__class__ in self._drops:
            return
        pending = self._pending
        if not pending:
            self._noted.set()
            self.start()
        pending.append(event)
        if len(pending) == MOST_PENDING:
            self._full.set()

    async def keep(self, step: StepRecorded) -> None:
        """Return when it was written, with all that was noted before it; raises RunLost, StateUnavailable."""
        self.note(step)
        await self.flush()

    async def flush(self) -> None:
        """Write what was noted; raises RunLost, StateUnavailable."""
        try:
            async with self._writing:
                if self._pending:
                    await self._append()
        except RunLost as loss:
            self._lose(loss)
            raise

    async def stop(self) -> None:
        """Write nothing more, but by `end`; what is being written has been by then."""
        task, self._task = self._task, None
        if task is None:
            return
        async with self._writing:
            task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()  # it ends by a fault alone

    def end(self, ending: Ending) -> LogEnd:
        """For the transaction that keeps the response. Where it raises Conflict, `look` tells why."""
        first: list[Entry] = [] if self._beginning is None or self.has_begun else [self._beginning]
        return LogEnd([self.log.make([*first, *self._pending, ending])], [] if self._record is None else [self._record])

    async def find_loss(self) -> RunLost | None:
        """What is in the place of the last batch, once writing was stopped; None where nothing of another's is."""
        try:
            await self._look()
        except RunLost as loss:
            return loss
        return None

    async def abandon(self, ending: Ending) -> None:
        """Say in a log that has begun how it ended, where the response could not be kept with it: whoever looks at it keeps it then."""
        if self.has_begun:
            with suppress(ApiError, RunLost):  # then it lapses
                await self.log.append([*self._pending, ending])

    @property
    def has_noted(self) -> bool:
        """Whether there is anything to keep."""
        return self.has_begun or bool(self._pending)

    async def state(self) -> RunState:
        """What was told so far."""
        state = await read_state(self.log)
        for event in self._pending:
            state.note(event)
        return state

    def _lose(self, loss: RunLost) -> None:
        self.loss = loss
        self.alarm.ring()

    async def _write(self) -> None:
        while True:
            is_noted = await _within(self._noted, LOOK_SECONDS)
            if is_noted:
                await _within(self._full, self._pause())
            try:
                async with self._writing:
                    await self._step()
            except RunLost as loss:
                self._lose(loss)
                return
            except ApiError as failure:  # the next time, or with the end
                log.warning("the log of %s was not written: %s", self.log.response_id, failure.message)
                await asyncio.sleep(LONGEST_PAUSE)

    async def _step(self) -> None:
        if self._pending:
            await self._append()
        elif self.has_begun and self._now() - self._written_at >= BEAT_SECONDS:
            await self.log.append(())
            self._written_at = self._now()
        elif self.has_begun:
            await self._look()

    async def _look(self) -> None:
        if count := await self.log.look():
            del self._pending[:count]

    async def _append(self) -> None:
        """Write all that is pending."""
        entries = self._pending[:]
        if self.has_begun:
            await self.log.append(entries)
        else:
            await self._begin(entries)
        del self._pending[: len(entries)]
        self._full.clear()
        if not self._pending:
            self._noted.clear()
        self._written_at = self._now()

    async def _begin(self, events: Sequence[Event]) -> None:
        entries: list[Entry] = [*events] if self._beginning is None else [self._beginning, *events]
        record = self._make_record()
        try:
            self._record, _ = await self.log.store.create_all([record, self.log.make(entries)])
        except Conflict:  # of an earlier try, perhaps, of which no answer came
            await self._adopt(entries)
        else:
            self.log.advance()

    async def _adopt(self, entries: Sequence[Entry]) -> None:
        count = await self.log.look()
        record = self._make_record()
        self._record = await self.log.store.get(record.collection, record.id)
        if count is None or self._record is None:
            raise RunOver
        if len(entries) > count:
            await self.log.append(entries[count:])

    def _pause(self) -> float:
        return min(LONGEST_PAUSE, PAUSE_SECONDS + (self._now() - self._started_at) * GROWTH)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether it is set by then."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
