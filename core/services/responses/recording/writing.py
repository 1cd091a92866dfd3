"""Writes the log of a run while its events go on their way: beside the stream, never in its way.

The first batch of a stream comes a quarter of a second after its first entry, or with another's that is due just before, each other one as the clock of this process
has a whole second: so that all that are due then are written together. One that others read as it is written, since nobody else has it, is in more of them. MOST_PENDING entries are
written at once. While nothing is told, the log is looked at for what others wrote there, and a sign of life is written now and then. What has ended before its
first batch leaves all of it for the transaction that keeps the response.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from core.errors import ApiError, Conflict, LimitReached
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
from core.services.responses.recording.codec import Beginning, Ending, EntryBuffer, Value, encode, rest_of
from core.services.responses.recording.log import RunLog, RunLost, RunOver
from core.services.responses.recording.pauses import Bell, Meeting, next_time
from core.stores.documents.port import Document

if TYPE_CHECKING:
    from core.services.responses.recording.folding import RunState

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
MOST_PENDING: Final = 512  # entries: of text some 8 KB
LOOK_SECONDS: Final = 1.5  # at least: so that one a second has it every 2
BEAT_SECONDS: Final = 10.0
DELTAS: Final = frozenset({TextDelta, RefusalDelta, ReasoningDelta, SummaryDelta, ArgumentsDelta})
FIRST_BATCHES: Final = Meeting()


class LogEnd(NamedTuple):
    """What of a log comes as the response is kept, its last batch, and what goes then: the record of the run, where there is one."""

    batches: list[Document]
    runs: list[Document]


class Recorder:
    """Of one run; `begin` writes the first batch, and the record of the run with it, which it gives. `run_log` is this writer's own."""

    def __init__(
        self,
        run_log: RunLog,
        beginning: Beginning | None,
        begin: Callable[[Document], Awaitable[Document]] | None,
        begun: Document | None = None,
    ) -> None:
        """`begun` is the record of a run that was taken over, whose log has its `beginning`: there is nothing to `begin`."""
        self.log = run_log
        self._beginning = beginning
        self._make_record = begin
        self._record = begun
        self._pending = EntryBuffer()
        self._bell = Bell()
        self._writing = asyncio.Lock()
        self.alarm = Alarm()
        """Rings where the log is another's."""
        self.loss: RunLost | None = None
        """Why."""
        self.refusal: LimitReached | None = None
        """Why nothing of the run can be kept."""
        self._task: asyncio.Task[None] | None = None
        self._started_at = self._written_at = self._looked_at = asyncio.get_running_loop().time()
        self._is_followed = begun is not None
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
        self._pending.add(event)
        if self._task is None:
            self.start()
        elif self._pending.count >= MOST_PENDING:
            self._bell.ring()

    async def keep(self, step: StepRecorded) -> None:
        """Return when it was written, with all that was noted before it; raises RunLost, StateUnavailable."""
        self.note(step)
        await self.flush()

    async def flush(self) -> None:
        """Write what was noted; raises RunLost, StateUnavailable."""
        try:
            async with self._writing:
                if self._pending.count:
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
        values = [*self._first(), *self._pending.values, *encode([ending])]
        return LogEnd([self.log.make(values)], [] if self._record is None else [self._record])

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
                await self.log.write([*self._pending.values, *encode([ending])])

    @property
    def has_noted(self) -> bool:
        """Whether there is anything to keep."""
        return self.has_begun or self._pending.count > 0

    async def state(self) -> "RunState":
        """What was told so far."""
        from core.services.responses.recording.folding import (
            read_state,
        )  # late, as below: few logs are read while they are written

        state = await read_state(self.log)
        state.add_values(self._pending.values)
        return state

    def _first(self) -> list[Value]:
        """What a log that has not begun begins with."""
        return [] if self._beginning is None or self.has_begun else encode([self._beginning])

    def _lose(self, loss: RunLost) -> None:
        self.loss = loss
        self.alarm.ring()

    async def _write(self) -> None:
        while True:
            if self._pending.count < MOST_PENDING:
                await self._bell.wait(self._next_time())
            try:
                async with self._writing:
                    await self._step()
            except RunLost as loss:
                self._lose(loss)
                return
            except LimitReached as refusal:
                self.refusal = refusal
                self.alarm.ring()
                return
            except ApiError as failure:  # the next time, or with the end
                log.warning("the log of %s was not written: %s", self.log.response_id, failure.message)
                await asyncio.sleep(RETRY_SECONDS)

    def _next_time(self) -> float:
        now, is_first = self._now(), not self.has_begun
        due = next_time(now, now - self._started_at, is_first=is_first, is_followed=self._is_followed)
        return FIRST_BATCHES.join(due) if is_first else due

    async def _step(self) -> None:
        now = self._now()
        if self._pending.count:
            await self._append()
        elif self.has_begun and now - self._written_at >= BEAT_SECONDS:
            await self.log.append(())
            self._written_at = self._now()
        elif self.has_begun and now - max(self._written_at, self._looked_at) >= LOOK_SECONDS:
            self._looked_at = now
            await self._look()

    async def _look(self) -> None:
        if count := await self.log.look():
            self._pending.drop(count)

    async def _append(self) -> None:
        """Write all that is pending; what was not written is pending still."""
        values, self._pending = self._pending.values, EntryBuffer()
        is_written = False
        try:
            if self._record is None:
                await self._begin(values)
            else:
                await self.log.write(values)
            is_written = True
        finally:
            if not is_written:
                self._pending.put_back(values)
        self._written_at = self._now()

    async def _begin(self, values: list[Value]) -> None:
        first = self._first()
        if self._make_record is None:
            raise RunOver
        try:
            self._record = await self._make_record(self.log.make([*first, *values]))
        except Conflict:  # of an earlier try, perhaps, of which no answer came
            values[:] = rest_of(values, await self._adopt() - len(first))
            if values:
                await self.log.write(values)
        else:
            self.log.advance()

    async def _adopt(self) -> int:
        """How many entries of one's own the first batch has. Raises RunLost."""
        from core.services.responses.recording.records import RUN

        count = await self.log.look()
        self._record = await self.log.store.get(RUN, self.log.response_id)
        if count is None or self._record is None:
            raise RunOver
        return count

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
