"""The files in vector stores: added, listed, changed, taken out and read, chunk by chunk."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final
from uuid import uuid4

from core.apis.answers.vector_stores import (
    FileBatch,
    FileContentPage,
    TextContent,
    VectorStoreFile,
    VectorStoreFileDeleted,
    VectorStoreFileList,
)
from core.apis.vector_stores import ChangedStoreFile, ContentQuery, ListFilesQuery, NewFileBatch, NewStoreFile
from core.errors import InvalidRequest, NotFound
from core.frame.types import JsonObject
from core.platform.concurrency import run_all
from core.services.vector_stores.adding import Addition, FileAdding, changed_attributes
from core.services.vector_stores.attributes import check_attributes
from core.services.vector_stores.file_pages import page_of, show_page
from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.file_shapes import ask_again, show_chunk, show_file
from core.services.vector_stores.ingest.engine import Ingest, wants_work
from core.services.vector_stores.ingest.lease import LEASE
from core.services.vector_stores.records import FileRecord, chunk_key, file_id_of
from core.services.vector_stores.stores import Store, StoreCollection
from core.stores.documents.port import Document, Order

PLACED: Final = 8  # files that are put into a store together
FETCHED: Final = 50
"""Chunks that are read together."""
MOST_CONTENT: Final = 1_500_000
"""Bytes after which a page of content ends: they are in it twice, and an answer of a function has 6 MB."""
LONGEST_PAGE: Final = 9  # digits
NUMBER_BYTES: Final = 20
"""Of a vector's number, as JSON."""


async def attach_all(
    stores: StoreCollection, store: Store, file_ids: Sequence[str], chunking: JsonObject | None
) -> None:
    """Add the files to a new store, in line as far as there is time; each once."""
    adding = FileAdding(StoreFiles(stores, store))
    additions = [
        adding.check(NewStoreFile(file_id=file_id, chunking_strategy=chunking)) for file_id in dict.fromkeys(file_ids)
    ]
    ingests: dict[str, Ingest] = {}

    async def place(addition: Addition) -> None:
        _, file = await adding.place(addition)
        ingests[addition.file_id] = Ingest(adding.files, addition.file_id, file=file)

    await run_all([partial(place, addition) for addition in additions], at_once=PLACED)
    await adding.ingest(ingests)


class StoreFilesRouter:
    """Answers `core.apis.vector_stores.StoreFiles`."""

    def __init__(self, stores: StoreCollection) -> None:
        self._stores = stores

    async def add(self, request: NewStoreFile, vector_store_id: str) -> VectorStoreFile:
        adding = FileAdding(StoreFiles(self._stores, await self._stores.open(vector_store_id, "update")))
        return self._show(await adding.add(adding.check(request)))

    async def index(self, vector_store_id: str, *, query: ListFilesQuery) -> VectorStoreFileList:
        files = StoreFiles(self._stores, await self._stores.get(vector_store_id))
        seen: list[Document] = []

        async def walk(order: Order, after: str | None) -> AsyncGenerator[Document]:
            async for document in files.walk(order, after):
                seen.append(document)
                yield document

        documents, has_more = await page_of(walk, query)
        await self._revive(files, seen)
        return show_page(documents, has_more=has_more)

    async def get(self, vector_store_id: str, file_id: str) -> VectorStoreFile:
        files = StoreFiles(self._stores, await self._stores.get(vector_store_id))
        document = await _find(files, file_id)
        await self._revive(files, [document])
        return self._show(document)

    async def update(self, request: ChangedStoreFile, vector_store_id: str, file_id: str) -> VectorStoreFile:
        store = await self._stores.open(vector_store_id, "update")
        attributes = check_attributes(request.attributes, self._stores.provider(store).capabilities.filtered_bytes)
        files, holder = StoreFiles(self._stores, store), uuid4().hex

        def change(before: FileRecord | None) -> FileRecord | None:
            if before is None or before.deleting:
                raise _missing(store, file_id)
            if before.attributes == attributes:
                return None
            return self._hold(changed_attributes(before, attributes), holder)

        document = await files.change(file_id, change)
        await FileAdding(files).ingest({file_id: Ingest(files, file_id, holder=holder)})
        document = await files.get(file_id) or document
        if document is None:
            raise _missing(store, file_id)
        return self._show(document)

    async def remove(self, vector_store_id: str, file_id: str) -> VectorStoreFileDeleted:
        store = await self._stores.get(vector_store_id)
        self._stores.guard.require("update", self._stores.item(store))
        files, holder = StoreFiles(self._stores, store), uuid4().hex
        is_there = True

        def mark(before: FileRecord | None) -> FileRecord | None:
            nonlocal is_there
            is_there = before is not None and not before.deleting
            return self._hold(replace(before, deleting=True), holder) if before is not None and is_there else None

        if await files.change(file_id, mark) is not None:
            await FileAdding(files).ingest({file_id: Ingest(files, file_id, holder=holder)})
        if not is_there:
            raise _missing(store, file_id)
        return {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}

    async def content(self, vector_store_id: str, file_id: str, *, query: ContentQuery) -> FileContentPage:
        store = await self._stores.get(vector_store_id)
        document = await _find(StoreFiles(self._stores, store), file_id)
        record = FileRecord.read(document.body)
        number = _place_of(query)
        count = record.next if record.embedded == 0 else record.embedded
        data: list[TextContent] = []
        size = 0
        while number < count and size < MOST_CONTENT:
            keys = [chunk_key(file_id, n) for n in range(number, min(number + FETCHED, count))]
            provider = self._stores.provider(store)
            chunks = await self._stores.ask(provider.fetch(store.index, keys, with_vectors=query.include_embeddings))
            data += [show_chunk(chunk, document.created, query) for chunk in chunks]
            size += sum(len(chunk.text.encode()) + NUMBER_BYTES * len(chunk.vector) for chunk in chunks)
            number += len(keys)
        has_more = number < count
        return {
            "object": "vector_store.file_content.page",
            "data": data,
            "has_more": has_more,
            "next_page": str(number) if has_more else None,
            "file_id": file_id,
            "filename": record.filename,
            "attributes": dict(record.attributes),
            "content": data,
        }

    async def create_batch(self, request: NewFileBatch, vector_store_id: str) -> FileBatch:
        from core.services.vector_stores.batches import create

        store = await self._stores.open(vector_store_id, "update")
        return await create(StoreFiles(self._stores, store), request)

    async def get_batch(self, vector_store_id: str, batch_id: str) -> FileBatch:
        from core.services.vector_stores.batches import show

        return await show(StoreFiles(self._stores, await self._stores.get(vector_store_id)), batch_id)

    async def batch_files(self, vector_store_id: str, batch_id: str, *, query: ListFilesQuery) -> VectorStoreFileList:
        from core.services.vector_stores.batches import list_files

        return await list_files(StoreFiles(self._stores, await self._stores.get(vector_store_id)), batch_id, query)

    async def cancel_batch(self, vector_store_id: str, batch_id: str) -> FileBatch:
        from core.services.vector_stores.batches import cancel

        store = await self._stores.get(vector_store_id)
        self._stores.guard.require("update", self._stores.item(store))
        return await cancel(StoreFiles(self._stores, store), batch_id)

    def _show(self, document: Document) -> VectorStoreFile:
        call = self._stores.call
        if call is not None:
            call.add_tokens(0)  # what was reserved for embeddings is given back where there were none
        if document.body["status"] == "in_progress":
            ask_again(call, document.created, self._stores.clock())
        return show_file(document)

    def _hold(self, record: FileRecord, holder: str) -> FileRecord:
        """With the lease, where nobody has it."""
        now = self._stores.clock()
        if record.is_held(now) or not (record.deleting or record.status == "in_progress"):
            return record
        return replace(record, holder=holder, until=now + LEASE)

    async def _revive(self, files: StoreFiles, documents: Sequence[Document]) -> None:
        """What somebody left without a word, a job of its owner goes on with; whoever looks at it sees to that."""
        batches = set[str]()
        for document in documents:
            record = FileRecord.read(document.body)
            is_own = document.owner == self._stores.guard.owner
            if not is_own or not wants_work(record) or record.until >= self._stores.clock():
                continue
            if record.batch and not record.deleting:
                batches.add(record.batch)
            else:
                await FileAdding(files).hand_over([file_id_of(document)], key=f"{document.id}#{document.revision}")
        if batches:
            from core.services.vector_stores.batches import revive

            for batch in batches:
                await revive(files, batch)


async def _find(files: StoreFiles, file_id: str) -> Document:
    document = await files.get(file_id)
    if document is None or document.body["deleting"]:
        raise _missing(files.store, file_id)
    return document


def _missing(store: Store, file_id: str) -> NotFound:
    return NotFound(f"There is no file `{file_id}` in the vector store `{store.id}`.", param="file_id")


def _place_of(query: ContentQuery) -> int:
    """The number of the chunk that a page of content begins with."""
    if query.page is None:
        return 0
    if not query.page.isdecimal() or len(query.page) > LONGEST_PAGE:
        raise InvalidRequest("`page` is the `next_page` of an answer before.", param="page")
    return int(query.page)
