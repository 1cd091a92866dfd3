"""What a principal keeps of inference: chats."""

from functools import partial

from core.routing.policy import owner_list
from core.services.erasure import Erase, Estate, Piece, Pieces
from core.services.extracts import extract_json, path_of
from core.services.inference.chats.records import CHAT, COLLECTION, show_chat
from core.services.parts import Parts
from core.stores.documents.port import DocumentStore
from core.stores.documents.walking import walk_pages


def erase(parts: Parts) -> Erase | None:
    """None where the run config names no place for documents."""
    store = parts.stores.find_collection(COLLECTION)
    return None if store is None else partial(_pieces, store)


async def _pieces(store: DocumentStore, estate: Estate) -> Pieces:
    async for documents in walk_pages(store, CHAT, owner_list(estate.principal)):
        yield [
            Piece(
                "stored chats",
                partial(store.delete, document),
                read=partial(extract_json, path_of("chats", f"{document.id}.json"), show_chat(document)),
            )
            for document in documents
        ]
