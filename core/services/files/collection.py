"""The documents of files as one caller has them: made whole or not at all, counted, and gone when they have expired."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
import time
from typing import Any, Final

from core.errors import ApiError, NotFound, ProviderUnavailable, StaleRevision, StateUnavailable
from core.frame.callers import principal_of
from core.routing.documents import GuardedDocuments
from core.services.files.keeping import addition, counts, refusal, removal
from core.services.files.records import FILE, FileRecord, show_file
from core.services.files.storages import Storages
from core.services.parts import CallerState
from core.stores.connect import DOCUMENTS
from core.stores.documents.port import Document, DocumentStore, Tally, TallyExceeded

MOST_SWEPT: Final = 100  # files that one call removes because they have expired
PAGE: Final = 1000

type Tallies = tuple[Tally, ...]


@dataclass(frozen=True, slots=True)
class FileCollection(CallerState):
    @staticmethod
    def clock() -> float:
        """Unix seconds."""
        return time.time()

    @property
    def store(self) -> DocumentStore:
        """Raises StateUnavailable where the run config names none."""
        return self.parts.stores.get(DOCUMENTS)

    @property
    def storages(self) -> Storages:
        return Storages(self.parts)

    @property
    def documents(self) -> GuardedDocuments:
        """Those that the caller may see, of everybody, and with those that have expired."""
        return GuardedDocuments(
            self.store, self.guard, FILE, FILE, lambda document: dict(show_file(document)), self.clock
        )

    async def get(self, file_id: str) -> Document:
        """The file as it is now; raises NotFound also for one that the caller may not read, or that has expired."""
        asked_at = self.guard.now()
        document = await self.settle(await self.documents.get(file_id))
        if document is None:
            await self.guard.pause(asked_at)
            raise NotFound(f"There is no file `{file_id}`.", param="file_id")
        return document

    async def settle(self, document: Document) -> Document | None:
        """The document as it is now: processed if its bytes have come; None, and removed, if it has expired."""
        record, now = FileRecord.read(document.body), self.clock()
        if record.is_expired(now):
            await self.expire(document)
            return None
        if record.status != "uploaded":
            return document
        try:
            blob = await self.storages.get(record.provider_id).head(record.key)
        except (StateUnavailable, ProviderUnavailable):
            if record.is_late(now):
                return None  # a list must not fail by one that nobody may read any more
            raise
        if blob is not None and blob.size == record.bytes:
            return await self._process(document, replace(record, status="processed", etag=blob.etag))
        if record.is_late(now):
            await self.expire(document)
            return None
        return document

    async def _process(self, document: Document, record: FileRecord) -> Document | None:
        with suppress(StaleRevision):  # another has seen it too
            return await self.store.put(document, record.body())
        return await self.store.get(FILE, document.id)

    async def remove(self, document: Document) -> bool:
        """Remove it and its bytes, whoever owns it; False if it was gone already.

        The bytes go first: where that fails, the file is still there to be deleted again.
        """
        record = FileRecord.read(document.body)
        await self.storages.get(record.provider_id).delete(record.key)
        return await self.store.delete(document, tally=removal(document.parent, record))

    async def expire(self, document: Document) -> bool:
        """Remove what nobody may read any more; False where its bytes cannot be reached, so that it goes at another time.

        Bytes of a provider that is configured no more go by their LIFE.
        """
        record = FileRecord.read(document.body)
        try:
            await self.storages.get(record.provider_id).delete(record.key)
        except StateUnavailable:
            return False
        except ProviderUnavailable:
            pass
        await self.store.delete(document, tally=removal(document.parent, record))
        return True

    async def create(self, file_id: str, record: FileRecord, life: int | None) -> Document:
        """Keep the record of a new file of the caller for `life` seconds from now, counted where there are limits.

        Raises:
            PermissionDenied: the caller may not create it.
            LimitReached: it may keep no more.
        """
        limits = self.parts.keep_limits(principal_of(self.call))
        now = int(self.clock())
        record = replace(record, expires_at=None if life is None else now + life, counted=counts(limits))
        documents = replace(self.documents, clock=lambda: now)  # an expiry is counted from `created_at`

        async def create(tally: Tallies) -> Document:
            return await documents.create(file_id, record.body(), parent=self.owner, tally=tally)

        return await keep_unless_left(
            self.write_counted(create, addition(self.owner, record.bytes, limits)),
            lambda document: self.store.delete(document, tally=removal(self.owner, record)),
        )

    async def write_counted(self, write: Callable[[Tallies], Awaitable[Document]], tally: Tallies) -> Document:
        """What `write` gives; what has expired is removed before a limit is held against the caller.

        Raises:
            LimitReached: it may keep no more.
        """
        try:
            return await write(tally)
        except TallyExceeded as exceeded:
            from core.services.files.uploads import sweep_uploads  # late: few callers are at their limits

            if not await self.sweep() + await sweep_uploads(self, self.owner):
                raise refusal(exceeded) from None
        try:
            return await write(tally)
        except TallyExceeded as exceeded:
            raise refusal(exceeded) from None

    async def sweep(self) -> int:
        """Remove the caller's own files that have expired; how many."""
        count, after, more = 0, None, True
        while more and count < MOST_SWEPT:
            page = await self.store.page(FILE, self.owner, after=after, limit=PAGE)
            for document in filter(self.is_over, page.documents):
                count += await self.settle(document) is None
            after = page.documents[-1].id if page.documents else None
            more = page.has_more
        return count

    def is_over(self, document: Document) -> bool:
        """Whether it has expired, or would be removed if its bytes have not come."""
        record, now = FileRecord.read(document.body), self.clock()
        return record.is_expired(now) or record.is_late(now)


async def keep_unless_left[T](write: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[object]]) -> T:
    """What `write` gives; a caller who leaves meanwhile leaves nothing.

    The frame removes the bytes of such a caller: their record, which may be on its way to its store, must not stay.
    """
    # Eager: on SQLite it is done without a turn of the loop.
    writing = asyncio.Task(write, loop=asyncio.get_running_loop(), eager_start=True)
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        with suppress(ApiError, TallyExceeded):
            await undo(await writing)
        raise
