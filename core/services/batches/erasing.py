"""What a principal keeps of batches: whose those of a provider are, and slots. Those of the stack are jobs, which go without it."""

from functools import partial

from core.routing.policy import owner_list
from core.services.batches.provided import BATCH
from core.services.batches.slots import SLOT
from core.services.erasure import Erase, Estate, Piece, Pieces
from core.services.extracts import Read, extract_json, path_of, show_document
from core.services.parts import Parts
from core.stores.connect import DOCUMENTS
from core.stores.documents.port import Document, DocumentStore
from core.stores.documents.walking import walk_pages


def erase(parts: Parts) -> Erase | None:
    """None where the run config names no place for documents."""
    store = parts.stores.find(DOCUMENTS)
    return None if store is None else partial(_pieces, store)


async def _pieces(store: DocumentStore, estate: Estate) -> Pieces:
    async for documents in walk_pages(store, BATCH, owner_list(estate.principal)):
        yield [
            Piece("batches of a provider", partial(store.delete, document), read=_reading(document))
            for document in documents
        ]
    async for documents in walk_pages(store, SLOT, owner_list(estate.principal)):
        yield [Piece("", partial(store.delete, document)) for document in documents]


def _reading(document: Document) -> Read:
    """What the provider has of it is the provider's."""
    return partial(extract_json, path_of("batches", f"{document.id}.json"), show_document(document))
