"""The log of a run: batches of entries, each a document that is made once and never changed.

    response_log   id RESPONSE.NUMBER   parent RESPONSE   {at, by, entries}

NUMBER counts the batches from 0, in eight digits of hex. All have the same `created`, so that their order is that of their numbers. A batch is made at the next number:
of two that write at once one is refused, and reads there why (`RunLost`). `at` is in Unix milliseconds; `by` tells who wrote a batch, so that a write of
which no answer came is known again. A batch without entries says that who has the run is still at it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from secrets import token_hex
import time
from typing import Final

from core.errors import Conflict, NotFound
from core.services.responses.recording.codec import (
    CANCEL,
    END,
    Cancellation,
    Entry,
    Takeover,
    Value,
    count_entries,
    encode,
    rest_of,
)
from core.stores.documents.port import Document, DocumentStore

LOG: Final = "response_log"
DIGITS: Final = 8
PAGE: Final = 50
"""Batches that are read at once."""
TRIES: Final = 20
SILENT_SECONDS: Final = 60.0
"""After so long without a batch a run that has not ended is nobody's."""


class RunLost(Exception):
    """The next batch of the log is another's."""


class RunCancelled(RunLost):
    """Somebody asked for the end. It is told once: what follows may be written."""


class RunTaken(RunLost):
    """Another has the run: nothing more may be written."""


class RunOver(RunLost):
    """The log has ended, or is gone: nothing more may be written."""


@dataclass(frozen=True, slots=True)
class Batch:
    """`at` is in Unix milliseconds; `by` is who wrote it."""

    number: int
    at: int
    by: str
    values: Sequence[Value]

    def has(self, kind: str) -> bool:
        """Whether an entry of this kind is in it, as `codec` names them."""
        return any(value[0] == kind for value in self.values)


class RunLog:
    """One log, as one reads or writes it; `next` is the number of the batch that it writes next, `clock` gives Unix seconds.

    `holder` is what it writes its batches as: unique among all who write.
    """

    def __init__(
        self,
        store: DocumentStore,
        response_id: str,
        expires: int | None,
        *,
        holder: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`expires` is in Unix seconds, of what it writes."""
        self.store = store
        self.response_id = response_id
        self.expires = expires
        self.holder = holder or token_hex(8)
        self.next = 0
        self._clock = clock

    def make(self, values: Sequence[Value]) -> Document:
        """The next batch, for a transaction: once that was carried out, call `advance`. Where it raises Conflict, `look` tells why."""
        body = {"at": int(self._clock() * 1000), "by": self.holder, "entries": values}
        return Document(LOG, batch_id(self.response_id, self.next), body, self.response_id, expires=self.expires)

    def advance(self) -> None:
        self.next += 1

    async def append(self, entries: Sequence[Entry]) -> None:
        """Write the next batch; raises as `write` does."""
        await self.write(encode(entries))

    async def write(self, values: list[Value]) -> None:
        """Write the next batch. What turns out to have been written before is taken out of `values`.

        Raises:
            RunCancelled: nothing was written; calling again goes on behind it.
            RunTaken, RunOver: nothing was written, nor can be.
            StateUnavailable: it may have been written: call again with the same values, and more of them if there are.
            InvalidRequest, DocumentTooLarge: they cannot be written down.
        """
        while True:
            try:
                await self.store.create_soon([self.make(values)])
            except Conflict:
                count = await self.look()
                values[:] = rest_of(values, count or 0)
                if count is not None and not values:
                    return
            else:
                self.advance()
                return

    async def look(self) -> int | None:
        """None where there is no next batch yet. One's own, of a write of which no answer came, is passed by: it gives how many entries that has.

        Raises:
            RunLost: it is another's.
        """
        batch = await self.get(self.next)
        if batch is None:
            return None
        if batch.by != self.holder:
            raise self._loss(batch)
        self.advance()
        return count_entries(batch.values)

    async def get(self, number: int) -> Batch | None:
        """The batch, read strongly consistent."""
        document = await self.store.get(LOG, batch_id(self.response_id, number))
        return None if document is None else read_batch(document)

    async def read(self, after: int = -1, limit: int = PAGE) -> list[Batch]:
        """At most `limit` batches, from the one behind `after` on; none where there are no more, or the log is gone."""
        place = None if after < 0 else batch_id(self.response_id, after)
        try:
            page = await self.store.page(LOG, self.response_id, after=place, limit=limit)
        except NotFound:
            return []
        return [*map(read_batch, page.documents)]

    async def take(self, holder: str = "") -> None:
        """Have the run from now on, as `holder` or whoever this is; `next` is behind all that was written by then.

        Raises:
            RunOver: it has ended.
        """
        self.holder = holder or self.holder
        await self._write_behind(Takeover(self.holder))

    async def cancel(self) -> bool:
        """Ask for its end; False where that was asked for before. Raises RunOver where it has ended."""
        return await self._write_behind(Cancellation(), unless=CANCEL)

    async def _write_behind(self, entry: Entry, unless: str = "") -> bool:
        """Behind all that is there; False, and nothing is written, where something of the kind `unless` is."""
        for _ in range(TRIES):
            batches = await self.read(self.next - 1)
            while batches:
                self.next = batches[-1].number + 1
                if any(batch.has(END) for batch in batches):
                    raise RunOver
                if unless and any(batch.has(unless) for batch in batches):
                    return False
                batches = await self.read(self.next - 1)
            try:
                await self.store.create(self.make(encode([entry])))
            except Conflict:
                continue
            self.advance()
            return True
        raise RunOver

    def _loss(self, batch: Batch) -> RunLost:
        if batch.has(END):
            return RunOver()
        if not batch.has(CANCEL):
            return RunTaken()
        self.advance()
        return RunCancelled()


def batch_id(response_id: str, number: int) -> str:
    return f"{response_id}.{number:0{DIGITS}x}"


def read_batch(document: Document) -> Batch:
    body = document.body
    number = int(document.id[-DIGITS:], 16)
    return Batch(number, body["at"], body.get("by", ""), body.get("entries", ()))
