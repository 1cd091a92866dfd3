"""What a principal keeps of prompts, with their versions, and the tally of them."""

from functools import partial
from typing import Final

from core.routing.policy import owner_list
from core.services.erasure import Erase, Estate, Piece, Pieces
from core.services.parts import Parts
from core.services.prompts.collection import COLLECTION, PromptCollection
from core.services.prompts.keeping import tally_id
from core.services.prompts.records import PROMPT, VERSION
from core.stores.documents.walking import walk_pages

COLLECTIONS: Final = (PROMPT, VERSION)


def erase(parts: Parts) -> Erase | None:
    """None where the run config names no place for prompts."""
    has_place = parts.stores.find_collection(COLLECTION) is not None
    return partial(_pieces, PromptCollection(parts, None)) if has_place else None


async def _pieces(prompts: PromptCollection, estate: Estate) -> Pieces:
    owner = owner_list(estate.principal)
    async for documents in walk_pages(prompts.store, PROMPT, owner):
        yield [Piece("prompts", partial(_remove, prompts, document.id)) for document in documents]
    yield [Piece("", partial(_forget_tally, prompts, owner))]


async def _remove(prompts: PromptCollection, prompt_id: str) -> bool:
    document = await prompts.store.get(PROMPT, prompt_id)
    if document is not None:
        await prompts.delete(document)
    return True


async def _forget_tally(prompts: PromptCollection, owner: str) -> bool:
    """Unless the principal has made one meanwhile, which is counted."""
    if not (await prompts.store.page(PROMPT, owner, limit=1)).documents:
        await prompts.store.drop_tallies(PROMPT, tally_id(owner))
    return True
