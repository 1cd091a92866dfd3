"""Files of one caller: kept, listed, read and deleted."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from secrets import token_hex
from typing import Final

from core.apis.answers.files import FileDeleted, FileList, FileObject
from core.apis.files import AnnouncedFile, FileForm, ListFilesQuery, MadeFile, OpenFile
from core.errors import InvalidRequest, NotFound
from core.frame.content import Bytes, Redirect, UploadedFile, clean_filename, clean_media_type
from core.platform.concurrency import undoing
from core.routing.guard import Item
from core.services.files.collection import MOST_SWEPT, FileCollection
from core.services.files.records import FILE, OPEN_SECONDS, FileRecord, show_file
from core.services.files.storages import FOLDER, life_of
from core.services.files.sweeping import Sweeper
from core.stores.documents.port import Document

MOST_IN_ANSWER: Final = 1024 * 1024  # bytes; more are at a URL, where the storage has one
URL_SECONDS: Final = 300
BYTES_TYPE: Final = "application/octet-stream"  # JSON would be parsed by the clients of 0.2


class FilesRouter:
    """Answers `core.apis.files.Files`."""

    def __init__(self, files: FileCollection, sweeper: Sweeper) -> None:
        self._files = files
        self._sweeper = sweeper

    async def upload(self, request: FileForm, *, upload: UploadedFile | None) -> FileObject:
        if isinstance(request, AnnouncedFile):
            return await self._announce(request)
        if upload is None or not upload.size:
            raise InvalidRequest("The file is empty.", param="file")
        provider_id = self._files.storages.first_id
        key = await self._place(upload.key, life_of(self._life(request)))
        record = FileRecord(
            filename=upload.filename,
            purpose=request.purpose,
            bytes=upload.size,
            provider_id=provider_id,
            key=key,
            media_type=upload.media_type,
            etag=upload.sha256,
        )
        async with undoing(partial(self._files.storages.discard, provider_id, key)):
            await self._sweeper.note(self._files)
            document = await self._files.create(_id_of(key), record, self._life(request))
        await self._sweeper.sweep_if_due()
        return show_file(document)

    async def index(self, *, query: ListFilesQuery) -> FileList:
        data: list[FileObject] = []
        async with aclosing(self._current(query)) as documents:
            async for document in documents:
                if query.purpose in {None, document.body["purpose"]}:
                    data.append(show_file(document))
                if len(data) > query.limit:
                    break
        has_more = len(data) > query.limit
        data = data[: query.limit]
        first, last = (data[0]["id"], data[-1]["id"]) if data else ("", "")
        return {"object": "list", "data": data, "has_more": has_more, "first_id": first, "last_id": last}

    async def get(self, file_id: str) -> FileObject:
        return show_file(await self._files.get(file_id))

    async def delete(self, file_id: str) -> FileDeleted:
        document = await self._files.get(file_id)
        self._files.guard.require("delete", Item(FILE, file_id, document.owner))
        from core.services.files.uses import remove_everywhere  # late: few files are deleted

        if not await remove_everywhere(self._files, document):
            raise NotFound(f"There is no file `{file_id}`.", param="file_id")
        return {"id": file_id, "object": "file", "deleted": True}

    async def content(self, file_id: str) -> Bytes | Redirect:
        record = _require_content(await self._files.get(file_id))
        if record.bytes > MOST_IN_ANSWER:
            request = await self._files.storages.get(record.provider_id).download_url(
                record.key, seconds=URL_SECONDS, filename=record.filename, media_type=BYTES_TYPE
            )
            if request is not None:
                return Redirect(request.url)
        return self._bytes(record)

    async def open(self, file_id: str, *, store_id: str = "") -> OpenFile:
        from core.services.files.uses import open_for  # late: this is for vector stores

        opening = open_for(self._files, file_id, store_id) if store_id else self._files.get(file_id)
        record = _require_content(await opening)
        return OpenFile(file_id, record.filename, record.purpose, self._bytes(record))

    async def keep(self, made: MadeFile, content: AsyncIterator[bytes]) -> FileObject:
        from core.services.files.made import keep_made  # late: few files are made

        await self._sweeper.note(self._files)
        return show_file(await keep_made(self._files, made, content))

    async def _announce(self, request: AnnouncedFile) -> FileObject:
        """A file whose bytes are sent to the storage, by a URL that takes exactly as many."""
        provider_id, media_type = self._files.storages.first_id, clean_media_type(request.mime_type)
        key = f"{FOLDER}/{life_of(self._life(request))}/{token_hex(16)}"
        target = await self._files.storages.get(provider_id).upload_url(
            key, seconds=OPEN_SECONDS, size=request.bytes, media_type=media_type
        )
        if target is None:
            raise InvalidRequest(
                "The storage of this stack has no URLs to send files to. Send the file itself, as multipart/form-data with the "
                "part `file`, or in parts by POST /v1/uploads."
            )
        record = FileRecord(
            filename=clean_filename(request.filename),
            purpose=request.purpose,
            bytes=request.bytes,
            provider_id=provider_id,
            key=key,
            status="uploaded",
            media_type=media_type,
            until=target.expires,
        )
        await self._sweeper.note(self._files)
        shown = show_file(await self._files.create(_id_of(key), record, self._life(request)))
        shown["upload"] = {
            "method": target.method,
            "url": target.url,
            "headers": dict(target.headers),
            "expires_at": target.expires,
        }
        return shown

    async def _current(self, query: ListFilesQuery) -> AsyncGenerator[Document]:
        """The caller's files in their order, without those that have expired, of which the first are removed."""
        after, more, removed = query.after, True, 0
        while more:
            page = await self._files.documents.page(
                self._files.owner, order=query.order, after=after, limit=min(query.limit + 1, 1000)
            )
            for document in page.documents:
                current: Document | None = document
                if self._files.is_over(document):
                    current = None if removed == MOST_SWEPT else await self._files.settle(document)
                    removed += current is None and removed < MOST_SWEPT
                if current is not None:
                    yield current
            after = page.documents[-1].id if page.documents else after
            more = page.has_more

    async def _place(self, key: str, life: str) -> str:
        """The key of what was uploaded to `key`, in the folder of its life: a form may tell it after the file."""
        target = f"{FOLDER}/{life}/{key.rpartition('/')[2]}"
        if target != key:
            provider_id = self._files.storages.first_id
            storage = self._files.storages.get(provider_id)
            target = (await storage.put(target, storage.read(key))).key
            await self._files.storages.discard(provider_id, key)
        return target

    def _life(self, request: FileForm) -> int | None:
        return self._files.storages.ttl_seconds if request.expires_after is None else request.expires_after.seconds

    def _bytes(self, record: FileRecord) -> Bytes:
        about = {"media_type": BYTES_TYPE, "filename": record.filename, "etag": record.etag}
        return self._files.storages.read(record.provider_id, record.key, record.bytes, **about)


def _id_of(key: str) -> str:
    name = key.rpartition("/")[2]
    return name if name.startswith("file-") else f"file-{name}"


def _require_content(document: Document) -> FileRecord:
    record = FileRecord.read(document.body)
    if record.status == "error":
        raise InvalidRequest(f"`{document.id}` has no content. {record.details}", param="file_id")
    if record.assembled and record.status == "uploaded":
        raise InvalidRequest(
            f"The parts of `{document.id}` are still being put together: wait until its status is `processed`.",
            param="file_id",
        )
    if record.status == "uploaded":
        raise InvalidRequest(
            f"The content of `{document.id}` has not come yet: send it to the URL that the answer to its upload has.",
            param="file_id",
        )
    return record
