"""What a principal keeps of webhooks: its endpoints with their secrets, and the tally of them."""

from functools import partial
from typing import Final

from core.routing.policy import owner_list
from core.services.erasure import Erase, Estate, Piece, Pieces
from core.services.extracts import Read, extract_json, path_of
from core.services.parts import Parts
from core.services.webhooks.collection import EndpointCollection, removal, tally_id
from core.services.webhooks.records import ENDPOINT, show
from core.stores.connect import DOCUMENTS
from core.stores.documents.port import Document, DocumentStore
from core.stores.documents.walking import walk_pages

NOUN: Final = "webhook endpoints"


def erase(parts: Parts) -> Erase | None:
    """None where the run config names no place for documents."""
    has_place = parts.stores.find(DOCUMENTS) is not None
    return partial(_pieces, EndpointCollection(parts, None).store) if has_place else None


async def _pieces(store: DocumentStore, estate: Estate) -> Pieces:
    owner = owner_list(estate.principal)
    async for documents in walk_pages(store, ENDPOINT, owner):
        yield [Piece(NOUN, partial(_remove, store, document), read=_reading(document)) for document in documents]
    yield [Piece("", partial(_forget_tally, store, owner))]


def _reading(document: Document) -> Read:
    """Without the secrets that it signs with."""
    return partial(extract_json, path_of("endpoints", f"{document.id}.json"), show(document))


async def _remove(store: DocumentStore, document: Document) -> bool:
    await store.delete(document, tally=removal(document))
    return True


async def _forget_tally(store: DocumentStore, owner: str) -> bool:
    """Unless the principal has made one meanwhile, which is counted."""
    if not (await store.page(ENDPOINT, owner, limit=1)).documents:
        await store.drop_tallies(ENDPOINT, tally_id(owner))
    return True
