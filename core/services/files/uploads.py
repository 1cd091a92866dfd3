"""Uploads in parts: begun, put together, given up.

An upload is counted with its owner's files from its beginning. Its file has an id that follows from its own, and is made in a write that
its own tally lets happen once: so it becomes one file however often, and by however many, that is asked for. What a killed
process leaves half-done is put together by the next who asks; or it goes with the next upload that its owner begins, and by
the lifecycle of its storage.
"""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from core.apis.answers.files import UploadObject, UploadPart
from core.apis.files import CompletedUpload, NewUpload
from core.errors import Conflict, InvalidRequest, StateUnavailable
from core.frame.callers import principal_of
from core.frame.content import UploadedFile, clean_filename, clean_media_type
from core.frame.types import JsonObject
from core.platform.concurrency import undoing
from core.platform.environment import environ
from core.routing.documents import GuardedDocuments
from core.routing.guard import Item
from core.services.files.assembly import (
    LARGE,
    MADE,
    change_upload,
    create_file,
    end_upload,
    file_of,
    hand_over,
    may_hand_over,
    put_together,
)
from core.services.files.collection import FileCollection, Tallies
from core.services.files.keeping import addition, counts, removal
from core.services.files.parts import UploadParts
from core.services.files.records import (
    FILE,
    OPEN_SECONDS,
    UPLOAD,
    PartRecord,
    UploadRecord,
    UploadStatus,
    file_id_of,
    show_upload,
)
from core.stores.documents.port import Document

if TYPE_CHECKING:
    from core.services.files.sweeping import Sweeper

LEASE_SECONDS: Final = 900  # which no function outlives
MOST_SWEPT: Final = 20  # uploads that one call removes because they have expired
MOST_ON_LAMBDA: Final = 512 * 1024 * 1024  # bytes that a function can put together before it is ended


class UploadsRouter:
    """Answers `core.apis.files.Uploads`. Rules about files are about uploads too."""

    def __init__(self, files: FileCollection, sweeper: "Sweeper") -> None:
        self._files = files
        self._sweeper = sweeper

    async def create(self, request: NewUpload) -> UploadObject:
        self._files.storages.get(self._files.storages.first_id)  # where there is none, say so before parts are sent
        on_lambda = "AWS_LAMBDA_FUNCTION_NAME" in environ()
        if request.bytes > MOST_ON_LAMBDA and on_lambda and not may_hand_over(self._files):
            raise InvalidRequest(
                f"Without a worker, Lambda puts parts of at most {MOST_ON_LAMBDA} bytes together. Deploy with Jobs=true, or send "
                "the file to a URL of the storage: POST /v1/files with JSON (filename, purpose, bytes) answers one.",
                param="bytes",
            )
        await sweep_uploads(self._files, self._files.owner)
        await self._sweeper.note(self._files)
        limits = self._files.parts.keep_limits(principal_of(self._files.call))
        own, now = request.expires_after, int(self._files.clock())
        record = UploadRecord(
            filename=clean_filename(request.filename),
            purpose=request.purpose,
            bytes=request.bytes,
            media_type=clean_media_type(request.mime_type),
            expires_at=now + OPEN_SECONDS,
            life=self._files.storages.ttl_seconds if own is None else own.seconds,
            counted=counts(limits),
        )
        documents = replace(self._documents, clock=lambda: now)

        async def create(tally: Tallies) -> Document:
            upload_id = f"upload_{token_hex(16)}"
            return await documents.create(upload_id, record.body(), parent=self._files.owner, tally=tally)

        tally = addition(self._files.owner, record.bytes, limits)
        document = await self._files.write_counted(create, tally)
        await self._sweeper.sweep_if_due()
        return show_upload(document, None)

    async def add_part(self, upload_id: str, *, upload: UploadedFile) -> UploadPart:
        document = await self._get_open(upload_id)
        if not upload.size:
            raise InvalidRequest("The part is empty.", param="data")
        part = PartRecord(self._files.storages.first_id, upload.key, upload.size)
        parts = UploadParts(self._files, upload_id)
        stored = await parts.add(f"part_{token_hex(16)}", part, document)
        async with undoing(partial(parts.undo, stored)):
            await self._get_open(upload_id)  # it may have ended meanwhile, without this part
        return {"id": stored.id, "object": "upload.part", "created_at": stored.created, "upload_id": upload_id}

    async def complete(self, request: CompletedUpload, upload_id: str) -> UploadObject:
        document = await _settle(self._files, await self._get(upload_id))
        if document.body["status"] == "completed":
            return show_upload(document, await self._files.store.get(FILE, file_id_of(upload_id)))
        _require_open(document, self._files.clock())
        parts = await UploadParts(self._files, upload_id).get(request.part_ids)
        size, whole = sum(part.bytes for part in parts), UploadRecord.read(document.body).bytes
        if size != whole:
            raise InvalidRequest(
                f"The parts have {size} bytes, and the upload was begun with {whole}.", param="part_ids"
            )
        until = self._files.clock() + LEASE_SECONDS
        if size > LARGE and may_hand_over(self._files):
            return await self._hand_over(document, request, until)
        claimed = await change_upload(self._files, document, "completing", until=until)
        async with undoing(partial(_release, self._files, claimed)):
            file = await self._assemble(claimed, parts, request.md5)
        return await self._finish(claimed, file)

    async def cancel(self, upload_id: str) -> UploadObject:
        document = await self._get(upload_id)
        if document.body["status"] == "cancelled":
            return show_upload(document, None)
        document = await _settle(self._files, document)
        _require_open(document, self._files.clock(), expired=True)
        return show_upload(await _end(self._files, document, "cancelled"), None)

    @property
    def _documents(self) -> GuardedDocuments:
        files = self._files
        return GuardedDocuments(files.store, files.guard, UPLOAD, FILE, _show, files.clock, noun=UPLOAD)

    async def _get(self, upload_id: str) -> Document:
        """One that the caller may change; raises NotFound or PermissionDenied."""
        document = await self._documents.get(upload_id)
        self._files.guard.require("update", Item(FILE, upload_id, document.owner))
        return document

    async def _get_open(self, upload_id: str) -> Document:
        """One that takes parts; raises as `_get` does, InvalidRequest or Conflict."""
        document = await self._get(upload_id)
        _require_open(document, self._files.clock())
        return document

    async def _hand_over(self, upload: Document, request: CompletedUpload, until: float) -> UploadObject:
        place = file_of(self._files, upload)
        claimed = await change_upload(
            self._files,
            upload,
            "completing",
            until=until,
            part_ids=request.part_ids,
            md5=request.md5,
            provider_id=place.provider_id,
            key=place.key,
        )
        async with undoing(partial(_release, self._files, claimed)):
            return show_upload(*await hand_over(self._files, claimed))

    async def _assemble(self, upload: Document, parts: list[PartRecord], digest: str | None) -> Document | None:
        """The upload's file, made of the parts, or by another meanwhile; None is one that was deleted by now."""
        file = file_of(self._files, upload)
        async with undoing(partial(self._files.storages.discard, file.provider_id, file.key)):
            done = await put_together(self._files, upload.id, file, parts, digest)
            return await create_file(self._files, upload, done)

    async def _finish(self, upload: Document, file: Document | None) -> UploadObject:
        """The completed upload; raises Conflict where it was given up meanwhile, which takes its file too."""
        try:
            done = await change_upload(self._files, upload, "completed", seconds=OPEN_SECONDS)
        except Conflict:
            newest = await self._files.store.get(UPLOAD, upload.id)
            status = None if newest is None else newest.body["status"]
            if newest is not None and status in {"completing", "completed"}:
                return show_upload(newest, file)
            if file is not None and status != "pending":
                await self._files.storages.discard(file.body["provider_id"], file.body["key"])
                await self._files.store.delete(file)
            raise
        await UploadParts(self._files, upload.id).remove()
        return show_upload(done, file)


async def sweep_uploads(files: FileCollection, owner: str) -> int:
    """End the owner's uploads that have expired, the oldest first; how many."""
    page, count = await files.store.page(UPLOAD, owner, limit=MOST_SWEPT), 0
    for document in page.documents:
        record, now = UploadRecord.read(document.body), files.clock()
        if record.expires_at > now or record.status not in {"pending", "completing"} or record.until > now:
            continue
        with suppress(Conflict):
            settled = await _settle(files, document)
            if settled is document:
                await _end(files, document, "expired")
                count += 1
    return count


async def _settle(files: FileCollection, upload: Document) -> Document:
    """As it is now: completed, if a process was killed just before it said so."""
    record = UploadRecord.read(upload.body)
    if record.status not in {"pending", "completing"} or record.until > files.clock():
        return upload
    if not (await files.store.tallies(UPLOAD, upload.id)).get(MADE):
        return upload
    if record.key:  # its job needs the parts
        return await end_upload(files, upload)
    done = await change_upload(files, upload, "completed", seconds=OPEN_SECONDS)
    await UploadParts(files, upload.id).remove()
    return done


async def _release(files: FileCollection, upload: Document) -> None:
    with suppress(Conflict, StateUnavailable):  # then its lease ends by itself
        await change_upload(files, upload, "pending")


async def _end(files: FileCollection, upload: Document, status: UploadStatus) -> Document:
    """Give it up, and take it off its owner's tally."""
    tally = removal(upload.parent, UploadRecord.read(upload.body))
    ended = await change_upload(files, upload, status, seconds=OPEN_SECONDS, tally=tally)
    await UploadParts(files, upload.id).remove()
    return ended


def _show(document: Document) -> JsonObject:
    return dict(show_upload(document, None))


def _require_open(upload: Document, now: float, *, expired: bool = False) -> None:
    """Raises InvalidRequest for one that has ended, Conflict for one that is being put together.

    One whose maker was killed meanwhile may be put together after it has expired.
    """
    record = UploadRecord.read(upload.body)
    if record.status not in {"pending", "completing"}:
        raise InvalidRequest(f"The upload `{upload.id}` is {record.status}. Begin another.", param="upload_id")
    if record.until > now:
        raise Conflict(f"The upload `{upload.id}` is being completed.")
    if record.status == "pending" and record.expires_at <= now and not expired:
        raise InvalidRequest(f"The upload `{upload.id}` has expired. Begin another.", param="upload_id")
