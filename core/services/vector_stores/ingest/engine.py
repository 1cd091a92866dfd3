"""One file into one store: its text cut, embedded and put, from where its record says, by whoever has the lease.

Before chunks are put, the record claims their keys; what it says next, is in the index. So a killed ingest leaves no chunk that its
record does not bound, and the next one goes on where it ended. Chunking comes to the same each time, and chunks are put by key,
so that what was put and not noted is put again and changes nothing.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
import logging
from typing import TYPE_CHECKING, Final

from core.apis.files import OpenFile
from core.apis.vector_io import Chunk, VectorIOProvider
from core.errors import ApiError, InvalidRequest
from core.frame.types import JsonObject
from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.ingest.chunks import read_chunking
from core.services.vector_stores.ingest.failures import (
    MOST_TRIES,
    WORKERS_LOST,
    Busy,
    IngestFailed,
    exhausted_error,
    final_error,
    refused_text,
)
from core.services.vector_stores.ingest.lease import FileLease, LeaseLost, RecordChanged
from core.services.vector_stores.ingest.limits import Code, Unreadable
from core.services.vector_stores.ingest.opening import open_file
from core.services.vector_stores.ingest.pace import EmbeddingPace
from core.services.vector_stores.ingest.pieces import Piece, contexts_of, with_last
from core.services.vector_stores.ingest.reader import ChunkReader
from core.services.vector_stores.records import STORES, FileRecord, chunk_key

if TYPE_CHECKING:
    from core.services.vector_stores.ingest.contexts import Contexts

BATCH: Final = 64
BATCH_TOKENS: Final = 64_000
"""Chunks, and tokens, that are embedded and put together."""
DELETED: Final = 500
"""Keys of one deletion."""
PUT_SECONDS: Final = 30.0  # for one that nobody waits for any more
NUMBER_BYTES: Final = 4  # of a vector

log = logging.getLogger(__name__)


class Ingest:
    """`file`, where it was opened already, need not be opened again."""

    def __init__(self, files: StoreFiles, file_id: str, *, holder: str = "", file: OpenFile | None = None) -> None:
        """`holder` is in the record already, where it was made with it."""
        self._files = files
        self._stores = files.stores
        self._store = files.store
        self._file = file
        self._lease = FileLease(files, file_id, files.stores.clock, holder)
        self._putting = 0
        self._pace = EmbeddingPace(BATCH)
        self._bytes = 0
        self._used = 0  # how many chunks this ingest has put, by the highest number
        self.contexts: Contexts | None = None

    async def run(self) -> FileRecord | None:
        """Do what its record wants, if that is anything; the record as it is then, None for one that is gone.

        Raises:
            Busy: somebody does it.
            ApiError: it failed for now, and may be tried again; after MOST_TRIES it has failed.
        """
        lease = self._lease
        if not await lease.acquire(wants_work, BATCH):
            if lease.document is not None and wants_work(lease.record):
                raise Busy(lease.record.until - self._stores.clock())
            return None if lease.document is None else lease.record
        keeping = asyncio.ensure_future(lease.keep())
        try:
            await self._advance_until_done()
        except LeaseLost:
            await self._clean_up()
        except asyncio.CancelledError:
            if not self._putting:  # else it lapses: nobody may delete what is on its way
                await asyncio.shield(asyncio.ensure_future(self._leave()))
            raise
        finally:
            keeping.cancel()
            await asyncio.wait((keeping,))
        return None if lease.document is None else lease.record

    async def give_up(self, status: str, code: Code, message: str) -> None:
        """End it with this, where it has not ended and nobody works on it."""
        lease = self._lease
        if not await lease.acquire(wants_work, 0):
            return
        with suppress(LeaseLost, RecordChanged):
            if lease.record.deleting or lease.record.status != "in_progress":
                await self._advance()
            else:
                await self._end(status, code, message)

    async def _advance_until_done(self) -> None:
        while True:
            # Gathered, so that whatever a strange file raises is a value; a cancellation of this task still cancels it.
            failure = (await asyncio.gather(self._advance(), return_exceptions=True))[0]
            if isinstance(failure, LeaseLost):
                raise failure
            try:
                if failure is not None and not isinstance(failure, RecordChanged):
                    await self._fail(failure)
                if not isinstance(failure, RecordChanged):
                    return
            except RecordChanged:
                continue

    async def _advance(self) -> None:
        record = self._lease.record
        if record.deleting:
            await self._delete(range(record.claimed))
            await self._lease.remove()
            await self._finish_removal()
        elif record.status == "cancelled":
            await self._delete(range(record.claimed))
            await self._lease.write(_ended(record, claimed=0, next=0, usage_bytes=0))
        elif record.status == "in_progress":
            await self._ingest()

    async def _ingest(self) -> None:
        lease, count = self._lease, self._lease.record.next
        if lease.record.tries >= MOST_TRIES:
            raise IngestFailed("server_error", WORKERS_LOST)
        async with aclosing(with_last(self._pieces())) as pieces:
            async for piece, is_last in pieces:
                chunks = await self._embed(piece) if piece.fresh else piece.chunks
                count = piece.first + len(chunks)
                await lease.ensure(count, BATCH)
                self._used = max(self._used, count)
                await self._put(chunks)
                if not is_last:
                    claimed = max(lease.record.claimed, count + BATCH)
                    await lease.write(replace(lease.record, next=count, claimed=claimed, tries=0))
        await self._delete(range(count, max(lease.inherited, self._used)))
        await lease.write(
            _ended(
                lease.record, status="completed", claimed=count, next=count, usage_bytes=self._bytes, last_error=None
            )
        )

    async def _pieces(self) -> AsyncGenerator[Piece]:
        """What is left to be put, in its order."""
        record = self._lease.record
        if record.embedded:
            async for piece in self._pieces_there(record):
                yield piece
            return
        self._bytes = 0
        chunking = read_chunking(record.chunking)
        size, number = max(1, min(BATCH, BATCH_TOKENS // chunking.size)), record.next
        if record.origin is not None:
            async for piece in self._pieces_of_origin(record, record.origin, size):
                yield piece
            return
        reader = await ChunkReader.open(await self._open(), chunking)
        try:
            contexts = self.contexts = await contexts_of(self._stores, chunking, reader)
            size = size if contexts is None else min(size, contexts.at_once)  # what was not put is asked for again
            self._note(await self._skip(reader, number), number)
            while texts := await reader.take(min(size, self._pace.size)):
                if contexts is not None:
                    texts = await contexts.put_before(texts)
                self._note(sum(len(text.encode()) for text in texts), len(texts))
                yield Piece(number, [self._chunk(number + place, text) for place, text in enumerate(texts)], fresh=True)
                number += len(texts)
        finally:
            reader.close()

    async def _skip(self, reader: ChunkReader, count: int) -> int:
        """Leave out what was put already, and say how many bytes of text that has."""
        size = await reader.skip(count)
        if self.contexts is None:
            return size
        size = 0
        for first in range(0, count, BATCH):
            keys = self._keys(range(first, min(first + BATCH, count)))
            chunks = await self._ask(self._provider.fetch(self._store.index, keys))
            size += sum(len(chunk.text.encode()) for chunk in chunks)
        return size

    async def _pieces_there(self, record: FileRecord) -> AsyncGenerator[Piece]:
        """The chunks with the vectors that they have, and other attributes: together as large as before."""
        self._bytes = record.usage_bytes
        for first in range(record.next, record.embedded, BATCH):
            keys = self._keys(range(first, min(first + BATCH, record.embedded)))
            chunks = await self._ask(self._provider.fetch(self._store.index, keys, with_vectors=True))
            if len(chunks) != len(keys):  # its index was lost: it is embedded again
                await self._lease.write(replace(record, embedded=0, next=0))
                raise RecordChanged
            yield Piece(first, [replace(c, attributes=record.attributes) for c in chunks], fresh=False)

    async def _pieces_of_origin(self, record: FileRecord, place: JsonObject, size: int) -> AsyncGenerator[Piece]:
        """The chunks that another store has of this file, with their vectors where those are the same here."""
        from core.services.vector_stores.ingest.origin import FileOrigin

        origin = await FileOrigin.open(self._files, self._lease.file_id, place)
        if origin is None:  # it was taken out of there
            await self._lease.write(replace(record, deleting=True))
            raise RecordChanged
        fresh = origin.begin(record)
        if fresh.origin != record.origin:
            await self._lease.write(fresh)
            raise RecordChanged
        async for piece in origin.pieces(record, self._store.record, size):
            self._note(sum(len(chunk.text.encode()) for chunk in piece.chunks), len(piece.chunks))
            if piece.first + len(piece.chunks) > record.next:
                yield piece

    def _note(self, size: int, count: int) -> None:
        """Count what so many chunks take: their text, and their vectors."""
        self._bytes += size + count * NUMBER_BYTES * self._store.record.embedding_dimension

    def _chunk(self, number: int, text: str) -> Chunk:
        record, file_id = self._lease.record, self._lease.file_id
        return Chunk(
            chunk_key(file_id, number),
            text,
            attributes=record.attributes,
            source=file_id,
            filename=record.filename,
        )

    async def _open(self) -> OpenFile:
        if self._file is None:
            self._file = await open_file(self._files, self._lease.file_id)
        return self._file

    async def _embed(self, piece: Piece) -> list[Chunk]:
        ask = partial(self._stores.models.embed, self._store.id, self._store.record)
        try:
            vectors = await self._pace.embed([chunk.text for chunk in piece.chunks], ask)
        except InvalidRequest as refusal:
            raise refused_text(refusal) from refusal
        return [replace(chunk, vector=vector) for chunk, vector in zip(piece.chunks, vectors, strict=True)]

    async def _put(self, chunks: Sequence[Chunk]) -> None:
        """Put them to the end: what is on its way must be there, or not, before anybody else has the lease."""
        self._putting += 1
        task = asyncio.ensure_future(self._ask(self._provider.put(self._store.index, chunks)))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait((task,), timeout=PUT_SECONDS)
            raise
        finally:
            self._putting -= task.done()
            if task.done() and not task.cancelled():
                task.exception()  # it was raised above, or nobody is there to be told

    async def _delete(self, numbers: range) -> None:
        for start in range(0, len(numbers), DELETED):
            keys = self._keys(numbers[start : start + DELETED])
            await self._ask(self._provider.delete(self._store.index, keys))

    def _keys(self, numbers: range) -> list[str]:
        return [chunk_key(self._lease.file_id, number) for number in numbers]

    @property
    def _provider(self) -> VectorIOProvider:
        return self._stores.provider(self._store)

    async def _ask[T](self, coming: Awaitable[T]) -> T:
        return await self._stores.ask(coming)

    async def _fail(self, failure: BaseException) -> None:
        """End it where trying again is in vain, or was often enough; else give it back, and raise the failure."""
        error = final_error(failure)
        if error is None:
            if self._lease.record.status == "in_progress" and not self._lease.record.deleting:
                error = exhausted_error(failure) if self._lease.record.tries + 1 >= MOST_TRIES else None
            if error is None:
                await self._leave(failed=True)
                raise failure
        if not isinstance(failure, IngestFailed | Unreadable | ApiError):
            log.error("the ingest of a file broke", exc_info=failure)
        await self._end("failed", *error)

    async def _end(self, status: str, code: Code, message: str) -> None:
        """With no chunk left in the index, if that can be done now: else its record still bounds which are."""
        claimed = self._lease.record.claimed
        with suppress(ApiError):
            await self._delete(range(claimed))
            claimed = 0
        ended = _ended(
            self._lease.record, status=status, claimed=claimed, next=0, usage_bytes=0,
            last_error={"code": code, "message": message} if status == "failed" else None,
        )  # fmt: skip
        await self._lease.write(ended)

    async def _leave(self, *, failed: bool = False) -> None:
        """Give the lease back; a write that failed may have made the index of a store that is gone by now."""
        await self._lease.release(failed=failed)
        await self._clean_up()

    async def _clean_up(self) -> None:
        """After the lease was lost: of a record that is gone, no chunk stays that was put meanwhile."""
        if self._lease.document is not None:
            return
        with suppress(ApiError):
            await self._delete(range(self._lease.record.claimed))
            await self._finish_removal()

    async def _finish_removal(self) -> None:
        """Of a store that is being deleted, whoever leaves it last removes the rest."""
        document = await self._stores.store.get(STORES, self._store.id)
        if document is not None and document.body["deleting"]:
            from core.services.vector_stores.removal import remove_rest

            await remove_rest(self._stores, document)
        elif document is None:
            await self._ask(self._provider.drop(self._store.index))


def wants_work(record: FileRecord) -> bool:
    """Whether there is something to be put, or to be removed."""
    return record.deleting or record.status == "in_progress" or (record.status == "cancelled" and record.claimed > 0)


def _ended(record: FileRecord, **changes: object) -> FileRecord:
    return replace(record, holder="", until=0.0, embedded=0, tries=0, origin=None, **changes)  # type: ignore[arg-type]
