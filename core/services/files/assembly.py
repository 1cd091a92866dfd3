"""Parts become a file: in the answer, or, where that takes longer than a function has, by a job.

A job's file is there at once, `uploaded` until its bytes are. All that the job needs is in the upload's record; it creates the file
too if whoever began died before, writes the same blob each time, and removes it where the file was deleted meanwhile.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import md5, sha256
from secrets import token_hex
from typing import Any, Final

from core.errors import Conflict, InvalidRequest, StaleRevision
from core.frame.callers import ANONYMOUS, Call, principal_of
from core.routing.guard import Item
from core.routing.policy import owner_of
from core.services.files.collection import FileCollection, Tallies
from core.services.files.parts import UploadParts
from core.services.files.records import (
    FILE,
    OPEN_SECONDS,
    UPLOAD,
    FileRecord,
    PartRecord,
    UploadRecord,
    UploadStatus,
    file_id_of,
)
from core.services.files.storages import FOLDER, life_of
from core.services.parts import Parts
from core.stores.connect import BLOBS, JOBS, QUEUE
from core.stores.documents.port import Document, Tally, TallyExceeded

KIND: Final = "file_assembly"
LARGE: Final = 200 * 1024 * 1024  # bytes that a function puts together well within its 29 seconds
MADE: Final = "files"
JOB_SECONDS: Final = 12 * 3600  # parts are in their storage for a day
NOT_DONE: Final = "The parts were not put together: {} Upload the file again."


def may_hand_over(files: FileCollection) -> bool:
    """Whether there is a place for jobs, and the caller may make this one."""
    if any(files.parts.stores.find(kind) is None for kind in (JOBS, QUEUE, BLOBS)):
        return False
    owner = owner_of(principal_of(files.call) or ANONYMOUS)
    return files.guard.allows("create", Item("job", "assembly", owner), (f"{KIND}/assembly",))


async def hand_over(files: FileCollection, upload: Document) -> tuple[Document, Document | None]:
    """Let a job put the parts together; the upload and its file as they are until then."""
    from core.services.jobs.service import job_service

    caller = Call(principal_of(files.call) or ANONYMOUS)
    request = {"upload": upload.id}
    await job_service(files.parts).create(
        KIND, caller, request, key=f"{KIND}#{upload.id}", prefix="assembly", seconds=JOB_SECONDS
    )
    file = await _begin(files, upload)
    return await end_upload(files, upload), file


async def create_file(files: FileCollection, upload: Document, record: FileRecord) -> Document | None:
    """The upload's file, or the one that another has made of it; None where that was deleted by now."""
    file_id, life, now = file_id_of(upload.id), UploadRecord.read(upload.body).life, int(files.clock())
    body = replace(record, expires_at=None if life is None else now + life).body()
    try:
        return await files.store.create(
            Document(FILE, file_id, body, upload.parent, upload.owner, now),
            tally=(Tally(UPLOAD, upload.id, {MADE: 1}, {MADE: 1}),),
        )
    except (Conflict, TallyExceeded):
        return await files.store.get(FILE, file_id)


def file_of(files: FileCollection, upload: Document) -> FileRecord:
    """The record of its file to be, at a place that has nothing yet."""
    record, provider_id = UploadRecord.read(upload.body), files.storages.first_id
    return FileRecord(
        filename=record.filename,
        purpose=record.purpose,
        bytes=record.bytes,
        provider_id=provider_id,
        key=f"{FOLDER}/{life_of(record.life)}/{token_hex(16)}",
        media_type=record.media_type,
        counted=record.counted,
    )


async def put_together(
    files: FileCollection, upload_id: str, file: FileRecord, parts: Sequence[PartRecord], digest: str | None
) -> FileRecord:
    """The parts as one blob; raises InvalidRequest, and there is none, where that would have another `digest`."""
    whole, check = sha256(), md5(usedforsecurity=False)

    async def content() -> AsyncGenerator[bytes]:
        async for chunk in UploadParts(files, upload_id).read(parts, whole, check):
            yield chunk
        if digest is not None and digest.lower() != check.hexdigest():  # before anybody may see the blob
            raise InvalidRequest(f"The bytes have another md5: {check.hexdigest()}.", param="md5")

    blob = await files.storages.get(file.provider_id).put(file.key, content(), media_type=file.media_type)
    return replace(file, key=blob.key, etag=whole.hexdigest())


async def change_upload(
    files: FileCollection,
    upload: Document,
    status: UploadStatus,
    *,
    seconds: int | None = None,
    tally: Tallies = (),
    **fields: Any,  # noqa: ANN401 - of its record
) -> Document:
    """Without `until` it is nobody's afterwards, and after `seconds` forgotten; raises Conflict where another has changed it meanwhile."""
    body = replace(UploadRecord.read(upload.body), **{"status": status, "until": 0.0, **fields}).body()
    expires = None if seconds is None else int(files.clock()) + seconds
    try:
        return await files.store.put(upload, body, expires=expires, tally=tally)
    except StaleRevision:
        raise Conflict(f"The upload `{upload.id}` is being changed by another request. Try again.") from None


async def assemble(parts: Parts, upload_id: str) -> str:
    """Do what `hand_over` left to a job, and say what became of it.

    Raises:
        InvalidRequest: the parts are not those of the file.
    """
    files = FileCollection(parts, None)
    upload = await files.store.get(UPLOAD, upload_id)
    if upload is None or upload.body["status"] not in {"completing", "completed"}:
        return "gone"
    file = await _begin(files, upload)
    upload = await end_upload(files, upload)
    record = UploadRecord.read(upload.body)
    if file is not None and file.body["status"] == "uploaded":
        places = await UploadParts(files, upload_id).get(record.part_ids)
        done = await put_together(files, upload_id, FileRecord.read(file.body), places, record.md5)
        with suppress(StaleRevision):  # it was deleted, or a reader has seen the bytes
            await files.store.put(file, replace(done, status="processed", until=0).body())
        file = await files.store.get(FILE, file.id)
    if file is None:
        await files.storages.discard(record.provider_id, record.key)
    await UploadParts(files, upload_id).remove()
    return "deleted" if file is None else "processed"


async def give_up(parts: Parts, upload_id: str, reason: str) -> None:
    """Its file is there, without content, and says why."""
    files = FileCollection(parts, None)
    upload = await files.store.get(UPLOAD, upload_id)
    if upload is None or upload.body["status"] not in {"completing", "completed"}:
        return
    file = await _begin(files, upload)
    await end_upload(files, upload)
    if file is not None and file.body["status"] == "uploaded":
        record = replace(FileRecord.read(file.body), status="error", details=NOT_DONE.format(reason))
        with suppress(StaleRevision):
            await files.store.put(file, record.body())
            await files.storages.discard(record.provider_id, record.key)
    await UploadParts(files, upload_id).remove()


async def _begin(files: FileCollection, upload: Document) -> Document | None:
    """The file of an upload whose parts a job puts together; None where it was deleted by now."""
    record = UploadRecord.read(upload.body)
    file = replace(file_of(files, upload), provider_id=record.provider_id, key=record.key)
    until = int(files.clock()) + JOB_SECONDS + OPEN_SECONDS
    return await create_file(files, upload, replace(file, status="uploaded", until=until, assembled=True))


async def end_upload(files: FileCollection, upload: Document) -> Document:
    """Its client has nothing left to do; what the job needs of it stays as long as that may last."""
    if upload.body["status"] == "completed":
        return upload
    try:
        return await change_upload(files, upload, "completed", seconds=JOB_SECONDS + OPEN_SECONDS)
    except Conflict:  # the job, or the request, has done so
        newest = await files.store.get(UPLOAD, upload.id)
        if newest is None or newest.body["status"] != "completed":
            raise
        return newest
