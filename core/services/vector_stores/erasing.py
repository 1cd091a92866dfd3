"""What a principal keeps in vector stores: its stores with all in them, and the files and batches that it put into those of others.

No list is by owner, since stores are shared: every store is looked at, and in those of others the record of every file.
"""

from functools import partial
from typing import Final

from core.errors import StaleRevision
from core.services.erasure import Erase, Estate, Piece, Pieces
from core.services.extracts import extract_json, path_of
from core.services.parts import Parts
from core.services.vector_stores import removal
from core.services.vector_stores.extracts import OF_OTHERS, read_file, read_store, show_of
from core.services.vector_stores.file_records import StoreFiles
from core.services.vector_stores.ingest.engine import Ingest
from core.services.vector_stores.ingest.failures import Busy
from core.services.vector_stores.keeping import OWNERS, owner_id
from core.services.vector_stores.records import BATCHES, BYTES, FILES, STORES, FileRecord, file_id_of
from core.services.vector_stores.stores import StoreCollection
from core.stores.documents.port import Document
from core.stores.documents.walking import walk_pages

SECONDS: Final = 3600.0
"""For what is in one store: nobody waits for an answer."""


def erase(parts: Parts) -> Erase | None:
    """None where the run config names no place for vector stores."""
    has_place = parts.stores.find_collection("vector_stores") is not None
    return partial(_pieces, StoreCollection(parts, None)) if has_place else None


async def _pieces(stores: StoreCollection, estate: Estate) -> Pieces:
    async for documents in walk_pages(stores.store, STORES, ""):
        own = [doc for doc in documents if estate.has(doc.owner) and not stores.read(doc).declared]
        yield [await _piece_of(stores, estate, document) for document in own]
        for document in documents:
            if document not in own:
                async for pieces in _pieces_in(stores, estate, document):
                    yield pieces
    yield [Piece("", partial(_forget_tally, stores, estate))]


async def _piece_of(stores: StoreCollection, estate: Estate, document: Document) -> Piece:
    size = (await stores.store.tallies(STORES, document.id)).get(BYTES, 0)
    return Piece(
        "vector stores",
        partial(_remove_store, stores, estate, document.id),
        bytes=max(0, size),
        read=partial(read_store, stores, document),
    )


async def _pieces_in(stores: StoreCollection, estate: Estate, store: Document) -> Pieces:
    """Those in a store of somebody else's, or of nobody's."""
    async for documents in walk_pages(stores.store, FILES, store.id):
        yield [
            Piece(
                "files in vector stores of others",
                partial(_take_out, stores, estate, document),
                bytes=FileRecord.read(document.body).usage_bytes,
                read=partial(read_file, stores, document),
            )
            for document in documents
            if estate.has(document.owner)
        ]
    async for documents in walk_pages(stores.store, BATCHES, store.id):
        yield [
            Piece(
                "batches in vector stores of others",
                partial(_remove_batch, stores, document),
                read=partial(extract_json, path_of(OF_OTHERS, store.id, f"{document.id}.json"), show_of(document)),
            )
            for document in documents
            if estate.has(document.owner)
        ]


async def _remove_store(stores: StoreCollection, estate: Estate, store_id: str) -> bool:
    """As its owner would; where an ingest has a file of it, or others use it, it is asked again."""
    document = await stores.store.get(STORES, store_id)
    if document is None or not estate.has(document.owner):
        return True
    try:
        if not document.body["deleting"]:
            document = await removal.mark(stores, stores.read(document))
        return await removal.remove_rest(stores, document, seconds=SECONDS)
    except StaleRevision:
        return False


async def _take_out(stores: StoreCollection, estate: Estate, document: Document) -> bool:
    """Remove a file's chunks and its record; whoever ingests it is told to end, and does that itself."""
    store = await stores.store.get(STORES, document.parent)
    if store is None:
        return True
    files, file_id = StoreFiles(stores, stores.read(store)), file_id_of(document)
    current = await files.get(file_id)
    if current is None or not estate.has(current.owner):
        return True
    try:
        if not current.body["deleting"]:
            await files.put(current, _marked(current))
        return await Ingest(files, file_id).run() is None
    except (StaleRevision, Busy):
        return False


def _marked(document: Document) -> FileRecord:
    return FileRecord.read({**document.body, "deleting": True})


async def _remove_batch(stores: StoreCollection, document: Document) -> bool:
    await stores.store.delete(document)
    await stores.store.drop_tallies(BATCHES, document.id)
    return True


async def _forget_tally(stores: StoreCollection, estate: Estate) -> bool:
    """Unless the principal has made a store meanwhile, which is counted."""
    name = owner_id(estate.principal)
    if not any((await stores.store.tallies(OWNERS, name)).values()):
        await stores.store.drop_tallies(OWNERS, name)
    return True
