"""What a principal keeps of evaluations: counters, whose those of a provider are, and notes of agents. Those of the stack are jobs, which go without it."""

from functools import partial

from core.routing.policy import owner_list
from core.services.erasure import Erase, Estate, Piece, Pieces
from core.services.evals.numbering import COUNT
from core.services.evals.provided import RUN
from core.services.evals.request_agents import NOTE
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
    owner = owner_list(estate.principal)
    async for documents in walk_pages(store, RUN, owner):
        yield [
            Piece("evaluations of a provider", partial(store.delete, document), read=_reading("evaluations", document))
            for document in documents
        ]
    async for documents in walk_pages(store, COUNT, owner):
        yield [Piece("", partial(store.delete, document), read=_reading("numbers", document)) for document in documents]
    async for documents in walk_pages(store, NOTE, ""):  # the agents are the agents' eraser's
        own = [document for document in documents if estate.has(document.owner)]
        yield [Piece("", partial(store.delete, document)) for document in own]


def _reading(folder: str, document: Document) -> Read:
    return partial(extract_json, path_of(folder, f"{document.id}.json"), show_document(document))
