"""Rows that are written before their dataset is there: noted first, so that those of a maker that died are removed by the next one.

dataset_owner    id = the folder    parent "drafts"    owner = the caller    {"dataset": its id}
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
import logging
from typing import Final

from core.errors import ApiError
from core.platform.concurrency import undoing
from core.services.datasets.collection import DatasetCollection
from core.services.datasets.keeping import OWNERS
from core.services.datasets.records import DATASET, DatasetRecord, folder_of
from core.stores.documents.port import Document

DRAFTS: Final = "drafts"
"""The list of these notes, in the collection of the tallies."""
LEFT_SECONDS: Final = 86_400
"""After which a draft is left by its maker: nobody writes for so long."""
MOST_SWEPT: Final = 20  # by one registration

log = logging.getLogger(__name__)


@asynccontextmanager
async def drafting(collection: DatasetCollection, dataset_id: str, folder: str) -> AsyncGenerator[None]:
    """While rows are written below `folder` and the dataset that names them is made; where that fails they are removed.

    Raises StateUnavailable where it cannot be noted.
    """
    await sweep_drafts(collection)
    owner, now = collection.guard.owner, int(collection.clock())
    note = Document(OWNERS, folder, {"dataset": dataset_id}, DRAFTS, owner, now)
    note = await collection.store.create(note)
    async with undoing(partial(remove_draft, collection, note)):
        yield
    try:
        await collection.store.delete(note)
    except ApiError as failure:  # the dataset is there; who sweeps sees that
        log.warning("the note of draft %s stays for now: %s", folder, failure)


async def sweep_drafts(collection: DatasetCollection) -> None:
    """Remove those that were left; what cannot be removed now is so by the next. Raises StateUnavailable."""
    last = collection.clock() - LEFT_SECONDS
    for note in (await collection.store.page(OWNERS, DRAFTS, limit=MOST_SWEPT)).documents:
        if note.created > last:
            return
        try:
            await remove_draft(collection, note)
        except ApiError as failure:
            log.warning("the rows of draft %s, which was left, are not removed: %s", note.id, failure)


async def remove_draft(collection: DatasetCollection, note: Document) -> bool:
    """Its rows, unless a dataset names them, and then the note; True. Raises StateUnavailable."""
    document = await collection.store.get(DATASET, note.body["dataset"])
    if document is None or DatasetRecord.of(document).folder != note.id:
        await collection.blobs.delete_below(folder_of(note.id))
    await collection.store.delete(note)
    return True
