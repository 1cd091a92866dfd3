"""Vector stores that go: hidden at once, then what is in them, their index, and their record last.

Whoever meets one half-done goes on: a process may die at any point, and an ingest may still write. What writes into a store looks,
after its claim is in its record, whether the store is there; what removes one looks at the records after it has marked the store.
So one of the two sees the other.
"""

from dataclasses import replace
from functools import partial
import logging
import time
from typing import Final

from core.errors import ApiError, Conflict, StaleRevision
from core.platform.concurrency import run_all
from core.services.vector_stores.keeping import removal
from core.services.vector_stores.records import BATCHES, FILES, STORES, FileRecord, StoreRecord
from core.services.vector_stores.stores import Store, StoreCollection, missing
from core.stores.documents.port import Document

TRIES: Final = 5
AT_ONCE: Final = 100  # records of one page
WRITES: Final = 8  # under way together
SECONDS: Final = 10.0
"""For what is in a store, in the answer that deletes it."""
IN_PASSING: Final = 1.0
"""The same, in an answer that meets it by the way."""

log = logging.getLogger(__name__)


async def delete(stores: StoreCollection, store_id: str) -> None:
    """Remove the store, and what is in it as far as that can be done now.

    Raises:
        NotFound: there is none, or the caller may not read it.
        PermissionDenied: the caller may not delete it.
        Conflict: the run config declares it.
    """
    for _ in range(TRIES):
        store = await stores.get(store_id)
        stores.guard.require("delete", stores.item(store))
        if store.declared:
            raise Conflict(f"`{store_id}` is declared in the run config; remove it there.")
        try:
            document = await mark(stores, store)
        except StaleRevision:  # it was used meanwhile
            continue
        try:
            await remove_rest(stores, document)
        except ApiError as failure:
            log.warning("vector store %s is deleted, what was in it not yet: %s", store_id, failure)
        return
    raise (
        missing(store_id)
        if await stores.store.get(STORES, store_id) is None
        else Conflict(f"The vector store `{store_id}` is being changed by others. Try again.")
    )


async def mark(stores: StoreCollection, store: Store) -> Document:
    """Hide it from everybody, and take it off its owner's tally; raises StaleRevision."""
    record = StoreRecord.read(store.document.body)
    marked = replace(record, deleting=True, counted="")
    return await stores.store.put(store.document, marked.body(), tally=removal(record))


async def remove_rest(stores: StoreCollection, document: Document, *, seconds: float = SECONDS) -> bool:
    """Remove what is left of a store that is being deleted, as far as there is time; whether nothing is left.

    Its record stays where there was not enough, and where an ingest still has a file of it: that one's next write fails, or tells it
    that its file goes; then it calls this.
    """
    store, deadline = stores.read(document), time.monotonic() + seconds
    done = await _remove_files(stores, store.id, deadline)
    await stores.ask(stores.provider(store).drop(store.index))
    if done:
        await _remove_batches(stores, store.id)
        await stores.store.drop_tallies(STORES, store.id)
        await stores.store.delete(document)
    return done


async def empty(stores: StoreCollection, store: Store) -> Store:
    """Remove the index of a store that has expired; its record stays, for its owner to see and to delete."""
    await stores.ask(stores.provider(store).drop(store.index))
    record = replace(StoreRecord.read(store.document.body), emptied=True)
    try:
        return stores.read(await stores.store.put(store.document, record.body()))
    except StaleRevision:
        return store


async def _remove_files(stores: StoreCollection, store_id: str, deadline: float) -> bool:
    """False where some are left, since somebody ingests them, or there was no time."""
    done, after, more = True, None, True
    while more:
        if time.monotonic() > deadline:
            return False
        page = await stores.store.page(FILES, store_id, after=after, limit=AT_ONCE)
        jobs = [partial(_remove_file, stores, document) for document in page.documents]
        done = all(await run_all(jobs, at_once=WRITES)) and done
        after = page.documents[-1].id if page.documents else after
        more = page.has_more
    return done


async def _remove_file(stores: StoreCollection, document: Document) -> bool:
    """False where an ingest has it, which is told to end."""
    record = FileRecord.read(document.body)
    try:
        if not record.is_held(stores.clock()):
            return await stores.store.delete(document, expect=document.revision) or True
        if not record.deleting:
            await stores.store.put(document, replace(record, deleting=True).body())
    except StaleRevision:  # an ingest goes on with it: whoever removes the rest later looks again
        return False
    return False


async def _remove_batches(stores: StoreCollection, store_id: str) -> None:
    more = True
    while more:
        page = await stores.store.page(BATCHES, store_id, limit=AT_ONCE)
        for document in page.documents:
            await stores.store.delete(document)
            await stores.store.drop_tallies(BATCHES, document.id)
        more = page.has_more
