"""Vector stores as files: what is said of a store, its files and batches, and its chunks with their vectors, where the provider gives them."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict
from typing import Final, cast

from core.apis.vector_io import Chunk, VectorListing
from core.services.extracts import Extract, extract_json, extract_lines, path_of, show_document
from core.services.vector_stores.records import BATCHES, FILES, STORES, FileRecord, StoreRecord, chunk_key, file_id_of
from core.services.vector_stores.stores import Store, StoreCollection
from core.stores.documents.port import Document
from core.stores.documents.walking import walk_pages

FOLDER: Final = "stores"
OF_OTHERS: Final = "stores_of_others"
AT_ONCE: Final = 100  # chunks, each with a vector of up to 16 KB
STORE_FIELDS: Final = (
    "name", "description", "embedding_model", "embedding_dimension", "chunking", "metadata", "expires_days", "last_active", "copy"
)  # fmt: skip
FILE_FIELDS: Final = ("status", "last_error", "attributes", "chunking", "filename", "usage_bytes", "batch")


async def read_store(stores: StoreCollection, document: Document) -> Extract:
    """With what others have put into it: it is the owner's."""
    store = stores.read(document)
    body = _pick(asdict(StoreRecord.read(document.body)), STORE_FIELDS)
    async for file in extract_json(path_of(FOLDER, store.id, "store.json"), show_document(document, body)):
        yield file
    for name, collection in (("files.jsonl", FILES), ("batches.jsonl", BATCHES)):
        async for file in extract_lines(path_of(FOLDER, store.id, name), _documents(stores, collection, store.id)):
            yield file
    async for file in extract_lines(path_of(FOLDER, store.id, "chunks.jsonl"), _chunks(stores, store)):
        yield file


async def read_file(stores: StoreCollection, document: Document) -> Extract:
    """One that was put into a store of somebody else's, with its chunks."""
    folder = (OF_OTHERS, document.parent, file_id_of(document))
    async for file in extract_json(path_of(*folder, "file.json"), show_of(document)):
        yield file
    if (parent := await stores.store.get(STORES, document.parent)) is not None:
        chunks = _chunks_of(stores, stores.read(parent), document)
        async for file in extract_lines(path_of(*folder, "chunks.jsonl"), chunks):
            yield file


def show_of(document: Document) -> dict[str, object]:
    """A file or a batch of a store; of a file without who works on it."""
    if document.collection != FILES:
        return show_document(document)
    body = {"file_id": file_id_of(document), **_pick(asdict(FileRecord.read(document.body)), FILE_FIELDS)}
    return show_document(document, body)


async def _documents(stores: StoreCollection, collection: str, store_id: str) -> AsyncGenerator[object]:
    async for documents in walk_pages(stores.store, collection, store_id):
        for document in documents:
            yield show_of(document)


async def _chunks(stores: StoreCollection, store: Store) -> AsyncGenerator[object]:
    """All that the provider lists; of one that cannot list, those of files, which are found by their numbers."""
    if StoreRecord.read(store.document.body).emptied:
        return
    provider = stores.provider(store)
    if not provider.capabilities.listing:
        async for documents in walk_pages(stores.store, FILES, store.id):
            for document in documents:
                async for chunk in _chunks_of(stores, store, document):
                    yield chunk
        return
    listing, after, more = cast("VectorListing", provider), "", True
    while more:
        page = await stores.ask(listing.keys(store.index, after=after, limit=AT_ONCE))
        for chunk in await _fetch(stores, store, page.keys):
            yield chunk
        after, more = page.next, bool(page.next)


async def _chunks_of(stores: StoreCollection, store: Store, document: Document) -> AsyncGenerator[object]:
    """Of a file."""
    file_id, count = file_id_of(document), FileRecord.read(document.body).claimed
    for start in range(0, count, AT_ONCE):
        keys = [chunk_key(file_id, number) for number in range(start, min(count, start + AT_ONCE))]
        for chunk in await _fetch(stores, store, keys):
            yield chunk


async def _fetch(stores: StoreCollection, store: Store, keys: Sequence[str]) -> list[object]:
    chunks: list[Chunk] = []
    if keys:
        chunks = await stores.ask(stores.provider(store).fetch(store.index, keys, with_vectors=True))
    return [{**asdict(chunk), "vector": list(chunk.vector)} for chunk in chunks]


def _pick(values: dict[str, object], names: Sequence[str]) -> dict[str, object]:
    return {name: values[name] for name in names}
