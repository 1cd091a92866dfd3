"""What a principal keeps of prompts, with their versions, and the tally of them."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Final

from core.routing.policy import owner_list
from core.services.erasure import Erase, Estate, Piece, Pieces
from core.services.extracts import Extract, extract_lines, path_of
from core.services.parts import Parts
from core.services.prompts.collection import COLLECTION, PromptCollection
from core.services.prompts.keeping import tally_id
from core.services.prompts.records import PROMPT, VERSION, PromptRecord, Version, show
from core.stores.documents.port import Document
from core.stores.documents.walking import walk_pages

COLLECTIONS: Final = (PROMPT, VERSION)


def erase(parts: Parts) -> Erase | None:
    """None where the run config names no place for prompts."""
    has_place = parts.stores.find_collection(COLLECTION) is not None
    return partial(_pieces, PromptCollection(parts, None)) if has_place else None


async def _pieces(prompts: PromptCollection, estate: Estate) -> Pieces:
    owner = owner_list(estate.principal)
    async for documents in walk_pages(prompts.store, PROMPT, owner):
        yield [
            Piece("prompts", partial(_remove, prompts, document.id), read=partial(_read, prompts, document))
            for document in documents
        ]
    yield [Piece("", partial(_forget_tally, prompts, owner))]


async def _read(prompts: PromptCollection, document: Document) -> Extract:
    """Its versions, the newest last: that one is in its record."""
    async for file in extract_lines(path_of("prompts", f"{document.id}.jsonl"), _versions(prompts, document)):
        yield file


async def _versions(prompts: PromptCollection, document: Document) -> AsyncGenerator[object]:
    record = PromptRecord.read(document.body)
    async for documents in walk_pages(prompts.store, VERSION, document.id):
        for version in map(Version.read, (archive.body for archive in documents)):
            if version.version != record.newest.version:  # archived by whoever makes the next, who may have died
                yield show(document.id, version, record)
    yield show(document.id, record.newest, record)


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
