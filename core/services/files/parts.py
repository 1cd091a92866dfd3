"""The parts of uploads: their records, and their bytes as one stream."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from core.apis.files import MOST_PARTS
from core.errors import InvalidRequest, NotFound
from core.platform.concurrency import run_all
from core.services.files.collection import FileCollection, keep_unless_left
from core.services.files.records import BYTES, PART, PARTS, UPLOAD, PartRecord, UploadRecord
from core.stores.documents.port import Document, Tally, TallyExceeded

DAY: Final = 86_400
PAGE: Final = 1000
AT_ONCE: Final = 8


class UploadParts:
    """Those of the upload with this id."""

    def __init__(self, files: FileCollection, upload_id: str) -> None:
        self._files = files
        self._upload_id = upload_id

    async def add(self, part_id: str, part: PartRecord, upload: Document) -> Document:
        """Keep a part; raises InvalidRequest where that are more bytes, or parts, than the upload may have.

        Who sends one again, because no answer came, may: together they have at most twice the bytes of the file.
        """
        record = UploadRecord.read(upload.body)
        document = Document(
            PART,
            part_id,
            part.body(),
            self._upload_id,
            upload.owner,
            int(self._files.clock()),
            expires=record.expires_at + DAY,
        )
        limits = {BYTES: 2 * record.bytes, PARTS: MOST_PARTS}
        tally = Tally(UPLOAD, self._upload_id, {BYTES: part.bytes, PARTS: 1}, limits)
        try:
            return await keep_unless_left(self._files.store.create(document, tally=(tally,)), self._files.store.delete)
        except TallyExceeded as exceeded:
            raise InvalidRequest(_excess(exceeded.name, record.bytes), param="data") from None

    async def undo(self, part: Document) -> None:
        """Remove a part of an upload that has ended; the frame removes its bytes."""
        await self._files.store.delete(part)
        await self._files.store.drop_tallies(UPLOAD, self._upload_id)

    async def get(self, part_ids: Sequence[str]) -> list[PartRecord]:
        """In their order; raises InvalidRequest for one that is not of this upload, or comes twice."""
        if len(set(part_ids)) < len(part_ids):
            raise InvalidRequest("part_ids names a part twice.", param="part_ids")
        parts = {document.id: PartRecord.read(document.body) for document in await self._documents()}
        for number, part_id in enumerate(part_ids):
            if part_id not in parts:
                raise InvalidRequest(f"The upload has no part `{part_id[:64]}`.", param=f"part_ids[{number}]")
        return [parts[part_id] for part_id in part_ids]

    async def read(self, parts: Sequence[PartRecord], *digests: Any) -> AsyncIterator[bytes]:  # noqa: ANN401 - hashlib has no name for them
        """Their bytes, one part after the other, of which each of the `digests` is told."""
        for part in parts:
            storage = self._files.storages.get(part.provider_id)
            try:
                async for chunk in storage.read(part.key):
                    for digest in digests:
                        digest.update(chunk)
                    yield chunk
            except NotFound:
                raise InvalidRequest("The content of a part is gone. Begin another upload.", param="part_ids") from None

    async def remove(self) -> None:
        """Remove all of them, with their bytes as far as those can be reached."""
        await self._remove(self._files.storages.discard)

    async def erase(self) -> None:
        """Remove all of them with their bytes, or raise what `Storages.get` raises, or the storage."""

        async def delete(provider_id: str, *keys: str) -> None:
            await self._files.storages.get(provider_id).delete(*keys)

        await self._remove(delete)

    async def _remove(self, delete: Callable[..., Awaitable[None]]) -> None:
        documents = await self._documents()
        keys: dict[str, list[str]] = {}
        for document in documents:
            part = PartRecord.read(document.body)
            keys.setdefault(part.provider_id, []).append(part.key)
        for provider_id, names in keys.items():
            await delete(provider_id, *names)
        await run_all([partial(self._files.store.delete, document) for document in documents], at_once=AT_ONCE)
        await self._files.store.drop_tallies(UPLOAD, self._upload_id)

    async def _documents(self) -> list[Document]:
        documents, after, more = list[Document](), None, True
        while more:
            page = await self._files.store.page(PART, self._upload_id, after=after, limit=PAGE)
            documents += page.documents
            after = page.documents[-1].id if page.documents else None
            more = page.has_more
        return documents


def _excess(name: str, size: int) -> str:
    if name == PARTS:
        return f"An upload has at most {MOST_PARTS} parts. Begin another with a larger part_size."
    return f"The parts have more bytes together than the {size} that the upload was begun with."
