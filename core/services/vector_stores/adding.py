"""Files into a store: their records first, then the ingest in line as long as there is time, and the rest by a job."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
import logging
from typing import Final
from uuid import uuid4

from core.apis.files import OpenFile
from core.apis.vector_filters import Scalar
from core.apis.vector_stores import NewStoreFile
from core.errors import ApiError, InvalidRequest, PermissionDenied
from core.frame.callers import ANONYMOUS, Call
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.services.vector_stores.attributes import check_attributes, chunking_in_force
from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.ingest.engine import BATCH, Ingest, wants_work
from core.services.vector_stores.ingest.failures import Busy, IngestFailed
from core.services.vector_stores.ingest.lease import LEASE, WAIT
from core.services.vector_stores.ingest.opening import open_file
from core.services.vector_stores.records import FileRecord
from core.services.vector_stores.stores import missing
from core.stores.connect import BLOBS, JOBS, QUEUE
from core.stores.documents.port import Document, StaleDocument

KIND: Final = "vector_ingest"
IN_LINE: Final = 20.0
"""Seconds of an answer that an ingest may take."""
MARGIN: Final = 5.0
"""Of a function's time, for what is left to be written."""
AT_ONCE: Final = 4
LOOK_AGAIN: Final = 0.2  # seconds, for what somebody else takes in
NO_JOBS: Final = "There was no time for the whole file in one request, and this stack has no place for jobs, which would go on with it."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Addition:
    """A file to add, as checked; None is what the request does not say."""

    file_id: str
    attributes: dict[str, Scalar] | None
    chunking: JsonObject | None
    in_force: JsonObject


@dataclass(frozen=True, slots=True)
class FileAdding:
    """Adding to the store of `files`."""

    files: StoreFiles

    def check(self, request: NewStoreFile) -> Addition:
        """Raises InvalidRequest for what no file can be added with, or to."""
        stores, store = self.files.stores, self.files.store
        stores.require_removable(store.record.provider_id, "file_id")
        attributes = None
        if request.attributes is not None:
            attributes = check_attributes(request.attributes, stores.provider(store).capabilities.filtered_bytes)
        in_force = chunking_in_force(request.chunking_strategy, store.record.chunking, stores.parts.vector_stores)
        chunking = None if request.chunking_strategy is None else in_force
        return Addition(request.file_id, attributes, chunking, in_force)

    async def add(self, addition: Addition) -> Document:
        """The file's record, after the ingest as far as there was time."""
        holder = uuid4().hex
        document, file = await self.place(addition, holder=holder)
        await self.ingest({addition.file_id: Ingest(self.files, addition.file_id, holder=holder, file=file)})
        return await self.files.get(addition.file_id) or document

    async def place(self, addition: Addition, *, batch: str = "", holder: str = "") -> tuple[Document, OpenFile | None]:
        """Make the record, or change the one that is there; and the file, where it could be opened.

        What is there already, with the same attributes and chunking, stays as it is. A `holder` gets the lease of a new one.

        Raises:
            NotFound: the store was deleted meanwhile.
        """
        files, stores = self.files, self.files.stores
        opened = await _try_to_open(files, addition.file_id)
        failure = opened if isinstance(opened, IngestFailed) else None
        file = opened if isinstance(opened, OpenFile) else None

        def place(before: FileRecord | None) -> FileRecord | None:
            if before is not None:
                return _placed_again(before, addition, batch)
            now = stores.clock()
            record = FileRecord(
                attributes=addition.attributes or {},
                chunking=addition.in_force,
                filename="" if file is None else file.filename,
                batch=batch,
                until=now + WAIT,
            )
            if failure is not None:
                return replace(record, status="failed", last_error=_error(failure), until=0.0)
            return replace(record, holder=holder, until=now + LEASE, claimed=BATCH) if holder else record

        document = await files.change(addition.file_id, place)
        if document is None or not await stores.is_there(files.store):
            if document is not None:
                with suppress(StaleDocument):  # whoever removes the store has seen it
                    await files.remove(document)
            raise missing(files.store.id)
        return document, file

    async def ingest(self, ingests: dict[str, Ingest]) -> None:
        """Run those, by file id, until they are done or there is no more time; then a job goes on with the rest."""
        unfinished = set(ingests)

        async def run(file_id: str) -> None:
            if await self._run(ingests[file_id], file_id):
                unfinished.discard(file_id)

        limit = asyncio.timeout_at(self.limit())
        try:
            async with limit:
                await run_all([partial(run, file_id) for file_id in ingests], at_once=AT_ONCE)
        except TimeoutError:
            if not limit.expired():
                raise
        except asyncio.CancelledError:
            with suppress(ApiError):
                await asyncio.shield(asyncio.ensure_future(self.hand_over(sorted(unfinished))))
            raise
        await self.hand_over(sorted(unfinished))

    async def hand_over(self, file_ids: Sequence[str], *, key: str = "") -> None:
        """Let a job go on with these; where there can be none, they have failed."""
        if not file_ids:
            return
        from core.services.jobs.service import job_service

        stores = self.files.stores
        if not self._has_jobs:
            await self._give_up(file_ids, NO_JOBS)
            return
        try:
            request = {"store": self.files.store.id, "files": list(file_ids)}
            await job_service(stores.parts).create(
                KIND, stores.call or Call(ANONYMOUS), request, key=key, prefix="ingest"
            )
        except (InvalidRequest, PermissionDenied) as refusal:
            await self._give_up(file_ids, refusal.message)
        except ApiError as failure:  # whoever looks at the files later tries again
            log.warning("an ingest waits, since it has no job: %s", failure)

    async def _give_up(self, file_ids: Sequence[str], message: str) -> None:
        for file_id in file_ids:
            await Ingest(self.files, file_id).give_up("failed", "server_error", message)

    @property
    def _has_jobs(self) -> bool:
        stores = self.files.stores.parts.stores
        return all(stores.find(kind) is not None for kind in (JOBS, QUEUE, BLOBS))

    async def _run(self, ingest: Ingest, file_id: str) -> bool:
        """Whether it needs no job."""
        try:
            await ingest.run()
        except Busy:
            return await self._watch(file_id)
        except ApiError as failure:
            log.warning("an ingest is tried again: %s", failure)
            return False
        return True

    async def _watch(self, file_id: str) -> bool:
        """Until whoever works on it is done; False where that is not seen to."""
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            document = await self.files.get(file_id)
            if document is None:
                return True
            record = FileRecord.read(document.body)
            if record.deleting or not record.is_held(self._now()):
                return not wants_work(record)

    def _now(self) -> float:
        return self.files.stores.clock()

    def limit(self) -> float | None:
        """Until when the answer may wait, in the loop's time; None where nobody else could go on, and nothing ends this."""
        call = self.files.stores.call
        until = None if call is None or call.until is None else call.until - MARGIN
        if not self._has_jobs:
            return until
        limit = asyncio.get_running_loop().time() + IN_LINE
        return limit if until is None else min(limit, until)


def changed_attributes(before: FileRecord, attributes: dict[str, Scalar]) -> FileRecord:
    """The record with other attributes, which its chunks in the index are still to get."""
    if before.status == "completed":
        return replace(
            before, status="in_progress", attributes=attributes, embedded=before.claimed, next=0, tries=0, until=0.0
        )
    return replace(before, attributes=attributes, next=0)


def _placed_again(before: FileRecord, addition: Addition, batch: str) -> FileRecord | None:
    attributes = before.attributes if addition.attributes is None else addition.attributes
    chunking = before.chunking if addition.chunking is None else addition.chunking
    is_live = not before.deleting and before.status in {"in_progress", "completed"}
    if is_live and chunking == before.chunking:
        same = before if attributes == before.attributes else changed_attributes(before, attributes)
        joined = replace(same, batch=batch) if batch else same
        return None if joined == before else joined
    return replace(
        before,
        status="in_progress",
        attributes=addition.attributes or {} if before.deleting else attributes,
        chunking=addition.in_force if before.deleting else chunking,
        last_error=None,
        deleting=False,
        batch=batch,
        next=0,
        embedded=0,
        usage_bytes=0,
        tries=0,
        origin=None,
    )


async def _try_to_open(files: StoreFiles, file_id: str) -> OpenFile | IngestFailed | None:
    """None where it cannot be told now."""
    try:
        return await open_file(files, file_id)
    except IngestFailed as failure:
        return failure
    except ApiError:
        return None


def _error(failure: IngestFailed) -> JsonObject:
    return {"code": failure.code, "message": failure.message}
