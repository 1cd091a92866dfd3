"""What a principal keeps of datasets: records with their rows, rows that no record names yet, and the tally."""

from functools import partial

from core.routing.policy import owner_list
from core.services.datasets.collection import DatasetCollection
from core.services.datasets.drafts import DRAFTS, remove_draft
from core.services.datasets.keeping import OWNERS, tally_id
from core.services.datasets.records import DATASET, DatasetRecord, show_dataset
from core.services.erasure import Erase, Estate, Piece, Pieces
from core.services.extracts import Extract, extract_json, path_of
from core.services.parts import Parts
from core.stores.connect import BLOBS, DOCUMENTS
from core.stores.documents.port import Document
from core.stores.documents.walking import walk_pages


def erase(parts: Parts) -> Erase | None:
    """None where the run config names no place for datasets."""
    has_place = all(parts.stores.find(kind) is not None for kind in (DOCUMENTS, BLOBS))
    return partial(_pieces, DatasetCollection(parts, None)) if has_place else None


async def _pieces(datasets: DatasetCollection, estate: Estate) -> Pieces:
    async for documents in walk_pages(datasets.store, DATASET, ""):
        own = [document for document in documents if estate.has(document.owner)]
        yield [
            Piece(
                "datasets",
                partial(_remove, datasets, document),
                bytes=DatasetRecord.of(document).bytes,
                read=partial(_read, datasets, document),
            )
            for document in own
        ]
    async for notes in walk_pages(datasets.store, OWNERS, DRAFTS):
        own = [note for note in notes if estate.has(note.owner)]
        yield [Piece("", partial(remove_draft, datasets, note)) for note in own]
    yield [Piece("", partial(_forget_tally, datasets, estate))]


async def _read(datasets: DatasetCollection, document: Document) -> Extract:
    """What is said of it, and its rows, unless a provider has them."""
    async for file in extract_json(path_of("datasets", document.id, "dataset.json"), show_dataset(document)):
        yield file
    path = path_of("datasets", document.id, "rows.jsonl")
    for segment in DatasetRecord.of(document).parts():
        async for chunk in datasets.blobs.read(segment.key):
            yield path, chunk


async def _remove(datasets: DatasetCollection, document: Document) -> bool:
    """Whoever imports it meanwhile finds it gone."""
    newest = await datasets.store.get(DATASET, document.id)
    if newest is None or newest.owner != document.owner:
        return True
    if DatasetRecord.of(newest).deleting:
        await datasets.remove_rest(newest)
    else:
        await datasets.remove(newest)
    return True


async def _forget_tally(datasets: DatasetCollection, estate: Estate) -> bool:
    """Unless the principal has made something meanwhile, which is counted."""
    async for documents in walk_pages(datasets.store, DATASET, ""):
        if any(estate.has(document.owner) for document in documents):
            return True
    await datasets.store.drop_tallies(OWNERS, tally_id(owner_list(estate.principal)))
    return True
